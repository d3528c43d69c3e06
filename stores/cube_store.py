"""Read cubes: gridded fields over time, as far as they are published."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import tensorstore as ts

from catalog.errors import StoreError, nearest_choice
from stores.cube_schema import (
    GAP,
    GAP_MEANINGS,
    CubeSpec,
)
from stores.cube_state import (
    DATA,
    CubeSnapshot,
    newest_snapshot,
    read_spec,
)
from stores.objects import (
    Root,
    open_root,
)

Floats = npt.NDArray[np.float32]

_ALL = slice(None)


@dataclass(slots=True)
class CubeStore:
    """A published cube, for reading. It shows one snapshot, whatever is written meanwhile."""

    root: Root
    spec: CubeSpec
    snapshot: CubeSnapshot
    _arrays: dict[str, ts.TensorStore] = field(default_factory=dict)

    @classmethod
    def open(cls, uri: str | Path) -> Self:
        """Open the newest state of the cube at `uri`.

        Raises:
            StoreError: If there is no cube, or nothing of it was published.
        """
        root = open_root(uri)
        spec, snapshot = read_spec(root), newest_snapshot(root)
        if snapshot is None:
            raise StoreError(f"cube {root.uri} has no published state; finish its build first")
        return cls(root, spec, snapshot)

    @property
    def steps(self) -> int:
        """Length of the time axis."""
        return self.snapshot.steps

    @property
    def times(self) -> tuple[datetime, ...]:
        """Times of all steps, aware UTC."""
        return tuple(self.spec.time_of(step) for step in range(self.steps))

    @property
    def zarr_uri(self) -> str:
        """Folder that xarray opens."""
        return f"{self.root.uri}/{DATA}"

    def read(
        self, variable: str, times: slice = _ALL, rows: slice = _ALL, columns: slice = _ALL
    ) -> Floats:
        """Return part of a variable, float32 `(time, y, x)`; NaN where there is no data.

        Raises:
            StoreError: If the cube has no such variable.
        """
        if variable not in self.spec.keys:
            raise StoreError(
                f"cube {self.root.uri} has no variable {variable!r}; "
                f"{nearest_choice(variable, self.spec.keys)}"
            )
        count, height, width = self.steps, *self.spec.shape
        return self._read(
            variable,
            (
                slice(*times.indices(count)),
                slice(*rows.indices(height)),
                slice(*columns.indices(width)),
            ),
        )

    def gaps(self) -> npt.NDArray[np.uint8]:
        """Return for each step why it holds no data, as a number in `GAP_MEANINGS`."""
        return np.asarray(self._read(GAP, (slice(0, self.steps),)), dtype=np.uint8)

    def gap_reasons(self) -> dict[str, tuple[datetime, ...]]:
        """Return the times without data by the reason; reasons without times are left out."""
        gaps = self.gaps()
        found = {
            reason: tuple(self.spec.time_of(int(step)) for step in np.flatnonzero(gaps == n))
            for n, reason in enumerate(GAP_MEANINGS)
            if n
        }
        return {reason: times for reason, times in found.items() if times}

    def windows(self, length: int, ahead: int = 0) -> npt.NDArray[np.int64]:
        """Return the first step of every window that holds data throughout.

        Args:
            length: Steps of a window.
            ahead: Steps from its last one to the step to be predicted, which must hold data
                too; 0 for none.

        Raises:
            StoreError: If a window has no step, or the target lies before its end.
        """
        if length < 1 or ahead < 0:
            raise StoreError(
                f"windows of {length} steps with a target {ahead} steps ahead make no sense; "
                f"use a length of 1 or more, and 0 or more steps ahead"
            )
        missing = np.concatenate([[0], np.cumsum(self.gaps() != 0)])
        starts = np.arange(max(self.steps - length - ahead + 1, 0))
        whole = missing[starts + length] == missing[starts]
        target = starts + length - 1 + ahead
        return np.asarray(starts[whole & (missing[target + 1] == missing[target])], np.int64)

    def _read(self, name: str, window: tuple[slice, ...]) -> npt.NDArray[Any]:
        if name not in self._arrays:
            self._arrays[name] = _open(self.root, name)
        return np.asarray(self._arrays[name][window].read().result())


def _open(root: Root, name: str) -> ts.TensorStore:
    spec = {"driver": "zarr3", "kvstore": root.kvstore(f"{DATA}/{name}")}
    try:
        return ts.open(spec, open=True, read=True).result()
    except ValueError as err:
        raise StoreError(
            f"array {name!r} of cube {root.uri} cannot be opened; build it anew: {err}"
        ) from err
