"""The three cases of the build benchmark."""

from dataclasses import dataclass

from tests.bench.archive import BenchArchive, Place

SPARSE_CELLS = 64


@dataclass(frozen=True, slots=True)
class Case:
    """One case of the benchmark."""

    prefix: str
    archive: BenchArchive
    places: tuple[Place, ...]
    places_4x: tuple[Place, ...]
    """Cells of four times the area."""
    warped: bool

    @property
    def patches(self) -> int:
        """Samples of all dates."""
        return len(self.places) * self.archive.dates


def cases(archive: BenchArchive) -> list[Case]:
    """Return the three cases."""
    area, tile = tuple(archive.area), tuple(archive.tile)
    few, many = (tuple(archive.scattered(n)) for n in (SPARSE_CELLS, 4 * SPARSE_CELLS))
    return [
        Case("", archive, area, tile, warped=False),
        Case("warp_", archive, area, tile, warped=True),
        Case("sparse_", archive, few, many, warped=False),
    ]
