"""Earth Engine lists images: one chain of pages per collection and box, never per cell."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import ee
import shapely
from pyproj import CRS
from pyproj.exceptions import CRSError
from shapely.errors import ShapelyError
from shapely.geometry import mapping, shape
from shapely.geometry.base import BaseGeometry

from catalog.errors import ItemError, QueryError
from catalog.product import Archive, Band, Product, Scaling
from catalog.providers.ee_session import Refusal, ask, open_session
from catalog.providers.query import Bounds, Retries, SceneQuery, SearchResult
from catalog.scene import Asset, Scene

HREF = "ee://"
"""What an asset's id follows in a scene's hrefs."""

_PAGE = 500
_WORLD = shapely.box(-180.0, -90.0, 180.0, 90.0)
_LONG = timedelta(days=1)
_YEAR = timedelta(days=366)
_ID = re.compile(r"[A-Za-z0-9][\w./:-]*")
_CLOUD = (
    "CLOUD_COVER",
    "CLOUDY_PIXEL_PERCENTAGE",
    "CLOUD_COVERAGE",
    "CLOUD_COVERAGE_ASSESSMENT",
)
"""Properties that state a scene's clouds in percent: Landsat, Sentinel-2 L2A, HLS, L1C."""
_PLATFORM = ("SPACECRAFT_ID", "SPACECRAFT_NAME", "platform_number", "PLATFORM")
_Json = Mapping[str, Any]


def search_earth_engine(query: SceneQuery, *, retries: Retries) -> SearchResult:
    """Return every image that Earth Engine lists for `query`.

    Images of a collection are found by time and place; of a single image, such as a global
    elevation model, only what it is made of is asked.

    Raises:
        QueryError: If the API cannot be reached, keeps failing, knows no such collection, or
            lists more images than the source's `max_items`.
    """
    archive = query.product.archive(query.source.dialect)
    listing = _Listing(query, retries)
    with open_session(query.source, retries):
        single = archive.form == "image" and query.collection is None
        images = list(listing.single() if single else listing.images())
    scenes, refused = _read(images, query, archive)
    return SearchResult(scenes=scenes, refused=refused, requests=listing.requests)


class _Listing:
    """Asks for one query's images, and counts the requests."""

    def __init__(self, query: SceneQuery, retries: Retries) -> None:
        self.query = query
        self.retries = retries
        self.requests = 0

    def single(self) -> Iterator[_Json]:
        """The images that are assets of their own."""
        for asset in self.query.collections:
            yield self._ask(asset, lambda asset=asset: ee.data.getAsset(asset))

    def images(self) -> Iterator[_Json]:
        """The images of the collections, each once, however many boxes it touches."""
        seen: set[str] = set()
        for collection in self.query.collections:
            for box in self.query.boxes:
                for image in self._pages(collection, box):
                    if str(image.get("id")) not in seen:
                        seen.add(str(image.get("id")))
                        self._stay_below_cap(seen, collection)
                        yield image

    def _pages(self, collection: str, box: Bounds) -> Iterator[_Json]:
        asked: dict[str, Any] = {
            "parent": collection,
            "pageSize": _PAGE,
            "filter": _filter(self.query, box),
        }
        tokens = {""}
        while True:
            page = self._ask(collection, lambda: ee.data.listImages(dict(asked)))
            yield from page.get("images") or ()
            token = str(page.get("nextPageToken") or "")
            if token in tokens:
                return
            tokens.add(token)
            asked["pageToken"] = token

    def _ask(self, asset: str, request: Any) -> _Json:  # noqa: ANN401 - the client has no types
        def counted() -> _Json:
            self.requests += 1
            answer: _Json = request()
            return answer

        try:
            answer = ask(counted, self.retries)
        except Refusal as err:
            raise QueryError(self._failed(asset, err)) from err
        if not isinstance(answer, Mapping):
            raise QueryError(f"Earth Engine answered {asset!r} with {answer!r:.80}")
        return answer

    def _failed(self, asset: str, err: Refusal) -> str:
        asked = f"Earth Engine at {self.query.source.url} was asked for {asset!r}"
        if err.may_pass:
            return (
                f"{asked} {self.retries.attempts} times and failed: {err}; check the network, "
                f"then run the same command again"
            )
        return (
            f"{asked} and refused: {err}; check the collection's id, and that the project may "
            f"read it"
        )

    def _stay_below_cap(self, seen: set[str], collection: str) -> None:
        cap = self.query.source.max_items
        if len(seen) > cap:
            raise QueryError(
                f"Earth Engine lists more than {cap} images of {collection!r}; make the area "
                f"or the period smaller, or raise max_items under "
                f"[sources.{self.query.source.name}]"
            )


def _filter(query: SceneQuery, box: Bounds) -> str:
    """The AIP-160 filter of one box; wider in time than asked, since times are checked here.

    An image counts by its middle, and Earth Engine compares its start and its end: a map of
    a year is found from anywhere in it.
    """
    outline = json.dumps(mapping(shapely.box(*box)), separators=(",", ":")).replace('"', "'")
    terms = [f'intersects("{outline}")']
    if query.start is not None and query.end is not None:
        slack = _LONG if query.product.when in ("window", "hour") else _YEAR
        terms.append(f'startTime >= "{_rfc3339(query.start - slack)}"')
        terms.append(f'endTime < "{_rfc3339(query.end + slack)}"')
    return " AND ".join(terms)


def _rfc3339(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _read(
    images: Sequence[_Json], query: SceneQuery, archive: Archive
) -> tuple[tuple[Scene, ...], tuple[str, ...]]:
    """Scenes inside the period, each id once, and why other images were refused."""
    last_parts = Counter(_last_part(str(image.get("id"))) for image in images)
    found: list[Scene] = []
    refused: dict[str, str] = {}
    for image in images:
        asset_id = str(image.get("id"))
        alone = archive.form == "collection" and last_parts[_last_part(asset_id)] == 1
        try:
            scene = read_image(
                image, query, scene_id=_last_part(asset_id) if alone else asset_id
            )
        except ItemError as err:
            refused[asset_id] = str(err)
            continue
        if _inside(scene.time, query):
            found.append(scene)
    found.sort(key=lambda scene: (scene.time, scene.id))
    return tuple(found), tuple(refused[key] for key in sorted(refused))


def _last_part(asset_id: str) -> str:
    return asset_id.rsplit("/", 1)[-1]


def _inside(time: datetime, query: SceneQuery) -> bool:
    if query.start is None or query.end is None:
        return True
    return query.start <= time < query.end


def read_image(image: _Json, query: SceneQuery, *, scene_id: str) -> Scene:
    """Return the scene that an image of Earth Engine is.

    Args:
        image: As `ee.data.listImages` or `ee.data.getAsset` describes it.
        query: What it was found for.
        scene_id: What the scene is to be called.

    Raises:
        ItemError: If the image lacks a time or a band, or states them in a way that cannot be
            understood.
    """
    asset_id = str(image.get("id") or "")
    if not _ID.fullmatch(asset_id) or ".." in asset_id:
        raise ItemError(f"Earth Engine lists an image with the id {asset_id!r}, which is none")
    try:
        return _scene(image, asset_id, query, scene_id)
    except (AttributeError, KeyError, TypeError, ValueError, ShapelyError, CRSError) as err:
        if isinstance(err, ItemError):
            raise
        raise ItemError(
            f"image {asset_id!r} is no usable image of {query.product.key!r}: {err!r}"
        ) from err


def _scene(image: _Json, asset_id: str, query: SceneQuery, scene_id: str) -> Scene:
    properties = image.get("properties") or {}
    archive = query.product.archive(query.source.dialect)
    there = {str(band["id"]): band for band in image.get("bands") or ()}
    named = _named_bands(query.bands, archive, there, asset_id)
    return Scene(
        id=scene_id,
        product=query.product.key,
        source=query.source.name,
        access="earth-engine",
        platform=_platform(properties),
        time=_time(image, query.product),
        footprint=_footprint(image.get("geometry")),
        cloud=_cloud(properties),
        epsg=_epsg(there[name].get("grid") or {} for name in named.values()),
        version=str(image.get("updateTime") or ""),
        assets={
            key: _asset(HREF + asset_id, query.product.band(key), archive, there[name])
            for key, name in named.items()
        },
    )


def _named_bands(
    keys: Iterable[str], archive: Archive, there: _Json, asset_id: str
) -> dict[str, str]:
    named = {key: archive.assets.get(key, "") for key in keys}
    missing = [
        f"{key} ({name or 'unnamed'})" for key, name in named.items() if name not in there
    ]
    if missing:
        raise ItemError(
            f"image {asset_id!r} has no band for {', '.join(missing)}; it has "
            f"{', '.join(list(there)[:12])}"
        )
    return named


def _asset(href: str, band: Band, archive: Archive, described: _Json) -> Asset:
    own = Scaling(scale=band.source_scale, offset=band.source_offset, nodata=band.source_nodata)
    scaling = archive.scaling.get(band.kind, own)
    grid = described.get("grid") or {}
    size = grid.get("dimensions") or {}
    return Asset(
        band=band.key,
        href=href,
        part=str(described["id"]),
        scale=scaling.scale,
        offset=scaling.offset,
        nodata=scaling.nodata,
        shape=(int(size["height"]), int(size["width"])) if size else None,
        transform=_affine(grid["affineTransform"]) if grid.get("affineTransform") else None,
    )


def _affine(stated: _Json) -> tuple[float, float, float, float, float, float]:
    """Affine in the order of `Asset.transform`; the API leaves zeros out."""
    names = ("scaleX", "shearX", "translateX", "shearY", "scaleY", "translateY")
    a, b, c, d, e, f = (float(stated.get(name, 0.0)) for name in names)
    return a, b, c, d, e, f


def _epsg(grids: Iterable[_Json]) -> int | None:
    """Code of the first band's CRS; None for one without, such as MODIS' sinusoidal."""
    for grid in grids:
        stated = grid.get("crsCode") or grid.get("crsWkt")
        if stated:
            code: int | None = CRS.from_user_input(str(stated)).to_epsg()
            return code
    return None


def _time(image: _Json, product: Product) -> datetime:
    """When it was taken; the middle of an hour's mean, and of a span of more than a day.

    Shorter spans are a satellite's passage, or a whole day stated of a moment in it.
    """
    start, end = image.get("startTime"), image.get("endTime")
    if not start:
        if product.when != "static":
            raise ItemError(f"image {image['id']!r} states no time")
        start = image.get("updateTime") or "1970-01-01T00:00:00Z"
    first = _parse(str(start))
    last = _parse(str(end)) if end else first
    is_mean = product.when == "hour" or last - first > _LONG
    return first + (last - first) / 2 if is_mean else first


def _parse(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _footprint(stated: _Json | None) -> BaseGeometry:
    """Outline; the whole world if none is stated or it has no bounds."""
    if not stated or not (stated.get("coordinates") or stated.get("geometries")):
        return _WORLD
    footprint = shapely.force_2d(shape(dict(stated)))
    if footprint.geom_type in ("LinearRing", "LineString") and footprint.is_closed:
        # The API states many scenes' outlines as rings.
        footprint = shapely.Polygon(footprint.coords)
    if footprint.is_empty or not all(map(_is_finite, footprint.bounds)):
        return _WORLD
    return footprint if footprint.is_valid else shapely.make_valid(footprint)


def _is_finite(value: float) -> bool:
    return abs(value) < float("inf")


def _cloud(properties: _Json) -> float | None:
    """Cloud fraction; None where it was not measured, which some state as -1."""
    for name in _CLOUD:
        if properties.get(name) is not None:
            percent = float(properties[name])
            return percent / 100 if percent >= 0 else None
    return None


def _platform(properties: _Json) -> str:
    for name in _PLATFORM:
        if properties.get(name):
            return str(properties[name]).lower()
    return ""
