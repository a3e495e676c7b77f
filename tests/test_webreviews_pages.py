"""Reviews that go on over several pages: what is read, what is remembered, and that nothing is lost on the way."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from listener.config import HttpSettings
from listener.errors import Broken, Refused, Retry, SourceError
from listener.http import Response, open_get
from listener.records import Page
from listener.sources import webreviews
from listener.sources.webreviews import Settings
from loopback import Answer, serve

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
URL = "https://inn.example/reviews"


def html(reviews: list[int], following: str = "", *, by: str = "link") -> bytes:
    """A page that shows these reviews, each written so many days after the first of May."""
    found = [
        {"@type": "Review", "author": f"guest {n}", "reviewBody": f"Stay {n}.", "datePublished": day(n)}
        for n in reviews
    ]
    markup = f'<{by} rel="next" href="{following}">' if following else ""
    script = f'<script type="application/ld+json">{json.dumps(found)}</script>'
    return f"<!doctype html><html><head>{script}</head><body>{markup}</body></html>".encode()


def day(n: int) -> str:
    return (datetime(2026, 5, 1) + timedelta(days=n)).date().isoformat()


class Inn:
    """A site that shows its reviews newest first, some a page, and names the next page on each."""

    def __init__(self, reviews: int = 0, a_page: int = 3, url: str = URL) -> None:
        self.reviews = list(range(reviews, 0, -1))
        self.a_page, self.url = a_page, url
        self.asked: list[str] = []
        self.gaps: set[tuple[Any, Any]] = set()
        self.fails: dict[str, SourceError] = {}

    def write(self, count: int = 1) -> None:
        newest = max(self.reviews, default=0)
        self.reviews = [*range(newest + count, newest, -1), *self.reviews]

    def get(self, url: str, *, etag: str = "", modified: str = "", **how: Any) -> Response:
        self.asked.append(url)
        self.gaps.add((how["page"], how["gap_s"]))
        if url in self.fails:
            raise self.fails[url]
        number = int(url.partition("?page=")[2] or 1)
        shown = self.reviews[(number - 1) * self.a_page : number * self.a_page]
        more = len(self.reviews) > number * self.a_page
        body = html(shown, f"/reviews?page={number + 1}" if more else "")
        tag = f'"{hash(body)}"'
        if etag == tag:
            return Response(304, url, {}, b"", unchanged=True)
        return Response(200, url, {"etag": tag}, body)

    def pages_asked(self) -> list[int]:
        """The numbers of the pages that were asked for since the last look."""
        asked, self.asked = [int(url.partition("?page=")[2] or 1) for url in self.asked], []
        return asked


class Reader:
    """A store in little: keeps posts and the last bookmark, each page at once."""

    def __init__(self, inn: Inn, **settings: Any) -> None:
        self.inn, self.settings = inn, Settings(**{"url": inn.url, **settings})
        self.cursor: Any = None
        self.texts: dict[str, str] = {}
        self.found: list[Page] = []

    def run(self) -> None:
        self.found = []
        for page in webreviews.fetch(self.settings, self.cursor, self.inn.get, NOW, "inn"):
            self.found.append(page)
            self.texts.update({post.native_id: post.text for post in page.posts})
            if page.cursor is not None:
                self.cursor = json.loads(json.dumps(page.cursor))

    def has(self, reviews: list[int]) -> bool:
        return sorted(self.texts.values()) == sorted(f"Stay {n}." for n in reviews)

    def gaps(self) -> list[str]:
        return [page.gap.why for page in self.found if page.gap]


class TestReadingOn:
    def test_all_pages_are_read_as_pages_and_slowly(self) -> None:
        inn = Inn(8)
        reader = Reader(inn)
        reader.run()
        assert reader.has(inn.reviews)
        assert (inn.pages_asked(), inn.gaps) == ([1, 2, 3], {(True, 10.0)})
        assert reader.gaps() == []

    def test_only_the_last_page_moves_the_bookmark(self) -> None:
        reader = Reader(Inn(8))
        reader.run()
        assert [page.cursor is None for page in reader.found] == [True, True, False]

    def test_so_many_pages_a_run_and_no_more(self) -> None:
        inn = Inn(30)
        reader = Reader(inn, pages=2)
        reader.run()
        assert (inn.pages_asked(), reader.gaps()) == ([1, 2], [])

    @pytest.mark.parametrize("pages", [0, 21])
    def test_the_number_has_bounds(self, pages: int) -> None:
        with pytest.raises(ValidationError):
            Settings(url=URL, pages=pages)

    @pytest.mark.parametrize("by", ["link", "a"])
    @pytest.mark.parametrize(
        "following",
        ["?page=2", "/reviews?page=2", "//inn.example/reviews?page=2", " https://INN.example/reviews?page=2#top "],
    )
    def test_how_a_next_page_is_named(self, following: str, by: str) -> None:
        answers = {URL: html([2], following, by=by), f"{URL}?page=2": html([1])}
        asked = walked(answers)
        assert [url.lower() for url in asked] == [URL, f"{URL}?page=2"]

    @pytest.mark.parametrize(
        "following",
        ["https://other.example/reviews?page=2", "https://inn.example:8443/reviews", "http://[", "javascript:next()",
         "mailto:a@inn.example", "ftp://inn.example/", "https://inn.example:x/", "#more", ""],
    )  # fmt: skip
    def test_what_leads_elsewhere_or_nowhere_is_left(self, following: str) -> None:
        assert walked({URL: html([1], following)}) == [URL]

    def test_the_base_of_the_page_counts(self) -> None:
        body = html([2], "p2").replace(b"<head>", b'<head><base href="/all/">')
        assert walked({URL: body, "https://inn.example/all/p2": html([1])})[1] == "https://inn.example/all/p2"

    def test_a_page_after_a_redirect_goes_on_from_there(self) -> None:
        there = "https://www.inn.example/reviews"
        answers = {URL: html([2], "/reviews?page=2"), f"{there}?page=2": html([1])}
        assert walked(answers, moved={URL: there}) == [URL, f"{there}?page=2"]


def walked(answers: dict[str, bytes], moved: dict[str, str] | None = None, **settings: Any) -> list[str]:
    """The addresses that one run asks for; every page of `answers` has to be among its posts."""
    asked: list[str] = []

    def get(url: str, **_: Any) -> Response:
        asked.append(url)
        key = next(known for known in answers if known.lower() == url.lower())
        return Response(200, (moved or {}).get(url, url), {}, answers[key])

    pages = list(webreviews.fetch(Settings(**{"url": URL, **settings}), None, get, NOW, "inn"))
    assert sum(len(page.posts) for page in pages) == len(answers)
    assert pages[-1].cursor is not None
    return asked


class TestTheEnd:
    def test_circles_end(self) -> None:
        second, third = f"{URL}?page=2", f"{URL}?page=3"
        answers = {URL: html([3], second), second: html([2], third), third: html([1], second)}
        assert walked(answers) == [URL, second, third]
        assert walked({URL: html([1], URL)}) == [URL]

    def test_a_page_without_end_that_shows_the_same_ends(self) -> None:
        inn = Inn(3)
        reader = Reader(inn)
        inn.get = lambda url, **_: Response(200, url, {}, html([3, 2, 1], f"{url}x"))  # type: ignore[method-assign]
        reader.run()
        assert len(reader.found) == 2 and reader.has([1, 2, 3])

    def test_a_page_without_reviews_ends_it(self) -> None:
        assert list_of(html([], "?page=2")) == [URL]

    def test_a_next_page_that_is_listed_is_read_in_its_own_turn(self) -> None:
        second = f"{URL}?page=2"
        answers = {URL: html([2], second), second: html([1])}
        assert sorted(walked(answers, urls=[second])) == [URL, second]

    def test_a_review_is_the_same_on_whichever_page_it_stands(self) -> None:
        inn = Inn(6)
        reader = Reader(inn)
        reader.run()
        inn.write(2)
        reader.run()
        assert reader.has(inn.reviews)
        assert {post.url for page in reader.found for post in page.posts} == {URL}


def list_of(body: bytes) -> list[str]:
    asked: list[str] = []

    def get(url: str, **_: Any) -> Response:
        asked.append(url)
        return Response(200, url, {}, body)

    list(webreviews.fetch(Settings(url=URL), None, get, NOW, "inn"))
    return asked


class TestWhatIsRemembered:
    def test_an_unchanged_page_is_not_walked_from(self) -> None:
        inn = Inn(8)
        reader = Reader(inn)
        reader.run()
        before = reader.cursor
        inn.pages_asked()
        reader.run()
        assert (inn.pages_asked(), reader.cursor) == ([1], before)
        assert [(page.posts, page.unchanged) for page in reader.found] == [((), True)]

    def test_a_walk_ends_where_a_page_brings_nothing_new(self) -> None:
        inn = Inn(15)
        reader = Reader(inn)
        reader.run()
        inn.pages_asked()
        inn.write()
        reader.run()
        assert inn.pages_asked() == [1, 2]
        assert reader.has(inn.reviews)

    def test_more_new_reviews_than_pages_is_a_gap_and_said(self) -> None:
        inn = Inn(6)
        reader = Reader(inn, pages=2)
        reader.run()
        inn.write(7)
        reader.run()
        assert len(reader.gaps()) == 1 and "raise `pages`" in reader.gaps()[0]
        gap = reader.found[-1].gap
        assert gap is not None and gap.until is not None and gap.until.date().isoformat() == day(8)
        reader.run()
        assert reader.gaps() == []

    def test_more_pages_in_the_settings_reach_further_the_next_time(self) -> None:
        inn = Inn(9)
        Reader(inn, pages=1).run()
        reader = Reader(inn, pages=3)
        reader.cursor = {
            URL: {"etag": inn.get(URL, page=True, gap_s=10.0).headers["etag"]}
        }  # as older versions wrote it
        reader.run()
        assert reader.has(inn.reviews)

    def test_the_bookmark_stays_small(self) -> None:
        reader = Reader(Inn(4000, a_page=400), pages=10)
        reader.run()
        assert len(json.dumps(reader.cursor)) < 8_000

    def test_an_address_that_is_gone_from_the_settings_is_forgotten(self) -> None:
        reader = Reader(Inn(2))
        reader.cursor = {"https://old.example/": {"known": ["12345678"]}}
        reader.run()
        assert list(reader.cursor) == [URL]


SECOND = f"{URL}?page=2"


class TestWhatFails:
    @pytest.mark.parametrize(
        "error",
        [
            Retry("too often", after=60, status=429),
            Broken("gone", b"", 404),
            Refused("no", b"", 403),
            Broken("no page"),
        ],
    )
    def test_a_next_page_that_fails_leaves_the_bookmark(self, error: SourceError) -> None:
        inn = Inn(8)
        reader = Reader(inn)
        inn.fails[SECOND] = error
        with pytest.raises(type(error)) as caught:
            reader.run()
        assert caught.value is error
        assert reader.cursor is None and len(reader.texts) == 3
        inn.fails.clear()
        reader.run()
        assert reader.has(inn.reviews)

    def test_what_came_meanwhile_is_not_lost_either(self) -> None:
        inn = Inn(8)
        reader = Reader(inn)
        reader.run()
        inn.write(7)
        inn.fails[SECOND] = Retry("overloaded", status=503)
        with pytest.raises(Retry):
            reader.run()
        inn.fails.clear()
        inn.write()
        reader.run()
        assert reader.has(inn.reviews) and reader.gaps() == []

    def test_another_address_is_read_all_the_same(self) -> None:
        inn, other = Inn(8), "https://shop.example/lamp"
        inn.fails[SECOND] = Broken("gone", b"", 404)
        reader = Reader(inn, urls=[other])
        get = inn.get
        inn.get = lambda url, **how: Response(200, url, {}, html([99])) if url == other else get(url, **how)  # type: ignore[method-assign]
        with pytest.raises(Broken):
            reader.run()
        assert "Stay 99." in reader.texts.values()
        assert list(reader.cursor) == [other]

    def test_a_next_page_that_is_closed_for_good_ends_the_list_with_a_gap(self) -> None:
        inn = Inn(8)
        inn.fails[SECOND] = Refused("robots.txt asks programs not to read this page")
        reader = Reader(inn)
        reader.run()
        assert reader.gaps() == ["robots.txt asks programs not to read this page"]
        assert reader.cursor is not None and len(reader.texts) == 3
        inn.write()
        reader.run()
        assert reader.gaps() == [], "the first page still reaches back to what is known"

    def test_the_address_itself_when_closed_is_refused(self) -> None:
        inn = Inn(8)
        inn.fails[URL] = Refused("robots.txt asks programs not to read this page")
        with pytest.raises(Refused):
            Reader(inn).run()


def test_over_the_wire_robots_and_the_gap_hold_for_next_pages() -> None:
    pause: list[float] = []
    routes = {
        "/robots.txt": lambda _: Answer(b"User-agent: *\nDisallow: /reviews/3\n"),
        "/reviews/1": lambda _: Answer(html([3], "/reviews/2")),
        "/reviews/2": lambda _: Answer(html([2], "/reviews/3")),
        "/reviews/3": lambda _: Answer(html([1])),
    }
    settings = HttpSettings(allow_private=["*"], gap_s=0)
    with serve(routes) as server, open_get(settings, sleep=pause.append, clock=lambda: 0.0) as get:
        wanted = Settings(url=server.url("/reviews/1"))
        pages = list(webreviews.fetch(wanted, None, get, NOW, "inn"))
    assert [post.text for page in pages for post in page.posts] == ["Stay 3.", "Stay 2."]
    assert pages[-1].gap is not None and "robots.txt" in pages[-1].gap.why
    assert "/reviews/3" not in server.paths
    assert max(pause) >= 10


ACTS = st.lists(
    st.integers(1, 9).map(lambda n: ("write", n)) | st.integers(1, 4).map(lambda n: ("fail", n)) | st.just(("run", 0)),
    max_size=10,
)


@given(ACTS, st.integers(1, 4), st.integers(1, 4))
def test_whatever_fails_in_between_nothing_is_lost_without_a_word(
    acts: list[tuple[str, int]], a_page: int, pages: int
) -> None:
    inn = Inn(5, a_page)
    reader = Reader(inn, pages=pages)
    gaps = 0
    for act, n in acts:
        inn.fails.clear()
        if act == "write":
            inn.write(n)
            continue
        if act == "fail":
            inn.fails[URL if n == 1 else f"{URL}?page={n}"] = Retry("later", status=503)
        try:
            reader.run()
        except Retry:
            continue
        gaps += len(reader.gaps())
    inn.fails.clear()
    reader.run()
    gaps += len(reader.gaps())
    reach = inn.reviews[: a_page * pages]
    missing = {f"Stay {n}." for n in reach} - set(reader.texts.values())
    assert not missing or gaps
    assert len(reader.texts) == len(set(reader.texts.values()))
