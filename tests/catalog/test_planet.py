"""PlanetScope deliveries in a folder: what is listed, what is refused and why."""

import json
from datetime import UTC, datetime

import pytest
import shapely

from catalog.errors import QueryError
from catalog.products import find_product
from catalog.providers.planet import search_planet_files
from catalog.providers.query import SceneQuery
from catalog.providers.source import Source

AREA = (3.0, 50.8, 3.02, 50.82)
KEYS = ("blue", "green", "red", "nir", "udm2")
JUNE = datetime(2021, 6, 1, tzinfo=UTC)
JULY = datetime(2021, 7, 1, tzinfo=UTC)
FIRST = "20210612_100530_42_2413"


def query(folder, *, start=JUNE, end=JULY, box=AREA, bands=KEYS):
    return SceneQuery(
        product=find_product("planetscope-sr"),
        source=Source(name="mine", listing="files", url=str(folder), dialect="files"),
        bands=bands,
        boxes=(box,),
        start=start,
        end=end,
    )


def deliver(folder, name, *tifs, bounds=AREA, **properties):
    """Write the metadata of one item, and empty files for its pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    stated = {
        "acquired": f"{name[:4]}-{name[4:6]}-{name[6:8]}T10:05:30.420000Z",
        "cloud_cover": 0.25,
        "satellite_id": name.rsplit("_", 1)[1],
        "updated": "2021-06-13T00:00:00Z",
        **properties,
    }
    feature = {
        "type": "Feature",
        "id": name,
        "geometry": shapely.geometry.mapping(shapely.box(*bounds)),
        "properties": stated,
    }
    (folder / f"{name}_metadata.json").write_text(json.dumps(feature))
    for tif in tifs or ("3B_AnalyticMS_SR.tif", "3B_udm2.tif"):
        (folder / f"{name}_{tif}").touch()


def search(folder, **asked):
    return search_planet_files(query(folder, **asked))


def test_a_delivery_becomes_a_scene_with_a_band_of_a_file_for_each_key(tmp_path):
    deliver(tmp_path / "order" / "PSScene", FIRST)
    [scene] = search(tmp_path).scenes
    assert scene.id == FIRST
    assert scene.time == datetime(2021, 6, 12, 10, 5, 30, 420000, tzinfo=UTC)
    assert scene.cloud == 0.25
    assert (scene.platform, scene.source) == ("planetscope-2413", "mine")
    assert scene.version == "2021-06-13T00:00:00Z"
    assert scene.footprint.bounds == pytest.approx(AREA)
    assert {key: asset.index for key, asset in scene.assets.items()} == {
        "blue": 1,
        "green": 2,
        "red": 3,
        "nir": 4,
        "udm2": 1,
    }
    red, mask = scene.assets["red"], scene.assets["udm2"]
    assert red.href == str(tmp_path / "order" / "PSScene" / f"{FIRST}_3B_AnalyticMS_SR.tif")
    assert mask.href.endswith(f"{FIRST}_3B_udm2.tif")
    assert (red.scale, red.offset, red.nodata) == (1e-4, 0.0, 0.0)
    assert mask.nodata is None


def test_eight_bands_lie_in_another_order(tmp_path):
    deliver(tmp_path, FIRST, "3B_AnalyticMS_SR_8b_harmonized_clip.tif", "3B_udm2_clip.tif")
    [scene] = search(tmp_path).scenes
    indices = {key: scene.assets[key].index for key in KEYS}
    assert indices == {"blue": 2, "green": 4, "red": 6, "nir": 8, "udm2": 1}


def test_of_several_forms_the_harmonized_one_is_taken_with_the_mask_of_the_same_tools(tmp_path):
    deliver(
        tmp_path,
        FIRST,
        "3B_AnalyticMS_SR.tif",
        "3B_AnalyticMS_SR_8b_clip.tif",
        "3B_AnalyticMS_SR_harmonized_clip.tif",
        "3B_udm2.tif",
        "3B_udm2_clip.tif",
        "3B_AnalyticMS_SR_bandmath.tif",
    )
    [scene] = search(tmp_path).scenes
    assert scene.assets["red"].href.endswith("_3B_AnalyticMS_SR_harmonized_clip.tif")
    assert scene.assets["udm2"].href.endswith("_3B_udm2_clip.tif")


def test_scenes_come_in_order_of_time_and_only_those_asked_for(tmp_path):
    names = ("20210630_235900_01_2413", "20210612_100530_42_2413", "20210701_000000_00_2413")
    for name in names:
        deliver(tmp_path, name)
    deliver(tmp_path, "20210615_100530_42_2413", bounds=(9.0, 50.0, 9.1, 50.1))
    found = search(tmp_path)
    assert [scene.id for scene in found.scenes] == [names[1], names[0]]
    assert found.refused == ()
    assert len(search(tmp_path, start=None, end=None).scenes) == 3


def test_pixels_without_metadata_are_refused_with_a_reason(tmp_path):
    (tmp_path / f"{FIRST}_3B_AnalyticMS_SR.tif").touch()
    found = search(tmp_path)
    assert found.scenes == ()
    [reason] = found.refused
    assert f"'{FIRST}' has no {FIRST}_metadata.json" in reason


def test_a_scene_without_udm2_or_without_reflectance_is_refused_with_a_reason(tmp_path):
    deliver(tmp_path, FIRST, "3B_AnalyticMS_SR.tif")
    deliver(tmp_path, "20210613_100530_42_2413", "3B_udm2.tif", "3B_AnalyticMS.tif")
    found = search(tmp_path)
    assert found.scenes == ()
    assert "udm2.tif; without it clouds cannot be told" in found.refused[0]
    assert "order surface reflectance" in found.refused[1]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"properties": {"acquired": "yesterday"}}', '{"id": "another"}', "null"],
)
def test_metadata_that_cannot_be_understood_are_refused_not_raised(tmp_path, text):
    deliver(tmp_path, FIRST)
    (tmp_path / f"{FIRST}_metadata.json").write_text(text)
    found = search(tmp_path)
    assert found.scenes == ()
    assert "metadata that cannot be understood" in found.refused[0]


def test_a_second_copy_of_a_scene_is_refused(tmp_path):
    deliver(tmp_path / "a", FIRST)
    deliver(tmp_path / "b", FIRST)
    found = search(tmp_path)
    assert [scene.id for scene in found.scenes] == [FIRST]
    assert "more than once" in found.refused[0]


def test_a_folder_that_is_missing_or_holds_nothing_is_an_error(tmp_path):
    with pytest.raises(QueryError, match="there is no folder"):
        search(tmp_path / "nowhere")
    with pytest.raises(QueryError, match="holds no PlanetScope delivery"):
        search(tmp_path)


def test_clouds_outside_of_a_fraction_are_kept_within_it(tmp_path):
    deliver(tmp_path, FIRST, cloud_cover=1.0001)
    deliver(tmp_path, "20210613_100530_42_2413", cloud_cover=None)
    deliver(tmp_path, "20210614_100530_42_2413", cloud_cover="overcast")
    found = search(tmp_path)
    assert [scene.cloud for scene in found.scenes] == [1.0, None]
    assert "states what is no number" in found.refused[0]
