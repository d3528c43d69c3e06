"""The report of a store: one page that an engineer can send to a colleague."""

from collections.abc import Mapping
from pathlib import Path

import geopandas as gpd
import pandas as pd

from stores.patch_store import PatchStore
from stores.report.contact import LARGEST_PX, contact_sheet, spread_over_time
from stores.report.counts import rejects, split_audit, split_sizes, time_gaps, valid_fractions
from stores.report.footprints import footprint_maps, place_name, region_names
from stores.report.markup import Html, element, join
from stores.report.measurements import histograms, statistics_table
from stores.report.page import Section, count, plural, render_page, write_page
from stores.report.provenance import (
    layer_table,
    note_of,
    recipe,
    resampling_used,
    scenes_used,
    terms,
    terms_lead,
)
from stores.report.views import is_timeless, views_of

MOST_SAMPLES = 12
"""Samples on the contact sheet."""
MOST_PICTURES = 120
"""Pictures on the contact sheet: stores of many layers show fewer samples."""


def write_report(uri: str | Path, out_html: str | Path, snapshot: int | None = None) -> Path:
    """Write the report of a published store as one HTML file without external parts.

    Args:
        uri: The store.
        out_html: The file to write; its folder is made if needed.
        snapshot: Number of the snapshot; None means the last one.

    Returns:
        Path of the page.

    Raises:
        StoreError: If there is no such store or snapshot.
    """
    store = PatchStore.open(str(uri), snapshot)
    return write_page(out_html, report_page(store))


def report_page(store: PatchStore) -> str:
    """Return the report of an open store as an HTML document."""
    index = store.index
    kept = index[index["status"] == "kept"]
    return render_page(
        store.schema.name,
        f"Patch dataset, snapshot {store.snapshot.number}",
        f"{_lead(index)} {note_of(store)}".strip(),
        _numbers(store, kept),
        [_samples(store, kept), *_counts(store, index, kept), *_sources(store, kept)],
    )


def _lead(index: gpd.GeoDataFrame) -> str:
    if index.empty:
        return "An empty store."
    first, last = index["anchor_time"].min(), index["anchor_time"].max()
    names = sorted(index["region"].astype(str).unique())
    named = f"{region_names(names, 4)}, around " if len(names) > 1 else "Around "
    return f"{named}{place_name(index)}. Anchors from {first:%Y-%m-%d} to {last:%Y-%m-%d}."


def _numbers(store: PatchStore, kept: pd.DataFrame) -> list[tuple[str, str]]:
    index, grid = store.index, store.schema.grid
    share = f"{len(kept) / len(index):.0%}" if len(index) else "–"
    cells, layers = index["cell_id"].nunique(), len(store.schema.layers)
    times = kept["anchor_time"].nunique()
    return [
        (count(len(kept)), f"{plural(len(kept), 'sample')} kept, {share} of candidates"),
        (count(len(index)), plural(len(index), "candidate")),
        (count(cells), plural(cells, "cell")),
        (count(times), plural(times, "anchor time")),
        (count(layers), plural(layers, "layer")),
        (f"{grid['size_px']} px", f"patch on the {grid['gsd_m']:g} m grid"),
    ]


def _samples(store: PatchStore, kept: pd.DataFrame) -> Section:
    pictures = len(views_of(store.schema.layers))
    shown = spread_over_time(kept, max(1, min(MOST_SAMPLES, MOST_PICTURES // pictures)))
    lead = (
        f"{len(shown)} of {count(len(kept))} kept samples, spread over dates and places. "
        "Pictures show stored pixels, without smoothing; gaps are layer time minus anchor time."
    )
    largest = max(layer.size_px for layer in store.schema.layers)
    if largest > LARGEST_PX:
        lead += f" Patches above {LARGEST_PX} px show every n-th pixel."
    nothing = element("p", "No sample was kept.")
    body = contact_sheet(store, shown) if len(shown) else nothing
    return Section("samples", "Samples", body, lead)


def _counts(store: PatchStore, index: gpd.GeoDataFrame, kept: pd.DataFrame) -> list[Section]:
    layers = [layer.name for layer in store.schema.layers]
    timed = [layer.name for layer in store.schema.layers if not is_timeless(layer)]
    nothing = element("p", "There is no row in the index.")
    map_lead = (
        "Cells by split, from the index; a hollow cell has no kept sample. Longitude and "
        "latitude, true to scale at the middle of the map."
    )
    gap_lead = "When the chosen scenes of the kept samples were acquired."
    train = int((kept["split"] == "train").sum())
    measured = (
        f"From the statistics of snapshot {store.snapshot.number}: usable pixels of the "
        f"{count(train)} train {plural(train, 'sample')} only, never of val or test."
    )
    return [
        Section("map", "Map", footprint_maps(index) if len(index) else nothing, map_lead),
        Section("splits", "Splits", _splits(store, index), "Kept samples per split."),
        Section("rejects", "Rejects", rejects(index), "Every candidate is in the index."),
        Section("times", "Times", time_gaps(kept, layers, timed), gap_lead),
        Section(
            "validity",
            "Valid fractions",
            valid_fractions(kept, layers),
            "Kept samples: the usable share of each patch, by the layer's quality band.",
        ),
        Section("histograms", "Histograms", histograms(store.statistics, layers), measured),
        Section(
            "statistics",
            "Statistics",
            statistics_table(store.statistics, layers),
            f"{measured} Physical units.",
        ),
    ]


def _splits(store: PatchStore, index: gpd.GeoDataFrame) -> Html:
    audit = store.snapshot.meta.get("split_audit")
    return join(split_sizes(index), split_audit(audit) if audit else join())


def _sources(store: PatchStore, kept: pd.DataFrame) -> list[Section]:
    layers = [layer.name for layer in store.schema.layers]
    made = join(
        _sub("Layers"),
        layer_table(store.schema),
        _sub("Scenes of the kept samples"),
        scenes_used(kept, layers),
        _sub("Resampling"),
        resampling_used(kept, layers),
        _sub("Recipe"),
        recipe(str(store.snapshot.meta.get("recipe_text", "")), _details(store)),
    )
    return [
        Section("provenance", "Provenance", made, "What this snapshot was made from."),
        Section("terms", "License and attribution", terms(store.schema), terms_lead(store)),
    ]


def _sub(title: str) -> Html:
    return element("h3", title, class_="sub")


def _details(store: PatchStore) -> list[tuple[str, object]]:
    """Facts that name the build; whatever else the builder recorded is listed too."""
    snapshot = store.snapshot
    meta = {k: v for k, v in snapshot.meta.items() if k != "recipe_text" and _is_short(v)}
    parent = "none, this is the first" if snapshot.parent is None else snapshot.parent
    built: list[tuple[str, object]] = [
        ("snapshot", snapshot.number),
        ("parent snapshot", parent),
        ("claim", snapshot.claim),
        ("index", f"{snapshot.index.path}, SHA-256 {snapshot.index.sha256}"),
        ("codec", store.schema.codec),
    ]
    return built + [(key.replace("_", " "), _said(value)) for key, value in meta.items()]


def _is_short(value: object) -> bool:
    """Whether a fact fits on a line; lists and trees are for programs."""
    inner = value.values() if isinstance(value, Mapping) else [value]
    return not any(isinstance(v, Mapping | list | tuple) for v in inner)


def _said(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {v}" for k, v in sorted(value.items()))
    return str(value)
