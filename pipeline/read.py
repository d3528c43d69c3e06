"""Read rasters by whole source blocks, each one once, from files or over HTTP ranges."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from distributed import get_worker
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterWindow

from catalog.errors import SourceUnreadable
from catalog.product import Access
from catalog.scene import Asset
from pipeline.access import Reach, is_remote, reach, shown
from pipeline.blocks import DECODED, Range, Shelf, Version, unshared, version_on_disk
from pipeline.conceal import scrubbed
from pipeline.remote import FILES, RemoteFaultError, RemoteFile, patience_of
from pipeline.tries import Tries

GDAL_OPTIONS: Mapping[str, str] = MappingProxyType(
    {
        "CPL_VSIL_CURL_NON_CACHED": "/vsicurl/:/vsis3/",
        "CPL_VSIL_CURL_USE_HEAD": "NO",
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
        "GDAL_HTTP_CONNECTTIMEOUT": "10",
        "GDAL_HTTP_TIMEOUT": "120",
        "GDAL_HTTP_MAX_RETRY": "4",
        "GDAL_HTTP_RETRY_DELAY": "0.5",
        # 0 is a connection that was dropped before an answer.
        "GDAL_HTTP_RETRY_CODES": "0,408,425,429,500,502,503,504",
        "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
        "GDAL_INGESTED_BYTES_AT_OPEN": "32768",
        "VSI_CACHE": "FALSE",
    }
)
"""How GDAL reads over HTTP: ranges only, patient with 429, 5xx and dropped connections.

Nothing is remembered of a file once it is closed: GDAL would otherwise answer every later
try of a file that failed once with the same failure, without asking the server.
"""

_LARGEST_BLOCK_BYTES = 2**30

DECODING_THREADS = "GEOLOUPE_DECODING_THREADS"
"""Environment variable: threads that decode at once for one task. Without it, one in a worker
of a cluster and as many as there are cores elsewhere."""

GLANCE_PX = 256
"""Rows and columns of a whole image at a glance."""
_LARGEST_WITHOUT_OVERVIEWS_PX = 2048

_LEADER_BYTES = 4
"""What optimized files keep before and after each block, for GDAL to look at."""

_T = TypeVar("_T")
_names = count()
_GDAL_CACHE_BYTES = 64 * 2**20
"""GDAL's own cache of blocks; ours outlives the file's being open."""


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of pixels; may reach beyond the image."""

    row: int
    col: int
    rows: int
    cols: int


@dataclass(frozen=True, slots=True)
class Area:
    """A window to be put together, of which only the blocks under its parts are read."""

    window: Window
    parts: tuple[Window, ...]


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


Choose = Callable[[SourceGrid], Sequence[Window | Area]]
"""What to read of a file, given its grid."""


@dataclass(frozen=True, slots=True)
class _Opened:
    """A file that GDAL has open."""

    dataset: Any
    version: Version
    remote: RemoteFile | None


@dataclass(slots=True)
class BlockReader:
    """Reads windows of rasters; keeps decoded blocks, so that none is read twice.

    One reader serves one task. What it keeps is shared with the tasks to come, as long as
    their files prove to be the same. Memory is bounded: beyond the size of `blocks` the block
    used longest ago is dropped.
    """

    blocks: Shelf = field(default_factory=lambda: DECODED)
    gdal_options: Mapping[str, str] = field(default_factory=lambda: GDAL_OPTIONS)
    count: ReadCount = field(default_factory=ReadCount)
    _remote: dict[str, RemoteFile] = field(default_factory=dict)
    _unshared: dict[str, Version] = field(default_factory=dict)

    def read(
        self, asset: Asset, choose: Choose, *, access: Access = "open"
    ) -> tuple[SourceGrid, list[Window | Area], list[Pixels]]:
        """Return the windows of a file that `choose` asks for, given the file's grid.

        A token that the server refuses is renewed once, and again after each new block.

        Raises:
            SourceUnreadable: If the file is missing, truncated or not a raster.
            SourceUnavailable: If the server is at fault or out of reach for now.
        """
        return self._open(asset, access, lambda opened: self._read(opened, asset, choose))

    def glance(self, asset: Asset, *, access: Access = "open") -> npt.NDArray[Any] | None:
        """Return the whole image in `GLANCE_PX` by `GLANCE_PX` pixels, each one of the file's.

        None if the image is large and has no overviews: it would have to be read whole.

        Raises:
            SourceUnreadable: If the file is missing, truncated or not a raster.
            SourceUnavailable: If the server is at fault or out of reach for now.
        """
        return self._open(asset, access, lambda opened: self._glance(opened, asset.index))

    def _open(self, asset: Asset, access: Access, use: Callable[[_Opened], _T]) -> _T:
        tries = Tries()
        way = reach(asset.href, access)
        while True:
            had = self.count.blocks
            done, said = self._try(way, use)
            if done is not None:
                return done[0]
            # Raised out here, without a cause: the errors of GDAL name the URL they were given.
            way = tries.another_way(way, said, gained=self.count.blocks - had)

    def _try(self, way: Reach, use: Callable[[_Opened], _T]) -> tuple[tuple[_T] | None, str]:
        """What `use` makes of the opened file, or else what GDAL or the server said."""
        options = {
            "GDAL_NUM_THREADS": str(decoding_threads()),
            "GDAL_CACHEMAX": _GDAL_CACHE_BYTES,
        }
        remote = self._ranges(way)
        opening = self._plainly(way) if remote is None else _by_ranges(remote, way)
        try:
            with (
                rasterio.Env(**{**self.gdal_options, **options, **way.gdal_options}),
                opening as opened,
            ):
                self.count.files += 1
                return (use(opened),), ""
        except RemoteFaultError as err:
            return None, str(err)
        except RasterioError as err:
            # Of a file that was handed to it in parts, GDAL only knows that it got none.
            fault = remote.fault if remote is not None else ""
            said = "; ".join(dict.fromkeys(str(e) for e in _chain(err)))
            return None, fault or scrubbed(said)

    def _ranges(self, way: Reach) -> RemoteFile | None:
        """The file for reading by ranges of our own; None if GDAL is to read it itself."""
        if not way.path.startswith("/vsicurl/http") or _driver(way.href) != "GTiff":
            return None
        if way.href not in self._remote:
            patience = patience_of(self.gdal_options)
            self._remote[way.href] = RemoteFile(way.href, way, patience)
        return self._remote[way.href]

    @contextmanager
    def _plainly(self, way: Reach) -> Iterator[_Opened]:
        if is_remote(way.href):
            version = self._unshared.setdefault(way.href, unshared(way.href))
        else:
            version = version_on_disk(way.href, self._unshared)
        with rasterio.open(way.path, driver=_driver(way.href)) as dataset:
            yield _Opened(dataset, version, None)

    def _read(
        self, opened: _Opened, asset: Asset, choose: Choose
    ) -> tuple[SourceGrid, list[Window | Area], list[Pixels]]:
        grid = _grid(opened.dataset, asset)
        chosen = list(choose(grid))
        blocks = self._fetch(opened, asset.index, grid, [w for c in chosen for w in _parts(c)])
        return grid, chosen, [_cut(blocks, grid, c, asset.nodata) for c in chosen]

    def _glance(self, opened: _Opened, index: int) -> npt.NDArray[Any] | None:
        dataset = opened.dataset
        if max(dataset.shape) > _LARGEST_WITHOUT_OVERVIEWS_PX and not dataset.overviews(index):
            return None
        if opened.remote is not None:
            opened.remote.make_sure([])
        values: npt.NDArray[Any] = dataset.read(index, out_shape=(GLANCE_PX, GLANCE_PX))
        whole = dataset.shape[0] * dataset.shape[1] * values.itemsize
        self.count.decoded_bytes += min(values.nbytes, whole)
        return values

    def _fetch(
        self, opened: _Opened, index: int, grid: SourceGrid, windows: Iterable[Window]
    ) -> dict[tuple[int, int], npt.NDArray[Any]]:
        """All blocks that the windows touch, from the cache or the file."""
        version = opened.version
        needed = {place for window in windows for place in touched_blocks(grid, window)}
        kept = {place: self.blocks.get((version, index, *place)) for place in needed}
        held = {place: block for place, block in kept.items() if block is not None}
        missing = needed - held.keys()
        if opened.remote is not None:
            opened.remote.make_sure(_block_ranges(opened.dataset, index, missing))
        for run in block_runs(missing):
            rectangle = _run_window(grid, run)
            values = opened.dataset.read(index, window=rectangle)
            self.count.decoded_bytes += values.nbytes
            for place, block in _split_run(grid, run, values):
                self.count.blocks += 1
                held[place] = block
                self.blocks.keep((version, index, *place), block)
        return held


def decoding_threads() -> int:
    """Return how many threads may decode: the one of a worker's task, or else all cores."""
    stated = int(os.environ.get(DECODING_THREADS, "0"))
    if stated:
        return stated
    try:
        get_worker()
    except ValueError:
        return len(os.sched_getaffinity(0))
    return 1


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


def _parts(chosen: Window | Area) -> tuple[Window, ...]:
    return chosen.parts if isinstance(chosen, Area) else (chosen,)


@contextmanager
def _by_ranges(remote: RemoteFile, way: Reach) -> Iterator[_Opened]:
    """The file, opened by GDAL on the bytes that we fetch."""
    remote.begin(way)
    name = f"remote/{next(_names)}.tif"
    FILES.add(name, remote)
    try:
        with rasterio.open(name, driver="GTiff", opener=FILES) as dataset:
            yield _Opened(dataset, remote.version, remote)
    finally:
        FILES.drop(name)


def _block_ranges(dataset: Any, index: int, places: Iterable[tuple[int, int]]) -> list[Range]:  # noqa: ANN401 - rasterio has no types
    """Where blocks lie in the file; those that are not there, being empty, left out."""
    ranges = []
    for row, col in places:
        offset = dataset.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", "TIFF", bidx=index)
        size = dataset.get_tag_item(f"BLOCK_SIZE_{col}_{row}", "TIFF", bidx=index)
        if offset and size:
            start = max(int(offset) - _LEADER_BYTES, 0)
            ranges.append((start, int(offset) + int(size)))
    return ranges


def _cut(
    blocks: dict[tuple[int, int], npt.NDArray[Any]],
    grid: SourceGrid,
    chosen: Window | Area,
    nodata: float | None,
) -> Pixels:
    """Assemble one window from blocks; what lies outside of them has no data."""
    window = chosen.window if isinstance(chosen, Area) else chosen
    dtype = next(iter(blocks.values())).dtype if blocks else np.dtype(np.float32)
    values = np.zeros((window.rows, window.cols), dtype=dtype)
    has_data = np.zeros(values.shape, dtype=bool)
    for row, col in touched_blocks(grid, window):
        block = blocks.get((row, col))
        if block is None:
            continue
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
            f"{shown(asset.href)} names no CRS with an EPSG code; it cannot be placed"
        )
    rows, cols = dataset.block_shapes[0]
    if rows * cols * np.dtype(dataset.dtypes[0]).itemsize > _LARGEST_BLOCK_BYTES:
        raise SourceUnreadable(
            f"{shown(asset.href)} is stored in blocks of {rows} x {cols} pixels, too large to "
            f"read in parts; store it in tiles, for example with rio cogeo"
        )
    return SourceGrid(
        epsg=dataset.crs.to_epsg(),
        transform=dataset.transform,
        shape=dataset.shape,
        block=dataset.block_shapes[0],
    )


def _driver(href: str) -> str | None:
    """The one format that a remote file may have: others may name further files to open."""
    if not is_remote(href):
        return None
    return "JP2OpenJPEG" if href.partition("?")[0].lower().endswith(".jp2") else "GTiff"


def _chain(err: BaseException | None) -> Iterator[BaseException]:
    while err is not None:
        yield err
        err = err.__cause__ or err.__context__
