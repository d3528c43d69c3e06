"""Which logins archives need, and whether this machine has them.

Credentials come from the environment or from the providers' own files, never from a recipe.
Nothing here returns or says one: only whether it is there, and what to do if it is not.
"""

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from netrc import NetrcParseError, netrc
from pathlib import Path
from urllib.parse import urlsplit

from catalog.errors import RecipeError
from catalog.product import Product
from catalog.providers.source import Source

EARTHDATA_HOST = "urs.earthdata.nasa.gov"
"""Machine in `~/.netrc` that holds an Earthdata login."""

_VENDOR = Path("/sys/devices/virtual/dmi/id/sys_vendor")
_EC2, _GCE = "Amazon EC2", "Google"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """One kind of login: how it is found, and what to do if it is missing."""

    what: str
    is_found: Callable[[], bool]
    advice: str
    """Names the variables to set."""
    page: str
    """Explains how to get it."""


EARTHDATA = Login(
    what="NASA Earthdata",
    is_found=lambda: _has("EARTHDATA_TOKEN") or earthdata_user() is not None,
    advice="set EARTHDATA_TOKEN, or EARTHDATA_USERNAME and EARTHDATA_PASSWORD, or add machine "
    f"{EARTHDATA_HOST} to ~/.netrc",
    page="https://urs.earthdata.nasa.gov/documentation/for_users/user_token",
)
AWS = Login(
    what="AWS",
    is_found=lambda: has_aws_keys() or _machine_is(_EC2),
    advice="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE and "
    "~/.aws/credentials",
    page="https://docs.aws.amazon.com/AmazonS3/latest/userguide/RequesterPaysBuckets.html",
)
PLANETARY_COMPUTER = Login(
    what="Planetary Computer key",
    is_found=lambda: planetary_key() is not None,
    advice="set PC_SDK_SUBSCRIPTION_KEY for higher rate limits; reading works without",
    page="https://planetarycomputer.microsoft.com/docs/concepts/sas/",
)
EARTH_ENGINE = Login(
    what="Earth Engine",
    is_found=lambda: _earth_engine_file() is not None or _machine_is(_GCE),
    advice="set GOOGLE_APPLICATION_CREDENTIALS to the key file of a service account, or run "
    "`earthengine authenticate`",
    page="https://developers.google.com/earth-engine/guides/auth",
)
EARTH_ENGINE_PROJECT = Login(
    what="Earth Engine project",
    is_found=lambda: earth_engine_project() is not None,
    advice="set GOOGLE_CLOUD_PROJECT, or `project` in the recipe's section of the source",
    page="https://developers.google.com/earth-engine/guides/access",
)
LOGINS = (EARTHDATA, EARTH_ENGINE, EARTH_ENGINE_PROJECT, AWS, PLANETARY_COMPUTER)
"""All that any archive may need or use."""


def missing_credentials(sources: Iterable[tuple[Source, Product]]) -> list[str]:
    """Return one sentence per login that is needed and missing, in the order of `sources`.

    Nothing is needed of an archive on this machine, be it a folder or a server on loopback.
    """
    lacking: dict[tuple[str, str], list[str]] = {}
    logins: dict[tuple[str, str], Login] = {}
    for source, product in sources:
        for login in _needed(source, product):
            key = (source.name, login.what)
            logins[key] = login
            products = lacking.setdefault(key, [])
            if product.key not in products:
                products.append(product.key)
    return [
        f"{', '.join(products)} from {name!r} needs a login ({what}), and none was found"
        f"{_why(what)}; {logins[name, what].advice}; see {logins[name, what].page}"
        for (name, what), products in lacking.items()
    ]


def _why(what: str) -> str:
    """What is wrong with a login that was meant to be there."""
    key = _value("GOOGLE_APPLICATION_CREDENTIALS")
    if what == EARTH_ENGINE.what and key and not Path(key).is_file():
        return f": GOOGLE_APPLICATION_CREDENTIALS names {key}, and there is no such file"
    if what == EARTHDATA.what and _has("EARTHDATA_USERNAME") != _has("EARTHDATA_PASSWORD"):
        return ": of EARTHDATA_USERNAME and EARTHDATA_PASSWORD only one is set"
    return ""


def require_credentials(sources: Iterable[tuple[Source, Product]]) -> None:
    """Refuse to begin work that would end at a closed door.

    Raises:
        RecipeError: If a login is missing; names the variables to set and the pages to read.
    """
    lacks = missing_credentials(sources)
    if lacks:
        raise RecipeError("\n".join(lacks))


def has_earthdata_login() -> bool:
    """Whether an Earthdata token, or a user and password, can be found."""
    return EARTHDATA.is_found()


def earthdata_user() -> tuple[str, str] | None:
    """Return the Earthdata user and password of the environment or of netrc, if any."""
    user, password = _value("EARTHDATA_USERNAME"), _value("EARTHDATA_PASSWORD")
    if user and password:
        return user, password
    path = Path(_value("NETRC") or Path.home() / ".netrc")
    try:
        found = netrc(str(path)).authenticators(EARTHDATA_HOST)
    except (OSError, NetrcParseError):
        return None
    return (found[0], found[2]) if found and found[0] and found[2] else None


def planetary_key() -> str | None:
    """Return the Planetary Computer subscription key of the environment or its own file."""
    name = "PC_SDK_SUBSCRIPTION_KEY"
    settings = Path.home() / ".planetarycomputer" / "settings.env"
    try:
        lines = settings.read_text().splitlines()
    except OSError:
        lines = []
    kept = [line.partition("=")[2].strip("\"' ") for line in lines if line.startswith(name)]
    return _value(name) or next((key for key in kept if key), None)


def has_aws_keys() -> bool:
    """Whether requests to S3 can be signed without asking the machine for a role."""
    named = _has("AWS_ACCESS_KEY_ID") and _has("AWS_SECRET_ACCESS_KEY")
    roles = (
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    )
    path = Path(_value("CPL_AWS_CREDENTIALS_FILE") or Path.home() / ".aws" / "credentials")
    profile = _has("AWS_PROFILE") and (Path.home() / ".aws" / "config").is_file()
    return named or any(map(_has, roles)) or path.is_file() or profile


def earth_engine_project(source: Source | None = None) -> str | None:
    """Return the cloud project to charge: the recipe's, the environment's or the key's own."""
    named = source.project if source else None
    return (
        named
        or _value("GOOGLE_CLOUD_PROJECT")
        or _value("EE_PROJECT_ID")
        or _project_of(_earth_engine_file())
    )


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine itself.

    Example:
        >>> is_loopback("http://127.0.0.1:8080/stac"), is_loopback("https://a.nasa.gov")
        (True, False)
    """
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _needed(source: Source, product: Product) -> list[Login]:
    if source.is_local or is_loopback(source.url):
        return []
    access = source.access_to(product)
    needed: list[Login] = []
    if access == "earth-engine" or source.listing == "earth-engine":
        needed.append(EARTH_ENGINE)
        if source.project is None:
            needed.append(EARTH_ENGINE_PROJECT)
    elif access == "earthdata" or source.listing == "cmr":
        needed.append(EARTHDATA)
    elif access == "requester-pays":
        needed.append(AWS)
    return [login for login in needed if not login.is_found()]


def _earth_engine_file() -> Path | None:
    """The key file that earthengine-api and google-auth would find first, if it exists."""
    named = _value("GOOGLE_APPLICATION_CREDENTIALS")
    if named:
        return Path(named) if Path(named).is_file() else None
    config = Path.home() / ".config"
    gcloud = Path(_value("CLOUDSDK_CONFIG") or config / "gcloud")
    places = (
        config / "earthengine" / "credentials",
        gcloud / "application_default_credentials.json",
    )
    return next((place for place in places if place.is_file()), None)


def _project_of(path: Path | None) -> str | None:
    try:
        key = json.loads(path.read_text()) if path else {}
    except (OSError, ValueError):
        return None
    names = ("project", "project_id", "quota_project_id")
    return next((str(key[name]) for name in names if key.get(name)), None)


def _machine_is(vendor: str) -> bool:
    """Whether a cloud runs this machine, which may then have a role of its own."""
    try:
        return vendor in _VENDOR.read_text()
    except OSError:
        return False


def _value(name: str) -> str | None:
    return os.environ.get(name) or None


def _has(name: str) -> bool:
    return _value(name) is not None
