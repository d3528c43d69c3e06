"""The recipe: what parses, what it means, and what the user is told when it does not."""

import pickle
import re
import tomllib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from catalog.area import select_cells
from catalog.errors import RecipeError
from catalog.match import Months
from catalog.products import PRODUCTS
from pipeline.recipe import Calendar, Period, load_recipe, parse_recipe, store_schema
from pipeline.recipe_doc import describe_recipe
from pipeline.recipe_file import SECTIONS
from stores.schema import StoreSchema

ROOT = Path(__file__).parents[2]
BASE = """
period = ["2017-08-01", "2018-12-01"]
anchor = "landsat"
source = "archive"

[area]
bbox = [3.0195, 50.8133, 3.0284, 50.8187]

[grid]
gsd_m = 10
size_px = 60
origin_m = [501375, 5629065]

[layers.landsat]
product = "landsat-c2-l2"
bands = ["blue", "green", "red", "nir"]

[layers.sentinel2]
product = "sentinel-2-l2a"
bands = ["blue", "green", "red", "nir"]

[split]
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "items.json").write_text("{}")
    return tmp_path


def parse(folder, *changes, text=BASE):
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return parse_recipe(text, folder / "field.toml")


def complaint(folder, *changes, text=BASE):
    with pytest.raises(RecipeError) as caught:
        parse(folder, *changes, text=text)
    return str(caught.value)


def test_the_belgian_recipe_holds_one_cell_and_two_layers():
    items = ROOT.parent / "shared" / "real" / "items.json"
    if not items.is_file():
        pytest.skip("the real scenes (../shared/real) are not on this machine")
    recipe = load_recipe(ROOT / "docs" / "recipes" / "belgium.toml")
    [cell] = select_cells(recipe.grid, recipe.regions)
    assert cell.id == "31N_501375_5629065"
    assert {n: layer.size_px(recipe.grid) for n, layer in recipe.layers.items()} == {
        "landsat": 20,
        "sentinel2": 60,
    }
    assert {layer.source.url for layer in recipe.layers.values()} == {str(items.resolve())}


def test_defaults_are_worked_out(folder):
    recipe = parse(folder)
    assert recipe.name == "field"
    assert recipe.window == timedelta(days=7)
    assert recipe.codec == "lz4"
    assert recipe.grid.stride_px == 60
    landsat, sentinel2 = recipe.layers.values()
    assert (landsat.name, landsat.gsd_m, landsat.when) == ("landsat", 30.0, "window")
    assert (sentinel2.gsd_m, sentinel2.required, sentinel2.min_valid) == (10.0, True, 0.95)
    assert landsat.source.url == str(folder / "archive" / "items.json")
    assert recipe.split.block_m == 6000.0
    assert recipe.limits.max_failed == 0.05


def test_a_layer_is_never_finer_than_the_grid_unless_it_says_so(folder):
    coarse = ("gsd_m = 10\nsize_px = 60", "gsd_m = 30\nsize_px = 20")
    assert parse(folder, coarse).layers["sentinel2"].gsd_m == 30.0
    fine = ("[layers.sentinel2]", "[layers.sentinel2]\ngsd_m = 10")
    recipe = parse(folder, coarse, fine)
    assert recipe.layers["sentinel2"].size_px(recipe.grid) == 60


def test_a_static_product_needs_no_dates(folder):
    dem = '[layers.dem]\nproduct = "cop-dem-glo-30"\nbands = ["elevation"]\n[split]'
    assert parse(folder, ("[split]", dem)).layers["dem"].when == "static"


def test_a_span_of_months_and_a_calendar_anchor(folder):
    recipe = parse(
        folder,
        ('anchor = "landsat"', 'anchor = { every = "year" }'),
        (
            "[layers.sentinel2]",
            '[layers.sentinel2]\nwhen = { months = [6, 8] }\npick = "clearest"',
        ),
    )
    assert recipe.anchor == Calendar("year", ())
    assert recipe.layers["sentinel2"].when == Months(6, 8)
    rule = recipe.layers["sentinel2"].rule(recipe.window)
    assert (rule.name, rule.pick, rule.window) == ("sentinel2", "clearest", timedelta(days=7))


def test_known_archives_and_urls_are_kept_as_they_are(folder):
    for source in ("earth-search", "planetary-computer", "http://127.0.0.1:8080/"):
        recipe = parse(folder, ('source = "archive"', f'source = "{source}"'))
        assert recipe.layers["landsat"].source.name == source


def test_a_layer_may_have_its_own_source(folder):
    own = ("[layers.landsat]", '[layers.landsat]\nsource = "earth-search"\ncollection = "c"')
    layers = parse(folder, own).layers
    landsat = layers["landsat"]
    assert (landsat.source.name, landsat.collection) == ("earth-search", "c")
    assert layers["sentinel2"].source.url.endswith("items.json")


def test_an_end_day_is_wholly_inside_and_now_is_the_moment_of_asking(folder):
    now = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
    start, end = parse(folder).period.span(now)
    assert start == datetime(2017, 8, 1, tzinfo=UTC)
    assert end == datetime(2018, 12, 2, tzinfo=UTC)
    open_ended = parse(folder, ('"2018-12-01"', '"now"')).period
    assert open_ended.end == "now"
    assert open_ended.span(now) == (start, now)


def test_days_may_be_written_as_toml_dates(folder):
    assert parse(folder, ('"2017-08-01"', "2017-08-01")).hash == parse(folder).hash


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        ("year", ["2019-11-15", "2020-01-01", "2021-01-01"]),
        ("month", ["2019-11-15", "2019-12-01", "2020-01-01"]),
    ],
)
def test_a_calendar_anchors_every_span_that_the_period_touches(every, expected):
    period = Period(date(2019, 11, 15), date(2021, 1, 1))
    anchors = Calendar(every, ()).anchors(period, datetime(2030, 1, 1, tzinfo=UTC))
    assert [str(t.date()) for t in anchors][:3] == expected
    assert all(t.hour == 12 and t.tzinfo is UTC for t in anchors)
    assert len(anchors) == (3 if every == "year" else 15)


def test_a_calendar_of_dates_stops_at_the_present():
    calendar = Calendar(None, (date(2021, 6, 15), date(2020, 6, 15)))
    anchors = calendar.anchors(
        Period(date(2020, 1, 1), "now"), datetime(2021, 1, 1, tzinfo=UTC)
    )
    assert [str(t.date()) for t in anchors] == ["2020-06-15"]


def test_the_hash_sees_meaning_and_nothing_else(folder):
    plain = parse(folder)
    said_otherwise = parse(
        folder,
        ("[area]", "# a comment\n[area]"),
        ("size_px = 60", "stride_px = 60\nsize_px = 60"),
        ("[split]", "[limits]\nmax_failed = 0.5\n[split]"),
    )
    assert said_otherwise.hash == plain.hash
    assert said_otherwise.text != plain.text
    changes = [
        ('"red", "nir"]', '"nir", "red"]'),
        ("3.0284", "3.0285"),
        ('"2018-12-01"', '"now"'),
        ("[split]", "[split]\nseed = 1"),
        ("[split]", "[split]\nbuffer_m = 1"),
        ("[layers.landsat]", "[layers.landsat]\nmin_valid = 0.9"),
        ('anchor = "landsat"', 'anchor = "sentinel2"'),
        ('anchor = "landsat"', 'anchor = { every = "year" }'),
        ("[layers.sentinel2]", "[layers.sentinel2]\nwhen = { months = [1, 2] }"),
    ]
    hashes = {parse(folder, change).hash for change in changes}
    assert len(hashes | {plain.hash}) == len(changes) + 1


def test_the_hash_follows_the_content_of_a_geojson_file(folder):
    change = ("bbox = [3.0195, 50.8133, 3.0284, 50.8187]", 'geojson = "a.geojson"')
    ring = [[3.0, 50.8], [3.1, 50.8], [3.1, 50.9], [3.0, 50.8]]
    hashes = set()
    for corner in (50.8, 50.7):
        ring[0][1] = ring[-1][1] = corner
        (folder / "a.geojson").write_text(f'{{"type": "Polygon", "coordinates": [{ring}]}}')
        hashes.add(parse(folder, change).hash)
    assert len(hashes) == 2


def test_a_recipe_travels_between_processes(folder):
    recipe = parse(folder)
    assert pickle.loads(pickle.dumps(recipe)).hash == recipe.hash  # noqa: S301 - our own bytes


def test_splits_by_block_and_by_region(folder):
    recipe = parse(
        folder, ("size_px = 60", "size_px = 30"), ("[split]", "[split]\nblock_m = 300")
    )
    region_of = select_cells(recipe.grid, recipe.regions)
    assert len(region_of) == 4
    assert sorted(recipe.split.assign(region_of, recipe.grid).values()) == [
        "test",
        "train",
        "train",
        "val",
    ]
    by_region = ("[split]", '[split]\nby = "region"\nregions = { area = "test" }')
    recipe = parse(folder, by_region)
    region_of = select_cells(recipe.grid, recipe.regions)
    assert set(recipe.split.assign(region_of, recipe.grid).values()) == {"test"}


def test_the_schema_of_the_store_follows_the_product_table(folder):
    schema = store_schema(parse(folder, ("[area]", 'codec = "zstd"\n[area]')))
    landsat = schema.layer("landsat")
    assert (landsat.gsd_m, landsat.size_px, landsat.dtype) == (30.0, 20, "uint16")
    assert (landsat.scale, landsat.offset) == (2.75e-5, -0.2)
    assert landsat.band_keys == ("blue", "green", "red", "nir")
    assert landsat.license == PRODUCTS["landsat-c2-l2"].license
    assert schema.layer("sentinel2").size_px == 60
    assert schema.codec == "zstd"
    assert dict(schema.grid)["origin_m"] == [501375.0, 5629065.0]
    assert StoreSchema.from_json(schema.to_json()) == schema


WRONG = tomllib.loads(Path(__file__).with_name("wrong_recipes.toml").read_text())["recipe"]


@pytest.mark.parametrize("wrong", WRONG, ids=[w["said"] for w in WRONG])
def test_a_wrong_recipe_is_told_what_is_wrong_and_what_to_write(folder, wrong):
    message = complaint(folder, (wrong["old"], wrong["new"]))
    assert wrong["said"] in message
    assert message.startswith("field.toml")
    assert "pydantic" not in message


def test_all_problems_are_listed_at_once_and_each_once(folder):
    message = complaint(
        folder,
        ("3.0195, 50.8133, 3.0284", "3.0284, 50.8133, 3.0195"),
        ('anchor = "landsat"', 'anchor = "landsad"'),
        ('source = "archive"', 'source = "nowhere"'),
        ("size_px = 60", "size_px = 50"),
    )
    lines = message.splitlines()
    assert lines[0] == "field.toml has 4 problems:"
    assert [line.split(":")[0].strip() for line in lines[1:]] == [
        "area.bbox",
        "layers.landsat.gsd_m",
        "source",
        "anchor",
    ]


def test_text_that_is_not_toml_is_shown_with_its_line(folder):
    message = complaint(folder, ("[area]", "[area"))
    assert re.search(r"field.toml: this is not TOML: .*line 6.*: \[area$", message)


def test_an_empty_recipe_is_told_all_that_it_needs(folder):
    message = complaint(folder, text="")
    for key in ("period", "anchor", "area", "grid", "layers"):
        assert f"  {key}: missing; " in message


def test_a_missing_recipe_is_named(folder):
    with pytest.raises(RecipeError, match=r"none\.toml: there is no such file"):
        load_recipe(folder / "none.toml")


def test_the_reference_page_is_what_the_model_says():
    page = (ROOT / "docs" / "recipe.md").read_text(encoding="utf-8")
    assert page == describe_recipe(), "run: python -m pipeline.recipe_doc > docs/recipe.md"


def test_every_key_has_a_meaning():
    for model in SECTIONS.values():
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"


def test_the_example_of_the_reference_page_parses(folder):
    (folder / "my-archive").mkdir()
    (folder / "my-archive" / "items.json").write_text("{}")
    example = re.search(r"```toml\n(.*?)```", describe_recipe(), re.DOTALL)[1]
    assert set(tomllib.loads(example)["layers"]) == {"landsat", "sentinel2", "radar"}
    recipe = parse(folder, text=example)
    region_of = select_cells(recipe.grid, recipe.regions)
    assigned = recipe.split.assign(region_of, recipe.grid)
    assert set(assigned.values()) == {"train", "val", "test", "buffer"}


def test_a_folder_taken_for_something_else_says_what_it_was_taken_for(folder):
    planet = ('product = "landsat-c2-l2"', 'product = "planetscope-sr"')
    with pytest.raises(RecipeError, match=r"has an items\.json, so it is read as a STAC"):
        parse(folder, planet)
