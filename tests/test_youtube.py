"""YouTube, through a small imitation of its interface that keeps the real one's limits and counts units."""

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
from listener.sources import youtube

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)  # four in the morning in California
EPOCH = int(NOW.timestamp())
DAY = 86400
TO_MIDNIGHT = 20 * 3600.0
PAYLOADS = Path(__file__).parent / "payloads" / "youtube"
API = "https://www.googleapis.com/youtube/v3"
VIDEO, OTHER, CHANNEL = "hptour0001A", "hproom0002B", "UCharbourpine00000000000"
HALF_AN_HOUR = timedelta(minutes=30)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOUTUBE_KEY", "an-api-key")


def told(reason: str, **more: Any) -> bytes:
    error = {"errors": [{"reason": reason, "message": reason}], "message": reason, **more}
    return json.dumps({"error": error}).encode()


def refusal(reason: str, status: int = 403) -> SourceError:
    """What the door out makes of an error of YouTube."""
    kind = {400: Broken, 401: Unauthorised, 403: Refused, 404: Broken}[status]
    return kind(f"as the door says it ({status})", told(reason, code=status), status)


class Tube:
    """Answers as commentThreads, comments and search do: newest first, 100 at most, five replies, 50 ids."""

    def __init__(self, *moments: float, video: str = VIDEO, quota: int = 10_000) -> None:
        self.comments: dict[str, dict[str, Any]] = {}
        self.under: dict[str, list[str]] = {}  # thread -> its replies
        self.refused: dict[str, str] = {}  # video or channel -> reason
        self.failing: dict[int, SourceError] = {}  # number of the request -> what becomes of it
        self.found: list[str] = []
        self.by_activity = False  # whether "time" means that of the newest reply; YouTube does not say
        self.asked: list[tuple[str, Mapping[str, str]]] = []
        self.quota, self.spent = quota, 0
        for at in moments:
            self.add(at, video)

    def add(self, at: float, video: str = VIDEO, parent: str = "") -> str:
        number = len(self.comments) + 1
        ident = f"{parent}.r{number}" if parent else f"Ugw{number}"
        self.under.setdefault(parent, []).append(ident)
        self.comments[ident] = {"at": at, "video": video, "parent": parent, "text": f"text {number}", "edited": at}
        return ident

    def __call__(self, url: str, *, params: Mapping[str, str], headers: Mapping[str, str], **_: Any) -> Response:
        assert headers == {"X-Goog-Api-Key": "an-api-key"}
        assert "key" not in params
        what = url.removeprefix(API + "/")
        self.asked.append((what, params))
        if len(self.asked) in self.failing:
            raise self.failing[len(self.asked)]
        self.spent += 100 if what == "search" else 1
        if self.spent > self.quota:
            raise refusal("quotaExceeded")
        if what != "search":
            assert params["textFormat"] == "plainText"
        reply = {"commentThreads": self.threads, "comments": self.replies, "search": self.search}[what](params)
        return Response(200, url, {}, json.dumps(reply).encode())

    def threads(self, params: Mapping[str, str]) -> dict[str, Any]:
        assert (params["order"], params["part"]) == ("time", "snippet,replies")
        video, channel = params.get("videoId"), params.get("allThreadsRelatedToChannelId")
        assert (video is None) != (channel is None)
        place = str(video or channel)
        if place in self.refused:
            reason = self.refused[place]
            raise refusal(reason, 404 if "NotFound" in reason else 403)
        top = [ident for ident, one in self.comments.items() if not one["parent"] and one["video"] == (video or VIDEO)]
        signs = {ident: [ident, *(self.under.get(ident, []) if self.by_activity else [])] for ident in top}
        top.sort(key=lambda ident: max(self.comments[each]["at"] for each in signs[ident]), reverse=True)
        reply = self.page(top, params)
        return {**reply, "items": [self.thread(ident) for ident in reply["items"]]}

    def thread(self, ident: str) -> dict[str, Any]:
        replies = self.under.get(ident, [])
        snippet = {"videoId": self.comments[ident]["video"], "totalReplyCount": len(replies)}
        thread: dict[str, Any] = {"id": ident, "snippet": {**snippet, "topLevelComment": self.comment(ident)}}
        if replies:
            thread["replies"] = {"comments": [self.comment(each) for each in replies[-5:]]}
        return thread

    def comment(self, ident: str) -> dict[str, Any]:
        one = self.comments[ident]
        times = {"publishedAt": _iso(one["at"]), "updatedAt": _iso(one["edited"])}
        return {"id": ident, "snippet": {"textDisplay": one["text"], "authorDisplayName": "@guest", **times}}

    def replies(self, params: Mapping[str, str]) -> dict[str, Any]:
        if "id" in params:
            idents = params["id"].split(",")
            assert len(idents) <= 50
            return {"items": [self.comment(ident) for ident in idents if ident in self.comments]}
        if params["parentId"] not in self.comments:
            raise refusal("commentNotFound", 404)
        reply = self.page(self.under.get(params["parentId"], []), params)
        return {**reply, "items": [self.comment(ident) for ident in reply["items"]]}

    def search(self, params: Mapping[str, str]) -> dict[str, Any]:
        assert (params["type"], params["order"]) == ("video", "date")
        return {"items": [{"id": {"videoId": video}} for video in self.found[: int(params["maxResults"])]]}

    def page(self, items: list[str], params: Mapping[str, str]) -> dict[str, Any]:
        size, start = int(params["maxResults"]), int(params.get("pageToken", "at 0").split()[1])
        assert size <= 100
        reply: dict[str, Any] = {"items": items[start : start + size]}
        if start + size < len(items):
            reply["nextPageToken"] = f"at {start + size}"
        return reply

    def count(self, what: str) -> int:
        return sum(asked == what for asked, _ in self.asked)


def _iso(second: float) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat().replace("+00:00", "Z")


def settings(**given_: Any) -> youtube.Settings:
    chosen = {"key": {"env": "YOUTUBE_KEY"}, "videos": [VIDEO], **given_}
    return youtube.Settings.model_validate({name: value for name, value in chosen.items() if value is not None})


def run(get: Any, cursor: Mapping[str, Any] | None = None, now: datetime = NOW, **given_: Any) -> list[Page]:
    pages = list(youtube.fetch(settings(**given_), cursor, get, now, "tube"))
    assert all(json.loads(json.dumps(page.cursor)) == page.cursor for page in pages)
    return pages


def failing_run(
    get: Any, cursor: Mapping[str, Any] | None = None, now: datetime = NOW, **given_: Any
) -> tuple[list[Page], SourceError]:
    pages: list[Page] = []
    with pytest.raises(SourceError) as caught:
        for page in youtube.fetch(settings(**given_), cursor, get, now, "tube"):
            pages.append(page)
    return pages, caught.value


def numbers(pages: list[Page]) -> list[int]:
    return sorted(int(post.text.removeprefix("text ")) for page in pages for post in page.posts)


def until(page: Page) -> Mapping[str, int]:
    assert page.cursor is not None
    marks: Mapping[str, int] = page.cursor.get("until", {})
    return marks


def skipped(pages: list[Page]) -> dict[str, int]:
    return {why: n for page in pages for why, n in page.skipped.items()}


class TestParse:
    def page(self) -> Page:
        return youtube.parse((PAYLOADS / "threads.json").read_bytes(), name="tube", now=NOW)

    def test_a_comment(self) -> None:
        first = self.page().posts[0]
        assert first.text == "Stayed at Harbour & Pine last week.\nIs breakfast <still> in the garden?"
        assert (first.kind, first.author, first.parent) == ("comment", "@tea-and-trains", "")
        assert first.url == f"https://www.youtube.com/watch?v={VIDEO}&lc={first.native_id}"
        assert first.created_at == datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
        assert first.edited_at is None
        assert first.engagement == {"likes": 7, "replies": 2}

    def test_replies_come_with_their_thread(self) -> None:
        first, reply, other = self.page().posts[:3]
        assert reply.parent == other.parent == first.native_id
        assert reply.url.startswith(f"https://www.youtube.com/watch?v={VIDEO}&lc=")
        assert reply.engagement == {"likes": 1}

    def test_an_edited_comment(self) -> None:
        assert self.page().posts[3].edited_at == datetime(2026, 11, 21, 18, 30, tzinfo=UTC)

    def test_a_comment_that_belongs_to_no_video_has_no_address(self) -> None:
        assert self.page().posts[4].url == ""

    def test_what_is_dropped_is_counted(self) -> None:
        assert self.page().skipped == {"no text": 1, "no id": 1}

    def test_a_reply_by_itself_knows_its_thread_by_its_id(self) -> None:
        body = json.dumps({"items": [{"id": "Ugw1.r2", "snippet": {"textDisplay": "yes"}}]}).encode()
        (post,) = youtube.parse(body, name="tube", now=NOW, video=VIDEO).posts
        assert (post.parent, post.url) == ("Ugw1", f"https://www.youtube.com/watch?v={VIDEO}&lc=Ugw1.r2")

    def test_no_comments_are_an_empty_page(self) -> None:
        assert youtube.parse(b'{"items": []}', name="tube", now=NOW) == Page(())


class TestTurns:
    """One place fails for now in every run, as YouTube answers for some videos for ever."""

    BUSY = refusal("processingFailure", 400)

    def tube(self, error: SourceError, what: str = VIDEO) -> Any:
        tube = Tube(EPOCH - 60, video=OTHER)

        def get(url: str, *, params: Mapping[str, str], **told: Any) -> Response:
            if what in params.values():
                tube.asked.append(("failed", params))
                raise error
            return tube(url, params=params, **told)

        return tube, get

    def test_the_others_are_read_all_the_same(self) -> None:
        _, get = self.tube(self.BUSY)
        pages, error = failing_run(get, videos=[VIDEO, OTHER])
        assert isinstance(error, Retry) and numbers(pages) == [1]
        assert until(pages[-1]) == {f"video {OTHER}": EPOCH}

    def test_they_are_by_a_walk_back_as_well(self) -> None:
        _, get = self.tube(self.BUSY)
        pages: list[Page] = []
        with pytest.raises(Retry):
            for page in youtube.backfill(settings(videos=[VIDEO, OTHER]), NOW - 9 * HALF_AN_HOUR, None, get, NOW, "t"):
                pages.append(page)
        assert numbers(pages) == [1] and pages[-1].cursor is not None
        assert pages[-1].cursor["walk"]["done"] == [f"video {OTHER}"]

    @pytest.mark.parametrize(
        "error",
        [refusal("userRateLimitExceeded"), refusal("quotaExceeded"), Retry("busy", 60), Retry("busy", status=429)],
    )
    def test_nothing_more_is_asked_where_that_is_of_the_key(self, error: SourceError) -> None:
        tube, get = self.tube(error)
        pages, met = failing_run(get, videos=[VIDEO, OTHER])
        assert isinstance(met, Retry) and numbers(pages) == [] and len(tube.asked) == 1

    def test_a_thread_whose_replies_cannot_be_read_lets_the_others_pass(self) -> None:
        tube, get = self.tube(self.BUSY, "Ugw1")
        other = tube.add(EPOCH - 90, OTHER)
        replies = [tube.add(EPOCH - 50 + n, OTHER, thread) for n in range(7) for thread in ("Ugw1", other)]
        pages, _ = failing_run(get, videos=[OTHER])
        pages += failing_run(get, pages[-1].cursor, NOW + HALF_AN_HOUR, videos=[OTHER])[0]
        read = {post.native_id for page in pages for post in page.posts}
        assert {one for one in replies if one.startswith(other)} <= read
        assert list(pages[-1].cursor["owed"]) == ["Ugw1"]  # type: ignore[index]


class TestPlaces:
    def test_a_channel_is_read_whole(self) -> None:
        tube = Tube(EPOCH - 60)
        assert numbers(run(tube, videos=None, channels=[CHANNEL])) == [1]
        assert tube.asked[0][1]["allThreadsRelatedToChannelId"] == CHANNEL

    def test_what_two_places_show_comes_once(self) -> None:
        tube = Tube(EPOCH - 60, EPOCH - 90)
        assert numbers(run(tube, channels=[CHANNEL])) == [1, 2]
        assert tube.spent == 2

    def test_the_bookmark_is_the_start_of_the_run(self) -> None:
        assert until(run(Tube(EPOCH - 60))[-1]) == {f"video {VIDEO}": EPOCH}

    def test_a_walk_goes_down_to_the_days_of_the_first_run(self) -> None:
        tube = Tube(*(EPOCH - n * 3600 for n in range(1, 401)))
        pages = run(tube, days=7)
        assert set(range(1, 168)) <= set(numbers(pages))
        assert tube.spent == 2

    def test_a_walk_stops_where_the_last_one_began_an_hour_of_overlap_included(self) -> None:
        tube = Tube(*(EPOCH - n * 60 for n in range(1, 901)))
        cursor = run(tube)[-1].cursor
        spent = tube.spent
        late = tube.add(EPOCH - 1800)  # held for review
        for n in range(150):
            tube.add(EPOCH + 60 + n)
        pages = run(tube, cursor, NOW + HALF_AN_HOUR)
        assert set(range(902, 1052)) | {901} <= set(numbers(pages))
        assert late in {post.native_id for page in pages for post in page.posts}
        assert tube.spent - spent == 3

    def test_only_the_end_of_the_walk_moves_the_bookmark(self) -> None:
        pages = run(Tube(*(EPOCH - n * 60 for n in range(1, 351))))
        with_posts = [page for page in pages if page.posts]
        assert [bool(until(page)) for page in with_posts] == [False, False, False, True]

    def test_a_failure_on_the_way_loses_nothing(self) -> None:
        tube = Tube(*(EPOCH - n * 60 for n in range(1, 351)))
        tube.failing[3] = Retry("busy", after=5)
        pages, error = failing_run(tube)
        assert isinstance(error, Retry) and error.after == 5
        assert len(numbers(pages)) == 200 and not until(pages[-1])
        assert numbers(run(tube, pages[-1].cursor, NOW + HALF_AN_HOUR)) == list(range(1, 351))

    def test_a_broken_page_on_the_way_moves_no_bookmark(self) -> None:
        tube = Tube(*(EPOCH - n * 60 for n in range(1, 151)))

        def torn_at_the_second(url: str, **given_: Any) -> Response:
            response = tube(url, **given_)
            return Response(200, url, {}, b'{"items": [{"key": 1}]}') if len(tube.asked) == 2 else response

        pages, error = failing_run(torn_at_the_second)
        assert isinstance(error, Broken)
        assert all(not until(page) for page in pages)

    def test_what_arrives_during_the_walk_is_read_by_the_next_run(self) -> None:
        tube = Tube(*(EPOCH - n * 60 for n in range(1, 251)))
        pages = []
        get: Any = tube
        for page in youtube.fetch(settings(), None, get, NOW, "tube"):
            pages.append(page)
            if page.posts and len(tube.comments) == 250:
                tube.add(EPOCH + 1)
        assert set(range(1, 251)) <= set(numbers(pages))
        assert 251 in numbers(run(tube, pages[-1].cursor, NOW + HALF_AN_HOUR))

    @pytest.mark.parametrize("hours", [-30, -1, 1, 30])
    def test_a_clock_that_was_wrong_loses_no_comments(self, hours: int) -> None:
        tube = Tube(EPOCH - 600)
        cursor = run(tube)[-1].cursor
        cursor = run(tube, cursor, NOW + timedelta(hours=hours))[-1].cursor
        for n in range(250):
            tube.add(EPOCH + 60 + n)
        assert set(range(2, 252)) <= set(numbers(run(tube, cursor, NOW + HALF_AN_HOUR)))

    def test_what_one_run_does_not_reach_is_a_gap(self) -> None:
        tube = Tube(*(EPOCH - n * 60 for n in range(1, 2001)))
        pages = run(tube)
        gap = next(page.gap for page in pages if page.gap)
        assert len(numbers(pages)) == 1000 and tube.spent == 10
        assert gap.since == NOW - timedelta(days=7)
        assert gap.until == NOW - timedelta(minutes=1000)
        assert VIDEO in gap.why
        assert until(pages[-1])
        assert all(page.gap is None for page in run(tube, pages[-1].cursor, NOW + HALF_AN_HOUR))

    def test_more_places_than_a_run_reads_take_turns(self) -> None:
        videos = [f"hpvideo{number:04}" for number in range(90)]
        tube = Tube()
        for video in videos:
            tube.add(EPOCH - 60, video)
        cursor: Mapping[str, Any] | None = None
        read: set[int] = set()
        for turn in range(3):
            pages = run(tube, cursor, NOW + turn * HALF_AN_HOUR, videos=videos)
            assert tube.spent <= 50 * (turn + 1)
            read |= set(numbers(pages))
            cursor = pages[-1].cursor
        assert read == set(range(1, 91))

    def test_a_removed_place_is_forgotten(self) -> None:
        tube = Tube(EPOCH - 60)
        cursor = run(tube, videos=[VIDEO, OTHER])[-1].cursor
        assert set(until(run(tube, cursor, NOW + HALF_AN_HOUR)[-1])) == {f"video {VIDEO}"}


class TestReplies:
    def busy(self, replies: int) -> tuple[Tube, str]:
        tube = Tube(EPOCH - 600)
        thread = next(iter(tube.comments))
        for n in range(replies):
            tube.add(EPOCH - 500 + n, parent=thread)
        return tube, thread

    def test_up_to_five_come_for_nothing(self) -> None:
        tube, _ = self.busy(5)
        assert numbers(run(tube)) == [1, 2, 3, 4, 5, 6]
        assert tube.spent == 1

    def test_more_than_five_are_asked_for(self) -> None:
        tube, thread = self.busy(230)
        pages = run(tube)
        assert numbers(pages) == list(range(1, 232))
        assert tube.spent == 1 + 3
        replies = [post for page in pages for post in page.posts if post.parent]
        assert {post.parent for post in replies} == {thread}
        assert all(post.url.startswith(f"https://www.youtube.com/watch?v={VIDEO}&lc=") for post in replies)

    def test_they_are_asked_for_again_only_when_there_are_more(self) -> None:
        tube, thread = self.busy(20)
        cursor = run(tube)[-1].cursor
        cursor = run(tube, cursor, NOW + HALF_AN_HOUR)[-1].cursor
        assert tube.count("comments") == 1
        tube.add(EPOCH + 60, parent=thread)
        tube.add(EPOCH + 61, parent=thread)
        assert {22, 23} <= set(numbers(run(tube, cursor, NOW + 2 * HALF_AN_HOUR)))
        assert tube.count("comments") == 2

    def test_a_late_reply_in_an_old_thread_is_found_while_that_is_among_the_newest(self) -> None:
        tube = Tube(EPOCH - 100 * DAY)
        cursor = run(tube)[-1].cursor
        tube.add(EPOCH + 60, parent="Ugw1")
        assert 2 in numbers(run(tube, cursor, NOW + HALF_AN_HOUR))

    def test_a_listing_by_the_newest_reply_is_read_whole_too(self) -> None:
        tube = Tube(*(EPOCH - 100 * DAY - n for n in range(150)))
        tube.by_activity = True
        cursor = run(tube)[-1].cursor
        for thread in list(tube.comments):
            tube.add(EPOCH + 60, parent=thread)
        assert set(range(151, 301)) <= set(numbers(run(tube, cursor, NOW + HALF_AN_HOUR)))

    def test_those_that_were_not_reached_are_read_by_the_next_run(self) -> None:
        tube, _ = self.busy(230)
        tube.failing[3] = Retry("busy")
        pages, _ = failing_run(tube)
        assert until(pages[-1])  # of the threads: the replies are kept apart
        pages += run(tube, pages[-1].cursor, NOW + HALF_AN_HOUR)
        assert sorted(set(numbers(pages))) == list(range(1, 232))

    def test_many_threads_with_many_replies_take_several_runs(self) -> None:
        tube = Tube(*(EPOCH - 600 - n for n in range(120)))
        for thread in list(tube.comments):
            for n in range(7):
                tube.add(EPOCH - 400 + n, parent=thread)
        cursor: Mapping[str, Any] | None = None
        read: set[int] = set()
        for turn in range(4):
            before = tube.spent
            pages = run(tube, cursor, NOW + turn * HALF_AN_HOUR)
            assert tube.spent - before <= 50
            read |= set(numbers(pages))
            cursor = pages[-1].cursor
        assert read == set(range(1, len(tube.comments) + 1))
        assert len(json.dumps(cursor)) < 10_000

    def test_threads_that_are_shown_all_the_time_are_read_once(self) -> None:
        tube, videos = Tube(), [f"hpvideo{number:04}" for number in range(5)]
        for video in videos:
            for n in range(80):
                thread = tube.add(EPOCH - 600 - n, video)
                for _ in range(6):
                    tube.add(EPOCH - 500, video, thread)
        cursor: Mapping[str, Any] | None = None
        for turn in range(40):
            read = tube.count("comments")
            cursor = run(tube, cursor, NOW + turn * HALF_AN_HOUR, videos=videos)[-1].cursor
        assert tube.count("comments") == 400 and read == 400

    def test_of_threads_that_are_shown_no_more_nothing_is_kept(self) -> None:
        tube = Tube(EPOCH - 600)
        for _ in range(6):
            tube.add(EPOCH - 500, parent="Ugw1")
        first = run(tube)[-1].cursor
        again = run(tube, first, NOW + HALF_AN_HOUR)[-1].cursor
        for n in range(100):
            tube.add(EPOCH + n)
        last = run(tube, run(tube, again, NOW + 5 * HALF_AN_HOUR)[-1].cursor, NOW + 6 * HALF_AN_HOUR)[-1].cursor
        assert first and again and last
        assert "counts" in first and first["counts"] == again["counts"] and "counts" not in last

    def test_places_wait_while_many_threads_are_owed(self) -> None:
        tube, videos = Tube(), [f"hpvideo{number:04}" for number in range(5)]
        for video in videos:
            for n in range(60):
                thread = tube.add(EPOCH - 600 - n, video)
                for _ in range(6):
                    tube.add(EPOCH - 500, video, thread)
        cursor: Mapping[str, Any] | None = None
        read: set[int] = set()
        for turn in range(8):
            pages = run(tube, cursor, NOW + turn * HALF_AN_HOUR, videos=videos)
            assert all(len((page.cursor or {}).get("owed", {})) <= 200 for page in pages)
            read |= set(numbers(pages))
            cursor = pages[-1].cursor
        assert read == set(range(1, len(tube.comments) + 1))

    def test_a_thread_that_is_gone_meanwhile_is_counted(self) -> None:
        tube, _ = self.busy(20)
        tube.failing[2] = refusal("commentNotFound", 404)
        pages = run(tube)
        assert skipped(pages) == {"thread deleted": 1}
        assert pages[-1].cursor is not None and "owed" not in pages[-1].cursor

    def test_a_thread_that_cannot_be_read_is_not_asked_for_for_ever(self) -> None:
        tube, _ = self.busy(20)
        tube.failing[2] = refusal("forbidden")
        pages, error = failing_run(tube)
        assert isinstance(error, Refused)
        assert len(numbers(run(tube, pages[-1].cursor, NOW + HALF_AN_HOUR))) == 21

    def test_what_is_beyond_a_thousand_is_a_gap(self) -> None:
        tube, thread = self.busy(1200)
        pages = run(tube)
        gaps = [page.gap for page in pages if page.gap]
        assert len(numbers(pages)) == 1001 + 5  # the newest five came with the thread
        assert len(gaps) == 1 and thread in gaps[0].why


class TestQueries:
    def test_the_videos_of_a_search_are_read(self) -> None:
        tube = Tube(EPOCH - 60, video=OTHER)
        tube.found = [OTHER]
        assert numbers(run(tube, videos=None, queries=["Harbour  & Pine"])) == [1]
        assert tube.asked[0][1]["q"] == "Harbour & Pine"
        assert tube.spent == 101

    def test_a_search_is_made_once_a_day(self) -> None:
        tube = Tube()
        tube.found = [OTHER]
        cursor: Mapping[str, Any] | None = None
        for turn in range(49):
            cursor = run(tube, cursor, NOW + turn * HALF_AN_HOUR, queries=["Pine"])[-1].cursor
        assert tube.count("search") == 2

    def test_or_as_often_as_the_settings_say(self) -> None:
        tube = Tube()
        told_ = {"queries": ["Pine"], "search_hours": 2}
        cursor = run(tube, **told_)[-1].cursor
        run(tube, cursor, NOW + timedelta(hours=2), **told_)
        assert tube.count("search") == 2

    def test_so_many_videos_and_no_more(self) -> None:
        tube = Tube()
        tube.found = [f"hpvideo{number:04}" for number in range(20)]
        run(tube, videos=None, queries=["Pine"], videos_per_query=3)
        assert tube.count("commentThreads") == 3


class TestQuota:
    def test_units_are_counted_over_runs_of_a_day_and_anew_after_midnight_in_california(self) -> None:
        tube = Tube(EPOCH - 60)
        cursor = run(tube)[-1].cursor
        cursor = run(tube, cursor, NOW + timedelta(hours=19))[-1].cursor
        assert youtube.spent(cursor) == "2 of 9,000 units on 2026-11-22 (Pacific time)"
        cursor = run(tube, cursor, NOW + timedelta(hours=20, minutes=1))[-1].cursor
        assert youtube.spent(cursor) == "1 of 9,000 units on 2026-11-23 (Pacific time)"

    def test_the_run_stops_before_youtube_has_to_say_so(self) -> None:
        tube = Tube(*(EPOCH - n * 60 for n in range(1, 901)), quota=10)
        pages, error = failing_run(tube, daily_units=10, videos=[VIDEO, OTHER, "hpother003C"])
        assert isinstance(error, Retry) and error.after == TO_MIDNIGHT
        assert "10 of 10 units" in str(error)
        assert tube.spent == 10
        again, error = failing_run(tube, pages[-1].cursor, NOW + timedelta(hours=1), daily_units=10)
        assert isinstance(error, Retry) and error.after == TO_MIDNIGHT - 3600
        assert tube.spent == 10
        tube.quota += 10
        assert numbers(run(tube, again[-1].cursor, NOW + timedelta(hours=21), daily_units=10)) == list(range(1, 101))

    def test_a_search_that_the_units_do_not_pay_for_is_not_made(self) -> None:
        tube = Tube(EPOCH - 60)
        cursor = {"units": {"day": "2026-11-22", "spent": 250, "of": 300}}
        error = failing_run(tube, cursor, queries=["Pine"], daily_units=300)[1]
        assert isinstance(error, Retry)
        assert tube.count("search") == 0

    def test_a_request_that_fails_is_counted(self) -> None:
        tube = Tube(EPOCH - 60)
        tube.failing[1] = Retry("busy", after=5)
        assert youtube.spent(failing_run(tube)[0][-1].cursor).startswith("1 of 9,000")

    def test_the_server_may_say_so_first(self) -> None:
        tube = Tube(EPOCH - 60, quota=0)
        error = failing_run(tube)[1]
        assert isinstance(error, Retry) and error.after == TO_MIDNIGHT

    @pytest.mark.parametrize(("day", "hours"), [("2026-03-08T09:30", 21.5), ("2026-11-01T07:30", 24.5)])
    def test_days_on_which_the_clocks_change(self, day: str, hours: float) -> None:
        now = datetime.fromisoformat(f"{day}:00+00:00")  # half past one, and half past midnight
        error = failing_run(Tube(quota=0), None, now)[1]
        assert isinstance(error, Retry) and error.after == hours * 3600

    def test_before_the_first_run_there_is_nothing_to_say(self) -> None:
        assert youtube.spent(None) == youtube.spent({}) == ""


class TestClosed:
    def test_comments_that_are_switched_off_are_normal_and_told(self) -> None:
        tube = Tube(EPOCH - 60, video=OTHER)
        tube.refused[VIDEO] = "commentsDisabled"
        pages = run(tube, videos=[VIDEO, OTHER])
        assert numbers(pages) == [1]
        assert skipped(pages) == {"comments are switched off": 1}

    def test_such_a_video_is_left_alone_for_a_day_and_still_told(self) -> None:
        tube = Tube()
        tube.refused[VIDEO] = "commentsDisabled"
        cursor = run(tube)[-1].cursor
        pages = run(tube, cursor, NOW + timedelta(hours=23))
        assert (tube.spent, skipped(pages)) == (1, {"comments are switched off": 1})
        tube.refused.clear()
        tube.add(EPOCH + DAY)
        pages = run(tube, pages[-1].cursor, NOW + timedelta(hours=25))
        assert numbers(pages) == [1] and skipped(pages) == {}
        assert pages[-1].cursor is not None and "closed" not in pages[-1].cursor

    def test_a_video_that_does_not_exist_is_named(self) -> None:
        tube = Tube(EPOCH - 60, video=OTHER)
        tube.refused[VIDEO] = "videoNotFound"
        pages = run(tube, videos=[VIDEO, OTHER])
        assert numbers(pages) == [1]
        assert skipped(pages) == {f"video {VIDEO} not found": 1}

    def test_a_video_for_members_is_named(self) -> None:
        tube = Tube()
        tube.refused[VIDEO] = "forbidden"
        assert skipped(run(tube)) == {f"video {VIDEO} is not open to the public": 1}

    @pytest.mark.parametrize(("reason", "kind"), [("channelNotFound", Broken), ("forbidden", Refused)])
    def test_a_channel_that_cannot_be_read_is_an_error_that_keeps_no_other_from_being_read(
        self, reason: str, kind: type[SourceError]
    ) -> None:
        tube = Tube(EPOCH - 60)
        tube.refused[CHANNEL] = reason
        pages, error = failing_run(tube, channels=[CHANNEL])
        assert numbers(pages) == [1]
        assert type(error) is kind

    def test_a_channel_that_does_not_exist_is_named(self) -> None:
        tube = Tube()
        tube.refused[CHANNEL] = "channelNotFound"
        assert CHANNEL in str(failing_run(tube, channels=[CHANNEL])[1])


class TestErrors:
    def error(self, met: SourceError) -> SourceError:
        tube = Tube(EPOCH - 60)
        tube.failing[1] = met
        return failing_run(tube, videos=[VIDEO, OTHER])[1]

    @pytest.mark.parametrize(
        ("reason", "status", "kind"),
        [
            ("keyInvalid", 400, Unauthorised),
            ("keyExpired", 400, Unauthorised),
            ("accessNotConfigured", 403, Unauthorised),
            ("ipRefererBlocked", 403, Unauthorised),
            ("quotaExceeded", 403, Retry),
            ("dailyLimitExceeded", 403, Retry),
            ("rateLimitExceeded", 403, Retry),
            ("userRateLimitExceeded", 403, Retry),
            ("processingFailure", 400, Retry),
            ("insufficientPermissions", 403, Refused),
            ("invalidPageToken", 400, Broken),
        ],
    )
    def test_each_reason_has_its_consequence(self, reason: str, status: int, kind: type[SourceError]) -> None:
        error = self.error(refusal(reason, status))
        assert type(error) is kind
        assert error.status == status and reason.encode() in error.payload

    def test_the_newer_form_of_a_key_that_is_not_taken(self) -> None:
        body = told("badRequest", message="API key not valid. Please pass a valid API key.", status="INVALID_ARGUMENT")
        assert type(self.error(Broken("status 400", body, 400))) is Unauthorised
        details = told("forbidden", details=[{"@type": "ErrorInfo", "reason": "SERVICE_DISABLED"}])
        assert type(self.error(Refused("status 403", details, 403))) is Unauthorised

    def test_a_key_that_is_not_taken_ends_the_run(self) -> None:
        tube = Tube(EPOCH - 60)
        tube.failing[1] = refusal("keyInvalid", 400)
        failing_run(tube, videos=[VIDEO, OTHER])
        assert len(tube.asked) == 1

    def test_too_many_requests_wait_as_the_server_says(self) -> None:
        met = Retry("too often", 42, told("rateLimitExceeded"), 429)
        assert self.error(met) is met

    @pytest.mark.parametrize(
        "body", [b"", b"[]", b"null", b'{"error": "x"}', b'{"error": {"errors": 7}}', b"[" * 99999]
    )
    def test_a_reply_that_explains_nothing(self, body: bytes) -> None:
        met = Refused("as the door says it", body, 403)
        assert self.error(met) is met

    def test_without_a_key_nobody_is_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        tube = Tube()
        assert isinstance(failing_run(tube, key=None)[1], Disabled)
        monkeypatch.delenv("YOUTUBE_KEY")
        error = failing_run(tube)[1]
        assert isinstance(error, Disabled) and "YOUTUBE_KEY" in str(error)
        assert tube.asked == []

    def test_no_message_and_no_cursor_holds_the_key(self) -> None:
        tube = Tube(EPOCH - 60)
        tube.failing[1] = refusal("keyInvalid", 400)
        pages, error = failing_run(tube)
        assert "an-api-key" not in str(error) + repr(pages)


class TestRecheck:
    def ask(self, tube: Any, *idents: str) -> list[Page]:
        return list(youtube.recheck(settings(), None, list(idents), tube, NOW, "tube"))

    def test_its_units_are_counted_and_a_ninth_is_left_for_it(self) -> None:
        tube = Tube(EPOCH - 60)
        first = list(youtube.fetch(settings(), None, tube, NOW, "tube"))[-1].cursor
        assert first is not None
        (page,) = youtube.recheck(settings(), first, ["Ugw1"], tube, NOW, "tube")
        assert page.cursor == {**first, "units": {**first["units"], "spent": first["units"]["spent"] + 1}}
        spent = settings().daily_units
        (page,) = youtube.recheck(
            settings(), {**first, "units": {**first["units"], "spent": spent}}, ["Ugw1"], tube, NOW, "x"
        )
        assert page.cursor and page.cursor["units"]["spent"] == spent + 1
        used_up, before = {**first, "units": {**first["units"], "spent": spent + spent // 9}}, tube.spent
        with pytest.raises(Retry, match="are spent today"):
            list(youtube.recheck(settings(), used_up, ["Ugw1"], tube, NOW, "tube"))
        assert tube.spent == before

    def test_what_is_missing_is_deleted_and_what_was_edited_comes_again(self) -> None:
        tube = Tube(EPOCH - 60, EPOCH - 90, EPOCH - 120)
        tube.add(EPOCH - 50, parent="Ugw1")
        del tube.comments["Ugw2"]
        tube.comments["Ugw3"].update(text="text 33", edited=EPOCH - 10)
        (page,) = self.ask(tube, "Ugw1", "Ugw2", "Ugw3", "Ugw1.r4")
        assert (page.deleted, page.verified) == (("Ugw2",), ("Ugw1", "Ugw1.r4"))
        assert [(post.native_id, post.text) for post in page.posts] == [("Ugw3", "text 33")]
        assert page.cursor and page.cursor["units"]["spent"] == 1
        assert tube.spent == 1

    def test_fifty_at_once(self) -> None:
        tube = Tube(*(EPOCH - n for n in range(60)))
        (page,) = self.ask(tube, *list(tube.comments)[: youtube.RECHECK_AT_ONCE])
        assert len(page.verified) == 50

    def test_a_list_that_fails_for_one_of_them_is_halved(self) -> None:
        tube = Tube(*(EPOCH - n for n in range(8)))
        idents = list(tube.comments)
        del tube.comments["Ugw3"]

        def strict(url: str, *, params: Mapping[str, str], **given_: Any) -> Response:
            if not set(params["id"].split(",")) <= set(tube.comments):
                raise refusal("commentNotFound", 404)
            return tube(url, params=params, **given_)

        pages = self.ask(strict, *idents)
        assert [ident for page in pages for ident in page.deleted] == ["Ugw3"]
        assert len([ident for page in pages for ident in page.verified]) == 7

    @pytest.mark.parametrize(
        "met", [refusal("quotaExceeded"), refusal("backendError", 400), Broken("gone", b"<html>", 404), Retry("busy")]
    )
    def test_a_failure_deletes_nothing(self, met: SourceError) -> None:
        tube = Tube(EPOCH - 60)
        tube.failing[1] = met
        with pytest.raises(SourceError):
            self.ask(tube, "Ugw1")


class TestBackfill:
    def back(
        self, get: Any, cursor: Mapping[str, Any] | None = None, days: float = 300, now: datetime = NOW, **given_: Any
    ) -> tuple[list[Page], SourceError | None]:
        pages: list[Page] = []
        try:
            for page in youtube.backfill(settings(**given_), NOW - timedelta(days=days), cursor, get, now, "tube"):
                assert json.loads(json.dumps(page.cursor)) == page.cursor
                pages.append(page)
        except SourceError as error:
            return pages, error
        return pages, None

    def test_walks_back_to_the_day_that_was_asked_for(self) -> None:
        tube = Tube(*(EPOCH - n * 3600 for n in range(1, 3001)))
        pages, error = self.back(tube, days=100)
        assert error is None
        assert set(range(1, 2401)) <= set(numbers(pages)) and len(numbers(pages)) <= 2500
        assert pages[-1].cursor == {}
        assert all(page.gap is None for page in pages)

    def test_every_place_and_all_replies(self) -> None:
        tube = Tube(*(EPOCH - n * 3600 for n in range(1, 151)))
        tube.found = [OTHER]
        for n in range(30):
            tube.add(EPOCH - n, parent="Ugw120")
        tube.add(EPOCH - 50 * DAY, OTHER)
        pages, error = self.back(tube, queries=["Pine"])
        assert error is None
        assert numbers(pages) == list(range(1, 182))

    @pytest.mark.parametrize("request_", range(1, 9))
    def test_is_gone_on_with_where_it_was_cut_off(self, request_: int) -> None:
        tube = Tube(*(EPOCH - n * 3600 for n in range(1, 451)))
        for n in range(150):
            tube.add(EPOCH - n, parent="Ugw120")
        tube.add(EPOCH - DAY, OTHER)
        tube.failing[request_] = Retry("busy")
        first, error = self.back(tube, videos=[VIDEO, OTHER])
        assert isinstance(error, Retry)
        before = len(tube.asked)
        second, error = self.back(tube, first[-1].cursor if first else None, videos=[VIDEO, OTHER])
        assert error is None and second[-1].cursor == {}
        assert sorted(set(numbers(first + second))) == list(range(1, 602))
        assert len(tube.asked) - before <= 8 - request_ + 3  # not all from the start

    def test_a_token_that_has_run_out_begins_the_place_again(self) -> None:
        tube = Tube(*(EPOCH - n * 3600 for n in range(1, 301)))
        tube.failing[3] = Retry("busy")
        first, _ = self.back(tube)
        tube.failing[4] = refusal("invalidPageToken", 400)
        second, error = self.back(tube, first[-1].cursor)
        assert error is None
        assert sorted(set(numbers(first + second))) == list(range(1, 301))

    def test_takes_half_of_the_units_and_waits_for_the_next_day(self) -> None:
        tube = Tube(*(EPOCH - n * 3600 for n in range(1, 3001)))
        first, error = self.back(tube, daily_units=40)
        assert isinstance(error, Retry) and error.after == TO_MIDNIGHT
        assert tube.spent == 20
        second, error = self.back(tube, first[-1].cursor, now=NOW + timedelta(days=1), daily_units=40)
        assert error is None
        assert len(set(numbers(first + second))) == 3000

    def test_a_place_that_fails_keeps_no_other_from_being_read_and_is_asked_for_again(self) -> None:
        tube = Tube(EPOCH - 60, video=OTHER)
        tube.refused[CHANNEL] = "channelNotFound"
        tube.refused["hpclosed03C"] = "commentsDisabled"
        chosen = {"channels": [CHANNEL], "videos": ["hpclosed03C", OTHER]}
        first, error = self.back(tube, **chosen)
        assert isinstance(error, Broken) and numbers(first) == [1]
        tube.refused.clear()
        tube.add(EPOCH - 90)
        second, error = self.back(tube, first[-1].cursor, **chosen)
        assert error is None and numbers(second) == [2]


@pytest.mark.parametrize(
    "given_",
    [
        {"videos": None},
        {"videos": ["not a video"]},
        {"videos": ["https://example.com/watch"]},
        {"channels": ["@harbourpine"]},
        {"queries": [" "]},
        {"queries": ["Pine"], "daily_units": 100},
        {"daily_units": 0},
        {"search_hours": 0.1},
        {"key": "an-api-key"},
    ],
)
def test_settings_that_would_find_nothing_are_refused(given_: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(**given_)


@pytest.mark.parametrize(
    "address",
    [
        VIDEO,
        f"https://www.youtube.com/watch?v={VIDEO}",
        f"https://m.youtube.com/watch?app=m&v={VIDEO}&t=10s",
        f"https://youtu.be/{VIDEO}?si=abc",
        f"https://www.youtube.com/shorts/{VIDEO}",
    ],
)
def test_a_video_may_be_told_by_its_address(address: str) -> None:
    assert settings(videos=[address]).videos == [VIDEO]


FILES = [PAYLOADS / "threads.json", PAYLOADS / "replies.json"]


@given(st.sampled_from(FILES).flatmap(lambda file: mutated(file.read_bytes())))
def test_any_payload_is_read_or_broken(payload: bytes) -> None:
    try:
        page = youtube.parse(payload, name="tube", now=NOW)
    except Broken:
        return
    assert all(post.text and post.native_id for post in page.posts)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
SNIPPET = ("videoId", "totalReplyCount", "textDisplay", "textOriginal", "authorDisplayName", "likeCount", "publishedAt")
COMMENT = st.fixed_dictionaries(
    {"id": st.just("Ugw1") | JSON, "snippet": st.dictionaries(st.sampled_from((*SNIPPET, "parentId")), JSON) | JSON}
)
THREAD = st.fixed_dictionaries(
    {
        "id": st.just("Ugw1") | JSON,
        "snippet": st.fixed_dictionaries({"topLevelComment": COMMENT | JSON, "totalReplyCount": st.just(9) | JSON}),
        "replies": st.fixed_dictionaries({"comments": st.lists(COMMENT, max_size=2) | JSON}) | JSON,
    }
)


@given(st.lists(THREAD | COMMENT | JSON, max_size=3), st.sampled_from((None, 7, "", ["x"])))
def test_any_value_in_any_field_is_read_or_broken(items: list[Any], token: Any) -> None:
    body = json.dumps({"items": items, "nextPageToken": token}).encode()

    def answer(url: str, **_: Any) -> Response:
        return Response(200, url, {}, body)

    get: Any = answer
    chosen = settings(key={"file": str(PAYLOADS / "contract.toml")}, queries=["Pine"])
    for walk in (youtube.fetch(chosen, None, get, NOW, "x"), youtube.recheck(chosen, None, ["1"], get, NOW, "x")):
        try:
            posts = [post for page in walk for post in page.posts]
        except Broken:
            continue
        for post in posts:
            assert post.text and (post.created_at is None or post.created_at <= NOW + timedelta(hours=1))
            (post.text + post.native_id + post.author + post.parent).encode()
