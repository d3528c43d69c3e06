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


def every_value(raw: npt.NDArray[np.integer]) -> Valid:
    """Usable wherever there is a value at all; for products without a quality band."""
    return np.ones(raw.shape, dtype=bool)


RULES: Mapping[QualityRule, Rule] = MappingProxyType(
    {
        "landsat-qa-pixel": landsat_qa_pixel,
        "sentinel2-scl": sentinel2_scl,
        "nodata-only": every_value,
    }
)
"""The rule that each word of the product table stands for."""
