"""Maps of what covers the ground: Dynamic World, ESA WorldCover, the Cropland Data Layer.

All are made from the landscape itself, not from images, so they err less than the real ones.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer

from catalog.products import find_product
from pipeline.sandbox.covers import COVERS, KINDS
from pipeline.sandbox.fields import Floats
from pipeline.sandbox.optical import air_over, swath
from pipeline.sandbox.phenology import Stand
from pipeline.sandbox.raster import Raster, Rendered
from pipeline.sandbox.sampling import View, sample_views
from pipeline.sandbox.schedule import CROPLAND, WORLDCOVER, Overpass
from pipeline.sandbox.weather import CLOUD_OPACITY, SHADOW_OPACITY
from pipeline.sandbox.world import World

Bytes = NDArray[np.uint8]

DYNAMIC_WORLD_CLASSES = (
    "water",
    "trees",
    "grass",
    "flooded_vegetation",
    "crops",
    "shrub_and_scrub",
    "built",
    "bare",
    "snow_and_ice",
)
"""Classes in the order of the label, 0 to 8."""
LABEL_NODATA = 255
_DYNAMIC_WORLD_FACTOR = 2
_BLUR_M = 9.0
_DOUBT = 0.14
"""Share of the probability that goes to classes that are not there."""
_CONFUSED = (0.05, 0.16, 0.16, 0.06, 0.2, 0.13, 0.1, 0.12, 0.02)
"""How that share is spread over the classes."""

_SHARES: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "meadow": {"grass": 0.8, "crops": 0.2},
        "verge": {"grass": 0.8, "shrub_and_scrub": 0.2},
        "deciduous": {"trees": 1.0},
        "conifer": {"trees": 1.0},
        "garden": {"built": 0.5, "trees": 0.3, "grass": 0.2},
        "water": {"water": 1.0},
    }
)
"""Cover -> classes of Dynamic World; crops follow their season, all else is built."""

WORLDCOVER_STEP_DEG = 1 / 12000
_WORLDCOVER_CODES: Mapping[int, int] = MappingProxyType(
    {11: 40, 13: 30, 42: 10, 60: 50, 70: 80}
)
"""WorldCereal land cover -> ESA WorldCover v200."""
CROPLAND_STEP_M = 30.0
CROPLAND_EPSG = 5070
_CROPLAND_CODES: Mapping[str, int] = MappingProxyType(
    {
        "wheat": 24,
        "barley": 21,
        "maize": 1,
        "potato": 43,
        "beet": 41,
        "rapeseed": 31,
        "flax": 32,
        "meadow": 176,
        "verge": 176,
        "deciduous": 141,
        "conifer": 142,
        "garden": 121,
        "water": 111,
        "track": 122,
        "asphalt": 123,
    }
)
"""Cover -> code of the Cropland Data Layer (USDA NASS); all else is 124, developed."""
_LOOKUP_M = 5.0


def render_dynamic_world(world: World, overpass: Overpass) -> Rendered:
    """Render label and probabilities of one Sentinel-2 pass, masked under cloud and shadow."""
    grid = world.config.grid(10.0)
    shares = dynamic_world_shares(world, world.stand(overpass))
    sampled = sample_views(
        world.scenery(overpass, world.look(overpass)),
        [View(mean=share, gsd_m=10.0, blur_m=_BLUR_M) for share in shares],
        pixels=grid,
        factor=_DYNAMIC_WORLD_FACTOR,
        shift_m=overpass.shift_m,
    )
    rng = world.config.random("dynamic-world", overpass.name)
    air = air_over(world, overpass, grid)
    usable = swath(grid, overpass.swath_share)
    usable &= (air.opacity <= CLOUD_OPACITY) & (air.shade <= SHADOW_OPACITY)
    likely = _doubt(np.stack(sampled), rng)
    label = np.where(usable, likely.argmax(axis=0), LABEL_NODATA).astype(np.uint8)
    likely[:, ~usable] = np.nan
    rasters = [Raster(band="label", values=label, grid=grid, nodata=float(LABEL_NODATA))]
    rasters += [
        Raster(band=name, values=values, grid=grid, nodata=math.nan)
        for name, values in zip(DYNAMIC_WORLD_CLASSES, likely, strict=True)
    ]
    return Rendered(overpass=overpass, rasters=tuple(rasters), cloud=overpass.cloud_cover)


def dynamic_world_shares(world: World, stand: Stand) -> Floats:
    """Return the share of each class on each patch, `(9, patch)`; they sum to 1."""
    kind = world.landscape.traits.kind
    shares = np.zeros((len(DYNAMIC_WORLD_CLASSES), len(kind)), np.float32)
    bare = np.clip(0.6 * (1 - stand.green - stand.dry), 0, 1)
    for index, name in enumerate(KINDS):
        here = kind == index
        if COVERS[name].calendar is not None:
            shares[_class("crops"), here] = 1 - bare[here]
            shares[_class("bare"), here] = bare[here]
            continue
        for label, share in _SHARES.get(name, {"built": 1.0}).items():
            shares[_class(label), here] = share
    return shares


def _class(name: str) -> int:
    return DYNAMIC_WORLD_CLASSES.index(name)


def _doubt(shares: Floats, rng: np.random.Generator) -> Floats:
    """Probabilities `(9, y, x)` of a classifier that is never quite sure; they sum to 1."""
    noise = np.exp(0.3 * rng.standard_normal(shares.shape, dtype=np.float32))
    confused = np.array(_CONFUSED, np.float32)[:, None, None]
    likely = ((1 - _DOUBT) * np.clip(shares, 0, 1) + _DOUBT * confused) * noise
    return np.asarray(likely / likely.sum(axis=0), np.float32)


def render_worldcover(world: World) -> Rendered:
    """Render ESA WorldCover 2021: codes on its own grid of 1/12000 degree."""
    affine, kinds, inside = _kinds_on(world, 4326, WORLDCOVER_STEP_DEG)
    codes = np.array([_WORLDCOVER_CODES[COVERS[name].land_cover] for name in KINDS], np.uint8)
    values = np.where(inside, codes[kinds], 0).astype(np.uint8)
    return _map(world, WORLDCOVER, {"land_cover": values}, affine, 4326)


def render_cropland(world: World) -> Rendered:
    """Render the Cropland Data Layer in its own projection, which reaches here distorted."""
    affine, kinds, inside = _kinds_on(world, CROPLAND_EPSG, CROPLAND_STEP_M)
    codes = np.array([_CROPLAND_CODES.get(name, 124) for name in KINDS], np.uint8)
    values = np.where(inside, codes[kinds], 0).astype(np.uint8)
    rng = world.config.random("cropland")
    sure = np.clip(rng.normal(86, 7, values.shape), 1, 100).astype(np.uint8)
    bands = {"crop_type": values, "confidence": np.where(inside, sure, 0).astype(np.uint8)}
    return _map(world, CROPLAND, bands, affine, CROPLAND_EPSG)


def _kinds_on(
    world: World, epsg: int, step: float
) -> tuple[Affine, NDArray[np.int64], NDArray[np.bool_]]:
    """Cover under each pixel center of another grid: its affine, kinds, and which are known.

    Pixel edges lie on whole steps. Covers are looked up on a grid of 5 m.
    """
    config = world.config
    known = config.grid(_LOOKUP_M)
    west, south, east, north = known.bounds
    there = Transformer.from_crs(config.epsg, epsg, always_xy=True)
    left, bottom, right, top = there.transform_bounds(west, south, east, north)
    first, last = math.floor(left / step), math.ceil(right / step)
    low, high = math.floor(bottom / step), math.ceil(top / step)
    x, y = np.meshgrid(
        (np.arange(first, last) + 0.5) * step, (np.arange(high, low, -1) - 0.5) * step
    )
    back = Transformer.from_crs(epsg, config.epsg, always_xy=True)
    easting, northing = back.transform(x, y)
    column = np.floor((easting - west) / _LOOKUP_M).astype(np.int64)
    row = np.floor((north - northing) / _LOOKUP_M).astype(np.int64)
    inside = (column >= 0) & (column < known.width) & (row >= 0) & (row < known.height)
    ids = world.landscape.patch_ids(known)
    found = ids[np.clip(row, 0, known.height - 1), np.clip(column, 0, known.width - 1)]
    kinds = world.landscape.traits.kind[found]
    return Affine(step, 0.0, first * step, 0.0, -step, high * step), kinds, inside


def _map(
    world: World, collection: str, bands: Mapping[str, Bytes], affine: Affine, epsg: int
) -> Rendered:
    year = world.config.start.year
    overpass = Overpass(
        name=f"sandbox-{collection}-{year}",
        collection=collection,
        platform="",
        time=datetime(year, 7, 1, tzinfo=UTC),
        shift_m=(0.0, 0.0),
        details={
            "start_datetime": f"{year}-01-01T00:00:00Z",
            "end_datetime": f"{year}-12-31T23:59:59Z",
        },
    )
    rasters = tuple(
        Raster(
            band=band,
            values=values,
            grid=None,
            nodata=0.0,
            scale=find_product(collection).band(band).source_scale,
            affine=affine,
            epsg=epsg,
        )
        for band, values in bands.items()
    )
    return Rendered(overpass=overpass, rasters=rasters)
