"""Recorded lists of posts and reviews, imported as if a person had saved them as files."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from listener.records import Post
from listener.sources import files

RECORDED = Path(os.environ.get("LISTENER_RECORDED") or Path(__file__).resolve().parents[2] / "shared" / "recorded")

DUMPS: list[tuple[str, dict[str, str], int]] = [
    # file, columns where a guess does not do, how many entries of it have a text
    ("steam/derived/GetAppReviews_v1_page1.json", {"text": "review", "date": "timestamp_created"}, 12),
    ("lemmy/post_list_v3.json", {"text": "post.name", "id": "post.id", "date": "post.published"}, 1),
    ("stackexchange/questions_2020_activity.json", {"text": "title", "id": "question_id", "date": "creation_date"}, 30),
    ("bluesky/jetstream/expected_v1.jsonl", {"text": "commit.record.text", "id": "commit.cid"}, 16),
]


@pytest.mark.parametrize(("name", "columns", "count"), DUMPS, ids=[name for name, _, _ in DUMPS])
def test_a_recorded_dump_is_imported(tmp_path: Path, name: str, columns: dict[str, str], count: int) -> None:
    recorded = RECORDED / name
    if not recorded.exists():
        pytest.skip(f"no recorded data at {recorded}; set LISTENER_RECORDED to its folder")
    path = Path(shutil.copy(recorded, tmp_path / recorded.name))
    settings = files.Settings(paths=[path], columns=columns)
    now = datetime(2027, 1, 1, tzinfo=UTC)

    def run(cursor: Any) -> list[Post]:
        pages = list(files.fetch(settings, cursor, None, now, "recorded"))  # type: ignore[arg-type]
        run.cursor = pages[-1].cursor  # type: ignore[attr-defined]
        return [post for page in pages for post in page.posts]

    posts = run(None)
    assert len(posts) == count
    assert len({post.native_id for post in posts}) == len(posts)
    assert all(post.text.strip() for post in posts)
    if "date" in columns:
        assert all(post.created_at and post.created_at.tzinfo is UTC for post in posts)
    assert run(run.cursor) == []  # type: ignore[attr-defined]
