"""A small archive that an Earth Engine endpoint serves, written band by band."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.warp import transform_bounds

from catalog.product import Kind
from catalog.products import find_product
from catalog.providers.earth_engine import search_earth_engine
from catalog.providers.query import Retries, SceneQuery
from catalog.providers.source import KNOWN_SOURCES, Source
from catalog.scene import Scene
from pipeline.ee_pixels import EarthEngineSource
from tests.rasters import UTM31, grid_at, stac_item, write_raster

TIME = datetime(2020, 6, 10, 10, 40, tzinfo=UTC)
DAY = timedelta(days=1)
QUICK = Retries(attempts=4, backoff_s=0.01, timeout_s=20)
WEST, NORTH = 500_040, 5_630_040
"""A corner that grids of 10, 20, 30 and 60 m share."""


@dataclass(frozen=True)
class EarthBand:
    """Raw values of one band and their grid."""

    values: np.ndarray
    transform: Affine
    epsg: int = UTM31
    scale: float | None = None
    """As the item states it; None for the product table's."""
    offset: float | None = None
    nodata: float | None = None


@dataclass
class EarthArchive:
    """Writes scenes as GeoTIFFs, and lists them as STAC items."""

    folder: Path
    items: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self,
        product: str,
        name: str,
        time: datetime,
        bands: Mapping[str, EarthBand],
        **properties: Any,
    ) -> None:
        """Write the bands of one scene."""
        assets = {key: self._asset(product, name, key, band) for key, band in bands.items()}
        bounds = self._bounds(name, next(iter(bands)))
        item = stac_item(name, product, time, assets=assets, bounds=bounds, **properties)
        self.items.append(item)
        listed = {"type": "FeatureCollection", "features": self.items}
        (self.folder / "items.json").write_text(json.dumps(listed))

    def file(self, name: str, key: str) -> Path:
        """Path of one band."""
        return self.folder / f"{name}_{key}.tif"

    def stated(self, name: str, key: str) -> dict[str, Any]:
        """Scale, offset and nodata that an item states of one band."""
        (item,) = (item for item in self.items if item["id"] == name)
        found: dict[str, Any] = item["assets"][key]["raster:bands"][0]
        return found

    def _asset(self, product: str, name: str, key: str, band: EarthBand) -> dict[str, Any]:
        table = find_product(product).band(key)
        path = write_raster(
            self.file(name, key),
            band.values,
            transform=band.transform,
            epsg=band.epsg,
            nodata=band.nodata,
        )
        stated = {
            "scale": table.source_scale if band.scale is None else band.scale,
            "offset": table.source_offset if band.offset is None else band.offset,
            "nodata": band.nodata,
        }
        return {"href": f"./{path.name}", "raster:bands": [stated]}

    def _bounds(self, name: str, key: str) -> tuple[float, float, float, float]:
        with rasterio.open(self.file(name, key)) as dataset:
            west, south, east, north = transform_bounds(
                dataset.crs, "EPSG:4326", *dataset.bounds
            )
        return west, south, east, north


def noise(name: str, size_px: int, low: int = 300, high: int = 9000) -> np.ndarray:
    """Random values that repeat with the name."""
    rng = np.random.default_rng(list(name.encode()))
    return rng.integers(low, high, (size_px, size_px)).astype("u2")


def at_corner(gsd_m: float) -> Affine:
    """A grid of square pixels at the common corner."""
    return grid_at(WEST, NORTH, gsd_m)


def landsat_bands(name: str, size_px: int = 40) -> dict[str, EarthBand]:
    """Red, near infrared and quality of a clear Landsat scene, without data in a corner."""
    red, nir = noise(f"{name} red", size_px), noise(f"{name} nir", size_px)
    quality = np.full((size_px, size_px), 21824, "u2")
    for values, fill in ((red, 0), (nir, 0), (quality, 1)):
        values[:5, :5] = fill
    return {
        "red": EarthBand(red, at_corner(30), nodata=0),
        "nir": EarthBand(nir, at_corner(30), nodata=0),
        "qa_pixel": EarthBand(quality, at_corner(30), nodata=1),
    }


def sentinel2_bands(name: str, offset: float = 0.0) -> dict[str, EarthBand]:
    """Red at 10 m, shortwave infrared and classes at 20 m of a Sentinel-2 scene."""
    low = 300 if offset == 0 else 1300
    red = noise(f"{name} red", 120, low)
    red[:9, :9] = 0
    classes = np.full((60, 60), 4, "u1")
    classes[:4, :4] = 0
    return {
        "red": EarthBand(red, at_corner(10), offset=offset, nodata=0),
        "swir1": EarthBand(
            noise(f"{name} swir1", 60, low), at_corner(20), offset=offset, nodata=0
        ),
        "scl": EarthBand(classes, at_corner(20), nodata=0),
    }


def write_all(folder: Path) -> EarthArchive:
    """Write a scene or two of each sort that Earth Engine treats in its own way."""
    earth = EarthArchive(folder)
    earth.add("landsat-c2-l2", "L0", TIME, landsat_bands("L0"), platform="landsat-8")
    earth.add("landsat-c2-l2", "L1", TIME + DAY, landsat_bands("L1"), platform="landsat-9")
    earth.add("sentinel-2-l2a", "S0", TIME, sentinel2_bands("S0", -0.1))
    label = (noise("label", 120) % 9).astype("u1")
    label[:7, :7] = 255
    chance = noise("trees", 120).astype("f4") / 9000
    earth.add(
        "dynamic-world",
        "D0",
        TIME,
        {
            "label": EarthBand(label, at_corner(10), nodata=255),
            "trees": EarthBand(chance, at_corner(10)),
        },
    )
    red = noise("H0 red", 40, 1300)
    fmask = np.zeros((40, 40), "u1")
    earth.add(
        "hls-l30",
        "H0",
        TIME,
        {
            "red": EarthBand(red, at_corner(30), scale=1e-4, offset=0, nodata=0),
            "fmask": EarthBand(fmask, at_corner(30), nodata=255),
        },
    )
    return earth


def source_at(url: str, **more: Any) -> Source:
    """Earth Engine at an address of loopback."""
    return replace(KNOWN_SOURCES["earth-engine"], url=url, **more)


def find_scenes(url: str, product: str, *bands: str) -> list[Scene]:
    """Scenes of an archive as `write_all` has written it."""
    query = SceneQuery(
        product=find_product(product),
        source=source_at(url),
        bands=bands,
        boxes=((2.9, 50.7, 3.2, 50.95),),
        start=TIME - DAY,
        end=TIME + 3 * DAY,
    )
    result = search_earth_engine(query, retries=QUICK)
    assert not result.refused
    return list(result.scenes)


def engine(url: str, **more: Any) -> EarthEngineSource:
    return EarthEngineSource(source_at(url), "LSSR: Belgium", **{"retries": QUICK, **more})


def box_at(row: int, col: int, gsd_m: float, size_px: int, epsg: int = 32631) -> GeoBox:
    """The cell of `size_px` at a place counted in cells from the common corner."""
    step = gsd_m * size_px
    affine = Affine(gsd_m, 0, WEST + col * step, 0, -gsd_m, NORTH - row * step)
    return GeoBox((size_px, size_px), affine, f"EPSG:{epsg}")


def cells(gsd_m: float, size_px: int, count: int = 2) -> list[GeoBox]:
    return [box_at(r, c, gsd_m, size_px) for r in range(count) for c in range(count)]


def kinds_of(scene: Scene) -> dict[str, Kind]:
    product = find_product(scene.product)
    return {key: product.band(key).kind for key in scene.assets}


def masked(scene: Scene) -> Scene:
    """The scene without a value for missing quality: only a mask can tell, by computing."""
    quality = replace(scene.assets["qa_pixel"], nodata=None)
    return replace(scene, assets={**scene.assets, "qa_pixel": quality})
