"""A question to an archive, and its answer."""

from dataclasses import dataclass, field
from datetime import datetime

from catalog.product import Product
from catalog.providers.source import Source
from catalog.scene import Scene

Bounds = tuple[float, float, float, float]
"""(west, south, east, north), degrees; west > east for a box across 180 degrees."""


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

    @property
    def span(self) -> tuple[datetime, datetime] | None:
        """Start and end; None for static products."""
        return None if self.start is None or self.end is None else (self.start, self.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How patiently an archive is asked, and how much of it is taken for one answer."""

    attempts: int = 5
    backoff_s: float = 0.5
    """Half the wait before the third attempt (the second comes at once); doubles each time.
    A `Retry-After` header is obeyed instead."""
    timeout_s: float = 60.0
    """Longest silence of a server."""
    longest_wait_s: float = 120.0
    """An archive that asks for a longer `Retry-After` is given up."""
    answer_s: float = 300.0
    """Longest time that one answer may take to arrive."""
    answer_bytes: int = 64 * 2**20
    """Largest answer that is read, unpacked."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What an archive answered."""

    scenes: tuple[Scene, ...]
    """In order of time, then id; no id twice."""
    refused: tuple[str, ...] = ()
    """One reason per item that is not a usable scene of the product."""
    requests: int = field(default=0, compare=False)
    outside: int = field(default=0, compare=False)
    """Scenes that the archive listed though they are outside of the boxes or the period."""


def split_box(box: Bounds) -> tuple[Bounds, ...]:
    """Return a box as boxes with west < east within -180 and 180 degrees.

    Example:
        >>> split_box((170.0, -10.0, -170.0, 10.0))
        ((170.0, -10.0, 180.0, 10.0), (-180.0, -10.0, -170.0, 10.0))
        >>> split_box((175.0, 0.0, 185.0, 5.0))
        ((175.0, 0.0, 180.0, 5.0), (-180.0, 0.0, -175.0, 5.0))
    """
    west, south, east, north = box
    if east - west >= 360:
        return ((-180.0, south, 180.0, north),)
    if west < -180:
        west, east = west + 360, east + 360
    if east > 180:
        east -= 360
    if west <= east:
        return ((west, south, east, north),)
    return (west, south, 180.0, north), (-180.0, south, east, north)
