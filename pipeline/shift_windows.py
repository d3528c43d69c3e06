"""Two images window by window: each with a brightness and a contrast of its own.

The inner part of `pipeline.shift`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.floating[Any]]
Valid = npt.NDArray[np.bool_]

WINDOW_PX = 6
"""Side of a window: as small as a field at 30 m, large enough to hold an edge and its sides."""
_SMOOTH_PX = 0.65
"""Gaussian, standard deviation: below it interpolation drags shifts towards whole pixels."""
_LEAST_SHARE = 0.2
"""Share of a window that must be usable in both images."""
_NOISE = 1e-6
"""Variance that is no structure: (0.001 reflectance)^2, quiet water or a flat field."""
_KERNEL_PX = 2
_PERFECT = 0.9999


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePair:
    """The same ground as anchor and companion show it, on one pixel grid."""

    anchor: Floats
    """Reflectance `(band, y, x)`, or anything of its size; what is not usable may be NaN."""
    anchor_valid: Valid
    """True means usable, `(y, x)`."""
    companion: Floats
    """The same bands, placed without correction, `(band, y, x)`."""
    companion_valid: Valid
    """True means usable, `(y, x)`."""

    def __post_init__(self) -> None:
        images, valid = (self.anchor, self.companion), (self.anchor_valid, self.companion_valid)
        shapes = [one.shape for one in (*images, *valid)]
        if shapes[0] != shapes[1] or {s[-2:] for s in shapes} != {shapes[2]}:
            raise ValueError(
                f"anchor {shapes[0]} usable {shapes[2]} and companion {shapes[1]} usable "
                f"{shapes[3]} must be of one grid: (band, y, x) and (y, x)"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowedPair:
    """Two smoothed images and their usable pixels; the companion has a margin around it."""

    anchor: Floats
    anchor_valid: Floats
    """1 where usable, else 0."""
    companion: Floats
    companion_valid: Floats
    splines: Floats
    """Cubic B-spline coefficients of `companion`."""
    reach_px: int
    margin_px: int
    rows_of: Floats
    """`(window row, y)`: 1 where a pixel belongs to a window."""
    columns_of: Floats
    """`(x, window column)`, the same."""

    def per_window(self, values: Floats) -> Floats:
        """Sum `(..., y, x)` over the windows."""
        return np.asarray(self.rows_of @ values @ self.columns_of)

    def per_pixel(self, values: Floats) -> Floats:
        """Repeat one value per window for its pixels."""
        return np.asarray(self.rows_of.T @ values @ self.columns_of.T)

    def at(self, padded: Floats, row: int, column: int, more: int = 0) -> Floats:
        """Cut what lies `row` and `column` pixels away, `more` pixels larger."""
        height, width = self.anchor_valid.shape
        top, left = self.margin_px + row, self.margin_px + column
        return padded[..., top : top + height + more, left : left + width + more]


def prepare_windows(pair: ImagePair, reach_px: int) -> WindowedPair:
    """Smooth both images, cut them in windows, and give the companion a margin.

    Args:
        pair: What both show; values that are not finite are not usable, whatever it says.
        reach_px: Largest whole-pixel shift that will be asked for.
    """
    anchor_valid = pair.anchor_valid & np.isfinite(pair.anchor).all(axis=0)
    companion_valid = pair.companion_valid & np.isfinite(pair.companion).all(axis=0)
    margin = reach_px + _KERNEL_PX + 1
    first = fill_and_smooth(pair.anchor, anchor_valid, _SMOOTH_PX)
    second = fill_and_smooth(pair.companion, companion_valid, _SMOOTH_PX)
    first -= first.mean(axis=(1, 2), keepdims=True)
    second -= second.mean(axis=(1, 2), keepdims=True)
    padded = np.pad(second, ((0, 0), (margin, margin), (margin, margin)), mode="edge")
    height, width = anchor_valid.shape
    return WindowedPair(
        anchor=first,
        anchor_valid=anchor_valid.astype(np.float32),
        companion=padded,
        companion_valid=np.pad(companion_valid.astype(np.float32), margin),
        splines=np.stack(
            [ndimage.spline_filter(one, 3, np.float32, mode="mirror") for one in padded]
        ),
        reach_px=reach_px,
        margin_px=margin,
        rows_of=_membership(height),
        columns_of=_membership(width).T,
    )


def fill_and_smooth(image: Floats, valid: Valid, sigma_px: float) -> Floats:
    """Smooth what is usable, and fill the rest from around it.

    Args:
        image: Values `(band, y, x)`; what is not usable may be anything.
        valid: True means usable, `(y, x)`.
        sigma_px: Standard deviation of the Gaussian; 0 only fills, with the mean.
    """
    clear = np.where(valid, image, 0).astype(np.float32)
    weight = valid.astype(np.float32)
    if sigma_px:
        clear = ndimage.gaussian_filter(clear, (0, sigma_px, sigma_px), mode="nearest")
        weight = ndimage.gaussian_filter(weight, sigma_px, mode="nearest")
    mean = clear.sum(axis=(1, 2), keepdims=True) / max(float(weight.sum()), 1.0)
    known = weight > 0.05
    return np.where(known, clear / np.where(known, weight, 1), mean).astype(np.float32)


def _membership(size_px: int) -> Floats:
    count = max(1, round(size_px / WINDOW_PX))
    window = np.arange(size_px) * count // size_px
    member: Floats = (window[None, :] == np.arange(count)[:, None]).astype(np.float32)
    return member


@dataclass(frozen=True, slots=True)
class WindowFit:
    """The companion as a straight line of the anchor, per band and window."""

    pixels: Floats
    """Usable pixels `(window row, window column)`; 0 where they are too few."""
    slope: Floats
    anchor_mean: Floats
    companion_mean: Floats
    residual: Floats
    """Variance that the line leaves."""
    explained: Floats
    """Squared correlation."""


def fit_windows(pair: WindowedPair, clear: Floats, companion: Floats) -> WindowFit:
    """Fit a line to each window.

    Args:
        pair: The anchor, and the windows.
        clear: 1 where both images are usable, else 0, `(y, x)`.
        companion: Values of the companion at the shift in question, `(band, y, x)`.
    """
    pixels = pair.per_window(clear)
    n = np.maximum(pixels, 1)
    first, second = pair.anchor * clear, companion * clear
    sums = pair.per_window(
        np.stack([first, second, first * pair.anchor, second * companion, first * companion])
    )
    mean_a, mean_c, square_a, square_c, product = sums / n
    var_a = np.maximum(square_a - mean_a**2, 0) + _NOISE
    var_c = np.maximum(square_c - mean_c**2, 0) + _NOISE
    covariance = product - mean_a * mean_c
    return WindowFit(
        pixels=np.where(pixels >= _LEAST_SHARE * WINDOW_PX**2, pixels, 0),
        slope=covariance / var_a,
        anchor_mean=mean_a,
        companion_mean=mean_c,
        residual=np.maximum(var_c - covariance**2 / var_a, _NOISE),
        explained=np.minimum(covariance**2 / (var_a * var_c), _PERFECT),
    )


@dataclass(frozen=True, slots=True)
class WindowView:
    """What the windows of one pair say at one shift."""

    fit: WindowFit
    gradient: npt.NDArray[np.float64]
    """Where less misfit lies, `(2, window row, window column)`."""
    curvature: npt.NDArray[np.float64]
    """Of the misfit, `(2, 2, window row, window column)`."""


def view_windows(pair: WindowedPair, shift: Floats) -> WindowView:
    """Return gradient and curvature of the misfit of each window at a shift.

    Brightness and contrast of each window are free, so their directions are taken out of the
    derivatives; a window weighs what its line explains, over the variance it leaves.
    """
    base = np.floor(shift).astype(int)
    moved, down, right = _interpolate(pair, base, shift - base)
    clear = pair.anchor_valid.copy()
    for row in (base[0], base[0] + 1):
        for column in (base[1], base[1] + 1):
            clear *= pair.at(pair.companion_valid, row, column)
    fit = fit_windows(pair, clear, moved)
    centered = pair.anchor - pair.per_pixel(fit.anchor_mean)
    misfit = moved - pair.per_pixel(fit.companion_mean) - pair.per_pixel(fit.slope) * centered
    misfit *= clear
    slopes = [_free(pair, fit, clear, centered, one) for one in (down, right)]
    weight = np.where(fit.pixels > 0, fit.explained / fit.residual, 0)

    def per_window(values: Floats) -> Floats:
        summed: Floats = (pair.per_window(values) * weight).sum(axis=0)
        return summed

    gradient = [-per_window(one * misfit) for one in slopes]
    curvature = [[per_window(one * other) for other in slopes] for one in slopes]
    return WindowView(
        fit, np.array(gradient, dtype=np.float64), np.array(curvature, dtype=np.float64)
    )


def _free(
    pair: WindowedPair, fit: WindowFit, clear: Floats, centered: Floats, slope: Floats
) -> Floats:
    """Take out of a derivative what brightness and contrast of the window could do as well."""
    n = np.maximum(fit.pixels, 1)
    usable = slope * clear
    mean = pair.per_window(usable) / n
    along = pair.per_window(usable * centered) / n
    spread = pair.per_window(clear * centered * centered) / n + _NOISE
    rest = slope - pair.per_pixel(mean) - pair.per_pixel(along / spread) * centered
    return np.asarray(rest * clear)


def _interpolate(
    pair: WindowedPair, base: npt.NDArray[np.int64], rest: Floats
) -> tuple[Floats, ...]:
    """The companion between its pixels, and its derivatives down and to the right."""
    nodes = pair.at(pair.splines, int(base[0]) - 1, int(base[1]) - 1, more=3)
    (row, row_slope), (column, column_slope) = (_spline_weights(float(f)) for f in rest)
    return (
        _weighted(nodes, row, column),
        _weighted(nodes, row_slope, column),
        _weighted(nodes, row, column_slope),
    )


def _weighted(nodes: Floats, row: Floats, column: Floats) -> Floats:
    height, width = nodes.shape[1] - 3, nodes.shape[2] - 3
    along = sum(w * nodes[:, i : i + height, :] for i, w in enumerate(row))
    return np.asarray(sum(w * along[:, :, i : i + width] for i, w in enumerate(column)))


def _spline_weights(f: float) -> tuple[Floats, Floats]:
    """Weights of four cubic B-spline nodes at a fraction `f`, and their derivatives."""
    g = 1 - f
    weights = np.array([g**3, 4 - 6 * f**2 + 3 * f**3, 4 - 6 * g**2 + 3 * g**3, f**3]) / 6
    slopes = np.array([-(g**2), -4 * f + 3 * f**2, 4 * g - 3 * g**2, f**2]) / 2
    return weights.astype(np.float32), slopes.astype(np.float32)
