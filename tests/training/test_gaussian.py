import math

import pytest
import torch

from training.processes import gaussian


def normal(shape, seed):
    return torch.randn(
        shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


def ideal_denoiser(mean, variance):
    """The posterior mean of N(mean, variance) data, in closed form."""

    def denoise(state, t):
        alpha, sigma = (float(v) for v in gaussian.scales(torch.tensor(t, dtype=torch.float64)))
        gain = alpha * variance / (alpha**2 * variance + sigma**2)
        return mean + gain * (state - alpha * mean)

    return denoise


def test_scales_run_from_data_to_exactly_pure_noise():
    alpha, sigma = gaussian.scales(torch.linspace(0, 1, 101, dtype=torch.float64))
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(alpha))
    assert (alpha[0], sigma[0]) == (1, 0)
    assert (alpha[-1], sigma[-1]) == (0, 1)
    assert (alpha.diff() < 0).all()


def test_diffuse_mixes_each_sample_at_its_own_time():
    clean, noise = normal((3, 2, 4, 4), 0), normal((3, 2, 4, 4), 1)
    t = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    state = gaussian.diffuse(clean, noise, t)
    torch.testing.assert_close(state[0], clean[0])
    torch.testing.assert_close(state[1], math.sqrt(0.5) * (clean[1] + noise[1]))
    torch.testing.assert_close(state[2], noise[2])


@pytest.mark.parametrize(("t", "s"), [(1.0, 0.75), (0.9, 0.3), (0.5, 0.49)])
def test_a_reverse_step_from_the_truth_lands_on_the_forward_distribution(t, s):
    clean = torch.full((1, 1, 400, 500), 0.7, dtype=torch.float64)
    times = torch.tensor([t], dtype=torch.float64)
    state = gaussian.diffuse(clean, normal(clean.shape, 0), times)
    drawn = gaussian.reverse(state, clean, (t, s), normal(clean.shape, 1))
    alpha, sigma = (float(v) for v in gaussian.scales(torch.tensor(s, dtype=torch.float64)))
    assert float(drawn.mean()) == pytest.approx(alpha * 0.7, abs=0.01)
    assert float(drawn.std()) == pytest.approx(sigma, rel=0.01)


@pytest.mark.parametrize(("mean", "variance"), [(0.0, 1.0), (2.0, 0.25), (-1.0, 4.0)])
def test_the_sampler_is_exact_on_a_gaussian_with_its_ideal_denoiser(mean, variance):
    shape, steps = (1, 1, 100, 200), 200
    noises = [normal(shape, i) for i in range(steps)]
    denoise = ideal_denoiser(mean, variance)
    drawn = gaussian.draw(denoise, gaussian.even_times(steps), noises)
    assert float(drawn.mean()) == pytest.approx(mean, abs=0.05)
    assert float(drawn.var()) == pytest.approx(variance, rel=0.05)


def test_one_step_from_pure_noise_is_the_posterior_mean():
    denoise = ideal_denoiser(3.0, 2.0)
    drawn = gaussian.draw(denoise, gaussian.even_times(1), [normal((1, 1, 8, 8), 0)])
    torch.testing.assert_close(drawn, torch.full_like(drawn, 3.0))


def test_the_sampler_returns_what_an_oracle_knows():
    clean = normal((2, 3, 8, 8), 0)
    noises = [normal(clean.shape, i) for i in range(5)]
    drawn = gaussian.draw(lambda *_: clean, gaussian.even_times(5), noises)
    torch.testing.assert_close(drawn, clean)


def test_noises_must_number_the_steps():
    with pytest.raises(ValueError, match="3 steps need 3 noises, got 1"):
        gaussian.draw(lambda state, _: state, gaussian.even_times(3), [normal((1, 1, 2, 2), 0)])
