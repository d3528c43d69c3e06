"""The command line: what it prints for people and for programs, and how it refuses."""

import json
import sys

import pytest

import geoloupe
from tests.tiny_archive import ANCHOR_TIME, TinyArchive, write_recipe

BBOX = "bbox = [3.0, 50.80, 3.01, 50.82]"


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A recipe for 2 x 4 cells, with one anchor and one partner that lacks the last column."""
    archive = TinyArchive(tmp_path_factory.mktemp("cli"))
    archive.add("landsat-c2-l2", "L", ANCHOR_TIME, size=(2, 4))
    archive.add("sentinel-2-l2a", "S", ANCHOR_TIME, size=(2, 3.5))
    return write_recipe(archive, 2, 4)


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the program in this process; return exit code, stdout and stderr."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["geoloupe", *map(str, arguments)])
        code = 0
        try:
            geoloupe.main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return call


def _plain(text):
    """One line, whatever the width of the terminal."""
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("window_days = 5", "window_dayz = 5", "window_dayz: unknown key; did you mean"),
        ('"landsat-c2-l2"', '"landsat-c2"', "did you mean 'landsat-c2-l2'?"),
        ('"red", "nir"]\ngsd_m = 30', '"red", "vv"]\ngsd_m = 30', "has no band 'vv'"),
        ('geojson = "area.geojson"', BBOX.replace("3.01", "2.0"), "area.bbox"),
        ('"2020-06-30"', '"2020-05-01"', "period"),
        ('source = "items.json"', 'source = "nowhere/items.json"', "nowhere/items.json"),
    ],
)
def test_a_wrong_recipe_is_one_message_with_exit_code_2(run, recipe, old, new, said):
    text = recipe.read_text()
    assert old in text
    wrong = recipe.with_name("wrong.toml")
    wrong.write_text(text.replace(old, new))
    store = recipe.with_name("never")
    for command in (["plan", wrong], ["build", wrong, "--store", store]):
        code, out, err = run(*command)
        assert (code, out) == (2, "")
        assert said in _plain(err)
        assert _plain(err).startswith("RecipeError wrong.toml: ")
        assert "Traceback" not in err
    assert not store.exists()


def test_an_archive_that_cannot_be_reached_is_named(run, recipe, closed_port):
    text = recipe.read_text().replace("items.json", f"http://127.0.0.1:{closed_port}/v1")
    path = recipe.with_name("remote.toml")
    path.write_text(text)
    store = recipe.with_name("unreached")
    code, out, err = run("build", path, "--store", store)
    assert (code, out) == (2, "")
    assert not store.exists()
    assert f"QueryError STAC search at http://127.0.0.1:{closed_port}/v1" in _plain(err)
    assert "check the address and the network" in _plain(err)
    assert "Traceback" not in err


def test_a_missing_recipe_is_named(run, tmp_path):
    code, _, err = run("plan", tmp_path / "absent.toml")
    assert code == 2
    assert "absent.toml" in _plain(err)


def test_a_store_path_that_holds_something_else_is_refused(run, recipe, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    for arguments in (["build", recipe, "--store", tmp_path], ["inspect", tmp_path]):
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        assert _plain(err).startswith("StoreError ")
        assert str(tmp_path) in err
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]


def test_debug_shows_the_traceback(run, tmp_path):
    with pytest.raises(geoloupe.GeoloupeError):
        run("--debug", "plan", tmp_path / "absent.toml")


def test_a_plan_moves_no_pixel_and_prints_what_a_build_would_do(run, recipe, tmp_path):
    lonely = TinyArchive(tmp_path)
    for item in json.loads((recipe.parent / "items.json").read_text())["features"]:
        lonely.items.append(item)
    lonely.save()
    path = write_recipe(lonely, 2, 4)
    assert not list(tmp_path.glob("*.tif"))
    code, out, _ = run("plan", path, "--json")
    facts = json.loads(out)
    assert code == 0
    assert (facts["cells"], facts["matches"], facts["samples_to_build"]) == (8, 8, 6)
    assert facts["rejects"] == {"partial coverage": 2}
    assert (facts["tasks"], facts["scenes"]) == (2, {"landsat": 1, "sentinel2": 1})
    for key in ("expected_requests", "expected_read_bytes", "expected_disk_bytes"):
        assert facts[key] > 0

    code, out, err = run("plan", path, "--out", tmp_path / "plan")
    assert code == 0
    for words in (
        "plan of tiny",
        "rejected: partial coverage",
        "samples to build 6",
        "tasks 2",
    ):
        assert words in _plain(out)
    assert "geoloupe build" in _plain(err)
    assert (tmp_path / "plan" / "plan.json").exists()


def test_build_and_inspect_speak_json_and_a_second_build_has_nothing_to_do(
    recipe, run, client, tmp_path
):
    store = tmp_path / "store"
    command = ["build", recipe, "--store", store, "--scheduler", client.scheduler.address]
    code, out, _ = run(*command, "--json")
    built = json.loads(out)
    assert (code, built["kept"], built["snapshot"], built["undone"]) == (0, 6, 1, {})
    code, out, _ = run(*command, "--json")
    assert (code, json.loads(out)["already_built"]) == (0, True)
    code, _, err = run(*command)
    assert "nothing to do" in _plain(err)

    code, out, _ = run("inspect", store, "--json")
    facts = json.loads(out)
    assert (code, facts["kept"], facts["rejected"]) == (0, 6, {"partial coverage": 2})
    assert facts["cells"] == 6

    code, out, _ = run("inspect", store, "--html", tmp_path / "report.html")
    assert code == 0
    assert "samples 6 on 6 cells" in _plain(out)
    assert "<html" in (tmp_path / "report.html").read_text()

    code, _, err = run("inspect", store, "--snapshot", "7")
    assert (code, "no snapshot 7; it has 1" in _plain(err)) == (2, True)


def test_failures_above_the_limit_end_with_code_1(run, recipe, client, tmp_path):
    plan = tmp_path / "plan"
    assert run("plan", recipe, "--out", plan)[0] == 0
    spoiled = (recipe.parent / "S_nir.tif").rename(recipe.parent / "S_nir.away")
    code, _, err = run(
        "build", plan, "--store", tmp_path / "store", "--scheduler", client.scheduler.address
    )
    spoiled.rename(recipe.parent / "S_nir.tif")
    assert code == 1
    assert "6 unreadable source" in _plain(err)
    assert "S_nir.tif" in err
