"""Plan a build: which samples, of which scenes, in which tasks. No pixel moves."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from catalog.errors import StoreError
from catalog.grid import Cell
from catalog.match import match_scenes
from catalog.providers.source import Source
from catalog.scene import Scene
from pipeline.plan_split import Chosen, audit_plan, choose_cells, describe_cells
from pipeline.plan_table import plan_samples
from pipeline.recipe import Recipe, store_schema
from pipeline.search import Found, OnSearch, search_scenes
from pipeline.task import DATA_VERSION, BuildTask, LayerTask, TaskSample
from pipeline.treatment import Treatment
from stores.claim import Claim
from stores.schema import LayerSchema, StoreSchema


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that a build needs to know; saved as a claim, it survives the build's death."""

    schema: StoreSchema
    layers: tuple[LayerTask, ...]
    """The anchor's layer first."""
    scenes: Mapping[str, tuple[Scene, ...]]
    """Layer -> the scenes that candidates name."""
    samples: pa.Table
    """Columns as in `stores.claim.PLAN_SCHEMA`."""
    meta: Mapping[str, Any]
    """Recipe text and hash, versions: what decides the pixels besides the scenes."""
    found: Found | None
    """What the search reported; None for a plan read from a file or a claim."""
    cells: int

    @property
    def n_tasks(self) -> int:
        """Number of tasks, and of shards."""
        numbers = self.samples["task"].to_numpy()
        return int(numbers.max()) + 1 if len(numbers) else 0

    @property
    def rejects(self) -> Counter[str]:
        """Reason -> samples that the plan already rejects."""
        return Counter(reason for reason in self.samples["reason"].to_pylist() if reason)


def make_plan(
    recipe: Recipe,
    now: datetime,
    *,
    on_search: OnSearch = lambda _product, _count: None,
) -> Plan:
    """Search, match and pack.

    Args:
        recipe: What the user asked for.
        now: Ends a period that runs to `'now'`; aware.
        on_search: Told after each search.

    Raises:
        GridError: If the area holds no cell.
        QueryError: If an archive does not answer, or has no anchor at all.
    """
    chosen = choose_cells(recipe)
    found = search_scenes(recipe, chosen.cells, now, on_search=on_search)
    return plan_found(recipe, chosen, found, now)


def plan_found(recipe: Recipe, chosen: Chosen, found: Found, now: datetime) -> Plan:
    """Match and pack what a search has found.

    Args:
        recipe: What the user asked for.
        chosen: Its cells, as from `pipeline.plan_split.choose_cells`.
        found: The scenes of every layer.
        now: Ends a period that runs to `'now'`; aware.

    Raises:
        GridError: If the split leaks.
    """
    anchor = (
        recipe.anchor
        if isinstance(recipe.anchor, str)
        else recipe.anchor.anchors(recipe.period, now)
    )
    rules = [layer.rule(recipe.window) for layer in recipe.layers.values()]
    matches = match_scenes(chosen.cells, found.scenes, rules, anchor)
    matches = recipe.sampling.cap(matches, chosen.region_of, recipe.period.span(now))
    samples = plan_samples(matches, chosen.region_of, chosen.split_of)
    return Plan(
        schema=store_schema(recipe),
        layers=_layer_tasks(recipe),
        scenes=_named_scenes(found.scenes, samples),
        samples=samples,
        meta={
            "name": recipe.name,
            "recipe_text": recipe.text,
            "recipe_hash": recipe.hash,
            "note": recipe.note,
            "versions": {"geoloupe": version("geoloupe"), "data": DATA_VERSION},
            "cells": describe_cells(chosen),
            "split_audit": audit_plan(recipe, chosen, matches),
        },
        found=found,
        cells=len(chosen.region_of),
    )


def _layer_tasks(recipe: Recipe) -> tuple[LayerTask, ...]:
    schema = store_schema(recipe)
    ordered = sorted(recipe.layers.values(), key=lambda layer: layer.name != recipe.anchor)
    return tuple(
        LayerTask(
            schema=schema.layer(layer.name),
            required=layer.required,
            min_valid=layer.min_valid,
            source=layer.source,
            dated=layer.when != "static",
            treatment=layer.treatment,
        )
        for layer in ordered
    )


def _named_scenes(
    scenes: Mapping[str, Iterable[Scene]], samples: pa.Table
) -> dict[str, tuple[Scene, ...]]:
    """Layer -> only the scenes that some candidate names."""
    named: dict[str, set[str]] = {layer: set() for layer in scenes}
    planned = samples.filter(pc.greater_equal(samples["task"], 0))["candidates"]
    for text in pc.unique(planned).to_pylist():
        for layer, passes in json.loads(text).items():
            named[layer].update(one for ids in passes for one in ids)
    return {
        layer: tuple(s for s in listed if s.id in named[layer])
        for layer, listed in scenes.items()
    }


def layers_to_json(layers: Iterable[LayerTask]) -> list[dict[str, Any]]:
    """Return a JSON-ready description of what the builder needs to know of layers."""
    return [
        {
            "schema": t.schema.to_json(),
            "required": t.required,
            "min_valid": t.min_valid,
            "source": t.source.to_json(),
            "dated": t.dated,
        }
        | ({"treatment": said} if (said := t.treatment.to_json()) else {})
        for t in layers
    ]


def layers_from_json(data: Iterable[Mapping[str, Any]]) -> tuple[LayerTask, ...]:
    """Return the layers that `layers_to_json` described."""
    return tuple(
        LayerTask(
            schema=LayerSchema.from_json(d["schema"]),
            required=d["required"],
            min_valid=d["min_valid"],
            source=Source.from_json(d["source"]),
            dated=d["dated"],
            treatment=Treatment.from_json(d.get("treatment", {})),
        )
        for d in data
    )


def claimed_tasks(claim: Claim, scenes: Mapping[str, Sequence[Scene]]) -> list[BuildTask]:
    """Return the tasks of a claim, in order, each with the scenes that it names.

    Args:
        claim: The journal; its meta holds the layers.
        scenes: Layer -> scenes, as kept beside the claim.

    Raises:
        StoreError: If a candidate names a scene that is not there.
    """
    layers = layers_from_json(claim.meta["layers"])
    known = {layer: {scene.id: scene for scene in listed} for layer, listed in scenes.items()}
    rows_of: dict[int, list[dict[str, Any]]] = {}
    for row in claim.samples.to_pylist():
        if row["task"] >= 0:
            rows_of.setdefault(row["task"], []).append(row)
    return [
        _task(number, claim, layers, rows_of[number], known) for number in range(claim.n_tasks)
    ]


def _task(
    number: int,
    claim: Claim,
    layers: tuple[LayerTask, ...],
    rows: Sequence[Mapping[str, Any]],
    known: Mapping[str, Mapping[str, Scene]],
) -> BuildTask:
    samples = tuple(_sample(row) for row in sorted(rows, key=lambda r: r["position"]))
    scenes: dict[str, dict[str, Scene]] = {layer.name: {} for layer in layers}
    for sample in samples:
        for layer, passes in sample.candidates.items():
            for one in {i for ids in passes for i in ids}:
                if one not in known[layer]:
                    raise StoreError(
                        f"sample {sample.id} names scene {one!r} of layer {layer!r}, which is "
                        f"not in the store's scenes file; the claim is damaged: use a new store"
                    )
                scenes[layer][one] = known[layer][one]
    return BuildTask(
        number=number,
        shard=claim.shard(number),
        recipe=claim.meta["name"],
        layers=layers,
        samples=samples,
        scenes=scenes,
    )


def _sample(row: Mapping[str, Any]) -> TaskSample:
    candidates = json.loads(row["candidates"])
    return TaskSample(
        position=row["position"],
        id=row["sample_id"],
        cell=Cell(row["epsg"], row["west"], row["south"], row["east"], row["north"]),
        region=row["region"],
        split=row["split"],
        anchor_time=row["anchor_time"],
        candidates={k: tuple(tuple(ids) for ids in v) for k, v in candidates.items()},
    )
