"""What an item states of one band of one of its files, in the words of STAC 1.0 and 1.1."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from catalog.errors import ItemError

_MOST_PX = 100_000_000
"""Rows or columns above which a stated shape is nonsense: the Earth's girth at 0.4 m."""
_FARTHEST = 1e9


class AssetView:
    """One band of one asset: the band's own entry counts before the asset's, then the item's.

    Args:
        asset: The asset's JSON.
        properties: The item's properties.
        index: Which band of the file, from 1.
    """

    def __init__(
        self, asset: Mapping[str, Any], properties: Mapping[str, Any], index: int
    ) -> None:
        self.asset = asset
        self._properties = properties
        self._raster = _entry(asset.get("raster:bands"), index)
        self._band = _entry(asset.get("bands"), index)

    def scale(self) -> float | None:
        """Return the stated scale; None if there is none."""
        stated = self._first("scale", "raster:scale")
        if stated is None:
            return None
        scale = finite(stated, "scale")
        if scale == 0:
            raise ItemError("scale is 0; every value would be the same")
        return scale

    def offset(self) -> float | None:
        """Return the stated offset; None if there is none."""
        stated = self._first("offset", "raster:offset")
        return None if stated is None else finite(stated, "offset")

    def nodata(self, fallback: float | None) -> float | None:
        """Return the raw value that means no data; it may be NaN or infinite."""
        holders = (self._raster, self._band, self.asset)
        found = [h["nodata"] for h in holders if h.get("nodata") is not None]
        return float(str(found[0])) if found else fallback

    def shape(self) -> tuple[int, int] | None:
        """Return rows and columns, if they are stated."""
        stated = self._grid("proj:shape")
        if not stated:
            return None
        rows, columns = (finite(n, "proj:shape") for n in stated)
        if not (1 <= rows <= _MOST_PX and 1 <= columns <= _MOST_PX):
            raise ItemError(f"proj:shape is {rows:g}, {columns:g}; expected rows and columns")
        return int(rows), int(columns)

    def transform(self) -> tuple[float, float, float, float, float, float] | None:
        """Return the affine of the pixel grid, if it is stated."""
        stated = self._grid("proj:transform")
        if not stated:
            return None
        a, b, c, d, e, f = (finite(n, "proj:transform") for n in stated[:6])
        if a * e == b * d or max(map(abs, (a, b, c, d, e, f))) > _FARTHEST:
            raise ItemError(f"proj:transform {[a, b, c, d, e, f]} is no grid of pixels")
        return a, b, c, d, e, f

    def bucket_href(self) -> str | None:
        """Return the address in a bucket that is stated beside the usual one."""
        alternate = self.asset.get("alternate")
        if not isinstance(alternate, Mapping):
            return None
        for name in ("s3", *alternate):
            other = alternate.get(name)
            href = other.get("href") if isinstance(other, Mapping) else None
            if isinstance(href, str) and href.startswith("s3://"):
                return href
        return None

    def _first(self, short: str, long: str) -> object | None:
        places = (
            (self._raster, short),
            (self._band, long),
            (self.asset, long),
        )
        return next((h[k] for h, k in places if h.get(k) is not None), None)

    def _grid(self, name: str) -> Sequence[object] | None:
        holders = (self._band, self.asset, self._properties)
        found = next((h[name] for h in holders if h.get(name)), None)
        if found is not None and (not isinstance(found, Sequence) or isinstance(found, str)):
            raise ItemError(f"{name} is {str(found)[:80]!r}; expected a list of numbers")
        return found


def finite(stated: object, name: str) -> float:
    """Return a stated number.

    Raises:
        ItemError: If it is NaN or infinite.
        ValueError: If it is no number at all.
    """
    number = float(str(stated))
    if not math.isfinite(number):
        raise ItemError(f"{name} is {stated!r}; expected a number")
    return number


def _entry(entries: object, index: int) -> Mapping[str, Any]:
    """The description of one band; empty if there is none, or only its name."""
    if not isinstance(entries, Sequence) or isinstance(entries, str) or len(entries) < index:
        return {}
    found = entries[index - 1]
    return found if isinstance(found, Mapping) else {}
