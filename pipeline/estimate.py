"""What a plan is expected to cost: requests, bytes read, disk."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from catalog.grid import Cell
from catalog.products import find_product
from catalog.scene import Asset, Scene
from pipeline.plan import Plan
from pipeline.task import LayerTask

_BLOCK_PX = 512
"""Block size assumed before a file is opened; COGs of the archives use 256 to 1024."""
_SOURCE_BYTES = 2
"""Bytes of one source pixel, before compression."""
_COMPRESSED = 0.6
"""Share of a block that compression leaves, typical of reflectance with deflate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Expected cost of a build, if every sample takes its first candidate."""

    requests: int
    """One to open each file, one for each run of its blocks."""
    read_bytes: float
    """Compressed bytes of the blocks that the cells touch."""
    disk_bytes: float
    """Uncompressed size of the patches and their validity; the store is smaller."""


def estimate_plan(plan: Plan) -> Estimate:
    """Return what building a plan is expected to cost."""
    todo = plan.samples.filter(pc.greater_equal(plan.samples["task"], 0))
    rows = todo.select(["task", "epsg", "west", "south", "east", "north", "candidates"])
    known = {layer: {s.id: s for s in listed} for layer, listed in plan.scenes.items()}
    files: dict[tuple[int, str, str], set[tuple[int, int]]] = {}
    for row in rows.to_pylist():
        cell = Cell(row["epsg"], row["west"], row["south"], row["east"], row["north"])
        candidates = json.loads(row["candidates"])
        for layer in plan.layers:
            for one in (candidates.get(layer.name) or [[]])[0]:
                blocks = set(_blocks(cell, known[layer.name][one]))
                files.setdefault((row["task"], layer.name, one), set()).update(blocks)
    bands = {layer.name: _bands_read(layer) for layer in plan.layers}
    requests = sum(bands[name] * (1 + len(_rows(b))) for (_, name, _), b in files.items())
    pixels = sum(
        bands[name] * len(blocks) * _block_pixels(known[name][one])
        for (_, name, one), blocks in files.items()
    )
    return Estimate(
        requests=requests,
        read_bytes=pixels * _SOURCE_BYTES * _COMPRESSED,
        disk_bytes=len(todo) * sum(_patch_bytes(layer) for layer in plan.layers),
    )


def _bands_read(layer: LayerTask) -> int:
    quality = find_product(layer.schema.product).quality.band
    return len(layer.schema.bands) + (quality is not None)


def _blocks(cell: Cell, scene: Scene) -> Iterator[tuple[int, int]]:
    """Blocks of an assumed size that a cell touches in a scene's files."""
    asset = _first(scene.assets.values())
    if asset.transform is None or scene.epsg != cell.epsg:
        yield cell.epsg, hash((round(cell.west, -4), round(cell.south, -4)))
        return
    a, _, c, _, e, f = asset.transform
    cols = np.array([cell.west - c, cell.east - c - abs(a)]) / a // _BLOCK_PX
    rows = np.array([cell.north - f, cell.south - f + abs(e)]) / e // _BLOCK_PX
    for row in range(int(rows[0]), int(rows[1]) + 1):
        for col in range(int(cols[0]), int(cols[1]) + 1):
            yield row, col


def _rows(blocks: Iterable[tuple[int, int]]) -> set[int]:
    """Block rows: neighbors in a row are read by one request."""
    return {row for row, _ in blocks}


def _block_pixels(scene: Scene) -> int:
    shape = _first(scene.assets.values()).shape
    rows, cols = shape or (_BLOCK_PX, _BLOCK_PX)
    return min(rows, _BLOCK_PX) * min(cols, _BLOCK_PX)


def _first(assets: Iterable[Asset]) -> Asset:
    return next(iter(assets))


def _patch_bytes(layer: LayerTask) -> int:
    schema = layer.schema
    values = len(schema.bands) * np.dtype(schema.dtype).itemsize + 1
    return values * schema.size_px**2
