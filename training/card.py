"""The card of a checkpoint: what a model is and where it comes from."""

from importlib.metadata import version
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from training.config import TrainConfig
from training.systems.sharpen import SharpenSpec

VERSIONED = ("torch", "diffusers", "accelerate", "numpy")
"""Packages that decide a model's numbers."""


class Card(BaseModel):
    """What a checkpoint is: everything about it that is not a large tensor."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    """Version of this layout."""
    config: TrainConfig
    """Settings of the run, resolved."""
    spec: SharpenSpec
    """Bands, normalization and shape of the model."""
    store: str
    """URI of the store that the run was trained on."""
    snapshot: int
    """Number of the store's snapshot."""
    train_samples: int
    """Samples in the train split of that snapshot."""
    step: int = 0
    """Optimizer steps taken."""
    elapsed_s: float = 0.0
    """Seconds of optimizing, over all sittings."""
    parameters: int
    """Trainable numbers of the network."""
    revision: str | None
    """Git commit of the code, if it ran from a clone."""
    versions: dict[str, str]
    """Versions of the packages that decide the numbers."""


def describe_versions() -> dict[str, str]:
    """Return the versions of the packages that decide a model's numbers."""
    return {name: version(name) for name in VERSIONED}


def read_revision() -> str | None:
    """Return the commit of the clone that this code runs from; None outside of one."""
    git = Path(__file__).parents[1] / ".git"
    head = git / "HEAD"
    if not head.is_file():
        return None
    text = head.read_text().strip()
    if not text.startswith("ref: "):
        return text
    name = text.removeprefix("ref: ")
    if (git / name).is_file():
        return (git / name).read_text().strip()
    packed = git / "packed-refs"
    lines = packed.read_text().splitlines() if packed.is_file() else []
    return next((line.split()[0] for line in lines if line.endswith(f" {name}")), None)
