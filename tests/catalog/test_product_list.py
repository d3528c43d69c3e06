"""The product table as a reader sees it."""

import json

import pytest
from rich.console import Console

from catalog.errors import RecipeError
from catalog.product import Archive, Product, Scaling
from catalog.product_list import (
    SPOKEN,
    describe_products,
    like_archives,
    product_facts,
    source_scaling,
)
from catalog.products import PRODUCTS, find_product

EVERY_PRODUCT = pytest.mark.parametrize("product", PRODUCTS.values(), ids=lambda p: p.key)


def test_archives_that_name_and_scale_alike_stand_together():
    groups = [list(group) for group in like_archives(find_product("hls-l30"))]
    assert groups == [["stac", "lpdaac", "planetary-computer"], ["earth-engine"]]


def test_an_archive_says_what_its_numbers_mean_where_they_differ():
    band = find_product("hls-l30").band("red")
    other = Archive(collections=("c",), assets={}, scaling={"reflectance": Scaling(scale=0.5)})
    assert source_scaling(band) == Scaling(scale=1e-4, nodata=-9999.0)
    assert source_scaling(band, other) == Scaling(scale=0.5)


def printed(only: str | None) -> str:
    console = Console(width=80, force_terminal=False)
    with console.capture() as shown:
        console.print(describe_products(only))
    return shown.get()


def test_the_list_names_every_product_band_and_archive_on_eighty_columns():
    shown = printed(None)
    assert max(map(len, shown.splitlines())) <= 80
    words = set(shown.replace(":", " ").split())
    for product in PRODUCTS.values():
        assert {product.key, *(SPOKEN & set(product.archives))} <= words
        assert {band.key for band in product.bands} <= words


@EVERY_PRODUCT
def test_the_detail_of_a_product_tells_all_there_is(product: Product):
    shown = printed(product.key)
    assert max(map(len, shown.splitlines())) <= 80
    together = "".join(shown.split())
    for archive in product.archives.values():
        assert all(
            name in together for name in (*archive.collections, *archive.assets.values())
        )
    for text in (product.title, product.license, product.attribution, product.citation):
        assert "".join(text.split()) in together


def test_facts_are_json_and_say_the_same():
    facts = json.loads(json.dumps(product_facts(), allow_nan=False))
    assert [fact["key"] for fact in facts] == list(PRODUCTS)
    [dust] = product_facts("merra2-aerosol")
    assert dust["when"] == "hour"
    assert dust["bands"][0] == {
        "key": "dust_aot",
        "kind": "atmosphere",
        "unit": "1",
        "gsd_m": 55_000,
        "wavelength_nm": None,
        "source": {"scale": 1.0, "offset": 0.0, "nodata": 1e15},
        "store": {"dtype": "float32", "scale": 1.0, "offset": 0.0},
    }
    assert dust["archives"]["gesdisc"]["collections"] == ["M2T1NXAER"]
    assert dust["archives"]["earth-engine"]["scaling"]["atmosphere"]["nodata"] is None


def test_a_product_that_is_not_there_cannot_be_described():
    for tell in (describe_products, product_facts):
        with pytest.raises(RecipeError, match="did you mean 'nlcd'"):
            tell("nlcf")
