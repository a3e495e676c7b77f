"""Topics of the owner's own in their tables: what they are, the posts that speak of them, how often that is right."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from listener.errors import ListenerError
from listener.migrations import stamp
from listener.reads.counts import Interval, wilson
from listener.records import Pending

_PENDING = """
SELECT p.id, p.kind, p.title, p.text, p.lang, p.text_hash FROM posts p JOIN verdicts v ON v.post_id = p.id
LEFT JOIN topic_marks t ON t.post_id = p.id
WHERE p.deleted_at IS NULL AND p.expired_at IS NULL AND p.copy_of IS NULL AND NOT v.unread
    AND (t.key IS NOT ? OR t.text_hash IS NOT p.text_hash)
ORDER BY coalesce(p.created_at, p.collected_at) DESC LIMIT ?
"""

# An answer stays with a post whose text is the same, whatever became of the topic.
_FORGET = """
DELETE FROM post_topics WHERE post_id = :post AND (right IS NULL OR EXISTS (
    SELECT 1 FROM topic_marks t WHERE t.post_id = :post AND t.text_hash <> :text_hash))
"""

_TAG = """
INSERT INTO post_topics (post_id, topic, score) VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET score = excluded.score
"""

_MARK = "INSERT OR REPLACE INTO topic_marks (post_id, key, text_hash) VALUES (?, ?, ?)"

_COUNTS = """
SELECT t.name, t.examples, t.threshold, count(p.id), count(o.right), coalesce(sum(o.right), 0)
FROM topics t LEFT JOIN post_topics o ON o.topic = t.name AND o.score >= t.threshold
LEFT JOIN posts p ON p.id = o.post_id AND p.deleted_at IS NULL
GROUP BY t.name ORDER BY t.name
"""

# Drawn by the hash of the text: a sample that does not follow the score.
_TO_ASK = """
SELECT o.post_id FROM post_topics o JOIN posts p ON p.id = o.post_id
WHERE o.topic = ? AND o.right IS NULL AND p.deleted_at IS NULL AND p.expired_at IS NULL
ORDER BY p.text_hash LIMIT ?
"""

_OF = """
SELECT o.post_id FROM post_topics o JOIN posts p ON p.id = o.post_id
WHERE o.topic = ? AND p.deleted_at IS NULL AND p.expired_at IS NULL AND coalesce(o.right, 1)
ORDER BY coalesce(p.created_at, p.collected_at) DESC LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class Topic:
    """`precision` is the share of asked posts that the owner said are right."""

    name: str
    examples: tuple[str, ...]
    threshold: float
    posts: int
    precision: Interval


def add(connection: sqlite3.Connection, name: str, examples: Sequence[str], threshold: float, now: datetime) -> None:
    """A new topic, or new examples for one. Raises ListenerError when there is nothing to know it by."""
    kept = [" ".join(text.split()) for text in examples if any(map(str.isalnum, text))]
    if not name.strip() or not kept:
        raise ListenerError("a topic needs a name, and a sentence or some examples of what people write of it")
    connection.execute(
        "INSERT INTO topics VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET examples = excluded.examples,"
        " threshold = excluded.threshold",
        (name.strip(), json.dumps(kept, ensure_ascii=False), threshold, stamp(now)),
    )


def remove(connection: sqlite3.Connection, name: str) -> None:
    """Raises ListenerError when there is no such topic."""
    _known(connection, name)
    connection.execute("DELETE FROM post_topics WHERE topic = ?", (name,))
    connection.execute("DELETE FROM topics WHERE name = ?", (name,))


def definitions(connection: sqlite3.Connection) -> dict[str, tuple[list[str], float]]:
    """Examples and threshold of every topic."""
    rows = connection.execute("SELECT name, examples, threshold FROM topics ORDER BY name")
    return {name: (json.loads(examples), threshold) for name, examples, threshold in rows}


def pending(connection: sqlite3.Connection, key: str, limit: int) -> list[Pending]:
    """Judged posts that were not looked at under this key on their present text, the newest first."""
    return [Pending(*row) for row in connection.execute(_PENDING, (key, limit))]


def save(
    connection: sqlite3.Connection, key: str, posts: Sequence[Pending], tags: Sequence[Mapping[str, float]]
) -> None:
    """Stores the topics of posts, in the place of those they had."""
    for post, found in zip(posts, tags, strict=True):
        connection.execute(_FORGET, {"post": post.post_id, "text_hash": post.text_hash})
        connection.executemany(_TAG, [(post.post_id, name, score) for name, score in found.items()])
    connection.executemany(_MARK, [(post.post_id, key, post.text_hash) for post in posts])


def answer(connection: sqlite3.Connection, post_id: int, name: str, right: bool) -> None:
    """The owner says whether a post speaks of the topic."""
    connection.execute("UPDATE post_topics SET right = ? WHERE post_id = ? AND topic = ?", (int(right), post_id, name))


def listed(reader: sqlite3.Connection) -> list[Topic]:
    """Every topic with its posts and its measured precision."""
    return [
        Topic(name, tuple(json.loads(examples)), threshold, posts, wilson(right, asked))
        for name, examples, threshold, posts, asked, right in reader.execute(_COUNTS)
    ]


def to_ask(reader: sqlite3.Connection, name: str, limit: int) -> list[int]:
    """Posts of the topic that nobody was asked about, in an order that has nothing to do with their scores."""
    _known(reader, name)
    return [row[0] for row in reader.execute(_TO_ASK, (name, limit))]


def of(reader: sqlite3.Connection, name: str, limit: int) -> list[int]:
    """The newest posts of the topic, without those the owner said no to."""
    _known(reader, name)
    return [row[0] for row in reader.execute(_OF, (name, limit))]


def _known(connection: sqlite3.Connection, name: str) -> None:
    known = [row[0] for row in connection.execute("SELECT name FROM topics ORDER BY name")]
    if name not in known:
        raise ListenerError(f"there is no topic {name!r}; there are: {', '.join(known) or 'none yet'}")
