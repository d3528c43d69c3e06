"""Listing images through the unmodified client, against an endpoint on loopback."""

import json
import threading
import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import ee
import numpy as np
import pytest

from catalog.errors import ItemError, QueryError
from catalog.products import find_product
from catalog.providers.earth_engine import read_image, search_earth_engine
from catalog.providers.ee_session import open_session
from catalog.providers.query import Retries, SceneQuery
from catalog.providers.source import KNOWN_SOURCES, Source
from pipeline.sandbox.serve.earth_engine import EarthEngineServer
from tests.earth_archive import (
    EarthArchive,
    EarthBand,
    at_corner,
    landsat_bands,
    sentinel2_bands,
)
from tests.rasters import grid_at

TIME = datetime(2020, 6, 10, 10, 40, tzinfo=UTC)
DAY = timedelta(days=1)
QUICK = Retries(attempts=4, backoff_s=0.01, timeout_s=10)
HERE = (2.9, 50.7, 3.2, 50.95)
LANDSAT = "LANDSAT/LC08/C02/T1_L2"
LIST_LANDSAT = f"/v1alpha/projects/earthengine-public/assets/{LANDSAT}:listAssets"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> EarthArchive:
    earth = EarthArchive(tmp_path_factory.mktemp("archive"))
    for n in range(5):
        about = {"eo:cloud_cover": 50.0, "platform": "landsat-8"}
        earth.add("landsat-c2-l2", f"L{n}", TIME + n * DAY, landsat_bands(f"L{n}"), **about)
    earth.add("sentinel-2-l2a", "S0", TIME, sentinel2_bands("S0", -0.1))
    ones = np.ones((40, 40))
    heights = EarthBand(ones.astype("f4"), grid_at(3.0, 50.9, 0.001), epsg=4326)
    earth.add("nasadem", "heights", datetime(2000, 2, 11, tzinfo=UTC), {"elevation": heights})
    year = {
        "start_datetime": "2020-01-01T00:00:00Z",
        "end_datetime": "2021-01-01T00:00:00Z",
    }
    crops = EarthBand(ones.astype("u1"), at_corner(30), nodata=0)
    earth.add(
        "usda-cdl", "2020", datetime(2020, 1, 1, tzinfo=UTC), {"crop_type": crops}, **year
    )
    return earth


@pytest.fixture
def server(archive: EarthArchive) -> Iterator[EarthEngineServer]:
    with EarthEngineServer(archive.folder, page_size=2) as opened:
        yield opened


def source_at(url: str, **more: object) -> Source:
    return replace(KNOWN_SOURCES["earth-engine"], url=url, **more)


def landsat(server: EarthEngineServer, **more: object) -> SceneQuery:
    asked = {
        "product": find_product("landsat-c2-l2"),
        "source": source_at(server.url),
        "bands": ("red", "qa_pixel"),
        "boxes": (HERE,),
        "start": TIME - DAY,
        "end": TIME + 30 * DAY,
    }
    return SceneQuery(**{**asked, **more})


def test_images_become_scenes_with_grids_bands_and_scaling(server: EarthEngineServer):
    found = search_earth_engine(landsat(server), retries=QUICK)
    assert [scene.id for scene in found.scenes] == ["L0", "L1", "L2", "L3", "L4"]
    assert not found.refused
    scene = found.scenes[0]
    assert scene.time == TIME
    assert scene.epsg == 32631
    assert scene.cloud == pytest.approx(0.5)
    assert scene.access == "earth-engine"
    assert scene.source == "earth-engine"
    assert scene.version
    red = scene.assets["red"]
    assert (red.href, red.part) == (f"ee://{LANDSAT}/L0", "SR_B4")
    assert (red.scale, red.offset, red.nodata) == (2.75e-5, -0.2, 0)
    assert red.transform == (30, 0, 500_040, 0, -30, 5_630_040)
    assert red.shape == (40, 40)


def test_harmonized_sentinel2_has_no_offset(server: EarthEngineServer):
    query = landsat(server, product=find_product("sentinel-2-l2a"), bands=("red", "scl"))
    (scene,) = search_earth_engine(query, retries=QUICK).scenes
    assert (scene.assets["red"].scale, scene.assets["red"].offset) == (1e-4, 0)


def test_all_pages_are_read_and_counted(server: EarthEngineServer):
    found = search_earth_engine(landsat(server), retries=QUICK)
    # Two collections, Landsat 8 in three pages of two and Landsat 9 in an empty one.
    assert len(server.asked(LIST_LANDSAT)) == 3
    assert found.requests == 4


def test_an_image_in_two_boxes_is_one_scene(server: EarthEngineServer):
    found = search_earth_engine(landsat(server, boxes=(HERE, HERE)), retries=QUICK)
    assert len(found.scenes) == 5


def test_time_and_place_are_asked_of_the_server(server: EarthEngineServer):
    queries: list[str] = []
    true_answer = server.respond

    def note(call):
        queries.append(call.query)
        return true_answer(call)

    server.respond = note
    start, end = TIME + DAY, TIME + 3 * DAY
    found = search_earth_engine(landsat(server, start=start, end=end), retries=QUICK)
    assert [scene.id for scene in found.scenes] == ["L1", "L2"]
    (asked,) = {parse_qs(q)["filter"][0] for q in queries if "filter" in q}
    assert "intersects(" in asked
    assert 'startTime >= "2020-06-10T' in asked
    elsewhere = search_earth_engine(landsat(server, boxes=((9, 40, 9.1, 40.1),)), retries=QUICK)
    assert not elsewhere.scenes


def test_the_first_instant_of_the_end_is_not_inside(server: EarthEngineServer):
    found = search_earth_engine(landsat(server, end=TIME), retries=QUICK)
    assert not found.scenes


def test_more_images_than_the_cap_are_refused_and_never_cut(server: EarthEngineServer):
    query = landsat(server, source=source_at(server.url, max_items=3))
    with pytest.raises(QueryError, match=r"more than 3 images .*raise max_items"):
        search_earth_engine(query, retries=QUICK)


def test_a_single_image_is_found_without_a_search(server: EarthEngineServer):
    query = landsat(
        server, product=find_product("nasadem"), bands=("elevation",), start=None, end=None
    )
    found = search_earth_engine(query, retries=QUICK)
    (scene,) = found.scenes
    assert found.requests == 1
    assert scene.id == "NASA/NASADEM_HGT/001"
    assert scene.assets["elevation"].href == "ee://NASA/NASADEM_HGT/001"
    assert scene.epsg == 4326


def test_a_map_of_a_year_counts_by_the_middle_of_the_year(server: EarthEngineServer):
    query = landsat(
        server,
        product=find_product("usda-cdl"),
        bands=("crop_type",),
        start=datetime(2020, 6, 1, tzinfo=UTC),
        end=datetime(2020, 8, 1, tzinfo=UTC),
    )
    (scene,) = search_earth_engine(query, retries=QUICK).scenes
    assert scene.time == datetime(2020, 7, 2, tzinfo=UTC)


def test_an_unknown_collection_is_said_at_once(server: EarthEngineServer):
    with pytest.raises(QueryError, match="'no/such/thing' and refused: HTTP 404"):
        search_earth_engine(landsat(server, collection="no/such/thing"), retries=QUICK)
    assert len(server.asked(LIST_LANDSAT.replace(LANDSAT, "no/such/thing"))) == 1


def test_a_busy_server_is_asked_again(server: EarthEngineServer):
    server.faults.answer(LIST_LANDSAT, 429, times=1, headers={"Retry-After": "0"})
    server.faults.answer(LIST_LANDSAT, 503, times=1)
    server.faults.drop(LIST_LANDSAT, times=1)
    found = search_earth_engine(landsat(server), retries=QUICK)
    assert len(found.scenes) == 5


def test_a_server_that_stays_busy_is_an_error_with_advice(server: EarthEngineServer):
    server.faults.answer(LIST_LANDSAT, 503)
    with pytest.raises(QueryError, match=r"4 times and failed: HTTP 503.*run the same command"):
        search_earth_engine(landsat(server), retries=QUICK)


def test_an_address_that_does_not_answer_is_an_error(closed_port: int):
    query = SceneQuery(
        product=find_product("landsat-c2-l2"),
        source=source_at(f"http://127.0.0.1:{closed_port}"),
        bands=("red",),
        boxes=(HERE,),
    )
    with pytest.raises(QueryError, match=r"could not be opened.*no answer"):
        search_earth_engine(query, retries=QUICK)


def test_the_client_is_initialized_once_per_address(server: EarthEngineServer):
    for _ in range(3):
        search_earth_engine(landsat(server), retries=QUICK)
    assert len(server.asked("/v1alpha/projects/loopback/algorithms")) == 1


def test_another_address_opens_another_session(
    archive: EarthArchive, server: EarthEngineServer
):
    search_earth_engine(landsat(server), retries=QUICK)
    with EarthEngineServer(archive.folder) as other:
        search_earth_engine(landsat(other), retries=QUICK)
        assert other.asked(LIST_LANDSAT)
    server.forget()
    search_earth_engine(landsat(server), retries=QUICK)
    assert server.asked(LIST_LANDSAT)


def test_a_session_is_not_taken_from_under_a_thread_that_uses_it(
    archive: EarthArchive, server: EarthEngineServer
):
    with EarthEngineServer(archive.folder) as other:
        done = threading.Event()

        def use_other() -> None:
            with open_session(source_at(other.url), QUICK):
                done.set()

        with open_session(source_at(server.url), QUICK):
            thread = threading.Thread(target=use_other)
            thread.start()
            assert not done.wait(0.1)
            assert ee.data.getAsset(f"{LANDSAT}/L0")["id"] == f"{LANDSAT}/L0"
        thread.join()
        assert done.is_set()


def test_a_thread_that_would_wait_for_itself_is_told(
    server: EarthEngineServer, closed_port: int
):
    other = source_at(f"http://127.0.0.1:{closed_port}")
    with (
        open_session(source_at(server.url), QUICK),
        pytest.raises(RuntimeError, match="wait for itself"),
        open_session(other, QUICK),
    ):
        pass


def test_opening_asks_no_other_host(server: EarthEngineServer, monkeypatch: pytest.MonkeyPatch):
    def refuse(*args, **_):
        raise AssertionError(f"asked {args}")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        search_earth_engine(landsat(server), retries=QUICK)


def test_no_credentials_is_said_with_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    query = SceneQuery(
        product=find_product("landsat-c2-l2"),
        source=source_at("https://earthengine.invalid"),
        bands=("red",),
        boxes=(HERE,),
    )
    with pytest.raises(QueryError, match=r"GOOGLE_APPLICATION_CREDENTIALS .*earthengine"):
        search_earth_engine(query, retries=QUICK)


def test_credentials_are_not_sent_to_loopback(
    server: EarthEngineServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    key = tmp_path / "key.json"
    key.write_text(json.dumps({"type": "authorized_user", "refresh_token": "canary"}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    headers: list[str] = []
    true_answer = server.respond

    def note(call):
        headers.extend(name.lower() for name in call.headers)
        return true_answer(call)

    server.respond = note
    search_earth_engine(landsat(server), retries=QUICK)
    assert "authorization" not in headers


# --- images as the API describes them ---------------------------------------------------------

IMAGE = {
    "type": "IMAGE",
    "id": f"{LANDSAT}/LC08_199025_20200610",
    "startTime": "2020-06-10T10:40:31.024Z",
    "endTime": "2020-06-10T10:40:31.024Z",
    "updateTime": "2023-03-01T12:00:00.000001Z",
    "geometry": {
        "type": "LinearRing",
        "coordinates": [[3, 50], [4, 50], [4, 51], [3, 51], [3, 50]],
    },
    "properties": {"CLOUD_COVER": 12.5, "SPACECRAFT_ID": "LANDSAT_8"},
    "bands": [
        {
            "id": name,
            "dataType": {"precision": "INT", "range": {"max": 65535}},
            "grid": {
                "crsCode": "EPSG:32631",
                "dimensions": {"width": 7731, "height": 7861},
                "affineTransform": {
                    "scaleX": 30,
                    "translateX": 462285,
                    "scaleY": -30,
                    "translateY": 5847915,
                },
            },
        }
        for name in ("SR_B4", "QA_PIXEL")
    ],
}
QUERY = SceneQuery(
    product=find_product("landsat-c2-l2"),
    source=KNOWN_SOURCES["earth-engine"],
    bands=("red", "qa_pixel"),
    boxes=(HERE,),
)


def test_an_outline_stated_as_a_ring_is_an_area():
    scene = read_image(IMAGE, QUERY, scene_id="one")
    assert scene.footprint.area == pytest.approx(1)
    assert scene.platform == "landsat_8"
    assert scene.cloud == pytest.approx(0.125)
    assert scene.time == datetime(2020, 6, 10, 10, 40, 31, 24_000, tzinfo=UTC)


@pytest.mark.parametrize("geometry", [None, {}, {"type": "Polygon", "coordinates": []}])
def test_an_image_without_bounds_covers_the_world(geometry: object):
    scene = read_image({**IMAGE, "geometry": geometry}, QUERY, scene_id="one")
    assert scene.footprint.bounds == (-180, -90, 180, 90)


def test_a_crs_without_a_code_leaves_the_code_open():
    bands = [{"id": name, "grid": {}} for name in ("SR_B4", "QA_PIXEL")]
    scene = read_image({**IMAGE, "bands": bands}, QUERY, scene_id="one")
    assert scene.epsg is None
    assert scene.assets["red"].transform is None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"id": "../../etc/passwd"}, "which is none"),
        ({"id": "LANDSAT/a\nb"}, "which is none"),
        ({"startTime": None}, "states no time"),
        ({"startTime": "yesterday"}, "no usable image"),
        ({"bands": [{"id": "SR_B4"}]}, r"no band for qa_pixel \(QA_PIXEL\)"),
        ({"geometry": {"type": "Blob", "coordinates": [1]}}, "no usable image"),
    ],
)
def test_what_is_no_usable_image_is_refused_with_the_reason(
    change: dict[str, object], why: str
):
    with pytest.raises(ItemError, match=why):
        read_image({**IMAGE, **change}, QUERY, scene_id="one")
