"""Bluesky: posts that name a word or phrase, through its public stream, or its search where you have an account."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from listener.errors import Broken, Disabled, QueryError, Retry, Unauthorised
from listener.http import Get, Response, read_json
from listener.query import compile_query
from listener.records import Gap, Page, Post
from listener.settings.secrets import Secret
from listener.sources import About
from listener.sources.jetstream import is_post_uri, read_post, read_window
from listener.sources.shared import Phrases, read_date
from listener.sources.turns import each_in_turn

ABOUT = About(
    brings="posts of Bluesky that hold one of your words or phrases",
    key="none for new posts; an app password of any account (free) for the search, which also finds older ones",
    limits="without a key every post of the network passes by, some 160 MB an hour, 36 hours back at most; "
    "with one, 300 log-ins a day: every 5 minutes at most",
    terms="a public network; what people delete has to go here too, and does; its search is not meant for bulk reading",
    caution="the stream does not tell who asked not to be shown without signing in; the search and the re-check do",
)
RECHECK_AT_ONCE = 24  # getPosts takes 25, and one may have to stand beside them
_MANY = 5  # posts that are hardly all gone at once: an empty reply to so many is doubted

_PDS = "https://bsky.social"
_PUBLIC = "https://public.api.bsky.app/xrpc/app.bsky.feed.getPosts"
_FEED_OF = "https://public.api.bsky.app/xrpc/app.bsky.feed.getAuthorFeed"
_WITNESS = "bsky.app"  # Bluesky's own account, of which some post is always there
_STREAM = "wss://jetstream2.us-east.bsky.network/subscribe"
_UNSEEN = "!no-unauthenticated"  # the label of accounts that ask not to be shown to people who are not signed in
_HIDDEN = "asks not to be shown without signing in"
_FIRST_S = 3600  # where the stream begins at the first run: each hour of it is 160 MB
_HITS = 100  # a request; the most there are
_MAX_REQUESTS = 40  # a run and, in the past, a week
_OVERLAP_S = 3600  # posts enter the index late
_WEEK_S = 7 * 86400
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")
_COUNTS = {"likes": "likeCount", "comments": "replyCount", "reposts": "repostCount", "quotes": "quoteCount"}


class Settings(BaseModel):
    """What to look for, and by which way."""

    model_config = ConfigDict(extra="forbid")

    queries: Phrases = Field(
        min_length=1,
        description="Words or phrases to look for, as a rule the brand's names.",
        examples=[["Acme Hotel"]],
    )
    handle: str | None = Field(None, description="Your account, for the search.", examples=["acme.bsky.social"])
    app_password: Secret | None = Field(
        None,
        description="Where an app password of that account is kept; Bluesky's settings make them.",
        examples=[{"env": "BLUESKY_APP_PASSWORD"}],
    )
    days: float = Field(7, gt=0, le=3650, description="How many days the first search looks back.")
    megabytes: int = Field(
        500, ge=10, le=100_000, description="The most that a run reads of the stream, which has 160 MB an hour."
    )
    pds: str = Field(_PDS, description="The server of your account; change it only if that is a server of your own.")
    stream: str = Field(_STREAM, description="Address of the stream, a Jetstream of version 1.")

    @field_validator("queries")
    @classmethod
    def _searchable(cls, queries: list[str]) -> list[str]:
        try:
            compile_query(_any_of(queries))
        except QueryError as error:
            raise ValueError(str(error)) from error
        return queries

    @field_validator("pds")
    @classmethod
    def _safe(cls, pds: str) -> str:
        if not pds.startswith("https://") or not urlsplit(pds).hostname:
            raise ValueError("the server of your account has to begin with https://, because a password goes there")
        return pds.rstrip("/")

    @field_validator("stream")
    @classmethod
    def _streams(cls, stream: str) -> str:
        if not stream.startswith(("wss://", "ws://")) or not urlsplit(stream).hostname:
            raise ValueError("the address of the stream has to begin with wss:// or ws://")
        return stream

    @model_validator(mode="after")
    def _both_or_none(self) -> Settings:
        self.handle = (self.handle or "").strip().removeprefix("@") or None
        if bool(self.handle) != bool(self.app_password):
            raise ValueError("the search needs both handle and app_password; the stream needs neither")
        return self


def fetch(settings: Settings, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str) -> Iterator[Page]:
    """Pages of posts. The cursor of both ways is {"until": {phrase: epoch seconds up to which all was read}}.

    The stream is read oldest first, and each page moves the bookmark. The search shows the newest first: only the last
    page of a phrase moves its bookmark, and carries a Gap when the range held more than could be read.
    """
    until = int(now.timestamp())
    known = dict((cursor or {}).get("until") or {})
    marks = {phrase: min(known[phrase], until) for phrase in settings.queries if phrase in known}
    if settings.app_password is None:
        wanted = compile_query(_any_of(settings.queries)).match
        begin = min(marks.get(phrase, until - _FIRST_S) for phrase in settings.queries)
        for page, reached in read_window(
            settings.stream, wanted, begin, settings.megabytes * 1_000_000, get, now, name
        ):
            yield replace(page, cursor={"until": dict.fromkeys(settings.queries, reached)})
        return
    first = until - int(settings.days * 86400)
    since = {phrase: marks[phrase] - _OVERLAP_S if phrase in marks else first for phrase in settings.queries}
    token, seen = _log_in(settings, get), set[str]()

    def read(phrase: str) -> Iterator[Page]:
        for page, finished in _search(settings, token, {phrase: since[phrase]}, until, get, now, name, seen):
            if finished:
                marks[phrase] = until
            yield replace(page, cursor={"until": dict(marks)} if finished else None)

    yield from each_in_turn(settings.queries, read, now, lambda _: None)


def backfill(
    settings: Settings, since: datetime, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str
) -> Iterator[Page]:
    """Pages of the search, a week at a time. The cursor is {"until": epoch seconds from which on all was read}."""
    if settings.app_password is None:
        raise Disabled(
            "Bluesky shows older posts only to its search, which needs an account: set handle and app_password of this "
            "source. Without them it reads a stream, which holds the last 36 hours and no more."
        )
    floor = int(since.timestamp())
    until = int((cursor or {}).get("until") or now.timestamp())
    token = _log_in(settings, get)
    while until > floor:
        start = max(floor, until - _WEEK_S)
        spans = dict.fromkeys(settings.queries, start)
        for page, finished in _search(settings, token, spans, until, get, now, name, set()):
            mark = {"until": start} if start > floor else {}
            yield replace(page, cursor=mark if finished == settings.queries[-1] else None)
        until = start


def recheck(
    settings: Settings, cursor: Mapping[str, Any] | None, native_ids: Sequence[str], get: Get, now: datetime, name: str
) -> Iterator[Page]:
    """One Page. A post that Bluesky does not show any more is deleted, and so is one whose author asks not to be seen
    by people who are not signed in: the stream could not know.
    """
    response = _posts(native_ids, get)
    # A failure looks the same: the answer counts that shows any post, those asked after or the one beside them.
    if len(native_ids) >= _MANY and not _views(response.body) and (witness := _witness(get)):
        response = _posts([*native_ids, witness], get)
    views = _views(response.body)
    if not views and len(native_ids) >= _MANY:
        why = f"Bluesky shows none of {len(native_ids)} stored posts, which is hardly so; they are asked after later."
        raise Broken(why, response.body)
    page = parse(response.body, name=name, now=now)
    shown = {view["uri"] for view in views if _uri(view) and not _is_hidden(view)}
    posts = tuple(post for post in page.posts if post.native_id in native_ids)
    yield replace(page, posts=posts, deleted=tuple(uri for uri in native_ids if uri not in shown))


def _posts(uris: Sequence[str], get: Get) -> Response:
    return get(f"{_PUBLIC}?{urlencode([('uris', uri) for uri in uris])}")


def _witness(get: Get) -> str:
    """The address of a post that is there, "" where none is shown."""
    query = urlencode({"actor": _WITNESS, "limit": 10})
    feed = read_json(get(f"{_FEED_OF}?{query}").body, "Bluesky")
    items = feed.get("feed") if isinstance(feed, dict) else None
    found = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    return next((uri for item in found if (uri := _uri(item.get("post")))), "")


def status(settings: Settings, cursor: Mapping[str, Any] | None) -> str:
    """Which of the two ways it goes, and how far it has come: behind, where a run may read less than there is."""
    way = "the search" if settings.app_password else "the stream of all posts"
    marks = ((cursor or {}).get("until") or {}).values()
    return f"{way}, read up to {_iso(min(marks))}" if marks else way


def parse(payload: bytes, *, name: str, now: datetime) -> Page:
    """The posts of one reply of searchPosts or getPosts. Raises Broken."""
    views = _views(payload)
    posts: dict[str, Post] = {}
    skipped: Counter[str] = Counter()
    for view in views:
        post = _post(view, name, now) if _uri(view) else None
        if post is None:
            skipped["no id"] += 1
        elif _is_hidden(view):
            skipped[_HIDDEN] += 1
        elif not post.text:
            skipped["no text"] += 1  # a picture alone
        elif post.native_id in posts:
            skipped["twice in the reply"] += 1
        else:
            posts[post.native_id] = post
    if views and skipped["no id"] == len(views):
        raise Broken("Bluesky sends posts without an at-uri: its format has changed.", payload)
    return Page(tuple(posts.values()), skipped=dict(skipped))


def _views(payload: bytes) -> list[Any]:
    reply = read_json(payload, "Bluesky")
    views = reply.get("posts") if isinstance(reply, dict) else None
    if not isinstance(views, list):
        raise Broken("Bluesky sends JSON without a list of posts.", payload)
    return views


def _uri(view: object) -> str:
    uri = view.get("uri") if isinstance(view, dict) else None
    return uri if isinstance(uri, str) and is_post_uri(uri) else ""


def _is_hidden(view: Mapping[str, Any]) -> bool:
    author = view.get("author")
    for labels in (view.get("labels"), author.get("labels") if isinstance(author, dict) else None):
        for label in labels if isinstance(labels, list) else ():
            if isinstance(label, dict) and label.get("val") == _UNSEEN:
                return True
    return False


def _post(view: Mapping[str, Any], name: str, now: datetime) -> Post:
    post = read_post(_uri(view), view.get("record"), read_date(view.get("indexedAt"), now), name, now)
    counts = {what: view.get(field) for what, field in _COUNTS.items()}
    return replace(post, engagement={what: n for what, n in counts.items() if isinstance(n, int) and 0 <= n < 2**53})


def _log_in(settings: Settings, get: Get) -> str:
    """A token for this run, which is kept nowhere."""
    assert settings.app_password is not None
    account = {"identifier": settings.handle, "password": settings.app_password.read("[[source]] app_password")}
    try:
        response = get(f"{settings.pds}/xrpc/com.atproto.server.createSession", json=account)
    except Unauthorised as error:
        raise Unauthorised(
            f"{settings.pds} does not take handle and app_password. Check the handle, and make a new app password in "
            "Bluesky's settings under 'Privacy and security'.",
            error.payload,
            error.status,
        ) from error
    session = response.json()
    token = session.get("accessJwt") if isinstance(session, dict) else None
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise Broken(f"{settings.pds} answers a log-in without a token.", response.body)
    return token


def _search(
    settings: Settings,
    token: str,
    since: Mapping[str, int],
    until: int,
    get: Get,
    now: datetime,
    name: str,
    seen: set[str],
) -> Iterator[tuple[Page, str]]:
    """Each page of every phrase, and beside the last page of a phrase that phrase. Posts in `seen` are left out."""
    for phrase, start in since.items():
        for page, last in _walk(settings, token, phrase, start, until, get, now, name):
            fresh = tuple(post for post in page.posts if post.native_id not in seen)
            seen.update(post.native_id for post in fresh)
            yield replace(page, posts=fresh), phrase if last else ""


def _walk(
    settings: Settings, token: str, phrase: str, since: int, until: int, get: Get, now: datetime, name: str
) -> Iterator[tuple[Page, bool]]:
    """Each page of one phrase, and whether it is the last. With `until` fixed new posts do not shift the pages."""
    params = {"q": f'"{phrase}"', "sort": "latest", "limit": str(_HITS), "since": _iso(since), "until": _iso(until)}
    most = max(2, _MAX_REQUESTS // len(settings.queries))
    oldest = datetime.fromtimestamp(until, UTC)
    for request in range(1, most + 1):
        response = _ask(f"{settings.pds}/xrpc/app.bsky.feed.searchPosts", params, token, get)
        page = parse(response.body, name=name, now=now)
        following = response.json().get("cursor")
        if not isinstance(following, str) or not following:
            yield page, True
            return
        oldest = min([oldest, *(post.created_at for post in page.posts if post.created_at)])
        if request == most:
            why = f"Bluesky holds more posts with {phrase!r} than one run reads; name a narrower phrase"
            yield replace(page, gap=Gap(datetime.fromtimestamp(since, UTC), oldest, why)), True
            return
        yield page, False
        params = {**params, "cursor": following}


def _ask(url: str, params: Mapping[str, str], token: str, get: Get) -> Response:
    try:
        return get(url, params=params, headers={"Authorization": f"Bearer {token}"})
    except Broken as error:
        if b'"ExpiredToken"' in error.payload:  # with status 400
            raise Retry(
                "Bluesky's log-in has run out; the next run begins a new one.", payload=error.payload
            ) from error
        raise


def _iso(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _any_of(phrases: Sequence[str]) -> str:
    return " OR ".join(f'"{phrase}"' for phrase in phrases)
