"""Sections that say where a store comes from: recipe, scenes, versions, terms of use."""

from collections.abc import Mapping, Sequence

import pandas as pd

from stores.patch_store import PatchStore
from stores.report.markup import Html, element, join
from stores.report.page import Column, count, facts, plural, table
from stores.schema import LayerSchema, StoreSchema

MOST_OPEN = 12
"""Lists of up to this many scenes are unfolded."""
MOST_SCENES = 60
"""Scenes listed per layer; the count above the list is of all of them."""


def layer_table(schema: StoreSchema) -> Html:
    """Return what each layer is: product, bands, grid and encoding."""
    columns = [Column("layer"), Column("product", "id"), Column("bands")]
    columns += [Column("pixel", "n"), Column("patch", "n"), Column("stored as")]
    rows = [
        (
            layer.name,
            layer.product,
            ", ".join(layer.band_keys),
            f"{layer.gsd_m:g} m",
            f"{layer.size_px} × {layer.size_px} px",
            _encoding(layer),
        )
        for layer in schema.layers
    ]
    return table(columns, rows)


def _encoding(layer: LayerSchema) -> str:
    if layer.dtype == "float32":
        return "float32, NaN is no data"
    if layer.scale == 1 and layer.offset == 0:
        return f"{layer.dtype}, 0 is no data"
    sign = "+" if layer.offset >= 0 else "−"
    formula = f"raw × {layer.scale:g} {sign} {abs(layer.offset):g}"
    return f"{layer.dtype}, {formula}, 0 is no data"


def scenes_used(kept: pd.DataFrame, layers: Sequence[str]) -> Html:
    """Return the scenes behind the kept samples: how many per layer, and which."""
    return join(*(_scenes_of(kept, layer) for layer in layers))


def _scenes_of(kept: pd.DataFrame, layer: str) -> Html:
    ids = kept[f"{layer}_scenes"].str.split(";").explode()
    uses = ids[ids.notna() & (ids != "")].value_counts(sort=False)
    ordered = sorted(uses.items(), key=lambda pair: (-pair[1], str(pair[0])))
    shown = ordered[:MOST_SCENES]
    title = f"{layer}: {count(len(ordered))} {plural(len(ordered), 'scene')}"
    if not ordered:
        return element("p", title)
    if len(shown) < len(ordered):
        title += f", the {len(shown)} most used of them listed"
    rows = [(str(scene), count(n)) for scene, n in shown]
    columns = [Column("scene", "id"), Column("samples", "n")]
    listed = table(columns, rows)
    opened = "" if len(ordered) <= MOST_OPEN else None
    return element("details", element("summary", title), listed, open=opened)


def resampling_used(kept: pd.DataFrame, layers: Sequence[str]) -> Html:
    """Return how the pixels of each layer came onto its grid, in samples."""
    rows = []
    for layer in layers:
        there = kept[kept[f"{layer}_present"].astype(bool)]
        methods = there[f"{layer}_resampling"].value_counts()
        said = ", ".join(f"{m}: {count(n)}" for m, n in methods.items())
        rows.append((layer, count(len(there)), said or "–"))
    columns = [Column("layer"), Column("patches", "n"), Column("resampling: patches")]
    return table(columns, rows)


def recipe(text: str, details: Sequence[tuple[str, object]]) -> Html:
    """Return the recipe as written, under the facts that name it."""
    shown = element("pre", text) if text else element("p", "The snapshot holds no recipe text.")
    return join(facts(details), shown)


def note_of(store: PatchStore) -> str:
    """Return what a reader must know of the data, as the recipe says; `''` if nothing."""
    return str(store.snapshot.meta.get("note", ""))


def terms_lead(store: PatchStore) -> str:
    """Return what stands above the terms: whose they are, if the data are not plain scenes."""
    note = note_of(store)
    return f"{note} The terms are those of the products that the layers name." if note else ""


def terms(schema: StoreSchema) -> Html:
    """Return license, attribution and source per product."""
    products: Mapping[str, LayerSchema] = {layer.product: layer for layer in schema.layers}
    columns = [Column(t) for t in ("product", "license", "attribution", "described by")]
    columns[0] = Column("product", "id")
    rows = [
        (product, layer.license, layer.attribution, layer.citation)
        for product, layer in products.items()
    ]
    return table(columns, rows)
