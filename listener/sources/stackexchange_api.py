"""How Stack Exchange is talked to: its quota, the waits it asks for, and the errors it tells of in a reply."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, TypeGuard

from listener.errors import Broken, Refused, Retry, SourceError, Unauthorised
from listener.http import Get, read_json
from listener.sources.shared import plain

API = "https://api.stackexchange.com/2.3"
PLACE = "api.stackexchange.com"
AT_ONCE = 100  # posts a reply, and ids a request

# Their numbers; the HTTP status is 400 for all of them.
_CONSEQUENCES: dict[int, type[SourceError]] = {
    401: Unauthorised, 402: Unauthorised, 403: Refused, 405: Unauthorised, 406: Unauthorised,
    500: Retry, 502: Retry, 503: Retry,
}  # fmt: skip


class Conversation:
    """The requests of one run: what is asked of us to wait for, and whether the quota of the day is used up."""

    def __init__(self, key: str, get: Get, now: datetime) -> None:
        self._key = {"key": key} if key else {}
        self._get = get
        self._now = now
        self._waits: dict[str, int] = {}
        self._spent = False

    def ask(self, method: str, params: Mapping[str, str], ids: str = "") -> bytes:
        """The body of a reply. Raises Retry in place of a request that we were asked not to make yet."""
        if self._spent:
            midnight = (self._now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
            why = f"{PLACE}: the requests of today are used up. A key, or a longer `every`, helps."
            raise Retry(why, (midnight - self._now).total_seconds())
        if method in self._waits:
            why = f"{PLACE} asks to wait {self._waits[method]} s before /{method} is asked again."
            raise Retry(why, self._waits[method])
        told = {"pagesize": str(AT_ONCE), "filter": "withbody", **params, **self._key}
        try:
            body = self._get(f"{API}/{method}{ids and '/'}{ids}", params=told).body
        except SourceError as error:
            raise _explained(error) from error.__cause__
        reply = reply_of(body)
        if is_count(reply.get("backoff")):
            self._waits[method] = min(reply["backoff"], 86_400)
        self._spent = type(reply.get("quota_remaining")) is int and reply["quota_remaining"] <= 0
        return body


def reply_of(payload: bytes) -> dict[str, Any]:
    """A reply that holds a list of items. Raises Broken, or the error that it tells of."""
    reply = read_json(payload, PLACE)
    if isinstance(reply, dict) and isinstance(reply.get("items"), list):
        return reply
    error = _told(reply, payload, 200)
    raise error or Broken(f"{PLACE} sends JSON without a list of items: its format has changed.", payload)


def _explained(error: SourceError) -> SourceError:
    """The error that a reply tells of in its body, or the same one where it tells none."""
    try:
        reply = json.loads(error.payload)
    except (ValueError, RecursionError):
        return error
    return _told(reply, error.payload, error.status) or error


def _told(reply: object, payload: bytes, status: int) -> SourceError | None:
    number = reply.get("error_id") if isinstance(reply, dict) else None
    if not isinstance(reply, dict) or type(number) is not int:
        return None
    text = plain(reply.get("error_message"))[:300]
    why = f"{PLACE}: {plain(reply.get('error_name'))[:60]}: {text}"
    if number == 400 and "`key`" in text:
        return Unauthorised(f"{why}. Check the key.", payload, status)
    kind = _CONSEQUENCES.get(number, Broken)
    if kind is not Retry:
        return kind(why, payload, status)
    seconds = re.search(r"(\d{1,6}) seconds", text)
    return Retry(why, float(seconds[1]) if seconds else None, payload, status)


def is_count(value: object) -> TypeGuard[int]:
    """Whether it is a number that counts or names something."""
    return type(value) is int and 0 < value < 2**53
