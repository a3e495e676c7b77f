"""What Reddit shows, as posts: a listing of its API or one of its Atom feeds; and the words in which it refuses one."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from listener.errors import Broken, Refused
from listener.http import read_json
from listener.records import Page, Post
from listener.sources import feeds
from listener.sources.shared import plain, read_date
from listener.text import clean

WEB = "https://www.reddit.com"
AT_ONCE = 100  # posts a reply, and fullnames a request
FULLNAME = re.compile(r"t[13]_[a-z0-9]{1,15}")  # t3 is a submission, t1 a comment; the feeds use the same

_PLACE = "oauth.reddit.com"
# What stands in place of a text, or of a title, that its author, a moderator or Reddit took away.
_GONE = ("[deleted]", "[removed]", "[deleted by user]", "[removed by moderator]", "[ removed by reddit ]")
_REASONS = {"private": "private", "banned": "banned", "quarantined": "quarantined"}
_LONGEST_RESET_S = 3600.0
_LONGEST_AFTER = 200


@dataclass(frozen=True, slots=True)
class Listing:
    """One thing to read, newest first: what it is asked by, and what its bookmark is kept under.

    Several subreddits or phrases may share one; then each of `keys` gets the same bookmark.
    """

    path: str  # "r/travel/new", "search"
    keys: tuple[str, ...]
    overlap_s: int
    params: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """The subreddits it is of as people name them, "" for all of Reddit."""
        return self.path.rpartition("/")[0]


class Reader(Protocol):
    """One of the two ways to read Reddit."""

    most: int  # requests a run, shared by its listings

    def listing(self, listing: Listing, after: str) -> tuple[Page, str]:
        """A page of a listing, and what to go on `after`: "" at its end."""
        ...

    def info(self, fullnames: Sequence[str]) -> Page:
        """What became of up to a hundred posts."""
        ...


def parse(payload: bytes, *, name: str, now: datetime) -> Page:
    """The posts of one reply of either way: an Atom feed, or a listing of the API as JSON. Raises Broken."""
    if payload[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return page_of(read_json(payload, _PLACE), name=name, now=now, payload=payload)
    page = feeds.parse(payload, url=WEB, name=name, now=now)
    posts = [post for post in page.posts if FULLNAME.fullmatch(post.native_id)]
    others = len(page.posts) - len(posts)
    if others and not posts:
        raise Broken("www.reddit.com sends a feed without posts of Reddit: its format has changed.", payload)
    # A deleted account leaves its posts without an author. Where no post has one, the feed does not tell authors.
    told = any(post.author for post in posts)
    gone = {p.native_id for p in posts if _stands_for_gone(p.text, p.title, p.author) or (told and not p.author)}
    skipped = {**page.skipped, "not a post": others} if others else page.skipped
    left = tuple(replace(p, federated_id=f"reddit:{p.native_id}") for p in posts if p.native_id not in gone)
    return replace(page, posts=left, skipped=skipped, deleted=tuple(sorted(gone)))


def page_of(listing: object, *, name: str, now: datetime, payload: bytes = b"") -> Page:
    """The posts of a listing of the API, which came as `payload`. Raises Broken."""
    data = listing.get("data") if isinstance(listing, dict) else None
    children = data.get("children") if isinstance(data, dict) else None
    if not isinstance(children, list):
        raise Broken(f"{_PLACE} sends JSON that is no listing of posts.", payload or json.dumps(listing).encode())
    posts: dict[str, Post] = {}
    gone: set[str] = set()
    skipped: Counter[str] = Counter()
    for child in children:
        thing = child.get("data") if isinstance(child, dict) else None
        ident = _ident(child.get("kind"), thing.get("name")) if isinstance(thing, dict) else ""
        if not isinstance(thing, dict) or not ident:
            skipped["not a post"] += 1
        elif _is_gone(thing):
            gone.add(ident)
        elif thing.get("promoted") is True:
            skipped["an advertisement"] += 1
        elif ident in posts:
            skipped["twice in the reply"] += 1
        elif (post := _post(thing, ident, name, now)).text:
            posts[ident] = post
        else:
            skipped["no text"] += 1
    if children and skipped["not a post"] == len(children):
        why = f"{_PLACE} sends a listing without posts: its format has changed."
        raise Broken(why, payload or json.dumps(listing).encode())
    return Page(tuple(posts.values()), skipped=dict(skipped), deleted=tuple(sorted(gone)))


def after_of(listing: object) -> str:
    """What a listing of the API goes on after, as a rule the fullname of its last post; "" at its end."""
    data = listing.get("data") if isinstance(listing, dict) else None
    after = data.get("after") if isinstance(data, dict) else None
    return after if isinstance(after, str) and len(after) <= _LONGEST_AFTER else ""


def shown_in(listing: object) -> set[str]:
    """The fullnames of all that a listing of the API shows, posts or not."""
    data = listing.get("data") if isinstance(listing, dict) else None
    children = data.get("children") if isinstance(data, dict) else None
    things = [child.get("data") for child in children or () if isinstance(child, dict)]
    return {str(thing.get("name")) for thing in things if isinstance(thing, dict)}


def _ident(kind: object, name: object) -> str:
    """The fullname of a thing, "" where it is no post. "more" stands for comments, under the name of one of them."""
    return name if isinstance(name, str) and FULLNAME.fullmatch(name) and name[:2] == kind else ""


def _post(thing: Mapping[str, Any], ident: str, name: str, now: datetime) -> Post:
    comment = ident.startswith("t1_")
    kind = "body" if comment else "selftext"
    title = "" if comment else _words(thing.get("title"))
    # The text as the feed shows it, so that one post is one text by either way; without it the Markdown.
    text = plain(thing.get(f"{kind}_html")) or _words(thing.get(kind))
    link, parent = thing.get("permalink"), thing.get("parent_id")
    counts = {"score": thing.get("score"), "comments": thing.get("num_comments")}
    return Post(
        source=name,
        native_id=ident,
        kind="comment" if comment else "post",
        title=title,
        text=text or title,
        url=WEB + link if isinstance(link, str) and re.fullmatch(r"/[!-~]{1,1000}", link) else "",
        author=_words(thing.get("author")),
        created_at=read_date(thing.get("created_utc"), now),
        edited_at=read_date(thing.get("edited"), now),  # False where it was not
        engagement={what: n for what, n in counts.items() if type(n) is int and abs(n) < 2**53},
        parent=parent if isinstance(parent, str) and FULLNAME.fullmatch(parent) else "",
        federated_id=f"reddit:{ident}",
    )


def _is_gone(thing: Mapping[str, Any]) -> bool:
    removed = thing.get("removed_by_category")
    if (isinstance(removed, str) and removed) or ("author" in thing and thing["author"] is None):
        return True
    return _stands_for_gone(*(thing.get(key) for key in ("body", "selftext", "title", "author")))


def _stands_for_gone(*texts: object) -> bool:
    return any(isinstance(text, str) and text.strip().lower() in _GONE for text in texts)


def _words(value: object) -> str:
    """A field that holds text as it is, and no markup."""
    return clean(value[:100_000]) if isinstance(value, str) else ""


def refused(place: str, status: int, payload: bytes) -> Refused:
    """What it means that a subreddit is not shown, by the reason that Reddit gives in its reply, where it gives one."""
    try:
        reply = json.loads(payload)
    except (ValueError, RecursionError):
        reply = None
    told = reply.get("reason") if isinstance(reply, dict) else None
    reason = _REASONS.get(told, "") if isinstance(told, str) else ""
    why = f"{place} is {reason or 'private, banned, quarantined, or misspelt'}: Reddit does not show it to us"
    return Refused(f"{why} (status {status}). Take it out of this source's settings.", payload, status)


def until_reset(headers: Mapping[str, str]) -> float:
    """Seconds until Reddit takes requests again, 0 while it does. The feeds and the API tell it in the same headers."""
    try:
        left, reset = float(headers["x-ratelimit-remaining"]), float(headers["x-ratelimit-reset"])
    except (KeyError, ValueError):
        return 0.0
    return min(max(1.0, reset), _LONGEST_RESET_S) if left < 1 else 0.0
