"""Splits: which cells train, which validate, which test, and which are left out between.

Neighboring cells look alike, so cells are dealt in square blocks, whole tiles or whole
regions, or as a file says; cells that reach into, or come too near, the ground of another
split belong to none.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import Transformer

from catalog.errors import GridError, nearest_choice
from catalog.grid import Cell
from catalog.tiles import mgrs_tiles

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
Assigned = Literal["train", "val", "test", "buffer"]
_TOUCH_M = 1e-3
"""Overlaps thinner than this are shared edges, metres."""

_CROSSING_M = 1.0
"""By how much two neighboring zones may disagree about a distance, metres."""
_CROSSING_SEGMENTS = 16
"""Pieces of an edge that is seen from another zone: it is curved there."""

_Block = tuple[int, int, int]
_Key = TypeVar("_Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class _Ground:
    """Squares of one UTM zone and the split that each belongs to."""

    epsg: int
    boxes: npt.NDArray[Any]
    splits: npt.NDArray[np.str_]


def assign_blocks(  # noqa: PLR0913 - the terms of a deal
    cells: Iterable[Cell],
    *,
    block_m: float,
    shares: Mapping[Split, float],
    seed: int,
    buffer_m: float,
    origin_m: tuple[float, float] = (0.0, 0.0),
    region_of: Mapping[Cell, str] | None = None,
) -> dict[str, Assigned]:
    """Deal square blocks of cells to the splits.

    A cell goes with the block that holds its center. Blocks come in an order drawn from the
    seed and their own place, so the result never depends on the order of the input. Each
    split with a share gets one block first, the largest share first; every further block goes
    to the split that lacks most cells.

    Args:
        cells: Cells of any zones.
        block_m: Side of a block, metres; blocks start at `origin_m` in each zone.
        shares: Share of the cells per split, in any unit; splits left out get none.
        seed: Another seed, another deal.
        buffer_m: Cells nearer than this to a block of another split are left out, as are
            cells that reach into such a block; also across zones.
        origin_m: Easting and northing of a corner of the blocks, metres.
        region_of: Cell -> name of its region, to deal the blocks of each region by themselves,
            so that every region has every split; a block goes with most of its cells. None
            deals all blocks together.

    Returns:
        Cell id -> split, `'buffer'` for cells left out.

    Raises:
        GridError: If `block_m` is not above zero, or no share is.
    """
    if block_m <= 0:
        raise GridError(f"block_m must be above zero, got {block_m!r}")
    blocks: dict[_Block, list[Cell]] = {}
    for cell in cells:
        blocks.setdefault(_block_of(cell, block_m, origin_m), []).append(cell)
    groups: dict[str, dict[_Block, int]] = {}
    for block, members in blocks.items():
        region = _usual(region_of[cell] for cell in members) if region_of else ""
        groups.setdefault(region, {})[block] = len(members)
    dealt = {
        block: split
        for sizes in groups.values()
        for block, split in _deal(sizes, shares, seed, _block_key).items()
    }
    split_of = {cell: dealt[block] for block, members in blocks.items() for cell in members}
    grounds = _block_grounds(dealt, block_m, origin_m)
    return _leave_out(split_of, grounds, buffer_m)


def assign_regions(
    region_of: Mapping[Cell, str], splits: Mapping[str, Split], *, buffer_m: float
) -> dict[str, Assigned]:
    """Give every cell the split of its region.

    Args:
        region_of: Cell -> name of its region.
        splits: Region -> split, for every region.
        buffer_m: Cells nearer than this to a cell of another split are left out, as are cells
            that overlap one.

    Returns:
        Cell id -> split, `'buffer'` for cells left out.

    Raises:
        GridError: If a region has no split.
    """
    for region in sorted(set(region_of.values()) - set(splits)):
        raise GridError(f"region {region!r} has no split; {nearest_choice(region, splits)}")
    split_of = {cell: splits[region] for cell, region in region_of.items()}
    return _leave_out(split_of, _cell_grounds(split_of), buffer_m)


def assign_tiles(
    cells: Iterable[Cell], *, shares: Mapping[Split, float], seed: int, buffer_m: float
) -> dict[str, Assigned]:
    """Deal whole 100 km squares to the splits, each counting once, however many cells it has.

    Shares of 2,943 and 151 deal 3,094 squares into just so many.

    Args:
        cells: Cells of any zones; each is in the square that holds its center.
        shares: Share of the squares per split, in any unit; splits left out get none.
        seed: Another seed, another deal.
        buffer_m: Cells nearer than this to a cell of another split are left out, as are cells
            that overlap one.

    Returns:
        Cell id -> split, `'buffer'` for cells left out.

    Raises:
        GridError: If no share is above zero.
    """
    tile_of = mgrs_tiles(cells)
    dealt = _deal(dict.fromkeys(tile_of.values(), 1), shares, seed, str)
    return assign_regions(tile_of, dealt, buffer_m=buffer_m)


def assign_listed(
    split_of: Mapping[Cell, Split | None], *, buffer_m: float
) -> dict[str, Assigned]:
    """Give every cell the split that was decided elsewhere.

    Args:
        split_of: Cell -> its split, None for cells that are left out.
        buffer_m: Cells nearer than this to a cell of another split are left out, as are cells
            that overlap one.

    Returns:
        Cell id -> split, `'buffer'` for cells left out.
    """
    listed = {cell: split for cell, split in split_of.items() if split is not None}
    kept = _leave_out(listed, _cell_grounds(listed), buffer_m)
    return {cell.id: kept.get(cell.id, "buffer") for cell in split_of}


def block_names(
    cells: Iterable[Cell], *, block_m: float, origin_m: tuple[float, float] = (0.0, 0.0)
) -> dict[Cell, str]:
    """Return the name of the block that `assign_blocks` deals each cell with."""
    return {cell: _block_key(_block_of(cell, block_m, origin_m)) for cell in cells}


def _usual(names: Iterable[str]) -> str:
    """The name that occurs most; of equals the first in the alphabet."""
    counts = Counter(names)
    return min(counts, key=lambda name: (-counts[name], name))


def _block_of(cell: Cell, block_m: float, origin_m: tuple[float, float]) -> _Block:
    x, y = cell.center
    return cell.epsg, int((x - origin_m[0]) // block_m), int((y - origin_m[1]) // block_m)


def _deal(
    sizes: Mapping[_Key, int],
    shares: Mapping[Split, float],
    seed: int,
    spell: Callable[[_Key], str],
) -> dict[_Key, Split]:
    """Deal things of some sizes; `spell` gives the text that the draw depends on."""
    wanted = [s for s in SPLITS if shares.get(s, 0) > 0]
    if not wanted:
        raise GridError(f"shares must give at least one split more than 0, got {dict(shares)}")
    wanted.sort(key=lambda s: -shares[s])
    unit = sum(sizes.values()) / sum(shares[s] for s in wanted)
    lacking = {s: shares[s] * unit for s in wanted}
    dealt: dict[_Key, Split] = {}
    for key in sorted(sizes, key=lambda k: _draw(seed, spell(k))):
        waiting = wanted[len(dealt) : len(dealt) + 1]
        split = waiting[0] if waiting else max(wanted, key=lambda s: lacking[s])
        lacking[split] -= sizes[key]
        dealt[key] = split
    return dealt


def _draw(seed: int, key: str) -> bytes:
    return hashlib.sha256(f"{seed}:{key}".encode()).digest()


def _block_key(block: _Block) -> str:
    return f"{block[0]}:{block[1]}:{block[2]}"


def _block_grounds(
    dealt: Mapping[_Block, Split], block_m: float, origin_m: tuple[float, float]
) -> list[_Ground]:
    corner = np.array(origin_m)
    grounds = []
    for epsg in sorted({block[0] for block in dealt}):
        mine = [block for block in dealt if block[0] == epsg]
        low = corner + np.array([block[1:] for block in mine]) * block_m
        boxes = shapely.box(low[:, 0], low[:, 1], low[:, 0] + block_m, low[:, 1] + block_m)
        grounds.append(_Ground(epsg, boxes, np.array([dealt[block] for block in mine])))
    return grounds


def _cell_grounds(split_of: Mapping[Cell, Split]) -> list[_Ground]:
    grounds = []
    for epsg in sorted({cell.epsg for cell in split_of}):
        mine = [cell for cell in split_of if cell.epsg == epsg]
        splits = np.array([split_of[cell] for cell in mine])
        grounds.append(_Ground(epsg, _boxes(mine, shrink_m=0), splits))
    return grounds


def _leave_out(
    split_of: Mapping[Cell, Split], grounds: list[_Ground], buffer_m: float
) -> dict[str, Assigned]:
    """Return the split of each cell, or `'buffer'` if it is too near another split's ground.

    Cells are shrunk by a hair, so that a shared edge is no overlap and a gap of exactly
    `buffer_m` is enough.
    """
    assigned: dict[str, Assigned] = {cell.id: split for cell, split in split_of.items()}
    for epsg in sorted({cell.epsg for cell in split_of}):
        mine_of: dict[str, list[Cell]] = {split: [] for split in SPLITS}
        for cell, split in split_of.items():
            if cell.epsg == epsg:
                mine_of[split].append(cell)
        for ground in grounds:
            if not _are_neighbors(epsg, ground.epsg):
                continue
            boxes = _seen_from(epsg, ground)
            reach_m = buffer_m + (_TOUCH_M / 2 if ground.epsg == epsg else _CROSSING_M)
            for name, mine in mine_of.items():
                for cell in _within(mine, boxes[ground.splits != name], reach_m):
                    assigned[cell.id] = "buffer"
    return assigned


def _within(mine: list[Cell], boxes: npt.NDArray[Any], reach_m: float) -> list[Cell]:
    """Return the cells that are no further than a reach from any of the boxes."""
    hits = shapely.STRtree(boxes).query(
        _boxes(mine, shrink_m=_TOUCH_M), predicate="dwithin", distance=reach_m
    )
    return [mine[index] for index in np.unique(hits[0])]


def _boxes(cells: list[Cell], *, shrink_m: float) -> npt.NDArray[Any]:
    edges = np.array([(c.west, c.south, c.east, c.north) for c in cells]).reshape(-1, 4)
    west, south, east, north = edges.T
    boxes: npt.NDArray[Any] = shapely.box(
        west + shrink_m, south + shrink_m, east - shrink_m, north - shrink_m
    )
    return boxes


def _are_neighbors(first: int, second: int) -> bool:
    """Whether two UTM zones, of either hemisphere, are the same or lie side by side."""
    return (first % 100 - second % 100) % 60 in (0, 1, 59)


def _seen_from(epsg: int, ground: _Ground) -> npt.NDArray[Any]:
    """Return the boxes of the ground in the metres of another zone."""
    if ground.epsg == epsg:
        return ground.boxes
    bounds = shapely.bounds(ground.boxes)
    pieces_m = (bounds[:, 2] - bounds[:, 0]) / _CROSSING_SEGMENTS
    way = Transformer.from_crs(ground.epsg, epsg, always_xy=True)
    boxes = shapely.transform(
        shapely.segmentize(ground.boxes, pieces_m),
        lambda xy: np.column_stack(way.transform(*xy.T)),
    )
    return np.asarray(boxes)
