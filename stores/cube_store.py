"""Cubes: gridded fields over time in Zarr v3, grown block by block and published whole.

A block is `BLOCK_STEPS` steps of all variables. Its chunks are written first and its journal
entry last, so that a killed build goes on where it was; readers see no step before
`publish_cube`, which lets the arrays grow and writes a snapshot as its last act.

A cube's folder holds `cube.json` (what it holds), `data.zarr`, `blocks/` (the journal) and
`snapshots/`. One process writes a cube at a time.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import tensorstore as ts

from catalog.errors import StoreError, nearest_choice
from stores.cube_schema import (
    BLOCK_STEPS,
    GAP,
    GAP_MEANINGS,
    CubeSpec,
    array_metadata,
    group_metadata,
    to_bytes,
)
from stores.objects import (
    Root,
    create,
    exists,
    get,
    list_numbers,
    make_root,
    open_root,
    put,
    put_new,
    some_paths,
)

Floats = npt.NDArray[np.float32]

DESCRIPTION = "cube.json"
_DATA = "data.zarr"
_BLOCKS = "blocks"
_SNAPSHOTS = "snapshots"
_ALL = slice(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CubeSnapshot:
    """One published state of a cube."""

    number: int
    steps: int
    """Length of the time axis."""
    gaps: int
    """Steps that hold no data."""
    meta: Mapping[str, Any]
    """What the writer says of it: recipe, versions."""

    def to_bytes(self) -> bytes:
        """Return the JSON object."""
        return to_bytes(asdict(self))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return the snapshot that `to_bytes` described."""
        return cls(**json.loads(data))


def create_cube(uri: str | Path, spec: CubeSpec) -> Root:
    """Make an empty cube, or accept the one that is there if it holds the same.

    Args:
        uri: Folder of the cube; made if it is missing.
        spec: What it will hold.

    Raises:
        StoreError: If the folder holds something else, or a cube of another specification.
    """
    root = make_root(uri)
    if not exists(root, DESCRIPTION):
        found = some_paths(root)
        if found:
            raise StoreError(
                f"{root.uri} holds something else ({', '.join(found[:5])}) and is no cube; use "
                f"an empty or a new folder"
            )
        create(root, DESCRIPTION, to_bytes(spec.to_json()))
    present = read_spec(root)
    if present != spec:
        fields = [k for k, v in present.to_json().items() if v != spec.to_json()[k]]
        raise StoreError(
            f"cube {root.uri} was made for another recipe: {', '.join(fields)} differ; use a "
            f"new store path"
        )
    return root


def read_spec(root: Root) -> CubeSpec:
    """Return what a cube holds.

    Raises:
        StoreError: If there is no cube, or one of another format.
    """
    if not exists(root, DESCRIPTION):
        raise StoreError(f"{root.uri} is no cube: it has no {DESCRIPTION}; check the path")
    try:
        return CubeSpec.from_json(json.loads(get(root, DESCRIPTION)))
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError) as err:
        if isinstance(err, StoreError):
            raise
        raise StoreError(
            f"{root.uri}/{DESCRIPTION} does not describe a cube: {err!r}; use another path"
        ) from err


def written_gaps(root: Root) -> list[int]:
    """Return why each step that was written holds no data, published or not; 0 if it does.

    Blocks count up to the first that is missing or not full.
    """
    gaps: list[int] = []
    for expected, number in enumerate(list_numbers(root, _BLOCKS, ".json")):
        if number != expected or len(gaps) != expected * BLOCK_STEPS:
            break
        gaps += json.loads(get(root, _block_path(number)))["gaps"]
    return gaps


def write_block(
    root: Root, spec: CubeSpec, number: int, fields: Mapping[str, Floats], gaps: Sequence[int]
) -> None:
    """Write steps of one block of every variable; the last block may be short, and grow.

    Args:
        root: Cube to write to.
        spec: What it holds.
        number: Of the block, from 0; it starts at step `number * BLOCK_STEPS`.
        fields: Variable -> `(steps, y, x)`, NaN where there is no data.
        gaps: For each step, its number in `GAP_MEANINGS`.

    Raises:
        StoreError: If shapes do not fit, or a block before it is not full.
    """
    written = written_gaps(root)
    if number * BLOCK_STEPS > len(written):
        raise StoreError(
            f"block {number} of cube {root.uri} cannot be written after {len(written)} steps; "
            f"write block {len(written) // BLOCK_STEPS} first"
        )
    metadata = array_metadata(spec, BLOCK_STEPS)
    for key in spec.keys:
        values = np.asarray(fields[key], dtype=np.float32)
        if values.shape != (len(gaps), *spec.shape) or not 0 < len(gaps) <= BLOCK_STEPS:
            raise StoreError(
                f"variable {key!r} of cube {root.uri} takes 1 to {BLOCK_STEPS} steps of "
                f"{spec.shape}, got {values.shape} for {len(gaps)} steps"
            )
        for (_, *place), data in _chunks(metadata[key], values):
            put(root, "/".join(map(str, (_DATA, key, "c", number, *place))), data)
    put(root, _block_path(number), to_bytes({"number": number, "gaps": list(map(int, gaps))}))


def append(
    root: Root, spec: CubeSpec, fields: Mapping[str, Floats], gaps: Sequence[int]
) -> int:
    """Write steps after the last that was written; return how many there are now.

    Args:
        root: Cube to write to.
        spec: What it holds.
        fields: Variable -> `(steps, y, x)`, NaN where there is no data.
        gaps: For each step, its number in `GAP_MEANINGS`.

    Raises:
        StoreError: If shapes do not fit.
    """
    written = written_gaps(root)
    number, short = divmod(len(written), BLOCK_STEPS)
    if short:
        before = slice(number * BLOCK_STEPS, len(written))
        fields = {
            key: np.concatenate([_stored(root, spec, key, before), fields[key]])
            for key in spec.keys
        }
        gaps = [*written[before], *gaps]
    for start in range(0, len(gaps), BLOCK_STEPS):
        part = slice(start, start + BLOCK_STEPS)
        block = {key: fields[key][part] for key in spec.keys}
        write_block(root, spec, number + start // BLOCK_STEPS, block, gaps[part])
    return number * BLOCK_STEPS + len(gaps)


def publish_cube(root: Root, meta: Mapping[str, Any]) -> CubeSnapshot | None:
    """Let readers see all steps that were written.

    Doing it again without new steps returns the same snapshot and writes nothing.

    Returns:
        The newest snapshot; None if nothing was ever written.
    """
    spec, gaps = read_spec(root), written_gaps(root)
    last = newest_snapshot(root)
    if not gaps or (last is not None and last.steps >= len(gaps)):
        return last
    minutes = np.array([spec.minutes_of(i) for i in range(len(gaps))], dtype=np.int64)
    axes: dict[str, npt.NDArray[Any]] = {
        "time": minutes,
        "lat": np.array(spec.latitudes),
        "lon": np.array(spec.longitudes),
        GAP: np.array(gaps, dtype=np.uint8),
    }
    arrays = array_metadata(spec, len(gaps))
    for name, values in axes.items():
        for place, data in _chunks(arrays[name], values):
            put(root, "/".join(map(str, (_DATA, name, "c", *place))), data)
    for name, node in arrays.items():
        put(root, f"{_DATA}/{name}/zarr.json", to_bytes(node))
    put(root, f"{_DATA}/zarr.json", to_bytes(group_metadata(spec, arrays)))
    snapshot = CubeSnapshot(
        number=1 if last is None else last.number + 1,
        steps=len(gaps),
        gaps=int(np.count_nonzero(gaps)),
        meta=dict(meta),
    )
    put_new(root, _snapshot_path(snapshot.number), snapshot.to_bytes())
    return snapshot


def newest_snapshot(root: Root) -> CubeSnapshot | None:
    """Return the last published state of a cube; None if there is none."""
    numbers = list_numbers(root, _SNAPSHOTS, ".json")
    return CubeSnapshot.from_bytes(get(root, _snapshot_path(numbers[-1]))) if numbers else None


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
        return f"{self.root.uri}/{_DATA}"

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
    spec = {"driver": "zarr3", "kvstore": root.kvstore(f"{_DATA}/{name}")}
    try:
        return ts.open(spec, open=True, read=True).result()
    except ValueError as err:
        raise StoreError(
            f"array {name!r} of cube {root.uri} cannot be opened; build it anew: {err}"
        ) from err


def _stored(root: Root, spec: CubeSpec, key: str, steps: slice) -> Floats:
    """Steps of a variable that were written, published or not."""
    array = {
        "driver": "zarr3",
        "kvstore": root.kvstore(f"{_DATA}/{key}"),
        "metadata": array_metadata(spec, steps.stop)[key],
    }
    opened = ts.open(array, open=True, read=True, assume_metadata=True).result()
    return np.asarray(opened[steps].read().result(), dtype=np.float32)


def _chunks(
    metadata: Mapping[str, Any], values: npt.NDArray[Any]
) -> Iterator[tuple[tuple[int, ...], bytes]]:
    """Yield the place and the bytes of each chunk of an array, as if it ended with `values`."""
    context = ts.Context()
    memory = ts.KvStore.open({"driver": "memory"}, context=context).result()
    array = {
        "driver": "zarr3",
        "kvstore": {"driver": "memory"},
        "metadata": {**metadata, "shape": list(values.shape)},
        # Chunks that hold no data are objects too: a block that is redone replaces them.
        "store_data_equal_to_fill_value": True,
    }
    ts.open(array, create=True, context=context).result().write(values).result()
    for key in memory.list().result():
        name = key.decode()
        if name.startswith("c/"):
            place = tuple(int(part) for part in name.removeprefix("c/").split("/"))
            yield place, bytes(memory.read(key).result().value)


def _block_path(number: int) -> str:
    return f"{_BLOCKS}/{number:06d}.json"


def _snapshot_path(number: int) -> str:
    return f"{_SNAPSHOTS}/{number:06d}.json"
