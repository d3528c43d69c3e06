"""Put source pixels on a cell: pasted where the grids agree, warped once where they do not."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from affine import Affine
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.warp import reproject, transform_bounds

from catalog.errors import GridError
from catalog.products import Kind
from pipeline.read import Pixels, SourceGrid, Window

_ALIGNED_PX = 0.01
"""Grids closer than this many pixels are the same grid."""
_KERNEL_PX = 3
"""Source pixels that a cubic kernel needs beyond the target's edge."""

REFINING: Mapping[Kind, Resampling] = MappingProxyType(
    {
        "reflectance": Resampling.cubic,
        "temperature": Resampling.cubic,
        "elevation": Resampling.cubic,
        "backscatter": Resampling.bilinear,
        "probability": Resampling.bilinear,
        "atmosphere": Resampling.bilinear,
        "class": Resampling.nearest,
        "quality": Resampling.nearest,
    }
)
"""Method by kind of band, unless pixels become at least twice as coarse."""


def source_window(grid: SourceGrid, geobox: GeoBox) -> Window:
    """Return the window of a file that a cell needs, kernel included.

    Exactly the cell's own pixels where the grids agree.
    """
    pasted = pasted_window(grid, geobox)
    if pasted is not None:
        return pasted
    west, south, east, north = transform_bounds(
        _crs(geobox).to_wkt(), f"EPSG:{grid.epsg}", *geobox.boundingbox, densify_pts=21
    )
    inverse = ~grid.transform
    corners = [inverse @ (x, y) for x in (west, east) for y in (south, north)]
    cols, rows = zip(*corners, strict=True)
    halo = _KERNEL_PX * max(1.0, _coarsening(grid, geobox))
    top = max(int(np.floor(min(rows) - halo)), 0)
    left = max(int(np.floor(min(cols) - halo)), 0)
    bottom = min(int(np.ceil(max(rows) + halo)), grid.shape[0])
    right = min(int(np.ceil(max(cols) + halo)), grid.shape[1])
    return Window(top, left, max(bottom - top, 0), max(right - left, 0))


def place(
    pixels: Pixels, grid: SourceGrid, window: Window, geobox: GeoBox, kind: Kind
) -> tuple[Pixels, str]:
    """Return the pixels of a cell, and the method that made them (`'none'` if pasted).

    Args:
        pixels: What the file holds in `window`.
        grid: The file's grid.
        window: As `source_window` returned it for this very cell.
        geobox: The cell's pixel grid.
        kind: Decides the method; classes and quality bits are never interpolated.

    Returns:
        Values `(y, x)` on the cell: the file's own when pasted, float32 when warped.
    """
    if pasted_window(grid, geobox) is not None:
        return pixels, "none"
    method = resampling_method(grid, geobox, kind)
    warped = np.full(geobox.shape, np.nan, dtype=np.float32)
    if pixels.has_data.any():
        _warp(pixels, grid.window_transform(window), grid.epsg, warped, geobox, method)
    return Pixels(warped, np.isfinite(warped)), method.name


def resampling_method(grid: SourceGrid, geobox: GeoBox, kind: Kind) -> Resampling:
    """Return the method for a band kind: the mean of an area once pixels coarsen twofold."""
    if kind not in ("class", "quality") and _coarsening(grid, geobox) >= 2:
        return Resampling.average
    return REFINING[kind]


def _warp(
    pixels: Pixels,
    transform: Affine,
    epsg: int,
    out: npt.NDArray[np.float32],
    geobox: GeoBox,
    method: Resampling,
) -> None:
    reproject(
        np.where(pixels.has_data, pixels.values, np.nan).astype(np.float32),
        out,
        src_transform=transform,
        src_crs=f"EPSG:{epsg}",
        src_nodata=np.nan,
        dst_transform=geobox.affine,
        dst_crs=_crs(geobox).to_wkt(),
        dst_nodata=np.nan,
        resampling=method,
    )


def _crs(geobox: GeoBox) -> CRS:
    if geobox.crs is None:
        raise GridError(f"the pixel grid {geobox!r} has no CRS; a cell's grid always has one")
    return geobox.crs


def pasted_window(grid: SourceGrid, geobox: GeoBox) -> Window | None:
    """Return the cell's window on the file's own pixels; None where the grids differ."""
    if _crs(geobox).epsg != grid.epsg:
        return None
    relative = ~grid.transform @ geobox.affine
    linear = (relative.a, relative.e, relative.b, relative.d)
    if not np.allclose(linear, (1, 1, 0, 0), atol=1e-6):
        return None
    col, row = round(relative.c), round(relative.f)
    if max(abs(relative.c - col), abs(relative.f - row)) > _ALIGNED_PX:
        return None
    rows, cols = geobox.shape
    return Window(row, col, rows, cols)


def _coarsening(grid: SourceGrid, geobox: GeoBox) -> float:
    """How many source pixels fit across one target pixel."""
    west, south, east, north = transform_bounds(
        _crs(geobox).to_wkt(), f"EPSG:{grid.epsg}", *geobox.boundingbox
    )
    rows, cols = geobox.shape
    across = (east - west) / cols / abs(grid.transform.a)
    down = (north - south) / rows / abs(grid.transform.e)
    return float(min(across, down)) + 1e-6
