"""Records as the rows the database keeps: pure, and proof against what sites send."""

from __future__ import annotations

import hmac
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Literal
from zoneinfo import ZoneInfo

from listener.migrations import stamp
from listener.records import Gap, Post, Rating, Run, Verdict
from listener.schedule import local_day
from listener.text import fingerprint

Authors = Literal["hash", "plain", "drop"]

_USER = re.compile(r"^([a-z][a-z0-9+.-]*://)[^/?#]*@", re.I)  # the name and password of a feed's address, handed down


@dataclass(frozen=True, slots=True)
class Privacy:
    """How authors are kept. `key` is needed for "hash" only."""

    authors: Authors
    key: bytes

    @property
    def key_mark(self) -> str:
        """Tells whether hashes were made with the same key, and nothing of the key; "" where none is used."""
        return hmac.digest(self.key, b"which key this is", "sha256").hex()[:16] if self.authors == "hash" else ""

    @property
    def mark(self) -> str:
        """How authors are kept, to compare with another database: "hash:" and the mark of the key, "plain", "drop"."""
        return f"hash:{self.key_mark}" if self.authors == "hash" else self.authors

    def author(self, source: str, name: str) -> str:
        """What is kept of an author's name: 16 hexadecimal digits of HMAC-SHA256, the name itself, or nothing."""
        if not name or self.authors == "drop":
            return ""
        if self.authors == "plain":
            return name
        return hmac.digest(self.key, f"{source}\0{name}".encode(), "sha256").hex()[:16]


def post_row(source: str, post: Post, now: datetime, zone: ZoneInfo, privacy: Privacy) -> dict[str, Any]:
    """A post as named columns, all but its id. A date or a rating that cannot be is kept as not given."""
    created_at = _plausible(post.created_at)
    rating = _usable(post.rating)
    collected_at, today = _collected(now, zone)
    day = local_day(created_at, zone) if created_at else today
    title, text = storable(post.title), storable(post.text)
    return {
        "source": source,
        "native_id": storable(post.native_id),
        "kind": post.kind,
        "url": storable(_USER.sub(r"\1", post.url) if "@" in post.url else post.url),
        "title": title,
        "text": text,
        "author": privacy.author(source, storable(post.author)),
        "created_at": stamp(created_at) if created_at else None,
        "edited_at": stamp(edited_at) if (edited_at := _plausible(post.edited_at)) else None,
        "collected_at": collected_at,
        "day": day.isoformat(),
        "late": int(is_late(day, today)),
        "rating_value": rating.value if rating else None,
        "rating_best": rating.best if rating else None,
        "rating_worst": rating.worst if rating else None,
        "rating": round(rating.share, 6) if rating else None,
        "engagement": json.dumps(dict(post.engagement), sort_keys=True) if post.engagement else "{}",
        "parent": storable(post.parent),
        "lang": storable(post.lang),
        "given_brand": storable(post.brand),
        "text_hash": fingerprint(title, text),
        "federated_id": storable(post.federated_id),
        "verify_due_at": None,
    }


@lru_cache(maxsize=64)
def _collected(now: datetime, zone: ZoneInfo) -> tuple[str, date]:
    """The stamp of a moment and its local day: the same for all posts of a page."""
    return stamp(now), local_day(now, zone)


def is_late(day: date, collected: date) -> bool:
    """Whether a post of that local day came in on a later one than the next, when the day had been told of."""
    return (collected - day).days > 1


def verdict_row(verdict: Verdict, judged_at: str) -> dict[str, Any]:
    """A verdict as named columns, without its touchpoints. Four decimals are all a probability is worth."""
    scores = verdict.scores
    return {
        "post_id": verdict.post_id,
        "model": verdict.model,
        "text_hash": verdict.text_hash,
        "moment": scores.moment,
        "sentiment": scores.sentiment,
        "score": round(scores.score, 6),
        "confidence": round(scores.confidence, 6),
        "abstained": int(scores.abstained),
        "language": scores.language,
        "unread": int(scores.unread),
        "moments": _rounded(scores.moments),
        "sentiments": _rounded(scores.sentiments),
        "judged_at": judged_at,
    }


def _rounded(chances: Mapping[str, float]) -> str:
    """As JSON; the labels are ours, without a letter that would need care."""
    return "{" + ", ".join([f'"{label}": {chance:.4f}' for label, chance in chances.items()]) + "}"


def run_row(run: Run) -> dict[str, Any]:
    return {
        "source": run.source,
        "started_at": stamp(run.started_at),
        "seconds": run.seconds,
        "seen": run.seen,
        "new": run.new,
        "edited": run.edited,
        "deleted": run.deleted,
        "skipped": json.dumps(dict(run.skipped)),
        "outcome": run.outcome,
        "error": storable(run.error),
    }


def gap_row(source: str, gap: Gap, now: datetime) -> dict[str, Any]:
    return {
        "source": source,
        "since": stamp(gap.since) if gap.since else None,
        "until": stamp(gap.until) if gap.until else None,
        "why": storable(gap.why),
        "noted_at": stamp(now),
    }


def storable(text: str) -> str:
    """The text without lone surrogates, which JSON can carry and SQLite cannot."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _plausible(moment: datetime | None) -> datetime | None:
    # Feeds do say year 1 and year 9999, which no time zone can shift.
    return moment if moment and 1970 <= moment.year < 9999 else None


def _usable(rating: Rating | None) -> Rating | None:
    if rating is None or rating.best == rating.worst:
        return None
    return rating if all(map(math.isfinite, (rating.value, rating.best, rating.worst))) else None
