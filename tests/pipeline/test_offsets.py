import numpy as np
import pytest

from pipeline.offsets import judge, weigh

VEGETATION, SOIL, WATER, SNOW = 4, 5, 6, 11


def ground(reflectance, offset_dn, scene_class, *, shape=(40, 40), seed=0):
    rng = np.random.default_rng(seed)
    noisy = reflectance + rng.normal(0, 0.01, shape)
    raw = np.clip(np.rint(noisy * 10000) + offset_dn, 1, None).astype(np.uint16)
    return raw, np.full(shape, scene_class, np.uint8)


@pytest.mark.parametrize("reflectance", [0.02, 0.04, 0.07])
@pytest.mark.parametrize("scene_class", [2, VEGETATION, WATER])
def test_dark_ground_tells_both_cases_apart(reflectance, scene_class):
    assert weigh(*ground(reflectance, 0, scene_class), 0) == "absent"
    assert weigh(*ground(reflectance, 1000, scene_class), 0) == "carried"


@pytest.mark.parametrize("scene_class", [SOIL, SNOW, 8, 9, 0])
def test_bright_ground_cloud_and_snow_tell_nothing(scene_class):
    assert weigh(*ground(0.3, 0, scene_class), 0) == "none"
    assert weigh(*ground(0.3, 1000, scene_class), 0) == "none"


def test_a_few_dark_pixels_in_a_desert_are_too_few():
    raw, classes = ground(0.4, 1000, SOIL)
    raw[:7, :7], classes[:7, :7] = 1200, VEGETATION
    assert weigh(raw, classes, 0) == "none"
    raw[:8, :8], classes[:8, :8] = 1200, VEGETATION
    assert weigh(raw, classes, 0) == "carried"


def test_missing_pixels_are_no_evidence():
    raw, classes = ground(0.03, 1000, VEGETATION)
    raw[:20] = 0
    assert weigh(raw, classes, 0) == "carried"
    assert weigh(np.zeros_like(raw), classes, 0) == "none"


@pytest.mark.parametrize(
    ("stated", "evidence", "offset", "word"),
    [
        (0.0, "absent", 0.0, "confirmed"),
        (-0.1, "carried", -0.1, "confirmed"),
        (-0.1, "absent", 0.0, "corrected"),
        (0.0, "carried", -0.1, "corrected"),
        (-0.1, "none", -0.1, "unconfirmed"),
        (0.0, "none", 0.0, "unconfirmed"),
    ],
)
def test_pixels_outvote_metadata_where_they_can_tell(stated, evidence, offset, word):
    verdict = judge(stated, evidence)
    assert (verdict.offset, verdict.word) == (offset, word)
