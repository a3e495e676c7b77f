"""A written query as a tree: tokens, and a parser by recursive descent that says where a query went wrong."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from listener.errors import QueryError
from listener.query.near import Condition, Near, Placed
from listener.query.nodes import And, Node, Not, Or, Titled, about, has_place
from listener.query.terms import Span, read_term

MAX_DEPTH = 50  # nested parentheses; more is a slip of the keyboard, and would exhaust the stack
FIELDS = ("title", "source", "lang", "author")
QUOTES = {'"': '"', "“": "”", "”": "”", "„": "“”", "«": "»", "＂": "＂"}

_WORDS = 5  # between the two of a NEAR that gives no number


class _Token(NamedTuple):
    kind: str  # "(", ")", "AND", "OR", "NOT", "NEAR", "FIELD", "TERM"
    start: int
    end: int
    inner: tuple[int, int] = (0, 0)  # of a term, without its quotation marks
    words: int = 0  # of a NEAR


def _tokens(text: str) -> Iterator[_Token]:
    at, value_at = 0, -1
    while at < len(text):
        character = text[at]
        if character.isspace():
            at += 1
            continue
        if character in "()":
            token = _Token(character, at, at + 1)
        elif character in QUOTES:
            token = _quoted(text, at)
        elif character == "-" and at + 1 < len(text) and not text[at + 1].isspace():
            token = _Token("NOT", at, at + 1)
        else:
            token = _word(text, at, is_value=at == value_at)
        yield token
        at = token.end
        value_at = at if token.kind == "FIELD" else -1


def _quoted(text: str, at: int) -> _Token:
    closing = QUOTES[text[at]] + '"'
    end = next((i for i in range(at + 1, len(text)) if text[i] in closing), -1)
    if end < 0:
        raise QueryError("this quotation mark is not closed", text, at)
    return _Token("TERM", at, end + 1, (at + 1, end))


def _word(text: str, at: int, *, is_value: bool) -> _Token:
    end = at
    while end < len(text) and not (text[end].isspace() or text[end] in "()" or text[end] in QUOTES):
        end += 1
    word = text[at:end]
    head, colon, _ = word.partition(":")
    if not is_value:  # of a field, where a word is a word whatever it looks like
        if word in ("AND", "OR", "NOT"):
            return _Token(word, at, end)
        if word == "NEAR" or word.startswith("NEAR/"):
            return _Token("NEAR", at, end, words=_number(text, at, word))
        if colon and head.isalpha():
            return _field(text, at, head)
    if (star := word.find("*")) >= 0 and star != len(word) - 1:
        raise QueryError("a * stands only at the end of a word; put the term in quotes", text, at + star)
    return _Token("TERM", at, end, (at, end))


def _number(text: str, at: int, word: str) -> int:
    number = word[5:]
    if word == "NEAR":
        return _WORDS
    if number.isascii() and number.isdecimal() and len(number) < 4 and int(number):
        return int(number)
    place = at + (5 if number else 0)
    raise QueryError(
        "NEAR/ takes the most words between the two, from 1 to 999; words side by side are a phrase in quotes",
        text, place,
    )  # fmt: skip


def _field(text: str, at: int, name: str) -> _Token:
    if name.lower() not in FIELDS:
        near = difflib.get_close_matches(name.lower(), FIELDS, n=1)
        meant = f"did you mean {near[0]}:" if near else f"there are {', '.join(f'{field}:' for field in FIELDS)}"
        raise QueryError(f"there is no field {name}: ({meant}); a word with a colon in it goes in quotes", text, at)
    return _Token("FIELD", at, at + len(name) + 1)


class Parser:
    """Reads one query: either (OR) > both (AND, side by side) > single (NOT) > near > operand (a term, a field, or
    parentheses). Every method raises QueryError.
    """

    def __init__(self, text: str, authors: str) -> None:
        self.text = text
        self.authors = authors
        self.tokens = list(_tokens(text))
        self.at = 0
        self.field = ""  # whose value is being read

    def query(self) -> Node:
        if not self.tokens:
            raise QueryError("the query is empty; write at least one word", self.text, 0)
        node = self.either(0)
        if self.at < len(self.tokens):  # only a closing parenthesis stops `either` early
            raise QueryError("this parenthesis closes nothing", self.text, self.tokens[self.at].start)
        return node

    def kind(self, ahead: int = 0) -> str:
        return self.tokens[self.at + ahead].kind if self.at + ahead < len(self.tokens) else ""

    def either(self, depth: int) -> Node:
        nodes, places = self.several(self.both, depth, lambda: self.kind() == "OR")
        return nodes[0] if len(nodes) == 1 else Or(tuple(nodes), tuple(places))

    def both(self, depth: int) -> Node:
        nodes, places = self.several(self.single, depth, lambda: self.kind() not in ("OR", ")", ""))
        return nodes[0] if len(nodes) == 1 else And(tuple(nodes), tuple(places))

    def several(
        self, read: Callable[[int], Node], depth: int, goes_on: Callable[[], bool]
    ) -> tuple[list[Node], list[Span]]:
        nodes, places = [], []
        while True:
            start = self.tokens[self.at].start if self.kind() else len(self.text)
            nodes.append(read(depth))
            places.append((start, self.tokens[self.at - 1].end))
            if not goes_on():
                return nodes, places
            self.at += self.kind() in ("OR", "AND")

    def single(self, depth: int) -> Node:
        negations = 0
        while self.kind() == "NOT":
            negations += 1
            self.at += 1
        node = self.near(depth)
        if negations % 2 == 0:
            return node
        return node.node if isinstance(node, Not) else Not(node)

    def near(self, depth: int) -> Node:
        """An operand, and what it is to stand near or not."""
        start = self.at
        node = self.operand(depth)
        conditions: list[Condition] = []
        places = [self.place(start)]
        while self.kind() == "NEAR" or (self.kind(), self.kind(1)) == ("NOT", "NEAR"):
            begin, absent = self.at, self.kind() == "NOT"
            self.at += 1 + absent
            words, other = self.tokens[self.at - 1].words, self.at
            conditions.append(Condition(self.placed(self.operand(depth), other), words, absent, over=absent))
            places.append(self.place(begin))
        return Near(self.placed(node, start), tuple(conditions), tuple(places)) if conditions else node

    def placed(self, node: Node, start: int) -> Placed:
        """The node that was read from token `start` on, if something can be near it."""
        if has_place(node):
            return node
        raise QueryError(
            "NEAR joins words, phrases and (a OR b); what is joined by AND, barred by NOT or no word has no place",
            self.text, self.tokens[start].start,
        )  # fmt: skip

    def place(self, start: int) -> Span:
        """Where what was read since token `start` stands in the query."""
        return self.tokens[start].start, self.tokens[self.at - 1].end

    def operand(self, depth: int) -> Node:
        if not self.kind():
            before = self.tokens[self.at - 1]
            said = f"{before.kind} needs a term after it" if before.kind != "(" else "this parenthesis is not closed"
            raise QueryError(said, self.text, before.start)
        token = self.tokens[self.at]
        if token.kind == "FIELD":
            return self.asked_of(token, depth)
        if token.kind not in ("TERM", "("):
            said = f"{token.kind} needs a term before it" if token.kind != ")" else "a term is missing before this"
            if token.kind == "NOT":  # elsewhere `single` takes it
                said = "NEAR takes no NOT after it; what must not be near is written a NOT NEAR b"
            raise QueryError(said, self.text, token.start)
        self.at += 1
        if token.kind == "TERM":
            if self.field in ("", "title"):
                return read_term(self.text, *token.inner)
            return about(self.field, self.text, *token.inner)
        if depth >= MAX_DEPTH:
            raise QueryError(f"parentheses go deeper than {MAX_DEPTH}", self.text, token.start)
        node = self.either(depth + 1)
        if self.kind() != ")":
            raise QueryError("this parenthesis is not closed", self.text, token.start)
        self.at += 1
        return node

    def asked_of(self, token: _Token, depth: int) -> Node:
        """A field with its value: a term, or parentheses whose terms are all asked of it."""
        name = self.text[token.start : token.end - 1].lower()
        if self.field:
            raise QueryError(f"{name}: cannot stand in the parentheses of {self.field}:", self.text, token.start)
        if name == "author" and self.authors != "plain":
            raise QueryError(
                f'author: finds nothing with [privacy] authors = "{self.authors}", because names are not kept; '
                'set that to "plain", or leave author: out',
                self.text, token.start,
            )  # fmt: skip
        self.at += 1
        if self.kind() not in ("TERM", "(") or self.tokens[self.at].start != token.end:
            raise QueryError(f"{name}: needs a value right after the colon", self.text, token.start)
        self.field = name
        node = self.operand(depth)
        self.field = ""
        return Titled(node) if name == "title" else node
