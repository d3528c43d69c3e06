import pyarrow as pa
import pytest

from catalog.errors import StoreError
from stores.claim import claim_build, done_tasks
from stores.objects import get, open_root, sha256
from stores.parts import read_part, write_part


@pytest.fixture(name="built")
def built_fixture(empty_store, build_task, plan_of):
    root = open_root(empty_store)
    claim = claim_build(root, plan_of(range(20)), {})
    build_task(root, claim, 1)
    return root, claim


def test_a_part_names_what_its_task_wrote(built):
    root, claim = built
    part = read_part(root, claim.number, claim.shard(1))
    assert set(part.checksums) == {
        "data.zarr/fine/pixels/c/1/0/0/0",
        "data.zarr/fine/valid/c/1/0/0",
        "data.zarr/radar/pixels/c/1/0/0/0",
        "data.zarr/radar/valid/c/1/0/0",
    }
    for path, checksum in part.checksums.items():
        assert sha256(get(root, path)) == checksum
    ids = sorted(claim.task_samples(1)["sample_id"].to_pylist())
    assert part.rows["sample_id"].to_pylist() == ids
    assert set(part.statistics) == {"fine", "radar"}


def test_doing_a_task_again_writes_the_same_bytes(built, build_task):
    root, claim = built
    before = get(root, "parts/000001/000001.parquet")
    build_task(root, claim, 1)
    assert get(root, "parts/000001/000001.parquet") == before


def test_the_order_of_rows_does_not_matter_but_their_values_do(built):
    root, claim = built
    part = read_part(root, 1, 1)
    rows = part.rows.replace_schema_metadata(None)
    write_part(root, 1, 1, rows.take([5, 4, 3, 2, 1, 0]), part.statistics, part.checksums)
    other = set_column(rows, "detail", pa.array(["other"] * len(rows)))
    with pytest.raises(StoreError, match=r"'parts/000001/000001.parquet'.*other bytes"):
        write_part(root, 1, 1, other, part.statistics, part.checksums)
    assert done_tasks(root, claim) == {1}


def set_column(rows, name, values):
    return rows.set_column(rows.schema.get_field_index(name), name, values)


def test_rows_that_make_no_sense_are_refused(built):
    root, claim = built
    part = read_part(root, 1, 1)
    rows = part.rows.replace_schema_metadata(None)
    odd = [
        (rows, "must lie in slots 128 to 191, got .64, 65"),
        (set_column(rows, "status", pa.array(["lost"] * len(rows))), "kept or rejected"),
        (
            set_column(rows, "status", pa.array(["rejected"] * len(rows))),
            "rejected without a reason: .*31N_",
        ),
        (rows.drop_columns(["fine_valid"]), r"missing \['fine_valid'\]"),
    ]
    for table, message in odd:
        with pytest.raises(StoreError, match=message):
            write_part(root, 1, 2, table, part.statistics, part.checksums)
    assert done_tasks(root, claim) == {1}


def test_a_task_that_is_not_done_has_no_part(built):
    with pytest.raises(StoreError, match=r"no object 'parts/000001/000002\.parquet'"):
        read_part(built[0], 1, 2)
