"""Sentinel-2's offset: what has to be added to raw values, and whether it already was."""

import re
from collections.abc import Mapping
from typing import Any

from catalog.providers.asset_values import finite

_FIRST_WITH_OFFSET = 4.0
"""From processing baseline 04.00 on, files carry reflectance * 10000 + 1000 (ESA PSD:
BOA_ADD_OFFSET for level 2A, RADIO_ADD_OFFSET for level 1C)."""
_OFFSET = -0.1
_IN_NAME = re.compile(r"_N(\d{2})\.?(\d{2})(?:_|\.|$)")
"""`_N0511_` in the name of a product, `_N05.11` in that of a tile."""


def reflectance_offset(item: Mapping[str, Any], dialect: str, stated: float | None) -> float:
    """Return the offset of a Sentinel-2 item's raw values: 0 or -0.1, or what it states.

    The baseline decides, never the date: old scenes are reprocessed. Earth Search removes the
    offset from the pixels of `sentinel-2-l2a` whatever its items say (Element84/earth-search
    issues 66 and 71), but not from `sentinel-2-c1-l2a`. Copies of its items elsewhere are
    known by `earthsearch:boa_offset_applied`.

    Args:
        item: The STAC item.
        dialect: Of the archive that listed it.
        stated: Offset that its metadata gives for the band; None if it gives none.
    """
    properties = item.get("properties") or {}
    if properties.get("earthsearch:boa_offset_applied") is True:
        return 0.0
    if dialect == "earth-search" and item.get("collection") == "sentinel-2-l2a":
        return 0.0
    if stated is not None:
        return stated
    baseline = _baseline(item, properties)
    return _OFFSET if baseline is not None and baseline >= _FIRST_WITH_OFFSET else 0.0


def _baseline(item: Mapping[str, Any], properties: Mapping[str, Any]) -> float | None:
    for name in ("s2:processing_baseline", "processing:version"):
        if properties.get(name) is not None:
            return finite(properties[name], name)
    for text in (properties.get("s2:product_uri"), properties.get("s2:tile_id"), item["id"]):
        found = _IN_NAME.search(str(text or ""))
        if found is not None:
            return float(f"{found[1]}.{found[2]}")
    return None
