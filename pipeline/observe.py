"""See one observation on many cells: which pixels are usable, and their values."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from catalog.grid import Cell
from catalog.products import find_product
from catalog.scene import Asset, Scene
from pipeline.offsets import with_offset
from pipeline.read import Pixels
from pipeline.sources import Sources
from pipeline.task import LayerTask, encoding_shift
from pipeline.validity import RULES
from stores.schema import LayerSchema

_Scenes = tuple[Scene, ...]


@dataclass(frozen=True, slots=True)
class View:
    """What the quality of one observation says of one cell."""

    valid: npt.NDArray[np.bool_]
    """`(y, x)`, True = usable in some scene of the pass."""
    owner: npt.NDArray[np.int16]
    """`(y, x)`, the scene that each pixel is taken from; -1 where none has any."""

    @property
    def usable(self) -> float:
        """Usable fraction of the cell."""
        return float(self.valid.mean())

    @property
    def covered(self) -> float:
        """Fraction of the cell that any scene holds."""
        return float((self.owner >= 0).mean())


@dataclass(frozen=True, slots=True)
class Patch:
    """One layer of one sample, as stored."""

    pixels: npt.NDArray[np.generic]
    """`(band, y, x)` raw."""
    valid: npt.NDArray[np.bool_]
    """`(y, x)`, True = usable."""
    covered: float
    """Fraction of the cell that the sources hold, usable or not."""
    resampling: str
    """`'none'` if every band was pasted, else the method of the warp."""
    offset: str
    """Verdict on the offset of each scene, joined by `;`; `''` where none is needed."""


def view_cells(
    sources: Sources, layer: LayerTask, scenes: _Scenes, cells: Sequence[Cell]
) -> list[View]:
    """Judge an observation on many cells by its quality band, read once for all of them.

    Where scenes of the pass overlap, the first usable pixel counts, in order of time.
    """
    size = (layer.schema.size_px, layer.schema.size_px)
    valid = [np.zeros(size, dtype=bool) for _ in cells]
    owner = [np.full(size, -1, dtype=np.int16) for _ in cells]
    for number, scene in enumerate(scenes):
        for i, (usable, has_data) in enumerate(_judge(sources, layer.schema, scene, cells)):
            take = usable & ~valid[i]
            owner[i][take | (has_data & (owner[i] < 0))] = number
            valid[i] |= take
    return [View(v, o) for v, o in zip(valid, owner, strict=True)]


def read_patches(
    sources: Sources,
    layer: LayerSchema,
    scenes: _Scenes,
    cells: Sequence[Cell],
    views: Sequence[View],
) -> list[Patch]:
    """Read all bands of an observation on many cells, each file opened once."""
    shape = (len(layer.bands), layer.size_px, layer.size_px)
    pixels = [np.full(shape, layer.nodata, dtype=layer.dtype) for _ in cells]
    methods: list[set[str]] = [set() for _ in cells]
    verdicts = [sources.verdict(scene) for scene in scenes]
    trusted = [
        with_offset(s, v.offset) if v else s for s, v in zip(scenes, verdicts, strict=True)
    ]
    said = ";".join(str(v) for v in verdicts if v)
    for number, scene in enumerate(trusted):
        mine = [i for i, view in enumerate(views) if (view.owner == number).any()]
        if not mine:
            continue
        for b, band in enumerate(layer.bands):
            kind = find_product(layer.product).band(band.key).kind
            boxes = [cells[i].geobox(layer.gsd_m) for i in mine]
            placed = sources.place(scene, band.key, boxes, kind)
            for i, (values, method) in zip(mine, placed, strict=True):
                take = (views[i].owner == number) & values.has_data
                stored = _encode(values, scene.assets[band.key], layer)
                pixels[i][b][take] = stored[take]
                methods[i].add(method)
    return [
        _patch(layer, p, view, m, said)
        for p, view, m in zip(pixels, views, methods, strict=True)
    ]


def _judge(
    sources: Sources, layer: LayerSchema, scene: Scene, cells: Sequence[Cell]
) -> list[tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]]:
    """Per cell: which pixels are usable, and which hold anything."""
    product = find_product(layer.product)
    rule = RULES[product.quality.rule]
    key = product.quality.band or layer.bands[0].key
    boxes = [cell.geobox(layer.gsd_m) for cell in cells]
    judged = sources.place(scene, key, boxes, product.band(key).kind)
    return [
        (rule(_integers(values)) & values.has_data, values.has_data) for values, _ in judged
    ]


def _integers(pixels: Pixels) -> npt.NDArray[np.integer]:
    """Values as integers; 0 where there are none."""
    return np.where(pixels.has_data, pixels.values, 0).astype(np.int64)


def _encode(pixels: Pixels, asset: Asset, layer: LayerSchema) -> npt.NDArray[np.generic]:
    """Raw values of the file as raw values of the layer: an exact shift for integers.

    Interpolated integers are rounded, and clipped above nodata. Floats in physical units are
    rounded to the layer's step.
    """
    if layer.dtype == "float32":
        physical = pixels.values.astype(np.float64) * asset.scale + asset.offset
        return np.where(pixels.has_data, physical, np.nan).astype(np.float32)
    values = np.where(pixels.has_data, pixels.values, 0)
    if asset.scale == 1.0 and layer.scale != 1.0:
        shifted = np.rint((values + asset.offset - layer.offset) / layer.scale)
    else:
        shifted = np.rint(values) + encoding_shift(asset, layer)
    top = np.iinfo(layer.dtype).max
    return np.where(pixels.has_data, np.clip(shifted, 1, top), 0).astype(layer.dtype)


def _patch(
    layer: LayerSchema,
    pixels: npt.NDArray[np.generic],
    view: View,
    methods: set[str],
    offset: str,
) -> Patch:
    whole = np.isfinite(pixels) if layer.dtype == "float32" else pixels != 0
    has_all = whole.all(axis=0)
    warped = sorted(methods - {"none"})
    return Patch(
        pixels=pixels,
        valid=view.valid & has_all,
        covered=float(has_all.mean()),
        resampling=warped[0] if warped else "none",
        offset=offset,
    )
