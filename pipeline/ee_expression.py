"""What Earth Engine is asked to compute: images side by side on one grid, each with its mask.

Only functions of the client are used whose meaning per pixel is plain, so that the sandbox's
endpoint can evaluate the very same expressions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import ee

from catalog.product import Kind

_INTEGER_KINDS: tuple[Kind, ...] = ("class", "quality")
_MODES = {"cubic": "bicubic", "bilinear": "bilinear"}
_MOST_PIXELS = 1024
"""Source pixels that the mean of one pixel is taken of; of more, a coarser pyramid level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BandWish:
    """One band of an image, and how it comes onto the grid."""

    key: str
    part: str
    """Its name in Earth Engine."""
    kind: Kind
    method: str
    """`'none'` where the grids agree, else `'nearest'`, `'bilinear'`, `'cubic'`, `'average'`
    (the names of `rasterio.enums.Resampling`)."""

    @property
    def bytes(self) -> int:
        """Size of one pixel of it in the answer."""
        return 2 if self.kind in _INTEGER_KINDS else 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageWish:
    """Bands of one image."""

    asset_id: str
    bands: tuple[BandWish, ...]


MASK_BYTES = 1
"""Size of one pixel of an image's mask in the answer."""


def band_name(image: int, key: str) -> str:
    """Return what band `key` of the image at a position is called in the answer."""
    return f"i{image}_{key}"


def mask_name(image: int) -> str:
    """Return what the mask of the image at a position is called in the answer."""
    return f"m{image}"


def stack(images: Sequence[ImageWish]) -> Any:  # noqa: ANN401 - ee has no types
    """Return the expression of all bands of all images, and of one mask per image.

    Classes and quality bits come as unsigned integers of 16 bits, all else as floats, which
    hold every raw value of 24 bits. A mask is 1 where every band of its image has a value.
    """
    parts = []
    for number, image in enumerate(images):
        bands = ee.Image.cat(*_bands(number, image))
        parts += [bands, _mask(bands).rename([mask_name(number)])]
    return ee.Image.cat(*parts)


def _bands(number: int, image: ImageWish) -> list[Any]:
    """The bands of one image, those that are treated alike together."""
    alike = sorted(image.bands, key=_treatment)
    return [
        _placed(image.asset_id, number, list(bands))
        for _, bands in groupby(alike, key=_treatment)
    ]


def _treatment(band: BandWish) -> tuple[str, bool]:
    return band.method, band.kind in _INTEGER_KINDS


def _placed(asset_id: str, number: int, bands: Sequence[BandWish]) -> Any:  # noqa: ANN401
    method, is_integer = _treatment(bands[0])
    image = ee.Image(asset_id).select(
        [band.part for band in bands], [band_name(number, band.key) for band in bands]
    )
    # Cast first: what is interpolated between integers must not be cut off to one.
    image = image.toUint16() if is_integer else image.toFloat()
    if method in _MODES:
        return image.resample(_MODES[method])
    if method == "average":
        return image.reduceResolution(
            ee.Reducer.mean(), bestEffort=True, maxPixels=_MOST_PIXELS
        )
    return image


def _mask(bands: Any) -> Any:  # noqa: ANN401
    """1 where at least half of every band's weight rests on pixels with a value."""
    return bands.mask().reduce(ee.Reducer.min()).gte(0.5).toUint8()
