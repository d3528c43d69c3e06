"""Short-lived tokens: asked for once for all workers, renewed before they expire.

A token serves at most 80 % of its life. Whoever finds it older asks for the next one under a
lock that all workers of a build share, so that each container costs one request per period.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

from catalog.errors import SourceUnavailable, SourceUnreadable
from pipeline.conceal import conceal
from pipeline.credentials import EARTHDATA, earthdata_user, is_loopback, planetary_key
from pipeline.exchange import find_exchange
from pipeline.fetch import Answer, Patience, get, server_time

SAS_URL = "https://planetarycomputer.microsoft.com/api/sas/v1/token"
"""Where the Planetary Computer gives tokens, unless PC_SDK_SAS_URL says otherwise."""

_BLOB_HOST = ".blob.core.windows.net"
_FRESH_SHARE = 0.8
_PACE_S = 0.5
"""No two requests for the same token are closer, even if a server refuses each it gave."""
_CLOCKS_AGREE_S = 3.0
"""Difference between two clocks that may be due to the seconds of a `Date` header."""
_EARTHDATA_LIFE = timedelta(hours=12)
"""Earthdata tokens live for 60 days; one asked for with a password is looked at anew sooner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A secret with an end."""

    text: str = field(repr=False)
    obtained_s: float
    """When, on the clock of `time.time`."""
    life_s: float
    """How long it was good for, then."""

    @property
    def is_fresh(self) -> bool:
        """Whether it may still be used for a while."""
        return time.time() < self.obtained_s + _FRESH_SHARE * self.life_s

    @property
    def is_alive(self) -> bool:
        """Whether it is not expired yet."""
        return time.time() < self.obtained_s + self.life_s


@dataclass(frozen=True, slots=True)
class Container:
    """A place in Azure's blob storage that one token opens."""

    account: str
    """First word of the host; the quoted address for a server on loopback."""
    name: str

    @property
    def key(self) -> str:
        """Name of the token among the workers."""
        return f"sas {_sas_url()} {self.account}/{self.name}"


def container_of(href: str) -> Container | None:
    """Return the container of a blob that a token must open; None if none is needed.

    A server on loopback has containers only if PC_SDK_SAS_URL names who gives tokens.

    Example:
        >>> container_of("https://landsateuwest.blob.core.windows.net/landsat-c2/a.tif")
        Container(account='landsateuwest', name='landsat-c2')
    """
    parts = urlsplit(href)
    name = parts.path.lstrip("/").partition("/")[0]
    host = parts.hostname or ""
    if not name or "sig=" in parts.query:
        return None
    if parts.scheme == "https" and host.endswith(_BLOB_HOST):
        return Container(host.removesuffix(_BLOB_HOST), name)
    if parts.scheme == "http" and is_loopback(href) and os.environ.get("PC_SDK_SAS_URL"):
        return Container(quote(parts.netloc, safe=""), name)
    return None


def sas_token(container: Container, *, refused: Token | None = None) -> Token:
    """Return the query string that opens a container of the Planetary Computer.

    Args:
        container: Account and container.
        refused: A token that a server did not accept; another one is returned.

    Raises:
        SourceUnavailable: If no token is to be had for now.
        SourceUnreadable: If there is no such container.
    """
    return _shared(container.key, lambda: _ask_for_sas(container), refused)


def earthdata_token(*, refused: Token | None = None) -> Token:
    """Return a bearer token of NASA Earthdata.

    Args:
        refused: A token that a server did not accept.

    Raises:
        SourceUnavailable: If there is none, or the one of the environment was refused.
    """
    text = os.environ.get("EARTHDATA_TOKEN")
    if text and refused is not None and refused.text == text:
        raise SourceUnavailable(
            f"NASA Earthdata refused the token in EARTHDATA_TOKEN; it may have expired, so "
            f"make another: {EARTHDATA.page}"
        )
    if text:
        conceal(text)
        # It outlives any build; obtained at a fixed time, so that equal tokens are equal.
        return Token(text=text, obtained_s=0.0, life_s=float("inf"))
    user = earthdata_user()
    if user is None:
        raise SourceUnavailable(f"no Earthdata login: {EARTHDATA.advice}; see {EARTHDATA.page}")
    return _shared(f"earthdata {user[0]}", lambda: _log_in(user[1]), refused)


_held: dict[str, Token] = {}
_asking: dict[str, threading.Lock] = {}
_guard = threading.Lock()


def _shared(key: str, ask: Callable[[], Token], refused: Token | None) -> Token:
    """The token called `key`: this process's, else the other workers', else a new one."""
    with _guard:
        asking = _asking.setdefault(key, threading.Lock())
    held = _held.get(key)
    if held is not None and held.is_fresh and held != refused:
        return held
    with asking:
        held = _held.get(key)
        if held is None or not held.is_fresh or held == refused:
            _held[key] = held = _exchanged(key, ask, refused)
            conceal(held.text)
    return held


def _exchanged(key: str, ask: Callable[[], Token], refused: Token | None) -> Token:
    exchange = find_exchange()
    with exchange.lock(key):
        found = exchange.get(key)
        shared = Token(**json.loads(found)) if found else None
        if shared is not None and shared.is_fresh and shared != refused:
            return shared
        _keep_pace(shared)
        try:
            token = ask()
        except SourceUnavailable:
            if shared is not None and shared.is_alive and shared != refused:
                return shared
            raise
        exchange.put(key, json.dumps(asdict(token)))
        return token


def _keep_pace(last: Token | None) -> None:
    since_s = time.time() - last.obtained_s if last else _PACE_S
    if 0 <= since_s < _PACE_S:
        time.sleep(_PACE_S - since_s)


def _sas_url() -> str:
    return (os.environ.get("PC_SDK_SAS_URL") or SAS_URL).rstrip("/")


def _ask_for_sas(container: Container) -> Token:
    url = f"{_sas_url()}/{container.account}/{container.name}"
    key = planetary_key()
    if key:
        conceal(key)
    # A redirect would carry the key to another host.
    answer = get(
        url,
        shown=url,
        headers={"Ocp-Apim-Subscription-Key": key} if key else {},
        patience=Patience(tries=5, timeout_s=30.0, redirects=0),
        max_bytes=2**16,
    )
    if answer.status in (400, 404):
        raise SourceUnreadable(f"{url} knows no such container: HTTP {answer.status}")
    if answer.status != 200:
        raise SourceUnavailable(
            f"{url} gave no token: HTTP {answer.status}; if it asks for a key, "
            f"set PC_SDK_SUBSCRIPTION_KEY"
        )
    return _sas_of(answer, url)


def _sas_of(answer: Answer, url: str) -> Token:
    said = _json_object(answer.body)
    text, expiry = said.get("token"), _instant(said.get("msft:expiry"))
    if not isinstance(text, str) or not text or expiry is None:
        raise SourceUnavailable(
            f"{url} answered without a token or its expiry; expected "
            f'{{"token": ..., "msft:expiry": ...}}'
        )
    conceal(text)
    now = datetime.now(UTC)
    theirs = server_time(answer)
    if theirs is None or abs((theirs - now).total_seconds()) <= _CLOCKS_AGREE_S:
        theirs = now
    life_s = (expiry - theirs).total_seconds()
    if life_s <= 0:
        raise SourceUnavailable(
            f"{url} gave a token that expired at {expiry:%Y-%m-%d %H:%M:%S} UTC, and there it "
            f"is {theirs:%Y-%m-%d %H:%M:%S} UTC; try again later"
        )
    return Token(text=text.lstrip("?"), obtained_s=now.timestamp(), life_s=life_s)


def _log_in(password: str) -> Token:
    """A token for the user and password of the environment or of netrc."""
    import earthaccess  # noqa: PLC0415 - half a second that only this needs

    conceal(password)
    named = os.environ.get("EARTHDATA_USERNAME") and os.environ.get("EARTHDATA_PASSWORD")
    auth, problem = earthaccess.Auth(), "no token in the answer"
    try:
        auth.login(strategy="environment" if named else "netrc")
    except Exception as err:  # noqa: BLE001 - of any kind; its text may show the login
        problem = type(err).__name__
    text = str((auth.token or {}).get("access_token", ""))
    if not text:
        raise SourceUnavailable(
            f"NASA Earthdata gave no token for the user of EARTHDATA_USERNAME or ~/.netrc "
            f"({problem}); see {EARTHDATA.page}"
        )
    conceal(text)
    life_s = _EARTHDATA_LIFE.total_seconds()
    return Token(text=text, obtained_s=time.time(), life_s=life_s)


def _json_object(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _instant(text: object) -> datetime | None:
    try:
        time_ = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return time_.replace(tzinfo=UTC) if time_.tzinfo is None else time_.astimezone(UTC)
