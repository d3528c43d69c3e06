"""How many requests a task makes of Earth Engine, and what becomes of those that fail."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import ee
import numpy as np
import pytest
from odc.geo.geobox import GeoBox

from catalog.errors import SourceUnavailable, SourceUnreadable
from catalog.providers.ee_session import open_session
from catalog.scene import Scene
from pipeline.ee_pixels import EarthEngineSource
from pipeline.ee_request import Limits, plan_requests
from pipeline.sandbox.serve.earth_engine import EarthEngineServer
from tests.earth_archive import (
    QUICK,
    EarthArchive,
    box_at,
    cells,
    engine,
    find_scenes,
    kinds_of,
    masked,
    source_at,
    write_all,
)

COMPUTE = "/v1alpha/projects/loopback/image:computePixels"
LANDSAT = "/v1alpha/projects/earthengine-public/assets/LANDSAT/LC08/C02/T1_L2"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> EarthArchive:
    return write_all(tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="module")
def shared(archive: EarthArchive) -> Iterator[EarthEngineServer]:
    with EarthEngineServer(archive.folder) as opened:
        yield opened


@pytest.fixture
def server(shared: EarthEngineServer) -> EarthEngineServer:
    shared.forget()
    shared.faults.clear()
    return shared


@pytest.fixture
def find(server: EarthEngineServer) -> Callable[..., list[Scene]]:
    return partial(find_scenes, server.url)


def sent(server: EarthEngineServer) -> list[str]:
    return [r.path.rpartition(":")[2] for r in server.requests if r.path.endswith("Pixels")]


# --- limits -----------------------------------------------------------------------------------


def pixels_of(source: EarthEngineSource, scene: Scene, boxes: Sequence[GeoBox]) -> Mapping:
    kinds = kinds_of(scene)
    placed = {key: source.place(scene, key, boxes, kinds[key]) for key in kinds}
    return {key: [(p.values, p.has_data) for p, _ in found] for key, found in placed.items()}


def assert_same(one: Mapping, other: Mapping) -> None:
    for key, found in one.items():
        for (values, has_data), (others, too) in zip(found, other[key], strict=True):
            assert np.array_equal(values, others)
            assert np.array_equal(has_data, too)


@pytest.mark.parametrize(
    ("limits", "requests"),
    [
        (Limits(bytes=32 * 32 * 11), 1),
        (Limits(bytes=16 * 32 * 11), 2),
        (Limits(bytes=16 * 16 * 11), 4),
        (Limits(bytes=16 * 16 * 10), 8),
        (Limits(side_px=16), 4),
        (Limits(bands=3), 8),
    ],
)
def test_requests_are_split_at_the_limits_and_bring_the_same(
    server, find, limits: Limits, requests: int
):
    scene = masked(find("landsat-c2-l2", "red", "nir", "qa_pixel")[0])
    boxes = cells(30, 16)
    whole, split = engine(server.url), engine(server.url, limits=limits)
    for source in (whole, split):
        source.prefetch([(scene, boxes, kinds_of(scene))])
    assert split.requests == requests
    assert_same(pixels_of(whole, scene, boxes), pixels_of(split, scene, boxes))
    assert split.requests == requests


def test_cells_far_apart_do_not_share_a_request(find):
    scene = find("landsat-c2-l2", "red", "nir")[0]
    boxes = [box_at(0, 0, 30, 64), box_at(300, 300, 30, 64)]
    requests = list(plan_requests([(scene, boxes, kinds_of(scene))], Limits()))
    assert [request.shape for request in requests] == [(64, 64), (64, 64)]


def test_one_band_of_one_cell_above_the_limit_is_said(server, find):
    scene = find("landsat-c2-l2", "red")[0]
    with pytest.raises(SourceUnreadable, match=r"at most 100 bytes .* make cells smaller"):
        engine(server.url, limits=Limits(bytes=100)).place(
            scene, "red", cells(30, 16, 1), "reflectance"
        )


def test_cells_of_other_zones_and_pixel_sizes_have_requests_of_their_own(server, find):
    scene = find("landsat-c2-l2", "red")[0]
    boxes = [box_at(0, 0, 30, 16), box_at(0, 0, 20, 16), box_at(0, 0, 30, 16, epsg=32632)]
    placed = engine(server.url).place(scene, "red", boxes, "reflectance")
    assert [method for _, method in placed] == ["none", "cubic", "cubic"]
    assert sorted(sent(server)) == ["computePixels", "computePixels", "getPixels"]


def test_the_endpoint_itself_refuses_what_is_above_the_limits(server):
    grid = {
        "dimensions": {"width": 6000, "height": 6000},
        "affineTransform": {"scaleX": 30, "scaleY": -30},
        "crsCode": "EPSG:32631",
    }
    asked = {
        "assetId": "LANDSAT/LC08/C02/T1_L2/L0",
        "bandIds": ["SR_B4"],
        "fileFormat": "NUMPY_NDARRAY",
        "grid": grid,
    }
    with open_session(source_at(server.url), QUICK):
        with pytest.raises(ee.EEException, match=r"72000000 bytes.*50331648"):
            ee.data.getPixels(asked)
        grid["dimensions"] = {"width": 40_000, "height": 1}
        with pytest.raises(ee.EEException, match="32768"):
            ee.data.getPixels(asked)


def test_the_endpoint_names_a_function_that_it_does_not_evaluate(server):
    grid = {
        "dimensions": {"width": 4, "height": 4},
        "affineTransform": {"scaleX": 30, "scaleY": -30},
        "crsCode": "EPSG:32631",
    }
    with open_session(source_at(server.url), QUICK):
        image = ee.Image("LANDSAT/LC08/C02/T1_L2/L0").log()
        asked = {"expression": image, "fileFormat": "NUMPY_NDARRAY", "grid": grid}
        with pytest.raises(ee.EEException, match=r"Image\.log is not evaluated"):
            ee.data.computePixels(asked)


# --- what goes wrong --------------------------------------------------------------------------


def test_a_busy_endpoint_is_asked_again(server, find):
    scene = masked(find("landsat-c2-l2", "red", "qa_pixel")[0])
    server.faults.answer(COMPUTE, 429, times=1, headers={"Retry-After": "0"})
    server.faults.answer(COMPUTE, 503, times=1)
    server.faults.drop(COMPUTE, times=1, after_bytes=50)
    pixels = engine(server.url)
    ((found, _),) = pixels.place(scene, "red", cells(30, 16, 1), "reflectance")
    assert found.has_data.any()
    assert pixels.requests == 4


def test_an_endpoint_that_refuses_a_third_of_all_requests_brings_the_same(server, find):
    scene = masked(find("landsat-c2-l2", "red", "nir", "qa_pixel")[0])
    boxes = cells(30, 16)
    limits = Limits(bytes=16 * 16 * 10)
    calm = pixels_of(engine(server.url, limits=limits), scene, boxes)
    server.faults.fail_share(1 / 3, seed=1)
    patient = engine(server.url, limits=limits, retries=replace(QUICK, attempts=8))
    assert_same(calm, pixels_of(patient, scene, boxes))
    assert patient.requests > 8


@pytest.mark.parametrize("status", [403, 429, 500, 503])
def test_an_endpoint_that_stays_busy_leaves_the_task_for_later(server, find, status: int):
    scene = masked(find("landsat-c2-l2", "red", "qa_pixel")[0])
    server.faults.answer(COMPUTE, status)
    with pytest.raises(SourceUnavailable, match=f"ee://LANDSAT.*HTTP {status}"):
        engine(server.url).prefetch([(scene, cells(30, 16, 1), kinds_of(scene))])


def test_an_endpoint_out_of_reach_leaves_the_task_for_later(server, find, closed_port: int):
    scene = find("landsat-c2-l2", "red")[0]
    source = replace(source_at(server.url), url=f"http://127.0.0.1:{closed_port}")
    pixels = EarthEngineSource(source, "x", retries=QUICK)
    with pytest.raises(SourceUnavailable, match="no answer"):
        pixels.place(scene, "red", cells(30, 16, 1), "reflectance")


def gone(scene: Scene) -> Scene:
    assets = {k: replace(a, href=a.href + "_gone") for k, a in scene.assets.items()}
    return replace(scene, id=scene.id + "_gone", assets=assets)


def test_an_image_that_is_gone_will_not_come_back(server, find):
    scene = gone(find("landsat-c2-l2", "red", "nir")[0])
    pixels = engine(server.url)
    with pytest.raises(SourceUnreadable, match=r"ee://LANDSAT/.*L0_gone .*HTTP 404"):
        pixels.place(scene, "red", cells(30, 16, 1), "reflectance")
    assert pixels.requests == 1


def test_an_image_that_is_gone_spoils_no_other(server, find):
    scene, other = find("landsat-c2-l2", "red", "nir")
    boxes = cells(30, 16)
    pixels = engine(server.url)
    pixels.prefetch([(one, boxes, kinds_of(one)) for one in (scene, gone(other))])
    assert len(pixels.place(scene, "red", boxes, "reflectance")) == 4
    with pytest.raises(SourceUnreadable, match="L1_gone"):
        pixels.place(gone(other), "red", boxes, "reflectance")


def test_an_answer_that_is_no_array_is_not_taken(server, find):
    scene = find("landsat-c2-l2", "red")[0]
    server.faults.answer(f"{LANDSAT}/L0:getPixels", 200, body=b"<html>")
    with pytest.raises(SourceUnreadable, match="could not be read"):
        engine(server.url).place(scene, "red", cells(30, 16, 1), "reflectance")
