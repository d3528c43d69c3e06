import pytest

from catalog.errors import RecipeError
from catalog.products import PRODUCTS, find_product


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


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=lambda p: p.key)
def test_every_archive_names_every_band_of_the_product_once(product):
    keys = [band.key for band in product.bands]
    assert len(set(keys)) == len(keys)
    for archive in product.archives.values():
        assert set(archive.assets) == set(keys)
        assert len(set(archive.assets.values())) == len(keys)


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=lambda p: p.key)
def test_the_quality_band_is_a_band_of_the_product_and_is_no_reflectance(product):
    if product.quality.rule == "nodata-only":
        assert product.quality.band is None
    else:
        assert product.band(product.quality.band).kind == "quality"


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=lambda p: p.key)
def test_integers_of_a_store_hold_the_physical_range_of_their_bands(product):
    wanted = {"reflectance": (0.0, 1.0), "temperature": (220.0, 340.0)}
    for band in product.bands:
        if band.kind in wanted and band.encoding.dtype == "uint16":
            low, high = (
                (value - band.encoding.offset) / band.encoding.scale
                for value in wanted[band.kind]
            )
            assert 1 <= low < high <= 65535


def test_both_optical_products_share_the_keys_of_six_bands():
    six = ("blue", "green", "red", "nir", "swir1", "swir2")
    for key in ("landsat-c2-l2", "sentinel-2-l2a"):
        waves = [find_product(key).band(b).wavelength_nm for b in six]
        assert waves == sorted(waves)


def test_an_archive_without_an_entry_of_its_own_gets_the_generic_names():
    product = find_product("sentinel-2-l2a")
    assert product.archive("https://example.com").assets["red"] == "B04"
    assert product.archive("earth-search").assets["red"] == "red"
