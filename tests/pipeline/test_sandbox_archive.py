"""The sandbox as an archive: what is written is what real archives hold."""

import json
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import rasterio

from catalog.products import PRODUCTS
from pipeline.sandbox.schedule import DEMO, TINY, list_overpasses
from pipeline.sandbox.world import build_world
from pipeline.sandbox.write import count_scenes, write_sandbox

CLOUDY = "LC08_L2SP_199024_20210718_02_T1"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    names = []
    items = write_sandbox(tmp_path_factory.mktemp("tiny"), config=TINY, on_scene=names.append)
    found = {item["id"]: item for item in json.loads(items.read_text())["features"]}
    assert sorted(names) == sorted(found)
    return items.parent, found


def read(archive, name, asset):
    root, items = archive
    with rasterio.open(root / items[name]["assets"][asset]["href"]) as file:
        return file.read(1)


def physical(archive, name, asset):
    pixels = archive[1][name]["assets"][asset]["raster:bands"][0]
    return read(archive, name, asset) * pixels["scale"] + pixels["offset"]


def of(archive, collection):
    return [item for item in archive[1].values() if item["collection"] == collection]


def test_every_product_is_there_under_the_names_of_the_product_table(archive):
    assert len(archive[1]) == count_scenes(TINY)
    for item in archive[1].values():
        product = PRODUCTS[item["collection"]]
        missing = set(product.archive("stac").assets.values()) - set(item["assets"])
        assert missing <= {"coastal", "B01"}  # the landscape has no colour there
        assert set(item["assets"]) <= set(product.archive("stac").assets.values())
    assert {item["collection"] for item in archive[1].values()} == {
        "landsat-c2-l2",
        "sentinel-2-l2a",
        "sentinel-1-grd",
        "cop-dem-glo-30",
        "worldcereal-labels",
        "sandbox-truth",
    }


def test_items_state_the_grid_type_and_nodata_that_the_files_have(archive):
    root, items = archive
    for item in items.values():
        for asset in item["assets"].values():
            with rasterio.open(root / asset["href"]) as file:
                pixels = asset["raster:bands"][0]
                assert list(file.shape) == asset["proj:shape"]
                assert list(file.transform)[:6] == asset["proj:transform"]
                assert file.crs.to_epsg() == item["properties"]["proj:epsg"]
                assert file.dtypes[0] == pixels["data_type"]
                assert file.nodata == pixels["nodata"]
                assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


def test_every_scene_covers_the_area(archive):
    for item in archive[1].values():
        asset = next(iter(item["assets"].values()))
        if item["properties"]["proj:epsg"] == 4326 or "_199025_" in item["id"]:
            continue
        a, _, west, _, _, north = asset["proj:transform"]
        rows, columns = asset["proj:shape"]
        assert west <= TINY.west
        assert west + a * columns >= TINY.west + TINY.size_m
        assert north >= TINY.south + TINY.size_m or rows * a < TINY.size_m


def test_landsat_pixel_edges_lie_15_m_off_multiples_of_30(archive):
    for item in of(archive, "landsat-c2-l2"):
        _, _, west, _, _, north = item["assets"]["red"]["proj:transform"]
        assert (west % 30, north % 30) == (15, 15)
    for item in of(archive, "sentinel-2-l2a"):
        _, _, west, _, _, north = item["assets"]["B04"]["proj:transform"]
        assert (west % 20, north % 20) == (0, 0)


def test_encodings_are_those_of_the_real_products(archive):
    for item in of(archive, "landsat-c2-l2"):
        red, kelvin = (item["assets"][a]["raster:bands"][0] for a in ("red", "lwir11"))
        assert (red["scale"], red["offset"]) == (2.75e-5, -0.2)
        assert (kelvin["scale"], kelvin["offset"]) == (0.00341802, 149.0)
    baselines = {}
    for item in of(archive, "sentinel-2-l2a"):
        baseline = item["properties"]["s2:processing_baseline"]
        baselines[baseline] = item["assets"]["B04"]["raster:bands"][0]["offset"]
    assert baselines == {"03.01": 0.0, "05.00": -0.1}
    assert read(archive, of(archive, "sentinel-1-grd")[0]["id"], "vv").dtype == np.float32


def test_physical_values_are_plausible_whatever_the_encoding(archive):
    for item in of(archive, "sentinel-2-l2a"):
        if item["properties"]["eo:cloud_cover"] < 3:
            assert 0.02 < np.median(physical(archive, item["id"], "B04")) < 0.12
            assert 0.25 < np.median(physical(archive, item["id"], "B08")) < 0.5
    kelvin = physical(archive, "LC08_L2SP_199024_20210616_02_T1", "lwir11")
    assert 280 < kelvin.min() < kelvin.max() < 320
    power = read(archive, of(archive, "sentinel-1-grd")[0]["id"], "vv")
    assert power.min() > 0
    assert -14 < 10 * np.log10(power.mean()) < -5


def test_cloud_bits_follow_the_cloud_field(archive):
    world = build_world(TINY)
    overpass = next(p for p in list_overpasses(TINY) if p.name == CLOUDY)
    east, north = overpass.shift_m
    grid = TINY.grid(30.0, offset_m=15.0).move(east_m=-east, north_m=-north)
    sky = world.sky(overpass)
    quality = read(archive, CLOUDY, "qa_pixel")
    cloud, clear = quality >> 3 & 1, quality >> 6 & 1
    np.testing.assert_array_equal(cloud == 1, sky.opacity(grid) > 0.12)
    assert not np.any(cloud & clear)
    assert np.all((quality >> 8 & 3)[cloud == 1] == 3)
    assert archive[1][CLOUDY]["properties"]["eo:cloud_cover"] == pytest.approx(
        100 * cloud.mean(), abs=1e-3
    )
    blue = physical(archive, CLOUDY, "blue")
    assert blue[cloud == 1].mean() > blue[clear == 1].mean() + 0.1


def test_clear_land_and_water_have_the_numbers_of_the_real_quality_band(archive):
    quality = read(archive, "LC08_L2SP_199024_20210616_02_T1", "qa_pixel")
    assert set(np.unique(quality)) == {21824, 21952}


def test_shadows_lie_away_from_the_morning_sun(archive):
    quality = read(archive, CLOUDY, "qa_pixel")
    shadow = (quality >> 4 & 1 == 1).astype(float)
    assert shadow.mean() > 0.02
    assert archive[1][CLOUDY]["properties"]["view:sun_azimuth"] < 180
    world = build_world(TINY)
    overpass = next(p for p in list_overpasses(TINY) if p.name == CLOUDY)
    east, north = world.sky(overpass).shadow_m
    assert east < 0 < north


def test_swath_edge_leaves_nodata_and_a_smaller_footprint(archive):
    [item] = [
        i
        for i in of(archive, "sentinel-2-l2a")
        if i["properties"]["s2:nodata_pixel_percentage"] > 0
    ]
    red, classes = read(archive, item["id"], "B04"), read(archive, item["id"], "SCL")
    share = item["properties"]["s2:nodata_pixel_percentage"] / 100
    assert (red == 0).mean() == pytest.approx(share, abs=1e-5)
    assert (classes == 0).mean() == pytest.approx(share, abs=0.01)
    whole = of(archive, "sentinel-2-l2a")[0]["bbox"]
    assert item["bbox"][2] < whole[2]


def test_one_landsat_pass_comes_as_two_overlapping_rows(archive):
    south = archive[1]["LC08_L2SP_199025_20210702_02_T1"]
    north = archive[1]["LC08_L2SP_199024_20210702_02_T1"]
    seconds = [int(i["properties"]["datetime"][17:19]) for i in (north, south)]
    assert 0 < (seconds[1] - seconds[0]) % 60 <= 30
    rows = [i["assets"]["red"]["proj:shape"][0] for i in (north, south)]
    tops = [i["assets"]["red"]["proj:transform"][5] for i in (north, south)]
    skipped = round((tops[0] - tops[1]) / 30)
    assert 0 < skipped < rows[0]
    shared = rows[0] - skipped
    upper = read(archive, north["id"], "red")[-shared:]
    np.testing.assert_array_equal(upper, read(archive, south["id"], "red")[:shared])


def test_truth_knows_nothing_of_clouds(archive, tmp_path):
    one_day = replace(TINY, start=TINY.start + timedelta(days=48), cloudiness=0.0)
    one_day = replace(one_day, sentinel1_every_days=90, sentinel2_every_days=90)
    clear = write_sandbox(tmp_path, config=one_day).parent
    name = "truth_20210718_red.tif"
    cloudy = Path(archive[0]) / "truth" / name
    with rasterio.open(clear / "truth" / name) as file:
        without = file.read(1)
    with rasterio.open(cloudy) as file:
        np.testing.assert_array_equal(without, file.read(1))


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_threads(archive, tmp_path):
    again = write_sandbox(tmp_path, config=TINY, workers=1).parent
    assert digests(again) == digests(archive[0])


def test_a_longer_period_adds_scenes_and_changes_none(archive, tmp_path):
    shorter = replace(TINY, end=TINY.start + timedelta(days=12), two_rows=None)
    fewer = digests(write_sandbox(tmp_path, config=shorter).parent)
    more = digests(archive[0])
    del fewer["items.json"]
    assert len(fewer) > 20
    assert fewer.items() <= more.items()


def test_another_seed_gives_another_landscape():
    ids = [
        build_world(replace(TINY, seed=seed)).landscape.patch_ids(TINY.grid(60.0))
        for seed in (1, 2)
    ]
    assert np.mean(ids[0] == ids[1]) < 0.05


def digests(root):
    return {
        str(path.relative_to(root)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*.*"))
        if path.is_file()
    }


def test_demo_has_a_season_of_passes_clear_and_cloudy():
    passes = list_overpasses(DEMO)
    landsat = [p for p in passes if p.collection == "landsat-c2-l2"]
    sentinel2 = [p for p in passes if p.collection == "sentinel-2-l2a"]
    assert 8 <= len(landsat) <= 10
    assert 18 <= len(sentinel2) <= 23
    clear = [p for p in landsat if p.cloud_cover < 0.05]
    assert len(clear) >= 7
    usable = [p for p in sentinel2 if p.cloud_cover < 0.05 and p.swath_share == 1]
    week = timedelta(days=7)
    assert all(min(abs(p.time - q.time) for q in usable) <= week for p in clear)
    assert any(p.cloud_cover > 0.2 for p in landsat)


def test_a_grid_that_is_not_whole_is_refused():
    with pytest.raises(ValueError, match=r"size_m=1930.* use 1920"):
        replace(TINY, size_m=1930.0)
