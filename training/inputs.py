"""Which layers and bands of a store a model works on."""

from dataclasses import dataclass
from math import isclose

from catalog.errors import StoreError
from stores.schema import LayerSchema, StoreSchema

MEASURED = ("reflectance", "temperature", "backscatter", "elevation")
"""Kinds of bands that a model can see as they are; classes and quality bits are not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Names of the layers and bands that go into a model and come out of it."""

    condition: str
    """Layer that the model sees, for example `'landsat'`."""
    target: str
    """Layer that the model predicts, for example `'sentinel2'`."""
    bands: tuple[str, ...]
    """Band keys, in the order of the model's channels."""
    extras: tuple[str, ...] = ()
    """More layers that the model sees."""

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of all layers."""
        return (self.condition, self.target, *self.extras)


def choose_inputs(
    schema: StoreSchema,
    *,
    condition: str,
    target: str,
    bands: tuple[str, ...] | None,
    extras: tuple[str, ...],
) -> Inputs:
    """Return the layers and bands to train on, checked against the store.

    Args:
        schema: What the store holds.
        condition: Layer that the model sees.
        target: Layer that the model predicts.
        bands: Band keys; None takes those that both layers have, in the target's order.
        extras: More layers that the model sees.

    Raises:
        StoreError: If a layer or band is missing, the ratio of the pixel sizes is not whole,
            or a layer holds classes.
    """
    seen, wanted = schema.layer(condition), schema.layer(target)
    shared = tuple(k for k in wanted.band_keys if k in seen.band_keys)
    chosen = shared if bands is None else bands
    missing = [k for k in chosen if k not in shared]
    if missing or not chosen:
        raise StoreError(
            f"bands {', '.join(missing) or '(none)'} must be in both layers; {condition!r} has "
            f"{', '.join(seen.band_keys)} and {target!r} has {', '.join(wanted.band_keys)}"
        )
    pixel_ratio(seen, wanted)
    for name in extras:
        layer = schema.layer(name)
        _check_measured(layer)
        pixel_ratio(*sorted((layer, seen), key=lambda x: x.gsd_m, reverse=True))
    return Inputs(condition=condition, target=target, bands=chosen, extras=extras)


def pixel_ratio(coarse: LayerSchema, fine: LayerSchema) -> int:
    """Return how many fine pixels lie along one side of a coarse pixel.

    Raises:
        StoreError: If that is not a whole number.
    """
    ratio = coarse.gsd_m / fine.gsd_m
    if ratio < 1 or not isclose(ratio, round(ratio), abs_tol=1e-6):
        raise StoreError(
            f"layer {coarse.name!r} has {coarse.gsd_m:g} m pixels and {fine.name!r} has "
            f"{fine.gsd_m:g} m: the first must be a whole multiple of the second; rebuild the "
            "store with another gsd_m"
        )
    return round(ratio)


def _check_measured(layer: LayerSchema) -> None:
    odd = [f"{b.key} ({b.kind})" for b in layer.bands if b.kind not in MEASURED]
    if odd:
        raise StoreError(
            f"layer {layer.name!r} holds {', '.join(odd)}; a model sees layers of "
            f"{', '.join(MEASURED)}: leave it out of extras"
        )
