"""Conformance with recorded replies of Stack Exchange, which are not part of this repository."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from test_recorded import NOW, RECORDED, holds

from listener.errors import Broken
from listener.records import Page
from listener.sources import stackexchange

FOLDER = RECORDED / "stackexchange"

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"no recorded replies at {FOLDER}; set LISTENER_RECORDED to the folder above it"
)


def read(name: str) -> Page:
    return stackexchange.parse((FOLDER / name).read_bytes(), site="stackoverflow", name="recorded", now=NOW)


def test_every_reply_is_read_or_said_to_hold_no_posts(capsys: pytest.CaptureFixture[str]) -> None:
    counts: Counter[str] = Counter()
    without: list[str] = []
    for file in sorted(FOLDER.glob("*.json")):
        counts["replies read"] += 1
        try:
            page = read(file.name)
        except Broken:
            without.append(file.name)
            continue
        holds(page)
        counts.update({"posts extracted": len(page.posts), **page.skipped})
    with capsys.disabled():
        print(f"\nrecorded stackexchange: {dict(counts)}, no posts in: {without}")
    assert without == ["test_stackoverflow_exists.json"]  # a list of sites
    assert counts["posts extracted"] >= 60


@pytest.mark.parametrize("name", ["questions_2016.json", "questions_2020_activity.json"])
def test_questions(name: str) -> None:
    page, raw = read(name), json.loads((FOLDER / name).read_bytes())["items"]
    assert len(page.posts) == len(raw)
    for post, item in zip(page.posts, raw, strict=True):
        assert (post.kind, post.text) == ("post", post.title)  # recorded without bodies
        assert post.native_id == f"stackoverflow/{item['question_id']}"
        assert post.url == item["link"] and post.created_at is not None
        assert (post.edited_at is not None) == ("last_edit_date" in item)
        assert post.engagement["score"] == item["score"]
        assert "&lt;" not in post.title and "&#39;" not in post.title and "&quot;" not in post.title
    assert sum(bool(post.author) for post in page.posts) >= len(raw) - 2
