import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from stores.report.pictures import (
    INVALID_COLOR,
    SAR_STRETCH,
    VALID_COLOR,
    Stretch,
    class_color,
    class_picture,
    elevation_picture,
    error_picture,
    png_uri,
    ramp_picture,
    sar_channels,
    shared_stretch,
    shrink,
    stretched,
    validity_picture,
)


def _decode(uri: str) -> np.ndarray:
    head, _, body = uri.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body))).convert("RGBA"))


def test_a_uniform_patch_gives_the_expected_color():
    patch = np.stack([np.full((5, 4), v) for v in (0.1, 0.2, 0.3)])
    image = _decode(png_uri(stretched(patch, Stretch((0.0,), (0.4,)))))
    assert image.shape == (5, 4, 4)
    assert (image == (64, 128, 191, 255)).all()


def test_values_beyond_the_stretch_are_clipped_and_nan_is_transparent():
    patch = np.array([[[-1.0, 2.0, np.nan]]] * 3)
    image = _decode(png_uri(stretched(patch, Stretch((0.0,), (1.0,)))))
    assert image[0].tolist() == [[0, 0, 0, 255], [255, 255, 255, 255], [0, 0, 0, 0]]


def test_one_channel_is_gray():
    image = stretched(np.array([[[0.2, 0.8]]]), Stretch((0.0,), (1.0,)))
    assert image[0, :, :3].tolist() == [[51] * 3, [204] * 3]


def test_each_channel_may_have_its_own_stretch():
    patch = np.full((3, 1, 1), 0.5)
    image = stretched(patch, Stretch((0.0, 0.5, 0.25), (1.0, 1.0, 0.5)))
    assert image[0, 0].tolist() == [128, 0, 255, 255]


def test_the_shared_stretch_is_the_percentiles_of_all_sensors_together():
    low, high = np.linspace(0, 1, 101), np.linspace(1, 2, 101)
    stretch = shared_stretch([low.reshape(1, 1, -1), high.reshape(1, 1, -1)], (0, 100))
    assert stretch == Stretch((0.0,), (2.0,))


def test_a_constant_or_empty_quantity_still_has_a_stretch():
    for stack in ([], [np.full((1, 2, 2), np.nan)], [np.full((1, 2, 2), 0.25)]):
        stretch = shared_stretch(stack, (1, 99))
        assert stretch.high[0] > stretch.low[0]


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [
        (0.0123, 0.3456, "0.01 to 0.35"),
        (271.34, 305.62, "271 to 306"),
        (290.12, 290.41, "290.12 to 290.41"),
        (1.23e-5, 9.87e-5, "1e-05 to 0.0001"),
        (98_765.4, 101_325.3, "98765 to 101325"),
    ],
)
def test_limits_have_the_digits_that_their_span_needs(low, high, shown):
    stretch = shared_stretch([np.array([[[low, high]]])], (0, 100))
    assert str(stretch) == shown
    assert max(abs(stretch.low[0] - low), abs(stretch.high[0] - high)) <= (high - low) / 5


def test_a_ramp_grows_lighter_and_leaves_no_data_out():
    values = np.array([[*np.linspace(-1, 2, 61), np.nan]])
    image = ramp_picture(values, Stretch((0.0,), (1.0,)))
    gray = image[0, :-1, :3] @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(gray) >= 0).all()
    assert (np.diff(gray[20:41]) > 0).all()
    assert image[0, :, 3].tolist() == [255] * 61 + [0]


def test_radar_is_shown_in_decibel_and_no_power_is_no_data():
    channels = sar_channels(np.array([[0.1, 0.0]]), np.array([[0.01, 0.01]]))
    assert np.allclose(channels[:, 0, 0], (-10, -20, 10))
    image = stretched(channels, SAR_STRETCH)
    expected = [(-10 + 22) / 22, (-20 + 28) / 22, (10 - 2) / 14]
    assert image[0, 0].tolist() == [*(round(255 * share) for share in expected), 255]
    assert image[0, 1, 3] == 0


def test_validity_tells_usable_from_unusable_from_no_data():
    valid = np.array([[True, False, False]])
    present = np.array([[True, True, False]])
    image = _decode(png_uri(validity_picture(valid, present)))
    assert tuple(image[0, 0]) == (*VALID_COLOR, 255)
    assert tuple(image[0, 1]) == (*INVALID_COLOR, 255)
    assert image[0, 2, 3] == 0


def test_classes_have_the_color_of_their_legend():
    image = class_picture(np.array([[11.0, 99.0], [np.nan, 11.0]]))
    assert tuple(image[0, 0]) == tuple(image[1, 1]) == (*class_color(11), 255)
    assert tuple(image[0, 1]) == (*class_color(99), 255)
    assert image[1, 0, 3] == 0


def test_neighboring_class_codes_look_different():
    colors = np.array([class_color(code) for code in range(256)], int)
    assert np.abs(np.diff(colors, axis=0)).sum(axis=1).min() > 60


def test_flat_ground_is_evenly_lit_and_missing_ground_transparent():
    ground = np.full((4, 4), 100.0)
    ground[0, 0] = np.nan
    image = elevation_picture(ground, Stretch((0.0,), (200.0,)))
    assert (image[2:, 2:] == image[3, 3]).all()
    assert image[0, 0, 3] == 0


def test_errors_rise_from_black_to_white():
    image = error_picture(np.array([[0.0, 0.05, 0.1, 9.0, np.nan]]), 0.1)
    brightness = image[0, :4, :3].sum(axis=1).tolist()
    assert brightness[0] == 0
    assert brightness[0] < brightness[1] < brightness[2] == brightness[3] == 3 * 255
    assert image[0, 4, 3] == 0


@given(st.integers(1, 700), st.integers(1, 700))
def test_shrinking_keeps_pictures_within_the_limit(rows, columns):
    small = shrink(np.zeros((rows, columns, 4), np.uint8), 192)
    assert max(small.shape[:2]) <= 192
    assert min(small.shape[:2]) >= 1
