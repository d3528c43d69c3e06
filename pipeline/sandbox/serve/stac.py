"""A STAC API under a public address, in front of the process that does the work."""

import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from catalog.providers.local import serve_archive
from pipeline.sandbox.serve.http import Answer, Call

_TIMEOUT_S = 60.0
_PASSED_ON = ("Accept", "Content-Type")


class StacProxy:
    """Answers as `rustac serve` does over given items, with links to its own address.

    Args:
        items: STAC items whose hrefs are absolute.
    """

    def __init__(self, items: Iterable[Mapping[str, Any]]) -> None:
        self._stack = ExitStack()
        folder = Path(self._stack.enter_context(TemporaryDirectory(prefix="geoloupe-items-")))
        path = folder / "items.json"
        path.write_text(json.dumps({"type": "FeatureCollection", "features": list(items)}))
        self._upstream = self._stack.enter_context(serve_archive(str(path))).rstrip("/")
        self._opener = build_opener(ProxyHandler({}))

    def respond(self, call: Call) -> Answer:
        """Answer as the process behind does, its address replaced by `call.root`."""
        address = f"{self._upstream}{call.path}" + (f"?{call.query}" if call.query else "")
        headers = {k: v for k, v in call.headers.items() if k.title() in _PASSED_ON}
        asked = Request(  # noqa: S310 - our own process on loopback
            address, data=call.body or None, headers=headers, method=call.method
        )
        try:
            with self._opener.open(asked, timeout=_TIMEOUT_S) as found:
                status, kind, body = found.status, found.headers["Content-Type"], found.read()
        except HTTPError as err:
            with err:
                status, kind, body = err.code, err.headers["Content-Type"], err.read()
        public = body.replace(self._upstream.encode(), call.root.encode())
        return status, {"Content-Type": kind or "application/json"}, public

    def close(self) -> None:
        """End the process behind."""
        self._stack.close()
