"""GeoTIFFs over HTTP: a worker's tasks ask for each stretch of a file once.

GDAL opens and decodes; where it would ask the server it is given the bytes that were fetched
before, many blocks with one request. A file's header and blocks stay in memory under the
version that the server states (`ETag` or `Last-Modified`, and the size). Each task makes sure
once that the version still holds, with its first request or with one for a single byte.
"""

import io
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any

import requests
from rasterio.abc import FileContainer, MultiByteRangeResourceContainer
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError

from pipeline.access import Reach
from pipeline.blocks import SPANS, Range, Spans, Version, joined, unshared
from pipeline.fetch import Patience

HEADER_BYTES = 32768
"""Fetched of a file that nothing is known of."""
_ON_DEMAND_BYTES = 16384
_MOST_GAP = 65536
_MOST_AT_ONCE = 16 * 2**20
_CONNECTIONS = 8
_MOST_WHOLE = 256 * 2**20
"""Largest file taken whole from a server that knows no ranges."""
_LATER = frozenset((408, 425, 429, 500, 502, 503, 504))
_CUT_SHORT = "an answer was cut short"
_KNOWN_FILES = 20_000
_SETTLED = timedelta(seconds=2)


class RemoteFaultError(Exception):
    """What came of a request; names no address."""


@dataclass(slots=True)
class RemoteFile:
    """One file for one task; what it fetches is shared with the tasks to come."""

    href: str
    """As the archive names it, without a signature."""
    way: Reach
    patience: Patience
    spans: Spans = field(default_factory=lambda: SPANS)
    version: Version = ()
    """Empty as long as none is known."""
    fault: str = ""
    """What went wrong while GDAL read; it does not say."""
    _size: int = 0
    _is_sure: bool = False

    def begin(self, way: Reach) -> None:
        """Get ready to be opened: know a version and some header.

        Raises:
            RemoteFaultError: If the server does not hand it out.
        """
        self.way, self.fault = way, ""
        if not self.version:
            self.version, self._size = _LATEST.get(self.href)
        if not self.version:
            self._fetch((0, HEADER_BYTES))

    def make_sure(self, ranges: Iterable[Range]) -> None:
        """Fetch what is missing of some ranges, and see that the file is still the same.

        Raises:
            RemoteFaultError: If the server fails, or the file has changed.
        """
        gaps = joined(
            self.spans.missing(self.version, ranges), _MOST_GAP, most_bytes=_MOST_AT_ONCE
        )
        if not gaps and not self._is_sure:
            gaps = [(0, 1)]
        if len(gaps) == 1:
            self._fetch(gaps[0])
        elif gaps:
            # Each is awaited, so that one that fails does not waste the others.
            tasks = [_pool().submit(self._fetch, gap) for gap in gaps]
            faults = [fault for fault in (task.exception() for task in tasks) if fault]
            if faults:
                raise faults[0]

    def read(self, start: int, count: int) -> bytes:
        """Return up to `count` bytes from `start` on; fewer at the end of the file.

        Raises:
            RemoteFaultError: If they are not held and the server fails.
        """
        stop = min(start + count, self._size)
        if start >= stop:
            return b""
        held = self.spans.read(self.version, start, stop)
        if held is None:
            wanted = (start, min(max(stop, start + _ON_DEMAND_BYTES), self._size))
            for gap in joined(self.spans.missing(self.version, [wanted]), 2**30, 2**31):
                held = self._fetch(gap) if gap == wanted else held
                if gap != wanted:
                    self._fetch(gap)
            held = self.spans.read(self.version, start, stop) or (held or b"")[: stop - start]
        return held

    @property
    def size(self) -> int:
        """Size of the file, bytes."""
        return self._size

    def _fetch(self, wanted: Range) -> bytes:
        """Ask for one range, and again while the server may yet give it."""
        refused_before = False
        for tried in range(1, self.patience.tries + 1):
            status, data, said, wait_s = self._ask(wanted)
            if data is not None:
                return data
            is_refused = status in (401, 403) and self.way.token is None and not refused_before
            refused_before = refused_before or is_refused
            if tried == self.patience.tries or not (
                is_refused or status == 0 or status in _LATER
            ):
                break
            time.sleep(self.patience.wait_s(tried, wait_s))
        raise RemoteFaultError(said)

    def _ask(self, wanted: Range) -> tuple[int, bytes | None, str, float | None]:
        """Status (0 for a lost connection), bytes, what was said, and the wait asked for."""
        start, stop = wanted
        headers = {k: v for k, v in self.way.headers.items() if k != "Authorization"}
        try:
            with _session().get(
                self.way.url,
                headers={
                    **headers,
                    "Range": f"bytes={start}-{stop - 1}",
                    "Accept-Encoding": "identity",
                },
                auth=_As(self.way.headers.get("Authorization")),
                timeout=self.patience.timeout_s,
                stream=True,
            ) as response:
                status, got = response.status_code, response.headers
                if status not in (200, 206):
                    return status, None, f"HTTP response code: {status}", _seconds(got)
                if status == 200 and int(got.get("Content-Length", 0)) > _MOST_WHOLE:
                    return status, None, "its server does not send parts of files", None
                body = response.content
        except requests.ConnectionError as err:
            return 0, None, _lost(err), None
        except requests.exceptions.ChunkedEncodingError:
            return 0, None, _CUT_SHORT, None
        except (requests.RequestException, OSError) as err:
            return 0, None, f"timed out ({type(err).__name__})", None
        return self._accept(wanted, status, got, body)

    def _accept(
        self, wanted: Range, status: int, got: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes | None, str, float | None]:
        """Check an answer against the range and the version, and keep its bytes."""
        start, stop = wanted
        total = got.get("Content-Range", "").rpartition("/")[2]
        size = len(body) if status == 200 else int(total) if total.isdigit() else 0
        if not size:
            return status, None, "its server does not say how large it is", None
        if status == 200:
            body = body[start:stop]
        if len(body) != min(stop, size) - start:
            return 0, None, _CUT_SHORT, None
        self._agree(_state(self.href, got, size), size)
        self.spans.keep(self.version, start, body)
        return status, body, "", None

    def _agree(self, state: Version, size: int) -> None:
        """Take over the version that a server states; it must not be another than before."""
        if not self.version:
            self.version = state or unshared(self.href)
        elif size != self._size or (state and state != self.version):
            self.version, self._is_sure = (), False
            _LATEST.forget(self.href)
            raise RemoteFaultError("it changed while it was read")
        self._size, self._is_sure = size, True
        if state:
            _LATEST.note(self.href, state, size)


class RemoteFiles:
    """The files that GDAL may open at this moment, by names made up for it."""

    def __init__(self) -> None:
        self._open: dict[str, RemoteFile] = {}

    def add(self, name: str, file: RemoteFile) -> None:
        """Let GDAL open a file under a name."""
        self._open[name] = file

    def drop(self, name: str) -> None:
        """Let GDAL open it no more."""
        self._open.pop(name, None)

    def isdir(self, _path: str) -> bool:
        """Nothing here is a folder."""
        return False

    def isfile(self, path: str) -> bool:
        """Whether a name is known."""
        return path in self._open

    def ls(self, _path: str) -> list[str]:
        """Nothing is listed."""
        return []

    def mtime(self, _path: str) -> int:
        """No times are known."""
        return 0

    def rm(self, path: str) -> None:
        """Nothing is removed."""
        raise OSError(f"{path} can only be read")

    def size(self, path: str) -> int:
        """Size of a file, bytes."""
        return self._open[path].size if path in self._open else 0

    def open(self, path: str, mode: str = "r", **_options: object) -> "_Stream":
        """Open a file for reading."""
        if "r" not in mode or path not in self._open:
            raise FileNotFoundError(path)
        return _Stream(self._open[path])


FileContainer.register(RemoteFiles)
MultiByteRangeResourceContainer.register(RemoteFiles)
FILES = RemoteFiles()
"""The one container of this process."""


class _Stream(io.RawIOBase):
    """A position in a file. Faults are noted, for GDAL has no word for them."""

    def __init__(self, file: RemoteFile) -> None:
        super().__init__()
        self._file, self._at = file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.size}[whence]
        self._at = base + offset
        return self._at

    def read(self, count: int = -1) -> bytes:
        data = self._take(self._at, self._file.size - self._at if count < 0 else count)
        self._at += len(data)
        return data

    def get_byte_ranges(self, offsets: Sequence[int], sizes: Sequence[int]) -> list[bytes]:
        return [self._take(start, n) for start, n in zip(offsets, sizes, strict=True)]

    def _take(self, start: int, count: int) -> bytes:
        if self._file.fault:
            return b""
        try:
            return self._file.read(start, count)
        except RemoteFaultError as err:
            self._file.fault = str(err)
            return b""


class _Latest:
    """The version and size that each server stated last."""

    def __init__(self) -> None:
        self._states: OrderedDict[str, tuple[Version, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, href: str) -> tuple[Version, int]:
        with self._lock:
            return self._states.get(href, ((), 0))

    def note(self, href: str, state: Version, size: int) -> None:
        with self._lock:
            self._states[href] = (state, size)
            self._states.move_to_end(href)
            if len(self._states) > _KNOWN_FILES:
                self._states.popitem(last=False)

    def forget(self, href: str) -> None:
        with self._lock:
            self._states.pop(href, None)


_LATEST = _Latest()


class _As(AuthBase):
    """Sends one `Authorization` header, whatever the user's netrc says of the host."""

    def __init__(self, value: str | None) -> None:
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._value is not None:
            request.headers["Authorization"] = self._value
        return request


def patience_of(gdal_options: Mapping[str, str]) -> Patience:
    """Return how patiently to ask, by the names that GDAL has for it."""
    return Patience(
        tries=int(gdal_options.get("GDAL_HTTP_MAX_RETRY", "4")) + 1,
        backoff_s=float(gdal_options.get("GDAL_HTTP_RETRY_DELAY", "0.5")),
        timeout_s=float(gdal_options.get("GDAL_HTTP_TIMEOUT", "120")),
    )


def _state(href: str, got: Mapping[str, str], size: int) -> Version:
    """The version that an answer states; empty if it states none that can be trusted."""
    if got.get("ETag"):
        return (href, got["ETag"], size)
    try:
        changed = parsedate_to_datetime(got["Last-Modified"])
        age = parsedate_to_datetime(got["Date"]) - changed
    except (KeyError, ValueError, TypeError):
        return ()
    # Its seconds do not tell apart what changed twice just now.
    return (href, got["Last-Modified"], size) if age >= _SETTLED else ()


def _lost(err: requests.ConnectionError) -> str:
    """What to say of a connection that never was, or that ended before the answer did."""
    reason = getattr(err.args[0] if err.args else None, "reason", None)
    if isinstance(err, requests.Timeout) or isinstance(reason, HTTPError):
        return f"could not connect, or timed out ({type(reason).__name__})"
    return _CUT_SHORT


def _seconds(got: Mapping[str, str]) -> float | None:
    value = got.get("Retry-After", "")
    return float(value) if value.isdigit() else None


@cache
def _session() -> Any:  # noqa: ANN401 - held by the process; its type is requests' own
    session = requests.Session()
    adapter = requests.adapters.HTTPAdapter(pool_connections=32, pool_maxsize=_CONNECTIONS)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="ranges")
