"""Splits: which cells train, which validate, which test, and which are left out between.

Neighboring cells look alike, so cells are dealt in square blocks or whole regions, and cells
that reach into, or come too near, the ground of another split belong to none.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import Transformer

from catalog.errors import GridError, nearest_choice
from catalog.grid import Cell

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
Assigned = Literal["train", "val", "test", "buffer"]
_TOUCH_M = 1e-3
"""Overlaps thinner than this are shared edges, metres."""

_Block = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Ground:
    """Squares of one UTM zone and the split that each belongs to."""

    epsg: int
    boxes: npt.NDArray[Any]
    splits: npt.NDArray[np.str_]


def assign_blocks(
    cells: Iterable[Cell],
    *,
    block_m: float,
    shares: Mapping[Split, float],
    seed: int,
    buffer_m: float,
    origin_m: tuple[float, float] = (0.0, 0.0),
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
    dealt = _deal({block: len(members) for block, members in blocks.items()}, shares, seed)
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


def _block_of(cell: Cell, block_m: float, origin_m: tuple[float, float]) -> _Block:
    x, y = cell.center
    return cell.epsg, int((x - origin_m[0]) // block_m), int((y - origin_m[1]) // block_m)


def _deal(
    sizes: Mapping[_Block, int], shares: Mapping[Split, float], seed: int
) -> dict[_Block, Split]:
    wanted = [s for s in SPLITS if shares.get(s, 0) > 0]
    if not wanted:
        raise GridError(f"shares must give at least one split more than 0, got {dict(shares)}")
    wanted.sort(key=lambda s: -shares[s])
    unit = sum(sizes.values()) / sum(shares[s] for s in wanted)
    lacking = {s: shares[s] * unit for s in wanted}
    dealt: dict[_Block, Split] = {}
    for block in sorted(sizes, key=lambda b: _draw(seed, b)):
        waiting = wanted[len(dealt) : len(dealt) + 1]
        split = waiting[0] if waiting else max(wanted, key=lambda s: lacking[s])
        lacking[split] -= sizes[block]
        dealt[block] = split
    return dealt


def _draw(seed: int, block: _Block) -> bytes:
    return hashlib.sha256(f"{seed}:{block[0]}:{block[1]}:{block[2]}".encode()).digest()


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
        near = [_seen_from(epsg, g) for g in grounds if _are_neighbors(epsg, g.epsg)]
        boxes = np.concatenate([g.boxes for g in near])
        splits = np.concatenate([g.splits for g in near])
        for split in SPLITS:
            mine = [c for c, s in split_of.items() if c.epsg == epsg and s == split]
            others = shapely.STRtree(boxes[splits != split])
            hits = others.query(
                _boxes(mine, shrink_m=_TOUCH_M),
                predicate="dwithin",
                distance=buffer_m + _TOUCH_M / 2,
            )
            for index in np.unique(hits[0]):
                assigned[mine[index].id] = "buffer"
    return assigned


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


def _seen_from(epsg: int, ground: _Ground) -> _Ground:
    """Return the ground in the metres of another zone."""
    if ground.epsg == epsg:
        return ground
    way = Transformer.from_crs(ground.epsg, epsg, always_xy=True)
    boxes = shapely.transform(ground.boxes, lambda xy: np.column_stack(way.transform(*xy.T)))
    return _Ground(epsg, np.asarray(boxes), ground.splits)
