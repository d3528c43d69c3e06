import numpy as np
import pytest
import rasterio
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.warp import reproject

from catalog.grid import PatchGrid
from catalog.scene import Asset
from pipeline.place import REFINING, place, resampling_method, source_window
from pipeline.read import BlockReader
from tests.rasters import grid_at, write_raster

CELL = PatchGrid(gsd_m=10, size_px=60, stride_px=60, origin_m=(501375, 5629065)).cell(
    32631, 0, 0
)
WEST, NORTH = CELL.west, CELL.north


def placed(path, geobox, kind="reflectance", nodata=None):
    """What `place` makes of a file for a cell, and by which method."""
    asset = Asset(band="x", href=str(path), scale=1.0, offset=0.0, nodata=nodata)
    grid, [window], [pixels] = BlockReader().read(asset, lambda g: [source_window(g, geobox)])
    return place(pixels, grid, window, geobox, kind)


def direct(path, geobox, method):
    """The whole file warped at once, by rasterio itself."""
    out = np.full(geobox.shape, np.nan, dtype=np.float32)
    with rasterio.open(path) as dataset:
        values = dataset.read(1).astype(np.float32)
        if dataset.nodata is not None:
            values[values == dataset.nodata] = np.nan
        reproject(
            values,
            out,
            src_transform=dataset.transform,
            src_crs=dataset.crs,
            src_nodata=np.nan,
            dst_transform=geobox.affine,
            dst_crs=f"EPSG:{geobox.crs.epsg}",
            dst_nodata=np.nan,
            resampling=method,
        )
    return out


def noise(rows, cols, dtype=np.uint16, seed=0):
    return np.random.default_rng(seed).integers(1, 4000, (rows, cols)).astype(dtype)


def centers(geobox):
    """Easting and northing of pixel centers, `(y, x)` each."""
    rows, cols = geobox.shape
    x, y = np.meshgrid(np.arange(cols) + 0.5, np.arange(rows) + 0.5)
    return geobox.affine.c + geobox.affine.a * x, geobox.affine.f + geobox.affine.e * y


# --- pasted -------------------------------------------------------------------------------


def test_a_cell_on_the_files_own_grid_gets_the_very_pixels(tmp_path):
    values = noise(200, 220)
    path = write_raster(
        tmp_path / "a.tif", values, transform=grid_at(WEST - 300, NORTH + 500, 10)
    )
    for kind in REFINING:
        pixels, method = placed(path, CELL.geobox(10), kind)
        assert method == "none"
        assert pixels.values.dtype == values.dtype
        assert np.array_equal(pixels.values, values[50:110, 30:90])
        assert pixels.has_data.all()


def test_a_cell_that_reaches_beyond_the_file_has_no_data_there(tmp_path):
    values = noise(40, 40)
    path = write_raster(
        tmp_path / "a.tif", values, transform=grid_at(WEST + 400, NORTH + 100, 10)
    )
    pixels, method = placed(path, CELL.geobox(10))
    assert method == "none"
    expected = np.zeros((60, 60), dtype=bool)
    expected[:30, 40:] = True
    assert np.array_equal(pixels.has_data, expected)
    assert np.array_equal(pixels.values[:30, 40:], values[10:, :20])


@pytest.mark.parametrize(("shift_m", "pasted"), [(0.0, True), (0.05, True), (0.2, False)])
def test_grids_a_hundredth_of_a_pixel_apart_are_one_grid(tmp_path, shift_m, pasted):
    grid = grid_at(WEST - 100 + shift_m, NORTH + 100, 10)
    path = write_raster(tmp_path / "a.tif", noise(90, 90), transform=grid)
    _, method = placed(path, CELL.geobox(10))
    assert (method == "none") == pasted


def test_real_pixels_are_pasted_as_rasterio_reads_them(real_archive):
    folder = real_archive / "belgium" / "landsat"
    path = next(folder.glob("*20180717*_SR_B4.tif"))
    pixels, method = placed(path, CELL.geobox(30))
    with rasterio.open(path) as dataset:
        values = dataset.read(1)
        row, col = dataset.index(CELL.west + 15, CELL.north - 15)
    assert method == "none"
    assert np.array_equal(pixels.values, values[row : row + 20, col : col + 20])


# --- warped once --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "gsd_m", "method"),
    [
        ("reflectance", 10, Resampling.cubic),
        ("backscatter", 10, Resampling.bilinear),
        ("class", 10, Resampling.nearest),
        ("quality", 30, Resampling.nearest),
        ("reflectance", 30, Resampling.average),
        ("elevation", 60, Resampling.average),
    ],
)
def test_a_warp_of_the_window_equals_a_warp_of_the_whole_file(tmp_path, kind, gsd_m, method):
    values = noise(400, 420)
    values[170:180, 150:170] = 0
    path = write_raster(
        tmp_path / "a.tif", values, transform=grid_at(WEST - 1505, NORTH + 1507, 10), nodata=0
    )
    geobox = CELL.geobox(gsd_m)
    pixels, used = placed(path, geobox, kind, nodata=0)
    expected = direct(path, geobox, method)
    assert used == method.name
    assert np.array_equal(pixels.has_data, np.isfinite(expected))
    np.testing.assert_allclose(pixels.values, expected, rtol=1e-6)


@pytest.mark.parametrize("epsg", [4326, 32630, 3035])
def test_a_file_in_another_crs_equals_a_warp_of_the_whole_file(tmp_path, epsg):
    to = Transformer.from_crs(32631, epsg, always_xy=True)
    x, y = to.transform(WEST, NORTH)
    gsd = 0.0002 if epsg == 4326 else 20
    path = write_raster(
        tmp_path / "a.tif", noise(200, 200), transform=grid_at(x - 80 * gsd, y + 80 * gsd, gsd),
        epsg=epsg,
    )  # fmt: skip
    pixels, used = placed(path, CELL.geobox(10), "elevation")
    assert used == "cubic"
    assert pixels.has_data.all()
    np.testing.assert_allclose(
        pixels.values, direct(path, CELL.geobox(10), Resampling.cubic), atol=0.5
    )


@pytest.mark.parametrize("gsd_m", [10, 30])
def test_a_slope_keeps_its_place_through_a_warp_by_parts_of_a_pixel(tmp_path, gsd_m):
    grid = grid_at(WEST - 1003.7, NORTH + 1008.1, 10)
    source = GeoBox((300, 300), grid, "EPSG:32631")
    x, y = centers(source)
    slope = (0.3 * (x - WEST) - 0.2 * (y - NORTH)).astype(np.float32)
    path = write_raster(tmp_path / "a.tif", slope, transform=grid)
    pixels, _ = placed(path, CELL.geobox(gsd_m), "elevation")
    east, north = centers(CELL.geobox(gsd_m))
    expected = 0.3 * (east - WEST) - 0.2 * (north - NORTH)
    np.testing.assert_allclose(pixels.values, expected, atol=2e-3)


def test_elevation_in_degrees_lands_on_its_place_in_metres(tmp_path):
    lon, lat = CELL.lonlat
    step = 1 / 1200
    grid = grid_at(lon - 50 * step, lat + 50 * step, step)
    x, y = centers(GeoBox((100, 100), grid, "EPSG:4326"))
    hill = (1000 * (x - lon) + 3000 * (y - lat)).astype(np.float32)
    path = write_raster(tmp_path / "dem.tif", hill, transform=grid, epsg=4326)
    pixels, _ = placed(path, CELL.geobox(30), "elevation")
    back = Transformer.from_crs(32631, 4326, always_xy=True)
    east, north = back.transform(*centers(CELL.geobox(30)))
    expected = 1000 * (np.asarray(east) - lon) + 3000 * (np.asarray(north) - lat)
    np.testing.assert_allclose(pixels.values, expected, atol=0.02)


def test_real_elevation_in_degrees_lies_within_its_neighbors(real_archive):
    path = real_archive / "zion" / "srtm" / "srtm.tif"
    cell = PatchGrid(gsd_m=30, size_px=64, stride_px=64, origin_m=(0, 0)).cell(32612, 165, 2152)
    pixels, _ = placed(path, cell.geobox(30), "elevation", nodata=-32768)
    assert pixels.has_data.all()
    with rasterio.open(path) as dataset:
        lon, lat = Transformer.from_crs(32612, 4326, always_xy=True).transform(
            *centers(cell.geobox(30))
        )
        nearest = np.array(
            [v[0] for v in dataset.sample(zip(np.ravel(lon), np.ravel(lat), strict=True))]
        ).reshape(64, 64)
    assert np.abs(pixels.values - nearest).mean() < 30
    assert np.corrcoef(pixels.values.ravel(), nearest.ravel())[0, 1] > 0.98


# --- what each kind of band demands -------------------------------------------------------


def test_an_average_is_the_mean_of_the_pixels_below(tmp_path):
    values = noise(120, 120)
    path = write_raster(
        tmp_path / "a.tif", values, transform=grid_at(WEST - 300, NORTH + 300, 10)
    )
    pixels, method = placed(path, CELL.geobox(30))
    below = values[30:90, 30:90].reshape(20, 3, 20, 3).mean(axis=(1, 3))
    assert method == "average"
    np.testing.assert_allclose(pixels.values, below, rtol=1e-6)
    assert pixels.values.mean() == pytest.approx(values[30:90, 30:90].mean(), rel=1e-6)


def test_an_average_off_the_grid_weighs_the_parts_of_pixels(tmp_path):
    values = noise(120, 120).astype(np.float32)
    path = write_raster(
        tmp_path / "a.tif", values, transform=grid_at(WEST - 305, NORTH + 305, 10)
    )
    pixels, _ = placed(path, CELL.geobox(30))
    fine = values.repeat(2, axis=0).repeat(2, axis=1)[61 : 61 + 120, 61 : 61 + 120]
    np.testing.assert_allclose(
        pixels.values, fine.reshape(20, 6, 20, 6).mean(axis=(1, 3)), rtol=1e-5
    )


@pytest.mark.parametrize("kind", ["class", "quality"])
@pytest.mark.parametrize("gsd_m", [10, 20, 60])
@pytest.mark.parametrize("epsg", [32631, 4326])
def test_classes_and_bits_are_never_interpolated(tmp_path, kind, gsd_m, epsg):
    x, y = Transformer.from_crs(32631, epsg, always_xy=True).transform(WEST, NORTH)
    step = 20 if epsg == 32631 else 0.0002
    words = np.array([1, 22280, 21824, 65535], dtype=np.uint16)
    values = np.random.default_rng(0).choice(words, (100, 100))
    path = write_raster(
        tmp_path / "qa.tif",
        values,
        transform=grid_at(x - 20.3 * step, y + 20.3 * step, step),
        epsg=epsg,
    )
    pixels, method = placed(path, CELL.geobox(gsd_m), kind)
    assert method == "nearest"
    assert pixels.has_data.all()
    assert set(np.unique(pixels.values)) == {1.0, 22280.0, 21824.0, 65535.0}


@pytest.mark.parametrize("nodata", [0, 65535])
@pytest.mark.parametrize("gsd_m", [10, 30])
@pytest.mark.parametrize("kind", ["reflectance", "backscatter", "class"])
def test_nodata_never_bleeds_into_its_neighbors(tmp_path, kind, gsd_m, nodata):
    values = np.full((160, 160), 1000, dtype=np.uint16)
    values[60:75, 50:70] = nodata
    path = write_raster(
        tmp_path / "a.tif", values, transform=grid_at(WEST - 305, NORTH + 304, 10)
    )
    pixels, _ = placed(path, CELL.geobox(gsd_m), kind, nodata=nodata)
    np.testing.assert_allclose(pixels.values[pixels.has_data], 1000, rtol=1e-5)
    assert not pixels.has_data[round(370 / gsd_m), round(300 / gsd_m)]
    assert pixels.has_data.mean() > 0.9


def test_a_file_that_the_cell_does_not_touch_gives_nothing(tmp_path):
    grid = grid_at(WEST + 50005, NORTH + 50005, 10)
    path = write_raster(tmp_path / "far.tif", noise(64, 64), transform=grid)
    pixels, _ = placed(path, CELL.geobox(10))
    assert pixels.values.shape == (60, 60)
    assert not pixels.has_data.any()


def test_an_average_begins_where_pixels_become_twice_as_coarse(tmp_path):
    path = write_raster(tmp_path / "a.tif", noise(64, 64), transform=grid_at(WEST, NORTH, 20))
    asset = Asset(band="x", href=str(path), scale=1.0, offset=0.0, nodata=None)
    grid, _, _ = BlockReader().read(asset, lambda _: [])
    methods = {
        gsd_m: resampling_method(grid, CELL.geobox(gsd_m), "reflectance").name
        for gsd_m in (10, 20, 30, 40, 60)
    }
    assert methods == {10: "cubic", 20: "cubic", 30: "cubic", 40: "average", 60: "average"}
