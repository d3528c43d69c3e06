"""What one worker's tasks share: decoded blocks, and the bytes of files they came from.

Everything is kept under the version of the file that it was read from, so that a file that
has changed is never answered for with what it held before.
"""

import itertools
import threading
import time
from bisect import bisect_right, insort
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy.typing as npt

DECODED_BYTES = 192 * 2**20
"""Most that a worker keeps of decoded blocks."""
SPAN_BYTES = 96 * 2**20
"""Most that a worker keeps of files as they are stored, compressed."""

Version = tuple[Any, ...]
"""Names one state of one file; two states have two versions."""
BlockKey = tuple[Version, int, int, int]
"""File, band, row and column of a block."""
Range = tuple[int, int]
"""First byte, and the one after the last."""

_SETTLED_S = 2.0
"""Age from which a file's time of change tells its states apart."""
_OVERLAPS = 4
_numbers = itertools.count()


class Shelf:
    """Decoded blocks up to a number of bytes; the one used longest ago goes first."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._blocks: OrderedDict[BlockKey, npt.NDArray[Any]] = OrderedDict()
        self._held_bytes = 0
        self._lock = threading.Lock()

    @property
    def held_bytes(self) -> int:
        """Size of the blocks that are kept."""
        return self._held_bytes

    def get(self, key: BlockKey) -> npt.NDArray[Any] | None:
        """Return a block; None if it is not kept."""
        with self._lock:
            if key in self._blocks:
                self._blocks.move_to_end(key)
            return self._blocks.get(key)

    def keep(self, key: BlockKey, block: npt.NDArray[Any]) -> None:
        """Keep a block for as long as there is room."""
        with self._lock:
            before = self._blocks.pop(key, None)
            self._held_bytes += block.nbytes - (0 if before is None else before.nbytes)
            self._blocks[key] = block
            while self._held_bytes > self.most_bytes:
                _, dropped = self._blocks.popitem(last=False)
                self._held_bytes -= dropped.nbytes


class Spans:
    """Stretches of files up to a number of bytes; the one used longest ago goes first."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._spans: OrderedDict[tuple[Version, int], bytes] = OrderedDict()
        self._starts: dict[Version, list[int]] = {}
        self._held_bytes = 0
        self._lock = threading.Lock()

    @property
    def held_bytes(self) -> int:
        """Size of the stretches that are kept."""
        return self._held_bytes

    def keep(self, version: Version, start: int, data: bytes) -> None:
        """Keep what a file holds from byte `start` on, for as long as there is room."""
        with self._lock:
            before = self._spans.get((version, start), b"")
            if len(before) >= len(data):
                return
            if not before:
                insort(self._starts.setdefault(version, []), start)
            self._spans[version, start] = data
            self._spans.move_to_end((version, start))
            self._held_bytes += len(data) - len(before)
            while self._held_bytes > self.most_bytes:
                (old, at), dropped = self._spans.popitem(last=False)
                self._held_bytes -= len(dropped)
                self._starts[old].remove(at)
                if not self._starts[old]:
                    del self._starts[old]

    def missing(self, version: Version, ranges: Iterable[Range]) -> list[Range]:
        """Return the parts of ranges that are not kept, in file order."""
        gaps: list[Range] = []
        with self._lock:
            for start, stop in sorted(ranges):
                at = start
                while at < stop:
                    span = self._over(version, at)
                    if span is None:
                        end = min(stop, self._next(version, at))
                        gaps.append((at, end))
                        at = end
                    else:
                        at = span[0] + len(span[1])
        return gaps

    def read(self, version: Version, start: int, stop: int) -> bytes | None:
        """Return bytes of a file; None if some of them are not kept."""
        parts: list[bytes] = []
        with self._lock:
            at = start
            while at < stop:
                span = self._over(version, at)
                if span is None:
                    return None
                begin, data = span
                parts.append(data[at - begin : stop - begin])
                at = begin + len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _over(self, version: Version, at: int) -> tuple[int, bytes] | None:
        """The stretch that holds byte `at`, and where it begins."""
        starts = self._starts.get(version, [])
        index = bisect_right(starts, at)
        for start in reversed(starts[max(index - _OVERLAPS, 0) : index]):
            data = self._spans[version, start]
            if start + len(data) > at:
                self._spans.move_to_end((version, start))
                return start, data
        return None

    def _next(self, version: Version, at: int) -> int:
        """Where the next stretch after byte `at` begins."""
        starts = self._starts.get(version, [])
        index = bisect_right(starts, at)
        return starts[index] if index < len(starts) else 2**63


DECODED = Shelf(DECODED_BYTES)
"""The decoded blocks of this process."""
SPANS = Spans(SPAN_BYTES)
"""The compressed bytes of this process."""


def version_on_disk(path: str, unsettled: dict[str, Version]) -> Version:
    """Return the version of a file on disk.

    A file that changed a moment ago may change again without its time telling, so that it
    has a version of its own for each task.

    Args:
        path: Of the file.
        unsettled: The task's own versions, by path; noted here if there is no better.
    """
    try:
        stat = Path(path).stat()
    except OSError:
        return unsettled.setdefault(path, unshared(path))
    state = (path, stat.st_mtime_ns, stat.st_size, stat.st_ino)
    if time.time() - stat.st_mtime >= _SETTLED_S:
        return unsettled.get(path, state)
    return unsettled.setdefault(path, unshared(path))


def unshared(href: str) -> Version:
    """Return a version that nobody else has, for a file whose states cannot be told apart."""
    return (href, next(_numbers))


def joined(ranges: Iterable[Range], most_gap: int, most_bytes: int) -> list[Range]:
    """Join ranges that lie close together, in file order.

    Example:
        >>> joined([(0, 10), (12, 20), (500, 600)], most_gap=64, most_bytes=100)
        [(0, 20), (500, 600)]
    """
    done: list[Range] = []
    for start, stop in sorted(ranges):
        if done and start - done[-1][1] <= most_gap and stop - done[-1][0] <= most_bytes:
            done[-1] = (done[-1][0], max(done[-1][1], stop))
        else:
            done.append((start, stop))
    return done
