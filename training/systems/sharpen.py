"""Sharpen: a conditional diffusion model of what upsampled Landsat lacks.

The model's `x_0` is the normalized residual between the target and the bicubic, per-band
adjusted condition. Half the training draws lie at pure noise, where the best estimate of
`x_0` is the mean of the posterior p(target | condition): one step from there is the default
product. More steps draw samples of that posterior, sharper and less exact: perception and
distortion trade off (Blau and Michaeli 2018, arXiv:1711.06077).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own idiom
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from stores.statistics import TaskStatistics
from training.batch import Batch, Condition, Layer
from training.inputs import Inputs, pixel_ratio
from training.loader import SampleReader
from training.losses.pixel import squared_error
from training.networks.unet import CoarseUNet
from training.normalize import Normalizer, column
from training.processes import gaussian
from training.systems.baselines import Adjustment, fit_adjustment, spread, upsample

FIT_SAMPLES = 512
"""Train samples that the per-band adjustment is fitted to, at most."""


class SharpenSpec(BaseModel):
    """Everything but weights that a trained `Sharpen` is made of; part of its card."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs: Inputs
    """Layers and bands."""
    ratio: int
    """Target pixels per condition pixel, along one side."""
    extra_ratios: tuple[float, ...]
    """Condition pixel over the extra layer's pixel, for each extra layer."""
    condition: Normalizer
    """Of the condition layer."""
    extras: tuple[Normalizer, ...]
    """Of the extra layers."""
    adjustment: Adjustment
    """From upsampled condition to target, fitted on train samples."""
    channels: tuple[int, ...]
    """Width of the network at each resolution."""
    layers_per_block: int
    """Residual blocks per resolution."""
    pure_noise_share: float
    """Share of training draws at pure noise."""

    @property
    def context_channels(self) -> int:
        """Coarse channels of the condition: bands, validity, season, extra layers."""
        folds = [max(1, round(ratio)) ** 2 for ratio in self.extra_ratios]
        widths = [len(extra.bands) + 1 for extra in self.extras]
        return len(self.inputs.bands) + 3 + sum(map(int.__mul__, folds, widths))


class Sharpen(nn.Module):
    """The `sharpen` system: its loss on a batch, its posterior mean, its samples."""

    def __init__(self, spec: SharpenSpec) -> None:
        super().__init__()
        self.spec = spec
        self.network = CoarseUNet(
            bands=len(spec.inputs.bands),
            context=spec.context_channels,
            ratio=spec.ratio,
            channels=spec.channels,
            layers=spec.layers_per_block,
        )

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def forward(self, batch: Batch) -> Tensor:
        """Return the loss: squared error of `x_0` over valid pixels, at random times."""
        base = self.base(batch.condition)
        valid = batch.target.valid & spread(batch.condition.image.valid, self.spec.ratio)
        scale = column(self.spec.adjustment.residual_std, base)
        residual = torch.where(valid, (batch.target.pixels - base) / scale, 0.0)
        t, noise = self._draw_training_noise(batch.seeds, residual)
        state = gaussian.diffuse(residual, noise, t)
        estimate = self._denoise(state, t, self._context(batch.condition))
        return squared_error(estimate.float(), residual, valid)

    def base(self, condition: Condition) -> Tensor:
        """Return the adjusted bicubic, `(batch, band, y, x)`, physical units."""
        return self.spec.adjustment.apply(upsample(condition.image.pixels, self.spec.ratio))

    @torch.no_grad()
    def posterior_mean(self, condition: Condition) -> Tensor:
        """Return the one-step posterior mean, `(batch, band, y, x)`, physical units.

        The work is done where the weights are, the result lies where the condition does.
        """
        seen = condition.to(self.device)
        base = self.base(seen)
        t = torch.ones(len(base), device=base.device)
        clean = self._denoise(torch.zeros_like(base), t, self._context(seen))
        image = base + clean.float() * column(self.spec.adjustment.residual_std, base)
        return image.to(condition.season.device)

    @torch.no_grad()
    def sample(self, condition: Condition, noises: Sequence[Tensor]) -> Tensor:
        """Return one sample of the posterior, `(batch, band, y, x)`, physical units.

        Args:
            condition: What the model sees.
            noises: Standard normal tensors shaped like the result, one per step.
        """
        seen = condition.to(self.device)
        base, context = self.base(seen), self._context(seen)

        def denoise(state: Tensor, t: float) -> Tensor:
            moment = torch.full((len(state),), t, device=state.device)
            return self._denoise(state, moment, context).float()

        times = gaussian.even_times(len(noises))
        clean = gaussian.draw(denoise, times, [noise.to(self.device) for noise in noises])
        image = base + clean * column(self.spec.adjustment.residual_std, base)
        return image.to(condition.season.device)

    def _denoise(self, state: Tensor, t: Tensor, context: Tensor) -> Tensor:
        """Estimate `x_0`. At pure noise the state says nothing, so the network sees zeros.

        That changes no posterior mean, frees the network from learning to ignore its input,
        and makes the one-step product a function of the condition alone.
        """
        informative = (t < 1).view(-1, 1, 1, 1)
        estimate: Tensor = self.network(torch.where(informative, state, 0.0), t, context)
        return estimate

    def _context(self, condition: Condition) -> Tensor:
        """Return all conditions as channels on the coarse grid."""
        image = condition.image
        height, width = image.pixels.shape[-2:]
        season = condition.season[:, :, None, None].expand(-1, -1, height, width)
        parts = [self.spec.condition.normalize(image.pixels), image.valid.float(), season]
        names = self.spec.inputs.extras
        for name, ratio, scale in zip(
            names, self.spec.extra_ratios, self.spec.extras, strict=True
        ):
            parts.append(_on_coarse_grid(condition.extras[name], scale, ratio))
        return torch.cat(parts, dim=1)

    def _draw_training_noise(self, seeds: Sequence[int], like: Tensor) -> tuple[Tensor, Tensor]:
        """Return time and noise of each sample, from its own seed: `(batch,)` and `like`."""
        times, noises = [], []
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed)
            times.append(torch.rand((), generator=generator))
            noises.append(torch.randn(like.shape[1:], generator=generator))
        uniform, share = torch.stack(times), self.spec.pure_noise_share
        t = torch.where(uniform < share, 1.0, (1 - uniform) / max(1 - share, 1e-9))
        return t.to(like.device), torch.stack(noises).to(like.device)


def _on_coarse_grid(layer: Layer, scale: Normalizer, ratio: float) -> Tensor:
    """Return a layer's normalized pixels and validity as channels on the coarse grid."""
    valid = layer.valid.float()
    pixels = torch.where(layer.valid, scale.normalize(layer.pixels), 0.0)
    channels = torch.cat([pixels, valid], dim=1)
    if ratio > 1:
        return F.pixel_unshuffle(channels, round(ratio))
    return F.interpolate(channels, scale_factor=1 / ratio, mode="nearest")


def fit_sharpen(
    reader: SampleReader,
    statistics: TaskStatistics,
    *,
    channels: tuple[int, ...],
    layers_per_block: int,
    pure_noise_share: float,
) -> SharpenSpec:
    """Return a spec whose constants are those of a store's train samples.

    Args:
        reader: Train samples, and only those; at most `FIT_SAMPLES`, evenly chosen, set the
            adjustment.
        statistics: Of the store, per layer, from train samples.
        channels: Width of the network at each resolution.
        layers_per_block: Residual blocks per resolution.
        pure_noise_share: Share of training draws at pure noise.
    """
    inputs, layers = reader.inputs, reader.layers
    seen = layers[inputs.condition]
    ratio = pixel_ratio(seen, layers[inputs.target])
    count = min(len(reader), FIT_SAMPLES)
    chosen = [i * len(reader) // count for i in range(count)]
    whole = (reader.whole(chosen[i : i + 8]) for i in range(0, count, 8))
    return SharpenSpec(
        inputs=inputs,
        ratio=ratio,
        extra_ratios=tuple(seen.gsd_m / layers[n].gsd_m for n in inputs.extras),
        condition=Normalizer.from_statistics(statistics[inputs.condition], inputs.bands),
        extras=tuple(
            Normalizer.from_statistics(statistics[n], layers[n].band_keys)
            for n in inputs.extras
        ),
        adjustment=fit_adjustment(whole, ratio),
        channels=channels,
        layers_per_block=layers_per_block,
        pure_noise_share=pure_noise_share,
    )
