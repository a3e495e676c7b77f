"""Conformance with recorded real replies, which are not part of this repository.

Read from LISTENER_RECORDED, or ../shared/recorded beside the checkout; skipped where there are none.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from listener.errors import Broken
from listener.http.walls import bot_wall
from listener.records import Page
from listener.sources import feeds, hackernews, webreviews

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
RECORDED = Path(os.environ.get("LISTENER_RECORDED") or Path(__file__).resolve().parents[2] / "shared" / "recorded")

pytestmark = pytest.mark.skipif(
    not RECORDED.is_dir(), reason=f"no recorded replies at {RECORDED}; set LISTENER_RECORDED to their folder"
)


def files(*patterns: str) -> list[Path]:
    found = sorted(file for pattern in patterns for file in RECORDED.glob(pattern) if file.name != "SOURCE.md")
    if not found:
        pytest.skip(f"nothing recorded as {', '.join(patterns)}")
    return found


def read(name: str) -> bytes:
    file = RECORDED / name
    if not file.exists():
        pytest.skip(f"{name} is not among the recorded replies")
    return file.read_bytes()


def feed(file: Path) -> Page:
    return feeds.parse(file.read_bytes(), url=f"https://feeds.example/{file.name}", name="recorded", now=NOW)


def reviews(payload: bytes) -> Page:
    return webreviews.parse(payload, url="https://pages.example/reviews", name="recorded", now=NOW)


def holds(page: Page) -> None:
    """What is true of every page, whatever came in."""
    assert len({post.native_id for post in page.posts}) == len(page.posts)
    for post in page.posts:
        assert post.text.strip() and "<p>" not in post.text
        assert post.created_at is None or post.created_at.tzinfo is UTC


FEEDS = {
    "reddit/rss/listing.rss": 25, "reddit/rss/search.rss": 25, "reddit/rss/thread.rss": 34,
    "reddit/rss/reddit_2017.xml": 1,
    "rss-atom/feedjira/google_alerts_atom.xml": 20, "rss-atom/feedjira/youtube_atom.xml": 15,
    "rss-atom/feedjira/TechCrunch.xml": 20, "rss-atom/feedjira/json_feed.json": 20,
    "rss-atom/feedjira/pet_atom.xml": 10,
    "rss-atom/feedjira/RSSWithComments.xml": 30, "rss-atom/feedparser/json/example.json": 2,
    "rss-atom/rss-parser/guardian.rss": 55, "rss-atom/rss-parser/encoding.rss": 40,
    "rss-atom/rss-parser/uolNoticias.rss": 15, "rss-atom/rss-parser/reddit-atom.rss": 24,
    "rss-atom/rss-parser/feedburner.atom": 25,
}  # fmt: skip


class TestFeeds:
    def test_every_feed_is_read_or_said_to_be_none(self, capsys: pytest.CaptureFixture[str]) -> None:
        broken: list[str] = []
        counts: Counter[str] = Counter()
        for file in files("rss-atom/**/*.*", "reddit/rss/*"):
            try:
                page = feed(file)
            except Broken:
                broken.append(file.name)
                continue
            holds(page)
            counts.update(feeds=1, posts=len(page.posts), dated=sum(post.created_at is not None for post in page.posts))
        with capsys.disabled():
            print(f"\nrecorded feeds: {dict(counts)}, broken: {broken}")
        assert set(broken) <= {"rss_empty_document.xml", "unrecognized.rss"}
        assert counts["posts"] > 300

    @pytest.mark.parametrize(("name", "posts"), FEEDS.items())
    def test_the_entries_of_a_known_feed(self, name: str, posts: int) -> None:
        page = feeds.parse(read(name), url="https://feeds.example/feed", name="recorded", now=NOW)
        assert len(page.posts) + sum(page.skipped.values()) >= posts
        assert len(page.posts) == posts

    @pytest.mark.parametrize("name", ["listing.rss", "search.rss", "thread.rss", "reddit_2017.xml"])
    def test_reddit(self, name: str) -> None:
        page = feeds.parse(read(f"reddit/rss/{name}"), url="https://www.reddit.com/.rss", name="recorded", now=NOW)
        for post in page.posts:
            assert re.fullmatch(r"t[13]_\w+", post.native_id)
            assert post.kind == {"t1": "comment", "t3": "post"}[post.native_id[:2]]
            assert not post.author.startswith("/u/")
            assert "[comments]" not in post.text and "submitted by" not in post.text
            assert post.created_at is not None

    def test_google_alerts(self) -> None:
        page = feeds.parse(
            read("rss-atom/feedjira/google_alerts_atom.xml"), url="https://g.example/", name="r", now=NOW
        )
        for post in page.posts:
            assert "<b>" not in post.title and "google.com/url" not in post.url
            assert "slack" in (post.title + post.text).lower()


class TestHackerNews:
    def test_hits(self, capsys: pytest.CaptureFixture[str]) -> None:
        counts: Counter[str] = Counter()
        for file in files("hackernews/*.json"):
            page = hackernews.parse(file.read_bytes(), name="recorded", now=NOW)
            holds(page)
            counts.update(posts=len(page.posts), **page.skipped)
        with capsys.disabled():
            print(f"\nrecorded Hacker News: {dict(counts)}")
        assert counts["posts"] >= 3

    def test_stories(self) -> None:
        page = hackernews.parse(read("hackernews/search_stories_trimmed.json"), name="recorded", now=NOW)
        assert [(post.kind, post.engagement["points"]) for post in page.posts] == [
            ("post", 6015), ("post", 5771), ("post", 5710),
        ]  # fmt: skip


PAGES = {
    "allrecipescurated.html": 10, "bakewithzoha.html": 12, "delishkitchen_1.html": 10, "barefeetinthekitchen_2.html": 7,
    "williamssonoma_2.html": 8, "littlespicejar.html": 5,
}  # fmt: skip


def examples(document: str) -> Iterator[tuple[str, str]]:
    """(kind of markup, one example in it) of schema.org's own collection."""
    for example in re.split(r"(?m)^TYPES:", document):
        for kind in ("MICRODATA", "JSON"):
            found = re.search(rf"(?ms)^{kind}:\s*\n(.*?)(?=^[A-Z-]+:\s*$|\Z)", example)
            if found:
                yield kind, found.group(1)


class TestReviewPages:
    @pytest.mark.parametrize(("name", "posts"), PAGES.items())
    def test_real_pages(self, name: str, posts: int) -> None:
        page = reviews(read(f"schema-org-review/real-pages/{name}"))
        holds(page)
        assert len(page.posts) == posts
        assert all(post.author and post.rating for post in page.posts)

    def test_ratings_without_words_are_counted(self) -> None:
        page = reviews(read("schema-org-review/real-pages/eatsmarter.html"))
        assert (page.posts, page.skipped) == ((), {"no text": 4})

    def test_real_pages_are_no_bot_walls(self) -> None:
        for file in files("schema-org-review/real-pages/*.html", "schema-org-review/extruct/**/*.html"):
            assert bot_wall({}, file.read_bytes()) == "", file.name

    def test_samples_of_extruct(self, capsys: pytest.CaptureFixture[str]) -> None:
        counts: Counter[str] = Counter()
        for file in files("schema-org-review/extruct/**/*.html"):
            page = reviews(file.read_bytes())
            holds(page)
            counts.update(pages=1, posts=len(page.posts), **page.skipped)
        with capsys.disabled():
            print(f"\nrecorded extruct samples: {dict(counts)}")
        assert counts["posts"] >= 3
        assert counts["aggregate only"] >= 4

    def test_the_examples_of_schema_org(self, capsys: pytest.CaptureFixture[str]) -> None:
        document = read("schema-org-review/schemaorg/examples.txt").decode("utf-8")
        counts: Counter[str] = Counter()
        for kind, example in examples(document):
            if "Review" not in example:
                continue
            page = reviews(f"<!doctype html><html><body>{example}</body></html>".encode())
            holds(page)
            counts.update({f"{kind} examples": 1, f"{kind} posts": len(page.posts)})
        with capsys.disabled():
            print(f"\nrecorded schema.org examples: {dict(counts)}")
        assert counts["MICRODATA posts"] >= 4 and counts["JSON posts"] >= 5


class TestBotWalls:
    def test_walls_are_seen(self) -> None:
        for file in files("bot-walls/*.html"):
            assert bot_wall({}, file.read_bytes()), file.name

    @pytest.mark.parametrize(
        "name", ["old_reddit_network_policy_block", "old_reddit_over18_interstitial", "reddit_shreddit_shell"]
    )
    def test_those_of_reddit_too(self, name: str) -> None:
        assert bot_wall({}, read(f"reddit/blocked-html/{name}.html"))

    def test_a_thread_of_reddit_is_none(self) -> None:
        assert bot_wall({}, read("reddit/blocked-html/oldreddit_thread.html")) == ""
