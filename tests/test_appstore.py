"""The App Store, through a small imitation of its feed that keeps the real one's limits and oddities."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import mutated
from pydantic import ValidationError

from listener.errors import Broken, Refused, Retry
from listener.http import Response, _judge
from listener.http.transport import Reply
from listener.records import Page, Rating
from listener.sources import appstore

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
EPOCH = int(NOW.timestamp())
DAY = 86400
PAYLOADS = Path(__file__).parent / "payloads" / "appstore"
APP = 4000000010
FEED = re.compile(
    r"https://itunes\.apple\.com/([a-z]{2})/rss/customerreviews/page=(\d+)/id=(\d+)/sortby=mostrecent/json"
)


class Store:
    """Answers as customerreviews and lookup do: 50 a page, ten pages, status 400 beyond; the last change comes first.

    `dated` feeds say when; one review comes without a list; without any there is no "entry".
    """

    def __init__(self, *moments: int, country: str = "us", app: int = APP) -> None:
        self.feeds: dict[tuple[str, int], dict[int, int]] = {(country, app): {}}
        self.ratings: dict[tuple[str, int], int] = {}
        for ident, at in enumerate(moments, start=1):
            self.add(ident, at, country, app)
        self.asked: list[str] = []
        self.gaps: list[float | None] = []
        self.dated = True
        self.silent = False  # the feed shows nothing, as Apple does to some networks
        self.app_first = False
        self.fails: dict[int, Exception] = {}

    def add(self, ident: int, at: int, country: str = "us", app: int = APP) -> None:
        self.feeds.setdefault((country, app), {})[ident] = at
        self.ratings[country, app] = self.ratings.get((country, app), 0) + 20

    def __call__(
        self, url: str, *, params: Mapping[str, str] | None = None, gap_s: float | None = None, **_: Any
    ) -> Response:
        self.asked.append(url)
        self.gaps.append(gap_s)
        if len(self.asked) in self.fails:
            raise self.fails[len(self.asked)]
        if url == "https://itunes.apple.com/lookup":
            assert params is not None
            place = (params["country"], int(params["id"]))
            found = [{"trackId": place[1], "userRatingCount": self.ratings.get(place, 0)}]
            return self._reply(url, {"results": found if place in self.feeds else []})
        feed = FEED.fullmatch(url)
        assert feed, url
        country, page, app = feed[1], int(feed[2]), int(feed[3])
        if not 1 <= page <= 10:
            raise Broken("status 400", status=400)
        reviews = {} if self.silent else self.feeds.get((country, app), {})
        order = sorted(reviews, key=lambda ident: (reviews[ident], ident), reverse=True)[50 * (page - 1) : 50 * page]
        entries: list[Any] = [self._entry(ident, reviews[ident]) for ident in order]
        if self.app_first and page == 1:
            entries.insert(0, {"im:name": {"label": "Lantern Stay"}, "id": {"label": "https://itunes.example/app"}})
        pages = min(10, -(-len(reviews) // 50))
        answer: dict[str, Any] = {
            "link": [{"attributes": {"rel": "last", "href": f"https://itunes.apple.com/page={pages}/id={app}/xml"}}]
        }
        if entries:
            answer["entry"] = entries if len(entries) > 1 else entries[0]
        return self._reply(url, {"feed": answer})

    def _entry(self, ident: int, at: int) -> dict[str, Any]:
        entry = {
            "id": str(ident),
            "title": f"title {ident}",
            "content": f"text {ident} of {at}",
            "im:rating": "4",
        }
        if self.dated:
            entry["updated"] = datetime.fromtimestamp(at, UTC).isoformat()
        return {key: {"label": value} for key, value in entry.items()}

    def _reply(self, url: str, answer: dict[str, Any]) -> Response:
        return Response(200, url, {}, json.dumps(answer).encode())


def run(service: Any, cursor: Mapping[str, Any] | None = None, now: datetime = NOW, **settings: Any) -> list[Page]:
    chosen = appstore.Settings.model_validate({"apps": [APP], **settings})
    return list(appstore.fetch(chosen, cursor, service, now, "store"))


def idents(pages: list[Page]) -> list[int]:
    return sorted(int(post.native_id) for page in pages for post in page.posts)


def read(name: str) -> Page:
    return appstore.parse((PAYLOADS / name).read_bytes(), app=APP, country="us", name="store", now=NOW)


KEY = f"us/{APP}"


class TestParse:
    def test_a_review(self) -> None:
        review = read("feed.json").posts[0]
        assert (review.native_id, review.kind, review.author) == ("9000000004", "review", "quiet_sleeper")
        assert review.title == "Check-in fails & fails"
        assert review.text == "The key never arrives.\nI <3 the rooms, not this app."
        assert review.created_at == datetime(2026, 11, 21, 15, 15, tzinfo=UTC)
        assert review.rating == Rating(2)
        assert review.engagement == {"likes": 3, "votes": 4}
        assert review.url == "https://apps.apple.com/us/app/id4000000010?see-all=reviews"

    def test_a_title_alone_is_a_text_and_nine_stars_are_none(self) -> None:
        review = read("feed.json").posts[-1]
        assert (review.text, review.rating) == ("Only a title", None)

    def test_the_app_at_the_head_of_the_feed_is_no_review(self) -> None:
        page = read("feed.json")
        assert len(page.posts) == 3
        assert page.skipped == {"no text": 1}

    def test_one_review_comes_without_a_list(self) -> None:
        assert [post.native_id for post in read("single.json").posts] == ["9000000050"]

    def test_no_entry_is_an_empty_page(self) -> None:
        assert read("empty.json") == Page(())


class TestRange:
    def test_the_first_run_looks_back_some_days(self) -> None:
        pages = run(Store(EPOCH - 2 * DAY + 5, EPOCH - 2 * DAY - 5), days=2)
        assert idents(pages) == [1]
        assert pages[-1].cursor == {KEY: {"until": EPOCH}}
        assert pages[-1].skipped == {"older than asked for": 1}

    def test_the_next_run_meets_the_mark_with_one_request(self) -> None:
        service = Store(*(EPOCH - DAY * n for n in range(1, 300)))
        first = run(service)
        service.asked.clear()
        service.add(1000, EPOCH + 60)
        again = run(service, first[-1].cursor, now=NOW + timedelta(hours=1))
        assert 1000 in idents(again) and len(service.asked) == 1
        assert again[-1].cursor == {KEY: {"until": EPOCH + 3600}}

    def test_reviews_that_apple_lets_through_two_days_late_are_found(self) -> None:
        service = Store(*(EPOCH - 3600 * n for n in range(1, 200)))
        first = run(service)
        service.add(1000, EPOCH - 2 * DAY + 7200)
        again = run(service, first[-1].cursor, now=NOW + timedelta(hours=1))
        assert 1000 in idents(again)

    def test_an_edited_review_comes_again(self) -> None:
        service = Store(*(EPOCH - DAY * n for n in range(1, 300)))
        first = run(service)
        service.add(250, EPOCH + 60)
        edited = [post for page in run(service, first[-1].cursor, NOW + timedelta(hours=1)) for post in page.posts]
        assert edited[0].native_id == "250" and edited[0].text == f"text 250 of {EPOCH + 60}"

    def test_the_edge_of_the_overlap_is_read(self) -> None:
        pages = run(Store(EPOCH - 2 * DAY, EPOCH - 2 * DAY - 1), {KEY: {"until": EPOCH}})
        assert idents(pages) == [1]

    def test_a_clock_that_was_set_back_loses_nothing(self) -> None:
        pages = run(Store(EPOCH - 60), {KEY: {"until": EPOCH + DAY}})
        assert idents(pages) == [1]
        assert pages[-1].cursor == {KEY: {"until": EPOCH}}

    def test_apple_is_asked_no_more_than_20_times_a_minute(self) -> None:
        service = Store(*(EPOCH - n for n in range(120)))
        run(service)
        assert set(service.gaps) == {3.0}


class TestWalk:
    def test_all_pages_down_to_the_mark(self) -> None:
        service = Store(*(EPOCH - 600 * n for n in range(1, 231)), EPOCH - 30 * DAY)
        pages = run(service)
        assert idents(pages) == list(range(1, 231))
        assert [page.cursor for page in pages[:-1]] == [None] * (len(pages) - 1)
        assert all(page.gap is None for page in pages)

    def test_an_app_with_few_reviews_ends_with_an_empty_page(self) -> None:
        pages = run(Store(EPOCH - 60, EPOCH - 120))
        assert idents(pages) == [1, 2]
        assert pages[-1].gap is None and pages[-1].cursor

    def test_never_an_eleventh_page_and_the_rest_is_a_gap(self) -> None:
        service = Store(*(EPOCH - n for n in range(1, 801)))
        pages = run(service)
        last = pages[-1]
        assert len(service.asked) == 10 and len(idents(pages)) == 500
        assert last.gap and last.gap.since == NOW - timedelta(days=7)
        assert last.gap.until == NOW - timedelta(seconds=500)
        assert "no more than 500 reviews" in last.gap.why
        assert last.cursor == {KEY: {"until": EPOCH}}

    def test_an_empty_page_before_the_end_the_feed_names_is_a_gap(self) -> None:
        service = Store(*(EPOCH - n for n in range(1, 301)))

        def get(url: str, **told: Any) -> Response:
            service.silent = "page=3/" in url
            return service(url, **told)

        pages = run(get)
        assert len(idents(pages)) == 100
        assert pages[-1].gap and pages[-1].gap.until == NOW - timedelta(seconds=100)

    def test_reviews_that_arrive_during_the_walk_are_not_given_twice(self) -> None:
        service = Store(*(EPOCH - 600 * n for n in range(1, 231)))

        def busy(url: str, **told: Any) -> Response:
            reply = service(url, **told)
            service.add(1000 + len(service.asked), EPOCH + len(service.asked))
            return reply

        pages = run(busy)
        found = idents(pages)
        assert found == sorted(set(found)) and set(range(1, 231)) <= set(found)
        again = run(service, pages[-1].cursor, now=NOW + timedelta(hours=1))
        assert {1001, 1002, 1003} <= set(idents(again))

    def test_a_failure_on_the_way_moves_no_bookmark(self) -> None:
        service = Store(*(EPOCH - n for n in range(1, 301)))
        service.fails[2] = Retry("busy", after=5)
        pages = []
        with pytest.raises(Retry):
            for page in appstore.fetch(appstore.Settings(apps=[APP]), None, service, NOW, "store"):
                pages.append(page)
        assert len(pages) == 1 and pages[0].posts and pages[0].cursor is None


class TestFeedsWithoutDates:
    def service(self, count: int = 400) -> Store:
        service = Store(*(EPOCH - 600 * n for n in range(1, count + 1)))
        service.dated = False
        return service

    def test_the_newest_reviews_are_the_mark(self) -> None:
        service = self.service(30)
        first = run(service)
        assert idents(first) == list(range(1, 31))
        assert first[-1].cursor == {KEY: {"until": EPOCH, "ids": [str(n) for n in range(1, 11)]}}

    def test_the_next_run_stops_where_it_meets_them(self) -> None:
        service = self.service()
        first = run(service)
        for ident in range(1000, 1060):
            service.add(ident, EPOCH + ident)
        service.asked.clear()
        again = run(service, first[-1].cursor, now=NOW + timedelta(days=1))
        assert set(range(1000, 1060)) <= set(idents(again))
        assert len(service.asked) == 2 and again[-1].gap is None

    def test_one_that_was_edited_and_came_to_the_head_does_not_stop_it(self) -> None:
        service = self.service()
        first = run(service)
        for ident in range(1000, 1060):
            service.add(ident, EPOCH + ident)
        service.add(3, EPOCH + 5000)
        again = run(service, first[-1].cursor, now=NOW + timedelta(days=1))
        assert {3, *range(1000, 1060)} <= set(idents(again))


class TestEmptyIsUnknown:
    def test_an_empty_feed_of_an_app_with_ratings_is_an_error(self) -> None:
        service = Store(EPOCH - 60)
        service.silent = True
        with pytest.raises(Retry, match=r"no review of app 4000000010 in us, where it has 20 ratings.*remove"):
            run(service)

    def test_the_app_alone_in_its_feed_is_empty_too(self) -> None:
        service = Store(EPOCH - 60)
        service.silent = service.app_first = True
        with pytest.raises(Retry, match="20 ratings"):
            run(service)

    def test_it_moves_no_bookmark(self) -> None:
        service = Store(EPOCH - 60)
        service.silent = True
        pages = []
        with pytest.raises(Retry):
            for page in appstore.fetch(appstore.Settings(apps=[APP]), {KEY: {"until": 1}}, service, NOW, "store"):
                pages.append(page)
        assert pages == []

    def test_an_app_that_nobody_rated_has_no_reviews(self) -> None:
        pages = run(Store())
        assert (idents(pages), pages[-1].cursor) == ([], {KEY: {"until": EPOCH}})
        assert pages[-1].gap is None

    def test_an_app_that_is_not_in_the_storefront_is_told_apart(self) -> None:
        with pytest.raises(Broken, match="The App Store of fr knows no app 4000000010"):
            run(Store(EPOCH - 60), countries=["fr"])

    def test_a_lookup_that_is_none(self) -> None:
        def get(url: str, **_: Any) -> Response:
            return Response(200, url, {}, b'{"feed": {}}' if "rss" in url else b'{"error": 1}')

        with pytest.raises(Broken, match="list of results"):
            run(get)

    def test_other_storefronts_are_read_all_the_same(self) -> None:
        service = Store()
        service.ratings["us", APP] = 7
        service.add(70, EPOCH - 60, country="gb")
        service.add(80, EPOCH - 60, country="de")
        pages = []
        settings = appstore.Settings(apps=[APP], countries=["gb", "us", "de"])
        with pytest.raises(Retry, match="7 ratings"):
            for page in appstore.fetch(settings, None, service, NOW, "store"):
                pages.append(page)
        assert idents(pages) == [70, 80]


class TestSeveral:
    def test_each_app_and_storefront_has_its_bookmark(self) -> None:
        service = Store(EPOCH - 10)
        service.add(60, EPOCH - 20, country="gb")
        pages = run(service, countries=["us", "gb"])
        assert idents(pages) == [1, 60]
        assert pages[-1].cursor == {KEY: {"until": EPOCH}, f"gb/{APP}": {"until": EPOCH}}

    def test_a_server_that_is_tired_is_not_asked_for_the_others(self) -> None:
        service = Store(EPOCH - 10)
        service.fails[1] = Retry("too often", after=60, status=429)
        with pytest.raises(Retry):
            run(service, countries=["us", "gb", "de"])
        assert len(service.asked) == 1

    def test_many_feeds_share_the_requests_of_a_run(self) -> None:
        service = Store()
        countries = [f"{a}{b}" for a in "abc" for b in "abcdefghij"]
        for country in countries:
            for n in range(200):
                service.add(1000 + n, EPOCH - n, country=country)
        run(service, countries=countries)
        assert len(service.asked) <= 60

    @pytest.mark.parametrize(
        ("status", "error"), [(429, Retry), (502, Retry), (403, Refused), (400, Broken), (404, Broken)]
    )
    def test_statuses(self, status: int, error: type[Exception]) -> None:
        def get(url: str, **_: Any) -> Response:
            return _judge(Reply(status, {}, (PAYLOADS / "broken-page.html").read_bytes(), ""), url, url)

        with pytest.raises(error):
            run(get)


class TestBackfill:
    SINCE = NOW - timedelta(days=300)

    def back(self, service: Any, cursor: Mapping[str, Any] | None = None, **settings: Any) -> list[Page]:
        chosen = appstore.Settings.model_validate({"apps": [APP], **settings})
        return list(appstore.backfill(chosen, self.SINCE, cursor, service, NOW, "store"))

    def test_everything_back_to_the_day(self) -> None:
        pages = self.back(Store(*(EPOCH - DAY * n for n in range(1, 401))))
        assert idents(pages) == list(range(1, 301))
        assert pages[-1].cursor == {} and all(page.gap is None for page in pages)

    def test_what_the_feed_does_not_reach_is_a_gap(self) -> None:
        pages = self.back(Store(*(EPOCH - 600 * n for n in range(1, 900))))
        assert len(idents(pages)) == 500
        assert [page.gap.until for page in pages if page.gap] == [NOW - timedelta(seconds=300_000)]

    def test_a_feed_that_is_done_is_not_read_again(self) -> None:
        service = Store(EPOCH - 10)
        service.add(60, EPOCH - 20, country="gb")
        service.fails[3] = Retry("busy")
        pages = []
        settings = appstore.Settings(apps=[APP], countries=["us", "gb"])
        with pytest.raises(Retry):
            for page in appstore.backfill(settings, self.SINCE, None, service, NOW, "store"):
                pages.append(page)
        cursor = json.loads(json.dumps(pages[-1].cursor))
        service.asked.clear()
        rest = self.back(service, cursor, countries=["us", "gb"])
        assert idents(pages) + idents(rest) == [1, 60] and len(service.asked) == 2


class TestSettings:
    @pytest.mark.parametrize(
        "told",
        [
            {}, {"apps": []}, {"apps": [0]}, {"apps": ["com.example"]}, {"apps": [1], "countries": []},
            {"apps": [1], "countries": ["uk"]}, {"apps": [1], "countries": ["usa"]},
            {"apps": list(range(1, 32))}, {"apps": [1], "days": 0},
        ],
    )  # fmt: skip
    def test_those_that_would_find_nothing_are_refused(self, told: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            appstore.Settings.model_validate(told)

    def test_storefronts_are_told_in_small_letters_and_once(self) -> None:
        assert appstore.Settings(apps=[1], countries=["US", "us", "Gb"]).countries == ["us", "gb"]


FILES = sorted(PAYLOADS.glob("*.json"))


@given(st.sampled_from(FILES).flatmap(lambda file: mutated(file.read_bytes())))
def test_any_payload_is_read_or_broken(payload: bytes) -> None:
    try:
        page = appstore.parse(payload, app=APP, country="us", name="store", now=NOW)
    except Broken:
        return
    assert all(post.text and post.native_id for post in page.posts)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
LABEL = JSON | st.fixed_dictionaries({"label": JSON})
FIELDS = (
    "id", "title", "content", "author", "updated", "im:rating", "im:voteSum", "im:voteCount", "im:name", "link",
)  # fmt: skip


@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), LABEL), max_size=4) | JSON, JSON, JSON)
def test_any_value_in_any_field_is_read_or_an_error_of_ours(entry: Any, link: Any, results: Any) -> None:
    payload = json.dumps({"feed": {"entry": entry, "link": link}, "results": results}).encode()
    try:
        for page in run(lambda url, **_: Response(200, url, {}, payload)):
            for post in page.posts:
                assert post.text and (post.created_at is None or post.created_at <= NOW + timedelta(hours=1))
                (post.text + post.title + post.native_id + post.author).encode()
    except (Broken, Retry):
        return
