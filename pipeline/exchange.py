"""What the workers of a build share: short texts, and a lock for each.

Inside a Dask task they go through the scheduler, so that all workers see one value and only
one of them renews it. Elsewhere the process is all there is. Values live in memory, never in
a store.
"""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from distributed import Lock, get_client, get_worker

from catalog.errors import SourceUnavailable

_PREFIX = "geoloupe"
_PATIENCE_S = 300.0
"""How long one worker may keep a lock before the others stop waiting for it."""


class Exchange(Protocol):
    """Texts by key, and a lock by key, that all workers see."""

    def get(self, key: str) -> str | None:
        """Return the text put last, or None."""

    def put(self, key: str, value: str) -> None:
        """Share a text."""

    def lock(self, key: str) -> AbstractContextManager[None]:
        """Keep all other workers out while the context lasts.

        Raises:
            SourceUnavailable: If another holds it for minutes.
        """


def find_exchange() -> Exchange:
    """Return what the workers of this task's cluster share, or this process alone."""
    try:
        get_worker()
    except ValueError:
        return _PROCESS
    return _ClusterExchange()


class _ProcessExchange:
    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    def get(self, key: str) -> str | None:
        return self._values.get(key)

    def put(self, key: str, value: str) -> None:
        self._values[key] = value

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        if not lock.acquire(timeout=_PATIENCE_S):
            raise SourceUnavailable(_waited(key))
        try:
            yield
        finally:
            lock.release()


_PROCESS = _ProcessExchange()


def _waited(key: str) -> str:
    return f"another worker has been busy with {key} for {_PATIENCE_S:g} s; try again later"


class _ClusterExchange:
    """Values in the scheduler's metadata, locks of Dask; a dead worker's lock is freed."""

    def get(self, key: str) -> str | None:
        client = get_client()
        found = client.get_metadata([_PREFIX, key], default=None)  # type: ignore[no-untyped-call]
        return None if found is None else str(found)

    def put(self, key: str, value: str) -> None:
        get_client().set_metadata([_PREFIX, key], value)  # type: ignore[no-untyped-call]

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        lock = Lock(f"{_PREFIX}-{key}")  # type: ignore[no-untyped-call]
        if not lock.acquire(timeout=_PATIENCE_S):  # type: ignore[no-untyped-call]
            raise SourceUnavailable(_waited(key))
        try:
            yield
        finally:
            lock.release()  # type: ignore[no-untyped-call]
