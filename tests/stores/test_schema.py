from dataclasses import replace

import numpy as np
import pytest

from catalog.errors import StoreError
from stores.schema import StoreSchema


def test_a_schema_survives_json(tiny_schema):
    assert StoreSchema.from_json(tiny_schema.to_json()) == tiny_schema


def test_every_raw_value_survives_the_way_to_physical_and_back(tiny_schema):
    raw = np.arange(65536, dtype="uint16").reshape(1, 256, 256)
    for scale, offset in ((1e-4, -0.1), (2.75e-5, -0.2)):
        layer = replace(tiny_schema.layer("fine"), scale=scale, offset=offset)
        np.testing.assert_array_equal(layer.to_raw(layer.to_physical(raw)), raw)


def test_nodata_and_unusable_pixels_are_nan(tiny_schema):
    fine = tiny_schema.layer("fine")
    raw = np.array([[[0, 1000, 2000]], [[5000, 0, 6000]]], "uint16")
    valid = np.array([[True, True, False]])
    np.testing.assert_allclose(
        fine.to_physical(raw, valid),
        [[[np.nan, 0, np.nan]], [[0.4, np.nan, np.nan]]],
        atol=1e-7,
    )


def test_physical_values_are_rounded_and_clipped_above_nodata(tiny_schema):
    fine = tiny_schema.layer("fine")
    physical = np.array([-5, -0.1, 0.00004, 0.00006, 99, np.nan])
    assert fine.to_raw(physical).tolist() == [1, 1, 1000, 1001, 65535, 0]


def test_another_format_is_refused(tiny_schema):
    with pytest.raises(StoreError, match="format 2, this version reads 1; upgrade"):
        StoreSchema.from_json(tiny_schema.to_json() | {"format": 2})
