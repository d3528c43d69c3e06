"""The zones of the Universal Transverse Mercator projection, and the ways in and out."""

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import Transformer
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

NORTH_LIMIT, SOUTH_LIMIT = 84.0, -80.0
"""Latitudes between which UTM is defined, degrees."""


def utm_epsg(lon: npt.ArrayLike, lat: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the EPSG codes of the standard 6-degree UTM zones of points in degrees.

    Example:
        >>> utm_epsg([3.02, -180.0], [50.8, -0.1]).tolist()
        [32631, 32701]
    """
    zone = np.floor((np.asarray(lon, dtype=np.float64) + 180) / 6).astype(np.int64) % 60 + 1
    return zone + np.where(np.asarray(lat) >= 0, 32600, 32700)


@lru_cache(maxsize=256)
def to_lonlat(epsg: int) -> Transformer:
    """Return the way from metres of a CRS to (longitude, latitude) in degrees."""
    return Transformer.from_crs(epsg, 4326, always_xy=True)


@lru_cache(maxsize=256)
def from_lonlat(epsg: int) -> Transformer:
    """Return the way from (longitude, latitude) in degrees to metres of a CRS."""
    return Transformer.from_crs(4326, epsg, always_xy=True)


def zone_box(epsg: int) -> Polygon:
    """Return the longitudes and latitudes of one zone, degrees."""
    west = (epsg % 100) * 6 - 186
    if epsg < 32700:
        return shapely.box(west, 0, west + 6, NORTH_LIMIT)
    return shapely.box(west, SOUTH_LIMIT, west + 6, 0)


def zones_of(area: BaseGeometry) -> list[int]:
    """Return the EPSG codes of the zones that an area's bounding box meets, in degrees."""
    west, south, east, north = area.bounds
    first, last = math.floor((west + 180) / 6), min(59, math.floor((east + 180) / 6))
    bases = [32600] * (north >= 0) + [32700] * (south < 0)
    return [base + zone + 1 for base in bases for zone in range(first, last + 1)]


def neighbors_of(epsg: int) -> list[int]:
    """Return the zones beside a zone and, for all three, those of the other hemisphere."""
    zone, base = epsg % 100, epsg - epsg % 100
    beside = [(zone - 2) % 60 + 1, zone % 60 + 1]
    return [b + z for b in (base, 65_300 - base) for z in (zone, *beside)][1:]
