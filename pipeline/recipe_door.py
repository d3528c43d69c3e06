"""The door of a recipe: problems are collected, so that all are seen at once."""

from collections.abc import Callable
from typing import TypeVar

from catalog.errors import GeoloupeError

T = TypeVar("T")


class Door:
    """Collects problems, so that the user sees all of them at once."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def refuse(self, key: str, why: str) -> None:
        """Note a problem, once."""
        problem = f"{key}: {why}"
        if problem not in self.problems:
            self.problems.append(problem)

    def admit(self, key: str, make: Callable[[], T], otherwise: T) -> T:
        """Return what `make` makes; if it refuses, note why and return `otherwise`."""
        try:
            return make()
        except GeoloupeError as err:
            self.refuse(key, str(err))
            return otherwise
