"""The files of a folder over HTTP, whole or by byte ranges."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from pipeline.sandbox.serve.http import Answer, Call, LoopbackServer

_TYPES = {
    ".tif": "image/tiff",
    ".json": "application/json",
    ".xml": "application/xml",
    ".nc": "application/x-netcdf",
    ".nc4": "application/x-netcdf",
}


@dataclass(frozen=True, slots=True)
class FileResponder:
    """Serves the files of one folder, nothing above it."""

    root: Path

    def respond(self, call: Call) -> Answer:
        """Answer with a file, or the part of it that a `Range` header asks for."""
        file = (self.root / unquote(call.path).lstrip("/")).resolve()
        inside = file.is_relative_to(self.root.resolve())
        if call.method not in ("GET", "HEAD") or not inside or not file.is_file():
            return 404, {}, b"no such file"
        stat = file.stat()
        size = stat.st_size
        answer = {
            "Accept-Ranges": "bytes",
            "Content-Type": _TYPES.get(file.suffix, "application/octet-stream"),
            "ETag": f'"{stat.st_mtime_ns:x}-{size:x}-{stat.st_ino:x}"',
        }
        wanted = call.headers.get("Range", "")
        if not wanted.startswith("bytes="):
            return 200, answer, file.read_bytes()
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start = int(first) if first else max(0, size - int(last))
        stop = min(int(last) + 1, size) if first and last else size
        if start >= size:
            return 416, {"Content-Range": f"bytes */{size}"}, b""
        with file.open("rb") as stream:
            stream.seek(start)
            payload = stream.read(stop - start)
        return 206, answer | {"Content-Range": f"bytes {start}-{stop - 1}/{size}"}, payload


class FileServer(LoopbackServer):
    """Serves the files of one folder, whole or by byte ranges."""

    def __init__(self, root: Path, port: int = 0) -> None:
        self.root = root
        self._files = FileResponder(root)
        super().__init__(port)

    def href(self, name: str) -> str:
        """URL of a file, given its path inside the folder."""
        return f"{self.url}/{name}"

    def respond(self, call: Call) -> Answer:
        """Answer with a file, or the part of it that a `Range` header asks for."""
        return self._files.respond(call)
