"""Work out what the `[sampling]` section of a recipe means."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import shapely
from shapely.geometry.base import BaseGeometry

from catalog.area import Region, geojson_regions
from catalog.cell_classes import CellClasses, read_cell_classes
from catalog.errors import nearest_choice
from pipeline.recipe_door import Door
from pipeline.recipe_file import SamplingSection
from pipeline.sampling import SamplingRule, jitter_regions


def move_points(
    section: SamplingSection, regions: Sequence[Region], door: Door
) -> list[Region]:
    """Return the regions of the area, points moved if the recipe asks for it."""
    radius_m = section.jitter_m
    if radius_m is None:
        return list(regions)
    return door.admit(
        "sampling.jitter_m",
        lambda: jitter_regions(regions, radius_m=radius_m, seed=section.seed),
        list(regions),
    )


def resolve_sampling(
    section: SamplingSection, regions: Sequence[Region], folder: Path, door: Door
) -> SamplingRule:
    """Return which cells and dates are taken; files are looked for in `folder`."""
    if section.per_region is not None and (section.counts or section.region_counts):
        door.refuse(
            "sampling.per_region",
            "it draws before the split and counts after it; give one of them",
        )
    names = [region.name for region in regions]
    if isinstance(section.per_region, dict):
        _check_names("sampling.per_region", section.per_region, names, door)
        lacking = [repr(name) for name in names if name not in section.per_region]
        if lacking:
            door.refuse("sampling.per_region", f"no count for {', '.join(lacking[:5])}")
    _check_names("sampling.region_counts", section.region_counts or {}, names, door)
    if "dates_per" in section.model_fields_set and section.max_dates is None:
        door.refuse("sampling.dates_per", "it goes with max_dates; leave it out")
    return SamplingRule(
        per_region=section.per_region,
        counts=dict(section.counts or {}),
        region_counts={k: dict(v) for k, v in (section.region_counts or {}).items()},
        classes=_classes(section, folder, door),
        deal=section.deal,
        land=_land(section, folder, door),
        max_latitude=section.max_latitude,
        max_dates=section.max_dates,
        dates_per=section.dates_per,
        seed=section.seed,
    )


def _classes(section: SamplingSection, folder: Path, door: Door) -> CellClasses | None:
    if section.by is None or section.classes is None:
        if section.by is not None or section.classes is not None:
            door.refuse("sampling.classes", "a file goes with by, the name of its column")
        elif "deal" in section.model_fields_set:
            door.refuse("sampling.deal", "it goes with classes; leave it out")
        return None
    if not (section.per_region or section.counts or section.region_counts):
        door.refuse("sampling.classes", "it goes with per_region or counts; add one of them")
    path, column = folder / section.classes, section.by
    return door.admit("sampling.classes", lambda: read_cell_classes(path, column), None)


def _land(section: SamplingSection, folder: Path, door: Door) -> BaseGeometry | None:
    if section.land is None:
        return None
    path = folder / section.land
    none: list[Region] = []
    drawn = door.admit("sampling.land", lambda: geojson_regions(path), none)
    if any(one.geometry.geom_type not in ("Polygon", "MultiPolygon") for one in drawn):
        door.refuse("sampling.land", f"{path} must hold polygons only")
        return None
    return shapely.union_all([one.geometry for one in drawn])


def _check_names(key: str, given: Iterable[str], names: Sequence[str], door: Door) -> None:
    for name in given:
        if names and name not in names:
            door.refuse(f"{key}.{name}", f"no such region; {nearest_choice(name, names)}")
