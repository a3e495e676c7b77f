"""Conformance with recorded replies of Lemmy instances, which are not part of this repository."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC
from typing import Any
from urllib.parse import urlsplit

import pytest
from test_recorded import NOW, RECORDED, holds

from listener.errors import Broken
from listener.http import Response, _judge
from listener.http.transport import Reply
from listener.sources import lemmy
from listener.sources.lemmy_posts import parse

FOLDER = RECORDED / "lemmy"
HOST = "pine.example"
POSTS = {"post_list_v3.json": 1, "comment_list_v3_shape.json": 2, "post_list_old_build_no_Z.json": 1}

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"no recorded replies at {FOLDER}; set LISTENER_RECORDED to the folder above it"
)


def test_every_reply_is_read_or_said_to_hold_no_posts(capsys: pytest.CaptureFixture[str]) -> None:
    counts: Counter[str] = Counter()
    errors: list[str] = []
    for file in sorted(FOLDER.glob("*.json")):
        counts["replies read"] += 1
        try:
            page = parse(file.read_bytes(), host=HOST, name="recorded", now=NOW)
        except Broken:
            errors.append(file.name)
            continue
        holds(page)
        counts.update({"posts extracted": len(page.posts), **page.skipped})
        assert len(page.posts) == POSTS[file.name]
    with capsys.disabled():
        print(f"\nrecorded lemmy: {dict(counts)}, errors met: {errors}")
    assert counts == {"replies read": 5, "posts extracted": 4}
    assert errors == ["error_couldnt_find_post.json", "site_v3.json"]


@pytest.mark.parametrize("name", POSTS)
def test_what_a_recorded_post_holds(name: str) -> None:
    for post in parse((FOLDER / name).read_bytes(), host=HOST, name="recorded", now=NOW).posts:
        assert post.native_id == post.federated_id == post.url and post.url.startswith("https://")
        assert post.author.count("@") == 1 and "score" in post.engagement
        assert post.created_at and post.created_at.tzinfo is UTC and post.created_at.year == 2026
        assert (post.kind == "comment") == name.startswith("comment") and bool(post.title) == (post.kind == "post")


def test_a_walk_over_what_was_recorded() -> None:
    files = {"site": "site_v3.json", "post/list": "post_list_v3.json", "comment/list": "comment_list_v3_shape.json"}
    asked: list[dict[str, str]] = []

    def get(url: str, *, params: dict[str, str], **_: Any) -> Response:
        asked.append(params)
        what = urlsplit(url).path.removeprefix("/api/v3/")
        body = (
            (FOLDER / files[what]).read_bytes() if "page_cursor" not in params else b'{"posts": [], "next_page": null}'
        )
        return _judge(Reply(200, {}, body, ""), url, url)

    settings = lemmy.Settings.model_validate({"communities": [f"hotels@{HOST}"], "days": 365})
    pages = list(lemmy.fetch(settings, None, get, NOW, "recorded"))
    cursors = [params["page_cursor"] for params in asked if "page_cursor" in params]
    assert cursors == [json.loads((FOLDER / "post_list_v3.json").read_bytes())["next_page"]]
    assert sum(len(page.posts) for page in pages) == 3
    assert pages[-1].cursor and pages[-1].cursor["versions"][HOST][0] == 3


@pytest.mark.parametrize("status", [400, 404])
def test_the_recorded_error_is_a_deletion(status: int) -> None:
    body = (FOLDER / "error_couldnt_find_post.json").read_bytes()
    ap_id = f"https://{HOST}/post/1"

    def get(url: str, **_: Any) -> Response:
        return _judge(Reply(status, {}, body, ""), url, url)

    settings = lemmy.Settings.model_validate({"communities": [f"hotels@{HOST}"]})
    with pytest.raises(Broken) as caught:
        get("https://pine.example/api/v3/post")
    assert caught.value.status == status and caught.value.payload == body
    assert [page.deleted for page in lemmy.recheck(settings, None, [ap_id], get, NOW, "recorded")] == [(ap_id,)]
