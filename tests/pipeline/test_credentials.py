import json

import pytest

from catalog.errors import RecipeError
from catalog.products import find_product
from catalog.providers.source import KNOWN_SOURCES, Source
from pipeline.credentials import (
    earth_engine_project,
    earthdata_user,
    is_loopback,
    missing_credentials,
    planetary_key,
    require_credentials,
)

OPEN = find_product("sentinel-2-l2a")
CANARY = "canary-2f81"
VARIABLES = (
    "EARTHDATA_TOKEN",
    "EARTHDATA_USERNAME",
    "EARTHDATA_PASSWORD",
    "NETRC",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "CPL_AWS_CREDENTIALS_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_CLOUD_PROJECT",
    "EE_PROJECT_ID",
    "CLOUDSDK_CONFIG",
    "PC_SDK_SUBSCRIPTION_KEY",
)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A machine without any login; files of the user are in the folder returned."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("pipeline.credentials._VENDOR", tmp_path / "no-cloud")
    return tmp_path


def source(access, *, listing="stac", url="https://stac.example.org", project=None):
    return Source(
        name="there", listing=listing, url=url, dialect="stac", access=access, project=project
    )


def lacks(access, **more):
    return missing_credentials([(source(access, **more), OPEN)])


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("access", ["open", "planetary-computer"])
def test_open_and_signed_archives_need_nothing(access):
    assert lacks(access) == []


@pytest.mark.parametrize(
    ("access", "variables", "page"),
    [
        ("earthdata", ["EARTHDATA_TOKEN", "EARTHDATA_USERNAME", ".netrc"], "urs.earthdata"),
        ("requester-pays", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"], "docs.aws"),
        ("earth-engine", ["GOOGLE_APPLICATION_CREDENTIALS"], "earth-engine/guides/auth"),
    ],
)
def test_a_missing_login_names_the_variables_and_the_page(access, variables, page):
    said = lacks(access, project="mine")
    assert len(said) == 1
    for word in (*variables, page, "https://", "'there'", OPEN.key):
        assert word in said[0]


def test_a_missing_project_is_said_apart():
    [login, project] = lacks("earth-engine")
    assert "GOOGLE_CLOUD_PROJECT" in project
    assert "GOOGLE_CLOUD_PROJECT" not in login


@pytest.mark.parametrize(
    ("access", "variables"),
    [
        ("earthdata", {"EARTHDATA_TOKEN": CANARY}),
        ("earthdata", {"EARTHDATA_USERNAME": "me", "EARTHDATA_PASSWORD": CANARY}),
        ("requester-pays", {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": CANARY}),
        ("requester-pays", {"AWS_WEB_IDENTITY_TOKEN_FILE": "/run/token"}),
    ],
)
def test_a_login_in_the_environment_is_found(monkeypatch, access, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert lacks(access) == []


@pytest.mark.parametrize(
    ("access", "name"),
    [("earthdata", "EARTHDATA_USERNAME"), ("requester-pays", "AWS_ACCESS_KEY_ID")],
)
def test_half_a_login_is_none(monkeypatch, access, name):
    monkeypatch.setenv(name, "me")
    assert len(lacks(access)) == 1


def test_the_providers_own_files_are_found(home):
    write(home / ".netrc", f"machine urs.earthdata.nasa.gov login me password {CANARY}\n")
    write(home / ".aws" / "credentials", f"[default]\naws_secret_access_key = {CANARY}\n")
    write(home / ".config" / "earthengine" / "credentials", json.dumps({"project": "p-1"}))
    assert lacks("earthdata") == lacks("requester-pays") == lacks("earth-engine") == []
    assert earthdata_user() == ("me", CANARY)
    assert earth_engine_project() == "p-1"


def test_netrc_for_another_machine_or_out_of_shape_is_no_login(home):
    write(home / ".netrc", f"machine example.org login me password {CANARY}\n")
    assert earthdata_user() is None
    write(home / ".netrc", f"nonsense {CANARY}\n")
    assert earthdata_user() is None


def test_a_key_file_that_is_named_but_missing_is_no_login(home, monkeypatch):
    write(home / ".config" / "earthengine" / "credentials", "{}")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(home / "gone.json"))
    assert len(lacks("earth-engine", project="mine")) == 1


def test_the_project_of_the_recipe_goes_first(home, monkeypatch):
    key = write(home / "key.json", json.dumps({"project_id": "of-the-key"}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    assert earth_engine_project() == "of-the-key"
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "of-the-shell")
    assert earth_engine_project() == "of-the-shell"
    assert earth_engine_project(source("earth-engine", project="mine")) == "mine"


def test_the_planetary_computer_key_may_be_in_its_own_file(home, monkeypatch):
    assert planetary_key() is None
    write(home / ".planetarycomputer" / "settings.env", f'PC_SDK_SUBSCRIPTION_KEY="{CANARY}"')
    assert planetary_key() == CANARY
    monkeypatch.setenv("PC_SDK_SUBSCRIPTION_KEY", "other")
    assert planetary_key() == "other"


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/x", "http://localhost/", "/data/copy"])
def test_an_archive_on_this_machine_needs_nothing(url):
    assert lacks("earthdata", url=url) == lacks("earth-engine", url=url) == []


def test_an_archive_listed_by_cmr_needs_an_earthdata_login():
    assert "EARTHDATA_TOKEN" in lacks("open", listing="cmr")[0]


def test_products_of_one_archive_are_said_together():
    both = [(source("earthdata"), OPEN), (source("earthdata"), find_product("landsat-c2-l2"))]
    [said] = missing_credentials([*both, *both])
    assert said.startswith("sentinel-2-l2a, landsat-c2-l2 from 'there'")


def test_work_is_refused_before_it_begins():
    with pytest.raises(RecipeError, match="EARTHDATA_TOKEN") as refused:
        require_credentials([(source("earthdata"), OPEN), (source("requester-pays"), OPEN)])
    assert "AWS_ACCESS_KEY_ID" in str(refused.value)
    require_credentials([(KNOWN_SOURCES["earth-search"], OPEN)])


@pytest.mark.parametrize(
    "url",
    ["https://a.nasa.gov", "http://10.0.0.1/", "http://127.0.0.1.evil.org", "http://[", ""],
)
def test_other_machines_are_not_loopback(url):
    assert not is_loopback(url)
