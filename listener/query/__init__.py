"""The brand query language: AND, OR, NOT, -word, "a phrase", prefix*, NEAR/5, title:word, parentheses; words side by
side mean AND. docs/queries.md has it all, for the people who write queries.

Matching ignores case and accents, keeps to whole words (writing without spaces, such as Chinese or Thai, is matched
by substring), and finds a word in #word, @word and word's. No regular expression is made from what a user writes,
and the time taken grows with the length of the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from listener.errors import QueryError
from listener.query.grammar import MAX_DEPTH, QUOTES, Parser
from listener.query.near import Placed
from listener.query.nodes import Node, Not, asks, operands
from listener.query.terms import Text
from listener.records import Post

__all__ = ["MAX_DEPTH", "Query", "Text", "brand_query", "compile_query", "matcher"]


@dataclass(frozen=True, slots=True)
class Query:
    """A compiled query and the text it was written as. `negated` marks a part that excludes: it finds what it bars."""

    text: str
    node: Node | Placed
    negated: bool = False

    def match(self, text: str) -> tuple[str, ...]:
        """`found` in a bare text, of which nothing else is known."""
        return self.found(Text(Post("", "", text)))

    def found(self, post: Text) -> tuple[str, ...]:
        """What makes the query hold, each term once, in the post's own (NFC) spelling; empty when it does not hold."""
        return tuple(dict.fromkeys(self.node.match(post) or ()))

    @property
    def parts(self) -> tuple[Query, ...]:
        """The operands of the outermost OR, AND or NEAR, each a query by itself, for a backtest; else the query alone.

        Of `a NEAR b NOT NEAR c` they are a, the a's near a b, and (barred) the a's near a c.
        """
        return tuple(
            Query(self.text[start:end], node.node, negated=True)
            if isinstance(node, Not)
            else Query(self.text[start:end], node)
            for node, (start, end) in operands(self.node)
        ) or (self,)


def compile_query(text: str, authors: str = "plain") -> Query:
    """The query written in `text`. `authors` is how their names are kept: a query cannot ask for names that are not.

    Raises QueryError with the position when it is empty, unbalanced, has an operator without its operand or a field
    without its value, or would match any text that merely lacks a word (only NOT).
    """
    node = Parser(text, authors).query()
    if not asks(node):
        raise QueryError("NOT alone would match every other text; add a word that must be there", text, 0)
    return Query(text, node)


def brand_query(name: str, aliases: Sequence[str], query: str, authors: str = "plain") -> Query:
    """The query of a brand: the explicit one, else its name or any alias as a phrase. Raises QueryError."""
    if query.strip():
        return compile_query(query, authors)
    phrases = [spelling.translate({ord(quote): " " for quote in QUOTES}) for spelling in (name, *aliases)]
    return compile_query(" OR ".join(f'"{phrase}"' for phrase in phrases if phrase.strip()))


def matcher(
    brands: Iterable[tuple[str, Sequence[str], str]], authors: str = "plain"
) -> Callable[[Post], dict[str, str]]:
    """A function post -> {brand: the terms that name it, comma-separated} for (name, aliases, query).

    Raises QueryError for a query that cannot be read.
    """
    queries = [(name, brand_query(name, aliases, query, authors)) for name, aliases, query in brands]

    def match(post: Post) -> dict[str, str]:
        read = Text(post)
        return {name: ", ".join(terms) for name, query in queries if (terms := query.found(read))}

    return match
