"""Build one task: choose each sample's sources, read them once, hand back a shard's worth.

Plain data in, plain data out: no scheduler, no store, no recipe.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog.errors import SourceUnreadable
from pipeline.choice import Choice, Failure, Key, Search, Taken, view_samples
from pipeline.coregister import PairShift
from pipeline.observe import Patch, read_patches
from pipeline.place import UNMOVED, Shift
from pipeline.read import BlockReader, ReadCount
from pipeline.register import PassPair, anchor_of, check_haze_of, note_haze, register
from pipeline.sources import Sources
from pipeline.task import DATA_VERSION, BuildTask, LayerTask, TaskSample
from stores.index import absent_layer
from stores.schema import SLOTS_PER_SHARD, LayerSchema


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


def build(task: BuildTask, reader: BlockReader | None = None) -> Built:
    """Make the patches of a task.

    Quality bands of the candidates are judged first; pixels are read only of observations
    that reach the layer's `min_valid`, and only for samples whose required layers all do. An
    observation that proves unreadable gives way to the next candidate, and so does one that
    cannot be laid on its anchor, or is hazy, where the recipe asks for that.

    Raises:
        SourceUnavailable: If a source may be readable later; the task is to be run again.
    """
    sources = Sources(task, reader or BlockReader())
    searches: dict[Key, Search] = defaultdict(Search)
    patches: dict[Key, tuple[Choice, Patch]] = {}
    failures: dict[int, Failure] = {}
    shifts: dict[PassPair, PairShift] = {}
    open_layers = {(s.position, layer.name) for s in task.samples for layer in task.layers}
    while open_layers:
        choices = _choose(task, sources, searches, failures, open_layers)
        unfit = register(task, sources, searches, choices, patches, shifts)
        open_layers = unfit | _read(task, sources, searches, choices, patches)
    return _assemble(task, sources, searches, patches, failures)


def _choose(
    task: BuildTask,
    sources: Sources,
    searches: dict[Key, Search],
    failures: dict[int, Failure],
    open_layers: set[Key],
) -> dict[Key, Choice]:
    """Find the next usable observation of every open layer of every sample not yet lost."""
    choices: dict[Key, Choice] = {}
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
    searches: dict[Key, Search],
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
            for sample, view in view_samples(
                layer, scenes, members, sources, searches, UNMOVED
            ):
                search = searches[sample.position, layer.name]
                if view is not None and view.usable >= layer.min_valid:
                    found[sample.position] = Choice(search.rank, scenes, view)
                else:
                    search.rank += 1
                    waiting.append(sample)
    return found


def _read(
    task: BuildTask,
    sources: Sources,
    searches: dict[Key, Search],
    choices: Mapping[Key, Choice],
    patches: dict[Key, tuple[Choice, Patch]],
) -> set[Key]:
    """Read the chosen pixels; return what has to be chosen anew."""
    reopened: set[Key] = set()
    cells = {s.position: s.cell for s in task.samples}
    for layer in task.layers:
        mine = {p: c for (p, name), c in choices.items() if name == layer.name}
        early = {p for p in mine if (p, anchor_of(layer)) in reopened}
        reopened |= {(p, layer.name) for p in early}
        by_pass: dict[tuple[tuple[str, ...], Shift], list[int]] = defaultdict(list)
        for position in sorted(mine.keys() - early):
            by_pass[mine[position].ids, mine[position].shift_m].append(position)
        for (ids, shift_m), positions in sorted(by_pass.items()):
            scenes = task.observation(layer.name, ids)
            views = [mine[p].view for p in positions]
            places = [cells[p] for p in positions]
            try:
                read = read_patches(sources, layer, scenes, places, views, shift_m)
            except SourceUnreadable as err:
                for position in positions:
                    searches[position, layer.name].unreadable.append(str(err))
                    searches[position, layer.name].rank += 1
                    reopened.add((position, layer.name))
                continue
            for position, patch in zip(positions, read, strict=True):
                key, choice = (position, layer.name), mine[position]
                if not _settle(task, layer, key, (choice, patch), searches, patches):
                    reopened.add(key)
    return reopened


def _settle(
    task: BuildTask,
    layer: LayerTask,
    key: Key,
    read: tuple[Choice, Patch],
    searches: dict[Key, Search],
    patches: dict[Key, tuple[Choice, Patch]],
) -> bool:
    """Keep a patch that holds what was promised and is not refused for haze."""
    choice, patch = read
    if patch.valid.mean() < layer.min_valid:
        _note(searches[key], patch, choice)
        return False
    checked = check_haze_of(task, layer, read, patches, key[0])
    if checked is None:
        note_haze(searches[key], layer, choice)
        return False
    patches[key] = (checked, patch)
    return True


def _note(search: Search, patch: Patch, choice: Choice) -> None:
    """Remember that pixels held less than their quality band promised."""
    name = ";".join(scene.id for scene in choice.scenes)
    search.best = (float(patch.valid.mean()), patch.covered, name)
    search.rank += 1


def _explain(layer: LayerTask, sample: TaskSample, search: Search) -> Failure:
    """Name the reason of a failed layer, and what came closest."""
    count = len(sample.candidates.get(layer.name, ()))
    usable, covered, name = search.best
    if search.unreadable:
        return Failure("unreadable source", f"{layer.name}: {search.unreadable[-1]}")
    if search.refused:
        return search.refused[-1]
    reason = "partial coverage" if covered < layer.min_valid else "cloud"
    return Failure(
        reason,
        f"{layer.name}: best of {count} candidates is {name} with {usable:.1%} usable, "
        f"min_valid is {layer.min_valid:.1%}",
    )


def _assemble(
    task: BuildTask,
    sources: Sources,
    searches: Mapping[Key, Search],
    patches: Taken,
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


def _skipped(task: BuildTask, position: int, searches: Mapping[Key, Search]) -> str:
    """Name what a kept sample passed over, clouds aside; `''` if there is nothing."""
    said = [
        message
        for layer in task.layers
        if (position, layer.name) in searches
        for message in _passed_over(searches[position, layer.name])
    ]
    return f"passed over: {'; '.join(said)}" if said else ""


def _passed_over(search: Search) -> list[str]:
    return search.unreadable + [f"{one.detail} ({one.reason})" for one in search.refused]


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
            f"{layer.name}_changes": _changes_said(choice, patch),
            f"{layer.name}_haze": choice.haze,
        } | _shift_columns(layer.name, choice)
    return columns


def _changes_said(choice: Choice, patch: Patch) -> str:
    """Words of harmonization, and whether the shift was corrected, joined by `;`."""
    if choice.shift is None:
        return patch.changes
    shift = "corrected" if choice.shift.accepted else f"refused, {choice.shift.reason}"
    return ";".join(word for word in (patch.changes, f"shift: {shift}") if word)


def _shift_columns(name: str, choice: Choice) -> dict[str, Any]:
    """What was corrected by, and how sure that is; nothing where it was not asked."""
    east_m, north_m = choice.shift_m
    found = choice.shift
    told = found is not None and isfinite(found.residual_m)
    return {
        f"{name}_shift_east_m": east_m,
        f"{name}_shift_north_m": north_m,
        f"{name}_shift_confidence": found.confidence if found else None,
        f"{name}_shift_residual_m": found.residual_m if found and told else None,
    }


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
            | _moved(mine.get(layer.name))
            for layer in task.layers
        },
    }
    text = json.dumps(facts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _moved(taken: tuple[Choice, Patch] | None) -> dict[str, Any]:
    """The shift that a patch was corrected by: it depends on all cells of the task."""
    if taken is None or taken[0].shift_m == UNMOVED:
        return {}
    return {"shift_m": taken[0].shift_m}


def _settings(layer: LayerTask) -> dict[str, Any]:
    """What decides the pixels of a layer; where its files happen to be does not."""
    treatment = layer.treatment.to_json()
    return ({"treatment": treatment} if treatment else {}) | {
        "schema": layer.schema.to_json(),
        "required": layer.required,
        "min_valid": layer.min_valid,
        "dated": layer.dated,
    }
