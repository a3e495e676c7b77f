"""Apple's App Store: the newest customer reviews of apps, storefront by storefront, from its keyless feed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from listener.errors import Broken
from listener.http import Get, read_json
from listener.records import Gap, Page, Post, Rating
from listener.sources import About
from listener.sources.apps import Doubtful, begin, counts, each, ident, not_before, page_of, plain_field
from listener.sources.shared import read_date

ABOUT = About(
    brings="customer reviews of apps in Apple's App Store, with stars, from the storefronts you name",
    key="none",
    limits="the newest 500 reviews of an app and storefront; one request in 3 seconds, about 60 a run",
    terms="a public feed of Apple without terms of its own, and without a promise to stay",
    caution="since June 2026 Apple shows some networks an empty feed: that is told as an error, never taken for "
    "'no reviews'. A review that is deleted is not noticed",
    keep="all",
)

_STORE = "https://itunes.apple.com"
_PAGES = 10  # of 50 reviews; an eleventh is answered with status 400
_MAX_REQUESTS = 60  # a run
_MOST_FEEDS = 30
_GAP_S = 3.0  # Apple asks for about 20 requests a minute
_OVERLAP_S = 2 * 86400  # reviews are shown after Apple has looked at them, a day or more later
_NEWEST = 10  # ids kept where the feed has no dates


class Settings(BaseModel):
    """Which apps to read, and where."""

    model_config = ConfigDict(extra="forbid")

    apps: list[Annotated[int, Field(gt=0, lt=2**53)]] = Field(
        min_length=1,
        description="The numbers of the apps, as in the address of their page: .../idNUMBER.",
        examples=[[4000000010]],
    )
    countries: list[str] = Field(
        ["us"],
        min_length=1,
        description="The storefronts as two-letter country codes; each shows the reviews written there.",
        examples=[["us", "gb", "de"]],
    )
    days: float = Field(7, gt=0, le=3650, description="How many days the first run looks back, 500 reviews at most.")

    @field_validator("countries")
    @classmethod
    def _storefronts(cls, countries: list[str]) -> list[str]:
        for country in countries:
            if not re.fullmatch(r"[a-zA-Z]{2}", country) or country.lower() == "uk":
                raise ValueError(f"{country!r} is not a storefront; write its country's two letters: 'us', 'gb', 'de'")
        return list(dict.fromkeys(country.lower() for country in countries))

    @model_validator(mode="after")
    def _few_enough(self) -> Settings:
        if len(self.feeds) > _MOST_FEEDS:
            raise ValueError(f"{len(self.feeds)} feeds (apps times countries) are too many; at most {_MOST_FEEDS}")
        return self

    @property
    def feeds(self) -> list[_Feed]:
        """Every app in every storefront."""
        return [_Feed(app, country) for app in dict.fromkeys(self.apps) for country in self.countries]


@dataclass(frozen=True, slots=True)
class _Feed:
    """One app in one storefront."""

    app: int
    country: str

    def __str__(self) -> str:
        return f"{self.country}/{self.app}"

    def address(self, page: int) -> str:
        return f"{_STORE}/{self.country}/rss/customerreviews/page={page}/id={self.app}/sortby=mostrecent/json"


def fetch(settings: Settings, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str) -> Iterator[Page]:
    """Pages of reviews, newest first. The cursor is {"country/app": {"until": epoch seconds, "ids": [newest ids]}}.

    `ids` are there for feeds without dates, where the reviews seen last time are the only mark. Only the last page
    of a feed moves its bookmark; it carries a Gap when the feed ended before the mark was met.
    """
    until = int(now.timestamp())
    marks = {str(feed): mark for feed in settings.feeds if (mark := (cursor or {}).get(str(feed)))}
    most = min(_PAGES, max(2, _MAX_REQUESTS // len(settings.feeds)))

    def read(feed: _Feed) -> Iterator[Page]:
        mark = marks.get(str(feed), {})
        since = begin(mark.get("until"), until, _OVERLAP_S, settings.days)
        newest: list[str] | None = None
        for page, last in _walk(feed, since, set(mark.get("ids", ())), most, get, now, name):
            if newest is None:
                newest = [post.native_id for post in page.posts if not post.created_at][:_NEWEST]
            if last:
                marks[str(feed)] = {"until": until, "ids": newest} if newest else {"until": until}
            yield replace(page, cursor=dict(marks) if last else None)

    yield from each(settings.feeds, read, now)


def backfill(
    settings: Settings, since: datetime, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str
) -> Iterator[Page]:
    """The feeds down to `since`, or to their end. The cursor is {"done": ["country/app", ...]}.

    A feed that was interrupted is read from its beginning: reviews that come in meanwhile move all its pages.
    """
    done = list((cursor or {}).get("done") or ())

    def read(feed: _Feed) -> Iterator[Page]:
        if str(feed) in done:
            return
        for page, last in _walk(feed, int(since.timestamp()), set(), _PAGES, get, now, name):
            if last:
                done.append(str(feed))
            yield replace(page, cursor={"done": list(done)} if last else None)

    yield from each(settings.feeds, read, now)
    yield Page((), cursor={})


def _walk(
    feed: _Feed, since: int, known: set[str], most: int, get: Get, now: datetime, name: str
) -> Iterator[tuple[Page, bool]]:
    """Each page of a feed, and whether it is the last. Past its end a feed shows empty pages."""
    seen: set[str] = set()
    oldest: datetime | None = None
    pages = 0  # that the feed says it has
    for number in range(1, most + 1):
        payload = get(feed.address(number), gap_s=_GAP_S).body
        page = parse(payload, app=feed.app, country=feed.country, name=name, now=now)
        empty = not page.posts and not page.skipped
        if number == 1:
            pages = _last_page(payload)
            if empty:
                _ask_whether_nobody_wrote(feed, get)
        fresh = tuple(post for post in page.posts if post.native_id not in seen)
        seen.update(post.native_id for post in fresh)
        oldest = next((post.created_at for post in reversed(page.posts) if post.created_at), oldest)
        met = _meets(page, since, known)
        last = met or empty or number == most
        gap = None
        if last and not met and (number <= pages or not empty):
            why = f"the App Store of {feed.country} showed no more than {len(seen)} reviews of app {feed.app}"
            gap = Gap(datetime.fromtimestamp(since, UTC), oldest, why)
        yield replace(not_before(replace(page, posts=fresh), since, lambda post: post.created_at), gap=gap), last
        if last:
            return


def _meets(page: Page, since: int, known: set[str]) -> bool:
    """Whether the page reaches back to the mark: by its dates, and where it has none by the reviews seen before.

    One that was seen before is not enough: a review that is edited comes to the head of the feed.
    """
    dates = [post.created_at for post in page.posts if post.created_at]
    if dates:
        return dates[-1].timestamp() < since
    shown = known & {post.native_id for post in page.posts}
    return bool(shown) and len(shown) >= min(2, len(known))


def _ask_whether_nobody_wrote(feed: _Feed, get: Get) -> None:
    """Raises when an empty feed is no news: the app is not in this storefront, or it has ratings there."""
    params = {"id": str(feed.app), "country": feed.country}
    payload = get(f"{_STORE}/lookup", params=params, gap_s=_GAP_S).body
    reply = read_json(payload, "itunes.apple.com")
    results = reply.get("results") if isinstance(reply, dict) else None
    if not isinstance(results, list):
        raise Broken("itunes.apple.com sends JSON without a list of results.", payload)
    if not results:
        raise Broken(f"The App Store of {feed.country} knows no app {feed.app}; correct apps or countries.", payload)
    ratings = counts(n=results[0].get("userRatingCount")) if isinstance(results[0], dict) else {}
    if ratings.get("n"):
        raise Doubtful(
            f"Apple's feed shows no review of app {feed.app} in {feed.country}, where it has {ratings['n']} ratings: "
            "Apple shows some networks empty feeds. It is asked again later; if the app's page in that store has no "
            "reviews either, remove the country.",
            payload=payload,
        )


def parse(payload: bytes, *, app: int, country: str, name: str, now: datetime) -> Page:
    """The reviews of one page of a feed. Raises Broken."""
    entries = _read(payload).get("entry", [])
    entries = entries if isinstance(entries, list) else [entries]  # a single one comes without a list
    reviews = [entry for entry in entries if not _is_app(entry)]
    address = f"https://apps.apple.com/{country}/app/id{app}?see-all=reviews"
    page = page_of(_post(entry, address, name, now) for entry in reviews)
    if reviews and page.skipped.get("no id") == len(reviews):
        raise Broken("Apple's feed holds entries that are no reviews: its format has changed.", payload)
    return page


def _is_app(entry: object) -> bool:
    """Some feeds begin with the app itself, which is no review and is not counted as one that was dropped."""
    return isinstance(entry, dict) and "im:name" in entry and "im:rating" not in entry


def _read(payload: bytes) -> dict[str, Any]:
    reply = read_json(payload, "itunes.apple.com")
    feed = reply.get("feed") if isinstance(reply, dict) else None
    if not isinstance(feed, dict):
        raise Broken("itunes.apple.com sends JSON that is no feed of reviews.", payload)
    return feed


def _last_page(payload: bytes) -> int:
    """The number of pages by the feed's own link to its last, 0 when it names none."""
    links = _read(payload).get("link")
    for link in links if isinstance(links, list) else []:
        told = link.get("attributes") if isinstance(link, dict) else None
        if isinstance(told, dict) and told.get("rel") == "last":
            found = re.search(r"/page=(\d{1,3})/", str(told.get("href")))
            return int(found[1]) if found else 0
    return 0


def _post(entry: object, url: str, name: str, now: datetime) -> Post | None:
    native_id = ident(_label(entry, "id"))
    if not native_id:
        return None
    stars, votes = _label(entry, "im:rating"), {"likes": "im:voteSum", "votes": "im:voteCount"}
    title = plain_field(_label(entry, "title"))
    return Post(
        source=name,
        native_id=native_id,
        kind="review",
        title=title,
        text=plain_field(_label(entry, "content")) or title,
        url=url,
        author=plain_field(_label(entry, "author", "name")),
        created_at=read_date(_label(entry, "updated"), now),
        rating=Rating(float(stars)) if stars in ("1", "2", "3", "4", "5") else None,
        engagement=counts(**{what: _number(_label(entry, key)) for what, key in votes.items()}),
    )


def _number(digits: str) -> int | None:
    return int(digits) if re.fullmatch(r"[0-9]{1,9}", digits) else None


def _label(entry: object, *keys: str) -> str:
    """The text under {"key": {"label": text}}, "" where there is none."""
    for key in (*keys, "label"):
        entry = entry.get(key) if isinstance(entry, dict) else None
    return entry if isinstance(entry, str) else ""
