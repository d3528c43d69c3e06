"""Maps: a trained model over the cells of one anchor, as a COG with a STAC item beside it."""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.shutil
import torch
from rasterio.io import MemoryFile
from rich.console import Console
from rich.progress import Progress

from stores.patch_store import PatchStore
from training.canvas import Canvas, join_cells
from training.checkpoint import check_bands, load_model
from training.item import describe_map
from training.mosaic import Tile, blend, lay_tiles
from training.noise import Draws, NoiseField
from training.systems.sharpen import Sharpen
from training.threads import spared_cores

TILE_PX, OVERLAP_PX = 64, 16
"""Side of a tile and what neighbors share, at least, in pixels of the condition."""

Floats = npt.NDArray[np.float32]


@spared_cores()
def predict(
    run: Path,
    store_uri: str,
    out: Path,
    *,
    anchor: datetime | None = None,
    draws: Draws | None = None,
    console: Console | None = None,
) -> Path:
    """Predict the cells of one anchor as one map, and return its path.

    The map is a cloud-optimized GeoTIFF, float32, physical units, NaN for no data, one
    described band per band of the model; `out` with the suffix `.json` is its STAC item.
    Cells are joined before they are cut into overlapping tiles, so their edges do not show.

    Args:
        run: Folder of a training.
        store_uri: Store with the condition layer; it needs no target layer.
        out: GeoTIFF to write; an older one is replaced.
        anchor: Time of the anchor; None takes the one with most cells, then the latest.
        draws: How samples of the posterior are drawn and averaged; None predicts the one-step
            posterior mean, which is the default product.
        console: Where progress is shown; default standard error.

    Raises:
        CheckpointError: If the run cannot be read or does not fit the store.
        StoreError: If the store has no such anchor, or its cells cannot be one map.
    """
    model, card = load_model(run)
    store = PatchStore.open(store_uri)
    inputs = model.spec.inputs
    check_bands(card, store.schema, (inputs.condition, *inputs.extras))
    canvas = join_cells(store, inputs, anchor)
    with Progress(console=console or Console(stderr=True)) as progress:
        mosaic = sharpen_canvas(model, canvas, _predictor(model, canvas, draws), progress)
    title = name_product(draws)
    tags = {
        "product": f"geoloupe {card.config.system}: {title}",
        "anchor_time": canvas.anchor_time.isoformat(),
        "trained_on": f"{card.store} snapshot {card.snapshot}, {card.step} steps",
    }
    write_cog(out, mosaic, canvas, model, tags)
    item = describe_map(out, canvas, model.spec, card, title)
    out.with_suffix(".json").write_text(item)
    return out


def name_product(draws: Draws | None) -> str:
    """Return what a map is called wherever it is named to people."""
    if draws is None:
        return "one-step posterior mean"
    if draws.members == 1:
        return f"one sample of the posterior, {draws.steps} steps"
    return f"mean of {draws.members} samples of the posterior, {draws.steps} steps each"


def sharpen_canvas(
    model: Sharpen,
    canvas: Canvas,
    predict_tile: Callable[[Tile], Floats],
    progress: Progress,
) -> Floats:
    """Return `(band, y, x)` on the fine grid, physical; NaN where the condition is unusable."""
    valid = canvas.images[canvas.inputs.condition].valid
    ratio = model.spec.ratio
    tiles = [
        tile
        for tile in lay_tiles(*canvas.shape, size=TILE_PX, overlap=OVERLAP_PX)
        if valid[tile.rows, tile.cols].any()
    ]
    bar = progress.add_task("predicting", total=len(tiles))

    def advance(tile: Tile) -> Floats:
        image = predict_tile(tile)
        progress.advance(bar)
        return image

    height, width = canvas.shape
    shape = (len(canvas.inputs.bands), height * ratio, width * ratio)
    mosaic = blend(tiles, shape, ratio=ratio, predict=advance)
    usable = np.repeat(np.repeat(valid, ratio, axis=0), ratio, axis=1)
    return np.where(usable, mosaic, np.float32("nan"))


def write_cog(
    out: Path, mosaic: Floats, canvas: Canvas, model: Sharpen, tags: Mapping[str, str]
) -> None:
    """Write a mosaic as a cloud-optimized GeoTIFF, whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    bands, height, width = mosaic.shape
    profile = {
        "driver": "GTiff",
        "dtype": "float32",
        "count": bands,
        "height": height,
        "width": width,
        "crs": f"EPSG:{canvas.epsg}",
        "transform": canvas.transform(canvas.gsd_m / model.spec.ratio),
        "nodata": float("nan"),
    }
    partial = out.with_suffix(".partial.tif")
    with MemoryFile() as memory:
        with memory.open(**profile) as dataset:
            dataset.write(mosaic)
            dataset.update_tags(**tags)
            for number, key in enumerate(canvas.inputs.bands, start=1):
                dataset.set_band_description(number, key)
        with memory.open() as source:
            rasterio.shutil.copy(
                source,
                partial,
                driver="COG",
                compress="deflate",
                predictor="3",
                overview_resampling="average",
            )
    partial.replace(out)


def _predictor(model: Sharpen, canvas: Canvas, draws: Draws | None) -> Callable[[Tile], Floats]:
    """Return what predicts one tile, `(band, y, x)`."""
    ratio = model.spec.ratio
    if draws is None:
        return lambda tile: model.posterior_mean(canvas.condition(tile))[0].numpy()
    fine_m = canvas.gsd_m / ratio
    top, left = round(-canvas.north / fine_m), round(canvas.west / fine_m)
    fields = [
        NoiseField(
            name=f"{canvas.epsg}/{canvas.anchor_time.isoformat()}",
            bands=len(canvas.inputs.bands),
            draws=draws,
            member=member,
        )
        for member in range(draws.members)
    ]

    def draw(tile: Tile) -> Floats:
        window = (
            top + tile.row * ratio,
            left + tile.col * ratio,
            tile.height * ratio,
            tile.width * ratio,
        )
        condition = canvas.condition(tile)
        samples = [model.sample(condition, field.window(*window)) for field in fields]
        image: Floats = torch.stack(samples).mean(dim=0)[0].numpy()
        return image

    return draw
