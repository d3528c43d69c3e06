import json
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import MatchError
from catalog.grid import PatchGrid
from catalog.match import LayerRule, Months, group_passes, match_scenes
from catalog.products import find_product
from catalog.providers.items import read_item
from catalog.providers.source import stac_source
from catalog.scene import Scene

GRID = PatchGrid(gsd_m=10, size_px=60, stride_px=60, origin_m=(501375, 5629065))
CELL = GRID.cell(32631, 0, 0)
CELLS = [GRID.cell(32631, col, row) for col in range(2) for row in range(2)]
NOON = datetime(2018, 6, 15, 12, tzinfo=UTC)
WORLD = shapely.box(2, 50, 4, 52)
WEST, SOUTH, EAST, NORTH = CELL.footprint.bounds
MIDDLE = (WEST + EAST) / 2
LEFT = shapely.box(2, 50, MIDDLE, 52)
RIGHT = shapely.box(MIDDLE, 50, 4, 52)
ELSEWHERE = shapely.box(10, 50, 11, 52)


def scene(name, time, *, footprint=WORLD, platform="", cloud=None, layer="s2"):
    return Scene(
        id=name,
        product=layer,
        source="test",
        platform=platform,
        time=time,
        footprint=footprint,
        cloud=cloud,
        epsg=32631,
        version="",
        assets={},
    )


def pair(anchors, companions, *, cells=(CELL,), **rule):
    rules = [LayerRule(name="anchor"), LayerRule(name="other", **rule)]
    return match_scenes(cells, {"anchor": anchors, "other": companions}, rules, anchor="anchor")


def names(match, layer="other"):
    return [one.id for one in match.candidates[layer]]


# --- the plain double loop that the vectorised matching must equal -----------------------


def slow_passes(scenes):
    """Chains of scenes of one platform, each at most 5 minutes from another."""
    groups = []
    for one in scenes:
        linked = [
            g
            for g in groups
            if any(
                o.platform == one.platform and abs(o.time - one.time) <= timedelta(minutes=5)
                for o in g
            )
        ]
        groups = [g for g in groups if not any(g is x for x in linked)]
        groups.append([one, *(o for g in linked for o in g)])
    return groups


def slow_offers(cell, scenes):
    """(time, id, share of the cell, smallest cloud) of each pass over a cell."""
    outline, offers = cell.footprint, []
    for group in slow_passes(scenes):
        over = [s for s in group if s.footprint.intersection(outline).area > 0]
        if not over:
            continue
        over.sort(key=lambda s: (s.time, s.id))
        union = shapely.union_all([s.footprint for s in over])
        share = union.intersection(outline).area / outline.area
        cloud = min((s.cloud for s in over if s.cloud is not None), default=1.0)
        offers.append((over[0].time, ";".join(s.id for s in over), share, cloud))
    return offers


def slow_match(cells, anchors, others, window, pick):
    """Every (anchor time, cell, anchor pass, reason, candidates), by comparing all with all."""
    found = []
    for cell in cells:
        for time, anchor_id, share, _ in slow_offers(cell, anchors):
            if share < 0.995:
                found.append((time, cell.id, anchor_id, "partial coverage", None))
                continue
            near = [o for o in slow_offers(cell, others) if abs(o[0] - time) <= window]
            whole = [o for o in near if o[2] >= 0.995]
            if pick == "nearest":
                whole.sort(key=lambda o: (abs(o[0] - time), o[0], o[1]))
            else:
                whole.sort(key=lambda o: (o[3], o[0], o[1]))
            reason = None if whole else "partial coverage" if near else "no scene in window"
            found.append((time, cell.id, anchor_id, reason, tuple(o[1] for o in whole)))
    return sorted(found, key=lambda f: f[:3])


times = st.builds(
    lambda day, minute: NOON + timedelta(days=day, minutes=minute),
    st.integers(-9, 9),
    st.sampled_from([0, 1, 4, 5, 6, 10]),
)
random_scenes = st.lists(
    st.tuples(
        times,
        st.sampled_from(["a", "b"]),
        st.sampled_from([WORLD, LEFT, RIGHT, ELSEWHERE]),
        st.sampled_from([None, 0.0, 0.3, 0.9]),
    ),
    max_size=9,
)


def built(drawn, prefix):
    return [
        scene(f"{prefix}{i}", t, platform=p, footprint=f, cloud=c)
        for i, (t, p, f, c) in enumerate(drawn)
    ]


@settings(max_examples=40, deadline=None, database=None)
@given(random_scenes, random_scenes, st.sampled_from([0, 1, 7]), st.randoms())
@pytest.mark.parametrize("pick", ["nearest", "clearest"])
def test_matches_equal_a_plain_double_loop_in_any_order(pick, anchors, others, days, random):
    anchors, others = built(anchors, "A"), built(others, "B")
    window = timedelta(days=days)
    expected = slow_match(CELLS, anchors, others, window, pick)
    random.shuffle(anchors)
    random.shuffle(others)
    matches = pair(anchors, others, cells=CELLS, window=window, pick=pick)
    found = [
        (
            m.anchor_time,
            m.cell.id,
            m.candidates["anchor"][0].id,
            m.reason,
            tuple(names(m)) if "other" in m.candidates else None,
        )
        for m in matches
    ]
    assert sorted(found, key=lambda f: f[:3]) == expected


@pytest.mark.parametrize("side", [1, -1])
def test_exactly_seven_days_is_inside_and_a_microsecond_more_is_not(side):
    week, more = timedelta(days=7), timedelta(microseconds=1)
    inside = scene("in", NOON + side * week, platform="p")
    outside = scene("out", NOON + side * (week + more), platform="q")
    [match] = pair([scene("a", NOON)], [inside, outside])
    assert names(match) == ["in"]


def test_tie_goes_to_the_earlier_scene_whatever_the_order():
    before, after = scene("z", NOON - timedelta(days=2)), scene("a", NOON + timedelta(days=2))
    for others in ([before, after], [after, before]):
        [match] = pair([scene("x", NOON)], others)
        assert names(match) == ["z", "a"]


def test_tie_at_one_instant_goes_to_the_smaller_id():
    later = NOON + timedelta(days=1)
    others = [scene("b", later, platform="p"), scene("a", later, platform="q")]
    for order in permutations(others):
        [match] = pair([scene("x", NOON)], order)
        assert names(match) == ["a", "b"]


def test_neighboring_rows_of_a_pass_are_one_observation_never_two_samples():
    rows = [
        scene("row2", NOON + timedelta(seconds=24), platform="landsat-8"),
        scene("row1", NOON, platform="landsat-8"),
    ]
    [match] = pair(rows, [scene("s", NOON)])
    assert match.anchor_time == NOON
    assert names(match, "anchor") == ["row1;row2"]


def test_two_halves_of_one_pass_cover_a_cell_that_neither_covers_alone():
    halves = [
        scene("left", NOON, footprint=LEFT, platform="p"),
        scene("right", NOON + timedelta(seconds=24), footprint=RIGHT, platform="p"),
    ]
    [match] = pair([scene("a", NOON)], halves)
    assert (match.reason, names(match)) == (None, ["left;right"])
    apart = [halves[0], scene("right", NOON, footprint=RIGHT, platform="q")]
    [match] = pair([scene("a", NOON)], apart)
    assert match.reason == "partial coverage"
    assert "left covers only a part" in match.detail


def test_real_items_of_neighboring_rows_are_one_observation(real_archive):
    items = json.loads((real_archive / "items.json").read_text())["features"]
    product = find_product("landsat-c2-l2")
    belgium = [i for i in items if i["collection"] == product.key and "_31UDS_" in i["id"]]
    scenes = [read_item(i, product, source=stac_source("real"), bands=["red"]) for i in belgium]
    matches = match_scenes([CELL], {"a": scenes}, [LayerRule(name="a")], anchor="a")
    assert len(scenes) == 26
    assert len(matches) == len({s.time.date() for s in scenes}) == 24
    pairs = {m.anchor_time.date().isoformat(): m for m in matches if ";" in names(m, "a")[0]}
    assert sorted(pairs) == ["2018-06-06", "2018-07-24"]


def test_scenes_of_two_platforms_at_one_time_are_two_passes():
    groups = group_passes([scene("a", NOON, platform="p"), scene("b", NOON, platform="q")])
    assert [[s.id for s in group] for group in groups] == [["a"], ["b"]]


def test_a_pass_is_dated_by_its_first_scene_over_the_cell():
    early = scene("early", NOON, footprint=ELSEWHERE, platform="p")
    over = scene("over", NOON + timedelta(minutes=4), platform="p")
    between = scene("between", NOON + timedelta(minutes=2), platform="q")
    [match] = pair([scene("x", NOON)], [early, over, between])
    assert names(match) == ["between", "over"]
    [match] = pair([scene("x", NOON)], [early, over, between], window=timedelta(minutes=3))
    assert names(match) == ["between"]


def test_no_scene_at_all_and_a_scene_too_far_away_have_their_own_words():
    [match] = pair([scene("a", NOON)], [])
    assert match.reason == "no scene in window"
    assert match.detail == "other: no scene covers the cell"
    [match] = pair([scene("a", NOON)], [scene("far", NOON + timedelta(days=11))])
    assert match.reason == "no scene in window"
    assert match.detail == "other: nearest is far, 11.0 days away"


def test_an_anchor_that_covers_a_part_of_the_cell_is_a_row_with_its_reason():
    [match] = pair([scene("half", NOON, footprint=LEFT)], [scene("s", NOON)])
    assert match.reason == "partial coverage"
    assert "anchor: half covers only a part" in match.detail


def test_an_anchor_that_only_touches_the_edge_of_a_cell_is_no_observation_of_it():
    beside = shapely.box(2, 50, WEST, 52)
    assert beside.intersects(CELL.footprint)
    assert pair([scene("beside", NOON, footprint=beside)], [scene("s", NOON)]) == []


def test_an_outline_rounded_by_a_thousandth_still_covers_the_cell():
    rounded = shapely.box(WEST + (EAST - WEST) * 0.001, SOUTH, EAST, NORTH).union(RIGHT)
    [match] = pair([scene("a", NOON, footprint=rounded)], [scene("s", NOON)])
    assert match.reason is None


def test_static_scenes_need_no_time_and_make_one_mosaic():
    tiles = [
        scene("east", datetime(2011, 1, 1, tzinfo=UTC), footprint=RIGHT),
        scene("west", datetime(2000, 2, 11, tzinfo=UTC), footprint=LEFT),
    ]
    [match] = pair([scene("a", NOON)], tiles, when="static")
    assert (match.reason, names(match)) == (None, ["west;east"])
    [match] = pair([scene("a", NOON)], tiles[:1], when="static")
    assert match.reason == "partial coverage"


def test_yearly_scenes_match_the_year_of_the_anchor():
    maps = [scene(str(y), datetime(y, 7, 1, tzinfo=UTC)) for y in (2017, 2018, 2019)]
    first = datetime(2018, 1, 1, tzinfo=UTC)
    last = datetime(2018, 12, 31, 23, 59, 59, tzinfo=UTC)
    for time in (first, last):
        [match] = pair([scene("a", time)], maps, when="year")
        assert names(match) == ["2018"]


def test_months_take_the_nearest_or_the_clearest_of_the_span():
    others = [
        scene("may", datetime(2018, 5, 31, tzinfo=UTC), cloud=0.0),
        scene("june", datetime(2018, 6, 1, tzinfo=UTC), cloud=0.4),
        scene("july", datetime(2018, 7, 20, tzinfo=UTC), cloud=0.1),
        scene("august", datetime(2018, 8, 31, 23, tzinfo=UTC), cloud=None),
        scene("last year", datetime(2017, 7, 1, tzinfo=UTC), cloud=0.0),
    ]
    when = Months(6, 8)
    [match] = pair([scene("a", NOON)], others, when=when)
    assert names(match) == ["june", "july", "august"]
    [match] = pair([scene("a", NOON)], others, when=when, pick="clearest")
    assert names(match) == ["july", "june", "august"]


def test_a_span_of_months_may_run_over_the_turn_of_the_year():
    winter = Months(11, 2)
    inside = [m for m in range(1, 13) if winter.contains(datetime(2018, m, 1, tzinfo=UTC))]
    assert inside == [1, 2, 11, 12]


def test_a_calendar_makes_one_sample_per_date_and_cell_out_of_several_layers():
    june, august = (scene(m, datetime(2018, k, 9, tzinfo=UTC)) for m, k in (("J", 6), ("A", 8)))
    dates = [datetime(2018, 7, 1, tzinfo=UTC), datetime(2019, 7, 1, tzinfo=UTC)]
    rules = [
        LayerRule(name="june", when=Months(6, 6)),
        LayerRule(name="aug", when=Months(8, 8)),
    ]
    matches = match_scenes(CELLS, {"june": [june], "aug": [august]}, rules, anchor=dates)
    assert len(matches) == len(dates) * len(CELLS)
    assert {m.anchor_id for m in matches} == {"calendar"}
    assert [m.reason for m in matches] == [None] * 4 + ["no scene in window"] * 4
    assert (names(matches[0], "june"), names(matches[0], "aug")) == (["J"], ["A"])


def test_a_sample_may_lack_a_layer_that_is_not_required():
    [match] = pair([scene("a", NOON)], [], required=False)
    assert (match.reason, names(match)) == (None, [])


def test_every_candidate_in_the_window_is_kept_nearest_first():
    gaps = [5, -3, 1, -7, 7, 8]
    others = [scene(f"d{g}", NOON + timedelta(days=g)) for g in gaps]
    [match] = pair([scene("a", NOON)], others)
    assert names(match) == ["d1", "d-3", "d5", "d-7", "d7"]


def test_a_negative_window_is_refused():
    with pytest.raises(MatchError, match="window must not be negative"):
        LayerRule(name="x", window=timedelta(days=-1))


@pytest.mark.parametrize("west", [-180.0, 179.7])
def test_a_cell_across_the_antimeridian_is_covered_by_a_scene_that_was_cut_there(west):
    grid = PatchGrid(gsd_m=100, size_px=100, stride_px=100)
    cells = grid.cells(shapely.box(west, 52, west + 0.3, 54))
    cell = next(c for c in cells if c.footprint.bounds[0] < -180 or c.footprint.bounds[2] > 180)
    eastern, western = shapely.box(178, 51, 180, 55), shapely.box(-180, 51, -178, 55)
    cut = shapely.MultiPolygon([eastern, western])
    [found] = pair(
        [scene("a", NOON, footprint=cut)], [scene("b", NOON, footprint=cut)], cells=(cell,)
    )
    assert found.reason is None
    [half] = pair([scene("a", NOON, footprint=eastern)], [], cells=(cell,))
    assert half.reason == "partial coverage"
