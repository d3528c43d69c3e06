"""Sandbox files of gridded fields: genuine in form, the same bytes each time, plausible."""

import hashlib
from datetime import UTC, date, datetime
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from catalog.products import PRODUCTS
from catalog.providers.granule_names import read_name
from pipeline.netcdf import GridFile
from pipeline.sandbox.gridded import AEROSOL, SINGLE_LEVEL, nature_path, write_gridded
from pipeline.sandbox.gridded_weather import draw_weather
from pipeline.sandbox.schedule import TINY

pytest_plugins = ["tests.gridded_files"]


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def test_the_same_config_gives_the_same_bytes(tmp_path: Path) -> None:
    digests = []
    for name in ("a", "b"):
        seen: list[Path] = []
        files = write_gridded(
            tmp_path / name, TINY, days=[date(2021, 6, 1)], nature_days=[], on_file=seen.append
        )
        assert sorted(seen) == files
        digests.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in files])
    assert digests[0] == digests[1]
    assert len(digests[0]) == 2


def test_names_and_folders_are_those_of_the_producers(gridded_folder: Path) -> None:
    names = [path.name for path in gridded_folder.rglob("*.nc4")]
    collections = {granule.collection for name in names if (granule := read_name(name))}
    assert len(names) == 4 + 48
    assert collections == {"M2T1NXAER", "M2T1NXSLV", "inst30mn_2d_aer1_Nx"}
    assert nature_path(datetime(2006, 6, 1, 0, 30, tzinfo=UTC)) == (
        "0.0625_deg/inst/inst30mn_2d_aer1_Nx/Y2006/M06/D01/"
        "c1440_NR.inst30mn_2d_aer1_Nx.20060601_0030z.nc4"
    )


def test_attributes_are_those_of_a_genuine_file(
    real_archive: Path, gridded_folder: Path
) -> None:
    genuine = real_archive / "gridded" / "M2T1NXSLV_temporal.nc4"
    ours = gridded_folder / "merra2" / "MERRA2_400.tavg1_2d_slv_Nx.20210601.nc4"
    with h5py.File(genuine) as real, h5py.File(ours) as made:
        for name in ("PS", "lat", "lon", "time"):
            internal = {"DIMENSION_LIST", "REFERENCE_LIST", "CLASS", "NAME"}
            expected = {
                key: value
                for key, value in real[name].attrs.items()
                if key not in internal and not key.startswith("_Netcdf4")
            }
            found = dict(made[name].attrs.items())
            assert set(expected) <= set(found)
            assert made[name].dtype == real[name].dtype
            for key in expected.keys() - {"units", "begin_date", "begin_time"}:
                if isinstance(expected[key], bytes):
                    assert _text(found[key]) == _text(expected[key])
                elif key != "time_increment":
                    np.testing.assert_array_equal(np.ravel(found[key]), np.ravel(expected[key]))
        assert _text(made["PS"].attrs["units"]) == "Pa"
        assert made["time"].attrs["begin_time"] == real["time"].attrs["begin_time"]
        assert set(made.attrs) <= set(real.attrs)


@pytest.mark.parametrize(
    ("key", "variables"), [("merra2-aerosol", AEROSOL), ("merra2-single-level", SINGLE_LEVEL)]
)
def test_every_variable_of_the_product_table_is_there_in_its_unit(key, variables) -> None:
    product = PRODUCTS[key]
    named = {product.archive("files").assets[b.key]: b.unit for b in product.bands}
    assert named == {name: variable.unit for name, variable in variables.items()}


def test_files_open_in_xarray_with_the_hours_at_half_past(gridded_folder: Path) -> None:
    path = gridded_folder / "merra2" / "MERRA2_400.tavg1_2d_aer_Nx.20210601.nc4"
    with xr.open_dataset(path, engine="h5netcdf") as data:
        assert str(data["time"].values[0]) == "2021-06-01T00:30:00.000000000"
        assert data.sizes["time"] == 24
        assert np.allclose(np.diff(data["lat"]), 0.5)
        assert np.allclose(np.diff(data["lon"]), 0.625)
        total = sum(data[name] for name in ("DUEXTTAU", "SSEXTTAU", "SUEXTTAU"))
        assert (data["TOTEXTTAU"] >= total).all()
        assert 0 < float(data["DUEXTTAU"].min()) < float(data["DUEXTTAU"].max()) < 5


def test_where_there_is_too_little_to_tell_the_color_is_a_fill_value(
    gridded_folder: Path,
) -> None:
    paths = sorted((gridded_folder / "g5nr").rglob("*.nc4"))
    paths += sorted((gridded_folder / "merra2").glob("*aer*"))
    filled = 0
    for path in paths:
        with h5py.File(path) as file:
            faint = file["TOTEXTTAU"][...] < 0.18
            np.testing.assert_array_equal(file["TOTANGSTR"][...] == np.float32(1e15), faint)
            filled += int(faint.sum())
    assert filled > 0


def test_coarse_and_fine_fields_share_their_large_scales(gridded_folder: Path) -> None:
    """The same hour of the same day, in another year: alike but not the same."""
    coarse = GridFile.open(
        str(gridded_folder / "merra2" / "MERRA2_400.tavg1_2d_aer_Nx.20210601.nc4"), "open"
    )
    time = datetime(2006, 6, 1, 10, 30, tzinfo=UTC)
    fine = GridFile.open(str(gridded_folder / "g5nr" / nature_path(time)), "open")
    rows = np.isin(fine.latitudes, coarse.latitudes)
    columns = np.isin(fine.longitudes, coarse.longitudes)
    detailed = fine.read("DUEXTTAU", 0, slice(None), slice(None))[np.ix_(rows, columns)]
    smooth = coarse.read("DUEXTTAU", 10, slice(None), slice(None))[
        np.ix_(
            np.isin(coarse.latitudes, fine.latitudes),
            np.isin(coarse.longitudes, fine.longitudes),
        )
    ]
    ratio = np.log(detailed / smooth)
    assert 0.01 < ratio.std() < 0.6
    coarse.close()
    fine.close()


def test_plumes_drift_with_the_wind() -> None:
    lat, lon = np.array([50.0]), np.arange(-10, 10, 0.25)
    times = [datetime(2021, 6, 1, hour, tzinfo=UTC) for hour in (0, 3)]
    dust = np.log(draw_weather(TINY, lat, lon, times, "coarse").dust[:, 0])
    still = np.corrcoef(dust[0], dust[1])[0, 1]
    moved = max(np.corrcoef(dust[0, :-n], dust[1, n:])[0, 1] for n in range(1, 16))
    assert moved > still
