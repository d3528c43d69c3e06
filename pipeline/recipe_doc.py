"""Describe the recipe file for readers: `docs/recipe.md` is what this module writes."""

from collections.abc import Mapping

from pydantic.fields import FieldInfo

from pipeline.cube_recipe_file import CUBE_SECTIONS, CubeRecipeFile
from pipeline.recipe_errors import words_of
from pipeline.recipe_file import SECTIONS, Section

_HEAD = """\
# The recipe

A recipe is one TOML file that says what to build: where, when, on which grid, from which
products. `geoloupe plan recipe.toml` checks it and says what it would cost;
`geoloupe build recipe.toml --store DIR` carries it out.

Unknown keys are refused, and problems are listed together, each with its dotted key, the
value and what to write instead. Names of files are relative to the recipe. Two recipes that
ask for the same have the same hash, whatever their comments, order of keys or limits.
Products and their bands are listed in [products.md](products.md) and by `geoloupe products`.
Credentials never stand in a recipe; see [archives.md](archives.md).

This page is generated from the program by `python -m pipeline.recipe_doc > docs/recipe.md`.

## An example

```toml
name = "brabant"
period = ["2023-05-01", "2023-09-30"]
anchor = "landsat"
window_days = 3
source = "earth-search"

[area]
bbox = [4.4, 50.6, 5.2, 51.1]

[grid]
gsd_m = 10
size_px = 192

[layers.landsat]
product = "landsat-c2-l2"
bands = ["blue", "green", "red", "nir"]
max_cloud = 0.5

[layers.sentinel2]
product = "sentinel-2-l2a"
bands = ["blue", "green", "red", "nir"]

[layers.radar]
product = "sentinel-1-grd"
bands = ["vv", "vh"]
required = false
source = "my-archive/items.json"

[split]
block_m = 19200
buffer_m = 1920
shares = { train = 0.8, val = 0.1, test = 0.1 }
```
"""
_CUBES = """\
## Recipes of cubes

A recipe with `[cubes.<name>]` sections instead of layers builds gridded fields over time,
such as MERRA-2 and the G5NR nature run: one Zarr store per cube below the folder of
`--store`. It has no grid, no anchor and no split. `[sources.<name>]` means the same as above.
The examples are [transfer.toml](recipes/transfer.toml) and its
[sandbox form](recipes/transfer-sandbox.toml);
[store-format.md](store-format.md#cubes) says how to open a cube.
"""
_TITLES: Mapping[str, str] = {
    "": "Top level",
    "anchor": "`anchor` as a table",
    "layers.<name>.when": "`when` as a table",
}


def describe_recipe() -> str:
    """Return the reference of the recipe file in Markdown."""
    sections = [_describe_section(place, model) for place, model in SECTIONS.items()]
    cubes = [
        _describe_section(place, model)
        for place, model in CUBE_SECTIONS.items()
        if place not in ("", "sources.<name>")
    ]
    top = _describe_section("", CubeRecipeFile).replace(
        "## Top level", "### Top level of cubes"
    )
    lower = [text.replace("## `", "### `", 1) for text in cubes]
    return "\n".join([_HEAD, *sections, _CUBES, top, *lower])


def _describe_section(place: str, model: type[Section]) -> str:
    title = _TITLES.get(place, f"`[{place}]`")
    rows = [_row(name, field) for name, field in model.model_fields.items()]
    head = ["| key | expects | default | meaning |", "|---|---|---|---|"]
    return "\n".join([f"## {title}", "", _line(model.__doc__ or ""), "", *head, *rows, ""])


def _row(name: str, field: FieldInfo) -> str:
    meaning, _, said = _line(field.description or "").partition(" Default: ")
    words = words_of(field)
    words = f"section [{name}]" if words == "a table" else words.replace("<", "\\<")
    return f"| `{name}` | {words} | {said.rstrip('.') or _default(field)} | {meaning} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**needed**"
    if isinstance(field.default, Section):
        return "as below"
    return "none" if field.default is None else f"`{_toml(field.default)}`"


def _toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case Mapping():
            return "{ " + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + " }"
        case tuple():
            return "[" + ", ".join(_toml(v) for v in value) + "]"
        case float():
            return f"{value:g}".replace("e+", "e")
    return str(value)


def _line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    import sys

    sys.stdout.write(describe_recipe())
