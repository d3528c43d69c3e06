import pytest
from rich.console import Console

from pipeline.doctor import describe_checks, run_checks


def test_it_finds_what_the_tests_themselves_need():
    states = {check.what: check.state for check in run_checks()}
    assert states["Python"] == states["GDAL"] == states["STAC server"] == "ok"
    assert states["model half"] == "ok"


@pytest.mark.parametrize(
    ("what", "variable"),
    [
        ("NASA Earthdata", "EARTHDATA_TOKEN"),
        ("AWS", "AWS_ACCESS_KEY_ID"),
        ("Earth Engine", "GOOGLE_APPLICATION_CREDENTIALS"),
        ("Earth Engine project", "GOOGLE_CLOUD_PROJECT"),
        ("Planetary Computer key", "PC_SDK_SUBSCRIPTION_KEY"),
    ],
)
def test_a_missing_login_is_optional_and_says_what_to_set(
    monkeypatch, tmp_path, what, variable
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("pipeline.credentials._VENDOR", tmp_path / "no-cloud")
    for name in (variable, "EE_PROJECT_ID", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    [check] = [check for check in run_checks() if check.what == what]
    assert check.state == "optional"
    assert variable in check.said
    assert "https://" in check.said


def test_a_login_that_is_there_is_ok_and_never_shown(monkeypatch):
    for name in (
        "EARTHDATA_TOKEN",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "PC_SDK_SUBSCRIPTION_KEY",
    ):
        monkeypatch.setenv(name, "canary-4712")
    checks = run_checks()
    states = {check.what: check.state for check in checks}
    assert states["NASA Earthdata"] == states["AWS"] == states["Planetary Computer key"] == "ok"
    console = Console(record=True, quiet=True)
    console.print(describe_checks(checks))
    said = " ".join(str(check.facts()) for check in checks) + console.export_text()
    assert "canary" not in said
