"""Noise that depends on names, not on order: the same sample gets the same draw anywhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import torch
from torch import Tensor

BLOCK_PX = 96
"""Side of the blocks of a field of noise, pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """How samples of the posterior are drawn."""

    steps: int = 4
    """Steps of the sampler."""
    members: int = 4
    """Samples whose mean is `model_ensemble`; the first one is `model_sample`."""
    seed: int = 0
    """Of all noise; a sample's noise depends on it, its id and the member, nothing else."""


def noise_seed(seed: int, name: str, member: int) -> int:
    """Return a generator seed for one member of one named ensemble."""
    digest = blake2b(f"{seed}/{name}/{member}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 2


def named_noise(
    names: Sequence[str], shape: Sequence[int], steps: int, *, seed: int, member: int = 0
) -> list[Tensor]:
    """Return standard normal tensors for a sampler, `(len(names), *shape)`, one per step.

    Args:
        names: Ids of the samples in a batch; each decides its own row.
        shape: Of one sample, `(band, y, x)`.
        steps: Steps of the sampler.
        seed: Of all draws.
        member: Which member of an ensemble.
    """
    rows = [
        torch.randn(
            (steps, *shape),
            generator=torch.Generator().manual_seed(noise_seed(seed, name, member)),
        )
        for name in names
    ]
    return list(torch.stack(rows, dim=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseField:
    """Noise over a whole plane: a pixel's noise depends on where it is, not on who asks.

    So tiles that overlap draw the same sample where they do, and a map does not depend on
    how it was cut.
    """

    name: str
    """Of the plane: a CRS and an anchor."""
    bands: int
    draws: Draws
    member: int

    def window(self, row: int, col: int, height: int, width: int) -> list[Tensor]:
        """Return the noise of a window, `(1, band, height, width)` for each step.

        Args:
            row: First row, counted from the origin of the plane; may be negative.
            col: First column, likewise.
            height: Rows.
            width: Columns.
        """
        first_row, first_col = row // BLOCK_PX, col // BLOCK_PX
        strips = [
            torch.cat(
                [
                    self._block(y, x)
                    for x in range(first_col, (col + width - 1) // BLOCK_PX + 1)
                ],
                dim=-1,
            )
            for y in range(first_row, (row + height - 1) // BLOCK_PX + 1)
        ]
        top, left = row - first_row * BLOCK_PX, col - first_col * BLOCK_PX
        field = torch.cat(strips, dim=-2)[..., top : top + height, left : left + width]
        return list(field)

    def _block(self, y: int, x: int) -> Tensor:
        noises = named_noise(
            [f"{self.name}/{y}/{x}"],
            (self.bands, BLOCK_PX, BLOCK_PX),
            self.draws.steps,
            seed=self.draws.seed,
            member=self.member,
        )
        return torch.stack(noises)
