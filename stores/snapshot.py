"""Snapshots: immutable, numbered states of a store, and how a finished build becomes one."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from catalog.errors import StoreError
from stores.arrays import (
    Patches,
    grow_arrays,
    open_array,
    reading_context,
)
from stores.claim import Claim, claim_numbers, done_tasks, read_claim
from stores.create import read_schema
from stores.index import (
    KEPT,
    REJECTED,
    absent_layer,
    index_schema,
    parse_parquet,
    to_parquet,
)
from stores.objects import Root, exists, get, list_numbers, put_new, sha256
from stores.parts import Part, read_part
from stores.schema import SLOTS_PER_SHARD, StoreSchema
from stores.statistics import (
    TaskStatistics,
    measure,
    merge_statistics,
    statistics_from_json,
    statistics_to_json,
)

TRAIN = "train"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectName:
    """An object of a store, by path and content."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One state of a store, which never changes."""

    number: int
    parent: int | None
    """Snapshot that this one builds on; None for the first."""
    claim: int
    slots: int
    """Length of every array."""
    kept: int
    """Number of samples with pixels."""
    rejected: int
    """Number of samples without, each with its reason in the index."""
    index: ObjectName
    statistics: ObjectName
    meta: Mapping[str, Any]
    """Meta of the claim: recipe text and hash, scenes, versions."""

    def to_bytes(self) -> bytes:
        """Return the JSON object."""
        return (json.dumps(asdict(self), indent=1, sort_keys=True) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Snapshot":
        """Return the snapshot that `to_bytes` described."""
        fields = json.loads(data)
        index, statistics = (ObjectName(**fields.pop(k)) for k in ("index", "statistics"))
        return cls(index=index, statistics=statistics, **fields)


def snapshot_numbers(root: Root) -> list[int]:
    """Return the numbers of all snapshots of a store, ascending."""
    return list_numbers(root, "snapshots", ".json")


def read_snapshot(root: Root, number: int) -> Snapshot:
    """Return the snapshot called `number`.

    Raises:
        StoreError: If there is no such snapshot; the message lists those there are.
    """
    if not exists(root, _path(number)):
        numbers = ", ".join(str(n) for n in snapshot_numbers(root)) or "none"
        raise StoreError(f"store {root.uri} has no snapshot {number}; it has {numbers}")
    return Snapshot.from_bytes(get(root, _path(number)))


def read_index(root: Root, snapshot: Snapshot) -> pa.Table:
    """Return the index of a snapshot, one row per sample, sorted by `sample_id`."""
    return parse_parquet(_read_checked(root, snapshot.index), snapshot.index.path)


def read_statistics(root: Root, snapshot: Snapshot) -> TaskStatistics:
    """Return the train statistics of a snapshot."""
    return statistics_from_json(json.loads(_read_checked(root, snapshot.statistics)))


def publish(root: Root, claim: Claim) -> Snapshot:
    """Make a finished claim the store's next snapshot.

    The snapshot is created last, so a reader sees all of a build or nothing of it. Doing it
    again returns the same snapshot and writes nothing.

    Raises:
        StoreError: If tasks are missing, or the parts do not hold the claim's samples.
    """
    numbers = snapshot_numbers(root)
    if claim.number in numbers:
        return read_snapshot(root, claim.number)
    _refuse_unfinished(root, claim, numbers)
    schema = read_schema(root)
    parent = read_snapshot(root, numbers[-1]) if numbers else None
    parts = [read_part(root, claim.number, claim.shard(task)) for task in range(claim.n_tasks)]
    before = read_index(root, parent) if parent else index_schema(schema).empty_table()
    index = _merge_index(before, _claim_rows(schema, claim, parts)).cast(index_schema(schema))
    inherited = _inherited_statistics(root, schema, parent, before, index)
    statistics = _fold([inherited, *(part.statistics for part in parts)])
    snapshot = Snapshot(
        number=claim.number,
        parent=parent.number if parent else None,
        claim=claim.number,
        slots=max(claim.end_shard * SLOTS_PER_SHARD, parent.slots if parent else 0),
        kept=_count(index, KEPT),
        rejected=_count(index, REJECTED),
        index=_put_named(root, f"index/{claim.number:06d}.parquet", to_parquet(index, {})),
        statistics=_put_named(
            root, f"statistics/{claim.number:06d}.json", _statistics_bytes(statistics)
        ),
        meta=claim.meta,
    )
    grow_arrays(root, schema, snapshot.slots)
    put_new(root, _path(snapshot.number), snapshot.to_bytes())
    return snapshot


def _path(number: int) -> str:
    return f"snapshots/{number:06d}.json"


def _read_checked(root: Root, name: ObjectName) -> bytes:
    data = get(root, name.path)
    if sha256(data) != name.sha256:
        raise StoreError(
            f"object {name.path!r} of store {root.uri} is damaged: its SHA-256 begins with "
            f"{sha256(data)[:12]}, the snapshot expects {name.sha256[:12]}; restore the file "
            "or rebuild the store"
        )
    return data


def _put_named(root: Root, path: str, data: bytes) -> ObjectName:
    put_new(root, path, data)
    return ObjectName(path=path, sha256=sha256(data))


def _statistics_bytes(statistics: TaskStatistics) -> bytes:
    return (json.dumps(statistics_to_json(statistics), sort_keys=True) + "\n").encode()


def _refuse_unfinished(root: Root, claim: Claim, published: list[int]) -> None:
    if published and published[-1] > claim.number:
        raise StoreError(
            f"claim {claim.number} of store {root.uri} was overtaken by snapshot "
            f"{published[-1]}; plan its samples again"
        )
    missing = sorted(set(range(claim.n_tasks)) - done_tasks(root, claim))
    if missing:
        raise StoreError(
            f"claim {claim.number} of store {root.uri} cannot be published: {len(missing)} of "
            f"{claim.n_tasks} tasks are not done (first: {missing[:5]}); run the build again"
        )


def _claim_rows(schema: StoreSchema, claim: Claim, parts: Iterable[Part]) -> pa.Table:
    """Return one row per sample of the claim: what the tasks report, what the plan rejects."""
    tables = [part.rows for part in parts]
    rows = pa.concat_tables([_rejected_rows(schema, claim), *(_bare(t) for t in tables)])
    expected = set(claim.samples["sample_id"].to_pylist())
    found = rows["sample_id"].to_pylist()
    if len(found) != len(expected) or set(found) != expected:
        odd = sorted(expected.symmetric_difference(found))[:5]
        raise StoreError(
            f"the parts of claim {claim.number} hold {len(found)} samples, the claim has "
            f"{len(expected)}; first that differ: {odd}"
        )
    return rows


def _rejected_rows(schema: StoreSchema, claim: Claim) -> pa.Table:
    columns = index_schema(schema)
    rows = []
    for sample in claim.planned_rejects().to_pylist():
        candidates = json.loads(sample["candidates"] or "{}")
        row = sample | {"status": REJECTED, "content_key": ""}
        for layer in schema.layers:
            row |= absent_layer(layer.name, len(candidates.get(layer.name, ())))
        rows.append({name: row[name] for name in columns.names})
    return _bare(pa.Table.from_pylist(rows, schema=columns))


def _bare(table: pa.Table) -> pa.Table:
    return table.replace_schema_metadata(None)


def _merge_index(before: pa.Table, rows: pa.Table) -> pa.Table:
    """Return the rows of the parent that are not superseded and the new ones, sorted."""
    superseded = pc.is_in(before["sample_id"], value_set=rows["sample_id"].combine_chunks())
    staying = _bare(before.filter(pc.invert(superseded)))
    return pa.concat_tables([staying, rows]).sort_by("sample_id").combine_chunks()


def _count(index: pa.Table, status: str) -> int:
    count: int = pc.sum(pc.equal(index["status"], status)).as_py() or 0
    return count


def _fold(statistics: Iterable[TaskStatistics]) -> TaskStatistics:
    total: TaskStatistics = {}
    for one in statistics:
        total = merge_statistics(total, one)
    return total


def _train_slots(index: pa.Table) -> set[int]:
    train = pc.and_(pc.equal(index["split"], TRAIN), pc.equal(index["status"], KEPT))
    return set(index.filter(train)["slot"].to_pylist())


def _inherited_statistics(
    root: Root,
    schema: StoreSchema,
    parent: Snapshot | None,
    before: pa.Table,
    index: pa.Table,
) -> TaskStatistics:
    """Return the statistics of the parent's train samples that stay in the index.

    Statistics can be added but not taken away: where a claim supersedes train samples, the
    remaining ones of their shards are measured again.
    """
    if parent is None:
        return {}
    old, staying = _train_slots(before), _train_slots(before) & _train_slots(index)
    if old == staying:
        return read_statistics(root, parent)
    touched = {slot // SLOTS_PER_SHARD for slot in old - staying}
    owners = {
        shard: number
        for number in claim_numbers(root)
        if number <= parent.number
        for shard in _shards(read_claim(root, number))
    }
    return _fold(
        _measure_shard(root, schema, index, shard)
        if shard in touched
        else read_part(root, owners[shard], shard).statistics
        for shard in sorted({slot // SLOTS_PER_SHARD for slot in old})
    )


def _shards(claim: Claim) -> range:
    return range(claim.first_shard, claim.end_shard)


def _measure_shard(
    root: Root, schema: StoreSchema, index: pa.Table, shard: int
) -> TaskStatistics:
    first = shard * SLOTS_PER_SHARD
    positions = sorted(
        slot - first for slot in _train_slots(index) if slot // SLOTS_PER_SHARD == shard
    )
    statistics = {}
    for layer in schema.layers:
        patches = _read_shard(root, layer.name, first)
        statistics[layer.name] = measure(layer, patches.raw, patches.valid, positions)
    return statistics


def _read_shard(root: Root, layer: str, first: int) -> Patches:
    context = reading_context()
    raw, valid = (
        open_array(root, layer, name, context)[first : first + SLOTS_PER_SHARD].read().result()
        for name in ("pixels", "valid")
    )
    return Patches(raw, valid)
