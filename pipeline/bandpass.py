"""Band adjustment between Sentinel-2's MSI and Landsat's OLI: a straight line per band.

Coefficients of HLS v1.4 (Claverie et al. 2018, doi:10.1016/j.rse.2018.09.002, as
sen2like publishes them): `oli = gain * msi + offset` in surface reflectance.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line of reflectance: `gain * reflectance + offset`.

    Example:
        >>> line = Line(0.9778, -0.004)
        >>> line.of(0.1).round(5).item(), line.inverse().of(line.of(0.1)).round(5).item()
        (0.09378, 0.1)
    """

    gain: float = 1.0
    offset: float = 0.0

    def of(self, reflectance: npt.ArrayLike) -> npt.NDArray[np.floating[Any]]:
        """Return the line's values at reflectances, a number or an array."""
        return np.asarray(self.gain * np.asarray(reflectance) + self.offset)

    def then(self, later: "Line") -> "Line":
        """Return the line that applies this one first and `later` after it."""
        return Line(later.gain * self.gain, later.gain * self.offset + later.offset)

    def inverse(self) -> "Line":
        """Return the line that undoes this one: `1 / gain`, `-offset / gain`."""
        return Line(1 / self.gain, -self.offset / self.gain)


SAME = Line()
"""Changes nothing."""

MSI_TO_OLI: Mapping[str, Mapping[str, Line]] = MappingProxyType(
    {
        "sentinel-2a": MappingProxyType(
            {
                "coastal": Line(0.9959, -0.0002),
                "blue": Line(0.9778, -0.0040),
                "green": Line(1.0053, -0.0009),
                "red": Line(0.9765, 0.0009),
                "nir_narrow": Line(0.9983, -0.0001),
                "swir1": Line(0.9987, -0.0011),
                "swir2": Line(1.0030, -0.0012),
            }
        ),
        "sentinel-2b": MappingProxyType(
            {
                "coastal": Line(0.9959, -0.0002),
                "blue": Line(0.9778, -0.0040),
                "green": Line(1.0075, -0.0008),
                "red": Line(0.9761, 0.0010),
                "nir_narrow": Line(0.9966, 0.0000),
                "swir1": Line(1.0000, -0.0003),
                "swir2": Line(0.9867, 0.0004),
            }
        ),
    }
)
"""Platform -> band key of Sentinel-2 -> line. Red edge and the broad near infrared have no
counterpart on OLI, whose near infrared matches `nir_narrow`."""

Coefficients = Literal["own", "generic"]
"""Whether a platform's own line was used, or the mean of those that are published."""


def msi_to_oli(platform: str, band: str) -> tuple[Line, Coefficients] | None:
    """Return the line that makes a Sentinel-2 band look like OLI's; None if there is none.

    Args:
        platform: As items state it, for example `'sentinel-2a'`, in any case; a platform
            without published coefficients gets the mean of the others.
        band: Band key of Sentinel-2.

    Example:
        >>> msi_to_oli("Sentinel-2B", "green")
        (Line(gain=1.0075, offset=-0.0008), 'own')
        >>> msi_to_oli("sentinel-2c", "green")
        (Line(gain=1.0064, offset=-0.00085), 'generic')
        >>> msi_to_oli("sentinel-2a", "rededge1") is None
        True
    """
    own = MSI_TO_OLI.get(platform.lower().replace("_", "-"))
    if own is not None:
        return (own[band], "own") if band in own else None
    lines = [one[band] for one in MSI_TO_OLI.values() if band in one]
    if not lines:
        return None
    gain = float(np.mean([line.gain for line in lines]))
    offset = float(np.mean([line.offset for line in lines]))
    return Line(round(gain, 6), round(offset, 6)), "generic"


def oli_to_msi(platform: str, band: str) -> tuple[Line, Coefficients] | None:
    """Return the line that makes an OLI band look like a Sentinel-2 platform's; None if none.

    Args:
        platform: The Sentinel-2 platform to look like; unknown ones give the mean.
        band: Band key of Landsat; `'nir'` becomes Sentinel-2's `'nir_narrow'`.
    """
    found = msi_to_oli(platform, "nir_narrow" if band == "nir" else band)
    return None if found is None else (found[0].inverse(), found[1])


def recode(
    raw: npt.NDArray[np.integer[Any]],
    line: Line,
    *,
    source: tuple[float, float],
    target: tuple[float, float],
) -> npt.NDArray[np.uint16]:
    """Return raw values of another encoding, adjusted on the way, rounded once.

    Whole numbers stay exact where nothing but a whole number is added.

    Args:
        raw: Values as the file holds them; 0 is nodata and stays 0.
        line: What happens to the reflectance.
        source: Scale and offset of `raw`: `reflectance = raw * scale + offset`.
        target: Scale and offset of the result, which holds 1 to 65,535 where there are data.
    """
    to_reflectance = Line(*source)
    whole = to_reflectance.then(line).then(Line(*target).inverse())
    shift = round(whole.offset)
    if abs(whole.gain - 1) < 1e-9 and abs(whole.offset - shift) < 1e-3:
        values = raw.astype(np.int64) + shift
    else:
        values = np.rint(whole.of(raw.astype(np.float64))).astype(np.int64)
    coded = np.clip(values, 1, np.iinfo(np.uint16).max)
    return np.where(raw == 0, 0, coded).astype(np.uint16)
