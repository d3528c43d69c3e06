"""Which archive a recipe means by the name of a source."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from urllib.parse import urlparse

from catalog.errors import RecipeError
from catalog.product import Product
from catalog.providers.source import KNOWN_SOURCES, Listing, Source, stac_source
from pipeline.recipe_door import Door
from pipeline.recipe_file import RecipeFile, SourceSection

NOWHERE = Source(name="", listing="stac", url="", dialect="stac")
"""Stands for a source that was refused, while other problems are still looked for."""


@dataclass(frozen=True, slots=True)
class SourceBook:
    """What the names of sources mean in one recipe."""

    default: str | None
    named: Mapping[str, Source]
    """Known archives and the recipe's own."""
    folder: Path
    """Where relative paths start."""

    def find(self, name: str | None, product: Product) -> Source:
        """Return where scenes of `product` are listed.

        Raises:
            RecipeError: If the name means nothing, or the product is not there.
        """
        asked = name or self.default
        if asked is None:
            raise RecipeError(
                f"missing; write a known archive ({self._words()}), the URL of a STAC API, or "
                "a folder with an items.json, here or in each layer"
            )
        source = self._named_or_place(asked)
        if product.has(source.dialect):
            return source
        raise RecipeError(
            f"{asked!r} does not have {product.key!r}{self._taken_for(source)}; it is in "
            f"{', '.join(product.sources())}"
        )

    @staticmethod
    def _taken_for(source: Source) -> str:
        if source.is_local and source.dialect == "stac":
            name = Path(source.url).name
            return f": the folder has an {name}, so it is read as a STAC archive"
        return " as a folder of files" if source.dialect == "files" else ""

    def _named_or_place(self, asked: str) -> Source:
        if asked in self.named:
            return self.named[asked]
        if asked.startswith(("http://", "https://")):
            refuse_secrets(asked)
            return stac_source(asked)
        path = (self.folder / asked).resolve()
        items = path / "items.json" if path.is_dir() else path
        if items.is_file():
            return stac_source(str(items))
        if path.is_dir():
            return Source(name=str(path), listing="files", url=str(path), dialect="files")
        raise RecipeError(
            f"{asked!r} is neither a known archive ({self._words()}) nor a URL, and there is "
            f"no file {items}, nor a folder {path}{self._almost(asked)}"
        )

    def _words(self) -> str:
        return ", ".join(map(repr, sorted(self.named)))

    def _almost(self, asked: str) -> str:
        close = get_close_matches(asked.lower(), self.named, n=1, cutoff=0.75)
        return f"; did you mean {close[0]!r}?" if close else ""


def resolve_sources(file: RecipeFile, folder: Path, door: Door) -> SourceBook:
    """Return the archives that a recipe knows: the known ones and its own."""
    named = dict(KNOWN_SOURCES)
    for name, section in file.sources.items():
        named[name] = door.admit(f"sources.{name}", partial(_own, name, section), NOWHERE)
    return SourceBook(file.source, named, folder)


def _own(name: str, section: SourceSection) -> Source:
    like = section.like or (name if name in KNOWN_SOURCES else None)
    if like is not None and like not in KNOWN_SOURCES:
        known = ", ".join(map(repr, KNOWN_SOURCES))
        raise RecipeError(f"like: {like!r} is no known archive; choose one of {known}")
    base = KNOWN_SOURCES[like] if like else None
    url = section.url or (base.url if base else None)
    if url is None:
        raise RecipeError(f"url: missing; {name!r} is no known archive, so say where it is")
    if not url.startswith(("http://", "https://")):
        raise RecipeError(f"url: {url!r} is no address; a folder is named in the layer itself")
    refuse_secrets(url)
    listing: Listing = base.listing if base else "stac"
    return Source(
        name=name,
        listing=listing,
        url=url,
        dialect=like or "stac",
        access=section.access,
        project=section.project,
        max_items=section.max_items,
    )


def refuse_secrets(url: str) -> None:
    """Refuse an address that carries a credential: recipes are kept in stores and reports.

    Raises:
        RecipeError: If the address holds a user, a password or a query.
    """
    parts = urlparse(url)
    if parts.username or parts.password or parts.query:
        shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        raise RecipeError(
            f"the address {shown} carries a user, a password or a query; a recipe is kept in "
            f"the store and its reports, so leave credentials to the environment"
        )
