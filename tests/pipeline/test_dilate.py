import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dilate import dilate_unusable, margin_px


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 10.0, 30.0, 45.0, 60.0, 100.0]))
def test_exactly_the_pixels_within_the_radius_are_lost(seed, radius_m):
    valid = np.random.default_rng(seed).random((12, 17)) > 0.03
    found = dilate_unusable(valid, radius_m=radius_m, gsd_m=30)
    rows, columns = np.nonzero(~valid)
    y, x = np.indices(valid.shape)
    expected = np.ones(valid.shape, bool)
    for row, column in zip(rows, columns, strict=True):
        expected &= 30 * np.hypot(y - row, x - column) > radius_m + 1e-6
    assert (found == (expected & valid)).all()


def test_bands_are_widened_one_by_one():
    valid = np.ones((2, 3, 9, 9), bool)
    valid[1, 2, 4, 4] = False
    found = dilate_unusable(valid, radius_m=20, gsd_m=10)
    assert (~found).sum() == 13
    assert found[0].all()
    assert found[1, :2].all()


def test_a_margin_makes_patches_as_if_cut_from_the_whole():
    whole = np.random.default_rng(3).random((40, 40)) > 0.05
    margin = margin_px(radius_m=50, gsd_m=10)
    assert margin == 5
    wide = dilate_unusable(whole, radius_m=50, gsd_m=10)
    cut = whole[10 - margin : 30 + margin, 10 - margin : 30 + margin]
    patch = dilate_unusable(cut, radius_m=50, gsd_m=10)[margin:-margin, margin:-margin]
    assert (patch == wide[10:30, 10:30]).all()


def test_the_input_is_never_changed_and_nothing_comes_from_nothing():
    valid = np.ones((4, 4), bool)
    found = dilate_unusable(valid, radius_m=100, gsd_m=10)
    found[0, 0] = False
    assert valid.all()
    assert not dilate_unusable(np.zeros((4, 4), bool), radius_m=100, gsd_m=10).any()


@pytest.mark.parametrize(("radius_m", "gsd_m"), [(-1, 10), (10, 0), (10, -3)])
def test_senseless_numbers_are_refused(radius_m, gsd_m):
    with pytest.raises(ValueError, match="radius_m"):
        dilate_unusable(np.ones((2, 2), bool), radius_m=radius_m, gsd_m=gsd_m)
