"""Sun, rain, air, clouds and their shadows."""

import math
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from pipeline.sandbox.fields import Floats, PixelGrid, SmoothField, synthesize_field

CLOUD_OPACITY = 0.12
"""Opacity above which quality bands call a pixel cloud; thinner veils go unnoticed."""
SHADOW_OPACITY = 0.3
"""Opacity of the cloud in front of the sun above which quality bands call a pixel shadow."""
CLOUD_TEMPERATURE_K = 262.0


@dataclass(frozen=True, slots=True)
class Sun:
    """Where the sun stands."""

    elevation_deg: float
    azimuth_deg: float
    """Clockwise from north."""


def sun_at(time: datetime, *, lon_deg: float, lat_deg: float) -> Sun:
    """Return the sun's position to within about half a degree.

    Declination by Cooper 1969, `23.45 sin(360 (284 + n) / 365)`; the equation of time is
    left out.

    Example:
        >>> from datetime import UTC
        >>> noon = sun_at(datetime(2021, 6, 21, 12, tzinfo=UTC), lon_deg=0.0, lat_deg=50.0)
        >>> round(noon.elevation_deg, 1), round(noon.azimuth_deg)
        (63.4, 180)
    """
    day = time.timetuple().tm_yday
    declination = math.radians(23.45 * math.sin(2 * math.pi * (284 + day) / 365))
    hours = time.hour + time.minute / 60 + time.second / 3600
    angle = math.radians(15 * (hours - 12) + lon_deg)
    lat = math.radians(lat_deg)
    up = math.sin(lat) * math.sin(declination)
    up += math.cos(lat) * math.cos(declination) * math.cos(angle)
    north = math.cos(lat) * math.sin(declination)
    north -= math.sin(lat) * math.cos(declination) * math.cos(angle)
    east = -math.cos(declination) * math.sin(angle)
    return Sun(math.degrees(math.asin(up)), math.degrees(math.atan2(east, north)) % 360)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sky:
    """The clouds of one moment."""

    field: SmoothField
    threshold: float
    """Field value where cloud begins; infinite under a clear sky."""
    softness: float
    """Rise of the field over which a cloud becomes opaque."""
    shadow_m: tuple[float, float]
    """Offset east and north from a cloud to its shadow."""

    def opacity(self, grid: PixelGrid) -> Floats:
        """Return the cloud opacity seen from above, 0 to 1, at each pixel center."""
        if math.isinf(self.threshold):
            return np.zeros(grid.shape, np.float32)
        depth = np.maximum(self.field.on(grid) - self.threshold, 0) / self.softness
        return np.asarray(1 - np.exp(-depth), np.float32)

    def shade(self, grid: PixelGrid) -> Floats:
        """Return the opacity of the cloud between each pixel center and the sun, 0 to 1."""
        east, north = self.shadow_m
        return self.opacity(grid.move(east_m=-east, north_m=-north))


def draw_sky(rng: np.random.Generator, *, cover: float, area: PixelGrid, sun: Sun) -> Sky:
    """Draw clouds that cover about the share `cover` of `area`, at 1.0 to 2.2 km height."""
    scattered = cover < 0.5 and rng.random() < 0.6
    west, south, east, north = area.bounds
    field = synthesize_field(
        rng,
        period_m=max(east - west, north - south) + 3000,
        spacing_m=45.0,
        roughness=2.9,
        largest_m=1500.0 if scattered else 6000.0,
    )
    height = rng.uniform(1000, 2200)
    length = height / math.tan(math.radians(max(sun.elevation_deg, 15)))
    azimuth = math.radians(sun.azimuth_deg)
    softness = float(rng.uniform(0.25, 0.5))
    threshold = math.inf
    if cover > 0:
        threshold = float(np.quantile(field.on(area), max(1 - cover, 0)))
        threshold += softness * math.log(1 - CLOUD_OPACITY)
    return Sky(
        field=field,
        threshold=threshold,
        softness=softness,
        shadow_m=(-length * math.sin(azimuth), -length * math.cos(azimuth)),
    )


def draw_rain(rng: np.random.Generator) -> Floats:
    """Draw the topsoil's wetness for each day of a year, 0 (dry) to 1 (just rained on).

    Rain falls on about one day in four, as in Flanders in summer, and dries off within days.
    """
    rain = np.where(rng.random(367) < 0.26, rng.gamma(1.2, 0.5, 367), 0.0)
    wetness = np.zeros(367, np.float32)
    for day in range(1, 367):
        wetness[day] = min(1.0, wetness[day - 1] * math.exp(-1 / 3.0) + rain[day])
    return wetness


def air_temperature_k(day: float, departure_k: float) -> float:
    """Return the air temperature of mid-morning: a year of 9 K amplitude about 284 K."""
    return 284.0 + 9.0 * math.sin(2 * math.pi * (day - 112) / 365) + departure_k


def relief_of(terrain: SmoothField, sun: Sun, amplitude_m: float) -> SmoothField:
    """Return the departure of illumination from that of level ground, as a field.

    To first order `cos i / cos z = 1 - tan(z) * slope along the sun's azimuth`.
    """
    n, step = len(terrain.coefficients), terrain.spacing_m
    nodes = PixelGrid(-step / 2, (n - 0.5) * step, step, n, n)
    azimuth = math.radians(sun.azimuth_deg)
    east, north = 10 * math.sin(azimuth), 10 * math.cos(azimuth)
    ahead = terrain.on(nodes.move(east_m=east, north_m=north))
    behind = terrain.on(nodes.move(east_m=-east, north_m=-north))
    slope = amplitude_m * (ahead - behind) / 20
    departure = -slope / math.tan(math.radians(sun.elevation_deg))
    return SmoothField(np.flipud(departure).astype(np.float32), step)
