"""The audit finds every leak there is, and none where there is none."""

from itertools import combinations

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import GridError
from catalog.grid import PatchGrid
from catalog.split import assign_blocks
from catalog.split_audit import MOST_OFFENSES, SplitSample, audit_split
from catalog.utm import from_lonlat

GRID = PatchGrid(gsd_m=10, size_px=30, stride_px=30)


def cell(column, row, *, epsg=32631):
    return GRID.cell(epsg, 1600 + column, 18_000 + row)


def sample(column, row, split, *scenes, block="", epsg=32631):
    return SplitSample(
        cell=cell(column, row, epsg=epsg), split=split, scenes=scenes, block=block
    )


def faults(audit):
    return [(o.first, o.second, o.fault) for o in audit.offenses]


@pytest.mark.parametrize(
    ("columns_apart", "buffer_m", "passed"),
    [(1, 0, True), (1, 1, False), (2, 300, True), (2, 300.5, False), (3, 500, True)],
)
def test_the_gap_between_edges_counts(columns_apart, buffer_m, passed):
    audit = audit_split(
        [sample(0, 0, "train"), sample(columns_apart, 0, "test")], buffer_m=buffer_m
    )
    assert audit.passed == passed
    assert audit.closest_m == pytest.approx(300 * (columns_apart - 1))
    assert audit.cells == {"test": 1, "train": 1}
    if not passed:
        [offense] = audit.offenses
        assert {offense.first, offense.second} == {cell(0, 0).id, cell(columns_apart, 0).id}
        assert "apart instead of" in str(offense)


def test_diagonal_neighbors_are_as_far_as_their_corners():
    samples = [sample(0, 0, "train"), sample(2, 2, "val")]
    assert audit_split(samples, buffer_m=424).passed
    assert not audit_split(samples, buffer_m=425).passed


def test_overlap_and_the_same_cell_offend_without_any_buffer():
    half = PatchGrid(gsd_m=10, size_px=30, stride_px=15)
    over = [
        SplitSample(cell=half.cell(32631, 3200 + i, 36_000), split=split)
        for i, split in enumerate(("train", "test"))
    ]
    assert "they overlap" in str(audit_split(over, buffer_m=0).offenses[0])
    twice = audit_split([sample(0, 0, "train"), sample(0, 0, "test")], buffer_m=0)
    assert faults(twice) == [(cell(0, 0).id, cell(0, 0).id, "closer than the buffer")]
    assert twice.closest_m == 0


def test_one_split_and_the_buffer_itself_offend_no_one():
    samples = [sample(0, 0, "train"), sample(1, 0, "train"), sample(2, 0, "buffer")]
    audit = audit_split([*samples, sample(4, 0, "test")], buffer_m=600)
    assert audit.passed
    assert audit.cells == {"test": 1, "train": 2}


def test_gaps_are_seen_across_the_edge_of_zones():
    x, y = from_lonlat(32631).transform(6.0, 50.0)
    there_x, there_y = from_lonlat(32632).transform(6.0, 50.0)
    here = GRID.cell(32631, int(x // 300) - 1, int(y // 300))
    there = GRID.cell(32632, int(there_x // 300) + 1, int(there_y // 300))
    samples = [
        SplitSample(cell=here, split="train"),
        SplitSample(cell=there, split="test"),
    ]
    close = audit_split(samples, buffer_m=2000)
    assert not close.passed
    assert 0 <= close.closest_m < 1500
    assert audit_split(samples, buffer_m=0).passed
    swapped = audit_split(
        [SplitSample(cell=here, split="test"), SplitSample(cell=there, split="train")],
        buffer_m=2000,
    )
    assert swapped.closest_m == pytest.approx(close.closest_m, abs=1)


def test_zones_far_apart_are_not_compared():
    audit = audit_split(
        [sample(0, 0, "train"), sample(0, 0, "test", epsg=32640)], buffer_m=5000
    )
    assert audit.passed
    assert audit.closest_m == float("inf")


def test_a_scene_may_serve_two_splits_in_two_blocks_but_not_in_one():
    apart = [
        sample(0, 0, "train", "S1", "L1", block="a"),
        sample(40, 0, "test", "S1", "L2", block="b"),
    ]
    assert audit_split(apart, buffer_m=1000).passed
    together = [
        sample(0, 0, "train", "S1", "L1", block="a"),
        sample(40, 0, "test", "S1", "L2", block="a"),
        sample(50, 0, "test", "S3", block="a"),
    ]
    audit = audit_split(together, buffer_m=1000)
    assert faults(audit) == [(cell(0, 0).id, cell(40, 0).id, "same scene and block")]
    assert "S1 in block a" in str(audit.offenses[0])


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 9), st.integers(0, 9), st.sampled_from(["train", "val", "test"])
        ),
        min_size=1,
        max_size=25,
    ),
    st.sampled_from([0.0, 300.0, 450.0, 900.0]),
)
def test_the_audit_finds_what_comparing_every_pair_finds(places, buffer_m):
    samples = [sample(*place) for place in places]
    expected = set()
    for one, other in combinations(samples, 2):
        boxes = [
            shapely.box(s.cell.west, s.cell.south, s.cell.east, s.cell.north)
            for s in (one, other)
        ]
        gap_m = boxes[0].distance(boxes[1])
        overlap = one.cell == other.cell
        if one.split != other.split and (overlap or gap_m < buffer_m - 1e-3):
            pair = sorted([(one.cell.id, one.split), (other.cell.id, other.split)])
            expected.add((*pair[0], *pair[1]))
    audit = audit_split(samples, buffer_m=buffer_m)
    found = {(o.first, o.splits[0], o.second, o.splits[1]) for o in audit.offenses}
    assert found == expected
    assert audit.passed == (not expected)


@pytest.mark.parametrize("seed", range(3))
def test_blocks_with_a_buffer_pass_and_without_one_do_not(seed):
    some = [cell(c, r) for c in range(30) for r in range(30)]
    shares = {"train": 0.6, "val": 0.2, "test": 0.2}
    for dealt_m, asked_m, passed in ((600, 600, True), (0, 0, True), (0, 600, False)):
        splits = assign_blocks(some, block_m=1500, shares=shares, seed=seed, buffer_m=dealt_m)
        samples = [SplitSample(cell=one, split=splits[one.id]) for one in some]
        audit = audit_split(samples, buffer_m=asked_m)
        assert audit.passed == passed
        assert audit.closest_m >= dealt_m


def test_a_hopeless_split_is_counted_in_full_and_listed_in_part():
    samples = [sample(c, r, "train") for c in range(40) for r in range(40)]
    samples += [sample(c, r, "test") for c in range(40) for r in range(40)]
    audit = audit_split(samples, buffer_m=300)
    assert len(audit.offenses) == MOST_OFFENSES
    assert audit.found > 10_000


def test_no_samples_pass_and_a_senseless_buffer_is_refused():
    assert audit_split([], buffer_m=100).passed
    for buffer_m in (-1.0, 60_000.0):
        with pytest.raises(GridError, match="buffer_m"):
            audit_split([], buffer_m=buffer_m)
