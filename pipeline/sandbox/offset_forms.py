"""How archives deal with the radiometric offset of Sentinel-2, rightly and wrongly."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

OffsetForm = Literal["plain", "carried", "removed", "removed-unsaid", "carried-unsaid"]
"""How a Sentinel-2 scene deals with the offset of 1000; see `OFFSET_FORMS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OffsetRule:
    """What pixels and items hold of the offset that baselines from 4.00 on add."""

    baseline: str
    offset: float
    """`reflectance = raw / 10000 + offset`, of the pixels."""
    stated: float
    """The same, by the item."""
    flag: bool | None
    """`earthsearch:boa_offset_applied` of the item; None if it has none."""


OFFSET_FORMS: Mapping[OffsetForm, OffsetRule] = MappingProxyType(
    {
        "plain": OffsetRule(baseline="03.01", offset=0.0, stated=0.0, flag=None),
        "carried": OffsetRule(baseline="05.00", offset=-0.1, stated=-0.1, flag=None),
        "removed": OffsetRule(baseline="05.00", offset=0.0, stated=0.0, flag=True),
        "removed-unsaid": OffsetRule(baseline="05.00", offset=0.0, stated=-0.1, flag=False),
        "carried-unsaid": OffsetRule(baseline="05.00", offset=-0.1, stated=0.0, flag=True),
    }
)
"""Before 4.00; after; taken out as Earth Search does; and the two ways to be wrong about it."""
