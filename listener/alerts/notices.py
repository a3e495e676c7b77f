"""An alert in words: one line that says what happened, why, and the posts to read. The same for mail, JSON and chat."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from listener.mail import Rendered
from listener.migrations import moment_of
from listener.tables.events import Event
from listener.wording import (
    brand_name,
    clock,
    count,
    cut,
    listed,
    one_line,
    touchpoint_name,
    usually,
    web_address,
    wrapped,
)

_POSTS = """
SELECT id, source, title, text, url, coalesce(created_at, collected_at) AS at FROM posts
WHERE id IN (SELECT value FROM json_each(?)) AND deleted_at IS NULL AND expired_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class Told:
    """A post as a notice shows it; `url` is "" where there is none that a mail may link to."""

    source: str
    text: str
    url: str
    at: datetime
    when: str


@dataclass(frozen=True, slots=True)
class Notice:
    """An event as it is told: `what` in one line, `why` in a few, and the posts."""

    event: Event
    what: str
    why: tuple[str, ...]
    posts: tuple[Told, ...]

    def as_json(self) -> dict[str, Any]:
        """The event with its words, and its posts by their addresses in place of our own numbers."""
        posts = [{"url": p.url, "source": p.source, "written_at": p.at, "text": p.text} for p in self.posts]
        return {**self.event.as_json(), "what": self.what, "why": list(self.why), "posts": posts}


def notice(reader: sqlite3.Connection, event: Event, zone: ZoneInfo, now: datetime) -> Notice:
    """What is to be told of an event; posts that are gone meanwhile are left out. Reads only."""
    ids = list(event.found.get("posts", ()))
    rows = {row["id"]: row for row in reader.execute(_POSTS, (json.dumps(ids),))}
    today = now.astimezone(zone).date()
    posts = []
    for row in (rows[post_id] for post_id in ids if post_id in rows):
        at = moment_of(row["at"]) or now
        text = cut(one_line(f"{row['title']} {row['text']}".strip()), 200)
        posts.append(Told(row["source"], text, web_address(row["url"]), at, clock(at, today, zone)))
    return Notice(event, what(event), why(event), tuple(posts))


def what(event: Event) -> str:
    """ "Harbour & Pine: 41 mentions in 3 hours, usually about 6"."""
    found, brand = event.found, brand_name(event.brand)
    if event.kind == "topic":
        seen, authors = count(int(found["seen"]), "post"), count(int(found["authors"]), "author")
        return f"{brand}: “{one_line(event.about)}” in {seen} by {authors}, hardly seen before"
    hours = "the last hour" if found["window_h"] == 1 else f"{found['window_h']} hours"
    noun = "mention" if event.kind == "mentions" else "negative post"
    about = f" about {touchpoint_name(event.about)}" if event.kind == "touchpoint" else ""
    told = f"{brand}: {count(int(found['seen']), noun)}{about} in {hours}, {usually(float(found['usual']))}"
    share, usual = found.get("share"), found.get("usual_share")
    if share is not None and usual is not None:
        told += f"; that is {share:.0%} of {'those' if about else 'all'} posts, usually {usual:.0%}"
    return told


def why(event: Event) -> tuple[str, ...]:
    """The cause as far as it can be told."""
    found = event.found
    told = []
    terms = [f"“{one_line(str(term))}” ({number:,})" for term, number in found.get("terms", ())]
    if terms and event.kind != "topic":
        told.append(f"What they speak of more than usual: {listed(terms)}.")
    sources = [f"{cut(one_line(str(name)), 40)} ({number:,})" for name, number in found.get("sources", ())]
    if sources:
        told.append(f"Where: {listed(sources)}.")
    if found.get("copies"):
        told.append(f"One text stands in {count(found['copies'], 'more place')}; it is counted once.")
    return tuple(told)


@cache
def _page() -> Any:
    environment = Environment(
        loader=PackageLoader("listener"), autoescape=select_autoescape(["html"]), undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("notice.html")


def letter(subject: str, notices: Sequence[Notice], foot: str) -> Rendered:
    """The notices as one mail. `foot` says why the reader gets it."""
    subject = one_line(subject)
    html = _page().render(subject=subject, notices=notices, foot=foot)
    parts = [_plain(each) for each in notices]
    return Rendered(subject, "\n\n".join([*parts, wrapped(foot)]) + "\n", html)


def _plain(notice: Notice) -> str:
    lines = [wrapped(notice.what), *(wrapped(line) for line in notice.why)]
    for post in notice.posts:
        lines += ["", wrapped(f"- {post.text}", 2), wrapped(f"{post.source}, {post.when}", 4)]
        lines += [f"    {post.url}"] if post.url else []
    return "\n".join(lines)


def subject(notices: Sequence[Notice]) -> str:
    """The first event, and how many there are beside it."""
    more = f" (and {count(len(notices) - 1, 'more event')})" if len(notices) > 1 else ""
    return f"{notices[0].what}{more}"


def sample(brand: str, now: datetime) -> Notice:
    """A notice for a trial, which says that it is one."""
    figures: Mapping[str, Any] = {
        "window_h": 3, "seen": 0, "usual": 0.0, "low": 0, "high": 0, "weeks": 0, "p": 1.0, "terms": [], "sources": [],
        "copies": 0, "posts": [], "trial": True,
    }  # fmt: skip
    event = Event(0, "mentions", brand, "", now, now, now, figures)
    return Notice(event, "A trial: nothing has happened", ("Alerts of Listener will come to this place.",), ())
