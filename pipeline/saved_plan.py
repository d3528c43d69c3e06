"""A plan as a folder: looked at, sent to a colleague, and built later as it stands."""

import json
from pathlib import Path

import pyarrow.parquet as pq

from catalog.errors import RecipeError
from catalog.scenes import read_scenes, write_scenes
from pipeline.plan import Plan, layers_from_json, layers_to_json
from pipeline.recipe import Recipe, load_recipe, parse_recipe, store_schema

_DESCRIPTION = "plan.json"


def save_plan(plan: Plan, recipe: Recipe, folder: Path) -> None:
    """Write a plan to `folder`: `plan.json`, `samples.parquet`, one GeoParquet per layer.

    Raises:
        RecipeError: If the folder holds something else.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / _DESCRIPTION).exists():
        raise RecipeError(
            f"{folder} holds something else than a plan; give --out a new or empty folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for layer, scenes in plan.scenes.items():
        (folder / f"scenes-{layer}.parquet").write_bytes(write_scenes(scenes))
    pq.write_table(plan.samples, folder / "samples.parquet", compression="zstd")
    facts = {
        "recipe_path": str(recipe.path),
        "meta": plan.meta,
        "layers": layers_to_json(plan.layers),
        "cells": plan.cells,
    }
    (folder / _DESCRIPTION).write_text(json.dumps(facts, indent=1) + "\n")


def load_plan(folder: Path) -> tuple[Recipe, Plan]:
    """Return the plan that `save_plan` wrote, and its recipe.

    Raises:
        RecipeError: If the folder is not a whole plan.
    """
    try:
        facts = json.loads((folder / _DESCRIPTION).read_text())
        samples = pq.read_table(folder / "samples.parquet")
        layers = layers_from_json(facts["layers"])
        scenes = {
            layer.name: read_scenes((folder / f"scenes-{layer.name}.parquet").read_bytes())
            for layer in layers
        }
    except (OSError, ValueError, KeyError) as err:
        raise RecipeError(
            f"{folder} is not a saved plan: {err}; make one with `geoloupe plan RECIPE --out "
            f"{folder}`"
        ) from err
    recipe = parse_recipe(facts["meta"]["recipe_text"], Path(facts["recipe_path"]))
    if recipe.hash != facts["meta"]["recipe_hash"]:
        raise RecipeError(
            f"plan {folder} was made of other files than {facts['recipe_path']} names now (its "
            f"area has changed); plan again with `geoloupe plan RECIPE --out {folder}`"
        )
    plan = Plan(
        schema=store_schema(recipe),
        layers=layers,
        scenes=scenes,
        samples=samples,
        meta=facts["meta"],
        found=None,
        cells=facts["cells"],
    )
    return recipe, plan


def load_recipe_or_plan(path: Path) -> tuple[Recipe, Plan | None]:
    """Return a recipe file's recipe, or a plan folder's recipe and plan."""
    if path.is_dir():
        return load_plan(path)
    return load_recipe(path), None
