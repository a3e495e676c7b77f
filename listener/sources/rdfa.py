"""RDFa Lite as JSON-LD-like objects, so that one reader serves all three kinds of markup."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from listener.sources.microdata import value_of, words

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

_ATTRIBUTES = frozenset(("vocab", "prefix", "typeof", "property", "resource", "about"))
_MAX_DEPTH = 6  # of items within items: a review holds a rating, a rating holds an author
_MAX_PROPERTIES = 60  # of one item; a review has ten
_MAX_PREFIXES = 20  # that mean schema.org; a page has one
_SCHEMA_ORG = re.compile(r"https?://(?:www\.)?schema\.org/?#?(\w+)", re.IGNORECASE)  # sites forget the last slash
_PREFIX = re.compile(r"([\w.-]+):\s+(\S+)")


@dataclass
class _Item:
    ident: str = ""
    types: list[str] = field(default_factory=list)
    # Names of a property, the element that tells its value, and what that value is where it is no text: an item
    # inside, or the id of one that stands elsewhere.
    held: list[tuple[list[str], Tag, _Item | str]] = field(default_factory=list)


class _Scope(NamedTuple):
    """What an element hands down to those inside: the meaning of words, and the item that properties belong to."""

    vocab: str
    prefixes: Mapping[str, str]
    item: _Item | None = None


# "schema" is in the standard's initial context. A word without a vocabulary means nothing by the standard; on pages
# that a person lists for their reviews it is schema.org's.
_TOP = _Scope("https://schema.org/", {"schema": "http://schema.org/"})


def read_items(
    soup: BeautifulSoup, most: int, kind: str = "Review"
) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """The first `most` items of a type that ends in `kind`, and by id the items that they refer to.

    An item is {"@type": [...], property: [values]}; a value is text, such an object, or {"@id"}.
    """
    if soup.find(typeof=True) is None:
        return [], {}
    items = list(_items(soup))
    named: dict[str, _Item] = {}
    for item in items:
        named.setdefault(item.ident, item)
    referred: set[str] = set()
    wanted = [item for item in items if _is(kind, item)][:most]
    shown = [_shown(item, kind, named, _MAX_DEPTH, referred) for item in wanted]
    return shown, {ref: _shown(named[ref], kind, named, _MAX_DEPTH, set()) for ref in referred}


def _is(kind: str, item: _Item) -> bool:
    return any(one.endswith(kind) for one in item.types)


def _items(soup: BeautifulSoup) -> Iterator[_Item]:
    """Every item of the page in document order. What is told of an id in several places becomes one item."""
    scopes: dict[int, _Scope] = {}
    named: dict[str, _Item] = {}
    for tag in soup.find_all(True):
        outer = scopes.get(id(tag.parent), _TOP)
        if _ATTRIBUTES.isdisjoint(tag.attrs) and not any(name.startswith("xmlns:") for name in tag.attrs):
            scopes[id(tag)] = outer
            continue
        scope = _meaning(tag, outer)
        names, kinds = _names(tag, "property", scope), _names(tag, "typeof", scope)
        typed, about = tag.has_attr("typeof"), str(tag.get("about") or "")
        # Not `href`: in <a href="/users/7"><b property="author"> the author of the review is meant, whatever the
        # standard says.
        ident = about or (str(tag.get("resource") or "") if typed or not names else "")
        item = None
        if typed or ident:
            item = named.get(ident)
            if item is None or (kinds and item.types):  # two reviews of one id are two reviews
                item = _Item(ident)
                yield item
            item.types += kinds
            if ident:
                named.setdefault(ident, item)
        holder = item if about else outer.item
        if names and holder and len(holder.held) < _MAX_PROPERTIES:
            holder.held.append((names, tag, _object(tag, None if about or not typed else item)))
        scopes[id(tag)] = scope._replace(item=item or outer.item)


def _meaning(tag: Tag, scope: _Scope) -> _Scope:
    """The scope with the vocabulary and the prefixes that an element declares."""
    vocab = str(tag.get("vocab") or "") or scope.vocab
    own = {name[6:]: str(iri) for name, iri in tag.attrs.items() if name.startswith("xmlns:")}  # as RDFa 1.0 has them
    own |= dict(_PREFIX.findall(str(tag.get("prefix") or "")))
    own = {name: iri for name, iri in own.items() if "schema.org" in iri or name in scope.prefixes}
    fits = own and len(scope.prefixes) < _MAX_PREFIXES
    return scope._replace(vocab=vocab, prefixes={**scope.prefixes, **own} if fits else scope.prefixes)


def _names(tag: Tag, attribute: str, scope: _Scope) -> list[str]:
    """The words of an attribute that are schema.org's, without what tells so."""
    found = []
    for word in words(tag, attribute):
        prefix, colon, rest = word.partition(":")
        if not colon:
            word = scope.vocab + word
        elif not rest.startswith("//"):  # else it is an address in full
            word = scope.prefixes.get(prefix, "") + rest
        if name := _SCHEMA_ORG.fullmatch(word):
            found.append(name.group(1))
    return found


def _object(tag: Tag, item: _Item | None) -> _Item | str:
    if tag.has_attr("content"):
        return ""
    if item:
        return item.ident or item
    return str(tag.get("resource") or (tag.get("href") if tag.name == "link" else "") or "")


def _shown(item: _Item, kind: str, named: Mapping[str, _Item], depth: int, referred: set[str]) -> dict[str, Any]:
    shown: dict[str, Any] = {"@type": item.types}
    for names, tag, value in item.held:
        read: Any
        if isinstance(value, _Item) and depth:
            if _is(kind, value):  # it is shown by itself
                continue
            read = _shown(value, kind, named, depth - 1, referred)
        elif isinstance(value, str) and value and value in named and value != item.ident:
            referred.add(value)
            read = {"@id": value}
        else:
            read = value_of(tag, names)
        for name in names:
            shown.setdefault(name, []).append(read)
    return shown
