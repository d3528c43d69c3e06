"""NetCDF-4 files of gridded fields: one time step of one variable, by its window."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import h5netcdf
import numpy as np
import numpy.typing as npt

from catalog.errors import SourceUnavailable, SourceUnreadable
from catalog.product import Access
from pipeline.access import is_remote, shown
from pipeline.ranges import RangeFile

Floats = npt.NDArray[np.float32]

_SINCE = re.compile(
    r"(?P<unit>seconds|minutes|hours|days) since (?P<day>\d{4}-\d{1,2}-\d{1,2})"
    r"(?:[T ](?P<time>\d{1,2}:\d{2}(?::\d{2})?)(?:\.0*)?)?(?: ?(?:UTC|Z|\+?0?0:?00))?",
    re.IGNORECASE,
)
_FILLS = ("_FillValue", "missing_value", "fmissing_value")
_LATER_S = 60.0
"""Seconds by which a step's time may differ from the one asked for."""


@dataclass(slots=True)
class GridFile:
    """One open file. Its grid is regular: a latitude per row, a longitude per column."""

    href: str
    latitudes: npt.NDArray[np.float64]
    """Of the rows, degrees, as stored: ascending or descending."""
    longitudes: npt.NDArray[np.float64]
    """Of the columns, degrees, ascending."""
    times: tuple[datetime, ...]
    """Of the steps, aware UTC."""
    _file: Any
    _remote: RangeFile | None

    @classmethod
    def open(cls, href: str, access: Access) -> Self:
        """Open a file on disk or over HTTP ranges.

        Raises:
            SourceUnreadable: If it is missing, no NetCDF-4 file, or has no grid by latitude,
                longitude and time.
            SourceUnavailable: If its server is at fault or out of reach for now.
        """
        remote = RangeFile(href, access) if is_remote(href) else None
        with _as_source_error(href, remote):
            file = h5netcdf.File(remote or href, "r", decode_vlen_strings=True)
        try:
            with _as_source_error(href, remote):
                return cls(
                    href=href,
                    latitudes=_axis(file, "lat", href),
                    longitudes=_axis(file, "lon", href),
                    times=_times(file, href),
                    _file=file,
                    _remote=remote,
                )
        except BaseException:
            file.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
        if self._remote is not None:
            self._remote.close()

    def step_at(self, time: datetime, *, stated: int) -> int:
        """Return which time step is that of `time`, from 0.

        Args:
            time: Aware.
            stated: Where it should be, from 1, by the file's name. Files that were cut in time
                have it elsewhere.

        Raises:
            SourceUnreadable: If the file holds no such time.
        """
        near = [abs((held - time).total_seconds()) <= _LATER_S for held in self.times]
        if 0 < stated <= len(near) and near[stated - 1]:
            return stated - 1
        if True in near:
            return near.index(True)
        holds = f"{self.times[0]:%Y-%m-%d %H:%M} to {self.times[-1]:%Y-%m-%d %H:%M}"
        raise SourceUnreadable(
            f"{shown(self.href)} holds {len(near)} steps, {holds} UTC, and none at "
            f"{time:%Y-%m-%d %H:%M}; its name promises one"
        )

    def unit(self, variable: str) -> str:
        """Return the unit of a variable as the product table writes it.

        Raises:
            SourceUnreadable: If there is no such variable.
        """
        with _as_source_error(self.href, self._remote):
            return plain_unit(_text(self._variable(variable).attrs.get("units", "")))

    def read(self, variable: str, step: int, rows: slice, columns: slice) -> Floats:
        """Return a window of one step, float32 `(rows, columns)`; NaN where there is no data.

        Raises:
            SourceUnreadable: If there is no such variable, or its bytes are damaged.
            SourceUnavailable: If the server is at fault or out of reach for now.
        """
        with _as_source_error(self.href, self._remote):
            found = self._variable(variable)
            if found.dimensions != ("time", "lat", "lon"):
                raise SourceUnreadable(
                    f"variable {variable!r} of {shown(self.href)} has the dimensions "
                    f"{', '.join(found.dimensions)}; expected time, lat, lon"
                )
            raw = np.asarray(found[step, rows, columns])
            return _decode(raw, {k: found.attrs.get(k) for k in found.attrs})

    def _variable(self, name: str) -> Any:  # noqa: ANN401 - h5netcdf has no types
        if name not in self._file.variables:
            known = sorted(set(self._file.variables) - {"lat", "lon", "time"})
            raise SourceUnreadable(
                f"{shown(self.href)} has no variable {name!r}; it has {', '.join(known)}"
            )
        return self._file.variables[name]


def plain_unit(unit: str) -> str:
    """Return a unit in the spelling of the product table.

    Example:
        >>> plain_unit("kg/kg"), plain_unit("m/s"), plain_unit("unitless")
        ('kg kg-1', 'm s-1', '1')
    """
    known = {
        "": "1",
        "unitless": "1",
        "none": "1",
        "dimensionless": "1",
        "kelvin": "K",
        "kg/kg": "kg kg-1",
        "kg/m2": "kg m-2",
        "kg/m^2": "kg m-2",
        "kg/m3": "kg m-3",
        "m/s": "m s-1",
    }
    bare = " ".join(unit.replace("**", "").split())
    return known.get(bare.lower(), bare)


def _decode(raw: npt.NDArray[Any], attributes: dict[str, Any]) -> Floats:
    """Physical values: fills become NaN, then scale and offset, by the CF conventions."""
    values = raw.astype(np.float32)
    for name in _FILLS:
        fill = attributes.get(name)
        if fill is not None:
            values[raw == np.asarray(fill, dtype=raw.dtype).reshape(-1)[0]] = np.nan
    scale, offset = _number(attributes, "scale_factor", 1), _number(attributes, "add_offset", 0)
    return values if (scale, offset) == (1, 0) else (values * scale + offset).astype(np.float32)


def _number(attributes: dict[str, Any], name: str, otherwise: float) -> float:
    value = attributes.get(name)
    return otherwise if value is None else float(np.asarray(value).reshape(-1)[0])


def _axis(file: Any, name: str, href: str) -> npt.NDArray[np.float64]:  # noqa: ANN401 - h5netcdf has no types
    if name not in file.variables or file.variables[name].ndim != 1:
        raise SourceUnreadable(f"{shown(href)} has no axis {name!r}")
    values = np.asarray(file.variables[name][:], dtype=np.float64)
    # GEOS writes -179.99999999999997 and 1e-14 for -180 and 0.
    values = np.round(values, 6) + 0.0
    steps = np.diff(values)
    ascending = bool((steps > 0).all())
    if len(values) < 2 or not (ascending or (name == "lat" and bool((steps < 0).all()))):
        raise SourceUnreadable(f"the axis {name!r} of {shown(href)} is not monotonic")
    return values


def _times(file: Any, href: str) -> tuple[datetime, ...]:  # noqa: ANN401 - h5netcdf has no types
    if "time" not in file.variables:
        raise SourceUnreadable(f"{shown(href)} has no axis 'time'")
    axis = file.variables["time"]
    units = _text(axis.attrs.get("units", ""))
    since = _SINCE.fullmatch(units.strip())
    if since is None:
        raise SourceUnreadable(
            f"the times of {shown(href)} are in {units!r}; expected a text like "
            f"'minutes since 2021-01-10 00:30:00'"
        )
    day = datetime.strptime(since["day"], "%Y-%m-%d").replace(tzinfo=UTC)
    parts = [*(int(p) for p in (since["time"] or "0:00").split(":")), 0]
    start = day + timedelta(hours=parts[0], minutes=parts[1], seconds=parts[2])
    unit = since["unit"].lower()
    return tuple(
        start + timedelta(**{unit: float(value)}) for value in np.atleast_1d(axis[...])
    )


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


@contextmanager
def _as_source_error(href: str, remote: RangeFile | None) -> Iterator[None]:
    """Say what went wrong with the source instead of inside the library."""
    try:
        yield
    except (SourceUnreadable, SourceUnavailable):
        raise
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as err:
        if remote is not None and remote.failure is not None:
            raise remote.failure from err
        if not is_remote(href) and isinstance(err, FileNotFoundError):
            raise SourceUnreadable(f"{href} could not be read: there is no such file") from err
        raise SourceUnreadable(
            f"{shown(href)} could not be read as NetCDF-4: {str(err)[:200]}"
        ) from err
