"""Copies: one text that stands in several places is one voice, counted once. Runs inside the caller's transaction.

A post is a copy of an earlier one when both carry the same federated id; when they are an article or post of the same
address and say the same; or when their texts are nearly equal (MinHash, Broder 1997) and long enough that two people
would not write them by chance. Copies name the same brands and give the same rating: else they are two voices.
A copy points at its original, never at another copy, and is in no count while the original lives.
"""

from __future__ import annotations

import json
import re
import sqlite3
import zlib
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from itertools import chain
from typing import Any

from listener.migrations import stamp
from listener.text import model_input

LEAST_WORDS = 12  # "Great stay, friendly staff, would come again" is written by many
ALIKE = 0.8  # share of three-word pieces in common (Jaccard) from which on two texts are one
# With eight bands of four, texts that have 0.8 in common share a band in 98.5 % of cases, 0.5 in 40 %, 0.2 in 1 %.
_BANDS, _ROWS = 8, 4
_SEED = 20261125
_WINDOW = timedelta(days=45)  # copies come within days; older signatures are let go
# A band is stored as its 32 bits behind the number of the week its post came in. So new ones stand together in
# the index, and old ones too: else a page of posts would write to thousands of places all over it.
_WEEK_S = 7 * 86400
METHOD = "1"  # to be changed with the way bands are made: all are made anew then

_READ = """
SELECT id, title, text, url, kind, source, federated_id, rating, collected_at,
    (SELECT json_group_array(brand) FROM mentions WHERE post_id = posts.id) AS brands
FROM posts WHERE id IN (SELECT value FROM json_each(?)) AND deleted_at IS NULL AND expired_at IS NULL ORDER BY id
"""

# Of a page of posts few have anything in common with what is stored. One question for all of them finds those few.
_WITH_SAME_ID = """
SELECT p.id FROM posts p WHERE p.id IN (SELECT value FROM json_each(?)) AND p.federated_id <> '' AND EXISTS (
    SELECT 1 FROM posts o WHERE o.federated_id = p.federated_id AND o.federated_id <> '' AND o.id < p.id
    AND o.deleted_at IS NULL)
"""

_WITH_SAME_ADDRESS = """
SELECT p.id FROM posts p WHERE p.id IN (SELECT value FROM json_each(?)) AND p.url <> ''
AND p.kind IN ('post', 'article') AND EXISTS (
    SELECT 1 FROM posts o WHERE o.url = p.url AND o.url <> '' AND o.kind IN ('post', 'article') AND o.id < p.id
    AND o.deleted_at IS NULL)
"""

# Each by one step in the index.
_WEEKS = """
WITH RECURSIVE there (week) AS (
    SELECT min(band) >> 32 FROM bands
    UNION ALL SELECT (SELECT min(band) >> 32 FROM bands WHERE band >= (week + 1) << 32) FROM there
    WHERE week IS NOT NULL
)
SELECT week FROM there WHERE week IS NOT NULL
"""

_BANDS_THERE = """
SELECT b.value FROM json_each(?2) w CROSS JOIN json_each(?1) b
WHERE EXISTS (SELECT 1 FROM bands WHERE band = (w.value << 32) + b.value)
"""

_SAME_ID = """
SELECT coalesce(copy_of, id) FROM posts WHERE federated_id = ? AND id < ? AND deleted_at IS NULL ORDER BY id LIMIT 1
"""

_SAME_ADDRESS = """
SELECT DISTINCT coalesce(copy_of, id) FROM posts
WHERE url = ? AND url <> '' AND kind IN ('post', 'article') AND id < ? AND deleted_at IS NULL LIMIT 20
"""

_SAME_BAND = """
SELECT DISTINCT post_id FROM bands
WHERE band IN (SELECT (w.value << 32) + b.value FROM json_each(?) b JOIN json_each(?) w) AND post_id <> ? LIMIT 50
"""

_UNSIGN = (
    """DELETE FROM bands WHERE (band, post_id) IN (
        SELECT b.value, s.post_id FROM signatures s JOIN json_each(s.bands) b
        WHERE s.post_id IN (SELECT value FROM json_each(?)))""",
    "DELETE FROM signatures WHERE post_id IN (SELECT value FROM json_each(?))",
)

_OF = "SELECT id FROM posts WHERE copy_of IN (SELECT value FROM json_each(?)) AND deleted_at IS NULL ORDER BY id"

_HEIRS = """
SELECT copy_of, min(id) FROM posts WHERE copy_of IN (SELECT value FROM json_each(?)) AND deleted_at IS NULL
GROUP BY copy_of
"""

_LET_GO = (
    """DELETE FROM bands WHERE (band, post_id) IN (
        SELECT band, post_id FROM bands WHERE band < :before ORDER BY band LIMIT :bands)""",
    """DELETE FROM signatures WHERE post_id IN (
        SELECT post_id FROM (SELECT post_id, bands FROM signatures ORDER BY post_id LIMIT :posts)
        WHERE json_extract(bands, '$[0]') < :before)""",
)

_TO_SIGN = """
SELECT id FROM posts WHERE copy_of IS NULL AND deleted_at IS NULL AND expired_at IS NULL AND id > :after
    AND collected_at >= :since ORDER BY id LIMIT 1000
"""


@dataclass(frozen=True)
class Text:
    """What a post is compared by. `brands` in the order of the alphabet."""

    title: str
    url: str
    kind: str
    source: str
    federated_id: str
    rating: float | None
    collected_at: str
    brands: tuple[str, ...]
    words: list[str]

    @property
    def week(self) -> int:
        """The number of the week it came in."""
        return _week(self.collected_at)

    @property
    def pieces(self) -> list[str]:
        """The runs of three words, which a text is compared by."""
        return list(map(" ".join, zip(self.words, self.words[1:], self.words[2:], strict=False)))

    @cached_property
    def bands(self) -> list[int]:
        """32 bits for each band of the text's signature; none of a text too short to be told by. Two texts share a
        band with the chance told at `_BANDS`.
        """
        import rensa

        if len(self.words) < LEAST_WORDS:
            return []
        signature = rensa.RMinHash(num_perm=_BANDS * _ROWS, seed=_SEED)
        signature.update(self.pieces)
        rows, size = array("I", signature.digest()).tobytes(), 4 * _ROWS
        return [zlib.crc32(rows[size * band : size * (band + 1)], band) for band in range(_BANDS)]


def text_of(row: Mapping[str, Any], brands: Iterable[str]) -> Text:
    """The text of a post, of which `row` has the columns."""
    return Text(
        title=row["title"], url=row["url"], kind=row["kind"], source=row["source"], federated_id=row["federated_id"],
        rating=row["rating"], collected_at=row["collected_at"], brands=tuple(sorted(brands)),
        words=re.findall(r"\w+", model_input(row["title"], row["text"]).casefold()),
    )  # fmt: skip


def read(connection: sqlite3.Connection, post_ids: Iterable[int]) -> dict[int, Text]:
    """The texts of those posts that still have one, by their ids and in their order."""
    cursor = connection.execute(_READ, (json.dumps(list(post_ids)),))
    names = [column for column, *_ in cursor.description]
    rows = [dict(zip(names, row, strict=True)) for row in cursor]
    return {row["id"]: text_of(row, json.loads(row["brands"])) for row in rows}


def of(connection: sqlite3.Connection, post_ids: Iterable[int]) -> list[int]:
    """The live copies of these posts."""
    return [post_id for (post_id,) in connection.execute(_OF, (json.dumps(list(post_ids)),))]


def fold(connection: sqlite3.Connection, texts: Mapping[int, Text]) -> int:
    """Looks for the originals of posts that are new, or were changed and `released`; returns how many are copies."""
    asked = json.dumps(list(texts))
    same_id, same_address = (
        {post_id for (post_id,) in connection.execute(query, (asked,))} for query in (_WITH_SAME_ID, _WITH_SAME_ADDRESS)
    )
    weeks, bands = _weeks(connection, texts.values()), [text.bands for text in texts.values()]
    signed = _bands_there(connection, bands, weeks)
    shared = {band for band, texts_of_it in Counter(chain.from_iterable(bands)).items() if texts_of_it > 1}
    alone: dict[int, Text] = {}  # those of them that are no copies
    for post_id, text in texts.items():
        original = None
        if post_id in same_id:
            original = _of_same_id(connection, post_id, text)
        if original is None and post_id in same_address:
            original = _of_same_address(connection, post_id, text)
        if original is None and not signed.isdisjoint(text.bands):
            original = _of_same_words(text, read(connection, _near(connection, post_id, text, weeks)))
        if original is None and not shared.isdisjoint(text.bands):
            own = set(text.bands)
            near = {other: its for other, its in alone.items() if not own.isdisjoint(its.bands)}
            original = _of_same_words(text, near)
        if original is None:
            alone[post_id] = text
        else:
            connection.execute("UPDATE posts SET copy_of = ? WHERE id = ?", (original, post_id))
    _sign(connection, alone)
    return len(texts) - len(alone)


def release(connection: sqlite3.Connection, post_ids: Sequence[int]) -> None:
    """Takes posts out of their clusters, because they changed or are gone. The first copy of an original takes its
    place. The rollups are to be told of the posts and of all their copies.
    """
    chosen = json.dumps(list(post_ids))
    unsign(connection, post_ids)
    connection.execute("UPDATE posts SET copy_of = NULL WHERE id IN (SELECT value FROM json_each(?))", (chosen,))
    heirs = dict(connection.execute(_HEIRS, (chosen,)).fetchall())
    for original, heir in heirs.items():
        connection.execute("UPDATE posts SET copy_of = ? WHERE copy_of = ?", (heir, original))
        connection.execute("UPDATE posts SET copy_of = NULL WHERE id = ?", (heir,))
    _sign(connection, read(connection, heirs.values()))


def unsign(connection: sqlite3.Connection, post_ids: Iterable[int]) -> None:
    """Forgets by what these posts would be known as copies."""
    chosen = json.dumps(list(post_ids))
    for statement in _UNSIGN:
        connection.execute(statement, (chosen,))


def sign_again(connection: sqlite3.Connection) -> None:
    """Makes the signatures of all posts that may still have copies to come."""
    connection.execute("DELETE FROM bands")
    connection.execute("DELETE FROM signatures")
    (last,) = connection.execute("SELECT max(collected_at) FROM posts").fetchone()
    asked = {"after": 0, "since": stamp(datetime.fromisoformat(last) - _WINDOW) if last else ""}
    while ids := [post_id for (post_id,) in connection.execute(_TO_SIGN, asked)]:
        _sign(connection, read(connection, ids))
        asked["after"] = ids[-1]


def let_go(connection: sqlite3.Connection, at_most: int, now: datetime) -> None:
    """Deletes the signatures of up to so many posts that are too old to have copies still to come."""
    before = int((now - _WINDOW).timestamp()) // _WEEK_S << 32
    for statement in _LET_GO:
        connection.execute(statement, {"before": before, "posts": at_most, "bands": _BANDS * at_most})


@lru_cache(maxsize=64)
def _week(collected_at: str) -> int:
    return int(datetime.fromisoformat(collected_at).timestamp()) // _WEEK_S


def _of_same_id(connection: sqlite3.Connection, post_id: int, text: Text) -> int | None:
    same = connection.execute(_SAME_ID, (text.federated_id, post_id)).fetchone()
    return int(same[0]) if same else None


def _of_same_address(connection: sqlite3.Connection, post_id: int, text: Text) -> int | None:
    near = [row[0] for row in connection.execute(_SAME_ADDRESS, (text.url, post_id))]
    return next((other for other, its in read(connection, near).items() if _same_page(text, its)), None)


def _of_same_words(text: Text, near: Mapping[int, Text]) -> int | None:
    mine = set(text.pieces)
    alike = (one for one, its in near.items() if _one_voice(text, its) and _in_common(mine, set(its.pieces)) >= ALIKE)
    return next(alike, None)


def _near(connection: sqlite3.Connection, post_id: int, text: Text, weeks: Sequence[int]) -> list[int]:
    """Stored originals that share a band with the text."""
    asked = json.dumps(text.bands), json.dumps(weeks), post_id
    return [other for (other,) in connection.execute(_SAME_BAND, asked)]


def _one_voice(text: Text, other: Text) -> bool:
    return text.brands == other.brands and text.rating == other.rating


def _same_page(text: Text, other: Text) -> bool:
    """Whether two posts of one address are one: a feed may show the title alone, or the beginning of the text."""
    if not _one_voice(text, other):
        return False
    # One source may give the same address and title to many posts, such as "Status update".
    if text.source != other.source and text.title and text.title.casefold() == other.title.casefold():
        return True
    mine, theirs = set(text.pieces), set(other.pieces)
    return min(len(mine), len(theirs)) >= 3 and len(mine & theirs) >= ALIKE * min(len(mine), len(theirs))


def _in_common(mine: set[str], theirs: set[str]) -> float:
    return len(mine & theirs) / (len(mine | theirs) or 1)


def _weeks(connection: sqlite3.Connection, texts: Iterable[Text]) -> list[int]:
    """Those that stored signatures are of, and these posts."""
    return list({*(each for (each,) in connection.execute(_WEEKS)), *(text.week for text in texts)})


def _bands_there(connection: sqlite3.Connection, bands: Iterable[Iterable[int]], weeks: Sequence[int]) -> set[int]:
    """Those of the bands that a stored signature has."""
    asked = json.dumps(sorted(chain.from_iterable(bands))), json.dumps(weeks)
    return {band for (band,) in connection.execute(_BANDS_THERE, asked)}


def _sign(connection: sqlite3.Connection, texts: Mapping[int, Text]) -> None:
    """Saves the bands of each post."""
    weeks = {post_id: text.week << 32 for post_id, text in texts.items()}
    stored = {post_id: [weeks[post_id] + band for band in text.bands] for post_id, text in texts.items()}
    signed = [(post_id, json.dumps(bands)) for post_id, bands in stored.items() if bands]
    connection.executemany("INSERT OR REPLACE INTO signatures VALUES (?, ?)", signed)
    rows = sorted((band, post_id) for post_id, bands in stored.items() for band in bands)
    connection.executemany("INSERT OR IGNORE INTO bands VALUES (?, ?)", rows)
