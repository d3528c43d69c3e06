"""A real HTTP server on loopback that counts what it serves and misbehaves on demand."""

import json
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol, Self
from urllib.parse import urlsplit
from zlib import crc32

from pipeline.sandbox.serve.faults import Answer, Faults

__all__ = ["Answer", "Call", "Faults", "LoopbackServer", "Request", "Responder"]


@dataclass(frozen=True)
class Request:
    """One request that a server got, and what it answered."""

    method: str
    path: str
    byte_range: str | None
    body: Any
    """Parsed JSON; None for an empty body or one that is no JSON."""
    status: int
    """0 if the connection was dropped before an answer."""
    sent_bytes: int
    time_s: float
    """On the clock of `time.monotonic`."""


@dataclass(frozen=True)
class Call:
    """One request as a server gets it."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    root: str = ""
    """Public address that `path` is relative to, without a slash at its end."""


class Responder(Protocol):
    """Answers requests."""

    def respond(self, call: Call) -> Answer:
        """Answer one request truthfully."""


class LoopbackServer(ABC):
    """An HTTP server on loopback, until `close`. A `with` block closes it.

    A subclass says in `respond` what it serves.

    Args:
        port: Where to listen; 0 for any free port.
    """

    def __init__(self, port: int = 0) -> None:
        self.faults = Faults()
        self.requests: list[Request] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._open: set[socket.socket] = set()
        self._http = _Server(("127.0.0.1", port), _handler(self))
        self._http.connections = self._open
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Address without a slash at its end."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def sent_bytes(self) -> int:
        """Bytes of all bodies sent so far."""
        return sum(request.sent_bytes for request in self.requests)

    def asked(self, path: str) -> list[Request]:
        """Requests for one path so far."""
        return [request for request in self.requests if request.path == path]

    def forget(self) -> None:
        """Drop the record of requests."""
        with self._lock:
            self.requests.clear()

    def record(self, request: Request) -> None:
        """Note a request that was answered."""
        with self._lock:
            self.requests.append(request)

    def wait(self, seconds: float) -> None:
        """Let time pass, but not beyond `close`."""
        self._closing.wait(seconds)

    @abstractmethod
    def respond(self, call: Call) -> Answer:
        """Answer one request truthfully."""

    def close(self) -> None:
        """Stop listening and hang up."""
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self._thread.join()


class _Server(ThreadingHTTPServer):
    connections: set[socket.socket]
    request_queue_size = 128

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.connections.add(connection)
        return connection, address

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        if isinstance(request, socket.socket):
            self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients hang up when they have read enough; that is no news."""


def _handler(owner: LoopbackServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = dict(self.headers)
            call = Call(self.command, parts.path, parts.query, headers, body, owner.url)
            asked = f"{call.method} {call.query} {headers.get('Range', '')} {crc32(body)}"
            fault = owner.faults.take(call.path, asked)
            owner.wait(fault.wait_s)
            if fault.drop_after == 0:
                self._note(call, 0, 0)
                self.close_connection = True
                return
            answer = owner.respond(call) if fault.answer is None else fault.answer
            self._answer(call, answer, fault.drop_after)

        def _answer(self, call: Call, answer: Answer, drop_after: int | None) -> None:
            status, extra, whole = answer
            payload = b"" if call.method == "HEAD" else whole[:drop_after]
            self._note(call, status, len(payload))
            self.send_response(status)
            for name, value in extra.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(whole)))
            self.end_headers()
            self.wfile.write(payload)
            if drop_after is not None:
                self.close_connection = True

        def _note(self, call: Call, status: int, sent: int) -> None:
            wanted = call.headers.get("Range")
            asked = Request(
                call.method, call.path, wanted, _json(call.body), status, sent, time.monotonic()
            )
            owner.record(asked)

        do_GET = do_HEAD = do_POST = _serve  # noqa: N815 - the base class names them

        def log_message(self, *_args: object) -> None:
            """Servers of a test are silent."""

    return Handler


def _json(body: bytes) -> object:
    try:
        parsed: object = json.loads(body) if body else None
    except ValueError:
        return None
    return parsed
