"""Cubes: what is written is read, in xarray too; only published states are seen."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from catalog.errors import StoreError
from stores.cube_schema import BLOCK_STEPS, CubeSpec, CubeVariable
from stores.cube_store import CubeStore
from stores.cube_writer import append, create_cube, publish_cube, write_block, written_gaps
from stores.objects import list_paths, open_root

SPEC = CubeSpec(
    name="dust",
    product="merra2-aerosol",
    variables=(
        CubeVariable(key="dust_aot", long_name="dust aot (DUEXTTAU)", unit="1"),
        CubeVariable(key="dust_mass", long_name="dust mass (DUCMASS)", unit="kg m-2"),
    ),
    latitudes=tuple(float(v) for v in 48 + 0.5 * np.arange(5)),
    longitudes=tuple(float(v) for v in 0.625 * np.arange(150)),
    start=datetime(2021, 6, 1, 0, 30, tzinfo=UTC),
    step=timedelta(hours=1),
    license="none",
    attribution="nobody",
    citation="tests",
)
META = {"name": "dust"}


def fields(steps: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {key: rng.random((steps, *SPEC.shape), dtype=np.float32) for key in SPEC.keys}


def part(values: dict[str, np.ndarray], start: int, stop: int) -> dict[str, np.ndarray]:
    return {key: field[start:stop] for key, field in values.items()}


def objects(uri: Path) -> dict[str, bytes]:
    root = open_root(uri)
    return {path: Path(root.uri, path).read_bytes() for path in list_paths(root, "")}


def test_what_is_published_is_read_back(tmp_path: Path) -> None:
    root = create_cube(tmp_path / "dust", SPEC)
    values = fields(30)
    values["dust_aot"][3, 2, 5] = np.nan
    assert append(root, SPEC, values, [0] * 30) == 30
    publish_cube(root, META)
    cube = CubeStore.open(tmp_path / "dust")
    assert cube.steps == 30
    assert cube.times[:2] == (SPEC.start, SPEC.start + SPEC.step)
    for key in SPEC.keys:
        np.testing.assert_array_equal(cube.read(key), values[key])
    window = cube.read("dust_aot", slice(20, 27), slice(1, 3), slice(120, None))
    np.testing.assert_array_equal(window, values["dust_aot"][20:27, 1:3, 120:])
    assert window.dtype == np.float32


def test_xarray_reads_a_cube_by_the_cf_conventions(tmp_path: Path) -> None:
    """Warnings are errors here."""
    root = create_cube(tmp_path / "dust", SPEC)
    values = fields(26)
    append(root, SPEC, values, [0] * 25 + [2])
    publish_cube(root, META)
    with xr.open_zarr(CubeStore.open(tmp_path / "dust").zarr_uri) as data:
        assert dict(data.sizes) == {"time": 26, "lat": 5, "lon": 150}
        assert str(data["time"].values[1]) == "2021-06-01T01:30:00.000000000"
        assert data["lat"].attrs["units"] == "degrees_north"
        assert data["lon"].attrs["standard_name"] == "longitude"
        assert data["dust_mass"].attrs == {
            "long_name": "dust mass (DUCMASS)",
            "units": "kg m-2",
        }
        assert data["gap"].attrs["flag_meanings"] == "none not_listed unreadable"
        picked = data["dust_aot"].sel(lat=49.0, lon=1.25, time="2021-06-01T10:30")
        assert picked.compute().item() == values["dust_aot"][10, 2, 2]
        np.testing.assert_array_equal(data["dust_mass"].values, values["dust_mass"])


def test_steps_are_seen_once_they_are_published(tmp_path: Path) -> None:
    root = create_cube(tmp_path / "dust", SPEC)
    values = fields(40)
    with pytest.raises(StoreError, match="no published state"):
        CubeStore.open(tmp_path / "dust")
    append(root, SPEC, part(values, 0, 10), [0] * 10)
    publish_cube(root, META)
    before = CubeStore.open(tmp_path / "dust")
    append(root, SPEC, part(values, 10, 40), [0] * 30)
    assert CubeStore.open(tmp_path / "dust").steps == 10
    with xr.open_zarr(before.zarr_uri) as data:
        assert data.sizes["time"] == 10
    published = publish_cube(root, META)
    assert published is not None
    assert (published.number, published.steps) == (2, 40)
    assert publish_cube(root, META) == published
    assert before.read("dust_aot").shape[0] == before.steps == 10
    np.testing.assert_array_equal(
        CubeStore.open(tmp_path / "dust").read("dust_aot"), values["dust_aot"]
    )


@pytest.mark.parametrize("cuts", [(50,), (7, 50), (24, 48, 50), (1, 23, 25, 49, 50)])
def test_the_way_steps_were_appended_leaves_no_trace(
    tmp_path: Path, cuts: tuple[int, ...]
) -> None:
    values, gaps = fields(50), [0] * 49 + [1]
    for name, ends in (("whole", (50,)), ("cut", cuts)):
        root = create_cube(tmp_path / name, SPEC)
        start = 0
        for end in ends:
            append(root, SPEC, part(values, start, end), gaps[start:end])
            start = end
        publish_cube(root, META)
    assert objects(tmp_path / "whole") == objects(tmp_path / "cut")


def test_a_block_that_died_half_written_is_written_again(tmp_path: Path) -> None:
    root = create_cube(tmp_path / "dust", SPEC)
    values = fields(2 * BLOCK_STEPS)
    append(root, SPEC, values, [0] * 2 * BLOCK_STEPS)
    whole = objects(tmp_path / "dust")
    (tmp_path / "dust" / "blocks" / "000001.json").unlink()
    (tmp_path / "dust" / "data.zarr" / "dust_mass" / "c" / "1" / "0" / "1").unlink()
    (tmp_path / "dust" / "data.zarr" / "dust_aot" / "c" / "1" / "0" / "0").write_bytes(b"half")
    assert len(written_gaps(root)) == BLOCK_STEPS
    write_block(root, SPEC, 1, part(values, BLOCK_STEPS, 48), [0] * BLOCK_STEPS)
    assert objects(tmp_path / "dust") == whole


def test_gaps_say_which_steps_hold_no_data_and_why(tmp_path: Path) -> None:
    root = create_cube(tmp_path / "dust", SPEC)
    gaps = [0] * 10
    gaps[3], gaps[7] = 1, 2
    append(root, SPEC, fields(10), gaps)
    snapshot = publish_cube(root, META)
    cube = CubeStore.open(tmp_path / "dust")
    assert cube.gaps().tolist() == gaps
    assert cube.gap_reasons() == {
        "not_listed": (SPEC.time_of(3),),
        "unreadable": (SPEC.time_of(7),),
    }
    assert snapshot is not None
    assert snapshot.gaps == 2


def test_windows_start_where_no_lag_and_no_target_is_missing(tmp_path: Path) -> None:
    root = create_cube(tmp_path / "dust", SPEC)
    append(root, SPEC, fields(12), [0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 1, 0])
    publish_cube(root, META)
    cube = CubeStore.open(tmp_path / "dust")
    assert cube.windows(3).tolist() == [0, 4, 5, 6, 7]
    assert cube.windows(3, ahead=2).tolist() == [0, 4, 5, 7]
    assert cube.windows(40).tolist() == []
    with pytest.raises(StoreError, match="make no sense"):
        cube.windows(0)


def test_a_cube_of_another_recipe_is_left_alone(tmp_path: Path) -> None:
    create_cube(tmp_path / "dust", SPEC)
    before = objects(tmp_path / "dust")
    create_cube(tmp_path / "dust", SPEC)
    with pytest.raises(StoreError, match="latitudes differ; use a new store path"):
        create_cube(tmp_path / "dust", replace(SPEC, latitudes=(1.0, 2.0)))
    assert objects(tmp_path / "dust") == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("chapter 1")
    with pytest.raises(StoreError, match=r"something else \(thesis.txt\)"):
        create_cube(tmp_path / "other", SPEC)


def test_a_folder_that_is_no_cube_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"it has no cube.json"):
        CubeStore.open(tmp_path)
    (tmp_path / "cube.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(StoreError, match="format 99, this version reads 1"):
        CubeStore.open(tmp_path)
    (tmp_path / "cube.json").write_text("{}}")
    with pytest.raises(StoreError, match="does not describe a cube"):
        CubeStore.open(tmp_path)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    root = create_cube(tmp_path / "dust", SPEC)
    with pytest.raises(StoreError, match=r"takes 1 to 24 steps of \(5, 150\)"):
        append(root, SPEC, {key: np.zeros((3, 4, 4), np.float32) for key in SPEC.keys}, [0] * 3)
    with pytest.raises(StoreError, match="write block 0 first"):
        write_block(root, SPEC, 1, fields(3), [0] * 3)
    assert publish_cube(root, META) is None
    append(root, SPEC, fields(3), [0] * 3)
    publish_cube(root, META)
    with pytest.raises(StoreError, match="did you mean 'dust_aot'"):
        CubeStore.open(tmp_path / "dust").read("dust_aod")
    with pytest.raises(StoreError, match="distinct names other than time"):
        replace(SPEC, variables=(replace(SPEC.variables[0], key="time"),))
