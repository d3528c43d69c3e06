"""Plans: which samples, of which scenes, in which tasks, at what expected cost."""

import dataclasses
import json
from collections import Counter
from itertools import pairwise
from math import ceil

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from rich.console import Console

from catalog.errors import RecipeError
from pipeline.estimate import estimate_plan
from pipeline.plan_text import describe_plan, plan_facts
from pipeline.recipe import load_recipe
from pipeline.run import build_store, check_limits
from pipeline.saved_plan import load_plan, load_recipe_or_plan, save_plan
from tests.tiny_archive import COLUMNS, ROWS, write_recipe

N_CELLS = ROWS * COLUMNS


def _to_build(plan):
    return plan.samples.filter(pc.greater_equal(plan.samples["task"], 0))


def test_a_plan_has_one_row_per_cell_and_pass_and_a_reason_for_each_reject(campaign):
    plan = campaign.plan
    assert plan.cells == N_CELLS
    assert len(plan.samples) == 3 * N_CELLS
    assert plan.rejects == Counter(
        {"no scene in window": N_CELLS + ROWS, "partial coverage": ROWS}
    )
    rejected = plan.samples.filter(pc.less(plan.samples["task"], 0)).to_pylist()
    assert all(row["detail"].startswith("sentinel2: ") for row in rejected)
    assert "nearest is S3, 7.0 days away" in {r["detail"].split(": ")[1] for r in rejected}
    assert pc.count_distinct(plan.samples["sample_id"]).as_py() == len(plan.samples)


def test_tasks_are_as_few_as_promised_and_hold_one_region_each(campaign):
    rows = _to_build(campaign.plan).to_pylist()
    assert len(rows) == 2 * N_CELLS - 2 * ROWS
    assert campaign.plan.n_tasks <= ceil(len(rows) / 64) + 2
    places = [(row["task"], row["position"]) for row in rows]
    assert len(set(places)) == len(places)
    assert max(position for _, position in places) < 64
    region_of = {}
    for row in rows:
        assert region_of.setdefault(row["task"], row["region"]) == row["region"]


def test_tasks_follow_time_then_a_curve_through_space(campaign):
    rows = _to_build(campaign.plan).to_pylist()
    times = [row["anchor_time"] for row in rows if row["region"] == "left"]
    assert times == sorted(times)
    first = [row for row in rows if row["region"] == "left"][: N_CELLS // 2]
    steps = [
        max(abs(a["west"] - b["west"]), abs(a["north"] - b["north"])) / 120
        for a, b in pairwise(first)
    ]
    assert np.median(steps) == 1


def test_a_pass_of_two_rows_is_one_candidate_where_they_overlap(campaign):
    candidates = [
        json.loads(text) for text in _to_build(campaign.plan)["candidates"].to_pylist()
    ]
    passes = Counter(tuple(c["landsat"][0]) for c in candidates)
    assert passes == {
        ("L1-upper",): 3 * COLUMNS,
        ("L1-upper", "L1-lower"): 2 * COLUMNS,
        ("L1-lower",): 3 * COLUMNS,
        ("L2",): ROWS * (COLUMNS - 2),
    }


def test_scenes_of_a_plan_are_exactly_those_that_candidates_name(campaign):
    named = {"landsat": set(), "sentinel2": set()}
    for text in _to_build(campaign.plan)["candidates"].to_pylist():
        for layer, passes in json.loads(text).items():
            named[layer].update(one for ids in passes for one in ids)
    assert {n: {s.id for s in listed} for n, listed in campaign.plan.scenes.items()} == named
    assert named["landsat"] == {"L1-upper", "L1-lower", "L2"}


def test_a_saved_plan_is_read_back_whole(campaign, tmp_path):
    save_plan(campaign.plan, campaign.recipe, tmp_path / "plan")
    recipe, plan = load_recipe_or_plan(tmp_path / "plan")
    assert recipe.hash == campaign.recipe.hash
    assert plan.samples.equals(campaign.plan.samples)
    assert plan.layers == campaign.plan.layers
    for layer, scenes in campaign.plan.scenes.items():
        assert [s.id for s in plan.scenes[layer]] == [s.id for s in scenes]


def test_a_saved_plan_says_the_same_as_the_one_just_made(campaign, tmp_path):
    save_plan(campaign.plan, campaign.recipe, tmp_path)
    _, plan = load_plan(tmp_path)
    facts = plan_facts(campaign.plan, estimate_plan(campaign.plan))
    again = plan_facts(plan, estimate_plan(plan))
    of_the_search = {"listed", "too_cloudy", "outside", "refused_items", "search_requests"}
    assert {k: v for k, v in facts.items() if k not in of_the_search} == {
        k: v for k, v in again.items() if k not in of_the_search
    }
    assert facts["listed"] == {"landsat": 4, "sentinel2": 3}
    console = Console(width=120, record=True, quiet=True)
    for shown in (campaign.plan, plan):
        console.print(describe_plan(shown, campaign.recipe, estimate_plan(shown)))


def test_a_folder_that_is_no_whole_plan_is_refused(campaign, tmp_path):
    with pytest.raises(RecipeError, match="not a saved plan"):
        load_plan(tmp_path)
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(RecipeError, match="holds something else"):
        save_plan(campaign.plan, campaign.recipe, tmp_path)


def test_a_plan_whose_area_has_changed_since_is_refused(campaign, archive, tmp_path):
    save_plan(campaign.plan, campaign.recipe, tmp_path / "plan")
    facts = json.loads((tmp_path / "plan" / "plan.json").read_text())
    archive.save()
    facts["recipe_path"] = str(write_recipe(archive, 2, 2))
    facts["meta"]["recipe_text"] = (archive.folder / "recipe.toml").read_text()
    (tmp_path / "plan" / "plan.json").write_text(json.dumps(facts))
    with pytest.raises(RecipeError, match="plan again"):
        load_plan(tmp_path / "plan")


def test_the_estimate_counts_patches_and_blocks(campaign):
    estimate = estimate_plan(campaign.plan)
    patch_bytes = 2 * 2 * 4**2 + 4**2 + 2 * 2 * 12**2 + 12**2
    assert estimate.disk_bytes == len(_to_build(campaign.plan)) * patch_bytes
    first = campaign.plan.samples.filter(pc.equal(campaign.plan.samples["task"], 0))
    alone = estimate_plan(dataclasses.replace(campaign.plan, samples=first))
    scene_bytes = N_CELLS * (36 * 4 * 2 + 144 * 2 * 2 + 36)
    glances = 3 * (96 * 120 * 2 + 48 * 60)  # whole Sentinel-2 scenes: a witness, the classes
    assert 0.7 * scene_bytes < alone.read_bytes < 2.5 * scene_bytes + glances
    assert alone.requests < estimate.requests


def test_the_estimate_of_many_tasks_is_that_of_a_few_times_their_number(campaign):
    plan, times = campaign.plan, 40
    rows = _to_build(plan)
    column = rows.schema.get_field_index("task")
    tasks = [pc.add(rows["task"], pa.scalar(i * plan.n_tasks, "int32")) for i in range(times)]
    copies = [rows.set_column(column, "task", task) for task in tasks]
    many = estimate_plan(dataclasses.replace(plan, samples=pa.concat_tables(copies)))
    one = estimate_plan(plan)
    assert many.disk_bytes == times * one.disk_bytes
    assert many.read_bytes == pytest.approx(times * one.read_bytes, rel=0.3)
    assert many.requests == pytest.approx(times * one.requests, rel=0.3)


def test_a_plan_above_the_limits_is_refused_before_any_work(campaign, tmp_path):
    for key in ("max_bytes", "max_requests"):
        text = campaign.path.read_text() + f"\n[limits]\n{key} = 10\n"
        path = campaign.path.with_name(f"{key}.toml")
        path.write_text(text)
        recipe = load_recipe(path)
        with pytest.raises(RecipeError, match=rf"limits\.{key}: the plan expects [\d,]+ "):
            build_store(recipe, tmp_path / key, lambda: campaign.plan, connect=None)
        assert not (tmp_path / key).exists()


def test_a_plan_that_does_not_fit_the_disk_is_refused(campaign, tmp_path):
    huge = dataclasses.replace(estimate_plan(campaign.plan), disk_bytes=1e18)
    with pytest.raises(RecipeError, match=r"may need 1000000000\.00 GB and .* GB free"):
        check_limits(campaign.recipe, huge, tmp_path)


def test_an_area_without_a_usable_pair_makes_a_plan_without_tasks(campaign, tmp_path):
    reasons = campaign.plan.samples["reason"]
    only_rejects = dataclasses.replace(
        campaign.plan,
        samples=campaign.plan.samples.filter(pc.not_equal(reasons, "")),
        scenes={"landsat": (), "sentinel2": ()},
    )
    assert only_rejects.n_tasks == 0
    assert estimate_plan(only_rejects).requests == 0
    summary = build_store(campaign.recipe, tmp_path / "s", lambda: only_rejects, connect=None)
    assert (summary.kept, sum(summary.rejected.values())) == (0, N_CELLS + 2 * ROWS)


def test_a_scene_in_degrees_is_expected_to_cost_what_it_would_in_metres(campaign):
    plan, degree = campaign.plan, 10 / 111_320

    def in_degrees(scene):
        west, _, _, north = scene.footprint.bounds
        assets = {
            key: dataclasses.replace(asset, transform=(degree, 0, west, 0, -degree, north))
            for key, asset in scene.assets.items()
        }
        return dataclasses.replace(scene, epsg=4326, assets=assets)

    scenes = {**plan.scenes, "sentinel2": tuple(map(in_degrees, plan.scenes["sentinel2"]))}
    turned = estimate_plan(dataclasses.replace(plan, scenes=scenes))
    expected = estimate_plan(plan)
    assert expected.requests / 2 < turned.requests < expected.requests * 2
    assert expected.read_bytes / 3 < turned.read_bytes < expected.read_bytes * 3
