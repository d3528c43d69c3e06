import json
import re
from dataclasses import replace

import pytest
import shapely

from pipeline.plan_map import cell_features, scene_features, write_plan_map

LOADS = re.compile(r"""<(?:script|link|img|iframe)[^>]*(?:src|href)=["'](?!data:)([^"']+)""")


@pytest.fixture(scope="module")
def page(campaign, tmp_path_factory):
    path = tmp_path_factory.mktemp("map") / "new" / "plan.html"
    write_plan_map(campaign.plan, campaign.recipe, path)
    return path.read_text()


def test_every_cell_is_drawn_with_its_split_and_its_matches(campaign):
    cells = cell_features(campaign.plan)
    assert len(cells) == campaign.plan.cells
    said = [feature["properties"] for feature in cells]
    rows = campaign.plan.samples.to_pylist()
    assert sum(p["samples"] for p in said) == sum(not r["reason"] for r in rows)
    assert sum(p["rejected"] for p in said) == sum(bool(r["reason"]) for r in rows)
    assert {p["split"] for p in said} == {r["split"] for r in rows}
    assert any("rejected, no scene in window" in p["matches"] for p in said)
    assert any("landsat 1, sentinel2 2" in p["matches"] for p in said)


def test_scenes_of_one_outline_are_drawn_once_and_all_listed(campaign):
    scenes = campaign.plan.scenes["landsat"]
    moved = replace(scenes[0], id="elsewhere", footprint=shapely.box(10, 10, 11, 11))
    again = replace(scenes[0], id="again")
    drawn = scene_features({"landsat": (scenes[0], again, moved)})["landsat"]
    assert [feature["properties"]["scenes"] for feature in drawn] == [2, 1]
    assert scenes[0].id in drawn[0]["properties"]["listed"]
    assert "again" in drawn[0]["properties"]["listed"]


def test_the_page_holds_area_cells_and_every_layer_and_loads_nothing(campaign, page):
    for name in ("area", "scenes: landsat", "scenes: sentinel2", "cells and matches"):
        assert name in page
    assert LOADS.findall(page) == []
    assert "L.map(" in page
    assert "Leaflet" in page
    assert page.count('"cell":') == campaign.plan.cells


def test_names_from_an_archive_cannot_become_markup(campaign):
    hostile = "<script>alert(1)</script>"
    scene = replace(campaign.plan.scenes["landsat"][0], id=hostile)
    drawn = json.dumps(scene_features({"landsat": (scene,)}))
    assert hostile not in drawn
    assert "&lt;script&gt;" in drawn
