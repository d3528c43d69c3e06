from hypothesis import given
from hypothesis import strategies as st

from pipeline.pieces import Spot, gather

SIDE = 16


def spots(*places):
    return [Spot(i, SIDE * row, SIDE * col, SIDE, SIDE) for i, (row, col) in enumerate(places)]


def waste(group):
    height = max(s.row + s.rows for s in group) - min(s.row for s in group)
    width = max(s.col + s.cols for s in group) - min(s.col for s in group)
    return height * width / sum(s.rows * s.cols for s in group)


PLACES = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=64, unique=True
)


@given(PLACES)
def test_every_cell_is_in_one_group_and_no_group_is_mostly_empty(places):
    groups = gather(spots(*places))
    assert sorted(s.member for group in groups for s in group) == list(range(len(places)))
    assert all(len(group) == 1 or waste(group) <= 1.5 for group in groups)


def test_a_square_of_cells_is_one_group():
    assert len(gather(spots(*((r, c) for r in range(8) for c in range(8))))) == 1


def test_cells_scattered_over_a_scene_stay_alone():
    scattered = spots(*((7 * i % 64 * 5, 11 * i % 64 * 5) for i in range(64)))
    assert all(len(group) == 1 for group in gather(scattered))


def test_groups_are_as_narrow_as_asked_for_unless_one_cell_is_wider():
    square = spots(*((r, c) for r in range(8) for c in range(8)))
    widths = [
        max(s.col + s.cols for s in group) - min(s.col for s in group)
        for group in gather(square, most_cols=3 * SIDE)
    ]
    assert max(widths) <= 3 * SIDE
    assert len(widths) <= 4
    assert len(gather(square, most_cols=1)) == 64


def test_two_clusters_are_two_groups():
    near = [(r, c) for r in range(3) for c in range(3)]
    far = [(r + 100, c + 200) for r, c in near]
    assert sorted(len(group) for group in gather(spots(*near, *far))) == [9, 9]


def test_no_cells_make_no_group():
    assert gather([]) == []


def test_a_group_stays_small_enough_for_memory():
    large = [Spot(i, 0, 2048 * i, 2048, 2048) for i in range(4)]
    assert [len(group) for group in gather(large)] == [1, 1, 1, 1]


def test_a_cut_counts_from_the_groups_corner():
    assert Spot(0, 30, 48, 16, 8).cut(20, 40) == (slice(10, 26), slice(8, 16))
