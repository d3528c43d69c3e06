"""Which steps make products comparable, and which must not be taken: each at most once.

What is done, what the producer has done already and what cannot be done are kept as words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from pipeline.bandpass import SAME, Line, msi_to_oli, oli_to_msi
from pipeline.nbar import Angles, Floats, nbar_factor, why_not

Sensor = Literal["oli", "msi"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Nature:
    """What a product is as its producer delivers it."""

    looks_like: Sensor
    """Whose bands its reflectance is of; HLS adjusts Sentinel-2 to OLI."""
    normalized: bool = False
    """Whether it is nadir reflectance already."""
    surface: bool = True
    """Whether it is surface reflectance; kernels say nothing of the top of the atmosphere."""


NATURES: Mapping[str, Nature] = MappingProxyType(
    {
        "landsat-c2-l2": Nature(looks_like="oli"),
        "landsat-c2-toa": Nature(looks_like="oli", surface=False),
        "sentinel-2-l2a": Nature(looks_like="msi"),
        "sentinel-2-l1c": Nature(looks_like="msi", surface=False),
        "hls-l30": Nature(looks_like="oli", normalized=True),
        "hls-s30": Nature(looks_like="oli", normalized=True),
    }
)
"""Product key -> nature; HLS v2.0 User Guide for the last two. All else stays as it is."""
_OLDER_LANDSAT = ("landsat-4", "landsat-5", "landsat-7")
"""TM and ETM+: their bands are not OLI's, and HLS gives no lines for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a recipe asks of the reflectance of one layer."""

    nadir_sun_zenith_deg: float | None = None
    """Normalize to a nadir view under this sun; None leaves the view as it is."""
    like: Sensor | None = None
    """Adjust bands to this sensor's; None leaves them as they are."""
    msi_platform: str = ""
    """Which Sentinel-2 to look like, for example `'sentinel-2a'`; `''` is the mean of both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BandChange:
    """What happens to the reflectance of one band: first the factor, then the line."""

    factor: Floats | None = None
    """Of the nadir view; one number or `(y, x)`; None if the view stays."""
    line: Line = SAME
    words: tuple[str, ...] = ()
    """Everything done, done already, or refused, in order."""

    @property
    def changes(self) -> bool:
        """Whether any value changes."""
        return self.factor is not None or self.line != SAME

    def of(self, reflectance: Floats) -> Floats:
        """Return the reflectance after all steps."""
        seen = reflectance if self.factor is None else reflectance * self.factor
        return self.line.of(seen)

    @property
    def single_line(self) -> Line | None:
        """All steps as one line, so that integers are rounded once; None if pixels differ."""
        if self.factor is None:
            return self.line
        if np.ndim(self.factor):
            return None
        return Line(gain=float(self.factor)).then(self.line)


def plan_changes(
    product: str, platform: str, bands: Sequence[str], wish: Wish, angles: Angles | None
) -> dict[str, BandChange]:
    """Return what to do with each band of a scene, and the words to keep of it.

    Args:
        product: Key of the product table.
        platform: Of the scene, as its item states it; `''` if it does not.
        bands: Band keys; of reflectance only.
        wish: What the recipe asks.
        angles: Of the scene; None if nothing states them.

    Returns:
        Band key -> change, in the order of `bands`. A step that cannot be taken leaves the
        values alone and says why: no default stands in for what is not known.

    Example:
        >>> wish = Wish(like="oli")
        >>> plan_changes("sentinel-2-l2a", "sentinel-2b", ["red"], wish, None)["red"].words
        ('bands: msi to oli, sentinel-2b',)
        >>> plan_changes("hls-s30", "sentinel-2b", ["red"], wish, None)["red"].words
        ('bands: oli already',)
    """
    return {band: _change(product, platform.lower(), band, wish, angles) for band in bands}


def _change(
    product: str, platform: str, band: str, wish: Wish, angles: Angles | None
) -> BandChange:
    nature = NATURES.get(product)
    factor, line = None, SAME
    words: list[str] = []
    if wish.nadir_sun_zenith_deg is not None:
        factor, word = _nadir(nature, band, wish.nadir_sun_zenith_deg, angles)
        words.append(word)
    if wish.like is not None:
        line, word = _likeness(nature, platform, band, wish.like, wish.msi_platform)
        words.append(word)
    return BandChange(factor=factor, line=line, words=tuple(words))


def _nadir(
    nature: Nature | None, band: str, sun_zenith_deg: float, angles: Angles | None
) -> tuple[Floats | None, str]:
    if nature is None:
        return None, "view: refused, no such step for this product"
    if nature.normalized:
        return None, "view: nadir already"
    if not nature.surface:
        return None, "view: refused, the product is not surface reflectance"
    reason = why_not(band, angles, sun_zenith_deg=sun_zenith_deg)
    if reason is not None or angles is None:
        return None, f"view: refused, {reason}"
    factor = nbar_factor(band, angles, sun_zenith_deg=sun_zenith_deg)
    return factor, f"view: to nadir, sun zenith {sun_zenith_deg:g}"


def _likeness(
    nature: Nature | None, platform: str, band: str, like: Sensor, msi_platform: str
) -> tuple[Line, str]:
    if nature is None:
        return SAME, "bands: refused, no such step for this product"
    if platform in _OLDER_LANDSAT:
        return SAME, f"bands: refused, no coefficients for {platform}"
    if nature.looks_like == like:
        return SAME, f"bands: {like} already"
    if not nature.surface:
        return SAME, "bands: refused, the product is not surface reflectance"
    if like == "oli":
        other, found = platform, msi_to_oli(platform, band)
    else:
        other, found = msi_platform, oli_to_msi(msi_platform, band)
    if found is None:
        return SAME, f"bands: refused, no coefficients for {band}"
    line, whose = found
    word = (
        other if whose == "own" else f"mean of sentinel-2a and b for {other or 'no platform'}"
    )
    return line, f"bands: {nature.looks_like} to {like}, {word}"
