from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO

import geopandas as gpd
import numpy as np
import pytest
import shapely

from catalog.scene import Asset, Scene
from catalog.scenes import read_scenes, write_scenes

TIME = datetime(2018, 7, 17, 10, 40, 28, 123456, tzinfo=UTC)
RED = Asset(
    band="red",
    href="https://example.com/red.tif",
    scale=2.75e-5,
    offset=-0.2,
    nodata=0.0,
    shape=(20, 21),
    transform=(30.0, 0.0, 501375.0, 0.0, -30.0, 5629665.0),
)
BARE = Asset(band="vv", href="/data/vv.tif", scale=1.0, offset=0.0, nodata=None)
FULL = Scene(
    id="LC08_1",
    product="landsat-c2-l2",
    source="earth-search",
    platform="landsat-8",
    time=TIME,
    footprint=shapely.box(3.0, 50.8, 3.1, 50.9),
    cloud=0.0,
    epsg=32631,
    version="02|2020-09-08T00:00:00Z",
    assets={"red": RED},
)
SPARSE = replace(
    FULL, id="S1", platform="", cloud=None, epsg=None, version="", assets={"vv": BARE}
)

PAID = replace(
    FULL,
    access="requester-pays",
    assets={
        "red": replace(RED, part="SR_B4"),
        "green": replace(RED, band="green", href="s3://b/analytic.tif", index=2),
        "blue": replace(RED, band="blue", nodata=float("inf")),
    },
)


@pytest.mark.parametrize("scenes", [[FULL], [SPARSE], [FULL, SPARSE], [PAID], []])
def test_scenes_come_back_as_they_were_written(scenes):
    assert list(read_scenes(write_scenes(scenes))) == scenes


def test_equal_scenes_give_equal_bytes_in_any_order():
    scenes = [
        replace(FULL, id=f"s{i % 7}", time=TIME + timedelta(hours=i % 3), version=str(i))
        for i in range(20)
    ]
    scenes += [replace(one, assets={"vv": BARE}) for one in scenes[:5]]
    first = write_scenes(scenes)
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(scenes))
        assert write_scenes([scenes[i] for i in order]) == first


def test_other_tools_read_the_file_as_geoparquet():
    frame = gpd.read_parquet(BytesIO(write_scenes([FULL, SPARSE])))
    assert frame.crs == "EPSG:4326"
    assert list(frame["id"]) == ["LC08_1", "S1"]
    assert frame.geometry.iloc[0].equals(FULL.footprint)
