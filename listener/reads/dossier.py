"""Everything that is known of one post: probabilities, the copies of it and where they stand. Reads only."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from listener.migrations import moment_of, stamp
from listener.reads.search import PostRow, by_id

_ORIGINAL = "SELECT coalesce(copy_of, id) FROM posts WHERE id = ? AND deleted_at IS NULL AND expired_at IS NULL"
_HASH = "SELECT text_hash FROM posts WHERE id = ?"
_SAID = "SELECT count(*) FROM corrections WHERE at >= ? AND (ended IS NULL OR ended NOT IN ('undone', 'replaced'))"
_VERDICT = "SELECT moments, sentiments, judged_at FROM verdicts WHERE post_id = ?"
_COPIES = """
SELECT id, source, url, day FROM posts WHERE copy_of = ? AND deleted_at IS NULL AND expired_at IS NULL
ORDER BY id LIMIT 100
"""


@dataclass(frozen=True, slots=True)
class Copy:
    """The same text in another place."""

    id: int
    source: str
    url: str
    day: date


@dataclass(frozen=True, slots=True)
class Dossier:
    """A post, the probability of each moment and each sentiment (empty where it was not judged), and its copies."""

    post: PostRow
    moments: dict[str, float]
    sentiments: dict[str, float]
    judged_at: datetime | None
    text_hash: str
    copies: tuple[Copy, ...]


def find(reader: sqlite3.Connection, post_id: int) -> Dossier | None:
    """What is known of a post, or of the post that it repeats; None where it is not there or its words are gone."""
    original = reader.execute(_ORIGINAL, (post_id,)).fetchone()
    posts = by_id(reader, [original[0]]) if original else []
    if not posts:
        return None
    post = posts[0]
    text_hash = reader.execute(_HASH, (post.id,)).fetchone()[0]
    verdict = reader.execute(_VERDICT, (post.id,)).fetchone()
    copies = [
        Copy(row["id"], row["source"], row["url"], date.fromisoformat(row["day"]))
        for row in reader.execute(_COPIES, (post.id,))
    ]
    if verdict is None:
        return Dossier(post, {}, {}, None, text_hash, tuple(copies))
    moments, sentiments = json.loads(verdict["moments"]), json.loads(verdict["sentiments"])
    return Dossier(post, moments, sentiments, moment_of(verdict["judged_at"]), text_hash, tuple(copies))


def said_on(reader: sqlite3.Connection, day: date, zone: ZoneInfo) -> int:
    """How many posts people corrected since that local day began."""
    began = datetime.combine(day, time(), zone)
    return int(reader.execute(_SAID, (stamp(began),)).fetchone()[0])
