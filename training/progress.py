"""What a training shows while it runs: a progress line and TensorBoard scalars."""

import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from accelerate import Accelerator
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from torch.utils.tensorboard import SummaryWriter

from training.config import TrainConfig


class Reporter:
    """Shows loss, rate and speed on the main process; elsewhere it is silent."""

    def __init__(
        self,
        out: Path,
        config: TrainConfig,
        first_step: int,
        console: Console | None,
        accelerator: Accelerator,
    ) -> None:
        """Prepare to report; shows nothing before it is entered."""
        self._out = out / "tensorboard"
        self._batch_size = config.batch_size
        self._silent = not accelerator.is_main_process
        self._last = (time.perf_counter(), first_step)
        self._first_step = first_step
        self._stack = ExitStack()
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}% step {task.fields[step]}"),
            TextColumn("loss {task.fields[loss]:.4f}"),
            TextColumn("{task.fields[speed]:.1f} samples/s"),
            TimeElapsedColumn(),
            console=console or Console(stderr=True),
            disable=self._silent,
        )
        self._task = self._bar.add_task(
            "training", total=1.0, step=first_step, loss=float("nan"), speed=0.0
        )

    def __enter__(self) -> Self:
        if not self._silent:
            self._writer = SummaryWriter(str(self._out), purge_step=self._first_step + 1)
            self._stack.callback(self._writer.close)
        self._stack.enter_context(self._bar)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def report(self, step: int, progress: float, loss: float, rate: float) -> None:
        """Show the state after a step.

        Args:
            step: Optimizer steps taken.
            progress: Share of the budget that is spent, 0 to 1.
            loss: Of the last batch.
            rate: Learning rate of the last step.
        """
        if self._silent:
            return
        now, (then, before) = time.perf_counter(), self._last
        speed = (step - before) * self._batch_size / max(now - then, 1e-9)
        self._last = (now, step)
        scalars = {"loss": loss, "learning_rate": rate, "samples_per_second": speed}
        for name, value in scalars.items():
            self._writer.add_scalar(f"train/{name}", value, step)
        self._bar.update(self._task, completed=progress, step=step, loss=loss, speed=speed)
