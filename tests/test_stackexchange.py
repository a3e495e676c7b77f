"""Stack Exchange, through a small imitation of its interface: search, whole posts, quota, waits and errors."""

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

from listener.errors import Broken, Disabled, Refused, Retry, SourceError, Unauthorised
from listener.http import Response
from listener.records import Page
from listener.sources import stackexchange

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
EPOCH = int(NOW.timestamp())
PAYLOADS = Path(__file__).parent / "payloads" / "stackexchange"
API = "https://api.stackexchange.com/2.3/"
KEY = "travel Lumen"


class Site:
    """Answers as the interface does: newest first, the closed range asked for, a hundred and no more.

    Odd ids are questions, even ones answers. `backoff` and `quota` are what every reply tells.
    """

    def __init__(self, *moments: int) -> None:
        self.posts = dict(enumerate(moments, start=1))
        self.edited: dict[int, int] = {}
        self.gone: set[int] = set()
        self.asked: list[tuple[str, Mapping[str, str]]] = []
        self.backoff: dict[str, int] = {}
        self.quota = 300
        self.failing: dict[str, SourceError] = {}

    def __call__(self, url: str, *, params: Mapping[str, str], **_: Any) -> Response:
        method = url.removeprefix(API)
        self.asked.append((method, params))
        kind, _, ids = method.partition("/")
        if kind in self.failing:
            raise self.failing[kind]
        self.quota -= 1
        assert params["pagesize"] == "100" and params["filter"] == "withbody"
        more = False
        if kind == "search":
            items, more = self._search(method, params)
        else:
            asked = [int(ident) for ident in ids.split(";")]
            assert 1 <= len(asked) <= 100 and kind in ("posts", "questions")
            items = [self._whole(ident, kind) for ident in asked if ident in self.posts and ident not in self.gone]
        reply = {"items": items, "has_more": more, "quota_max": 300, "quota_remaining": self.quota}
        if kind in self.backoff:
            reply["backoff"] = self.backoff[kind]
        return Response(200, url, {}, json.dumps(reply).encode())

    def _search(self, method: str, params: Mapping[str, str]) -> tuple[list[dict[str, Any]], bool]:
        assert (params["sort"], params["order"]) == ("creation", "desc")
        since, until = int(params["fromdate"]), int(params["todate"])
        within = [(at, ident) for ident, at in self.posts.items() if since <= at <= until]
        if method == "search/advanced":
            within = [(at, ident) for at, ident in within if ident % 2]
        newest = sorted(within, reverse=True)
        shown = [ident for _, ident in newest[:100]]
        if method == "search/advanced":
            return [self._whole(ident, "questions") for ident in shown], len(newest) > 100
        return [self._hit(ident) for ident in shown], len(newest) > 100

    def _hit(self, ident: int) -> dict[str, Any]:
        own = {"item_type": "question", "question_id": ident}
        if not ident % 2:
            own = {"item_type": "answer", "answer_id": ident, "question_id": ident - 1}
        return {**own, "title": f"title {ident - 1 + ident % 2}", "body": "cut", "creation_date": self.posts[ident]}

    def _whole(self, ident: int, kind: str) -> dict[str, Any]:
        own = {"post_id": ident, "post_type": "question" if ident % 2 else "answer"}
        if kind == "questions":
            own = {"question_id": ident, "title": f"title {ident}"}
        edited = {"last_edit_date": self.edited[ident]} if ident in self.edited else {}
        return {**own, **edited, "body": f"<p>text {ident}</p>", "creation_date": self.posts[ident]}


def chosen(**settings: Any) -> stackexchange.Settings:
    return stackexchange.Settings.model_validate({"sites": ["travel"], "queries": ["Lumen"], **settings})


def run(get: Any, cursor: Mapping[str, Any] | None = None, now: datetime = NOW, **settings: Any) -> list[Page]:
    return list(stackexchange.fetch(chosen(**settings), cursor, get, now, "se"))


def until_it_fails(walk: Any) -> tuple[list[Page], SourceError]:
    pages: list[Page] = []
    with pytest.raises(SourceError) as caught:
        for page in walk:
            pages.append(page)
    return pages, caught.value


def idents(pages: list[Page]) -> list[int]:
    return sorted(int(post.native_id.removeprefix("travel/")) for page in pages for post in page.posts)


class TestParse:
    def page(self, file: str) -> Page:
        return stackexchange.parse((PAYLOADS / file).read_bytes(), site="travel", name="se", now=NOW)

    def test_an_answer(self) -> None:
        answer = self.page("posts.json").posts[0]
        assert (answer.kind, answer.native_id, answer.title) == ("comment", "travel/9002", "")
        assert answer.text == "The Lumen desk is open all night; they were kind when I came at three."
        assert (answer.author, answer.url) == ("Ada & Ben", "https://travel.stackexchange.com/a/9002")
        assert answer.created_at == datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
        assert answer.edited_at == datetime(2026, 11, 21, 11, 0, tzinfo=UTC)

    def test_a_question(self) -> None:
        question, bare = self.page("questions.json").posts
        assert question.title == 'Is the desk of "Hotel Lumen" open at night?'
        assert (question.kind, question.text) == ("post", "We arrive at two in the morning.")
        assert question.engagement == {"score": 2, "answers": 1, "views": 40}
        assert (bare.text, bare.engagement["score"]) == ("Luggage at Lumen & Sons", -1)

    def test_an_owner_who_deleted_the_account(self) -> None:
        assert self.page("posts.json").posts[2].author == ""

    def test_what_is_dropped_is_counted(self) -> None:
        assert self.page("posts.json").skipped == {"no id": 1}

    def test_no_items_is_an_empty_page(self) -> None:
        assert stackexchange.parse(b'{"items": []}', site="travel", name="se", now=NOW) == Page(())


class TestSearch:
    def test_whole_posts_with_the_title_and_question_of_the_hit(self) -> None:
        page = run(Site(EPOCH - 20, EPOCH - 10))[0]
        answer, question = page.posts
        assert (question.title, question.text) == ("title 1", "text 1")
        assert (answer.title, answer.text, answer.parent) == ("", "text 2", "travel/1")

    def test_asks_for_the_phrase_as_it_is_written(self) -> None:
        site = Site()
        run(site, queries=['Hotel  "Lumen"'])
        assert [method for method, _ in site.asked] == ["search/excerpts"]
        assert site.asked[0][1]["q"] == '"Hotel Lumen"'
        assert "key" not in site.asked[0][1]

    def test_questions_alone_need_one_request(self) -> None:
        site = Site(EPOCH - 20, EPOCH - 10)
        assert idents(run(site, answers=False)) == [1]
        assert [method for method, _ in site.asked] == ["search/advanced"]

    def test_what_is_gone_since_it_was_found_is_counted(self) -> None:
        site = Site(EPOCH - 20, EPOCH - 10)
        site.gone = {2}
        page = run(site)[0]
        assert page.skipped == {"gone since it was found": 1}

    def test_a_key_goes_along_and_into_no_message(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("A_STACK_KEY", "sesame")
        site = Site(EPOCH - 10)
        pages = run(site, key={"env": "A_STACK_KEY"})
        assert all(params["key"] == "sesame" for _, params in site.asked)
        assert "sesame" not in str(pages)

    def test_a_key_that_is_not_there_asks_nobody(self) -> None:
        site = Site()
        with pytest.raises(Disabled, match="A_STACK_KEY"):
            run(site, key={"env": "A_STACK_KEY"})
        assert site.asked == []


class TestRange:
    def test_the_first_run_looks_back_some_days(self) -> None:
        assert idents(run(Site(EPOCH - 2 * 86400 + 5, EPOCH - 2 * 86400 - 5), days=2)) == [1]

    def test_the_bookmark_is_the_start_of_the_run_and_the_next_one_overlaps_an_hour(self) -> None:
        site = Site(EPOCH - 3000, EPOCH - 4000)
        assert run(site)[-1].cursor == {"until": {KEY: EPOCH}}
        pages = run(site, {"until": {KEY: EPOCH}}, now=NOW + timedelta(minutes=30))
        assert idents(pages) == [1]
        assert pages[-1].cursor == {"until": {KEY: EPOCH + 1800}}

    def test_a_clock_that_was_set_back_moves_the_bookmark_back(self) -> None:
        pages = run(Site(EPOCH - 60), {"until": {KEY: EPOCH + 86400}})
        assert idents(pages) == [1]
        assert pages[-1].cursor == {"until": {KEY: EPOCH}}

    def test_more_than_one_reply_shows_are_all_read(self) -> None:
        pages = run(Site(*(EPOCH - n * 7 for n in range(1, 451))))
        assert idents(pages) == list(range(1, 451))
        assert [page.cursor for page in pages[:-1]] == [None] * (len(pages) - 1)
        assert all(page.gap is None for page in pages)

    def test_posts_of_one_second_at_the_edge_of_a_reply_are_not_lost(self) -> None:
        moments = [EPOCH - 10] * 95 + [EPOCH - 20] * 10 + [EPOCH - 30] * 20
        assert idents(run(Site(*moments))) == list(range(1, 126))

    def test_what_cannot_be_reached_is_a_gap(self) -> None:
        site = Site(*(EPOCH - n for n in range(1, 3001)))
        pages = run(site)
        assert len(site.asked) <= 30
        gap = pages[-1].gap
        assert gap is not None and "Lumen" in gap.why
        assert gap.since == NOW - timedelta(days=7)
        assert gap.until is not None and abs((NOW - gap.until).total_seconds() - len(idents(pages))) < 5
        assert pages[-1].cursor == {"until": {KEY: EPOCH}}

    def test_one_second_with_more_than_a_reply_holds_is_a_gap_too(self) -> None:
        pages = run(Site(*[EPOCH - 5] * 150))
        assert pages[-1].gap is not None and len(pages) < 4

    def test_a_failure_on_the_way_moves_no_bookmark(self) -> None:
        site = Site(*(EPOCH - n for n in range(1, 301)))
        walk = stackexchange.fetch(chosen(), None, site, NOW, "se")
        first = next(walk)
        site.failing["search"] = Retry("busy", after=5)
        pages, error = until_it_fails(walk)
        assert first.posts and first.cursor is None and pages == []
        assert isinstance(error, Retry) and error.after == 5

    def test_posts_that_arrive_during_the_walk_wait_for_the_next_run(self) -> None:
        site = Site(*(EPOCH - n for n in range(1, 151)))
        walk = stackexchange.fetch(chosen(), None, site, NOW, "se")
        pages = [next(walk)]
        site.posts[151] = EPOCH + 3
        pages += list(walk)
        assert idents(pages) == list(range(1, 151))
        assert idents(run(site, pages[-1].cursor, NOW + timedelta(minutes=5)))[-1] == 151


class TestManners:
    def test_a_wait_that_is_asked_for_stops_the_run_and_keeps_what_was_read(self) -> None:
        site = Site(*(EPOCH - n for n in range(1, 301)))
        site.backoff["search"] = 17
        pages, error = until_it_fails(stackexchange.fetch(chosen(), None, site, NOW, "se"))
        assert idents(pages) == list(range(1, 101))
        assert isinstance(error, Retry) and error.after == 17
        assert [method.partition("/")[0] for method, _ in site.asked] == ["search", "posts"]

    def test_a_wait_after_the_last_request_stops_nothing(self) -> None:
        site = Site(EPOCH - 10)
        site.backoff = {"search": 17, "posts": 17}
        assert run(site)[-1].cursor == {"until": {KEY: EPOCH}}

    def test_after_a_wait_the_other_phrases_are_left_for_the_next_run(self) -> None:
        site = Site(EPOCH - 10)
        site.backoff["search"] = 17
        pages, _ = until_it_fails(stackexchange.fetch(chosen(queries=["Lumen", "Harbour"]), None, site, NOW, "se"))
        assert len(pages) == 1 and len(site.asked) == 2

    def test_each_minute_another_phrase_has_the_first_turn(self) -> None:
        first = []
        for minute in range(2):
            site = Site()
            run(site, now=NOW + timedelta(minutes=minute), queries=["Lumen", "Harbour"])
            first.append(site.asked[0][1]["q"])
        assert set(first) == {'"Lumen"', '"Harbour"'}

    def test_a_quota_that_is_used_up_is_waited_for_till_midnight(self) -> None:
        site = Site(*(EPOCH - n for n in range(1, 301)))
        site.quota = 2
        pages, error = until_it_fails(stackexchange.fetch(chosen(), None, site, NOW, "se"))
        assert len(idents(pages)) == 100 and len(site.asked) == 2
        assert isinstance(error, Retry) and error.after == 12 * 3600

    def test_the_last_request_of_the_quota_still_counts(self) -> None:
        site = Site(EPOCH - 10)
        site.quota = 2
        assert idents(run(site)) == [1]


def told(number: int, name: str, message: str, status: int = 400) -> Broken:
    reply = {"error_id": number, "error_name": name, "error_message": message}
    return Broken("answers with status 400", json.dumps(reply).encode(), status)


class TestErrors:
    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            (told(400, "bad_parameter", "site"), Broken),
            (told(400, "bad_parameter", "`key` doesn't match a known application"), Unauthorised),
            (told(402, "invalid_access_token", "expired"), Unauthorised),
            (told(403, "access_denied", "page above 25 requires access token or app key"), Refused),
            (told(404, "no_method", "no method found with this name"), Broken),
            (told(405, "key_required", "key required"), Unauthorised),
            (told(500, "internal_error", "oops"), Retry),
            (told(502, "throttle_violation", "too many requests"), Retry),
            (told(503, "temporarily_unavailable", "maintenance"), Retry),
        ],
    )
    def test_each_becomes_its_consequence(self, error: Broken, kind: type[SourceError]) -> None:
        site = Site()
        site.failing["search"] = error
        with pytest.raises(kind) as caught:
            run(site)
        assert type(caught.value) is kind
        assert (caught.value.payload, caught.value.status) == (error.payload, 400)
        assert "api.stackexchange.com" in str(caught.value)

    def test_a_throttle_names_the_seconds(self) -> None:
        site = Site()
        message = "too many requests from this IP, more requests available in 4321 seconds"
        site.failing["search"] = told(502, "throttle_violation", message)
        with pytest.raises(Retry, match="more requests available") as caught:
            run(site)
        assert caught.value.after == 4321

    def test_an_error_in_a_reply_of_status_200(self) -> None:
        body = told(502, "throttle_violation", "available in 9 seconds").payload
        with pytest.raises(Retry) as caught:
            run(lambda url, **_: Response(200, url, {}, body))
        assert caught.value.after == 9

    def test_a_site_that_does_not_exist_keeps_no_other_from_being_read(self) -> None:
        site = Site(EPOCH - 10)

        def get(url: str, **asked: Any) -> Response:
            if asked["params"]["site"] == "nowhere":
                raise told(400, "bad_parameter", "No site found for name `nowhere`")
            return site(url, **asked)

        settings = chosen(sites=["nowhere", "travel"])
        pages, error = until_it_fails(stackexchange.fetch(settings, None, get, NOW, "se"))
        assert idents(pages) == [1] and pages[-1].cursor == {"until": {KEY: EPOCH}}
        assert "No site found for name `nowhere`" in str(error)


def after(get: Any, *ids: str) -> list[Page]:
    return list(stackexchange.recheck(chosen(), None, list(ids), get, NOW, "se"))


class TestRecheck:
    def test_what_is_gone_is_deleted_and_the_rest_verified_or_brought(self) -> None:
        site = Site(*[EPOCH - 9] * 6)
        site.gone = {3, 4}
        site.edited = {5: EPOCH - 5}
        first, second = after(site, *(f"travel/{ident}" for ident in range(1, 7)))
        assert first.deleted == ("travel/3", "travel/4")
        assert first.verified == ("travel/1",)
        assert [post.native_id for post in first.posts] == ["travel/2", "travel/6"]
        assert [(post.native_id, post.title) for post in second.posts] == [("travel/5", "title 5")]
        assert [method for method, _ in site.asked] == ["posts/1;2;3;4;5;6", "questions/5"]

    def test_a_hundred_are_one_request(self) -> None:
        site = Site(*[EPOCH - 9] * 100)
        after(site, *(f"travel/{ident}" for ident in range(1, 101)))
        assert len(site.asked) == 1 and stackexchange.RECHECK_AT_ONCE == 100

    def test_ids_of_sites_that_are_not_read_any_more_are_left_alone(self) -> None:
        site = Site(EPOCH)
        assert after(site, "cooking/1", "travel/x") == [] and site.asked == []

    def test_a_reply_that_is_not_whole_deletes_nothing(self) -> None:
        reply = b'{"items": [], "has_more": true}'
        page = after(lambda url, **_: Response(200, url, {}, reply), "travel/1")[0]
        assert page.deleted == ()

    def test_a_throttle_deletes_nothing(self) -> None:
        site = Site(EPOCH)
        site.failing["posts"] = told(502, "throttle_violation", "available in 60 seconds")
        with pytest.raises(Retry):
            after(site, "travel/1")


class TestBackfill:
    def back(self, get: Any, cursor: Mapping[str, Any] | None = None, days: int = 30) -> Any:
        return stackexchange.backfill(chosen(), NOW - timedelta(days=days), cursor, get, NOW, "se")

    def test_goes_back_to_a_date(self) -> None:
        site = Site(*(EPOCH - n * 3600 for n in range(1, 1001)))
        pages = list(self.back(site))
        assert idents(pages) == list(range(1, 721))
        assert pages[-1] == Page((), cursor={})

    def test_goes_on_where_it_failed(self) -> None:
        site = Site(*(EPOCH - n * 3600 for n in range(1, 1001)))
        site.quota = 4
        pages, error = until_it_fails(self.back(site))
        assert isinstance(error, Retry) and len(idents(pages)) == 199
        site.quota = 300
        site.asked.clear()
        pages += list(self.back(site, json.loads(json.dumps(pages[-1].cursor))))
        assert sorted(set(idents(pages))) == list(range(1, 721))
        assert int(site.asked[0][1]["todate"]) < EPOCH - 190 * 3600

    def test_what_is_done_is_not_asked_for_again(self) -> None:
        site = Site(EPOCH - 10)
        pages = list(self.back(site))
        assert list(self.back(site, pages[0].cursor)) == [Page((), cursor={})]


class TestSettings:
    @pytest.mark.parametrize(
        "told",
        [
            {"sites": []},
            {"sites": ["https://travel.stackexchange.com"]},
            {"sites": [""]},
            {"queries": []},
            {"queries": ['""']},
            {"key": "sesame"},
        ],
    )
    def test_settings_that_would_find_nothing_are_refused(self, told: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            chosen(**told)

    def test_a_site_may_be_named_in_full(self) -> None:
        assert chosen(sites=["Travel.StackExchange.com", "travel", "meta.stackoverflow"]).sites == [
            "travel",
            "meta.stackoverflow",
        ]

    def test_people_are_told_of_the_licence(self) -> None:
        assert "CC BY-SA" in stackexchange.ABOUT.terms


FILES = sorted(PAYLOADS.glob("[epq]*.json"))


@given(st.sampled_from(FILES).flatmap(lambda file: mutated(file.read_bytes())))
def test_any_payload_is_read_or_broken(payload: bytes) -> None:
    try:
        page = stackexchange.parse(payload, site="travel", name="se", now=NOW)
    except Broken:
        return
    assert all(post.text and post.native_id for post in page.posts)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = (
    "post_id", "question_id", "answer_id", "post_type", "title", "body", "owner", "link", "score", "answer_count",
    "creation_date", "last_edit_date",
)  # fmt: skip


@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), JSON), max_size=4), st.booleans())
def test_any_value_in_any_field_is_read_or_broken(items: list[dict[str, Any]], sound: bool) -> None:
    if sound:  # far enough to reach the other fields
        items = [{**item, "post_id": ident, "body": "words"} for ident, item in enumerate(items, start=1)]
    try:
        page = stackexchange.parse(json.dumps({"items": items}).encode(), site="travel", name="se", now=NOW)
    except Broken:
        return
    for post in page.posts:
        assert post.text and (post.created_at is None or post.created_at <= NOW + timedelta(hours=1))
        (post.text + post.native_id + post.author + post.parent + post.url).encode()


@given(st.dictionaries(st.sampled_from(("items", "has_more", "backoff", "quota_remaining", "error_id")), JSON))
def test_any_reply_ends_in_pages_or_an_error_of_ours(reply: dict[str, Any]) -> None:
    body = json.dumps(reply).encode()
    try:
        run(lambda url, **_: Response(200, url, {}, body))
    except SourceError:
        return
