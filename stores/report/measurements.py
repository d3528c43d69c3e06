"""Sections that show what was measured: histograms per band and sensor, and statistics."""

from collections.abc import Mapping, Sequence

import numpy as np

from stores.report.charts import Histogram, bar_rows, color_of, histogram_chart, trimmed
from stores.report.markup import Html, element, join
from stores.report.page import Column, count, grid, legend, table
from stores.report.pictures import class_color
from stores.statistics import BandStatistics, TaskStatistics

_TAIL = 0.001
_MOST_BINS = 60
_MOST_CLASSES = 24


def histograms(statistics: TaskStatistics, layers: Sequence[str]) -> Html:
    """Return one chart per band, the layers that measure it over each other.

    Args:
        statistics: Of the train samples.
        layers: Layers in the order of the store, which decides their colors.
    """
    colors = {name: color_of(order) for order, name in enumerate(layers)}
    charts = [
        _chart(key, kind, found, colors)
        for (key, kind), found in _by_quantity(statistics, layers).items()
    ]
    if not charts:
        return element("p", "No train sample has a usable pixel: there is nothing to draw.")
    keys = legend([(colors[n], n) for n in layers if n in statistics])
    said = (
        f"Each curve is the share of that layer's usable train pixels per bin. The outermost "
        f"bins hold what lies beyond them, at most {_TAIL:.1%} at either end."
    )
    return join(keys, element("p", said, class_="note"), grid("three", *charts))


def _by_quantity(
    statistics: TaskStatistics, layers: Sequence[str]
) -> dict[tuple[str, str], dict[str, BandStatistics]]:
    """(Band, kind) -> layer -> statistics: what may be drawn over one axis."""
    found: dict[tuple[str, str], dict[str, BandStatistics]] = {}
    for name in layers:
        bands = statistics[name].bands if name in statistics else ()
        for band in (b for b in bands if b.count):
            found.setdefault((band.key, band.kind), {})[name] = band
    return found


def _chart(
    key: str, kind: str, found: Mapping[str, BandStatistics], colors: Mapping[str, str]
) -> Html:
    if kind == "class":
        return _classes(key, next(iter(found.values())))
    series = [
        Histogram(name, colors[name], band.bins.edges, np.array(band.histogram))
        for name, band in found.items()
    ]
    first = next(iter(found.values()))
    unit = "reflectance" if kind == "reflectance" else f"{kind}, {first.bins.unit}"
    title = element("h3", key, element("span", f" {unit}", class_="quiet"))
    chart = histogram_chart(trimmed(series, _TAIL, _MOST_BINS), axis=f"{key}, {unit}")
    return element("figure", title, chart)


def _classes(key: str, band: BandStatistics) -> Html:
    """Shares of the class codes; the last bin gathers codes too large for a bin."""
    sizes = [(n, code) for code, n in enumerate(band.histogram) if n]
    top = sorted(sizes, reverse=True)[:_MOST_CLASSES]
    last = len(band.histogram) - 1
    rows = bar_rows(
        [
            (f"{code} and above" if code == last else str(code), n, f"rgb{class_color(code)}")
            for n, code in top
        ]
    )
    title = element("h3", key, element("span", " classes", class_="quiet"))
    columns = [Column("code", "n"), Column("pixels", "n"), Column("")]
    return element("figure", title, table(columns, rows))


def statistics_table(statistics: TaskStatistics, layers: Sequence[str]) -> Html:
    """Return mean, standard deviation and extremes per band, in physical units."""
    columns = [Column("layer"), Column("band"), Column("unit")]
    columns += [Column(t, "n") for t in ("mean", "std", "min", "max", "usable pixels")]
    rows: list[tuple[object, ...]] = []
    for name in (n for n in layers if n in statistics):
        for band in statistics[name].bands:
            of_class = band.kind in ("class", "quality")
            middle = (None, None) if of_class else (band.mean, band.std)
            numbers = [_number(v) for v in (*middle, band.minimum, band.maximum)]
            unit = band.kind if band.unit == "1" else band.unit
            rows.append((name, band.key, unit, *numbers, count(band.count)))
    return table(columns, rows)


def _number(value: float | None) -> str:
    """Four decimals for fractions, fewer for larger numbers, none for whole ones."""
    if value is None or not np.isfinite(value):
        return "–"
    size = abs(value)
    if value == round(value) and size >= 1:
        return f"{value:.0f}"
    if 0 < size < 1e-3:
        return f"{value:.3g}"
    return f"{value:.4f}" if size < 10 else f"{value:.2f}" if size < 1000 else f"{value:.0f}"
