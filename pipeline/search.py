"""Ask the archives of a recipe for scenes: once per collection, box and time slab."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import shapely

from catalog.errors import QueryError
from catalog.grid import Cell, footprints
from catalog.match import HALF_HOUR
from catalog.products import find_product
from catalog.providers.listing import open_source
from catalog.providers.query import Bounds, Retries, SceneQuery, SearchResult
from catalog.providers.source import Source
from catalog.scene import Scene
from pipeline.recipe import Layer, Recipe

_TILE_DEG = 4.0
"""Cells in one square of so many degrees are asked for together."""

OnSearch = Callable[[str, int], None]
"""Told the product and the number of scenes after each search."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the archives list for a recipe."""

    scenes: Mapping[str, tuple[Scene, ...]]
    """Layer -> scenes, those above `max_cloud` left out."""
    too_cloudy: Mapping[str, int]
    """Layer -> scenes left out because of `max_cloud`."""
    outside: Mapping[str, int]
    """Layer -> scenes that an archive listed though they lie outside of what was asked for."""
    refused: Mapping[str, tuple[str, ...]]
    """Layer -> why items were no usable scenes."""
    requests: int
    """HTTP requests that searching took."""


@dataclass(frozen=True, slots=True)
class _Subject:
    """Layers with the same subject share one search."""

    source: Source
    collection: str | None
    product: str
    span: tuple[datetime, datetime] | None


def search_scenes(
    recipe: Recipe,
    cells: Sequence[Cell],
    now: datetime,
    *,
    retries: Retries | None = None,
    on_search: OnSearch = lambda _product, _count: None,
) -> Found:
    """Return the scenes that a recipe may use, by layer.

    Args:
        recipe: Says which products, where they are listed, and when.
        cells: Where scenes are wanted.
        now: Ends a period that runs to `'now'`; aware.
        retries: How patiently archives are asked.
        on_search: Told after each search.

    Raises:
        QueryError: If an archive fails, or lists nothing at all for the anchor's product.
    """
    boxes = search_boxes(cells)
    layers_of: dict[_Subject, list[Layer]] = {}
    for layer in recipe.layers.values():
        layers_of.setdefault(_subject(layer, recipe, now), []).append(layer)
    results: dict[str, SearchResult] = {}
    with ExitStack() as servers:
        ask = {
            source: servers.enter_context(open_source(source, retries=retries))
            for source in {subject.source: None for subject in layers_of}
        }
        for subject, layers in layers_of.items():
            result = ask[subject.source](_query(subject, layers, boxes))
            on_search(subject.product, len(result.scenes))
            results |= {layer.name: result for layer in layers}
    _require_anchors(recipe, boxes, results)
    clear = {
        n: _clear(results[n].scenes, layer.max_cloud) for n, layer in recipe.layers.items()
    }
    return Found(
        scenes=clear,
        too_cloudy={n: len(results[n].scenes) - len(clear[n]) for n in recipe.layers},
        outside={n: results[n].outside for n in recipe.layers},
        refused={n: results[n].refused for n in recipe.layers},
        requests=sum({id(r): r.requests for r in results.values()}.values()),
    )


def search_boxes(cells: Iterable[Cell]) -> tuple[Bounds, ...]:
    """Return the boxes to ask for: one per 4-degree square that holds cells, drawn tight.

    Squares end at the antimeridian, so no box crosses it.
    """
    ordered = list(cells)
    centers = np.array([cell.lonlat for cell in ordered]).reshape(-1, 2)
    bounds = shapely.bounds(footprints(ordered))
    squares = np.floor(centers / _TILE_DEG).astype(int)
    boxes = []
    for square in np.unique(squares, axis=0):
        mine = bounds[(squares == square).all(axis=1)]
        west, south = mine[:, :2].min(axis=0)
        east, north = mine[:, 2:].max(axis=0)
        boxes.append((max(west, -180.0), south, min(east, 180.0), north))
    return tuple((float(w), float(s), float(e), float(n)) for w, s, e, n in boxes)


def _subject(layer: Layer, recipe: Recipe, now: datetime) -> _Subject:
    span = _span(layer, recipe, now)
    return _Subject(layer.source, layer.collection, layer.product, span)


def _span(layer: Layer, recipe: Recipe, now: datetime) -> tuple[datetime, datetime] | None:
    """The time to ask for, given what a layer may be matched with."""
    start, end = recipe.period.span(now)
    if layer.when == "static":
        return None
    if layer.name == recipe.anchor:
        return start, end
    if layer.when == "window":
        return start - recipe.window, end + recipe.window
    if layer.when == "hour":
        return start - HALF_HOUR, end + HALF_HOUR
    last = end - timedelta(microseconds=1)
    return datetime(start.year, 1, 1, tzinfo=UTC), datetime(last.year + 1, 1, 1, tzinfo=UTC)


def _query(subject: _Subject, layers: Sequence[Layer], boxes: tuple[Bounds, ...]) -> SceneQuery:
    product = find_product(subject.product)
    keys = list(dict.fromkeys(key for layer in layers for key in layer.bands))
    if product.quality.band is not None:
        keys.append(product.quality.band)
    start, end = subject.span or (None, None)
    return SceneQuery(
        product=product,
        source=subject.source,
        bands=tuple(keys),
        boxes=boxes,
        start=start,
        end=end,
        collection=subject.collection,
    )


def _clear(scenes: Sequence[Scene], max_cloud: float) -> tuple[Scene, ...]:
    return tuple(s for s in scenes if s.cloud is None or s.cloud <= max_cloud)


def _require_anchors(
    recipe: Recipe, boxes: tuple[Bounds, ...], results: Mapping[str, SearchResult]
) -> None:
    if not isinstance(recipe.anchor, str) or results[recipe.anchor].scenes:
        return
    layer = recipe.layers[recipe.anchor]
    refused = results[recipe.anchor].refused
    why = f"; {len(refused)} items were refused, the first: {refused[0]}" if refused else ""
    raise QueryError(
        f"{layer.source.name} lists no scene of {layer.product!r} for the anchor layer "
        f"{layer.name!r} around longitude {boxes[0][0]:.2f}, latitude {boxes[0][1]:.2f} in the "
        f"period of the recipe{why}; check area (longitude comes first), period and source"
    )
