"""The STAC item of a predicted map."""

import json
from pathlib import Path

import pystac
import shapely

from training.canvas import Canvas
from training.card import Card
from training.systems.sharpen import SharpenSpec

PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"


def describe_map(out: Path, canvas: Canvas, spec: SharpenSpec, card: Card, title: str) -> str:
    """Return the STAC item of a map as JSON text.

    Args:
        out: The map, beside which the item will lie.
        canvas: Where and when the map is.
        spec: Of the model that made it.
        card: Of the model that made it.
        title: What the map is, for people.
    """
    gsd_m = canvas.gsd_m / spec.ratio
    footprint = shapely.union_all([shapely.geometry.shape(g) for g in canvas.rows["geometry"]])
    scenes = canvas.rows[f"{spec.inputs.condition}_scenes"].str.split(";").explode().unique()
    item = pystac.Item(
        id=out.stem,
        geometry=shapely.geometry.mapping(footprint),
        bbox=list(footprint.bounds),
        datetime=canvas.anchor_time,
        properties={
            "title": f"Sharpened {spec.inputs.condition}: {title}",
            "gsd": gsd_m,
            "proj:code": f"EPSG:{canvas.epsg}",
            "proj:shape": [side * spec.ratio for side in canvas.shape],
            "proj:transform": list(canvas.transform(gsd_m))[:6],
            "geoloupe:product": title,
            "geoloupe:system": card.config.system,
            "geoloupe:trained_on": card.store,
            "geoloupe:snapshot": card.snapshot,
            "geoloupe:steps": card.step,
            "geoloupe:revision": card.revision,
            "geoloupe:scenes": sorted(scene for scene in scenes if scene),
        },
        stac_extensions=[PROJECTION],
    )
    bands = [{"name": key} for key in spec.inputs.bands]
    asset = pystac.Asset(
        href=f"./{out.name}",
        media_type=pystac.MediaType.COG,
        roles=["data"],
        extra_fields={"data_type": "float32", "nodata": "nan", "bands": bands},
    )
    item.add_asset("map", asset)
    return json.dumps(item.to_dict(include_self_link=False), indent=2) + "\n"
