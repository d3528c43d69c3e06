"""Search a STAC API: one request chain per box and time slab, never per cell."""

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import shapely
from pystac import STACError
from pystac_client import Client
from pystac_client.errors import ClientTypeError
from pystac_client.exceptions import APIError
from pystac_client.warnings import PystacClientWarning
from shapely.geometry.base import BaseGeometry

from catalog.errors import ItemError, QueryError
from catalog.providers.fetch import AnswerError, Fetcher
from catalog.providers.identify import refuse_unasked
from catalog.providers.items import read_item
from catalog.providers.query import Bounds, Retries, SceneQuery, SearchResult, split_box
from catalog.providers.stac_pages import PageReader, stated_total
from catalog.scene import Scene

_NOT_STAC = (
    STACError,
    ClientTypeError,
    APIError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What the client raises when an answer is not what a STAC API would say."""
_SLAB = timedelta(days=92)
_SHORTEST_SLAB = timedelta(hours=1)
_NARROWEST_DEG = 0.1
_PAGE = 100
_ROUND_TOTAL = 1000
"""An archive that says no total and ends at so many items, or a multiple, may have cut."""
_PART = re.compile(r"_(SR|ST)$")
"""USGS lists reflectance and temperature of one scene as two items."""

Span = tuple[datetime, datetime] | None
"""First instant, and first instant no longer asked for; None without a time."""


def search_stac(query: SceneQuery, url: str, *, retries: Retries | None = None) -> SearchResult:
    """Return every scene the API at `url` lists for `query`.

    Limits on cloud and the order of results are applied by the caller, and boxes and times
    are checked here: not every API honors what it is asked, and one that does not makes
    results vanish silently, or appear. Only boxes are sent, never outlines, since not every
    API takes them.

    Raises:
        QueryError: If the API cannot be reached, keeps failing, answers nonsense, withholds
            part of what it says it has, or has more than `query.source.max_items`.
    """
    policy = retries or Retries()
    fetcher = Fetcher(url, policy)
    with _as_query_error(url, query), warnings.catch_warnings():
        warnings.simplefilter("error", PystacClientWarning)
        try:
            client = Client.open(url, stac_io=PageReader(fetcher))
            listing = _Listing(client=client, query=query)
            for box in query.boxes:
                for half in split_box(box):
                    for span in _slabs(query.span):
                        listing.take(half, span)
        finally:
            fetcher.close()
    scenes, refused, outside = _read(listing.items(), query)
    return SearchResult(
        scenes=scenes, refused=refused, requests=fetcher.requests, outside=outside
    )


@dataclass
class _Listing:
    """Items that an API lists for a query, each once."""

    client: Client
    query: SceneQuery
    _found: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def items(self) -> list[dict[str, Any]]:
        """Items so far, those that are parts of one scene put together."""
        if len(self.query.collections) < 2:
            return list(self._found.values())
        order = {name: place for place, name in enumerate(self.query.collections)}
        ranked = sorted(self._found.items(), key=lambda f: order.get(f[0][0], len(order)))
        whole: dict[str, dict[str, Any]] = {}
        for (_, item_id), item in ranked:
            scene_id = _PART.sub("", item_id)
            first = whole.setdefault(scene_id, item)
            more, own = item.get("assets"), first.get("assets")
            if first is not item and isinstance(more, dict) and isinstance(own, dict):
                whole[scene_id] = {**first, "assets": {**more, **own}}
        return list(whole.values())

    def take(self, box: Bounds, span: Span) -> None:
        """Page through one box and slab; halve it if the API held some of it back."""
        count, total = self._page_through(box, span)
        held_back = (
            count < total if total is not None else count > 0 and count % _ROUND_TOTAL == 0
        )
        if not held_back:
            return
        halves = _halves(box, span)
        if not halves:
            stated = f"says it has {total}" if total is not None else "says no total"
            raise AnswerError(
                f"listed {count} items of one place and hour but {stated}; nothing is taken, "
                f"since some would be missing: report it to the archive, or leave the layer out"
            )
        for half_box, half_span in halves:
            self.take(half_box, half_span)

    def _page_through(self, box: Bounds, span: Span) -> tuple[int, int | None]:
        """How many items were listed, and how many the API says there are."""
        count, total = 0, None
        for page in self._pages(box, span):
            features = page["features"]
            count += len(features)
            total = stated_total(page) if total is None else total
            self._refuse_flood(max(count, total or 0))
            for item in features:
                if not isinstance(item, dict):
                    raise TypeError(f"a page lists {item!r} where an item was expected")
                self._found[str(item.get("collection")), str(item.get("id"))] = item
            self._refuse_flood(len(self._found))
        return count, total

    def _pages(self, box: Bounds, span: Span) -> Iterator[dict[str, Any]]:
        search = self.client.search(
            collections=list(self.query.collections),
            bbox=list(box),
            datetime=f"{_rfc3339(span[0])}/{_rfc3339(span[1])}" if span else None,
            limit=_PAGE,
        )
        reader = self.client._stac_io  # noqa: SLF001 - ours, kept there by the client
        if not isinstance(reader, PageReader):
            raise TypeError("the client lost its reader")
        return reader.get_pages(search.url, search.method, search.get_parameters())

    def _refuse_flood(self, count: int) -> None:
        source = self.query.source
        if count > source.max_items:
            raise AnswerError(
                f"matches {count} items or more, above the limit of {source.max_items}; take a "
                f"smaller area or a shorter period, or raise max_items of the source "
                f"{source.name!r} in the recipe"
            )


def _slabs(span: Span) -> Iterator[Span]:
    """Cut a period into pieces that an API can page through; one piece if it is open."""
    if span is None:
        yield None
        return
    start, end = span
    while start < end:
        stop = min(start + _SLAB, end)
        yield start, stop
        start = stop


def _halves(box: Bounds, span: Span) -> tuple[tuple[Bounds, Span], ...]:
    """Two smaller questions that ask for the same; none if they would be too small."""
    if span is not None:
        start, end = span
        if end - start <= _SHORTEST_SLAB:
            return ()
        middle = start + (end - start) / 2
        return (box, (start, middle)), (box, (middle, end))
    west, south, east, north = box
    if max(east - west, north - south) <= _NARROWEST_DEG:
        return ()
    if east - west >= north - south:
        x = (west + east) / 2
        return ((west, south, x, north), None), ((x, south, east, north), None)
    y = (south + north) / 2
    return ((west, south, east, y), None), ((west, y, east, north), None)


def _rfc3339(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _read(
    items: Sequence[dict[str, Any]], query: SceneQuery
) -> tuple[tuple[Scene, ...], tuple[str, ...], int]:
    """Scenes inside of boxes and period, why other items were refused, how many are outside."""
    scenes: dict[str, Scene] = {}
    refused: dict[str, str] = {}
    outside = 0
    asked = shapely.union_all([shapely.box(*b) for box in query.boxes for b in split_box(box)])
    shapely.prepare(asked)
    for item in items:
        try:
            refuse_unasked(item, query.product, query.collections)
            scene = read_item(item, query.product, source=query.source, bands=query.bands)
        except ItemError as err:
            refused[f"{item.get('id')} {item.get('collection')}"] = str(err)
            continue
        if _inside(scene, query.span, asked):
            scenes[scene.id] = scene
        else:
            outside += 1
    ordered = sorted(scenes.values(), key=lambda s: (s.time, s.id))
    return tuple(ordered), tuple(refused[k] for k in sorted(refused)), outside


def _inside(scene: Scene, span: Span, asked: BaseGeometry) -> bool:
    if span is not None and not span[0] <= scene.time < span[1]:
        return False
    return bool(shapely.intersects(scene.footprint, asked))


@contextmanager
def _as_query_error(url: str, query: SceneQuery) -> Iterator[None]:
    """Wrap what the client raises in one message that names the request."""
    names = ", ".join(map(repr, query.collections))
    asked = f"STAC search at {url} for collection {names}"
    if query.span is not None:
        last = query.span[1] - timedelta(microseconds=1)
        asked += f", {query.span[0]:%Y-%m-%d}/{last:%Y-%m-%d},"
    try:
        yield
    except AnswerError as err:
        raise QueryError(f"{asked} {err}") from err
    except PystacClientWarning as err:
        raise QueryError(f"{asked} needs something the server does not offer: {err}") from err
    except _NOT_STAC as err:
        said = repr(err)[:300]
        raise QueryError(f"{asked} was not answered as a STAC API would: {said}") from err
