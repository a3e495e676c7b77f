"""Hacker News, through a small imitation of its search that keeps the real one's limits."""

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

from listener.errors import Broken, Retry, SourceError
from listener.http import Response
from listener.records import Page
from listener.sources import hackernews

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
EPOCH = int(NOW.timestamp())
PAYLOADS = Path(__file__).parent / "payloads" / "hackernews"


class Search:
    """Answers as search_by_date does: newest first, the closed range asked for, so many hits and no more."""

    def __init__(self, *moments: int) -> None:
        self.posts = dict(enumerate(moments, start=1))
        self.asked: list[Mapping[str, str]] = []

    def __call__(self, url: str, *, params: Mapping[str, str], **_: Any) -> Response:
        assert url == "https://hn.algolia.com/api/v1/search_by_date"
        self.asked.append(params)
        bounds = re.fullmatch(r"created_at_i>=(-?\d+),created_at_i<=(\d+)", params["numericFilters"])
        assert bounds and int(params["hitsPerPage"]) <= 1000
        since, until = map(int, bounds.groups())
        within = [(at, ident) for ident, at in self.posts.items() if since <= at <= until]
        newest = sorted(within, reverse=True)[: int(params["hitsPerPage"])]
        hits = [{"objectID": str(ident), "comment_text": f"text {ident}", "created_at_i": at} for at, ident in newest]
        return Response(200, url, {}, json.dumps({"hits": hits, "nbHits": len(within)}).encode())


def run(search: Any, cursor: Mapping[str, Any] | None = None, now: datetime = NOW, **settings: Any) -> list[Page]:
    chosen = hackernews.Settings.model_validate({"queries": ["Lumen"], **settings})
    return list(hackernews.fetch(chosen, cursor, search, now, "hn"))


def idents(pages: list[Page]) -> list[int]:
    return sorted(int(post.native_id) for page in pages for post in page.posts)


class TestParse:
    def page(self) -> Page:
        return hackernews.parse((PAYLOADS / "hits.json").read_bytes(), name="hn", now=NOW)

    def test_a_comment(self) -> None:
        comment = self.page().posts[0]
        assert comment.text == "I stayed at the Lumen.\nThe desk was kind & quick, it's here."
        assert (comment.kind, comment.title, comment.parent) == ("comment", "", "90000002")
        assert comment.url == "https://news.ycombinator.com/item?id=90000003"
        assert comment.created_at == datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
        assert comment.engagement == {}

    def test_a_story(self) -> None:
        story, link = self.page().posts[1:]
        assert (story.title, story.text) == ("Show HN: hotel finder", "We built this after a bad night at Hotel Lumen.")
        assert (story.kind, story.parent, story.author) == ("post", "", "first")
        assert story.engagement == {"points": 44, "comments": 12}
        assert link.text == link.title == "Hotel Lumen outage (2026)"

    def test_what_is_dropped_is_counted(self) -> None:
        assert self.page().skipped == {"no text": 1, "no id": 1}

    def test_no_hits_is_an_empty_page(self) -> None:
        assert hackernews.parse(b'{"hits": []}', name="hn", now=NOW) == Page(())


class TestRange:
    def test_asks_for_the_phrase_as_it_is_written(self) -> None:
        search = Search()
        run(search, queries=['Hotel  "Lumen"'])
        asked = search.asked[0]
        assert asked["query"] == '"Hotel Lumen"'
        assert (asked["typoTolerance"], asked["advancedSyntax"]) == ("false", "true")
        assert asked["tags"] == "(story,comment)"

    def test_the_first_run_looks_back_some_days(self) -> None:
        inside, outside = EPOCH - 2 * 86400 + 5, EPOCH - 2 * 86400 - 5
        assert idents(run(Search(inside, outside), days=2)) == [1]

    def test_the_bookmark_is_the_start_of_the_run(self) -> None:
        pages = run(Search(EPOCH - 10))
        assert pages[-1].cursor == {"until": {"Lumen": EPOCH}}

    def test_the_next_run_overlaps_an_hour(self) -> None:
        late, old = EPOCH - 3000, EPOCH - 4000
        pages = run(Search(late, old), {"until": {"Lumen": EPOCH}}, now=NOW + timedelta(minutes=30))
        assert idents(pages) == [1]
        assert pages[-1].cursor == {"until": {"Lumen": EPOCH + 1800}}

    def test_a_clock_that_was_set_back_moves_the_bookmark_back(self) -> None:
        pages = run(Search(EPOCH - 60), {"until": {"Lumen": EPOCH + 86400}})
        assert idents(pages) == [1]
        assert pages[-1].cursor == {"until": {"Lumen": EPOCH}}

    def test_nothing_after_the_start_of_the_run_is_asked_for(self) -> None:
        assert idents(run(Search(EPOCH, EPOCH + 1))) == [1]


class TestTurns:
    @staticmethod
    def read(failing: SourceError, minutes: int) -> tuple[list[str], dict[str, int]]:
        """What is asked for where one phrase fails in every run, and how far all were read."""
        search, cursor, asked = Search(EPOCH - 10), None, []

        def get(url: str, *, params: Mapping[str, str], **told: Any) -> Response:
            asked.append(params["query"].strip('"'))
            if asked[-1] == "Slow":
                raise failing
            return search(url, params=params, **told)

        settings = hackernews.Settings(queries=["Slow", "Lumen", "Inn"])
        for minute in range(minutes):
            with pytest.raises(SourceError) as caught:
                for page in hackernews.fetch(settings, cursor, get, NOW + timedelta(minutes=minute), "hn"):  # type: ignore[arg-type]
                    cursor = page.cursor if page.cursor is not None else cursor
            assert caught.value is failing
        return asked, (cursor or {}).get("until", {})

    def test_a_phrase_that_cannot_be_read_for_now_does_not_starve_the_others(self) -> None:
        asked, until = self.read(Retry("busy", after=5), minutes=3)
        assert until == {"Lumen": EPOCH + 60, "Inn": EPOCH + 120}
        assert asked == ["Slow", "Lumen", "Inn", "Slow", "Inn", "Slow"], "asked no further where we are to wait"

    def test_one_that_is_refused_leaves_the_others_their_turn(self) -> None:
        assert self.read(Broken("gone"), minutes=1) == (["Slow", "Lumen", "Inn"], {"Lumen": EPOCH, "Inn": EPOCH})


class TestSlices:
    def test_more_than_one_reply_shows_are_all_read(self) -> None:
        pages = run(Search(*(EPOCH - n * 7 for n in range(1, 1801))))
        assert idents(pages) == list(range(1, 1801))
        assert [page.cursor for page in pages[:-1]] == [None] * (len(pages) - 1)
        assert pages[-1].cursor == {"until": {"Lumen": EPOCH}}
        assert all(page.gap is None for page in pages)

    def test_posts_of_one_second_at_the_edge_of_a_slice_are_not_lost(self) -> None:
        moments = [EPOCH - 10] * 495 + [EPOCH - 20] * 10 + [EPOCH - 30] * 20
        assert idents(run(Search(*moments))) == list(range(1, 526))

    def test_what_cannot_be_reached_is_a_gap(self) -> None:
        pages = run(Search(*(EPOCH - n for n in range(1, 20_001))), days=1)
        last = pages[-1]
        assert 9_900 < len(idents(pages)) <= 10_000
        assert last.gap is not None
        assert last.gap.since == NOW - timedelta(days=1)
        assert last.gap.until is not None and last.gap.until > NOW - timedelta(seconds=10_001)
        assert "Lumen" in last.gap.why
        assert last.cursor == {"until": {"Lumen": EPOCH}}

    def test_one_second_with_more_than_a_reply_holds_is_a_gap_too(self) -> None:
        pages = run(Search(*[EPOCH - 5] * 700))
        assert pages[-1].gap is not None
        assert len(pages) < 5

    def test_a_failure_on_the_way_moves_no_bookmark(self) -> None:
        search = Search(*(EPOCH - n for n in range(1, 1801)))

        def fails_at_the_second(url: str, **told: Any) -> Response:
            if search.asked:
                raise Retry("busy", after=5)
            return search(url, **told)

        pages = []
        with pytest.raises(Retry):
            for page in hackernews.fetch(hackernews.Settings(queries=["Lumen"]), None, fails_at_the_second, NOW, "hn"):
                pages.append(page)
        assert len(pages) == 1 and pages[0].posts and pages[0].cursor is None


class TestQueries:
    def test_a_post_found_twice_is_given_once(self) -> None:
        pages = run(Search(EPOCH - 10, EPOCH - 20), queries=["Lumen", "Hotel Lumen"])
        assert idents(pages) == [1, 2]
        assert pages[-1].cursor == {"until": {"Lumen": EPOCH, "Hotel Lumen": EPOCH}}

    def test_a_query_that_always_fails_does_not_starve_the_others(self) -> None:
        read: set[str] = set()
        for minute in range(2):
            search = Search(EPOCH - 10)

            def get(url: str, params: Mapping[str, str], search: Search = search, **more: Any) -> Response:
                if "slow" in params["query"]:
                    raise Retry("too much just now")
                return search(url, params=params, **more)

            settings, now = hackernews.Settings(queries=["slow", "Lumen"]), NOW + timedelta(minutes=minute)
            pages = []
            with pytest.raises(Retry):
                for page in hackernews.fetch(settings, None, get, now, "hn"):
                    pages.append(page)
            read |= {post.native_id for page in pages for post in page.posts}
        assert read == {"1"}

    def test_a_new_query_looks_back_and_a_removed_one_is_forgotten(self) -> None:
        search = Search(EPOCH - 5 * 86400)
        pages = run(search, {"until": {"Lumen": EPOCH - 60, "Gone": EPOCH}}, queries=["Lumen", "New"])
        assert idents(pages) == [1]
        assert pages[-1].cursor == {"until": {"Lumen": EPOCH, "New": EPOCH}}

    @pytest.mark.parametrize("told", [{}, {"queries": []}, {"queries": ['""']}, {"queries": ["a"], "tags": ["job"]}])
    def test_settings_that_would_find_nothing_are_refused(self, told: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            hackernews.Settings.model_validate(told)


class TestRecheck:
    def ask(self, *idents: str, **items: Any) -> list[Page]:
        def get(url: str, **_: Any) -> Response:
            ident = url.removeprefix("https://hacker-news.firebaseio.com/v0/item/").removesuffix(".json")
            return Response(200, url, {}, json.dumps(items.get(f"n{ident}")).encode())

        return list(hackernews.recheck(hackernews.Settings(queries=["Lumen"]), None, idents, get, NOW, "hn"))

    def test_what_is_gone_and_what_is_there(self) -> None:
        pages = self.ask(
            "1", "2", "3", "4", n1={"id": 1}, n2={"id": 2, "deleted": True}, n3={"id": 3, "dead": True}
        )  # fmt: skip
        assert [page.verified for page in pages] == [("1",), (), (), ()]
        assert [page.deleted for page in pages] == [(), ("2",), ("3",), ("4",)]

    def test_a_strange_answer_deletes_nothing(self) -> None:
        for strange in ([], "gone", {"id": 7}, {"error": "Permission denied"}):
            with pytest.raises(Broken):
                self.ask("1", n1=strange)


class TestBackfill:
    def walk(self, search: Any, cursor: Any = None, days: int = 30) -> list[Page]:
        chosen = hackernews.Settings(queries=["Lumen"])
        return list(hackernews.backfill(chosen, NOW - timedelta(days=days), cursor, search, NOW, "hn"))

    def test_all_of_the_past_is_read(self) -> None:
        pages = self.walk(Search(*(EPOCH - n * 997 for n in range(1, 2601))))
        assert idents(pages)[0] == 1 and set(idents(pages)) == set(range(1, 2600))
        assert pages[-1].cursor == {}

    def test_it_goes_on_from_its_cursor(self) -> None:
        search = Search(*(EPOCH - n * 997 for n in range(1, 2601)))
        first = self.walk(search)[1]
        asked = len(search.asked)
        rest = self.walk(search, first.cursor)
        assert len(search.asked) - asked < asked
        assert set(idents([*self.walk(search)[:2], *rest])) == set(range(1, 2600))

    def test_one_second_that_holds_too_much_ends_it(self) -> None:
        assert self.walk(Search(*[EPOCH - 5] * 700))[-1].cursor == {}


FILES = sorted(PAYLOADS.glob("*.json"))


@given(st.sampled_from(FILES).flatmap(lambda file: mutated(file.read_bytes())))
def test_any_payload_is_read_or_broken(payload: bytes) -> None:
    try:
        page = hackernews.parse(payload, name="hn", now=NOW)
    except Broken:
        return
    assert all(post.text and post.native_id for post in page.posts)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = (
    "objectID",
    "title",
    "author",
    "points",
    "story_text",
    "comment_text",
    "created_at_i",
    "created_at",
    "_tags",
    "parent_id",
)


@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), JSON), max_size=4))
def test_any_value_in_any_field_is_read_or_broken(hits: list[dict[str, Any]]) -> None:
    try:
        page = hackernews.parse(json.dumps({"hits": hits}).encode(), name="hn", now=NOW)
    except Broken:
        return
    for post in page.posts:
        assert post.text and (post.created_at is None or post.created_at <= NOW + timedelta(hours=1))
        (post.text + post.native_id + post.author + post.parent).encode()
