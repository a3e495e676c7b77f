"""What a Lemmy instance lists, by API v3 (0.19) or v4 (1.0): what its search finds, and what stands in a community."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from listener.errors import Broken, Refused, Retry, SourceError
from listener.http import Get, Response, read_json
from listener.records import Page
from listener.sources.fediverse import Reply, folded, text_of, walk_back
from listener.sources.lemmy_posts import item_of, page_of, views_of, written

_SHOWN = 50  # a reply, the most that Lemmy gives
_GAP_S = 2.0
_VERSION_S = 86400.0  # an instance that was upgraded answers the old way for a while, but badly


@dataclass(frozen=True, slots=True)
class List:
    """What an instance lists: what its search finds, or the posts or comments of a community."""

    host: str
    path: str  # "search", "post/list", "comment/list"
    what: str  # the query, or the name of the community

    @property
    def key(self) -> str:
        return f"{self.host} {self.path} {self.what}"


@dataclass(slots=True)
class Reader:
    """One run over lists: the way out, and what was seen on it."""

    get: Get
    now: datetime
    name: str
    versions: dict[str, list[float]] = field(default_factory=dict)  # host: API version, and the second it was told
    _seen: dict[str, datetime] = field(default_factory=dict)

    def back(self, one: List, since: datetime, at: str = "", **bound: int) -> Iterator[Reply]:
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
                if isinstance(error, Retry) or error.status not in (400, 404):
                    raise
                continue
            views = views_of(response.body, host)
            if [text_of(item_of(view).get("ap_id")) for view in views] != [ap_id]:
                return None
            posts = page_of(views, host, self.name, self.now).posts
            return Page(posts) if posts else Page((), deleted=(ap_id,))
        return None

    def _ask(self, one: List, at: str) -> Reply:
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
        told = read_json(response.body, one.host)
        older = text_of(told.get("next_page"))
        if version == 3 and "next_page" not in told and len(views) >= _SHOWN:
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
        if told and 0 <= self.now.timestamp() - told[1] < _VERSION_S:
            return int(told[0])
        for version in (3, 4):
            try:
                response = self._get(f"https://{host}/api/v{version}/site", {})
            except SourceError as error:
                if error.status != 404:
                    self._explain(error, List(host, "site", ""))
                    raise
                continue
            version = 4 if _number(response.body, host) >= 1 else version
            self.versions[host] = [version, int(self.now.timestamp())]
            return version
        raise Broken(
            f"{host} has neither API v3 nor v4 of Lemmy. Check the host; other software of its kind has feeds, which "
            "the kind 'feeds' reads."
        )

    def _explain(self, error: SourceError, one: List) -> None:
        said = _said(error)
        if said in ("instance_is_private", "not_logged_in", "incorrect_login"):
            why = f"{one.host} shows posts only to people with an account there ({said}). Name another instance."
            raise Refused(why, error.payload, error.status) from error
        if one.path != "search" and ("couldnt_find" in said or said == "not_found"):
            why = f"{one.host} knows no community {one.what!r} ({said}). Check its name, which stands in its address."
            raise Broken(why, error.payload, error.status) from error


def _params(one: List, version: int, at: str) -> dict[str, str]:
    """v4 writes its words in lower case, and has a cursor where v3 counts pages; the posts of 0.19 have one too."""
    everything, new = ("All", "New") if version == 3 else ("all", "new")
    params = {"type_": everything, "sort": new, "limit": str(_SHOWN)}
    if one.path == "search":
        params |= {"q": one.what, "listing_type": everything}
    else:
        params |= {"community_name": one.what}
        if version == 4:
            params |= {"community_name_or_id": one.what}  # the name since the last beta
    if at:
        params |= {"page" if version == 3 and at.isdecimal() else "page_cursor": at}
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
