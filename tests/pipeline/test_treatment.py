"""What is done to pixels travels as JSON; nothing asked leaves no trace."""

import json

import pytest

from pipeline.coregister import Acceptance
from pipeline.harmonize import Wish
from pipeline.treatment import UNTREATED, HazeRule, Registration, Treatment


def test_doing_nothing_is_not_mentioned():
    assert UNTREATED.to_json() == {}
    assert Treatment.from_json({}) == UNTREATED


@pytest.mark.parametrize(
    "treatment",
    [
        Treatment(dilate_m=90.0, snow="unusable"),
        Treatment(noise_floor_db=-35.0),
        Treatment(wish=Wish(like="oli", nadir_sun_zenith_deg=30.0)),
        Treatment(registration=Registration(to="landsat", max_shift_m=20, required=True)),
        Treatment(haze=HazeRule(to="landsat", action="reject")),
    ],
)
def test_a_treatment_survives_json(treatment):
    text = json.dumps(treatment.to_json())
    assert Treatment.from_json(json.loads(text)) == treatment


def test_a_registration_says_what_it_accepts():
    rule = Registration(to="landsat", max_shift_m=20.0, min_confidence=0.5)
    assert rule.acceptance == Acceptance(max_shift_m=20.0, min_confidence=0.5)
