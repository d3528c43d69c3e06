"""geoloupe: satellite archives in; co-registered patch stores, models and maps out.

This module is the front door: the command line and the few public names. It imports lazily,
so that the data half works without torch and `geoloupe --help` answers at once.

Example:
    >>> import geoloupe
    >>> geoloupe.load_recipe  # doctest: +ELLIPSIS
    <function load_recipe at ...>
"""

import json
import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from catalog.errors import GeoloupeError

_PUBLIC = {
    "PatchStore": "stores.patch_store",
    "load_recipe": "pipeline.recipe",
    "make_plan": "pipeline.plan",
    "build_store": "pipeline.run",
}
__all__ = ["PatchStore", "build_store", "load_recipe", "main", "make_plan"]  # noqa: F822

DONE, FAILURES, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
DEMO_SECONDS = 150.0

app = typer.Typer(
    help="Satellite archives in; co-registered patch stores, sharpening models and maps out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
console = Console(stderr=True)

RecipeArgument = Annotated[
    Path, typer.Argument(help="Recipe file (TOML), or a plan saved by `plan --out`.")
]
StoreOption = Annotated[str, typer.Option("--store", help="Folder of the store.")]
RunOption = Annotated[Path, typer.Option("--run", help="Folder of a trained run.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the public name is
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'geoloupe' has no attribute {name!r}")


def main() -> None:
    """Run the command line; errors are one message, and exit codes are 0, 1, 2 or 130."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    try:
        app()
    except (GeoloupeError, OSError) as err:
        if debug:
            raise
        name = type(err).__name__
        message = f"[bold red]{name}[/]  {_escape(str(err))}"
        console.print(message, highlight=False, soft_wrap=True)
        sys.exit(BAD_INPUT)
    except (KeyboardInterrupt, SystemExit) as end:
        if isinstance(end, SystemExit) and end.code != INTERRUPTED:
            raise  # typer turns Ctrl-C into this exit code, and others into theirs
        console.print("interrupted; nothing built is lost: run the same command to go on")
        sys.exit(INTERRUPTED)


def _escape(text: str) -> str:
    return text.replace("[", r"\[")


def _print_json(facts: object) -> None:
    print(json.dumps(facts, indent=1, default=str))


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> None:
    """Options of every command."""


@app.command()
def plan(
    recipe: RecipeArgument,
    out: Annotated[Path | None, typer.Option(help="Save the plan to this folder.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Search, match and say what a build would do and cost. Moves no pixel."""
    from pipeline.estimate import estimate_plan
    from pipeline.plan import make_plan
    from pipeline.plan_text import describe_plan, plan_facts
    from pipeline.progress import BuildProgress
    from pipeline.saved_plan import load_recipe_or_plan, save_plan

    asked, made = load_recipe_or_plan(recipe)
    if made is None:
        with BuildProgress(console) as progress:
            made = make_plan(asked, datetime.now(UTC), on_search=progress.on_search)
    estimate = estimate_plan(made)
    if out is not None:
        save_plan(made, asked, out)
    if as_json:
        _print_json(plan_facts(made, estimate))
    else:
        Console().print(describe_plan(made, asked, estimate))
        if out is not None:
            hint = f"saved; build it with: geoloupe build {out} --store DIR"
            console.print(hint, markup=False, soft_wrap=True)


@app.command()
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
    from pipeline.plan import make_plan
    from pipeline.progress import BuildProgress
    from pipeline.run import build_store
    from pipeline.saved_plan import load_recipe_or_plan

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
        _print_json(summary.facts())
    else:
        console.print(summary.describe(), markup=False, soft_wrap=True)
    if summary.failed_share > asked.limits.max_failed:
        raise typer.Exit(FAILURES)


@app.command()
def inspect(
    store: Annotated[str, typer.Argument(help="Folder of a store.")],
    html: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write a report to this HTML file.")
    ] = None,
    snapshot: Annotated[int | None, typer.Option(help="Snapshot; default: latest.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a store holds; write a report about it."""
    from stores.patch_store import PatchStore
    from stores.report.dataset import write_report
    from stores.summary import describe_store, store_facts

    opened = PatchStore.open(store, snapshot)
    if as_json:
        _print_json(store_facts(opened))
    else:
        Console().print(describe_store(opened))
    if html is not None:
        write_report(store, html, snapshot=snapshot)
        console.print(f"report: {html}")


@app.command()
def train(
    store: StoreOption,
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    seconds: Annotated[
        float | None, typer.Option(help="Budget of optimizing; default 180 if no --steps.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Budget in optimizer steps.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="Settings (TOML); see docs/training.md.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed; default 0.")] = None,
) -> None:
    """Train a model on a store. The same command resumes an interrupted run."""
    from training.config import load_config
    from training.loop import train as run_training

    settings = load_config(config, seconds=seconds, steps=steps, seed=seed)
    run = run_training(store, out, settings, console=console)
    console.print(f"trained: {run}")


@app.command()
def predict(
    run: RunOption,
    out: Annotated[Path, typer.Option(dir_okay=False, help="GeoTIFF to write.")],
    store: Annotated[str | None, typer.Option(help="Store with the input layer.")] = None,
    scene: Annotated[
        str | None, typer.Option(help="STAC item (path or URL) to sharpen instead.")
    ] = None,
    bbox: Annotated[
        str | None, typer.Option(help="With --scene: west,south,east,north in degrees.")
    ] = None,
    anchor: Annotated[
        datetime | None, typer.Option(help="Anchor time (UTC) in the store; default: fullest.")
    ] = None,
    samples: Annotated[
        int,
        typer.Option(
            min=0, help="Average so many posterior samples; 0: one-step posterior mean."
        ),
    ] = 0,
) -> None:
    """Predict a map: a cloud-optimized GeoTIFF and a STAC item beside it."""
    import tempfile

    from training.noise import Draws
    from training.predict import predict as predict_map

    draws = Draws(members=samples) if samples else None
    when = anchor.replace(tzinfo=UTC) if anchor else None
    with tempfile.TemporaryDirectory(prefix="geoloupe-scene-") as scratch:
        source = _scene_or_store(run, store, scene, bbox, Path(scratch) / "store")
        written = predict_map(run, source, out, anchor=when, draws=draws, console=console)
    console.print(f"map: {written}")


def _scene_or_store(
    run: Path, store: str | None, scene: str | None, bbox: str | None, scratch: Path
) -> str:
    """The store to predict from; made of a scene if one was given."""
    from catalog.errors import RecipeError
    from pipeline.scene_store import build_scene_store, parse_box
    from training.checkpoint import load_card

    if (store is None) == (scene is None):
        raise RecipeError("predict needs a store or a scene: give one of --store and --scene")
    if store is not None and bbox is not None:
        raise RecipeError(f"--bbox {bbox!r} cuts a --scene; a --store is predicted as a whole")
    if store is not None:
        return store
    inputs = load_card(run).spec.inputs
    with console.status("reading the scene"):
        return build_scene_store(
            str(scene),
            str(scratch),
            layer=inputs.condition,
            bands=inputs.bands,
            box=parse_box(bbox) if bbox else None,
        )


@app.command()
def evaluate(
    run: RunOption,
    store: StoreOption,
    out: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write the scores to this JSON file.")
    ] = None,
    most: Annotated[
        int | None, typer.Option(help="Score so many samples of each split at most, evenly.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Score a model beside bicubic and adjusted bicubic, split by split."""
    from training.demo import describe_scores
    from training.evaluate import evaluate as score

    limits = dict.fromkeys(("train", "val", "test"), most) if most else None
    evaluation = score(run, store, most=limits, console=console)
    if out is not None:
        evaluation.write(out)
    if as_json:
        _print_json(evaluation.to_json())
        return
    Console().print(describe_scores(evaluation))
    for note in evaluation.notes:
        console.print(f"note: {note}")


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("runs/demo"),
    archive: Annotated[
        str | None, typer.Option(help="Run on the real Belgian scenes of this archive instead.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="Budget of the training.")] = DEMO_SECONDS,
    seed: Annotated[int, typer.Option(help="Seed of the training.")] = 0,
) -> None:
    """Go the whole way on this machine: scenes, store, model, map, scores, report."""
    from training.config import TrainConfig
    from training.demo import describe_scores, run_demo

    uri, notes, timings = _demo_store(out, archive)
    settings = TrainConfig(seconds=seconds, seed=seed)
    console.print(f"training for {seconds:g} s, then scores and a map: about two minutes more")
    result = run_demo(uri, out, config=settings, notes=notes, timings=timings, console=console)
    print_to = Console()
    print_to.print(describe_scores(result.evaluation))
    for note in result.evaluation.notes:
        print_to.print(f"note: {note}")
    for what, path in (
        ("report", result.report),
        ("dataset report", out / "store.html"),
        ("map", result.map),
        ("scores", result.scores),
    ):
        print_to.print(f"{what:>14}  {path}", highlight=False)


def _demo_store(
    out: Path, archive: str | None
) -> tuple[str, tuple[str, ...], dict[str, float]]:
    """Build the store of the demonstration; return it, what to note, and seconds by stage."""
    import time

    from pipeline.demo import archive_input, sandbox_input
    from pipeline.plan import make_plan
    from pipeline.progress import BuildProgress, SceneProgress
    from pipeline.recipe import load_recipe
    from pipeline.run import build_store
    from stores.report.dataset import write_report

    started = time.monotonic()
    console.print("scenes, then a store: one to three minutes")
    if archive is None:
        with SceneProgress(console) as rendering:
            given = sandbox_input(out, on_scene=rendering.on_scene)
    else:
        given = archive_input(out, archive)
    timings = {"scenes": time.monotonic() - started}
    started = time.monotonic()
    recipe = load_recipe(given.recipe)
    with BuildProgress(console) as progress:
        summary = build_store(
            recipe,
            out / "store",
            lambda: make_plan(recipe, datetime.now(UTC), on_search=progress.on_search),
            on_start=progress.on_start,
            on_report=progress.on_report,
        )
    console.print(summary.describe(), markup=False, soft_wrap=True)
    timings["build"] = time.monotonic() - started
    write_report(summary.store, out / "store.html")
    return summary.store, given.notes, timings


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """Say what this machine lacks: packages, GDAL drivers, disk, credentials."""
    from pipeline.doctor import describe_checks, run_checks

    checks = run_checks()
    if as_json:
        _print_json([check.facts() for check in checks])
    else:
        Console().print(describe_checks(checks))
    if any(check.state == "missing" for check in checks):
        raise typer.Exit(FAILURES)


if __name__ == "__main__":
    main()
