"""Scores as a table and in words: what wins, and what does not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite

from stores.report.markup import Html, element
from stores.report.page import Column, table
from training.evaluate import Method

METHOD_TITLES: Mapping[Method, str] = {
    "bicubic": "bicubic",
    "adjusted_bicubic": "bicubic, adjusted per band",
    "model": "model, posterior mean (one step)",
    "model_sample": "model, one sample",
    "model_ensemble": "model, mean of samples",
}
"""Method -> how the table calls it, in the table's order."""
MODEL: Method = "model"
RIVALS: tuple[Method, ...] = ("bicubic", "adjusted_bicubic")

Scores = Mapping[Method, Mapping[str, float | None]]
"""Method -> metric -> value; None where there is none."""


@dataclass(frozen=True, slots=True)
class Metric:
    """How a score is written, and which way is better."""

    title: str
    better: str
    """`'up'`, `'down'`, or `'one'` for nearest to one; `''` if it has no direction."""
    digits: int

    @property
    def heading(self) -> str:
        """Title with the arrow of the better direction."""
        return f"{self.title} {_ARROWS[self.better]}".strip()

    def write(self, value: float | None) -> str:
        """Return the value as the table shows it; a dash for none."""
        known = value is not None and isfinite(value)
        return f"{value:.{self.digits}f}" if known else "–"

    def distance(self, value: float | None) -> float:
        """Return a number that is smaller for better values, as they are written."""
        if value is None or not isfinite(value):
            return inf
        shown = round(value, self.digits)
        return {"up": -shown, "down": shown, "one": abs(shown - 1.0)}.get(self.better, 0.0)


_ARROWS = {"up": "↑", "down": "↓", "one": "→ 1", "": ""}

METRICS: Mapping[str, Metric] = {
    "psnr_rgb": Metric("PSNR, dB", "up", 2),
    "ssim_rgb": Metric("SSIM", "up", 4),
    "sam_deg": Metric("SAM, degrees", "down", 3),
    "ndvi_mse": Metric("NDVI MSE", "down", 5),
    "spectrum_ratio": Metric("power-spectrum ratio", "one", 3),
}


def find_metric(key: str) -> Metric:
    """Return how a metric is shown; one that is not known here has no direction."""
    return METRICS.get(key, Metric(key, "", 4))


def headline(scores: Scores) -> list[tuple[str, str]]:
    """Return the posterior mean's scores, (number, metric and the better bicubic's)."""
    shown = []
    for key, metric in METRICS.items():
        rivals = [scores[m].get(key) for m in RIVALS if m in scores]
        best = min(rivals, key=metric.distance, default=None)
        said = f"{metric.heading}; best bicubic {metric.write(best)}"
        shown.append((metric.write(scores[MODEL].get(key)), said))
    return shown


def score_table(scores: Scores) -> Html:
    """Return methods by metrics, the best of each column in bold."""
    found = {key for values in scores.values() for key in values}
    keys = [k for k in METRICS if k in found] + sorted(found - set(METRICS))
    order = [m for m in METHOD_TITLES if m in scores]
    best = {key: best_methods(scores, key) for key in keys}
    columns = [Column("method"), *(Column(find_metric(k).heading, "n") for k in keys)]
    rows = [
        (
            METHOD_TITLES[method],
            *(
                element(
                    "td",
                    find_metric(key).write(scores[method].get(key)),
                    class_="n best" if method in best[key] else "n",
                )
                for key in keys
            ),
        )
        for method in order
    ]
    return table(columns, rows)


def best_methods(scores: Scores, key: str) -> set[Method]:
    """Return the methods whose written value is best; none if the metric has no direction."""
    metric = find_metric(key)
    distances = {m: metric.distance(values.get(key)) for m, values in scores.items()}
    least = min(distances.values(), default=inf)
    if not metric.better or least == inf:
        return set()
    return {m for m, distance in distances.items() if distance == least}


def verdict(scores: Scores) -> str:
    """Return in words where the posterior mean beats both bicubics, and where it does not."""
    wins: list[str] = []
    loses: list[str] = []
    for key, metric in METRICS.items():
        rivals = [metric.distance(scores[m].get(key)) for m in RIVALS if m in scores]
        mine = metric.distance(scores[MODEL].get(key))
        (wins if mine < min(rivals, default=inf) else loses).append(metric.title.split(",")[0])
    if not wins:
        return f"The posterior mean beats both bicubics on none of {_listed(loses)}."
    if not loses:
        return f"The posterior mean beats both bicubics on all of {_listed(wins)}."
    return (
        f"The posterior mean beats both bicubics on {_listed(wins)}; it does not on "
        f"{_listed(loses)}."
    )


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
