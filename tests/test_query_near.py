"""NEAR and NOT NEAR, and fields: what they find, what they refuse, and that they agree with a simpler reading."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listener.errors import QueryError
from listener.query import Text, compile_query
from listener.records import Post

NEAR = [
    ("acme NEAR/2 hotel", "an Acme in that hotel", ("Acme", "hotel")),
    ("acme NEAR/2 hotel", "hotel of an Acme", ("Acme", "hotel")),
    ("acme NEAR/1 hotel", "an Acme in that hotel", ()),
    ("acme NEAR/2 hotel", "hotel 1 2 3 acme", ()),
    ("acme NEAR/3 hotel", "hotel 1 2 3 acme", ("acme", "hotel")),
    ('"H & M" NEAR/1 shop', "the shop of h and m", ("h and m", "shop")),
    ("acme NEAR hotel", "acme 1 2 3 4 5 hotel", ("acme", "hotel")),
    ("acme NEAR hotel", "acme 1 2 3 4 5 6 hotel", ()),
    ("acme NEAR/2 hotel", "acme 1 2 3 hotel, but acme; hotel", ("acme", "hotel")),
    ('"harbour pine" NEAR/1 stay*', "we stayed at Harbour Pine", ("Harbour Pine", "stayed")),
    ("(acme OR akme) NEAR/2 (hotel OR room)", "the akme room", ("akme", "room")),
    ("acme NEAR/3 hotel -lamp", "acme hotel lamp", ()),
    ("acme NOT acme* NEAR/3 hotel", "acme and no more", ("acme",)),
    ("acme NOT acme* NEAR/3 hotel", "acme and no hotel", ()),
    ("lamp OR acme NEAR/3 hotel", "acme hotel", ("acme", "hotel")),
    ("acme NEAR/3 hotel NEAR/3 bar", "hotel acme bar", ("acme", "hotel", "bar")),
    ("acme NEAR/3 hotel NEAR/3 bar", "hotel acme 1 2 3 4 5 acme bar", ()),
    ("bar NEAR/3 (acme NEAR/3 hotel)", "hotel acme bar", ("bar", "acme")),
    ("acme NEAR/3 acme", "acme alone", ()),
    ("acme NEAR/3 acme", "acme, ACME", ("acme", "ACME")),
    ('acme NEAR/3 "acme hotel"', "acme hotel", ()),
    ("東京 NEAR/1 塔", "東京の塔", ("東京", "塔")),
    ("東京 NEAR/1 塔", "東京の高塔", ()),
    ("café NEAR/1 acme", "CAFE (at) Acmé", ("CAFE", "Acmé")),
    ('c++ NEAR/2 ".net"', "C++ and then .NET", ("C++", ".NET")),
    ("near NEAR/1 far", "near and far", ("near", "far")),
]
IGNORED = [
    ("delta NOT NEAR/3 river", "the Delta of the river", ()),
    ("delta NOT NEAR/3 river", "fly Delta", ("Delta",)),
    ("delta NOT NEAR/3 river", "a river and its delta; a long flight home with DELTA", ("DELTA",)),
    ('delta NOT NEAR/1 "delta airlines"', "Delta Airlines", ()),
    ('delta NOT NEAR/1 "delta airlines"', "Delta Airlines flew us to the delta", ("delta",)),
    ('"delta airlines" NOT NEAR/1 delta*', "Delta Airlines", ()),
    ("delta NOT NEAR/2 (river OR wing)", "delta wing", ()),
    ('delta NOT NEAR/1 ("over the wide blue delta" OR the)', "over the wide blue delta", ()),
    ("delta -NEAR/2 river", "delta river", ()),
    ("delta NOT NEAR/2 river NOT NEAR/2 wing", "river delta 1 2 delta wing 1 2 3 4 delta", ("delta",)),
    ("delta NEAR/2 flight NOT NEAR/2 wing", "delta flight", ("delta", "flight")),
    ("delta NEAR/2 flight NOT NEAR/2 wing", "wing delta flight", ()),
    ("東京 NOT NEAR/2 塔", "東京の塔", ()),
]
FIELDS = [
    ("title:lumen", {"title": "Lumen opens"}, ("Lumen",)),
    ("title:lumen", {"text": "Lumen opens"}, ()),
    ('title:"lumen sta*" good', {"title": "Lumen Stays", "text": "Good."}, ("Lumen Stays", "Good")),
    ("title:(lumen -lamp) lamp", {"title": "Lumen", "text": "a lamp"}, ("Lumen", "lamp")),
    ("title:(lumen NEAR/1 stays)", {"title": "Lumen: stays"}, ("Lumen", "stays")),
    ("title:lumen NEAR/2 stays", {"title": "Lumen", "text": "stays"}, ()),
    ("stays NOT NEAR/9 title:lumen", {"title": "Lumen", "text": "stays"}, ("stays",)),
    ("(title:lumen OR stays) NEAR/2 room", {"title": "Lumen", "text": "stays in a room"}, ("stays", "room")),
    ("lumen NEAR/9 stays", {"title": "Lumen", "text": "stays"}, ()),
    ("-title:sold lumen", {"title": "Sold", "text": "lumen"}, ()),
    ("source:forum", {"source": "Forum"}, ("source:Forum",)),
    ("source:forum", {"source": "forum two"}, ()),
    ('source:"forum two"', {"source": "Forum  two"}, ("source:Forum  two",)),
    ("source:forum* lumen", {"source": "forum-de", "text": "lumen"}, ("source:forum-de", "lumen")),
    ("lumen -source:(shop OR forum)", {"source": "forum", "text": "lumen"}, ()),
    ("source:rss:news", {"source": "rss:news"}, ("source:rss:news",)),
    ("SOURCE:forum", {"source": "forum"}, ("source:forum",)),
    ("author:@Ann", {"author": "ann"}, ("author:ann",)),
    ("author:ann", {"author": "@Ann"}, ("author:@Ann",)),
    ("author:ann", {"author": "annika"}, ()),
    ("author:ann", {}, ()),
    ("lang:de", {"lang": "de"}, ("lang:de",)),
    ("lang:de", {"lang": "de_AT"}, ("lang:de_AT",)),
    ("lang:de-AT", {"lang": "de-at"}, ("lang:de-at",)),
    ("lang:de-AT", {"lang": "de-CH"}, ()),
    ("lang:(en OR pt*)", {"lang": "pt-BR"}, ("lang:pt-BR",)),
    ("lang:de", {}, ()),
    ("lang:nb", {"lang": "nb-NO"}, ("lang:nb-NO",)),
    ("lang:no", {"lang": "nb-NO", "text": "ok"}, ("lang:no",)),
    ("lang:ja", {"text": "このホテルはとても静かでした"}, ("lang:ja",)),
    ("lang:en", {"text": "このホテルはとても静かでした", "lang": "en"}, ()),
    ("title:AND", {"title": "this and that"}, ("and",)),
    ("10:30", {"text": "at 10:30"}, ("10:30",)),
    ('"title:lumen"', {"text": "the title:lumen"}, ("title:lumen",)),
]
WRONG = [
    ("NEAR b", 0, "before"), ("a NEAR", 2, "after"), ("a NEAR/3", 2, "after"), ("a NOT NEAR", 6, "after"),
    ("NOT NEAR b", 4, "before"), ("a OR NEAR b", 5, "before"), ("a NEAR OR b", 7, "before"),
    ("(a NEAR) b", 7, "missing"), ("a NEAR NEAR b", 7, "before"), ("a NEAR NOT b", 7, "NOT NEAR"),
    ("a AND NOT NEAR b", 10, "before"),
    ("a NEAR/0 b", 7, "from 1 to 999"), ("a NEAR/abc b", 7, "from 1 to 999"), ("a NEAR/ b", 2, "from 1 to 999"),
    ("a NEAR/-1 b", 7, "from 1 to 999"), ("a NEAR/1000 b", 7, "from 1 to 999"), ("a NEAR/² b", 7, "from 1 to 999"),
    ("(a b) NEAR c", 0, "no place"), ("a NEAR (b -c)", 7, "no place"), ("a NEAR (b OR c d)", 7, "no place"),
    ("a NEAR lang:de", 7, "no place"), ("title:(a b) NEAR c", 0, "no place"), ("a NEAR (-b)", 7, "no place"),
    ("title:", 0, "needs a value"), ("title: a", 0, "needs a value"), ("a title:)", 2, "needs a value"),
    ("title:-a", 0, "needs a value"), ("source:*", 7, "needs a value"), ('author:""', 8, "needs a value"),
    ("source:()", 8, "missing"), ("title:!", 6, "letter"), ("lang:german", 5, "code of a language"),
    ("titel:a", 0, "did you mean title:"), ("b language:de", 2, "did you mean lang:"),
    ("https://a.example", 0, "in quotes"),
    ("title:(source:a)", 7, "parentheses of title:"), ("title:(a", 6, "not closed"), ("title:(-a)", 0, "NOT alone"),
    ("-lang:de", 0, "NOT alone"), ("title:a*b", 7, "end of a word"),
]  # fmt: skip


def found(query: str, text: str = "", **of: str) -> tuple[str, ...]:
    return compile_query(query).found(Text(Post(of.pop("source", "forum"), "1", text, **of)))


@pytest.mark.parametrize(("query", "text", "terms"), NEAR + IGNORED)
def test_near_counts_the_words_between_and_not_near_ignores_a_context(
    query: str, text: str, terms: tuple[str, ...]
) -> None:
    assert compile_query(query).match(text) == terms


@pytest.mark.parametrize(("query", "of", "terms"), FIELDS)
def test_a_field_asks_for_what_is_known_of_a_post(query: str, of: dict[str, str], terms: tuple[str, ...]) -> None:
    assert found(query, **of) == terms


@pytest.mark.parametrize(("query", "position", "said"), WRONG)
def test_names_the_place_of_a_mistake_and_what_to_do(query: str, position: int, said: str) -> None:
    with pytest.raises(QueryError) as caught:
        compile_query(query)
    assert caught.value.position == position
    assert said in str(caught.value)


@pytest.mark.parametrize("authors", ["hash", "drop"])
def test_a_query_cannot_ask_for_names_that_are_not_kept(authors: str) -> None:
    assert compile_query("acme author:ann")
    with pytest.raises(QueryError, match=r"\[privacy\] authors") as caught:
        compile_query("acme author:ann", authors)
    assert caught.value.position == 5
    assert compile_query("acme source:forum", authors)


# --- a second reading, slow and simple ---
#
# A query is a tree here: ("word", w), ("prefix", w), ("phrase", w, w), ("cjk", characters), ("or" or "and", trees),
# ("not", tree), ("title", tree), ("source", name), ("near", tree, ((absent, n, tree), ...)).

Place = tuple[int, int, int]  # 0 in the title or 1 in the text, first word, word behind the last


def written(tree: Any) -> str:
    kind, *rest = tree
    if kind in ("word", "cjk"):
        return str(rest[0])
    if kind in ("prefix", "phrase"):
        return f"{rest[0]}*" if kind == "prefix" else f'"{rest[0]} {rest[1]}"'
    if kind in ("or", "and"):
        return "(" + (" OR " if kind == "or" else " ").join(map(written, rest[0])) + ")"
    if kind == "near":
        conditions = "".join(f" {'NOT ' * absent}NEAR/{n} {written(other)}" for absent, n, other in rest[1])
        return f"({written(rest[0])}{conditions})"
    if kind == "not":
        return f"(NOT {written(rest[0])})"
    return f"{kind}:{rest[0] if kind == 'source' else written(rest[0])}"


def read_words(text: str) -> list[str]:
    """Words between spaces, and each character of those that are not Latin."""
    return [word for chunk in text.split() for word in ([chunk] if chunk.isascii() else ["", *chunk, ""]) if word]


def stands(tree: Any, word: list[str], at: int, last: int) -> bool:
    kind, *rest = tree
    if kind == "word":
        return word[at:last] == rest
    if kind == "prefix":
        return last == at + 1 and word[at].startswith(rest[0])
    return word[at:last] == (list(rest[0]) if kind == "cjk" else rest)


def places(tree: Any, post: Post) -> set[Place]:
    kind, *rest = tree
    if kind == "or":
        return {place for other in rest[0] for place in places(other, post)}
    if kind == "title":
        return {place for place in places(rest[0], post) if place[0] == 0}
    if kind == "near":
        return {
            place
            for place in places(rest[0], post)
            if all(
                absent != any(near(place, other, n, over=absent) for other in places(neighbour, post))
                for absent, n, neighbour in rest[1]
            )
        }
    return {
        (where, at, last)
        for where, text in enumerate((post.title, post.text))
        for words in [read_words(text)]
        for at in range(len(words))
        for last in range(at + 1, len(words) + 1)
        if stands(tree, words, at, last)
    }


def near(one: Place, other: Place, n: int, *, over: bool) -> bool:
    if one[0] != other[0]:
        return False
    if over and one[1] < other[2] and other[1] < one[2]:
        return True
    return 0 <= other[1] - one[2] <= n or 0 <= one[1] - other[2] <= n


def holds(tree: Any, post: Post) -> bool:
    kind, *rest = tree
    if kind == "and":
        return all(holds(other, post) for other in rest[0])
    if kind == "or":
        return any(holds(other, post) for other in rest[0])
    if kind == "not":
        return not holds(rest[0], post)
    if kind == "title":
        return holds(rest[0], Post("", "", "", title=post.title))
    return post.source == rest[0] if kind == "source" else bool(places(tree, post))


_WORD = st.sampled_from(["a", "b", "ab", "ba"])
_TERM = st.one_of(
    st.tuples(st.just("word"), _WORD), st.tuples(st.just("prefix"), _WORD), st.tuples(st.just("phrase"), _WORD, _WORD),
    st.tuples(st.just("cjk"), st.sampled_from(["東", "京", "東京"])),
)  # fmt: skip


def _some(trees: Any) -> Any:
    return st.lists(trees, min_size=1, max_size=3)


def _near_of(trees: Any) -> Any:
    conditions = st.lists(st.tuples(st.booleans(), st.integers(1, 4), trees), min_size=1, max_size=2)
    return st.tuples(st.just("near"), trees, conditions)


def _placed(terms: Any) -> Any:
    return st.recursive(terms, lambda trees: st.tuples(st.just("or"), _some(trees)) | _near_of(trees), max_leaves=6)


def _any(terms: Any) -> Any:
    return st.recursive(
        terms,
        lambda trees: st.tuples(st.sampled_from(["or", "and"]), _some(trees)) | st.tuples(st.just("not"), trees),
        max_leaves=5,
    )


_PLACED = _placed(_TERM | st.tuples(st.just("title"), _placed(_TERM)))
_TREE = _any(_PLACED | st.tuples(st.just("title"), _any(_TERM)) | st.tuples(st.just("source"), st.just("shop")))
_WORDS = st.lists(st.sampled_from(["a", "b", "ab", "ba", "c", "東京", "東京京京東", "東"]), max_size=12).map(" ".join)
_POST = st.builds(Post, st.sampled_from(["shop", "forum"]), st.just("1"), _WORDS, title=_WORDS)


@settings(max_examples=400)
@given(_PLACED, _POST)
def test_near_and_not_near_agree_with_a_slow_and_simple_reading(tree: Any, post: Post) -> None:
    assert bool(compile_query(written(tree)).found(Text(post))) == bool(places(tree, post)), written(tree)


@settings(max_examples=400)
@given(_TREE, _POST)
def test_a_query_of_anything_agrees_with_a_slow_and_simple_reading(tree: Any, post: Post) -> None:
    try:
        query = compile_query(written(tree))
    except QueryError as error:
        assert "NOT alone" in str(error), written(tree)
        return
    assert bool(query.found(Text(post))) == holds(tree, post), written(tree)
