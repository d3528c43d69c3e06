"""The recipe file: every section and key, its type, its default and its meaning.

These models hold what the file says; `pipeline.recipe` works out what it means.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
)

from catalog.product import Access
from catalog.products import PRODUCTS, find_product
from catalog.providers.source import MAX_ITEMS
from pipeline.recipe_values import (
    Box,
    Count,
    Days,
    LayerName,
    Months,
    NotNegative,
    Number,
    Pair,
    Pixels,
    Points,
    Positive,
    Says,
    Share,
    Span,
    SplitName,
    Text,
    Truth,
    Whole,
    check_bands,
    shape_of,
)


class Section(BaseModel):
    """A part of a recipe: unknown keys are refused, nothing changes after parsing."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )


class AreaSection(Section):
    """Where: exactly one of the keys below."""

    bbox: Box | None = None
    """A box, degrees of longitude and latitude."""
    geojson: Annotated[Text, Says("a file name, relative to the recipe")] | None = None
    """Polygons or points in longitude and latitude. A feature's property `name` (else `id`,
    else its position in the file) names its region."""
    mgrs: (
        Annotated[tuple[Text, ...], Field(min_length=1), Says('a list of tiles like ["31UDS"]')]
        | None
    ) = None
    """100 km squares of the Military Grid Reference System; each is a region."""
    points: Points | None = None
    """Points, degrees; each selects the one cell that holds it. Points of one name form a
    region."""


class GridSection(Section):
    """The patch grid: equal squares in every UTM zone."""

    crs: Literal["utm"] = "utm"
    """Projection of the cells: the UTM zone of each cell's center."""
    gsd_m: Positive
    """Pixel size of the grid, metres."""
    size_px: Pixels
    """Rows and columns of a patch at `gsd_m`. At each layer's own pixel size the patch must be
    whole too."""
    stride_px: Pixels | None = None
    """Pixels from one cell to the next. Default: `size_px`, so that cells tile; less makes
    them overlap."""
    origin_m: Pair = (0.0, 0.0)
    """A corner of the grid, metres in UTM. Set it to a corner of a sensor's own grid to take
    its pixels without resampling."""


class CalendarSection(Section):
    """Dates that anchor samples instead of a layer: exactly one of the keys."""

    every: Literal["year", "month"] | None = None
    """One sample per cell for every year or month that the period touches."""
    dates: Days | None = None
    """One sample per cell for each of these days."""


class MonthsSection(Section):
    """A span of months of the anchor's year."""

    months: Months
    """First and last month of the span, both included."""


class LayerSection(Section):
    """One layer of the store: some bands of one product. The name is yours: lower case."""

    product: Text
    """Key of the data product."""
    bands: Annotated[
        tuple[Text, ...], Field(min_length=1), Says('a list of bands like ["red", "nir"]')
    ]
    """Bands in storage order. They must be stored alike: reflectance and temperature are two
    layers."""
    gsd_m: Positive | None = None
    """Pixel size of the layer, metres. Default: the finest of its bands, but not finer than the
    grid, nor coarser than a cell."""
    source: Text | None = None
    """Where its scenes are listed, like the top level `source`, which is the default."""
    collection: Text | None = None
    """Name of the collection there, if it differs from the one in the product table."""
    when: (
        Annotated[
            Annotated[Literal["window", "hour", "static", "year"], Tag("word")]
            | Annotated[MonthsSection, Tag("table")],
            Discriminator(shape_of),
            Says('"window", "hour", "static", "year" or { months = [6, 8] }'),
        ]
        | None
    ) = None
    """Which scenes may fill it: within `window_days` of the anchor, within half an hour, any,
    those of the anchor's year, or those of a span of months. Default: by product (terrain and
    labels are static, hourly fields match the hour)."""
    pick: Literal["nearest", "clearest"] = "nearest"
    """With a span of months: prefer the scene nearest in time to the anchor, or the
    clearest."""
    required: Truth = True
    """Whether a sample without this layer is rejected. False keeps it, with an empty patch."""
    max_cloud: Share = 1.0
    """Scenes whose item states a higher cloud fraction are no candidates."""
    min_valid: Share = 0.95
    """Least fraction of usable pixels in a patch; below it the next candidate is tried."""
    dilate_m: NotNegative = 0.0
    """Pixels nearer than this to masked cloud or shadow are not usable either, metres."""
    snow: Literal["usable", "unusable"] = "usable"
    """Whether snow and ice are usable; products whose quality band tells them."""
    noise_floor_db: Number | None = None
    """Backscatter at or below this is the noise of a swath's border and not usable, decibels;
    -35 keeps calm water. Only products of backscatter."""

    @field_validator("product")
    @classmethod
    def _known_product(cls, value: str) -> str:
        return find_product(value).key

    @field_validator("bands")
    @classmethod
    def _known_bands(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if "product" in info.data:
            check_bands(find_product(info.data["product"]), value)
        return value


class SourceSection(Section):
    """An archive under a name of your own, or a known archive at another address."""

    url: Text | None = None
    """Address of its API. Needed unless the section's name is a known archive."""
    like: Text | None = None
    """The known archive that it speaks like: names of collections and assets, and how files
    are opened. Default: the section's name, or any STAC API."""
    access: Access | None = None
    """How its files are opened: `"open"`, `"planetary-computer"` (signed URLs), `"earthdata"`
    (bearer token), `"requester-pays"`. Default: as the archive it is like."""
    project: Text | None = None
    """Cloud project that Earth Engine requests are charged to. Default: the environment's
    `GOOGLE_CLOUD_PROJECT`."""
    max_items: Pixels = MAX_ITEMS
    """Items of one search above which planning stops and says so."""


class SplitSection(Section):
    """How cells are dealt to train, val and test, so that neighbors stay together."""

    by: Literal["block", "region", "mgrs", "file"] = "block"
    """Deal square blocks of cells at random, assign whole regions by name, deal whole 100 km
    squares of the MGRS at random, or take what a file says."""
    block_m: Positive | None = None
    """Side of a block, metres. With `by = "file"`, if given: no scene may serve two splits in
    one block. Default: ten cells."""
    within: Literal["area", "region"] = "area"
    """Deal all blocks together, or those of each region by themselves, so that every region has
    every split. Only with `by = "block"`."""
    file: Annotated[Text, Says("a file name, relative to the recipe")] | None = None
    """CSV or Parquet with the columns `cell_id` and `split`, or GeoJSON or GeoParquet with
    polygons that have a property `split`. Cells that it does not name are left out. Only, and
    needed, with `by = "file"`."""
    buffer_m: Annotated[
        float, Field(strict=True, ge=0, le=50_000), Says("a number from 0 to 50000")
    ] = 0.0
    """Cells nearer than this to a block, or to a cell, of another split are left out, metres;
    cells that reach into it always are."""
    shares: Annotated[
        Mapping[SplitName, Share], Says("a table like { train = 0.7, val = 0.15, test = 0.15 }")
    ] = {"train": 0.7, "val": 0.15, "test": 0.15}
    """Share for each split, together 1: of the cells with `by = "block"`, of the squares with
    `by = "mgrs"`."""
    seed: Whole = 0
    """Another seed deals the blocks or squares in another way."""
    regions: (
        Annotated[Mapping[str, SplitName], Says('a table like { north = "train" }')] | None
    ) = None
    """Split of every region by its name. Only, and needed, with `by = "region"`."""


class HarmonizeSection(Section):
    """Make reflectance comparable: each step once, and never one that a producer has taken."""

    like: Literal["oli", "msi"] | None = None
    """Adjust bands to those of Landsat's OLI or of Sentinel-2's MSI."""
    nadir_sun_zenith_deg: (
        Annotated[float, Field(strict=True, ge=0, le=80), Says("a number from 0 to 80")] | None
    ) = None
    """Normalize surface reflectance to a view from straight above under a sun at this zenith,
    degrees. A scene whose item does not state its angles stays as it is, and the index says
    so."""


class CoregisterSection(Section):
    """Measure how far companions lie off their anchor, and correct that as they are placed."""

    layers: (
        Annotated[
            tuple[Text, ...], Field(min_length=1), Says('a list of layers like ["sentinel2"]')
        ]
        | None
    ) = None
    """Which layers move. Default: every layer of reflectance within the window, but the
    anchor."""
    max_shift_m: Positive = 30.0
    """Larger displacements along an axis are not believed, metres."""
    min_confidence: Share = 0.3
    """Least confidence of a shift that is used."""
    required: Truth = False
    """Whether a scene whose shift is refused gives way to the next candidate. Otherwise it is
    taken unmoved, and the index says why."""


class HazeSection(Section):
    """Compare companions with their anchor in the visible: haze that both masks miss shows."""

    action: Literal["flag", "reject"] = "flag"
    """Keep a hazy pair and say so in the index, or try the next candidate."""


class SamplingSection(Section):
    """Which cells and dates are taken, where not all are wanted. No pixel is read for it."""

    per_region: (
        Annotated[
            Annotated[Pixels, Tag("word")] | Annotated[Mapping[str, Count], Tag("table")],
            Discriminator(shape_of),
            Says("a whole number, or a table like { north = 40 }"),
        ]
        | None
    ) = None
    """Cells to draw from each region, before they are split; a region with fewer gives all."""
    counts: (
        Annotated[
            Mapping[SplitName, Count],
            Says("a table like { train = 400, val = 50, test = 50 }"),
        ]
        | None
    ) = None
    """Cells to draw of each split from each region."""
    region_counts: (
        Annotated[
            Mapping[str, Mapping[SplitName, Count]],
            Says("a table like { north = { train = 40, test = 5 } }"),
        ]
        | None
    ) = None
    """The same for single regions, by name, instead of `counts`."""
    by: Text | None = None
    """Draw evenly from classes: the column or property of the file `classes` that names
    them."""
    classes: Annotated[Text, Says("a file name, relative to the recipe")] | None = None
    """Class of each cell, its land cover or ecoregion: CSV or Parquet with the columns
    `cell_id` and `by`, or GeoJSON or GeoParquet with polygons that have a property `by`."""
    deal: Literal["equal", "proportional"] = "equal"
    """As many cells of each class, or as the classes occur."""
    land: Annotated[Text, Says("a file name, relative to the recipe")] | None = None
    """GeoJSON with polygons: only cells whose center lies in one are taken."""
    max_latitude: (
        Annotated[float, Field(strict=True, gt=0, le=84), Says("a number from 0 to 84")] | None
    ) = None
    """Only cells no further from the equator, degrees, on either side."""
    jitter_m: Positive | None = None
    """Move each point of the area by chance within this radius, metres, before its cell is
    chosen. Only for areas of points."""
    max_dates: Pixels | None = None
    """Anchor dates to keep, spread evenly over the period."""
    dates_per: Literal["cell", "mgrs", "region"] = "cell"
    """What `max_dates` counts for: each cell, 100 km square of the MGRS, or region."""
    seed: Whole = 0
    """Another seed, another draw."""


class LimitsSection(Section):
    """What a run may lose and spend; not part of the recipe's hash."""

    max_failed: Share = 0.05
    """Share of the samples lost to unreadable sources or undone tasks above which a run exits
    with 1."""
    max_bytes: Positive = 1e11
    """Bytes of pixels that a plan may expect to read; above it the build refuses to start."""
    max_requests: Positive = 1e6
    """Requests that a plan may expect to send."""


class RecipeFile(Section):
    """Top level keys; in TOML they stand above the first [section]."""

    name: Text | None = None
    """Name of the store. Default: the file's name without `.toml`."""
    note: Text | None = None
    """What a reader must know of the data; reports show it at the top. Not part of the
    recipe's hash."""
    period: Span
    """Days that the anchors may have, UTC, both included. The last may be `"now"`."""
    anchor: Annotated[
        Annotated[Text, Tag("word")] | Annotated[CalendarSection, Tag("table")],
        Discriminator(shape_of),
        Says('the name of a layer, { every = "year" } or { dates = ["2021-06-15"] }'),
    ]
    """What makes samples: every pass of this layer over a cell, or a calendar."""
    window_days: NotNegative = 7.0
    """Largest gap between a scene and its anchor on either side, days."""
    source: Text | None = None
    """Where scenes are listed: a known archive (`"earth-search"`, `"planetary-computer"`,
    `"lpdaac"`, `"usgs"`, `"earth-engine"`, `"gesdisc"`, `"g5nr"`), the name of a
    `[sources.<name>]` section, the URL of a STAC API, or a folder (relative to the recipe) with
    an `items.json` or with files as their producer delivers them. Layers may have their own."""
    codec: Literal["lz4", "zstd"] = "lz4"
    """Compression of the store: `"lz4"` reads faster, `"zstd"` is smaller."""
    area: AreaSection
    """Where; see below."""
    grid: GridSection
    """How the area is cut into patches; see below."""
    layers: Annotated[
        Mapping[LayerName, LayerSection], Field(min_length=1), Says("[layers.<name>] sections")
    ]
    """What is stored for each cell; see below."""
    sources: Annotated[Mapping[Text, SourceSection], Says("[sources.<name>] sections")] = {}
    """Archives of your own; see below."""
    harmonize: Annotated[HarmonizeSection, Says("section [harmonize]")] | None = None
    """Comparable reflectance; see below."""
    coregister: Annotated[CoregisterSection, Says("section [coregister]")] | None = None
    """Correct what lies off; see below."""
    haze: Annotated[HazeSection, Says("section [haze]")] | None = None
    """Look for haze that masks miss; see below."""
    split: SplitSection = SplitSection()
    """How cells are dealt; see below."""
    sampling: SamplingSection = SamplingSection()
    """Which cells and dates are taken; see below."""
    limits: LimitsSection = LimitsSection()
    """What a run may lose and spend; see below."""


SECTIONS: Mapping[str, type[Section]] = {
    "": RecipeFile,
    "area": AreaSection,
    "grid": GridSection,
    "anchor": CalendarSection,
    "layers.<name>": LayerSection,
    "layers.<name>.when": MonthsSection,
    "sources.<name>": SourceSection,
    "harmonize": HarmonizeSection,
    "coregister": CoregisterSection,
    "haze": HazeSection,
    "split": SplitSection,
    "sampling": SamplingSection,
    "limits": LimitsSection,
}
"""Every table that a recipe may hold, by its dotted place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileKind:
    """One kind of recipe file, as far as messages about it need to know."""

    sections: Mapping[str, type[Section]]
    """Every table that it may hold, by its dotted place."""
    group: str
    """The key whose tables say what is stored."""
    products: tuple[str, ...]
    """Products that it may ask for."""
    foreign: Mapping[str, str]
    """Top level key of another kind of recipe -> what to say of it."""


PATCHES = FileKind(
    sections=SECTIONS,
    group="layers",
    products=tuple(PRODUCTS),
    foreign={
        "cubes": "a recipe has layers or cubes, not both; put [cubes.<name>] into a recipe of "
        "its own"
    },
)
"""Recipes of patches."""
