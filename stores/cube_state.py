"""What a cube holds and how far it is published: the small objects beside its arrays."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from catalog.errors import StoreError
from stores.cube_schema import CubeSpec, to_bytes
from stores.objects import Root, exists, get, list_numbers

DESCRIPTION = "cube.json"
DATA = "data.zarr"
BLOCKS = "blocks"
SNAPSHOTS = "snapshots"
"""What lies in a cube's folder."""


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


def newest_snapshot(root: Root) -> CubeSnapshot | None:
    """Return the last published state of a cube; None if there is none."""
    numbers = list_numbers(root, SNAPSHOTS, ".json")
    return CubeSnapshot.from_bytes(get(root, snapshot_path(numbers[-1]))) if numbers else None


def snapshot_path(number: int) -> str:
    """Return where a snapshot lies in a cube's folder."""
    return f"{SNAPSHOTS}/{number:06d}.json"
