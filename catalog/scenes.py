"""Scenes at rest: one GeoParquet file that the rest of a run reads instead of an archive."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from io import BytesIO
from typing import Any

import geopandas as gpd
import pandas as pd

from catalog.scene import Asset, Scene

_COLUMNS = (
    "id",
    "product",
    "source",
    "access",
    "platform",
    "time",
    "cloud",
    "epsg",
    "version",
    "assets",
)
_ORDER = ("product", "source", "time", "id", "version", "assets")


def write_scenes(scenes: Iterable[Scene]) -> bytes:
    """Return a GeoParquet file of `scenes`; equal scenes give equal bytes in any order."""
    rows = sorted((_row(scene) for scene in scenes), key=lambda r: [r[k] for k in _ORDER])
    frame = gpd.GeoDataFrame(
        {name: [row[name] for row in rows] for name in _COLUMNS},
        geometry=[row["footprint"] for row in rows],
        crs="EPSG:4326",
    )
    frame = frame.astype({"epsg": "Int32", "cloud": "Float64"})
    buffer = BytesIO()
    frame.to_parquet(buffer, index=False, compression="zstd")
    return buffer.getvalue()


def read_scenes(data: bytes) -> tuple[Scene, ...]:
    """Return the scenes that `write_scenes` wrote."""
    frame = gpd.read_parquet(BytesIO(data))
    return tuple(
        _scene(dict(zip(frame.columns, values, strict=True)))
        for values in frame.itertuples(index=False, name=None)
    )


def _row(scene: Scene) -> dict[str, Any]:
    row = {name: getattr(scene, name) for name in _COLUMNS}
    row["footprint"] = scene.footprint
    row["assets"] = json.dumps(
        [asdict(asset) for _, asset in sorted(scene.assets.items())], sort_keys=True
    )
    return row


def _scene(row: dict[str, Any]) -> Scene:
    assets = [_asset(a) for a in json.loads(row["assets"])]
    return Scene(
        id=row["id"],
        product=row["product"],
        source=row["source"],
        access=row["access"],
        platform=row["platform"],
        time=row["time"].to_pydatetime(),
        footprint=row["geometry"],
        cloud=None if pd.isna(row["cloud"]) else float(row["cloud"]),
        epsg=None if pd.isna(row["epsg"]) else int(row["epsg"]),
        version=row["version"],
        assets={asset.band: asset for asset in assets},
    )


def _asset(data: dict[str, Any]) -> Asset:
    data["shape"] = tuple(data["shape"]) if data["shape"] else None
    data["transform"] = tuple(data["transform"]) if data["transform"] else None
    return Asset(**data)
