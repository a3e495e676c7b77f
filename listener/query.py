"""The brand query language: AND, OR, NOT, -word, "a phrase", prefix*, parentheses; words side by side mean AND.

Matching ignores case and accents, keeps to whole words (writing without spaces, such as Chinese or Thai, is matched
by substring), and finds a word in #word, @word and word's. No regular expression is made from what a user writes,
and the time taken grows with the length of the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from listener.errors import QueryError
from listener.terms import Spans, Term, Text, read_term

MAX_DEPTH = 50  # nested parentheses; more is a slip of the keyboard, and would exhaust the stack

_QUOTES = {'"': '"', "“": "”", "”": "”", "„": "“”", "«": "»", "＂": "＂"}
_BETWEEN = "\n|\n"  # no phrase runs from the title into the text


class _Not(NamedTuple):
    node: _Node

    def match(self, text: Text) -> Spans | None:
        return () if self.node.match(text) is None else None


class _And(NamedTuple):
    nodes: tuple[_Node, ...]
    places: Spans  # of each node in the query

    def match(self, text: Text) -> Spans | None:
        spans: list[tuple[int, int]] = []
        for node in self.nodes:
            if (found := node.match(text)) is None:
                return None
            spans += found
        return tuple(spans)


class _Or(NamedTuple):
    nodes: tuple[_Node, ...]
    places: Spans

    def match(self, text: Text) -> Spans | None:
        found = [spans for node in self.nodes if (spans := node.match(text)) is not None]
        return tuple(span for spans in found for span in spans) if found else None


_Node = Term | _Not | _And | _Or


def _asks(node: _Node) -> bool:
    """Whether a text must hold some term for this to be true; a lone NOT asks for none."""
    if isinstance(node, _And):
        return any(map(_asks, node.nodes))
    return all(map(_asks, node.nodes)) if isinstance(node, _Or) else isinstance(node, Term)


@dataclass(frozen=True, slots=True)
class Query:
    """A compiled query and the text it was written as. `negated` marks a part that excludes: it finds what it bars."""

    text: str
    node: _Node
    negated: bool = False

    def match(self, text: str) -> tuple[str, ...]:
        """The terms found, each once, in the text's own (NFC) spelling; an empty tuple when the query does not hold."""
        return self._found_in(Text(text))

    def _found_in(self, text: Text) -> tuple[str, ...]:
        spans = self.node.match(text) or ()
        return tuple(dict.fromkeys(text.spelling(*span) for span in spans))

    @property
    def parts(self) -> tuple[Query, ...]:
        """The operands of the outermost OR or AND, each a query by itself, for a backtest; else the query alone."""
        if not isinstance(self.node, _And | _Or):
            return (self,)
        return tuple(
            Query(self.text[start:end], node.node, negated=True)
            if isinstance(node, _Not)
            else Query(self.text[start:end], node)
            for node, (start, end) in zip(self.node.nodes, self.node.places, strict=True)
        )


def compile_query(text: str) -> Query:
    """The query written in `text`.

    Raises QueryError with the position when it is empty, unbalanced, has an operator without its operand, or
    would match any text that merely lacks a word (only NOT).
    """
    tokens = _tokens(text)
    if not tokens:
        raise QueryError("the query is empty; write at least one word", text, 0)
    parser = _Parser(text, tokens)
    node = parser.either(0)
    if parser.at < len(tokens):  # only a closing parenthesis stops `either` early
        raise QueryError("this parenthesis closes nothing", text, tokens[parser.at].start)
    if not _asks(node):
        raise QueryError("NOT alone would match every other text; add a word that must be there", text, 0)
    return Query(text, node)


def brand_query(name: str, aliases: Sequence[str], query: str) -> Query:
    """The query of a brand: the explicit one, else its name or any alias as a phrase. Raises QueryError."""
    if query.strip():
        return compile_query(query)
    phrases = [spelling.translate({ord(quote): " " for quote in _QUOTES}) for spelling in (name, *aliases)]
    return compile_query(" OR ".join(f'"{phrase}"' for phrase in phrases if phrase.strip()))


def matcher(brands: Iterable[tuple[str, str, Sequence[str], str]]) -> Callable[[str, str], dict[str, str]]:
    """A function (title, text) -> {brand: the terms that name it, comma-separated} for (name, role, aliases, query).

    The role does not matter for matching. Raises QueryError for a query that cannot be read.
    """
    queries = [(name, brand_query(name, aliases, query)) for name, _role, aliases, query in brands]

    def match(title: str, text: str) -> dict[str, str]:
        read = Text(f"{title}{_BETWEEN}{text}" if title else text)
        return {name: ", ".join(terms) for name, query in queries if (terms := query._found_in(read))}

    return match


class _Token(NamedTuple):
    kind: str  # "(", ")", "AND", "OR", "NOT", "TERM"
    start: int
    end: int
    node: Term | None = None


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while at < len(text):
        character = text[at]
        if character.isspace():
            at += 1
        elif character in "()":
            tokens.append(_Token(character, at, at + 1))
            at += 1
        elif character in _QUOTES:
            end = next((i for i in range(at + 1, len(text)) if text[i] in _QUOTES[character] + '"'), -1)
            if end < 0:
                raise QueryError("this quotation mark is not closed", text, at)
            tokens.append(_Token("TERM", at, end + 1, read_term(text, at + 1, end)))
            at = end + 1
        elif character == "-" and at + 1 < len(text) and not text[at + 1].isspace():
            tokens.append(_Token("NOT", at, at + 1))
            at += 1
        else:
            end = at
            while end < len(text) and not (text[end].isspace() or text[end] in "()" or text[end] in _QUOTES):
                end += 1
            word = text[at:end]
            if word in ("AND", "OR", "NOT"):
                tokens.append(_Token(word, at, end))
            else:
                if (star := word.find("*")) >= 0 and star != len(word) - 1:
                    raise QueryError("a * stands only at the end of a word; put the term in quotes", text, at + star)
                tokens.append(_Token("TERM", at, end, read_term(text, at, end)))
            at = end
    return tokens


class _Parser:
    """Recursive descent over the tokens: either (OR) > both (AND, side by side) > single (NOT, parentheses, term)."""

    def __init__(self, text: str, tokens: list[_Token]) -> None:
        self.text = text
        self.tokens = tokens
        self.at = 0

    def kind(self) -> str:
        return self.tokens[self.at].kind if self.at < len(self.tokens) else ""

    def either(self, depth: int) -> _Node:
        nodes, places = [], []
        while True:
            start = self.tokens[self.at].start if self.kind() else len(self.text)
            nodes.append(self.both(depth))
            places.append((start, self.tokens[self.at - 1].end))
            if self.kind() != "OR":
                return nodes[0] if len(nodes) == 1 else _Or(tuple(nodes), tuple(places))
            self.at += 1

    def both(self, depth: int) -> _Node:
        nodes, places = [], []
        while True:
            start = self.tokens[self.at].start if self.kind() else len(self.text)
            nodes.append(self.single(depth))
            places.append((start, self.tokens[self.at - 1].end))
            if self.kind() == "AND":
                self.at += 1
            elif self.kind() in ("OR", ")", ""):
                return nodes[0] if len(nodes) == 1 else _And(tuple(nodes), tuple(places))

    def single(self, depth: int) -> _Node:
        negations = 0
        while self.kind() == "NOT":
            negations += 1
            self.at += 1
        node = self.operand(depth)
        if negations % 2 == 0:
            return node
        return node.node if isinstance(node, _Not) else _Not(node)

    def operand(self, depth: int) -> _Node:
        if not self.kind():
            before = self.tokens[self.at - 1]
            said = f"{before.kind} needs a term after it" if before.kind != "(" else "this parenthesis is not closed"
            raise QueryError(said, self.text, before.start)
        token = self.tokens[self.at]
        if token.node is None and token.kind != "(":
            said = f"{token.kind} needs a term before it" if token.kind != ")" else "a term is missing before this"
            raise QueryError(said, self.text, token.start)
        self.at += 1
        if token.node is not None:
            return token.node
        if depth >= MAX_DEPTH:
            raise QueryError(f"parentheses go deeper than {MAX_DEPTH}", self.text, token.start)
        node = self.either(depth + 1)
        if self.kind() != ")":
            raise QueryError("this parenthesis is not closed", self.text, token.start)
        self.at += 1
        return node
