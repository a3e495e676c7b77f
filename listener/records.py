"""What travels between the parts: posts, pages, verdicts, runs. Plain frozen records that import nothing of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

Outcome = Literal["ok", "unchanged", "empty", "retry", "refused", "unauthorised", "disabled", "broken", "crashed"]

_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Rating:
    """A rating as its author gave it, on the scale of its site (Booking is 1..10, Steam 0..1)."""

    value: float
    worst: float = 1.0
    best: float = 5.0

    @property
    def share(self) -> float:
        """The rating on 0..1, 0 the worst. Clipped, because sites do publish 6 of 5."""
        return min(1.0, max(0.0, (self.value - self.worst) / (self.best - self.worst)))


@dataclass(frozen=True, slots=True)
class Post:
    """One public text. Identity is (source, native_id); every time is an aware UTC datetime.

    `text` and `title` are plain text, already free of markup. `author` is the name as the site shows it: the
    store turns it into a keyed hash before it is written. `created_at` is None when the site does not tell it.
    """

    source: str
    native_id: str
    text: str
    kind: str = "post"  # post, comment, review, article
    title: str = ""
    url: str = ""
    author: str = ""
    created_at: datetime | None = None
    edited_at: datetime | None = None
    rating: Rating | None = None
    engagement: Mapping[str, int] = field(default_factory=lambda: _EMPTY)  # {"likes": 3, "comments": 12}
    parent: str = ""  # native_id of the post this one answers
    lang: str = ""  # as the source says it, BCP 47; "" when it does not
    brand: str = ""  # set by a row or a source that belongs to one brand; needs no match then
    federated_id: str = ""  # the id it has on every server that shows it: ActivityPub id, at-uri


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of time in which the source held more than it would show us; shown to people, never hidden."""

    since: datetime | None
    until: datetime | None
    why: str


@dataclass(frozen=True, slots=True)
class Page:
    """What one reply brought. Posts and cursor are stored in one transaction.

    `cursor` is JSON-able and is handed back to the next fetch; None means "keep these posts, do not move the
    bookmark". `skipped` counts what was dropped, by reason. `gap` is set when the listing ended too early.
    """

    posts: tuple[Post, ...]
    cursor: Mapping[str, Any] | None = None
    skipped: Mapping[str, int] = field(default_factory=lambda: _EMPTY)
    gap: Gap | None = None
    unchanged: bool = False  # the server said "not modified": empty on purpose
    deleted: tuple[str, ...] = ()  # native ids that the source says are gone: they are erased here too
    deleted_below: tuple[str, ...] = ()  # beginnings of native ids, all of whose posts are gone: a closed account
    verified: tuple[str, ...] = ()  # native ids that a re-check found unchanged without being shown the post again


@dataclass(frozen=True, slots=True)
class Scores:
    """What the model says of one text. Probabilities sum to 1 within `moments` and within `sentiments`."""

    moments: Mapping[str, float]
    sentiments: Mapping[str, float]
    touchpoints: tuple[str, ...]
    confidence: float  # calibrated probability of the chosen moment, 0..1
    abstained: bool  # the moment is not to be counted; where the model was merely unsure, a person should look
    language: str = ""  # of the text, ISO 639-1; "" when it cannot be told
    unread: bool = False  # in a language no model here knows, or without a word: abstained, and a guess throughout

    @property
    def moment(self) -> str:
        return max(self.moments, key=self.moments.__getitem__)

    @property
    def sentiment(self) -> str:
        return max(self.sentiments, key=self.sentiments.__getitem__)

    @property
    def score(self) -> float:
        """p(positive) - p(negative), -1..1."""
        return self.sentiments["positive"] - self.sentiments["negative"]


@dataclass(frozen=True, slots=True)
class Pending:
    """A stored post that waits for a verdict: its row id, what is to be judged, and the hash of its text."""

    post_id: int
    kind: str
    title: str
    text: str
    lang: str
    text_hash: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Scores of one stored post by one model. `text_hash` names the text that was judged: an edit makes it stale."""

    post_id: int
    model: str
    text_hash: str
    scores: Scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What a person says of a stored post; None leaves a label as it is. `not_brand` names one it is not about.

    `shown` is why they saw it: the model was unsure, it was drawn at random, or they looked it up themselves.
    `text_hash` is that of the text they saw, "" when that cannot have changed meanwhile.
    """

    moment: str | None = None
    sentiment: str | None = None
    touchpoints: tuple[str, ...] | None = None
    not_brand: str | None = None
    place: Literal["terminal", "page", "mail"] = "terminal"
    shown: Literal["uncertain", "random", "asked"] = "asked"
    text_hash: str = ""


@dataclass(frozen=True, slots=True)
class Saved:
    """What `store.save_page` did with a page."""

    new: int
    edited: int
    seen: int  # posts of the page, drops excluded
    deleted: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """One fetch of one source, as shown to people. `skipped` counts drops by reason."""

    source: str
    started_at: datetime
    seconds: float
    seen: int
    new: int
    skipped: Mapping[str, int]
    outcome: Outcome
    error: str = ""
    edited: int = 0
    deleted: int = 0  # posts that the source no longer shows, erased here too
