"""One anchor's neighboring cells, joined into one image per layer."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from affine import Affine

from catalog.errors import StoreError
from stores.patch_store import PatchStore
from stores.schema import LayerSchema
from training.batch import Condition, Layer, fill_nearest, season_of
from training.inputs import Inputs
from training.mosaic import Tile

READ_AT_ONCE = 64
"""Patches that are read and pasted together."""
MOST_BYTES = 16e9
"""Memory that the images of a canvas may take."""

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Image:
    """One layer over the whole canvas."""

    pixels: Floats
    """`(band, y, x)`, physical units; finite everywhere."""
    valid: Bools
    """`(y, x)`, True = usable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """All layers of one anchor over the rectangle that holds its cells."""

    anchor_time: datetime
    rows: pd.DataFrame
    """Rows of the store's index: the cells that were joined."""
    epsg: int
    west: float
    north: float
    """Upper left corner, meters of the CRS."""
    gsd_m: float
    """Of the condition layer."""
    images: Mapping[str, Image]
    """Layer name -> image. The condition's unusable pixels hold the nearest usable value."""
    gsds_m: Mapping[str, float]
    """Layer name -> pixel size."""
    inputs: Inputs

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the condition."""
        valid = self.images[self.inputs.condition].valid
        return valid.shape[0], valid.shape[1]

    def transform(self, gsd_m: float) -> Affine:
        """Return the pixel grid of this size on the canvas."""
        return Affine(gsd_m, 0, self.west, 0, -gsd_m, self.north)

    def condition(self, tile: Tile) -> Condition:
        """Return what a model sees of a tile, a batch of one."""
        name = self.inputs.condition
        times = self.rows[f"{name}_time"]
        return Condition(
            image=self._cut(name, tile),
            season=torch.from_numpy(season_of([times.iloc[0]])),
            extras={extra: self._cut(extra, tile) for extra in self.inputs.extras},
        )

    def _cut(self, name: str, tile: Tile) -> Layer:
        factor = self.gsd_m / self.gsds_m[name]
        rows, cols = (
            slice(round(part.start * factor), round(part.stop * factor))
            for part in (tile.rows, tile.cols)
        )
        image = self.images[name]
        return Layer(
            pixels=torch.from_numpy(image.pixels[None, :, rows, cols]),
            valid=torch.from_numpy(image.valid[None, None, rows, cols]),
        )


def join_cells(store: PatchStore, inputs: Inputs, anchor: datetime | None) -> Canvas:
    """Return the cells of one anchor as one canvas.

    Args:
        store: Where the cells are.
        inputs: Layers to join: the condition and the extra layers.
        anchor: Time of the anchor; None takes the one with most cells, then the latest.

    Raises:
        StoreError: If the store has no such anchor, or its cells lie in several UTM zones.
    """
    rows = _rows_of(store, inputs, anchor)
    zones = sorted(rows["epsg"].unique())
    if len(zones) > 1:
        raise StoreError(
            f"anchor {rows['anchor_time'].iloc[0].isoformat()} has cells in several zones, "
            f"EPSG {', '.join(map(str, zones))}: one map has one CRS; build a store per zone"
        )
    west, north = float(rows["west"].min()), float(rows["north"].max())
    size_m = (float(rows["east"].max()) - west, north - float(rows["south"].min()))
    names = (inputs.condition, *inputs.extras)
    layers = {name: store.schema.layer(name) for name in names}
    _check_size(layers.values(), size_m)
    seen = layers[inputs.condition]
    keys = dict.fromkeys(names, inputs.bands) | {n: layers[n].band_keys for n in inputs.extras}
    images = {
        name: _paste(store, layer, keys[name], rows, (west, north, *size_m))
        for name, layer in layers.items()
    }
    image = images[inputs.condition]
    images[inputs.condition] = Image(fill_nearest(image.pixels, image.valid), image.valid)
    return Canvas(
        anchor_time=rows["anchor_time"].iloc[0].to_pydatetime(),
        rows=rows,
        epsg=int(zones[0]),
        west=west,
        north=north,
        gsd_m=seen.gsd_m,
        images=images,
        gsds_m={name: layer.gsd_m for name, layer in layers.items()},
        inputs=inputs,
    )


def _rows_of(store: PatchStore, inputs: Inputs, anchor: datetime | None) -> pd.DataFrame:
    kept = pd.DataFrame(store.select())
    kept = kept[kept[f"{inputs.condition}_present"]]
    counts = kept.groupby("anchor_time").size().sort_index()
    if counts.empty:
        raise StoreError(f"the store has no sample with layer {inputs.condition!r}")
    chosen = (
        counts.index[counts == counts.max()][-1] if anchor is None else pd.Timestamp(anchor)
    )
    if chosen not in counts.index:
        chosen = _anchor_of_day(pd.DatetimeIndex(counts.index), chosen)
    return kept[kept["anchor_time"] == chosen].reset_index(drop=True)


def _anchor_of_day(anchors: pd.DatetimeIndex, wanted: pd.Timestamp) -> pd.Timestamp:
    """Return the one anchor on the day of `wanted`; days are easier to type than seconds."""
    same_day = anchors[anchors.normalize() == wanted.normalize()]
    if len(same_day) == 1 and wanted == wanted.normalize():
        return same_day[0]
    nearest = anchors[np.argsort(np.abs(anchors - wanted))[:5]].sort_values()
    known = ", ".join(f"{time:%Y-%m-%dT%H:%M:%S}" for time in nearest)
    raise StoreError(
        f"the store has no anchor at {wanted:%Y-%m-%dT%H:%M:%S}; of its {len(anchors)}, the "
        f"nearest are {known}"
    )


def _check_size(layers: Collection[LayerSchema], size_m: tuple[float, float]) -> None:
    area = size_m[0] * size_m[1]
    wanted = sum(area / layer.gsd_m**2 * (4 * len(layer.bands) + 1) for layer in layers)
    if wanted > MOST_BYTES:
        raise StoreError(
            f"the anchor's cells span {size_m[0] / 1e3:.0f} x {size_m[1] / 1e3:.0f} km, which "
            f"takes {wanted / 1e9:.0f} GB as one map; at most {MOST_BYTES / 1e9:.0f} GB of "
            "memory are used: predict from stores of smaller areas"
        )


def _paste(
    store: PatchStore,
    layer: LayerSchema,
    keys: Sequence[str],
    rows: pd.DataFrame,
    frame: tuple[float, float, float, float],
) -> Image:
    """Paste a layer's patches; where cells overlap, the first usable pixel stays.

    `frame` is the canvas: west, north, width and height in meters.
    """
    west, north, width, height = (length / layer.gsd_m for length in frame)
    side, order = layer.size_px, [layer.band_keys.index(key) for key in keys]
    pixels = np.zeros((len(keys), round(height), round(width)), np.float32)
    valid = np.zeros(pixels.shape[1:], bool)
    lefts = np.rint(rows["west"].to_numpy() / layer.gsd_m - west).astype(int)
    tops = np.rint(north - rows["north"].to_numpy() / layer.gsd_m).astype(int)
    for start in range(0, len(rows), READ_AT_ONCE):
        part = slice(start, start + READ_AT_ONCE)
        patches = store.read(layer.name, rows["slot"].to_numpy()[part])
        physical = layer.to_physical(patches.raw[:, order], patches.valid)
        usable = patches.valid & np.isfinite(physical).all(axis=1)
        for image, good, top, left in zip(
            physical, usable, tops[part], lefts[part], strict=True
        ):
            window = (slice(top, top + side), slice(left, left + side))
            new = good & ~valid[window]
            pixels[:, *window] = np.where(new, image, pixels[:, *window])
            valid[window] |= new
    return Image(pixels, valid)
