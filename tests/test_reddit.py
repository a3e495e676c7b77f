"""Reddit without a key, through a small imitation of its Atom feeds that keeps the real ones' limits."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import mutated
from pydantic import ValidationError

from listener.errors import Broken, Disabled, Refused, Retry, SourceError
from listener.http import Response
from listener.records import Page, Post
from listener.sources import reddit

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
EPOCH = int(NOW.timestamp())
PAYLOADS = Path(__file__).parent / "payloads" / "reddit"
WEB = "https://www.reddit.com/"


class Front:
    """Answers as www.reddit.com does: newest first, a hundred entries and no more, and an end after a thousand.

    `posts` is {fullname: when it was written}. `headers` are those of every reply.
    """

    def __init__(self, *submissions: int, comments: tuple[int, ...] = ()) -> None:
        self.posts = {f"t3_s{number}": at for number, at in enumerate(submissions, start=1)}
        self.posts |= {f"t1_c{number}": at for number, at in enumerate(comments, start=1)}
        self.texts: dict[str, str] = {}
        self.authors: dict[str, str] = {}
        self.hidden: set[str] = set()
        self.asked: list[tuple[str, Mapping[str, str]]] = []
        self.gaps: list[float | None] = []
        self.headers: dict[str, str] = {}
        self.failing: dict[str, SourceError] = {}
        self.pages = True  # whether `after` is heeded

    def __call__(self, url: str, *, params: Mapping[str, str], gap_s: float | None, **other: Any) -> Response:
        assert not other and url.startswith(WEB) and params["limit"] == "100"
        path = url.removeprefix(WEB)
        self.asked.append((path, params))
        self.gaps.append(gap_s)
        if path in self.failing:
            raise self.failing[path]
        if path == "api/info.rss":
            names = params["id"].split(",")
            assert len(names) <= 100
            shown = [name for name in names if name in self.posts and name not in self.hidden]
        else:
            kind = "t1" if path.endswith("/comments/.rss") else "t3"
            every = sorted(((at, name) for name, at in self.posts.items() if name.startswith(kind)), reverse=True)
            names = [name for _, name in every if name not in self.hidden][:1000]
            begin = names.index(params["after"]) + 1 if self.pages and params.get("after") in names else 0
            shown = names[begin : begin + 100]
        return Response(200, url, self.headers, feed(*(self.entry(name) for name in shown)))

    def entry(self, name: str) -> str:
        author = self.authors.get(name, "somebody")
        by = f"<author><name>/u/{author}</name></author>" if author else ""
        at = datetime.fromtimestamp(self.posts[name], UTC).isoformat()
        html = f'<div class="md"><p>{self.texts.get(name, "text " + name)}</p></div>'
        link = f"{WEB}r/travel/comments/{name[3:]}/title/"
        return (
            f'<entry>{by}<content type="html">{escape(html)}</content><id>{name}</id><link href="{link}"/>'
            f"<updated>{at}</updated><published>{at}</published><title>title {name}</title></entry>"
        )


def feed(*entries: str) -> bytes:
    return f'<feed xmlns="http://www.w3.org/2005/Atom"><id>/r/travel</id>{"".join(entries)}</feed>'.encode()


def chosen(**settings: Any) -> reddit.Settings:
    return reddit.Settings.model_validate({"subreddits": ["travel"], "comments": False, **settings})


def run(get: Any, cursor: Mapping[str, Any] | None = None, now: datetime = NOW, **settings: Any) -> list[Page]:
    return list(reddit.fetch(chosen(**settings), cursor, get, now, "reddit"))


def until_it_fails(walk: Iterator[Page]) -> tuple[list[Page], SourceError]:
    pages: list[Page] = []
    with pytest.raises(SourceError) as caught:
        for page in walk:
            pages.append(page)
    return pages, caught.value


def idents(pages: list[Page]) -> set[str]:
    return {post.native_id for page in pages for post in page.posts}


def numbered(first: int, last: int, kind: str = "t3_s") -> set[str]:
    return {f"{kind}{number}" for number in range(first, last + 1)}


def read(name: str) -> Page:
    return reddit.parse((PAYLOADS / name).read_bytes(), name="reddit", now=NOW)


class TestParse:
    def test_a_submission_of_a_feed(self) -> None:
        post, link = read("new.xml").posts
        assert (post.native_id, post.kind, post.author) == ("t3_zz9", "post", "quiet_harbour")
        assert post.text == "Is the Hotel Lumen worth it in winter?\nTwo adults & a cello."
        assert post.url == f"{WEB}r/travel/comments/zz9/in_winter/"
        assert post.created_at == datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
        assert post.federated_id == "reddit:t3_zz9"
        assert link.text == link.title == "The view from room 12 <3"

    def test_a_comment_of_a_feed(self) -> None:
        (comment,) = read("comments.xml").posts
        assert (comment.native_id, comment.kind, comment.title) == ("t1_zzc2", "comment", "")
        assert comment.text == "Went there in May, would go again."

    def test_a_listing_of_the_api(self) -> None:
        post, link, comment = read("listing.json").posts
        assert post.engagement == {"score": 7, "comments": 2}
        assert (post.edited_at, post.parent) == (None, "")
        assert link.text == link.title == "The view from room 12 <3 & more"
        assert (comment.kind, comment.title, comment.parent) == ("comment", "", "t3_zz9")
        assert comment.text == "Went there in May, would go again."
        assert comment.edited_at == comment.created_at + timedelta(minutes=5)
        assert comment.engagement == {"score": -3}

    def test_a_post_is_the_same_by_either_way(self) -> None:
        from_feed, from_api = read("new.xml").posts[0], read("listing.json").posts[0]
        assert replace(from_api, engagement=from_feed.engagement) == from_feed

    def test_what_was_taken_away_is_deleted(self) -> None:
        assert read("new.xml").deleted == ("t3_zz7",)
        assert read("listing.json").deleted == ("t1_zzc0", "t1_zzc1", "t3_zz6", "t3_zz7")

    def test_what_a_deleted_account_left_is_deleted(self) -> None:
        assert read("comments.xml").deleted == ("t1_zzc1",)

    def test_a_feed_that_tells_no_authors_at_all_tells_no_deletions(self) -> None:
        front = Front(EPOCH - 5, EPOCH - 6)
        front.authors = {"t3_s1": "", "t3_s2": ""}
        page = reddit.parse(feed(*map(front.entry, front.posts)), name="reddit", now=NOW)
        assert len(page.posts) == 2 and page.deleted == ()

    def test_what_is_dropped_is_counted(self) -> None:
        assert read("search.xml").skipped == {"not a post": 1}
        assert read("listing.json").skipped == {
            "an advertisement": 1,
            "no text": 1,
            "not a post": 2,
            "twice in the reply": 1,
        }

    @pytest.mark.parametrize("payload", [feed(), b'{"kind": "Listing", "data": {"children": []}}'])
    def test_no_posts_is_an_empty_page(self, payload: bytes) -> None:
        assert reddit.parse(payload, name="reddit", now=NOW) == Page(())


class TestAddresses:
    def test_subreddits_share_a_feed_and_so_do_phrases(self) -> None:
        front = Front(EPOCH - 5, comments=(EPOCH - 6,))
        run(front, subreddits=["r/Travel", "/r/hotels/"], comments=True, queries=["Hotel  Lumen", '"Suites"'])
        assert dict(front.asked).keys() == {
            "r/travel+hotels/new/.rss",
            "r/travel+hotels/comments/.rss",
            "search.rss",
        }
        asked = dict(front.asked)["search.rss"]
        assert (asked["q"], asked["sort"], asked["type"]) == ('"Hotel Lumen" OR "Suites"', "new", "link")
        assert "restrict_sr" not in asked

    def test_a_search_in_some_subreddits(self) -> None:
        front = Front()
        run(front, subreddits=[], queries=["Lumen"], search_in=["solotravel", "hotels"])
        ((path, asked),) = front.asked
        assert (path, asked["restrict_sr"]) == ("r/solotravel+hotels/search.rss", "on")

    def test_many_long_phrases_are_several_searches(self) -> None:
        front = Front()
        run(front, subreddits=[], queries=[f"{'x' * 150} {number}" for number in range(5)])
        assert len(front.asked) == 3 and all(len(asked["q"]) <= 400 for _, asked in front.asked)

    def test_a_post_found_twice_is_given_once(self) -> None:
        pages = run(Front(EPOCH - 5), queries=["Lumen"])
        assert [post.native_id for page in pages for post in page.posts] == ["t3_s1"]


class TestPace:
    def test_ten_requests_a_minute_are_not_exceeded(self) -> None:
        front = Front(*(EPOCH - n for n in range(1, 301)))
        run(front)
        assert len(front.gaps) == 4 and all(gap and gap >= 6 for gap in front.gaps)

    def test_when_the_requests_of_a_minute_are_used_up_the_next_one_waits_for_it(self) -> None:
        front = Front(*(EPOCH - n for n in range(1, 151)))
        front.headers = {"x-ratelimit-remaining": "0.0", "x-ratelimit-reset": "34"}
        run(front)
        assert front.gaps == [6.5, 35, 35]  # the last one shows that there is no more

    def test_a_long_wait_is_left_for_the_next_run(self) -> None:
        front = Front(*(EPOCH - n for n in range(1, 151)))
        front.headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "540"}
        pages, error = until_it_fails(reddit.fetch(chosen(), None, front, NOW, "reddit"))
        assert isinstance(error, Retry) and error.after == 540
        assert len(front.asked) == 1 and len(idents(pages)) == 100 and pages[0].cursor is None

    @pytest.mark.parametrize("told", ["", "soon", "nan", "inf"])
    def test_headers_that_tell_nothing_are_left_alone(self, told: str) -> None:
        front = Front(*(EPOCH - n for n in range(1, 31)))
        front.headers = {"x-ratelimit-remaining": told, "x-ratelimit-reset": told}
        run(front)
        assert front.gaps == [6.5, 6.5]

    def test_a_run_asks_a_bounded_number_of_times(self) -> None:
        front = Front(*(EPOCH - n for n in range(1, 1200)), comments=tuple(EPOCH - n for n in range(1, 1200)))
        pages = run(front, comments=True, queries=["Lumen"])
        assert len(front.asked) == 12
        assert sum(page.gap is not None for page in pages) == 3

    def test_a_personal_token_goes_along_and_lifts_the_pace(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LISTENER_TEST_FEED", "f00dfeed")
        front = Front(EPOCH - 5)
        pages = run(front, feed_token={"env": "LISTENER_TEST_FEED"}, feed_user="acme_listens")
        assert front.gaps == [None]
        assert (front.asked[0][1]["feed"], front.asked[0][1]["user"]) == ("f00dfeed", "acme_listens")
        assert "f00dfeed" not in repr(pages)

    def test_a_token_that_is_not_there_is_disabled_and_nobody_is_asked(self) -> None:
        front = Front()
        with pytest.raises(Disabled, match="LISTENER_NO_SUCH"):
            run(front, feed_token={"env": "LISTENER_NO_SUCH"}, feed_user="acme_listens")
        assert front.asked == []


class TestWalk:
    def test_the_first_run_looks_back_some_days(self) -> None:
        moments = [EPOCH - n * 900 for n in range(1, 401)]  # 96 a day
        front = Front(*moments)
        pages = run(front, days=1)
        assert len(front.asked) == 1 and idents(pages) == numbered(1, 100)
        assert pages[-1].gap is None

    def test_the_bookmark_is_the_newest_second_and_what_was_written_in_it(self) -> None:
        pages = run(Front(EPOCH - 10, EPOCH - 10, EPOCH - 20))
        assert pages[-1].cursor == {"marks": {"new travel": [EPOCH - 10, ["t3_s1", "t3_s2"]]}}

    def test_the_next_run_goes_down_to_the_bookmark_and_some_minutes_further(self) -> None:
        front = Front(*(EPOCH - n * 10 for n in range(1, 901)))
        cursor = {"marks": {"new travel": [EPOCH - 1505, ["t3_s151"]]}}
        pages = run(front, cursor)
        assert numbered(1, 210) <= idents(pages)
        assert len(front.asked) == 3
        assert pages[-1].gap is None
        assert pages[-1].cursor == {"marks": {"new travel": [EPOCH - 10, ["t3_s1"]]}}

    def test_only_the_last_page_moves_the_bookmark(self) -> None:
        pages = run(Front(*(EPOCH - n for n in range(1, 301))))
        assert [page.cursor is None for page in pages] == [True, True, True, False]

    def test_another_post_of_the_newest_second_is_read_next_time(self) -> None:
        front = Front(EPOCH - 10)
        cursor = run(front)[-1].cursor
        front.posts["t3_s2"] = EPOCH - 10
        assert "t3_s2" in idents(run(front, cursor))

    def test_the_post_of_the_bookmark_may_be_deleted_since(self) -> None:
        front = Front(*(EPOCH - n * 10 for n in range(1, 301)))
        front.hidden = {"t3_s120"}
        pages = run(front, {"marks": {"new travel": [EPOCH - 1200, ["t3_s120"]]}})
        assert numbered(1, 119) <= idents(pages) and pages[-1].gap is None
        assert len(front.asked) == 2

    def test_what_is_written_during_the_walk_is_read_next_time(self) -> None:
        front = Front(*(EPOCH - n * 10 for n in range(1, 151)))

        def busy(url: str, **told: Any) -> Response:
            reply = front(url, **told)
            front.posts[f"t3_n{len(front.asked)}"] = EPOCH - 5 + len(front.asked)
            return reply

        pages = run(busy)
        assert idents(pages) == numbered(1, 150)
        later = run(front, pages[-1].cursor, now=NOW + timedelta(minutes=10))
        assert {"t3_n1", "t3_n2"} <= idents(later)

    def test_a_failure_on_the_way_loses_nothing(self) -> None:
        front = Front(*(EPOCH - n for n in range(1, 151)))

        def fails_at_the_second(url: str, **told: Any) -> Response:
            if front.asked:
                raise Retry("busy", after=5)
            return front(url, **told)

        pages, error = until_it_fails(reddit.fetch(chosen(), None, fails_at_the_second, NOW, "reddit"))
        assert isinstance(error, Retry) and error.after == 5
        assert len(pages) == 1 and pages[0].posts and pages[0].cursor is None

    def test_what_cannot_be_reached_is_a_gap(self) -> None:
        front = Front(*(EPOCH - n for n in range(1, 2001)))
        pages = run(front, {"marks": {"new travel": [EPOCH - 1500, ["t3_s1500"]]}})
        assert idents(pages) == numbered(1, 1000)
        gap = pages[-1].gap
        assert gap is not None and "r/travel/new" in gap.why
        assert gap.since == NOW - timedelta(seconds=1500)
        assert gap.until == NOW - timedelta(seconds=1000)
        assert pages[-1].cursor == {"marks": {"new travel": [EPOCH - 1, ["t3_s1"]]}}

    @pytest.mark.parametrize(("known", "missed"), [("t3_s1000", False), ("t3_other", True)])
    def test_a_listing_that_ends_in_the_second_of_the_bookmark(self, known: str, missed: bool) -> None:
        front = Front(*(EPOCH - n for n in range(1, 1101)))
        pages = run(front, {"marks": {"new travel": [EPOCH - 1000, [known]]}})
        assert idents(pages) == numbered(1, 1000) and (pages[-1].gap is not None) == missed

    def test_a_young_subreddit_that_was_read_whole_has_no_gap(self) -> None:
        pages = run(Front(*(EPOCH - n for n in range(1, 151))))
        assert idents(pages) == numbered(1, 150) and pages[-1].gap is None

    def test_a_feed_that_shows_one_page_only_is_not_asked_for_ever(self) -> None:
        front = Front(*(EPOCH - n for n in range(1, 301)))
        front.pages = False
        pages = run(front)
        assert len(front.asked) == 2 and idents(pages) == numbered(1, 100)

    def test_one_post_in_the_wrong_place_does_not_end_the_walk(self) -> None:
        front = Front(*(EPOCH - n for n in range(1, 151)))

        def misplaced(url: str, **told: Any) -> Response:
            reply = front(url, **told)
            at = datetime.fromtimestamp(front.posts["t3_s50"], UTC).isoformat().encode()
            return replace(reply, body=reply.body.replace(at, b"2020-01-01T00:00:00+00:00"))

        assert "t3_s150" in idents(run(misplaced))

    def test_an_empty_listing_has_a_bookmark_too(self) -> None:
        pages = run(Front(), days=1)
        assert pages[-1].cursor == {"marks": {"new travel": [EPOCH - 86400, []]}}

    @pytest.mark.parametrize("ahead", [60, 86400 * 400])
    def test_a_clock_that_was_set_back_loses_nothing(self, ahead: int) -> None:
        front = Front(EPOCH - 5, EPOCH - 60)
        pages = run(front, {"marks": {"new travel": [EPOCH + ahead, ["t3_s9"]]}})
        assert idents(pages) == numbered(1, 2)
        assert pages[-1].cursor == {"marks": {"new travel": [EPOCH, ["t3_s9"]]}}

    def test_the_bookmark_never_passes_the_beginning_of_the_run(self) -> None:
        pages = run(Front(EPOCH + 1800))
        assert pages[-1].cursor == {"marks": {"new travel": [EPOCH, []]}}

    def test_it_stays_small_when_many_write_in_one_second(self) -> None:
        pages = run(Front(*[EPOCH - 5] * 800))
        assert len(json.dumps(pages[-1].cursor)) < 2000


class TestBookmarks:
    def test_a_subreddit_that_is_new_is_looked_back_for(self) -> None:
        front = Front(*(EPOCH - n * 3600 for n in range(1, 141)))
        cursor = {"marks": {"new travel": [EPOCH - 60, []], "new gone": [EPOCH, []]}}
        pages = run(front, cursor, subreddits=["travel", "hotels"])
        assert idents(pages) == numbered(1, 140)
        assert pages[-1].cursor is not None and pages[-1].cursor["marks"].keys() == {"new travel", "new hotels"}

    def test_those_that_share_a_feed_go_on_from_the_oldest(self) -> None:
        front = Front(*(EPOCH - n * 60 for n in range(1, 301)))
        cursor = {"marks": {"new travel": [EPOCH - 60, ["t3_s1"]], "new hotels": [EPOCH - 9000, ["t3_s150"]]}}
        pages = run(front, cursor, subreddits=["travel", "hotels"])
        assert numbered(1, 150) <= idents(pages)
        mark = [EPOCH - 60, ["t3_s1"]]
        assert pages[-1].cursor == {"marks": {"new travel": mark, "new hotels": mark}}


PRIVATE = b'{"reason": "private", "message": "Forbidden", "error": 403}'


class TestErrors:
    def test_a_subreddit_that_is_not_shown_is_named(self) -> None:
        front = Front(EPOCH - 5)
        front.failing = {"r/travel/new/.rss": Refused("status 403", PRIVATE, 403)}
        _, error = until_it_fails(reddit.fetch(chosen(), None, front, NOW, "reddit"))
        assert type(error) is Refused and error.status == 403
        assert "r/travel is private" in str(error)

    def test_one_that_does_not_exist_is_refused_too(self) -> None:
        front = Front()
        front.failing = {"r/travel/new/.rss": Broken("no such page", b'{"error": 404}', 404)}
        _, error = until_it_fails(reddit.fetch(chosen(), None, front, NOW, "reddit"))
        assert type(error) is Refused and "misspelt" in str(error)

    def test_a_web_page_in_place_of_a_reply_says_nothing_of_the_subreddit(self) -> None:
        wall = Refused("www.reddit.com shows a bot wall", b"<!doctype html><html>whoa there, pardner", 403)
        front = Front()
        front.failing = {"r/travel/new/.rss": wall}
        assert until_it_fails(reddit.fetch(chosen(), None, front, NOW, "reddit"))[1] is wall

    def test_a_listing_that_fails_does_not_keep_the_others_from_being_read(self) -> None:
        front = Front(EPOCH - 5, comments=(EPOCH - 6,))
        front.failing = {"r/travel/new/.rss": Refused("status 403", PRIVATE, 403)}
        for minute in range(3):  # whichever comes first
            now = NOW + timedelta(minutes=minute)
            walk = reddit.fetch(chosen(comments=True, queries=["Lumen"]), None, front, now, "reddit")
            pages, error = until_it_fails(walk)
            assert type(error) is Refused
            assert idents(pages) == {"t3_s1", "t1_c1"}

    def test_when_reddit_is_tired_nothing_else_is_asked(self) -> None:
        front = Front(EPOCH - 5)
        front.failing = dict.fromkeys(["r/travel/new/.rss", "r/travel/comments/.rss", "search.rss"], Retry("429", 60))
        _, error = until_it_fails(reddit.fetch(chosen(comments=True, queries=["Lumen"]), None, front, NOW, "reddit"))
        assert isinstance(error, Retry) and error.after == 60 and len(front.asked) == 1

    def test_an_empty_reply_is_not_an_empty_feed(self) -> None:
        with pytest.raises(Retry, match="sends nothing"):
            run(lambda url, **_: Response(200, url, {}, b" \n"))

    def test_a_feed_of_something_else_is_broken(self) -> None:
        payload = (PAYLOADS / "broken-other.xml").read_bytes()
        with pytest.raises(Broken, match="without posts"):
            run(lambda url, **_: Response(200, url, {}, payload))


class TestRecheck:
    def ask(self, front: Front, *names: str) -> list[Page]:
        return list(reddit.recheck(chosen(), None, names, front, NOW, "reddit"))

    def test_what_is_gone_what_was_edited_and_what_is_left_out(self) -> None:
        front = Front(EPOCH - 5, EPOCH - 6, EPOCH - 7, comments=(EPOCH - 8,))
        front.texts = {"t3_s1": "[removed]", "t3_s2": "now with breakfast"}
        front.hidden = {"t3_s3"}
        (page,) = self.ask(front, "t3_s1", "t3_s2", "t3_s3", "t1_c1")
        assert page.deleted == ("t3_s1",)
        assert {post.native_id: post.text for post in page.posts} == {
            "t3_s2": "now with breakfast",
            "t1_c1": "text t1_c1",
        }

    def test_a_hundred_cost_one_request_a_minute_after_the_last(self) -> None:
        front = Front(*range(EPOCH - 100, EPOCH))
        (page,) = self.ask(front, *sorted(numbered(1, 100)))
        assert len(page.posts) == reddit.RECHECK_AT_ONCE == 100
        assert len(front.asked) == 1 and front.gaps[0] is not None and front.gaps[0] > 60

    def test_ids_that_are_not_reddits_are_not_asked_after(self) -> None:
        front = Front()
        assert self.ask(front, "t5_abc", "t3_a,t3_b", "") == [] == front.asked


class TestBackfill:
    def walk(self, front: Any, since: datetime, cursor: Mapping[str, Any] | None = None, **told: Any) -> Iterator[Page]:
        return reddit.backfill(chosen(**told), since, cursor, front, NOW, "reddit")

    def test_goes_back_to_the_day_and_not_much_further(self) -> None:
        front = Front(*(EPOCH - n * 3600 for n in range(1, 901)))
        pages = list(self.walk(front, NOW - timedelta(days=10)))
        assert numbered(1, 240) <= idents(pages) and len(front.asked) == 3
        assert pages[-1].cursor == {} and all(page.gap is None for page in pages)

    def test_goes_on_where_it_was_stopped(self) -> None:
        front = Front(*(EPOCH - n for n in range(1, 501)), comments=tuple(EPOCH - n for n in range(1, 501)))
        since = NOW - timedelta(days=1)
        found: set[str] = set()
        cursor: Mapping[str, Any] | None = None
        rounds = 0
        while cursor != {}:
            page = next(self.walk(front, since, cursor, comments=True))
            found |= idents([page])
            assert page.cursor is not None
            cursor = json.loads(json.dumps(page.cursor))
            rounds += 1
            assert rounds < 20
        assert found == numbered(1, 500) | numbered(1, 500, "t1_c")
        assert len(front.asked) <= 12

    def test_where_a_listing_ends_before_that_day_is_a_gap(self) -> None:
        pages = list(self.walk(Front(*(EPOCH - n * 60 for n in range(1, 1201))), NOW - timedelta(days=2)))
        assert len(idents(pages)) == 1000
        (gap,) = (page.gap for page in pages if page.gap)
        assert (gap.since, gap.until) == (NOW - timedelta(days=2), NOW - timedelta(minutes=1000))

    def test_a_listing_that_fails_is_asked_again_and_the_others_are_not(self) -> None:
        front = Front(EPOCH - 5, comments=(EPOCH - 6,))
        front.failing = {"r/travel/new/.rss": Refused("status 403", PRIVATE, 403)}
        pages, error = until_it_fails(self.walk(front, NOW - timedelta(days=1), comments=True))
        assert type(error) is Refused and idents(pages) == {"t1_c1"}
        front.failing, front.asked = {}, []
        again = list(self.walk(front, NOW - timedelta(days=1), pages[-1].cursor, comments=True))
        assert [path for path, _ in front.asked] == ["r/travel/new/.rss"]
        assert idents(again) == {"t3_s1"} and again[-1].cursor == {}


SECRETS = {"client_id": {"env": "A"}, "client_secret": {"env": "B"}}


class TestSettings:
    @pytest.mark.parametrize(
        "told",
        [
            {},
            {"subreddits": [""]},
            {"subreddits": ["a b"]},
            {"subreddits": ["https://www.reddit.com/r/travel"]},
            {"subreddits": ["all"]},
            {"queries": ['""']},
            {"queries": ["x" * 401]},
            {"subreddits": ["travel"], "search_in": ["hotels"]},
            {"subreddits": ["travel"], "client_id": {"env": "A"}},
            {"subreddits": ["travel"], **SECRETS, "username": "acme"},
            {"subreddits": ["travel"], "username": "acme", "password": {"env": "C"}},
            {"subreddits": ["travel"], "feed_token": {"env": "D"}},
            {"subreddits": ["travel"], "feed_user": "acme"},
            {"subreddits": ["travel"], "client_id": "literally", "client_secret": "secret"},
        ],
    )
    def test_what_would_find_nothing_or_not_begin_is_refused(self, told: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            reddit.Settings.model_validate(told)

    @pytest.mark.parametrize(
        ("told", "way"),
        [
            ({}, "by the feeds, without a key"),
            ({"feed_token": {"env": "A"}, "feed_user": "acme"}, "by the feeds, with a personal token"),
            (SECRETS, "by the API, as an app"),
            ({**SECRETS, "username": "acme", "password": {"env": "C"}}, "by the API, as u/acme"),
        ],
    )
    def test_it_says_which_way_it_goes(self, told: dict[str, Any], way: str) -> None:
        assert reddit.status(chosen(**told), None).startswith(way)


def test_without_a_key_praw_is_not_even_imported() -> None:
    program = "import sys, listener.sources.reddit; print(*{'praw', 'prawcore', 'requests'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


FILES = sorted(file for file in PAYLOADS.iterdir() if file.suffix in (".xml", ".json", ".html"))


@given(st.sampled_from(FILES).flatmap(lambda file: mutated(file.read_bytes())))
def test_any_payload_is_read_or_broken(payload: bytes) -> None:
    try:
        page = reddit.parse(payload, name="reddit", now=NOW)
    except Broken:
        return
    sound(page.posts)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["[deleted]", "t3_a", "/r/a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = (
    "name", "author", "title", "selftext", "selftext_html", "body", "body_html", "created_utc", "edited", "permalink",
    "parent_id", "score", "num_comments", "removed_by_category", "promoted",
)  # fmt: skip
THING = st.dictionaries(st.sampled_from(FIELDS), JSON) | st.builds(
    lambda thing: {**thing, "name": "t3_a"}, st.dictionaries(st.sampled_from(FIELDS), JSON)
)


@given(st.lists(st.builds(lambda data: {"kind": "t3", "data": data}, THING | JSON) | JSON, max_size=4))
def test_any_value_in_any_field_is_read_or_broken(children: list[Any]) -> None:
    payload = json.dumps({"kind": "Listing", "data": {"children": children, "after": None}}).encode()
    try:
        page = reddit.parse(payload, name="reddit", now=NOW)
    except Broken:
        return
    sound(page.posts)


def sound(posts: tuple[Post, ...]) -> None:
    for post in posts:
        assert post.text and post.native_id[:3] in ("t1_", "t3_")
        assert post.created_at is None or post.created_at <= NOW + timedelta(hours=1)
        assert not post.url or post.url.startswith(("https://", "http://"))
        (post.text + post.title + post.author + post.url + post.parent).encode()
