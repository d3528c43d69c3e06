"""The product table: what each data product measures and how archives name and scale it.

Names of providers (collections, assets) live here and nowhere else; everywhere else a band
is its `key`. Adding a product is one more literal entry in `PRODUCTS`.
"""

from collections.abc import Mapping
from types import MappingProxyType

from catalog.errors import RecipeError, nearest_choice
from catalog.product import (
    Access,
    Archive,
    Band,
    Encoding,
    Kind,
    Product,
    Quality,
    QualityRule,
    Scaling,
)

__all__ = [
    "PRODUCTS",
    "Access",
    "Archive",
    "Band",
    "Encoding",
    "Kind",
    "Product",
    "Quality",
    "QualityRule",
    "Scaling",
    "find_product",
]


def _reflectance_bands(
    rows: tuple[tuple[str, float, float], ...], encoding: Encoding, **source: float
) -> tuple[Band, ...]:
    """Bands from (key, gsd in metres, wavelength in nanometres) that share one encoding."""
    return tuple(
        Band(
            key=key,
            kind="reflectance",
            unit="1",
            gsd_m=gsd_m,
            wavelength_nm=nm,
            encoding=encoding,
            **source,
        )
        for key, gsd_m, nm in rows
    )


_CLASS = Encoding(dtype="uint8")
_FLOAT = Encoding(dtype="float32")

_LANDSAT_ASSETS = MappingProxyType(
    {
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
_SENTINEL2_NUMBERED = MappingProxyType(
    {
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
        "scl": "SCL",
    }
)
_SENTINEL2_NAMED = MappingProxyType(
    {
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
        "scl": "scl",
    }
)
_POLARIZATIONS = MappingProxyType({"vv": "vv", "vh": "vh"})

LANDSAT_C2_L2 = Product(
    key="landsat-c2-l2",
    title="Landsat 8/9 Collection 2 Level 2 surface reflectance and temperature",
    bands=(
        *_reflectance_bands(
            (
                ("blue", 30, 482),
                ("green", 30, 561),
                ("red", 30, 655),
                ("nir", 30, 865),
                ("swir1", 30, 1609),
                ("swir2", 30, 2201),
            ),
            Encoding(dtype="uint16", scale=2.75e-5, offset=-0.2),
            source_scale=2.75e-5,
            source_offset=-0.2,
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
        Band(
            key="qa_pixel",
            kind="quality",
            unit="bits",
            gsd_m=30,
            encoding=Encoding(dtype="uint16"),
            source_nodata=1.0,
        ),
    ),
    quality=Quality(rule="landsat-qa-pixel", band="qa_pixel"),
    archives={
        "stac": Archive(collections=("landsat-c2-l2",), assets=_LANDSAT_ASSETS),
        "earth-search": Archive(collections=("landsat-c2-l2",), assets=_LANDSAT_ASSETS),
        "planetary-computer": Archive(collections=("landsat-c2-l2",), assets=_LANDSAT_ASSETS),
    },
    license="USGS public domain",
    attribution="Landsat data courtesy of the U.S. Geological Survey",
    citation="USGS LSDS-1619, Landsat 8-9 Collection 2 Level 2 Science Product Guide",
)

SENTINEL_2_L2A = Product(
    key="sentinel-2-l2a",
    title="Sentinel-2 MSI Level 2A surface reflectance",
    bands=(
        *_reflectance_bands(
            (
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
            Encoding(dtype="uint16", scale=1e-4, offset=-0.1),
            source_scale=1e-4,
        ),
        Band(key="scl", kind="quality", unit="class", gsd_m=20, encoding=_CLASS),
    ),
    quality=Quality(rule="sentinel2-scl", band="scl"),
    archives={
        "stac": Archive(collections=("sentinel-2-l2a",), assets=_SENTINEL2_NUMBERED),
        "earth-search": Archive(collections=("sentinel-2-l2a",), assets=_SENTINEL2_NAMED),
        "planetary-computer": Archive(
            collections=("sentinel-2-l2a",), assets=_SENTINEL2_NUMBERED
        ),
    },
    license="Copernicus Sentinel data, free and open",
    attribution="Contains modified Copernicus Sentinel data",
    citation="ESA S2-PDGS-TAS-DI-PSD, Sentinel-2 Products Specification Document",
)

SENTINEL_1_GRD = Product(
    key="sentinel-1-grd",
    title="Sentinel-1 IW ground range detected, terrain-corrected sigma nought, linear power",
    bands=tuple(
        Band(
            key=key,
            kind="backscatter",
            unit="linear power",
            gsd_m=10,
            encoding=_FLOAT,
            source_nodata=-9999.0,
        )
        for key in ("vv", "vh")
    ),
    quality=Quality(rule="nodata-only"),
    archives={
        "stac": Archive(collections=("sentinel-1-grd",), assets=_POLARIZATIONS),
    },
    license="Copernicus Sentinel data, free and open",
    attribution="Contains modified Copernicus Sentinel data",
    citation="ESA S1-RS-MDA-52-7441, Sentinel-1 Product Specification",
)


def _dem(key: str, title: str, gsd_m: float, terms: Mapping[str, str]) -> Product:
    band = Band(
        key="elevation",
        kind="elevation",
        unit="m",
        gsd_m=gsd_m,
        encoding=_FLOAT,
        source_nodata=-32768.0,
    )
    names = Archive(collections=(key,), assets={"elevation": "data"})
    return Product(
        key=key,
        title=title,
        bands=(band,),
        quality=Quality(rule="nodata-only"),
        archives={"stac": names},
        when="static",
        **terms,
    )


COP_DEM_GLO_30 = _dem(
    "cop-dem-glo-30",
    "Copernicus GLO-30 digital surface model",
    30,
    {
        "license": "Copernicus DEM licence, free and open",
        "attribution": "Produced using Copernicus WorldDEM-30 (c) DLR e.V. 2010-2014 and "
        "(c) Airbus Defence and Space GmbH 2014-2018, provided under COPERNICUS by the "
        "European Union and ESA",
        "citation": "Copernicus DEM Product Handbook, AO/1-9422/18/I-LG",
    },
)
SRTM = _dem(
    "dem-srtm",
    "SRTM digital elevation model, 3 arc seconds",
    90,
    {
        "license": "USGS public domain",
        "attribution": "NASA Shuttle Radar Topography Mission, courtesy of the USGS",
        "citation": "Farr et al. 2007, The Shuttle Radar Topography Mission, "
        "doi:10.1029/2005RG000183",
    },
)

WORLDCEREAL_LABELS = Product(
    key="worldcereal-labels",
    title="Crop type and land cover labels, WorldCereal legend",
    bands=tuple(
        Band(
            key=key,
            kind="class",
            unit="class",
            gsd_m=10,
            encoding=Encoding(dtype="uint16"),
        )
        for key in ("crop_type", "land_cover")
    ),
    quality=Quality(rule="nodata-only"),
    archives={
        "stac": Archive(
            collections=("worldcereal-labels",),
            assets={"crop_type": "crop_type", "land_cover": "land_cover"},
        )
    },
    when="static",
    license="CC-BY-4.0",
    attribution="WorldCereal reference data, ESA",
    citation="Van Tricht et al. 2023, WorldCereal, doi:10.5194/essd-15-5491-2023",
)

SANDBOX_TRUTH = Product(
    key="sandbox-truth",
    title="Sandbox truth: 10 m surface reflectance, without cloud, noise or misregistration",
    bands=_reflectance_bands(
        (
            ("blue", 10, 492),
            ("green", 10, 560),
            ("red", 10, 665),
            ("nir", 10, 833),
            ("swir1", 10, 1614),
            ("swir2", 10, 2202),
        ),
        Encoding(dtype="uint16", scale=1e-4, offset=-0.1),
        source_scale=1e-4,
    ),
    quality=Quality(rule="nodata-only"),
    archives={
        "stac": Archive(
            collections=("sandbox-truth",),
            assets={k: k for k in ("blue", "green", "red", "nir", "swir1", "swir2")},
        )
    },
    license="Apache-2.0",
    attribution="geoloupe sandbox, simulated",
    citation="pipeline/sandbox/sensors.py",
)

PRODUCTS: Mapping[str, Product] = MappingProxyType(
    {
        p.key: p
        for p in (
            LANDSAT_C2_L2,
            SENTINEL_2_L2A,
            SENTINEL_1_GRD,
            COP_DEM_GLO_30,
            SRTM,
            WORLDCEREAL_LABELS,
            SANDBOX_TRUTH,
        )
    }
)
"""Every product geoloupe knows, by key."""


def find_product(key: str) -> Product:
    """Return the product called `key`.

    Raises:
        RecipeError: If there is none; the message names the closest.

    Example:
        >>> find_product("landsat-c2-l2").band("red").wavelength_nm
        655
    """
    if key not in PRODUCTS:
        raise RecipeError(f"unknown product {key!r}; {nearest_choice(key, PRODUCTS)}")
    return PRODUCTS[key]
