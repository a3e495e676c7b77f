"""Conformance with recorded events and posts of Bluesky, which are not part of this repository.

Read from LISTENER_RECORDED, or ../shared/recorded beside the checkout; skipped where there are none. No error reply is
recorded: the names of the errors are taken from the interface's own description.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from listener.errors import Broken, Retry
from listener.http import Response, _judge
from listener.http.transport import Reply
from listener.records import Page
from listener.sources import bluesky, jetstream

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
EVENTS_END = datetime(2026, 7, 4, 15, 0, tzinfo=UTC)  # they were recorded a while before
RECORDED = Path(os.environ.get("LISTENER_RECORDED") or Path(__file__).resolve().parents[2] / "shared" / "recorded")
BLUESKY = RECORDED / "bluesky"

pytestmark = pytest.mark.skipif(
    not BLUESKY.is_dir(), reason=f"no recorded replies of Bluesky at {BLUESKY}; set LISTENER_RECORDED to their folder"
)
TALLY: Counter[str] = Counter()


@pytest.fixture(scope="module", autouse=True)
def _told(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\nrecorded bluesky: {dict(TALLY)}")


def load(name: str) -> Any:
    return json.loads((BLUESKY / name).read_bytes())


def parse(*views: Any) -> Page:
    """A reply as searchPosts sends it, made of recorded posts."""
    page = bluesky.parse(json.dumps({"posts": views, "hitsTotal": len(views)}).encode(), name="recorded", now=NOW)
    TALLY.update({"replies read": 1, "posts extracted": len(page.posts)})
    return page


def holds(page: Page) -> None:
    assert len({post.native_id for post in page.posts}) == len(page.posts)
    for post in page.posts:
        assert post.text.strip() and post.native_id == post.federated_id
        assert post.created_at is not None and post.created_at.tzinfo is UTC and post.created_at <= NOW
        assert post.author.startswith("did:") and post.author in post.url


class Stream:
    """The recorded events, then silence."""

    def __init__(self, *messages: bytes) -> None:
        self.recorded = messages

    def messages(self, url: str, *, params: dict[str, str], limit_bytes: int) -> Iterator[bytes]:
        yield from self.recorded
        raise Retry("nothing more comes")


class TestStream:
    def messages(self) -> list[bytes]:
        return (BLUESKY / "jetstream/expected_v1.jsonl").read_bytes().splitlines()

    def test_the_events_of_a_moment(self) -> None:
        events = [json.loads(message) for message in self.messages()]
        page = jetstream.parse_events(events, lambda text: text, "recorded", NOW)
        holds(page)
        counts = Counter(
            event["commit"]["operation"]
            for event in events
            if event["kind"] == "commit" and event["commit"]["collection"] == "app.bsky.feed.post"
        )
        TALLY.update({"events read": len(events), "posts extracted": len(page.posts)})
        assert counts == {"create": 17, "delete": 1}
        assert (len(page.posts), page.skipped, len(page.deleted)) == (16, {"no text": 1}, 1)
        assert page.deleted_below == (), "the one account event says that an account is active"
        assert {post.kind for post in page.posts} == {"post", "comment"}
        assert len({post.lang for post in page.posts}) > 4
        assert all(post.parent for post in page.posts if post.kind == "comment")

    def test_through_the_source_they_move_the_bookmark(self) -> None:
        stream = Stream(*self.messages())
        settings = bluesky.Settings(queries=["america", "music"])
        cursor = {"until": dict.fromkeys(settings.queries, 1_783_175_880)}
        pages = []
        with pytest.raises(Retry):
            for page in bluesky.fetch(settings, cursor, stream, EVENTS_END, "recorded"):  # type: ignore[arg-type]
                pages.append(page)
        (page,) = pages
        assert page.cursor == {"until": {"america": 1_783_175_888, "music": 1_783_175_888}}
        assert page.gap is None and sum(page.skipped.values()) + len(page.posts) == 17

    def test_the_moments_are_a_little_out_of_order(self) -> None:
        times = [json.loads(message)["time_us"] for message in self.messages()]
        behind = max(max(times[: n + 1]) - time for n, time in enumerate(times))
        assert 0 < behind < jetstream._REWIND_S * 1_000_000


class TestPosts:
    def test_a_post(self) -> None:
        page = parse(load("postView_2025.json"))
        holds(page)
        (post,) = page.posts
        assert post.engagement == {"likes": 1, "comments": 0, "reposts": 0, "quotes": 0}
        assert (post.kind, post.lang) == ("post", "en")

    def test_a_feed(self) -> None:
        feed = load("getTimeline_feed_2025.json")["feed"]
        page = parse(*(entry["post"] for entry in feed))
        holds(page)
        assert len(feed) == len(page.posts) + sum(page.skipped.values()) and page.posts
        assert set(page.skipped) <= {"no text", "twice in the reply", "asks not to be shown without signing in"}

    def test_a_thread(self) -> None:
        thread = load("atproto-py/thread_view_post_with_embed_media.json")["thread"]
        assert parse(thread["post"]).skipped == {"no text": 1}, "pictures alone"

    @pytest.mark.parametrize("name", ["post_record", "extended_post_record"])
    def test_a_record(self, name: str) -> None:
        record = load(f"atproto-py/{name}.json")
        told = jetstream.read_post(record["uri"], record["value"], None, "recorded", NOW)
        TALLY.update({"posts extracted": 1})
        assert told.text and told.created_at is not None and told.native_id == record["uri"]

    @pytest.mark.parametrize("name", ["atproto-py/get_follows.json", "getTimeline_feed_2025.json"])
    def test_replies_of_other_methods_are_broken(self, name: str) -> None:
        with pytest.raises(Broken):
            bluesky.parse((BLUESKY / name).read_bytes(), name="recorded", now=NOW)
        TALLY.update({"errors met": 1})


class TestInterface:
    def test_the_search_takes_what_we_ask(self) -> None:
        main = load("atproto/searchPosts.json")["defs"]["main"]
        asked: dict[str, str] = {}

        def get(url: str, *, params: dict[str, str] | None = None, **_: Any) -> Response:
            assert url.endswith(("createSession", load("atproto/searchPosts.json")["id"]))
            asked.update(params or {})
            return Response(200, url, {}, b'{"accessJwt": "a.b.c", "posts": [], "cursor": "100"}')

        settings = bluesky.Settings(queries=["acme"])
        list(bluesky._walk(settings, "a.b.c", "acme", 0, 1_783_175_888, get, NOW, "x"))  # type: ignore[arg-type]
        known = main["parameters"]["properties"]
        assert set(asked) <= set(known) and asked["sort"] in known["sort"]["knownValues"]
        assert int(asked["limit"]) == known["limit"]["maximum"]
        assert set(main["output"]["schema"]["properties"]) >= {"posts", "cursor"}

    def test_a_post_holds_what_we_read(self) -> None:
        view = load("atproto/defs.json")["defs"]["postView"]["properties"]
        record = load("atproto/post.json")["defs"]["main"]["record"]["properties"]
        assert {"uri", "author", "record", "indexedAt", "labels", *bluesky._COUNTS.values()} <= set(view)
        assert {"text", "createdAt", "langs", "reply"} <= set(record)

    @pytest.mark.parametrize("file", ["atproto/searchPosts.json", "jetstream/subscribeEvents.lexicon.json"])
    def test_its_errors_are_ours(self, file: str) -> None:
        for error in load(file)["defs"]["main"]["errors"]:
            body = json.dumps({"error": error["name"], "message": error.get("description", "")}).encode()
            with pytest.raises(Broken) as caught:
                _judge(Reply(400, {}, body, ""), "https://bsky.example/xrpc", "https://bsky.example/xrpc")
            assert caught.value.payload == body
            TALLY.update({"errors met": 1})

    def test_dates(self) -> None:
        def lines(name: str) -> list[str]:
            return [line for line in (BLUESKY / "atproto" / name).read_text("utf-8").splitlines() if line[:1] != "#"]

        def dated(text: str) -> datetime | None:
            return jetstream.read_post("", {"createdAt": text}, None, "recorded", NOW).created_at

        valid = [line for line in lines("datetime_syntax_valid.txt") if line]
        # The examples are of 1985, which is taken for "not known": moved to a year that a post may have.
        assert all(dated(line.replace("1985", "2025")) for line in valid if line.startswith("1985"))
        for name in ("datetime_syntax_invalid.txt", "datetime_parse_invalid.txt"):
            assert all(dated(line) is None for line in lines(name))

    def test_addresses(self) -> None:
        lines = (BLUESKY / "atproto/aturi_syntax_valid.txt").read_text("utf-8").splitlines()
        post = "at://did:plc:asdf123/com.atproto.feed.post/asdf123"
        assert post in lines and not any(jetstream.is_post_uri(line) for line in lines), "none is a post of Bluesky"
        keys = [line.rpartition("/")[2] for line in lines if line.startswith("at://did:abc:123/io.nsid.someFunc/")]
        assert len(keys) > 5
        assert all(jetstream.is_post_uri(f"at://did:abc:123/app.bsky.feed.post/{key}") for key in keys)
