"""What is not to be kept: posts whose time is over, and authors who are to be forgotten.

A post that is *deleted* is in no count any more. A post that *expired* is counted as before, but its words, author and
address are gone. Both keep their identity, so that a source that still shows them cannot bring them back. Runs inside
the caller's transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from listener import crash
from listener.migrations import stamp
from listener.tables import backlog, copies

AT_ONCE = 500

_OVER = """
SELECT id FROM posts WHERE source = ? AND collected_at < ? AND deleted_at IS NULL AND expired_at IS NULL
ORDER BY collected_at LIMIT ?
"""

# The hash of the text stays: it tells that a post shown again is the one that was judged.
_EXPIRE = """
UPDATE posts SET expired_at = ?, title = '', text = '', author = '', url = '', parent = '', engagement = '{}',
    federated_id = '', verify_due_at = NULL
WHERE id IN (SELECT value FROM json_each(?))
"""

_QUOTES = (
    "UPDATE mentions SET why = '' WHERE post_id IN (SELECT value FROM json_each(?))",
    "UPDATE disowned SET why = '' WHERE post_id IN (SELECT value FROM json_each(?))",
)

# Row by row: an index of authors would be written to all over the place by every page, and is asked once in a while.
_BY = """
SELECT id FROM posts WHERE deleted_at IS NULL AND (+source, +author) IN
    (SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?))
"""

_FORGET = "INSERT OR IGNORE INTO forgotten (source, author, at) VALUES (?, ?, ?)"

_FIND = """
SELECT id FROM posts WHERE deleted_at IS NULL AND (url = :given OR native_id = :given)
    AND (:source = '' OR source = :source)
"""

_OLD_RUNS = "DELETE FROM runs WHERE id IN (SELECT id FROM runs WHERE started_at < ? ORDER BY id LIMIT ?)"


def expire(connection: sqlite3.Connection, source: str, before: datetime, now: datetime) -> int:
    """Takes the words out of up to `AT_ONCE` posts of a source that were collected before then; returns how many."""
    return empty(connection, [row[0] for row in connection.execute(_OVER, (source, stamp(before), AT_ONCE))], now)


def empty(connection: sqlite3.Connection, ids: Sequence[int], now: datetime) -> int:
    """Takes the words out of these posts; returns how many."""
    chosen = json.dumps(ids)
    connection.execute(_EXPIRE, (stamp(now), chosen))
    crash.here("expire.words")
    for statement in _QUOTES:  # the words that linked a post to its brand are words of its text
        connection.execute(statement, (chosen,))
    copies.unsign(connection, ids)
    backlog.remove(connection, ids)  # one that was never judged has nothing left to judge
    return len(ids)


def by_author(connection: sqlite3.Connection, authors: Collection[tuple[str, str]]) -> list[int]:
    """The live posts of authors: (source, name as `posts.author` holds it) each. Reads every post there is, once."""
    return [post_id for (post_id,) in connection.execute(_BY, (json.dumps(list(authors)),))] if authors else []


def forget(connection: sqlite3.Connection, source: str, author: str, now: datetime) -> None:
    """Posts of this author are not taken any more."""
    crash.here("forget.author")
    connection.execute(_FORGET, (source, author, stamp(now)))


def forgotten(connection: sqlite3.Connection, source: str) -> set[str]:
    """The authors of this source who are to be forgotten."""
    return {author for (author,) in connection.execute("SELECT author FROM forgotten WHERE source = ?", (source,))}


_ORIGINALS = "SELECT DISTINCT coalesce(copy_of, id) FROM posts WHERE id IN (SELECT value FROM json_each(?))"


def find(connection: sqlite3.Connection, given: str, source: str) -> list[int]:
    """The live posts with this address or native id, of `source` or ("") of any."""
    return [post_id for (post_id,) in connection.execute(_FIND, {"given": given, "source": source})]


def with_copies(connection: sqlite3.Connection, post_ids: Iterable[int]) -> list[int]:
    """These posts, what they are copies of, and all copies of that."""
    ids = [post_id for (post_id,) in connection.execute(_ORIGINALS, (json.dumps(list(post_ids)),))]
    return sorted({*ids, *copies.of(connection, ids)})


def let_runs_go(connection: sqlite3.Connection, before: datetime) -> int:
    """Deletes up to `AT_ONCE` records of fetches that began before then; returns how many."""
    return connection.execute(_OLD_RUNS, (stamp(before), AT_ONCE)).rowcount
