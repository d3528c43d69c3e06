"""Plan cubes: which files hold which steps of time on which grid. No field is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from catalog.errors import QueryError, RecipeError
from catalog.products import find_product
from catalog.providers.listing import open_source
from catalog.providers.query import Bounds, Retries, SceneQuery, SearchResult
from catalog.scene import Scene
from pipeline.cube_recipe import Cube, CubeRecipe
from stores.cube_schema import CubeSpec, CubeVariable


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldGrid:
    """The points and times at which a product is given, the world over."""

    lat_deg: float
    """Step of latitude; points start at -90."""
    lon_deg: float
    """Step of longitude; points start at -180."""
    step: timedelta
    offset: timedelta
    """Time of a day's first step, after midnight UTC."""

    def points(self, bbox: Bounds) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return latitudes and longitudes of the points inside of a box, ascending."""
        west, south, east, north = bbox
        return (
            _inside(south, north, -90.0, self.lat_deg, 90.0),
            _inside(west, east, -180.0, self.lon_deg, 180.0 - self.lon_deg),
        )


_MERRA2 = FieldGrid(
    lat_deg=0.5, lon_deg=0.625, step=timedelta(hours=1), offset=timedelta(minutes=30)
)
GRIDS: Mapping[str, FieldGrid] = MappingProxyType(
    {
        "merra2-aerosol": _MERRA2,
        "merra2-single-level": _MERRA2,
        "g5nr-aerosol": FieldGrid(
            lat_deg=0.0625, lon_deg=0.0625, step=timedelta(minutes=30), offset=timedelta(0)
        ),
    }
)
"""Product -> its grid (GMAO Office Notes 9 and 6)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CubeJob:
    """One cube: what it will hold, and the scene of each step."""

    cube: Cube
    spec: CubeSpec
    scenes: tuple[Scene | None, ...]
    """By step; None where no file is listed. The last one is listed."""
    refused: tuple[str, ...]
    """Why listed files are not used."""
    requests: int
    """That listing took."""

    @property
    def steps(self) -> int:
        """Length of the time axis."""
        return len(self.scenes)

    @property
    def expected_bytes(self) -> int:
        """Size of the cube, uncompressed."""
        return self.steps * self.spec.step_bytes()

    def facts(self) -> dict[str, Any]:
        """Return what the job says, JSON-ready."""
        rows, columns = self.spec.shape
        files = {
            asset.href for scene in self.scenes if scene for asset in scene.assets.values()
        }
        return {
            "product": self.cube.product,
            "source": self.cube.source.name,
            "variables": list(self.spec.keys),
            "first": self.spec.start.isoformat(),
            "last": self.spec.time_of(self.steps - 1).isoformat(),
            "step_s": self.spec.step.total_seconds(),
            "steps": self.steps,
            "not_listed": sum(scene is None for scene in self.scenes),
            "files": len(files),
            "rows": rows,
            "columns": columns,
            "bytes": self.expected_bytes,
            "refused_files": list(self.refused),
            "search_requests": self.requests,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CubePlan:
    """All that a build of cubes needs to know."""

    name: str
    jobs: tuple[CubeJob, ...]

    @property
    def expected_bytes(self) -> int:
        """Size of all cubes, uncompressed."""
        return sum(job.expected_bytes for job in self.jobs)

    def facts(self) -> dict[str, Any]:
        """Return what the plan says, JSON-ready."""
        return {
            "name": self.name,
            "cubes": {job.cube.name: job.facts() for job in self.jobs},
            "expected_bytes": self.expected_bytes,
        }

    def describe(self) -> RenderableType:
        """Return the plan as a table for a terminal."""
        table = Table(box=None, pad_edge=False, header_style="dim")
        for column in ("cube", "source"):
            table.add_column(column, overflow="fold")
        for column in ("from", "to"):
            table.add_column(column, no_wrap=True)
        for column in ("steps", "missing", "files", "grid", "MB"):
            table.add_column(column, justify="right", no_wrap=True)
        refused = []
        for job in self.jobs:
            facts = job.facts()
            table.add_row(
                job.cube.name,
                job.cube.source.name,
                f"{job.spec.start:%Y-%m-%d}",
                f"{job.spec.time_of(job.steps - 1):%Y-%m-%d}",
                f"{job.steps:,}",
                f"{facts['not_listed']:,}",
                f"{facts['files']:,}",
                f"{facts['rows']} x {facts['columns']}",
                f"{job.expected_bytes / 1e6:,.1f}",
            )
            refused += [f"refused for {job.cube.name}: {why}" for why in job.refused[:3]]
        notes = [Text(line, style="yellow") for line in refused]
        return Group(Text(f"plan of {self.name}", style="bold"), table, *notes)


def plan_cubes(
    recipe: CubeRecipe, now: datetime, *, retries: Retries | None = None
) -> CubePlan:
    """Return what a recipe of cubes will read and store.

    Args:
        recipe: What is asked for.
        now: Ends a period that runs to `'now'`; aware.
        retries: How patiently archives are asked.

    Raises:
        RecipeError: If the area has no grid point of a product.
        QueryError: If an archive fails, or lists no file at all for a cube.
    """
    jobs = tuple(_job(cube, recipe.bbox, now, retries) for cube in recipe.cubes)
    return CubePlan(name=recipe.name, jobs=jobs)


def _job(cube: Cube, bbox: Bounds, now: datetime, retries: Retries | None) -> CubeJob:
    start, end = cube.period.span(now)
    spec = cube_spec(cube, bbox, start + GRIDS[cube.product].offset)
    query = SceneQuery(
        product=find_product(cube.product),
        source=cube.source,
        bands=cube.bands,
        boxes=(bbox,),
        start=start,
        end=end,
        collection=cube.collection,
    )
    with open_source(cube.source, retries=retries) as search:
        found = search(query)
    return CubeJob(
        cube=cube,
        spec=spec,
        scenes=_by_step(found, spec, cube),
        refused=found.refused,
        requests=found.requests,
    )


def cube_spec(cube: Cube, bbox: Bounds, start: datetime) -> CubeSpec:
    """Return what a cube will hold.

    Raises:
        RecipeError: If the box has no grid point of the product.
    """
    product, grid = find_product(cube.product), GRIDS[cube.product]
    latitudes, longitudes = grid.points(bbox)
    if not latitudes or not longitudes:
        raise RecipeError(
            f"area.bbox: {list(bbox)} holds no point of {product.key}, which has one each "
            f"{grid.lat_deg:g} degrees of latitude and {grid.lon_deg:g} of longitude; write a "
            f"larger box"
        )
    names = product.archive(cube.source.dialect).assets
    return CubeSpec(
        name=cube.name,
        product=product.key,
        variables=tuple(
            CubeVariable(
                key=key,
                long_name=f"{key.replace('_', ' ')} ({names[key]})",
                unit=product.band(key).unit,
            )
            for key in cube.bands
        ),
        latitudes=latitudes,
        longitudes=longitudes,
        start=start,
        step=grid.step,
        license=product.license,
        attribution=product.attribution,
        citation=product.citation,
    )


def _by_step(found: SearchResult, spec: CubeSpec, cube: Cube) -> tuple[Scene | None, ...]:
    """The scene of each step up to the last that is listed: later ones may still come."""
    scenes = {
        round((scene.time - spec.start) / spec.step): scene
        for scene in found.scenes
        if (scene.time - spec.start) % spec.step == timedelta(0) and scene.time >= spec.start
    }
    if not scenes:
        reason = f": {found.refused[0]}" if found.refused else ""
        raise QueryError(
            f"{cube.source.name!r} lists no file of {cube.product!r} for the cube "
            f"{cube.name!r}, {cube.period.start} to {cube.period.end}{reason}; check the period"
        )
    return tuple(scenes.get(step) for step in range(max(scenes) + 1))


def _inside(
    low: float, high: float, first: float, step: float, last: float
) -> tuple[float, ...]:
    start = max(int(np.ceil((low - first) / step - 1e-9)), 0)
    stop = int(np.floor((min(high, last) - first) / step + 1e-9))
    return tuple(first + step * number for number in range(start, stop + 1))
