"""Where scenes are listed, and how their files are opened."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Literal, Self
from urllib.parse import urlparse

from catalog.product import Access, Product

Listing = Literal["stac", "earth-engine", "cmr", "g5nr", "files"]
"""How an archive is asked what it has: a STAC API (local archives are served as one), the
Earth Engine API, NASA's CMR, the index pages of the G5NR portal, or a look into a folder."""

MAX_ITEMS = 50_000
"""Items of one search above which it is refused, unless the recipe says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One archive as a recipe names it. Holds no secret, ever."""

    name: str
    """As scenes record it: a known archive, a name of the recipe's own, a URL or a path."""
    listing: Listing
    url: str
    """Address of the API; absolute path of a local archive or folder."""
    dialect: str
    """Whose names of collections and assets are used: a key of `Product.archives`."""
    access: Access | None = None
    """How files are opened; None for what the product table says of the dialect."""
    project: str | None = None
    """Cloud project that Earth Engine requests are charged to."""
    max_items: int = MAX_ITEMS

    @property
    def is_local(self) -> bool:
        """Whether the user named a place on this machine's disk."""
        return urlparse(self.url).scheme not in ("http", "https")

    def access_to(self, product: Product) -> Access:
        """Return how this archive's files of a product are opened."""
        return self.access or product.archive(self.dialect).access

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready description."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the source that `to_json` described."""
        return cls(**data)


def _known(name: str, listing: Listing, url: str) -> Source:
    return Source(name=name, listing=listing, url=url, dialect=name)


KNOWN_SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        one.name: one
        for one in (
            _known("earth-search", "stac", "https://earth-search.aws.element84.com/v1"),
            _known(
                "planetary-computer",
                "stac",
                "https://planetarycomputer.microsoft.com/api/stac/v1",
            ),
            _known("lpdaac", "stac", "https://cmr.earthdata.nasa.gov/stac/LPCLOUD"),
            _known("usgs", "stac", "https://landsatlook.usgs.gov/stac-server"),
            _known("earth-engine", "earth-engine", "https://earthengine.googleapis.com"),
            _known("gesdisc", "cmr", "https://cmr.earthdata.nasa.gov/search/"),
            _known("g5nr", "g5nr", "https://portal.nccs.nasa.gov/datashare/G5NR/DATA"),
        )
    }
)
"""Archives that a recipe may name by a word."""


def stac_source(place: str) -> Source:
    """Return a STAC API by its URL, or a local archive by its path.

    Example:
        >>> stac_source("https://earth-search.aws.element84.com/v1/").name
        'earth-search'
    """
    for known in KNOWN_SOURCES.values():
        if place.rstrip("/") in (known.name, known.url):
            return known
    return Source(name=place, listing="stac", url=place, dialect="stac")
