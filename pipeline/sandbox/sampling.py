"""From the continuous landscape to pixels: fine samples, point spread, pixel aperture.

This is the sandbox's own path from ground to pixel. It knows nothing of any warp, so it can
judge one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import ndtr

from pipeline.sandbox.fields import Floats, PixelGrid, SmoothField
from pipeline.sandbox.landscape import Landscape

REACH_SIGMAS = 3.0
_STRIP_PX = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One quantity to be seen, and how sharply."""

    mean: Floats
    """Value of each patch."""
    per_fertility: Floats | None = None
    """Change per standard deviation of fertility of each patch. None: neither fertility,
    nor grain, nor the lie of the land touch this quantity."""
    gsd_m: float
    """Pixel size, metres; divides the pixel size of the scene's grid."""
    blur_m: float = 0.0
    """Standard deviation of the Gaussian point spread before the pixel's aperture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenery:
    """A landscape in the light of one moment."""

    landscape: Landscape
    grain: Floats
    """Relative change per standard deviation of grain, of each patch."""
    relief: SmoothField
    """Departure of illumination from that of level ground."""


def aperture_weights(*, pixel_m: float, blur_m: float, step_m: float, reach: int) -> Floats:
    """Return the weights of fine samples about one pixel, summing to 1.

    A square aperture convolved with a Gaussian, `Phi((u + p/2) / s) - Phi((u - p/2) / s)`,
    at the fine samples' centers.

    Args:
        pixel_m: Side of the pixel.
        blur_m: Standard deviation of the Gaussian; 0 leaves the plain area mean.
        step_m: Distance of fine samples; divides `pixel_m`.
        reach: Fine samples beyond the pixel on either side.
    """
    factor = round(pixel_m / step_m)
    u = (np.arange(factor + 2 * reach) - (factor + 2 * reach - 1) / 2) * step_m
    if blur_m == 0:
        weights = (np.abs(u) < pixel_m / 2).astype(np.float64)
    else:
        weights = ndtr((u + pixel_m / 2) / blur_m) - ndtr((u - pixel_m / 2) / blur_m)
    return np.asarray(weights / weights.sum(), np.float32)


def _gather(weights: Floats, *, count: int, stride: int, start: int, width: int) -> csr_array:
    """Sparse `(count, width)`: row i holds `weights` from column `start + i * stride`."""
    columns = start + stride * np.arange(count)[:, None] + np.arange(len(weights))
    rows = np.arange(0, columns.size + 1, len(weights))
    values = np.broadcast_to(weights, columns.shape).ravel()
    return csr_array((values, columns.ravel(), rows), shape=(count, width))


def sample_views(
    scenery: Scenery,
    views: Sequence[View],
    *,
    pixels: PixelGrid,
    factor: int,
    shift_m: tuple[float, float],
) -> list[Floats]:
    """Return each view of the landscape as pixels.

    Args:
        scenery: What there is to see.
        views: Quantities to sample, in order.
        pixels: The scene's grid as its metadata state it, at the coarsest of the views.
        factor: Fine samples along one side of a pixel of `pixels`.
        shift_m: How far east and north of its true place the scene lies: a pixel that the
            metadata put at `x` shows the ground at `x - shift`.

    Returns:
        One float32 array per view, over the extent of `pixels` at the view's own gsd.
    """
    blur = max(view.blur_m for view in views)
    reach = int(np.ceil(REACH_SIGMAS * blur * factor / pixels.step_m))
    ground = pixels.move(east_m=-shift_m[0], north_m=-shift_m[1])
    fine = ground.refine(factor, halo_px=reach)
    ids = scenery.landscape.patch_ids(fine)
    strips: list[list[Floats]] = []
    for start in range(0, pixels.height, _STRIP_PX):
        stop = min(start + _STRIP_PX, pixels.height)
        part = slice(start * factor, stop * factor + 2 * reach)
        grid = fine.rows(part.start, part.stop)
        strips.append(_sample_strip(scenery, views, ids[part], grid, reach))
    return [np.concatenate(column) for column in zip(*strips, strict=True)]


def _sample_strip(
    scenery: Scenery,
    views: Sequence[View],
    ids: NDArray[np.int32],
    grid: PixelGrid,
    reach: int,
) -> list[Floats]:
    where = ids.astype(np.intp)
    fertility = shine = np.empty((0, 0), np.float32)
    if any(view.per_fertility is not None for view in views):
        fertility = scenery.landscape.fertility.on(grid)
        shine = 1 + scenery.landscape.grain.on(grid) * scenery.grain[where]
        shine *= 1 + scenery.relief.on(grid)
    found = []
    value, change = np.empty(where.shape, np.float32), np.empty(where.shape, np.float32)
    for view in views:
        np.take(view.mean, where, out=value, mode="clip")
        if view.per_fertility is not None:
            np.take(view.per_fertility, where, out=change, mode="clip")
            change *= fertility
            value += change
            value *= shine
        found.append(_through_aperture(value, view, grid.step_m, reach))
    return found


def _through_aperture(value: Floats, view: View, step_m: float, reach: int) -> Floats:
    stride = round(view.gsd_m / step_m)
    own = min(reach, int(np.ceil(REACH_SIGMAS * view.blur_m / step_m)))
    weights = aperture_weights(pixel_m=view.gsd_m, blur_m=view.blur_m, step_m=step_m, reach=own)
    rows, columns = ((n - 2 * reach) // stride for n in value.shape)
    offset = reach - own
    down = _gather(weights, count=rows, stride=stride, start=offset, width=value.shape[0])
    across = _gather(weights, count=columns, stride=stride, start=offset, width=value.shape[1])
    return np.asarray((across @ (down @ value).T).T, dtype=np.float32)
