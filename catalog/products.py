"""The product table: what each data product measures and how archives name and scale it.

Names of providers (collections, assets) live in `catalog.families` and nowhere else;
everywhere else a band is its `key`. Adding a product is one more literal entry there, and its
name in the list below.
"""

from collections.abc import Mapping
from types import MappingProxyType

from catalog.errors import RecipeError, nearest_choice
from catalog.families.atmosphere import G5NR_AEROSOL, MERRA2_AEROSOL, MERRA2_SINGLE_LEVEL
from catalog.families.cover import (
    DYNAMIC_WORLD,
    ESA_WORLDCOVER,
    NLCD,
    USDA_CDL,
    WORLDCEREAL_LABELS,
)
from catalog.families.hls import HLS_L30, HLS_S30
from catalog.families.landsat import LANDSAT_C2_L2, LANDSAT_C2_TOA
from catalog.families.planet import PLANETSCOPE_SR
from catalog.families.sentinel1 import SENTINEL_1_GRD, SENTINEL_1_RTC
from catalog.families.sentinel2 import SENTINEL_2_L1C, SENTINEL_2_L2A
from catalog.families.simulated import SANDBOX_TRUTH
from catalog.families.terrain import COP_DEM_GLO_30, NASADEM, SRTM, USGS_3DEP
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
    "COP_DEM_GLO_30",
    "LANDSAT_C2_L2",
    "PRODUCTS",
    "SANDBOX_TRUTH",
    "SENTINEL_1_GRD",
    "SENTINEL_2_L2A",
    "SRTM",
    "WORLDCEREAL_LABELS",
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

PRODUCTS: Mapping[str, Product] = MappingProxyType(
    {
        p.key: p
        for p in (
            LANDSAT_C2_L2,
            LANDSAT_C2_TOA,
            SENTINEL_2_L2A,
            SENTINEL_2_L1C,
            SENTINEL_1_GRD,
            SENTINEL_1_RTC,
            HLS_L30,
            HLS_S30,
            COP_DEM_GLO_30,
            USGS_3DEP,
            NASADEM,
            SRTM,
            DYNAMIC_WORLD,
            ESA_WORLDCOVER,
            NLCD,
            USDA_CDL,
            WORLDCEREAL_LABELS,
            MERRA2_AEROSOL,
            MERRA2_SINGLE_LEVEL,
            G5NR_AEROSOL,
            PLANETSCOPE_SR,
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
