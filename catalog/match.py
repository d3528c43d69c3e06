"""Pair scenes: which candidates each layer has for one cell at one anchor observation.

Items of one pass (same platform, minutes apart) are one observation: they are mosaicked,
never two samples. Every candidate inside the window is kept, nearest first, so that a cloudy
nearest scene does not cost the sample.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Literal

import numpy as np
import shapely
import shapely.affinity

from catalog.errors import MatchError
from catalog.grid import Cell, footprints
from catalog.scene import Scene

PASS_GAP = timedelta(minutes=5)
"""Scenes of one platform closer than this are one pass; rows are about 24 s apart."""
HALF_HOUR = timedelta(minutes=30)
"""Hourly fields stand for the hour around them."""
_NEAR_DEG = 1.0
"""Cells reach no further over the antimeridian."""
WHOLE = 0.995
"""Covered share of a cell that counts as all of it: outlines in items are rounded."""

Reason = Literal["no scene in window", "partial coverage", "more dates than wanted"]


@dataclass(frozen=True, slots=True)
class Pass:
    """One observation of one cell: the scenes of one pass that touch it, in order of time."""

    scenes: tuple[Scene, ...]

    @property
    def time(self) -> datetime:
        """Time of the first scene."""
        return self.scenes[0].time

    @property
    def id(self) -> str:
        """Ids of the scenes, joined by `;`."""
        return ";".join(scene.id for scene in self.scenes)

    @property
    def cloud(self) -> float:
        """Smallest cloud fraction of the scenes by their items; 1 where none states it."""
        return min((s.cloud for s in self.scenes if s.cloud is not None), default=1.0)


@dataclass(frozen=True, slots=True)
class Months:
    """A span of calendar months of the anchor's year, both ends included."""

    first: int
    last: int

    def contains(self, time: datetime) -> bool:
        """Whether a time falls into the span; `(11, 2)` runs over the turn of the year."""
        if self.first <= self.last:
            return self.first <= time.month <= self.last
        return time.month >= self.first or time.month <= self.last


When = Literal["window", "hour", "static", "year"] | Months


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRule:
    """How scenes of one layer are chosen for an anchor."""

    name: str
    when: When = "window"
    pick: Literal["nearest", "clearest"] = "nearest"
    required: bool = True
    window: timedelta = timedelta(days=7)

    def __post_init__(self) -> None:
        if self.window < timedelta(0):
            raise MatchError(
                f"window must not be negative, got {self.window!r}; it is the largest gap on "
                f"either side of the anchor"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One cell at one anchor observation, with each layer's candidates in order of use."""

    cell: Cell
    anchor_time: datetime
    anchor_id: str
    """Platform of the anchor pass, or `'calendar'`."""
    candidates: Mapping[str, tuple[Pass, ...]]
    """Layer -> passes, the one to try first in front. The anchor layer has one."""
    reason: Reason | None = None
    """Why no sample can come of it; None if one can."""
    detail: str = ""


@dataclass(slots=True)
class _Seen:
    """What one layer offers one cell, in order of time."""

    whole: list[Pass] = field(default_factory=list)
    partial: list[Pass] = field(default_factory=list)


def match_scenes(
    cells: Sequence[Cell],
    scenes: Mapping[str, Sequence[Scene]],
    rules: Sequence[LayerRule],
    anchor: str | Sequence[datetime],
) -> list[Match]:
    """Pair every anchor observation of every cell with the candidates of all layers.

    "Within the window" means `abs(pass.time - anchor.time) <= window`. A tie in time goes to
    the earlier pass, then to the smaller id: the result never depends on the input's order.

    Args:
        cells: Where samples are wanted.
        scenes: Layer -> scenes, in any order.
        rules: One per layer; the anchor's among them, unless the anchor is a calendar.
        anchor: Name of the layer whose passes set the dates, or the dates themselves.

    Returns:
        One match per cell and anchor observation that touches it, in order of time, then
        cell. Matches that can give no sample carry the reason.
    """
    outlines = footprints(cells)
    seen = {
        rule.name: _observe(
            outlines,
            scenes[rule.name],
            _everything if rule.when == "static" else group_passes,
        )
        for rule in rules
    }
    companions = [rule for rule in rules if rule.name != anchor]
    matches = []
    for index, cell in enumerate(cells):
        offers = {rule.name: seen[rule.name].get(index, _Seen()) for rule in rules}
        if isinstance(anchor, str):
            matches += _by_passes(cell, anchor, offers, companions)
        else:
            matches += [_by_date(cell, date, offers, companions) for date in anchor]
    return sorted(matches, key=lambda m: (m.anchor_time, m.cell, m.anchor_id))


def group_passes(scenes: Iterable[Scene]) -> list[tuple[Scene, ...]]:
    """Return the scenes of each pass together, passes and scenes in order of time."""
    ordered = sorted(scenes, key=lambda s: (s.platform, s.time, s.id))
    if not ordered:
        return []
    cuts = [
        i
        for i, (a, b) in enumerate(pairwise(ordered), start=1)
        if a.platform != b.platform or b.time - a.time > PASS_GAP
    ]
    edges = [0, *cuts, len(ordered)]
    groups = [tuple(ordered[a:b]) for a, b in pairwise(edges)]
    return sorted(groups, key=lambda g: (g[0].time, g[0].id))


def _everything(scenes: Iterable[Scene]) -> list[tuple[Scene, ...]]:
    """Static scenes are one observation, whenever they were taken."""
    ordered = tuple(sorted(scenes, key=lambda s: (s.time, s.id)))
    return [ordered] if ordered else []


def _observe(
    cells: np.ndarray,
    scenes: Sequence[Scene],
    group: Callable[[Iterable[Scene]], list[tuple[Scene, ...]]],
) -> dict[int, _Seen]:
    """Cell index -> the passes that touch the cell, sorted by time, whole ones apart."""
    groups = group(scenes)
    flat = [scene for one in groups for scene in one]
    if not flat:
        return {}
    owner = np.repeat(np.arange(len(groups)), [len(one) for one in groups])
    outlines = _unrolled(np.array([scene.footprint for scene in flat], dtype=object))
    cell_at, scene_at = shapely.STRtree(outlines).query(cells, predicate="intersects")
    order = np.lexsort((scene_at, cell_at))
    cell_at, scene_at = cell_at[order], scene_at[order]
    share = _share(cells[cell_at], outlines[scene_at])
    keys = np.stack([cell_at, owner[scene_at]])
    starts = np.flatnonzero(np.any(np.diff(keys, axis=1, prepend=-1) != 0, axis=0))
    seen: dict[int, _Seen] = {}
    most = np.maximum.reduceat(share, starts).tolist() if len(starts) else []
    edges = pairwise([*starts.tolist(), len(cell_at)])
    for (start, stop), alone in zip(edges, most, strict=True):
        members = scene_at[start:stop]
        cell = int(cell_at[start])
        covered = alone
        if alone < WHOLE and len(members) > 1:
            union = shapely.union_all(outlines[members])
            covered = float(_share(cells[[cell]], np.array([union], dtype=object))[0])
        if covered == 0:
            continue
        one = Pass(tuple(flat[i] for i in members))
        offer = seen.setdefault(cell, _Seen())
        (offer.whole if covered >= WHOLE else offer.partial).append(one)
    for offer in seen.values():
        # Passes begin at their first scene over the cell, not at their first scene at all.
        offer.whole.sort(key=lambda p: (p.time, p.id))
        offer.partial.sort(key=lambda p: (p.time, p.id))
    return seen


def _unrolled(outlines: np.ndarray) -> np.ndarray:
    """Return outlines that go on beyond 180 degrees, as the footprints of cells do.

    Scenes are cut at the antimeridian; a scene or a cell across it would else be halved.
    """
    west, _, east, _ = shapely.bounds(outlines).T
    for i in np.flatnonzero((west < -180 + _NEAR_DEG) | (east > 180 - _NEAR_DEG)):
        turns = [shapely.affinity.translate(outlines[i], by) for by in (-360.0, 360.0)]
        outlines[i] = shapely.union_all([outlines[i], *turns])
    return outlines


def _share(cells: np.ndarray, outlines: np.ndarray) -> np.ndarray:
    """Share of each footprint that its outline covers, 0 to 1."""
    shapely.prepare(outlines)
    share = shapely.covers(outlines, cells).astype(float)
    cut = np.flatnonzero(share == 0)
    overlap = shapely.area(shapely.intersection(outlines[cut], cells[cut]))
    share[cut] = overlap / shapely.area(cells[cut])
    return share


def _by_passes(
    cell: Cell, anchor: str, offers: Mapping[str, _Seen], companions: Sequence[LayerRule]
) -> list[Match]:
    """Matches of one cell whose dates come from the anchor layer's passes."""
    matches = [
        Match(
            cell=cell,
            anchor_time=one.time,
            anchor_id=one.scenes[0].platform,
            candidates={anchor: (one,)},
            reason="partial coverage",
            detail=f"{anchor}: {one.id} covers only a part of the cell",
        )
        for one in offers[anchor].partial
    ]
    for one in offers[anchor].whole:
        found = {anchor: (one,), **_candidates(one.time, offers, companions)}
        matches.append(
            _complete(cell, one.time, one.scenes[0].platform, found, offers, companions)
        )
    return matches


def _by_date(
    cell: Cell, date: datetime, offers: Mapping[str, _Seen], companions: Sequence[LayerRule]
) -> Match:
    """The match of one cell at one date of a calendar."""
    found = _candidates(date, offers, companions)
    return _complete(cell, date, "calendar", found, offers, companions)


def _candidates(
    anchor: datetime, offers: Mapping[str, _Seen], companions: Sequence[LayerRule]
) -> dict[str, tuple[Pass, ...]]:
    return {rule.name: _ranked(anchor, offers[rule.name].whole, rule) for rule in companions}


def _ranked(anchor: datetime, passes: Sequence[Pass], rule: LayerRule) -> tuple[Pass, ...]:
    """Passes that a rule admits for an anchor, the one to try first in front."""
    if rule.when == "static":
        return tuple(passes)
    if isinstance(rule.when, Months):
        span = rule.when
        admitted = [p for p in passes if p.time.year == anchor.year and span.contains(p.time)]
    elif rule.when == "year":
        admitted = [p for p in passes if p.time.year == anchor.year]
    else:
        reach = rule.window if rule.when == "window" else HALF_HOUR
        first = bisect_left(passes, anchor - reach, key=lambda p: p.time)
        last = bisect_right(passes, anchor + reach, key=lambda p: p.time)
        admitted = list(passes[first:last])
    if len(admitted) < 2:
        return tuple(admitted)
    if rule.pick == "clearest":
        return tuple(sorted(admitted, key=lambda p: (p.cloud, p.time, p.id)))
    return tuple(sorted(admitted, key=lambda p: (abs(p.time - anchor), p.time, p.id)))


def _complete(
    cell: Cell,
    time: datetime,
    anchor_id: str,
    found: Mapping[str, tuple[Pass, ...]],
    offers: Mapping[str, _Seen],
    companions: Sequence[LayerRule],
) -> Match:
    """The match, with the reason if a required layer has no candidate."""
    reason: Reason | None = None
    detail = ""
    for rule in companions:
        if found[rule.name] or not rule.required:
            continue
        partial = _ranked(time, offers[rule.name].partial, rule)
        reason = "partial coverage" if partial else "no scene in window"
        detail = (
            f"{rule.name}: {partial[0].id} covers only a part of the cell"
            if partial
            else f"{rule.name}: {_nothing(time, offers[rule.name].whole, rule)}"
        )
        break
    return Match(
        cell=cell,
        anchor_time=time,
        anchor_id=anchor_id,
        candidates=found,
        reason=reason,
        detail=detail,
    )


def _nothing(anchor: datetime, passes: Sequence[Pass], rule: LayerRule) -> str:
    """Say what the nearest pass is when none is admitted."""
    if rule.when == "static" or not passes:
        return "no scene covers the cell"
    nearest = min(passes, key=lambda p: (abs(p.time - anchor), p.time, p.id))
    gap_days = abs(nearest.time - anchor) / timedelta(days=1)
    return f"nearest is {nearest.id}, {gap_days:.1f} days away"
