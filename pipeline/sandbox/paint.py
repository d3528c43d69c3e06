"""Drawing a landscape: farmland first, then margins, lanes, water, roads and villages."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from pipeline.sandbox.covers import KINDS
from pipeline.sandbox.fields import synthesize_field
from pipeline.sandbox.landscape import Houses, Landscape, draw_traits
from pipeline.sandbox.shapes import (
    RIVER_SWAY,
    ROAD_SWAY,
    Bounds,
    Points,
    Ring,
    area_ha,
    draw_blob,
    draw_blocks,
    draw_boxes,
    draw_path,
    draw_streets,
    line_houses,
    rotate,
    sides_of,
    split_block,
)

CROP_SHARES = {
    "wheat": 0.25,
    "maize": 0.19,
    "meadow": 0.23,
    "potato": 0.11,
    "beet": 0.09,
    "barley": 0.06,
    "flax": 0.04,
    "rapeseed": 0.03,
}
"""Shares of farmland, about those of West Flanders."""
ROOF_SHARES = {"roof_red": 0.52, "roof_dark": 0.24, "roof_gray": 0.19, "roof_bright": 0.05}
SHED_SHARES = {"roof_gray": 0.5, "roof_bright": 0.3, "roof_dark": 0.2}


@dataclass(slots=True)
class _Canvas:
    """Collects outlines and their kinds while a landscape is drawn."""

    outlines: list[BaseGeometry] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)
    sites: list[Points] = field(default_factory=list)
    """House sites `(n, 3)`: easting, northing, angle in radians."""

    def paint(self, kind: str, outlines: Iterable[BaseGeometry]) -> None:
        for outline in outlines:
            if not outline.is_empty:
                self.outlines.append(outline)
                self.kinds.append(KINDS.index(kind))

    def paint_strips(self, kind: str, lines: Sequence[BaseGeometry], half_m: float) -> None:
        if len(lines):
            joined = shapely.union_all(shapely.buffer(lines, half_m, cap_style="flat"))
            self.paint(kind, [joined])


def draw_landscape(seed: np.random.SeedSequence, bounds: Bounds) -> Landscape:
    """Draw the landscape of `bounds` (west, south, east, north, metres)."""
    layout, look, fertility, grain, terrain = map(np.random.default_rng, seed.spawn(5))
    canvas = _Canvas()
    blocks, parcels = _paint_farmland(layout, canvas, bounds)
    _paint_margins(layout, canvas, parcels)
    _paint_lanes(layout, canvas, blocks)
    river = draw_path(layout, bounds, float(layout.uniform(18, 40)), RIVER_SWAY)
    taken = [river.buffer(20), *_paint_water(layout, canvas, river, bounds)]
    taken += _paint_highways(layout, canvas, bounds)
    _paint_villages(layout, canvas, river, bounds)
    houses, roofs = _build_houses(layout, canvas, shapely.union_all(taken))
    west, south, east, north = bounds
    period = max(east - west, north - south)
    return Landscape(
        outlines=tuple(shapely.geometry.mapping(outline) for outline in canvas.outlines),
        houses=houses,
        traits=draw_traits(look, np.concatenate([canvas.kinds, roofs])),
        fertility=synthesize_field(
            fertility, period_m=period, spacing_m=20.0, roughness=2.3, largest_m=900.0
        ),
        grain=synthesize_field(
            grain, period_m=period, spacing_m=9.0, roughness=0.7, largest_m=150.0
        ),
        terrain=synthesize_field(
            terrain, period_m=period, spacing_m=60.0, roughness=3.6, largest_m=6000.0
        ),
    )


def _paint_farmland(
    rng: np.random.Generator, canvas: _Canvas, bounds: Bounds
) -> tuple[list[Ring], list[Ring]]:
    blocks = draw_blocks(rng, bounds, spacing_m=920.0)
    woods = _draw_woods(rng, bounds)
    names = list(CROP_SHARES)
    shares = np.array(list(CROP_SHARES.values()))
    fields: list[Ring] = []
    for block in blocks:
        parcels = split_block(rng, block, parcel_ha=float(rng.lognormal(1.0, 0.5)))
        fields.extend(parcels)
        tree = "conifer" if rng.random() < 0.3 else "deciduous"
        crops = rng.choice(len(names), size=len(parcels), p=shares / shares.sum())
        centers = np.array([np.mean(ring, axis=0) for ring in parcels])
        wooded = shapely.contains_xy(woods, centers)
        for ring, crop, inside in zip(parcels, crops, wooded, strict=True):
            copse = area_ha(ring) < 2 and rng.random() < 0.04
            canvas.paint(tree if inside or copse else names[crop], [shapely.Polygon(ring)])
    return blocks, fields


def _draw_woods(rng: np.random.Generator, bounds: Bounds) -> BaseGeometry:
    """Outline of the woods; one per 10 km2 or so. Their edges follow parcels."""
    west, south, east, north = bounds
    count = max(1, round((east - west) * (north - south) / 10e6))
    centers = np.column_stack(
        [rng.uniform(west, east, count), rng.uniform(south, north, count)]
    )
    blobs = [draw_blob(rng, center, float(rng.lognormal(5.8, 0.45))) for center in centers]
    return shapely.union_all([blob.buffer(0) for blob in blobs])


def _paint_margins(rng: np.random.Generator, canvas: _Canvas, parcels: list[Ring]) -> None:
    sides = sides_of(parcels, least_m=70.0)
    dice = rng.random(len(sides))
    canvas.paint_strips("verge", [s for s, d in zip(sides, dice, strict=True) if d < 0.3], 2.5)
    hedges = [s for s, d in zip(sides, dice, strict=True) if 0.3 <= d < 0.38]
    canvas.paint_strips("deciduous", hedges, 4.5)
    tracks = [s for s, d in zip(sides, dice, strict=True) if 0.38 <= d < 0.45]
    canvas.paint_strips("track", tracks, 2.2)


def _paint_water(
    rng: np.random.Generator, canvas: _Canvas, river: BaseGeometry, bounds: Bounds
) -> list[BaseGeometry]:
    """Paint a river and lakes with their banks; return the lakes."""
    west, south, east, north = bounds
    canvas.paint("meadow", [river.buffer(rng.uniform(55, 80))])
    canvas.paint("deciduous", [river.buffer(27).intersection(_beads(rng, river))])
    canvas.paint("water", [river.buffer(rng.uniform(12, 16))])
    lakes: list[BaseGeometry] = []
    for _ in range(max(1, round((east - west) * (north - south) / 30e6))):
        position = river.interpolate(rng.uniform(0.3, 0.7), normalized=True)
        center = shapely.get_coordinates(position)[0] + rng.normal(0, 160, 2)
        lake = draw_blob(rng, center, float(rng.uniform(90, 210)))
        canvas.paint("verge", [lake.buffer(14)])
        canvas.paint("deciduous", [lake.buffer(24).difference(lake.buffer(9))])
        canvas.paint("water", [lake])
        lakes.append(lake.buffer(8))
    return lakes


def _beads(rng: np.random.Generator, line: BaseGeometry) -> BaseGeometry:
    """Discs along a line: where trees stand on the banks."""
    places = line.interpolate(rng.random(int(line.length / 150)), normalized=True)
    return shapely.union_all(shapely.buffer(places, rng.uniform(25, 90, len(places))))


def _paint_lanes(rng: np.random.Generator, canvas: _Canvas, blocks: list[Ring]) -> None:
    """Lay lanes between blocks, with verges, rows of trees, houses and farmsteads."""
    lanes = sides_of(blocks, least_m=1.0)
    canvas.paint_strips("verge", lanes, 6.5)
    canvas.paint_strips("deciduous", [s for s in lanes if rng.random() < 0.14], 10.0)
    lived_in = [s for s in lanes if rng.random() < 0.12 and s.length > 200]
    canvas.paint_strips("garden", lived_in, 37.0)
    canvas.paint_strips("asphalt", lanes, 3.2)
    for lane in lived_in:
        canvas.sites.append(line_houses(rng, lane))
    for block in blocks:
        _paint_farms(rng, canvas, block)


def _paint_highways(
    rng: np.random.Generator, canvas: _Canvas, bounds: Bounds
) -> list[BaseGeometry]:
    """Lay two main roads and, through a large area, a motorway; return their ground."""
    ground: list[BaseGeometry] = []
    for heading in (float(rng.uniform(95, 125)), float(rng.uniform(-20, 5))):
        road = draw_path(rng, bounds, heading, ROAD_SWAY)
        canvas.paint_strips("verge", [road], 13.0)
        canvas.paint_strips("asphalt", [road], 6.5)
        ground.append(road.buffer(13.0))
    if bounds[2] - bounds[0] > 6000:
        motorway = draw_path(rng, bounds, float(rng.uniform(140, 165)), ROAD_SWAY[:1])
        canvas.paint_strips("verge", [motorway], 30.0)
        canvas.paint_strips("asphalt", [motorway], 15.0)
        canvas.paint_strips("verge", [motorway], 2.5)
        ground.append(motorway.buffer(30.0))
    return ground


def _paint_farms(rng: np.random.Generator, canvas: _Canvas, block: Ring) -> None:
    """Set farmsteads beside the lanes about a block: yard, barns, a few trees."""
    corners = np.array(block)
    for _ in range(rng.poisson(1.3)):
        side = int(rng.integers(len(corners)))
        start, end = corners[side], corners[(side + 1) % len(corners)]
        length = np.hypot(*(end - start))
        if length < 150:
            continue
        along = (end - start) / length
        inward = np.array([-along[1], along[0]])
        if (corners.mean(axis=0) - start) @ inward < 0:
            inward = -inward
        center = start + along * length * rng.uniform(0.25, 0.75) + inward * 38
        _paint_farm(rng, canvas, center, float(np.arctan2(along[1], along[0])))


def _paint_farm(
    rng: np.random.Generator, canvas: _Canvas, center: Points, angle: float
) -> None:
    def box(width: float, depth: float, offset: Points) -> BaseGeometry:
        size = np.array([[width, depth]])
        place = (center + offset)[None]
        return shapely.Polygon(draw_boxes(place, size, np.array([angle]))[0])

    canvas.paint("garden", [box(rng.uniform(60, 95), 58, rng.normal(0, 6, 2))])
    canvas.paint("yard", [box(rng.uniform(30, 42), 26, np.zeros(2))])
    for _ in range(int(rng.integers(2, 5))):
        shed = box(rng.uniform(20, 44), rng.uniform(10, 17), rng.normal(0, 16, 2))
        canvas.paint(_pick(rng, SHED_SHARES), [shed])


def _pick(rng: np.random.Generator, shares: dict[str, float]) -> str:
    return str(rng.choice(list(shares), p=list(shares.values())))


def _paint_villages(
    rng: np.random.Generator, canvas: _Canvas, river: BaseGeometry, bounds: Bounds
) -> None:
    west, south, east, north = bounds
    count = max(1, round((east - west) * (north - south) / 9e6))
    size = np.array([east - west, north - south])
    middle = np.array([west + east, south + north]) / 2
    placed: list[Points] = []
    for attempt in range(20 * count):
        reach = 0.12 if attempt == 0 else 0.46
        center = middle + rng.uniform(-reach, reach, 2) * size
        near = any(np.hypot(*(center - other)) < 1500 for other in placed)
        if len(placed) < count and not near:
            placed.append(center)
            radius = float(rng.lognormal(5.6, 0.42))
            ground = draw_blob(rng, center, radius).difference(river.buffer(45))
            _paint_village(rng, canvas, ground)


def _paint_village(rng: np.random.Generator, canvas: _Canvas, ground: BaseGeometry) -> None:
    angle = float(rng.uniform(0, np.pi))
    streets, sites = draw_streets(rng, ground, angle)
    canvas.paint("garden", [ground])
    canvas.paint_strips("asphalt", [streets], 3.6)
    canvas.sites.append(sites)
    center = shapely.get_coordinates(ground.representative_point())[0]
    square = draw_boxes(center[None], np.array([[58.0, 40.0]]), np.array([angle]))[0]
    canvas.paint("yard", [shapely.Polygon(square)])
    if rng.random() < 0.6:
        _paint_works(rng, canvas, ground, angle)


def _build_houses(
    rng: np.random.Generator, canvas: _Canvas, taken: BaseGeometry
) -> tuple[Houses, NDArray[np.int64]]:
    """Build a house on each site outside of `taken`; return them and the kinds of roofs."""
    sites = np.concatenate([np.empty((0, 3)), *canvas.sites])
    shapely.prepare(taken)
    sites = sites[~shapely.contains_xy(taken, sites[:, 0], sites[:, 1])]
    n = len(sites)
    sizes = np.column_stack([rng.uniform(8.5, 14.5, n), rng.uniform(8.0, 11.5, n)])
    kinds = [KINDS.index(name) for name in ROOF_SHARES]
    roofs = rng.choice(kinds, size=n, p=list(ROOF_SHARES.values()))
    return Houses(centers=sites[:, :2], sizes=sizes, angles=sites[:, 2]), roofs


def _paint_works(
    rng: np.random.Generator, canvas: _Canvas, ground: BaseGeometry, angle: float
) -> None:
    """Put a yard with large sheds at the edge of the village."""
    edge = shapely.get_coordinates(ground)
    center = edge[int(rng.integers(len(edge)))]
    sides = rng.uniform(110, 260, 2)
    yard = shapely.Polygon(draw_boxes(center[None], sides[None], np.array([angle]))[0])
    canvas.paint("verge", [yard.buffer(8.0)])
    canvas.paint("concrete", [yard])
    count = int(rng.integers(3, 8))
    places = center + rotate(rng.uniform(-0.4, 0.4, (count, 2)) * sides, angle)
    sheds = draw_boxes(places, rng.uniform(24, 70, (count, 2)), np.full(count, angle))
    for shed in sheds:
        canvas.paint(_pick(rng, SHED_SHARES), [shapely.Polygon(shed).intersection(yard)])
