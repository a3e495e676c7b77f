"""YouTube: comments under the videos of channels, under single videos, and under those that a search finds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from math import inf
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from listener.errors import Broken, Refused, Retry, SourceError
from listener.http import Get
from listener.records import Gap, Page
from listener.settings.secrets import Secret
from listener.sources import About
from listener.sources import youtube_walks as walks
from listener.sources.turns import Failures
from listener.sources.youtube_account import Account, is_of_all, reasons, spent
from listener.sources.youtube_comments import idents_of, page_of, parse

__all__ = ["ABOUT", "RECHECK_AT_ONCE", "Settings", "backfill", "fetch", "parse", "recheck", "status"]

ABOUT = About(
    brings="comments under the videos of channels you name, under single videos, and under those a search finds",
    key="an API key of console.cloud.google.com with the YouTube Data API v3 switched on; it is free",
    limits="10,000 units a day: 100 threads cost one, a search 100; late replies are seen in the newest 100 threads",
    terms="YouTube's API terms: comments are kept for 30 days unless they are asked after again, which Listener does; "
    "say that they come from YouTube where you show them",
    keep_days=30,
)
RECHECK_AT_ONCE = 50  # comments.list refuses more ids

_MAX_REQUESTS = 50  # a run
_MAX_PAGES = 10  # of one place in a run: 1,000 threads
_MOST_OWED = 100  # threads whose replies are still to be read, before more places are
_OVERLAP_S = 3600  # comments that were held for review appear late
_SPARE = 9  # of the units that reading may spend, a ninth more for asking after stored comments


class Settings(BaseModel):
    """What to read the comments of."""

    model_config = ConfigDict(extra="forbid")

    key: Secret | None = Field(None, description="Where the API key is kept.", examples=[{"env": "YOUTUBE_API_KEY"}])
    channels: list[str] = Field(
        [],
        description="Ids of channels, all of whose videos are read; the id is under 'Share' on the channel's page.",
        examples=[["UCabcdefghijklmnopqrstuv"]],
    )
    videos: list[str] = Field(
        [], description="Videos, as addresses or ids.", examples=[["https://www.youtube.com/watch?v=abcdefghijk"]]
    )
    queries: list[str] = Field(
        [], description="Searches whose newest videos are read, as a rule the brand's names.", examples=[["Acme Hotel"]]
    )
    videos_per_query: int = Field(10, ge=1, le=50, description="How many of the newest videos of a search are read.")
    search_hours: float = Field(24, ge=1, description="Hours between two searches for a query; each costs 100 units.")
    days: float = Field(7, gt=0, le=3650, description="How many days the first run looks back.")
    daily_units: int = Field(
        9000,
        ge=10,
        description="The most units to spend in a day; asking after stored comments may take a ninth of it more.",
    )

    @field_validator("channels")
    @classmethod
    def _channels(cls, channels: list[str]) -> list[str]:
        for channel in channels:
            if not re.fullmatch(r"UC[\w-]{22}", channel, re.ASCII):
                raise ValueError(
                    f"{channel!r} is not the id of a channel, which begins with UC and has 24 letters; on the "
                    "channel's page choose 'Share', then 'Copy channel ID'"
                )
        return list(dict.fromkeys(channels))

    @field_validator("videos")
    @classmethod
    def _videos(cls, videos: list[str]) -> list[str]:
        return list(dict.fromkeys(map(_video, videos)))

    @field_validator("queries")
    @classmethod
    def _queries(cls, queries: list[str]) -> list[str]:
        queries = list(dict.fromkeys(" ".join(query.split()) for query in queries))
        if "" in queries:
            raise ValueError("a query is empty: name a word or a phrase, such as the brand's name")
        return queries

    @model_validator(mode="after")
    def _something_to_read(self) -> Settings:
        if not (self.channels or self.videos or self.queries):
            raise ValueError("name at least one of channels, videos and queries")
        if self.queries and self.daily_units <= 2 * walks.SEARCH_UNITS:
            raise ValueError(f"a search costs {walks.SEARCH_UNITS} units: raise daily_units, or leave out queries")
        return self


def _video(told: str) -> str:
    address = r"(?:https?://\S*(?:[?&]v=|youtu\.be/|/shorts/|/live/))?([\w-]{11})(?:[?&#]\S*)?"
    found = re.fullmatch(address, told, re.ASCII)
    if not found:
        raise ValueError(f"{told!r} is not a video; write its address, as https://www.youtube.com/watch?v=...")
    return found.group(1)


def fetch(settings: Settings, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str) -> Iterator[Page]:
    """Pages of threads, newest first, and of replies beyond the five that a thread shows.

    The cursor is {"until": {place: epoch seconds up to which all was read}, "closed": {place: why}, "found": {query:
    videos}, "owed" and "counts": threads with more replies, "units"}. Only the last page of a place moves its bookmark.
    """
    account = Account(settings, cursor, get, now, name, settings.daily_units)
    failures = Failures()
    for step in _steps(account):
        try:
            yield from step
        except SourceError as error:
            yield Page((), cursor=account.cursor())  # a request that fails is counted as well
            if is_of_all(error):
                raise
            failures.add(error)
    failures.tell()


def _steps(account: Account) -> Iterator[Iterator[Page]]:
    yield walks.replies(account, _MAX_REQUESTS // 2)
    for query in account.settings.queries:
        yield walks.search(account, query)
    yield iter([walks.still_closed(account)])
    for place in sorted(account.places(), key=lambda place: account.until.get(place, 0)):  # who waited longest
        yield _place(account, place)
    yield walks.replies(account, _MAX_REQUESTS)


def _place(account: Account, place: str) -> Iterator[Page]:
    """What is new in one place; nothing where the requests of the run might not suffice for it."""
    if (
        account.requests + _MAX_PAGES > _MAX_REQUESTS
        or len(account.owed) > _MOST_OWED
        or walks.is_closed(account, place)
    ):
        return
    mark = account.until.get(place, inf)
    # A bookmark that lies ahead was set by a clock that was wrong: it tells nothing.
    since = mark - _OVERLAP_S if mark <= account.second else account.second - account.settings.days * 86400
    try:
        for number, (page, threads, _, last) in enumerate(walks.threads(account, place, since), start=1):
            account.owe(place, threads)
            gap = None
            if number == _MAX_PAGES and not last:
                reached = next((thread.last for thread in reversed(threads) if thread.last), None)
                why = f"{place} has more new comments than one run reads; ask more often"
                gap = Gap(datetime.fromtimestamp(since, UTC), reached, why)
            if last or gap:
                account.until[place] = account.second
                account.closed.pop(place, None)
                account.forget_unshown(place)
            yield replace(page, cursor=account.cursor(), gap=gap)
            if gap:
                return
    except (Broken, Refused) as error:
        yield walks.note_closed(account, place, error)


def recheck(
    settings: Settings, cursor: Mapping[str, Any] | None, native_ids: Sequence[str], get: Get, now: datetime, name: str
) -> Iterator[Page]:
    """Which of the stored comments are gone, and what those that were edited say now."""
    account = Account(settings, cursor, get, now, name, settings.daily_units + settings.daily_units // _SPARE)

    def kept() -> dict[str, Any]:
        units = {**account.units, "of": settings.daily_units}
        return {**account.cursor(), "units": units}

    try:
        for page in _ask_after(account, list(native_ids)):
            yield replace(page, cursor=kept())
    except SourceError:
        yield Page((), cursor=kept())  # a request that fails is counted as well
        raise


def _ask_after(account: Account, idents: list[str]) -> Iterator[Page]:
    try:
        reply, payload = account.ask("comments", {"id": ",".join(idents), "textFormat": "plainText"})
    except Broken as error:
        if "commentNotFound" not in reasons(error):
            raise
        # As a rule those that are gone are left out. Where one of them fails the whole list, halves tell which.
        middle = len(idents) // 2
        if not middle:
            yield Page((), deleted=tuple(idents))
            return
        yield from _ask_after(account, idents[:middle])
        yield from _ask_after(account, idents[middle:])
        return
    asked, shown = set(idents), set(idents_of(reply))
    edited = tuple(
        post
        for post in page_of(reply, payload, account.name, account.now).posts
        if post.edited_at and post.native_id in asked
    )
    unchanged = (asked & shown) - {post.native_id for post in edited}
    yield Page(edited, deleted=tuple(sorted(asked - shown)), verified=tuple(sorted(unchanged)))


def backfill(
    settings: Settings, since: datetime, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str
) -> Iterator[Page]:
    """Walks each place back to `since`. Takes half of the daily units, so that `fetch` keeps its own.

    The cursor is that of `fetch` with "walk" in it: the places that are done, the one it is in, and its next page.
    """
    account = Account(settings, cursor, get, now, name, settings.daily_units // 2)
    account.walk = account.walk or {"done": [], "place": "", "token": ""}
    for query in settings.queries:
        yield from walks.search(account, query)
    failures = Failures()
    for place in sorted(account.places(), key=lambda place: place != account.walk["place"]):  # the one it is in first
        try:
            if place not in account.walk["done"]:
                yield from _walk_back(account, place, since.timestamp())
        except SourceError as error:
            on_the_way = account.walk["place"] == place and account.walk["token"]
            if is_of_all(error) or (isinstance(error, Retry) and on_the_way):  # another place would forget the way
                raise
            failures.add(error)
    failures.tell()
    yield Page((), cursor={})


def _walk_back(account: Account, place: str, since: float) -> Iterator[Page]:
    walk = account.walk
    token = walk["token"] if walk["place"] == place else ""
    yield from walks.replies(account, inf)  # those of a page that was stored before the walk was cut off
    try:
        for page, threads, following, last in walks.threads(account, place, since, token):
            account.owe(place, threads)
            account.forget_unshown(place)  # each is shown once on the way
            walk.update(place=place, token=following)
            if last:
                walk["done"] = [*walk["done"], place]
            yield replace(page, cursor=account.cursor())
            yield from walks.replies(account, inf)
    except (Broken, Refused) as error:
        if token and "invalidPageToken" in reasons(error):  # it has run out: from the newest once more
            walk["token"] = ""
            yield from _walk_back(account, place, since)
        else:
            yield walks.note_closed(account, place, error)
            walk["done"] = [*walk["done"], place]


def status(settings: Settings, cursor: Mapping[str, Any] | None) -> str:
    """What was spent of the day's units, with the day it is of."""
    return spent(cursor)
