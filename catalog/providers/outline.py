"""Outlines of scenes: polygons in longitude and latitude, mended where archives slip."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from shapely.affinity import translate
from shapely.geometry import MultiPolygon, Polygon, shape
from shapely.geometry.base import BaseGeometry

from catalog.errors import ItemError

_MOST_POINTS = 100_000
_SLACK_DEG = 0.1
"""Half a coarse pixel: tiles are often stated by the edges of their outermost pixels."""


def read_outline(geometry: Mapping[str, Any]) -> BaseGeometry:
    """Return a valid, flat polygon of a GeoJSON geometry, longitudes within -180 and 180.

    An edge that jumps over more than half of the globe crosses the antimeridian; such a
    polygon, and one that runs on beyond 180 degrees, is cut there.

    Raises:
        ItemError: If it has no area, or lies outside of longitude and latitude.
    """
    with np.errstate(invalid="ignore"):  # said below, as an error
        stated = shapely.force_2d(shape(dict(geometry)))
    points = shapely.get_coordinates(stated)
    if len(points) > _MOST_POINTS:
        raise ItemError(f"its outline has {len(points)} points, more than {_MOST_POINTS}")
    if not np.isfinite(points).all():
        raise ItemError("its outline has a coordinate that is no number")
    reach = np.abs(points).max(axis=0, initial=0)
    if reach[0] > 360 + _SLACK_DEG or reach[1] > 90 + _SLACK_DEG:
        raise ItemError(
            f"its outline reaches {reach[0]:g}, {reach[1]:g}; expected longitude and latitude "
            f"in degrees"
        )
    flat = _fold(_polygons(stated))
    if flat.is_empty or flat.area == 0:
        raise ItemError(f"its outline is a {stated.geom_type} without area; expected a polygon")
    return flat


def _polygons(stated: BaseGeometry) -> BaseGeometry:
    """The polygons of a geometry, each unrolled where it crosses the antimeridian."""
    parts = [p for p in shapely.get_parts(stated) if isinstance(p, Polygon)]
    unrolled = [_unroll(part) for part in parts]
    if len(unrolled) == 1:
        return _mend(unrolled[0])
    return _mend(MultiPolygon(unrolled))


def _mend(geometry: BaseGeometry) -> BaseGeometry:
    if geometry.is_valid:
        return geometry
    parts = shapely.get_parts(shapely.make_valid(geometry))
    kept = [part for part in parts if shapely.area(part) > 0]
    return shapely.union_all(kept)


def _unroll(polygon: Polygon) -> Polygon:
    """Move western longitudes east by 360 degrees if an edge jumps over the antimeridian."""
    rings = [polygon.exterior, *polygon.interiors]
    if not _jumps(shapely.get_coordinates(rings[0])):
        return polygon
    moved = []
    for ring in rings:
        points = shapely.get_coordinates(ring)
        points[:, 0] += np.where(points[:, 0] < 0, 360.0, 0.0)
        moved.append(points)
    return Polygon(moved[0], moved[1:])


def _jumps(ring: npt.NDArray[np.float64]) -> bool:
    """Whether an edge is longer than half the globe; one around all of it is no jump."""
    steps = np.abs(np.diff(ring[:, 0]))
    return bool(((steps > 180) & (steps < 359.999)).any())


def _fold(polygons: BaseGeometry) -> BaseGeometry:
    """Bring what lies beyond 180 degrees east or west back between them."""
    west, _, east, _ = polygons.bounds
    if not (west < -180 - _SLACK_DEG or east > 180 + _SLACK_DEG):
        return polygons
    windows = ((-540.0, 360.0), (-180.0, 0.0), (180.0, -360.0))
    parts = [
        translate(shapely.intersection(polygons, shapely.box(w, -91, w + 360, 91)), shift)
        for w, shift in windows
    ]
    return _mend(shapely.union_all(parts))
