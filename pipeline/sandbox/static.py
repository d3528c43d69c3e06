"""Layers without a season of their own: elevation and labels."""

import math
from datetime import UTC, datetime

import numpy as np
from affine import Affine
from pyproj import Transformer

from pipeline.sandbox.covers import COVERS, KINDS
from pipeline.sandbox.raster import Raster, Rendered
from pipeline.sandbox.schedule import ELEVATION, LABELS, Overpass
from pipeline.sandbox.world import World

DEM_NOISE_M = 0.4
"""Noise of neighboring heights; the handbook asks for 2 m relative accuracy (90 %)."""


def render_labels(world: World) -> Rendered:
    """Render the crop type and land cover under each 10 m pixel's center."""
    grid = world.config.grid(10.0)
    kinds = world.landscape.traits.kind[world.landscape.patch_ids(grid)]
    crop = np.array([COVERS[name].crop_type for name in KINDS], np.uint16)
    cover = np.array([COVERS[name].land_cover for name in KINDS], np.uint16)
    year = world.config.start.year
    overpass = Overpass(
        name=f"sandbox-labels-{year}",
        collection=LABELS,
        platform="",
        time=datetime(year, 7, 1, tzinfo=UTC),
        shift_m=(0.0, 0.0),
    )
    rasters = (
        Raster(band="crop_type", values=crop[kinds], grid=grid, nodata=0.0),
        Raster(band="land_cover", values=cover[kinds], grid=grid, nodata=0.0),
    )
    return Rendered(overpass=overpass, rasters=rasters)


def render_elevation(world: World) -> Rendered:
    """Render heights on the grid of Copernicus GLO-30: longitude and latitude.

    Pixel centers lie on whole steps: 1 arc second of latitude and, between 50 and 60
    degrees north, 1.5 of longitude (Copernicus DEM Product Handbook).
    """
    config = world.config
    west, south, east, north = config.grid(60.0).bounds
    to_lonlat = Transformer.from_crs(config.epsg, 4326, always_xy=True)
    lons, lats = to_lonlat.transform([west, east, west, east], [south, south, north, north])
    dy = 1 / 3600
    dx = dy * (1.5 if 50 <= abs(min(lats)) < 60 else 1.0)
    left, right = math.floor(min(lons) / dx) - 2, math.ceil(max(lons) / dx) + 2
    bottom, top = math.floor(min(lats) / dy) - 2, math.ceil(max(lats) / dy) + 2
    lon, lat = np.meshgrid(np.arange(left, right + 1) * dx, np.arange(top, bottom - 1, -1) * dy)
    to_utm = Transformer.from_crs(4326, config.epsg, always_xy=True)
    heights = world.landscape.elevation_m(*to_utm.transform(lon, lat))
    rng = config.random("elevation")
    heights = heights + rng.normal(0, DEM_NOISE_M, heights.shape).astype(np.float32)
    overpass = Overpass(
        name="sandbox-dem",
        collection=ELEVATION,
        platform="",
        time=datetime(2021, 4, 22, tzinfo=UTC),
        shift_m=(0.0, 0.0),
    )
    raster = Raster(
        band="elevation",
        values=heights.astype(np.float32),
        grid=None,
        nodata=-32768.0,
        affine=Affine(dx, 0.0, (left - 0.5) * dx, 0.0, -dy, (top + 0.5) * dy),
        epsg=4326,
    )
    return Rendered(overpass=overpass, rasters=(raster,))
