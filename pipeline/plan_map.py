"""A plan on a map: area, cells, scene footprints and matches, as one HTML file.

geemap and folium draw it; they are an optional extra (`pip install 'geoloupe[map]'`) and are
imported only here and only when asked. The page loads nothing: Leaflet is written into it.
"""

import json
import os
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from catalog.errors import GeoloupeError
from catalog.scene import Scene
from pipeline.plan import Plan
from pipeline.recipe import Recipe

MOST_CELLS = 3000
MOST_OUTLINES = 1500
"""Outlines of each kind that a page holds before it becomes slow to open."""
_LISTED = 12
_COLORS = ("#009e73", "#cc79a7", "#56b4e9", "#000000", "#8c510a", "#762a83", "#01665e")
"""Outlines of layers in turn: colors that no split has."""
_SPLITS = {"train": "#0072b2", "val": "#e6b800", "test": "#d55e00", "buffer": "#888888"}
"""Cells are filled by split; with the first outlines, the palette of Okabe and Ito."""

Feature = dict[str, Any]


def write_plan_map(plan: Plan, recipe: Recipe, path: Path) -> None:
    """Write the map of a plan.

    Args:
        plan: With its scenes and samples.
        recipe: Whose area is drawn.
        path: HTML file to write.

    Raises:
        GeoloupeError: If geemap is not installed.
    """
    _require_geemap()
    cells, scenes = cell_features(plan), scene_features(plan.scenes)
    page = _draw(recipe, cells, scenes, _notes(plan, cells, scenes))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


def cell_features(plan: Plan) -> list[Feature]:
    """Return a GeoJSON feature per cell, with its split and what was matched on it."""
    found: dict[str, Feature] = {}
    rows: dict[str, list[str]] = {}
    counts: dict[str, Counter[str]] = {}
    for row in plan.samples.sort_by("anchor_time").to_pylist():
        cell = row["cell_id"]
        if cell not in found:
            outline = mapping(shapely.set_precision(shapely.from_wkb(row["geometry"]), 1e-6))
            found[cell] = _feature(outline, cell=cell, split=row["split"])
            rows[cell], counts[cell] = [], Counter()
        counts[cell]["rejected" if row["reason"] else "samples"] += 1
        rows[cell].append(_match_line(row))
    for cell, feature in found.items():
        more = len(rows[cell]) - _LISTED
        listed = rows[cell][:_LISTED] + ([f"and {more} more"] if more > 0 else [])
        feature["properties"] |= {
            "samples": counts[cell]["samples"],
            "rejected": counts[cell]["rejected"],
            "matches": "<br>".join(listed),
        }
    return [found[cell] for cell in sorted(found)][:MOST_CELLS]


def scene_features(scenes: Mapping[str, Sequence[Scene]]) -> dict[str, list[Feature]]:
    """Return a GeoJSON feature per outline of candidate scenes, by layer.

    Scenes of one outline, as the passes of one orbit, are one feature that lists them.
    """
    return {layer: _outlines(listed)[:MOST_OUTLINES] for layer, listed in scenes.items()}


def _outlines(scenes: Sequence[Scene]) -> list[Feature]:
    alike: dict[bytes, list[Scene]] = {}
    for scene in scenes:
        rounded = shapely.normalize(shapely.set_precision(scene.footprint, 1e-4))
        alike.setdefault(shapely.to_wkb(rounded), []).append(scene)
    return [_outline(shapely.from_wkb(key), listed) for key, listed in alike.items()]


def _outline(geometry: BaseGeometry, scenes: Sequence[Scene]) -> Feature:
    lines = [f"{s.time:%Y-%m-%d %H:%M} {_escape(s.id[:60])}" for s in scenes[:_LISTED]]
    if len(scenes) > _LISTED:
        lines.append(f"and {len(scenes) - _LISTED} more")
    return _feature(mapping(geometry), scenes=len(scenes), listed="<br>".join(lines))


def _feature(geometry: Mapping[str, Any], **properties: object) -> Feature:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _match_line(row: Mapping[str, Any]) -> str:
    when = f"{row['anchor_time']:%Y-%m-%d}"
    if row["reason"]:
        return _escape(f"{when}: rejected, {row['reason']}")
    found = json.loads(row["candidates"])
    return _escape(f"{when}: " + ", ".join(f"{k} {len(v)}" for k, v in found.items()))


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _notes(
    plan: Plan, cells: Sequence[Feature], scenes: Mapping[str, Sequence[Feature]]
) -> list[str]:
    """What a page of bounded size leaves out."""
    notes = []
    if plan.cells > len(cells):
        notes.append(f"{len(cells):,} of {plan.cells:,} cells drawn")
    for layer, drawn in scenes.items():
        shown = sum(feature["properties"]["scenes"] for feature in drawn)
        if len(plan.scenes[layer]) > shown:
            notes.append(f"{shown:,} of {len(plan.scenes[layer]):,} {layer} scenes drawn")
    return notes


def _require_geemap() -> None:
    lacking = [name for name in ("geemap", "xstatic") if find_spec(name) is None]
    if lacking:
        raise GeoloupeError(
            f"--map needs {' and '.join(lacking)}, which are not installed: "
            "pip install 'geoloupe[map]'"
        )


def _draw(
    recipe: Recipe,
    cells: Sequence[Feature],
    scenes: Mapping[str, Sequence[Feature]],
    notes: Iterable[str],
) -> str:
    # geemap picks its backend by this variable when it is first imported.
    os.environ.setdefault("USE_FOLIUM", "1")
    os.environ.setdefault("USE_EEREPR", "0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of geemap's own imports
        import folium  # noqa: PLC0415 - an optional extra
        from geemap import foliumap  # noqa: PLC0415
    plain = dict.fromkeys(
        ("ee_initialize", "plugin_Draw", "plugin_Fullscreen", "search_control"), False
    )
    canvas = foliumap.Map(
        tiles=None, attribution_control=False, scale_control=True, height="100%", **plain
    )
    folium.TileLayer("OpenStreetMap", name="OpenStreetMap (online)", show=False).add_to(canvas)
    areas = [_feature(mapping(region.geometry), area=region.name) for region in recipe.regions]
    _add(canvas, "area", areas, lambda _f: {"color": "#000000", "weight": 2, "fill": False})
    for (layer, features), color in zip(scenes.items(), _COLORS * len(scenes), strict=False):
        style = {"color": color, "weight": 1.5, "fill": False}
        name = f'<b style="color:{color}">&#9633;</b> scenes: {layer}'
        _add(canvas, name, features, lambda _f, style=style: style)
    _add(canvas, "cells and matches", cells, _cell_style)
    folium.LayerControl(collapsed=False).add_to(canvas)
    west, south, east, north = shapely.total_bounds([r.geometry for r in recipe.regions])
    canvas.fit_bounds([[south, west], [north, east]])
    splits = Counter(str(cell["properties"]["split"]) for cell in cells)
    return _contained(canvas, folium, recipe, notes, splits)


def _cell_style(feature: Feature) -> dict[str, Any]:
    """Color by split; filled as far as the cell has samples."""
    kept = feature["properties"]["samples"]
    color = _SPLITS.get(feature["properties"]["split"], "#000000")
    return {"color": color, "weight": 1, "fillOpacity": 0.35 if kept else 0.05}


def _add(
    canvas: Any,  # noqa: ANN401 - folium has no types
    name: str,
    features: Sequence[Feature],
    style: Any,  # noqa: ANN401
) -> None:
    """Add one layer; what its features say shows under the pointer, lists upon a click."""
    import folium  # noqa: PLC0415

    if not features:
        return
    keys = list(features[0]["properties"])
    short = [key for key in keys if key not in ("matches", "listed")]
    layer = folium.GeoJson(
        {"type": "FeatureCollection", "features": list(features)},
        name=name,
        style_function=style,
        tooltip=folium.GeoJsonTooltip(short),
        popup=folium.GeoJsonPopup(keys, max_width=480),
    )
    layer.add_to(canvas)


def _contained(
    canvas: Any,  # noqa: ANN401
    folium: Any,  # noqa: ANN401
    recipe: Recipe,
    notes: Iterable[str],
    splits: Counter[str],
) -> str:
    """Render the page with everything it needs inside."""
    from xstatic.pkg import leaflet  # noqa: PLC0415

    assets = Path(leaflet.BASE_DIR)
    canvas.default_js, canvas.default_css = [], []
    root = canvas.get_root()
    style = (assets / "leaflet.css").read_text(encoding="utf-8")
    script = (assets / "leaflet.js").read_text(encoding="utf-8")
    script = script.replace("//# sourceMappingURL=leaflet.js.map", "")
    root.header.add_child(folium.Element(f"<style>{_without_images(style)}{_STYLE}</style>"))
    root.header.add_child(folium.Element(f"<script>{script}</script>"))
    root.header.add_child(folium.Element(f"<title>{_escape(recipe.name)}: plan</title>"))
    said = "; ".join(notes)
    legend = "".join(
        f'<i style="background:{color}"></i>{count} {split}'
        for split, color in _SPLITS.items()
        if (count := splits[split])
    )
    head = f"<b>{_escape(recipe.name)}</b> {legend} {_escape(said)}"
    root.html.add_child(folium.Element(f'<div class="plan-head">{head}</div>'))
    page: str = root.render()
    return page


_STYLE = """
.leaflet-container { background: #eef0f2; font: 13px/1.4 system-ui, sans-serif; }
.plan-head { position: fixed; z-index: 1000; left: 56px; top: 10px; padding: 6px 10px;
  background: #fff; border-radius: 4px; box-shadow: 0 1px 4px #0004; font: 13px system-ui; }
.plan-head i { display: inline-block; width: 11px; height: 11px; margin: 0 4px 0 12px; }
"""


def _without_images(style: str) -> str:
    """Leaflet's style sheet without the pictures of markers, which the map has none of."""
    return "\n".join(line for line in style.splitlines() if "url(" not in line)
