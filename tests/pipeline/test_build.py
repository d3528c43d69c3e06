"""One task: which sources each sample takes, what is stored, and what becomes of bad ones."""

import dataclasses
from datetime import timedelta
from math import ceil

import numpy as np
import pytest

from catalog.errors import SourceUnavailable
from pipeline.build import build
from pipeline.read import BlockReader
from tests.tiny_archive import ANCHOR_TIME, CELL_M, cell, layer_task, make_task

LANDSAT = layer_task("landsat", "landsat-c2-l2", ["red", "nir"], 30)
SENTINEL2 = layer_task("sentinel2", "sentinel-2-l2a", ["red", "nir"], 10)
DAY = timedelta(days=1)
FIRST = (cell(0, 0),)


@pytest.fixture
def pair(archive):
    """Add an anchor and Sentinel-2 scenes by their own arguments; return a task of them."""

    def make(sentinel2, cells=FIRST, layers=(LANDSAT, SENTINEL2)):
        anchor = archive.add("landsat-c2-l2", "L", ANCHOR_TIME)
        scenes = [
            archive.add("sentinel-2-l2a", name, ANCHOR_TIME + (rank + 1) * DAY, **how)
            for rank, (name, how) in enumerate(sentinel2.items())
        ]
        return make_task(
            layers,
            {"landsat": [anchor], "sentinel2": scenes},
            {"landsat": [["L"]], "sentinel2": [[s.id] for s in scenes]},
            cells,
        )

    return make


def test_a_cloudy_nearest_scene_gives_way_to_the_next_on_its_cells_only(pair, archive):
    task = pair({"near": {"cloudy": [(0, 1, 0, 1)]}, "far": {}}, cells=[cell(0, 0), cell(1, 0)])
    built = build(task)
    assert built.outcomes[0]["sentinel2_scenes"] == "far"
    assert built.outcomes[0]["sentinel2_dt_hours"] == pytest.approx(48)
    assert built.outcomes[1]["sentinel2_scenes"] == "near"
    for position, name in enumerate(["far", "near"]):
        truth = archive.read(name, "red", cell(position, 0), 10) + 1000
        np.testing.assert_array_equal(built.pixels["sentinel2"][position, 0], truth)
    assert [o["status"] for o in built.outcomes.values()] == ["kept", "kept"]
    assert [o["sentinel2_candidates"] for o in built.outcomes.values()] == [2, 2]


def test_pixels_equal_a_direct_read_and_slots_without_a_sample_are_empty(pair, archive):
    places = [cell(0, 0), cell(3, 2)]
    built = build(pair({"S": {}}, cells=places))
    for position, place in enumerate(places):
        for b, band in enumerate(["red", "nir"]):
            landsat = archive.read("L", band, place, 30)
            np.testing.assert_array_equal(built.pixels["landsat"][position, b], landsat)
            sentinel2 = archive.read("S", band, place, 10)
            np.testing.assert_array_equal(
                built.pixels["sentinel2"][position, b], sentinel2 + 1000
            )
    for layer in ("landsat", "sentinel2"):
        assert built.pixels[layer].shape[0] == 64
        assert not built.pixels[layer][2:].any()
        assert built.valid[layer][:2].all()
        assert not built.valid[layer][2:].any()
    assert {o["landsat_resampling"] for o in built.outcomes.values()} == {"none"}


@pytest.mark.parametrize(("offset", "shift"), [(None, 1000), (0.0, 1000), (-0.1, 0)])
def test_sentinel2_is_shifted_by_a_whole_number_or_not_at_all(pair, archive, offset, shift):
    built = build(pair({"S": {"offset": offset}}))
    raw = archive.read("S", "nir", cell(0, 0), 10)
    np.testing.assert_array_equal(built.pixels["sentinel2"][0, 1], raw + shift)


def test_a_scale_that_no_whole_number_mends_is_an_unreadable_source(pair):
    built = build(pair({"S": {"offset": -0.10003}}))
    assert built.outcomes[0]["reason"] == "unreadable source"
    assert "no whole number" in built.outcomes[0]["detail"]


def test_coarser_bands_are_warped_and_the_index_says_so(archive):
    layer = layer_task("sentinel2", "sentinel-2-l2a", ["red", "swir1"], 10)
    scene = archive.add("sentinel-2-l2a", "S", ANCHOR_TIME)
    built = build(make_task([layer], {"sentinel2": [scene]}, {"sentinel2": [["S"]]}))
    assert built.outcomes[0]["sentinel2_resampling"] == "cubic"
    red = archive.read("S", "red", cell(0, 0), 10)
    np.testing.assert_array_equal(built.pixels["sentinel2"][0, 0], red + 1000)


def test_rows_of_one_pass_are_mosaicked_by_the_first_usable_pixel(archive):
    upper = archive.add(
        "landsat-c2-l2", "upper", ANCHOR_TIME, size=(2, 4), cloudy=[(1, 1.5, 0, 0.5)]
    )
    lower = archive.add(
        "landsat-c2-l2",
        "lower",
        ANCHOR_TIME + timedelta(seconds=24),
        corner=(1, 0),
        size=(3, 4),
    )
    places = [cell(0, 0), cell(0, 1), cell(0, 2)]
    built = build(
        make_task(
            [LANDSAT], {"landsat": [upper, lower]}, {"landsat": [["upper", "lower"]]}, places
        )
    )
    above, below = (archive.read(name, "red", cell(0, 1), 30) for name in ("upper", "lower"))
    mixed = above.copy()
    mixed[:2, :2] = below[:2, :2]
    np.testing.assert_array_equal(built.pixels["landsat"][1, 0], mixed)
    np.testing.assert_array_equal(
        built.pixels["landsat"][0, 0], archive.read("upper", "red", cell(0, 0), 30)
    )
    np.testing.assert_array_equal(
        built.pixels["landsat"][2, 0], archive.read("lower", "red", cell(0, 2), 30)
    )
    assert built.valid["landsat"][:3].all()
    assert {o["landsat_scenes"] for o in built.outcomes.values()} == {"upper;lower"}


def test_clouds_reject_a_sample_and_name_the_best_candidate(pair):
    built = build(
        pair({"worse": {"cloudy": [(0, 1, 0, 1)]}, "better": {"cloudy": [(0, 0.5, 0, 1)]}})
    )
    outcome = built.outcomes[0]
    assert (outcome["status"], outcome["reason"]) == ("rejected", "cloud")
    assert "sentinel2: best of 2 candidates is better with 50.0% usable" in outcome["detail"]
    assert not built.pixels["landsat"].any()
    assert outcome["content_key"] == ""
    assert not outcome["landsat_present"]


def test_a_scene_that_holds_half_the_cell_is_partial_coverage(pair):
    built = build(pair({"S": {"missing": [(0, 0.5, 0, 1)]}}))
    assert built.outcomes[0]["reason"] == "partial coverage"
    beyond = build(pair({"S": {}}, cells=[cell(4, 0)]))
    assert beyond.outcomes[0]["reason"] == "partial coverage"


def test_gaps_in_one_band_make_pixels_unusable(archive):
    clear = archive.add("sentinel-2-l2a", "S", ANCHOR_TIME)
    other = archive.add("sentinel-2-l2a", "H", ANCHOR_TIME, missing=[(0, 0.5, 0, 1)])
    torn = dataclasses.replace(clear, assets={**clear.assets, "nir": other.assets["nir"]})
    scenes = {"sentinel2": [torn]}
    candidates = {"sentinel2": [["S"]]}
    strict = build(make_task([SENTINEL2], scenes, candidates))
    assert strict.outcomes[0]["reason"] == "partial coverage"
    lenient = layer_task("sentinel2", "sentinel-2-l2a", ["red", "nir"], 10, min_valid=0.5)
    built = build(make_task([lenient], scenes, candidates))
    assert built.outcomes[0]["sentinel2_valid"] == pytest.approx(0.5)
    assert not built.valid["sentinel2"][0, :6].any()
    assert built.valid["sentinel2"][0, 6:].all()


def _truncate(path):
    path.write_bytes(path.read_bytes()[:450])


def _remove(path):
    path.unlink()


@pytest.mark.parametrize("spoil", [_truncate, _remove])
@pytest.mark.parametrize("band", ["nir", "scl"])
def test_an_unreadable_file_gives_way_to_the_next_candidate(pair, archive, spoil, band):
    task = pair({"near": {}, "far": {}}, cells=[cell(0, 0), cell(1, 1)])
    spoil(archive.file("near", band))
    built = build(task)
    for position, place in enumerate([cell(0, 0), cell(1, 1)]):
        outcome = built.outcomes[position]
        assert (outcome["status"], outcome["sentinel2_scenes"]) == ("kept", "far")
        assert outcome["detail"].startswith("passed over: ")
        assert f"near_{band}.tif" in outcome["detail"]
        np.testing.assert_array_equal(
            built.pixels["sentinel2"][position, 1], archive.read("far", "nir", place, 10) + 1000
        )


@pytest.mark.parametrize("spoil", [_truncate, _remove])
@pytest.mark.parametrize("band", ["red", "scl"])
def test_an_unreadable_only_candidate_rejects_the_sample(pair, archive, spoil, band):
    task = pair({"only": {}})
    spoil(archive.file("only", band))
    outcome = build(task).outcomes[0]
    assert (outcome["status"], outcome["reason"]) == ("rejected", "unreadable source")
    assert f"only_{band}.tif" in outcome["detail"]


class Flaky(BlockReader):
    """A reader for whom one file is out of reach for now."""

    def read(self, asset, choose, *, access="open"):
        if asset.href.endswith("S_nir.tif"):
            raise SourceUnavailable(f"{asset.href} answered 503")
        return super().read(asset, choose, access=access)


def test_a_fault_that_may_pass_fails_the_task_and_is_never_a_row(pair):
    with pytest.raises(SourceUnavailable, match="S_nir"):
        build(pair({"S": {}}), Flaky())


def test_a_layer_that_is_not_required_may_be_absent(pair, archive):
    optional = dataclasses.replace(SENTINEL2, required=False)
    built = build(
        pair({"S": {"cloudy": [(0, 1, 0, 1)]}}, [cell(0, 0), cell(1, 0)], (LANDSAT, optional))
    )
    without, full = built.outcomes[0], built.outcomes[1]
    assert (without["status"], without["sentinel2_present"]) == ("kept", False)
    assert (without["sentinel2_scenes"], without["sentinel2_time"]) == ("", None)
    assert (full["status"], full["sentinel2_present"]) == ("kept", True)
    assert not built.pixels["sentinel2"][0].any()
    np.testing.assert_array_equal(
        built.pixels["landsat"][0, 0], archive.read("L", "red", cell(0, 0), 30)
    )


def test_a_float_layer_keeps_its_values_and_marks_gaps_with_nan(archive):
    layer = layer_task("radar", "sentinel-1-grd", ["vv"], 10, min_valid=0.5)
    scene = archive.add("sentinel-1-grd", "R", ANCHOR_TIME, missing=[(0, 0.25, 0, 1)])
    built = build(make_task([layer], {"radar": [scene]}, {"radar": [["R"]]}))
    truth = archive.read("R", "vv", cell(0, 0), 10)
    stored = built.pixels["radar"][0, 0]
    assert stored.dtype == np.float32
    np.testing.assert_array_equal(stored[3:], truth[3:])
    assert np.isnan(stored[:3]).all()
    assert np.isnan(built.pixels["radar"][1:]).all()
    np.testing.assert_array_equal(built.valid["radar"][0], np.isfinite(stored))


def _key(task):
    return build(task).outcomes[0]["content_key"]


def test_the_content_key_names_sources_and_settings_and_nothing_else(pair):
    task = pair({"S": {}, "later": {}})
    key = _key(task)
    assert key == _key(task)
    fewer = dict(task.samples[0].candidates) | {"sentinel2": (("S",),)}
    [sample] = task.samples
    lonely = dataclasses.replace(sample, candidates=fewer)
    assert _key(dataclasses.replace(task, samples=(lonely,))) == key
    newer = dataclasses.replace(task.scenes["sentinel2"]["S"], version="2")
    scenes = dict(task.scenes) | {"sentinel2": {**task.scenes["sentinel2"], "S": newer}}
    assert _key(dataclasses.replace(task, scenes=scenes)) != key
    stricter = (LANDSAT, dataclasses.replace(SENTINEL2, min_valid=0.99))
    assert _key(dataclasses.replace(task, layers=stricter)) != key


def test_each_file_is_opened_once_and_each_block_read_once(pair):
    """Two more openings glance at the whole Sentinel-2 scene, to see which offset it has."""
    places = [cell(x, y) for x in range(4) for y in range(4)]
    built = build(pair({"S": {}}, cells=places))
    files = 2 * (1 + 2) + 2
    blocks = sum(ceil(4 * CELL_M / gsd / 16) ** 2 for gsd in (30, 30, 30, 10, 10, 20))
    assert (built.count.files, built.count.blocks) == (files, blocks)
    assert all(o["status"] == "kept" for o in built.outcomes.values())


def test_pixels_of_samples_that_a_quality_band_rejects_are_never_read(pair):
    built = build(pair({"S": {"cloudy": [(0, 1, 0, 1)]}}))
    assert built.count.files == 2


def test_every_sample_has_exactly_one_fate(pair):
    task = pair(
        {"near": {"cloudy": [(0, 2, 0, 4)]}, "far": {"missing": [(0, 1, 0, 2)]}},
        cells=[cell(x, y) for x in range(4) for y in range(4)],
    )
    built = build(task)
    fates = [o["status"] for o in built.outcomes.values()]
    assert set(built.outcomes) == {s.position for s in task.samples}
    assert (fates.count("kept"), fates.count("rejected")) == (14, 2)
    for outcome in built.outcomes.values():
        assert bool(outcome["reason"]) == (outcome["status"] == "rejected")
