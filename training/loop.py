"""The training loop, for every system."""

import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from rich.console import Console
from torch import Tensor

from catalog.errors import CheckpointError
from stores.patch_store import PatchStore
from training.card import Card, describe_versions, read_revision
from training.checkpoint import (
    Checkpoint,
    load_checkpoint,
    load_weights,
    newest_checkpoint,
    optimizer_state,
    optimizer_tensors,
    save_checkpoint,
)
from training.config import TrainConfig
from training.ema import AveragedWeights
from training.inputs import choose_inputs
from training.loader import BatchStream, SampleReader, usable_samples
from training.networks.unet import initialize
from training.progress import Reporter
from training.systems import SYSTEMS
from training.systems.sharpen import Sharpen, SharpenSpec, fit_sharpen
from training.threads import spared_cores


@dataclass(slots=True)
class Training:
    """All that changes during a training."""

    model: Sharpen
    optimizer: torch.optim.Optimizer
    averaged: AveragedWeights
    step: int = 0
    """Optimizer steps taken."""
    elapsed_s: float = 0.0
    """Seconds of optimizing, over all sittings."""

    def progress(self, config: TrainConfig) -> float:
        """Return the share of the budget that is spent, 0 to 1."""
        if config.steps is not None:
            return min(1.0, self.step / config.steps)
        return min(1.0, self.elapsed_s / (config.seconds or math.inf))


@spared_cores()
def train(
    store_uri: str, out: Path, config: TrainConfig, *, console: Console | None = None
) -> Path:
    """Train a system on a store's train split, and return the run's folder.

    The same call again resumes at the newest checkpoint, or returns at once if the budget is
    spent; a longer budget goes on. With a budget in `steps`, a resumed run equals an
    uninterrupted one to the bit; with one in `seconds`, length and learning rates follow the
    clock.

    Args:
        store_uri: Store to train on.
        out: Folder of the run; see `training.checkpoint` for what it holds.
        config: Settings of the run.
        console: Where progress is shown; default standard error.

    Raises:
        StoreError: If the store lacks the layers or train samples that the settings name.
        CheckpointError: If `out` holds a run with other settings, or the loss diverges.
    """
    _refuse_foreign(out)
    found = load_checkpoint(out) if newest_checkpoint(out) is not None else None
    store = PatchStore.open(store_uri, _agreed_snapshot(out, store_uri, config, found))
    reader = _open_reader(store, config)
    spec = _fit(reader, store, config) if found is None else found.card.spec
    accelerator = Accelerator(
        mixed_precision=config.precision, gradient_accumulation_steps=config.accumulation
    )
    training, parallel = _begin(spec, config, accelerator)
    if found is not None:
        _resume(training, found, out)
    stream = BatchStream(
        reader,
        batch_size=config.batch_size // config.accumulation,
        crop_px=config.crop_px,
        seed=config.seed,
    )
    share = slice(accelerator.process_index, None, accelerator.num_processes)
    card = Card(
        config=config,
        spec=spec,
        store=store_uri,
        snapshot=store.snapshot.number,
        train_samples=len(reader),
        parameters=sum(p.numel() for p in training.model.parameters()),
        revision=read_revision(),
        versions=describe_versions(),
    )
    if training.progress(config) >= 1:
        return out

    saved_s, began = training.elapsed_s, time.perf_counter()
    with Reporter(out, config, training.step, console, accelerator) as reporter:
        for batch in stream.batches(training.step * config.accumulation, share):
            with accelerator.accumulate(parallel):
                rate = _set_learning_rate(training, config)
                loss = parallel(batch.to(accelerator.device))
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(parallel.parameters(), config.clip_norm)
                training.optimizer.step()
                training.optimizer.zero_grad()
            if not accelerator.sync_gradients:
                continue

            training.step += 1
            training.averaged.update(training.model.network, training.step)
            training.elapsed_s += _agree(time.perf_counter() - began, accelerator)
            began = time.perf_counter()
            if training.step % config.log_every == 0:
                value = _finite(loss, training, config)
                reporter.report(training.step, training.progress(config), value, rate)
            if training.progress(config) >= 1:
                break
            if training.elapsed_s - saved_s >= config.checkpoint_every_s:
                _save(training, card, out, accelerator)
                saved_s, began = training.elapsed_s, time.perf_counter()
    _finite(loss, training, config)
    _save(training, card, out, accelerator)
    return out


def learning_rate(config: TrainConfig, step: int, progress: float) -> float:
    """Return the rate of the step after `step`: linear warm-up, then a cosine to a tenth.

    Args:
        config: Peak and warm-up.
        step: Optimizer steps taken.
        progress: Share of the budget that is spent, 0 to 1.
    """
    warm = min(1.0, (step + 1) / max(1, config.warmup_steps))
    return config.learning_rate * warm * (0.55 + 0.45 * math.cos(math.pi * progress))


def _refuse_foreign(out: Path) -> None:
    """Refuse a folder that holds something else than a run."""
    if not out.exists() or (out / "checkpoints").is_dir():
        return
    held = sorted(path.name for path in out.iterdir()) if out.is_dir() else [out.name]
    if [name for name in held if name != "tensorboard"]:
        raise CheckpointError(
            f"{str(out)!r} holds something else ({', '.join(held[:5])}) and is not a run; give "
            "--out a new or empty folder"
        )


def _agreed_snapshot(
    out: Path, store_uri: str, config: TrainConfig, found: Checkpoint | None
) -> int | None:
    """Return the snapshot to read: a run stays on the one that it began with."""
    if found is None:
        return config.snapshot
    change = config.describe_change(found.card.config)
    if change:
        raise CheckpointError(
            f"{str(out)!r} holds a run with other settings: {change} was asked for; give the "
            "settings of that run to resume it, or another folder"
        )
    if Path(found.card.store).resolve() != Path(store_uri).resolve():
        raise CheckpointError(
            f"{str(out)!r} holds a run that was trained on {found.card.store}, and "
            f"{store_uri} was asked for; give that store to resume it, or another folder"
        )
    return found.card.snapshot


def _open_reader(store: PatchStore, config: TrainConfig) -> SampleReader:
    inputs = choose_inputs(
        store.schema,
        condition=config.condition,
        target=config.target,
        bands=config.bands,
        extras=config.extras,
    )
    samples = usable_samples(store, inputs, split="train")
    return SampleReader(store, samples, inputs, ram_bytes=config.ram_bytes)


def _fit(reader: SampleReader, store: PatchStore, config: TrainConfig) -> SharpenSpec:
    return fit_sharpen(
        reader,
        store.statistics,
        channels=config.channels,
        layers_per_block=config.layers_per_block,
        pure_noise_share=config.pure_noise_share,
    )


def _begin(
    spec: SharpenSpec, config: TrainConfig, accelerator: Accelerator
) -> tuple[Training, torch.nn.Module]:
    """Return a training at step zero, and its model as the processes share it."""
    model = SYSTEMS[config.system](spec)
    initialize(model.network, torch.Generator().manual_seed(config.seed))
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=config.weight_decay)
    parallel, optimizer = accelerator.prepare(model, optimizer)
    averaged = AveragedWeights(model.network, decay=config.ema_decay)
    return Training(model=model, optimizer=optimizer, averaged=averaged), parallel


def _resume(training: Training, found: Checkpoint, out: Path) -> None:
    load_weights(training.model, found.weights, out)
    training.averaged.restore(found.averaged)
    groups = training.optimizer.state_dict()["param_groups"]
    training.optimizer.load_state_dict(optimizer_state(found.optimizer, groups))
    training.step, training.elapsed_s = found.card.step, found.card.elapsed_s


def _set_learning_rate(training: Training, config: TrainConfig) -> float:
    rate = learning_rate(config, training.step, training.progress(config))
    for group in training.optimizer.param_groups:
        group["lr"] = rate
    return rate


def _agree(seconds: float, accelerator: Accelerator) -> float:
    """Return the first process's clock reading, so that all stop at the same step."""
    if accelerator.num_processes == 1:
        return seconds
    reading = torch.tensor(seconds, dtype=torch.float64, device=accelerator.device)
    return float(broadcast(reading).item())


def _finite(loss: Tensor, training: Training, config: TrainConfig) -> float:
    value = float(loss.detach())
    if not math.isfinite(value):
        raise CheckpointError(
            f"the loss is {value} at step {training.step}: training diverged; delete the run "
            f"and lower learning_rate, which is {config.learning_rate:g}"
        )
    return value


def _save(training: Training, card: Card, out: Path, accelerator: Accelerator) -> None:
    if not accelerator.is_main_process:
        return
    now = card.model_copy(update={"step": training.step, "elapsed_s": training.elapsed_s})
    save_checkpoint(
        out,
        Checkpoint(
            card=now,
            weights=training.model.network.state_dict(),
            averaged=training.averaged.weights,
            optimizer=optimizer_tensors(training.optimizer.state_dict()),
        ),
    )
