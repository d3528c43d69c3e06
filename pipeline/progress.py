"""Progress of a search and a build, drawn with rich."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from pipeline.execute import TaskReport


class _Shown:
    """A set of bars that shows for as long as its block lasts."""

    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[said]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        err: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()


class SceneProgress(_Shown):
    """Shows how many scenes of the sandbox are rendered."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._scenes: TaskID | None = None

    def on_scene(self, done: int, total: int) -> None:
        """Note that `done` of `total` scenes are rendered."""
        if self._scenes is None:
            self._scenes = self._bar.add_task("render scenes", total=total, said="")
        self._bar.update(self._scenes, completed=done)


class BuildProgress(_Shown):
    """Shows a build as it goes: samples/s, MB read, kept and rejected, time left.

    Its methods fit the `on_...` parameters of `make_plan` and `build_store`.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._searches: TaskID | None = None
        self._build: TaskID | None = None
        self._started = time.monotonic()
        self._kept = self._rejected = self._decoded_bytes = 0

    def on_search(self, product: str, count: int) -> None:
        """Note one finished search."""
        if self._searches is None:
            self._searches = self._bar.add_task("search", total=None, said="")
        self._bar.update(self._searches, advance=1, said=f"{product}: {count} scenes")

    def on_start(self, tasks: int, samples: int) -> None:
        """Note that `tasks` with `samples` are about to be done."""
        if self._searches is not None:
            self._bar.remove_task(self._searches)
            self._searches = None
        if tasks:
            self._build = self._bar.add_task("build", total=samples, said="starting workers")
        self._started = time.monotonic()

    def on_report(self, report: TaskReport) -> None:
        """Note one finished task."""
        lost = sum(report.rejected.values())
        self._kept += report.kept
        self._rejected += lost
        self._decoded_bytes += report.decoded_bytes
        if self._build is not None:
            self._bar.update(self._build, advance=report.kept + lost, said=self._rate())

    def _rate(self) -> str:
        seconds = max(time.monotonic() - self._started, 1e-3)
        per_s = (self._kept + self._rejected) / seconds
        read = self._decoded_bytes / 1e6
        return (
            f"{per_s:.0f} samples/s · {read:,.0f} MB read · "
            f"{self._kept} kept, {self._rejected} rejected"
        )


class StepProgress(_Shown):
    """Shows how many steps of each cube are read."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._cubes: dict[str, TaskID] = {}

    def on_step(self, cube: str, done: int, of: int) -> None:
        """Note that `done` of `of` steps of a cube are read."""
        if cube not in self._cubes:
            self._cubes[cube] = self._bar.add_task(cube, total=of, said="steps")
        self._bar.update(self._cubes[cube], completed=done)
