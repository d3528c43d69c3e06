import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from distributed import Client, get_worker

from pipeline.exchange import find_exchange


def count_up(key: str, times: int) -> str:
    """Read, then write: without the lock, counts would be lost."""
    exchange = find_exchange()
    for _ in range(times):
        with exchange.lock(key):
            exchange.put(key, str(int(exchange.get(key) or 0) + 1))
    return threading.current_thread().name


def count_up_on_worker(key: str, times: int) -> str:
    count_up(key, times)
    return str(get_worker().address)


def get_on_worker(key: str) -> str | None:
    return find_exchange().get(key)


def test_nothing_is_there_before_it_is_put():
    assert find_exchange().get("never put") is None


def test_threads_of_a_process_share_values_and_locks():
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: count_up("threads", 50), range(4)))
    assert find_exchange().get("threads") == "200"


def test_workers_of_a_cluster_share_values_and_locks(client: Client):
    workers = list(client.scheduler_info()["workers"])
    futures = [
        client.submit(count_up_on_worker, "cluster", 10, pure=False, workers=[worker])
        for worker in workers
        for _ in range(2)
    ]
    assert set(client.gather(futures)) == set(workers)
    found = client.submit(get_on_worker, "cluster", pure=False).result()
    assert found == str(20 * len(workers))


def test_a_cluster_and_this_process_do_not_share(client: Client):
    find_exchange().put("here", "1")
    assert client.submit(get_on_worker, "here", pure=False).result() is None


def test_a_lock_is_free_again_after_a_failure():
    exchange = find_exchange()
    with pytest.raises(RuntimeError), exchange.lock("failing"):
        raise RuntimeError("no token")
    with exchange.lock("failing"):
        exchange.put("failing", "done")
    assert exchange.get("failing") == "done"
