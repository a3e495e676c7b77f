"""Conformance with recorded real feeds of the App Store, no part of this repository (see test_recorded.py)."""

from __future__ import annotations

import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from listener.errors import Broken, Retry
from listener.http import Response
from listener.records import Page
from listener.sources import appstore

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
RECORDED = (
    Path(os.environ.get("LISTENER_RECORDED") or Path(__file__).resolve().parents[2] / "shared" / "recorded")
    / "app-store"
)

pytestmark = pytest.mark.skipif(
    not RECORDED.is_dir(), reason=f"no recorded replies at {RECORDED}; set LISTENER_RECORDED to their folder's parent"
)

FEEDS = {"customerreviews_us_483654179.json": ("us", 10), "customerreviews_jp_638572168.json": ("jp", 8)}


def read(name: str) -> Page:
    payload = (RECORDED / name).read_bytes()
    return appstore.parse(payload, app=1, country=FEEDS[name][0], name="recorded", now=NOW)


def test_every_review_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    counts: Counter[str] = Counter()
    for name in FEEDS:
        page = read(name)
        counts.update(replies=1, posts=len(page.posts), **page.skipped)
        assert len({post.native_id for post in page.posts}) == len(page.posts) == 50
        for post in page.posts:
            assert post.native_id.isdecimal() and post.author and post.title and post.text.strip()
            assert post.rating and 1 <= post.rating.value <= 5
            assert set(post.engagement) == {"likes", "votes"}
            assert post.created_at is None  # feeds of that time carry no dates
    with capsys.disabled():
        print(f"\nrecorded appstore: {dict(counts)}, errors met: an empty feed beside a real lookup is a Retry")
    assert counts["posts"] == 100


@pytest.mark.parametrize("name", FEEDS)
def test_two_runs_over_a_feed_without_dates(name: str) -> None:
    country, _ = FEEDS[name]
    asked: list[str] = []

    def get(url: str, **_: Any) -> Response:
        asked.append(url)
        return Response(200, url, {}, (RECORDED / name).read_bytes() if "page=1/" in url else b'{"feed": {}}')

    settings = appstore.Settings(apps=[1], countries=[country])
    first = list(appstore.fetch(settings, None, get, NOW, "recorded"))
    assert sum(len(page.posts) for page in first) == 50
    # The feed says that it has more pages than the one that was recorded.
    assert first[-1].gap is not None and first[-1].cursor
    asked.clear()
    again = list(appstore.fetch(settings, first[-1].cursor, get, NOW, "recorded"))
    assert len(asked) == 1 and again[-1].gap is None


def test_a_real_lookup_tells_an_empty_feed_from_no_reviews() -> None:
    def get(url: str, **_: Any) -> Response:
        lookup = url.endswith("/lookup")
        return Response(200, url, {}, (RECORDED / "itunes_update_2017.json").read_bytes() if lookup else b'{"feed":{}}')

    with pytest.raises(Retry, match="124 ratings"):
        list(appstore.fetch(appstore.Settings(apps=[1107711722]), None, get, NOW, "recorded"))


def test_a_lookup_is_no_feed() -> None:
    payload = (RECORDED / "itunes_update_2017.json").read_bytes()
    with pytest.raises(Broken):
        appstore.parse(payload, app=1, country="us", name="recorded", now=NOW)
