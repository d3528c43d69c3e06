"""Pairs in a build: lay chosen passes on their anchors, and look for haze in what was read."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from catalog.errors import SourceUnreadable
from pipeline.choice import Choice, Failure, Key, Search, Taken, view_samples
from pipeline.coregister import PairShift
from pipeline.observe import Patch
from pipeline.pairing import Side, check_pair, measure_pair
from pipeline.sources import Sources
from pipeline.task import BuildTask, LayerTask, TaskSample

PassPair = tuple[str, tuple[str, ...], tuple[str, ...]]
"""Layer, scenes of the anchor's pass, scenes of the layer's pass."""


def register(
    task: BuildTask,
    sources: Sources,
    searches: dict[Key, Search],
    choices: dict[Key, Choice],
    patches: Taken,
    shifts: dict[PassPair, PairShift],
) -> set[Key]:
    """Lay the chosen passes on their anchors; return what has to be chosen anew.

    Each pair of passes is measured once. What moves is judged again where it then lies;
    choices that do not fit leave `choices`.
    """
    unfit: set[Key] = set()
    for layer in task.layers:
        for (anchor_ids, ids), members in _pass_pairs(task, layer, choices, patches).items():
            pair = (layer.name, anchor_ids, ids)
            if pair not in shifts:
                found = _measure(task, layer, sources, members, choices, patches)
                if found is None:
                    continue
                shifts[pair] = found
            unfit |= _move(layer, shifts[pair], sources, searches, members, choices)
    return unfit


def _pass_pairs(
    task: BuildTask,
    layer: LayerTask,
    choices: Mapping[Key, Choice],
    patches: Taken,
) -> dict[tuple[tuple[str, ...], tuple[str, ...]], list[TaskSample]]:
    """Scenes of the anchor's and of the layer's pass -> the samples made of both."""
    registration = layer.treatment.registration
    pairs: dict[tuple[tuple[str, ...], tuple[str, ...]], list[TaskSample]] = defaultdict(list)
    for sample in task.samples if registration else ():
        choice = choices.get((sample.position, layer.name))
        anchor = registration and _taken(sample.position, registration.to, choices, patches)
        if choice and anchor:
            pairs[anchor.ids, choice.ids].append(sample)
    return dict(sorted(pairs.items()))


def _taken(
    position: int,
    layer: str,
    choices: Mapping[Key, Choice],
    patches: Taken,
) -> Choice | None:
    """The observation that a sample has of a layer, chosen now or read before."""
    if (position, layer) in choices:
        return choices[position, layer]
    return patches[position, layer][0] if (position, layer) in patches else None


def _measure(
    task: BuildTask,
    layer: LayerTask,
    sources: Sources,
    samples: Sequence[TaskSample],
    choices: Mapping[Key, Choice],
    patches: Taken,
) -> PairShift | None:
    """Measure one pair of passes; None if a band is unreadable, which reading then reports."""
    registration = layer.treatment.registration
    if registration is None:
        return None
    [to] = [one for one in task.layers if one.name == registration.to]
    sides = []
    for one in (to, layer):
        found = [_taken(s.position, one.name, choices, patches) for s in samples]
        taken = [choice for choice in found if choice is not None]
        sides.append(Side(one, taken[0].scenes, [choice.view for choice in taken]))
    try:
        cells = [sample.cell for sample in samples]
        return measure_pair(sources, cells, sides[0], sides[1], registration)
    except SourceUnreadable:
        return None


def _move(
    layer: LayerTask,
    shift: PairShift,
    sources: Sources,
    searches: dict[Key, Search],
    samples: Sequence[TaskSample],
    choices: dict[Key, Choice],
) -> set[Key]:
    """Note a shift in the choices it concerns; return those that it makes unfit."""
    registration = layer.treatment.registration
    first = choices[samples[0].position, layer.name]
    moved = replace(first, shift=shift)
    unfit: set[Key] = set()
    if shift.accepted:
        seen = view_samples(layer, first.scenes, samples, sources, searches, moved.shift_m)
    else:
        seen = [(s, choices[s.position, layer.name].view) for s in samples]
    for sample, view in seen:
        key = (sample.position, layer.name)
        refused = not shift.accepted and registration is not None and registration.required
        if refused:
            said = f"{layer.name}: {';'.join(first.ids)}: {shift}"
            searches[key].refused.append(Failure("failed co-registration", said))
        if view is None or refused or view.usable < layer.min_valid:
            searches[key].rank += 1
            unfit.add(key)
            del choices[key]
        else:
            choices[key] = replace(choices[key], view=view, shift=shift)
    return unfit


def anchor_of(layer: LayerTask) -> str:
    """Return the layer whose patch this layer's depends on; `''` if none."""
    rules = (layer.treatment.registration, layer.treatment.haze)
    return next((rule.to for rule in rules if rule), "")


def check_haze_of(
    task: BuildTask,
    layer: LayerTask,
    read: tuple[Choice, Patch],
    patches: Taken,
    position: int,
) -> Choice | None:
    """Return the choice with what the haze check says; None if that rejects it."""
    rule = layer.treatment.haze
    choice, patch = read
    if rule is None or (position, rule.to) not in patches:
        return choice
    [to] = [one for one in task.layers if one.name == rule.to]
    anchor, anchor_patch = patches[position, rule.to]
    gap = choice.scenes[0].time - anchor.scenes[0].time
    check = check_pair((to.schema, anchor_patch), (layer.schema, patch), gap)
    if check is None:
        return choice
    if check.flagged and rule.action == "reject":
        return None
    return replace(choice, haze=check.word)


def note_haze(search: Search, layer: LayerTask, choice: Choice) -> None:
    """Remember that an observation and its anchor disagree as hazy pairs do."""
    said = f"{layer.name}: {';'.join(choice.ids)} and its anchor disagree as hazy pairs do"
    search.refused.append(Failure("haze", said))
    search.rank += 1
