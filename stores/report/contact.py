"""The contact sheet: some samples of a store, each layer side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from stores.patch_store import PatchStore
from stores.report.markup import Html, element
from stores.report.page import legend
from stores.report.pictures import (
    INVALID_COLOR,
    VALID_COLOR,
    Rgba,
    class_color,
    picture,
    shrink,
)
from stores.report.views import Patch, Stretches, View, draw, shared_stretches, views_of

LARGEST_PX = 192
"""Larger patches are shown by every n-th pixel, so that a page stays a few megabytes."""
MOST_COLUMNS = 6
MOST_CLASSES = 24


def spread_over_time(kept: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return at most `most` samples, evenly spread over the dates and places of the store."""
    ordered = kept.sort_values(["anchor_time", "sample_id"], kind="stable")
    places = np.linspace(0, len(ordered) - 1, min(most, len(ordered))).round().astype(int)
    return ordered.iloc[places]


def contact_sheet(store: PatchStore, samples: pd.DataFrame) -> Html:
    """Return one row of pictures per sample.

    Args:
        store: Where the pixels are.
        samples: Rows of the index, all kept.
    """
    patches = read_patches(store, samples)
    clear = _usable_everywhere(patches)
    views = [
        view
        for view in views_of(store.schema.layers)
        if view.subject != "valid" or view.layer not in clear
    ]
    stretches = shared_stretches(views, patches)
    rows = [
        _sample(row, views, layers, stretches)
        for row, layers in zip(rows_of(samples), patches, strict=True)
    ]
    said = f"Stretch, the same for every sensor and sample: {stretches.sentence(views)}."
    if clear:
        said += f" Usable everywhere here, so no picture of it: {', '.join(clear)}."
    return element("div", element("p", said, class_="note"), _legends(views, patches), *rows)


def _usable_everywhere(patches: Sequence[Mapping[str, Patch]]) -> list[str]:
    """Layers that have no unusable pixel in any of the samples."""
    seen = dict.fromkeys(name for layers in patches for name in layers)
    return [n for n in seen if all(p[n].valid.all() for p in patches if n in p)]


def rows_of(samples: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of the index as column -> value."""
    return [{str(k): v for k, v in row.items()} for row in samples.to_dict("records")]


def read_patches(store: PatchStore, samples: pd.DataFrame) -> list[dict[str, Patch]]:
    """Return layer name -> patch for each sample; layers that a sample lacks are left out."""
    found: list[dict[str, Patch]] = [{} for _ in range(len(samples))]
    for layer in store.schema.layers:
        there = np.flatnonzero(samples[f"{layer.name}_present"].to_numpy(bool))
        if not there.size:
            continue
        read = store.read(layer.name, samples["slot"].to_numpy()[there])
        physical = layer.to_physical(read.raw)
        for place, pixels, valid in zip(there, physical, read.valid, strict=True):
            found[place][layer.name] = Patch(pixels, valid, layer.band_keys)
    return found


def _sample(
    row: Mapping[str, Any],
    views: Sequence[View],
    patches: Mapping[str, Patch],
    stretches: Stretches,
) -> Html:
    columns = min(len(views), MOST_COLUMNS)
    shown = [_figure(row, view, patches.get(view.layer), stretches) for view in views]
    strip = element(
        "div", *shown, class_="strip", style=f"grid-template-columns:repeat({columns},1fr)"
    )
    said = f" · {row['split']} · {_moment(row['anchor_time'])}"
    title = element("p", element("span", row["sample_id"], class_="id"), said)
    return element("div", title, strip, class_="sample")


def _figure(
    row: Mapping[str, Any], view: View, patch: Patch | None, stretches: Stretches
) -> Html:
    if patch is None:
        nothing = np.zeros((1, 1, 4), np.uint8)
        return picture(nothing, (view.title, "not in this sample"), alt=f"no {view.layer}")
    image: Rgba = shrink(draw(view, patch, stretches), LARGEST_PX)
    alt = f"{view.title} of sample {row['sample_id']}"
    return picture(image, (view.title, _circumstances(row, view)), alt=alt)


def _circumstances(row: Mapping[str, Any], view: View) -> str:
    """Date, gap to the anchor and valid fraction of one layer of one sample."""
    share = f"{row[f'{view.layer}_valid']:.1%}"
    if view.subject == "valid":
        return share
    time, gap = row[f"{view.layer}_time"], row[f"{view.layer}_dt_hours"]
    if pd.isna(time):
        return f"no date, {share} valid"
    hours = "" if view.timeless or pd.isna(gap) else f", {gap:+.1f} h"
    return f"{_moment(time)}{hours}, {share} valid"


def _moment(moment: pd.Timestamp) -> str:
    """A date, with the time of day unless it is midnight: then only the date is known."""
    return f"{moment:%Y-%m-%d}" if moment == moment.normalize() else f"{moment:%Y-%m-%d %H:%M}"


def _legends(views: Sequence[View], patches: Sequence[Mapping[str, Patch]]) -> Html:
    entries = [
        (f"rgb{VALID_COLOR}", "usable"),
        (f"rgb{INVALID_COLOR}", "not usable"),
        ("repeating-linear-gradient(45deg,var(--panel) 0 2px,var(--quiet) 2px 3px)", "no data"),
    ]
    for view in (v for v in views if v.subject == "class"):
        values = [p[view.layer].pick(view.bands) for p in patches if view.layer in p]
        codes = sorted({int(c) for v in values for c in np.unique(v[np.isfinite(v)])})
        entries += [
            (f"rgb{class_color(code)}", f"{view.bands[0]} {code}")
            for code in codes[:MOST_CLASSES]
        ]
    return legend(entries)
