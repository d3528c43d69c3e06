"""Does a Sentinel-2 scene carry the radiometric offset of 1000? Metadata says, pixels decide.

From processing baseline 4.00 on, ESA adds 1000 to reflectance * 10000, on old scenes too once
they are reprocessed. Some archives take it out again, and their items are at times wrong about
it. Dark ground tells: vegetation, water and shade reflect less than a tenth in the visible and
the shortwave infrared, so their raw values lie below 1000 without the offset and not with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from catalog.scene import Asset, Scene

CARRIED = -0.1
"""Offset of a scene that carries 1000: reflectance = raw / 10000 - 0.1 (ESA PSD)."""
DARK_CLASSES = (2, 4, 6)
"""Scene classes that are dark where `WITNESSES` look: shade, vegetation, water (ESA PSD)."""
WITNESSES = ("blue", "red", "swir2", "coastal", "swir1", "green")
"""Bands that are dark there, the best witness first."""
PRODUCTS = ("sentinel-2-l2a",)
"""Products whose offset is verified."""
BORDER_DN = 950
"""Between the two cases: reflectance of 0.095 without, of -0.005 with the offset."""
_LEAST_PIXELS = 50
_DARKEST_PERCENT = 10

Evidence = Literal["carried", "absent", "none"]
Word = Literal["confirmed", "unconfirmed", "corrected"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The offset of one scene, and how sure it is."""

    offset: float
    """`reflectance = raw * scale + offset`."""
    word: Word
    """`'confirmed'`: pixels agree with the metadata; `'corrected'`: they do not, and pixels
    were believed; `'unconfirmed'`: too little dark ground to tell."""

    def __str__(self) -> str:
        return f"{self.offset:g} {self.word}"


def witness_of(scene: Scene) -> str | None:
    """Return the band that can tell; None if the product or its bands cannot."""
    if scene.product not in PRODUCTS or "scl" not in scene.assets:
        return None
    return next((key for key in WITNESSES if key in scene.assets), None)


def weigh(
    raw: npt.NDArray[np.integer], classes: npt.NDArray[np.integer], nodata: float | None
) -> Evidence:
    """Say what the dark pixels of a scene show.

    Args:
        raw: A witness band as the file holds it, `(y, x)`.
        classes: Scene classification of the same places, `(y, x)`.
        nodata: Raw value that means no data.
    """
    dark = np.isin(classes, DARK_CLASSES)
    if nodata is not None:
        dark &= raw != nodata
    if dark.sum() < _LEAST_PIXELS:
        return "none"
    darkest = float(np.percentile(raw[dark], _DARKEST_PERCENT))
    return "absent" if darkest < BORDER_DN else "carried"


def judge(stated: float, evidence: Evidence) -> Verdict:
    """Return the offset to use, given what metadata state and pixels show.

    Example:
        >>> judge(-0.1, "absent")
        Verdict(offset=0.0, word='corrected')
    """
    if evidence == "none":
        return Verdict(stated, "unconfirmed")
    shown = CARRIED if evidence == "carried" else 0.0
    return Verdict(shown, "confirmed" if abs(shown - stated) < 1e-6 else "corrected")


def with_offset(scene: Scene, offset: float) -> Scene:
    """Return the scene with the offset of its reflectance bands set right."""
    assets: Mapping[str, Asset] = {
        key: asset if key == "scl" else replace(asset, offset=offset)
        for key, asset in scene.assets.items()
    }
    return replace(scene, assets=assets)
