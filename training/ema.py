"""Averages of weights over the steps of a training."""

import torch
from torch import Tensor, nn


class AveragedWeights:
    """Exponential moving average of a network's parameters.

    The decay ramps up as (1 + n) / (10 + n), so that early averages forget the initial
    weights.
    """

    def __init__(self, network: nn.Module, *, decay: float) -> None:
        self.decay = decay
        self.weights = {k: v.detach().clone() for k, v in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after optimizer step number `step`, from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in network.state_dict().items():
            self.weights[name].lerp_(value, 1 - decay)

    def restore(self, weights: dict[str, Tensor]) -> None:
        """Continue from saved averages."""
        for name, value in weights.items():
            self.weights[name].copy_(value)
