"""For all tests: no network but loopback, a deadline-free hypothesis, the root of the repository."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("listener.sources.contract")
settings.register_profile(
    "listener", max_examples=75, deadline=None, derandomize=False, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("listener")


def _is_loopback(host: object) -> bool:
    if host in (None, "", b"", "localhost", b"localhost"):
        return True
    try:
        return ipaddress.ip_address(str(host).split("%")[0]).is_loopback
    except ValueError:
        return False


def _refuse(host: object) -> None:
    # Not an OSError: code that forgives network failures must not forgive this one.
    raise RuntimeError(
        f"a test reached for {host!r}: only loopback is open in tests; serve a payload of your own there"
    )


def _guarded(real: Any) -> Any:
    def connect(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            _refuse(address[0])
        return real(self, address)

    return connect


def _getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
    if not _is_loopback(host):
        _refuse(host)
    return _REAL_GETADDRINFO(host, *args, **kwargs)


_REAL_GETADDRINFO = socket.getaddrinfo
_CONNECT = _guarded(socket.socket.connect)
_CONNECT_EX = _guarded(socket.socket.connect_ex)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Refuses names and addresses outside this machine. Processes that a test starts are not covered.

    Before each test anew: pytest-socket, where it happens to be installed, opens the network again after each.
    """
    socket.socket.connect = _CONNECT  # type: ignore[method-assign]
    socket.socket.connect_ex = _CONNECT_EX  # type: ignore[method-assign]
    socket.getaddrinfo = _getaddrinfo


@pytest.fixture(scope="session")
def repo() -> Path:
    return Path(__file__).resolve().parent.parent
