"""The Earth Engine endpoint of the sandbox, as the unmodified client meets it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import ee
import numpy as np
import pytest

from catalog.providers.ee_session import open_session
from catalog.providers.query import Retries
from catalog.providers.source import KNOWN_SOURCES
from pipeline.sandbox.serve.earth_engine import EarthEngineResponder, EarthEngineServer
from pipeline.sandbox.serve.http import Answer, Call, LoopbackServer
from tests.earth_archive import NORTH, WEST, EarthArchive, landsat_bands

TIME = datetime(2020, 6, 10, 10, 40, tzinfo=UTC)
QUICK = Retries(attempts=1, backoff_s=0.01, timeout_s=10)
IMAGE = "LANDSAT/LC08/C02/T1_L2/L8"
GRID = {
    "dimensions": {"width": 8, "height": 8},
    "affineTransform": {"scaleX": 30, "translateX": WEST, "scaleY": -30, "translateY": NORTH},
    "crsCode": "EPSG:32631",
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> EarthArchive:
    earth = EarthArchive(tmp_path_factory.mktemp("archive"))
    earth.add("landsat-c2-l2", "L8", TIME, landsat_bands("L8"), platform="landsat-8")
    earth.add("landsat-c2-l2", "L9", TIME, landsat_bands("L9"), platform="landsat-9")
    return earth


@pytest.fixture(scope="module")
def server(archive: EarthArchive) -> Iterator[EarthEngineServer]:
    with EarthEngineServer(archive.folder) as opened:
        yield opened


@pytest.fixture
def session(server: EarthEngineServer) -> Iterator[None]:
    with open_session(replace(KNOWN_SOURCES["earth-engine"], url=server.url), QUICK):
        yield


def compute(image: Any) -> np.ndarray:
    asked = {"expression": image, "fileFormat": "NUMPY_NDARRAY", "grid": GRID}
    return ee.data.computePixels(asked)


@pytest.mark.usefixtures("session")
def test_a_platform_is_in_the_collection_of_its_own():
    ids = {
        collection: [
            i["id"].rpartition("/")[2] for i in ee.data.listImages(collection)["images"]
        ]
        for collection in ("LANDSAT/LC08/C02/T1_L2", "LANDSAT/LC09/C02/T1_L2")
    }
    assert list(ids.values()) == [["L8"], ["L9"]]


@pytest.mark.usefixtures("session")
def test_an_image_describes_its_bands_as_the_api_does():
    image = ee.data.getAsset(IMAGE)
    bands = {band["id"]: band for band in image["bands"]}
    assert set(bands) == {"SR_B4", "SR_B5", "QA_PIXEL"}
    assert bands["SR_B4"]["dataType"] == {"precision": "INT", "range": {"max": 65535.0}}
    assert "shearX" not in bands["SR_B4"]["grid"]["affineTransform"]
    assert image["startTime"] == "2020-06-10T10:40:00.000000Z"


@pytest.mark.usefixtures("session")
def test_pixels_arrive_as_one_field_per_band():
    found = compute(ee.Image(IMAGE).select(["SR_B4", "QA_PIXEL"], ["a", "b"]))
    assert found.dtype.names == ("a", "b")
    assert found.shape == (8, 8)
    assert (found["a"][:5, :5] == 0).all()
    assert (found["a"][5:, 5:] >= 300).all()


@pytest.mark.usefixtures("session")
def test_masked_pixels_are_zero_and_the_mask_says_so():
    image = ee.Image(IMAGE).select(["SR_B4", "QA_PIXEL"])
    found = compute(image.mask().reduce(ee.Reducer.min()).gte(0.5).toUint8())
    (name,) = found.dtype.names
    assert (found[name][:5, :5] == 0).all()
    assert (found[name][5:, 5:] == 1).all()


@pytest.mark.usefixtures("session")
@pytest.mark.parametrize(
    ("image", "why"),
    [
        (lambda: ee.Image(IMAGE).add(1), r"Image\.add is not evaluated"),
        (lambda: ee.Image(IMAGE).select(["B99"]), "Band pattern 'B99' did not match"),
        (lambda: ee.Image(IMAGE).mask(ee.Image(1)), "mask cannot be set"),
        (lambda: ee.Image(IMAGE).resample("cubic"), "mode 'cubic'"),
        (lambda: ee.Image(IMAGE).reduce(ee.Reducer.max()), r"Reducer\.max is not"),
        (lambda: ee.Image("no/such"), "'no/such' not found"),
        (lambda: ee.Image(IMAGE).addBands(ee.Image(IMAGE)), "is there already"),
    ],
)
def test_what_it_does_not_evaluate_is_refused_by_name(image: Any, why: str):
    with pytest.raises(ee.EEException, match=why):
        compute(image())


@pytest.mark.usefixtures("session")
def test_a_filter_that_it_does_not_know_is_refused():
    with pytest.raises(ee.EEException, match="is not understood here"):
        ee.data.listImages({"parent": "LANDSAT/LC08/C02/T1_L2", "filter": "cloud < 3"})


@pytest.mark.usefixtures("session")
def test_values_are_not_computed():
    with pytest.raises(ee.EEException, match="value:compute is not served"):
        ee.Number(1).getInfo()


@pytest.mark.usefixtures("session")
def test_too_many_bands_are_refused():
    red = ee.Image(IMAGE).select(["SR_B4"] * 1025, [f"b{n}" for n in range(1025)])
    with pytest.raises(ee.EEException, match="at most 1024"):
        compute(red)


class Mounted(LoopbackServer):
    """An endpoint below a prefix, as one server of many archives has it."""

    def __init__(self, responder: EarthEngineResponder) -> None:
        self.responder = responder
        super().__init__()

    def respond(self, call: Call) -> Answer:
        assert call.path.startswith("/ee/")
        return self.responder.respond(replace(call, path=call.path.removeprefix("/ee")))


def test_it_works_below_a_prefix_of_a_larger_server(archive: EarthArchive):
    with Mounted(EarthEngineResponder(archive.folder)) as server:
        source = replace(KNOWN_SOURCES["earth-engine"], url=f"{server.url}/ee")
        with open_session(source, QUICK):
            assert ee.data.getAsset(IMAGE)["id"] == IMAGE
