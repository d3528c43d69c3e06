"""Answers in the form of the real archives, moved to where a recipe asks.

Where the real items lie beside the repository they are the form; else it is written from the
product table, in the words of each archive.
"""

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from catalog.products import find_product
from tests.rasters import stac_item

RECORDINGS: Mapping[tuple[str, str], str] = {
    ("planetary-computer", "landsat-c2-l2"): "planetary-computer/landsat-c2-l2-pc.json",
    ("planetary-computer", "sentinel-2-l2a"): "planetary-computer/sentinel-2-l2a-pc.json",
    ("planetary-computer", "sentinel-1-rtc"): "planetary-computer/sentinel-1-rtc-pc.json",
    ("planetary-computer", "cop-dem-glo-30"): "planetary-computer/cop-dem-glo-30-pc.json",
    ("planetary-computer", "usda-cdl"): "others/cropland_2021_-106095_1807575_15000.json",
    (
        "planetary-computer",
        "esa-worldcover",
    ): "others/ESA_WorldCover_10m_2021_v200_N00E006.json",
    ("earth-search", "sentinel-2-l2a"): "earth-search/"
    "sentinel-2-l2a__S2B_20EPT_20250731_0_L2A.json",
}
"""Dialect and product -> a real item, below `stac-items`."""
HOSTS: Mapping[str, str] = {
    "planetary-computer": "https://account.blob.core.windows.net/container",
    "earth-search": "https://sentinel-cogs.s3.us-west-2.amazonaws.com/cogs",
    "lpdaac": "https://data.lpdaac.earthdatacloud.nasa.gov/lp-prod-protected",
}
PLATFORMS: Mapping[str, str] = {
    "landsat-c2-l2": "landsat-8",
    "sentinel-2-l2a": "Sentinel-2A",
    "sentinel-1-rtc": "SENTINEL-1A",
    "hls-l30": "landsat-8",
    "hls-s30": "sentinel-2a",
}
CLOUD_PERCENT = 7.5
Box = tuple[float, float, float, float]


def answers(
    product: str,
    dialect: str,
    times: Sequence[datetime],
    box: Box,
    recordings: Path | None,
) -> Iterator[dict[str, Any]]:
    """Yield an item per time that covers a box, degrees."""
    for number, time in enumerate(times):
        form = _recorded(product, dialect, recordings) or _written(product, dialect)
        west, south, east, north = box
        place = stac_item("", "", time, assets={}, bounds=(west, south, east, north))
        item = {**form, "geometry": place["geometry"], "bbox": place["bbox"]}
        item["id"] = f"{form['id']}_{number}"
        item["properties"] = {**form["properties"], **_when(form, time)}
        if "eo:cloud_cover" in item["properties"]:
            item["properties"]["eo:cloud_cover"] = CLOUD_PERCENT
        yield item


def _when(form: Mapping[str, Any], time: datetime) -> dict[str, Any]:
    stamp = f"{time:%Y-%m-%dT%H:%M:%SZ}"
    if form["properties"].get("datetime") is None:
        end = time + timedelta(days=364)
        return {"start_datetime": stamp, "end_datetime": f"{end:%Y-%m-%dT%H:%M:%SZ}"}
    return {"datetime": stamp, "start_datetime": stamp, "end_datetime": stamp}


def _recorded(product: str, dialect: str, folder: Path | None) -> dict[str, Any] | None:
    name = RECORDINGS.get((dialect, product))
    if folder is None or name is None:
        return None
    held = json.loads((folder / name).read_text())
    item: dict[str, Any] = held[0] if isinstance(held, list) else held
    for asset in item["assets"].values():
        if "://" not in asset["href"]:  # a file of the tests that the item was recorded by
            asset["href"] = f"{HOSTS[dialect]}/{Path(asset['href']).name}"
    return copy.deepcopy(item)


def _written(product: str, dialect: str) -> dict[str, Any]:
    archive = find_product(product).archive(dialect)
    yearly = find_product(product).when == "year"
    item = stac_item(
        f"{product}_{dialect}",
        archive.collections[0],
        "2021-01-01T00:00:00Z",
        assets={name: f"{HOSTS[dialect]}/{name}.tif" for name in archive.assets.values()},
        platform=PLATFORMS.get(product, ""),
        **{"proj:epsg": 32615, "eo:cloud_cover": CLOUD_PERCENT},
    )
    if yearly:
        item["properties"]["datetime"] = None
    return item
