"""Say what is wrong with a cube recipe: key, value, what was expected, what to write."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from catalog.errors import nearest_choice
from catalog.products import PRODUCTS
from pipeline.cube_recipe_file import CUBE_SECTIONS, GRIDDED
from pipeline.recipe_errors import words_of

_ALSO_PATCHES = ("anchor", "grid", "layers", "split", "window_days", "codec")
"""Keys that only a recipe of patches has."""


def cube_problems(error: ValidationError) -> list[str]:
    """Return one sentence per key that is wrong, in the order of the file's model."""
    sentences: dict[str, str] = {}
    for detail in error.errors():
        place = _place(detail["loc"])
        key = ".".join(map(str, place))
        sentences.setdefault(key, f"{key}: {_sentence(detail, place)}")
    return list(sentences.values())


def _place(loc: Sequence[int | str]) -> list[int | str]:
    """Where an error is, down to the key of a section."""
    place = [step for step in loc if step != "[key]"]
    while len(place) > 1 and isinstance(place[-1], int):
        place.pop()
    return place


def _sentence(detail: ErrorDetails, place: Sequence[int | str]) -> str:
    kind, value = detail["type"], detail["input"]
    if kind == "value_error":
        return str(detail["ctx"]["error"])
    if kind == "extra_forbidden":
        return _unknown_key(place)
    if kind == "missing" and not isinstance(detail["loc"][-1], int):
        return _missing(place, value)
    field = _field(place)
    words = words_of(field) if field else str(detail["msg"])
    if words == "a table":
        words = f"the section [{'.'.join(map(str, place))}]"
    shown = "a table" if isinstance(value, Mapping) else repr(value)
    return f"expected {words}, got {shown[:80]}"


def _unknown_key(place: Sequence[int | str]) -> str:
    key, section = str(place[-1]), _section_name(place[:-1])
    own = CUBE_SECTIONS[section].model_fields
    if not section and key in _ALSO_PATCHES:
        return "a recipe of cubes has no such key: it is for patches; leave it out"
    close = get_close_matches(key, own, n=1, cutoff=0.6)
    homes = [name for name, model in CUBE_SECTIONS.items() if key in model.model_fields]
    if homes and not (close and close[0].startswith(key)):
        places = [f"in [{home}]" if home else "at the top" for home in homes]
        return f"unknown key; {key!r} belongs {' or '.join(places)}"
    return f"unknown key; {nearest_choice(key, own)}"


def _missing(place: Sequence[int | str], given: Any) -> str:  # noqa: ANN401 - any TOML value
    field, key = _field(place), str(place[-1])
    if field is None:
        return "missing"
    if words_of(field) == "a table":
        return f"missing; add the section [{key}]"
    if key == "cubes":
        return "missing; add at least one [cubes.<name>] section"
    if key == "product":
        return f"missing; choose one of {', '.join(GRIDDED)}"
    product = PRODUCTS.get(str(given.get("product"))) if isinstance(given, Mapping) else None
    if key == "bands" and product is not None:
        bands = ", ".join(band.key for band in product.bands)
        return f"missing; list some of the bands of {product.key}: {bands}"
    meaning = (field.description or "").split(".")[0].replace("\n", " ")
    return f"missing; expected {words_of(field)}: {meaning[:1].lower()}{meaning[1:]}"


def _field(place: Sequence[int | str]) -> FieldInfo | None:
    section = CUBE_SECTIONS.get(_section_name(place[:-1])) if place else None
    return section.model_fields.get(str(place[-1])) if section is not None else None


def _section_name(place: Sequence[int | str]) -> str:
    steps = [str(step) for step in place]
    if len(steps) > 1 and steps[0] in ("cubes", "sources"):
        steps[1] = "<name>"
    return ".".join(steps)
