"""What a training run is asked to do."""

import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from catalog.errors import RecipeError

DEFAULT_SECONDS = 180.0
"""Length of a training that names none."""


class TrainConfig(BaseModel):
    """Settings of one training run, resolved: every default is written into the run's card."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    system: Literal["sharpen"] = "sharpen"
    """Which system; see `training.systems.SYSTEMS`."""
    condition: str = "landsat"
    """Layer of the store that the model sees."""
    target: str = "sentinel2"
    """Layer of the store that the model predicts."""
    bands: tuple[str, ...] | None = None
    """Band keys, in order; None takes those that both layers have, in the target's order."""
    extras: tuple[str, ...] = ()
    """More layers that the model sees where they are present, for example a DEM or SAR."""
    snapshot: int | None = None
    """Number of the store's snapshot; None takes the newest."""

    steps: int | None = Field(default=None, ge=1)
    """Length of the training in optimizer steps: repeatable to the bit."""
    seconds: float | None = Field(default=None, gt=0)
    """Length of the training in seconds of optimizing, instead of `steps`."""
    batch_size: int = Field(default=8, ge=1)
    """Samples per optimizer step, over all processes together."""
    crop_px: int = Field(default=96, ge=8)
    """Side of the random crops, pixels of the target; patches that are smaller stay whole."""
    learning_rate: float = Field(default=3e-3, gt=0)
    """Peak of the rate; it rises over `warmup_steps` and falls along a cosine to a tenth."""
    warmup_steps: int = Field(default=50, ge=0)
    """Steps over which the learning rate rises from zero."""
    weight_decay: float = Field(default=1e-2, ge=0)
    """Decoupled weight decay of AdamW."""
    clip_norm: float = Field(default=1.0, gt=0)
    """Largest norm of a step's gradient."""
    ema_decay: float = Field(default=0.995, ge=0, lt=1)
    """Decay of the averaged weights, reached after a ramp of (1 + n) / (10 + n)."""
    pure_noise_share: float = Field(default=0.5, ge=0, le=1)
    """Share of the draws at pure noise, where the estimate is the posterior mean."""
    channels: tuple[int, ...] = Field(default=(32, 48, 64), min_length=1)
    """Width of the network at each resolution, from the coarse grid downwards."""
    layers_per_block: int = Field(default=1, ge=1)
    """Residual blocks per resolution."""
    precision: Literal["no", "bf16", "fp16"] = "no"
    """Mixed precision of the network; losses and metrics are float32 in any case."""
    accumulation: int = Field(default=1, ge=1)
    """Parts that a batch is computed in, one after the other, to save memory."""
    seed: int = Field(default=0, ge=0)
    """Decides initial weights, order, crops, turns and noise."""

    checkpoint_every_s: float = Field(default=60.0, ge=0)
    """Seconds of optimizing between checkpoints; one is always written at the end."""
    keep_checkpoints: int = Field(default=1, ge=1)
    """Newest checkpoints to keep."""
    log_every: int = Field(default=10, ge=1)
    """Steps between TensorBoard scalars."""
    ram_bytes: float = Field(default=2e9, ge=0)
    """Training samples up to this size are held in memory; larger sets are read ahead."""

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if (self.steps is None) == (self.seconds is None):
            raise ValueError(
                f"steps={self.steps!r} and seconds={self.seconds!r}: give exactly one of "
                "them as the length of the training"
            )
        if any(width % 8 for width in self.channels):
            raise ValueError(f"channels={self.channels!r} must be multiples of 8")
        if self.batch_size % self.accumulation:
            raise ValueError(
                f"accumulation={self.accumulation!r} must divide batch_size={self.batch_size!r}"
            )
        return self

    def describe_change(self, other: Self) -> str:
        """Return the fields that differ, other than length and housekeeping; `''` if none."""
        free = {
            "steps",
            "seconds",
            "checkpoint_every_s",
            "keep_checkpoints",
            "log_every",
            "ram_bytes",
        }
        mine, theirs = self.model_dump(), other.model_dump()
        changed = [k for k in mine if k not in free and mine[k] != theirs[k]]
        return ", ".join(f"{k}={mine[k]!r} instead of {theirs[k]!r}" for k in changed)


def load_config(
    path: Path | None,
    *,
    seconds: float | None = None,
    steps: int | None = None,
    seed: int | None = None,
) -> TrainConfig:
    """Return the settings of a TOML file with those given here in place of its own.

    Args:
        path: File with keys of `TrainConfig`; None starts from the defaults.
        seconds: Length of the training in seconds of optimizing.
        steps: Length of the training in steps; 180 seconds if neither is given anywhere.
        seed: Of weights, order, crops and noise.

    Raises:
        RecipeError: If the file cannot be read, or a key is unknown or out of range.
    """
    settings: dict[str, Any] = {}
    try:
        if path is not None:
            settings = tomllib.loads(path.read_text(encoding="utf-8"))
        given = {"seconds": seconds, "steps": steps, "seed": seed}
        if seconds is not None or steps is not None:
            settings = {k: v for k, v in settings.items() if k not in ("seconds", "steps")}
        settings |= {key: value for key, value in given.items() if value is not None}
        if not {"seconds", "steps"} & settings.keys():
            settings["seconds"] = DEFAULT_SECONDS
        return TrainConfig(**settings)
    except (OSError, tomllib.TOMLDecodeError) as err:
        raise RecipeError(f"cannot read the settings {path}: {err}") from err
    except ValidationError as err:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg']}" for e in err.errors()
        )
        known = ", ".join(TrainConfig.model_fields)
        raise RecipeError(
            f"{path or 'the settings'}: {problems}; the keys are {known}"
        ) from err
