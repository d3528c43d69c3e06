"""Rasters as pictures: from physical values to RGBA to PNG data URIs.

A stretch is chosen once for a quantity and used for every sensor that measures it, so that
two pictures may be compared. Pixels without data are transparent.
"""

import base64
import colorsys
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from stores.report.markup import Html, element

Floats = npt.NDArray[np.floating[Any]]
Flags = npt.NDArray[np.bool_]
Rgba = npt.NDArray[np.uint8]

VALID_COLOR = (132, 171, 149)
INVALID_COLOR = (196, 78, 38)


@dataclass(frozen=True, slots=True)
class Stretch:
    """The physical values shown as black and as full color, one pair per channel."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    def __str__(self) -> str:
        spans = [f"{lo:g} to {hi:g}" for lo, hi in zip(self.low, self.high, strict=True)]
        return spans[0] if len(set(spans)) == 1 else ", ".join(spans)


SAR_STRETCH = Stretch((-22.0, -28.0, 2.0), (0.0, -6.0, 16.0))
"""VV and VH in dB, and VV - VH in dB: fixed, so that reports can be compared."""


def shared_stretch(stacks: Iterable[Floats], percent: tuple[float, float]) -> Stretch:
    """Return one stretch for all the stacks, the same in every channel.

    Args:
        stacks: `(channel, y, x)` arrays of one quantity in one unit, NaN = no data.
        percent: Percentiles of all values shown as black and as full color.
    """
    values = [s[np.isfinite(s)] for s in stacks]
    pooled = np.concatenate(values) if values else np.empty(0)
    if not pooled.size:
        return Stretch((0.0,), (1.0,))
    ends = [float(v) for v in np.percentile(pooled, percent)]
    low, high = (_readable(v, ends[1] - ends[0]) for v in ends)
    return Stretch((low,), (high if high > low else low + max(abs(low), 1.0) * 0.01,))


def _readable(value: float, span: float) -> float:
    """Round a limit: two decimals below ten, whole numbers above a hundred, as a rule.

    More digits where the span between the limits is so small that rounding would move them
    by more than a fifth of it, as in masses of dust.
    """
    digits = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    needed = math.ceil(-math.log10(span / 5)) if span > 0 else digits
    return round(value, max(digits, needed))


def stretched(channels: Floats, stretch: Stretch) -> Rgba:
    """Return RGBA `(y, x, 4)` of one or three channels `(channel, y, x)`.

    A pixel that is NaN in any channel is transparent. One channel gives gray.
    """
    count = channels.shape[0]
    low = np.resize(np.asarray(stretch.low), count).reshape(-1, 1, 1)
    high = np.resize(np.asarray(stretch.high), count).reshape(-1, 1, 1)
    present: Flags = np.logical_and.reduce(np.isfinite(channels), axis=0)
    share = np.clip((channels - low) / (high - low), 0.0, 1.0)
    color = np.rint(np.where(present, share, 0.0) * 255.0).astype(np.uint8)
    return _rgba(np.moveaxis(np.resize(color, (3, *present.shape)), 0, -1), present)


def _rgba(color: npt.NDArray[np.uint8], present: Flags) -> Rgba:
    alpha = np.where(present, 255, 0).astype(np.uint8)
    return np.concatenate([color, alpha[..., np.newaxis]], axis=-1)


def sar_channels(vv: Floats, vh: Floats) -> Floats:
    """Return VV dB, VH dB and their difference in dB, `(3, y, x)`, from linear power.

    Power at or below zero has no logarithm and becomes NaN.
    """
    power = np.stack([vv, vh]).astype(np.float64)
    db = 10.0 * np.log10(np.where(power > 0.0, power, np.nan))
    return np.stack([db[0], db[1], db[0] - db[1]])


_ELEVATION_STOPS = np.array(
    [[38, 89, 72], [116, 153, 88], [222, 203, 143], [166, 118, 79], [245, 243, 240]], float
)


def elevation_picture(meters: Floats, stretch: Stretch) -> Rgba:
    """Return elevation `(y, x)` tinted from green lowland to pale summit, with hill shade.

    The shade is that of light from the north-west, 45 degrees high, on a surface whose
    relief is exaggerated to fill the stretch.
    """
    present = np.isfinite(meters)
    share = _share(meters, stretch, present)
    tint = _tint(share, _ELEVATION_STOPS)
    shaded = tint * _hill_shade(share)[..., np.newaxis]
    return _rgba(np.clip(np.rint(shaded), 0, 255).astype(np.uint8), present)


def _hill_shade(share: Floats) -> Floats:
    if min(share.shape) < 2:
        return np.ones_like(share)
    down, right = np.gradient(share * 12.0)
    facing = (1.0 + down + right) / np.sqrt(1.0 + down**2 + right**2) / np.sqrt(3.0)
    shade: Floats = np.clip(0.55 + 0.75 * facing, 0.5, 1.15)
    return shade


_RAMP_STOPS = np.array(
    [[46, 30, 84], [52, 94, 141], [33, 145, 140], [94, 201, 98], [253, 231, 37]], float
)


def ramp_picture(values: Floats, stretch: Stretch) -> Rgba:
    """Return one quantity `(y, x)` from dark violet (least) through green to yellow (most).

    Lightness grows evenly, so that it reads in gray as well. NaN is transparent.
    """
    present = np.isfinite(values)
    color = _tint(_share(values, stretch, present), _RAMP_STOPS)
    return _rgba(np.rint(color).astype(np.uint8), present)


def _share(values: Floats, stretch: Stretch, present: Flags) -> Floats:
    """How far each value is from the low to the high end, 0 to 1; 0 where there is none."""
    span = max(stretch.high[0] - stretch.low[0], 1e-30)
    share: Floats = np.clip(np.where(present, values - stretch.low[0], 0.0) / span, 0.0, 1.0)
    return share


def _tint(share: Floats, stops: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The colors `(y, x, 3)` between equally spaced stops."""
    at = share * (len(stops) - 1)
    return np.stack([np.interp(at, range(len(stops)), stop) for stop in stops.T], -1)


def class_color(code: int) -> tuple[int, int, int]:
    """Return the color of a class code: the same code has the same color everywhere.

    Hues step by the golden angle, so that neighboring codes differ most.
    """
    hue = (code * 0.618033988749895) % 1.0
    lightness = (0.42, 0.58, 0.7)[code % 3]
    red, green, blue = colorsys.hls_to_rgb(hue, lightness, 0.5)
    return round(red * 255), round(green * 255), round(blue * 255)


def class_picture(codes: Floats) -> Rgba:
    """Return class codes `(y, x)` in their colors; NaN is transparent."""
    present = np.isfinite(codes)
    found, index = np.unique(np.where(present, codes, 0).astype(np.int64), return_inverse=True)
    palette = np.array([class_color(int(code)) for code in found], np.uint8)
    return _rgba(palette[index.reshape(codes.shape)], present)


def validity_picture(valid: Flags, present: Flags) -> Rgba:
    """Return where pixels are usable, where they are not, and where there is no data.

    Args:
        valid: `(y, x)`, True = usable.
        present: `(y, x)`, True = the source holds a value.
    """
    color = np.where(valid[..., np.newaxis], VALID_COLOR, INVALID_COLOR).astype(np.uint8)
    return _rgba(color, present | valid)


def error_picture(error: Floats, top: float) -> Rgba:
    """Return an absolute error `(y, x)` from black (none) through red to white (`top`)."""
    present = np.isfinite(error)
    share = np.clip(np.where(present, error, 0.0) / top, 0.0, 1.0)
    ramp = [np.clip(share * 3.0 - shift, 0.0, 1.0) for shift in (0.0, 1.0, 2.0)]
    return _rgba(np.rint(np.stack(ramp, axis=-1) * 255).astype(np.uint8), present)


def shrink(image: Rgba, largest_px: int) -> Rgba:
    """Return the image, or every n-th pixel of it, so that no side exceeds `largest_px`."""
    step = -(-max(image.shape[:2]) // largest_px)
    return image[::step, ::step]


def png_bytes(image: Rgba) -> bytes:
    """Return an RGBA image `(y, x, 4)` as a PNG file."""
    opaque = bool((image[..., 3] == 255).all())
    picture = Image.fromarray(np.ascontiguousarray(image[..., :3] if opaque else image))
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def png_uri(image: Rgba) -> str:
    """Return an RGBA image `(y, x, 4)` as a `data:` address of a PNG."""
    return "data:image/png;base64," + base64.b64encode(png_bytes(image)).decode("ascii")


def picture(image: Rgba, caption: Sequence[object], *, alt: str) -> Html:
    """Return a figure: the image, pixel for pixel, over its caption lines."""
    lines: list[object] = []
    for line in caption:
        lines += [element("br"), line] if lines else [line]
    shown = element("img", class_="picture", src=png_uri(image), alt=alt)
    return element("figure", shown, element("figcaption", *lines))
