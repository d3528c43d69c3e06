"""Which failures of a read may pass, and how often a file is asked for again."""

import re
import time
from dataclasses import dataclass

from catalog.errors import SourceUnavailable, SourceUnreadable
from pipeline.access import Reach, is_remote, reach, shown

_STATUS = re.compile(r"HTTP (?:response|error) code ?: ?(\d{3})")
_LATER = re.compile(r"CURL error|timed? ?out|credential|signature|access ?denied|expired", re.I)
_REFUSED_FOR_NOW = (401, 403, 408, 425, 429)
"""Statuses below 500 that may pass: expired tokens, timeouts, rate limits."""
_MOST_TRIES = 6
"""Tries that may fail, one after the other, without a reason and without a new block."""
_MOST_TRIES_IN_ALL = 50
_FIRST_WAIT_S = 0.01


@dataclass(slots=True)
class Tries:
    """How often one file may still be asked for; new blocks earn it more tries."""

    left: int = _MOST_TRIES
    renewals: int = 1
    in_all: int = _MOST_TRIES_IN_ALL

    def another_way(self, way: Reach, said: str, *, gained: int) -> Reach:
        """How to go on after a try that failed and brought `gained` new blocks.

        Raises:
            SourceUnreadable: If another try would fail alike.
            SourceUnavailable: If another try may do better, but not now.
        """
        self.in_all -= 1
        if gained and self.in_all > 0:
            self.left, self.renewals = _MOST_TRIES, 1
        message = f"{shown(way.href)} could not be read: {said}"
        if not is_remote(way.href):
            raise SourceUnreadable(message)
        if _was_refused(said) and self.renewals:
            self.renewals -= 1
            renewed = way.renewed()
            if renewed is not None:
                return renewed
        if _may_pass(said):
            raise SourceUnavailable(message)
        self.left -= 1
        if _STATUS.search(said) or not self.left:
            raise SourceUnreadable(message)
        # GDAL does not say why it got no bytes of a block, or too few. Asked anew, a server at
        # fault says so and a dropped answer comes whole, while a truncated file fails again.
        time.sleep(_FIRST_WAIT_S * 2 ** (_MOST_TRIES - 1 - self.left))
        return reach(way.href, way.access)


def _was_refused(said: str) -> bool:
    return any(int(code) in (401, 403) for code in _STATUS.findall(said))


def _may_pass(said: str) -> bool:
    statuses = [int(code) for code in _STATUS.findall(said)]
    if statuses:
        return any(code >= 500 or code in _REFUSED_FOR_NOW for code in statuses)
    return _LATER.search(said) is not None
