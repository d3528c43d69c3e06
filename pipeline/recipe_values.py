"""The values that a recipe file holds: what each may be, and how to say so."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from catalog.errors import nearest_choice
from catalog.products import Product

NOW = "now"
"""The word that ends a period at the time of asking."""


@dataclass(frozen=True, slots=True)
class Says:
    """What a key expects, in words, for messages and for the reference page."""

    words: str


Text = Annotated[str, Field(strict=True, min_length=1), Says("text in quotes")]
Number = Annotated[float, Field(strict=True), Says("a number")]
Positive = Annotated[float, Field(strict=True, gt=0), Says("a number above 0")]
NotNegative = Annotated[float, Field(strict=True, ge=0), Says("a number, 0 or above")]
Share = Annotated[float, Field(strict=True, ge=0, le=1), Says("a number from 0 to 1")]
Whole = Annotated[int, Field(strict=True), Says("a whole number")]
Pixels = Annotated[int, Field(strict=True, ge=1), Says("a whole number, 1 or above")]
Count = Annotated[int, Field(strict=True, ge=0), Says("a whole number, 0 or above")]
Month = Annotated[int, Field(strict=True, ge=1, le=12)]
Truth = Annotated[bool, Field(strict=True), Says("true or false")]
Pair = Annotated[tuple[Number, Number], Says("[easting, northing]")]
Box = Annotated[tuple[Number, Number, Number, Number], Says("[west, south, east, north]")]
Months = Annotated[tuple[Month, Month], Says("[first month, last month], each 1 to 12")]
SplitName = Literal["train", "val", "test"]

_RESERVED_NAMES = frozenset({"train", "val", "test", "buffer", "anchor"})


def _day(value: object, *, example: str = '"2018-12-31"') -> date:
    try:
        return value if type(value) is date else date.fromisoformat(str(value))
    except ValueError:
        shown = repr(value) if isinstance(value, str) else str(value)
        raise ValueError(f"{shown} is no day; write one like {example}") from None


def _read_period(value: object) -> tuple[date, date | str]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"expected [first day, last day], got {value!r}")
    start = _day(value[0])
    end = NOW if value[1] == NOW else _day(value[1], example='"2018-12-31", or "now"')
    if isinstance(end, date) and end < start:
        raise ValueError(
            f'it ends on {end}, before it starts on {start}; did you mean ["{end}", "{start}"]?'
        )
    return start, end


def _layer_name(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", value):
        fixed = re.sub(r"[^a-z0-9_]+", "_", value.lower()).strip("_")
        hint = f"; did you mean {fixed!r}?" if fixed[:1].isalpha() else ""
        raise ValueError(
            "the name of a layer is lower case letters, digits and _, starting with a letter"
            + hint
        )
    if value in _RESERVED_NAMES:
        raise ValueError("this name has another meaning in a store; choose another")
    return value


def _read_days(value: object) -> tuple[date, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError(f'expected a list of days like ["2021-06-15"], got {value!r}')
    return tuple(_day(v) for v in value)


def _point(value: object) -> tuple[float, float, str]:
    match value:
        case [int() | float() as lon, int() | float() as lat]:
            return lon, lat, ""
        case [int() | float() as lon, int() | float() as lat, str() as name]:
            return lon, lat, name
    raise ValueError(f'{value!r} is no point; write [[lon, lat], [lon, lat, "name"], ...]')


def _read_points(value: object) -> tuple[tuple[float, float, str], ...]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"expected a list of points like [[3.02, 50.81]], got {value!r}")
    return tuple(_point(v) for v in value)


LayerName = Annotated[str, AfterValidator(_layer_name)]
Points = Annotated[
    tuple[tuple[float, float, str], ...],
    BeforeValidator(_read_points),
    Says("a list of [lon, lat] or [lon, lat, name]"),
]
Days = Annotated[
    tuple[date, ...], BeforeValidator(_read_days), Says('a list of days like ["2021-06-15"]')
]
Span = Annotated[
    tuple[date, date | Literal["now"]],
    BeforeValidator(_read_period),
    Says("[first day, last day]"),
]


def shape_of(value: object) -> str:
    """Tell a table from a word, where a key takes either."""
    return "table" if isinstance(value, Mapping | BaseModel) else "word"


def check_bands(product: Product, keys: tuple[str, ...]) -> None:
    """Refuse bands that the product lacks, repeats, or that cannot share one layer.

    Raises:
        ValueError: With the name to write instead, where there is one.
    """
    known = [band.key for band in product.bands]
    missing = [key for key in keys if key not in known]
    if missing:
        hints = {
            key: _other_name(product, key) or nearest_choice(key, known) for key in missing
        }
        near = [f"{k!r}; {h}" for k, h in hints.items() if not h.startswith("choose")]
        far = [repr(k) for k, h in hints.items() if h.startswith("choose")]
        listed = [f"{' or '.join(far)}; it has {', '.join(known)}"] if far else []
        raise ValueError(f"product {product.key!r} has no band {'; nor '.join(near + listed)}")
    repeated = sorted({key for key in keys if keys.count(key) > 1})
    if repeated:
        raise ValueError(
            f"{', '.join(map(repr, repeated))} is listed twice; list each band once"
        )
    first = product.band(keys[0])
    others = [key for key in keys if product.band(key).encoding != first.encoding]
    if others:
        raise ValueError(
            f"{', '.join(map(repr, others))} cannot share a layer with {first.key!r}, whose "
            "values are stored on another scale; add a second [layers.<name>] section of "
            f"product {product.key!r} for {'it' if len(others) == 1 else 'them'}"
        )


def _other_name(product: Product, key: str) -> str | None:
    """Return what to write for an archive's own name of a band, such as `'B04'`."""
    for archive in product.archives.values():
        for band, asset in archive.assets.items():
            if asset.lower() == key.lower():
                return f"write {band!r} instead of an archive's own name"
    return None
