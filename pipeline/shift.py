"""How far one image lies off another, in parts of a pixel, from what both show of the ground.

Small windows are compared one by one, each with a brightness and a contrast of its own, so a
field that turned from dark to bright between the dates still tells where its edges are, and a
field that was ploughed tells nothing instead of something wrong. The shift is the one under
which most windows explain most: whole pixels by trial, the rest by Gauss-Newton steps.

Measured against phase correlation on simulated pairs in `tests/pipeline/test_shift.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from pipeline.shift_windows import (
    Floats,
    ImagePair,
    Valid,
    WindowedPair,
    WindowView,
    fill_and_smooth,
    fit_windows,
    prepare_windows,
    view_windows,
)

_LEAST_WINDOWS = 6
"""Fewer agree by chance."""
_STEPS = 6
_STEP_PX = 0.7
_SETTLED_PX = 1e-3
_SHARED = 2.0
_LEAST_ERROR_PX = 0.01
"""Windows side by side see the same edges, so that they err together; and what interpolation
leaves. Both set so that errors on simulated pairs are as large as stated."""
_NOWHERE = 1e-9
"""Curvature that stands for none, so that an image without structure is no division by 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftEstimate:
    """Where companions show what their anchors show, and how sure that is."""

    rows: float
    columns: float
    """`companion[y + rows, x + columns]` shows what `anchor[y, x]` shows."""
    error_px: float
    """Standard error along each axis, from how windows differ; infinite if nothing tells."""
    residual_px: float
    """Typical distance between the shift and what one quarter of an image says by itself;
    NaN if nothing tells."""
    confidence: float
    """0 to 1: how far the best whole-pixel shift stands out from those that are not beside it;
    0 if it lies at the edge of the search."""
    explained: float
    """Share of the windows' contrast that the shifted anchor explains, 0 to 1."""
    windows: int
    """Windows that took part."""


def measure_shift(pairs: Sequence[ImagePair], *, reach_px: int) -> ShiftEstimate:
    """Measure how far companions are displaced, all by one shift, against their anchors.

    What the images say is added up before anything is decided: many that are each too small
    or too cloudy tell together what none tells alone.

    Args:
        pairs: Images with one displacement in common, for example the cells of two scenes.
        reach_px: Largest displacement looked for along each axis, whole pixels, at least 2.

    Raises:
        ValueError: If `reach_px` is below 2.
    """
    if reach_px < 2:
        raise ValueError(f"reach_px must be at least 2, got {reach_px!r}")
    ready = [prepare_windows(pair, reach_px) for pair in pairs]
    evidence = np.sum([_search(one) for one in ready], axis=0)
    if not np.any(evidence):
        return _NOTHING
    best = np.unravel_index(int(evidence.argmax()), evidence.shape)
    start = np.array(best, dtype=np.float64) - reach_px
    shift, views = _refine(ready, start)
    strayed = float(np.abs(shift - start).max()) > 1
    error_px = _standard_error(views)
    return ShiftEstimate(
        rows=float(shift[0]),
        columns=float(shift[1]),
        error_px=error_px,
        residual_px=_residual(views),
        confidence=0.0 if strayed or not np.isfinite(error_px) else _distinction(evidence),
        explained=_explained(views),
        windows=sum(int((one.fit.pixels > 0).sum()) for one in views),
    )


def weighted_median(values: Floats, weights: Floats) -> float:
    """Return where half of the weight lies on either side, between values if need be.

    Example:
        >>> weighted_median(np.array([1.0, 2.0, 50.0]), np.array([1.0, 1.0, 1.0]))
        2.0
        >>> weighted_median(np.array([1.0, 2.0]), np.array([1.0, 3.0]))
        1.75
    """
    order = np.argsort(values)
    ordered, weight = values[order], weights[order]
    middle = np.cumsum(weight) - weight / 2
    return float(np.interp(weight.sum() / 2, middle, ordered))


def shift_image(
    image: Floats, valid: Valid, *, rows: float, columns: float
) -> tuple[Floats, Valid]:
    """Return an image moved so that a companion displaced by this much lies on its anchor.

    Args:
        image: Values `(band, y, x)`.
        valid: True where usable, `(y, x)`.
        rows: As `ShiftEstimate.rows`.
        columns: As `ShiftEstimate.columns`.

    Returns:
        Values by cubic splines, and which of them rest on usable pixels only.
    """
    filled = fill_and_smooth(image, valid, 0.0)
    moved = np.stack([ndimage.shift(one, (-rows, -columns), mode="nearest") for one in filled])
    clear = ndimage.shift(valid.astype(np.float32), (-rows, -columns), order=1, cval=0.0)
    return moved, np.asarray(clear > 0.999)


def _search(pair: WindowedPair) -> Floats:
    """Return the log-likelihood of each whole-pixel shift, as if all saw as many pixels.

    For one window of n pixels it is `-n/2 log(1 - r^2)`, with the line fitted and the noise
    unknown: strong agreement counts much, disagreement counts nothing.
    """
    tried = range(-pair.reach_px, pair.reach_px + 1)
    mean = np.zeros((len(tried), len(tried)))
    most = 0.0
    for i, row in enumerate(tried):
        for j, column in enumerate(tried):
            clear = pair.anchor_valid * pair.at(pair.companion_valid, row, column)
            fit = fit_windows(pair, clear, pair.at(pair.companion, row, column))
            gain = -0.5 * fit.pixels * np.log1p(-fit.explained)
            pixels = float(fit.pixels.sum())
            mean[i, j] = gain.sum() / max(pixels, 1.0)
            most = max(most, pixels)
    return mean * most


def _distinction(evidence: Floats) -> float:
    """How far the best whole-pixel shift stands above all that are not beside it."""
    row, column = (int(i) for i in np.unravel_index(int(evidence.argmax()), evidence.shape))
    last = len(evidence) - 1
    peak = float(evidence[row, column])
    if peak <= 0 or row in (0, last) or column in (0, last):
        return 0.0
    elsewhere = evidence.copy()
    elsewhere[row - 1 : row + 2, column - 1 : column + 2] = -np.inf
    return 1.0 - max(float(elsewhere.max()), 0.0) / peak


def _refine(pairs: Sequence[WindowedPair], start: Floats) -> tuple[Floats, list[WindowView]]:
    """Return the shift of least misfit near a start, by Gauss-Newton steps."""
    shift = start.copy()
    limit = pairs[0].reach_px + 0.999
    for _ in range(_STEPS):
        views = [view_windows(one, shift) for one in pairs]
        gradient = np.sum([one.gradient.sum(axis=(1, 2)) for one in views], axis=0)
        curvature = np.sum([one.curvature.sum(axis=(2, 3)) for one in views], axis=0)
        step = np.linalg.solve(curvature + _NOWHERE * np.eye(2), gradient)
        step = np.clip(step, -_STEP_PX, _STEP_PX)
        shift = np.clip(shift + step, -limit, limit)
        if np.abs(step).max() < _SETTLED_PX:
            break
    return shift, views


def _standard_error(views: Sequence[WindowView]) -> float:
    """Root of the mean variance of both axes, from how much windows pull apart.

    As a jackknife would find it: a window that the shift rests on is given no credit for
    agreeing with it (MacKinnon and White 1985, HC3).
    """
    curvature = np.sum([one.curvature.sum(axis=(2, 3)) for one in views], axis=0)
    if min(curvature[0, 0], curvature[1, 1]) < 1:
        return float("inf")
    inverse = np.linalg.inv(curvature)
    pulls = np.concatenate([one.gradient.reshape(2, -1) for one in views], axis=1)
    own = np.concatenate([one.curvature.reshape(2, 2, -1) for one in views], axis=2)
    leverage = np.einsum("ij,jiw->w", inverse, own)
    if (leverage > 0).sum() < _LEAST_WINDOWS:
        return float("inf")
    pulls = pulls / np.maximum(1 - leverage, 0.05)
    covariance = inverse @ (pulls @ pulls.T) @ inverse
    return float(np.hypot(_SHARED * np.sqrt(np.trace(covariance) / 2), _LEAST_ERROR_PX))


def _residual(views: Sequence[WindowView]) -> float:
    """Weighted median of the step that each quarter of an image would still take."""
    steps, weights = [], []
    for view in views:
        for rows in np.array_split(np.arange(view.gradient.shape[1]), 2):
            for columns in np.array_split(np.arange(view.gradient.shape[2]), 2):
                below = rows[:, None]
                curvature = view.curvature[..., below, columns].sum(axis=(2, 3))
                if np.linalg.eigvalsh(curvature)[0] < 1:
                    continue
                step = np.linalg.solve(
                    curvature, view.gradient[..., below, columns].sum(axis=(1, 2))
                )
                steps.append(float(np.hypot(*step)))
                weights.append(float(np.trace(curvature)))
    return weighted_median(np.array(steps), np.array(weights)) if steps else float("nan")


def _explained(views: Sequence[WindowView]) -> float:
    """Share of the contrast of all windows and bands that the anchor explains."""
    pixels = [np.broadcast_to(one.fit.pixels, one.fit.explained.shape) for one in views]
    total = sum(float(one.sum()) for one in pixels)
    known = (float((v.fit.explained * n).sum()) for v, n in zip(views, pixels, strict=True))
    return sum(known) / max(total, 1.0)


_NOTHING = ShiftEstimate(
    rows=0.0,
    columns=0.0,
    error_px=float("inf"),
    residual_px=float("nan"),
    confidence=0.0,
    explained=0.0,
    windows=0,
)
