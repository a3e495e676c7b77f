"""The steps of which a walk through YouTube is made: searches, threads, replies, and places that are closed to us."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from math import inf

from listener.errors import Broken, Refused, Retry, SourceError, Unauthorised
from listener.records import Gap, Page
from listener.sources.youtube_account import Account, reasons
from listener.sources.youtube_comments import Thread, next_of, threads_of, videos_of

SEARCH_UNITS = 100
_MAX_REPLY_PAGES = 10  # of one thread: 1,000 replies
_CLOSED_S = 86400  # then a place that could not be read is asked for again
_CLOSED = {
    "commentsDisabled": "comments are switched off",
    "videoNotFound": "{} not found",
    "forbidden": "{} is not open to the public",
}


def is_closed(account: Account, place: str) -> bool:
    return bool(abs(account.second - account.closed.get(place, {}).get("at", -inf)) < _CLOSED_S)


def still_closed(account: Account) -> Page:
    """Says again which places are left out, so that they are not forgotten."""
    skipped = Counter(account.closed[place]["why"] for place in account.places() if is_closed(account, place))
    return Page((), cursor=account.cursor(), skipped=dict(skipped))


def search(account: Account, query: str) -> Iterator[Page]:
    """Finds the newest videos of a query, unless that was done not long ago."""
    at = account.found.get(query, {}).get("at", -inf)
    if abs(account.second - at) < account.settings.search_hours * 3600:
        return
    params = {"q": query, "type": "video", "order": "date", "maxResults": str(account.settings.videos_per_query)}
    reply, _ = account.ask("search", params, SEARCH_UNITS)
    account.found[query] = {"at": account.second, "videos": videos_of(reply)}
    yield Page((), cursor=account.cursor())


def note_closed(account: Account, place: str, error: SourceError) -> Page:
    """A page that says why a video has no comments for us. Raises the error where that is not what it says."""
    found = reasons(error)
    if "channelNotFound" in found:
        raise Broken(f"YouTube: {place} not found; correct it, or remove it.", error.payload, error.status) from error
    word = next((word for word in _CLOSED if word in found), "")
    known = word and (place.startswith("video") or word == "commentsDisabled")
    if not known or isinstance(error, Unauthorised):
        raise error
    why = _CLOSED[word].format(place)
    account.closed[place] = {"why": why, "at": account.second}
    return Page((), cursor=account.cursor(), skipped={why: 1})


def threads(
    account: Account, place: str, since: float, token: str = ""
) -> Iterator[tuple[Page, list[Thread], str, bool]]:
    """The pages of a place, newest first, down to `since`: (comments, threads, token of the next page, the last)."""
    kind, _, ident = place.partition(" ")
    where = {"videoId" if kind == "video" else "allThreadsRelatedToChannelId": ident}
    params = {"part": "snippet,replies", "order": "time", "maxResults": "100", "textFormat": "plainText", **where}
    last = False
    while not last:
        reply, payload = account.ask("commentThreads", {**params, **({"pageToken": token} if token else {})})
        page, found, token = account.page(reply, payload), threads_of(reply, account.now), next_of(reply)
        # Judged by the last thread: one with a new reply, or a stray date, may stand anywhere above it.
        oldest = found[-1].last if found else None
        last = not token or (oldest is not None and oldest.timestamp() < since)
        yield page, found, token, last


def replies(account: Account, limit: float) -> Iterator[Page]:
    """All replies of the threads that have more than were shown, as far as `limit` requests of the run go."""
    for thread, video in list(account.owed.items()):
        token, pages = "", 0
        while thread in account.owed:
            if account.requests >= limit:
                return
            params = {"parentId": thread, "maxResults": "100", "textFormat": "plainText"}
            try:
                reply, payload = account.ask("comments", {**params, **({"pageToken": token} if token else {})})
            except Unauthorised:
                raise
            except Retry:
                account.owed[thread] = account.owed.pop(thread)  # the others stand before it from now on
                raise
            except (Broken, Refused) as error:
                del account.owed[thread]
                if "commentNotFound" not in reasons(error):
                    account.forget(thread)
                    raise
                yield Page((), cursor=account.cursor(), skipped={"thread deleted": 1})
                break
            page, token, pages, gap = account.page(reply, payload, video), next_of(reply), pages + 1, None
            if token and pages == _MAX_REPLY_PAGES:
                gap = Gap(None, None, f"the thread {thread} has more replies than are read")
            if gap or not token:
                del account.owed[thread]
            yield replace(page, cursor=account.cursor(), gap=gap)
