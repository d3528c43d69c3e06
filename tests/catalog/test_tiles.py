"""The 100 km squares of cells have the names of the MGRS."""

import mgrs
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from catalog.area import mgrs_regions, select_cells
from catalog.grid import PatchGrid
from catalog.tiles import mgrs_tiles
from catalog.utm import from_lonlat, utm_epsg

GRID = PatchGrid(gsd_m=30, size_px=256, stride_px=256)


@settings(max_examples=100, deadline=None)
@given(st.floats(-179.5, 179.5), st.floats(-79, 71))
def test_names_are_those_of_the_mgrs_but_for_squares_that_two_bands_share(lon, lat):
    epsg = int(utm_epsg(lon, lat))
    x, y = from_lonlat(epsg).transform(lon, lat)
    cell = GRID.cell(epsg, int(x // GRID.stride_m), int(y // GRID.stride_m))
    center = cell.lonlat
    # Zone 32V is wider than the standard zone, and cells go by standard zones.
    assume(int(utm_epsg(*center)) == epsg and not (3 <= center[0] < 6 and center[1] >= 56))
    name = mgrs_tiles([cell])[cell]
    known = mgrs.MGRS().toMGRS(center[1], center[0], MGRSPrecision=0).zfill(5)
    assert (name[:2], name[3:]) == (known[:2], known[3:])
    assert abs(ord(name[2]) - ord(known[2])) <= 2


def test_cells_of_a_square_are_in_the_tile_of_its_name():
    region_of = select_cells(GRID, mgrs_regions(["31UDS", "31UES"]))
    assert mgrs_tiles(region_of) == region_of
