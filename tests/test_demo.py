"""The whole path in small: sandbox, store, a few steps of training, map, report."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest
import rasterio
from rich.console import Console

from catalog.errors import RecipeError
from pipeline.demo import archive_input, sandbox_input
from pipeline.plan import make_plan
from pipeline.recipe import load_recipe
from pipeline.run import build_store
from pipeline.sandbox.schedule import TINY
from pipeline.scene_store import build_scene_store, parse_box
from stores.patch_store import PatchStore
from stores.report.dataset import write_report
from training.config import TrainConfig
from training.demo import run_demo

METHODS = {"model", "model_sample", "model_ensemble", "bicubic", "adjusted_bicubic"}
METRICS = {"psnr_rgb", "ssim_rgb", "sam_deg", "ndvi_mse", "spectrum_ratio"}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    given = sandbox_input(out, config=TINY, size_px=48)
    recipe = load_recipe(given.recipe)
    summary = build_store(
        recipe, out / "store", lambda: make_plan(recipe, datetime.now(UTC)), connect=None
    )
    config = TrainConfig(steps=4, batch_size=2, crop_px=48, channels=(8, 8))
    quiet = Console(quiet=True)
    result = run_demo(summary.store, out, config=config, notes=given.notes, console=quiet)
    return out, summary, result


def test_the_scores_name_every_method_and_metric_of_the_test_split(demo):
    _, _, result = demo
    scores = json.loads(result.scores.read_text())
    assert scores["split"] == "test"
    assert scores.keys() >= METHODS
    assert all(scores[method].keys() >= METRICS for method in METHODS)
    assert scores["samples"] == len(
        PatchStore.open(result.evaluation.store).select(split="test")
    )


def test_no_cell_is_in_two_splits(demo):
    _, summary, _ = demo
    kept = PatchStore.open(summary.store).select()
    cells = {split: set(rows["cell_id"]) for split, rows in kept.groupby("split")}
    assert {"train", "val", "test"} <= cells.keys()
    assert not cells["train"] & cells["test"]
    assert not cells["train"] & cells["val"]
    assert not cells["val"] & cells["test"]


def test_the_store_holds_the_truth_at_the_anchor_time(demo):
    _, summary, _ = demo
    kept = PatchStore.open(summary.store).select()
    assert (kept["truth_dt_hours"].abs() < 0.02).all()
    assert kept["dem_dt_hours"].isna().all()


def test_the_map_lies_where_the_cells_lie(demo):
    _, summary, result = demo
    index = PatchStore.open(summary.store).index
    with rasterio.open(result.map) as sharpened:
        assert sharpened.crs.to_epsg() == 32631
        assert sharpened.res == (10, 10)
        assert sharpened.descriptions == ("blue", "green", "red", "nir", "swir1", "swir2")
        assert index["west"].min() <= sharpened.bounds.left
        assert sharpened.bounds.right <= index["east"].max()
        assert np.isnan(sharpened.nodata)
    assert json.loads(result.map.with_suffix(".json").read_text())["type"] == "Feature"


def test_the_report_is_one_page_that_says_what_is_simulated(demo):
    _, _, result = demo
    page = result.report.read_text()
    assert "simulated" in page
    assert "<script src" not in page
    assert result.showcase.stat().st_size > 1000


def test_the_same_demo_again_renders_and_builds_nothing(demo):
    out, summary, _ = demo
    rendered = []
    given = sandbox_input(
        out, config=TINY, size_px=48, on_scene=lambda done, _all: rendered.append(done)
    )
    again = build_store(load_recipe(given.recipe), out / "store", pytest.fail, connect=None)
    assert not rendered
    assert again.already_built
    assert again.snapshot == summary.snapshot


def test_an_archive_of_other_places_is_refused(demo, tmp_path):
    out, _, _ = demo
    with pytest.raises(RecipeError, match="31UDS"):
        archive_input(tmp_path, str(out / "archive"))


def test_a_scene_becomes_a_store_on_its_own_pixels(demo, tmp_path):
    out, _, _ = demo
    items = json.loads((out / "archive" / "items.json").read_text())["features"]
    item = next(i for i in items if i["collection"] == "landsat-c2-l2")
    path = out / "archive" / "item.json"
    path.write_text(json.dumps(item))
    uri = build_scene_store(
        str(path), str(tmp_path / "scene"), layer="landsat", bands=("red", "nir")
    )
    store = PatchStore.open(uri)
    assert set(store.index["landsat_resampling"]) == {"none"}
    with rasterio.open(path.parent / item["assets"]["red"]["href"]) as source:
        raw, transform = source.read(1), source.transform
    for row in store.index.itertuples():
        patch = store.read("landsat", [row.slot]).raw[0, 0]
        col, top = ~transform @ (row.west, row.north)
        y, x = np.mgrid[0:64, 0:64]
        inside = (
            (y + top >= 0)
            & (y + top < raw.shape[0])
            & (x + col >= 0)
            & (x + col < raw.shape[1])
        )
        expected = raw[(y + round(top))[inside], (x + round(col))[inside]]
        np.testing.assert_array_equal(patch[inside], expected)
        assert not patch[~inside].any()


@pytest.mark.parametrize("text", ["3,4,5", "a,b,c,d", "5,50,3,51"])
def test_a_box_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="west,south,east,north"):
        parse_box(text)


def test_both_reports_say_at_the_top_that_the_data_are_simulated(demo):
    out, summary, result = demo
    write_report(summary.store, out / "store.html")
    for page in (result.report, out / "store.html"):
        head = page.read_text().split("</header>")[0]
        assert "Simulated data" in head


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(RecipeError, match=r"thesis\.tex"):
        sandbox_input(tmp_path, config=TINY)
