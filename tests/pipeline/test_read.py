import os
from itertools import product

import numpy as np
import pytest
import rasterio
from rasterio.shutil import copy

from catalog.errors import SourceUnavailable, SourceUnreadable
from catalog.scene import Asset
from pipeline.blocks import Shelf
from pipeline.read import (
    DECODING_THREADS,
    GDAL_OPTIONS,
    BlockReader,
    Window,
    block_runs,
    decoding_threads,
    touched_blocks,
)
from tests.rasters import grid_at, write_raster

GRID = grid_at(500000, 6000000, 10)
QUICK = {**GDAL_OPTIONS, "GDAL_HTTP_MAX_RETRY": "2", "GDAL_HTTP_RETRY_DELAY": "0.005"}
HEADER_BYTES = 32768
CORNER = Window(0, 0, 10, 10)


def asset(href, nodata=None):
    return Asset(band="red", href=str(href), scale=1.0, offset=0.0, nodata=nodata)


def reader(**settings):
    return BlockReader(gdal_options=QUICK, **settings)


def noise(rows, cols, dtype=np.uint16, seed=0):
    return np.random.default_rng(seed).integers(0, 4000, (rows, cols)).astype(dtype)


def read(source, *windows, by=None, nodata=None):
    return (by or reader()).read(asset(source, nodata), lambda _: list(windows))[2]


@pytest.fixture
def image(tmp_path):
    """An image whose blocks take about 110 kB each, 4 by 4 of them."""
    return write_raster(tmp_path / "image.tif", noise(1024, 1024), transform=GRID, block_px=256)


# --- the pixels ---------------------------------------------------------------------------


def test_windows_equal_what_rasterio_reads_also_beyond_the_edges(tmp_path):
    path = write_raster(tmp_path / "a.tif", noise(150, 230), transform=GRID, block_px=64)
    rng = np.random.default_rng(1)
    windows = [
        Window(int(r), int(c), int(h), int(w))
        for r, c, h, w in zip(
            rng.integers(-80, 200, 60),
            rng.integers(-80, 280, 60),
            rng.integers(1, 120, 60),
            rng.integers(1, 120, 60),
            strict=True,
        )
    ]
    windows += [Window(0, 0, 150, 230), Window(-5, -5, 300, 300), Window(500, 500, 4, 4)]
    with rasterio.open(path) as dataset:
        whole = dataset.read(1)
    margin = 600
    padded, inside = np.pad(whole, margin), np.pad(whole != 7, margin)
    for window, pixels in zip(windows, read(path, *windows, nodata=7), strict=True):
        top, left = window.row + margin, window.col + margin
        place = np.s_[top : top + window.rows, left : left + window.cols]
        assert np.array_equal(pixels.values, padded[place])
        assert np.array_equal(pixels.has_data, inside[place])


def test_the_grid_is_the_files_own(image):
    grid, _, _ = reader().read(asset(image), lambda _: [])
    assert (grid.epsg, grid.shape, grid.block) == (32631, (1024, 1024), (256, 256))
    assert grid.transform == GRID
    moved = grid.window_transform(Window(2, 3, 1, 1))
    assert moved @ (0, 0) == (500030, 5999980)


@pytest.mark.parametrize("nodata", [-9999.0, float("nan"), None])
def test_values_that_are_no_numbers_are_no_data_whatever_the_nodata(tmp_path, nodata):
    values = np.array([[1.0, np.nan], [-9999.0, np.inf]], dtype=np.float32)
    path = write_raster(tmp_path / "f.tif", values, transform=GRID, block_px=16)
    [pixels] = read(path, Window(0, 0, 2, 2), nodata=nodata)
    assert pixels.has_data.tolist() == [[True, False], [nodata != -9999.0, False]]


# --- each block once ----------------------------------------------------------------------


def slow_touched(grid, window):
    blocks = product(range(-(-grid.shape[0] // 256)), range(-(-grid.shape[1] // 256)))
    return [
        (r, c)
        for r, c in blocks
        if r * 256 < window.row + window.rows
        and window.row < (r + 1) * 256
        and c * 256 < window.col + window.cols
        and window.col < (c + 1) * 256
    ]


@pytest.mark.parametrize(
    "window",
    [CORNER, Window(255, 255, 1, 1), Window(255, 255, 2, 2), Window(-9, 700, 300, 900)],
)
def test_touched_blocks_equal_a_plain_loop(image, window):
    grid, _, _ = reader().read(asset(image), lambda _: [])
    assert list(touched_blocks(grid, window)) == slow_touched(grid, window)


def test_a_window_outside_the_image_touches_nothing(image):
    grid, _, [pixels] = reader().read(asset(image), lambda _: [Window(2000, 0, 5, 5)])
    assert list(touched_blocks(grid, Window(2000, 0, 5, 5))) == []
    assert not pixels.has_data.any()


def test_runs_join_neighbors_of_a_row_and_nothing_else():
    places = [(0, 0), (0, 1), (0, 3), (1, 3), (2, 0)]
    assert block_runs(reversed(places)) == [(0, 0, 2), (0, 3, 1), (1, 3, 1), (2, 0, 1)]


def test_many_cells_of_one_block_decode_it_once(image):
    by = reader()
    read(image, *(Window(r, c, 60, 60) for r in (0, 60, 120) for c in (0, 60, 120)), by=by)
    assert (by.count.files, by.count.blocks) == (1, 1)
    read(image, Window(190, 190, 60, 60), by=by)
    assert (by.count.files, by.count.blocks) == (2, 1)
    read(image, Window(200, 200, 100, 100), by=by)
    assert by.count.blocks == 4
    assert by.count.decoded_bytes == 4 * 256 * 256 * 2


def block_bytes(path, places):
    with rasterio.open(path) as dataset:
        return sum(
            int(dataset.get_tag_item(f"BLOCK_SIZE_{col}_{row}", "TIFF", bidx=1))
            for row, col in places
        )


@pytest.mark.parametrize(
    ("windows", "places"),
    [
        ([Window(0, 0, 1024, 1024)], list(product(range(4), range(4)))),
        ([Window(300, 100, 60, 900)], [(1, 0), (1, 1), (1, 2), (1, 3)]),
        (
            [Window(100, 100, 60, 300), Window(900, 600, 60, 200)],
            [(0, 0), (0, 1), (3, 2), (3, 3)],
        ),
        (
            [Window(r, c, 9, 9) for r in range(0, 500, 50) for c in range(0, 500, 50)],
            [(0, 0), (0, 1), (1, 0), (1, 1)],
        ),
    ],
    ids=["whole", "one row", "two far apart", "many small"],
)
def test_a_server_sends_the_touched_blocks_once_and_little_else(
    image, file_server, windows, places
):
    pixels = read(file_server.href(image.name), *windows)
    with rasterio.open(image) as dataset:
        whole = dataset.read(1)
    for window, one in zip(windows, pixels, strict=True):
        rows = slice(window.row, window.row + window.rows)
        assert np.array_equal(one.values, whole[rows, window.col : window.col + window.cols])
    assert file_server.sent_bytes <= 1.2 * block_bytes(image, places) + HEADER_BYTES


def test_neighbors_in_a_row_come_with_one_request(image, file_server):
    read(file_server.href(image.name), Window(300, 0, 10, 1024))
    ranges = [r for r in file_server.requests if r.method == "GET"]
    assert len(ranges) == 2  # the header, and the four blocks


def test_memory_is_bounded_and_the_block_used_longest_ago_goes_first(image):
    block = 256 * 256 * 2
    by = reader(blocks=Shelf(2 * block))
    a, b, c = (Window(0, 256 * i, 5, 5) for i in range(3))
    for window in (a, b, a, c):
        read(image, window, by=by)
    assert by.count.blocks == 3
    read(image, a, c, by=by)
    assert by.count.blocks == 3
    read(image, b, by=by)
    assert by.count.blocks == 4
    read(image, Window(0, 0, 1024, 1024), by=by)
    assert by.blocks.held_bytes <= 2 * block


def test_a_block_that_is_held_does_not_hold_the_run_it_came_with(image):
    by = reader(blocks=Shelf(2**30))
    read(image, Window(0, 0, 5, 1024), by=by)
    assert by.blocks.held_bytes == 4 * 256 * 256 * 2
    assert all(block.base is None for block in by.blocks._blocks.values())


# --- a glance -----------------------------------------------------------------------------


def test_a_glance_shows_the_whole_image_in_few_pixels(image):
    seen = reader().glance(asset(image))
    with rasterio.open(image) as dataset:
        whole = dataset.read(1)
    assert np.isin(seen, whole).all()
    # Every 4th pixel, wherever within the 4 by 4 it was taken.
    blocks = whole.reshape(256, 4, 256, 4).transpose(0, 2, 1, 3).reshape(256, 256, 16)
    assert (blocks == seen[:, :, None]).any(axis=2).all()


def test_images_of_all_sizes_look_alike_at_a_glance(tmp_path):
    shapes = set()
    for size in (40, 256, 700):
        path = write_raster(tmp_path / f"{size}.tif", noise(size, size), transform=GRID)
        shapes.add(reader().glance(asset(path)).shape)
    assert shapes == {(256, 256)}


def test_a_large_image_is_glanced_at_through_its_overviews_only(tmp_path, file_server):
    plain = write_raster(tmp_path / "plain.tif", noise(2304, 2304), transform=GRID)
    by = reader()
    assert by.glance(asset(file_server.href("plain.tif"))) is None
    # rasterio holds the interpreter while GDAL looks for overviews, and the server of this
    # test runs in it: they have to be in the header, as cloud-optimized files have them.
    copy(plain, tmp_path / "cog.tif", driver="COG", blocksize=256, compress="deflate")
    file_server.forget()
    assert by.glance(asset(file_server.href("cog.tif"))).shape == (256, 256)
    assert file_server.sent_bytes < plain.stat().st_size / 10


# --- faults that stay ---------------------------------------------------------------------


def truncated(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


def test_a_missing_file_is_unreadable_and_named(tmp_path):
    with pytest.raises(SourceUnreadable, match=r"nowhere\.tif could not be read"):
        read(tmp_path / "nowhere.tif", CORNER)


def test_a_truncated_file_is_unreadable_where_it_ends_and_readable_before(image):
    truncated(image)
    [pixels] = read(image, CORNER)
    assert pixels.has_data.all()
    with pytest.raises(SourceUnreadable, match=r"image\.tif could not be read"):
        read(image, Window(1000, 1000, 9, 9))


def test_a_file_cut_inside_its_header_is_unreadable(image):
    image.write_bytes(image.read_bytes()[:100])
    with pytest.raises(SourceUnreadable):
        read(image, CORNER)


@pytest.mark.parametrize("content", [b"", b"<html>a portal</html>", b"II*\x00junk"])
def test_a_file_that_is_no_raster_is_unreadable(tmp_path, file_server, content):
    (tmp_path / "x.tif").write_bytes(content)
    for href in (tmp_path / "x.tif", file_server.href("x.tif")):
        with pytest.raises(SourceUnreadable, match=r"x\.tif could not be read"):
            read(href, CORNER)


def test_a_raster_without_crs_is_unreadable_and_says_so(tmp_path):
    path = tmp_path / "bare.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=8, height=8, count=1, dtype="uint8", transform=GRID
    ) as dataset:
        dataset.write(np.ones((1, 8, 8), dtype=np.uint8))
    with pytest.raises(SourceUnreadable, match="names no CRS"):
        read(path, CORNER)


@pytest.mark.parametrize("status", [404, 410])
def test_a_file_that_the_server_does_not_have_is_unreadable(image, file_server, status):
    file_server.faults.answer(f"/{image.name}", status)
    with pytest.raises(SourceUnreadable, match=str(status)):
        read(file_server.href(image.name), CORNER)


def test_a_truncated_file_is_unreadable_over_http_too(image, file_server):
    truncated(image)
    with pytest.raises(SourceUnreadable):
        read(file_server.href(image.name), Window(1000, 1000, 9, 9))


def test_digits_of_a_path_are_no_status(tmp_path, file_server):
    (tmp_path / "503").mkdir()
    (tmp_path / "503" / "connect.tif").write_bytes(b"no raster")
    with pytest.raises(SourceUnreadable):
        read(file_server.href("503/connect.tif"), CORNER)


# --- faults that pass ---------------------------------------------------------------------


def test_a_server_that_fails_twice_and_then_works_loses_nothing(image, file_server):
    file_server.faults.answer(f"/{image.name}", 503, times=2)
    [pixels] = read(file_server.href(image.name), CORNER)
    assert pixels.has_data.all()
    assert [r.status for r in file_server.requests][:3] == [503, 503, 206]


@pytest.mark.parametrize("status", [401, 403, 429, 500, 502, 503, 504])
def test_a_server_that_keeps_failing_makes_the_source_unavailable(image, file_server, status):
    file_server.faults.answer(f"/{image.name}", status)
    with pytest.raises(SourceUnavailable, match=str(status)):
        read(file_server.href(image.name), CORNER)


@pytest.mark.parametrize("status", [404, 503])
def test_a_failure_is_not_remembered_once_the_server_works_again(image, file_server, status):
    by, href = reader(), file_server.href(image.name)
    file_server.faults.answer(f"/{image.name}", status)
    with pytest.raises((SourceUnavailable, SourceUnreadable)):
        read(href, CORNER, by=by)
    file_server.faults.clear()
    assert read(href, CORNER, by=by)[0].has_data.all()


def test_a_replaced_file_is_read_anew(image, file_server):
    href = file_server.href(image.name)
    [before] = read(href, CORNER)
    write_raster(image, noise(1024, 1024, seed=9), transform=GRID, block_px=256)
    [after] = read(href, CORNER)
    assert not np.array_equal(before.values, after.values)


@pytest.mark.parametrize("status", [403, 503])
def test_a_server_that_fails_between_header_and_blocks_makes_it_unavailable(
    image, file_server, status
):
    def fail_from_now_on(_grid):
        file_server.faults.answer(f"/{image.name}", status)
        return [Window(1000, 1000, 9, 9)]

    with pytest.raises(SourceUnavailable, match=str(status)):
        reader().read(asset(file_server.href(image.name)), fail_from_now_on)


def test_blocks_that_a_server_refused_for_a_while_are_asked_for_once_more(image, file_server):
    faults = iter([403])

    def fail_once(_grid):
        for status in faults:
            file_server.faults.answer(f"/{image.name}", status, times=1)
        return [Window(1000, 1000, 9, 9)]

    _, _, [pixels] = reader().read(asset(file_server.href(image.name)), fail_once)
    assert pixels.has_data.all()
    assert 403 in [r.status for r in file_server.requests]


def test_a_port_that_refuses_makes_the_source_unavailable(closed_port):
    with pytest.raises(SourceUnavailable, match="connect"):
        read(f"http://127.0.0.1:{closed_port}/x.tif", CORNER)


def test_a_server_that_hangs_up_makes_the_source_unavailable(image, serve_files):
    server = serve_files(image.parent)
    href = server.href(image.name)
    server.close()
    with pytest.raises(SourceUnavailable):
        read(href, CORNER)


def test_a_local_fault_is_never_taken_for_a_passing_one(tmp_path):
    (tmp_path / "CURL error timeout.tif").write_bytes(b"no raster")
    with pytest.raises(SourceUnreadable):
        read(tmp_path / "CURL error timeout.tif", CORNER)


# --- threads ------------------------------------------------------------------------------


def test_as_many_threads_decode_as_there_are_cores_or_as_stated(monkeypatch):
    monkeypatch.delenv(DECODING_THREADS, raising=False)
    assert decoding_threads() == len(os.sched_getaffinity(0))
    monkeypatch.setenv(DECODING_THREADS, "3")
    assert decoding_threads() == 3


@pytest.mark.parametrize("threads", ["1", "4"])
def test_any_number_of_threads_decodes_the_same(image, file_server, monkeypatch, threads):
    monkeypatch.setenv(DECODING_THREADS, threads)
    [pixels] = read(file_server.href(image.name), Window(0, 0, 1024, 1024))
    with rasterio.open(image) as dataset:
        assert np.array_equal(pixels.values, dataset.read(1))
