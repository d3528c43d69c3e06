"""Known displacements are found to a small part of a pixel, and chance is not believed."""

from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.sandbox.fields import PixelGrid, synthesize_field
from pipeline.sandbox.optical import render_landsat, render_sentinel2
from pipeline.sandbox.schedule import LANDSAT, SENTINEL2, SandboxConfig, list_overpasses
from pipeline.sandbox.world import build_world
from pipeline.shift import measure_shift, shift_image, weighted_median
from pipeline.shift_windows import ImagePair
from pipeline.validity import landsat_qa_pixel, sentinel2_scl

STEP_M = 30.0


def two_views(rows, columns, *, seed=0, size=96, noise=0.002):
    """One smooth field seen from two places, `rows` and `columns` pixels apart."""
    rng = np.random.default_rng(seed)
    field = synthesize_field(
        rng, period_m=size * STEP_M * 1.5, spacing_m=45.0, roughness=2.5, largest_m=900.0
    )
    grid = PixelGrid(0.0, size * STEP_M, STEP_M, size, size)
    # A companion that shows the ground further down shows what lies further up.
    moved = grid.move(east_m=-columns * STEP_M, north_m=rows * STEP_M)
    images = [0.2 + 0.05 * field.on(g) for g in (grid, moved)]
    return [one[None] + rng.normal(0, noise, (1, size, size)) for one in images]


def pair_of(anchor, companion, anchor_valid=None, companion_valid=None):
    everywhere = np.ones(anchor.shape[1:], bool)
    return ImagePair(
        anchor=anchor,
        anchor_valid=everywhere if anchor_valid is None else anchor_valid,
        companion=companion,
        companion_valid=everywhere if companion_valid is None else companion_valid,
    )


def error_of(estimate, rows, columns):
    return np.hypot(estimate.rows - rows, estimate.columns - columns)


@pytest.mark.parametrize(
    ("rows", "columns"), [(0, 0), (0.3, -0.7), (-0.5, 0.5), (1.25, 0.1), (-1.7, 1.6)]
)
def test_a_known_shift_is_found_to_two_hundredths_of_a_pixel(rows, columns):
    found = measure_shift([pair_of(*two_views(rows, columns))], reach_px=3)
    assert error_of(found, rows, columns) < 0.02
    assert found.confidence > 0.5
    assert found.error_px < 0.05
    assert found.explained > 0.8


def test_each_field_may_be_brighter_or_darker_than_before():
    anchor, companion = two_views(0.4, -0.6)
    dark = np.zeros((96, 96), bool)
    dark[:40, 20:75] = dark[55:, :47] = True
    inverted = np.where(dark, 0.5 - 1.5 * companion, companion)
    found = measure_shift([pair_of(anchor, inverted)], reach_px=2)
    assert error_of(found, 0.4, -0.6) < 0.05
    assert found.confidence > 0.3


def test_what_is_not_usable_takes_no_part_whatever_it_holds():
    anchor, companion = two_views(-0.45, 0.8)
    rng = np.random.default_rng(1)
    here, there = (rng.random((96, 96)) > 0.02 for _ in range(2))
    here[:30, :50], there[60:, 20:] = False, False
    clouded = np.where(here, anchor, 0.9)
    missing = np.where(there, companion, np.nan)
    found = measure_shift([pair_of(clouded, missing, here, there)], reach_px=2)
    assert error_of(found, -0.45, 0.8) < 0.05
    assert found.confidence > 0.5


def test_changed_fields_tell_nothing_instead_of_something_wrong():
    anchor, companion = two_views(0.35, 0.25)
    other = two_views(0, 0, seed=9)[0]
    companion[:, 20:70, 10:60] = other[:, 20:70, 10:60]
    found = measure_shift([pair_of(anchor, companion)], reach_px=2)
    assert error_of(found, 0.35, 0.25) < 0.05


def test_unrelated_images_get_no_confidence():
    believed = 0
    for seed in range(40):
        anchor, _ = two_views(0, 0, seed=2 * seed, size=48)
        _, companion = two_views(0, 0, seed=2 * seed + 1, size=48)
        found = measure_shift([pair_of(anchor, companion)], reach_px=2)
        believed += found.confidence > 0.3 and found.error_px < 0.08
    assert believed == 0


def test_a_shift_beyond_the_search_gets_no_confidence():
    found = measure_shift([pair_of(*two_views(4.3, 0.2))], reach_px=2)
    assert found.confidence < 0.1


@pytest.mark.parametrize("value", [0.0, 0.3, np.nan])
def test_flat_or_missing_ground_tells_nothing(value):
    flat = np.full((1, 48, 48), value)
    found = measure_shift([pair_of(flat, flat)], reach_px=2)
    assert found.confidence == 0
    assert found.error_px == np.inf


def test_no_usable_pixel_in_common_tells_nothing():
    anchor, companion = two_views(0, 0, size=48)
    left = np.zeros((48, 48), bool)
    left[:, :24] = True
    found = measure_shift([pair_of(anchor, companion, left, ~left)], reach_px=2)
    assert found.confidence < 0.1 or found.error_px == np.inf
    nothing = measure_shift([pair_of(anchor, companion, left & ~left, left)], reach_px=2)
    assert (nothing.confidence, nothing.error_px, nothing.windows) == (0, np.inf, 0)


def test_cells_tell_together_what_none_tells_alone():
    anchor, companion = two_views(0.6, -0.3, noise=0.02)
    edges = list(pairwise(range(0, 97, 16)))
    cells = [
        pair_of(anchor[:, a:b, c:d], companion[:, a:b, c:d]) for a, b in edges for c, d in edges
    ]
    alone = [measure_shift([cell], reach_px=2) for cell in cells]
    together = measure_shift(cells, reach_px=2)
    assert error_of(together, 0.6, -0.3) < 0.1
    assert together.error_px < np.median([one.error_px for one in alone]) / 2
    assert together.confidence > np.median([one.confidence for one in alone])


def test_moving_back_leaves_no_shift_and_no_pixel_made_up():
    anchor, companion = two_views(0.7, -0.4)
    valid = np.ones((96, 96), bool)
    valid[40:50, 40:50] = False
    moved, clear = shift_image(companion, valid, rows=0.7, columns=-0.4)
    again = measure_shift([pair_of(anchor, moved, None, clear)], reach_px=2)
    assert error_of(again, 0, 0) < 0.02
    assert not clear[40:49, 41:50].any()
    inner = clear[5:-5, 5:-5]
    assert np.abs(moved - anchor)[:, 5:-5, 5:-5][:, inner].max() < 0.02


def test_swapping_the_images_turns_the_shift_around():
    anchor, companion = two_views(0.4, -0.6)
    there = measure_shift([pair_of(anchor, companion)], reach_px=2)
    back = measure_shift([pair_of(companion, anchor)], reach_px=2)
    assert there.rows == pytest.approx(-back.rows, abs=0.03)
    assert there.columns == pytest.approx(-back.columns, abs=0.03)


def test_images_of_different_grids_are_refused():
    image, valid = np.zeros((2, 8, 8)), np.ones((8, 8), bool)
    with pytest.raises(ValueError, match="one grid"):
        ImagePair(
            anchor=image, anchor_valid=valid, companion=image[:, :7], companion_valid=valid
        )
    with pytest.raises(ValueError, match="at least 2"):
        measure_shift([pair_of(image, image)], reach_px=1)


def test_a_weighted_median_takes_no_notice_of_an_outlier():
    values, weights = np.array([1.0, 1.1, 0.9, 40.0]), np.array([1.0, 1.0, 1.0, 0.5])
    assert 0.9 < weighted_median(values, weights) < 1.2
    assert weighted_median(np.array([3.0]), np.array([2.0])) == 3.0


@dataclass(frozen=True)
class Rendered:
    """What a sandbox scene shows on the coarse grid, and where it lies."""

    bands: NDArray[np.float64]
    valid: NDArray[np.bool_]
    shift_m: tuple[float, float]


def area_means(values, grid, west, north, count):
    """30 m means of pixels of 10, 20 or 30 m, by way of 5 m."""
    k = int(grid.step_m // 5)
    fine = np.repeat(np.repeat(values.astype(np.float64), k, axis=0), k, axis=1)
    top, left = round((grid.north - north) / 5), round((west - grid.west) / 5)
    cut = fine[top : top + 6 * count, left : left + 6 * count]
    return cut.reshape(count, 6, count, 6).mean(axis=(1, 3))


def render(world, overpass, shift_m, cloud_cover, count):
    placed = replace(overpass, shift_m=shift_m, cloud_cover=cloud_cover, swath_share=1.0)
    landsat = overpass.collection == LANDSAT
    rendered = render_landsat(world, placed) if landsat else render_sentinel2(world, placed)
    found = {one.band: one for one in rendered.rasters}
    config = world.config
    place = (config.west - 15, config.south + config.size_m + 15, count)
    bands = []
    for key in ("green", "red", "nir", "swir1"):
        one = found[key]
        bands.append(area_means(one.values * one.scale + one.offset, one.grid, *place))
    quality = found["qa_pixel" if landsat else "scl"]
    usable = (landsat_qa_pixel if landsat else sentinel2_scl)(quality.values)
    return Rendered(np.stack(bands), area_means(usable, quality.grid, *place) > 0.99, shift_m)


@pytest.fixture(scope="module")
def scenes():
    """Landsat and Sentinel-2 of two landscapes, April to September, clear and 30 % cloudy."""
    rendered = {}
    for seed in (1, 2):
        config = SandboxConfig(
            seed=seed,
            size_m=4800.0,
            start=date(2021, 4, 12),
            end=date(2021, 9, 12),
            cloudiness=0.0,
            overcast=1.0,
        )
        world, rng = build_world(config), np.random.default_rng(seed)
        passes = list_overpasses(config)
        chosen = {
            "landsat": [p for p in passes if p.collection == LANDSAT][1::4],
            "sentinel2": [p for p in passes if p.collection == SENTINEL2][3::12],
        }
        for name, some in chosen.items():
            for number, overpass in enumerate(some):
                for cover in (0.0, 0.3):
                    turn, way = rng.uniform(0, 2 * np.pi), rng.uniform(0, 7.5)
                    shift_m = (way * np.cos(turn), way * np.sin(turn))
                    rendered[seed, name, number, cover] = render(
                        world, overpass, shift_m, cover, 160
                    )
    return rendered


def pairs_of(scenes, cover, *, other_ground=False):
    for (seed, name, _, this), anchor in scenes.items():
        for (other, kind, _, that), companion in scenes.items():
            matched = name == "landsat" and kind == "sentinel2" and this == that == cover
            if matched and (seed != other) == other_ground:
                yield anchor, companion


def judge(anchor, companion):
    pair = pair_of(anchor.bands, companion.bands, anchor.valid, companion.valid)
    found = measure_shift([pair], reach_px=2)
    east, north = np.subtract(companion.shift_m, anchor.shift_m) / STEP_M
    return found, error_of(found, -north, east)


@pytest.mark.parametrize(
    ("cover", "median_px", "p95_px", "least_accepted"),
    [(0.0, 0.02, 0.05, 1.0), (0.3, 0.033, 0.12, 0.75)],
)
def test_sandbox_scenes_of_any_season_are_placed(
    scenes, cover, median_px, p95_px, least_accepted
):
    judged = [judge(*pair) for pair in pairs_of(scenes, cover)]
    accepted = [e for f, e in judged if f.confidence > 0.3 and f.error_px < 0.08]
    assert len(judged) >= 12
    assert len(accepted) >= least_accepted * len(judged)
    assert np.median(accepted) < median_px
    assert np.quantile(accepted, 0.95) < p95_px


def test_the_stated_error_is_as_large_as_the_true_one(scenes):
    ratios = [
        error / np.sqrt(2) / found.error_px
        for cover in (0.0, 0.3)
        for found, error in (judge(*pair) for pair in pairs_of(scenes, cover))
        if np.isfinite(found.error_px)
    ]
    assert 0.4 < np.sqrt(np.mean(np.square(ratios))) < 1.6


def test_scenes_of_other_ground_are_not_believed(scenes):
    judged = [judge(*p)[0] for c in (0.0, 0.3) for p in pairs_of(scenes, c, other_ground=True)]
    assert len(judged) >= 24
    assert not [f for f in judged if f.confidence > 0.3 and f.error_px < 0.08]
    assert max(f.confidence for f in judged) < 0.3
