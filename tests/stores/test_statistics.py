import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import StoreError
from catalog.products import PRODUCTS
from stores.bins import BINS, bins_of
from stores.schema import BandSchema, LayerSchema
from stores.statistics import (
    measure,
    merge_statistics,
    statistics_from_json,
    statistics_to_json,
)


def layer_of(dtype="uint16", kind="reflectance", scale=1e-4, offset=-0.1):
    return LayerSchema(
        name="one",
        product="p",
        bands=tuple(BandSchema(key=k, kind=kind, unit="1") for k in ("red", "nir")),
        dtype=dtype,
        scale=scale,
        offset=offset,
        gsd_m=10,
        size_px=6,
        license="",
        attribution="",
        citation="",
    )


def random_patches(n, seed=0, top=9000):
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, top, (n, 2, 6, 6)).astype("uint16")
    raw[rng.random(raw.shape) < 0.1] = 0
    return raw, rng.random((n, 6, 6)) > 0.2


def physical(layer, raw, valid, band):
    """Usable physical values of one band, the plain way, in double precision."""
    values = raw[:, band].astype(np.float64)
    usable = valid & (values != 0)
    return values[usable] * layer.scale + layer.offset


def test_statistics_equal_numpy_on_the_concatenated_patches():
    layer = layer_of()
    total = {}
    tasks = [random_patches(n, seed) for seed, n in enumerate((5, 1, 64))]
    for raw, valid in tasks:
        total = merge_statistics(total, {"one": measure(layer, raw, valid, range(len(raw)))})
    raw, valid = (np.concatenate(parts) for parts in zip(*tasks, strict=True))
    for i, key in enumerate(("red", "nir")):
        values, band = physical(layer, raw, valid, i), total["one"].band(key)
        assert band.count == len(values)
        assert band.mean == pytest.approx(values.mean(), rel=1e-12)
        assert band.std == pytest.approx(values.std(), rel=1e-12)
        assert (band.minimum, band.maximum) == pytest.approx((values.min(), values.max()))
        assert sum(band.histogram) == band.count
    assert total["one"].samples == 70


def test_only_the_asked_positions_count():
    layer = layer_of()
    raw, valid = random_patches(8)
    expected = measure(layer, raw[[1, 5]], valid[[1, 5]], [0, 1])
    assert measure(layer, raw, valid, [1, 5]) == expected
    assert measure(layer, raw, valid, np.isin(np.arange(8), [1, 5])) == expected


@settings(max_examples=20, deadline=None)
@given(cut=st.integers(0, 9), seed=st.integers(0, 99))
def test_merging_is_the_same_whatever_the_cut_and_the_order(cut, seed):
    layer = layer_of()
    raw, valid = random_patches(9, seed)
    head, tail = (measure(layer, raw, valid, r) for r in (range(cut), range(cut, 9)))
    assert head.merge(tail) == tail.merge(head) == measure(layer, raw, valid, range(9))


def test_sums_of_integers_are_exact():
    layer = layer_of()
    raw = np.full((64, 2, 6, 6), 65535, "uint16")
    one = measure(layer, raw, np.ones((64, 6, 6), bool), range(64))
    total = one
    for _ in range(9):
        total = total.merge(one)
    assert total.band("red").raw_squares == 10 * 64 * 36 * 65535**2
    assert total.band("red").std == 0


def test_no_pixels_give_no_numbers():
    layer = layer_of()
    raw, valid = random_patches(3)
    empty = measure(layer, raw, valid, [])
    band = empty.band("red")
    assert (empty.samples, band.count, band.raw_low) == (0, 0, None)
    assert all(np.isnan(x) for x in (band.mean, band.std, band.minimum, band.maximum))
    full = measure(layer, raw, valid, range(3))
    assert empty.merge(full) == full


def test_float_layers_leave_out_what_is_not_a_number():
    layer = layer_of("float32", "backscatter", 1.0, 0.0)
    raw = np.random.default_rng(0).gamma(2, 0.1, (4, 2, 6, 6)).astype("float32")
    raw[0, 0, 0] = np.nan
    valid = np.ones((4, 6, 6), bool)
    band = measure(layer, raw, valid, range(4)).band("red")
    values = raw[:, 0][np.isfinite(raw[:, 0])].astype(np.float64)
    assert band.count == len(values) == 4 * 36 - 6
    assert (band.mean, band.std) == pytest.approx((values.mean(), values.std()))


def test_backscatter_is_counted_in_decibel():
    layer = layer_of("float32", "backscatter", 1.0, 0.0)
    raw = np.full((1, 2, 6, 6), 0.1, "float32")
    raw[0, 0, 0, 0] = 0
    band = measure(layer, raw, np.ones((1, 6, 6), bool), [0]).band("red")
    [lowest, most] = np.flatnonzero(band.histogram)
    assert lowest == 0
    assert band.bins.edges[most] <= -10 <= band.bins.edges[most + 1]
    assert band.bins.unit == "dB"


def test_histogram_equals_numpy_between_the_ends():
    layer = layer_of()
    raw, valid = random_patches(20, top=10000)
    band = measure(layer, raw, valid, range(20)).band("nir")
    values = physical(layer, raw, valid, 1)
    counts, _ = np.histogram(values, band.bins.edges)
    ours = np.cumsum(band.histogram)
    assert np.abs(ours - np.cumsum(counts)).max() <= 2  # values on an edge may fall either way
    assert BINS["reflectance"] == band.bins


def test_class_codes_have_a_bin_each():
    layer = layer_of("uint8", "class", 1.0, 0.0)
    raw = np.array([1, 2, 2, 0, 255, 255], "uint8").reshape(1, 1, 2, 3)
    raw = np.repeat(raw, 2, axis=1)
    band = measure(layer, raw, np.ones((1, 2, 3), bool), [0]).band("red")
    assert {i: n for i, n in enumerate(band.histogram) if n} == {1: 1, 2: 2, 255: 2}


def test_statistics_survive_json():
    raw, valid = random_patches(3)
    statistics = {
        "one": measure(layer_of(), raw, valid, range(3)),
        "none": measure(layer_of(), raw, valid, []),
    }
    text = json.dumps(statistics_to_json(statistics))
    assert "NaN" not in text
    assert statistics_from_json(json.loads(text)) == statistics


def test_an_unknown_band_is_refused():
    raw, valid = random_patches(1)
    with pytest.raises(StoreError, match="no band 'swir1'; it has red, nir"):
        measure(layer_of(), raw, valid, [0]).band("swir1")


def test_every_band_of_the_product_table_has_bins_that_hold_its_values():
    for product in PRODUCTS.values():
        for band in product.bands:
            bins = bins_of(band.kind, band.unit, band.key)
            assert bins.low < bins.high
            assert bins.unit in (band.unit, "dB", "class")
