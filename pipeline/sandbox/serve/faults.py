"""Faults of a server on demand: wrong answers, slow answers, connections dropped.

server.faults.answer("/scene/red.tif", 503, times=2)   # then works
server.faults.answer("/search", 503)                    # never works
server.faults.answer("/search", 429, times=1, headers={"Retry-After": "0"})
server.faults.wait("/search", 0.5)                      # slow, but true
server.faults.drop("/scene/red.tif", times=1, after_bytes=1000)
server.faults.fail_share(1 / 3, statuses=(429, 503))    # of all requests
"""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random

Answer = tuple[int, Mapping[str, str], bytes]
"""Status, headers, payload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong with one request."""

    answer: Answer | None = None
    """Given instead of the true answer; None for the true one."""
    wait_s: float = 0.0
    """How long the answer takes."""
    drop_after: int | None = None
    """Bytes of the body after which the connection ends; 0 before any answer, None never."""


NO_FAULT = Fault()


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRate:
    """A share of all requests that goes wrong, the same ones whatever the order."""

    share: float
    statuses: Sequence[int] = (429, 503)
    retry_after: str | None = "0"
    """Value of the `Retry-After` header; None for none."""
    seed: int = 0
    in_a_row: int = 3
    """How often at most one and the same request is refused before it is answered."""
    prefix: str = "/"
    """Only paths below this one are affected."""

    def refusals(self, key: str, turn: int) -> Answer | None:
        """The fault due at the `turn`-th time (from 0) that `key` is asked, if any."""
        if self._refused_before(key, turn) >= self.in_a_row:
            return None
        draw = self._draw(key, turn)
        if draw.random() >= self.share:
            return None
        headers = {} if self.retry_after is None else {"Retry-After": self.retry_after}
        return draw.choice(list(self.statuses)), headers, b"planned fault"

    def _refused_before(self, key: str, turn: int) -> int:
        refused = 0
        while refused < turn and self._draw(key, turn - 1 - refused).random() < self.share:
            refused += 1
        return refused

    def _draw(self, key: str, turn: int) -> Random:
        return Random(f"{self.seed} {key} {turn}")  # noqa: S311 - a plan, not a secret


@dataclass
class Faults:
    """Faults that are due, per path in the order planned, and a share of everything else."""

    rate: FaultRate | None = None
    _planned: dict[str, list[tuple[Iterator[int], Fault]]] = field(default_factory=dict)
    _turns: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(
        self,
        path: str,
        status: int,
        *,
        times: int | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"planned fault",
    ) -> None:
        """Answer `status` to the next `times` requests for `path`; forever if None."""
        self._plan(path, Fault(answer=(status, headers or {}, body)), times)

    def wait(self, path: str, seconds: float, *, times: int | None = None) -> None:
        """Answer the truth to the next requests for `path`, but only after `seconds`."""
        self._plan(path, Fault(wait_s=seconds), times)

    def drop(self, path: str, *, times: int | None = None, after_bytes: int = 0) -> None:
        """Hang up on the next requests for `path` after some bytes of the true body."""
        self._plan(path, Fault(drop_after=after_bytes), times)

    def fail_share(
        self,
        share: float,
        *,
        statuses: Sequence[int] = (429, 503),
        retry_after: str | None = "0",
        seed: int = 0,
        in_a_row: int = 3,
        prefix: str = "/",
    ) -> None:
        """Refuse this share of all requests below `prefix` that nothing else is planned for.

        Whether a request is refused depends on the seed, its method, path, query, range and
        body, and how often it came: threads that ask in another order meet the same faults.
        One and the same request is refused at most `in_a_row` times before it is answered.
        """
        self.rate = FaultRate(
            share=share,
            statuses=statuses,
            retry_after=retry_after,
            seed=seed,
            in_a_row=in_a_row,
            prefix=prefix,
        )

    def clear(self) -> None:
        """From now on tell the truth."""
        with self._lock:
            self._planned.clear()
            self._turns.clear()
            self.rate = None

    def take(self, path: str, detail: str = "") -> Fault:
        """The fault that is due for a request of `path`.

        Args:
            path: Path of the request.
            detail: What else makes it the same request when it comes again.
        """
        with self._lock:
            for turns, fault in self._planned.get(path, ()):
                if next(turns, None) is not None:
                    return fault
            if self.rate is None or not path.startswith(self.rate.prefix):
                return NO_FAULT
            key = f"{path} {detail}"
            turn = self._turns[key]
            self._turns[key] += 1
            return Fault(answer=self.rate.refusals(key, turn))

    def _plan(self, path: str, fault: Fault, times: int | None) -> None:
        turns = count() if times is None else iter(range(times))
        with self._lock:
            self._planned.setdefault(path, []).append((turns, fault))
