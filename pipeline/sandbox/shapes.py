"""Outlines on the ground: blocks between roads, parcels, a river, lakes, streets, houses."""

import math
from collections.abc import Iterable

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

Points = NDArray[np.float64]
"""Places `(n, 2)`: easting and northing, metres."""
Ring = list[tuple[float, float]]
"""Corners of a convex outline, each once, metres."""
Bounds = tuple[float, float, float, float]


def scatter_points(rng: np.random.Generator, bounds: Bounds, spacing_m: float) -> Points:
    """Draw points about `spacing_m` apart: a jittered lattice over `bounds` and beyond."""
    west, south, east, north = bounds
    x, y = np.meshgrid(
        np.arange(west - spacing_m, east + spacing_m, spacing_m),
        np.arange(south - spacing_m, north + spacing_m, spacing_m),
    )
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    return points + rng.uniform(-0.42, 0.42, points.shape) * spacing_m


def draw_blocks(rng: np.random.Generator, bounds: Bounds, spacing_m: float) -> list[Ring]:
    """Cut `bounds` into convex blocks (Voronoi cells), the land between country roads."""
    sites = shapely.MultiPoint(scatter_points(rng, bounds, spacing_m))
    frame = shapely.box(*bounds)
    cells = shapely.get_parts(shapely.voronoi_polygons(sites, extend_to=frame))
    inside = shapely.intersection(cells, frame)
    return [list(cell.exterior.coords)[:-1] for cell in inside if cell.area > 0]


def cut_ring(ring: Ring, normal: tuple[float, float], distance: float) -> tuple[Ring, Ring]:
    """Cut a convex ring by the line of points whose product with `normal` is `distance`.

    Example:
        >>> cut_ring([(0, 0), (2, 0), (2, 1), (0, 1)], (1.0, 0.0), 1.0)
        ([(1.0, 0.0), (2, 0), (2, 1), (1.0, 1.0)], [(0, 0), (1.0, 0.0), (1.0, 1.0), (0, 1)])
    """
    nx, ny = normal
    ahead: Ring = []
    behind: Ring = []
    for (x, y), (next_x, next_y) in zip(ring, ring[1:] + ring[:1], strict=True):
        side = x * nx + y * ny - distance
        next_side = next_x * nx + next_y * ny - distance
        (ahead if side >= 0 else behind).append((x, y))
        if side * next_side < 0:
            share = side / (side - next_side)
            crossing = (x + share * (next_x - x), y + share * (next_y - y))
            ahead.append(crossing)
            behind.append(crossing)
    return ahead, behind


def area_ha(ring: Ring) -> float:
    """Area of a ring, hectares.

    Example:
        >>> area_ha([(0, 0), (100, 0), (100, 100), (0, 100)])
        1.0
    """
    x0, y0 = ring[0]
    total = 0.0
    for (x, y), (next_x, next_y) in zip(ring, ring[1:] + ring[:1], strict=True):
        total += (x - x0) * (next_y - y0) - (next_x - x0) * (y - y0)
    return abs(total) / 2e4


def split_block(rng: np.random.Generator, block: Ring, parcel_ha: float) -> list[Ring]:
    """Divide a block into parcels of about `parcel_ha`, along and across its longest side.

    Strips come out of long blocks, squares out of compact ones, and sides stay nearly
    parallel within a block, as where land was parted among heirs.
    """
    todo, parcels = [block], []
    while todo:
        ring = todo.pop()
        if area_ha(ring) <= parcel_ha * rng.uniform(0.7, 1.9):
            parcels.append(ring)
            continue
        todo.extend(half for half in _halve(rng, ring) if len(half) >= 3)
    return parcels


def _halve(rng: np.random.Generator, ring: Ring) -> tuple[Ring, Ring]:
    sides = [
        (following[0] - x, following[1] - y)
        for (x, y), following in zip(ring, ring[1:] + ring[:1], strict=True)
    ]
    east, north = max(sides, key=lambda side: math.hypot(*side))
    angle = math.atan2(north, east)
    if _extent(ring, angle) <= _extent(ring, angle + math.pi / 2) * rng.uniform(0.7, 2.6):
        angle += math.pi / 2
    angle += rng.normal(0.0, 0.025)
    normal = (math.cos(angle), math.sin(angle))
    reach = [x * normal[0] + y * normal[1] for x, y in ring]
    low, high = min(reach), max(reach)
    return cut_ring(ring, normal, low + (high - low) * rng.uniform(0.36, 0.64))


def _extent(ring: Ring, angle: float) -> float:
    reach = [x * math.cos(angle) + y * math.sin(angle) for x, y in ring]
    return max(reach) - min(reach)


RIVER_SWAY = ((5200, 330), (2100, 130), (830, 62), (370, 20))
ROAD_SWAY = ((7400, 420), (3100, 150), (1300, 25))
"""Wavelengths and largest amplitudes of bends, metres."""


def draw_path(
    rng: np.random.Generator,
    bounds: Bounds,
    heading_deg: float,
    sway_m: tuple[tuple[int, int], ...],
) -> BaseGeometry:
    """Draw a winding line that crosses `bounds` near its center."""
    west, south, east, north = bounds
    reach = 0.75 * np.hypot(east - west, north - south)
    along = np.arange(-reach, reach, 25.0)
    sway = np.zeros_like(along)
    for wavelength, amplitude in sway_m:
        phase = rng.uniform(0, 2 * np.pi)
        sway += (
            amplitude * rng.uniform(0.5, 1.0) * np.sin(2 * np.pi * along / wavelength + phase)
        )
    spread = 0.22 * (north - south)
    sway += rng.uniform(-spread, spread)
    angle = np.radians(heading_deg)
    x = (west + east) / 2 + along * np.cos(angle) - sway * np.sin(angle)
    y = (south + north) / 2 + along * np.sin(angle) + sway * np.cos(angle)
    return shapely.LineString(np.stack([x, y], axis=1))


def draw_blob(rng: np.random.Generator, center: Points, radius_m: float) -> BaseGeometry:
    """Draw a rounded, uneven outline: a lake, a wood, the edge of a village."""
    angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    radius = np.ones_like(angle)
    for lobes in range(1, 6):
        radius += (
            rng.uniform(0.0, 0.28) / lobes * np.cos(lobes * angle + rng.uniform(0, 2 * np.pi))
        )
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius[:, None] * radius_m
    return shapely.Polygon(center + ring)


def rotate(points: Points, angle: float) -> Points:
    """Turn points `(..., 2)` about the origin by `angle` radians, counterclockwise."""
    c, s = np.cos(angle), np.sin(angle)
    return np.asarray(points @ np.array([[c, s], [-s, c]]))


def draw_boxes(centers: Points, sizes: Points, angles: NDArray[np.float64]) -> Points:
    """Return corners `(n, 4, 2)` of boxes of `sizes` (n, 2) turned by `angles` (n,)."""
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    local = corners[None] * sizes[:, None, :]
    c, s = np.cos(angles)[:, None], np.sin(angles)[:, None]
    x = local[..., 0] * c - local[..., 1] * s
    y = local[..., 0] * s + local[..., 1] * c
    return np.stack([x, y], axis=-1) + centers[:, None, :]


def draw_streets(
    rng: np.random.Generator, ground: BaseGeometry, angle: float
) -> tuple[BaseGeometry, Points]:
    """Lay a street grid over `ground`.

    Returns:
        The streets' center lines, cut at the village edge, and house sites along them,
        `(n, 3)`: easting, northing and the street's angle in radians.
    """
    center = shapely.get_coordinates(ground.centroid)[0]
    reach = float(np.ptp(shapely.get_coordinates(ground), axis=0).max())
    lines, sites = [], []
    for turn, spacing in ((0.0, rng.uniform(78, 96)), (np.pi / 2, rng.uniform(140, 210))):
        offsets = np.arange(-reach, reach, spacing) + rng.uniform(0, spacing)
        offsets += rng.normal(0, 5, len(offsets))
        for offset in offsets:
            ends = np.array([[-reach, offset], [reach, offset]])
            lines.append(rotate(ends, angle + turn) + center)
            if turn == 0.0:
                sites.append(_house_sites(rng, offset, reach, angle, center))
    streets = shapely.MultiLineString(lines).intersection(ground.buffer(12.0))
    places = np.concatenate(sites)
    inside = shapely.contains_xy(ground, places[:, 0], places[:, 1])
    return streets, places[inside]


def _house_sites(
    rng: np.random.Generator, offset: float, reach: float, angle: float, center: Points
) -> Points:
    spacing = rng.uniform(13.0, 21.0)
    along = np.arange(-reach, reach, spacing)
    found = []
    for side in (-1.0, 1.0):
        keep = along[rng.random(len(along)) < 0.74]
        depth = offset + side * rng.normal(15.5, 1.5, len(keep))
        spots = rotate(np.stack([keep + rng.normal(0, 1.0, len(keep)), depth], 1), angle)
        found.append(np.column_stack([spots + center, np.full(len(keep), angle)]))
    return np.concatenate(found)


def line_houses(rng: np.random.Generator, lane: BaseGeometry) -> Points:
    """Return house sites on both sides of a straight lane, as `draw_streets` does."""
    (x0, y0), (x1, y1) = lane.coords
    angle = math.atan2(y1 - y0, x1 - x0)
    middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    return _house_sites(rng, 0.0, lane.length / 2 - 15, angle, middle)


def sides_of(rings: Iterable[Ring], least_m: float) -> list[BaseGeometry]:
    """Return the sides of `rings` that are at least `least_m` long, as lines."""
    sides = [pair for ring in rings for pair in zip(ring, ring[1:] + ring[:1], strict=True)]
    ends = np.array(sides)
    lengths = np.hypot(*(ends[:, 1] - ends[:, 0]).T)
    return list(shapely.linestrings(ends[lengths >= least_m]))
