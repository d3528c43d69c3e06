"""The Dask side of a build: a client to hand work to, and tasks kept in flight."""

import logging
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, TypeVar

from dask.system import CPU_COUNT
from distributed import Client, LocalCluster, Worker, WorkerPlugin, as_completed
from distributed.scheduler import KilledWorker

from catalog.errors import QueryError, SourceUnavailable
from pipeline.execute import TaskReport, execute
from pipeline.task import BuildTask

OnReport = Callable[[TaskReport], None]
Execute = Callable[[BuildTask, str, int], TaskReport]

T = TypeVar("T")

_PER_WORKER = 2
"""Tasks in flight per worker: one at work, one waiting, whatever the size of the plan."""


_NOISY = ("distributed.worker", "distributed.worker.state_machine", "distributed.semaphore")


class _OwnWorker(WorkerPlugin):
    """Leaves Ctrl-C to the process that started the worker, which then ends it in order."""

    def setup(self, worker: Worker) -> None:  # noqa: ARG002 - the signature is Dask's
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # A failed task is reported once, by the run, in a sentence.
        for name in _NOISY:
            logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def open_client(scheduler: str | None, *, timeout_s: float = 10.0) -> Iterator[Client]:
    """Yield a client of the scheduler at an address, or of a cluster on this machine.

    Args:
        scheduler: Its address; None starts a worker per core here, and ends them afterwards.
        timeout_s: How long a scheduler may take to answer.

    Raises:
        QueryError: If no scheduler answers at the address.
    """
    if scheduler is None:
        with (
            LocalCluster(  # type: ignore[no-untyped-call]
                n_workers=CPU_COUNT, threads_per_worker=1, dashboard_address=":0"
            ) as cluster,
            Client(cluster) as client,  # type: ignore[no-untyped-call]
        ):
            client.register_plugin(_OwnWorker())
            yield client
        return
    try:
        client = Client(scheduler, timeout=timeout_s)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as err:
        raise QueryError(
            f"no Dask scheduler answers at {scheduler!r}: {err}; start one with "
            f"`dask scheduler`, or leave --scheduler out to use this machine"
        ) from err
    with client:
        yield client


def run_tasks(
    tasks: Sequence[BuildTask],
    uri: str,
    claim_number: int,
    client: Client,
    *,
    on_report: OnReport = lambda _report: None,
    work: Execute = execute,
) -> dict[int, str]:
    """Do tasks on a cluster, a bounded number at a time.

    Args:
        tasks: What to do.
        uri: Store to write to, as the workers see it.
        claim_number: Claim that the tasks belong to.
        client: The cluster.
        on_report: Told of each finished task.
        work: What does one task.

    Returns:
        Number of each task that is left for another run -> why.
    """
    workers = sorted(client.scheduler_info(n_workers=-1)["workers"]) or [None]
    lanes = deal_lanes(tasks, len(workers))
    undone: dict[int, str] = {}
    flights: dict[Any, tuple[int, int]] = {}

    def submit(lane: int) -> Any:  # noqa: ANN401 - distributed has no types
        task = next_of(lanes, lane)
        if task is None:
            return None
        place = {} if workers[lane] is None else {"workers": [workers[lane]]}
        future = client.submit(
            work, task, uri, claim_number, pure=False, allow_other_workers=bool(place), **place
        )
        flights[future.key] = (task.number, lane)
        return future

    first = [submit(lane) for _ in range(_PER_WORKER) for lane in range(len(lanes))]
    flying = as_completed([f for f in first if f is not None])  # type: ignore[no-untyped-call]
    for future in flying:
        number, lane = flights.pop(future.key)
        problem = future.exception()
        if problem is None:
            on_report(future.result())
        elif isinstance(problem, SourceUnavailable | KilledWorker):
            undone[number] = str(problem)
        else:
            raise problem
        following = submit(lane)
        if following is not None:
            flying.add(following)  # type: ignore[no-untyped-call]
    return undone


def deal_lanes(tasks: Sequence[T], count: int) -> list[deque[T]]:
    """Return a stretch of neighbouring tasks for each worker: they share source blocks.

    Example:
        >>> [list(lane) for lane in deal_lanes([1, 2, 3, 4, 5], 2)]
        [[1, 2, 3], [4, 5]]
    """
    edges = [-(-len(tasks) * i // count) for i in range(count + 1)]
    return [deque(tasks[a:b]) for a, b in pairwise(edges)]


def next_of(lanes: Sequence[deque[T]], lane: int) -> T | None:
    """Take the next task of a lane, or the last one of the longest if its own is done."""
    if lanes[lane]:
        return lanes[lane].popleft()
    longest = max(lanes, key=len)
    return longest.pop() if longest else None


def run_in_order(
    tasks: Sequence[BuildTask],
    uri: str,
    claim_number: int,
    *,
    on_report: OnReport = lambda _report: None,
) -> dict[int, str]:
    """Do tasks one after the other in this process; the plain form of `run_tasks`."""
    undone: dict[int, str] = {}
    for task in tasks:
        try:
            on_report(execute(task, uri, claim_number))
        except SourceUnavailable as err:
            undone[task.number] = str(err)
    return undone
