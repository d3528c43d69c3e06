"""A sandbox archive as Earth Engine would hold it: images by asset id, drawn from its files."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import Resampling
from rasterio.warp import reproject

from catalog.product import Archive, Band, Product, Scaling
from catalog.products import PRODUCTS
from pipeline.sandbox.serve.ee_graph import Drawn, GraphBand, Grid, Image

_Json = Mapping[str, Any]
_DIALECT = "earth-engine"
_CLOUD_NAMES = {"landsat": "CLOUD_COVER", "hls": "CLOUD_COVERAGE"}
_PLATFORM_NAMES = {"landsat": "SPACECRAFT_ID", "sentinel-2": "SPACECRAFT_NAME"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BandFile:
    """One band of an asset, and the file of the archive that holds it."""

    name: str
    """As Earth Engine calls it."""
    path: Path
    own: Scaling
    """What the file's raw values mean."""
    served: Scaling
    """What Earth Engine's raw values mean."""
    epsg: int
    transform: Affine
    shape: tuple[int, int]
    stored: np.dtype[Any]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The file's own, unless Earth Engine holds physical values in its place."""
        if self.served.scale == self.own.scale or self.served.scale != 1.0:
            return self.stored
        return np.dtype("<f4")

    def draw(self, grid: Grid, how: Resampling) -> Drawn:
        """Return the band on a grid: its own pixels where the grids agree."""
        values = np.full(grid.shape, np.nan, dtype=np.float32)
        with rasterio.open(self.path) as dataset:
            reproject(
                rasterio.band(dataset, 1),
                values,
                src_nodata=self.own.nodata,
                dst_transform=grid.transform,
                dst_crs=f"EPSG:{grid.epsg}",
                dst_nodata=None if self.own.nodata is None else np.nan,
                init_dest_nodata=False,
                resampling=how,
            )
        has_value = np.isfinite(values)
        return Drawn(self._as_served(values), has_value)

    def _as_served(self, raw: Any) -> Any:  # noqa: ANN401 - arrays
        own, served = self.own, self.served
        if own.scale != served.scale:
            physical = raw.astype(np.float64) * own.scale + own.offset
            return (physical - served.offset) / served.scale
        shift = round((own.offset - served.offset) / own.scale)
        return np.maximum(raw + shift, 0) if shift else raw


@dataclass(frozen=True, kw_only=True)
class EarthAsset:
    """One image, as Earth Engine lists it and draws it."""

    id: str
    collection: str
    """Id of the collection that it is in; `''` for an image of its own."""
    item: _Json
    product: Product
    bands: tuple[BandFile, ...]

    @property
    def times(self) -> tuple[datetime, datetime]:
        """First and last instant."""
        stated = self.item["properties"]
        first = stated.get("start_datetime") or stated["datetime"]
        return _parse(first), _parse(stated.get("end_datetime") or first)

    @property
    def image(self) -> Image:
        """Its bands, to be drawn on some grid."""
        return tuple(GraphBand(band.name, band.dtype, band.draw) for band in self.bands)

    @cached_property
    def description(self) -> dict[str, Any]:
        """What the API says of it."""
        start, end = self.times
        return {
            "type": "IMAGE",
            "name": f"projects/earthengine-public/assets/{self.id}",
            "id": self.id,
            "startTime": _stamp(start),
            "endTime": _stamp(end),
            "updateTime": _stamp(_parse(self.item["properties"].get("updated") or _stamp(end))),
            "geometry": self.item["geometry"],
            "properties": self._properties(),
            "bands": [_described(band) for band in self.bands],
        }

    def _properties(self) -> dict[str, Any]:
        stated = self.item["properties"]
        found: dict[str, Any] = {"system:index": self.id.rsplit("/", 1)[-1]}
        family = self.product.key.rsplit("-", 2)[0]
        if stated.get("eo:cloud_cover") is not None:
            name = next((v for k, v in _CLOUD_NAMES.items() if family.startswith(k)), None)
            found[name or "CLOUDY_PIXEL_PERCENTAGE"] = stated["eo:cloud_cover"]
        if stated.get("platform"):
            names = (v for k, v in _PLATFORM_NAMES.items() if family.startswith(k))
            found[next(names, "PLATFORM")] = stated["platform"].upper().replace("-", "_")
        return found


def read_assets(
    folder: Path, products: Mapping[str, Product] = PRODUCTS
) -> dict[str, EarthAsset]:
    """Return what Earth Engine would hold of an archive, by asset id, in order of time.

    Every item is an image of the Earth Engine collection of its product; items of products
    that Earth Engine does not have are left out. A product that is a single image there is
    its first item.
    """
    listed = json.loads((folder / "items.json").read_text())["features"]
    assets: dict[str, EarthAsset] = {}
    for item in sorted(listed, key=lambda one: str(one["properties"].get("datetime"))):
        product = _product_of(item, products)
        if product is not None:
            asset = _asset(item, product, folder)
            assets.setdefault(asset.id, asset)
    return assets


def _product_of(item: _Json, products: Mapping[str, Product]) -> Product | None:
    for product in products.values():
        names = {product.key}
        names.update(name for a in product.archives.values() for name in a.collections)
        if item.get("collection") in names and _DIALECT in product.archives:
            return product
    return None


def _asset(item: _Json, product: Product, folder: Path) -> EarthAsset:
    archive = product.archives[_DIALECT]
    collection = _collection(archive, str(item["properties"].get("platform") or ""))
    alone = archive.form == "image"
    return EarthAsset(
        id=collection if alone else f"{collection}/{item['id']}",
        collection="" if alone else collection,
        item=item,
        product=product,
        bands=tuple(_bands(item, product, archive, folder)),
    )


def _collection(archive: Archive, platform: str) -> str:
    """The collection of a platform, where each has its own: Landsat 9 is in LC09."""
    number = platform[-1:] if platform[-1:].isdecimal() else "?"
    own = (name for name in archive.collections if f"LC0{number}/" in name)
    return next(own, archive.collections[0])


def _bands(item: _Json, product: Product, archive: Archive, folder: Path) -> Iterator[BandFile]:
    for band in product.bands:
        names = [a.assets.get(band.key) for a in product.archives.values()] + [band.key]
        name = next((name for name in names if name in item["assets"]), None)
        if name is None or band.key not in archive.assets:
            continue
        described = item["assets"][name]
        own = _own_scaling(described, band)
        served = archive.scaling.get(band.kind) or Scaling(
            scale=band.source_scale, offset=band.source_offset, nodata=band.source_nodata
        )
        path = folder / described["href"]
        with rasterio.open(path) as dataset:
            yield BandFile(
                name=archive.assets[band.key],
                path=path,
                own=own,
                served=served,
                epsg=dataset.crs.to_epsg(),
                transform=dataset.transform,
                shape=dataset.shape,
                stored=np.dtype(dataset.dtypes[0]),
            )


def _own_scaling(described: _Json, band: Band) -> Scaling:
    stated = (described.get("raster:bands") or [{}])[0]
    nodata = stated.get("nodata", described.get("nodata", band.source_nodata))
    return Scaling(
        scale=float(stated.get("scale", band.source_scale)),
        offset=float(stated.get("offset", band.source_offset)),
        nodata=None if nodata is None else float(nodata),
    )


def _described(band: BandFile) -> dict[str, Any]:
    a, b, c, d, e, f = band.transform[:6]
    affine = {
        "scaleX": a,
        "shearX": b,
        "translateX": c,
        "shearY": d,
        "scaleY": e,
        "translateY": f,
    }
    precision = "FLOAT" if band.dtype.kind == "f" else "INT"
    return {
        "id": band.name,
        "dataType": {"precision": precision, "range": _range(band.dtype)},
        "grid": {
            "crsCode": f"EPSG:{band.epsg}",
            "dimensions": {"width": band.shape[1], "height": band.shape[0]},
            # The API leaves zeros out.
            "affineTransform": {name: v for name, v in affine.items() if v != 0},
        },
    }


def _range(dtype: np.dtype[Any]) -> dict[str, float]:
    return {} if dtype.kind == "f" else {"max": float(np.iinfo(dtype).max)}


def _parse(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _stamp(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
