"""What a data product is: its bands, its quality rule, its names in archives, its terms.

The products themselves are literal entries in `catalog.families`, listed in
`catalog.products`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from catalog.errors import RecipeError, nearest_choice

Kind = Literal[
    "reflectance",
    "temperature",
    "backscatter",
    "elevation",
    "class",
    "probability",
    "atmosphere",
    "quality",
]
"""What sort of quantity a band holds; decides how it is resampled and shown."""

QualityRule = Literal[
    "landsat-qa-pixel", "sentinel2-scl", "hls-fmask", "planet-udm2", "nodata-only"
]
"""Word for the rule that turns a quality band into validity; see `pipeline.validity`."""

Access = Literal["open", "planetary-computer", "earthdata", "requester-pays", "earth-engine"]
"""How the files of an archive are opened: freely, with signed URLs, with a bearer token, at the
reader's own cost, or by asking Earth Engine for pixels."""

NAMED = frozenset(
    {
        "earth-search",
        "planetary-computer",
        "lpdaac",
        "usgs",
        "earth-engine",
        "gesdisc",
        "g5nr",
        "files",
    }
)
"""Dialects of archives that are known: a product without an entry for one is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """How a store keeps a band: `physical = raw * scale + offset`, raw 0 is nodata.

    Float encodings (`scale` 1, `offset` 0) use NaN for nodata.
    """

    dtype: Literal["uint8", "uint16", "float32"]
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """One measured quantity of a product."""

    key: str
    """Name used by recipes and stores, for example `'swir1'`."""
    kind: Kind
    unit: str
    """Physical unit after scaling; `'1'` for reflectance."""
    gsd_m: float
    """Ground sampling distance of the provider's pixels, metres."""
    wavelength_nm: float | None = None
    """Center wavelength, nanometres; None for bands without one."""
    encoding: Encoding
    """How a store keeps the band."""
    source_scale: float = 1.0
    """Fallback scale of the provider's raw values, if an item does not state one."""
    source_offset: float = 0.0
    """Fallback offset of the provider's raw values, if an item does not state one."""
    source_nodata: float | None = 0.0
    """Fallback nodata of the provider's raw values; None if every value is data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Which band says what is usable, and by which rule."""

    rule: QualityRule
    band: str | None = None
    """Key of the quality band; None where the pixels' own nodata is all there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """What raw values of an archive's files mean: `physical = raw * scale + offset`."""

    scale: float = 1.0
    offset: float = 0.0
    nodata: float | None = None
    """Raw value that means no data; None if every value is data, or a mask says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """How one archive names, scales and opens a product."""

    collections: tuple[str, ...]
    """STAC collections, Earth Engine assets or CMR short names that hold it together."""
    assets: Mapping[str, str]
    """Band key -> STAC asset, Earth Engine band or NetCDF variable. `'analytic#2'` is the
    second band of the file of asset `analytic`."""
    access: Access = "open"
    scaling: Mapping[Kind, Scaling] = field(default_factory=lambda: MappingProxyType({}))
    """Kind of band -> scaling there, where it is not the one of the band itself."""
    form: Literal["collection", "image"] = "collection"
    """Whether an Earth Engine asset is a collection of images or a single image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One data product: its bands, its quality rule, its names, its terms of use."""

    key: str
    title: str
    bands: tuple[Band, ...]
    quality: Quality
    archives: Mapping[str, Archive]
    """Dialect -> names there: a known archive, `'stac'` for any STAC API without an entry of
    its own, `'files'` for a folder of files as the producer delivers them."""
    when: Literal["window", "hour", "static", "year"] = "window"
    """Whether scenes must be near the anchor in time; the default of a recipe's layer."""
    license: str
    attribution: str
    citation: str
    """Source of scales, offsets and bit meanings."""

    def band(self, key: str) -> Band:
        """Return the band called `key`.

        Raises:
            RecipeError: If the product has no such band.
        """
        for band in self.bands:
            if band.key == key:
                return band
        keys = [band.key for band in self.bands]
        raise RecipeError(
            f"product {self.key!r} has no band {key!r}; it has {', '.join(keys)}: "
            f"{nearest_choice(key, keys)}"
        )

    def sources(self) -> tuple[str, ...]:
        """Return where the product is listed, in words for a user."""
        words = {"stac": "other STAC archives", "files": "folders of its producer's files"}
        named = [name for name in sorted(self.archives) if name in NAMED and name != "files"]
        return (*named, *(words[name] for name in words if name in self.archives))

    def has(self, dialect: str) -> bool:
        """Whether archive `dialect` has this product."""
        return dialect in self.archives or (dialect not in NAMED and "stac" in self.archives)

    def archive(self, dialect: str) -> Archive:
        """Return how archive `dialect` names this product, or any STAC API would.

        Raises:
            RecipeError: If the product is in no such archive.
        """
        if not self.has(dialect):
            raise RecipeError(
                f"product {self.key!r} is not in archive {dialect!r}; it is in "
                f"{', '.join(self.sources())}"
            )
        return self.archives.get(dialect) or self.archives["stac"]
