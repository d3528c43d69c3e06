"""Granule archives list files of gridded data."""

from catalog.errors import QueryError
from catalog.providers.query import Retries, SceneQuery, SearchResult


def search_granules(query: SceneQuery, *, retries: Retries) -> SearchResult:
    """Return every scene listed for `query`."""
    raise QueryError(f"not written yet: {query.source.name} {retries}")
