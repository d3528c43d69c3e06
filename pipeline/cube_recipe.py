"""Cube recipes: which gridded fields over which area and days become which cubes."""

import hashlib
import json
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from catalog.errors import RecipeError
from catalog.families.atmosphere import G5NR_AEROSOL
from catalog.product import Product
from catalog.products import find_product
from catalog.providers.query import Bounds
from catalog.providers.source import Source
from pipeline.cube_recipe_file import CUBES, CubeRecipeFile, CubeSection
from pipeline.recipe_door import Door
from pipeline.recipe_errors import parse_file, read_text, refuse
from pipeline.recipe_file import RecipeFile
from pipeline.recipe_sources import NOWHERE, SourceBook, resolve_sources
from pipeline.recipe_terms import Period

_LISTINGS = ("cmr", "g5nr", "files")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cube:
    """One cube as asked for."""

    name: str
    product: str
    bands: tuple[str, ...]
    period: Period
    source: Source
    """Where its files are listed."""
    collection: str | None
    """Name of the collection there; None for the one in the product table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CubeRecipe:
    """What the user asked for; complete, checked and immutable."""

    path: Path
    text: str
    """The file as written."""
    name: str
    note: str
    """What a reader must know of the data; `''` if nothing."""
    bbox: Bounds
    cubes: tuple[Cube, ...]
    max_bytes: float
    """Size of the cubes above which a build refuses to start, bytes."""

    @property
    def hash(self) -> str:
        """SHA-256 of what is asked for: not of comments, spelling, file names or limits."""
        content = {
            "name": self.name,
            "bbox": self.bbox,
            "cubes": [asdict(cube) for cube in self.cubes],
        }
        canonical = json.dumps(content, sort_keys=True, default=str)
        return hashlib.sha256(canonical.encode()).hexdigest()


def is_cube_recipe(path: Path | str) -> bool:
    """Whether a file is a recipe of cubes: it has a table `cubes`, and none of layers.

    A file that cannot be read is none; loading it as a recipe says why.
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return False
    return "cubes" in content and "layers" not in content


def load_cube_recipe(path: Path | str) -> CubeRecipe:
    """Read and check a recipe of cubes.

    Raises:
        RecipeError: With every problem found, each by its dotted key.
    """
    path = Path(path)
    return parse_cube_recipe(read_text(path), path)


def parse_cube_recipe(text: str, path: Path) -> CubeRecipe:
    """Check the text of a recipe; relative names in it start at the folder of `path`.

    Raises:
        RecipeError: With every problem found, each by its dotted key.
    """
    file = parse_file(text, path, CubeRecipeFile, CUBES)
    door = Door()
    recipe = _resolve(file, text, path.absolute(), door)
    if door.problems:
        raise refuse(path.name, door.problems)
    return recipe


def refuse_unmatched(product: Product, when: Any) -> None:  # noqa: ANN401 - any rule of time
    """Refuse to match in time what is no record of any time.

    Args:
        product: Of a layer of patches.
        when: The rule by which scenes of the layer would be chosen; none will do.

    Raises:
        RecipeError: If the product is a free-running simulation.
    """
    if product.key == G5NR_AEROSOL.key:
        raise RecipeError(
            f"{product.key!r} simulates weather that never was, so that none of its hours "
            f"belongs to a satellite's (when = {when!r}); leave the layer out, and make a cube "
            f"of it with a [cubes.<name>] section in a recipe of its own"
        )


def _resolve(file: CubeRecipeFile, text: str, path: Path, door: Door) -> CubeRecipe:
    # Names of sources mean the same in both kinds of recipe, and depend on these two keys.
    named = RecipeFile.model_construct(source=file.source, sources=file.sources)
    book = resolve_sources(named, path.parent, door)
    _check_box(file.area.bbox, door)
    own = Period(file.period[0], file.period[1])
    return CubeRecipe(
        path=path,
        text=text,
        name=file.name or path.stem,
        note=file.note or "",
        bbox=file.area.bbox,
        cubes=tuple(_cube(n, section, own, book, door) for n, section in file.cubes.items()),
        max_bytes=file.limits.max_bytes,
    )


def _check_box(bbox: Bounds, door: Door) -> None:
    west, south, east, north = bbox
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        door.refuse(
            "area.bbox",
            f"{list(bbox)} is no box; expected west < east within -180 and 180, south < north "
            f"within -90 and 90; write two recipes for an area across 180 degrees",
        )


def _cube(
    name: str, section: CubeSection, period: Period, book: SourceBook, door: Door
) -> Cube:
    product = find_product(section.product)
    return Cube(
        name=name,
        product=product.key,
        bands=section.bands,
        period=Period(*section.period) if section.period else period,
        source=door.admit(
            f"cubes.{name}.source" if section.source else "source",
            lambda: _source(section.source, product, book),
            NOWHERE,
        ),
        collection=section.collection,
    )


def _source(name: str | None, product: Product, book: SourceBook) -> Source:
    if name is None and book.default is None:
        raise RecipeError(
            "missing; write 'gesdisc', 'g5nr' or a folder with the files, here or in each cube"
        )
    source = book.find(name, product)
    if source.listing not in _LISTINGS:
        fitting = "'g5nr'" if product.key == G5NR_AEROSOL.key else "'gesdisc'"
        raise RecipeError(
            f"{source.name!r} serves images, not files of fields; write {fitting}, or a folder "
            f"with the files"
        )
    return source
