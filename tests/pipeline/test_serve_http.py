"""Loopback servers: ranges, faults by plan and by share, what is counted."""

import time
from http.client import IncompleteRead, RemoteDisconnected
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from pipeline.sandbox.serve.faults import Faults
from pipeline.sandbox.serve.files import FileServer

OPENER = build_opener(ProxyHandler({}))
BYTES = bytes(range(256)) * 4


@pytest.fixture
def server(tmp_path):
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "x.tif").write_bytes(BYTES)
    (tmp_path / "inside").mkdir()
    with FileServer(tmp_path) as server:
        yield server


def get(url, **headers):
    asked = Request(url, headers=headers)  # noqa: S310 - loopback
    with OPENER.open(asked, timeout=10) as answer:
        return answer.status, answer.headers, answer.read()


def status_of(url, **headers):
    try:
        return get(url, **headers)[0]
    except HTTPError as err:
        with err:
            return err.code


@pytest.mark.parametrize(
    ("asked", "first", "stop"),
    [("bytes=0-9", 0, 10), ("bytes=1000-", 1000, 1024), ("bytes=-24", 1000, 1024)],
)
def test_ranges_are_answered_as_servers_of_files_do(server, asked, first, stop):
    status, headers, body = get(server.href("a%20b/x.tif"), Range=asked)
    assert (status, body) == (206, BYTES[first:stop])
    assert headers["Content-Range"] == f"bytes {first}-{stop - 1}/1024"


def test_what_lies_outside_of_the_folder_is_not_served(server, tmp_path):
    (tmp_path.parent / "secret.tif").write_bytes(b"no")
    assert status_of(server.href("inside/../../secret.tif")) == 404
    assert status_of(server.href("%2e%2e/secret.tif")) == 404
    assert status_of(server.href("a%20b/x.tif"), Range="bytes=2000-") == 416


def test_requests_and_bytes_are_counted(server):
    get(server.href("a%20b/x.tif"))
    get(server.href("a%20b/x.tif"), Range="bytes=0-99")
    assert server.sent_bytes == 1024 + 100
    assert [r.byte_range for r in server.requests] == [None, "bytes=0-99"]
    server.forget()
    assert server.requests == []


def test_a_dropped_connection_ends_before_or_within_the_answer(server):
    path = "/a%20b/x.tif"
    server.faults.drop(path, times=1)
    server.faults.drop(path, times=1, after_bytes=100)
    with pytest.raises(RemoteDisconnected):
        get(server.href("a%20b/x.tif"))
    with pytest.raises(IncompleteRead) as cut:
        get(server.href("a%20b/x.tif"))
    assert cut.value.partial == BYTES[:100]
    assert get(server.href("a%20b/x.tif"))[2] == BYTES
    assert [r.status for r in server.requests] == [0, 200, 200]


def test_a_slow_answer_is_true_and_does_not_hold_up_the_end(server):
    server.faults.wait("/a%20b/x.tif", 0.2, times=1)
    start = time.monotonic()
    assert get(server.href("a%20b/x.tif"))[2] == BYTES
    assert time.monotonic() - start >= 0.2


def test_a_share_of_all_requests_fails_whatever_their_order():
    def taken(order):
        faults = Faults()
        faults.fail_share(1 / 3, seed=5)
        found = {}
        for path in order:
            fault = faults.take(path)
            found.setdefault(path, []).append(fault.answer and fault.answer[0])
        return found

    paths = [f"/{number}" for number in range(300)]
    once = taken(paths * 4)
    answers = [answer for row in once.values() for answer in row]
    assert {429, 503, None} == set(answers)
    assert 0.28 < sum(answer is not None for answer in answers) / len(answers) < 0.38
    assert taken(sorted(paths * 4, reverse=True)) == once


def test_a_request_that_is_repeated_is_answered_in_the_end():
    faults = Faults()
    faults.fail_share(1.0, retry_after="1")
    answers = [faults.take("/x").answer for _ in range(4)]
    assert [answer is None for answer in answers] == [False, False, False, True]
    assert answers[0][1] == {"Retry-After": "1"}


def test_faults_of_a_prefix_leave_the_rest_alone():
    faults = Faults()
    faults.fail_share(1.0, prefix="/files/")
    assert faults.take("/stac/search").answer is None
    assert faults.take("/files/x").answer is not None
    faults.clear()
    assert faults.take("/files/x").answer is None
