"""A small real websocket server on loopback.

with streaming(lambda line: line.send("hello")) as server:
    next(get.messages(server.url()))
"""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve


class Streaming:
    """A running websocket server: its port, what it was asked with, and whether its clients have gone."""

    def __init__(self, port: int, scheme: str) -> None:
        self.port, self.scheme = port, scheme
        self.requests: list[Any] = []
        self.left = threading.Event()

    def url(self, path: str = "/subscribe", host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"


@contextmanager
def streaming(talk: Callable[[ServerConnection], object], tls: ssl.SSLContext | None = None) -> Iterator[Streaming]:
    """Serves until the block ends; each client is handed to `talk`, and waited for after it."""

    def handle(line: ServerConnection) -> None:
        server.requests.append(line.request)
        try:
            talk(line)
            line.recv()  # nothing comes: until the client leaves
        except ConnectionClosed:
            server.left.set()

    quiet = logging.Logger("quiet", logging.CRITICAL)  # a handshake that the client refuses is no news
    bounds: dict[str, Any] = {"open_timeout": 2, "close_timeout": 0.5, "ping_interval": None}
    with serve(handle, "127.0.0.1", 0, ssl=tls, logger=quiet, **bounds) as ours:
        server = Streaming(ours.socket.getsockname()[1], "wss" if tls else "ws")
        thread = threading.Thread(target=ours.serve_forever, daemon=True)
        thread.start()
        yield server
    thread.join()
