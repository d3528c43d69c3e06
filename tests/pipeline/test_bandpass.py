"""Band adjustment: the published lines, back and forth, and integers kept where they can be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.bandpass import MSI_TO_OLI, SAME, Line, msi_to_oli, oli_to_msi, recode

SENTINEL2, SENTINEL2_CARRIED, HLS = (1e-4, 0.0), (1e-4, -0.1), (1e-4, -0.1)
LANDSAT = (2.75e-5, -0.2)


@pytest.mark.parametrize(
    ("platform", "band", "msi", "oli"),
    [
        # Worked by hand from the coefficients of HLS v1.4.
        ("sentinel-2a", "blue", 0.1, 0.09378),
        ("sentinel-2a", "red", 0.2, 0.19620),
        ("sentinel-2b", "green", 0.1, 0.09995),
        ("sentinel-2b", "red", 0.2, 0.19622),
        ("sentinel-2a", "nir_narrow", 0.3, 0.29939),
        ("sentinel-2b", "nir_narrow", 0.3, 0.29898),
        ("sentinel-2a", "swir2", 0.15, 0.14925),
        ("sentinel-2b", "swir2", 0.15, 0.148405),
        ("sentinel-2a", "coastal", 0.05, 0.049595),
    ],
)
def test_worked_values(platform, band, msi, oli):
    line, whose = msi_to_oli(platform, band)
    assert whose == "own"
    assert line.of(msi) == pytest.approx(oli, abs=1e-9)
    key = "nir" if band == "nir_narrow" else band
    back, _ = oli_to_msi(platform, key)
    assert back.of(oli) == pytest.approx(msi, abs=1e-9)


@pytest.mark.parametrize("platform", ["sentinel-2c", "", "sentinel-2"])
@pytest.mark.parametrize("band", sorted(MSI_TO_OLI["sentinel-2a"]))
def test_an_unknown_platform_gets_the_mean_of_both_and_a_mark(platform, band):
    line, whose = msi_to_oli(platform, band)
    both = [MSI_TO_OLI[one][band] for one in ("sentinel-2a", "sentinel-2b")]
    assert whose == "generic"
    assert line.of(0.3) == pytest.approx(np.mean([one.of(0.3) for one in both]), abs=1e-6)
    assert oli_to_msi(platform, band)[1] == "generic"


@pytest.mark.parametrize("platform", ["sentinel-2a", "sentinel-2c"])
@pytest.mark.parametrize("band", ["rededge1", "nir", "water_vapour", "scl"])
def test_bands_that_oli_lacks_have_no_line(platform, band):
    assert msi_to_oli(platform, band) is None


GAIN, OFFSET = st.floats(0.5, 2), st.floats(-0.1, 0.1)


@given(GAIN, OFFSET, GAIN, OFFSET, st.floats(0, 1))
def test_lines_chain_and_undo(gain, offset, later_gain, later_offset, value):
    line, later = Line(gain, offset), Line(later_gain, later_offset)
    assert line.then(later).of(value) == pytest.approx(later.of(line.of(value)), abs=1e-9)
    assert line.then(line.inverse()).of(value) == pytest.approx(value, abs=1e-9)


def test_a_whole_shift_stays_exact_for_every_value():
    raw = np.arange(0, 60_000, dtype=np.uint16)
    plain = recode(raw, SAME, source=SENTINEL2, target=HLS)
    assert plain[0] == 0
    assert (plain[1:].astype(int) == raw[1:].astype(int) + 1000).all()
    assert (recode(raw, SAME, source=LANDSAT, target=LANDSAT) == raw).all()
    carried = recode(raw, SAME, source=SENTINEL2_CARRIED, target=SENTINEL2)
    assert (carried[1:1001] == 1).all()
    assert (carried[1001:].astype(int) == raw[1001:].astype(int) - 1000).all()


@pytest.mark.parametrize("source", [SENTINEL2, SENTINEL2_CARRIED, LANDSAT])
@pytest.mark.parametrize("target", [HLS, LANDSAT])
def test_recoding_is_reflectance_adjusted_and_rounded_once(source, target):
    raw = np.random.default_rng(0).integers(5000, 20_000, 5000).astype(np.uint16)
    line = MSI_TO_OLI["sentinel-2b"]["swir2"]
    coded = recode(raw, line, source=source, target=target)
    wanted = line.of(raw * source[0] + source[1])
    clear = (coded > 1) & (coded < 65_535)
    assert clear.mean() > 0.5
    assert np.abs(coded * target[0] + target[1] - wanted)[clear].max() <= target[0] * 0.5001


def test_missing_stays_missing_and_data_never_becomes_missing():
    raw = np.array([0, 1, 2, 65_535], dtype=np.uint16)
    coded = recode(raw, Line(1.2, -0.05), source=SENTINEL2, target=SENTINEL2)
    assert coded.tolist() == [0, 1, 1, 65_535]
