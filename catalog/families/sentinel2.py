"""Sentinel-2 MSI."""

from collections.abc import Mapping
from types import MappingProxyType

from catalog.families.bands import CLASS, REFLECTANCE, reflectance_bands
from catalog.product import Archive, Band, Kind, Product, Quality, Scaling

_NUMBERS = MappingProxyType(
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
        "swir1": "B11",
        "swir2": "B12",
    }
)
_NAMES = MappingProxyType(
    {
        "coastal": "coastal",
        "blue": "blue",
        "green": "green",
        "red": "red",
        "rededge1": "rededge1",
        "rededge2": "rededge2",
        "rededge3": "rededge3",
        "nir": "nir",
        "nir_narrow": "nir08",
        "swir1": "swir16",
        "swir2": "swir22",
    }
)
_SHORT_NUMBERS = {key: number.replace("B0", "B") for key, number in _NUMBERS.items()}
"""As Earth Engine numbers bands: `B2` for `B02`."""
_AS_BEFORE_2022: Mapping[Kind, Scaling] = MappingProxyType({"reflectance": Scaling(scale=1e-4)})
"""Earth Engine's harmonized collections: baseline 04.00's offset is taken out of the numbers,
and a mask says where there is no data."""
_LICENSE = "Copernicus Sentinel data, free and open"
_ATTRIBUTION = "Contains modified Copernicus Sentinel data"
_CITATION = "ESA S2-PDGS-TAS-DI-PSD, Sentinel-2 Products Specification Document"

SENTINEL_2_L2A = Product(
    key="sentinel-2-l2a",
    title="Sentinel-2 MSI Level 2A surface reflectance",
    bands=(
        *reflectance_bands(
            (
                ("coastal", 60, 443),
                ("blue", 10, 492),
                ("green", 10, 560),
                ("red", 10, 665),
                ("rededge1", 20, 704),
                ("rededge2", 20, 740),
                ("rededge3", 20, 783),
                ("nir", 10, 833),
                ("nir_narrow", 20, 865),
                ("swir1", 20, 1614),
                ("swir2", 20, 2202),
            ),
            REFLECTANCE,
            source_scale=1e-4,
        ),
        Band(key="scl", kind="quality", unit="class", gsd_m=20, encoding=CLASS),
    ),
    quality=Quality(rule="sentinel2-scl", band="scl"),
    archives={
        "stac": Archive(collections=("sentinel-2-l2a",), assets=_NUMBERS | {"scl": "SCL"}),
        # `sentinel-2-c1-l2a` holds the same scenes once more, reprocessed; a layer that wants
        # it names it as its `collection`.
        "earth-search": Archive(
            collections=("sentinel-2-l2a",), assets=_NAMES | {"scl": "scl"}
        ),
        "planetary-computer": Archive(
            collections=("sentinel-2-l2a",),
            assets=_NUMBERS | {"scl": "SCL"},
            access="planetary-computer",
        ),
        "earth-engine": Archive(
            collections=("COPERNICUS/S2_SR_HARMONIZED",),
            assets=_SHORT_NUMBERS | {"scl": "SCL"},
            access="earth-engine",
            scaling=_AS_BEFORE_2022,
        ),
    },
    license=_LICENSE,
    attribution=_ATTRIBUTION,
    citation=_CITATION,
)

SENTINEL_2_L1C = Product(
    key="sentinel-2-l1c",
    title="Sentinel-2 MSI Level 1C top-of-atmosphere reflectance",
    bands=reflectance_bands(
        (
            ("coastal", 60, 443),
            ("blue", 10, 492),
            ("green", 10, 560),
            ("red", 10, 665),
            ("rededge1", 20, 704),
            ("rededge2", 20, 740),
            ("rededge3", 20, 783),
            ("nir", 10, 833),
            ("nir_narrow", 20, 865),
            ("water_vapour", 60, 945),
            ("cirrus", 60, 1374),
            ("swir1", 20, 1614),
            ("swir2", 20, 2202),
        ),
        REFLECTANCE,
        source_scale=1e-4,
    ),
    quality=Quality(rule="nodata-only"),
    archives={
        "stac": Archive(
            collections=("sentinel-2-l1c",),
            assets=_NUMBERS | {"water_vapour": "B09", "cirrus": "B10"},
        ),
        "earth-search": Archive(
            collections=("sentinel-2-l1c",),
            assets=_NAMES | {"water_vapour": "nir09", "cirrus": "cirrus"},
            access="requester-pays",
        ),
        "earth-engine": Archive(
            collections=("COPERNICUS/S2_HARMONIZED",),
            assets=_SHORT_NUMBERS | {"water_vapour": "B9", "cirrus": "B10"},
            access="earth-engine",
            scaling=_AS_BEFORE_2022,
        ),
    },
    license=_LICENSE,
    attribution=_ATTRIBUTION,
    citation=_CITATION,
)
