"""Errors that a user of geoloupe can cause or meet.

Every message says what was asked, what was expected, and what to do. Each error is also
the fitting builtin, so callers may catch either.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class GeoloupeError(Exception):
    """Base of all errors raised for a reason outside the program."""


class RecipeError(GeoloupeError, ValueError):
    """A recipe that cannot be carried out as written."""


class GridError(GeoloupeError, ValueError):
    """A grid or an area that has no cells, or cells that cannot be cut whole."""


class MatchError(GeoloupeError, ValueError):
    """A pairing rule that makes no sense."""


class QueryError(GeoloupeError, ConnectionError):
    """An archive that did not answer a search."""


class ItemError(GeoloupeError, ValueError):
    """A catalog item that does not describe a scene of the product it claims."""


class SourceUnreadable(GeoloupeError, OSError):  # noqa: N818 - it names a state of the source
    """A source that will not be readable on another try: missing, truncated, not a raster."""


class SourceUnavailable(GeoloupeError, OSError):  # noqa: N818 - it names a state of the source
    """A source that may be readable later: timeout, rate limit, server error."""


class StoreError(GeoloupeError, ValueError):
    """A store that is not what the caller takes it for."""


class CheckpointError(GeoloupeError, ValueError):
    """A trained model that does not fit the store or the scene it is asked to work on."""


def nearest_choice(value: str, choices: Iterable[str]) -> str:
    """Return a hint that names the valid choice closest to `value`, or lists the choices.

    Example:
        >>> nearest_choice("swirl2", ["swir1", "swir2", "red"])
        "did you mean 'swir2'?"
        >>> nearest_choice("hls-L30", ["hls-s30", "hls-l30"])
        "did you mean 'hls-l30'?"
        >>> nearest_choice("x", ["red", "nir"])
        'choose one of nir, red'
    """
    ordered = sorted(choices)
    spelled = {choice.lower(): choice for choice in reversed(ordered)}
    close = get_close_matches(value.lower(), spelled, n=1, cutoff=0.6)
    if close:
        return f"did you mean {spelled[close[0]]!r}?"
    return f"choose one of {', '.join(ordered)}" if ordered else "there is no choice"
