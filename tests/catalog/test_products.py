"""The product table: whole, without contradiction, and true to the producers' documents."""

import json
from itertools import pairwise

import numpy as np
import pytest

from catalog.errors import RecipeError
from catalog.product import Product
from catalog.product_list import source_scaling
from catalog.products import PRODUCTS, find_product
from catalog.providers.source import KNOWN_SOURCES
from stores.schema import BandSchema, LayerSchema

EVERY_PRODUCT = pytest.mark.parametrize("product", PRODUCTS.values(), ids=lambda p: p.key)
GENERIC = {"stac", "files"}
OTHER_NAMES = {"usgs-by-file", "sentinel1-rtc-aws", "files-8-band"}
"""Dialects of archives that no recipe can name: other names of assets that items have."""


@pytest.fixture
def real_items(real_archive):
    return real_archive / "stac-items"


def test_every_product_that_was_promised_is_there():
    assert list(PRODUCTS) == [
        "landsat-c2-l2",
        "landsat-c2-toa",
        "sentinel-2-l2a",
        "sentinel-2-l1c",
        "sentinel-1-grd",
        "sentinel-1-rtc",
        "hls-l30",
        "hls-s30",
        "cop-dem-glo-30",
        "usgs-3dep",
        "nasadem",
        "dem-srtm",
        "dynamic-world",
        "esa-worldcover",
        "nlcd",
        "usda-cdl",
        "worldcereal-labels",
        "merra2-aerosol",
        "merra2-single-level",
        "g5nr-aerosol",
        "planetscope-sr",
        "sandbox-truth",
    ]


def test_an_unknown_product_names_the_closest():
    with pytest.raises(RecipeError, match=r"'landsat-c2-l1'; did you mean 'landsat-c2-l2'\?"):
        find_product("landsat-c2-l1")


def test_an_unknown_band_names_the_product_its_bands_and_the_closest():
    with pytest.raises(RecipeError) as refused:
        find_product("landsat-c2-l2").band("swir3")
    message = str(refused.value)
    assert "product 'landsat-c2-l2' has no band 'swir3'" in message
    assert "blue, green, red, nir, swir1, swir2" in message
    assert "did you mean 'swir" in message


@EVERY_PRODUCT
def test_every_archive_names_every_band_of_the_product_once(product: Product):
    keys = [band.key for band in product.bands]
    assert len(set(keys)) == len(keys)
    assert product.archives
    for archive in product.archives.values():
        assert set(archive.assets) == set(keys)
        assert len(set(archive.assets.values())) == len(keys)
        assert archive.collections
        assert all(archive.collections)


@EVERY_PRODUCT
def test_dialects_are_known_archives_or_generic(product: Product):
    assert set(product.archives) <= GENERIC | OTHER_NAMES | set(KNOWN_SOURCES)


@EVERY_PRODUCT
def test_how_files_are_opened_follows_from_where_they_are(product: Product):
    always = {
        "earth-engine": "earth-engine",
        "planetary-computer": "planetary-computer",
        "lpdaac": "earthdata",
        "gesdisc": "earthdata",
        "usgs": "requester-pays",
        "stac": "open",
        "files": "open",
    }
    for dialect, archive in product.archives.items():
        assert archive.access == always.get(dialect, archive.access)
        assert archive.form == "collection" or dialect == "earth-engine"


@EVERY_PRODUCT
def test_scaling_is_told_of_kinds_that_the_product_has(product: Product):
    kinds = {band.kind for band in product.bands}
    for archive in product.archives.values():
        assert set(archive.scaling) <= kinds


@EVERY_PRODUCT
def test_the_terms_of_use_are_told(product: Product):
    assert all((product.title, product.license, product.attribution, product.citation))


@EVERY_PRODUCT
def test_the_quality_band_is_a_band_of_the_product_and_is_no_reflectance(product: Product):
    if product.quality.rule == "nodata-only":
        assert product.quality.band is None
    else:
        assert product.quality.band is not None
        assert product.band(product.quality.band).kind == "quality"


@EVERY_PRODUCT
def test_optical_bands_have_wavelengths_and_others_have_none(product: Product):
    for band in product.bands:
        radiation = band.kind in ("reflectance", "temperature")
        assert (band.wavelength_nm is not None) == radiation, band.key
        if radiation:
            low, high = (400, 2500) if band.kind == "reflectance" else (8000, 14000)
            assert low < band.wavelength_nm < high
    waves = [b.wavelength_nm for b in product.bands if b.kind == "reflectance"]
    order = [w for w in waves if w not in (945, 1373, 1374)]
    assert order == sorted(order)


RANGES = {
    "reflectance": (-0.05, 1.6),
    "temperature": (170.0, 372.0),
    "backscatter": (1e-4, 1e2),
    "elevation": (-430.0, 8849.0),
    "probability": (0.0, 1.0),
    "atmosphere": (-1e2, 1.2e5),
}
"""What each kind may be, in its unit: the Dead Sea to Everest, polar night to boiling."""
CODES = {
    ("landsat-c2-l2", "qa_pixel"): (1, 65535),
    ("landsat-c2-toa", "qa_pixel"): (1, 65535),
    ("sentinel-2-l2a", "scl"): (1, 11),
    ("hls-l30", "fmask"): (0, 254),
    ("hls-s30", "fmask"): (0, 254),
    ("dynamic-world", "label"): (0, 8),
    ("esa-worldcover", "land_cover"): (10, 100),
    ("nlcd", "land_cover"): (11, 95),
    ("usda-cdl", "crop_type"): (1, 254),
    ("worldcereal-labels", "crop_type"): (1, 9999),
    ("worldcereal-labels", "land_cover"): (1, 9999),
    ("planetscope-sr", "udm2"): (0, 1),
}
"""First and last code that is data."""
STEP = {"reflectance": 1e-4, "temperature": 0.01, "class": 1, "quality": 1}
"""Coarsest step of a store's integers that loses nothing of the producer's."""
EVERY_BAND = [(product, band) for product in PRODUCTS.values() for band in product.bands]


@pytest.mark.parametrize(
    ("product", "band"), EVERY_BAND, ids=lambda item: getattr(item, "key", None)
)
def test_a_store_holds_the_whole_range_of_every_band(product, band):
    low, high = RANGES.get(band.kind) or CODES[product.key, band.key]
    kept = band.encoding
    if kept.dtype == "float32":
        assert (kept.scale, kept.offset) == (1, 0)
        return
    assert kept.scale <= STEP[band.kind]
    assert (low - kept.offset) / kept.scale >= 1 - 1e-9, "0 is nodata"
    assert (high - kept.offset) / kept.scale <= np.iinfo(kept.dtype).max


@pytest.mark.parametrize(
    ("product", "band"), EVERY_BAND, ids=lambda item: getattr(item, "key", None)
)
def test_values_come_back_from_a_store_as_they_went_in(product, band):
    low, high = RANGES.get(band.kind) or CODES[product.key, band.key]
    layer = LayerSchema(
        name="one",
        product=product.key,
        bands=(BandSchema(key=band.key, kind=band.kind, unit=band.unit),),
        dtype=band.encoding.dtype,
        scale=band.encoding.scale,
        offset=band.encoding.offset,
        gsd_m=band.gsd_m,
        size_px=1,
        license="",
        attribution="",
        citation="",
    )
    values = np.linspace(low, high, 1001)
    if band.kind in ("class", "quality"):
        values = np.arange(low, high + 1)
    put = values.reshape(1, 1, -1)
    back = layer.to_physical(layer.to_raw(put))
    half_a_step = band.encoding.scale / 2 if band.encoding.dtype != "float32" else 0
    assert np.abs(back - put).max() <= half_a_step + 1e-6 * max(abs(low), abs(high))


GOLDEN = {
    # USGS LSDS-1619, 2.75e-5 and -0.2; 0.00341802 and 149.0; fill 0, of QA_PIXEL 1
    ("landsat-c2-l2", "red", "planetary-computer"): (2.75e-5, -0.2, 0),
    ("landsat-c2-l2", "red", "earth-engine"): (2.75e-5, -0.2, 0),
    ("landsat-c2-l2", "thermal", "usgs"): (0.00341802, 149.0, 0),
    ("landsat-c2-l2", "qa_pixel", "earth-search"): (1, 0, 1),
    # Earth Engine catalog, LC08/C02/T1_TOA: reflectance and kelvin, masked
    ("landsat-c2-toa", "red", "earth-engine"): (1, 0, None),
    ("landsat-c2-toa", "thermal", "earth-engine"): (1, 0, None),
    # ESA PSD: quantification value 10000, DN 0 is nodata; the offset of baseline 04.00 is the
    # item's to tell. Earth Engine's harmonized collections have taken it out.
    ("sentinel-2-l2a", "red", "stac"): (1e-4, 0, 0),
    ("sentinel-2-l2a", "red", "earth-engine"): (1e-4, 0, None),
    ("sentinel-2-l1c", "cirrus", "earth-engine"): (1e-4, 0, None),
    # Earth Engine catalog, COPERNICUS/S1_GRD_FLOAT: linear power, masked
    ("sentinel-1-grd", "vv", "earth-engine"): (1, 0, None),
    # The archives' own items: raster:bands of sentinel-1-rtc and of sentinel1-rtc-aws
    ("sentinel-1-rtc", "vv", "planetary-computer"): (1, 0, -32768),
    ("sentinel-1-rtc", "vv", "sentinel1-rtc-aws"): (1, 0, 0),
    # HLS Product User Guide v2.0, section 6.1: 0.0001, fill -9999; 0.01 degrees Celsius; 255
    ("hls-l30", "red", "lpdaac"): (1e-4, 0, -9999),
    ("hls-l30", "thermal1", "lpdaac"): (0.01, 273.15, -9999),
    ("hls-l30", "fmask", "lpdaac"): (1, 0, 255),
    ("hls-s30", "nir_narrow", "planetary-computer"): (1e-4, 0, -9999),
    # Earth Engine catalog, NASA/HLS: no scale is stated and red is shown from 0.01 to 0.18
    ("hls-l30", "red", "earth-engine"): (1, 0, None),
    ("hls-l30", "thermal2", "earth-engine"): (1, 273.15, None),
    ("hls-s30", "red", "earth-engine"): (1, 0, None),
    # NASADEM user guide: void -32768; USGS 1/3 arc second tiles: -999999
    ("nasadem", "elevation", "planetary-computer"): (1, 0, -32768),
    ("usgs-3dep", "elevation", "planetary-computer"): (1, 0, -999999),
    ("cop-dem-glo-30", "elevation", "earth-engine"): (1, 0, None),
    # Brown et al. 2022: codes 0 to 8, probabilities 0 to 1, masked
    ("dynamic-world", "label", "earth-engine"): (1, 0, None),
    ("dynamic-world", "snow_and_ice", "earth-engine"): (1, 0, None),
    # WorldCover product user manual v2.0: 0 is no data
    ("esa-worldcover", "land_cover", "planetary-computer"): (1, 0, 0),
    ("nlcd", "land_cover", "earth-engine"): (1, 0, 0),
    # NASS CDL FAQ: 0 is background; confidence in percent
    ("usda-cdl", "crop_type", "planetary-computer"): (1, 0, 0),
    ("usda-cdl", "confidence", "planetary-computer"): (0.01, 0, 0),
    # GMAO Office Notes 9 and 6: fill 1e15
    ("merra2-aerosol", "dust_aot", "gesdisc"): (1, 0, 1e15),
    ("merra2-aerosol", "dust_aot", "earth-engine"): (1, 0, None),
    ("merra2-single-level", "surface_pressure", "files"): (1, 0, 1e15),
    ("g5nr-aerosol", "dust_mass", "g5nr"): (1, 0, 1e15),
    # Planet product specification: SR scaled by 10000, 0 is blackfill
    ("planetscope-sr", "nir", "files"): (1e-4, 0, 0),
    ("planetscope-sr", "udm2", "files"): (1, 0, None),
}


@pytest.mark.parametrize(
    ("place", "numbers"), GOLDEN.items(), ids=lambda v: "-".join(map(str, v))
)
def test_numbers_mean_what_their_producers_say(place, numbers):
    key, band, dialect = place
    product = find_product(key)
    found = source_scaling(product.band(band), product.archives[dialect])
    assert (found.scale, found.offset, found.nodata) == numbers


@pytest.mark.parametrize(
    ("key", "dialect", "collections"),
    [
        ("landsat-c2-l2", "usgs", ("landsat-c2l2-sr", "landsat-c2l2-st")),
        ("landsat-c2-l2", "earth-engine", ("LANDSAT/LC08/C02/T1_L2", "LANDSAT/LC09/C02/T1_L2")),
        ("sentinel-2-l2a", "earth-engine", ("COPERNICUS/S2_SR_HARMONIZED",)),
        ("sentinel-2-l1c", "earth-engine", ("COPERNICUS/S2_HARMONIZED",)),
        ("sentinel-1-grd", "earth-engine", ("COPERNICUS/S1_GRD_FLOAT",)),
        ("hls-l30", "lpdaac", ("HLSL30_2.0",)),
        ("hls-s30", "planetary-computer", ("hls2-s30",)),
        ("cop-dem-glo-30", "earth-engine", ("COPERNICUS/DEM/GLO30_2024_1",)),
        ("usgs-3dep", "earth-engine", ("USGS/3DEP/10m_collection",)),
        ("usgs-3dep", "planetary-computer", ("3dep-seamless",)),
        ("dynamic-world", "earth-engine", ("GOOGLE/DYNAMICWORLD/V1",)),
        ("usda-cdl", "earth-engine", ("USDA/NASS/CDL",)),
        ("merra2-aerosol", "gesdisc", ("M2T1NXAER",)),
        ("merra2-single-level", "earth-engine", ("NASA/GSFC/MERRA/slv/2",)),
    ],
)
def test_collections_have_the_names_that_archives_give_them(key, dialect, collections):
    assert find_product(key).archives[dialect].collections == collections


def test_single_images_of_earth_engine_are_no_collections():
    images = {
        archive.collections[0]
        for product in PRODUCTS.values()
        for archive in product.archives.values()
        if archive.form == "image"
    }
    assert images == {"USGS/SRTMGL1_003", "NASA/NASADEM_HGT/001"}


@pytest.mark.parametrize(
    ("pattern", "key", "dialect", "bands"),
    [
        (
            "usgs/*005009*_SR_*",
            "landsat-c2-l2",
            "usgs-by-file",
            ("coastal", "swir2", "qa_pixel"),
        ),
        ("usgs/*005009*_ST_*", "landsat-c2-l2", "usgs-by-file", ("thermal", "qa_pixel")),
        ("earth-search/landsat-c2-l2*", "landsat-c2-l2", "earth-search", ()),
        ("earth-search/sentinel-2-l1c*", "sentinel-2-l1c", "earth-search", ()),
        ("earth-search/sentinel-2-l2a*", "sentinel-2-l2a", "earth-search", ()),
        ("earth-search/sentinel-2-c1-l2a*", "sentinel-2-l2a", "earth-search", ()),
        ("earth-search/cop-dem-glo-30*", "cop-dem-glo-30", "earth-search", ()),
        ("planetary-computer/*T59VPD*", "sentinel-2-l2a", "planetary-computer", ()),
        ("others/S1A_20200103_17RMJ*", "sentinel-1-rtc", "sentinel1-rtc-aws", ()),
        ("others/ESA_WorldCover*", "esa-worldcover", "stac", ()),
        ("others/cropland_2021*", "usda-cdl", "stac", ()),
    ],
)
def test_items_of_real_archives_have_assets_of_these_names(
    real_items, pattern, key, dialect, bands
):
    [path] = real_items.glob(pattern)
    archive = find_product(key).archives[dialect]
    named = {archive.assets[band] for band in bands or archive.assets}
    assert named <= set(json.loads(path.read_text())["assets"])


@pytest.mark.parametrize(
    ("path", "key", "dialect"),
    [
        ("sentinel-1-rtc-pc.json", "sentinel-1-rtc", "planetary-computer"),
        ("cop-dem-glo-30-pc.json", "cop-dem-glo-30", "planetary-computer"),
        ("landsat-c2-l2-pc.json", "landsat-c2-l2", "planetary-computer"),
        ("sentinel-2-l2a-pc.json", "sentinel-2-l2a", "planetary-computer"),
    ],
)
def test_pages_of_planetary_computer_have_assets_of_these_names(real_items, path, key, dialect):
    page = json.loads((real_items / "planetary-computer" / path).read_text())
    archive = find_product(key).archives[dialect]
    named = [set(archive.assets.values()) & set(item["assets"]) for item in page]
    assert max(named, key=len) == set(archive.assets.values())
    assert {item["collection"] for item in page} == set(archive.collections)


def test_raw_radar_of_the_same_name_is_no_archive_of_terrain_corrected_radar():
    """Amplitude in the sensor's geometry, as Earth Search and Planetary Computer list it."""
    assert not {"earth-search", "planetary-computer"} & set(
        find_product("sentinel-1-grd").archives
    )


def test_products_without_a_stac_form_are_not_searched_through_stac():
    without = {p.key for p in PRODUCTS.values() if "stac" not in p.archives}
    assert without == {
        "landsat-c2-toa",
        "dynamic-world",
        "merra2-aerosol",
        "merra2-single-level",
        "g5nr-aerosol",
        "planetscope-sr",
    }
    for key in without - {"planetscope-sr", "g5nr-aerosol"}:
        with pytest.raises(RecipeError, match=r"is not in archive .*; it is in .*earth-engine"):
            find_product(key).archive("https://example.com")


def test_optical_products_share_the_keys_of_six_bands():
    six = ("blue", "green", "red", "nir", "swir1", "swir2")
    for key in (
        "landsat-c2-l2",
        "landsat-c2-toa",
        "sentinel-2-l2a",
        "sentinel-2-l1c",
        "hls-l30",
        "hls-s30",
    ):
        waves = [find_product(key).band(b).wavelength_nm for b in six]
        assert all(shorter < longer for shorter, longer in pairwise(waves))


def test_when_scenes_count_depends_on_what_they_are():
    when: dict[str, set[str]] = {}
    for product in PRODUCTS.values():
        when.setdefault(product.when, set()).add(product.key)
    assert when["hour"] == {"merra2-aerosol", "merra2-single-level", "g5nr-aerosol"}
    assert when["year"] == {"usda-cdl", "nlcd", "esa-worldcover"}
    assert when["static"] == {
        "cop-dem-glo-30",
        "usgs-3dep",
        "nasadem",
        "dem-srtm",
        "worldcereal-labels",
    }


def test_an_archive_without_an_entry_of_its_own_gets_the_generic_names():
    product = find_product("sentinel-2-l2a")
    assert product.archive("https://example.com").assets["red"] == "B04"
    assert product.archive("earth-search").assets["red"] == "red"
