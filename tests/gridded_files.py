"""Sandbox files of gridded fields, and their archives on loopback, for tests."""

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path

import pytest

from pipeline.sandbox.gridded import write_gridded
from pipeline.sandbox.gridded_archive import CmrResponder, IndexResponder
from pipeline.sandbox.schedule import TINY
from pipeline.sandbox.serve.http import Answer, Call, LoopbackServer, Responder

DAYS = (date(2021, 6, 1), date(2021, 6, 2))
NATURE_DAY = date(2006, 6, 1)


class MountServer(LoopbackServer):
    """Several responders, each below a path of its own."""

    def __init__(self, mounts: Mapping[str, Responder]) -> None:
        self.mounts = dict(mounts)
        super().__init__()

    def respond(self, call: Call) -> Answer:
        for prefix, responder in self.mounts.items():
            if call.path.startswith(f"{prefix}/"):
                inner = call.path.removeprefix(prefix)
                root = f"{self.url}{prefix}"
                return responder.respond(
                    Call(call.method, inner, call.query, call.headers, call.body, root)
                )
        return 404, {}, b"nothing there"


@pytest.fixture(scope="session")
def gridded_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days of MERRA-2-like files, one of G5NR-like ones."""
    out = tmp_path_factory.mktemp("gridded")
    write_gridded(out, TINY, days=DAYS, nature_days=[NATURE_DAY])
    return out


@pytest.fixture
def gridded_server(gridded_folder: Path) -> Iterator[MountServer]:
    """The archives of both, at `/cmr/` and `/g5nr`."""
    server = MountServer(
        {
            "/cmr": CmrResponder(gridded_folder / "merra2"),
            "/g5nr": IndexResponder(gridded_folder / "g5nr"),
        }
    )
    with server:
        yield server
