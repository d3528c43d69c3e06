"""Claims: the journal of one build, which is its lock and its allocation of shards too.

A claim is created exclusively before the first shard. Whoever resumes a build reads its claim
and does the tasks that have no part yet; nothing is searched again.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from catalog.errors import StoreError
from stores.index import IDENTITY_FIELDS, read_parquet, table_metadata, to_parquet
from stores.objects import Root, create, list_numbers
from stores.schema import SLOTS_PER_SHARD

_PLAN_FIELDS: tuple[pa.Field, ...] = (
    *IDENTITY_FIELDS,
    pa.field("task", pa.int32()),
    pa.field("position", pa.int8()),
    pa.field("reason", pa.string()),
    pa.field("detail", pa.string()),
    pa.field("candidates", pa.string()),
)
PLAN_SCHEMA = pa.schema(_PLAN_FIELDS)
"""Columns that a plan hands to `claim_build`; it may have more.

`task` counts from 0, or is -1 where the plan already rejects the sample for `reason`;
`position` is the place in the task's shard, or -1; `candidates` is a JSON object, layer name
-> list of candidate scenes.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one build will do, in order."""

    number: int
    """Number of the claim, and of the snapshot that it becomes."""
    samples: pa.Table
    """The plan's columns, `shard` and `slot`; -1 where no pixels are asked for."""
    meta: Mapping[str, Any]
    """What decides the pixels: recipe text and hash, scenes, versions."""
    first_shard: int
    n_tasks: int

    @property
    def end_shard(self) -> int:
        """First shard that a later claim may use."""
        return self.first_shard + self.n_tasks

    def shard(self, task: int) -> int:
        """Return the shard that belongs to a task."""
        return self.first_shard + task

    def task_samples(self, task: int) -> pa.Table:
        """Return the samples of one task, in the order of their positions."""
        own = self.samples.filter(pc.equal(self.samples["task"], task))
        return own.sort_by("position")

    def planned_rejects(self) -> pa.Table:
        """Return the samples that the plan rejected."""
        return self.samples.filter(pc.less(self.samples["task"], 0))


def claim_build(root: Root, table: pa.Table, meta: Mapping[str, Any]) -> Claim:
    """Claim the next number of a store for one build.

    Args:
        root: Store to build in.
        table: One row per sample, columns as in `PLAN_SCHEMA`.
        meta: JSON-ready description of what decides the pixels.

    Raises:
        StoreError: If another build is unfinished or was faster, or the plan's tasks do not
            count from 0 or hold two samples at one position.
    """
    n_tasks = _count_tasks(table)
    numbers = claim_numbers(root)  # listed once: a claim made after this takes our number
    _refuse_second_build(root, numbers)
    first_shard = read_claim(root, numbers[-1]).end_shard if numbers else 0
    number = numbers[-1] + 1 if numbers else 1
    claim = Claim(
        number=number,
        samples=_allocate(table, first_shard),
        meta=json.loads(json.dumps(dict(meta))),
        first_shard=first_shard,
        n_tasks=n_tasks,
    )
    journal = {"meta": claim.meta, "first_shard": first_shard, "n_tasks": n_tasks}
    if not create(root, _path(number), to_parquet(claim.samples, {"claim": journal})):
        raise StoreError(
            f"another build took claim {number} of store {root.uri} at this very moment; "
            "run the same command again to join it"
        )
    return read_claim(root, number)


def claim_numbers(root: Root) -> list[int]:
    """Return the numbers of all claims of a store, ascending."""
    return list_numbers(root, "claims", ".parquet")


def read_claim(root: Root, number: int) -> Claim:
    """Return the claim called `number`.

    Raises:
        StoreError: If there is no such claim.
    """
    table = read_parquet(root, _path(number))
    journal = table_metadata(table, "claim")
    return Claim(number=number, samples=table.replace_schema_metadata(None), **journal)


def open_claims(root: Root) -> list[Claim]:
    """Return the claims that are not published yet, oldest first."""
    return [read_claim(root, number) for number in _unpublished(root, claim_numbers(root))]


def unfinished_claim(root: Root) -> Claim | None:
    """Return the claim to resume, or None if all are published."""
    return next(iter(open_claims(root)), None)


def done_tasks(root: Root, claim: Claim) -> set[int]:
    """Return the tasks of a claim whose part is written."""
    shards = list_numbers(root, f"parts/{claim.number:06d}", ".parquet")
    return {shard - claim.first_shard for shard in shards}


def _path(number: int) -> str:
    return f"claims/{number:06d}.parquet"


def _refuse_second_build(root: Root, numbers: list[int]) -> None:
    for number in _unpublished(root, numbers):
        claim = read_claim(root, number)
        done = len(done_tasks(root, claim))
        raise StoreError(
            f"store {root.uri} has an unfinished build: claim {number}, {done} of "
            f"{claim.n_tasks} tasks done; finish it with its own recipe, or use a new path"
        )


def _unpublished(root: Root, numbers: list[int]) -> list[int]:
    published = set(list_numbers(root, "snapshots", ".json"))
    return [number for number in numbers if number not in published]


def _count_tasks(table: pa.Table) -> int:
    _require_columns(table)
    task, position = _integers(table, "task"), _integers(table, "position")
    tasks = np.unique(task[task >= 0])
    if not np.array_equal(tasks, np.arange(len(tasks))):
        raise StoreError(f"tasks of a plan must count from 0 without a gap, got {tasks[:5]}")
    inside = (position >= 0) & (position < SLOTS_PER_SHARD)
    if not inside[task >= 0].all():
        raise StoreError(f"positions of a plan must lie in 0..{SLOTS_PER_SHARD - 1}")
    places = (task * SLOTS_PER_SHARD + position)[task >= 0]
    if len(np.unique(places)) != len(places):
        raise StoreError("a plan must not put two samples at one position of a task")
    if pc.count_distinct(table["sample_id"]).as_py() != len(table):
        raise StoreError("a plan must name each sample once")
    return len(tasks)


def _require_columns(table: pa.Table) -> None:
    missing = [name for name in PLAN_SCHEMA.names if name not in table.column_names]
    taken = [name for name in ("shard", "slot") if name in table.column_names]
    if missing or taken:
        raise StoreError(
            f"a plan lacks the columns {missing[:5]}"
            if missing
            else f"columns {taken} of a plan are given by the claim; leave them out"
        )


def _allocate(table: pa.Table, first_shard: int) -> pa.Table:
    """Return the plan in its declared types, with the columns `shard` and `slot`."""
    extra = [field for field in table.schema if field.name not in PLAN_SCHEMA.names]
    fields = pa.schema([*_PLAN_FIELDS, *extra])
    plan = table.select(fields.names).cast(fields)
    task, position = _integers(plan, "task"), _integers(plan, "position")
    shard = np.where(task >= 0, first_shard + task, -1)
    slot = np.where(task >= 0, shard * SLOTS_PER_SHARD + position, -1)
    plan = plan.append_column("shard", pa.array(shard, pa.int32()))
    return plan.append_column("slot", pa.array(slot, pa.int64()))


def _integers(table: pa.Table, column: str) -> npt.NDArray[np.int64]:
    values: npt.NDArray[np.int64] = table[column].to_numpy().astype(np.int64)
    return values
