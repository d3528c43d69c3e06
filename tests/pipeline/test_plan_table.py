"""The table of samples, column by column, against the plain form of it: row by row."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from math import ceil

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.grid import PatchGrid
from catalog.match import Match, Pass
from catalog.scene import Scene
from pipeline.plan_table import plan_samples, sample_id
from stores.claim import PLAN_SCHEMA

GRID = PatchGrid(gsd_m=10, size_px=60, stride_px=60, origin_m=(501375, 5629065))
NOON = datetime(2018, 6, 15, 12, 30, 5, 250_000, tzinfo=UTC)


def scene(name):
    return Scene(
        id=name,
        product="landsat-c2-l2",
        source="test",
        platform="landsat-8",
        time=NOON,
        footprint=shapely.box(2, 50, 4, 52),
        cloud=None,
        epsg=32631,
        version="",
        assets={},
    )


SCENES = [scene(name) for name in "abc"]


def match(column, row, day, platform, reason):
    return Match(
        cell=GRID.cell(32631, column, row),
        anchor_time=NOON + timedelta(days=day),
        anchor_id=platform,
        candidates={"a": (Pass((SCENES[day % 3],)),), "b": (Pass(tuple(SCENES[:2])),)},
        reason=reason,
        detail="why" if reason else "",
    )


def slow_samples(matches, region_of, split_of):
    """One dict per match, packed region by region in a plain loop."""
    rows = []
    for one in matches:
        buffered = split_of[one.cell.id] == "buffer"
        rows.append(
            {
                "sample_id": sample_id(one),
                "cell_id": one.cell.id,
                "region": region_of[one.cell],
                "split": split_of[one.cell.id],
                "epsg": one.cell.epsg,
                "west": one.cell.west,
                "south": one.cell.south,
                "east": one.cell.east,
                "north": one.cell.north,
                "geometry": shapely.to_wkb(one.cell.footprint),
                "anchor_time": one.anchor_time,
                "month": one.anchor_time.month,
                "reason": one.reason or ("buffer between splits" if buffered else ""),
                "detail": one.detail,
                "candidates": json.dumps(
                    {
                        k: [[s.id for s in p.scenes] for p in v]
                        for k, v in one.candidates.items()
                    }
                ),
                "task": -1,
                "position": -1,
            }
        )
    centers = np.array([one.cell.lonlat for one in matches])
    points = gpd.GeoSeries(gpd.points_from_xy(centers[:, 0], centers[:, 1]))
    curve = points.hilbert_distance().to_numpy()
    order = sorted(
        (i for i, row in enumerate(rows) if not row["reason"]),
        key=lambda i: (
            rows[i]["region"],
            rows[i]["anchor_time"],
            matches[i].anchor_id,
            int(curve[i]),
            rows[i]["sample_id"],
        ),
    )
    task, position, region = -1, 64, None
    for i in order:
        if position == 64 or rows[i]["region"] != region:
            task, position, region = task + 1, 0, rows[i]["region"]
        rows[i]["task"], rows[i]["position"] = task, position
        position += 1
    rows.sort(key=lambda row: (row["task"], row["position"], row["sample_id"]))
    return pa.Table.from_pylist(rows, schema=PLAN_SCHEMA)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 12),
            st.integers(0, 6),
            st.integers(0, 4),
            st.sampled_from(["landsat-8", "landsat-9", ""]),
            st.sampled_from([None, None, None, "no scene in window"]),
        ),
        min_size=2,
        max_size=300,
        unique_by=lambda t: t[:4],
    )
)
def test_the_table_is_that_of_a_plain_loop_over_rows(drawn):
    matches = [match(*one) for one in drawn]
    cells = {one.cell for one in matches}
    region_of = {c: "left" if c.center[0] < 503_000 else "right" for c in cells}
    split_of = {c.id: ("train", "buffer", "test")[int(c.south) % 3] for c in cells}
    found = plan_samples(matches, region_of, split_of)
    if len(cells) > 1:
        assert found.equals(slow_samples(matches, region_of, split_of))


def test_ids_are_the_cell_the_second_and_the_platform():
    assert sample_id(match(0, 0, 0, "landsat-8", None)) == (
        "31N_501375_5629065_20180615T123005Z_landsat-8"
    )
    assert sample_id(match(0, 0, 0, "", None)).endswith("T123005Z")


@pytest.mark.parametrize(("cells_each", "shared"), [(70, True), (60, False), (640, False)])
def test_many_small_regions_share_tasks_so_that_slots_are_filled(cells_each, shared):
    matches = [
        match(column, row, 0, "landsat-8", None)
        for column in range(30)
        for row in range(cells_each)
    ]
    region_of = {one.cell: f"r{int(one.cell.west)}" for one in matches}
    split_of = {one.cell.id: "train" for one in matches}
    table = plan_samples(matches, region_of, split_of)
    n_tasks = pc.max(table["task"]).as_py() + 1
    fill = len(matches) / (64 * n_tasks)
    regions_of = Counter()
    for task, region in {(r["task"], r["region"]) for r in table.to_pylist()}:
        regions_of[task] += bool(region)
    assert fill >= 0.8
    assert (max(regions_of.values()) > 1) == shared
    if shared:
        assert n_tasks == ceil(len(matches) / 64)


def test_no_match_makes_an_empty_table():
    assert plan_samples([], {}, {}).schema == PLAN_SCHEMA
