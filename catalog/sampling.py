"""Which cells and dates are taken when not all are wanted: drawn from a seed, spread evenly.

Every draw depends on the seed and on the thing itself, never on the order of the input. A
larger count keeps what a smaller one took, unless it is dealt in proportion to classes.
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal

import numpy as np
import numpy.typing as npt
from pyproj import Geod

from catalog.errors import GridError
from catalog.grid import Cell

Deal = Literal["equal", "proportional"]
"""How a region's count is dealt to its classes: as many of each, or as they occur."""
_EARTH = Geod(ellps="WGS84")
_ONLY = ""


def sample_cells(
    region_of: Mapping[Cell, str],
    *,
    counts: int | Mapping[str, int],
    seed: int,
    class_of: Callable[[Cell], str] | None = None,
    deal: Deal = "equal",
) -> list[Cell]:
    """Draw cells from each region, and evenly from the classes within it if there are any.

    Args:
        region_of: Cell -> name of its region.
        counts: Cells per region: one number for all, or one per region. A region with fewer
            cells gives all it has.
        seed: Another seed, another draw.
        class_of: Cell -> its stratum, for example its land cover or ecoregion; None for no
            strata.
        deal: How a region's count is dealt to its classes; a class that has too few leaves
            the rest to the others.

    Returns:
        The cells drawn, sorted.

    Raises:
        GridError: If a count is negative, or a region has none.
    """
    strata: dict[str, dict[str, list[Cell]]] = defaultdict(lambda: defaultdict(list))
    for cell, region in region_of.items():
        strata[region][_ONLY if class_of is None else class_of(cell)].append(cell)
    drawn: list[Cell] = []
    for region in sorted(strata):
        classes = strata[region]
        sizes = {name: len(cells) for name, cells in classes.items()}
        shares = deal_count(_count_for(region, counts), sizes, deal=deal)
        for name, cells in classes.items():
            ordered = sorted(cells, key=lambda cell: _draw(seed, cell.id))
            drawn += ordered[: shares[name]]
    return sorted(drawn)


def deal_count(count: int, sizes: Mapping[str, int], *, deal: Deal) -> dict[str, int]:
    """Return how many to take of each class, `count` in all if there are as many.

    Args:
        count: How many are wanted.
        sizes: Class -> how many there are.
        deal: `'equal'`: as many of each class, the rest of small classes going to the others;
            `'proportional'`: as they occur, by largest remainder.

    Example:
        >>> deal_count(10, {"crop": 90, "forest": 6, "water": 1}, deal="equal")
        {'crop': 5, 'forest': 4, 'water': 1}
        >>> deal_count(10, {"crop": 90, "forest": 6, "water": 1}, deal="proportional")
        {'crop': 9, 'forest': 1, 'water': 0}
    """
    total = sum(sizes.values())
    wanted = min(count, total)
    if deal == "equal":
        return _deal_equally(wanted, sizes)
    exact = {name: wanted * size / total if total else 0.0 for name, size in sizes.items()}
    taken = {name: math.floor(value) for name, value in exact.items()}
    ahead = sorted(sizes, key=lambda name: (taken[name] - exact[name], name))
    for name in ahead[: wanted - sum(taken.values())]:
        taken[name] += 1
    return taken


def _deal_equally(wanted: int, sizes: Mapping[str, int]) -> dict[str, int]:
    """Rarest classes first: each takes its share of what is left, or all that it has."""
    taken = dict.fromkeys(sizes, 0)
    left = wanted
    ordered = sorted(sizes, key=lambda name: (sizes[name], name))
    for place, name in enumerate(ordered):
        taken[name] = min(sizes[name], left // (len(ordered) - place))
        left -= taken[name]
    return taken


def _count_for(region: str, counts: int | Mapping[str, int]) -> int:
    if isinstance(counts, Mapping):
        if region not in counts:
            raise GridError(
                f"region {region!r} has no count; counts are given for "
                f"{', '.join(sorted(counts)) or 'none'}: add it, 0 to leave it out"
            )
        count = counts[region]
    else:
        count = counts
    if count < 0:
        raise GridError(
            f"the count of cells must not be negative, got {count!r} for {region!r}"
        )
    return count


def jitter_points(
    lonlat: npt.NDArray[np.float64], *, radius_m: float, seed: int
) -> npt.NDArray[np.float64]:
    """Move points by chance, evenly over a disc: their own places are not to be learned.

    Args:
        lonlat: Longitude and latitude `(n, 2)`, degrees.
        radius_m: Radius of the disc, metres; 0 moves nothing.
        seed: Another seed, other moves; equal points move alike.

    Returns:
        Longitude and latitude `(n, 2)`, degrees.

    Raises:
        GridError: If `radius_m` is negative.
    """
    if radius_m < 0:
        raise GridError(f"radius_m must not be negative, got {radius_m!r}")
    points = np.asarray(lonlat, dtype=np.float64).reshape(-1, 2)
    draws = [_draw(seed, f"{lon:.9f} {lat:.9f}") for lon, lat in points.tolist()]
    chance = np.array([_fractions(draw) for draw in draws]).reshape(-1, 2)
    lon, lat, _ = _EARTH.fwd(
        points[:, 0], points[:, 1], 360 * chance[:, 0], radius_m * np.sqrt(chance[:, 1])
    )
    return np.column_stack([lon, lat])


def cells_below(cells: Iterable[Cell], *, latitude_deg: float) -> list[Cell]:
    """Return the cells whose center is at most so far from the equator: no polar night.

    Args:
        cells: Of any zones.
        latitude_deg: Largest latitude, north or south.
    """
    return [cell for cell in cells if abs(cell.lonlat[1]) <= latitude_deg]


def cells_with(
    shares_of: Mapping[Cell, Mapping[str, float]],
    *,
    classes: Collection[str],
    least: float = 0.0,
    most: float = 1.0,
) -> list[Cell]:
    """Return the cells that hold some classes to a share between two bounds, inclusive.

    Land is `classes={"water"}, most=0.5`; the sea is `least=0.99`; a desert filter is the
    share of bare ground.

    Args:
        shares_of: Cell -> class -> share of the cell, 0 to 1; classes not named are 0.
        classes: Their shares are added up.
        least: Smallest share.
        most: Largest share.

    Raises:
        GridError: If the bounds leave nothing between them.
    """
    if not 0 <= least <= most <= 1:
        raise GridError(
            f"shares lie between 0 and 1, the least below the most; got {least!r} and {most!r}"
        )
    kept = []
    for cell, shares in shares_of.items():
        share = sum(shares.get(name, 0.0) for name in classes)
        if least - 1e-9 <= share <= most + 1e-9:
            kept.append(cell)
    return kept


def cap_dates(
    times_of: Mapping[Hashable, Collection[datetime]],
    *,
    most: int,
    period: tuple[datetime, datetime] | None = None,
) -> dict[Hashable, list[datetime]]:
    """Keep at most so many dates of each tile, spread evenly over time.

    Args:
        times_of: Tile, cell or region -> its dates, in any order.
        most: Dates to keep of each, for example 48.
        period: Start and end between which they are spread; from the first date to the last
            of each tile if None.
    """
    return {
        key: spread_dates(times, most=most, period=period) for key, times in times_of.items()
    }


def spread_dates(
    times: Collection[datetime],
    *,
    most: int,
    period: tuple[datetime, datetime] | None = None,
) -> list[datetime]:
    """Return at most so many dates, in order, as near as can be to evenly spaced ones.

    The sum of squared distances from the middles of equal slots of time is the smallest
    possible; of equally good choices the earlier dates win.

    Raises:
        GridError: If `most` is below 1.

    Example:
        >>> from datetime import UTC
        >>> days = [datetime(2021, 1, d, tzinfo=UTC) for d in (1, 2, 3, 4, 16, 31)]
        >>> [time.day for time in spread_dates(days, most=3)]
        [4, 16, 31]
    """
    if most < 1:
        raise GridError(f"most must be at least 1 date, got {most!r}")
    ordered = sorted(set(times))
    if len(ordered) <= most:
        return ordered
    seconds = np.array([time.timestamp() for time in ordered])
    ends = (ordered[0], ordered[-1]) if period is None else period
    start, stop = (time.timestamp() for time in ends)
    slots = start + (stop - start) * (np.arange(most) + 0.5) / most
    return [ordered[i] for i in _nearest_in_order(seconds, slots)]


def _nearest_in_order(
    values: npt.NDArray[np.float64], slots: npt.NDArray[np.float64]
) -> Sequence[int]:
    """Indices of sorted values, one per sorted slot, all different, nearest in all.

    Row `k` of `cost` is the least cost of the first `k + 1` slots when slot `k` takes value i.
    """
    # Seconds squared lose the last digits of a double; days do not.
    days = (values[None, :] - slots[:, None]) / 86_400
    cost = days**2
    for k in range(1, len(slots)):
        cost[k, :k] = np.inf
        cost[k, k:] += np.minimum.accumulate(cost[k - 1])[k - 1 : -1]
    chosen = [int(np.argmin(cost[-1]))]
    for k in range(len(slots) - 2, -1, -1):
        chosen.append(int(np.argmin(cost[k, : chosen[-1]])))
    return chosen[::-1]


def _draw(seed: int, key: str) -> bytes:
    return hashlib.sha256(f"{seed}:{key}".encode()).digest()


def _fractions(draw: bytes) -> tuple[float, float]:
    """Two numbers from 0 to 1 out of a draw."""
    first, second = (int.from_bytes(draw[i : i + 6], "big") / 2**48 for i in (0, 6))
    return first, second
