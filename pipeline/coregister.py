"""One shift for one pair of scenes, from what its cells show, or the reason why there is none.

Cells of one task and one pair of scenes are displaced alike: within a few kilometres the
geometry of a scene is rigid to a small part of a pixel. So their evidence is added up; a
median of shifts of single cells was tried and lost, most of all under clouds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.shift import ShiftEstimate, measure_shift, shift_image
from pipeline.shift_windows import ImagePair

Refusal = Literal[
    "no usable ground in common",
    "no distinct shift",
    "shift too uncertain",
    "shift too large",
]

MOST_PX = 65_536
"""Coarse pixels that one pair of scenes is measured on: more cost time and tell little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """What a shift must be like to be used."""

    max_shift_m: float = 30.0
    """Larger displacements along an axis are mistakes, not geometry, metres."""
    min_confidence: float = 0.3
    """Least confidence, 0 to 1. Of 1,200 unrelated pairs none reached it with a small error."""
    max_error_px: float = 0.08
    """Largest standard error, coarse pixels."""

    def __post_init__(self) -> None:
        if not self.max_shift_m > 0:
            raise ValueError(f"max_shift_m must be above zero, got {self.max_shift_m!r}")

    def reach_px(self, gsd_m: float) -> int:
        """Return how far to look, whole pixels: past the largest shift that is accepted."""
        return max(2, math.ceil(self.max_shift_m / gsd_m) + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairShift:
    """How far a companion scene lies off its anchor, and whether to correct by it."""

    east_m: float
    north_m: float
    """The companion shows a place this far east and north of where the anchor shows it, so
    it is read this much further east and north."""
    confidence: float
    """How far the shift stands out from others, 0 to 1."""
    error_m: float
    """Standard error along each axis, metres; infinite if nothing tells."""
    residual_m: float
    """Typical distance between the shift and what a quarter of a cell says by itself, metres;
    NaN if nothing tells."""
    reason: Refusal | None = None
    """Why the shift is not to be used; None if it is."""

    @property
    def accepted(self) -> bool:
        """Whether to correct by it."""
        return self.reason is None

    def __str__(self) -> str:
        if self.reason is not None:
            return self.reason
        return f"{self.east_m:+.1f} m east, {self.north_m:+.1f} m north"


def coregister(
    cells: Sequence[ImagePair], *, gsd_m: float, acceptance: Acceptance | None = None
) -> PairShift:
    """Measure the common shift of the cells of one pair of scenes.

    Args:
        cells: Cells of one task as anchor and companion show them on the coarse grid, the
            companion placed without correction.
        gsd_m: Coarse pixel size, metres.
        acceptance: What the shift must be like; the default suits Landsat and Sentinel-2.
    """
    rule = acceptance or Acceptance()
    chosen = clearest_cells(cells, most_px=MOST_PX)
    if not chosen:
        return _NO_GROUND
    found = measure_shift(chosen, reach_px=rule.reach_px(gsd_m))
    return PairShift(
        east_m=gsd_m * found.columns,
        north_m=-gsd_m * found.rows,
        confidence=found.confidence,
        error_m=gsd_m * found.error_px,
        residual_m=gsd_m * found.residual_px,
        reason=_refusal(found, gsd_m, rule),
    )


def clearest_cells(cells: Sequence[ImagePair], *, most_px: int) -> list[ImagePair]:
    """Return the cells with most ground usable in both images, in the order given.

    Args:
        cells: Cells of one pair of scenes.
        most_px: Pixels after which no further cell is taken; one cell is taken at any size.
    """
    shares = [float((one.anchor_valid & one.companion_valid).mean()) for one in cells]
    sizes = [one.anchor_valid.size for one in cells]
    return [cells[index] for index in choose_clearest(shares, sizes, most_px=most_px)]


def choose_clearest(
    shares: Sequence[float], sizes: Sequence[int], *, most_px: int
) -> list[int]:
    """Return which cells to take, in the order given.

    Args:
        shares: Per cell, the share of its ground that is usable in both images.
        sizes: Per cell, its pixels.
        most_px: Pixels after which no further cell is taken; one cell is taken at any size.
    """
    taken: list[int] = []
    pixels = 0
    for index in sorted(range(len(shares)), key=lambda i: -shares[i]):
        if shares[index] == 0 or (taken and pixels + sizes[index] > most_px):
            break
        taken.append(index)
        pixels += sizes[index]
    return sorted(taken)


def measure_remainder(cells: Sequence[ImagePair], shift: PairShift, *, gsd_m: float) -> float:
    """Move the companions by a shift, measure once more, and return what is left, metres.

    NaN if the corrected pair no longer shows any shift.
    """
    rows, columns = -shift.north_m / gsd_m, shift.east_m / gsd_m
    moved = []
    for one in cells:
        image, valid = shift_image(
            one.companion, one.companion_valid, rows=rows, columns=columns
        )
        moved.append(
            ImagePair(
                anchor=one.anchor,
                anchor_valid=one.anchor_valid,
                companion=image,
                companion_valid=valid,
            )
        )
    again = coregister(moved, gsd_m=gsd_m)
    return math.hypot(again.east_m, again.north_m) if again.confidence > 0 else math.nan


def _refusal(found: ShiftEstimate, gsd_m: float, rule: Acceptance) -> Refusal | None:
    if not math.isfinite(found.error_px):
        return "no usable ground in common"
    if found.confidence < rule.min_confidence:
        return "no distinct shift"
    if found.error_px > rule.max_error_px:
        return "shift too uncertain"
    if max(abs(found.rows), abs(found.columns)) * gsd_m > rule.max_shift_m:
        return "shift too large"
    return None


_NO_GROUND = PairShift(
    east_m=0.0,
    north_m=0.0,
    confidence=0.0,
    error_m=math.inf,
    residual_m=math.nan,
    reason="no usable ground in common",
)
