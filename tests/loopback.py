"""A small real HTTP server on loopback. A route is a function: request in, answer out.

def feed(request):
    return Answer(body=b"<rss/>", headers={"ETag": '"1"'})

with serve({"/feed": feed}) as server:
    get(server.url("/feed"))
    server.requests[0].headers["user-agent"]
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Request:
    """What a route is given. Header names are lower-case; a query parameter is its first value."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Answer:
    """What a route gives back. An iterable body is sent piece by piece, of untold length, and ends the connection.

    `raw` sends its pieces in place of everything, status line included.
    """

    body: bytes | Iterable[bytes] = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: Iterable[bytes] | None = None


Route = Callable[[Request], Answer]


@dataclass
class Server:
    """A running server: its port, and every request it has seen, in order."""

    port: int
    scheme: str = "http"
    requests: list[Request] = field(default_factory=list)

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.requests]


@contextmanager
def serve(routes: Mapping[str, Route], *, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Serves `routes` ({path: function}) until the block ends; any other path is 404. TLS with the context given."""
    server: Server

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each reply waits 40 ms for the client's acknowledgement of its head

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = Request(parts.path, query, {name.lower(): value for name, value in self.headers.items()}, sent)
            server.requests.append(request)
            route = routes.get(parts.path)
            with suppress(OSError):  # the client may have had enough
                self._send(route(request) if route else Answer(b"no such page", 404))

        do_POST = do_GET

        def _send(self, answer: Answer) -> None:
            if answer.raw is not None:
                self.close_connection = True
                self._pieces(answer.raw)
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if isinstance(answer.body, bytes):
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                if answer.status != 304:
                    self.wfile.write(answer.body)
            else:
                self.close_connection = True
                self.send_header("Connection", "close")
                self.end_headers()
                self._pieces(answer.body)

        def _pieces(self, pieces: Iterable[bytes]) -> None:
            for piece in pieces:
                self.wfile.write(piece)
                self.wfile.flush()

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_: object) -> None:  # a handshake that the client refuses is no news
            pass

    httpd = Quiet(("127.0.0.1", 0), Handler)
    if tls is not None:
        httpd.socket = tls.wrap_socket(httpd.socket, server_side=True, do_handshake_on_connect=False)
    server = Server(httpd.server_address[1], "https" if tls else "http")
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def closed_port() -> int:
    """A port of loopback on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
