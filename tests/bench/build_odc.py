"""The same patches by odc-stac: as one writes it first, and tuned to whole shards."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dask
import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from catalog.products import find_product
from stores.arrays import encode_shard, metadata_objects, shard_path
from stores.objects import make_root, put_new
from stores.schema import SLOTS_PER_SHARD, LayerSchema, StoreSchema
from tests.bench.archive import (
    BANDS,
    EPSG,
    LANDSAT,
    NORTH,
    SENTINEL2,
    SHIFT_M,
    WEST,
    BenchArchive,
    Place,
)

CORES = 2
LAYERS = {"landsat": (LANDSAT, 30), "sentinel2": (SENTINEL2, 10)}
DENSE_CHUNKS = ((7, 7), (8, 8), (14, 4))
"""Cells of a chunk, across and down: 49, 64 and 56 patches to a shard."""
SPARSE_CHUNKS = ((1, 1), (2, 2), (4, 4))
NAIVE_CHUNKS = ((1, 1), (7, 7))
"""A chunk per patch, as patches suggest; or many, which spares most of the double decoding."""
WAYS = ("processes", "threads")


@dataclass(frozen=True, slots=True)
class OdcCase:
    """What odc-stac is to make: some cells of some dates."""

    archive: BenchArchive
    places: tuple[Place, ...]
    dates: int
    warped: bool
    schema: StoreSchema

    @property
    def side(self) -> int:
        """Cells along a side of the square that holds them all."""
        return max(max(place) for place in self.places) + 1

    @property
    def dense(self) -> bool:
        """Whether they fill it."""
        return len(self.places) == self.side**2

    def on(self, dates: int) -> "OdcCase":
        """The case for fewer dates."""
        return replace(self, dates=dates)


@dataclass(frozen=True, slots=True)
class OdcStore:
    """What was written: slot of each (date, column, row)."""

    folder: Path
    slots: dict[tuple[int, int, int], int]


def load(case: OdcCase, layer: str, chunk: tuple[int, int]) -> Any:
    """Load one layer lazily on the lattice of cells; `chunk` counts cells across and down."""
    import odc.stac  # noqa: PLC0415 - a package of the benchmark only
    import pystac  # noqa: PLC0415

    product, gsd = LAYERS[layer]
    px = 1920 // gsd
    items = case.archive.items(product, f"{case.archive.folder}/", warped=case.warped)
    names = find_product(product).archive("stac").assets
    corner = Affine(gsd, 0, WEST + SHIFT_M, 0, -gsd, NORTH - SHIFT_M)
    return odc.stac.load(
        [pystac.Item.from_dict(item) for item in items[: case.dates]],
        bands=[names[key] for key in BANDS],
        geobox=GeoBox((case.side * px, case.side * px), corner, f"EPSG:{EPSG}"),
        chunks={"x": chunk[0] * px, "y": chunk[1] * px},
        resampling="cubic" if case.warped and product == LANDSAT else "nearest",
        groupby="id",
    )


def _groups(case: OdcCase, chunk: tuple[int, int]) -> list[list[Place]]:
    """Cells of each shard: those of a chunk, or all of a date where they are scattered."""
    if not case.dense:
        places = list(case.places)
        return [places[i : i + SLOTS_PER_SHARD] for i in range(0, len(places), SLOTS_PER_SHARD)]
    groups: dict[Place, list[Place]] = {}
    for col, row in case.places:
        groups.setdefault((col // chunk[0], row // chunk[1]), []).append((col, row))
    return list(groups.values())


def run_tuned(
    case: OdcCase,
    folder: Path,
    chunk: tuple[int, int],
    way: str,
    client: Any,
) -> tuple[OdcStore, float]:
    """Write whole shards, one delayed write per block; return the store and the seconds."""
    started = time.perf_counter()
    root = make_root(folder)
    data = {layer: load(case, layer, chunk) for layer in LAYERS}
    lazy = {
        layer: [values.data.to_delayed() for values in loaded.data_vars.values()]
        for layer, loaded in data.items()
    }
    write = dask.delayed(write_group, pure=False)
    slots: dict[tuple[int, int, int], int] = {}
    writes = []
    shard = 0
    for date in range(case.dates):
        for group in _groups(case, chunk):
            chunks = sorted({(col // chunk[0], row // chunk[1]) for col, row in group})
            blocks = {
                layer: [[band[date, cy, cx] for band in bands] for cx, cy in chunks]
                for layer, bands in lazy.items()
            }
            cuts = [
                (
                    chunks.index((col // chunk[0], row // chunk[1])),
                    col % chunk[0],
                    row % chunk[1],
                )
                for col, row in group
            ]
            for position, (col, row) in enumerate(group):
                slots[date, col, row] = shard * SLOTS_PER_SHARD + position
            writes.append(write(str(folder), case.schema, shard, blocks, cuts))
            shard += 1
    for path, held in metadata_objects(case.schema, shard * SLOTS_PER_SHARD).items():
        put_new(root, path, held)
    _compute(writes, way, client)
    return OdcStore(folder, slots), time.perf_counter() - started


def write_group(
    folder: str,
    schema: StoreSchema,
    shard: int,
    blocks: dict[str, list[list[np.ndarray]]],
    cuts: Sequence[tuple[int, int, int]],
) -> int:
    """Cut the patches of one shard out of its chunks and write it, whole."""
    root = make_root(folder)
    for layer in schema.layers:
        pixels = _cut(layer, blocks[layer.name], cuts)
        valid = np.zeros((len(cuts), layer.size_px, layer.size_px), dtype=bool)
        for array, data in encode_shard(layer, pixels, valid, schema.codec).items():
            put_new(root, shard_path(layer.name, array, shard), data)
    return len(cuts)


def _cut(
    layer: LayerSchema, chunks: list[list[np.ndarray]], cuts: Sequence[tuple[int, int, int]]
) -> np.ndarray:
    px = layer.size_px
    pixels = np.empty((len(cuts), len(layer.bands), px, px), dtype=layer.dtype)
    for slot, (number, col, row) in enumerate(cuts):
        for b, chunk in enumerate(chunks[number]):
            pixels[slot, b] = chunk[0, row * px : (row + 1) * px, col * px : (col + 1) * px]
    return pixels


def run_naive(
    case: OdcCase,
    folder: Path,
    chunk: tuple[int, int],
    way: str,
    client: Any,
) -> float:
    """Load and call `to_zarr`, a Zarr chunk per patch and no shards; return the seconds."""
    from zarr.codecs import BloscCodec  # noqa: PLC0415

    started = time.perf_counter()
    codec = BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle")
    writes = []
    for layer, (_, gsd) in LAYERS.items():
        px = 1920 // gsd
        data = load(case, layer, chunk)
        if not case.dense:
            data = _stack(data, case.places, px)
        shape = (1, px, px) if case.dense else (1, 1, px, px)
        encoding = {n: {"compressors": [codec], "chunks": shape} for n in data.data_vars}
        writes.append(
            data.to_zarr(
                folder / f"{layer}.zarr",
                mode="w",
                compute=False,
                encoding=encoding,
                consolidated=False,
                zarr_format=3,
            )
        )
    _compute(writes, way, client)
    return time.perf_counter() - started


def _stack(data: Any, places: Sequence[Place], px: int) -> Any:
    """The scattered cells along a dimension of their own."""
    import xarray as xr  # noqa: PLC0415

    parts = [
        data.isel(
            x=slice(col * px, (col + 1) * px), y=slice(row * px, (row + 1) * px)
        ).drop_vars(["x", "y"])
        for col, row in places
    ]
    return xr.concat(parts, "sample")


def naive_patch(
    folder: Path, case: OdcCase, key: tuple[int, int, int], layer: str
) -> np.ndarray:
    """Read one patch `(band, y, x)` back from what `run_naive` wrote."""
    import zarr  # noqa: PLC0415

    product, gsd = LAYERS[layer]
    px = 1920 // gsd
    names = find_product(product).archive("stac").assets
    date, col, row = key
    group = zarr.open_group(folder / f"{layer}.zarr", mode="r")
    if case.dense:
        at: Any = (date, slice(row * px, (row + 1) * px), slice(col * px, (col + 1) * px))
    else:
        at = (case.places.index((col, row)), date)
    return np.stack([np.asarray(group[names[band]][at]) for band in BANDS])


def _compute(writes: list[Any], way: str, client: Any) -> None:
    if way == "threads":
        dask.compute(*writes, scheduler="threads", num_workers=CORES)
    else:
        client.gather(client.compute(writes))
