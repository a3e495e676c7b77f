"""schema.org reviews as RDFa: vocabularies, prefixes, items told of in several places, and no review twice."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st
from mutations import mutated

from listener.errors import Broken
from listener.records import Page, Post, Rating
from listener.sources import rdfa, webreviews

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
GUESTBOOK = Path(__file__).parent / "payloads" / "webreviews" / "guestbook.html"
URL = "https://inn.example/guestbook"


def parse(payload: bytes) -> Page:
    return webreviews.parse(payload, url=URL, name="inn", now=NOW)


def page_of(markup: str) -> Page:
    return parse(f"<!doctype html><html><body>{markup}</body></html>".encode())


def only(page: Page) -> Post:
    assert len(page.posts) == 1
    return page.posts[0]


class TestGuestbook:
    def by_text(self) -> dict[str, Post]:
        return {post.text.split()[0]: post for post in parse(GUESTBOOK.read_bytes()).posts}

    def test_each_review_once_and_none_of_another_vocabulary(self) -> None:
        assert sorted(self.by_text()) == ["Das", "Slept", "Steep"]

    def test_what_a_review_holds(self) -> None:
        post = self.by_text()["Slept"]
        assert (post.title, post.author) == ("Water under the window", "Petra Quill")
        assert post.text == "Slept like a stone.\nThe wheel stops at ten."
        assert post.rating == Rating(8.5, 0, 10)
        assert post.created_at == datetime(2026, 10, 30, tzinfo=UTC)
        assert (post.kind, post.url) == ("review", URL)

    def test_an_address_beside_a_name_and_a_date_told_elsewhere(self) -> None:
        post = self.by_text()["Das"]
        assert (post.author, post.lang) == ("Hamid", "de")
        assert post.created_at == datetime(2026, 10, 2, 7, tzinfo=UTC)

    def test_author_and_rating_that_stand_elsewhere(self) -> None:
        post = self.by_text()["Steep"]
        assert (post.author, post.rating) == ("Ann Loft", Rating(3, 1, 5))


@pytest.mark.parametrize(
    "markup",
    [
        '<div vocab="http://schema.org/" typeof="Review"><i property="author">Ann</i><p property="reviewBody">Clean.',
        '<div vocab="https://schema.org" typeof="Review"><i property="author">Ann</i><p property="reviewBody">Clean.',
        '<div typeof="schema:Review"><i property="schema:author">Ann</i><p property="schema:reviewBody">Clean.',
        '<div prefix="s: http://schema.org/" typeof="s:Review"><i property="s:author">Ann</i>'
        '<p property="dc:title s:reviewBody">Clean.',
        '<div xmlns:s="http://schema.org/" typeof="s:Review"><i property="s:author">Ann</i>'
        '<p property="s:reviewBody">Clean.',
        '<div typeof="http://schema.org/Review"><i property="http://schema.org/author">Ann</i>'
        '<p property="http://schema.org/reviewBody">Clean.',
        '<div typeof="Review"><i property="author">Ann</i><p property="reviewBody">Clean.',
        '<div vocab="http://other.example/"><div vocab="http://schema.org/" typeof="CriticReview">'
        '<i property="author">Ann</i><p property="reviewBody">Clean.',
        '<div typeof="Review"><a href="/users/7"><i property="author">Ann</i></a><p property="reviewBody">Clean.',
        '<div typeof="Review"><i property="author" typeof="Person" content="Ann"></i><p property="reviewBody">Clean.',
        '<div typeof="Product"><div property="review" typeof="Review" resource="#r"></div></div>'
        '<i about="#r" property="author">Ann</i><div resource="#r"><p property="reviewBody">Clean.',
        '<div typeof="Review"><i property="author" resource="#nobody">Ann</i><p property="reviewBody">Clean.',
    ],
)  # fmt: skip
def test_how_a_review_may_be_written(markup: str) -> None:
    post = only(page_of(markup))
    assert (post.author, post.text) == ("Ann", "Clean.")


@pytest.mark.parametrize(
    "markup",
    [
        '<div vocab="http://other.example/" typeof="Review"><p property="reviewBody">Clean.',
        '<div typeof="other:Review"><p property="reviewBody">Clean.',
        '<div prefix="schema: http://other.example/" typeof="schema:Review"><p property="reviewBody">Clean.',
        '<p property="reviewBody">Clean.</p>',
    ],
)
def test_what_is_no_review_of_schema_org(markup: str) -> None:
    assert page_of(markup) == Page((), skipped={"no review markup": 1})


def test_an_average_alone_is_said() -> None:
    page = page_of('<div typeof="Hotel"><p property="aggregateRating" typeof="AggregateRating">4.2</p></div>')
    assert page == Page((), skipped={"aggregate only": 1})


def test_two_reviews_of_one_id_are_two_reviews() -> None:
    one = '<div typeof="Review" resource="/lamp"><p property="reviewBody">{}</p></div>'
    assert [post.text for post in page_of(one.format("Warm.") + one.format("Dim.")).posts] == ["Warm.", "Dim."]


def test_a_review_in_a_review_is_its_own() -> None:
    page = page_of(
        '<div typeof="Review"><p property="reviewBody">Outer.</p><div property="comment" typeof="Review">'
        '<p property="reviewBody">Inner.</p></div><i property="author">Ann</i></div>'
    )
    assert [(post.text, post.author) for post in page.posts] == [("Outer.", "Ann"), ("Inner.", "")]


def test_items_that_refer_to_each_other_end() -> None:
    page = page_of(
        '<div typeof="Review" resource="#a"><p property="reviewBody">Round.</p><i property="author" resource="#b"></i>'
        '<i property="author" resource="#a"></i></div><div typeof="Person" resource="#b"><b property="name">Ann</b>'
        '<i property="knows" typeof="Person" resource="#b"></i><i property="knows" resource="#a"></i></div>'
    )
    assert only(page).author == "Ann"


class TestOneReviewInSeveralMarkups:
    JSON_LD = '<script type="application/ld+json">' + json.dumps(
        {"@type": "Review", "author": "Ann", "reviewBody": "Clean and quiet.", "datePublished": "2026-11-02"}
    )
    MICRODATA = (
        '<div itemscope itemtype="https://schema.org/Review"><b itemprop="author">Ann</b>'
        '<p itemprop="reviewBody">Clean and quiet.</p></div>'
    )
    RDFA = '<div typeof="Review"><b property="author">{}</b><p property="reviewBody">Clean and  quiet</p></div>'

    def test_is_one_post_whichever_come_together(self) -> None:
        json_ld, rdfa_ = self.JSON_LD + "</script>", self.RDFA.format("Ann")
        for parts in ((json_ld, rdfa_), (self.MICRODATA, rdfa_), (json_ld, self.MICRODATA, rdfa_), (rdfa_,)):
            post = only(page_of("".join(parts)))
            assert post.author == "Ann"
            assert (post.created_at is not None) == (json_ld in parts), "JSON-LD, which says most, is kept"

    def test_one_element_may_carry_two_kinds(self) -> None:
        page = page_of(
            '<div itemscope itemtype="https://schema.org/Review" typeof="Review" vocab="https://schema.org/">'
            '<b itemprop="author" property="author">Ann</b>'
            '<p itemprop="reviewBody" property="reviewBody">Clean.</p></div>'
        )
        assert only(page).text == "Clean."

    def test_the_same_words_of_somebody_else_are_another(self) -> None:
        page = page_of(self.JSON_LD + "</script>" + self.RDFA.format("Bob"))
        assert [post.author for post in page.posts] == ["Ann", "Bob"]

    def test_a_copy_without_a_name_is_a_copy(self) -> None:
        assert only(page_of(self.MICRODATA + self.RDFA.format(""))).author == "Ann"


@given(mutated(GUESTBOOK.read_bytes()))
def test_any_payload_is_read_or_broken(payload: bytes) -> None:
    try:
        page = parse(payload)
    except Broken:
        return
    for post in page.posts:
        assert post.text and post.native_id
        assert post.rating is None or 0 <= post.rating.share <= 1
        (post.text + post.title + post.author + post.url).encode()


WORDS = st.sampled_from(
    ("", "Review", "Person", "author", "name", "reviewBody", "reviewRating", "ratingValue", "s:author", "#a", "#b",
     "s:", ":", "http://schema.org/Review", "https://schema.org/", "s: http://schema.org/", "\x00", "//[", "5",
     "2026-11-02")
)  # fmt: skip
ATTRIBUTES = st.dictionaries(
    st.sampled_from(("typeof", "property", "resource", "about", "vocab", "prefix", "content", "href", "xmlns:s")), WORDS
)
ELEMENTS = st.lists(
    st.tuples(st.sampled_from(("div", "a", "link", "time", "p")), ATTRIBUTES, st.booleans()), max_size=12
)


@given(ELEMENTS)
def test_any_attributes_anywhere_are_read(elements: list[tuple[str, dict[str, Any], bool]]) -> None:
    opened = "".join(
        f"<{tag} " + " ".join(f'{key}="{value}"' for key, value in attributes.items()) + ">words" + f"</{tag}>" * closed
        for tag, attributes, closed in elements
    )
    page = page_of(f'<div typeof="Review"><p property="reviewBody">b</p>{opened}')
    assert all(post.text for post in page.posts)
    soup = BeautifulSoup(opened, "lxml", multi_valued_attributes=None)
    items, _ = rdfa.read_items(soup, 3, "")
    json.dumps(items)  # no item is inside itself
    assert len(items) <= 3
