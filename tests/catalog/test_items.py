import json
from datetime import UTC, datetime

import pytest
import shapely

from catalog.errors import ItemError
from catalog.products import find_product
from catalog.providers.items import read_item
from tests.rasters import stac_item

NOON = datetime(2022, 3, 1, 12, tzinfo=UTC)
S2 = find_product("sentinel-2-l2a")
LANDSAT = find_product("landsat-c2-l2")


def sentinel2(red=None, **properties):
    assets = {"B04": {"href": "r.tif", **(red or {})}, "SCL": "s.tif"}
    return stac_item("S2_1", "sentinel-2-l2a", NOON, assets=assets, **properties)


def read_red(item, source="test"):
    return read_item(item, S2, source=source, bands=["red", "scl"])


def test_what_an_item_does_not_state_comes_from_the_product_table():
    scene = read_red(sentinel2(platform="Sentinel-2A", **{"eo:cloud_cover": 12.5}))
    assert (scene.id, scene.product, scene.source) == ("S2_1", "sentinel-2-l2a", "test")
    assert (scene.platform, scene.time, scene.cloud) == ("sentinel-2a", NOON, 0.125)
    assert scene.footprint.equals(shapely.box(3.0, 50.8, 3.1, 50.9))
    red = scene.assets["red"]
    assert (red.href, red.scale, red.offset, red.nodata) == ("r.tif", 1e-4, 0.0, 0.0)
    assert (red.shape, red.transform, scene.epsg, scene.version) == (None, None, None, "")


@pytest.mark.parametrize(
    "stated",
    [
        {"raster:bands": [{"scale": 2e-4, "offset": -0.3, "nodata": 7}]},
        {"bands": [{"raster:scale": 2e-4, "raster:offset": -0.3, "nodata": 7}]},
        {"raster:scale": 2e-4, "raster:offset": -0.3, "nodata": "7"},
    ],
    ids=["STAC 1.0 raster:bands", "STAC 1.1 bands", "STAC 1.1 asset"],
)
def test_scale_offset_and_nodata_are_read_in_every_dialect(stated):
    red = read_red(sentinel2(stated)).assets["red"]
    assert (red.scale, red.offset, red.nodata) == (2e-4, -0.3, 7.0)


def test_a_nodata_of_nan_is_a_number():
    red = read_red(sentinel2({"raster:bands": [{"nodata": "nan"}]})).assets["red"]
    assert red.nodata != red.nodata


@pytest.mark.parametrize(
    ("on_item", "on_asset"),
    [
        ({"proj:epsg": 32631}, {}),
        ({"proj:code": "EPSG:32631"}, {}),
        ({"proj:epsg": None}, {"proj:code": "EPSG:32631"}),
        ({}, {"proj:epsg": 32631}),
    ],
)
def test_the_crs_is_found_by_its_old_and_its_new_name_on_item_or_asset(on_item, on_asset):
    assert read_red(sentinel2(on_asset, **on_item)).epsg == 32631


def test_the_grid_is_taken_from_the_asset_or_else_from_the_item():
    affine = [10, 0, 501360, 0, -10, 5629680, 0, 0, 1]
    own = read_red(sentinel2({"proj:transform": affine, "proj:shape": [64, 32]}))
    assert own.assets["red"].transform == (10.0, 0.0, 501360.0, 0.0, -10.0, 5629680.0)
    assert own.assets["red"].shape == (64, 32)
    shared = read_red(sentinel2(**{"proj:transform": affine[:6], "proj:shape": [64, 32]}))
    assert shared.assets["red"] == own.assets["red"]


def test_the_middle_of_a_range_is_taken_when_there_is_no_datetime():
    item = sentinel2(start_datetime="2021-01-01T00:00:00Z", end_datetime="2021-01-03T00:00:00Z")
    item["properties"]["datetime"] = None
    assert read_red(item).time == datetime(2021, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("stated", "utc_hour"),
    [
        ("2022-03-01T12:00:00+02:00", 10),
        ("2022-03-01T12:00:00", 12),
        ("2022-03-01T12:00:00.123456789Z", 12),
    ],
)
def test_times_are_utc_whatever_their_zone(stated, utc_hour):
    item = sentinel2()
    item["properties"]["datetime"] = stated
    time = read_red(item).time
    assert (time.tzinfo, time.hour) == (UTC, utc_hour)


@pytest.mark.parametrize(
    ("properties", "offset"),
    [
        ({"s2:processing_baseline": "02.12"}, 0.0),
        ({"s2:processing_baseline": "03.01"}, 0.0),
        ({"s2:processing_baseline": "04.00"}, -0.1),
        ({"s2:processing_baseline": "05.11"}, -0.1),
        ({"processing:version": "05.10"}, -0.1),
        ({}, 0.0),
    ],
)
def test_the_sentinel2_offset_follows_the_baseline_where_none_is_stated(properties, offset):
    assert read_red(sentinel2(**properties)).assets["red"].offset == offset


def test_the_offset_is_decided_by_the_baseline_and_never_by_the_date():
    item = sentinel2(**{"s2:processing_baseline": "05.00"})
    item["properties"]["datetime"] = "2019-01-01T00:00:00Z"
    assert read_red(item).assets["red"].offset == -0.1


def test_earth_search_has_removed_the_offset_that_its_items_state():
    stated = {"raster:bands": [{"scale": 1e-4, "offset": -0.1, "nodata": 0}]}
    item = sentinel2(stated, **{"s2:processing_baseline": "05.11"})
    assert read_red(item, source="earth-search").assets["red"].offset == 0.0
    assert read_red(item, source="elsewhere").assets["red"].offset == -0.1
    item["collection"] = "sentinel-2-c1-l2a"
    assert read_red(item, source="earth-search").assets["red"].offset == -0.1


def test_the_quality_band_has_no_offset():
    scene = read_red(sentinel2(**{"s2:processing_baseline": "05.11"}))
    assert scene.assets["scl"].offset == 0.0


def test_assets_are_found_by_the_names_of_another_archive():
    item = stac_item("S2", "x", NOON, assets={"red": "r.tif", "scl": "s.tif", "nir08": "n.tif"})
    scene = read_item(item, S2, source="mirror", bands=["red", "nir_narrow", "scl"])
    assert {key: a.href for key, a in scene.assets.items()} == {
        "red": "r.tif",
        "nir_narrow": "n.tif",
        "scl": "s.tif",
    }


def test_a_bbox_and_an_outline_with_heights_are_harmless():
    item = sentinel2()
    item["bbox"] = [3.0, 50.8, -10.0, 3.1, 50.9, 200.0]
    ring = [[3.0, 50.8, 5.0], [3.1, 50.8, 5.0], [3.1, 50.9, 5.0], [3.0, 50.8, 5.0]]
    item["geometry"] = {"type": "Polygon", "coordinates": [ring]}
    footprint = read_red(item).footprint
    assert not footprint.has_z
    assert footprint.bounds == (3.0, 50.8, 3.1, 50.9)


def test_an_outline_that_crosses_itself_is_mended():
    item = sentinel2()
    bow_tie = [[3.0, 50.0], [4.0, 51.0], [4.0, 50.0], [3.0, 51.0], [3.0, 50.0]]
    item["geometry"] = {"type": "Polygon", "coordinates": [bow_tie]}
    footprint = read_red(item).footprint
    assert footprint.is_valid
    assert footprint.area == pytest.approx(0.5)


def test_a_cloud_cover_of_minus_one_means_that_it_was_not_measured():
    assert read_red(sentinel2(**{"eo:cloud_cover": -1})).cloud is None
    assert read_red(sentinel2()).cloud is None


def test_a_platform_of_null_is_no_platform():
    assert read_red(sentinel2(platform=None)).platform == ""


def test_relative_hrefs_are_resolved_against_the_base():
    item = sentinel2({"href": "./a/r.tif"})
    base = "https://example.com/x/items.json"
    scene = read_item(item, S2, source="test", bands=["red"], base_href=base)
    assert scene.assets["red"].href == "https://example.com/x/a/r.tif"


def test_a_reprocessed_scene_has_another_version():
    first = read_red(sentinel2(**{"s2:processing_baseline": "02.12"}))
    again = read_red(sentinel2(**{"s2:processing_baseline": "05.00"}))
    updated = read_red(
        sentinel2(**{"s2:processing_baseline": "05.00", "updated": "2023-01-01T00:00:00Z"})
    )
    assert len({first.version, again.version, updated.version}) == 3


def without(item, *path):
    holder = item
    for key in path[:-1]:
        holder = holder[key]
    del holder[path[-1]]
    return item


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (without(sentinel2(), "id"), "no id or no geometry"),
        (without(sentinel2(), "geometry"), "'S2_1' has no id or no geometry"),
        (without(sentinel2(), "properties", "datetime"), "neither a datetime nor a start"),
        (without(sentinel2(), "assets", "B04"), "no asset for red .*expected B04.*has SCL"),
        (without(sentinel2(), "assets"), "no asset for red, scl"),
        (without(sentinel2(), "assets", "B04", "href"), "'S2_1' is no usable STAC item.*href"),
        (sentinel2({"raster:bands": [{"scale": "big"}]}), "'S2_1' is no usable.*big"),
        (sentinel2({"proj:shape": 7}), "'S2_1' is no usable"),
        (sentinel2(**{"s2:processing_baseline": "N0500"}), "'S2_1' is no usable.*N0500"),
        (sentinel2(**{"proj:epsg": "UTM"}), "'S2_1' is no usable.*UTM"),
        ({**sentinel2(), "geometry": {"type": "Blob"}}, "'S2_1' is no usable"),
        ({**sentinel2(), "properties": {"datetime": "soon"}}, "'S2_1' is no usable.*soon"),
    ],
)
def test_an_item_that_is_no_scene_is_refused_with_its_reason(item, said):
    with pytest.raises(ItemError, match=said):
        read_red(item)


# --- items as published -------------------------------------------------------------------


@pytest.fixture
def published(real_archive):
    def load(name):
        found = json.loads((real_archive / "stac-items" / name).read_text())
        return found if isinstance(found, dict) else found[0]

    return load


def test_a_landsat_item_of_earth_search(published):
    item = published("earth-search/landsat-c2-l2__LC08_L2SP_033032_20231008_02_T1.json")
    bands = ["blue", "nir", "thermal", "qa_pixel"]
    scene = read_item(item, LANDSAT, source="earth-search", bands=bands)
    assert (scene.epsg, scene.platform, scene.cloud) == (32613, "landsat-8", 0.0006)
    assert scene.time == datetime(2023, 10, 8, 17, 37, 26, 656958, tzinfo=UTC)
    assert "2023-11-30" in scene.version
    blue, thermal, quality = (scene.assets[k] for k in ("blue", "thermal", "qa_pixel"))
    assert blue.href.startswith("s3://usgs-landsat/")
    assert (blue.scale, blue.offset, blue.nodata) == (2.75e-5, -0.2, 0.0)
    assert (thermal.scale, thermal.offset) == (0.00341802, 149.0)
    assert quality.nodata == 1.0
    assert blue.transform == (30.0, 0.0, 449085.0, 0.0, -30.0, 4581915.0)


def test_a_sentinel2_item_of_earth_search_has_no_offset_left_in_its_pixels(published):
    item = published("earth-search/sentinel-2-l2a__S2B_20EPT_20250731_0_L2A.json")
    scene = read_item(item, S2, source="earth-search", bands=["red", "nir_narrow", "scl"])
    assert item["assets"]["red"]["raster:bands"][0]["offset"] == -0.1
    assert scene.assets["red"].offset == 0.0
    assert scene.assets["nir_narrow"].href.endswith("B8A.tif")
    assert (scene.epsg, scene.assets["red"].shape) == (32720, (10980, 10980))


def test_a_collection_1_item_of_earth_search_keeps_its_offset(published):
    item = published("earth-search/sentinel-2-c1-l2a__S2B_T20EPT_20250731T131905_L2A.json")
    scene = read_item(item, S2, source="earth-search", bands=["red", "scl"])
    assert scene.assets["red"].offset == -0.1


@pytest.mark.parametrize(
    ("name", "offset"),
    [
        ("sentinel-2-l2a-pc.json", None),
        (
            "sentinel-2-l2a__S2A_MSIL2A_20190101T000001_R116_T59VPD_20201007T214657.json",
            0.0,
        ),
    ],
)
def test_a_sentinel2_item_of_planetary_computer(published, name, offset):
    item = published(f"planetary-computer/{name}")
    scene = read_item(item, S2, source="planetary-computer", bands=["red", "nir", "scl"])
    baseline = float(item["properties"]["s2:processing_baseline"])
    expected = (-0.1 if baseline >= 4 else 0.0) if offset is None else offset
    assert scene.assets["red"].offset == expected
    assert scene.assets["red"].href.endswith("B04_10m.tif")
    assert scene.assets["scl"].shape == (5490, 5490)
    assert scene.epsg is not None


@pytest.mark.parametrize(
    "name", ["landsat-c2-l2-pc.json", "landsat-c2-l2__LC09_L2SR_084072_20250722_02_T2.json"]
)
def test_a_landsat_item_of_planetary_computer(published, name):
    item = published(f"planetary-computer/{name}")
    scene = read_item(item, LANDSAT, source="planetary-computer", bands=["red", "qa_pixel"])
    red = scene.assets["red"]
    assert (red.scale, red.offset, red.nodata) == (2.75e-5, -0.2, 0.0)
    assert red.transform[0] == 30
    assert scene.epsg is not None


def test_an_elevation_tile_of_each_archive(published):
    dem = find_product("cop-dem-glo-30")
    for source, name in (
        ("earth-search", "cop-dem-glo-30__Copernicus_DSM_COG_10_S90_00_W177_00_DEM.json"),
        ("planetary-computer", "cop-dem-glo-30-pc.json"),
    ):
        item = published(f"{source}/{name}")
        scene = read_item(item, dem, source=source, bands=["elevation"])
        assert scene.epsg == 4326
        assert (scene.assets["elevation"].scale, scene.assets["elevation"].offset) == (1.0, 0.0)


def test_an_item_without_surface_temperature_is_refused_for_it_alone(published):
    item = published("planetary-computer/landsat-c2-l2__LC09_L2SR_084072_20250722_02_T2.json")
    assert "lwir11" not in item["assets"]
    with pytest.raises(ItemError, match=r"no asset for thermal .*expected lwir11"):
        read_item(item, LANDSAT, source="planetary-computer", bands=["red", "thermal"])


def test_every_item_of_the_real_archive_with_the_files_it_needs_is_a_scene(real_archive):
    items = json.loads((real_archive / "items.json").read_text())["features"]
    needed = {
        "landsat-c2-l2": {"red": "red", "qa_pixel": "qa_pixel"},
        "sentinel-2-l2a": {"red": "B04", "scl": "SCL"},
        "sentinel-1-grd": {"vv": "vv", "vh": "vh"},
    }
    known = [item for item in items if item["collection"] in needed]
    complete = [
        set(needed[item["collection"]].values()) <= set(item["assets"]) for item in known
    ]
    for item, readable in zip(known, complete, strict=True):
        product, bands = find_product(item["collection"]), needed[item["collection"]]
        if readable:
            assert read_item(item, product, source="x", bands=bands).id == item["id"]
        else:
            with pytest.raises(ItemError, match=item["id"]):
                read_item(item, product, source="x", bands=bands)
    assert sum(complete) > 300
