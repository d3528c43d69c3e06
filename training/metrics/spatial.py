"""How much fine detail an image holds, compared with the truth."""

import numpy as np
import numpy.typing as npt

NO_POWER = 1e-14
"""Power that is rounding, not detail; quantizing reflectance to 1e-4 alone makes 1e-9."""

Floats = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]


def radial_power(image: Floats, valid: Bools) -> tuple[Floats, Floats]:
    """Return frequencies and the power spectrum averaged over rings of equal frequency.

    The mean of the usable pixels is taken off, unusable ones are set to zero, and a Hann
    window keeps the image's edges out of the spectrum.

    Args:
        image: `(band, y, x)`.
        valid: `(y, x)`, True = usable; other pixels may hold anything.

    Returns:
        Frequencies, cycles per pixel, `(ring,)`, above 0 and at most 0.5; and power,
        `(band, ring)`, squared units of the image, per pixel.
    """
    height, width = valid.shape
    weight = valid / max(1, int(valid.sum()))
    values = np.where(valid, image, 0.0).astype(np.float64)
    mean = (values * weight).sum(axis=(-2, -1), keepdims=True)
    window = np.hanning(height)[:, None] * np.hanning(width)
    windowed = np.where(valid, values - mean, 0.0) * window
    power = np.abs(np.fft.fft2(windowed)) ** 2 / (window**2).sum()
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    rings = min(height, width) // 2
    ring = np.rint(frequency * 2 * rings).astype(int)
    counts = np.bincount(ring.ravel())[1 : rings + 1]
    sums = [np.bincount(ring.ravel(), band.ravel())[1 : rings + 1] for band in power]
    return np.arange(1, rings + 1) / (2 * rings), np.stack(sums) / counts


def spectrum_ratio(estimate: Floats, target: Floats, valid: Bools, *, ratio: int) -> float:
    """Return the power of the estimate's fine detail over that of the target's.

    Fine is what the condition's pixels cannot hold: frequencies from their Nyquist limit,
    `0.5 / ratio` cycles per pixel, to the target's. The mean is geometric, over bands and
    rings of the radially averaged spectrum, so that no ring outweighs the others.

    Args:
        estimate: `(band, y, x)`.
        target: Shaped like `estimate`.
        valid: `(y, x)`, True = usable; other pixels may hold anything.
        ratio: Target pixels per condition pixel, along one side.

    Returns:
        1 where detail is as strong as in the truth, less where the image is blurred, more
        where it is noisy; NaN if the target holds no detail.
    """
    frequencies, power = radial_power(estimate, valid)
    _, true_power = radial_power(target, valid)
    fine = frequencies > 0.5 / ratio
    if not fine.any() or not (true_power[:, fine] > NO_POWER).all():
        return float("nan")
    if not (power[:, fine] > NO_POWER).all():
        return 0.0
    return float(np.exp(np.mean(np.log(power[:, fine] / true_power[:, fine]))))
