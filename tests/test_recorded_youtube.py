"""Conformance with recorded real replies of YouTube, which are not part of this repository.

Read from LISTENER_RECORDED, or ../shared/recorded beside the checkout; skipped where there are none.
"""

from __future__ import annotations

import os
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from listener.errors import Broken, Refused, SourceError, Unauthorised
from listener.http import Response, _judge
from listener.http.transport import Reply
from listener.records import Page
from listener.sources import youtube
from listener.sources.youtube_comments import next_of, read, threads_of, videos_of

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
RECORDED = Path(os.environ.get("LISTENER_RECORDED") or Path(__file__).resolve().parents[2] / "shared" / "recorded")
FOLDER = RECORDED / "youtube"
THREADS = FOLDER / "apidata" / "comment_threads"
COMMENTS = FOLDER / "apidata" / "comments"
KEY = {"file": str(Path(__file__).parent / "payloads" / "youtube" / "contract.toml")}

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"no recorded replies at {FOLDER}; set LISTENER_RECORDED to their folder"
)


def parsed(file: Path) -> Page:
    return youtube.parse(file.read_bytes(), name="recorded", now=NOW)


def holds(page: Page) -> None:
    """What is true of every page, whatever came in."""
    assert len({post.native_id for post in page.posts}) == len(page.posts)
    for post in page.posts:
        assert post.text.strip() and post.author and post.created_at is not None
        assert post.edited_at is None or post.edited_at > post.created_at
        assert not post.url or post.native_id in post.url


def test_every_reply_is_read_or_said_to_hold_no_comments(capsys: pytest.CaptureFixture[str]) -> None:
    counts: Counter[str] = Counter()
    for file in sorted(FOLDER.rglob("*.json")):
        counts["replies"] += 1
        try:
            page = parsed(file)
        except Broken:
            counts["errors"] += 1
            continue
        holds(page)
        counts.update(posts=len(page.posts), **page.skipped)
    with capsys.disabled():
        print(f"\nrecorded youtube: {dict(counts)}")
    assert counts["posts"] >= 25


LISTS = {
    "comment_threads_by_channel": 2, "comment_threads_by_video_paged_1": 5, "comment_threads_by_video_paged_2": 5,
    "comment_threads_all_to_me": 4, "comment_thread_single": 1, "comment_threads_with_search": 1,
    "comment_threads_multi": 2,
}  # fmt: skip


@pytest.mark.parametrize(("name", "threads"), LISTS.items())
def test_the_threads_of_a_known_reply(name: str, threads: int) -> None:
    file = THREADS / f"{name}.json"
    found = threads_of(read(file.read_bytes()), NOW)
    assert len(found) == threads and all(thread.ident and thread.last for thread in found)
    tops = [post for post in parsed(file).posts if not post.parent]
    assert [post.native_id for post in tops] == [thread.ident for thread in found]
    assert all(post.url for post in tops) == all(thread.video for thread in found)


@pytest.mark.parametrize(("name", "posts"), {"comments_by_parent_paged_1": 2, "comments_by_parent_paged_2": 1}.items())
def test_replies_know_their_thread(name: str, posts: int) -> None:
    found = parsed(COMMENTS / f"{name}.json").posts
    assert len(found) == posts
    assert {post.parent for post in found} == {post.native_id.partition(".")[0] for post in found}


def test_a_video_of_two_pages_is_read_whole() -> None:
    pages = [THREADS / f"comment_threads_by_video_paged_{number}.json" for number in (1, 2)]
    assert next_of(read(pages[0].read_bytes())) and not next_of(read(pages[1].read_bytes()))

    asked: list[str] = []

    def answer(url: str, *, params: dict[str, str], **_: Any) -> Response:
        asked.append(url.rpartition("/")[2])
        if url.endswith("/comments"):
            return Response(200, url, {}, b'{"items": []}')
        return Response(200, url, {}, pages["pageToken" in params].read_bytes())

    get: Any = answer
    chosen = youtube.Settings.model_validate({"key": KEY, "videos": ["hptour0001A"], "days": 3650})
    found = [post for page in youtube.fetch(chosen, None, get, NOW, "recorded") for post in page.posts]
    assert len(found) == 5  # the second page, as it was recorded, repeats the first
    assert asked == ["commentThreads", "commentThreads", "comments"]


def test_a_recheck_of_recorded_comments() -> None:
    body = (COMMENTS / "comments_multi.json").read_bytes()
    idents = [post.native_id for post in parsed(COMMENTS / "comments_multi.json").posts]
    get: Any = lambda url, **_: Response(200, url, {}, body)  # noqa: E731
    chosen = youtube.Settings.model_validate({"key": KEY, "videos": ["hptour0001A"]})
    (page,) = youtube.recheck(chosen, None, [*idents, "Ugwgone"], get, NOW, "recorded")
    assert page.deleted == ("Ugwgone",) and set(page.verified) == set(idents)


@pytest.mark.parametrize("name", ["search_by_keywords_p1", "search_by_keywords_p2"])
def test_the_videos_of_a_search(name: str) -> None:
    found = videos_of(read((FOLDER / "apidata" / "search" / f"{name}.json").read_bytes()))
    assert 20 <= len(found) <= 25


ERRORS = [
    ("error_response.json", 400, Unauthorised),
    ("error_response_simple.json", 403, Refused),
    ("apidata/error_permission_resp.json", 403, Refused),
]


@pytest.mark.parametrize(("name", "status", "kind"), ERRORS)
def test_each_recorded_error_has_its_consequence(name: str, status: int, kind: type[SourceError]) -> None:
    body = (FOLDER / name).read_bytes()

    def refuse(url: str, **_: Any) -> Response:
        return _judge(Reply(status, {}, body, ""), url, url)

    get: Any = refuse
    chosen = youtube.Settings.model_validate({"key": KEY, "videos": ["hptour0001A"]})
    with pytest.raises(SourceError) as caught:
        list(youtube.fetch(chosen, None, get, NOW + timedelta(days=1), "recorded"))
    assert type(caught.value) is kind
    assert caught.value.payload == body
