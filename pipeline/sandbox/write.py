"""Write a sandbox: render every scene of it, and list them all in one `items.json`."""

import json
import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

from catalog.products import SANDBOX_TRUTH
from pipeline.sandbox.items import Json, write_scene
from pipeline.sandbox.optical import render_landsat, render_sentinel2, render_truth
from pipeline.sandbox.radar import render_sentinel1
from pipeline.sandbox.raster import Raster, Rendered
from pipeline.sandbox.schedule import (
    LANDSAT,
    SENTINEL1,
    SENTINEL2,
    Overpass,
    SandboxConfig,
    list_overpasses,
)
from pipeline.sandbox.static import render_elevation, render_labels
from pipeline.sandbox.world import World, build_world

RENDERERS: dict[str, Callable[[World, Overpass], Rendered]] = {
    LANDSAT: render_landsat,
    SENTINEL2: render_sentinel2,
    SENTINEL1: render_sentinel1,
}
ROW_GAP = timedelta(seconds=24)
"""Time between the centers of neighboring WRS-2 rows: an orbit of 98.9 min has 248."""


def ignore_scene(_: str) -> None:
    """Take no notice of a finished scene."""


def write_sandbox(
    out: Path,
    *,
    config: SandboxConfig,
    on_scene: Callable[[str], None] = ignore_scene,
    workers: int | None = None,
) -> Path:
    """Render the sandbox of `config` below `out`.

    Scenes are rendered side by side in threads; each has random numbers of its own, so
    neither their number nor their order changes a byte.

    Args:
        out: Folder to write, made if missing. Files of the same name are replaced.
        config: What to render; `schedule.DEMO` and `schedule.TINY` are ready-made.
        on_scene: Called in this thread with the id of each finished scene.
        workers: Threads; default one per core, four at most.

    Returns:
        Path of `items.json`, a FeatureCollection of STAC items with relative hrefs. It is
        written last: a folder that holds it is complete.
    """
    out.mkdir(parents=True, exist_ok=True)
    world = build_world(config)
    items: list[Json] = []
    with ThreadPoolExecutor(workers or min(4, os.cpu_count() or 1)) as pool:
        futures: list[Future[list[Json]]] = [pool.submit(job) for job in _jobs(out, world)]
        for future in as_completed(futures):
            for item in future.result():
                items.append(item)
                on_scene(item["id"])
    items.sort(
        key=lambda item: (item["collection"], item["properties"]["datetime"], item["id"])
    )
    path = out / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}, indent=1))
    return path


def count_scenes(config: SandboxConfig) -> int:
    """Return how many items `write_sandbox` will list, for a progress bar."""
    passes = list_overpasses(config)
    landsat = [p for p in passes if p.collection == LANDSAT]
    split = sum(p.number == config.two_rows for p in landsat)
    return len(passes) + len(landsat) + split + 2


def _jobs(out: Path, world: World) -> Iterable[Callable[[], list[Json]]]:
    """Yield one job per scene, the long ones first."""
    for overpass in sorted(list_overpasses(world.config), key=lambda p: -len(p.collection)):
        yield partial(_write_overpass, out, world, overpass)
        if overpass.collection == LANDSAT:
            yield partial(_write_truth, out, world, overpass)
    yield lambda: [write_scene(out, render_labels(world), world.config, None)]
    yield lambda: [write_scene(out, render_elevation(world), world.config, None)]


def _write_overpass(out: Path, world: World, overpass: Overpass) -> list[Json]:
    rendered = RENDERERS[overpass.collection](world, overpass)
    sun = None if overpass.collection == SENTINEL1 else world.sun(overpass)
    scenes = [rendered]
    if overpass.collection == LANDSAT and overpass.number == world.config.two_rows:
        scenes = split_rows(rendered)
    return [write_scene(out, scene, world.config, sun) for scene in scenes]


def _write_truth(out: Path, world: World, overpass: Overpass) -> list[Json]:
    name = f"truth_{overpass.time:%Y%m%d}"
    true = replace(overpass, collection=SANDBOX_TRUTH.key, platform="", shift_m=(0.0, 0.0))
    rendered = render_truth(world, true, name)
    return [write_scene(out, rendered, world.config, world.sun(overpass))]


def split_rows(rendered: Rendered) -> list[Rendered]:
    """Cut one Landsat pass into two neighboring, overlapping rows, as it is delivered.

    Returns:
        The northern row, then the southern, `ROW_GAP` later; each holds three fifths.
    """
    height = rendered.rasters[0].values.shape[0]
    share = -(-height * 3 // 5)
    name = rendered.overpass.name
    south_name = name.replace("_199024_", "_199025_")
    later = rendered.overpass.time + ROW_GAP
    return [
        _cut_rows(rendered, 0, share, rendered.overpass),
        _cut_rows(
            rendered,
            height - share,
            height,
            replace(rendered.overpass, name=south_name, time=later),
        ),
    ]


def _cut_rows(rendered: Rendered, start: int, stop: int, overpass: Overpass) -> Rendered:
    rasters = tuple(_cut(raster, start, stop) for raster in rendered.rasters)
    quality = next(raster.values for raster in rasters if raster.band == "qa_pixel")
    cloud = float((quality & (1 << 3) > 0).mean())
    return replace(rendered, rasters=rasters, overpass=overpass, cloud=cloud)


def _cut(raster: Raster, start: int, stop: int) -> Raster:
    if raster.grid is None:
        raise ValueError(f"raster {raster.band!r} has no grid to cut rows of")
    return replace(raster, values=raster.values[start:stop], grid=raster.grid.rows(start, stop))
