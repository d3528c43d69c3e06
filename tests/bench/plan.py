"""What planning a large dataset costs: one JSON line.

The case has the size of EFDiff: 3,094 tiles of 48 dates, 242,416 samples, three layers. The
scenes are made in memory; nothing is searched and no pixel is read. Matching, splitting and its
audit, packing, the estimate and the claim are timed, each size in a fresh process.

Run it with `make bench-plan`.
"""

import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from shapely.geometry import Polygon

from catalog.grid import Cell, PatchGrid
from catalog.products import find_product
from catalog.scene import Asset, Scene
from pipeline.estimate import estimate_plan
from pipeline.plan import layers_to_json, plan_found
from pipeline.plan_split import choose_cells
from pipeline.recipe import Recipe, parse_recipe
from pipeline.run import save_scenes
from pipeline.search import Found
from stores.claim import claim_build
from stores.create import create_store
from stores.objects import open_root
from stores.schema import SLOTS_PER_SHARD

TILES, DATES, SAMPLES = 3_094, 48, 242_416
START = datetime(2021, 1, 3, 10, 30, tzinfo=UTC)
REVISIT = timedelta(days=7)
TILE_M, OVERLAP_M = 100_000.0, 9_800.0
FIRST_ROW, ROWS = 20, 26
GRID = PatchGrid(gsd_m=30, size_px=256, stride_px=256)
RECIPE = """
name = "efdiff-size"
period = ["2021-01-01", "2021-12-31"]
anchor = "hls"
window_days = 0.01
source = "planetary-computer"

[area]
points = {points}

[grid]
gsd_m = 30
size_px = 256

[layers.hls]
product = "hls-l30"
bands = ["blue", "green", "red", "nir", "swir1", "swir2"]
source = "lpdaac"

[layers.temperature]
product = "landsat-c2-l2"
bands = ["thermal"]

[layers.land_cover]
product = "esa-worldcover"
bands = ["land_cover"]
when = "static"
gsd_m = 30

[split]
by = "mgrs"
buffer_m = 7680
shares = {{ train = 0.9512, test = 0.0488 }}

[limits]
max_bytes = 1e15
max_requests = 1e9
"""


class Tile:
    """One 100 km square: two columns of tiles in the middle of every zone."""

    def __init__(self, number: int) -> None:
        zone, place = number // (2 * ROWS), number % (2 * ROWS)
        self.number = number
        self.epsg = 32601 + zone
        self.west = (4 + place // ROWS) * TILE_M
        self.south = (FIRST_ROW + place % ROWS) * TILE_M
        self.name = f"{zone + 1:02d}{'AB'[place // ROWS]}{FIRST_ROW + place % ROWS}"

    def cells(self, count: int) -> list[Cell]:
        """Return cells in the middle of the tile, apart from one another."""
        column = round((self.west + 0.3 * TILE_M) / GRID.stride_m)
        row = round((self.south + 0.4 * TILE_M) / GRID.stride_m)
        return [GRID.cell(self.epsg, column + 2 * i, row) for i in range(count)]

    def outline(self, *, west_of: float | None = None) -> Polygon:
        """Return what a scene of the tile covers: it overlaps its neighbors a little."""
        east = self.west + TILE_M + OVERLAP_M if west_of is None else west_of
        north = self.south + TILE_M
        return Cell(self.epsg, self.west, self.south - OVERLAP_M, east, north).footprint


def cells_of(tiles: list[Tile], samples: int) -> Iterator[tuple[Tile, list[Cell]]]:
    """Yield each tile with its cells: all of 48 dates, but one that makes the count exact."""
    whole, rest = divmod(samples, DATES)
    each, more = divmod(whole, len(tiles))
    for tile in tiles:
        # The odd cell is the last of the first tile.
        odd = bool(rest) and tile.number == 0
        yield tile, tile.cells(each + (tile.number < more) + odd)


def scene(product: str, name: str, tile: Tile, when: datetime, outline: Polygon) -> Scene:
    """Return a scene as its archive would list it."""
    described = find_product(product)
    bands = {
        "hls-l30": ("blue", "green", "red", "nir", "swir1", "swir2", "fmask"),
        "landsat-c2-l2": ("thermal", "qa_pixel"),
        "esa-worldcover": ("land_cover",),
    }[product]
    transform = (30.0, 0.0, tile.west, 0.0, -30.0, tile.south + TILE_M)
    assets = {
        key: Asset(
            band=key,
            href=f"https://example.com/{product}/{name}/{name}.{key}.tif",
            scale=described.band(key).encoding.scale,
            offset=described.band(key).encoding.offset,
            nodata=0.0,
            shape=(3660, 3660),
            transform=transform,
        )
        for key in bands
    }
    return Scene(
        id=name,
        product=product,
        source="bench",
        platform="landsat-8",
        time=when,
        footprint=outline,
        cloud=(tile.number * 7 + when.day) % 40 / 100,
        epsg=tile.epsg,
        version="1",
        assets=assets,
    )


def scenes_of(tile: Tile, cells: list[Cell], odd_dates: int) -> Iterator[tuple[str, Scene]]:
    """Yield layer and scene: 48 dates of two layers, and one of the land cover."""
    whole = tile.outline()
    # All but a few scenes of the first tile end west of its last cell.
    short = tile.outline(west_of=cells[-1].west - 1000) if odd_dates else whole
    yield "land_cover", scene("esa-worldcover", f"LC-{tile.name}", tile, START, whole)
    for date in range(DATES):
        when = START + date * REVISIT + timedelta(seconds=8 * (tile.number % ROWS))
        outline = whole if date < odd_dates or not odd_dates else short
        stamp = f"{tile.name}-{when:%Y%m%dT%H%M%S}"
        yield "hls", scene("hls-l30", f"HLS-{stamp}", tile, when, outline)
        yield "temperature", scene("landsat-c2-l2", f"LC08-{stamp}", tile, when, outline)


def make_case(n_tiles: int, samples: int) -> tuple[Recipe, Found]:
    """Return the recipe and what a search for it would have found."""
    layers: dict[str, list[Scene]] = {"hls": [], "temperature": [], "land_cover": []}
    points = []
    for tile, cells in cells_of([Tile(i) for i in range(n_tiles)], samples):
        points += [[*cell.lonlat, tile.name] for cell in cells]
        odd_dates = samples % DATES if tile.number == 0 else 0
        for layer, one in scenes_of(tile, cells, odd_dates):
            layers[layer].append(one)
    none = dict.fromkeys(layers, 0)
    text = RECIPE.format(points=json.dumps(points))
    found = Found(
        scenes={layer: tuple(listed) for layer, listed in layers.items()},
        too_cloudy=none,
        outside=none,
        refused=dict.fromkeys(layers, ()),
        requests=0,
    )
    return parse_recipe(text, Path("efdiff-size.toml")), found


def measure(n_tiles: int, samples: int) -> dict[str, float]:
    """Plan once in this process, from the listed scenes to the claim on disk."""
    recipe, found = make_case(n_tiles, samples)
    started, worked = time.perf_counter(), time.process_time()
    chosen = choose_cells(recipe)
    plan = plan_found(recipe, chosen, found, datetime(2022, 1, 1, tzinfo=UTC))
    estimate_plan(plan)
    with tempfile.TemporaryDirectory() as folder:
        create_store(folder + "/store", plan.schema)
        root = open_root(folder + "/store")
        meta = {
            **plan.meta,
            "layers": layers_to_json(plan.layers),
            "scenes": save_scenes(root, plan.scenes),
        }
        claim = claim_build(root, plan.samples, meta)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - worked
    kept = len(claim.samples) - len(claim.planned_rejects())
    return {
        "samples": kept,
        "tasks": claim.n_tasks,
        "mean_slot_fill": round(kept / (claim.n_tasks * SLOTS_PER_SHARD), 3),
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu_seconds, 2),
        "memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def in_a_fresh_process(n_tiles: int, samples: int) -> dict[str, float]:
    """Measure one size where nothing else has used memory or filled a cache."""
    command = [sys.executable, "-m", "tests.bench.plan", str(n_tiles), str(samples)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    measured: dict[str, float] = json.loads(answer.stdout)
    return measured


def main() -> None:
    """Measure one size if it is given, else the whole case and a quarter of it."""
    if len(sys.argv) == 3:
        answer = measure(int(sys.argv[1]), int(sys.argv[2]))
    else:
        answer = in_a_fresh_process(TILES, SAMPLES)
        quarter = in_a_fresh_process(round(TILES / 4), SAMPLES // 4)
        whole, part = answer["samples"], quarter["samples"]
        answer["seconds_quarter"] = quarter["seconds"]
        answer["cpu_seconds_quarter"] = quarter["cpu_seconds"]
        answer["memory_mb_quarter"] = quarter["memory_mb"]
        answer["growth"] = round(answer["seconds"] / quarter["seconds"], 2)
        answer["growth_n_log_n"] = round(whole * math.log(whole) / (part * math.log(part)), 2)
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
