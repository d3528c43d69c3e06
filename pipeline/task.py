"""The unit of work and of failure: up to 64 samples, as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import shapely

from catalog.errors import SourceUnreadable
from catalog.grid import Cell
from catalog.providers.source import Source
from catalog.scene import Asset, Scene
from pipeline.treatment import UNTREATED, Treatment
from stores.schema import LayerSchema

DATA_VERSION = 2
"""Raised whenever the same sources would give other pixels; part of every content key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerTask:
    """What the builder needs to know of one layer."""

    schema: LayerSchema
    required: bool
    min_valid: float
    """Least usable fraction of a patch, 0 to 1."""
    source: Source
    """Where its files are; decides no pixel."""
    dated: bool = True
    """Whether its scenes' times mean anything; terrain and labels are not dated."""
    treatment: Treatment = UNTREATED
    """What is done to its pixels beyond placing them."""

    @property
    def name(self) -> str:
        """Name of the layer in the recipe and the store."""
        return self.schema.name


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSample:
    """One cell at one anchor observation, with the scenes it may be made of."""

    position: int
    """Place in the shard, 0 to 63."""
    id: str
    cell: Cell
    region: str
    split: str
    anchor_time: datetime
    candidates: Mapping[str, tuple[tuple[str, ...], ...]]
    """Layer -> passes as tuples of scene ids, the one to try first in front."""

    def identity(self) -> tuple[Any, ...]:
        """Return the values of `stores.index.IDENTITY_FIELDS`, in their order."""
        cell = self.cell
        return (
            self.id,
            cell.id,
            self.region,
            self.split,
            cell.epsg,
            cell.west,
            cell.south,
            cell.east,
            cell.north,
            shapely.to_wkb(cell.footprint),
            self.anchor_time,
            self.anchor_time.month,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildTask:
    """Reads each source block once, fills one shard of every layer, yields one part."""

    number: int
    """Place in the claim, from 0."""
    shard: int
    recipe: str
    """Name of the recipe, for archives that account by it."""
    layers: tuple[LayerTask, ...]
    """The anchor's layer first."""
    samples: tuple[TaskSample, ...]
    scenes: Mapping[str, Mapping[str, Scene]]
    """Layer -> scene id -> scene; every scene that a candidate names."""

    def observation(self, layer: str, ids: tuple[str, ...]) -> tuple[Scene, ...]:
        """Return the scenes of one candidate pass."""
        return tuple(self.scenes[layer][one] for one in ids)


def encoding_shift(asset: Asset, layer: LayerSchema) -> int:
    """Return the integer that turns a file's raw values into the layer's.

    Raises:
        SourceUnreadable: If no integer does: the file is scaled in another way.

    Example:
        Sentinel-2 before baseline 4 is reflectance * 10000; the layer is that + 1000.
    """
    shift = (asset.offset - layer.offset) / layer.scale
    if abs(asset.scale - layer.scale) > 1e-6 * layer.scale or abs(shift - round(shift)) > 1e-3:
        raise SourceUnreadable(
            f"{asset.href} is scaled by {asset.scale:g} with offset {asset.offset:g}; layer "
            f"{layer.name!r} keeps {layer.scale:g} and {layer.offset:g}, and no whole number "
            f"turns one into the other; make it a layer of its own"
        )
    return round(shift)
