"""STAC items become scenes, whatever dialect the archive speaks."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urljoin

import shapely
from shapely.errors import ShapelyError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from catalog.errors import ItemError
from catalog.products import Archive, Band, Product
from catalog.providers.source import Source
from catalog.scene import Asset, Scene


def read_item(
    item: Mapping[str, Any],
    product: Product,
    *,
    source: Source,
    bands: Iterable[str],
    base_href: str = "",
) -> Scene:
    """Return the scene that a STAC item describes.

    Understands STAC 1.0 and 1.1 (`raster:bands` or `bands`), `proj:epsg` or `proj:code`,
    and a null `datetime` with a start/end range, whose middle is taken.

    Args:
        item: A STAC item as parsed from JSON.
        product: What the item is an item of.
        source: Archive that listed it; its dialect decides the names of assets.
        bands: Keys of the bands that must be there.
        base_href: What relative hrefs are relative to.

    Raises:
        ItemError: If the item lacks a time, a geometry, or the asset of a band, or states
            any of them in a way that cannot be understood.
    """
    item_id = str(item.get("id") or "")
    if not item_id or not item.get("geometry"):
        raise ItemError(f"item {item_id!r} has no id or no geometry; a scene needs both")
    try:
        return _scene(item, product, source, bands, base_href)
    except (AttributeError, KeyError, TypeError, ValueError, ShapelyError) as err:
        if isinstance(err, ItemError):
            raise
        raise ItemError(
            f"item {item_id!r} is no usable STAC item of {product.key!r}: {err!r}"
        ) from err


def _scene(
    item: Mapping[str, Any],
    product: Product,
    source: Source,
    bands: Iterable[str],
    base_href: str,
) -> Scene:
    item_id, properties = str(item["id"]), item.get("properties") or {}
    names = _asset_names(item, product, source, bands)
    assets = {
        key: _asset(item, names[key], product, product.band(key), source, base_href)
        for key in names
    }
    return Scene(
        id=item_id,
        product=product.key,
        source=source.name,
        access=source.access_to(product),
        platform=str(properties.get("platform") or "").lower(),
        time=_time(item_id, properties),
        footprint=_footprint(item),
        cloud=_fraction(properties.get("eo:cloud_cover")),
        epsg=_epsg(properties, [item["assets"][n] for n in names.values()]),
        version=_version(properties),
        assets=assets,
    )


def _asset_names(
    item: Mapping[str, Any], product: Product, source: Source, bands: Iterable[str]
) -> dict[str, str]:
    """Band key -> asset name, by the first archive whose names are all there."""
    wanted = list(bands)
    present = item.get("assets") or {}
    own = product.archive(source.dialect)
    dialects: list[Archive] = [own, *(a for a in product.archives.values() if a is not own)]
    for archive in dialects:
        names = {key: archive.assets[key] for key in wanted if key in archive.assets}
        if len(names) == len(wanted) and all(name in present for name in names.values()):
            return names
    missing = [k for k in wanted if own.assets.get(k) not in present]
    raise ItemError(
        f"item {item['id']!r} has no asset for {', '.join(missing)} of {product.key!r} "
        f"(expected {', '.join(str(own.assets.get(k)) for k in missing)}); "
        f"it has {', '.join(list(present)[:8])}"
    )


def _asset(
    item: Mapping[str, Any],
    name: str,
    product: Product,
    band: Band,
    source: Source,
    base_href: str,
) -> Asset:
    asset = item["assets"][name]
    properties = item.get("properties") or {}
    raster = _first(asset.get("raster:bands"))
    new_style = _first(asset.get("bands"))
    scale = raster.get("scale", new_style.get("raster:scale", asset.get("raster:scale")))
    nodata = raster.get("nodata", new_style.get("nodata", asset.get("nodata")))
    transform = asset.get("proj:transform", properties.get("proj:transform"))
    shape_px = asset.get("proj:shape", properties.get("proj:shape"))
    offset = raster.get("offset", new_style.get("raster:offset", asset.get("raster:offset")))
    return Asset(
        band=band.key,
        href=urljoin(base_href, asset["href"]) if base_href else asset["href"],
        scale=float(band.source_scale if scale is None else scale),
        offset=_offset(offset, item, product, band, source),
        nodata=_nodata(nodata, band),
        shape=(int(shape_px[0]), int(shape_px[1])) if shape_px else None,
        transform=_affine6(transform) if transform else None,
    )


def _offset(
    stated: float | None, item: Mapping[str, Any], product: Product, band: Band, source: Source
) -> float:
    """Offset of the file's raw values.

    Sentinel-2 baselines >= 4 carry reflectance * 10000 + 1000 (ESA PSD, BOA_ADD_OFFSET).
    Earth Search removes the offset from the pixels of `sentinel-2-l2a` whatever its items
    say (Element84/earth-search issues 66 and 71), but not from `sentinel-2-c1-l2a`.
    """
    if product.key != "sentinel-2-l2a" or band.kind != "reflectance":
        return float(band.source_offset if stated is None else stated)
    if source.dialect == "earth-search" and item.get("collection") == "sentinel-2-l2a":
        return 0.0
    if stated is not None:
        return float(stated)
    properties = item.get("properties") or {}
    baseline = properties.get("s2:processing_baseline", properties.get("processing:version"))
    return -0.1 if baseline is not None and float(baseline) >= 4 else 0.0


def _nodata(stated: object, band: Band) -> float | None:
    if stated is None:
        return band.source_nodata
    return float(str(stated))


def _first(entries: object) -> Mapping[str, Any]:
    """First mapping of a list of band descriptions; empty if there is none."""
    if isinstance(entries, Sequence) and entries and isinstance(entries[0], Mapping):
        return entries[0]
    return {}


def _affine6(values: Sequence[float]) -> tuple[float, float, float, float, float, float]:
    a, b, c, d, e, f = (float(v) for v in values[:6])
    return a, b, c, d, e, f


def _time(item_id: str, properties: Mapping[str, Any]) -> datetime:
    stated = properties.get("datetime")
    if stated:
        return _parse(str(stated))
    start, end = properties.get("start_datetime"), properties.get("end_datetime")
    if not (start and end):
        raise ItemError(f"item {item_id!r} has neither a datetime nor a start and an end")
    first, last = _parse(str(start)), _parse(str(end))
    return first + (last - first) / 2


def _parse(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _footprint(item: Mapping[str, Any]) -> BaseGeometry:
    footprint = shapely.force_2d(shape(item["geometry"]))
    return footprint if footprint.is_valid else shapely.make_valid(footprint)


def _fraction(percent: float | None) -> float | None:
    """Cloud fraction; None where it was not measured, which USGS items state as -1."""
    return None if percent is None or float(percent) < 0 else float(percent) / 100


def _epsg(properties: Mapping[str, Any], assets: Iterable[Mapping[str, Any]]) -> int | None:
    for holder in (properties, *assets):
        if holder.get("proj:epsg"):
            return int(holder["proj:epsg"])
        code = str(holder.get("proj:code") or "")
        if code.upper().startswith("EPSG:"):
            return int(code.split(":")[1])
    return None


def _version(properties: Mapping[str, Any]) -> str:
    """What changes when the archive reprocesses the scene; `''` if the item is silent."""
    keys = ("s2:processing_baseline", "processing:version", "version", "updated")
    return "|".join(str(properties[k]) for k in keys if properties.get(k))
