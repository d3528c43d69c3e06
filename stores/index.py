"""The index of a store: one row per sample, as GeoParquet with the same bytes every time."""

import io
import json
from collections.abc import Mapping
from typing import Any

import geopandas
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from catalog.errors import StoreError
from stores.objects import Root, get
from stores.schema import StoreSchema

_TIME = pa.timestamp("us", tz="UTC")
KEPT = "kept"
REJECTED = "rejected"

IDENTITY_FIELDS: tuple[pa.Field, ...] = (
    pa.field("sample_id", pa.string()),
    pa.field("cell_id", pa.string()),
    pa.field("region", pa.string()),
    pa.field("split", pa.string()),
    pa.field("epsg", pa.int32()),
    pa.field("west", pa.float64()),
    pa.field("south", pa.float64()),
    pa.field("east", pa.float64()),
    pa.field("north", pa.float64()),
    pa.field("geometry", pa.binary()),
    pa.field("anchor_time", _TIME),
    pa.field("month", pa.int8()),
)
"""Columns that say which sample a row is about; `geometry` is WKB, longitude and latitude."""

_FATE_FIELDS: tuple[pa.Field, ...] = (
    pa.field("status", pa.string()),
    pa.field("reason", pa.string()),
    pa.field("detail", pa.string()),
    pa.field("task", pa.int32()),
    pa.field("shard", pa.int32()),
    pa.field("slot", pa.int64()),
    pa.field("content_key", pa.string()),
)

_LAYER_FIELDS: tuple[tuple[str, pa.DataType, Any], ...] = (
    ("scenes", pa.string(), ""),
    ("time", _TIME, None),
    ("dt_hours", pa.float64(), None),
    ("valid", pa.float32(), 0.0),
    ("present", pa.bool_(), False),
    ("resampling", pa.string(), "none"),
    ("candidates", pa.int16(), 0),
    ("offset", pa.string(), ""),
    ("shift_east_m", pa.float64(), 0.0),
    ("shift_north_m", pa.float64(), 0.0),
    ("shift_confidence", pa.float32(), None),
    ("shift_residual_m", pa.float32(), None),
    ("changes", pa.string(), ""),
    ("haze", pa.string(), ""),
)
"""Columns per layer: suffix, type, and the value where the layer has nothing."""

_GEO = {
    "version": "1.1.0",
    "primary_column": "geometry",
    "columns": {"geometry": {"encoding": "WKB", "geometry_types": ["Polygon"]}},
}


def index_schema(schema: StoreSchema) -> pa.Schema:
    """Return the columns of the index, and of the rows of a part, of a store."""
    layers = [
        pa.field(f"{layer.name}_{suffix}", dtype)
        for layer in schema.layers
        for suffix, dtype, _ in _LAYER_FIELDS
    ]
    return pa.schema(
        [*IDENTITY_FIELDS, *_FATE_FIELDS, *layers], metadata={"geo": json.dumps(_GEO)}
    )


def absent_layer(name: str, candidates: int) -> dict[str, Any]:
    """Return the columns of a layer that a sample has no pixels of."""
    row = {f"{name}_{suffix}": value for suffix, _, value in _LAYER_FIELDS}
    return row | {f"{name}_candidates": candidates}


def conform(table: pa.Table, schema: pa.Schema, what: str) -> pa.Table:
    """Return `table` with exactly the columns of `schema`, in its order and types.

    Raises:
        StoreError: If a column is missing, too many, or of values that do not fit; `what`
            names the table in the message.
    """
    missing = [name for name in schema.names if name not in table.column_names]
    foreign = [name for name in table.column_names if name not in schema.names]
    if missing or foreign:
        raise StoreError(
            f"{what} must have the columns of the store's index: missing {missing[:5]}, "
            f"unexpected {foreign[:5]}"
        )
    try:
        return table.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as err:
        raise StoreError(f"{what} holds values that do not fit the index: {err}") from err


def to_parquet(table: pa.Table, metadata: Mapping[str, Any]) -> bytes:
    """Return a Parquet file with `metadata`, each value as JSON, beside the table's own."""
    extra = {key: json.dumps(value, sort_keys=True) for key, value in metadata.items()}
    own = table.schema.metadata or {}
    sink = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({**own, **extra}), sink, compression="zstd")
    return sink.getvalue()


def read_parquet(root: Root, path: str) -> pa.Table:
    """Return the table of a Parquet object.

    Raises:
        StoreError: If the object is missing or not Parquet.
    """
    return parse_parquet(get(root, path), f"{root.uri}/{path}")


def parse_parquet(data: bytes, what: str) -> pa.Table:
    """Return the table of the Parquet bytes `data`; `what` names them in an error."""
    try:
        return pq.read_table(pa.BufferReader(data))
    except pa.ArrowInvalid as err:
        raise StoreError(f"{what} is not a Parquet file: {err}; rebuild the store") from err


def table_metadata(table: pa.Table, key: str) -> Any:  # noqa: ANN401 - it is parsed JSON
    """Return what `to_parquet` kept as `key`."""
    return json.loads(table.schema.metadata[key.encode()])


def to_geodataframe(table: pa.Table) -> geopandas.GeoDataFrame:
    """Return a table of samples with footprints in longitude and latitude."""
    frame = table.drop_columns(["geometry"]).to_pandas()
    outlines = shapely.from_wkb(table["geometry"].to_numpy(zero_copy_only=False))
    return geopandas.GeoDataFrame(frame, geometry=outlines, crs="EPSG:4326")
