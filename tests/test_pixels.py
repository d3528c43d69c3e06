"""Pixels end to end: what a store says of shift, response and haze, against what is known."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyproj import Transformer

from pipeline.plan import make_plan
from pipeline.recipe import load_recipe
from pipeline.run import build_store
from pipeline.sandbox import optical
from pipeline.sandbox.schedule import LANDSAT, SENTINEL2, SandboxConfig
from pipeline.sandbox.write import write_sandbox
from stores.patch_store import PatchStore
from tests.bench.pairs import BANDS, build_pairs, real_pairs

NOW = datetime(2022, 1, 1, tzinfo=UTC)
CELL_M = 1920
SEASON = SandboxConfig(
    seed=11,
    size_m=2 * CELL_M,
    start=date(2021, 5, 1),
    end=date(2021, 9, 10),
    landsat_every_days=8,
    sentinel2_every_days=10,
    cloudiness=0.6,
    overcast=0.7,
    two_rows=None,
    products=(LANDSAT, SENTINEL2),
)
"""Four cells and one season, more than half of its passes cloudy."""
RECIPE = """
name = "pixels"
period = ["2021-04-01", "2021-09-30"]
anchor = "landsat"
window_days = {window_days}
source = "{source}"

[area]
points = {points}

[grid]
gsd_m = 10
size_px = 192

[layers.landsat]
product = "landsat-c2-l2"
bands = ["blue", "green", "red", "nir"]
gsd_m = 30
min_valid = 0.4

[layers.sentinel2]
product = "sentinel-2-l2a"
bands = ["blue", "green", "red", "nir_narrow"]
gsd_m = 10
min_valid = 0.4
"""
REGISTERED = "[coregister]\n"


@dataclass(frozen=True)
class Sandbox:
    """Scenes that lie off their places, and how far each does."""

    items: Path
    config: SandboxConfig

    def relative_m(self, anchor, companion):
        """How far a companion lies east and north of its anchor."""
        listed = json.loads(self.items.read_text())["features"]
        off = {one["id"]: one["properties"]["sandbox:shift_m"] for one in listed}
        return np.subtract(off[companion], off[anchor])

    def points(self):
        """The middles of its cells, in longitude and latitude."""
        to_lonlat = Transformer.from_crs(self.config.epsg, 4326, always_xy=True)
        steps = np.arange(CELL_M / 2, self.config.size_m, CELL_M)
        return [
            list(to_lonlat.transform(self.config.west + x, self.config.south + y))
            for x in steps
            for y in steps
        ]


def render(folder, config):
    return Sandbox(write_sandbox(folder, config=config), config)


def build(folder, sandbox, steps, *, source=None, window_days=6):
    folder.mkdir()
    path = folder / "pixels.toml"
    text = RECIPE.format(
        source=source or sandbox.items, window_days=window_days, points=sandbox.points()
    )
    path.write_text(text + steps)
    recipe = load_recipe(path)
    build_store(recipe, folder / "store", lambda: make_plan(recipe, NOW), connect=None)
    return PatchStore.open(folder / "store")


@pytest.fixture(scope="module")
def sandboxes(tmp_path_factory):
    """The same season over two landscapes."""
    folder = tmp_path_factory.mktemp("sandboxes")
    return [
        render(folder / str(seed), SandboxConfig(**_fields(SEASON) | {"seed": seed}))
        for seed in (11, 12)
    ]


def _fields(config):
    return {name: getattr(config, name) for name in config.__dataclass_fields__}


def scene_pairs(store):
    """One row per pair of scenes of a store, with the first of its samples."""
    kept = store.select()
    return kept.groupby(["landsat_scenes", "sentinel2_scenes"], as_index=False).first()


def errors_m(sandbox, pairs):
    """Distance of each pair's correction from the truth."""
    return pd.Series(
        [
            np.hypot(
                *(
                    sandbox.relative_m(row.landsat_scenes, row.sentinel2_scenes)
                    - (row.sentinel2_shift_east_m, row.sentinel2_shift_north_m)
                )
            )
            for row in pairs.itertuples()
        ],
        index=pairs.index,
    )


@pytest.fixture(scope="module")
def registered(sandboxes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("registered")
    return [
        (sandbox, build(folder / str(number), sandbox, REGISTERED))
        for number, sandbox in enumerate(sandboxes)
    ]


def test_cloudy_scenes_of_a_season_are_laid_on_each_other(registered):
    pairs, errors, lengths = [], [], []
    for sandbox, store in registered:
        found = scene_pairs(store)
        accepted = found["sentinel2_changes"] == "shift: corrected"
        pairs.append(accepted)
        errors.append(errors_m(sandbox, found[accepted]))
        lengths += [
            np.hypot(*sandbox.relative_m(row.landsat_scenes, row.sentinel2_scenes))
            for row in found.itertuples()
        ]
    accepted, error = pd.concat(pairs), pd.concat(errors)
    assert len(accepted) >= 16
    assert max(lengths) > 15
    assert accepted.mean() >= 0.9
    assert error.median() < 1.0
    assert error.quantile(0.95) < 2.5


def test_the_index_tells_shift_confidence_and_residual_of_each_pair(registered):
    _, store = registered[0]
    kept = store.select()
    moved = kept[kept["sentinel2_changes"] == "shift: corrected"]
    assert (moved["sentinel2_shift_confidence"] >= 0.3).all()
    assert (moved["sentinel2_shift_residual_m"] < 3).all()
    assert (moved["sentinel2_resampling"] == "cubic").all()
    assert (kept["landsat_shift_east_m"] == 0).all()
    assert kept["landsat_shift_confidence"].isna().all()
    assert (kept["landsat_changes"] == "").all()
    shifts = moved.groupby(["task", "landsat_scenes", "sentinel2_scenes"])
    assert (shifts["sentinel2_shift_east_m"].nunique() == 1).all()


@pytest.mark.parametrize("turn", [1, -1])
def test_scenes_of_another_landscape_are_never_accepted(sandboxes, tmp_path, turn):
    ours, other = sandboxes[::turn]
    items = []
    for sandbox, product in ((ours, LANDSAT), (other, SENTINEL2)):
        for item in json.loads(sandbox.items.read_text())["features"]:
            if item["collection"] == product:
                for asset in item["assets"].values():
                    asset["href"] = str(sandbox.items.parent / asset["href"])
                items.append(item)
    archive = tmp_path / "items.json"
    archive.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    taken = scene_pairs(build(tmp_path / "kept", ours, REGISTERED, source=archive))
    assert len(taken) >= 6
    assert taken["sentinel2_changes"].str.startswith("shift: refused, ").all()
    assert (taken[["sentinel2_shift_east_m", "sentinel2_shift_north_m"]] == 0).all(axis=None)
    strict = REGISTERED + "required = true\n"
    index = build(tmp_path / "lost", ours, strict, source=archive).index
    assert not (index["status"] == "kept").any()
    refused = index[index["reason"] == "failed co-registration"]
    assert len(refused) >= len(taken)
    assert refused["detail"].str.contains("sentinel2: S2").all()


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A season without clouds under air that was corrected without error."""
    config = SandboxConfig(
        seed=7,
        size_m=CELL_M,
        start=date(2021, 5, 1),
        end=date(2021, 9, 10),
        landsat_every_days=8,
        cloudiness=0.0,
        two_rows=None,
        products=(LANDSAT, SENTINEL2),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optical, "HAZE_OFFSET", 0.0)
        patch.setattr(optical, "HAZE_GAIN", 0.0)
        return render(tmp_path_factory.mktemp("clean"), config)


def bias(store):
    """Sentinel-2 minus Landsat by band: mean over a cell, median over all samples."""
    differences = []
    for sample in store.select()["sample_id"]:
        tree = store.sample(sample)
        means = [
            tree[layer]["pixels"].mean(("y", "x")).to_numpy()
            for layer in ("landsat", "sentinel2")
        ]
        differences.append(means[1] - means[0])
    return np.median(differences, axis=0)


def test_adjusted_bands_agree_between_sensors_and_others_do_not(clean, tmp_path):
    steps = '[harmonize]\nlike = "{}"\n'
    plain = build(tmp_path / "plain", clean, "", window_days=2)
    assert len(plain.select()) >= 6
    assert np.abs(bias(plain)).max() > 0.003
    for like in ("oli", "msi"):
        adjusted = build(tmp_path / like, clean, steps.format(like), window_days=2)
        assert np.abs(bias(adjusted)).max() < 0.002
        words = adjusted.select()
        ours, theirs = ("sentinel2", "landsat") if like == "oli" else ("landsat", "sentinel2")
        assert words[f"{ours}_changes"].str.match(r"bands: \w+ to \w+, ").all()
        assert (words[f"{theirs}_changes"] == f"bands: {like} already").all()


@pytest.fixture(scope="module")
def real(real_archive, tmp_path_factory):
    return real_pairs(real_archive, tmp_path_factory.mktemp("real"))


def test_real_pairs_agree_as_well_or_better_once_corrected(real):
    accepted = [pair for pair in real if pair.accepted]
    assert len(accepted) >= 4
    for pair in accepted:
        for band, before, after in zip(BANDS, pair.before, pair.after, strict=True):
            assert after >= before, (pair.anchor_time, band)


def test_the_real_hazy_pair_is_flagged_and_clear_ones_are_not(real):
    words = {f"{pair.anchor_time:%Y-%m-%d}": pair.haze for pair in real}
    assert words["2018-07-17"] == "haze in the companion"
    for day in ("2018-02-23", "2018-07-01", "2018-07-24", "2018-08-02", "2018-10-05"):
        assert words[day] == "clear"


def test_a_hazy_companion_gives_way_to_a_clear_one_where_the_recipe_asks(
    real_archive, tmp_path
):
    steps = '[haze]\naction = "reject"\n'
    index = build_pairs(tmp_path / "clear", real_archive, steps).index
    [sample] = index[index["anchor_time"].dt.strftime("%Y-%m-%d") == "2018-07-17"].to_dict(
        "records"
    )
    assert (sample["status"], sample["sentinel2_haze"]) == ("kept", "clear")
    assert "20180718" not in sample["sentinel2_scenes"]
    assert "S2_31UDS_20180718_0_L2A and its anchor disagree" in sample["detail"]
    lost = index[index["reason"] == "haze"]
    assert len(lost) >= 1
    assert lost["detail"].str.startswith("sentinel2: ").all()
