"""Put source pixels on cells: pasted where the grids agree, warped once where they do not.

Cells of a task that lie side by side are warped together, as one piece, and cut apart; the
values are those of a warp per cell. Cells that lie far apart never share a piece.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from affine import Affine
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.warp import reproject

from catalog.errors import GridError
from catalog.products import Kind
from pipeline.pieces import Spot, gather
from pipeline.read import Area, Pixels, SourceGrid, Window

Placed = tuple[Pixels, str]
"""Pixels of one band on one cell, and the method that placed them (`'none'` if pasted)."""
Shift = tuple[float, float]
"""Metres east and north by which a scene shows places too far east and north."""
UNMOVED: Shift = (0.0, 0.0)

_ALIGNED_PX = 0.01
"""Grids closer than this many pixels are the same grid."""
_KERNEL_PX = 3
"""Source pixels that a cubic kernel needs beyond the target's edge."""
_POINTS_PER_EDGE = 21
_MOST_BEND_PX = 0.002
"""How far a row of a piece may bend in the file. GDAL takes rows for straight up to 0.125
pixels; short rows are, so that cells together are placed as they would be alone."""
_LONG_ROW_PX = 512
_ANY_COLS = 2**31
_TIE_PX = 1e-6

REFINING: Mapping[Kind, Resampling] = MappingProxyType(
    {
        "reflectance": Resampling.cubic,
        "temperature": Resampling.cubic,
        "elevation": Resampling.cubic,
        "backscatter": Resampling.bilinear,
        "probability": Resampling.bilinear,
        "atmosphere": Resampling.bilinear,
        "class": Resampling.nearest,
        "quality": Resampling.nearest,
    }
)
"""Method by kind of band, unless pixels become at least twice as coarse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Cells that are read and placed together."""

    members: tuple[int, ...]
    """Positions of its cells among those that were asked for."""
    geobox: GeoBox
    """Grid of the whole piece, moved by the scene's shift."""
    cuts: tuple[tuple[slice, slice], ...]
    """Rows and columns of each member in the piece."""
    area: Area
    """What the piece needs of the file."""
    pasted: bool
    """Whether the file's pixels are the cell's own."""


def arrange(grid: SourceGrid, boxes: Sequence[GeoBox], shift_m: Shift = UNMOVED) -> list[Piece]:
    """Return the pieces in which cells are best read from a file and placed.

    Args:
        grid: The file's grid.
        boxes: Pixel grids of the cells.
        shift_m: (east, north) metres by which the file shows places too far east and north.
            Cells of a shifted file are never pasted.
    """
    pieces, others = [], []
    for i, box in enumerate(boxes):
        window = pasted_window(grid, box) if shift_m == UNMOVED else None
        if window is None:
            others.append(i)
        else:
            whole = (slice(0, box.shape[0]), slice(0, box.shape[1]))
            pieces.append(
                Piece(
                    members=(i,),
                    geobox=box,
                    cuts=(whole,),
                    area=Area(window, (window,)),
                    pasted=True,
                )
            )
    lattices = _lattices([moved(box, shift_m) for box in boxes], others)
    return pieces + [
        piece for origin, spots in lattices for piece in _warped(grid, origin, spots)
    ]


def place_piece(
    pixels: Pixels, grid: SourceGrid, piece: Piece, kind: Kind
) -> Iterator[tuple[int, Placed]]:
    """Yield each cell of a piece by its position: its pixels and the method.

    Args:
        pixels: What the file holds in the piece's area.
        grid: The file's grid.
        piece: As `arrange` returned it for this grid.
        kind: Decides the method; classes and quality bits are never interpolated.

    Yields:
        Values `(y, x)` on the cell: the file's own type when pasted, or taken from the
        nearest pixel without a change of CRS; else float32.
    """
    if piece.pasted:
        yield piece.members[0], (pixels, "none")
        return
    method = resampling_method(grid, piece.geobox, kind)
    whole = _resample(pixels, grid, piece, method)
    for member, cut in zip(piece.members, piece.cuts, strict=True):
        yield member, (Pixels(whole.values[cut], whole.has_data[cut]), method.name)


def moved(box: GeoBox, shift_m: Shift) -> GeoBox:
    """Return where a scene that is off by `shift_m` shows the pixels of `box`."""
    if shift_m == UNMOVED:
        return box
    return GeoBox(box.shape, Affine.translation(*shift_m) @ box.affine, box.crs)


def resampling_method(grid: SourceGrid, geobox: GeoBox, kind: Kind) -> Resampling:
    """Return the method for a band kind: the mean of an area once pixels coarsen twofold."""
    if kind not in ("class", "quality") and _coarsening(grid, geobox) >= 2:
        return Resampling.average
    return REFINING[kind]


def pasted_window(grid: SourceGrid, geobox: GeoBox) -> Window | None:
    """Return the cell's window on the file's own pixels; None where the grids differ."""
    if _crs(geobox).epsg != grid.epsg:
        return None
    relative = ~grid.transform @ geobox.affine
    skew = max(abs(relative.a - 1), abs(relative.e - 1), abs(relative.b), abs(relative.d))
    col, row = round(relative.c), round(relative.f)
    if skew > 1e-6 or max(abs(relative.c - col), abs(relative.f - row)) > _ALIGNED_PX:
        return None
    rows, cols = geobox.shape
    return Window(row, col, rows, cols)


def _lattices(
    boxes: Sequence[GeoBox], chosen: Sequence[int]
) -> list[tuple[GeoBox, list[Spot]]]:
    """Sort cells by the pixel lattice that they lie on; each by the first cell found on it."""
    found: list[tuple[GeoBox, list[Spot]]] = []
    for i in chosen:
        box = boxes[i]
        for origin, spots in found:
            at = _place_on(origin, box)
            if at is not None:
                spots.append(Spot(i, *at, *box.shape))
                break
        else:
            found.append((box, [Spot(i, 0, 0, *box.shape)]))
    return found


def _place_on(origin: GeoBox, box: GeoBox) -> tuple[int, int] | None:
    """Row and column of a cell on another cell's lattice; None if it lies on none of it."""
    mine, its = origin.affine, box.affine
    if (mine.a, mine.b, mine.d, mine.e) != (its.a, its.b, its.d, its.e):
        return None
    if origin.crs != box.crs:
        return None
    relative = ~mine @ its
    col, row = round(relative.c), round(relative.f)
    if max(abs(relative.c - col), abs(relative.f - row)) > 1e-6:
        return None
    return row, col


def _warped(grid: SourceGrid, origin: GeoBox, spots: Sequence[Spot]) -> Iterator[Piece]:
    """The pieces of one lattice."""
    halo = _KERNEL_PX * max(1.0, _coarsening(grid, origin)) + 1
    windows = _source_windows(grid, origin, spots, halo)
    for group in gather(spots, most_cols=_straight_cols(grid, origin)):
        top, left = min(s.row for s in group), min(s.col for s in group)
        bottom, right = max(s.row + s.rows for s in group), max(s.col + s.cols for s in group)
        affine = origin.affine @ Affine.translation(left, top)
        parts = tuple(windows[s.member] for s in group)
        yield Piece(
            members=tuple(s.member for s in group),
            geobox=GeoBox((bottom - top, right - left), affine, origin.crs),
            cuts=tuple(s.cut(top, left) for s in group),
            area=Area(_around(parts), parts),
            pasted=False,
        )


def _straight_cols(grid: SourceGrid, origin: GeoBox) -> int:
    """How many columns a piece may have for its rows to be straight in the file."""
    if _crs(origin).epsg == grid.epsg:
        return _ANY_COLS
    start, middle, end = 0.0, _LONG_ROW_PX / 2, float(_LONG_ROW_PX)
    cols, rows = _to_source(
        grid, origin, np.array([start, middle, end]), np.zeros(3, dtype=np.float64)
    )
    bend = np.hypot(cols[1] - (cols[0] + cols[2]) / 2, rows[1] - (rows[0] + rows[2]) / 2)
    if not np.isfinite(bend):
        return 1
    # The bend of a row grows with the square of its length.
    return int(min(_LONG_ROW_PX * np.sqrt(_MOST_BEND_PX / max(bend, 1e-9)), _ANY_COLS))


def _source_windows(
    grid: SourceGrid, origin: GeoBox, spots: Sequence[Spot], halo: float
) -> dict[int, Window]:
    """Member -> the window of the file that its cell needs, kernel included."""
    steps = np.linspace(0.0, 1.0, _POINTS_PER_EDGE)
    zeros, ones = np.zeros_like(steps), np.ones_like(steps)
    x = np.concatenate([steps, steps, zeros, ones])
    y = np.concatenate([zeros, ones, steps, steps])
    cols = np.array([[s.col + s.cols * x] for s in spots])[:, 0]
    rows = np.array([[s.row + s.rows * y] for s in spots])[:, 0]
    cols, rows = _to_source(grid, origin, cols, rows)
    return {
        spot.member: _bounded(grid, r, c, halo)
        for spot, r, c in zip(spots, rows, cols, strict=True)
    }


def _to_source(
    grid: SourceGrid,
    box: GeoBox,
    cols: npt.NDArray[np.float64],
    rows: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Columns and rows of a cell's lattice as columns and rows of the file."""
    x, y = _apply(box.affine, cols, rows)
    if _crs(box).epsg != grid.epsg:
        x, y = _transformer(_crs(box).to_wkt(), grid.epsg).transform(x, y)
    return _apply(~grid.transform, np.asarray(x), np.asarray(y))


def _apply(
    affine: Affine, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    return affine.a * x + affine.b * y + affine.c, affine.d * x + affine.e * y + affine.f


def _bounded(
    grid: SourceGrid,
    rows: npt.NDArray[np.float64],
    cols: npt.NDArray[np.float64],
    halo: float,
) -> Window:
    """The window around points of the file, as far as the file reaches; else empty."""
    known = np.isfinite(rows) & np.isfinite(cols)
    if not known.any():
        return Window(0, 0, 0, 0)
    rows, cols = rows[known], cols[known]
    top = max(int(np.floor(rows.min() - halo)), 0)
    left = max(int(np.floor(cols.min() - halo)), 0)
    bottom = min(int(np.ceil(rows.max() + halo)), grid.shape[0])
    right = min(int(np.ceil(cols.max() + halo)), grid.shape[1])
    if bottom <= top or right <= left:
        return Window(0, 0, 0, 0)
    return Window(top, left, bottom - top, right - left)


def _around(windows: Sequence[Window]) -> Window:
    """The window around those that are not empty."""
    some = [w for w in windows if w.rows and w.cols]
    if not some:
        return Window(0, 0, 0, 0)
    top, left = min(w.row for w in some), min(w.col for w in some)
    bottom, right = max(w.row + w.rows for w in some), max(w.col + w.cols for w in some)
    return Window(top, left, bottom - top, right - left)


def _resample(pixels: Pixels, grid: SourceGrid, piece: Piece, method: Resampling) -> Pixels:
    if not pixels.has_data.any():
        nothing = np.full(piece.geobox.shape, np.nan, dtype=np.float32)
        return Pixels(nothing, np.zeros(nothing.shape, dtype=bool))
    if method == Resampling.nearest and _is_parallel(grid, piece.geobox):
        return _nearest(pixels, grid, piece)
    warped = np.full(piece.geobox.shape, np.nan, dtype=np.float32)
    _warp(pixels, grid, piece, warped, method)
    return Pixels(warped, np.isfinite(warped))


def _is_parallel(grid: SourceGrid, box: GeoBox) -> bool:
    """Whether rows run along rows: every column of the cell is one column of the file."""
    turns = (grid.transform.b, grid.transform.d, box.affine.b, box.affine.d)
    return _crs(box).epsg == grid.epsg and not any(turns)


def _nearest(pixels: Pixels, grid: SourceGrid, piece: Piece) -> Pixels:
    """The pixel of the file that holds the center of each pixel of the piece."""
    relative = ~grid.window_transform(piece.area.window) @ piece.geobox.affine
    rows = _indices(relative.e, relative.f, piece.geobox.shape[0])
    cols = _indices(relative.a, relative.c, piece.geobox.shape[1])
    inside_rows = (rows >= 0) & (rows < pixels.values.shape[0])
    inside_cols = (cols >= 0) & (cols < pixels.values.shape[1])
    at = np.ix_(
        np.clip(rows, 0, pixels.values.shape[0] - 1),
        np.clip(cols, 0, pixels.values.shape[1] - 1),
    )
    has_data = pixels.has_data[at] & inside_rows[:, None] & inside_cols
    return Pixels(pixels.values[at], has_data)


def _indices(step: float, start: float, count: int) -> npt.NDArray[np.int64]:
    """Source row or column under each target pixel's center; the later one at an edge."""
    centers = (np.arange(count) + 0.5) * step + start
    found: npt.NDArray[np.int64] = np.floor(centers + _TIE_PX).astype(np.int64)
    return found


def _warp(
    pixels: Pixels,
    grid: SourceGrid,
    piece: Piece,
    out: npt.NDArray[np.float32],
    method: Resampling,
) -> None:
    geobox = piece.geobox
    source = pixels.values.astype(np.float32)
    source[~pixels.has_data] = np.nan
    scale = min(1.0, round(1 / _coarsening(grid, piece.geobox), 2))
    reproject(
        source,
        out,
        src_transform=grid.window_transform(piece.area.window),
        src_crs=f"EPSG:{grid.epsg}",
        src_nodata=np.nan,
        dst_transform=geobox.affine,
        dst_crs=_crs(geobox).to_wkt(),
        dst_nodata=np.nan,
        resampling=method,
        # GDAL would work them out anew for each piece, from its outline.
        XSCALE=scale,
        YSCALE=scale,
    )


def _crs(geobox: GeoBox) -> CRS:
    if geobox.crs is None:
        raise GridError(f"the pixel grid {geobox!r} has no CRS; a cell's grid always has one")
    return geobox.crs


@lru_cache(maxsize=64)
def _transformer(wkt: str, epsg: int) -> Any:  # noqa: ANN401 - pyproj's is untyped
    return Transformer.from_crs(wkt, epsg, always_xy=True)


def _coarsening(grid: SourceGrid, geobox: GeoBox) -> float:
    """How many source pixels fit across one target pixel, in the middle of a cell."""
    rows, cols = geobox.shape
    x = np.array([-0.5, 0.5, 0.0, 0.0]) + cols / 2
    y = np.array([0.0, 0.0, -0.5, 0.5]) + rows / 2
    c, r = _to_source(grid, geobox, x, y)
    across = np.hypot(c[1] - c[0], r[1] - r[0])
    down = np.hypot(c[3] - c[2], r[3] - r[2])
    return float(min(across, down)) + 1e-6
