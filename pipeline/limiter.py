"""A limit on requests that all workers of a cluster share.

One lease per request bounds how many are in flight. A lease is kept for a least time even if
the answer comes sooner; as `leases` leases are all there are, no more requests than that can
begin in any span of that length, which bounds the rate without a second mechanism.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from distributed import Semaphore, get_worker

EARTH_ENGINE_CONCURRENT = 40
EARTH_ENGINE_PER_SECOND = 100
"""Default quotas of a project (Earth Engine usage guide, quotas)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limiter:
    """At most so many requests at once and in any second, whichever worker sends them.

    Inside a Dask task the limit holds for the whole cluster, elsewhere for this process.
    """

    name: str = "earth-engine"
    """Limiters of one name share their leases."""
    concurrent: int = EARTH_ENGINE_CONCURRENT
    per_second: int = EARTH_ENGINE_PER_SECOND

    def __post_init__(self) -> None:
        if self.concurrent < 1 or self.per_second < 1:
            raise ValueError(
                f"a limit of {self.concurrent} at once and {self.per_second} per second lets "
                f"nothing through; both are at least 1"
            )

    @property
    def leases(self) -> int:
        """How many leases there are."""
        return min(self.concurrent, self.per_second)

    @property
    def hold_s(self) -> float:
        """How long a lease is kept at least: a second holds a whole number of such spans.

        40 leases and 100 requests per second make 0.5 s, thus at most 80 in any second.
        """
        return 1 / (self.per_second // self.leases)

    @contextmanager
    def lease(self) -> Iterator[None]:
        """Wait for a lease, and keep it for the block, or longer in the background."""
        pool = _pool(self.name, self.leases)
        pool.acquire()
        taken = time.monotonic()
        try:
            yield
        finally:
            _call_later(taken + self.hold_s - time.monotonic(), pool.release)


class _Pool(Protocol):
    def acquire(self) -> object: ...

    def release(self) -> object: ...


_POOLS: dict[tuple[str, str, int], _Pool] = {}
_POOLS_LOCK = threading.Lock()


def _pool(name: str, leases: int) -> _Pool:
    """The leases of the cluster when called inside a task, of this process otherwise."""
    try:
        where = str(get_worker().id)
    except ValueError:
        where = ""
    with _POOLS_LOCK:
        key = (where, name, leases)
        if key not in _POOLS:
            _POOLS[key] = _shared(name, leases) if where else threading.Semaphore(leases)
        return _POOLS[key]


def _shared(name: str, leases: int) -> _Pool:
    semaphore: _Pool = Semaphore(  # type: ignore[no-untyped-call]
        max_leases=leases, name=f"geoloupe-{name}-{leases}"
    )
    return semaphore


def _call_later(wait_s: float, release: Callable[[], object]) -> None:
    if wait_s <= 0:
        release()
        return
    timer = threading.Timer(wait_s, release)
    timer.daemon = True  # what a process still holds at its end expires by itself
    timer.start()
