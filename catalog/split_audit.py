"""Proof that a split leaks nothing: distances and shared scenes of what was in fact kept.

It looks at the finished samples, not at how they were split, so it holds for splits by block,
by region, by tile and from a file alike.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import Transformer

from catalog.errors import GridError
from catalog.grid import Cell
from catalog.utm import neighbors_of

TOUCH_M = 1e-3
"""A gap that lacks no more than this is wide enough, and overlap thinner than it is none;
metres."""
MOST_OFFENSES = 1000

Fault = Literal["closer than the buffer", "same scene and block"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSample:
    """What the audit needs to know of one kept sample."""

    cell: Cell
    split: str
    scenes: tuple[str, ...] = ()
    """Ids of all scenes that it is made of."""
    block: str = ""
    """Name of the block, tile or region that it was dealt with; `''` if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Offense:
    """Two cells of different splits that should not both be there."""

    first: str
    second: str
    """Ids of the cells, the smaller first."""
    splits: tuple[str, str]
    """In the order of the cells."""
    fault: Fault
    detail: str

    def __str__(self) -> str:
        between = " and ".join(self.splits)
        return f"{self.first} and {self.second} ({between}): {self.fault}, {self.detail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitAudit:
    """What the audit found."""

    cells: Mapping[str, int]
    """Split -> cells looked at."""
    closest_m: float
    """Smallest gap between cells of different splits, of one or of neighboring zones, metres;
    infinite if no such two are there."""
    offenses: tuple[Offense, ...]
    """At most `MOST_OFFENSES`, sorted."""
    found: int
    """How many there are in all."""

    @property
    def passed(self) -> bool:
        """Whether no pair offends."""
        return self.found == 0


def audit_split(
    samples: Iterable[SplitSample], *, buffer_m: float, but: Sequence[str] = ("buffer",)
) -> SplitAudit:
    """Look for pairs of different splits that are too near, or share a scene and a block.

    One scene may serve two splits in different blocks: that is the same day, not the same
    ground. The same scene in one block would be both.

    Args:
        samples: All kept samples, of any zones and dates.
        buffer_m: Least gap between cells of different splits, edge to edge, metres; 0 asks
            only that they do not overlap. Up to 50 km: beyond neighboring zones none looks.
        but: Splits that are not compared, because nobody reads them.

    Raises:
        GridError: If the buffer is negative or above 50 km.
    """
    if not 0 <= buffer_m <= 50_000:
        raise GridError(f"buffer_m must lie between 0 and 50,000 m, got {buffer_m!r}")
    kept = [one for one in samples if one.split not in but]
    splits_of: dict[Cell, set[str]] = defaultdict(set)
    for one in kept:
        splits_of[one.cell].add(one.split)
    near = [*_in_two_splits(splits_of), *_near_pairs(splits_of, buffer_m)]
    offenses = {
        _offense(first, second, "closer than the buffer", _gap_words(gap_m, buffer_m))
        for first, second, gap_m in near
        if gap_m < buffer_m - TOUCH_M
    }
    offenses |= set(_shared(kept))
    ordered = sorted(offenses)
    cells: dict[str, int] = defaultdict(int)
    for names in splits_of.values():
        for name in names:
            cells[name] += 1
    return SplitAudit(
        cells=dict(sorted(cells.items())),
        closest_m=0.0 if any(gap < 0 for _, _, gap in near) else _closest(splits_of),
        offenses=tuple(ordered[:MOST_OFFENSES]),
        found=len(ordered),
    )


_Placed = tuple[Cell, str]


def _in_two_splits(
    splits_of: Mapping[Cell, set[str]],
) -> Iterator[tuple[_Placed, _Placed, float]]:
    for cell, splits in splits_of.items():
        for first, second in combinations(sorted(splits), 2):
            yield (cell, first), (cell, second), -1.0


@dataclass(frozen=True, slots=True)
class _Facing:
    """Cells of two splits, all in the metres of one zone."""

    here: list[_Placed]
    there: list[_Placed]
    here_boxes: npt.NDArray[Any]
    there_boxes: npt.NDArray[Any]


def _facing(splits_of: Mapping[Cell, set[str]]) -> Iterator[_Facing]:
    """Yield every two groups of cells, of different splits, that may lie close together."""
    groups: dict[tuple[str, int], list[_Placed]] = defaultdict(list)
    for cell, splits in splits_of.items():
        for split in splits:
            groups[split, cell.epsg].append((cell, split))
    boxes = {key: _boxes([cell for cell, _ in placed]) for key, placed in groups.items()}
    for (split, epsg), placed in sorted(groups.items()):
        for (other, zone), theirs in sorted(groups.items()):
            if other > split and zone in (epsg, *neighbors_of(epsg)):
                seen = _seen_from(epsg, boxes[other, zone], zone)
                yield _Facing(placed, theirs, boxes[split, epsg], seen)


def _near_pairs(
    splits_of: Mapping[Cell, set[str]], reach_m: float
) -> Iterator[tuple[_Placed, _Placed, float]]:
    """Yield pairs of different cells and splits no further apart than a reach, with the gap.

    The gap is -1 where they overlap by more than a hair.
    """
    for facing in _facing(splits_of):
        first, second = shapely.STRtree(facing.there_boxes).query(
            facing.here_boxes, predicate="dwithin", distance=reach_m
        )
        boxes, others = facing.here_boxes[first], facing.there_boxes[second]
        gaps = shapely.distance(boxes, others)
        shared = shapely.area(shapely.intersection(shapely.buffer(boxes, -TOUCH_M), others))
        gaps[shared > 0] = -1.0
        for i, j, gap_m in zip(first.tolist(), second.tolist(), gaps.tolist(), strict=True):
            if facing.here[i][0] != facing.there[j][0]:
                yield facing.here[i], facing.there[j], gap_m


def _closest(splits_of: Mapping[Cell, set[str]]) -> float:
    closest = float("inf")
    for facing in _facing(splits_of):
        _, gaps = shapely.STRtree(facing.there_boxes).query_nearest(
            facing.here_boxes, return_distance=True, all_matches=False
        )
        closest = min(closest, float(gaps.min()))
    return closest


def _shared(samples: Sequence[SplitSample]) -> Iterator[Offense]:
    """Yield one offense for each pair of splits that meets in a scene and a block."""
    users: dict[tuple[str, str], dict[str, Cell]] = defaultdict(dict)
    for one in samples:
        if not one.block:
            continue
        for scene in one.scenes:
            held = users[one.block, scene]
            held[one.split] = min(held.get(one.split, one.cell), one.cell)
    for (block, scene), cells in sorted(users.items()):
        for first, second in combinations(sorted(cells), 2):
            yield _offense(
                (cells[first], first),
                (cells[second], second),
                "same scene and block",
                f"{scene} in block {block}",
            )


def _offense(first: _Placed, second: _Placed, fault: Fault, detail: str) -> Offense:
    low, high = sorted((first, second), key=lambda one: (one[0].id, one[1]))
    return Offense(
        first=low[0].id,
        second=high[0].id,
        splits=(low[1], high[1]),
        fault=fault,
        detail=detail,
    )


def _gap_words(gap_m: float, buffer_m: float) -> str:
    return "they overlap" if gap_m < 0 else f"{gap_m:.1f} m apart instead of {buffer_m:g} m"


def _boxes(cells: Sequence[Cell]) -> npt.NDArray[Any]:
    edges = np.array([(c.west, c.south, c.east, c.north) for c in cells]).reshape(-1, 4)
    boxes: npt.NDArray[Any] = shapely.box(*edges.T)
    return boxes


def _seen_from(epsg: int, boxes: npt.NDArray[Any], other: int) -> npt.NDArray[Any]:
    """Return boxes of another zone in the metres of this one."""
    if epsg == other:
        return boxes
    way = Transformer.from_crs(other, epsg, always_xy=True)
    return np.asarray(
        shapely.transform(boxes, lambda xy: np.column_stack(way.transform(*xy.T)))
    )
