"""geoloupe: satellite archives in; co-registered patch stores, models and maps out.

This module is the front door: the command line and the few public names. It imports lazily,
so that the data half works without torch and `geoloupe --help` answers at once.

Example:
    >>> import geoloupe
    >>> geoloupe.load_recipe  # doctest: +ELLIPSIS
    <function load_recipe at ...>
"""

import signal
import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from catalog.errors import GeoloupeError
from pipeline import commands as data
from stores.terminal import BAD_INPUT, INTERRUPTED, RunOption, console
from training import commands as model

_PUBLIC = {
    "PatchStore": "stores.patch_store",
    "load_recipe": "pipeline.recipe",
    "make_plan": "pipeline.plan",
    "build_store": "pipeline.run",
}
__all__ = ["PatchStore", "build_store", "load_recipe", "main", "make_plan"]  # noqa: F822

DEMO_SECONDS = 150.0

app = typer.Typer(
    help="Satellite archives in; co-registered patch stores, sharpening models and maps out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the public name is
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'geoloupe' has no attribute {name!r}")


def main() -> None:
    """Run the command line; errors are one message, and exit codes are 0, 1, 2 or 130."""
    # What `timeout`, systemd and docker send; servers that were started end as upon Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
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
        serving = sys.argv[1:2] == ["sandbox"]
        rest = "" if serving else "; nothing built is lost: run the same command to go on"
        console.print(f"interrupted{rest}")
        sys.exit(INTERRUPTED)


def _escape(text: str) -> str:
    return text.replace("[", r"\[")


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> None:
    """Options of every command."""


app.command()(data.plan)
app.command()(data.build)
app.command()(data.inspect)
app.command()(model.train)


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


app.command()(model.evaluate)


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
    from pipeline.demo import make_demo_store
    from training.config import TrainConfig
    from training.demo import describe_scores, run_demo

    uri, notes, timings = make_demo_store(out, archive, console)
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


app.command()(data.products)
app.command()(data.sandbox)
app.command()(data.doctor)


if __name__ == "__main__":
    main()
