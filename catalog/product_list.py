"""The product table for readers: as facts for programs, and as tables for a terminal."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from catalog.product import NAMED, Archive, Band, Encoding, Product, Scaling
from catalog.products import PRODUCTS, find_product


def product_facts(only: str | None = None) -> list[dict[str, Any]]:
    """Return what is known of every product, or of one of them, JSON-ready.

    Raises:
        RecipeError: If there is no product `only`.
    """
    return [_facts(product) for product in _chosen(only)]


def describe_products(only: str | None = None) -> RenderableType:
    """Return every product as a row of a table, or all that is known of one of them.

    Raises:
        RecipeError: If there is no product `only`.
    """
    return _table(PRODUCTS.values()) if only is None else _detail(find_product(only))


def gsd_words(product: Product) -> str:
    """Return the finest and the coarsest ground sampling distance, `'10 to 60'` metres."""
    steps = sorted({band.gsd_m for band in product.bands})
    return f"{steps[0]:g}" if len(steps) == 1 else f"{steps[0]:g} to {steps[-1]:g}"


def scaling_words(scaling: Scaling | Encoding) -> str:
    """Return what raw values mean, `'raw × 0.0001 − 0.1'`."""
    factor = f"raw × {scaling.scale:g}" if scaling.scale != 1 else "raw"
    if scaling.offset == 0:
        return "as it is" if scaling.scale == 1 else factor
    return f"{factor} {'+' if scaling.offset > 0 else '−'} {abs(scaling.offset):g}"


def source_words(scaling: Scaling) -> str:
    """Return what an archive's raw values mean, and which of them is no data."""
    nodata = "no nodata value" if scaling.nodata is None else f"nodata {scaling.nodata:g}"
    return f"{scaling_words(scaling)}, {nodata}"


def source_scaling(band: Band, archive: Archive | None = None) -> Scaling:
    """Return what a band's raw values mean, in an archive or where nothing else is said."""
    own = Scaling(scale=band.source_scale, offset=band.source_offset, nodata=band.source_nodata)
    return own if archive is None else archive.scaling.get(band.kind, own)


def names_words(archive: Archive) -> str:
    """Return an archive's names of bands; a name that is the key itself stands alone."""
    return " ".join(
        key if key == name else f"{key}={name}" for key, name in archive.assets.items()
    )


def like_bands(product: Product) -> list[tuple[str, Band]]:
    """Return runs of bands with the same numbers, in words, each with its first band."""
    runs = groupby(product.bands, lambda band: (source_scaling(band), band.encoding))
    found = []
    for _, run in runs:
        bands = list(run)
        keys = [band.key for band in bands]
        words = f"{keys[0]} to {keys[-1]}" if len(keys) > 2 else ", ".join(keys)
        found.append((words, bands[0]))
    return found


SPOKEN = NAMED | {"stac"}
"""Dialects that a recipe can ask; others are the ways of single items."""


def like_archives(product: Product) -> list[dict[str, Archive]]:
    """Return the archives by dialect, those that name and scale all bands alike together."""
    groups: list[dict[str, Archive]] = []
    for dialect, archive in product.archives.items():
        for group in groups:
            first = next(iter(group.values()))
            if (first.assets, first.scaling) == (archive.assets, archive.scaling):
                group[dialect] = archive
                break
        else:
            groups.append({dialect: archive})
    return groups


def _chosen(only: str | None) -> Iterable[Product]:
    return PRODUCTS.values() if only is None else (find_product(only),)


def _facts(product: Product) -> dict[str, Any]:
    return {
        "key": product.key,
        "title": product.title,
        "when": product.when,
        "quality": {"rule": product.quality.rule, "band": product.quality.band},
        "bands": [_band_facts(band) for band in product.bands],
        "archives": {name: _archive_facts(a) for name, a in product.archives.items()},
        "license": product.license,
        "attribution": product.attribution,
        "citation": product.citation,
    }


def _band_facts(band: Band) -> dict[str, Any]:
    kept = band.encoding
    return {
        "key": band.key,
        "kind": band.kind,
        "unit": band.unit,
        "gsd_m": band.gsd_m,
        "wavelength_nm": band.wavelength_nm,
        "source": _scaling_facts(source_scaling(band)),
        "store": {"dtype": kept.dtype, "scale": kept.scale, "offset": kept.offset},
    }


def _archive_facts(archive: Archive) -> dict[str, Any]:
    return {
        "collections": list(archive.collections),
        "assets": dict(archive.assets),
        "access": archive.access,
        "form": archive.form,
        "scaling": {kind: _scaling_facts(s) for kind, s in archive.scaling.items()},
    }


def _scaling_facts(scaling: Scaling) -> dict[str, float | None]:
    return {"scale": scaling.scale, "offset": scaling.offset, "nodata": scaling.nodata}


def _table(products: Iterable[Product]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("product", no_wrap=True)
    table.add_column("gsd m", no_wrap=True)
    table.add_column("bands", overflow="fold", ratio=1)
    table.add_column("archives", no_wrap=True)
    for product in products:
        table.add_row(
            Text(product.key, style="bold"),
            gsd_words(product).replace(" to ", "-"),
            Group(Text(product.title, style="dim"), *_kinds(product)),
            Text("\n".join(name for name in product.archives if name in SPOKEN)),
        )
        table.add_row()
    return table


def _kinds(product: Product) -> list[Text]:
    """One line per quantity: its unit, and the bands that measure it."""
    lines = []
    for (kind, unit), bands in groupby(product.bands, lambda band: (band.kind, band.unit)):
        measured = kind if unit in ("1", kind) else f"{kind}, {unit}"
        lines.append(
            Text.assemble((f"{measured}: ", "dim"), " ".join(band.key for band in bands))
        )
    return lines


def _detail(product: Product) -> Group:
    quality = product.quality
    return Group(
        Text(product.key, style="bold"),
        Text(product.title),
        Text(""),
        _bands(product.bands),
        Text(""),
        _numbers(product),
        Text(""),
        *(line for group in like_archives(product) for line in _archives(group)),
        _pairs(
            {
                "when": product.when,
                "usable": ", by ".join(filter(None, (quality.rule, quality.band))),
                "licence": product.license,
                "attribution": product.attribution,
                "citation": product.citation,
            }
        ),
    )


def _bands(bands: Iterable[Band]) -> Table:
    table = _plain_table("band", "kind", "unit")
    table.add_column("gsd m", justify="right", no_wrap=True)
    table.add_column("nm", justify="right", no_wrap=True)
    for band in bands:
        nm = "" if band.wavelength_nm is None else f"{band.wavelength_nm:g}"
        table.add_row(band.key, band.kind, band.unit, f"{band.gsd_m:g}", nm)
    return table


def _numbers(product: Product) -> Table:
    table = _plain_table("numbers", "in files", "in stores")
    for words, band in like_bands(product):
        kept = f"{band.encoding.dtype}, {scaling_words(band.encoding)}"
        table.add_row(words, source_words(source_scaling(band)), kept)
    return table


def _plain_table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _archives(group: Mapping[str, Archive]) -> list[RenderableType]:
    lines: list[RenderableType] = []
    for dialect, archive in group.items():
        access = "" if archive.access in ("open", dialect) else f", {archive.access}"
        names = ", ".join(archive.collections)
        lines.append(Text.assemble((dialect, "bold"), f"{access}: {names}"))
    first = next(iter(group.values()))
    said = [Text(names_words(first))]
    said += [
        Text(f"{kind}: {source_words(scaling)}", style="dim")
        for kind, scaling in first.scaling.items()
    ]
    return [*lines, Padding(Group(*said), (0, 0, 1, 2))]


def _pairs(rows: Mapping[str, str]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, value)
    return table
