"""Small rasters and the STAC items that list them, for tests."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from affine import Affine
from rasterio.warp import transform_bounds

UTM31 = 32631


def grid_at(west: float, north: float, gsd_m: float) -> Affine:
    """The affine of a north-up grid with its upper left corner at (west, north)."""
    return Affine(gsd_m, 0, west, 0, -gsd_m, north)


def write_raster(
    path: Path,
    values: np.ndarray,
    *,
    transform: Affine,
    epsg: int = UTM31,
    nodata: float | None = None,
    block_px: int = 128,
) -> Path:
    """Write `(y, x)` as a tiled, compressed GeoTIFF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=values.shape[0],
        width=values.shape[1],
        count=1,
        dtype=values.dtype,
        crs=f"EPSG:{epsg}",
        transform=transform,
        nodata=nodata,
        tiled=True,
        blockxsize=block_px,
        blockysize=block_px,
        compress="deflate",
    ) as dataset:
        dataset.write(values, 1)
    return path


def stac_item(
    item_id: str,
    collection: str,
    time: datetime | str,
    *,
    assets: Mapping[str, str | Mapping[str, Any]],
    bounds: tuple[float, float, float, float] = (3.0, 50.8, 3.1, 50.9),
    **properties: Any,
) -> dict[str, Any]:
    """A STAC item over `bounds` (degrees), given asset name -> href or whole asset."""
    stamp = time if isinstance(time, str) else _stamp(time)
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": item_id,
        "collection": collection,
        "geometry": shapely.geometry.mapping(shapely.box(*bounds)),
        "bbox": list(bounds),
        "properties": {"datetime": stamp, **properties},
        "links": [],
        "assets": {
            name: {"href": asset} if isinstance(asset, str) else dict(asset)
            for name, asset in assets.items()
        },
    }


def item_of(
    path: Path, item_id: str, collection: str, time: datetime, *, asset: str, **properties: Any
) -> dict[str, Any]:
    """A STAC item of one raster file, which takes its footprint and grid from it."""
    with rasterio.open(path) as dataset:
        bounds = transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds)
        about = {
            "href": str(path),
            "proj:shape": list(dataset.shape),
            "proj:transform": list(dataset.transform)[:6],
        }
        code = f"EPSG:{dataset.crs.to_epsg()}"
    return stac_item(
        item_id,
        collection,
        time,
        assets={asset: about},
        bounds=bounds,
        **{"proj:code": code, **properties},
    )


def _stamp(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
