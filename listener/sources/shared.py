"""What several kinds of source share: a list of addresses and the walk over it, dates and texts as found outside."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from listener.errors import Retry, SourceError
from listener.http import Response, public_url
from listener.records import Gap, Page
from listener.sources.dates import mail_date, take_apart
from listener.sources.turns import Failures
from listener.text import fingerprint, from_html

CUT_OFF = "cut off before its end"  # in `Page.skipped`: the rest of the reply did not come
_TELLING = 5  # posts; one of fewer may show the newest alone, and nothing is missed when they are others than before
_KNOWN = 100  # posts
_MAX_TEXT = 100_000  # characters of one post; what is longer is no post
_MAX_MARKUP = 500_000
_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)  # earlier dates are marks of "not known", such as 1970
_SKEW = timedelta(hours=1)  # how far a server's clock may run ahead of ours
_WRITTEN = (
    "%B %d, %Y", "%b %d, %Y", "%d %B %Y", "%d %b %Y", "%d.%m.%Y", "%Y/%m/%d", "%Y.%m.%d",
    "%Y-%m-%d %H:%M:%S %z", "%Y-%m-%d %H:%M:%S UTC",
)  # fmt: skip


class Addresses(BaseModel):
    """Settings of a source that reads web addresses a person lists."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field("", description="One address to read.", examples=["https://www.example.com/feed.xml"])
    urls: list[str] = Field([], description="Several addresses to read; each keeps a bookmark of its own.")

    @model_validator(mode="after")
    def _web_addresses(self) -> Addresses:
        if not self.addresses:
            raise ValueError('name at least one address, as url = "https://..." or urls = ["https://..."]')
        for address in self.addresses:
            parts = urlsplit(address)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                shown = address.partition("?")[0].rpartition("@")[2]  # the rest may hold a secret
                raise ValueError(f"{shown!r} is not a web address; it has to begin with https:// or http://")
        return self

    @property
    def addresses(self) -> list[str]:
        """Every address once, in the order given."""
        return list(dict.fromkeys(address.strip() for address in (self.url, *self.urls) if address.strip()))


def _phrases(queries: list[str]) -> list[str]:
    found = list(dict.fromkeys(" ".join(query.replace('"', " ").split()) for query in queries))
    if "" in found:
        raise ValueError("a query is empty: name a word or a phrase, such as the brand's name")
    return found


# Words or phrases to search for: each once, white space made even, without quotation marks of their own.
Phrases = Annotated[list[str], AfterValidator(_phrases)]


def each_address(
    addresses: list[str],
    cursor: Mapping[str, Any] | None,
    now: datetime,
    ask: Callable[[str, str, str], Response],
    read: Callable[[str, Response], Page],
) -> Iterator[Page]:
    """One Page for each address. The cursor is {address, as `kept_address` has it: {"etag", "modified", "known"}}.

    `ask` gets address, etag and modified; `read` makes a page of a reply. An address that fails does not keep the
    others from being read: the first error is raised when all have had their turn, see `Failures`. After a Retry the
    other addresses of that host are left for the next run. A reply that holds nothing of the one before ("known" are
    marks of its posts) leaves a gap: what stood between them was not shown. One that was `CUT_OFF` is asked for again.
    """
    marks = {address: dict((cursor or {}).get(kept_address(address)) or {}) for address in addresses}
    # Another one begins each minute: when a host allows ten requests a run, the eleventh address has its turn too.
    first = int(now.timestamp() // 60) % len(addresses)
    failures = Failures()
    tired: set[str | None] = set()
    for address in addresses[first:] + addresses[:first]:
        host = urlsplit(address).hostname
        if host in tired:
            continue
        try:
            response = ask(address, marks[address].get("etag", ""), marks[address].get("modified", ""))
            page = Page((), unchanged=True) if response.unchanged else read(address, response)
        except SourceError as error:
            failures.add(error)
            if isinstance(error, Retry):
                tired.add(host)
            continue
        if not response.unchanged:
            known, marks[address] = marks[address].get("known", ()), _mark(response, page)
            if len(known) >= 2 * _TELLING and page.posts and set(known).isdisjoint(_known(page)):
                dates = [post.created_at for post in page.posts if post.created_at]
                why = f"{public_url(address)} had more new entries than it shows at once; read it more often (`every`)"
                page = replace(page, gap=Gap(None, min(dates, default=None), why))
        yield replace(page, cursor={kept_address(known): dict(mark) for known, mark in marks.items() if mark})
    failures.tell()


def _mark(response: Response, page: Page) -> dict[str, Any]:
    named: dict[str, Any] = {"known": _known(page)[: 2 * _KNOWN]}
    if CUT_OFF not in page.skipped:
        named |= {"etag": response.headers.get("etag", ""), "modified": response.headers.get("last-modified", "")}
    return {key: value for key, value in named.items() if value}


def _known(page: Page) -> list[str]:
    """Two marks of each post: some sites give the same entry another id each time, some other words."""
    told = ((post.native_id, f"{post.title} {post.text}") for post in page.posts)
    return [fingerprint(each)[:8] for pair in told for each in pair]


def kept_address(address: str) -> str:
    """An address as a bookmark may name it: where it holds a secret, that is left out, and a hash tells it apart."""
    shown = public_url(address)
    return address if shown == address else f"{shown}#{fingerprint(address)[:12]}"


def plain(markup: object) -> str:
    """Readable text of a field that holds text or HTML, at most 100,000 characters; "" for anything else."""
    return from_html(markup[:_MAX_MARKUP])[:_MAX_TEXT] if isinstance(markup, str) else ""


def read_date(value: object, now: datetime) -> datetime | None:
    """An aware UTC datetime of a date as sites write them (ISO 8601, RFC 822, "May 3, 2024", epoch seconds).

    A date without time is midnight UTC. None for what cannot be read, is before 1990, or lies in the future: such a
    date is a mistake of the site, and the post is then dated by when it was found.
    """
    try:
        found = _as_datetime(value)
        if found is None:
            return None
        found = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return found if _EARLIEST <= found <= now + _SKEW else None


def _as_datetime(value: object) -> datetime | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    if not isinstance(value, str):
        return None
    value = value.strip()[:80]
    written = take_apart(value)
    if re.match(r"\d{4}-\d", value):
        try:
            return written.told(datetime.fromisoformat(written.body))
        except ValueError:
            lenient = re.match(r"(\d{4})-(\d{1,2})-(\d{1,2})", value)
            if lenient and len(lenient.group()) == len(value):
                day = date(*(int(part) for part in lenient.groups()))
                return datetime(day.year, day.month, day.day, tzinfo=UTC)
    for form in _WRITTEN:
        try:
            return datetime.strptime(value, form)  # noqa: DTZ007  # the caller reads naive as UTC
        except ValueError:
            continue
    return mail_date(written)
