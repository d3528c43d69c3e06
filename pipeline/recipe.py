"""The recipe: what the user asked for, checked and complete.

A recipe is one TOML file. Its keys are described in `pipeline.recipe_file` and, for readers,
in `docs/recipe.md`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

from catalog.area import Region
from catalog.grid import PatchGrid
from catalog.products import Product, find_product
from catalog.providers.source import Source
from pipeline.recipe_door import Door
from pipeline.recipe_errors import parse_file, read_text, refuse
from pipeline.recipe_file import LimitsSection, RecipeFile
from pipeline.recipe_pixels import resolve_treatments
from pipeline.recipe_resolve import (
    Context,
    resolve_anchor,
    resolve_grid,
    resolve_layer,
    resolve_regions,
    resolve_split,
)
from pipeline.recipe_sampling import move_points, resolve_sampling
from pipeline.recipe_sources import resolve_sources
from pipeline.recipe_terms import Calendar, Layer, Period, SplitRule
from pipeline.sampling import SamplingRule
from stores.schema import BandSchema, Codec, LayerSchema, StoreSchema

__all__ = [
    "Calendar",
    "Layer",
    "Period",
    "Recipe",
    "SplitRule",
    "load_recipe",
    "parse_recipe",
    "store_schema",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What the user asked for; complete, checked and immutable."""

    path: Path
    text: str
    """The file as written."""
    name: str
    note: str
    """What a reader must know of the data; `''` if nothing."""
    period: Period
    anchor: str | Calendar
    """Name of the layer that makes samples, or a calendar."""
    window: timedelta
    """Largest gap between a scene and its anchor, on either side."""
    regions: tuple[Region, ...]
    grid: PatchGrid
    layers: Mapping[str, Layer]
    split: SplitRule
    sampling: SamplingRule
    limits: LimitsSection
    codec: Codec

    def sources(self) -> list[tuple[Source, Product]]:
        """Return which archive each layer asks for which product."""
        return [(one.source, find_product(one.product)) for one in self.layers.values()]

    @property
    def hash(self) -> str:
        """SHA-256 of what is asked for: not of comments, spelling, file names or limits."""
        content = {
            "name": self.name,
            "period": [str(self.period.start), str(self.period.end)],
            "anchor": self.anchor if isinstance(self.anchor, str) else asdict(self.anchor),
            "window_s": self.window.total_seconds(),
            "regions": [[r.name, r.geometry.wkb_hex] for r in self.regions],
            "grid": asdict(self.grid),
            "layers": [_content(layer) for layer in self.layers.values()],
            "split": self.split.identity(),
            "codec": self.codec,
        }
        sampling = self.sampling.identity()
        if sampling:
            content["sampling"] = sampling
        canonical = json.dumps(content, sort_keys=True, default=str)
        return hashlib.sha256(canonical.encode()).hexdigest()


def _content(layer: Layer) -> dict[str, object]:
    """What a layer asks for; a treatment that does nothing is not mentioned."""
    asked = asdict(layer)
    del asked["treatment"]
    treatment = layer.treatment.to_json()
    return asked | ({"treatment": treatment} if treatment else {})


def load_recipe(path: Path | str) -> Recipe:
    """Read and check a recipe file.

    Raises:
        RecipeError: With every problem found, each by its dotted key.
    """
    path = Path(path)
    return parse_recipe(read_text(path), path)


def parse_recipe(text: str, path: Path) -> Recipe:
    """Check the text of a recipe; relative names in it start at the folder of `path`.

    Raises:
        RecipeError: With every problem found, each by its dotted key.
    """
    file = parse_file(text, path, RecipeFile)
    door = Door()
    recipe = _resolve(file, text, path.absolute(), door)
    if door.problems:
        raise refuse(path.name, door.problems)
    return recipe


def _resolve(file: RecipeFile, text: str, path: Path, door: Door) -> Recipe:
    period = Period(file.period[0], file.period[1])
    grid = resolve_grid(file.grid)
    regions = move_points(file.sampling, resolve_regions(file.area, path.parent, door), door)
    context = Context(resolve_sources(file, path.parent, door), grid)
    layers = {
        name: resolve_layer(name, section, context, door)
        for name, section in file.layers.items()
    }
    anchor = resolve_anchor(file.anchor, layers, period, door)
    return Recipe(
        path=path,
        text=text,
        name=file.name or path.stem,
        note=file.note or "",
        period=period,
        anchor=anchor,
        window=timedelta(days=file.window_days),
        regions=tuple(regions),
        grid=grid,
        layers=resolve_treatments(file, layers, anchor, door),
        split=resolve_split(file.split, regions, grid, path.parent, door),
        sampling=resolve_sampling(file.sampling, regions, path.parent, door),
        limits=file.limits,
        codec=file.codec,
    )


def store_schema(recipe: Recipe) -> StoreSchema:
    """Return what the store of a recipe holds."""
    grid = recipe.grid
    return StoreSchema(
        name=recipe.name,
        grid=grid.describe(),
        layers=tuple(
            layer_schema(
                layer.name,
                find_product(layer.product),
                layer.bands,
                layer.gsd_m,
                layer.size_px(grid),
            )
            for layer in recipe.layers.values()
        ),
        codec=recipe.codec,
    )


def layer_schema(
    name: str, product: Product, keys: tuple[str, ...], gsd_m: float, size_px: int
) -> LayerSchema:
    """Return how a store keeps some bands of a product as one layer.

    Args:
        name: Of the layer.
        product: That the bands belong to.
        keys: Band keys, in storage order.
        gsd_m: Pixel size of the layer, metres.
        size_px: Rows and columns of a patch.
    """
    bands = [product.band(key) for key in keys]
    encoding = bands[0].encoding
    return LayerSchema(
        name=name,
        product=product.key,
        bands=tuple(
            BandSchema(key=b.key, kind=b.kind, unit=b.unit, wavelength_nm=b.wavelength_nm)
            for b in bands
        ),
        dtype=encoding.dtype,
        scale=encoding.scale,
        offset=encoding.offset,
        gsd_m=gsd_m,
        size_px=size_px,
        license=product.license,
        attribution=product.attribution,
        citation=product.citation,
    )
