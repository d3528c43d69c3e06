import re
from html.parser import HTMLParser

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from catalog.errors import StoreError
from stores.create import create_store
from stores.objects import open_root
from stores.patch_store import PatchStore
from stores.report.contact import read_patches, spread_over_time
from stores.report.counts import split_audit, split_sizes, time_gaps
from stores.report.dataset import report_page, write_report
from stores.report.footprints import MOST_OUTLINES, cell_states, footprint_maps
from stores.report.views import views_of
from stores.snapshot import publish


class _Outline(HTMLParser):
    """What a browser would load, and what it would show as text."""

    def __init__(self):
        super().__init__()
        self.loaded, self.tags, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loaded += [v for k, v in attrs if k in ("src", "href", "xlink:href", "srcset")]

    def handle_data(self, data):
        self.text.append(data)


def _parse(path) -> _Outline:
    outline = _Outline()
    outline.feed(path.read_text(encoding="utf-8"))
    return outline


@pytest.fixture(name="page", scope="module")
def page_fixture(tiny_store, tmp_path_factory):
    return write_report(tiny_store, tmp_path_factory.mktemp("report") / "sub" / "report.html")


def test_the_page_loads_nothing_from_outside(page):
    written = page.read_text(encoding="utf-8")
    assert all(v.startswith(("#", "data:image/png;base64,")) for v in _parse(page).loaded)
    assert "@import" not in written
    assert "url(" not in written
    assert not set(_parse(page).tags) & {"script", "link", "iframe", "object", "embed"}


def test_the_counts_are_those_of_the_index(page, tiny_store):
    index = PatchStore.open(tiny_store).index
    text = " ".join(_parse(page).text)
    kept, rejected = (int((index["status"] == s).sum()) for s in ("kept", "rejected"))
    assert f"{kept} kept + {rejected} rejected = {len(index)} candidates." in text
    reasons = index.loc[index["status"] == "rejected", "reason"].value_counts()
    for reason, number in reasons.items():
        assert re.search(rf"{reason}\s+{number}\b", text)
    sizes = index.loc[index["status"] == "kept", "split"].value_counts()
    for split, number in sizes.items():
        assert re.search(rf"{split} +{number} +{number / kept:.1%}", text)


def test_histograms_hold_every_usable_train_pixel(page, tiny_store):
    store = PatchStore.open(tiny_store)
    train = store.select(split="train")
    totals = re.findall(r'data-total="(\d+)"', page.read_text(encoding="utf-8"))
    for layer in ("fine", "radar"):
        read = store.read(layer, train["slot"].to_numpy())
        assert str(int(read.valid.sum())) in totals


def test_statistics_are_those_of_the_train_samples(page, tiny_store):
    store = PatchStore.open(tiny_store)
    layer = store.schema.layer("fine")
    read = store.read("fine", store.select(split="train")["slot"].to_numpy())
    red = layer.to_physical(read.raw, read.valid)[:, 0]
    text = " ".join(_parse(page).text)
    assert f"{np.nanmean(red.astype(float)):.4f}" in text
    assert f"{np.nanstd(red.astype(float)):.4f}" in text


def test_the_patches_shown_are_the_stored_ones(tiny_store):
    store = PatchStore.open(tiny_store)
    samples = spread_over_time(store.select(), 5)
    patches = read_patches(store, samples)
    tree = store.sample(samples["sample_id"].iloc[3])
    shown = patches[3]["fine"].usable(("red", "nir"))
    stored = tree["fine"]["pixels"].to_numpy()
    valid = tree["fine"]["valid"].to_numpy().astype(bool)
    assert np.array_equal(shown[:, valid], stored[:, valid])


def test_hostile_text_in_the_store_stays_text(tmp_path, tiny_schema, build):
    uri = str(tmp_path / "hostile")
    create_store(uri, tiny_schema)
    publish(open_root(uri), build(uri, range(6)))
    store = PatchStore.open(uri)
    hostile = "<script>alert(1)</script>'\"><img src=x>"
    for column in ("sample_id", "cell_id", "region", "reason", "detail", "fine_scenes"):
        store.index[column] = store.index[column].astype(object)
        store.index.loc[store.index.index, column] = hostile
    outline = _Outline()
    outline.feed(report_page(store))
    assert "script" not in outline.tags
    assert "x" not in outline.loaded
    assert hostile in "".join(outline.text)


def test_a_missing_store_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(StoreError, match="nowhere"):
        write_report(tmp_path / "nowhere", tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_no_more_samples_are_shown_than_asked_for_and_the_ends_are_among_them():
    times = pd.date_range("2020-01-01", periods=100, tz="UTC")
    kept = pd.DataFrame(
        {"anchor_time": times[::-1], "sample_id": [f"{i:03d}" for i in range(100)]}
    )
    shown = spread_over_time(kept, 12)
    assert len(shown) == shown["sample_id"].nunique() == 12
    assert shown["anchor_time"].iloc[0] == times[0]
    assert shown["anchor_time"].iloc[-1] == times[-1]
    assert len(spread_over_time(kept.iloc[:0], 12)) == 0


def _cells(number: int, splits: list[str]) -> gpd.GeoDataFrame:
    rows = [
        {
            "cell_id": f"c{i}",
            "region": "",
            "split": splits[i % len(splits)],
            "status": "kept",
            "geometry": shapely.box(
                3 + i % 100 / 100,
                50 + i // 100 / 100,
                3.01 + i % 100 / 100,
                50.01 + i // 100 / 100,
            ),
        }
        for i in range(number)
    ]
    return gpd.GeoDataFrame(rows, crs=4326)


def test_a_cell_counts_as_kept_if_any_of_its_samples_is():
    index = _cells(2, ["train", "test"])
    index = pd.concat([index.assign(status="rejected"), index.iloc[:1]], ignore_index=True)
    states = cell_states(index).set_index("cell_id")["state"]
    assert states.to_dict() == {"c0": "train", "c1": "rejected"}


def test_the_map_draws_each_cell_and_says_how_many():
    drawn = str(footprint_maps(_cells(6, ["train", "val"])))
    assert drawn.count("<title>c") == 6
    assert "train: 3 cells" in drawn
    assert "°" in drawn
    assert "500 m</text>" in drawn


def test_a_map_of_very_many_cells_stays_small():
    drawn = str(footprint_maps(_cells(MOST_OUTLINES + 500, ["train", "test"])))
    assert len(drawn) < 200_000
    assert "train: 1,750 cells" in drawn


def test_regions_far_apart_get_a_map_each():
    here, there = _cells(4, ["train"]), _cells(4, ["test"])
    there = there.set_geometry(there.translate(xoff=60))
    index = pd.concat([here.assign(region="a"), there.assign(region="b", cell_id="d")])
    assert str(footprint_maps(index)).count("<svg") == 2


def test_a_cell_in_two_splits_is_called_a_leak():
    apart = _cells(6, ["train", "test"]).assign(
        anchor_time=pd.Timestamp("2020-06-01", tz="UTC")
    )
    assert "No cell has samples in two splits." in split_sizes(apart)
    both = pd.concat([apart, apart.iloc[:2].assign(split="val")], ignore_index=True)
    assert "2 cells have samples in more than one split: the split leaks." in split_sizes(both)


def test_gaps_are_shown_of_layers_that_are_matched_in_time_only():
    times = pd.to_datetime(["2020-06-01T10:00Z", "2020-06-03T10:00Z"])
    kept = pd.DataFrame(
        {
            "sar_time": times,
            "sar_dt_hours": [-5.0, 30.0],
            "dem_time": times,
            "dem_dt_hours": [900.0, 950.0],
        }
    )
    drawn = str(time_gaps(kept, ["sar", "dem"], ["sar"]))
    assert "sar, hours: median 17.5 h either way, largest 30.0 h, 1 of 2 within a day" in drawn
    assert "dem" not in drawn


def test_pictures_of_one_subject_stand_beside_each_other(tiny_schema):
    views = views_of(tiny_schema.layers)
    assert [(v.subject, v.layer) for v in views] == [
        ("band", "fine"),
        ("band", "fine"),
        ("band", "radar"),
        ("valid", "fine"),
        ("valid", "radar"),
    ]


def test_what_the_audit_of_the_split_found_is_said_beside_the_splits():
    audit = {"closest_m": 1920.0, "buffer_m": 0.0, "warnings": ["cells touch <another> split"]}
    said = str(split_audit(audit))
    assert "1,920 m apart; the recipe asks for 0 m" in said
    assert "cells touch &lt;another&gt; split" in said
    assert "no cells of two splits" in str(split_audit({**audit, "closest_m": None}))
