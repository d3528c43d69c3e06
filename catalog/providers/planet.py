"""PlanetScope deliveries: a folder of the user's own files."""

from catalog.errors import QueryError
from catalog.providers.query import SceneQuery, SearchResult


def search_planet_files(query: SceneQuery) -> SearchResult:
    """Return every scene of a folder of deliveries."""
    raise QueryError(f"not written yet: {query.source.name}")
