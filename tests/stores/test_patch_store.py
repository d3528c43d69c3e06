import os
import pickle

import numpy as np
import odc.geo.xr  # noqa: F401 - registers the accessor
import pytest
import tensorstore as ts
import xarray as xr
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.errors import StoreError
from stores.patch_store import PatchStore

LAYERS = ("fine", "radar")


@pytest.fixture(name="store")
def store_fixture(tiny_store):
    return PatchStore.open(tiny_store)


def test_a_path_through_another_folder_leads_to_the_same_store(store, tiny_store, tmp_path):
    place = relative(tiny_store, tmp_path)
    roundabout = PatchStore.open(f"{tmp_path}/../{tmp_path.name}/{place}")
    assert roundabout.root.uri == store.root.uri
    slots = store.select()["slot"].to_numpy()[:1]
    assert (roundabout.read("fine", slots).raw == store.read("fine", slots).raw).all()


def relative(path, start):
    return os.path.relpath(str(path).removeprefix("file://"), start)


def test_what_was_written_is_read(store, truth_of):
    rows = store.select()
    for layer in LAYERS:
        read = store.read(layer, rows["slot"].to_numpy())
        truth = [truth_of(store.schema, i)[layer] for i in rows["sample_id"]]
        np.testing.assert_array_equal(read.raw, np.concatenate([t.raw for t in truth]))
        np.testing.assert_array_equal(read.valid, np.concatenate([t.valid for t in truth]))


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_slots_come_in_the_order_asked_for(store, data):
    slots = data.draw(st.lists(st.sampled_from(store.select()["slot"].tolist()), max_size=20))
    read = store.read("fine", slots)
    one_by_one = [store.read("fine", [slot]).raw[0] for slot in slots]
    assert read.raw.shape == (len(slots), 2, 12, 12)
    assert all((a == b).all() for a, b in zip(read.raw, one_by_one, strict=True))


def test_slots_that_do_not_exist_are_refused(store):
    for slots in ([-1], [0, store.snapshot.slots]):
        with pytest.raises(
            StoreError, match=r"slots .* were asked for, snapshot 1 has 0 to 255"
        ):
            store.read("fine", slots)
    with pytest.raises(StoreError, match="no layer 'coarse'; it has fine, radar"):
        store.read("coarse", [0])


def test_slots_of_rejected_samples_are_empty(store):
    used = set(store.select()["slot"])
    free = [slot for slot in range(64) if slot not in used]
    assert len(free) == 59
    assert not store.read("fine", free).raw.any()
    assert not store.read("fine", free).valid.any()
    assert np.isnan(store.read("radar", free).raw).all()


def test_select_by_split_and_status(store):
    assert set(store.select(split="val")["split"]) == {"val"}
    assert len(store.select()) + len(store.select(status="rejected")) == len(store.index)


def test_a_store_can_be_sent_to_a_worker(store):
    sent = pickle.loads(pickle.dumps(store))  # noqa: S301 - our own bytes
    assert sent.snapshot == store.snapshot
    np.testing.assert_array_equal(sent.read("fine", [0]).raw, store.read("fine", [0]).raw)


@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")
def test_a_sample_is_georeferenced_and_physical(store, truth_of):
    row = store.select().iloc[3]
    tree = store.sample(row["sample_id"])
    assert set(tree.children) == set(LAYERS)
    assert tree.attrs["cell_id"] == row["cell_id"]
    truth = truth_of(store.schema, row["sample_id"])
    for layer in store.schema.layers:
        node, patch = tree[layer.name], truth[layer.name]
        pixels = node["pixels"]
        assert pixels.dtype == np.float32
        assert tuple(pixels["band"].values) == layer.band_keys
        np.testing.assert_array_equal(pixels, layer.to_physical(patch.raw[0]))
        np.testing.assert_array_equal(node["valid"], patch.valid[0])
        assert pixels.odc.crs.epsg == node["valid"].odc.crs.epsg == row["epsg"]
        box = pixels.odc.geobox.boundingbox
        assert box.bbox == (row["west"], row["south"], row["east"], row["north"])
        assert node.attrs["scenes"] == [f"{layer.name}_1", f"{layer.name}_2"]
        assert node.attrs["dt_hours"] == 5
    assert tree["fine/pixels"].attrs["units"] == "1"


def test_samples_without_pixels_are_refused(store):
    known = store.select()["sample_id"][0]
    with pytest.raises(StoreError, match=f"no sample {known[:-1]!r}; did you mean"):
        store.sample(known[:-1])
    rejected = store.select(status="rejected")["sample_id"][0]
    with pytest.raises(StoreError, match=f"{rejected!r} has no pixels, it was rejected: cloud"):
        store.sample(rejected)


# Warnings are errors in this suite, so each of the following opens without any.


def expected(store, layer):
    """Physical values and validity by slot, the plain way."""
    rows = store.select()
    patches = store.read(layer.name, rows["slot"].to_numpy())
    return rows["slot"].to_numpy(), layer.to_physical(patches.raw), patches


def test_xarray_opens_a_layer_as_physical_values(store, tiny_store):
    for layer in store.schema.layers:
        slots, physical, patches = expected(store, layer)
        data = xr.open_zarr(f"{tiny_store}/data.zarr", group=layer.name, chunks=None)
        assert data["pixels"].dims == ("slot", "band", "y", "x")
        assert data.sizes["slot"] == store.snapshot.slots
        np.testing.assert_allclose(data["pixels"][slots], physical, atol=1e-6)
        np.testing.assert_array_equal(data["valid"][slots], patches.valid)
        assert np.isnan(data["pixels"][63]).all()
        assert tuple(data["pixels"].attrs["band_keys"]) == layer.band_keys


def test_xarray_opens_a_layer_as_stored(store, tiny_store):
    slots, _, patches = expected(store, store.schema.layer("fine"))
    raw = xr.open_zarr(
        f"{tiny_store}/data.zarr", group="fine", chunks=None, mask_and_scale=False
    )
    assert raw["pixels"].dtype == "uint16"
    np.testing.assert_array_equal(raw["pixels"][slots], patches.raw)


def test_xarray_opens_the_whole_tree(store, tiny_store):
    tree = xr.open_datatree(f"{tiny_store}/data.zarr", engine="zarr")
    assert set(tree.children) == set(LAYERS)
    for layer in store.schema.layers:
        slots, physical, _ = expected(store, layer)
        np.testing.assert_allclose(tree[layer.name]["pixels"][slots], physical, atol=1e-6)


def test_zarr_opens_every_group_and_array(store, tiny_store):
    group = zarr.open_group(f"{tiny_store}/data.zarr", mode="r")
    members = dict(group.members(max_depth=None))
    arrays = {f"{layer}/{a}" for layer in LAYERS for a in ("pixels", "valid")}
    assert set(members) == {*LAYERS, *arrays}
    for layer in store.schema.layers:
        slots, _, patches = expected(store, layer)
        pixels = zarr.open_array(f"{tiny_store}/data.zarr/{layer.name}/pixels", mode="r")
        np.testing.assert_array_equal(pixels[:][slots], patches.raw)
        np.testing.assert_array_equal(group[f"{layer.name}/valid"][:][slots], patches.valid)


def test_tensorstore_opens_an_array(store, tiny_store):
    for layer in store.schema.layers:
        slots, _, patches = expected(store, layer)
        spec = {
            "driver": "zarr3",
            "kvstore": f"file://{tiny_store}/data.zarr/{layer.name}/pixels/",
        }
        array = ts.open(spec).result()
        np.testing.assert_array_equal(array[slots].read().result(), patches.raw)
        assert array.domain.labels == ("slot", "band", "y", "x")


def test_groups_repeat_the_metadata_of_their_arrays_faithfully(tiny_store):
    ours = zarr.open_consolidated(f"{tiny_store}/data.zarr", mode="r")
    plain = zarr.open_group(f"{tiny_store}/data.zarr", mode="r", use_consolidated=False)
    for name, node in plain.members(max_depth=None):
        if isinstance(node, zarr.Array):
            assert repr(ours[name].metadata) == repr(node.metadata)
        assert dict(ours[name].attrs) == dict(node.attrs)
