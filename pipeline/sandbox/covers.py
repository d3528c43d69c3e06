"""What covers the ground: crops, trees, water, roads, roofs, and how each of them looks.

The spectra are round numbers in the range of published reflectance libraries (USGS splib07,
ECOSTRESS), chosen so that seasonal means agree with Sentinel-2 over Flanders. They make the
landscape plausible; no result should hang on their third digit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

Spectrum = tuple[float, float, float, float, float, float, float, float, float, float]
"""Reflectance in the order of `sensors.MSI_BANDS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """When a crop rises, dries, is cut and ploughed: days of the year, mid-transition."""

    rise: float
    """Half of the full canopy is there."""
    rise_days: float
    """Time scale of the rise."""
    early: float = 0.0
    """Green cover before the rise (winter crops, catch crops)."""
    peak: float
    """Green cover at full canopy."""
    dry: float
    """Half of the canopy has lost its green."""
    cut: float
    """Harvest."""
    plough: float
    """Stubble goes under."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """One kind of ground."""

    spectrum: Spectrum
    """Reflectance of the full canopy, or of the surface itself if nothing grows there."""
    calendar: Calendar | None = None
    """Season of a crop; None for what only trees, grass or nothing do."""
    evergreen: float = 0.0
    """Share of the cover that stays green all year; trees and grass have a season above it."""
    grain: float
    """Relative texture of a few tens of metres: crowns, rows, clods."""
    vigor: float = 0.0
    """How much the green cover follows the soil's fertility."""
    crop_type: int = 0
    """WorldCereal crop type; 0 where there is no information."""
    land_cover: int
    """WorldCereal land cover."""
    backscatter_db: tuple[float, float]
    """VV and VH of the full canopy or the surface, dB."""
    warmth_k: float
    """Surface minus air temperature on a clear summer morning, kelvin."""


SOIL: Spectrum = (0.068, 0.098, 0.134, 0.155, 0.168, 0.182, 0.198, 0.21, 0.275, 0.235)
STRAW: Spectrum = (0.062, 0.102, 0.142, 0.178, 0.205, 0.228, 0.25, 0.265, 0.31, 0.225)
LITTER: Spectrum = (0.04, 0.058, 0.075, 0.1, 0.12, 0.135, 0.15, 0.16, 0.2, 0.14)
BLOSSOM: Spectrum = (0.045, 0.135, 0.12, 0.19, 0.34, 0.39, 0.42, 0.43, 0.23, 0.11)
"""Rapeseed in flower: yellow."""

SOIL_BACKSCATTER_DB = (-10.5, -18.5)
SOIL_WARMTH_K = 11.0
STRAW_WARMTH_K = 8.0

_CROPLAND = 11
_GRASSLAND = 13
_TREES = 42
_BUILT = 60
_WATER = 70


def _crop(
    spectrum: Spectrum, calendar: Calendar, crop_type: int, backscatter: tuple[float, float]
) -> Cover:
    return Cover(
        spectrum=spectrum,
        calendar=calendar,
        grain=0.022,
        vigor=0.16,
        crop_type=crop_type,
        land_cover=_CROPLAND,
        backscatter_db=backscatter,
        warmth_k=1.5,
    )


def _built(
    spectrum: Spectrum, backscatter: tuple[float, float], warmth: float, grain: float = 0.05
) -> Cover:
    return Cover(
        spectrum=spectrum,
        grain=grain,
        land_cover=_BUILT,
        backscatter_db=backscatter,
        warmth_k=warmth,
    )


COVERS: Mapping[str, Cover] = MappingProxyType(
    {
        "wheat": _crop(
            (0.029, 0.052, 0.035, 0.085, 0.28, 0.38, 0.42, 0.44, 0.19, 0.085),
            Calendar(rise=96, rise_days=9, early=0.3, peak=0.95, dry=181, cut=210, plough=243),
            1110,
            (-13.5, -20.5),
        ),
        "barley": _crop(
            (0.034, 0.066, 0.046, 0.1, 0.29, 0.37, 0.4, 0.42, 0.2, 0.095),
            Calendar(rise=88, rise_days=9, early=0.32, peak=0.93, dry=163, cut=189, plough=222),
            1510,
            (-13.0, -20.0),
        ),
        "maize": _crop(
            (0.031, 0.06, 0.038, 0.09, 0.29, 0.4, 0.45, 0.46, 0.21, 0.09),
            Calendar(rise=168, rise_days=8, peak=0.95, dry=262, cut=280, plough=300),
            1200,
            (-8.5, -14.5),
        ),
        "potato": _crop(
            (0.034, 0.07, 0.042, 0.105, 0.32, 0.42, 0.46, 0.47, 0.22, 0.1),
            Calendar(rise=158, rise_days=6, peak=0.96, dry=240, cut=258, plough=264),
            5100,
            (-8.0, -13.5),
        ),
        "beet": _crop(
            (0.032, 0.074, 0.038, 0.115, 0.36, 0.46, 0.5, 0.52, 0.23, 0.1),
            Calendar(rise=152, rise_days=7, peak=0.97, dry=330, cut=296, plough=300),
            8100,
            (-8.0, -14.0),
        ),
        "rapeseed": _crop(
            (0.028, 0.066, 0.032, 0.1, 0.31, 0.4, 0.44, 0.45, 0.21, 0.095),
            Calendar(rise=80, rise_days=9, early=0.4, peak=0.95, dry=172, cut=200, plough=235),
            4351,
            (-9.0, -14.5),
        ),
        "flax": _crop(
            (0.035, 0.078, 0.045, 0.11, 0.27, 0.34, 0.37, 0.38, 0.21, 0.11),
            Calendar(rise=126, rise_days=7, peak=0.9, dry=184, cut=196, plough=230),
            7900,
            (-11.5, -18.5),
        ),
        "meadow": Cover(
            spectrum=(0.039, 0.073, 0.053, 0.118, 0.28, 0.35, 0.385, 0.4, 0.24, 0.13),
            evergreen=0.72,
            grain=0.03,
            vigor=0.16,
            crop_type=9120,
            land_cover=_GRASSLAND,
            backscatter_db=(-11.5, -18.5),
            warmth_k=3.0,
        ),
        "verge": Cover(
            spectrum=(0.04, 0.075, 0.05, 0.115, 0.25, 0.31, 0.335, 0.35, 0.24, 0.14),
            evergreen=0.65,
            grain=0.08,
            vigor=0.1,
            land_cover=_GRASSLAND,
            backscatter_db=(-11.0, -17.5),
            warmth_k=4.0,
        ),
        "deciduous": Cover(
            spectrum=(0.021, 0.037, 0.023, 0.062, 0.22, 0.3, 0.335, 0.35, 0.155, 0.066),
            evergreen=0.12,
            grain=0.16,
            vigor=0.06,
            land_cover=_TREES,
            backscatter_db=(-8.5, -13.8),
            warmth_k=-0.5,
        ),
        "conifer": Cover(
            spectrum=(0.015, 0.027, 0.016, 0.042, 0.125, 0.165, 0.185, 0.195, 0.088, 0.04),
            evergreen=0.95,
            grain=0.14,
            vigor=0.04,
            land_cover=_TREES,
            backscatter_db=(-8.8, -14.2),
            warmth_k=-0.8,
        ),
        "garden": Cover(
            spectrum=(0.034, 0.06, 0.042, 0.095, 0.21, 0.27, 0.295, 0.305, 0.2, 0.115),
            evergreen=0.55,
            grain=0.2,
            land_cover=_BUILT,
            backscatter_db=(-7.5, -14.0),
            warmth_k=5.0,
        ),
        "water": Cover(
            spectrum=(0.032, 0.038, 0.023, 0.019, 0.014, 0.013, 0.011, 0.01, 0.006, 0.004),
            grain=0.03,
            land_cover=_WATER,
            backscatter_db=(-19.0, -26.0),
            warmth_k=-3.0,
        ),
        "asphalt": _built(
            (0.085, 0.096, 0.105, 0.11, 0.115, 0.119, 0.124, 0.128, 0.145, 0.135),
            (-15.0, -22.0),
            9.0,
        ),
        "track": _built(
            (0.11, 0.145, 0.18, 0.2, 0.21, 0.22, 0.235, 0.245, 0.3, 0.265), (-13.0, -20.5), 9.0
        ),
        "concrete": _built(
            (0.135, 0.15, 0.163, 0.17, 0.176, 0.181, 0.187, 0.191, 0.215, 0.2),
            (-10.0, -19.0),
            9.5,
            0.1,
        ),
        "yard": _built(
            (0.1, 0.117, 0.132, 0.142, 0.15, 0.157, 0.165, 0.17, 0.2, 0.185),
            (-8.0, -17.0),
            8.5,
            0.12,
        ),
        "roof_red": _built(
            (0.062, 0.08, 0.15, 0.178, 0.188, 0.196, 0.206, 0.212, 0.25, 0.23), (2.0, -7.5), 9.0
        ),
        "roof_dark": _built(
            (0.07, 0.076, 0.08, 0.083, 0.086, 0.09, 0.094, 0.097, 0.11, 0.105),
            (2.0, -7.5),
            10.0,
        ),
        "roof_gray": _built(
            (0.15, 0.165, 0.175, 0.18, 0.184, 0.188, 0.192, 0.195, 0.21, 0.2), (3.0, -7.0), 8.5
        ),
        "roof_bright": _built(
            (0.29, 0.305, 0.31, 0.315, 0.32, 0.322, 0.324, 0.325, 0.3, 0.27), (4.0, -6.5), 7.0
        ),
    }
)

KINDS: tuple[str, ...] = tuple(COVERS)
"""Names of covers; a patch holds the index into this tuple."""
