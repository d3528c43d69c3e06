"""The 100 km squares of the Military Grid Reference System that cells lie in."""

from collections.abc import Iterable

from catalog.grid import Cell
from catalog.utm import to_lonlat

SQUARE_M = 100_000.0
_COLUMNS = ("ABCDEFGH", "JKLMNPQR", "STUVWXYZ")
_ROWS = "ABCDEFGHJKLMNPQRSTUV"
_BANDS = "CDEFGHJKLMNPQRSTUVWX"


def mgrs_tiles(cells: Iterable[Cell]) -> dict[Cell, str]:
    """Return the name of the square that holds each cell's center.

    A square that two latitude bands share has one name here, by its own center, so that its
    cells stay together.
    """
    names: dict[tuple[int, int, int], str] = {}
    tile_of = {}
    for cell in cells:
        x, y = cell.center
        square = (cell.epsg, int(x // SQUARE_M), int(y // SQUARE_M))
        if square not in names:
            names[square] = _name(*square)
        tile_of[cell] = names[square]
    return tile_of


def _name(epsg: int, column: int, row: int) -> str:
    """Return zone, band, column and row letters, such as `'31UDS'`."""
    zone = epsg % 100
    _, latitude = to_lonlat(epsg).transform(500_000, (row + 0.5) * SQUARE_M)
    letters = _COLUMNS[(zone - 1) % 3]
    band = _BANDS[min(max(int((latitude + 80) // 8), 0), len(_BANDS) - 1)]
    east = letters[min(max(column - 1, 0), len(letters) - 1)]
    # Rows of even zones are lettered from F; both hemispheres repeat every 2,000 km.
    north = _ROWS[(row + 5 * (zone % 2 == 0)) % len(_ROWS)]
    return f"{zone:02d}{band}{east}{north}"
