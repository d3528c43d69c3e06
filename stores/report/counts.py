"""Sections that count samples: splits, rejects, time gaps, valid fractions."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from stores.report.charts import (
    Histogram,
    bar_rows,
    color_of,
    histogram_chart,
    split_bar,
    timeline,
)
from stores.report.footprints import SPLIT_COLORS
from stores.report.markup import Html, element, join
from stores.report.page import Column, count, grid, legend, table

Hours = npt.NDArray[np.float64]

_SPLIT_ORDER = ("train", "val", "test", "buffer")


def split_sizes(index: pd.DataFrame) -> Html:
    """Return the bar of kept samples per split, and a table of samples, cells and dates."""
    names = [s for s in _SPLIT_ORDER if (index["split"] == s).any()]
    names += sorted(set(index["split"]) - set(names))
    kept = index[index["status"] == "kept"]
    sizes = kept["split"].value_counts()
    parts = [(s, int(sizes.get(s, 0)), SPLIT_COLORS.get(s, "var(--c5)")) for s in names]
    rows = []
    for name in names:
        group = kept[kept["split"] == name]
        candidates = int((index["split"] == name).sum())
        share = f"{len(group) / len(kept):.1%}" if len(kept) else "–"
        cells, dates = group["cell_id"].nunique(), group["anchor_time"].nunique()
        rows.append(
            (name, count(len(group)), share, count(cells), count(dates), count(candidates))
        )
    columns = [Column("split"), Column("kept samples", "n"), Column("share", "n")]
    columns += [Column(t, "n") for t in ("cells", "anchor times", "candidates")]
    return join(
        split_bar([p for p in parts if p[1]]), table(columns, rows), _shared_cells(kept)
    )


def split_audit(audit: Mapping[str, Any]) -> Html:
    """Return what the audit of the split found: how near cells are, and what is wanting."""
    closest = audit.get("closest_m")
    near = (
        "There are no cells of two splits."
        if closest is None
        else (
            f"The closest cells of two splits are {closest:,.0f} m apart; "
            f"the recipe asks for {audit['buffer_m']:,.0f} m."
        )
    )
    said = [near, *map(str, audit["warnings"])]
    return join(*(element("p", line, class_="note after") for line in said))


def _shared_cells(kept: pd.DataFrame) -> Html:
    shared = int((kept.groupby("cell_id")["split"].nunique() > 1).sum())
    if not shared:
        return element("p", "No cell has samples in two splits.", class_="note after")
    said = f"{count(shared)} cells have samples in more than one split: the split leaks."
    return element("div", element("p", said), class_="warn after")


def rejects(index: pd.DataFrame) -> Html:
    """Return the rejected samples by reason, with the commonest detail of each."""
    rejected = index[index["status"] == "rejected"]
    kept = int((index["status"] == "kept").sum())
    other = len(index) - kept - len(rejected)
    parts = f"{count(kept)} kept + {count(len(rejected))} rejected"
    total = f"{parts} = {count(len(index))} candidates."
    if other:
        total += f" {count(other)} rows have another status: the index is damaged."
    if rejected.empty:
        return element("p", f"{total} Nothing was rejected.")
    sizes = rejected["reason"].value_counts()
    bars = bar_rows([(str(r), int(n), "var(--bad)") for r, n in sizes.items()])
    details = rejected.groupby("reason")["detail"].agg(lambda d: str(d.mode().iloc[0]))
    rows = [(*bar, str(details[r])) for bar, r in zip(bars, sizes.index, strict=True)]
    columns = [Column("reason"), Column("samples", "n"), Column(""), Column("commonest detail")]
    return join(element("p", total), table(columns, rows))


def time_gaps(kept: pd.DataFrame, layers: list[str], timed_layers: list[str]) -> Html:
    """Return when the scenes of each layer were acquired, and how far from their anchors.

    Args:
        kept: Kept rows of the index.
        layers: All layers of the store, whose order decides their colors.
        timed_layers: Those that are matched in time; labels and elevation are not.
    """
    timed = {n: kept[f"{n}_time"].dropna() for n in timed_layers}
    colors = {name: color_of(order) for order, name in enumerate(layers)}
    lanes = {
        name: ([t.to_pydatetime() for t in times.drop_duplicates()], colors[name])
        for name, times in timed.items()
        if len(times)
    }
    if not lanes:
        return element("p", "No layer has scenes with a time.")
    gaps = {n: kept[f"{n}_dt_hours"].dropna().to_numpy(float) for n in timed_layers}
    widest = max((float(np.abs(g).max()) for g in gaps.values() if len(g)), default=0.0)
    drawn = [
        _gap_chart(name, hours, widest, colors[name])
        for name, hours in gaps.items()
        if np.any(hours)
    ]
    none = "Each layer was acquired with its anchor: there is no gap to show."
    charts = grid("three", *drawn) if drawn else element("p", none)
    return join(timeline(lanes), element("h3", "Layer time minus anchor time"), charts)


def _gap_chart(layer: str, hours: Hours, widest: float, color: str) -> Html:
    """Histogram of one layer's gaps, on the axis that fits the widest gap of all layers."""
    unit, scale = ("days", 24.0) if widest > 48 else ("hours", 1.0)
    limit = float(np.ceil(widest / scale))
    counts, edges = np.histogram(hours / scale, bins=28, range=(-limit, limit))
    chart = histogram_chart([Histogram(layer, color, edges, counts)], axis=f"gap in {unit}")
    within = int((np.abs(hours) < 24).sum())
    said = (
        f"{layer}, {unit}: median {np.median(np.abs(hours)):.1f} h either way, largest "
        f"{np.abs(hours).max():.1f} h, {count(within)} of {count(len(hours))} within a day"
    )
    return element("figure", chart, element("figcaption", said))


def valid_fractions(kept: pd.DataFrame, layers: list[str]) -> Html:
    """Return the histogram of valid fractions of the kept patches, and its low end."""
    shares = {n: _shares(kept, n) for n in layers}
    shares = {n: share for n, share in shares.items() if len(share)}
    lowest = min((float(s.min()) for s in shares.values()), default=0.0)
    start = min(np.floor(lowest * 10) / 10, 0.9)
    series, rows = [], []
    for name, share in shares.items():
        counts, edges = np.histogram(share, bins=20, range=(start, 1.0))
        series.append(Histogram(name, color_of(layers.index(name)), edges * 100, counts))
        spread = (f"{share.mean():.1%}", f"{share.min():.1%}")
        rows.append((name, count(len(share)), *spread, count((share == 1.0).sum())))
    if not series:
        return element("p", "No layer states a valid fraction.")
    chart = element(
        "figure",
        legend([(s.color, s.name) for s in series]),
        histogram_chart(series, axis="valid percent of a patch", width=520.0, height=170.0),
        element("figcaption", "Percent of a patch that is valid; share of the patches."),
    )
    columns = [Column("layer"), Column("patches", "n"), Column("mean", "n")]
    columns += [Column("lowest", "n"), Column("fully valid", "n")]
    return grid("two", chart, table(columns, rows))


def _shares(kept: pd.DataFrame, layer: str) -> npt.NDArray[np.float64]:
    present = kept[kept[f"{layer}_present"].astype(bool)]
    return present[f"{layer}_valid"].dropna().to_numpy(np.float64)
