"""How well the relations between the bands of a pixel are kept."""

import numpy as np
import numpy.typing as npt

NDVI_FLOOR = 0.02
"""NIR plus red reflectance below which NDVI is left out: over dark water it is noise."""

Floats = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]


def spectral_angle_deg(estimate: Floats, target: Floats, valid: Bools) -> float:
    """Return the mean angle between the spectra of pixels, degrees.

    Kruse et al. 1993, doi:10.1016/0034-4257(93)90013-N. Pixels whose spectrum is zero in
    either image have no direction and do not count.

    Args:
        estimate: `(band, y, x)`, physical units.
        target: Shaped like `estimate`.
        valid: `(y, x)`, True = usable; other pixels may hold anything.

    Returns:
        0 to 180; NaN if no pixel counts.
    """
    x, y = (image[:, valid].astype(np.float64) for image in (estimate, target))
    lengths = np.linalg.norm(x, axis=0) * np.linalg.norm(y, axis=0)
    counts = lengths > 1e-12
    if not counts.any():
        return float("nan")
    cosine = (x * y).sum(axis=0)[counts] / lengths[counts]
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean())


def ndvi_squared_error(
    estimate: tuple[Floats, Floats], target: tuple[Floats, Floats], valid: Bools
) -> float:
    """Return the mean squared error of NDVI = (NIR - red) / (NIR + red).

    Pixels count where the target's NIR + red exceeds `NDVI_FLOOR`. The estimate's sum is
    lifted to that floor and its NDVI clipped to [-1, 1], so that it cannot explode.

    Args:
        estimate: NIR and red, each `(y, x)`, reflectance.
        target: Likewise.
        valid: `(y, x)`, True = usable; other pixels may hold anything.

    Returns:
        NaN if no pixel counts.
    """
    true_nir, true_red = (band[valid].astype(np.float64) for band in target)
    nir, red = (band[valid].astype(np.float64) for band in estimate)
    counts = true_nir + true_red > NDVI_FLOOR
    if not counts.any():
        return float("nan")
    error = _ndvi(nir, red)[counts] - _ndvi(true_nir, true_red)[counts]
    return float(np.mean(error**2))


def _ndvi(nir: Floats, red: Floats) -> Floats:
    ndvi: Floats = np.clip((nir - red) / np.maximum(nir + red, NDVI_FLOOR), -1, 1)
    return ndvi
