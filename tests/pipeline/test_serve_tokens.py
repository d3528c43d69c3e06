"""Signed URLs that expire, and bearer tokens."""

import json
from datetime import datetime
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

import pytest

from pipeline.sandbox.serve.tokens import TokenServer

OPENER = build_opener(ProxyHandler({}))


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


STAY = build_opener(ProxyHandler({}), _Stay())


class Clock:
    """A clock that a test turns."""

    def __init__(self):
        self.now = 1_700_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def server(tmp_path, clock):
    (tmp_path / "x.tif").write_bytes(b"pixels")
    with TokenServer(tmp_path, life_s=60, clock=clock, bearer="canary") as server:
        yield server


def get(url, *, opener=OPENER, **headers):
    try:
        asked = Request(url, headers=headers)  # noqa: S310 - loopback
        with opener.open(asked, timeout=10) as answer:
            return answer.status, answer.read(), answer.headers
    except HTTPError as err:
        with err:
            return err.code, err.read(), err.headers


def token(server, container):
    status, body, _ = get(f"{server.token_url}/account/{container}")
    assert status == 200
    return json.loads(body)


def test_a_token_opens_the_files_of_its_container_until_it_expires(server, clock):
    found = token(server, "landsat")
    expiry = datetime.fromisoformat(found["msft:expiry"]).timestamp()
    assert clock.now + 60 <= expiry <= clock.now + 61
    signed = f"{server.href('x.tif', container='landsat')}?{found['token']}"
    assert get(signed)[:2] == (200, b"pixels")
    assert get(signed, Range="bytes=0-2")[:2] == (206, b"pix")
    clock.now += 61
    assert get(signed)[0] == 403


def test_without_a_token_or_with_a_foreign_or_forged_one_nothing_opens(server):
    plain = server.href("x.tif", container="landsat")
    own = token(server, "landsat")["token"]
    assert get(plain)[0] == 403
    assert get(f"{plain}?{token(server, 'sentinel')['token']}")[0] == 403
    assert get(f"{plain}?{own.replace('se=20', 'se=21')}")[0] == 403
    assert get(f"{plain}?{own}")[0] == 200


def test_requests_for_tokens_are_counted_per_container(server):
    for container in ("a", "b", "a"):
        token(server, container)
    assert server.issuer.issued == {"a": 2, "b": 1}


def test_a_protected_file_wants_the_bearer_token(server):
    url = f"{server.url}/protected/x.tif"
    assert get(url)[0] == 401
    assert get(url, Authorization="Bearer guess")[0] == 401
    assert get(url, Authorization="Bearer canary")[:2] == (200, b"pixels")


def test_a_redirect_leads_to_a_signed_url_that_refuses_the_bearer(server):
    url = f"{server.url}/moved/x.tif"
    assert get(url, opener=STAY)[0] == 401
    status, _, headers = get(url, opener=STAY, Authorization="Bearer canary")
    assert status == 302
    elsewhere = server.url.replace("127.0.0.1", "localhost")
    assert headers["Location"].startswith(f"{elsewhere}/granted/x.tif?")
    assert get(headers["Location"])[:2] == (200, b"pixels")
    assert get(headers["Location"], Authorization="Bearer canary")[0] == 400
