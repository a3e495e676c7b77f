"""What a person should look at: posts that teach the model most, and a random share that measures it. Reads only.

A fifth of all posts, chosen by identity alone, is kept apart for ever: it is never trained on. Those shown of it are
drawn at random among the newest, so that what people say of them tells without bias how often the model is right. The
others are chosen because the model was unsure, of moments it seldom sees, and unlike each other.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from listener.engine.labels import MOMENTS
from listener.reads.counts import PERIODS, Interval, wilson
from listener.reads.search import PostRow, by_id, check_names, check_period

Why = Literal["uncertain", "random"]
APART = 0.2  # share of the posts that measure the model and never teach it
_NEWEST = 5000  # posts that are looked through
_SHORT = 400  # of those, the ones that teach most are compared with each other
_ALIKE = 0.5  # share of words in common (Jaccard) from which on one of two posts is enough

_CANDIDATES = """
SELECT p.id, p.source, p.native_id, p.title || ' ' || p.text AS text, p.text_hash, v.moment, v.abstained, v.moments,
    v.sentiments, (SELECT group_concat(brand, ', ') FROM mentions WHERE post_id = p.id) AS brands
FROM posts p JOIN verdicts v ON v.post_id = p.id
WHERE p.deleted_at IS NULL AND p.expired_at IS NULL AND p.copy_of IS NULL AND v.text_hash = p.text_hash
    AND v.model <> '' AND NOT v.unread
    AND NOT EXISTS (SELECT 1 FROM corrections c WHERE c.post_id = p.id AND c.ended_at IS NULL)
    AND (:brand IS NULL OR EXISTS (SELECT 1 FROM mentions WHERE post_id = p.id AND brand = :brand))
    AND (:source IS NULL OR p.source = :source) AND (:moment IS NULL OR v.moment = :moment)
    AND (:since IS NULL OR p.day >= :since) AND (:until IS NULL OR p.day <= :until)
ORDER BY coalesce(p.created_at, p.collected_at) DESC, p.id DESC LIMIT :newest
"""

# What was replaced or undone is not what the person thinks; what ended with its text was true of it.
_SAID = """
SELECT {period} AS period, c.model, c.moment, c.model_moment, c.sentiment, c.model_sentiment, c.model_abstained
FROM (SELECT *, substr(at, 1, 10) AS day FROM corrections) c
WHERE c.shown = 'random' AND c.model <> '' AND coalesce(c.ended, '') NOT IN ('undone', 'replaced')
    AND (:since IS NULL OR day >= :since) AND (:model IS NULL OR c.model = :model)
ORDER BY 1, c.id
"""

# What holds of a text that is still there, and whether it was ever shown at random.
_LABELLED = """
SELECT p.source, p.native_id, p.kind, p.title, p.text, c.moment, c.sentiment, c.touchpoints,
    EXISTS (SELECT 1 FROM corrections r WHERE r.post_id = p.id AND r.shown = 'random') AS drawn
FROM corrections c JOIN posts p ON p.id = c.post_id
WHERE c.ended_at IS NULL AND p.deleted_at IS NULL AND p.expired_at IS NULL AND p.text_hash = c.text_hash
    AND coalesce(c.moment, c.sentiment, c.touchpoints) IS NOT NULL
ORDER BY p.id
"""

_HISTORY = """
SELECT id, moment, sentiment, touchpoints, not_brands, place, shown, at, model, model_moment, model_sentiment,
    model_abstained, ended_at, ended
FROM corrections WHERE post_id = ? ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class Queued:
    """A post to look at, with what the model gives every label. `why` goes into the correction's `shown`."""

    post: PostRow
    why: Why
    text_hash: str
    margin: float  # by how much the likeliest moment leads the next
    moments: Mapping[str, float]
    sentiments: Mapping[str, float]

    def as_json(self) -> dict[str, Any]:
        return {
            "why": self.why, "margin": round(self.margin, 4), "moments": dict(self.moments),
            "sentiments": dict(self.sentiments), **self.post.as_json(),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often the model said what a person said later, of posts drawn at random. None of it was trained on."""

    period: str
    moment: Interval  # its likeliest moment was the person's
    sure: Interval  # the same, of the posts on which it did not abstain
    sentiment: Interval

    def as_json(self) -> dict[str, Any]:
        shares = (("moment", self.moment), ("sure", self.sure), ("sentiment", self.sentiment))
        return {"period": self.period} | {
            name: {"value": s.value, "low": s.low, "high": s.high, "n": s.n} for name, s in shares
        }


@dataclass(frozen=True, slots=True)
class Labelled:
    """A post with what a person said of it; None where they said nothing."""

    name: str  # source/native id
    kind: str
    title: str
    text: str
    moment: str | None
    sentiment: str | None
    touchpoints: tuple[str, ...] | None


def apart(source: str, native_id: str) -> bool:
    """Whether this post measures the model, and so may never teach it. The same for ever."""
    return _draw(source, native_id) < APART


def queue(
    reader: sqlite3.Connection,
    *,
    brand: str | None = None,
    source: str | None = None,
    moment: str | None = None,
    since: date | None = None,
    until: date | None = None,
    limit: int = 20,
    share: float = APART,
) -> list[Queued]:
    """Up to `limit` judged posts that nobody has corrected yet, random ones spread among those that teach most.
    `share` of them are random: 1 for those alone.

    Looks at the newest posts that fit. Raises ListenerError for a name that does not exist.
    """
    check_period(since, until)
    check_names(reader, named=[brand], sources=[source], moments=[moment])
    values = {
        "brand": brand, "source": source, "moment": moment, "since": since and since.isoformat(),
        "until": until and until.isoformat(), "newest": _NEWEST,
    }  # fmt: skip
    rows = [dict(row) for row in _rows(reader, _CANDIDATES, values)]
    measuring = sorted((row for row in rows if apart(row["source"], row["native_id"])), key=_draw_of)
    teaching = [row for row in rows if not apart(row["source"], row["native_id"])]
    some = min(len(measuring), round(share * limit))
    picked = _diverse(_ranked(teaching), limit - some) if share < 1 else []
    chosen: dict[int, tuple[Why, dict[str, Any]]] = {row["id"]: ("uncertain", row) for row in picked}
    chosen |= {row["id"]: ("random", row) for row in measuring[:some]}
    # In an order that tells nobody which is which.
    ids = sorted(chosen, key=lambda post_id: hashlib.sha256(str(post_id).encode()).digest())
    return [_queued(post, *chosen[post.id]) for post in by_id(reader, ids)]


def agreement(
    reader: sqlite3.Connection,
    by: Literal["day", "week", "month"] = "month",
    *,
    since: date | None = None,
    model: str | None = None,
) -> list[Agreement]:
    """How often model and person agreed on posts drawn at random, for each period in which the person looked, and
    last over all of them ("all"). Empty when nobody looked at any.
    """
    rows = _rows(reader, _SAID.format(period=PERIODS[by]), {"since": since and since.isoformat(), "model": model})
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in map(dict, rows):
        groups.setdefault(row["period"], []).append(row)
    if not groups:
        return []
    groups["all"] = [row for group in groups.values() for row in group]
    return [_agreement(period, group) for period, group in groups.items()]


def labelled(reader: sqlite3.Connection) -> tuple[list[Labelled], list[Labelled]]:
    """The posts that people labelled: those that may teach a model, and those that measure it. No post is in both.

    A post that is kept apart and was never shown at random is in neither: the person chose it.
    """
    teaching: list[Labelled] = []
    measuring: list[Labelled] = []
    for row in _rows(reader, _LABELLED, ()):
        post = Labelled(
            f"{row['source']}/{row['native_id']}", row["kind"], row["title"], row["text"],
            row["moment"], row["sentiment"],
            None if row["touchpoints"] is None else tuple(json.loads(row["touchpoints"])),
        )  # fmt: skip
        if not apart(row["source"], row["native_id"]):
            teaching.append(post)
        elif row["drawn"]:
            measuring.append(post)
    return teaching, measuring


def history(reader: sqlite3.Connection, post_id: int) -> list[dict[str, Any]]:
    """Everything that people said of a post, the oldest first; `ended` is None for what holds."""
    return [
        dict(row)
        | {
            "touchpoints": row["touchpoints"] and json.loads(row["touchpoints"]),
            "not_brands": json.loads(row["not_brands"]),
        }
        for row in _rows(reader, _HISTORY, (post_id,))
    ]


def _rows(reader: sqlite3.Connection, query: str, values: Any) -> list[sqlite3.Row]:
    cursor = reader.cursor()
    cursor.row_factory = sqlite3.Row
    return cursor.execute(query, values).fetchall()


def _draw(source: str, native_id: str) -> float:
    """A number in 0..1 by which a post is drawn, the same for ever."""
    digest = hashlib.sha256(f"apart\0{source}\0{native_id}".encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _draw_of(row: Mapping[str, Any]) -> float:
    return _draw(row["source"], row["native_id"])


def _ranked(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The posts that teach most, the best first: where the model is torn, and where a rare moment may be."""
    seen = Counter(row["moment"] for row in rows)
    # Halving how often a moment is seen adds as much as a tenth of doubt.
    rare = {moment: 0.1 * math.log2((len(rows) + len(MOMENTS)) / (seen[moment] + 1)) for moment in MOMENTS}
    for row in rows:
        moments = json.loads(row["moments"])
        row["teaches"] = (1 - _margin(moments)) + sum(rare.get(label, 0.0) * p for label, p in moments.items())
    return sorted(rows, key=lambda row: -row["teaches"])


def _margin(moments: Mapping[str, float]) -> float:
    first, second, *_ = [*sorted(moments.values(), reverse=True), 0.0, 0.0]
    return first - second


def _diverse(ranked: Sequence[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    """Up to `limit` of the posts, each unlike those before it, spread over sources, brands and moments."""
    left = [(row, frozenset(re.findall(r"\w+", row["text"].casefold()))) for row in ranked[:_SHORT]]
    chosen: list[tuple[dict[str, Any], frozenset[str]]] = []
    times: Counter[tuple[str, str]] = Counter()
    while left and len(chosen) < limit:
        # Each further post of a kind is worth a little less than the one before it.
        best = max(left, key=lambda each: each[0]["teaches"] * 0.9 ** max(times[key] for key in _kinds(each[0])))
        left.remove(best)
        if all(_in_common(best[1], words) < _ALIKE for _, words in chosen):
            chosen.append(best)
            times.update(_kinds(best[0]))
    return [row for row, _ in chosen]


def _kinds(row: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    return (("source", row["source"]), ("brand", row["brands"] or ""), ("moment", row["moment"]))


def _in_common(mine: frozenset[str], theirs: frozenset[str]) -> float:
    return len(mine & theirs) / (len(mine | theirs) or 1)


def _queued(post: PostRow, why: Why, row: Mapping[str, Any]) -> Queued:
    moments, sentiments = json.loads(row["moments"]), json.loads(row["sentiments"])
    return Queued(post, why, row["text_hash"], _margin(moments), moments, sentiments)


def _agreement(period: str, rows: Sequence[Mapping[str, Any]]) -> Agreement:
    def share(label: str, among: Iterable[Mapping[str, Any]]) -> Interval:
        said = [row for row in among if row[label] is not None]
        return wilson(sum(row[label] == row[f"model_{label}"] for row in said), len(said))

    sure = [row for row in rows if not row["model_abstained"]]
    return Agreement(period, share("moment", rows), share("moment", sure), share("sentiment", rows))
