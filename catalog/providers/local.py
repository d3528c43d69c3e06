"""A folder of scenes with an `items.json` becomes a real STAC API on loopback.

The same provider code then searches a local archive and a remote one.
"""

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from catalog.errors import QueryError

_START_TIMEOUT_S = 30.0


def find_items(source: str) -> Path:
    """Return the item collection of a local archive, given its folder or the file itself.

    Raises:
        QueryError: If there is no such file.
    """
    path = Path(source)
    items = path / "items.json" if path.is_dir() else path
    if not items.is_file():
        raise QueryError(
            f"local archive {source!r} has no item collection: expected a folder that holds "
            f"items.json, or such a file; check the path, or give a STAC URL or a known archive"
        )
    return items


@contextmanager
def serve_archive(source: str) -> Iterator[str]:
    """Serve a local archive as a STAC API on loopback and yield its URL.

    Relative hrefs become absolute paths, since the server has no notion of a base.

    Raises:
        QueryError: If the archive is missing or malformed, or the server does not start.
    """
    items = find_items(source)
    with tempfile.TemporaryDirectory(prefix="geoloupe-stac-") as scratch:
        served = Path(scratch) / "items.json"
        served.write_text(json.dumps(_with_absolute_hrefs(items)))
        port = _free_port()
        command = [
            find_server(),
            "serve",
            "--create-collections",
            "--addr",
            f"127.0.0.1:{port}",
        ]
        with (Path(scratch) / "server.log").open("w+b") as log:
            process = subprocess.Popen(  # noqa: S603 - our own server on our own file
                [*command, str(served)], stdout=log, stderr=log, cwd=scratch
            )
            try:
                url = f"http://127.0.0.1:{port}/"
                _wait_until_it_answers(url, process, Path(log.name))
                yield url
            finally:
                process.kill()
                process.wait()


def _with_absolute_hrefs(items: Path) -> dict[str, Any]:
    root = items.parent.resolve()
    try:
        collection: dict[str, Any] = json.loads(items.read_text(encoding="utf-8"))
        for feature in collection["features"]:
            for asset in feature.get("assets", {}).values():
                asset["href"] = _absolute(asset["href"], root)
    except (AttributeError, KeyError, TypeError, ValueError) as err:
        raise QueryError(
            f"{items} is not a STAC item collection ({err!r}); expected a JSON object with a "
            f"list of items, 'features', whose assets each have an 'href'"
        ) from err
    return collection


def _absolute(href: str, root: Path) -> str:
    return href if "://" in href or href.startswith("/vsi") else str((root / href).resolve())


def find_server() -> str:
    """Path of the `rustac` program that is installed beside this Python."""
    beside = Path(sys.executable).with_name("rustac")
    found = str(beside) if beside.exists() else shutil.which("rustac")
    if found is None:
        raise QueryError(
            "the program 'rustac' is needed to search a local archive and is not installed; "
            "pip install 'rustac[cli]'"
        )
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    direct = build_opener(ProxyHandler({}))
    fate = f"did not answer within {_START_TIMEOUT_S:g} s"
    while time.monotonic() < deadline:
        if process.poll() is not None:
            fate = f"ended at once with exit code {process.returncode}"
            break
        try:
            with direct.open(url, timeout=5):
                return
        except (URLError, ConnectionError, TimeoutError):
            time.sleep(0.02)
    said = log.read_text(errors="replace").strip()[-500:]
    raise QueryError(f"the server of a local archive {fate}: {said}")
