import json
import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from urllib.parse import quote

import pytest
from distributed import Client

from catalog.errors import SourceUnavailable, SourceUnreadable
from pipeline.fetch import Answer
from pipeline.sandbox.serve.http import Call, LoopbackServer
from pipeline.tokens import (
    Container,
    Token,
    _sas_of,
    container_of,
    earthdata_token,
    sas_token,
)

HOUR = timedelta(hours=1)
URL = "http://tokens.example.org/a/c"


class TokenEndpoint(LoopbackServer):
    """Gives a token that says how many came before it, as the Planetary Computer does."""

    def __init__(self, life_s: float = 3600.0) -> None:
        self.life_s = life_s
        self.given: Counter[str] = Counter()
        self.keys: list[str | None] = []
        super().__init__()

    def respond(self, call: Call):
        container = call.path.rsplit("/", 1)[1]
        self.given[container] += 1
        self.keys.append(call.headers.get("Ocp-Apim-Subscription-Key"))
        expiry = (datetime.now(UTC) + timedelta(seconds=self.life_s)).isoformat()
        said = {"token": f"n={self.given[container]}&sig=canary", "msft:expiry": expiry}
        return 200, {"Content-Type": "application/json"}, json.dumps(said).encode()


@pytest.fixture
def endpoint(monkeypatch):
    monkeypatch.delenv("PC_SDK_SUBSCRIPTION_KEY", raising=False)
    with TokenEndpoint() as server:
        monkeypatch.setenv("PC_SDK_SAS_URL", server.url)
        yield server


def here(name="scenes"):
    return Container("account", name)


# --- what needs a token -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("href", "container"),
    [
        ("https://x.blob.core.windows.net/c/d/e.tif", Container("x", "c")),
        ("https://x.blob.core.windows.net/c/e.tif?v=1", Container("x", "c")),
        ("http://127.0.0.1:80/c/e.tif", Container("127.0.0.1%3A80", "c")),
        ("https://x.blob.core.windows.net/c/e.tif?sig=there", None),
        ("http://x.blob.core.windows.net/c/e.tif", None),
        ("https://x.blob.core.windows.net.evil.org/c/e.tif", None),
        ("https://example.org/c/e.tif", None),
        ("https://x.blob.core.windows.net/", None),
        ("/data/c/e.tif", None),
        ("s3://bucket/c/e.tif", None),
    ],
)
@pytest.mark.usefixtures("endpoint")
def test_only_blobs_of_azure_and_of_loopback_need_a_token(href, container):
    assert container_of(href) == container


def test_a_server_on_loopback_is_never_signed_for_by_the_real_archive(monkeypatch):
    monkeypatch.delenv("PC_SDK_SAS_URL", raising=False)
    assert container_of("http://127.0.0.1:80/c/e.tif") is None


# --- how often one is asked for -----------------------------------------------------------


def test_one_request_serves_all_reads_of_a_container(endpoint):
    texts = {sas_token(here(name)).text for _ in range(5) for name in ("red", "nir")}
    assert texts == {"n=1&sig=canary"}
    assert endpoint.given == {"red": 1, "nir": 1}


def test_threads_that_come_at_once_cost_one_request(endpoint):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: sas_token(here()), range(16)))
    assert endpoint.given["scenes"] == 1


def test_a_token_is_renewed_at_80_percent_of_its_life(endpoint):
    endpoint.life_s = 0.8
    first = sas_token(here())
    # 64 hundredths of a second are 80 percent of its life.
    while time.time() < first.obtained_s + 0.55:
        assert sas_token(here()) == first
    time.sleep(0.15)
    assert sas_token(here()) != first
    assert endpoint.given["scenes"] == 2


@pytest.mark.usefixtures("endpoint")
def test_a_refused_token_is_replaced_once_whoever_was_refused():
    first = sas_token(here())
    with ThreadPoolExecutor(4) as pool:
        others = set(pool.map(lambda _: sas_token(here(), refused=first).text, range(4)))
    assert others == {"n=2&sig=canary"}


def test_a_container_that_refuses_every_token_is_not_asked_without_pause(endpoint):
    began = time.monotonic()
    token = sas_token(here())
    for _ in range(2):
        token = sas_token(here(), refused=token)
    assert 0.9 < time.monotonic() - began < 2
    assert endpoint.given["scenes"] == 3


def read_tokens(url: str, seconds: float) -> list[str]:
    """What a worker sees that needs the token again and again."""
    os.environ["PC_SDK_SAS_URL"] = url
    until, seen = time.monotonic() + seconds, []
    while time.monotonic() < until:
        token = sas_token(here())
        assert token.is_fresh
        seen.append(token.text)
        time.sleep(0.02)
    return seen


def test_all_workers_of_a_cluster_cost_one_request_per_container_and_period(client: Client):
    workers = list(client.scheduler_info()["workers"])
    with TokenEndpoint(life_s=1.0) as server:
        futures = [
            client.submit(read_tokens, server.url, 2.2, pure=False, workers=[worker])
            for worker in workers
        ]
        seen = [set(texts) for texts in client.gather(futures)]
        asked = [request.time_s for request in server.asked("/account/scenes")]
    # 2.2 s need three tokens of 1 s, and none is asked for before 80 percent of that.
    assert len(asked) >= 3
    assert min(b - a for a, b in pairwise(asked)) > 0.75
    assert set.union(*seen) == {f"n={n + 1}&sig=canary" for n in range(len(asked))}


# --- what the endpoint may answer ---------------------------------------------------------


def test_the_subscription_key_goes_along_if_there_is_one(endpoint, monkeypatch):
    sas_token(here("without"))
    monkeypatch.setenv("PC_SDK_SUBSCRIPTION_KEY", "canary-key-1")
    sas_token(here("with"))
    assert endpoint.keys == [None, "canary-key-1"]


def test_the_key_does_not_follow_a_redirect(endpoint, monkeypatch):
    monkeypatch.setenv("PC_SDK_SUBSCRIPTION_KEY", "canary-key-2")
    with TokenEndpoint() as elsewhere:
        endpoint.faults.answer(
            "/account/scenes", 302, headers={"Location": f"{elsewhere.url}/account/scenes"}
        )
        with pytest.raises(SourceUnavailable, match="HTTP 302"):
            sas_token(here())
        assert elsewhere.keys == []


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_endpoint_is_asked_again_as_it_wishes(endpoint, status):
    endpoint.faults.answer("/account/scenes", status, times=3, headers={"Retry-After": "0"})
    assert sas_token(here()).text == "n=1&sig=canary"


def test_a_dropped_connection_is_tried_again(endpoint):
    endpoint.faults.drop("/account/scenes", times=1)
    assert sas_token(here()).text == "n=1&sig=canary"


def test_a_living_token_serves_on_while_no_other_is_to_be_had(endpoint):
    endpoint.life_s = 1.5
    first = sas_token(here())
    endpoint.faults.answer("/account/scenes", 403)
    time.sleep(1.25)
    assert not first.is_fresh
    assert sas_token(here()) == first
    time.sleep(0.3)
    with pytest.raises(SourceUnavailable, match="gave no token: HTTP 403"):
        sas_token(here())


@pytest.mark.parametrize(
    ("status", "error"), [(404, SourceUnreadable), (401, SourceUnavailable)]
)
def test_an_endpoint_without_a_token_says_so(endpoint, status, error):
    endpoint.faults.answer("/account/scenes", status)
    with pytest.raises(error, match=rf"/account/scenes .*HTTP {status}"):
        sas_token(here())


@pytest.mark.parametrize(
    "body",
    [
        b"<html>canary</html>",
        b"[]",
        b"{}",
        b'{"token": "canary"}',
        b'{"token": 1}',
        b'{"token": "canary", "msft:expiry": "soon"}',
    ],
)
def test_an_answer_that_is_no_token_is_refused_and_not_shown(endpoint, body):
    endpoint.faults.answer("/account/scenes", 200, body=body)
    with pytest.raises(SourceUnavailable, match="without a token or its expiry") as refused:
        sas_token(here())
    assert "canary" not in str(refused.value)


def answered(expiry: datetime, *, date: datetime | None) -> Answer:
    said = {"token": "sig=canary", "msft:expiry": expiry.isoformat()}
    headers = {"Date": format_datetime(date)} if date else {}
    return Answer(status=200, headers=headers, body=json.dumps(said).encode())


@pytest.mark.parametrize("ahead", [-5 * HOUR, 5 * HOUR])
def test_the_clock_of_the_endpoint_says_how_long_a_token_lives(ahead):
    theirs = datetime.now(UTC) + ahead
    token = _sas_of(answered(theirs + HOUR, date=theirs), URL)
    assert token.life_s == pytest.approx(3600, abs=2)
    assert token.is_fresh
    assert token.obtained_s == pytest.approx(time.time(), abs=1)


def test_without_its_clock_ours_is_used():
    token = _sas_of(answered(datetime.now(UTC) + HOUR, date=None), URL)
    assert token.life_s == pytest.approx(3600, abs=1)


def test_a_token_that_is_expired_when_it_comes_is_refused_with_both_times():
    now = datetime(2025, 11, 3, 12, 0, tzinfo=UTC)
    with pytest.raises(
        SourceUnavailable, match="expired at 2025-11-03 11:00:00 UTC"
    ) as refused:
        _sas_of(answered(now - HOUR, date=now), URL)
    assert "12:00:00 UTC" in str(refused.value)
    assert "canary" not in str(refused.value)


# --- Earthdata ----------------------------------------------------------------------------


def test_the_earthdata_token_of_the_environment_is_used_as_it_is(monkeypatch):
    monkeypatch.setenv("EARTHDATA_TOKEN", "canary-bearer")
    token = earthdata_token()
    assert token.text == "canary-bearer"
    assert token == earthdata_token()
    assert "canary" not in repr(token)


def test_a_refused_earthdata_token_of_the_environment_has_no_substitute(monkeypatch):
    monkeypatch.setenv("EARTHDATA_TOKEN", "canary-bearer")
    with pytest.raises(SourceUnavailable, match="EARTHDATA_TOKEN; it may have expired") as said:
        earthdata_token(refused=earthdata_token())
    assert "canary" not in str(said.value)


def test_a_login_that_earthdata_cannot_check_is_no_token_and_not_shown(
    monkeypatch, closed_port, tmp_path
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("EARTHDATA_TOKEN", raising=False)
    monkeypatch.setenv("EARTHDATA_USERNAME", "me")
    monkeypatch.setenv("EARTHDATA_PASSWORD", "canary-password")
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port}")
    with pytest.raises(SourceUnavailable, match="EARTHDATA_USERNAME") as said:
        earthdata_token()
    assert "canary" not in str(said.value)
    assert quote("canary-password") not in repr(said.value.__context__)


def test_no_login_at_all_names_the_variables(monkeypatch, tmp_path):
    for name in ("EARTHDATA_TOKEN", "EARTHDATA_USERNAME", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(SourceUnavailable, match="EARTHDATA_TOKEN"):
        earthdata_token()


def test_a_token_does_not_show_itself():
    assert "canary" not in repr(Token(text="canary", obtained_s=0, life_s=1))
