"""Kernels against published integrals and a second, plain way to compute them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.nbar import WEIGHTS, Angles, li_sparse, nbar_factor, ross_thick, why_not

ANGLES = Angles(
    sun_zenith_deg=40.0, sun_azimuth_deg=150.0, view_zenith_deg=7.0, view_azimuth_deg=290.0
)
ZENITH, AZIMUTH = st.floats(0, 75), st.floats(-360, 360)


def plain_ross_thick(sun, view, azimuth):
    """Term by term as in the MODIS BRDF/albedo ATBD (Strahler et al. 1999), equation 38."""
    cos_phase = math.cos(sun) * math.cos(view)
    cos_phase += math.sin(sun) * math.sin(view) * math.cos(azimuth)
    phase = math.acos(max(-1.0, min(1.0, cos_phase)))
    top = (math.pi / 2 - phase) * math.cos(phase) + math.sin(phase)
    return top / (math.cos(sun) + math.cos(view)) - math.pi / 4


def plain_li_sparse(sun, view, azimuth):
    """Equations 39 to 44 there, with h/b = 2 and b/r = 1."""
    cos_phase = math.cos(sun) * math.cos(view)
    cos_phase += math.sin(sun) * math.sin(view) * math.cos(azimuth)
    secants = 1 / math.cos(sun) + 1 / math.cos(view)
    squared = math.tan(sun) ** 2 + math.tan(view) ** 2
    squared -= 2 * math.tan(sun) * math.tan(view) * math.cos(azimuth)
    side = (math.tan(sun) * math.tan(view) * math.sin(azimuth)) ** 2
    cos_t = min(1.0, 2 * math.sqrt(max(squared + side, 0.0)) / secants)
    t = math.acos(cos_t)
    overlap = (t - math.sin(t) * cos_t) * secants / math.pi
    lit = 0.5 * (1 + cos_phase) / (math.cos(sun) * math.cos(view))
    return overlap - secants + lit


@given(ZENITH, ZENITH, AZIMUTH)
def test_both_kernels_equal_the_plain_way(sun, view, azimuth):
    turned = [math.radians(a) for a in (sun, view, azimuth)]
    assert float(ross_thick(sun, view, azimuth)) == pytest.approx(
        plain_ross_thick(*turned), abs=1e-7
    )
    assert float(li_sparse(sun, view, azimuth)) == pytest.approx(
        plain_li_sparse(*turned), abs=1e-6
    )


@given(ZENITH, ZENITH, AZIMUTH)
def test_kernels_are_reciprocal_and_symmetric(sun, view, azimuth):
    for kernel in (ross_thick, li_sparse):
        one = float(kernel(sun, view, azimuth))
        assert float(kernel(view, sun, azimuth)) == pytest.approx(one, abs=1e-7)
        assert float(kernel(sun, view, -azimuth)) == pytest.approx(one, abs=1e-7)


def test_both_kernels_vanish_at_nadir_under_an_overhead_sun():
    assert float(ross_thick(0.0, 0.0, 0.0)) == pytest.approx(0, abs=1e-12)
    assert float(li_sparse(0.0, 0.0, 0.0)) == pytest.approx(0, abs=1e-12)


def directional(kernel, sun_deg, steps=240):
    """Integral of a kernel over all views, as in black-sky albedo."""
    view = (np.arange(steps) + 0.5) / steps * np.pi / 2
    azimuth = (np.arange(steps) + 0.5) / steps * np.pi
    v, a = np.meshgrid(view, azimuth, indexing="ij")
    value = kernel(sun_deg, np.degrees(v), np.degrees(a))
    weight = np.sin(v) * np.cos(v) * (np.pi / 2 / steps) * (np.pi / steps)
    return float(2 / np.pi * (value * weight).sum())


@pytest.mark.parametrize("sun_deg", [0, 20, 40, 60])
@pytest.mark.parametrize(
    ("kernel", "polynomial"),
    [
        (ross_thick, (-0.007574, -0.070987, 0.307588)),
        (li_sparse, (-1.284909, -0.166314, 0.041840)),
    ],
)
def test_integrals_over_the_sky_are_those_published(kernel, polynomial, sun_deg):
    """Lucht et al. 2000, Table 1: `g0 + g1 s^2 + g2 s^3` of the sun's zenith s in radians,
    a fit that the paper itself calls good to some hundredths."""
    g0, g1, g2 = polynomial
    s = math.radians(sun_deg)
    assert directional(kernel, sun_deg) == pytest.approx(g0 + g1 * s**2 + g2 * s**3, abs=0.03)


@pytest.mark.parametrize(
    ("kernel", "published"), [(ross_thick, 0.189184), (li_sparse, -1.377622)]
)
def test_integrals_over_sun_and_sky_are_those_published(kernel, published):
    """Lucht et al. 2000, Table 1, white-sky integrals."""
    steps = 90
    sun = (np.arange(steps) + 0.5) / steps * np.pi / 2
    each = np.array([directional(kernel, d, steps=120) for d in np.degrees(sun)])
    total = 2 * (each * np.sin(sun) * np.cos(sun)).sum() * np.pi / 2 / steps
    assert total == pytest.approx(published, abs=0.01)


@pytest.mark.parametrize("band", sorted(WEIGHTS))
def test_a_nadir_view_under_the_wanted_sun_is_left_alone(band):
    nadir = Angles(
        sun_zenith_deg=40, sun_azimuth_deg=150, view_zenith_deg=0, view_azimuth_deg=0
    )
    assert float(nbar_factor(band, nadir, sun_zenith_deg=40)) == pytest.approx(1, abs=1e-12)


def test_looking_with_the_sun_behind_is_brighter_than_nadir():
    behind = Angles(
        sun_zenith_deg=40, sun_azimuth_deg=150, view_zenith_deg=10, view_azimuth_deg=150
    )
    against = Angles(
        sun_zenith_deg=40, sun_azimuth_deg=150, view_zenith_deg=10, view_azimuth_deg=330
    )
    assert nbar_factor("red", behind, sun_zenith_deg=40) < 1
    assert nbar_factor("red", against, sun_zenith_deg=40) > 1


def test_a_worked_value():
    """c of red by the plain kernels, sun 40, view 7 degrees, 140 degrees between them."""

    def plain(sun, view, azimuth):
        turned = [math.radians(a) for a in (sun, view, azimuth)]
        volume, shape = plain_ross_thick(*turned), plain_li_sparse(*turned)
        return 0.1690 + 0.0227 * shape + 0.0574 * volume

    wanted = plain(40, 0, 0) / plain(40, 7, 140)
    factor = float(nbar_factor("red", ANGLES, sun_zenith_deg=40))
    assert factor == pytest.approx(wanted, abs=1e-9)
    assert 1.02 < factor < 1.06


def test_angles_may_differ_from_pixel_to_pixel():
    grid = Angles(
        sun_zenith_deg=np.full((2, 3), 40.0),
        sun_azimuth_deg=150.0,
        view_zenith_deg=np.linspace(0, 10, 6).reshape(2, 3),
        view_azimuth_deg=np.full((2, 3), 290.0),
    )
    factor = nbar_factor("nir", grid, sun_zenith_deg=45.0)
    assert factor.shape == (2, 3)
    alone = Angles(
        sun_zenith_deg=40, sun_azimuth_deg=150, view_zenith_deg=10, view_azimuth_deg=290
    )
    assert factor[1, 2] == pytest.approx(float(nbar_factor("nir", alone, sun_zenith_deg=45)))


@pytest.mark.parametrize(
    ("band", "angles", "sun", "reason"),
    [
        ("coastal", ANGLES, 40, "no kernel weights"),
        ("red", None, 40, "states no angles"),
        ("red", Angles(
            sun_zenith_deg=40, sun_azimuth_deg=150, view_zenith_deg=math.nan, view_azimuth_deg=0
        ), 40, "view_zenith_deg is unknown"),
        ("red", Angles(
            sun_zenith_deg=84, sun_azimuth_deg=150, view_zenith_deg=0, view_azimuth_deg=0
        ), 40, "80 degrees"),
        ("red", ANGLES, 88, "80 degrees"),
        ("red", Angles(
            sun_zenith_deg=40, sun_azimuth_deg=150, view_zenith_deg=-3, view_azimuth_deg=0
        ), 40, "0 to 80"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_refused_and_no_default_stands_in(band, angles, sun, reason):
    assert reason in why_not(band, angles, sun_zenith_deg=sun)
    if angles is not None:
        with pytest.raises(ValueError, match=band):
            nbar_factor(band, angles, sun_zenith_deg=sun)
