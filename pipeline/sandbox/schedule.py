"""What the sandbox holds: its place, its season, and which satellite passes when."""

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from zlib import crc32

import numpy as np

from pipeline.sandbox.fields import PixelGrid
from pipeline.sandbox.offset_forms import OFFSET_FORMS, OffsetForm
from pipeline.sandbox.sensors import SHIFT_M

LANDSAT = "landsat-c2-l2"
SENTINEL2 = "sentinel-2-l2a"
SENTINEL1 = "sentinel-1-grd"
HLS_LANDSAT = "hls-l30"
HLS_SENTINEL2 = "hls-s30"
DYNAMIC_WORLD = "dynamic-world"
PLANETSCOPE = "planetscope-sr"
ELEVATION = "cop-dem-glo-30"
LABELS = "worldcereal-labels"
TRUTH = "sandbox-truth"
WORLDCOVER = "esa-worldcover"
CROPLAND = "usda-cdl"

FIRST_PRODUCTS = (LANDSAT, SENTINEL2, SENTINEL1, ELEVATION, LABELS, TRUTH)
"""What a sandbox holds unless it says otherwise."""
ALL_PRODUCTS = (
    *FIRST_PRODUCTS,
    HLS_LANDSAT,
    HLS_SENTINEL2,
    DYNAMIC_WORLD,
    PLANETSCOPE,
    WORLDCOVER,
    CROPLAND,
)
DYNAMIC_WORLD_CLOUD = 0.35
"""Cloud cover above which Dynamic World leaves a scene out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """A sandbox: the same configuration always gives the same bytes."""

    seed: int = 0
    west: float = 499_200.0
    """Western edge of the area, UTM metres; a multiple of 60 keeps all grids whole."""
    south: float = 5_627_520.0
    """Southern edge of the area, UTM metres; a multiple of 60."""
    size_m: float = 11_520.0
    """Side of the square area; a multiple of 60."""
    epsg: int = 32631
    """UTM zone of the area."""
    margin_m: float = 240.0
    """How far scenes reach beyond the area; a multiple of 60."""
    start: date = date(2021, 4, 12)
    end: date = date(2021, 9, 12)
    """Last day, inclusive."""
    landsat_every_days: int = 16
    sentinel2_every_days: int = 5
    sentinel1_every_days: int = 12
    cloudiness: float = 0.45
    """Share of passes that meet clouds, 0 to 1."""
    overcast: float = 0.6
    """Cloud cover above which a pass is not in the archive."""
    two_rows: int | None = 2
    """Which Landsat pass comes as two items, neighbouring rows; None for none."""
    products: tuple[str, ...] = FIRST_PRODUCTS
    """Keys of the products to render."""
    sentinel2_forms: tuple[OffsetForm, ...] = ("carried", "plain", "carried")
    """How Sentinel-2 passes deal with the offset, in turn."""
    planet_every_days: int = 6
    planet_m: float = 780.0
    """Side of the square that PlanetScope deliveries cover, from 30 m beyond the area's
    south-western corner; a multiple of 30."""

    def __post_init__(self) -> None:
        for name in ("west", "south", "size_m", "margin_m"):
            value = getattr(self, name)
            if value % 60:
                raise ValueError(
                    f"{name}={value!r} is not a multiple of 60 m; use {60 * round(value / 60)}"
                )
        if self.end < self.start:
            raise ValueError(f"end {self.end} is before start {self.start}; swap them")
        unknown = sorted(set(self.products) - set(ALL_PRODUCTS))
        if unknown:
            raise ValueError(
                f"products {', '.join(unknown)} cannot be rendered; "
                f"choose from {', '.join(ALL_PRODUCTS)}"
            )
        if not 0 <= self.cloudiness <= 1:
            raise ValueError(f"cloudiness={self.cloudiness!r} is not between 0 and 1")

    def grid(self, step_m: float, *, offset_m: float = 0.0) -> PixelGrid:
        """Return the pixel grid of a product: the area and its margin, all of it covered."""
        west = self.west - self.margin_m - offset_m
        north = self.south + self.size_m + self.margin_m + offset_m
        count = int((self.size_m + 2 * (self.margin_m + offset_m)) // step_m)
        return PixelGrid(west, north, step_m, count, count)

    def random(self, *names: str) -> np.random.Generator:
        """Return the generator of one named purpose: no other scene changes it."""
        return np.random.default_rng(self.seed_of(*names))

    def seed_of(self, *names: str) -> np.random.SeedSequence:
        """Return the seed of one named purpose."""
        keys = tuple(crc32(name.encode()) for name in names)
        return np.random.SeedSequence(self.seed, spawn_key=keys)


DEMO = SandboxConfig(seed=2944)
"""36 cells of 1,920 m and one growing season, clear and cloudy passes in it."""
TINY = SandboxConfig(
    size_m=1_920.0,
    margin_m=120.0,
    start=date(2021, 5, 30),
    end=date(2021, 7, 20),
    sentinel2_every_days=10,
    sentinel1_every_days=24,
    cloudiness=0.34,
    overcast=0.85,
)
"""One cell, a few scenes of every product: for tests."""
FULL = SandboxConfig(
    seed=2944,
    size_m=3_840.0,
    margin_m=120.0,
    start=date(2021, 5, 1),
    end=date(2021, 9, 30),
    cloudiness=0.3,
    products=ALL_PRODUCTS,
)
"""Four cells of 1,920 m, one growing season, and every product that can be rendered."""
OFFSETS = replace(
    TINY,
    sentinel2_every_days=5,
    cloudiness=0.0,
    products=(SENTINEL2,),
    sentinel2_forms=("plain", "carried", "removed", "removed-unsaid", "carried-unsaid"),
)
"""One cell of Sentinel-2 that deals with the offset in every way there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overpass:
    """One satellite over the area at one moment."""

    name: str
    """Item id, and the name of its random numbers."""
    collection: str
    platform: str
    time: datetime
    """UTC."""
    shift_m: tuple[float, float]
    """How far east and north of its true place the scene lies."""
    cloud_cover: float = 0.0
    """Share of the area under cloud that the sky is drawn for."""
    number: int = 0
    """Place in the order of this collection's passes, missing ones included."""
    swath_share: float = 1.0
    """Share of the area's width, from the west, that the swath covers."""
    details: dict[str, str | bool] = field(default_factory=dict)
    """Item properties that only this collection has."""
    sky_of: str = ""
    """Name of the pass whose sky and air these are, if they are not its own."""
    offset_form: OffsetForm = "carried"
    """How a Sentinel-2 scene deals with the offset of 1000."""

    @property
    def day(self) -> float:
        """Day of the year with its fraction."""
        seconds = self.time.hour * 3600 + self.time.minute * 60 + self.time.second
        return self.time.timetuple().tm_yday + seconds / 86400


def list_overpasses(config: SandboxConfig) -> list[Overpass]:
    """Return every pass that the archive holds, in order of collection and time.

    Passes under a closed cloud deck are left out, as searches with a cloud limit do. A
    pass depends on the seed and its own date, so a longer period only adds passes.
    """
    landsat = _on_offer(config, _landsat(config))
    sentinel2 = _on_offer(config, _sentinel2(config))
    found = [
        *landsat,
        *sentinel2,
        *_sentinel1(config),
        *[_hls(overpass, HLS_LANDSAT) for overpass in landsat],
        *[_hls(overpass, HLS_SENTINEL2) for overpass in sentinel2],
        *[_dynamic_world(p) for p in sentinel2 if p.cloud_cover <= DYNAMIC_WORLD_CLOUD],
        *_on_offer(config, _planetscope(config)),
    ]
    return [overpass for overpass in found if overpass.collection in config.products]


def _on_offer(config: SandboxConfig, passes: list[Overpass]) -> list[Overpass]:
    return [overpass for overpass in passes if overpass.cloud_cover <= config.overcast]


def _days(config: SandboxConfig, first: int, every: int) -> list[tuple[int, date]]:
    span = range(first, (config.end - config.start).days + 1, every)
    return [(i, config.start + timedelta(days=day)) for i, day in enumerate(span)]


def _moment(day: date, hour: int, minute: int, second: float) -> datetime:
    start = datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)
    return start + timedelta(seconds=int(second))


def _shift(rng: np.random.Generator, collection: str) -> tuple[float, float]:
    east, north = np.round(rng.normal(0.0, SHIFT_M[collection], 2), 3)
    return float(east), float(north)


def _cloud_cover(rng: np.random.Generator, cloudiness: float) -> float:
    """Half of the cloudless passes keep a few small clouds; cloudy ones take any cover."""
    kind, amount, few = rng.random(), rng.beta(1.1, 0.8), rng.uniform(0.0, 0.03)
    if kind < cloudiness:
        return float(amount)
    return float(few) if kind < (1 + cloudiness) / 2 else 0.0


def _landsat(config: SandboxConfig) -> list[Overpass]:
    passes = []
    for number, day in _days(config, 1, config.landsat_every_days):
        name = f"LC08_L2SP_199024_{day:%Y%m%d}_02_T1"
        rng = config.random("pass", name)
        passes.append(
            Overpass(
                name=name,
                collection=LANDSAT,
                platform="landsat-8",
                time=_moment(day, 10, 40, 20 + rng.uniform(0, 12)),
                shift_m=_shift(rng, LANDSAT),
                cloud_cover=_cloud_cover(rng, config.cloudiness),
                number=number,
            )
        )
    return passes


def _sentinel2(config: SandboxConfig) -> list[Overpass]:
    passes = []
    for number, day in _days(config, 0, config.sentinel2_every_days):
        letter = "ab"[number % 2]
        name = f"S2{letter.upper()}_31UES_{day:%Y%m%d}_0_L2A"
        rng = config.random("pass", name)
        form = config.sentinel2_forms[number % len(config.sentinel2_forms)]
        passes.append(
            Overpass(
                name=name,
                collection=SENTINEL2,
                platform=f"sentinel-2{letter}",
                time=_moment(day, 10, 56, rng.uniform(15, 45)),
                shift_m=_shift(rng, SENTINEL2),
                cloud_cover=_cloud_cover(rng, config.cloudiness),
                number=number,
                swath_share=float(rng.uniform(0.55, 0.85)) if number % 8 == 5 else 1.0,
                details=_offset_details(form),
                offset_form=form,
            )
        )
    return passes


def _sentinel1(config: SandboxConfig) -> list[Overpass]:
    passes = []
    for number, day in _days(config, 3, config.sentinel1_every_days):
        rng = config.random("pass", f"S1_{day:%Y%m%d}")
        time = _moment(day, 17, 32, rng.uniform(25, 50))
        passes.append(
            Overpass(
                name=f"S1A_IW_GRDH_{time:%Y%m%dT%H%M%S}",
                collection=SENTINEL1,
                platform="sentinel-1a",
                time=time,
                shift_m=_shift(rng, SENTINEL1),
                number=number,
                details={"sar:instrument_mode": "IW", "sat:orbit_state": "ascending"},
            )
        )
    return passes


def _offset_details(form: OffsetForm) -> dict[str, str | bool]:
    rule = OFFSET_FORMS[form]
    found: dict[str, str | bool] = {"s2:processing_baseline": rule.baseline}
    if rule.flag is not None:
        found["earthsearch:boa_offset_applied"] = rule.flag
    return found


def _hls(overpass: Overpass, collection: str) -> Overpass:
    """The same pass as HLS delivers it: its own name, the same sky."""
    kind = "L30" if collection == HLS_LANDSAT else "S30"
    return replace(
        overpass,
        name=f"HLS.{kind}.T31UES.{overpass.time:%Y%jT%H%M%S}.v2.0",
        collection=collection,
        details={},
        sky_of=overpass.name,
    )


def _dynamic_world(overpass: Overpass) -> Overpass:
    """Dynamic World of a Sentinel-2 pass: it bears the scene's own name."""
    return replace(overpass, collection=DYNAMIC_WORLD, platform="", details={})


def _planetscope(config: SandboxConfig) -> list[Overpass]:
    passes = []
    for number, day in _days(config, 1, config.planet_every_days):
        rng = config.random("pass", f"PS_{day:%Y%m%d}")
        time = _moment(day, 10, 5, rng.uniform(0, 1500))
        satellite = f"24{rng.integers(10, 99)}"
        passes.append(
            Overpass(
                name=f"{time:%Y%m%d_%H%M%S}_{rng.integers(10, 99)}_{satellite}",
                collection=PLANETSCOPE,
                platform=satellite,
                time=time,
                shift_m=_shift(rng, PLANETSCOPE),
                cloud_cover=_cloud_cover(rng, config.cloudiness),
                number=number,
            )
        )
    return passes
