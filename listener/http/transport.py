"""The wire under `http`: connections to checked addresses only, bodies within a size and a time."""

from __future__ import annotations

import ipaddress
import logging
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, ClassVar

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    DecodeError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
)

from listener.errors import Broken, Refused, Retry

if TYPE_CHECKING:
    from listener.config import HttpSettings

_CHUNK = 65_536
_ERROR_PAGE = 262_144  # bytes read of a reply that is an error: enough to tell a bot wall
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

# The sockets of the exchange that this thread has under way, for the alarm that ends it.
_under_way = threading.local()


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply as it came, redirects included. `location` is where it sends us, "" when it does not."""

    status: int
    headers: Mapping[str, str]  # lower-case names
    body: bytes
    location: str


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the open internet, also one that is wrapped in an IPv6 address."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if ip.is_site_local:  # given up in 2004; Python counts it as global
            return False
    # is_global rules out private, loopback and link-local addresses, but not all of these two.
    return ip.is_global and not (ip.is_multicast or ip.is_reserved)


class _Guarded(HTTPConnection):
    """Connects to an address that it has looked at itself, so that a name cannot lead elsewhere a moment later.

    The name is resolved once, here; host header, SNI and certificate check stay with the name.
    """

    allowed: ClassVar[frozenset[str]] = frozenset()

    def _new_conn(self) -> socket.socket:
        host = self.host.strip("[]").lower()
        try:
            found = socket.getaddrinfo(host, self.port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise NameResolutionError(host, self, error) from error
        except UnicodeError as error:
            raise NewConnectionError(self, "not a host name") from error
        named = {"*", host, f"{host}:{self.port}", f"[{host}]:{self.port}"}
        open_to_us = found if named & self.allowed else [entry for entry in found if is_public(str(entry[4][0]))]
        if not open_to_us:
            raise Refused(
                f"{host} leads to {found[0][4][0]}, which is not an address of the open internet. "
                f"If this server of your own network is meant, add '{host}:{self.port}' to allow_private in [http]."
            )
        return self._connect_to(open_to_us)

    def _connect_to(self, found: list[Any]) -> socket.socket:
        failure: OSError = OSError("no address")
        for family, kind, protocol, _, address in found:
            sock = socket.socket(family, kind, protocol)
            try:
                for option in self.socket_options or ():
                    sock.setsockopt(*option)
                sock.settimeout(self.timeout)
                sock.connect(address)
            except OSError as error:
                sock.close()
                failure = error
            else:
                return sock
        if isinstance(failure, TimeoutError):
            raise ConnectTimeoutError(self, "timed out") from failure
        raise NewConnectionError(self, failure.strerror or "no connection") from failure

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as urllib3 has it
        _under_way.sockets.append(self.sock)
        return super().getresponse()


class _GuardedTLS(_Guarded, HTTPSConnection):
    pass


def open_session(settings: HttpSettings, verify: bool | str) -> requests.Session:
    """A session without cookies, without proxies or passwords from the environment, with guarded connections."""
    # Its debug and warning lines carry whole addresses, with the keys in them.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    rules = _rules(settings)
    plain = type("_Plain", (_Guarded,), rules)
    secure = type("_Secure", (_GuardedTLS,), rules)
    adapter = HTTPAdapter(max_retries=0)
    adapter.poolmanager.pool_classes_by_scheme = {
        "http": type("_PlainPool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
        "https": type("_SecurePool", (HTTPSConnectionPool,), {"ConnectionCls": secure}),
    }
    session = requests.Session()
    session.trust_env = False
    session.verify = verify
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


def _rules(settings: HttpSettings) -> dict[str, frozenset[str]]:
    return {"allowed": frozenset(entry.strip().lower() for entry in settings.allow_private)}


def open_socket(host: str, port: int, settings: HttpSettings, place: str) -> socket.socket:
    """A plain connection to a checked address, for what is not asked by `exchange`. Raises Retry and Refused."""
    guarded = type("_Socket", (_Guarded,), _rules(settings))(host, port, timeout=settings.timeout_s)
    try:
        sock: socket.socket = guarded._new_conn()
        return sock
    except (HTTPError, OSError) as error:
        raise _as_ours(error, place, settings.timeout_s) from None


def exchange(
    session: requests.Session, request: requests.PreparedRequest, settings: HttpSettings, seconds: float, place: str
) -> Reply:
    """Sends one request and reads its reply, redirects not followed, in at most `seconds`.

    `place` names the request in messages: the text of the underlying errors is not used, it shows whole addresses.
    Raises Retry (network, time), Broken (size, encoding) and Refused (a private address).
    """
    until = time.monotonic() + seconds
    sockets: list[socket.socket] = []
    _under_way.sockets = sockets
    # A server that sends a byte now and then never meets a socket's timeout: at the deadline the line is cut.
    alarm = threading.Timer(max(0.0, seconds), _cut, (sockets,))
    alarm.daemon = True
    alarm.start()
    patience = max(0.001, min(settings.timeout_s, seconds))
    try:
        with session.send(request, stream=True, allow_redirects=False, timeout=patience) as answer:
            location = session.get_redirect_target(answer) or ""
            limit = settings.max_bytes if answer.status_code < 400 else min(_ERROR_PAGE, settings.max_bytes)
            body, whole = (b"", True) if location else _read(answer.raw, limit, until)
            headers = {name.lower(): value for name, value in answer.headers.items()}
            status = answer.status_code
    except (requests.RequestException, HTTPError, OSError) as error:
        if time.monotonic() >= until:
            raise Retry(_too_slow(place, settings)) from None
        raise _as_ours(error, place, patience) from None
    finally:
        alarm.cancel()
    if time.monotonic() >= until:  # a reply of untold length looks complete when it is cut
        raise Retry(_too_slow(place, settings))
    if not whole and status < 400:
        raise Broken(
            f"{place} sends more than {settings.max_bytes:,} bytes. If that is right, raise max_bytes in [http].", body
        )
    return Reply(status, headers, body, location)


def _cut(sockets: list[socket.socket]) -> None:
    for sock in sockets:
        # The plain shutdown: that of a TLS socket also takes away what the reading thread is using.
        with suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _read(raw: HTTPResponse, limit: int, until: float) -> tuple[bytes, bool]:
    """At most `limit` bytes of the decoded body, and whether that is all of it."""
    parts: list[bytes] = []
    size = 0
    # read1 hands over what is there; read would wait for a full chunk.
    while (chunk := raw.read1(_CHUNK, decode_content=True)) and time.monotonic() < until:
        parts.append(chunk)
        size += len(chunk)
        if size > limit:
            return b"".join(parts)[:limit], False
    return b"".join(parts), True


def _too_slow(place: str, settings: HttpSettings) -> str:
    return f"{place} took longer than {settings.deadline_s:g} s (deadline_s in [http])."


def _as_ours(error: Exception, place: str, patience: float) -> Retry | Broken:
    causes = _causes(error)
    if any(isinstance(cause, DecodeError) for cause in causes):
        return Broken(f"{place} sends a body that its own Content-Encoding does not fit.")
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidHeader):
        return Broken(f"{place} cannot be asked for: the address or a header is not valid. Correct the configuration.")
    if any(isinstance(cause, NameResolutionError) for cause in causes):
        return Retry(f"{place}: the host name is not found. Check its spelling and this machine's network.")
    refused = next((cause for cause in causes if isinstance(cause, NewConnectionError)), None)
    if refused is not None:
        return Retry(f"{place} cannot be reached: {refused.__cause__ or 'no connection'}.")
    if any(isinstance(cause, requests.Timeout | ReadTimeoutError | ConnectTimeoutError) for cause in causes):
        return Retry(f"{place} gave no answer within {patience:g} s (timeout_s in [http]).")
    if any(isinstance(cause, requests.exceptions.SSLError) for cause in causes):
        return Retry(f"{place}: its certificate is not trusted. Check the server, and this machine's clock.")
    return Retry(f"{place} broke off the connection.")


def _causes(error: BaseException) -> list[BaseException]:
    """The error and what it wraps: requests and urllib3 put the cause in `args` or in `reason`."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting and len(found) < 20:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and one not in found:
            found.append(one)
            waiting += [*one.args, getattr(one, "reason", None)]
    return found
