"""Landsat, Sentinel-2 and the truth, rendered from the same ground."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from catalog.products import find_product
from pipeline.sandbox.fields import Floats, PixelGrid, synthesize_field
from pipeline.sandbox.offset_forms import OFFSET_FORMS
from pipeline.sandbox.phenology import Look, warmth_of
from pipeline.sandbox.raster import Raster, Rendered, encode
from pipeline.sandbox.sampling import View, sample_views
from pipeline.sandbox.schedule import LANDSAT, SENTINEL2, TRUTH, Overpass
from pipeline.sandbox.sensors import (
    HAZE_GAIN,
    HAZE_OFFSET,
    MSI,
    MSI_BANDS,
    MSI_TRUTH_BANDS,
    OLI,
    TIRS_BIAS_K,
    TIRS_BLUR_M,
    TIRS_NOISE_K,
    BandOptics,
    response,
)
from pipeline.sandbox.weather import (
    CLOUD_OPACITY,
    CLOUD_TEMPERATURE_K,
    SHADOW_OPACITY,
    air_temperature_k,
)
from pipeline.sandbox.world import World

Flags = NDArray[np.bool_]

LANDSAT_FACTOR = 6
SENTINEL2_FACTOR = 6
TRUTH_FACTOR = 4
"""Fine samples along one side of a 30 m, a 20 m and a 10 m pixel: 5, 3.3 and 2.5 m."""
VEIL_SHARE = 0.4
"""Spread of haze within a scene, relative to that between scenes."""
_DILATION_PX = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Air:
    """What lies between one scene's ground and its sensor, over one grid."""

    offset: float
    """Additive error of the atmospheric correction at 550 nm."""
    gain: float
    """Relative error at 550 nm."""
    veil: Floats
    """Departure of haze from what the correction took it for, one sigma each, `(y, x)`."""
    opacity: Floats
    """Of clouds, 0 to 1, `(y, x)`."""
    shade: Floats
    """Opacity of the cloud between the ground and the sun, `(y, x)`."""

    def seen(self, ground: Floats, wavelength_nm: float) -> Floats:
        """Return reflectance as delivered, from that of the ground.

        Aerosol acts as `(550 / wavelength) ** 1.3` (Angstrom's law). Skylight fills
        shadows, more so in the blue.
        """
        aerosol = (550 / wavelength_nm) ** 1.3
        hazy = ground * (1 + self.gain * aerosol)
        hazy += aerosol * (self.offset + VEIL_SHARE * HAZE_OFFSET * self.veil)
        lit = hazy * (1 - self.shade * (0.82 - 0.25 * 492 / wavelength_nm))
        brightness = np.interp(wavelength_nm, [900, 1614, 2202], [1.0, 0.62, 0.42])
        cloud = np.float32(brightness) * (0.32 + 0.4 * self.opacity)
        return np.asarray(lit * (1 - self.opacity) + self.opacity * cloud, np.float32)


def air_over(world: World, overpass: Overpass, grid: PixelGrid) -> Air:
    """Draw one scene's air and return it over the ground that `grid` truly shows."""
    rng = world.config.random("air", overpass.sky_of or overpass.name)
    veil = synthesize_field(
        rng,
        period_m=world.config.size_m + 2000,
        spacing_m=400.0,
        roughness=3.0,
        largest_m=6000.0,
    )
    place = grid.move(east_m=-overpass.shift_m[0], north_m=-overpass.shift_m[1])
    sky = world.sky(overpass)
    return Air(
        offset=float(rng.normal(0, HAZE_OFFSET)),
        gain=float(rng.normal(0, HAZE_GAIN)),
        veil=veil.on(place),
        opacity=sky.opacity(place),
        shade=sky.shade(place),
    )


def reflectance_view(look: Look, band: str, *, gsd_m: float, blur_m: float) -> View:
    """Return how one band of the landscape, a key of `MSI_BANDS`, is looked at."""
    index = MSI_BANDS.index(band)
    return View(
        mean=look.mean[index],
        per_fertility=look.per_fertility[index],
        gsd_m=gsd_m,
        blur_m=blur_m,
    )


def _sensor_views(
    look: Look, platform: str, optics: Mapping[str, BandOptics]
) -> dict[str, View]:
    return {
        band: reflectance_view(
            look, response(platform, band)[0], gsd_m=o.gsd_m, blur_m=o.blur_m
        )
        for band, o in optics.items()
    }


def with_noise(
    rng: np.random.Generator, reflectance: Floats, optics: BandOptics, sun_elevation_deg: float
) -> Floats:
    """Add the noise of one band's detector."""
    reference, noise = optics.noise(sun_elevation_deg)
    spread = noise * np.sqrt(np.maximum(reflectance, 0.05 * reference) / reference)
    draw = rng.standard_normal(reflectance.shape, dtype=np.float32)
    return (reflectance + draw * spread).astype(np.float32)


def _deliver(
    world: World,
    overpass: Overpass,
    optics: Mapping[str, BandOptics],
    ground: Mapping[str, Floats],
    air: Mapping[float, Air],
) -> dict[str, Floats]:
    """Apply response, air (by pixel size) and noise to what each band gets from the ground."""
    rng = world.config.random("noise", overpass.name)
    sun = world.sun(overpass)
    found = {}
    for band, o in optics.items():
        _, gain, offset = response(overpass.platform, band)
        delivered = air[o.gsd_m].seen(gain * ground[band] + offset, o.wavelength_nm)
        found[band] = with_noise(rng, delivered, o, sun.elevation_deg)
    return found


def render_landsat(world: World, overpass: Overpass) -> Rendered:
    """Render one Landsat scene: six reflectance bands, temperature and QA_PIXEL at 30 m."""
    grid = world.config.grid(30.0, offset_m=15.0)
    look = world.look(overpass)
    views = _sensor_views(look, overpass.platform, OLI)
    warmth = warmth_of(world.landscape.traits, world.stand(overpass))
    views["warmth"] = View(mean=warmth, gsd_m=30.0, blur_m=TIRS_BLUR_M)
    views["water"] = View(mean=world.is_kind("water"), gsd_m=30.0)
    sampled = sample_views(
        world.scenery(overpass, look),
        list(views.values()),
        pixels=grid,
        factor=LANDSAT_FACTOR,
        shift_m=overpass.shift_m,
    )
    ground = dict(zip(views, sampled, strict=True))
    air = air_over(world, overpass, grid)
    delivered = _deliver(world, overpass, OLI, ground, {30: air})
    delivered["thermal"] = surface_temperature(world, overpass, ground["warmth"], air.opacity)
    quality = landsat_quality(air.opacity, air.shade, ground["water"] > 0.5)
    rasters = [
        encode(find_product(LANDSAT).band(band), values, grid)
        for band, values in delivered.items()
    ]
    rasters.append(Raster(band="qa_pixel", values=quality, grid=grid, nodata=1.0))
    cloud = float((quality & (1 << 3) > 0).mean())
    return Rendered(overpass=overpass, rasters=tuple(rasters), cloud=cloud)


def surface_temperature(
    world: World, overpass: Overpass, warmth: Floats, opacity: Floats
) -> Floats:
    """Return the temperature of ground and clouds as a Landsat pass measures it, kelvin."""
    rng = world.config.random("temperature", overpass.name)
    day_rng = world.config.random("weather", f"{overpass.time:%Y%m%d}")
    mean = air_temperature_k(overpass.day, float(day_rng.normal(0, 2.5)))
    season = 0.25 + 0.75 * np.clip(np.sin(np.pi * (overpass.day - 30) / 330), 0, 1)
    surface = mean + season * warmth + rng.normal(0, TIRS_BIAS_K)
    surface += rng.normal(0, TIRS_NOISE_K, warmth.shape)
    return np.asarray(surface * (1 - opacity) + opacity * CLOUD_TEMPERATURE_K, np.float32)


def landsat_quality(opacity: Floats, shade: Floats, water: Flags) -> NDArray[np.uint16]:
    """Return QA_PIXEL, bits as in USGS LSDS-1619.

    Bits: 1 dilated cloud, 3 cloud, 4 cloud shadow, 6 clear, 7 water; 8-9 cloud, 10-11
    shadow, 12-13 snow, 14-15 cirrus confidence (1 low, 3 high).
    """
    cloud = opacity > CLOUD_OPACITY
    dilated = binary_dilation(cloud, iterations=_DILATION_PX) & ~cloud
    shadow = (shade > SHADOW_OPACITY) & ~cloud
    bits = np.full(opacity.shape, (1 << 12) | (1 << 14), np.uint16)
    for flag, bit in ((dilated, 1), (cloud, 3), (shadow, 4), (water & ~cloud, 7)):
        bits |= flag.astype(np.uint16) << bit
    bits |= (~(cloud | dilated)).astype(np.uint16) << 6
    bits |= np.where(cloud, 3, 1).astype(np.uint16) << 8
    bits |= np.where(shadow, 3, 1).astype(np.uint16) << 10
    return bits


def render_sentinel2(world: World, overpass: Overpass) -> Rendered:
    """Render one Sentinel-2 scene: four bands at 10 m, six and the scene classes at 20 m."""
    coarse, fine = world.config.grid(20.0), world.config.grid(10.0)
    look = world.look(overpass)
    views = _sensor_views(look, overpass.platform, MSI)
    views["water"] = View(mean=world.is_kind("water"), gsd_m=20.0)
    sampled = sample_views(
        world.scenery(overpass, look),
        list(views.values()),
        pixels=coarse,
        factor=SENTINEL2_FACTOR,
        shift_m=overpass.shift_m,
    )
    ground = dict(zip(views, sampled, strict=True))
    grids = {band: fine if MSI[band].gsd_m == 10 else coarse for band in MSI}
    air = {grid.step_m: air_over(world, overpass, grid) for grid in (fine, coarse)}
    delivered = _deliver(world, overpass, MSI, ground, air)
    classes = scene_classes(delivered, ground["water"] > 0.5, air[20])
    covered = {grid.step_m: swath(grid, overpass.swath_share) for grid in (fine, coarse)}
    rule = OFFSET_FORMS[overpass.offset_form]
    encoded = [
        encode(
            find_product(SENTINEL2).band(band),
            values,
            grids[band],
            offset=rule.offset,
            covered=covered[grids[band].step_m],
        )
        for band, values in delivered.items()
    ]
    rasters = [replace(raster, offset=rule.stated) for raster in encoded]
    classes = np.where(covered[20.0], classes, 0).astype(np.uint8)
    rasters.append(Raster(band="scl", values=classes, grid=coarse, nodata=0.0))
    cloud = float(np.isin(classes, (8, 9)).sum() / max(1, np.count_nonzero(classes)))
    return Rendered(overpass=overpass, rasters=tuple(rasters), cloud=cloud)


def scene_classes(delivered: Mapping[str, Floats], water: Flags, air: Air) -> NDArray[np.uint8]:
    """Return the Sentinel-2 scene classes at 20 m.

    3 cloud shadow, 4 vegetation, 5 not vegetated, 6 water, 7 unclassified (thin veil),
    8 and 9 cloud of medium and high probability.
    """
    red, nir = (_halve(delivered[band]) for band in ("red", "nir"))
    ndvi = (nir - red) / np.maximum(nir + red, 1e-3)
    classes = np.where(ndvi > 0.4, 4, 5)
    classes[water] = 6
    classes[air.shade > SHADOW_OPACITY] = 3
    classes[air.opacity > CLOUD_OPACITY / 2] = 7
    classes[air.opacity > CLOUD_OPACITY] = 8
    classes[air.opacity > 0.45] = 9
    return classes.astype(np.uint8)


def _halve(values: Floats) -> Floats:
    rows, columns = values.shape
    mean = values.reshape(rows // 2, 2, columns // 2, 2).mean(axis=(1, 3))
    return np.asarray(mean, dtype=np.float32)


def swath(grid: PixelGrid, share: float) -> Flags:
    """Return which pixels lie west of the swath's edge, which leans like a descending orbit."""
    if share >= 1:
        return np.ones(grid.shape, np.bool_)
    west, south, east, north = grid.bounds
    middle = west + share * (east - west)
    lean = np.tan(np.radians(14.0))
    edge = middle + lean * (grid.y - (south + north) / 2)
    return np.asarray(grid.x[None, :] < edge[:, None])


def render_truth(world: World, overpass: Overpass, name: str) -> Rendered:
    """Render the reflectance at the time of a Landsat pass as area means of 10 m pixels.

    The response is Sentinel-2A's. No cloud, haze, blur, noise or misplacement.
    """
    grid = world.config.grid(10.0)
    look = world.look(overpass)
    sampled = sample_views(
        world.scenery(overpass, look),
        [reflectance_view(look, band, gsd_m=10.0, blur_m=0.0) for band in MSI_TRUTH_BANDS],
        pixels=grid,
        factor=TRUTH_FACTOR,
        shift_m=(0.0, 0.0),
    )
    rasters = tuple(
        encode(find_product(TRUTH).band(band), values, grid)
        for band, values in zip(MSI_TRUTH_BANDS, sampled, strict=True)
    )
    return Rendered(overpass=overpass, rasters=rasters, name=name)
