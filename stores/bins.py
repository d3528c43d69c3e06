"""Fixed bins of histograms, so that histograms of parts can be added."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Bins:
    """Equal bins of a histogram; values beyond either end count in the outermost bin."""

    low: float
    high: float
    count: int
    unit: str
    """Unit of `low` and `high`."""

    @property
    def edges(self) -> npt.NDArray[np.float64]:
        """Edges of the bins, `(count + 1,)`."""
        return np.linspace(self.low, self.high, self.count + 1)

    def place(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Return the bin of each value."""
        step = (self.high - self.low) / self.count
        return np.clip((values - self.low) / step, 0, self.count - 1).astype(np.int64)


BINS: Mapping[str, Bins] = MappingProxyType(
    {
        "reflectance": Bins(-0.1, 1.1, 240, "1"),
        "temperature": Bins(220, 340, 240, "K"),
        "backscatter": Bins(-40, 15, 220, "dB"),
        "elevation": Bins(-500, 9000, 380, "m"),
        "class": Bins(-0.5, 255.5, 256, "class"),
        "quality": Bins(-0.5, 255.5, 256, "class"),
        "probability": Bins(0, 1, 100, "1"),
    }
)
"""Kind of quantity -> bins, in physical units; backscatter in decibel."""
_ATMOSPHERE: Mapping[str, Bins] = MappingProxyType(
    {
        "1": Bins(-0.5, 4.5, 250, "1"),
        "K": Bins(180, 340, 320, "K"),
        "kg kg-1": Bins(0, 0.03, 300, "kg kg-1"),
        "Pa": Bins(45_000, 110_000, 260, "Pa"),
        "m s-1": Bins(-60, 60, 240, "m s-1"),
        "kg m-2": Bins(0, 80, 320, "kg m-2"),
        "kg m-3": Bins(0, 1e-5, 200, "kg m-3"),
    }
)
"""Unit of a field of the atmosphere -> bins."""
_AEROSOL_MASS = Bins(0, 0.01, 200, "kg m-2")
"""Columns of aerosol are thousands of times lighter than those of water vapour."""


def bins_of(kind: str, unit: str, key: str) -> Bins:
    """Return the bins of a band: by kind, and for fields of the atmosphere by unit."""
    if kind != "atmosphere":
        return BINS[kind]
    return _AEROSOL_MASS if key.endswith("_mass") and unit == "kg m-2" else _ATMOSPHERE[unit]
