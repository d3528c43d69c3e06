"""Where patches come from: rasters by blocks, Earth Engine by requests, gridded files by hours.

One `Sources` serves one task; what it has read is read once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from odc.geo.geobox import GeoBox

from catalog.product import Kind
from catalog.scene import Scene
from pipeline.place import place, source_window
from pipeline.read import BlockReader, Pixels, ReadCount

Placed = tuple[Pixels, str]
"""Pixels of one band on one cell, and the method that placed them (`'none'` if pasted)."""


class PatchSource(Protocol):
    """Puts one band of one scene on cells."""

    def place(
        self, scene: Scene, key: str, boxes: Sequence[GeoBox], kind: Kind
    ) -> list[Placed]:
        """Return the band `key` of `scene` on each of the pixel grids `boxes`.

        Raises:
            SourceUnreadable: If the source will not be readable on another try.
            SourceUnavailable: If it may be readable later.
        """


@dataclass(frozen=True, slots=True)
class RasterSource:
    """Rasters: whole blocks, each read once, then pasted or warped once."""

    reader: BlockReader

    def place(
        self, scene: Scene, key: str, boxes: Sequence[GeoBox], kind: Kind
    ) -> list[Placed]:
        """Return the band `key` of `scene` on each of the pixel grids `boxes`."""
        grid, windows, read = self.reader.read(
            scene.assets[key],
            lambda g: [source_window(g, box) for box in boxes],
            access=scene.access,
        )
        return [
            place(pixels, grid, window, box, kind)
            for pixels, window, box in zip(read, windows, boxes, strict=True)
        ]


@dataclass(slots=True)
class Sources:
    """All that one task reads from."""

    reader: BlockReader = field(default_factory=BlockReader)

    @property
    def count(self) -> ReadCount:
        """What reading has cost so far."""
        return self.reader.count

    def place(
        self, scene: Scene, key: str, boxes: Sequence[GeoBox], kind: Kind
    ) -> list[Placed]:
        """Return the band `key` of `scene` on each of the pixel grids `boxes`."""
        return self._of(scene).place(scene, key, boxes, kind)

    def _of(self, scene: Scene) -> PatchSource:  # noqa: ARG002 - others follow
        return RasterSource(self.reader)
