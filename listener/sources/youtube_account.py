"""What a source on YouTube has read and spent, the one way in which it asks, and what the errors of YouTube mean."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from listener.errors import Disabled, Retry, SourceError, Unauthorised
from listener.http import Get
from listener.records import Page
from listener.sources.youtube_comments import Thread, page_of, read

if TYPE_CHECKING:
    from listener.sources.youtube import Settings

_API = "https://www.googleapis.com/youtube/v3"
_USED_UP = {"quotaExceeded", "dailyLimitExceeded"}
_TOO_FAST = {"rateLimitExceeded", "userRateLimitExceeded"}
_AT_PRESENT = {"processingFailure", "backendError"}
_NOT_TAKEN = {
    "does not take the key: it is mistyped, expired or deleted; make another one": {
        "keyInvalid",
        "keyExpired",
        "API_KEY_INVALID",
        "API_KEY_EXPIRED",
    },
    "is not open to this key: switch on the YouTube Data API v3 in the key's project": {
        "accessNotConfigured",
        "SERVICE_DISABLED",
        "API_KEY_SERVICE_BLOCKED",
    },
    "takes this key from other addresses only: lift its restriction, or add this machine to it": {
        "ipRefererBlocked",
        "API_KEY_IP_ADDRESS_BLOCKED",
        "API_KEY_HTTP_REFERRER_BLOCKED",
    },
}


def spent(cursor: Mapping[str, Any] | None) -> str:
    """What the day of the last run has cost, for people; "" before there was one."""
    units = (cursor or {}).get("units")
    return f"{units['spent']:,} of {units['of']:,} units on {units['day']} (Pacific time)" if units else ""


class Account:
    """How far each place was read, what is still to be read and the units spent; `cursor` is how they are kept.

    The units are those since midnight in California, when YouTube counts them anew.
    """

    def __init__(
        self, settings: Settings, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str, limit: int
    ) -> None:
        known = cursor or {}
        self.settings, self.now, self.name = settings, now, name
        self.second = int(now.timestamp())
        self.requests = 0
        self.seen: set[str] = set()
        self.found = {query: told for query, told in (known.get("found") or {}).items() if query in settings.queries}
        self.until: dict[str, int] = dict(known.get("until") or {})
        self.closed: dict[str, dict[str, Any]] = dict(known.get("closed") or {})
        self.owed: dict[str, str] = dict(known.get("owed") or {})  # thread -> video: more replies than were shown
        # place -> thread -> how many replies it had when they were read
        self.counts = {at: dict(told) for at, told in (known.get("counts") or {}).items() if isinstance(told, dict)}
        self._shown: set[str] = set()  # by the walk through a place that goes on
        self.walk: dict[str, Any] = dict(known.get("walk") or {})  # of a backfill: where it is
        units = known.get("units") or {}
        day = now.astimezone(_california()).date().isoformat()
        self.units: dict[str, Any] = {
            "day": day,
            "spent": units["spent"] if units.get("day") == day else 0,
            "of": limit,
        }
        self._get, self._headers = get, {"X-Goog-Api-Key": _key(settings, name)}

    def places(self) -> list[str]:
        """What is read, as "channel ID" and "video ID"."""
        videos = [*self.settings.videos, *(video for told in self.found.values() for video in told["videos"])]
        channels = [f"channel {channel}" for channel in self.settings.channels]
        return [*channels, *dict.fromkeys(f"video {video}" for video in videos)]

    def cursor(self) -> dict[str, Any]:
        places = set(self.places())
        kept: dict[str, Any] = {
            "until": {place: at for place, at in self.until.items() if place in places},
            "closed": {place: told for place, told in self.closed.items() if place in places},
            "found": self.found,
            "owed": self.owed,
            "counts": {place: dict(told) for place, told in self.counts.items() if told and place in places},
            "walk": self.walk,
            "units": self.units,
        }
        return {key: dict(value) for key, value in kept.items() if value}

    def ask(self, what: str, params: Mapping[str, str], units: int = 1) -> tuple[dict[str, Any], bytes]:
        """The reply, read and as it came. Raises Retry without asking where the units do not suffice."""
        spent, limit = self.units["spent"], self.units["of"]
        if spent + units > limit:
            raise Retry(
                f"YouTube: {spent:,} of {limit:,} units are spent today and the next request costs {units}; they are "
                "counted anew at midnight in California. daily_units sets how many there are.",
                until_reset(self.now),
            )
        self.requests += 1
        self.units["spent"] += units  # a request that fails costs as well
        try:
            payload = self._get(f"{_API}/{what}", params={"part": "snippet", **params}, headers=self._headers).body
        except SourceError as error:
            meant = _meaning(error, self.now)
            if meant is error:
                raise
            raise meant from error
        return read(payload), payload

    def page(self, reply: Mapping[str, Any], payload: bytes, video: str = "") -> Page:
        """The comments of a reply that were not met before in this run. Raises Broken."""
        page = page_of(reply, payload, self.name, self.now, video)
        fresh = tuple(post for post in page.posts if post.native_id not in self.seen)
        self.seen.update(post.native_id for post in fresh)
        return replace(page, posts=fresh)

    def owe(self, place: str, threads: Sequence[Thread]) -> None:
        """Notes threads that have more replies than were shown, and not as many as when they were last read."""
        for thread in threads:
            if thread.ident and thread.replies > thread.shown:
                if all(told.get(thread.ident) != thread.replies for told in self.counts.values()):
                    self.owed[thread.ident] = thread.video
                self.counts.setdefault(place, {})[thread.ident] = thread.replies
                self._shown.add(thread.ident)

    def forget_unshown(self, place: str) -> None:
        """Keeps of a place, when a walk through it ends, the counts of what was shown, so that they do not pile up."""
        told = self.counts.get(place, {})
        self.counts[place] = {thread: replies for thread, replies in told.items() if thread in self._shown}
        self._shown.clear()

    def forget(self, thread: str) -> None:
        """Lets a thread be noted again when it is shown the next time."""
        for told in self.counts.values():
            told.pop(thread, None)


def _key(settings: Settings, name: str) -> str:
    if settings.key is None:
        raise Disabled(
            f'[[source]] "{name}": YouTube needs an API key; make one at console.cloud.google.com, keep it in an '
            'environment variable, and write key = { env = "YOUTUBE_API_KEY" }'
        )
    return settings.key.read(f'[[source]] "{name}" key')


def _california() -> ZoneInfo:
    return ZoneInfo("America/Los_Angeles")


def until_reset(now: datetime) -> float:
    """Seconds to midnight in California."""
    tomorrow = now.astimezone(_california()).date() + timedelta(days=1)
    return (datetime.combine(tomorrow, time(0), _california()).astimezone(UTC) - now).total_seconds()


def reasons(error: SourceError) -> set[str]:
    """The words by which YouTube says why it refuses, such as commentsDisabled; none where it says nothing."""
    try:
        told = json.loads(error.payload)["error"]
        each = [*told.get("errors", ()), *told.get("details", ())]
        return {one["reason"] for one in each if isinstance(one, dict) and isinstance(one.get("reason"), str)}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return set()


def is_of_all(error: SourceError) -> bool:
    """Whether it says of every place that nothing can be read now: by the key, the units, or how often we ask."""
    if not isinstance(error, Retry):
        return isinstance(error, Unauthorised)
    return error.after is not None or error.status == 429 or bool(reasons(error) & _TOO_FAST)


def _meaning(error: SourceError, now: datetime) -> SourceError:
    """The error, or another class where YouTube's reply says more than its status."""
    why, reply = reasons(error), (error.payload, error.status)
    if why & _USED_UP:
        return Retry("YouTube: the key's units of the day are spent.", until_reset(now), *reply)
    if why & _TOO_FAST and not isinstance(error, Retry):
        return Retry("YouTube says that we ask too often.", None, *reply)
    if why & _AT_PRESENT:
        return Retry("YouTube cannot answer at present.", None, *reply)
    if error.status == 400 and b"API key" in error.payload:
        why = {"keyInvalid"}  # the reason is badRequest then
    for what, words in _NOT_TAKEN.items():
        if why & words:
            return Unauthorised(f"YouTube {what}, at console.cloud.google.com.", *reply)
    return error
