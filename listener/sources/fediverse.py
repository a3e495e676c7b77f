"""What Mastodon and Lemmy share: hosts, one walk over lists that show the newest first, copies, posts that are gone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from listener.errors import SourceError
from listener.http import Get
from listener.records import Gap, Page
from listener.sources.turns import each_in_turn
from listener.text import clean

# No bare name and no number: what is written in a post must not lead us into a local network.
HOST = r"[\w-]+(?:\.[\w-]+)*\.[a-zA-Z][\w-]+"
WEB = re.compile(rf"https://({HOST})/\S+")

_LONGEST_ID = 500
_ENDLESS = 100_000
_NEVER = datetime.min.replace(tzinfo=UTC)


class _List(Protocol):
    """A list of an instance: `key` is its name in a cursor."""

    @property
    def host(self) -> str: ...

    @property
    def key(self) -> str: ...


_L = TypeVar("_L", bound=_List)


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply of a list. `newer` and `older` are the positions to go on from, "" at the end; `latest` its last date.

    `cut`: the list goes on, but shows no more.
    """

    page: Page
    newer: str = ""
    older: str = ""
    latest: datetime | None = None
    cut: bool = False


def hosts(names: list[str]) -> list[str]:
    """Host names as people write them, in one spelling and once each. Raises ValueError."""
    found = [name.strip().lower().removeprefix("https://").rstrip("/") for name in names]
    for host in found:
        if not re.fullmatch(rf"{HOST}(:\d+)?", host):
            raise ValueError(f"{host!r} is no instance; name its host, such as social.example.com")
    return list(dict.fromkeys(found))


def walk_back(
    ask: Callable[[str], Reply], since: datetime, why: str, at: str = "", at_most: int = _ENDLESS
) -> Iterator[Reply]:
    """Replies from the newest, or from `at`, back to `since`; the last has no `older`.

    It carries a Gap, explained by `why`, where the list holds more than it shows or than `at_most` replies bring. Only
    a reply that is older as a whole is taken for the end: some posts are pinned to the top, or dated before their turn.
    """
    reached: datetime | None = None
    for request in range(1, at_most + 1):
        reply = ask(at)
        reached = reply.latest or reached
        met = reply.latest is not None and reply.latest < since
        over = met or reply.older in ("", at)
        cut = not met and (reply.cut or (request == at_most and not over))
        posts = tuple(post for post in reply.page.posts if not post.created_at or post.created_at >= since)
        page = replace(reply.page, posts=posts, gap=Gap(since, reached, why) if cut else None)
        yield replace(reply, page=page, older="" if over or cut else reply.older)
        if over or cut:
            return
        at = reply.older


def folded(page: Page, seen: dict[str, datetime]) -> Page:
    """The posts that are not in `seen`, or are there as they were before an edit; notes them there."""
    fresh = []
    for post in page.posts:
        edited = post.edited_at or _NEVER
        if post.native_id not in seen or edited > seen[post.native_id]:
            seen[post.native_id] = edited
            fresh.append(post)
    return replace(page, posts=tuple(fresh))


def by_its_address(get: Get, uri: str) -> Page | None:
    """Whether a post's own address still holds it, asked as one instance asks another (ActivityPub); None: unclear."""
    try:
        held = get(uri, headers={"Accept": "application/activity+json"}).json()
    except SourceError as error:
        if is_gone(error):
            return Page((), deleted=(uri,))
        raise
    if not isinstance(held, dict) or held.get("id") != uri:
        return None
    return Page((), deleted=(uri,)) if held.get("type") == "Tombstone" else Page((), verified=(uri,))


def is_gone(error: SourceError) -> bool:
    """Whether the instance itself says so: a web page or plain words with a 404 come from a server before it."""
    return error.status == 410 or (error.status == 404 and error.payload.lstrip()[:1] in (b"", b"{"))


def author(name: str, address: object, host: str) -> str:
    """name@host by the address of the account, which is the same on every instance; "" without a name."""
    home = re.match(rf"https://({HOST})/", text_of(address))
    return f"{name}@{home.group(1) if home else host}" if name else ""


def text_of(value: object) -> str:
    """An id or another short field as text, "" for what is none."""
    text = clean(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return text if len(text) <= _LONGEST_ID else ""


def each_back(
    lists: Sequence[_L], back: Callable[[_L, str], Iterator[Reply]], cursor: Mapping[str, Any] | None, now: datetime
) -> Iterator[Page]:
    """Walks every list back from its position in the cursor, {"at": {list: position}, "done": [lists]}."""
    at = dict((cursor or {}).get("at") or {})
    done = list((cursor or {}).get("done") or ())

    def read(one: _L) -> Iterator[Page]:
        for reply in back(one, at.get(one.key, "")):
            if reply.older:
                at[one.key] = reply.older
            else:
                at.pop(one.key, None)
                done.append(one.key)
            yield replace(reply.page, cursor={"at": dict(at), "done": list(done)})

    rest = [one for one in lists if one.key not in done]
    if rest:
        yield from each_in_turn(rest, read, now, lambda one: one.host)
    yield Page((), cursor={})
