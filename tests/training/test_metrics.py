import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional.image import (
    spectral_angle_mapper,
    structural_similarity_index_measure,
)

from training.metrics.image import psnr, ssim
from training.metrics.spatial import radial_power, spectrum_ratio
from training.metrics.spectral import ndvi_squared_error, spectral_angle_deg

RANGE = 0.3


@pytest.fixture(name="pair")
def pair_fixture():
    rng = np.random.default_rng(0)
    target = rng.uniform(0.01, 0.3, (3, 40, 44))
    return target + rng.normal(0, 0.03, target.shape), target


@pytest.fixture(name="everywhere")
def everywhere_fixture(pair):
    return np.ones(pair[1].shape[1:], bool)


def test_psnr_equals_scikit_image(pair, everywhere):
    estimate, target = pair
    expected = peak_signal_noise_ratio(target, estimate, data_range=RANGE)
    assert psnr(estimate, target, everywhere, data_range=RANGE) == pytest.approx(expected)


def test_psnr_of_a_known_error(everywhere):
    target = np.zeros((2, *everywhere.shape))
    assert psnr(target + 0.03, target, everywhere, data_range=0.3) == pytest.approx(20)
    assert psnr(target, target, everywhere, data_range=0.3) == np.inf


def test_ssim_equals_scikit_image_inside_and_torchmetrics(pair, everywhere):
    estimate, target = pair
    ours = ssim(estimate, target, everywhere, data_range=RANGE)
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    theirs = structural_similarity(
        target, estimate, data_range=RANGE, channel_axis=0, **settings
    )
    assert ours == pytest.approx(theirs, abs=1e-9)
    _, full = structural_similarity_index_measure(
        torch.from_numpy(estimate)[None],
        torch.from_numpy(target)[None],
        data_range=RANGE,
        return_full_image=True,
    )
    assert ours == pytest.approx(float(full[..., 5:-5, 5:-5].mean()), abs=1e-6)


def test_spectral_angle_equals_torchmetrics(pair, everywhere):
    estimate, target = pair
    radians = spectral_angle_mapper(
        torch.from_numpy(estimate)[None], torch.from_numpy(target)[None]
    )
    ours = spectral_angle_deg(estimate, target, everywhere)
    assert ours == pytest.approx(np.degrees(float(radians)), abs=1e-6)


def test_spectral_angle_of_known_spectra():
    valid = np.ones((2, 2), bool)
    x = np.zeros((2, 2, 2))
    x[0] = 1
    y = x[::-1].copy()
    assert spectral_angle_deg(x, y, valid) == pytest.approx(90)
    assert spectral_angle_deg(3 * x, x, valid) == pytest.approx(0, abs=1e-6)
    x[:, 0, 0] = 0
    assert spectral_angle_deg(x, y, valid) == pytest.approx(90)
    assert np.isnan(spectral_angle_deg(np.zeros_like(x), y, valid))


def test_ndvi_error_of_known_bands_leaves_out_dark_water():
    nir, red = np.full((2, 2), 0.3), np.full((2, 2), 0.1)
    nir[0, 0], red[0, 0] = 0.005, 0.01
    estimate = (np.full((2, 2), 0.1), np.full((2, 2), 0.1))
    valid = np.ones((2, 2), bool)
    assert ndvi_squared_error(estimate, (nir, red), valid) == pytest.approx(0.25)
    assert np.isnan(ndvi_squared_error(estimate, (nir * 0, red * 0), valid))


def test_radial_power_keeps_the_power_of_white_noise():
    noise = np.random.default_rng(0).normal(0, 2, (1, 128, 128))
    frequencies, power = radial_power(noise, np.ones((128, 128), bool))
    assert frequencies[-1] == 0.5
    assert power.mean() == pytest.approx(4, rel=0.05)


def test_spectrum_ratio_is_the_square_of_a_gain_and_falls_with_blur():
    rng = np.random.default_rng(0)
    target = rng.normal(0, 1, (2, 48, 48))
    valid = np.ones((48, 48), bool)
    assert spectrum_ratio(0.5 * target, target, valid, ratio=3) == pytest.approx(0.25)
    coarse = target.reshape(2, 16, 3, 16, 3).mean(axis=(2, 4))
    blurred = np.kron(coarse, np.ones((3, 3)))
    assert spectrum_ratio(blurred, target, valid, ratio=3) < 0.3
    assert spectrum_ratio(np.ones_like(target), target, valid, ratio=3) == 0
    assert np.isnan(spectrum_ratio(target, np.ones_like(target), valid, ratio=3))


def test_unusable_pixels_change_no_metric(pair, everywhere):
    estimate, target = pair
    valid = everywhere.copy()
    valid[10:14, 20:30] = False
    spoiled_estimate, spoiled_target = (np.where(valid, x, np.nan) for x in pair)

    def scores(x, y):
        return (
            psnr(x, y, valid, data_range=RANGE),
            ssim(x, y, valid, data_range=RANGE),
            spectral_angle_deg(x, y, valid),
            ndvi_squared_error((x[0], x[1]), (y[0], y[1]), valid),
            spectrum_ratio(x, y, valid, ratio=3),
        )

    assert scores(spoiled_estimate, spoiled_target) == scores(estimate, target)
    assert scores(estimate, target) != scores(np.flip(estimate, 2), target)


def test_without_usable_pixels_there_is_no_score(pair):
    estimate, target = pair
    nowhere = np.zeros(target.shape[1:], bool)
    assert np.isnan(psnr(estimate, target, nowhere, data_range=RANGE))
    assert np.isnan(ssim(estimate, target, nowhere, data_range=RANGE))
    assert np.isnan(spectral_angle_deg(estimate, target, nowhere))
    assert np.isnan(spectrum_ratio(estimate, target, nowhere, ratio=3))
