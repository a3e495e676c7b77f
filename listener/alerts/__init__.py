"""What is unusual now: more posts about a brand, more criticism, a new topic. Reads only; `events` keeps it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np

from listener.alerts import causes, hours, unusual
from listener.alerts.hours import Column, Frame
from listener.alerts.unusual import Look, Weeks
from listener.engine.labels import TOUCHPOINTS
from listener.tables.events import Event

Kind = Literal["mentions", "negative", "touchpoint", "topic"]
Subject = tuple[str, str, str]  # kind, brand, about

# How the false alarms that are allowed are divided among the kinds.
SHARES: Mapping[Kind, float] = {"mentions": 0.4, "negative": 0.2, "touchpoint": 0.2, "topic": 0.2}
CRITICISM = ("negative", "touchpoint")  # looked at in two ways: how many posts, and which part of all
TOPIC_H = 24
LONGEST = timedelta(days=7)  # what has been so for a week is the new usual
MORE_NEGATIVE = 1.2  # a share of criticism that is hardly larger is a matter of more posts, not of worse ones


@dataclass(frozen=True, slots=True)
class Rules:
    """How sensitive to be. `cool_down`: how long after the end of an event another on the same subject is none."""

    false_alarms: float = 1.0  # a month, all brands and kinds together
    least: int = 5  # posts; fewer are no event
    cool_down: timedelta = timedelta(days=1)

    def threshold(self, kind: Kind, brands: int, window_h: int) -> float:
        series = brands * (len(TOUCHPOINTS) if kind == "touchpoint" else 1) * (2 if kind in CRITICISM else 1)
        return unusual.threshold(self.false_alarms * SHARES[kind], series, window_h)


@dataclass(frozen=True, slots=True)
class Found:
    """Something unusual: the subject, the first of the hours that stood out, figures and cause (JSON-able)."""

    subject: Subject
    began_at: datetime
    figures: Mapping[str, Any]


def find(
    reader: sqlite3.Connection,
    brands: Sequence[str],
    now: datetime,
    zone: ZoneInfo,
    rules: Rules,
    events: Sequence[Event],
) -> tuple[list[Found], list[Event]]:
    """What began by the last whole hour before `now`, and which of the `events` that go on are over.

    `events` are those of the last eight weeks: their hours are not taken as usual, and what goes on or ended lately is
    not found again. Empty where no source has been asked for four weeks yet.
    """
    frame = hours.frame(reader, now, zone)
    if frame is None:
        return [], []
    looking = _Looking(reader, frame, tuple(brands), rules, tuple(events))
    over = [event for event in events if event.ended_at is None and looking.is_over(event)]
    return [found for brand in brands for found in looking.at(brand)], over


@dataclass(frozen=True, slots=True)
class _Looking:
    reader: sqlite3.Connection
    frame: Frame
    brands: tuple[str, ...]
    rules: Rules
    events: tuple[Event, ...]

    def at(self, brand: str) -> Iterator[Found]:
        """What is unusual about a brand. While there is more criticism of all of it, that of its parts is no news."""
        mentions = self._count(("mentions", brand, ""))
        if mentions:
            yield mentions
        negative = self._count(("negative", brand, ""))
        if negative:
            yield negative
        for touchpoint in () if negative or self._is_open(("negative", brand, "")) else TOUCHPOINTS:
            found = self._count(("touchpoint", brand, touchpoint))
            if found:
                yield found
        rises = ("mentions", brand, "")
        if not (mentions or any(event.subject == rises and event.ended_at is None for event in self.events)):
            # What a rise is about is its cause, and told with it.
            yield from self._topics(brand, {str(term) for term, _ in negative.figures["terms"]} if negative else set())

    def is_over(self, event: Event) -> bool:
        """Whether the rate is back at the usual, or has become the usual."""
        if event.kind not in SHARES or self.frame.end - event.noticed_at > LONGEST or event.kind == "topic":
            return event.kind in SHARES
        if event.brand not in self.brands:
            return True
        window = int(event.found["window_h"])
        weeks = self._weeks(event.subject)
        looks = [unusual.look(weeks, window)]
        if event.kind in CRITICISM:
            looks.append(unusual.share_look(weeks, self._read(event.subject), window))
        return all(look is None or look.p > unusual.BACK for look in looks)

    def _count(self, subject: Subject) -> Found | None:
        """The surest of the windows in which a series stands out."""
        kind, brand, about = subject
        if not self._is_open(subject) and self._lately(brand, about, _column(kind)) >= self.rules.least:
            found = [
                look
                for look in self._looks(subject)
                if look.p < self.rules.threshold(kind, len(self.brands), look.window_h)  # type: ignore[arg-type]
            ]
            if found:
                return self._told(subject, min(found, key=lambda look: (look.p, look.window_h)))
        return None

    def _looks(self, subject: Subject) -> Iterator[Look]:
        weeks = self._weeks(subject)
        yield from unusual.looks(weeks, self.rules.least)
        if subject[0] in CRITICISM:
            yield from unusual.share_looks(weeks, self._read(subject), self.rules.least)

    def _told(self, subject: Subject, look: Look) -> Found | None:
        kind, brand, about = subject
        until, since = self.frame.end, self.frame.end - timedelta(hours=look.window_h)
        share: dict[str, float | None] = {}
        if kind in CRITICISM:
            share = self._shares(subject, look)
            now, usual = share["share"], share["usual_share"]
            if now is not None and usual is not None and now < MORE_NEGATIVE * usual:
                return None
        found = causes.cause(self.reader, brand, since, until, kind, about, look.weeks)
        figures = {
            "window_h": look.window_h, "until": until.strftime("%Y-%m-%dT%H:%M:%SZ"), "seen": look.seen,
            "usual": round(look.usual, 1), "low": look.low, "high": look.high, "weeks": look.weeks,
            "p": float(f"{look.p:.3g}"), **share, **causes.as_json(found),
        }  # fmt: skip
        return Found(subject, since, figures)

    def _shares(self, subject: Subject, look: Look) -> dict[str, float | None]:
        """The share of negative posts among those that could be read: now, and in the same hours of earlier weeks."""
        negative, read = self._weeks(subject), self._read(subject)
        now, before = (_total(read[rows, : look.window_h]) for rows in (slice(1), slice(1, None)))
        return {
            "share": round(_total(negative[:1, : look.window_h]) / now, 3) if now else None,
            "usual_share": round(_total(negative[1:, : look.window_h]) / before, 3) if before else None,
        }

    def _topics(self, brand: str, told: set[str]) -> Iterator[Found]:
        end = self.frame.end
        posts = causes.said(self.reader, brand, end - timedelta(hours=TOPIC_H), end)
        threshold = self.rules.threshold("topic", len(self.brands), TOPIC_H)
        known = [event for event in self.events if event.brand == brand]
        told |= {str(term) for event in known for term, _ in event.found.get("terms", ())}
        told |= {event.about for event in known if event.kind == "topic"}
        words = {word for term in told for word in term.split()}
        for topic in causes.topics(self.reader, posts, max(self.rules.least - 1, 3), threshold):
            if words & set(topic.term.split()):
                continue
            by_engagement = sorted(topic.posts, key=lambda post: (-post.engagement, -post.id))
            sources: dict[str, int] = {}
            for post in topic.posts:
                sources[post.source] = sources.get(post.source, 0) + 1
            figures = {
                "window_h": TOPIC_H, "until": end.strftime("%Y-%m-%dT%H:%M:%SZ"), "seen": len(topic.posts),
                "authors": len({post.author for post in topic.posts}), "before": topic.before,
                "p": float(f"{topic.p:.3g}"), "terms": [[topic.term, len(topic.posts)]],
                "sources": sorted(sources.items(), key=lambda each: -each[1])[:5], "copies": 0,
                "posts": [post.id for post in by_engagement[:5]],
            }  # fmt: skip
            yield Found(("topic", brand, topic.term), end - timedelta(hours=TOPIC_H), figures)

    def _lately(self, brand: str, about: str, column: Column) -> int:
        return hours.lately(self.reader, self.frame, brand, about, column, max(unusual.WINDOWS_H))

    def _read(self, subject: Subject) -> Weeks:
        """The posts that the model could read."""
        return self._weeks(subject, "posts") - self._weeks(subject, "unread")

    def _weeks(self, subject: Subject, column: Column | None = None) -> Weeks:
        kind, brand, about = subject
        past = [
            (event.began_at, event.ended_at)
            for event in self.events
            if event.brand == brand
            and event.ended_at is not None
            and event.ended_at - event.noticed_at < LONGEST
            and (event.subject == subject or event.kind == "mentions")
        ]
        return hours.weeks(self.reader, self.frame, brand, about, column or _column(kind), past)

    def _is_open(self, subject: Subject) -> bool:
        """Whether an event on the subject goes on or is over for less than the cool-down."""
        return any(
            event.subject == subject
            and (event.ended_at is None or self.frame.end < event.ended_at + self.rules.cool_down)
            for event in self.events
        )


def _column(kind: str) -> Column:
    return "posts" if kind == "mentions" else "negative"


def _total(values: Weeks) -> float:
    return float(np.nansum(values))
