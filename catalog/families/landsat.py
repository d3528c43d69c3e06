"""Landsat 8 and 9, Collection 2."""

from collections.abc import Mapping
from types import MappingProxyType

from catalog.families.bands import FLOAT, LANDSAT_REFLECTANCE, reflectance_bands
from catalog.product import Archive, Band, Encoding, Kind, Product, Quality, Scaling

_ROWS = (
    ("coastal", 30, 443),
    ("blue", 30, 482),
    ("green", 30, 561),
    ("red", 30, 655),
    ("nir", 30, 865),
    ("swir1", 30, 1609),
    ("swir2", 30, 2201),
)
"""Centers of the OLI bands: Barsi et al. 2014, doi:10.3390/rs61010232, table 1."""
_MASKED_QUALITY: Mapping[Kind, Scaling] = MappingProxyType({"quality": Scaling(nodata=0.0)})
"""Earth Engine masks the fill, and what is masked arrives as 0."""
_COMMON_NAMES = MappingProxyType(
    {
        "coastal": "coastal",
        "blue": "blue",
        "green": "green",
        "red": "red",
        "nir": "nir08",
        "swir1": "swir16",
        "swir2": "swir22",
        "thermal": "lwir11",
        "qa_pixel": "qa_pixel",
    }
)
_NUMBERS = MappingProxyType(
    {"coastal": 1, "blue": 2, "green": 3, "red": 4, "nir": 5, "swir1": 6, "swir2": 7}
)
_SURFACE_BANDS = {key: f"SR_B{number}" for key, number in _NUMBERS.items()}
_QA_PIXEL = Band(
    key="qa_pixel",
    kind="quality",
    unit="bits",
    gsd_m=30,
    encoding=Encoding(dtype="uint16"),
    source_nodata=1.0,
)
_ATTRIBUTION = "Landsat data courtesy of the U.S. Geological Survey"

LANDSAT_C2_L2 = Product(
    key="landsat-c2-l2",
    title="Landsat 8/9 Collection 2 Level 2 surface reflectance and temperature",
    bands=(
        *reflectance_bands(
            _ROWS, LANDSAT_REFLECTANCE, source_scale=2.75e-5, source_offset=-0.2
        ),
        Band(
            key="thermal",
            kind="temperature",
            unit="K",
            gsd_m=30,
            wavelength_nm=10895,
            encoding=Encoding(dtype="uint16", scale=0.00341802, offset=149.0),
            source_scale=0.00341802,
            source_offset=149.0,
        ),
        _QA_PIXEL,
    ),
    quality=Quality(rule="landsat-qa-pixel", band="qa_pixel"),
    archives={
        "stac": Archive(collections=("landsat-c2-l2",), assets=_COMMON_NAMES),
        "earth-search": Archive(
            collections=("landsat-c2-l2",), assets=_COMMON_NAMES, access="requester-pays"
        ),
        "planetary-computer": Archive(
            collections=("landsat-c2-l2",), assets=_COMMON_NAMES, access="planetary-computer"
        ),
        # Reflectance and temperature of one scene are two items, in two collections.
        "usgs": Archive(
            collections=("landsat-c2l2-sr", "landsat-c2l2-st"),
            assets=_COMMON_NAMES,
            access="requester-pays",
        ),
        # The same archive as it named assets at first; such items are still about.
        "usgs-by-file": Archive(
            collections=("landsat-c2l2-sr", "landsat-c2l2-st"),
            assets={key: f"{name}.TIF" for key, name in _SURFACE_BANDS.items()}
            | {"thermal": "ST_B10.TIF", "qa_pixel": "QA_PIXEL.TIF"},
            access="requester-pays",
        ),
        "earth-engine": Archive(
            collections=("LANDSAT/LC08/C02/T1_L2", "LANDSAT/LC09/C02/T1_L2"),
            assets=_SURFACE_BANDS | {"thermal": "ST_B10", "qa_pixel": "QA_PIXEL"},
            access="earth-engine",
            scaling=_MASKED_QUALITY,
        ),
    },
    license="USGS public domain",
    attribution=_ATTRIBUTION,
    citation="USGS LSDS-1619, Landsat 8-9 Collection 2 Level 2 Science Product Guide",
)

# Level 1 files hold digital numbers whose reflectance still lacks the sun's elevation and whose
# temperature is no linear function of them; Earth Engine has done both, and no other archive.
LANDSAT_C2_TOA = Product(
    key="landsat-c2-toa",
    title="Landsat 8/9 Collection 2 top-of-atmosphere reflectance and brightness temperature",
    bands=(
        *reflectance_bands(_ROWS, FLOAT, source_nodata=None),
        Band(
            key="thermal",
            kind="temperature",
            unit="K",
            gsd_m=30,
            wavelength_nm=10895,
            encoding=FLOAT,
            source_nodata=None,
        ),
        _QA_PIXEL,
    ),
    quality=Quality(rule="landsat-qa-pixel", band="qa_pixel"),
    archives={
        "earth-engine": Archive(
            collections=("LANDSAT/LC08/C02/T1_TOA", "LANDSAT/LC09/C02/T1_TOA"),
            assets={key: f"B{number}" for key, number in _NUMBERS.items()}
            | {"thermal": "B10", "qa_pixel": "QA_PIXEL"},
            access="earth-engine",
            scaling=_MASKED_QUALITY,
        ),
    },
    license="USGS public domain",
    attribution=_ATTRIBUTION,
    citation="Chander et al. 2009, doi:10.1016/j.rse.2009.01.007, as computed by Earth Engine "
    "from USGS LSDS-1822, Landsat 8-9 Collection 2 Level 1 Data Format Control Book",
)
