import numpy as np
import pytest

from catalog.products import PRODUCTS
from pipeline.validity import (
    RULES,
    SNOW,
    above_noise,
    every_value,
    hls_fmask,
    landsat_qa_pixel,
    planet_udm2,
    sentinel2_scl,
)

FILL, DILATED, CIRRUS, CLOUD, SHADOW = range(5)
UNUSABLE_BITS = {FILL, DILATED, CIRRUS, CLOUD, SHADOW}
FMASK_UNUSABLE_BITS = {1, 2, 3}
"""Cloud, adjacent to cloud or shadow, cloud shadow."""


@pytest.mark.parametrize("bit", range(16))
def test_each_bit_of_qa_pixel_alone(bit):
    raw = np.array([[1 << bit]], dtype=np.uint16)
    assert landsat_qa_pixel(raw).item() == (bit not in UNUSABLE_BITS)


def test_every_value_of_qa_pixel_bit_by_bit():
    raw = np.arange(2**16, dtype=np.uint16).reshape(256, 256)
    expected = [
        not any(value >> bit & 1 for bit in UNUSABLE_BITS) for value in raw.ravel().tolist()
    ]
    assert landsat_qa_pixel(raw).ravel().tolist() == expected


@pytest.mark.parametrize(
    ("value", "usable"),
    [
        (21824, True),  # clear, low confidence of everything
        (21952, True),  # water
        (30048, True),  # snow
        (1, False),  # fill
        (21762, False),  # dilated cloud
        (22280, False),  # high confidence cloud
        (23888, False),  # cloud shadow
        (54596, False),  # high confidence cirrus
    ],
)
def test_values_of_qa_pixel_that_the_product_guide_lists(value, usable):
    assert landsat_qa_pixel(np.array([[value]])).item() == usable


@pytest.mark.parametrize(
    ("word", "value", "usable"),
    [
        ("no data", 0, False),
        ("saturated or defective", 1, False),
        ("dark area", 2, True),
        ("cloud shadow", 3, False),
        ("vegetation", 4, True),
        ("bare soil", 5, True),
        ("water", 6, True),
        ("unclassified", 7, True),
        ("cloud, medium probability", 8, False),
        ("cloud, high probability", 9, False),
        ("thin cirrus", 10, False),
        ("snow", 11, True),
        ("no such class", 12, False),
        ("fill of another program", 255, False),
    ],
)
def test_each_scene_class(word, value, usable):
    assert sentinel2_scl(np.array([[value]], dtype=np.uint8)).item() == usable, word


def test_every_value_of_fmask_bit_by_bit():
    raw = np.arange(256, dtype=np.uint8).reshape(16, 16)
    expected = [
        not any(value >> bit & 1 for bit in FMASK_UNUSABLE_BITS)
        for value in raw.ravel().tolist()
    ]
    assert hls_fmask(raw).ravel().tolist() == expected


@pytest.mark.parametrize(
    ("word", "value", "usable"),
    [
        ("clear land, climatology aerosol", 0, True),
        ("reserved bit 0 alone", 1, True),
        ("cloud", 2, False),
        ("adjacent to cloud", 4, False),
        ("cloud shadow", 8, False),
        ("snow", 16, True),
        ("water", 32, True),
        ("low aerosol", 64, True),
        ("high aerosol over water", 224, True),
        ("fill", 255, False),
    ],
)
def test_values_of_fmask_that_the_user_guide_explains(word, value, usable):
    for dtype in (np.uint8, np.int16, np.float32):
        assert hls_fmask(np.array([[value]], dtype=dtype)).item() == usable, word


@pytest.mark.parametrize("value", range(256))
def test_only_one_is_clear_in_udm2(value):
    assert planet_udm2(np.array([[value]], dtype=np.uint8)).item() == (value == 1)


def test_a_product_without_quality_band_is_usable_wherever_it_has_a_value():
    assert every_value(np.zeros((2, 3), dtype=np.uint8)).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64])
@pytest.mark.parametrize("rule", RULES.values())
def test_every_rule_keeps_the_shape_and_answers_in_booleans(rule, dtype):
    valid = rule(np.zeros((3, 5), dtype=dtype))
    assert (valid.shape, valid.dtype) == ((3, 5), np.dtype(bool))


def test_every_product_has_its_rule():
    assert {product.quality.rule for product in PRODUCTS.values()} == set(RULES)


@pytest.mark.parametrize("rule", SNOW)
def test_snow_is_one_bit_or_one_class(rule):
    raw = np.arange(256)
    snow = {"landsat-qa-pixel": raw >> 5 & 1 == 1, "hls-fmask": raw >> 4 & 1 == 1}
    expected = snow.get(rule, raw == 11)
    np.testing.assert_array_equal(SNOW[rule](raw), expected)


def test_noise_is_what_does_not_rise_above_a_floor():
    power = np.array([10**-4.0, 10**-3.5, 10**-3.0, np.nan])
    assert above_noise(power, -35.0).tolist() == [False, False, True, False]
