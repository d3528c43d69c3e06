"""MERRA-2-like and G5NR-like files: dust that drifts over the sandbox, coarse and fine.

Names, folders, attributes, units and fill values are those of the genuine files; the values
are not. Both share their large-scale weather, so that one can be sharpened into the other;
only the fine one has filaments. A date of the simulation has the weather of the same day of
the sandbox's year.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from pyproj import Transformer

from pipeline.sandbox.gridded_weather import Weather, draw_weather
from pipeline.sandbox.schedule import SandboxConfig

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

FILL = np.float32(1e15)
MERRA2_FOLDER = "merra2"
G5NR_FOLDER = "g5nr"
NATURE_YEAR = 2006
"""Year of the simulation that stands for any year of the sandbox."""
_REACH_DEG = (2.5, 3.125)
"""How far MERRA-2-like files reach around the area, latitude and longitude."""
_NATURE_REACH_DEG = (1.0, 1.25)
_LIMIT = np.float32(1e15)


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable as the genuine files describe it."""

    long_name: str
    unit: str
    of: Callable[[Weather], Floats]


_EFFICIENCY_M2_PER_KG = 600.0
_LAYER_M = 2500.0

AEROSOL: Mapping[str, Variable] = MappingProxyType(
    {
        "DUEXTTAU": Variable("Dust Extinction AOT [550 nm]", "1", lambda w: w.dust),
        "DUSCATAU": Variable("Dust Scattering AOT [550 nm]", "1", lambda w: 0.93 * w.dust),
        "DUCMASS": Variable(
            "Dust Column Mass Density", "kg m-2", lambda w: w.dust / _EFFICIENCY_M2_PER_KG
        ),
        "DUSMASS": Variable(
            "Dust Surface Mass Concentration",
            "kg m-3",
            lambda w: w.dust / _EFFICIENCY_M2_PER_KG / _LAYER_M,
        ),
        "SSEXTTAU": Variable("Sea Salt Extinction AOT [550 nm]", "1", lambda w: w.sea_salt),
        "SUEXTTAU": Variable("SO4 Extinction AOT [550 nm]", "1", lambda w: 0.6 * w.smoke),
        "BCEXTTAU": Variable(
            "Black Carbon Extinction AOT [550 nm]", "1", lambda w: 0.1 * w.smoke
        ),
        "OCEXTTAU": Variable(
            "Organic Carbon Extinction AOT [550 nm]", "1", lambda w: 0.3 * w.smoke
        ),
        "TOTEXTTAU": Variable("Total Aerosol Extinction AOT [550 nm]", "1", lambda w: w.total),
        "TOTSCATAU": Variable(
            "Total Aerosol Scattering AOT [550 nm]", "1", lambda w: 0.95 * w.total
        ),
        "TOTANGSTR": Variable(
            "Total Aerosol Angstrom parameter [470-870 nm]", "1", lambda w: w.angstrom
        ),
    }
)
SINGLE_LEVEL: Mapping[str, Variable] = MappingProxyType(
    {
        "T2M": Variable("2-meter_air_temperature", "K", lambda w: w.temperature),
        "T10M": Variable("10-meter_air_temperature", "K", lambda w: w.temperature - 0.3),
        "QV2M": Variable("2-meter_specific_humidity", "kg kg-1", lambda w: w.humidity),
        "PS": Variable("surface_pressure", "Pa", lambda w: w.pressure - 350.0),
        "SLP": Variable("sea_level_pressure", "Pa", lambda w: w.pressure),
        "U10M": Variable("10-meter_eastward_wind", "m s-1", lambda w: w.wind_east),
        "V10M": Variable("10-meter_northward_wind", "m s-1", lambda w: w.wind_north),
        "U2M": Variable("2-meter_eastward_wind", "m s-1", lambda w: 0.8 * w.wind_east),
        "V2M": Variable("2-meter_northward_wind", "m s-1", lambda w: 0.8 * w.wind_north),
        "TQV": Variable(
            "total_precipitable_water_vapor", "kg m-2", lambda w: 2400.0 * w.humidity
        ),
    }
)
_DOI = {"aer": "10.5067/KLICLTZ8EM9D", "slv": "10.5067/VJAFPLI1CSIV"}
_TITLE = {"aer": "Aerosol Diagnostics", "slv": "Single-Level Diagnostics"}


def ignore_file(_: Path) -> None:
    """Take no notice of a finished file."""


def write_gridded(
    out: Path,
    config: SandboxConfig,
    *,
    days: Sequence[date] | None = None,
    nature_days: Sequence[date] | None = None,
    on_file: Callable[[Path], None] = ignore_file,
) -> list[Path]:
    """Write gridded files around the area of a sandbox; the same config gives the same bytes.

    Args:
        out: Folder to write to. Daily files lie in `merra2/`; half-hourly ones below `g5nr/`,
            in the folders of their archive.
        config: The sandbox that they belong to.
        days: Of the daily files, aerosol and single-level; default all of the sandbox.
        nature_days: Of the half-hourly files, in 2005 to 2007; default the first day of
            the sandbox, in 2006.
        on_file: Told of each file.

    Returns:
        The files, in order of name.
    """
    written = []
    for day in days if days is not None else _all_days(config):
        for group, variables in (("aer", AEROSOL), ("slv", SINGLE_LEVEL)):
            path = out / MERRA2_FOLDER / f"MERRA2_400.tavg1_2d_{group}_Nx.{day:%Y%m%d}.nc4"
            _write_day(path, config, day, group, variables)
            on_file(path)
            written.append(path)
    for day in nature_days if nature_days is not None else [nature_day(config.start)]:
        for number in range(48):
            time = _midnight(day) + number * timedelta(minutes=30)
            path = out / G5NR_FOLDER / nature_path(time)
            _write_half_hour(path, config, time)
            on_file(path)
            written.append(path)
    return sorted(written)


def nature_day(day: date) -> date:
    """Return the day of the simulation that has the weather of a day of the sandbox."""
    return day.replace(year=NATURE_YEAR, day=min(day.day, 28))


def nature_path(time: datetime) -> str:
    """Return where the archive keeps the file of a time, below its `DATA` folder."""
    collection = "inst30mn_2d_aer1_Nx"
    folder = f"0.0625_deg/inst/{collection}/Y{time:%Y}/M{time:%m}/D{time:%d}"
    return f"{folder}/c1440_NR.{collection}.{time:%Y%m%d_%H%M}z.nc4"


def region(
    config: SandboxConfig, reach: tuple[float, float], step: tuple[float, float]
) -> tuple[Doubles, Doubles]:
    """Return the latitudes and longitudes of a global grid around the area.

    Args:
        config: The sandbox.
        reach: Degrees of latitude and longitude on each side of the area's middle.
        step: Of the grid, degrees of latitude and longitude; it starts at -90 and -180.
    """
    to_lonlat = Transformer.from_crs(config.epsg, 4326, always_xy=True)
    half = config.size_m / 2
    lon, lat = to_lonlat.transform(config.west + half, config.south + half)
    return (
        _points(lat, reach[0], step[0], -90.0),
        _points(lon, reach[1], step[1], -180.0),
    )


def _points(middle: float, reach: float, step: float, first: float) -> Doubles:
    start = int(np.ceil((middle - reach - first) / step))
    stop = int(np.floor((middle + reach - first) / step))
    return first + step * np.arange(start, stop + 1, dtype=np.float64)


def _all_days(config: SandboxConfig) -> list[date]:
    count = (config.end - config.start).days + 1
    return [config.start + timedelta(days=n) for n in range(count)]


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _write_day(
    path: Path,
    config: SandboxConfig,
    day: date,
    group: str,
    variables: Mapping[str, Variable],
) -> None:
    lat, lon = region(config, _REACH_DEG, (0.5, 0.625))
    times = [_midnight(day) + timedelta(minutes=30 + 60 * n) for n in range(24)]
    weather = draw_weather(config, lat, lon, times, "coarse")
    title = (
        f"MERRA2 tavg1_2d_{group}_Nx: 2d,1-Hourly,Time-Averaged,Single-Level,Assimilation,"
        f"{_TITLE[group]}"
    )
    attributes = {
        "Comment": f"GMAO filename: d5124_m2_sandbox.tavg1_2d_{group}_Nx.{day:%Y%m%d}.nc4",
        "Filename": path.name,
        "Conventions": "CF-1",
        "Institution": "geoloupe sandbox, after NASA Global Modeling and Assimilation Office",
        "References": "http://gmao.gsfc.nasa.gov",
        "Format": "NetCDF-4/HDF-5",
        "SpatialCoverage": "regional",
        "VersionID": "5.12.4",
        "ShortName": f"M2T1NX{group.upper()}",
        "GranuleID": path.name,
        "LongName": title,
        "Title": title,
        "LatitudeResolution": "0.5",
        "LongitudeResolution": "0.625",
        "DataResolution": "0.5 x 0.625",
        "identifier_product_doi": _DOI[group],
        "RangeBeginningDate": f"{day}",
        "RangeBeginningTime": "00:00:00.000000",
        "RangeEndingDate": f"{day}",
        "RangeEndingTime": "23:59:59.000000",
    }
    _write(path, (lat, lon), times, {k: (v, weather) for k, v in variables.items()}, attributes)


def _write_half_hour(path: Path, config: SandboxConfig, time: datetime) -> None:
    lat, lon = region(config, _NATURE_REACH_DEG, (0.0625, 0.0625))
    weather = draw_weather(config, lat, lon, [time], "fine")
    attributes = {
        "Title": "GEOS-5 nature run, 2d,30-Minute,Instantaneous,Aerosol (sandbox)",
        "Conventions": "COARDS",
        "Source": "geoloupe sandbox, after NASA/GMAO G5NR c1440_NR",
        "Filename": path.name,
    }
    _write(path, (lat, lon), [time], {k: (v, weather) for k, v in AEROSOL.items()}, attributes)


def _write(
    path: Path,
    grid: tuple[Doubles, Doubles],
    times: Sequence[datetime],
    variables: Mapping[str, tuple[Variable, Weather]],
    attributes: Mapping[str, str],
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.attrs.update({name: np.bytes_(value) for name, value in attributes.items()})
        axes = [
            _axis(file, "time", *_time_axis(times)),
            _axis(file, "lat", grid[0], {"long_name": "latitude", "units": "degrees_north"}),
            _axis(file, "lon", grid[1], {"long_name": "longitude", "units": "degrees_east"}),
        ]
        for name, (variable, weather) in variables.items():
            found = _field(file, name, variable, variable.of(weather))
            for place, axis in enumerate(axes):
                found.dims[place].attach_scale(axis)


def _time_axis(times: Sequence[datetime]) -> tuple[npt.NDArray[np.int32], dict[str, Any]]:
    minutes = [round((t - times[0]).total_seconds() / 60) for t in times]
    return np.array(minutes, dtype=np.int32), {
        "long_name": "time",
        "units": f"minutes since {times[0]:%Y-%m-%d %H:%M:%S}",
        "time_increment": np.int32(10000 if len(times) > 1 else 3000),
        "begin_date": np.int32(f"{times[0]:%Y%m%d}"),
        "begin_time": np.int32(f"{times[0]:%H%M%S}"),
    }


def _axis(file: Any, name: str, values: npt.NDArray[Any], attributes: dict[str, Any]) -> Any:  # noqa: ANN401 - h5py has no types
    axis = file.create_dataset(name, data=values)
    axis.make_scale(name)
    _describe(axis, attributes | _limits())
    return axis


def _field(file: Any, name: str, variable: Variable, values: Floats) -> Any:  # noqa: ANN401 - as above
    found = file.create_dataset(
        name,
        data=np.where(np.isfinite(values), values, FILL).astype(np.float32),
        fillvalue=FILL,
        chunks=(1, *values.shape[1:]),
        compression="gzip",
        compression_opts=2,
        shuffle=True,
    )
    _describe(
        found,
        {
            "long_name": variable.long_name,
            "units": variable.unit,
            "_FillValue": FILL,
            "missing_value": FILL,
            "fmissing_value": FILL,
            "scale_factor": np.float32(1),
            "add_offset": np.float32(0),
            "standard_name": variable.long_name,
        }
        | _limits(),
    )
    return found


def _describe(dataset: Any, attributes: Mapping[str, Any]) -> None:  # noqa: ANN401 - as above
    for key, value in attributes.items():
        dataset.attrs[key] = np.bytes_(value) if isinstance(value, str) else value


def _limits() -> dict[str, Any]:
    return {
        "vmax": _LIMIT,
        "vmin": -_LIMIT,
        "valid_range": np.array([-_LIMIT, _LIMIT], dtype=np.float32),
    }
