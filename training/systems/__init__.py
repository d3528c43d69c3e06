"""The systems: each builds its network, computes its loss and predicts."""

from collections.abc import Mapping
from types import MappingProxyType

from training.systems.sharpen import Sharpen

SYSTEMS: Mapping[str, type[Sharpen]] = MappingProxyType({"sharpen": Sharpen})
"""Every system by its word in a configuration."""
