"""A sandbox folder behind one port: a STAC API, its files plain and signed, what was asked."""

import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from catalog.providers.local import find_items
from pipeline.sandbox.items import Json
from pipeline.sandbox.serve.files import FileResponder
from pipeline.sandbox.serve.http import Answer, Call, LoopbackServer, Responder
from pipeline.sandbox.serve.stac import StacProxy
from pipeline.sandbox.serve.tokens import (
    BEARER,
    TOKEN_LIFE_S,
    BearerFiles,
    SignedFiles,
    TokenIssuer,
)

UNLISTED = ("dynamic-world",)
"""Collections that no STAC API has."""


class SandboxServer(LoopbackServer):
    """Serves a sandbox folder as the archives of the outside world do.

    - `/stac`: a STAC API over `items.json`, with absolute hrefs to this server.
    - `/files/...`: any file of the folder, by ranges too.
    - `/signed-COLLECTION/...`: the same, for URLs with a token of that container.
    - `/sas/{account}/{container}`: such a token, see `tokens`.
    - `/protected/...`: the same, for those who send the bearer token `tokens.BEARER`.
    - `/counts`: requests, bytes and tokens so far as JSON; a POST starts again from zero.
    - the prefixes of `mounts`.

    Args:
        folder: What `write_sandbox` wrote.
        port: Where to listen; 0 for any free port.
        signed: Collections whose hrefs need a token.
        protected: Collections whose hrefs need the bearer token.
        token_life_s: Life of a token, seconds.
        mounts: Path prefix -> who answers below it; paths arrive without the prefix.

    Raises:
        QueryError: If the folder holds no `items.json`.
    """

    def __init__(
        self,
        folder: Path,
        port: int = 0,
        *,
        signed: Collection[str] = (),
        protected: Collection[str] = (),
        token_life_s: float = TOKEN_LIFE_S,
        mounts: Mapping[str, Responder] | None = None,
    ) -> None:
        features = json.loads(find_items(str(folder)).read_text(encoding="utf-8"))["features"]
        files = FileResponder(folder)
        self.issuer = TokenIssuer(life_s=token_life_s)
        self._signed = SignedFiles(files, self.issuer)
        self._routes: dict[str, Responder] = {
            "/files": files,
            "/sas": self.issuer,
            "/protected": BearerFiles(files, BEARER),
            **{f"/{prefix.strip('/')}": one for prefix, one in (mounts or {}).items()},
        }
        self._stac: StacProxy | None = None
        super().__init__(port)
        try:
            self._stac = StacProxy(
                _published(item, f"{self.url}{_route(item['collection'], signed, protected)}")
                for item in features
                if item["collection"] not in UNLISTED
            )
        except BaseException:
            super().close()
            raise
        self._routes["/stac"] = self._stac

    @property
    def stac_url(self) -> str:
        """Address of the STAC API."""
        return f"{self.url}/stac"

    @property
    def token_url(self) -> str:
        """Base of the token endpoint: what `PC_SDK_SAS_URL` is to hold."""
        return f"{self.url}/sas"

    def respond(self, call: Call) -> Answer:
        """Answer by the longest prefix of the path that is served."""
        if call.path == "/counts":
            return self._counts(call)
        if call.path.startswith("/signed-"):
            return self._signed.respond(call)
        for prefix in sorted(self._routes, key=len, reverse=True):
            if call.path == prefix or call.path.startswith(f"{prefix}/"):
                own = call.path.removeprefix(prefix) or "/"
                root = f"{call.root}{prefix}"
                return self._routes[prefix].respond(replace(call, path=own, root=root))
        return 404, {}, f"served here: {', '.join(sorted(self._routes))}".encode()

    def counts(self) -> Json:
        """Return requests, bytes and statuses per route, and tokens issued per container."""
        routes: dict[str, Json] = {}
        for request in list(self.requests):
            name = f"/{request.path.lstrip('/').partition('/')[0]}"
            one = routes.setdefault(name, {"requests": 0, "bytes": 0, "statuses": Counter()})
            one["requests"] += 1
            one["bytes"] += request.sent_bytes
            one["statuses"][str(request.status)] += 1
        return {
            "requests": sum(one["requests"] for one in routes.values()),
            "bytes": sum(one["bytes"] for one in routes.values()),
            "routes": routes,
            "tokens": dict(self.issuer.issued),
        }

    def _counts(self, call: Call) -> Answer:
        found = json.dumps(self.counts()).encode()
        if call.method == "POST":
            self.forget()
            self.issuer.issued.clear()
        return 200, {"Content-Type": "application/json"}, found

    def close(self) -> None:
        """Stop listening, hang up, and end the process behind the STAC API."""
        super().close()
        if self._stac is not None:
            self._stac.close()


def _route(collection: str, signed: Collection[str], protected: Collection[str]) -> str:
    if collection in signed:
        return f"/signed-{collection}"
    return "/protected" if collection in protected else "/files"


def _published(item: Json, root: str) -> Json:
    """Return an item with absolute hrefs below `root`."""
    assets = {
        name: {**asset, "href": f"{root}/{asset['href'].removeprefix('./')}"}
        for name, asset in item["assets"].items()
    }
    return {**item, "assets": assets}
