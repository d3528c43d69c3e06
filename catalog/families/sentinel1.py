"""Sentinel-1 C-band radar, interferometric wide swath."""

from types import MappingProxyType

from catalog.families.bands import backscatter_bands
from catalog.product import Archive, Product, Quality, Scaling

_POLARIZATIONS = MappingProxyType({"vv": "vv", "vh": "vh"})
_LICENSE = "Copernicus Sentinel data, free and open"
_ATTRIBUTION = "Contains modified Copernicus Sentinel data"

# `sentinel-1-grd` of Earth Search and of Planetary Computer is another thing of that name: raw
# amplitude in the sensor's own geometry, neither calibrated nor on a map.
SENTINEL_1_GRD = Product(
    key="sentinel-1-grd",
    title="Sentinel-1 IW ground range detected, terrain-corrected sigma nought, linear power",
    bands=backscatter_bands(-9999.0),
    quality=Quality(rule="nodata-only"),
    archives={
        "stac": Archive(collections=("sentinel-1-grd",), assets=_POLARIZATIONS),
        "earth-engine": Archive(
            collections=("COPERNICUS/S1_GRD_FLOAT",),
            assets={"vv": "VV", "vh": "VH"},
            access="earth-engine",
            scaling={"backscatter": Scaling()},
        ),
    },
    license=_LICENSE,
    attribution=_ATTRIBUTION,
    citation="ESA S1-RS-MDA-52-7441, Sentinel-1 Product Specification",
)

SENTINEL_1_RTC = Product(
    key="sentinel-1-rtc",
    title="Sentinel-1 IW radiometrically terrain-corrected gamma nought, linear power",
    bands=backscatter_bands(-32768.0),
    quality=Quality(rule="nodata-only"),
    archives={
        "stac": Archive(collections=("sentinel-1-rtc",), assets=_POLARIZATIONS),
        "planetary-computer": Archive(
            collections=("sentinel-1-rtc",),
            assets=_POLARIZATIONS,
            access="planetary-computer",
        ),
        # The open archive of Indigo Ag on AWS, contiguous United States, 20 m.
        "sentinel1-rtc-aws": Archive(
            collections=("sentinel1-rtc-aws",),
            assets={"vv": "gamma0_vv", "vh": "gamma0_vh"},
            scaling={"backscatter": Scaling(nodata=0.0)},
        ),
    },
    license=_LICENSE,
    attribution=_ATTRIBUTION,
    citation="Small 2011, Flattening Gamma: Radiometric Terrain Correction for SAR Imagery, "
    "doi:10.1109/TGRS.2011.2120616",
)
