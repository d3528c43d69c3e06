"""Say what is wrong with a recipe: key, value, what was expected, and what to write instead."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from catalog.errors import RecipeError, nearest_choice
from catalog.products import PRODUCTS
from pipeline.recipe_file import PATCHES, FileKind, Section
from pipeline.recipe_values import Says

T = TypeVar("T", bound=Section)

_UNION_TAGS = {"word", "table"}
_WORDS_OF_TYPE = {
    "float_type": "a number",
    "int_type": "a whole number",
    "string_type": "text in quotes",
    "bool_type": "true or false",
}


def read_text(path: Path) -> str:
    """Return the text of a recipe file.

    Raises:
        RecipeError: If it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        reason = "there is no such file" if isinstance(err, FileNotFoundError) else str(err)
        raise RecipeError(f"cannot read the recipe {path}: {reason}") from err


def parse_file(text: str, path: Path, model: type[T], kind: FileKind = PATCHES) -> T:
    """Return what a recipe file says, each key of the right type.

    Raises:
        RecipeError: With every problem found, each by its dotted key.
    """
    try:
        return model.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as err:
        raise refuse(path.name, [syntax_problem(err, text)]) from err
    except ValidationError as err:
        raise refuse(path.name, problems_of(err, kind)) from err


def refuse(file_name: str, problems: Sequence[str]) -> RecipeError:
    """Return the error that lists the problems of one recipe."""
    if len(problems) == 1:
        return RecipeError(f"{file_name}: {problems[0]}")
    lines = "\n".join(f"  {problem}" for problem in problems)
    return RecipeError(f"{file_name} has {len(problems)} problems:\n{lines}")


def syntax_problem(err: tomllib.TOMLDecodeError, text: str) -> str:
    """Return what TOML could not read, with the line itself."""
    found = re.search(r"line (\d+)", str(err))
    line = text.splitlines()[int(found[1]) - 1].strip() if found else ""
    return f"this is not TOML: {err}" + (f": {line}" if line else "")


def problems_of(error: ValidationError, kind: FileKind = PATCHES) -> list[str]:
    """Return one sentence per key that is wrong, in the order of the file's model."""
    sentences: dict[str, str] = {}
    for detail in error.errors():
        place = _place(detail["loc"], kind)
        key = _dotted(place)
        sentences.setdefault(key, f"{key}: {_sentence(detail, place, kind)}")
    return list(sentences.values())


def words_of(field: FieldInfo) -> str:
    """Return what a field expects, in words."""
    said = next(_said(field.metadata, field.annotation), None)
    if said is not None:
        return said
    choices = _literals(field.annotation)
    return " or ".join(f'"{choice}"' for choice in choices) if choices else "a table"


def _said(metadata: Sequence[Any], annotation: Any) -> Iterator[str]:  # noqa: ANN401 - any type
    yield from (m.words for m in reversed(metadata) if isinstance(m, Says))
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        yield from _said(metadata, inner)
    elif type(None) in get_args(annotation):
        for part in get_args(annotation):
            yield from _said((), part)


def _literals(annotation: Any) -> list[str]:  # noqa: ANN401 - any type
    parts = get_args(annotation)
    words = [part for part in parts if isinstance(part, str)]
    return words or [word for part in parts for word in _literals(part)]


def _place(loc: Sequence[int | str], kind: FileKind) -> list[int | str]:
    """Return where an error is, without the words that pydantic adds."""
    place: list[int | str] = []
    for step in loc:
        added = step in _UNION_TAGS and place[-1:] in (["anchor"], ["when"])
        if not added:
            place.append(step)
    is_member = (
        len(place) > 1 and isinstance(place[-1], int) and _field(place[:-1], kind) is not None
    )
    if is_member or place[-1:] == ["[key]"]:
        place.pop()
    return place


def _dotted(place: Sequence[int | str]) -> str:
    return ".".join(str(step) for step in place)


def _sentence(detail: ErrorDetails, place: Sequence[int | str], file: FileKind) -> str:
    kind, value = detail["type"], detail["input"]
    if kind == "value_error":
        return str(detail["ctx"]["error"])
    if kind == "extra_forbidden":
        return _unknown_key(place, file)
    if kind == "missing" and not isinstance(detail["loc"][-1], int):
        return _missing(place, value, file)
    if kind == "literal_error":
        return _not_a_choice(detail, value)
    return _unexpected(detail, place, file)


def _unknown_key(place: Sequence[int | str], file: FileKind) -> str:
    key, section = str(place[-1]), _section_name(place[:-1], file)
    own = file.sections[section].model_fields
    if not section and key in file.foreign:
        return file.foreign[key]
    close = get_close_matches(key, own, n=1, cutoff=0.6)
    homes = [name for name, model in file.sections.items() if key in model.model_fields]
    if homes and not (close and close[0].startswith(key)):
        return f"unknown key; {_belongs(key, homes)}"
    return f"unknown key; {nearest_choice(key, own)}"


def _belongs(key: str, homes: Sequence[str]) -> str:
    places = [
        f"in [{home}]" if home else "at the top, above the first [section]" for home in homes
    ]
    return f"{key!r} belongs {' or '.join(places)}"


def _missing(
    place: Sequence[int | str],
    given: Any,  # noqa: ANN401 - any TOML value
    file: FileKind,
) -> str:
    field = _field(place, file)
    key = str(place[-1])
    if field is None:
        return "missing"
    if words_of(field) == "a table":
        return f"missing; add the section [{key}]"
    if key == file.group:
        return f"missing; add at least one [{key}.<name>] section"
    if key == "product":
        return f"missing; choose one of {', '.join(sorted(file.products))}"
    product = PRODUCTS.get(str(given.get("product"))) if isinstance(given, Mapping) else None
    if key == "bands" and product:
        bands = ", ".join(band.key for band in product.bands)
        return f"missing; list some of the bands of {product.key}: {bands}"
    meaning = (field.description or "").split(".")[0].replace("\n", " ")
    return f"missing; expected {words_of(field)}: {meaning[:1].lower()}{meaning[1:]}"


def _not_a_choice(detail: ErrorDetails, value: Any) -> str:  # noqa: ANN401 - any TOML value
    choices = re.findall(r"'([^']*)'", detail["ctx"]["expected"])
    return f"{_shown(value)} is no choice here; {nearest_choice(str(value), choices)}"


def _unexpected(detail: ErrorDetails, place: Sequence[int | str], file: FileKind) -> str:
    kind, value = detail["type"], detail["input"]
    field = _field(place, file)
    words = words_of(field) if field else _WORDS_OF_TYPE.get(kind, _range(detail))
    if words == "a table":
        words = f"the section [{_dotted(place)}]"
    return f"expected {words}, got {_shown(value)}{_remedy(detail)}"


def _range(detail: ErrorDetails) -> str:
    limits = {"ge": "or above", "le": "or below", "gt": "above", "lt": "below"}
    context = detail.get("ctx", {})
    return "a number " + " and ".join(
        f"{word} {context[key]:g}" if key in ("gt", "lt") else f"{context[key]:g} {word}"
        for key, word in limits.items()
        if key in context
    )


def _remedy(detail: ErrorDetails) -> str:
    kind, value = detail["type"], detail["input"]
    number = re.fullmatch(r"\s*-?[0-9.]+\s*", value) if isinstance(value, str) else None
    if kind in ("float_type", "int_type") and number:
        return f"; write {value.strip()} without quotes"
    if kind == "int_type" and isinstance(value, float) and value.is_integer():
        return f"; write {int(value)}"
    if kind == "less_than_equal" and detail["ctx"]["le"] == 1 and 1 < value <= 100:
        return f"; if you mean {value:g} percent, write {value / 100:g}"
    if kind == "tuple_type" and isinstance(value, str):
        return f"; write [{value!r}]".replace("'", '"')
    return ""


def _field(place: Sequence[int | str], file: FileKind) -> FieldInfo | None:
    """Return the field at a place, None if the place lies deeper than a field."""
    if not place:
        return None
    section = file.sections.get(_section_name(place[:-1], file))
    return section.model_fields.get(str(place[-1])) if section is not None else None


def _section_name(place: Sequence[int | str], file: FileKind) -> str:
    steps = [str(step) for step in place]
    if len(steps) > 1 and steps[0] in (file.group, "sources"):
        steps[1] = "<name>"
    return ".".join(steps)


def _shown(value: Any) -> str:  # noqa: ANN401 - any TOML value
    """Return a value the way TOML writes it, cut to a line."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return repr(value)
        case date():
            return str(value)
        case Section() | Mapping():
            return "a table"
        case list() | tuple():
            shown = [_shown(v) for v in value[:5]] + ["…"] * (len(value) > 5)
            return f"[{', '.join(shown)}]"
    return f"{value}"
