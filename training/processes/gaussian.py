"""The variance-preserving Gaussian process in continuous time, from data to pure noise.

`x_t = alpha(t) x_0 + sigma(t) noise` with `alpha = cos(pi t / 2)` and `sigma = sin(pi t / 2)`
(the cosine schedule of Nichol and Dhariwal 2021, arXiv:2102.09672, without its offset). At
`t = 1` the state is exactly pure noise (zero terminal signal-to-noise ratio, Lin et al.
2024, arXiv:2305.08891), so it tells nothing about `x_0`.
"""

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Denoiser = Callable[[Tensor, float], Tensor]
"""`(x_t, t) -> estimate of x_0`, both `(batch, channel, y, x)`."""


def scales(t: Tensor) -> tuple[Tensor, Tensor]:
    """Return `alpha(t)` and `sigma(t)`, shaped like `t`; `alpha² + sigma² = 1`.

    `alpha(1)` is exactly zero.
    """
    angle = t * (math.pi / 2)
    alpha = torch.where(t >= 1, torch.zeros_like(t), torch.cos(angle))
    return alpha, torch.sin(angle)


def diffuse(clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """Return `x_t`, the forward process at time `t`.

    Args:
        clean: `x_0`, `(batch, channel, y, x)`, normalized units.
        noise: Standard normal, shaped like `clean`.
        t: Time of each sample in [0, 1], `(batch,)`.
    """
    alpha, sigma = scales(t)
    column = (-1, 1, 1, 1)
    return alpha.view(column) * clean + sigma.view(column) * noise


def reverse(state: Tensor, clean: Tensor, times: tuple[float, float], fresh: Tensor) -> Tensor:
    """Return a draw of `x_s` given `x_t` and `x_0`: one ancestral step from `t` down to `s`.

    The variance is that of the posterior `q(x_s | x_t, x_0)`: eq. 7 of Ho et al. 2020
    (arXiv:2006.11239) in continuous time, equal to eq. 16 of Song et al. 2021
    (arXiv:2010.02502) with eta = 1.

    Args:
        state: `x_t`, `(batch, channel, y, x)`.
        clean: `x_0`, or a denoiser's estimate of it.
        times: `(t, s)` with `t > s >= 0`.
        fresh: Standard normal, shaped like `state`; zero asks for the posterior's mean.
    """
    t, s = (scales(torch.tensor(time, dtype=torch.float64)) for time in times)
    (alpha_t, sigma_t), (alpha_s, sigma_s) = (map(float, pair) for pair in (t, s))
    decay = alpha_t / alpha_s
    spread = sigma_s / sigma_t * math.sqrt(max(0.0, 1.0 - decay**2))
    kept = math.sqrt(max(0.0, sigma_s**2 - spread**2))
    noise = (state - alpha_t * clean) / sigma_t
    return alpha_s * clean + kept * noise + spread * fresh


def even_times(steps: int) -> list[float]:
    """Return `steps + 1` times from 1 down to 0, equally far apart."""
    return [1.0 - i / steps for i in range(steps)] + [0.0]


def draw(denoise: Denoiser, times: Sequence[float], noises: Sequence[Tensor]) -> Tensor:
    """Return one sample of `x_0`, walking the process back along `times`.

    Args:
        denoise: Estimates `x_0` from `(x_t, t)`.
        times: Falling, from 1 to 0; one call of `denoise` per step.
        noises: Standard normal tensors, `(batch, channel, y, x)`: the state at `t = 1`,
            then one for each step but the last.

    Raises:
        ValueError: If the noises do not number the steps.
    """
    if len(noises) != len(times) - 1:
        raise ValueError(
            f"{len(times) - 1} steps need {len(times) - 1} noises, got {len(noises)}"
        )
    state = noises[0]
    last = len(times) - 2
    for i, (t, s) in enumerate(itertools.pairwise(times)):
        clean = denoise(state, t)
        if i == last:
            return clean
        state = reverse(state, clean, (t, s), noises[i + 1])
    raise ValueError(f"times must hold at least two values, got {list(times)}")
