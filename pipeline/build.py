"""Build one task: choose each sample's sources, read them once, hand back a shard's worth.

Plain data in, plain data out: no scheduler, no store, no recipe.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog.errors import SourceUnreadable
from catalog.scene import Scene
from pipeline.observe import Patch, View, read_patches, view_cells
from pipeline.read import BlockReader, ReadCount
from pipeline.sources import Sources
from pipeline.task import DATA_VERSION, BuildTask, LayerTask, TaskSample
from stores.index import absent_layer
from stores.schema import SLOTS_PER_SHARD, LayerSchema


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a sample cannot be made."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Choice:
    """The observation taken for one layer of one sample."""

    rank: int
    scenes: tuple[Scene, ...]
    view: View


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What one task yields."""

    pixels: Mapping[str, npt.NDArray[Any]]
    """Layer -> `(64, band, y, x)` raw; slots of rejected samples hold nodata."""
    valid: Mapping[str, npt.NDArray[np.bool_]]
    """Layer -> `(64, y, x)`, True = usable."""
    outcomes: Mapping[int, dict[str, Any]]
    """Position -> what the index says of the sample beyond its identity."""
    count: ReadCount


@dataclass(slots=True)
class _Search:
    """How far the search for one layer of one sample has come."""

    rank: int = 0
    best: tuple[float, float, str] = (0.0, 0.0, "")
    """Usable fraction, covered fraction and id of the best observation so far."""
    unreadable: list[str] = field(default_factory=list)


def build(task: BuildTask, reader: BlockReader | None = None) -> Built:
    """Make the patches of a task.

    Quality bands of the candidates are judged first; pixels are read only of observations
    that reach the layer's `min_valid`, and only for samples whose required layers all do. An
    observation that proves unreadable gives way to the next candidate.

    Raises:
        SourceUnavailable: If a source may be readable later; the task is to be run again.
    """
    sources = Sources(task, reader or BlockReader())
    searches: dict[tuple[int, str], _Search] = defaultdict(_Search)
    patches: dict[tuple[int, str], tuple[Choice, Patch]] = {}
    failures: dict[int, Failure] = {}
    open_layers = {(s.position, layer.name) for s in task.samples for layer in task.layers}
    while open_layers:
        choices = _choose(task, sources, searches, failures, open_layers)
        open_layers = _read(task, sources, searches, choices, patches)
    return _assemble(task, sources, searches, patches, failures)


def _choose(
    task: BuildTask,
    sources: Sources,
    searches: dict[tuple[int, str], _Search],
    failures: dict[int, Failure],
    open_layers: set[tuple[int, str]],
) -> dict[tuple[int, str], Choice]:
    """Find the next usable observation of every open layer of every sample not yet lost."""
    choices: dict[tuple[int, str], Choice] = {}
    for layer in task.layers:
        wanted = [
            s
            for s in task.samples
            if s.position not in failures and (s.position, layer.name) in open_layers
        ]
        found = _first_usable(task, layer, wanted, sources, searches)
        for sample in wanted:
            key = (sample.position, layer.name)
            if sample.position in found:
                choices[key] = found[sample.position]
            elif layer.required:
                failures[sample.position] = _explain(layer, sample, searches[key])
    return {key: choice for key, choice in choices.items() if key[0] not in failures}


def _first_usable(
    task: BuildTask,
    layer: LayerTask,
    samples: Sequence[TaskSample],
    sources: Sources,
    searches: dict[tuple[int, str], _Search],
) -> dict[int, Choice]:
    """Position -> the first candidate that reaches `min_valid`; absent if none does."""
    found: dict[int, Choice] = {}
    waiting = list(samples)
    while waiting:
        by_pass: dict[tuple[str, ...], list[TaskSample]] = defaultdict(list)
        for sample in waiting:
            candidates = sample.candidates.get(layer.name, ())
            rank = searches[sample.position, layer.name].rank
            if rank < len(candidates):
                by_pass[candidates[rank]].append(sample)
        waiting = []
        for ids, members in sorted(by_pass.items()):
            scenes = task.observation(layer.name, ids)
            for sample, view in _views(layer, scenes, members, sources, searches):
                search = searches[sample.position, layer.name]
                if view is not None and view.usable >= layer.min_valid:
                    found[sample.position] = Choice(search.rank, scenes, view)
                else:
                    search.rank += 1
                    waiting.append(sample)
    return found


def _views(
    layer: LayerTask,
    scenes: tuple[Scene, ...],
    samples: Sequence[TaskSample],
    sources: Sources,
    searches: dict[tuple[int, str], _Search],
) -> Iterable[tuple[TaskSample, View | None]]:
    """Each sample's view of one observation; None where it cannot be read."""
    try:
        views = view_cells(sources, layer, scenes, [s.cell for s in samples])
    except SourceUnreadable as err:
        for sample in samples:
            searches[sample.position, layer.name].unreadable.append(str(err))
        return [(sample, None) for sample in samples]
    name = ";".join(scene.id for scene in scenes)
    for sample, view in zip(samples, views, strict=True):
        search = searches[sample.position, layer.name]
        search.best = max(search.best, (view.usable, view.covered, name))
    return list(zip(samples, views, strict=True))


def _read(
    task: BuildTask,
    sources: Sources,
    searches: dict[tuple[int, str], _Search],
    choices: Mapping[tuple[int, str], Choice],
    patches: dict[tuple[int, str], tuple[Choice, Patch]],
) -> set[tuple[int, str]]:
    """Read the chosen pixels; return what has to be chosen anew."""
    reopened: set[tuple[int, str]] = set()
    cells = {s.position: s.cell for s in task.samples}
    for layer in task.layers:
        by_pass: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for (position, name), choice in choices.items():
            if name == layer.name:
                by_pass[tuple(s.id for s in choice.scenes)].append(position)
        for ids, positions in sorted(by_pass.items()):
            scenes = task.observation(layer.name, ids)
            views = [choices[p, layer.name].view for p in positions]
            try:
                read = read_patches(
                    sources, layer.schema, scenes, [cells[p] for p in positions], views
                )
            except SourceUnreadable as err:
                for position in positions:
                    searches[position, layer.name].unreadable.append(str(err))
                    searches[position, layer.name].rank += 1
                    reopened.add((position, layer.name))
                continue
            for position, patch in zip(positions, read, strict=True):
                key = (position, layer.name)
                if patch.valid.mean() >= layer.min_valid:
                    patches[key] = (choices[key], patch)
                else:
                    _note(searches[key], patch, choices[key])
                    reopened.add(key)
    return reopened


def _note(search: _Search, patch: Patch, choice: Choice) -> None:
    """Remember that pixels held less than their quality band promised."""
    name = ";".join(scene.id for scene in choice.scenes)
    search.best = (float(patch.valid.mean()), patch.covered, name)
    search.rank += 1


def _explain(layer: LayerTask, sample: TaskSample, search: _Search) -> Failure:
    """Name the reason of a failed layer, and what came closest."""
    count = len(sample.candidates.get(layer.name, ()))
    usable, covered, name = search.best
    if search.unreadable:
        return Failure("unreadable source", f"{layer.name}: {search.unreadable[-1]}")
    reason = "partial coverage" if covered < layer.min_valid else "cloud"
    return Failure(
        reason,
        f"{layer.name}: best of {count} candidates is {name} with {usable:.1%} usable, "
        f"min_valid is {layer.min_valid:.1%}",
    )


def _assemble(
    task: BuildTask,
    sources: Sources,
    searches: Mapping[tuple[int, str], _Search],
    patches: Mapping[tuple[int, str], tuple[Choice, Patch]],
    failures: Mapping[int, Failure],
) -> Built:
    """Lay kept patches into whole shards, and say of every sample what became of it."""
    pixels = {layer.name: _empty_pixels(layer.schema) for layer in task.layers}
    valid = {layer.name: _empty_valid(layer.schema) for layer in task.layers}
    outcomes: dict[int, dict[str, Any]] = {}
    for sample in task.samples:
        at = sample.position
        mine = {
            layer.name: patches[at, layer.name]
            for layer in task.layers
            if at not in failures and (at, layer.name) in patches
        }
        for name, (_, patch) in mine.items():
            pixels[name][at] = patch.pixels
            valid[name][at] = patch.valid
        failure = failures.get(at)
        outcomes[at] = {
            "status": "rejected" if failure else "kept",
            "reason": failure.reason if failure else "",
            "detail": failure.detail if failure else _skipped(task, at, searches),
            "content_key": "" if failure else _content_key(task, sample, mine),
        } | _layer_columns(task, sample, mine)
    return Built(pixels=pixels, valid=valid, outcomes=outcomes, count=sources.count)


def _empty_pixels(layer: LayerSchema) -> npt.NDArray[Any]:
    shape = (SLOTS_PER_SHARD, len(layer.bands), layer.size_px, layer.size_px)
    return np.full(shape, layer.nodata, dtype=layer.dtype)


def _empty_valid(layer: LayerSchema) -> npt.NDArray[np.bool_]:
    return np.zeros((SLOTS_PER_SHARD, layer.size_px, layer.size_px), dtype=bool)


def _skipped(
    task: BuildTask, position: int, searches: Mapping[tuple[int, str], _Search]
) -> str:
    """Name the unreadable sources that a kept sample passed over; `''` if there are none."""
    said = [
        message
        for layer in task.layers
        if (position, layer.name) in searches
        for message in searches[position, layer.name].unreadable
    ]
    return f"passed over: {'; '.join(said)}" if said else ""


def _layer_columns(
    task: BuildTask, sample: TaskSample, mine: Mapping[str, tuple[Choice, Patch]]
) -> dict[str, Any]:
    """The index columns of every layer: which scenes, when, how much of them is usable."""
    columns: dict[str, Any] = {}
    for layer in task.layers:
        count = len(sample.candidates.get(layer.name, ()))
        taken = mine.get(layer.name)
        if taken is None:
            columns |= absent_layer(layer.name, count)
            continue
        choice, patch = taken
        time = choice.scenes[0].time if layer.dated else None
        gap = (time - sample.anchor_time) / timedelta(hours=1) if time else None
        columns |= {
            f"{layer.name}_scenes": ";".join(s.id for s in choice.scenes),
            f"{layer.name}_time": time,
            f"{layer.name}_dt_hours": gap,
            f"{layer.name}_valid": float(patch.valid.mean()),
            f"{layer.name}_present": True,
            f"{layer.name}_resampling": patch.resampling,
            f"{layer.name}_candidates": count,
            f"{layer.name}_offset": patch.offset,
        }
    return columns


def _content_key(
    task: BuildTask, sample: TaskSample, mine: Mapping[str, tuple[Choice, Patch]]
) -> str:
    """Hash of all that decides the sample's pixels: sources, settings, code version."""
    facts = {
        "data_version": DATA_VERSION,
        "cell": sample.cell.id,
        "layers": {
            layer.name: {
                "settings": _settings(layer),
                "sources": [(s.id, s.version) for s in mine[layer.name][0].scenes]
                if layer.name in mine
                else [],
            }
            for layer in task.layers
        },
    }
    text = json.dumps(facts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _settings(layer: LayerTask) -> dict[str, Any]:
    """What decides the pixels of a layer; where its files happen to be does not."""
    return {
        "schema": layer.schema.to_json(),
        "required": layer.required,
        "min_valid": layer.min_valid,
        "dated": layer.dated,
    }
