"""Gridded fields on cells: the hour of the anchor, interpolated from the points around it.

A cell is far smaller than a step of such a grid, so that its patch is nearly constant: a
coarse companion of fine pixels.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from catalog.errors import GridError, SourceUnreadable
from catalog.product import Access, Kind
from catalog.products import find_product
from catalog.scene import Scene
from pipeline.access import shown
from pipeline.netcdf import Floats, GridFile
from pipeline.read import Pixels, ReadCount

Doubles = npt.NDArray[np.float64]

METHOD = "bilinear"
_OPEN_FILES = 8
_FULL_CIRCLE = 360.0
_LEAST_WEIGHT = 0.5
"""Share of the weights that must have data."""


@dataclass(slots=True)
class GriddedSource:
    """Reads patches from NetCDF-4 files; each file is opened once, the last few stay open.

    One source serves one task.
    """

    count: ReadCount = field(default_factory=ReadCount)
    _open: OrderedDict[tuple[str, Access], GridFile] = field(default_factory=OrderedDict)

    def place(
        self,
        scene: Scene,
        key: str,
        boxes: Sequence[GeoBox],
        kind: Kind,  # noqa: ARG002 - fields of the atmosphere are smooth, all of them
    ) -> list[tuple[Pixels, str]]:
        """Return the band `key` of `scene` on each of the pixel grids `boxes`.

        Raises:
            SourceUnreadable: If the file is missing or damaged, or does not hold the hour or
                the variable, in the unit of the product table.
            SourceUnavailable: If its server is at fault or out of reach for now.
        """
        asset = scene.assets[key]
        file = self._file(asset.href, scene.access)
        step = file.step_at(scene.time, stated=asset.index)
        refuse_other_unit(file, asset.part, find_product(scene.product).band(key).unit)
        places = [_lonlat(box) for box in boxes]
        return [
            (_pixels(self._interpolate(file, asset.part, step, lon, lat)), METHOD)
            for lon, lat in places
        ]

    def close(self) -> None:
        """Close the files that are open."""
        while self._open:
            self._open.popitem()[1].close()

    def _file(self, href: str, access: Access) -> GridFile:
        key = (href, access)
        if key not in self._open:
            while len(self._open) >= _OPEN_FILES:
                self._open.popitem(last=False)[1].close()
            self._open[key] = GridFile.open(href, access)
            self.count.files += 1
        self._open.move_to_end(key)
        return self._open[key]

    def _interpolate(
        self, file: GridFile, variable: str, step: int, lon: Doubles, lat: Doubles
    ) -> Floats:
        y = _index(file.latitudes, lat)
        x, columns = _column_index(file.longitudes, lon)
        inside = np.isfinite(y) & np.isfinite(x)
        if not inside.any():
            return np.full(lon.shape, np.nan, dtype=np.float32)
        top, left = int(np.nanmin(y[inside])), int(np.nanmin(x[inside]))
        bottom = min(int(np.nanmax(y[inside])) + 2, len(file.latitudes))
        right = min(int(np.nanmax(x[inside])) + 2, columns)
        window = self._window(file, variable, step, (top, bottom, left, right))
        return bilinear(window, y - top, x - left)

    def _window(
        self, file: GridFile, variable: str, step: int, bounds: tuple[int, int, int, int]
    ) -> Floats:
        """Points of a step; the column after the last is the first, around the globe."""
        top, bottom, left, right = bounds
        width = len(file.longitudes)
        rows = slice(top, bottom)
        window = file.read(variable, step, rows, slice(left, min(right, width)))
        if right > width:
            wrapped = file.read(variable, step, rows, slice(0, right - width))
            window = np.concatenate([window, wrapped], axis=1)
        self.count.blocks += 1
        self.count.decoded_bytes += window.nbytes
        return window


def refuse_other_unit(file: GridFile, variable: str, expected: str) -> None:
    """Refuse a variable in another unit than the product table's.

    Raises:
        SourceUnreadable: With both units.
    """
    unit = file.unit(variable)
    if unit != expected:
        raise SourceUnreadable(
            f"variable {variable!r} of {shown(file.href)} is in {unit!r}; the product table "
            f"says {expected!r}, and values are not converted"
        )


def bilinear(window: Floats, y: Doubles, x: Doubles) -> Floats:
    """Return values between the points of a window.

    Args:
        window: `(rows, columns)`, NaN where there is no data.
        y: Row of each result, with its fraction; NaN for places that lie outside.
        x: Column of each result, likewise.

    Returns:
        float32, of the shape of `y`. Points without data weigh nothing; a place has none where
        they would have weighed more than half.
    """
    outside = ~(np.isfinite(y) & np.isfinite(x))
    y, x = np.where(outside, 0.0, y), np.where(outside, 0.0, x)
    row, column = np.floor(y).astype(int), np.floor(x).astype(int)
    below = np.minimum(row + 1, window.shape[0] - 1)
    beside = np.minimum(column + 1, window.shape[1] - 1)
    fy, fx = y - row, x - column
    total, weight = np.zeros(y.shape), np.zeros(y.shape)
    for r, wy in ((row, 1 - fy), (below, fy)):
        for c, wx in ((column, 1 - fx), (beside, fx)):
            value = window[r, c].astype(np.float64)
            share = np.where(np.isfinite(value), wy * wx, 0.0)
            total += share * np.nan_to_num(value)
            weight += share
    enough = (weight >= _LEAST_WEIGHT) & ~outside
    found = np.divide(total, weight, out=np.full(y.shape, np.nan), where=enough)
    return np.asarray(found, dtype=np.float32)


def _index(axis: Doubles, values: Doubles) -> Doubles:
    """Place of values on an axis, in steps of it; NaN beyond its ends."""
    places = np.arange(len(axis), dtype=np.float64)
    if axis[0] > axis[-1]:
        axis, places = axis[::-1], places[::-1]
    return np.asarray(np.interp(values, axis, places, left=np.nan, right=np.nan))


def _column_index(axis: Doubles, lon: Doubles) -> tuple[Doubles, int]:
    """Place of longitudes on an axis, and how many columns there are to go to.

    One more than the axis has if it goes around the globe: the first one again.
    """
    east = (lon - axis[0]) % _FULL_CIRCLE + axis[0]
    step = axis[1] - axis[0]
    if abs(axis[-1] + step - axis[0] - _FULL_CIRCLE) < step / 100:
        return _index(np.append(axis, axis[0] + _FULL_CIRCLE), east), len(axis) + 1
    return _index(axis, east), len(axis)


def _lonlat(box: GeoBox) -> tuple[Doubles, Doubles]:
    """Longitude and latitude of the centers of a cell's pixels, each `(y, x)`."""
    if box.crs is None:
        raise GridError(f"the pixel grid {box!r} has no CRS; a cell's grid always has one")
    rows, columns = box.shape
    column, row = np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5)
    affine = box.affine
    x = affine.a * column + affine.b * row + affine.c
    y = affine.d * column + affine.e * row + affine.f
    to_lonlat = Transformer.from_crs(box.crs.to_wkt(), 4326, always_xy=True)
    lon, lat = to_lonlat.transform(x, y)
    return np.asarray(lon), np.asarray(lat)


def _pixels(values: Floats) -> Pixels:
    return Pixels(values, np.isfinite(values))
