import json
import math
from datetime import UTC, datetime

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import ItemError
from catalog.products import find_product
from catalog.providers.identify import product_of, source_of
from catalog.providers.items import read_item
from catalog.providers.source import KNOWN_SOURCES, Source, stac_source
from tests.rasters import stac_item

NOON = datetime(2022, 3, 1, 12, tzinfo=UTC)
WEB = stac_source("https://stac.example.com/v1")
S2 = find_product("sentinel-2-l2a")
LANDSAT = find_product("landsat-c2-l2")


def sentinel2(red=None, **properties):
    assets = {"B04": {"href": "r.tif", **(red or {})}, "SCL": "s.tif"}
    return stac_item("S2_1", "sentinel-2-l2a", NOON, assets=assets, **properties)


def place(name):
    """A known archive by its name, or a local one."""
    return KNOWN_SOURCES.get(name) or stac_source(name)


def read_red(item, source="test"):
    return read_item(item, S2, source=place(source), bands=["red", "scl"])


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
    for asset in item["assets"].values():
        asset["href"] = f"https://example.com/{asset['href']}"
    assert read_red(item, source="earth-search").assets["red"].offset == 0.0
    assert read_red(item, source="elsewhere").assets["red"].offset == -0.1
    item["collection"] = "sentinel-2-c1-l2a"
    assert read_red(item, source="earth-search").assets["red"].offset == -0.1


def test_the_quality_band_has_no_offset():
    scene = read_red(sentinel2(**{"s2:processing_baseline": "05.11"}))
    assert scene.assets["scl"].offset == 0.0


def test_assets_are_found_by_the_names_of_another_archive():
    item = stac_item("S2", "x", NOON, assets={"red": "r.tif", "scl": "s.tif", "nir08": "n.tif"})
    scene = read_item(item, S2, source=place("mirror"), bands=["red", "nir_narrow", "scl"])
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
    scene = read_item(item, S2, source=place("test"), bands=["red"], base_href=base)
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
        (sentinel2({"proj:shape": 7}), "'S2_1': proj:shape is '7'; expected a list"),
        (sentinel2(**{"s2:processing_baseline": "N0500"}), "'S2_1' is no usable.*N0500"),
        (sentinel2(**{"proj:epsg": "UTM"}), "'S2_1' is no usable.*UTM"),
        ({**sentinel2(), "geometry": {"type": "Blob"}}, "'S2_1' is no usable"),
        ({**sentinel2(), "properties": {"datetime": "soon"}}, "'S2_1' is no usable.*soon"),
    ],
)
def test_an_item_that_is_no_scene_is_refused_with_its_reason(item, said):
    with pytest.raises(ItemError, match=said):
        read_red(item)


# --- hostile items ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "item_id",
    [
        "../../etc/cron.d/x",
        "a/b",
        "a\\b",
        "..",
        ".",
        "a\nb",
        "a\x1b[2Jb",
        "a\x00b",
        "a\u202eb",
        "x" * 513,
        7,
        ["a"],
        "",
        None,
    ],
)
def test_an_id_that_could_pass_for_a_path_or_garble_a_terminal_is_refused(item_id):
    with pytest.raises(ItemError) as refused:
        read_red({**sentinel2(), "id": item_id})
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("red", "properties", "said"),
    [
        ({"raster:bands": [{"scale": float("nan")}]}, {}, "scale is nan"),
        ({"raster:bands": [{"scale": "inf"}]}, {}, "scale is 'inf'"),
        ({"raster:bands": [{"scale": 0}]}, {}, "scale is 0"),
        ({"raster:bands": [{"offset": float("-inf")}]}, {}, "offset is -inf"),
        ({"raster:bands": [{"nodata": "none"}]}, {}, "no usable"),
        ({"proj:shape": [float("inf"), 10]}, {}, "proj:shape is inf"),
        ({"proj:shape": [10**12, 10]}, {}, "proj:shape is 1e"),
        ({"proj:shape": [0, 10]}, {}, "proj:shape is 0, 10"),
        ({"proj:shape": [10]}, {}, "no usable"),
        ({"proj:shape": "ab"}, {}, "expected a list of numbers"),
        ({"proj:transform": [10, 0, float("nan"), 0, -10, 0]}, {}, "proj:transform is nan"),
        ({"proj:transform": [0, 0, 0, 0, 0, 0]}, {}, "no grid of pixels"),
        ({"proj:transform": [1e200, 0, 0, 0, -1e200, 0]}, {}, "no grid of pixels"),
        ({"proj:transform": [10, 0, 0]}, {}, "no usable"),
        ({}, {"eo:cloud_cover": float("nan")}, "eo:cloud_cover is nan"),
        ({}, {"eo:cloud_cover": 5000}, "eo:cloud_cover is 5000"),
        ({}, {"proj:epsg": 10**30}, "proj:epsg is 1000"),
        ({}, {"proj:epsg": -4326}, "proj:epsg is -4326"),
        ({}, {"proj:code": "EPSG:nan"}, "proj:epsg is 'nan'"),
        ({}, {"s2:processing_baseline": "nan"}, "s2:processing_baseline is 'nan'"),
        ({"href": ["a"]}, {}, "states no href"),
        ({"href": ""}, {}, "states no href"),
    ],
)
def test_numbers_that_are_none_and_absurd_ones_are_refused(red, properties, said):
    with pytest.raises(ItemError, match="'S2_1'") as refused:
        read_red(sentinel2(red, **properties))
    assert said in str(refused.value)


def ring(*points):
    return {"type": "Polygon", "coordinates": [[*points, points[0]]]}


@pytest.mark.parametrize(
    ("geometry", "said"),
    [
        (ring([0, 0], [1, 0], [float("nan"), 1]), "no number"),
        (ring([0, 0], [1, 0], [float("inf"), 1]), "no number"),
        (ring([500000, 5600000], [500100, 5600000], [500100, 5600100]), "longitude and lat"),
        (ring([0, 89], [1, 89], [1, 97]), "longitude and latitude"),
        (ring([0, 0], [1, 0], [2, 0]), "without area"),
        ({"type": "Point", "coordinates": [3, 50]}, "Point without area"),
        ({"type": "LineString", "coordinates": [[3, 50], [4, 51]]}, "without area"),
        ({"type": "Polygon", "coordinates": []}, "without area"),
        ({"type": "Polygon", "coordinates": [[["a", "b"]]]}, "no usable"),
        ({"type": "Polygon"}, "no usable"),
        ("POLYGON ((0 0, 1 0, 1 1, 0 0))", "no usable"),
        (ring(*[[i / 1e6, i % 2] for i in range(100_001)]), "more than 100000"),
    ],
)
def test_an_outline_that_is_none_is_refused(geometry, said):
    with pytest.raises(ItemError, match="'S2_1'") as refused:
        read_red({**sentinel2(), "geometry": geometry})
    assert said in str(refused.value)


def test_an_outline_across_180_degrees_is_cut_there_however_it_is_written():
    jumping = ring([179, 10], [-179, 10], [-179, 11], [179, 11])
    running_on = ring([179, 10], [181, 10], [181, 11], [179, 11])
    westward = ring([-181, 10], [-179, 10], [-179, 11], [-181, 11])
    expected = shapely.union(shapely.box(179, 10, 180, 11), shapely.box(-180, 10, -179, 11))
    for geometry in (jumping, running_on, westward):
        footprint = read_red({**sentinel2(), "geometry": geometry}).footprint
        assert footprint.equals(expected)


def test_an_outline_around_the_whole_globe_stays_whole():
    around = ring([-180, -60], [180, -60], [180, 60], [-180, 60])
    assert read_red({**sentinel2(), "geometry": around}).footprint.area == 360 * 120


def test_a_start_after_its_end_is_refused():
    item = sentinel2(start_datetime="2021-01-03T00:00:00Z", end_datetime="2021-01-01T00:00:00Z")
    item["properties"]["datetime"] = None
    with pytest.raises(ItemError, match="is after its end"):
        read_red(item)


def test_a_platform_and_a_version_are_short_and_printable():
    scene = read_red(sentinel2(platform="a\x1b[2J" + "b" * 999, version="1\n" + "2" * 999))
    assert scene.platform.isprintable()
    assert scene.version.isprintable()
    assert len(scene.platform) <= 100
    assert len(scene.version) <= 200


@pytest.mark.parametrize(
    "href",
    ["file:///etc/passwd", "/etc/passwd", "/vsicurl/https://a.org/x", "http://127.0.0.1/a.tif"],
)
def test_an_item_of_the_web_that_points_into_this_machine_is_refused(href):
    item = sentinel2({"href": href})
    item["links"] = [{"rel": "self", "href": "https://stac.example.com/v1/items/S2_1"}]
    with pytest.raises(ItemError, match=r"'S2_1': href .* must point to a public"):
        read_item(item, S2, source=WEB, bands=["red"])


def test_relative_hrefs_of_the_web_start_at_the_items_own_address():
    item = sentinel2({"href": "./r.tif"})
    with pytest.raises(ItemError, match=r"'S2_1': href './r.tif' is a path"):
        read_item(item, S2, source=WEB, bands=["red"])
    item["links"] = [{"rel": "self", "href": "https://data.example.org/S2_1/item.json"}]
    scene = read_item(item, S2, source=WEB, bands=["red"])
    assert scene.assets["red"].href == "https://data.example.org/S2_1/r.tif"
    item["links"] = [{"rel": "self", "href": "http://169.254.169.254/latest/item.json"}]
    with pytest.raises(ItemError, match="must point to a public"):
        read_item(item, S2, source=WEB, bands=["red"])


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
PLACES = [
    ("id",),
    ("properties",),
    ("properties", "datetime"),
    ("properties", "eo:cloud_cover"),
    ("properties", "proj:epsg"),
    ("properties", "proj:code"),
    ("properties", "platform"),
    ("properties", "s2:processing_baseline"),
    ("geometry",),
    ("geometry", "type"),
    ("geometry", "coordinates"),
    ("links",),
    ("collection",),
    ("assets",),
    ("assets", "B04"),
    *(
        ("assets", "B04", name)
        for name in (
            "href",
            "alternate",
            "bands",
            "raster:bands",
            "eo:bands",
            "proj:shape",
            "proj:transform",
            "raster:scale",
            "nodata",
        )
    ),
]


@settings(max_examples=400, deadline=None)
@given(place=st.sampled_from(PLACES), value=ANYTHING, known=st.booleans())
def test_nothing_that_a_stranger_writes_does_more_than_refuse_the_item(place, value, known):
    item = json.loads(json.dumps(sentinel2({"nodata": 0}, platform="x")))
    item["collection"] = "sentinel-2-l2a" if known else "unknown"
    item["assets"]["B04"]["href"] = "https://example.com/r.tif"
    holder = item
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    scenes, reasons = [], []
    for source in (stac_source("test"), WEB):
        try:
            scenes.append(read_item(item, S2, source=source, bands=["red"]))
            product_of(item)
        except ItemError as err:
            reasons.append(str(err))
    assert all(len(reason) < 1000 for reason in reasons)
    for scene in scenes:
        assert scene.id.isprintable()
        assert scene.footprint.area > 0
        assert all(math.isfinite(a.scale + a.offset) for a in scene.assets.values())


# --- items of archives that nobody knows yet ----------------------------------------------


def test_the_band_of_a_file_with_many_is_read_with_its_own_metadata():
    entries = [{"scale": i / 10, "offset": -i, "nodata": i} for i in (1, 2, 3, 4)]
    item = stac_item(
        "P1",
        "PSScene",
        NOON,
        assets={"analytic": {"href": "a.tif", "raster:bands": entries}, "udm2": "u.tif"},
    )
    source = Source(name="mine", listing="files", url="/data", dialect="files")
    scene = read_item(
        item, find_product("planetscope-sr"), source=source, bands=["red", "udm2"]
    )
    red = scene.assets["red"]
    assert (red.href, red.index) == ("a.tif", 3)
    assert (red.scale, red.offset, red.nodata) == (pytest.approx(0.3), -3.0, 3.0)
    assert scene.assets["udm2"].index == 1


@pytest.mark.parametrize("words", [["B4"], "B4", [7], [None], []])
def test_bands_given_as_bare_names_are_no_metadata_and_do_no_harm(words):
    red = read_red(sentinel2({"eo:bands": words, "bands": words, "raster:bands": words}))
    assert (red.assets["red"].scale, red.assets["red"].nodata) == (1e-4, 0.0)


def test_assets_are_found_by_what_they_say_of_themselves():
    def named(common):
        return {"href": f"{common}.tif", "eo:bands": [{"name": "x", "common_name": common}]}

    item = stac_item(
        "L",
        "elsewhere",
        NOON,
        assets={
            "overview": {"href": "o.tif", "eo:bands": [{"common_name": "red"}] * 3},
            "b5": named("nir08"),
            "b4": named("red"),
            "b10": named("lwir11"),
            "QA_PIXEL.TIF": "q.tif",
        },
    )
    scene = read_item(
        item, LANDSAT, source=place("test"), bands=["red", "nir", "thermal", "qa_pixel"]
    )
    assert {key: a.href for key, a in scene.assets.items()} == {
        "red": "red.tif",
        "nir": "nir08.tif",
        "thermal": "lwir11.tif",
        "qa_pixel": "q.tif",
    }


def test_the_narrow_near_infrared_never_stands_in_for_the_wide_one():
    only = {"href": "n.tif", "eo:bands": [{"common_name": "nir08"}]}
    item = stac_item("S2", "x", NOON, assets={"a": only})
    assert read_item(item, S2, source=place("test"), bands=["nir_narrow"]).assets
    with pytest.raises(ItemError, match="no asset for nir "):
        read_item(item, S2, source=place("test"), bands=["nir"])


def test_where_the_reader_pays_the_bucket_is_preferred():
    assets = {
        name: {
            "href": f"https://landsatlook.usgs.gov/data/{name}.TIF",
            "alternate": {"s3": {"href": f"s3://usgs-landsat/{name}.TIF"}},
        }
        for name in ("red", "qa_pixel")
    }
    item = stac_item("LC08_1_SR", "landsat-c2l2-sr", NOON, assets=assets)
    paid = read_item(item, LANDSAT, source=place("usgs"), bands=["red"])
    assert (paid.access, paid.assets["red"].href) == (
        "requester-pays",
        "s3://usgs-landsat/red.TIF",
    )
    free = read_item(item, LANDSAT, source=WEB, bands=["red"])
    assert (free.access, free.assets["red"].href) == (
        "open",
        "https://landsatlook.usgs.gov/data/red.TIF",
    )
    item["assets"]["red"]["alternate"] = {"s3": {"href": "s3:///etc/passwd"}}
    with pytest.raises(ItemError, match="names no bucket"):
        read_item(item, LANDSAT, source=place("usgs"), bands=["red"])


@pytest.mark.parametrize("platform", ["landsat-7", "LANDSAT_5", "landsat-4"])
def test_scenes_of_older_landsats_are_refused(platform):
    item = stac_item("L", "landsat-c2-l2", NOON, assets={"red": "r.tif"}, platform=platform)
    with pytest.raises(ItemError, match=r"is of landsat-\d; .* is of Landsat 8 and 9"):
        read_item(item, LANDSAT, source=place("test"), bands=["red"])


def test_thermal_bands_in_degrees_celsius_become_kelvin():
    hls = find_product("hls-l30")
    assets = {"B10": {"href": "t.tif"}, "B04": {"href": "r.tif"}, "Fmask": {"href": "f.tif"}}
    item = stac_item("HLS.L30.1", "HLSL30_2.0", NOON, assets=assets)
    scene = read_item(item, hls, source=place("test"), bands=["thermal1", "red", "fmask"])
    thermal, red, fmask = (scene.assets[k] for k in ("thermal1", "red", "fmask"))
    assert (thermal.scale, thermal.offset, thermal.nodata) == (0.01, 273.15, -9999.0)
    assert (red.scale, red.offset, red.nodata) == (1e-4, 0.0, -9999.0)
    assert fmask.nodata == 255.0


# --- which product ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item_id", "collection", "key"),
    [
        ("x", "hls2-s30", "hls-s30"),
        ("x", "HLSL30_2.0", "hls-l30"),
        ("x", "landsat-c2l2-st", "landsat-c2-l2"),
        ("x", "sentinel-2-l1c", "sentinel-2-l1c"),
        ("LC09_L2SP_089090_20240417_02_T1", "my-own", "landsat-c2-l2"),
        ("HLS.S30.T31UDS.2020162T105031.v2.0", None, "hls-s30"),
        ("S2A_OPER_MSI_L2A_TL_2APS_20240109T203651_A044654_T60CWS", None, "sentinel-2-l2a"),
        (
            "S2B_MSIL1C_20190629T212529_N0207_R043_T06VVN_20190629T230000",
            None,
            "sentinel-2-l1c",
        ),
        ("S2B_20EPT_20250731_0_L2A", None, "sentinel-2-l2a"),
        ("S1A_IW_GRDH_1SDV_20240419T045904_rtc", None, "sentinel-1-rtc"),
        ("Copernicus_DSM_COG_10_S90_00_W177_00_DEM", None, "cop-dem-glo-30"),
    ],
)
def test_the_product_follows_from_the_collection_or_else_from_the_id(item_id, collection, key):
    assert product_of({"id": item_id, "collection": collection}).key == key


def test_the_product_follows_from_all_assets_where_nothing_else_is_known():
    names = find_product("hls-s30").archive("lpdaac").assets.values()
    assert product_of({"id": "x", "assets": dict.fromkeys(names)}).key == "hls-s30"


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"id": "x", "collection": "naip"}, "collection 'naip', which no product has"),
        ({"id": "x"}, "known are landsat-c2-l2, "),
        ({}, "which no product has"),
        ({"id": "LM05_L1TP_039038_20130107_02_T2"}, "an MSS scene"),
        ({"id": "LE07_L2SP_039038_20130107_02_T2"}, "a TM or ETM"),
        ({"id": "HLS-VI.L30.T06WVS.2024120T211159.v2.0"}, "vegetation indices"),
        ({"id": "Copernicus_DSM_COG_30_S90_00_W177_00_DEM"}, "which no product has"),
    ],
)
def test_an_item_of_no_known_product_is_refused_with_its_reason(item, said):
    with pytest.raises(ItemError, match=said):
        product_of(item)


def test_an_item_below_a_known_archive_is_read_in_its_dialect():
    pc = "https://planetarycomputer.microsoft.com/api/stac/v1"
    assert source_of(f"{pc}/collections/x/items/y") == KNOWN_SOURCES["planetary-computer"]
    assert source_of(f"{pc}-evil.example.com/items/y").dialect == "stac"
    assert source_of("/data/item.json") == stac_source("/data/item.json")


# --- the offset of Sentinel-2 -------------------------------------------------------------


def test_a_copy_of_an_earth_search_item_says_that_its_offset_is_removed():
    flag = {"earthsearch:boa_offset_applied": True, "s2:processing_baseline": "05.11"}
    assert read_red(sentinel2({"raster:bands": [{"offset": -0.1}]}, **flag)).assets[
        "red"
    ].offset == pytest.approx(0.0)
    flag["earthsearch:boa_offset_applied"] = False
    assert read_red(sentinel2(**flag)).assets["red"].offset == -0.1


@pytest.mark.parametrize(
    ("item_id", "properties", "offset"),
    [
        ("S2B_MSIL2A_20190629T212529_N0212_R043_T06VVN_20190629T230000", {}, 0.0),
        ("S2B_MSIL2A_20190629T212529_N0500_R043_T06VVN_20230629T230000", {}, -0.1),
        ("S2B_MSIL2A_20190629T212529_N0500_R043_T06VVN_20230629T230000.SAFE", {}, -0.1),
        ("S2", {"s2:tile_id": "S2B_OPER_MSI_L2A_TL_2BPS_A043879_T20EPT_N05.11"}, -0.1),
        ("S2", {"s2:product_uri": "S2B_MSIL2A_20250731T131909_N0301_R095_T20E.SAFE"}, 0.0),
    ],
)
def test_a_baseline_that_only_a_name_tells_is_taken_from_it(item_id, properties, offset):
    item = {**sentinel2(**properties), "id": item_id}
    assert read_red(item).assets["red"].offset == offset


@pytest.mark.parametrize(("baseline", "offset"), [("03.01", 0.0), ("04.00", -0.1)])
def test_level_1c_follows_the_same_rule(baseline, offset):
    item = stac_item(
        "S2_L1C",
        "sentinel-2-l1c",
        NOON,
        assets={"B04": "r.tif", "B10": "c.tif"},
        **{"s2:processing_baseline": baseline},
    )
    product = find_product("sentinel-2-l1c")
    scene = read_item(item, product, source=place("test"), bands=["red", "cirrus"])
    assert {a.offset for a in scene.assets.values()} == {offset}


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
    scene = read_item(item, LANDSAT, source=place("earth-search"), bands=bands)
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
    scene = read_item(
        item, S2, source=place("earth-search"), bands=["red", "nir_narrow", "scl"]
    )
    assert item["assets"]["red"]["raster:bands"][0]["offset"] == -0.1
    assert scene.assets["red"].offset == 0.0
    assert scene.assets["nir_narrow"].href.endswith("B8A.tif")
    assert (scene.epsg, scene.assets["red"].shape) == (32720, (10980, 10980))


def test_a_collection_1_item_of_earth_search_keeps_its_offset(published):
    item = published("earth-search/sentinel-2-c1-l2a__S2B_T20EPT_20250731T131905_L2A.json")
    scene = read_item(item, S2, source=place("earth-search"), bands=["red", "scl"])
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
    scene = read_item(item, S2, source=place("planetary-computer"), bands=["red", "nir", "scl"])
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
    scene = read_item(
        item, LANDSAT, source=place("planetary-computer"), bands=["red", "qa_pixel"]
    )
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
        scene = read_item(item, dem, source=place(source), bands=["elevation"])
        assert scene.epsg == 4326
        assert (scene.assets["elevation"].scale, scene.assets["elevation"].offset) == (1.0, 0.0)


def test_an_item_without_surface_temperature_is_refused_for_it_alone(published):
    item = published("planetary-computer/landsat-c2-l2__LC09_L2SR_084072_20250722_02_T2.json")
    assert "lwir11" not in item["assets"]
    with pytest.raises(ItemError, match=r"no asset for thermal .*expected lwir11"):
        read_item(item, LANDSAT, source=place("planetary-computer"), bands=["red", "thermal"])


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
            assert read_item(item, product, source=place("x"), bands=bands).id == item["id"]
        else:
            with pytest.raises(ItemError, match=item["id"]):
                read_item(item, product, source=place("x"), bands=bands)
    assert sum(complete) > 300
