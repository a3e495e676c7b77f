"""What a query is made of beside terms and NEAR: AND, OR, NOT, and what is asked of a post other than its words."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from typing import NamedTuple, TypeGuard

from listener import language
from listener.errors import QueryError
from listener.query.near import Near, Placed
from listener.query.terms import Found, Span, Term, Text, fold
from listener.records import Post
from listener.text import model_input


class Not(NamedTuple):
    node: Node

    def match(self, text: Text) -> Found | None:
        return () if self.node.match(text) is None else None


class And(NamedTuple):
    nodes: tuple[Node, ...]
    places: tuple[Span, ...]  # of each node in the query

    def match(self, text: Text) -> Found | None:
        found: list[str] = []
        for node in self.nodes:
            if (terms := node.match(text)) is None:
                return None
            found += terms
        return tuple(found)


class Or(NamedTuple):
    nodes: tuple[Node, ...]
    places: tuple[Span, ...]

    def match(self, text: Text) -> Found | None:
        found = [terms for node in self.nodes if (terms := node.match(text)) is not None]
        return tuple(chain.from_iterable(found)) if found else None

    def occurrences(self, text: Text) -> list[Span]:
        return sorted({place for node in self.nodes if has_place(node) for place in node.occurrences(text)})


class Titled(NamedTuple):
    """What has to be true of the title alone."""

    node: Node

    def match(self, text: Text) -> Found | None:
        return self.node.match(text.title)

    def occurrences(self, text: Text) -> list[Span]:
        return self.node.occurrences(text.title) if has_place(self.node) else []


class About(NamedTuple):
    """What has to be known of a post: its source, its language or its author."""

    field: str
    value: str  # folded
    prefix: bool  # it may go on

    def match(self, text: Text) -> Found | None:
        for known in _known(self.field, text.post):
            if self._is(fold(known)):
                return (f"{self.field}:{known}",)
        return None

    def _is(self, known: str) -> bool:
        if self.field == "lang":
            known = known.replace("_", "-")
        elif self.field == "author":
            known = known.removeprefix("@")
        if self.prefix:
            return known.startswith(self.value)
        return known == self.value or (self.field == "lang" and known.startswith(f"{self.value}-"))


Node = Term | Titled | About | Near | Not | And | Or


def asks(node: Node) -> bool:
    """Whether something must be there for this to be true; a lone NOT asks for nothing."""
    if isinstance(node, And):
        return any(map(asks, node.nodes))
    if isinstance(node, Or):
        return all(map(asks, node.nodes))
    return asks(node.node) if isinstance(node, Titled) else not isinstance(node, Not)


def has_place(node: Node | Placed) -> TypeGuard[Placed]:
    """Whether what this finds stands somewhere in the text, so that something can be near it."""
    if isinstance(node, Or):
        return all(map(has_place, node.nodes))
    return has_place(node.node) if isinstance(node, Titled) else isinstance(node, Term | Near)


def operands(node: Node | Placed) -> Iterator[tuple[Node | Placed, Span]]:
    """What an OR, AND or NEAR joins, and where in the query it stands; nothing of any other node."""
    if isinstance(node, And | Or):
        yield from zip(node.nodes, node.places, strict=True)
    elif isinstance(node, Near):
        first, *places = node.places
        yield node.first, first
        for condition, place in zip(node.conditions, places, strict=True):
            found = Near(node.first, (condition._replace(absent=False),), (first, place))
            yield (Not(found) if condition.absent else found), place


def about(field: str, query: str, start: int, end: int) -> About:
    """What query[start:end] asks of a field. Raises QueryError when that is nothing, or no language."""
    written = fold(query[start:end])
    value = written.rstrip("*").rstrip()
    if field == "lang":
        value = value.replace("_", "-")
        base = value.partition("-")[0]
        if not written.endswith("*") and not (base.isascii() and base.isalpha() and len(base) in (2, 3)):
            raise QueryError("lang: takes the code of a language, as in lang:de or lang:pt-BR", query, start)
    elif field == "author":
        value = value.removeprefix("@")
    if not value:
        raise QueryError(f"{field}: needs a value", query, start)
    return About(field, value, written.endswith("*"))


def _known(field: str, post: Post) -> tuple[str, ...]:
    if field == "lang":
        return _languages(post.title, post.text, post.lang)
    return (post.source if field == "source" else post.author,)


@lru_cache(maxsize=16)  # several queries are put to one post
def _languages(title: str, text: str, said: str) -> tuple[str, ...]:
    """The language that is told from the words, as everywhere here; before it what the source says, if that agrees."""
    told = language.detect(model_input(title, text), said)
    agrees = not told or language.base(said) == told
    return tuple(tag for tag in (said if agrees else "", told) if tag)
