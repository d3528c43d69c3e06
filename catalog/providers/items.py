"""STAC items become scenes, whatever dialect the archive speaks."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from shapely.errors import ShapelyError

from catalog.errors import ItemError
from catalog.product import Archive, Band, Product, Scaling
from catalog.providers.asset_names import find_assets
from catalog.providers.asset_values import AssetView, finite
from catalog.providers.hrefs import check_href, resolve_href
from catalog.providers.identify import platform_of, refuse_other, show
from catalog.providers.outline import read_outline
from catalog.providers.reflectance import reflectance_offset
from catalog.providers.source import Source
from catalog.scene import Asset, Scene, SceneAngles

_LONGEST_ID = 512
_DAY = re.compile(r"\d{4}-?\d{2}-?\d{2}")
_NONSENSE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    ShapelyError,
    TypeError,
    ValueError,
)
"""What reading a malformed item raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """An item, and what is known about where it comes from."""

    item: Mapping[str, Any]
    product: Product
    source: Source
    base_href: str

    @property
    def properties(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.item.get("properties") or {}
        return found


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
        base_href: What relative hrefs are relative to; the item's own `self` link if not said.

    Raises:
        ItemError: If the item lacks a time, a geometry, or the asset of a band, states any of
            them in a way that cannot be understood, or points where it must not.
    """
    item_id = _checked_id(item)
    if not item.get("geometry"):
        raise ItemError(f"item {show(item_id)} has no id or no geometry; a scene needs both")
    try:
        base = base_href or _own_address(item, source)
        reading = _Reading(item=item, product=product, source=source, base_href=base)
        refuse_other(item, product)
        return _scene(reading, bands)
    except ItemError as err:
        if str(err).startswith("item "):
            raise
        raise ItemError(f"item {show(item_id)}: {err}") from err
    except _NONSENSE as err:
        raise ItemError(
            f"item {show(item_id)} is no usable STAC item of {product.key!r}: {repr(err)[:300]}"
        ) from err


def _checked_id(item: Mapping[str, Any]) -> str:
    """The id, fit for messages, tables and names of layers."""
    stated = item.get("id")
    if not isinstance(stated, str) or not stated:
        raise ItemError(f"item {show(str(stated or ''))} has no id or no geometry")
    if len(stated) > _LONGEST_ID:
        raise ItemError(
            f"item {show(stated)} has an id of {len(stated)} characters; "
            f"at most {_LONGEST_ID} are read"
        )
    if not stated.isprintable() or set(stated) & {"/", "\\"} or stated.strip(". ") == "":
        raise ItemError(
            f"item {show(stated)} has an id that could pass for a path; a scene's id holds no "
            f"slash and no control character"
        )
    return stated


def _own_address(item: Mapping[str, Any], source: Source) -> str:
    """Where an archive on the web serves the item itself; `''` if it does not say."""
    if source.is_local:
        return ""
    for link in item.get("links") or ():
        if isinstance(link, Mapping) and link.get("rel") == "self":
            href = str(link.get("href") or "")
            return href if href.startswith(("http://", "https://")) else ""
    return ""


def _scene(reading: _Reading, bands: Iterable[str]) -> Scene:
    product, properties = reading.product, reading.properties
    archive, names = find_assets(reading.item, product, reading.source, list(bands))
    assets = {
        key: _asset(reading, product.band(key), name, archive) for key, name in names.items()
    }
    used = [reading.item["assets"][name.partition("#")[0]] for name in names.values()]
    return Scene(
        id=str(reading.item["id"]),
        product=product.key,
        source=reading.source.name,
        access=reading.source.access_to(product),
        platform=platform_of(properties),
        time=_time(reading),
        footprint=read_outline(reading.item["geometry"]),
        cloud=_fraction(properties.get("eo:cloud_cover")),
        epsg=_epsg(properties, used),
        version=_version(properties),
        assets=assets,
        angles=_angles(properties),
    )


def _asset(reading: _Reading, band: Band, name: str, archive: Archive) -> Asset:
    key, _, number = name.partition("#")
    index = int(number or 1)
    view = AssetView(reading.item["assets"][key], reading.properties, index)
    fallback = archive.scaling.get(band.kind) or Scaling(
        scale=band.source_scale, offset=band.source_offset, nodata=band.source_nodata
    )
    scale = view.scale()
    return Asset(
        band=band.key,
        href=_href(reading, view, key),
        scale=fallback.scale if scale is None else scale,
        offset=_offset(reading, band, view.offset(), fallback.offset),
        nodata=view.nodata(fallback.nodata),
        shape=view.shape(),
        transform=view.transform(),
        index=index,
    )


def _offset(reading: _Reading, band: Band, stated: float | None, fallback: float) -> float:
    if reading.product.key.startswith("sentinel-2-l") and band.kind == "reflectance":
        return reflectance_offset(reading.item, reading.source.dialect, stated)
    return fallback if stated is None else stated


def _href(reading: _Reading, view: AssetView, name: str) -> str:
    """Address of an asset: in the bucket if its reader pays, else as the item states it."""
    access = reading.source.access_to(reading.product)
    stated = view.bucket_href() if access == "requester-pays" else None
    href = stated or view.asset["href"]
    if not isinstance(href, str) or not href:
        raise ItemError(f"asset {show(name)} states no href but {show(str(href))}")
    return check_href(resolve_href(href, reading.base_href), reading.source)


def _time(reading: _Reading) -> datetime:
    properties = reading.properties
    stated = properties.get("datetime")
    if stated:
        if _DAY.fullmatch(str(stated).strip()) and reading.product.when == "window":
            raise ItemError(
                f"its datetime {stated!r} is a day; a scene needs the time of its acquisition"
            )
        return _parse(str(stated))
    start, end = properties.get("start_datetime"), properties.get("end_datetime")
    if not (start and end):
        raise ItemError("it has neither a datetime nor a start and an end")
    first, last = _parse(str(start)), _parse(str(end))
    if last < first:
        raise ItemError(f"its start {start!r} is after its end {end!r}")
    return first + (last - first) / 2


def _parse(text: str) -> datetime:
    stated = text.strip()
    time = datetime.fromisoformat(stated[:-1] + "Z" if stated.endswith("z") else stated)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _fraction(percent: object) -> float | None:
    """Cloud fraction; None where it was not measured, which USGS items state as -1."""
    if percent is None:
        return None
    value = finite(percent, "eo:cloud_cover")
    if value > 101:
        raise ItemError(f"eo:cloud_cover is {value:g}; expected percent")
    return None if value < 0 else min(value / 100, 1.0)


def _angles(properties: Mapping[str, Any]) -> SceneAngles | None:
    """Sun and view as the view extension states them, or the sun in Sentinel-2's own words.

    At nadir the view has no azimuth, and none is needed.
    """
    elevation = _degrees(properties, "view:sun_elevation")
    zenith = (
        _degrees(properties, "s2:mean_solar_zenith") if elevation is None else 90 - elevation
    )
    view = _degrees(properties, "view:incidence_angle", "view:off_nadir")
    view_azimuth = _degrees(properties, "view:azimuth")
    found = SceneAngles(
        sun_zenith=zenith,
        sun_azimuth=_degrees(properties, "view:sun_azimuth", "s2:mean_solar_azimuth"),
        view_zenith=view,
        view_azimuth=0.0 if view == 0 and view_azimuth is None else view_azimuth,
    )
    return None if found == SceneAngles() else found


def _degrees(properties: Mapping[str, Any], *keys: str) -> float | None:
    """The first of some angles that an item states; what is no angle is not stated."""
    for key in keys:
        stated = properties.get(key)
        if isinstance(stated, int | float) and math.isfinite(stated) and abs(stated) <= 360:
            return float(stated)
    return None


def _epsg(properties: Mapping[str, Any], assets: Iterable[Mapping[str, Any]]) -> int | None:
    for holder in (properties, *assets):
        stated = holder.get("proj:epsg")
        code = str(holder.get("proj:code") or "")
        if not stated and code.upper().startswith("EPSG:"):
            stated = code.split(":", 1)[1]
        if stated:
            number = finite(stated, "proj:epsg")
            if not 1024 <= number < 1_000_000 or not math.isclose(number, round(number)):
                raise ItemError(
                    f"proj:epsg is {stated!r}; expected a code of the EPSG registry"
                )
            return round(number)
    return None


def _version(properties: Mapping[str, Any]) -> str:
    """What changes when the archive reprocesses the scene; `''` if the item is silent."""
    keys = ("s2:processing_baseline", "processing:version", "version", "updated")
    stated = "|".join(str(properties[k]) for k in keys if properties.get(k))
    return "".join(c for c in stated if c.isprintable())[:200]
