"""Pixels through the unmodified client, from an endpoint that counts and keeps the limits."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import ee
import numpy as np
import pytest
import rasterio
from distributed import Client
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.warp import reproject

from catalog.providers.source import Source
from catalog.scene import Scene
from pipeline.ee_pixels import EarthEngineSource, workload_tag
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


def pasted(path: Path, box: GeoBox) -> np.ndarray:
    """What rasterio itself reads on a cell of the file's own grid."""
    with rasterio.open(path) as dataset:
        left, top = ~dataset.transform @ (box.affine.c, box.affine.f)
        rows, cols = box.shape
        col, row = round(left), round(top)
        return dataset.read(1)[row : row + rows, col : col + cols]


def warped(path: Path, box: GeoBox, method: Resampling) -> np.ndarray:
    out = np.full(box.shape, np.nan, "f4")
    with rasterio.open(path) as dataset:
        reproject(
            dataset.read(1).astype("f4"),
            out,
            src_transform=dataset.transform,
            src_crs=dataset.crs,
            src_nodata=dataset.nodata,
            dst_transform=box.affine,
            dst_crs="EPSG:32631",
            dst_nodata=np.nan,
            resampling=method,
        )
    return out


def sent(server: EarthEngineServer) -> list[str]:
    return [r.path.rpartition(":")[2] for r in server.requests if r.path.endswith("Pixels")]


# --- one image on its own grid ----------------------------------------------------------------


def test_an_images_own_pixels_come_by_get_pixels_and_are_pasted(server, archive, find):
    scene = find("landsat-c2-l2", "red", "nir")[0]
    boxes = cells(30, 16)
    pixels = engine(server.url)
    pixels.prefetch([(scene, boxes, kinds_of(scene))])
    for key in ("red", "nir"):
        for box, (found, method) in zip(
            boxes, pixels.place(scene, key, boxes, "reflectance"), strict=True
        ):
            true = pasted(archive.file("L0", key), box)
            assert np.array_equal(found.values, true)
            assert np.array_equal(found.has_data, true != 0)
            assert found.values.dtype == np.uint16
            assert method == "none"
    assert sent(server) == ["getPixels"]
    assert pixels.requests == 1


def test_a_cell_that_reaches_beyond_the_image_has_no_data_there(server, find):
    scene = find("landsat-c2-l2", "red", "nir")[0]
    outside, across = box_at(5, 5, 30, 16), box_at(2, 2, 30, 16)
    (none, _), (some, _) = engine(server.url).place(
        scene, "red", [outside, across], "reflectance"
    )
    assert not none.has_data.any()
    assert some.has_data[:8, :8].all()
    assert not some.has_data[8:].any()


def test_classes_of_a_coarser_grid_come_along_without_computing(server, archive, find):
    scene = find("sentinel-2-l2a", "red", "scl")[0]
    zero = {key: replace(asset, nodata=0) for key, asset in scene.assets.items()}
    scene = replace(scene, assets=zero)
    (box,) = cells(10, 60, 1)
    pixels = engine(server.url)
    pixels.prefetch([(scene, [box], kinds_of(scene))])
    ((classes, method),) = pixels.place(scene, "scl", [box], "quality")
    true = warped(archive.file("S0", "scl"), box, Resampling.nearest)
    assert method == "nearest"
    assert np.array_equal(classes.has_data, np.isfinite(true))
    assert np.array_equal(classes.values[classes.has_data], true[classes.has_data])
    assert sent(server) == ["getPixels"]


def test_the_offset_of_sentinel2_is_taken_off_as_in_the_harmonized_collection(
    server, archive, find
):
    scene = find("sentinel-2-l2a", "red")[0]
    (box,) = cells(10, 60, 1)
    ((found, _),) = engine(server.url).place(scene, "red", [box], "reflectance")
    true = pasted(archive.file("S0", "red"), box).astype(int) - 1000
    assert np.array_equal(found.values[found.has_data], true[true > 0])


# --- computed ---------------------------------------------------------------------------------


def test_all_bands_of_all_images_of_a_task_come_in_one_request(server, archive, find):
    landsat = find("landsat-c2-l2", "red", "nir", "qa_pixel")
    boxes = cells(30, 16)
    pixels = engine(server.url)
    pixels.prefetch([(scene, boxes, kinds_of(scene)) for scene in landsat])
    for scene in landsat:
        for key in ("qa_pixel", "red", "nir"):
            kind = kinds_of(scene)[key]
            for box, (found, method) in zip(
                boxes, pixels.place(scene, key, boxes, kind), strict=True
            ):
                true = pasted(archive.file(scene.id, key), box)
                red = pasted(archive.file(scene.id, "red"), box)
                assert np.array_equal(found.has_data, red != 0)
                assert np.array_equal(found.values[found.has_data], true[found.has_data])
                assert method == "none"
    assert sent(server) == ["computePixels"]


def test_a_scene_that_is_wanted_twice_is_asked_for_once(server, find):
    scene = masked(find("landsat-c2-l2", "red", "nir", "qa_pixel")[0])
    boxes, kinds = cells(30, 16), kinds_of(scene)
    engine(server.url).prefetch([(scene, boxes[:3], kinds), (scene, boxes[1:], kinds)])
    (asked,) = server.asked(COMPUTE)
    assert "i1_red" not in json.dumps(asked.body)


def test_the_quality_band_first_and_the_others_later_send_nothing_more(server, find):
    scene = find("landsat-c2-l2", "red", "nir", "qa_pixel")[0]
    boxes = cells(30, 16)
    pixels = engine(server.url)
    pixels.place(scene, "qa_pixel", boxes, "quality")
    pixels.place(scene, "red", boxes[1:3], "reflectance")
    pixels.place(scene, "nir", boxes[2:], "reflectance")
    assert pixels.requests == 1
    assert server.pixel_requests == 1


@pytest.mark.parametrize(
    "case",
    [
        ("sentinel-2-l2a", "swir1", 10, Resampling.cubic),
        ("sentinel-2-l2a", "red", 30, Resampling.average),
        ("sentinel-2-l2a", "scl", 60, Resampling.nearest),
        ("dynamic-world", "trees", 7.5, Resampling.bilinear),
        ("dynamic-world", "label", 7.5, Resampling.nearest),
        ("hls-l30", "red", 20, Resampling.cubic),
    ],
)
def test_other_grids_are_resampled_by_the_kind_of_band(
    server, archive, find, case: tuple[str, str, float, Resampling]
):
    product, key, gsd_m, method = case
    scene = find(product, key)[0]
    (box,) = [box_at(0, 0, gsd_m, 20)]
    kind = kinds_of(scene)[key]
    ((found, said),) = engine(server.url).place(scene, key, [box], kind)
    stated = archive.stated(scene.id, key)
    raw = warped(archive.file(scene.id, key), box, method)
    asset = scene.assets[key]
    physical = raw * stated["scale"] + stated["offset"]
    assert said == method.name
    assert np.array_equal(found.has_data, np.isfinite(raw))
    np.testing.assert_allclose(
        (found.values * asset.scale + asset.offset)[found.has_data],
        physical[found.has_data],
        rtol=1e-4,
        atol=1e-6,
    )


def test_a_class_of_zero_is_data_where_the_mask_says_so(server, archive, find):
    scene = find("dynamic-world", "label", "trees")[0]
    (box,) = cells(10, 40, 1)
    ((found, method),) = engine(server.url).place(scene, "label", [box], "class")
    true = pasted(archive.file("D0", "label"), box)
    assert method == "none"
    assert (found.values[found.has_data] == 0).any()
    assert np.array_equal(found.has_data, true != 255)
    assert np.array_equal(found.values[found.has_data], true[found.has_data])


def test_values_that_are_physical_there_arrive_as_floats(server, archive, find):
    scene = find("hls-l30", "red", "fmask")[0]
    (box,) = cells(30, 16, 1)
    ((found, method),) = engine(server.url).place(scene, "red", [box], "reflectance")
    assert (scene.assets["red"].scale, scene.assets["red"].offset) == (1, 0)
    np.testing.assert_allclose(found.values, pasted(archive.file("H0", "red"), box) * 1e-4)
    assert method == "none"


# --- accounts and workers ---------------------------------------------------------------------


def test_every_request_carries_the_recipes_name_as_a_tag(server, find):
    for bands in (("red",), ("red", "qa_pixel")):
        scene = find("landsat-c2-l2", *bands)[0]
        engine(server.url).place(scene, "red", cells(30, 16, 1), "reflectance")
    bodies = [r.body for r in server.requests if r.path.endswith("Pixels")]
    assert [body["workloadTag"] for body in bodies] == ["lssr-belgium", "lssr-belgium"]


@pytest.mark.parametrize(
    ("name", "tag"),
    [("", "geoloupe"), ("--", "geoloupe"), ("Übung 1", "bung-1"), ("a" * 99, "a" * 63)],
)
def test_any_name_makes_a_tag_that_the_client_accepts(name: str, tag: str):
    assert workload_tag(name) == tag
    ee.data.setWorkloadTag(tag)
    ee.data.resetWorkloadTag()


def place_on_worker(source: Source, scene: Scene, boxes: list[GeoBox]) -> list[np.ndarray]:
    pixels = EarthEngineSource(source, "cluster", retries=QUICK)
    return [p.values for p, _ in pixels.place(scene, "red", boxes, "reflectance")]


def test_workers_share_the_limit_and_each_opens_one_session(
    server, archive, find, client: Client
):
    scene = find("landsat-c2-l2", "red", "qa_pixel")[0]
    boxes = cells(30, 16, 1)
    server.forget()
    futures = [
        client.submit(place_on_worker, source_at(server.url), scene, boxes, pure=False)
        for _ in range(6)
    ]
    true = pasted(archive.file("L0", "red"), boxes[0])
    for (values,) in client.gather(futures):
        assert np.array_equal(values, true)
    workers = len(client.scheduler_info()["workers"])
    assert len(server.asked("/v1alpha/projects/loopback/algorithms")) <= workers
    assert server.pixel_requests == 6


def test_a_request_as_sent_holds_no_address_and_no_key(server, find):
    scene = masked(find("landsat-c2-l2", "red", "qa_pixel")[0])
    engine(server.url).place(scene, "red", cells(30, 16, 1), "reflectance")
    (asked,) = server.asked(COMPUTE)
    assert set(asked.body) == {"expression", "fileFormat", "grid", "workloadTag"}
    assert "http" not in json.dumps(asked.body)
