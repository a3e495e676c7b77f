"""The posts in a reply of X, and the ids of X, which tell the time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from listener.errors import Broken
from listener.http import read_json
from listener.records import Page, Post
from listener.sources.shared import plain, read_date
from listener.text import clean

FIELDS = "created_at,lang,public_metrics,author_id,referenced_tweets,edit_history_tweet_ids,note_tweet,withheld"
_METRICS = {"likes": "like_count", "replies": "reply_count", "reposts": "retweet_count", "quotes": "quote_count"}
_NO_LANGUAGE = ("und", "zxx", "art", "qam", "qct", "qht", "qme", "qst")
_EPOCH_MS = 1288834974657  # ids count milliseconds from here, in all but their last 22 bits


def parse(payload: bytes, *, name: str, now: datetime) -> Page:
    """The posts of one reply. Raises Broken."""
    return page_of(read(payload), payload, name, now)


def read(payload: bytes) -> dict[str, Any]:
    """A reply as it came. Raises Broken."""
    reply = read_json(payload, "api.x.com")
    if not isinstance(reply, dict):
        raise Broken("api.x.com sends JSON that is no reply to a search.", payload)
    return reply


def page_of(reply: Mapping[str, Any], payload: bytes, name: str, now: datetime) -> Page:
    """The posts of a reply. Versions before an edit, which have ids of their own, are told as deleted."""
    hits, meta = reply.get("data"), reply.get("meta")
    if hits is None and isinstance(meta, dict) and meta.get("result_count") == 0:
        hits = []
    if not isinstance(hits, list):
        raise Broken("api.x.com sends JSON without a list of posts.", payload)
    posts: dict[str, Post] = {}
    skipped: Counter[str] = Counter()
    gone: set[str] = set()
    for hit in hits:
        ident = ident_of(hit)
        if not ident:
            skipped["no id"] += 1
            continue
        versions = {*filter(None, map(_ident, list_of(hit.get("edit_history_tweet_ids")))), ident}
        older = versions - {max(versions, key=int)}
        gone |= older
        post = _post(hit, ident, name, now)
        if ident in older:
            skipped["edited since"] += 1
        elif hit.get("withheld"):
            skipped["withheld"] += 1
            gone.add(ident)
        elif not post.text:
            skipped["no text"] += 1
        elif ident in posts:
            skipped["twice in the reply"] += 1
        else:
            posts[ident] = post
    if hits and skipped["no id"] == len(hits):
        raise Broken("api.x.com sends posts without an id: its format has changed.", payload)
    return Page(tuple(posts.values()), skipped=dict(skipped), deleted=tuple(sorted(gone)))


def _post(hit: Mapping[str, Any], ident: str, name: str, now: datetime) -> Post:
    note, counts, lang = hit.get("note_tweet"), hit.get("public_metrics"), hit.get("lang")
    long = note.get("text") if isinstance(note, dict) else None  # `text` ends after 280 characters
    answers = [each for each in list_of(hit.get("referenced_tweets")) if _is_question(each)]
    found = {what: counts.get(key) for what, key in _METRICS.items()} if isinstance(counts, dict) else {}
    return Post(
        source=name,
        native_id=ident,
        kind="comment" if answers else "post",
        text=plain(long) or plain(hit.get("text")),
        url=f"https://x.com/i/web/status/{ident}",
        author=_ident(hit.get("author_id")),  # the account's name costs twice as much as the post
        created_at=read_date(hit.get("created_at"), now),
        engagement={what: n for what, n in found.items() if type(n) is int and abs(n) < 2**53},
        parent=ident_of(answers[0]) if answers else "",
        lang=clean(lang)[:35] if isinstance(lang, str) and lang not in _NO_LANGUAGE else "",
    )


def _is_question(reference: object) -> bool:
    return isinstance(reference, dict) and reference.get("type") == "replied_to"


def idents_of(reply: Mapping[str, Any]) -> list[int]:
    """The ids of all posts in a reply, those that are dropped included."""
    return [int(ident) for ident in map(ident_of, list_of(reply.get("data"))) if ident]


def ident_of(thing: object, key: str = "id") -> str:
    """The id that a JSON object holds, "" for anything else."""
    return _ident(thing.get(key)) if isinstance(thing, dict) else ""


def _ident(value: object) -> str:
    return value if isinstance(value, str) and re.fullmatch(r"[0-9]{1,19}", value) else ""


def list_of(value: object) -> list[Any]:
    """A JSON value that should be a list; an empty one where it is none."""
    return value if isinstance(value, list) else []


def id_at(second: float) -> int:
    """The lowest id that a post of that epoch second can have."""
    return max(0, int(second * 1000) - _EPOCH_MS) << 22


def second_of(ident: int) -> float:
    """The epoch second at which the post of that id was made."""
    return ((ident >> 22) + _EPOCH_MS) / 1000
