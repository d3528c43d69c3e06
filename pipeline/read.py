"""Read rasters by whole source blocks, each one once, from files or over HTTP ranges."""

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterWindow

from catalog.errors import SourceUnavailable, SourceUnreadable
from catalog.product import Access
from catalog.scene import Asset

GDAL_OPTIONS: Mapping[str, str] = MappingProxyType(
    {
        "CPL_VSIL_CURL_NON_CACHED": "/vsicurl/:/vsis3/",
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
        "GDAL_HTTP_CONNECTTIMEOUT": "10",
        "GDAL_HTTP_TIMEOUT": "120",
        "GDAL_HTTP_MAX_RETRY": "4",
        "GDAL_HTTP_RETRY_DELAY": "0.5",
        "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
        "GDAL_INGESTED_BYTES_AT_OPEN": "32768",
        "GDAL_NUM_THREADS": "1",
        "VSI_CACHE": "FALSE",
    }
)
"""How GDAL reads over HTTP: ranges only, patient with 429 and 5xx.

Nothing is remembered of a file once it is closed: GDAL would otherwise answer every later
try of a file that failed once with the same failure, without asking the server.
"""

_STATUS = re.compile(r"HTTP (?:response|error) code ?: ?(\d{3})")
_LATER = re.compile(r"CURL error|timed? ?out|credential|signature|access ?denied|expired", re.I)
_REFUSED_FOR_NOW = (401, 403, 408, 425, 429)
"""Statuses below 500 that may pass: expired tokens, timeouts, rate limits."""
_CACHE_BYTES = 256 * 2**20

_BlockKey = tuple[str, int, int, int]
"""File, band, row and column of a block."""


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of pixels; may reach beyond the image."""

    row: int
    col: int
    rows: int
    cols: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceGrid:
    """The pixel grid of a raster file."""

    epsg: int
    transform: Affine
    shape: tuple[int, int]
    block: tuple[int, int]
    """Rows and columns of the file's internal blocks."""

    def window_transform(self, window: Window) -> Affine:
        """Return the affine of a window's own pixels."""
        return self.transform @ Affine.translation(window.col, window.row)


@dataclass(frozen=True, slots=True)
class Pixels:
    """Values of one window, `(y, x)`, and where the file holds any."""

    values: npt.NDArray[Any]
    has_data: npt.NDArray[np.bool_]


@dataclass(slots=True)
class ReadCount:
    """What reading has cost so far."""

    files: int = 0
    blocks: int = 0
    decoded_bytes: int = 0


@dataclass(slots=True)
class BlockReader:
    """Reads windows of rasters; keeps decoded blocks, so that none is read twice.

    One reader serves one task. Its memory is bounded: beyond `cache_bytes` the block used
    longest ago is dropped.
    """

    cache_bytes: int = _CACHE_BYTES
    gdal_options: Mapping[str, str] = field(default_factory=lambda: GDAL_OPTIONS)
    count: ReadCount = field(default_factory=ReadCount)
    _blocks: OrderedDict[_BlockKey, npt.NDArray[Any]] = field(default_factory=OrderedDict)
    _held_bytes: int = 0

    @property
    def held_bytes(self) -> int:
        """Size of the decoded blocks that are kept."""
        return self._held_bytes

    def read(
        self,
        asset: Asset,
        choose: Callable[[SourceGrid], Sequence[Window]],
        *,
        access: Access = "open",  # noqa: ARG002
    ) -> tuple[SourceGrid, list[Window], list[Pixels]]:
        """Return the windows of a file that `choose` asks for, given the file's grid.

        Raises:
            SourceUnreadable: If the file is missing, truncated or not a raster.
            SourceUnavailable: If the server is at fault or out of reach for now.
        """
        with _as_source_error(asset), rasterio.Env(**self.gdal_options):
            try:
                return self._read(asset, choose)
            except RasterioError as err:
                if not _is_remote(asset.href) or _says_why(err):
                    raise
            # GDAL does not say why it got no bytes of a remote block. Asked anew, a server at
            # fault says so, while a truncated file fails in the same way.
            return self._read(asset, choose)

    def _read(
        self, asset: Asset, choose: Callable[[SourceGrid], Sequence[Window]]
    ) -> tuple[SourceGrid, list[Window], list[Pixels]]:
        with rasterio.open(asset.href) as dataset:
            self.count.files += 1
            grid = _grid(dataset, asset)
            windows = list(choose(grid))
            blocks = self._fetch(dataset, asset.href, asset.index, grid, windows)
        return grid, windows, [_cut(blocks, grid, w, asset.nodata) for w in windows]

    def _fetch(
        self,
        dataset: Any,  # noqa: ANN401 - rasterio has no types
        href: str,
        index: int,
        grid: SourceGrid,
        windows: Iterable[Window],
    ) -> dict[tuple[int, int], npt.NDArray[Any]]:
        """All blocks that the windows touch, from the cache or the file."""
        needed = {place for window in windows for place in touched_blocks(grid, window)}
        held = {
            p: self._held((href, index, *p))
            for p in needed
            if (href, index, *p) in self._blocks
        }
        for run in block_runs(needed - held.keys()):
            rectangle = _run_window(grid, run)
            values = dataset.read(index, window=rectangle)
            self.count.decoded_bytes += values.nbytes
            for place, block in _split_run(grid, run, values):
                self.count.blocks += 1
                held[place] = block
                self._keep((href, index, *place), block)
        return held

    def _held(self, key: _BlockKey) -> npt.NDArray[Any]:
        self._blocks.move_to_end(key)
        return self._blocks[key]

    def _keep(self, key: _BlockKey, block: npt.NDArray[Any]) -> None:
        self._blocks[key] = block
        self._held_bytes += block.nbytes
        while self._held_bytes > self.cache_bytes:
            _, dropped = self._blocks.popitem(last=False)
            self._held_bytes -= dropped.nbytes


def touched_blocks(grid: SourceGrid, window: Window) -> Iterator[tuple[int, int]]:
    """Yield (row, column) of each block of the file that a window touches."""
    top, left = max(window.row, 0), max(window.col, 0)
    bottom = min(window.row + window.rows, grid.shape[0])
    right = min(window.col + window.cols, grid.shape[1])
    if top >= bottom or left >= right:
        return
    for row in range(top // grid.block[0], -(-bottom // grid.block[0])):
        for col in range(left // grid.block[1], -(-right // grid.block[1])):
            yield row, col


def block_runs(places: Iterable[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Join blocks that lie side by side: (row, first column, columns), in file order.

    Example:
        >>> block_runs([(0, 1), (0, 0), (1, 4)])
        [(0, 0, 2), (1, 4, 1)]
    """
    runs: list[tuple[int, int, int]] = []
    for row, col in sorted(places):
        if runs and runs[-1][0] == row and runs[-1][1] + runs[-1][2] == col:
            runs[-1] = (row, runs[-1][1], runs[-1][2] + 1)
        else:
            runs.append((row, col, 1))
    return runs


def _run_window(grid: SourceGrid, run: tuple[int, int, int]) -> RasterWindow:
    row, col, count = run
    top, left = row * grid.block[0], col * grid.block[1]
    bottom = min(top + grid.block[0], grid.shape[0])
    right = min(left + count * grid.block[1], grid.shape[1])
    return RasterWindow(left, top, right - left, bottom - top)


def _split_run(
    grid: SourceGrid, run: tuple[int, int, int], values: npt.NDArray[Any]
) -> Iterator[tuple[tuple[int, int], npt.NDArray[Any]]]:
    row, col, count = run
    width = grid.block[1]
    for i in range(count):
        # A view would keep the whole run in memory for as long as one of its blocks is held.
        yield (row, col + i), values[:, i * width : (i + 1) * width].copy()


def _cut(
    blocks: dict[tuple[int, int], npt.NDArray[Any]],
    grid: SourceGrid,
    window: Window,
    nodata: float | None,
) -> Pixels:
    """Assemble one window from blocks; what lies outside the image has no data."""
    dtype = next(iter(blocks.values())).dtype if blocks else np.dtype(np.float32)
    values = np.zeros((window.rows, window.cols), dtype=dtype)
    has_data = np.zeros(values.shape, dtype=bool)
    for row, col in touched_blocks(grid, window):
        block = blocks[row, col]
        top, left = row * grid.block[0] - window.row, col * grid.block[1] - window.col
        y0, x0 = max(top, 0), max(left, 0)
        y1 = min(top + block.shape[0], window.rows)
        x1 = min(left + block.shape[1], window.cols)
        values[y0:y1, x0:x1] = block[y0 - top : y1 - top, x0 - left : x1 - left]
        has_data[y0:y1, x0:x1] = True
    if nodata is not None and not np.isnan(nodata):
        has_data &= values != nodata
    if values.dtype.kind == "f":
        has_data &= np.isfinite(values)
    return Pixels(values, has_data)


def _grid(dataset: Any, asset: Asset) -> SourceGrid:  # noqa: ANN401 - rasterio has no types
    if dataset.crs is None or dataset.crs.to_epsg() is None:
        raise SourceUnreadable(
            f"{asset.href} names no CRS with an EPSG code; it cannot be placed"
        )
    return SourceGrid(
        epsg=dataset.crs.to_epsg(),
        transform=dataset.transform,
        shape=dataset.shape,
        block=dataset.block_shapes[0],
    )


@contextmanager
def _as_source_error(asset: Asset) -> Iterator[None]:
    """Tell a fault that stays from one that may pass."""
    try:
        yield
    except RasterioError as err:
        said = "; ".join(str(e) for e in _chain(err))
        message = f"{asset.href} could not be read: {said}"
        if _is_remote(asset.href) and _may_pass(said):
            raise SourceUnavailable(message) from err
        raise SourceUnreadable(message) from err


def _is_remote(href: str) -> bool:
    return "://" in href or href.startswith("/vsi")


def _says_why(err: BaseException) -> bool:
    """Whether an error names the server's answer or what kept it from answering."""
    return any(_STATUS.search(str(e)) or _LATER.search(str(e)) for e in _chain(err))


def _may_pass(said: str) -> bool:
    statuses = [int(code) for code in _STATUS.findall(said)]
    if statuses:
        return any(code >= 500 or code in _REFUSED_FOR_NOW for code in statuses)
    return _LATER.search(said) is not None


def _chain(err: BaseException | None) -> Iterator[BaseException]:
    while err is not None:
        yield err
        err = err.__cause__ or err.__context__
