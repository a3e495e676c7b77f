"""Mastodon and what speaks like it: posts under tags, over several instances, and full-text search with a token."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from listener.errors import SourceError
from listener.http import Get
from listener.records import Page
from listener.settings.secrets import Secret
from listener.sources import About
from listener.sources.fediverse import HOST, WEB, by_its_address, each_back, hosts, is_gone, text_of
from listener.sources.mastodon_lists import OVERLAP, List, Reader, before
from listener.sources.mastodon_posts import page_of, statuses_of
from listener.sources.shared import Phrases
from listener.sources.turns import each_in_turn

ABOUT = About(
    brings="public posts under tags, from one or several Mastodon instances; with a token also full-text search",
    key="none for tags on open instances; an access token for full-text search and for closed instances",
    limits="300 requests in 5 minutes to an instance, which shows what its people follow, not the whole network",
    terms="each instance has its own; people who write #nobot or #noindex about themselves are left out",
    caution="search finds only people who allow it, on instances that run a search engine; elsewhere it is empty",
)

RECHECK_AT_ONCE = 8  # one or two requests each

_REQUESTS = 60  # a run, shared by all the lists
_OF_MASTODON = re.compile(rf"https://{HOST}/(?:users/[^/?#]+|ap/users/\d+)/statuses/(\d+)")


class Settings(BaseModel):
    """Which tags to follow on which instances, and what to search for."""

    model_config = ConfigDict(extra="forbid")

    instances: list[str] = Field(
        min_length=1,
        description="Host names of the instances to ask; what several of them show is kept once.",
        examples=[["mastodon.social", "mastodon.online"]],
    )
    tags: list[str] = Field([], description="Tags to follow, with or without '#'.", examples=[["AcmeHotel"]])
    queries: Phrases = Field(
        [], description="Words or phrases for the first instance's full-text search.", examples=[["Acme Hotel"]]
    )
    token: Secret | None = Field(
        None,
        description="Access token (scope 'read') of an account on the first instance; it is sent nowhere else.",
        examples=[{"env": "MASTODON_TOKEN"}],
    )
    days: float = Field(7, gt=0, le=3650, description="How many days the first run looks back.")

    @field_validator("instances")
    @classmethod
    def _instances(cls, instances: list[str]) -> list[str]:
        return hosts(instances)

    @field_validator("tags")
    @classmethod
    def _names(cls, tags: list[str]) -> list[str]:
        names = [tag.strip().removeprefix("#").lower() for tag in tags]
        for name in names:
            if not re.fullmatch(r"[\w·]+", name) or name.isdigit():
                raise ValueError(f"{name!r} cannot be a tag: letters, digits and _ make one, without spaces")
        return list(dict.fromkeys(names))

    @model_validator(mode="after")
    def _something_to_read(self) -> Settings:
        if not self.tags and not self.queries:
            raise ValueError('name at least one tag, as tags = ["AcmeHotel"]')
        if self.queries and self.token is None:
            raise ValueError('full-text search needs a token: token = { env = "MASTODON_TOKEN" }; tags need none')
        return self


def fetch(settings: Settings, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str) -> Iterator[Page]:
    """Pages of each list. The cursor is {"marks": {list: the id to go on from, or of a search the epoch second},
    "begun": {list: the mark from which a walk began that is not over yet}}.

    A tag is read newest first once, and from then on forward from its mark, so that every page may move it. A search
    is read newest first every time, and only its last page moves the mark.
    """
    reader, lists = _reader(settings, get, now, name), _lists(settings)
    known = dict((cursor or {}).get("marks") or {})
    marks = {one.key: known[one.key] for one in lists if one.key in known}
    known = dict((cursor or {}).get("begun") or {})
    begun = {one.key: known[one.key] for one in lists if one.key in known and one.key in marks}
    at_most = max(3, _REQUESTS // len(lists))

    def read(one: List) -> Iterator[Page]:
        start = marks.get(one.key)
        for page, mark, over in _news(settings, reader, one, start, begun.get(one.key, start), at_most):
            if over:
                begun.pop(one.key, None)
            elif mark:
                begun.setdefault(one.key, start)
            if mark:
                marks[one.key] = mark
            kept = {"marks": dict(marks), **({"begun": dict(begun)} if begun else {})}
            yield replace(page, cursor=kept if mark else None)

    yield from each_in_turn(lists, read, now, lambda one: one.host)


def _news(
    settings: Settings, reader: Reader, one: List, mark: Any, begun: Any, at_most: int
) -> Iterator[tuple[Page, Any, bool]]:
    """Each page of what is new in a list, where its mark moves to, "" for nowhere, and whether the walk is over."""
    if one.tag and mark:
        yield from reader.forward(one, str(mark), str(begun), at_most)
        return
    until, newest = int(reader.now.timestamp()), ""
    begin = min(mark, until) - OVERLAP.total_seconds() if mark else until - settings.days * 86400
    for reply in reader.back(one, datetime.fromtimestamp(begin, UTC), at_most=at_most):
        newest = newest or reply.newer
        reached = until if one.query else before(newest, "", reader.now)
        yield reply.page, "" if reply.older else reached, not reply.older


def backfill(
    settings: Settings, since: datetime, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str
) -> Iterator[Page]:
    """Every list back to `since`. The cursor is {"at": {list: position}, "done": [lists]}."""
    reader = _reader(settings, get, now, name)
    yield from each_back(_lists(settings), lambda one, at: reader.back(one, since, at), cursor, now)


def _reader(settings: Settings, get: Get, now: datetime, name: str) -> Reader:
    token = settings.token.read("[[source]] token") if settings.token else ""
    return Reader(get, now, name, home=settings.instances[0], token=token)


def _lists(settings: Settings) -> list[List]:
    tags = [List(host, tag=tag) for host in settings.instances for tag in settings.tags]
    return tags + [List(settings.instances[0], query=query) for query in settings.queries]


def recheck(
    settings: Settings, cursor: Mapping[str, Any] | None, native_ids: Sequence[str], get: Get, now: datetime, name: str
) -> Iterator[Page]:
    """Each post as it is now, asked of the instance on which it was written.

    Any other than those in the settings may fail: it is one of thousands. What cannot be told for certain is not named.
    """
    reader = _reader(settings, get, now, name)
    failed: dict[str, SourceError] = {}
    for uri in native_ids:
        web = WEB.fullmatch(uri)
        if not web or web.group(1) in failed:
            continue
        host, of_mastodon = web.group(1), _OF_MASTODON.fullmatch(uri)
        try:
            if of_mastodon:
                found = _of_its_instance(reader, uri, host, of_mastodon.group(1))
            else:
                found = _of_any(reader, uri, failed)
        except SourceError as error:
            failed[host] = error
            continue
        if found is not None:
            yield found
    for host in settings.instances:
        if host in failed:
            raise failed[host]


def _of_its_instance(reader: Reader, uri: str, host: str, ident: str) -> Page | None:
    """The post as the instance that it is of shows it, None where that shows another."""
    try:
        response = reader.get(f"https://{host}/api/v1/statuses/{ident}", headers=reader.headers(host))
    except SourceError as error:
        if is_gone(error):
            return Page((), deleted=(uri,))
        raise
    return _as_it_is(reader, response.body, uri, host)


def _of_any(reader: Reader, uri: str, failed: dict[str, SourceError]) -> Page | None:
    """A post of other software, as the first instance knows it; else whether its own address still holds it.

    An instance is asked after a foreign post only with a token, and cannot tell one that is deleted from one that is
    out of reach. The address is asked as one instance asks another (ActivityPub).
    """
    home = reader.home
    if reader.token and home not in failed:
        params = {"q": uri, "type": "statuses", "resolve": "true", "limit": "1"}
        try:
            response = reader.get(f"https://{home}/api/v2/search", params=params, headers=reader.headers(home))
            if found := _as_it_is(reader, response.body, uri, home):
                return found
        except SourceError as error:
            failed[home] = error
    return by_its_address(reader.get, uri)


def _as_it_is(reader: Reader, payload: bytes, uri: str, host: str) -> Page | None:
    """The post in a reply; deleted where we would not take it any more: made private, or its author opted out."""
    statuses = statuses_of(payload, host)
    if [text_of(status.get("uri")) for status in statuses] != [uri]:
        return None
    posts = page_of(statuses, host, reader.name, reader.now).posts
    return Page(posts) if posts else Page((), deleted=(uri,))
