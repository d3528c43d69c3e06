"""Cube recipes: what they mean, and what is said of wrong ones."""

from datetime import date
from pathlib import Path

import pytest

from catalog.errors import RecipeError
from catalog.products import find_product
from pipeline.cube_recipe import (
    is_cube_recipe,
    load_cube_recipe,
    parse_cube_recipe,
    refuse_unmatched,
)

GOOD = """
name = "transfer"
period = ["2021-06-01", "2021-06-30"]

[area]
bbox = [-10.0, 40.0, 10.0, 55.0]

[cubes.coarse]
product = "merra2-aerosol"
bands = ["dust_aot", "total_aot"]
source = "gesdisc"

[cubes.fine]
product = "g5nr-aerosol"
bands = ["dust_aot", "total_aot"]
period = ["2006-06-01", "2006-06-30"]
source = "mirror"

[sources.mirror]
like = "g5nr"
url = "http://127.0.0.1:9999/g5nr"
"""


def parse(text: str, tmp_path: Path):
    return parse_cube_recipe(text, tmp_path / "transfer.toml")


def test_a_recipe_holds_several_cubes_each_with_its_own_period(tmp_path: Path) -> None:
    recipe = parse(GOOD, tmp_path)
    coarse, fine = recipe.cubes
    assert recipe.name == "transfer"
    assert recipe.bbox == (-10, 40, 10, 55)
    assert (coarse.name, coarse.product, coarse.source.name) == (
        "coarse",
        "merra2-aerosol",
        "gesdisc",
    )
    assert coarse.period.start == date(2021, 6, 1)
    assert fine.period.end == date(2006, 6, 30)
    assert (fine.source.listing, fine.source.url) == ("g5nr", "http://127.0.0.1:9999/g5nr")


def test_a_folder_may_be_a_source(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    recipe = parse(GOOD.replace('source = "gesdisc"', 'source = "files"'), tmp_path)
    assert recipe.cubes[0].source.listing == "files"
    assert recipe.cubes[0].source.url == str(tmp_path / "files")


def test_the_hash_is_of_what_is_asked_for(tmp_path: Path) -> None:
    recipe = parse(GOOD, tmp_path)
    same = parse('# a comment\nnote = "x"\n' + GOOD, tmp_path)
    other = parse(GOOD.replace('"dust_aot", ', "", 1), tmp_path)
    assert recipe.hash == same.hash != other.hash
    assert same.note == "x"


def test_the_two_kinds_of_recipe_are_told_apart(tmp_path: Path) -> None:
    cubes, patches, broken = (tmp_path / f"{n}.toml" for n in ("cubes", "patches", "broken"))
    cubes.write_text(GOOD)
    patches.write_text('period = []\n[layers.a]\nproduct = "x"')
    broken.write_text("cubes = [")
    assert is_cube_recipe(cubes)
    assert not is_cube_recipe(patches)
    assert not is_cube_recipe(broken)
    assert not is_cube_recipe(tmp_path / "none.toml")
    assert load_cube_recipe(cubes).name == "transfer"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[area]\nbbox", "[area]\nbox", r"area.box: unknown key; did you mean 'bbox'\?"),
        (
            "merra2-aerosol",
            "merra2-aerosols",
            r"cubes.coarse.product: unknown product .* did you",
        ),
        ("merra2-aerosol", "landsat-c2-l2", "'landsat-c2-l2' comes as images.*merra2-aerosol"),
        (
            '"dust_aot", "total',
            '"DUEXTTAU", "total',
            "write 'dust_aot' instead of an archive's",
        ),
        ('"dust_aot", "total_aot"]\ns', '"dust"]\ns', "has no band 'dust'"),
        ('bands = ["dust_aot", "total_aot"]\ns', "s", "cubes.coarse.bands: missing; list some"),
        (
            'product = "merra2-aerosol"\n',
            "",
            "coarse.product: missing; choose one of g5nr-aero",
        ),
        ('["2021-06-01", "2021-06-30"]', '"2021"', "period: expected"),
        ('["2006-06-01", "2006-06-30"]', '["2006-06-30", "2006-06-01"]', "did you mean"),
        ("[-10.0, 40.0, 10.0, 55.0]", "[10.0, 40.0, -10.0, 55.0]", "area.bbox: .* no box"),
        (
            "[-10.0, 40.0, 10.0, 55.0]",
            "[-10.0, 40.0]",
            r"expected \[west, south, east, north\]",
        ),
        ('"gesdisc"', '"earth-engine"', "serves images, not files of fields; write 'gesdisc'"),
        ('"gesdisc"', '"g5nr"', "coarse.source: 'g5nr' does not have 'merra2-aerosol'"),
        ('"gesdisc"', '"gesdisk"', "did you mean 'gesdisc'"),
        ('source = "gesdisc"\n', "", "source: missing; write 'gesdisc', 'g5nr' or a folder"),
        ("[cubes.coarse]", "[cubes.Coarse]", "cubes.Coarse: the name of a layer is lower"),
        (
            "[cubes.coarse]",
            "[limits]\nmax_byte = 1\n[cubes.coarse]",
            "did you mean 'max_bytes'",
        ),
        ("[area]", "window_days = 7\n[area]", "window_days: .*it is for patches; leave it out"),
        ("[area]", "max_bytes = 7\n[area]", r"'max_bytes' belongs in \[limits\]"),
        ('url = "http:', 'url = "http://me:pw@x/?a=b#', "carries a user"),
        ("[area]", "[area", "this is not TOML"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_write(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in GOOD
    with pytest.raises(RecipeError, match=said):
        parse(GOOD.replace(old, new, 1), tmp_path)


def test_all_problems_are_said_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("period = [", "perod = [", 1).replace("[area]", "[are]")
    with pytest.raises(RecipeError) as caught:
        parse(text, tmp_path)
    message = str(caught.value)
    assert "transfer.toml has 4 problems" in message
    assert "period: missing; expected [first day, last day]" in message
    assert "area: missing; add the section [area]" in message
    assert "are: unknown key; did you mean 'area'?" in message


def test_a_recipe_without_cubes_says_what_to_add(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"add at least one \[cubes.<name>\] section"):
        parse('period = ["2021-06-01", "2021-06-30"]\n[area]\nbbox = [0, 1, 2, 3]', tmp_path)
    with pytest.raises(RecipeError, match="there is no such file"):
        load_cube_recipe(tmp_path / "none.toml")


@pytest.mark.parametrize("when", ["window", "hour", "year", "static"])
def test_a_simulation_is_never_matched_in_time(when: str) -> None:
    with pytest.raises(RecipeError, match=r"weather that never was.*\[cubes.<name>\]"):
        refuse_unmatched(find_product("g5nr-aerosol"), when)
    refuse_unmatched(find_product("merra2-aerosol"), when)
