from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from stores.patch_store import PatchStore
from training.batch import Batch, Condition, Layer
from training.loader import SampleReader, usable_samples
from training.systems.baselines import Adjustment, fit_adjustment, spread, upsample


def batch_of(seed, gain=(1.1, 0.8), offset=(0.02, -0.01)):
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand((4, 2, 8, 8), generator=generator)
    target = upsample(image, 3) * torch.tensor(gain).view(1, 2, 1, 1)
    target = target + torch.tensor(offset).view(1, 2, 1, 1)
    return Batch(
        sample_ids=("a", "b", "c", "d"),
        condition=Condition(
            image=Layer(pixels=image, valid=torch.ones(4, 1, 8, 8, dtype=torch.bool)),
            season=torch.zeros(4, 2),
            extras={},
        ),
        target=Layer(pixels=target, valid=torch.ones(4, 1, 24, 24, dtype=torch.bool)),
        seeds=(0, 1, 2, 3),
    )


def test_upsampling_keeps_constants_and_inner_ramps():
    constant = torch.full((1, 2, 5, 6), 0.3)
    torch.testing.assert_close(upsample(constant, 3), torch.full((1, 2, 15, 18), 0.3))
    ramp = torch.arange(12.0).expand(1, 1, 12, 12)
    fine_centers = (torch.arange(36) + 0.5) / 3 - 0.5
    inside = slice(9, -9)
    torch.testing.assert_close(upsample(ramp, 3)[0, 0, 0][inside], fine_centers[inside])


def test_upsampling_equals_pillows_bicubic():
    image = np.random.default_rng(0).random((9, 7)).astype(np.float32)
    theirs = Image.fromarray(image).resize((21, 27), Image.Resampling.BICUBIC)
    ours = upsample(torch.from_numpy(image)[None, None], 3)[0, 0].numpy()
    np.testing.assert_allclose(ours, np.asarray(theirs), atol=1e-6)


def test_validity_spreads_to_the_fine_pixels_of_a_coarse_one():
    valid = torch.tensor([[[[True, False], [False, True]]]])
    expected = np.kron(valid[0, 0].numpy(), np.ones((3, 3), bool))
    np.testing.assert_array_equal(spread(valid, 3)[0, 0].numpy(), expected)


def test_the_adjustment_recovers_a_known_line():
    fitted = fit_adjustment([batch_of(0), batch_of(1)], 3)
    assert fitted.gain == pytest.approx((1.1, 0.8), abs=1e-4)
    assert fitted.offset == pytest.approx((0.02, -0.01), abs=1e-4)
    assert fitted.samples == 8
    applied = fitted.apply(upsample(batch_of(2).condition.image.pixels, 3))
    torch.testing.assert_close(applied, batch_of(2).target.pixels, atol=1e-4, rtol=0)


def test_the_adjustment_equals_numpy_least_squares_on_valid_pixels():
    batch = batch_of(0)
    generator = torch.Generator().manual_seed(9)
    noisy = batch.target.pixels + torch.randn(batch.target.pixels.shape, generator=generator)
    valid = torch.rand((4, 1, 24, 24), generator=generator) > 0.3
    noisy = torch.where(valid, noisy, torch.nan)
    fitted = fit_adjustment([replace(batch, target=Layer(pixels=noisy, valid=valid))], 3)
    x = upsample(batch.condition.image.pixels, 3)
    for band in range(2):
        known = valid[:, 0]
        slope, intercept = np.polyfit(x[:, band][known], noisy[:, band][known], 1)
        assert fitted.gain[band] == pytest.approx(slope, rel=1e-4)
        assert fitted.offset[band] == pytest.approx(intercept, abs=1e-4)
        left = noisy[:, band][known] - slope * x[:, band][known] - intercept
        assert fitted.residual_std[band] == pytest.approx(float(left.std()), rel=1e-3)


def test_a_condition_that_does_not_vary_gets_slope_one():
    batch = batch_of(0)
    flat = replace(batch.condition.image, pixels=torch.full((4, 2, 8, 8), 0.2))
    fitted = fit_adjustment([replace(batch, condition=replace(batch.condition, image=flat))], 3)
    assert fitted.gain == (1.0, 1.0)
    means = batch.target.pixels.mean(dim=(0, 2, 3)) - 0.2
    assert fitted.offset == pytest.approx(tuple(means.tolist()), abs=1e-5)


def test_the_adjustment_survives_json():
    fitted = fit_adjustment([batch_of(0)], 3)
    assert Adjustment.model_validate_json(fitted.model_dump_json()) == fitted


def test_a_models_adjustment_is_fitted_on_train_samples_only(store_of, train_tiny):
    uri = store_of()
    store = PatchStore.open(uri)
    model, _ = train_tiny(uri)
    inputs = model.spec.inputs

    def fit(split):
        reader = SampleReader(
            store, usable_samples(store, inputs, split=split), inputs, ram_bytes=1e9
        )
        return fit_adjustment([reader.whole(range(len(reader)))], 3)

    used = model.spec.adjustment
    assert used.samples == len(usable_samples(store, inputs, split="train"))
    assert used.gain == pytest.approx(fit("train").gain, rel=1e-6)
    assert used.gain != pytest.approx(fit("test").gain, rel=1e-6)
