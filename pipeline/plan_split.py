"""Which cells a plan takes and how they are split, with the proof that nothing leaks."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catalog.area import select_cells
from catalog.errors import GridError
from catalog.grid import Cell, zone_edges
from catalog.match import Match
from catalog.split import SPLITS
from catalog.split_audit import SplitAudit, SplitSample, audit_split
from pipeline.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The cells of a plan."""

    region_of: Mapping[Cell, str]
    """Cell -> region, only of cells that are planned."""
    split_of: Mapping[str, str]
    """Cell id -> split, or `'buffer'`."""
    area_cells: int
    """Cells that the area holds."""
    short: Mapping[str, Sequence[int]]
    """Region, or region and split -> cells wanted and cells found, where they are too few."""

    @property
    def cells(self) -> list[Cell]:
        """The cells, sorted."""
        return sorted(self.region_of)


def choose_cells(recipe: Recipe) -> Chosen:
    """Return the cells of a recipe: those of its area, filtered, split and drawn.

    Raises:
        GridError: If none is left.
    """
    whole = select_cells(recipe.grid, recipe.regions)
    region_of = recipe.sampling.choose(whole)
    split_of = recipe.split.assign(region_of, recipe.grid)
    drawn = recipe.sampling.draw(region_of, split_of)
    return Chosen(
        region_of=drawn,
        split_of={cell.id: split_of[cell.id] for cell in drawn},
        area_cells=len(whole),
        short=recipe.sampling.short_of(drawn, split_of),
    )


def describe_cells(chosen: Chosen) -> dict[str, Any]:
    """Return how the cells came about, JSON-ready.

    At the edges of UTM zones squares do not fit together: some cells reach over the edge, some
    end short of it, and pairs of two zones share ground.
    """
    edges = zone_edges(chosen.cells)
    facts: dict[str, Any] = {
        "in_area": chosen.area_cells,
        "chosen": len(chosen.region_of),
        "over_zone_edges": edges.over,
        "short_of_zone_edges": edges.short,
        "doubled_at_zone_edges": edges.doubled,
    }
    if chosen.short:
        facts["short"] = {place: list(counts) for place, counts in chosen.short.items()}
    return facts


def audit_plan(recipe: Recipe, chosen: Chosen, matches: Sequence[Match]) -> dict[str, Any]:
    """Check that no two splits of a plan share ground or a scene, and say what was found.

    Returns:
        JSON-ready: what was looked at, and `warnings` of what the recipe leaves to be desired.

    Raises:
        GridError: If the split leaks; the message names pairs of cells.
    """
    block_of: Mapping[Cell, str] = {}
    if recipe.split.by != "file" or recipe.split.block_m:
        block_of = recipe.split.blocks(chosen.region_of, recipe.grid)
    kept = [one for one in matches if one.reason is None]
    scenes_of = _scenes_in_mixed_blocks(chosen, block_of, kept)
    audit = audit_split(
        [
            SplitSample(
                cell=cell,
                split=chosen.split_of[cell.id],
                scenes=tuple(sorted(scenes_of.get(cell, ()))),
                block=block_of.get(cell, ""),
            )
            for cell in dict.fromkeys(one.cell for one in kept)
        ],
        buffer_m=recipe.split.buffer_m,
    )
    if not audit.passed:
        first = "; ".join(map(str, audit.offenses[:3]))
        raise GridError(
            f"the split leaks: {audit.found:,} pairs of cells, the first: {first}; change "
            "split.file, or split by block, region or mgrs"
        )
    return {
        "passed": True,
        "by": recipe.split.by,
        "buffer_m": recipe.split.buffer_m,
        "cells": dict(audit.cells),
        "closest_m": round(audit.closest_m, 3) if math.isfinite(audit.closest_m) else None,
        "warnings": _warnings(recipe, audit),
    }


def _scenes_in_mixed_blocks(
    chosen: Chosen, block_of: Mapping[Cell, str], matches: Sequence[Match]
) -> Mapping[Cell, set[str]]:
    """Cell -> its scenes; only in blocks of two splits, where a scene could be shared."""
    splits_in: dict[str, set[str]] = defaultdict(set)
    for cell, block in block_of.items():
        if chosen.split_of[cell.id] != "buffer":
            splits_in[block].add(chosen.split_of[cell.id])
    scenes_of: dict[Cell, set[str]] = defaultdict(set)
    for match in matches:
        if len(splits_in.get(block_of.get(match.cell, ""), ())) > 1:
            for passes in match.candidates.values():
                scenes_of[match.cell].update(s.id for one in passes for s in one.scenes)
    return scenes_of


def _warnings(recipe: Recipe, audit: SplitAudit) -> list[str]:
    """What a user should know though no rule of the recipe is broken."""
    found = []
    if audit.closest_m < recipe.grid.extent_m:
        found.append(
            f"cells of two splits are {audit.closest_m:.0f} m apart, less than a cell: "
            f"neighbors look alike; set split.buffer_m to {recipe.grid.extent_m:g} or more"
        )
    asked = [s for s in SPLITS if _is_asked(recipe, s)]
    empty = [split for split in asked if split not in audit.cells]
    if empty and audit.cells:
        found.append(
            f"no cell of {' and '.join(empty)} has a sample; make the area larger or "
            "split.block_m smaller"
        )
    return found


def _is_asked(recipe: Recipe, split: str) -> bool:
    rule = recipe.split
    if rule.by == "region":
        return split in rule.regions.values()
    if rule.listed is not None:
        return split in rule.listed.words
    return any(share > 0 for name, share in rule.shares.items() if name == split)
