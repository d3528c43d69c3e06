"""Plain HTTP requests: patient, bounded in size, time and redirects, and discreet."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests
from requests.auth import AuthBase

from catalog.errors import SourceUnavailable, SourceUnreadable

_LATER = frozenset((408, 425, 429, 500, 502, 503, 504))
_PIECE = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How patiently a server is asked."""

    tries: int = 6
    backoff_s: float = 0.5
    """Wait before the second try; doubles each time. A `Retry-After` header is obeyed."""
    longest_wait_s: float = 60.0
    """No wait is longer, whatever the server asks for."""
    timeout_s: float = 60.0
    """Silence after which a try is given up."""
    redirects: int = 5

    def wait_s(self, tried: int, retry_after_s: float | None) -> float:
        """Return how long to wait after the `tried`-th try."""
        asked = self.backoff_s * 2 ** (tried - 1) if retry_after_s is None else retry_after_s
        return min(max(asked, 0.0), self.longest_wait_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server answered in the end."""

    status: int
    headers: Mapping[str, str]
    """Names are looked up whatever their case."""
    body: bytes = field(repr=False)


def get(
    url: str,
    *,
    shown: str,
    headers: Mapping[str, str] | None = None,
    patience: Patience | None = None,
    max_bytes: int = 2**31,
) -> Answer:
    """Return the answer to a GET, once it is not one that may pass.

    Args:
        url: Where to ask; may be signed.
        shown: How messages name it.
        headers: Sent along; `Authorization` never goes to another host upon a redirect.
        patience: How often and how long to ask.
        max_bytes: Size of body above which the answer is refused.

    Raises:
        SourceUnavailable: If the server is at fault, or out of reach, at every try.
        SourceUnreadable: If the answer is too large or redirects without end.
    """
    policy = patience or Patience()
    said = ""
    for tried in range(1, policy.tries + 1):
        outcome = _try(url, shown, headers or {}, policy, max_bytes)
        if isinstance(outcome, Answer) and outcome.status not in _LATER:
            return outcome
        asked = _retry_after_s(outcome) if isinstance(outcome, Answer) else None
        said = f"HTTP {outcome.status}" if isinstance(outcome, Answer) else outcome
        if tried < policy.tries:
            time.sleep(policy.wait_s(tried, asked))
    raise SourceUnavailable(f"{shown} could not be fetched in {policy.tries} tries: {said}")


def server_time(answer: Answer) -> datetime | None:
    """Return what time it was for the server, to the second; None if it did not say."""
    try:
        return parsedate_to_datetime(answer.headers["Date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return None


class _As(AuthBase):
    """Sends one `Authorization` header, whatever the user's netrc says of the host."""

    def __init__(self, value: str | None) -> None:
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._value is not None:
            request.headers["Authorization"] = self._value
        return request


def _try(
    url: str, shown: str, headers: Mapping[str, str], policy: Patience, max_bytes: int
) -> Answer | str:
    """The answer, or what kept the server from answering, in words without the URL."""
    plain = {k: v for k, v in headers.items() if k != "Authorization"}
    refusal, answer = "", None
    with requests.Session() as session:
        session.max_redirects = max(policy.redirects, 1)
        try:
            with session.get(
                url,
                headers=plain,
                auth=_As(headers.get("Authorization")),
                timeout=policy.timeout_s,
                allow_redirects=policy.redirects > 0,
                stream=True,
            ) as response:
                body = _body(response, max_bytes)
                if body is None:
                    refusal = f"answers with more than {max_bytes:,} bytes"
                else:
                    status, got = response.status_code, response.headers
                    answer = Answer(status=status, headers=got, body=body)
        except requests.TooManyRedirects:
            refusal = f"redirects more than {policy.redirects} times"
        except (requests.RequestException, OSError) as err:
            return type(err).__name__
    # Raised out here, without a cause: the errors of requests name the URL they were given.
    if answer is None:
        raise SourceUnreadable(f"{shown} {refusal}")
    return answer


def _body(response: requests.Response, max_bytes: int) -> bytes | None:
    """The whole body; None if it is too large."""
    pieces, size = [], 0
    for piece in response.iter_content(_PIECE):
        size += len(piece)
        if size > max_bytes:
            return None
        pieces.append(piece)
    return b"".join(pieces)


def _retry_after_s(answer: Answer) -> float | None:
    """Seconds, or the time until a date, as RFC 9110 section 10.2.3 allows."""
    value = answer.headers.get("Retry-After", "")
    try:
        return float(value)
    except ValueError:
        pass
    try:
        return (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return None
