"""Write cubes: gridded fields over time in Zarr v3, grown block by block, published whole.

A block is `BLOCK_STEPS` steps of all variables. Its chunks are written first and its journal
entry last, so that a killed build goes on where it was; readers see no step before
`publish_cube`, which lets the arrays grow and writes a snapshot as its last act.

A cube's folder holds `cube.json` (what it holds), `data.zarr`, `blocks/` (the journal) and
`snapshots/`. One process writes a cube at a time.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorstore as ts

from catalog.errors import StoreError
from stores.cube_schema import (
    BLOCK_STEPS,
    GAP,
    CubeSpec,
    array_metadata,
    group_metadata,
    to_bytes,
)
from stores.cube_state import (
    BLOCKS,
    DATA,
    DESCRIPTION,
    CubeSnapshot,
    newest_snapshot,
    read_spec,
    snapshot_path,
)
from stores.objects import (
    Root,
    create,
    exists,
    get,
    list_numbers,
    make_root,
    put,
    put_new,
    some_paths,
)

Floats = npt.NDArray[np.float32]


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


def written_gaps(root: Root) -> list[int]:
    """Return why each step that was written holds no data, published or not; 0 if it does.

    Blocks count up to the first that is missing or not full.
    """
    gaps: list[int] = []
    for expected, number in enumerate(list_numbers(root, BLOCKS, ".json")):
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
            put(root, "/".join(map(str, (DATA, key, "c", number, *place))), data)
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
            put(root, "/".join(map(str, (DATA, name, "c", *place))), data)
    for name, node in arrays.items():
        put(root, f"{DATA}/{name}/zarr.json", to_bytes(node))
    put(root, f"{DATA}/zarr.json", to_bytes(group_metadata(spec, arrays)))
    snapshot = CubeSnapshot(
        number=1 if last is None else last.number + 1,
        steps=len(gaps),
        gaps=int(np.count_nonzero(gaps)),
        meta=dict(meta),
    )
    put_new(root, snapshot_path(snapshot.number), snapshot.to_bytes())
    return snapshot


def _stored(root: Root, spec: CubeSpec, key: str, steps: slice) -> Floats:
    """Steps of a variable that were written, published or not."""
    array = {
        "driver": "zarr3",
        "kvstore": root.kvstore(f"{DATA}/{key}"),
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
    return f"{BLOCKS}/{number:06d}.json"
