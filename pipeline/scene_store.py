"""A store of one scene: what `predict --scene` reads, made by the same builder as any other."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from catalog.errors import ItemError, QueryError
from catalog.grid import Cell, PatchGrid
from catalog.match import Match, Pass
from catalog.products import find_product
from catalog.providers.fetch import fetch_json
from catalog.providers.identify import product_of, source_of
from catalog.providers.items import read_item
from catalog.providers.query import Bounds
from catalog.scene import Scene
from pipeline.cluster import OnReport, run_in_order
from pipeline.plan import claimed_tasks, layers_to_json
from pipeline.plan_table import plan_samples
from pipeline.recipe import layer_schema
from pipeline.run import save_scenes
from pipeline.task import LayerTask
from stores.claim import claim_build
from stores.create import create_store
from stores.objects import open_root
from stores.schema import StoreSchema
from stores.snapshot import publish

_CELL_PX = 64
_METRES_PER_DEGREE = 111_320.0


def build_scene_store(
    item_href: str,
    uri: str,
    *,
    layer: str,
    bands: tuple[str, ...],
    box: Bounds | None = None,
    on_report: OnReport = lambda _report: None,
) -> str:
    """Build a store of one scene on its own pixel grid, and return its path.

    Every cell that the scene touches is kept, cloudy or not; `valid` says what is usable.

    Args:
        item_href: Path or URL of a STAC item.
        uri: Folder of the store; new.
        layer: Name of the layer to make.
        bands: Band keys of the layer.
        box: Part of the scene to take, degrees; None takes all of it.
        on_report: Told of each finished task.

    Raises:
        ItemError: If the item is not a scene of a known product with these bands.
        QueryError: If the item cannot be fetched.
    """
    item = _load_item(item_href)
    product = product_of(item)
    quality = (product.quality.band,) if product.quality.band else ()
    base = item_href if "://" in item_href else str(Path(item_href).resolve())
    source = source_of(base)
    scene = read_item(item, product, source=source, bands=(*bands, *quality), base_href=base)
    grid = _own_grid(scene, bands[0])
    schema = StoreSchema(
        name=scene.id,
        grid=grid.describe(),
        layers=(layer_schema(layer, product, bands, grid.gsd_m, grid.size_px),),
    )
    task = LayerTask(schema=schema.layers[0], required=True, min_valid=0.0, source=source)
    cells = _touched_cells(grid, scene, box)
    matches = [
        Match(
            cell=cell,
            anchor_time=scene.time,
            anchor_id=scene.platform,
            candidates={layer: (Pass((scene,)),)},
        )
        for cell in cells
    ]
    samples = plan_samples(
        matches, dict.fromkeys(cells, "scene"), {cell.id: "predict" for cell in cells}
    )
    create_store(uri, schema)
    root = open_root(uri)
    paths = save_scenes(root, {layer: (scene,)})
    meta = {
        "name": scene.id,
        "recipe_text": f"# one scene: {item_href}\n",
        "recipe_hash": scene.id,
        "layers": layers_to_json((task,)),
        "scenes": paths,
        "versions": {},
    }
    claim = claim_build(root, samples, meta)
    undone = run_in_order(
        claimed_tasks(claim, {layer: (scene,)}), root.uri, claim.number, on_report=on_report
    )
    if undone:
        raise QueryError(f"scene {scene.id!r}: {next(iter(undone.values()))}; run it again")
    publish(root, claim)
    return root.uri


def parse_box(text: str) -> Bounds:
    """Return the box that a user typed as `west,south,east,north`, degrees.

    Raises:
        ItemError: If it is not four numbers in that order.
    """
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError as err:
        raise ItemError(
            f"--bbox must be west,south,east,north in degrees, got {text!r}"
        ) from err
    if not (west < east and south < north):
        raise ItemError(f"--bbox {text!r} has swapped corners: write west,south,east,north")
    return west, south, east, north


def _load_item(href: str) -> Mapping[str, Any]:
    if "://" in href:
        item = fetch_json(href)
    else:
        try:
            item = json.loads(Path(href).read_text(encoding="utf-8"))
        except (OSError, ValueError) as err:
            raise QueryError(f"cannot read the STAC item {href!r}: {err}") from err
    if not isinstance(item, dict) or item.get("type") != "Feature":
        raise ItemError(f"{href!r} is not a STAC item: expected a GeoJSON Feature")
    return item


def _own_grid(scene: Scene, band: str) -> PatchGrid:
    """A patch grid on the scene's own pixels, so that they are pasted."""
    transform = scene.assets[band].transform
    gsd_m = find_product(scene.product).band(band).gsd_m
    origin = (transform[2] % gsd_m, transform[5] % gsd_m) if transform else (0.0, 0.0)
    return PatchGrid(gsd_m=gsd_m, size_px=_CELL_PX, stride_px=_CELL_PX, origin_m=origin)


def _touched_cells(grid: PatchGrid, scene: Scene, box: Bounds | None) -> list[Cell]:
    """Cells of the scene's own zone that it touches, inside the box."""
    wanted: BaseGeometry = scene.footprint
    if box is not None:
        wanted = wanted.intersection(shapely.box(*box))
        if wanted.is_empty:
            raise ItemError(
                f"scene {scene.id!r} covers {scene.footprint.bounds}, which is outside of the "
                f"box {box}; boxes are west, south, east, north in degrees"
            )
    latitude = math.radians(wanted.centroid.y)
    reach = grid.extent_m / _METRES_PER_DEGREE / max(math.cos(latitude), 0.1)
    cells = grid.cells(wanted.buffer(reach))
    return [
        cell
        for cell in cells
        if cell.footprint.intersects(wanted) and scene.epsg in (None, cell.epsg)
    ]
