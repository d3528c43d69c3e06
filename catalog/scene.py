"""Scenes: one acquisition of one product, and the files that hold it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from shapely.geometry.base import BaseGeometry

from catalog.errors import ItemError
from catalog.product import Access


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file of a scene that holds one band."""

    band: str
    """Band key of the product table."""
    href: str
    """Absolute path or URL of a file; `ee://` and the asset's id for an Earth Engine image."""
    scale: float
    offset: float
    """`physical = raw * scale + offset` for this very file."""
    nodata: float | None
    """Raw value that means no data; None if every value is data."""
    shape: tuple[int, int] | None = None
    """Rows and columns, if the item states them."""
    transform: tuple[float, float, float, float, float, float] | None = None
    """Affine of the pixel grid (a, b, c, d, e, f), if the item states it."""
    part: str = ""
    """Band of an Earth Engine image or variable of a NetCDF file; `''` for rasters."""
    index: int = 1
    """Which band of a raster, or which time step of a NetCDF variable, from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneAngles:
    """Where sun and sensor stood over a scene, degrees; None where its item does not say."""

    sun_zenith: float | None = None
    sun_azimuth: float | None = None
    """Clockwise from north, as is the view's."""
    view_zenith: float | None = None
    view_azimuth: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One acquisition of one product by one archive."""

    id: str
    product: str
    source: str
    """The archive that listed it: a known name, a URL or a path."""
    platform: str
    """As the item states it, lower case; `''` if it does not."""
    time: datetime
    """Acquisition, aware UTC; the middle of a start/end range."""
    footprint: BaseGeometry
    """Outline in longitude and latitude, degrees."""
    cloud: float | None
    """Cloud fraction of the whole scene by the item, 0 to 1; None if unstated."""
    epsg: int | None
    """Code of the pixels' CRS; None if the item does not state it."""
    version: str
    """Changes when the archive reprocesses the scene: update time, baseline or etag."""
    assets: Mapping[str, Asset]
    """Band key -> file."""
    access: Access = "open"
    """How the files are opened."""
    angles: SceneAngles | None = None
    """Of the whole scene; None if its item states none."""

    def __post_init__(self) -> None:
        if self.time.tzinfo is None:
            raise ItemError(f"scene {self.id!r} has a time without time zone: {self.time!r}")
