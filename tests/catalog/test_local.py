import json
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import urlopen

import pytest
import shapely

from catalog.errors import QueryError
from catalog.products import find_product
from catalog.providers.local import find_items, serve_archive
from catalog.providers.query import SceneQuery
from catalog.providers.source import stac_source
from catalog.providers.stac import search_stac
from tests.rasters import stac_item

NOON = datetime(2018, 6, 15, 12, tzinfo=UTC)


def write_archive(folder, items):
    path = folder / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    return path


def query(product, bands, source, *, box=(3.0, 50.8, 3.1, 50.9), start=None, end=None):
    return SceneQuery(
        product=find_product(product),
        source=stac_source(str(source)),
        bands=bands,
        boxes=(box,),
        start=start,
        end=end,
    )


def test_a_small_archive_is_searched_over_http_and_its_hrefs_become_absolute(tmp_path):
    write_archive(
        tmp_path,
        [
            stac_item("near", "dem-srtm", NOON, assets={"data": "./a/dem.tif"}),
            stac_item("web", "dem-srtm", NOON, assets={"data": "https://example.com/d.tif"}),
            stac_item("far", "dem-srtm", NOON, assets={"data": "f.tif"}, bounds=(9, 9, 10, 10)),
        ],
    )
    with serve_archive(str(tmp_path)) as url:
        found = search_stac(query("dem-srtm", ("elevation",), tmp_path), url)
    hrefs = {scene.id: scene.assets["elevation"].href for scene in found.scenes}
    assert hrefs == {
        "near": str(tmp_path / "a" / "dem.tif"),
        "web": "https://example.com/d.tif",
    }


def test_a_range_of_time_survives_the_server(tmp_path):
    item = stac_item(
        "annual",
        "dem-srtm",
        NOON,
        assets={"data": "d.tif"},
        start_datetime="2018-01-01T00:00:00Z",
        end_datetime="2019-01-01T00:00:00Z",
    )
    item["properties"]["datetime"] = None
    write_archive(tmp_path, [item])
    start, end = datetime(2018, 7, 1, tzinfo=UTC), datetime(2018, 8, 1, tzinfo=UTC)
    asked = query("dem-srtm", ("elevation",), tmp_path, start=start, end=end)
    with serve_archive(str(tmp_path)) as url:
        [scene] = search_stac(asked, url).scenes
    assert scene.time == datetime(2018, 7, 2, 12, tzinfo=UTC)


def test_a_proxy_of_the_environment_is_not_asked_for_loopback(
    tmp_path, monkeypatch, closed_port
):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port}")
    write_archive(tmp_path, [stac_item("a", "dem-srtm", NOON, assets={"data": "d.tif"})])
    with serve_archive(str(tmp_path)) as url:
        assert len(search_stac(query("dem-srtm", ("elevation",), tmp_path), url).scenes) == 1


def test_the_server_is_gone_afterwards(tmp_path):
    items = write_archive(tmp_path, [stac_item("a", "c", NOON, assets={"data": "x.tif"})])
    with serve_archive(str(items)) as url, urlopen(url) as answer:  # noqa: S310 - loopback
        assert answer.status == 200
    with pytest.raises(OSError, match="refused"):
        urlopen(url)  # noqa: S310 - loopback


def test_two_archives_are_served_side_by_side(tmp_path):
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        write_archive(folder, [stac_item(name, "dem-srtm", NOON, assets={"data": "d.tif"})])
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    with serve_archive(one) as first, serve_archive(two) as second:
        ids = [
            [s.id for s in search_stac(query("dem-srtm", ("elevation",), source), url).scenes]
            for source, url in ((one, first), (two, second))
        ]
    assert ids == [["one"], ["two"]]


def test_the_real_archive_answers_a_search_for_each_of_its_products(real_archive):
    start, end = datetime(2017, 8, 1, tzinfo=UTC), datetime(2018, 12, 1, tzinfo=UTC)
    about = json.loads((real_archive / "items.json").read_text())["features"]
    wanted = {"landsat-c2-l2": ("red", "qa_pixel"), "sentinel-2-l2a": ("red", "scl")}
    with serve_archive(str(real_archive)) as url:
        for product, bands in wanted.items():
            asked = query(product, bands, real_archive, start=start, end=end)
            scenes = search_stac(asked, url).scenes
            expected = [
                i["id"]
                for i in about
                if i["collection"] == product
                and shapely.box(*i["bbox"]).intersects(shapely.box(*asked.boxes[0]))
                and "2017-08-01" <= i["properties"]["datetime"] < "2018-12-01"
            ]
            assert sorted(s.id for s in scenes) == sorted(expected)
            assert all(Path(a.href).is_file() for s in scenes for a in s.assets.values())
        dem = query("dem-srtm", ("elevation",), real_archive, box=(-113.2, 37.2, -113.0, 37.4))
        assert [s.id for s in search_stac(dem, url).scenes] == ["srtm-zion"]


def test_a_folder_without_items_says_what_was_expected(tmp_path):
    with pytest.raises(
        QueryError, match=r"no item collection: expected a folder .* items\.json"
    ):
        find_items(str(tmp_path))
    with pytest.raises(QueryError, match="nowhere"):
        find_items(str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    "content",
    [
        "{not json",
        "[]",
        "7",
        '{"type": "Feature"}',
        '{"features": 7}',
        '{"features": [7]}',
        '{"features": [{"id": "a", "assets": {"red": {}}}]}',
        '{"features": [{"id": "a", "assets": ["red"]}]}',
    ],
)
def test_a_malformed_item_collection_is_refused_by_its_path(tmp_path, content):
    (tmp_path / "items.json").write_text(content)
    with (
        pytest.raises(QueryError, match=r"items\.json is not a STAC item collection"),
        serve_archive(str(tmp_path)),
    ):
        pytest.fail("served nonsense")


def test_items_that_the_server_cannot_read_are_an_error_with_what_it_said(tmp_path):
    (tmp_path / "items.json").write_text('{"type": "Nonsense", "features": []}')
    with (
        pytest.raises(QueryError, match=r"ended at once with exit code 1: .*did not match"),
        serve_archive(str(tmp_path)),
    ):
        pytest.fail("served nonsense")
