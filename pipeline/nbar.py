"""Nadir view, one sun: c-factor normalization of surface reflectance.

Roy et al. 2016, doi:10.1016/j.rse.2016.01.023, and Roy et al. 2017,
doi:10.1016/j.rse.2017.06.019: one fixed set of kernel weights serves all ground, because the
shape of its reflectance varies little over the narrow angles of Landsat and Sentinel-2:
`c = model(sun, nadir) / model(sun of the scene, view of the scene)`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

Degrees = npt.NDArray[np.floating[Any]] | float
Floats = npt.NDArray[np.floating[Any]]

LARGEST_ZENITH_DEG = 80.0
"""Beyond it the kernels run off to infinity."""
CROWN_HEIGHT = 2.0
"""Li-sparse: height of a crown's center over its vertical radius; crowns are spheres
(Wanner et al. 1995, doi:10.1029/95JD02371, h/b = 2 and b/r = 1)."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Kernel weights of one band."""

    isotropic: float
    geometric: float
    volumetric: float


WEIGHTS: Mapping[str, Weights] = MappingProxyType(
    {
        "blue": Weights(0.0774, 0.0079, 0.0372),
        "green": Weights(0.1306, 0.0178, 0.0580),
        "red": Weights(0.1690, 0.0227, 0.0574),
        "rededge1": Weights(0.2085, 0.0256, 0.0845),
        "rededge2": Weights(0.2316, 0.0273, 0.1003),
        "rededge3": Weights(0.2599, 0.0294, 0.1197),
        "nir": Weights(0.3093, 0.0330, 0.1535),
        "nir_narrow": Weights(0.3093, 0.0330, 0.1535),
        "swir1": Weights(0.3430, 0.0453, 0.1154),
        "swir2": Weights(0.2658, 0.0387, 0.0639),
    }
)
"""Band key -> weights; Roy 2016, and Roy 2017 for the red edge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Angles:
    """Where sun and sensor stood, degrees; numbers, or arrays `(y, x)`. NaN is unknown."""

    sun_zenith_deg: Degrees
    sun_azimuth_deg: Degrees
    """Clockwise from north, as is the view's."""
    view_zenith_deg: Degrees
    view_azimuth_deg: Degrees


def why_not(band: str, angles: Angles | None, *, sun_zenith_deg: float) -> str | None:
    """Return why a band cannot be normalized; None if it can.

    Args:
        band: Band key.
        angles: Of the scene; None if nothing states them.
        sun_zenith_deg: Sun zenith to normalize to.
    """
    if band not in WEIGHTS:
        return f"no kernel weights are published for {band}"
    if angles is None:
        return "the scene states no angles of sun and view"
    named = {name: np.asarray(getattr(angles, name)) for name in _ANGLE_NAMES}
    for name, values in named.items():
        if not np.isfinite(values).all():
            return f"{name} is unknown"
    zeniths = (named["sun_zenith_deg"], named["view_zenith_deg"], np.asarray(sun_zenith_deg))
    largest = max(float(np.max(one)) for one in zeniths)
    if largest > LARGEST_ZENITH_DEG or min(float(np.min(one)) for one in zeniths) < 0:
        return f"a zenith angle leaves 0 to {LARGEST_ZENITH_DEG:g} degrees"
    return None


def nbar_factor(band: str, angles: Angles, *, sun_zenith_deg: float) -> Floats:
    """Return the factor that turns reflectance into that of a nadir view under a given sun.

    Args:
        band: Band key.
        angles: Of the scene.
        sun_zenith_deg: Sun zenith to normalize to, degrees.

    Returns:
        One number, or one per pixel if the angles are, float64.

    Raises:
        ValueError: If an angle is missing or the band has no weights; see `why_not`.
    """
    reason = why_not(band, angles, sun_zenith_deg=sun_zenith_deg)
    if reason is not None:
        raise ValueError(f"cannot normalize {band}: {reason}")
    across = np.subtract(angles.view_azimuth_deg, angles.sun_azimuth_deg)
    wanted = model_reflectance(band, sun_zenith_deg, 0.0, 0.0)
    seen = model_reflectance(band, angles.sun_zenith_deg, angles.view_zenith_deg, across)
    return wanted / seen


def model_reflectance(
    band: str, sun_zenith_deg: Degrees, view_zenith_deg: Degrees, azimuth_deg: Degrees
) -> Floats:
    """Return the reflectance of the standard ground of `WEIGHTS`.

    Args:
        band: Band key.
        sun_zenith_deg: Sun zenith.
        view_zenith_deg: View zenith.
        azimuth_deg: Azimuth of the view against that of the sun; 0 has the sun behind the
            sensor.
    """
    weights = WEIGHTS[band]
    volumetric = ross_thick(sun_zenith_deg, view_zenith_deg, azimuth_deg)
    geometric = li_sparse(sun_zenith_deg, view_zenith_deg, azimuth_deg)
    return np.asarray(
        weights.isotropic + weights.geometric * geometric + weights.volumetric * volumetric
    )


def ross_thick(
    sun_zenith_deg: Degrees, view_zenith_deg: Degrees, azimuth_deg: Degrees
) -> Floats:
    """Return the volumetric kernel RossThick (Roujean et al. 1992; Lucht et al. 2000, eq. 38).

    Example:
        >>> round(float(ross_thick(30.0, 0.0, 0.0)), 6)
        -0.031443
    """
    sun, view, azimuth = (np.radians(a) for a in (sun_zenith_deg, view_zenith_deg, azimuth_deg))
    cosine = _phase_cosine(sun, view, azimuth)
    phase = np.arccos(cosine)
    seen = (np.pi / 2 - phase) * cosine + np.sin(phase)
    return np.asarray(seen / (np.cos(sun) + np.cos(view)) - np.pi / 4)


def li_sparse(
    sun_zenith_deg: Degrees, view_zenith_deg: Degrees, azimuth_deg: Degrees
) -> Floats:
    """Return the geometric kernel LiSparse-R (Lucht et al. 2000, eq. 39 to 44).

    Doi:10.1109/36.841980. Reciprocal, crowns as spheres of relative height `CROWN_HEIGHT`.

    Example:
        >>> round(float(li_sparse(30.0, 0.0, 0.0)), 6)
        -0.698222
    """
    sun, view, azimuth = (np.radians(a) for a in (sun_zenith_deg, view_zenith_deg, azimuth_deg))
    tan_sun, tan_view = np.tan(sun), np.tan(view)
    lengths = 1 / np.cos(sun) + 1 / np.cos(view)
    apart = tan_sun**2 + tan_view**2 - 2 * tan_sun * tan_view * np.cos(azimuth)
    crossing = (tan_sun * tan_view * np.sin(azimuth)) ** 2
    cosine = CROWN_HEIGHT * np.sqrt(np.maximum(apart + crossing, 0)) / lengths
    overlap_angle = np.arccos(np.clip(cosine, -1, 1))
    overlap = (overlap_angle - np.sin(overlap_angle) * np.cos(overlap_angle)) * lengths / np.pi
    lit = (1 + _phase_cosine(sun, view, azimuth)) / (2 * np.cos(sun) * np.cos(view))
    return np.asarray(overlap - lengths + lit)


_ANGLE_NAMES = ("sun_zenith_deg", "sun_azimuth_deg", "view_zenith_deg", "view_azimuth_deg")


def _phase_cosine(sun: Floats, view: Floats, azimuth: Floats) -> Floats:
    """Cosine of the angle between sun and view; all in radians."""
    beside = np.sin(sun) * np.sin(view) * np.cos(azimuth)
    return np.asarray(np.clip(np.cos(sun) * np.cos(view) + beside, -1, 1))
