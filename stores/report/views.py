"""Which pictures a layer is good for, and the stretches that all sensors share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from catalog.products import PRODUCTS
from stores.report.pictures import (
    SAR_STRETCH,
    Flags,
    Floats,
    Rgba,
    Stretch,
    class_picture,
    elevation_picture,
    sar_channels,
    shared_stretch,
    stretched,
    validity_picture,
)
from stores.schema import LayerSchema

Subject = Literal[
    "true color", "false color", "SAR", "temperature", "elevation", "class", "band", "valid"
]
_PERCENT = (0.5, 99.5)
_VISIBLE = ("red", "green", "blue")
_INFRARED = ("nir", "red", "green")
_SINGLE: Mapping[str, Subject] = {
    "reflectance": "band",
    "temperature": "temperature",
    "elevation": "elevation",
    "class": "class",
    "backscatter": "band",
}


@dataclass(frozen=True, slots=True)
class View:
    """One picture per sample: some bands of a layer, shown in one way."""

    subject: Subject
    layer: str
    bands: tuple[str, ...] = ()
    timeless: bool = False
    """Whether the gap to the anchor means nothing, as for elevation and labels."""

    @property
    def title(self) -> str:
        """What is shown, and of which layer."""
        named = self.subject in ("class", "band", "temperature")
        shown = self.bands[0] if named else self.subject
        return self.layer if shown == self.layer else f"{self.layer}, {shown}"


@dataclass(frozen=True, slots=True)
class Patch:
    """One layer of one sample."""

    physical: Floats
    """`(band, y, x)`, physical units, NaN = no data; unusable pixels are still there."""
    valid: Flags
    """`(y, x)`, True = usable."""
    bands: tuple[str, ...]

    def pick(self, keys: Sequence[str]) -> Floats:
        """Return the bands `keys`, `(len(keys), y, x)`."""
        return self.physical[[self.bands.index(k) for k in keys]]

    def usable(self, keys: Sequence[str]) -> Floats:
        """Return the bands `keys`, NaN where the patch is not usable."""
        return np.where(self.valid, self.pick(keys), np.nan)


def views_of(layers: Sequence[LayerSchema]) -> list[View]:
    """Return the pictures a store can show, those of one subject beside each other."""
    order: dict[Subject, list[View]] = {}
    for layer in layers:
        for view in _views_of_layer(layer):
            order.setdefault(view.subject, []).append(view)
    subjects: tuple[Subject, ...] = (
        "true color",
        "false color",
        "SAR",
        "band",
        "temperature",
        "elevation",
        "class",
        "valid",
    )
    return [view for subject in subjects for view in order.get(subject, [])]


def is_timeless(layer: LayerSchema) -> bool:
    """Return whether a layer's product is not matched in time, as elevation and labels are."""
    product = PRODUCTS.get(layer.product)
    return product is not None and product.when != "window"


def _views_of_layer(layer: LayerSchema) -> list[View]:
    has = set(layer.band_keys)
    views: list[View] = []
    if has.issuperset(_VISIBLE):
        views.append(View("true color", layer.name, _VISIBLE))
    if has.issuperset(_INFRARED):
        views.append(View("false color", layer.name, _INFRARED))
    if has.issuperset(("vv", "vh")):
        views.append(View("SAR", layer.name, ("vv", "vh")))
    if not views:
        still = is_timeless(layer)
        views += [
            View(_SINGLE.get(b.kind, "band"), layer.name, (b.key,), still) for b in layer.bands
        ]
    return [*views, View("valid", layer.name)]


@dataclass(frozen=True, slots=True)
class Stretches:
    """The stretches of one report: one per quantity, whatever the sensor."""

    visible: Stretch
    """Red, green and blue reflectance."""
    infrared: Stretch
    """Near infrared, red and green reflectance."""
    temperature: Stretch
    elevation: Stretch

    def of(self, subject: Subject) -> Stretch:
        """Return the stretch of a subject that is shown as plain channels."""
        special = {"false color": self.infrared, "temperature": self.temperature}
        return special.get(subject, self.visible)

    def sentence(self, views: Sequence[View]) -> str:
        """Return what the pictures of `views` show as black and as full color."""
        subjects = {v.subject for v in views}
        parts = []
        if "true color" in subjects:
            parts.append(f"true color: reflectance {self.visible} in all three bands")
        if "false color" in subjects:
            near, red = self.infrared, f"{self.visible}"
            parts.append(
                f"false color: NIR {near.low[0]:g} to {near.high[0]:g}, red and green {red}"
            )
        if "SAR" in subjects:
            parts.append(f"SAR: VV, VH and VV − VH, {SAR_STRETCH} dB")
        if "temperature" in subjects:
            parts.append(f"temperature: {self.temperature} K")
        if "elevation" in subjects:
            parts.append(f"elevation: {self.elevation} m")
        return "; ".join(parts)


def shared_stretches(
    views: Sequence[View], patches: Sequence[Mapping[str, Patch]]
) -> Stretches:
    """Return stretches from the usable pixels of all samples and sensors that are shown.

    Args:
        views: The pictures to be shown.
        patches: Per sample, layer name -> patch; a layer may be missing.
    """

    def pool(subjects: tuple[Subject, ...], channels: slice) -> list[Floats]:
        chosen = [v for v in views if v.subject in subjects]
        found = [(v, p[v.layer]) for v in chosen for p in patches if v.layer in p]
        return [patch.usable(view.bands[channels]) for view, patch in found]

    everything = slice(None)
    visible = shared_stretch(pool(("true color", "band"), everything), _PERCENT)
    if not any(v.subject == "true color" for v in views):
        visible = shared_stretch(pool(("false color", "band"), slice(1, None)), _PERCENT)
    near = shared_stretch(pool(("false color",), slice(0, 1)), _PERCENT)
    infrared = Stretch(
        (near.low[0], visible.low[0], visible.low[0]),
        (near.high[0], visible.high[0], visible.high[0]),
    )
    temperature = shared_stretch(pool(("temperature",), everything), _PERCENT)
    elevation = shared_stretch(pool(("elevation",), everything), (0, 100))
    return Stretches(visible, infrared, temperature, elevation)


def draw(view: View, patch: Patch, stretches: Stretches) -> Rgba:
    """Return the picture of one view of one patch, pixel for pixel."""
    if view.subject == "valid":
        present = np.logical_or.reduce(np.isfinite(patch.physical), axis=0)
        return validity_picture(patch.valid, present)
    channels = patch.pick(view.bands)
    match view.subject:
        case "SAR":
            return stretched(sar_channels(channels[0], channels[1]), SAR_STRETCH)
        case "elevation":
            return elevation_picture(channels[0], stretches.elevation)
        case "class":
            return class_picture(channels[0])
        case "false color" | "temperature" | "true color" | "band":
            return stretched(channels, stretches.of(view.subject))
