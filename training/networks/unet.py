"""A convolutional U-Net on the coarse grid, around `diffusers.UNet2DModel`."""

import math
from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own idiom
from diffusers import UNet2DModel
from torch import Tensor, nn

TIME_SCALE = 1000.0
"""Times in [0, 1] are shown to the sinusoidal embedding times this; it cannot resolve less."""


class CoarseUNet(nn.Module):
    """Map fine bands and coarse conditions to fine bands, working on the coarse grid.

    Fine pixels are folded into channels (pixel-unshuffle, Shi et al. 2016,
    arXiv:1609.05158), so a network of the same width costs `ratio²` times less than on the
    fine grid. Without attention: what the network sees is bounded, so tiles can be blended.
    """

    def __init__(
        self,
        *,
        bands: int,
        context: int,
        ratio: int,
        channels: tuple[int, ...],
        layers: int,
    ) -> None:
        """Build the network; its last layer starts at zero, so it starts at zero output.

        Args:
            bands: Fine bands in and out.
            context: Coarse channels of the condition.
            ratio: Fine pixels per coarse pixel, along one side.
            channels: Width of each resolution; multiples of 8.
            layers: Residual blocks per resolution.
        """
        super().__init__()
        folded = bands * ratio**2
        self.ratio = ratio
        self.multiple = 2 ** (len(channels) - 1)
        build = cast("Callable[..., nn.Module]", UNet2DModel)  # diffusers has no types
        self.unet = build(
            in_channels=folded + context,
            out_channels=folded,
            block_out_channels=channels,
            layers_per_block=layers,
            down_block_types=("DownBlock2D",) * len(channels),
            up_block_types=("UpBlock2D",) * len(channels),
            add_attention=False,
            norm_num_groups=8,
        )

    def forward(self, state: Tensor, t: Tensor, context: Tensor) -> Tensor:
        """Return the estimate, shaped like `state`.

        Args:
            state: Noisy bands, `(batch, band, y * ratio, x * ratio)`.
            t: Time of each sample, `(batch,)`, in [0, 1].
            context: Condition, `(batch, channel, y, x)`, normalized.
        """
        stack = torch.cat([F.pixel_unshuffle(state, self.ratio), context], dim=1)
        height, width = stack.shape[-2:]
        pad = (0, -width % self.multiple, 0, -height % self.multiple)
        padded = F.pad(stack, pad, mode="replicate") if any(pad) else stack
        estimate: Tensor = self.unet(padded, t * TIME_SCALE).sample
        return F.pixel_shuffle(estimate[..., :height, :width], self.ratio)


def initialize(network: CoarseUNet, generator: torch.Generator) -> None:
    """Draw the weights as torch's own layers do, but from `generator`; zero the last layer."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5), generator=generator)
            if module.bias is not None:
                bound = 1 / math.sqrt(module.weight[0].numel())
                nn.init.uniform_(module.bias, -bound, bound, generator=generator)
    for parameter in network.unet.get_submodule("conv_out").parameters():
        nn.init.zeros_(parameter)
