"""Splits: blocks and regions never share ground, whatever the seed and the order."""

from collections import Counter
from itertools import combinations

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from catalog.errors import GridError
from catalog.grid import PatchGrid
from catalog.split import assign_blocks, assign_listed, assign_regions, assign_tiles
from catalog.split_audit import SplitSample, audit_split
from catalog.tiles import mgrs_tiles

SHARES = {"train": 0.5, "val": 0.25, "test": 0.25}


def field(cols, rows, *, size=30, stride=30, epsg=32631, start=0):
    grid = PatchGrid(gsd_m=10, size_px=size, stride_px=stride)
    return [grid.cell(epsg, start + c, r) for c in range(cols) for r in range(rows)]


def box(cell):
    return shapely.box(cell.west, cell.south, cell.east, cell.north)


def gaps(cells, assigned):
    """(gap, whether ground is shared) of every pair of cells in two different splits."""
    kept = [c for c in cells if assigned[c.id] != "buffer"]
    return [
        (box(a).distance(box(b)), box(a).intersection(box(b)).area)
        for a, b in combinations(kept, 2)
        if assigned[a.id] != assigned[b.id]
    ]


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from([300.0, 450.0, 900.0]),
    st.sampled_from([0.0, 300.0, 500.0]),
    st.sampled_from([15, 30]),
)
def test_splits_never_share_ground_and_keep_their_distance(seed, block_m, buffer_m, stride):
    cells = field(8, 8, stride=stride)
    assigned = assign_blocks(
        cells, block_m=block_m, shares=SHARES, seed=seed, buffer_m=buffer_m
    )
    assert set(assigned) == {c.id for c in cells}
    for gap, shared in gaps(cells, assigned):
        assert shared == 0
        assert gap >= buffer_m


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.randoms(use_true_random=False))
def test_the_deal_does_not_depend_on_the_order_of_the_cells(seed, random):
    cells = field(9, 7)
    shuffled = cells.copy()
    random.shuffle(shuffled)
    deal = {"block_m": 900, "shares": SHARES, "seed": seed, "buffer_m": 100}
    assert assign_blocks(cells, **deal) == assign_blocks(shuffled, **deal)


def test_another_seed_deals_otherwise():
    cells = field(10, 10)
    deals = {
        tuple(assign_blocks(cells, block_m=300, shares=SHARES, seed=s, buffer_m=0).values())
        for s in range(5)
    }
    assert len(deals) == 5


def test_shares_of_the_cells_are_as_asked():
    cells = field(20, 20)
    count = Counter(
        assign_blocks(cells, block_m=600, shares=SHARES, seed=1, buffer_m=0).values()
    )
    assert (count["train"], count["val"], count["test"]) == (200, 100, 100)
    assert count["buffer"] == 0


@pytest.mark.parametrize("seed", range(8))
def test_each_split_gets_a_block_when_there_are_enough(seed):
    shares = {"train": 0.9, "val": 0.05, "test": 0.05}
    assigned = assign_blocks(field(3, 1), block_m=300, shares=shares, seed=seed, buffer_m=0)
    assert sorted(assigned.values()) == ["test", "train", "val"]


def test_four_cells_give_two_one_one():
    assigned = assign_blocks(field(2, 2), block_m=300, shares=SHARES, seed=0, buffer_m=0)
    assert Counter(assigned.values()) == {"train": 2, "val": 1, "test": 1}


def test_one_block_goes_to_the_largest_share():
    assert set(
        assign_blocks(field(2, 2), block_m=600, shares=SHARES, seed=3, buffer_m=0).values()
    ) == {"train"}


def test_a_split_without_a_share_gets_nothing():
    shares = {"train": 0.8, "val": 0.0, "test": 0.2}
    found = assign_blocks(field(6, 6), block_m=300, shares=shares, seed=0, buffer_m=0)
    assert set(found.values()) == {"train", "test"}


def test_a_gap_of_exactly_the_buffer_is_enough():
    cells = [field(1, 1, start=0)[0], field(1, 1, start=2)[0]]
    halves = {"train": 0.5, "test": 0.5}
    wide = assign_blocks(cells, block_m=300, shares=halves, seed=0, buffer_m=300)
    assert sorted(wide.values()) == ["test", "train"]
    wider = assign_blocks(cells, block_m=300, shares=halves, seed=0, buffer_m=301)
    assert set(wider.values()) == {"buffer"}


def test_blocks_start_at_the_origin_of_the_grid():
    grid = PatchGrid(gsd_m=10, size_px=30, stride_px=30, origin_m=(501375, 5629065))
    cells = [grid.cell(32631, c, r) for c in range(4) for r in range(4)]
    assigned = assign_blocks(
        cells, block_m=600, shares=SHARES, seed=0, buffer_m=0, origin_m=grid.origin_m
    )
    assert Counter(assigned.values()) == {"train": 8, "val": 4, "test": 4}


def test_cells_on_both_sides_of_a_zone_edge_do_not_share_ground():
    grid = PatchGrid(gsd_m=10, size_px=60, stride_px=60)
    cells = grid.cells(shapely.box(5.9, 50.0, 6.1, 50.1))
    assigned = assign_blocks(cells, block_m=1800, shares=SHARES, seed=2, buffer_m=0)
    to_31 = Transformer.from_crs(32632, 32631, always_xy=True)
    kept = [c for c in cells if assigned[c.id] != "buffer"]
    west = [c for c in kept if c.epsg == 32631]
    east = [c for c in kept if c.epsg == 32632]
    moved = [
        shapely.transform(box(c), lambda xy: [to_31.transform(*p) for p in xy]) for c in east
    ]
    tree = shapely.STRtree([box(c) for c in west])
    pairs = [
        (i, j)
        for i, j in zip(*tree.query(moved, predicate="intersects"), strict=True)
        if moved[i].intersection(box(west[j])).area > 1
    ]
    assert pairs
    assert all(assigned[east[i].id] == assigned[west[j].id] for i, j in pairs)


def test_regions_go_as_a_whole_and_neighbors_in_another_split_are_left_out():
    cells = field(4, 1)
    region_of = dict(zip(cells, ["a", "a", "b", "b"], strict=True))
    splits = {"a": "train", "b": "test"}
    assert list(assign_regions(region_of, splits, buffer_m=0).values()) == [
        "train",
        "train",
        "test",
        "test",
    ]
    assert list(assign_regions(region_of, splits, buffer_m=100).values()) == [
        "train",
        "buffer",
        "buffer",
        "test",
    ]


def test_regions_without_a_split_and_senseless_deals_are_refused():
    cells = field(2, 1)
    with pytest.raises(GridError, match="region 'sorth' has no split; did you mean 'north'"):
        assign_regions(dict.fromkeys(cells, "sorth"), {"north": "train"}, buffer_m=0)
    with pytest.raises(GridError, match="at least one split"):
        assign_blocks(cells, block_m=300, shares={"train": 0}, seed=0, buffer_m=0)
    with pytest.raises(GridError, match="block_m must be above zero"):
        assign_blocks(cells, block_m=0, shares=SHARES, seed=0, buffer_m=0)


def test_no_cells_are_no_assignments():
    assert assign_blocks([], block_m=300, shares=SHARES, seed=0, buffer_m=0) == {}


def tiles(count):
    """Two cells in the middle of each of so many 100 km squares, in many zones."""
    grid = PatchGrid(gsd_m=30, size_px=256, stride_px=256)
    found = []
    for number in range(count):
        epsg, place = 32601 + number // 52, number % 52
        col = round((4.4 + place // 26) * 100_000 / grid.stride_m)
        row = round((20.4 + place % 26) * 100_000 / grid.stride_m)
        found += [grid.cell(epsg, col, row), grid.cell(epsg, col + 1, row)]
    return found


def test_tiles_are_dealt_whole_and_in_the_numbers_of_efdiff():
    cells = tiles(3094)
    tile_of = mgrs_tiles(cells)
    shares = {"train": 2943, "test": 151}
    assigned = assign_tiles(cells, shares=shares, seed=0, buffer_m=7680)
    splits = {}
    for cell in cells:
        splits.setdefault(tile_of[cell], set()).add(assigned[cell.id])
    assert all(len(found) == 1 for found in splits.values())
    assert Counter(found.pop() for found in splits.values()) == {"train": 2943, "test": 151}
    again = assign_tiles(
        cells[::-1], shares={"train": 2943, "test": 151}, seed=0, buffer_m=7680
    )
    assert again == assigned
    other = assign_tiles(cells, shares=shares, seed=1, buffer_m=7680)
    assert other != assigned


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([0.0, 5000.0, 20_000.0]))
def test_neighboring_tiles_of_two_splits_keep_their_distance_across_zones(seed, buffer_m):
    grid = PatchGrid(gsd_m=100, size_px=100, stride_px=100)
    cells = grid.cells(shapely.box(5.0, 50.0, 7.5, 52.0))
    assert len({cell.epsg for cell in cells}) == 2
    assigned = assign_tiles(
        cells, shares={"train": 0.6, "test": 0.4}, seed=seed, buffer_m=buffer_m
    )
    samples = [SplitSample(cell=c, split=assigned[c.id]) for c in cells]
    assert audit_split(samples, buffer_m=buffer_m).passed


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([0.0, 2000.0]))
def test_blocks_pass_the_audit_across_the_edge_of_zones(seed, buffer_m):
    grid = PatchGrid(gsd_m=30, size_px=64, stride_px=64)
    cells = grid.cells(shapely.box(5.9, 50.0, 6.1, 50.1))
    assigned = assign_blocks(cells, block_m=5760, shares=SHARES, seed=seed, buffer_m=buffer_m)
    samples = [SplitSample(cell=c, split=assigned[c.id]) for c in cells]
    assert audit_split(samples, buffer_m=buffer_m).passed


def test_every_region_has_every_split_if_blocks_are_dealt_within_regions():
    cells = field(12, 12)
    region_of = {c: "left" if c.center[0] < 1800 else "right" for c in cells}
    assigned = assign_blocks(
        cells, block_m=600, shares=SHARES, seed=3, buffer_m=0, region_of=region_of
    )
    for region in ("left", "right"):
        counts = Counter(assigned[c.id] for c in cells if region_of[c] == region)
        assert counts == {"train": 36, "val": 20, "test": 16} or counts["train"] >= 32
        assert set(counts) == {"train", "val", "test"}


def test_cells_of_a_file_keep_their_split_unless_they_are_too_near_another():
    cells = field(6, 1)
    wanted = ["train", "train", None, "test", "test", None]
    listed = dict(zip(cells, wanted, strict=True))
    assert list(assign_listed(listed, buffer_m=300).values()) == [s or "buffer" for s in wanted]
    assert list(assign_listed(listed, buffer_m=301).values()) == [
        "train",
        "buffer",
        "buffer",
        "buffer",
        "test",
        "buffer",
    ]
