"""A chart of curves on a logarithmic scale, as inline SVG in the colors of the page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stores.report.charts import nice_ticks
from stores.report.markup import Html, element

_WIDTH, _HEIGHT = 560.0, 260.0
_LEFT, _RIGHT, _TOP, _BASE = 44.0, 8.0, 8.0, 224.0


@dataclass(frozen=True, slots=True)
class Curve:
    """Values over a common axis; values at or below zero are left out."""

    name: str
    color: str
    """Any CSS color."""
    values: npt.NDArray[np.floating[Any]]
    dashes: str | None = None
    """Lengths of dashes and gaps, as in SVG; None draws a solid line."""


@dataclass(frozen=True, slots=True)
class _Scale:
    """From values to units of the drawing."""

    right: float
    """Largest x."""
    low: float
    """Decimal logarithm of the least y."""
    high: float

    def x(self, value: float) -> float:
        return _LEFT + value / self.right * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        share = (math.log10(value) - self.low) / max(self.high - self.low, 1e-6)
        return _BASE - share * (_BASE - _TOP)


def log_chart(
    across: npt.NDArray[np.floating[Any]],
    curves: Sequence[Curve],
    *,
    axis: str,
    marks: Sequence[tuple[float, str]] = (),
) -> Html:
    """Return curves over a linear x axis from zero, on a logarithmic y axis.

    Args:
        across: x of each value, rising.
        curves: What is drawn, each as long as `across`.
        axis: What x measures, with its unit.
        marks: Places on the x axis with a word for each.
    """
    positive = np.concatenate([c.values[c.values > 0] for c in curves])
    if not positive.size:
        return element("p", "There is nothing above zero to draw.")
    low, high = math.log10(positive.min()), math.log10(positive.max())
    scale = _Scale(float(across[-1]), low, high)
    return element(
        "svg",
        *_powers_of_ten(scale),
        *_marks(scale, marks),
        *(_path(curve, across, scale) for curve in curves),
        *_x_labels(scale, axis),
        viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}",
        role="img",
        aria_label=axis,
    )


def _powers_of_ten(scale: _Scale) -> list[Html]:
    shapes = []
    for power in range(math.ceil(scale.low), math.floor(scale.high) + 1):
        y = scale.y(10.0**power)
        line = element("line", class_="axis", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y)
        label = element("text", f"1e{power}", x=_LEFT - 6.0, y=y + 4.0, text_anchor="end")
        shapes += [line, label]
    return shapes


def _marks(scale: _Scale, marks: Sequence[tuple[float, str]]) -> list[Html]:
    shapes = []
    for place, word in marks:
        x = scale.x(place)
        line = element("line", class_="axis", x1=x, x2=x, y1=_TOP, y2=_BASE)
        shapes += [line, element("text", word, x=x + 5.0, y=_TOP + 10.0)]
    return shapes


def _path(curve: Curve, across: npt.NDArray[np.floating[Any]], scale: _Scale) -> Html:
    points = [
        f"{scale.x(float(x)):.1f} {scale.y(float(y)):.1f}"
        for x, y in zip(across, curve.values, strict=True)
        if y > 0
    ]
    return element(
        "path",
        element("title", curve.name),
        d="M" + "L".join(points) if points else "",
        fill="none",
        stroke=curve.color,
        stroke_width="1.8",
        stroke_dasharray=curve.dashes,
    )


def _x_labels(scale: _Scale, axis: str) -> list[Html]:
    ticks = [
        element("text", f"{t:g}", x=scale.x(t), y=_BASE + 15.0, text_anchor="middle")
        for t in nice_ticks(0.0, scale.right, 5)
    ]
    title = element("text", axis, x=_WIDTH - _RIGHT, y=_BASE + 31.0, text_anchor="end")
    return [*ticks, title]
