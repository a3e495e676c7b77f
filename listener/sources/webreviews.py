"""Reviews on web pages that carry schema.org markup: a hotel's or a shop's own site, small portals, blogs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urldefrag, urljoin, urlsplit

from pydantic import Field

from listener.errors import Broken, Refused
from listener.http import Get, Response, charset, public_url
from listener.http.walls import is_html
from listener.records import Gap, Page
from listener.sources import About, jsonld, microdata, rdfa
from listener.sources.reviewnodes import Nodes, best_rating, has_aggregate, once, read_review, reviews_of
from listener.sources.shared import Addresses, kept_address
from listener.sources.turns import each_in_turn
from listener.text import canonical_url

if TYPE_CHECKING:
    from bs4 import BeautifulSoup

ABOUT = About(
    brings="reviews with rating, author and date from pages you list, where the page carries schema.org markup",
    key="none",
    limits="what the page and its next pages show; one request to a site in 10 seconds; robots.txt is honoured",
    terms="those of each site: list pages of your own, or of sites that allow it",
    caution="large portals (Booking, Tripadvisor, Trustpilot, Amazon) forbid and block this; import their exports",
    keep="all",
)

_LATIN = ("iso-8859-1", "iso8859-1", "latin-1", "latin1", "us-ascii", "ascii")
_GAP_S = 10.0
_MAX_REVIEWS = 500  # of one page
_KNOWN = 500  # reviews of an address that the bookmark names: those of its first page are always among them
_MARK = 8  # characters of a review's id that name it there
_NEXT = re.compile(r"(^|\s)next(\s|$)", re.IGNORECASE)


class Settings(Addresses):
    """Which pages to read."""

    pages: int = Field(
        5,
        ge=1,
        le=20,
        description="How many pages of one address a run reads, where a page names its next one (rel=next); "
        "1 reads the address alone.",
    )


def fetch(settings: Settings, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str) -> Iterator[Page]:
    """One Page a web page. The cursor is {url: {"etag", "modified", "pages", "known": [beginnings of ids]}}.

    A walk from page to page ends where a page brings no review that is new. Only its last page moves the bookmark.
    """
    marks: dict[str, Mapping[str, Any]] = {
        url: dict((cursor or {}).get(kept_address(url)) or {}) for url in settings.addresses
    }

    def walk(url: str) -> Iterator[Page]:
        for page, mark in _walk(settings, url, marks[url], get, now, name):
            if mark is not None:
                marks[url] = mark
            done = {kept_address(known): dict(told) for known, told in marks.items() if told}
            yield replace(page, cursor=done if mark is not None else None)

    yield from each_in_turn(settings.addresses, walk, now, lambda url: urlsplit(url).hostname)


def _walk(
    settings: Settings, url: str, mark: Mapping[str, Any], get: Get, now: datetime, name: str
) -> Iterator[tuple[Page, Mapping[str, Any] | None]]:
    """The pages of one address, and with the last one its bookmark."""
    if mark.get("pages", 1) < settings.pages:  # a walk may now reach further than the last one did
        mark = {}
    known = list(mark.get("known", ()))
    met: dict[str, None] = {}  # the reviews of this walk, in their order
    reached: dict[str, Any] = {}
    overlaps, oldest = False, None
    try:
        for number, (page, response, more) in enumerate(_pages(settings, url, mark, get, now, name), 1):
            if response.unchanged:
                yield page, mark
                return
            reached = reached or {"pages": settings.pages, **_validators(response)}
            page = replace(page, posts=tuple(post for post in page.posts if post.native_id[:_MARK] not in met))
            idents = [post.native_id[:_MARK] for post in page.posts]
            met.update(dict.fromkeys(idents))
            overlaps = not set(idents).isdisjoint(known)
            oldest = min((post.created_at for post in page.posts if post.created_at), default=oldest)
            more = more and not set(idents) <= set(known)
            if more and number < settings.pages:
                yield page, None
                continue
            why = f"{public_url(url)} held more new reviews than one run reads; raise `pages`, or read it more often"
            gap = Gap(None, oldest, why) if more and known and not overlaps else None
            yield replace(page, gap=gap), _bookmark(reached, met, known)
            return
    except Refused as error:
        if error.status or not reached:
            raise
        # Nobody turned us away: robots.txt closes the next page, or it leads elsewhere. So it will tomorrow.
        yield Page((), gap=None if overlaps else Gap(None, oldest, str(error))), _bookmark(reached, met, known)


def _pages(
    settings: Settings, url: str, mark: Mapping[str, Any], get: Get, now: datetime, name: str
) -> Iterator[tuple[Page, Response, bool]]:
    """Page after page as each names its next one, with its reply and whether there is another.

    A next page that is an address of its own is read in its own turn; one that was read before ends the circle.
    """
    been = {canonical_url(address) for address in settings.addresses}
    at, etag, modified = url, mark.get("etag", ""), mark.get("modified", "")
    while at:
        response = get(at, etag=etag, modified=modified, page=True, gap_s=_GAP_S)
        if response.unchanged:
            yield Page((), unchanged=True), response, False
            return
        kind = response.headers.get("content-type", "")
        page, following = _read(response.body, url, response.url, name, now, kind)
        been |= {canonical_url(at), canonical_url(response.url)}
        at, etag, modified = "" if canonical_url(following) in been else following, "", ""
        yield page, response, bool(at)


def _validators(response: Response) -> dict[str, str]:
    told = {"etag": response.headers.get("etag", ""), "modified": response.headers.get("last-modified", "")}
    return {key: value for key, value in told.items() if value}


def _bookmark(reached: Mapping[str, Any], met: Mapping[str, None], known: list[str]) -> dict[str, Any]:
    return {**reached, "known": [*met, *(mark for mark in known if mark not in met)][:_KNOWN]}


def parse(payload: bytes, *, url: str, name: str, now: datetime, content_type: str = "") -> Page:
    """The schema.org reviews of one web page, those in JSON-LD first, then those only its other markup holds.

    Without reviews the page is empty and `skipped` says why. Raises Broken when it is no web page, or when the
    reviews it announces cannot be read.
    """
    return _read(payload, url, url, name, now, content_type)[0]


def _read(payload: bytes, url: str, at: str, name: str, now: datetime, content_type: str) -> tuple[Page, str]:
    """The reviews of the page `at`, and the address of the page after it, "" when there is none.

    They are known by `url`, where their list begins: from day to day they move on from page to page.
    """
    soup = _soup(payload, public_url(at), charset(content_type))
    blocks, unreadable = jsonld.read_blocks(soup)
    inner, by_id = rdfa.read_items(soup, _MAX_REVIEWS)
    kinds: list[tuple[Iterable[Mapping[str, Any]], Nodes]] = [
        (reviews_of(blocks), jsonld.by_id(blocks)),
        (microdata.read_items(soup, _MAX_REVIEWS), {}),
        (inner, by_id),
    ]
    reviews = [[(node, nodes) for node in found] for found, nodes in kinds]
    best = best_rating((pair for found in reviews for pair in found), blocks)
    posts, skipped = once([[read_review(*pair, url, at, name, now, best) for pair in found] for found in reviews])
    if not posts and any('"review' in block.lower() for block in unreadable):
        raise Broken(f"{public_url(at)} holds reviews in JSON-LD that is not JSON.", payload)
    if not posts and not skipped:
        skipped["aggregate only" if has_aggregate(blocks, soup) else "no review markup"] += 1
    if len(posts) > _MAX_REVIEWS:
        skipped["over the limit of a page"] += len(posts) - _MAX_REVIEWS
    if unreadable:
        skipped["unreadable JSON-LD"] += len(unreadable)
    return Page(tuple(posts[:_MAX_REVIEWS]), skipped=dict(skipped)), _next(soup, at)


def _next(soup: BeautifulSoup, at: str) -> str:
    """The address that the page names as its next one, if that is on the same server."""
    base = soup.find("base", href=True)
    for tag in soup.find_all(["link", "a"], rel=_NEXT, href=True):
        try:
            joined = urldefrag(urljoin(urljoin(at, str(base["href"]) if base else ""), str(tag["href"]).strip())).url
            here, there = urlsplit(at), urlsplit(joined)
            if (here.hostname, here.port) == (there.hostname, there.port) and canonical_url(joined):
                return joined
        except ValueError:
            continue
    return ""


def _soup(payload: bytes, place: str, encoding: str) -> BeautifulSoup:
    from bs4 import BeautifulSoup
    from bs4.dammit import EncodingDetector

    narrow = payload[:65_536].replace(b"\0", b"")
    tagged = re.search(rb"<(body|div|script|p|article)\b", narrow, re.IGNORECASE)
    if not is_html(narrow) and (tagged is None or narrow.lstrip().startswith((b"<?xml", b"{", b"["))):
        raise Broken(f"{place} is not a web page.", payload)
    # An XML declaration would only make BeautifulSoup warn of it.
    payload = re.sub(rb"^\s*<\?xml[^>]{0,200}>", b"", payload, count=1)
    named = encoding or EncodingDetector.find_declared_encoding(payload, is_html=True) or ""
    # As browsers do (WHATWG Encoding): who says Latin-1 writes ’ and € as Windows has them.
    encoding = "windows-1252" if named.lower() in _LATIN else encoding
    try:
        # lxml, because the other parsers need minutes for some short pages made to hurt.
        return BeautifulSoup(payload, "lxml", from_encoding=encoding or None, multi_valued_attributes=None)
    except Exception as error:  # what foreign bytes do to a foreign parser is a broken payload, whatever it is called
        raise Broken(f"{place} cannot be read as a web page: {type(error).__name__}.", payload) from error
