"""What a plan is expected to cost: requests, bytes read, disk."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from math import prod
from typing import Any

import numpy as np
from pyproj import CRS

from catalog.grid import Cell
from catalog.products import find_product
from catalog.scene import Scene
from pipeline.offsets import witness_of
from pipeline.plan import Plan
from pipeline.read import GLANCE_PX
from pipeline.task import LayerTask

_OPENING = 2
"""Requests that opening one file takes: its size, then its header."""
_BLOCK_PX = 512
"""Block size assumed before a file is opened; COGs of the archives use 256 to 1024."""
_TASKS = 64
"""A plan of many tasks is judged by about so many of them, spread evenly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Expected cost of a build.

    A cell counts as clear with the probability that the cloud fraction of the scene's item
    suggests: a cloudy candidate costs its quality band, and seldom its pixels.
    """

    requests: int
    """Two to open each file, one for each row of its blocks, as over HTTP, and one for a glance
    at a scene whose offset is verified; for Earth Engine one for each task and scene."""
    read_bytes: float
    """Decoded bytes of the blocks that are read; what travels is compressed, and smaller."""
    disk_bytes: float
    """Uncompressed size of the patches and their validity; the store is smaller."""


@dataclass(frozen=True, slots=True)
class _Visit:
    """One cell that may be looked up in one scene."""

    cell: Cell
    judged: float
    """Probability that the scene's quality is read for the cell."""
    taken: float
    """Probability that its pixels are."""


@dataclass(frozen=True, slots=True)
class _Raster:
    """A file of a scene, as far as its cost goes."""

    transform: tuple[float, ...]
    shape: tuple[int, int]
    geographic: bool
    """Whether its coordinates are degrees."""
    pixel_bytes: int
    judges: bool
    """Whether it is read to judge a scene, or for the pixels of one that was chosen."""


@dataclass(slots=True)
class _Spared:
    """Probability that a file, and each row and each block of it, is not read."""

    file: float = 1.0
    rows: dict[int, float] = field(default_factory=lambda: defaultdict(lambda: 1.0))
    blocks: dict[tuple[int, int], float] = field(
        default_factory=lambda: defaultdict(lambda: 1.0)
    )


def estimate_plan(plan: Plan) -> Estimate:
    """Return what building a plan is expected to cost."""
    task = plan.samples["task"].to_numpy()
    step = max(1, plan.n_tasks // _TASKS)
    rows = plan.samples.filter((task >= 0) & (task % step == 0)).to_pylist()
    requests = read_bytes = 0.0
    for layer, scene, visits in _visits(plan, rows):
        if scene.access == "earth-engine":
            requests += 1 - prod(1 - visit.judged for visit in visits)
            read_bytes += _patch_bytes(layer) * sum(visit.judged for visit in visits)
            continue
        taken = 1 - prod(1 - visit.taken for visit in visits)
        for size in _glances(scene):
            requests += (_OPENING + 1) * taken
            read_bytes += size * taken
        for raster, count in _rasters(layer, scene).items():
            spared = _spare(raster, visits)
            runs = sum(1 - p for p in spared.rows.values())
            requests += count * (_OPENING * (1 - spared.file) + runs)
            read_bytes += count * raster.pixel_bytes * _pixels_read(raster, spared)
    scale = plan.n_tasks / max(1, len(range(0, plan.n_tasks, step)))
    patches = np.count_nonzero(task >= 0)
    return Estimate(
        requests=round(requests * scale),
        read_bytes=read_bytes * scale,
        disk_bytes=float(patches * sum(_patch_bytes(layer) for layer in plan.layers)),
    )


def _glances(scene: Scene) -> list[int]:
    """Bytes of each glance at a scene whose offset is verified; none where it is not."""
    witness = witness_of(scene)
    if witness is None:
        return []
    return [
        bytes_each * min(GLANCE_PX**2, prod(scene.assets[key].shape or (GLANCE_PX, GLANCE_PX)))
        for key, bytes_each in ((witness, 2), ("scl", 1))
    ]


def _visits(
    plan: Plan, rows: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[LayerTask, Scene, Sequence[_Visit]]]:
    """Yield, for each task, layer and scene, the cells that may be looked up in it."""
    known = {layer: {s.id: s for s in listed} for layer, listed in plan.scenes.items()}
    visits: dict[tuple[int, str, str], list[_Visit]] = defaultdict(list)
    for row in rows:
        cell = Cell(row["epsg"], row["west"], row["south"], row["east"], row["north"])
        candidates = json.loads(row["candidates"])
        passes = {
            layer.name: [
                tuple(known[layer.name][one] for one in ids)
                for ids in candidates.get(layer.name, ())
            ]
            for layer in plan.layers
        }
        for name, scene, judged, taken in _chances(plan.layers, passes):
            visits[row["task"], name, scene].append(_Visit(cell, judged, taken))
    layers = {layer.name: layer for layer in plan.layers}
    for (_, name, one), listed in visits.items():
        yield layers[name], known[name][one], listed


def _chances(
    layers: Sequence[LayerTask], passes: Mapping[str, Sequence[tuple[Scene, ...]]]
) -> Iterator[tuple[str, str, float, float]]:
    """Yield layer, scene id, and the probabilities that it is judged and that it is taken.

    Candidates are tried in order; layers too, and a required one that fails ends it.
    """
    clear = {layer.name: [_clear(scenes) for scenes in passes[layer.name]] for layer in layers}
    found = {
        layer.name: 1 - prod(1 - p for p in clear[layer.name]) if layer.required else 1.0
        for layer in layers
    }
    complete = prod(found.values())
    begun = 1.0
    for layer in layers:
        reached = 1.0
        others = complete / found[layer.name] if found[layer.name] else 0.0
        for scenes, p in zip(passes[layer.name], clear[layer.name], strict=True):
            for scene in scenes:
                yield layer.name, scene.id, begun * reached, others * reached * p
            reached *= 1 - p
        begun *= found[layer.name]


def _clear(scenes: Sequence[Scene]) -> float:
    """Probability that a cell is clear; 1 where no item says."""
    stated = [scene.cloud for scene in scenes if scene.cloud is not None]
    return 1.0 - min(stated, default=0.0)


def _rasters(layer: LayerTask, scene: Scene) -> Counter[_Raster]:
    """Files of a scene that a layer needs, those of one grid and role counted together."""
    described = find_product(layer.schema.product)
    judge = described.quality.band or layer.schema.bands[0].key
    keys = dict.fromkeys([judge, *layer.schema.band_keys])
    rasters: Counter[_Raster] = Counter()
    for key in keys:
        asset, band = scene.assets[key], described.band(key)
        gsd = band.gsd_m
        rasters[
            _Raster(
                asset.transform or (gsd, 0.0, 0.0, 0.0, -gsd, 0.0),
                asset.shape or (_BLOCK_PX, _BLOCK_PX),
                asset.transform is not None and _is_geographic(scene.epsg),
                np.dtype(band.encoding.dtype).itemsize,
                key == judge,
            )
        ] += 1
    return rasters


@lru_cache
def _is_geographic(epsg: int | None) -> bool:
    return epsg is not None and bool(CRS.from_epsg(epsg).is_geographic)


def _spare(raster: _Raster, visits: Sequence[_Visit]) -> _Spared:
    spared = _Spared()
    for visit in visits:
        kept = 1 - (visit.judged if raster.judges else visit.taken)
        rows, cols = _blocks(raster, visit.cell)
        spared.file *= kept
        for row in rows:
            spared.rows[row] *= kept
        for place in product(rows, cols):
            spared.blocks[place] *= kept
    return spared


def _blocks(raster: _Raster, cell: Cell) -> tuple[range, range]:
    """Rows and columns of blocks that a cell touches.

    A scene in another projection is taken to lie under the cell as if it were in the cell's:
    where the blocks begin differs, how many there are hardly does.
    """
    a, _, c, _, e, f = raster.transform
    metres = (cell.west, cell.south, cell.east, cell.north)
    west, south, east, north = cell.footprint.bounds if raster.geographic else metres
    first_col, last_col = (west - c) / a, (east - c) / a
    first_row, last_row = (north - f) / e, (south - f) / e
    return _span(first_row, last_row), _span(first_col, last_col)


def _span(first_px: float, end_px: float) -> range:
    return range(int(first_px // _BLOCK_PX), int(np.ceil(end_px / _BLOCK_PX)))


def _pixels_read(raster: _Raster, spared: _Spared) -> float:
    rows, cols = (min(size, _BLOCK_PX) for size in raster.shape)
    return rows * cols * sum(1 - p for p in spared.blocks.values())


def _patch_bytes(layer: LayerTask) -> int:
    schema = layer.schema
    values = len(schema.bands) * np.dtype(schema.dtype).itemsize + 1
    return values * schema.size_px**2
