"""Conformance with recorded real reviews of Steam, which are not part of this repository (see test_recorded.py)."""

from __future__ import annotations

import json
import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from listener.errors import Broken
from listener.http import Response
from listener.records import Page, Rating
from listener.sources import steam

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
RECORDED = (
    Path(os.environ.get("LISTENER_RECORDED") or Path(__file__).resolve().parents[2] / "shared" / "recorded") / "steam"
)

pytestmark = pytest.mark.skipif(
    not RECORDED.is_dir(), reason=f"no recorded replies at {RECORDED}; set LISTENER_RECORDED to their folder's parent"
)

REVIEWS = {10: 175, 30: 109, 40: 102, 360: 104, 105600: 343, 439700: 101}
EDITED = {10: 32, 30: 21, 40: 27, 360: 20, 105600: 52, 439700: 12}


def dump(app: int) -> bytes:
    """The reviews of one app as the interface sends them: the recorded file keys them by id."""
    reviews = json.loads((RECORDED / f"review_{app}.json").read_bytes())["reviews"]
    return json.dumps({"response": {"reviews": list(reviews.values())}}).encode()


def read(payload: bytes, app: int) -> Page:
    return steam.parse(payload, app=app, name="recorded", now=NOW)


def holds(page: Page) -> None:
    """What is true of every page, whatever came in."""
    assert len({post.native_id for post in page.posts}) == len(page.posts)
    for post in page.posts:
        assert post.native_id.isdecimal() and post.author.isdecimal()
        assert post.rating in (Rating(0, worst=0, best=1), Rating(1, worst=0, best=1))
        assert post.created_at and post.created_at.tzinfo is UTC
        assert not post.edited_at or post.edited_at > post.created_at
        assert post.lang == "en"
        for tag in ("[b]", "[h1]", "[/i]", "[*]", "[url=", "[spoiler]", "[td]"):
            assert tag not in post.text


@pytest.mark.parametrize("app", REVIEWS)
def test_every_review_is_read(app: int) -> None:
    page = read(dump(app), app)
    holds(page)
    assert len(page.posts) == REVIEWS[app] and page.skipped == {}
    assert sum(post.edited_at is not None for post in page.posts) == EDITED[app]


def test_what_people_put_in_brackets_stays() -> None:
    texts = "\n".join(post.text for app in REVIEWS for post in read(dump(app), app).posts)
    assert "[ORIGINAL]" in texts or "[original]" in texts.lower()


def test_the_new_envelope(capsys: pytest.CaptureFixture[str]) -> None:
    counts: Counter[str] = Counter()
    for app in REVIEWS:
        page = read(dump(app), app)
        counts.update(replies=1, posts=len(page.posts), **page.skipped)
    for file in sorted((RECORDED / "derived").glob("*.json")):
        page = read(file.read_bytes(), 439700)
        holds(page)
        counts.update(replies=1, posts=len(page.posts), **page.skipped)
    with capsys.disabled():
        print(f"\nrecorded steam: {dict(counts)}, errors met: none are recorded")
    assert counts["replies"] == len(REVIEWS) + 3


def test_a_walk_over_the_derived_pages() -> None:
    """Their cursors hold + / and =, and have to come back as they were."""
    first = (RECORDED / "derived" / "GetAppReviews_v1_page1.json").read_bytes()
    second = (RECORDED / "derived" / "GetAppReviews_v1_page2_last.json").read_bytes()
    empty = (RECORDED / "derived" / "GetAppReviews_v1_empty.json").read_bytes()
    places: dict[str, bytes] = {"*": first, json.loads(first)["response"]["cursor"]: second}
    asked = []

    def get(url: str, *, params: dict[str, str], **_: Any) -> Response:
        asked.append(json.loads(params["input_json"])["cursor"])
        return Response(200, url, {}, places.get(asked[-1], empty))

    settings = steam.Settings(apps=[439700])
    pages = list(steam.backfill(settings, datetime(2010, 1, 1, tzinfo=UTC), None, get, NOW, "recorded"))
    assert len({post.native_id for page in pages for post in page.posts}) == 20
    assert asked[:3] == ["*", *list(places)[1:], json.loads(second)["response"]["cursor"]]


def test_an_old_dump_is_not_taken_for_a_reply() -> None:
    with pytest.raises(Broken):
        read((RECORDED / "review_10.json").read_bytes(), 10)
