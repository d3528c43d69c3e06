"""The patch store as readers see it: one snapshot, its index, its pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import geopandas
import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords

from catalog.errors import StoreError, nearest_choice
from stores.arrays import ARRAY_NAMES, Patches, open_array, reading_context
from stores.claim import done_tasks, unfinished_claim
from stores.create import read_schema
from stores.index import KEPT, to_geodataframe
from stores.objects import Root, open_root
from stores.schema import LayerSchema, StoreSchema
from stores.snapshot import (
    Snapshot,
    read_index,
    read_snapshot,
    read_statistics,
    snapshot_numbers,
)
from stores.statistics import TaskStatistics

Slots = Sequence[int] | npt.NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class PatchesFuture:
    """Patches that are being read."""

    _raw: Any
    _valid: Any

    def result(self) -> Patches:
        """Wait for the patches and return them."""
        return Patches(self._raw.result(), self._valid.result())


class PatchStore:
    """A store at one snapshot; builds that go on meanwhile do not show.

    Reading is safe from several threads. A store may be pickled: it opens again at the same
    snapshot, so workers that are spawned may be handed one.
    """

    def __init__(self, root: Root, schema: StoreSchema, snapshot: Snapshot) -> None:
        self.root = root
        self.schema = schema
        self.snapshot = snapshot
        context = reading_context()
        self._arrays = {
            layer.name: tuple(open_array(root, layer.name, a, context) for a in ARRAY_NAMES)
            for layer in schema.layers
        }

    @classmethod
    def open(cls, uri: str | Path, snapshot: int | None = None) -> Self:
        """Open a store for reading.

        Args:
            uri: Folder of the store.
            snapshot: Number of a snapshot; default the latest.

        Raises:
            StoreError: If there is no store or no such snapshot, or the store has a format
                that this version cannot read.
        """
        root = open_root(uri)
        schema = read_schema(root)
        numbers = snapshot_numbers(root)
        if snapshot is None and not numbers:
            raise StoreError(f"store {root.uri} has no snapshot yet{_progress(root)}")
        return cls(root, schema, read_snapshot(root, snapshot or numbers[-1]))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).open, (self.root.uri, self.snapshot.number)

    def __repr__(self) -> str:
        layers = ", ".join(layer.name for layer in self.schema.layers)
        return (
            f"<PatchStore {self.schema.name!r} snapshot {self.snapshot.number}: "
            f"{self.snapshot.kept} samples of {layers}; {self.root.uri}>"
        )

    @cached_property
    def index(self) -> geopandas.GeoDataFrame:
        """One row per sample, kept or rejected, sorted by `sample_id`; see `stores.index`."""
        return to_geodataframe(read_index(self.root, self.snapshot))

    @cached_property
    def statistics(self) -> TaskStatistics:
        """Layer name -> statistics of the kept train samples."""
        return read_statistics(self.root, self.snapshot)

    def select(self, *, split: str | None = None, status: str = KEPT) -> geopandas.GeoDataFrame:
        """Return the rows of the index with this status and, if given, of this split."""
        rows = self.index[self.index["status"] == status]
        if split is not None:
            rows = rows[rows["split"] == split]
        return rows.reset_index(drop=True)

    def read(self, layer: str, slots: Slots) -> Patches:
        """Return patches of one layer, in the order of `slots`.

        Args:
            layer: Name of a layer.
            slots: Slots from the index; repeats are fine.

        Raises:
            StoreError: If there is no such layer or slot.
        """
        return self.read_future(layer, slots).result()

    def read_future(self, layer: str, slots: Slots) -> PatchesFuture:
        """Start reading and return at once; see `read`."""
        self.schema.layer(layer)
        wanted = np.asarray(slots, dtype=np.int64)
        if len(wanted) and not 0 <= wanted.min() <= wanted.max() < self.snapshot.slots:
            raise StoreError(
                f"slots {wanted.min()} to {wanted.max()} of layer {layer!r} were asked for, "
                f"snapshot {self.snapshot.number} has 0 to {self.snapshot.slots - 1}; "
                "rejected samples have none"
            )
        pixels, valid = self._arrays[layer]
        return PatchesFuture(pixels[wanted].read(), valid[wanted].read())

    def sample(self, sample_id: str) -> xr.DataTree:
        """Return one sample: a georeferenced node for each layer that it has.

        Each node holds `pixels` `(band, y, x)`, float32, physical units, NaN where there is
        no data, and `valid` `(y, x)`, True = usable.

        Raises:
            StoreError: If the snapshot has no such sample, or it was rejected.
        """
        row = self._row(sample_id)
        present = [layer for layer in self.schema.layers if row[f"{layer.name}_present"]]
        futures = [self.read_future(layer.name, [row["slot"]]) for layer in present]
        nodes = {
            layer.name: _layer_dataset(layer, row, future.result())
            for layer, future in zip(present, futures, strict=True)
        }
        return xr.DataTree.from_dict({"/": xr.Dataset(attrs=_sample_attributes(row)), **nodes})

    def _row(self, sample_id: str) -> "pd.Series[Any]":
        found = self.index[self.index["sample_id"] == sample_id]
        if found.empty:
            hint = nearest_choice(sample_id, self.index["sample_id"].head(1000))
            raise StoreError(f"the store has no sample {sample_id!r}; {hint[:200]}")
        row: pd.Series[Any] = found.iloc[0]
        if row["status"] != KEPT:
            raise StoreError(
                f"sample {sample_id!r} has no pixels, it was rejected: {row['reason']} "
                f"{row['detail']}".rstrip()
            )
        return row


def _progress(root: Root) -> str:
    claim = unfinished_claim(root)
    if claim is None:
        return "; run `geoloupe build`"
    done = len(done_tasks(root, claim))
    return f": {done} of {claim.n_tasks} tasks are done; run the same build again"


def _sample_attributes(row: "pd.Series[Any]") -> dict[str, Any]:
    return {
        "sample_id": row["sample_id"],
        "cell_id": row["cell_id"],
        "region": row["region"],
        "split": row["split"],
        "anchor_time": row["anchor_time"].isoformat(),
    }


def _layer_dataset(layer: LayerSchema, row: "pd.Series[Any]", patches: Patches) -> xr.Dataset:
    side, gsd_m = layer.size_px, layer.gsd_m
    transform = Affine(gsd_m, 0, row["west"], 0, -gsd_m, row["north"])
    coords = xr_coords(GeoBox((side, side), transform, f"EPSG:{row['epsg']}"))
    units = {band.unit for band in layer.bands}
    pixels = xr.DataArray(
        layer.to_physical(patches.raw[0]),
        dims=("band", "y", "x"),
        coords={**coords, "band": list(layer.band_keys)},
        attrs={"units": units.pop()} if len(units) == 1 else {},
    )
    valid = xr.DataArray(patches.valid[0], dims=("y", "x"), coords=coords)
    for array in (pixels, valid):
        array.encoding["grid_mapping"] = "spatial_ref"
    return xr.Dataset({"pixels": pixels, "valid": valid}, attrs=_layer_attributes(layer, row))


def _layer_attributes(layer: LayerSchema, row: "pd.Series[Any]") -> dict[str, Any]:
    time = row[f"{layer.name}_time"]
    return {
        "product": layer.product,
        "gsd_m": layer.gsd_m,
        "scenes": [scene for scene in row[f"{layer.name}_scenes"].split(";") if scene],
        "time": "" if pd.isna(time) else time.isoformat(),
        "dt_hours": float(row[f"{layer.name}_dt_hours"]),
        "valid_fraction": float(row[f"{layer.name}_valid"]),
        "resampling": row[f"{layer.name}_resampling"],
        "license": layer.license,
        "attribution": layer.attribution,
    }
