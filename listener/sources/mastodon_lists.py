"""What a Mastodon instance lists, the posts under a tag or those its search finds, and the walks over it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from listener.errors import Refused, SourceError, Unauthorised
from listener.http import Get
from listener.records import Page
from listener.sources.fediverse import Reply, folded, text_of, walk_back
from listener.sources.mastodon_posts import page_of, statuses_of
from listener.sources.shared import read_date

_SHOWN = 40  # posts a reply, the most that Mastodon gives
_DEEPEST = 10_000  # how far the engine behind the search counts
OVERLAP = timedelta(hours=1)  # a post that comes late from another instance is put in its place by its date


@dataclass(frozen=True, slots=True)
class List:
    """The list of a tag, or that of a search."""

    host: str
    tag: str = ""
    query: str = ""

    @property
    def key(self) -> str:
        """Its name in a cursor."""
        return f"{self.host} #{self.tag}" if self.tag else f"{self.host} {self.query}"


@dataclass(slots=True)
class Reader:
    """One run over lists: the way out, and what was seen on it. The token is shown to `home` alone."""

    get: Get
    now: datetime
    name: str
    home: str
    token: str
    _seen: dict[str, datetime] = field(default_factory=dict)  # uri: when it was edited, in the copy that was given
    _switched_off: dict[str, bool] = field(default_factory=dict)  # instance: whether it shows no tags at all

    def forward(self, one: List, mark: str, begun: str, at_most: int) -> Iterator[tuple[Page, str, bool]]:
        """Each page from the mark on, oldest first, the mark after it, and whether the walk is over.

        Where a run ends early the next goes on. `begun` is the mark from which the first of them went on: the hour of
        overlap reaches back to it, and no further.
        """
        at = mark
        for _ in range(at_most):
            reply = self._ask(one, {"min_id": at})
            if reply.newer in ("", at):
                yield reply.page, before(at, begun, self.now), True
                break
            at = reply.newer
            yield reply.page, at, False
        if at == mark:
            self._check_that_tags_are_shown(one.host)

    def back(self, one: List, since: datetime, at: str = "", **bound: int) -> Iterator[Reply]:
        """Newest first, see `walk_back`."""
        why = f"{one.host} holds more posts with {one.tag or one.query!r} than one walk reads; name a rarer word"
        parameter = "offset" if one.query else "max_id"
        anything = False
        for reply in walk_back(lambda at: self._ask(one, {parameter: at} if at else {}), since, why, at, **bound):
            anything = anything or bool(reply.newer)
            yield reply
        if one.tag and not at and not anything:
            self._check_that_tags_are_shown(one.host)

    def headers(self, host: str) -> dict[str, str]:
        """What shows who we are, to the instance of our account."""
        return {"Authorization": f"Bearer {self.token}"} if self.token and host == self.home else {}

    def _ask(self, one: List, position: Mapping[str, str]) -> Reply:
        url, params = f"https://{one.host}/api/v1/timelines/tag/{quote(one.tag)}", {"limit": str(_SHOWN), **position}
        if one.query:
            url, params = f"https://{one.host}/api/v2/search", {"q": f'"{one.query}"', "type": "statuses", **params}
        try:
            response = self.get(url, params=params, headers=self.headers(one.host))
        except SourceError as error:
            self._explain(error, one)
            raise
        statuses = statuses_of(response.body, one.host)
        if not statuses:
            return Reply(Page(()))
        link = response.headers.get("link", "")
        newer = _edge(link, "min_id", "prev") or text_of(statuses[0].get("id"))
        older = _edge(link, "max_id", "next") or text_of(statuses[-1].get("id"))
        if one.query:
            older = str(int(position.get("offset", "0")) + len(statuses))
        dates = [date for status in statuses if (date := read_date(status.get("created_at"), self.now))]
        page = folded(page_of(statuses, one.host, self.name, self.now), self._seen)
        cut = bool(one.query) and int(older) >= _DEEPEST
        return Reply(page, newer, older, max(dates, default=None), cut)

    def _explain(self, error: SourceError, one: List) -> None:
        """Says what a person has to do where an instance is closed; 422 is how Mastodon before 4 said 401."""
        if error.status not in (401, 403, 422) or (error.status == 403 and not self.headers(one.host)):
            return
        if self.headers(one.host):
            why = f"{one.host} does not let our token read {one.key!r} (status {error.status}). Make a new one there, "
            why += "under Preferences, Development, with the scope 'read'."
        else:
            why = f"{one.host} shows tags only to people with an account there (status {error.status}). Name another "
            why += "instance, or put this one first in `instances` and give the token of an account there."
        raise Unauthorised(why, error.payload, error.status) from error

    def _check_that_tags_are_shown(self, host: str) -> None:
        """Raises Refused where tags are switched off: from Mastodon 4.5 on such an instance sends empty lists."""
        if host not in self._switched_off:
            told: Any = {}
            try:
                told = self.get(f"https://{host}/api/v2/instance").json()
            except SourceError:
                pass  # not Mastodon, or an old one
            for key in ("configuration", "timelines_access", "hashtag_feeds"):
                told = told.get(key) if isinstance(told, dict) else None
            self._switched_off[host] = isinstance(told, dict) and set(map(str, told.values())) == {"disabled"}
        if self._switched_off[host]:
            raise Refused(f"{host} has switched its lists of tags off, and they are empty. Name another instance.")


def before(newest: str, mark: str, now: datetime) -> str:
    """The id an hour before `newest`, but not before `mark`, and neither after now.

    Ids of Mastodon are the milliseconds of a post's date, moved left by 16 bits. Other software has ids that cannot be
    reckoned with; those stay as they are.
    """
    if not re.fullmatch(r"\d{15,20}", newest):
        return newest
    present = int(now.timestamp() * 1000) << 16
    earlier = min(int(newest), present) - (int(OVERLAP.total_seconds() * 1000) << 16)
    return str(max(earlier, min(int(mark), present) if mark.isdecimal() else 0))


def _edge(link: str, parameter: str, relation: str) -> str:
    """The position that a Link header names, "" when it names none."""
    found = re.search(rf'<[^>]*[?&]{parameter}=([\w.-]+)[^>]*>;\s*rel="{relation}"', link)
    return found.group(1) if found else ""
