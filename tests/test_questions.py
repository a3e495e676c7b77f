"""Questions found in posts, and the same question asked by several put together."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener.reads.questions import asked, group


def posts(*texts: str, brands: tuple[str, ...] = ()) -> Any:
    return [
        SimpleNamespace(id=number, title="", text=text, brands=dict.fromkeys(brands, "name"))
        for number, text in enumerate(texts)
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Is breakfast included in the rate?", ["Is breakfast included in the rate?"]),
        ("Lovely stay. Does anyone know if the pool is heated", ["Does anyone know if the pool is heated"]),
        ("Hi, looking for recommendations for a quiet hotel", ["Hi, looking for recommendations for a quiet hotel"]),
        ("The pool was heated. We loved it!", []),
        ("What? Really?", []),
        ("Which do you prefer: Acme\nor Bolt for families?", ["Which do you prefer: Acme", "or Bolt for families?"]),
        ("why " + "so long " * 60 + "?", []),
    ],
)
def test_what_counts_as_a_question(text: str, found: list[str]) -> None:
    assert asked(text) == found


def test_the_same_question_is_one_group_and_the_one_asked_most_comes_first() -> None:
    groups = group(
        posts(
            "Is parking free at Acme?",
            "Anyone know whether breakfast is included at Acme?",
            "We come by car. Do they have free parking?",
            "Is the breakfast included in the price?",
            "Does Acme take dogs?",
            "Is breakfast included for children too?",
            brands=("Acme",),
        )
    )
    assert [(len(each.posts), set(each.words)) for each in groups] == [
        (3, {"breakfast", "included"}), (2, {"parking", "free"}), (1, {"dog"}),
    ]  # fmt: skip
    assert "breakfast" in groups[0].question and [post.id for post in groups[0].posts] == [1, 3, 5]


def test_a_post_that_asks_twice_counts_once() -> None:
    (one,) = group(posts("Is the sauna open? Is the sauna open in winter?"))
    assert len(one.posts) == 1


@given(st.lists(st.text(alphabet="abc ?.\n'é", max_size=60), max_size=30))
def test_every_question_is_in_exactly_one_group(texts: list[str]) -> None:
    found = group(posts(*texts))
    with_questions = {number for number, text in enumerate(texts) if asked(text)}
    assert {post.id for each in found for post in each.posts} <= with_questions
    assert sum(len(each.posts) for each in found) >= len(found)
