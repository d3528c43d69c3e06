from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from catalog.errors import StoreError
from stores.arrays import metadata_objects
from stores.claim import claim_build, read_claim
from stores.create import create_store, read_schema
from stores.objects import open_root, put
from stores.patch_store import PatchStore
from stores.snapshot import publish, read_snapshot


def contents(uri):
    return {
        str(p.relative_to(uri)): p.read_bytes() for p in Path(uri).rglob("*") if p.is_file()
    }


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_a_distributed_build_equals_a_plain_loop(
    tmp_path, tiny_schema, build, build_task, plan_of, codec
):
    schema = replace(tiny_schema, codec=codec)
    plain, spread = (str(tmp_path / name) for name in ("plain", "spread"))
    for uri in (plain, spread):
        create_store(uri, schema)
    publish(open_root(plain), build(plain, range(40)))
    root = open_root(spread)
    claim = claim_build(root, plan_of(range(40)), {"recipe_hash": "abc", "versions": {}})
    with ThreadPoolExecutor(3) as pool:
        tasks = [*reversed(range(claim.n_tasks)), 2]
        list(pool.map(lambda task: build_task(root, claim, task), tasks))
    publish(root, claim)
    assert contents(plain) == contents(spread)


def test_publishing_waits_for_all_tasks(empty_store, build_task, plan_of):
    root = open_root(empty_store)
    claim = claim_build(root, plan_of(range(20)), {})
    with pytest.raises(StoreError, match="no snapshot yet: 0 of 3 tasks are done"):
        PatchStore.open(empty_store)
    build_task(root, claim, 1)
    with pytest.raises(StoreError, match=r"2 of 3 tasks are not done \(first: \[0, 2\]\)"):
        publish(root, claim)
    with pytest.raises(StoreError, match="no snapshot yet: 1 of 3 tasks are done"):
        PatchStore.open(empty_store)
    for task in (0, 2):
        build_task(root, claim, task)
    assert publish(root, claim).number == 1


def test_publishing_again_changes_nothing(empty_store, build):
    root, claim = open_root(empty_store), build(empty_store, range(8))
    snapshot = publish(root, claim)
    before = contents(empty_store)
    assert publish(root, read_claim(root, 1)) == snapshot
    assert contents(empty_store) == before


PUBLISHED = (
    "index/000002.parquet",
    "statistics/000002.json",
    "data.zarr/fine/pixels/zarr.json",
    "data.zarr/fine/zarr.json",
    "snapshots/000002.json",
)


@pytest.mark.parametrize("survived", range(len(PUBLISHED)))
def test_a_build_killed_while_publishing_loses_nothing(empty_store, build, survived):
    root = open_root(empty_store)
    publish(root, build(empty_store, range(8)))
    first, claim = contents(empty_store), build(empty_store, range(8, 20))
    before = contents(empty_store)
    publish(root, claim)
    after = contents(empty_store)
    restore(empty_store, PUBLISHED[survived:], before)
    store = PatchStore.open(empty_store)
    assert store.snapshot.number == 1
    assert len(store.index) == 8
    assert publish(root, read_claim(root, 2)).number == 2
    assert contents(empty_store) == after
    assert {p: after[p] for p in first if "data.zarr" not in p} == {
        p: first[p] for p in first if "data.zarr" not in p
    }


def restore(uri, paths, before):
    """Bring some objects back to the state before they were published."""
    for path in paths:
        file = Path(uri) / path
        file.write_bytes(before[path]) if path in before else file.unlink()


def test_a_reader_keeps_its_snapshot_while_a_build_goes_on(empty_store, build, truth_of):
    root = open_root(empty_store)
    publish(root, build(empty_store, range(8)))
    store = PatchStore.open(empty_store)
    rows = store.select()
    claim = build(empty_store, range(8, 20))
    assert PatchStore.open(empty_store).snapshot.number == 1
    publish(root, claim)
    assert (store.snapshot.number, len(store.index)) == (1, 8)
    assert len(PatchStore.open(empty_store, snapshot=1).index) == 8
    assert len(PatchStore.open(empty_store).index) == 20
    read = store.read("fine", rows["slot"].to_numpy())
    truth = [truth_of(store.schema, i)["fine"].raw for i in rows["sample_id"]]
    np.testing.assert_array_equal(read.raw, np.concatenate(truth))


def test_later_claims_add_and_supersede_samples(empty_store, build, truth_of):
    root = open_root(empty_store)
    for numbers in (range(20), range(15, 30), range(29, 35)):
        publish(root, build(empty_store, numbers))
    store = PatchStore.open(empty_store)
    assert (store.snapshot.number, store.snapshot.parent) == (3, 2)
    assert len(store.index) == store.index["sample_id"].nunique() == 35
    rows = store.select()
    assert rows["slot"].is_unique
    moved = rows[rows["sample_id"].str.endswith(("@0016", "@0018"))]
    assert (moved["shard"] >= 3).all()
    truth = [truth_of(store.schema, i)["fine"] for i in rows["sample_id"]]
    read = store.read("fine", rows["slot"].to_numpy())
    np.testing.assert_array_equal(read.raw, np.concatenate([t.raw for t in truth]))
    train = [t for t, split in zip(truth, rows["split"], strict=True) if split == "train"]
    values = np.concatenate([t.raw[:, 1][t.valid] for t in train]) * 1e-4 - 0.1
    nir = store.statistics["fine"].band("nir")
    assert nir.count == len(values)
    assert (nir.mean, nir.std) == pytest.approx((values.mean(), values.std()), rel=1e-12)


def test_arrays_are_as_long_as_the_shards_that_were_claimed(empty_store, build):
    root = open_root(empty_store)
    publish(root, build(empty_store, range(8)))
    snapshot = publish(root, build(empty_store, range(8, 20)))
    schema = read_schema(root)
    assert snapshot.slots == 4 * 64
    found = contents(empty_store)
    assert all(found[p] == data for p, data in metadata_objects(schema, 256).items())


def test_a_snapshot_without_any_sample_is_a_snapshot(empty_store, plan_of):
    root = open_root(empty_store)
    claim = claim_build(root, plan_of([9, 19]), {})
    snapshot = publish(root, claim)
    assert (snapshot.slots, snapshot.kept, snapshot.rejected) == (0, 0, 2)
    assert PatchStore.open(empty_store).select().empty
    assert PatchStore.open(empty_store).statistics == {}


def test_damaged_objects_are_noticed(empty_store, build):
    root = open_root(empty_store)
    publish(root, build(empty_store, range(8)))
    put(root, "index/000001.parquet", b"hello")
    with pytest.raises(StoreError, match=r"'index/000001.parquet'.*is damaged"):
        PatchStore.open(empty_store).index  # noqa: B018 - read on first use


def test_an_unknown_snapshot_is_refused_with_those_there_are(tiny_store):
    with pytest.raises(StoreError, match="no snapshot 5; it has 1"):
        read_snapshot(open_root(tiny_store), 5)


def test_train_statistics_are_of_train_samples_only(tiny_store, truth_of):
    store = PatchStore.open(tiny_store)
    train = store.select(split="train")["sample_id"]
    patches = [truth_of(store.schema, i)["fine"] for i in train]
    values = np.concatenate([p.raw[:, 0][p.valid] for p in patches]) * 1e-4 - 0.1
    red = store.statistics["fine"].band("red")
    assert (red.count, red.mean) == (len(values), pytest.approx(values.mean(), rel=1e-12))
