"""What `plan` and `build` do with a recipe of cubes."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from catalog.product import Product
from catalog.products import find_product
from catalog.providers.source import Source
from pipeline.credentials import missing_credentials, require_credentials
from pipeline.cube_recipe import CubeRecipe, load_cube_recipe
from pipeline.cubes import BuiltCube, build_cubes, plan_cubes
from pipeline.progress import StepProgress
from stores.terminal import console, print_json


def plan_cube_recipe(path: Path, *, as_json: bool) -> None:
    """Say what a recipe of cubes would read and store."""
    recipe = load_cube_recipe(path)
    with console.status("listing files"):
        plan = plan_cubes(recipe, datetime.now(UTC))
    if as_json:
        print_json(plan.facts())
        return
    Console().print(plan.describe())
    for lack in missing_credentials(_sources(recipe)):
        console.print(f"a build needs: {lack}", markup=False, soft_wrap=True)


def build_cube_recipe(path: Path, store: str, *, as_json: bool) -> bool:
    """Build the cubes of a recipe; return whether all of them are whole."""
    recipe = load_cube_recipe(path)
    require_credentials(_sources(recipe))
    with console.status("listing files"):
        plan = plan_cubes(recipe, datetime.now(UTC))
    with StepProgress(console) as progress:
        built = build_cubes(recipe, store, plan, on_step=progress.on_step)
    if as_json:
        print_json({cube.name: cube.facts() for cube in built})
    else:
        console.print(describe_cubes(built), markup=False, soft_wrap=True)
    return not any(cube.left for cube in built)


def describe_cubes(built: Sequence[BuiltCube]) -> str:
    """Return what a run did, in a few lines for a terminal."""
    lines = []
    for cube in built:
        gaps = ", ".join(f"{count} {reason}" for reason, count in cube.gaps.items())
        lines.append(
            f"{cube.name}: {cube.steps:,} steps, {cube.read:,} read now, gaps: {gaps or '-'}; "
            f"{cube.uri}"
        )
        lines += [f"  {problem}" for problem in cube.problems[:5]]
        if cube.left:
            lines.append(f"  {cube.left:,} steps are left; the same command goes on with them")
    return "\n".join(lines)


def _sources(recipe: CubeRecipe) -> list[tuple[Source, Product]]:
    return [(cube.source, find_product(cube.product)) for cube in recipe.cubes]
