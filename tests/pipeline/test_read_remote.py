import logging
import os
import time
import traceback
from itertools import count
from urllib.parse import unquote

import numpy as np
import pytest
import rasterio

from catalog.errors import SourceUnavailable, SourceUnreadable
from catalog.scene import Asset
from pipeline.access import reach
from pipeline.blocks import Shelf
from pipeline.read import GDAL_OPTIONS, BlockReader, Window
from pipeline.sandbox.serve.tokens import TokenServer
from tests.rasters import grid_at, write_raster

GRID = grid_at(500000, 6000000, 10)
QUICK = {**GDAL_OPTIONS, "GDAL_HTTP_MAX_RETRY": "2", "GDAL_HTTP_RETRY_DELAY": "0.005"}
CORNER = Window(0, 0, 10, 10)


def asset(href):
    return Asset(band="red", href=str(href), scale=1.0, offset=0.0, nodata=None)


def reader():
    return BlockReader(gdal_options=QUICK)


def read(source, *windows, by=None):
    return (by or reader()).read(asset(source), lambda _: list(windows))[2]


@pytest.fixture
def image(tmp_path):
    """An image whose blocks take about 110 kB each, 4 by 4 of them."""
    values = np.random.default_rng(0).integers(0, 4000, (1024, 1024)).astype(np.uint16)
    return write_raster(tmp_path / "image.tif", values, transform=GRID, block_px=256)


# --- bad weather --------------------------------------------------------------------------

SCATTERED = [Window(r, c, 90, 90) for r, c in ((0, 0), (200, 700), (500, 300), (930, 930))]


@pytest.fixture
def calm(image):
    return read(image, *SCATTERED)


def same(found, expected):
    return all(
        np.array_equal(a.values, b.values) and np.array_equal(a.has_data, b.has_data)
        for a, b in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize("statuses", [(429, 503), (500, 502, 504), (408, 425)])
def test_a_third_of_all_answers_may_be_refusals(image, calm, file_server, statuses):
    for seed in range(6):
        file_server.faults.fail_share(1 / 3, statuses=statuses, seed=seed)
        by = BlockReader(gdal_options={**QUICK, "GDAL_HTTP_MAX_RETRY": "4"})
        assert same(read(file_server.href(image.name), *SCATTERED, by=by), calm)
    refused = [r for r in file_server.requests if r.status in statuses]
    assert len(refused) > len(file_server.requests) / 6


@pytest.mark.parametrize("after_bytes", [0, 1, 5000, 40000])
def test_connections_that_are_dropped_cost_nothing_but_time(
    image, calm, file_server, after_bytes
):
    # HEAD requests have no body to drop the connection in.
    file_server.faults.drop(f"/{image.name}", times=4, after_bytes=after_bytes)
    assert same(read(file_server.href(image.name), *SCATTERED), calm)


def test_answers_cut_short_again_and_again_get_on_block_by_block(image, calm, file_server):
    by, asked, truth = reader(), count(), file_server.respond

    def cut_every_third(call):
        status, headers, body = truth(call)
        short = call.method == "GET" and next(asked) % 3 == 2
        return status, headers, body[:50] if short else body

    file_server.respond = cut_every_third
    assert same(read(file_server.href(image.name), *SCATTERED, by=by), calm)
    assert next(asked) > 6
    assert by.count.blocks == 8


def test_a_slow_server_is_waited_for(image, calm, file_server):
    file_server.faults.wait(f"/{image.name}", 0.2, times=3)
    assert same(read(file_server.href(image.name), *SCATTERED), calm)


def test_a_file_in_one_huge_block_is_refused_before_it_fills_the_memory(tmp_path, file_server):
    path = tmp_path / "huge.tif"
    options = {"width": 40000, "height": 40000, "count": 1, "dtype": "uint8", "tiled": True}
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        crs="EPSG:32631",
        transform=GRID,
        blockxsize=40000,
        blockysize=40000,
        sparse_ok=True,
        **options,
    ):
        pass
    with pytest.raises(SourceUnreadable, match="blocks of 40000 x 40000"):
        read(file_server.href("huge.tif"), CORNER)


# --- signed files -------------------------------------------------------------------------


@pytest.fixture
def signed(tmp_path, monkeypatch):
    """A server that opens the test's files to signed URLs only."""
    with TokenServer(tmp_path) as server:
        monkeypatch.setenv("PC_SDK_SAS_URL", server.token_url)
        yield server


def read_signed(href, *windows, by=None):
    by = by or reader()
    return by.read(asset(href), lambda _: list(windows), access="planetary-computer")[2]


def test_tokens_that_live_a_second_serve_reads_that_take_many(image, calm, signed):
    signed.issuer.life_s = 0.2  # they end with the next whole second, thus live 0.2 to 1.2 s
    began, reads = time.monotonic(), 0
    while time.monotonic() < began + 4:
        assert same(read_signed(signed.href(image.name), *SCATTERED), calm)
        reads += 1
        time.sleep(0.03)
    assert reads > 5
    assert 3 <= signed.issuer.issued["signed"] <= 10


def test_a_token_that_dies_between_header_and_blocks_is_replaced(image, signed):
    href, by = signed.href(image.name), reader()
    faults = iter([1])

    def fail_once(_grid):
        for times in faults:
            signed.faults.answer(f"/signed/{image.name}", 403, times=times)
        return SCATTERED

    _, _, found = by.read(asset(href), fail_once, access="planetary-computer")
    assert same(found, read(image, *SCATTERED))
    assert signed.issuer.issued["signed"] == 2


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_replaced_once_and_then_the_source_is_unavailable(
    image, signed, status
):
    signed.faults.answer(f"/signed/{image.name}", status)
    with pytest.raises(SourceUnavailable, match=f"HTTP response code: {status}"):
        read_signed(signed.href(image.name), CORNER)
    assert signed.issuer.issued["signed"] == 2


def test_blocks_are_kept_under_the_address_without_its_signature(image, signed):
    by = reader()
    read_signed(signed.href(image.name), CORNER, by=by)
    refused = reach(signed.href(image.name), "planetary-computer")
    refused.renewed()
    read_signed(signed.href(image.name), CORNER, by=by)
    assert (by.count.files, by.count.blocks) == (2, 1)


def test_a_third_of_refusals_does_not_harm_signed_reads_either(image, calm, signed):
    signed.faults.fail_share(1 / 3)
    by = BlockReader(gdal_options={**QUICK, "GDAL_HTTP_MAX_RETRY": "4"})
    for _ in range(5):
        assert same(read_signed(signed.href(image.name), *SCATTERED, by=by), calm)
    assert signed.issuer.issued["signed"] == 1


@pytest.mark.parametrize("fault", ["404", "403", "500", "truncated", "junk", "dropped"])
def test_neither_errors_nor_logs_show_a_token(image, signed, caplog, fault):
    caplog.set_level(logging.DEBUG)
    href = signed.href(image.name)
    if fault.isdigit():
        signed.faults.answer(f"/signed/{image.name}", int(fault))
    elif fault == "truncated":
        image.write_bytes(image.read_bytes()[:900_000])
    elif fault == "junk":
        image.write_bytes(b"<html>a portal</html>")
    else:
        signed.faults.drop(f"/signed/{image.name}")
    with pytest.raises((SourceUnavailable, SourceUnreadable)) as failed:
        read_signed(href, Window(1000, 1000, 9, 9))
    assert href in str(failed.value)
    token = reach(href, "planetary-computer").token.text
    signature = token.rpartition("sig=")[2]
    told = "".join(traceback.format_exception(failed.value)) + caplog.text
    assert "rasterio" in {record.name.partition(".")[0] for record in caplog.records}
    for secret in (signature, unquote(signature)):
        assert len(secret) > 20
        assert secret not in told
        assert secret not in repr(failed.value.__context__)


# --- what tasks share ---------------------------------------------------------------------


def gets(server):
    return [r for r in server.requests if r.method == "GET"]


def test_a_second_task_asks_for_one_byte_where_nothing_is_new(image, file_server):
    href = file_server.href(image.name)
    first = read(href, *SCATTERED)
    file_server.forget()
    by = reader()
    assert same(read(href, *SCATTERED, by=by), first)
    assert by.count.blocks == 0
    assert [r.sent_bytes for r in gets(file_server)] == [1]
    assert same(read(href, *SCATTERED, by=by), first)
    assert len(gets(file_server)) == 1


def test_blocks_that_were_dropped_come_from_the_bytes_that_are_kept(image, file_server):
    href = file_server.href(image.name)
    first = read(href, *SCATTERED)
    file_server.forget()
    by = BlockReader(gdal_options=QUICK, blocks=Shelf(2**30))
    assert same(read(href, *SCATTERED, by=by), first)
    assert by.count.blocks == 8
    assert [r.sent_bytes for r in gets(file_server)] == [1]


def test_a_second_task_asks_for_new_blocks_without_the_header(image, file_server):
    href = file_server.href(image.name)
    read(href, CORNER)
    file_server.forget()
    read(href, Window(0, 0, 10, 1024))
    assert len(gets(file_server)) == 1  # three more blocks of the row, the file not changed


def test_only_whole_ranges_are_asked_for(image, file_server):
    read(file_server.href(image.name), *SCATTERED)
    assert {r.method for r in file_server.requests} == {"GET"}


def rewrite(image, seed):
    values = np.random.default_rng(seed).integers(0, 4000, (1024, 1024)).astype(np.uint16)
    write_raster(image, values, transform=GRID, block_px=256)
    return values


@pytest.mark.parametrize("windows", [SCATTERED, [CORNER], [Window(0, 0, 1024, 1024)]])
def test_a_file_that_changes_between_tasks_is_read_anew(image, file_server, windows):
    href = file_server.href(image.name)
    read(href, *SCATTERED)
    values = rewrite(image, seed=9)
    for window, pixels in zip(windows, read(href, *windows), strict=True):
        rows = slice(window.row, window.row + window.rows)
        found = values[rows, window.col : window.col + window.cols]
        assert np.array_equal(pixels.values, found)


def test_a_file_that_changes_between_header_and_blocks_is_opened_again(image, file_server):
    versions = iter([7])

    def change_once(_grid):
        for seed in versions:
            rewrite(image, seed)
        return [Window(0, 0, 1024, 1024)]

    _, _, [pixels] = reader().read(asset(file_server.href(image.name)), change_once)
    with rasterio.open(image) as dataset:
        assert np.array_equal(pixels.values, dataset.read(1))


def test_a_server_that_names_no_version_shares_nothing_between_tasks(image, file_server):
    truth = file_server.respond

    def nameless(call):
        status, headers, body = truth(call)
        return status, {k: v for k, v in headers.items() if k != "ETag"}, body

    file_server.respond = nameless
    href = file_server.href(image.name)
    read(href, CORNER)
    by = reader()
    read(href, CORNER, by=by)
    assert by.count.blocks == 1


def test_a_local_file_that_rests_is_decoded_once_for_all_tasks(image):
    then = time.time() - 60
    os.utime(image, (then, then))
    first, second = reader(), reader()
    assert same(read(image, CORNER, by=first), read(image, CORNER, by=second))
    assert (first.count.blocks, second.count.blocks) == (1, 0)
    values = rewrite(image, seed=5)
    assert np.array_equal(read(image, CORNER)[0].values, values[:10, :10])


def test_a_file_of_many_small_blocks_is_read_as_from_disk(tmp_path, file_server):
    values = np.random.default_rng(0).integers(0, 9, (2048, 2048)).astype(np.uint8)
    path = write_raster(tmp_path / "small.tif", values, transform=GRID, block_px=16)
    window = Window(1500, 100, 300, 900)  # their offsets fill more than the first request
    [pixels] = read(file_server.href(path.name), window)
    assert np.array_equal(pixels.values, values[1500:1800, 100:1000])


def test_blocks_that_the_file_leaves_out_are_empty(tmp_path, file_server):
    path = tmp_path / "sparse.tif"
    options = {"width": 512, "height": 512, "count": 1, "dtype": "uint16", "tiled": True}
    with rasterio.open(
        path, "w", driver="GTiff", crs="EPSG:32631", transform=GRID, blockxsize=256,
        blockysize=256, compress="deflate", sparse_ok=True, **options,
    ) as dataset:  # fmt: skip
        dataset.write(np.full((9, 9), 7, dtype=np.uint16), 1, window=((0, 9), (0, 9)))
    [pixels] = read(file_server.href("sparse.tif"), Window(0, 0, 512, 512))
    assert (pixels.values == 7).sum() == 81
    assert (pixels.values == 0).sum() == 512 * 512 - 81
