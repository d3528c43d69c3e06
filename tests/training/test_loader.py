from itertools import islice

import numpy as np
import pytest
import torch

from catalog.errors import StoreError
from stores.patch_store import PatchStore
from training.batch import View, fill_nearest, season_of
from training.inputs import Inputs, choose_inputs
from training.loader import BatchStream, SampleReader, usable_samples

INPUTS = Inputs(condition="landsat", target="sentinel2", bands=("nir", "red"))


@pytest.fixture(name="open_reader")
def open_reader_fixture(store_of):
    def open_reader(inputs=INPUTS, ram_bytes=1e9, **world):
        store = PatchStore.open(store_of(**world))
        samples = usable_samples(store, inputs, split="train")
        return SampleReader(store, samples, inputs, ram_bytes=ram_bytes)

    return open_reader


def stream_of(reader, seed=0, batch_size=6, crop_px=24):
    return BatchStream(reader, batch_size=batch_size, crop_px=crop_px, seed=seed)


def assert_equal(mine, theirs):
    assert mine.sample_ids == theirs.sample_ids
    assert mine.seeds == theirs.seeds
    torch.testing.assert_close(mine.target.pixels, theirs.target.pixels)
    torch.testing.assert_close(mine.condition.image.pixels, theirs.condition.image.pixels)
    torch.testing.assert_close(mine.condition.season, theirs.condition.season)


def test_whole_samples_are_the_stores_in_physical_units(open_reader, store_of):
    reader = open_reader()
    batch = reader.whole([3, 0])
    sample = PatchStore.open(store_of()).sample(batch.sample_ids[0])
    seen = sample["sentinel2"]["pixels"].sel(band=["nir", "red"]).to_numpy()
    np.testing.assert_allclose(batch.target.pixels[0].numpy(), seen, atol=1e-6)
    assert batch.target.valid.all()
    assert batch.condition.image.pixels.shape == (2, 2, 16, 16)


def test_a_batch_depends_on_its_number_alone(open_reader):
    reader = open_reader()
    straight = list(islice(stream_of(reader).batches(0), 7))
    resumed = list(islice(stream_of(reader).batches(4), 3))
    for mine, theirs in zip(straight[4:], resumed, strict=True):
        assert_equal(mine, theirs)
    other = stream_of(reader, seed=1).batch(0)
    assert other.seeds != straight[0].seeds


def test_reading_ahead_from_the_store_equals_reading_from_memory(open_reader):
    held, streamed = open_reader(), open_reader(ram_bytes=0)
    assert held._held is not None
    assert streamed._held is None
    for number in range(3):
        assert_equal(stream_of(held).batch(number), stream_of(streamed).batch(number))


def test_each_epoch_shows_every_sample_once_in_another_order(open_reader):
    reader = open_reader()
    stream = stream_of(reader, batch_size=4)
    per_epoch = len(reader) // 4
    epochs = [
        [
            i
            for n in range(e * per_epoch, (e + 1) * per_epoch)
            for i in stream.batch(n).sample_ids
        ]
        for e in range(2)
    ]
    assert len(reader) % 4 == 0
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(reader.sample_ids)
    assert epochs[0] != epochs[1]


def test_shares_of_processes_make_up_the_batch(open_reader):
    stream = stream_of(open_reader())
    whole = stream.batch(2)
    first, second = (stream.batch(2, slice(rank, None, 2)) for rank in range(2))
    assert first.seeds == whole.seeds[::2]
    torch.testing.assert_close(second.target.pixels, whole.target.pixels[1::2])


@pytest.mark.parametrize("turn", range(8))
def test_turns_and_crops_keep_all_layers_on_the_same_ground(open_reader, turn):
    inputs = choose_inputs(
        open_reader(radar=True)._source.schema,
        condition="landsat",
        target="sentinel2",
        bands=("red",),
        extras=("sentinel1",),
    )
    reader = open_reader(inputs, radar=True)
    view = View(west_m=60, north_m=90, side_m=240, turn=turn)
    batch = reader.read([0], [view], [0])
    plain = reader.whole([0])

    def turned(image, gsd):
        cut = image[..., 90 // gsd : 330 // gsd, 60 // gsd : 300 // gsd]
        quarter = torch.rot90(cut, turn % 4, (-2, -1))
        return quarter.flip(-1) if turn >= 4 else quarter

    fine, coarse = plain.target.pixels, plain.condition.image.pixels
    radar = plain.condition.extras["sentinel1"].pixels
    torch.testing.assert_close(batch.target.pixels, turned(fine, 10))
    torch.testing.assert_close(batch.condition.image.pixels, turned(coarse, 30))
    torch.testing.assert_close(batch.condition.extras["sentinel1"].pixels, turned(radar, 10))


def test_crops_begin_on_whole_pixels_of_the_coarsest_layer(open_reader):
    stream = stream_of(open_reader(), crop_px=25)
    assert stream.side_m == 240
    corners = {stream._place(i)[1].west_m for i in range(200)}
    assert corners == {30.0 * i for i in range(9)}
    assert stream_of(open_reader(), crop_px=500).side_m == 480


def test_unusable_pixels_are_filled_and_marked(open_reader):
    reader = open_reader(cloudy=True)
    cloudy = [reader.whole([i]) for i in range(len(reader))]
    assert all(torch.isfinite(b.condition.image.pixels).all() for b in cloudy)
    assert all(torch.isfinite(b.target.pixels).all() for b in cloudy)
    assert any(not b.target.valid.all() for b in cloudy)
    assert all((b.target.pixels[:, :1][~b.target.valid] == 0).all() for b in cloudy)


def test_filling_takes_the_nearest_usable_value():
    pixels = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    valid = np.ones((3, 4), bool)
    valid[0, 1] = valid[2, 3] = False
    filled = fill_nearest(np.where(valid, pixels, np.nan), valid)
    assert filled[0, 0, 1] in {0.0, 2.0, 5.0}
    assert filled[0, 2, 3] in {7.0, 10.0}
    np.testing.assert_array_equal(filled[0][valid], pixels[0][valid])
    assert (fill_nearest(np.full_like(pixels, np.nan), ~valid & valid) == 0).all()


def test_the_season_goes_round(open_reader):
    times = PatchStore.select(open_reader()._source)["landsat_time"]
    angles = season_of(list(times))
    np.testing.assert_allclose((angles**2).sum(axis=1), 1, atol=1e-6)
    day = times.iloc[0].day_of_year
    assert angles[0, 0] == pytest.approx(np.sin(2 * np.pi * day / 365.25), abs=1e-6)


def test_shared_bands_are_chosen_in_the_targets_order(open_reader):
    schema = open_reader()._source.schema
    names = {"condition": "landsat", "target": "sentinel2", "extras": ()}
    assert choose_inputs(schema, bands=None, **names).bands == ("blue", "green", "red", "nir")
    with pytest.raises(StoreError, match="bands swir1 must be in both layers"):
        choose_inputs(schema, bands=("red", "swir1"), **names)
    with pytest.raises(StoreError, match="whole multiple"):
        choose_inputs(schema, bands=None, condition="sentinel2", target="landsat", extras=())
    with pytest.raises(StoreError, match="no layer 'modis'"):
        choose_inputs(schema, bands=None, **(names | {"target": "modis"}))


def test_a_split_without_samples_is_refused(store_of):
    store = PatchStore.open(store_of())
    none = usable_samples(store, INPUTS, split="buffer")
    with pytest.raises(StoreError, match="no such sample with both 'landsat' and 'sentinel2'"):
        SampleReader(store, none, INPUTS, ram_bytes=1e9)
