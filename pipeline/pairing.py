"""Pairs of passes of one task: how far a companion lies off its anchor, and whether they agree.

What is compared is the ground that both show, on the coarser of their grids.
"""

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog.grid import Cell
from catalog.products import find_product
from catalog.scene import Scene
from pipeline.coregister import MOST_PX, PairShift, choose_clearest, coregister
from pipeline.haze import VISIBLE, HazeCheck, check_haze
from pipeline.observe import Patch, View
from pipeline.shift_windows import ImagePair
from pipeline.sources import Sources
from pipeline.task import LayerTask
from pipeline.treatment import Registration
from stores.schema import LayerSchema

_WITNESSES = ("red", "nir", "green", "swir1", "blue", "swir2")
"""Bands in which fields differ, the best first."""
_MOST_BANDS = 4
_INSTEAD: Mapping[str, str] = {"nir": "nir_narrow"}
"""Where a layer holds it, the band that looks more like the other sensor's."""

Floats = npt.NDArray[np.floating[Any]]
Valid = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two passes of a pair, on the cells of a task."""

    layer: LayerTask
    scenes: tuple[Scene, ...]
    views: Sequence[View]
    """One per cell."""


def common_bands(first: LayerSchema, second: LayerSchema) -> list[tuple[str, str]]:
    """Return the reflectance bands that tell a shift between two layers, the best first.

    Returns:
        Pairs of band keys, of the first and of the second layer.
    """
    held = [
        {b.key for b in layer.bands if b.kind == "reflectance"} for layer in (first, second)
    ]
    return shared_witnesses(held[0], held[1])


def shared_witnesses(
    first: AbstractSet[str], second: AbstractSet[str]
) -> list[tuple[str, str]]:
    """Return pairs of the reflectance bands of two layers that show a shift, the best first.

    Example:
        >>> shared_witnesses({"red", "nir"}, {"blue", "nir", "nir_narrow"})
        [('nir', 'nir_narrow')]
    """
    held, found = (first, second), []
    for key in _WITNESSES:
        names = [_INSTEAD[key] if _INSTEAD.get(key) in keys else key for keys in held]
        if names[0] in held[0] and names[1] in held[1]:
            found.append((names[0], names[1]))
    return found[:_MOST_BANDS]


def measure_pair(
    sources: Sources,
    cells: Sequence[Cell],
    anchor: Side,
    companion: Side,
    registration: Registration,
) -> PairShift:
    """Measure how far a companion's pass lies off its anchor's, from the clearest cells.

    Bands are read where they are stored, without correction; the blocks stay in the cache
    for the placement that follows. Metres are rounded to centimetres, so that the last bits
    of a sum never decide a pixel.

    Raises:
        SourceUnreadable: If a band cannot be read.
    """
    keys = common_bands(anchor.layer.schema, companion.layer.schema)
    gsd_m = coarse_gsd(anchor.layer.schema, companion.layer.schema, cells[0], keys)
    boxes = [cell.geobox(gsd_m) for cell in cells]
    clear = [
        (_coarse_valid(a.valid, box.shape.yx), _coarse_valid(c.valid, box.shape.yx))
        for a, c, box in zip(anchor.views, companion.views, boxes, strict=True)
    ]
    shares = [float((a & c).mean()) for a, c in clear]
    chosen = choose_clearest(shares, [a.size for a, _ in clear], most_px=MOST_PX)
    places = [cells[i] for i in chosen]
    first = _coarse_images(sources, anchor, [a for a, _ in keys], places, gsd_m)
    second = _coarse_images(sources, companion, [c for _, c in keys], places, gsd_m)
    pairs = [
        ImagePair(
            anchor=a,
            anchor_valid=clear[i][0] & np.isfinite(a).all(axis=0),
            companion=c,
            companion_valid=clear[i][1] & np.isfinite(c).all(axis=0),
        )
        for i, a, c in zip(chosen, first, second, strict=True)
    ]
    found = coregister(pairs, gsd_m=gsd_m, acceptance=registration.acceptance)
    return replace(found, east_m=round(found.east_m, 2), north_m=round(found.north_m, 2))


def coarse_gsd(
    first: LayerSchema, second: LayerSchema, cell: Cell, keys: Sequence[tuple[str, str]]
) -> float:
    """Return the pixel size that both layers really have in common bands, metres.

    A layer stored finer than its sensor sees tells nothing more.
    """
    sizes = [first.gsd_m, second.gsd_m]
    products = (find_product(first.product), find_product(second.product))
    seen = [
        float(product.band(pair[side]).gsd_m)
        for pair in keys[:2]
        for side, product in enumerate(products)
    ]
    finest, coarsest = max(sizes), max((*sizes, *seen))
    count = (cell.east - cell.west) / coarsest
    return coarsest if math.isclose(count, round(count), abs_tol=1e-6) else finest


def check_pair(
    anchor: tuple[LayerSchema, Patch],
    companion: tuple[LayerSchema, Patch],
    gap: timedelta,
) -> HazeCheck | None:
    """Compare two stored patches of one cell in the visible; None if they do not hold it."""
    schemas = (anchor[0], companion[0])
    if not all(set(VISIBLE) <= {b.key for b in schema.bands} for schema in schemas):
        return None
    count = min(schema.size_px for schema in schemas)
    seen = [_coarse_visible(schema, patch, count) for schema, patch in (anchor, companion)]
    return check_haze(
        seen[0][0],
        seen[1][0],
        seen[0][1] & seen[1][1],
        gap_days=gap / timedelta(days=1),
    )


def _coarse_images(
    sources: Sources, side: Side, keys: Sequence[str], cells: Sequence[Cell], gsd_m: float
) -> list[Floats]:
    """Reflectance `(band, y, x)` of each cell, NaN where no scene of the pass has any."""
    boxes = [cell.geobox(gsd_m) for cell in cells]
    images = [np.full((len(keys), *box.shape), np.nan) for box in boxes]
    for scene in side.scenes:
        for b, key in enumerate(keys):
            asset = scene.assets[key]
            for image, (pixels, _) in zip(
                images, sources.place(scene, key, boxes, "reflectance"), strict=True
            ):
                take = pixels.has_data & np.isnan(image[b])
                image[b][take] = pixels.values[take] * asset.scale + asset.offset
    return images


def _coarse_valid(valid: Valid, shape: tuple[int, int]) -> Valid:
    """Usable where all pixels of a coarse one are; where none fits, where its center is."""
    return np.asarray(_coarsen(valid.astype(np.float32), shape) > 0.999)


def _coarse_visible(
    schema: LayerSchema, patch: Patch, count: int
) -> tuple[dict[str, Floats], Valid]:
    """Reflectance of the visible bands and validity on `count` by `count` pixels."""
    keys = [band.key for band in schema.bands]
    raw = {key: patch.pixels[keys.index(key)].astype(np.float64) for key in VISIBLE}
    shape = (count, count)
    return (
        {
            key: _coarsen(values * schema.scale + schema.offset, shape)
            for key, values in raw.items()
        },
        _coarse_valid(patch.valid, shape),
    )


def _coarsen(values: Floats, shape: tuple[int, int]) -> Floats:
    """Means of whole blocks of pixels, or the pixels nearest to the new centers."""
    rows, columns = shape
    if values.shape[0] % rows == 0 and values.shape[1] % columns == 0:
        blocks = values.reshape(rows, values.shape[0] // rows, columns, -1)
        return np.asarray(blocks.mean(axis=(1, 3)))
    at = [
        ((np.arange(n) + 0.5) * size / n).astype(int)
        for n, size in zip(shape, values.shape, strict=True)
    ]
    return values[np.ix_(*at)]
