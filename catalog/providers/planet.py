"""PlanetScope deliveries: a folder of the user's own files.

An order of Planet's Orders API arrives as `{order}/PSScene/{id}_metadata.json`, the item's
GeoJSON, with `{id}_3B_AnalyticMS_SR.tif` and `{id}_3B_udm2.tif` beside it. Eight-band files say
so (`..._SR_8b.tif`), and tools of the order add words (`..._SR_8b_harmonized_clip.tif`).

Taken from Planet's item documentation: `acquired` is UTC, `cloud_cover` a fraction of 0 to 1,
band 1 of UDM2 is 1 where the view is clear, reflectance is `raw / 10000`, and 0 is no data.
Assumed: no file is rescaled after delivery, and words of tools not listed in `_TOOLS` change
what a file holds, so such files are passed over.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import shapely
from shapely.errors import ShapelyError
from shapely.geometry.base import BaseGeometry

from catalog.errors import ItemError, QueryError
from catalog.product import Archive, Product
from catalog.providers.outline import read_outline
from catalog.providers.query import SceneQuery, SearchResult
from catalog.scene import Asset, Scene

_METADATA = "_metadata.json"
_LARGEST_METADATA = 4 * 2**20
_TOOLS = r"(?P<tools>(_(harmonized|clip|reproject|file_format))*)"
_ANALYTIC = re.compile(
    rf"(?P<id>.+)_3B_AnalyticMS_SR(?P<eight>_8b)?{_TOOLS}\.tiff?", re.IGNORECASE
)
_MASK = re.compile(rf"(?P<id>.+)_3B_udm2{_TOOLS}\.tiff?", re.IGNORECASE)
_UNREADABLE = (AttributeError, KeyError, OSError, ShapelyError, TypeError, ValueError)
"""What reading malformed metadata raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Delivery:
    """The files of one item in one folder."""

    id: str
    metadata: Path | None
    analytic: tuple[Path, ...]
    masks: tuple[Path, ...]


def search_planet_files(query: SceneQuery) -> SearchResult:
    """Return every scene of a folder of deliveries that a query asks for.

    Where one item was delivered in several forms, the harmonized file is taken before the
    plain one and four bands before eight, with the mask that went through the same tools. A
    scene without metadata or without UDM2 is refused, and so is the second copy of one.

    Raises:
        QueryError: If there is no such folder, or nothing of PlanetScope in it.
    """
    root = Path(query.source.url)
    deliveries = _list_deliveries(root)
    scenes: dict[str, Scene] = {}
    refused: list[str] = []
    for delivery in deliveries:
        try:
            scene = _read(delivery, query)
        except ItemError as err:
            refused.append(str(err))
            continue
        if scene is None:
            continue
        if scene.id in scenes:
            refused.append(
                f"item {scene.id!r} lies in {root} more than once; one copy is taken"
            )
            continue
        scenes[scene.id] = scene
    ordered = sorted(scenes.values(), key=lambda scene: (scene.time, scene.id))
    return SearchResult(tuple(ordered), tuple(refused))


def _list_deliveries(root: Path) -> list[_Delivery]:
    if not root.is_dir():
        raise QueryError(
            f"there is no folder {str(root)!r}; expected one with PlanetScope deliveries "
            f"({{id}}{_METADATA} and {{id}}_3B_AnalyticMS_SR.tif side by side): check its path"
        )
    metadata: dict[tuple[Path, str], Path] = {}
    analytic: dict[tuple[Path, str], list[Path]] = {}
    masks: dict[tuple[Path, str], list[Path]] = {}
    for path in sorted(root.rglob("*")):
        if found := _ANALYTIC.fullmatch(path.name):
            analytic.setdefault((path.parent, found["id"]), []).append(path)
        elif found := _MASK.fullmatch(path.name):
            masks.setdefault((path.parent, found["id"]), []).append(path)
        elif path.name.endswith(_METADATA):
            metadata[path.parent, path.name.removesuffix(_METADATA)] = path
    keys = sorted(metadata.keys() | analytic.keys())
    if not keys:
        raise QueryError(
            f"folder {str(root)!r} holds no PlanetScope delivery; expected {{id}}{_METADATA} "
            f"and {{id}}_3B_AnalyticMS_SR.tif side by side, in it or below it"
        )
    return [
        _Delivery(
            id=key[1],
            metadata=metadata.get(key),
            analytic=tuple(analytic.get(key, ())),
            masks=tuple(masks.get(key, ())),
        )
        for key in keys
    ]


def _read(delivery: _Delivery, query: SceneQuery) -> Scene | None:
    """The scene of a delivery; None if it lies outside of what the query asks for.

    Raises:
        ItemError: If a file is missing, or the metadata cannot be understood.
    """
    if delivery.metadata is None:
        raise ItemError(
            f"item {delivery.id!r} has no {delivery.id}{_METADATA} beside its pixels; time and "
            f"outline are read from it: put it there as it was delivered"
        )
    try:
        feature = _load(delivery.metadata)
        time = _instant(feature["properties"]["acquired"])
        outline = read_outline(feature["geometry"])
    except _UNREADABLE as err:
        raise ItemError(
            f"item {delivery.id!r} has metadata that cannot be understood "
            f"({str(err)[:200]}); expected Planet's item as GeoJSON in {delivery.metadata}"
        ) from err
    if not _asked_for(query, time, outline):
        return None
    return _scene(delivery, query, feature["properties"], time, outline)


def _load(path: Path) -> Mapping[str, Any]:
    size = path.stat().st_size
    if size > _LARGEST_METADATA:
        raise ValueError(f"{size} bytes are no metadata")
    feature = json.loads(path.read_text(encoding="utf-8"))
    stated = feature.get("id", "")
    if stated and stated != path.name.removesuffix(_METADATA):
        raise ValueError(f"it is of {str(stated)[:100]!r}")
    found: Mapping[str, Any] = feature
    return found


def _instant(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _asked_for(query: SceneQuery, time: datetime, outline: BaseGeometry) -> bool:
    if query.start is not None and time < query.start:
        return False
    if query.end is not None and time >= query.end:
        return False
    return any(outline.intersects(shapely.box(*box)) for box in query.boxes)


def _scene(
    delivery: _Delivery,
    query: SceneQuery,
    properties: Mapping[str, Any],
    time: datetime,
    outline: BaseGeometry,
) -> Scene:
    product, source = query.product, query.source
    pixels = _best(delivery.analytic)
    if pixels is None:
        raise ItemError(
            f"item {delivery.id!r} has no {delivery.id}_3B_AnalyticMS_SR.tif; order surface "
            f"reflectance (bundle analytic_sr_udm2 or analytic_8b_sr_udm2)"
        )
    mask = _best(delivery.masks, like=pixels)
    if mask is None:
        raise ItemError(
            f"item {delivery.id!r} has no {delivery.id}_3B_udm2.tif; without it clouds cannot "
            f"be told: order a bundle with udm2"
        )
    names = product.archive("files-8-band" if _has_eight(pixels) else "files")
    try:
        epsg, cloud = properties.get("epsg_code"), properties.get("cloud_cover")
        return Scene(
            id=delivery.id,
            product=product.key,
            source=source.name,
            platform=f"planetscope-{properties.get('satellite_id', '')}".lower().rstrip("-"),
            time=time,
            footprint=outline,
            cloud=None if cloud is None else min(max(float(cloud), 0.0), 1.0),
            epsg=None if epsg is None else int(epsg),
            version=str(properties.get("updated") or properties.get("published") or ""),
            assets=_assets(product, names, query.bands, {"analytic": pixels, "udm2": mask}),
            access=source.access_to(product),
        )
    except (TypeError, ValueError) as err:
        raise ItemError(f"item {delivery.id!r} states what is no number: {err}") from err


def _assets(
    product: Product, names: Archive, keys: Sequence[str], files: Mapping[str, Path]
) -> dict[str, Asset]:
    found = {}
    for key in keys:
        band = product.band(key)
        name, _, index = names.assets[key].partition("#")
        found[key] = Asset(
            band=key,
            href=str(files[name].resolve()),
            scale=band.source_scale,
            offset=band.source_offset,
            nodata=band.source_nodata,
            index=int(index or 1),
        )
    return found


def _best(paths: Sequence[Path], *, like: Path | None = None) -> Path | None:
    """The file to take: like another's tools, harmonized, of four bands, of few words."""
    wanted = None if like is None else _tools(like) - {"harmonized"}
    ranked = sorted(
        paths,
        key=lambda path: (
            wanted is not None and _tools(path) - {"harmonized"} != wanted,
            "harmonized" not in _tools(path),
            _has_eight(path),
            len(path.name),
            path.name,
        ),
    )
    return ranked[0] if ranked else None


def _tools(path: Path) -> set[str]:
    found = _ANALYTIC.fullmatch(path.name) or _MASK.fullmatch(path.name)
    words = found["tools"].lower().replace("file_format", "fileformat") if found else ""
    return set(words.split("_")) - {""}


def _has_eight(path: Path) -> bool:
    found = _ANALYTIC.fullmatch(path.name)
    return bool(found and found["eight"])
