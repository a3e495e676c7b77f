"""Signs of life: who is at work in the daemon, and for how long each may be silent before it counts as hung.

On the monotonic clock, so that a wall clock that is set wrong or put right changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class Pulse:
    """Shared by the threads of the daemon; every operation is one of a dictionary."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._signs: dict[str, tuple[float, float]] = {}  # who -> (last sign of life, seconds it may be silent)

    def beat(self, who: str, allowed_s: float) -> None:
        """`who` is alive, and gives the next sign within `allowed_s` seconds."""
        self._signs[who] = (self._clock(), allowed_s)

    def end(self, who: str) -> None:
        """`who` is done, and no further sign is waited for."""
        self._signs.pop(who, None)

    def hung(self) -> dict[str, float]:
        """Who has been silent for longer than allowed, and for how many seconds."""
        now = self._clock()
        signs = list(self._signs.items())
        return {who: now - last for who, (last, allowed) in signs if now - last > allowed}
