"""The patch grid: equal squares per UTM zone, with ids that never change.

A cell belongs to the zone that holds its center, so squares tile without gap or overlap
inside a zone; along zone edges and the equator slivers stay uncovered or are covered twice.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from catalog.errors import GridError
from catalog.utm import (
    NORTH_LIMIT,
    SOUTH_LIMIT,
    from_lonlat,
    neighbors_of,
    to_lonlat,
    utm_epsg,
    zone_box,
    zones_of,
)

_CENTERS_AT_ONCE = 1_000_000
_SEGMENTS_PER_EDGE = 4
_TURNS = (-360.0, 360.0)

_Floats = npt.NDArray[np.floating[Any]]
_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One square of the grid, in metres of its own UTM zone."""

    epsg: int
    """326xx north of the equator, 327xx south of it."""
    west: float
    south: float
    east: float
    north: float

    @property
    def id(self) -> str:
        """Zone, hemisphere, west and south in metres: `'31N_501375_5629065'`."""
        hemisphere = "N" if self.epsg < 32700 else "S"
        zone = f"{self.epsg % 100:02d}{hemisphere}"
        return f"{zone}_{_plain_number(self.west)}_{_plain_number(self.south)}"

    @property
    def crs(self) -> str:
        """CRS of the metres, for example `'EPSG:32631'`."""
        return f"EPSG:{self.epsg}"

    @property
    def center(self) -> tuple[float, float]:
        """Easting and northing of the center, metres."""
        return (self.west + self.east) / 2, (self.south + self.north) / 2

    @property
    def lonlat(self) -> tuple[float, float]:
        """Longitude and latitude of the center, degrees."""
        lon, lat = to_lonlat(self.epsg).transform(*self.center)
        return float(lon), float(lat)

    @property
    def footprint(self) -> Polygon:
        """Outline in longitude and latitude, degrees, with points along the edges.

        Next to the antimeridian longitudes run on beyond 180 instead of jumping.
        """
        outline: Polygon = footprints([self])[0]
        return outline

    def geobox(self, gsd_m: float) -> GeoBox:
        """Return the pixel grid of a patch: rows from north to south, west edge first.

        Args:
            gsd_m: Pixel size, metres.

        Raises:
            GridError: If the cell is not a whole number of pixels.
        """
        size_px = _whole(self.east - self.west, gsd_m)
        if size_px is None:
            raise GridError(
                f"cell {self.id} is {self.east - self.west:g} m across, which is not a whole "
                f"number of pixels of {gsd_m:g} m; use a gsd_m that divides it"
            )
        corner = Affine(gsd_m, 0, self.west, 0, -gsd_m, self.north)
        return GeoBox((size_px, size_px), corner, self.crs)


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchGrid:
    """Squares of `size_px` pixels, every `stride_px` pixels from an origin, in every zone.

    Example:
        >>> grid = PatchGrid(gsd_m=10, size_px=60, stride_px=60, origin_m=(501375, 5629065))
        >>> grid.cell(32631, 0, 0).id
        '31N_501375_5629065'
    """

    gsd_m: float
    """Pixel size, metres."""
    size_px: int
    """Rows and columns of a patch at `gsd_m`."""
    stride_px: int
    """Pixels from one cell to the next; less than `size_px` makes cells overlap."""
    origin_m: tuple[float, float] = (0.0, 0.0)
    """Easting and northing of the south-west corner of cell (0, 0), metres."""

    def __post_init__(self) -> None:
        if not (self.gsd_m > 0 and math.isfinite(self.gsd_m)):
            raise GridError(f"gsd_m must be a pixel size above zero, got {self.gsd_m!r}")
        for name, value in (("size_px", self.size_px), ("stride_px", self.stride_px)):
            if value < 1:
                raise GridError(f"{name} must be at least 1 pixel, got {value!r}")
        if not all(math.isfinite(v) for v in self.origin_m):
            raise GridError(f"origin_m must be two finite numbers, got {self.origin_m!r}")

    @property
    def extent_m(self) -> float:
        """Side of a cell, metres."""
        return self.gsd_m * self.size_px

    @property
    def stride_m(self) -> float:
        """Distance from one cell to the next, metres."""
        return self.gsd_m * self.stride_px

    def describe(self) -> dict[str, Any]:
        """Return the grid as stores keep it, JSON-ready."""
        return {"crs": "utm", **asdict(self), "origin_m": list(self.origin_m)}

    def size_at(self, gsd_m: float) -> int:
        """Return the rows and columns of a patch at another pixel size.

        Raises:
            GridError: If the patch would not be whole.
        """
        size_px = _whole(self.extent_m, gsd_m)
        if size_px is None:
            multiple = Fraction(self.gsd_m / gsd_m).limit_denominator(10_000).denominator
            raise GridError(
                f"gsd_m={self.gsd_m:g} does not divide the {gsd_m:g} m grid into a whole "
                f"patch: size_px={self.size_px} gives {self.extent_m / gsd_m:.2f} px; "
                f"use a multiple of {multiple}"
            )
        return size_px

    def cell(self, epsg: int, col: int, row: int) -> Cell:
        """Return the cell of a UTM zone by its column (eastward) and row (northward)."""
        west = float(self.origin_m[0] + col * self.stride_m)
        south = float(self.origin_m[1] + row * self.stride_m)
        return Cell(epsg, west, south, west + self.extent_m, south + self.extent_m)

    def cells(self, area: BaseGeometry) -> list[Cell]:
        """Return the cells whose center lies in an area, or that hold its points.

        Args:
            area: Polygons, or points, in longitude and latitude, degrees.

        Returns:
            Every cell once, sorted by EPSG code, row and column.

        Raises:
            GridError: If the area leaves the globe or the latitudes of UTM, holds no cell's
                center, or has a point that no cell holds.
        """
        _check_extent(area)
        if area.geom_type in ("Point", "MultiPoint"):
            found = self._cells_at(shapely.get_coordinates(area))
        else:
            found = [
                (epsg, int(row), int(col))
                for epsg in zones_of(area)
                for row, col in self._places_in(epsg, area)
            ]
        if not found:
            raise GridError(self._no_cell(area))
        return [self.cell(epsg, col, row) for epsg, row, col in sorted(set(found))]

    def _places_in(self, epsg: int, area: BaseGeometry) -> Iterator[tuple[int, int]]:
        """Yield (row, column) of each cell of one zone whose center lies in the area."""
        inside = shapely.intersection(area, zone_box(epsg))
        if inside.is_empty:
            return
        cols, rows = self._ranges(epsg, inside)
        step = max(1, _CENTERS_AT_ONCE // max(1, len(cols)))
        shapely.prepare(area)
        for start in range(0, len(rows), step):
            block = np.meshgrid(rows[start : start + step], cols, indexing="ij")
            row, col = (places.ravel() for places in block)
            lon, lat = to_lonlat(epsg).transform(*self._centers(col, row))
            keep = (utm_epsg(lon, lat) == epsg) & shapely.intersects_xy(area, lon, lat)
            yield from zip(row[keep].tolist(), col[keep].tolist(), strict=True)

    def _ranges(self, epsg: int, area: BaseGeometry) -> tuple[_Ints, _Ints]:
        """Return the columns and rows whose centers may lie in an area of one zone."""
        bounds = from_lonlat(epsg).transform_bounds(*area.bounds, densify_pts=101)
        west, south, east, north = bounds
        return (
            self._range(west, east, self.origin_m[0]),
            self._range(south, north, self.origin_m[1]),
        )

    def _range(self, low: float, high: float, origin: float) -> _Ints:
        margin = 100 + self.stride_m
        first, last = (v - origin - self.extent_m / 2 for v in (low - margin, high + margin))
        return np.arange(math.floor(first / self.stride_m), math.ceil(last / self.stride_m) + 1)

    def _centers(self, col: _Ints, row: _Ints) -> tuple[_Floats, _Floats]:
        x = self.origin_m[0] + col * self.stride_m + self.extent_m / 2
        y = self.origin_m[1] + row * self.stride_m + self.extent_m / 2
        return x, y

    def _cells_at(self, lonlat: _Floats) -> list[tuple[int, int, int]]:
        """Return (epsg, row, column) of the cell that holds each point of `(n, 2)`."""
        lon, lat = lonlat[:, 0], lonlat[:, 1]
        home = utm_epsg(lon, lat)
        found: list[tuple[int, int, int]] = []
        for epsg in np.unique(home):
            mine = home == epsg
            row, col, held = self._holding(int(epsg), lon[mine], lat[mine])
            found += [
                (int(epsg), int(r), int(c))
                for r, c in zip(row[held].tolist(), col[held].tolist(), strict=True)
            ]
            for x, y in lonlat[mine][~held]:
                found.append(self._across_the_edge(int(epsg), x, y))
        return found

    def _holding(
        self, epsg: int, lon: _Floats, lat: _Floats
    ) -> tuple[_Ints, _Ints, npt.NDArray[np.bool_]]:
        """Row and column of the nearest center, and whether that cell counts and holds it."""
        x, y = from_lonlat(epsg).transform(lon, lat)
        half = self.extent_m / 2
        col = np.floor((x - self.origin_m[0] - half) / self.stride_m + 0.5).astype(np.int64)
        row = np.floor((y - self.origin_m[1] - half) / self.stride_m + 0.5).astype(np.int64)
        center_x, center_y = self._centers(col, row)
        inside = (abs(center_x - x) <= half) & (abs(center_y - y) <= half)
        at_home = utm_epsg(*to_lonlat(epsg).transform(center_x, center_y)) == epsg
        return row, col, inside & at_home

    def _across_the_edge(self, epsg: int, lon: float, lat: float) -> tuple[int, int, int]:
        """Return the cell of a neighboring zone that holds a point near the zone's edge."""
        for other in neighbors_of(epsg):
            row, col, held = self._holding(other, np.array([lon]), np.array([lat]))
            if held[0]:
                return other, int(row[0]), int(col[0])
        raise GridError(
            f"no cell holds the point ({lon:g}, {lat:g}): it lies between cells, in the gap "
            f"of a stride_px above size_px or at the edge of UTM zone {epsg % 100}; move the "
            f"point by one cell ({self.extent_m:g} m) or choose another origin_m"
        )

    def _no_cell(self, area: BaseGeometry) -> str:
        west, south, east, north = area.bounds
        height = (north - south) * 111_320
        width = (east - west) * 111_320 * math.cos(math.radians((south + north) / 2))
        return (
            f"no cell has its center in the area {_box(area)}: the area spans {width:.0f} m x "
            f"{height:.0f} m, a cell {self.extent_m:g} m x {self.extent_m:g} m; enlarge the "
            f"area, lower grid.size_px, or move grid.origin_m (now {list(self.origin_m)})"
        )


def _check_extent(area: BaseGeometry) -> None:
    if area.is_empty:
        raise GridError("the area is empty; give a box, polygons or points with an extent")
    west, south, east, north = area.bounds
    if west < -180 or east > 180:
        raise GridError(
            f"the area {_box(area)} leaves longitudes -180 to 180; give longitude before "
            "latitude, and split an area that crosses the antimeridian in two"
        )
    if south < SOUTH_LIMIT or north > NORTH_LIMIT:
        raise GridError(
            f"the area {_box(area)} leaves latitudes {SOUTH_LIMIT:g} to {NORTH_LIMIT:g}, "
            "where UTM is defined; cut it there"
        )


def _box(area: BaseGeometry) -> str:
    return "[" + ", ".join(f"{v:.6g}" for v in area.bounds) + "]"


def footprints(cells: Sequence[Cell]) -> npt.NDArray[Any]:
    """Return the outlines of many cells at once, as `Cell.footprint` gives them one by one.

    Returns:
        Shapely polygons, `(n,)`, longitude and latitude in degrees.
    """
    outlines = np.empty(len(cells), dtype=object)
    codes = np.array([cell.epsg for cell in cells], dtype=np.int64)
    for epsg in np.unique(codes):
        places = np.flatnonzero(codes == epsg)
        bounds = np.array(
            [(c.west, c.south, c.east, c.north) for c in (cells[i] for i in places.tolist())]
        )
        lon, lat = to_lonlat(int(epsg)).transform(*_rings(bounds))
        middle = (lon[:, :1] + (lon - lon[:, :1] + 180) % 360 - 180).mean(axis=1, keepdims=True)
        middle = (middle + 180) % 360 - 180
        lon = middle + (lon - middle + 180) % 360 - 180
        outlines[places] = shapely.polygons(np.stack([lon, lat], axis=-1))
    return outlines


@dataclass(frozen=True, slots=True)
class ZoneEdges:
    """What happens to cells where UTM zones, or the hemispheres, meet."""

    over: int
    """Cells that reach beyond the zone that holds their center."""
    short: int
    """Cells that end less than half a cell before the edge of their zone: the sliver beside
    them is in no cell, unless one of the next zone reaches over."""
    doubled: int
    """Pairs of cells of two zones that share ground."""


def zone_edges(cells: Sequence[Cell]) -> ZoneEdges:
    """Count the cells at the edges of zones, and those that overlap there."""
    outlines = footprints(cells)
    over, wide = np.zeros((2, len(cells)), dtype=bool)
    codes = np.array([cell.epsg for cell in cells], dtype=np.int64)
    for epsg in np.unique(codes):
        mine = np.flatnonzero(codes == epsg)
        zone, bounds = zone_box(int(epsg)).bounds, shapely.bounds(outlines[mine])
        low, high = bounds[:, :2], bounds[:, 2:]
        half = (high - low) / 2
        over[mine] = ((low < zone[:2]) | (high > zone[2:])).any(axis=1)
        wide[mine] = ((low - half < zone[:2]) | (high + half > zone[2:])).any(axis=1)
    at_edges = np.flatnonzero(over)
    # Longitudes may run beyond 180: cells on the other side are looked for there too.
    own = outlines[at_edges]
    near = np.concatenate([own, *(_moved(own, by) for by in _TURNS)])
    owner = np.tile(at_edges, 1 + len(_TURNS))
    first, second = shapely.STRtree(near).query(outlines, predicate="overlaps")
    pairs = {
        (min(i, j), max(i, j))
        for i, j in zip(first.tolist(), owner[second].tolist(), strict=True)
        if codes[i] != codes[j]
    }
    return ZoneEdges(len(at_edges), int((wide & ~over).sum()), len(pairs))


def _moved(outlines: npt.NDArray[Any], by: float) -> npt.NDArray[Any]:
    return np.asarray(shapely.transform(outlines, lambda xy: np.add(xy, (by, 0.0))))


def _rings(bounds: _Floats) -> tuple[_Floats, _Floats]:
    """Return x and y, `(n, point)`, of closed rings around boxes `(n, 4)`, counterclockwise."""
    west, south, east, north = (bounds[:, [i]] for i in range(4))
    there = np.linspace(0, 1, _SEGMENTS_PER_EDGE, endpoint=False)
    still, back = np.zeros_like(there), 1 - there
    along_x = np.concatenate([there, still + 1, back, still, [0]])
    along_y = np.concatenate([still, there, still + 1, back, [0]])
    return west + along_x * (east - west), south + along_y * (north - south)


def _whole(extent_m: float, gsd_m: float) -> int | None:
    """Return how many pixels span an extent, None if not a whole number of at least one."""
    pixels = extent_m / gsd_m if gsd_m > 0 else 0.0
    nearest = round(pixels)
    return nearest if nearest >= 1 and abs(pixels - nearest) < 1e-6 else None


def _plain_number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
