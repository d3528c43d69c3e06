"""See one observation on many cells: which pixels are usable, and their values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox

from catalog.grid import Cell
from catalog.products import find_product
from catalog.scene import Asset, Scene
from pipeline.dilate import dilate_unusable, margin_px
from pipeline.harmonize import BandChange, plan_changes
from pipeline.nbar import Angles
from pipeline.offsets import with_offset
from pipeline.place import UNMOVED, Shift
from pipeline.read import Pixels
from pipeline.sources import Sources
from pipeline.task import LayerTask, encoding_shift
from pipeline.validity import RULES, SNOW, above_noise
from stores.schema import LayerSchema

_Scenes = tuple[Scene, ...]
Floats = npt.NDArray[np.floating[Any]]


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
    changes: str = ""
    """What was done to make it comparable, done already or refused, joined by `;`."""


def view_cells(
    sources: Sources,
    layer: LayerTask,
    scenes: _Scenes,
    cells: Sequence[Cell],
    shift_m: Shift = UNMOVED,
) -> list[View]:
    """Judge an observation on many cells by its quality band, read once for all of them.

    Where scenes of the pass overlap, the first usable pixel counts, in order of time. Clouds
    beyond a cell's edge widen into it where the layer asks for it.

    Args:
        sources: What the task reads from.
        layer: Of the observation.
        scenes: Of the pass, in order of time.
        cells: To be judged.
        shift_m: Metres east and north by which the pass lies off.
    """
    radius_m, gsd_m = layer.treatment.dilate_m, layer.schema.gsd_m
    margin = margin_px(radius_m=radius_m, gsd_m=gsd_m)
    side = layer.schema.size_px + 2 * margin
    valid = [np.zeros((side, side), dtype=bool) for _ in cells]
    owner = [np.full((side, side), -1, dtype=np.int16) for _ in cells]
    boxes = [cell.geobox(gsd_m).pad(margin) if margin else cell.geobox(gsd_m) for cell in cells]
    for number, scene in enumerate(scenes):
        for i, (usable, has_data) in enumerate(_judge(sources, layer, scene, boxes, shift_m)):
            take = usable & ~valid[i]
            owner[i][take | (has_data & (owner[i] < 0))] = number
            valid[i] |= take
    if not margin:
        return [View(v, o) for v, o in zip(valid, owner, strict=True)]
    inner = slice(margin, side - margin)
    return [
        View((v & _far_from_masked(v, o, radius_m, gsd_m))[inner, inner], o[inner, inner])
        for v, o in zip(valid, owner, strict=True)
    ]


def _far_from_masked(
    valid: npt.NDArray[np.bool_], owner: npt.NDArray[np.int16], radius_m: float, gsd_m: float
) -> npt.NDArray[np.bool_]:
    """True away from what is there but masked; where nothing is there, nothing spreads."""
    return dilate_unusable(valid | (owner < 0), radius_m=radius_m, gsd_m=gsd_m)


def read_patches(
    sources: Sources,
    task: LayerTask,
    scenes: _Scenes,
    cells: Sequence[Cell],
    views: Sequence[View],
    shift_m: Shift = UNMOVED,
) -> list[Patch]:
    """Read all bands of an observation on many cells, each file opened once.

    Args:
        sources: What the task reads from.
        task: The layer, and what to do to its pixels.
        scenes: Of the pass, in order of time.
        cells: To be read.
        views: Of the cells, judged under the same shift.
        shift_m: Metres east and north by which the pass lies off; part of the one resampling.
    """
    layer = task.schema
    shape = (len(layer.bands), layer.size_px, layer.size_px)
    pixels = [np.full(shape, layer.nodata, dtype=layer.dtype) for _ in cells]
    methods: list[set[str]] = [set() for _ in cells]
    words: list[list[str]] = [[] for _ in cells]
    verdicts = [sources.verdict(scene) for scene in scenes]
    trusted = [
        with_offset(s, v.offset) if v else s for s, v in zip(scenes, verdicts, strict=True)
    ]
    said = ";".join(str(v) for v in verdicts if v)
    for number, scene in enumerate(trusted):
        mine = [i for i, view in enumerate(views) if (view.owner == number).any()]
        if not mine:
            continue
        changes = _changes(task, scene)
        for i in mine:
            words[i] += [word for change in changes.values() for word in change.words]
        for b, band in enumerate(layer.bands):
            kind = find_product(layer.product).band(band.key).kind
            boxes = [cells[i].geobox(layer.gsd_m) for i in mine]
            placed = sources.place(scene, band.key, boxes, kind, shift_m)
            for i, (values, method) in zip(mine, placed, strict=True):
                take = (views[i].owner == number) & values.has_data
                change = changes.get(band.key, _NO_CHANGE)
                stored = _encode(values, scene.assets[band.key], layer, change)
                pixels[i][b][take] = stored[take]
                methods[i].add(method)
    return [
        _patch(layer, p, view, m, (said, ";".join(dict.fromkeys(w))))
        for p, view, m, w in zip(pixels, views, methods, words, strict=True)
    ]


_NO_CHANGE = BandChange()


def _changes(task: LayerTask, scene: Scene) -> dict[str, BandChange]:
    """What the layer's wish does to the reflectance bands of one scene."""
    wish = task.treatment.wish
    keys = [band.key for band in task.schema.bands if band.kind == "reflectance"]
    if wish.like is None and wish.nadir_sun_zenith_deg is None:
        return {}
    return plan_changes(scene.product, scene.platform, keys, wish, _angles(scene))


def _angles(scene: Scene) -> Angles | None:
    """Angles of a whole scene; what its item does not say is NaN."""
    if scene.angles is None:
        return None
    said = scene.angles
    sun_zenith, sun_azimuth, view_zenith, view_azimuth = (
        np.nan if one is None else one
        for one in (said.sun_zenith, said.sun_azimuth, said.view_zenith, said.view_azimuth)
    )
    return Angles(
        sun_zenith_deg=sun_zenith,
        sun_azimuth_deg=sun_azimuth,
        view_zenith_deg=view_zenith,
        view_azimuth_deg=view_azimuth,
    )


def _judge(
    sources: Sources,
    layer: LayerTask,
    scene: Scene,
    boxes: Sequence[GeoBox],
    shift_m: Shift,
) -> list[tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]]:
    """Per cell: which pixels are usable, and which hold anything."""
    product = find_product(layer.schema.product)
    key = product.quality.band or layer.schema.bands[0].key
    judged = sources.place(scene, key, boxes, product.band(key).kind, shift_m)
    return [
        (_usable(values, scene.assets[key], layer) & values.has_data, values.has_data)
        for values, _ in judged
    ]


def _usable(pixels: Pixels, asset: Asset, layer: LayerTask) -> npt.NDArray[np.bool_]:
    """Judge the pixels of a quality band, or of the first band where there is none."""
    rule, treatment = find_product(layer.schema.product).quality.rule, layer.treatment
    raw = _integers(pixels)
    usable = RULES[rule](raw)
    if treatment.snow == "unusable" and rule in SNOW:
        usable = usable & ~SNOW[rule](raw)
    if treatment.noise_floor_db is not None:
        power = np.where(pixels.has_data, pixels.values, np.nan) * asset.scale + asset.offset
        usable = usable & above_noise(power, treatment.noise_floor_db)
    return usable


def _integers(pixels: Pixels) -> npt.NDArray[np.integer]:
    """Values as integers; 0 where there are none."""
    return np.where(pixels.has_data, pixels.values, 0).astype(np.int64)


def _encode(
    pixels: Pixels, asset: Asset, layer: LayerSchema, change: BandChange
) -> npt.NDArray[np.generic]:
    """Raw values of the file as raw values of the layer: an exact shift for integers.

    Interpolated integers are rounded, and clipped above nodata. Floats in physical units are
    rounded to the layer's step. Reflectance that changes on the way is rounded once, too.
    """
    if layer.dtype == "float32":
        physical: Floats = pixels.values.astype(np.float64) * asset.scale + asset.offset
        physical = change.of(physical) if change.changes else physical
        return np.where(pixels.has_data, physical, np.nan).astype(np.float32)
    values = np.where(pixels.has_data, pixels.values, 0)
    if change.changes:
        physical = change.of(values.astype(np.float64) * asset.scale + asset.offset)
        shifted = np.rint((physical - layer.offset) / layer.scale)
    elif asset.scale == 1.0 and layer.scale != 1.0:
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
    said: tuple[str, str],
) -> Patch:
    whole = np.isfinite(pixels) if layer.dtype == "float32" else pixels != 0
    has_all = whole.all(axis=0)
    warped = sorted(methods - {"none"})
    return Patch(
        pixels=pixels,
        valid=view.valid & has_all,
        covered=float(has_all.mean()),
        resampling=warped[0] if warped else "none",
        offset=said[0],
        changes=said[1],
    )
