"""Bluesky's Jetstream: every post of the network as it is written, read in windows and looked through for words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from listener.errors import Broken, SourceError
from listener.http import Get, read_json
from listener.records import Gap, Page, Post
from listener.sources.shared import read_date
from listener.text import clean

_COLLECTION = "app.bsky.feed.post"
_DID = re.compile(r"did:[a-z]+:[A-Za-z0-9._:%-]{1,200}")
_URI = re.compile(rf"at://({_DID.pattern})/{re.escape(_COLLECTION)}/([A-Za-z0-9._~:-]{{1,512}})")
_LONGEST_TEXT = 10_000  # characters; the rule is 300

_PAGE = 5_000  # events: so often the bookmark moves, some two minutes of the network's time
_REWIND_S = 10  # events of one moment come a little out of order
_LOOK_BACK_S = 36 * 3600  # what the stream holds; an older cursor is taken for the oldest, without a word
_QUIET_S = 300  # the network is never silent for so long
_AHEAD_US = 3_600_000_000  # how far the server's clock may run ahead of ours
_LARGEST = 100_000  # bytes of an event: descriptions of pictures may be long


def read_window(
    address: str, wanted: Callable[[str], object], since: int, limit_bytes: int, get: Get, now: datetime, name: str
) -> Iterator[tuple[Page, int]]:
    """Pages of what was written from `since` on, oldest first, and the time that each reaches to, in epoch seconds.

    Ends at `now`, or after `limit_bytes`. The first page carries a Gap when the stream begins later than asked.
    """
    end = int(now.timestamp())
    begin = max(since - _REWIND_S, end - _LOOK_BACK_S)
    asked = {
        "wantedCollections": _COLLECTION,
        "cursor": str(begin * 1_000_000),
        "maxMessageSizeBytes": str(_LARGEST),
    }
    first = True
    with closing(get.messages(address, params=asked, limit_bytes=limit_bytes)) as stream:
        for events in _batches(stream, end * 1_000_000):
            times = [event["time_us"] for event in events if event]
            page = parse_events(events, wanted, name, now)
            if first and min(times) > (since + _QUIET_S) * 1_000_000:
                why = "Bluesky's stream holds 36 hours at most; with handle and app_password its search reaches further"
                gap = Gap(datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(min(times) / 1e6, UTC), why)
                page = replace(page, gap=gap)
            first = False
            yield page, min(max(times) // 1_000_000, end)


def _batches(stream: Iterable[bytes], end_us: int) -> Iterator[list[dict[str, Any]]]:
    """The events up to the first one of `end_us` or later. A failure is raised when what came before it is handed out.

    Raises Broken when not one event of a batch can be read.
    """
    batch: list[dict[str, Any]] = []
    message = b""
    failure: SourceError | None = None
    try:
        for message in stream:
            batch.append(_read_event(message, end_us + _AHEAD_US))
            if batch[-1].get("time_us", 0) >= end_us or (len(batch) == _PAGE and not any(batch)):
                break
            if len(batch) == _PAGE:
                yield batch
                batch = []
    except SourceError as error:
        failure = error
    if any(batch):
        yield batch
    elif batch and not failure:
        failure = Broken("Bluesky's stream sends no events of this time. Check this machine's clock.", message)
    if failure:
        raise failure


def _read_event(message: bytes, latest_us: int) -> dict[str, Any]:
    """An event that has a time; {} for anything else, which must not keep us from what follows it."""
    try:
        event = read_json(message, "Jetstream")
    except Broken:
        return {}
    moment = event.get("time_us") if isinstance(event, dict) else None
    usable = isinstance(moment, int) and not isinstance(moment, bool) and 0 < moment <= latest_us
    return event if usable else {}


def parse_events(
    events: Sequence[Mapping[str, Any]], wanted: Callable[[str], object], name: str, now: datetime
) -> Page:
    """The posts among events that hold what is wanted, and what was deleted, of which the last word counts.

    An edit that takes the wanted words away deletes, as far as we are concerned. An account that was deleted or taken
    down takes its posts with it; one that is only resting does not.
    """
    posts: dict[str, Post] = {}
    deleted: dict[str, None] = {}
    below: dict[str, None] = {}
    skipped: Counter[str] = Counter()
    for event in events:
        did, commit = event.get("did"), event.get("commit")
        if not event:
            skipped["not readable"] += 1
        elif _closes(event):
            below[f"at://{did}/"] = None
            posts = {uri: post for uri, post in posts.items() if not uri.startswith(f"at://{did}/")}
        elif isinstance(commit, dict) and commit.get("collection") == _COLLECTION:
            uri = f"at://{did}/{_COLLECTION}/{commit.get('rkey') or ''}"
            if not is_post_uri(uri):
                skipped["no id"] += 1
                continue
            posts.pop(uri, None)
            deleted.pop(uri, None)
            if commit.get("operation") == "delete":
                deleted[uri] = None
                continue
            text, edited = _text(commit.get("record")), commit.get("operation") == "update"
            if text and wanted(text):
                moment = datetime.fromtimestamp(event["time_us"] / 1e6, UTC)
                post = read_post(uri, commit.get("record"), moment, name, now)
                posts[uri] = replace(post, edited_at=moment) if edited else post
                continue
            skipped["without your words" if text else "no text"] += 1
            if edited:
                deleted[uri] = None
    return Page(tuple(posts.values()), skipped=dict(skipped), deleted=tuple(deleted), deleted_below=tuple(below))


def _closes(event: Mapping[str, Any]) -> bool:
    account, did = event.get("account"), event.get("did")
    return (
        event.get("kind") == "account"
        and isinstance(account, dict)
        and account.get("active") is False
        and account.get("status") in ("deleted", "takendown")
        and isinstance(did, str)
        and _DID.fullmatch(did) is not None
    )


def is_post_uri(value: object) -> bool:
    """Whether this is the at-uri of a post, with the account's DID in it: a handle may pass to somebody else."""
    return isinstance(value, str) and _URI.fullmatch(value) is not None


def _text(record: object) -> str:
    text = record.get("text") if isinstance(record, dict) else None
    return clean(text[:_LONGEST_TEXT]) if isinstance(text, str) else ""


def read_post(uri: str, record: object, indexed: datetime | None, name: str, now: datetime) -> Post:
    """A record of app.bsky.feed.post, whose author may have written anything into it; without text it is no post.

    The author is the DID, which the stream and the search both know and which no change of handle changes. The date is
    the author's own claim, unless that is later than `indexed`, when the network saw it.
    """
    told = record if isinstance(record, dict) else {}
    found = _URI.fullmatch(uri)
    did, rkey = found.groups() if found else ("", "")
    langs, reply = told.get("langs"), told.get("reply")
    parent = reply.get("parent") if isinstance(reply, dict) else None
    answered = parent.get("uri") if isinstance(parent, dict) else None
    lang = langs[0] if isinstance(langs, list) and len(langs) == 1 else None
    dates = [date for date in (read_date(told.get("createdAt"), now), indexed) if date]
    return Post(
        source=name,
        native_id=uri,
        federated_id=uri,
        kind="comment" if reply else "post",
        text=_text(record),
        url=f"https://bsky.app/profile/{did}/post/{rkey}",
        author=did,
        created_at=min(dates, default=None),
        parent=answered if isinstance(answered, str) and is_post_uri(answered) else "",
        lang=clean(lang)[:35] if isinstance(lang, str) else "",
    )
