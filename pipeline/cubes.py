"""Build cubes: read the fields of each step in order of time, block by block.

A step whose file is missing or damaged is a gap, marked as such. A server that is out of
reach for now ends the run instead: what was read is kept, and the same command goes on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog.errors import RecipeError, SourceUnavailable, SourceUnreadable
from catalog.products import find_product
from catalog.scene import Scene
from pipeline.access import shown
from pipeline.credentials import require_credentials
from pipeline.cube_plan import CubeJob, CubePlan, plan_cubes
from pipeline.cube_recipe import CubeRecipe
from pipeline.gridded import refuse_other_unit
from pipeline.netcdf import Floats, GridFile
from stores.cube_schema import BLOCK_STEPS, GAP_MEANINGS, CubeSpec
from stores.cube_writer import append, create_cube, publish_cube, written_gaps
from stores.objects import Root

__all__ = ["BuiltCube", "CubePlan", "OnStep", "build_cubes", "cube_uri", "plan_cubes"]

OnStep = Callable[[str, int, int], None]
"""Told the cube, how many of its steps are done, and how many there will be."""

_NOT_LISTED, _UNREADABLE = (GAP_MEANINGS.index(m) for m in ("not_listed", "unreadable"))
_SAME_POINT_DEG = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltCube:
    """What one run did to one cube."""

    name: str
    uri: str
    steps: int
    """That the cube now shows."""
    read: int
    """Steps that this run read; gaps are not read."""
    gaps: Mapping[str, int]
    """Reason -> steps without data."""
    left: int
    """Steps that are still to be read, because a server was out of reach."""
    problems: tuple[str, ...]
    """What was wrong with files, each once."""

    def describe(self) -> str:
        """Return the same in words."""
        lines = [f"{self.name}: {self.steps} steps, {self.read} read now; {self.uri}"]
        lines += [f"  {count} steps are gaps: {why}" for why, count in self.gaps.items()]
        if self.left:
            lines.append(f"  {self.left} steps are left; run the same command again")
        return "\n".join([*lines, *(f"  {problem}" for problem in self.problems[:5])])

    def facts(self) -> dict[str, Any]:
        """Return the same, JSON-ready."""
        return {
            "uri": self.uri,
            "steps": self.steps,
            "read": self.read,
            "gaps": dict(self.gaps),
            "left": self.left,
            "problems": list(self.problems),
        }


def cube_uri(uri: str | Path, name: str) -> str:
    """Return where a store keeps one of its cubes."""
    return f"{str(uri).rstrip('/')}/{name}"


def build_cubes(
    recipe: CubeRecipe,
    uri: str | Path,
    plan: CubePlan,
    *,
    on_step: OnStep = lambda _cube, _done, _of: None,
) -> tuple[BuiltCube, ...]:
    """Build the cubes of a plan below `uri`, or go on where an earlier run ended.

    Args:
        recipe: That the plan was made of.
        uri: Folder of the store; each cube is a folder in it.
        plan: What to read.
        on_step: Told of progress.

    Returns:
        What was done to each cube. A cube with steps left wants the same command again.

    Raises:
        RecipeError: If the cubes would be larger than the recipe allows, or a credential of
            an archive is missing.
        StoreError: If a folder holds something else, or a cube of another recipe.
    """
    if plan.expected_bytes > recipe.max_bytes:
        raise RecipeError(
            f"the cubes would hold {plan.expected_bytes / 1e9:.1f} GB, above the limit of "
            f"{recipe.max_bytes / 1e9:.1f}; take a smaller area or a shorter period, or raise "
            f"max_bytes in [limits]"
        )
    require_credentials((job.cube.source, find_product(job.cube.product)) for job in plan.jobs)
    meta = {
        "recipe": recipe.text,
        "recipe_hash": recipe.hash,
        "name": recipe.name,
        "note": recipe.note,
        "geoloupe": version("geoloupe"),
    }
    roots = [create_cube(cube_uri(uri, job.cube.name), job.spec) for job in plan.jobs]
    return tuple(
        _build(job, root, meta, on_step) for job, root in zip(plan.jobs, roots, strict=True)
    )


@dataclass(slots=True)
class _Reader:
    """Reads steps of one cube; keeps the file of the last one open."""

    spec: CubeSpec
    read: int = 0
    problems: dict[str, None] = field(default_factory=dict)
    _file: GridFile | None = None

    def step(self, scene: Scene | None) -> tuple[dict[str, Floats], int]:
        """Return the fields of a step, and why they hold no data.

        Raises:
            SourceUnavailable: If the file's server is out of reach for now.
        """
        if scene is None:
            return self._nothing(), _NOT_LISTED
        try:
            fields = {key: self._field(scene, key) for key in self.spec.keys}
        except SourceUnreadable as err:
            self.problems[str(err)] = None
            self.close()
            return self._nothing(), _UNREADABLE
        self.read += 1
        return fields, 0

    def close(self) -> None:
        """Let go of the open file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _nothing(self) -> dict[str, Floats]:
        return {
            key: np.full(self.spec.shape, np.nan, dtype=np.float32) for key in self.spec.keys
        }

    def _field(self, scene: Scene, key: str) -> Floats:
        asset = scene.assets[key]
        if self._file is None or self._file.href != asset.href:
            self.close()
            self._file = GridFile.open(asset.href, scene.access)
        file = self._file
        unit = next(v.unit for v in self.spec.variables if v.key == key)
        refuse_other_unit(file, asset.part, unit)
        step = file.step_at(scene.time, stated=asset.index)
        rows = _span_of(file, "latitudes", self.spec.latitudes)
        columns = _span_of(file, "longitudes", self.spec.longitudes)
        values = file.read(asset.part, step, rows, columns)
        return values[::-1] if file.latitudes[0] > file.latitudes[-1] else values


def _build(job: CubeJob, root: Root, meta: Mapping[str, Any], on_step: OnStep) -> BuiltCube:
    reader = _Reader(job.spec)
    failure = ""
    try:
        while not failure and (done := len(written_gaps(root))) < job.steps:
            stop = min((done // BLOCK_STEPS + 1) * BLOCK_STEPS, job.steps)
            failure = _extend(job, root, reader, range(done, stop), on_step)
    finally:
        reader.close()
    snapshot = publish_cube(root, meta)
    gaps = written_gaps(root)
    return BuiltCube(
        name=job.cube.name,
        uri=root.uri,
        steps=snapshot.steps if snapshot else 0,
        read=reader.read,
        gaps={
            reason: gaps.count(number)
            for number, reason in enumerate(GAP_MEANINGS)
            if number and number in gaps
        },
        left=max(job.steps - len(gaps), 0),
        problems=(*reader.problems, *([failure] if failure else [])),
    )


def _extend(job: CubeJob, root: Root, reader: _Reader, steps: range, on_step: OnStep) -> str:
    """Write some steps of one block; return what kept it from writing the rest."""
    fields: list[dict[str, Floats]] = []
    gaps: list[int] = []
    failure = ""
    for step in steps:
        try:
            found, gap = reader.step(job.scenes[step])
        except SourceUnavailable as err:
            failure = str(err)
            break
        fields.append(found)
        gaps.append(gap)
        on_step(job.cube.name, step + 1, job.steps)
    if gaps:
        stacked = {key: np.stack([found[key] for found in fields]) for key in job.spec.keys}
        append(root, job.spec, stacked, gaps)
    return failure


def _span_of(file: GridFile, axis: str, wanted: tuple[float, ...]) -> slice:
    """Where the points of a cube are on an axis of a file.

    Raises:
        SourceUnreadable: If the file lacks some of them.
    """
    held: npt.NDArray[np.float64] = getattr(file, axis)
    ends = (min(wanted[0], wanted[-1]), max(wanted[0], wanted[-1]))
    inside = np.flatnonzero(
        (held >= ends[0] - _SAME_POINT_DEG) & (held <= ends[1] + _SAME_POINT_DEG)
    )
    if len(inside) == len(wanted):
        found = np.sort(held[inside])
        if np.abs(found - np.array(wanted)).max() <= _SAME_POINT_DEG:
            return slice(int(inside[0]), int(inside[-1]) + 1)
    raise SourceUnreadable(
        f"{shown(file.href)} has {len(inside)} of {len(wanted)} {axis} from {ends[0]:g} to "
        f"{ends[1]:g} degrees; it holds {held.min():g} to {held.max():g}: take a file of the "
        f"whole area, or a smaller area"
    )
