"""Rendered pixels in the encoding of the real product."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from catalog.products import Band
from pipeline.sandbox.fields import Floats, PixelGrid
from pipeline.sandbox.schedule import Overpass

LARGEST_DN = 65455
"""Largest valid number of Landsat Collection 2, USGS LSDS-1619; no other product needs more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raster:
    """One band of one scene, as a file will hold it."""

    band: str
    """Band key of the product table."""
    values: NDArray[Any]
    """Raw values `(y, x)` in the file's own type."""
    grid: PixelGrid | None
    """Pixel grid in the sandbox's UTM zone; None if `affine` and `epsg` say otherwise."""
    nodata: float
    scale: float = 1.0
    offset: float = 0.0
    """`physical = raw * scale + offset`."""
    affine: Affine | None = None
    epsg: int | None = None

    @property
    def transform(self) -> Affine:
        """Affine from (column, row) to the coordinates of pixel corners."""
        if self.affine is not None:
            return self.affine
        if self.grid is None:
            raise ValueError(f"raster {self.band!r} has neither a grid nor an affine")
        return self.grid.transform


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """All bands of one scene."""

    overpass: Overpass
    rasters: tuple[Raster, ...]
    name: str = ""
    """Item id, if it is not the overpass's own."""
    cloud: float | None = None
    """Cloud fraction by the scene's own quality band."""


def encode(
    band: Band,
    physical: Floats,
    grid: PixelGrid,
    *,
    offset: float | None = None,
    covered: NDArray[np.bool_] | None = None,
) -> Raster:
    """Encode physical values as the product's integers, 0 where nothing was seen.

    Args:
        band: Row of the product table, whose source scale and offset are used.
        physical: Values in the band's unit, `(y, x)`.
        grid: Where they lie.
        offset: Offset of this scene, if it is not the table's.
        covered: False where the swath did not reach.
    """
    own_offset = band.source_offset if offset is None else offset
    raw = np.rint((physical - own_offset) / band.source_scale)
    values = np.clip(raw, 1, LARGEST_DN).astype(np.uint16)
    if covered is not None:
        values[~covered] = 0
    return Raster(
        band=band.key,
        values=values,
        grid=grid,
        nodata=0.0,
        scale=band.source_scale,
        offset=own_offset,
    )
