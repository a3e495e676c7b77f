"""Discourse, through a small imitation of a forum: both ways in which versions page, the search, what is hidden."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import mutated
from pydantic import ValidationError

from listener.errors import Broken, Refused, Retry
from listener.http import Response
from listener.records import Page
from listener.sources import discourse

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
BASE = "https://forum.example"
PAYLOADS = Path(__file__).parent / "payloads" / "discourse"
NOT_LOGGED_IN = b'{"errors": ["You need to be logged in to do that."], "error_type": "not_logged_in"}'
NOT_FOUND = b'{"errors": ["could not be found"], "error_type": "not_found"}'


def post(ident: int, at: datetime, **fields: Any) -> dict[str, Any]:
    return {
        "id": ident, "created_at": at.isoformat(), "updated_at": at.isoformat(), "version": 1, "post_number": 1,
        "post_type": 1, "topic_id": ident % 7 + 1, "topic_slug": "a-topic", "topic_title": f"Title {ident}",
        "cooked": f"<p>text {ident}</p>", "username": "somebody", **fields,
    }  # fmt: skip


class Forum:
    """Answers as Discourse does. `old`: the fifty ids up to `before`, itself included; else fifty posts below it.

    `unseen` are ids that the public does not see, `unlisted` those that only a link leads to.
    """

    def __init__(self, idents: Any = (), *, old: bool = False, every: timedelta = timedelta(minutes=1)) -> None:
        idents = list(idents)
        self.posts = {ident: post(ident, NOW - every * (max(idents) - ident + 1)) for ident in idents}
        self.old = old
        self.unseen: set[int] = set()
        self.unlisted: set[int] = set()
        self.asked: list[str] = []
        self.failing: dict[str, Exception] = {}
        self.search_page = 50

    def __call__(self, url: str, *, params: Mapping[str, str], gap_s: float | None = None, **_: Any) -> Response:
        parts = urlsplit(url)
        self.asked.append(f"{parts.path}?{parts.query}{'&'.join(f'{k}={v}' for k, v in params.items())}")
        for where, error in self.failing.items():
            if where in self.asked[-1]:
                raise error
        if parts.path == "/posts.json":
            reply: Any = {"latest_posts": self._latest(int(params.get("before", 0)))}
        elif found := re.fullmatch(r"/posts/(\d+)\.json", parts.path):
            if int(found[1]) not in self.posts or int(found[1]) in self.unseen:
                raise Broken("does not exist (404)", NOT_FOUND, 404)
            reply = self.posts[int(found[1])]
        elif found := re.fullmatch(r"/t/(\d+)/posts\.json", parts.path):
            ids = [int(ident) for ident in parse_qs(parts.query)["post_ids[]"]]
            there = [self.posts[ident] for ident in ids if ident not in self.unseen]
            assert all(each["topic_id"] == int(found[1]) for each in there)
            untitled = [{k: v for k, v in each.items() if k != "topic_title"} for each in there]
            reply = {"post_stream": {"posts": untitled}}
        else:
            assert parts.path == "/search.json" and gap_s == 8
            reply = self._search(params["q"], int(params["page"]))
        return Response(200, url, {}, json.dumps(reply).encode())

    def _latest(self, before: int) -> list[dict[str, Any]]:
        if self.old:
            top = before if before > 0 else max([*self.posts, *self.unseen])
            within = [ident for ident in self.posts if top - 50 < ident <= top]
        else:
            within = [ident for ident in self.posts if before <= 0 or ident < before]
        shown = [ident for ident in within if self.old or ident not in self.unseen | self.unlisted]
        newest = sorted(shown, reverse=True)[:50]
        return [self.posts[ident] for ident in newest if ident not in self.unseen | self.unlisted]

    def _search(self, words: str, page: int) -> dict[str, Any]:
        asked = re.fullmatch(r'"([^"]+)" after:(\S+)(?: before:(\S+))? order:latest', words)
        assert asked and 1 <= page <= 10
        found = [
            each
            for each in self.posts.values()
            if asked[1].lower() in (each["cooked"] + each["topic_title"]).lower()
            and each["created_at"][:10] >= asked[2]
            and (not asked[3] or each["created_at"][:10] < asked[3])
        ]
        found.sort(key=lambda each: each["created_at"], reverse=True)
        shown = found[(page - 1) * self.search_page : page * self.search_page]
        hits = [{k: each[k] for k in ("id", "created_at", "topic_id", "post_number")} for each in shown]
        topics = [{"id": each["topic_id"], "title": each["topic_title"]} for each in shown]
        more = True if len(found) > page * self.search_page else None
        return {"posts": hits, "topics": topics, "grouped_search_result": {"more_full_page_results": more}}


def chosen(**settings: Any) -> discourse.Settings:
    return discourse.Settings.model_validate({"forums": [BASE], **settings})


def run(get: Any, cursor: Mapping[str, Any] | None = None, now: datetime = NOW, **settings: Any) -> list[Page]:
    return list(discourse.fetch(chosen(**settings), cursor, get, now, "forums"))


def back(get: Any, since: datetime, cursor: Mapping[str, Any] | None = None, **settings: Any) -> list[Page]:
    return list(discourse.backfill(chosen(**settings), since, cursor, get, NOW, "forums"))


def after(get: Any, *idents: int, **settings: Any) -> list[Page]:
    ids = [f"forum.example/{ident}" for ident in idents]
    return list(discourse.recheck(chosen(**settings), None, ids, get, NOW, "forums"))


def idents(pages: list[Page]) -> list[int]:
    return sorted({int(post.native_id.split("/")[-1]) for page in pages for post in page.posts})


class TestParse:
    def page(self, file: str = "latest.json", **more: Any) -> Page:
        return discourse.parse((PAYLOADS / file).read_bytes(), forum=BASE, name="forums", now=NOW, **more)

    def test_a_reply_without_the_words_of_others(self) -> None:
        reply = self.page().posts[0]
        assert reply.text == "Same here, but they did answer the phone & were kind."
        assert (reply.kind, reply.title, reply.author) == ("comment", "", "mira")
        assert reply.native_id == "forum.example/12"
        assert reply.url == "https://forum.example/t/lumen-hotel-late-check-in/44/2"
        assert reply.engagement == {"likes": 4, "replies": 1}

    def test_an_edit_is_told_by_the_version(self) -> None:
        edited, unedited, _ = self.page().posts
        assert edited.edited_at == datetime(2026, 11, 22, 7, 30, tzinfo=UTC)
        assert unedited.edited_at is None

    def test_the_first_post_of_a_topic_has_its_title(self) -> None:
        first = self.page().posts[1]
        assert (first.kind, first.title) == ("post", "Lumen Hotel: late & lost check-in")
        assert first.text == "We came at midnight and found nobody at the desk."

    def test_hidden_and_taken_back_is_deleted(self) -> None:
        assert self.page().deleted == ("forum.example/11", "forum.example/7")

    def test_what_is_dropped_is_counted(self) -> None:
        assert self.page().skipped == {"notice of the forum": 1, "no id": 1}

    def test_posts_of_a_topic_and_of_their_own(self) -> None:
        assert self.page("topic.json", title="Late").posts[0].title == "Late"
        one = discourse.parse(json.dumps(post(5, NOW)).encode(), forum=BASE, name="forums", now=NOW)
        assert [each.native_id for each in one.posts] == ["forum.example/5"]

    def test_a_picture_without_words_is_known_by_its_title(self) -> None:
        bare = {"latest_posts": [post(5, NOW, cooked="<p><img src='a.png'></p>", topic_title="Room 12")]}
        page = discourse.parse(json.dumps(bare).encode(), forum=BASE, name="forums", now=NOW)
        assert page.posts[0].text == "Room 12"

    def test_quotes_within_quotes(self) -> None:
        cooked = "<aside><p>a</p><aside><p>b</p></aside><p>c</p></aside><p>mine</p><aside><p>torn"
        page = discourse.parse(json.dumps(post(5, NOW, cooked=cooked)).encode(), forum=BASE, name="f", now=NOW)
        assert page.posts[0].text == "mine"

    def test_a_forum_without_posts_is_an_empty_page(self) -> None:
        assert discourse.parse(b'{"latest_posts": []}', forum=BASE, name="f", now=NOW) == Page(())


@pytest.mark.parametrize("old", [False, True])
class TestWalk:
    def test_the_first_run_looks_back_some_days(self, old: bool) -> None:
        forum = Forum(range(1, 301), old=old, every=timedelta(hours=1))
        pages = run(forum, days=2)
        assert idents(pages) == list(range(253, 301))
        assert pages[-1].cursor == {"top": {BASE: 300}}
        assert pages[-1].gap is None

    def test_a_post_that_was_moved_ends_no_walk(self, old: bool) -> None:
        forum = Forum(range(1, 201), old=old)
        forum.posts[190]["created_at"] = "2020-01-01T00:00:00Z"
        pages = run(forum, days=1)
        assert idents(pages) == [ident for ident in range(1, 201) if ident != 190]
        assert sum(page.skipped.get("older than asked for", 0) for page in pages) >= 1

    def test_a_small_forum_is_read_to_its_end(self, old: bool) -> None:
        forum = Forum([2, 10, 14], old=old)
        assert idents(run(forum)) == [2, 10, 14]
        assert len(forum.asked) <= 3

    def test_the_next_run_meets_the_old_mark(self, old: bool) -> None:
        forum = Forum(range(1, 1001), old=old)
        pages = run(forum, {"top": {BASE: 880}})
        assert set(range(881, 1001)) <= set(idents(pages))
        assert min(idents(pages)) > 750
        assert [page.cursor for page in pages[:-1]] == [None] * (len(pages) - 1)
        assert pages[-1].cursor == {"top": {BASE: 1000}}
        assert all(page.gap is None for page in pages)

    def test_without_anything_new_one_request_is_enough(self, old: bool) -> None:
        forum = Forum(range(1, 1001), old=old)
        run(forum, {"top": {BASE: 1000}})
        assert len(forum.asked) == 1

    def test_an_id_given_out_earlier_and_seen_later_is_not_lost(self, old: bool) -> None:
        forum = Forum(range(1, 101), old=old)
        held = forum.posts.pop(95)
        cursor = run(forum)[-1].cursor
        forum.posts[95] = held
        assert 95 in idents(run(forum, cursor))

    def test_holes_do_not_end_a_walk(self, old: bool) -> None:
        kept = [*range(1, 41), *range(700, 741)]
        forum = Forum(kept, old=old)
        assert idents(run(forum, {"top": {BASE: 20}}, forums=[BASE])) == kept

    def test_posts_that_arrive_during_the_walk_wait_for_the_next_run(self, old: bool) -> None:
        forum = Forum(range(1, 201), old=old)
        walk = discourse.fetch(chosen(), None, forum, NOW, "forums")
        pages = [next(walk)]
        forum.posts[201] = post(201, NOW)
        pages += list(walk)
        assert idents(pages) == list(range(1, 201))
        assert pages[-1].cursor == {"top": {BASE: 200}}
        assert 201 in idents(run(forum, pages[-1].cursor))

    def test_a_failure_on_the_way_moves_no_bookmark(self, old: bool) -> None:
        forum = Forum(range(1, 1001), old=old)
        forum.failing["before="] = Retry("busy", after=5)
        pages = []
        with pytest.raises(Retry):
            for page in discourse.fetch(chosen(), {"top": {BASE: 500}}, forum, NOW, "forums"):
                pages.append(page)
        assert len(pages) == 1 and pages[0].posts and pages[0].cursor is None

    def test_more_than_one_run_reads_is_a_gap(self, old: bool) -> None:
        forum = Forum(range(1, 5001), old=old)
        pages = run(forum, {"top": {BASE: 100}})
        assert len(forum.asked) == 40
        assert pages[-1].cursor == {"top": {BASE: 5000}}
        gap = pages[-1].gap
        assert gap is not None and gap.until is not None and "--since" in gap.why
        assert gap.until == datetime.fromisoformat(forum.posts[min(idents(pages))]["created_at"])

    def test_a_deleted_newest_post_does_not_stop_later_ones(self, old: bool) -> None:
        forum = Forum(range(1, 101), old=old)
        cursor = run(forum)[-1].cursor
        del forum.posts[100]
        cursor = run(forum, cursor)[-1].cursor
        forum.posts[101] = post(101, NOW)
        assert 101 in idents(run(forum, cursor))

    def test_backfill_goes_back_to_a_date(self, old: bool) -> None:
        forum = Forum(range(1, 501), old=old, every=timedelta(hours=1))
        pages = back(forum, NOW - timedelta(hours=200))
        assert idents(pages) == list(range(301, 501))
        assert pages[-1] == Page((), cursor={})

    def test_backfill_goes_on_where_it_failed(self, old: bool) -> None:
        forum = Forum(range(1, 501), old=old)
        found, cursor = [], None
        forum.failing["before="] = Retry("busy")
        with pytest.raises(Retry):
            for page in discourse.backfill(chosen(), NOW - timedelta(days=9), None, forum, NOW, "forums"):
                found.append(page)
                cursor = page.cursor
        forum.failing.clear()
        forum.asked.clear()
        found += back(forum, NOW - timedelta(days=9), json.loads(json.dumps(cursor)))
        assert idents(found) == list(range(1, 501))
        assert forum.asked[0] == f"/posts.json?before={min(ids for ids in idents(found[:1]))}"


class TestOlderVersion:
    def test_a_newest_stretch_that_nobody_sees_moves_no_bookmark(self) -> None:
        forum = Forum(range(1, 101), old=True)
        forum.unseen = set(range(101, 301))
        pages = run(forum, {"top": {BASE: 90}})
        assert idents(pages) == []
        forum.posts[301] = post(301, NOW)
        assert set(range(91, 101)) <= set(idents(run(forum, pages[-1].cursor)))


class TestSeveralForums:
    def test_one_that_fails_does_not_keep_the_others_from_being_read(self) -> None:
        forums = {"https://a.example": Forum(range(1, 11)), "https://b.example": Forum(range(1, 11))}
        closed = Refused("does not let us in (status 403)", NOT_LOGGED_IN, 403)
        forums["https://a.example"].failing["/posts.json"] = closed
        pages = []
        with pytest.raises(Refused) as caught:
            for page in discourse.fetch(
                chosen(forums=list(forums)), None, lambda url, **told: forums[url.split("/posts")[0]](url, **told),
                NOW, "f",
            ):  # fmt: skip
                pages.append(page)
        assert "a.example shows its posts to members only" in str(caught.value)
        assert {post.native_id for page in pages for post in page.posts} == {f"b.example/{n}" for n in range(1, 11)}
        assert pages[-1].cursor == {"top": {"https://b.example": 10}}

    def test_ids_of_two_forums_do_not_meet(self) -> None:
        forum = Forum([1])
        pages = run(forum, forums=["https://a.example", "https://b.example"])
        assert {post.native_id for page in pages for post in page.posts} == {"a.example/1", "b.example/1"}

    def test_a_forum_that_was_removed_is_forgotten(self) -> None:
        pages = run(Forum([1]), {"top": {BASE: 1, "https://gone.example": 5}})
        assert pages[-1].cursor == {"top": {BASE: 1}}


def talk(count: int, every: timedelta = timedelta(minutes=1)) -> Forum:
    forum = Forum(range(1, count + 1), every=every)
    for ident, each in forum.posts.items():
        each["cooked"] = f"<p>{'Lumen' if ident % 2 else 'nothing'} {ident} {'and more ' * 100}</p>"
    return forum


class TestSearch:
    def test_whole_posts_of_a_phrase(self) -> None:
        forum = talk(20)
        pages = run(forum, queries=['Lumen  "']).copy()
        assert idents(pages) == list(range(1, 21, 2))
        assert all(post.text.count("and more") == 100 for page in pages for post in page.posts)
        assert pages[0].posts[0].title.startswith("Title")
        assert pages[-1].cursor == {"until": {f"{BASE} Lumen": int(NOW.timestamp())}}
        assert forum.asked[0] == '/search.json?q="Lumen" after:2026-11-13 order:latest&page=1'

    def test_posts_of_one_topic_are_asked_for_together(self) -> None:
        forum = talk(70)
        run(forum, queries=["Lumen"])
        assert len([url for url in forum.asked if url.startswith("/t/")]) == 7

    def test_the_next_run_asks_for_what_is_new_with_an_hour_of_overlap(self) -> None:
        forum = talk(300)
        mark = int((NOW - timedelta(minutes=30)).timestamp())
        pages = run(forum, {"until": {f"{BASE} Lumen": mark}}, queries=["Lumen"])
        assert idents(pages) == list(range(211, 301, 2))

    def test_a_clock_that_was_set_back_moves_the_bookmark_back(self) -> None:
        mark = int((NOW + timedelta(days=3)).timestamp())
        pages = run(talk(20), {"until": {f"{BASE} Lumen": mark}}, queries=["Lumen"])
        assert idents(pages) == list(range(1, 21, 2))
        assert pages[-1].cursor == {"until": {f"{BASE} Lumen": int(NOW.timestamp())}}

    def test_a_failure_between_the_topics_moves_no_bookmark(self) -> None:
        forum = talk(20)
        forum.failing["/t/3/"] = Retry("busy")
        pages = []
        with pytest.raises(Retry):
            for page in discourse.fetch(chosen(queries=["Lumen"]), None, forum, NOW, "forums"):
                pages.append(page)
        assert pages and all(page.cursor is None for page in pages)

    def test_a_topic_that_is_gone_meanwhile_is_counted(self) -> None:
        forum = talk(20)
        forum.failing["/t/2/"] = Refused("403", b'{"error_type": "invalid_access"}', 403)
        pages = run(forum, queries=["Lumen"])
        assert sum(page.skipped.get("gone since it was found", 0) for page in pages) == 2
        assert len(idents(pages)) == 8

    def test_a_search_that_gave_up_is_no_empty_result(self) -> None:
        busy = b'{"posts": [], "grouped_search_result": {"error": "The site is too busy."}}'
        with pytest.raises(Retry, match="too busy"):
            run(lambda url, **_: Response(200, url, {}, busy), queries=["Lumen"])

    def test_more_than_one_run_reads_is_a_gap(self) -> None:
        forum = talk(4000)
        forum.search_page = 5
        pages = run(forum, queries=["Lumen"])
        assert pages[-1].gap is not None and "narrower" in pages[-1].gap.why
        assert len(forum.asked) < 60
        assert pages[-1].cursor is not None

    def test_after_a_retry_other_phrases_of_that_forum_wait(self) -> None:
        forum = talk(20)
        forum.failing["/search.json"] = Retry("slow down")
        with pytest.raises(Retry):
            run(forum, queries=["Lumen", "Harbour"])
        assert len(forum.asked) == 1

    def test_backfill_passes_the_ten_pages_by_narrower_dates(self) -> None:
        forum = talk(600, every=timedelta(hours=2))
        forum.search_page = 10
        pages = back(forum, NOW - timedelta(days=60), queries=["Lumen"])
        assert idents(pages) == list(range(1, 601, 2))
        assert all(page.gap is None for page in pages)
        assert pages[-1].cursor == {}

    def test_backfill_does_not_repeat_a_phrase_that_is_done(self) -> None:
        forum = talk(20)
        pages = back(forum, NOW - timedelta(days=60), {"done": [f"{BASE} Lumen"]}, queries=["Lumen"])
        assert (pages, forum.asked) == ([Page((), cursor={})], [])


@pytest.mark.parametrize("old", [False, True])
class TestRecheck:
    def test_fifty_posts_are_verified_by_one_request(self, old: bool) -> None:
        forum = Forum(range(1, 101), old=old)
        pages = after(forum, *range(60, 80))
        assert idents(pages) == list(range(60, 80))
        assert len(forum.asked) == 1

    def test_what_is_gone_is_deleted_after_it_was_asked_for_singly(self, old: bool) -> None:
        forum = Forum(range(1, 101), old=old)
        del forum.posts[70], forum.posts[80]
        pages = after(forum, 60, 70, 80)
        assert sorted(ident for page in pages for ident in page.deleted) == ["forum.example/70", "forum.example/80"]
        assert idents(pages) == [60]

    def test_what_only_a_link_leads_to_is_verified(self, old: bool) -> None:
        forum = Forum(range(1, 101), old=old)
        forum.unlisted = {70}
        pages = after(forum, 60, 70)
        assert [ident for page in pages for ident in page.verified] == ["forum.example/70"]
        assert not [ident for page in pages for ident in page.deleted]

    def test_hidden_posts_and_edits(self, old: bool) -> None:
        forum = Forum(range(1, 101), old=old)
        forum.posts[70]["hidden"] = True
        forum.posts[60].update(cooked="<p>other words</p>", version=2)
        forum.posts[50].update(user_deleted=True)
        forum.unlisted = {50}
        pages = after(forum, 50, 60, 70)
        assert {ident for page in pages for ident in page.deleted} == {"forum.example/70", "forum.example/50"}
        assert [post.text for page in pages for post in page.posts] == ["other words"]

    def test_far_apart_ids(self, old: bool) -> None:
        forum = Forum(range(1, 2001), old=old)
        assert idents(after(forum, 3, 700, 701, 1999)) == [3, 700, 701, 1999]
        assert len(forum.asked) == 3

    def test_a_wall_deletes_nothing(self, old: bool) -> None:
        forum = Forum(range(1, 101), old=old)
        del forum.posts[70]
        forum.failing["/posts/70.json"] = Refused("a bot wall", b"<html>Just a moment</html>", 403)
        with pytest.raises(Refused):
            after(forum, 70)

    def test_a_forum_that_closed_its_doors_deletes_nothing(self, old: bool) -> None:
        forum = Forum(range(1, 101), old=old)
        forum.failing["/posts.json"] = Refused("no", NOT_LOGGED_IN, 403)
        with pytest.raises(Refused, match="members only"):
            after(forum, 70)

    def test_ids_of_forums_that_are_not_read_any_more_are_left_alone(self, old: bool) -> None:
        forum = Forum(range(1, 101), old=old)
        assert list(discourse.recheck(chosen(), None, ["other.example/5", "forum.example/x"], forum, NOW, "f")) == []


class TestSettings:
    @pytest.mark.parametrize(
        "told",
        [
            {},
            {"forums": []},
            {"forums": ["forum.example"]},
            {"forums": ["ftp://forum.example"]},
            {"forums": ["https://me:secret@forum.example"]},
            {"forums": ["https://forum.example/?a=1"]},
            {"forums": [BASE], "queries": ['""']},
            {"forums": [BASE], "days": 0},
        ],
    )
    def test_settings_that_would_find_nothing_are_refused(self, told: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            discourse.Settings.model_validate(told)

    def test_an_address_is_kept_once_and_without_its_last_slash(self) -> None:
        assert chosen(forums=[f"{BASE}/", BASE]).forums == [BASE]


FILES = [PAYLOADS / "latest.json", PAYLOADS / "topic.json"]


@given(st.sampled_from(FILES).flatmap(lambda file: mutated(file.read_bytes())))
def test_any_payload_is_read_or_broken(payload: bytes) -> None:
    try:
        page = discourse.parse(payload, forum=BASE, name="forums", now=NOW)
    except Broken:
        return
    assert all(post.text and post.native_id for post in page.posts)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = (
    "id", "username", "created_at", "updated_at", "version", "post_number", "post_type", "topic_id", "topic_slug",
    "topic_title", "cooked", "actions_summary", "hidden", "user_deleted", "deleted_at", "reply_count",
)  # fmt: skip


@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), JSON), max_size=4), st.booleans())
def test_any_value_in_any_field_is_read_or_broken(items: list[dict[str, Any]], sound: bool) -> None:
    if sound:  # far enough to reach the other fields
        items = [{**item, "id": ident, "cooked": "words"} for ident, item in enumerate(items, start=1)]
    try:
        page = discourse.parse(json.dumps({"latest_posts": items}).encode(), forum=BASE, name="forums", now=NOW)
    except Broken:
        return
    for each in page.posts:
        assert each.text and (each.created_at is None or each.created_at <= NOW + timedelta(hours=1))
        (each.text + each.native_id + each.author + each.title + each.url).encode()


@given(
    st.lists(st.dictionaries(st.sampled_from(("id", "topic_id", "created_at")), JSON), max_size=4),
    st.lists(JSON, max_size=3),
    JSON,
)
def test_any_hit_is_read_or_broken(hits: list[dict[str, Any]], topics: list[Any], outcome: Any) -> None:
    reply = json.dumps({"posts": hits, "topics": topics, "grouped_search_result": outcome}).encode()
    empty = json.dumps({"post_stream": {"posts": []}}).encode()
    try:
        run(lambda url, **_: Response(200, url, {}, reply if url.endswith("search.json") else empty), queries=["Lumen"])
    except (Broken, Retry):
        return
