"""Reviews on web pages that carry schema.org markup: a hotel's or a shop's own site, small portals, blogs."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from listener.errors import Broken
from listener.http import Get, Response, charset, public_url
from listener.records import Page, Post, Rating
from listener.sources import About
from listener.sources.microdata import read_items
from listener.sources.shared import Addresses, each_address, plain, read_date
from listener.text import canonical_url, clean, fingerprint
from listener.walls import is_html

if TYPE_CHECKING:
    from bs4 import BeautifulSoup

ABOUT = About(
    brings="reviews with rating, author and date from pages you list, where the page carries schema.org markup",
    key="none",
    limits="what the page itself shows; one request to a site in 10 seconds; robots.txt is honoured",
    terms="those of each site: list pages of your own, or of sites that allow it",
    caution="large portals (Booking, Tripadvisor, Trustpilot, Amazon) forbid and block this; import their exports",
    keep="all",
)

_GAP_S = 10.0
_MAX_REVIEWS = 500  # of one page
# A string, whole or torn; a comment of any kind; a comma before the end of a list. All but the strings is taken out.
_NOT_JSON = re.compile(
    r'"(?:[^"\\]++|\\.)*+"?|(?://\s*)?<!\[CDATA\[|(?://\s*)?\]\]>'
    r"|<!--.*?(?:-->|\Z)|/\*.*?(?:\*/|\Z)|//[^\n]*|,(?=\s*[}\]])",
    re.DOTALL,
)
_WRAPPED = re.compile(r"\s*<!--(.*)-->\s*", re.DOTALL)
_NUMBER = re.compile(r"-?\d{1,9}(?:[.,]\d{1,9})?")


class Settings(Addresses):
    """Which pages to read."""


def fetch(settings: Settings, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str) -> Iterator[Page]:
    """One Page a web page; its cursor is {url: {"etag", "modified"}}."""

    def ask(url: str, etag: str, modified: str) -> Response:
        return get(url, etag=etag, modified=modified, page=True, gap_s=_GAP_S)

    def read(url: str, response: Response) -> Page:
        return parse(response.body, url=url, name=name, now=now, content_type=response.headers.get("content-type", ""))

    yield from each_address(settings.addresses, cursor, now, ask, read)


def parse(payload: bytes, *, url: str, name: str, now: datetime, content_type: str = "") -> Page:
    """The schema.org reviews of one web page, those in JSON-LD first, then those only its microdata holds.

    Without reviews the page is empty and `skipped` says why. Raises Broken when it is no web page, or when the
    reviews it announces cannot be read.
    """
    soup = _soup(payload, public_url(url), charset(content_type))
    blocks, unreadable = _json_blocks(soup)
    found = [_review(node, nodes, url, name, now) for nodes in [_by_id(blocks)] for node in _reviews(blocks)]
    items = read_items(soup, _MAX_REVIEWS)
    shown = [_review(node, {}, url, name, now) for node in _reviews(items)]
    posts, skipped = _once(found, shown)
    if not posts and any('"review' in block.lower() for block in unreadable):
        raise Broken(f"{public_url(url)} holds reviews in JSON-LD that is not JSON.", payload)
    if not posts and not skipped:
        skipped["aggregate only" if _has_aggregate(blocks, soup) else "no review markup"] += 1
    if len(posts) > _MAX_REVIEWS:
        skipped["over the limit of a page"] += len(posts) - _MAX_REVIEWS
    if unreadable:
        skipped["unreadable JSON-LD"] += len(unreadable)
    return Page(tuple(posts[:_MAX_REVIEWS]), skipped=dict(skipped))


def _soup(payload: bytes, place: str, encoding: str) -> BeautifulSoup:
    from bs4 import BeautifulSoup

    narrow = payload[:65_536].replace(b"\0", b"")
    tagged = re.search(rb"<(body|div|script|p|article)\b", narrow, re.IGNORECASE)
    if not is_html(narrow) and (tagged is None or narrow.lstrip().startswith((b"<?xml", b"{", b"["))):
        raise Broken(f"{place} is not a web page.", payload)
    # An XML declaration would only make BeautifulSoup warn of it.
    payload = re.sub(rb"^\s*<\?xml[^>]{0,200}>", b"", payload, count=1)
    try:
        # lxml, because the other parsers need minutes for some short pages made to hurt.
        return BeautifulSoup(payload, "lxml", from_encoding=encoding or None, multi_valued_attributes=None)
    except Exception as error:  # what foreign bytes do to a foreign parser is a broken payload, whatever it is called
        raise Broken(f"{place} cannot be read as a web page: {type(error).__name__}.", payload) from error


def _json_blocks(soup: BeautifulSoup) -> tuple[list[Any], list[str]]:
    """Every block of JSON-LD that can be read, and the text of those that cannot."""
    read: list[Any] = []
    unreadable: list[str] = []
    for script in soup.find_all("script", type=re.compile(r"^\s*application/ld\+json", re.IGNORECASE)):
        block = script.get_text()
        if not block.strip():
            continue
        for attempt in (lambda text: text, _repaired, lambda text: _repaired(unescape(text))):
            try:
                read.append(json.loads(attempt(block), strict=False))  # not strict: control characters in strings
                break
            except (ValueError, RecursionError):
                continue
        else:
            unreadable.append(block)
    return read, unreadable


def _repaired(block: str) -> str:
    """JSON as sites write it, without what JSON does not allow: wrappings, comments, commas too many."""
    wrapped = _WRAPPED.fullmatch(block)
    block = wrapped.group(1) if wrapped else block
    for _ in range(2):  # a comma may stand before a comment that stood before the bracket
        block = _NOT_JSON.sub(lambda found: found.group() if found.group().startswith('"') else "", block)
    return block


def _nodes(roots: list[Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every object of nested JSON with the key it is found under, in document order, without recursion."""
    waiting: list[tuple[str, Any]] = [("", root) for root in reversed(roots)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            yield key, value
            waiting += [(inner, value[inner]) for inner in reversed(value)]
        elif isinstance(value, list):
            waiting += [(key, one) for one in reversed(value)]


def _types(node: Mapping[str, Any]) -> list[str]:
    types = node.get("@type")
    return [one.rpartition("/")[2] for one in (types if isinstance(types, list) else [types]) if isinstance(one, str)]


def _reviews(roots: list[Any]) -> Iterator[Mapping[str, Any]]:
    for key, node in _nodes(roots):
        named = any(one.endswith("Review") for one in _types(node))
        if named or (key in ("review", "reviews") and "reviewBody" in node):
            yield node


def _by_id(roots: list[Any]) -> dict[str, Mapping[str, Any]]:
    return {node["@id"]: node for _, node in _nodes(roots) if isinstance(node.get("@id"), str) and len(node) > 1}


def _has_aggregate(blocks: list[Any], soup: BeautifulSoup) -> bool:
    in_json = any("AggregateRating" in _types(node) or "aggregateRating" in node for _, node in _nodes(blocks))
    return in_json or soup.find(itemtype=re.compile(r"schema\.org/AggregateRating")) is not None


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value


def _words(node: Mapping[str, Any], *keys: str) -> str:
    """The first of these properties that holds text; numbers count, language maps ({"@value"}) too."""
    for key in keys:
        value = _first(node.get(key))
        value = value.get("@value") if isinstance(value, dict) else value
        text = plain(str(value) if isinstance(value, int | float) else value)
        if text:
            return text
    return ""


def _author(node: Mapping[str, Any], by_id: Mapping[str, Mapping[str, Any]]) -> str:
    author = _first(node.get("author", node.get("creator")))
    if not isinstance(author, dict):
        return _words({"author": author}, "author")
    if isinstance(author.get("@id"), str) and "name" not in author:
        author = by_id.get(author["@id"], author)
    both = clean(f"{_words(author, 'givenName')} {_words(author, 'familyName')}")
    return _words(author, "name", "alternateName") or both


def _rating(node: Mapping[str, Any]) -> Rating | None:
    """The rating on its own scale. 1 to 5 when no scale is told, or 10 or 100 where the value does not fit that."""
    told = _first(node.get("reviewRating", node.get("rating")))
    scale = told if isinstance(told, dict) else {"ratingValue": told}
    value = _number(scale.get("ratingValue"))
    if value is None:
        return None
    best, worst = _number(scale.get("bestRating")), _number(scale.get("worstRating"))
    over = re.search(r"/\s*(\d{1,3})\s*$", str(_first(scale.get("ratingValue"))))  # "4/5"
    if best is None:
        best = float(over.group(1)) if over else next((top for top in (5.0, 10.0, 100.0) if value <= top), 5.0)
    worst = min(1.0, value, best - 1) if worst is None else worst
    return Rating(value, worst, best) if worst < best else None


def _number(value: Any) -> float | None:
    value = _first(value)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    found = _NUMBER.search(str(value))
    number = float(found.group().replace(",", ".")) if found else math.nan
    return number if math.isfinite(number) else None


def _review(
    node: Mapping[str, Any], by_id: Mapping[str, Mapping[str, Any]], url: str, name: str, now: datetime
) -> Post:
    author, title = _author(node, by_id), _words(node, "headline", "name")
    text = _words(node, "reviewBody", "description", "text") or title
    when = read_date(_first(node.get("datePublished", node.get("dateCreated"))), now)
    # The date as read, not as written: "2 weeks ago" is another text each week.
    ident = fingerprint(canonical_url(url) or url, author, when.isoformat() if when else "", text)
    return Post(
        source=name,
        native_id=ident,
        kind="review",
        title="" if title == text else title,
        text=text,
        url=_link(url, _words(node, "url")),
        author=author,
        created_at=when,
        rating=_rating(node),
        lang=_words(node, "inLanguage")[:35],
    )


def _link(url: str, link: str) -> str:
    try:
        joined = urljoin(url, link)
    except ValueError:
        return url
    return joined if canonical_url(joined) else url


def _once(found: list[Post], shown: list[Post]) -> tuple[list[Post], Counter[str]]:
    """Each review once. The same one in both kinds of markup may differ in its date or lack its author."""
    skipped: Counter[str] = Counter()
    posts: dict[str, Post] = {}
    authors: dict[str, set[str]] = {}
    for post in found:
        authors.setdefault(_letters(post.text), set()).add(_letters(post.author))
    for post in [*found, *(post for post in shown if not _known(post, authors))]:
        if not post.text:
            skipped["no text"] += 1
        elif post.native_id in posts:
            skipped["twice on the page"] += 1
        else:
            posts[post.native_id] = post
    return list(posts.values()), skipped


def _known(post: Post, authors: Mapping[str, set[str]]) -> bool:
    named = authors.get(_letters(post.text))
    author = _letters(post.author)
    return named is not None and (not author or author in named or "" in named)


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))
