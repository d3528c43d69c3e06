"""Which cells and dates a plan takes: the `[sampling]` section of a recipe, at work."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from typing import Any, Literal

import shapely
from shapely.geometry.base import BaseGeometry

from catalog.area import Region
from catalog.cell_classes import CellClasses
from catalog.errors import GridError
from catalog.grid import Cell
from catalog.match import Match
from catalog.sampling import Deal, cells_below, jitter_points, sample_cells, spread_dates
from catalog.split import Assigned, Split
from catalog.tiles import mgrs_tiles

DatesPer = Literal["cell", "mgrs", "region"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingRule:
    """What to take of all that the area holds; as it stands it takes everything."""

    per_region: int | Mapping[str, int] | None = None
    """Cells of each region, drawn before they are split."""
    counts: Mapping[Split, int] = field(default_factory=dict)
    """Cells of each region and split, drawn after the split."""
    region_counts: Mapping[str, Mapping[Split, int]] = field(default_factory=dict)
    """Region -> counts of its own instead."""
    classes: CellClasses | None = None
    deal: Deal = "equal"
    land: BaseGeometry | None = None
    """Only cells whose center lies in it."""
    max_latitude: float | None = None
    max_dates: int | None = None
    dates_per: DatesPer = "cell"
    seed: int = 0

    @property
    def splits(self) -> bool:
        """Whether cells are counted by split."""
        return bool(self.counts or self.region_counts)

    def identity(self) -> dict[str, Any]:
        """Return what the recipe's hash is made of; empty if everything is taken."""
        if self == SamplingRule(seed=self.seed):
            return {}
        return {
            "per_region": self.per_region,
            "counts": dict(self.counts),
            "region_counts": {name: dict(own) for name, own in self.region_counts.items()},
            "classes": self.classes.digest if self.classes else None,
            "deal": self.deal,
            "land": self.land.wkb_hex if self.land else None,
            "max_latitude": self.max_latitude,
            "max_dates": self.max_dates,
            "dates_per": self.dates_per,
            "seed": self.seed,
        }

    def choose(self, region_of: Mapping[Cell, str]) -> dict[Cell, str]:
        """Return the cells that are split, with their regions: filtered, and drawn per region.

        Raises:
            GridError: If none is left, or a region has no count.
        """
        kept = self._filtered(region_of)
        if self.per_region is not None:
            kept = self._drawn(kept, self.per_region)
        if not kept:
            raise GridError(
                f"sampling leaves none of {len(region_of):,} cells; check land (polygons in "
                "longitude and latitude), max_latitude and the counts"
            )
        return kept

    def draw(
        self, region_of: Mapping[Cell, str], split_of: Mapping[str, Assigned]
    ) -> dict[Cell, str]:
        """Return the cells that are planned: so many of each region and split.

        Args:
            region_of: Cells that were split -> region.
            split_of: Cell id -> split, or `'buffer'`; cells of the buffer are never drawn.
        """
        if not self.splits:
            return dict(region_of)
        groups: dict[tuple[str, Split], dict[Cell, str]] = defaultdict(dict)
        for cell, region in region_of.items():
            split = split_of[cell.id]
            if split != "buffer":
                groups[region, split][cell] = region
        drawn: dict[Cell, str] = {}
        for (region, split), members in sorted(groups.items()):
            wanted = self.region_counts.get(region, self.counts).get(split, 0)
            drawn |= self._drawn(members, {region: wanted})
        if not drawn:
            raise GridError("sampling.counts ask for no cell that is there; raise a count")
        return {cell: region for cell, region in region_of.items() if cell in drawn}

    def short_of(
        self, region_of: Mapping[Cell, str], split_of: Mapping[str, Assigned]
    ) -> dict[str, list[int]]:
        """Return what could not be drawn: region, or region and split -> wanted, found."""
        found: dict[str, int] = defaultdict(int)
        for cell, region in region_of.items():
            found[region] += 1
            found[f"{region}/{split_of[cell.id]}"] += 1
        regions = sorted(set(region_of.values()) | set(self.region_counts))
        wanted: dict[str, int] = {}
        for region in regions:
            if self.per_region is not None and not self.splits:
                wanted[region] = (
                    self.per_region
                    if isinstance(self.per_region, int)
                    else self.per_region[region]
                )
            for split, count in self.region_counts.get(region, self.counts).items():
                wanted[f"{region}/{split}"] = count
        return {
            place: [count, found[place]]
            for place, count in wanted.items()
            if found[place] < count
        }

    def cap(
        self,
        matches: Sequence[Match],
        region_of: Mapping[Cell, str],
        period: tuple[datetime, datetime],
    ) -> list[Match]:
        """Return the matches, those of dates that are too many with that reason.

        A date is the anchor's time for a cell, and its day, UTC, for a tile or a region:
        scenes of one pass differ by seconds.

        Args:
            matches: All of them.
            region_of: Cell -> region.
            period: Start and end between which dates are spread.
        """
        if self.max_dates is None:
            return list(matches)
        group_of = self._groups(region_of)
        dates_of: dict[str, set[datetime]] = defaultdict(set)
        for one in matches:
            if one.reason is None:
                dates_of[group_of[one.cell]].add(self._date(one))
        # Cells under the same passes have the same dates: spread them once.
        spread: dict[frozenset[datetime], frozenset[datetime]] = {}
        kept_of: dict[str, frozenset[datetime]] = {}
        for group, dates in dates_of.items():
            key = frozenset(dates)
            if key not in spread:
                spread[key] = frozenset(spread_dates(key, most=self.max_dates, period=period))
            kept_of[group] = spread[key]
        return [
            one
            if one.reason is not None or self._date(one) in kept_of[group_of[one.cell]]
            else replace(
                one,
                reason="more dates than wanted",
                detail=f"beyond {self.max_dates} dates of this {self.dates_per}",
            )
            for one in matches
        ]

    def _filtered(self, region_of: Mapping[Cell, str]) -> dict[Cell, str]:
        cells = list(region_of)
        if self.max_latitude is not None:
            cells = cells_below(cells, latitude_deg=self.max_latitude)
        if self.land is not None:
            shapely.prepare(self.land)
            cells = [c for c in cells if shapely.intersects_xy(self.land, *c.lonlat)]
        return {cell: region_of[cell] for cell in cells}

    def _drawn(
        self, region_of: Mapping[Cell, str], counts: int | Mapping[str, int]
    ) -> dict[Cell, str]:
        class_of = self.classes.of(region_of) if self.classes else None
        drawn = sample_cells(
            region_of,
            counts=counts,
            seed=self.seed,
            class_of=class_of.__getitem__ if class_of else None,
            deal=self.deal,
        )
        chosen = set(drawn)
        return {cell: region for cell, region in region_of.items() if cell in chosen}

    def _groups(self, region_of: Mapping[Cell, str]) -> dict[Cell, str]:
        if self.dates_per == "mgrs":
            return mgrs_tiles(region_of)
        if self.dates_per == "region":
            return dict(region_of)
        return {cell: cell.id for cell in region_of}

    def _date(self, match: Match) -> datetime:
        if self.dates_per == "cell":
            return match.anchor_time
        return _noon(match.anchor_time.date())


def _noon(day: date) -> datetime:
    return datetime.combine(day, time(12, tzinfo=UTC))


def jitter_regions(regions: Sequence[Region], *, radius_m: float, seed: int) -> list[Region]:
    """Return regions of points, each point moved by chance within a radius.

    Raises:
        GridError: If a region has no points.
    """
    for region in regions:
        if region.geometry.geom_type not in ("Point", "MultiPoint"):
            raise GridError(
                f"region {region.name!r} is no points, and only points can be moved; leave "
                "jitter_m out, or give area.points"
            )
    return [
        Region(
            region.name,
            shapely.MultiPoint(
                jitter_points(
                    shapely.get_coordinates(region.geometry), radius_m=radius_m, seed=seed
                )
            ),
        )
        for region in regions
    ]
