"""The model half of the demonstration: train on a store, score, draw a map, write a report."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console, RenderableType
from rich.table import Table

from training.config import TrainConfig
from training.evaluate import Evaluation, evaluate
from training.loop import train
from training.predict import predict
from training.report import write_demo_report, write_showcase
from training.score_table import METHOD_TITLES, METRICS

GLANCE = {"train": 12, "val": 12}
"""Samples scored of the splits that do not count; all of the test split are."""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demonstration leaves behind."""

    report: Path
    scores: Path
    map: Path
    showcase: Path
    evaluation: Evaluation


def run_demo(
    store_uri: str,
    out: Path,
    *,
    config: TrainConfig,
    notes: tuple[str, ...] = (),
    timings: Mapping[str, float] | None = None,
    console: Console | None = None,
) -> DemoResult:
    """Train, evaluate, predict and report; the same call again resumes.

    Args:
        store_uri: Store to train on.
        out: Folder of the results.
        config: Settings of the training.
        notes: What a reader must know besides, for example how the store came about.
        timings: Stage -> seconds of what was done before, in order.
        console: Where progress is shown; default standard error.
    """
    spent = dict(timings or {})
    started = time.monotonic()
    run = train(store_uri, out / "model", config, console=console)
    spent["train"] = time.monotonic() - started
    started = time.monotonic()
    evaluation = evaluate(run, store_uri, most=GLANCE, console=console)
    evaluation = replace(evaluation, notes=(*notes, *evaluation.notes))
    evaluation.write(out / "scores.json")
    spent["evaluate"] = time.monotonic() - started
    started = time.monotonic()
    map_tif = predict(run, store_uri, out / "map.tif", console=console)
    spent["predict"] = time.monotonic() - started
    report = write_demo_report(
        out / "report.html",
        evaluation=evaluation,
        map_tif=map_tif,
        store_uri=store_uri,
        notes=evaluation.notes,
        timings=spent,
    )
    return DemoResult(
        report=report,
        scores=out / "scores.json",
        map=map_tif,
        showcase=write_showcase(out / "showcase.png", evaluation),
        evaluation=evaluation,
    )


def describe_scores(evaluation: Evaluation) -> RenderableType:
    """Return the scores of the split that counts as a table for a terminal."""
    table = Table(
        title=f"{evaluation.split} split, {evaluation.samples[evaluation.split]} samples",
        title_justify="left",
        box=None,
        pad_edge=False,
        header_style="dim",
    )
    table.add_column("method", overflow="fold")
    for metric in METRICS.values():
        table.add_column(metric.heading, justify="right")
    scores = evaluation.scores[evaluation.split]
    for method, said in METHOD_TITLES.items():
        row = scores.get(method)
        if row is not None:
            table.add_row(said, *(m.write(row.get(key)) for key, m in METRICS.items()))
    return table
