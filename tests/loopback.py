"""Real HTTP servers on loopback for tests: files with byte ranges, and a small STAC API.

Both count what they serve and misbehave on demand, by path:

    server.faults.answer("/scene/red.tif", 503, times=2)   # then works
    server.faults.answer("/search", 503)                    # never works
    server.faults.answer("/search", 429, times=1, headers={"Retry-After": "0"})
"""

import json
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import pytest

JSON = "application/geo+json"
CONFORMS_TO = (
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/item-search",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
)


@dataclass(frozen=True)
class Request:
    """One request that a server got, and what it answered."""

    method: str
    path: str
    byte_range: str | None
    body: Any
    status: int
    sent_bytes: int
    time_s: float
    """On the clock of `time.monotonic`."""


@dataclass(frozen=True)
class Call:
    """One request as a server gets it."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


Answer = tuple[int, Mapping[str, str], bytes]
"""Status, headers, payload."""


@dataclass
class Faults:
    """Answers that are given instead of the true one, per path, in the order planned."""

    _planned: dict[str, list[tuple[Iterator[int], Answer]]] = field(default_factory=dict)
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
        turns = count() if times is None else iter(range(times))
        with self._lock:
            self._planned.setdefault(path, []).append((turns, (status, headers or {}, body)))

    def clear(self) -> None:
        """From now on tell the truth."""
        with self._lock:
            self._planned.clear()

    def take(self, path: str) -> Answer | None:
        """The fault that is due for a request of `path`, if any."""
        with self._lock:
            for turns, answer in self._planned.get(path, ()):
                if next(turns, None) is not None:
                    return answer
        return None


class LoopbackServer(ABC):
    """An HTTP server on a free port of loopback, until `close`.

    A subclass says in `respond` what it serves.
    """

    def __init__(self) -> None:
        self.faults = Faults()
        self.requests: list[Request] = []
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._http = _Server(("127.0.0.1", 0), _handler(self))
        self._http.connections = self._open
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """Address without a slash at its end."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def sent_bytes(self) -> int:
        """Bytes of all bodies sent so far."""
        return sum(request.sent_bytes for request in self.requests)

    def asked(self, path: str) -> list[Request]:
        """Requests for one path so far."""
        return [request for request in self.requests if request.path == path]

    def forget(self) -> None:
        """Drop the record of requests."""
        with self._lock:
            self.requests.clear()

    def record(self, request: Request) -> None:
        """Note a request that was answered."""
        with self._lock:
            self.requests.append(request)

    @abstractmethod
    def respond(self, call: Call) -> Answer:
        """Answer one request truthfully."""

    def close(self) -> None:
        """Stop listening and hang up."""
        self._http.shutdown()
        self._http.server_close()
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self._thread.join()


class FileServer(LoopbackServer):
    """Serves the files of one folder, whole or by byte ranges."""

    def __init__(self, root: Path) -> None:
        self.root = root
        super().__init__()

    def href(self, name: str) -> str:
        """URL of a file, given its path inside the folder."""
        return f"{self.url}/{name}"

    def respond(self, call: Call) -> Answer:
        file = self.root / unquote(call.path).lstrip("/")
        if call.method not in ("GET", "HEAD") or not file.is_file():
            return 404, {}, b"no such file"
        size = file.stat().st_size
        answer = {"Accept-Ranges": "bytes", "Content-Type": "image/tiff"}
        wanted = call.headers.get("Range", "")
        if not wanted.startswith("bytes="):
            return 200, answer, file.read_bytes()
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start, stop = int(first), min(int(last) + 1 if last else size, size)
        if start >= size:
            return 416, {"Content-Range": f"bytes */{size}"}, b""
        with file.open("rb") as stream:
            stream.seek(start)
            payload = stream.read(stop - start)
        return 206, answer | {"Content-Range": f"bytes {start}-{stop - 1}/{size}"}, payload


class StacServer(LoopbackServer):
    """A STAC API over given items: landing page, collections, and paged search.

    Args:
        items: STAC items; each names its collection.
        page_size: Items per page, whatever the client asks for if that is more.
        empty_last_page: The last page with items links to one more, which is empty.
        honors_datetime: False for an archive that ignores the time filter.
        conforms_to: What the landing page says the API can do.
    """

    def __init__(
        self,
        items: Sequence[Mapping[str, Any]],
        *,
        page_size: int = 100,
        empty_last_page: bool = False,
        honors_datetime: bool = True,
        conforms_to: Sequence[str] = CONFORMS_TO,
    ) -> None:
        self.items = list(items)
        self.page_size = page_size
        self.empty_last_page = empty_last_page
        self.honors_datetime = honors_datetime
        self.conforms_to = list(conforms_to)
        super().__init__()

    @property
    def searches(self) -> list[Request]:
        """Requests for pages of a search so far."""
        return self.asked("/search")

    def respond(self, call: Call) -> Answer:
        path = call.path
        ids = sorted({str(item["collection"]) for item in self.items})
        if path == "/":
            found: Any = self._landing()
        elif path == "/conformance":
            found = {"conformsTo": self.conforms_to}
        elif path == "/collections":
            found = {"collections": [self._collection(i) for i in ids], "links": []}
        elif path.startswith("/collections/") and path.split("/")[2] in ids:
            found = self._collection(path.split("/")[2])
        elif path == "/search":
            asked = json.loads(call.body) if call.method == "POST" else _from_query(call.query)
            found = self._page(asked, call.method)
        else:
            return 404, {"Content-Type": JSON}, b'{"code": "NotFound"}'
        return 200, {"Content-Type": JSON}, json.dumps(found).encode()

    def _landing(self) -> dict[str, Any]:
        def link(rel: str, path: str, **more: str) -> dict[str, str]:
            return {"rel": rel, "href": f"{self.url}{path}", "type": JSON, **more}

        return {
            "type": "Catalog",
            "stac_version": "1.0.0",
            "id": "loopback",
            "description": "Items of a test",
            "conformsTo": self.conforms_to,
            "links": [
                link("self", "/"),
                link("root", "/"),
                link("data", "/collections"),
                link("conformance", "/conformance"),
                link("search", "/search", method="GET"),
                link("search", "/search", method="POST"),
            ],
        }

    def _collection(self, name: str) -> dict[str, Any]:
        return {
            "type": "Collection",
            "stac_version": "1.0.0",
            "id": name,
            "description": name,
            "license": "other",
            "extent": {
                "spatial": {"bbox": [[-180, -90, 180, 90]]},
                "temporal": {"interval": [[None, None]]},
            },
            "links": [],
        }

    def _page(self, asked: Mapping[str, Any], method: str) -> dict[str, Any]:
        matching = [item for item in self.items if self._admits(item, asked)]
        size = min(int(asked.get("limit") or self.page_size), self.page_size)
        start = int(asked.get("token") or 0)
        features = matching[start : start + size]
        stop = start + len(features)
        links = []
        if stop < len(matching) or (self.empty_last_page and features):
            links.append(self._next({**asked, "token": str(stop)}, method))
        return {"type": "FeatureCollection", "features": features, "links": links}

    def _next(self, asked: Mapping[str, Any], method: str) -> dict[str, Any]:
        link = {"rel": "next", "type": JSON, "method": method, "href": f"{self.url}/search"}
        if method == "POST":
            return {**link, "body": asked}
        flat = {
            k: ",".join(map(str, v)) if isinstance(v, list) else v for k, v in asked.items()
        }
        return {**link, "href": f"{link['href']}?{urlencode(flat)}"}

    def _admits(self, item: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
        if asked.get("collections") and item["collection"] not in asked["collections"]:
            return False
        if asked.get("bbox") and not _touch(item["bbox"], asked["bbox"]):
            return False
        if asked.get("datetime") and self.honors_datetime:
            return _within(item["properties"], str(asked["datetime"]))
        return True


class _Server(ThreadingHTTPServer):
    connections: set[socket.socket]

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients hang up when they have read enough; that is no news."""


def _handler(owner: LoopbackServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = owner.faults.take(parts.path)
            call = Call(self.command, parts.path, parts.query, dict(self.headers), body)
            status, extra, payload = owner.respond(call) if fault is None else fault
            sent = 0 if self.command == "HEAD" else len(payload)
            owner.record(
                Request(
                    self.command,
                    parts.path,
                    self.headers.get("Range"),
                    json.loads(body) if body else None,
                    status,
                    sent,
                    time.monotonic(),
                )
            )
            self.send_response(status)
            for name, value in extra.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(payload)

        do_GET = do_HEAD = do_POST = _serve  # noqa: N815 - the base class names them

        def log_message(self, *_args: Any) -> None:
            """Servers of a test are silent."""

    return Handler


def _from_query(query: str) -> dict[str, Any]:
    flat = {key: values[0] for key, values in parse_qs(query).items()}
    asked: dict[str, Any] = dict(flat)
    if "collections" in flat:
        asked["collections"] = flat["collections"].split(",")
    if "bbox" in flat:
        asked["bbox"] = [float(v) for v in flat["bbox"].split(",")]
    return asked


def _touch(a: Sequence[float], b: Sequence[float]) -> bool:
    flat = [a[0], a[1], a[3], a[4]] if len(a) == 6 else a
    return flat[0] <= b[2] and b[0] <= flat[2] and flat[1] <= b[3] and b[1] <= flat[3]


def _within(properties: Mapping[str, Any], interval: str) -> bool:
    first, _, last = interval.partition("/")
    start = properties.get("datetime") or properties["start_datetime"]
    end = properties.get("datetime") or properties["end_datetime"]
    after = first == ".." or _instant(first) <= _instant(end)
    return after and (last == ".." or _instant(start) <= _instant(last or first))


def _instant(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


@pytest.fixture
def serve_files() -> Iterator[Callable[[Path], FileServer]]:
    """`serve_files(folder)` starts a file server that lives as long as the test."""
    yield from _factory(FileServer)


@pytest.fixture
def serve_items() -> Iterator[Callable[..., StacServer]]:
    """`serve_items(items, page_size=..., ...)` starts a STAC API as long as the test."""
    yield from _factory(StacServer)


@pytest.fixture
def file_server(tmp_path: Path) -> Iterator[FileServer]:
    """A file server of the test's own `tmp_path`."""
    server = FileServer(tmp_path)
    yield server
    server.close()


@pytest.fixture
def closed_port() -> int:
    """A port of loopback that refuses connections."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _factory(kind: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    started: list[LoopbackServer] = []

    def start(*args: Any, **kwargs: Any) -> Any:
        started.append(kind(*args, **kwargs))
        return started[-1]

    yield start
    for server in started:
        server.close()
