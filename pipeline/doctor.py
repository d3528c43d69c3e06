"""What this machine has and lacks for each part of the work."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil
import rasterio
from rich.console import RenderableType
from rich.table import Table

from catalog.errors import QueryError
from catalog.providers.local import find_server
from pipeline.credentials import LOGINS, Login

State = Literal["ok", "optional", "missing"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at."""

    what: str
    state: State
    """`'optional'`: absent, and only some commands need it."""
    said: str
    """What was found, or what to do."""

    def facts(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return {"what": self.what, "state": self.state, "said": self.said}


def run_checks() -> list[Check]:
    """Look at Python, GDAL, the STAC server, the model half, disk, memory and logins."""
    checks: Iterable[Callable[[], Check]] = (
        _python,
        _gdal,
        _stac_server,
        _model_half,
        _memory,
        _disk,
    )
    return [*(check() for check in checks), *(_login(login) for login in LOGINS)]


def describe_checks(checks: Iterable[Check]) -> RenderableType:
    """Return the checks as a table for a terminal."""
    style = {"ok": "green", "optional": "yellow", "missing": "bold red"}
    table = Table(show_header=False, box=None, pad_edge=False)
    for check in checks:
        table.add_row(check.what, f"[{style[check.state]}]{check.state}[/]", check.said)
    return table


def _python() -> Check:
    found = ".".join(str(n) for n in sys.version_info[:3])
    state: State = "ok" if sys.version_info >= (3, 11) else "missing"
    return Check("Python", state, f"{found}; 3.11 or newer is needed")


def _gdal() -> Check:
    with rasterio.Env() as env:
        drivers = env.drivers()
    lacking = [name for name in ("GTiff", "COG") if name not in drivers]
    if lacking:
        return Check("GDAL", "missing", f"drivers {', '.join(lacking)}: reinstall rasterio")
    return Check("GDAL", "ok", f"{rasterio.__gdal_version__} with GTiff and COG")


def _stac_server() -> Check:
    try:
        return Check("STAC server", "ok", f"{find_server()}, for local archives")
    except QueryError as err:
        return Check("STAC server", "missing", str(err))


def _model_half() -> Check:
    wanted = ("torch", "diffusers", "accelerate", "safetensors")
    lacking = [name for name in wanted if importlib.util.find_spec(name) is None]
    if lacking:
        advice = "pip install 'geoloupe[train]' for train, predict, evaluate and demo"
        return Check("model half", "optional", f"lacks {', '.join(lacking)}: {advice}")
    return Check("model half", "ok", "torch, diffusers, accelerate, safetensors")


def _memory() -> Check:
    total = psutil.virtual_memory().total / 2**30
    cores = len(os.sched_getaffinity(0))
    state: State = "ok" if total >= 2 * cores else "missing"
    return Check("memory", state, f"{total:.0f} GiB for {cores} workers; 2 GiB each is enough")


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    state: State = "ok" if free >= 3 else "missing"
    return Check("disk", state, f"{free:.0f} GiB free here; the demo needs 1, its packages 2")


def _login(login: Login) -> Check:
    if login.is_found():
        return Check(login.what, "ok", "found")
    return Check(login.what, "optional", f"{login.advice}; see {login.page}")
