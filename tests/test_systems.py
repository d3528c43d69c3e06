"""The four systems' datasets, built from simulated archives through their real protocols."""

import json
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pytest
import rasterio
from scipy.interpolate import RegularGridInterpolator

from catalog.errors import RecipeError
from pipeline.cube_recipe import parse_cube_recipe
from pipeline.cubes import build_cubes, plan_cubes
from pipeline.plan import make_plan
from pipeline.recipe import parse_recipe
from pipeline.run import build_store
from pipeline.sandbox.command import World, render_world, serve_world
from pipeline.sandbox.schedule import OFFSETS
from pipeline.sandbox.serve.archive import SandboxServer
from pipeline.sandbox.write import write_sandbox
from stores.cube_summary import find_cubes
from stores.patch_store import PatchStore

RECIPES = Path(__file__).parents[1] / "docs" / "recipes"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("world") / "sandbox"
    render_world(place)
    return place


@pytest.fixture(scope="module")
def world(folder):
    with serve_world(folder) as served:
        yield served


def recipe_text(name: str, world: World) -> str:
    """A shipped recipe of the sandbox, moved to where the test's archives are."""
    text = (RECIPES / name).read_text()
    assert "http://127.0.0.1:8765" in text or "runs/sandbox" in text
    text = text.replace("http://127.0.0.1:8765", world.server.url)
    return text.replace("../../runs/sandbox", str(world.folder))


SEASON = ('["2021-05-01", "2021-09-30"]', '["2021-06-01", "2021-06-30"]')
"""Few scenes, for archives that answer slowly."""


def build(name: str, world: World, place: Path, *edits: tuple[str, str]):
    text = recipe_text(name, world)
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    recipe = parse_recipe(text, place / name)
    plans = []

    def plan():
        plans.append(make_plan(recipe, NOW))
        return plans[-1]

    summary = build_store(recipe, place / "store", plan, connect=None)
    assert not summary.undone
    return PatchStore.open(summary.store), plans[0]


def first(store: PatchStore):
    return store.index[store.index["status"] == "kept"].iloc[0]


@pytest.fixture(scope="module")
def lssr(world, tmp_path_factory):
    world.server.forget()
    return build("lssr-sandbox.toml", world, tmp_path_factory.mktemp("lssr"))


def test_lssr_mixes_stac_and_earth_engine_in_one_run(lssr):
    store, plan = lssr
    assert plan.cells == 4
    kept = store.index[store.index["status"] == "kept"]
    assert len(kept) >= 4
    assert set(kept["cell_id"]) == set(store.index["cell_id"])
    shapes = {layer.name: (len(layer.bands), layer.size_px) for layer in store.schema.layers}
    assert shapes == {
        "landsat": (6, 64),
        "sentinel2": (6, 192),
        "sentinel1": (2, 192),
        "dem": (1, 192),
        "land_cover": (1, 192),
    }
    assert (kept["month"] == kept["anchor_time"].dt.month).all()
    for layer in ("sentinel2", "sentinel1", "land_cover"):
        assert (kept[f"{layer}_dt_hours"].abs() <= 7 * 24).all()


def test_earth_engine_is_asked_once_per_task_for_all_bands(lssr, world):
    _, plan = lssr
    pixels = [
        request.path
        for request in world.server.requests
        if re.search(r":(getPixels|computePixels)$", request.path)
    ]
    # The first choices of a task travel together; a scene that is tried later is one more.
    assert plan.n_tasks == 1
    assert len(pixels) >= plan.n_tasks
    retried = later_choices(plan, "land_cover")
    assert len(pixels) <= plan.n_tasks + retried


def later_choices(plan, layer: str) -> int:
    """Scenes of a layer that a sample may have tried after its first choice."""
    later = {
        tuple(ids)
        for row in plan.samples["candidates"].to_pylist()
        for ids in json.loads(row).get(layer, [])[1:]
    }
    return len(later)


def test_dynamic_world_arrives_as_it_is_in_the_archive(lssr, folder):
    store, _ = lssr
    row = first(store)
    label = store.sample(row["sample_id"])["land_cover/pixels"].sel(band="label")
    with rasterio.open(folder / "dynamic_world" / f"{row['land_cover_scenes']}_label.tif") as f:
        window = rasterio.windows.from_bounds(
            row["west"], row["south"], row["east"], row["north"], f.transform
        )
        expected = f.read(1, window=window.round_offsets().round_lengths(), masked=True)
    valid = store.sample(row["sample_id"])["land_cover/valid"].to_numpy()
    assert valid.mean() > 0.8
    np.testing.assert_array_equal(label.to_numpy()[valid], expected.data[valid])
    assert set(np.unique(label.to_numpy()[valid])) <= set(range(9))


def test_efdiff_pairs_hls_with_the_temperature_of_its_own_pass(world, tmp_path):
    store, _ = build("efdiff-sandbox.toml", world, tmp_path)
    kept = store.index[store.index["status"] == "kept"]
    assert len(kept) >= 4
    assert (kept["temperature_dt_hours"].abs() < 0.25).all()
    kelvin = store.sample(kept["sample_id"].iloc[0])["temperature/pixels"]
    assert 270 < float(kelvin.median()) < 330
    red = store.sample(kept["sample_id"].iloc[0])["hls/pixels"].sel(band="red")
    assert 0 < float(red.median()) < 0.3


def test_the_gap_study_reads_a_users_own_planetscope_files(world, tmp_path):
    store, _ = build("gap-sandbox.toml", world, tmp_path)
    kept = store.index[store.index["status"] == "kept"]
    assert len(kept) >= 2
    assert (kept["sentinel2_dt_hours"].abs() <= 48).all()
    sample = store.sample(kept["sample_id"].iloc[0])
    fine = sample["planet/pixels"].sel(band="nir").to_numpy()
    coarse = sample["sentinel2/pixels"].sel(band="nir").to_numpy()
    mean = fine.reshape(32, 4, 32, 4).mean(axis=(1, 3))
    both = np.isfinite(mean) & np.isfinite(coarse)
    assert both.mean() > 0.9
    assert np.corrcoef(mean[both], coarse[both])[0, 1] > 0.8


def test_crop_mapping_takes_one_clear_scene_of_each_month(world, tmp_path):
    store, _ = build("crops-sandbox.toml", world, tmp_path)
    kept = store.index[store.index["status"] == "kept"]
    assert len(kept) == 4
    for layer, month in (("june", 6), ("july", 7), ("august", 8)):
        assert (kept[f"{layer}_time"].dt.month == month).all()
    labels = store.sample(kept["sample_id"].iloc[0])["crops/pixels"].to_numpy()
    assert len(np.unique(labels[np.isfinite(labels)])) > 2


@pytest.fixture(scope="module")
def calm(world, tmp_path_factory):
    return build("efdiff-sandbox.toml", world, tmp_path_factory.mktemp("calm"), SEASON)[0]


def test_a_third_of_all_requests_failing_changes_no_byte(folder, calm, tmp_path):
    with serve_world(folder, faults=1 / 3) as rough:
        store, _ = build("efdiff-sandbox.toml", rough, tmp_path, SEASON)
        statuses = Counter(request.status for request in rough.server.requests)
    failed = statuses[429] + statuses[503]
    assert failed > 0.2 * sum(statuses.values())
    assert objects(store) == objects(calm)
    assert store.index.equals(calm.index)


def objects(store: PatchStore) -> dict[str, bytes]:
    data = Path(store.root.uri) / "data.zarr"
    return {str(p.relative_to(data)): p.read_bytes() for p in data.rglob("*") if p.is_file()}


def signed_recipe(world: World) -> tuple[str, str]:
    """Have the files of the sandbox's STAC API signed as the Planetary Computer does."""
    return (
        f'[sources.sandbox]\nurl = "{world.server.url}/stac"',
        f'[sources.sandbox]\nurl = "{world.server.url}/stac"\naccess = "planetary-computer"',
    )


SIGNED = ("HLSL30_2.0", "landsat-c2-l2", "esa-worldcover")


def test_a_build_outlives_its_tokens(folder, calm, tmp_path, monkeypatch):
    with serve_world(folder, signed=SIGNED, token_life_s=1.0) as short:
        monkeypatch.setenv("PC_SDK_SAS_URL", short.server.token_url)
        slow(short)
        store, _ = build("efdiff-sandbox.toml", short, tmp_path, SEASON, signed_recipe(short))
        issued = short.server.issuer.issued
    assert sum(issued.values()) > len(SIGNED), "no token had to be renewed"
    assert objects(store) == objects(calm)


def slow(world: World) -> None:
    """Let single answers take so long that tokens die between two files of a task."""
    paths = sorted((world.folder / "landsat").glob("*_lwir11.tif"))
    for path in paths[:4]:
        world.server.faults.wait(f"/signed-landsat-c2-l2/landsat/{path.name}", 1.2, times=1)


def test_no_token_is_in_any_output(folder, tmp_path, monkeypatch, capfd, caplog):
    monkeypatch.setenv("EARTHDATA_TOKEN", "canary-earthdata-5d1f")
    monkeypatch.setenv("PC_SDK_SUBSCRIPTION_KEY", "canary-key-77aa")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-aws-90cc")
    caplog.set_level("DEBUG")
    with serve_world(folder, signed=SIGNED, faults=0.2) as served:
        monkeypatch.setenv("PC_SDK_SAS_URL", served.server.token_url)
        broken = sorted((folder / "landsat").glob("*_lwir11.tif"))[0].name
        served.server.faults.answer(f"/signed-landsat-c2-l2/landsat/{broken}", 404)
        store, _ = build("efdiff-sandbox.toml", served, tmp_path, SEASON, signed_recipe(served))
        assert sum(served.server.issuer.issued.values()) > 0
    said = capfd.readouterr()
    outputs = {"stdout": said.out.encode(), "stderr": said.err.encode()}
    outputs["log"] = "\n".join(r.getMessage() for r in caplog.records).encode()
    for path in Path(store.root.uri).rglob("*"):
        if path.is_file():
            outputs[str(path)] = path.read_bytes()
    for secret in ("canary-", "sig="):
        leaks = [name for name, data in outputs.items() if secret.encode() in data]
        assert leaks == [], f"{secret!r} is in {leaks}"


def test_transfer_builds_cubes_that_never_meet_a_satellite(world, tmp_path):
    recipe = parse_cube_recipe(recipe_text("transfer-sandbox.toml", world), tmp_path / "r.toml")
    plan = plan_cubes(recipe, NOW)
    built = build_cubes(recipe, tmp_path / "store", plan)
    assert [(cube.name, cube.left, cube.problems) for cube in built] == [
        ("merra2", 0, ()),
        ("g5nr", 0, ()),
    ]
    coarse, fine = find_cubes(str(tmp_path / "store"))[::-1]
    assert (coarse.steps, fine.steps) == (7 * 24, 48)
    assert coarse.times[0] == datetime(2021, 5, 1, 0, 30, tzinfo=UTC)
    assert coarse.spec.latitudes[1] - coarse.spec.latitudes[0] == 0.5
    assert fine.spec.latitudes[1] - fine.spec.latitudes[0] == 0.0625
    for cube in (coarse, fine):
        dust = cube.read("dust_aot")
        assert np.isfinite(dust).all()
        assert 0 < dust.mean() < 2
    [nature] = (folder for folder in [world.folder / "gridded" / "g5nr"] if folder.is_dir())
    text = recipe_text("lssr-sandbox.toml", world) + layer("g5nr-aerosol", nature)
    with pytest.raises(RecipeError, match="simulates weather that never was"):
        parse_recipe(text, tmp_path / "r.toml")


def layer(product: str, source: Path) -> str:
    return (
        f'\n[layers.dust]\nproduct = "{product}"\nbands = ["dust_aot"]\nsource = "{source}"\n'
    )


def test_merra2_stands_beside_optical_samples_of_its_hour(world, tmp_path):
    merra2 = world.folder / "gridded" / "merra2"
    store, _ = build(
        "efdiff-sandbox.toml",
        world,
        tmp_path,
        SEASON,
        ("[split]", layer("merra2-aerosol", merra2) + "[split]"),
    )
    kept = store.index[store.index["status"] == "kept"]
    assert len(kept) >= 1
    assert (kept["dust_dt_hours"].abs() <= 0.5).all()
    row = kept.iloc[0]
    dust = store.sample(row["sample_id"])["dust/pixels"].to_numpy()
    assert dust.shape[-2:] == (1, 1)
    day, hour = row["dust_time"].strftime("%Y%m%d"), row["dust_time"].hour
    with h5py.File(merra2 / f"MERRA2_400.tavg1_2d_aer_Nx.{day}.nc4") as file:
        field, lats, lons = file["DUEXTTAU"][hour], file["lat"][:], file["lon"][:]
    middle = row.geometry.centroid
    expected = RegularGridInterpolator((lats, lons), field)((middle.y, middle.x))
    assert dust.item() == pytest.approx(float(expected), rel=1e-3)


OFFSET_RECIPE = """
period = ["2021-05-01", "2021-09-30"]
anchor = "sentinel2"
source = "sandbox"

[sources.sandbox]
url = "{url}"
like = "{like}"
access = "open"

[area]
bbox = [2.990, 50.8005, 3.012, 50.814]

[grid]
gsd_m = 10
size_px = 192

[layers.sentinel2]
product = "sentinel-2-l2a"
bands = ["blue", "green", "red", "nir"]
gsd_m = 10
"""


@pytest.fixture(scope="module")
def offset_archive(tmp_path_factory):
    """One cell of Sentinel-2 scenes in every way to deal with the offset, right and wrong."""
    place = tmp_path_factory.mktemp("offsets")
    write_sandbox(place, config=OFFSETS)
    items = json.loads((place / "items.json").read_text())["features"]
    forms = [OFFSETS.sentinel2_forms[i % 5] for i in range(len(items))]
    with SandboxServer(place) as server:
        yield server.stac_url, {item["id"]: f for item, f in zip(items, forms, strict=True)}


@pytest.mark.parametrize(
    ("like", "said"),
    [
        (
            "planetary-computer",
            {
                "plain": "0 confirmed",
                "carried": "-0.1 confirmed",
                "removed": "0 confirmed",
                "removed-unsaid": "0 corrected",
                "carried-unsaid": "-0.1 corrected",
            },
        ),
        (
            "earth-search",
            {
                "plain": "0 confirmed",
                "carried": "-0.1 corrected",
                "removed": "0 confirmed",
                "removed-unsaid": "0 confirmed",
                "carried-unsaid": "-0.1 corrected",
            },
        ),
    ],
)
def test_every_way_to_deal_with_the_offset_is_told_apart(offset_archive, like, said, tmp_path):
    url, form_of = offset_archive
    text = OFFSET_RECIPE.format(url=url, like=like)
    recipe = parse_recipe(text, tmp_path / "offsets.toml")
    summary = build_store(
        recipe, tmp_path / "store", lambda: make_plan(recipe, NOW), connect=None
    )
    store = PatchStore.open(summary.store)
    kept = store.index[store.index["status"] == "kept"]
    verdicts = {(form_of[r.sentinel2_scenes], r.sentinel2_offset) for r in kept.itertuples()}
    assert verdicts == set(said.items())
    dark = [
        float(store.sample(r.sample_id)["sentinel2/pixels"].sel(band="blue").quantile(0.02))
        for r in kept.itertuples()
    ]
    assert max(dark) < 0.08, "an offset was left in"
    assert min(dark) > -0.03, "an offset was taken out twice"
