from dataclasses import replace

import pytest
import torch

from stores.patch_store import PatchStore
from training.batch import Layer
from training.loader import SampleReader, usable_samples
from training.noise import named_noise
from training.normalize import Normalizer
from training.processes import gaussian


@pytest.fixture(name="case", scope="module")
def case_fixture(store_of, train_tiny):
    """A model that sees radar too, and four cloudy samples."""
    uri = store_of(cloudy=True, radar=True)
    model, _ = train_tiny(uri, extras=("sentinel1",), steps=20)
    store, inputs = PatchStore.open(uri), model.spec.inputs
    samples = usable_samples(store, inputs, split="train")
    reader = SampleReader(store, samples, inputs, ram_bytes=1e9)
    return model, reader.whole([0, 1, 2, 3])


def test_unusable_pixels_never_reach_the_loss_or_the_weights(case):
    model, batch = case
    assert not batch.target.valid.all()
    spoiled = torch.where(batch.target.valid, batch.target.pixels, torch.nan)
    results = []
    for pixels in (batch.target.pixels, spoiled):
        model.zero_grad()
        loss = model(replace(batch, target=Layer(pixels=pixels, valid=batch.target.valid)))
        loss.backward()
        gradients = torch.cat([p.grad.flatten() for p in model.parameters()])
        results.append((loss.detach(), gradients))
    model.zero_grad()
    assert torch.isfinite(results[1][0])
    torch.testing.assert_close(results[0], results[1], atol=0, rtol=0)


def test_a_sample_is_predicted_alike_alone_and_in_any_batch(case):
    model, batch = case
    together = model.posterior_mean(batch.condition)
    noises = named_noise(batch.sample_ids, together.shape[1:], 2, seed=0)
    drawn = model.sample(batch.condition, noises)
    order = [2, 0, 3, 1]
    for position in order:
        alone = _pick(batch.condition, [position])
        own = named_noise([batch.sample_ids[position]], together.shape[1:], 2, seed=0)
        torch.testing.assert_close(
            model.posterior_mean(alone)[0], together[position], atol=1e-5, rtol=1e-4
        )
        torch.testing.assert_close(
            model.sample(alone, own)[0], drawn[position], atol=1e-4, rtol=1e-3
        )


def test_noise_belongs_to_a_name_and_a_member():
    ids = ["a", "b", "c"]
    first = named_noise(ids, (2, 4, 4), 3, seed=0)
    turned = named_noise(ids[::-1], (2, 4, 4), 3, seed=0)
    for mine, theirs in zip(first, turned, strict=True):
        torch.testing.assert_close(mine.flip(0), theirs)
    other = named_noise(ids, (2, 4, 4), 3, seed=0, member=1)
    assert not torch.equal(first[0], other[0])
    assert not torch.equal(first[0], first[1])


def test_one_step_of_the_sampler_is_the_posterior_mean_whatever_the_noise(case):
    model, batch = case
    mean = model.posterior_mean(batch.condition)
    drawn = model.sample(batch.condition, [torch.randn(mean.shape)])
    torch.testing.assert_close(drawn, mean)


def test_half_of_the_draws_lie_at_pure_noise_and_the_rest_anywhere(case):
    model, _ = case
    seeds = tuple(range(2000))
    t, noise = model._draw_training_noise(seeds, torch.zeros(2000, 1, 4, 4))
    assert float((t == 1).float().mean()) == pytest.approx(0.5, abs=0.05)
    rest = t[t < 1]
    assert float(rest.mean()) == pytest.approx(0.5, abs=0.05)
    assert float(noise.std()) == pytest.approx(1, abs=0.02)


def test_an_absent_extra_layer_is_zero_and_marked(case):
    model, batch = case
    radar = batch.condition.extras["sentinel1"]
    gone = Layer(pixels=torch.full_like(radar.pixels, 7.0), valid=radar.valid & False)
    contexts = [
        model._context(replace(batch.condition, extras={"sentinel1": layer}))
        for layer in (radar, gone)
    ]
    assert contexts[0].shape == contexts[1].shape == (4, 4 + 3 + 18, 16, 16)
    assert (contexts[1][:, 7:] == 0).all()
    assert (contexts[0][:, 7:] != 0).any()


def test_radar_is_normalized_in_decibels(case):
    model, batch = case
    [scale] = model.spec.extras
    assert scale.scale == "decibel"
    normalized = scale.normalize(batch.condition.extras["sentinel1"].pixels)
    assert float(normalized.mean()) == pytest.approx(0, abs=0.3)
    assert float(normalized.std()) == pytest.approx(1, abs=0.3)
    restored = scale.restore(normalized)
    torch.testing.assert_close(restored, batch.condition.extras["sentinel1"].pixels)


def test_normalizing_and_restoring_cancel():
    scale = Normalizer(bands=("red", "nir"), mean=(0.1, 0.3), std=(0.05, 0.1))
    physical = torch.rand(2, 2, 4, 4)
    torch.testing.assert_close(scale.restore(scale.normalize(physical)), physical)
    assert scale.normalize(torch.tensor([0.15, 0.2]).view(1, 2, 1, 1)).flatten().tolist() == (
        pytest.approx([1.0, -1.0])
    )


def test_odd_sizes_keep_their_shape(case):
    model, batch = case
    condition = batch.condition
    image = Layer(
        pixels=condition.image.pixels[..., :13, :11], valid=condition.image.valid[..., :13, :11]
    )
    radar = condition.extras["sentinel1"]
    extras = {
        "sentinel1": Layer(pixels=radar.pixels[..., :39, :33], valid=radar.valid[..., :39, :33])
    }
    mean = model.posterior_mean(replace(condition, image=image, extras=extras))
    assert mean.shape == (4, 4, 39, 33)


def test_more_steps_walk_the_same_process(case):
    model, batch = case
    shape = batch.target.pixels.shape
    noises = named_noise(batch.sample_ids, shape[1:], 3, seed=0)
    residuals = gaussian.draw(
        lambda state, t: model._denoise(
            state, torch.full((4,), t), model._context(batch.condition)
        ),
        gaussian.even_times(3),
        noises,
    )
    scale = torch.tensor(model.spec.adjustment.residual_std).view(1, -1, 1, 1)
    expected = model.base(batch.condition) + residuals * scale
    torch.testing.assert_close(model.sample(batch.condition, noises), expected)


def _pick(condition, positions):
    def layer(whole):
        return Layer(pixels=whole.pixels[positions], valid=whole.valid[positions])

    return replace(
        condition,
        image=layer(condition.image),
        season=condition.season[positions],
        extras={name: layer(extra) for name, extra in condition.extras.items()},
    )
