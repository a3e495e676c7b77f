"""X, formerly Twitter: posts of the last seven days that match a search, through its paid interface.

Plain HTTPS through `get` instead of tweepy: one endpoint, the same guarded door and contract test, no seven packages.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from listener.errors import Broken, Disabled, Refused, Retry, SourceError, Unauthorised
from listener.http import Get, read_json
from listener.records import Gap, Page, Post
from listener.secrets import Secret
from listener.sources import About
from listener.sources.shared import plain, read_date
from listener.text import clean

ABOUT = About(
    brings="public posts on X that match a search",
    key="a bearer token of an app at console.x.com, whose account holds credits",
    limits="the last seven days; 60 requests in 15 minutes; as many posts as the caps you set allow",
    terms="X's developer agreement: what is deleted or withheld there has to go here within a day",
    caution="every post that is read costs money, about 0.005 USD; set a spending limit in X's console as well",
)
RECHECK_AT_ONCE = 100

_API = "https://api.x.com/2/tweets"
_FIELDS = "created_at,lang,public_metrics,author_id,referenced_tweets,edit_history_tweet_ids,note_tweet,withheld"
_AT_ONCE = 100  # posts a request; X takes from 10 to 100
_LEAST = 10
_MAX_REQUESTS = 20  # a run
_OVERLAP_S = 60  # X itself holds back the newest 30 seconds
_REACH_S = 7 * 86400 - 60  # X answers 400 to an id that is older than seven days
_EPOCH_MS = 1288834974657  # ids count milliseconds from here, in all but their last 22 bits
_NO_REPOSTS = " -is:retweet"
_LONGEST_QUERY = 512
_NO_LANGUAGE = ("und", "zxx", "art", "qam", "qct", "qht", "qme", "qst")


class Settings(BaseModel):
    """What to look for, and how much it may cost."""

    model_config = ConfigDict(extra="forbid")

    queries: list[str] = Field(
        min_length=1,
        description="Searches in X's own language: words, phrases in quotation marks, OR, from:, lang: and so on.",
        examples=[['"Acme Hotel" lang:en']],
    )
    token: Secret | None = Field(
        None, description="Where the app's bearer token is kept.", examples=[{"env": "X_BEARER_TOKEN"}]
    )
    daily_posts_cap: int | None = Field(None, ge=_LEAST, description="The most posts to read in a day (UTC).")
    monthly_spend_cap: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="The most to spend on reading in a month (UTC), in US dollars."
    )
    price_per_post: float = Field(
        0.005, gt=0, allow_inf_nan=False, description="What X asks for one post that is read, in US dollars."
    )
    days: float = Field(1, gt=0, le=7, description="How many days the first run looks back; X shows seven.")
    reposts: bool = Field(False, description="Whether reposts of others' posts are read, and paid for, as well.")
    recheck: bool = Field(
        False,
        description="Whether stored posts are asked after again, to see which were deleted. Each time costs the price "
        "of the post, and the caps do not hold it.",
    )

    @field_validator("queries")
    @classmethod
    def _searches(cls, queries: list[str]) -> list[str]:
        searches = list(dict.fromkeys(" ".join(query.split()) for query in queries))
        if "" in searches:
            raise ValueError("a query is empty: name a word or a phrase, such as the brand's name")
        longest = max(searches, key=len)
        if len(longest) + len(_NO_REPOSTS) + 2 > _LONGEST_QUERY:
            raise ValueError(f"{longest[:40]!r}... is too long: X takes {_LONGEST_QUERY} characters in all; split it")
        return searches

    @model_validator(mode="after")
    def _capped(self) -> Settings:
        if self.daily_posts_cap is None and self.monthly_spend_cap is None:
            raise ValueError("X takes money for every post: set daily_posts_cap, monthly_spend_cap, or both")
        if self.monthly_spend_cap is not None and self.monthly_spend_cap < _LEAST * self.price_per_post:
            raise ValueError(f"monthly_spend_cap does not pay for {_LEAST} posts, the least that X hands out; raise it")
        return self


def spent(cursor: Mapping[str, Any] | None) -> str:
    """What was read and spent in the day and month of the last run, as a short sentence; "" before the first one."""
    told = (cursor or {}).get("spent")
    if not isinstance(told, dict):
        return ""
    posts = f"{told['posts']:,}" + (f" of {told['posts_cap']:,}" if told["posts_cap"] is not None else "")
    usd = f"{told['usd']:,.2f}" + (f" of {told['usd_cap']:,.2f}" if told["usd_cap"] is not None else "")
    return f"{posts} posts on {told['day']}, {usd} USD in {told['month']} (UTC)"


class _Account:
    """The bookmarks, the unfinished walks and the money spent, while a run goes on; `cursor` is how it is kept."""

    def __init__(self, settings: Settings, cursor: Mapping[str, Any] | None, now: datetime) -> None:
        known = cursor or {}
        self.settings = settings
        self.now = now.astimezone(UTC)
        self.requests = 0
        self.until = {query: at for query, at in (known.get("until") or {}).items() if query in settings.queries}
        self.walks = {query: walk for query, walk in (known.get("walks") or {}).items() if query in settings.queries}
        day, month, before = f"{self.now:%Y-%m-%d}", f"{self.now:%Y-%m}", known.get("spent") or {}
        self.spent = {
            "day": day,
            "posts": before["posts"] if before.get("day") == day else 0,
            "posts_cap": settings.daily_posts_cap,
            "month": month,
            "usd": before["usd"] if before.get("month") == month else 0.0,
            "usd_cap": settings.monthly_spend_cap,
        }

    def cursor(self) -> dict[str, Any]:
        return {"until": dict(self.until), "walks": dict(self.walks), "spent": dict(self.spent)}

    def pay(self, posts: int) -> None:
        self.spent["posts"] += posts
        self.spent["usd"] = round(self.spent["usd"] + posts * self.settings.price_per_post, 6)

    def affordable(self) -> int:
        """How many posts the next request may bring. Raises Retry when that is less than X hands out."""
        day, month = self.settings.daily_posts_cap, self.settings.monthly_spend_cap
        today = _AT_ONCE if day is None else day - self.spent["posts"]
        in_month = _AT_ONCE
        if month is not None:
            in_month = int((month - self.spent["usd"]) / self.settings.price_per_post + 1e-6)
        if in_month < _LEAST:
            raise self._stop("monthly_spend_cap", _next_month(self.now))
        if today < _LEAST:
            raise self._stop("daily_posts_cap", _midnight(self.now) + timedelta(days=1))
        return min(_AT_ONCE, today, in_month)

    def _stop(self, cap: str, end: datetime) -> Retry:
        said = f"X: your {cap} is used up, {spent(self.cursor())}."
        what = f"Reading goes on at {end:%Y-%m-%d %H:%M} UTC; raise {cap} to read more before that."
        return Retry(f"{said} {what}", (end - self.now).total_seconds())


def fetch(settings: Settings, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str) -> Iterator[Page]:
    """Pages of posts, newest first.

    The cursor is {"until": {query: epoch seconds up to which all was read}, "walks": {query: {"since", "until",
    "below"}}, "spent"}. A walk that a cap, an error or the end of the run cut off goes on below the id it came to, so
    that no post is paid for twice; only its end moves the bookmark.
    """
    headers = {"Authorization": f"Bearer {_token(settings)}"}
    account = _Account(settings, cursor, now)
    failure: SourceError | None = None
    for query in sorted(settings.queries, key=lambda query: account.until.get(query, 0)):  # who waited longest
        try:
            while account.requests < _MAX_REQUESTS and account.until.get(query) != int(account.now.timestamp()):
                yield _step(account, query, get, headers, name)
        except (Broken, Refused) as error:
            if isinstance(error, Unauthorised):
                raise
            failure = failure or error
    if failure:
        raise failure


def _step(account: _Account, query: str, get: Get, headers: Mapping[str, str], name: str) -> Page:
    """The next page of a query's walk; begins one where there is none, and ends it where nothing is left."""
    now = int(account.now.timestamp())
    mark = account.until.get(query)
    since = now - account.settings.days * 86400 if mark is None else min(mark, now) - _OVERLAP_S
    walk = account.walks.get(query) or {"since": since, "until": now, "below": ""}
    floor = now - _REACH_S
    gap = None
    if walk["since"] < floor and not (mark is None and not walk["below"]):
        why = f"X shows seven days, and what matched {query!r} before was not read in time; mind the caps"
        reached = max(floor, _moment(walk["below"])) if walk["below"] and _moment(walk["below"]) < floor else floor
        gap = Gap(datetime.fromtimestamp(walk["since"], UTC), datetime.fromtimestamp(reached, UTC), why)
    raise NotImplementedError
