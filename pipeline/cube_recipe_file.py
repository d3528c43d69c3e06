"""The file of a cube recipe: its sections and keys, their types, defaults and meanings.

A cube recipe has `[cubes.<name>]` sections where a recipe of patches has layers; `period`,
`area.bbox`, `source` and `[sources.<name>]` mean the same in both.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from catalog.errors import nearest_choice
from catalog.products import PRODUCTS, find_product
from pipeline.recipe_file import FileKind, Section, SourceSection
from pipeline.recipe_values import (
    Box,
    LayerName,
    Positive,
    Says,
    Span,
    Text,
    check_bands,
)

GRIDDED = tuple(
    sorted(
        key
        for key, product in PRODUCTS.items()
        if "files" in product.archives and product.bands[0].kind == "atmosphere"
    )
)
"""Keys of the products that come as files of gridded fields."""


class CubeAreaSection(Section):
    """Where: the points of each product's own grid inside of a box."""

    bbox: Box
    """A box, degrees of longitude and latitude; not across 180 degrees."""


class CubeSection(Section):
    """One cube of the store: some variables of one product. The name is yours: lower case."""

    product: Text
    """Key of the data product; one of gridded fields."""
    bands: Annotated[
        tuple[Text, ...],
        Field(min_length=1),
        Says('a list of bands like ["dust_aot", "total_aot"]'),
    ]
    """Variables, by their band keys."""
    period: Span | None = None
    """Days of this cube, if they are not those of the recipe: a simulation has dates of its
    own."""
    source: Text | None = None
    """Where its files are listed, like the top level `source`, which is the default."""
    collection: Text | None = None
    """Name of the collection there, if it differs from the one in the product table."""

    @field_validator("product")
    @classmethod
    def _gridded(cls, value: str) -> str:
        if value in PRODUCTS and value not in GRIDDED:
            raise ValueError(
                f"{value!r} comes as images, not as fields over time; a cube takes one of "
                f"{', '.join(GRIDDED)}"
            )
        if value not in GRIDDED:
            raise ValueError(f"unknown product {value!r}; {nearest_choice(value, GRIDDED)}")
        return value

    @field_validator("bands")
    @classmethod
    def _known_bands(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if "product" in info.data:
            check_bands(find_product(info.data["product"]), value)
        return value


class CubeLimitsSection(Section):
    """What a build may spend; not part of the recipe's hash."""

    max_bytes: Positive = 1e11
    """Bytes that the cubes may hold, uncompressed; above it the build refuses to start."""


class CubeRecipeFile(Section):
    """Top level keys; in TOML they stand above the first [section]."""

    name: Text | None = None
    """Name of the store. Default: the file's name without `.toml`."""
    note: Text | None = None
    """What a reader must know of the data. Not part of the recipe's hash."""
    period: Span
    """Days of the cubes, UTC, both included. The last may be `"now"`."""
    source: Text | None = None
    """Where files are listed: a known archive (`"gesdisc"`, `"g5nr"`), the name of a
    `[sources.<name>]` section, or a folder (relative to the recipe) with files as their
    producer delivers them. Cubes may have their own."""
    area: CubeAreaSection
    """Where; see below."""
    cubes: Annotated[
        Mapping[LayerName, CubeSection], Field(min_length=1), Says("[cubes.<name>] sections")
    ]
    """What is stored; see below."""
    sources: Annotated[Mapping[Text, SourceSection], Says("[sources.<name>] sections")] = {}
    """Archives of your own; see below."""
    limits: CubeLimitsSection = CubeLimitsSection()
    """What a build may spend; see below."""


CUBE_SECTIONS: Mapping[str, type[Section]] = {
    "": CubeRecipeFile,
    "area": CubeAreaSection,
    "cubes.<name>": CubeSection,
    "sources.<name>": SourceSection,
    "limits": CubeLimitsSection,
}
"""Every table that a cube recipe may hold, by its dotted place."""
CUBES = FileKind(
    sections=CUBE_SECTIONS,
    group="cubes",
    products=GRIDDED,
    foreign=dict.fromkeys(
        ("anchor", "grid", "layers", "split", "window_days", "codec"),
        "a recipe of cubes has no such key: it is for patches; leave it out",
    ),
)
"""Recipes of cubes."""
