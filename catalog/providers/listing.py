"""One way to ask any archive for scenes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from catalog.providers.earth_engine import search_earth_engine
from catalog.providers.granules import search_granules
from catalog.providers.local import serve_archive
from catalog.providers.planet import search_planet_files
from catalog.providers.query import Retries, SceneQuery, SearchResult
from catalog.providers.source import Source
from catalog.providers.stac import search_stac

Search = Callable[[SceneQuery], SearchResult]


@contextmanager
def open_source(source: Source, *, retries: Retries | None = None) -> Iterator[Search]:
    """Yield what answers queries to `source`; a local archive is served meanwhile.

    Raises:
        QueryError: If a local archive is missing or malformed.
    """
    policy = retries or Retries()
    if source.listing == "stac" and source.is_local:
        with serve_archive(source.url) as url:
            yield lambda query: search_stac(query, url, retries=policy)
        return
    yield lambda query: _search(query, policy)


def _search(query: SceneQuery, policy: Retries) -> SearchResult:
    source = query.source
    if source.listing == "stac":
        return search_stac(query, source.url, retries=policy)
    if source.listing == "earth-engine":
        return search_earth_engine(query, retries=policy)
    if source.listing == "files" and query.product.key.startswith("planetscope"):
        return search_planet_files(query)
    return search_granules(query, retries=policy)
