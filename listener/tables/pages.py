"""Posts and the brands they name, into their tables by the batch. Runs inside the caller's transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from operator import itemgetter
from typing import Any

from listener import crash
from listener.migrations import stamp
from listener.records import Post
from listener.tables import backlog, copies, overruling, rollups
from listener.tables.rows import storable

Row = dict[str, Any]
Links = Mapping[str, str]  # brand -> why the post was linked to it

# What makes a post another than it was; the text hash comes first.
_CONTENT = ("text_hash", "rating_value", "rating_worst", "rating_best", "engagement")

_STORED = """
SELECT native_id, id, coalesce(deleted_at, expired_at), text_hash, rating_value, rating_worst, rating_best, engagement
FROM posts WHERE source = ? AND native_id IN (SELECT value FROM json_each(?))
"""

_COLUMNS = (
    "id", "source", "native_id", "kind", "url", "title", "text", "author", "created_at", "edited_at", "collected_at",
    "day", "rating_value", "rating_best", "rating_worst", "rating", "engagement", "parent", "lang", "given_brand",
    "text_hash", "federated_id", "verify_due_at", "late",
)  # fmt: skip
# Values by their place: to look up each by its name takes a third longer.
_INSERT = f"INSERT INTO posts ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608
_VALUES = itemgetter(*_COLUMNS)

# By the page and not by a trigger: FTS5 writes a segment to the disk whenever a statement opens a savepoint, and every
# row of a statement with a trigger does.
_SEARCHABLE = "INSERT INTO posts_fts (rowid, title, text) VALUES (:id, :title, :text)"

_COUNT = """
INSERT INTO stored (source, posts) SELECT source, :sign * count(*) FROM posts
WHERE id IN (SELECT value FROM json_each(:ids)) AND deleted_at IS NULL GROUP BY source
ON CONFLICT (source) DO UPDATE SET posts = posts + excluded.posts
"""

_UPDATE = """
UPDATE posts SET url = coalesce(nullif(:url, ''), url), title = :title, text = :text,
    edited_at = coalesce(:edited_at, edited_at),
    day = CASE WHEN created_at IS NULL AND :created_at IS NOT NULL THEN :day ELSE day END,
    late = CASE WHEN created_at IS NULL AND :created_at IS NOT NULL THEN julianday(day) - julianday(:day) > 1
        ELSE late END,
    created_at = coalesce(created_at, :created_at), rating_value = :rating_value, rating_best = :rating_best,
    rating_worst = :rating_worst, rating = :rating, engagement = :engagement, lang = :lang,
    given_brand = :given_brand, text_hash = :text_hash
WHERE id = :id
"""

_DELETE = """
UPDATE posts SET deleted_at = ?, title = '', text = '', author = '', url = '', engagement = '{}', text_hash = '',
    federated_id = '', verify_due_at = NULL
WHERE id IN (SELECT value FROM json_each(?)) AND deleted_at IS NULL
"""

# The touchpoints go with their verdict.
_FORGET = (
    "DELETE FROM mentions WHERE post_id IN (SELECT value FROM json_each(?))",
    "DELETE FROM verdicts WHERE post_id IN (SELECT value FROM json_each(?))",
)

_AFTER = """
SELECT id, source, native_id, text, title, author, lang, given_brand FROM posts
WHERE id > ? AND deleted_at IS NULL AND expired_at IS NULL ORDER BY id LIMIT 500
"""

_NAMED = """
SELECT id FROM posts
WHERE source = ? AND native_id IN (SELECT value FROM json_each(?)) AND deleted_at IS NULL
"""

# The last letter of Unicode sorts behind whatever an id may go on with.
_BELOW = "SELECT id FROM posts WHERE source = ? AND native_id >= ? AND native_id < ? AND deleted_at IS NULL"

_BRANDS_OF = "SELECT post_id, brand, why FROM mentions WHERE post_id IN (SELECT value FROM json_each(?))"

_UNLINK = "DELETE FROM mentions WHERE post_id IN (SELECT value FROM json_each(?))"

_LINK = "INSERT INTO mentions (post_id, brand, why) VALUES (?, ?, ?)"


def save(
    connection: sqlite3.Connection, source: str, posts: Iterable[tuple[Row, Links | None]], now: datetime
) -> tuple[set[str], int]:
    """Adds the posts that are new and brings the known ones up to date; returns the native ids of those that were new,
    and how many were edited.

    A post without links (None) is not wanted: it is brought up to date where it is known, and else left out. Of a post
    that comes twice the last one counts.
    """
    arrived = {row["native_id"]: (row, links) for row, links in posts}
    found = connection.execute(_STORED, (source, json.dumps(list(arrived)))).fetchall()
    stored = {native_id: (post_id, over_at, was) for native_id, post_id, over_at, *was in found}
    new = [(row, links) for ident, (row, links) in arrived.items() if ident not in stored and links is not None]
    _insert(connection, new, now)
    known = [
        (row | {"id": stored[native_id][0]}, dict(links or {}), stored[native_id][2])
        for native_id, (row, links) in arrived.items()
        if native_id in stored and stored[native_id][1] is None
    ]
    crash.here("page.posts")
    return {row["native_id"] for row, _ in new}, _update(connection, known, now)


def _insert(connection: sqlite3.Connection, posts: Sequence[tuple[Row, Links]], now: datetime) -> None:
    # Ids are given here, not by SQLite, so that the rows that refer to them go in by the batch as well.
    (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM posts").fetchone()
    ids = range(last + 1, last + 1 + len(posts))
    rows = [row | {"id": post_id} for post_id, (row, _) in zip(ids, posts, strict=True)]
    connection.executemany(_INSERT, map(_VALUES, rows))
    _link(connection, zip(ids, (links for _, links in posts), strict=True))
    copies.let_go(connection, 2 * len(posts), now)  # twice as many as come in, so that no page pays for a year
    texts = (copies.text_of(row, links) for row, links in posts)
    copies.fold(connection, dict(zip(ids, texts, strict=True)))
    backlog.add(connection, ids)
    tally(connection, ids, 1)
    make_searchable(connection, rows)


def tally(connection: sqlite3.Connection, post_ids: Iterable[int], sign: int) -> None:
    """Counts these posts in (1) or out (-1) of what each source has; those that were deleted are in no count."""
    connection.execute(_COUNT, {"sign": sign, "ids": json.dumps(list(post_ids))})


def make_searchable(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Takes new posts into the search index; that of known ones follows by itself."""
    connection.executemany(_SEARCHABLE, rows)


def _update(connection: sqlite3.Connection, posts: Sequence[tuple[Row, Links, list[Any]]], now: datetime) -> int:
    named = brands_of(connection, [row["id"] for row, _, _ in posts])
    retold = [row["id"] for row, _, was in posts if was[0] != row["text_hash"]]
    links = {row["id"]: links for row, links, _ in posts}
    # What a person said of a text holds for that text.
    links |= overruling.owned(connection, {post_id: found for post_id, found in links.items() if post_id not in retold})
    relinked = {post_id: found for post_id, found in links.items() if named.get(post_id, {}) != found}
    edited = {row["id"] for row, _, was in posts if was != [row[column] for column in _CONTENT]}
    rerated = {row["id"] for row, _, was in posts if was[1:4] != [row[column] for column in _CONTENT[1:4]]}
    changed = [row for row, _, _ in posts if row["id"] in edited or row["id"] in relinked]
    if changed:
        with _changing(connection, [row["id"] for row in changed], {*retold, *relinked, *rerated}):
            overruling.end(connection, retold, "edited", now)
            connection.executemany(_UPDATE, changed)
            _relink(connection, relinked)
        backlog.renew(connection, retold)
    return len(edited)


@contextmanager
def _changing(connection: sqlite3.Connection, post_ids: Collection[int], speaking: Collection[int]) -> Iterator[None]:
    """Keeps rollups and clusters right while the body changes these posts. `speaking` are those of them whose text,
    brands or rating change, so that they may be copies of others than before.
    """
    with rollups.changing(connection, {*post_ids, *copies.of(connection, speaking)}):
        yield
        copies.release(connection, list(speaking))
        copies.fold(connection, copies.read(connection, speaking))


def after(connection: sqlite3.Connection, last: int) -> list[tuple[int, Post]]:
    """The next posts by their ids, with what a brand query may ask of them."""
    return [
        (post_id, Post(source, native_id, text, title=title, author=author, lang=lang, brand=brand))
        for post_id, source, native_id, text, title, author, lang, brand in connection.execute(_AFTER, (last,))
    ]


def relink(
    connection: sqlite3.Connection,
    posts: Sequence[tuple[int, Post]],
    match: Callable[[Post], Links],
) -> int:
    """Links posts, each with its id, to the brands that `match` finds; returns how many changed. The brand that the
    source named stays, whatever the text says.
    """
    before = brands_of(connection, [post_id for post_id, _ in posts])
    changed: dict[int, Links] = {}
    for post_id, post in posts:
        was = before.get(post_id, {})
        links = {**({post.brand: was.get(post.brand, "its source")} if post.brand else {}), **match(post)}
        changed[post_id] = links
    owned = overruling.owned(connection, changed)
    changed = {post_id: links for post_id, links in owned.items() if links != before.get(post_id, {})}
    link_anew(connection, changed)
    return len(changed)


def link_anew(connection: sqlite3.Connection, links: Mapping[int, Links]) -> None:
    """Makes these the brands of each post, with the rollups and the clusters of copies."""
    if links:
        with _changing(connection, links, links):
            _relink(connection, links)
            crash.here("relink.changed")


def delete(connection: sqlite3.Connection, post_ids: Sequence[int], now: datetime) -> int:
    """Empties posts and forgets what was made of them; returns how many. Identity and date stay."""
    if not post_ids:
        return 0
    chosen = json.dumps(post_ids)
    with rollups.changing(connection, {*post_ids, *copies.of(connection, post_ids)}):
        overruling.end(connection, post_ids, "deleted", now)
        tally(connection, post_ids, -1)
        done = connection.execute(_DELETE, (stamp(now), chosen)).rowcount
        crash.here("delete.emptied")
        for statement in _FORGET:
            connection.execute(statement, (chosen,))
        copies.release(connection, post_ids)
    backlog.remove(connection, post_ids)
    return done


def named(connection: sqlite3.Connection, source: str, native_ids: Iterable[str], below: Iterable[str]) -> list[int]:
    """The live posts of a source that have one of these native ids, or whose native id begins with one of `below`."""
    found = [row[0] for row in connection.execute(_NAMED, (source, json.dumps(list(native_ids))))]
    for start in filter(None, below):
        found += [row[0] for row in connection.execute(_BELOW, (source, start, start + "\U0010ffff"))]
    return sorted(set(found))


def brands_of(connection: sqlite3.Connection, post_ids: Sequence[int]) -> dict[int, dict[str, str]]:
    """The brands (brand -> why) of those posts that name any."""
    found: dict[int, dict[str, str]] = {}
    for post_id, brand, why in connection.execute(_BRANDS_OF, (json.dumps(post_ids),)):
        found.setdefault(post_id, {})[brand] = why
    return found


def _relink(connection: sqlite3.Connection, links: Mapping[int, Links]) -> None:
    connection.execute(_UNLINK, (json.dumps(list(links)),))
    _link(connection, links.items())


def _link(connection: sqlite3.Connection, links: Iterable[tuple[int, Links]]) -> None:
    rows = [(post_id, brand, storable(why)) for post_id, found in links for brand, why in found.items()]
    connection.executemany(_LINK, rows)
