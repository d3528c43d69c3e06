"""Rendered scenes as files: cloud-optimized GeoTIFFs, and the STAC items that name them."""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer

from catalog.products import Archive, Band, Product, find_product
from pipeline.sandbox.raster import Raster, Rendered
from pipeline.sandbox.schedule import SandboxConfig
from pipeline.sandbox.weather import Sun

Json = dict[str, Any]

FOLDERS = {
    "landsat-c2-l2": "landsat",
    "sentinel-2-l2a": "sentinel2",
    "sentinel-1-grd": "sentinel1",
    "cop-dem-glo-30": "dem",
    "worldcereal-labels": "labels",
    "sandbox-truth": "truth",
    "hls-l30": "hls_l30",
    "hls-s30": "hls_s30",
    "dynamic-world": "dynamic_world",
    "esa-worldcover": "worldcover",
    "usda-cdl": "cdl",
}
INSTRUMENTS = {
    "landsat-c2-l2": ["oli", "tirs"],
    "sentinel-2-l2a": ["msi"],
    "sentinel-1-grd": ["c-sar"],
    "hls-l30": ["oli", "tirs"],
    "hls-s30": ["msi"],
}
EXTENSIONS = [
    "https://stac-extensions.github.io/projection/v1.1.0/schema.json",
    "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
    "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
    "https://stac-extensions.github.io/view/v1.0.0/schema.json",
]
BLOCK_PX = 256
COG_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"


def write_scene(out: Path, rendered: Rendered, config: SandboxConfig, sun: Sun | None) -> Json:
    """Write one scene's files below `out` and return its item, with relative hrefs."""
    overpass = rendered.overpass
    product = find_product(overpass.collection)
    names = _names(product)
    name = rendered.name or overpass.name
    folder = out / FOLDERS[product.key]
    folder.mkdir(parents=True, exist_ok=True)
    assets: Json = {}
    for raster in rendered.rasters:
        asset = names.assets[raster.band]
        path = folder / f"{name}_{asset}.tif"
        epsg = raster.epsg or config.epsg
        write_cog(path, raster.values, raster.transform, epsg=epsg, nodata=raster.nodata)
        href = f"./{path.relative_to(out).as_posix()}"
        assets[asset] = _asset(raster, product.band(raster.band), asset, href)
    footprint = _footprint(rendered, config)
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": EXTENSIONS,
        "id": name,
        "collection": _collection(product),
        "geometry": shapely.geometry.mapping(footprint),
        "bbox": list(footprint.bounds),
        "properties": _properties(rendered, config, sun),
        "assets": assets,
        "links": [],
    }


def _names(product: Product) -> Archive:
    """Names of assets: those of any STAC API, or of the only archive that has the product."""
    return product.archives.get("stac") or next(iter(product.archives.values()))


def _collection(product: Product) -> str:
    """Collection of items; the product's own key where no STAC API has it."""
    return _names(product).collections[0] if "stac" in product.archives else product.key


def write_cog(
    path: Path, values: NDArray[Any], transform: Affine, *, epsg: int, nodata: float | None
) -> None:
    """Write a cloud-optimized GeoTIFF of 256 px deflate blocks, no overviews.

    Args:
        path: File to write.
        values: One band `(y, x)` or several `(band, y, x)`.
        transform: Affine from (column, row) to the coordinates of pixel corners.
        epsg: Code of the CRS.
        nodata: Raw value that means no data; None if every value is data.
    """
    bands = values if values.ndim == 3 else values[None]
    with rasterio.open(
        path,
        "w",
        driver="COG",
        height=bands.shape[1],
        width=bands.shape[2],
        count=len(bands),
        dtype=bands.dtype.name,
        crs=f"EPSG:{epsg}",
        transform=transform,
        nodata=nodata,
        compress="DEFLATE",
        level=1,
        predictor="YES",
        blocksize=BLOCK_PX,
        overviews="NONE",
    ) as file:
        file.write(bands)


def _asset(raster: Raster, band: Band, asset: str, href: str) -> Json:
    nodata = "nan" if np.isnan(raster.nodata) else raster.nodata
    pixels: Json = {"data_type": raster.values.dtype.name, "nodata": nodata}
    if band.kind in ("reflectance", "temperature") or raster.scale != 1:
        pixels |= {"scale": raster.scale, "offset": raster.offset}
    if band.kind not in ("quality", "class"):
        pixels["unit"] = band.unit
    described: Json = {
        "href": href,
        "type": COG_TYPE,
        "roles": ["quality"] if band.kind == "quality" else ["data"],
        "proj:shape": list(raster.values.shape),
        "proj:transform": list(raster.transform)[:6],
        "raster:bands": [pixels],
    }
    if raster.grid is not None:
        described["gsd"] = raster.grid.step_m
    if band.kind == "reflectance":
        described["eo:bands"] = [{"name": asset, "common_name": _common_name(band.key)}]
    return described


def _common_name(key: str) -> str:
    """Band key -> common name of the STAC eo extension."""
    renamed = {"swir1": "swir16", "swir2": "swir22", "nir_narrow": "nir08"}
    return "rededge" if key.startswith("rededge") else renamed.get(key, key)


def _properties(rendered: Rendered, config: SandboxConfig, sun: Sun | None) -> Json:
    overpass = rendered.overpass
    epsg = rendered.rasters[0].epsg or config.epsg
    found: Json = {
        "datetime": f"{overpass.time:%Y-%m-%dT%H:%M:%SZ}",
        "proj:epsg": epsg,
        "sandbox:seed": config.seed,
        "sandbox:shift_m": list(overpass.shift_m),
    }
    if overpass.platform:
        found["platform"] = overpass.platform
        found["instruments"] = INSTRUMENTS[overpass.collection]
    if rendered.cloud is not None:
        found["eo:cloud_cover"] = round(100 * rendered.cloud, 3)
    if sun is not None:
        found["view:sun_elevation"] = round(sun.elevation_deg, 3)
        found["view:sun_azimuth"] = round(sun.azimuth_deg, 3)
        found["view:off_nadir"] = 0.0
    if overpass.collection == "sentinel-1-grd":
        found["sar:polarizations"] = ["VV", "VH"]
    if overpass.collection == "sentinel-2-l2a":
        empty = np.mean(rendered.rasters[0].values == 0)
        found["s2:nodata_pixel_percentage"] = round(100 * float(empty), 3)
    return found | overpass.details


def _footprint(rendered: Rendered, config: SandboxConfig) -> shapely.Polygon:
    """Outline of the data, longitude and latitude: the grid, cut at the swath's edge."""
    raster = rendered.rasters[0]
    height, width = raster.values.shape
    corners = np.array([[0, height], [width, height], [width, 0], [0, 0]], np.float64)
    if rendered.overpass.swath_share < 1:
        seen = (raster.values != raster.nodata).sum(axis=1)
        corners[1, 0], corners[2, 0] = seen[-1], seen[0]
    a, b, c, d, e, f = raster.transform[:6]
    x, y = corners @ [a, b] + c, corners @ [d, e] + f
    to_lonlat = Transformer.from_crs(raster.epsg or config.epsg, 4326, always_xy=True)
    return shapely.Polygon(np.column_stack(to_lonlat.transform(x, y)))
