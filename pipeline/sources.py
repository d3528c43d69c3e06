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
from pipeline.place import (
    UNMOVED,
    Piece,
    Placed,
    Shift,
    arrange,
    moved,
    place_piece,
)
from pipeline.read import Area, BlockReader, ReadCount, SourceGrid, Window
from pipeline.task import BuildTask


class PatchSource(Protocol):
    """Puts one band of one scene on cells."""

    def place(
        self,
        scene: Scene,
        key: str,
        boxes: Sequence[GeoBox],
        kind: Kind,
        shift_m: Shift = UNMOVED,
    ) -> list[Placed]:
        """Return the band `key` of `scene` on each of the pixel grids `boxes`.

        Args:
            scene: To be read.
            key: Band of its product.
            boxes: Pixel grids of the cells.
            kind: Of the band; decides the method.
            shift_m: (east, north) metres by which the scene shows places too far east and
                north; it is read that much further on, and then never pasted.

        Raises:
            SourceUnreadable: If the source will not be readable on another try.
            SourceUnavailable: If it may be readable later.
        """


_MOST_ARRANGED = 4
_Arranged = tuple[SourceGrid, Sequence[GeoBox], Shift, list[Piece]]


@dataclass(frozen=True, slots=True)
class RasterSource:
    """Rasters: whole blocks, each read once, then pasted or warped once."""

    reader: BlockReader
    _arranged: list[_Arranged] = field(default_factory=list)

    def place(
        self,
        scene: Scene,
        key: str,
        boxes: Sequence[GeoBox],
        kind: Kind,
        shift_m: Shift = UNMOVED,
    ) -> list[Placed]:
        """Return the band `key` of `scene` on each of the pixel grids `boxes`."""
        pieces: list[Piece] = []

        def choose(grid: SourceGrid) -> list[Area | Window]:
            pieces[:] = self._arrange(grid, boxes, shift_m)
            return [piece.area for piece in pieces]

        grid, _, read = self.reader.read(scene.assets[key], choose, access=scene.access)
        placed = {
            member: one
            for pixels, piece in zip(read, pieces, strict=True)
            for member, one in place_piece(pixels, grid, piece, kind)
        }
        return [placed[i] for i in range(len(boxes))]

    def _arrange(
        self, grid: SourceGrid, boxes: Sequence[GeoBox], shift_m: Shift
    ) -> list[Piece]:
        """The pieces of some cells; the bands of a scene are arranged alike."""
        for a_grid, some_boxes, a_shift, pieces in self._arranged:
            if a_grid == grid and a_shift == shift_m and some_boxes == boxes:
                return pieces
        pieces = arrange(grid, boxes, shift_m)
        self._arranged.append((grid, boxes, shift_m, pieces))
        del self._arranged[:-_MOST_ARRANGED]
        return pieces


@dataclass(slots=True)
class Sources:
    """All that one task reads from."""

    task: BuildTask
    reader: BlockReader = field(default_factory=BlockReader)
    _gridded: GriddedSource | None = None
    _rasters: RasterSource | None = None
    _engines: dict[str, EarthEngineSource] = field(default_factory=dict)
    _verdicts: dict[tuple[str, str], Verdict | None] = field(default_factory=dict)

    @property
    def count(self) -> ReadCount:
        """What reading has cost so far."""
        return self.reader.count

    def place(
        self,
        scene: Scene,
        key: str,
        boxes: Sequence[GeoBox],
        kind: Kind,
        shift_m: Shift = UNMOVED,
    ) -> list[Placed]:
        """Return the band `key` of `scene` on each of the pixel grids `boxes`."""
        if scene.access == "earth-engine":
            source: EarthEngineSource | GriddedSource = self._engine(scene.source)
        elif scene.assets[key].part:
            self._gridded = self._gridded or GriddedSource(count=self.reader.count)
            source = self._gridded
        else:
            self._rasters = self._rasters or RasterSource(self.reader)
            return self._rasters.place(scene, key, boxes, kind, shift_m)
        return source.place(scene, key, [moved(box, shift_m) for box in boxes], kind)

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
