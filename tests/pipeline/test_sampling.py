"""What the sections `[sampling]` and `[split]` of a recipe take, and what a plan says of it."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pyarrow.compute as pc
import pytest
import shapely

from catalog.area import select_cells
from catalog.errors import GridError, RecipeError
from catalog.tiles import mgrs_tiles
from pipeline.plan import make_plan
from pipeline.plan_split import choose_cells
from pipeline.recipe import load_recipe, parse_recipe
from tests.pipeline.conftest import DAY
from tests.tiny_archive import ANCHOR_TIME, COLUMNS, ROWS, write_recipe

BASE = """
period = ["2017-08-01", "2018-12-01"]
anchor = "landsat"
source = "earth-search"

[area]
geojson = "area.geojson"

[grid]
gsd_m = 30
size_px = 64

[layers.landsat]
product = "landsat-c2-l2"
bands = ["red"]
"""
HOUR = timedelta(hours=1)
WEST, EAST = shapely.box(2.8, 50.0, 3.2, 50.2), shapely.box(3.5, 50.0, 3.9, 50.2)


def write_geojson(path, features):
    listed = [
        {"type": "Feature", "properties": p, "geometry": shapely.geometry.mapping(g)}
        for p, g in features
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": listed}))


@pytest.fixture
def parse(tmp_path):
    write_geojson(tmp_path / "area.geojson", [({"name": "w"}, WEST), ({"name": "e"}, EAST)])

    def parsed(more="", text=BASE):
        return parse_recipe(text + more, tmp_path / "field.toml")

    return parsed


def test_an_absent_section_changes_neither_hash_nor_cells(parse):
    plain = parse()
    assert parse("[sampling]\n").hash == plain.hash
    assert parse("[sampling]\nseed = 5\n").hash == plain.hash
    assert parse("[sampling]\nper_region = 3\n").hash != plain.hash
    chosen = choose_cells(plain)
    assert dict(chosen.region_of) == select_cells(plain.grid, plain.regions)
    assert not chosen.short


def test_so_many_cells_per_region_are_drawn_before_the_split(parse):
    chosen = choose_cells(parse("[sampling]\nper_region = 12\n"))
    assert Counter(chosen.region_of.values()) == {"w": 12, "e": 12}
    other = choose_cells(parse("[sampling]\nper_region = 12\nseed = 1\n"))
    assert other.cells != chosen.cells
    tables = choose_cells(parse("[sampling]\nper_region = { w = 3, e = 0 }\n"))
    assert Counter(tables.region_of.values()) == {"w": 3}
    short = choose_cells(parse("[sampling]\nper_region = { w = 3, e = 100000 }\n"))
    assert list(short.short) == ["e"]


def test_counts_of_each_region_and_split_as_lssr_has_them(parse):
    chosen = choose_cells(
        parse(
            '[split]\nwithin = "region"\nblock_m = 7680\n'
            "[sampling]\ncounts = { train = 20, val = 5, test = 4 }\n"
            "[sampling.region_counts]\ne = { train = 10, test = 10000 }\n"
        )
    )
    found = Counter((r, chosen.split_of[c.id]) for c, r in chosen.region_of.items())
    east_tests = found.pop(("e", "test"))
    assert found == {("w", "train"): 20, ("w", "val"): 5, ("w", "test"): 4, ("e", "train"): 10}
    assert chosen.short == {"e/test": [10000, east_tests]}


def test_classes_are_drawn_evenly_or_as_they_occur(parse, tmp_path):
    cells = choose_cells(parse()).cells
    lines = [f"{c.id},{'town' if i % 10 == 0 else 'crop'}\n" for i, c in enumerate(cells)]
    (tmp_path / "classes.csv").write_text("cell_id,land_cover\n" + "".join(lines))
    by_class = '[sampling]\nby = "land_cover"\nclasses = "classes.csv"\nper_region = 20\n'
    word_of = dict(line.strip().split(",") for line in lines)

    def drawn(more):
        chosen = choose_cells(parse(by_class + more))
        return Counter((r, word_of[c.id]) for c, r in chosen.region_of.items())

    assert set(drawn("").values()) == {10}
    assert drawn('deal = "proportional"\n')["w", "town"] == 2


def test_land_and_latitude_filter_cells(parse, tmp_path):
    land = shapely.box(3.1, 50.0, 3.15, 50.3)
    write_geojson(tmp_path / "land.geojson", [({}, land)])
    dry = choose_cells(parse('[sampling]\nland = "land.geojson"\n')).cells
    assert dry
    assert all(3.1 <= c.lonlat[0] <= 3.15 for c in dry)
    low = choose_cells(parse("[sampling]\nmax_latitude = 50.1\n")).cells
    assert max(c.lonlat[1] for c in low) <= 50.1
    with pytest.raises(GridError, match="leaves none of"):
        choose_cells(parse("[sampling]\nmax_latitude = 40\n"))


def test_points_move_within_a_radius_and_stay_moved(parse):
    text = BASE.replace('geojson = "area.geojson"', 'points = [[3.1, 50.1], [3.8, 50.2, "x"]]')
    plain, moved = parse(text=text), parse("[sampling]\njitter_m = 5000\n", text=text)
    assert moved.hash != plain.hash
    assert moved.hash == parse("[sampling]\njitter_m = 5000\n", text=text).hash
    for before, after in zip(plain.regions, moved.regions, strict=True):
        gap = shapely.get_coordinates(before.geometry) - shapely.get_coordinates(after.geometry)
        assert 0 < abs(gap).max() < 0.08
    with pytest.raises(RecipeError, match="only points can be moved"):
        parse("[sampling]\njitter_m = 5000\n")


def test_a_split_by_tile_and_one_from_a_file(parse, tmp_path):
    by_tile = parse('[split]\nby = "mgrs"\nshares = { train = 0.5, test = 0.5 }\n')
    chosen = choose_cells(by_tile)
    tile_of = mgrs_tiles(chosen.cells)
    assert len(set(tile_of.values())) > 1
    for tile in set(tile_of.values()):
        mine = {chosen.split_of[c.id] for c in chosen.cells if tile_of[c] == tile}
        assert len(mine - {"buffer"}) <= 1
    write_geojson(
        tmp_path / "split.geojson", [({"split": "train"}, WEST), ({"split": "test"}, EAST)]
    )
    from_file = parse('[split]\nby = "file"\nfile = "split.geojson"\nbuffer_m = 1920\n')
    listed = choose_cells(from_file)
    wanted = {"w": "train", "e": "test"}
    assert all(listed.split_of[c.id] == wanted[r] for c, r in listed.region_of.items())
    write_geojson(tmp_path / "split.geojson", [({"split": "train"}, WEST)])
    assert parse('[split]\nby = "file"\nfile = "split.geojson"\nbuffer_m = 1920\n').hash != (
        from_file.hash
    )
    (tmp_path / "none.csv").write_text("cell_id,split\n31N_0_0,train\n")
    with pytest.raises(GridError, match="gives no cell of the area a split"):
        choose_cells(parse('[split]\nby = "file"\nfile = "none.csv"\n'))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('[split]\nby = "file"\n', "split.file: missing"),
        ('[split]\nfile = "a.csv"\n', 'split.file: it needs by = "file"'),
        ('[split]\nby = "file"\nfile = "no.csv"\n', "there is no file"),
        ('[split]\nby = "mgrs"\nblock_m = 10\n', "split.block_m: it goes with"),
        ('[split]\nby = "mgrs"\nwithin = "region"\n', "split.within: it goes with"),
        ("[split]\nbuffer_m = 60000\n", "split.buffer_m"),
        ("[sampling]\nper_region = 2\ncounts = { train = 1 }\n", "give one of them"),
        ("[sampling]\nper_region = { w = 2 }\n", "no count for 'e'"),
        ("[sampling]\nper_region = { w = 2, e = 1, n = 1 }\n", "no such region"),
        ('[sampling]\nby = "a"\n', "a file goes with by"),
        ('[sampling]\ndeal = "equal"\n', "it goes with classes"),
        ('[sampling]\ndates_per = "mgrs"\n', "it goes with max_dates"),
        ('[sampling]\nland = "no.geojson"\n', "there is no file"),
    ],
)
def test_what_makes_no_sense_is_told(parse, more, said):
    with pytest.raises(RecipeError, match=said.replace("(", r"\(")):
        parse(more)


def with_sections(archive, more):
    archive.save()
    path = write_recipe(archive, ROWS, COLUMNS)
    path.write_text(path.read_text() + more)
    return load_recipe(path)


@pytest.mark.parametrize("per", ["cell", "mgrs", "region"])
def test_dates_are_capped_and_spread_evenly(archive, per):
    for day in range(10):
        when = ANCHOR_TIME + day * DAY
        archive.add("landsat-c2-l2", f"L{day}", when, size=(ROWS, COLUMNS))
        archive.add(
            "sentinel-2-l2a", f"S{day}", when + timedelta(hours=1), size=(ROWS, COLUMNS)
        )
    recipe = with_sections(archive, f'\n[sampling]\nmax_dates = 4\ndates_per = "{per}"\n')
    plan = make_plan(recipe, datetime(2021, 1, 1, tzinfo=UTC))
    kept = plan.samples.filter(pc.greater_equal(plan.samples["task"], 0))
    per_cell = Counter(kept["cell_id"].to_pylist())
    assert set(per_cell.values()) == {4}
    assert plan.rejects == {"more dates than wanted": 6 * ROWS * COLUMNS}
    assert set(kept["anchor_time"].to_pylist()) < {ANCHOR_TIME + day * DAY for day in range(10)}


def test_a_plan_says_how_its_cells_were_chosen_and_split(campaign):
    audit = campaign.plan.meta["split_audit"]
    assert audit["passed"]
    assert set(audit["cells"]) <= {"train", "val", "test"}
    assert campaign.plan.meta["cells"]["chosen"] == campaign.plan.cells
    assert json.dumps(campaign.plan.meta)


def test_a_file_that_leaks_scenes_within_blocks_is_refused(archive):
    archive.add("landsat-c2-l2", "L1", ANCHOR_TIME, size=(ROWS, COLUMNS))
    archive.add("sentinel-2-l2a", "S1", ANCHOR_TIME + DAY, size=(ROWS, COLUMNS))
    cells = choose_cells(with_sections(archive, "")).cells
    lines = [f"{c.id},{'train' if i % 2 else 'test'}\n" for i, c in enumerate(cells)]
    (archive.folder / "split.csv").write_text("cell_id,split\n" + "".join(lines))
    path = archive.folder / "recipe.toml"
    before, _, _ = path.read_text().partition("[split]")
    split = '[split]\nby = "file"\nfile = "split.csv"\n'
    path.write_text(before + split)
    now = datetime(2021, 1, 1, tzinfo=UTC)
    beside = make_plan(load_recipe(path), now).meta["split_audit"]
    assert beside["closest_m"] == 0
    assert "neighbors look alike" in beside["warnings"][0]
    path.write_text(before + split + "block_m = 1e5\n")
    with pytest.raises(GridError, match=r"the split leaks: .* same scene and block"):
        make_plan(load_recipe(path), now)
