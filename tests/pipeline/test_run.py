"""Whole builds: distributed, interrupted, resumed, refused; what reaches the store."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import deque
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path

import pytest

from catalog.errors import QueryError, StoreError
from pipeline.cluster import deal_lanes, next_of, open_client, run_tasks
from pipeline.plan import claimed_tasks, make_plan
from pipeline.recipe import load_recipe, parse_recipe
from pipeline.run import build_store, load_scenes
from pipeline.saved_plan import load_plan, save_plan
from stores.claim import read_claim
from stores.objects import open_root
from stores.patch_store import PatchStore
from tests.tiny_archive import (
    ANCHOR_TIME,
    COLUMNS,
    NORTH,
    ROWS,
    WEST,
    cell,
    store_bytes,
    write_recipe,
)

ROOT = Path(__file__).parents[2]
BUILD = """
import sys
from pathlib import Path
from pipeline.run import build_store
from pipeline.saved_plan import load_plan

recipe, plan = load_plan(Path(sys.argv[1]))
build_store(recipe, sys.argv[2], lambda: plan, connect=None)
"""


def _never():
    raise AssertionError("an unfinished or finished build is never planned again")


def test_the_loop_keeps_or_rejects_every_sample_of_the_plan(campaign, reference):
    summary = reference.summary
    assert summary.kept + sum(summary.rejected.values()) == len(campaign.plan.samples)
    assert summary.rejected == {
        "cloud": 1 + 4,
        "no scene in window": ROWS * COLUMNS + ROWS,
        "partial coverage": ROWS,
    }
    assert (summary.tasks, summary.tasks_done) == (campaign.plan.n_tasks, campaign.plan.n_tasks)
    index = PatchStore.open(reference.folder).index
    assert sorted(index["sample_id"]) == sorted(campaign.plan.samples["sample_id"].to_pylist())
    assert index["slot"][index["status"] == "kept"].is_unique


def test_what_is_stored_equals_a_direct_read_of_every_sample(campaign, reference):
    store = PatchStore.open(reference.folder)
    rows = store.select()
    for layer, gsd in (("landsat", 30), ("sentinel2", 10)):
        stored = store.read(layer, rows["slot"].tolist()).raw
        for row, raw in zip(rows.to_dict("records"), stored, strict=True):
            scenes = row[f"{layer}_scenes"].split(";")
            if len(scenes) > 1:
                continue
            place = cell(round((row["west"] - WEST) / 120), round((NORTH - row["north"]) / 120))
            shift = 1000 if scenes[0] in ("S1", "S2") else 0
            truth = campaign.archive.read(scenes[0], "nir", place, gsd) + shift
            assert (raw[1] == truth).all(), row["sample_id"]


def test_a_saved_plan_on_a_cluster_equals_a_plain_loop_byte_for_byte(
    campaign, reference, client, tmp_path
):
    save_plan(campaign.plan, campaign.recipe, tmp_path / "plan")
    recipe, plan = load_plan(tmp_path / "plan")
    folder, reports = tmp_path / "store", []
    summary = build_store(
        recipe,
        folder,
        lambda: plan,
        connect=lambda: nullcontext(client),
        on_report=reports.append,
    )
    assert store_bytes(folder) == store_bytes(reference.folder)
    assert {r.task for r in reports} == set(range(plan.n_tasks))
    assert summary.kept == reference.summary.kept == sum(r.kept for r in reports)


def test_the_same_recipe_again_writes_nothing(campaign, reference):
    def files():
        return {p: p.stat().st_mtime_ns for p in reference.folder.rglob("*") if p.is_file()}

    before = files()
    again = build_store(campaign.recipe, reference.folder, _never)
    assert (again.already_built, again.snapshot) == (True, 1)
    assert "nothing to do" in again.describe()
    assert files() == before


def _wait_for_parts(process, folder, count):
    """Return once `count` tasks are done, so that a signal comes in the midst of a build."""
    while len(list(folder.glob("parts/*/*.parquet"))) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)


def test_a_build_killed_and_finished_equals_an_uninterrupted_one(campaign, reference, tmp_path):
    save_plan(campaign.plan, campaign.recipe, tmp_path / "plan")
    folder = tmp_path / "store"
    command = [sys.executable, "-c", BUILD, str(tmp_path / "plan"), str(folder)]
    with subprocess.Popen(command, cwd=ROOT) as process:
        _wait_for_parts(process, folder, 1)
        process.send_signal(signal.SIGKILL)
    assert not list(folder.glob("snapshots/*"))
    finished = build_store(campaign.recipe, folder, _never, connect=None)
    assert finished.resumed
    assert finished.tasks_done < campaign.plan.n_tasks
    assert store_bytes(folder) == store_bytes(reference.folder)


def test_ctrl_c_ends_with_one_line_and_the_same_command_goes_on(campaign, reference, tmp_path):
    save_plan(campaign.plan, campaign.recipe, tmp_path / "plan")
    folder = tmp_path / "store"
    command = [sys.executable, "-m", "geoloupe", "build", str(tmp_path / "plan")]
    with subprocess.Popen(
        [*command, "--store", str(folder)],
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        _wait_for_parts(process, folder, 1)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode == 130
    last = said.strip().splitlines()[-1]
    assert last == "interrupted; nothing built is lost: run the same command to go on"
    assert "Traceback" not in said
    assert not list(folder.glob("snapshots/*"))
    build_store(campaign.recipe, folder, _never, connect=None)
    assert store_bytes(folder) == store_bytes(reference.folder)


@pytest.fixture
def remote(archive, serve_files):
    """Two tasks, each with a Sentinel-2 scene of its own, read over HTTP."""
    archive.add("landsat-c2-l2", "L", ANCHOR_TIME, size=(2, 4))
    for column, name in ((0, "left"), (2, "right")):
        time_ = ANCHOR_TIME + timedelta(hours=column)
        archive.add("sentinel-2-l2a", name, time_, size=(2, 2), corner=(0, column))
    recipe = load_recipe(write_recipe(archive, 2, 4))
    plan = make_plan(recipe, datetime(2021, 1, 1, tzinfo=UTC))
    server = serve_files(archive.folder)

    def over_http(scene):
        assets = {
            key: dataclasses.replace(asset, href=server.href(Path(asset.href).name))
            for key, asset in scene.assets.items()
        }
        return dataclasses.replace(scene, assets=assets)

    scenes = {n: tuple(map(over_http, listed)) for n, listed in plan.scenes.items()}
    return recipe, dataclasses.replace(plan, scenes=scenes), server


def test_a_server_that_fails_leaves_its_task_for_the_next_run(remote, tmp_path):
    recipe, plan, server = remote
    assert plan.n_tasks == 2
    server.faults.answer("/left_nir.tif", 503, times=1)
    server.faults.answer("/right_nir.tif", 403)  # a token that has expired
    first = build_store(recipe, tmp_path / "a", lambda: plan, connect=None)
    assert (first.tasks_done, list(first.undone), first.snapshot) == (1, [1], None)
    assert "right_nir.tif" in first.undone[1]
    assert first.failed_share == inf
    assert "1 of 2 tasks are left" in first.describe()
    assert not list((tmp_path / "a").glob("snapshots/*"))
    assert len(list((tmp_path / "a").glob("parts/*/*"))) == 1

    server.faults.clear()
    second = build_store(recipe, tmp_path / "a", _never, connect=None)
    assert (second.resumed, second.tasks_done, second.snapshot) == (True, 1, 1)
    build_store(recipe, tmp_path / "b", lambda: plan, connect=None)
    assert store_bytes(tmp_path / "a") == store_bytes(tmp_path / "b")
    kept = [
        json.loads(p.read_text())["undone"] for p in sorted((tmp_path / "a/runs").iterdir())
    ]
    assert kept == [{"1": first.undone[1]}, {}]


def test_a_file_that_is_gone_is_a_row_of_the_index_and_a_failed_share(remote, tmp_path):
    recipe, plan, server = remote
    (server.root / "right_nir.tif").unlink()
    summary = build_store(recipe, tmp_path / "s", lambda: plan, connect=None)
    assert (summary.kept, summary.rejected) == (4, {"unreadable source": 4})
    assert summary.failed_share == 0.5
    assert "right_nir.tif" in summary.describe()
    index = PatchStore.open(tmp_path / "s").index
    assert set(index["reason"][index["region"] == "right"]) == {"unreadable source"}


@pytest.mark.parametrize(
    ("old", "new"),
    [("window_days = 5", "window_days = 4"), ('bands = ["red", "nir"]', 'bands = ["nir"]')],
)
def test_another_recipe_is_refused_and_nothing_is_lost(campaign, reference, old, new):
    other = parse_recipe(campaign.recipe.text.replace(old, new), campaign.path)
    before = store_bytes(reference.folder)
    with pytest.raises(StoreError, match=re.escape(str(reference.folder))):
        build_store(other, reference.folder, _never)
    assert store_bytes(reference.folder) == before


def test_a_folder_that_holds_something_else_is_refused(campaign, tmp_path):
    (tmp_path / "thesis.txt").write_text("chapter 1")
    with pytest.raises(StoreError, match=re.escape("thesis.txt")):
        build_store(campaign.recipe, tmp_path, _never)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_scheduler_that_does_not_answer_is_named(closed_port):
    address = f"tcp://127.0.0.1:{closed_port}"
    for asked in (address, "nonsense"):
        with pytest.raises(QueryError, match=asked), open_client(asked, timeout_s=0.2):
            pass


def _gone():
    raise QueryError("the cluster is gone")


def test_a_mistake_in_the_program_stops_a_run_and_is_no_reject(campaign, client, tmp_path):
    with pytest.raises(QueryError, match="gone"):
        build_store(campaign.recipe, tmp_path / "s", lambda: campaign.plan, connect=_gone)
    root = open_root(tmp_path / "s")
    claim = read_claim(root, 1)
    tasks = claimed_tasks(claim, load_scenes(root, claim.meta["scenes"]))
    assert [task.shard for task in tasks] == list(range(claim.n_tasks))
    with pytest.raises(TypeError, match="takes exactly one argument"):
        run_tasks(tasks[:1], root.uri, 1, client, work=len)


def test_each_worker_gets_a_stretch_of_neighbours_and_then_helps_the_slowest():
    lanes = deal_lanes(list(range(7)), 3)
    assert [list(lane) for lane in lanes] == [[0, 1, 2], [3, 4], [5, 6]]
    assert [next_of(lanes, 1) for _ in range(4)] == [3, 4, 2, 1]
    assert [next_of(lanes, 0) for _ in range(4)] == [0, 6, 5, None]
    assert deal_lanes([], 2) == [deque(), deque()]
