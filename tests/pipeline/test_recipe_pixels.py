"""What recipes ask to be done to pixels, and what they cannot ask."""

import pytest

from catalog.errors import RecipeError
from pipeline.harmonize import Wish
from pipeline.recipe import parse_recipe
from pipeline.treatment import UNTREATED, HazeRule, Registration

BASE = """
period = ["2017-08-01", "2018-12-01"]
anchor = "landsat"
source = "archive"

[area]
bbox = [3.0195, 50.8133, 3.0284, 50.8187]

[grid]
gsd_m = 10
size_px = 60

[layers.landsat]
product = "landsat-c2-l2"
bands = ["blue", "green", "red", "nir"]

[layers.sentinel2]
product = "sentinel-2-l2a"
bands = ["blue", "green", "red", "nir"]

[layers.radar]
product = "sentinel-1-grd"
bands = ["vv"]

[layers.dem]
product = "cop-dem-glo-30"
bands = ["elevation"]
"""


@pytest.fixture
def parse(tmp_path):
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "items.json").write_text("{}")

    def parse(more="", *changes):
        text = BASE
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        return parse_recipe(text + more, tmp_path / "field.toml")

    return parse


def treatments(recipe):
    return {name: layer.treatment for name, layer in recipe.layers.items()}


def test_nothing_is_done_unless_asked(parse):
    assert set(treatments(parse()).values()) == {UNTREATED}


def test_a_treatment_changes_the_hash_of_a_recipe(parse):
    more = ("", "[haze]\n", '[haze]\naction = "reject"\n', "[coregister]\n")
    assert len({parse(one).hash for one in more}) == 4


def test_harmonization_is_for_reflectance(parse):
    found = treatments(parse('[harmonize]\nlike = "oli"\nnadir_sun_zenith_deg = 30.0\n'))
    wish = Wish(like="oli", nadir_sun_zenith_deg=30.0)
    assert (found["landsat"].wish, found["sentinel2"].wish) == (wish, wish)
    assert found["radar"] == found["dem"] == UNTREATED


def test_companions_of_reflectance_are_laid_on_the_anchor(parse):
    found = treatments(parse("[coregister]\nmax_shift_m = 20\nrequired = true\n"))
    rule = Registration(to="landsat", max_shift_m=20.0, required=True)
    assert found["sentinel2"].registration == rule
    assert {found[name].registration for name in ("landsat", "radar", "dem")} == {None}


def test_haze_is_looked_for_in_pairs_that_show_the_visible(parse):
    found = treatments(parse('[haze]\naction = "reject"\n'))
    assert found["sentinel2"].haze == HazeRule(to="landsat", action="reject")
    assert {found[name].haze for name in ("landsat", "radar", "dem")} == {None}


def test_validity_is_a_matter_of_each_layer(parse):
    recipe = parse(
        "",
        ('bands = ["vv"]', 'bands = ["vv"]\nnoise_floor_db = -35.0'),
        ('"landsat-c2-l2"', '"landsat-c2-l2"\ndilate_m = 90\nsnow = "unusable"'),
    )
    found = treatments(recipe)
    assert (found["landsat"].dilate_m, found["landsat"].snow) == (90.0, "unusable")
    assert found["radar"].noise_floor_db == -35.0
    assert found["sentinel2"] == UNTREATED


NO_VISIBLE = ('bands = ["blue", "green", "red", "nir"]', 'bands = ["nir"]')
COASTAL = ('bands = ["blue", "green", "red", "nir"]', 'bands = ["coastal"]')
CALENDAR = ('anchor = "landsat"', 'anchor = { every = "year" }')


@pytest.mark.parametrize(
    ("more", "changes", "said"),
    [
        ("[harmonize]\n", (), "harmonize: it asks for nothing"),
        ('[harmonize]\nlike = "olli"\n', (), "harmonize.like"),
        (
            "[harmonize]\nnadir_sun_zenith_deg = 85.0\n",
            (),
            "harmonize.nadir_sun_zenith_deg: expected a number from 0 to 80",
        ),
        ('[coregister]\nlayers = ["radar"]\n', (), "coregister.layers: 'radar' is no layer"),
        ("[coregister]\nmax_shift = 10\n", (), "did you mean 'max_shift_m'?"),
        ("[coregister]\n", (COASTAL,), "coregister: no layer of reflectance within"),
        ("[coregister]\n", (CALENDAR,), "coregister: a calendar shows no ground"),
        ("[haze]\n", (CALENDAR,), "haze: a calendar shows no ground"),
        ("[haze]\n", (NO_VISIBLE,), "haze: it compares blue, green, red"),
        (
            "",
            (('bands = ["vv"]', 'bands = ["vv"]\nsnow = "unusable"'),),
            "layers.radar.snow: no band of 'sentinel-1-grd' tells snow",
        ),
        (
            "",
            (('bands = ["vv"]', 'bands = ["vv"]\ndilate_m = 10'),),
            "layers.radar.dilate_m: 'sentinel-1-grd' has no mask",
        ),
        (
            "",
            (('"landsat-c2-l2"', '"landsat-c2-l2"\nnoise_floor_db = -35.0'),),
            "layers.landsat.noise_floor_db: 'blue' is no backscatter",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_key(parse, more, changes, said):
    with pytest.raises(RecipeError) as caught:
        parse(more, *changes)
    assert said in str(caught.value)
