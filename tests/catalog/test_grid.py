"""The patch grid: equal squares, stable ids, zones by center."""

import math
import time

import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pyproj import CRS, Transformer

from catalog.errors import GridError
from catalog.grid import Cell, PatchGrid, footprints, zone_edges
from catalog.utm import utm_epsg

BELGIUM = PatchGrid(gsd_m=10, size_px=60, stride_px=60, origin_m=(501375, 5629065))
GRIDS = st.builds(
    lambda gsd, size, x, y: PatchGrid(
        gsd_m=gsd, size_px=size, stride_px=size, origin_m=(float(x), float(y))
    ),
    st.sampled_from([2.5, 10.0, 30.0]),
    st.integers(30, 200),
    st.integers(-10_000, 10_000),
    st.integers(-10_000, 10_000),
)
LONGITUDES = st.floats(-179.5, 179.4)
LATITUDES = st.floats(-79.0, 83.0)


def box_around(grid, lon, lat, cells=3.0):
    """A box a few cells wide, degrees."""
    height = cells * grid.extent_m / 111_000
    width = height / math.cos(math.radians(lat))
    return shapely.box(lon, lat, min(lon + width, 180.0), lat + height)


def cells_or_none(grid, area):
    try:
        return grid.cells(area)
    except GridError:
        return []


def test_the_belgian_box_holds_one_cell_of_60_pixels_on_the_landsat_grid():
    [cell] = BELGIUM.cells(shapely.box(3.0195, 50.8133, 3.0284, 50.8187))
    assert cell == Cell(32631, 501375, 5629065, 501975, 5629665)
    assert cell.id == "31N_501375_5629065"
    assert cell == BELGIUM.cell(32631, 0, 0)


def test_ids_keep_fractions_and_tell_the_hemispheres_apart():
    half = PatchGrid(gsd_m=2.5, size_px=3, stride_px=3)
    assert half.cell(32601, 1, -1).id == "01N_7.5_-7.5"
    assert half.cell(32701, 1, -1).id == "01S_7.5_-7.5"


@settings(max_examples=60, deadline=None)
@given(GRIDS, LONGITUDES, LATITUDES)
def test_every_center_lies_in_the_area_and_in_the_zone_of_its_cell(grid, lon, lat):
    area = box_around(grid, lon, lat)
    for cell in cells_or_none(grid, area):
        center_lon, center_lat = Transformer.from_crs(
            cell.epsg, 4326, always_xy=True
        ).transform(*cell.center)
        assert shapely.box(*area.bounds).distance(shapely.Point(center_lon, center_lat)) < 1e-9
        zone = cell.epsg % 100
        assert (zone - 1) * 6 - 180 <= center_lon < zone * 6 - 180
        assert (cell.epsg // 100 == 326) == (center_lat >= 0)


@settings(max_examples=60, deadline=None)
@given(GRIDS, LONGITUDES, LATITUDES)
def test_cells_tile_without_gap_or_overlap_inside_a_zone(grid, lon, lat):
    assume(min((lon + 180) % 6, 6 - (lon + 180) % 6) > 0.5 and abs(lat) > 0.5)
    epsg = int(utm_epsg(lon, lat))
    x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(lon, lat)
    half = 1.5 * grid.extent_m
    corners = [
        (x - half, y - half),
        (x + half, y - half),
        (x + half, y + half),
        (x - half, y + half),
    ]
    area = shapely.Polygon(
        [Transformer.from_crs(epsg, 4326, always_xy=True).transform(*c) for c in corners]
    )
    cells = grid.cells(area)
    boxes = [shapely.box(c.west, c.south, c.east, c.north) for c in cells]
    together = shapely.union_all(boxes)
    assert math.isclose(together.area, sum(b.area for b in boxes), rel_tol=1e-9)
    inner = shapely.box(
        x - half + grid.extent_m / 2 + 1,
        y - half + grid.extent_m / 2 + 1,
        x + half - grid.extent_m / 2 - 1,
        y + half - grid.extent_m / 2 - 1,
    )
    assert together.buffer(0.01).covers(inner)


@settings(max_examples=40, deadline=None)
@given(GRIDS, LONGITUDES, LATITUDES)
def test_a_point_selects_the_cell_that_holds_it(grid, lon, lat):
    found = cells_or_none(grid, shapely.Point(lon, lat))
    near_zone_edge = min((lon + 180) % 6, 6 - (lon + 180) % 6) < 0.5 or abs(lat) < 0.5
    assert found or near_zone_edge
    for cell in found:
        x, y = Transformer.from_crs(4326, cell.epsg, always_xy=True).transform(lon, lat)
        assert cell.west - 1e-6 <= x <= cell.east + 1e-6
        assert cell.south - 1e-6 <= y <= cell.north + 1e-6
        assert utm_epsg(*cell.lonlat) == cell.epsg


def test_vectorized_selection_equals_a_plain_loop_over_all_cells():
    grid = PatchGrid(gsd_m=10, size_px=500, stride_px=400, origin_m=(123.0, -77.0))
    area = shapely.Point(6.0, 50.0).buffer(0.4)
    slow = set()
    for epsg in (32631, 32632):
        back = Transformer.from_crs(epsg, 4326, always_xy=True)
        x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(6.0, 50.0)
        col, row = int(x // 4000), int(y // 4000)
        for dx in range(-25, 25):
            for dy in range(-25, 25):
                cell = grid.cell(epsg, col + dx, row + dy)
                lon, lat = back.transform(*cell.center)
                zone = 31 if lon < 6 else 32
                if zone == epsg - 32600 and area.intersects(shapely.Point(lon, lat)):
                    slow.add(cell)
    found = grid.cells(area)
    assert set(found) == slow
    assert {c.epsg for c in found} == {32631, 32632}
    assert found == sorted(found, key=lambda c: (c.epsg, c.south, c.west))


def test_selection_in_small_blocks_changes_nothing(monkeypatch):
    area = shapely.box(4.0, 50.0, 4.3, 50.2)
    grid = PatchGrid(gsd_m=10, size_px=60, stride_px=60)
    whole = grid.cells(area)
    monkeypatch.setattr("catalog.grid._CENTERS_AT_ONCE", 50)
    assert grid.cells(area) == whole


def test_an_area_over_the_equator_uses_both_hemispheres():
    cells = PatchGrid(gsd_m=10, size_px=192, stride_px=192).cells(
        shapely.box(33.0, -0.1, 33.1, 0.1)
    )
    assert {c.epsg for c in cells} == {32636, 32736}
    assert all((c.lonlat[1] >= 0) == (c.epsg == 32636) for c in cells)


def test_polygons_apart_and_holes_are_respected():
    grid = PatchGrid(gsd_m=10, size_px=60, stride_px=60)
    whole = shapely.box(4.0, 50.0, 4.1, 50.1)
    hole = shapely.box(4.03, 50.03, 4.07, 50.07)
    ring = set(grid.cells(shapely.difference(whole, hole)))
    middle = set(grid.cells(hole))
    assert ring | middle == set(grid.cells(whole))
    assert not ring & middle


def test_a_hundred_kilometers_take_well_under_a_second():
    grid = PatchGrid(gsd_m=10, size_px=192, stride_px=192)
    area = shapely.box(4.0, 50.0, 5.4, 50.9)
    grid.cells(area)
    start = time.perf_counter()
    assert len(grid.cells(area)) > 2500
    assert time.perf_counter() - start < 1.0


def test_a_cell_hands_out_pixel_grids_at_any_whole_gsd():
    cell = BELGIUM.cell(32631, 0, 0)
    geobox = cell.geobox(30)
    assert geobox.shape == (20, 20)
    assert tuple(geobox.affine)[:6] == (30, 0, 501375, 0, -30, 5629665)
    assert CRS(str(geobox.crs)) == CRS(cell.crs)
    with pytest.raises(GridError, match=r"600 m across.*70 m"):
        cell.geobox(70)


@settings(max_examples=30, deadline=None)
@given(GRIDS, LONGITUDES, LATITUDES)
def test_a_footprint_is_valid_and_holds_its_center(grid, lon, lat):
    cell = grid.cell(int(utm_epsg(lon, lat)), 300_000 // int(grid.extent_m), 100)
    assert cell.footprint.is_valid
    assert cell.footprint.contains(shapely.Point(cell.lonlat))
    assert cell.footprint.exterior.is_ccw


def test_a_footprint_follows_its_edges_better_than_its_corners_do():
    cell = PatchGrid(gsd_m=100, size_px=1000, stride_px=1000).cell(32631, 2, 55)
    x, y = np.linspace(cell.west, cell.east, 200), np.full(200, cell.south)
    lon, lat = Transformer.from_crs(32631, 4326, always_xy=True).transform(x, y)
    edge = shapely.LineString(np.column_stack([lon, lat]))
    chord = shapely.LineString([(lon[0], lat[0]), (lon[-1], lat[-1])])
    outline = cell.footprint.exterior
    assert (
        max(outline.distance(shapely.points(edge.coords))) < chord.hausdorff_distance(edge) / 8
    )


def test_footprints_of_many_cells_are_those_of_each():
    grid = PatchGrid(gsd_m=10, size_px=192, stride_px=192)
    cells = grid.cells(shapely.box(5.9, -0.05, 6.1, 0.05))
    assert len({c.epsg for c in cells}) == 4
    for cell, outline in zip(cells, footprints(cells), strict=True):
        corner = Transformer.from_crs(cell.epsg, 4326, always_xy=True).transform(
            cell.west, cell.south
        )
        assert outline.equals(cell.footprint)
        assert outline.exterior.coords[0] == pytest.approx(corner)
    assert len(footprints([])) == 0


def test_a_footprint_beside_the_antimeridian_does_not_jump_around_the_globe():
    grid = PatchGrid(gsd_m=10, size_px=2000, stride_px=2000)
    for lon in (-179.95, 179.95):
        [cell] = grid.cells(shapely.Point(lon, 0.5)) or [None]
        west, _, east, _ = cell.footprint.bounds
        assert east - west < 0.3


def test_sizes_at_other_pixel_sizes_are_whole_or_refused_with_advice():
    assert PatchGrid(gsd_m=10, size_px=192, stride_px=192).size_at(30) == 64
    assert PatchGrid(gsd_m=10, size_px=192, stride_px=192).size_at(10) == 192
    with pytest.raises(GridError, match=r"size_px=250 gives 83\.33 px; use a multiple of 3"):
        PatchGrid(gsd_m=10, size_px=250, stride_px=250).size_at(30)


@pytest.mark.parametrize(
    ("area", "said"),
    [
        (shapely.box(3, 83, 4, 85), "latitudes -80 to 84"),
        (shapely.box(3, -81, 4, -79), "latitudes -80 to 84"),
        (shapely.box(179, 10, 181, 11), "antimeridian"),
        (shapely.Polygon(), "empty"),
        (shapely.box(3.0, 50.0, 3.0001, 50.0001), "no cell has its center"),
    ],
)
def test_areas_that_cannot_be_cut_are_refused_with_the_reason(area, said):
    with pytest.raises(GridError, match=said):
        PatchGrid(gsd_m=10, size_px=192, stride_px=192).cells(area)


def test_a_point_in_the_gap_of_a_wide_stride_is_refused():
    grid = PatchGrid(gsd_m=10, size_px=10, stride_px=1000)
    x, y = Transformer.from_crs(32631, 4326, always_xy=True).transform(505_000, 5_505_000)
    with pytest.raises(GridError, match="no cell holds the point"):
        grid.cells(shapely.Point(x, y))


@pytest.mark.parametrize(
    "bad",
    [
        {"gsd_m": 0.0},
        {"gsd_m": math.inf},
        {"size_px": 0},
        {"stride_px": 0},
        {"origin_m": (math.nan, 0.0)},
    ],
)
def test_impossible_grids_are_refused(bad):
    with pytest.raises(GridError, match=next(iter(bad))):
        PatchGrid(**{"gsd_m": 10.0, "size_px": 60, "stride_px": 60, **bad})


def test_cells_across_the_edge_of_zones_and_their_overlaps_are_counted():
    grid = PatchGrid(gsd_m=100, size_px=100, stride_px=100)
    inside = zone_edges(grid.cells(shapely.box(2.0, 50.0, 4.0, 51.0)))
    assert (inside.over, inside.short, inside.doubled) == (0, 0, 0)
    cells = grid.cells(shapely.box(5.5, 50.0, 6.5, 54.0))
    outlines = footprints(cells)
    edges = zone_edges(cells)
    assert edges.over == sum(o.bounds[0] < 6 < o.bounds[2] for o in outlines) > 5
    slow = sum(
        outlines[i].overlaps(outlines[j])
        for i in range(len(cells))
        for j in range(i)
        if cells[i].epsg != cells[j].epsg
    )
    assert edges.doubled == slow > 0
    # Every row of cells on either side of the edge ends over it or short of it.
    assert edges.over + edges.short >= len({(c.epsg, c.south) for c in cells})
    assert zone_edges([]).over == 0


def test_cells_across_the_antimeridian_overlap_those_beyond_it():
    grid = PatchGrid(gsd_m=100, size_px=100, stride_px=100)
    beside = shapely.union(shapely.box(179.5, 52, 180, 54), shapely.box(-180, 52, -179.5, 54))
    edges = zone_edges(grid.cells(beside))
    assert edges.over > 5
    assert edges.doubled > 0


@settings(max_examples=40, deadline=None)
@given(GRIDS, st.integers(-29, 29), st.floats(-70, 70))
def test_along_the_edge_of_two_zones_each_cell_belongs_where_its_center_lies(grid, zone, lat):
    area = box_around(grid, 6.0 * zone - 0.02, lat, cells=8)
    for cell in cells_or_none(grid, area):
        assert int(utm_epsg(*cell.lonlat)) == cell.epsg
