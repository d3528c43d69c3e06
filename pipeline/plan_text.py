"""A plan in words: what it found, what it will do, what that is expected to cost."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from catalog.match import When
from pipeline.estimate import Estimate
from pipeline.plan import Plan
from pipeline.recipe import Recipe


def plan_facts(plan: Plan, estimate: Estimate) -> dict[str, Any]:
    """Return what a plan says, JSON-ready."""
    wanted = plan.samples.filter(pc.greater_equal(plan.samples["task"], 0))
    found = plan.found
    return {
        "cells": plan.cells,
        "cells_chosen": plan.meta.get("cells"),
        "split_audit": plan.meta.get("split_audit"),
        "scenes": {layer: len(scenes) for layer, scenes in plan.scenes.items()},
        "listed": {n: len(s) for n, s in found.scenes.items()} if found else None,
        "too_cloudy": dict(found.too_cloudy) if found else None,
        "outside": dict(found.outside) if found else None,
        "refused_items": {n: list(r) for n, r in found.refused.items()} if found else None,
        "search_requests": found.requests if found else None,
        "matches": len(plan.samples),
        "samples_to_build": len(wanted),
        "rejects": dict(sorted(plan.rejects.items())),
        "splits": dict(sorted(Counter(wanted["split"].to_pylist()).items())),
        "tasks": plan.n_tasks,
        "expected_requests": estimate.requests,
        "expected_read_bytes": round(estimate.read_bytes),
        "expected_disk_bytes": round(estimate.disk_bytes),
    }


def describe_plan(plan: Plan, recipe: Recipe, estimate: Estimate) -> RenderableType:
    """Return a plan as tables for a terminal."""
    facts = plan_facts(plan, estimate)
    return Group(
        Text(f"plan of {recipe.name}", style="bold"),
        _layers(plan, recipe, facts),
        _numbers(facts),
        *_warnings(facts),
        *_refusals(facts["refused_items"]),
    )


def _layers(plan: Plan, recipe: Recipe, facts: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("layer", "product", "source", "when"):
        table.add_column(column, overflow="fold")
    for column in ("listed", "too cloudy", "candidates"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, layer in recipe.layers.items():
        when = "anchor" if name == recipe.anchor else _rule(layer.when)
        table.add_row(
            name,
            layer.product,
            _short(layer.source.name),
            when,
            _or_dash(facts["listed"], name),
            _or_dash(facts["too_cloudy"], name),
            f"{len(plan.scenes[name]):,}",
        )
    return table


def _short(source: str) -> str:
    """A source that is a path by its folder, which is what people call it."""
    return Path(source).parent.name if source.startswith("/") else source


def _or_dash(counts: Mapping[str, int] | None, name: str) -> str:
    return f"{counts[name]:,}" if counts is not None else "-"


_EDGES: Mapping[str, str] = {
    "over_zone_edges": "over the edge of their UTM zone",
    "short_of_zone_edges": "short of it, beside a sliver",
    "doubled_at_zone_edges": "pairs that overlap there",
}


def _numbers(facts: Mapping[str, Any]) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_row("cells", f"{facts['cells']:,}")
    chosen = facts["cells_chosen"] or {}
    if chosen.get("in_area", facts["cells"]) != facts["cells"]:
        table.add_row("  of all in the area", f"{chosen['in_area']:,}")
    for key, words in _EDGES.items():
        if chosen.get(key):
            table.add_row(f"  {words}", f"{chosen[key]:,}")
    table.add_row("matches (cell x anchor pass)", f"{facts['matches']:,}")
    for reason, count in facts["rejects"].items():
        table.add_row(f"  rejected: {reason}", f"{count:,}")
    table.add_row("samples to build", f"{facts['samples_to_build']:,}")
    for split, count in facts["splits"].items():
        table.add_row(f"  {split}", f"{count:,}")
    table.add_row("closest cells of two splits", _closest(facts["split_audit"]))
    table.add_row("tasks", f"{facts['tasks']:,}")
    table.add_row("expected requests", f"{facts['expected_requests']:,}")
    table.add_row("expected to read, decoded", _megabytes(facts["expected_read_bytes"]))
    table.add_row("disk, uncompressed", _megabytes(facts["expected_disk_bytes"]))
    return table


def _closest(audit: Mapping[str, Any] | None) -> str:
    if not audit or audit["closest_m"] is None:
        return "-"
    return f"{audit['closest_m']:,.0f} m"


def _warnings(facts: Mapping[str, Any]) -> list[Text]:
    """What the split and the sampling leave to be desired."""
    said = list((facts["split_audit"] or {}).get("warnings", ()))
    short = (facts["cells_chosen"] or {}).get("short", {})
    said += [f"{place}: {found} of {wanted} cells" for place, (wanted, found) in short.items()]
    return [Text(f"warning: {one}", style="yellow") for one in said]


def _megabytes(count: float) -> str:
    return f"{count / 1e6:,.1f} MB"


def _rule(when: When) -> str:
    """A rule of time in a word, a span of months as `'6 to 8'`."""
    if isinstance(when, str):
        return when
    return f"month {when.first}" if when.first == when.last else f"{when.first} to {when.last}"


def _refusals(refused: Mapping[str, list[str]] | None) -> list[Text]:
    """The first refused items of each layer, so that none vanishes silently."""
    lines: list[Text] = []
    for layer, reasons in (refused or {}).items():
        lines += [Text(f"refused for {layer}: {r}", style="yellow") for r in reasons[:3]]
        if len(reasons) > 3:
            lines.append(Text(f"refused for {layer}: {len(reasons) - 3} more", style="yellow"))
    return lines
