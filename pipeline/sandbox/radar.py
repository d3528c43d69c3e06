"""Sentinel-1 backscatter with speckle."""

import numpy as np

from catalog.products import find_product
from pipeline.sandbox.covers import COVERS, KINDS, SOIL_BACKSCATTER_DB
from pipeline.sandbox.fields import Floats
from pipeline.sandbox.landscape import Traits
from pipeline.sandbox.phenology import Stand
from pipeline.sandbox.raster import Raster, Rendered
from pipeline.sandbox.sampling import View, sample_views
from pipeline.sandbox.schedule import SENTINEL1, Overpass
from pipeline.sandbox.sensors import (
    SAR_BIAS_DB,
    SAR_BLUR_M,
    SAR_LOOKS,
    SAR_NOISE_FLOOR_DB,
)
from pipeline.sandbox.world import World

RADAR_FACTOR = 4
"""Fine samples along one side of a 20 m pixel."""
WET_SOIL_DB = 2.6
"""Rise of soil backscatter from dry to soaked; Ulaby and Long 2014, chapter 10."""


def backscatter_of(traits: Traits, stand: Stand) -> tuple[Floats, Floats]:
    """Return VV and VH of every patch, linear power: canopy and soil mix as powers."""
    canopy_db = np.array([COVERS[name].backscatter_db for name in KINDS], np.float32)
    grows = np.array([COVERS[name].calendar is not None for name in KINDS])[traits.kind]
    canopy = np.where(grows, np.clip(stand.green + 0.35 * stand.dry, 0, 1), 1.0)
    found = []
    for index in range(2):
        own_db = canopy_db[traits.kind, index] + 0.25 * traits.rough_db
        soil_db = SOIL_BACKSCATTER_DB[index] + traits.rough_db + WET_SOIL_DB * stand.wetness
        power = canopy * 10 ** (own_db / 10) + (1 - canopy) * 10 ** (soil_db / 10)
        found.append(power.astype(np.float32))
    return found[0], found[1]


def render_sentinel1(world: World, overpass: Overpass) -> Rendered:
    """Render one Sentinel-1 scene: VV and VH at 20 m, linear power, with speckle.

    Speckle is a gamma variate of `SAR_LOOKS` looks and mean 1; pixels of 20 m are about one
    resolution cell each, so neighbors are independent.
    """
    grid = world.config.grid(20.0)
    powers = backscatter_of(world.landscape.traits, world.stand(overpass))
    sampled = sample_views(
        world.scenery(overpass, world.look(overpass)),
        [View(mean=power, gsd_m=20.0, blur_m=SAR_BLUR_M) for power in powers],
        pixels=grid,
        factor=RADAR_FACTOR,
        shift_m=overpass.shift_m,
    )
    rng = world.config.random("speckle", overpass.name)
    bias = 10 ** (rng.normal(0, SAR_BIAS_DB) / 10)
    rasters = []
    for band, ground in zip(("vv", "vh"), sampled, strict=True):
        speckle = rng.gamma(SAR_LOOKS, 1 / SAR_LOOKS, ground.shape)
        power = (ground * bias + 10 ** (SAR_NOISE_FLOOR_DB / 10)) * speckle
        nodata = find_product(SENTINEL1).band(band).source_nodata
        rasters.append(
            Raster(
                band=band,
                values=power.astype(np.float32),
                grid=grid,
                nodata=-9999.0 if nodata is None else nodata,
            )
        )
    return Rendered(overpass=overpass, rasters=tuple(rasters))
