"""Rows of the product table: bands that share a kind, a unit and an encoding."""

from catalog.product import Band, Encoding

FLOAT = Encoding(dtype="float32")
CLASS = Encoding(dtype="uint8")
"""Codes from 1; a store keeps 0 for nodata."""
CLASS_FROM_ZERO = Encoding(dtype="uint8", offset=-1.0)
"""Codes and bits from 0 to 254, kept as 1 to 255."""
LANDSAT_REFLECTANCE = Encoding(dtype="uint16", scale=2.75e-5, offset=-0.2)
"""As USGS delivers it: -0.19997 to 1.6022."""
REFLECTANCE = Encoding(dtype="uint16", scale=1e-4, offset=-0.1)
"""-0.0999 to 6.4535: room for what atmospheric correction makes negative, and for clouds."""

Row = tuple[str, float, float]
"""Key, ground sampling distance in metres, center wavelength in nanometres."""


def reflectance_bands(
    rows: tuple[Row, ...],
    encoding: Encoding,
    *,
    source_scale: float = 1.0,
    source_offset: float = 0.0,
    source_nodata: float | None = 0.0,
) -> tuple[Band, ...]:
    """Return reflectance bands that share a store's encoding and a provider's scaling."""
    return tuple(
        Band(
            key=key,
            kind="reflectance",
            unit="1",
            gsd_m=gsd_m,
            wavelength_nm=wavelength_nm,
            encoding=encoding,
            source_scale=source_scale,
            source_offset=source_offset,
            source_nodata=source_nodata,
        )
        for key, gsd_m, wavelength_nm in rows
    )


def backscatter_bands(nodata: float) -> tuple[Band, ...]:
    """Return VV and VH of Sentinel-1 IW scenes, linear power."""
    return tuple(
        Band(
            key=key,
            kind="backscatter",
            unit="linear power",
            gsd_m=10,
            encoding=FLOAT,
            source_nodata=nodata,
        )
        for key in ("vv", "vh")
    )


def elevation_band(gsd_m: float, *, nodata: float) -> Band:
    """Return the one band of an elevation model, metres."""
    return Band(
        key="elevation",
        kind="elevation",
        unit="m",
        gsd_m=gsd_m,
        encoding=FLOAT,
        source_nodata=nodata,
    )


def atmosphere_bands(
    rows: tuple[tuple[str, str], ...], *, gsd_m: float, nodata: float
) -> tuple[Band, ...]:
    """Return fields of an atmosphere model from (key, unit)."""
    return tuple(
        Band(
            key=key,
            kind="atmosphere",
            unit=unit,
            gsd_m=gsd_m,
            encoding=FLOAT,
            source_nodata=nodata,
        )
        for key, unit in rows
    )
