"""Search a STAC API: one request chain per collection, box and time slab, never per cell."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlparse

from pystac import STACError
from pystac_client import Client
from pystac_client.errors import ClientTypeError
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from pystac_client.warnings import PystacClientWarning
from requests.exceptions import RequestException
from urllib3.util.retry import Retry

from catalog.errors import ItemError, QueryError
from catalog.providers.items import read_item
from catalog.providers.query import Retries, SceneQuery, SearchResult
from catalog.scene import Scene

_NOT_STAC = (STACError, ClientTypeError, AttributeError, KeyError, TypeError, ValueError)
"""What the client raises when an answer is not what a STAC API would say."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SLAB = timedelta(days=92)
_PAGE = 100


def search_stac(query: SceneQuery, url: str, *, retries: Retries | None = None) -> SearchResult:
    """Return every scene the API at `url` lists for `query`.

    Limits on cloud and the order of results are applied by the caller: not every API
    honors them, and one that does not makes results vanish silently.

    Raises:
        QueryError: If the API cannot be reached, keeps failing, or answers nonsense.
    """
    policy = retries or Retries()
    io = _CountingIO(
        timeout=policy.timeout_s,
        max_retries=Retry(
            total=policy.attempts - 1,
            backoff_factor=policy.backoff_s,
            status_forcelist=(429, 500, 502, 503, 504),
            allowed_methods=None,
            respect_retry_after_header=True,
        ),
    )
    # A proxy of the environment does not know a server on this very machine.
    io.session.trust_env = urlparse(url).hostname not in _LOOPBACK
    with _as_query_error(url, query, policy), warnings.catch_warnings():
        warnings.simplefilter("error", PystacClientWarning)
        client = Client.open(url, stac_io=io)
        items = list(_items(client, query))
    scenes, refused = _read(items, query)
    return SearchResult(scenes=scenes, refused=refused, requests=io.requests)


class _CountingIO(StacApiIO):
    """Counts requests, so that a plan can say what searching cost."""

    requests = 0

    def request(self, *args: Any, **kwargs: Any) -> str:  # noqa: ANN401 - foreign signature
        self.requests += 1
        return super().request(*args, **kwargs)


def _items(client: Client, query: SceneQuery) -> Iterator[dict[str, Any]]:
    for box in query.boxes:
        for start, end in _slabs(query.start, query.end):
            found = client.search(
                collections=list(query.collections),
                bbox=list(box),
                datetime=f"{_rfc3339(start)}/{_rfc3339(end)}" if start and end else None,
                limit=_PAGE,
            )
            for item in found.items_as_dicts():
                if not isinstance(item, dict):
                    raise TypeError(f"a page lists {item!r} where an item was expected")
                yield item


def _slabs(
    start: datetime | None, end: datetime | None
) -> Iterator[tuple[datetime | None, datetime | None]]:
    """Cut a period into pieces that an API can page through; one piece if it is open."""
    if start is None or end is None:
        yield None, None
        return
    while start < end:
        stop = min(start + _SLAB, end)
        yield start, stop
        start = stop


def _rfc3339(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _read(
    items: Sequence[dict[str, Any]], query: SceneQuery
) -> tuple[tuple[Scene, ...], tuple[str, ...]]:
    """Scenes inside the period, each id once, and why other items were refused."""
    scenes: dict[str, Scene] = {}
    refused: dict[str, str] = {}
    for item in items:
        try:
            scene = read_item(item, query.product, source=query.source, bands=query.bands)
        except ItemError as err:
            refused[str(item.get("id"))] = str(err)
            continue
        if _inside(scene.time, query):
            scenes[scene.id] = scene
    ordered = sorted(scenes.values(), key=lambda s: (s.time, s.id))
    return tuple(ordered), tuple(refused[k] for k in sorted(refused))


def _inside(time: datetime, query: SceneQuery) -> bool:
    if query.start is None or query.end is None:
        return True
    return query.start <= time < query.end


@contextmanager
def _as_query_error(url: str, query: SceneQuery, policy: Retries) -> Iterator[None]:
    """Wrap what the client raises in one message that names the request."""
    names = ", ".join(map(repr, query.collections))
    asked = f"STAC search at {url} for collection {names}"
    if query.start and query.end:
        last = query.end - timedelta(microseconds=1)
        asked += f", {query.start:%Y-%m-%d}/{last:%Y-%m-%d},"
    try:
        yield
    except PystacClientWarning as err:
        raise QueryError(f"{asked} needs something the server does not offer: {err}") from err
    except (APIError, RequestException) as err:
        raise QueryError(
            f"{asked} failed after {policy.attempts} tries: {err}; check the address and the "
            f"network, then run the same command again"
        ) from err
    except _NOT_STAC as err:
        raise QueryError(f"{asked} was not answered as a STAC API would: {err!r}") from err
