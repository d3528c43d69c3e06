"""Evaluate Earth Engine expressions: the functions that this project sends, and no other.

An image is a list of bands; a band knows how to draw itself on any grid. Functions wrap bands
in bands, so that nothing is read before a grid is known.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from affine import Affine
from rasterio.enums import Resampling

DTYPES: Mapping[str, np.dtype[Any]] = MappingProxyType(
    {
        "Image.toFloat": np.dtype("<f4"),
        "Image.toUint16": np.dtype("<u2"),
        "Image.toUint8": np.dtype("u1"),
    }
)
_MODES = {"bilinear": Resampling.bilinear, "bicubic": Resampling.cubic}


class BadExpression(ValueError):  # noqa: N818 - an answer to the one who sent it
    """An expression that the sandbox does not evaluate; the message says why."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The grid that pixels are asked for on."""

    epsg: int
    transform: Affine
    shape: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Drawn:
    """Values of one band on a grid, `(y, x)`, and where there are any."""

    values: npt.NDArray[Any]
    has_value: npt.NDArray[np.bool_]


Draw = Callable[[Grid, Resampling], Drawn]


@dataclass(frozen=True, slots=True)
class GraphBand:
    """One band of an image that is not drawn yet."""

    name: str
    dtype: np.dtype[Any]
    draw: Draw
    """Draws on a grid; where grids differ, by the method that whoever asks names."""


Image = tuple[GraphBand, ...]
Load = Callable[[str], Image]


def evaluate(expression: Mapping[str, Any], load: Load) -> Image:
    """Return the image that an expression describes.

    Args:
        expression: As the client serializes it: numbered values, and which one is the result.
        load: Returns the image of an asset by its id.

    Raises:
        BadExpression: If it uses a function that the sandbox does not know, or is malformed.
    """
    graph = _Graph(expression.get("values") or {}, load)
    found = graph.value({"valueReference": expression.get("result")})
    if not _is_image(found):
        raise BadExpression("the expression is not an image")
    return tuple(found)


class _Graph:
    """Values of an expression by their numbers, each evaluated once."""

    def __init__(self, values: Mapping[str, Any], load: Load) -> None:
        self.values = values
        self.load = load
        self._known: dict[str, Any] = {}

    def value(self, node: Mapping[str, Any]) -> Any:  # noqa: ANN401 - images, numbers, words
        if "valueReference" in node:
            return self._referred(str(node["valueReference"]))
        if "constantValue" in node:
            return node["constantValue"]
        if "arrayValue" in node:
            return [self.value(one) for one in node["arrayValue"].get("values", ())]
        if "functionInvocationValue" in node:
            return self._call(node["functionInvocationValue"])
        raise BadExpression(f"a node of the kind {', '.join(node)} is not evaluated here")

    def _referred(self, number: str) -> Any:  # noqa: ANN401
        if number not in self._known:
            if number not in self.values:
                raise BadExpression(f"value {number!r} is referred to and not there")
            self._known[number] = self.value(self.values[number])
        return self._known[number]

    def _call(self, call: Mapping[str, Any]) -> Any:  # noqa: ANN401
        name = str(call.get("functionName"))
        given = {key: self.value(node) for key, node in call.get("arguments", {}).items()}
        if name == "Image.load":
            return self.load(str(given["id"]))
        if name in DTYPES:
            return _cast(given["value"], DTYPES[name])
        if name not in _FUNCTIONS:
            raise BadExpression(f"function {name} is not evaluated here")
        return _FUNCTIONS[name](given)


def _is_image(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(band, GraphBand) for band in value)


def _select(given: Mapping[str, Any]) -> Image:
    bands = {band.name: band for band in given["input"]}
    wanted = given["bandSelectors"]
    missing = [name for name in wanted if name not in bands]
    if missing:
        raise BadExpression(
            f"Image.select: Band pattern '{missing[0]}' did not match any bands. Available "
            f"bands: [{', '.join(bands)}]"
        )
    chosen = tuple(bands[name] for name in wanted)
    return _renamed(chosen, given["newNames"]) if given.get("newNames") else chosen


def _rename(given: Mapping[str, Any]) -> Image:
    return _renamed(given["input"], given["names"])


def _renamed(image: Image, names: Sequence[str]) -> Image:
    if len(names) != len(image):
        raise BadExpression(f"{len(names)} names were given to {len(image)} bands")
    return tuple(replace(band, name=name) for band, name in zip(image, names, strict=True))


def _add_bands(given: Mapping[str, Any]) -> Image:
    there: Image = given["dstImg"]
    added: Image = given["srcImg"]
    names = {band.name for band in there}
    twice = [band.name for band in added if band.name in names]
    if twice:
        raise BadExpression(f"Image.addBands: band {twice[0]!r} is there already")
    return there + added


def _cast(image: Image, dtype: np.dtype[Any]) -> Image:
    def cast(band: GraphBand) -> GraphBand:
        def draw(grid: Grid, how: Resampling) -> Drawn:
            drawn = band.draw(grid, how)
            values = np.where(drawn.has_value, drawn.values, 0).astype(dtype)
            return Drawn(values, drawn.has_value)

        return GraphBand(band.name, dtype, draw)

    return tuple(map(cast, image))


def _resample(given: Mapping[str, Any]) -> Image:
    mode = given.get("mode", "bilinear")
    if mode not in _MODES:
        raise BadExpression(f"Image.resample: mode {mode!r} is neither of {sorted(_MODES)}")
    return _drawn_by(given["image"], _MODES[mode])


def _reduce_resolution(given: Mapping[str, Any]) -> Image:
    if given["reducer"] != "mean":
        raise BadExpression(f"Image.reduceResolution: reducer {given['reducer']!r} is not mean")
    return _drawn_by(given["image"], Resampling.average)


def _drawn_by(image: Image, method: Resampling) -> Image:
    def by_method(band: GraphBand) -> GraphBand:
        return replace(band, draw=lambda grid, _: band.draw(grid, method))

    return tuple(map(by_method, image))


def _mask(given: Mapping[str, Any]) -> Image:
    if "mask" in given:
        raise BadExpression("Image.mask: a mask cannot be set here, only asked for")

    def of_band(band: GraphBand) -> GraphBand:
        def draw(grid: Grid, how: Resampling) -> Drawn:
            has_value = band.draw(grid, how).has_value
            return Drawn(has_value.astype("<f4"), np.ones(has_value.shape, dtype=bool))

        return GraphBand(band.name, np.dtype("<f4"), draw)

    return tuple(map(of_band, given["image"]))


def _reduce(given: Mapping[str, Any]) -> Image:
    image: Image = given["image"]
    if given["reducer"] != "min":
        raise BadExpression(f"Image.reduce: reducer {given['reducer']!r} is not min")

    def draw(grid: Grid, how: Resampling) -> Drawn:
        drawn = [band.draw(grid, how) for band in image]
        values = np.minimum.reduce([one.values for one in drawn])
        return Drawn(values, np.logical_and.reduce([one.has_value for one in drawn]))

    return (GraphBand("min", np.result_type(*(band.dtype for band in image)), draw),)


def _gte(given: Mapping[str, Any]) -> Image:
    image, (other,) = given["image1"], given["image2"]

    def compared(band: GraphBand) -> GraphBand:
        def draw(grid: Grid, how: Resampling) -> Drawn:
            mine, its = band.draw(grid, how), other.draw(grid, how)
            values = (mine.values >= its.values).astype("u1")
            return Drawn(values, mine.has_value & its.has_value)

        return GraphBand(band.name, np.dtype("u1"), draw)

    return tuple(map(compared, image))


def _constant(given: Mapping[str, Any]) -> Image:
    value = float(given["value"])

    def draw(grid: Grid, _: Resampling) -> Drawn:
        return Drawn(np.full(grid.shape, value), np.ones(grid.shape, dtype=bool))

    return (GraphBand("constant", np.dtype("<f8"), draw),)


_FUNCTIONS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = MappingProxyType(
    {
        "Image.select": _select,
        "Image.rename": _rename,
        "Image.addBands": _add_bands,
        "Image.resample": _resample,
        "Image.reduceResolution": _reduce_resolution,
        "Image.mask": _mask,
        "Image.reduce": _reduce,
        "Image.gte": _gte,
        "Image.constant": _constant,
        "Reducer.min": lambda _: "min",
        "Reducer.mean": lambda _: "mean",
    }
)
