"""Where patches come from: rasters by blocks, Earth Engine by requests, gridded files by hours.

One `Sources` serves one task; what it has read is read once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from odc.geo.geobox import GeoBox

from catalog.grid import Cell
from catalog.product import Kind
from catalog.products import find_product
from catalog.scene import Scene
from pipeline.ee_pixels import EarthEngineSource
from pipeline.gridded import GriddedSource
from pipeline.offsets import Verdict, judge, weigh, witness_of
from pipeline.place import place, source_window
from pipeline.read import BlockReader, Pixels, ReadCount
from pipeline.task import BuildTask

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

    task: BuildTask
    reader: BlockReader = field(default_factory=BlockReader)
    _gridded: GriddedSource | None = None
    _engines: dict[str, EarthEngineSource] = field(default_factory=dict)
    _verdicts: dict[tuple[str, str], Verdict | None] = field(default_factory=dict)

    @property
    def count(self) -> ReadCount:
        """What reading has cost so far."""
        return self.reader.count

    def place(
        self, scene: Scene, key: str, boxes: Sequence[GeoBox], kind: Kind
    ) -> list[Placed]:
        """Return the band `key` of `scene` on each of the pixel grids `boxes`."""
        return self._of(scene, key).place(scene, key, boxes, kind)

    def verdict(self, scene: Scene) -> Verdict | None:
        """Return whether a scene's offset is what its item states; None if that needs no doubt.

        Looked at once per scene, on the whole scene, so that every task finds the same.
        """
        key = (scene.source, scene.id)
        if key not in self._verdicts:
            self._verdicts[key] = self._look(scene)
        return self._verdicts[key]

    def _look(self, scene: Scene) -> Verdict | None:
        witness = witness_of(scene)
        if witness is None:
            return None
        band = scene.assets[witness]
        if scene.access == "earth-engine":
            return judge(band.offset, "none")
        raw = self.reader.glance(band, access=scene.access)
        classes = self.reader.glance(scene.assets["scl"], access=scene.access)
        if raw is None or classes is None or raw.shape != classes.shape:
            return judge(band.offset, "none")
        return judge(band.offset, weigh(raw, classes, band.nodata))

    def _of(self, scene: Scene, key: str) -> PatchSource:
        if scene.access == "earth-engine":
            return self._engine(scene.source)
        if scene.assets[key].part:
            self._gridded = self._gridded or GriddedSource(count=self.reader.count)
            return self._gridded
        return RasterSource(self.reader)

    def _engine(self, name: str) -> EarthEngineSource:
        """The one connection of this task to Earth Engine, its first answer already fetched."""
        if name not in self._engines:
            source = next(t.source for t in self.task.layers if t.source.name == name)
            self._engines[name] = EarthEngineSource(source, self.task.recipe)
            self._engines[name].prefetch(list(_first_choices(self.task, name)))
        return self._engines[name]


def _first_choices(
    task: BuildTask, source: str
) -> Iterator[tuple[Scene, list[GeoBox], dict[str, Kind]]]:
    """Yield each scene that a sample of the task tries first, its cells and its bands."""
    for layer in task.layers:
        if layer.source.name != source:
            continue
        product = find_product(layer.schema.product)
        quality = (product.quality.band,) if product.quality.band else ()
        kinds = {key: product.band(key).kind for key in (*layer.schema.band_keys, *quality)}
        cells: dict[tuple[str, ...], list[Cell]] = {}
        for sample in task.samples:
            for ids in sample.candidates.get(layer.name, ())[:1]:
                cells.setdefault(ids, []).append(sample.cell)
        for ids, wanted in cells.items():
            boxes = [cell.geobox(layer.schema.gsd_m) for cell in dict.fromkeys(wanted)]
            for scene in task.observation(layer.name, ids):
                yield scene, boxes, kinds
