"""Reviews out of schema.org objects, whichever markup they came in: author, rating on its scale, date, each once."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from listener.http import without_secrets
from listener.records import Post, Rating
from listener.sources import jsonld
from listener.sources.shared import plain, read_date
from listener.text import canonical_url, clean, fingerprint

if TYPE_CHECKING:
    from bs4 import BeautifulSoup

Nodes = Mapping[str, Mapping[str, Any]]  # objects by the id that others refer to them by

_NUMBER = re.compile(r"-?\d{1,9}(?:[.,]\d{1,9})?")


def _types(node: Mapping[str, Any]) -> list[str]:
    types = node.get("@type")
    return [one.rpartition("/")[2] for one in (types if isinstance(types, list) else [types]) if isinstance(one, str)]


def reviews_of(roots: list[Any]) -> Iterator[Mapping[str, Any]]:
    """The reviews anywhere in nested objects."""
    for key, node in jsonld.nodes(roots):
        named = any(one.endswith("Review") for one in _types(node))
        if named or (key in ("review", "reviews") and "reviewBody" in node):
            yield node


def has_aggregate(blocks: list[Any], soup: BeautifulSoup) -> bool:
    """Whether the page tells an average, in any of its markups."""
    in_json = any("AggregateRating" in _types(node) or "aggregateRating" in node for _, node in jsonld.nodes(blocks))
    named = re.compile(r"\bAggregateRating\b")
    return in_json or soup.find(itemtype=named) is not None or soup.find(typeof=named) is not None


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


def _object(value: Any, by_id: Nodes) -> Any:
    """The value itself, or the object elsewhere on the page that it only refers to."""
    value = _first(value)
    refers = (
        isinstance(value, dict) and isinstance(value.get("@id"), str) and not {"name", "ratingValue"} & value.keys()
    )
    return by_id.get(value["@id"], value) if refers else value


def _author(node: Mapping[str, Any], by_id: Nodes) -> str:
    author = _object(node.get("author", node.get("creator")), by_id)
    if not isinstance(author, dict):
        return _words({"author": author}, "author")
    both = clean(f"{_words(author, 'givenName')} {_words(author, 'familyName')}")
    return _words(author, "name", "alternateName") or both


def _rating(node: Mapping[str, Any], by_id: Nodes) -> Rating | None:
    """The rating on its own scale. 1 to 5 when no scale is told, or 10 or 100 where the value does not fit that."""
    told = _object(node.get("reviewRating", node.get("rating")), by_id)
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


def read_review(node: Mapping[str, Any], by_id: Nodes, url: str, at: str, name: str, now: datetime) -> Post:
    """A review as a post. `url` is the list it belongs to, `at` the page of that list where it stands today."""
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
        url=without_secrets(_link(at, _words(node, "url")) or url, url),
        author=author,
        created_at=when,
        rating=_rating(node, by_id),
        lang=_words(node, "inLanguage")[:35],
    )


def _link(at: str, link: str) -> str:
    try:
        joined = urljoin(at, link) if link else ""
    except ValueError:
        return ""
    return joined if canonical_url(joined) else ""


def once(kinds: list[list[Post]]) -> tuple[list[Post], Counter[str]]:
    """Each review once. The same one in another kind of markup may differ in its date or lack its author."""
    skipped: Counter[str] = Counter()
    posts: dict[str, Post] = {}
    authors: dict[str, set[str]] = {}
    for found in kinds:
        fresh = [post for post in found if not _told(post, authors)]
        for post in fresh:
            authors.setdefault(_letters(post.text), set()).add(_letters(post.author))
            if not post.text:
                skipped["no text"] += 1
            elif post.native_id in posts:
                skipped["twice on the page"] += 1
            else:
                posts[post.native_id] = post
    return list(posts.values()), skipped


def _told(post: Post, authors: Mapping[str, set[str]]) -> bool:
    named = authors.get(_letters(post.text))
    author = _letters(post.author)
    return named is not None and (not author or author in named or "" in named)


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))
