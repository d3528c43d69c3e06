"""Pictures that put what a model saw, what it made of it and the truth beside each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from stores.report.markup import Html, element
from stores.report.pictures import (
    Floats,
    Rgba,
    Stretch,
    error_picture,
    picture,
    png_uri,
    shared_stretch,
    shrink,
    stretched,
)
from training.evaluate import Example

VISIBLE = ("red", "green", "blue")
INFRARED = ("nir", "red", "green")
LARGEST_PX = 192
"""Larger pictures show every n-th pixel."""
LARGEST_MAP_PX = 1400
Value = TypeVar("Value", bound=np.generic)
_PERCENT = (0.5, 99.5)


@dataclass(frozen=True, slots=True)
class Look:
    """Which bands are shown as red, green and blue, and how they are stretched."""

    bands: tuple[str, ...]
    stretch: Stretch

    @property
    def title(self) -> str:
        """True or false color, or the band itself."""
        if self.bands == VISIBLE:
            return "true color"
        return "false color" if self.bands == INFRARED else self.bands[0]

    def pick(self, pixels: Floats, bands: Sequence[str]) -> Floats:
        """Return the bands that are shown, `(channel, y, x)`, out of `(band, y, x)`."""
        return pixels[[tuple(bands).index(k) for k in self.bands]]

    def draw(self, pixels: Floats, bands: Sequence[str]) -> Rgba:
        """Return pixels `(band, y, x)` as a picture."""
        return stretched(self.pick(pixels, bands), self.stretch)


def choose_look(wanted: Sequence[str], bands: Sequence[str], images: Sequence[Floats]) -> Look:
    """Return a look whose stretch is shared by all `images`.

    Args:
        wanted: Band keys to show; if one is missing, the first of `bands` is shown as gray.
        bands: Band keys of the images.
        images: `(band, y, x)` arrays in physical units.
    """
    keys = tuple(wanted) if set(wanted) <= set(bands) else (bands[0],)
    places = [tuple(bands).index(k) for k in keys]
    shown = [shared_stretch([image[[i]] for image in images], _PERCENT) for i in places]
    if keys == VISIBLE:
        shown = [shared_stretch([image[places] for image in images], _PERCENT)] * 3
    low, high = (tuple(getattr(s, end)[0] for s in shown) for end in ("low", "high"))
    return Look(keys, Stretch(low, high))


def center(example: Example, side_px: int) -> Example:
    """Return the middle of an example, at most `side_px` target pixels on a side.

    The part is cut along the pixels of the input, so that all images show the same ground.
    """
    coarse, fine = example.condition.shape[-1], example.target.shape[-1]
    ratio = fine // coarse
    side = min(side_px // ratio, *example.condition.shape[-2:])
    top, left = ((n - side) // 2 for n in example.condition.shape[-2:])

    def cut(image: npt.NDArray[Value], scale: int) -> npt.NDArray[Value]:
        rows = slice(top * scale, (top + side) * scale)
        return image[..., rows, left * scale : (left + side) * scale]

    return replace(
        example,
        condition=cut(example.condition, 1),
        bicubic=cut(example.bicubic, ratio),
        adjusted=cut(example.adjusted, ratio),
        model=cut(example.model, ratio),
        model_sample=cut(example.model_sample, ratio),
        target=cut(example.target, ratio),
        valid=cut(example.valid, ratio),
    )


def estimates(example: Example) -> dict[str, Floats]:
    """Return what is judged, `(band, y, x)` on the target's grid, by the name shown."""
    return {
        "bicubic": example.bicubic,
        "adjusted bicubic": example.adjusted,
        "posterior mean": example.model,
        "sample": example.model_sample,
    }


def example_row(example: Example, look: Look, top_error: float) -> Html:
    """Return one example: input, estimates, target, and the error of the posterior mean."""
    target = np.where(example.valid, example.target, np.nan)
    figures = [_figure(look.draw(example.condition, example.bands), "Landsat 30 m", "input")]
    for name, pixels in estimates(example).items():
        said = f"RMSE {rmse(pixels, target, example.bands, look):.4f}"
        figures.append(_figure(look.draw(pixels, example.bands), name, said))
    seen = look.draw(example.target, example.bands)
    figures.append(_figure(seen, "Sentinel-2 10 m", "target"))
    error = np.abs(look.pick(example.model - target, example.bands)).mean(axis=0)
    shown = error_picture(error, top_error)
    figures.append(_figure(shown, "absolute error", f"black 0, white {top_error:.2f}"))
    title = element(
        "p",
        element("span", example.sample_id, class_="id"),
        f" · {example.anchor_time:%Y-%m-%d} · {look.title}",
    )
    columns = f"grid-template-columns:repeat({len(figures)},1fr)"
    return element(
        "div", title, element("div", *figures, class_="strip", style=columns), class_="sample"
    )


def _figure(image: Rgba, name: str, said: str) -> Html:
    return picture(shrink(image, LARGEST_PX), (name, said), alt=name)


def rmse(pixels: Floats, target: Floats, bands: Sequence[str], look: Look) -> float:
    """Return the root mean square error of the shown bands, physical units, over valid pixels.

    Args:
        pixels: Estimate, `(band, y, x)`.
        target: Truth, `(band, y, x)`, NaN where it is not usable.
        bands: Band keys of both.
        look: Says which bands count.
    """
    squares = np.square(look.pick(pixels - target, bands))
    finite = squares[np.isfinite(squares)]
    return float(np.sqrt(finite.mean())) if finite.size else float("nan")


def slider(before: Rgba, after: Rgba, labels: Mapping[str, str]) -> Html:
    """Return two pictures of one place under a handle that uncovers one or the other.

    Args:
        before: Shown to the left of the handle.
        after: Shown to the right; same place, any resolution.
        labels: `'before'` and `'after'` -> what is seen.
    """
    follow = "this.parentNode.style.setProperty('--cut',this.value+'%')"
    shape = f"aspect-ratio:{after.shape[1]}/{after.shape[0]}"
    return element(
        "div",
        element("img", src=png_uri(before), alt=labels["before"], style=shape),
        element("img", class_="over", src=png_uri(after), alt=labels["after"], style=shape),
        element("div", class_="seam"),
        element("span", labels["before"], class_="tag left"),
        element("span", labels["after"], class_="tag right"),
        element(
            "input",
            type="range",
            min=0,
            max=100,
            step=0.1,
            value=50,
            aria_label="position of the handle",
            oninput=follow,
        ),
        class_="compare",
    )


def busiest_windows(coarse: Floats, side: int, most: int) -> list[tuple[int, int]]:
    """Return upper left corners of the windows whose input varies most, none overlapping.

    The choice looks at the input alone, so that it cannot favor a result.

    Args:
        coarse: `(y, x)`, one band of the input, NaN = no data.
        side: Side of a window, pixels of the input.
        most: How many at most.
    """
    rows, columns = (n // side for n in coarse.shape)
    tiles = coarse[: rows * side, : columns * side].reshape(rows, side, columns, side)
    complete = np.isfinite(tiles).all(axis=(1, 3))
    spread = np.where(complete, np.nan_to_num(tiles).std(axis=(1, 3)), -1.0)
    order = np.argsort(-spread, axis=None, kind="stable")[:most]
    found = [divmod(int(i), columns) for i in order if spread.flat[i] >= 0]
    return [(row * side, column * side) for row, column in found]
