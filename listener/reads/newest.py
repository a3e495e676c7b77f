"""The newest posts that fit, found without a look at all that fit. Reads only.

Posts are walked from the newest, which finds what is common at once. What is rare is fetched by its ids and sorted. Of
common words neither would do: a walk cannot ask the search index post by post, which costs it as much as reading a list
of thousands, and the list of all posts that hold the words is long. So the walk goes in stretches, and asks for the
words once for each.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

_RARE = 20_000  # posts that hold the words: so many are fetched and sorted in some 50 ms
_RARE_BRAND = 5_000
_STRETCH, _LONGEST_STRETCH = 4_000, 256_000
_AT_ONCE = 1_000

# What is not counted is not found either: a moment the model was not sure of, a sentiment of what it could not read.
CONDITIONS = {
    "query": "p.id IN (SELECT rowid FROM posts_fts WHERE posts_fts MATCH :query)",
    "brand": "EXISTS (SELECT 1 FROM mentions WHERE post_id = p.id AND brand = :brand)",
    "moment": "v.moment = :moment AND NOT v.abstained",
    "phase": "v.moment IN (SELECT value FROM json_each(:phase)) AND NOT v.abstained",
    "sentiment": "v.sentiment = :sentiment AND NOT v.unread",
    "touchpoint": "EXISTS (SELECT 1 FROM verdict_touchpoints WHERE post_id = p.id AND touchpoint = :touchpoint)",
    "topic": "p.id IN (SELECT post_id FROM post_topics WHERE topic = :topic AND coalesce(right, 1))",
    "source": "p.source = :source",
    "since": "p.day >= :since",
    "until": "p.day <= :until",
    # After the post of this time and id, in the order in which the newest come first.
    "before": "(coalesce(p.created_at, p.collected_at), p.id) < (:before_at, :before_id)",
}

# The index of times cannot tell local days, but a day and a bit around them.
_TIME = "coalesce(p.created_at, p.collected_at)"
_BOUNDS = {"since": f"{_TIME} >= :not_before", "until": f"{_TIME} < :not_after", "before": f"{_TIME} <= :before_at"}

_OF_BRAND = "p.id IN (SELECT post_id FROM mentions WHERE brand = :brand)"
_OF_BRAND_AND_WORDS = """
p.id IN (SELECT rowid FROM posts_fts WHERE posts_fts MATCH :query
    AND +rowid IN (SELECT post_id FROM mentions WHERE brand = :brand))
"""

_IDS = f"""
SELECT p.id FROM posts p LEFT JOIN verdicts v ON v.post_id = p.id
WHERE p.deleted_at IS NULL AND p.expired_at IS NULL AND p.copy_of IS NULL AND {{which}}
ORDER BY {{order}} {_TIME} DESC, p.id DESC LIMIT :limit
"""  # noqa: S608  # SQL of ours

_NEXT = f"""
SELECT p.id FROM posts p WHERE p.deleted_at IS NULL AND {{which}}
ORDER BY {_TIME} DESC, p.id DESC LIMIT :stretch OFFSET :done
"""  # noqa: S608
_NEXT_OF_ALL = _NEXT.replace("p.deleted_at IS NULL AND ", "")

_HITS = """
SELECT rowid FROM posts_fts WHERE posts_fts MATCH :query AND rowid BETWEEN :low AND :high
    AND +rowid IN (SELECT value FROM json_each(:ids))
"""

_FIT = """
SELECT p.id FROM posts p LEFT JOIN verdicts v ON v.post_id = p.id WHERE p.id IN (SELECT value FROM json_each(:ids))
    AND p.deleted_at IS NULL AND p.expired_at IS NULL AND p.copy_of IS NULL AND {which}
"""

_WITH_WORDS = "SELECT count(*) FROM (SELECT 1 FROM posts_fts WHERE posts_fts MATCH ? LIMIT ?)"
_WITH_BRAND = "SELECT count(*) FROM (SELECT 1 FROM mentions WHERE brand = ? LIMIT ?)"


def ids(reader: sqlite3.Connection, used: Mapping[str, Any], limit: int) -> list[int]:
    """The ids of the newest posts, the newest first, that meet all of these: name of `CONDITIONS` -> value."""
    values = {**used, **_bounds(used), "limit": limit}
    which = {name: CONDITIONS[name] for name in used}
    rare_brand = "brand" in used and not _at_least(reader, _WITH_BRAND, used["brand"], _RARE_BRAND)
    if rare_brand:
        which["brand"] = _OF_BRAND_AND_WORDS if which.pop("query", "") else _OF_BRAND
    elif "query" in used and _at_least(reader, _WITH_WORDS, used["query"], _RARE):
        del which["query"]
        return _walked(reader, which, values, limit)
    few = rare_brand or "query" in used or "topic" in used
    # The sign keeps SQLite from walking all posts in their order when few are asked for.
    conditions = [*which.values(), *(() if few else (_BOUNDS[name] for name in _BOUNDS if name in used))]
    query = _IDS.format(which=" AND ".join(conditions) or "true", order="+" if few else "")
    return [post_id for (post_id,) in map(tuple, reader.execute(query, values))]


def _walked(reader: sqlite3.Connection, which: Mapping[str, str], values: Mapping[str, Any], limit: int) -> list[int]:
    bounds = [_BOUNDS[name] for name in _BOUNDS if name in which] + [which[name] for name in which if name == "source"]
    step = (_NEXT if "source" in which else _NEXT_OF_ALL).format(which=" AND ".join(bounds) or "true")
    fit = _FIT.format(which=" AND ".join(which.values()) or "true")
    found: list[int] = []
    done, stretch = 0, _STRETCH
    while len(found) < limit:
        walk = [row[0] for row in reader.execute(step, {**values, "stretch": stretch, "done": done})]
        if not walk:
            break
        place = {"low": min(walk), "high": max(walk), "ids": json.dumps(walk)}
        hits = {row[0] for row in reader.execute(_HITS, {**values, **place})}
        found += _fitting(reader, fit, values, [post_id for post_id in walk if post_id in hits], limit - len(found))
        done, stretch = done + len(walk), min(4 * stretch, _LONGEST_STRETCH)
    return found


def _fitting(
    reader: sqlite3.Connection, fit: str, values: Mapping[str, Any], hits: Sequence[int], limit: int
) -> list[int]:
    """The first of these posts that meet the other conditions, in their order."""
    found: list[int] = []
    for at in range(0, len(hits), _AT_ONCE):
        some = hits[at : at + _AT_ONCE]
        fitting = {row[0] for row in reader.execute(fit, {**values, "ids": json.dumps(some)})}
        found += [post_id for post_id in some if post_id in fitting]
        if len(found) >= limit:
            break
    return found[:limit]


def _bounds(used: Mapping[str, Any]) -> dict[str, Any]:
    """The first and last moment, in UTC, that can belong to the local days asked for, and the place to go on from."""
    found: dict[str, Any] = {}
    if "before" in used:
        found["before_at"], found["before_id"] = used["before"]
    if "since" in used:
        found["not_before"] = _shifted(used["since"], -1)
    if "until" in used:
        found["not_after"] = _shifted(used["until"], 2)
    return found


def _shifted(day: str, days: int) -> str:
    try:
        return (date.fromisoformat(day) + timedelta(days=days)).isoformat()
    except OverflowError:  # the first and the last days there are
        return day if days < 0 else "9999-99"


def _at_least(reader: sqlite3.Connection, count: str, value: str, number: int) -> bool:
    return int(reader.execute(count, (value, number)).fetchone()[0]) >= number
