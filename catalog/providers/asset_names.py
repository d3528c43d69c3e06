"""Which asset of an item holds which band, in the dialect of any archive or by its nature."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from catalog.errors import ItemError
from catalog.product import Archive, Product
from catalog.providers.identify import show
from catalog.providers.source import Source

_NO_STAC = frozenset({"earth-engine", "gesdisc", "g5nr", "files"})
"""Dialects whose names are not those of STAC assets."""

_COMMON: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "coastal": ("coastal",),
        "blue": ("blue",),
        "green": ("green",),
        "red": ("red",),
        "nir": ("nir", "nir08"),
        "nir_narrow": ("nir08",),
        "cirrus": ("cirrus",),
        "swir1": ("swir16",),
        "swir2": ("swir22",),
        "thermal": ("lwir11", "tir11"),
    }
)
"""Band key -> common names of the STAC extension for electro-optical bands."""


def find_assets(
    item: Mapping[str, Any], product: Product, source: Source, keys: Sequence[str]
) -> tuple[Archive, dict[str, str]]:
    """Return the archive whose names fit an item, and band key -> asset name.

    The names of the source's own dialect count first, then those of any other archive, then
    what the assets say of themselves: the common name of their only band.

    Raises:
        ItemError: If a band has no asset.
    """
    present: Mapping[str, Any] = item.get("assets") or {}
    own = product.archive(source.dialect)
    others = (a for d, a in product.archives.items() if d not in _NO_STAC and a is not own)
    for archive in (own, *others):
        names = {key: archive.assets[key] for key in keys if key in archive.assets}
        if len(names) == len(keys) and all(_file(n) in present for n in names.values()):
            return archive, names
    by_nature = {key: _by_nature(key, own, item, _common(key, product)) for key in keys}
    missing = [key for key, name in by_nature.items() if name is None]
    if missing:
        raise ItemError(
            f"item {show(str(item['id']))} has no asset for {', '.join(missing)} of "
            f"{product.key!r} (expected {', '.join(str(own.assets.get(k)) for k in missing)}); "
            f"it has {', '.join(show(str(n))[1:-1] for n in list(present)[:8]) or 'none'}"
        )
    return own, {key: name for key, name in by_nature.items() if name is not None}


def _file(name: str) -> str:
    return name.partition("#")[0]


def _common(key: str, product: Product) -> tuple[str, ...]:
    """Common names that a band may bear, the best first."""
    narrow = any(band.key == "nir_narrow" for band in product.bands)
    return ("nir",) if key == "nir" and narrow else _COMMON.get(key, ())


def _by_nature(
    key: str, archive: Archive, item: Mapping[str, Any], common: Iterable[str]
) -> str | None:
    """The asset that bears a band's name in other letters, or says that it holds the band."""
    present: Mapping[str, Any] = item.get("assets") or {}
    named = archive.assets.get(key, "")
    if _file(named) in present:
        return named
    for name in present:
        if str(name).lower().removesuffix(".tif") == named.lower():
            return name
    described = (item.get("properties") or {}).get("eo:bands")
    only: dict[str, str] = {}
    for name, asset in present.items():
        names = list(_common_names(asset, described))
        if len(names) == 1:
            only.setdefault(names[0], name)
    return next((only[word] for word in common if word in only), None)


def _common_names(asset: Mapping[str, Any], described: object) -> Iterable[str]:
    """Common names of an asset's bands, `''` for a band without one.

    Before STAC 1.0, an asset named bands by their place in a list of the item's.
    """
    for band in asset.get("eo:bands") or asset.get("bands") or ():
        entry = band
        if isinstance(band, int) and isinstance(described, Sequence):
            entry = described[band] if 0 <= band < len(described) else band
        if isinstance(entry, Mapping):
            yield str(entry.get("common_name") or entry.get("eo:common_name") or "")
        else:
            yield str(entry)
