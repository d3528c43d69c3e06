"""From the continuous landscape to pixels: areas, point spread, shifts, responses."""

import math
from datetime import UTC, datetime

import numpy as np
import pytest
import shapely

from pipeline.sandbox.fields import PixelGrid, synthesize_field
from pipeline.sandbox.landscape import Houses
from pipeline.sandbox.optical import LANDSAT_FACTOR, render_landsat, render_truth
from pipeline.sandbox.sampling import View, aperture_weights, sample_views
from pipeline.sandbox.schedule import LANDSAT, TINY, list_overpasses
from pipeline.sandbox.sensors import MSI, OLI, SHIFT_M, response
from pipeline.sandbox.shapes import area_ha, split_block
from pipeline.sandbox.weather import sun_at
from pipeline.sandbox.world import build_world


@pytest.fixture(scope="module")
def world():
    return build_world(TINY)


@pytest.fixture(scope="module")
def clear_pass():
    passes = [p for p in list_overpasses(TINY) if p.collection == LANDSAT]
    return next(p for p in passes if p.cloud_cover == 0.0)


def decode(rendered, band):
    raster = next(r for r in rendered.rasters if r.band == band)
    return raster.values * raster.scale + raster.offset


def test_a_step_seen_through_the_aperture_rises_as_the_point_spread_says():
    weights = aperture_weights(pixel_m=30.0, blur_m=OLI["red"].blur_m, step_m=0.5, reach=80)
    assert weights.sum() == pytest.approx(1, abs=1e-5)
    slope_per_m = weights.max() / 0.5
    assert slope_per_m == pytest.approx(0.027, rel=0.06)


def test_modulation_at_nyquist_is_that_of_the_sensor():
    step = 0.25
    weights = aperture_weights(pixel_m=10.0, blur_m=MSI["red"].blur_m, step_m=step, reach=80)
    u = (np.arange(len(weights)) - (len(weights) - 1) / 2) * step
    transfer = float((weights * np.cos(2 * np.pi * u / 20.0)).sum())
    assert transfer == pytest.approx(0.225, abs=0.005)


def test_without_blur_a_pixel_is_the_plain_mean_of_its_area(world, clear_pass):
    grid = TINY.grid(20.0)
    scenery = world.scenery(clear_pass, world.look(clear_pass))
    values = np.linspace(0, 1, len(world.landscape.traits.kind), dtype=np.float32)
    [found] = sample_views(
        scenery, [View(mean=values, gsd_m=20.0)], pixels=grid, factor=4, shift_m=(0.0, 0.0)
    )
    fine = PixelGrid(grid.west, grid.north, 5.0, grid.width * 4, grid.height * 4)
    samples = values[world.landscape.patch_ids(fine)]
    mean = samples.reshape(grid.height, 4, grid.width, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(found, mean, atol=1e-5)


def test_a_whole_pixel_shift_moves_the_picture_by_that_pixel(world, clear_pass):
    grid = TINY.grid(20.0)
    scenery = world.scenery(clear_pass, world.look(clear_pass))
    look = world.look(clear_pass)
    view = View(mean=look.mean[2], per_fertility=look.per_fertility[2], gsd_m=20.0, blur_m=5.0)
    still, moved = (
        sample_views(scenery, [view], pixels=grid, factor=4, shift_m=shift)[0]
        for shift in ((0.0, 0.0), (40.0, -20.0))
    )
    np.testing.assert_allclose(moved[1:, 2:], still[:-1, :-2], atol=2e-5)


def test_the_stated_shift_is_the_one_in_the_pixels(world, clear_pass):
    scene = decode(render_landsat(world, clear_pass), "red")
    look = world.look(clear_pass)
    index = 2

    def predicted(east_m, north_m):
        [seen] = sample_views(
            world.scenery(clear_pass, look),
            [View(mean=look.mean[index], gsd_m=30.0, blur_m=OLI["red"].blur_m)],
            pixels=TINY.grid(30.0, offset_m=15.0),
            factor=LANDSAT_FACTOR,
            shift_m=(east_m, north_m),
        )
        return np.corrcoef(seen.ravel(), scene.ravel())[0, 1]

    true_east, true_north = clear_pass.shift_m
    assert math.hypot(true_east, true_north) > 3
    offsets = np.array([-6.0, 0.0, 6.0])
    along_x = [predicted(true_east + d, true_north) for d in offsets]
    along_y = [predicted(true_east, true_north + d) for d in offsets]
    for curve in (along_x, along_y):
        square, slope, _ = np.polyfit(offsets, curve, 2)
        assert abs(-slope / (2 * square)) < 0.5


def test_landsat_is_the_truth_seen_coarsely_and_through_another_response(world, clear_pass):
    landsat = decode(render_landsat(world, clear_pass), "red")[1:-1, 1:-1]
    truth = decode(render_truth(world, clear_pass, "truth"), "red")
    count = len(truth) // 3 - 1
    middle = truth[2 : 2 + 3 * count, 2 : 2 + 3 * count]
    coarse = middle.reshape(count, 3, count, 3).mean(axis=(1, 3))
    landsat = landsat[:count, :count]
    assert np.corrcoef(coarse.ravel(), landsat.ravel())[0, 1] > 0.85
    assert landsat.std() < coarse.std()
    slope, offset = np.polyfit(coarse.mean(axis=0), landsat.mean(axis=0), 1)
    assert slope * coarse.mean() + offset == pytest.approx(landsat.mean(), abs=1e-9)
    assert landsat.mean() == pytest.approx(coarse.mean(), abs=0.012)


def test_houses_are_stamped_as_a_point_in_polygon_test_would():
    rng = np.random.default_rng(3)
    houses = Houses(
        centers=rng.uniform(0, 100, (12, 2)),
        sizes=rng.uniform(8, 14, (12, 2)),
        angles=rng.uniform(0, 3, 12),
    )
    grid = PixelGrid(0.0, 100.0, 1.25, 80, 80)
    ids = np.zeros(grid.shape, np.int32)
    houses.stamp(ids, grid, first=1)
    x, y = np.meshgrid(grid.x, grid.y)
    expected = np.zeros_like(ids)
    for i in range(12):
        box = shapely.box(*(-houses.sizes[i] / 2), *(houses.sizes[i] / 2))
        turned = shapely.affinity.rotate(box, houses.angles[i], origin=(0, 0), use_radians=True)
        placed = shapely.affinity.translate(turned, *houses.centers[i])
        expected[shapely.contains_xy(placed, x, y)] = i + 1
    np.testing.assert_array_equal(ids, expected)


def test_parcels_tile_their_block():
    rng = np.random.default_rng(0)
    block = [(0.0, 0.0), (900.0, 100.0), (1000.0, 800.0), (100.0, 700.0)]
    parcels = split_block(rng, block, 3.0)
    assert len(parcels) > 8
    assert sum(map(area_ha, parcels)) == pytest.approx(area_ha(block))
    union = shapely.union_all([shapely.Polygon(p) for p in parcels])
    assert union.area / 1e4 == pytest.approx(area_ha(block))


def test_a_field_evaluates_alike_on_a_grid_and_at_points():
    field = synthesize_field(
        np.random.default_rng(1),
        period_m=3000.0,
        spacing_m=60.0,
        roughness=2.0,
        largest_m=1500.0,
    )
    grid = PixelGrid(499_207.0, 5_640_001.0, 37.0, 30, 20)
    x, y = np.meshgrid(grid.x, grid.y)
    np.testing.assert_allclose(field.on(grid), field.at(x, y), atol=1e-3)
    whole = field.on(PixelGrid(0.0, 3000.0, 60.0, 50, 50))
    assert whole.std() == pytest.approx(1, rel=0.02)


def test_responses_of_the_two_sentinels_agree_after_their_own_adjustment():
    ground = np.linspace(0.01, 0.6, 20)
    _, gain, offset = response("sentinel-2b", "swir2")
    as_oli = 0.9867 * (gain * ground + offset) + 0.0004
    _, oli_gain, oli_offset = response("landsat-9", "swir2")
    np.testing.assert_allclose(as_oli, oli_gain * ground + oli_offset, atol=1e-12)


def test_shifts_have_the_size_of_the_cited_geolocation():
    rng = np.random.default_rng(0)
    landsat = rng.normal(0, SHIFT_M[LANDSAT], (200_000, 2))
    assert np.quantile(np.hypot(*landsat.T), 0.9) == pytest.approx(12, rel=0.01)


@pytest.mark.parametrize(
    ("day", "elevation_deg"),
    [("2021-06-21", 62.64), ("2021-03-21", 39.2), ("2021-12-21", 15.76)],
)
def test_the_noon_sun_stands_as_high_as_latitude_and_season_say(day, elevation_deg):
    noon = datetime.fromisoformat(day).replace(hour=12, tzinfo=UTC)
    sun = sun_at(noon, lon_deg=0.0, lat_deg=50.8)
    assert sun.elevation_deg == pytest.approx(elevation_deg, abs=0.6)
    assert sun.azimuth_deg == pytest.approx(180, abs=0.1)
    morning = sun_at(noon.replace(hour=10), lon_deg=0.0, lat_deg=50.8)
    assert 90 < morning.azimuth_deg < 180
