"""What every page has at hand: the configuration, the clock, a connection that only reads; and forms of an answer."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from itsdangerous import BadSignature, URLSafeSerializer

from listener import pipeline, trends
from listener.config import Config
from listener.errors import ListenerError
from listener.store import Store
from listener.web.door import Door, is_fresh

Answer = TypeVar("Answer")

_LONGEST_READ_S = 20.0
_STEPS = 20_000  # of SQLite's machine between two looks at the clock


@dataclass(frozen=True, slots=True)
class Site:
    config: Config
    door: Door
    clock: Callable[[], datetime]
    secret: str  # what logins and forms are signed with

    def ticket(self) -> str:
        """What a browser shows after a login."""
        return str(URLSafeSerializer(self.secret, "login").dumps(int(self.clock().timestamp())))

    def knows(self, ticket: str) -> bool:
        """Whether that is such a ticket, and not too old."""
        try:
            issued = URLSafeSerializer(self.secret, "login").loads(ticket)
        except BadSignature:
            return False
        return is_fresh(issued, self.clock())

    def gave(self, token: str) -> bool:
        """Whether a form of ours carried this token."""
        try:
            URLSafeSerializer(self.secret).loads(token, "csrftoken")
        except BadSignature:
            return False
        return True

    async def read(self, ask: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """What `ask` reads, in a thread of its own. Raises ListenerError when it takes too long."""
        return await asyncio.to_thread(self._read, ask)

    def _read(self, ask: Callable[[sqlite3.Connection], Answer]) -> Answer:
        until = time.monotonic() + _LONGEST_READ_S
        with closing(trends.open_reader(self.config.database, self.config.zone)) as reader:
            reader.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
            try:
                return ask(reader)
            except sqlite3.OperationalError as error:
                if "interrupted" not in str(error):
                    raise
                raise ListenerError(
                    f"this takes more than {_LONGEST_READ_S:.0f} seconds; choose a shorter period or fewer words"
                ) from error

    async def write(self, change: Callable[[Store], Answer]) -> Answer:
        """What `change` writes, in a thread of its own."""

        def changing() -> Answer:
            with pipeline.open_store(self.config) as store:
                return change(store)

        return await asyncio.to_thread(changing)


@dataclass(frozen=True, slots=True)
class Shown:
    """A page: its template and what is in it."""

    template: str
    context: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True, slots=True)
class Moved:
    """Go on there, with GET."""

    to: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Passed:
    """Datasette's own view answers."""

    view: Any


class Missing(ListenerError):
    """There is no such page, or the post on it is gone."""
