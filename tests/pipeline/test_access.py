import logging
from urllib.parse import unquote

import numpy as np
import pytest

from catalog.errors import SourceUnavailable, SourceUnreadable
from catalog.scene import Asset
from pipeline.access import fetch, file_size, reach, shown
from pipeline.conceal import conceal, scrubbed
from pipeline.fetch import Patience
from pipeline.read import GDAL_OPTIONS, BlockReader, Window
from pipeline.sandbox.serve.files import FileServer
from pipeline.sandbox.serve.http import Answer, Call, LoopbackServer
from pipeline.sandbox.serve.tokens import TokenServer
from tests.rasters import grid_at, write_raster

QUICK = {**GDAL_OPTIONS, "GDAL_HTTP_MAX_RETRY": "1", "GDAL_HTTP_RETRY_DELAY": "0.005"}
HURRY = Patience(tries=3, backoff_s=0.01, timeout_s=5.0)
BEARER = "canary-bearer-0f3a"
CONTENT = bytes(range(256)) * 8


@pytest.fixture
def image(tmp_path):
    values = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    return write_raster(tmp_path / "image.tif", values, transform=grid_at(5e5, 6e6, 10))


@pytest.fixture
def plain(tmp_path):
    (tmp_path / "a.nc").write_bytes(CONTENT)
    with FileServer(tmp_path) as server:
        yield server


@pytest.fixture
def locked(tmp_path, monkeypatch):
    """A server whose files open with its own signatures, or with a bearer token."""
    (tmp_path / "a.nc").write_bytes(CONTENT)
    monkeypatch.setenv("EARTHDATA_TOKEN", BEARER)
    with TokenServer(tmp_path, bearer=BEARER) as server:
        monkeypatch.setenv("PC_SDK_SAS_URL", server.token_url)
        yield server


@pytest.fixture
def no_aws(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def corner(href, access):
    asset = Asset(band="red", href=href, scale=1, offset=0, nodata=None)
    by = BlockReader(gdal_options=QUICK)
    return by.read(asset, lambda _: [Window(0, 0, 4, 4)], access=access)[2][0].values


class Recorder(LoopbackServer):
    """Answers as `serve` says and keeps all headers."""

    def __init__(self, serve) -> None:
        self.serve = serve
        self.calls: list[Call] = []
        super().__init__()

    def respond(self, call: Call) -> Answer:
        self.calls.append(call)
        return self.serve(call)

    def sent(self, header: str) -> set[str | None]:
        return {call.headers.get(header) for call in self.calls}


# --- what GDAL opens ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("href", "access", "path"),
    [
        ("/data/a.tif", "open", "/data/a.tif"),
        ("/data/a.tif", "planetary-computer", "/data/a.tif"),
        ("/data/a.tif", "earthdata", "/data/a.tif"),
        ("https://h/a.tif", "open", "/vsicurl/https://h/a.tif"),
        ("s3://b/k/a.tif", "open", "/vsis3/b/k/a.tif"),
        ("s3://b/k/a.tif", "requester-pays", "/vsis3/b/k/a.tif"),
        ("https://b.s3.us-west-2.amazonaws.com/k/a.tif", "requester-pays", "/vsis3/b/k/a.tif"),
        ("https://b.c.s3.amazonaws.com/k/a.tif", "requester-pays", "/vsis3/b.c/k/a.tif"),
        ("https://s3.eu-central-1.amazonaws.com/b/a.tif", "requester-pays", "/vsis3/b/a.tif"),
        (
            "https://b.s3.amazonaws.com/a.tif",
            "open",
            "/vsicurl/https://b.s3.amazonaws.com/a.tif",
        ),
        ("https://h/a.tif", "planetary-computer", "/vsicurl/https://h/a.tif"),
    ],
)
def test_the_path_for_gdal(href, access, path):
    assert reach(href, access).path == path


@pytest.mark.usefixtures("no_aws")
def test_public_buckets_are_read_unsigned_without_a_login_only(monkeypatch):
    assert reach("s3://b/a.tif", "open").gdal_options == {"AWS_NO_SIGN_REQUEST": "YES"}
    assert "AWS_NO_SIGN_REQUEST" not in reach("s3://b/a.tif", "requester-pays").gdal_options
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "me")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    assert reach("s3://b/a.tif", "open").gdal_options == {}


@pytest.mark.parametrize(
    "href",
    [
        "https://evil.org/a.tif",
        "http://data.nasa.gov/a.tif",
        "https://nasa.gov.evil.org/a.tif",
        "https://evilnasa.gov/a.tif",
        "https://data.nasa.gov@evil.org/a.tif",
        "s3://b/a.tif",
    ],
)
def test_the_bearer_token_is_for_nasas_own_hosts_only(monkeypatch, href):
    monkeypatch.setenv("EARTHDATA_TOKEN", BEARER)
    way = reach(href, "earthdata")
    assert not way.headers
    assert BEARER not in str(dict(way.gdal_options))


def test_nasas_hosts_get_the_bearer_token(monkeypatch):
    monkeypatch.setenv("EARTHDATA_TOKEN", BEARER)
    way = reach("https://data.lpdaac.earthdatacloud.nasa.gov/a/b.tif", "earthdata")
    assert way.headers == {"Authorization": f"Bearer {BEARER}"}
    assert way.gdal_options["GDAL_HTTP_BEARER"] == BEARER
    assert "canary" not in repr(way)


@pytest.mark.parametrize(
    ("href", "said"),
    [
        ("https://me:canary@h:8/a.tif?sig=canary", "https://h:8/a.tif"),
        ("/data/what?.tif", "/data/what?.tif"),
        ("s3://b/k.tif", "s3://b/k.tif"),
    ],
)
def test_messages_show_an_address_without_its_secrets(href, said):
    assert shown(href) == said


# --- rasters through GDAL -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "access"), [("signed", "planetary-computer"), ("protected", "earthdata")]
)
def test_locked_rasters_are_read_with_the_right_key_only(image, locked, path, access):
    href = f"{locked.url}/{path}/{image.name}"
    assert np.array_equal(corner(href, access), corner(str(image), "open"))
    with pytest.raises(SourceUnavailable, match=r"40[13]"):
        corner(href, "open")


def test_a_bearer_token_does_not_follow_a_redirect_to_another_host(image, monkeypatch):
    monkeypatch.setenv("EARTHDATA_TOKEN", BEARER)
    with FileServer(image.parent) as files, Recorder(files.respond) as target:
        to = target.url.replace("127.0.0.1", "localhost")
        with Recorder(lambda c: (302, {"Location": f"{to}{c.path}"}, b"")) as gate:
            found = corner(f"{gate.url}/{image.name}", "earthdata")
            assert fetch(f"{gate.url}/{image.name}", "earthdata") == image.read_bytes()
    assert np.array_equal(found, corner(str(image), "open"))
    assert gate.sent("Authorization") == {f"Bearer {BEARER}"}
    assert target.sent("Authorization") == {None}


def test_the_bearer_token_of_one_read_is_not_sent_by_the_next(image, locked):
    corner(f"{locked.url}/protected/{image.name}", "earthdata")
    with FileServer(image.parent) as files, Recorder(files.respond) as other:
        corner(f"{other.url}/{image.name}", "open")
    assert other.sent("Authorization") == {None}


def test_a_requester_who_pays_signs_and_says_so(image, monkeypatch):
    with FileServer(image.parent) as files:

        def serve(call):
            moved = Call(call.method, call.path.removeprefix("/bucket"), "", call.headers, b"")
            return files.respond(moved)

        with Recorder(serve) as s3:
            monkeypatch.setenv("AWS_S3_ENDPOINT", s3.url.removeprefix("http://"))
            monkeypatch.setenv("AWS_HTTPS", "NO")
            monkeypatch.setenv("AWS_VIRTUAL_HOSTING", "FALSE")
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", "me")
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
            found = corner(f"s3://bucket/{image.name}", "requester-pays")
            assert s3.sent("x-amz-request-payer") == {"requester"}
            assert all("AWS4-HMAC" in str(value) for value in s3.sent("Authorization"))
            s3.calls.clear()
            monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
            monkeypatch.setenv("HOME", str(image.parent))
            assert np.array_equal(corner(f"s3://bucket/{image.name}", "open"), found)
            assert s3.sent("x-amz-request-payer") == s3.sent("Authorization") == {None}


def test_redirects_without_end_are_given_up(image):
    with Recorder(lambda c: (302, {"Location": c.path}, b"")) as loop:
        with pytest.raises((SourceUnavailable, SourceUnreadable)):
            corner(f"{loop.url}/{image.name}", "open")
        assert len(loop.calls) < 200
        loop.calls.clear()
        with pytest.raises(SourceUnreadable, match="redirects more than 5 times"):
            fetch(f"{loop.url}/{image.name}", "open")
        assert len(loop.calls) == 6


def test_a_remote_file_is_never_a_list_of_other_files(image, plain):
    (image.parent / "all.vrt").write_text(
        f'<VRTDataset rasterXSize="64" rasterYSize="64"><SRS>EPSG:32631</SRS>'
        f"<GeoTransform>500000, 10, 0, 6000000, 0, -10</GeoTransform>"
        f'<VRTRasterBand dataType="UInt16" band="1"><SimpleSource><SourceFilename>'
        f"{image}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    assert corner(str(image.parent / "all.vrt"), "open").max() > 0
    with pytest.raises(SourceUnreadable, match="could not be read"):
        corner(plain.href("all.vrt"), "open")


# --- plain HTTP ---------------------------------------------------------------------------


@pytest.mark.parametrize("access", ["open", "planetary-computer", "earthdata"])
def test_files_and_parts_of_them_are_fetched_whatever_the_access(locked, plain, access):
    way = {"open": plain.url, "earthdata": f"{locked.url}/protected"}
    href = f"{way.get(access, f'{locked.url}/signed')}/a.nc"
    assert fetch(href, access) == CONTENT
    assert fetch(href, access, start=10, stop=20) == CONTENT[10:20]
    assert fetch(href, access, start=2040) == CONTENT[2040:]
    assert file_size(href, access) == len(CONTENT)


def test_files_on_disk_are_fetched_alike(tmp_path):
    (tmp_path / "a.nc").write_bytes(CONTENT)
    href = str(tmp_path / "a.nc")
    assert fetch(href, "earthdata") == CONTENT
    assert fetch(href, "open", start=3, stop=5) == CONTENT[3:5]
    assert file_size(href, "open") == len(CONTENT)
    for failing in (fetch, file_size):
        with pytest.raises(SourceUnreadable, match=r"gone\.nc could not be read"):
            failing(str(tmp_path / "gone.nc"), "open")


def test_a_server_that_ignores_ranges_does_not_change_what_is_fetched():
    with Recorder(lambda _: (200, {}, CONTENT)) as server:
        assert fetch(f"{server.url}/a", "open", start=10, stop=20) == CONTENT[10:20]
        assert file_size(f"{server.url}/a", "open") == len(CONTENT)


def test_faults_that_pass_are_waited_for(plain):
    plain.faults.answer("/a.nc", 503, times=1, headers={"Retry-After": "0"})
    plain.faults.drop("/a.nc", times=1, after_bytes=100)
    assert fetch(plain.href("a.nc"), "open", patience=HURRY) == CONTENT


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, SourceUnreadable),
        (410, SourceUnreadable),
        (403, SourceUnavailable),
        (429, SourceUnavailable),
        (500, SourceUnavailable),
    ],
)
def test_faults_that_stay_are_told_apart(plain, status, error):
    plain.faults.answer("/a.nc", status)
    with pytest.raises(error, match=rf"a\.nc could not be .*HTTP {status}"):
        fetch(plain.href("a.nc"), "open", patience=HURRY)


def test_a_server_out_of_reach_is_unavailable(closed_port):
    with pytest.raises(SourceUnavailable, match="in 3 tries: ConnectionError"):
        fetch(f"http://127.0.0.1:{closed_port}/a.nc", "open", patience=HURRY)


def test_a_wait_that_the_server_asks_for_is_bounded():
    policy = Patience(backoff_s=1.0, longest_wait_s=30.0)
    assert policy.wait_s(1, 86400.0) == 30.0
    assert policy.wait_s(1, -5.0) == 0.0
    assert [policy.wait_s(n, None) for n in (1, 2, 3, 9)] == [1.0, 2.0, 4.0, 30.0]


def test_an_answer_that_is_too_large_is_refused(plain):
    with pytest.raises(SourceUnreadable, match="more than 100 bytes"):
        fetch(plain.href("a.nc"), "open", max_bytes=100)


def test_a_refused_signature_is_renewed_once_and_then_given_up(locked):
    fetch(locked.href("a.nc"), "planetary-computer")
    locked.faults.answer("/signed/a.nc", 403, times=1)
    assert fetch(locked.href("a.nc"), "planetary-computer") == CONTENT
    assert locked.issuer.issued["signed"] == 2
    locked.faults.answer("/signed/a.nc", 403)
    locked.forget()
    with pytest.raises(SourceUnavailable, match="403"):
        fetch(locked.href("a.nc"), "planetary-computer")
    assert len(locked.asked("/signed/a.nc")) == 2


@pytest.mark.parametrize("href", ["s3://b/a.nc", "ftp://h/a.nc", "/vsimem/a.nc"])
def test_other_protocols_are_refused(href):
    with pytest.raises(SourceUnreadable, match="over http"):
        fetch(href, "open")


# --- secrets ------------------------------------------------------------------------------


def test_a_concealed_secret_is_left_out_in_all_its_spellings():
    conceal("se=2026-01-01&sig=canary%2Fa%2Bb%3D")
    for text in ("canary/a+b=", "canary%2Fa%2Bb%3D", "canary/a%2Bb%3D"):
        assert "canary" not in scrubbed(f"failed: 'http://h/a.tif?x={text}' (1)")


@pytest.mark.parametrize(
    "text",
    [
        "http://h/a?X-Amz-Signature=canary&b=1",
        "http://h/a?b=1&Signature=canary~A__&Key-Pair-Id=canary",
        "Authorization: Bearer canary.abcdefghijklmnop.123",
    ],
)
def test_what_looks_like_a_signature_is_left_out_though_nobody_named_it(text):
    assert "canary" not in scrubbed(text)


def test_ordinary_text_is_left_alone():
    for text in ("design=modern", "the bearer of this", "a.tif: sigma=3, policy: none"):
        assert scrubbed(text) == text


def test_no_log_record_shows_a_token_at_any_level(locked, image, caplog):
    caplog.set_level(logging.DEBUG)
    href = locked.href(image.name)
    bad = f"{locked.url}/protected/gone.tif"
    corner(href, "planetary-computer")
    fetch(href, "planetary-computer")
    for status in (404, 403, 500):
        locked.faults.answer(f"/signed/{image.name}", status)
        with pytest.raises((SourceUnavailable, SourceUnreadable)):
            corner(href, "planetary-computer")
        with pytest.raises((SourceUnavailable, SourceUnreadable)):
            fetch(href, "planetary-computer", patience=HURRY)
        locked.faults.clear()
    with pytest.raises(SourceUnreadable):
        corner(bad, "earthdata")
    token = reach(href, "planetary-computer").token
    signature = token.text.rpartition("sig=")[2]
    names = {record.name.partition(".")[0] for record in caplog.records}
    assert {"rasterio", "urllib3"} <= names
    for secret in (signature, unquote(signature), BEARER):
        assert secret not in caplog.text
