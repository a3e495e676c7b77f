"""How the whole fares at this moment, for programs that watch it: the queue, the sources, the digests. Reads only."""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from listener.migrations import moment_of, stamp
from listener.reads.health import SourceHealth, source_health

WELL = ("new", "ok", "empty")  # states of a source that need nobody

# Ids are given in the order of collecting, so the least one is the first that came.
_QUEUE = """
SELECT count(*), (SELECT collected_at FROM posts WHERE id = (SELECT min(post_id) FROM pending)) FROM pending
"""

_DIGESTS = "SELECT state, count(*) FROM digests GROUP BY state"


@dataclass(frozen=True, slots=True)
class Vitals:
    """`lag_s` is how long the first of the waiting posts has waited, 0 when none does."""

    waiting: int
    lag_s: float
    sources: tuple[SourceHealth, ...]  # the enabled ones
    digests: dict[str, int]  # by their state

    @property
    def states(self) -> Counter[str]:
        """How many sources are in which state."""
        return Counter(each.state for each in self.sources)


def read(reader: sqlite3.Connection, now: datetime) -> Vitals:
    waiting, since = reader.execute(_QUEUE).fetchone()
    first = moment_of(since)
    return Vitals(
        waiting=waiting,
        lag_s=max(0.0, (now - first).total_seconds()) if first else 0.0,
        sources=tuple(each for each in source_health(reader, now) if each.enabled),
        digests=dict(map(tuple, reader.execute(_DIGESTS))),
    )


def came_in(reader: sqlite3.Connection, now: datetime) -> int:
    """How many posts came in within the last 24 hours."""
    query = "SELECT coalesce(sum(new), 0) FROM runs WHERE started_at > ?"
    return int(reader.execute(query, (stamp(now - timedelta(days=1)),)).fetchone()[0])
