"""Files that come again: rows put into the middle, bookmarks of earlier versions, ids that only count rows."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from importing import pages, posts, saved, write

from listener.sources.rows import HEAD_BYTES

LONG = "the room was fine and the staff were kind " * 4


def export(*ids: str, edited: str = "") -> str:
    """A CSV with one row for each id, in this order."""
    said = {edited: "the room was filthy"}
    return "id,text\n" + "".join(f"{each},{said.get(each, LONG)}\n" for each in ids)


EAST, WEST = ([f"{house}{i}" for i in range(600)] for house in ("east", "west"))


def by_head_alone(path: Path, cursor: dict[str, dict[str, dict[str, object]]]) -> None:
    """Makes the bookmark one of the first version, which looked at the first 64 KiB of a file."""
    mark = cursor["files"][str(path)]
    mark["head"] = hashlib.blake2b(path.read_bytes()[:HEAD_BYTES], digest_size=16).hexdigest()


@pytest.mark.parametrize("old", [False, True])
def test_rows_put_in_far_behind_the_beginning_are_read(tmp_path: Path, old: bool) -> None:
    path = write(tmp_path / "a.csv", export(*EAST, *WEST))
    first, _, cursor = saved(pages(path))
    if old:
        by_head_alone(path, cursor)
    write(path, export(*EAST, "new1", "new2", *WEST, "new3", edited="east590"), age_s=30)
    later = {post.native_id: post.text for post in posts(path, cursor=cursor)}
    assert set(later) - {post.native_id for post in first} == {"new1", "new2", "new3"}
    assert later["east590"] == "the room was filthy"


def test_a_long_file_that_grew_at_its_end_brings_its_new_rows_only(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", export(*EAST))
    _, _, cursor = saved(pages(path))
    write(path, export(*EAST, "new"), age_s=30)
    assert [post.native_id for post in posts(path, cursor=cursor)] == ["new"]


def test_a_finished_file_is_not_read_again_for_an_old_bookmark(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", export(*EAST))
    _, _, cursor = saved(pages(path))
    by_head_alone(path, cursor)
    assert [(page.posts, page.unchanged) for page in pages(path, cursor=cursor)] == [((), True)]
