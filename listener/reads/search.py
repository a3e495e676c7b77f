"""Finding stored posts: filters that people give, full-text queries, and the rows that come out. Reads only."""

from __future__ import annotations

import difflib
import json
import math
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal

from listener.engine.labels import MOMENTS, PHASES, SENTIMENTS, TOUCHPOINTS
from listener.errors import ListenerError
from listener.migrations import moment_of, stamp
from listener.reads import newest

_CHECKED = {"brand": "named", "moment": "moments", "sentiment": "sentiments", "touchpoint": "touchpoints",
            "topic": "topics", "source": "sources"}  # fmt: skip

_POSTS = """
SELECT p.id, p.source, p.native_id, p.kind, p.url, p.title, p.text, p.author, p.created_at, p.edited_at, p.collected_at,
    p.day, p.rating_value, p.rating_best, p.rating_worst, p.rating, p.engagement, p.parent, p.lang,
    (SELECT json_group_object(brand, why) FROM mentions WHERE post_id = p.id) AS brands,
    v.moment, v.sentiment, v.score, v.confidence, v.abstained, v.language, v.unread, v.model,
    v.judged_by,
    (SELECT json_group_array(touchpoint) FROM verdict_touchpoints WHERE post_id = p.id) AS touchpoints,
    (SELECT json_group_array(source) FROM (SELECT source FROM posts c WHERE c.copy_of = p.id AND c.deleted_at IS NULL
        ORDER BY c.id)) AS copies
FROM posts p LEFT JOIN verdicts v ON v.post_id = p.id
WHERE p.deleted_at IS NULL AND p.expired_at IS NULL AND p.copy_of IS NULL AND {which}
ORDER BY coalesce(p.created_at, p.collected_at) DESC, p.id DESC LIMIT :limit
"""

_JUDGED = """
SELECT p.id, v.score, p.rating, p.engagement, coalesce(p.created_at, p.collected_at)
FROM posts p JOIN verdicts v ON v.post_id = p.id LEFT JOIN mentions m ON m.post_id = p.id
WHERE p.day BETWEEN :first AND :day AND coalesce(m.brand, '') = :brand AND p.deleted_at IS NULL
    AND (:sources IS NULL OR p.source IN (SELECT value FROM json_each(:sources)))
    AND p.expired_at IS NULL AND p.copy_of IS NULL AND (:moment IS NULL OR (v.moment = :moment AND NOT v.abstained))
    AND (:sentiment IS NULL OR (v.sentiment = :sentiment AND NOT v.unread))
"""

# The distinct brands by one index step each, not by reading every mention.
_BRANDS = """
WITH RECURSIVE step (brand) AS (
    SELECT min(brand) FROM mentions
    UNION ALL SELECT (SELECT min(brand) FROM mentions WHERE brand > step.brand) FROM step WHERE step.brand IS NOT NULL
)
SELECT brand FROM step WHERE brand IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class PostRow:
    """A stored post with all a person wants to see of it; what was not judged or not given is None."""

    id: int
    source: str
    native_id: str
    kind: str
    url: str
    title: str
    text: str
    author: str  # a keyed hash, unless the owner asked otherwise
    created_at: datetime | None  # aware UTC, like all times
    edited_at: datetime | None
    collected_at: datetime
    day: date  # the local day it belongs to
    rating_value: float | None
    rating_best: float | None
    rating_worst: float | None
    rating: float | None  # 0..1
    engagement: dict[str, int]
    parent: str
    lang: str
    brands: dict[str, str]  # brand -> why the post was linked to it
    moment: str | None
    phase: str | None  # None too when the verdict abstained
    sentiment: str | None
    score: float | None
    confidence: float | None
    abstained: bool | None
    language: str | None  # as detected, ISO 639-1; "" when it could not be told. `lang` is what the source said
    unread: bool | None  # in a language no model knows, or without a word; sentiment and score are None then
    touchpoints: tuple[str, ...]
    model: str | None
    judged_by: str | None  # "person" where one corrected it, else "model"; `model` is what had judged it before
    copies: tuple[str, ...]  # the source of every copy of it that is stored: it is shown and counted once

    def as_json(self) -> dict[str, Any]:
        """The row with times as ISO 8601 text, ready for `json.dumps`."""
        row = asdict(self)
        for name in ("created_at", "edited_at", "collected_at"):
            row[name] = row[name] and stamp(row[name])
        return row | {"day": self.day.isoformat(), "touchpoints": list(self.touchpoints), "copies": list(self.copies)}


def posts(
    reader: sqlite3.Connection,
    query: str = "",
    *,
    brand: str | None = None,
    moment: str | None = None,
    phase: str | None = None,
    sentiment: str | None = None,
    touchpoint: str | None = None,
    topic: str | None = None,
    source: str | None = None,
    since: date | None = None,
    until: date | None = None,
    before: tuple[str, int] | None = None,
    limit: int = 20,
) -> list[PostRow]:
    """The posts that meet every condition given, newest first. `query`: words, "phrases", prefix*, AND, OR, NOT and
    parentheses. `since` and `until` are local days, both included. `before`: the posts that follow in the list on that
    of this time (a stamp) and id.

    Raises ListenerError: a query that cannot be read, a name that does not exist, `since` after `until`.
    """
    used = _used(
        reader, query, phase=phase, brand=brand, moment=moment, sentiment=sentiment, touchpoint=touchpoint,
        topic=topic, source=source, since=since, until=until,
    )  # fmt: skip
    with readable(query):
        return by_id(reader, newest.ids(reader, used | ({"before": before} if before else {}), limit))


def stream(
    reader: sqlite3.Connection,
    query: str = "",
    *,
    brand: str | None = None,
    moment: str | None = None,
    phase: str | None = None,
    sentiment: str | None = None,
    touchpoint: str | None = None,
    topic: str | None = None,
    source: str | None = None,
    since: date | None = None,
    until: date | None = None,
) -> Iterator[PostRow]:
    """The same, one at a time, and all of them."""
    used = _used(
        reader, query, phase=phase, brand=brand, moment=moment, sentiment=sentiment, touchpoint=touchpoint,
        topic=topic, source=source, since=since, until=until,
    )  # fmt: skip
    which = " AND ".join(newest.CONDITIONS[name] for name in used) or "true"
    with readable(query):
        for row in reader.execute(_POSTS.format(which=which), {**used, "limit": -1}):
            yield _post_row(row)


def _used(
    reader: sqlite3.Connection,
    query: str,
    *,
    phase: str | None,
    since: date | None,
    until: date | None,
    **names: str | None,
) -> dict[str, Any]:
    """The conditions that were given, checked: name -> value."""
    check_period(since, until)
    check_names(reader, **{_CHECKED[name]: [value] for name, value in names.items()})
    days = {name: day.isoformat() for name, day in (("since", since), ("until", until)) if day}
    moments = phase and json.dumps(_moments_of(phase))
    given = {"query": fts_query(query), "phase": moments, **names, **days}
    return {name: value for name, value in given.items() if value}


def _moments_of(phase: str) -> list[str]:
    """The moments of research, transaction, feedback or none. Raises ListenerError for another word."""
    _check("phase", [phase], list(dict.fromkeys(PHASES.values())))
    return [moment for moment, of in PHASES.items() if of == phase]


def top_posts(
    reader: sqlite3.Connection,
    day: date,
    brand: str,
    moment: str | None = None,
    sentiment: str | None = None,
    limit: int = 5,
    order: Literal["severity", "recent"] = "severity",
    *,
    days: int = 1,
    sources: Sequence[str] = (),
) -> list[PostRow]:
    """The judged posts of a local day (or of the last `days` up to it) and brand ("" for posts that name none) that a
    person should read first.

    "severity": the most negative, worst rated, most noticed first. "recent": the newest first.
    """
    values = {
        "first": (day - timedelta(days=days - 1)).isoformat(), "day": day.isoformat(), "brand": brand,
        "moment": moment, "sentiment": sentiment, "sources": json.dumps(list(sources)) if sources else None,
    }  # fmt: skip
    found = reader.execute(_JUDGED, values).fetchall()
    found.sort(key=_severity if order == "severity" else lambda row: (row[4], row[0]), reverse=True)
    return by_id(reader, [row[0] for row in found[:limit]])


def by_id(reader: sqlite3.Connection, ids: Sequence[int]) -> list[PostRow]:
    """These posts, in this order."""
    which = "p.id IN (SELECT value FROM json_each(:ids))"
    rows = reader.execute(_POSTS.format(which=which), {"ids": json.dumps(ids), "limit": len(ids)}).fetchall()
    places = {post_id: place for place, post_id in enumerate(ids)}
    return sorted(map(_post_row, rows), key=lambda row: places[row.id])


def _severity(row: tuple[int, float, float | None, str, str]) -> tuple[float, str, int]:
    post_id, score, rating, engagement, at = row
    noticed = math.log1p(max(0, sum(json.loads(engagement).values())))
    # Score and rating both run over two units; a thousand likes weigh about as much as a third of that.
    return (-score + (0.0 if rating is None else 1 - 2 * rating) + noticed / 10, at, post_id)


def _post_row(row: sqlite3.Row) -> PostRow:
    values = dict(row)
    judged = values["moment"] is not None
    for name in ("created_at", "edited_at", "collected_at"):
        values[name] = moment_of(values[name])
    return PostRow(
        **values
        | {
            "day": date.fromisoformat(values["day"]),
            "engagement": json.loads(values["engagement"]),
            "brands": json.loads(values["brands"]),
            "phase": PHASES[values["moment"]] if judged and not values["abstained"] else None,
            "abstained": bool(values["abstained"]) if judged else None,
            "unread": bool(values["unread"]) if judged else None,
            **({"sentiment": None, "score": None} if values["unread"] else {}),
            "touchpoints": tuple(json.loads(values["touchpoints"])),
            "copies": tuple(json.loads(values["copies"])),
        }
    )


def brands(reader: sqlite3.Connection) -> list[str]:
    """The brands that stored posts name, in alphabetical order."""
    return [name for (name,) in reader.execute(_BRANDS)]


def check_period(since: date | None, until: date | None) -> None:
    """Raises ListenerError when a period ends before it begins."""
    if since and until and since > until:
        raise ListenerError(f"the period begins on {since} and ends before that, on {until}; swap the two")


def check_names(
    reader: sqlite3.Connection,
    *,
    named: Iterable[str | None] = (),
    moments: Iterable[str | None] = (),
    sentiments: Iterable[str | None] = (),
    touchpoints: Iterable[str | None] = (),
    topics: Iterable[str | None] = (),
    sources: Iterable[str | None] = (),
) -> None:
    """Raises ListenerError for the first name that does not exist, with the nearest that does. Empty names pass."""
    for kind, names, there in (
        ("moment", moments, MOMENTS),
        ("sentiment", sentiments, SENTIMENTS),
        ("touchpoint", touchpoints, TOUCHPOINTS),
    ):
        _check(kind, names, there)
    if wanted := list(filter(None, named)):
        _check("brand", wanted, brands(reader))
    for kind, names in (("topic", topics), ("source", sources)):
        if wanted := list(filter(None, names)):
            _check(kind, wanted, [name for (name,) in reader.execute(f"SELECT name FROM {kind}s ORDER BY name")])  # noqa: S608


def _check(kind: str, names: Iterable[str | None], there: Sequence[str]) -> None:
    for name in filter(None, names):
        if name not in there:
            folded = {known.casefold(): known for known in there}
            near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
            hint = f"did you mean {folded[near[0]]!r}?" if near else f"there are: {', '.join(there) or 'none yet'}"
            raise ListenerError(f"there is no {kind} {name!r} in the database; {hint}")


# --- full-text queries ---

_PIECE = re.compile(r'"[^"]*"\*?|[()]|[^\s()"]+')
_OPERATORS = ("AND", "OR", "NOT")


def fts_query(query: str) -> str:
    """What people type, as FTS5 reads it: words quoted, so that no sign in them is syntax; operators kept.

    Words side by side must all be there; `AND NOT` is read as NOT. Empty for an empty query.

    Raises ListenerError when a quotation mark is not closed or nothing can be searched for.
    """
    query = query.encode("utf-8", "ignore").decode().replace("\0", " ").strip()
    if query.count('"') % 2:
        raise _unreadable(query, "a quotation mark is not closed")
    if query and not any(map(str.isalnum, query)):
        raise _unreadable(query, "it holds no word")
    written: list[str] = []
    for piece in _PIECE.findall(query):
        if piece not in "()" and not any(map(str.isalnum, piece)):
            continue  # nothing but signs, which the index does not hold
        if piece == "NOT" and written[-1:] == ["AND"]:
            written.pop()  # FTS5 knows NOT between two terms only
        elif written and piece not in (*_OPERATORS, ")") and written[-1] not in (*_OPERATORS, "("):
            written.append("AND")
        written.append(_term(piece))
    return " ".join(written)


def _term(piece: str) -> str:
    if piece in (*_OPERATORS, "(", ")"):
        return piece
    words = piece.removesuffix("*").strip('"')
    return f'"{words}" *' if piece.endswith("*") else f'"{words}"'


@contextmanager
def readable(query: str) -> Iterator[None]:
    """Turns SQLite's complaint about a full-text query into ListenerError."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "fts5" not in str(error):
            raise
        raise _unreadable(query, "an operator or a parenthesis is out of place") from error


def _unreadable(query: str, why: str) -> ListenerError:
    return ListenerError(
        f'the search {query!r} cannot be read: {why}. Write words, "phrases in quotes", prefix*, and between them '
        "AND, OR or NOT (a NOT b); put AND, OR and NOT in quotes to search for the words"
    )
