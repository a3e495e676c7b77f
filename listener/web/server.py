"""Serves the page over HTTP until it is told to stop."""

from __future__ import annotations

import signal
import socket
import ssl
import threading
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from types import FrameType

import uvicorn

from listener.config import Config
from listener.errors import ListenerError
from listener.web import pictures
from listener.web.app import build
from listener.web.door import Door


def serve(
    config: Config,
    door: Door,
    clock: Callable[[], datetime],
    certificate: tuple[Path, Path] | None = None,
    ready: Callable[[str], object] = bool,
) -> None:
    """Blocks until SIGTERM or SIGINT. `certificate`: its file and its key's, for HTTPS. `ready` hears the address.

    Raises ListenerError when the database cannot be read or the port is taken.
    """
    page = build(config, door, clock)
    certfile, keyfile = certificate or (None, None)
    settings = uvicorn.Config(
        page.app(),
        host=door.host,
        port=door.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ssl_certfile=certfile,
        ssl_keyfile=keyfile,
        h11_max_incomplete_event_size=32_768,
        timeout_graceful_shutdown=3,
    )
    try:
        settings.load()
    except (ssl.SSLError, OSError) as error:
        raise ListenerError(
            f"the certificate {certfile} and its key {keyfile} cannot be used ({error}); both have to be PEM, and to "
            "belong together"
        ) from error
    server = _Server(settings)
    try:
        listening = settings.bind_socket()
    except SystemExit as error:  # uvicorn has logged the reason and gives up by itself
        raise ListenerError(
            f"nothing can listen on {door.host} port {door.port}: another program does, or the address is not of this "
            "machine; choose another with --port or --host"
        ) from error
    if pictures.script_address():
        threading.Thread(target=pictures.bundle, daemon=True).start()
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    server.when_ready = partial(ready, f"http{'s' if certificate else ''}://{shown}:{port}/")
    server.run(sockets=[listening])


class _Server(uvicorn.Server):
    """Says when it answers, and ends when it is told to, where uvicorn would have the signal end the process."""

    when_ready: Callable[[], object] = bool

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.when_ready()
