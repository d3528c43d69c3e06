"""What a cube of gridded fields holds, and the Zarr v3 metadata that says so.

Every variable is an array `(time, y, x)` on one grid of latitudes and longitudes; the steps of
time are regular, so that a lag is a number of steps.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from catalog.errors import StoreError

FORMAT = 1
BLOCK_STEPS = 24
"""Steps of one chunk; what is written, and lost to a kill, at once."""
TILE_POINTS = 128
"""Rows and columns of one chunk, at most."""
AXIS_CHUNK = 8192
"""Entries of one chunk of an axis."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
GAP = "gap"
"""Name of the array that tells steps without data."""
GAP_MEANINGS = ("none", "not_listed", "unreadable")
"""Why a step holds no data, by its number in the array `gap`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CubeVariable:
    """One variable of a cube."""

    key: str
    """Band key of the product table."""
    long_name: str
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CubeSpec:
    """What a cube holds, apart from how many steps."""

    name: str
    product: str
    variables: tuple[CubeVariable, ...]
    latitudes: tuple[float, ...]
    """Of the rows, degrees, ascending."""
    longitudes: tuple[float, ...]
    """Of the columns, degrees, ascending."""
    start: datetime
    """Time of the first step, aware UTC."""
    step: timedelta
    license: str
    attribution: str
    citation: str

    def __post_init__(self) -> None:
        names = [variable.key for variable in self.variables]
        if not names or len({*names, "time", "lat", "lon", GAP}) != len(names) + 4:
            raise StoreError(
                f"cube {self.name!r} cannot hold the variables {', '.join(names) or 'none'}; "
                f"expected distinct names other than time, lat, lon and {GAP}"
            )
        if not self.latitudes or not self.longitudes:
            raise StoreError(f"cube {self.name!r} has no grid point; take a larger area")

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.latitudes), len(self.longitudes)

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the variables, in order."""
        return tuple(variable.key for variable in self.variables)

    def step_bytes(self) -> int:
        """Return the size of one step of all variables, uncompressed."""
        rows, columns = self.shape
        return 4 * len(self.variables) * rows * columns

    def time_of(self, step: int) -> datetime:
        """Return the time of a step, counted from 0."""
        return self.start + step * self.step

    def minutes_of(self, step: int) -> int:
        """Return the time of a step as stored: minutes since 1970."""
        return round((self.time_of(step) - EPOCH) / timedelta(minutes=1))

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready description."""
        return {
            "format": FORMAT,
            **asdict(self),
            "start": self.start.isoformat(),
            "step": self.step.total_seconds(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the specification that `to_json` described.

        Raises:
            StoreError: If the cube was written in another format.
        """
        fields = dict(data)
        if fields.pop("format", None) != FORMAT:
            raise StoreError(
                f"the cube was written as format {data.get('format')!r}, this version reads "
                f"{FORMAT}; upgrade geoloupe or build the cube anew"
            )
        return cls(
            **{
                **fields,
                "variables": tuple(CubeVariable(**v) for v in fields["variables"]),
                "latitudes": tuple(fields["latitudes"]),
                "longitudes": tuple(fields["longitudes"]),
                "start": datetime.fromisoformat(fields["start"]),
                "step": timedelta(seconds=fields["step"]),
            }
        )


def array_metadata(spec: CubeSpec, steps: int) -> dict[str, dict[str, Any]]:
    """Return the metadata of every array of a cube of so many steps, by name."""
    rows, columns = spec.shape
    found = {
        "time": _axis("int64", [steps], _TIME, "time"),
        "lat": _axis("float64", [rows], _LATITUDE, "lat"),
        "lon": _axis("float64", [columns], _LONGITUDE, "lon"),
        GAP: _axis("uint8", [steps], _GAP, "time"),
    }
    tile = [min(rows, TILE_POINTS), min(columns, TILE_POINTS)]
    for variable in spec.variables:
        attributes = {"long_name": variable.long_name, "units": variable.unit}
        found[variable.key] = _array(
            "float32",
            [steps, rows, columns],
            [BLOCK_STEPS, *tile],
            ["time", "lat", "lon"],
            attributes,
        )
    return found


def group_metadata(spec: CubeSpec, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of the group; it repeats that of all arrays, for one-look readers."""
    return {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": {
            "Conventions": "CF-1.11",
            "title": spec.name,
            "product": spec.product,
            "license": spec.license,
            "attribution": spec.attribution,
            "references": spec.citation,
        },
        "consolidated_metadata": {
            "kind": "inline",
            "must_understand": False,
            "metadata": dict(arrays),
        },
    }


def to_bytes(node: Mapping[str, Any]) -> bytes:
    """Return a JSON document as it is stored."""
    return (json.dumps(node, indent=1) + "\n").encode()


_TIME = {
    "standard_name": "time",
    "axis": "T",
    "units": "minutes since 1970-01-01 00:00:00",
    "calendar": "proleptic_gregorian",
}
_LATITUDE = {
    "standard_name": "latitude",
    "long_name": "latitude",
    "units": "degrees_north",
    "axis": "Y",
}
_LONGITUDE = {
    "standard_name": "longitude",
    "long_name": "longitude",
    "units": "degrees_east",
    "axis": "X",
}
_GAP = {
    "long_name": "why a step holds no data",
    "flag_values": list(range(len(GAP_MEANINGS))),
    "flag_meanings": " ".join(GAP_MEANINGS),
}


def _axis(
    dtype: str, shape: list[int], attributes: Mapping[str, Any], dimension: str
) -> dict[str, Any]:
    return _array(dtype, shape, [AXIS_CHUNK], [dimension], attributes)


def _array(
    dtype: str,
    shape: list[int],
    chunk: list[int],
    dimensions: list[str],
    attributes: Mapping[str, Any],
) -> dict[str, Any]:
    size = {"uint8": 1, "float32": 4}.get(dtype, 8)
    endian = {"name": "bytes", "configuration": {"endian": "little"}}
    blosc = {
        "cname": "zstd",
        "clevel": 3,
        "shuffle": "bitshuffle",
        "typesize": size,
        "blocksize": 0,
    }
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": "NaN" if dtype.startswith("float") else 0,
        "codecs": [
            endian if size > 1 else {"name": "bytes"},
            {"name": "blosc", "configuration": blosc},
        ],
        "dimension_names": dimensions,
        "attributes": dict(attributes),
    }
