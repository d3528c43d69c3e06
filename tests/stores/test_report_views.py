"""Which pictures a layer gets, and what they show."""

import numpy as np
import pytest

from catalog.products import find_product
from stores.report.pictures import class_color
from stores.report.views import Patch, draw, is_timeless, shared_stretches, views_of
from stores.schema import BandSchema, LayerSchema

TERMS = {"license": "none", "attribution": "nobody", "citation": "tests"}


def layer(product: str, *keys: str, name: str = "shown") -> LayerSchema:
    bands = [find_product(product).band(key) for key in keys]
    kept = bands[0].encoding
    return LayerSchema(
        name=name,
        product=product,
        bands=tuple(BandSchema(key=b.key, kind=b.kind, unit=b.unit) for b in bands),
        dtype=kept.dtype,
        scale=kept.scale,
        offset=kept.offset,
        gsd_m=10,
        size_px=2,
        **TERMS,
    )


def patch(layer: LayerSchema, raw) -> Patch:
    physical = layer.to_physical(np.asarray(raw))
    return Patch(physical, np.isfinite(physical).all(axis=0), layer.band_keys)


def drawn(layer: LayerSchema, raw):
    view, shown = views_of([layer])[0], patch(layer, raw)
    return draw(view, shown, shared_stretches([view], [{layer.name: shown}]))


def test_a_label_of_dynamic_world_has_the_color_of_its_own_code_and_not_of_the_stored_one():
    image = drawn(layer("dynamic-world", "label"), np.array([[[1, 2], [9, 0]]], dtype=np.uint8))
    assert [tuple(pixel[:3]) for pixel in image[0].tolist()] == [class_color(0), class_color(1)]
    assert tuple(image[1, 0, :3].tolist()) == class_color(8)
    assert image[1, 1, 3] == 0, "stored 0 is no data"


def test_probabilities_run_from_none_to_certain_whatever_the_sample_holds():
    shown = layer("dynamic-world", "water")
    low, high = (drawn(shown, np.full((1, 2, 2), v, np.float32)) for v in (0.0, 1.0))
    assert low[0, 0].tolist() == [46, 30, 84, 255]
    assert high[0, 0].tolist() == [253, 231, 37, 255]
    [view] = [v for v in views_of([shown]) if v.subject == "probability"]
    assert view.title == "shown, water"
    assert shared_stretches([view], []).sentence([view]) == "probability: 0 to 1"


def test_each_probability_has_a_picture_of_its_own():
    keys = ("water", "trees", "crops")
    views = views_of([layer("dynamic-world", *keys)])
    assert [v.bands for v in views] == [*((key,) for key in keys), ()]


def test_two_models_of_dust_share_a_stretch_and_dust_shares_none_with_pressure():
    fine = layer("g5nr-aerosol", "dust_aot", name="fine")
    coarse = layer("merra2-aerosol", "dust_aot", name="coarse")
    met = layer("merra2-single-level", "surface_pressure", name="met")
    raws = {fine: [[[0.1, 0.9]]], coarse: [[[0.4, 0.5]]], met: [[[99_000, 101_325]]]}
    patches = [{one.name: patch(one, np.array(raw, np.float32)) for one, raw in raws.items()}]
    views = [v for v in views_of(list(raws)) if v.subject == "atmosphere"]
    stretches = shared_stretches(views, patches)
    assert [str(stretches.ramps[v]) for v in views] == [
        "0.1 to 0.9",
        "0.1 to 0.9",
        "99000 to 101325",
    ]
    assert (
        stretches.sentence(views)
        == "dust_aot: 0.1 to 0.9; surface_pressure: 99000 to 101325 Pa"
    )


def test_a_column_of_dust_weighs_little_and_is_still_seen():
    shown = layer("merra2-aerosol", "dust_mass")
    image = drawn(shown, np.array([[[1.2e-5, 9.8e-5], [5e-5, np.nan]]], np.float32))
    lightness = image[..., :3].sum(axis=-1)
    assert lightness[0, 0] < lightness[1, 0] < lightness[0, 1]
    assert image[1, 1, 3] == 0
    view = views_of([shown])[0]
    stretches = shared_stretches([view], [{"shown": patch(shown, [[[1.2e-5, 9.8e-5]]])}])
    assert stretches.sentence([view]) == "dust_mass: 1e-05 to 0.0001 kg m-2"


@pytest.mark.parametrize(
    ("product", "band", "timeless"),
    [
        ("cop-dem-glo-30", "elevation", True),
        ("usda-cdl", "crop_type", True),
        ("dynamic-world", "label", False),
        ("merra2-aerosol", "dust_aot", False),
    ],
)
def test_gaps_are_told_of_layers_that_are_matched_in_days_or_hours(product, band, timeless):
    assert is_timeless(layer(product, band)) == timeless
