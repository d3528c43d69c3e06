from pathlib import Path

import geopandas
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from catalog.errors import StoreError
from stores.index import conform, index_schema, parse_parquet, table_metadata, to_parquet
from stores.objects import open_root
from stores.patch_store import PatchStore
from stores.snapshot import read_index


def test_every_sample_asked_for_has_one_row(tiny_store):
    index = PatchStore.open(tiny_store).index
    assert len(index) == index["sample_id"].nunique() == 24
    assert index["sample_id"].is_monotonic_increasing
    assert index["status"].value_counts().to_dict() == {"kept": 19, "rejected": 5}
    rejected = index[index["status"] == "rejected"]
    assert rejected["reason"].value_counts().to_dict() == {"cloud": 3, "no scene in window": 2}


def test_rows_rejected_by_the_plan_have_no_place_and_count_their_candidates(tiny_store):
    index = PatchStore.open(tiny_store).index
    row = index[index["reason"] == "no scene in window"].iloc[0]
    assert (row["task"], row["shard"], row["slot"]) == (-1, -1, -1)
    assert (row["fine_candidates"], row["radar_candidates"]) == (1, 0)
    assert not row["fine_present"]
    assert row["fine_scenes"] == ""


def test_the_index_is_geoparquet_for_others(tiny_store):
    ours = PatchStore.open(tiny_store).index
    theirs = geopandas.read_parquet(Path(tiny_store) / "index/000001.parquet")
    assert theirs.crs.equals("OGC:CRS84")
    assert (theirs.geometry == ours.geometry).all()
    assert theirs["sample_id"].tolist() == ours["sample_id"].tolist()


def test_rows_have_the_types_of_the_schema(tiny_store, tiny_schema):
    store = PatchStore.open(tiny_store)
    table = read_index(open_root(tiny_store), store.snapshot)
    assert table.schema.equals(index_schema(tiny_schema))
    assert table.schema.field("anchor_time").type == pa.timestamp("us", tz="UTC")


def test_tables_make_the_same_file_however_they_are_chunked(tiny_store):
    path = Path(tiny_store) / "index/000001.parquet"
    table = pq.read_table(path)
    halves = pa.concat_tables([table.slice(0, 9), table.slice(9)])
    assert to_parquet(halves.combine_chunks(), {}) == path.read_bytes()


def test_metadata_comes_back():
    table = parse_parquet(to_parquet(pa.table({"a": [1]}), {"claim": {"b": [1, 2]}}), "x")
    assert table_metadata(table, "claim") == {"b": [1, 2]}


def test_tables_that_do_not_fit_are_refused(tiny_store, tiny_schema):
    schema = index_schema(tiny_schema)
    table = pq.read_table(Path(tiny_store) / "index/000001.parquet")
    with pytest.raises(StoreError, match=r"missing \['month'\], unexpected \[\]"):
        conform(table.drop_columns(["month"]), schema, "part")
    with pytest.raises(StoreError, match=r"missing \[\], unexpected \['more'\]"):
        conform(table.append_column("more", table["month"]), schema, "part")
    large = pc.add(table["epsg"].cast(pa.int64()), 2**40)
    with pytest.raises(StoreError, match="part holds values that do not fit"):
        conform(table.set_column(4, "epsg", large), schema, "part")
    with pytest.raises(StoreError, match="x is not a Parquet file"):
        parse_parquet(b"hello", "x")
