"""How many cores torch may take."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def spared_cores() -> Iterator[None]:
    """Let torch use half of the cores, at least one, for as long as this lasts.

    Tensors of the coarse grid are small: on two cores a second thread gains a fifth (4.2
    steps/s became 5.0), and loses a factor of ten where anything else needs that core,
    because threads wait for each other at every layer. Fewer threads, if torch was told so
    (`OMP_NUM_THREADS`), stay fewer.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, min(before, (os.cpu_count() or 1) // 2)))
    try:
        yield
    finally:
        torch.set_num_threads(before)
