"""Words about cells from a file: the split, the land cover or the ecoregion of each.

A file names cells, or draws polygons; then a cell has the word of the first polygon that holds
its center. No pixel is read.
"""

import csv
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from shapely.geometry.base import BaseGeometry

from catalog.area import geojson_features
from catalog.errors import GridError
from catalog.grid import Cell

CELL_ID = "cell_id"


@dataclass(frozen=True, slots=True)
class CellClasses:
    """What a file says of cells."""

    by_cell: Mapping[str, str]
    """Cell id -> word."""
    polygons: tuple[tuple[str, BaseGeometry], ...]
    """Word and outline, longitude and latitude in degrees; the first that fits counts."""

    @property
    def words(self) -> list[str]:
        """All words of the file, sorted."""
        return sorted({*self.by_cell.values(), *(word for word, _ in self.polygons)})

    @property
    def digest(self) -> str:
        """SHA-256 of what the file says, whatever its form and spelling."""
        content = [sorted(self.by_cell.items()), [(w, g.wkb_hex) for w, g in self.polygons]]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def of(self, cells: Iterable[Cell]) -> dict[Cell, str]:
        """Return the word of each cell; `''` where the file has none."""
        ordered = list(cells)
        found = {cell: self.by_cell.get(cell.id, "") for cell in ordered}
        if not self.polygons or not ordered:
            return found
        centers = shapely.points([cell.lonlat for cell in ordered])
        outlines = np.array([outline for _, outline in self.polygons], dtype=object)
        at, inside = shapely.STRtree(outlines).query(centers, predicate="intersects")
        # Backwards, so that the first polygon has the last word.
        order = np.lexsort((-inside, at))
        for i, j in zip(at[order].tolist(), inside[order].tolist(), strict=True):
            found[ordered[i]] = self.polygons[j][0]
        return found


def read_cell_classes(path: Path, column: str) -> CellClasses:
    """Return what a file says in one of its columns.

    Args:
        path: CSV or Parquet with the columns `cell_id` and `column`, or GeoJSON or GeoParquet
            with polygons in longitude and latitude and the property `column`.
        column: Name of the column or property with the words.

    Raises:
        GridError: If the file is missing, unreadable, or lacks the column.
    """
    readers: Mapping[str, Callable[[Path, str], CellClasses]] = {
        ".csv": _read_csv,
        ".parquet": _read_parquet,
        ".json": _read_geojson,
        ".geojson": _read_geojson,
    }
    if path.suffix.lower() not in readers:
        raise GridError(f"{path} is none of {', '.join(readers)}; name one of these")
    if not path.is_file():
        raise GridError(f"there is no file {path}; it is looked for beside the recipe")
    try:
        classes = readers[path.suffix.lower()](path, column)
    except GridError:
        raise
    except (OSError, ValueError, pa.ArrowException, csv.Error) as err:
        raise GridError(f"{path} is not readable: {err}") from err
    if not classes.words:
        raise GridError(f"{path} says nothing in {column!r}; name another file or column")
    return classes


def _read_csv(path: Path, column: str) -> CellClasses:
    with path.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines)
        _require(path, reader.fieldnames or (), CELL_ID, column)
        rows = [(row[CELL_ID], row[column]) for row in reader]
    return CellClasses(_by_cell(path, rows), ())


def _read_parquet(path: Path, column: str) -> CellClasses:
    names = pq.read_schema(path).names
    if CELL_ID in names:
        _require(path, names, column)
        table = pq.read_table(path, columns=[CELL_ID, column])
        pairs = zip(table[CELL_ID].to_pylist(), table[column].to_pylist(), strict=True)
        return CellClasses(_by_cell(path, pairs), ())
    _require(path, names, column)
    frame = gpd.read_parquet(path)
    if frame.crs is not None and frame.crs.to_epsg() not in (4326, None):
        raise GridError(f"{path} is in {frame.crs.to_string()}; convert it to EPSG:4326")
    return CellClasses({}, _polygons(path, zip(frame[column], frame.geometry, strict=True)))


def _read_geojson(path: Path, column: str) -> CellClasses:
    drawn = []
    for number, (properties, outline) in enumerate(geojson_features(path)):
        if column not in properties:
            raise GridError(
                f"{path}: feature {number} has no property {column!r}; it has "
                f"{', '.join(map(repr, properties)) or 'none'}"
            )
        drawn.append((properties[column], outline))
    return CellClasses({}, _polygons(path, drawn))


def _polygons(
    path: Path, drawn: Iterable[tuple[Any, BaseGeometry]]
) -> tuple[tuple[str, BaseGeometry], ...]:
    kept = tuple((str(word), outline) for word, outline in drawn if word not in (None, ""))
    if any(outline.geom_type not in ("Polygon", "MultiPolygon") for _, outline in kept):
        raise GridError(f"{path} must hold polygons only; write points as cells in a CSV")
    return kept


def _by_cell(path: Path, rows: Iterable[tuple[Any, Any]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for cell_id, word in rows:
        if word in (None, ""):
            continue
        if found.setdefault(str(cell_id), str(word)) != str(word):
            raise GridError(
                f"{path} gives cell {cell_id!r} both {found[str(cell_id)]!r} and {word!r}; "
                "name each cell once"
            )
    return found


def _require(path: Path, names: Iterable[str], *wanted: str) -> None:
    listed = list(names)
    for name in wanted:
        if name not in listed:
            raise GridError(f"{path} has no column {name!r}; it has {', '.join(listed)}")
