"""Google Play: reviews of Android apps, through the package google-play-scraper. Off until you switch it on."""

from __future__ import annotations

import importlib
import json
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from listener.errors import Broken, Disabled, Refused, Retry, SourceError
from listener.http import Get, read_json
from listener.records import Gap, Page, Post, Rating
from listener.sources import About
from listener.sources.apps import Doubtful, begin, counts, each, ident, not_before, page_of, plain_field
from listener.sources.shared import read_date

ABOUT = About(
    brings="reviews of Android apps in Google Play, with stars, in the languages you name",
    key="none, but the extra package: pip install 'listener-daemon[googleplay]'",
    limits="none published; at most 30 requests of 200 reviews a run, shared by apps and languages",
    terms="Google's terms forbid programs that were not allowed beforehand; that is yours to decide",
    caution="the package asks Google by itself, past this program's own way out: the pauses between requests, the "
    "limits of [http] and your contact do not hold for it. Google may block the address of this machine. For an app "
    "of your own, import the reports of the Play Console instead. A review that is deleted is not noticed",
    keep="all",
)

_AT_ONCE = 200  # one request of the package
_MAX_REQUESTS = 30  # a run
_MOST_LISTS = 15
_OVERLAP_S = 2 * 86400  # reviews are shown after Google has looked at them
_TIMEOUT_S = 60.0
_PACKAGE = "google_play_scraper"


class Settings(BaseModel):
    """Which apps to read, in which languages."""

    model_config = ConfigDict(extra="forbid")

    i_know_that_google_forbids_this: bool = Field(
        False,
        description="Google's terms forbid reading its pages by program. Nothing is asked before you write true here.",
    )
    apps: list[str] = Field(
        min_length=1,
        description="The names of the app packages, as in the address of their page: ...details?id=NAME.",
        examples=[["com.example.stay"]],
    )
    languages: list[str] = Field(
        ["en"],
        min_length=1,
        description="The languages to ask for, as 'en', 'de' or 'pt-BR'; each shows reviews of its own.",
        examples=[["en", "de"]],
    )
    days: float = Field(7, gt=0, le=3650, description="How many days the first run looks back.")

    @field_validator("apps")
    @classmethod
    def _packages(cls, apps: list[str]) -> list[str]:
        for app in apps:
            if not re.fullmatch(r"[A-Za-z]\w*(\.[A-Za-z]\w*)+", app, re.ASCII):
                raise ValueError(f"{app!r} is not the name of an app package, which looks like 'com.example.stay'")
        return list(dict.fromkeys(apps))

    @field_validator("languages")
    @classmethod
    def _codes(cls, languages: list[str]) -> list[str]:
        for language in languages:
            if not re.fullmatch(r"[a-z]{2,3}([-_][A-Za-z0-9]{2,4})?", language):
                raise ValueError(f"{language!r} is not the code of a language, such as 'en', 'de' or 'pt-BR'")
        return list(dict.fromkeys(languages))

    @model_validator(mode="after")
    def _few_enough(self) -> Settings:
        if len(self.apps) * len(self.languages) > _MOST_LISTS:
            raise ValueError(f"apps times languages are too many; at most {_MOST_LISTS} lists fit into a run")
        return self


@dataclass(frozen=True, slots=True)
class Client:
    """What is used of the package: two functions, and its word for "newest first"."""

    app: Callable[..., Any]
    reviews: Callable[..., Any]
    newest: Any


def package() -> Client:
    """The installed package. Raises Disabled where there is none."""
    verified = ssl._create_default_https_context
    try:
        found = importlib.import_module(_PACKAGE)
        request: Any = importlib.import_module(f"{_PACKAGE}.utils.request")
    except ImportError as error:
        raise Disabled(
            "Google Play needs a package that is not installed; install it with: "
            "pip install 'listener-daemon[googleplay]'"
        ) from error
    finally:
        # On import it switches the checking of certificates off, for everything in the process that uses urllib.
        ssl._create_default_https_context = verified
    if hasattr(request, "urlopen"):  # it asks without a limit of time, and could hold up the daemon for ever
        request.urlopen = partial(request.urlopen, timeout=_TIMEOUT_S)
    return Client(found.app, found.reviews, found.Sort.NEWEST)


def fetch(
    settings: Settings,
    cursor: Mapping[str, Any] | None,
    get: Get,
    now: datetime,
    name: str,
    client: Callable[[], Client] = package,
) -> Iterator[Page]:
    """Pages of reviews, newest first. The cursor is {"until": {"app/language": epoch seconds}}; `get` is not used.

    Only the last page of a list moves its bookmark; it carries a Gap when the list ended before the mark was met.
    """
    if not settings.i_know_that_google_forbids_this:
        raise Disabled(
            "Google's terms forbid reading Google Play by program, so nothing was asked. To do it all the same, write "
            "i_know_that_google_forbids_this = true; for an app of your own, import the Play Console's reports instead."
        )
    play = client()
    until = int(now.timestamp())
    known = dict((cursor or {}).get("until") or {})
    lists = [(app, language) for app in settings.apps for language in settings.languages]
    marks = {key: known[key] for app, language in lists if (key := f"{app}/{language}") in known}
    most = _MAX_REQUESTS // len(lists)
    written: dict[str, int] = {}
    seen: set[str] = set()

    def read(of: tuple[str, str]) -> Iterator[Page]:
        app, key = of[0], "/".join(of)
        if app not in written:  # a name that is misspelt looks like an app without reviews; its page tells them apart
            written[app] = _reviews_by_its_page(play, app)
        since = begin(marks.get(key), until, _OVERLAP_S, settings.days)
        for page, last in _walk(play, *of, since, most, written[app], now, name):
            fresh = tuple(post for post in page.posts if post.native_id not in seen)
            seen.update(post.native_id for post in fresh)
            if last:
                marks[key] = until
            yield replace(page, posts=fresh, cursor={"until": dict(marks)} if last else None)

    yield from each(lists, read, now)


def _walk(
    play: Client, app: str, language: str, since: int, most: int, written: int, now: datetime, name: str
) -> Iterator[tuple[Page, bool]]:
    """Each page of a list, and whether it is the last. The list ends where no token for more comes with a page."""
    what = f"the reviews of {app} in {language!r}"
    asked: dict[str, Any] = {"lang": language, "sort": play.newest, "count": _AT_ONCE}
    shown: set[str] = set()
    oldest: datetime | None = None
    for request in range(1, most + 1):
        reviews, token = _pair(_ask(what, play.reviews, app, **asked), what)
        if not reviews and (written or request > 1):
            raise Doubtful(
                f"Google Play gives none of {what}, although it has some: that is how it fails. It is asked again "
                "later; if the app's page has no reviews in that language, remove the language."
            )
        payload = json.dumps(reviews, default=_as_text).encode()
        page = parse(payload, app=app, language=language, name=name, now=now)
        ids = {post.native_id for post in page.posts}
        oldest = next((post.created_at for post in reversed(page.posts) if post.created_at), oldest)
        met = oldest is not None and oldest.timestamp() < since
        repeats = bool(ids) and ids <= shown  # as long walks do
        more = getattr(token, "token", None) is not None
        gap = None
        if more and not met and (repeats or request == most):
            why = f"Google Play showed no more than {len(shown | ids)} of {what}"
            gap = Gap(datetime.fromtimestamp(since, UTC), oldest, why)
        last = met or not more or gap is not None
        yield replace(not_before(page, since, lambda post: post.created_at), gap=gap), last
        if last:
            return
        shown |= ids
        asked = {"continuation_token": token}


def _reviews_by_its_page(play: Client, app: str) -> int:
    """How many reviews the app's page says it has, 0 where it does not. Raises Broken when there is no such app."""
    told = _ask(f"the page of {app}", play.app, app)
    return counts(n=told.get("reviews")).get("n", 0) if isinstance(told, dict) else 0


def _pair(answer: Any, what: str) -> tuple[Any, Any]:
    if not isinstance(answer, tuple) or len(answer) != 2:
        raise Broken(f"Google Play: the package answers otherwise than before for {what}.", repr(answer).encode())
    return answer


def _ask(what: str, function: Callable[..., Any], *of: Any, **how: Any) -> Any:
    """The package's answer. What it raises becomes one of our errors, by what it says."""
    try:
        return function(*of, **how)
    except Exception as error:  # it raises whatever its parts do
        raise _as_ours(error, what) from error


def _as_ours(error: Exception, what: str) -> SourceError:
    said = f"{type(error).__name__}: {error}"[:200]
    found = re.search(r"status code (\d{3})", said, re.IGNORECASE)
    status = int(found[1]) if found else 0
    if type(error).__name__ == "NotFoundError":
        return Broken(f"Google Play knows no such app: {what} is not found. Correct apps in the configuration.")
    if status == 429 or status >= 500 or "PlayGatewayError" in said or (isinstance(error, OSError) and not status):
        return Retry(f"Google Play does not give {what} at present ({said}).", status=status)
    if status in (401, 403):
        return Refused(f"Google Play does not let us read {what} (status {status}); remove the source.", status=status)
    return Broken(f"Google Play: {what} cannot be read ({said}). A newer google-play-scraper may read it.")


def _as_text(value: object) -> str:
    """A date of the package, which is local time without a zone, and anything else that JSON does not hold."""
    try:
        return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)
    except (ValueError, OverflowError):  # the years 1 and 9999
        return ""


def parse(payload: bytes, *, app: str, language: str, name: str, now: datetime) -> Page:
    """The reviews of one answer of the package, as a JSON list of its dictionaries. Raises Broken."""
    reviews = read_json(payload, "Google Play")
    if not isinstance(reviews, list):
        raise Broken("Google Play: the package gives no list of reviews.", payload)
    page = page_of(_post(review, app, language, name, now) for review in reviews)
    if reviews and page.skipped.get("no id") == len(reviews):
        raise Broken("Google Play: the package gives reviews without an id; Google's format has changed.", payload)
    return page


def _post(review: object, app: str, language: str, name: str, now: datetime) -> Post | None:
    if not isinstance(review, dict) or not (native_id := ident(review.get("reviewId"))):
        return None
    stars = review.get("score")
    return Post(
        source=name,
        native_id=native_id,
        kind="review",
        text=plain_field(review.get("content")),
        url=f"https://play.google.com/store/apps/details?{urlencode({'id': app, 'reviewId': native_id})}",
        author=plain_field(review.get("userName")),
        created_at=read_date(review.get("at"), now),
        rating=Rating(float(stars)) if type(stars) is int and 1 <= stars <= 5 else None,
        engagement=counts(likes=review.get("thumbsUpCount")),
        lang=language.replace("_", "-"),
    )
