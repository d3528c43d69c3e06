"""Cubes in words, for a terminal and for programs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from stores.cube_state import DESCRIPTION
from stores.cube_store import CubeStore


def find_cubes(uri: str) -> list[CubeStore]:
    """Return the cubes of a store of cubes, or the cube at `uri` itself; none if it has none.

    Raises:
        StoreError: If a cube has no published state.
    """
    place = Path(uri)
    folders = [place, *sorted(place.iterdir())] if place.is_dir() else []
    return [CubeStore.open(one) for one in folders if (one / DESCRIPTION).is_file()]


def cube_facts(cube: CubeStore) -> dict[str, Any]:
    """Return what a cube holds, JSON-ready."""
    times = cube.times
    return {
        "uri": cube.root.uri,
        "snapshot": cube.snapshot.number,
        "steps": cube.steps,
        "first": times[0].isoformat() if times else None,
        "last": times[-1].isoformat() if times else None,
        "gaps": {reason: len(steps) for reason, steps in cube.gap_reasons().items()},
        **cube.spec.to_json(),
    }


def describe_cubes(cubes: Sequence[CubeStore]) -> RenderableType:
    """Return cubes as a table, and what their variables are."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("cube", "from", "to"):
        table.add_column(column)
    for column in ("steps", "gaps", "grid", "snapshot"):
        table.add_column(column, justify="right")
    lines = []
    for cube in cubes:
        facts, name = cube_facts(cube), Path(cube.root.uri).name
        rows, columns = cube.spec.shape
        table.add_row(
            name,
            str(facts["first"])[:16],
            str(facts["last"])[:16],
            f"{cube.steps:,}",
            f"{sum(facts['gaps'].values()):,}",
            f"{rows} x {columns}",
            str(cube.snapshot.number),
        )
        lines += [f"{name}/{v.key}: {v.long_name}, {v.unit}" for v in cube.spec.variables]
    return Group(table, Text("\n".join(lines), style="dim"))
