"""Work out what a recipe file means: defaults, paths, and checks across its sections."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from catalog.area import Region, box_regions, geojson_regions, mgrs_regions, point_regions
from catalog.cell_classes import CellClasses, read_cell_classes
from catalog.errors import nearest_choice
from catalog.grid import PatchGrid
from catalog.match import Months, When
from catalog.products import find_product
from catalog.split import SPLITS
from pipeline.cube_recipe import refuse_unmatched
from pipeline.recipe_door import Door
from pipeline.recipe_file import (
    AreaSection,
    CalendarSection,
    GridSection,
    LayerSection,
    MonthsSection,
    SplitSection,
)
from pipeline.recipe_sources import NOWHERE, SourceBook
from pipeline.recipe_terms import Calendar, Layer, Period, SplitRule

_DEFAULT_BLOCK_CELLS = 10


@dataclass(frozen=True, slots=True)
class Context:
    """What layers take from the rest of the recipe."""

    sources: SourceBook
    grid: PatchGrid


def resolve_grid(section: GridSection) -> PatchGrid:
    """Return the patch grid."""
    return PatchGrid(
        gsd_m=section.gsd_m,
        size_px=section.size_px,
        stride_px=section.stride_px or section.size_px,
        origin_m=section.origin_m,
    )


def resolve_regions(section: AreaSection, folder: Path, door: Door) -> list[Region]:
    """Return the regions of the area; files are looked for in `folder`."""
    ways: dict[str, Callable[[Any], list[Region]]] = {
        "bbox": box_regions,
        "geojson": lambda name: geojson_regions(folder / name),
        "mgrs": mgrs_regions,
        "points": point_regions,
    }
    given = [key for key in ways if getattr(section, key) is not None]
    if len(given) != 1:
        door.refuse(
            "area",
            f"expected exactly one of {', '.join(ways)}; got {' and '.join(given) or 'none'}",
        )
        return []
    value = getattr(section, given[0])
    return door.admit(f"area.{given[0]}", lambda: ways[given[0]](value), [])


def resolve_layer(name: str, section: LayerSection, recipe: Context, door: Door) -> Layer:
    """Return one layer with its pixel size, source and rule worked out."""
    key = f"layers.{name}"
    when: When = find_product(section.product).when
    if isinstance(section.when, MonthsSection):
        when = Months(*section.when.months)
        if when.first > when.last:
            door.refuse(
                f"{key}.when.months",
                f"the span runs from {when.first} back to {when.last}; it must lie in one year",
            )
    elif section.when is not None:
        when = section.when
    if "pick" in section.model_fields_set and not isinstance(when, Months):
        door.refuse(
            f"{key}.pick",
            "it chooses in a span of months; add when = { months = [6, 8] }, or leave pick out",
        )
    door.admit(
        f"{key}.product", lambda: refuse_unmatched(find_product(section.product), when), None
    )
    return Layer(
        name=name,
        product=section.product,
        bands=section.bands,
        gsd_m=door.admit(f"{key}.gsd_m", lambda: _gsd(section, recipe.grid), recipe.grid.gsd_m),
        source=door.admit(
            f"{key}.source" if section.source else "source",
            lambda: recipe.sources.find(section.source, find_product(section.product)),
            NOWHERE,
        ),
        collection=section.collection,
        when=when,
        pick=section.pick,
        required=section.required,
        max_cloud=section.max_cloud,
        min_valid=section.min_valid,
    )


def _gsd(section: LayerSection, grid: PatchGrid) -> float:
    product = find_product(section.product)
    finest = min(product.band(key).gsd_m for key in section.bands)
    # Fields of the atmosphere are coarser than any cell: one pixel of the whole cell.
    gsd_m = section.gsd_m or min(max(float(finest), grid.gsd_m), grid.extent_m)
    grid.size_at(gsd_m)
    return gsd_m


def resolve_anchor(
    value: str | CalendarSection, layers: Mapping[str, Layer], period: Period, door: Door
) -> str | Calendar:
    """Return the layer or the calendar that makes samples."""
    if isinstance(value, CalendarSection):
        return _calendar(value, period, door)
    if value not in layers:
        door.refuse("anchor", f"{value!r} is no layer; {nearest_choice(value, layers)}")
    elif layers[value].when != "window":
        door.refuse(
            "anchor",
            f"layer {value!r} has no dates of its own (when = {layers[value].when!r}); "
            'anchor a layer that has, or a calendar like { every = "year" }',
        )
    elif not layers[value].required:
        door.refuse(
            f"layers.{value}.required", "the anchor cannot be optional; leave the key out"
        )
    return value


def _calendar(section: CalendarSection, period: Period, door: Door) -> Calendar:
    if (section.every is None) == (section.dates is None):
        door.refuse(
            "anchor", 'expected one of { every = "year" } and { dates = ["2021-06-15"] }'
        )
    dates = section.dates or ()
    last = date.max if isinstance(period.end, str) else period.end
    outside = [str(day) for day in dates if not period.start <= day <= last]
    if outside:
        door.refuse(
            "anchor.dates",
            f"{', '.join(outside[:5])} outside the period {period.start} to {period.end}; "
            "widen the period or leave the dates out",
        )
    return Calendar(section.every, dates)


def resolve_split(
    section: SplitSection, regions: Sequence[Region], grid: PatchGrid, folder: Path, door: Door
) -> SplitRule:
    """Return how cells are dealt; a file is looked for in `folder`."""
    default_m = 0.0 if section.by == "file" else _DEFAULT_BLOCK_CELLS * grid.stride_m
    block_m = section.block_m or default_m
    for key, way in (("regions", "region"), ("file", "file")):
        if getattr(section, key) is not None and section.by != way:
            door.refuse(f"split.{key}", f'it needs by = "{way}"; write that or leave it out')
    for key, ways in _SPLIT_KEYS.items():
        if key in section.model_fields_set and section.by not in ways:
            listed = " or ".join(f'by = "{way}"' for way in ways)
            door.refuse(f"split.{key}", f"it goes with {listed}; leave it out")
    if section.by in ("block", "mgrs"):
        _check_shares(section, block_m, grid, door)
    if section.by == "region":
        _check_region_split(section, regions, door)
    return SplitRule(
        by=section.by,
        block_m=block_m,
        buffer_m=section.buffer_m,
        shares=dict(section.shares),
        seed=section.seed,
        regions=dict(section.regions or {}),
        within=section.within,
        listed=_listed_splits(section, folder, door),
    )


_SPLIT_KEYS: Mapping[str, tuple[str, ...]] = {
    "shares": ("block", "mgrs"),
    "block_m": ("block", "file"),
    "seed": ("block", "mgrs"),
    "within": ("block",),
}
"""Key -> the ways of splitting that it goes with."""


def _listed_splits(section: SplitSection, folder: Path, door: Door) -> CellClasses | None:
    if section.by != "file":
        return None
    if section.file is None:
        door.refuse("split.file", 'missing; by = "file" needs the name of a file')
        return None
    path = folder / section.file
    nothing = CellClasses({}, ())
    listed = door.admit("split.file", lambda: read_cell_classes(path, "split"), nothing)
    for word in listed.words:
        if word not in (*SPLITS, "buffer"):
            door.refuse("split.file", f"{word!r} is no split; {nearest_choice(word, SPLITS)}")
    return listed


def _check_shares(section: SplitSection, block_m: float, grid: PatchGrid, door: Door) -> None:
    total = sum(section.shares.values())
    if abs(total - 1) > 1e-6:
        door.refuse("split.shares", f"they add up to {total:g}; make it 1")
    if section.by == "block" and block_m < grid.extent_m:
        door.refuse(
            "split.block_m",
            f"a block of {block_m:g} m cannot hold a cell of {grid.extent_m:g} m; write at "
            f"least {grid.extent_m:g}, better {_DEFAULT_BLOCK_CELLS * grid.stride_m:g}",
        )


def _check_region_split(section: SplitSection, regions: Sequence[Region], door: Door) -> None:
    names = [region.name for region in regions]
    given = section.regions or {}
    for name in given:
        if names and name not in names:
            door.refuse(
                f"split.regions.{name}", f"no such region; {nearest_choice(name, names)}"
            )
    lacking = [name for name in names if name not in given]
    if lacking:
        door.refuse("split.regions", f"no split for {', '.join(map(repr, lacking[:5]))}")
