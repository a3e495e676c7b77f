"""HTML microdata as JSON-LD-like objects, so that one reader serves both kinds of markup."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from listener.text import clean

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

_MAX_TEXT = 100_000
_MAX_NODES = 2_000  # elements and strings within one property
_MAX_DEPTH = 6  # of items within items: a review holds a rating, a rating holds an author
_MAX_PROPERTIES = 60  # of one item; a review has ten
_MAX_VALUES = 300  # of one review with all that is in it: items that refer to each other are without end
_LINES = frozenset(("br", "p", "div", "li", "tr", "h1", "h2", "h3", "h4"))
# Where the value of a property stands (HTML standard, 5.2.4 "Values"); a `content` attribute is believed anywhere.
_VALUE_IN = {
    "a": "href", "area": "href", "link": "href", "time": "datetime", "data": "value", "meter": "value",
    "img": "src", "audio": "src", "video": "src", "source": "src", "iframe": "src", "embed": "src", "object": "data",
}  # fmt: skip
# Text is meant although the standards say address: <a itemprop="author" href="/users/7">Ann</a>.
_NAMING = frozenset(("author", "name", "headline", "reviewBody", "description", "creator"))


def read_items(soup: BeautifulSoup, most: int) -> list[dict[str, Any]]:
    """The first `most` reviews: {"@type": [...], property: [values]}; a value is text or such an object."""
    by_id: dict[str, Tag] = {}
    for tag in soup.find_all(id=True):
        by_id.setdefault(str(tag["id"]), tag)
    reviews = soup.find_all(itemtype=lambda kinds: any(kind.endswith("Review") for kind in (kinds or "").split()))
    # A review inside another item that is read anyway is still one item: each is read from its own scope.
    return [_item(scope, by_id, _MAX_DEPTH, iter(range(_MAX_VALUES))) for scope in reviews[:most]]


def _item(scope: Tag, by_id: dict[str, Tag], depth: int, left: Iterator[int]) -> dict[str, Any]:
    item: dict[str, Any] = {"@type": [kind.rpartition("/")[2] for kind in words(scope, "itemtype")]}
    elsewhere = [by_id[ref] for ref in words(scope, "itemref") if ref in by_id]
    waiting = [*reversed(elsewhere), *reversed(_children(scope))]
    seen: set[int] = set()
    found = 0
    while waiting and found < _MAX_PROPERTIES:
        tag = waiting.pop()
        if id(tag) in seen or tag is scope:
            continue
        seen.add(id(tag))
        inner = tag.has_attr("itemscope")
        names = words(tag, "itemprop")
        # Reviews are read from their own scope, or they would be there twice.
        if names and not (inner and any(kind.endswith("Review") for kind in words(tag, "itemtype"))):
            if next(left, None) is None:
                break
            found += 1
            value = _item(tag, by_id, depth - 1, left) if inner and depth else value_of(tag, names)
            for name in names:
                item.setdefault(name, []).append(value)
        if not inner:
            waiting += reversed(_children(tag))
    return item


def _children(tag: Tag) -> list[Tag]:
    return tag.find_all(True, recursive=False)


def words(tag: Tag, attribute: str) -> list[str]:
    """The words of an attribute, none when the element lacks it."""
    return str(tag.get(attribute) or "").split()


def value_of(tag: Tag, names: list[str]) -> str:
    """The value that an element gives to properties of these names."""
    if tag.has_attr("content"):
        return clean(str(tag["content"]))
    attribute = _VALUE_IN.get(tag.name, "")
    if attribute and tag.has_attr(attribute) and not (attribute == "href" and _NAMING & set(names)):
        return clean(str(tag[attribute]))
    return _text(tag)


def _text(tag: Tag) -> str:
    """What a person reads in an element, with an end to it: properties nested in each other cost a page's size each."""
    from bs4.element import NavigableString, Tag

    parts: list[str] = []
    for part in islice(tag.descendants, _MAX_NODES):
        if isinstance(part, Tag):
            parts.append("\n" if part.name in _LINES else "")
        elif type(part) is NavigableString:  # not its kinds: comments, scripts
            parts.append(part[:_MAX_TEXT])
    return clean("".join(parts))[:_MAX_TEXT]
