import json
import shutil

import pytest
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from catalog.errors import CheckpointError
from training.card import Card, read_revision
from training.checkpoint import load_card, load_model, newest_checkpoint
from training.config import TrainConfig


@pytest.fixture(name="run")
def run_fixture(store_of, train_tiny, tmp_path):
    _, trained = train_tiny(store_of())
    return shutil.copytree(trained, tmp_path / "run")


def test_a_checkpoint_is_safetensors_and_a_card(run):
    folder = newest_checkpoint(run)
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "card.json",
        "weights.safetensors",
        "averaged.safetensors",
        "optimizer.safetensors",
    }
    card = load_card(run)
    assert Card.model_validate_json(card.model_dump_json()) == card
    assert card.snapshot == 1
    assert card.train_samples == 16
    weights = load_file(folder / "weights.safetensors")
    assert card.parameters == sum(value.numel() for value in weights.values())


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        load_model(tmp_path)


def test_a_spoiled_card_is_refused_with_the_field(run):
    path = newest_checkpoint(run) / "card.json"
    card = json.loads(path.read_text())
    card["spec"]["ratio"] = "three"
    path.write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match=r"spec\.ratio"):
        load_card(run)


def test_truncated_weights_are_refused(run):
    path = newest_checkpoint(run) / "averaged.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_model(run)


def test_weights_of_another_shape_are_refused_by_name(run):
    path = newest_checkpoint(run) / "averaged.safetensors"
    weights = load_file(path)
    weights["unet.conv_in.bias"] = weights["unet.conv_in.bias"][:-1].clone()
    save_file(weights, path)
    with pytest.raises(CheckpointError, match=r"'unet.conv_in.bias' should have shape \(8,\)"):
        load_model(run)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "give exactly one"),
        ({"steps": 1, "seconds": 1}, "give exactly one"),
        ({"steps": 1, "channels": (12,)}, "multiples of 8"),
        ({"steps": 1, "batch_size": 3, "accumulation": 2}, "must divide"),
        ({"steps": 1, "learning_rat": 1}, "learning_rat"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        TrainConfig(**settings)


def test_the_revision_is_a_commit_or_nothing():
    revision = read_revision()
    assert revision is None or len(revision) == 40
