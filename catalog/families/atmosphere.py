"""Gridded atmosphere: the MERRA-2 reanalysis and the GEOS-5 Nature Run."""

from collections.abc import Mapping
from types import MappingProxyType

from catalog.families.bands import atmosphere_bands
from catalog.product import Archive, Kind, Product, Quality, Scaling

_FILL = 1e15
"""`_FillValue` of all GEOS-5 files (GMAO Office Note 9, section 3)."""
_MASKED: Mapping[Kind, Scaling] = MappingProxyType({"atmosphere": Scaling()})
_COLUMN, _SURFACE = "kg m-2", "kg m-3"

_AEROSOL = (
    ("dust_aot", "DUEXTTAU", "1"),
    ("dust_scattering_aot", "DUSCATAU", "1"),
    ("total_aot", "TOTEXTTAU", "1"),
    ("total_scattering_aot", "TOTSCATAU", "1"),
    ("angstrom", "TOTANGSTR", "1"),
    ("sea_salt_aot", "SSEXTTAU", "1"),
    ("sulfate_aot", "SUEXTTAU", "1"),
    ("black_carbon_aot", "BCEXTTAU", "1"),
    ("organic_carbon_aot", "OCEXTTAU", "1"),
    ("dust_mass", "DUCMASS", _COLUMN),
    ("dust_surface_mass", "DUSMASS", _SURFACE),
)
"""Key, variable, unit. Optical thickness is that at 550 nm; `angstrom` is between 470 and
870 nm; mass is per area of the column, or per volume at the surface."""
_SINGLE_LEVEL = (
    ("temperature_2m", "T2M", "K"),
    ("temperature_10m", "T10M", "K"),
    ("humidity_2m", "QV2M", "kg kg-1"),
    ("surface_pressure", "PS", "Pa"),
    ("sea_level_pressure", "SLP", "Pa"),
    ("wind_east_10m", "U10M", "m s-1"),
    ("wind_north_10m", "V10M", "m s-1"),
    ("wind_east_2m", "U2M", "m s-1"),
    ("wind_north_2m", "V2M", "m s-1"),
    ("water_vapour", "TQV", "kg m-2"),
)
_AEROSOL_NAMES = MappingProxyType({key: variable for key, variable, _ in _AEROSOL})
_SINGLE_LEVEL_NAMES = MappingProxyType({key: variable for key, variable, _ in _SINGLE_LEVEL})
_LICENSE = "NASA open data, no restriction"
_MERRA2_CITATION = (
    "GMAO Office Note 9, MERRA-2: File Specification; Gelaro et al. 2017, "
    "doi:10.1175/JCLI-D-16-0758.1"
)

MERRA2_AEROSOL = Product(
    key="merra2-aerosol",
    title="MERRA-2 hourly aerosol diagnostics (M2T1NXAER), 0.5 x 0.625 degrees",
    bands=atmosphere_bands(
        tuple((key, unit) for key, _, unit in _AEROSOL), gsd_m=55_000, nodata=_FILL
    ),
    quality=Quality(rule="nodata-only"),
    archives={
        "gesdisc": Archive(
            collections=("M2T1NXAER",), assets=_AEROSOL_NAMES, access="earthdata"
        ),
        "earth-engine": Archive(
            collections=("NASA/GSFC/MERRA/aer/2",),
            assets=_AEROSOL_NAMES,
            access="earth-engine",
            scaling=_MASKED,
        ),
        "files": Archive(collections=("M2T1NXAER",), assets=_AEROSOL_NAMES),
    },
    when="hour",
    license=_LICENSE,
    attribution="MERRA-2, NASA Global Modeling and Assimilation Office",
    citation=f"{_MERRA2_CITATION}; doi:10.5067/KLICLTZ8EM9D",
)

MERRA2_SINGLE_LEVEL = Product(
    key="merra2-single-level",
    title="MERRA-2 hourly single-level diagnostics (M2T1NXSLV), 0.5 x 0.625 degrees",
    bands=atmosphere_bands(
        tuple((key, unit) for key, _, unit in _SINGLE_LEVEL), gsd_m=55_000, nodata=_FILL
    ),
    quality=Quality(rule="nodata-only"),
    archives={
        "gesdisc": Archive(
            collections=("M2T1NXSLV",), assets=_SINGLE_LEVEL_NAMES, access="earthdata"
        ),
        "earth-engine": Archive(
            collections=("NASA/GSFC/MERRA/slv/2",),
            assets=_SINGLE_LEVEL_NAMES,
            access="earth-engine",
            scaling=_MASKED,
        ),
        "files": Archive(collections=("M2T1NXSLV",), assets=_SINGLE_LEVEL_NAMES),
    },
    when="hour",
    license=_LICENSE,
    attribution="MERRA-2, NASA Global Modeling and Assimilation Office",
    citation=f"{_MERRA2_CITATION}; doi:10.5067/VJAFPLI1CSIV",
)

# A free-running model: its weather of a date is not that date's weather, so that nothing
# observed may be matched with it in time.
G5NR_AEROSOL = Product(
    key="g5nr-aerosol",
    title="GEOS-5 Nature Run aerosol, simulated 2005 to 2007, 0.0625 degrees, half-hourly",
    bands=atmosphere_bands(
        tuple((key, unit) for key, _, unit in _AEROSOL), gsd_m=7_000, nodata=_FILL
    ),
    quality=Quality(rule="nodata-only"),
    archives={
        "g5nr": Archive(collections=("inst30mn_2d_aer1_Nx",), assets=_AEROSOL_NAMES),
        "files": Archive(collections=("inst30mn_2d_aer1_Nx",), assets=_AEROSOL_NAMES),
    },
    when="hour",
    license=_LICENSE,
    attribution="GEOS-5 Nature Run, NASA Global Modeling and Assimilation Office",
    citation="da Silva et al. 2014, File Specification for the 7-km GEOS-5 Nature Run, "
    "Ganymed Release, GMAO Office Note 6",
)
