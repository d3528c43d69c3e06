"""Overlapping tiles, blended so that no seam shows: a partition of unity."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle of the coarse grid."""

    row: int
    col: int
    height: int
    width: int

    @property
    def rows(self) -> slice:
        """Rows of the coarse grid."""
        return slice(self.row, self.row + self.height)

    @property
    def cols(self) -> slice:
        """Columns of the coarse grid."""
        return slice(self.col, self.col + self.width)


def lay_tiles(height: int, width: int, *, size: int, overlap: int) -> list[Tile]:
    """Return tiles that cover a grid, row by row; the last of a row is pushed inside.

    Args:
        height: Rows of the grid.
        width: Columns of the grid.
        size: Side of a tile; smaller grids get one tile of their own size.
        overlap: Pixels that neighbors share, at least.

    Raises:
        ValueError: If tiles would not advance.
    """
    if not 0 <= overlap < size:
        raise ValueError(f"overlap={overlap} must be at least 0 and less than size={size}")
    return [
        Tile(row, col, min(size, height), min(size, width))
        for row in _starts(height, size, overlap)
        for col in _starts(width, size, overlap)
    ]


def hann_ramp(length: int) -> Floats:
    """Return a Hann window sampled at pixel centers, `(length,)`, above zero everywhere.

    Copies moved by half their length add up to one.
    """
    phase = (np.arange(length) + 0.5) / length
    return np.sin(np.pi * phase).astype(np.float32) ** 2


def blend(
    tiles: list[Tile],
    shape: tuple[int, int, int],
    *,
    ratio: int,
    predict: Callable[[Tile], Floats],
) -> Floats:
    """Return the mosaic of tiles, each weighted by a Hann window, weights adding up to one.

    Args:
        tiles: On the coarse grid, covering what is wanted of it.
        shape: Of the mosaic, `(band, y, x)`, on the fine grid.
        ratio: Fine pixels per coarse pixel, along one side.
        predict: Returns `(band, y, x)` of one tile on the fine grid.

    Returns:
        `shape`, float32; NaN where no tile lies.
    """
    total = np.zeros(shape, np.float32)
    weights = np.zeros(shape[1:], np.float32)
    for tile in tiles:
        rows, cols = fine(tile.rows, ratio), fine(tile.cols, ratio)
        window = tile_weights(tile, ratio)
        total[:, rows, cols] += predict(tile) * window
        weights[rows, cols] += window
    return (total / np.where(weights > 0, weights, np.nan)).astype(np.float32)


def tile_weights(tile: Tile, ratio: int) -> Floats:
    """Return the weight of a tile's fine pixels before they are made to add up to one."""
    down, across = hann_ramp(tile.height * ratio), hann_ramp(tile.width * ratio)
    return (down[:, None] * across).astype(np.float32)


def fine(part: slice, ratio: int) -> slice:
    """Return a slice of the coarse grid on the fine one."""
    return slice(part.start * ratio, part.stop * ratio)


def _starts(length: int, size: int, overlap: int) -> Iterator[int]:
    """Yield where tiles begin, evenly advancing, the last one ending at the end."""
    last = max(0, length - size)
    yield from range(0, last, size - overlap)
    yield last
