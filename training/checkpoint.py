"""A trained model on disk: safetensors and a JSON card, nothing pickled.

```
run/checkpoints/00000500/card.json               all but numbers: config, spec, store, position
                         weights.safetensors     network, as last optimized
                         averaged.safetensors    network, averaged: what predicts
                         optimizer.safetensors   moments of AdamW, to resume from
```
A checkpoint folder appears by one rename, complete; the newest one counts.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from catalog.errors import CheckpointError
from stores.schema import StoreSchema
from training.card import Card
from training.systems import SYSTEMS
from training.systems.sharpen import Sharpen

CARD, WEIGHTS, AVERAGED, OPTIMIZER = (
    "card.json",
    "weights.safetensors",
    "averaged.safetensors",
    "optimizer.safetensors",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """All of one checkpoint."""

    card: Card
    weights: dict[str, Tensor]
    averaged: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    """`'<parameter number>.<moment>'` -> value."""


def save_checkpoint(run: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint, remove all but the newest few, and return its folder."""
    folder = run / "checkpoints" / f"{checkpoint.card.step:08d}"
    if (folder / CARD).exists():
        return folder
    fresh = folder.with_suffix(".partial")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for name, tensors in (
        (WEIGHTS, checkpoint.weights),
        (AVERAGED, checkpoint.averaged),
        (OPTIMIZER, checkpoint.optimizer),
    ):
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, fresh / name)
    (fresh / CARD).write_text(checkpoint.card.model_dump_json(indent=2) + "\n")
    fresh.rename(folder)
    for older in _complete(run)[: -checkpoint.card.config.keep_checkpoints]:
        shutil.rmtree(older)
    return folder


def newest_checkpoint(run: Path) -> Path | None:
    """Return the folder of a run's newest complete checkpoint; None if it has none."""
    complete = _complete(run)
    return complete[-1] if complete else None


def load_card(run: Path) -> Card:
    """Return the card of a run's newest checkpoint.

    Raises:
        CheckpointError: If there is none, or it cannot be read.
    """
    folder = newest_checkpoint(run)
    if folder is None:
        raise CheckpointError(
            f"{str(run)!r} holds no checkpoint; give the folder that `geoloupe train --out` "
            "wrote to"
        )
    try:
        return Card.model_validate_json((folder / CARD).read_text())
    except ValidationError as err:
        raise CheckpointError(
            f"{folder / CARD} is not a card that this version reads: {err.error_count()} "
            f"problems, first {err.errors()[0]['msg']!r} at "
            f"{'.'.join(map(str, err.errors()[0]['loc'])) or 'the top'}; train again"
        ) from err


def load_checkpoint(run: Path) -> Checkpoint:
    """Return a run's newest checkpoint.

    Raises:
        CheckpointError: If there is none, or it cannot be read.
    """
    card = load_card(run)
    folder = run / "checkpoints" / f"{card.step:08d}"
    return Checkpoint(
        card=card,
        weights=_load_tensors(folder / WEIGHTS),
        averaged=_load_tensors(folder / AVERAGED),
        optimizer=_load_tensors(folder / OPTIMIZER),
    )


def load_model(run: Path) -> tuple[Sharpen, Card]:
    """Return a run's model with averaged weights, ready to predict, and its card.

    It is put on the GPU if there is one.

    Raises:
        CheckpointError: If there is none, or it cannot be read.
    """
    card = load_card(run)
    model = SYSTEMS[card.config.system](card.spec)
    path = run / "checkpoints" / f"{card.step:08d}" / AVERAGED
    load_weights(model, _load_tensors(path), path)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return model.to(device).eval(), card


def load_weights(model: Sharpen, weights: dict[str, Tensor], origin: Path) -> None:
    """Put weights into a model's network.

    Raises:
        CheckpointError: If names or shapes differ from the model's.
    """
    expected = {k: tuple(v.shape) for k, v in model.network.state_dict().items()}
    found = {k: tuple(v.shape) for k, v in weights.items()}
    if expected != found:
        name = sorted(dict(expected.items() ^ found.items()))[0]
        raise CheckpointError(
            f"{origin} does not fit its card: {name!r} should have shape {expected.get(name)}, "
            f"the file has {found.get(name)}"
        )
    model.network.load_state_dict(weights)


def check_bands(card: Card, schema: StoreSchema, layers: tuple[str, ...]) -> None:
    """Refuse a store whose bands a model was not trained on.

    Args:
        card: Of the model.
        schema: Of the store that it is asked to work on.
        layers: Layers of the store that the work needs.

    Raises:
        CheckpointError: If a layer is missing, or its bands or pixel size do not fit.
    """
    spec = card.spec
    trained = dict.fromkeys((spec.inputs.condition, spec.inputs.target), spec.inputs.bands)
    trained |= {n: s.bands for n, s in zip(spec.inputs.extras, spec.extras, strict=True)}
    held = {layer.name: layer for layer in schema.layers}
    for name in layers:
        if name not in held:
            raise CheckpointError(
                f"the model expects layer {name!r}, store has {', '.join(held)}; build a "
                "store with that layer"
            )
        keys = held[name].band_keys
        fits = set(trained[name]) <= set(keys)
        if name in spec.inputs.extras:
            fits = trained[name] == keys
        if not fits:
            raise CheckpointError(
                f"the model expects bands ({', '.join(trained[name])}) in layer {name!r}, "
                f"store has ({', '.join(keys)})"
            )


def optimizer_tensors(state: dict[str, Any]) -> dict[str, Tensor]:
    """Return the tensors of `Optimizer.state_dict()`, under flat names."""
    return {
        f"{number}.{name}": torch.as_tensor(value)
        for number, moments in state["state"].items()
        for name, value in moments.items()
    }


def optimizer_state(tensors: dict[str, Tensor], groups: list[Any]) -> dict[str, Any]:
    """Return what `Optimizer.load_state_dict` takes; inverse of `optimizer_tensors`."""
    state: dict[int, dict[str, Tensor]] = {}
    for flat, value in tensors.items():
        number, name = flat.split(".", 1)
        state.setdefault(int(number), {})[name] = value
    return {"state": state, "param_groups": groups}


def _load_tensors(path: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as err:
        raise CheckpointError(f"{path} cannot be read: {err}; train again") from err
    return tensors


def _complete(run: Path) -> list[Path]:
    """Return the folders of a run's complete checkpoints, oldest first."""
    return sorted(card.parent for card in (run / "checkpoints").glob(f"[0-9]*[0-9]/{CARD}"))
