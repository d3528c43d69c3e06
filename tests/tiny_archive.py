"""A tiny archive, written scene by scene, and the tasks that build from it."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from rasterio.warp import transform_geom
from rasterio.windows import Window

from catalog.grid import Cell
from catalog.products import Band, find_product
from catalog.providers.items import read_item
from catalog.providers.source import stac_source
from catalog.scene import Scene
from pipeline.task import BuildTask, LayerTask, TaskSample
from stores.schema import BandSchema, LayerSchema

EPSG = 32631
CELL_M = 120
WEST, NORTH = 500_040, 5_630_040
"""A corner that the cells, Landsat's 30 m and Sentinel-2's 20 m pixels share."""
ROWS, COLUMNS = 8, 10
"""Cells of the fixture `campaign`."""
ANCHOR_TIME = datetime(2020, 6, 10, 10, 40, tzinfo=UTC)

CLEAR = {"qa_pixel": 21824, "scl": 5}  # bare soil: no witness of the offset
CLOUDY = {"qa_pixel": 22280, "scl": 9}
FILL = {"qa_pixel": 1, "scl": 0}

Area = tuple[int, int, int, int]
"""First row, end row, first column, end column, counted in cells from the scene's corner;
halves are allowed."""


def cell(col: int, row: int) -> Cell:
    """Return the cell `col` to the right of and `row` below the common corner."""
    west, north = WEST + CELL_M * col, NORTH - CELL_M * row
    return Cell(EPSG, west, north - CELL_M, west + CELL_M, north)


PLATFORMS = {"landsat-c2-l2": "landsat-8", "sentinel-2-l2a": "sentinel-2a"}


@dataclass
class TinyArchive:
    """Writes scenes as GeoTIFFs with 16 px blocks, and lists them as STAC items."""

    folder: Path
    items: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self,
        product: str,
        name: str,
        time: datetime,
        *,
        size: tuple[float, float] = (4, 4),
        corner: tuple[float, float] = (0, 0),
        cloudy: Sequence[Area] = (),
        missing: Sequence[Area] = (),
        offset: float | None = None,
    ) -> Scene:
        """Write a scene of `size` (rows, columns) cells at `corner` (row, column).

        Where it is missing, pixels hold nodata. Values are random but repeat with the name.
        """
        north, west = NORTH - CELL_M * corner[0], WEST + CELL_M * corner[1]
        item = _item(product, name, time, _box(west, north, size))
        cloud = sum(_cells(area) for area in cloudy) / (size[0] * size[1])
        item["properties"]["eo:cloud_cover"] = 100 * cloud
        for band in find_product(product).bands:
            gsd = int(band.gsd_m)
            shape = (round(size[0] * CELL_M / gsd), round(size[1] * CELL_M / gsd))
            values = _values(name, band.key, shape).astype(band.encoding.dtype)
            for area in cloudy if band.kind == "quality" else ():
                values[_pixels(area, gsd)] = CLOUDY[band.key]
            for area in missing:
                values[_pixels(area, gsd)] = FILL.get(band.key, band.source_nodata or 0)
            transform = Affine(gsd, 0, west, 0, -gsd, north)
            self._write(f"{name}_{band.key}.tif", values, transform)
            asset = find_product(product).archive("stac").assets[band.key]
            shifted = offset if band.kind == "reflectance" else None
            item["assets"][asset] = _asset(name, band, values.shape, transform, shifted)
        self.items.append(item)
        self.save()
        return self.scene(item, product)

    def scene(self, item: Mapping[str, Any], product: str) -> Scene:
        """Return the scene of an item, all its files named absolutely."""
        keys = find_product(product).archive("stac").assets
        base = f"{self.folder}/"
        return read_item(
            item, find_product(product), source=stac_source(base), bands=keys, base_href=base
        )

    def file(self, scene: str, band: str) -> Path:
        """Return the path of one file."""
        return self.folder / f"{scene}_{band}.tif"

    def read(self, scene: str, band: str, place: Cell, gsd_m: int) -> npt.NDArray[Any]:
        """Return what rasterio itself reads of a file on a cell."""
        with rasterio.open(self.file(scene, band)) as dataset:
            left, top = dataset.bounds.left, dataset.bounds.top
            col, row = (place.west - left) // gsd_m, (top - place.north) // gsd_m
            size = CELL_M // gsd_m
            return dataset.read(1, window=Window(col, row, size, size))

    def save(self) -> Path:
        """Write `items.json`."""
        path = self.folder / "items.json"
        path.write_text(json.dumps({"type": "FeatureCollection", "features": self.items}))
        return path

    def _write(self, name: str, values: npt.NDArray[Any], transform: Any) -> None:
        with rasterio.open(
            self.folder / name,
            "w",
            driver="GTiff",
            height=values.shape[0],
            width=values.shape[1],
            count=1,
            dtype=values.dtype,
            crs=f"EPSG:{EPSG}",
            transform=transform,
            tiled=True,
            blockxsize=16,
            blockysize=16,
        ) as dataset:
            dataset.write(values, 1)


def _box(west: float, north: float, size: tuple[float, float]) -> dict[str, Any]:
    """The outline of so many rows and columns of cells, in UTM metres."""
    east, south = west + CELL_M * size[1], north - CELL_M * size[0]
    ring = [(west, south), (east, south), (east, north), (west, north), (west, south)]
    return {"type": "Polygon", "coordinates": [ring]}


def _lonlat(outline: Mapping[str, Any]) -> dict[str, Any]:
    moved: dict[str, Any] = transform_geom(f"EPSG:{EPSG}", "EPSG:4326", outline)
    return moved


def _item(
    product: str, name: str, time: datetime, outline: Mapping[str, Any]
) -> dict[str, Any]:
    geometry = _lonlat(outline)
    lon, lat = zip(*geometry["coordinates"][0], strict=True)
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": find_product(product).archive("stac").collections[0],
        "geometry": geometry,
        "bbox": [min(lon), min(lat), max(lon), max(lat)],
        "properties": {
            "datetime": time.isoformat().replace("+00:00", "Z"),
            "platform": PLATFORMS.get(product, ""),
            "proj:epsg": EPSG,
            "version": "1",
        },
        "assets": {},
        "links": [],
    }


def _asset(
    scene: str, band: Band, shape: tuple[int, ...], transform: Affine, offset: float | None
) -> dict[str, Any]:
    raster = {
        "nodata": band.source_nodata,
        "scale": band.source_scale,
        "offset": band.source_offset if offset is None else offset,
    }
    return {
        "href": f"./{scene}_{band.key}.tif",
        "proj:shape": list(shape),
        "proj:transform": list(transform)[:6],
        "raster:bands": [raster],
    }


def _cells(area: Area) -> float:
    return (area[1] - area[0]) * (area[3] - area[2])


def _pixels(area: Area, gsd_m: int) -> tuple[slice, slice]:
    top, bottom, left, right = (round(edge * CELL_M / gsd_m) for edge in area)
    return slice(top, bottom), slice(left, right)


def _values(scene: str, band: str, shape: tuple[int, int]) -> npt.NDArray[Any]:
    if band in CLEAR:
        return np.full(shape, CLEAR[band])
    rng = np.random.default_rng(list(f"{scene} {band}".encode()))
    return rng.integers(300, 9000, shape)


def layer_task(
    name: str,
    product: str,
    bands: Sequence[str],
    gsd_m: int,
    *,
    required: bool = True,
    min_valid: float = 0.9,
) -> LayerTask:
    """Return a layer of the tiny archive, on its cells."""
    found = [find_product(product).band(key) for key in bands]
    encoding = found[0].encoding
    schema = LayerSchema(
        name=name,
        product=product,
        bands=tuple(BandSchema(key=b.key, kind=b.kind, unit=b.unit) for b in found),
        dtype=encoding.dtype,
        scale=encoding.scale,
        offset=encoding.offset,
        gsd_m=gsd_m,
        size_px=CELL_M // gsd_m,
        license="",
        attribution="",
        citation="",
    )
    return LayerTask(
        schema=schema, required=required, min_valid=min_valid, source=stac_source("here")
    )


def make_task(
    layers: Sequence[LayerTask],
    scenes: Mapping[str, Sequence[Scene]],
    candidates: Mapping[str, Sequence[Sequence[str]]],
    cells: Sequence[Cell] = (),
) -> BuildTask:
    """Return a task of one sample per cell, all with the same candidates."""
    return BuildTask(
        number=0,
        shard=0,
        recipe="tiny",
        layers=tuple(layers),
        samples=tuple(
            TaskSample(
                position=position,
                id=f"{place.id}_x",
                cell=place,
                region="0",
                split="train",
                anchor_time=ANCHOR_TIME,
                candidates={k: tuple(tuple(ids) for ids in v) for k, v in candidates.items()},
            )
            for position, place in enumerate(cells or [cell(0, 0)])
        ),
        scenes={
            layer: {scene.id: scene for scene in listed} for layer, listed in scenes.items()
        },
    )


RECIPE = """
name = "tiny"
period = ["2020-06-01", "2020-06-30"]
anchor = "landsat"
window_days = 5
source = "items.json"

[area]
geojson = "area.geojson"

[grid]
gsd_m = 10
size_px = 12

[layers.landsat]
product = "landsat-c2-l2"
bands = ["red", "nir"]
gsd_m = 30

[layers.sentinel2]
product = "sentinel-2-l2a"
bands = ["red", "nir"]
gsd_m = 10
"""


def write_recipe(archive: TinyArchive, rows: int, columns: int) -> Path:
    """Write a recipe for two regions: the left and the right half of the cells."""
    half = columns // 2
    parts = (("left", 0, half), ("right", half, columns - half))
    features = [
        {
            "type": "Feature",
            "properties": {"name": name},
            "geometry": _lonlat(_box(WEST + CELL_M * first, NORTH, (rows, width))),
        }
        for name, first, width in parts
    ]
    area = {"type": "FeatureCollection", "features": features}
    (archive.folder / "area.geojson").write_text(json.dumps(area))
    path = archive.folder / "recipe.toml"
    path.write_text(RECIPE)
    return path


def store_bytes(folder: Path) -> dict[str, bytes]:
    """Return every object of a store by its path; run summaries and strays left out.

    A stray is what a killed writer leaves of an object that it was about to name.
    """
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.relative_to(folder).parts[0] != "runs"
        and not re.search(r"#\d+$", path.name)
    }
