"""Reddit: submissions and comments of subreddits, and what a search finds; by its API with a key, else by its feeds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from listener.errors import Disabled
from listener.http import Get
from listener.records import Page
from listener.settings.secrets import Secret
from listener.sources import About
from listener.sources.reddit_feeds import GAP_S, NEXT_MINUTE_S, Feeds
from listener.sources.reddit_posts import AT_ONCE, FULLNAME, WEB, Listing, Reader, parse
from listener.sources.reddit_walks import gap_of, mark_of, walk
from listener.sources.shared import Phrases
from listener.sources.turns import each_in_turn

__all__ = ["ABOUT", "RECHECK_AT_ONCE", "Settings", "backfill", "fetch", "parse", "recheck", "status"]

ABOUT = About(
    brings="submissions and comments of the subreddits you name, and submissions that hold one of your phrases",
    key="none, for its Atom feeds; a client id and secret that Reddit approved, and the package praw, for its API",
    limits="feeds: one to ten requests a minute, about 1,000 entries a feed, neither scores nor numbers of comments; "
    "API: 100 requests a minute, about 1,000 posts a subreddit and some 250 a search",
    terms="Reddit's developer terms: what is deleted there has to go here; commercial use needs their consent",
    caution="the search finds submissions, not comments; subreddits share one feed, and Reddit leaves those out of it, "
    "without a word, that are private or banned",
)
RECHECK_AT_ONCE = AT_ONCE

_OVERLAP_S = 600  # a submission that a moderator lets through later stands where it was written
_SEARCH_OVERLAP_S = 3600  # posts enter the search index late
_LONGEST_SEARCH = 400  # characters; Reddit takes 512


class Settings(BaseModel):
    """What to read, and with which key."""

    model_config = ConfigDict(extra="forbid")

    subreddits: list[str] = Field(
        [],
        max_length=30,
        description="Subreddits to read whole: every new submission, and every new comment.",
        examples=[["travel", "hotels"]],
    )
    comments: bool = Field(True, description="Whether the comments of these subreddits are read as well.")
    queries: Phrases = Field(
        [],
        max_length=10,
        description="Words or phrases to search submissions for, as a rule the brand's names.",
        examples=[["Acme Hotel"]],
    )
    search_in: list[str] = Field(
        [],
        max_length=30,
        description="Subreddits that the search is limited to; all of Reddit when there are none.",
        examples=[["solotravel"]],
    )
    days: float = Field(7, gt=0, le=3650, description="How many days the first run looks back.")
    client_id: Secret | None = Field(
        None, description="The id of an app that Reddit approved, for the API.", examples=[{"env": "REDDIT_CLIENT_ID"}]
    )
    client_secret: Secret | None = Field(
        None, description="The secret of that app.", examples=[{"env": "REDDIT_CLIENT_SECRET"}]
    )
    username: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_-]{3,20}$",
        description="With `password`: an account of the app's developer, to see what that account sees.",
        examples=["acme_listens"],
    )
    password: Secret | None = Field(
        None, description="The password of that account.", examples=[{"env": "REDDIT_PASSWORD"}]
    )
    feed_token: Secret | None = Field(
        None,
        description="The token of a personal feed (reddit.com/prefs/feeds, behind feed=): the feeds answer more often.",
        examples=[{"env": "REDDIT_FEED_TOKEN"}],
    )
    feed_user: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_-]{3,20}$",
        description="The name that stands behind user= in the address of that feed.",
        examples=["acme_listens"],
    )

    @field_validator("subreddits", "search_in")
    @classmethod
    def _names(cls, subreddits: list[str]) -> list[str]:
        names = [re.sub(r"^/?r/|/$", "", each.strip()).lower() for each in subreddits]
        for each in names:
            if not re.fullmatch(r"\w{2,24}", each, re.ASCII):
                raise ValueError(f"{each!r} is not the name of a subreddit, such as 'travel' for r/travel")
            if each in ("all", "popular"):
                raise ValueError(f"r/{each} is too much to be read whole; name subreddits, or search with `queries`")
        return list(dict.fromkeys(names))

    @field_validator("queries")
    @classmethod
    def _short(cls, queries: list[str]) -> list[str]:
        if any(len(phrase) > _LONGEST_SEARCH for phrase in queries):
            raise ValueError(f"a query is longer than {_LONGEST_SEARCH} characters, which Reddit does not take")
        return queries

    @model_validator(mode="after")
    def _complete(self) -> Settings:
        if not self.subreddits and not self.queries:
            raise ValueError("name subreddits to read, queries to search for, or both")
        if self.search_in and not self.queries:
            raise ValueError("search_in limits a search: name queries as well, or subreddits to read whole")
        if bool(self.client_id) != bool(self.client_secret):
            raise ValueError("the API needs both client_id and client_secret; the feeds need neither")
        if bool(self.username) != bool(self.password) or (self.password and not self.client_id):
            raise ValueError("username and password belong together, and to a client_id and client_secret")
        if bool(self.feed_token) != bool(self.feed_user):
            raise ValueError("a personal feed needs both feed_token and feed_user")
        return self


def status(settings: Settings, cursor: Mapping[str, Any] | None) -> str:
    """Which of the two ways it goes."""
    if settings.client_id:
        return "by the API, as " + (f"u/{settings.username}" if settings.username else "an app")
    return "by the feeds, " + ("with a personal token" if settings.feed_token else "without a key: slow, no scores")


def fetch(settings: Settings, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str) -> Iterator[Page]:
    """Pages of posts, newest first. The cursor is {"marks": {"new travel": [epoch second, [fullnames of it]]}}.

    Both ways keep the same bookmarks. Each listing is walked down to its own and some time further; only its last page
    moves it, and carries a Gap when the listing ended before.
    """
    until = int(now.timestamp())
    listings = _listings(settings)
    known = dict((cursor or {}).get("marks") or {})
    marks = {key: known[key] for each in listings for key in each.keys if key in known}
    with _reader(settings, get, now, name) as reader:
        most = max(2, reader.most // len(listings))
        seen: set[str] = set()

        def read(listing: Listing) -> Iterator[Page]:
            mark = mark_of(marks, listing.keys, int(until - settings.days * 86400), until)
            for number, step in enumerate(walk(reader, listing, mark.at - listing.overlap_s), start=1):
                page = replace(step.page, posts=tuple(p for p in step.page.posts if p.native_id not in seen))
                seen.update(post.native_id for post in page.posts)
                if step.after and number < most:
                    yield page
                    continue
                marks.update(dict.fromkeys(listing.keys, mark.moved(step.seconds, until).told))
                missed = (step.after or step.cut) and not mark.is_met(step.seconds)
                gap = gap_of(listing, mark.at, step) if missed else None
                yield replace(page, cursor={"marks": dict(marks)}, gap=gap)
                return

        yield from each_in_turn(listings, read, now, lambda _: WEB)


def backfill(
    settings: Settings, since: datetime, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str
) -> Iterator[Page]:
    """Pages back to `since`, as far as listings reach. The cursor is {"walks": {listing: [after, posts read]}}, where
    `after` is "" for those that are done.
    """
    start = int(since.timestamp())
    walks = dict((cursor or {}).get("walks") or {})
    with _reader(settings, get, now, name) as reader:

        def read(listing: Listing) -> Iterator[Page]:
            key = " ".join(listing.keys)
            after, count = walks.get(key, ["", 0])
            if count and not after:
                return
            for step in walk(reader, listing, start, after, count):
                walks[key] = [step.after, max(1, step.read)]
                gap = gap_of(listing, start, step) if step.cut else None
                yield replace(step.page, cursor={"walks": dict(walks)}, gap=gap)

        yield from each_in_turn(_listings(settings), read, now, lambda _: WEB)
    yield Page((), cursor={})


def recheck(
    settings: Settings, cursor: Mapping[str, Any] | None, native_ids: Sequence[str], get: Get, now: datetime, name: str
) -> Iterator[Page]:
    """One Page: what became of up to a hundred posts, by one request on either way."""
    asked = [ident for ident in native_ids if FULLNAME.fullmatch(ident)]
    if asked:
        with _reader(settings, get, now, name, NEXT_MINUTE_S) as reader:
            page = reader.info(asked)
        posts = tuple(post for post in page.posts if post.native_id in asked)
        yield replace(page, posts=posts, deleted=tuple(ident for ident in page.deleted if ident in asked))


@contextmanager
def _reader(settings: Settings, get: Get, now: datetime, name: str, first_gap_s: float = GAP_S) -> Iterator[Reader]:
    """The way that the settings allow. Raises Disabled where a key is there but PRAW, or the key's value, is not."""
    if settings.client_id is None:
        token = {}
        if settings.feed_token and settings.feed_user:
            token = {"feed": settings.feed_token.read("[[source]] feed_token"), "user": settings.feed_user}
        yield Feeds(get, now, name, token, first_gap_s)
        return
    try:
        from listener.sources import reddit_api
    except ImportError as error:
        raise Disabled(
            "Reddit's API is read through the package praw, which is not installed; install it with: "
            "pip install 'listener-daemon[reddit]', or take client_id out to read the feeds"
        ) from error
    with reddit_api.connect(settings, now, name) as api:
        yield api


def _listings(settings: Settings) -> list[Listing]:
    """By the API every subreddit and phrase has a listing of its own, and its own thousand posts. A feed is asked
    rarely, so there they share one.
    """
    alone = settings.client_id is not None
    found = []
    for group in [[each] for each in settings.subreddits] if alone else [settings.subreddits]:
        for what in ("new", "comments") if settings.comments else ("new",):
            if group:
                keys = tuple(f"{what} {each}" for each in group)
                found.append(Listing(f"r/{'+'.join(group)}/{what}", keys, _OVERLAP_S))
    path = f"r/{'+'.join(settings.search_in)}/search" if settings.search_in else "search"
    limited = {"restrict_sr": "on"} if settings.search_in else {}
    for phrases in [[each] for each in settings.queries] if alone else _together(settings.queries):
        params = {"q": " OR ".join(f'"{each}"' for each in phrases), "sort": "new", "t": "all", "type": "link"}
        keys = tuple(f"search {each}" for each in phrases)
        found.append(Listing(path, keys, _SEARCH_OVERLAP_S, {**params, **limited}))
    return found


def _together(queries: Sequence[str]) -> list[list[str]]:
    """As many phrases in one search as it takes."""
    groups: list[list[str]] = []
    for query in queries:
        if groups and sum(len(each) + 6 for each in (*groups[-1], query)) <= _LONGEST_SEARCH:
            groups[-1].append(query)
        else:
            groups.append([query])
    return groups
