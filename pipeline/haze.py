"""Haze that both masks miss: a pair that disagrees more in the visible than clear pairs do.

Haze brightens all ground alike, blue most and red least; harvest and ploughing change single
fields, and red more than blue. So the median over the pair is compared, band by band, with
what two clear corrections may differ by, and blue must lead.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Valid = npt.NDArray[np.bool_]

VISIBLE = ("blue", "green", "red")
LIMIT = 2.1
"""Disagreement, in units of what two clear scenes may differ by, above which haze is called.
Real pairs of Flanders: clear ones up to 1.6, hazy ones from 2.7."""
LEAST_PX = 50
"""Coarse pixels usable in both scenes below which nothing is said."""
_RED_SHARE = 0.9
"""Haze changes blue by at least this share of its change of red."""

Word = Literal["clear", "haze in the companion", "haze in the anchor", "too little ground"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HazeCheck:
    """Whether a matched pair agrees in the visible as clear pairs do."""

    word: Word
    score: float
    """Smallest disagreement of two of the three bands, in units of what is allowed; NaN if
    there is too little ground."""
    difference: Mapping[str, float]
    """Band -> median of companion minus anchor, reflectance."""

    @property
    def flagged(self) -> bool:
        """Whether one of the two scenes is hazy."""
        return self.word in ("haze in the companion", "haze in the anchor")

    def __str__(self) -> str:
        if not self.difference:
            return self.word
        found = ", ".join(f"{band} {value:+.3f}" for band, value in self.difference.items())
        return f"{self.word} ({found})"


def check_haze(
    anchor: Mapping[str, Floats],
    companion: Mapping[str, Floats],
    valid: Valid,
    *,
    gap_days: float = 0.0,
) -> HazeCheck:
    """Compare the visible bands of a matched pair.

    Args:
        anchor: Band key -> surface reflectance `(y, x)` on the coarse grid; blue, green, red.
        companion: The same of the companion, adjusted to the anchor's bands if that is done.
        valid: True where both are usable, `(y, x)`.
        gap_days: Days between the scenes: ground changes meanwhile, and more is allowed.

    Raises:
        ValueError: If a visible band is missing.
    """
    for band in VISIBLE:
        if band not in anchor or band not in companion:
            raise ValueError(f"haze needs the bands {', '.join(VISIBLE)}; {band} is missing")
    known = valid.copy()
    for band in VISIBLE:
        known &= np.isfinite(anchor[band]) & np.isfinite(companion[band])
    if int(known.sum()) < LEAST_PX:
        return HazeCheck(
            word="too little ground", score=float("nan"), difference=MappingProxyType({})
        )
    difference, ratio = {}, {}
    for band in VISIBLE:
        first, second = anchor[band][known], companion[band][known]
        difference[band] = float(np.median(second - first))
        level = float(min(np.median(first), np.median(second)))
        ratio[band] = difference[band] / allowed(level, gap_days=gap_days)
    return _verdict(difference, ratio)


def allowed(level: float, *, gap_days: float) -> float:
    """Return how much medians of two clear scenes may differ, one sigma.

    Each scene errs by `0.005 + 0.05 reflectance` (Doxani et al. 2018, doi:10.3390/rs10020352);
    crops add 0.0005 per day, as clear real pairs of Flanders up to ten days apart show.

    Example:
        >>> round(allowed(0.04, gap_days=0.0), 4)
        0.0099
    """
    corrections = np.sqrt(2) * (0.005 + 0.05 * max(level, 0.0))
    return float(np.hypot(corrections, 0.0005 * abs(gap_days)))


def _verdict(difference: dict[str, float], ratio: dict[str, float]) -> HazeCheck:
    ordered = sorted(abs(value) for value in ratio.values())
    score = ordered[1]
    same_way = len({value > 0 for value in difference.values()}) == 1
    blue_leads = abs(difference["blue"]) >= _RED_SHARE * abs(difference["red"])
    word: Word = "clear"
    if score > LIMIT and same_way and blue_leads:
        word = "haze in the companion" if difference["blue"] > 0 else "haze in the anchor"
    return HazeCheck(word=word, score=score, difference=MappingProxyType(difference))
