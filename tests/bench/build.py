"""How fast patches are built, against odc-stac and the bare decoding: one JSON line.

Run it with `make bench-build`, alone on the machine. Three cases: `''` where both grids agree,
`warp_` with Landsat in the neighboring UTM zone, `sparse_` with 64 cells anywhere on a tile.
Our side is the public path: a recipe, a plan, `build_store` on a started cluster, timed from
the claim to the published snapshot. `--scale 0.1` is a quick look.
"""

import argparse
import cProfile
import importlib
import io
import json
import os
import pstats
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from distributed import Client, LocalCluster

from pipeline.plan import Plan, make_plan
from pipeline.recipe import Recipe, load_recipe, store_schema
from pipeline.run import build_store
from stores.patch_store import PatchStore
from tests.bench.archive import BenchArchive, Place
from tests.bench.build_case import Case, cases
from tests.bench.build_check import check_http, check_naive, check_tuned
from tests.bench.build_floor import CORES, floor, needed_files
from tests.bench.build_odc import (
    DENSE_CHUNKS,
    NAIVE_CHUNKS,
    SPARSE_CHUNKS,
    WAYS,
    OdcCase,
    run_naive,
    run_tuned,
)
from tests.bench.build_server import serve_folder

FULL_CELLS, FULL_DATES = 28, 14


@contextmanager
def started_cluster() -> Iterator[Client]:
    """A cluster of one worker with one thread per core, fresh."""
    with (
        LocalCluster(n_workers=CORES, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(CORES)
        client.run(_import_builder)
        yield client


def _import_builder() -> None:
    """Let a started worker be one that has built before: imports are no part of the work."""
    importlib.import_module("pipeline.execute")


def worker_peak_mb() -> float:
    """Largest resident memory of this process so far, MB.

    `ru_maxrss` would count the parent's memory before a worker became a program of its own.
    """
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


def peak_mb(client: Client) -> float:
    """The largest peak among workers, MB."""
    return max(client.run(worker_peak_mb).values())


def prepared(
    case: Case,
    folder: Path,
    *,
    places: Sequence[Place] = (),
    dates: int | None = None,
    base: str = "",
) -> tuple[Recipe, Plan]:
    """Write a recipe, load and plan it; its case, or other cells or dates of it."""
    path = case.archive.write_recipe(
        folder, places or case.places, base=base, warped=case.warped, dates=dates
    )
    recipe = load_recipe(path)
    plan = make_plan(recipe, datetime.now(UTC))
    expected = len(places or case.places) * (dates or case.archive.dates)
    if len(plan.samples) != expected or plan.rejects:
        raise AssertionError(f"planned {len(plan.samples)} of {expected}: {plan.rejects}")
    return recipe, plan


def build_once(recipe: Recipe, plan: Plan, store: Path, client: Client | None) -> float:
    """Build a store from nothing; return the seconds from the claim to the snapshot."""
    shutil.rmtree(store, ignore_errors=True)
    connect = None if client is None else lambda: nullcontext(client)
    started = time.perf_counter()
    summary = build_store(recipe, store, lambda: plan, connect=connect)
    seconds = time.perf_counter() - started
    if summary.kept != len(plan.samples):
        raise AssertionError(f"kept {summary.kept} of {len(plan.samples)}: {summary.rejected}")
    return seconds


def measure_ours(case: Case, scratch: Path, repeats: int) -> tuple[dict[str, Any], Recipe]:
    """Speed and memory of our build; the store of the last run stays.

    Each run has fresh workers, started before its clock: no block is left from the last one.
    """
    recipe, plan = prepared(case, scratch / "recipe")
    runs, peaks = [], []
    for _ in range(repeats):
        with started_cluster() as client:
            runs.append(build_once(recipe, plan, scratch / "store", client))
            peaks.append(peak_mb(client))
    return {
        "patches": case.patches,
        "seconds": round(median(runs), 2),
        "patches_per_s": round(case.patches / median(runs), 1),
        "peak_rss_mb": round(max(peaks)),
    }, recipe


def measure_4x(case: Case, scratch: Path) -> dict[str, Any]:
    """Memory of a fresh cluster on four times the area, as many samples or a date's worth."""
    dates = max(1, case.archive.dates // 4)
    recipe, plan = prepared(case, scratch / "recipe4x", places=case.places_4x, dates=dates)
    with started_cluster() as client:
        build_once(recipe, plan, scratch / "store4x", client)
        peak = peak_mb(client)
    shutil.rmtree(scratch / "store4x")
    return {"peak_rss_4x_mb": round(peak)}


def measure_odc(
    case: Case, scratch: Path, recipe: Recipe, client: Client, repeats: int
) -> dict[str, Any]:
    """Speed of odc-stac, both ways, its outputs compared with ours.

    Chunk size and kind of workers are tried on two dates; the naive way, whose speed does not
    depend on their number, makes one date, with the better of two chunk sizes.
    """
    odc = OdcCase(
        case.archive, case.places, case.archive.dates, case.warped, store_schema(recipe)
    )
    trial, folder = odc.on(min(2, odc.dates)), scratch / "odc"
    chunks = DENSE_CHUNKS if odc.dense else SPARSE_CHUNKS
    tried: dict[tuple[tuple[int, int], str], float] = {}
    for way in WAYS:
        run_tuned(odc.on(1), folder, chunks[0], way, client)  # imports are no part of the work
        shutil.rmtree(folder)
        for chunk in chunks:
            tried[chunk, way] = run_tuned(trial, folder, chunk, way, client)[1]
            shutil.rmtree(folder)
    best = min(tried, key=lambda key: tried[key])
    tuned = []
    for _ in range(repeats):
        shutil.rmtree(folder, ignore_errors=True)
        made, seconds = run_tuned(odc, folder, *best, client)
        tuned.append(seconds)
    if check_tuned(case, scratch / "store", made) != case.patches:
        raise AssertionError("some patches of odc-stac were not compared")
    shutil.rmtree(folder)
    single = odc.on(1)
    simple = {
        (chunk, way): run_naive(single, scratch / f"{chunk[0]}{way}", chunk, way, client)
        for chunk in (NAIVE_CHUNKS if odc.dense else NAIVE_CHUNKS[:1])
        for way in WAYS
    }
    first = min(simple, key=lambda key: simple[key])
    naive = [simple[first]]
    for _ in range(repeats - 1):
        shutil.rmtree(folder, ignore_errors=True)
        naive.append(run_naive(single, folder, *first, client))
    if repeats == 1:
        run_naive(single, folder, *first, client)
    check_naive(case, scratch / "store", single, folder)
    shutil.rmtree(folder)
    return {
        "odc_naive_patches_per_s": round(len(single.places) / median(naive), 1),
        "odc_naive_way": first[1],
        "odc_naive_chunk_cells": list(first[0]),
        "odc_naive_trial_patches_per_s": _rates(simple, len(single.places)),
        "odc_tuned_patches_per_s": round(case.patches / median(tuned), 1),
        "odc_tuned_way": best[1],
        "odc_tuned_chunk_cells": list(best[0]),
        "odc_tuned_trial_patches_per_s": _rates(tried, len(trial.places) * trial.dates),
    }


def _rates(
    seconds: Mapping[tuple[tuple[int, int], str], float], patches: int
) -> dict[str, float]:
    """Patches per second of each chunk size and kind of workers."""
    return {f"{c[0]}x{c[1]} {way}": round(patches / s, 1) for (c, way), s in seconds.items()}


def measure_floor(case: Case, client: Client, repeats: int) -> dict[str, Any]:
    """Speed of decoding alone."""
    needed = needed_files(case.archive, case.places, case.archive.dates, warped=case.warped)
    name, seconds = floor(needed, client, repeats)
    return {
        "floor_patches_per_s": round(case.patches / seconds[name], 1),
        "floor_decoder": name,
        "floor_by_decoder": {k: round(case.patches / v, 1) for k, v in seconds.items()},
    }


def measure_requests(case: Case, scratch: Path) -> dict[str, Any]:
    """What one date costs over HTTP, from a fresh cluster: nothing is remembered."""
    dates = 1
    needed = needed_files(case.archive, case.places, dates, warped=case.warped)
    wanted = sum(one.compressed_bytes for one in needed)
    with serve_folder(case.archive.folder) as remote, started_cluster() as client:
        recipe, plan = prepared(case, scratch / "http", base=f"{remote.url}/", dates=dates)
        remote.asked()
        build_once(recipe, plan, scratch / "store-http", client)
        requests, sent = remote.asked()
    local, remoted = PatchStore.open(scratch / "store"), PatchStore.open(scratch / "store-http")
    check_http(case, local, remoted)
    shutil.rmtree(scratch / "store-http")
    return {
        "requests_per_patch": round(requests / (len(case.places) * dates), 3),
        "bytes_read_per_byte_needed": round(sent / wanted, 3),
        "bytes_needed": wanted,
    }


def measure_case(case: Case, scratch: Path, repeats: int) -> dict[str, Any]:
    """All figures of one case, by their keys without the prefix."""
    scratch.mkdir()
    figures, recipe = measure_ours(case, scratch, repeats)
    with started_cluster() as client:
        figures |= measure_odc(case, scratch, recipe, client, repeats)
        figures |= measure_floor(case, client, repeats)
    figures |= measure_requests(case, scratch)
    figures |= measure_4x(case, scratch)
    ours = figures["patches_per_s"]
    for name, other in (
        ("ratio_odc_naive", "odc_naive_patches_per_s"),
        ("ratio_odc_tuned", "odc_tuned_patches_per_s"),
        ("ratio_floor", "floor_patches_per_s"),
    ):
        figures[name] = round(ours / figures[other], 2)
    return figures


def profile_task(archive: BenchArchive, scratch: Path) -> str:
    """Profile one whole task in this process; return where its time goes."""
    side = min(8, archive.cells)
    places = [(col, row) for row in range(side) for col in range(side)]
    case = Case("", archive, tuple(places), (), warped=False)
    recipe, plan = prepared(case, scratch / "profile", dates=1)
    build_once(recipe, plan, scratch / "warm", None)
    profiler = cProfile.Profile()
    profiler.enable()
    build_once(recipe, plan, scratch / "profiled", None)
    profiler.disable()
    said = io.StringIO()
    pstats.Stats(profiler, stream=said).sort_stats("tottime").print_stats(25)
    pstats.Stats(profiler, stream=said).sort_stats("cumtime").print_stats("main/|tree/", 40)
    return said.getvalue()


def _size(scale: float) -> tuple[int, int]:
    """Cells along a side and dates: dates go first, then the area."""
    cells = max(4, round(FULL_CELLS * min(1.0, 6 * scale) ** 0.5))
    return cells, max(1, round(FULL_DATES * scale))


def main() -> None:
    """Measure and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full work")
    parser.add_argument("--repeats", type=int, default=3, help="runs; their median counts")
    parser.add_argument("--cases", nargs="*", default=["", "warp_", "sparse_"])
    parser.add_argument(
        "--archive", type=Path, help="folder of the scenes; default thrown away"
    )
    parser.add_argument("--profile", action="store_true", help="profile one task instead")
    asked = parser.parse_args()
    cells, dates = _size(asked.scale)
    with tempfile.TemporaryDirectory(prefix="bench-build-") as name:
        folder = (asked.archive or Path(name) / "archive").absolute() / f"{cells}"
        archive = BenchArchive(folder, cells, dates)
        started = time.perf_counter()
        stored = archive.render()
        figures: dict[str, Any] = {
            "benchmark": "build",
            "scale": asked.scale,
            "cores": os.cpu_count(),
            "load_at_start": round(os.getloadavg()[0], 1),
            "workers": f"{CORES} x 1 thread",
            "dates": dates,
            "tile_px": archive.tile_px,
            "compressed_mb_per_date": round(stored / 1e6),
            "render_seconds": round(time.perf_counter() - started),
        }
        if asked.profile:
            sys.stdout.write(profile_task(archive, Path(name)))
            return
        for case in cases(archive):
            if case.prefix in asked.cases:
                scratch = Path(name) / f"case-{case.prefix}"
                measured = measure_case(case, scratch, asked.repeats)
                figures |= {case.prefix + key: value for key, value in measured.items()}
                sys.stderr.write(f"{case.prefix or 'aligned'} done: {measured}\n")
                shutil.rmtree(scratch)
        sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
