"""The build benchmark in miniature: its archive, our side of it, its own arithmetic."""

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window, from_bounds

from stores.patch_store import PatchStore
from tests.bench.archive import BANDS, LANDSAT, SENTINEL2, BenchArchive, cell_bounds
from tests.bench.build import build_once, prepared
from tests.bench.build_case import Case
from tests.bench.build_check import compare, slots_of
from tests.bench.build_floor import decode_with_gdal, needed_files
from tests.bench.build_server import serve_folder


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> BenchArchive:
    made = BenchArchive(tmp_path_factory.mktemp("bench"), cells=1, dates=2)
    made.render()
    return made


@pytest.fixture(scope="module")
def built(archive, tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    places = tuple(archive.tile)
    recipe, plan = prepared(Case("", archive, places, (), warped=False), folder / "recipe")
    build_once(recipe, plan, folder / "store", None)
    return PatchStore.open(folder / "store")


def test_our_patches_are_what_rasterio_reads_of_every_cell_date_and_band(archive, built):
    slots = slots_of(built)
    assert len(slots) == 2 * 4
    for (date, *place), slot in slots.items():
        for layer, product in (("landsat", LANDSAT), ("sentinel2", SENTINEL2)):
            patch = built.read(layer, [slot]).raw[0]
            for b, band in enumerate(BANDS):
                with rasterio.open(archive.folder / archive.href(product, date, band)) as file:
                    window = from_bounds(*cell_bounds(tuple(place)), file.transform)
                    np.testing.assert_array_equal(patch[b], file.read(1, window=window))


def test_no_two_bands_of_a_cell_are_alike(built):
    patch = built.read("sentinel2", [0]).raw[0]
    assert len({band.tobytes() for band in patch}) == len(BANDS)


@pytest.mark.parametrize("warped", [False, True])
def test_needed_bytes_are_those_of_the_blocks_under_the_cells(archive, warped):
    needed = needed_files(archive, archive.tile, 1, warped=warped)
    assert len(needed) == 2 * (len(BANDS) + 1)
    for one in needed:
        with rasterio.open(one.path) as file:
            blocks = dict(file.block_windows(1))
            sizes = [
                int(file.get_tag_item(f"BLOCK_SIZE_{col}_{row}", "TIFF", bidx=1))
                for row, col in one.places
            ]
            assert one.compressed_bytes == sum(sizes)
            pixels = sum(blocks[place].width * blocks[place].height for place in one.places)
            assert decode_with_gdal(one) == pixels * np.dtype(file.dtypes[0]).itemsize


def test_the_comparison_sees_a_single_other_pixel():
    ours = np.full((2, 6, 8, 8), 4000, "u2")
    theirs = ours.copy()
    compare(ours, theirs, warped=False, name="same")
    theirs[1, 5, 7, 7] += 1
    with pytest.raises(AssertionError, match="differ"):
        compare(ours, theirs, warped=False, name="other")


def test_the_comparison_of_warps_refuses_half_a_pixel():
    rng = np.random.default_rng(0)
    fine = rng.normal(4500, 55, (2, 6, 64, 129))
    ours, moved = fine[..., 1:], (fine[..., 1:] + fine[..., :-1]) / 2
    compare(ours, ours + rng.normal(0, 3, ours.shape), warped=True, name="near")
    with pytest.raises(AssertionError, match="RMS"):
        compare(ours, moved, warped=True, name="moved")


def test_the_file_server_counts_requests_and_bytes_in_a_process_of_its_own(tmp_path):
    (tmp_path / "a.tif").write_bytes(bytes(1000))
    with serve_folder(tmp_path) as remote, rasterio.Env(CPL_VSIL_CURL_NON_CACHED="/vsicurl/"):
        assert remote.asked() == (0, 0)
        with pytest.raises(rasterio.RasterioIOError):
            rasterio.open(f"/vsicurl/{remote.url}/a.tif").read(window=Window(0, 0, 1, 1))
        requests, sent = remote.asked()
        assert requests >= 1
        assert 0 < sent <= 1000 * requests
        assert remote.asked() == (0, 0)
