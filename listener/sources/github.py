"""GitHub: issues and comments of repositories, issues anywhere that hold a phrase, and discussions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from listener.errors import Retry, SourceError
from listener.http import Get, read_json
from listener.records import Gap, Page, Post
from listener.settings.secrets import Secret
from listener.sources import About
from listener.sources import github_discussions as discussions
from listener.sources.github_items import ask, items_of, page_of, parse
from listener.sources.shared import Phrases, read_date
from listener.sources.turns import each_in_turn

__all__ = ["ABOUT", "RECHECK_AT_ONCE", "Settings", "backfill", "fetch", "parse", "recheck"]

ABOUT = About(
    brings="issues and comments of GitHub repositories you name, and issues anywhere that hold one of your phrases",
    key="none; a token raises the limits, and discussions are shown to those who have one",
    limits="60 requests an hour and 10 searches a minute, with a token 5,000 and 30; 30 requests a run",
    terms="GitHub's terms of service and acceptable use policies: not for spam, nor to sell what people wrote",
    caution="comments are read in the repositories you name; a search finds issues by their title and text",
)
RECHECK_AT_ONCE = 5  # a request each, of the 60 an hour

_AT_ONCE = 100
_MAX_REQUESTS = 30  # a run
_OVERLAP = timedelta(minutes=10)  # changes are seen late, by a search most of all
_SECOND = timedelta(seconds=1)
_IDENT = re.compile(r"(?P<repo>\S+) (?P<kind>issue|comment|discussion) (?P<number>[0-9]{1,15})(?: comment [0-9]+)?")


class Settings(BaseModel):
    """Which repositories to read, and what to look for elsewhere."""

    model_config = ConfigDict(extra="forbid")

    repos: list[str] = Field(
        [], max_length=20, description="Repositories to read, as owner/name.", examples=[["acme/booking-app"]]
    )
    queries: Phrases = Field(
        [],
        max_length=10,
        description="Words or phrases to look for in the issues of all public repositories.",
        examples=[["Acme Booking"]],
    )
    discussions: bool = Field(False, description="Whether the discussions of `repos` are read too; needs a token.")
    pull_requests: bool = Field(False, description="Whether pull requests and comments on them are kept.")
    token: Secret | None = Field(
        None,
        description="A token from github.com/settings/tokens; none of its rights is needed for public repositories.",
        examples=[{"env": "GITHUB_TOKEN"}],
    )
    days: float = Field(7, gt=0, le=3650, description="How many days the first run looks back.")

    @field_validator("repos")
    @classmethod
    def _names(cls, repos: list[str]) -> list[str]:
        names = [repo.strip().removeprefix("https://github.com/").rstrip("/").lower() for repo in repos]
        for name in names:
            if not re.fullmatch(r"[a-z0-9_.-]+/[a-z0-9_.-]+", name):
                raise ValueError(f"{name!r} is not the name of a repository; write it as owner/name")
        return list(dict.fromkeys(names))

    @field_validator("queries")
    @classmethod
    def _short(cls, queries: list[str]) -> list[str]:
        if any(len(phrase) > 150 for phrase in queries):
            raise ValueError("a query is longer than 150 characters: name a word or a phrase")
        return queries

    @model_validator(mode="after")
    def _something_to_read(self) -> Settings:
        if not self.repos and not self.queries:
            raise ValueError('name what to read: repos = ["owner/name"] or queries = ["a phrase"]')
        if self.discussions and not (self.token and self.repos):
            raise ValueError("discussions are shown of the repositories in `repos`, and to those who have a `token`")
        return self


@dataclass(frozen=True, slots=True)
class _Place:
    """One listing with a bookmark of its own."""

    key: str
    path: str = ""
    repo: str = ""
    words: str = ""  # of a search


def _places(settings: Settings) -> list[_Place]:
    kinds = ["is:issue", "is:pull-request"] if settings.pull_requests else ["is:issue"]
    return [
        *(_Place(f"{repo} {what}", f"/repos/{repo}/{path}", repo)
          for repo in settings.repos for what, path in (("issues", "issues"), ("comments", "issues/comments"))),
        *(_Place(f"{words} {kind}", "/search/issues", words=f'"{words}" in:title,body {kind}')
          for words in settings.queries for kind in kinds),
        *(_Place(f"{repo} discussions", repo=repo) for repo in settings.repos if settings.discussions),
    ]  # fmt: skip


def fetch(settings: Settings, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str) -> Iterator[Page]:
    """Pages of what changed, in the order of change. The cursor is {"since": {listing: time}, "etag": {listing: etag}}.

    Each page moves the bookmark, the time from which on the next run asks: what one run leaves over is read by the
    next. Discussions come newest first: there the last page moves it, with a Gap when there were more than a run reads.
    """
    marks = dict((cursor or {}).get("since") or {})
    etags = dict((cursor or {}).get("etag") or {})
    places = _places(settings)
    most = max(2, _MAX_REQUESTS // len(places))
    token = _token(settings)
    seen: dict[str, Post] = {}

    def cursor_now() -> dict[str, Any]:
        kept = [place.key for place in places]
        return {
            "since": {key: marks[key] for key in kept if key in marks},
            "etag": {key: etags[key] for key in kept if etags.get(key)},
        }

    def read(place: _Place) -> Iterator[Page]:
        known = marks.get(place.key, "")
        begin = datetime.fromisoformat(known) if known else now - timedelta(days=settings.days)
        if not place.path:
            for page, mark in _latest_discussions(place, begin, get, token, now, name, most):
                marks.update({place.key: _stamp(mark)} if mark else {})
                yield replace(_fresh(page, seen), cursor=cursor_now())
            return
        walk = _forward(settings, place, begin, etags.get(place.key, ""), get, token, now, name)
        for request, (page, mark, etag, last) in enumerate(walk, start=1):
            if request == most and not last and mark and mark <= begin:
                why = f"{place.key}: more changed in one second than a run reads"
                page = replace(page, gap=Gap(mark, mark + _SECOND, why))
                mark += 2 * _SECOND
            marks.update({place.key: _stamp(mark)} if mark else {})
            # While the bookmark stays, the next run asks for this very list.
            etags[place.key] = etag if last and known and known == marks[place.key] else ""
            yield replace(_fresh(page, seen), cursor=cursor_now())
            if request == most:
                return

    yield from each_in_turn(places, read, now, _limit)


def backfill(
    settings: Settings, since: datetime, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str
) -> Iterator[Page]:
    """What changed since then, up to now. The cursor is {"since": {listing: time}, "done": [listing], "after": {...}}.

    Discussions are walked newest first: "after" tells the place in their list.
    """
    marks, after = (dict((cursor or {}).get(key) or {}) for key in ("since", "after"))
    done = list((cursor or {}).get("done") or [])
    token = _token(settings)

    def read(place: _Place) -> Iterator[Page]:
        if place.path:
            begin = datetime.fromisoformat(marks[place.key]) if place.key in marks else since
            for page, mark, _, last in _forward(settings, place, begin, "", get, token, now, name):
                marks.update({place.key: _stamp(mark)} if mark else {})
                done.extend([place.key] if last else [])
                yield page
        else:
            walk = discussions.newest(get, token, place.repo, since, now, name, after.get(place.key))
            for page, _, after[place.key], last in walk:
                done.extend([place.key] if last else [])
                yield page

    places = [place for place in _places(settings) if place.key not in done]
    for page in each_in_turn(places, read, now, _limit) if places else ():
        yield replace(page, cursor={"since": dict(marks), "after": dict(after), "done": list(done)})
    yield Page((), cursor={})


def _forward(
    settings: Settings, place: _Place, begin: datetime, etag: str, get: Get, token: str, now: datetime, name: str
) -> Iterator[tuple[Page, datetime | None, str, bool]]:
    """Each page from `begin` on, the time to go on from, its ETag, and whether it is the last."""
    number = 1
    while True:
        params = {"sort": "updated", "per_page": str(_AT_ONCE), "page": str(number)}
        if place.words:
            params |= {"q": f"{place.words} updated:>={_stamp(begin)}", "order": "asc"}
        else:
            params |= {"since": _stamp(begin), "direction": "asc", "state": "all"}
        gap_s = (2.0 if token else 6.0) if place.words else None
        response = ask(get, token, place.path, params, etag=etag, gap_s=gap_s)
        if response.unchanged:
            yield Page((), unchanged=True), None, etag, True
            return
        items, etag = items_of(response.body), ""
        page = page_of(items, response.body, name, now, place.repo, settings.pull_requests)
        changes = [at for item in items if (at := read_date(item.get("updated_at"), now))]
        last = len(items) < _AT_ONCE
        # A second back, so that none of that second is lost; at the end by as much as changes may be seen late.
        mark = min(max(changes), now) - (_OVERLAP if last else _SECOND) if changes else None
        if place.words and _gave_up(response.body):
            yield page, None, "", False
            raise Retry("api.github.com gave a search up before it was through; it will be asked again.")
        yield page, mark, response.headers.get("etag", ""), last
        if last:
            return
        number = 1 if mark and mark > begin else number + 1
        begin = max(begin, mark or begin)


def _gave_up(payload: bytes) -> bool:
    reply = read_json(payload, "api.github.com")
    return isinstance(reply, dict) and reply.get("incomplete_results") is True


def _latest_discussions(
    place: _Place, since: datetime, get: Get, token: str, now: datetime, name: str, most: int
) -> Iterator[tuple[Page, datetime | None]]:
    top = None
    walk = discussions.newest(get, token, place.repo, since, now, name)
    for request, (page, mark, _, last) in enumerate(walk, start=1):
        top = top or mark
        if not last and request < most:
            yield page, None
            continue
        why = f"{place.repo} has more new discussions than a run reads; `listener collect {name} --since DATE` helps"
        yield page if last else replace(page, gap=Gap(since, mark, why)), min(top, now) - _OVERLAP if top else None
        return


def recheck(
    settings: Settings, cursor: Mapping[str, Any] | None, native_ids: list[str], get: Get, now: datetime, name: str
) -> Iterator[Page]:
    """Asks for each issue and comment, and for each discussion once. One that moved is followed to its new place.

    Without a token nothing is told of discussions.
    """
    token = _token(settings)
    talks: dict[tuple[str, str], list[str]] = {}
    for native_id in native_ids:
        found = _IDENT.fullmatch(native_id)
        if found is None:
            continue
        repo, kind, number = found.group("repo", "kind", "number")
        if kind != "discussion":
            path = f"/repos/{repo}/issues/{'comments/' if kind == 'comment' else ''}{number}"
            yield _again(native_id, path, get, token, now, name)
        elif token:
            talks.setdefault((repo, number), []).append(native_id)
    for (repo, number), asked in talks.items():
        yield discussions.again(get, token, repo, number, asked, now, name)


def _again(native_id: str, path: str, get: Get, token: str, now: datetime, name: str) -> Page:
    try:
        response = ask(get, token, path)
    except SourceError as error:
        if error.status not in (404, 410, 451) or b'"message"' not in error.payload:  # of a proxy, not of GitHub
            raise
        return Page((), deleted=(native_id,))
    posts = parse(response.body, name=name, now=now, pulls=True).posts
    return Page(tuple(replace(post, native_id=native_id) for post in posts), verified=() if posts else (native_id,))


def _limit(place: _Place) -> str:
    """Repositories, searches and GraphQL have a limit of their own each."""
    return place.path[:7]


def _fresh(page: Page, seen: dict[str, Post]) -> Page:
    """The page without what this run has brought as it is: listings overlap, and a search finds what is read anyway."""
    fresh = tuple(post for post in page.posts if seen.get(post.native_id) != post)
    seen.update((post.native_id, post) for post in fresh)
    return replace(page, posts=fresh)


def _token(settings: Settings) -> str:
    return settings.token.read("[[source]] token") if settings.token else ""


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
