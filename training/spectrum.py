"""How much detail of each scale the estimates hold, as a chart over the examples."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from stores.report.lines import Curve, log_chart
from stores.report.markup import Html, element, join
from stores.report.page import legend
from training.evaluate import Example
from training.metrics.spatial import radial_power

_COLORS = {
    "Sentinel-2": "var(--ink)",
    "bicubic": "var(--c5)",
    "adjusted bicubic": "var(--c4)",
    "posterior mean": "var(--c1)",
    "sample": "var(--c0)",
}


def spectrum_chart(examples: Sequence[Example], *, gsd_m: float) -> Html:
    """Return the radial power spectra of target and estimates, averaged over examples.

    Args:
        examples: Patches of one size and one set of bands.
        gsd_m: Pixel size of the target, meters.
    """
    if not examples:
        return Html("")
    spectra = [_spectra(example) for example in examples]
    curves = [
        Curve(name, color, np.mean([s[name] for s in spectra], axis=0), _dashes(name))
        for name, color in _COLORS.items()
    ]
    first = examples[0]
    ratio = first.target.shape[-1] / first.condition.shape[-1]
    frequencies, _ = radial_power(first.target, first.valid)
    per_km = frequencies * 1000 / gsd_m
    limit = 500 / gsd_m / ratio
    chart = log_chart(
        per_km, curves, axis="cycles per km", marks=[(limit, "finest that the input can hold")]
    )
    said = (
        f"Power per ring of equal frequency, mean over bands and {len(examples)} examples. "
        "An estimate below the target is blurred at that scale, one above it is noisy."
    )
    keys = legend([(color, name) for name, color in _COLORS.items()])
    return join(keys, element("figure", chart, element("figcaption", said)))


def _dashes(name: str) -> str | None:
    return "5 4" if name == "Sentinel-2" else None


def _spectra(example: Example) -> dict[str, npt.NDArray[np.floating]]:
    """Power per ring, mean over bands, by name."""
    images = {
        "Sentinel-2": example.target,
        "bicubic": example.bicubic,
        "adjusted bicubic": example.adjusted,
        "posterior mean": example.model,
        "sample": example.model_sample,
    }
    return {
        name: radial_power(image, example.valid)[1].mean(axis=0)
        for name, image in images.items()
    }
