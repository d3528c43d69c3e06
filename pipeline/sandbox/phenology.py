"""The season: what stands on each patch on a given day, and how that looks and warms."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.sandbox.covers import (
    BLOSSOM,
    COVERS,
    KINDS,
    LITTER,
    SOIL,
    SOIL_WARMTH_K,
    STRAW,
    STRAW_WARMTH_K,
    Calendar,
)
from pipeline.sandbox.fields import Floats
from pipeline.sandbox.landscape import Traits

TREE_KINDS = ("deciduous", "conifer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """Shares of each patch on one day, 0 to 1; arrays of one value per patch."""

    green: Floats
    """Living canopy; 1 for what does not grow, so that its spectrum is taken whole."""
    dry: Floats
    """Straw, stubble or litter. What remains of 1 is bare soil."""
    wetness: float
    """Of the topsoil, 0 (dry) to 1 (just rained on)."""
    day: float
    """Day of the year, with its fraction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Reflectance of every patch in every band of `sensors.MSI_BANDS`."""

    mean: Floats
    """Reflectance `(band, patch)`."""
    per_fertility: Floats
    """Change of reflectance per standard deviation of fertility `(band, patch)`."""
    grain: Floats
    """Relative change per standard deviation of grain `(patch,)`."""


def _rise(day: NDArray[np.float32], middle: float, days: float) -> Floats:
    return np.asarray(1 / (1 + np.exp(-(day - middle) / days)), np.float32)


def stand_on(traits: Traits, *, day: float, wetness: float) -> Stand:
    """Return what stands on each patch on `day` of the year."""
    green = np.ones(len(traits.kind), np.float32)
    dry = np.zeros_like(green)
    for index, name in enumerate(KINDS):
        here = traits.kind == index
        cover = COVERS[name]
        own_day = np.float32(day) - traits.late_days[here]
        if cover.calendar:
            green[here], dry[here] = _crop(own_day, cover.calendar)
            green[here] *= traits.vigor[here]
        elif name == "meadow":
            green[here], dry[here] = _meadow(own_day, traits.chance[here])
        elif cover.evergreen:
            green[here], dry[here] = _perennial(own_day, cover.evergreen)
    return Stand(green=green, dry=dry, wetness=wetness, day=day)


def _crop(day: Floats, c: Calendar) -> tuple[Floats, Floats]:
    """Green and dry shares of a crop: rise, ripening, stubble, plough, catch crop."""
    canopy = c.early + (c.peak - c.early) * _rise(day, c.rise, c.rise_days)
    ripe = _rise(day, c.dry, 5.0)
    standing = day < c.cut
    stubble = np.where(day < c.plough, 0.62, 0.08)
    regrowth = 0.75 * _rise(day, c.plough + 38, 9.0) if c.plough < 270 else 0.0
    green = np.where(standing, canopy * (1 - ripe), regrowth)
    dry = np.where(standing, canopy * ripe, stubble * (1 - regrowth))
    return green.astype(np.float32), dry.astype(np.float32)


def _meadow(day: Floats, chance: Floats) -> tuple[Floats, Floats]:
    """Pasture stays even; hay (half of the meadows) is cut about every 44 days."""
    season = 0.72 + 0.22 * _rise(day, 92, 12) - 0.14 * _rise(day, 285, 12)
    since_cut = np.mod(day - 128 - 88 * chance, 44.0)
    cut_before = (day > 128 + 44 * chance) & (day < 300) & (chance < 0.5)
    loss = np.where(cut_before, 0.42 * np.exp(-since_cut / 12), 0.0)
    green = season - loss
    return green.astype(np.float32), (0.6 * (1 - green)).astype(np.float32)


def _perennial(day: Floats, evergreen: float) -> tuple[Floats, Floats]:
    leaves = _rise(day, 112, 5.0) * (1 - _rise(day, 300, 8.0))
    green = evergreen + (0.97 - evergreen) * leaves
    return green, 0.9 * (1 - green)


def look_of(traits: Traits, stand: Stand) -> Look:
    """Return the reflectance of every patch under `stand`.

    Shares mix linearly; wet soil is darker (Lobell and Asner 2002,
    doi:10.2136/sssaj2002.7220, give up to a half; a third at full wetness is used).
    """
    spectra = np.array([COVERS[name].spectrum for name in KINDS], np.float32).T
    living = spectra[:, traits.kind].copy()
    grows = np.array([bool(COVERS[n].calendar or COVERS[n].evergreen) for n in KINDS])
    living *= np.where(grows[traits.kind], 1.0, traits.brightness)
    in_bloom = np.exp(-(((stand.day - traits.late_days - 122) / 9) ** 2))
    rape = traits.kind == KINDS.index("rapeseed")
    bloom = np.where(rape, 0.8 * in_bloom, 0.0).astype(np.float32)
    living += bloom * (np.array(BLOSSOM, np.float32)[:, None] - living)
    trees = np.isin(traits.kind, [KINDS.index(name) for name in TREE_KINDS])
    straw = np.where(trees, np.array(LITTER)[:, None], np.array(STRAW)[:, None])
    soil = np.array(SOIL)[:, None] * traits.soil * (1 - 0.33 * stand.wetness)
    bare = np.clip(1 - stand.green - stand.dry, 0, 1)
    mean = stand.green * living + stand.dry * straw + bare * soil
    vigor = np.array([COVERS[name].vigor for name in KINDS], np.float32)[traits.kind]
    slack = vigor * (0.35 * stand.green + 2.2 * stand.green * (1 - stand.green))
    grain = np.array([COVERS[name].grain for name in KINDS], np.float32)[traits.kind]
    return Look(
        mean=mean.astype(np.float32),
        per_fertility=(slack * (living - soil)).astype(np.float32),
        grain=grain + 0.05 * bare.astype(np.float32),
    )


def warmth_of(traits: Traits, stand: Stand) -> Floats:
    """Return surface minus air temperature of every patch under summer sun, kelvin."""
    own = np.array([COVERS[name].warmth_k for name in KINDS], np.float32)[traits.kind]
    bare = np.clip(1 - stand.green - stand.dry, 0, 1)
    warmth = stand.green * own + stand.dry * STRAW_WARMTH_K
    warmth = warmth + bare * SOIL_WARMTH_K * (1 - 0.4 * stand.wetness)
    return np.asarray(warmth, np.float32)
