import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from catalog.errors import StoreError
from stores.arrays import (
    ARRAY_NAMES,
    Patches,
    encode_shard,
    grow_arrays,
    open_array,
    reading_context,
    write_shard,
)
from stores.create import create_store
from stores.objects import open_root
from stores.schema import BandSchema, LayerSchema, StoreSchema


def layer_of(dtype, bands=2, side=5):
    keys = ("red", "green", "blue")[:bands]
    return LayerSchema(
        name="one",
        product="p",
        bands=tuple(BandSchema(key=k, kind="reflectance", unit="1") for k in keys),
        dtype=dtype,
        scale=1.0,
        offset=0.0,
        gsd_m=10,
        size_px=side,
        license="",
        attribution="",
        citation="",
    )


def random_patches(layer, n, seed=0):
    rng = np.random.default_rng(seed)
    shape = (n, len(layer.bands), layer.size_px, layer.size_px)
    raw = rng.integers(1, 200, shape).astype(layer.dtype)
    return Patches(raw, rng.random((n, *shape[2:])) > 0.3)


@settings(max_examples=25, deadline=None)
@given(data=st.data(), codec=st.sampled_from(["lz4", "zstd"]))
def test_reading_gives_back_what_was_written(tmp_path_factory, data, codec):
    dtype = data.draw(st.sampled_from(["uint8", "uint16", "float32"]))
    layer = layer_of(dtype, data.draw(st.integers(1, 3)), data.draw(st.integers(1, 9)))
    n, side = data.draw(st.integers(1, 64)), layer.size_px
    raw = data.draw(hnp.arrays(dtype, (n, len(layer.bands), side, side)))
    valid = data.draw(hnp.arrays(np.bool_, (n, side, side)))
    uri = str(tmp_path_factory.mktemp("store"))
    schema = StoreSchema(name="s", grid={}, layers=(layer,), codec=codec)
    create_store(uri, schema)
    root = open_root(uri)
    write_shard(root, schema, 1, {"one": Patches(raw, valid)})
    grow_arrays(root, schema, 128)
    for name, written in zip(ARRAY_NAMES, (raw, valid), strict=True):
        read = open_array(root, "one", name, reading_context())[64 : 64 + n].read().result()
        assert read.dtype == written.dtype
        np.testing.assert_array_equal(read, written)


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_shards_have_the_same_bytes_every_time(codec):
    layer = layer_of("uint16", 3, 40)
    patches = random_patches(layer, 64)
    first = encode_shard(layer, patches.raw, patches.valid, codec)
    assert encode_shard(layer, patches.raw.copy(), patches.valid.copy(), codec) == first


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_rejected_slots_are_not_stored(dtype):
    layer = layer_of(dtype, 3, 40)
    few, patches = random_patches(layer, 3), random_patches(layer, 64)
    patches.raw[3:], patches.valid[3:] = layer.nodata, False
    np.testing.assert_array_equal(few.raw.shape[1:], patches.raw.shape[1:])
    sparse = encode_shard(layer, patches.raw, patches.valid)
    alone = encode_shard(layer, patches.raw[:3], patches.valid[:3])
    assert sparse == alone
    assert len(sparse["pixels"]) < 3 * few.raw[0].nbytes + 2000


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_a_shard_without_any_sample_is_no_object(dtype, tmp_path):
    layer = layer_of(dtype)
    schema = StoreSchema(name="s", grid={}, layers=(layer,))
    create_store(str(tmp_path), schema)
    raw = np.full((64, 2, 5, 5), layer.nodata, dtype)
    nothing = Patches(raw, np.zeros((64, 5, 5), bool))
    assert write_shard(open_root(tmp_path), schema, 0, {"one": nothing}) == {}
    assert not list(tmp_path.rglob("c"))


def test_a_shard_is_never_written_over_with_other_bytes(tmp_path):
    layer = layer_of("uint16")
    schema = StoreSchema(name="s", grid={}, layers=(layer,))
    create_store(str(tmp_path), schema)
    root, patches = open_root(tmp_path), random_patches(layer, 64)
    checksums = write_shard(root, schema, 0, {"one": patches})
    before = {path: (tmp_path / path).read_bytes() for path in checksums}
    assert write_shard(root, schema, 0, {"one": patches}) == checksums
    with pytest.raises(StoreError, match="exists with other bytes"):
        write_shard(root, schema, 0, {"one": random_patches(layer, 64, seed=1)})
    assert {path: (tmp_path / path).read_bytes() for path in checksums} == before


def test_writing_shards_does_not_touch_any_metadata(tmp_path):
    layer = layer_of("uint16")
    schema = StoreSchema(name="s", grid={}, layers=(layer,))
    create_store(str(tmp_path), schema)
    before = {p: p.read_bytes() for p in Path(tmp_path).rglob("zarr.json")}
    write_shard(open_root(tmp_path), schema, 5, {"one": random_patches(layer, 64)})
    assert {p: p.read_bytes() for p in Path(tmp_path).rglob("zarr.json")} == before


def test_arrays_never_shrink(tmp_path):
    schema = StoreSchema(name="s", grid={}, layers=(layer_of("uint16"),))
    create_store(str(tmp_path), schema)
    root = open_root(tmp_path)
    for slots in (192, 64):
        grow_arrays(root, schema, slots)
        shape = open_array(root, "one", "pixels", reading_context()).shape
        assert shape == (192, 2, 5, 5)


def test_patches_that_do_not_fit_are_refused():
    layer = layer_of("uint16")
    good = random_patches(layer, 2)
    for raw, valid, message in (
        (good.raw.astype("int32"), good.valid, r"takes up to 64 patches of \(2, 5, 5\) uint16"),
        (good.raw[:, :1], good.valid, r"got \(2, 1, 5, 5\) uint16"),
        (np.repeat(good.raw, 40, 0), np.repeat(good.valid, 40, 0), r"got \(80, 2, 5, 5\)"),
        (good.raw, good.valid[:1], r"takes validity of \(2, 5, 5\) bool, got \(1, 5, 5\)"),
        (good.raw, good.valid.astype("uint8"), "got .* uint8"),
    ):
        with pytest.raises(StoreError, match=message):
            encode_shard(layer, raw, valid)


def test_a_store_says_which_layer_it_lacks(tmp_path):
    layer = layer_of("uint16")
    schema = StoreSchema(name="s", grid={}, layers=(layer,))
    create_store(str(tmp_path), schema)
    other = dataclasses.replace(layer, name="two")
    with pytest.raises(StoreError, match="no layer 'two'; it has one"):
        write_shard(open_root(tmp_path), schema, 0, {"two": random_patches(other, 1)})
