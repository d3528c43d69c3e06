"""What a store holds: its layers, their bands, and how raw values become physical ones.

This module is the single source of truth for the conversion between raw and physical.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from catalog.errors import StoreError

FORMAT = 1
"""Version of the store layout that this program writes."""
SLOTS_PER_SHARD = 64
"""Samples per shard file, and at most per build task."""

Codec = Literal["lz4", "zstd"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BandSchema:
    """One band of a layer."""

    key: str
    kind: str
    """Kind of quantity, as in `catalog.products.Kind`."""
    unit: str
    wavelength_nm: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSchema:
    """One layer: patches of `(band, y, x)` on the cells of the grid."""

    name: str
    product: str
    bands: tuple[BandSchema, ...]
    dtype: Literal["uint8", "uint16", "float32"]
    scale: float
    offset: float
    """`physical = raw * scale + offset`; raw 0 (NaN for float32) is nodata."""
    gsd_m: float
    size_px: int
    """Rows and columns of a patch; `size_px * gsd_m` is the same for all layers."""
    license: str
    attribution: str
    citation: str

    @property
    def band_keys(self) -> tuple[str, ...]:
        """Keys of the bands, in storage order."""
        return tuple(b.key for b in self.bands)

    @property
    def nodata(self) -> float:
        """Raw value of a pixel that holds nothing: 0, or NaN in float32 layers."""
        return float("nan") if self.dtype == "float32" else 0.0

    def to_physical(
        self, raw: npt.NDArray[Any], valid: npt.NDArray[np.bool_] | None = None
    ) -> npt.NDArray[np.float32]:
        """Return physical values, float32, NaN where there is no data.

        Args:
            raw: `(..., band, y, x)` as stored.
            valid: `(..., y, x)`, True = usable; unusable pixels become NaN too.
        """
        physical = raw.astype(np.float32)
        if self.dtype != "float32":
            physical = np.where(raw == 0, np.float32("nan"), physical)
            physical = physical * np.float32(self.scale) + np.float32(self.offset)
        if valid is not None:
            physical = np.where(valid[..., np.newaxis, :, :], physical, np.float32("nan"))
        return physical.astype(np.float32)

    def to_raw(self, physical: npt.NDArray[np.floating]) -> npt.NDArray[Any]:
        """Return stored values: rounded, clipped above nodata; NaN becomes nodata.

        Args:
            physical: `(..., band, y, x)`, physical units.
        """
        if self.dtype == "float32":
            return physical.astype(np.float32)
        top = np.iinfo(self.dtype).max
        missing = np.isnan(physical)
        scaled = np.rint((physical.astype(np.float64) - self.offset) / self.scale)
        clipped = np.clip(np.where(missing, 1, scaled), 1, top)
        return np.where(missing, 0, clipped).astype(self.dtype)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready description."""
        return {
            "name": self.name,
            "product": self.product,
            "bands": [
                {"key": b.key, "kind": b.kind, "unit": b.unit, "wavelength_nm": b.wavelength_nm}
                for b in self.bands
            ],
            "dtype": self.dtype,
            "scale": self.scale,
            "offset": self.offset,
            "nodata": "NaN" if self.dtype == "float32" else 0,
            "gsd_m": self.gsd_m,
            "size_px": self.size_px,
            "license": self.license,
            "attribution": self.attribution,
            "citation": self.citation,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the layer that `to_json` described."""
        fields = {k: v for k, v in data.items() if k not in ("bands", "nodata")}
        return cls(bands=tuple(BandSchema(**b) for b in data["bands"]), **fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSchema:
    """All that `store.json` says: format, name, grid and layers."""

    name: str
    grid: Mapping[str, Any]
    """`crs`, `gsd_m`, `size_px`, `stride_px`, `origin_m` of the patch grid."""
    layers: tuple[LayerSchema, ...]
    codec: Codec = "lz4"
    """Compression of all arrays: lz4 reads faster, zstd is smaller."""
    format: int = FORMAT

    def layer(self, name: str) -> LayerSchema:
        """Return the layer called `name`.

        Raises:
            StoreError: If the store has no such layer.
        """
        for layer in self.layers:
            if layer.name == name:
                return layer
        names = ", ".join(layer.name for layer in self.layers)
        raise StoreError(f"the store has no layer {name!r}; it has {names}")

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready description."""
        return {
            "format": self.format,
            "name": self.name,
            "grid": dict(self.grid),
            "codec": self.codec,
            "layers": [layer.to_json() for layer in self.layers],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the schema that `to_json` described.

        Raises:
            StoreError: If the store was written in another format.
        """
        if data.get("format") != FORMAT:
            raise StoreError(
                f"the store was written as format {data.get('format')!r}, this version reads "
                f"{FORMAT}; upgrade geoloupe or rebuild the store"
            )
        return cls(
            name=data["name"],
            grid=data["grid"],
            layers=tuple(LayerSchema.from_json(layer) for layer in data["layers"]),
            codec=data["codec"],
        )
