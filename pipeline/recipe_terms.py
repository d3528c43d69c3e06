"""The terms of a recipe: its period, calendar, layers and split, with defaults worked out."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

from catalog.cell_classes import CellClasses
from catalog.errors import GridError
from catalog.grid import Cell, PatchGrid
from catalog.match import LayerRule, When
from catalog.providers.source import Source
from catalog.split import (
    SPLITS,
    Assigned,
    Split,
    assign_blocks,
    assign_listed,
    assign_regions,
    assign_tiles,
    block_names,
)
from catalog.tiles import mgrs_tiles
from pipeline.treatment import UNTREATED, Treatment

SplitBy = Literal["block", "region", "mgrs", "file"]
_NOON = time(12, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Period:
    """The days that anchors may have, UTC."""

    start: date
    end: date | Literal["now"]
    """Last day, included; or the moment of asking."""

    def span(self, now: datetime) -> tuple[datetime, datetime]:
        """Return the first instant of the period and the first one after it, aware UTC.

        Args:
            now: The present, aware; it ends a period that runs to `'now'`.

        Example:
            >>> day = Period(date(2021, 6, 1), date(2021, 6, 1))
            >>> [t.isoformat() for t in day.span(datetime.now(UTC))]
            ['2021-06-01T00:00:00+00:00', '2021-06-02T00:00:00+00:00']
        """
        start = datetime.combine(self.start, time(tzinfo=UTC))
        if isinstance(self.end, str):
            return start, now.astimezone(UTC)
        return start, datetime.combine(self.end + timedelta(days=1), time(tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Calendar:
    """Dates that anchor samples instead of a layer."""

    every: Literal["year", "month"] | None
    dates: tuple[date, ...]

    def anchors(self, period: Period, now: datetime) -> list[datetime]:
        """Return the anchor times, noon UTC: the dates, or the first day of each span.

        A year or month that the period touches counts; one that began before the period is
        anchored on the period's first day.
        """
        start, end = period.span(now)
        days = self.dates or tuple(self._firsts(start.date(), end.date()))
        noons = (datetime.combine(day, _NOON) for day in sorted(set(days)))
        return [noon for noon in noons if start <= noon < end]

    def _firsts(self, start: date, end: date) -> Iterator[date]:
        """Yield the start and every first day of a year or month after it, up to the end."""
        yield start
        day = start
        while day <= end:
            day = _next_year(day) if self.every == "year" else _next_month(day)
            yield day


def _next_year(day: date) -> date:
    return date(day.year + 1, 1, 1)


def _next_month(day: date) -> date:
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer of the store: bands of one product, and how its scenes are chosen."""

    name: str
    product: str
    bands: tuple[str, ...]
    gsd_m: float
    source: Source
    """Where its scenes are listed."""
    collection: str | None
    """Name of the collection there; None for the one in the product table."""
    when: When
    pick: Literal["nearest", "clearest"]
    required: bool
    max_cloud: float
    """Largest cloud fraction of a candidate by its item, 0 to 1."""
    min_valid: float
    """Least fraction of usable pixels in a patch, 0 to 1."""
    treatment: Treatment = UNTREATED
    """What is done to its pixels beyond placing them."""

    def size_px(self, grid: PatchGrid) -> int:
        """Return the rows and columns of a patch."""
        return grid.size_at(self.gsd_m)

    def rule(self, window: timedelta) -> LayerRule:
        """Return what matching needs to know of the layer."""
        return LayerRule(
            name=self.name,
            when=self.when,
            pick=self.pick,
            required=self.required,
            window=window,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRule:
    """How cells are dealt to the splits."""

    by: SplitBy
    block_m: float
    buffer_m: float
    shares: Mapping[Split, float]
    seed: int
    regions: Mapping[str, Split]
    within: Literal["area", "region"] = "area"
    listed: CellClasses | None = None
    """What a file says of the cells; its words are splits."""

    def identity(self) -> dict[str, object]:
        """Return what the recipe's hash is made of; keys that came later only if in use."""
        known: dict[str, object] = {
            "by": self.by,
            "block_m": self.block_m,
            "buffer_m": self.buffer_m,
            "shares": dict(self.shares),
            "seed": self.seed,
            "regions": dict(self.regions),
        }
        if self.within != "area":
            known["within"] = self.within
        if self.listed is not None:
            known["listed"] = self.listed.digest
        return known

    def assign(self, region_of: Mapping[Cell, str], grid: PatchGrid) -> dict[str, Assigned]:
        """Return the split of each cell by its id; `'buffer'` for cells left out.

        Args:
            region_of: Cell -> name of its region, as from `catalog.area.select_cells`.
            grid: The grid of the cells; blocks start at its origin.

        Raises:
            GridError: If a file decides and names none of the cells.
        """
        if self.by == "region":
            return assign_regions(region_of, self.regions, buffer_m=self.buffer_m)
        if self.listed is not None:
            return assign_listed(_splits_in(self.listed, region_of), buffer_m=self.buffer_m)
        if self.by == "mgrs":
            return assign_tiles(
                region_of, shares=self.shares, seed=self.seed, buffer_m=self.buffer_m
            )
        return assign_blocks(
            region_of,
            block_m=self.block_m,
            shares=self.shares,
            seed=self.seed,
            buffer_m=self.buffer_m,
            origin_m=grid.origin_m,
            region_of=region_of if self.within == "region" else None,
        )

    def blocks(self, region_of: Mapping[Cell, str], grid: PatchGrid) -> dict[Cell, str]:
        """Return the name of the block, tile or region that each cell is dealt with.

        Cells that a file deals one by one are judged by blocks of `block_m` all the same.
        """
        if self.by == "region":
            return dict(region_of)
        if self.by == "mgrs":
            return mgrs_tiles(region_of)
        return block_names(region_of, block_m=self.block_m, origin_m=grid.origin_m)


def _splits_in(listed: CellClasses, cells: Iterable[Cell]) -> dict[Cell, Split | None]:
    known: Mapping[str, Split] = {split: split for split in SPLITS}
    split_of = {cell: known.get(word) for cell, word in listed.of(cells).items()}
    if not any(split_of.values()):
        raise GridError(
            "split.file gives no cell of the area a split; it names cells by the ids that "
            "`geoloupe plan` writes, such as '31N_501375_5629065', or draws polygons over them"
        )
    return split_of
