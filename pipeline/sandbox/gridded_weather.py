"""The weather of gridded files: plane waves that drift with the wind.

The long waves are the same for coarse and fine files; the short ones are in fine files only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np
import numpy.typing as npt

from pipeline.sandbox.schedule import SandboxConfig

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_LONG_DEG = (3.0, 25.0)
_SHORT_DEG = (0.25, 2.5)
_WAVES = 24
_WIND_DEG_PER_H = (0.45, 0.12)
_DUST, _SPREAD = 0.12, 0.9
"""Median of the optical thickness, and spread of its logarithm."""
_FAINT = 0.18
"""Total thickness below which its color is not determined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """Fields `(time, lat, lon)`, float32."""

    dust: Floats
    """Extinction optical thickness at 550 nm, as are the next two."""
    sea_salt: Floats
    smoke: Floats
    temperature: Floats
    """Kelvin, 2 m above ground."""
    humidity: Floats
    """Specific, kg per kg."""
    pressure: Floats
    """Pascal, at sea level."""
    wind_east: Floats
    """Metres per second, 10 m above ground."""
    wind_north: Floats

    @property
    def total(self) -> Floats:
        """Extinction optical thickness of everything."""
        return self.dust + self.sea_salt + self.smoke

    @property
    def angstrom(self) -> Floats:
        """Exponent between 470 and 870 nm; NaN where there is too little to tell."""
        fine = self.smoke / self.total
        return np.where(self.total < _FAINT, np.nan, 0.2 + 1.5 * fine).astype(np.float32)


def draw_weather(
    config: SandboxConfig,
    lat: Doubles,
    lon: Doubles,
    times: Sequence[datetime],
    detail: Literal["coarse", "fine"],
) -> Weather:
    """Return the weather of a sandbox at points and times.

    Args:
        config: Its seed decides the weather.
        lat: Of the rows, degrees.
        lon: Of the columns, degrees.
        times: Aware; the year does not count.
        detail: Whether filaments finer than a coarse grid can hold are there.
    """
    hours = np.array([_hour_of_year(time) for time in times])
    dusty = _waves(config, "dust", _LONG_DEG, (lat, lon), hours)
    if detail == "fine":
        dusty += 0.35 * _waves(config, "filaments", _SHORT_DEG, (lat, lon), hours)
    salty = _waves(config, "salt", _LONG_DEG, (lat, lon), hours)
    smoky = _waves(config, "smoke", _LONG_DEG, (lat, lon), hours)
    high = _waves(config, "pressure", (12.0, 40.0), (lat, lon), hours)
    warm = _waves(config, "warmth", (6.0, 30.0), (lat, lon), hours)
    sun = np.cos((hours + lon.mean() / 15 - 14) * np.pi / 12)[:, None, None]
    season = np.cos((hours / 24 - 200) * 2 * np.pi / 365)[:, None, None]
    south = (50 - lat)[None, :, None]
    temperature = 284 + 8 * season + 4 * sun + 2.5 * warm + 0.6 * south
    return Weather(
        dust=_float32(_DUST * np.exp(_SPREAD * dusty)),
        sea_salt=_float32(0.02 * np.exp(0.5 * salty)),
        smoke=_float32(0.05 * np.exp(0.6 * smoky)),
        temperature=_float32(temperature),
        humidity=_float32(0.007 * np.exp((temperature - 284) / 18)),
        pressure=_float32(101_325 + 700 * high),
        wind_east=_float32(4 + 2.5 * salty),
        wind_north=_float32(1 + 2.5 * high),
    )


def _waves(
    config: SandboxConfig,
    name: str,
    lengths: tuple[float, float],
    grid: tuple[Doubles, Doubles],
    hours: Doubles,
) -> Doubles:
    """A sum of drifting plane waves `(time, lat, lon)`, of unit variance all in all."""
    rng = config.random("gridded", name)
    length = np.exp(rng.uniform(np.log(lengths[0]), np.log(lengths[1]), _WAVES))
    angle, phase = rng.uniform(0, 2 * np.pi, (2, _WAVES))
    drift = rng.normal(1.0, 0.15, _WAVES)
    amplitude = length**0.8
    amplitude *= np.sqrt(2 / (amplitude**2).sum())
    lat, lon = grid
    found = np.zeros((len(hours), len(lat), len(lon)))
    for i in range(_WAVES):
        east, north = np.cos(angle[i]), np.sin(angle[i])
        moved = drift[i] * (east * _WIND_DEG_PER_H[0] + north * _WIND_DEG_PER_H[1]) * hours
        along = north * lat[None, :, None] + east * lon[None, None, :] - moved[:, None, None]
        found += amplitude[i] * np.cos(2 * np.pi * along / length[i] + phase[i])
    return found


def _hour_of_year(time: datetime) -> float:
    """Hours since the turn of the year, as if each year had the same length."""
    start = datetime(time.year, 1, 1, tzinfo=UTC)
    return (time - start).total_seconds() / 3600


def _float32(values: Doubles) -> Floats:
    return values.astype(np.float32)
