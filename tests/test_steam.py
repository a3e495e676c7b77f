"""Steam, through a small imitation of its reviews interface that keeps the real one's limits and oddities."""

from __future__ import annotations

import json
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
from listener.sources import steam

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
EPOCH = int(NOW.timestamp())
DAY = 86400
PAYLOADS = Path(__file__).parent / "payloads" / "steam"
URL = "https://api.steampowered.com/IUserReviewsService/GetAppReviews/v1/"
APP = 4000010


class Steam:
    """Answers as GetAppReviews does: by change (2) or by time (1), 100 a page, a cursor that repeats at the end.

    The summary comes with the first page only; a range counts only with both its ends; an unknown app is {}.
    """

    def __init__(self, *written: int, app: int = APP) -> None:
        self.apps: dict[int, dict[int, tuple[int, int]]] = {app: {}}
        for ident, at in enumerate(written, start=1):
            self.add(ident, at, app=app)
        self.asked: list[dict[str, Any]] = []
        self.page = 100
        self.cut_after: int | None = None  # requests after which the list seems to end
        self.fails: dict[int, Exception] = {}  # by number of the request

    def add(self, ident: int, written: int, changed: int | None = None, app: int = APP) -> None:
        self.apps.setdefault(app, {})[ident] = (written, changed or written)

    def __call__(self, url: str, *, params: Mapping[str, str], **_: Any) -> Response:
        assert url == URL and list(params) == ["input_json"]
        asked = json.loads(params["input_json"])
        self.asked.append(asked)
        if len(self.asked) in self.fails:
            raise self.fails[len(self.asked)]
        assert asked["num_per_page"] <= 100 and asked["review_type"] == 0 and asked["purchase_type"] == 1
        if asked["appid"] not in self.apps:
            return self._reply({})
        reviews = self.apps[asked["appid"]]
        by = {1: 0, 2: 1}[asked["filter"]]
        order = sorted(reviews, key=lambda ident: (reviews[ident][by], ident), reverse=True)
        if "date_range_start" in asked and "date_range_end" in asked:
            span = range(asked["date_range_start"], asked["date_range_end"] + 1)
            order = [ident for ident in order if reviews[ident][0] in span]
        total = len(reviews)
        if asked["cursor"] != "*":
            assert asked["cursor"].startswith("AoJ+/") and asked["cursor"].endswith("=")
            at, ident = map(int, asked["cursor"][5:-1].split("."))
            order = [one for one in order if (reviews[one][by], one) < (at, ident)]
        if self.cut_after is not None and len(self.asked) > self.cut_after:
            order = []
        shown = order[: self.page]
        answer: dict[str, Any] = {"cursor": asked["cursor"]}
        if shown:
            answer["reviews"] = [self._review(ident, *reviews[ident]) for ident in shown]
            answer["cursor"] = f"AoJ+/{reviews[shown[-1]][by]}.{shown[-1]}="
        if asked["cursor"] == "*":
            answer["query_summary"] = {"num_reviews": len(shown), "total_reviews": total}
        return self._reply(answer)

    def _review(self, ident: int, written: int, changed: int) -> dict[str, Any]:
        return {
            "recommendationid": str(ident),
            "author": {"steamid": str(76500000000000000 + ident)},
            "review": f"text {ident} of {changed}",
            "language": "english",
            "voted_up": ident % 2 == 0,
            "timestamp_created": written,
            "timestamp_updated": changed,
        }

    def _reply(self, answer: dict[str, Any]) -> Response:
        return Response(200, URL, {}, json.dumps({"response": answer}).encode())


def run(service: Any, cursor: Mapping[str, Any] | None = None, now: datetime = NOW, **settings: Any) -> list[Page]:
    chosen = steam.Settings.model_validate({"apps": [APP], **settings})
    return list(steam.fetch(chosen, cursor, service, now, "steam"))


def idents(pages: list[Page]) -> list[int]:
    return sorted(int(post.native_id) for page in pages for post in page.posts)


class TestParse:
    def page(self) -> Page:
        return steam.parse((PAYLOADS / "reviews.json").read_bytes(), app=APP, name="steam", now=NOW)

    def test_a_review(self) -> None:
        review = self.page().posts[0]
        assert (review.native_id, review.kind, review.author) == ("900000004", "review", "76500000000000004")
        assert review.url == "https://steamcommunity.com/profiles/76500000000000004/recommended/4000010/"
        assert review.created_at == datetime.fromtimestamp(1795080000, UTC)
        assert review.edited_at == datetime.fromtimestamp(1795255200, UTC)

    def test_its_marks_go_and_its_words_stay(self) -> None:
        assert self.page().posts[0].text == (
            "Lantern Harbour\nCosy, but the ferry quest crashes.\nnice music\nslow start\n"
            "I <3 it, 8/10 [sic] & more. map"
        )

    @pytest.mark.parametrize(
        ("bbcode", "text"),
        [
            ("[quote=somebody]well[/quote]yes", "well\nyes"),
            ("[table][tr][th]a[/th][td]b[/td][/tr][/table]", "a b"),
            ("[SPOILER]the end[/SPOILER] [strike]good[/strike]", "the end good"),
            ("[previewyoutube=abc;full][/previewyoutube][hr][/hr]x", "x"),
            ("[not a tag] [10/10] [b", "[not a tag] [10/10] [b"),
            ("[olist]\n[*] one\n[/olist]", "one"),
        ],
    )
    def test_tags(self, bbcode: str, text: str) -> None:
        reply = {"response": {"reviews": [{"recommendationid": 1, "review": bbcode}]}}
        assert steam.parse(json.dumps(reply).encode(), app=1, name="s", now=NOW).posts[0].text == text

    def test_thumbs_are_a_rating_from_0_to_1(self) -> None:
        up, down, _ = self.page().posts
        assert (up.rating, down.rating) == (Rating(1, worst=0, best=1), Rating(0, worst=0, best=1))
        assert up.rating and down.rating and (up.rating.share, down.rating.share) == (1.0, 0.0)

    def test_languages_are_tags_and_unknown_ones_are_left_open(self) -> None:
        assert [post.lang for post in self.page().posts] == ["en", "zh-Hans", ""]

    def test_counts_that_cannot_be_are_left_out(self) -> None:
        assert self.page().posts[0].engagement == {"likes": 12, "comments": 2}

    def test_a_review_without_a_name_leads_to_the_reviews_of_its_app(self) -> None:
        assert self.page().posts[2].url == "https://steamcommunity.com/app/4000010/reviews/"

    def test_what_is_dropped_is_counted(self) -> None:
        assert self.page().skipped == {"no text": 1, "no id": 1}

    def test_no_reviews_is_an_empty_page(self) -> None:
        assert steam.parse((PAYLOADS / "none.json").read_bytes(), app=APP, name="s", now=NOW) == Page(())


class TestRange:
    def test_the_question(self) -> None:
        service = Steam(EPOCH - 5)
        run(service)
        assert service.asked[0] == {
            "appid": APP, "filter": 2, "languages": ["all"], "review_type": 0, "purchase_type": 1,
            "num_per_page": 100, "filter_offtopic_activity": False, "cursor": "*",
        }  # fmt: skip

    def test_the_first_run_looks_back_some_days(self) -> None:
        pages = run(Steam(EPOCH - 2 * DAY + 5, EPOCH - 2 * DAY - 5), days=2)
        assert idents(pages) == [1]
        assert pages[0].skipped == {"older than asked for": 1}

    def test_the_bookmark_is_the_start_of_the_run(self) -> None:
        assert run(Steam(EPOCH - 10))[-1].cursor == {"until": {str(APP): EPOCH}}

    def test_the_next_run_overlaps_an_hour_its_edge_included(self) -> None:
        service = Steam(EPOCH - 3600, EPOCH - 3601, EPOCH + 60)
        pages = run(service, {"until": {str(APP): EPOCH}}, now=NOW + timedelta(minutes=30))
        assert idents(pages) == [1, 3]
        assert pages[-1].cursor == {"until": {str(APP): EPOCH + 1800}}

    def test_a_review_that_was_edited_comes_again(self) -> None:
        service = Steam(*(EPOCH - 30 * DAY - n for n in range(300)))
        first = run(service)
        assert idents(first) == []
        service.add(250, EPOCH - 40 * DAY, changed=EPOCH + 60)
        pages = run(service, first[-1].cursor, now=NOW + timedelta(minutes=30))
        assert idents(pages) == [250]
        assert pages[0].posts[0].edited_at == NOW + timedelta(minutes=1)

    def test_a_clock_that_was_set_back_loses_nothing(self) -> None:
        pages = run(Steam(EPOCH - 60), {"until": {str(APP): EPOCH + DAY}})
        assert idents(pages) == [1]
        assert pages[-1].cursor == {"until": {str(APP): EPOCH}}

    def test_an_app_without_news_moves_its_bookmark(self) -> None:
        pages = run(Steam(EPOCH - 90 * DAY), {"until": {str(APP): EPOCH - DAY}})
        assert idents(pages) == []
        assert pages[-1].cursor == {"until": {str(APP): EPOCH}}

    def test_an_app_without_any_review_is_no_error(self) -> None:
        pages = run(Steam())
        assert (idents(pages), pages[-1].cursor) == ([], {"until": {str(APP): EPOCH}})


class TestWalk:
    def test_all_pages_down_to_the_mark(self) -> None:
        service = Steam(*(EPOCH - 60 * n for n in range(1, 451)), EPOCH - 30 * DAY)
        pages = run(service)
        assert idents(pages) == list(range(1, 451))
        assert [page.cursor for page in pages[:-1]] == [None] * (len(pages) - 1)
        assert all(page.gap is None for page in pages)

    def test_a_run_without_news_takes_one_request(self) -> None:
        service = Steam(*(EPOCH - DAY * n for n in range(1, 900)))
        run(service, {"until": {str(APP): EPOCH}}, now=NOW + timedelta(minutes=30))
        assert len(service.asked) == 1

    def test_short_pages_end_nothing(self) -> None:
        service = Steam(*(EPOCH - 60 * n for n in range(1, 101)))
        service.page = 9
        assert idents(run(service)) == list(range(1, 101))

    def test_a_cursor_that_repeats_is_the_end(self) -> None:
        def one_page_for_ever(url: str, **_: Any) -> Response:
            return Response(200, url, {}, (PAYLOADS / "reviews.json").read_bytes())

        pages = run(one_page_for_ever, days=30)
        assert len(pages) == 2 and len(idents(pages)) == 3
        assert pages[-1].cursor == {"until": {str(APP): EPOCH}}

    def test_reviews_that_arrive_during_the_walk_are_found_by_the_next_run(self) -> None:
        service = Steam(*(EPOCH - 60 * n for n in range(1, 251)))

        def busy(url: str, **told: Any) -> Response:
            reply = service(url, **told)
            number = len(service.asked)
            service.add(1000 + number, EPOCH + number)  # new
            service.add(240, EPOCH - 60 * 240, changed=EPOCH + number)  # edited before the walk came to it
            return reply

        first = run(busy)
        again = run(service, first[-1].cursor, now=NOW + timedelta(hours=2))
        assert set(range(1, 251)) - {240} <= set(idents(first))
        assert {240, 1001, 1002, 1003} <= set(idents(again))

    def test_many_reviews_of_one_second_are_not_lost(self) -> None:
        assert len(idents(run(Steam(*[EPOCH - 7] * 350, EPOCH - 30 * DAY)))) == 350

    def test_a_failure_on_the_way_moves_no_bookmark(self) -> None:
        service = Steam(*(EPOCH - n for n in range(1, 301)))
        service.fails[2] = Retry("busy", after=5)
        pages = []
        with pytest.raises(Retry):
            for page in steam.fetch(steam.Settings(apps=[APP]), None, service, NOW, "steam"):
                pages.append(page)
        assert len(pages) == 1 and pages[0].posts and pages[0].cursor is None

    def test_more_than_one_run_reads_is_a_gap(self) -> None:
        service = Steam(*(EPOCH - n for n in range(1, 4501)))
        pages = run(service)
        last = pages[-1]
        assert len(service.asked) == 40 and len(idents(pages)) == 4000
        assert last.gap and last.gap.since == NOW - timedelta(days=7)
        assert last.gap.until == NOW - timedelta(seconds=4000)
        assert "--since" in last.gap.why
        assert last.cursor == {"until": {str(APP): EPOCH}}


class TestEmptyIsNotTrusted:
    def test_a_list_that_says_it_holds_reviews_and_shows_none(self) -> None:
        service = Steam(*(EPOCH - n for n in range(1, 301)))
        service.cut_after = 0
        with pytest.raises(Retry, match="after 0 of 300"):
            run(service)

    def test_a_list_that_ends_too_early_keeps_its_posts_and_moves_no_bookmark(self) -> None:
        service = Steam(*(EPOCH - n for n in range(1, 301)))
        service.cut_after = 1
        pages = []
        with pytest.raises(Retry, match="after 100 of 300"):
            for page in steam.fetch(steam.Settings(apps=[APP]), None, service, NOW, "steam"):
                pages.append(page)
        assert len(idents(pages)) == 100 and all(page.cursor is None for page in pages)

    def test_a_few_that_are_missing_from_the_count_are_normal(self) -> None:
        service = Steam(*(EPOCH - n for n in range(1, 301)))

        def counts_four_more(url: str, **told: Any) -> Response:
            return Response(200, url, {}, service(url, **told).body.replace(b'_reviews": 300', b'_reviews": 304'))

        assert run(counts_four_more)[-1].cursor == {"until": {str(APP): EPOCH}}

    def test_an_app_that_does_not_exist_is_told_apart(self) -> None:
        with pytest.raises(Broken, match=r"no app 999; correct apps") as caught:
            run(Steam(EPOCH - 5), apps=[999])
        assert caught.value.payload == b'{"response": {}}'

    @pytest.mark.parametrize("final", ["https://store.steampowered.com/", "https://store.steampowered.com/?snr=1"])
    def test_the_front_page_of_the_store_is_never_no_reviews(self, final: str) -> None:
        body = (PAYLOADS / "broken-front-page.html").read_bytes()

        def get(url: str, **_: Any) -> Response:
            return _judge(Reply(200, {"content-type": "text/html"}, body, ""), url, final)

        with pytest.raises((Refused, Broken)):
            run(get)

    @pytest.mark.parametrize(
        ("status", "error"), [(429, Retry), (500, Retry), (503, Retry), (403, Refused), (404, Broken)]
    )
    def test_statuses(self, status: int, error: type[Exception]) -> None:
        def get(url: str, **_: Any) -> Response:
            return _judge(Reply(status, {}, b"<html><body>Bad Request</body></html>", ""), url, url)

        with pytest.raises(error):
            run(get)


class TestSeveralApps:
    def service(self) -> Steam:
        service = Steam(EPOCH - 10)
        service.add(50, EPOCH - 20, app=4000020)
        return service

    def test_each_has_its_bookmark(self) -> None:
        pages = run(self.service(), apps=[APP, 4000020])
        assert idents(pages) == [1, 50]
        assert pages[-1].cursor == {"until": {str(APP): EPOCH, "4000020": EPOCH}}

    @pytest.mark.parametrize("minute", [0, 1, 2])
    def test_one_that_fails_does_not_keep_the_others_back(self, minute: int) -> None:
        pages = []
        settings = steam.Settings(apps=[999, APP, 4000020])
        with pytest.raises(Broken, match="999"):
            for page in steam.fetch(settings, None, self.service(), NOW + timedelta(minutes=minute), "steam"):
                pages.append(page)
        assert idents(pages) == [1, 50]

    def test_a_server_that_is_tired_is_not_asked_for_the_others(self) -> None:
        service = self.service()
        service.fails[1] = Retry("too often", after=60, status=429)
        with pytest.raises(Retry):
            run(service, apps=[APP, 4000020])
        assert len(service.asked) == 1

    def test_a_list_cut_short_is_the_trouble_of_its_app_alone(self) -> None:
        service = Steam(*(EPOCH - n for n in range(1, 301)))
        service.add(900, EPOCH - 5, app=4000020)
        real = service.__call__

        def get(url: str, **told: Any) -> Response:
            reply = real(url, **told)
            if service.asked[-1]["appid"] == APP and service.asked[-1]["cursor"] != "*":
                return Response(200, url, {}, b'{"response": {"cursor": "*"}}')
            return reply

        pages = []
        with pytest.raises(Retry):
            for page in steam.fetch(steam.Settings(apps=[APP, 4000020]), None, get, NOW, "steam"):
                pages.append(page)
        assert 900 in idents(pages)
        assert [page.cursor for page in pages if page.cursor] == [{"until": {"4000020": EPOCH}}]

    def test_many_apps_share_the_requests_of_a_run(self) -> None:
        service = Steam()
        apps = [APP + n for n in range(20)]
        for app in apps:
            for n in range(500):
                service.add(1000 * app + n, EPOCH - n, app=app)
        run(service, apps=apps)
        assert len(service.asked) <= 40

    def test_an_app_that_was_added_looks_back_and_a_removed_one_is_forgotten(self) -> None:
        pages = run(self.service(), {"until": {"77": EPOCH, str(APP): EPOCH - 60}}, apps=[APP, 4000020])
        assert idents(pages) == [1, 50]
        assert pages[-1].cursor == {"until": {str(APP): EPOCH, "4000020": EPOCH}}


class TestBackfill:
    SINCE = NOW - timedelta(days=300)

    def back(self, service: Any, cursor: Mapping[str, Any] | None = None, **settings: Any) -> list[Page]:
        chosen = steam.Settings.model_validate({"apps": [APP], **settings})
        return list(steam.backfill(chosen, self.SINCE, cursor, service, NOW, "steam"))

    def test_everything_back_to_the_day(self) -> None:
        service = Steam(*(EPOCH - DAY * n for n in range(1, 401)))
        pages = self.back(service)
        assert set(idents(pages)) == set(range(1, 301))
        assert pages[-1].cursor == {}
        assert all(asked["filter"] == 1 for asked in service.asked)

    def test_it_goes_on_where_it_was_stopped(self) -> None:
        service = Steam(*(EPOCH - DAY * n // 4 for n in range(1, 1001)))
        service.fails[4] = Retry("busy")
        pages = []
        with pytest.raises(Retry):
            for page in steam.backfill(steam.Settings(apps=[APP]), self.SINCE, None, service, NOW, "steam"):
                pages.append(page)
        cursor = json.loads(json.dumps(pages[-1].cursor))
        rest = self.back(service, cursor)
        assert service.asked[4]["date_range_end"] == EPOCH - DAY * 300 // 4
        assert set(idents(pages)) | set(idents(rest)) == set(range(1, 1001))

    def test_a_list_that_ends_too_early_is_asked_for_the_rest(self) -> None:
        service = Steam(*(EPOCH - DAY * n // 4 for n in range(1, 501)))
        real = service.__call__

        def get(url: str, **told: Any) -> Response:
            reply = real(url, **told)
            return Response(200, url, {}, b'{"response": {}}') if len(service.asked) == 3 else reply

        assert set(idents(self.back(get))) == set(range(1, 501))

    def test_an_old_review_that_leaks_into_the_range_does_not_move_the_place(self) -> None:
        service = Steam(*(EPOCH - DAY * n for n in range(1, 291)))
        leak = service._review(7777, EPOCH - 3000 * DAY, EPOCH - 3000 * DAY)

        def leaks(url: str, **told: Any) -> Response:
            answer = service(url, **told).json()["response"]
            answer.get("reviews", []).insert(0, leak)
            return service._reply(answer)

        service.fails[2] = Retry("busy")
        pages = []
        with pytest.raises(Retry):
            for page in steam.backfill(steam.Settings(apps=[APP]), self.SINCE, None, leaks, NOW, "steam"):
                pages.append(page)
        rest = self.back(leaks, pages[-1].cursor)
        assert set(idents(pages)) | set(idents(rest)) == set(range(1, 291))

    def test_an_app_that_is_done_is_not_read_again_when_another_failed(self) -> None:
        service = Steam(*(EPOCH - DAY * n for n in range(1, 50)))
        pages = []
        with pytest.raises(Broken):
            for page in steam.backfill(steam.Settings(apps=[APP, 999]), self.SINCE, None, service, NOW, "steam"):
                pages.append(page)
        assert pages and all(page.cursor for page in pages)

    def test_a_server_that_ignores_the_range_is_left_at_its_end(self) -> None:
        service = Steam(*(EPOCH - DAY * n for n in range(1, 901)))
        real = service.__call__

        def get(url: str, *, params: Mapping[str, str], **_: Any) -> Response:
            asked = json.loads(params["input_json"])
            del asked["date_range_start"]
            return real(url, params={"input_json": json.dumps(asked)})

        assert set(idents(self.back(get))) == set(range(1, 301))
        assert len(service.asked) < 12


class TestSettings:
    @pytest.mark.parametrize(
        "told",
        [
            {}, {"apps": []}, {"apps": [0]}, {"apps": ["lantern"]}, {"apps": list(range(1, 30))},
            {"apps": [1], "languages": []}, {"apps": [1], "languages": ["en"]}, {"apps": [1], "days": 0},
        ],
    )  # fmt: skip
    def test_those_that_would_find_nothing_are_refused(self, told: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            steam.Settings.model_validate(told)

    def test_languages_are_asked_for_by_their_names(self) -> None:
        service = Steam(EPOCH - 5)
        run(service, languages=["english", "schinese", "english"])
        assert service.asked[0]["languages"] == ["english", "schinese"]

    def test_all_is_all(self) -> None:
        assert steam.Settings(apps=[1, 1], languages=["english", "all"]).languages == ["all"]
        assert steam.Settings(apps=[1, 1]).apps == [1]


FILES = sorted(PAYLOADS.glob("*.json"))


@given(st.sampled_from(FILES).flatmap(lambda file: mutated(file.read_bytes())))
def test_any_payload_is_read_or_broken(payload: bytes) -> None:
    try:
        page = steam.parse(payload, app=APP, name="steam", now=NOW)
    except Broken:
        return
    assert all(post.text and post.native_id for post in page.posts)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = (
    "recommendationid", "author", "language", "review", "timestamp_created", "timestamp_updated", "voted_up",
    "votes_up", "votes_funny", "comment_count",
)  # fmt: skip
REPLY_FIELDS = ("reviews", "cursor", "query_summary", "total_matching")


@given(
    st.lists(st.dictionaries(st.sampled_from(FIELDS), JSON), max_size=4),
    st.dictionaries(st.sampled_from(REPLY_FIELDS), JSON),
)
def test_any_value_in_any_field_is_read_or_an_error_of_ours(reviews: list[Any], others: dict[str, Any]) -> None:
    payload = json.dumps({"response": {"reviews": reviews, **others}}).encode()
    try:
        for page in run(lambda url, **_: Response(200, url, {}, payload)):
            for post in page.posts:
                assert post.text and (post.created_at is None or post.created_at <= NOW + timedelta(hours=1))
                (post.text + post.native_id + post.author + post.url).encode()
    except (Broken, Retry):
        return
