"""What a recipe asks to be done to the pixels of one layer; by default nothing."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from pipeline.coregister import Acceptance
from pipeline.harmonize import Wish

NO_WISH = Wish()
"""Reflectance stays as it is."""
SnowRule = Literal["usable", "unusable"]
HazeAction = Literal["flag", "reject"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """How a layer's scenes are laid on those of another layer."""

    to: str
    """The layer that stays where it is: the anchor."""
    max_shift_m: float = 30.0
    """Larger displacements along an axis are not believed, metres."""
    min_confidence: float = 0.3
    """Least confidence, 0 to 1."""
    required: bool = False
    """Whether a scene whose shift is refused gives way to the next candidate."""

    @property
    def acceptance(self) -> Acceptance:
        """What a shift must be like."""
        return Acceptance(max_shift_m=self.max_shift_m, min_confidence=self.min_confidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class HazeRule:
    """What becomes of a pair that disagrees as hazy pairs do."""

    to: str
    """The layer that is compared with: the anchor."""
    action: HazeAction = "flag"


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """All that is done to the pixels of one layer beyond placing them."""

    dilate_m: float = 0.0
    """Pixels nearer than this to cloud or shadow are not usable either, metres."""
    snow: SnowRule = "usable"
    noise_floor_db: float | None = None
    """Backscatter at or below this is noise and not usable; None keeps all."""
    wish: Wish = NO_WISH
    """Which view and which sensor's bands reflectance is brought to."""
    registration: Registration | None = None
    haze: HazeRule | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what differs from doing nothing, ready for JSON."""
        return {
            f.name: asdict(value) if f.name in _NESTED else value
            for f in fields(self)
            if (value := getattr(self, f.name)) != getattr(UNTREATED, f.name)
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Treatment":
        """Return the treatment that `to_json` described."""
        return cls(
            **{
                name: _NESTED[name](**value) if name in _NESTED else value
                for name, value in data.items()
            }
        )


_NESTED: Mapping[str, type[Any]] = {
    "wish": Wish,
    "registration": Registration,
    "haze": HazeRule,
}
UNTREATED = Treatment()
"""Pixels as the producer delivers them."""
