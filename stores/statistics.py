"""Statistics of layers that can be merged: per band, over the usable pixels of samples.

Integer layers are summed exactly, so that any order of tasks gives the same numbers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import nan, sqrt
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from catalog.errors import StoreError
from stores.bins import Bins, bins_of
from stores.schema import BandSchema, LayerSchema


@dataclass(frozen=True, slots=True, kw_only=True)
class BandStatistics:
    """What is known of one band; physical unless a name says raw."""

    key: str
    kind: str
    unit: str
    scale: float
    offset: float
    count: int
    """Number of usable pixels."""
    raw_sum: float
    """Sum of raw values; an exact integer for integer layers."""
    raw_squares: float
    """Sum of squared raw values; an exact integer for integer layers."""
    raw_low: float | None
    """Least raw value; None without pixels."""
    raw_high: float | None
    histogram: tuple[int, ...]
    """Pixels per bin of `bins`."""

    @property
    def bins(self) -> Bins:
        """Bins of the histogram."""
        return bins_of(self.kind, self.unit, self.key)

    @property
    def mean(self) -> float:
        """Mean of the usable pixels; NaN without any."""
        return self.raw_sum / self.count * self.scale + self.offset if self.count else nan

    @property
    def std(self) -> float:
        """Standard deviation of the usable pixels, without Bessel's correction; or NaN."""
        if not self.count:
            return nan
        spread = self.count * self.raw_squares - self.raw_sum * self.raw_sum
        return sqrt(max(spread, 0)) / self.count * self.scale

    @property
    def minimum(self) -> float:
        """Least value; NaN without pixels."""
        return nan if self.raw_low is None else self.raw_low * self.scale + self.offset

    @property
    def maximum(self) -> float:
        """Greatest value; NaN without pixels."""
        return nan if self.raw_high is None else self.raw_high * self.scale + self.offset

    def merge(self, other: Self) -> Self:
        """Return the statistics of both sets of pixels together."""
        histogram = zip(self.histogram, other.histogram, strict=True)
        return type(self)(
            key=self.key,
            kind=self.kind,
            unit=self.unit,
            scale=self.scale,
            offset=self.offset,
            count=self.count + other.count,
            raw_sum=self.raw_sum + other.raw_sum,
            raw_squares=self.raw_squares + other.raw_squares,
            raw_low=_outermost(min, self.raw_low, other.raw_low),
            raw_high=_outermost(max, self.raw_high, other.raw_high),
            histogram=tuple(mine + theirs for mine, theirs in histogram),
        )

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready description; `mean` and `std` are for people."""
        stored = {name: getattr(self, name) for name in self.__slots__}
        stored["histogram"] = list(self.histogram)
        if self.count:
            stored |= {"mean": self.mean, "std": self.std}
        return stored

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the statistics that `to_json` described."""
        fields = {k: v for k, v in data.items() if k not in ("mean", "std", "histogram")}
        return cls(histogram=tuple(data["histogram"]), **fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerStatistics:
    """What is known of one layer's train samples."""

    name: str
    samples: int
    """Number of samples that hold at least one usable pixel."""
    bands: tuple[BandStatistics, ...]

    def band(self, key: str) -> BandStatistics:
        """Return the statistics of one band.

        Raises:
            StoreError: If the layer has no such band.
        """
        for band in self.bands:
            if band.key == key:
                return band
        keys = ", ".join(band.key for band in self.bands)
        raise StoreError(f"layer {self.name!r} has no band {key!r}; it has {keys}")

    def merge(self, other: Self) -> Self:
        """Return the statistics of both sets of samples together."""
        pairs = zip(self.bands, other.bands, strict=True)
        return type(self)(
            name=self.name,
            samples=self.samples + other.samples,
            bands=tuple(mine.merge(theirs) for mine, theirs in pairs),
        )

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready description."""
        bands = [band.to_json() for band in self.bands]
        return {"name": self.name, "samples": self.samples, "bands": bands}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the statistics that `to_json` described."""
        bands = tuple(BandStatistics.from_json(band) for band in data["bands"])
        return cls(name=data["name"], samples=data["samples"], bands=bands)


TaskStatistics = Mapping[str, LayerStatistics]
"""Layer name -> statistics, of one task or of a whole snapshot."""


def measure(
    layer: LayerSchema,
    pixels: npt.NDArray[Any],
    valid: npt.NDArray[np.bool_],
    positions: Sequence[int] | npt.NDArray[np.integer | np.bool_],
) -> LayerStatistics:
    """Return the statistics of some patches of a layer.

    Args:
        layer: Layer that the patches belong to.
        pixels: `(n, band, y, x)` as stored.
        valid: `(n, y, x)`, True = usable.
        positions: Which of the `n` patches to count (train samples); may be none.
    """
    chosen = np.arange(len(pixels))[np.asarray(positions, dtype=_index_type(positions))]
    if not np.array_equal(chosen, np.arange(len(pixels))):
        pixels, valid = pixels[chosen], valid[chosen]
    return LayerStatistics(
        name=layer.name,
        samples=int(valid.any(axis=(1, 2)).sum()),
        bands=tuple(
            _measure_band(layer, band, pixels[:, i], valid)
            for i, band in enumerate(layer.bands)
        ),
    )


def merge_statistics(mine: TaskStatistics, theirs: TaskStatistics) -> TaskStatistics:
    """Return the statistics of both sets of samples; each may lack some layers."""
    both = {**theirs, **mine}
    shared = mine.keys() & theirs.keys()
    return both | {name: mine[name].merge(theirs[name]) for name in sorted(shared)}


def statistics_to_json(statistics: TaskStatistics) -> dict[str, Any]:
    """Return a JSON-ready description, layers by name."""
    return {name: statistics[name].to_json() for name in sorted(statistics)}


def statistics_from_json(data: Mapping[str, Any]) -> TaskStatistics:
    """Return the statistics that `statistics_to_json` described."""
    return {name: LayerStatistics.from_json(layer) for name, layer in data.items()}


def _index_type(positions: object) -> type:
    is_boolean = isinstance(positions, np.ndarray) and positions.dtype == np.bool_
    return np.bool_ if is_boolean else np.int64


def _measure_band(
    layer: LayerSchema, band: BandSchema, raw: npt.NDArray[Any], valid: npt.NDArray[np.bool_]
) -> BandStatistics:
    """Measure the usable pixels of one band; nodata among them does not count."""
    if layer.dtype == "float32":
        values = raw[valid & np.isfinite(raw)].astype(np.float64)
        weights = np.ones(len(values), dtype=np.int64)
        total, squares = float(values.sum()), float(np.square(values).sum())
    else:
        # What is not usable counts as nodata: faster than leaving it out.
        frequency = np.bincount((raw * valid).ravel(), minlength=1)
        frequency[0] = 0
        values = np.flatnonzero(frequency)
        weights = frequency[values]
        total, squares = int(weights @ values), int(weights @ np.square(values))
        values = values.astype(np.float64)
    return BandStatistics(
        key=band.key,
        kind=band.kind,
        unit=band.unit,
        scale=layer.scale,
        offset=layer.offset,
        count=int(weights.sum()),
        raw_sum=total,
        raw_squares=squares,
        raw_low=float(values.min()) if len(values) else None,
        raw_high=float(values.max()) if len(values) else None,
        histogram=_histogram(
            bins_of(band.kind, band.unit, band.key),
            values * layer.scale + layer.offset,
            weights,
        ),
    )


def _histogram(
    bins: Bins, physical: npt.NDArray[np.float64], weights: npt.NDArray[np.int64]
) -> tuple[int, ...]:
    if bins.unit == "dB":
        physical = 10 * np.log10(np.maximum(physical, 1e-12))
    counts = np.bincount(bins.place(physical), weights=weights, minlength=bins.count)
    return tuple(int(count) for count in counts)


def _outermost(
    choose: Callable[[list[float]], float], mine: float | None, theirs: float | None
) -> float | None:
    present = [value for value in (mine, theirs) if value is not None]
    return choose(present) if present else None
