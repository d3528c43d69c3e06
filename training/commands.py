"""The commands of the model half that need a store only; torch is imported when one runs."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from stores.terminal import JsonOption, RunOption, StoreOption, console, print_json


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
        print_json(evaluation.to_json())
        return
    Console().print(describe_scores(evaluation))
    for note in evaluation.notes:
        console.print(f"note: {note}")
