"""Fixtures of the tests that build."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.plan import Plan, make_plan
from pipeline.recipe import Recipe, load_recipe
from pipeline.run import RunSummary, build_store
from tests.tiny_archive import ANCHOR_TIME, COLUMNS, ROWS, TinyArchive, write_recipe

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Campaign:
    """A recipe of four tasks, its archive and its plan."""

    path: Path
    archive: TinyArchive
    recipe: Recipe
    plan: Plan


@dataclass(frozen=True)
class Reference:
    """The store of the campaign, built by a plain loop without interruption."""

    folder: Path
    summary: RunSummary


@pytest.fixture
def archive(tmp_path: Path) -> TinyArchive:
    """An archive without a scene."""
    folder = tmp_path / "archive"
    folder.mkdir()
    return TinyArchive(folder)


@pytest.fixture(scope="session")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """Three passes of Landsat over 8 x 10 cells; the first is two rows of scenes.

    The second has a Sentinel-2 scene for 8.5 columns only, the third none in its window.
    """
    tiny = TinyArchive(tmp_path_factory.mktemp("archive"))
    write_scenes(tiny)
    path = write_recipe(tiny, ROWS, COLUMNS)
    recipe = load_recipe(path)
    return Campaign(path, tiny, recipe, make_plan(recipe, datetime(2021, 1, 1, tzinfo=UTC)))


def write_scenes(tiny: TinyArchive) -> None:
    """Write the scenes of the campaign."""
    whole = (ROWS, COLUMNS)
    landsat, sentinel2 = "landsat-c2-l2", "sentinel-2-l2a"
    tiny.add(landsat, "L1-upper", ANCHOR_TIME, size=(4.5, COLUMNS))
    rows_later = ANCHOR_TIME + timedelta(seconds=24)
    tiny.add(landsat, "L1-lower", rows_later, size=(4.5, COLUMNS), corner=(3.5, 0))
    tiny.add(landsat, "L2", ANCHOR_TIME + 10 * DAY, size=whole, cloudy=[(0, 2, 0, 2)])
    tiny.add(landsat, "L3", ANCHOR_TIME + 19 * DAY, size=whole)
    tiny.add(sentinel2, "S1", ANCHOR_TIME + DAY, size=whole, cloudy=[(0, 3, 0, 3)])
    tiny.add(sentinel2, "S2", ANCHOR_TIME + 2 * DAY, size=whole, cloudy=[(0, 1, 0, 1)])
    tiny.add(sentinel2, "S3", ANCHOR_TIME + 12 * DAY, size=(ROWS, 8.5), offset=-0.1)


@pytest.fixture(scope="session")
def reference(campaign: Campaign, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """The campaign's store, built by a plain loop without interruption."""
    folder = tmp_path_factory.mktemp("reference") / "store"
    summary = build_store(campaign.recipe, folder, lambda: campaign.plan, connect=None)
    return Reference(folder, summary)
