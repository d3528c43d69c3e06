"""`docs/products.md` is the product table, in full."""

import re
from pathlib import Path

from catalog.products import PRODUCTS
from pipeline.product_doc import describe_product_table

PAGE = Path(__file__).parents[2] / "docs" / "products.md"


def test_the_page_is_what_the_program_knows():
    said = describe_product_table() + "\n"
    assert PAGE.read_text() == said, "run: python -m pipeline.product_doc > docs/products.md"


def test_every_product_has_a_section_with_its_bands_and_archives():
    sections = dict(
        re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", describe_product_table(), re.M | re.S)
    )
    assert list(sections) == list(PRODUCTS)
    for key, product in PRODUCTS.items():
        bands = [band.key for band in product.bands]
        firsts = re.findall(r"^\| `([^`]+)` \|", sections[key], re.M)
        assert firsts == [*bands, *product.archives]
        for archive in product.archives.values():
            assert all(f"`{name}`" in sections[key] for name in archive.collections)
        assert product.attribution in sections[key]


def test_rows_have_as_many_cells_as_their_table_and_links_lead_to_sections():
    page = describe_product_table()
    for table in re.findall(r"(?:^\|.*\n?)+", page, re.M):
        assert len({line.count("|") for line in table.splitlines()}) == 1
    headings = set(re.findall(r"^## (\S+)$", page, re.M))
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) == headings
