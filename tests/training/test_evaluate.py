import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from catalog.errors import CheckpointError
from stores.patch_store import PatchStore
from training.batch import Layer
from training.evaluate import METHODS, METRICS, estimate, evaluate, rate, score
from training.loader import SampleReader, usable_samples
from training.noise import Draws

DRAWS = Draws(steps=2, members=2)


@pytest.fixture(name="evaluation", scope="module")
def evaluation_fixture(store_of, train_tiny, silent):
    uri = store_of()
    _, run = train_tiny(uri)
    return evaluate(run, uri, draws=DRAWS, most={"train": 3}, examples=2, console=silent)


def read_split(uri, inputs, split):
    store = PatchStore.open(uri)
    samples = usable_samples(store, inputs, split=split)
    return SampleReader(store, samples, inputs, ram_bytes=1e9)


def test_every_split_method_and_metric_has_a_score(evaluation):
    assert set(evaluation.scores) == {"train", "val", "test"}
    for methods in evaluation.scores.values():
        assert tuple(methods) == METHODS
        for scores in methods.values():
            assert tuple(scores) == METRICS
            assert all(np.isfinite(value) for value in scores.values())


def test_the_file_shows_the_test_split_first(evaluation, tmp_path):
    evaluation.write(tmp_path / "deep" / "scores.json")
    written = json.loads((tmp_path / "deep" / "scores.json").read_text())
    assert written["split"] == "test"
    assert set(METHODS) | {"split", "splits", "samples", "notes"} <= set(written)
    assert written["model"] == written["splits"]["test"]["model"]
    assert written["samples"] == 4
    assert written["splits"]["train"]["samples"] == 3
    assert any("3 of 16 samples" in note for note in written["notes"])


def test_few_cells_are_called_an_illustration(evaluation):
    assert any("so few cells leaks" in note for note in evaluation.notes)


def test_scores_are_means_of_the_scores_of_images(evaluation, store_of, train_tiny):
    uri = store_of()
    model, _ = train_tiny(uri)
    reader = read_split(uri, model.spec.inputs, "test")
    bands = model.spec.inputs.bands
    values = []
    for position in range(len(reader)):
        batch = reader.whole([position])
        image = model.posterior_mean(batch.condition)[0].numpy()
        target, valid = batch.target.pixels[0].numpy(), batch.target.valid[0, 0].numpy()
        values.append(score(image, target, valid, bands, 3))
    for name in METRICS:
        mean = np.mean([value[name] for value in values])
        assert evaluation.scores["test"]["model"][name] == pytest.approx(mean)


def test_examples_are_what_was_scored(evaluation, store_of, train_tiny):
    model, _ = train_tiny(store_of())
    assert [type(e.sample_id) for e in evaluation.examples] == [str, str]
    for example in evaluation.examples:
        assert example.bands == model.spec.inputs.bands
        assert example.condition.shape == (4, 16, 16)
        for image in (example.bicubic, example.adjusted, example.model, example.target):
            assert image.shape == (4, 48, 48)
            assert image.dtype == np.float32
        assert example.valid.shape == (48, 48)
        assert example.anchor_time.tzinfo is not None


def test_an_ensemble_is_the_mean_of_its_members(store_of, train_tiny):
    model, _ = train_tiny(store_of())
    batch = read_split(store_of(), model.spec.inputs, "test").whole([0, 1])
    images = estimate(model, batch, DRAWS)
    alone = estimate(model, batch, replace(DRAWS, members=1))
    torch.testing.assert_close(images["model_sample"], alone["model_ensemble"])
    assert not torch.equal(images["model_sample"], images["model_ensemble"])


def test_missing_bands_leave_their_metrics_out():
    rng = np.random.default_rng(0)
    image, valid = rng.random((2, 24, 24), np.float32), np.ones((24, 24), bool)
    scores = score(image, image * 1.1, valid, ("swir1", "nir"), 3)
    assert scores["psnr_rgb"] is scores["ssim_rgb"] is scores["ndvi_mse"] is None
    assert scores["spectrum_ratio"] == pytest.approx(1 / 1.21, rel=1e-4)


def test_unusable_pixels_change_no_score():
    rng = np.random.default_rng(0)
    target = rng.uniform(0.1, 0.3, (4, 24, 24)).astype(np.float32)
    image = target + rng.normal(0, 0.01, target.shape).astype(np.float32)
    valid = rng.random((24, 24)) > 0.02
    valid[:14, :14] = True
    bands = ("blue", "green", "red", "nir")
    expected = score(image, target, valid, bands, 3)
    assert None not in expected.values()
    spoiled = [
        np.where(valid, x, np.float32(bad)) for x, bad in ((image, 9e9), (target, np.nan))
    ]
    assert score(*spoiled, valid, bands, 3) == expected


@pytest.fixture(name="learned", scope="module")
def learned_fixture(store_of, train_tiny):
    """Store, model and run of a training that is just long enough to help."""
    uri = store_of(cols=12, rows=3, dates=3, seed=3)
    settings = {"channels": (32,), "crop_px": 48, "learning_rate": 4e-3}
    return uri, *train_tiny(uri, steps=60, **settings)


@pytest.fixture(name="test_scores", scope="module")
def test_scores_fixture(learned, silent):
    uri, _, run = learned
    most = {"train": 1, "val": 1}
    draws = Draws(steps=1, members=1)
    return evaluate(run, uri, draws=draws, most=most, console=silent).scores["test"]


@pytest.mark.parametrize(
    ("metric", "sign"), [("psnr_rgb", 1), ("ssim_rgb", 1), ("sam_deg", -1), ("ndvi_mse", -1)]
)
def test_a_trained_model_beats_both_bicubics(test_scores, metric, sign):
    bicubics = [sign * test_scores[m][metric] for m in ("bicubic", "adjusted_bicubic")]
    assert sign * test_scores["model"][metric] > max(bicubics)


@pytest.mark.parametrize("position", [0, 4, 9])
def test_a_model_shown_zeros_is_worse_than_bicubic(learned, position):
    """Zero is reflectance zero everywhere, said to be usable."""
    uri, model, _ = learned
    batch = read_split(uri, model.spec.inputs, "test").whole([position])
    image = batch.condition.image
    zeroed = Layer(pixels=torch.zeros_like(image.pixels), valid=image.valid)
    blind = replace(batch, condition=replace(batch.condition, image=zeroed))
    bands = model.spec.inputs.bands
    seen = rate(batch, estimate(model, batch, DRAWS), bands, 3)
    unseen = rate(batch, estimate(model, blind, DRAWS), bands, 3)
    for metric, sign in (("psnr_rgb", 1), ("ssim_rgb", 1), ("sam_deg", -1), ("ndvi_mse", -1)):
        worst = min(sign * seen[m][metric] for m in ("bicubic", "adjusted_bicubic"))
        for method in ("model", "model_sample", "model_ensemble"):
            assert sign * unseen[method][metric] < worst, (method, metric)


def test_a_store_with_other_bands_is_refused(store_of, train_tiny, silent):
    _, run = train_tiny(store_of())
    other = store_of(bands=("blue", "green", "red"))
    with pytest.raises(
        CheckpointError,
        match=r"expects bands \(blue, green, red, nir\) in layer 'landsat', "
        r"store has \(blue, green, red\)",
    ):
        evaluate(run, other, console=silent)
