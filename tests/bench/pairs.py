"""Print what co-registration and the haze check say of the real pairs of West Flanders.

`python -m tests.bench.pairs ../shared/real` prints the table of `docs/coregistration.md`. Two
stores are built from the same scenes, one with the steps and one without, and each kept pair
is compared on the 30 m grid where all three patches are usable.
"""

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pipeline.plan import make_plan
from pipeline.recipe import load_recipe
from pipeline.run import build_store
from stores.patch_store import PatchStore

BANDS = ("red", "nir")
"""Compared."""
_BLUR_M = 10.0
"""What makes a 30 m mean of Sentinel-2 as soft as a Landsat pixel: a box of 30 m whose edges
rise by 0.027 per metre (OLI requirement) is blurred by 11.4 m, Sentinel-2 itself by 5 m."""
_NOW = datetime(2021, 1, 1, tzinfo=UTC)
_RECIPE = """
name = "pairs"
period = ["2017-08-01", "2018-12-01"]
anchor = "landsat"
window_days = 7
source = "{source}"

[area]
bbox = [3.0195, 50.8133, 3.0284, 50.8187]

[grid]
gsd_m = 10
size_px = 60
origin_m = [501375, 5629065]

[layers.landsat]
product = "landsat-c2-l2"
bands = ["blue", "green", "red", "nir"]
gsd_m = 30
min_valid = 0.9

[layers.sentinel2]
product = "sentinel-2-l2a"
bands = ["blue", "green", "red", "nir"]
gsd_m = 10
min_valid = 0.85
"""
_STEPS = """
[harmonize]
like = "oli"

[coregister]

[haze]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RealPair:
    """One kept pair of the real archive, before and after."""

    anchor_time: datetime
    companion_time: datetime
    accepted: bool
    east_m: float
    north_m: float
    confidence: float
    residual_m: float
    before: tuple[float, float]
    """Correlation of red and of near infrared at 30 m, as the scenes lie."""
    after: tuple[float, float]
    """The same after correction."""
    words: str
    haze: str

    def row(self) -> str:
        """Return its line of the table."""
        gap = (self.companion_time - self.anchor_time).total_seconds() / 86400
        shift = f"{self.east_m:+.1f} | {self.north_m:+.1f}" if self.accepted else "- | -"
        told = " | ".join(
            f"{b:.3f} | {a:.3f}" for b, a in zip(self.before, self.after, strict=True)
        )
        result = "corrected" if self.accepted else self.words.rpartition("refused, ")[2]
        return (
            f"| {self.anchor_time:%Y-%m-%d} | {gap:+.1f} | {shift} | {self.confidence:.2f} | "
            f"{self.residual_m:.1f} | {told} | {result} | {self.haze} |"
        )


HEAD = """\
| Landsat | days to Sentinel-2 | east, m | north, m | confidence | residual, m | red before | \
red after | NIR before | NIR after | shift | visible bands |
|---|---|---|---|---|---|---|---|---|---|---|---|"""


def real_pairs(archive: Path, folder: Path) -> list[RealPair]:
    """Build both stores below `folder` and compare their pairs, in order of time.

    Args:
        archive: The folder of real scenes.
        folder: Where the stores go; must exist.
    """
    plain = build_pairs(folder / "plain", archive, "")
    moved = build_pairs(folder / "moved", archive, _STEPS)
    return list(_compare(plain, moved))


def build_pairs(folder: Path, archive: Path, steps: str) -> PatchStore:
    """Build the store of the real pairs in a new folder.

    Args:
        folder: Of the store; must not exist.
        archive: The folder of real scenes.
        steps: Sections of the recipe that say what is done to pixels.
    """
    folder.mkdir()
    path = folder / "pairs.toml"
    path.write_text(_RECIPE.format(source=archive.resolve()) + steps)
    recipe = load_recipe(path)
    build_store(recipe, folder / "store", lambda: make_plan(recipe, _NOW), connect=None)
    return PatchStore.open(folder / "store")


def _compare(plain: PatchStore, moved: PatchStore) -> Iterator[RealPair]:
    before = {row["sample_id"]: row for _, row in plain.select().iterrows()}
    for _, row in moved.select().sort_values("anchor_time").iterrows():
        other = before.get(row["sample_id"])
        if other is None or other["sentinel2_scenes"] != row["sentinel2_scenes"]:
            continue
        anchor, first, second = (
            _coarse(moved, "landsat", row),
            _coarse(plain, "sentinel2", other),
            _coarse(moved, "sentinel2", row),
        )
        usable = np.isfinite(anchor + first + second).all(axis=0)
        yield RealPair(
            anchor_time=row["anchor_time"],
            companion_time=row["sentinel2_time"],
            accepted="shift: corrected" in row["sentinel2_changes"],
            east_m=row["sentinel2_shift_east_m"],
            north_m=row["sentinel2_shift_north_m"],
            confidence=row["sentinel2_shift_confidence"],
            residual_m=row["sentinel2_shift_residual_m"],
            before=_correlations(anchor, first, usable),
            after=_correlations(anchor, second, usable),
            words=row["sentinel2_changes"],
            haze=row["sentinel2_haze"],
        )


def _coarse(store: PatchStore, layer: str, row: Any) -> npt.NDArray[np.floating[Any]]:
    """Red and near infrared of a stored patch at 30 m, raw; NaN where not usable."""
    patches = store.read(layer, [row["slot"]])
    raw = np.where(patches.valid[0], patches.raw[0][[2, 3]].astype(float), np.nan)
    k = raw.shape[-1] // 20
    if k > 1:
        raw = _blur(raw, _BLUR_M / 10)
    return np.asarray(raw.reshape(2, 20, k, 20, k).mean(axis=(2, 4)))


def _blur(
    image: npt.NDArray[np.floating[Any]], sigma_px: float
) -> npt.NDArray[np.floating[Any]]:
    """Gaussian blur of what is usable, each pixel with its usable neighbors."""
    known = np.isfinite(image)
    sigma = (0, sigma_px, sigma_px)
    weight = ndimage.gaussian_filter(known.astype(float), sigma)
    total = ndimage.gaussian_filter(np.where(known, image, 0.0), sigma)
    return np.where(known, total / np.maximum(weight, 1e-9), np.nan)


def _correlations(
    first: npt.NDArray[np.floating[Any]],
    second: npt.NDArray[np.floating[Any]],
    usable: npt.NDArray[np.bool_],
) -> tuple[float, float]:
    red, nir = (
        float(np.corrcoef(a[usable], b[usable])[0, 1])
        for a, b in zip(first, second, strict=True)
    )
    return red, nir


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        pairs = real_pairs(Path(sys.argv[1]), Path(folder))
    sys.stdout.write("\n".join([HEAD, *(pair.row() for pair in pairs)]) + "\n")


if __name__ == "__main__":
    main()
