"""Areas: boxes, GeoJSON files, MGRS squares and points become regions and cells."""

import json

import pytest
import shapely
from pyproj import Transformer

from catalog.area import (
    Region,
    box_regions,
    geojson_regions,
    mgrs_regions,
    point_regions,
    select_cells,
)
from catalog.errors import GridError
from catalog.grid import PatchGrid

GRID = PatchGrid(gsd_m=10, size_px=192, stride_px=192)
SQUARE = shapely.box(4.0, 50.0, 4.1, 50.1)


def feature(geometry, **properties):
    return {
        "type": "Feature",
        "properties": properties or None,
        "geometry": shapely.geometry.mapping(geometry),
    }


def write(tmp_path, document):
    path = tmp_path / "area.geojson"
    path.write_text(json.dumps(document))
    return path


def collection(*features):
    return {"type": "FeatureCollection", "features": list(features)}


def test_a_box_is_one_region():
    [region] = box_regions((3.0, 50.0, 3.5, 50.5))
    assert region.name == "area"
    assert region.geometry.bounds == (3.0, 50.0, 3.5, 50.5)


def test_swapped_corners_are_refused_and_the_right_order_offered():
    with pytest.raises(GridError, match=r"west 3.5 is not west.*\[3.0, 50.0, 3.5, 50.5\]"):
        box_regions((3.5, 50.0, 3.0, 50.5))
    with pytest.raises(GridError, match=r"south 50.5 is not south.*\[3.0, 50.0, 3.5, 50.5\]"):
        box_regions((3.0, 50.5, 3.5, 50.0))


def test_regions_of_a_file_are_named_by_name_then_id_then_position(tmp_path):
    path = write(
        tmp_path,
        collection(
            feature(SQUARE, name="north", id=7),
            feature(SQUARE, id=7),
            feature(SQUARE),
            feature(shapely.box(5, 51, 5.1, 51.1), name="north"),
            feature(shapely.Point(6, 52)),
        ),
    )
    regions = {r.name: r.geometry for r in geojson_regions(path)}
    assert list(regions) == ["north", "7", "2", "points"]
    assert regions["north"].bounds == (4.0, 50.0, 5.1, 51.1)


def test_a_bare_geometry_and_a_single_feature_are_read_too(tmp_path):
    bare = shapely.geometry.mapping(SQUARE)
    assert geojson_regions(write(tmp_path, bare))[0].geometry.equals(SQUARE)
    one = feature(SQUARE, name="x")
    assert geojson_regions(write(tmp_path, one))[0].name == "x"


def test_heights_are_dropped_and_crossed_rings_mended(tmp_path):
    bow = {
        "type": "Polygon",
        "coordinates": [[[0, 0, 9], [1, 1, 9], [1, 0, 9], [0, 1, 9], [0, 0, 9]]],
    }
    [region] = geojson_regions(write(tmp_path, bow))
    assert region.geometry.is_valid
    assert not region.geometry.has_z
    assert region.geometry.area == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([1, 2], "not GeoJSON"),
        (collection(), "no feature"),
        (collection(feature(shapely.LineString([(0, 0), (1, 1)]))), "feature 0.*'LineString'"),
        (collection({"type": "Feature", "geometry": None}), "feature 0.*None"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}, "broken geometry"),
        (
            {**collection(feature(SQUARE)), "crs": {"properties": {"name": "EPSG:32631"}}},
            "convert it to longitude and latitude",
        ),
        (
            collection(feature(SQUARE, name="a"), feature(shapely.Point(1, 1), name="a")),
            "mixes points and polygons",
        ),
    ],
)
def test_files_that_are_no_area_are_refused_with_the_reason(tmp_path, document, said):
    with pytest.raises(GridError, match=said):
        geojson_regions(write(tmp_path, document))


def test_a_missing_and_a_broken_file_are_told_apart(tmp_path):
    with pytest.raises(GridError, match="there is no file"):
        geojson_regions(tmp_path / "none.geojson")
    (tmp_path / "broken.geojson").write_text("{")
    with pytest.raises(GridError, match="not readable as GeoJSON"):
        geojson_regions(tmp_path / "broken.geojson")


def test_a_file_that_names_longitude_and_latitude_is_taken(tmp_path):
    crs = {"properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}
    assert geojson_regions(write(tmp_path, {**collection(feature(SQUARE)), "crs": crs}))


def test_an_mgrs_square_is_100_km_in_its_zone():
    [region] = mgrs_regions(["31uds"])
    assert region.name == "31UDS"
    forth = Transformer.from_crs(4326, 32631, always_xy=True)
    x, y = forth.transform(*shapely.get_coordinates(region.geometry).T)
    assert (x.min(), x.max()) == pytest.approx((400_000, 500_000), abs=0.01)
    assert (y.min(), y.max()) == pytest.approx((5_600_000, 5_700_000), abs=0.01)


def test_an_mgrs_square_south_of_the_equator_lies_there():
    [region] = mgrs_regions(["22KGV"])
    assert region.geometry.bounds[3] < 0


def test_an_mgrs_square_gives_as_many_cells_as_fit():
    grid = PatchGrid(gsd_m=10, size_px=1000, stride_px=1000)
    assert len(grid.cells(mgrs_regions(["31UDS"])[0].geometry)) == 100


@pytest.mark.parametrize("tile", ["31UD", "31UDSX", "31UIS", "99UDS", "", "UDS"])
def test_a_tile_that_does_not_exist_is_refused(tile):
    with pytest.raises(GridError, match="no 100 km square"):
        mgrs_regions([tile])


def test_points_are_grouped_by_name_and_each_selects_one_cell():
    points = [(4.0, 50.0, "a"), (5.0, 51.0, ""), (4.5, 50.5, "a"), (4.00001, 50.0, "a")]
    regions = point_regions(points)
    assert [r.name for r in regions] == ["a", "points"]
    chosen = select_cells(GRID, regions)
    assert sorted(chosen.values()) == ["a", "a", "points"]


def test_a_cell_of_two_regions_goes_to_the_first():
    first = Region("first", shapely.box(4.0, 50.0, 4.1, 50.1))
    second = Region("second", shapely.box(4.05, 50.0, 4.15, 50.1))
    chosen = select_cells(GRID, [first, second])
    assert set(chosen) == set(GRID.cells(first.geometry)) | set(GRID.cells(second.geometry))
    assert {c for c, name in chosen.items() if name == "first"} == set(
        GRID.cells(first.geometry)
    )


def test_a_region_without_a_cell_is_named():
    tiny = Region("garden", shapely.box(4.0, 50.0, 4.00001, 50.00001))
    with pytest.raises(GridError, match="region 'garden': no cell"):
        select_cells(GRID, [Region("area", SQUARE), tiny])
