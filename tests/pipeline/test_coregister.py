"""One shift per pair of scenes: in metres, with the reason where there is none."""

import math
from datetime import date, timedelta
from itertools import product

import numpy as np
import pytest
import rasterio

from pipeline.coregister import Acceptance, clearest_cells, coregister, measure_remainder
from pipeline.sandbox.fields import PixelGrid, synthesize_field
from pipeline.shift import shift_image
from pipeline.shift_windows import ImagePair
from pipeline.validity import landsat_qa_pixel, sentinel2_scl

CELLS = list(product(range(0, 96, 32), range(0, 96, 32)))


def cells_of(*, east_m=0.0, north_m=0.0, gsd_m=30.0, seeds=(0, 0), noise=0.002, valid=None):
    """Nine cells of 32 px of one pair of scenes; the companion lies off by so many metres."""
    size = 96
    grid = PixelGrid(0.0, size * gsd_m, gsd_m, size, size)
    moved = grid.move(east_m=-east_m, north_m=-north_m)
    images = []
    for seed, place in zip(seeds, (grid, moved), strict=True):
        field = synthesize_field(
            np.random.default_rng(seed),
            period_m=size * gsd_m * 1.5,
            spacing_m=1.5 * gsd_m,
            roughness=2.5,
            largest_m=30 * gsd_m,
        )
        draw = np.random.default_rng((seed, len(images)))
        images.append(
            0.2 + 0.05 * field.on(place)[None] + draw.normal(0, noise, (1, size, size))
        )
    usable = np.ones((size, size), bool) if valid is None else valid
    return [
        ImagePair(
            anchor=images[0][:, y : y + 32, x : x + 32],
            anchor_valid=usable[y : y + 32, x : x + 32],
            companion=images[1][:, y : y + 32, x : x + 32],
            companion_valid=np.ones((32, 32), bool),
        )
        for y, x in CELLS
    ]


@pytest.mark.parametrize("gsd_m", [10.0, 30.0])
def test_east_and_north_are_where_the_companion_lies(gsd_m):
    found = coregister(cells_of(east_m=8.0, north_m=-11.0, gsd_m=gsd_m), gsd_m=gsd_m)
    assert found.accepted
    assert found.east_m == pytest.approx(8.0, abs=0.05 * gsd_m)
    assert found.north_m == pytest.approx(-11.0, abs=0.05 * gsd_m)
    assert found.error_m < 0.08 * gsd_m
    assert found.residual_m < 0.1 * gsd_m
    assert str(found).endswith("m north")


def test_what_is_left_after_correction_is_small():
    cells = cells_of(east_m=9.0, north_m=4.0)
    found = coregister(cells, gsd_m=30)
    assert measure_remainder(cells, found, gsd_m=30) < 1.0


def test_unrelated_scenes_are_refused_and_say_so():
    found = coregister(cells_of(seeds=(1, 2)), gsd_m=30)
    assert not found.accepted
    assert found.reason in ("no distinct shift", "shift too uncertain")
    assert str(found) == found.reason


def test_a_shift_beyond_what_geometry_allows_is_refused():
    cells = cells_of(east_m=42.0)
    assert coregister(cells, gsd_m=30).reason == "shift too large"
    wide = coregister(cells, gsd_m=30, acceptance=Acceptance(max_shift_m=60.0))
    assert wide.accepted
    assert wide.east_m == pytest.approx(42.0, abs=1.0)


def test_too_little_ground_is_refused():
    cloudy = np.zeros((96, 96), bool)
    assert coregister(cells_of(valid=cloudy), gsd_m=30).reason == "no usable ground in common"
    assert coregister([], gsd_m=30).reason == "no usable ground in common"
    cloudy[:9, :9] = True
    few = coregister(cells_of(valid=cloudy), gsd_m=30)
    assert few.reason is not None
    assert math.isinf(few.error_m) or few.error_m > 2.4


def test_the_clearest_cells_are_measured_when_there_are_too_many():
    valid = np.ones((96, 96), bool)
    valid[32:64, 32:60] = False
    valid[:32, 64:] = False
    cells = cells_of(valid=valid)
    chosen = clearest_cells(cells, most_px=7 * 32 * 32)
    assert chosen == [cell for i, cell in enumerate(cells) if i not in (2, 4)]
    assert len(clearest_cells(cells, most_px=1)) == 1
    assert len(clearest_cells(cells, most_px=10**9)) == 8


def test_an_acceptance_that_accepts_nothing_is_refused():
    with pytest.raises(ValueError, match="max_shift_m"):
        Acceptance(max_shift_m=0)


def read(path):
    with rasterio.open(path) as file:
        return file.read(1), file.transform


def real_pair(archive, landsat_day, sentinel2_day):
    """Blue to near infrared of the real cell of West Flanders on Landsat's 30 m grid."""
    stem = archive / "belgium" / "landsat" / f"LC08_L2SP_31UDS_{landsat_day:%Y%m%d}"
    anchor = [read(f"{stem}_SR_B{n}.tif")[0] * 2.75e-5 - 0.2 for n in (2, 3, 4, 5)]
    usable = landsat_qa_pixel(read(f"{stem}_QA_PIXEL.tif")[0])
    stem = archive / "belgium" / "sentinel2" / f"S2_31UDS_{sentinel2_day:%Y%m%d}_0_L2A"
    companion = [on_landsat(f"{stem}_{key}.tif", 1e-4) for key in ("B02", "B03", "B04", "B8A")]
    return ImagePair(
        anchor=np.stack(anchor)[:, :20, :20],
        anchor_valid=usable[:20, :20],
        companion=np.stack(companion),
        companion_valid=on_landsat(f"{stem}_SCL.tif", None) > 0.99,
    )


def on_landsat(path, scale):
    raw, transform = read(path)
    values = sentinel2_scl(raw).astype(float) if scale is None else raw * scale
    k = int(transform.a // 5)
    fine = np.repeat(np.repeat(values, k, axis=0), k, axis=1)
    top, left = round((transform.f - 5629665) / 5), round((501375 - transform.c) / 5)
    return fine[top : top + 120, left : left + 120].reshape(20, 6, 20, 6).mean(axis=(1, 3))


@pytest.mark.parametrize(
    ("day", "gap_days"),
    [
        (date(2018, 2, 23), 2),
        (date(2018, 7, 1), -1),
        (date(2018, 8, 2), 0),
        (date(2018, 10, 5), 1),
    ],
)
def test_real_pairs_agree_better_once_corrected(real_archive, day, gap_days):
    pair = real_pair(real_archive, day, day + timedelta(days=gap_days))
    found = coregister([pair], gsd_m=30)
    assert found.accepted, found
    assert math.hypot(found.east_m, found.north_m) < 20
    moved, clear = shift_image(
        pair.companion,
        pair.companion_valid,
        rows=-found.north_m / 30,
        columns=found.east_m / 30,
    )
    inner = pair.anchor_valid & pair.companion_valid & clear
    inner[[0, -1]] = inner[:, [0, -1]] = False
    for band in (2, 3):
        before = np.corrcoef(pair.anchor[band][inner], pair.companion[band][inner])[0, 1]
        after = np.corrcoef(pair.anchor[band][inner], moved[band][inner])[0, 1]
        assert after > before
