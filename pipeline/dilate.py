"""Widen what is unusable by metres: the rims of clouds and shadows are seldom in the mask."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Valid = npt.NDArray[np.bool_]


def dilate_unusable(valid: Valid, *, radius_m: float, gsd_m: float) -> Valid:
    """Return validity without the pixels whose centers lie within a radius of an unusable one.

    What lies beyond the array's edge is unknown and takes no part: read a margin of
    `margin_px` and cut it off afterwards where that matters.

    Args:
        valid: True means usable, `(..., y, x)`; leading axes are taken one by one.
        radius_m: Distance between centers, metres; 0 changes nothing.
        gsd_m: Pixel size, metres.

    Raises:
        ValueError: If `radius_m` is negative or `gsd_m` is not above zero.

    Example:
        >>> valid = np.ones((1, 5), dtype=bool)
        >>> valid[0, 0] = False
        >>> dilate_unusable(valid, radius_m=60, gsd_m=30).tolist()
        [[False, False, False, True, True]]
    """
    if radius_m < 0 or not gsd_m > 0:
        raise ValueError(
            f"radius_m must not be negative and gsd_m above zero, got {radius_m!r}, {gsd_m!r}"
        )
    if radius_m < gsd_m or valid.all():
        return valid.copy()
    flat = valid.reshape(-1, *valid.shape[-2:])
    reach = radius_m / gsd_m + 1e-9
    return np.stack([_far_from_unusable(one, reach) for one in flat]).reshape(valid.shape)


def margin_px(*, radius_m: float, gsd_m: float) -> int:
    """Return how many pixels around a patch can still widen into it."""
    return math.floor(radius_m / gsd_m + 1e-9)


def _far_from_unusable(valid: Valid, reach_px: float) -> Valid:
    if valid.all():
        return valid
    distance: npt.NDArray[np.floating[Any]] = ndimage.distance_transform_edt(valid)
    return distance > reach_px
