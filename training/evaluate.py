"""Scores of a trained model on every split of a store, beside what it must beat."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from catalog.errors import StoreError
from stores.patch_store import PatchStore
from training.batch import Batch
from training.checkpoint import check_bands, load_model
from training.inputs import Inputs
from training.loader import SampleReader, usable_samples
from training.metrics.image import RGB_DATA_RANGE, psnr, ssim
from training.metrics.spatial import spectrum_ratio
from training.metrics.spectral import ndvi_squared_error, spectral_angle_deg
from training.noise import Draws, named_noise
from training.systems.baselines import spread, upsample
from training.systems.sharpen import Sharpen
from training.threads import spared_cores

Method = Literal["model", "model_sample", "model_ensemble", "bicubic", "adjusted_bicubic"]
METHODS: tuple[Method, ...] = get_args(Method)
"""One-step posterior mean; one few-step sample; mean of several samples; two baselines."""
METRICS = ("psnr_rgb", "ssim_rgb", "sam_deg", "ndvi_mse", "spectrum_ratio")
SPLITS = ("train", "val", "test")
FEW_CELLS = 5
"""Below this many cells in a split, its scores illustrate rather than measure."""

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Scores = Mapping[str, float | None]
"""Metric -> mean over images; None where no image has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One sample and what each method makes of it; images are `(band, y, x)`, physical."""

    sample_id: str
    anchor_time: datetime
    bands: tuple[str, ...]
    """Band keys, in the order of the images' first axis."""
    condition: Floats
    """On its own coarse grid; NaN where unusable."""
    bicubic: Floats
    adjusted: Floats
    model: Floats
    model_sample: Floats
    target: Floats
    """NaN where unusable."""
    valid: Bools
    """`(y, x)` of the target, True = scored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Scores of one model on one store."""

    run: str
    store: str
    snapshot: int
    split: str
    """The split that counts: test, if the store has test samples."""
    scores: Mapping[str, Mapping[Method, Scores]]
    """Split -> method -> metric -> value."""
    samples: Mapping[str, int]
    """Samples scored, per split."""
    draws: Draws
    notes: tuple[str, ...]
    """What a reader of the scores must know."""
    examples: tuple[Example, ...]
    """Some samples of the split that counts, evenly spaced over its sample ids."""

    def to_json(self) -> dict[str, Any]:
        """Return the scores, JSON-ready; those of the split that counts at the top."""
        return {
            "split": self.split,
            **{method: dict(scores) for method, scores in self.scores[self.split].items()},
            "samples": self.samples[self.split],
            "splits": {
                split: {
                    "samples": self.samples[split],
                    **{method: dict(scores) for method, scores in methods.items()},
                }
                for split, methods in self.scores.items()
            },
            "notes": list(self.notes),
            "rgb_data_range": RGB_DATA_RANGE,
            "sample_steps": self.draws.steps,
            "ensemble_members": self.draws.members,
            "run": self.run,
            "store": self.store,
            "snapshot": self.snapshot,
        }

    def write(self, path: Path) -> None:
        """Write `to_json` to a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.to_json(), indent=2) + "\n")


@spared_cores()
def evaluate(
    run: Path,
    store_uri: str,
    *,
    draws: Draws | None = None,
    most: Mapping[str, int] | None = None,
    examples: int = 6,
    console: Console | None = None,
) -> Evaluation:
    """Score a run's model, sample by sample, and average over the samples of each split.

    Args:
        run: Folder of a training.
        store_uri: Store with both layers; if it is the one trained on, the same snapshot.
        draws: How samples of the posterior are drawn.
        most: Split -> samples to score at most, evenly spaced over the sample ids.
        examples: Samples to keep whole, at most.
        console: Where progress is shown; default standard error.

    Raises:
        CheckpointError: If the run cannot be read or does not fit the store.
        StoreError: If no split of the store has a sample with both layers.
    """
    model, card = load_model(run)
    snapshot = card.snapshot if store_uri == card.store else None
    store = PatchStore.open(store_uri, snapshot)
    inputs = model.spec.inputs
    check_bands(card, store.schema, inputs.layers)
    draws = draws or Draws()
    held = {split: usable_samples(store, inputs, split=split) for split in SPLITS}
    counting = _counting_split(held, inputs)
    chosen = {s: _evenly(rows, (most or {}).get(s)) for s, rows in held.items() if len(rows)}
    shown = set(_evenly(chosen[counting], examples)["sample_id"]) if examples else set()
    scores: dict[str, Mapping[Method, Scores]] = {}
    kept: list[Example] = []
    with Progress(console=console or Console(stderr=True)) as progress:
        bar = progress.add_task("scoring", total=sum(map(len, chosen.values())))
        for split, rows in chosen.items():
            rated: list[Mapping[Method, Scores]] = []
            for batch, time in _samples(store, rows, inputs):
                images = estimate(model, batch, draws)
                rated.append(rate(batch, images, inputs.bands, model.spec.ratio))
                if split == counting and batch.sample_ids[0] in shown:
                    kept.append(_example(model, batch, images, time))
                progress.advance(bar)
            scores[split] = _average(rated)
    return Evaluation(
        run=str(run),
        store=store_uri,
        snapshot=store.snapshot.number,
        split=counting,
        scores=scores,
        samples={split: len(rows) for split, rows in chosen.items()},
        draws=draws,
        notes=_notes(held, chosen, counting),
        examples=tuple(kept),
    )


@torch.no_grad()
def estimate(model: Sharpen, batch: Batch, draws: Draws) -> dict[Method, Tensor]:
    """Return each method's estimate of the target, `(batch, band, y, x)`, physical units."""
    condition = batch.condition
    bicubic = upsample(condition.image.pixels, model.spec.ratio)
    members = [
        model.sample(
            condition,
            named_noise(
                batch.sample_ids, bicubic.shape[1:], draws.steps, seed=draws.seed, member=member
            ),
        )
        for member in range(draws.members)
    ]
    return {
        "model": model.posterior_mean(condition),
        "model_sample": members[0],
        "model_ensemble": torch.stack(members).mean(dim=0),
        "bicubic": bicubic,
        "adjusted_bicubic": model.base(condition),
    }


def scored_pixels(batch: Batch, ratio: int) -> Tensor:
    """Return where target and condition are both usable, `(batch, 1, y, x)`, bool."""
    return batch.target.valid & spread(batch.condition.image.valid, ratio)


def rate(
    batch: Batch, images: Mapping[Method, Tensor], bands: Sequence[str], ratio: int
) -> dict[Method, Scores]:
    """Return each method's metrics on a batch of one sample; see `score`."""
    valid = scored_pixels(batch, ratio)[0, 0].numpy()
    target = batch.target.pixels[0].numpy()
    return {
        method: score(image[0].numpy(), target, valid, bands, ratio)
        for method, image in images.items()
    }


def score(
    image: Floats, target: Floats, valid: Bools, bands: Sequence[str], ratio: int
) -> dict[str, float | None]:
    """Return the metrics of one image; None where its bands or pixels do not allow one.

    Args:
        image: Estimate, `(band, y, x)`, reflectance.
        target: Truth, shaped like `image`.
        valid: `(y, x)`, True = usable; other pixels do not matter.
        bands: Keys of the bands.
        ratio: Target pixels per condition pixel, along one side.
    """
    image, target = (np.where(valid, x, np.float32(0)) for x in (image, target))
    place = {key: i for i, key in enumerate(bands)}
    rgb = [place[key] for key in ("red", "green", "blue") if key in place]
    values = {
        "sam_deg": spectral_angle_deg(image, target, valid),
        "spectrum_ratio": spectrum_ratio(image, target, valid, ratio=ratio),
    }
    if rgb:
        values["psnr_rgb"] = psnr(image[rgb], target[rgb], valid, data_range=RGB_DATA_RANGE)
        values["ssim_rgb"] = ssim(image[rgb], target[rgb], valid, data_range=RGB_DATA_RANGE)
    if "nir" in place and "red" in place:
        pair = (place["nir"], place["red"])
        values["ndvi_mse"] = ndvi_squared_error(
            (image[pair[0]], image[pair[1]]), (target[pair[0]], target[pair[1]]), valid
        )
    return {name: _finite(values.get(name)) for name in METRICS}


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _average(scores: Sequence[Mapping[Method, Scores]]) -> dict[Method, Scores]:
    """Return the mean over images of each method and metric."""
    return {
        method: {name: _mean([image[method][name] for image in scores]) for name in METRICS}
        for method in METHODS
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return math.fsum(known) / len(known) if known else None


def _samples(
    store: PatchStore, rows: pd.DataFrame, inputs: Inputs
) -> Iterator[tuple[Batch, datetime]]:
    reader = SampleReader(store, rows, inputs, ram_bytes=0)
    for position, time in enumerate(rows["anchor_time"]):
        yield reader.whole([position]), time.to_pydatetime()


def _evenly(rows: pd.DataFrame, most: int | None) -> pd.DataFrame:
    """Return at most so many rows, evenly spaced."""
    if most is None or len(rows) <= most:
        return rows
    return rows.iloc[[i * len(rows) // most for i in range(most)]].reset_index(drop=True)


def _counting_split(held: Mapping[str, pd.DataFrame], inputs: Inputs) -> str:
    for split in ("test", "val", "train"):
        if len(held[split]):
            return split
    raise StoreError(
        f"the store has no sample with both {inputs.condition!r} and {inputs.target!r} in "
        f"{', '.join(SPLITS)}; widen its recipe, or use a store with the target layer"
    )


def _notes(
    held: Mapping[str, pd.DataFrame], chosen: Mapping[str, pd.DataFrame], counting: str
) -> tuple[str, ...]:
    notes = [
        f"{split}: {len(rows)} of {len(held[split])} samples scored, evenly spaced"
        for split, rows in chosen.items()
        if len(rows) < len(held[split])
    ]
    cells = {split: set(rows["cell_id"]) for split, rows in held.items() if len(rows)}
    if counting != "test":
        notes.append(f"the store has no test sample: the scores are those of {counting}")
    if counting == "train":
        notes.append("the model was trained on these samples: the scores are an illustration")
    elif shared := cells[counting] & cells.get("train", set()):
        notes.append(
            f"{len(shared)} cells of {counting} are also in train, on other dates: the split "
            "leaks, and the scores are an illustration"
        )
    if len(cells[counting]) < FEW_CELLS:
        notes.append(
            f"{counting} holds {len(cells[counting])} cells: a split by so few cells leaks "
            "what neighbors share, and its scores are an illustration"
        )
    return tuple(notes)


def _example(
    model: Sharpen, batch: Batch, images: Mapping[Method, Tensor], time: datetime
) -> Example:
    image, target = batch.condition.image, batch.target
    return Example(
        sample_id=batch.sample_ids[0],
        anchor_time=time,
        bands=model.spec.inputs.bands,
        condition=torch.where(image.valid, image.pixels, torch.nan)[0].numpy(),
        bicubic=images["bicubic"][0].numpy(),
        adjusted=images["adjusted_bicubic"][0].numpy(),
        model=images["model"][0].numpy(),
        model_sample=images["model_sample"][0].numpy(),
        target=torch.where(target.valid, target.pixels, torch.nan)[0].numpy(),
        valid=scored_pixels(batch, model.spec.ratio)[0, 0].numpy(),
    )
