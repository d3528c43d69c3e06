"""The real hazy pair is flagged, clear pairs are not, and fields may change."""

from datetime import date, timedelta

import numpy as np
import pytest
import rasterio

from pipeline.haze import VISIBLE, check_haze
from pipeline.validity import landsat_qa_pixel, sentinel2_scl

LANDSAT = {"blue": "B2", "green": "B3", "red": "B4"}
SENTINEL2 = {"blue": "B02", "green": "B03", "red": "B04"}


def ground(seed=0, *, size=40):
    rng = np.random.default_rng(seed)
    soil = np.kron(rng.random((8, 8)), np.ones((size // 8, size // 8)))
    return {
        "blue": 0.03 + 0.04 * soil,
        "green": 0.06 + 0.05 * soil,
        "red": 0.04 + 0.10 * soil,
    }


EVERYWHERE = np.ones((40, 40), bool)


def add(scene, amounts):
    return {band: scene[band] + amount for band, amount in zip(VISIBLE, amounts, strict=True)}


def test_equal_scenes_are_clear():
    check = check_haze(ground(), ground(), EVERYWHERE)
    assert (check.word, check.score, check.flagged) == ("clear", 0, False)


@pytest.mark.parametrize(
    ("companion", "word"),
    [
        ((0.044, 0.035, 0.031), "haze in the companion"),
        ((-0.044, -0.035, -0.031), "haze in the anchor"),
        ((0.012, 0.008, 0.004), "clear"),
        ((0.010, 0.020, 0.060), "clear"),
        ((0.044, -0.035, 0.031), "clear"),
    ],
)
def test_what_brightens_all_ground_and_blue_most_is_haze(companion, word):
    scene = add(ground(), (0.03, 0.03, 0.03))
    check = check_haze(scene, add(scene, companion), EVERYWHERE)
    assert check.word == word
    assert check.flagged == (word != "clear")


def test_a_third_of_the_fields_may_be_ploughed():
    before, after = ground(), ground()
    for band, amount in zip(VISIBLE, (0.05, 0.07, 0.12), strict=True):
        after[band][:, :13] += amount
    assert not check_haze(before, after, EVERYWHERE).flagged


def test_only_ground_usable_in_both_is_compared():
    scene, other = ground(), add(ground(), (0.05, 0.04, 0.03))
    clouded = EVERYWHERE.copy()
    clouded[:, 5:] = False
    for band in VISIBLE:
        other[band][:, :5] = scene[band][:, :5]
    assert not check_haze(scene, other, clouded).flagged
    other["red"][:, 3:5] = np.nan
    assert not check_haze(scene, other, clouded).flagged


def test_too_little_ground_is_no_verdict():
    few = np.zeros((40, 40), bool)
    few[:7, :7] = True
    check = check_haze(ground(), add(ground(), (0.1, 0.1, 0.1)), few)
    assert (check.word, check.flagged, str(check)) == (
        "too little ground",
        False,
        "too little ground",
    )


def test_longer_gaps_are_allowed_more():
    scene = ground()
    other = add(scene, (0.027, 0.027, 0.027))
    scores = [
        check_haze(scene, other, EVERYWHERE, gap_days=days).score for days in (0, 10, -30)
    ]
    assert scores == sorted(scores, reverse=True)


def test_a_missing_band_is_named():
    scene = ground()
    with pytest.raises(ValueError, match="green is missing"):
        check_haze(scene, {k: v for k, v in scene.items() if k != "green"}, EVERYWHERE)


def read(path):
    with rasterio.open(path) as file:
        return file.read(1), file.transform


def on_landsat(raw, transform):
    """30 m means of the real Sentinel-2 pixels on Landsat's grid, by way of 5 m."""
    k = int(transform.a // 5)
    fine = np.repeat(np.repeat(raw.astype(float), k, axis=0), k, axis=1)
    top, left = round((transform.f - 5629665) / 5), round((501375 - transform.c) / 5)
    return fine[top : top + 120, left : left + 120].reshape(20, 6, 20, 6).mean(axis=(1, 3))


def real_check(archive, day, gap_days):
    stem = archive / "belgium" / "landsat" / f"LC08_L2SP_31UDS_{day:%Y%m%d}"
    anchor = {
        band: read(f"{stem}_SR_{key}.tif")[0][:20, :20] * 2.75e-5 - 0.2
        for band, key in LANDSAT.items()
    }
    usable = landsat_qa_pixel(read(f"{stem}_QA_PIXEL.tif")[0])[:20, :20]
    other = day + timedelta(days=gap_days)
    stem = archive / "belgium" / "sentinel2" / f"S2_31UDS_{other:%Y%m%d}_0_L2A"
    companion = {
        band: on_landsat(*read(f"{stem}_{key}.tif")) * 1e-4 for band, key in SENTINEL2.items()
    }
    classes, transform = read(f"{stem}_SCL.tif")
    clear = on_landsat(sentinel2_scl(classes), transform) > 0.99
    assert usable.mean() > 0.9
    assert clear.mean() > 0.9
    return check_haze(anchor, companion, usable & clear, gap_days=gap_days)


def test_the_real_hazy_pair_that_both_masks_call_clear_is_flagged(real_archive):
    check = real_check(real_archive, date(2018, 7, 17), 1)
    assert check.word == "haze in the companion"
    assert check.difference["blue"] > 0.04


@pytest.mark.parametrize(
    ("day", "gap_days"),
    [
        (date(2018, 8, 2), 0),
        (date(2018, 10, 21), 0),
        (date(2018, 2, 23), 2),
        (date(2018, 7, 1), -1),
        (date(2018, 7, 17), -2),
        (date(2018, 7, 24), -1),
        (date(2018, 10, 5), 1),
    ],
)
def test_real_clear_pairs_are_not(real_archive, day, gap_days):
    check = real_check(real_archive, day, gap_days)
    assert check.word == "clear"
    assert check.score < 1.0
