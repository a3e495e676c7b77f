"""X, through a small imitation of its paid search that keeps the real one's limits and counts what it charges for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import mutated
from pydantic import ValidationError

from listener.errors import Broken, Disabled, Refused, Retry, SourceError, Unauthorised
from listener.http import Response
from listener.records import Page
from listener.sources import x
from listener.sources.x_posts import id_at, second_of

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
EPOCH = int(NOW.timestamp())
DAY = 86400
PAYLOADS = Path(__file__).parent / "payloads" / "x"
HALF_AN_HOUR = timedelta(minutes=30)


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X_TOKEN", "a-bearer-token")


def ident(second: float, number: int = 0) -> str:
    return str(id_at(second) + number)


class Search:
    """Answers as /2/tweets/search/recent does: newest first, between two ids, at most max_results, seven days."""

    def __init__(self, *moments: float, now: datetime = NOW) -> None:
        self.now = now
        self.posts = {ident(at, number): f"text {number}" for number, at in enumerate(moments, start=1)}
        self.asked: list[Mapping[str, str]] = []
        self.charged: set[str] = set()
        self.failing: dict[int, SourceError] = {}  # number of the request -> what becomes of it

    def add(self, *moments: float) -> None:
        for at in moments:
            number = len(self.posts) + 1
            self.posts[ident(at, number)] = f"text {number}"

    def __call__(self, url: str, *, params: Mapping[str, str], headers: Mapping[str, str], **_: Any) -> Response:
        assert headers == {"Authorization": "Bearer a-bearer-token"}
        assert url == "https://api.x.com/2/tweets/search/recent"
        self.asked.append(params)
        if len(self.asked) in self.failing:
            raise self.failing[len(self.asked)]
        assert 10 <= int(params["max_results"]) <= 100
        assert len(params["query"]) <= 512
        since, until = int(params["since_id"]), int(params.get("until_id", 2**63 - 1))
        assert since + 1 < until, "X does not take an until_id that leaves nothing"
        if second_of(since) < self.now.timestamp() - 7 * DAY:
            told = {"errors": [{"message": "'since_id' must be a tweet id created after 2026"}], "title": "Invalid"}
            raise Broken("answers with status 400", json.dumps(told).encode(), 400)
        held_back = self.now.timestamp() - 30
        within = [int(each) for each in self.posts if since < int(each) < until and second_of(int(each)) <= held_back]
        newest = sorted(within, reverse=True)[: int(params["max_results"])]
        self.charged |= {str(each) for each in newest}
        data = [{"id": str(each), "text": self.posts[str(each)], "author_id": "7"} for each in newest]
        meta: dict[str, Any] = {"result_count": len(data)}
        if len(newest) < len(within):
            meta["next_token"] = "b26v89"
        return Response(200, url, {}, json.dumps({"data": data, "meta": meta} if data else {"meta": meta}).encode())


def settings(**told: Any) -> x.Settings:
    given_ = {"queries": ["Lumen"], "token": {"env": "X_TOKEN"}, "daily_posts_cap": 5000, **told}
    return x.Settings.model_validate({key: value for key, value in given_.items() if value is not None})


def run(get: Any, cursor: Mapping[str, Any] | None = None, now: datetime = NOW, **told: Any) -> list[Page]:
    if isinstance(get, Search):
        get.now = now
    pages = list(x.fetch(settings(**told), cursor, get, now, "x"))
    assert all(json.loads(json.dumps(page.cursor)) == page.cursor for page in pages)
    return pages


def failing_run(
    get: Any, cursor: Mapping[str, Any] | None = None, now: datetime = NOW, **told: Any
) -> tuple[list[Page], SourceError]:
    pages: list[Page] = []
    if isinstance(get, Search):
        get.now = now
    with pytest.raises(SourceError) as caught:
        for page in x.fetch(settings(**told), cursor, get, now, "x"):
            pages.append(page)
    return pages, caught.value


def texts(pages: list[Page]) -> list[int]:
    return sorted(int(post.text.removeprefix("text ")) for page in pages for post in page.posts)


def marks(page: Page) -> Mapping[str, Any]:
    assert page.cursor is not None
    found: Mapping[str, Any] = page.cursor["marks"]
    return found


class TestParse:
    def page(self) -> Page:
        return x.parse((PAYLOADS / "search.json").read_bytes(), name="x", now=NOW)

    def test_a_post(self) -> None:
        post = self.page().posts[0]
        assert post.text == "Hotel Lumen & its bar: two nights, no complaints <3"
        assert (post.kind, post.author, post.lang, post.parent) == ("post", "7001", "en", "")
        assert post.url == f"https://x.com/i/web/status/{post.native_id}"
        assert post.created_at == datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
        assert post.engagement == {"likes": 4, "replies": 1, "reposts": 0, "quotes": 0}

    def test_an_answer_knows_what_it_answers(self) -> None:
        answer = self.page().posts[2]
        assert answer.kind == "comment"
        assert second_of(int(answer.parent)) == datetime(2026, 11, 21, 19, 0, tzinfo=UTC).timestamp()

    def test_a_long_post_comes_whole_and_without_a_language_that_is_none(self) -> None:
        long = self.page().posts[3]
        assert long.text.endswith("found our suitcase.")
        assert long.lang == ""

    def test_the_version_before_an_edit_is_gone_and_what_is_withheld_too(self) -> None:
        page = self.page()
        assert page.posts[1].text == "Breakfast at the Lumen ran late again (edited)"
        assert len(page.deleted) == 2
        assert not set(page.deleted) & {post.native_id for post in page.posts}

    def test_what_is_dropped_is_counted(self) -> None:
        assert self.page().skipped == {"withheld": 1, "no id": 1}

    def test_a_version_that_was_edited_since_is_no_post(self) -> None:
        old, new = ident(EPOCH - 90), ident(EPOCH - 30)
        hit = {"id": old, "text": "before", "edit_history_tweet_ids": [old, new]}
        page = x.parse(json.dumps({"data": [hit]}).encode(), name="x", now=NOW)
        assert (page.posts, page.deleted, page.skipped) == ((), (old,), {"edited since": 1})

    def test_nothing_found_is_an_empty_page(self) -> None:
        assert x.parse(b'{"meta": {"result_count": 0}}', name="x", now=NOW) == Page(())

    def test_errors_in_place_of_posts_are_no_empty_page(self) -> None:
        with pytest.raises(Broken):
            x.parse(b'{"errors": [{"title": "over capacity"}]}', name="x", now=NOW)


class TestWalk:
    def test_asks_for_posts_and_no_reposts(self) -> None:
        search = Search()
        run(search, queries=['  "Hotel Lumen"  OR lumenhotel'])
        assert search.asked[0]["query"] == '("Hotel Lumen" OR lumenhotel) -is:retweet'
        assert "until_id" not in search.asked[0]

    def test_the_first_run_looks_back_some_days(self) -> None:
        search = Search(EPOCH - 2 * DAY + 60, EPOCH - 2 * DAY - 60)
        assert texts(run(search, days=2)) == [1]

    def test_seven_days_are_no_gap(self) -> None:
        pages = run(Search(EPOCH - 6.9 * DAY), days=7)
        assert texts(pages) == [1]
        assert all(page.gap is None for page in pages)

    def test_a_walk_of_several_pages_is_read_whole_and_only_its_end_moves_the_bookmark(self) -> None:
        pages = run(Search(*(EPOCH - 60 - n * 20 for n in range(450))))
        assert texts(pages) == list(range(1, 451))
        assert len(pages) == 5
        assert [bool(marks(page)) for page in pages] == [False] * 4 + [True]
        assert pages[-1].cursor is not None and pages[-1].cursor["walks"] == {}

    def test_the_next_run_reads_what_is_new_and_a_minute_more(self) -> None:
        search = Search(EPOCH - 100, EPOCH - 5000)
        first = run(search)
        search.add(EPOCH - 130, EPOCH - 200, EPOCH + 1000)  # two of them were shown late
        assert texts(run(search, first[-1].cursor, NOW + HALF_AN_HOUR)) == [1, 3, 5]

    def test_posts_of_one_millisecond_at_the_edge_of_a_page_are_not_lost(self) -> None:
        pages = run(Search(*[EPOCH - 100.0] * 250))
        assert texts(pages) == list(range(1, 251))

    def test_what_arrives_during_the_walk_is_read_by_the_next_run(self) -> None:
        search = Search(*(EPOCH - 60 - n * 20 for n in range(150)))
        pages = []
        for page in x.fetch(settings(), None, search, NOW, "x"):
            pages.append(page)
            if len(pages) == 1:
                search.add(EPOCH - 40)
        assert texts(pages) == list(range(1, 151))
        assert 151 in texts(run(search, pages[-1].cursor, NOW + HALF_AN_HOUR))

    @pytest.mark.parametrize("hours", [-30, -1, 1, 30])
    def test_a_clock_that_was_wrong_loses_no_posts(self, hours: int) -> None:
        search = Search(EPOCH - 600)
        cursor = run(search)[-1].cursor
        search.add(EPOCH + 60)
        wrong = NOW + timedelta(hours=hours)
        cursor = list(x.fetch(settings(), cursor, search, wrong, "x"))[-1].cursor
        search.add(EPOCH + 600, EPOCH + 900)
        pages = run(search, cursor, NOW + HALF_AN_HOUR)
        assert {3, 4} <= set(texts(pages))

    def test_a_source_that_finds_nothing_still_looks_back_to_where_it_began(self) -> None:
        search = Search()
        cursor = run(search)[-1].cursor
        search.add(EPOCH + 60)
        assert texts(run(search, cursor, NOW + timedelta(days=3))) == [1]

    def test_a_failure_on_the_way_is_gone_on_from(self) -> None:
        search = Search(*(EPOCH - 60 - n * 20 for n in range(250)))
        search.failing[2] = Retry("busy", after=5)
        pages, error = failing_run(search)
        assert isinstance(error, Retry) and error.after == 5
        assert not marks(pages[-1])
        search.add(EPOCH + 300)
        rest = run(search, pages[-1].cursor, NOW + HALF_AN_HOUR)
        assert sorted(set(texts(pages + rest))) == list(range(1, 252))
        assert len(texts(pages + rest)) < 251 + 10  # nothing but the minute of overlap was read twice

    def test_a_run_ends_after_twenty_requests_and_the_next_goes_on(self) -> None:
        search = Search(*(EPOCH - 60 - n * 10 for n in range(2500)))
        pages = run(search)
        assert len(search.asked) == 20
        assert not marks(pages[-1]) and all(page.gap is None for page in pages)
        pages += run(search, pages[-1].cursor, NOW + HALF_AN_HOUR)
        assert sorted(set(texts(pages))) == list(range(1, 2501))

    def test_a_search_that_ignores_where_to_go_on_is_broken_and_paid_for_once(self) -> None:
        search = Search(*(EPOCH - 60 - n for n in range(150)))

        def deaf(url: str, *, params: Mapping[str, str], **told: Any) -> Response:
            return search(url, params={key: value for key, value in params.items() if key != "until_id"}, **told)

        pages, error = failing_run(deaf)
        assert isinstance(error, Broken)
        assert x.spent(pages[-1].cursor).startswith("100 of 5,000 posts")

    def test_an_empty_page_that_promises_more_is_broken(self) -> None:
        body = b'{"meta": {"result_count": 0, "next_token": "b26v89"}}'
        assert isinstance(failing_run(lambda url, **_: Response(200, url, {}, body))[1], Broken)


class TestTurns:
    @staticmethod
    def asked(error: SourceError) -> tuple[list[str], list[Page], SourceError]:
        """What is asked for, and brought, where the search that waited longest fails."""
        search, asked = Search(EPOCH - 600), []

        def get(url: str, *, params: Mapping[str, str], **told: Any) -> Response:
            asked.append(params["query"].partition(")")[0].lstrip("("))
            if asked[-1] == "Slow":
                raise error
            return search(url, params=params, **told)

        pages, met = failing_run(get, queries=["Slow", "Lumen"])
        return asked, pages, met

    @pytest.mark.parametrize("status", [0, 500, 503])
    def test_a_search_that_fails_for_now_leaves_the_others_their_turn(self, status: int) -> None:
        busy = Retry("busy", status=status)
        asked, pages, error = self.asked(busy)
        assert (asked, error) == (["Slow", "Lumen"], busy)
        assert texts(pages) == [1] and set(marks(pages[-1])) == {"Lumen"}

    @pytest.mark.parametrize("told", [{"after": 60.0}, {"status": 429}])
    def test_where_x_asks_us_to_wait_nothing_more_is_asked(self, told: dict[str, Any]) -> None:
        busy = Retry("too often", **told)
        assert self.asked(busy) == (["Slow"], [], busy)


class TestReach:
    def test_a_source_that_slept_longer_than_a_week_has_a_gap(self) -> None:
        search = Search(EPOCH - 600)
        cursor = run(search)[-1].cursor
        search.add(EPOCH + 600, EPOCH + 8 * DAY)
        last = run(search, cursor, NOW + timedelta(days=9))[-1]
        assert texts([last]) == [3]
        assert last.gap is not None and "Lumen" in last.gap.why
        assert last.gap.since == NOW
        assert last.gap.until is not None and timedelta(0) <= last.gap.until - (NOW + timedelta(days=2)) < HALF_AN_HOUR
        again = run(search, last.cursor, NOW + timedelta(days=9, minutes=30))
        assert all(page.gap is None for page in again)

    def test_a_quiet_week_is_no_gap(self) -> None:
        search = Search(EPOCH - 600)
        cursor = run(search)[-1].cursor
        for day in range(1, 12):
            pages = run(search, cursor, NOW + timedelta(days=day))
            assert all(page.gap is None for page in pages)
            cursor = pages[-1].cursor

    def test_a_walk_that_was_cut_off_and_aged_out_is_a_gap(self) -> None:
        search = Search(*(EPOCH - 60 - n * 100 for n in range(300)))
        pages, _ = failing_run(search, daily_posts_cap=100)
        later = run(search, pages[-1].cursor, NOW + timedelta(days=8))
        gaps = [page.gap for page in later if page.gap]
        assert len(gaps) == 2  # what the walk had left, and the days since
        assert gaps[0].since == NOW - timedelta(days=1)
        assert gaps[0].until == datetime.fromtimestamp(EPOCH - 60 - 99 * 100, UTC)
        assert gaps[1].since == NOW


class TestCaps:
    def test_the_day_is_used_up_exactly_and_the_next_day_goes_on(self) -> None:
        search = Search(*(EPOCH - 60 - n * 100 for n in range(400)))
        pages, error = failing_run(search, daily_posts_cap=250)
        assert isinstance(error, Retry) and error.after == 12 * 3600
        assert "250 of 250 posts on 2026-11-22" in str(error) and "2026-11-23 00:00 UTC" in str(error)
        assert len(search.charged) == 250
        assert x.spent(pages[-1].cursor) == "250 of 250 posts on 2026-11-22, 1.25 USD in 2026-11 (UTC)"
        assert not marks(pages[-1])
        rest = run(search, pages[-1].cursor, NOW + timedelta(days=1), daily_posts_cap=250)
        assert sorted(set(texts(pages + rest))) == list(range(1, 401))

    def test_nobody_is_asked_while_the_cap_is_reached(self) -> None:
        search = Search(*(EPOCH - 60 - n * 100 for n in range(400)))
        pages, _ = failing_run(search, daily_posts_cap=100)
        before = len(search.asked)
        pages, error = failing_run(search, pages[-1].cursor, NOW + timedelta(hours=3), daily_posts_cap=100)
        assert (pages, len(search.asked)) == ([], before)
        assert isinstance(error, Retry) and error.after == 9 * 3600

    def test_a_cap_that_was_raised_holds_at_once(self) -> None:
        search = Search(*(EPOCH - 60 - n * 100 for n in range(150)))
        pages, _ = failing_run(search, daily_posts_cap=100)
        rest = run(search, pages[-1].cursor, NOW + HALF_AN_HOUR, daily_posts_cap=200)
        assert {*range(101, 151)} <= set(texts(rest)) and len(search.charged) == 150

    @pytest.mark.parametrize("cap", [10, 17, 109, 195])
    def test_no_cap_is_ever_passed(self, cap: int) -> None:
        search = Search(*(EPOCH - 60 - n * 100 for n in range(400)))
        failing_run(search, daily_posts_cap=cap)
        assert cap - 10 < len(search.charged) <= cap

    def test_the_month_holds_as_well_and_ends_with_it(self) -> None:
        search = Search(*(EPOCH - 60 - n * 100 for n in range(400)))
        pages, error = failing_run(search, daily_posts_cap=None, monthly_spend_cap=2.0, price_per_post=0.01)
        assert len(search.charged) == 200
        assert isinstance(error, Retry) and error.after == 8.5 * DAY
        assert "2.00 of 2.00 USD in 2026-11" in str(error) and "monthly_spend_cap" in str(error)
        told = {"daily_posts_cap": None, "monthly_spend_cap": 2.0, "price_per_post": 0.01}
        december = datetime(2026, 12, 1, tzinfo=UTC)
        rest = list(x.fetch(settings(**told), pages[-1].cursor, Search(now=december), december, "x"))
        assert x.spent(rest[-1].cursor) == "0 posts on 2026-12-01, 0.00 of 2.00 USD in 2026-12 (UTC)"

    def test_the_year_ends_too(self) -> None:
        now = datetime(2026, 12, 31, 23, 0, tzinfo=UTC)
        search = Search(*(now.timestamp() - 60 - n * 100 for n in range(400)), now=now)
        error = failing_run(search, None, now, daily_posts_cap=None, monthly_spend_cap=0.05)[1]
        assert isinstance(error, Retry) and error.after == 3600

    def test_money_adds_up_over_days(self) -> None:
        search = Search(*(EPOCH - 60 - n * 100 for n in range(40)))
        cursor = run(search)[-1].cursor
        search.add(*(EPOCH + DAY - 600 + n for n in range(20)))
        cursor = run(search, cursor, NOW + timedelta(days=1))[-1].cursor
        assert x.spent(cursor) == "20 of 5,000 posts on 2026-11-23, 0.30 USD in 2026-11 (UTC)"

    def test_what_two_queries_find_is_given_and_counted_once(self) -> None:
        search = Search(*(EPOCH - 60 - n * 100 for n in range(40)))
        pages = run(search, queries=["Lumen", "Hotel Lumen"])
        assert texts(pages) == list(range(1, 41))
        assert x.spent(pages[-1].cursor).startswith("40 of")

    def test_the_query_that_waited_longest_comes_first(self) -> None:
        search = Search(*(EPOCH - 60 - n * 100 for n in range(150)))
        pages, _ = failing_run(search, queries=["Lumen", "Other"], daily_posts_cap=155)
        assert set(marks(pages[-1])) == {"Lumen"}
        asked = len(search.asked)
        run(search, pages[-1].cursor, NOW + timedelta(days=1), queries=["Lumen", "Other"])
        assert search.asked[asked]["query"] == "(Other) -is:retweet"

    def test_before_the_first_run_there_is_nothing_to_say(self) -> None:
        assert x.spent(None) == x.spent({}) == ""

    def test_a_removed_query_is_forgotten(self) -> None:
        search = Search(EPOCH - 60)
        cursor = run(search, queries=["Lumen", "Gone"])[-1].cursor
        assert set(marks(run(search, cursor, NOW + HALF_AN_HOUR)[-1])) == {"Lumen"}


def failure(kind: type[SourceError], status: int, **told: Any) -> SourceError:
    """What the door out makes of a reply of X with this status and this body."""
    if kind is Retry:
        return Retry("as the door says it", 60, json.dumps(told).encode(), status)
    return kind("as the door says it", json.dumps(told).encode(), status)


class TestErrors:
    def error(self, met: SourceError, **told: Any) -> SourceError:
        search = Search(EPOCH - 60)
        search.failing[1] = met
        return failing_run(search, **told)[1]

    def test_a_query_that_x_does_not_take(self) -> None:
        told = {"errors": [{"message": "unbalanced quotation marks"}], "title": "Invalid Request"}
        error = self.error(failure(Broken, 400, **told))
        assert type(error) is Refused
        assert "'Lumen'" in str(error) and "unbalanced quotation marks" in str(error)

    def test_an_account_without_credits(self) -> None:
        told = {
            "title": "CreditsDepleted",
            "detail": "no credits",
            "type": "https://api.twitter.com/2/problems/credits",
        }
        assert type(self.error(failure(Broken, 402, **told))) is Refused
        assert type(self.error(failure(Broken, 402))) is Refused

    def test_a_cap_of_the_account_itself_is_waited_for_until_the_month_ends(self) -> None:
        told = {"title": "UsageCapExceeded", "type": "https://api.twitter.com/2/problems/usage-capped"}
        error = self.error(failure(Retry, 429, **told))
        assert isinstance(error, Retry) and error.after == 8.5 * DAY

    def test_too_many_requests_wait_as_the_server_says(self) -> None:
        error = self.error(failure(Retry, 429, title="Too Many Requests"))
        assert isinstance(error, Retry) and error.after == 60

    @pytest.mark.parametrize("kind", [Unauthorised, Refused])
    def test_credentials(self, kind: type[SourceError]) -> None:
        status = 401 if kind is Unauthorised else 403
        assert type(self.error(failure(kind, status, title="Unauthorized"))) is kind

    def test_one_bad_query_does_not_keep_the_others_from_being_read(self) -> None:
        search = Search(EPOCH - 60)
        search.failing[1] = failure(Broken, 400, title="Invalid Request")
        pages, error = failing_run(search, queries=["(", "Lumen"])
        assert texts(pages) == [1] and set(marks(pages[-1])) == {"Lumen"}
        assert "'('" in str(error)

    def test_a_token_that_is_not_taken_ends_the_run(self) -> None:
        search = Search(EPOCH - 60)
        search.failing[1] = failure(Unauthorised, 401)
        failing_run(search, queries=["Lumen", "Other"])
        assert len(search.asked) == 1

    def test_without_a_token_nobody_is_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert isinstance(failing_run(Search(), token=None)[1], Disabled)
        monkeypatch.delenv("X_TOKEN")
        search = Search()
        error = failing_run(search)[1]
        assert isinstance(error, Disabled) and "X_TOKEN" in str(error)
        assert search.asked == []

    @pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"errors": 7}', b'{"errors": [7]}', b"[" * 100_000])
    def test_a_reply_that_explains_nothing(self, body: bytes) -> None:
        met = Refused("as the door says it", body, 403)
        assert self.error(met) is met


class TestRecheck:
    def ask(self, reply: Any, *idents: str, **told: Any) -> list[Page]:
        def get(url: str, *, params: Mapping[str, str], headers: Mapping[str, str], **_: Any) -> Response:
            assert url == "https://api.x.com/2/tweets"
            assert params["ids"] == ",".join(idents)
            return Response(200, url, {}, json.dumps(reply).encode())

        asking: Any = get
        return list(x.recheck(settings(**{"recheck": True, **told}), None, list(idents), asking, NOW, "x"))

    def within(self, spent: int, *idents: str) -> tuple[list[str], list[Page], SourceError | None]:
        """What is asked after when so many posts of a daily cap of 100 were read: ids, pages and how it ended."""
        asked: list[str] = []

        def get(url: str, *, params: Mapping[str, str], **_: Any) -> Response:
            asked.extend(params["ids"].split(","))
            found = [{"id": ident, "text": "still here"} for ident in params["ids"].split(",")]
            return Response(200, url, {}, json.dumps({"data": found}).encode())

        day = {"day": f"{NOW:%Y-%m-%d}", "month": f"{NOW:%Y-%m}", "posts": spent, "usd": spent * 0.005}
        cursor, door = {"marks": {}, "walks": {}, "spent": day}, cast(Any, get)
        pages: list[Page] = []
        try:
            pages += x.recheck(settings(recheck=True, daily_posts_cap=100), cursor, idents, door, NOW, "x")
        except SourceError as error:
            return asked, pages, error
        return asked, pages, None

    def test_the_caps_hold_it_and_half_of_what_they_leave_is_for_new_posts(self) -> None:
        asked, (page,), error = self.within(90, "1", "2", "3")
        assert (asked, error) == (["1", "2", "3"], None)
        assert page.cursor and page.cursor["spent"]["posts"] == 93
        asked, _, error = self.within(96, "1", "2", "3")
        assert asked == ["1", "2"]
        assert isinstance(error, Retry) and error.after is None, "new posts are read when they are due"
        asked, pages, error = self.within(99, "1", "2", "3")
        assert asked == pages == [] and isinstance(error, Retry) and "kept for new posts" in str(error)

    def test_costs_nothing_unless_it_is_asked_for(self) -> None:
        assert self.ask(None, "1", recheck=False) == []

    def test_what_is_deleted_closed_withheld_or_edited_is_gone(self) -> None:
        problem = "https://api.twitter.com/2/problems/"
        reply = {
            "data": [
                {"id": "10", "text": "still here", "public_metrics": {"like_count": 3}},
                {"id": "11", "text": "withheld", "withheld": {"country_codes": ["DE"]}},
                {"id": "12", "text": "before", "edit_history_tweet_ids": ["12", "99"]},
            ],
            "errors": [
                {"resource_id": "13", "type": problem + "resource-not-found"},
                {"resource_id": "14", "type": problem + "not-authorized-for-resource"},
                {"resource_id": "15", "type": problem + "operational-disconnect"},
                {"resource_id": "77", "type": problem + "resource-not-found"},
            ],
        }
        (page,) = self.ask(reply, "10", "11", "12", "13", "14", "15")
        assert [(post.native_id, post.engagement) for post in page.posts] == [("10", {"likes": 3})]
        assert page.deleted == ("11", "12", "13", "14")
        assert page.cursor and page.cursor["spent"]["posts"] == 3

    def test_all_may_be_gone(self) -> None:
        gone = {"resource_id": "1", "type": "https://api.twitter.com/2/problems/resource-not-found"}
        (page,) = self.ask({"errors": [gone]}, "1")
        assert (page.posts, page.deleted) == ((), ("1",))

    @pytest.mark.parametrize("reply", [{}, [], {"meta": {"result_count": 0}}, {"title": "over capacity"}])
    def test_a_reply_that_tells_nothing_deletes_nothing(self, reply: Any) -> None:
        with pytest.raises(Broken):
            self.ask(reply, "1")


@pytest.mark.parametrize(
    "told",
    [
        {"queries": []},
        {"queries": [" "]},
        {"queries": ["a" * 500]},
        {"daily_posts_cap": None},
        {"daily_posts_cap": 9},
        {"monthly_spend_cap": 0.04},
        {"price_per_post": 0},
        {"days": 8},
        {"token": "a-bearer-token"},
    ],
)
def test_settings_that_would_find_nothing_or_spend_without_end_are_refused(told: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(**told)


@given(mutated((PAYLOADS / "search.json").read_bytes()))
def test_any_payload_is_read_or_broken(payload: bytes) -> None:
    try:
        page = x.parse(payload, name="x", now=NOW)
    except Broken:
        return
    assert all(post.text and post.native_id for post in page.posts)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = (
    "id",
    "text",
    "author_id",
    "created_at",
    "lang",
    "public_metrics",
    "note_tweet",
    "withheld",
    "referenced_tweets",
    "edit_history_tweet_ids",
)


@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), JSON, min_size=1), max_size=4), JSON, JSON)
def test_any_value_in_any_field_is_read_or_broken(hits: list[dict[str, Any]], meta: Any, errors: Any) -> None:
    for hit in hits[1:]:
        hit["id"] = "1790000000000000000"
    body = json.dumps({"data": hits, "meta": meta, "errors": errors}).encode()

    def get(url: str, **_: Any) -> Response:
        return Response(200, url, {}, body)

    chosen = settings(token={"file": str(PAYLOADS / "contract.toml")}, recheck=True)
    asking: Any = get
    for walk in (x.fetch(chosen, None, asking, NOW, "x"), x.recheck(chosen, None, ["1"], asking, NOW, "x")):
        try:
            posts = [post for page in walk for post in page.posts]
        except Broken:
            continue
        for post in posts:
            assert post.text and (post.created_at is None or post.created_at <= NOW + timedelta(hours=1))
            (post.text + post.native_id + post.author + post.parent + post.lang).encode()
