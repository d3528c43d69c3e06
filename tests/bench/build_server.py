"""The archive over HTTP ranges, from a process of its own, and what was asked of it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.sandbox.serve.files import FileServer


@dataclass(frozen=True, slots=True)
class RemoteFolder:
    """A folder that another process serves."""

    url: str
    process: Any

    def asked(self) -> tuple[int, int]:
        """Requests and bytes of bodies since the last call."""
        self.process.stdin.write("asked\n")
        self.process.stdin.flush()
        requests, sent = json.loads(self.process.stdout.readline())
        return requests, sent


@contextmanager
def serve_folder(folder: Path) -> Iterator[RemoteFolder]:
    """Serve a folder on loopback from another process."""
    command = [sys.executable, "-m", "tests.bench.build_server", str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield RemoteFolder(process.stdout.readline().strip(), process)
        process.stdin.close()


def main() -> None:
    """Serve until standard input ends; each line asks what was asked since the last."""
    with FileServer(Path(sys.argv[1])) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        for _ in sys.stdin:
            sys.stdout.write(f"{json.dumps([len(server.requests), server.sent_bytes])}\n")
            sys.stdout.flush()
            server.forget()


if __name__ == "__main__":
    main()
