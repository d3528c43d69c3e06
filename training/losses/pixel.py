"""Losses that compare pixel by pixel."""

import torch
from torch import Tensor


def squared_error(estimate: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Return the mean squared error over valid pixels, a scalar; zero if there are none.

    Its minimizer is the posterior mean.

    Args:
        estimate: `(batch, band, y, x)`, normalized units.
        target: Shaped like `estimate`; anything, even NaN, where not valid.
        valid: `(batch, 1, y, x)`, True = usable.
    """
    difference = torch.where(valid, estimate - target, torch.zeros_like(estimate))
    count = valid.sum() * estimate.shape[1]
    return difference.square().sum() / count.clamp(min=1)
