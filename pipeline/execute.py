"""Do one task of a claim from beginning to end: build it, write its shards, then its part."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from pipeline.build import Built, build
from pipeline.task import BuildTask
from stores.arrays import Patches, write_shard
from stores.create import read_schema
from stores.index import IDENTITY_FIELDS, index_schema
from stores.objects import open_root
from stores.parts import write_part
from stores.schema import SLOTS_PER_SHARD, StoreSchema
from stores.statistics import measure


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskReport:
    """What one task did, for progress and the run summary; nothing of it is in the store."""

    task: int
    kept: int
    rejected: Mapping[str, int]
    """Reason -> samples."""
    unreadable: tuple[str, ...]
    """Details of samples lost to, or kept in spite of, unreadable sources."""
    files: int
    blocks: int
    decoded_bytes: int
    seconds: float


def execute(
    task: BuildTask,
    uri: str,
    claim_number: int,
    *,
    builder: Callable[[BuildTask], Built] = build,
) -> TaskReport:
    """Build `task` and write what it yields to the store at `uri`.

    Doing it again writes the same bytes, so a task may be repeated at any time.

    Raises:
        SourceUnavailable: If a source may be readable later; no part is written.
        StoreError: If the store holds other bytes where this task writes.
    """
    started = time.perf_counter()
    root = open_root(uri)
    schema = read_schema(root)
    built = builder(task)
    arrays = {name: Patches(built.pixels[name], built.valid[name]) for name in built.pixels}
    checksums = write_shard(root, schema, task.shard, arrays)
    statistics = {
        layer.name: measure(
            layer.schema, built.pixels[layer.name], built.valid[layer.name], _train(task, built)
        )
        for layer in task.layers
    }
    rows = _rows(task, built, schema)
    write_part(root, claim_number, task.shard, rows, statistics, checksums)
    return _report(task, built, time.perf_counter() - started)


def _train(task: BuildTask, built: Built) -> list[int]:
    """Positions of the kept train samples: statistics must not see any other."""
    return [
        s.position
        for s in task.samples
        if s.split == "train" and built.outcomes[s.position]["status"] == "kept"
    ]


def _rows(task: BuildTask, built: Built, schema: StoreSchema) -> pa.Table:
    rows = []
    for sample in task.samples:
        identity = dict(zip((f.name for f in IDENTITY_FIELDS), sample.identity(), strict=True))
        place = {
            "task": task.number,
            "shard": task.shard,
            "slot": task.shard * SLOTS_PER_SHARD + sample.position,
        }
        rows.append(identity | place | dict(built.outcomes[sample.position]))
    return pa.Table.from_pylist(rows, schema=index_schema(schema))


def _report(task: BuildTask, built: Built, seconds: float) -> TaskReport:
    outcomes = built.outcomes.values()
    return TaskReport(
        task=task.number,
        kept=sum(o["status"] == "kept" for o in outcomes),
        rejected=Counter(o["reason"] for o in outcomes if o["status"] == "rejected"),
        unreadable=tuple(
            o["detail"]
            for o in outcomes
            if o["reason"] == "unreadable source" or o["detail"].startswith("passed over")
        ),
        files=built.count.files,
        blocks=built.count.blocks,
        decoded_bytes=built.count.decoded_bytes,
        seconds=seconds,
    )
