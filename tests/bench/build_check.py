"""Are the outputs of the build benchmark equal? Every patch, band and date is compared."""

from pathlib import Path

import numpy as np

from stores.arrays import open_array, reading_context
from stores.objects import open_root
from stores.patch_store import PatchStore
from tests.bench.archive import EVERY, FIRST_DAY, place_of
from tests.bench.build_case import Case
from tests.bench.build_odc import OdcCase, OdcStore, naive_patch

WARP_PX = 0.125
"""How far GDAL's approximate coordinates may be off: two warps by one kernel differ by no more
than the image changes over this many pixels."""
_BATCH = 64


def slots_of(store: PatchStore) -> dict[tuple[int, int, int], int]:
    """Slot of each kept sample by (date, column, row)."""
    index = store.select()
    return {
        (round((row.anchor_time - FIRST_DAY) / EVERY), *place_of(row.west, row.north)): row.slot
        for row in index.itertuples()
    }


def compare(ours: np.ndarray, theirs: np.ndarray, *, warped: bool, name: str) -> None:
    """Assert that two sets of patches `(n, band, y, x)` agree where both are defined."""
    both = (ours != 0) & (theirs != 0)
    if both.mean() < 0.97:
        raise AssertionError(f"{name}: only {both.mean():.1%} of pixels are in both")
    gap = ours[both].astype(np.float64) - theirs[both]
    if not warped:
        if gap.any():
            raise AssertionError(f"{name}: {np.mean(gap != 0):.2%} differ, to {np.ptp(gap):g}")
        return
    rms, steps = _rms(gap), [_rms(np.diff(ours.astype(np.float64), axis=a)) for a in (2, 3)]
    if rms > WARP_PX * np.hypot(*steps) or abs(gap.mean()) > 1:
        raise AssertionError(f"{name}: RMS {rms:.2f} DN, mean {gap.mean():.2f} DN, {steps=}")


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def check_tuned(case: Case, store: Path, made: OdcStore) -> int:
    """Assert that a tuned store of odc-stac holds what ours holds; return the patches."""
    mine = PatchStore.open(store)
    slots = slots_of(mine)
    keys = sorted(key for key in slots if key in made.slots)
    root, context = open_root(made.folder), reading_context()
    for layer in ("landsat", "sentinel2"):
        array = open_array(root, layer, "pixels", context)
        for start in range(0, len(keys), _BATCH):
            some = keys[start : start + _BATCH]
            ours = mine.read(layer, [slots[key] for key in some]).raw
            theirs = array[[made.slots[key] for key in some]].read().result()
            warped = case.warped and layer == "landsat"
            compare(ours, theirs, warped=warped, name=f"{case.prefix}{layer} tuned")
    return len(keys)


def check_naive(case: Case, store: Path, odc: OdcCase, folder: Path) -> None:
    """The same of what `to_zarr` has written."""
    mine = PatchStore.open(store)
    slots = slots_of(mine)
    keys = sorted(key for key in slots if key[0] < odc.dates)
    for layer in ("landsat", "sentinel2"):
        for start in range(0, len(keys), _BATCH):
            some = keys[start : start + _BATCH]
            ours = mine.read(layer, [slots[key] for key in some]).raw
            theirs = np.stack([naive_patch(folder, odc, key, layer) for key in some])
            warped = case.warped and layer == "landsat"
            compare(ours, theirs, warped=warped, name=f"{case.prefix}{layer} naive")


def check_http(case: Case, one: PatchStore, other: PatchStore) -> None:
    """Assert that what came over HTTP is what lies on disk."""
    here, there = slots_of(one), slots_of(other)
    keys = sorted(there)[:_BATCH]
    for layer in ("landsat", "sentinel2"):
        a = one.read(layer, [here[key] for key in keys])
        b = other.read(layer, [there[key] for key in keys])
        if not (np.array_equal(a.raw, b.raw) and np.array_equal(a.valid, b.valid)):
            raise AssertionError(f"{case.prefix}{layer}: HTTP gave other pixels than the disk")
