"""Each step once, where it belongs, with words for all that was and was not done."""

import numpy as np
import pytest

from pipeline.bandpass import MSI_TO_OLI, SAME
from pipeline.harmonize import Wish, plan_changes
from pipeline.nbar import Angles, nbar_factor

ANGLES = Angles(
    sun_zenith_deg=35.0, sun_azimuth_deg=150.0, view_zenith_deg=6.0, view_azimuth_deg=100.0
)
BOTH = Wish(nadir_sun_zenith_deg=30.0, like="oli")
BANDS = ["blue", "green", "red", "nir_narrow", "swir1", "swir2"]


def test_sentinel_2_is_normalized_first_and_adjusted_after():
    changes = plan_changes("sentinel-2-l2a", "Sentinel-2A", BANDS, BOTH, ANGLES)
    assert list(changes) == BANDS
    for band, change in changes.items():
        factor = float(nbar_factor(band, ANGLES, sun_zenith_deg=30.0))
        wanted = MSI_TO_OLI["sentinel-2a"][band].of(0.2 * factor)
        assert change.of(np.array(0.2)) == pytest.approx(wanted, abs=1e-12)
        assert change.single_line.of(0.2) == pytest.approx(wanted, abs=1e-12)
        assert change.words == (
            "view: to nadir, sun zenith 30",
            "bands: msi to oli, sentinel-2a",
        )


@pytest.mark.parametrize("product", ["hls-s30", "hls-l30"])
def test_hls_is_normalized_and_adjusted_already(product):
    for change in plan_changes(product, "sentinel-2a", BANDS, BOTH, ANGLES).values():
        assert not change.changes
        assert change.words == ("view: nadir already", "bands: oli already")


def test_landsat_is_oli_already_and_can_be_made_like_sentinel_2():
    change = plan_changes("landsat-c2-l2", "landsat-8", ["nir"], BOTH, None)["nir"]
    assert change.words == (
        "view: refused, the scene states no angles of sun and view",
        "bands: oli already",
    )
    assert not change.changes
    wish = Wish(like="msi", msi_platform="sentinel-2b")
    back = plan_changes("landsat-c2-l2", "landsat-9", ["nir"], wish, None)["nir"]
    assert back.words == ("bands: oli to msi, sentinel-2b",)
    there = MSI_TO_OLI["sentinel-2b"]["nir_narrow"]
    assert there.of(back.of(np.array(0.3))) == pytest.approx(0.3, abs=1e-12)


def test_sensors_adjusted_to_each_other_agree():
    """What the sandbox's bias criterion asks: the same ground, under 0.002 apart."""
    ground = np.linspace(0.01, 0.5, 50)
    for platform in ("sentinel-2a", "sentinel-2b"):
        for band, line in MSI_TO_OLI[platform].items():
            change = plan_changes("sentinel-2-l2a", platform, [band], Wish(like="oli"), None)
            assert np.abs(change[band].of(ground) - line.of(ground)).max() < 1e-12


@pytest.mark.parametrize(
    ("product", "platform", "band", "words"),
    [
        ("sentinel-2-l1c", "sentinel-2a", "red", (
            "view: refused, the product is not surface reflectance",
            "bands: refused, the product is not surface reflectance",
        )),
        ("landsat-c2-l2", "landsat-7", "red", (
            "view: to nadir, sun zenith 30",
            "bands: refused, no coefficients for landsat-7",
        )),
        ("sentinel-2-l2a", "sentinel-2a", "rededge2", (
            "view: to nadir, sun zenith 30",
            "bands: refused, no coefficients for rededge2",
        )),
        ("sentinel-2-l2a", "sentinel-2c", "coastal", (
            "view: refused, no kernel weights are published for coastal",
            "bands: msi to oli, mean of sentinel-2a and b for sentinel-2c",
        )),
        ("sentinel-2-l2a", "", "red", (
            "view: to nadir, sun zenith 30",
            "bands: msi to oli, mean of sentinel-2a and b for no platform",
        )),
        ("planetscope-sr", "2461", "red", (
            "view: refused, no such step for this product",
            "bands: refused, no such step for this product",
        )),
    ],
)  # fmt: skip
def test_every_refusal_and_every_stand_in_is_said(product, platform, band, words):
    assert plan_changes(product, platform, [band], BOTH, ANGLES)[band].words == words


def test_nothing_asked_is_nothing_done():
    change = plan_changes("sentinel-2-l2a", "sentinel-2a", ["red"], Wish(), ANGLES)["red"]
    assert (change.words, change.changes, change.single_line) == ((), False, SAME)


def test_angles_per_pixel_leave_no_single_line():
    grid = Angles(
        sun_zenith_deg=35.0,
        sun_azimuth_deg=150.0,
        view_zenith_deg=np.array([[0.0, 6.0]]),
        view_azimuth_deg=100.0,
    )
    change = plan_changes("sentinel-2-l2a", "sentinel-2a", ["red"], BOTH, grid)["red"]
    assert change.single_line is None
    assert change.of(np.full((1, 2), 0.2)).shape == (1, 2)
