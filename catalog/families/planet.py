"""PlanetScope, from files that the user has a licence for."""

from catalog.families.bands import CLASS_FROM_ZERO, REFLECTANCE, reflectance_bands
from catalog.product import Archive, Band, Product, Quality

PLANETSCOPE_SR = Product(
    key="planetscope-sr",
    title="PlanetScope surface reflectance, the user's own deliveries",
    bands=(
        *reflectance_bands(
            (("blue", 3, 490), ("green", 3, 565), ("red", 3, 665), ("nir", 3, 865)),
            REFLECTANCE,
            source_scale=1e-4,
        ),
        Band(
            key="udm2",
            kind="quality",
            unit="1 = clear",
            gsd_m=3,
            encoding=CLASS_FROM_ZERO,
            source_nodata=None,
        ),
    ),
    quality=Quality(rule="planet-udm2", band="udm2"),
    archives={
        # Analytic SR of four bands: blue, green, red, near infrared.
        "files": Archive(
            collections=("PSScene",),
            assets={
                "blue": "analytic#1",
                "green": "analytic#2",
                "red": "analytic#3",
                "nir": "analytic#4",
                "udm2": "udm2#1",
            },
        ),
        # Of eight: coastal, blue, green I, green, yellow, red, red edge, near infrared.
        "files-8-band": Archive(
            collections=("PSScene",),
            assets={
                "blue": "analytic#2",
                "green": "analytic#4",
                "red": "analytic#6",
                "nir": "analytic#8",
                "udm2": "udm2#1",
            },
        ),
    },
    license="Planet's terms, as agreed with the user",
    attribution="Includes material (c) Planet Labs PBC",
    citation="Planet Imagery Product Specifications, PSScene analytic SR and UDM2 assets",
)
