"""Pixel grids, and smooth random fields that can be evaluated on any of them."""

from dataclasses import dataclass, replace

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from scipy.fft import irfft2, rfft2, rfftfreq
from scipy.ndimage import map_coordinates
from scipy.sparse import csr_array

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PixelGrid:
    """A north-up grid of square pixels in the landscape's UTM zone."""

    west: float
    """Western edge, metres."""
    north: float
    """Northern edge, metres."""
    step_m: float
    """Side of a pixel, metres."""
    width: int
    height: int

    @property
    def transform(self) -> Affine:
        """Affine from (column, row) to (easting, northing) of pixel corners."""
        return Affine(self.step_m, 0.0, self.west, 0.0, -self.step_m, self.north)

    @property
    def x(self) -> NDArray[np.float64]:
        """Eastings of pixel centers, metres."""
        return self.west + self.step_m * (np.arange(self.width, dtype=np.float64) + 0.5)

    @property
    def y(self) -> NDArray[np.float64]:
        """Northings of pixel centers, metres, from north to south."""
        return self.north - self.step_m * (np.arange(self.height, dtype=np.float64) + 0.5)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.height, self.width

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north, metres."""
        south = self.north - self.step_m * self.height
        return self.west, south, self.west + self.step_m * self.width, self.north

    def move(self, *, east_m: float, north_m: float) -> "PixelGrid":
        """Return the same grid elsewhere."""
        return replace(self, west=self.west + east_m, north=self.north + north_m)

    def refine(self, factor: int, *, halo_px: int) -> "PixelGrid":
        """Return a grid of `factor` times finer pixels, `halo_px` of these wider each side."""
        step = self.step_m / factor
        return PixelGrid(
            self.west - halo_px * step,
            self.north + halo_px * step,
            step,
            self.width * factor + 2 * halo_px,
            self.height * factor + 2 * halo_px,
        )

    def rows(self, start: int, stop: int) -> "PixelGrid":
        """Return rows `start` to `stop` (exclusive) as a grid of their own."""
        return replace(self, north=self.north - start * self.step_m, height=stop - start)


@dataclass(frozen=True, slots=True)
class SmoothField:
    """A periodic cubic B-spline surface, mean 0 and standard deviation 1 over its lattice."""

    coefficients: Floats
    """Spline coefficients `(y, x)` on a square lattice; row 0 is south."""
    spacing_m: float
    """Distance of lattice nodes, metres. The surface repeats after `spacing_m * n`."""

    def on(self, grid: PixelGrid) -> Floats:
        """Evaluate at the pixel centers of `grid`, shape `(height, width)`."""
        n = len(self.coefficients)
        rows = _spline_weights(grid.y / self.spacing_m, n)
        columns = _spline_weights(grid.x / self.spacing_m, n)
        along = rows @ self.coefficients
        return np.asarray((columns @ along.T).T)

    def at(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> Floats:
        """Evaluate at scattered points, metres; any equal shapes."""
        where = np.stack([y / self.spacing_m, x / self.spacing_m])
        found = map_coordinates(
            self.coefficients, where, order=3, prefilter=False, mode="grid-wrap"
        )
        return np.asarray(found, dtype=np.float32)


def _spline_weights(nodes: NDArray[np.float64], n: int) -> csr_array:
    """Sparse `(len(nodes), n)`: four cubic B-spline weights per position in lattice units."""
    start = np.floor(nodes).astype(np.int64)
    f = nodes - start
    g = 1 - f
    weights = np.stack([g**3, 4 - 6 * f**2 + 3 * f**3, 4 - 6 * g**2 + 3 * g**3, f**3], axis=1)
    index = (start[:, None] + np.arange(-1, 3)) % n
    rows = np.arange(0, 4 * len(nodes) + 1, 4)
    return csr_array(
        ((weights / 6).astype(np.float32).ravel(), index.ravel(), rows), shape=(len(nodes), n)
    )


def synthesize_field(
    rng: np.random.Generator,
    *,
    period_m: float,
    spacing_m: float,
    roughness: float,
    largest_m: float,
) -> SmoothField:
    """Draw a field whose power falls as `frequency ** -roughness` (spectral synthesis).

    Args:
        rng: Source of randomness.
        period_m: Least distance after which the field may repeat.
        spacing_m: Lattice spacing: nothing finer than about twice this exists.
        roughness: Exponent of the power spectrum; 0 is white, 3 is like terrain.
        largest_m: Wavelength above which the spectrum is flat.
    """
    n = int(np.ceil(period_m / spacing_m))
    white = rng.standard_normal((n, n), dtype=np.float32)
    fy = np.fft.fftfreq(n, d=spacing_m)[:, None]
    fx = rfftfreq(n, d=spacing_m)[None, :]
    frequency = np.hypot(np.hypot(fy, fx), 1 / largest_m)
    spectrum = rfft2(white) * frequency ** (-roughness / 2)
    spectrum[0, 0] = 0
    surface = irfft2(spectrum, s=(n, n))
    field = SmoothField((surface / surface.std()).astype(np.float32), spacing_m)
    nodes = field.on(PixelGrid(0.0, n * spacing_m, spacing_m, n, n))
    return SmoothField(field.coefficients / nodes.std(), spacing_m)
