"""Everything a renderer needs to know: the landscape and the weather of one sandbox."""

from dataclasses import dataclass

import numpy as np
from pyproj import Transformer

from pipeline.sandbox.covers import KINDS
from pipeline.sandbox.fields import Floats, PixelGrid
from pipeline.sandbox.landscape import HILL_M, Landscape
from pipeline.sandbox.paint import draw_landscape
from pipeline.sandbox.phenology import Look, Stand, look_of, stand_on
from pipeline.sandbox.sampling import Scenery
from pipeline.sandbox.schedule import Overpass, SandboxConfig
from pipeline.sandbox.weather import Sky, Sun, draw_rain, draw_sky, relief_of, sun_at

_BEYOND_M = 480.0


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One sandbox's ground and weather."""

    config: SandboxConfig
    landscape: Landscape
    wetness: Floats
    """Of the topsoil, for each day of the year."""

    def stand(self, overpass: Overpass) -> Stand:
        """Return what stands on each patch at the time of a pass."""
        return stand_on(
            self.landscape.traits,
            day=overpass.day,
            wetness=float(self.wetness[int(overpass.day)]),
        )

    def look(self, overpass: Overpass) -> Look:
        """Return the reflectance of each patch at the time of a pass."""
        return look_of(self.landscape.traits, self.stand(overpass))

    def sun(self, overpass: Overpass) -> Sun:
        """Return the sun's position over the middle of the area."""
        config = self.config
        to_lonlat = Transformer.from_crs(config.epsg, 4326, always_xy=True)
        half = config.size_m / 2
        lon, lat = to_lonlat.transform(config.west + half, config.south + half)
        return sun_at(overpass.time, lon_deg=lon, lat_deg=lat)

    def scenery(self, overpass: Overpass, look: Look) -> Scenery:
        """Return the landscape in the light of a pass."""
        relief = relief_of(self.landscape.terrain, self.sun(overpass), HILL_M)
        return Scenery(landscape=self.landscape, grain=look.grain, relief=relief)

    def sky(self, overpass: Overpass) -> Sky:
        """Return the clouds of a pass."""
        return draw_sky(
            self.config.random("sky", overpass.sky_of or overpass.name),
            cover=overpass.cloud_cover,
            area=self.config.grid(60.0),
            sun=self.sun(overpass),
        )

    def is_kind(self, *names: str) -> Floats:
        """Return 1 for each patch that is one of the covers `names`, else 0."""
        wanted = [KINDS.index(name) for name in names]
        return np.isin(self.landscape.traits.kind, wanted).astype(np.float32)


def build_world(config: SandboxConfig) -> World:
    """Draw the landscape and the weather of `config`."""
    area: PixelGrid = config.grid(60.0)
    west, south, east, north = area.bounds
    bounds = (west - _BEYOND_M, south - _BEYOND_M, east + _BEYOND_M, north + _BEYOND_M)
    return World(
        config=config,
        landscape=draw_landscape(config.seed_of("landscape"), bounds),
        wetness=draw_rain(config.random("rain")),
    )
