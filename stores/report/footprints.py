"""The map of a store's cells: drawn from the index alone, over a graticule."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import pandas as pd
from shapely.geometry import Polygon

from stores.report.charts import nice_ticks
from stores.report.markup import Html, element
from stores.report.page import count, grid, legend, plural

MOST_OUTLINES = 3000
"""Above this many cells a map counts cells per square of the drawing instead."""
MOST_PANELS = 6
"""Regions with a map of their own, where they lie too far apart for one."""

SPLIT_COLORS = {
    "train": "var(--train)",
    "val": "var(--val)",
    "test": "var(--test)",
    "buffer": "var(--buffer)",
    "rejected": "none",
}
"""State of a cell -> fill; cells without a kept sample are drawn hollow."""
METERS_PER_DEGREE = 111_320.0
"""Length of a degree of longitude at the equator."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """Longitude and latitude to drawing units: an equirectangular map, true at its middle."""

    west: float
    south: float
    east: float
    north: float
    width: float
    left: float = 58.0
    bottom: float = 46.0

    @property
    def meters_per_unit(self) -> float:
        squeeze = math.cos(math.radians((self.south + self.north) / 2))
        return (self.east - self.west) * squeeze * METERS_PER_DEGREE / (self.width - self.left)

    @property
    def height(self) -> float:
        return (self.north - self.south) * METERS_PER_DEGREE / self.meters_per_unit

    def x(self, longitude: float) -> float:
        share = (longitude - self.west) / (self.east - self.west)
        return self.left + share * (self.width - self.left)

    def y(self, latitude: float) -> float:
        return (self.north - latitude) / (self.north - self.south) * self.height


def cell_states(index: pd.DataFrame) -> pd.DataFrame:
    """Return one row per cell: its split, or `'buffer'` or `'rejected'` without kept samples.

    Args:
        index: The store's index, one row per sample.
    """
    kept = index["status"] == "kept"
    state = index["split"].where(kept, "rejected")
    state = state.mask(~kept & (index["split"] == "buffer"), "buffer")
    cells = index.assign(state=state, hollow=~kept)
    return cells.sort_values("hollow", kind="stable").drop_duplicates("cell_id")


def footprint_maps(index: gpd.GeoDataFrame) -> Html:
    """Return the legend and the map of the cells, or one map per region if those lie apart."""
    cells = cell_states(index)
    states = cells["state"].value_counts()
    shown = [s for s in SPLIT_COLORS if s in states]
    keys = [
        (_key_color(s), f"{s}: {count(states[s])} {plural(states[s], 'cell')}") for s in shown
    ]
    regions = _panels(cells)
    maps = [_map(part, 1120.0 if len(regions) == 1 else 540.0, name) for name, part in regions]
    left_out = cells["region"].nunique() - len(regions) if len(regions) > 1 else 0
    note = element("p", f"{left_out} more regions are not drawn.", class_="note")
    body = maps[0] if len(maps) == 1 else grid("two", *maps)
    return element("div", legend(keys), body, note if left_out > 0 else Html(""))


def _key_color(state: str) -> str:
    return "var(--rule)" if state == "rejected" else SPLIT_COLORS[state]


def _panels(cells: gpd.GeoDataFrame) -> list[tuple[str, gpd.GeoDataFrame]]:
    """One map of everything, unless the largest region would be a speck on it."""
    parts = [(str(name), part) for name, part in cells.groupby("region", sort=True)]
    widest = max(_extent_deg(part) for _, part in parts)
    if len(parts) == 1 or _extent_deg(cells) < 25 * widest:
        return [("", cells)]
    return parts[:MOST_PANELS]


def _extent_deg(cells: gpd.GeoDataFrame) -> float:
    west, south, east, north = _bounds(cells)
    return max(east - west, north - south)


def _bounds(cells: gpd.GeoDataFrame) -> tuple[float, float, float, float]:
    west, south, east, north = (float(v) for v in cells.total_bounds)
    return west, south, east, north


def _frame(cells: gpd.GeoDataFrame, width: float) -> _Frame:
    """Frame with a margin, no flatter than 1:4 and no taller than 9:20."""
    west, south, east, north = _bounds(cells)
    squeeze = math.cos(math.radians((south + north) / 2))
    wide, tall = max((east - west) * squeeze, 1e-5) * 1.12, max(north - south, 1e-5) * 1.12
    wide, tall = max(wide, tall / 0.45), max(tall, wide / 4)
    lon, lat = (west + east) / 2, (south + north) / 2
    half = wide / squeeze / 2
    return _Frame(lon - half, lat - tall / 2, lon + half, lat + tall / 2, width)


def _map(cells: gpd.GeoDataFrame, width: float, name: str) -> Html:
    frame = _frame(cells, width)
    draw = _outlines if len(cells) <= MOST_OUTLINES else _squares
    sheet = element(
        "rect",
        x=frame.left,
        y=0,
        width=frame.width - frame.left,
        height=frame.height,
        fill="var(--land)",
    )
    if draw is _squares:
        name += " Each square has the color of the commonest state of the cells in it."
    drawing = element(
        "svg",
        sheet,
        *_graticule(frame),
        *draw(cells, frame),
        *_scale_bar(frame),
        viewBox=f"0 0 {frame.width:g} {frame.height + frame.bottom:.0f}",
        role="img",
        aria_label="map of the cells",
    )
    caption = [element("figcaption", name.strip())] if name else []
    return element("figure", drawing, *caption)


def _outlines(cells: gpd.GeoDataFrame, frame: _Frame) -> list[Html]:
    return [
        element(
            "path",
            element("title", f"{cell_id}: {state}"),
            d=_outline(shape, frame),
            fill=SPLIT_COLORS.get(state, "var(--c5)"),
            fill_opacity="0.72",
            stroke="var(--quiet)" if state == "rejected" else "var(--paper)",
            stroke_width="0.8",
        )
        for shape, state, cell_id in zip(
            cells.geometry, cells["state"], cells["cell_id"], strict=True
        )
    ]


def _outline(shape: Polygon, frame: _Frame) -> str:
    corners = (f"{frame.x(x):.1f} {frame.y(y):.1f}" for x, y in shape.exterior.coords[:-1])
    return "M" + "L".join(corners) + "z"


def _squares(cells: gpd.GeoDataFrame, frame: _Frame) -> list[Html]:
    """Squares of eight drawing units in the color of the commonest state inside."""
    side = 8.0
    bounds = cells.bounds
    column = np.floor(
        (bounds[["minx", "maxx"]].mean(axis=1) - frame.west)
        / (frame.east - frame.west)
        * ((frame.width - frame.left) / side)
    )
    row = np.floor(
        (frame.north - bounds[["miny", "maxy"]].mean(axis=1))
        / (frame.north - frame.south)
        * (frame.height / side)
    )
    places = pd.DataFrame({"column": column, "row": row, "state": cells["state"]})
    tally = places.value_counts().reset_index().drop_duplicates(["column", "row"])
    drawn: list[Html] = []
    for state, group in tally.groupby("state", sort=True):
        squares = zip(group["column"], group["row"], strict=True)
        path = "".join(
            f"M{frame.left + c * side:.0f} {r * side:.0f}h7v7h-7z" for c, r in squares
        )
        fill = SPLIT_COLORS.get(str(state), "var(--c5)")
        line = "var(--quiet)" if fill == "none" else None
        drawn.append(element("path", d=path, fill=fill, stroke=line))
    return drawn


def _graticule(frame: _Frame) -> list[Html]:
    lines: list[Html] = []
    for lon in nice_ticks(frame.west, frame.east, 6):
        x = frame.x(lon)
        lines.append(_rule(x, 0.0, x, frame.height))
        label = _degrees((lon + 180.0) % 360.0 - 180.0, "EW")
        lines.append(element("text", label, x=x, y=frame.height + 16.0, text_anchor="middle"))
    for lat in nice_ticks(frame.south, frame.north, 4):
        y = frame.y(lat)
        lines.append(_rule(frame.left, y, frame.width, y))
        lines.append(
            element(
                "text", _degrees(lat, "NS"), x=frame.left - 7.0, y=y + 4.0, text_anchor="end"
            )
        )
    return lines


def _rule(x1: float, y1: float, x2: float, y2: float) -> Html:
    return element("line", class_="axis", x1=x1, y1=y1, x2=x2, y2=y2)


def _degrees(value: float, letters: str) -> str:
    return f"{abs(value):.6g}° {letters[value < 0]}" if value else "0°"


def _scale_bar(frame: _Frame) -> list[Html]:
    meters = _round_length(frame.meters_per_unit * (frame.width - frame.left) / 5)
    long = meters / frame.meters_per_unit
    x, y = frame.width - long, frame.height + 30.0
    label = f"{meters / 1000:g} km" if meters >= 1000 else f"{meters:g} m"
    bar = f"M{x:.1f} {y - 4:.1f}v4H{frame.width:.1f}v-4"
    return [
        element("path", d=bar, fill="none", stroke="var(--ink)", stroke_width="1.4"),
        element("text", label, x=x + long / 2, y=y + 13.0, text_anchor="middle"),
    ]


def _round_length(meters: float) -> float:
    power = 10.0 ** math.floor(math.log10(meters))
    return max(m * power for m in (1, 2, 5) if m * power <= meters)


def place_name(cells: gpd.GeoDataFrame) -> str:
    """Return where the cells lie, as the middle of their extent."""
    west, south, east, north = _bounds(cells)
    lat, lon = (south + north) / 2, (west + east) / 2
    return f"{abs(lat):.4f}° {'NS'[lat < 0]}, {abs(lon):.4f}° {'EW'[lon < 0]}"


def region_names(regions: Sequence[str], most: int) -> str:
    """Return the first `most` names and how many follow."""
    names = sorted(set(regions))
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
