"""The landscape: patches of ground with outlines, textures and terrain, evaluable anywhere."""

from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.features import rasterize

from pipeline.sandbox.fields import Floats, PixelGrid, SmoothField

_ONE_RASTERIZE = Lock()
"""rasterio silences a warning of its own by `catch_warnings`, which threads must not share."""
LEVEL_M = 26.0
HILL_M = 11.0
"""Mean elevation, and the standard deviation of the hills about it, metres."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What makes one patch differ from another of its kind; arrays of one value per patch."""

    kind: NDArray[np.int64]
    """Index into `covers.KINDS`."""
    brightness: Floats
    """Factor on the reflectance of what does not grow."""
    soil: Floats
    """Factor on soil reflectance."""
    late_days: Floats
    """Delay of the season."""
    vigor: Floats
    """Factor on green cover."""
    rough_db: Floats
    """Departure of soil backscatter, dB."""
    chance: Floats
    """Uniform in 0 to 1: decides pasture or hay, and when hay is cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Houses:
    """Small boxes on the ground; arrays of one row per house."""

    centers: NDArray[np.float64]
    """Easting and northing `(n, 2)`, metres."""
    sizes: NDArray[np.float64]
    """Length and width `(n, 2)`, metres."""
    angles: NDArray[np.float64]
    """Direction of the length `(n,)`, radians counterclockwise from east."""

    def stamp(self, ids: NDArray[np.int32], grid: PixelGrid, *, first: int) -> None:
        """Write `first + i` into `ids` wherever house i covers a pixel center of `grid`.

        Testing a few pixels around each house is many times faster than a polygon fill.
        """
        if not len(self.centers):
            return
        reach = int(np.hypot(*self.sizes.T).max() / 2 / grid.step_m) + 1
        around = np.arange(-reach, reach + 1)
        columns = ((self.centers[:, 0] - grid.west) // grid.step_m).astype(int)[
            :, None
        ] + around
        rows = ((grid.north - self.centers[:, 1]) // grid.step_m).astype(int)[:, None] + around
        x = grid.west + grid.step_m * (columns + 0.5) - self.centers[:, :1]
        y = grid.north - grid.step_m * (rows + 0.5) - self.centers[:, 1:]
        c, s = np.cos(self.angles)[:, None, None], np.sin(self.angles)[:, None, None]
        along = x[:, None, :] * c + y[:, :, None] * s
        across = y[:, :, None] * c - x[:, None, :] * s
        inside = np.abs(along) <= self.sizes[:, 0, None, None] / 2
        inside &= np.abs(across) <= self.sizes[:, 1, None, None] / 2
        inside &= ((columns >= 0) & (columns < grid.width))[:, None, :]
        inside &= ((rows >= 0) & (rows < grid.height))[:, :, None]
        house, row, column = np.nonzero(inside)
        ids[rows[house, row], columns[house, column]] = first + house


@dataclass(frozen=True, slots=True, kw_only=True)
class Landscape:
    """Patches in painter's order, and the fields that vary within them."""

    outlines: tuple[dict[str, Any], ...]
    """GeoJSON geometries of the first patches, UTM metres; a later one lies on top."""
    houses: Houses
    """The patches after those: they lie on top of all outlines."""
    traits: Traits
    fertility: SmoothField
    """Departure of green cover, mean 0, standard deviation 1; the same all year."""
    grain: SmoothField
    """Fine texture, mean 0, standard deviation 1."""
    terrain: SmoothField
    """Hills, mean 0, standard deviation 1; see `elevation`."""

    def patch_ids(self, grid: PixelGrid) -> NDArray[np.int32]:
        """Return which patch lies under each pixel center, shape `(height, width)`."""
        with _ONE_RASTERIZE:
            ids: NDArray[np.int32] = rasterize(
                zip(self.outlines, range(len(self.outlines)), strict=True),
                out_shape=grid.shape,
                transform=grid.transform,
                fill=0,
                dtype="int32",
            )
        self.houses.stamp(ids, grid, first=len(self.outlines))
        return ids

    def elevation_m(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> Floats:
        """Return the height of the ground at scattered points, metres."""
        return LEVEL_M + HILL_M * self.terrain.at(x, y)


def draw_traits(rng: np.random.Generator, kind: NDArray[np.int64]) -> Traits:
    """Draw what makes patches of one kind differ."""
    n = len(kind)

    def normal(spread: float) -> Floats:
        return (spread * rng.standard_normal(n)).astype(np.float32)

    return Traits(
        kind=kind,
        brightness=np.exp(normal(0.14)),
        soil=np.exp(normal(0.13)),
        late_days=normal(6.0),
        vigor=np.clip(1 + normal(0.07), 0.7, 1.05),
        rough_db=normal(1.3),
        chance=rng.random(n, dtype=np.float32),
    )
