"""One careful way to fetch a document from a server that may fail, lie or never end."""

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

from requests import Request, Response, Session
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from catalog.errors import QueryError
from catalog.providers.hrefs import host_of, show_href, why_refused
from catalog.providers.query import Retries

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_BLOCK = 2**16
_REDIRECTS = 3
_MOVED = (301, 302, 307, 308)
_TRANSIENT = (429, 500, 502, 503, 504)
_LONGEST_BACKOFF_S = 120.0


class AnswerError(Exception):
    """An answer that did not come, or must not be used; the message is for the user."""


class Fetcher:
    """Fetches documents of one archive: bounded in size, time, tries and redirects.

    Args:
        home: Address that the user named; only its host may be on this very machine.
        policy: How patiently the archive is asked.
    """

    def __init__(self, home: str, policy: Retries) -> None:
        self.requests = 0
        self._home = host_of(home)
        self._policy = policy
        self._session = Session()
        # A proxy of the environment does not know a server on this very machine.
        self._session.trust_env = self._home not in _LOOPBACK

    def fetch(self, request: Request) -> bytes:
        """Return the body of the answer to a request.

        Raises:
            AnswerError: If there is none, or it breaks a bound.
        """
        for attempt in range(1, self._policy.attempts + 1):
            try:
                return self._follow(request)
            except _PassingError as err:
                failure = err
            if attempt < self._policy.attempts:
                time.sleep(self._wait_s(attempt, failure))
        raise AnswerError(
            f"failed after {self._policy.attempts} tries: {failure}; check the address and the "
            f"network, then run the same command again"
        ) from failure

    def close(self) -> None:
        """Hang up."""
        self._session.close()

    def _wait_s(self, attempt: int, failure: "_PassingError") -> float:
        if failure.wait_s is None:
            pause = self._policy.backoff_s * 2**attempt if attempt > 1 else 0.0
            return min(pause / 2, _LONGEST_BACKOFF_S)
        if failure.wait_s > self._policy.longest_wait_s:
            raise AnswerError(
                f"was put off for {failure.wait_s:.0f} s, longer than the "
                f"{self._policy.longest_wait_s:g} s that are waited; run the same command later"
            )
        return failure.wait_s

    def _follow(self, request: Request) -> bytes:
        """The body at the end of a few redirects, each of which must be allowed."""
        for _ in range(_REDIRECTS + 1):
            href = str(request.url)
            self._check(href)
            with self._send(request) as answer:
                target = answer.headers.get("Location")
                if answer.status_code not in _MOVED or target is None:
                    return self._body(answer)
                moved = urljoin(str(answer.url), target)
            if urlsplit(href).scheme == "https" and urlsplit(moved).scheme == "http":
                raise AnswerError(f"was sent from https to http, to {show_href(moved)}")
            request = Request(request.method, moved, headers=request.headers, json=request.json)
        raise AnswerError(f"was redirected more than {_REDIRECTS} times, to {show_href(moved)}")

    def _check(self, href: str) -> None:
        reason = why_refused(href, self._home)
        if reason is None and urlsplit(href).scheme not in ("http", "https"):
            reason = "is no http(s) address"
        if reason is not None:
            raise AnswerError(f"was sent to {show_href(href)}, which {reason}")

    def _send(self, request: Request) -> Response:
        self.requests += 1
        prepared = self._session.prepare_request(request)
        settings: Mapping[str, Any] = self._session.merge_environment_settings(
            prepared.url, proxies={}, stream=True, verify=True, cert=None
        )
        try:
            return self._session.send(
                prepared, timeout=self._policy.timeout_s, allow_redirects=False, **settings
            )
        except (RequestException, HTTPError, OSError) as err:
            raise _PassingError(self._in_words(err, prepared.url or "")) from err

    def _in_words(self, err: Exception, url: str) -> str:
        """What kept a server from answering, without the client's own names for it."""
        said, place = str(err), urlsplit(url).netloc
        if "Connection refused" in said:
            hint = "; is `geoloupe sandbox` running?" if self._home in _LOOPBACK else ""
            return f"nothing listens at {place}{hint}"
        if "Failed to resolve" in said or "Name or service not known" in said:
            return f"the name {urlsplit(url).hostname} cannot be resolved; is there a network?"
        if "timed out" in said:
            return f"{place} did not answer within {self._policy.timeout_s:g} s"
        return said[:300]

    def _body(self, answer: Response) -> bytes:
        status = answer.status_code
        if status in _TRANSIENT:
            raise _PassingError(f"status {status}", wait_s=_retry_after(answer))
        body = self._read(answer)
        if not 200 <= status < 300:
            said = body[:200].decode("utf-8", "replace")
            raise AnswerError(f"was answered with status {status}: {said!r}; check the address")
        return body

    def _read(self, answer: Response) -> bytes:
        started, body = time.monotonic(), bytearray()
        try:
            while block := answer.raw.read1(_BLOCK, decode_content=True):
                body += block
                if len(body) > self._policy.answer_bytes:
                    limit = self._policy.answer_bytes
                    raise AnswerError(f"was answered with more than {limit} bytes at once")
                if time.monotonic() - started > self._policy.answer_s:
                    limit_s = self._policy.answer_s
                    raise AnswerError(f"was not answered in full within {limit_s:g} s")
        except (HTTPError, OSError) as err:
            raise _PassingError(f"the answer broke off: {str(err)[:300]}") from err
        return bytes(body)


class _PassingError(Exception):
    """A failure that may pass."""

    def __init__(self, message: str, *, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


def fetch_json(href: str, *, retries: Retries | None = None) -> Any:  # noqa: ANN401 - JSON
    """Return the JSON document at an address that the user named.

    Raises:
        QueryError: If it cannot be had, or is no JSON.
    """
    fetcher = Fetcher(href, retries or Retries())
    try:
        return json.loads(fetcher.fetch(Request("GET", href)))
    except AnswerError as err:
        raise QueryError(f"{show_href(href)} {err}") from err
    except (RecursionError, ValueError) as err:
        raise QueryError(f"{show_href(href)} is no JSON document: {str(err)[:200]}") from err
    finally:
        fetcher.close()


def _retry_after(answer: Response) -> float | None:
    """Seconds to wait as the server says, by number or by date; None if it does not."""
    stated = answer.headers.get("Retry-After", "").strip()
    if not stated:
        return None
    if stated.replace(".", "", 1).isdecimal():
        return float(stated)
    try:
        until = parsedate_to_datetime(stated)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max((until - datetime.now(UTC)).total_seconds(), 0.0)
