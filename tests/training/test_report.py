import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from catalog.errors import StoreError
from stores.patch_store import PatchStore
from training.checkpoint import load_card
from training.comparison import VISIBLE, busiest_windows, center, choose_look, example_row, rmse
from training.evaluate import Evaluation, Example, evaluate
from training.map_pair import read_map_pair
from training.noise import Draws
from training.predict import predict
from training.report import examples_section, scores_section, write_demo_report
from training.score_table import best_methods, headline, score_table, verdict
from training.showcase import GAP_PX, PANEL_PX, write_showcase
from training.spectrum import spectrum_chart

BANDS = ("blue", "green", "red", "nir")
HOSTILE = "<script>alert(1)</script>"


class _Page(HTMLParser):
    def __init__(self, written):
        super().__init__()
        self.tags, self.text, self.loaded, self.best = [], [], [], []
        self._is_best = False
        self.feed(str(written))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loaded += [v for k, v in attrs if k in ("src", "href")]
        self._is_best = ("class", "n best") in attrs

    def handle_data(self, data):
        self.text.append(data)
        if self._is_best:
            self.best.append(data)


def _example(seed=0, coarse=8, **changes) -> Example:
    rng = np.random.default_rng(seed)
    target = rng.uniform(0.02, 0.4, (4, 3 * coarse, 3 * coarse)).astype(np.float32)
    images = {
        "sample_id": f"cell_{seed}",
        "anchor_time": datetime(2018, 8, 2, 10, 33, tzinfo=UTC),
        "bands": BANDS,
        "condition": target.reshape(4, coarse, 3, coarse, 3).mean(axis=(2, 4)),
        "bicubic": target + np.float32(0.03),
        "adjusted": target + np.float32(0.02),
        "model": target + np.float32(0.01),
        "model_sample": target - np.float32(0.02),
        "target": target,
        "valid": np.ones(target.shape[1:], bool),
    }
    return Example(**{**images, **changes})


def _scores(psnr, ssim, sam, ndvi, spectrum) -> dict:
    keys = ("psnr_rgb", "ssim_rgb", "sam_deg", "ndvi_mse", "spectrum_ratio")
    return dict(zip(keys, (psnr, ssim, sam, ndvi, spectrum), strict=True))


SCORES = {
    "model": _scores(33.0, 0.9, 2.0, 0.005, 0.5),
    "model_sample": _scores(30.0, 0.8, 3.0, 0.01, 1.1),
    "model_ensemble": _scores(32.9, 0.9, 2.1, 0.006, 0.55),
    "bicubic": _scores(30.0, 0.8, 3.5, 0.012, 0.3),
    "adjusted_bicubic": _scores(31.0, 0.85, 2.9, 0.011, 0.3),
}


def _evaluation(examples=(), scores=SCORES) -> Evaluation:
    return Evaluation(
        run="runs/none",
        store="store",
        snapshot=1,
        split="test",
        scores={"train": SCORES, "test": scores},
        samples={"train": 90, "test": 40},
        draws=Draws(),
        notes=("a note",),
        examples=tuple(examples),
    )


@pytest.fixture(name="made", scope="module")
def made_fixture(store_of, train_tiny, silent, tmp_path_factory):
    """Store, run, map and evaluation of a tiny training, and the report of them."""
    folder = tmp_path_factory.mktemp("report")
    uri = store_of(rows=1, size_px=24, dates=1, cloudy=True)
    _, run = train_tiny(uri)
    tif = predict(run, uri, folder / "map.tif", console=silent)
    evaluation = evaluate(run, uri, draws=Draws(steps=1, members=1), console=silent)
    page = write_demo_report(
        folder / "out" / "report.html",
        evaluation=evaluation,
        map_tif=tif,
        store_uri=uri,
        notes=[f"made for a test {HOSTILE}"],
        timings={"train": 1.5, "predict": 2.0},
    )
    return uri, run, tif, evaluation, page


def test_the_report_of_a_run_loads_nothing_from_outside(made):
    page = _Page(made[-1].read_text(encoding="utf-8"))
    assert all(v.startswith(("#", "data:image/png;base64,")) for v in page.loaded)
    assert not set(page.tags) & {"script", "link", "iframe", "object", "embed"}


def test_the_report_of_a_run_holds_its_scores_notes_and_times(made):
    _, _, _, evaluation, page = made
    text = " ".join(_Page(page.read_text(encoding="utf-8")).text)
    for scores in evaluation.scores["test"].values():
        assert f"{scores['psnr_rgb']:.2f}" in text
    for note in (f"made for a test {HOSTILE}", *evaluation.notes):
        assert note in text
    assert "3.5 s" in text
    assert "one-step posterior mean" in text


def test_the_map_lies_over_what_the_model_saw(made):
    uri, run, tif, _, _ = made
    store = PatchStore.open(uri)
    pair = read_map_pair(tif, store, load_card(run).spec.inputs)
    assert pair.sharpened.shape == (4, 24, 6 * 24)
    assert (pair.cells, pair.train_cells) == (6, 4)
    west = store.index["west"].min()
    for row in store.index.itertuples():
        seen = store.sample(row.sample_id)["landsat"]
        left = round((row.west - west) / 30)
        expected = seen["pixels"].where(seen["valid"]).to_numpy()
        assert np.array_equal(pair.condition[:, :, left : left + 8], expected, equal_nan=True)
    missing = np.isnan(pair.condition).repeat(3, axis=1).repeat(3, axis=2)
    assert np.array_equal(missing, np.isnan(pair.sharpened))


def test_a_map_of_another_store_is_refused(made, store_of):
    _, run, tif, _, _ = made
    other = PatchStore.open(store_of(rows=2, size_px=24, dates=1))
    with pytest.raises(StoreError, match="give the store it was made from"):
        read_map_pair(tif, other, load_card(run).spec.inputs)


def test_the_best_of_each_column_is_bold():
    assert _Page(score_table(SCORES)).best == [
        "33.00",
        "0.9000",
        "2.000",
        "0.00500",
        "1.100",
        "0.9000",
    ]


def test_what_is_written_alike_is_equally_good():
    scores = {m: dict(values) for m, values in SCORES.items()}
    scores["model_ensemble"]["psnr_rgb"] = 33.0004
    assert best_methods(scores, "psnr_rgb") == {"model", "model_ensemble"}


def test_the_spectrum_ratio_nearest_to_one_is_best_on_either_side():
    assert best_methods(SCORES, "spectrum_ratio") == {"model_sample"}
    scores = {**SCORES, "model": {**SCORES["model"], "spectrum_ratio": 0.95}}
    assert best_methods(scores, "spectrum_ratio") == {"model"}


def test_a_missing_score_is_a_dash_and_never_the_best():
    scores = {m: {**values, "ndvi_mse": None} for m, values in SCORES.items()}
    assert best_methods(scores, "ndvi_mse") == set()
    assert _Page(score_table(scores)).text.count("–") == len(scores)
    assert headline(scores)[3][0] == "–"


def test_the_verdict_says_where_the_model_wins_and_where_it_does_not():
    assert verdict(SCORES).endswith("PSNR, SSIM, SAM, NDVI MSE and power-spectrum ratio.")
    worse = {**SCORES, "model": _scores(30.5, 0.9, 2.0, 0.02, 0.5)}
    said = verdict(worse)
    assert "on SSIM, SAM and power-spectrum ratio; it does not on PSNR and NDVI MSE." in said
    assert "on none of" in verdict({**SCORES, "model": _scores(1.0, 0.1, 9.0, 1.0, 0.0)})


def test_equal_to_a_bicubic_is_no_win():
    scores = {**SCORES, "model": SCORES["adjusted_bicubic"]}
    assert "on none of" in verdict(scores)


def test_scores_come_with_their_notes_and_the_other_splits():
    page = _Page(scores_section(_evaluation(), [f"leaks {HOSTILE}"]))
    assert "script" not in page.tags
    assert f"leaks {HOSTILE}" in page.text
    assert "train split, 90 samples" in page.text


def test_rmse_is_over_valid_pixels_of_the_shown_bands():
    example = _example()
    look = choose_look(VISIBLE, BANDS, [example.target])
    target = example.target.copy()
    assert rmse(example.model, target, BANDS, look) == pytest.approx(0.01, rel=1e-3)
    target[:, 0, :] = np.nan
    wrong = example.model.copy()
    wrong[:, 0, :] = 9.0
    wrong[3] = 9.0
    assert rmse(wrong, target, BANDS, look) == pytest.approx(0.01, rel=1e-3)


def test_an_example_states_the_error_of_each_estimate():
    example = _example(sample_id=HOSTILE)
    look = choose_look(VISIBLE, BANDS, [example.target])
    page = _Page(example_row(example, look, 0.05))
    errors = [float(t.split()[1]) for t in page.text if t.startswith("RMSE")]
    assert errors == [0.03, 0.02, 0.01, 0.02]
    assert page.tags.count("img") == 7
    assert "script" not in page.tags
    assert all(v.startswith("data:image/png;base64,") for v in page.loaded)


def test_only_some_examples_are_shown_and_the_page_says_how_many():
    page = _Page(examples_section(_evaluation([_example(i) for i in range(9)])))
    assert "6 of 40 samples; the middle 24 × 24 pixels of each." in page.text
    assert page.tags.count("img") == 6 * 2 * 7


def test_the_center_shows_the_same_ground_in_every_image():
    example = _example(coarse=11)
    small = center(example, 15)
    assert small.condition.shape == (4, 5, 5)
    assert small.target.shape == small.model.shape == (4, 15, 15)
    assert small.valid.shape == (15, 15)
    blocks = small.target.reshape(4, 5, 3, 5, 3).mean(axis=(2, 4))
    assert np.allclose(blocks, small.condition, atol=1e-6)


def test_one_look_fits_all_images_and_falls_back_to_one_band():
    dark, bright = np.full((4, 2, 2), 0.1), np.full((4, 2, 2), 0.3)
    look = choose_look(VISIBLE, BANDS, [dark, bright])
    assert look.stretch.low == (0.1,) * 3
    assert look.stretch.high == (0.3,) * 3
    assert (look.draw(bright, BANDS)[..., :3] == 255).all()
    gray = choose_look(VISIBLE, ("thermal",), [dark[:1]])
    assert gray.bands == ("thermal",)
    assert gray.draw(dark[:1], ("thermal",)).shape == (2, 2, 4)


def test_windows_are_the_busiest_of_the_input_without_missing_pixels():
    coarse = np.zeros((20, 30))
    coarse[10:20:2, 10:20] = 1.0
    coarse[0:10:2, 20:30] = 0.5
    coarse[0, 0] = np.nan
    assert busiest_windows(coarse, 10, 2) == [(10, 10), (0, 20)]
    assert (0, 0) not in busiest_windows(coarse, 10, 9)
    assert busiest_windows(coarse, 40, 3) == []


def test_the_spectrum_marks_what_the_input_can_hold():
    drawn = str(spectrum_chart([_example(i) for i in range(2)], gsd_m=10))
    assert drawn.count("<path") == 5
    assert "mean over bands and 2 examples" in drawn
    mark = float(re.search(r'<line class="axis" x1="([\d.]+)" x2="\1" y1="8"', drawn).group(1))
    assert mark == pytest.approx(44 + (560 - 44 - 8) / 3, abs=0.01)


def test_the_showcase_is_three_panels_of_one_place(tmp_path):
    plain, busy = _example(0), _example(1)
    plain = center(plain, 3)
    png = write_showcase(tmp_path / "docs" / "show.png", _evaluation([plain, busy]))
    image = np.asarray(Image.open(png))
    assert image.shape == (PANEL_PX, 3 * PANEL_PX + 2 * GAP_PX, 4)
    look = choose_look(VISIBLE, BANDS, [busy.condition, busy.model, busy.target])
    corner = look.draw(busy.target, BANDS)[-1, -1]
    assert image[-1, -1].tolist() == corner.tolist()
    assert image[-1, PANEL_PX - 1].tolist() == look.draw(busy.condition, BANDS)[-1, -1].tolist()
    assert image[-1, PANEL_PX + 1, 3] == 0


def test_without_examples_there_is_no_showcase(tmp_path):
    with pytest.raises(ValueError, match="kept no example"):
        write_showcase(tmp_path / "show.png", _evaluation())
