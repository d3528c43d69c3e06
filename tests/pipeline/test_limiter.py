"""One limit for all workers: requests in flight and per second, as the server counts them."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.request import urlopen

import pytest
from distributed import Client

from pipeline.limiter import Limiter
from pipeline.sandbox.serve.http import Answer, Call, LoopbackServer


class CountingServer(LoopbackServer):
    """Answers after a while, and notes when requests came and how many were there at once."""

    def __init__(self, answer_after_s: float) -> None:
        self.answer_after_s = answer_after_s
        self.came: list[float] = []
        self.present = 0
        self.most_present = 0
        self._count = threading.Lock()
        super().__init__()

    def respond(self, call: Call) -> Answer:
        assert call.method == "GET"
        with self._count:
            self.came.append(time.monotonic())
            self.present += 1
            self.most_present = max(self.most_present, self.present)
        self.wait(self.answer_after_s)
        with self._count:
            self.present -= 1
        return 200, {}, b"ok"

    def most_in(self, seconds: float) -> int:
        came = sorted(self.came)
        return max(sum(t <= other < t + seconds for other in came) for t in came)


def ask_often(url: str, times: int, limiter: Limiter) -> None:
    for _ in range(times):
        with limiter.lease(), urlopen(url) as answer:  # noqa: S310 - a server of this test
            answer.read()


def ask_in_threads(url: str, threads: int, times: int, limiter: Limiter) -> None:
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(ask_often, url, times, limiter) for _ in range(threads)]:
            done.result()


def test_a_process_never_has_more_requests_in_flight_than_the_limit():
    limiter = Limiter(name="in-flight", concurrent=3, per_second=300)
    with CountingServer(0.05) as server:
        ask_in_threads(server.url, 8, 3, limiter)
    assert server.most_present == 3
    assert len(server.came) == 24


def test_a_process_never_begins_more_requests_in_a_second_than_the_limit():
    limiter = Limiter(name="rate", concurrent=5, per_second=12)
    with CountingServer(0) as server:
        ask_in_threads(server.url, 6, 4, limiter)
    # A request may come a little early or late on its way to the server.
    assert server.most_in(0.9) <= 12
    assert server.most_in(0.4) <= 5


def test_workers_of_a_cluster_share_one_limit(client: Client):
    limiter = Limiter(name="shared", concurrent=1, per_second=6)
    with CountingServer(0.02) as server:
        futures = [
            client.submit(ask_often, server.url, 4, limiter, pure=False) for _ in range(3)
        ]
        client.gather(futures)
    assert len(server.came) == 12
    assert server.most_present == 1
    assert server.most_in(0.9) <= 6


def test_a_single_caller_below_the_limit_is_not_slowed():
    limiter = Limiter(name="alone")
    with CountingServer(0) as server:
        began = time.monotonic()
        ask_often(server.url, 30, limiter)
        assert time.monotonic() - began < 3


def test_a_lease_is_given_back_when_the_request_fails():
    limiter = Limiter(name="failing", concurrent=1, per_second=50)
    for _ in range(3):
        with pytest.raises(RuntimeError), limiter.lease():
            raise RuntimeError("no answer")


def test_defaults_stay_below_the_quotas_of_a_project():
    limiter = Limiter()
    assert limiter.leases == 40
    assert limiter.leases / limiter.hold_s <= 100
    assert Limiter(concurrent=40, per_second=10).leases == 10


def test_a_limit_that_lets_nothing_through_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        Limiter(per_second=0)
