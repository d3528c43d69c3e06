"""A process's one session with Earth Engine: opened once, asked with patience.

The client keeps its session in module globals, so this module owns it: whoever needs another
address or project waits until nobody uses the present one.
"""

import os
import random
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlparse

import ee
import google.auth
import httplib2
import requests
from google.auth.exceptions import GoogleAuthError, TransportError
from googleapiclient.errors import Error as ClientError
from googleapiclient.errors import HttpError

from catalog.errors import QueryError
from catalog.providers.query import Retries
from catalog.providers.source import Source

SCOPES = (
    "https://www.googleapis.com/auth/earthengine",
    "https://www.googleapis.com/auth/cloud-platform",
)
PROJECT_VARIABLES = ("GOOGLE_CLOUD_PROJECT", "EE_PROJECT_ID")
"""Where the project is looked for if the recipe names none, the first one set wins."""
KEY_VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
"""Path of a service account's key file."""
HELP_PAGE = "https://developers.google.com/earth-engine/guides/auth"

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_LONGEST_WAIT_S = 60.0
_MAX_ANSWER_BYTES = 256 * 2**20
"""No answer is as long: pixels are at most 48 MB, a page of a listing is less."""
_ASKED_AGAIN = (408, 425, 429)
"""Statuses below 500 that may pass."""
_NO_ANSWER = 0
_FAILURES = (
    ee.EEException,
    ClientError,
    GoogleAuthError,
    OSError,
    ValueError,
    EOFError,
)
"""What the client raises; the last two of them over an answer that is neither JSON nor NPY."""

_NO_COLLECTION = ee.deprecation.DeprecatedAsset(
    id="", replacement_id=None, removal_date=None, learn_more_url=None
)

_T = TypeVar("_T")


class Refusal(Exception):  # noqa: N818 - an answer, not a mistake
    """What Earth Engine answered instead of what was asked for, after every try."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status
        """Of HTTP; 0 if there was no answer at all."""

    @property
    def may_pass(self) -> bool:
        """Whether the same request may be answered later."""
        return _may_pass(self.status)


@contextmanager
def open_session(source: Source, retries: Retries) -> Iterator[None]:
    """Initialize the client for `source` unless it is so already, and keep it so meanwhile.

    On loopback, and on no other address, requests carry no credentials. Elsewhere they are
    those of the key file that `GOOGLE_APPLICATION_CREDENTIALS` names, or else those that
    `earthengine authenticate` or `gcloud auth application-default login` have left.

    Raises:
        QueryError: If there are no credentials or no project, or the API does not answer.
    """
    with _DESK.use((source.url, source.project), lambda: _initialize(source, retries)):
        yield


def ask(
    request: Callable[[], _T],
    retries: Retries,
    limit: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> _T:
    """Return what `request` returns; asked again after 429, 5xx and lost connections.

    Args:
        request: One call of the client.
        retries: How often and how patiently. Waits double and vary by half; a `Retry-After`
            header is obeyed instead.
        limit: Opened around every single try, and closed while waiting for the next.

    Raises:
        Refusal: If the last try failed, or one in a way that does not pass.
    """
    for attempt in range(1, retries.attempts + 1):
        try:
            with limit():
                return request()
        except _FAILURES as err:
            status, wait_s = _status(err), _retry_after_s(err)
            if not _may_pass(status) or attempt == retries.attempts:
                raise Refusal(_said(err), status=status) from err
        if wait_s is None:
            spread = random.uniform(0.5, 1.5)  # noqa: S311 - spreads workers, hides nothing
            wait_s = retries.backoff_s * 2 ** (attempt - 1) * spread
        time.sleep(min(wait_s, _LONGEST_WAIT_S))
    raise AssertionError("a policy has at least one attempt")


@dataclass
class _Desk:
    """Shared by all users of one session; changed only while nobody uses it."""

    _key: object = None
    _users: list[int] = field(default_factory=list)
    """Threads that use the session; one that nests uses is there as often."""
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @contextmanager
    def use(self, key: object, begin: Callable[[], None]) -> Iterator[None]:
        with self._changed:
            if self._key != key and threading.get_ident() in self._users:
                raise RuntimeError("a thread would wait for itself to close another session")
            self._changed.wait_for(lambda: not self._users or self._key == key)
            if self._key != key:
                self._key = None
                begin()
                self._key = key
            self._users.append(threading.get_ident())
        try:
            yield
        finally:
            with self._changed:
                self._users.remove(threading.get_ident())
                self._changed.notify_all()


_DESK = _Desk()


def _initialize(source: Source, retries: Retries) -> None:
    transport = _Transport(
        timeout_s=retries.timeout_s,
        # A proxy of the environment does not know a server on this very machine.
        trust_env=not _is_loopback(source.url),
    )
    credentials = None if _is_loopback(source.url) else _credentials()
    project = _project(source, credentials)

    def initialize() -> None:
        ee.Reset()
        # Initializing would otherwise fetch a list of outdated collections from another host,
        # without a time limit. A list that is there already is kept.
        ee.deprecation.deprecated_assets = {"": _NO_COLLECTION}
        ee.data.setMaxRetries(0)  # `ask` retries, by the caller's policy
        ee.Initialize(credentials, url=source.url, project=project, http_transport=transport)

    try:
        ask(initialize, retries)
    except Refusal as err:
        raise QueryError(
            f"Earth Engine at {source.url} could not be opened for project {project!r}: {err}; "
            f"check the address, and that the project may use Earth Engine ({HELP_PAGE})"
        ) from err


def _credentials() -> Any:  # noqa: ANN401 - google.auth has many kinds
    try:
        if not os.environ.get(KEY_VARIABLE):
            return ee.data.get_persistent_credentials()
        with warnings.catch_warnings():
            # Advice on projects that does not hold for Earth Engine.
            warnings.simplefilter("ignore")
            found, _ = google.auth.default(scopes=SCOPES)
    except (ee.EEException, GoogleAuthError, OSError, ValueError) as err:
        raise QueryError(
            f"there are no credentials for Earth Engine; set {KEY_VARIABLE} to the key file of "
            f"a service account, or run `earthengine authenticate` once ({HELP_PAGE})"
        ) from err
    return found


def _project(source: Source, credentials: object) -> str:
    named = [source.project, *(os.environ.get(name) for name in PROJECT_VARIABLES)]
    if _is_loopback(source.url):
        named.append("loopback")
    stated = (getattr(credentials, name, None) for name in ("quota_project_id", "project_id"))
    for project in (*named, *stated):
        if project:
            return project
    raise QueryError(
        f"Earth Engine charges every request to a cloud project and none is named; write "
        f'`project = "..."` under [sources.{source.name}] or set {PROJECT_VARIABLES[1]} '
        f"({HELP_PAGE})"
    )


def _is_loopback(url: str) -> bool:
    return urlparse(url).hostname in _LOOPBACK


class _Transport:
    """What the client sends its requests with: bounded in time, size and redirects."""

    def __init__(self, *, timeout_s: float, trust_env: bool) -> None:
        self.timeout_s = timeout_s
        self._session = requests.Session()
        self._session.trust_env = trust_env
        self._session.max_redirects = 3

    def request(
        self,
        uri: str,
        method: str = "GET",
        body: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        **_: object,
    ) -> tuple[httplib2.Response, bytes]:
        """Send one request; anything that keeps it from being answered is an `OSError`."""
        with self._session.request(
            method, uri, data=body, headers=headers, timeout=self.timeout_s, stream=True
        ) as answer:
            content = _bounded(answer)
            found = {**answer.headers, "status": str(answer.status_code)}
        return httplib2.Response(found), content

    def close(self) -> None:
        """Give up open connections."""
        self._session.close()


def _bounded(answer: requests.Response) -> bytes:
    content = bytearray()
    for piece in answer.iter_content(2**20):
        content += piece
        if len(content) > _MAX_ANSWER_BYTES:
            raise requests.RequestException(f"an answer exceeds {_MAX_ANSWER_BYTES} bytes")
    return bytes(content)


def _status(err: BaseException) -> int:
    """Status of HTTP; the client keeps it only in the error behind the one it raises."""
    cause = _http_error(err)
    if cause is not None:
        return int(cause.resp.status)
    return _NO_ANSWER if isinstance(err, OSError | TransportError) else 400


def _retry_after_s(err: BaseException) -> float | None:
    cause = _http_error(err)
    stated = cause.resp.get("retry-after") if cause is not None else None
    return float(stated) if stated is not None and str(stated).isdecimal() else None


def _http_error(err: BaseException) -> HttpError | None:
    behind: BaseException | None = err
    while behind is not None:
        if isinstance(behind, HttpError):
            return behind
        behind = behind.__cause__ or behind.__context__
    return None


def _may_pass(status: int) -> bool:
    return status == _NO_ANSWER or status >= 500 or status in _ASKED_AGAIN


def _said(err: BaseException) -> str:
    """The message without addresses' queries; requests themselves are never quoted."""
    status = _status(err)
    if isinstance(err, HttpError):
        return f"HTTP {status}: {err.reason}"
    if status == _NO_ANSWER:
        return f"no answer ({type(err).__name__})"
    return f"HTTP {status}: {err}" if _http_error(err) is not None else str(err)
