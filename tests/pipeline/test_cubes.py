"""Cubes from files and archives: planned, built, interrupted, and built on."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import rich.console
import xarray as xr

from catalog.errors import QueryError, RecipeError, StoreError
from catalog.providers.source import KNOWN_SOURCES
from pipeline.cube_plan import GRIDS, plan_cubes
from pipeline.cube_recipe import CubeRecipe, parse_cube_recipe
from pipeline.cubes import build_cubes, cube_uri
from stores.cube_store import CubeStore

pytest_plugins = ["tests.gridded_files"]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TEXT = """
period = ["2021-06-01", "2021-06-02"]
[area]
bbox = [1.9, 49.9, 4.1, 51.6]
[cubes.coarse]
product = "merra2-aerosol"
bands = ["dust_aot", "total_aot"]
source = "{coarse}"
[cubes.fine]
product = "g5nr-aerosol"
bands = ["dust_aot"]
period = ["2006-06-01", "2006-06-01"]
source = "{fine}"
{sources}
"""


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.fetch.time.sleep", lambda _s: None)


def local_recipe(folder: Path, text: str = TEXT) -> CubeRecipe:
    filled = text.format(coarse=folder / "merra2", fine=folder / "g5nr", sources="")
    return parse_cube_recipe(filled, folder / "dust.toml")


def remote_recipe(url: str, folder: Path, text: str = TEXT) -> CubeRecipe:
    sources = f'[sources.gesdisc]\nurl = "{url}/cmr"\n[sources.g5nr]\nurl = "{url}/g5nr"\n'
    filled = text.format(coarse="gesdisc", fine="g5nr", sources=sources)
    return parse_cube_recipe(filled, folder / "dust.toml")


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_plan_says_what_will_be_stored(gridded_folder: Path) -> None:
    plan = plan_cubes(local_recipe(gridded_folder), NOW)
    facts = plan.facts()
    coarse, fine = facts["cubes"]["coarse"], facts["cubes"]["fine"]
    assert (coarse["steps"], coarse["files"], coarse["not_listed"]) == (48, 2, 0)
    assert (coarse["rows"], coarse["columns"]) == (4, 3)
    assert coarse["bytes"] == 48 * 2 * 4 * 3 * 4
    assert coarse["first"] == "2021-06-01T00:30:00+00:00"
    assert coarse["last"] == "2021-06-02T23:30:00+00:00"
    assert (fine["steps"], fine["files"], fine["step_s"]) == (48, 48, 1800)
    assert (fine["rows"], fine["columns"]) == (27, 35)
    console = rich.console.Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(plan.describe())
    console.file.close()
    text = console.export_text()
    assert "coarse" in text
    assert "27 x 35" in text


def test_points_of_a_grid_inside_of_a_box_its_edges_included() -> None:
    latitudes, longitudes = GRIDS["merra2-aerosol"].points((-180.0, 89.0, -178.75, 90.0))
    assert latitudes == (89.0, 89.5, 90.0)
    assert longitudes == (-180.0, -179.375, -178.75)
    world = GRIDS["g5nr-aerosol"].points((-180.0, -90.0, 180.0, 90.0))
    assert [len(axis) for axis in world] == [2881, 5760]


def test_cubes_hold_what_the_files_hold(gridded_folder: Path, tmp_path: Path) -> None:
    recipe = local_recipe(gridded_folder)
    told = []
    coarse, fine = build_cubes(
        recipe, tmp_path, plan_cubes(recipe, NOW), on_step=lambda *step: told.append(step)
    )
    assert (coarse.steps, coarse.read, coarse.left, coarse.gaps) == (48, 48, 0, {})
    assert told[-1] == ("fine", 48, 48)
    cube = CubeStore.open(cube_uri(tmp_path, "coarse"))
    pattern = str(gridded_folder / "merra2" / "*aer*")
    with xr.open_mfdataset(pattern, engine="h5netcdf") as files:
        part = files["TOTEXTTAU"].sel(lat=slice(49.9, 51.6), lon=slice(1.9, 4.1))
        np.testing.assert_array_equal(cube.read("total_aot"), part.values)
        with xr.open_zarr(cube.zarr_uri) as stored:
            np.testing.assert_array_equal(stored["time"], part["time"])
            np.testing.assert_array_equal(stored["lat"], part["lat"])
            np.testing.assert_array_equal(stored["lon"], part["lon"])
            assert stored["total_aot"].attrs["long_name"] == "total aot (TOTEXTTAU)"
    simulated = CubeStore.open(fine.uri)
    assert simulated.times[1] - simulated.times[0] == timedelta(minutes=30)
    assert np.isfinite(simulated.read("dust_aot")).all()
    assert simulated.snapshot.meta["recipe_hash"] == recipe.hash
    assert simulated.windows(40).tolist() == list(range(9))


def test_archives_on_the_web_give_the_same_fields(
    gridded_folder: Path,
    gridded_server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EARTHDATA_TOKEN", "canary-of-the-cube-test")
    gridded_server.mounts["/cmr"].bearer = "canary-of-the-cube-test"
    here, there = local_recipe(gridded_folder), remote_recipe(gridded_server.url, tmp_path)
    build_cubes(here, tmp_path / "here", plan_cubes(here, NOW))
    gridded_server.forget()
    plan = plan_cubes(there, NOW)
    listing = len(gridded_server.requests)
    assert plan.facts()["cubes"]["coarse"]["search_requests"] == 1
    built = build_cubes(there, tmp_path / "there", plan)
    assert [cube.problems for cube in built] == [(), ()]
    # Each file is small enough for one block: its size, then its bytes.
    assert len(gridded_server.requests) - listing == 2 * (2 + 48)
    for name in ("coarse", "fine"):
        local, remote = (
            tree(tmp_path / place / name / "data.zarr") for place in ("here", "there")
        )
        assert local == remote
    kept = b"".join(tree(tmp_path / "there").values())
    assert b"canary" not in kept


def test_a_killed_build_goes_on_and_ends_with_the_same_bytes(
    gridded_folder: Path, tmp_path: Path
) -> None:
    recipe = local_recipe(gridded_folder)
    plan = plan_cubes(recipe, NOW)

    def die(name: str, done: int, _of: int) -> None:
        if (name, done) == ("coarse", 30):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_cubes(recipe, tmp_path / "killed", plan, on_step=die)
    with pytest.raises(StoreError, match="no published state"):
        CubeStore.open(tmp_path / "killed" / "coarse")
    coarse, _ = build_cubes(recipe, tmp_path / "killed", plan)
    assert coarse.read == 24
    build_cubes(recipe, tmp_path / "calm", plan)
    assert tree(tmp_path / "killed") == tree(tmp_path / "calm")
    again = build_cubes(recipe, tmp_path / "calm", plan)
    assert [cube.read for cube in again] == [0, 0]
    assert tree(tmp_path / "killed") == tree(tmp_path / "calm")


def test_a_server_that_goes_away_leaves_the_rest_for_the_next_run(
    gridded_server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARTHDATA_TOKEN", "canary")
    recipe = remote_recipe(gridded_server.url, tmp_path)
    plan = plan_cubes(recipe, NOW)
    scene = plan.jobs[1].scenes[30]
    assert scene is not None
    path = scene.assets["dust_aot"].href.removeprefix(gridded_server.url)
    gridded_server.faults.answer(path, 503)
    coarse, fine = build_cubes(recipe, tmp_path / "store", plan)
    assert (coarse.left, coarse.steps) == (0, 48)
    assert (fine.left, fine.steps, fine.gaps) == (18, 30, {})
    assert "503" in fine.problems[0]
    assert "18 steps are left; run the same command again" in fine.describe()
    assert CubeStore.open(fine.uri).steps == 30
    gridded_server.faults.clear()
    _, fine = build_cubes(recipe, tmp_path / "store", plan)
    assert (fine.left, fine.steps, fine.read) == (0, 48, 18)
    build_cubes(recipe, tmp_path / "calm", plan)
    data = [tree(tmp_path / name / "fine" / "data.zarr") for name in ("store", "calm")]
    assert data[0] == data[1]


def test_a_third_of_answers_may_fail(
    gridded_folder: Path, gridded_server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARTHDATA_TOKEN", "canary")
    gridded_server.faults.fail_share(1 / 3, statuses=(429, 503), retry_after="0", seed=1)
    stormy, calm = remote_recipe(gridded_server.url, tmp_path), local_recipe(gridded_folder)
    built = build_cubes(stormy, tmp_path / "stormy", plan_cubes(stormy, NOW))
    assert [cube.left for cube in built] == [0, 0]
    assert "48 steps, 48 read now" in built[0].describe()
    build_cubes(calm, tmp_path / "calm", plan_cubes(calm, NOW))
    for name in ("coarse", "fine"):
        data = [tree(tmp_path / place / name / "data.zarr") for place in ("stormy", "calm")]
        assert data[0] == data[1]


def test_missing_and_damaged_files_are_gaps_of_their_kind(
    gridded_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "files" / "g5nr"
    sources = sorted((gridded_folder / "g5nr").rglob("*.nc4"))[:6]
    folder.mkdir(parents=True)
    for number, path in enumerate(sources):
        data = path.read_bytes()
        if number != 2:
            (folder / path.name).write_bytes(data[:4_000] if number == 4 else data)
    text = TEXT.replace('source = "{coarse}"', f'source = "{gridded_folder / "merra2"}"')
    recipe = local_recipe(tmp_path / "files", text)
    plan = plan_cubes(recipe, NOW)
    assert plan.facts()["cubes"]["fine"]["steps"] == 6  # later files may still come
    _, fine = build_cubes(recipe, tmp_path / "store", plan)
    assert fine.gaps == {"not_listed": 1, "unreadable": 1}
    assert fine.left == 0
    assert "0200z.nc4 could not be read as NetCDF-4" in fine.problems[0]
    cube = CubeStore.open(fine.uri)
    assert cube.gaps().tolist() == [0, 0, 1, 0, 2, 0]
    empty = np.isnan(cube.read("dust_aot")).all(axis=(1, 2))
    assert empty.tolist() == [False, False, True, False, True, False]
    for path in sources[5:]:
        (folder / path.name).write_bytes(path.read_bytes())
    late = sorted((gridded_folder / "g5nr").rglob("*.nc4"))[6]
    (folder / late.name).write_bytes(late.read_bytes())
    _, grown = build_cubes(recipe, tmp_path / "store", plan_cubes(recipe, NOW))
    assert (grown.read, grown.steps) == (1, 7)
    assert CubeStore.open(fine.uri).snapshot.number == 2


def test_files_of_a_smaller_area_are_not_taken_for_the_whole(
    gridded_folder: Path, tmp_path: Path
) -> None:
    recipe = local_recipe(gridded_folder, TEXT.replace("[1.9,", "[-30.0,"))
    coarse, _ = build_cubes(recipe, tmp_path, plan_cubes(recipe, NOW))
    assert coarse.gaps == {"unreadable": 48}
    assert "longitudes from -30 to 3.75 degrees; it holds" in coarse.problems[0]


def test_what_cannot_be_built_is_said_before_anything_is_read(
    gridded_folder: Path, tmp_path: Path
) -> None:
    small = local_recipe(
        gridded_folder, TEXT.replace("[1.9, 49.9, 4.1, 51.6]", "[1, 2, 1.1, 2.1]")
    )
    with pytest.raises(RecipeError, match="holds no point of merra2-aerosol"):
        plan_cubes(small, NOW)
    late = local_recipe(
        gridded_folder,
        TEXT.replace('["2021-06-01"', '["2021-05-01"').replace(
            '"2021-06-02"]', '"2021-05-02"]'
        ),
    )
    with pytest.raises(
        QueryError, match="lists no file of 'merra2-aerosol' for the cube 'coarse'"
    ):
        plan_cubes(late, NOW)
    large = local_recipe(gridded_folder, TEXT + "[limits]\nmax_bytes = 1000\n")
    plan = plan_cubes(large, NOW)
    with pytest.raises(RecipeError, match=r"raise max_bytes in \[limits\]"):
        build_cubes(large, tmp_path / "store", plan)
    assert not (tmp_path / "store").exists()


def test_a_missing_token_is_said_before_anything_is_read(
    gridded_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("EARTHDATA_TOKEN", "EARTHDATA_USERNAME", "EARTHDATA_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    recipe = local_recipe(gridded_folder)
    plan = plan_cubes(recipe, NOW)
    coarse = plan.jobs[0]
    away = replace(coarse, cube=replace(coarse.cube, source=KNOWN_SOURCES["gesdisc"]))
    with pytest.raises(RecipeError, match=r"merra2-aerosol from 'gesdisc'.*EARTHDATA_TOKEN"):
        build_cubes(recipe, tmp_path / "store", replace(plan, jobs=(away,)))
    assert not (tmp_path / "store").exists()
