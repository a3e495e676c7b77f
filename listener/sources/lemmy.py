"""Lemmy: posts and comments that name a word or phrase, or that stand in a community; API v3 (0.19) and v4 (1.0)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from listener.errors import SourceError
from listener.http import Get
from listener.records import Page
from listener.sources import About
from listener.sources.fediverse import HOST, WEB, by_its_address, each_back, hosts
from listener.sources.lemmy_lists import List, Reader
from listener.sources.shared import Phrases
from listener.sources.turns import each_in_turn

ABOUT = About(
    brings="posts and comments of Lemmy that hold one of your words, or that stand in communities you name",
    key="none",
    limits="each instance sets its own, often 60 searches in 10 minutes; it finds what its people subscribe to",
    terms="each instance has its own",
    caution="an instance of version 0.19 shows the newest 500 to 5,000 of a search or of a community's comments",
)

RECHECK_AT_ONCE = 8  # one to three requests each

_REQUESTS = 40  # a run, shared by all the lists
_OVERLAP = timedelta(hours=1)  # posts arrive late from other instances
_OF_LEMMY = re.compile(rf"https://{HOST}/(post|comment)/(\d+)")


class Settings(BaseModel):
    """What to look for, and where."""

    model_config = ConfigDict(extra="forbid")

    instances: list[str] = Field(
        [],
        description="Host names of the instances to search; what several of them find is kept once.",
        examples=[["lemmy.world", "lemmy.ml"]],
    )
    queries: Phrases = Field([], description="Words or phrases to search for.", examples=[["Acme Hotel"]])
    communities: list[str] = Field(
        [],
        description="Communities to read whole, posts and comments, each on its own instance.",
        examples=[["hotels@lemmy.world"]],
    )
    days: float = Field(7, gt=0, le=3650, description="How many days the first run looks back.")

    @field_validator("instances")
    @classmethod
    def _instances(cls, instances: list[str]) -> list[str]:
        return hosts(instances)

    @field_validator("communities")
    @classmethod
    def _names(cls, communities: list[str]) -> list[str]:
        names = [community.strip().lower().removeprefix("!") for community in communities]
        for name in names:
            if not re.fullmatch(rf"\w+@{HOST}(:\d+)?", name):
                raise ValueError(f"{name!r} is no community; write it as name@instance, such as hotels@lemmy.example")
        return list(dict.fromkeys(names))

    @model_validator(mode="after")
    def _something_to_read(self) -> Settings:
        if bool(self.queries) != bool(self.instances):
            raise ValueError("a search needs both instances and queries; communities need neither")
        if not self.queries and not self.communities:
            raise ValueError('name queries and instances to search, or communities = ["hotels@lemmy.example"]')
        return self


def fetch(settings: Settings, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str) -> Iterator[Page]:
    """Pages of each list, newest first. Only the last page of a list moves its mark.

    The cursor is {"marks": {list: epoch second up to which all was read}, "versions": {host: [3 or 4, since when]}}.
    """
    until, lists = int(now.timestamp()), _lists(settings)
    known = dict((cursor or {}).get("marks") or {})
    marks = {one.key: known[one.key] for one in lists if one.key in known}
    reader = Reader(get, now, name, dict((cursor or {}).get("versions") or {}))
    at_most = max(3, _REQUESTS // len(lists))

    def read(one: List) -> Iterator[Page]:
        mark = marks.get(one.key)
        begin = min(mark, until) - _OVERLAP.total_seconds() if mark else until - settings.days * 86400
        for reply in reader.back(one, datetime.fromtimestamp(begin, UTC), at_most=at_most):
            if not reply.older:
                marks[one.key] = until
            versions = {one.host: reader.versions[one.host] for one in lists if one.host in reader.versions}
            yield replace(reply.page, cursor=None if reply.older else {"marks": dict(marks), "versions": versions})

    yield from each_in_turn(lists, read, now, lambda one: one.host)


def backfill(
    settings: Settings, since: datetime, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str
) -> Iterator[Page]:
    """Every list back to `since`. The cursor is {"at": {list: position}, "done": [lists]}."""
    reader = Reader(get, now, name)
    yield from each_back(_lists(settings), lambda one, at: reader.back(one, since, at), cursor, now)


def _lists(settings: Settings) -> list[List]:
    found = [List(host, "search", query) for host in settings.instances for query in settings.queries]
    for community in settings.communities:
        what, _, host = community.partition("@")
        found += [List(host, path, what) for path in ("post/list", "comment/list")]
    return found


def recheck(
    settings: Settings, cursor: Mapping[str, Any] | None, native_ids: Sequence[str], get: Get, now: datetime, name: str
) -> Iterator[Page]:
    """Each post as it is now, asked of the instance on which it was written.

    Any other than those in the settings may fail: it is one of many. What cannot be told for certain is not named.
    """
    reader = Reader(get, now, name)
    failed: dict[str, SourceError] = {}
    for ap_id in native_ids:
        web = WEB.fullmatch(ap_id)
        if not web or web.group(1) in failed:
            continue
        try:
            of_lemmy = _OF_LEMMY.fullmatch(ap_id)
            found = reader.as_it_is(ap_id, web.group(1), *of_lemmy.groups()) if of_lemmy else None
            found = found or by_its_address(get, ap_id)
        except SourceError as error:
            failed[web.group(1)] = error
            continue
        if found is not None:
            yield found
    for host in (one.host for one in _lists(settings)):
        if host in failed:
            raise failed[host]
