"""Where sun and sensor stood: what items state, and nothing else."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from catalog.products import find_product
from catalog.providers.items import read_item
from catalog.providers.source import stac_source
from catalog.scene import SceneAngles
from catalog.scenes import read_scenes, write_scenes
from tests.rasters import stac_item

NOON = datetime(2022, 3, 1, 12, tzinfo=UTC)
S2 = find_product("sentinel-2-l2a")


def read(**properties):
    item = stac_item("S2_1", S2.key, NOON, assets={"B04": {"href": "r.tif"}}, **properties)
    return read_item(item, S2, source=stac_source("test"), bands=["red"])


@pytest.mark.parametrize(
    ("stated", "angles"),
    [
        ({}, None),
        ({"view:sun_elevation": 40, "view:sun_azimuth": 150.5}, (50.0, 150.5, None, None)),
        (
            {
                "view:sun_elevation": 40.0,
                "view:sun_azimuth": 150.0,
                "view:incidence_angle": 7.5,
                "view:azimuth": 112.0,
            },
            (50.0, 150.0, 7.5, 112.0),
        ),
        (
            {"view:sun_elevation": 40.0, "view:sun_azimuth": 150.0, "view:off_nadir": 0},
            (50.0, 150.0, 0.0, 0.0),
        ),
        (
            {"s2:mean_solar_zenith": 37.5, "s2:mean_solar_azimuth": 170.0},
            (37.5, 170.0, None, None),
        ),
        ({"view:sun_elevation": "high", "view:azimuth": float("nan")}, None),
    ],
    ids=["silent", "sun", "earth-search", "landsat", "planetary-computer", "nonsense"],
)
def test_angles_are_those_that_an_item_states(stated, angles):
    names = ("sun_zenith", "sun_azimuth", "view_zenith", "view_azimuth")
    expected = angles and SceneAngles(**dict(zip(names, angles, strict=True)))
    assert read(**stated).angles == expected


def test_angles_survive_the_scenes_file():
    plain = read()
    told = replace(plain, id="S2_2", angles=SceneAngles(sun_zenith=50.1, view_zenith=0.0))
    assert read_scenes(write_scenes([told, plain])) == (plain, told)
