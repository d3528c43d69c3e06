"""A question to an archive, and its answer."""

from dataclasses import dataclass, field
from datetime import datetime

from catalog.product import Product
from catalog.providers.source import Source
from catalog.scene import Scene

Bounds = tuple[float, float, float, float]
"""(west, south, east, north), degrees; west < east."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneQuery:
    """What to ask an archive."""

    product: Product
    source: Source
    bands: tuple[str, ...]
    """Band keys that a scene must offer, the quality band included."""
    boxes: tuple[Bounds, ...]
    start: datetime | None = None
    """First instant asked for; None together with `end` for static products."""
    end: datetime | None = None
    """First instant no longer asked for."""
    collection: str | None = None
    """Collection id, if it differs from the product table's."""

    @property
    def collections(self) -> tuple[str, ...]:
        """Ids of the collections to search."""
        if self.collection is not None:
            return (self.collection,)
        return self.product.archive(self.source.dialect).collections


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How patiently an archive is asked."""

    attempts: int = 5
    backoff_s: float = 0.5
    """Half the wait before the third attempt (the second comes at once); doubles each time.
    A `Retry-After` header is obeyed instead."""
    timeout_s: float = 60.0


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What an archive answered."""

    scenes: tuple[Scene, ...]
    """In order of time, then id; no id twice."""
    refused: tuple[str, ...] = ()
    """One reason per item that is not a usable scene of the product."""
    requests: int = field(default=0, compare=False)
