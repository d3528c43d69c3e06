"""The rasters of the build benchmark: random fields that compress like real scenes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine

_CLEAR = {"qa_pixel": 21824, "scl": 4}
_CLOUD = {"qa_pixel": 22280, "scl": 9}
_NOISE_DN, _RELIEF_DN, _MEAN_DN = 55.0, 700.0, 4500.0
_BLOCK_PX = {10: 1024, 20: 512, 30: 256}
"""Side of a block by pixel size, as the archives of today have them."""
_STRIP = 1024
_CLOUDY_RELIEF = 0.95
"""Relief above this is cloud: about a tenth of a scene."""


@dataclass(frozen=True, slots=True)
class SceneGrid:
    """The pixel grid of all bands of one scene at one pixel size."""

    epsg: int
    west: float
    north: float
    gsd_m: int
    shape: tuple[int, int]

    @property
    def transform(self) -> Affine:
        """Affine of the upper left pixel."""
        return Affine(self.gsd_m, 0, self.west, 0, -self.gsd_m, self.north)


def render_band(path: Path, grid: SceneGrid, band: str) -> None:
    """Render one band and write it as a COG; real scenes compress about as well."""
    rng = np.random.default_rng(list(path.name.encode()))
    dtype = np.dtype("uint8" if band == "scl" else "uint16")
    values = np.empty(grid.shape, dtype)
    coarse = rng.standard_normal((grid.shape[0] // 40 + 3, grid.shape[1] // 40 + 3), np.float32)
    for top in range(0, grid.shape[0], _STRIP):
        part = values[top : top + _STRIP]
        relief = _smooth(coarse, top, part.shape)
        if band in _CLEAR:
            part[:] = np.where(relief > _CLOUDY_RELIEF, _CLOUD[band], _CLEAR[band])
        else:
            noise = rng.standard_normal(part.shape, np.float32)
            part[:] = np.maximum(_MEAN_DN + _RELIEF_DN * relief + _NOISE_DN * noise, 1100)
    rough = path.with_suffix(".tmp.tif")
    _write_cog(rough, values, grid)
    rough.rename(path)


def _smooth(coarse: np.ndarray, top: int, shape: tuple[int, int]) -> np.ndarray:
    """Noise of 40 px, interpolated linearly."""
    y, x = (np.arange(top, top + shape[0]) / 40, np.arange(shape[1]) / 40)
    y0, x0 = y.astype(int), x.astype(int)
    fy, fx = (y - y0).astype("f4")[:, None], (x - x0).astype("f4")
    first, last = y0[0], y0[-1] + 2
    rows = coarse[first:last]
    across = rows[:, x0] * (1 - fx) + rows[:, x0 + 1] * fx
    return across[y0 - first] * (1 - fy) + across[y0 - first + 1] * fy


def _write_cog(path: Path, values: np.ndarray, grid: SceneGrid) -> None:
    profile = {
        "driver": "GTiff",
        "height": grid.shape[0],
        "width": grid.shape[1],
        "count": 1,
        "dtype": values.dtype,
        "crs": f"EPSG:{grid.epsg}",
        "transform": grid.transform,
        "nodata": None if values.dtype == np.uint8 else 0,
    }
    with rasterio.MemoryFile() as held, held.open(**profile) as made:
        made.write(values, 1)
        rasterio.shutil.copy(
            made,
            path,
            driver="COG",
            BLOCKSIZE=_BLOCK_PX[grid.gsd_m],
            COMPRESS="DEFLATE",
            PREDICTOR="YES",
            OVERVIEW_RESAMPLING="NEAREST",
            NUM_THREADS="2",
        )
