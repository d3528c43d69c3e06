"""The whole path on real scenes of West Flanders, against what is known of them."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
import tensorstore
import xarray
import zarr
from affine import Affine
from rasterio.enums import Resampling
from rasterio.warp import reproject

from pipeline.estimate import estimate_plan
from pipeline.plan import Plan, make_plan
from pipeline.recipe import load_recipe
from pipeline.run import RunSummary, build_store
from stores.patch_store import PatchStore

BANDS = ("blue", "green", "red", "nir", "swir1", "swir2")
WEST, NORTH = 501375, 5629665
RECIPE = """
name = "belgium"
period = ["2017-08-01", "2018-12-01"]
anchor = "landsat"
window_days = 7
source = "{source}"

[area]
bbox = [3.0195, 50.8133, 3.0284, 50.8187]

[grid]
gsd_m = 10
size_px = {size_px}
origin_m = [501375, 5629065]

[layers.landsat]
product = "landsat-c2-l2"
bands = ["blue", "green", "red", "nir", "swir1", "swir2"]
gsd_m = 30
min_valid = 0.94    # 5.25 % of the 60 px cell is fill on 2018-07-24

[layers.sentinel2]
product = "sentinel-2-l2a"
bands = ["blue", "green", "red", "nir", "swir1", "swir2"]
gsd_m = 10
min_valid = 0.95
"""
KEPT_DATES = {
    date(2017, 10, 2),
    date(2018, 2, 23),
    date(2018, 7, 1),
    date(2018, 7, 17),
    date(2018, 7, 24),
    date(2018, 8, 2),
    date(2018, 10, 5),
    date(2018, 10, 21),
}


@dataclass(frozen=True)
class Built:
    """A store of the real scenes and how it came about."""

    folder: Path
    plan: Plan
    summary: RunSummary

    @property
    def store(self) -> PatchStore:
        """The latest snapshot."""
        return PatchStore.open(self.folder)


def _build(folder: Path, archive: Path, size_px: int) -> Built:
    path = folder / "belgium.toml"
    path.write_text(RECIPE.format(source=archive, size_px=size_px))
    recipe = load_recipe(path)
    plan = make_plan(recipe, datetime(2021, 1, 1, tzinfo=UTC))
    summary = build_store(recipe, folder / "store", lambda: plan, connect=None)
    return Built(folder / "store", plan, summary)


@pytest.fixture(scope="module")
def belgium(real_archive, tmp_path_factory):
    """One cell of 60 px at 10 m."""
    return _build(tmp_path_factory.mktemp("one"), real_archive, 60)


@pytest.fixture(scope="module")
def quarters(real_archive, tmp_path_factory):
    """The same ground as four cells of 30 px."""
    return _build(tmp_path_factory.mktemp("four"), real_archive, 30)


def _row(built, day):
    index = built.store.index
    [row] = index[index["anchor_time"].dt.date == day].to_dict("records")
    return row


def test_neighboring_rows_of_a_pass_are_one_sample(belgium):
    listed = belgium.plan.found.scenes["landsat"]
    assert len(listed) == 26
    index = belgium.store.index
    assert len(index) == 24
    assert index["anchor_time"].dt.date.is_unique
    doubles = {d: _row(belgium, d) for d in (date(2018, 6, 6), date(2018, 7, 24))}
    assert doubles[date(2018, 7, 24)]["landsat_scenes"] == (
        "LC08_L2SP_31UDS_20180724;LC08_L2SP_31UDS_20180724_b"
    )
    june = [s.id for s in belgium.plan.scenes["landsat"] if s.time.date() == date(2018, 6, 6)]
    assert len(june) == 2
    assert doubles[date(2018, 6, 6)]["status"] == "rejected"


def test_nine_dates_are_clear_and_eight_have_a_partner(belgium):
    index = belgium.store.index
    kept = index[index["status"] == "kept"]
    assert set(kept["anchor_time"].dt.date) == KEPT_DATES
    lost = index[index["detail"].str.startswith("sentinel2")]
    assert set(lost["anchor_time"].dt.date) == {date(2018, 6, 6)}
    cloudy = index[index["detail"].str.startswith("landsat")]
    assert len(cloudy) == 24 - 9
    assert set(cloudy["reason"]) == {"cloud"}
    assert belgium.summary.kept == 8
    assert belgium.summary.rejected == {"cloud": 16}


def test_june_6_is_rejected_and_says_which_scene_came_closest(belgium):
    row = _row(belgium, date(2018, 6, 6))
    assert (row["status"], row["reason"]) == ("rejected", "cloud")
    assert "S2_31UDS_20180610_0_L2A" in row["detail"]
    assert "min_valid is 95.0%" in row["detail"]
    assert row["sentinel2_candidates"] >= 2


def test_gaps_are_signed_and_two_partners_are_of_the_same_day(belgium):
    kept = belgium.store.select()
    hours = (kept["sentinel2_time"] - kept["anchor_time"]).dt.total_seconds() / 3600
    np.testing.assert_allclose(kept["sentinel2_dt_hours"], hours)
    assert (kept["sentinel2_dt_hours"].abs() <= 7 * 24).all()
    same_day = kept["sentinel2_time"].dt.date == kept["anchor_time"].dt.date
    assert set(kept["anchor_time"].dt.date[same_day]) == {date(2018, 8, 2), date(2018, 10, 21)}
    assert (kept["sentinel2_dt_hours"].abs()[same_day] < 24).all()
    early = _row(belgium, date(2017, 10, 2))
    assert early["sentinel2_dt_hours"] / 24 == pytest.approx(-5.99, abs=0.005)
    assert (kept["landsat_dt_hours"] == 0).all()


def _source(belgium, layer, scene, band):
    """The file of a band, as the archive's items name it."""
    [found] = [s for s in belgium.plan.scenes[layer] if s.id == scene]
    return Path(found.assets[band].href)


def _direct(path):
    """What rasterio itself reads on the cell, Landsat's own pixels."""
    with rasterio.open(path) as dataset:
        assert (dataset.transform.c, dataset.transform.f) == (WEST, NORTH)
        return dataset.read(1)[:20, :20]


def test_landsat_is_pasted_bit_for_bit(belgium):
    for row in belgium.store.select().to_dict("records"):
        assert row["landsat_resampling"] == "none"
        patch = belgium.store.read("landsat", [row["slot"]])
        scenes = row["landsat_scenes"].split(";")
        clear = [
            _direct(_source(belgium, "landsat", scene, "qa_pixel")) & 0b11111 == 0
            for scene in scenes
        ]
        np.testing.assert_array_equal(patch.valid[0], np.any(clear, axis=0))
        for b, band in enumerate(BANDS):
            values = [_direct(_source(belgium, "landsat", scene, band)) for scene in scenes]
            np.testing.assert_array_equal(
                np.where(patch.valid[0], patch.raw[0, b], 0), np.select(clear, values)
            )
            if len(scenes) == 1:
                np.testing.assert_array_equal(patch.raw[0, b], values[0])


def _warped(path):
    """A Sentinel-2 file warped to the cell by rasterio in one call, as stored integers."""
    with rasterio.open(path) as dataset:
        source = dataset.read(1).astype(np.float32)
        out = np.full((60, 60), np.nan, np.float32)
        reproject(
            np.where(source == 0, np.nan, source),
            out,
            src_transform=dataset.transform,
            src_crs=dataset.crs,
            src_nodata=np.nan,
            dst_transform=Affine(10, 0, WEST, 0, -10, NORTH),
            dst_crs="EPSG:32631",
            dst_nodata=np.nan,
            resampling=Resampling.cubic,
        )
    return np.where(np.isnan(out), 0, np.rint(out) + 1000).astype(np.uint16)


def test_sentinel2_is_warped_once_and_shifted_by_1000(belgium):
    for row in belgium.store.select().to_dict("records"):
        assert row["sentinel2_resampling"] == "cubic"
        raw = belgium.store.read("sentinel2", [row["slot"]]).raw[0]
        for b, band in enumerate(BANDS):
            path = _source(belgium, "sentinel2", row["sentinel2_scenes"], band)
            np.testing.assert_array_equal(raw[b], _warped(path))


def test_the_store_opens_from_outside_and_holds_the_source_pixels(belgium):
    row = _row(belgium, date(2018, 8, 2))
    slot, data = row["slot"], belgium.folder / "data.zarr"
    truth = np.stack(
        [_direct(_source(belgium, "landsat", row["landsat_scenes"], b)) for b in BANDS]
    )
    physical = truth * 2.75e-5 - 0.2

    group = xarray.open_zarr(data, group="landsat", chunks=None)
    np.testing.assert_allclose(group["pixels"][slot], physical, atol=1e-6)
    raw = xarray.open_zarr(data, group="landsat", chunks=None, mask_and_scale=False)
    np.testing.assert_array_equal(raw["pixels"][slot], truth)
    tree = xarray.open_datatree(data, engine="zarr", chunks=None)
    np.testing.assert_allclose(tree["landsat"]["pixels"][slot], physical, atol=1e-6)
    assert set(tree.children) == {"landsat", "sentinel2"}

    array = zarr.open_group(data, mode="r")["landsat/pixels"]
    np.testing.assert_array_equal(array[slot], truth)
    path = {"driver": "file", "path": str(data / "landsat" / "pixels")}
    opened = tensorstore.open({"driver": "zarr3", "kvstore": path}, read=True).result()
    np.testing.assert_array_equal(opened[slot].read().result(), truth)


def test_a_sample_is_georeferenced_and_in_physical_units(belgium):
    row = _row(belgium, date(2018, 8, 2))
    tree = belgium.store.sample(row["sample_id"])
    landsat = tree["landsat"]["pixels"]
    assert landsat.odc.crs.epsg == 32631
    assert landsat.odc.geobox.boundingbox.bbox == (WEST, NORTH - 600, WEST + 600, NORTH)
    red = _direct(_source(belgium, "landsat", row["landsat_scenes"], "red"))
    np.testing.assert_allclose(landsat.sel(band="red"), red * 2.75e-5 - 0.2, atol=1e-6)


def test_the_estimate_is_within_a_factor_of_two_of_what_was_read(belgium):
    estimate, read = estimate_plan(belgium.plan), belgium.summary
    assert 0.5 < estimate.read_bytes / read.decoded_bytes < 2
    assert 0.5 < estimate.requests / (3 * read.files) < 2


def test_four_cells_hold_the_same_pixels_as_the_one(belgium, quarters):
    assert quarters.plan.cells == 4
    index = quarters.store.index
    assert len(index) == 4 * 24
    assert quarters.summary.kept + sum(quarters.summary.rejected.values()) == 4 * 24
    kept = quarters.store.select()
    assert (kept.groupby(kept["anchor_time"].dt.date).size() == 4).sum() >= 7
    compared = 0
    for row in kept.to_dict("records"):
        whole = _row(belgium, row["anchor_time"].date())
        for layer, gsd in (("landsat", 30), ("sentinel2", 10)):
            if whole[f"{layer}_scenes"] != row[f"{layer}_scenes"]:
                continue
            size = 300 // gsd
            top, left = round((NORTH - row["north"]) / gsd), round((row["west"] - WEST) / gsd)
            one = belgium.store.read(layer, [whole["slot"]]).raw[0]
            part = quarters.store.read(layer, [row["slot"]]).raw[0]
            np.testing.assert_array_equal(part, one[:, top : top + size, left : left + size])
            compared += 1
    assert compared >= 2 * 4 * 7
