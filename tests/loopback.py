"""Real HTTP servers on loopback for tests: files with byte ranges, and a small STAC API.

Both count what they serve and misbehave on demand; see `pipeline.sandbox.serve.faults`.
"""

import json
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest

from pipeline.sandbox.serve.files import FileServer
from pipeline.sandbox.serve.http import Answer, Call, LoopbackServer, Request

JSON = "application/geo+json"
CONFORMS_TO = (
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/item-search",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
)


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
