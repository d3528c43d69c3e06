"""Products beyond the first six: encodings, agreement with the ground, the same bytes."""

import json
from collections import defaultdict
from dataclasses import replace
from datetime import date
from hashlib import sha256

import numpy as np
import pytest
import rasterio

from catalog.products import PRODUCTS, find_product
from catalog.providers.planet import search_planet_files
from catalog.providers.query import SceneQuery
from catalog.providers.source import Source
from pipeline.sandbox.cover import DYNAMIC_WORLD_CLASSES
from pipeline.sandbox.offset_forms import OFFSET_FORMS
from pipeline.sandbox.schedule import (
    ALL_PRODUCTS,
    FULL,
    OFFSETS,
    SandboxConfig,
    list_overpasses,
)
from pipeline.sandbox.sensors import MSI_TO_OLI
from pipeline.sandbox.write import count_scenes, write_sandbox

SMALL = replace(
    FULL,
    size_m=960.0,
    end=date(2021, 6, 12),
    cloudiness=0.3,
    overcast=0.9,
    sentinel1_every_days=60,
)
CLEAR = replace(
    SMALL,
    cloudiness=0.0,
    size_m=1_920.0,
    end=date(2021, 5, 4),
    products=("hls-l30", "hls-s30", "sandbox-truth"),
)
BANDS_OF_TRUTH = ("blue", "green", "red", "nir", "swir1", "swir2")


class Archive:
    """A rendered sandbox: its folder, its items by collection, their pixels."""

    def __init__(self, root, config):
        self.root = root
        path = write_sandbox(root, config=config)
        self.items = json.loads(path.read_text())["features"]
        self.by_product = defaultdict(list)
        for item in self.items:
            self.by_product[self.product_of(item)].append(item)

    @staticmethod
    def product_of(item):
        for key, product in PRODUCTS.items():
            stac = product.archives.get("stac")
            if item["collection"] in (key, *(stac.collections if stac else ())):
                return key
        raise AssertionError(item["collection"])

    def read(self, item, asset):
        with rasterio.open(self.root / item["assets"][asset]["href"]) as file:
            return file.read(1)

    def physical(self, item, key):
        names = find_product(self.product_of(item)).archive("stac").assets
        pixels = item["assets"][names[key]]["raster:bands"][0]
        raw = self.read(item, names[key])
        values = raw * pixels["scale"] + pixels["offset"]
        return np.where(raw == pixels["nodata"], np.nan, values)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return Archive(tmp_path_factory.mktemp("small"), SMALL)


@pytest.fixture(scope="module")
def clear(tmp_path_factory):
    return Archive(tmp_path_factory.mktemp("clear"), CLEAR)


def test_every_product_is_there_and_counted(archive):
    assert set(archive.by_product) == set(ALL_PRODUCTS) - {"planetscope-sr"}
    assert len(archive.items) == count_scenes(SMALL)


def test_no_product_is_rendered_that_nobody_asked_for():
    assert {p.collection for p in list_overpasses(SandboxConfig())} == {
        "landsat-c2-l2",
        "sentinel-2-l2a",
        "sentinel-1-grd",
    }
    with pytest.raises(ValueError, match="products hls cannot be rendered"):
        replace(SMALL, products=("hls",))


def test_every_item_states_what_its_files_hold(archive):
    for item in archive.items:
        for asset in item["assets"].values():
            with rasterio.open(archive.root / asset["href"]) as file:
                pixels = asset["raster:bands"][0]
                assert list(file.shape) == asset["proj:shape"]
                assert list(file.transform)[:6] == asset["proj:transform"]
                assert file.crs.to_epsg() == item["properties"]["proj:epsg"]
                assert file.dtypes[0] == pixels["data_type"]
                assert str(file.nodata) == str(pixels["nodata"])


def test_hls_has_the_bands_names_and_encoding_of_the_real_product(archive):
    for key in ("hls-l30", "hls-s30"):
        names = find_product(key).archive("stac").assets
        for item in archive.by_product[key]:
            assert set(item["assets"]) == set(names.values())
            assert item["id"].startswith(f"HLS.{key[4:].upper()}.T31UES.2021")
            red = item["assets"]["B04"]["raster:bands"][0]
            assert (red["data_type"], red["nodata"], red["scale"]) == ("int16", -9999, 1e-4)
            assert item["assets"]["Fmask"]["raster:bands"][0]["nodata"] == 255
            assert item["assets"]["B04"]["proj:transform"][0] == 30


def test_fmask_never_sets_its_reserved_bit(archive):
    for key in ("hls-l30", "hls-s30"):
        for item in archive.by_product[key]:
            fmask, red = archive.read(item, "Fmask"), archive.read(item, "B04")
            np.testing.assert_array_equal(fmask == 255, red == -9999)
            seen = fmask[fmask != 255]
            assert not np.any(seen & 1)
            stated = item["properties"]["eo:cloud_cover"] / 100
            assert (seen >> 1 & 1).mean() == pytest.approx(stated, abs=1e-4)


def test_hls_knows_the_clouds_of_the_scene_it_is_made_of(archive):
    shares = {}
    for item in archive.by_product["sentinel-2-l2a"]:
        classes = archive.read(item, "SCL")
        cloudy = np.isin(classes, (8, 9)).sum() / np.count_nonzero(classes)
        shares[item["properties"]["datetime"]] = cloudy
    compared = 0
    for item in archive.by_product["hls-s30"]:
        own = item["properties"]["eo:cloud_cover"] / 100
        assert own == pytest.approx(shares[item["properties"]["datetime"]], abs=0.01)
        compared += own > 0.05
    assert compared


def test_thermal_bands_are_hundredths_of_a_degree(clear):
    item = clear.by_product["hls-l30"][0]
    raw = clear.read(item, "B10")
    assert raw.dtype == np.int16
    assert 500 < raw.mean() < 3500
    warm, less = clear.physical(item, "thermal1"), clear.physical(item, "thermal2")
    assert 275 < warm.min() < warm.max() < 320
    np.testing.assert_allclose(warm - less, 1.5, atol=0.011)


@pytest.mark.parametrize("product", ["hls-l30", "hls-s30"])
def test_hls_agrees_with_the_ground(clear, product):
    [truth] = clear.by_product["sandbox-truth"]
    item = clear.by_product[product][0]
    usable = clear.read(item, "Fmask") & 0b1110 == 0
    assert usable.mean() > 0.9
    for key in BANDS_OF_TRUTH:
        own = "nir_narrow" if (product, key) == ("hls-s30", "nir") else key
        gain, offset = MSI_TO_OLI["sentinel-2a"]["nir_narrow" if key == "nir" else key]
        ten = clear.physical(truth, key)
        ground = ten.reshape(ten.shape[0] // 3, 3, -1, 3).mean(axis=(1, 3))
        expected = (gain * ground + offset)[usable]
        seen = clear.physical(item, own)[usable]
        assert abs(np.median(seen - expected)) < (0.02 if key == "nir" else 0.01), key
        assert np.corrcoef(seen, expected)[0, 1] > 0.93, key


def test_both_hls_products_look_alike(clear):
    landsat, sentinel = clear.by_product["hls-l30"][0], clear.by_product["hls-s30"][0]
    for key, other in (("red", "red"), ("nir", "nir_narrow"), ("swir1", "swir1")):
        difference = clear.physical(landsat, key) - clear.physical(sentinel, other)
        assert abs(np.median(difference)) < 0.012


def test_probabilities_sum_to_one_and_the_label_is_the_likeliest(archive):
    assert archive.by_product["dynamic-world"]
    for item in archive.by_product["dynamic-world"]:
        assert set(item["assets"]) == {"label", *DYNAMIC_WORLD_CLASSES}
        label = archive.read(item, "label")
        stack = np.stack([archive.read(item, name) for name in DYNAMIC_WORLD_CLASSES])
        known = label != 255
        assert stack.dtype == np.float32
        assert label.dtype == np.uint8
        np.testing.assert_array_equal(np.isfinite(stack), np.broadcast_to(known, stack.shape))
        np.testing.assert_allclose(stack[:, known].sum(axis=0), 1, atol=1e-6)
        np.testing.assert_array_equal(stack[:, known].argmax(axis=0), label[known])


def test_dynamic_world_follows_the_scenes_that_are_clear_enough(archive):
    scenes = {item["id"]: item for item in archive.by_product["sentinel-2-l2a"]}
    made = {item["id"] for item in archive.by_product["dynamic-world"]}
    passes = [p for p in list_overpasses(SMALL) if p.collection == "sentinel-2-l2a"]
    assert made == {p.name for p in passes if p.cloud_cover <= 0.35}
    assert made < set(scenes)
    for item in archive.by_product["dynamic-world"]:
        classes = archive.read(scenes[item["id"]], "SCL").repeat(2, 0).repeat(2, 1)
        label = archive.read(item, "label")
        assert np.mean((label == 255) == np.isin(classes, (0, 3, 8, 9))) > 0.97


def test_dynamic_world_tells_trees_and_water_from_fields(archive):
    [labels] = archive.by_product["worldcereal-labels"]
    cover = archive.read(labels, "land_cover")
    item = archive.by_product["dynamic-world"][0]
    label = archive.read(item, "label")
    for code, name in ((42, "trees"), (11, "crops"), (13, "grass")):
        here = (cover == code) & (label != 255)
        if here.sum() > 200:
            agreed = label[here] == DYNAMIC_WORLD_CLASSES.index(name)
            assert agreed.mean() > 0.5, name


def test_maps_lie_on_their_own_grids_and_agree_with_the_labels(archive):
    [world] = archive.by_product["esa-worldcover"]
    [crops] = archive.by_product["usda-cdl"]
    assert world["properties"]["proj:epsg"] == 4326
    assert crops["properties"]["proj:epsg"] == 5070
    codes = archive.read(world, "map")
    assert set(np.unique(codes)) <= {0, 10, 30, 40, 50, 80}
    [labels] = archive.by_product["worldcereal-labels"]
    share = np.mean(archive.read(labels, "land_cover") == 11)
    assert np.mean(codes[codes > 0] == 40) == pytest.approx(share, abs=0.03)
    grown = archive.read(crops, "cropland")
    maize = np.mean(archive.read(labels, "crop_type") == 1200)
    assert np.mean(grown[grown > 0] == 1) == pytest.approx(maize, abs=0.04)
    sure = archive.read(crops, "confidence")
    np.testing.assert_array_equal(sure > 0, grown > 0)
    assert sure.max() <= 100


def test_planetscope_arrives_as_a_folder_that_our_own_listing_understands(archive):
    source = Source(
        name="mine", listing="files", url=str(archive.root / "planetscope"), dialect="files"
    )
    found = search_planet_files(
        SceneQuery(
            product=find_product("planetscope-sr"),
            source=source,
            bands=("blue", "green", "red", "nir", "udm2"),
            boxes=((2.9, 50.7, 3.1, 50.9),),
        )
    )
    wanted = [p for p in list_overpasses(SMALL) if p.collection == "planetscope-sr"]
    assert [scene.id for scene in found.scenes] == [p.name for p in wanted]
    assert found.refused == ()
    counts = set()
    for scene in found.scenes:
        with rasterio.open(scene.assets["nir"].href) as file:
            pixels = file.read()
            assert file.count in (4, 8)
            assert (file.dtypes[0], file.nodata) == ("uint16", 0)
            assert file.res == (3.0, 3.0)
            grid = file.transform
        with rasterio.open(scene.assets["udm2"].href) as file:
            mask = file.read()
            assert (file.count, file.dtypes[0]) == (8, "uint8")
            assert file.transform == grid
        np.testing.assert_array_equal(mask[:6].sum(axis=0), 1)
        assert scene.cloud == pytest.approx(mask[5].mean(), abs=1e-3)
        clear = mask[0] == 1
        counts.add(len(pixels))
        red, nir = (pixels[scene.assets[key].index - 1] for key in ("red", "nir"))
        assert pixels.min() > 0
        assert not clear.any() or np.median(nir[clear]) > np.median(red[clear])
    assert counts == {4, 8}


def test_sentinel2_deals_with_the_offset_in_every_way_there_is(tmp_path):
    config = replace(OFFSETS, size_m=960.0, end=date(2021, 6, 25))
    found = Archive(tmp_path, config)
    scenes = {p.name: p.offset_form for p in list_overpasses(config)}
    assert set(scenes.values()) == set(OFFSET_FORMS)
    for item in found.items:
        rule = OFFSET_FORMS[scenes[item["id"]]]
        assert item["properties"]["s2:processing_baseline"] == rule.baseline
        assert item["properties"].get("earthsearch:boa_offset_applied") == rule.flag
        assert item["assets"]["B04"]["raster:bands"][0]["offset"] == rule.stated
        raw = found.read(item, "B02").astype(float)
        reflectance = raw[raw > 0] * 1e-4 + rule.offset
        assert 0.02 < np.median(reflectance) < 0.09


def test_the_same_configuration_gives_the_same_bytes(archive, tmp_path):
    again = write_sandbox(tmp_path, config=SMALL, workers=1).parent
    assert digests(again) == digests(archive.root)


def digests(root):
    return {
        str(path.relative_to(root)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*.*"))
        if path.is_file()
    }


@pytest.mark.parametrize("month", [6, 7, 8])
def test_the_full_sandbox_has_clear_scenes_in_each_month_of_summer(month):
    passes = [p for p in list_overpasses(FULL) if p.time.month == month]
    for product in ("hls-s30", "landsat-c2-l2", "planetscope-sr"):
        found = [p for p in passes if p.collection == product]
        assert any(p.cloud_cover < 0.05 for p in found), product
