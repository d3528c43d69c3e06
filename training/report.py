"""The report of a trained model: the picture first, then examples, scores and origin."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from stores.patch_store import PatchStore
from stores.report.markup import Html, element, join
from stores.report.page import (
    Column,
    Section,
    count,
    facts,
    grid,
    render_page,
    table,
    write_page,
)
from stores.report.pictures import picture, shrink
from stores.report.provenance import note_of, terms, terms_lead
from training.card import Card
from training.checkpoint import load_card
from training.comparison import (
    INFRARED,
    LARGEST_MAP_PX,
    VISIBLE,
    Look,
    busiest_windows,
    center,
    choose_look,
    estimates,
    example_row,
    slider,
)
from training.evaluate import Evaluation, Example
from training.map_pair import MapPair, read_map_pair
from training.score_table import headline, score_table, verdict
from training.showcase import write_showcase
from training.spectrum import spectrum_chart

__all__ = ["write_demo_report", "write_showcase"]

MOST_EXAMPLES = 6
EXAMPLE_PX = 96
"""Largest side shown of an example, pixels of the target."""
WINDOW_PX = 24
"""Side of the enlarged parts of the map, pixels of the input."""
TOP_ERROR = 0.05
"""Reflectance error that is drawn white."""


def write_demo_report(
    out_html: str | Path,
    *,
    evaluation: Evaluation,
    map_tif: str | Path,
    store_uri: str | Path,
    notes: Sequence[str],
    timings: Mapping[str, float],
) -> Path:
    """Write what a model did as one HTML file without external parts.

    Args:
        out_html: The file to write; its folder is made if needed.
        evaluation: Scores and examples of a run that still has its folder.
        map_tif: Sharpened map, as `predict` writes it.
        store_uri: The store that the map was predicted from.
        notes: What a reader must know to read the scores, beside the evaluation's own notes.
        timings: Stage -> seconds, in order.

    Returns:
        Path of the page.

    Raises:
        StoreError: If the store cannot be read.
        CheckpointError: If the run cannot be read.
    """
    store = PatchStore.open(str(store_uri))
    card = load_card(Path(evaluation.run))
    pair = read_map_pair(map_tif, store, card.spec.inputs)
    warnings = list(dict.fromkeys([*notes, *evaluation.notes]))
    sections = [
        Section("map", "Map", map_section(pair), _map_lead(pair)),
        Section(
            "examples", "Examples", examples_section(evaluation), _examples_lead(evaluation)
        ),
        Section(
            "scores", "Scores", scores_section(evaluation, warnings), _scores_lead(evaluation)
        ),
        Section("detail", "Detail by scale", _spectrum(evaluation, pair), _SPECTRUM_LEAD),
        Section("making", "How it was made", _making(store, card, evaluation, timings)),
        Section("terms", "License and attribution", terms(store.schema), terms_lead(store)),
    ]
    lead = (
        "Landsat at 30 m goes in; an estimate of what Sentinel-2 would see at 10 m comes out. "
        f"Scores are of the {evaluation.split} split. {note_of(store)}"
    ).strip()
    page = render_page(
        f"{store.schema.name}: Landsat sharpened to 10 m",
        "Sharpening report",
        lead,
        headline(evaluation.scores[evaluation.split]),
        sections,
    )
    return write_page(out_html, page)


_SPECTRUM_LEAD = (
    "A posterior mean is right on average and therefore smooth; a sample has more of the "
    "detail, not always in the right place. The chart says how much of it each holds."
)


def _scores_lead(evaluation: Evaluation) -> str:
    return (
        f"Means over {count(evaluation.samples[evaluation.split])} samples of the "
        f"{evaluation.split} split. Arrows point to better, the best of each column is bold. "
        "The adjustment of the second bicubic is fitted on train samples only."
    )


def _examples_lead(evaluation: Evaluation) -> str:
    return (
        f"Samples of the {evaluation.split} split, evenly spaced, not selected. The pictures "
        "of a row share one stretch. RMSE is in reflectance, over the shown bands and valid "
        "pixels; the error is that of the posterior mean."
    )


def map_section(pair: MapPair) -> Html:
    """Return the map under a handle, and its busiest parts enlarged."""
    look = choose_look(VISIBLE, pair.bands, [pair.condition, pair.sharpened])
    before, after = (
        shrink(look.draw(p, pair.bands), LARGEST_MAP_PX)
        for p in (pair.condition, pair.sharpened)
    )
    labels = {"before": "Landsat, 30 m", "after": "geoloupe, 10 m"}
    said = f"Reflectance {look.stretch}, the same on both sides. Drag to compare."
    shown = slider(before, after, labels)
    whole = element("figure", shown, element("figcaption", said))
    return join(whole, _enlarged(pair, look))


def _enlarged(pair: MapPair, look: Look) -> Html:
    windows = busiest_windows(look.pick(pair.condition, pair.bands)[0], WINDOW_PX, 3)
    if len(windows) < 3:
        return Html("")
    title = element("h3", "Three places enlarged, where the input varies most", class_="sub")
    return join(title, grid("three", *(_window(pair, look, *corner) for corner in windows)))


def _window(pair: MapPair, look: Look, row: int, column: int) -> Html:
    figures = []
    for image, scale, name in (
        (pair.condition, 1, "Landsat, 30 m"),
        (pair.sharpened, pair.ratio, "geoloupe, 10 m"),
    ):
        rows = slice(row * scale, (row + WINDOW_PX) * scale)
        columns = slice(column * scale, (column + WINDOW_PX) * scale)
        shown = look.draw(image[:, rows, columns], pair.bands)
        figures.append(picture(shown, (name,), alt=name))
    return element("div", *figures, class_="strip", style="grid-template-columns:1fr 1fr")


def _map_lead(pair: MapPair) -> str:
    rows, columns = pair.sharpened.shape[1:]
    seen = f"; {pair.train_cells} of its {pair.cells} cells are in train" if pair.cells else ""
    return (
        f"{count(columns)} × {count(rows)} pixels of {pair.gsd_m:g} m in {pair.crs}, from "
        f"Landsat of {pair.anchor_time:%Y-%m-%d}{seen}. {pair.product}."
    )


def examples_section(evaluation: Evaluation) -> Html:
    """Return a row of pictures per example, in true color, and false color where NIR is."""
    chosen = [center(e, EXAMPLE_PX) for e in evaluation.examples[:MOST_EXAMPLES]]
    if not chosen:
        return element("p", "The evaluation kept no example.")
    of_all = count(evaluation.samples[evaluation.split])
    side = chosen[0].target.shape[-1]
    said = f"{len(chosen)} of {of_all} samples; the middle {side} × {side} pixels of each."
    rows = [row for example in chosen for row in _rows_of(example)]
    return join(element("p", said, class_="note"), *rows)


def _rows_of(example: Example) -> list[Html]:
    images = [example.condition, example.target, *estimates(example).values()]
    looks = [choose_look(VISIBLE, example.bands, images)]
    if "nir" in example.bands:
        looks.append(choose_look(INFRARED, example.bands, images))
    return [example_row(example, look, TOP_ERROR) for look in looks]


def scores_section(evaluation: Evaluation, notes: Sequence[str]) -> Html:
    """Return the notes, the verdict, the table of the split that counts, and the others'."""
    said = [element("div", *(element("p", n) for n in notes), class_="warn")] if notes else []
    counting = evaluation.scores[evaluation.split]
    others = [
        element(
            "details",
            element("summary", f"{split} split, {count(evaluation.samples[split])} samples"),
            score_table(scores),
        )
        for split, scores in evaluation.scores.items()
        if split != evaluation.split
    ]
    return join(*said, element("p", verdict(counting)), score_table(counting), *others)


def _spectrum(evaluation: Evaluation, pair: MapPair) -> Html:
    return element(
        "div", spectrum_chart(evaluation.examples, gsd_m=pair.gsd_m), class_="narrow"
    )


def _making(
    store: PatchStore, card: Card, evaluation: Evaluation, timings: Mapping[str, float]
) -> Html:
    inputs, draws = card.spec.inputs, evaluation.draws
    trained = [
        ("store", f"{store.schema.name}, snapshot {store.snapshot.number}"),
        ("system", card.config.system),
        ("input → target", f"{inputs.condition} → {inputs.target}: {', '.join(inputs.bands)}"),
        ("also seen", ", ".join(inputs.extras) or "nothing"),
        ("train samples", count(card.train_samples)),
        ("parameters", count(card.parameters)),
        ("optimizing", f"{count(card.step)} steps in {card.elapsed_s:,.0f} s"),
        ("seed", card.config.seed),
        ("samples drawn", f"{draws.steps} steps each; {draws.members} in a mean of samples"),
        ("code", card.revision or "not a clone"),
        ("versions", ", ".join(f"{k} {v}" for k, v in card.versions.items())),
    ]
    rows = [(stage, f"{seconds:,.1f} s") for stage, seconds in timings.items()]
    total = ("in all", f"{sum(timings.values()):,.1f} s")
    return grid(
        "two", facts(trained), table([Column("stage"), Column("time", "n")], [*rows, total])
    )
