"""What the demonstration is built from: a sandbox of our own, or an archive of real scenes."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pyproj import Transformer
from rich.console import Console

from catalog.errors import RecipeError
from catalog.providers.local import find_items
from pipeline.plan import make_plan
from pipeline.progress import BuildProgress, SceneProgress
from pipeline.recipe import load_recipe
from pipeline.run import build_store
from pipeline.sandbox.schedule import DEMO, SandboxConfig
from pipeline.sandbox.write import count_scenes, write_sandbox
from stores.report.dataset import write_report

_OPTICAL_BANDS = '["blue", "green", "red", "nir", "swir1", "swir2"]'

_SANDBOX_RECIPE = """\
# The demonstration: a simulated landscape, searched and built like any archive.
name   = "demo"
note   = "{note}"
period = ["{start}", "{end}"]
anchor = "landsat"              # every Landsat pass over a cell makes a sample
source = "archive"
window_days = 7

[area]
bbox = [{west:.6f}, {south:.6f}, {east:.6f}, {north:.6f}]

[grid]
gsd_m   = 10
size_px = {size_px}

[layers.landsat]
product = "landsat-c2-l2"
bands   = {bands}
gsd_m   = 30

[layers.sentinel2]
product = "sentinel-2-l2a"
bands   = {bands}
gsd_m   = 10

[layers.sentinel1]
product  = "sentinel-1-grd"
bands    = ["vv", "vh"]
gsd_m    = 10
required = false

[layers.dem]
product = "cop-dem-glo-30"
bands   = ["elevation"]
gsd_m   = 10

[layers.land_cover]
product = "worldcereal-labels"
bands   = ["land_cover"]
gsd_m   = 10

[layers.truth]                  # what no real archive has: the landscape itself
product = "sandbox-truth"
bands   = {bands}
gsd_m   = 10

[split]
block_m = {block_m}
shares  = {{ train = 0.66, val = 0.12, test = 0.22 }}
seed    = 4
"""

_BELGIUM_RECIPE = """\
# Real scenes of a farm near Dixmude, Belgium: four cells of 300 m on Landsat's own grid.
name   = "belgium"
period = ["2017-08-01", "2018-12-01"]
anchor = "landsat"
source = {source}
window_days = 7

[area]
bbox = [3.0195, 50.8133, 3.0284, 50.8187]

[grid]
gsd_m    = 10
size_px  = 30
origin_m = [501375, 5629065]

[layers.landsat]
product = "landsat-c2-l2"
bands   = {bands}
gsd_m   = 30

[layers.sentinel2]
product = "sentinel-2-l2a"
bands   = {bands}
gsd_m   = 10

[split]
block_m = 300                   # single cells: neighbors share scenes and borders
shares  = {{ train = 0.5, val = 0.25, test = 0.25 }}
"""

SANDBOX_NOTE = (
    "Simulated data: the landscape, its sensors and their faults are made up, and no pixel is "
    "of a real scene; the archive is searched, read and built like any other."
)
FEW_CELLS_NOTE = (
    "This split leaks: {cells} neighboring cells of {size_m:g} m share scenes and borders. The "
    "scores are an illustration that the path runs on real scenes, not a measure of quality."
)

OnScene = Callable[[int, int], None]
"""Told how many of how many scenes are rendered."""


@dataclass(frozen=True, slots=True)
class DemoInput:
    """A recipe to build, and what a reader of the scores must know."""

    recipe: Path
    notes: tuple[str, ...]


def sandbox_input(
    out: Path,
    *,
    on_scene: OnScene = lambda _done, _all: None,
    config: SandboxConfig = DEMO,
    size_px: int = 192,
) -> DemoInput:
    """Render the sandbox below `out`, unless it is there, and write its recipe beside it.

    Args:
        out: Folder of the demonstration.
        on_scene: Told how many of how many scenes are rendered.
        config: The sandbox to render.
        size_px: Rows and columns of a patch; blocks of 2 x 2 cells go to one split.
    """
    _refuse_foreign(out)
    archive, marker = out / "archive", out / "archive" / "config.json"
    wanted = json.dumps(asdict(config), default=str, sort_keys=True)
    if not marker.exists() or marker.read_text() != wanted:
        total, done = count_scenes(config), 0

        def note(_scene: str) -> None:
            nonlocal done
            done += 1
            on_scene(done, total)

        write_sandbox(archive, config=config, on_scene=note)
        marker.write_text(wanted)
    west, south, east, north = _bounds(config)
    text = _SANDBOX_RECIPE.format(
        start=config.start,
        end=config.end,
        west=west,
        south=south,
        east=east,
        north=north,
        bands=_OPTICAL_BANDS,
        note=SANDBOX_NOTE,
        size_px=size_px,
        block_m=2 * size_px * 10,
    )
    return DemoInput(_write_recipe(out, text), (SANDBOX_NOTE,))


def _bounds(config: SandboxConfig) -> tuple[float, float, float, float]:
    """The area in degrees: west, south, east, north."""
    to_lonlat = Transformer.from_crs(config.epsg, 4326, always_xy=True)
    east, north = config.west + config.size_m, config.south + config.size_m
    west, south, east, north = to_lonlat.transform_bounds(
        config.west, config.south, east, north
    )
    return west, south, east, north


def archive_input(out: Path, archive: str) -> DemoInput:
    """Write a recipe for the Belgian scenes of a local archive.

    Raises:
        RecipeError: If the archive is missing or holds no scene of the place.
    """
    items = find_items(archive).resolve()
    _refuse_foreign(out)
    ids = [feature["id"] for feature in json.loads(items.read_text())["features"]]
    if not any("31UDS" in one for one in ids):
        raise RecipeError(
            f"archive {archive!r} holds no scene of tile 31UDS: `demo --archive` runs on the "
            f"Belgian scenes; write a recipe of your own and use `geoloupe build`"
        )
    text = _BELGIUM_RECIPE.format(source=json.dumps(str(items)), bands=_OPTICAL_BANDS)
    note = FEW_CELLS_NOTE.format(cells="four", size_m=300)
    return DemoInput(_write_recipe(out, text), (note,))


def _refuse_foreign(out: Path) -> None:
    """Refuse a folder that holds something else than a demonstration."""
    held = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    if held and not {"archive", "recipe.toml"} & set(held):
        raise RecipeError(
            f"{out} holds something else ({', '.join(held[:5])}) and is not a demonstration; "
            "give --out a new or empty folder"
        )


def _write_recipe(out: Path, text: str) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    path = out / "recipe.toml"
    path.write_text(text)
    return path


def make_demo_store(
    out: Path, archive: str | None, console: Console
) -> tuple[str, tuple[str, ...], dict[str, float]]:
    """Build the store of the demonstration, and its report beside it.

    Returns:
        The store's path, what readers of the scores must know, and seconds by stage.
    """
    started = time.monotonic()
    console.print("scenes, then a store: one to three minutes")
    if archive is None:
        with SceneProgress(console) as rendering:
            given = sandbox_input(out, on_scene=rendering.on_scene)
    else:
        given = archive_input(out, archive)
    timings = {"scenes": time.monotonic() - started}
    started = time.monotonic()
    recipe = load_recipe(given.recipe)
    with BuildProgress(console) as progress:
        summary = build_store(
            recipe,
            out / "store",
            lambda: make_plan(recipe, datetime.now(UTC), on_search=progress.on_search),
            on_start=progress.on_start,
            on_report=progress.on_report,
        )
    console.print(summary.describe(), markup=False, soft_wrap=True)
    timings["build"] = time.monotonic() - started
    write_report(summary.store, out / "store.html")
    return summary.store, given.notes, timings
