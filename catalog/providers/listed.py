"""A file as an archive lists it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFile:
    """A file as an archive lists it."""

    name: str
    """The file's own name, without folders."""
    href: str
    """Absolute path or URL."""
    version: str
    """Changes when the archive replaces the file: revision, time or size; may be `''`."""
