"""The guest book of a hotel's own site: {"entries": [{"id", "guest", "text", "stars", "written"}]}, newest first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from listener.errors import Broken
from listener.http import Get, read_json
from listener.records import Page, Post, Rating
from listener.sources import About
from listener.sources.shared import plain, read_date

ABOUT = About(
    brings="entries of the guest book",
    key="none",
    limits="the newest hundred entries",
    terms="your own site",
    keep="all",
)


class Settings(BaseModel):
    """Which guest book to read."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(description="The address of the guest book.", examples=["https://hotel.example/guestbook.json"])


def fetch(settings: Settings, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str) -> Iterator[Page]:
    """One Page; its cursor is {"etag"}, so that an unchanged guest book costs nothing."""
    response = get(settings.url, etag=(cursor or {}).get("etag", ""))
    if response.unchanged:
        yield Page((), unchanged=True)
        return
    page = parse(response.body, name=name, now=now)
    yield Page(page.posts, {"etag": response.headers.get("etag", "")}, page.skipped)


def parse(payload: bytes, *, name: str, now: datetime) -> Page:
    """The entries of one reply. Raises Broken."""
    reply = read_json(payload, "the guest book")
    entries = reply.get("entries") if isinstance(reply, dict) else None
    if not isinstance(entries, list):
        raise Broken("The guest book holds no list of entries.", payload)
    posts: dict[str, Post] = {}
    skipped = 0
    for entry in entries:
        text = plain(entry.get("text")) if isinstance(entry, dict) else ""
        if not text or not isinstance(entry.get("id"), int):
            skipped += 1
            continue
        stars = entry.get("stars")
        post = Post(
            name, str(entry["id"]), text, kind="review", author=plain(entry.get("guest")),
            created_at=read_date(entry.get("written"), now),
            rating=Rating(stars) if isinstance(stars, int | float) and 1 <= stars <= 5 else None,
        )  # fmt: skip
        posts[post.native_id] = post
    return Page(tuple(posts.values()), skipped={"no text or id": skipped} if skipped else {})
