"""The documents say what is so: modules, links, recipes, settings, commands and code."""

import os
import re
import shlex
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer.main

import geoloupe
from catalog.errors import RecipeError
from pipeline.cube_recipe import is_cube_recipe, parse_cube_recipe
from pipeline.plan import make_plan
from pipeline.recipe import load_recipe, parse_recipe
from pipeline.run import build_store
from tests.tiny_archive import ANCHOR_TIME, TinyArchive, write_recipe
from training.config import TrainConfig, load_config
from training.metrics.image import RGB_DATA_RANGE
from training.metrics.spectral import NDVI_FLOOR

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
PACKAGES = ("catalog", "stores", "pipeline", "training")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
ROW = re.compile(r"^\| `([^`]+)` \| (.+) \|$", re.MULTILINE)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(path: Path, language: str) -> list[str]:
    return [body for kind, body in FENCE.findall(path.read_text()) if kind == language]


def blocks_of_all_pages(language: str) -> list:
    return [
        pytest.param(path, body, id=f"{name_of(path)}-{number}")
        for path in PAGES
        for number, body in enumerate(blocks(path, language))
    ]


def slugs(path: Path) -> set[str]:
    """Return the anchors that the headings of a page make."""
    prose = FENCE.sub("", path.read_text())
    titles = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", t.lower()).strip().replace(" ", "-") for t in titles}


def test_architecture_lists_exactly_the_modules_of_the_tree():
    listed = [name for name, _ in ROW.findall((DOCS / "architecture.md").read_text())]
    tree = {"geoloupe.py"}
    for path in (p for package in PACKAGES for p in (ROOT / package).rglob("*.py")):
        name = name_of(path)
        tree.add(name.removesuffix("__init__.py"))
    assert len(listed) == len(set(listed))
    assert set(listed) - tree == set(), "docs/architecture.md names modules that are gone"
    assert tree - set(listed) == set(), "docs/architecture.md lacks modules"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_inside_the_documents_lead_somewhere(page):
    for target in LINK.findall(FENCE.sub("", page.read_text())):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        assert path.exists(), f"{name_of(page)} links to {target}, which is not there"
        if anchor:
            assert anchor in slugs(path), f"{name_of(page)}: no heading for {target}"


def test_folders_that_are_no_packages_stay_so():
    assert [p for name in ("docs", "docker") for p in (ROOT / name).rglob("__init__.py")] == []


@pytest.mark.parametrize("path", sorted((DOCS / "recipes").glob("*.toml")), ids=name_of)
def test_recipes_in_the_documents_parse(path, tmp_path):
    text = path.read_text()
    if is_cube_recipe(path):
        assert parse_cube_recipe(text, path).cubes
        return
    if (
        path.name == "belgium.toml"
        and not (path.parent / tomllib.loads(text)["source"]).exists()
    ):
        pytest.skip(f"the archive of {path.name} is not here: ../shared/real is missing")
    for layer in tomllib.loads(text)["layers"].values():
        if "planetscope" in layer.get("source", ""):
            (tmp_path / "here").mkdir()
            text = text.replace(f'"{layer["source"]}"', f'"{tmp_path / "here"}"')
    assert parse_recipe(text, path).layers


@pytest.mark.parametrize(("page", "text"), blocks_of_all_pages("toml"))
def test_toml_in_the_pages_is_accepted(page, text, tmp_path):
    content = tomllib.loads(text)
    if page.name == "training.md":
        settings = tmp_path / "settings.toml"
        settings.write_text(text)
        assert load_config(settings).model_dump(include=set(content))
        return
    for source in (
        content.get("source"),
        *(v.get("source") for v in content["layers"].values()),
    ):
        if source and "/" in source and "://" not in source:
            stub_archive(tmp_path / source)
    assert parse_recipe(text, tmp_path / "page.toml").layers


def stub_archive(place: Path) -> None:
    """Make an archive without scenes, as far as a recipe looks."""
    items = place if place.suffix == ".json" else place / "items.json"
    items.parent.mkdir(parents=True, exist_ok=True)
    items.write_text("{}")


def test_a_misspelt_recipe_would_be_noticed(tmp_path):
    [text] = blocks(ROOT / "README.md", "toml")
    stub_archive(tmp_path / "runs/demo/archive")
    with pytest.raises(RecipeError, match="anchor"):
        parse_recipe(text.replace('anchor = "landsat"', 'anchor = "landset"'), tmp_path / "x")


def test_training_describes_every_setting_with_its_default():
    text = (DOCS / "training.md").read_text()
    section = text[text.index("## Settings") : text.index("## A run")]
    described = dict(re.findall(r"^\| `(\w+)` \| (.+?) \| .+ \|$", section, re.MULTILINE))
    assert set(described) == set(TrainConfig.model_fields)
    for name, field in TrainConfig.model_fields.items():
        assert described[name] == in_toml(field.default), name


def in_toml(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return f"`{list(value)}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value!r}`"


def test_training_states_the_pinned_constants_of_the_scores():
    text = (DOCS / "training.md").read_text()
    assert f"data range `R = {RGB_DATA_RANGE}`" in text
    assert f"NIR + red exceeds {NDVI_FLOOR}" in text


def test_every_command_is_in_the_documents_and_no_other():
    text = "".join(page.read_text() for page in PAGES)
    commands = typer.main.get_command(geoloupe.app).commands
    assert {c for c in commands if not re.search(rf"geoloupe {c}\b", text)} == set()
    for asked in lines_of_shell():
        assert asked[0] in commands, asked
        known = {o for p in commands[asked[0]].params for o in p.opts}
        assert {word for word in asked if word.startswith("--")} <= known, asked


def lines_of_shell() -> list[list[str]]:
    """Return the words after `geoloupe` of every command in a shell block."""
    lines = [
        line for page in PAGES for body in blocks(page, "sh") for line in body.splitlines()
    ]
    words = [shlex.split(line, comments=True) for line in lines]
    return [w[1:] for w in words if w and Path(w[0]).name == "geoloupe"]


@pytest.fixture(scope="module")
def demo_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose `runs/demo/store` is a store of a few tiny patches."""
    place = tmp_path_factory.mktemp("clone")
    (place / "archive").mkdir()
    archive = TinyArchive(place / "archive")
    archive.add("landsat-c2-l2", "L1", ANCHOR_TIME, size=(2, 4))
    archive.add("sentinel-2-l2a", "S1", ANCHOR_TIME + timedelta(days=1), size=(2, 4))
    recipe = load_recipe(write_recipe(archive, 2, 4))
    plan = make_plan(recipe, datetime(2021, 1, 1, tzinfo=UTC))
    summary = build_store(recipe, place / "runs/demo/store", lambda: plan, connect=None)
    assert summary.kept == 8
    return place


@pytest.mark.parametrize(("page", "code"), blocks_of_all_pages("python"))
def test_python_in_the_pages_runs(page, code, demo_store, monkeypatch, capsys):
    monkeypatch.chdir(demo_store)
    names: dict[str, object] = {}
    exec(compile(code, name_of(page), "exec"), names)  # noqa: S102 - our own documents
    if page.name == "README.md":
        assert "32631 (500040.0, " in capsys.readouterr().out
        assert names["physical"].shape[1:] == (2, 4, 4)
    assert Path.cwd() == Path(os.path.realpath(demo_store))
