"""Lemmy: posts and comments that name a word or phrase, or that stand in a community; API v3 (0.19) and v4 (1.0)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from listener.errors import Broken, Refused, Retry, SourceError
from listener.http import Get, Response, read_json
from listener.records import Page
from listener.sources import About
from listener.sources.fediverse import HOST, WEB, Reply, by_its_address, folded, hosts, text_of, walk_back
from listener.sources.lemmy_posts import item_of, page_of, views_of, written
from listener.sources.turns import each_in_turn

ABOUT = About(
    brings="posts and comments of Lemmy that hold one of your words, or that stand in communities you name",
    key="none",
    limits="each instance sets its own, often 60 searches in 10 minutes; it finds what its people subscribe to",
    terms="each instance has its own",
    caution="an instance of version 0.19 shows the newest 500 to 5,000 of a search or of a community's comments",
)

RECHECK_AT_ONCE = 8  # one to three requests each

_SHOWN = 50  # a reply, the most that Lemmy gives
_REQUESTS = 40  # a run, shared by all the lists
_GAP_S = 2.0
_OVERLAP = timedelta(hours=1)  # posts arrive late from other instances
_VERSION_S = 86400.0  # an instance that was upgraded answers the old way for a while, but badly
_OF_LEMMY = re.compile(rf"https://{HOST}/(post|comment)/(\d+)")


class Settings(BaseModel):
    """What to look for, and where."""

    model_config = ConfigDict(extra="forbid")

    instances: list[str] = Field(
        [],
        description="Host names of the instances to search; what several of them find is kept once.",
        examples=[["lemmy.world", "lemmy.ml"]],
    )
    queries: list[str] = Field([], description="Words or phrases to search for.", examples=[["Acme Hotel"]])
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

    @field_validator("queries")
    @classmethod
    def _phrases(cls, queries: list[str]) -> list[str]:
        phrases = list(dict.fromkeys(" ".join(query.split()) for query in queries))
        if "" in phrases:
            raise ValueError("a query is empty: name a word or a phrase, such as the brand's name")
        return phrases

    @model_validator(mode="after")
    def _something_to_read(self) -> Settings:
        if bool(self.queries) != bool(self.instances):
            raise ValueError("a search needs both instances and queries; communities need neither")
        if not self.queries and not self.communities:
            raise ValueError('name queries and instances to search, or communities = ["hotels@lemmy.example"]')
        return self


@dataclass(frozen=True, slots=True)
class _List:
    """What an instance lists: what its search finds, or the posts or comments of a community."""

    host: str
    path: str  # search, post/list, comment/list
    what: str  # the query, or the name of the community

    @property
    def key(self) -> str:
        return f"{self.host} {self.path} {self.what}"


def fetch(settings: Settings, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str) -> Iterator[Page]:
    """Pages of each list, newest first. Only the last page of a list moves its mark.

    The cursor is {"marks": {list: epoch second up to which all was read}, "versions": {host: [3 or 4, since when]}}.
    """
    until, lists = int(now.timestamp()), _lists(settings)
    known = dict((cursor or {}).get("marks") or {})
    marks = {one.key: known[one.key] for one in lists if one.key in known}
    reader = _Reader(get, now, name, dict((cursor or {}).get("versions") or {}))
    at_most = max(3, _REQUESTS // len(lists))

    def read(one: _List) -> Iterator[Page]:
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
    reader = _Reader(get, now, name)
    at = dict((cursor or {}).get("at") or {})
    done = list((cursor or {}).get("done") or ())

    def read(one: _List) -> Iterator[Page]:
        for reply in reader.back(one, since, at.get(one.key, "")):
            if reply.older:
                at[one.key] = reply.older
            else:
                at.pop(one.key, None)
                done.append(one.key)
            yield replace(reply.page, cursor={"at": dict(at), "done": list(done)})

    rest = [one for one in _lists(settings) if one.key not in done]
    if rest:
        yield from each_in_turn(rest, read, now, lambda one: one.host)
    yield Page((), cursor={})


def _lists(settings: Settings) -> list[_List]:
    found = [_List(host, "search", query) for host in settings.instances for query in settings.queries]
    for community in settings.communities:
        what, _, host = community.partition("@")
        found += [_List(host, path, what) for path in ("post/list", "comment/list")]
    return found


@dataclass(slots=True)
class _Reader:
    """One run over lists: the way out, and what was seen on it."""

    get: Get
    now: datetime
    name: str
    versions: dict[str, list[float]] = field(default_factory=dict)  # host: API version, and the second it was told
    _seen: dict[str, datetime] = field(default_factory=dict)

    def back(self, one: _List, since: datetime, at: str = "", **bound: int) -> Iterator[Reply]:
        """Newest first, see `walk_back`."""
        why = f"{one.host} holds more for {one.what!r} ({one.path}) than one walk can read"
        yield from walk_back(lambda at: self._ask(one, at), since, why, at, **bound)

    def as_it_is(self, ap_id: str, host: str, kind: str, ident: str) -> Page | None:
        """A post or comment as the instance that it is of shows it; None where that shows another, or is not Lemmy."""
        for version in (3, 4):
            try:
                response = self._get(f"https://{host}/api/v{version}/{kind}", {"id": ident})
            except SourceError as error:
                if re.fullmatch("couldnt_find_(post|comment|object)", _said(error)):
                    return Page((), deleted=(ap_id,))
                if error.status != 404:
                    raise
                continue
            views = views_of(response.body, host)
            if [text_of(item_of(view).get("ap_id")) for view in views] != [ap_id]:
                return None
            posts = page_of(views, host, self.name, self.now).posts
            return Page(posts) if posts else Page((), deleted=(ap_id,))
        return None

    def _ask(self, one: _List, at: str) -> Reply:
        version = self._version(one.host)
        try:
            response = self._get(f"https://{one.host}/api/v{version}/{one.path}", _params(one, version, at))
        except SourceError as error:
            if at and error.status == 400 and isinstance(error, Broken):
                return Reply(Page(()), cut=True)  # 0.19 shows so many pages and no more
            self._explain(error, one)
            raise
        views = views_of(response.body, one.host)
        page = folded(page_of(views, one.host, self.name, self.now), self._seen)
        dates = [date for view in views if (date := written(view, self.now))]
        reply = read_json(response.body, one.host)
        older = text_of(reply.get("next_page"))
        if version == 3 and "next_page" not in reply and views:
            older = str(int(at or 1) + 1)
        return Reply(page, older=older, latest=max(dates, default=None))

    def _get(self, url: str, params: Mapping[str, str]) -> Response:
        """A reply. Older versions say 400 where others say 429."""
        try:
            return self.get(url, params=params, gap_s=_GAP_S)
        except SourceError as error:
            if error.status == 400 and _said(error) == "rate_limit_error":
                place = url.partition("?")[0]
                raise Retry(f"{place} says that we ask too often.", None, error.payload, error.status) from error
            raise

    def _version(self, host: str) -> int:
        """The API version of an instance, asked for once a day. 1.0 still answers as v3, but without pages or order."""
        told = self.versions.get(host)
        if told is None or not 0 <= self.now.timestamp() - told[1] < _VERSION_S:
            for version in (3, 4):
                try:
                    response = self._get(f"https://{host}/api/v{version}/site", {})
                except SourceError as error:
                    if error.status != 404:
                        self._explain(error, _List(host, "site", ""))
                        raise
                    continue
                number = _number(response.body, host)
                told = self.versions[host] = [4 if number >= 1 else version, int(self.now.timestamp())]
                return int(told[0])
            raise Broken(
                f"{host} has neither Lemmy's API v3 nor v4. Check the host; other software of its kind has feeds, which "
                "the kind 'feeds' reads."
            )
        return int(told[0])

    def _explain(self, error: SourceError, one: _List) -> None:
        said = _said(error)
        if said in ("instance_is_private", "not_logged_in", "incorrect_login"):
            why = f"{one.host} shows posts only to people with an account there ({said}). Name another instance."
            raise Refused(why, error.payload, error.status) from error
        if one.path != "search" and ("couldnt_find" in said or said == "not_found"):
            why = f"{one.host} knows no community {one.what!r} ({said}). Check its name, which stands in its address."
            raise Broken(why, error.payload, error.status) from error


def _params(one: _List, version: int, at: str) -> dict[str, str]:
    """v4 writes its words in lower case, and has a cursor where v3 counts pages; the posts of 0.19 have one too, "P308c"."""
    everything, new = ("All", "New") if version == 3 else ("all", "new")
    params = {"type_": everything, "sort": new, "limit": str(_SHOWN)}
    if one.path == "search":
        params |= {"q": one.what, "listing_type": everything}
    else:
        params |= {"community_name": one.what}
        if version == 4:
            params |= {"community_name_or_id": one.what}  # the name since the last beta
    if at:
        params |= {"page" if at.isdecimal() else "page_cursor": at}
    return params


def _number(payload: bytes, host: str) -> int:
    """The first number of an instance's version. Raises Broken."""
    told = read_json(payload, host)
    found = re.match(r"(\d{1,4})\.", text_of(told.get("version")) if isinstance(told, dict) else "")
    if not found:
        raise Broken(f"{host} does not tell its version: is it a Lemmy instance?", payload)
    return int(found.group(1))


def _said(error: SourceError) -> str:
    """The error as Lemmy names it, "" for what comes from somebody else."""
    try:
        told = json.loads(error.payload)
    except (ValueError, RecursionError):
        return ""
    return text_of(told.get("error")) if isinstance(told, dict) else ""


def recheck(settings: Settings, native_ids: Sequence[str], get: Get, now: datetime, name: str) -> Iterator[Page]:
    """Each post as it is now, asked of the instance on which it was written.

    Any other than those in the settings may fail: it is one of many. What cannot be told for certain is not named.
    """
    reader = _Reader(get, now, name)
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
