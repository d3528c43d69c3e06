"""Which pictures a layer is good for, and the stretches that all sensors share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

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
    ramp_picture,
    sar_channels,
    shared_stretch,
    stretched,
    validity_picture,
)
from stores.schema import LayerSchema

Subject = Literal[
    "true color",
    "false color",
    "SAR",
    "band",
    "temperature",
    "elevation",
    "class",
    "probability",
    "atmosphere",
    "valid",
]
"""What a picture shows, in the order of a row of pictures."""
_PERCENT = (0.5, 99.5)
_VISIBLE = ("red", "green", "blue")
_INFRARED = ("nir", "red", "green")
_SINGLE: Mapping[str, Subject] = {
    "reflectance": "band",
    "temperature": "temperature",
    "elevation": "elevation",
    "class": "class",
    "probability": "probability",
    "atmosphere": "atmosphere",
    "backscatter": "band",
}
_NAMED: tuple[Subject, ...] = ("class", "band", "temperature", "probability", "atmosphere")
"""Subjects of which a layer may hold several, told apart by the band."""
_CERTAIN = Stretch((0.0,), (1.0,))
"""All there is of a probability: the same in every report."""


@dataclass(frozen=True, slots=True)
class View:
    """One picture per sample: some bands of a layer, shown in one way."""

    subject: Subject
    layer: str
    bands: tuple[str, ...] = ()
    timeless: bool = False
    """Whether the gap to the anchor means nothing, as for elevation and labels."""
    unit: str = "1"
    """Unit of the band, of pictures that show one."""

    @property
    def title(self) -> str:
        """What is shown, and of which layer."""
        shown = self.bands[0] if self.subject in _NAMED else self.subject
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
    return [view for subject in get_args(Subject) for view in order.get(subject, [])]


def is_timeless(layer: LayerSchema) -> bool:
    """Return whether a layer's product is not matched in time, as elevation and labels are."""
    product = PRODUCTS.get(layer.product)
    return product is not None and product.when in ("static", "year")


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
            View(_SINGLE.get(b.kind, "band"), layer.name, (b.key,), still, b.unit)
            for b in layer.bands
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
    ramps: Mapping[View, Stretch]
    """Stretch of each picture that runs from least to most: probabilities, and fields of the
    atmosphere, each on a stretch of its own that two models share."""

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
        if "probability" in subjects:
            parts.append(f"probability: {_CERTAIN}")
        fields = {v.bands[0]: v for v in views if v.subject == "atmosphere"}
        parts += [
            f"{key}: {self.ramps[view]} {view.unit}".removesuffix(" 1")
            for key, view in fields.items()
        ]
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
    return Stretches(visible, infrared, temperature, elevation, _ramps(views, patches))


def _ramps(
    views: Sequence[View], patches: Sequence[Mapping[str, Patch]]
) -> dict[View, Stretch]:
    found = {view: _CERTAIN for view in views if view.subject == "probability"}
    fields = [view for view in views if view.subject == "atmosphere"]
    stacks: dict[tuple[str, ...], list[Floats]] = {view.bands: [] for view in fields}
    for view in fields:
        stacks[view.bands] += [
            p[view.layer].usable(view.bands) for p in patches if view.layer in p
        ]
    return found | {view: shared_stretch(stacks[view.bands], (0, 100)) for view in fields}


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
        case "probability" | "atmosphere":
            return ramp_picture(channels[0], stretches.ramps[view])
        case "false color" | "temperature" | "true color" | "band":
            return stretched(channels, stretches.of(view.subject))
