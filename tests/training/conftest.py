"""A small landscape of fields, seen by two sensors, in a real store."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
import shapely
import torch
from pyproj import Transformer
from rich.console import Console
from scipy import ndimage
from scipy.spatial import cKDTree

from stores.arrays import Patches, write_shard
from stores.claim import claim_build
from stores.create import create_store
from stores.index import KEPT
from stores.objects import open_root
from stores.parts import write_part
from stores.schema import SLOTS_PER_SHARD, BandSchema, LayerSchema, StoreSchema
from stores.snapshot import publish
from stores.statistics import measure
from training.checkpoint import load_model
from training.config import TrainConfig
from training.loop import train

BANDS = ("blue", "green", "red", "nir", "swir1", "swir2")
SPECTRA = np.array(
    [
        [0.10, 0.13, 0.17, 0.24, 0.33, 0.28],  # soil
        [0.03, 0.06, 0.04, 0.42, 0.20, 0.09],  # crop
        [0.04, 0.06, 0.05, 0.30, 0.16, 0.08],  # wood
        [0.05, 0.05, 0.03, 0.02, 0.01, 0.01],  # water
        [0.15, 0.17, 0.18, 0.22, 0.26, 0.24],  # built
    ]
)
TERMS = {"license": "none", "attribution": "nobody", "citation": "tests"}
WEST, NORTH, EPSG = 500_010.0, 5_600_010.0, 32631
SILENT = Console(quiet=True)
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class World:
    """What a test store shows: contiguous square cells, seen on some dates."""

    cols: int = 6
    rows: int = 2
    size_px: int = 48
    dates: int = 2
    bands: tuple[str, ...] = ("blue", "green", "red", "nir")
    seed: int = 0
    radar: bool = False
    cloudy: bool = False


def fields(world: World, date: int) -> Floats:
    """Return reflectance of the whole world at 10 m, `(band, y, x)`."""
    rng = np.random.default_rng(world.seed)
    height, width = world.rows * world.size_px, world.cols * world.size_px
    count = max(8, height * width // 300)
    points = rng.uniform((0, 0), (height, width), (count, 2)) * (1, 1)
    y, x = np.mgrid[:height, :width]
    _, parcel = cKDTree(points).query(np.stack([y, x], -1).reshape(-1, 2))
    cover = rng.choice(len(SPECTRA), count, p=[0.2, 0.4, 0.2, 0.05, 0.15])
    vigor = np.random.default_rng((world.seed, date)).uniform(0, 1, count)
    mixed = SPECTRA[cover]
    mixed = np.where(
        (cover == 1)[:, None],
        vigor[:, None] * SPECTRA[1] + (1 - vigor[:, None]) * SPECTRA[0],
        mixed,
    )
    mixed = mixed * rng.uniform(0.8, 1.2, (count, 1))
    image = mixed[parcel].reshape(height, width, -1).transpose(2, 0, 1)
    texture = ndimage.gaussian_filter(rng.normal(0, 1, (height, width)), 1.0)
    image = image * (1 + 0.1 * texture / texture.std())
    chosen = [BANDS.index(k) for k in world.bands]
    return image[chosen].astype(np.float32)


def seen_coarsely(truth: Floats, rng: np.random.Generator) -> Floats:
    """Return what a 30 m sensor sees: blurred, a little shifted, other gains, noise."""
    shift = (0, *rng.uniform(-0.6, 0.6, 2))
    blurred = ndimage.gaussian_filter(truth, (0, 1.2, 1.2), mode="nearest")
    moved = ndimage.shift(blurred, shift, order=1, mode="nearest")
    bands, height, width = moved.shape
    coarse = moved.reshape(bands, height // 3, 3, width // 3, 3).mean(axis=(2, 4))
    gain = np.linspace(1.08, 0.94, bands)[:, None, None]
    noisy = coarse * gain + 0.008 + rng.normal(0, 0.002, coarse.shape)
    return noisy.astype(np.float32)


def world_schema(world: World) -> StoreSchema:
    """Return the schema of a world's store."""

    def layer(name: str, gsd_m: float, scale: float, offset: float) -> LayerSchema:
        return LayerSchema(
            name=name,
            product="tests",
            bands=tuple(BandSchema(key=k, kind="reflectance", unit="1") for k in world.bands),
            dtype="uint16",
            scale=scale,
            offset=offset,
            gsd_m=gsd_m,
            size_px=round(world.size_px * 10 / gsd_m),
            **TERMS,
        )

    layers = [layer("landsat", 30, 2.75e-5, -0.2), layer("sentinel2", 10, 1e-4, -0.1)]
    if world.radar:
        radar = LayerSchema(
            name="sentinel1",
            product="tests",
            bands=(BandSchema(key="vv", kind="backscatter", unit="linear power"),),
            dtype="float32",
            scale=1.0,
            offset=0.0,
            gsd_m=10,
            size_px=world.size_px,
            **TERMS,
        )
        layers.append(radar)
    size = world.size_px
    grid = {"crs": "utm", "gsd_m": 10, "size_px": size, "stride_px": size, "origin_m": [0, 0]}
    return StoreSchema(name="world", grid=grid, layers=tuple(layers))


def build_world(uri: str, world: World) -> str:
    """Build and publish the store of a world; return its URI.

    Columns of cells are dealt to train (two of three), val and test.
    """
    schema = world_schema(world)
    create_store(uri, schema)
    root = open_root(uri)
    images = [_views(world, date) for date in range(world.dates)]
    plan = [
        _plan_row(world, date, row, col)
        for date in range(world.dates)
        for row in range(world.rows)
        for col in range(world.cols)
    ]
    for number, sample in enumerate(plan):
        sample |= {"task": number // SLOTS_PER_SHARD, "position": number % SLOTS_PER_SHARD}
    columns = [{k: v for k, v in s.items() if not k.startswith("at_")} for s in plan]
    claim = claim_build(root, pa.Table.from_pylist(columns), {"recipe_hash": "x"})
    for task in range(claim.n_tasks):
        own = [s for s in plan if s["task"] == task]
        arrays = {
            layer.name: _cut(layer, own, [images[s["at_date"]][layer.name] for s in own])
            for layer in schema.layers
        }
        train = [i for i, s in enumerate(own) if s["split"] == "train"]
        rows = [
            _index_row(schema, claim.first_shard + task, i, s, arrays)
            for i, s in enumerate(own)
        ]
        checksums = write_shard(root, schema, claim.shard(task), arrays)
        statistics = {
            name: measure(schema.layer(name), a.raw, a.valid, train)
            for name, a in arrays.items()
        }
        table = pa.Table.from_pylist(rows)
        write_part(root, claim.number, claim.shard(task), table, statistics, checksums)
    publish(root, claim)
    return uri


def _views(world: World, date: int) -> dict[str, tuple[Floats, npt.NDArray[np.bool_]]]:
    rng = np.random.default_rng((world.seed, 7, date))
    truth = fields(world, date)
    fine = (truth + rng.normal(0, 0.002, truth.shape)).astype(np.float32)
    coarse = seen_coarsely(truth, rng)
    views = {"landsat": coarse, "sentinel2": fine}
    if world.radar:
        speckle = rng.gamma(4, 0.25, fine.shape[1:])
        views["sentinel1"] = (truth.mean(axis=0) * speckle)[None].astype(np.float32)
    valid = {k: np.ones(v.shape[1:], bool) for k, v in views.items()}
    if world.cloudy:
        valid["landsat"][3:6, 4:9] = False
        valid["sentinel2"][20:30, 20:44] = False
    return {k: (v, valid[k]) for k, v in views.items()}


def _plan_row(world: World, date: int, row: int, col: int) -> dict:
    side = world.size_px * 10
    west, north = WEST + col * side, NORTH - row * side
    south, east = north - side, west + side
    to_lonlat = Transformer.from_crs(EPSG, 4326, always_xy=True)
    corners = [(west, south), (east, south), (east, north), (west, north)]
    outline = shapely.Polygon([to_lonlat.transform(*c) for c in corners])
    time = datetime(2020, 6, 1, 10, tzinfo=UTC) + timedelta(days=16 * date)
    third = col % 6
    return {
        "sample_id": f"31N_{west:g}_{south:g}@{time:%Y%m%dT%H%M%S}",
        "cell_id": f"31N_{west:g}_{south:g}",
        "region": "0",
        "split": {4: "val", 5: "test"}.get(third, "train"),
        "epsg": EPSG,
        "west": west,
        "south": south,
        "east": east,
        "north": north,
        "geometry": shapely.to_wkb(outline),
        "anchor_time": time,
        "month": time.month,
        "reason": "",
        "detail": "",
        "candidates": json.dumps({}),
        "at_date": date,
        "at_row": row,
        "at_col": col,
    }


def _cut(layer: LayerSchema, samples: list[dict], views: list) -> Patches:
    side = layer.size_px
    raws, valids = [], []
    for sample, (pixels, valid) in zip(samples, views, strict=True):
        rows = slice(sample["at_row"] * side, (sample["at_row"] + 1) * side)
        cols = slice(sample["at_col"] * side, (sample["at_col"] + 1) * side)
        raws.append(layer.to_raw(pixels[:, rows, cols]))
        valids.append(valid[rows, cols])
    return Patches(np.stack(raws), np.stack(valids))


def _index_row(
    schema: StoreSchema, shard: int, position: int, sample: dict, arrays: dict[str, Patches]
) -> dict:
    row = {
        k: v
        for k, v in sample.items()
        if not k.startswith("at_") and k not in ("candidates", "position")
    }
    row |= {"status": KEPT, "content_key": "k", "shard": shard}
    row["slot"] = shard * SLOTS_PER_SHARD + position
    for layer in schema.layers:
        row |= {
            f"{layer.name}_scenes": f"{layer.name}_{sample['at_date']}",
            f"{layer.name}_time": sample["anchor_time"] + timedelta(hours=2),
            f"{layer.name}_dt_hours": 2.0,
            f"{layer.name}_valid": float(arrays[layer.name].valid[position].mean()),
            f"{layer.name}_present": True,
            f"{layer.name}_resampling": "none",
            f"{layer.name}_candidates": 1,
            f"{layer.name}_offset": "",
            f"{layer.name}_shift_east_m": 0.0,
            f"{layer.name}_shift_north_m": 0.0,
            f"{layer.name}_shift_confidence": None,
            f"{layer.name}_shift_residual_m": None,
            f"{layer.name}_changes": "",
            f"{layer.name}_haze": "",
        }
    return row


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tiny tensors gain nothing from threads, and tests may share the machine."""
    torch.set_num_threads(1)


@pytest.fixture(name="store_of", scope="session")
def store_of_fixture(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Return the URI of the store of a world, given its fields; built once per session."""
    built: dict[World, str] = {}

    def store_of(**fields: object) -> str:
        world = World(**fields)
        if world not in built:
            built[world] = build_world(str(tmp_path_factory.mktemp("world") / "store"), world)
        return built[world]

    return store_of


@pytest.fixture(name="train_tiny", scope="session")
def train_tiny_fixture(tmp_path_factory: pytest.TempPathFactory):
    """Train a very small model once per store and settings; return it and its run folder."""
    trained: dict[tuple, Path] = {}

    def train_tiny(uri: str, **settings):
        key = (uri, *sorted(settings.items()))
        if key not in trained:
            folder = tmp_path_factory.mktemp("runs") / "run"
            trained[key] = train(uri, folder, tiny_config(**settings), console=SILENT)
        model, _ = load_model(trained[key])
        return model, trained[key]

    return train_tiny


def tiny_config(**settings) -> TrainConfig:
    """Return settings of a training that takes about a second."""
    small = {"steps": 3, "batch_size": 4, "crop_px": 24, "channels": (8, 16)}
    return TrainConfig(**(small | {"warmup_steps": 2, "ema_decay": 0.9} | settings))


@pytest.fixture(name="tiny_config", scope="session")
def tiny_config_fixture() -> Callable[..., TrainConfig]:
    return tiny_config


@pytest.fixture(name="silent", scope="session")
def silent_fixture() -> Console:
    return SILENT
