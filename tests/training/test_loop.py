import shutil

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from catalog.errors import CheckpointError, StoreError
from stores.patch_store import PatchStore
from training.batch import View
from training.checkpoint import load_checkpoint, newest_checkpoint
from training.ema import AveragedWeights
from training.loader import SampleReader, usable_samples
from training.loop import learning_rate, train
from training.networks.unet import initialize
from training.systems.sharpen import Sharpen


def tensors_of(run):
    checkpoint = load_checkpoint(run)
    return {
        f"{kind}/{name}": value
        for kind in ("weights", "averaged", "optimizer")
        for name, value in getattr(checkpoint, kind).items()
    }


def read_batch(uri, inputs, split="train"):
    store = PatchStore.open(uri)
    samples = usable_samples(store, inputs, split=split)
    reader = SampleReader(store, samples, inputs, ram_bytes=1e9)
    return reader.whole(range(min(4, len(reader))))


def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(
    store_of, tiny_config, silent, tmp_path
):
    uri, straight, resumed = store_of(), tmp_path / "straight", tmp_path / "resumed"
    config = tiny_config(steps=8, checkpoint_every_s=0, keep_checkpoints=9, log_every=1)
    train(uri, straight, config, console=silent)
    shutil.copytree(straight, resumed)
    for step in range(5, 9):
        shutil.rmtree(resumed / "checkpoints" / f"{step:08d}")
    (resumed / "checkpoints" / "00000005.partial").mkdir()
    assert load_checkpoint(resumed).card.step == 4
    train(uri, resumed, config, console=silent)
    mine, theirs = tensors_of(straight), tensors_of(resumed)
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert load_checkpoint(resumed).card.step == 8
    halfway = load_checkpoint(straight).card.model_copy(update={"elapsed_s": 0.0})
    assert halfway == load_checkpoint(resumed).card.model_copy(update={"elapsed_s": 0.0})


def test_micro_batches_give_the_gradient_of_the_batch(store_of, tiny_config, silent, tmp_path):
    uri = store_of()
    runs = [tmp_path / str(parts) for parts in (1, 2)]
    for parts, run in zip((1, 2), runs, strict=True):
        train(uri, run, tiny_config(steps=2, accumulation=parts), console=silent)
    whole, parts = (load_checkpoint(run).weights for run in runs)
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, atol=1e-4, rtol=1e-3)


def test_a_finished_run_returns_at_once_and_a_longer_budget_goes_on(
    store_of, tiny_config, silent, tmp_path
):
    uri, run = store_of(), tmp_path / "run"
    for steps, reached in ((2, 2), (2, 2), (3, 3)):
        before = newest_checkpoint(run)
        train(uri, run, tiny_config(steps=steps), console=silent)
        assert load_checkpoint(run).card.step == reached
        assert (newest_checkpoint(run) == before) is (before is not None and steps == 2)


def test_a_budget_in_seconds_ends_the_training(store_of, tiny_config, silent, tmp_path):
    config = tiny_config(steps=None, seconds=0.5)
    card = load_checkpoint(train(store_of(), tmp_path / "run", config, console=silent)).card
    assert card.elapsed_s >= 0.5
    assert card.step >= 1


def test_other_settings_are_not_mixed_into_a_run(store_of, tiny_config, silent, tmp_path):
    uri, run = store_of(), tmp_path / "run"
    train(uri, run, tiny_config(steps=1), console=silent)
    with pytest.raises(CheckpointError, match="batch_size=2 instead of 4"):
        train(uri, run, tiny_config(steps=2, batch_size=2), console=silent)


def test_a_store_without_the_layer_is_refused(store_of, tiny_config, silent, tmp_path):
    with pytest.raises(StoreError, match="no layer 'modis'"):
        train(store_of(), tmp_path, tiny_config(condition="modis"), console=silent)


def test_a_diverging_loss_stops_the_training(store_of, tiny_config, silent, tmp_path):
    config = tiny_config(steps=40, learning_rate=1e30, warmup_steps=0, log_every=1)
    with pytest.raises(CheckpointError, match=r"diverged.*lower learning_rate"):
        train(store_of(), tmp_path / "run", config, console=silent)


def test_scalars_are_logged(store_of, tiny_config, silent, tmp_path):
    run = train(store_of(), tmp_path / "run", tiny_config(log_every=1), console=silent)
    events = EventAccumulator(str(run / "tensorboard")).Reload()
    assert set(events.Tags()["scalars"]) == {
        "train/loss",
        "train/learning_rate",
        "train/samples_per_second",
    }
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3]


def test_the_learning_rate_warms_up_and_falls_to_a_tenth(tiny_config):
    config = tiny_config(learning_rate=1.0, warmup_steps=10)
    assert learning_rate(config, 0, 0.0) == pytest.approx(0.1)
    assert learning_rate(config, 9, 0.0) == pytest.approx(1.0)
    assert learning_rate(config, 500, 1.0) == pytest.approx(0.1)


def test_averaged_weights_follow_the_formula():
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(network.weight, 1.0)
    averaged = AveragedWeights(network, decay=0.5)
    expected = 1.0
    for step, value in enumerate((2.0, 5.0, -1.0), start=1):
        torch.nn.init.constant_(network.weight, value)
        averaged.update(network, step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    assert float(averaged.weights["weight"]) == pytest.approx(expected)


def test_one_batch_can_be_learned_by_heart(store_of, train_tiny):
    uri = store_of()
    settings = {"channels": (32,), "pure_noise_share": 1.0}
    spec = train_tiny(uri)[0].spec.model_copy(update=settings)
    model = Sharpen(spec)
    initialize(model.network, torch.Generator().manual_seed(0))
    store = PatchStore.open(uri)
    samples = usable_samples(store, spec.inputs, split="train")
    reader = SampleReader(store, samples, spec.inputs, ram_bytes=1e9)
    batch = reader.read([0, 5], [View(side_m=240, turn=turn) for turn in (0, 3)], [0, 1])
    first = model(batch).item()
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    for step in range(100):
        for group in optimizer.param_groups:
            group["lr"] = 4e-3 * (1 - step / 100)
        optimizer.zero_grad()
        model(batch).backward()
        optimizer.step()
    assert model(batch).item() < 0.05 * first

    def squared_error(image):
        return float((image - batch.target.pixels).square().mean())

    learned = squared_error(model.posterior_mean(batch.condition))
    assert learned < 0.1 * squared_error(model.base(batch.condition))


def test_an_untrained_model_predicts_the_adjusted_bicubic(store_of, train_tiny):
    uri = store_of()
    spec = train_tiny(uri)[0].spec
    model = Sharpen(spec)
    initialize(model.network, torch.Generator().manual_seed(0))
    condition = read_batch(uri, spec.inputs).condition
    torch.testing.assert_close(model.posterior_mean(condition), model.base(condition))


def test_a_run_goes_on_with_its_own_store_only(store_of, tiny_config, silent, tmp_path):
    train(store_of(), tmp_path / "run", tiny_config(steps=2), console=silent)
    other = tmp_path / "other"
    shutil.copytree(store_of(), other)
    with pytest.raises(CheckpointError, match="was trained on"):
        train(str(other), tmp_path / "run", tiny_config(steps=3), console=silent)


def test_a_folder_of_something_else_is_not_written_to(store_of, tiny_config, silent, tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to_mother.txt").write_text("dear")
    with pytest.raises(CheckpointError, match="to_mother"):
        train(store_of(), tmp_path / "letters", tiny_config(steps=2), console=silent)
    assert [p.name for p in (tmp_path / "letters").iterdir()] == ["to_mother.txt"]
