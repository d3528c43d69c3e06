from rich.console import Console

from pipeline.doctor import describe_checks, run_checks


def test_it_finds_what_the_tests_themselves_need():
    states = {check.what: check.state for check in run_checks()}
    assert states["Python"] == states["GDAL"] == states["STAC server"] == "ok"
    assert states["model half"] == "ok"


def test_a_missing_login_is_optional_and_says_what_to_set(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    [check] = [check for check in run_checks() if check.what == "AWS"]
    assert check.state == "optional"
    assert "AWS_ACCESS_KEY_ID" in check.said


def test_no_secret_is_shown(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "canary-4712")
    console = Console(record=True, quiet=True)
    console.print(describe_checks(run_checks()))
    said = " ".join(str(check.facts()) for check in run_checks()) + console.export_text()
    assert "canary" not in said
