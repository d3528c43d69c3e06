"""Describe the product table for readers: `docs/products.md` is what this module writes."""

from collections.abc import Iterable, Mapping

from catalog.product import Access, Band, Product
from catalog.product_list import (
    gsd_words,
    like_archives,
    like_bands,
    names_words,
    scaling_words,
    source_scaling,
    source_words,
)
from catalog.products import PRODUCTS
from pipeline.validity import RULES

_HEAD = """\
# Products

What a layer of a [recipe](recipe.md) may hold: a product and some of its bands, from one of
its archives. The same is told by `geoloupe products`, and for one product by
`geoloupe products KEY`. Where and with which credentials archives are read is said in
[archives.md](archives.md).

A band is a key (`swir1`), whatever an archive calls it. Values are physical: reflectance from
0 to 1, kelvin, linear power, metres. "In files" says what an archive's numbers mean where an
item does not say it of itself; "in stores" says how a patch keeps them, with 0 (NaN in float32)
for no data. Bands that are kept alike may share a layer.

Archives: `stac` stands for any STAC API, and for a local archive, that has no row of its own;
`files` for a folder of files as the producer delivers them. A name with `#` is a band of a file
with several.

This page is generated from the program by `python -m pipeline.product_doc > docs/products.md`.
"""
_WHEN: Mapping[str, str] = {
    "window": "the days around the anchor that the recipe allows",
    "hour": "within half an hour of the anchor",
    "static": "any time: it is one for all dates",
    "year": "the year of the anchor",
}
_ACCESS: Mapping[Access, str] = {
    "open": "open",
    "planetary-computer": "signed addresses",
    "earthdata": "Earthdata login",
    "requester-pays": "AWS, requester pays",
    "earth-engine": "Earth Engine requests",
}


def describe_product_table() -> str:
    """Return the reference of all products in Markdown."""
    return "\n".join([_HEAD, _overview(), *(_describe(p) for p in PRODUCTS.values())])


def _overview() -> str:
    rows = [
        (f"[`{p.key}`](#{p.key})", p.title, gsd_words(p), ", ".join(p.archives))
        for p in PRODUCTS.values()
    ]
    return "\n".join(_table(("product", "what it is", "gsd, m", "archives"), rows))


def _describe(product: Product) -> str:
    parts = [
        [f"## {product.key}"],
        [f"{product.title}."],
        _table(("band", "kind", "unit", "gsd, m", "center, nm"), map(_band, product.bands)),
        _table(("numbers of", "in files", "in stores"), _numbers(product)),
        _table(("archive", "holds it as", "read by"), _archives(product)),
        _names(product),
        _terms(product),
    ]
    return "\n" + "\n\n".join("\n".join(lines) for lines in parts)


def _band(band: Band) -> tuple[str, ...]:
    nm = "" if band.wavelength_nm is None else f"{band.wavelength_nm:g}"
    return (f"`{band.key}`", band.kind, band.unit, f"{band.gsd_m:g}", nm)


def _numbers(product: Product) -> list[tuple[str, ...]]:
    return [
        (
            words,
            source_words(source_scaling(band)),
            f"{band.encoding.dtype}, {scaling_words(band.encoding)}",
        )
        for words, band in like_bands(product)
    ]


def _archives(product: Product) -> list[tuple[str, ...]]:
    return [
        (
            f"`{dialect}`",
            ", ".join(f"`{name}`" for name in archive.collections),
            _ACCESS[archive.access],
        )
        for dialect, archive in product.archives.items()
    ]


def _names(product: Product) -> list[str]:
    """The names that archives give to bands, and numbers that are not the product's own."""
    lines = []
    for group in like_archives(product):
        first = next(iter(group.values()))
        numbers = "".join(
            f"; {kind}: {source_words(scaling)}" for kind, scaling in first.scaling.items()
        )
        lines.append(f"- Names in {', '.join(group)}: `{names_words(first)}`{numbers}.")
    return lines


def _terms(product: Product) -> list[str]:
    rule = (RULES[product.quality.rule].__doc__ or "").partition("\n")[0]
    by = f" Said by `{product.quality.band}`." if product.quality.band else ""
    return [
        f"- Matched in time: {_WHEN[product.when]}.",
        f"- {rule}{by}",
        f"- Licence: {product.license}.",
        f"- Attribution: {product.attribution}.",
        f"- Source of the numbers: {product.citation}.",
    ]


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = (head, ("---",) * len(head), *rows)
    return ["| " + " | ".join(cells) + " |" for cells in lines]


if __name__ == "__main__":
    import sys

    sys.stdout.write(describe_product_table() + "\n")
