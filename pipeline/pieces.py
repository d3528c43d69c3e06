"""Gather cells that lie side by side into pieces, none of which is mostly empty."""

from collections.abc import Sequence
from dataclasses import dataclass

_MOST_WASTE = 1.5
"""Pixels of a piece for each pixel of its cells."""
_MOST_PIXELS = 2**22
"""Size of a piece, unless one cell alone is larger."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a cell lies on a lattice of pixels."""

    member: int
    row: int
    col: int
    rows: int
    cols: int

    def cut(self, top: int, left: int) -> tuple[slice, slice]:
        """Return its rows and columns in a piece that begins at row `top`, column `left`."""
        row, col = self.row - top, self.col - left
        return slice(row, row + self.rows), slice(col, col + self.cols)


def gather(spots: Sequence[Spot], most_cols: int = 2**31) -> list[list[Spot]]:
    """Return the cells in groups whose bounding boxes are well filled.

    Args:
        spots: The cells, on one lattice.
        most_cols: Columns that a group of more than one cell may have.

    Returns:
        Groups, each split at the widest gap along its longer side until it is well filled: a
        few cells scattered over a scene stay alone.

    Example:
        >>> side = [Spot(0, 0, 0, 8, 8), Spot(1, 0, 8, 8, 8), Spot(2, 900, 900, 8, 8)]
        >>> [[spot.member for spot in group] for group in gather(side)]
        [[0, 1], [2]]
    """
    done: list[list[Spot]] = []
    waiting = [list(spots)] if spots else []
    while waiting:
        group = waiting.pop()
        height, width = _extent(group)
        if len(group) == 1 or (width <= most_cols and _is_well_filled(group)):
            done.append(group)
        else:
            waiting += _split(group, by_rows=height >= width and width <= most_cols)
    return done


def _is_well_filled(group: Sequence[Spot]) -> bool:
    height, width = _extent(group)
    filled = sum(s.rows * s.cols for s in group)
    return height * width <= min(_MOST_WASTE * filled, _MOST_PIXELS)


def _extent(group: Sequence[Spot]) -> tuple[int, int]:
    height = max(s.row + s.rows for s in group) - min(s.row for s in group)
    width = max(s.col + s.cols for s in group) - min(s.col for s in group)
    return height, width


def _split(group: Sequence[Spot], *, by_rows: bool) -> list[list[Spot]]:
    """Both sides of the widest gap; of the middle one, if gaps are alike."""
    ordered = sorted(group, key=lambda s: (s.row, s.col) if by_rows else (s.col, s.row))
    starts = [s.row if by_rows else s.col for s in ordered]
    middle = len(ordered) / 2
    at = max(
        range(1, len(ordered)),
        key=lambda i: (starts[i] - starts[i - 1], -abs(i - middle)),
    )
    return [ordered[at:], ordered[:at]]
