import os
import time

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.blocks import Shelf, Spans, joined, unshared, version_on_disk

FILE = bytes(range(200))
RANGES = st.lists(
    st.tuples(st.integers(0, 199), st.integers(1, 60)).map(lambda r: (r[0], min(sum(r), 200))),
    max_size=8,
)


def block(size):
    return np.zeros(size, dtype=np.uint8)


def key(number):
    return (("file", 1), 1, 0, number)


# --- stretches of files -------------------------------------------------------------------


@given(RANGES, RANGES)
def test_what_is_fetched_because_it_is_missing_makes_ranges_whole(kept, wanted):
    spans = Spans(10_000)
    for start, stop in kept:
        spans.keep(("f",), start, FILE[start:stop])
    for start, stop in spans.missing(("f",), wanted):
        spans.keep(("f",), start, FILE[start:stop])
    assert spans.missing(("f",), wanted) == []
    for start, stop in wanted:
        assert spans.read(("f",), start, stop) == FILE[start:stop]


def test_what_is_kept_of_one_version_is_unknown_of_another():
    spans = Spans(1000)
    spans.keep(("f", "old"), 0, b"old bytes")
    assert spans.read(("f", "new"), 0, 3) is None
    assert spans.missing(("f", "new"), [(0, 3)]) == [(0, 3)]


def test_stretches_are_bounded_and_the_one_used_longest_ago_goes_first():
    spans = Spans(100)
    for number in range(3):
        spans.keep(("f", number), 0, bytes(40))
        spans.read(("f", 0), 0, 40)
    assert spans.held_bytes == 80
    assert spans.read(("f", 0), 0, 40) is not None
    assert spans.read(("f", 1), 0, 40) is None


def test_a_longer_stretch_takes_the_place_of_a_shorter_one():
    spans = Spans(100)
    spans.keep(("f",), 0, b"ab")
    spans.keep(("f",), 0, b"abcd")
    spans.keep(("f",), 0, b"abc")
    assert (spans.read(("f",), 0, 4), spans.held_bytes) == (b"abcd", 4)


def test_ranges_join_across_small_gaps_up_to_a_size():
    assert joined([(8, 10), (0, 4)], 4, 100) == [(0, 10)]
    assert joined([(0, 4), (9, 10)], 4, 100) == [(0, 4), (9, 10)]
    assert joined([(0, 4), (4, 8), (8, 12)], 4, 8) == [(0, 8), (8, 12)]
    assert joined([(0, 10), (2, 4)], 4, 100) == [(0, 10)]


# --- decoded blocks -----------------------------------------------------------------------


def test_blocks_are_bounded_and_the_one_used_longest_ago_goes_first():
    shelf = Shelf(100)
    for number in (0, 1, 0, 2):
        shelf.keep(key(number), block(40))
        shelf.get(key(0))
    assert shelf.held_bytes == 80
    assert shelf.get(key(1)) is None
    assert shelf.get(key(0)) is not None


# --- versions -----------------------------------------------------------------------------


def aged(path, seconds=60):
    then = time.time() - seconds
    os.utime(path, (then, then))
    return path


def test_a_file_that_rests_has_one_version_for_all_tasks(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(b"1")
    aged(path)
    assert version_on_disk(str(path), {}) == version_on_disk(str(path), {})


def test_a_file_that_changed_has_another_version(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(b"1")
    before = version_on_disk(str(aged(path, 60)), {})
    path.write_bytes(b"2")
    assert version_on_disk(str(aged(path, 30)), {}) != before


def test_a_file_that_changed_a_moment_ago_is_shared_with_no_other_task(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(b"1")
    mine: dict = {}
    assert version_on_disk(str(path), mine) == version_on_disk(str(path), mine)
    assert version_on_disk(str(path), mine) != version_on_disk(str(path), {})


def test_versions_that_are_not_shared_differ_each_time():
    assert unshared("a") != unshared("a")
