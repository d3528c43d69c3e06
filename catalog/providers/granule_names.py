"""Names of gridded files: which collection a file belongs to, and the times of its steps."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

_MERRA2 = re.compile(
    r"MERRA2_(?P<stream>\d{3})\.(?P<kind>tavg1_2d_(?P<group>[a-z]{3})_Nx)\.(?P<day>\d{8})"
    r"(?:\.SUB)?(?:\.nc4?)+",
)
"""GMAO Office Note 9, section 4; `.SUB` and a second suffix come from NASA's subsetters."""
_G5NR = re.compile(
    r"c1440_NR\.(?P<kind>(?P<averaged>inst|tavg)30mn_2d_[a-z]+\d?_Nx)\."
    r"(?P<day>\d{8})_(?P<hour>\d{4})z(?:\.SUB)?(?:\.nc4?)+",
)
"""GMAO Office Note 6, section 3: one file per time."""

G5NR_FIRST = date(2005, 5, 15)
G5NR_LAST = date(2007, 6, 16)
"""First and last day of the simulation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Granule:
    """One file of gridded fields, as its name describes it."""

    name: str
    """Stem of the name: without what subsetters append, and without suffix."""
    collection: str
    """`M2T1NX...` for MERRA-2; `inst30mn_2d_..._Nx` for G5NR."""
    platform: str
    first: datetime
    """Time of the first step, aware UTC: the middle of the hour for hourly means."""
    step: timedelta
    steps: int
    stream: int
    """Of two files of the same day, that of the higher stream is the newer processing."""

    @property
    def key(self) -> tuple[str, datetime]:
        """Collection and time: what only one file of an archive should hold."""
        return self.collection, self.first

    def times(self) -> Iterator[tuple[int, datetime]]:
        """Yield the number of each time step, from 1, and its time."""
        for number in range(self.steps):
            yield number + 1, self.first + number * self.step


def read_name(name: str) -> Granule | None:
    """Return what a file name says; None if it is no name of MERRA-2 or G5NR files.

    Example:
        >>> granule = read_name("MERRA2_400.tavg1_2d_aer_Nx.20210110.nc4")
        >>> granule.collection, granule.steps, granule.first.isoformat()
        ('M2T1NXAER', 24, '2021-01-10T00:30:00+00:00')
        >>> read_name("c1440_NR.inst30mn_2d_aer1_Nx.20060601_0030z.nc4").collection
        'inst30mn_2d_aer1_Nx'
    """
    try:
        return _read_merra2(name) or _read_g5nr(name)
    except ValueError:  # eight digits that are no day
        return None


def _read_merra2(name: str) -> Granule | None:
    match = _MERRA2.fullmatch(name)
    if match is None:
        return None
    day = datetime.strptime(match["day"], "%Y%m%d").replace(tzinfo=UTC)
    return Granule(
        name=f"MERRA2_{match['stream']}.{match['kind']}.{match['day']}",
        collection=f"M2T1NX{match['group'].upper()}",
        platform="merra-2",
        first=day + timedelta(minutes=30),
        step=timedelta(hours=1),
        steps=24,
        stream=int(match["stream"]),
    )


def _read_g5nr(name: str) -> Granule | None:
    match = _G5NR.fullmatch(name)
    if match is None:
        return None
    time = datetime.strptime(match["day"] + match["hour"], "%Y%m%d%H%M").replace(tzinfo=UTC)
    return Granule(
        name=f"c1440_NR.{match['kind']}.{match['day']}_{match['hour']}z",
        collection=match["kind"],
        platform="g5nr",
        first=time,
        step=timedelta(minutes=30),
        steps=1,
        stream=0,
    )
