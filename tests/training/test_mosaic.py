import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from training.mosaic import Tile, blend, fine, hann_ramp, lay_tiles, tile_weights

RATIO = 3


def cut(image, tile):
    return image[:, fine(tile.rows, RATIO), fine(tile.cols, RATIO)]


@settings(max_examples=30, deadline=None)
@given(
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    size=st.integers(2, 24),
    data=st.data(),
)
def test_tiles_cover_the_grid_and_their_weights_become_one(height, width, size, data):
    overlap = data.draw(st.integers(0, size - 1))
    tiles = lay_tiles(height, width, size=size, overlap=overlap)
    ones = blend(
        tiles,
        (1, height * RATIO, width * RATIO),
        ratio=RATIO,
        predict=lambda t: np.ones((1, t.height * RATIO, t.width * RATIO), np.float32),
    )
    np.testing.assert_allclose(ones, 1, atol=1e-6)
    assert all(tile_weights(tile, RATIO).min() > 0 for tile in tiles)


def test_shifted_hann_windows_add_up_to_one():
    window = hann_ramp(24)
    np.testing.assert_allclose(window[:12] + window[12:], 1, atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(40, 37), (16, 50), (10, 10)])
def test_constants_and_ramps_are_reproduced(height, width):
    y, x = np.mgrid[: height * RATIO, : width * RATIO]
    image = np.stack([np.full(x.shape, 0.25), x / 100, y / 100]).astype(np.float32)
    tiles = lay_tiles(height, width, size=16, overlap=5)
    mosaic = blend(tiles, image.shape, ratio=RATIO, predict=lambda t: cut(image, t))
    np.testing.assert_allclose(mosaic, image, atol=1e-6)


def test_a_local_method_gives_the_same_tiled_and_whole_away_from_tile_edges():
    rng = np.random.default_rng(0)
    image = rng.normal(size=(1, 120, 120)).astype(np.float32)

    def local(x):
        return ndimage.uniform_filter(x, (0, 3, 3), mode="nearest")

    tiles = lay_tiles(40, 40, size=16, overlap=8)
    mosaic = blend(tiles, image.shape, ratio=RATIO, predict=lambda t: local(cut(image, t)))
    whole = local(image)
    weights_at_edges = hann_ramp(48)[0]
    np.testing.assert_allclose(mosaic, whole, atol=3 * weights_at_edges * np.abs(image).max())


def test_the_order_of_tiles_does_not_matter():
    rng = np.random.default_rng(0)
    tiles = lay_tiles(30, 30, size=16, overlap=6)
    looks = {t: rng.normal(size=(2, 48, 48)).astype(np.float32) for t in tiles}
    mosaics = [
        blend(order, (2, 90, 90), ratio=RATIO, predict=looks.__getitem__)
        for order in (tiles, tiles[::-1])
    ]
    np.testing.assert_allclose(*mosaics, atol=1e-5)


def test_where_no_tile_lies_there_is_no_data():
    mosaic = blend(
        [Tile(0, 0, 2, 2)],
        (1, 6, 12),
        ratio=RATIO,
        predict=lambda _: np.ones((1, 6, 6), np.float32),
    )
    assert np.isnan(mosaic[:, :, 6:]).all()
    assert (mosaic[:, :, :6] == 1).all()


def test_tiles_that_do_not_advance_are_refused():
    with pytest.raises(ValueError, match="overlap=8"):
        lay_tiles(10, 10, size=8, overlap=8)
