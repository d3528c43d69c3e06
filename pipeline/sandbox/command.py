"""The simulated archives of one machine: rendered if they are missing, then served."""

import json
import socket
import threading
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from catalog.errors import RecipeError
from pipeline.sandbox.gridded import G5NR_FOLDER, MERRA2_FOLDER, write_gridded
from pipeline.sandbox.gridded_archive import CmrResponder, IndexResponder
from pipeline.sandbox.schedule import FULL, SandboxConfig
from pipeline.sandbox.serve.archive import SandboxServer
from pipeline.sandbox.serve.earth_engine import EarthEngineResponder
from pipeline.sandbox.write import count_scenes, write_sandbox

GRIDDED = "gridded"
"""Folder of MERRA-2 and G5NR files, below the sandbox's own."""
_MARKER = "config.json"

OnScene = Callable[[int, int], None]
"""Told how many of how many scenes are rendered."""


@dataclass(frozen=True, slots=True)
class World:
    """Simulated archives behind one port, until the end of its `with` block."""

    folder: Path
    server: SandboxServer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.server.close()

    def describe(self) -> str:
        """Return where everything is, for a terminal."""
        url = self.server.url
        return "\n".join(
            (
                f"STAC API      {self.server.stac_url}",
                f"Earth Engine  {url}/ee",
                f"tokens        PC_SDK_SAS_URL={self.server.token_url}",
                f"requests      {url}/counts",
                f"PlanetScope   {self.folder / 'planetscope'}",
                f"MERRA-2       {url}/cmr, {self.folder / GRIDDED / MERRA2_FOLDER}",
                f"G5NR          {url}/g5nr, {self.folder / GRIDDED / G5NR_FOLDER}",
                "serving until Ctrl-C",
            )
        )

    def wait(self) -> None:
        """Serve until the user interrupts."""
        threading.Event().wait()


def render_world(
    folder: Path,
    *,
    config: SandboxConfig = FULL,
    on_scene: OnScene = lambda _done, _all: None,
) -> None:
    """Render all simulated archives below `folder`, unless they are there.

    Raises:
        RecipeError: If the folder holds something else.
    """
    marker = folder / _MARKER
    wanted = json.dumps(asdict(config), default=str, sort_keys=True)
    if marker.exists() and marker.read_text() == wanted:
        return
    if folder.exists() and any(folder.iterdir()) and not (folder / "items.json").exists():
        raise RecipeError(f"{folder} holds something else; give a new or empty folder")
    total, done = count_scenes(config), 0

    def note(_scene: str) -> None:
        nonlocal done
        done += 1
        on_scene(done, total)

    write_sandbox(folder, config=config, on_scene=note)
    write_gridded(folder / GRIDDED, config)
    marker.write_text(wanted)


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        # As the server itself does: a port in its last wait is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as err:
            raise RecipeError(
                f"port {port} of this machine is taken; end what uses it, or give another one "
                f"with --port and the same number in a copy of the recipe"
            ) from err


def serve_world(
    folder: Path,
    port: int = 0,
    *,
    signed: Collection[str] = (),
    token_life_s: float = 60.0,
    faults: float = 0.0,
) -> World:
    """Serve the archives that `render_world` wrote; the caller closes what is returned.

    Args:
        folder: Of the archives.
        port: Where to listen on loopback; 0 for any free port.
        signed: Collections whose files need a token.
        token_life_s: Life of a token, seconds.
        faults: Share of requests answered 429 or 503, 0 to 1.

    Raises:
        RecipeError: If the port is taken.
    """
    _require_free(port)
    server = SandboxServer(
        folder,
        port,
        signed=signed,
        token_life_s=token_life_s,
        mounts={
            "/ee": EarthEngineResponder(folder),
            "/cmr": CmrResponder(folder / GRIDDED / MERRA2_FOLDER),
            "/g5nr": IndexResponder(folder / GRIDDED / G5NR_FOLDER),
        },
    )
    if faults:
        server.faults.fail_share(faults)
    return World(folder, server)
