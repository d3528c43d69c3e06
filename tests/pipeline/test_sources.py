from datetime import UTC, datetime

import numpy as np
import pytest
import shapely

from catalog.grid import PatchGrid
from catalog.scene import Asset, Scene
from pipeline.read import BlockReader
from pipeline.sources import RasterSource
from tests.rasters import grid_at, write_raster

GRID = PatchGrid(gsd_m=10, size_px=60, stride_px=60, origin_m=(501375, 5629065))
BOXES = [GRID.cell(32631, col, row).geobox(10) for row in range(2) for col in range(2)]
WEST, NORTH = 501375, 5629065 + 1200


@pytest.fixture
def scene(tmp_path):
    """A scene of two bands on the cells' own grid."""
    assets = {}
    for seed, band in enumerate(("red", "nir")):
        values = np.random.default_rng(seed).integers(1, 4000, (220, 220)).astype(np.uint16)
        path = write_raster(
            tmp_path / f"{band}.tif", values, transform=grid_at(WEST - 500, NORTH + 500, 10)
        )
        assets[band] = Asset(band=band, href=str(path), scale=1.0, offset=0.0, nodata=0)
    return Scene(
        id="S", product="landsat-c2-l2", source="files", platform="landsat-8",
        time=datetime(2020, 6, 1, tzinfo=UTC), footprint=shapely.box(3, 50, 4, 51), cloud=0.0,
        epsg=32631, version="1", assets=assets,
    )  # fmt: skip


def test_cells_come_back_in_the_order_they_were_asked_for(scene):
    source = RasterSource(BlockReader())
    forward = source.place(scene, "red", BOXES, "reflectance", (3.0, 4.0))
    backward = source.place(scene, "red", BOXES[::-1], "reflectance", (3.0, 4.0))
    for (a, _), (b, _) in zip(forward, backward[::-1], strict=True):
        np.testing.assert_allclose(a.values, b.values, atol=1e-3)


def test_a_scene_without_a_shift_is_pasted_and_one_with_a_shift_is_not(scene):
    source = RasterSource(BlockReader())
    assert {m for _, m in source.place(scene, "red", BOXES, "reflectance")} == {"none"}
    shifted = source.place(scene, "red", BOXES, "reflectance", (10.0, 0.0))
    assert {m for _, m in shifted} == {"cubic"}


def test_a_shift_of_whole_pixels_is_the_paste_of_cells_moved_that_far(scene):
    source = RasterSource(BlockReader())
    still = source.place(scene, "nir", [BOXES[1]], "reflectance")[0][0]
    [(shifted, _)] = source.place(scene, "nir", [BOXES[0]], "reflectance", (600.0, 0.0))
    np.testing.assert_allclose(shifted.values, still.values, atol=0.01)


def test_each_shift_has_its_own_arrangement(scene):
    source = RasterSource(BlockReader())
    found = [
        source.place(scene, "red", BOXES, "reflectance", (east, 0.0))[0][0].values
        for east in (1.0, 9.0, 1.0)
    ]
    assert np.array_equal(found[0], found[2])
    assert not np.array_equal(found[0], found[1])
