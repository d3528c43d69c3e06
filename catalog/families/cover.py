"""Land cover and crop types."""

from catalog.families.bands import CLASS, CLASS_FROM_ZERO, FLOAT
from catalog.product import Archive, Band, Encoding, Product, Quality, Scaling

_DYNAMIC_WORLD_CLASSES = (
    "water",
    "trees",
    "grass",
    "flooded_vegetation",
    "crops",
    "shrub_and_scrub",
    "built",
    "bare",
    "snow_and_ice",
)
"""In the order of the label's codes, 0 to 8."""


def _class_band(key: str, gsd_m: float, encoding: Encoding = CLASS) -> Band:
    return Band(key=key, kind="class", unit="class", gsd_m=gsd_m, encoding=encoding)


DYNAMIC_WORLD = Product(
    key="dynamic-world",
    title="Dynamic World: land cover of single Sentinel-2 scenes, with probabilities",
    bands=(
        Band(
            key="label",
            kind="class",
            unit="class",
            gsd_m=10,
            encoding=CLASS_FROM_ZERO,
            source_nodata=None,
        ),
        *(
            Band(
                key=key,
                kind="probability",
                unit="1",
                gsd_m=10,
                encoding=FLOAT,
                source_nodata=None,
            )
            for key in _DYNAMIC_WORLD_CLASSES
        ),
    ),
    quality=Quality(rule="nodata-only"),
    archives={
        "earth-engine": Archive(
            collections=("GOOGLE/DYNAMICWORLD/V1",),
            assets={key: key for key in ("label", *_DYNAMIC_WORLD_CLASSES)},
            access="earth-engine",
        ),
    },
    license="CC-BY-4.0",
    attribution="Dynamic World, Google and World Resources Institute; contains modified "
    "Copernicus Sentinel data",
    citation="Brown et al. 2022, Dynamic World, doi:10.1038/s41597-022-01307-4",
)

ESA_WORLDCOVER = Product(
    key="esa-worldcover",
    title="ESA WorldCover land cover, 2020 (v100) and 2021 (v200)",
    bands=(_class_band("land_cover", 10),),
    quality=Quality(rule="nodata-only"),
    archives={
        "stac": Archive(collections=("esa-worldcover",), assets={"land_cover": "map"}),
        "planetary-computer": Archive(
            collections=("esa-worldcover",),
            assets={"land_cover": "map"},
            access="planetary-computer",
        ),
        "earth-engine": Archive(
            collections=("ESA/WorldCover/v100", "ESA/WorldCover/v200"),
            assets={"land_cover": "Map"},
            access="earth-engine",
        ),
    },
    when="year",
    license="CC-BY-4.0",
    attribution="(c) ESA WorldCover project; contains modified Copernicus Sentinel data "
    "processed by the ESA WorldCover consortium",
    citation="Zanaga et al. 2022, ESA WorldCover 10 m 2021 v200, doi:10.5281/zenodo.7254221",
)

NLCD = Product(
    key="nlcd",
    title="National Land Cover Database, United States",
    bands=(_class_band("land_cover", 30),),
    quality=Quality(rule="nodata-only"),
    archives={
        "stac": Archive(collections=("nlcd",), assets={"land_cover": "data"}),
        # The release of 2021 holds that year only; all before it are in that of 2019.
        "earth-engine": Archive(
            collections=(
                "USGS/NLCD_RELEASES/2019_REL/NLCD",
                "USGS/NLCD_RELEASES/2021_REL/NLCD",
            ),
            assets={"land_cover": "landcover"},
            access="earth-engine",
        ),
    },
    when="year",
    license="USGS public domain",
    attribution="NLCD, courtesy of the U.S. Geological Survey and the MRLC consortium",
    citation="Wickham et al. 2023, doi:10.1080/15481603.2023.2181143",
)

USDA_CDL = Product(
    key="usda-cdl",
    title="USDA NASS Cropland Data Layer, contiguous United States",
    bands=(
        _class_band("crop_type", 30),
        Band(
            key="confidence",
            kind="probability",
            unit="1",
            gsd_m=30,
            encoding=FLOAT,
            source_scale=0.01,
        ),
    ),
    quality=Quality(rule="nodata-only"),
    archives={
        "stac": Archive(
            collections=("usda-cdl",),
            assets={"crop_type": "cropland", "confidence": "confidence"},
        ),
        "planetary-computer": Archive(
            collections=("usda-cdl",),
            assets={"crop_type": "cropland", "confidence": "confidence"},
            access="planetary-computer",
        ),
        "earth-engine": Archive(
            collections=("USDA/NASS/CDL",),
            assets={"crop_type": "cropland", "confidence": "confidence"},
            access="earth-engine",
            scaling={"probability": Scaling(scale=0.01)},
        ),
    },
    when="year",
    license="USDA public domain",
    attribution="USDA National Agricultural Statistics Service Cropland Data Layer",
    citation="Boryan et al. 2011, doi:10.1080/10106049.2011.562309",
)

WORLDCEREAL_LABELS = Product(
    key="worldcereal-labels",
    title="Crop type and land cover labels, WorldCereal legend",
    bands=tuple(
        _class_band(key, 10, Encoding(dtype="uint16")) for key in ("crop_type", "land_cover")
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
