"""A small published store of random patches, which also shows how a build uses `stores`."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import shapely

from stores.arrays import Patches, write_shard
from stores.claim import Claim, claim_build
from stores.create import create_store, read_schema
from stores.index import KEPT, REJECTED, absent_layer
from stores.objects import Root, open_root
from stores.parts import write_part
from stores.schema import SLOTS_PER_SHARD, BandSchema, LayerSchema, StoreSchema
from stores.snapshot import publish
from stores.statistics import measure

TASK_SIZE = 6
TERMS = {"license": "none", "attribution": "nobody", "citation": "tests"}


def _schema(codec="lz4") -> StoreSchema:
    def bands(*keys, kind="reflectance", unit="1"):
        return tuple(BandSchema(key=k, kind=kind, unit=unit) for k in keys)

    fine = LayerSchema(
        name="fine",
        product="sentinel-2-l2a",
        bands=bands("red", "nir"),
        dtype="uint16",
        scale=1e-4,
        offset=-0.1,
        gsd_m=10,
        size_px=12,
        **TERMS,
    )
    radar = LayerSchema(
        name="radar",
        product="sentinel-1-grd",
        bands=bands("vv", kind="backscatter", unit="linear power"),
        dtype="float32",
        scale=1.0,
        offset=0.0,
        gsd_m=30,
        size_px=4,
        **TERMS,
    )
    grid = {"crs": "utm", "gsd_m": 10, "size_px": 12, "stride_px": 12, "origin_m": [0, 0]}
    return StoreSchema(name="tiny", grid=grid, layers=(fine, radar), codec=codec)


def _plan(numbers: Sequence[int]) -> pa.Table:
    """Return a plan of one sample per number; every tenth is rejected by the plan."""
    rows, placed = [], 0
    for n in numbers:
        west, south = 500_000 + 120 * n, 5_600_000
        rejected = n % 10 == 9
        rows.append(
            {
                "sample_id": f"31N_{west}_{south}@{n:04d}",
                "cell_id": f"31N_{west}_{south}",
                "region": "0",
                "split": ("train", "train", "val", "test")[n % 4],
                "epsg": 32631,
                "west": west,
                "south": south,
                "east": west + 120,
                "north": south + 120,
                "geometry": shapely.to_wkb(shapely.box(3 + n / 1e3, 50, 3 + (n + 1) / 1e3, 51)),
                "anchor_time": datetime(2020, 6, 1, 10, tzinfo=UTC) + timedelta(days=n),
                "month": 6,
                "task": -1 if rejected else placed // TASK_SIZE,
                "position": -1 if rejected else placed % TASK_SIZE,
                "reason": "no scene in window" if rejected else "",
                "detail": "",
                "candidates": json.dumps({"fine": ["S2_1"], "radar": []}),
            }
        )
        placed += not rejected
    return pa.Table.from_pylist(rows)


def _pixels(schema: StoreSchema, sample_id: str) -> dict[str, Patches]:
    """Return the truth of one sample; layer name -> one patch."""
    rng = np.random.default_rng(list(sample_id.encode()))
    fine, radar = (schema.layer(name) for name in ("fine", "radar"))
    return {
        "fine": Patches(
            rng.integers(1001, 9000, (1, 2, fine.size_px, fine.size_px)).astype("uint16"),
            rng.random((1, fine.size_px, fine.size_px)) > 0.1,
        ),
        "radar": Patches(
            rng.gamma(2, 0.05, (1, 1, radar.size_px, radar.size_px)).astype("float32"),
            np.ones((1, radar.size_px, radar.size_px), dtype=bool),
        ),
    }


def _is_cloudy(sample: dict) -> bool:
    return int(sample["sample_id"].split("@")[1]) % 7 == 3


def _build_task(root: Root, claim: Claim, task: int) -> None:
    """Do what `pipeline.build` does for one task: shards first, then the part."""
    schema, shard = read_schema(root), claim.shard(task)
    samples = claim.task_samples(task).to_pylist()
    arrays = {layer.name: _empty(layer) for layer in schema.layers}
    rows, train = [], []
    for sample in samples:
        position, cloudy = sample["position"], _is_cloudy(sample)
        row = sample | {"status": REJECTED, "reason": "cloud", "content_key": "", "slot": -1}
        for layer in schema.layers:
            row |= absent_layer(layer.name, 1)
        if not cloudy:
            row |= {"status": KEPT, "reason": "", "content_key": "k", "slot": sample["slot"]}
            for name, patches in _pixels(schema, sample["sample_id"]).items():
                arrays[name].raw[position] = patches.raw[0]
                arrays[name].valid[position] = patches.valid[0]
                row |= {
                    f"{name}_scenes": f"{name}_1;{name}_2",
                    f"{name}_time": sample["anchor_time"] + timedelta(hours=5),
                    f"{name}_dt_hours": 5.0,
                    f"{name}_valid": float(patches.valid.mean()),
                    f"{name}_present": True,
                }
            train += [position] if sample["split"] == "train" else []
        rows.append({k: v for k, v in row.items() if k not in ("position", "candidates")})
    checksums = write_shard(root, schema, shard, arrays)
    statistics = {
        layer.name: measure(layer, arrays[layer.name].raw, arrays[layer.name].valid, train)
        for layer in schema.layers
    }
    table = pa.Table.from_pylist(rows)
    write_part(root, claim.number, shard, table, statistics, checksums)


def _empty(layer: LayerSchema) -> Patches:
    shape = (SLOTS_PER_SHARD, len(layer.bands), layer.size_px, layer.size_px)
    valid = np.zeros((shape[0], *shape[2:]), dtype=bool)
    return Patches(np.full(shape, layer.nodata, dtype=layer.dtype), valid)


def _build(uri: str, numbers: Sequence[int]) -> Claim:
    root = open_root(uri)
    claim = claim_build(root, _plan(numbers), {"recipe_hash": "abc", "versions": {}})
    for task in range(claim.n_tasks):
        _build_task(root, claim, task)
    return claim


@pytest.fixture(name="tiny_schema")
def tiny_schema_fixture() -> StoreSchema:
    return _schema()


@pytest.fixture(name="plan_of")
def plan_of_fixture() -> Callable[[Sequence[int]], pa.Table]:
    return _plan


@pytest.fixture(name="truth_of")
def truth_of_fixture() -> Callable[[StoreSchema, str], dict[str, Patches]]:
    return _pixels


@pytest.fixture(name="build_task")
def build_task_fixture() -> Callable[[Root, Claim, int], None]:
    return _build_task


@pytest.fixture(name="build")
def build_fixture() -> Callable[[str, Sequence[int]], Claim]:
    """Claim and do all tasks of a plan of the numbered samples, without publishing."""
    return _build


@pytest.fixture(name="empty_store")
def empty_store_fixture(tmp_path: Path, tiny_schema: StoreSchema) -> str:
    uri = str(tmp_path / "tiny")
    create_store(uri, tiny_schema)
    return uri


@pytest.fixture(name="tiny_store", scope="session")
def tiny_store_fixture(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Uri of a store with 24 samples asked for: some rejected by the plan, some by a task."""
    uri = str(tmp_path_factory.mktemp("stores") / "tiny")
    create_store(uri, _schema())
    publish(open_root(uri), _build(uri, range(24)))
    return uri
