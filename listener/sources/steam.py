"""Steam: the reviews of games and other apps, through the keyless interface of October 2026 (IUserReviewsService)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from listener.errors import Broken
from listener.http import Get, read_json
from listener.records import Gap, Page, Post, Rating
from listener.sources import About
from listener.sources.apps import Doubtful, begin, counts, each, ident, not_before, page_of, plain_field
from listener.sources.shared import read_date

ABOUT = About(
    brings="reviews of games and other apps on Steam, in all languages, with thumbs up or down",
    key="none",
    limits="none published; replies may be ten minutes old; 40 requests of 100 reviews a run, shared by the apps",
    terms="a public interface of Valve; the Steam Web API Terms of Use apply",
    caution="a review that is deleted is not noticed: no request asks after single reviews",
    keep="all",
)

_API = "https://api.steampowered.com/IUserReviewsService/GetAppReviews/v1/"
_AT_ONCE = 100  # the most that the interface gives
_MAX_REQUESTS = 40  # a run
_OVERLAP_S = 3600  # replies are cached, and reviews are seen late
_RECENT, _UPDATED = 1, 2  # the interface's numbers for "newest first" and "last changed first"
_FIRST = "*"  # the cursor that asks for the first page

_LANGUAGES = {
    "arabic": "ar", "brazilian": "pt-BR", "bulgarian": "bg", "czech": "cs", "danish": "da", "dutch": "nl",
    "english": "en", "finnish": "fi", "french": "fr", "german": "de", "greek": "el", "hungarian": "hu",
    "indonesian": "id", "italian": "it", "japanese": "ja", "koreana": "ko", "latam": "es-419", "malay": "ms",
    "norwegian": "no", "polish": "pl", "portuguese": "pt-PT", "romanian": "ro", "russian": "ru",
    "schinese": "zh-Hans", "spanish": "es-ES", "swedish": "sv", "tchinese": "zh-Hant", "thai": "th",
    "turkish": "tr", "ukrainian": "uk", "vietnamese": "vi",
}  # fmt: skip

# Steam's own tags only: people write "[sic]" and "[10/10]" as well. Those before the bar begin a new line.
_BLOCK = r"h[1-6]|list|olist|quote|code|table|tr|hr|p"
_BLOCK_TAG = re.compile(rf"\[/?(?:{_BLOCK})(?:=[^\]\n]{{0,300}})?\]|\[/?\*\]", re.IGNORECASE)
_CELL_TAG = re.compile(r"\[/?t[dh]\]", re.IGNORECASE)
_INLINE_TAG = re.compile(
    r"\[/?(?:b|i|u|strike|spoiler|noparse|url|img|previewyoutube|c)(?:=[^\]\n]{0,300})?\]", re.IGNORECASE
)


class Settings(BaseModel):
    """Which apps to read."""

    model_config = ConfigDict(extra="forbid")

    apps: list[Annotated[int, Field(gt=0, lt=2**32)]] = Field(
        min_length=1,
        max_length=20,
        description="The numbers of the apps, as in the address of their store page: .../app/NUMBER/.",
        examples=[[4000010, 4000020]],
    )
    languages: list[str] = Field(
        ["all"],
        min_length=1,
        description="Steam's names of the languages to read, such as 'english' or 'schinese'; 'all' reads all.",
        examples=[["english", "german"]],
    )
    days: float = Field(7, gt=0, le=3650, description="How many days the first run looks back.")

    @field_validator("apps")
    @classmethod
    def _once(cls, apps: list[int]) -> list[int]:
        return list(dict.fromkeys(apps))

    @field_validator("languages")
    @classmethod
    def _known(cls, languages: list[str]) -> list[str]:
        unknown = [name for name in languages if name not in _LANGUAGES and name != "all"]
        if unknown:
            raise ValueError(f"Steam has no language called {unknown[0]!r}; there are: all, {', '.join(_LANGUAGES)}")
        return ["all"] if "all" in languages else list(dict.fromkeys(languages))


def fetch(settings: Settings, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str) -> Iterator[Page]:
    """Pages of reviews, last changed first. The cursor is {"until": {app: epoch seconds up to which all was read}}.

    A review that was edited comes to the head of that order, so new and edited ones are met alike. Only the last page
    of an app moves its bookmark; it carries a Gap when the app got more reviews than one run reads.
    """
    until = int(now.timestamp())
    known = dict((cursor or {}).get("until") or {})
    marks = {str(app): known[str(app)] for app in settings.apps if str(app) in known}
    most = max(2, _MAX_REQUESTS // len(settings.apps))

    def read(app: int) -> Iterator[Page]:
        since = begin(marks.get(str(app)), until, _OVERLAP_S, settings.days)
        for request, (page, oldest, last) in enumerate(_walk(settings, app, since, get, now, name), start=1):
            if not last and request < most:
                yield page
                continue
            why = f"app {app} got more reviews than one run reads; `listener collect NAME --since DATE` brings them"
            gap = None if last else Gap(datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(oldest, UTC), why)
            marks[str(app)] = until
            yield replace(page, cursor={"until": dict(marks)}, gap=gap)
            return

    yield from each(settings.apps, read, now)


def backfill(
    settings: Settings, since: datetime, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str
) -> Iterator[Page]:
    """Reviews by the time they were written, back to `since`. The cursor is {"until": {app: epoch seconds}}.

    Steam at times ends a list too early. So each app is asked again from the oldest review that came, until nothing
    older comes.
    """
    start = int(since.timestamp())
    marks = dict((cursor or {}).get("until") or {})

    def read(app: int) -> Iterator[Page]:
        before, until = None, marks.get(str(app), int(now.timestamp()))
        while until > start and until != before:
            before = until
            for page, oldest, _ in _walk(settings, app, start, get, now, name, until):
                until = marks[str(app)] = min(until, oldest)
                yield replace(page, cursor={"until": dict(marks)})
        marks[str(app)] = start

    yield from each(settings.apps, read, now)
    yield Page((), cursor={})


def _walk(
    settings: Settings, app: int, since: int, get: Get, now: datetime, name: str, until: int | None = None
) -> Iterator[tuple[Page, int, bool]]:
    """Each page, the oldest epoch second on the way to it, and whether it is the last.

    With `until` by the time of writing and within that range, else by the last change. The list ends with an empty
    page or with a cursor that comes again, and no sooner: short pages are normal.
    """
    key, moment = ("timestamp_updated", _changed) if until is None else ("timestamp_created", _written)
    oldest = int(now.timestamp()) if until is None else until
    place, used, shown, total = _FIRST, {""}, 0, 0
    seen: set[str] = set()
    while True:
        payload = get(_API, params={"input_json": _question(settings, app, place, since, until)}).body
        reply, used = _read(payload), used | {place}
        if place == _FIRST:
            if not reply:
                raise Broken(f"Steam knows no app {app}; correct apps in the configuration.", payload)
            total = _total(reply) if until is None else 0
        page = not_before(_page(reply, payload, app, name, now), since, moment)
        page = replace(page, posts=tuple(post for post in page.posts if post.native_id not in seen))
        seen.update(post.native_id for post in page.posts)
        moments = [at for review in reply.get("reviews", []) if (at := _moment(review, key)) is not None]
        oldest = min([oldest, *(at for at in moments if at >= since)])
        shown += len(reply.get("reviews", []))
        place = str(reply.get("cursor") or "")
        met = bool(moments) and moments[-1] < since
        ended = not reply.get("reviews") or place in used
        cut = ended and not met and shown < total and (shown == 0 or shown < 0.98 * total - 5)
        yield page, oldest, (met or ended) and not cut
        if cut:
            raise Doubtful(f"Steam ends the reviews of app {app} after {shown} of {total}, as it does at busy times.")
        if met or ended:
            return


def _question(settings: Settings, app: int, place: str, since: int, until: int | None) -> str:
    asked = {
        "appid": app,
        "filter": _UPDATED if until is None else _RECENT,
        "languages": settings.languages,
        "review_type": 0,  # up and down
        "purchase_type": 1,  # bought on Steam or elsewhere
        "num_per_page": _AT_ONCE,
        "filter_offtopic_activity": False,  # what Steam calls a review bomb is what a listener wants to hear
        "cursor": place,
    }
    if until is not None:  # the range counts only with both its ends
        asked |= {"date_range_start": since, "date_range_end": until}
    return json.dumps(asked, separators=(",", ":"))


def parse(payload: bytes, *, app: int, name: str, now: datetime) -> Page:
    """The reviews of one reply. Raises Broken."""
    return _page(_read(payload), payload, app, name, now)


def _read(payload: bytes) -> dict[str, Any]:
    """What the reply holds; {} is all that Steam says of an app it does not know."""
    reply = read_json(payload, "api.steampowered.com")
    found = reply.get("response") if isinstance(reply, dict) else None
    if not isinstance(found, dict) or not isinstance(found.get("reviews", []), list):
        raise Broken("api.steampowered.com sends JSON without a list of reviews.", payload)
    return found


def _total(reply: Mapping[str, Any]) -> int:
    """How many reviews the list should hold, as the first page says; 0 when it does not."""
    summary = reply.get("query_summary")
    told = counts(matching=reply.get("total_matching"))
    told |= counts(reviews=summary.get("total_reviews")) if isinstance(summary, dict) else {}
    return next(iter(told.values()), 0)


def _page(reply: Mapping[str, Any], payload: bytes, app: int, name: str, now: datetime) -> Page:
    reviews = reply.get("reviews", [])
    page = page_of(_post(review, app, name, now) for review in reviews)
    if reviews and page.skipped.get("no id") == len(reviews):
        raise Broken("Steam sends reviews without a recommendationid: its format has changed.", payload)
    return page


def _post(review: object, app: int, name: str, now: datetime) -> Post | None:
    if not isinstance(review, dict) or not (native_id := ident(review.get("recommendationid"))):
        return None
    author = review.get("author")
    steamid = ident(author.get("steamid")) if isinstance(author, dict) else ""
    written, changed = (read_date(_moment(review, f"timestamp_{what}"), now) for what in ("created", "updated"))
    voted_up, language = review.get("voted_up"), review.get("language")
    place = f"profiles/{steamid}/recommended/{app}/" if steamid.isdecimal() else f"app/{app}/reviews/"
    return Post(
        source=name,
        native_id=native_id,
        kind="review",
        text=plain_field(_without_tags(review.get("review"))),
        url=f"https://steamcommunity.com/{place}",
        author=steamid,
        created_at=written,
        edited_at=changed if changed and written and changed > written else None,
        rating=Rating(float(voted_up), worst=0, best=1) if isinstance(voted_up, bool) else None,
        engagement=counts(
            likes=review.get("votes_up"), funny=review.get("votes_funny"), comments=review.get("comment_count")
        ),
        lang=_LANGUAGES.get(language, "") if isinstance(language, str) else "",
    )


def _moment(review: object, key: str) -> int | None:
    at = review.get(key) if isinstance(review, dict) else None
    return at if isinstance(at, int) and not isinstance(at, bool) and 0 < at < 2**40 else None


def _written(post: Post) -> datetime | None:
    return post.created_at


def _changed(post: Post) -> datetime | None:
    return post.edited_at or post.created_at


def _without_tags(bbcode: object) -> str:
    text = _BLOCK_TAG.sub("\n", bbcode) if isinstance(bbcode, str) else ""
    return _INLINE_TAG.sub("", _CELL_TAG.sub(" ", text))
