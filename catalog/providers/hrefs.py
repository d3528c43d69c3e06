"""Addresses that catalogs state: which of them may be opened, and which are refused.

A catalog on the web is written by strangers. What it links to must not lead a reader to
files of this machine, to services on it, or to the metadata service of a cloud.
"""

import ipaddress
import re
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from urllib.parse import SplitResult, urljoin, urlsplit

from catalog.errors import ItemError
from catalog.providers.source import Source

_LONGEST = 4096
_WEB = ("http", "https")
_BUCKETS = ("s3", "gs", "az", "abfs", "abfss")
_WITH_ACCOUNT = ("abfs", "abfss")
"""Their addresses are `container@account`, which is no user."""
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?\.?")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
_THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")
_CLOUD_METADATA = ("metadata", "metadata.google.internal", "100.100.100.200", "fd00:ec2::254")
_LOCAL_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")


def check_href(href: str, source: Source) -> str:
    """Return `href` if an item that `source` listed may point there.

    A place on disk that the user named may point anywhere. An archive on the web may point
    to public addresses and buckets, and to its own host, whatever that is.

    Raises:
        ItemError: If it may not; the message names the address without its query.
    """
    if source.is_local:
        return href
    reason = why_refused(href, host_of(source.url))
    if reason is not None:
        raise ItemError(
            f"href {show_href(href)} {reason}; an item of an archive on the web must point to "
            f"a public http(s), s3, gs or az address"
        )
    return href


def why_refused(href: str, home: str) -> str | None:
    """Return why a stranger's address is not opened; None if it may be.

    Args:
        href: The address as stated.
        home: Host that the user named; the only one that may be on this very machine.
    """
    if len(href) > _LONGEST:
        return f"is {len(href)} characters long"
    if "\\" in href or not href.isprintable():
        return "holds a backslash or a control character"
    try:
        parts = urlsplit(href)
        if parts.port is not None and not parts.hostname:
            return "names no host"
    except ValueError:
        return "is no address"
    return _why_not_there(parts, home)


def host_of(url: str) -> str:
    """Return the host of an address, lower case; `''` if it has none."""
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def resolve_href(href: str, base: str) -> str:
    """Return a relative `href` as seen from `base`, a URL or a path; others as they are."""
    if not base or "://" in href or href.startswith(("/", "\\")):
        return href
    if "://" in base:
        return urljoin(base, href)
    folder = Path(base) if base.endswith("/") else Path(base).parent
    return str((folder / href).resolve())


def show_href(href: str) -> str:
    """Return an address fit for a message: short, printable, without user and query."""
    bare = re.sub(r"//[^/@]*@", "//", href.split("?", 1)[0].split("#", 1)[0])
    return repr(bare if len(bare) <= 120 else f"{bare[:100]}...")


def _why_not_there(parts: SplitResult, home: str) -> str | None:
    host = (parts.hostname or "").lower()
    if parts.scheme not in (*_WEB, *_BUCKETS):
        return "is a path or a scheme that only a local archive may use"
    if "@" in parts.netloc and parts.scheme not in _WITH_ACCOUNT:
        return "carries a user or a password"
    if parts.scheme in _BUCKETS:
        return None if _NAME.fullmatch(host) else "names no bucket"
    return None if host and host == home else _why_not_public(host)


def _why_not_public(host: str) -> str | None:
    """Why a host is not one of the public internet, in whatever way it is spelled."""
    name = host.rstrip(".")
    if ":" in name:
        return _why_no_number(name.split("%")[0])
    if not _NAME.fullmatch(host):
        return "names no host"
    if name in _LOCAL_NAMES or name.endswith(".localhost"):
        return "is on this very machine"
    if name in _CLOUD_METADATA:
        return "is the metadata service of a cloud"
    if _NUMBER.fullmatch(name.rsplit(".", 1)[-1]):
        return _why_no_number(name)
    return None


def _why_no_number(text: str) -> str | None:
    try:
        return _why_not_routed(ipaddress.ip_address(text))
    except ValueError:
        return "spells a number where a host is expected"


def _why_not_routed(address: IPv4Address | IPv6Address) -> str | None:
    for one in (address, *_embedded(address)):
        if str(one) in _CLOUD_METADATA:
            return "is the metadata service of a cloud"
        special = (
            one.is_loopback
            or one.is_link_local
            or one.is_unspecified
            or one.is_multicast
            or one.is_reserved
            or (isinstance(one, IPv4Address) and one in _THIS_NETWORK)
        )
        if special:
            return "is an address of this very machine, of its link, or of nobody"
    return None


def _embedded(address: IPv4Address | IPv6Address) -> tuple[IPv4Address, ...]:
    """IPv4 addresses that an IPv6 address leads to."""
    if isinstance(address, IPv4Address):
        return ()
    teredo = address.teredo or ()
    found = (address.ipv4_mapped, address.sixtofour, *teredo)
    return tuple(one for one in found if one is not None)
