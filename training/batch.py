"""Batches of samples: what a model sees, and what it should predict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Patches of one layer on their own grid."""

    pixels: Tensor
    """`(batch, band, y, x)`, float32, physical units; finite everywhere."""
    valid: Tensor
    """`(batch, 1, y, x)`, bool, True = usable."""

    def to(self, device: torch.device) -> "Layer":
        """Return the same on `device`."""
        return Layer(pixels=self.pixels.to(device), valid=self.valid.to(device))


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What a model sees."""

    image: Layer
    """The condition layer. Unusable pixels hold the nearest usable value."""
    season: Tensor
    """`(batch, 2)`: sine and cosine of the day of the year of the image."""
    extras: Mapping[str, Layer]
    """More layers by name. Unusable pixels hold zero."""

    def to(self, device: torch.device) -> "Condition":
        """Return the same on `device`."""
        extras = {k: v.to(device) for k, v in self.extras.items()}
        return Condition(
            image=self.image.to(device), season=self.season.to(device), extras=extras
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Some samples, ready for a model."""

    sample_ids: tuple[str, ...]
    condition: Condition
    target: Layer
    """The truth. Unusable pixels hold zero."""
    seeds: tuple[int, ...]
    """One seed per sample for whatever a model draws at random in training."""

    def to(self, device: torch.device) -> "Batch":
        """Return the same on `device`."""
        return Batch(
            sample_ids=self.sample_ids,
            condition=self.condition.to(device),
            target=self.target.to(device),
            seeds=self.seeds,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Which part of a patch to take, and how to turn it."""

    west_m: float = 0.0
    north_m: float = 0.0
    """Distance of the part's corner from the patch's upper left corner."""
    side_m: float | None = None
    """Side of the part; None takes the whole patch."""
    turn: int = 0
    """Element of the dihedral group D4, 0 to 7: quarter turns, then a mirror from 4 on."""

    def apply(self, pixels: npt.NDArray[Any], gsd_m: float) -> npt.NDArray[Any]:
        """Return the part of `pixels`, `(..., y, x)`, turned."""
        if self.side_m is not None:
            row, col, side = (
                round(v / gsd_m) for v in (self.north_m, self.west_m, self.side_m)
            )
            pixels = pixels[..., row : row + side, col : col + side]
        turned = np.rot90(pixels, self.turn % 4, axes=(-2, -1))
        return turned[..., ::-1] if self.turn >= 4 else turned


def fill_nearest(pixels: Floats, valid: Bools) -> Floats:
    """Return pixels whose unusable values are those of the nearest usable pixel.

    Args:
        pixels: `(band, y, x)`.
        valid: `(y, x)`, True = usable; if nothing is, the result is zero.
    """
    if valid.all():
        return pixels
    if not valid.any():
        return np.zeros_like(pixels)
    rows, cols = ndimage.distance_transform_edt(
        ~valid, return_distances=False, return_indices=True
    )
    return pixels[:, rows, cols]


def season_of(times: Sequence[datetime]) -> Floats:
    """Return sine and cosine of the day of the year, `(n, 2)`."""
    days = np.array([t.timetuple().tm_yday for t in times], np.float32)
    angle = 2 * np.pi * days / 365.25
    return np.stack([np.sin(angle), np.cos(angle)], axis=-1).astype(np.float32)
