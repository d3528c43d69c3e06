"""What is expected of each published item: one row per file, written by hand from the files."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
import shapely

from catalog.errors import ItemError
from catalog.providers.identify import product_of
from catalog.providers.items import read_item
from catalog.providers.outline import read_outline
from catalog.providers.source import KNOWN_SOURCES, Source, stac_source

S2_LAND = ("red", "nir_narrow", "scl")
GRID_10 = (10980, 10980)
GRID_20 = (5490, 5490)


@dataclass(frozen=True, kw_only=True)
class File:
    """One asset as it is expected."""

    href: str
    """How it ends."""
    scale: float = 1.0
    offset: float = 0.0
    nodata: float | None = 0.0
    shape: tuple[int, int] | None = None
    transform: tuple[float, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A file whose items are scenes; the assets are those of the first item."""

    product: str
    bands: tuple[str, ...]
    scenes: tuple[tuple[str, str, int | None], ...]
    """(id, time, EPSG code) of each item."""
    platform: str
    access: str = "open"
    cloud: float | None = None
    assets: Mapping[str, File] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A file whose items are no scenes, with the reason of each."""

    reason: str
    count: int = 1
    product: str = ""
    """What the items are of, where that is known but they cannot be read."""
    bands: tuple[str, ...] = ()


def north_up(west, north, gsd):
    return (float(gsd), 0.0, float(west), 0.0, -float(gsd), float(north))


def dem(west):
    return (1 / 360, 0.0, west, 0.0, -1 / 3600, -88.99986111111112)


def landsat(href, grid, **more):
    shape, west, north = grid
    return File(
        href=href,
        **{"scale": 2.75e-5, "offset": -0.2, **more},
        shape=shape,
        transform=north_up(west, north, 30),
    )


ES_LANDSAT = ((7831, 7711), 449085, 4581915)
PC_LANDSAT = ((7971, 7971), 520185, -4663485)
PC_L2SR = ((7711, 7601), 216285, -1802985)
S2_EPT = (600000, 3300040)

ROWS = {
    "earth-search/cop-dem-glo-30__Copernicus_DSM_COG_10_S90_00_W177_00_DEM.json": Accepted(
        product="cop-dem-glo-30",
        bands=("elevation",),
        scenes=(("Copernicus_DSM_COG_10_S90_00_W177_00_DEM", "2021-04-22T00:00:00Z", 4326),),
        platform="tandem-x",
        assets={
            "elevation": File(
                href="s3://copernicus-dem-30m/Copernicus_DSM_COG_10_S90_00_W177_00_DEM/"
                "Copernicus_DSM_COG_10_S90_00_W177_00_DEM.tif",
                nodata=-32768.0,
                shape=(3600, 360),
                transform=dem(-177.0013888888889),
            )
        },
    ),
    "earth-search/landsat-c2-l2__LC08_L2SP_033032_20231008_02_T1.json": Accepted(
        product="landsat-c2-l2",
        bands=("coastal", "nir", "thermal", "qa_pixel"),
        scenes=(("LC08_L2SP_033032_20231008_02_T1", "2023-10-08T17:37:26.656958Z", 32613),),
        platform="landsat-8",
        access="requester-pays",
        cloud=0.0006,
        assets={
            "coastal": landsat("_02_T1_SR_B1.TIF", ES_LANDSAT),
            "nir": landsat("_02_T1_SR_B5.TIF", ES_LANDSAT),
            "thermal": landsat("_02_T1_ST_B10.TIF", ES_LANDSAT, scale=0.00341802, offset=149.0),
            "qa_pixel": landsat(
                "_02_T1_QA_PIXEL.TIF", ES_LANDSAT, scale=1.0, offset=0.0, nodata=1.0
            ),
        },
    ),
    "earth-search/sentinel-1-grd__S1A_IW_GRDH_1SSH_20250731T135608_20250731T135637_060328_"
    "077F7E.json": Refused(
        product="sentinel-1-grd",
        bands=("vv",),
        reason="'S1A_IW_GRDH_1SSH_.*' holds amplitude in sensor geometry",
    ),
    "earth-search/sentinel-2-c1-l2a__S2B_T20EPT_20250731T131905_L2A.json": Accepted(
        product="sentinel-2-l2a",
        bands=S2_LAND,
        scenes=(("S2B_T20EPT_20250731T131905_L2A", "2025-07-31T13:19:22.930Z", 32720),),
        platform="sentinel-2b",
        cloud=0.2602542,
        assets={
            "red": File(
                href="/S2B_T20EPT_20250731T131905_L2A/B04.tif",
                scale=1e-4,
                offset=-0.1,
                shape=GRID_10,
                transform=north_up(*S2_EPT, 10),
            ),
            "nir_narrow": File(
                href="/S2B_T20EPT_20250731T131905_L2A/B8A.tif",
                scale=1e-4,
                offset=-0.1,
                shape=GRID_20,
                transform=north_up(*S2_EPT, 20),
            ),
            "scl": File(href="/SCL.tif", shape=GRID_20, transform=north_up(*S2_EPT, 20)),
        },
    ),
    "earth-search/sentinel-2-l1c__S2B_20EPT_20250731_0_L1C.json": Accepted(
        product="sentinel-2-l1c",
        bands=("red", "cirrus"),
        scenes=(("S2B_20EPT_20250731_0_L1C", "2025-07-31T13:19:22.930Z", 32720),),
        platform="sentinel-2b",
        access="requester-pays",
        cloud=0.0,
        assets={
            "red": File(
                href="s3://sentinel-s2-l1c/tiles/20/E/PT/2025/7/31/0/B04.jp2",
                scale=1e-4,
                offset=-0.1,
                shape=GRID_10,
                transform=north_up(*S2_EPT, 10),
            ),
            "cirrus": File(
                href="s3://sentinel-s2-l1c/tiles/20/E/PT/2025/7/31/0/B10.jp2",
                scale=1e-4,
                offset=-0.1,
                shape=(1830, 1830),
                transform=north_up(*S2_EPT, 60),
            ),
        },
    ),
    # The item states an offset of -0.1, which is no longer in the pixels.
    "earth-search/sentinel-2-l2a__S2B_20EPT_20250731_0_L2A.json": Accepted(
        product="sentinel-2-l2a",
        bands=S2_LAND,
        scenes=(("S2B_20EPT_20250731_0_L2A", "2025-07-31T13:19:22.930Z", 32720),),
        platform="sentinel-2b",
        cloud=0.2602542,
        assets={
            "red": File(
                href="/S2B_20EPT_20250731_0_L2A/B04.tif",
                scale=1e-4,
                shape=GRID_10,
                transform=north_up(*S2_EPT, 10),
            ),
            "nir_narrow": File(
                href="/S2B_20EPT_20250731_0_L2A/B8A.tif",
                scale=1e-4,
                shape=GRID_20,
                transform=north_up(*S2_EPT, 20),
            ),
            "scl": File(href="/SCL.tif", shape=GRID_20, transform=north_up(*S2_EPT, 20)),
        },
    ),
    "hls/HLS-VI_stac_item.json": Refused(
        reason="'HLS-VI.L30.T06WVS.2024120T211159.v2.0' is vegetation indices"
    ),
    "others/ESA_WorldCover_10m_2021_v200_N00E006.json": Accepted(
        product="esa-worldcover",
        bands=("land_cover",),
        scenes=(("ESA_WorldCover_10m_2021_v200_N00E006", "2021-07-02T11:59:59.500Z", 4326),),
        platform="sentinel-1a, sentinel-1b, sentinel-2a, sentinel-2b",
        assets={
            "land_cover": File(
                href="/tests/data-files/ESA_WorldCover_10m_2021_v200_N00E006/"
                "ESA_WorldCover_10m_2021_v200_N00E006_Map.tif",
                shape=(36000, 36000),
                transform=(1 / 12000, 0.0, 6.0, 0.0, -1 / 12000, 3.0),
            )
        },
    ),
    "others/LC08_L2SR_081119_20200101_20200823_02_T2.json": Accepted(
        product="landsat-c2-l2",
        bands=("green", "red", "qa_pixel"),
        scenes=(("LC08_L2SR_081119_20200101_20200823_02_T2", "2020-01-01T00:00:00Z", 3031),),
        platform="landsat-8",
        cloud=0.0,
        assets={
            name: File(
                href=f"20200823_02_T2_{file}.TIF",
                scale=scale,
                offset=offset,
                nodata=nodata,
                shape=(200, 200),
                transform=(1164.15, 0.0, 857085.0, 0.0, -1150.6499999999999, -127485.0),
            )
            for name, file, scale, offset, nodata in (
                ("green", "SR_B3", 2.75e-5, -0.2, 0.0),
                ("red", "SR_B4", 2.75e-5, -0.2, 0.0),
                ("qa_pixel", "QA_PIXEL", 1.0, 0.0, 1.0),
            )
        },
    ),
    "others/S1A_20200103_17RMJ_ASC.json": Accepted(
        product="sentinel-1-rtc",
        bands=("vv", "vh"),
        scenes=(("S1A_20200103_17RMJ_ASC", "2020-01-03T23:36:21Z", 32617),),
        platform="sentinel-1a",
        assets={
            band: File(
                href=f"/S1A_20200103_17RMJ_ASC/Gamma0_{band.upper()}.tif",
                shape=GRID_20,
                transform=north_up(399960, 2900040, 20),
            )
            for band in ("vv", "vh")
        },
    ),
    "others/S2A_T60CWS_20240109T203651_L2A.item.json": Accepted(
        product="sentinel-2-l2a",
        bands=S2_LAND,
        scenes=(
            (
                "S2A_OPER_MSI_L2A_TL_2APS_20240109T203651_A044654_T60CWS",
                "2024-01-09T18:47:54.430Z",
                32760,
            ),
        ),
        platform="sentinel-2a",
        cloud=0.24603783,
        assets={
            "red": File(
                href="/others/R10m/B04.jp2",
                scale=1e-4,
                offset=-0.1,
                shape=GRID_10,
                transform=north_up(499980, 1200040, 10),
            ),
            "nir_narrow": File(
                href="/others/R20m/B8A.jp2",
                scale=1e-4,
                offset=-0.1,
                shape=GRID_20,
                transform=north_up(499980, 1200040, 20),
            ),
            "scl": File(
                href="/others/R20m/SCL.jp2",
                shape=GRID_20,
                transform=north_up(499980, 1200040, 20),
            ),
        },
    ),
    "others/S2B_MSIL2A_20190629T212529_R043_T06VVN_20201006T080531.json": Accepted(
        product="sentinel-2-l2a",
        bands=("red", "scl"),
        scenes=(
            (
                "S2B_MSIL2A_20190629T212529_R043_T06VVN_20201006T080531",
                "2019-06-29T21:25:29.024Z",
                32606,
            ),
        ),
        platform="sentinel-2b",
        cloud=0.00314306,
        assets={
            "red": File(
                href="_20190629T212529_B04_10m.tif",
                scale=1e-4,
                shape=GRID_10,
                transform=north_up(399960, 6800040, 10),
            ),
            "scl": File(
                href="_20190629T212529_SCL_20m.tif",
                shape=GRID_20,
                transform=north_up(399960, 6800040, 20),
            ),
        },
    ),
    "others/cropland_2021_-106095_1807575_15000.json": Accepted(
        product="usda-cdl",
        bands=("crop_type", "confidence"),
        scenes=(("cropland_2021_-106095_1807575_15000", "2021-07-02T11:59:59.500Z", 5070),),
        platform="",
        assets={
            "crop_type": File(
                href="/tiles/2021_30m_cdls_-106095_1807575_15000.tif",
                shape=(500, 500),
                transform=north_up(-106095, 1807605, 30),
            ),
            "confidence": File(
                href="/tiles/2021_30m_confidence_layer_-106095_1807575_15000.tif",
                scale=0.01,
                shape=(500, 500),
                transform=north_up(-106095, 1807605, 30),
            ),
        },
    ),
    "pages/TestCollectionClient.test_get_items_with_ids.p0.json": Refused(
        count=3, reason="'AST_L1T_.*' is of collection 'aster-l1t', which no product has"
    ),
    "pages/TestItemSearch.test_result_paging.p0.json": Refused(
        count=10, reason="'vt_m_.*' is of collection 'naip', which no product has"
    ),
    "pages/TestItemSearch.test_result_paging.p1.json": Refused(
        count=10, reason="'vt_m_.*' is of collection 'naip', which no product has"
    ),
    "planetary-computer/cop-dem-glo-30-pc.json": Accepted(
        product="cop-dem-glo-30",
        bands=("elevation",),
        scenes=tuple(
            (f"Copernicus_DSM_COG_10_S90_00_W{west}_00_DEM", "2021-04-22T00:00:00Z", 4326)
            for west in (180, 179, 178, 177)
        ),
        platform="tandem-x",
        access="planetary-computer",
        assets={
            "elevation": File(
                href="Copernicus_DSM_COG_10_S90_00_W180_00_DEM.tif",
                nodata=-32768.0,
                shape=(3600, 360),
                transform=dem(-180.0013888888889),
            )
        },
    ),
    "planetary-computer/io-lulc-pc.json": Refused(
        count=4, reason="'60.-2020' is of collection 'io-lulc', which no product has"
    ),
    "planetary-computer/landsat-c2-l1-pc.json": Refused(
        count=4, reason="'LM05_L1.*_02_T2' is an MSS scene; .* OLI and TIRS, Landsat 8 and 9"
    ),
    "planetary-computer/landsat-c2-l2-pc.json": Accepted(
        product="landsat-c2-l2",
        bands=("red", "thermal", "qa_pixel"),
        scenes=(
            ("LC09_L2SP_089090_20240417_02_T1", "2024-04-17T23:46:20.477296Z", 32655),
            ("LC09_L2SP_089089_20240417_02_T1", "2024-04-17T23:45:56.518505Z", 32655),
            ("LC09_L2SP_089088_20240417_02_T2", "2024-04-17T23:45:32.563949Z", 32655),
            ("LC09_L2SP_089087_20240417_02_T2", "2024-04-17T23:45:08.600922Z", 32656),
        ),
        platform="landsat-9",
        access="planetary-computer",
        cloud=0.9754,
        assets={
            "red": landsat("_20240418_02_T1_SR_B4.TIF", PC_LANDSAT),
            "thermal": landsat(
                "_20240418_02_T1_ST_B10.TIF", PC_LANDSAT, scale=0.00341802, offset=149.0
            ),
            "qa_pixel": landsat(
                "_20240418_02_T1_QA_PIXEL.TIF", PC_LANDSAT, scale=1.0, offset=0.0, nodata=1.0
            ),
        },
    ),
    # Level 2 without temperature: a scene, unless temperature is asked for (see below).
    "planetary-computer/landsat-c2-l2__LC09_L2SR_084072_20250722_02_T2.json": Accepted(
        product="landsat-c2-l2",
        bands=("red", "qa_pixel"),
        scenes=(("LC09_L2SR_084072_20250722_02_T2", "2025-07-22T23:08:17.073961Z", 32658),),
        platform="landsat-9",
        access="planetary-computer",
        cloud=0.2302,
        assets={
            "red": landsat("_20250725_02_T2_SR_B4.TIF", PC_L2SR),
            "qa_pixel": landsat(
                "_20250725_02_T2_QA_PIXEL.TIF", PC_L2SR, scale=1.0, offset=0.0, nodata=1.0
            ),
        },
    ),
    "planetary-computer/sentinel-1-rtc-pc.json": Accepted(
        product="sentinel-1-rtc",
        bands=("vv", "vh"),
        scenes=tuple(
            (f"S1A_IW_GRDH_1SDV_20240419T{span}_053498_067DF2_rtc", f"2024-04-19T{at}Z", 32633)
            for span, at in (
                ("045904_20240419T045916", "04:59:10.436706"),
                ("045839_20240419T045904", "04:58:51.719834"),
                ("045814_20240419T045839", "04:58:26.720358"),
                ("045749_20240419T045814", "04:58:01.720055"),
            )
        ),
        platform="sentinel-1a",
        access="planetary-computer",
        assets={
            band: File(
                href=f"/measurement/iw-{band}.rtc.tiff",
                nodata=-32768.0,
                shape=(12949, 27526),
                transform=north_up(373180, 3424680, 10),
            )
            for band in ("vv", "vh")
        },
    ),
    "planetary-computer/sentinel-2-l2a-pc.json": Accepted(
        product="sentinel-2-l2a",
        bands=S2_LAND,
        scenes=(
            (
                "S2B_MSIL2A_20240419T095549_R122_T47XML_20240419T123458",
                "2024-04-19T09:55:49.024Z",
                32647,
            ),
            (
                "S2B_MSIL2A_20240419T095549_R122_T47XMJ_20240419T122756",
                "2024-04-19T09:55:49.024Z",
                32647,
            ),
            (
                "S2B_MSIL2A_20240419T095549_R122_T46XES_20240419T123824",
                "2024-04-19T09:55:49.024Z",
                32646,
            ),
            (
                "S2B_MSIL2A_20240419T095549_R122_T46XER_20240419T124342",
                "2024-04-19T09:55:49.024Z",
                32646,
            ),
        ),
        platform="sentinel-2b",
        access="planetary-computer",
        cloud=0.00219774,
        assets={
            "red": File(
                href="_B04_10m.tif",
                scale=1e-4,
                offset=-0.1,
                shape=GRID_10,
                transform=north_up(399960, 9100020, 10),
            ),
            "nir_narrow": File(
                href="_B8A_20m.tif",
                scale=1e-4,
                offset=-0.1,
                shape=GRID_20,
                transform=north_up(399960, 9100020, 20),
            ),
            "scl": File(
                href="_SCL_20m.tif",
                shape=GRID_20,
                transform=north_up(399960, 9100020, 20),
            ),
        },
    ),
    # Baseline 02.12: before the offset.
    "planetary-computer/sentinel-2-l2a__S2A_MSIL2A_20190101T000001_R116_T59VPD_"
    "20201007T214657.json": Accepted(
        product="sentinel-2-l2a",
        bands=("red", "scl"),
        scenes=(
            (
                "S2A_MSIL2A_20190101T000001_R116_T59VPD_20201007T214657",
                "2019-01-01T00:00:01.024Z",
                32659,
            ),
        ),
        platform="sentinel-2a",
        access="planetary-computer",
        cloud=0.46546018,
        assets={
            "red": File(
                href="_B04_10m.tif",
                scale=1e-4,
                shape=GRID_10,
                transform=north_up(600000, 6400020, 10),
            ),
            "scl": File(
                href="_SCL_20m.tif",
                shape=GRID_20,
                transform=north_up(600000, 6400020, 20),
            ),
        },
    ),
    "usgs/LC08_L2SP_005009_20150710_20200908_02_T2_SR_stac.json": Refused(
        product="landsat-c2-l2",
        bands=("red", "qa_pixel"),
        reason="'LC08_L2SP_005009_.*': its datetime '2015-07-10' is a day",
    ),
    "usgs/LC08_L2SP_005009_20150710_20200908_02_T2_ST_stac.json": Refused(
        product="landsat-c2-l2",
        bands=("red", "qa_pixel"),
        reason="'LC08_L2SP_005009_.*' has no asset for red .*expected red",
    ),
    "usgs/LC08_L2SR_084024_20160111_20201016_02_T1_SR_stac.json": Refused(
        product="landsat-c2-l2",
        bands=("red", "qa_pixel"),
        reason="'LC08_L2SR_084024_.*': its datetime '2016-01-11' is a day",
    ),
}
"""File -> what is expected of it."""


def items_of(path):
    """Items of a file: one, a list of them, or a recorded page."""
    found = json.loads(path.read_text())
    if isinstance(found, list):
        return found
    return found["response"]["features"] if "response" in found else [found]


def source_of(name: str, path: Any) -> Source:
    """The archive whose folder it is; the file itself, as a local archive, for the others."""
    return KNOWN_SOURCES.get(name.split("/", 1)[0]) or stac_source(str(path))


def read(item, row, name, path):
    source = source_of(name, path)
    product = product_of(item)
    base = str(path) if source.is_local else ""
    return read_item(item, product, source=source, bands=row.bands, base_href=base)


def test_every_published_file_has_its_row_and_every_row_its_file(real_archive):
    root = real_archive / "stac-items"
    files = {path.relative_to(root).as_posix() for path in root.rglob("*.json")}
    assert files == set(ROWS)


ACCEPTED = {name: row for name, row in ROWS.items() if isinstance(row, Accepted)}
REFUSED = {name: row for name, row in ROWS.items() if isinstance(row, Refused)}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_published_item_is_the_scene_that_it_should_be(real_archive, name):
    row, path = ACCEPTED[name], real_archive / "stac-items" / name
    scenes = [read(item, row, name, path) for item in items_of(path)]
    assert [(s.id, s.time, s.epsg) for s in scenes] == [
        (item_id, datetime.fromisoformat(time), epsg) for item_id, time, epsg in row.scenes
    ]
    assert all(s.time.tzinfo is UTC for s in scenes)
    assert {s.product for s in scenes} == {row.product}
    assert {s.access for s in scenes} == {row.access}
    assert {s.source for s in scenes} == {source_of(name, path).name}
    first = scenes[0]
    assert first.platform == row.platform
    assert first.cloud == (None if row.cloud is None else pytest.approx(row.cloud))
    assert set(first.assets) == set(row.assets) == set(row.bands)
    for band, expected in row.assets.items():
        asset = first.assets[band]
        assert asset.href.endswith(expected.href)
        assert (asset.scale, asset.offset) == (expected.scale, expected.offset)
        assert (asset.nodata, asset.shape) == (expected.nodata, expected.shape)
        assert asset.transform == pytest.approx(expected.transform, rel=1e-12)
        assert (asset.band, asset.part, asset.index) == (band, "", 1)


@pytest.mark.parametrize("name", ACCEPTED)
def test_the_outline_of_a_published_item_is_where_its_box_is(real_archive, name):
    row, path = ACCEPTED[name], real_archive / "stac-items" / name
    for item in items_of(path):
        outline = read(item, row, name, path).footprint
        west, south, east, north = item["bbox"]
        assert outline.is_valid
        assert outline.area > 0
        if west < east:
            stated = shapely.box(west, south, east, north)
            assert outline.within(stated.buffer(0.01))
            assert outline.area > 0.1 * stated.area
        else:  # across 180 degrees
            assert (outline.bounds[0], outline.bounds[2]) == (-180, 180)
            assert outline.area < 20


@pytest.mark.parametrize("name", REFUSED)
def test_a_published_item_that_is_no_scene_is_refused_with_its_reason(real_archive, name):
    row, path = REFUSED[name], real_archive / "stac-items" / name
    items = items_of(path)
    assert len(items) == row.count
    for item in items:
        if row.product:
            assert product_of(item).key == row.product
        with pytest.raises(ItemError, match=row.reason):
            read(item, row, name, path)


def test_a_scene_without_temperature_is_refused_for_it_alone(real_archive):
    name = "planetary-computer/landsat-c2-l2__LC09_L2SR_084072_20250722_02_T2.json"
    path = real_archive / "stac-items" / name
    [item] = items_of(path)
    row = Refused(reason="", bands=("red", "thermal"))
    with pytest.raises(ItemError, match=r"no asset for thermal .*expected lwir11"):
        read(item, row, name, path)


def test_a_polygon_of_usgs_that_crosses_180_degrees_is_cut_there(real_archive):
    path = (
        real_archive / "stac-items/usgs/LC08_L2SR_084024_20160111_20201016_02_T1_SR_stac.json"
    )
    outline = read_outline(items_of(path)[0]["geometry"])
    assert (outline.bounds[0], outline.bounds[2]) == (-180, 180)
    assert outline.area < 5
