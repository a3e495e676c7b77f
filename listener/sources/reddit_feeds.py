"""Reddit without a key: its Atom feeds, as slowly as it wants them to be asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from listener.errors import Retry, SourceError
from listener.http import Get
from listener.http.walls import is_html
from listener.records import Page
from listener.sources.reddit_posts import AT_ONCE, WEB, Listing, parse, refused, until_reset

GAP_S = 6.5  # ten requests a minute is the most that was ever allowed without a token
NEXT_MINUTE_S = 61.0  # since June 2026 one a minute is common; the replies tell
_LONGEST_WAIT_S = 90.0  # a longer one is left for the next run
_USUAL = 25  # entries of a page; fewer are the last ones, even where it shows no more than these at a time


class Feeds:
    """The feeds of one run. After each reply it waits as long as that reply asks, by the gap before the next request.

    `first_gap_s` is the gap before the first one: NEXT_MINUTE_S where others asked before, whose replies are not known.
    """

    most = 12

    def __init__(
        self, get: Get, now: datetime, name: str, token: Mapping[str, str], first_gap_s: float = GAP_S
    ) -> None:
        self._get = get
        self._now = now
        self._name = name
        self._token = token  # {"feed", "user"} of a personal feed, or {}
        self._usual_gap_s = None if token else GAP_S
        self._gap_s = None if token else first_gap_s
        self._closed_s = 0.0

    def listing(self, listing: Listing, after: str) -> tuple[Page, str]:
        """A page of a feed, and the fullname of its last entry, after which it goes on."""
        address = f"{WEB}/{listing.path}{'.rss' if listing.path.endswith('search') else '/.rss'}"
        page = self._ask(address, {**listing.params, **({"after": after} if after else {})}, listing.place)
        listed = len(page.posts) + len(page.deleted) + sum(page.skipped.values())
        return page, page.posts[-1].native_id if page.posts and listed >= _USUAL else ""

    def info(self, fullnames: Sequence[str]) -> Page:
        """What is told to be gone, and the others as they are. What the feed leaves out may only be cut off."""
        return self._ask(f"{WEB}/api/info.rss", {"id": ",".join(fullnames)}, "")

    def _ask(self, address: str, params: Mapping[str, str], place: str) -> Page:
        if self._closed_s:
            raise Retry("www.reddit.com: the requests that it allows for now are used up.", self._closed_s)
        try:
            reply = self._get(address, params={**params, "limit": str(AT_ONCE), **self._token}, gap_s=self._gap_s)
        except SourceError as error:
            if place and error.status in (403, 404) and not is_html(error.payload):
                raise refused(place, error.status, error.payload) from error
            raise
        wait = until_reset(reply.headers)
        self._closed_s = wait if wait > _LONGEST_WAIT_S else 0.0
        self._gap_s = wait + 1 if wait else self._usual_gap_s
        if not reply.body.strip():
            raise Retry("www.reddit.com sends nothing, as it does when it is asked too often.", wait or None)
        return parse(reply.body, name=self._name, now=self._now)
