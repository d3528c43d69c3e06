"""The samples of a plan as one table: column by column, packed into tasks."""

import json
from collections.abc import Mapping, Sequence

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from catalog.grid import Cell, footprints
from catalog.match import Match
from stores.claim import PLAN_SCHEMA
from stores.schema import SLOTS_PER_SHARD

_FEW_TASKS = 16
_LEAST_FILL = 0.8
"""Plans of more than a few tasks leave at most a fifth of their slots empty."""

_Ints = npt.NDArray[np.int64]


def plan_samples(
    matches: Sequence[Match], region_of: Mapping[Cell, str], split_of: Mapping[str, str]
) -> pa.Table:
    """Return one row per match, packed into tasks; rejected ones carry task -1.

    Args:
        matches: Of all cells.
        region_of: Cell -> name of its region.
        split_of: Cell id -> split, or `'buffer'`.

    Returns:
        Columns as in `stores.claim.PLAN_SCHEMA`, in order of task and position.
    """
    cells = list(dict.fromkeys(match.cell for match in matches))
    number_of = {cell: number for number, cell in enumerate(cells)}
    at = np.array([number_of[match.cell] for match in matches], dtype=np.int64)
    table = _cell_columns(cells, region_of, split_of).take(pa.array(at))
    buffered = pc.equal(table["split"], "buffer").to_numpy()
    times = pa.array([m.anchor_time for m in matches], PLAN_SCHEMA.field("anchor_time").type)
    columns = {name: table[name] for name in table.column_names} | {
        "sample_id": pa.array(_sample_ids(matches, cells, at), pa.string()),
        "anchor_time": times,
        "month": pa.array([m.anchor_time.month for m in matches], pa.int8()),
        "reason": pa.array(
            [
                m.reason or ("buffer between splits" if left_out else "")
                for m, left_out in zip(matches, buffered.tolist(), strict=True)
            ],
            pa.string(),
        ),
        "detail": pa.array([m.detail for m in matches], pa.string()),
        "candidates": pa.array(map(_candidates, matches), pa.string()),
        "anchor_id": pa.array([m.anchor_id for m in matches], pa.string()),
        "curve": pa.array(_curve(cells)[at]),
    }
    task, position = _pack(pa.table(columns))
    columns |= {"task": pa.array(task, pa.int32()), "position": pa.array(position, pa.int8())}
    return pa.table({name: columns[name] for name in PLAN_SCHEMA.names}, PLAN_SCHEMA).sort_by(
        [("task", "ascending"), ("position", "ascending"), ("sample_id", "ascending")]
    )


def sample_id(match: Match) -> str:
    """Return the id of the sample of a match: cell, anchor time, anchor platform."""
    return _join_id(match.cell.id, match)


def _join_id(cell_id: str, match: Match) -> str:
    when = match.anchor_time
    # Formatted by hand: `strftime` takes five times as long, and a plan has many samples.
    stamp = (
        f"{when.year:04d}{when.month:02d}{when.day:02d}"
        f"T{when.hour:02d}{when.minute:02d}{when.second:02d}Z"
    )
    return "_".join(part for part in (cell_id, stamp, match.anchor_id) if part)


def _sample_ids(matches: Sequence[Match], cells: Sequence[Cell], at: _Ints) -> list[str]:
    ids = [cell.id for cell in cells]
    return [_join_id(ids[i], m) for i, m in zip(at.tolist(), matches, strict=True)]


def _cell_columns(
    cells: Sequence[Cell], region_of: Mapping[Cell, str], split_of: Mapping[str, str]
) -> pa.Table:
    """Return what is said of cells, one row each: nothing of it is worked out per sample."""
    ids = [cell.id for cell in cells]
    outlines: list[bytes] = shapely.to_wkb(footprints(cells)).tolist()
    columns = {
        "cell_id": ids,
        "region": [region_of[cell] for cell in cells],
        "split": [split_of[one] for one in ids],
        "epsg": [cell.epsg for cell in cells],
        "west": [cell.west for cell in cells],
        "south": [cell.south for cell in cells],
        "east": [cell.east for cell in cells],
        "north": [cell.north for cell in cells],
        "geometry": outlines,
    }
    schema = pa.schema([PLAN_SCHEMA.field(name) for name in columns])
    return pa.table(columns, schema)


def _candidates(match: Match) -> str:
    """Return the candidates of a match as JSON."""
    return json.dumps(
        {
            layer: [[scene.id for scene in one.scenes] for one in passes]
            for layer, passes in match.candidates.items()
        }
    )


def _curve(cells: Sequence[Cell]) -> _Ints:
    """Return the place of each cell on a Hilbert curve around all of them."""
    if len(cells) < 2:
        return np.zeros(len(cells), dtype=np.int64)
    centers = np.array([cell.lonlat for cell in cells])
    points = gpd.GeoSeries(gpd.points_from_xy(centers[:, 0], centers[:, 1]))
    return np.asarray(points.hilbert_distance().to_numpy(), dtype=np.int64)


def _pack(table: pa.Table) -> tuple[_Ints, _Ints]:
    """Task and position of each row, in order of (region, anchor pass, Hilbert curve).

    A task ends with its region, as long as that leaves few slots empty: many small regions,
    such as tiles of a few cells each, share tasks.
    """
    keys = ("region", "anchor_time", "anchor_id", "curve", "sample_id")
    ranked = pc.sort_indices(table, sort_keys=[(key, "ascending") for key in keys]).to_numpy()
    wanted = pc.equal(table["reason"], "").to_numpy(zero_copy_only=False)
    order = ranked[wanted[ranked]]
    regions = table["region"].combine_chunks().dictionary_encode().indices.to_numpy()[order]
    starts = np.flatnonzero(np.diff(regions, prepend=-1))
    sizes = np.diff(starts, append=len(order))
    tasks_of = -(-sizes // SLOTS_PER_SHARD)
    n_tasks = int(tasks_of.sum())
    if n_tasks > _FEW_TASKS and len(order) < _LEAST_FILL * n_tasks * SLOTS_PER_SHARD:
        starts, sizes, tasks_of = (np.array([v]) for v in (0, len(order), 0))
    place = np.arange(len(order)) - np.repeat(starts, sizes)
    first = np.repeat(np.cumsum(tasks_of) - tasks_of, sizes)
    task = np.full(len(table), -1, dtype=np.int64)
    position = np.full(len(table), -1, dtype=np.int64)
    task[order] = first + place // SLOTS_PER_SHARD
    position[order] = place % SLOTS_PER_SHARD
    return task, position
