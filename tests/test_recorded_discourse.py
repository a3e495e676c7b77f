"""Conformance with recorded replies of Discourse forums, which are not part of this repository."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from test_recorded import NOW, RECORDED, holds

from listener.errors import Broken
from listener.sources import discourse
from listener.sources.discourse_posts import items_of

FOLDER = RECORDED / "discourse"
FORUM = "https://forum.example"

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"no recorded replies at {FOLDER}; set LISTENER_RECORDED to the folder above it"
)

# The topic holds a notice of a moderator and a picture without words as well.
POSTS = {"posts_latest.json": 4, "posts_before.json": 3, "topic.json": 2, "topic_posts.json": 1, "post.json": 1}


def test_every_reply_is_read_or_said_to_hold_no_posts(capsys: pytest.CaptureFixture[str]) -> None:
    counts: Counter[str] = Counter()
    without: list[str] = []
    for file in sorted(FOLDER.glob("*.json")):
        counts["replies read"] += 1
        try:
            page = discourse.parse(file.read_bytes(), forum=FORUM, name="recorded", now=NOW)
        except Broken:
            without.append(file.name)
            continue
        holds(page)
        counts.update({"posts extracted": len(page.posts), **page.skipped})
    with capsys.disabled():
        print(f"\nrecorded discourse: {dict(counts)}, no posts in: {without}")
    assert counts["posts extracted"] >= sum(POSTS.values())
    assert not set(without) & set(POSTS)


@pytest.mark.parametrize(("name", "posts"), POSTS.items())
def test_the_posts_of_a_known_reply(name: str, posts: int) -> None:
    page = discourse.parse((FOLDER / name).read_bytes(), forum=FORUM, name="recorded", now=NOW)
    assert len(page.posts) == posts
    for post in page.posts:
        assert post.author and post.created_at and post.url.startswith(f"{FORUM}/t/")
        assert post.kind == ("post" if post.url.endswith("/1") else "comment")


def test_an_older_version_shows_the_post_it_was_asked_to_begin_before() -> None:
    latest, before = (
        [item["id"] for item in items_of((FOLDER / name).read_bytes(), "recorded")]
        for name in ("posts_latest.json", "posts_before.json")
    )
    assert before == latest[1:]


def test_an_edit_is_told_by_the_version() -> None:
    payload = (FOLDER / "topic.json").read_bytes()
    page = discourse.parse(payload, forum=FORUM, name="recorded", now=NOW)
    edited = {item["id"] for item in json.loads(payload)["post_stream"]["posts"] if item["version"] > 1}
    assert edited
    assert {post.native_id for post in page.posts if post.edited_at} == {f"forum.example/{ident}" for ident in edited}
