"""Which product an item is of, and why some that look like one are not."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from catalog.errors import ItemError
from catalog.product import Product
from catalog.products import PRODUCTS
from catalog.providers.source import KNOWN_SOURCES, Source, stac_source

_IDS: tuple[tuple[str, str], ...] = (
    (r"HLS\.L30\.", "hls-l30"),
    (r"HLS\.S30\.", "hls-s30"),
    (r"L[CO]0[89]_L2S[PR]_", "landsat-c2-l2"),
    (r"S2[A-D]_(.*_)?(L2A|MSIL2A)(_|$)", "sentinel-2-l2a"),
    (r"S2[A-D]_(.*_)?(L1C|MSIL1C)(_|$)", "sentinel-2-l1c"),
    (r"S1[A-D]_.*_rtc$", "sentinel-1-rtc"),
    (r"S1[A-D]_(IW|EW|S[1-6])_GRD", "sentinel-1-grd"),
    (r"Copernicus_DSM_(COG_)?10_", "cop-dem-glo-30"),
    (r"NASADEM_", "nasadem"),
    (r"ESA_WorldCover_10m_", "esa-worldcover"),
    (r"cropland_\d{4}_", "usda-cdl"),
)
"""How the producers themselves name their products."""

_NOT_IDS: tuple[tuple[str, str], ...] = (
    (r"LM0[1-5]_", "an MSS scene; Landsat products here are of OLI and TIRS, Landsat 8 and 9"),
    (r"L[TE]0[457]_", "a TM or ETM+ scene; Landsat products here are of Landsat 8 and 9"),
    (r"HLS-VI\.", "vegetation indices made from HLS, which hold no reflectance"),
)
_OLI = frozenset({"landsat-8", "landsat-9"})
_SLANT = re.compile(r"/measurement/(iw|ew|s[1-6])[a-z0-9-]*-(vv|vh|hh|hv)[a-z0-9-]*\.tiff?$")
"""Files of a GRD product as the producer packs it."""


def product_of(item: Mapping[str, Any]) -> Product:
    """Return the product that a STAC item is of.

    Its collection decides; else the producer's way of naming scenes; else the assets, if
    all of those that an archive has for a product are there.

    Raises:
        ItemError: If it is of no known product.
    """
    item_id = str(item.get("id", ""))
    for pattern, reason in _NOT_IDS:
        if re.match(pattern, item_id):
            raise ItemError(f"item {show(item_id)} is {reason}")
    collection = str(item.get("collection") or _properties(item).get("collection") or "")
    found = _by_collection(collection) or _by_id(item_id) or _by_nature(item)
    if found is None:
        raise ItemError(
            f"item {show(item_id)} is of collection {show(collection)}, which no product has; "
            f"known are {', '.join(PRODUCTS)}"
        )
    return found


def source_of(href: str) -> Source:
    """Return the known archive below whose address an item lies, or else the item's own place.

    Only the address that the user named counts: an item's own links may say anything.
    """
    for known in KNOWN_SOURCES.values():
        if known.listing == "stac" and href.startswith(f"{known.url}/"):
            return known
    return stac_source(href)


def refuse_other(item: Mapping[str, Any], product: Product) -> None:
    """Refuse an item that has the bands of `product` by name but not by nature.

    Raises:
        ItemError: If it is of another sensor, level or collection.
    """
    item_id, properties = str(item.get("id", "")), _properties(item)
    platform = platform_of(properties)
    if product.key.startswith("landsat-c2") and platform.startswith("landsat-"):
        instruments = properties.get("instruments") or ()
        if platform not in _OLI or "mss" in instruments:
            raise ItemError(
                f"item {show(item_id)} is of {platform}; {product.key!r} is of Landsat 8 and 9"
            )
    if product.key == "sentinel-1-grd" and _is_slant(item):
        raise ItemError(
            f"item {show(item_id)} holds amplitude in sensor geometry, neither calibrated nor "
            f"on a map; take sentinel-1-rtc, or sentinel-1-grd of Earth Engine"
        )


def refuse_unasked(item: Mapping[str, Any], product: Product, asked: Collection[str]) -> None:
    """Refuse an item of another product, from an archive that ignores which was asked for.

    Raises:
        ItemError: If its collection is none of those asked for, but known as another product.
    """
    collection = str(item.get("collection") or "")
    own = (a.collections for a in product.archives.values())
    if collection in asked or any(collection in names for names in own):
        return
    other = _by_collection(collection)
    if other is not None:
        raise ItemError(
            f"item {show(str(item.get('id', '')))} is of {other.key!r}, not of {product.key!r}"
        )


def platform_of(properties: Mapping[str, Any]) -> str:
    """Return the platform, lower case, `landsat-8` for `LANDSAT_8`; `''` if unstated."""
    stated = properties.get("platform") or properties.get("eo:platform") or ""
    return "".join(c for c in str(stated) if c.isprintable())[:100].lower().replace("_", "-")


def show(text: str) -> str:
    """Return a stranger's word fit for a message: quoted, short, without control characters."""
    return repr(text if len(text) <= 100 else f"{text[:80]}...")


def _by_collection(collection: str) -> Product | None:
    if not collection:
        return None
    for product in PRODUCTS.values():
        if any(collection in archive.collections for archive in product.archives.values()):
            return product
    return None


def _by_id(item_id: str) -> Product | None:
    for pattern, key in _IDS:
        if re.match(pattern, item_id):
            return PRODUCTS.get(key)
    return None


def _by_nature(item: Mapping[str, Any]) -> Product | None:
    """By what a radar item says of itself, or by the assets of an optical one."""
    if _properties(item).get("sar:product_type") == "RTC":
        return PRODUCTS.get("sentinel-1-rtc")
    present = set(_assets(item))
    complete = [
        (len(archive.assets), product.key)
        for product in PRODUCTS.values()
        if product.quality.band is not None
        for archive in product.archives.values()
        if present.issuperset(archive.assets.values())
    ]
    return PRODUCTS[max(complete)[1]] if complete else None


def _is_slant(item: Mapping[str, Any]) -> bool:
    hrefs = (str(a.get("href", "")) for a in _assets(item).values() if isinstance(a, Mapping))
    return any(_SLANT.search(href.split("?", 1)[0].lower()) for href in hrefs)


def _assets(item: Mapping[str, Any]) -> Mapping[str, Any]:
    found = item.get("assets")
    return found if isinstance(found, Mapping) else {}


def _properties(item: Mapping[str, Any]) -> Mapping[str, Any]:
    found = item.get("properties")
    return found if isinstance(found, Mapping) else {}
