"""Reviews out of schema.org objects, whichever markup they came in: author, rating on its scale, date, each once."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
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

_OVER = re.compile(r"(?:/|\bof\b|\bvon\b|\bsur\b|\bde\b|\bdi\b)\s*(\d{1,3})\b", re.IGNORECASE)  # "4/5", "3 out of 10"
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


def best_rating(reviews: Iterable[tuple[Mapping[str, Any], Nodes]], blocks: list[Any]) -> float:
    """The top of the scale for those ratings of a page that name none: what its average names; else 5, or 10 or 100
    where one of them, or the average, does not fit that. Judged one by one, a 4 of 10 would be taken for a good 4 of 5.
    """
    averages = (node["aggregateRating"] for _, node in jsonld.nodes(blocks) if "aggregateRating" in node)
    told = [_scale(_object(average, jsonld.by_id(blocks))) for average in averages]
    named = max((best for _, best, _ in told if best is not None), default=0.0)
    told += [_scale(_given(node, by_id)) for node, by_id in reviews]
    highest = max((value for value, best, _ in told if value is not None and best is None), default=0.0)
    return next((top for top in (named, 5.0, 10.0, 100.0) if top >= highest and top > 1), 5.0)


def _given(node: Mapping[str, Any], by_id: Nodes) -> Any:
    return _object(node.get("reviewRating", node.get("rating")), by_id)


def _scale(given: Any) -> tuple[float | None, float | None, float | None]:
    """The value of a rating, and the best and the worst that it names."""
    told = given if isinstance(given, dict) else {"ratingValue": given}
    best, worst = _number(told.get("bestRating")), _number(told.get("worstRating"))
    over = _OVER.search(str(_first(told.get("ratingValue"))))
    if best is None and over:
        best = float(over.group(1))
    return _number(told.get("ratingValue")), best, worst


def _rating(node: Mapping[str, Any], by_id: Nodes, usual_best: float) -> Rating | None:
    """The rating on its own scale, else on that of its page."""
    value, best, worst = _scale(_given(node, by_id))
    if value is None:
        return None
    best = usual_best if best is None else best
    worst = min(1.0, value, best - 1) if worst is None else worst
    return Rating(value, worst, best) if worst < best else None


def _number(value: Any) -> float | None:
    value = _first(value)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    found = _NUMBER.search(str(value))
    number = float(found.group().replace(",", ".")) if found else math.nan
    return number if math.isfinite(number) else None


def read_review(
    node: Mapping[str, Any], by_id: Nodes, url: str, at: str, name: str, now: datetime, usual_best: float
) -> Post:
    """A review as a post. `url` is the list it belongs to, `at` the page of that list where it stands today, and
    `usual_best` what `best_rating` says of that page.
    """
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
        rating=_rating(node, by_id, usual_best),
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
