"""Quality bands become validity: True means that a pixel is usable, for every product."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from catalog.products import QualityRule

_QA_PIXEL_UNUSABLE = 0b11111
"""Bits 0 to 4 of QA_PIXEL: fill, dilated cloud, cirrus, cloud, cloud shadow (LSDS-1619)."""
_SCL_USABLE = (2, 4, 5, 6, 7, 11)
"""Dark area, vegetation, bare soil, water, unclassified, snow (ESA PSD, SCL legend)."""
_FMASK_UNUSABLE = 0b1110
"""Bits 1 to 3 of HLS Fmask: cloud, adjacent to cloud or shadow, cloud shadow (HLS v2 guide)."""
_QA_PIXEL_SNOW = 1 << 5
_SCL_SNOW = 11
_FMASK_SNOW = 1 << 4

Valid = npt.NDArray[np.bool_]
Rule = Callable[[npt.NDArray[np.integer]], Valid]


def landsat_qa_pixel(raw: npt.NDArray[np.integer]) -> Valid:
    """Usable: neither fill nor cloud, its dilation, cirrus or shadow. Snow is usable.

    Args:
        raw: QA_PIXEL values, `(y, x)`.
    """
    usable: Valid = (raw.astype(np.uint16) & _QA_PIXEL_UNUSABLE) == 0
    return usable


def sentinel2_scl(raw: npt.NDArray[np.integer]) -> Valid:
    """Usable: not missing, saturated, cloud (medium, high, cirrus) or cloud shadow.

    Args:
        raw: Scene classification values, `(y, x)`.
    """
    return np.isin(raw, _SCL_USABLE)


def hls_fmask(raw: npt.NDArray[np.integer]) -> Valid:
    """Usable: neither cloud, nor next to it, nor shadow. Bit 0 is reserved, snow is usable.

    Args:
        raw: Fmask values, `(y, x)`.
    """
    usable: Valid = (raw.astype(np.uint8) & _FMASK_UNUSABLE) == 0
    return usable


def planet_udm2(raw: npt.NDArray[np.integer]) -> Valid:
    """Usable where the clear map says 1.

    Args:
        raw: Band 1 of UDM2, `(y, x)`.
    """
    usable: Valid = raw == 1
    return usable


def every_value(raw: npt.NDArray[np.integer]) -> Valid:
    """Usable wherever there is a value at all; for products without a quality band."""
    return np.ones(raw.shape, dtype=bool)


RULES: Mapping[QualityRule, Rule] = MappingProxyType(
    {
        "landsat-qa-pixel": landsat_qa_pixel,
        "sentinel2-scl": sentinel2_scl,
        "hls-fmask": hls_fmask,
        "planet-udm2": planet_udm2,
        "nodata-only": every_value,
    }
)
"""The rule that each word of the product table stands for."""

SNOW: Mapping[QualityRule, Rule] = MappingProxyType(
    {
        "landsat-qa-pixel": lambda raw: (raw.astype(np.uint16) & _QA_PIXEL_SNOW) != 0,
        "sentinel2-scl": lambda raw: raw == _SCL_SNOW,
        "hls-fmask": lambda raw: (raw.astype(np.uint8) & _FMASK_SNOW) != 0,
    }
)
"""Where there is snow or ice: bit 5 of QA_PIXEL, class 11 of SCL, bit 4 of Fmask."""


def above_noise(power: npt.NDArray[np.floating], floor_db: float) -> Valid:
    """Usable: backscatter above a floor, anywhere in a scene.

    Older Sentinel-1 products keep a rim of noise at the swath's border instead of nodata; it
    lies far below any ground. Calm water reaches down to the sensor's own noise, about
    -22 dB by specification and -30 dB in orbit, so that a floor of -35 keeps it.

    Args:
        power: Linear power, `(y, x)`.
        floor_db: Decibels.
    """
    usable: Valid = power > 10 ** (floor_db / 10)
    return usable
