"""The floor of the build benchmark: every block that the cells touch, decoded once."""

import asyncio
import importlib.util
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rasterio
import tifffile
from affine import Affine
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from tests.bench.archive import EPSG, LANDSAT, SENTINEL2, BenchArchive, Place, cell_bounds

CORES = 2


@dataclass(frozen=True, slots=True)
class NeededFile:
    """One file of one date, and the blocks of it that the cells touch."""

    path: str
    block: tuple[int, int]
    places: tuple[tuple[int, int], ...]
    """(row, column) of blocks."""
    compressed_bytes: int


def needed_files(
    archive: BenchArchive, places: Sequence[Place], dates: int, *, warped: bool = False
) -> list[NeededFile]:
    """Return what the cells touch of every band and quality band of the first dates.

    No kernel's halo is counted, and each block once.
    """
    touched: dict[object, tuple[tuple[int, int], ...]] = {}
    found = []
    for date in range(dates):
        for product in (LANDSAT, SENTINEL2):
            for key in archive.keys(product):
                path = archive.folder / archive.href(product, date, key, warped=warped)
                grid = archive.grid(product, key, warped=warped)
                with tifffile.TiffFile(path) as opened:
                    page = opened.pages[0]
                    block = (page.tilelength, page.tilewidth)
                    sizes = page.databytecounts
                if (grid, block) not in touched:
                    touched[grid, block] = _touched(
                        grid.transform, grid.epsg, grid.shape, block, places
                    )
                mine = touched[grid, block]
                across = -(-grid.shape[1] // block[1])
                size = sum(sizes[row * across + col] for row, col in mine)
                found.append(NeededFile(str(path), block, mine, size))
    return found


def _touched(
    transform: Affine,
    epsg: int,
    shape: tuple[int, int],
    block: tuple[int, int],
    places: Sequence[Place],
) -> tuple[tuple[int, int], ...]:
    blocks: set[tuple[int, int]] = set()
    inverse = ~transform
    for place in places:
        bounds = cell_bounds(place)
        if epsg != EPSG:
            bounds = transform_bounds(f"EPSG:{EPSG}", f"EPSG:{epsg}", *bounds)
        left, bottom = inverse @ (bounds[0], bounds[1])
        right, top = inverse @ (bounds[2], bounds[3])
        for row in range(max(int(top), 0) // block[0], _last(bottom, shape[0]) // block[0] + 1):
            for col in range(
                max(int(left), 0) // block[1], _last(right, shape[1]) // block[1] + 1
            ):
                blocks.add((row, col))
    return tuple(sorted(blocks))


def _last(edge: float, size: int) -> int:
    """The last pixel before an edge."""
    return min(-int(-edge // 1), size) - 1


def decode_with_gdal(needed: NeededFile) -> int:
    """Decode the blocks of one file with GDAL; return their bytes."""
    total = 0
    rows, cols = needed.block
    with rasterio.Env(GDAL_CACHEMAX=64, GDAL_NUM_THREADS="1"), rasterio.open(needed.path) as f:
        for row, col in needed.places:
            height = min(rows, f.height - row * rows)
            width = min(cols, f.width - col * cols)
            total += f.read(1, window=Window(col * cols, row * rows, width, height)).nbytes
    return total


def _threads(needed: Sequence[NeededFile], _client: Any) -> None:
    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(decode_with_gdal, needed))


def _processes(needed: Sequence[NeededFile], client: Any) -> None:
    client.gather(client.map(decode_with_gdal, needed, pure=False))


def _async_tiff(needed: Sequence[NeededFile], _client: Any) -> None:
    asyncio.run(_decode_all(needed))


async def _decode_all(needed: Sequence[NeededFile]) -> None:
    """A few files at a time, so that memory stays bounded; decoding in a pool of threads."""
    from async_tiff import TIFF, ThreadPool  # noqa: PLC0415 - absent unless installed
    from async_tiff.store import LocalStore  # noqa: PLC0415

    store = LocalStore(str(Path(needed[0].path).parent))
    pool = ThreadPool(CORES)

    async def decode(one: NeededFile) -> None:
        tiff = await TIFF.open(Path(one.path).name, store=store)
        for start in range(0, len(one.places), 16):
            some = [(col, row) for row, col in one.places[start : start + 16]]
            tiles = await tiff.fetch_tiles(some, 0)
            await asyncio.gather(*(tile.decode(pool=pool) for tile in tiles))

    for start in range(0, len(needed), CORES):
        await asyncio.gather(*(decode(one) for one in needed[start : start + CORES]))


def decoders() -> dict[str, Callable[[Sequence[NeededFile], Any], None]]:
    """Name -> what decodes; those that are installed."""
    found = {"rasterio-threads": _threads, "rasterio-processes": _processes}
    if importlib.util.find_spec("async_tiff"):
        found["async-tiff"] = _async_tiff
    return found


def floor(
    needed: Sequence[NeededFile],
    client: Any,
    repeats: int,
) -> tuple[str, dict[str, float]]:
    """Return the fastest decoder, and the median of the seconds that each one takes."""
    seconds: dict[str, float] = {}
    for name, decode in decoders().items():
        runs = []
        for _ in range(repeats):
            started = time.perf_counter()
            decode(needed, client)
            runs.append(time.perf_counter() - started)
        seconds[name] = sorted(runs)[len(runs) // 2]
    return min(seconds, key=lambda name: seconds[name]), seconds
