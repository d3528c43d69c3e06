"""Work out what a recipe asks to be done to pixels, and refuse what cannot be done."""

from collections.abc import Mapping
from dataclasses import replace

from catalog.errors import nearest_choice
from catalog.product import Product
from catalog.products import find_product
from pipeline.harmonize import NATURES, Wish
from pipeline.haze import VISIBLE
from pipeline.pairing import shared_witnesses
from pipeline.recipe_door import Door
from pipeline.recipe_file import CoregisterSection, HarmonizeSection, LayerSection, RecipeFile
from pipeline.recipe_terms import Calendar, Layer
from pipeline.treatment import HazeRule, Registration, Treatment
from pipeline.validity import SNOW


def resolve_treatments(
    file: RecipeFile, layers: Mapping[str, Layer], anchor: str | Calendar, door: Door
) -> dict[str, Layer]:
    """Return the layers with what is done to their pixels."""
    for name, section in file.layers.items():
        _check_validity(name, section, door)
    wish = _wish(file.harmonize, layers, door)
    companions = _companions(file, layers, anchor, door)
    moving = _moving(file.coregister, companions, layers, anchor, door)
    compared = _compared(file, companions, layers, anchor, door)
    return {
        name: replace(
            layer,
            treatment=Treatment(
                dilate_m=file.layers[name].dilate_m,
                snow=file.layers[name].snow,
                noise_floor_db=file.layers[name].noise_floor_db,
                wish=wish if layer.product in NATURES and _reflects(layer) else Wish(),
                registration=moving.get(name),
                haze=compared.get(name),
            ),
        )
        for name, layer in layers.items()
    }


def _check_validity(name: str, section: LayerSection, door: Door) -> None:
    product = find_product(section.product)
    if section.snow == "unusable" and product.quality.rule not in SNOW:
        door.refuse(
            f"layers.{name}.snow", f"no band of {product.key!r} tells snow; leave the key out"
        )
    if section.dilate_m and product.quality.band is None:
        door.refuse(
            f"layers.{name}.dilate_m",
            f"{product.key!r} has no mask of clouds to widen; leave the key out",
        )
    floors = section.noise_floor_db is not None
    if floors and product.band(section.bands[0]).kind != "backscatter":
        door.refuse(
            f"layers.{name}.noise_floor_db",
            f"{section.bands[0]!r} is no backscatter; leave the key out",
        )


def _wish(section: HarmonizeSection | None, layers: Mapping[str, Layer], door: Door) -> Wish:
    if section is None:
        return Wish()
    if section.like is None and section.nadir_sun_zenith_deg is None:
        door.refuse(
            "harmonize", 'it asks for nothing; add like = "oli" or leave the section out'
        )
    if not any(layer.product in NATURES and _reflects(layer) for layer in layers.values()):
        door.refuse(
            "harmonize",
            f"no layer is reflectance of {', '.join(NATURES)}; leave the section out",
        )
    return Wish(like=section.like, nadir_sun_zenith_deg=section.nadir_sun_zenith_deg)


def _companions(
    file: RecipeFile, layers: Mapping[str, Layer], anchor: str | Calendar, door: Door
) -> list[str]:
    """Layers of reflectance within the window that a layer anchors; none under a calendar."""
    asking = [key for key in ("coregister", "haze") if getattr(file, key) is not None]
    if isinstance(anchor, Calendar):
        for key in asking:
            door.refuse(key, "a calendar shows no ground to compare with; anchor a layer")
        return []
    return [
        name
        for name, layer in layers.items()
        if name != anchor and layer.when == "window" and _reflects(layer)
    ]


def _moving(
    section: CoregisterSection | None,
    companions: list[str],
    layers: Mapping[str, Layer],
    anchor: str | Calendar,
    door: Door,
) -> dict[str, Registration]:
    """Layer -> how it is laid on the anchor."""
    if section is None or isinstance(anchor, Calendar) or anchor not in layers:
        return {}
    able = [
        name
        for name in companions
        if shared_witnesses(_keys(layers[anchor]), _keys(layers[name]))
    ]
    if not able:
        door.refuse(
            "coregister",
            f"no layer of reflectance within the window shares a band with {anchor!r}; add "
            "one, or leave the section out",
        )
    for name in section.layers or ():
        if able and name not in able:
            hint = nearest_choice(name, able)
            door.refuse(
                "coregister.layers",
                f"{name!r} is no layer of reflectance within the window that shares a band "
                f"with {anchor!r}; {hint}",
            )
    registration = Registration(
        to=anchor,
        max_shift_m=section.max_shift_m,
        min_confidence=section.min_confidence,
        required=section.required,
    )
    return dict.fromkeys(section.layers or able, registration)


def _compared(
    file: RecipeFile,
    companions: list[str],
    layers: Mapping[str, Layer],
    anchor: str | Calendar,
    door: Door,
) -> dict[str, HazeRule]:
    """Layer -> what becomes of it if it and the anchor disagree as hazy pairs do."""
    if file.haze is None or isinstance(anchor, Calendar) or anchor not in layers:
        return {}
    able = [
        name
        for name in companions
        if all(set(VISIBLE) <= _keys(layers[one]) for one in (anchor, name))
    ]
    if not able:
        door.refuse(
            "haze",
            f"it compares {', '.join(VISIBLE)} of {anchor!r} with those of another layer "
            "within the window, and no layer has them; add them, or leave the section out",
        )
    return dict.fromkeys(able, HazeRule(to=anchor, action=file.haze.action))


def _reflects(layer: Layer) -> bool:
    product: Product = find_product(layer.product)
    return any(product.band(key).kind == "reflectance" for key in layer.bands)


def _keys(layer: Layer) -> set[str]:
    """Its bands of reflectance."""
    product = find_product(layer.product)
    return {key for key in layer.bands if product.band(key).kind == "reflectance"}
