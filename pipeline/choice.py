"""How far the search for a sample's observations has come, and what was chosen so far."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from catalog.errors import SourceUnreadable
from catalog.scene import Scene
from pipeline.coregister import PairShift
from pipeline.observe import Patch, View, view_cells
from pipeline.place import UNMOVED, Shift
from pipeline.sources import Sources
from pipeline.task import LayerTask, TaskSample

Key = tuple[int, str]
"""Position of a sample, and a layer."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a sample cannot be made."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Choice:
    """The observation taken for one layer of one sample."""

    rank: int
    scenes: tuple[Scene, ...]
    view: View
    shift: PairShift | None = None
    """How far its pass lies off the anchor's; None if that was not asked."""
    haze: str = ""
    """What the haze check says of it and its anchor; `''` if that was not asked."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of its scenes."""
        return tuple(scene.id for scene in self.scenes)

    @property
    def shift_m(self) -> Shift:
        """Metres east and north that it is corrected by."""
        if self.shift is None or not self.shift.accepted:
            return UNMOVED
        return self.shift.east_m, self.shift.north_m


Taken = Mapping[Key, tuple[Choice, Patch]]
"""What was read so far."""


@dataclass(slots=True)
class Search:
    """How far the search for one layer of one sample has come."""

    rank: int = 0
    best: tuple[float, float, str] = (0.0, 0.0, "")
    """Usable fraction, covered fraction and id of the best observation so far."""
    unreadable: list[str] = field(default_factory=list)
    refused: list[Failure] = field(default_factory=list)
    """Why readable observations were passed over, other than for clouds."""


def view_samples(
    layer: LayerTask,
    scenes: tuple[Scene, ...],
    samples: Sequence[TaskSample],
    sources: Sources,
    searches: dict[Key, Search],
    shift_m: Shift,
) -> Iterable[tuple[TaskSample, View | None]]:
    """Each sample's view of one observation; None where it cannot be read."""
    try:
        views = view_cells(sources, layer, scenes, [s.cell for s in samples], shift_m)
    except SourceUnreadable as err:
        for sample in samples:
            searches[sample.position, layer.name].unreadable.append(str(err))
        return [(sample, None) for sample in samples]
    name = ";".join(scene.id for scene in scenes)
    for sample, view in zip(samples, views, strict=True):
        search = searches[sample.position, layer.name]
        search.best = max(search.best, (view.usable, view.covered, name))
    return list(zip(samples, views, strict=True))
