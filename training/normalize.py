"""From physical to normalized values and back, by constants that travel with the model."""

from collections.abc import Sequence
from typing import Literal, Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from catalog.errors import StoreError
from stores.statistics import BandStatistics, LayerStatistics

SMALLEST_POWER = 1e-5
"""Linear backscatter below this (-50 dB, under any sensor's noise floor) is lifted to it."""


class Normalizer(BaseModel):
    """Zero mean and unit variance per band, over the train samples of a store's snapshot."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bands: tuple[str, ...]
    """Band keys, in the order of the channels."""
    scale: Literal["linear", "decibel"] = "linear"
    """Whether values are turned into 10 log10(value) first, as backscatter is."""
    mean: tuple[float, ...]
    """Per band, physical units or decibels."""
    std: tuple[float, ...]
    """Per band, physical units or decibels; above zero."""

    @classmethod
    def from_statistics(cls, layer: LayerStatistics, bands: Sequence[str]) -> Self:
        """Return the normalizer of some bands of a layer.

        Backscatter is normalized in decibels, by its histogram, which is in decibels.

        Raises:
            StoreError: If the store's statistics hold no usable train pixel of a band, or
                mix backscatter with other kinds.
        """
        chosen = [layer.band(key) for key in bands]
        empty = [band.key for band in chosen if band.count == 0]
        if empty:
            raise StoreError(
                f"layer {layer.name!r} has no usable train pixel of {', '.join(empty)}; give "
                "the train split a share of the recipe, or leave the layer out"
            )
        radar = {band.kind == "backscatter" for band in chosen}
        if len(radar) > 1:
            raise StoreError(
                f"layer {layer.name!r} mixes backscatter with other kinds of bands; make two "
                "layers of it in the recipe"
            )
        decibel = radar == {True}
        moments = [_histogram_moments(b) if decibel else (b.mean, b.std) for b in chosen]
        return cls(
            bands=tuple(bands),
            scale="decibel" if decibel else "linear",
            mean=tuple(mean for mean, _ in moments),
            std=tuple(max(std, 1e-6) for _, std in moments),
        )

    def normalize(self, physical: Tensor) -> Tensor:
        """Return normalized values of `(batch, band, y, x)` physical ones."""
        values = physical
        if self.scale == "decibel":
            values = 10 * torch.log10(physical.clamp(min=SMALLEST_POWER))
        return (values - column(self.mean, values)) / column(self.std, values)

    def restore(self, normalized: Tensor) -> Tensor:
        """Return physical values of `(batch, band, y, x)` normalized ones."""
        values = normalized * column(self.std, normalized) + column(self.mean, normalized)
        return 10 ** (values / 10) if self.scale == "decibel" else values


def column(values: tuple[float, ...], like: Tensor) -> Tensor:
    """Return per-band values as `(1, band, 1, 1)`, on the device of `like`."""
    return torch.tensor(values, dtype=like.dtype, device=like.device).view(1, -1, 1, 1)


def _histogram_moments(band: BandStatistics) -> tuple[float, float]:
    """Return mean and standard deviation of a histogram, exact to a fraction of a bin."""
    edges = band.bins.edges
    centers, counts = (edges[1:] + edges[:-1]) / 2, np.array(band.histogram, np.float64)
    mean = float((centers * counts).sum() / counts.sum())
    variance = float(((centers - mean) ** 2 * counts).sum() / counts.sum())
    return mean, variance**0.5
