"""Write a sandbox: render every scene of it, and list them all in one `items.json`."""

import json
import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

from pipeline.sandbox.cover import render_cropland, render_dynamic_world, render_worldcover
from pipeline.sandbox.hls import render_hls
from pipeline.sandbox.items import Json, write_scene
from pipeline.sandbox.optical import render_landsat, render_sentinel2, render_truth
from pipeline.sandbox.planet import write_delivery
from pipeline.sandbox.radar import render_sentinel1
from pipeline.sandbox.raster import Raster, Rendered
from pipeline.sandbox.schedule import (
    CROPLAND,
    DYNAMIC_WORLD,
    ELEVATION,
    HLS_LANDSAT,
    HLS_SENTINEL2,
    LABELS,
    LANDSAT,
    PLANETSCOPE,
    SENTINEL1,
    SENTINEL2,
    TRUTH,
    WORLDCOVER,
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
    HLS_LANDSAT: render_hls,
    HLS_SENTINEL2: render_hls,
    DYNAMIC_WORLD: render_dynamic_world,
}
MAPS: dict[str, Callable[[World], Rendered]] = {
    LABELS: render_labels,
    ELEVATION: render_elevation,
    WORLDCOVER: render_worldcover,
    CROPLAND: render_cropland,
}
SUNLESS = (SENTINEL1, DYNAMIC_WORLD)
"""Products whose items say nothing of the sun."""
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
        config: What to render; `schedule.DEMO`, `TINY`, `FULL` and `OFFSETS` are ready-made.
        on_scene: Called in this thread with the id of each finished scene.
        workers: Threads; default one per core, four at most.

    Returns:
        Path of `items.json`, a FeatureCollection of STAC items with relative hrefs. It is
        written last: a folder that holds it is complete. PlanetScope deliveries lie beside
        it in a folder of their own and are no items.
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
    passes = [p for p in list_overpasses(config) if p.collection != PLANETSCOPE]
    split = sum(p.collection == LANDSAT and p.number == config.two_rows for p in passes)
    maps = sum(product in config.products for product in MAPS)
    return len(passes) + len(_truths(config)) + split + maps


def _truths(config: SandboxConfig) -> list[Overpass]:
    """The Landsat passes, if the truth at their times is wanted."""
    if TRUTH not in config.products:
        return []
    both = replace(config, products=(LANDSAT,))
    return list_overpasses(both)


def _jobs(out: Path, world: World) -> Iterable[Callable[[], list[Json]]]:
    """Yield one job per scene, the long ones first."""
    config = world.config
    for overpass in sorted(list_overpasses(config), key=lambda p: -len(p.collection)):
        if overpass.collection == PLANETSCOPE:
            yield partial(_write_planet, out, world, overpass)
        else:
            yield partial(_write_overpass, out, world, overpass)
    for overpass in _truths(config):
        yield partial(_write_truth, out, world, overpass)
    for product, render in MAPS.items():
        if product in config.products:
            yield partial(_write_map, out, world, render)


def _write_map(out: Path, world: World, render: Callable[[World], Rendered]) -> list[Json]:
    return [write_scene(out, render(world), world.config, None)]


def _write_planet(out: Path, world: World, overpass: Overpass) -> list[Json]:
    write_delivery(out, world, overpass)
    return []


def _write_overpass(out: Path, world: World, overpass: Overpass) -> list[Json]:
    rendered = RENDERERS[overpass.collection](world, overpass)
    sun = None if overpass.collection in SUNLESS else world.sun(overpass)
    scenes = [rendered]
    if overpass.collection == LANDSAT and overpass.number == world.config.two_rows:
        scenes = split_rows(rendered)
    return [write_scene(out, scene, world.config, sun) for scene in scenes]


def _write_truth(out: Path, world: World, overpass: Overpass) -> list[Json]:
    name = f"truth_{overpass.time:%Y%m%d}"
    true = replace(overpass, collection=TRUTH, platform="", shift_m=(0.0, 0.0))
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
