"""The wire under `http` for what has no end: the messages of a websocket, from checked addresses, within bounds."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Generator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from requests.utils import DEFAULT_CA_BUNDLE_PATH
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from listener.errors import Broken, Retry
from listener.http.transport import Reply, open_socket

if TYPE_CHECKING:
    from listener.config import HttpSettings

_CLOSE_S = 0.5  # how long a server that goes on sending is waited for when we close
_TOO_BIG = 1009  # the code with which we close when a message passes the limit (RFC 6455)


class NoStream(Exception):
    """The server answers, but opens no websocket. `reply` is what it says instead."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        super().__init__(f"status {reply.status}")


def messages(
    url: str,
    settings: HttpSettings,
    verify: bool | str | None,
    agent: str,
    place: str,
    limit_bytes: int,
    limit_s: float,
) -> Generator[bytes, None, None]:
    """The messages of `url` (ws or wss) as they come, until `limit_bytes` or `limit_s` are reached.

    `place` names it in messages, as in `transport.exchange`. Raises Retry (network, silence, a server that ends the
    stream), Broken (size, another protocol), Refused (a private address), NoStream.
    """
    # Its debug lines carry whole addresses, with the keys in them.
    logging.getLogger("websockets").setLevel(logging.ERROR)
    until = time.monotonic() + limit_s
    parts = urlsplit(url)
    secure = parts.scheme == "wss"
    sock = open_socket(parts.hostname or "", parts.port or (443 if secure else 80), settings, place)
    try:
        # With a socket of ours, websockets follows no redirect and uses no proxy.
        with (
            sock,
            connect(
                url,
                sock=sock,
                ssl=_trust(verify) if secure else None,
                user_agent_header=agent,
                open_timeout=settings.timeout_s,
                ping_interval=None,  # a silent server is told by its silence
                close_timeout=_CLOSE_S,
                max_size=settings.max_bytes,
            ) as line,
        ):
            yield from _received(line, settings.timeout_s, limit_bytes, until)
    except (WebSocketException, OSError, ValueError) as error:
        raise _as_ours(error, place, settings) from None


def _received(line: ClientConnection, patience: float, left: int, until: float) -> Generator[bytes, None, None]:
    try:
        while left > 0 and (seconds := until - time.monotonic()) > 0:
            try:
                message = line.recv(min(patience, seconds), decode=False)
            except TimeoutError:
                if seconds > patience:
                    raise
                return
            left -= len(message)
            yield message
    finally:
        line.close()


def _trust(verify: bool | str | None) -> ssl.SSLContext:
    """The authorities that `requests` trusts, or those of a file."""
    return ssl.create_default_context(cafile=verify if isinstance(verify, str) else DEFAULT_CA_BUNDLE_PATH)


def _as_ours(error: Exception, place: str, settings: HttpSettings) -> Retry | Broken | NoStream:
    # A redirect arrives as a ValueError, because of the socket of ours, and the reply as its cause.
    refusal = error if isinstance(error, InvalidStatus) else error.__cause__
    if isinstance(refusal, InvalidStatus):
        answer = refusal.response
        headers = {name.lower(): value for name, value in answer.headers.raw_items()}
        return NoStream(Reply(answer.status_code, headers, bytes(answer.body or b""), headers.get("location", "")))
    if isinstance(error, ConnectionClosed) and error.sent and error.sent.code == _TOO_BIG:
        size = f"{settings.max_bytes:,} bytes"
        return Broken(f"{place} sends a message of more than {size}. If that is right, raise max_bytes in [http].")
    if isinstance(error, TimeoutError):
        return Retry(f"{place} gave no answer within {settings.timeout_s:g} s (timeout_s in [http]).")
    if isinstance(error, ssl.SSLCertVerificationError):
        return Retry(f"{place}: its certificate is not trusted. Check the server, and this machine's clock.")
    if isinstance(error, ConnectionClosed | OSError) or isinstance(error.__cause__, EOFError | OSError):
        return Retry(f"{place} broke off the connection.")
    return Broken(f"{place} cannot be read as a stream: check the address.")
