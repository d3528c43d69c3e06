"""Harmonized Landsat and Sentinel-2, version 2: one grid, one view angle, one response."""

from types import MappingProxyType

from catalog.families.bands import CLASS_FROM_ZERO, REFLECTANCE, reflectance_bands
from catalog.product import Archive, Band, Encoding, Kind, Product, Quality, Scaling

_L30 = MappingProxyType(
    {
        "coastal": "B01",
        "blue": "B02",
        "green": "B03",
        "red": "B04",
        "nir": "B05",
        "swir1": "B06",
        "swir2": "B07",
        "cirrus": "B09",
        "thermal1": "B10",
        "thermal2": "B11",
        "fmask": "Fmask",
    }
)
_S30 = MappingProxyType(
    {
        "coastal": "B01",
        "blue": "B02",
        "green": "B03",
        "red": "B04",
        "rededge1": "B05",
        "rededge2": "B06",
        "rededge3": "B07",
        "nir": "B08",
        "nir_narrow": "B8A",
        "water_vapour": "B09",
        "cirrus": "B10",
        "swir1": "B11",
        "swir2": "B12",
        "fmask": "Fmask",
    }
)
_ON_EARTH_ENGINE: MappingProxyType[Kind, Scaling] = MappingProxyType(
    {
        "reflectance": Scaling(),
        "quality": Scaling(),
    }
)
"""Scale factors are applied there, and a mask says where there is no data."""
_FMASK = Band(
    key="fmask",
    kind="quality",
    unit="bits",
    gsd_m=30,
    encoding=CLASS_FROM_ZERO,
    source_nodata=255.0,
)
_LICENSE = "NASA open data, no restriction"
_ATTRIBUTION = "HLS data courtesy of NASA LP DAAC and the HLS science team"


def _thermal(key: str, wavelength_nm: float) -> Band:
    return Band(
        key=key,
        kind="temperature",
        unit="K",
        gsd_m=30,
        wavelength_nm=wavelength_nm,
        encoding=Encoding(dtype="uint16", scale=0.01, offset=100.0),
        source_scale=0.01,
        source_offset=273.15,
        source_nodata=-9999.0,
    )


def _short(names: MappingProxyType[str, str]) -> dict[str, str]:
    return {key: name.replace("B0", "B") for key, name in names.items()}


HLS_L30 = Product(
    key="hls-l30",
    title="HLS L30 v2: Landsat 8/9 nadir reflectance on the Sentinel-2 grid",
    bands=(
        *reflectance_bands(
            (
                ("coastal", 30, 443),
                ("blue", 30, 482),
                ("green", 30, 561),
                ("red", 30, 655),
                ("nir", 30, 865),
                ("swir1", 30, 1609),
                ("swir2", 30, 2201),
                ("cirrus", 30, 1373),
            ),
            REFLECTANCE,
            source_scale=1e-4,
            source_nodata=-9999.0,
        ),
        _thermal("thermal1", 10895),
        _thermal("thermal2", 12005),
        _FMASK,
    ),
    quality=Quality(rule="hls-fmask", band="fmask"),
    archives={
        "stac": Archive(collections=("HLSL30_2.0",), assets=_L30),
        "lpdaac": Archive(collections=("HLSL30_2.0",), assets=_L30, access="earthdata"),
        "planetary-computer": Archive(
            collections=("hls2-l30",), assets=_L30, access="planetary-computer"
        ),
        # Temperature is in degrees Celsius there as well.
        "earth-engine": Archive(
            collections=("NASA/HLS/HLSL30/v002",),
            assets=_short(_L30),
            access="earth-engine",
            scaling=_ON_EARTH_ENGINE | {"temperature": Scaling(offset=273.15)},
        ),
    },
    license=_LICENSE,
    attribution=_ATTRIBUTION,
    citation="HLS Product User Guide v2.0; doi:10.5067/HLS/HLSL30.002",
)

HLS_S30 = Product(
    key="hls-s30",
    title="HLS S30 v2: Sentinel-2 nadir reflectance, adjusted to Landsat's response",
    bands=(
        *reflectance_bands(
            (
                ("coastal", 30, 443),
                ("blue", 30, 492),
                ("green", 30, 560),
                ("red", 30, 665),
                ("rededge1", 30, 704),
                ("rededge2", 30, 740),
                ("rededge3", 30, 783),
                ("nir", 30, 833),
                ("nir_narrow", 30, 865),
                ("water_vapour", 30, 945),
                ("cirrus", 30, 1374),
                ("swir1", 30, 1614),
                ("swir2", 30, 2202),
            ),
            REFLECTANCE,
            source_scale=1e-4,
            source_nodata=-9999.0,
        ),
        _FMASK,
    ),
    quality=Quality(rule="hls-fmask", band="fmask"),
    archives={
        "stac": Archive(collections=("HLSS30_2.0",), assets=_S30),
        "lpdaac": Archive(collections=("HLSS30_2.0",), assets=_S30, access="earthdata"),
        "planetary-computer": Archive(
            collections=("hls2-s30",), assets=_S30, access="planetary-computer"
        ),
        "earth-engine": Archive(
            collections=("NASA/HLS/HLSS30/v002",),
            assets=_short(_S30),
            access="earth-engine",
            scaling=_ON_EARTH_ENGINE,
        ),
    },
    license=_LICENSE,
    attribution=_ATTRIBUTION,
    citation="HLS Product User Guide v2.0; doi:10.5067/HLS/HLSS30.002",
)
