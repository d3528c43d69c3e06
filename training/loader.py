"""Samples of a store as batches of tensors, in an order that depends on a seed alone.

Batch number n is a function of (seed, n): its samples, crops, turns and noise seeds do not
depend on what was read before. So resuming in the middle of an epoch is asking for the next
number, and processes that share a batch take their share of it.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pandas as pd
import torch

from catalog.errors import StoreError
from stores.arrays import Patches
from stores.patch_store import PatchStore
from stores.schema import LayerSchema
from training.batch import Batch, Bools, Condition, Floats, Layer, View, fill_nearest, season_of
from training.inputs import Inputs

READ_AHEAD = 4
"""Batches prepared ahead of the optimizer."""


def usable_samples(store: PatchStore, inputs: Inputs, *, split: str) -> pd.DataFrame:
    """Return the rows of a split that have both condition and target, sorted by sample id."""
    rows = store.select(split=split)
    both = rows[f"{inputs.condition}_present"] & rows[f"{inputs.target}_present"]
    return pd.DataFrame(rows[both]).sort_values("sample_id", ignore_index=True)


class SampleReader:
    """Reads chosen samples of a store, by their position in a table."""

    def __init__(
        self, source: PatchStore, samples: pd.DataFrame, inputs: Inputs, *, ram_bytes: float
    ) -> None:
        """Hold the samples in memory if they take at most `ram_bytes`.

        Args:
            source: The store.
            samples: Rows of its index with pixels; columns `sample_id`, `slot` and the
                condition's time are used.
            inputs: Layers and bands to read.
            ram_bytes: Bound on held samples; 0 always reads from the store.

        Raises:
            StoreError: If there are no samples.
        """
        if samples.empty:
            raise StoreError(
                f"the store has no such sample with both {inputs.condition!r} and "
                f"{inputs.target!r}; widen its recipe, or give the split a larger share"
            )
        self.inputs = inputs
        self.layers = {name: source.schema.layer(name) for name in inputs.layers}
        self.sample_ids = tuple(map(str, samples["sample_id"]))
        self.slots = [int(slot) for slot in samples["slot"]]
        self.season = season_of(list(samples[f"{inputs.condition}_time"]))
        self._source = source
        self._held = self._read(range(len(self))) if self.size_bytes <= ram_bytes else None

    def __len__(self) -> int:
        return len(self.slots)

    @property
    def size_bytes(self) -> int:
        """Memory that all samples take as stored."""
        per_sample = sum(
            layer.size_px**2 * (len(layer.bands) * np.dtype(layer.dtype).itemsize + 1)
            for layer in self.layers.values()
        )
        return per_sample * len(self)

    @property
    def side_m(self) -> float:
        """Side of a patch."""
        layer = self.layers[self.inputs.condition]
        return layer.size_px * layer.gsd_m

    def read(
        self, positions: Sequence[int], views: Sequence[View], seeds: Sequence[int]
    ) -> Batch:
        """Return the samples at `positions`, each seen through its view."""
        held = self._held
        patches = self._read(positions) if held is None else held
        rows = range(len(positions)) if held is None else positions
        stacks = {
            name: _stack(
                [
                    self._cut(layer, patches[name], row, view)
                    for row, view in zip(rows, views, strict=True)
                ]
            )
            for name, layer in self.layers.items()
        }
        condition = Condition(
            image=stacks[self.inputs.condition],
            season=torch.from_numpy(self.season[list(positions)]),
            extras={n: stacks[n] for n in self.inputs.extras},
        )
        return Batch(
            sample_ids=tuple(self.sample_ids[p] for p in positions),
            condition=condition,
            target=stacks[self.inputs.target],
            seeds=tuple(seeds),
        )

    def whole(self, positions: Sequence[int]) -> Batch:
        """Return whole, unturned patches."""
        return self.read(positions, [View()] * len(positions), [0] * len(positions))

    def _read(self, positions: Sequence[int]) -> dict[str, Patches]:
        slots = [self.slots[p] for p in positions]
        return {name: self._source.read(name, slots) for name in self.layers}

    def _cut(
        self, layer: LayerSchema, patches: Patches, row: int, view: View
    ) -> tuple[Floats, Bools]:
        raw, valid = patches.raw[row], patches.valid[row]
        if layer.name not in self.inputs.extras:
            raw = raw[[layer.band_keys.index(k) for k in self.inputs.bands]]
        valid = view.apply(valid, layer.gsd_m)
        physical = layer.to_physical(view.apply(raw, layer.gsd_m), valid)
        usable = valid & np.isfinite(physical).all(axis=0)
        if layer.name == self.inputs.condition:
            return fill_nearest(physical, usable), usable
        return np.where(usable, physical, np.float32(0)), usable


def _stack(cuts: Sequence[tuple[Floats, Bools]]) -> Layer:
    pixels = np.stack([pixels for pixels, _ in cuts])
    valid = np.stack([valid for _, valid in cuts])[:, np.newaxis]
    return Layer(pixels=torch.from_numpy(pixels), valid=torch.from_numpy(valid))


class BatchStream:
    """An endless, numbered sequence of training batches."""

    def __init__(
        self, reader: SampleReader, *, batch_size: int, crop_px: int, seed: int
    ) -> None:
        """Cut random crops from random samples.

        Args:
            reader: Where samples come from.
            batch_size: Samples per batch.
            crop_px: Side of a crop in pixels of the target; rounded down to whole pixels of
                the coarsest layer, and to the size of the patch.
            seed: Decides order, crops, turns and noise seeds.

        Raises:
            StoreError: If a pixel of the coarsest layer is not a whole number of pixels of
                every other.
        """
        self.reader = reader
        self.batch_size = batch_size
        self.seed = seed
        gsds = {name: layer.gsd_m for name, layer in reader.layers.items()}
        self.unit_m = max(gsds.values())
        uneven = {n: g for n, g in gsds.items() if self.unit_m % g > 1e-6}
        if uneven:
            raise StoreError(
                f"crops need pixels that nest: the coarsest are {self.unit_m:g} m, not a whole "
                f"multiple of {uneven!r}; leave a layer out, or rebuild it with another gsd_m"
            )
        wanted_m = min(crop_px * gsds[reader.inputs.target], reader.side_m)
        self.side_m = max(1, int(wanted_m // self.unit_m)) * self.unit_m

    def batch(self, number: int, share: slice = slice(None)) -> Batch:
        """Return batch `number`, or the share of it that one process computes.

        Every sample comes once per epoch; an epoch may end within a batch.
        """
        places = range(number * self.batch_size, (number + 1) * self.batch_size)[share]
        positions, views, seeds = zip(*map(self._place, places), strict=True)
        return self.reader.read(positions, views, seeds)

    def batches(self, start: int, share: slice = slice(None)) -> Iterator[Batch]:
        """Yield batches from number `start` on, prepared ahead in one thread."""
        with ThreadPoolExecutor(max_workers=1) as pool:
            ahead: deque[Future[Batch]] = deque()
            number = start
            try:
                while True:
                    while len(ahead) < READ_AHEAD:
                        ahead.append(pool.submit(self.batch, number, share))
                        number += 1
                    yield ahead.popleft().result()
            finally:
                for future in ahead:
                    future.cancel()

    def _place(self, place: int) -> tuple[int, View, int]:
        """Return sample, view and noise seed of one place in the endless sequence."""
        epoch, index = divmod(place, len(self.reader))
        order = np.random.default_rng((self.seed, 0, epoch)).permutation(len(self.reader))
        rng = np.random.default_rng((self.seed, 1, place))
        choices = round((self.reader.side_m - self.side_m) / self.unit_m) + 1
        west, north = (int(v) * self.unit_m for v in rng.integers(choices, size=2))
        view = View(west_m=west, north_m=north, side_m=self.side_m, turn=int(rng.integers(8)))
        return int(order[index]), view, int(rng.integers(2**62))
