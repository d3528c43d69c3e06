"""Elevation models."""

from collections.abc import Mapping

from catalog.families.bands import elevation_band
from catalog.product import Archive, Kind, Product, Quality, Scaling

_MASKED: Mapping[Kind, Scaling] = {"elevation": Scaling()}
"""Earth Engine masks what has no elevation."""

COP_DEM_GLO_30 = Product(
    key="cop-dem-glo-30",
    title="Copernicus GLO-30 digital surface model",
    bands=(elevation_band(30, nodata=-32768.0),),
    quality=Quality(rule="nodata-only"),
    archives={
        "stac": Archive(collections=("cop-dem-glo-30",), assets={"elevation": "data"}),
        "earth-search": Archive(collections=("cop-dem-glo-30",), assets={"elevation": "data"}),
        "planetary-computer": Archive(
            collections=("cop-dem-glo-30",),
            assets={"elevation": "data"},
            access="planetary-computer",
        ),
        "earth-engine": Archive(
            collections=("COPERNICUS/DEM/GLO30_2024_1",),
            assets={"elevation": "DEM"},
            access="earth-engine",
            scaling=_MASKED,
        ),
    },
    when="static",
    license="Copernicus DEM licence, free and open",
    attribution="Produced using Copernicus WorldDEM-30 (c) DLR e.V. 2010-2014 and "
    "(c) Airbus Defence and Space GmbH 2014-2018, provided under COPERNICUS by the "
    "European Union and ESA",
    citation="Copernicus DEM Product Handbook, AO/1-9422/18/I-LG",
)

USGS_3DEP = Product(
    key="usgs-3dep",
    title="USGS 3DEP bare-earth elevation, 1/3 arc second, United States",
    bands=(elevation_band(10, nodata=-999999.0),),
    quality=Quality(rule="nodata-only"),
    archives={
        # Tiles of 1 and 2 arc seconds are in these collections too.
        "stac": Archive(collections=("3dep-seamless",), assets={"elevation": "data"}),
        "planetary-computer": Archive(
            collections=("3dep-seamless",),
            assets={"elevation": "data"},
            access="planetary-computer",
        ),
        "earth-engine": Archive(
            collections=("USGS/3DEP/10m_collection",),
            assets={"elevation": "elevation"},
            access="earth-engine",
            scaling=_MASKED,
        ),
    },
    when="static",
    license="USGS public domain",
    attribution="3D Elevation Program data courtesy of the U.S. Geological Survey",
    citation="U.S. Geological Survey, 3D Elevation Program 10-Meter Resolution Digital "
    "Elevation Model",
)

NASADEM = Product(
    key="nasadem",
    title="NASADEM digital elevation model, 1 arc second",
    bands=(elevation_band(30, nodata=-32768.0),),
    quality=Quality(rule="nodata-only"),
    archives={
        "stac": Archive(collections=("nasadem",), assets={"elevation": "elevation"}),
        "planetary-computer": Archive(
            collections=("nasadem",),
            assets={"elevation": "elevation"},
            access="planetary-computer",
        ),
        "earth-engine": Archive(
            collections=("NASA/NASADEM_HGT/001",),
            assets={"elevation": "elevation"},
            access="earth-engine",
            scaling=_MASKED,
            form="image",
        ),
    },
    when="static",
    license="NASA open data, no restriction",
    attribution="NASADEM, NASA JPL, distributed by NASA LP DAAC",
    citation="NASA JPL 2020, NASADEM Merged DEM Global 1 arc second V001, "
    "doi:10.5067/MEaSUREs/NASADEM/NASADEM_HGT.001",
)

SRTM = Product(
    key="dem-srtm",
    title="SRTM digital elevation model, 1 arc second; 3 arc seconds in older archives",
    bands=(elevation_band(30, nodata=-32768.0),),
    quality=Quality(rule="nodata-only"),
    archives={
        "stac": Archive(collections=("dem-srtm",), assets={"elevation": "data"}),
        "earth-engine": Archive(
            collections=("USGS/SRTMGL1_003",),
            assets={"elevation": "elevation"},
            access="earth-engine",
            scaling=_MASKED,
            form="image",
        ),
    },
    when="static",
    license="USGS public domain",
    attribution="NASA Shuttle Radar Topography Mission, courtesy of the USGS",
    citation="Farr et al. 2007, The Shuttle Radar Topography Mission, doi:10.1029/2005RG000183",
)
