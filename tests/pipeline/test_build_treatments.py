"""One task with treatments: wider masks, snow, noise, other bands, another view."""

import dataclasses
from datetime import timedelta

import numpy as np
import pytest
import rasterio

from catalog.scene import SceneAngles
from pipeline.bandpass import msi_to_oli
from pipeline.build import build
from pipeline.harmonize import Wish
from pipeline.nbar import Angles, nbar_factor
from pipeline.plan import layers_from_json, layers_to_json
from pipeline.treatment import HazeRule, Registration, Treatment
from tests.tiny_archive import ANCHOR_TIME, cell, layer_task, make_task

BANDS = ["blue", "green", "red", "nir"]
SENTINEL2 = layer_task("sentinel2", "sentinel-2-l2a", BANDS, 10, min_valid=0.2)
LANDSAT = layer_task("landsat", "landsat-c2-l2", BANDS, 30)
RADAR = layer_task("radar", "sentinel-1-grd", ["vv"], 10, min_valid=0.3)
HLS = layer_task("hls", "hls-s30", ["red", "nir_narrow"], 30)


def treated(layer, **how):
    return dataclasses.replace(layer, treatment=Treatment(**how))


def single(layer, scene, cells=()):
    return make_task([layer], {layer.name: [scene]}, {layer.name: [[scene.id]]}, cells)


def rewrite(archive, scene, band, change):
    """Change the pixels of one file."""
    with rasterio.open(archive.file(scene, band), "r+") as file:
        file.write(change(file.read(1)), 1)


def test_masks_widen_by_metres_and_from_beyond_the_cell(archive):
    scene = archive.add("sentinel-2-l2a", "S", ANCHOR_TIME, cloudy=[(0, 1, 0, 0.5)])
    places = [cell(0, 0), cell(1, 0), cell(0, 1)]
    built = build(single(treated(SENTINEL2, dilate_m=30.0), scene, places))
    valid = built.valid["sentinel2"]
    columns = np.arange(12) >= 9  # six columns of cloud and three of its rim
    assert (valid[0] == columns).all()
    assert valid[1].all()
    assert not valid[2, :3, :6].any()
    assert valid[2, 3:].all()
    assert valid[2, :3, 9:].all()
    assert built.outcomes[0]["sentinel2_valid"] == pytest.approx(0.25, abs=0.06)


def test_missing_ground_does_not_spread(archive):
    scene = archive.add("sentinel-2-l2a", "S", ANCHOR_TIME, missing=[(0, 4, 0, 0.5)])
    built = build(single(treated(SENTINEL2, dilate_m=50.0), scene))
    assert (built.valid["sentinel2"][0] == (np.arange(12) >= 6)).all()


def test_snow_is_usable_unless_the_layer_says_otherwise(archive):
    scene = archive.add("sentinel-2-l2a", "S", ANCHOR_TIME)

    def snow(raw):
        raw[:, :3] = 11
        return raw

    rewrite(archive, "S", "scl", snow)
    assert build(single(SENTINEL2, scene)).valid["sentinel2"][0].all()
    bare = build(single(treated(SENTINEL2, snow="unusable"), scene)).valid["sentinel2"][0]
    assert (bare == (np.arange(12) >= 6)).all()


def test_border_noise_is_not_usable_where_a_floor_is_set(archive):
    scene = archive.add("sentinel-1-grd", "R", ANCHOR_TIME)

    def noise(raw):
        raw[:] = 0.05
        raw[:, :4] = 1e-4
        return raw

    rewrite(archive, "R", "vv", noise)
    assert build(single(RADAR, scene)).valid["radar"][0].all()
    clean = build(single(treated(RADAR, noise_floor_db=-35.0), scene)).valid["radar"][0]
    assert (clean == (np.arange(12) >= 4)).all()


def test_bands_are_adjusted_and_rounded_once(archive):
    scene = archive.add("sentinel-2-l2a", "S", ANCHOR_TIME)
    built = build(single(treated(SENTINEL2, wish=Wish(like="oli")), scene))
    raw = archive.read("S", "red", cell(0, 0), 10)
    line, _ = msi_to_oli("sentinel-2a", "red")
    expected = np.rint((line.of(raw * 1e-4) + 0.1) / 1e-4)
    np.testing.assert_array_equal(built.pixels["sentinel2"][0, 2], expected)
    untouched = archive.read("S", "nir", cell(0, 0), 10)
    np.testing.assert_array_equal(built.pixels["sentinel2"][0, 3], untouched + 1000)
    assert built.outcomes[0]["sentinel2_changes"] == (
        "bands: msi to oli, sentinel-2a;bands: refused, no coefficients for nir"
    )


def test_hls_is_never_harmonized_again(archive):
    scene = archive.add("hls-s30", "H", ANCHOR_TIME)
    rewrite(archive, "H", "fmask", np.zeros_like)
    wish = Wish(like="oli", nadir_sun_zenith_deg=30.0)
    plain, wished = (build(single(one, scene)) for one in (HLS, treated(HLS, wish=wish)))
    np.testing.assert_array_equal(plain.pixels["hls"], wished.pixels["hls"])
    assert wished.outcomes[0]["hls_changes"] == "view: nadir already;bands: oli already"
    assert plain.outcomes[0]["hls_changes"] == ""


def test_the_view_is_normalized_where_the_item_states_its_angles(archive):
    scene = archive.add("landsat-c2-l2", "L", ANCHOR_TIME)
    layer = treated(LANDSAT, wish=Wish(nadir_sun_zenith_deg=30.0))
    refused = build(single(layer, scene))
    np.testing.assert_array_equal(
        refused.pixels["landsat"][0, 2], archive.read("L", "red", cell(0, 0), 30)
    )
    said = "view: refused, the scene states no angles of sun and view"
    assert refused.outcomes[0]["landsat_changes"] == said
    stated = SceneAngles(
        sun_zenith=45.0, sun_azimuth=150.0, view_zenith=5.0, view_azimuth=100.0
    )
    built = build(single(layer, dataclasses.replace(scene, angles=stated)))
    angles = Angles(
        sun_zenith_deg=45.0, sun_azimuth_deg=150.0, view_zenith_deg=5.0, view_azimuth_deg=100.0
    )
    factor = nbar_factor("red", angles, sun_zenith_deg=30.0)
    reflectance = archive.read("L", "red", cell(0, 0), 30) * 2.75e-5 - 0.2
    expected = np.clip(np.rint((reflectance * factor + 0.2) / 2.75e-5), 1, None)
    np.testing.assert_array_equal(built.pixels["landsat"][0, 2], expected)
    half = dataclasses.replace(stated, view_azimuth=None)
    unknown = build(single(layer, dataclasses.replace(scene, angles=half)))
    assert "view_azimuth_deg is unknown" in unknown.outcomes[0]["landsat_changes"]


@pytest.fixture
def pair(archive):
    """Two scenes of random pixels, that have nothing in common."""
    anchor = archive.add("landsat-c2-l2", "L", ANCHOR_TIME)
    near = archive.add("sentinel-2-l2a", "near", ANCHOR_TIME + timedelta(days=1))
    far = archive.add("sentinel-2-l2a", "far", ANCHOR_TIME + timedelta(days=2))

    def make(**how):
        return make_task(
            [LANDSAT, treated(SENTINEL2, **how)],
            {"landsat": [anchor], "sentinel2": [near, far]},
            {"landsat": [["L"]], "sentinel2": [["near"], ["far"]]},
            [cell(x, y) for x in range(4) for y in range(4)],
        )

    return make


def test_a_refused_shift_moves_nothing_and_is_recorded(pair):
    plain = build(pair())
    built = build(pair(registration=Registration(to="landsat")))
    np.testing.assert_array_equal(plain.pixels["sentinel2"], built.pixels["sentinel2"])
    for outcome in built.outcomes.values():
        assert outcome["status"] == "kept"
        assert outcome["sentinel2_scenes"] == "near"
        assert outcome["sentinel2_changes"].startswith("shift: refused, ")
        assert (outcome["sentinel2_shift_east_m"], outcome["sentinel2_resampling"]) == (
            0,
            "none",
        )


def test_a_required_shift_that_is_refused_tries_the_next_scene_and_then_gives_up(pair):
    built = build(pair(registration=Registration(to="landsat", required=True)))
    for outcome in built.outcomes.values():
        assert (outcome["status"], outcome["reason"]) == ("rejected", "failed co-registration")
        assert outcome["detail"].startswith("sentinel2: far: ")
    assert not built.pixels["sentinel2"].any()


def test_an_unreadable_anchor_is_what_the_sample_is_lost_to(pair, archive):
    task = pair(registration=Registration(to="landsat"))
    archive.file("L", "red").unlink()
    outcome = build(task).outcomes[0]
    assert (outcome["status"], outcome["reason"]) == ("rejected", "unreadable source")
    assert "L_red.tif" in outcome["detail"]


def test_an_unreadable_companion_gives_way(pair, archive):
    task = pair(registration=Registration(to="landsat"))
    archive.file("near", "red").unlink()
    outcome = build(task).outcomes[0]
    assert (outcome["status"], outcome["sentinel2_scenes"]) == ("kept", "far")
    assert "near_red.tif" in outcome["detail"]


def test_content_keys_name_treatments_and_only_those_asked_for(pair):
    keys = [
        build(pair(**how)).outcomes[0]["content_key"]
        for how in ({}, {"dilate_m": 10.0}, {"haze": HazeRule(to="landsat")})
    ]
    assert len(set(keys)) == 3


def test_layers_travel_in_a_claim_with_their_treatment():
    layers = (LANDSAT, treated(SENTINEL2, dilate_m=60.0, haze=HazeRule(to="landsat")))
    described = layers_to_json(layers)
    assert "treatment" not in described[0]
    assert layers_from_json(described) == layers
