from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import shapely

from catalog.errors import QueryError
from catalog.grid import PatchGrid
from catalog.providers.stac import Retries
from pipeline.recipe import parse_recipe
from pipeline.search import search_boxes, search_scenes
from tests.rasters import stac_item

NOW = datetime(2020, 1, 1, tzinfo=UTC)
START = datetime(2018, 6, 1, tzinfo=UTC)
END = datetime(2018, 8, 1, tzinfo=UTC)
GRID = PatchGrid(gsd_m=10, size_px=60, stride_px=60, origin_m=(0, 0))
QUICK = Retries(attempts=2, backoff_s=0.001, timeout_s=5)
WEB = "https://data.example.org"
LANDSAT = {name: f"{WEB}/{name}.tif" for name in ("red", "nir08", "lwir11", "qa_pixel")}
SENTINEL2 = {"B04": f"{WEB}/b04.tif", "SCL": f"{WEB}/scl.tif"}
RECIPE = """
period = ["2018-06-01", "2018-07-31"]
anchor = "landsat"
source = "{url}"

[area]
bbox = [3.00, 50.80, 3.05, 50.83]

[grid]
gsd_m = 10
size_px = 60

[layers.landsat]
product = "landsat-c2-l2"
bands = ["red", "nir"]
{landsat}

[layers.sentinel2]
product = "sentinel-2-l2a"
bands = ["red"]
"""


def landsat(name, time, **properties):
    return stac_item(name, "landsat-c2-l2", time, assets=LANDSAT, **properties)


def sentinel2(name, time, **properties):
    return stac_item(name, "sentinel-2-l2a", time, assets=SENTINEL2, **properties)


@pytest.fixture
def recipe_for(tmp_path):
    def make(url, *, landsat="", more=""):
        return parse_recipe(RECIPE.format(url=url, landsat=landsat) + more, tmp_path / "r.toml")

    return make


def cells_of(recipe):
    return recipe.grid.cells(recipe.regions[0].geometry)


def ids(found, layer):
    return [scene.id for scene in found.scenes[layer]]


def ask(recipe, **more):
    return search_scenes(recipe, cells_of(recipe), NOW, retries=QUICK, **more)


def test_companions_are_asked_for_a_window_beyond_the_period_and_anchors_are_not(
    serve_items, recipe_for
):
    times = {
        "8 before": START - timedelta(days=8),
        "7 before": START - timedelta(days=7),
        "first": START,
        "last": END - timedelta(seconds=1),
        "end": END,
        "7 after": END + timedelta(days=7) - timedelta(seconds=1),
        "8 after": END + timedelta(days=8),
    }
    items = [landsat(f"L {n}", t) for n, t in times.items()]
    items += [sentinel2(f"S {n}", t) for n, t in times.items()]
    found = ask(recipe_for(serve_items(items).url))
    assert ids(found, "landsat") == ["L first", "L last"]
    assert ids(found, "sentinel2") == [f"S {n}" for n in times if n[0] != "8"]


def test_the_number_of_requests_does_not_depend_on_the_number_of_cells(serve_items, recipe_for):
    server = serve_items([landsat("L", START), sentinel2("S", START)])
    recipe = recipe_for(server.url)
    fine = replace(recipe, grid=PatchGrid(gsd_m=10, size_px=6, stride_px=6, origin_m=(0, 0)))
    assert len(cells_of(fine)) > 50 * len(cells_of(recipe)) > 50
    few, many = ask(recipe), ask(fine)
    assert many.requests == few.requests == len(server.requests) // 2
    assert [r.body["collections"] for r in server.searches[:2]] == [
        ["landsat-c2-l2"],
        ["sentinel-2-l2a"],
    ]


def test_layers_of_one_product_share_one_search(serve_items, recipe_for):
    server = serve_items([landsat("L", START), sentinel2("S", START)])
    thermal = '[layers.heat]\nproduct = "landsat-c2-l2"\nbands = ["thermal"]\nwhen = "window"\n'
    twin = '[layers.twin]\nproduct = "sentinel-2-l2a"\nbands = ["red"]\nwhen = "window"\n'
    told = []
    found = ask(
        recipe_for(server.url, more=thermal + twin),
        on_search=lambda product, count: told.append((product, count)),
    )
    assert found.scenes["twin"] == found.scenes["sentinel2"]
    # The anchor is asked for its own period, its companion of the same product for more.
    assert told == [("landsat-c2-l2", 1), ("sentinel-2-l2a", 1), ("landsat-c2-l2", 1)]
    assert found.requests == len(server.requests)


def test_scenes_above_the_cloud_limit_are_left_out_and_counted(serve_items, recipe_for):
    items = [
        landsat("clear", START, **{"eo:cloud_cover": 10.0}),
        landsat("at the limit", START + timedelta(1), **{"eo:cloud_cover": 50.0}),
        landsat("cloudy", START + timedelta(2), **{"eo:cloud_cover": 50.1}),
        landsat("unknown", START + timedelta(3)),
    ]
    found = ask(recipe_for(serve_items(items).url, landsat="max_cloud = 0.5"))
    assert ids(found, "landsat") == ["clear", "at the limit", "unknown"]
    assert found.too_cloudy == {"landsat": 1, "sentinel2": 0}


def test_static_layers_are_asked_for_without_a_time_and_yearly_ones_for_whole_years(
    serve_items, recipe_for
):
    dem = stac_item(
        "dem",
        "cop-dem-glo-30",
        datetime(2000, 2, 11, tzinfo=UTC),
        assets={"data": f"{WEB}/d.tif"},
    )
    days = [datetime(2017, 12, 31, tzinfo=UTC), datetime(2018, 1, 1, tzinfo=UTC)]
    days += [datetime(2018, 12, 31, tzinfo=UTC), datetime(2019, 1, 1, tzinfo=UTC)]
    radar = [
        stac_item(f"{d:%Y-%m-%d}", "sentinel-1-grd", d, assets={"vv": f"{WEB}/v.tif"})
        for d in days
    ]
    server = serve_items([landsat("L", START), dem, *radar])
    more = (
        '[layers.terrain]\nproduct = "cop-dem-glo-30"\nbands = ["elevation"]\n'
        '[layers.radar]\nproduct = "sentinel-1-grd"\nbands = ["vv"]\nwhen = "year"\n'
    )
    found = ask(recipe_for(server.url, more=more))
    assert ids(found, "terrain") == ["dem"]
    assert ids(found, "radar") == ["2018-01-01", "2018-12-31"]


def test_an_archive_without_a_single_anchor_is_an_error_that_says_where_it_looked(
    serve_items, recipe_for
):
    server = serve_items([sentinel2("S", START)])
    with pytest.raises(QueryError) as failed:
        ask(recipe_for(server.url))
    message = str(failed.value)
    assert server.url in message
    assert "no scene of 'landsat-c2-l2' for the anchor layer 'landsat'" in message


def test_anchors_that_were_all_refused_say_why(serve_items, recipe_for):
    bare = stac_item("bare", "landsat-c2-l2", START, assets={"red": f"{WEB}/r.tif"})
    with pytest.raises(QueryError, match="1 items were refused, the first: item 'bare' has no"):
        ask(recipe_for(serve_items([bare]).url))


def test_refused_items_of_a_companion_are_kept_with_their_reasons(serve_items, recipe_for):
    bare = stac_item("bare", "sentinel-2-l2a", START, assets={"B04": f"{WEB}/r.tif"})
    found = ask(recipe_for(serve_items([landsat("L", START), bare]).url))
    assert ids(found, "sentinel2") == []
    assert "no asset for scl" in found.refused["sentinel2"][0]


def test_the_quality_band_is_asked_for_beside_the_bands(serve_items, recipe_for):
    found = ask(recipe_for(serve_items([landsat("L", START)]).url))
    assert set(found.scenes["landsat"][0].assets) == {"red", "nir", "qa_pixel"}


def test_a_failing_archive_fails_the_search(serve_items, recipe_for):
    server = serve_items([landsat("L", START)])
    server.faults.answer("/search", 503)
    with pytest.raises(QueryError, match="'landsat-c2-l2', 2018-06-01/2018-07-31"):
        ask(recipe_for(server.url))


def test_boxes_hold_every_cell_and_are_few():
    area = shapely.box(2.9, 50.7, 3.4, 51.0)
    cells = GRID.cells(area)
    boxes = search_boxes(cells)
    assert len(cells) > 3000
    assert len(boxes) == 1
    assert shapely.box(*boxes[0]).covers(shapely.union_all([c.footprint for c in cells[::7]]))


def test_cells_far_apart_are_asked_for_apart_and_each_lies_in_a_box():
    spots = [(-70.2, -12.3), (3.0, 50.8), (100.1, 13.9), (103.99, 1.0), (104.01, 1.0)]
    cells = [c for lon, lat in spots for c in GRID.cells(shapely.Point(lon, lat).buffer(0.01))]
    boxes = search_boxes(cells)
    assert len(boxes) == 5
    for cell in cells:
        assert any(shapely.box(*box).covers(cell.footprint) for box in boxes)


def test_no_box_crosses_the_antimeridian():
    cells = GRID.cells(shapely.box(179.95, 51.0, 180.0, 51.05))
    cells += GRID.cells(shapely.box(-180.0, 51.0, -179.95, 51.05))
    boxes = search_boxes(cells)
    assert all(-180 <= west < east <= 180 for west, _, east, _ in boxes)
    assert sorted(round(east - west, 1) for west, _, east, _ in boxes) == [0.1, 0.1]
