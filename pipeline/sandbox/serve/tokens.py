"""Files that open only with a key: signed URLs that expire, and bearer tokens.

Signed URLs work as on Planetary Computer: `GET /sas/{account}/{container}` gives a token, and
`/{container}/...?{token}` opens files until it expires; then the answer is 403. Bearer tokens
work as on Earthdata Cloud: 401 without one, and with one a redirect to a URL that is signed
and refuses any `Authorization` header, as object stores do.
"""

import base64
import hashlib
import hmac
import json
import math
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlencode

from pipeline.sandbox.serve.files import FileResponder
from pipeline.sandbox.serve.http import Answer, Call, LoopbackServer, Responder

TOKEN_LIFE_S = 60.0
BEARER = "sandbox-bearer-6f1d"
_SECRET = b"the sandbox signs, it does not protect"


@dataclass
class TokenIssuer:
    """Issues and checks tokens, each for one container and for some time."""

    life_s: float = TOKEN_LIFE_S
    """Least life of a token; it ends at the next whole second, as its text says."""
    clock: Callable[[], float] = time.time
    """Seconds since 1970."""
    issued: Counter[str] = field(default_factory=Counter)
    """Tokens issued so far, per container."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def issue(self, container: str) -> tuple[str, datetime]:
        """Return a token for the files of a container, and when it expires, UTC."""
        with self._lock:
            self.issued[container] += 1
        expiry = datetime.fromtimestamp(math.ceil(self.clock() + self.life_s), UTC)
        until = f"{expiry:%Y-%m-%dT%H:%M:%SZ}"
        query = {"se": until, "sp": "rl", "sr": "c", "sig": _sign(container, until)}
        return urlencode(query), expiry

    def admits(self, container: str, query: str) -> bool:
        """Return whether the query of a URL holds a living token for the container."""
        found = {key: values[0] for key, values in parse_qs(query).items()}
        until, signature = found.get("se", ""), found.get("sig", "")
        if not hmac.compare_digest(signature, _sign(container, until)):
            return False
        return self.clock() < datetime.fromisoformat(until).timestamp()

    def respond(self, call: Call) -> Answer:
        """Answer `/{account}/{container}` with a token."""
        parts = call.path.strip("/").split("/")
        if call.method != "GET" or len(parts) != 2:
            return 404, {}, b"expected /{account}/{container}"
        token, expiry = self.issue(parts[1])
        found = {"msft:expiry": f"{expiry:%Y-%m-%dT%H:%M:%SZ}", "token": token}
        return 200, {"Content-Type": "application/json"}, json.dumps(found).encode()


def _sign(container: str, until: str) -> str:
    digest = hmac.new(_SECRET, f"{container} {until}".encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


@dataclass(frozen=True, slots=True)
class SignedFiles:
    """Files of a folder under `/{container}/...`, for URLs that carry a living token."""

    files: Responder
    issuer: TokenIssuer

    def respond(self, call: Call) -> Answer:
        """Answer with the file, or with 403 if the token is missing, foreign or expired."""
        container, _, rest = call.path.lstrip("/").partition("/")
        if not self.issuer.admits(container, call.query):
            return 403, {}, b"AuthenticationFailed: signature missing, foreign or expired"
        return self.files.respond(replace(call, path=f"/{rest}", query=""))


@dataclass(frozen=True, slots=True)
class BearerFiles:
    """Files of a folder for requests that carry the right bearer token."""

    files: Responder
    token: str

    def respond(self, call: Call) -> Answer:
        """Answer with the file, or with 401."""
        if call.headers.get("Authorization") != f"Bearer {self.token}":
            return 401, {"WWW-Authenticate": "Bearer"}, b"HTTP Bearer: access denied"
        return self.files.respond(call)


@dataclass(frozen=True, slots=True)
class Redirecting:
    """Sends every request on to a signed URL below `prefix`, under another name of this host.

    Archives redirect to their object store, another host: clients keep their bearer to
    themselves there.
    """

    issuer: TokenIssuer
    prefix: str

    def respond(self, call: Call) -> Answer:
        """Answer 302."""
        container = self.prefix.strip("/").split("/")[-1]
        token, _ = self.issuer.issue(container)
        host = "/".join(call.root.split("/")[:3]).replace("127.0.0.1", "localhost")
        return 302, {"Location": f"{host}{self.prefix}{call.path}?{token}"}, b""


@dataclass(frozen=True, slots=True)
class NoCredentialsTwice:
    """Refuses, as object stores do, a request that is signed and has a bearer as well."""

    files: Responder

    def respond(self, call: Call) -> Answer:
        """Answer 400 to any `Authorization` header."""
        if "Authorization" in call.headers:
            return 400, {}, b"InvalidArgument: only one auth mechanism allowed"
        return self.files.respond(call)


class TokenServer(LoopbackServer):
    """Signed files, protected files and the token endpoint of one folder.

    - `/sas/{account}/{container}`: a token for any container.
    - `/protected/...`: files for those who send `bearer`.
    - `/moved/...`: the same, but by way of a redirect to `/granted/...`.
    - `/{container}/...`: files for those whose URL is signed for that container.

    Args:
        root: Folder of the files; all paths after the first part are relative to it.
        life_s: Life of a token, seconds.
        bearer: The bearer token.
        clock: Seconds since 1970, for tests that let time pass.
    """

    def __init__(
        self,
        root: Path,
        *,
        life_s: float = TOKEN_LIFE_S,
        bearer: str = BEARER,
        clock: Callable[[], float] = time.time,
        port: int = 0,
    ) -> None:
        files = FileResponder(root)
        self.issuer = TokenIssuer(life_s=life_s, clock=clock)
        self.bearer = bearer
        self._signed = SignedFiles(files, self.issuer)
        self._routes: dict[str, Responder] = {
            "sas": self.issuer,
            "protected": BearerFiles(files, bearer),
            "moved": BearerFiles(Redirecting(self.issuer, "/granted"), bearer),
            "granted": NoCredentialsTwice(_Below("granted", self._signed)),
        }
        super().__init__(port)

    @property
    def token_url(self) -> str:
        """Base of the token endpoint: what `PC_SDK_SAS_URL` is to hold."""
        return f"{self.url}/sas"

    def href(self, name: str, *, container: str = "signed") -> str:
        """Unsigned URL of a file, given its path inside the folder."""
        return f"{self.url}/{container}/{name}"

    def respond(self, call: Call) -> Answer:
        """Answer by the first part of the path."""
        first, _, rest = call.path.lstrip("/").partition("/")
        if first not in self._routes:
            return self._signed.respond(call)
        own = replace(call, path=f"/{rest}", root=f"{call.root}/{first}")
        return self._routes[first].respond(own)


@dataclass(frozen=True, slots=True)
class _Below:
    """Puts back the first part of a path."""

    name: str
    files: Responder

    def respond(self, call: Call) -> Answer:
        return self.files.respond(replace(call, path=f"/{self.name}{call.path}"))
