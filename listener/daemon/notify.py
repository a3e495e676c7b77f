"""Words to systemd (sd_notify, Type=notify): ready, stopping, alive. Without systemd they go nowhere."""

from __future__ import annotations

import os
import socket


def tell(state: str) -> None:
    """Sends one state, such as "READY=1", as systemd's documentation of sd_notify(3) has it."""
    place = os.environ.get("NOTIFY_SOCKET", "")
    if not place.startswith(("/", "@")) or not hasattr(socket, "AF_UNIX"):
        return
    address = "\0" + place[1:] if place.startswith("@") else place
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.sendto(state.encode(), address)
        except OSError:
            pass  # a service manager that does not listen is no reason to stop


def watchdog_s() -> float | None:
    """Seconds after which systemd takes a silent daemon for dead; None when it does not watch this process."""
    told, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not told.isdigit() or (pid and pid != str(os.getpid())):
        return None
    return int(told) / 1e6
