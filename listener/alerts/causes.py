"""Why an alert: the words that stand out, the sources, the largest cluster of copies, and the posts to read first."""

from __future__ import annotations

import json
import math
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import pairwise

from listener.migrations import stamp

POSTS_READ = 2000  # of a window, the newest: enough to see what they speak about
_EARLIER_READ = 500  # of the same hours of an earlier week
_LEAST_SEEN = 5  # before now: a term that stands in so many posts is not new
_SURE_Z = 2.6
_TERMS_SHOWN, _POSTS_SHOWN = 6, 5
_LONGEST = 3000  # characters of a post that its terms are taken from
_WORD = re.compile(r"[^\W\d_][\w'’-]{2,30}")
# Words that tell nothing of a cause, alone or beside another.
_PLAIN = frozenset(
    """
    the and for you your was were are not but with that this these those they them their there have has had from
    our all out its she her him his who what when where why how will would could should can been being than then
    too very just any some one into about after before also did does
    """.split()  # noqa: SIM905  # fifty quotes more would help nobody
)

_POSTS = """
SELECT p.id, p.source, p.title, p.text, p.author, p.engagement,
    coalesce(v.sentiment = 'negative' AND NOT v.unread, 0),
    EXISTS (SELECT 1 FROM verdict_touchpoints WHERE post_id = p.id AND touchpoint = :touchpoint)
FROM posts p LEFT JOIN verdicts v ON v.post_id = p.id
WHERE coalesce(p.created_at, p.collected_at) >= :since AND coalesce(p.created_at, p.collected_at) < :until
    AND p.deleted_at IS NULL AND p.expired_at IS NULL AND p.copy_of IS NULL
    AND EXISTS (SELECT 1 FROM mentions WHERE post_id = p.id AND brand = :brand)
ORDER BY coalesce(p.created_at, p.collected_at) DESC LIMIT :limit
"""

_COPIES = """
SELECT copy_of, count(*) FROM posts WHERE copy_of IN (SELECT value FROM json_each(?)) AND deleted_at IS NULL
GROUP BY copy_of ORDER BY 2 DESC, 1 LIMIT 1
"""

_SEEN_BEFORE = "SELECT rowid FROM posts_fts WHERE posts_fts MATCH ? AND rowid < ? LIMIT ?"


@dataclass(frozen=True, slots=True)
class Said:
    """A post as its causes are read: which terms it holds, who wrote it, how it was taken note of."""

    id: int
    source: str
    author: str  # as it is kept; the post's own id where authors are not kept
    terms: frozenset[str]
    engagement: int
    negative: bool
    touches: bool


@dataclass(frozen=True, slots=True)
class Cause:
    """`terms` and `sources` with the number of posts each; `copies`: of the post that stands in most places."""

    terms: tuple[tuple[str, int], ...]
    sources: tuple[tuple[str, int], ...]
    copies: int
    posts: tuple[int, ...]


def said(
    reader: sqlite3.Connection, brand: str, since: datetime, until: datetime, limit: int = POSTS_READ, about: str = ""
) -> list[Said]:
    """The posts of a brand that were written in those hours, newest first; `about` a touchpoint, if one is given."""
    values = {"brand": brand, "since": stamp(since), "until": stamp(until), "limit": limit, "touchpoint": about}
    return [
        Said(
            post_id, source, author or f"post {post_id}", terms(f"{title}\n{text}"),
            sum(max(int(number), 0) for number in json.loads(engagement).values()),
            bool(negative), bool(touches),
        )
        for post_id, source, title, text, author, engagement, negative, touches in reader.execute(_POSTS, values)
    ]  # fmt: skip


@lru_cache(maxsize=4096)
def terms(text: str) -> frozenset[str]:
    """The words of a text and its pairs of neighbouring words, in lower case, without those that tell nothing."""
    words = _WORD.findall(text[:_LONGEST].casefold())
    pairs = (f"{one} {two}" for one, two in pairwise(words) if one not in _PLAIN and two not in _PLAIN)
    return (frozenset(words) - _PLAIN) | frozenset(pairs)


def cause(
    reader: sqlite3.Connection, brand: str, since: datetime, until: datetime, kind: str, about: str, weeks: int
) -> Cause:
    """What the posts of those hours have that the same hours of earlier weeks have not."""
    wanted = [post for post in said(reader, brand, since, until, about=about) if _fits(post, kind)]
    week = timedelta(weeks=1)
    earlier = [
        post for k in range(1, min(weeks, 4) + 1)
        for post in said(reader, brand, since - k * week, until - k * week, _EARLIER_READ)
    ]  # fmt: skip
    best = sorted(wanted, key=lambda post: (-post.engagement, -post.id))
    return Cause(
        tuple(_standing_out(wanted, earlier)),
        tuple(Counter(post.source for post in wanted).most_common(5)),
        _copies(reader, [post.id for post in wanted]),
        tuple(post.id for post in best[:_POSTS_SHOWN]),
    )


def _fits(post: Said, kind: str) -> bool:
    return kind == "mentions" or (post.negative and (kind == "negative" or post.touches))


def _copies(reader: sqlite3.Connection, ids: Sequence[int]) -> int:
    row = reader.execute(_COPIES, (json.dumps(ids),)).fetchone()
    return int(row[1]) if row else 0


def _standing_out(now: Sequence[Said], before: Sequence[Said]) -> list[tuple[str, int]]:
    """Terms by their log-odds against earlier posts, divided by its standard error; the prior is that of both together
    (Monroe, Colaresi and Quinn 2008). A pair of words is a term where both stand out; of words in common, one term.
    """
    here, there = _counted(now), _counted(before)
    n, m = max(len(now), 1), max(len(before), 1)
    scored = []
    for term, count in here.items():
        prior = 10 * (count + there[term]) / (n + m)
        y, x = count + prior, there[term] + prior
        odds = math.log(y / (n + 10 - y)) - math.log(x / (m + 10 - x)) if y < n + 10 and x < m + 10 else 0.0
        z = odds / math.sqrt(1 / y + 1 / x)
        if count >= 3 and count >= 0.05 * n and z >= _SURE_Z:
            scored.append((z, count, term))
    chosen: list[tuple[str, int]] = []
    alone = {term for _, _, term in scored if " " not in term}
    scored = [each for each in scored if set(each[2].split()) <= alone]
    for _, count, term in sorted(scored, key=lambda each: (-each[0] - (" " in each[2]), each[2])):
        words = set(term.split())
        if not any(words & set(other.split()) for other, _ in chosen):
            chosen.append((term, count))
    return chosen[:_TERMS_SHOWN]


def _counted(posts: Iterable[Said]) -> Counter[str]:
    counted: Counter[str] = Counter()
    for post in posts:
        counted.update(post.terms)
    return counted


# --- new topics ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Topic:
    """A term that was hardly seen before, and the posts that hold it now; `p` is the chance that it gathers so."""

    term: str
    posts: tuple[Said, ...]
    before: int
    p: float


def topics(reader: sqlite3.Connection, posts: Sequence[Said], least: int, threshold: float) -> list[Topic]:
    """Terms that several authors of these posts use and that older posts, of whatever brand, hardly hold.

    Of c authors that ever used a term, each had the chance q of doing so among these posts, q being their part of all
    posts. `threshold` holds for all terms together, as many as these posts have. Of terms that stand in the same posts
    the surest is told.
    """
    if not posts:
        return []
    authors: dict[str, set[str]] = {}
    for post in posts:
        for term in post.terms:
            authors.setdefault(term, set()).add(post.author)
    first = min(post.id for post in posts)
    share = len(posts) / (len(posts) + first)
    found = []
    for term, who in authors.items():
        if len(who) < least or share ** len(who) * len(authors) >= threshold:
            continue
        before = len(reader.execute(_SEEN_BEFORE, (f'"{term}"', first, _LEAST_SEEN)).fetchall())
        p = _at_least(len(who), len(who) + before, share)
        if before < _LEAST_SEEN and p * len(authors) < threshold:
            found.append(Topic(term, tuple(post for post in posts if term in post.terms), before, p))
    return _apart(sorted(found, key=lambda topic: (topic.p, " " in topic.term, -len(topic.term), topic.term)))


def _apart(found: Iterable[Topic]) -> list[Topic]:
    told: list[Topic] = []
    for topic in found:
        mine = {post.id for post in topic.posts}
        if all(2 * len(mine & {post.id for post in other.posts}) < len(mine) for other in told):
            told.append(topic)
    return told


def _at_least(seen: int, number: int, share: float) -> float:
    return sum(math.comb(number, k) * share**k * (1 - share) ** (number - k) for k in range(seen, number + 1))


def as_json(cause: Cause) -> Mapping[str, object]:
    return {
        "terms": [list(each) for each in cause.terms],
        "sources": [list(each) for each in cause.sources],
        "copies": cause.copies,
        "posts": list(cause.posts),
    }
