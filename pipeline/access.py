"""How files are opened: freely, signed, with a bearer token, or at the reader's own cost.

A `Reach` is made inside the task, right before a read. Secrets go to the hosts they are meant
for and nowhere else; messages name the file by its address without a query.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from catalog.errors import SourceUnavailable, SourceUnreadable
from catalog.product import Access
from pipeline.conceal import watch_loggers
from pipeline.credentials import has_aws_keys, has_earthdata_login, is_loopback
from pipeline.fetch import Answer, Patience, get
from pipeline.tokens import Container, Token, container_of, earthdata_token, sas_token

_S3_HOST = re.compile(
    r"(?:(?P<bucket>[\w.-]+)\.)?s3(?:[.-][a-z]{2}-[a-z-]+-\d)?\.amazonaws\.com", re.IGNORECASE
)
_REFUSED = (401, 403)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How one file is reached for now."""

    href: str
    """As the archive names it, without a signature."""
    access: Access
    path: str = field(repr=False)
    """What GDAL opens."""
    gdal_options: Mapping[str, str] = field(default_factory=dict, repr=False)
    url: str = field(repr=False)
    """What a plain HTTP client asks for; a path for local files."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What a plain HTTP client sends along; never to another host upon a redirect."""
    token: Token | None = field(default=None, repr=False)
    """The token it stands on, if any."""

    def renewed(self) -> "Reach | None":
        """Return the way with another token, after a server refused this one.

        None if there was no token to renew.

        Raises:
            SourceUnavailable: If no other token is to be had.
        """
        return None if self.token is None else _reach(self.href, self.access, self.token)


def reach(href: str, access: Access) -> Reach:
    """Return how to open a file now.

    Args:
        href: Absolute path or URL.
        access: How the archive's files are opened. Files on this machine, and hosts that a
            token is not meant for, are opened freely.

    Raises:
        SourceUnavailable: If a token is needed and not to be had for now.
        SourceUnreadable: If nobody gives a token for this file.
    """
    if is_remote(href):
        # Servers may redirect to signed addresses, even where no token of ours is needed.
        watch_loggers()
    return _reach(href, access, None)


def shown(href: str) -> str:
    """Return an address as messages may show it: without user, password and query.

    Example:
        >>> shown("https://me:pass@a.blob.core.windows.net/c/b.tif?sig=4f1c")
        'https://a.blob.core.windows.net/c/b.tif'
    """
    if not is_remote(href):
        return href
    head, mark, rest = href.partition("?")[0].partition("://")
    host, slash, path = rest.partition("/")
    return f"{head}{mark}{host.rpartition('@')[2]}{slash}{path}"


def is_remote(href: str) -> bool:
    """Whether a file is on a server rather than on this machine's disk."""
    return "://" in href or href.startswith("/vsi")


def fetch(
    href: str,
    access: Access,
    *,
    start: int = 0,
    stop: int | None = None,
    max_bytes: int = 2**31,
    patience: Patience | None = None,
) -> bytes:
    """Return a file, or its bytes from `start` up to `stop`.

    A token that is refused is renewed once.

    Raises:
        SourceUnreadable: If the file is missing or larger than `max_bytes`.
        SourceUnavailable: If the server is at fault, refuses, or is out of reach for now.
    """
    if not is_remote(href):
        return _from_disk(href, start, stop, max_bytes)
    whole = start == 0 and stop is None
    span = {} if whole else {"Range": f"bytes={start}-{'' if stop is None else stop - 1}"}
    answer = _ask(href, access, span, max_bytes, patience)
    if answer.status == 200 and not whole:
        return answer.body[start:stop]
    return answer.body


def file_size(href: str, access: Access, *, patience: Patience | None = None) -> int:
    """Return the size of a file, bytes.

    Raises:
        SourceUnreadable: If the file is missing, or its server does not know its size.
        SourceUnavailable: If the server is at fault, refuses, or is out of reach for now.
    """
    if not is_remote(href):
        return _size_on_disk(href)
    answer = _ask(href, access, {"Range": "bytes=0-0"}, 2**31, patience)
    if answer.status == 200:
        return len(answer.body)
    total = answer.headers.get("Content-Range", "").rpartition("/")[2]
    if not total.isdigit():
        raise SourceUnreadable(f"{shown(href)}: its server does not say how large it is")
    return int(total)


def _reach(href: str, access: Access, refused: Token | None) -> Reach:
    if access == "planetary-computer":
        container = container_of(href)
        if container is not None:
            return _signed(href, container, refused)
    if access == "earthdata" and _takes_bearer(href):
        return _with_bearer(href, earthdata_token(refused=refused))
    if access == "requester-pays":
        return _at_own_cost(href)
    options = {}
    if href.startswith("s3://") and not has_aws_keys():
        options["AWS_NO_SIGN_REQUEST"] = "YES"
    return Reach(
        href=href, access=access, path=_gdal_path(href), gdal_options=options, url=href
    )


def _signed(href: str, container: Container, refused: Token | None) -> Reach:
    token = sas_token(container, refused=refused)
    url = f"{href}{'&' if '?' in href else '?'}{token.text}"
    return Reach(
        href=href, access="planetary-computer", path=f"/vsicurl/{url}", url=url, token=token
    )


def _with_bearer(href: str, token: Token) -> Reach:
    return Reach(
        href=href,
        access="earthdata",
        path=_gdal_path(href),
        # libcurl keeps it from other hosts when it follows a redirect.
        gdal_options={"GDAL_HTTP_AUTH": "BEARER", "GDAL_HTTP_BEARER": token.text},
        url=href,
        headers={"Authorization": f"Bearer {token.text}"},
        token=token,
    )


def _at_own_cost(href: str) -> Reach:
    """Through S3, whose requests are signed; plain HTTPS cannot pay."""
    match = _S3_HOST.fullmatch(urlsplit(href).hostname or "")
    at = urlsplit(href).path.lstrip("/")
    path = _gdal_path(href)
    if match is not None:
        path = f"/vsis3/{match['bucket']}/{at}" if match["bucket"] else f"/vsis3/{at}"
    return Reach(
        href=href,
        access="requester-pays",
        path=path,
        gdal_options={"AWS_REQUEST_PAYER": "requester"},
        url=href,
    )


def _gdal_path(href: str) -> str:
    if href.startswith(("http://", "https://")):
        return f"/vsicurl/{href}"
    return f"/vsis3/{href.removeprefix('s3://')}" if href.startswith("s3://") else href


def _takes_bearer(href: str) -> bool:
    """Whether a token is sent: to NASA always, to a server of this machine if there is one."""
    return _is_nasa(href) and (not is_loopback(href) or has_earthdata_login())


def _is_nasa(href: str) -> bool:
    """Whether a host may be given an Earthdata token: NASA's own, and loopback for trials."""
    parts = urlsplit(href)
    host = parts.hostname or ""
    return (parts.scheme == "https" and host.endswith(".nasa.gov")) or (
        parts.scheme == "http" and is_loopback(href)
    )


def _ask(
    href: str,
    access: Access,
    span: Mapping[str, str],
    max_bytes: int,
    patience: Patience | None,
) -> Answer:
    """The answer of a server that has the file, with a new token if it refused the first."""
    if not href.startswith(("http://", "https://")):
        raise SourceUnreadable(f"{shown(href)} is read over http:// or https:// only")
    way = reach(href, access)
    answer = _get(way, span, max_bytes, patience)
    renewed = way.renewed() if answer.status in _REFUSED else None
    if renewed is not None:
        answer = _get(renewed, span, max_bytes, patience)
    if answer.status in _REFUSED:
        raise SourceUnavailable(f"{shown(href)} could not be read: HTTP {answer.status}")
    if answer.status not in (200, 206):
        raise SourceUnreadable(f"{shown(href)} could not be read: HTTP {answer.status}")
    return answer


def _get(
    way: Reach, span: Mapping[str, str], max_bytes: int, patience: Patience | None
) -> Answer:
    return get(
        way.url,
        shown=shown(way.href),
        headers={**way.headers, **span},
        patience=patience,
        max_bytes=max_bytes,
    )


def _size_on_disk(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError as err:
        raise SourceUnreadable(f"{path} could not be read: {err}") from err


def _from_disk(path: str, start: int, stop: int | None, max_bytes: int) -> bytes:
    try:
        with Path(path).open("rb") as file:
            file.seek(start)
            data = file.read(max_bytes + 1 if stop is None else stop - start)
    except OSError as err:
        raise SourceUnreadable(f"{path} could not be read: {err}") from err
    if len(data) > max_bytes:
        raise SourceUnreadable(f"{path} holds more than {max_bytes:,} bytes")
    return data
