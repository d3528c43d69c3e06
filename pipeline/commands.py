"""The commands of the data half. Each parses, calls one function and prints.

Modules are imported where they are used, so that `geoloupe --help` answers at once.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from catalog.errors import RecipeError
from stores.terminal import FAILURES, JsonOption, StoreOption, console, print_json

RecipeArgument = Annotated[
    Path, typer.Argument(help="Recipe file (TOML), or a plan saved by `plan --out`.")
]


def plan(
    recipe: RecipeArgument,
    out: Annotated[Path | None, typer.Option(help="Save the plan to this folder.")] = None,
    map_file: Annotated[
        Path | None,
        typer.Option("--map", dir_okay=False, help="Draw area, scenes and matches (HTML)."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Search, match and say what a build would do and cost. Moves no pixel."""
    from pipeline.credentials import missing_credentials
    from pipeline.cube_commands import plan_cube_recipe
    from pipeline.cube_recipe import is_cube_recipe
    from pipeline.estimate import estimate_plan
    from pipeline.plan import make_plan
    from pipeline.plan_text import describe_plan, plan_facts
    from pipeline.progress import BuildProgress
    from pipeline.saved_plan import load_recipe_or_plan, save_plan

    if is_cube_recipe(recipe):
        given = "--out" if out is not None else "--map" if map_file is not None else ""
        if given:
            raise RecipeError(
                f"{recipe} is a recipe of cubes; {given} is for patches: leave it out"
            )
        plan_cube_recipe(recipe, as_json=as_json)
        return
    asked, made = load_recipe_or_plan(recipe)
    if made is None:
        with BuildProgress(console) as progress:
            made = make_plan(asked, datetime.now(UTC), on_search=progress.on_search)
    estimate = estimate_plan(made)
    if out is not None:
        save_plan(made, asked, out)
    if map_file is not None:
        from pipeline.plan_map import write_plan_map

        write_plan_map(made, asked, map_file)
        console.print(f"map: {map_file}")
    if as_json:
        print_json(plan_facts(made, estimate))
    else:
        Console().print(describe_plan(made, asked, estimate))
        for lack in missing_credentials(asked.sources()):
            console.print(f"a build needs: {lack}", markup=False, soft_wrap=True)
        if out is not None:
            hint = f"saved; build it with: geoloupe build {out} --store DIR"
            console.print(hint, markup=False, soft_wrap=True)


def build(
    recipe: RecipeArgument,
    store: StoreOption,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler; default: this machine.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Build the store of a recipe. The same command finishes what was interrupted."""
    from pipeline.cluster import open_client
    from pipeline.cube_commands import build_cube_recipe
    from pipeline.cube_recipe import is_cube_recipe
    from pipeline.plan import make_plan
    from pipeline.progress import BuildProgress
    from pipeline.run import build_store
    from pipeline.saved_plan import load_recipe_or_plan

    if is_cube_recipe(recipe):
        if not build_cube_recipe(recipe, store, as_json=as_json):
            raise typer.Exit(FAILURES)
        return
    asked, made = load_recipe_or_plan(recipe)
    with BuildProgress(console) as progress:
        summary = build_store(
            asked,
            store,
            lambda: made or make_plan(asked, datetime.now(UTC), on_search=progress.on_search),
            connect=lambda: open_client(scheduler),
            on_start=progress.on_start,
            on_report=progress.on_report,
        )
    if as_json:
        print_json(summary.facts())
    else:
        console.print(summary.describe(), markup=False, soft_wrap=True)
    if summary.failed_share > asked.limits.max_failed:
        raise typer.Exit(FAILURES)


def inspect(
    store: Annotated[str, typer.Argument(help="Folder of a store.")],
    html: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write a report to this HTML file.")
    ] = None,
    snapshot: Annotated[int | None, typer.Option(help="Snapshot; default: latest.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a store holds; write a report about it."""
    from stores.cube_summary import cube_facts, describe_cubes, find_cubes
    from stores.patch_store import PatchStore
    from stores.report.dataset import write_report
    from stores.summary import describe_store, store_facts

    cubes = find_cubes(store)
    if cubes:
        given = "--html" if html is not None else "--snapshot" if snapshot is not None else ""
        if given:
            raise RecipeError(f"{store} holds cubes; {given} is for patches: leave it out")
        if as_json:
            print_json([cube_facts(cube) for cube in cubes])
        else:
            Console().print(describe_cubes(cubes))
        return
    opened = PatchStore.open(store, snapshot)
    if as_json:
        print_json(store_facts(opened))
    else:
        Console().print(describe_store(opened))
    if html is not None:
        write_report(store, html, snapshot=snapshot)
        console.print(f"report: {html}")


def products(
    product: Annotated[
        str | None, typer.Argument(help="Key of a product; default: list all.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the data products: bands, pixel sizes, units, archives."""
    from catalog.product_list import describe_products, product_facts

    if as_json:
        print_json(product_facts(product))
    else:
        Console().print(describe_products(product))


def sandbox(
    folder: Annotated[Path, typer.Argument(help="Where its scenes lie, or are rendered to.")],
    port: Annotated[int, typer.Option(help="Port on loopback.")] = 8765,
    signed: Annotated[
        list[str] | None,
        typer.Option("--sign", help="Collection whose files need a token; may be repeated."),
    ] = None,
    token_life: Annotated[
        float, typer.Option(help="Life of the tokens of signed files, seconds.")
    ] = 60.0,
    faults: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of requests answered 429 or 503.")
    ] = 0.0,
) -> None:
    """Serve simulated archives on this machine: STAC, signed files, Earth Engine."""
    from pipeline.progress import SceneProgress
    from pipeline.sandbox.command import render_world, serve_world

    with SceneProgress(console) as rendering:
        render_world(folder, on_scene=rendering.on_scene)
    served = serve_world(
        folder, port, signed=signed or (), token_life_s=token_life, faults=faults
    )
    with served as world:
        console.print(world.describe(), markup=False, soft_wrap=True)
        world.wait()


def doctor(as_json: JsonOption = False) -> None:
    """Say what this machine lacks: packages, GDAL drivers, disk, credentials."""
    from pipeline.doctor import describe_checks, run_checks

    checks = run_checks()
    if as_json:
        print_json([check.facts() for check in checks])
    else:
        Console().print(describe_checks(checks))
    if any(check.state == "missing" for check in checks):
        raise typer.Exit(FAILURES)
