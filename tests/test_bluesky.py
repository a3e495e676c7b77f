"""Bluesky, through a small imitation of its stream, its search and its public view that keeps the real ones' limits."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import mutated
from pydantic import ValidationError
from streaming import streaming

from listener.config import HttpSettings
from listener.errors import Broken, Disabled, Refused, Retry, SourceError, Unauthorised
from listener.http import Response, _judge, open_get
from listener.http.transport import Reply
from listener.records import Page
from listener.sources import bluesky, jetstream

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
EPOCH = int(NOW.timestamp())
HOUR = 3600
PAYLOADS = Path(__file__).parent / "payloads" / "bluesky"
PASSWORD = "abcd-efgh-ijkl-mnop"
ACCOUNT = {"handle": "@lumen.example", "app_password": {"env": "LISTENER_TEST_BLUESKY_PASSWORD"}}
COLLECTION = "app.bsky.feed.post"


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTENER_TEST_BLUESKY_PASSWORD", PASSWORD)


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundredth of the events that a page of the stream holds, so that some pages are soon made."""
    assert jetstream._PAGE == 5_000
    monkeypatch.setattr(jetstream, "_PAGE", 50)


def uri(number: int, did: str = "did:plc:guest") -> str:
    return f"at://{did}/{COLLECTION}/3l{number}"


def event(at: float, number: int, text: str | None = "at the Lumen", operation: str = "create", **changes: Any) -> Any:
    """A commit of the stream `at` epoch seconds; text None is a delete."""
    commit = {"operation": operation if text is not None else "delete", "collection": COLLECTION, "rkey": f"3l{number}"}
    if text is not None:
        commit["record"] = {"$type": COLLECTION, "text": text, "createdAt": _iso(at)}
    return {"did": "did:plc:guest", "time_us": int(at * 1e6), "kind": "commit", "commit": commit, **changes}


def account(at: float, status: str | None, did: str = "did:plc:guest") -> Any:
    told = {"active": status is None, "did": did, **({"status": status} if status else {})}
    return {"did": did, "time_us": int(at * 1e6), "kind": "account", "account": told}


def view(number: int, at: float, text: str = "at the Lumen", **changes: Any) -> Any:
    author = {"did": "did:plc:guest", "handle": "guest.example", "labels": []}
    record = {"$type": COLLECTION, "text": text, "createdAt": _iso(at)}
    return {"uri": uri(number), "author": author, "record": record, "indexedAt": _iso(at), **changes}


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Stream:
    """Answers as Jetstream does: from the cursor on, 36 hours back and no further, in the order it saw things."""

    def __init__(self, *events: Any, holds_s: float = 36 * HOUR, now: float = EPOCH) -> None:
        self.events, self.oldest = list(events), now - holds_s
        self.asked: list[Mapping[str, str]] = []
        self.sent = self.closed = 0
        self.drops_after: int | None = None

    def messages(self, url: str, *, params: Mapping[str, str], limit_bytes: int) -> Iterator[bytes]:
        assert url == "wss://jetstream2.us-east.bsky.network/subscribe"
        assert params["wantedCollections"] == COLLECTION and int(params["maxMessageSizeBytes"]) > 10_000
        self.asked.append(params)
        begin = max(int(params["cursor"]), self.oldest * 1e6)
        try:
            for number, one in enumerate(self.events):
                if number == self.drops_after:
                    raise Retry("the line was cut", after=7)
                if isinstance(one, bytes) or one["time_us"] >= begin:
                    message = one if isinstance(one, bytes) else json.dumps(one).encode()
                    limit_bytes -= len(message)
                    self.sent += 1
                    yield message
                if limit_bytes <= 0:
                    return
            raise Retry("nothing more comes")
        finally:
            self.closed += 1


TIP = event(EPOCH, 999_999, "luminous")  # the first event of the time the run began ends it


def follow(
    stream: Stream, cursor: Mapping[str, Any] | None = None, now: datetime = NOW, **settings: Any
) -> tuple[list[Page], SourceError | None]:
    """The pages of a run without a key, and what ended it."""
    chosen = bluesky.Settings.model_validate({"queries": ["Lumen"], **settings})
    pages: list[Page] = []
    try:
        for page in bluesky.fetch(chosen, cursor, stream, now, "sky"):  # type: ignore[arg-type]
            pages.append(page)
    except SourceError as error:
        return pages, error
    return pages, None


def read(stream: Stream, cursor: Mapping[str, Any] | None = None, **told: Any) -> list[Page]:
    pages, error = follow(stream, cursor, **told)
    assert error is None
    return pages


def only(*events: Any) -> Page:
    (page,) = read(Stream(*events, TIP))
    return page


def idents(pages: list[Page]) -> list[int]:
    return sorted(int(post.native_id.rpartition("3l")[2]) for page in pages for post in page.posts)


def until(pages: list[Page]) -> Any:
    return next((page.cursor["until"]["Lumen"] for page in reversed(pages) if page.cursor), None)


class TestEvents:
    def page(self) -> Page:
        events = [json.loads(line) for line in (PAYLOADS / "events.jsonl").read_bytes().splitlines()]
        return jetstream.parse_events(events, lambda text: "lumen" in text.lower(), "sky", NOW)

    def test_a_post(self) -> None:
        post = self.page().posts[0]
        assert post.native_id == post.federated_id
        assert post.native_id == "at://did:plc:guestone0000000000000001/app.bsky.feed.post/3lguest000a2b"
        assert post.url == "https://bsky.app/profile/did:plc:guestone0000000000000001/post/3lguest000a2b"
        assert post.author == "did:plc:guestone0000000000000001"
        assert (post.text, post.kind, post.lang) == ("Checked in at Hotel LUMEN, lovely view.", "post", "en")
        assert post.created_at == NOW - timedelta(seconds=1)
        assert post.edited_at is None

    def test_an_edit(self) -> None:
        edit = self.page().posts[1]
        assert edit.edited_at == NOW + timedelta(milliseconds=30)
        assert edit.created_at == NOW - timedelta(days=2)

    def test_what_is_gone_and_what_is_dropped(self) -> None:
        page = self.page()
        assert page.deleted == ("at://did:plc:guesttwo0000000000000002/app.bsky.feed.post/3lguest000a00",)
        assert page.deleted_below == ("at://did:plc:leaver000000000000000005/",)
        assert page.skipped == {"without your words": 1}


class TestWords:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("LUMEN!", True), ("at #lumen", True), ("the lumen's bar", True), ("Lúmen", True), ("luminous", False),
            ("lumens", False), ("hotel of light", False), ("", False), (" \n", False),
        ],
    )  # fmt: skip
    def test_whole_words_whatever_their_case(self, text: str, found: bool) -> None:
        assert bool(only(event(EPOCH - 5, 1, text)).posts) is found

    def test_a_phrase_is_found_as_it_is_written(self) -> None:
        events = [event(EPOCH - 5, 1, "hotel  lumen"), event(EPOCH - 4, 2, "Lumen hotel"), TIP]
        assert idents(read(Stream(*events), queries=['Hotel "Lumen"'])) == [1]

    def test_each_of_several_words_finds(self) -> None:
        events = [event(EPOCH - 5, 1, "lumen"), event(EPOCH - 4, 2, "Harbour & Pine"), TIP]
        assert idents(read(Stream(*events), queries=["Lumen", "Harbour & Pine"])) == [1, 2]

    def test_what_is_dropped_is_counted(self) -> None:
        page = only(event(EPOCH - 5, 1, "dinner"), event(EPOCH - 4, 2, ""), event(EPOCH - 4, 3, commit={}))
        assert page.skipped == {"without your words": 2, "no text": 1}

    def test_records_of_another_collection_are_no_posts(self) -> None:
        like = event(EPOCH - 5, 1)
        like["commit"]["collection"] = "app.bsky.feed.like"
        assert only(like).posts == ()


class TestWindow:
    def test_the_first_run_begins_an_hour_back(self) -> None:
        stream = Stream(event(EPOCH - HOUR - 60, 1), event(EPOCH - HOUR + 60, 2), TIP)
        assert idents(read(stream)) == [2]

    def test_ends_with_the_time_the_run_began(self) -> None:
        stream = Stream(event(EPOCH - 5, 1), TIP, event(EPOCH + 1, 2), event(EPOCH + 2, 3))
        pages = read(stream)
        assert idents(pages) == [1] and until(pages) == EPOCH
        assert (stream.sent, stream.closed) == (2, 1)

    def test_the_next_run_rewinds_some_seconds(self) -> None:
        stream = Stream(TIP)
        read(stream, {"until": {"Lumen": EPOCH - 600}})
        assert stream.asked[0]["cursor"] == str((EPOCH - 610) * 1_000_000)

    def test_what_comes_late_and_out_of_order_is_not_lost(self) -> None:
        late = event(EPOCH - 0.5, 2)
        stream = Stream(event(EPOCH - 5, 1), TIP, late, event(EPOCH + 900, 3, "x"))
        first = read(stream)
        again = read(stream, first[-1].cursor, now=NOW + timedelta(minutes=15))
        assert idents(first) == [1] and 2 in idents(again)

    def test_the_bookmark_moves_without_any_match(self, small_pages: None) -> None:
        stream = Stream(*(event(EPOCH - 1500 + n * 10, n, "dinner") for n in range(120)), TIP)
        pages = read(stream)
        marks = [page.cursor["until"]["Lumen"] for page in pages if page.cursor]
        assert marks == [EPOCH - 1010, EPOCH - 510, EPOCH]
        assert sum(page.skipped["without your words"] for page in pages) == 121

    def test_an_interruption_costs_little(self, small_pages: None) -> None:
        stream = Stream(*(event(EPOCH - 1000 + n * 10, n) for n in range(90)), TIP)
        stream.drops_after = 70
        pages, error = follow(stream)
        assert isinstance(error, Retry) and error.after == 7
        assert idents(pages) == list(range(70)) and until(pages) == EPOCH - 310
        stream.drops_after = None
        rest = read(stream, pages[-1].cursor)
        assert idents(rest) == list(range(68, 90))
        assert until(rest) == EPOCH

    def test_a_run_reads_so_much_and_the_next_goes_on(self) -> None:
        stream = Stream(*(event(EPOCH - 3000 + n * 10, n, padding="x" * 80_000) for n in range(250)), TIP)
        first = read(stream, megabytes=10)
        assert 110 < len(idents(first)) < 130 and until(first) < EPOCH
        second = read(stream, first[-1].cursor, megabytes=10)
        third = read(stream, second[-1].cursor, megabytes=10)
        assert set(idents(first + second + third)) == set(range(250)) and until(third) == EPOCH

    def test_a_clock_that_was_set_back_loses_nothing(self) -> None:
        stream = Stream(event(EPOCH - 5, 1), TIP)
        pages = read(stream, {"until": {"Lumen": EPOCH + 86_400}})
        assert idents(pages) == [1] and until(pages) == EPOCH

    def test_a_clock_that_runs_ahead_moves_the_bookmark_to_what_was_seen(self) -> None:
        pages, error = follow(Stream(event(EPOCH - 5, 1)), now=NOW + timedelta(hours=2))
        assert isinstance(error, Retry)  # the real door would wait a while for more
        assert until(pages) is None
        pages, _ = follow(Stream(event(EPOCH - 5, 1)), now=NOW + timedelta(minutes=30))
        assert idents(pages) == [1] and until(pages) == EPOCH - 5

    def test_a_new_word_looks_back_an_hour_and_a_removed_one_is_forgotten(self) -> None:
        stream = Stream(event(EPOCH - 3000, 1, "a new inn"), TIP)
        pages = read(stream, {"until": {"Lumen": EPOCH - 60, "Gone": EPOCH}}, queries=["Lumen", "New inn"])
        assert idents(pages) == [1]
        assert pages[-1].cursor == {"until": {"Lumen": EPOCH, "New inn": EPOCH}}

    def test_what_the_stream_says_reaches_the_caller(self) -> None:
        stream = Stream(TIP)
        stream.drops_after = 0
        pages, error = follow(stream)
        assert (pages, str(error), stream.closed) == ([], "the line was cut", 1)

    def test_a_run_that_is_stopped_between_pages_closes_the_line(self, small_pages: None) -> None:
        stream = Stream(*(event(EPOCH - 1000 + n, n) for n in range(90)), TIP)
        settings = bluesky.Settings(queries=["Lumen"])
        walk = bluesky.fetch(settings, None, stream, NOW, "sky")  # type: ignore[arg-type]
        next(walk)
        walk.close()  # type: ignore[attr-defined]
        assert stream.closed == 1


def test_through_the_real_door() -> None:
    def talk(line: Any) -> None:
        for message in (event(EPOCH - 5, 1), event(EPOCH - 4, 2, None), TIP):
            line.send(json.dumps(message))

    door = HttpSettings(gap_s=0, timeout_s=5, allow_private=["127.0.0.1"])
    with streaming(talk) as server, open_get(door) as get:
        settings = bluesky.Settings(queries=["Lumen"], stream=server.url())
        (page,) = bluesky.fetch(settings, {"until": {"Lumen": EPOCH - 60}}, get, NOW, "sky")
        assert server.left.wait(2)
    assert (idents([page]), page.deleted, until([page])) == ([1], (uri(2),), EPOCH)
    asked = parse_qs(urlsplit(server.requests[0].path).query)
    assert asked["wantedCollections"] == [COLLECTION] and asked["cursor"] == [str((EPOCH - 70) * 1_000_000)]


def test_tells_which_way_it_goes_and_how_far_it_has_come() -> None:
    stream = bluesky.Settings(queries=["Lumen", "Inn"])
    account = bluesky.Settings.model_validate({"queries": ["Lumen"], **ACCOUNT})
    cursor = {"until": {"Lumen": EPOCH, "Inn": EPOCH - 60}}
    assert bluesky.status(stream, cursor) == "the stream of all posts, read up to 2026-11-22T11:59:00Z"
    assert bluesky.status(account, None) == "the search"


class TestGap:
    def test_a_bookmark_older_than_the_stream_is_a_gap(self, small_pages: None) -> None:
        events = (event(EPOCH - 40 * HOUR + n * 600, n) for n in range(40 * 6))
        stream = Stream(*events, TIP)
        pages = read(stream, {"until": {"Lumen": EPOCH - 40 * HOUR}})
        gap = pages[0].gap
        assert gap is not None and "36 hours" in gap.why
        assert (gap.since, gap.until) == (NOW - timedelta(hours=40), NOW - timedelta(hours=36))
        assert int(stream.asked[0]["cursor"]) == (EPOCH - 36 * HOUR) * 1_000_000
        assert idents(pages) == list(range(4 * 6, 40 * 6)) and until(pages) == EPOCH

    def test_so_is_a_stream_that_holds_less_than_it_should(self, small_pages: None) -> None:
        stream = Stream(*(event(EPOCH - 9 * HOUR + n * 60, n) for n in range(9 * 60)), TIP, holds_s=5 * HOUR)
        pages = read(stream, {"until": {"Lumen": EPOCH - 8 * HOUR}})
        assert [page.gap is not None for page in pages] == [True] + [False] * 6
        assert pages[0].gap is not None and pages[0].gap.until == NOW - timedelta(hours=5)

    def test_an_ordinary_run_has_none(self) -> None:
        stream = Stream(*(event(EPOCH - 2 * HOUR + n * 60, n) for n in range(120)), TIP)
        pages = read(stream, {"until": {"Lumen": EPOCH - HOUR}})
        assert all(page.gap is None for page in pages)


class TestDeletions:
    def test_ids_of_posts_that_were_never_seen(self) -> None:
        page = only(event(EPOCH - 5, 1, None), event(EPOCH - 4, 2))
        assert page.deleted == (uri(1),) and idents([page]) == [2]

    def test_a_post_that_is_gone_at_once_is_not_stored(self) -> None:
        page = only(event(EPOCH - 5, 1), event(EPOCH - 4, 1, None))
        assert (page.posts, page.deleted) == ((), (uri(1),))

    def test_one_that_is_written_again_stays(self) -> None:
        page = only(event(EPOCH - 5, 1, None), event(EPOCH - 4, 1, "Lumen again"))
        assert [post.text for post in page.posts] == ["Lumen again"] and page.deleted == ()

    @pytest.mark.parametrize("status", ["deleted", "takendown"])
    def test_an_account_that_is_gone_takes_its_posts_along(self, status: str) -> None:
        other = event(EPOCH - 5, 2, did="did:plc:guest2")
        page = only(event(EPOCH - 5, 1), other, account(EPOCH - 4, status))
        assert page.deleted_below == ("at://did:plc:guest/",)
        assert idents([page]) == [2]

    @pytest.mark.parametrize("status", ["deactivated", "suspended", "throttled", "desynchronized", None])
    def test_an_account_that_rests_does_not(self, status: str | None) -> None:
        page = only(event(EPOCH - 5, 1), account(EPOCH - 4, status))
        assert page.deleted_below == () and idents([page]) == [1]

    @pytest.mark.parametrize("did", ["", "did:plc:", "guest", None, "did:plc:a/b"])
    def test_an_account_without_a_usable_id_erases_nothing(self, did: Any) -> None:
        assert only(account(EPOCH - 4, "deleted", did)).deleted_below == ()

    def test_an_edit_is_the_post_anew(self) -> None:
        page = only(event(EPOCH - 5, 1, "Lumen"), event(EPOCH - 4, 1, "Lumen, corrected", "update"))
        assert [(post.text, post.edited_at) for post in page.posts] == [
            ("Lumen, corrected", NOW - timedelta(seconds=4))
        ]

    def test_an_edit_that_takes_the_words_away_takes_the_post_away(self) -> None:
        page = only(event(EPOCH - 5, 1, "Lumen"), event(EPOCH - 4, 1, "no names", "update"))
        assert (page.posts, page.deleted) == ((), (uri(1),))


class TestUnreadable:
    def test_a_message_that_cannot_be_read_does_not_stop_the_rest(self) -> None:
        strange: tuple[Any, ...] = (b"\xff", b"[1]", b"{}", b'{"time_us": "soon"}', b'{"time_us": true}', b"{" * 9999)
        page = only(event(EPOCH - 5, 1), *strange, event(EPOCH - 4, 2))
        assert idents([page]) == [1, 2]
        assert page.skipped["not readable"] == 6

    def test_a_stream_of_nothing_else_is_broken(self, small_pages: None) -> None:
        stream = Stream(*[b'{"type": "another format"}'] * 60)
        pages, error = follow(stream)
        assert pages == [] and isinstance(error, Broken) and error.payload == b'{"type": "another format"}'
        assert stream.sent == 50

    def test_so_is_one_of_another_time(self, small_pages: None) -> None:
        stream = Stream(*(event(EPOCH + 86_400 + n, n) for n in range(60)))
        pages, error = follow(stream)
        assert pages == [] and isinstance(error, Broken) and "clock" in str(error)

    @pytest.mark.parametrize("rkey", [None, "", "a/b", "a b", "x" * 513, ["3l1"]])
    def test_a_post_without_a_usable_id_is_counted(self, rkey: Any) -> None:
        strange = event(EPOCH - 5, 1)
        strange["commit"]["rkey"] = rkey
        assert only(strange).skipped["no id"] == 1


# --- with an account -------------------------------------------------------------------------------------------------


class Service:
    """Answers as a server of accounts and the public view do; errors pass through the real door's judgement."""

    def __init__(self, *views: Any, witness: bool = False) -> None:
        """`witness`: whether it shows a post of Bluesky's own account, as it does while it is in order."""
        self.views = [*views, *([view(99, EPOCH)] if witness else [])]
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.logins: list[Any] = []
        self.failing: Callable[[int], tuple[int, bytes, dict[str, str]] | None] = lambda _: None

    @property
    def searches(self) -> list[dict[str, str]]:
        return [params for url, params in self.asked if url.endswith("searchPosts")]

    def __call__(
        self,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
    ) -> Response:
        self.asked.append((url, dict(params or {})))
        failure = self.failing(len(self.asked))
        status, body, told = failure or (*self._answer(url, dict(params or {}), dict(headers or {}), json), {})
        return _judge(Reply(status, told, body, ""), url, url)

    def _answer(self, url: str, params: dict[str, str], headers: dict[str, str], body: Any) -> tuple[int, bytes]:
        assert PASSWORD not in url + str(params) + str(headers)
        if url == "https://bsky.social/xrpc/com.atproto.server.createSession":
            self.logins.append(body)
            return self._log_in(body)
        if url == "https://bsky.social/xrpc/app.bsky.feed.searchPosts":
            if headers.get("Authorization") != "Bearer the.access.token":
                return 403, b"<html><head><title>403 Forbidden</title></head><body>Forbidden</body></html>"
            return 200, self._search(params)
        if url.startswith("https://public.api.bsky.app/xrpc/app.bsky.feed.getAuthorFeed?actor=bsky.app&"):
            return 200, _dump(feed=[{"post": view(99, EPOCH)}])
        assert url.startswith("https://public.api.bsky.app/xrpc/app.bsky.feed.getPosts?") and not headers
        uris = parse_qs(urlsplit(url).query)["uris"]
        assert len(uris) <= 25
        return 200, _dump(posts=[each for each in self.views if each["uri"] in uris])

    def _log_in(self, body: Any) -> tuple[int, bytes]:
        if body == {"identifier": "lumen.example", "password": PASSWORD}:
            return 200, _dump(accessJwt="the.access.token", refreshJwt="another", did="did:plc:lumen")
        return 401, _dump(error="AuthenticationRequired", message="Invalid identifier or password")

    def _search(self, params: dict[str, str]) -> bytes:
        assert params["sort"] == "latest" and int(params["limit"]) <= 100
        phrase = params["q"].strip('"').lower()
        since, end = (datetime.fromisoformat(params[name]).timestamp() for name in ("since", "until"))
        found = [
            (at, each)
            for each in self.views
            if since <= (at := datetime.fromisoformat(each["indexedAt"]).timestamp()) < end
            and phrase in each["record"]["text"].lower()
        ]
        found.sort(key=lambda pair: -pair[0])
        first = int(params.get("cursor", 0))
        last = first + int(params["limit"])
        more = {"cursor": str(last)} if last < len(found) else {}
        return _dump(posts=[each for _, each in found[first:last]], hitsTotal=len(found), **more)


def _dump(**told: Any) -> bytes:
    return json.dumps(told).encode()


def search(
    service: Any, cursor: Mapping[str, Any] | None = None, now: datetime = NOW, **settings: Any
) -> tuple[list[Page], SourceError | None]:
    chosen = bluesky.Settings.model_validate({"queries": ["Lumen"], **ACCOUNT, **settings})
    return _drained(bluesky.fetch(chosen, cursor, service, now, "sky"))


def found(service: Any, cursor: Mapping[str, Any] | None = None, **told: Any) -> list[Page]:
    pages, error = search(service, cursor, **told)
    assert error is None
    return pages


def _drained(walk: Iterator[Page]) -> tuple[list[Page], SourceError | None]:
    pages = []
    try:
        for page in walk:
            pages.append(page)
    except SourceError as error:
        return pages, error
    return pages, None


class TestParse:
    def page(self) -> Page:
        return bluesky.parse((PAYLOADS / "posts.json").read_bytes(), name="sky", now=NOW)

    def test_a_post(self) -> None:
        post = self.page().posts[0]
        assert post.native_id == "at://did:plc:guestone0000000000000001/app.bsky.feed.post/3lguest000a2b"
        assert post.federated_id == post.native_id
        assert post.text == "Two nights at Hotel Lumen.\nThe desk was kind & quick <3"
        assert post.engagement == {"likes": 12, "comments": 2, "reposts": 1, "quotes": 0}
        assert post.url == "https://bsky.app/profile/did:plc:guestone0000000000000001/post/3lguest000a2b"
        assert (post.kind, post.lang, post.parent) == ("post", "en", "")
        assert post.created_at == datetime(2026, 11, 21, 10, 0, 0, 123000, UTC)

    def test_an_answer(self) -> None:
        answer, web = self.page().posts[1:]
        assert (answer.kind, answer.parent) == ("comment", self.page().posts[0].native_id)
        assert answer.created_at == datetime(2026, 11, 21, 9, 0, tzinfo=UTC), "no later than it was seen"
        assert answer.lang == "", "two languages are no answer"
        assert web.url == "https://bsky.app/profile/did:web:three.example/post/3lguest000a2d"

    def test_the_stream_and_the_search_tell_the_same_post(self) -> None:
        streamed = only(event(EPOCH - 5, 1)).posts[0]
        (searched,) = bluesky.parse(_dump(posts=[view(1, EPOCH - 5)]), name="sky", now=NOW).posts
        assert searched == streamed

    def test_what_is_dropped_is_counted(self) -> None:
        assert self.page().skipped == {"asks not to be shown without signing in": 1, "no text": 1, "no id": 1}

    def test_no_posts_is_an_empty_page(self) -> None:
        assert bluesky.parse(b'{"posts": []}', name="sky", now=NOW) == Page(())


class TestSearch:
    def test_logs_in_with_the_app_password_and_asks_with_the_token(self) -> None:
        service = Service(view(1, EPOCH - 10))
        pages = found(service)
        assert idents(pages) == [1]
        assert service.logins == [{"identifier": "lumen.example", "password": PASSWORD}]
        assert "token" not in str(pages) and PASSWORD not in str(pages)

    def test_asks_for_the_phrase_newest_first(self) -> None:
        service = Service()
        found(service, queries=['Hotel  "Lumen"'])
        assert service.searches == [
            {
                "q": '"Hotel Lumen"', "sort": "latest", "limit": "100",
                "since": "2026-11-15T12:00:00Z", "until": "2026-11-22T12:00:00Z",
            }
        ]  # fmt: skip

    def test_the_first_run_looks_back_some_days(self) -> None:
        service = Service(view(1, EPOCH - 2 * 86_400 + 5), view(2, EPOCH - 2 * 86_400 - 5))
        assert idents(found(service, days=2)) == [1]

    def test_the_next_run_overlaps_an_hour(self) -> None:
        service = Service(view(1, EPOCH - 3000), view(2, EPOCH - 4000))
        pages = found(service, {"until": {"Lumen": EPOCH}}, now=NOW + timedelta(minutes=30))
        assert idents(pages) == [1] and until(pages) == EPOCH + 1800

    def test_a_post_of_the_very_second_is_found_by_the_next_run(self) -> None:
        service = Service(view(1, EPOCH), view(2, EPOCH + 0.5))
        first = found(service)
        assert idents(first) == []
        assert idents(found(service, first[-1].cursor, now=NOW + timedelta(minutes=30))) == [1, 2]

    def test_a_clock_that_was_set_back_moves_the_bookmark_back(self) -> None:
        pages = found(Service(view(1, EPOCH - 60)), {"until": {"Lumen": EPOCH + 86_400}})
        assert idents(pages) == [1] and until(pages) == EPOCH

    def test_all_pages_are_read_and_the_last_moves_the_bookmark(self) -> None:
        pages = found(Service(*(view(n, EPOCH - n * 60) for n in range(1, 251))))
        assert idents(pages) == list(range(1, 251))
        assert [page.cursor is None for page in pages] == [True, True, False]
        assert until(pages) == EPOCH and all(page.gap is None for page in pages)

    def test_posts_that_arrive_during_the_walk_do_not_shift_it(self) -> None:
        service = Service(*(view(n, EPOCH - n * 60) for n in range(1, 251)))

        def arrives(url: str, **told: Any) -> Response:
            service.views.append(view(1000 + len(service.asked), EPOCH + len(service.asked)))
            return service(url, **told)

        first = found(arrives)
        assert idents(first) == list(range(1, 251))
        again = found(service, first[-1].cursor, now=NOW + timedelta(minutes=5))
        assert {1000, 1001, 1002, 1003} <= set(idents(again))

    def test_a_failure_on_the_way_moves_no_bookmark_and_keeps_what_came(self) -> None:
        service = Service(*(view(n, EPOCH - n * 60) for n in range(1, 251)))
        service.failing = lambda number: (502, b'{"error": "UpstreamFailure"}', {}) if number == 3 else None
        pages, error = search(service)
        assert isinstance(error, Retry)
        assert idents(pages) == list(range(1, 101)) and until(pages) is None

    def test_what_cannot_be_reached_is_a_gap(self) -> None:
        service = Service(*(view(n, EPOCH - n * 60) for n in range(1, 4_101)))
        pages = found(service)
        assert len(service.searches) == 40 and len(idents(pages)) == 4_000
        gap = pages[-1].gap
        assert gap is not None and "Lumen" in gap.why
        assert (gap.since, gap.until) == (NOW - timedelta(days=7), NOW - timedelta(minutes=4_000))
        assert until(pages) == EPOCH

    def test_many_queries_share_the_requests_of_a_run(self) -> None:
        service = Service(*(view(n, EPOCH - n * 60, "a b c d e f g h i j") for n in range(1, 1_001)))
        found(service, queries=list("abcdefghij"))
        assert len(service.searches) == 40

    @pytest.mark.parametrize(("status", "runs"), [(502, 2), (403, 1)])
    def test_a_phrase_that_keeps_failing_does_not_starve_the_others(self, status: int, runs: int) -> None:
        service, cursor = Service(view(1, EPOCH - 10, "Inn")), None

        def get(url: str, **told: Any) -> Response:
            if (told.get("params") or {}).get("q") == '"Lumen"':
                return _judge(Reply(status, {}, b"", ""), url, url)
            return service(url, **told)

        for minute in range(runs):
            pages, error = search(get, cursor, NOW + timedelta(minutes=minute), queries=["Lumen", "Inn"])
            assert error is not None
        assert idents(pages) == [1] and pages[-1].cursor == {"until": {"Inn": EPOCH + 60 * (runs - 1)}}

    def test_a_post_found_twice_is_given_once(self) -> None:
        pages = found(Service(view(1, EPOCH - 10, "Hotel Lumen")), queries=["Lumen", "Hotel Lumen"])
        assert [post.native_id for page in pages for post in page.posts] == [uri(1)]
        assert pages[-1].cursor == {"until": {"Lumen": EPOCH, "Hotel Lumen": EPOCH}}

    def test_who_asks_not_to_be_shown_is_not(self) -> None:
        shy = view(1, EPOCH - 10)
        shy["author"]["labels"] = [{"val": "!no-unauthenticated", "src": "did:plc:guest"}]
        pages = found(Service(shy, view(2, EPOCH - 20, labels=[{"val": "porn"}])))
        assert idents(pages) == [2]
        assert pages[0].skipped == {"asks not to be shown without signing in": 1}

    def test_goes_on_where_the_stream_had_come_to(self) -> None:
        streamed = read(Stream(event(EPOCH - 5, 1), TIP))
        service = Service()
        found(service, streamed[-1].cursor, now=NOW + timedelta(hours=5))
        assert service.searches[0]["since"] == "2026-11-22T11:00:00Z"
        stream = Stream(event(EPOCH + 5 * HOUR, 1), now=EPOCH + 5 * HOUR)
        read(stream, found(Service(), None)[-1].cursor, now=NOW + timedelta(hours=5))
        assert stream.asked[0]["cursor"] == str((EPOCH - 10) * 1_000_000)


class TestErrors:
    @pytest.mark.parametrize("number", [1, 2])
    @pytest.mark.parametrize(
        ("status", "body", "expected"),
        [
            (400, b'{"error": "InvalidRequest", "message": "q"}', Broken),
            (401, b'{"error": "AccountTakedown", "message": "gone"}', Unauthorised),
            (403, b"<html><title>403</title></html>", Refused),
            (429, b'{"error": "RateLimitExceeded", "message": "Rate Limit Exceeded"}', Retry),
            (500, b'{"error": "InternalServerError"}', Retry), (502, b'{"error": "UpstreamFailure"}', Retry),
            (200, b"<html>a page</html>", Broken), (200, b'{"error": "odd"}', Broken), (200, b"[]", Broken),
        ],
    )  # fmt: skip
    def test_each_reply_has_its_consequence(
        self, number: int, status: int, body: bytes, expected: type[SourceError]
    ) -> None:
        service = Service(view(1, EPOCH - 10))
        service.failing = lambda asked: (
            (status, body, {"retry-after": "90"} if status == 429 else {}) * (asked == number)
        )
        pages, error = search(service)
        assert pages == [] and type(error) is expected
        assert getattr(error, "after", None) == (90 if status == 429 else None)
        assert error.payload == body and PASSWORD not in str(error)

    def test_a_log_in_that_ran_out_is_made_again_by_the_next_run(self) -> None:
        service = Service()
        service.failing = lambda n: (
            (400, b'{"error":"ExpiredToken","message":"Token has expired"}', {}) if n == 2 else None
        )
        assert isinstance(search(service)[1], Retry)

    def test_a_wrong_password_says_where_to_make_a_right_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LISTENER_TEST_BLUESKY_PASSWORD", "my-main-password")
        _, error = search(Service())
        assert isinstance(error, Unauthorised) and "app password" in str(error) and error.status == 401
        assert "my-main-password" not in str(error)

    def test_a_password_that_is_not_there_asks_nobody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("LISTENER_TEST_BLUESKY_PASSWORD")
        service = Service()
        _, error = search(service)
        assert isinstance(error, Disabled) and "app_password" in str(error)
        assert service.asked == []

    @pytest.mark.parametrize("token", [None, "", 7, "two\nlines", "täken", ["a"]])
    def test_a_token_that_is_none_is_broken(self, token: Any) -> None:
        service = Service()
        service.failing = lambda number: (200, _dump(accessJwt=token), {}) if number == 1 else None
        assert isinstance(search(service)[1], Broken) and len(service.asked) == 1


class TestRecheck:
    @staticmethod
    def recheck(service: Service, *numbers: int) -> Page:
        settings = bluesky.Settings(queries=["Lumen"])
        asked = [uri(number) for number in numbers]
        (page,) = bluesky.recheck(settings, None, asked, service, NOW, "sky")  # type: ignore[arg-type]
        return page

    def test_what_is_missing_is_deleted_and_what_is_there_comes_as_it_is_now(self) -> None:
        service = Service(view(1, EPOCH - 10, likeCount=9), view(3, EPOCH - 30))
        page = self.recheck(service, 1, 2, 3, 4)
        assert page.deleted == (uri(2), uri(4))
        assert [post.engagement for post in page.posts] == [{"likes": 9}, {}]
        assert page.cursor is None and service.logins == []

    def test_twenty_four_fit_into_a_call_and_one_beside_them(self) -> None:
        numbers = range(bluesky.RECHECK_AT_ONCE)
        assert len(self.recheck(Service(*(view(n, EPOCH - n) for n in numbers)), *numbers).posts) == 24

    def test_who_asks_not_to_be_shown_by_now_is_erased(self) -> None:
        shy = view(1, EPOCH - 10, labels=[{"val": "!no-unauthenticated"}])
        page = self.recheck(Service(shy), 1)
        assert (page.posts, page.deleted) == ((), (uri(1),))

    def test_a_post_that_is_shown_without_text_is_left_alone(self) -> None:
        page = self.recheck(Service(view(1, EPOCH - 10, "")), 1)
        assert (page.posts, page.deleted) == ((), ())

    def test_that_many_posts_are_gone_at_once_is_not_believed(self) -> None:
        assert self.recheck(Service(), 1, 2, 3, 4).deleted == (uri(1), uri(2), uri(3), uri(4))
        with pytest.raises(Broken, match="none of 5 stored posts"):
            self.recheck(Service(), 1, 2, 3, 4, 5)
        assert self.recheck(Service(witness=True), 1, 2, 3, 4, 5).deleted == tuple(map(uri, range(1, 6)))
        assert len(self.recheck(Service(view(1, EPOCH - 10)), 1, 2, 3, 4, 5).deleted) == 4

    @pytest.mark.parametrize("witness", [True, False])
    def test_an_empty_reply_that_was_a_moments_failure_erases_nothing(self, witness: bool) -> None:
        service = Service(*(view(n, EPOCH - n) for n in range(1, 6)), witness=witness)
        service.failing = lambda number: (200, b'{"posts": []}', {}) if number == 1 else None
        page = self.recheck(service, 1, 2, 3, 4, 5, 6)
        assert idents([page]) == [1, 2, 3, 4, 5] and page.deleted == (uri(6),)

    def test_a_whole_batch_is_asked_after_beside_the_witness(self) -> None:
        numbers = range(bluesky.RECHECK_AT_ONCE)
        page = self.recheck(Service(witness=True), *numbers)
        assert (page.posts, page.deleted) == ((), tuple(map(uri, numbers)))

    @pytest.mark.parametrize("feed", [b'{"feed": []}', b'{"feed": [1, {"post": {}}]}', b"{}", b"[]"])
    def test_without_a_witness_an_empty_reply_erases_nothing(self, feed: bytes) -> None:
        service = Service()
        service.failing = lambda number: (200, feed, {}) if number == 2 else None
        with pytest.raises(Broken, match="none of 5 stored posts"):
            self.recheck(service, 1, 2, 3, 4, 5)
        assert len(service.asked) == 2

    @pytest.mark.parametrize("body", [b"{}", b'{"posts": null}', b'{"posts": [{"id": 1}]}', b"<html>", b""])
    def test_a_reply_that_tells_nothing_erases_nothing(self, body: bytes) -> None:
        service = Service()
        service.failing = lambda _: (200, body, {})
        with pytest.raises(Broken):
            self.recheck(service, 1)


class TestBackfill:
    SINCE = NOW - timedelta(days=30)

    def walk(
        self, service: Any, cursor: Mapping[str, Any] | None = None, now: datetime = NOW, **settings: Any
    ) -> tuple[list[Page], SourceError | None]:
        chosen = bluesky.Settings.model_validate({"queries": ["Lumen"], **ACCOUNT, **settings})
        return _drained(bluesky.backfill(chosen, self.SINCE, cursor, service, now, "sky"))

    def test_without_an_account_it_says_what_to_do(self) -> None:
        service = Service()
        pages, error = self.walk(service, handle="", app_password=None)
        assert isinstance(error, Disabled) and "app_password" in str(error) and "36 hours" in str(error)
        assert (pages, service.asked) == ([], [])

    def test_walks_back_week_by_week_and_ends_with_an_empty_cursor(self) -> None:
        service = Service(*(view(n, EPOCH - n * 6 * HOUR) for n in range(1, 200)))
        pages, error = self.walk(service)
        assert error is None and idents(pages) == list(range(1, 121))
        assert [page.cursor for page in pages] == [
            {"until": EPOCH - week * 7 * 86_400} for week in range(1, 5)
        ] + [{}]  # fmt: skip

    def test_goes_on_where_it_was_interrupted(self) -> None:
        service = Service(*(view(n, EPOCH - n * HOUR, "Hotel Lumen") for n in range(1, 600)))
        service.failing = lambda number: (503, b"", {}) if number == 11 else None
        pages, error = self.walk(service, queries=["Lumen", "Hotel Lumen"])
        assert isinstance(error, Retry)
        mark = [page.cursor for page in pages if page.cursor is not None][-1]
        assert mark == {"until": EPOCH - 2 * 7 * 86_400}
        service.failing = lambda _: None
        rest, error = self.walk(service, mark, now=NOW + timedelta(days=1), queries=["Lumen", "Hotel Lumen"])
        assert error is None and rest[-1].cursor == {}
        assert set(idents(pages + rest)) == set(range(1, 600))
        assert service.searches[-1]["since"] == "2026-10-23T12:00:00Z"

    def test_a_week_that_holds_too_much_is_a_gap_of_that_week(self) -> None:
        service = Service(*(view(n, EPOCH - n * 60) for n in range(1, 4_200)))
        pages, error = self.walk(service)
        (gap,) = [page.gap for page in pages if page.gap]
        assert error is None and pages[-1].cursor == {}
        assert (gap.since, gap.until) == (NOW - timedelta(days=7), NOW - timedelta(minutes=4_000))

    def test_a_date_that_is_not_over_has_nothing_before_it(self) -> None:
        pages, error = self.walk(Service(), now=self.SINCE)
        assert (pages, error) == ([], None)


class TestSettings:
    @pytest.mark.parametrize(
        "told",
        [
            {"queries": []}, {"queries": ['""']}, {"queries": ["..."]}, {"handle": "lumen.example"},
            {"app_password": ACCOUNT["app_password"]}, {**ACCOUNT, "app_password": PASSWORD},
            {**ACCOUNT, "handle": "@"},
            {**ACCOUNT, "pds": "http://bsky.social"}, {"pds": "https://"}, {"stream": "https://jetstream.example"},
            {"stream": "wss://"}, {"days": 0}, {"megabytes": 1}, {"password": "x"},
        ],
    )  # fmt: skip
    def test_what_would_find_nothing_or_tell_the_password_is_refused(self, told: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            bluesky.Settings.model_validate({"queries": ["Lumen"], **told})

    def test_a_server_of_ones_own_is_asked_instead(self) -> None:
        asked: list[str] = []

        def get(url: str, **_: Any) -> Response:
            asked.append(url)
            return Response(200, url, {}, _dump(accessJwt="a.b.c", posts=[]))

        found(get, pds="https://pds.lumen.example/")
        assert {urlsplit(url).hostname for url in asked} == {"pds.lumen.example"} and "//xrpc" not in "".join(asked)


# --- anything at all -------------------------------------------------------------------------------------------------

FILES = sorted(PAYLOADS.glob("*.json"))


@given(st.sampled_from(FILES).flatmap(lambda file: mutated(file.read_bytes())))
def test_any_payload_is_read_or_broken(payload: bytes) -> None:
    try:
        page = bluesky.parse(payload, name="sky", now=NOW)
    except Broken:
        return
    assert all(post.text and post.native_id for post in page.posts)


@given(mutated((PAYLOADS / "events.jsonl").read_bytes()))
def test_any_message_is_read_or_counted(payload: bytes) -> None:
    stream = Stream(event(EPOCH - 5, 1), *payload.split(b"\n"), TIP)
    pages, _ = follow(stream)  # one that is later than now ends the run, which may end in the silence after it
    assert uri(1) in [post.native_id for page in pages for post in page.posts]
    for page in pages:
        assert all(post.text and post.native_id for post in page.posts)
        assert all(gone.startswith("at://did:") for gone in page.deleted + page.deleted_below)
        json.dumps(page.cursor)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
RECORD = st.dictionaries(st.sampled_from(("text", "createdAt", "langs", "reply", "parent", "uri")), JSON)
AUTHOR = st.dictionaries(st.sampled_from(("did", "labels", "handle")), JSON)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "uri": JSON | st.just(uri(1)),
        "record": JSON | RECORD,
        "author": JSON | AUTHOR,
        "labels": JSON | st.lists(st.dictionaries(st.just("val"), JSON), max_size=2),
        "indexedAt": JSON,
        "likeCount": JSON,
        "replyCount": JSON,
    },
)


@given(st.lists(FIELDS, max_size=4))
def test_any_value_in_any_field_is_read_or_broken(views: list[dict[str, Any]]) -> None:
    try:
        page = bluesky.parse(json.dumps({"posts": views}).encode(), name="sky", now=NOW)
    except Broken:
        return
    for post in page.posts:
        assert post.text and (post.created_at is None or post.created_at <= NOW + timedelta(hours=1))
        (post.text + post.native_id + post.author + post.parent + post.lang).encode()


COMMIT = st.dictionaries(st.sampled_from(("operation", "collection", "rkey", "record")), JSON)
EVENT = st.dictionaries(st.sampled_from(("did", "kind", "commit", "account")), JSON | COMMIT)


@given(st.lists(EVENT, max_size=4), RECORD)
def test_any_event_is_read(events: list[dict[str, Any]], record: dict[str, Any]) -> None:
    whole = event(EPOCH - 5, 1, did="did:plc:other")
    whole["commit"]["record"] = record
    timed = [{**each, "time_us": (EPOCH - 4) * 1_000_000} for each in events]
    page = jetstream.parse_events([whole, *timed, {}], lambda _: True, "sky", NOW)
    for post in page.posts:
        assert post.text and post.created_at is not None and post.created_at <= NOW + timedelta(hours=1)
        (post.text + post.native_id + post.author + post.parent + post.lang).encode()
