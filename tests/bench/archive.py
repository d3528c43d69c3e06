"""The archive of the build benchmark: random scenes of realistic entropy, rendered once.

A Sentinel-2 tile at 10 m (1,024 px blocks) and a Landsat scene at 30 m (256 px blocks), both as
COGs with deflate and a predictor. Later dates are hard links to the files of the first, with
the bands dealt anew, so that a mistaken band or date shows and rendering stays cheap.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from rasterio.warp import transform_bounds, transform_geom

from catalog.products import find_product
from tests.bench.build_render import SceneGrid, render_band

EPSG, NEIGHBOR_EPSG = 32631, 32632
WEST, NORTH = 499_980, 5_600_040
"""Upper left corner of the tile; a multiple of 60 m, so that both grids share it."""
SHIFT_M = 690
"""From there to the first cell: 69 px of 10 m, 23 px of 30 m, a multiple of no block."""
CELL_M = 1920
FIRST_DAY = datetime(2024, 5, 3, 10, 40, tzinfo=UTC)
EVERY = timedelta(days=5)
BANDS = ("blue", "green", "red", "nir", "swir1", "swir2")
LANDSAT, SENTINEL2 = "landsat-c2-l2", "sentinel-2-l2a"
_PLATFORMS = {LANDSAT: "landsat-8", SENTINEL2: "sentinel-2a"}

Place = tuple[int, int]
"""Column and row of a cell, counted from the tile's upper left."""


@dataclass(frozen=True, slots=True)
class BenchArchive:
    """Where the files lie, and how large the case is."""

    folder: Path
    cells: int
    """Cells along a side of the area; the tile holds twice as many."""
    dates: int

    @property
    def tile_px(self) -> int:
        """Rows and columns of the tile at 10 m: 10,980 at full size."""
        return -(-(2 * self.cells * CELL_M // 10 + SHIFT_M // 10 + 100) // 60) * 60

    @property
    def area(self) -> list[Place]:
        """The cells of the area: a quarter of the tile."""
        return [(col, row) for row in range(self.cells) for col in range(self.cells)]

    @property
    def tile(self) -> list[Place]:
        """The cells of the whole tile: four times the area."""
        n = 2 * self.cells
        return [(col, row) for row in range(n) for col in range(n)]

    def scattered(self, count: int) -> list[Place]:
        """`count` cells anywhere on the tile, the same ones each time."""
        tile = self.tile
        chosen = np.random.default_rng(7).choice(
            len(tile), min(count, len(tile)), replace=False
        )
        return [tile[i] for i in sorted(chosen)]

    def href(self, product: str, date: int, band: str, *, warped: bool = False) -> str:
        """Name of a file inside the folder."""
        zone = "-neighbor" if warped and product == LANDSAT else ""
        return f"{product}{zone}-{date:02d}-{band}.tif"

    def keys(self, product: str) -> tuple[str, ...]:
        """Bands of a product that are read, its quality band last."""
        return (*BANDS, "qa_pixel" if product == LANDSAT else "scl")

    def grid(self, product: str, band: str, *, warped: bool = False) -> SceneGrid:
        """Pixel grid of one band."""
        side_m = self.tile_px * 10
        if product == SENTINEL2:
            gsd = 20 if band == "scl" else 10
            return SceneGrid(EPSG, WEST, NORTH, gsd, (side_m // gsd, side_m // gsd))
        if not warped:
            return SceneGrid(EPSG, WEST, NORTH, 30, (side_m // 30, side_m // 30))
        outline = (WEST, NORTH - side_m, WEST + side_m, NORTH)
        bounds = transform_bounds(f"EPSG:{EPSG}", f"EPSG:{NEIGHBOR_EPSG}", *outline)
        west, north = bounds[0] // 30 * 30 - 1200, bounds[3] // 30 * 30 + 1200
        rows, cols = (north - bounds[1]) // 30 + 40, (bounds[2] - west) // 30 + 40
        return SceneGrid(NEIGHBOR_EPSG, west, north, 30, (int(rows), int(cols)))

    def rendered(self, date: int, band: str) -> str:
        """The band of the first date whose file this one is."""
        if band not in BANDS:
            return band
        return BANDS[(BANDS.index(band) + date) % len(BANDS)]

    def render(self) -> int:
        """Write what is missing; return the bytes of one date on disk."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for product, warped in _KINDS:
            for key in self.keys(product):
                path = self.folder / self.href(product, 0, key, warped=warped)
                if not path.exists():
                    render_band(path, self.grid(product, key, warped=warped), key)
            for date in range(1, self.dates):
                for key in self.keys(product):
                    there = self.folder / self.href(product, date, key, warped=warped)
                    if not there.exists():
                        first = self.href(product, 0, self.rendered(date, key), warped=warped)
                        os.link(self.folder / first, there)
        aligned = [(p, key) for p in (LANDSAT, SENTINEL2) for key in self.keys(p)]
        return sum((self.folder / self.href(p, 0, key)).stat().st_size for p, key in aligned)

    def items(self, product: str, base: str, *, warped: bool = False) -> list[dict[str, Any]]:
        """STAC items of a product, one per date; `base` goes in front of file names."""
        return [self._item(product, date, base, warped) for date in range(self.dates)]

    def _item(self, product: str, date: int, base: str, warped: bool) -> dict[str, Any]:
        grid = self.grid(product, "red", warped=warped)
        rows, cols = grid.shape
        east, south = grid.west + cols * grid.gsd_m, grid.north - rows * grid.gsd_m
        outline = shapely.segmentize(shapely.box(grid.west, south, east, grid.north), 5000)
        lonlat = transform_geom(
            f"EPSG:{grid.epsg}", "EPSG:4326", shapely.geometry.mapping(outline)
        )
        table = find_product(product)
        names = table.archive("stac").assets
        assets = {}
        for key in self.keys(product):
            own = self.grid(product, key, warped=warped)
            band = table.band(key)
            raster = {
                "data_type": "uint8" if key == "scl" else "uint16",
                "nodata": band.source_nodata,
                "scale": band.source_scale,
                "offset": band.source_offset if key not in BANDS else _offset(product),
            }
            assets[names[key]] = {
                "href": f"{base}{self.href(product, date, key, warped=warped)}",
                "type": "image/tiff; application=geotiff; profile=cloud-optimized",
                "roles": ["data"],
                "proj:shape": list(own.shape),
                "proj:transform": list(own.transform)[:6],
                "raster:bands": [raster],
            }
        return {
            "type": "Feature",
            "stac_version": "1.0.0",
            "stac_extensions": [
                "https://stac-extensions.github.io/projection/v1.1.0/schema.json",
                "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
            ],
            "id": f"{product}-{date:02d}",
            "collection": table.archive("stac").collections[0],
            "geometry": lonlat,
            "bbox": list(shapely.geometry.shape(lonlat).bounds),
            "properties": {
                "datetime": (FIRST_DAY + date * EVERY).isoformat().replace("+00:00", "Z"),
                "platform": _PLATFORMS[product],
                "eo:cloud_cover": 8,
                "proj:epsg": grid.epsg,
                "version": "1",
            },
            "assets": assets,
            "links": [],
        }

    def write_recipe(
        self,
        folder: Path,
        places: Sequence[Place],
        *,
        base: str = "",
        warped: bool = False,
        dates: int | None = None,
    ) -> Path:
        """Write a recipe of some cells beside the items that it searches.

        Args:
            folder: Made if missing; gets `recipe.toml` and `items.json`.
            places: The cells; a full rectangle becomes a polygon, others become points.
            base: Goes in front of file names: the URL of a server; default the local folder.
            warped: Take the Landsat scenes of the neighboring UTM zone.
            dates: How many dates; default all.
        """
        folder.mkdir(parents=True, exist_ok=True)
        base = base or f"{self.folder}/"
        features = [
            item
            for product in (LANDSAT, SENTINEL2)
            for item in self.items(product, base, warped=warped)[: dates or self.dates]
        ]
        listed = {"type": "FeatureCollection", "features": features}
        (folder / "items.json").write_text(json.dumps(listed))
        last = FIRST_DAY + EVERY * self.dates
        text = _RECIPE.format(
            last=f"{last:%Y-%m-%d}",
            area=_area(folder, places),
            west=WEST + SHIFT_M,
            north=NORTH - SHIFT_M,
            bands=json.dumps(list(BANDS)),
        )
        (folder / "recipe.toml").write_text(text)
        return folder / "recipe.toml"


_KINDS = ((LANDSAT, False), (SENTINEL2, False), (LANDSAT, True))

_RECIPE = """
name = "bench"
period = ["2024-05-01", "{last}"]
anchor = "landsat"
window_days = 1
source = "items.json"

[area]
{area}

[grid]
gsd_m = 10
size_px = 192
origin_m = [{west}, {north}]

[layers.landsat]
product = "landsat-c2-l2"
bands = {bands}
gsd_m = 30
min_valid = 0.0

[layers.sentinel2]
product = "sentinel-2-l2a"
bands = {bands}
gsd_m = 10
min_valid = 0.0
"""


def cell_bounds(place: Place) -> tuple[float, float, float, float]:
    """West, south, east, north of a cell, metres in `EPSG`."""
    west, north = WEST + SHIFT_M + CELL_M * place[0], NORTH - SHIFT_M - CELL_M * place[1]
    return west, north - CELL_M, west + CELL_M, north


def place_of(west: float, north: float) -> Place:
    """The cell with this upper left corner."""
    return round((west - WEST - SHIFT_M) / CELL_M), round((NORTH - SHIFT_M - north) / CELL_M)


def _offset(product: str) -> float:
    """As a scene of today states it: ESA's offset of 1000 is in the files."""
    return -0.1 if product == SENTINEL2 else -0.2


def _area(folder: Path, places: Sequence[Place]) -> str:
    side = max(max(place) for place in places) + 1
    if len(places) != side * side:
        return f"points = {json.dumps([list(p) for p in _centers(places)])}"
    west, _, _, north = cell_bounds((0, 0))
    _, south, east, _ = cell_bounds((side - 1, side - 1))
    inside = shapely.segmentize(shapely.box(west, south, east, north).buffer(-300), 1000)
    lonlat = transform_geom(f"EPSG:{EPSG}", "EPSG:4326", shapely.geometry.mapping(inside))
    feature: Mapping[str, Any] = {"type": "Feature", "properties": {}, "geometry": lonlat}
    (folder / "area.geojson").write_text(json.dumps(feature))
    return 'geojson = "area.geojson"'


def _centers(places: Sequence[Place]) -> Iterator[tuple[float, float]]:
    for place in places:
        west, south, east, north = cell_bounds(place)
        bounds = ((west + east) / 2, (south + north) / 2) * 2
        lon, lat, *_ = transform_bounds(f"EPSG:{EPSG}", "EPSG:4326", *bounds)
        yield lon, lat
