"""schema.org reviews on web pages, as JSON-LD and as microdata; RDFa and next pages have tests of their own."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import mutated

from listener.config import HttpSettings
from listener.errors import Broken, Refused
from listener.http import Response, open_get
from listener.records import Page, Post, Rating
from listener.sources import webreviews
from loopback import Answer, serve

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PAYLOADS = Path(__file__).parent / "payloads" / "webreviews"
URL = "https://hotel.example/reviews"


def parse(payload: bytes | str, **more: Any) -> Page:
    body = payload if isinstance(payload, bytes) else (PAYLOADS / payload).read_bytes()
    return webreviews.parse(body, **{"url": URL, "name": "site", "now": NOW, **more})


def page_of(*blocks: Any) -> bytes:
    scripts = "".join(f'<script type="application/ld+json">{json.dumps(block)}</script>' for block in blocks)
    return f"<!doctype html><html><head>{scripts}</head><body></body></html>".encode()


def review(**fields: Any) -> dict[str, Any]:
    return {"@type": "Review", "author": "Ann", "reviewBody": "Clean.", **fields}


def only(page: Page) -> Post:
    assert len(page.posts) == 1
    return page.posts[0]


class TestHotelPage:
    def by_author(self) -> dict[str, Post]:
        return {post.author: post for post in parse("hotel.html").posts}

    def test_every_review_once_whichever_markup_holds_it(self) -> None:
        assert sorted(self.by_author()) == ["Ines Ferro", "Lena K.", "Olu Bankole", "Tom Aldous"]
        assert len(parse("hotel.html").posts) == 4

    def test_json_ld(self) -> None:
        post = self.by_author()["Tom Aldous"]
        assert (post.title, post.text) == ("Quiet & kind", "The room was quiet.\nStaff carried our bags.")
        assert (post.kind, post.lang, post.url) == ("review", "en", URL)
        assert post.created_at == datetime(2026, 11, 2, tzinfo=UTC)
        assert post.rating == Rating(9, 1, 10)

    def test_a_decimal_comma_and_a_time_with_its_zone(self) -> None:
        post = self.by_author()["Lena K."]
        assert post.rating == Rating(2.5, 1, 10), "as the average of the page is"
        assert post.created_at == datetime(2026, 10, 28, 19, 15, tzinfo=UTC)

    def test_an_author_named_elsewhere_on_the_page(self) -> None:
        post = self.by_author()["Ines Ferro"]
        assert post.rating == Rating(4, 1, 5)
        assert post.created_at == datetime(2026, 11, 1, tzinfo=UTC)
        assert post.url == "https://hotel.example/reviews/3"

    def test_microdata(self) -> None:
        post = self.by_author()["Olu Bankole"]
        assert post.text == "Booked in a minute.\nPaid twice, though."
        assert post.rating == Rating(3, 1, 6)
        assert post.created_at == datetime(2026, 9, 9, 10, tzinfo=UTC)

    def test_a_rating_without_words_is_counted_not_kept(self) -> None:
        assert parse("hotel.html").skipped == {"no text": 1}


class TestSloppyMarkup:
    def test_comments_commas_and_wrappings_do_not_hide_reviews(self) -> None:
        lamp, broken, replaced = parse("sloppy.html").posts
        assert lamp.text == "Warm light, // not too bright\non the desk,]"
        assert (lamp.author, lamp.rating) == ("Ada", Rating(4.5, 1, 5))
        assert lamp.created_at == datetime(2026, 3, 3, tzinfo=UTC)
        assert (broken.author, broken.text, broken.rating) == ("Cy", "Arrived broken.", Rating(1, 1, 5))
        assert (replaced.author, replaced.text) == ("Di", "Replaced at once.")

    def test_a_block_that_cannot_be_read_is_counted(self) -> None:
        assert parse("sloppy.html").skipped == {"unreadable JSON-LD": 1}

    def test_reviews_that_cannot_be_read_are_broken(self) -> None:
        with pytest.raises(Broken, match="not JSON"):
            parse("broken-markup.html")

    def test_a_comment_before_the_json(self) -> None:
        block = b'<!-- ours --> {"@type": "Review", "reviewBody": "Good"}'
        body = b'<html><script type="application/ld+json">' + block + b"</script></html>"
        assert only(parse(body)).text == "Good"

    def test_the_character_set_of_the_header_counts(self) -> None:
        body = page_of(review(reviewBody="x")).replace(b'"x"', '"Příjemný pobyt"'.encode("iso-8859-2"))
        assert only(parse(body, content_type="text/html; charset=iso-8859-2")).text == "Příjemný pobyt"

    @pytest.mark.parametrize("told", ["header", "meta"])
    def test_latin_1_is_read_as_windows_writes_it(self, told):
        meta = '<meta charset="ISO-8859-1">' if told == "meta" else ""
        body = page_of(review(reviewBody="BODY")).decode().replace("BODY", "It’s 50 € – “café”")
        kind = "text/html; charset=ISO-8859-1" if told == "header" else "text/html"
        found = parse(body.replace("<head>", f"<head>{meta}", 1).encode("cp1252"), content_type=kind)
        assert only(found).text == "It’s 50 € – “café”"


class TestShapes:
    @pytest.mark.parametrize(
        "block",
        [
            review(),
            [review()],
            {"@graph": [{"@type": "WebPage"}, review()]},
            {"@type": "Product", "review": review()},
            {"@type": "Product", "reviews": [{"author": "Ann", "reviewBody": "Clean."}]},
            {"@type": "ItemList", "itemListElement": [{"item": {"@type": "Hotel", "review": [review()]}}]},
            review(**{"@type": "http://schema.org/CriticReview"}),
            review(author=[{"@type": "Person", "name": "Ann"}]),
            review(author={"givenName": "Ann"}),
            review(reviewBody={"@value": "Clean.", "@language": "en"}),
            review(reviewBody=["Clean.", "Sauber."]),
        ],
    )
    def test_where_and_how_a_review_may_stand(self, block: Any) -> None:
        post = only(parse(page_of({"@type": "Organization"}, block)))
        assert (post.author, post.text) == ("Ann", "Clean.")

    @pytest.mark.parametrize(
        ("told", "rating"),
        [
            ({"ratingValue": 4}, Rating(4, 1, 5)), ({"ratingValue": "8,5"}, Rating(8.5, 1, 10)),
            ({"ratingValue": "4/5"}, Rating(4, 1, 5)), ({"ratingValue": "7 / 10"}, Rating(7, 1, 10)),
            ({"ratingValue": "3 out of 10"}, Rating(3, 1, 10)), ({"ratingValue": "4 von 5 Sternen"}, Rating(4, 1, 5)),
            ({"ratingValue": 80}, Rating(80, 1, 100)), ({"ratingValue": 0}, Rating(0, 0, 5)),
            ({"ratingValue": "3", "bestRating": "6", "worstRating": "0"}, Rating(3, 0, 6)),
            ({"ratingValue": ["2"]}, Rating(2, 1, 5)), ("3", Rating(3, 1, 5)), (4.5, Rating(4.5, 1, 5)),
            ({"ratingValue": "five stars"}, None), ({"ratingValue": None}, None), ({"ratingValue": True}, None),
            ({"ratingValue": 3, "bestRating": 1, "worstRating": 1}, None), ([], None), (None, None),
        ],
    )  # fmt: skip
    def test_ratings(self, told: Any, rating: Rating | None) -> None:
        assert only(parse(page_of(review(reviewRating=told)))).rating == rating

    @pytest.mark.parametrize(
        ("more", "rating"),
        [
            ({}, Rating(4, 1, 5)),
            ({"review": [review(author="Bob", reviewRating={"ratingValue": 9.2})]}, Rating(4, 1, 10)),
            ({"review": [review(author="Bob", reviewRating={"ratingValue": 8, "bestRating": 10})]}, Rating(4, 1, 5)),
            ({"aggregateRating": {"ratingValue": 4.6, "bestRating": "10"}}, Rating(4, 1, 10)),
            ({"aggregateRating": {"ratingValue": 8.6}}, Rating(4, 1, 10)),
            ({"aggregateRating": {"ratingValue": "4.6", "bestRating": "5"}}, Rating(4, 1, 5)),
        ],
    )
    def test_a_rating_without_a_scale_is_on_that_of_its_page(self, more: Any, rating: Rating) -> None:
        page = parse(page_of({"@type": "Hotel", "name": "Harbour", **more}, review(reviewRating={"ratingValue": 4})))
        assert {post.author: post.rating for post in page.posts}["Ann"] == rating

    def test_a_review_keeps_its_identity_and_an_edited_one_gets_another(self) -> None:
        idents = [
            only(parse(page_of(review(**fields)))).native_id
            for fields in ({}, {"reviewRating": 3}, {"reviewBody": "Not clean."}, {"author": "Bob"})
        ]
        assert idents[0] == idents[1]
        assert len(set(idents)) == 3

    def test_a_date_in_words_does_not_change_the_identity_from_week_to_week(self) -> None:
        one, two = (only(parse(page_of(review(datePublished=when)))) for when in ("1 week ago", "2 weeks ago"))
        assert one.native_id == two.native_id and one.created_at is None

    def test_two_people_may_say_the_same(self) -> None:
        assert len(parse(page_of([review(), review(author="Bob")])).posts) == 2

    def test_one_review_twice_in_the_markup_is_one(self) -> None:
        page = parse(page_of(review(), review()))
        assert len(page.posts) == 1 and page.skipped == {"twice on the page": 1}

    def test_a_link_that_is_no_web_address_is_not_taken(self) -> None:
        assert only(parse(page_of(review(url="javascript:alert(1)")))).url == URL


class TestNoReviews:
    def test_only_an_average_is_said(self) -> None:
        assert parse("aggregate.html") == Page((), skipped={"aggregate only": 1})

    def test_no_markup_is_said(self) -> None:
        assert parse("plain.html") == Page((), skipped={"no review markup": 1})

    @pytest.mark.parametrize("payload", [b"", b"words", b"{}", b"\x89PNG\r\n", b"<rss/>", b"<", b"\0" * 50])
    def test_what_is_no_page_is_broken(self, payload: bytes) -> None:
        with pytest.raises(Broken, match="web page"):
            parse(payload)


class TestHostile:
    @pytest.mark.parametrize(
        "body",
        [
            b"<div>" * 30_000,
            b'<div itemscope itemtype="https://schema.org/Review">' * 5_000,
            b'<div itemscope itemtype="https://schema.org/Review"><i itemprop="reviewBody">a' * 5_000,
            b'<div typeof="Review"><i property="reviewBody">a' * 5_000,
            b'<div typeof="Review" resource="#a" property="author"><i about="#a" typeof="Person">' * 3_000,
            b'<div typeof="Review">' + b'<div typeof="Person" property="author">' * 5_000,
            b'<div typeof="Review" prefix="a: http://schema.org/ b: http://schema.org/">' * 5_000,
            b'<script type="application/ld+json">' + b"[" * 100_000,
            b'<script type="application/ld+json">' + b'"\\"' * 100_000,
            b'<script type="application/ld+json">' + b"/*" * 100_000,
            b'<script type="application/ld+json">' + b'{"review":' * 20_000,
        ],
    )
    def test_pages_made_to_hurt_take_no_time(self, body: bytes) -> None:
        started = time.process_time()  # the processor's: a machine that is busy with other things is no slow parser
        try:
            parse(b"<!doctype html><html><body>" + body)
        except Broken:
            pass
        assert time.process_time() - started < 8

    def test_items_that_refer_to_each_other_end(self) -> None:
        body = b"""<html><body><div id="a" itemscope itemtype="https://schema.org/Review" itemref="b a">
        <i itemprop="reviewBody">Round and round</i></div>
        <div id="b" itemprop="author" itemscope itemref="a b"><b itemprop="name">Ann</b></div></body></html>"""
        assert only(parse(body)).author == "Ann"

    def test_many_items_that_all_refer_to_all_end_too(self) -> None:
        every = " ".join(f"i{n}" for n in range(30))
        people = "".join(
            f'<p id="i{n}" itemprop="author" itemscope itemref="{every}"><b itemprop="name">Ann</b></p>'
            for n in range(30)
        )
        text = '<i itemprop="reviewBody">Round and round</i>'
        review = f'<div itemscope itemtype="https://schema.org/Review" itemref="{every}">{text}</div>'
        assert only(parse(f"<html><body>{review}{people}</body></html>".encode())).author == "Ann"

    def test_a_page_of_a_thousand_reviews_is_cut_and_said(self) -> None:
        page = parse(page_of([review(author=f"guest {n}") for n in range(600)]))
        assert len(page.posts) == 500
        assert page.skipped == {"over the limit of a page": 100}


class TestFetch:
    def test_asks_as_for_a_page_and_slowly(self) -> None:
        asked: list[dict[str, Any]] = []

        def get(url: str, **how: Any) -> Response:
            asked.append(how)
            return Response(200, url, {"etag": '"1"'}, (PAYLOADS / "hotel.html").read_bytes())

        pages = list(webreviews.fetch(webreviews.Settings(url=URL), None, get, NOW, "site"))
        assert asked == [{"etag": "", "modified": "", "page": True, "gap_s": 10.0}]
        known = [post.native_id[:8] for post in pages[0].posts]
        assert pages[0].cursor == {URL: {"pages": 5, "etag": '"1"', "known": known}}

    def test_over_the_wire_robots_are_honoured(self) -> None:
        hotel = Answer((PAYLOADS / "hotel.html").read_bytes(), headers={"Content-Type": "text/html; charset=utf-8"})
        routes = {
            "/robots.txt": lambda _: Answer(b"User-agent: *\nDisallow: /closed\n"),
            "/open": lambda _: hotel,
            "/closed": lambda _: hotel,
        }
        settings = HttpSettings(allow_private=["*"], gap_s=0)
        with serve(routes) as server, open_get(settings, sleep=lambda _: None) as get:
            pages, wanted = [], webreviews.Settings(urls=[server.url("/closed"), server.url("/open")])
            with pytest.raises(Refused, match=r"robots\.txt"):
                for page in webreviews.fetch(wanted, None, get, NOW, "site"):
                    pages.append(page)
        assert [len(page.posts) for page in pages] == [4]
        assert "/closed" not in server.paths


FILES = sorted(PAYLOADS.glob("*.html"))


@given(st.sampled_from(FILES).flatmap(lambda file: mutated(file.read_bytes())))
def test_any_payload_is_read_or_broken(payload: bytes) -> None:
    try:
        page = parse(payload)
    except Broken:
        return
    for post in page.posts:
        assert post.text and post.native_id
        assert post.rating is None or 0 <= post.rating.share <= 1
        (post.text + post.title + post.author + post.url).encode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(("@id", "@value", "name")), inner, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = (
    "@type",
    "@id",
    "author",
    "reviewBody",
    "name",
    "datePublished",
    "reviewRating",
    "url",
    "inLanguage",
    "review",
)
RATINGS = st.dictionaries(st.sampled_from(("ratingValue", "bestRating", "worstRating")), JSON)


@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), JSON | RATINGS), max_size=4))
def test_any_value_in_any_field_is_read_or_broken(nodes: list[dict[str, Any]]) -> None:
    try:
        page = parse(page_of([{"@type": "Review", "reviewBody": "b", **node} for node in nodes]))
    except Broken:
        return
    assert all(post.text for post in page.posts)
