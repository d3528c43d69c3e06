"""Areas: the regions that a recipe names, and the cells of a grid that they select."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mgrs
import numpy as np
import shapely
from shapely.errors import GEOSException
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from catalog.errors import GridError
from catalog.grid import Cell, PatchGrid
from catalog.utm import to_lonlat

_SQUARE_M = 100_000.0
_SQUARE_NAME = re.compile(r"[0-9]{1,2}[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V]")
_POINTS_PER_EDGE = 32
_LONLAT_NAMES = ("CRS84", "4326")
_POLYGONS, _POINTS = {"Polygon", "MultiPolygon"}, {"Point", "MultiPoint"}


@dataclass(frozen=True, slots=True)
class Region:
    """A named part of the area; splits and tasks may go by it."""

    name: str
    geometry: BaseGeometry
    """Polygons or points in longitude and latitude, degrees."""


def box_regions(bounds: tuple[float, float, float, float]) -> list[Region]:
    """Return the one region `'area'` of a box.

    Args:
        bounds: (west, south, east, north), degrees.

    Raises:
        GridError: If corners are swapped or the box has no extent.

    Example:
        >>> box_regions((3.0, 50.0, 3.1, 50.1))[0].name
        'area'
    """
    west, south, east, north = bounds
    if west < east and south < north:
        return [Region("area", shapely.box(west, south, east, north))]
    wrong = (
        f"west {west:g} is not west of east {east:g}"
        if west >= east
        else f"south {south:g} is not south of north {north:g}"
    )
    message = f"{wrong}; the order is [west, south, east, north]"
    if west != east and south != north:
        fixed = [min(west, east), min(south, north), max(west, east), max(south, north)]
        message += f", did you mean {fixed}? (a box across the antimeridian must be cut in two)"
    raise GridError(message)


def point_regions(points: Iterable[tuple[float, float, str]]) -> list[Region]:
    """Return points grouped by name, in order of first appearance.

    Args:
        points: (longitude, latitude, name), degrees; those named `''` form `'points'`.
    """
    return _merge((name or "points", shapely.Point(lon, lat)) for lon, lat, name in points)


def mgrs_regions(tiles: Iterable[str]) -> list[Region]:
    """Return the 100 km squares of the Military Grid Reference System, each by its name.

    A square is taken whole: it is not cut at the edge of its zone or latitude band, but its
    cells still belong to the zones of their centers.

    Raises:
        GridError: If there is no such square.

    Example:
        >>> [round(degrees, 2) for degrees in mgrs_regions(["31UDS"])[0].geometry.bounds]
        [1.56, 50.54, 3.0, 51.45]
    """
    return [Region(tile.upper(), _square(tile)) for tile in tiles]


def _square(tile: str) -> BaseGeometry:
    no_square = GridError(
        f"{tile!r} is no 100 km square of the MGRS; write zone, latitude band, column and row "
        "letters, like '31UDS'"
    )
    if not _SQUARE_NAME.fullmatch(tile.upper()):
        raise no_square
    try:
        zone, hemisphere, *inside = mgrs.MGRS().MGRSToUTM(tile.upper())
    except mgrs.core.MGRSError as err:
        raise no_square from err
    west, south = (v // _SQUARE_M * _SQUARE_M for v in inside)
    corners = shapely.box(west, south, west + _SQUARE_M, south + _SQUARE_M)
    outline = shapely.segmentize(corners, _SQUARE_M / _POINTS_PER_EDGE)
    way = to_lonlat((32600 if hemisphere == "N" else 32700) + zone)
    lonlat = np.column_stack(way.transform(*shapely.get_coordinates(outline).T))
    return shapely.Polygon(lonlat)


def geojson_regions(path: Path) -> list[Region]:
    """Return the regions of a GeoJSON file, one per name.

    The name is a feature's property `name`, else `id`, else its position in the file;
    points without a name form one region `'points'`. Features of one name are joined.

    Raises:
        GridError: If the file is missing, no GeoJSON, not in longitude and latitude, or
            holds anything but polygons and points.
    """
    features = _features(path)
    regions = _merge(
        (_name(feature, number), _geometry(path, feature, number))
        for number, feature in enumerate(features)
    )
    for region in regions:
        if region.geometry.geom_type not in _POLYGONS | _POINTS:
            raise GridError(
                f"{path}: region {region.name!r} mixes points and polygons; "
                "give them different names"
            )
    return regions


def geojson_features(path: Path) -> list[tuple[Mapping[str, Any], BaseGeometry]]:
    """Return the properties and the geometry of each feature of a GeoJSON file.

    Raises:
        GridError: As `geojson_regions` does.
    """
    return [
        (feature.get("properties") or {}, _geometry(path, feature, number))
        for number, feature in enumerate(_features(path))
    ]


def _features(path: Path) -> list[Mapping[str, Any]]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as err:
        raise GridError(f"there is no file {path}; it is looked for beside the recipe") from err
    except (OSError, ValueError) as err:
        raise GridError(f"{path} is not readable as GeoJSON: {err}") from err
    kind = document.get("type") if isinstance(document, dict) else None
    if kind is None:
        raise GridError(f"{path} is JSON but not GeoJSON: its top level has no 'type'")
    crs = json.dumps(document.get("crs"))
    if document.get("crs") and not any(name in crs for name in _LONLAT_NAMES):
        raise GridError(f"{path} is in {crs}; convert it to longitude and latitude (EPSG:4326)")
    if kind == "FeatureCollection":
        features: list[Mapping[str, Any]] = document.get("features", [])
    else:
        features = [document if kind == "Feature" else {"geometry": document}]
    if not features:
        raise GridError(f"{path} holds no feature; draw at least one polygon or point")
    return features


def _name(feature: Mapping[str, Any], number: int) -> str:
    properties = feature.get("properties") or {}
    for key in ("name", "id"):
        if properties.get(key) not in (None, ""):
            return str(properties[key])
    kind = (feature.get("geometry") or {}).get("type")
    return "points" if kind in _POINTS else str(number)


def _geometry(path: Path, feature: Mapping[str, Any], number: int) -> BaseGeometry:
    content = feature.get("geometry") or {}
    if content.get("type") not in _POLYGONS | _POINTS:
        raise GridError(
            f"{path}: feature {number} has geometry {content.get('type')!r}; expected polygons "
            "or points"
        )
    try:
        geometry = shapely.force_2d(shape(content))
    except (GEOSException, ValueError, TypeError, KeyError, IndexError) as err:
        raise GridError(f"{path}: feature {number} has a broken geometry: {err}") from err
    return geometry if geometry.is_valid else _polygons_of(shapely.make_valid(geometry))


def _polygons_of(geometry: BaseGeometry) -> BaseGeometry:
    """Drop the lines and points that mending a polygon may leave behind."""
    parts = [p for p in shapely.get_parts(geometry) if p.geom_type in _POLYGONS]
    return shapely.union_all(parts)


def _merge(named: Iterable[tuple[str, BaseGeometry]]) -> list[Region]:
    groups: dict[str, list[BaseGeometry]] = {}
    for name, geometry in named:
        groups.setdefault(name, []).append(geometry)
    return [Region(name, shapely.union_all(parts)) for name, parts in groups.items()]


def select_cells(grid: PatchGrid, regions: Sequence[Region]) -> dict[Cell, str]:
    """Return the cells of all regions, each with the name of the first region that has it.

    Returns:
        Cells in order of EPSG code, then south, then west.

    Raises:
        GridError: If a region has no cell; the message names it.
    """
    chosen: dict[Cell, str] = {}
    for region in regions:
        try:
            cells = grid.cells(region.geometry)
        except GridError as err:
            raise GridError(f"region {region.name!r}: {err}") from err
        for cell in cells:
            chosen.setdefault(cell, region.name)
    return dict(sorted(chosen.items(), key=lambda c: (c[0].epsg, c[0].south, c[0].west)))
