import json
from datetime import UTC, datetime

import numpy as np
import pystac
import pytest
import rasterio
import torch
from shapely.geometry import box, shape

from catalog.errors import StoreError
from stores.patch_store import PatchStore
from training.canvas import join_cells
from training.mosaic import Tile
from training.noise import Draws, NoiseField
from training.predict import predict

FIRST, LAST = datetime(2020, 6, 1, 10, tzinfo=UTC), datetime(2020, 6, 17, 10, tzinfo=UTC)


@pytest.fixture(name="trained", scope="module")
def trained_fixture(store_of, train_tiny):
    uri = store_of(cloudy=True)
    model, run = train_tiny(uri, steps=10)
    return uri, model, run


@pytest.fixture(name="map_path", scope="module")
def map_path_fixture(trained, tmp_path_factory, silent):
    uri, _, run = trained
    out = tmp_path_factory.mktemp("maps") / "deep" / "map.tif"
    return predict(run, uri, out, anchor=FIRST, console=silent)


def test_the_map_lies_where_its_cells_do(trained, map_path):
    rows = PatchStore.open(trained[0]).index
    with rasterio.open(map_path) as dataset:
        assert dataset.crs.to_epsg() == 32631
        assert dataset.res == (10, 10)
        assert tuple(dataset.bounds) == (
            rows["west"].min(),
            rows["south"].min(),
            rows["east"].max(),
            rows["north"].max(),
        )
        assert dataset.descriptions == ("blue", "green", "red", "nir")
        assert np.isnan(dataset.nodata)
        assert dataset.dtypes == ("float32",) * 4
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert "one-step posterior mean" in dataset.tags()["product"]
    assert not list(map_path.parent.glob("*.partial*"))


def test_there_is_data_exactly_where_the_condition_is_usable(trained, map_path):
    store = PatchStore.open(trained[0])
    with rasterio.open(map_path) as dataset:
        image = dataset.read()
        for row in store.index[store.index["anchor_time"] == FIRST].to_dict("records"):
            window = dataset.window(row["west"], row["south"], row["east"], row["north"])
            rows, cols = (slice(round(s.start), round(s.stop)) for s in window.toslices())
            valid = store.read("landsat", [row["slot"]]).valid[0]
            expected = np.kron(valid, np.ones((3, 3), bool))
            np.testing.assert_array_equal(
                np.isfinite(image[:, rows, cols]).all(axis=0), expected
            )
    assert np.isnan(image).any()


def test_one_tile_of_the_map_is_what_the_model_says_of_the_joined_cells(
    trained, store_of, tmp_path, silent
):
    uri = store_of(cols=2, rows=2, size_px=60, dates=1)
    _, model, run = trained
    out = predict(run, uri, tmp_path / "map.tif", console=silent)
    store = PatchStore.open(uri)
    image = np.zeros((4, 40, 40), np.float32)
    first = store.index.iloc[0]
    for row in store.index.to_dict("records"):
        tree = store.sample(row["sample_id"])
        top = round((store.index["north"].max() - row["north"]) / 30)
        left = round((row["west"] - store.index["west"].min()) / 30)
        image[:, top : top + 20, left : left + 20] = tree["landsat"]["pixels"].to_numpy()
    canvas = join_cells(store, model.spec.inputs, None)
    np.testing.assert_allclose(canvas.images["landsat"].pixels, image, atol=1e-6)
    expected = model.posterior_mean(canvas.condition(Tile(0, 0, 40, 40)))[0].numpy()
    with rasterio.open(out) as dataset:
        np.testing.assert_allclose(dataset.read(), expected, atol=1e-5)
    assert first["anchor_time"].to_pydatetime() == canvas.anchor_time


def test_an_item_lies_beside_the_map(trained, map_path):
    item = pystac.Item.from_file(map_path.with_suffix(".json"))
    rows = PatchStore.open(trained[0]).index
    assert item.datetime == FIRST
    assert item.properties["proj:code"] == "EPSG:32631"
    assert item.properties["geoloupe:product"] == "one-step posterior mean"
    assert item.properties["geoloupe:scenes"] == ["landsat_0"]
    with rasterio.open(map_path) as dataset:
        assert item.properties["proj:shape"] == list(dataset.shape)
        assert item.properties["proj:transform"] == list(dataset.transform)[:6]
    assert shape(item.geometry).area == pytest.approx(box(*rows.total_bounds).area, rel=0.01)
    asset = item.assets["map"]
    assert asset.href == "./map.tif"
    assert [band["name"] for band in asset.to_dict()["bands"]] == [
        "blue",
        "green",
        "red",
        "nir",
    ]
    json.dumps(item.to_dict())


def test_without_an_anchor_the_fullest_and_latest_is_mapped(trained, tmp_path, silent):
    uri, _, run = trained
    out = predict(run, uri, tmp_path / "map.tif", console=silent)
    with rasterio.open(out) as dataset:
        assert dataset.tags()["anchor_time"] == LAST.isoformat()


def test_a_day_with_one_anchor_names_it(trained, tmp_path, silent):
    uri, _, run = trained
    day = LAST.replace(hour=0, minute=0, second=0)
    out = predict(run, uri, tmp_path / "map.tif", anchor=day, console=silent)
    with rasterio.open(out) as dataset:
        assert dataset.tags()["anchor_time"] == LAST.isoformat()


def test_an_unknown_anchor_is_refused_with_those_there_are(trained, tmp_path, silent):
    uri, _, run = trained
    with pytest.raises(
        StoreError, match=r"no anchor at 2021.*of its 2, the nearest are 2020-06-01T10"
    ):
        predict(
            run,
            uri,
            tmp_path / "map.tif",
            anchor=datetime(2021, 1, 1, tzinfo=UTC),
            console=silent,
        )


def test_a_drawn_map_says_so_and_repeats(trained, tmp_path, silent):
    uri, _, run = trained
    draws = Draws(steps=2, members=2)
    images = []
    for name in ("a.tif", "b.tif"):
        out = predict(run, uri, tmp_path / name, draws=draws, console=silent)
        with rasterio.open(out) as dataset:
            assert (
                "mean of 2 samples of the posterior, 2 steps each" in dataset.tags()["product"]
            )
            images.append(dataset.read())
    np.testing.assert_array_equal(*images)


def test_overlapping_windows_of_a_noise_field_agree():
    field = NoiseField(name="plane", bands=2, draws=Draws(steps=2), member=0)
    wide = field.window(-150, -10, 200, 250)
    part = field.window(-100, 90, 60, 120)
    for whole, cut in zip(wide, part, strict=True):
        assert cut.shape == (1, 2, 60, 120)
        assert torch.equal(whole[..., 50:110, 100:220], cut)
    assert float(wide[0].std()) == pytest.approx(1, abs=0.02)
