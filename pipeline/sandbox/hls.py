"""Harmonized Landsat Sentinel-2 scenes: the passes of both satellites on one 30 m grid.

HLS takes out what differs between the two sensors: bands of MSI are adjusted to the response of
OLI (`sensors.MSI_TO_OLI`), and both to nadir view. The sandbox looks straight down anyway.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from pipeline.sandbox.fields import Floats, PixelGrid
from pipeline.sandbox.optical import (
    Air,
    Flags,
    air_over,
    reflectance_view,
    surface_temperature,
    swath,
    with_noise,
)
from pipeline.sandbox.phenology import Look, warmth_of
from pipeline.sandbox.raster import Raster, Rendered
from pipeline.sandbox.sampling import View, sample_views
from pipeline.sandbox.schedule import Overpass
from pipeline.sandbox.sensors import (
    IDENTITY,
    MSI,
    MSI_TO_OLI,
    OLI,
    TIRS_BLUR_M,
    BandOptics,
)
from pipeline.sandbox.weather import CLOUD_OPACITY, SHADOW_OPACITY
from pipeline.sandbox.world import World

HLS_GSD_M = 30.0
HLS_FACTOR = 6
"""Fine samples along one side of a pixel."""
HLS_NODATA = -9999
HLS_SCALE = 1e-4
THERMAL_SCALE = 0.01
KELVIN = 273.15
"""Raw thermal values are hundredths of a degree Celsius: kelvin = raw * 0.01 + 273.15."""
FMASK_FILL = 255
COOLER_K = MappingProxyType({"thermal1": 2.5, "thermal2": 4.0})
"""Brightness temperature below that of the surface: emissivity and air, round numbers."""
DERIVED = MappingProxyType(
    {
        "coastal": ("blue", 0.84, 443.0),
        "water_vapour": ("nir_narrow", 0.4, 945.0),
        "cirrus": ("swir1", 0.006, 1375.0),
    }
)
"""Bands that the landscape has no spectrum for: a share of another band's ground, and the
wavelength that the air is taken at. Low clouds do not show at 1375 nm."""
_ADJACENT_PX = 2
_ADJUSTED = MSI_TO_OLI["sentinel-2a"]


def render_hls(world: World, overpass: Overpass) -> Rendered:
    """Render one HLS scene at 30 m: reflectance, Fmask, and temperatures of Landsat passes."""
    grid = world.config.grid(HLS_GSD_M)
    look = world.look(overpass)
    optics = _optics(overpass)
    views = {band: _view(look, band, o) for band, o in optics.items()}
    warmth = warmth_of(world.landscape.traits, world.stand(overpass))
    views["warmth"] = View(mean=warmth, gsd_m=HLS_GSD_M, blur_m=TIRS_BLUR_M)
    views["water"] = View(mean=world.is_kind("water"), gsd_m=HLS_GSD_M)
    sampled = sample_views(
        world.scenery(overpass, look),
        list(views.values()),
        pixels=grid,
        factor=HLS_FACTOR,
        shift_m=overpass.shift_m,
    )
    ground = dict(zip(views, sampled, strict=True))
    air = air_over(world, overpass, grid)
    covered = swath(grid, overpass.swath_share)
    rasters = [
        _encode(band, values, grid, covered, scale=HLS_SCALE, offset=0.0)
        for band, values in _deliver(world, overpass, optics, ground, air).items()
    ]
    if _is_landsat(overpass):
        rasters += _thermal(world, overpass, ground["warmth"], air, grid)
    fmask = fmask_of(air.opacity, air.shade, ground["water"] > 0.5)
    fmask[~covered] = FMASK_FILL
    rasters.append(Raster(band="fmask", values=fmask, grid=grid, nodata=float(FMASK_FILL)))
    seen = fmask[covered]
    return Rendered(
        overpass=overpass, rasters=tuple(rasters), cloud=float((seen >> 1 & 1).mean())
    )


def _is_landsat(overpass: Overpass) -> bool:
    return overpass.platform.startswith("landsat")


def _optics(overpass: Overpass) -> Mapping[str, BandOptics]:
    """Bands as HLS delivers them: means of several detector samples are less noisy."""
    own = OLI if _is_landsat(overpass) else MSI
    return {
        band: replace(
            o, gsd_m=HLS_GSD_M, signal_to_noise=o.signal_to_noise * HLS_GSD_M / o.gsd_m
        )
        for band, o in own.items()
    }


def _view(look: Look, band: str, optics: BandOptics) -> View:
    own = "nir_narrow" if band == "nir" and optics.wavelength_nm == 865 else band
    return reflectance_view(look, own, gsd_m=HLS_GSD_M, blur_m=optics.blur_m)


def _deliver(
    world: World,
    overpass: Overpass,
    optics: Mapping[str, BandOptics],
    ground: Mapping[str, Floats],
    air: Air,
) -> dict[str, Floats]:
    """Reflectance as delivered: OLI's response where there is one, air, noise."""
    rng = world.config.random("noise", overpass.name)
    sun = world.sun(overpass)
    true = {band: _adjusted(band, ground[band], optics[band]) for band in optics}
    found = {}
    for band, o in optics.items():
        seen = air.seen(true[band], o.wavelength_nm)
        found[band] = with_noise(rng, seen, o, sun.elevation_deg)
    for band, (like, share, wavelength_nm) in DERIVED.items():
        if band == "water_vapour" and _is_landsat(overpass):
            continue
        source = "nir" if like not in true else like
        above = Air(
            offset=air.offset,
            gain=air.gain,
            veil=air.veil,
            opacity=air.opacity * (band != "cirrus"),
            shade=air.shade,
        )
        seen = above.seen(share * true[source], wavelength_nm)
        found[band] = with_noise(rng, seen, optics[source], sun.elevation_deg)
    return found


def _adjusted(band: str, ground: Floats, optics: BandOptics) -> Floats:
    own = "nir_narrow" if band == "nir" and optics.wavelength_nm == 865 else band
    gain, offset = _ADJUSTED.get(own, IDENTITY)
    return np.asarray(gain * ground + offset, np.float32)


def _thermal(
    world: World, overpass: Overpass, warmth: Floats, air: Air, grid: PixelGrid
) -> list[Raster]:
    """Brightness temperatures at the sensor; HLS does not retrieve the surface's."""
    source = replace(overpass, name=overpass.sky_of)
    surface = surface_temperature(world, source, warmth, air.opacity)
    everywhere = np.ones(grid.shape, np.bool_)
    return [
        _encode(band, surface - cooler, grid, everywhere, scale=THERMAL_SCALE, offset=KELVIN)
        for band, cooler in COOLER_K.items()
    ]


def _encode(
    band: str,
    physical: Floats,
    grid: PixelGrid,
    covered: Flags,
    *,
    scale: float,
    offset: float,
) -> Raster:
    raw = np.clip(np.rint((physical - offset) / scale), HLS_NODATA + 1, 32767).astype(np.int16)
    raw[~covered] = HLS_NODATA
    return Raster(
        band=band,
        values=raw,
        grid=grid,
        nodata=float(HLS_NODATA),
        scale=scale,
        offset=offset,
    )


def fmask_of(opacity: Floats, shade: Floats, water: Flags) -> NDArray[np.uint8]:
    """Return Fmask, bits as in the HLS v2 User Guide; bit 0 is reserved and never set.

    Bits: 1 cloud, 2 next to cloud or shadow, 3 cloud shadow, 4 snow or ice, 5 water; 6 and 7
    are the aerosol level, 1 (low) throughout and 3 (high) under thin veils.
    """
    cloud = opacity > CLOUD_OPACITY
    shadow = (shade > SHADOW_OPACITY) & ~cloud
    near = binary_dilation(cloud | shadow, iterations=_ADJACENT_PX) & ~(cloud | shadow)
    bits = np.zeros(opacity.shape, np.uint8)
    for flag, bit in ((cloud, 1), (near, 2), (shadow, 3), (water & ~cloud, 5)):
        bits |= flag.astype(np.uint8) << bit
    veiled = (opacity > CLOUD_OPACITY / 2) & ~cloud
    return bits | np.where(veiled, 3 << 6, 1 << 6).astype(np.uint8)
