"""Draws: deterministic, even, and never dependent on the order of what they are drawn from."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from catalog.errors import GridError
from catalog.grid import PatchGrid
from catalog.sampling import (
    cap_dates,
    cells_below,
    cells_with,
    deal_count,
    jitter_points,
    sample_cells,
    spread_dates,
)

GRID = PatchGrid(gsd_m=10, size_px=64, stride_px=64)
DAY0 = datetime(2021, 1, 1, tzinfo=UTC)


def cells(columns, rows, *, epsg=32631):
    return [GRID.cell(epsg, 780 + c, 8800 + r) for c in range(columns) for r in range(rows)]


def two_regions():
    return {cell: "west" if i < 60 else "east" for i, cell in enumerate(cells(10, 10))}


def kind_of(cell):
    """Mostly crops, some forest, little water."""
    number = int(cell.west + 7 * cell.south) // 640 % 20
    return "water" if number == 0 else "forest" if number < 5 else "crop"


def test_each_region_gives_its_count_or_all_it_has():
    regions = two_regions()
    drawn = sample_cells(regions, counts={"west": 25, "east": 99}, seed=1)
    assert Counter(regions[cell] for cell in drawn) == {"west": 25, "east": 40}
    assert drawn == sorted(set(drawn))
    assert Counter(regions[c] for c in sample_cells(regions, counts=7, seed=1)) == {
        "west": 7,
        "east": 7,
    }


@settings(max_examples=30, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 30))
def test_order_does_not_matter_and_more_keeps_what_fewer_took(shuffler, count):
    regions = list(two_regions().items())
    fewer = sample_cells(dict(regions), counts=count, seed=5)
    shuffler.shuffle(regions)
    assert sample_cells(dict(regions), counts=count, seed=5) == fewer
    assert set(fewer) <= set(sample_cells(dict(regions), counts=count + 3, seed=5))


def test_another_seed_is_another_draw():
    regions = two_regions()
    draws = [tuple(sample_cells(regions, counts=10, seed=seed)) for seed in range(5)]
    assert len(set(draws)) == 5


def test_strata_are_dealt_evenly_within_each_region():
    regions = two_regions()
    drawn = sample_cells(regions, counts=9, seed=3, class_of=kind_of)
    for region in ("west", "east"):
        there = Counter(kind_of(c) for c in drawn if regions[c] == region)
        held = Counter(kind_of(c) for c in regions if regions[c] == region)
        assert sum(there.values()) == 9
        assert all(there[k] == min(3, held[k]) or there[k] >= 3 for k in held)


def test_proportional_strata_follow_what_is_there():
    regions = dict.fromkeys(cells(20, 20), "all")
    drawn = sample_cells(regions, counts=100, seed=3, class_of=kind_of, deal="proportional")
    held, there = (Counter(kind_of(c) for c in some) for some in (regions, drawn))
    assert all(abs(there[k] - held[k] / 4) <= 1 for k in held)


@given(
    st.integers(0, 200),
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 60), min_size=1),
    st.sampled_from(["equal", "proportional"]),
)
def test_a_deal_is_whole_and_never_more_than_there_is(count, sizes, deal):
    taken = deal_count(count, sizes, deal=deal)
    assert sum(taken.values()) == min(count, sum(sizes.values()))
    assert all(0 <= taken[name] <= sizes[name] for name in sizes)
    if deal == "equal":
        open_classes = [taken[name] for name in sizes if taken[name] < sizes[name]]
        assert not open_classes or max(taken.values()) - min(open_classes) <= 1


@pytest.mark.parametrize("counts", [-1, {"west": 3}])
def test_senseless_counts_are_refused(counts):
    with pytest.raises(GridError, match=r"count"):
        sample_cells(two_regions(), counts=counts, seed=0)


def test_points_move_at_most_a_radius_and_evenly_in_all_directions():
    points = np.column_stack([np.linspace(-179.9, 179.9, 4000), np.linspace(-75, 80, 4000)])
    moved = jitter_points(points, radius_m=500, seed=2)
    azimuth, _, distance = Geod(ellps="WGS84").inv(*points.T, *moved.T)
    assert distance.max() <= 500.001
    assert np.mean(np.asarray(distance) < 250) == pytest.approx(0.25, abs=0.03)
    assert np.histogram(azimuth, 4, (-180, 180))[0].min() > 900
    assert (jitter_points(points[::-1], radius_m=500, seed=2)[::-1] == moved).all()
    assert (jitter_points(points, radius_m=500, seed=3) != moved).any()


def test_no_radius_moves_nothing_and_a_negative_one_is_refused():
    point = np.array([[3.0, 51.0]])
    assert jitter_points(point, radius_m=0, seed=0) == pytest.approx(point, abs=1e-9)
    assert jitter_points(point[:0], radius_m=10, seed=0).shape == (0, 2)
    with pytest.raises(GridError, match="radius_m"):
        jitter_points(point, radius_m=-1, seed=0)


def test_polar_cells_are_left_out_on_both_sides():
    north, south = GRID.cell(32631, 780, 12_000), GRID.cell(32731, 780, 4_000)
    middle = GRID.cell(32631, 780, 8800)
    assert cells_below([north, middle, south], latitude_deg=60) == [middle]
    assert cells_below([north, middle, south], latitude_deg=84) == [north, middle, south]


def test_land_and_sea_by_the_share_of_water():
    land, coast, sea = cells(3, 1)
    shares = {land: {"trees": 1.0}, coast: {"water": 0.4, "trees": 0.6}, sea: {"water": 1.0}}
    assert cells_with(shares, classes={"water"}, most=0.5) == [land, coast]
    assert cells_with(shares, classes={"water"}, least=0.99) == [sea]
    assert cells_with(shares, classes={"water", "trees"}, least=1.0) == [land, coast, sea]
    with pytest.raises(GridError, match="between 0 and 1"):
        cells_with(shares, classes={"water"}, least=0.6, most=0.5)


def misfit(days, most):
    """Sum of squared distances from the middles of equal slots, taken in order."""
    start, stop = DAYS[0], DAYS[-1]
    slots = [start + (stop - start) * (k + 0.5) / most for k in range(most)]
    return sum((a - b) ** 2 for a, b in zip(sorted(days), slots, strict=True))


DAYS = [0, 1, 2, 3, 9, 10, 11, 25, 40, 41]


@pytest.mark.parametrize("most", [1, 2, 3, 4, 7, 9])
def test_no_other_choice_of_dates_is_more_even(most):
    times = [DAY0 + timedelta(days=d) for d in DAYS]
    kept = [(t - DAY0).days for t in spread_dates(times[::-1], most=most)]
    best = min(misfit(some, most) for some in combinations(DAYS, most))
    assert misfit(kept, most) == pytest.approx(best)


@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(0, 3000), min_size=1, max_size=80), st.integers(1, 60))
def test_dates_are_capped_sorted_and_taken_from_what_is_there(days, most):
    times = [DAY0 + timedelta(days=d) for d in days]
    kept = spread_dates(times, most=most)
    assert kept == sorted(set(kept))
    assert set(kept) <= set(times)
    assert len(kept) == min(most, len(times))


def test_a_period_spreads_dates_beyond_the_first_and_the_last():
    times = [DAY0 + timedelta(days=d) for d in range(100, 120)]
    year = (DAY0, DAY0 + timedelta(days=365))
    kept = spread_dates(times, most=2, period=year)
    assert [(t - DAY0).days for t in kept] == [100, 119]


def test_every_tile_keeps_at_most_48_dates_spread_over_years():
    times = {
        f"tile{n}": [DAY0 + timedelta(days=d) for d in range(n, 1500, 5 + n)] for n in range(4)
    } | {"few": [DAY0]}
    kept = cap_dates(times, most=48)
    assert {k: len(v) for k, v in kept.items()} == {
        "tile0": 48,
        "tile1": 48,
        "tile2": 48,
        "tile3": 48,
        "few": 1,
    }
    gaps = np.diff([t.timestamp() for t in kept["tile0"]]) / 86_400
    assert gaps.min() >= 25
    assert gaps.max() <= 40


def test_fewer_than_one_date_is_refused():
    with pytest.raises(GridError, match="at least 1"):
        spread_dates([DAY0], most=0)
