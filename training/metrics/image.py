"""PSNR and SSIM of one image, with a pinned data range."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

RGB_DATA_RANGE = 0.3
"""Surface reflectance that blue, green and red of land span; snow and cloud go beyond.

Pinned, so that scores of different images, stores and runs compare. With a range of 1, PSNR
would be 10.5 dB higher and SSIM, whose constants scale with the range, nearly blind to what
lies in the dark half of a field.
"""
SSIM_RADIUS = 5
"""Half of the 11 pixel window of Wang et al. 2004, doi:10.1109/TIP.2003.819861."""
SSIM_SIGMA = 1.5

Floats = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]


def psnr(estimate: Floats, target: Floats, valid: Bools, *, data_range: float) -> float:
    """Return the peak signal-to-noise ratio, decibel; NaN without valid pixels.

    Args:
        estimate: `(band, y, x)`.
        target: Shaped like `estimate`.
        valid: `(y, x)`, True = usable; other pixels may hold anything.
        data_range: Span of the values, same units.
    """
    if not valid.any():
        return float("nan")
    error = (estimate - target)[:, valid].astype(np.float64)
    mean_square = float(np.mean(error**2))
    return 10 * np.log10(data_range**2 / mean_square) if mean_square else float("inf")


def ssim(estimate: Floats, target: Floats, valid: Bools, *, data_range: float) -> float:
    """Return the structural similarity, mean over bands and over wholly valid windows.

    Wang et al. 2004: Gaussian window of 11 pixels with sigma 1.5, K1 = 0.01, K2 = 0.03.
    A window that leaves the image or touches an unusable pixel does not count.

    Args:
        estimate: `(band, y, x)`.
        target: Shaped like `estimate`.
        valid: `(y, x)`, True = usable; other pixels may hold anything.
        data_range: Span of the values, same units.

    Returns:
        At most 1; NaN if no window counts.
    """
    window = np.ones((2 * SSIM_RADIUS + 1,) * 2, bool)
    counts = ndimage.binary_erosion(valid, window, border_value=0)
    if not counts.any():
        return float("nan")
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    x, y = (np.where(valid, image, 0.0).astype(np.float64) for image in (estimate, target))
    mean_x, mean_y = _blur(x), _blur(y)
    var_x, var_y = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (var_x + var_y + c2)
    return float(np.mean((luminance * structure)[:, counts]))


def _blur(images: Floats) -> Floats:
    blurred: Floats = ndimage.gaussian_filter(
        images, (0, SSIM_SIGMA, SSIM_SIGMA), radius=(0, SSIM_RADIUS, SSIM_RADIUS)
    )
    return blurred
