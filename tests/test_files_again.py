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


# --- ids that only count rows ------------------------------------------------------------------------------------

MAY = "id,author,text,date\n1,ann,cold pool,2025-05-01\n2,bo,fine,2025-05-02\n"
JUNE = "id,author,text,date\n1,cy,slow lift,2025-06-01\n2,di,kind staff,2025-06-02\n"


def test_two_exports_that_count_their_rows_are_four_posts(tmp_path: Path) -> None:
    write(tmp_path / "may.csv", MAY)
    write(tmp_path / "june.csv", JUNE)
    write(tmp_path / "june again.csv", JUNE.replace("slow lift", "slow lift, loud bar"))
    found = {post.native_id: post.text for post in posts(tmp_path)}
    assert sorted(found.values()) == ["cold pool", "fine", "kind staff", "slow lift"]


@pytest.mark.parametrize(
    ("row", "own"),
    [("7,,x,", "7"), ("1234567,ann,x,2025-05-01", "1234567"), ("r7,ann,x,2025-05-01", "r7")],
)
def test_an_id_is_believed_where_it_is_no_short_number_or_there_is_nothing_to_join(
    tmp_path: Path, row: str, own: str
) -> None:
    assert posts(write(tmp_path / "a.csv", f"id,author,text,date\n{row}\n"))[0].native_id == own


@pytest.mark.parametrize(("one", "other"), [("ann,2025-05-01", "bo,2025-05-01"), (",2025-05-01", ",2025-05-02")])
def test_author_and_date_are_joined_to_a_short_number_as_they_are_written(tmp_path: Path, one: str, other: str) -> None:
    write(tmp_path / "a.csv", f"id,author,date,text\n1,{one},x\n")
    write(tmp_path / "b.csv", f"id,author,date,text\n1,{other},x\n")
    found = [post.native_id for post in posts(tmp_path)]
    assert len(set(found)) == 2
    assert [post.native_id for post in posts(tmp_path, dayfirst=True, timezone="Asia/Tokyo")] == found


def test_a_file_that_an_earlier_version_began_keeps_its_ids(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", MAY)
    _, _, cursor = saved(pages(path))
    del cursor["files"][str(path)]["bare"]
    write(path, MAY.replace("cold", "icy") + "3,cy,fine,2025-05-03\n", age_s=30)
    later, _, cursor = saved(pages(path, cursor=cursor))
    assert [post.native_id for post in later] == ["1", "2", "3"]
    write(path, JUNE, age_s=20)
    write(tmp_path / "b.csv", JUNE)
    found = [post.native_id for post in posts(tmp_path, cursor=cursor)]
    assert found[:2] == ["1", "2"]
    assert not {"1", "2"} & set(found[2:])
