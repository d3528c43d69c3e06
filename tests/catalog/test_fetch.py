"""How one document is fetched from servers that fail, lie or never end."""

import gzip
import socket
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import pytest
from requests import Request

from catalog.errors import QueryError
from catalog.providers.fetch import AnswerError, Fetcher, fetch_json
from catalog.providers.query import Retries
from tests.loopback import FileServer

QUICK = Retries(attempts=3, backoff_s=0.001, timeout_s=2)


@pytest.fixture
def files(tmp_path):
    (tmp_path / "doc.json").write_text('{"a": 1}')
    server = FileServer(tmp_path)
    yield server
    server.close()


@contextmanager
def fetching(home, **policy):
    fetcher = Fetcher(
        home, Retries(**{"attempts": 3, "backoff_s": 0.001, "timeout_s": 2} | policy)
    )
    try:
        yield lambda url, **more: fetcher.fetch(Request(more.pop("method", "GET"), url, **more))
    finally:
        fetcher.close()


@contextmanager
def raw_server(*answers):
    """A server that sends these bytes, one answer per connection, slowly if they are pieces."""
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def serve():
        for answer in answers:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                for piece in [answer] if isinstance(answer, bytes) else answer:
                    if stop.wait(0.0 if isinstance(answer, bytes) else 0.02):
                        return
                    try:
                        connection.sendall(piece)
                    except OSError:
                        break

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        stop.set()
        listener.close()
        thread.join(timeout=5)


def test_a_document_comes_as_it_is(files):
    with fetching(files.url) as fetch:
        assert fetch(files.href("doc.json")) == b'{"a": 1}'


def test_a_few_redirects_are_followed_and_a_post_stays_a_post(files):
    for at, to in (("/a", "/b"), ("/b", "c"), ("/c", f"{files.url}/doc.json")):
        files.faults.answer(at, 307, headers={"Location": to})
    with fetching(files.url) as fetch:
        assert fetch(files.href("a")) == b'{"a": 1}'
        files.forget()
        files.faults.answer("/doc.json", 200, body=b"posted")
        assert fetch(files.href("a"), method="POST", json={"bbox": [1]}) == b"posted"
    assert [r.body for r in files.requests] == [{"bbox": [1]}] * 4
    assert {r.method for r in files.requests} == {"POST"}


def test_redirects_without_end_are_an_error(files):
    files.faults.answer("/a", 302, headers={"Location": "/a"})
    with fetching(files.url) as fetch, pytest.raises(AnswerError, match="more than 3 times"):
        fetch(files.href("a"))
    assert len(files.requests) == 4


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/x",
        "http://localhost:1/x",
        "file:///etc/passwd",
        "http://[::1]/x",
    ],
)
def test_a_redirect_into_this_machine_is_not_followed(files, target):
    files.faults.answer("/a", 302, headers={"Location": target})
    with fetching(files.url) as fetch, pytest.raises(AnswerError, match="was sent to"):
        fetch(files.href("a"))
    assert len(files.requests) == 1


def test_a_remote_archive_never_leads_to_loopback(files):
    with (
        fetching("https://stac.example.com/v1") as fetch,
        pytest.raises(AnswerError, match="an address of this very machine"),
    ):
        fetch(files.href("doc.json"))
    assert files.requests == []


def test_a_retry_after_beyond_the_bound_is_an_error_at_once(files):
    files.faults.answer("/doc.json", 429, headers={"Retry-After": "3600"})
    with (
        fetching(files.url) as fetch,
        pytest.raises(AnswerError, match="put off for 3600 s, longer than the 120 s"),
    ):
        fetch(files.href("doc.json"))
    assert len(files.requests) == 1


def test_a_retry_after_may_be_a_date(files):
    past = format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)
    future = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    files.faults.answer("/doc.json", 503, times=1, headers={"Retry-After": past})
    with fetching(files.url) as fetch:
        assert fetch(files.href("doc.json"))
        files.faults.answer("/doc.json", 503, headers={"Retry-After": future})
        with pytest.raises(AnswerError, match="put off for 3"):
            fetch(files.href("doc.json"))


@pytest.mark.parametrize("nonsense", ["soon", "nan", "-5", "1e9", ""])
def test_a_retry_after_that_says_nothing_costs_the_usual_wait(files, nonsense):
    files.faults.answer("/doc.json", 503, times=1, headers={"Retry-After": nonsense})
    with fetching(files.url) as fetch:
        assert fetch(files.href("doc.json"))


def test_waits_double_from_the_third_try_on(files):
    files.faults.answer("/doc.json", 503, times=3)
    with fetching(files.url, attempts=4, backoff_s=0.05) as fetch:
        assert fetch(files.href("doc.json"))
    at = [r.time_s for r in files.requests]
    gaps = [later - earlier for earlier, later in pairwise(at)]
    assert gaps[0] < 0.08
    assert gaps[1] >= 0.1
    assert gaps[2] >= 0.2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405])
def test_a_refusal_is_not_asked_again(files, status):
    files.faults.answer("/doc.json", status, body=b"no \x1b[2J way" * 100)
    with fetching(files.url) as fetch, pytest.raises(AnswerError) as failed:
        fetch(files.href("doc.json"))
    assert f"status {status}" in str(failed.value)
    assert str(failed.value).isprintable()
    assert len(str(failed.value)) < 1000
    assert len(files.requests) == 1


def test_an_answer_that_is_too_large_is_cut_off(files):
    files.faults.answer("/big", 200, body=b"x" * 1_000_000)
    with (
        fetching(files.url, answer_bytes=100_000) as fetch,
        pytest.raises(AnswerError, match="more than 100000 bytes"),
    ):
        fetch(files.href("big"))


def test_an_answer_that_unpacks_to_too_much_is_cut_off(files):
    packed = gzip.compress(b"x" * 50_000_000)
    files.faults.answer("/bomb", 200, body=packed, headers={"Content-Encoding": "gzip"})
    assert len(packed) < 100_000
    with (
        fetching(files.url, answer_bytes=100_000) as fetch,
        pytest.raises(AnswerError, match="more than 100000 bytes"),
    ):
        fetch(files.href("bomb"))


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"


def test_an_answer_that_drips_for_ever_is_given_up():
    with raw_server([HEAD, *([b"x"] * 1000)]) as url, fetching(url, answer_s=0.2) as fetch:
        started = time.monotonic()
        with pytest.raises(AnswerError, match=r"not answered in full within 0\.2 s"):
            fetch(url)
    assert time.monotonic() - started < 2


def test_an_answer_that_breaks_off_is_asked_for_again():
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"
    with raw_server(HEAD + b"half", b"", whole) as url, fetching(url) as fetch:
        assert fetch(url) == b"done"


def test_an_answer_that_always_breaks_off_is_an_error_that_says_so():
    with (
        raw_server(*[HEAD + b"half"] * 3) as url,
        fetching(url) as fetch,
        pytest.raises(AnswerError, match="after 3 tries: the answer broke off"),
    ):
        fetch(url)


def test_a_silent_server_is_given_up():
    with (
        raw_server(*[[b""] * 100] * 2) as url,
        fetching(url, timeout_s=0.1, attempts=2) as fetch,
        pytest.raises(AnswerError, match="after 2 tries"),
    ):
        fetch(url)


def test_a_json_document_is_fetched_whole_or_not_at_all(files, tmp_path):
    assert fetch_json(files.href("doc.json")) == {"a": 1}
    (tmp_path / "page.html").write_text("<html>")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(QueryError, match=r"page.html' is no JSON document"):
        fetch_json(files.href("page.html"))
    with pytest.raises(QueryError, match=r"deep.json' is no JSON document"):
        fetch_json(files.href("deep.json"))
    with pytest.raises(QueryError, match=r"none.json' was answered with status 404"):
        fetch_json(files.href("none.json?sig=secret"), retries=QUICK)
