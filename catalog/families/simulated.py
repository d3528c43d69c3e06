"""What the sandbox knows of its own ground."""

from catalog.families.bands import REFLECTANCE, reflectance_bands
from catalog.product import Archive, Product, Quality

SANDBOX_TRUTH = Product(
    key="sandbox-truth",
    title="Sandbox truth: 10 m surface reflectance, without cloud, noise or misregistration",
    bands=reflectance_bands(
        (
            ("blue", 10, 492),
            ("green", 10, 560),
            ("red", 10, 665),
            ("nir", 10, 833),
            ("swir1", 10, 1614),
            ("swir2", 10, 2202),
        ),
        REFLECTANCE,
        source_scale=1e-4,
    ),
    quality=Quality(rule="nodata-only"),
    archives={
        "stac": Archive(
            collections=("sandbox-truth",),
            assets={k: k for k in ("blue", "green", "red", "nir", "swir1", "swir2")},
        )
    },
    license="Apache-2.0",
    attribution="geoloupe sandbox, simulated",
    citation="pipeline/sandbox/sensors.py",
)
