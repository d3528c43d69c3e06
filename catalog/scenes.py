"""Scenes at rest: one GeoParquet file that the rest of a run reads instead of an archive."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from io import BytesIO
from typing import Any

import geopandas as gpd
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from pyproj import CRS

from catalog.scene import Asset, Scene, SceneAngles

_GEO = {
    "version": "1.0.0",
    "primary_column": "geometry",
    "columns": {
        "geometry": {
            "encoding": "WKB",
            "geometry_types": [],
            "crs": CRS.from_epsg(4326).to_json_dict(),
        }
    },
}
_SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "product": pa.string(),
        "source": pa.string(),
        "access": pa.string(),
        "platform": pa.string(),
        "time": pa.timestamp("us", tz="UTC"),
        "cloud": pa.float64(),
        "epsg": pa.int32(),
        "version": pa.string(),
        "assets": pa.string(),
        "angles": pa.string(),
        "geometry": pa.binary(),
    },
    metadata={"geo": json.dumps(_GEO)},
)
_SPELLED = {"assets", "angles", "geometry"}
_ROWS_AT_ONCE = 5_000
_ANGLE_FIELDS = tuple(field.name for field in fields(SceneAngles))
_ASSET_FIELDS = tuple(sorted(field.name for field in fields(Asset)))


def write_scenes(scenes: Iterable[Scene]) -> bytes:
    """Return a GeoParquet file of `scenes`; equal scenes give equal bytes in any order."""
    ordered = sorted(scenes, key=_place)
    buffer = BytesIO()
    # In pieces: the assets of a large plan are gigabytes as text.
    with pq.ParquetWriter(buffer, _SCHEMA, compression="zstd") as writer:
        for start in range(0, len(ordered), _ROWS_AT_ONCE):
            writer.write_table(_table(ordered[start : start + _ROWS_AT_ONCE]))
    return buffer.getvalue()


def read_scenes(data: bytes) -> tuple[Scene, ...]:
    """Return the scenes that `write_scenes` wrote."""
    frame = gpd.read_parquet(BytesIO(data))
    return tuple(
        _scene(dict(zip(frame.columns, values, strict=True)))
        for values in frame.itertuples(index=False, name=None)
    )


def _place(scene: Scene) -> tuple[Any, ...]:
    """What the order of scenes goes by; assets are looked at only to tell twins apart."""
    return scene.product, scene.source, scene.time, scene.id, scene.version, _Assets(scene)


@dataclass(frozen=True, slots=True)
class _Assets:
    """The assets of a scene, spelled out only if they are compared."""

    scene: Scene

    def __lt__(self, other: "_Assets") -> bool:
        return _assets_text(self.scene) < _assets_text(other.scene)


def _table(scenes: Sequence[Scene]) -> pa.Table:
    plain = [name for name in _SCHEMA.names if name not in _SPELLED]
    columns: dict[str, Sequence[Any]] = {
        name: [getattr(scene, name) for scene in scenes] for name in plain
    }
    columns["assets"] = [_assets_text(scene) for scene in scenes]
    columns["angles"] = [_angles_text(scene) for scene in scenes]
    columns["geometry"] = shapely.to_wkb([scene.footprint for scene in scenes]).tolist()
    return pa.table({name: columns[name] for name in _SCHEMA.names}, _SCHEMA)


def _angles_text(scene: Scene) -> str | None:
    angles = scene.angles
    return json.dumps({n: getattr(angles, n) for n in _ANGLE_FIELDS}) if angles else None


def _assets_text(scene: Scene) -> str:
    assets = [asset for _, asset in sorted(scene.assets.items())]
    # Not `dataclasses.asdict`, which copies every value and takes ten times as long.
    return json.dumps([{n: getattr(asset, n) for n in _ASSET_FIELDS} for asset in assets])


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
        angles=_angles(row.get("angles")),
    )


def _angles(text: object) -> SceneAngles | None:
    return SceneAngles(**json.loads(text)) if isinstance(text, str) and text else None


def _asset(data: dict[str, Any]) -> Asset:
    data["shape"] = tuple(data["shape"]) if data["shape"] else None
    data["transform"] = tuple(data["transform"]) if data["transform"] else None
    return Asset(**data)
