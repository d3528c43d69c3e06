"""A store in words, for a terminal and for programs."""

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from stores.patch_store import PatchStore


def store_facts(store: PatchStore) -> dict[str, Any]:
    """Return what a snapshot of a store holds, JSON-ready."""
    index = store.index
    kept = index[index["status"] == "kept"]
    rejected = index[index["status"] != "kept"]
    times = kept["anchor_time"]
    return {
        "name": store.schema.name,
        "uri": store.root.uri,
        "snapshot": store.snapshot.number,
        "kept": len(kept),
        "rejected": {str(k): int(v) for k, v in rejected["reason"].value_counts().items()},
        "splits": {str(k): int(v) for k, v in kept["split"].value_counts().items()},
        "cells": int(kept["cell_id"].nunique()),
        "first": None if kept.empty else times.min().isoformat(),
        "last": None if kept.empty else times.max().isoformat(),
        "layers": [layer.to_json() for layer in store.schema.layers],
        "recipe_hash": store.snapshot.meta.get("recipe_hash"),
    }


def describe_store(store: PatchStore) -> RenderableType:
    """Return the same as tables for a terminal."""
    facts = store_facts(store)
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column()
    table.add_row("snapshot", str(facts["snapshot"]))
    table.add_row("samples", f"{facts['kept']:,} on {facts['cells']:,} cells")
    table.add_row("anchors", f"{facts['first']} to {facts['last']}")
    for split, count in facts["splits"].items():
        table.add_row(f"  {split}", f"{count:,}")
    for reason, count in facts["rejected"].items():
        table.add_row(f"rejected: {reason}", f"{count:,}")
    return Group(Text(f"{facts['name']}  {facts['uri']}", style="bold"), table, _layers(store))


def _layers(store: PatchStore) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("layer", "product", "bands", "patch", "gsd", "stored as"):
        table.add_column(column)
    for layer in store.schema.layers:
        scaled = f" x {layer.scale:g} {layer.offset:+g}" if layer.dtype != "float32" else ""
        table.add_row(
            layer.name,
            layer.product,
            ", ".join(layer.band_keys),
            f"{layer.size_px} px",
            f"{layer.gsd_m:g} m",
            f"{layer.dtype}{scaled}",
        )
    return table
