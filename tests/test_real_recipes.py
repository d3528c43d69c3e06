"""The recipes for real archives, planned against answers in those archives' own form."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from pipeline.cube_recipe import parse_cube_recipe
from pipeline.cubes import plan_cubes
from pipeline.estimate import estimate_plan
from pipeline.plan import make_plan
from pipeline.plan_text import plan_facts
from pipeline.recipe import parse_recipe
from pipeline.sandbox.gridded import nature_path
from pipeline.sandbox.gridded_archive import CmrResponder, IndexResponder
from pipeline.sandbox.serve.earth_engine import EarthEngineServer
from pipeline.sandbox.serve.http import LoopbackServer
from tests.earth_archive import EarthArchive, EarthBand
from tests.recorded import answers

RECIPES = Path(__file__).parents[1] / "docs" / "recipes"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
IOWA = (-94.2, 41.6, -92.9, 42.7)
JULY = datetime(2021, 7, 4, 16, 55, tzinfo=UTC)
DAY = timedelta(days=1)
YEARS = [datetime(2021, 1, 1, tzinfo=UTC), datetime(2022, 1, 1, tzinfo=UTC)]


@pytest.fixture(params=["written", "recorded"])
def recordings(request):
    if request.param == "written":
        return None
    return request.getfixturevalue("real_archive") / "stac-items"


@pytest.fixture
def serve(serve_items, recordings):
    """`serve(dialect, box, {product: times})` starts an archive and returns its address."""

    def start(dialect, box, listed):
        items = [
            item
            for product, times in listed.items()
            for item in answers(product, dialect, times, box, recordings)
        ]
        return serve_items(items).url

    return start


def planned(name, **addresses):
    """The plan of a shipped recipe whose archives are at other addresses."""
    text = (RECIPES / name).read_text()
    for source, url in addresses.items():
        text += f'\n[sources.{source.replace("_", "-")}]\nurl = "{url}"\n'
        text += 'project = "p"\n' if source == "earth_engine" else ""
    recipe = parse_recipe(text, RECIPES / name)
    plan = make_plan(recipe, NOW)
    assert json.dumps(plan_facts(plan, estimate_plan(plan)), default=str)
    assert not any(plan.found.refused.values())
    return recipe, plan


def kept(plan):
    return [row for row in plan.samples.to_pylist() if not row["reason"]]


def access_of(plan):
    return {layer: {scene.access for scene in found} for layer, found in plan.scenes.items()}


@pytest.fixture
def dynamic_world(tmp_path):
    """Earth Engine with one Dynamic World image over Iowa, of 60 m pixels."""
    place = EarthArchive(tmp_path / "earth")
    place.folder.mkdir()
    corner = Affine(60, 0, 399_960, 0, -60, 4_740_000)
    label = EarthBand(np.full((2400, 2200), 4, np.uint8), corner, epsg=32615)
    place.add("dynamic-world", "DW", JULY + DAY, {"label": label})
    with EarthEngineServer(place.folder) as server:
        yield server.url


def test_lssr_of_the_planetary_computer_and_earth_engine(serve, dynamic_world):
    archive = serve(
        "planetary-computer",
        IOWA,
        {
            "landsat-c2-l2": [JULY],
            "sentinel-2-l2a": [JULY + 2 * DAY, JULY - 9 * DAY],
            "sentinel-1-rtc": [JULY - 3 * DAY],
            "cop-dem-glo-30": [datetime(2021, 4, 22, tzinfo=UTC)],
        },
    )
    recipe, plan = planned("lssr.toml", planetary_computer=archive, earth_engine=dynamic_world)
    assert plan.cells > 800
    assert 0.9 * plan.cells < len(kept(plan)) + plan.rejects["buffer between splits"]
    assert access_of(plan) == {
        "landsat": {"planetary-computer"},
        "sentinel2": {"planetary-computer"},
        "sentinel1": {"planetary-computer"},
        "dem": {"planetary-computer"},
        "land_cover": {"earth-engine"},
    }
    candidates = json.loads(kept(plan)[0]["candidates"])
    assert [len(candidates[name]) for name in recipe.layers] == [1, 1, 1, 1, 1]


def test_efdiff_of_lpdaac_and_the_planetary_computer(serve):
    tiles = (2.5, 42.5, 12.5, 52.0)
    hls = serve("lpdaac", tiles, {"hls-l30": [JULY, JULY + 8 * DAY]})
    others = serve(
        "planetary-computer",
        tiles,
        {
            "landsat-c2-l2": [JULY + timedelta(seconds=12), JULY + 16 * DAY],
            "esa-worldcover": YEARS[:1],
        },
    )
    _, plan = planned("efdiff.toml", lpdaac=hls, planetary_computer=others)
    assert access_of(plan)["hls"] == {"earthdata"}
    assert {row["split"] for row in kept(plan)} == {"train", "val", "test"}
    assert {row["region"] for row in kept(plan)} == {"31UFS", "32TPT", "31TGL"}
    assert {row["anchor_time"] for row in kept(plan)} == {JULY}


def test_crops_take_each_month_from_lpdaac_and_labels_from_the_planetary_computer(serve):
    months = [datetime(y, m, 15, 17, tzinfo=UTC) for y in (2021, 2022) for m in (6, 7, 8)]
    hls = serve("lpdaac", IOWA, {"hls-s30": months})
    labels = serve("planetary-computer", IOWA, {"usda-cdl": YEARS})
    _, plan = planned("crops.toml", lpdaac=hls, planetary_computer=labels)
    assert {row["anchor_time"].year for row in kept(plan)} == {2021, 2022}
    for row in kept(plan)[:: len(kept(plan)) // 7]:
        found = json.loads(row["candidates"])
        times = {s.id: s.time for listed in plan.scenes.values() for s in listed}
        chosen = [times[found[name][0][0]] for name in ("june", "july", "august", "crops")]
        assert [time.year for time in chosen] == [row["anchor_time"].year] * 4
        assert [time.month for time in chosen[:3]] == [6, 7, 8]


def test_the_gap_study_of_earth_search_and_a_folder_of_deliveries(serve, tmp_path):
    box = (16.9, 51.0, 17.2, 51.2)
    anchor = datetime(2022, 7, 1, 9, 40, tzinfo=UTC)
    archive = serve("earth-search", box, {"sentinel-2-l2a": [anchor + timedelta(hours=1)]})
    deliver(tmp_path / "planetscope", "20220701_094000_12_2402", anchor, box)
    text = (RECIPES / "gap.toml").read_text()
    text += f'\n[sources.earth-search]\nurl = "{archive}"\n'
    recipe = parse_recipe(text, tmp_path / "gap.toml")
    plan = make_plan(recipe, NOW)
    assert plan.found.refused == {"planet": (), "sentinel2": ()}
    assert len(kept(plan)) > 100
    assert access_of(plan) == {"planet": {"open"}, "sentinel2": {"open"}}


def deliver(folder, scene, time, box):
    """Files of a PlanetScope order, as far as a listing looks at them."""
    folder.mkdir()
    item = stac_like(scene, time, box)
    (folder / f"{scene}_metadata.json").write_text(json.dumps(item))
    for name in ("AnalyticMS_SR", "udm2"):
        (folder / f"{scene}_3B_{name}.tif").touch()


def stac_like(scene, time, box):
    west, south, east, north = box
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {
        "type": "Feature",
        "id": scene,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {
            "acquired": f"{time:%Y-%m-%dT%H:%M:%S.000000Z}",
            "cloud_cover": 0.02,
            "item_type": "PSScene",
            "satellite_id": "2402",
        },
    }


class Routes(LoopbackServer):
    """Responders below prefixes of one server."""

    def __init__(self, mounts):
        self.mounts = mounts
        super().__init__()

    def respond(self, call):
        prefix = "/" + call.path.split("/")[1]
        below = call.path.removeprefix(prefix) or "/"
        inner = type(call)(
            call.method, below, call.query, call.headers, call.body, call.root + prefix
        )
        return self.mounts[prefix].respond(inner)


def test_transfer_of_ges_disc_and_the_nature_run(tmp_path):
    first = datetime(2005, 5, 16, tzinfo=UTC)
    merra2, nature = tmp_path / "merra2", tmp_path / "nature"
    merra2.mkdir()
    for day in range(31):
        name = f"MERRA2_300.tavg1_2d_aer_Nx.{first + day * DAY:%Y%m%d}.nc4"
        (merra2 / name).touch()
    for half_hour in range(31 * 48):
        path = nature / nature_path(first + half_hour * timedelta(minutes=30))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    mounts = {"/cmr": CmrResponder(merra2), "/g5nr": IndexResponder(nature)}
    with Routes(mounts) as server:
        text = (RECIPES / "transfer.toml").read_text()
        text += f'\n[sources.gesdisc]\nurl = "{server.url}/cmr"\n'
        text += f'\n[sources.g5nr]\nurl = "{server.url}/g5nr"\n'
        plan = plan_cubes(parse_cube_recipe(text, tmp_path / "transfer.toml"), NOW)
    coarse, fine = (job.facts() for job in plan.jobs)
    assert (coarse["steps"], coarse["not_listed"]) == (31 * 24, 0)
    assert (fine["steps"], fine["not_listed"]) == (31 * 48, 0)
    assert (coarse["rows"], coarse["columns"]) == (54, 36)
