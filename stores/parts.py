"""Parts: what one finished task reports, written after its shards."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from catalog.errors import StoreError
from stores.create import read_schema
from stores.index import (
    KEPT,
    REJECTED,
    conform,
    index_schema,
    read_parquet,
    table_metadata,
    to_parquet,
)
from stores.objects import Root, put_new
from stores.schema import SLOTS_PER_SHARD
from stores.statistics import TaskStatistics, statistics_from_json, statistics_to_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one task did."""

    rows: pa.Table
    """One row per sample of the task, columns as in `index_schema`."""
    statistics: TaskStatistics
    """Of the task's kept train samples."""
    checksums: Mapping[str, str]
    """Path -> SHA-256 of each shard object."""


def write_part(
    root: Root,
    claim_number: int,
    shard: int,
    rows: pa.Table,
    statistics: TaskStatistics,
    checksums: Mapping[str, str],
) -> None:
    """Write the part of the task that owns `shard`; the task is then done.

    Args:
        root: Store to write to.
        claim_number: Claim that the task belongs to.
        shard: Shard that the task has written.
        rows: One row per sample of the task, columns as in `index_schema`.
        statistics: Of the task's kept train samples.
        checksums: Path -> SHA-256 of each shard object, from `write_shard`.

    Raises:
        StoreError: If the rows do not fit the index or the shard, or the part exists with
            other bytes.
    """
    path = part_path(claim_number, shard)
    table = conform(rows, index_schema(read_schema(root)), f"part {path}").sort_by("sample_id")
    _check_rows(table, shard, path)
    metadata = {"statistics": statistics_to_json(statistics), "checksums": dict(checksums)}
    put_new(root, path, to_parquet(table, metadata))


def read_part(root: Root, claim_number: int, shard: int) -> Part:
    """Return the part of the task that owns `shard`.

    Raises:
        StoreError: If the task is not done.
    """
    table = read_parquet(root, part_path(claim_number, shard))
    return Part(
        rows=table,
        statistics=statistics_from_json(table_metadata(table, "statistics")),
        checksums=table_metadata(table, "checksums"),
    )


def part_path(claim_number: int, shard: int) -> str:
    """Return where the part of the task that owns `shard` lies in a store."""
    return f"parts/{claim_number:06d}/{shard:06d}.parquet"


def _check_rows(table: pa.Table, shard: int, path: str) -> None:
    statuses = set(table["status"].to_pylist())
    if not statuses <= {KEPT, REJECTED}:
        raise StoreError(f"part {path}: status must be kept or rejected, got {statuses}")
    kept = table.filter(pc.equal(table["status"], KEPT))
    slots = kept["slot"].to_numpy()
    if not np.array_equal(slots // SLOTS_PER_SHARD, np.full(len(slots), shard)):
        raise StoreError(
            f"part {path}: kept samples must lie in slots {shard * SLOTS_PER_SHARD} to "
            f"{(shard + 1) * SLOTS_PER_SHARD - 1}, got {sorted(set(slots.tolist()))[:5]}"
        )
    silent = table.filter(
        pc.and_(pc.not_equal(table["status"], KEPT), pc.equal(table["reason"], ""))
    )
    if len(silent):
        raise StoreError(
            f"part {path}: rejected without a reason: {silent['sample_id'].to_pylist()[:5]}"
        )
