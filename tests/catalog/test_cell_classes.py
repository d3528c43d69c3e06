"""Words about cells from files of every form, and what is said of files that do not do."""

import json

import geopandas as gpd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from catalog.cell_classes import read_cell_classes
from catalog.errors import GridError
from catalog.grid import PatchGrid

GRID = PatchGrid(gsd_m=10, size_px=60, stride_px=60)
CELLS = GRID.cells(shapely.box(3.0, 50.0, 3.03, 50.02))
MIDDLE = 3.015


def geojson(path, features):
    listed = [
        {"type": "Feature", "properties": p, "geometry": shapely.geometry.mapping(g)}
        for p, g in features
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": listed}))
    return path


def halves():
    west, east = shapely.box(2, 49, MIDDLE, 51), shapely.box(2, 49, 4, 51)
    return [({"kind": "west"}, west), ({"kind": "east"}, east)]


@pytest.fixture(params=["csv", "parquet", "geojson", "geoparquet"])
def written(request, tmp_path):
    rows = [(c.id, "west" if c.lonlat[0] < MIDDLE else "east") for c in CELLS]
    path = tmp_path / f"words.{request.param.removeprefix('geo') or 'json'}"
    if request.param == "csv":
        path.write_text("cell_id,kind\n" + "".join(f"{i},{w}\n" for i, w in rows))
    elif request.param == "parquet":
        ids, words = zip(*rows, strict=True)
        pq.write_table(pa.table({"cell_id": ids, "kind": words}), path)
    elif request.param == "geojson":
        geojson(path, halves())
    else:
        kinds, outlines = zip(*((p["kind"], g) for p, g in halves()), strict=True)
        gpd.GeoDataFrame({"kind": kinds}, geometry=list(outlines), crs=4326).to_parquet(path)
    return path


def test_each_form_of_file_says_the_same_of_the_cells(written):
    words = read_cell_classes(written.rename(written), "kind").of(CELLS)
    assert words == {c: "west" if c.lonlat[0] < MIDDLE else "east" for c in CELLS}
    assert set(words.values()) == {"west", "east"}


def test_cells_that_a_file_does_not_name_have_no_word(tmp_path):
    path = tmp_path / "one.csv"
    path.write_text(f"cell_id,kind\n{CELLS[0].id},wood\n{CELLS[1].id},\n")
    classes = read_cell_classes(path, "kind")
    assert classes.words == ["wood"]
    assert set(classes.of(CELLS).values()) == {"wood", ""}
    again = tmp_path / "two.csv"
    again.write_text(f"kind,cell_id\nwood,{CELLS[0].id}\n")
    assert read_cell_classes(again, "kind").digest == classes.digest


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "cell_id,class\nx,1\n", "no column 'kind'"),
        ("a.csv", "cell_id,kind\nx,1\nx,2\n", "both '1' and '2'"),
        ("a.csv", "cell_id,kind\n", "says nothing"),
        ("a.parquet", "no parquet", "not readable"),
        ("a.txt", "", "none of"),
        ("a.geojson", '{"type": "Point", "coordinates": [3, 50]}', "no property 'kind'"),
    ],
)
def test_a_file_that_does_not_do_is_refused_with_the_reason(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(GridError, match=said):
        read_cell_classes(tmp_path / name, "kind")
    with pytest.raises(GridError, match="there is no file"):
        read_cell_classes(tmp_path / f"other-{name}".replace(".txt", ".csv"), "kind")
