import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.warp import reproject

from catalog.grid import PatchGrid
from catalog.scene import Asset
from pipeline.place import REFINING, UNMOVED, arrange, place_piece, resampling_method
from pipeline.read import BlockReader, Pixels, SourceGrid, touched_blocks
from tests.rasters import grid_at, write_raster

CELL = PatchGrid(gsd_m=10, size_px=60, stride_px=60, origin_m=(501375, 5629065)).cell(
    32631, 0, 0
)
WEST, NORTH = CELL.west, CELL.north


def placed_all(path, boxes, kind="reflectance", nodata=None, shift_m=UNMOVED):
    """What a file gives for cells: pixels and method of each."""
    asset = Asset(band="x", href=str(path), scale=1.0, offset=0.0, nodata=nodata)
    pieces = []

    def choose(grid):
        pieces.extend(arrange(grid, boxes, shift_m))
        return [piece.area for piece in pieces]

    grid, _, read = BlockReader().read(asset, choose)
    found = {
        i: one
        for pixels, piece in zip(read, pieces, strict=True)
        for i, one in place_piece(pixels, grid, piece, kind)
    }
    return [found[i] for i in range(len(boxes))]


def placed(path, geobox, kind="reflectance", nodata=None, shift_m=UNMOVED):
    """What a file gives for one cell, and by which method."""
    return placed_all(path, [geobox], kind, nodata, shift_m)[0]


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
    there = pixels.has_data
    np.testing.assert_allclose(pixels.values[there], expected[there], rtol=1e-6)


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


# --- cells together -----------------------------------------------------------------------

GRID = PatchGrid(gsd_m=10, size_px=60, stride_px=60, origin_m=(501375, 5629065))
SQUARE = [GRID.cell(32631, col, row) for row in range(-2, 2) for col in range(-2, 2)]


@pytest.mark.parametrize("epsg", [32631, 32630, 4326])
@pytest.mark.parametrize(
    ("kind", "gsd_m"),
    [("reflectance", 10), ("backscatter", 10), ("quality", 10), ("reflectance", 60)],
)
def test_cells_warped_together_equal_cells_warped_alone(tmp_path, epsg, kind, gsd_m):
    x, y = Transformer.from_crs(32631, epsg, always_xy=True).transform(WEST, NORTH)
    step = 0.0002 if epsg == 4326 else 20
    rows, cols = np.mgrid[0:300, 0:300]
    values = (1000 + 3 * rows + 2 * cols + 300 * np.sin(cols / 9)).astype(np.uint16)
    values[150:160, 140:160] = 0
    transform = grid_at(x - 150.4 * step, y + 150.3 * step, step)
    path = write_raster(tmp_path / "a.tif", values, transform=transform, epsg=epsg)
    boxes = [cell.geobox(gsd_m) for cell in SQUARE]
    together = placed_all(path, boxes, kind, nodata=0)
    for box, (pixels, method) in zip(boxes, together, strict=True):
        alone, its_method = placed(path, box, kind, nodata=0)
        assert method == its_method
        # Where data or a nearest pixel end, thousandths of a pixel may decide.
        assert (pixels.has_data != alone.has_data).mean() < 0.002
        both = pixels.has_data & alone.has_data
        difference = np.abs(pixels.values[both].astype(float) - alone.values[both])
        assert np.mean(difference > 1.0) < (0.005 if kind == "quality" else 1e-9)


def test_cells_side_by_side_are_one_piece_and_cells_apart_are_not():
    grid = SourceGrid(
        epsg=32631,
        transform=grid_at(WEST - 50_003, NORTH + 50_003, 10),
        shape=(10_000, 10_000),
        block=(512, 512),
    )
    [piece] = arrange(grid, [cell.geobox(10) for cell in SQUARE])
    assert piece.geobox.shape == (240, 240)
    apart = [GRID.cell(32631, 7 * i, (11 * i) % 64).geobox(10) for i in range(64)]
    pieces = arrange(grid, apart)
    assert len(pieces) == 64
    assert all(p.area.window.rows < 80 and p.area.window.cols < 80 for p in pieces)


def test_blocks_under_no_cell_are_not_read(tmp_path):
    path = write_raster(
        tmp_path / "a.tif", noise(400, 400), transform=grid_at(WEST - 1003, NORTH + 1003, 10),
        block_px=64,
    )  # fmt: skip
    corner = [GRID.cell(32631, col, row).geobox(10) for col, row in ((0, 0), (1, 0), (0, -1))]
    asset = Asset(band="x", href=str(path), scale=1.0, offset=0.0, nodata=None)
    by = BlockReader()
    grid, [area], _ = by.read(asset, lambda g: [p.area for p in arrange(g, corner)])
    parts = {b for part in area.parts for b in touched_blocks(grid, part)}
    assert parts < set(touched_blocks(grid, area.window))
    assert by.count.blocks == len(parts)


def test_cells_of_two_lattices_come_back_in_order(tmp_path):
    path = write_raster(
        tmp_path / "a.tif", noise(400, 400), transform=grid_at(WEST - 1003, NORTH + 1003, 10)
    )
    boxes = [SQUARE[0].geobox(10), SQUARE[1].geobox(20), SQUARE[2].geobox(10), CELL.geobox(10)]
    for box, (pixels, _) in zip(boxes, placed_all(path, boxes), strict=True):
        assert np.allclose(pixels.values, placed(path, box)[0].values, equal_nan=True)


# --- shifted scenes -----------------------------------------------------------------------


def test_pasting_equals_warping_by_zero(tmp_path):
    path = write_raster(
        tmp_path / "a.tif", noise(200, 200), transform=grid_at(WEST - 700, NORTH + 700, 10)
    )
    pasted, method = placed(path, CELL.geobox(10))
    warped, its_method = placed(path, CELL.geobox(10), shift_m=(1e-9, 0.0))
    assert (method, its_method) == ("none", "cubic")
    np.testing.assert_allclose(warped.values, pasted.values, atol=0.01)


@pytest.mark.parametrize(("east", "north"), [(20.0, -30.0), (-10.0, 0.0)])
@pytest.mark.parametrize("kind", ["reflectance", "quality"])
def test_a_shift_by_whole_pixels_reads_that_many_pixels_further(tmp_path, east, north, kind):
    values = noise(200, 200)
    path = write_raster(
        tmp_path / "a.tif", values, transform=grid_at(WEST - 700, NORTH + 700, 10)
    )
    pixels, method = placed(path, CELL.geobox(10), kind, shift_m=(east, north))
    assert method != "none"
    row, col = 70 - int(north / 10), 70 + int(east / 10)
    expected = values[row : row + 60, col : col + 60]
    np.testing.assert_allclose(pixels.values, expected, atol=0.01)


@pytest.mark.parametrize("epsg", [32631, 32630, 4326])
def test_a_shifted_slope_comes_back_to_its_place(tmp_path, epsg):
    to = Transformer.from_crs(32631, epsg, always_xy=True)
    x0, y0 = to.transform(WEST, NORTH)
    step = 0.0002 if epsg == 4326 else 10
    grid = grid_at(x0 - 200 * step, y0 + 200 * step, step)
    x, y = centers(GeoBox((400, 400), grid, f"EPSG:{epsg}"))
    x, y = Transformer.from_crs(epsg, 32631, always_xy=True).transform(x, y)
    east, north = 7.3, -4.1
    # The scene shows each place `east` metres too far east and `north` too far north.
    slope = 0.3 * (np.asarray(x) - east - WEST) - 0.2 * (np.asarray(y) - north - NORTH)
    path = write_raster(tmp_path / "a.tif", slope.astype(np.float32), transform=grid, epsg=epsg)
    pixels, _ = placed(path, CELL.geobox(10), "elevation", shift_m=(east, north))
    to_x, to_y = centers(CELL.geobox(10))
    expected = 0.3 * (to_x - WEST) - 0.2 * (to_y - NORTH)
    np.testing.assert_allclose(pixels.values, expected, atol=0.05)


def test_the_halo_of_a_shifted_cell_is_wide_enough(tmp_path):
    values = noise(400, 400)
    path = write_raster(
        tmp_path / "a.tif", values, transform=grid_at(WEST - 1500, NORTH + 1500, 10)
    )
    pixels, _ = placed(path, CELL.geobox(10), shift_m=(14.2, -13.7))
    box = CELL.geobox(10)
    shifted = GeoBox(box.shape, Affine.translation(14.2, -13.7) @ box.affine, box.crs)
    expected = direct(path, shifted, Resampling.cubic)
    np.testing.assert_allclose(pixels.values, expected, rtol=1e-5)


@given(
    st.integers(2, 6), st.floats(-15, 15), st.floats(-15, 15), st.integers(0, 2**16)
)  # fmt: skip
@settings(max_examples=15, deadline=None)
def test_averages_preserve_the_mean_whatever_the_shift(factor, east, north, seed):
    size = 60 // factor * factor
    values = noise(size + 80, size + 80, np.float32, seed)
    transform = grid_at(WEST - 400, NORTH + 400, 10)
    grid = SourceGrid(epsg=32631, transform=transform, shape=values.shape, block=(64, 64))
    affine = Affine.translation(WEST, NORTH) @ Affine.scale(10 * factor, -10 * factor)
    box = GeoBox((size // factor, size // factor), affine, "EPSG:32631")
    [piece] = arrange(grid, [box], (east, north))
    window = piece.area.window
    cut = values[window.row : window.row + window.rows, window.col : window.col + window.cols]
    pixels = Pixels(cut, np.ones(cut.shape, dtype=bool))
    [(_, (coarse, method))] = place_piece(pixels, grid, piece, "reflectance")
    assert method == "average"
    below = covered_mean(values, 40 + east / 10, 40 - north / 10, size)
    assert coarse.values.mean() == pytest.approx(below, rel=1e-4)


def covered_mean(values, left, top, size):
    """Mean of a square at any place, pixels at its edge by the part that lies within."""
    edges = np.arange(len(values))
    across = np.clip(np.minimum(edges + 1, left + size) - np.maximum(edges, left), 0, 1)
    down = np.clip(np.minimum(edges + 1, top + size) - np.maximum(edges, top), 0, 1)
    return float(down @ values.astype(float) @ across) / size**2
