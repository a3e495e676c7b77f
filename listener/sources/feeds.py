"""RSS, Atom and JSON Feed: news searches and alerts, Reddit, blogs, forums, anything that has a feed."""

from __future__ import annotations

import io
import re
from calendar import timegm
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

from pydantic import Field

from listener.errors import Broken
from listener.http import Get, Response, public_url, read_json
from listener.http.walls import is_html
from listener.records import Page, Post
from listener.sources import About
from listener.sources.shared import CUT_OFF, Addresses, each_address, plain, read_date
from listener.text import canonical_url, clean, fingerprint

ABOUT = About(
    brings="entries of any RSS, Atom or JSON feed: Google News searches, Google Alerts, Reddit, blogs, forums",
    key="none",
    limits="what the feed shows, often the newest 20 to 100 entries; Reddit answers about 10 requests a minute",
    terms="feeds are made to be read by programs; Google News asks for personal, non-commercial use",
    caution="Google News hides the address of an article behind one of its own",
)

# Beyond this a declared entity can be repeated into more text than memory holds; real ones name a character or two.
_LONGEST_ENTITY = 100
_ENTITY = re.compile(rb"<!ENTITY[^>]{%d}" % _LONGEST_ENTITY, re.IGNORECASE)
_ROOT = re.compile(rb"<(\w+:)?(rss|feed|rdf)\b", re.IGNORECASE)
_END = re.compile(rb"</(\w+:)?(rss|feed|rdf)\s*>", re.IGNORECASE)
_EPILOGUE = 65_536  # bytes after the last element: comments of caches and of those who count
_PROLOGUE = 65_536  # bytes before the first element; feedparser's search there is quadratic
_REDDIT_TAIL = re.compile(r"\s*submitted by\s+/?u/\S+(\s+to\s+/?r/\S+)?(\s*\[link\])?(\s*\[comments\])?\s*$")
_REDDIT_ID = re.compile(r"t[1-6]_\w+")
_LONGEST_ID = 400


class Settings(Addresses):
    """Which feeds to read."""

    language: str = Field(
        "", description="Language of the texts as a code such as 'en', where the feed does not say.", examples=["en"]
    )


@dataclass(frozen=True, slots=True)
class _Entry:
    """What RSS, Atom and JSON Feed have in common; strings as they came."""

    ident: str
    link: str
    title: str
    body: str
    author: str
    published: object
    edited: object
    language: str
    publisher: str = ""


def fetch(settings: Settings, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str) -> Iterator[Page]:
    """One Page a feed; its cursor is that of `each_address`."""

    def ask(url: str, etag: str, modified: str) -> Response:
        return get(url, etag=etag, modified=modified)

    def read(url: str, response: Response) -> Page:
        kind = response.headers.get("content-type", "")
        return parse(response.body, url=url, name=name, now=now, language=settings.language, content_type=kind)

    yield from each_address(settings.addresses, cursor, now, ask, read)


def parse(payload: bytes, *, url: str, name: str, now: datetime, language: str = "", content_type: str = "") -> Page:
    """The entries of one feed document. `url` is where it came from, `name` the source's.

    A feed that is damaged but gives entries is read as far as it goes. Raises Broken when it is no feed.
    """
    place = public_url(url)
    skipped: Counter[str] = Counter()
    if payload[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        entries = _of_json(payload, place, language)
    else:
        entries = _of_xml(payload, place, language, content_type)
        narrow = _narrow(payload)
        skipped[CUT_OFF] += bool(_ROOT.search(narrow[:_PROLOGUE]) and not _END.search(narrow[-_EPILOGUE:]))
    posts: dict[str, Post] = {}
    for entry in entries:
        post = _post(entry, url, name, now)
        if not post.text:
            skipped["no text"] += 1
        elif post.native_id in posts:
            skipped["twice in the feed"] += 1
        else:
            posts[post.native_id] = post
    return Page(tuple(posts.values()), skipped=dict(+skipped))


def _of_xml(payload: bytes, place: str, language: str, content_type: str) -> list[_Entry]:
    import feedparser

    if is_html(payload) and not _ROOT.search(payload[:_PROLOGUE]):
        raise Broken(f"{place} is a web page, not a feed. Look on that page for the address of its feed.", payload)
    narrow = _narrow(payload)
    first = re.search(rb"<\w", narrow)
    if first is None or first.start() > _PROLOGUE:
        raise Broken(f"{place} is not a feed: there is no element in it.", payload)
    if _ENTITY.search(narrow):
        raise Broken(
            f"{place} declares an entity longer than {_LONGEST_ENTITY} bytes, as feeds made to harm do.", payload
        )
    # Without the feed's address: feedparser would join it to ids such as Reddit's t3_abc as well.
    headers = {"content-type": content_type}
    try:
        # As a stream: bytes would be tried as the name of a file. Sanitising is left out, all markup goes anyway.
        read = feedparser.parse(
            io.BytesIO(payload), response_headers=headers, sanitize_html=False, resolve_relative_uris=False
        )
        if not read.entries and not read.version:
            raise Broken(f"{place} is not a feed. Check the address.", payload)
        return [_of_element(entry, read.feed.get("language") or language) for entry in read.entries]
    except Broken:
        raise
    except Exception as error:  # what foreign bytes do to a foreign parser is a broken payload, whatever it is called
        raise Broken(f"{place} cannot be read as a feed: {type(error).__name__}.", payload) from error


def _narrow(payload: bytes) -> bytes:
    """UTF-16 and UTF-32, near enough to look for tags."""
    return payload.replace(b"\0", b"")


def _of_element(entry: Any, language: str) -> _Entry:
    bodies = [one.get("value") or "" for one in entry.get("content") or ()] + [entry.get("summary") or ""]
    # Past feedparser's own `get`, which gives the date of publication, and a warning, where there is no other.
    updated = dict.get(entry, "updated_parsed")
    return _Entry(
        ident=entry.get("id") or "",
        link=entry.get("link") or "",
        title=entry.get("title") or "",
        body=next((body for body in bodies if body.strip()), ""),
        author=(entry.get("author_detail") or {}).get("name") or entry.get("author") or "",
        published=_moment(entry.get("published_parsed") or updated),
        edited=_moment(updated),
        language=entry.get("language") or language,
        publisher=(entry.get("source") or {}).get("title") or "",
    )


def _moment(parsed: Any) -> datetime | None:
    """feedparser's nine fields of time, which are UTC."""
    try:
        return datetime.fromtimestamp(timegm(parsed), UTC) if parsed else None
    except (ValueError, TypeError, OverflowError, OSError):
        return None


def _of_json(payload: bytes, place: str, language: str) -> list[_Entry]:
    """The entries of a JSON Feed, version 1 or 1.1 (jsonfeed.org)."""
    feed = read_json(payload, place)
    items = feed.get("items") if isinstance(feed, dict) else None
    if not isinstance(items, list) or "jsonfeed.org" not in str(feed.get("version")):
        raise Broken(f"{place} sends JSON that is no JSON Feed. Check the address.", payload)
    return [_of_item(item, _text(feed.get("language")) or language) for item in items if isinstance(item, dict)]


def _of_item(item: Mapping[str, Any], language: str) -> _Entry:
    authors = item.get("authors")
    author = authors[0] if isinstance(authors, list) and authors else item.get("author")
    # Title, content_text and summary are plain text there: "<Acme>" is what somebody wrote.
    title, text, summary = (_text(item.get(key)).replace("<", "&lt;") for key in ("title", "content_text", "summary"))
    return _Entry(
        ident=_text(item.get("id")),
        link=_text(item.get("url")) or _text(item.get("external_url")),
        title=title,
        body=next((body for body in (_text(item.get("content_html")), text, summary) if body.strip()), ""),
        author=_text(author.get("name")) if isinstance(author, dict) else "",
        published=item.get("date_published") or item.get("date_modified"),
        edited=item.get("date_modified"),
        language=_text(item.get("language")) or language,
    )


def _text(value: object) -> str:
    return str(value) if isinstance(value, str | int | float) else ""


def _post(entry: _Entry, url: str, name: str, now: datetime) -> Post:
    link = _article(_join(url, entry.link))
    title, text, author = plain(entry.title), plain(entry.body), plain(entry.author)
    if text.startswith("<") and "</" in text:  # escaped once more than the standard asks
        text = plain(text)
    kind = "article"
    if _REDDIT_ID.fullmatch(entry.ident) or author.startswith("/u/"):
        author = author.removeprefix("/u/")
        text = _REDDIT_TAIL.sub("", text)
        kind = "comment" if entry.ident.startswith("t1_") else "post"
        title = "" if kind == "comment" else title  # "/u/somebody on the title of the thread"
    elif urlsplit(link).hostname == "news.google.com":
        # The description is the headline once more, and both end in the name of the publisher.
        author = author or plain(entry.publisher)
        title = text = title.removesuffix(f" - {plain(entry.publisher)}") or title
    published, edited = _date(entry.published, now), _date(entry.edited, now)
    return Post(
        source=name,
        native_id=_native_id(entry, link, url),
        kind=kind,
        title=title,
        text=text or title,
        url=link,
        author=author,
        created_at=published,
        edited_at=edited if edited != published else None,
        lang=clean(entry.language)[:35],
    )


def _date(value: object, now: datetime) -> datetime | None:
    return read_date(value.isoformat() if isinstance(value, datetime) else value, now)


def _join(base: str, link: str) -> str:
    """An absolute web address, or "" when the link leads to none."""
    try:
        joined = urljoin(base, link.strip()) if link.strip() else ""
        return joined if canonical_url(joined) else ""
    except ValueError:
        return ""


def _article(link: str) -> str:
    """Google Alerts wraps each address: google.com/url?...&url=ADDRESS."""
    parts = urlsplit(link)
    if parts.path == "/url" and (parts.hostname or "").startswith("www.google."):
        return _join(link, next(iter(parse_qs(parts.query).get("url", [])), "")) or link
    return link


def _native_id(entry: _Entry, link: str, url: str) -> str:
    """The entry's id, made unique over all feeds; else its address; else a hash of what it says."""
    ident = clean(entry.ident)
    if not ident:
        ident = canonical_url(link) or fingerprint(entry.title, entry.body)
    elif ":" not in ident and not _REDDIT_ID.fullmatch(ident):  # "17" of one blog is not "17" of another
        ident = f"{urlsplit(url).hostname}/{ident}"
    return ident if len(ident) <= _LONGEST_ID else fingerprint(ident)
