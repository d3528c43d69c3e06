"""PlanetScope deliveries: 3 m surface reflectance in a folder of the user's own files.

Layout and names are those of Planet's Orders API (`{item type}/{item id}_...`), the metadata
those of its item JSON. They are no STAC items and are not listed in `items.json`.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer
from scipy.ndimage import binary_dilation

from pipeline.sandbox.fields import Floats, PixelGrid
from pipeline.sandbox.items import write_cog
from pipeline.sandbox.optical import air_over, reflectance_view
from pipeline.sandbox.sampling import sample_views
from pipeline.sandbox.schedule import Overpass, SandboxConfig
from pipeline.sandbox.sensors import (
    MSI,
    PLANET_BLUR_M,
    PLANET_GSD_M,
    PLANET_NOISE_SHARE,
    response,
)
from pipeline.sandbox.weather import CLOUD_OPACITY, SHADOW_OPACITY
from pipeline.sandbox.world import World

Bytes = NDArray[np.uint8]

PLANET_FOLDER = "planetscope"
FOUR_BANDS = ("blue", "green", "red", "nir_narrow")
EIGHT_BANDS = ("blue", "blue", "green", "green", "green", "red", "rededge1", "nir_narrow")
"""Bands of the landscape in the order of a file. Eight are coastal, blue, green I, green,
yellow, red, red edge, near infrared; what the landscape lacks is seen in the band beside it."""
EIGHT_EVERY = 3
"""Every third delivery has eight bands and went through the tools of an order."""
PLANET_FACTOR = 3
"""Fine samples along one side of a pixel."""
BEYOND_M = 30.0
_DILATION_PX = 6


def planet_grid(config: SandboxConfig) -> PixelGrid:
    """Return the pixels that deliveries cover: a square at the area's south-western corner."""
    count = int(config.planet_m // PLANET_GSD_M)
    west = math.floor((config.west - BEYOND_M) / PLANET_GSD_M) * PLANET_GSD_M
    south = math.floor((config.south - BEYOND_M) / PLANET_GSD_M) * PLANET_GSD_M
    return PixelGrid(west, south + count * PLANET_GSD_M, PLANET_GSD_M, count, count)


def write_delivery(out: Path, world: World, overpass: Overpass) -> Path:
    """Render one scene and write it as it is delivered, below `out`.

    Returns:
        Path of its metadata file, which is written last.
    """
    folder = out / PLANET_FOLDER / "PSScene"
    folder.mkdir(parents=True, exist_ok=True)
    grid = planet_grid(world.config)
    has_eight = overpass.number % EIGHT_EVERY == EIGHT_EVERY - 1
    bands = EIGHT_BANDS if has_eight else FOUR_BANDS
    analytic = "AnalyticMS_SR_8b_harmonized_clip" if has_eight else "AnalyticMS_SR"
    mask = "udm2_clip" if has_eight else "udm2"
    reflectance, opacity, shade = _see(world, overpass, grid, bands)
    udm2 = udm2_of(opacity, shade)
    raw = np.clip(np.rint(reflectance * 1e4), 1, 65535).astype(np.uint16)
    name, epsg = overpass.name, world.config.epsg
    write_cog(folder / f"{name}_3B_{analytic}.tif", raw, grid.transform, epsg=epsg, nodata=0)
    write_cog(folder / f"{name}_3B_{mask}.tif", udm2, grid.transform, epsg=epsg, nodata=None)
    path = folder / f"{name}_metadata.json"
    path.write_text(json.dumps(_metadata(world, overpass, grid, udm2), indent=1))
    return path


def _see(
    world: World, overpass: Overpass, grid: PixelGrid, bands: tuple[str, ...]
) -> tuple[Floats, Floats, Floats]:
    """Reflectance `(band, y, x)` as delivered, opacity of clouds, and of their shadows."""
    look = world.look(overpass)
    sampled = sample_views(
        world.scenery(overpass, look),
        [
            reflectance_view(look, seen, gsd_m=PLANET_GSD_M, blur_m=PLANET_BLUR_M)
            for seen in bands
        ],
        pixels=grid,
        factor=PLANET_FACTOR,
        shift_m=overpass.shift_m,
    )
    rng = world.config.random("noise", overpass.name)
    air = air_over(world, overpass, grid)
    found = []
    for band, ground in zip(bands, sampled, strict=True):
        _, gain, offset = response("sentinel-2a", band)
        seen = air.seen(gain * ground + offset, MSI[band].wavelength_nm)
        noise = rng.standard_normal(seen.shape, dtype=np.float32)
        found.append(seen * (1 + PLANET_NOISE_SHARE * noise))
    return np.stack(found), air.opacity, air.shade


def udm2_of(opacity: Floats, shade: Floats) -> Bytes:
    """Return the usable data mask, `(8, y, x)`.

    Bands: clear, snow, shadow, light haze, heavy haze, cloud (each 0 or 1, and one of them
    is 1), confidence in percent, and the old mask UDM1 (bit 1: cloud).
    """
    cloud = opacity > CLOUD_OPACITY
    shadow = (shade > SHADOW_OPACITY) & ~cloud
    veil = (opacity > CLOUD_OPACITY / 2) & ~cloud & ~shadow
    haze = binary_dilation(cloud, iterations=_DILATION_PX) & ~cloud & ~shadow & ~veil
    clear = ~(cloud | shadow | veil | haze)
    none = np.zeros_like(clear)
    sure = np.where(veil | haze, 62, 93)
    bands = (clear, none, shadow, haze, veil, cloud, sure, np.where(cloud, 2, 0))
    return np.stack([band.astype(np.uint8) for band in bands])


def _metadata(world: World, overpass: Overpass, grid: PixelGrid, udm2: Bytes) -> dict[str, Any]:
    config = world.config
    west, south, east, north = grid.bounds
    to_lonlat = Transformer.from_crs(config.epsg, 4326, always_xy=True)
    ring = [(west, north), (east, north), (east, south), (west, south), (west, north)]
    sun = world.sun(overpass)
    shares = udm2[:6].mean(axis=(1, 2))
    percents = ("clear", "snow_ice", "shadow", "light_haze", "heavy_haze", "cloud")
    stamp = f"{overpass.time:%Y-%m-%dT%H:%M:%S}.{int(overpass.name[16:18]):02d}0000Z"
    return {
        "id": overpass.name,
        "type": "Feature",
        "geometry": {
            "type": "Polygon",
            "coordinates": [[list(to_lonlat.transform(x, y)) for x, y in ring]],
        },
        "properties": {
            "acquired": stamp,
            "cloud_cover": round(float(shares[5]), 4),
            "ground_control": True,
            "gsd": 3.9,
            "instrument": "PSB.SD",
            "item_type": "PSScene",
            "pixel_resolution": PLANET_GSD_M,
            "provider": "planetscope",
            "published": f"{overpass.time:%Y-%m-%d}T23:10:00Z",
            "quality_category": "standard",
            "satellite_id": overpass.platform,
            "strip_id": f"{overpass.time:%j}{overpass.number:04d}",
            "sun_azimuth": round(sun.azimuth_deg, 1),
            "sun_elevation": round(sun.elevation_deg, 1),
            "updated": f"{overpass.time:%Y-%m-%d}T23:40:00Z",
            "view_angle": 0.0,
            **{
                f"{name}_percent": round(100 * float(share))
                for name, share in zip(percents, shares, strict=True)
            },
        },
        "sandbox:seed": config.seed,
        "sandbox:shift_m": list(overpass.shift_m),
    }
