"""Small charts as inline SVG: they take the colors of the page, light or dark."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from stores.report.markup import Html, element
from stores.report.page import count

_LEFT, _RIGHT, _TOP, _BOTTOM = 6.0, 6.0, 17.0, 22.0


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts in equal bins, to be drawn with others in one chart."""

    name: str
    color: str
    """Any CSS color."""
    edges: npt.NDArray[np.floating[Any]]
    """`bins + 1` rising values."""
    counts: npt.NDArray[np.integer[Any]]


def color_of(order: int) -> str:
    """Return the color of the `order`-th layer of a store."""
    return f"var(--c{order % 6})"


def nice_ticks(low: float, high: float, about: int) -> list[float]:
    """Return round numbers from `low` to `high`, roughly `about` of them.

    Example:
        >>> nice_ticks(0.0, 1.0, 5)
        [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    if not high > low:
        return [low]
    rough = (high - low) / max(about, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    digits = max(0, 2 - math.floor(math.log10(step)))
    return [round(i * step, digits) for i in range(first, last + 1)]


def trimmed(series: Sequence[Histogram], tail: float, most_bins: int) -> list[Histogram]:
    """Return the histograms over the span that holds their data, in fewer bins.

    Args:
        series: Histograms with the same edges.
        tail: Share of each histogram's counts that may lie outside at either end; it is
            added to the outermost bins, so that no count is lost.
        most_bins: Neighboring bins are merged until no more than this are left.
    """
    spans = [_span(s.counts, tail) for s in series if s.counts.sum()]
    if not spans:
        return list(series)
    first, last = min(a for a, _ in spans), max(b for _, b in spans)
    merge = -(-(last - first) // most_bins)
    starts = np.arange(first, last, merge)
    bins = len(series[0].counts)
    edges = series[0].edges[np.append(starts, min(starts[-1] + merge, bins))]
    return [Histogram(s.name, s.color, edges, _gathered(s.counts, starts)) for s in series]


def _span(counts: npt.NDArray[np.integer[Any]], tail: float) -> tuple[int, int]:
    """First bin and end bin of the counts between the tails."""
    running = np.cumsum(counts) / counts.sum()
    first = int(np.searchsorted(running, tail, side="right"))
    return first, int(np.searchsorted(running, 1.0 - tail, side="left")) + 1


def _gathered(
    counts: npt.NDArray[np.integer[Any]], starts: npt.NDArray[np.integer[Any]]
) -> npt.NDArray[np.integer[Any]]:
    lower = counts.copy()
    lower[starts[0]] += counts[: starts[0]].sum()
    return np.add.reduceat(lower, starts)


def histogram_chart(
    series: Sequence[Histogram], *, axis: str, width: float = 340.0, height: float = 132.0
) -> Html:
    """Return histograms over one axis, each as the share of its own counts.

    Args:
        series: Histograms with the same edges.
        axis: What the x axis measures, with its unit.
        width: Units of the drawing, which scales with the page.
        height: Likewise.
    """
    low, high = float(series[0].edges[0]), float(series[0].edges[-1])
    shares = [s.counts / max(int(s.counts.sum()), 1) for s in series]
    top = max(float(s.max(initial=0.0)) for s in shares) or 1.0
    base = height - _BOTTOM

    def across(value: float) -> float:
        return _LEFT + (value - low) / (high - low) * (width - _LEFT - _RIGHT)

    shapes = [
        _steps([across(float(e)) for e in s.edges], base - share / top * (base - _TOP), base, s)
        for s, share in zip(series, shares, strict=True)
    ]
    return _svg(
        width,
        height,
        *shapes,
        element("line", class_="axis", x1=_LEFT, x2=width - _RIGHT, y1=base, y2=base),
        *_tick_labels([(across(t), f"{t:g}") for t in nice_ticks(low, high, 5)], base),
        element("text", f"{top:.0%}", x=_LEFT, y=_TOP - 6.0),
        label=axis,
    )


def _steps(
    xs: Sequence[float], ys: npt.NDArray[np.floating[Any]], base: float, series: Histogram
) -> Html:
    corners = [f"M{xs[0]:.1f} {base:.1f}"]
    for y, right in zip(ys, xs[1:], strict=True):
        corners.append(f"V{y:.1f}H{right:.1f}")
    total = int(series.counts.sum())
    return element(
        "path",
        element("title", f"{series.name}: {count(total)} in all"),
        d="".join(corners) + f"V{base:.1f}",
        fill=series.color,
        fill_opacity="0.16",
        stroke=series.color,
        stroke_width="1.3",
        data_total=total,
    )


def _tick_labels(ticks: Sequence[tuple[float, str]], base: float) -> list[Html]:
    return [
        element("text", name, x=x, y=base + 15.0, text_anchor="middle") for x, name in ticks
    ]


def _svg(width: float, height: float, *children: Html, label: str) -> Html:
    return element(
        "svg", *children, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=label
    )


def bar_rows(rows: Sequence[tuple[str, int, str]]) -> list[tuple[object, ...]]:
    """Return table rows (name, number, bar) from (name, number, CSS color)."""
    top = max((number for _, number, _ in rows), default=0) or 1
    return [
        (
            name,
            count(number),
            element(
                "td",
                element(
                    "span",
                    class_="bar",
                    style=f"width:{100 * number / top:.1f}%;background:{color}",
                ),
                class_="barcell",
            ),
        )
        for name, number, color in rows
    ]


def split_bar(parts: Sequence[tuple[str, int, str]]) -> Html:
    """Return one bar cut in proportion to (name, number, CSS color), labeled where it fits."""
    width, height = 1120.0, 34.0
    total = sum(number for _, number, _ in parts) or 1
    shapes: list[Html] = []
    at = 0.0
    for name, number, color in parts:
        wide = number / total * width
        title = element("title", f"{name}: {count(number)}")
        shapes.append(
            element("rect", title, x=at, y=0, width=max(wide - 2.0, 0.5), height=16, fill=color)
        )
        if wide > 70.0:
            shapes.append(element("text", f"{name} {count(number)}", x=at, y=31.0))
        at += wide
    return _svg(width, height, *shapes, label="sizes of the splits")


def timeline(
    lanes: Mapping[str, tuple[Sequence[datetime], str]], *, width: float = 1120.0
) -> Html:
    """Return one lane of marks per layer over a common axis of dates.

    Args:
        lanes: Lane name -> (times, CSS color). Times that share a pixel are drawn once.
        width: Units of the drawing.
    """
    stamps = {
        name: np.array([t.timestamp() for t in times]) for name, (times, _) in lanes.items()
    }
    every = np.concatenate(list(stamps.values()))
    low, high = float(every.min()), float(every.max())
    low, high = (low - 43200.0, high + 43200.0) if high == low else (low, high)
    left = 130.0
    base = 22.0 * len(lanes) + 4.0

    def across(stamp: float) -> float:
        return left + 8.0 + (stamp - low) / (high - low) * (width - left - 16.0)

    shapes: list[Html] = []
    for order, (name, (_, color)) in enumerate(lanes.items()):
        middle = 22.0 * order + 12.0
        shapes.append(element("text", name, class_="strong", x=0, y=middle + 4.0))
        shapes.append(element("line", class_="axis", x1=left, x2=width, y1=middle, y2=middle))
        marks = sorted({round(across(float(s)), 1) for s in stamps[name]})
        strokes = "".join(f"M{x:.1f} {middle - 7:.1f}v14" for x in marks)
        shapes.append(
            element("path", d=strokes, stroke=color, stroke_width="2", stroke_opacity="0.8")
        )
    ticks = [(across(stamp), name) for stamp, name in _date_ticks(low, high)]
    shapes += _tick_labels(ticks, base)
    return _svg(width, base + 22.0, *shapes, label="times of the scenes of each layer")


def _date_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """First days of months (or of years) between two instants, at most a dozen of them."""
    first, last = datetime.fromtimestamp(low, UTC), datetime.fromtimestamp(high, UTC)
    months = (last.year - first.year) * 12 + last.month - first.month
    if months < 2:
        return [(s, f"{datetime.fromtimestamp(s, UTC):%Y-%m-%d}") for s in (low, high)]
    step = next(s for s in (1, 2, 3, 6, 12, 24, 60, 120, 1200) if months / s <= 12)
    start = first.year * 12 + first.month
    start += -(start - 1) % step
    ticks = []
    for month in range(start, last.year * 12 + last.month + 1, step):
        day = datetime((month - 1) // 12, (month - 1) % 12 + 1, 1, tzinfo=UTC)
        if low <= day.timestamp() <= high:
            ticks.append((day.timestamp(), f"{day:%Y-%m}"))
    return ticks
