"""What is known of the real sensors: sharpness, noise, placement, response. Fixed, cited.

Sources, by the tags used below:

- MSI-SPEC: ESA, Sentinel-2 User Handbook (2015), table of spectral bands with reference
  radiance and SNR; MTF at Nyquist between 0.15 and 0.30 (10 and 20 m bands).
- MSI-GEO: ESA GMES-GSEG-EOPG-TN-09-0008, geometric image quality requirements: multitemporal
  registration within 3 m for 10 m bands (2 sigma).
- MSI-SUN: solar irradiance of the S2A bands, `SOLAR_IRRADIANCE` of the product metadata.
- OLI-SNR: Morfitt et al. 2015, doi:10.3390/rs70202208, required SNR at typical radiance.
- OLI-EDGE: the same mission's requirement on the edge slope of 30 m bands, 0.027 per metre.
- OLI-GEO: Storey, Choate and Lee 2014, doi:10.3390/rs61111127: geodetic accuracy 12 m CE90.
- TIRS: Reuter et al. 2015, doi:10.3390/rs70101135: 100 m sampling; noise below 0.05 K.
- HLS: Claverie et al. 2018, doi:10.1016/j.rse.2018.09.002, MSI to OLI band adjustment, as
  used by HLS v1.4.
- ACIX: Doxani et al. 2018, doi:10.3390/rs10020352: surface reflectance from Landsat-8 and
  Sentinel-2 is judged against 0.005 + 0.05 x reflectance; one scene's error is drawn from
  half of it, with the wavelength dependence of aerosol.
- S1-PROD: ESA S1-RS-MDA-52-7440, IW GRDH: 20 x 22 m, 4.4 looks, noise floor -22 dB,
  1 dB (3 sigma) radiometric accuracy.
- S1-GEO: ESA Sentinel-1 product performance: location within 7 m (95 %).
- PS-SPEC: Planet Imagery Product Specifications (2021): orthorectified scenes of 3 m pixels
  from 3.7 to 4.2 m of ground sampling, location better than 10 m RMSE. Neither sharpness nor
  noise is published there: a point spread of half a ground sample and 1.5 % noise are assumed.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pipeline import bandpass

MSI_BANDS = (
    "blue",
    "green",
    "red",
    "rededge1",
    "rededge2",
    "rededge3",
    "nir",
    "nir_narrow",
    "swir1",
    "swir2",
)
"""Order of every spectrum in the sandbox. The landscape's own reflectance is what S2A sees."""

MSI_TRUTH_BANDS = ("blue", "green", "red", "nir", "swir1", "swir2")


@dataclass(frozen=True, slots=True, kw_only=True)
class BandOptics:
    """How one band of one sensor sees the ground."""

    gsd_m: float
    """Ground sampling distance, metres."""
    blur_m: float
    """Standard deviation of the Gaussian point spread, before the pixel's own aperture."""
    wavelength_nm: float
    """Center wavelength, nanometres."""
    reference_radiance: float
    """Radiance at which the noise is stated, W m-2 sr-1 um-1."""
    signal_to_noise: float
    """Ratio at the reference radiance."""
    solar_irradiance: float
    """Exoatmospheric solar irradiance, W m-2 um-1."""

    def noise(self, sun_elevation_deg: float) -> tuple[float, float]:
        """Return the reflectance at the reference radiance and the noise there.

        `reflectance = pi radiance / (irradiance sin(elevation))`; away from the reference,
        shot noise grows with the square root of the signal.
        """
        sun = self.solar_irradiance * math.sin(math.radians(sun_elevation_deg))
        reference = math.pi * self.reference_radiance / sun
        return reference, reference / self.signal_to_noise


def blur_from_mtf(mtf_at_nyquist: float, gsd_m: float) -> float:
    """Return the Gaussian point spread (standard deviation, metres) behind a system MTF.

    A system MTF holds the pixel's own aperture, whose transfer at Nyquist is
    `sin(pi/2) / (pi/2) = 0.637`; the rest is taken as Gaussian,
    `MTF(f) = exp(-2 (pi sigma f)^2)`, at `f = 1 / (2 gsd)`.

    Example:
        >>> round(blur_from_mtf(0.225, 10.0), 2)
        4.59
    """
    gaussian = mtf_at_nyquist / (2 / math.pi)
    return gsd_m / math.pi * math.sqrt(-2 * math.log(gaussian))


def blur_from_edge_slope(slope_per_m: float, gsd_m: float) -> float:
    """Return the Gaussian point spread (standard deviation, metres) behind an edge slope.

    The edge response of a Gaussian rises by `1 / (sigma sqrt(2 pi))` at its middle; the
    pixel's aperture has variance `gsd^2 / 12`, which is taken out.

    Example:
        >>> round(blur_from_edge_slope(0.027, 30.0), 1)
        12.0
    """
    total = 1 / (slope_per_m * math.sqrt(2 * math.pi))
    return math.sqrt(total**2 - gsd_m**2 / 12)


_MSI_MTF = 0.225  # MSI-SPEC: the middle of 0.15 to 0.30
_MSI_ROWS = (
    # key, gsd, wavelength, reference radiance, SNR (MSI-SPEC), irradiance (MSI-SUN)
    ("blue", 10, 492, 128.0, 154, 1959.7),
    ("green", 10, 560, 128.0, 168, 1823.2),
    ("red", 10, 665, 108.0, 142, 1512.1),
    ("rededge1", 20, 704, 74.5, 117, 1424.6),
    ("rededge2", 20, 740, 68.0, 89, 1287.6),
    ("rededge3", 20, 783, 67.0, 105, 1162.1),
    ("nir", 10, 833, 103.0, 172, 1041.6),
    ("nir_narrow", 20, 865, 52.5, 72, 955.3),
    ("swir1", 20, 1614, 4.0, 100, 245.6),
    ("swir2", 20, 2202, 1.5, 100, 85.3),
)
_OLI_EDGE_SLOPE = 0.027  # OLI-EDGE
_OLI_ROWS = (
    # key, wavelength, typical radiance, required SNR (OLI-SNR), irradiance near it (MSI-SUN)
    ("blue", 482, 40.0, 130, 1959.7),
    ("green", 561, 30.0, 100, 1823.2),
    ("red", 655, 22.0, 90, 1512.1),
    ("nir", 865, 14.0, 90, 955.3),
    ("swir1", 1609, 4.0, 100, 245.6),
    ("swir2", 2201, 1.7, 100, 85.3),
)

MSI: Mapping[str, BandOptics] = MappingProxyType(
    {
        key: BandOptics(
            gsd_m=gsd,
            blur_m=blur_from_mtf(_MSI_MTF, gsd),
            wavelength_nm=nm,
            reference_radiance=radiance,
            signal_to_noise=snr,
            solar_irradiance=sun,
        )
        for key, gsd, nm, radiance, snr, sun in _MSI_ROWS
    }
)
OLI: Mapping[str, BandOptics] = MappingProxyType(
    {
        key: BandOptics(
            gsd_m=30,
            blur_m=blur_from_edge_slope(_OLI_EDGE_SLOPE, 30),
            wavelength_nm=nm,
            reference_radiance=radiance,
            signal_to_noise=snr,
            solar_irradiance=sun,
        )
        for key, nm, radiance, snr, sun in _OLI_ROWS
    }
)

TIRS_BLUR_M = 100 / math.sqrt(12)
"""TIRS: a 100 m detector, delivered on 30 m pixels, as a Gaussian of equal variance."""
TIRS_NOISE_K = 0.05
TIRS_BIAS_K = 1.0
"""Error of one scene's surface temperature, standard deviation; Cook et al. 2014,
doi:10.3390/rs61111244, reports about 1 K under clear sky."""

SAR_BLUR_M = 21.0 / 2.355
"""S1-PROD: resolution 20 x 22 m, as the full width at half maximum of a Gaussian."""
SAR_LOOKS = 4.4
SAR_NOISE_FLOOR_DB = -22.0
SAR_BIAS_DB = 1.0 / 3

SHIFT_M: Mapping[str, float] = MappingProxyType(
    {
        "landsat-c2-l2": 12.0 / 2.146,  # OLI-GEO: CE90 of a circular normal is 2.146 sigma
        "sentinel-2-l2a": 3.0 / 2,  # MSI-GEO
        "sentinel-1-grd": 7.0 / 2.448,  # S1-GEO: 95 % of a circular normal is 2.448 sigma
        "planetscope-sr": 3.0,  # PS-SPEC allows more; about a pixel is taken
    }
)
"""Standard deviation of a scene's misplacement along each axis, metres."""

PLANET_GSD_M = 3.0
PLANET_BLUR_M = 2.0
PLANET_NOISE_SHARE = 0.015
"""PS-SPEC: pixels of a delivery; point spread and relative noise as assumed there."""

HAZE_OFFSET = 0.0025
HAZE_GAIN = 0.025
"""ACIX, halved: scene-wide error of surface reflectance, one sigma at 550 nm."""

IDENTITY = (1.0, 0.0)
MSI_TO_OLI: Mapping[str, Mapping[str, tuple[float, float]]] = MappingProxyType(
    {
        platform: MappingProxyType({b: (one.gain, one.offset) for b, one in lines.items()})
        for platform, lines in bandpass.MSI_TO_OLI.items()
    }
)
"""HLS: `oli = a * msi + b` in reflectance. OLI's near infrared band matches `nir_narrow`."""


def response(platform: str, band: str) -> tuple[str, float, float]:
    """Return the landscape's band that `band` of `platform` sees, with gain and offset.

    Example:
        >>> response("landsat-8", "nir")
        ('nir_narrow', 0.9983, -0.0001)
        >>> response("sentinel-2a", "red")
        ('red', 1.0, 0.0)
    """
    reference = MSI_TO_OLI["sentinel-2a"]
    if platform.startswith("landsat"):
        seen = "nir_narrow" if band == "nir" else band
        return seen, *reference[seen]
    gain, offset = reference.get(band, IDENTITY)
    own_gain, own_offset = MSI_TO_OLI[platform].get(band, IDENTITY)
    return band, gain / own_gain, (offset - own_offset) / own_gain
