"""A sharpened map and what the model saw of the same ground, on grids that nest."""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import rasterio

from catalog.errors import StoreError
from stores.patch_store import PatchStore
from stores.report.pictures import Floats
from training.canvas import Canvas, join_cells
from training.inputs import Inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class MapPair:
    """Input and output of a prediction over the same ground, physical units, NaN = no data."""

    condition: Floats
    """`(band, y, x)` on the coarse grid."""
    sharpened: Floats
    """`(band, y * ratio, x * ratio)`."""
    bands: tuple[str, ...]
    """Band keys of both."""
    ratio: int
    gsd_m: float
    """Pixel size of `sharpened`, meters."""
    crs: str
    anchor_time: datetime
    product: str
    """What the map is, as `predict` names it."""
    cells: int
    """Cells under the map."""
    train_cells: int
    """Those of them that lie in the train split."""


def read_map_pair(map_tif: str | Path, store: PatchStore, inputs: Inputs) -> MapPair:
    """Return a map that `predict` wrote, with the condition that it was made from.

    Args:
        map_tif: The map; its tags name the anchor.
        store: Store that it was predicted from.
        inputs: Layers and bands of the model.

    Raises:
        StoreError: If the map has no anchor, or the store's cells do not lie under it.
    """
    with rasterio.open(map_tif) as source:
        sharpened = source.read(masked=True).filled(np.nan).astype(np.float32)
        tags, crs, bounds = source.tags(), source.crs.to_string(), source.bounds
        gsd_m, names = float(source.res[0]), source.descriptions
    if "anchor_time" not in tags:
        raise StoreError(f"{map_tif} names no anchor_time; write it with `geoloupe predict`")
    anchor = datetime.fromisoformat(tags["anchor_time"])
    canvas = join_cells(store, replace(inputs, extras=(), bands=tuple(names)), anchor)
    _check_extent(map_tif, canvas, tuple(bounds))
    image = canvas.images[inputs.condition]
    return MapPair(
        condition=np.where(image.valid, image.pixels, np.float32("nan")),
        sharpened=sharpened,
        bands=tuple(names),
        ratio=round(canvas.gsd_m / gsd_m),
        gsd_m=gsd_m,
        crs=crs,
        anchor_time=anchor,
        product=tags.get("product", "map"),
        cells=int(canvas.rows["cell_id"].nunique()),
        train_cells=int(canvas.rows.loc[canvas.rows["split"] == "train", "cell_id"].nunique()),
    )


def _check_extent(
    map_tif: str | Path, canvas: Canvas, bounds: tuple[float, float, float, float]
) -> None:
    rows, columns = canvas.shape
    east, south = canvas.west + columns * canvas.gsd_m, canvas.north - rows * canvas.gsd_m
    if not np.allclose(bounds, (canvas.west, south, east, canvas.north)):
        raise StoreError(
            f"{map_tif} covers {bounds}, the store's cells of {canvas.anchor_time.isoformat()} "
            f"cover {(canvas.west, south, east, canvas.north)}; give the store it was made from"
        )
