"""Gridded files: real ones as xarray reads them, byte ranges, and fields on cells."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import h5py
import numpy as np
import pytest
import shapely
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from scipy.interpolate import RegularGridInterpolator

from catalog.errors import SourceUnavailable, SourceUnreadable
from catalog.scene import Asset, Scene
from pipeline.estimate import estimate_plan
from pipeline.gridded import GriddedSource, bilinear
from pipeline.netcdf import GridFile
from pipeline.plan import make_plan
from pipeline.ranges import RangeFile
from pipeline.recipe import load_recipe
from pipeline.run import build_store
from pipeline.sandbox.gridded import write_gridded
from pipeline.sandbox.schedule import TINY
from stores.patch_store import PatchStore
from tests.tiny_archive import ANCHOR_TIME, TinyArchive, write_recipe

pytest_plugins = ["tests.gridded_files"]

HOUR = datetime(2021, 6, 1, 10, 30, tzinfo=UTC)
AEROSOL = "merra2/MERRA2_400.tavg1_2d_aer_Nx.20210601.nc4"


def cell_box(west: float = 499_200, south: float = 5_627_520, epsg: int = 32631) -> GeoBox:
    """The pixels of one cell of 1,920 m, 64 a side."""
    return GeoBox((64, 64), Affine(30, 0, west, 0, -30, south + 1_920), epsg)


def lonlat_box(west: float, south: float, east: float, north: float) -> GeoBox:
    affine = Affine((east - west) / 8, 0, west, 0, (south - north) / 8, north)
    return GeoBox((8, 8), affine, 4326)


def scene_of(
    href: str,
    time: datetime = HOUR,
    *,
    product: str = "merra2-aerosol",
    key: str = "dust_aot",
    part: str = "DUEXTTAU",
    index: int = 11,
) -> Scene:
    asset = Asset(
        band=key, href=href, scale=1.0, offset=0.0, nodata=1e15, part=part, index=index
    )
    return Scene(
        id="hour",
        product=product,
        source="gesdisc",
        platform="merra-2",
        time=time,
        footprint=shapely.box(-180, -90, 180, 90),
        cloud=None,
        epsg=4326,
        version="",
        assets={key: asset},
    )


@pytest.fixture
def source() -> Iterator[GriddedSource]:
    opened = GriddedSource()
    yield opened
    opened.close()


@pytest.fixture
def write_file(tmp_path: Path) -> Callable[..., str]:
    """`write_file(values, lat, lon, ...)` writes one variable as MERRA-2 does."""

    def write(
        values: np.ndarray,
        lat: np.ndarray,
        lon: np.ndarray,
        *,
        units: str = "1",
        since: str = "minutes since 2021-06-01 00:30:00",
        variable: str = "DUEXTTAU",
        **attributes: object,
    ) -> str:
        path = tmp_path / "MERRA2_400.tavg1_2d_aer_Nx.20210601.nc4"
        with h5py.File(path, "w") as file:
            axes = {"time": 60 * np.arange(len(values)), "lat": lat, "lon": lon}
            for name, axis in axes.items():
                file.create_dataset(name, data=axis).make_scale(name)
            file["time"].attrs["units"] = np.bytes_(since)
            found = file.create_dataset(variable, data=values.astype(np.float32))
            found.attrs["units"] = np.bytes_(units)
            found.attrs["_FillValue"] = np.float32(1e15)
            for key, value in attributes.items():
                found.attrs[key] = value
            for place, name in enumerate(axes):
                found.dims[place].attach_scale(file[name])
        return str(path)

    return write


@pytest.mark.parametrize("name", ["M2T1NXSLV_temporal.nc4", "M2T1NXSLV_geo_temporal.nc4"])
def test_a_genuine_file_reads_as_xarray_reads_it(real_archive: Path, name: str) -> None:
    path = real_archive / "gridded" / name
    file = GridFile.open(str(path), "open")
    with xr.open_dataset(path, engine="h5netcdf") as expected:
        for step in range(2):
            found = file.read("PS", step, slice(None), slice(None))
            np.testing.assert_array_equal(found, expected["PS"].values[step])
        np.testing.assert_allclose(file.latitudes, expected["lat"].values, atol=1e-6)
        np.testing.assert_allclose(file.longitudes, expected["lon"].values, atol=1e-6)
        stamps = [np.datetime64(t.replace(tzinfo=None), "ns") for t in file.times]
        np.testing.assert_array_equal(stamps, expected["time"].values)
    assert file.unit("PS") == "Pa"
    file.close()


def test_an_hour_of_a_genuine_file_is_found_by_its_time(
    real_archive: Path, source: GriddedSource
) -> None:
    """The file was cut to two hours: the second of the day is its first."""
    path = str(real_archive / "gridded" / "M2T1NXSLV_temporal.nc4")
    scene = scene_of(
        path,
        datetime(2021, 1, 10, 1, 30, tzinfo=UTC),
        product="merra2-single-level",
        key="surface_pressure",
        part="PS",
        index=2,
    )
    ((pixels, method),) = source.place(scene, "surface_pressure", [cell_box()], "atmosphere")
    with xr.open_dataset(path, engine="h5netcdf") as data:
        middle = data["PS"][0].interp(lat=50.803, lon=3.003).item()
    assert method == "bilinear"
    assert pixels.has_data.all()
    assert pixels.values[32, 32] == pytest.approx(middle, abs=15)
    other = scene_of(path, HOUR.replace(month=1, day=10), part="PS")
    with pytest.raises(SourceUnreadable, match="none at 2021-01-10 10:30"):
        source.place(other, "dust_aot", [cell_box()], "atmosphere")


def test_a_patch_is_what_a_plain_interpolation_gives(
    gridded_folder: Path, source: GriddedSource
) -> None:
    path = gridded_folder / AEROSOL
    box = cell_box()
    ((pixels, method),) = source.place(scene_of(str(path)), "dust_aot", [box], "atmosphere")
    with xr.open_dataset(path, engine="h5netcdf") as data:
        hour = data["DUEXTTAU"].sel(time="2021-06-01T10:30").astype("float64")
        between = RegularGridInterpolator((hour["lat"].values, hour["lon"].values), hour.values)
    x, y = np.meshgrid(499_215 + 30 * np.arange(64), 5_629_425 - 30 * np.arange(64))
    lon, lat = Transformer.from_crs(32631, 4326, always_xy=True).transform(x, y)
    np.testing.assert_allclose(pixels.values, between((lat, lon)), rtol=1e-6)
    assert method == "bilinear"
    assert pixels.values.dtype == np.float32
    assert pixels.values.shape == (64, 64)
    assert pixels.has_data.all()
    assert np.ptp(pixels.values) < 0.05 * pixels.values.mean()  # nearly constant


def test_bilinear_of_a_plane_is_the_plane() -> None:
    rows, columns = np.meshgrid(np.arange(5.0), np.arange(4.0), indexing="ij")
    plane = (2 * rows - 3 * columns).astype(np.float32)
    y, x = np.array([[0.0, 1.25, 4.0]]), np.array([[0.0, 2.5, 3.0]])
    np.testing.assert_allclose(bilinear(plane, y, x), 2 * y - 3 * x, atol=1e-6)


def test_points_without_data_weigh_nothing_and_half_of_them_too_much() -> None:
    window = np.array([[1.0, np.nan], [1.0, 5.0]], dtype=np.float32)
    y, x = np.array([0.5, 0.0, 0.0, np.nan]), np.array([0.25, 0.75, 0.25, 0.0])
    found = bilinear(window, y, x)
    weights = np.array([0.375, 0.375, 0.125])
    assert found[0] == pytest.approx((weights * [1, 1, 5]).sum() / weights.sum())
    assert np.isnan(found[1])
    assert found[2] == 1.0
    assert np.isnan(found[3])


@pytest.mark.parametrize("order", [1, -1], ids=["south first", "north first"])
def test_fields_go_around_the_globe_and_either_way_up(
    write_file: Callable[..., str], source: GriddedSource, order: int
) -> None:
    lat, lon = np.arange(-90, 90.1, 0.5)[::order], np.arange(-180, 180, 0.625)
    field = np.cos(np.radians(lon))[None, :] * 3 + lat[:, None]
    href = write_file(field[None], lat, lon)
    scene = scene_of(href, datetime(2021, 6, 1, 0, 30, tzinfo=UTC), index=1)
    box = lonlat_box(179.5, 10.0, 180.1, 10.3)
    ((pixels, _),) = source.place(scene, "dust_aot", [box], "atmosphere")
    assert pixels.has_data.all()
    middles = 10.3 - 0.3 * (np.arange(8) + 0.5) / 8
    np.testing.assert_allclose(pixels.values[:, 0], middles - 3, atol=2e-3)


def test_fills_and_places_outside_have_no_data(
    write_file: Callable[..., str], source: GriddedSource
) -> None:
    lat, lon = np.arange(48.0, 53.1, 0.5), np.arange(0.0, 6.3, 0.625)
    field = np.ones((1, len(lat), len(lon)), dtype=np.float32)
    field[0, 4:8, 4:8] = 1e15
    scene = scene_of(
        write_file(field, lat, lon), datetime(2021, 6, 1, 0, 30, tzinfo=UTC), index=1
    )
    boxes = [cell_box(), lonlat_box(0.1, 48.1, 0.2, 48.2), lonlat_box(20.0, 48.0, 20.1, 48.1)]
    hole, whole, outside = (
        pixels for pixels, _ in source.place(scene, "dust_aot", boxes, "atmosphere")
    )
    assert not hole.has_data.any()
    assert whole.has_data.all()
    assert (whole.values == 1).all()
    assert not outside.has_data.any()


def test_scale_and_offset_of_a_file_are_applied(write_file: Callable[..., str]) -> None:
    href = write_file(
        np.array([[[1.0, 2.0], [1e15, 4.0]]]),
        np.array([0.0, 1.0]),
        np.array([0.0, 1.0]),
        scale_factor=np.float32(2),
        add_offset=np.float32(10),
    )
    file = GridFile.open(href, "open")
    found = file.read("DUEXTTAU", 0, slice(None), slice(None))
    np.testing.assert_array_equal(found, np.array([[12, 14], [np.nan, 18]], dtype=np.float32))
    file.close()


def test_another_unit_is_refused_and_another_spelling_is_not(
    write_file: Callable[..., str], source: GriddedSource
) -> None:
    grid = np.arange(0.0, 3.0), np.arange(0.0, 3.0)
    field = np.zeros((1, 3, 3))
    time = datetime(2021, 6, 1, 0, 30, tzinfo=UTC)
    scene = scene_of(
        write_file(field, *grid, units="kg/m2", variable="DUCMASS"),
        time,
        key="dust_mass",
        part="DUCMASS",
        index=1,
    )
    source.place(scene, "dust_mass", [lonlat_box(1, 1, 1.5, 1.5)], "atmosphere")
    source.close()
    wrong = scene_of(write_file(field, *grid, units="g m-2"), time, index=1)
    with pytest.raises(SourceUnreadable, match="in 'g m-2'; the product table says '1'"):
        source.place(wrong, "dust_aot", [lonlat_box(1, 1, 1.5, 1.5)], "atmosphere")


def test_what_cannot_be_read_says_why(
    gridded_folder: Path, tmp_path: Path, source: GriddedSource
) -> None:
    def place(scene: Scene) -> None:
        source.place(scene, "dust_aot", [cell_box()], "atmosphere")

    good = gridded_folder / AEROSOL
    cut = tmp_path / "cut.nc4"
    cut.write_bytes(good.read_bytes()[:5_000])
    text = tmp_path / "text.nc4"
    text.write_text("<html>Please log in</html>")
    with pytest.raises(SourceUnreadable, match="no such file"):
        place(scene_of(str(tmp_path / "none.nc4")))
    with pytest.raises(SourceUnreadable, match="as NetCDF-4"):
        place(scene_of(str(cut)))
    with pytest.raises(SourceUnreadable, match="as NetCDF-4"):
        place(scene_of(str(text)))
    with pytest.raises(SourceUnreadable, match="no variable 'DUST'; it has BCEXTTAU"):
        place(scene_of(str(good), part="DUST"))
    with pytest.raises(SourceUnreadable, match=r"24 steps.*none at 2021-06-03"):
        place(scene_of(str(good), HOUR + timedelta(days=2)))


def test_a_remote_file_reads_like_a_local_one_in_few_requests(
    gridded_folder: Path, serve_files, source: GriddedSource
) -> None:
    server = serve_files(gridded_folder)
    boxes = [cell_box(), cell_box(west=501_120)]
    local = source.place(
        scene_of(str(gridded_folder / AEROSOL)), "dust_aot", boxes, "atmosphere"
    )
    remote = scene_of(server.href(AEROSOL))
    found = source.place(remote, "dust_aot", boxes, "atmosphere")
    for (here, _), (there, _) in zip(local, found, strict=True):
        np.testing.assert_array_equal(here.values, there.values)
    asked = [r.byte_range for r in server.requests]
    assert asked == ["bytes=0-0", f"bytes=0-{(gridded_folder / AEROSOL).stat().st_size - 1}"]
    source.place(remote, "dust_aot", boxes, "atmosphere")
    assert len(server.requests) == 2
    assert source.count.files == 2


def test_blocks_are_asked_for_once_and_side_by_side_ones_together(
    tmp_path: Path, file_server
) -> None:
    data = np.random.default_rng(0).bytes(10_000)
    (tmp_path / "data.nc4").write_bytes(data)
    file = RangeFile(file_server.href("data.nc4"), "open", block_bytes=1_000, kept=4)
    file_server.forget()
    file.seek(1_500)
    assert file.read(2_000) == data[1_500:3_500]
    assert file.read(200) == data[3_500:3_700]
    file.seek(-10, 2)
    assert file.read() == data[-10:]
    file.seek(2_100)
    assert file.read(10) == data[2_100:2_110]
    ranges = [r.byte_range for r in file_server.requests]
    assert ranges == ["bytes=1000-3999", "bytes=9000-9999"]
    file.seek(0)
    assert file.read(10_000) == data
    file.close()


def test_a_server_that_is_away_is_not_a_broken_file(
    gridded_folder: Path, serve_files, monkeypatch: pytest.MonkeyPatch, source: GriddedSource
) -> None:
    monkeypatch.setattr("pipeline.fetch.time.sleep", lambda _s: None)
    server = serve_files(gridded_folder)
    server.faults.answer(f"/{AEROSOL}", 503)
    with pytest.raises(SourceUnavailable, match="503"):
        source.place(scene_of(server.href(AEROSOL)), "dust_aot", [cell_box()], "atmosphere")
    server.faults.clear()
    file = GridFile.open(server.href(AEROSOL), "open")
    server.faults.answer(f"/{AEROSOL}", 404)
    file._remote._blocks.clear()
    with pytest.raises(SourceUnreadable, match="404"):
        file.read("DUEXTTAU", 3, slice(None), slice(None))
    server.faults.clear()
    assert np.isfinite(file.read("DUEXTTAU", 3, slice(None), slice(None))).all()
    file.close()
    with pytest.raises(SourceUnreadable, match="404"):
        GridFile.open(server.href("merra2/none.nc4"), "open")


def test_the_hour_of_each_sample_is_its_companion(tmp_path: Path) -> None:
    """From the listing of a folder to the store: one coarse pixel beside the fine ones."""
    archive = TinyArchive(tmp_path)
    archive.add("landsat-c2-l2", "L1", ANCHOR_TIME, size=(1, 2))
    path = write_recipe(archive, 1, 2)
    head = path.read_text().partition("[layers.sentinel2]")[0]
    air = 'bands = ["dust_aot", "total_aot"]\ngsd_m = 120\nsource = "air/merra2"\n'
    path.write_text(f'{head}[layers.air]\nproduct = "merra2-aerosol"\n{air}')
    files = write_gridded(tmp_path / "air", TINY, days=[ANCHOR_TIME.date()], nature_days=[])
    recipe = load_recipe(path)
    plan = make_plan(recipe, datetime(2026, 1, 1, tzinfo=UTC))
    build_store(recipe, tmp_path / "store", lambda: plan, connect=None)
    store = PatchStore.open(tmp_path / "store")
    kept = store.select()
    hours = {"MERRA2_400.tavg1_2d_aer_Nx.20200610T1030"}
    assert set(kept["air_scenes"]) == hours
    assert set(kept["air_resampling"]) == {"bilinear"}
    with xr.open_dataset(files[0], engine="h5netcdf") as data:
        hour = data[["DUEXTTAU", "TOTEXTTAU"]].sel(time="2020-06-10T10:30").astype("f8")
        here = hour.interp(lat=50.82, lon=3.0).to_array().values
    patches = store.read("air", kept["slot"].to_numpy())
    assert patches.raw.shape == (2, 2, 1, 1)
    assert patches.valid.all()
    np.testing.assert_allclose(patches.raw[:, :, 0, 0], [here, here], rtol=2e-3)
    assert estimate_plan(plan).requests > 0
