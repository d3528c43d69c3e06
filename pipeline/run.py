"""Build a store from a recipe: plan, claim, do the tasks, publish. The same call resumes."""

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Any

from distributed import Client

from catalog.errors import RecipeError, StoreError
from catalog.scene import Scene
from catalog.scenes import read_scenes, write_scenes
from pipeline.cluster import OnReport, open_client, run_in_order, run_tasks
from pipeline.credentials import require_credentials
from pipeline.estimate import Estimate, estimate_plan
from pipeline.execute import TaskReport
from pipeline.plan import Plan, claimed_tasks, layers_to_json
from pipeline.recipe import Recipe, store_schema
from pipeline.task import BuildTask
from stores.claim import Claim, claim_build, done_tasks, unfinished_claim
from stores.create import create_store, find_store
from stores.objects import Root, get, local_folder, open_root, put, put_new, sha256
from stores.snapshot import (
    Snapshot,
    publish,
    read_index,
    read_snapshot,
    snapshot_numbers,
)

MakePlan = Callable[[], Plan]
Connect = Callable[[], AbstractContextManager[Client]]
OnStart = Callable[[int, int], None]
"""Told the number of tasks to do and of samples in them, before the first."""


@dataclass(slots=True)
class RunSummary:
    """What one run did; printed at its end and kept beside the store's objects."""

    store: str
    claim: int
    snapshot: int | None = None
    """Number of the published snapshot; None while tasks are undone."""
    already_built: bool = False
    resumed: bool = False
    tasks: int = 0
    """Tasks of the claim."""
    tasks_done: int = 0
    """Tasks done in this run."""
    kept: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    """Reason -> samples of the whole claim, plan's rejects included; only once published."""
    undone: dict[int, str] = field(default_factory=dict)
    """Task -> why it is left for the next run."""
    unreadable: list[str] = field(default_factory=list)
    files: int = 0
    decoded_bytes: int = 0
    seconds: float = 0.0

    @property
    def failed_share(self) -> float:
        """Share of samples lost to unreadable sources; endless while tasks are undone.

        No limit admits an undone task: nothing is published yet.
        """
        if self.undone:
            return inf
        total = self.kept + sum(self.rejected.values())
        return self.rejected.get("unreadable source", 0) / total if total else 0.0

    def facts(self) -> dict[str, Any]:
        """Return all of it, JSON-ready."""
        return {name: getattr(self, name) for name in type(self).__dataclass_fields__}

    def describe(self) -> str:
        """Return it in a few lines for a terminal."""
        if self.already_built:
            return (
                f"{self.store} is already built from this recipe: snapshot {self.snapshot}, "
                f"{self.kept} samples; nothing to do"
            )
        read = f"{self.decoded_bytes / 1e6:,.1f} MB read from {self.files} files"
        lines = [f"{self.tasks_done} tasks in {self.seconds:.1f} s, {read}"]
        if self.undone:
            lines.append(
                f"{len(self.undone)} of {self.tasks} tasks are left, so nothing is published "
                f"yet; the same command goes on with them. The first: "
                f"{next(iter(self.undone.values()))}"
            )
            return "\n".join(lines)
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.rejected.items())
        lines.append(
            f"kept {self.kept}, rejected {sum(self.rejected.values())} ({reasons or '-'})"
        )
        lines += [f"unreadable: {detail}" for detail in self.unreadable[:5]]
        lines.append(f"published snapshot {self.snapshot} of {self.store}")
        return "\n".join(lines)


def build_store(
    recipe: Recipe,
    uri: str | Path,
    make_plan: MakePlan,
    *,
    connect: Connect | None = lambda: open_client(None),
    on_start: OnStart = lambda _tasks, _samples: None,
    on_report: OnReport = lambda _report: None,
) -> RunSummary:
    """Build the store of a recipe, or finish what an earlier call began.

    An unfinished build is resumed from its claim: nothing is searched or planned again.

    Args:
        recipe: What the user asked for.
        uri: Folder of the store.
        make_plan: Called only if a new claim is needed.
        connect: Opens the cluster; called only if there are tasks to do. None does them in
            this process, one after the other, with the same bytes as outcome.
        on_start: Told before the first task.
        on_report: Told of each finished task.

    Raises:
        StoreError: If `uri` holds something else or the store of another recipe.
        RecipeError: If a credential is missing, or the plan exceeds the recipe's limits or the
            disk.
    """
    started = time.monotonic()
    root = find_store(uri, store_schema(recipe))
    built = _already_built(root, recipe) if root else None
    if root and built:
        return _final(RunSummary(store=root.uri, claim=built.claim, already_built=True), built)
    require_credentials(recipe.sources())
    claim = unfinished_claim(root) if root else None
    summary = RunSummary(store=str(local_folder(uri)), claim=0, resumed=claim is not None)
    if claim is None:
        claim = _begin(recipe, uri, make_plan())
    root = open_root(uri)
    _require_same_recipe(claim.meta, recipe, f"store {root.uri}")
    summary.claim, summary.tasks = claim.number, claim.n_tasks
    todo = _undone(root, claim)
    on_start(len(todo), sum(len(task.samples) for task in todo))
    _do(root, claim, todo, summary, connect, on_report)
    if not summary.undone:
        summary = _final(summary, publish(root, claim))
    summary.seconds = time.monotonic() - started
    _keep_summary(root, summary)
    return summary


def save_scenes(root: Root, scenes: Mapping[str, Sequence[Scene]]) -> dict[str, str]:
    """Keep the scenes of each layer in the store; return layer -> path, named by content."""
    paths = {}
    for layer, listed in scenes.items():
        data = write_scenes(listed)
        paths[layer] = f"scenes/{sha256(data)[:16]}.parquet"
        put_new(root, paths[layer], data)
    return paths


def load_scenes(root: Root, paths: Mapping[str, str]) -> dict[str, tuple[Scene, ...]]:
    """Return the scenes that `save_scenes` kept."""
    return {layer: read_scenes(get(root, path)) for layer, path in paths.items()}


def check_limits(recipe: Recipe, estimate: Estimate, folder: Path) -> None:
    """Refuse a plan that would exceed the recipe's limits or the disk, before any work.

    Raises:
        RecipeError: With what is expected, what is allowed, and which key to change.
    """
    limits = recipe.limits
    for key, expected, allowed, unit in (
        ("max_bytes", estimate.read_bytes, limits.max_bytes, "bytes to read"),
        ("max_requests", estimate.requests, limits.max_requests, "requests to send"),
    ):
        if expected > allowed:
            raise RecipeError(
                f"{recipe.path.name}: limits.{key}: the plan expects {expected:,.0f} {unit}, "
                f"the limit is {allowed:,.0f}; make the area or the period smaller, or raise it"
            )
    present = next(one for one in (folder, *folder.parents) if one.exists())
    free = shutil.disk_usage(present).free
    if estimate.disk_bytes > free:
        raise RecipeError(
            f"{recipe.path.name}: the store may need {estimate.disk_bytes / 1e9:.2f} GB and "
            f"{folder} has {free / 1e9:.2f} GB free; choose another disk or a smaller area"
        )


def _begin(recipe: Recipe, uri: str | Path, plan: Plan) -> Claim:
    """Make the store if it is missing and claim a build; nothing is written of a bad plan."""
    _require_same_recipe(plan.meta, recipe, f"the plan for {uri}")
    check_limits(recipe, estimate_plan(plan), local_folder(uri))
    create_store(uri, plan.schema)
    root = open_root(uri)
    meta = {
        **plan.meta,
        "layers": layers_to_json(plan.layers),
        "scenes": save_scenes(root, plan.scenes),
    }
    return claim_build(root, plan.samples, meta)


def _already_built(root: Root, recipe: Recipe) -> Snapshot | None:
    """The latest snapshot, if all claims are published; refuses another recipe's store."""
    numbers = snapshot_numbers(root)
    if not numbers or unfinished_claim(root) is not None:
        return None
    latest = read_snapshot(root, numbers[-1])
    _require_same_recipe(latest.meta, recipe, f"store {root.uri}")
    return latest


def _require_same_recipe(meta: Mapping[str, Any], recipe: Recipe, what: str) -> None:
    if meta["recipe_hash"] != recipe.hash:
        raise StoreError(
            f"{what} belongs to another recipe ({meta['recipe_hash'][:8]} there, "
            f"{recipe.hash[:8]} in {recipe.path.name}); use a new store path, or the recipe "
            f"that the store was begun with"
        )


def _undone(root: Root, claim: Claim) -> list[BuildTask]:
    done = done_tasks(root, claim)
    if len(done) == claim.n_tasks:
        return []
    scenes = load_scenes(root, claim.meta["scenes"])
    return [task for task in claimed_tasks(claim, scenes) if task.number not in done]


def _do(
    root: Root,
    claim: Claim,
    todo: Sequence[BuildTask],
    summary: RunSummary,
    connect: Connect | None,
    on_report: OnReport,
) -> None:
    def note(report: TaskReport) -> None:
        summary.tasks_done += 1
        summary.files += report.files
        summary.decoded_bytes += report.decoded_bytes
        summary.unreadable += report.unreadable
        on_report(report)

    if connect is None:
        summary.undone = run_in_order(todo, root.uri, claim.number, on_report=note)
    elif todo:
        with connect() as client:
            summary.undone = run_tasks(todo, root.uri, claim.number, client, on_report=note)


def _final(summary: RunSummary, snapshot: Snapshot) -> RunSummary:
    """Fill in what only the published snapshot knows."""
    root = open_root(summary.store)
    index = read_index(root, snapshot)
    reasons = Counter(reason for reason in index["reason"].to_pylist() if reason)
    summary.snapshot = snapshot.number
    summary.kept = snapshot.kept
    summary.rejected = dict(sorted(reasons.items()))
    return summary


def _keep_summary(root: Root, summary: RunSummary) -> None:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    text = json.dumps(summary.facts(), indent=1) + "\n"
    put(root, f"runs/{summary.claim:06d}-{stamp}.json", text.encode())
