"""Workbooks: typed cells, several sheets, column names anywhere, what is turned down, and files made to hurt."""

from __future__ import annotations

import gzip
import io
import json
import struct
import sys
import tracemalloc
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from importing import NOW, no_get, pages, posts, rejected, saved, write
from mutations import mutated
from python_calamine import CalamineWorkbook
from workbook import archive, excel_days, letters, shared_strings, sheet_xml, workbook

from listener.errors import Broken, Disabled
from listener.records import Rating
from listener.sources import extents, files, workbooks
from listener.sources.files import PAGE_ROWS, Settings

HEAD = ["Id", "Review text", "Rating", "Date", "Author"]
STAY = [
    HEAD,
    [4410001, "A bath to swim in", 4.5, datetime(2025, 3, 4, 10, 15), "Marla"],
    [4410002, "Thin walls", 2, date(2025, 3, 5), "Ted"],
]
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def sheet(cells: str, *, head: str = "") -> str:
    return f'{head}<worksheet xmlns="{MAIN}"><sheetData>{cells}</sheetData></worksheet>'


def one_sheet(cells: str, *, strings: str = "", head: str = "") -> bytes:
    parts = {"xl/worksheets/sheet1.xml": sheet(cells, head=head)}
    if strings:
        parts["xl/sharedStrings.xml"] = strings
    return workbook({"S": []}, parts=parts)


# --- what is in a workbook ---------------------------------------------------------------------------------------


def test_cells_come_typed(tmp_path: Path) -> None:
    bath, walls = posts(write(tmp_path / "a.xlsx", workbook({"Stays": STAY})), timezone="Europe/Berlin")
    assert (bath.native_id, bath.text, bath.author) == ("4410001", "A bath to swim in", "Marla")
    assert (bath.rating, walls.rating) == (Rating(4.5), Rating(2))
    assert bath.created_at == datetime(2025, 3, 4, 10, 15, tzinfo=ZoneInfo("Europe/Berlin"))
    assert walls.created_at == datetime(2025, 3, 4, 23, tzinfo=UTC), "a day begins at midnight there"


def test_values_that_were_typed_as_text_or_lost_their_format(tmp_path: Path) -> None:
    rows = [
        ["Text", "Rating", "Date"],
        ["one", "4,5", "05.03.2025 08:30"],
        ["two", "8/10", excel_days(datetime(2025, 3, 5, 12))],
        ["three", True, "soon"],
        [12, None, None],
    ]
    found, skipped, _ = saved(pages(write(tmp_path / "a.xlsx", workbook({"S": rows}))))
    assert [post.text for post in found] == ["one", "two", "three", "12"]
    assert [post.rating for post in found] == [Rating(4.5), Rating(8, 1, 10), None, None]
    assert [post.created_at and post.created_at.hour for post in found] == [8, 12, None, None]
    assert skipped == {"date not readable, post kept": 1}


def test_the_column_names_need_not_come_first_nor_at_the_left(tmp_path: Path) -> None:
    rows = [["Feedback"], ["Harbour & Pine, March 2025"], [], [None, "printed", datetime(2025, 4, 1)], [], *STAY]
    path = write(tmp_path / "a.xlsx", workbook({"S": rows}, left=27))
    assert [post.native_id for post in posts(path)] == ["4410001", "4410002"]


def test_every_sheet_is_read_that_is_shown_and_fits(tmp_path: Path) -> None:
    sheets = {
        "Summary": [["Month", "Nights"], ["March", 212]],
        "March": STAY,
        "April": [["text", "stars"], ["Sea at the door", 5]],
        "Lists": [["text"], ["not to be seen"]],
        "Empty": [],
    }
    path = write(tmp_path / "a.xlsx", workbook(sheets, hidden=["Lists"]))
    found, skipped, _ = saved(pages(path))
    assert [post.text for post in found] == ["A bath to swim in", "Thin walls", "Sea at the door"]
    assert skipped == {"sheet without a column for the text": 1}
    why = "sheet without a column for the text"
    assert rejected(path) == [{"row": 4, "sheet": "Summary", "line": 1, "reason": why, "raw": ["Month", "Nights"]}]


def test_a_row_that_is_turned_down_is_told_by_sheet_and_row(tmp_path: Path) -> None:
    rows = [["House", 7], HEAD, *STAY[1:], [4410003, None, 5, date(2025, 3, 6), "Bo"], [], [4410004, "Fine", 4]]
    path = write(tmp_path / "a.xlsx", workbook({"First": STAY, "Second": rows}))
    found, skipped, _ = saved(pages(path))
    assert len(found) == 5 and skipped == {"no text": 1}
    (row,) = rejected(path)
    assert (row["sheet"], row["line"], row["row"], row["reason"]) == ("Second", 5, 5, "no text")
    assert row["raw"] == [4410003, "", 5, "2025-03-06", "Bo"]


def test_columns_of_one_name_and_columns_without(tmp_path: Path) -> None:
    rows = [["text", None, "text", "stars"], ["counts", "a note", "does not", 4], [None, "a note alone"]]
    found, skipped, _ = saved(pages(write(tmp_path / "a.xlsx", workbook({"S": rows}))))
    assert [post.text for post in found] == ["counts"] and skipped == {"no text": 1}


def test_columns_are_named_where_a_guess_is_wrong(tmp_path: Path) -> None:
    rows = [["Guests"], ["What they said", "Text"], ["the bed was soft", "internal note"]]
    path = write(tmp_path / "a.xlsx", workbook({"S": rows}))
    assert posts(path, columns={"text": "What they said"})[0].text == "the bed was soft"
    with pytest.raises(Broken, match=r"sheet 'S': there is no column 'Gone'; there are: What they said, Text"):
        pages(path, columns={"text": "Gone"})


def test_presets_hold_for_workbooks_too(tmp_path: Path) -> None:
    rows = [["Positive review", "Negative review", "Review score"], ["Breakfast", "", "8,0"], ["", "Damp", 4.5]]
    first, second = posts(write(tmp_path / "a.xlsx", workbook({"S": rows})))
    assert (first.text, first.rating) == ("Liked: Breakfast", Rating(8, best=10))
    assert (second.text, second.rating) == ("Disliked: Damp", Rating(4.5, best=10))


SHARED = '<row r="1"><c r="A1" t="s"><v>0</v></c>{}</row><row r="2"><c r="A2" t="s"><v>1</v></c></row>{}'


@pytest.mark.parametrize(
    "cells",
    [
        '<row><c t="inlineStr"><is><t>text</t></is></c></row>'
        '<row><c t="inlineStr"><is><r><t>fi</t></r><r><t>ne</t></r></is></c></row>',
        '<row r="7"><c r="C7" t="str"><v>text</v></c></row><row r="9"><c r="C9" t="str"><f>A1</f><v>fine</v></c></row>',
        SHARED.format("", ""),
        SHARED.format('<c r="XFD1" s="1"/>', '<row r="1048576" ht="9"><c r="A1048576" s="2"/></row>'),
    ],
    ids=["inline strings", "formulas", "shared strings", "formats far away"],
)
def test_as_other_programs_write_them(tmp_path: Path, cells: str) -> None:
    rich = "<x:r><x:t>fi</x:t></x:r><x:r><x:t>ne</x:t></x:r>"
    strings = f'<x:sst xmlns:x="{MAIN}"><x:si><x:t>text</x:t></x:si><x:si>{rich}</x:si></x:sst>'
    path = write(tmp_path / "a.xlsm", one_sheet(cells, strings=strings))
    assert [post.text for post in posts(path)] == ["fine"]


# --- what was read before ----------------------------------------------------------------------------------------


def test_importing_again_adds_nothing_and_a_later_export_only_what_is_new(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xlsx", workbook({"S": STAY}))
    first, _, cursor = saved(pages(path))
    assert [(page.posts, page.unchanged) for page in pages(path, cursor=cursor)] == [((), True)]
    write(path, workbook({"S": [*STAY, [4410005, "New", 3, date(2025, 3, 7), "Cy"]]}), age_s=30)
    again = posts(path, cursor=cursor)
    assert [post.native_id for post in again] == [*(post.native_id for post in first), "4410005"]


def test_rows_without_ids_are_known_by_what_they_say(tmp_path: Path) -> None:
    rows = [["text", "stars"], ["fine", 4], ["fine", 4], ["loud", 2]]
    first = posts(write(tmp_path / "a.xlsx", workbook({"S": rows})))
    later = posts(write(tmp_path / "b.xlsx", workbook({"New name": [["A title"], *rows, ["new", 5]]})))
    assert len({post.native_id for post in first}) == 3
    assert [post.text for post in later if post.native_id not in {known.native_id for known in first}] == ["new"]


def test_a_killed_import_goes_on_after_the_last_stored_page(tmp_path: Path) -> None:
    rows: list[list[Any]] = [["text"], *([f"row {n}"] for n in range(2 * PAGE_ROWS))]
    path = write(tmp_path / "a.xlsx", workbook({"A": rows[: PAGE_ROWS + 9], "B": [rows[0], *rows[PAGE_ROWS + 9 :]]}))
    whole, _, end = saved(pages(path))
    before, _, cursor = saved(pages(path, limit=1))
    after, _, finish = saved(pages(path, cursor=cursor))
    assert [*before, *after] == whole and len(whole) == 2 * PAGE_ROWS
    assert finish == end


def test_a_watched_folder_takes_workbooks_but_not_excels_locks(tmp_path: Path) -> None:
    write(tmp_path / "a.XLSX", workbook({"S": STAY}))
    write(tmp_path / "~$a.xlsx", b"\x07Marla")
    assert len(posts(tmp_path)) == 2


# --- what cannot be read -----------------------------------------------------------------------------------------


def test_without_the_package_it_is_disabled_and_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    write(tmp_path / "a.xlsx", workbook({"S": STAY}))
    write(tmp_path / "b.csv", "text\nstill here\n")
    found = []
    with pytest.raises(Disabled, match=r"pip install 'listener-daemon\[xlsx\]'"):
        for page in files.fetch(Settings(paths=[tmp_path]), None, no_get, NOW, "mine"):
            found += page.posts
    assert [post.text for post in found] == ["still here"]
    write(tmp_path / "c.csv", "colour\nred\n")
    with pytest.raises(Broken, match=r"(?s)listener-daemon.*no column of it"):
        pages(tmp_path)


def far_apart() -> bytes:
    return one_sheet('<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>2</v></c></row>')


def far_apart_without_addresses() -> bytes:
    rows = '<row r="9999"/>' + "<row><c><v>1</v></c></row>" * 2
    return one_sheet(rows + f'<row r="1048000"><c r="{letters(600)}1048000"><v>2</v></c></row>')


def one_string_everywhere() -> bytes:
    cells = "".join(f'<row r="{n}"><c r="A{n}" t="s"><v>0</v></c></row>' for n in range(1, 2000))
    return one_sheet(cells, strings=f'<sst xmlns="{MAIN}"><si><t>{"x" * 200_000}</t></si></sst>')


def parts_that_hide_each_other() -> bytes:
    return archive({"xl/workbook.xml": "<workbook/>", "XL/Workbook.xml": "<workbook/>"})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (far_apart(), r"1,048,576 rows and 16,384 columns.*save the table as CSV"),
        (far_apart_without_addresses(), r"1,048,000 rows and 601 columns"),
        (one_string_everywhere(), r"more than 256 million characters.*save the table as CSV"),
        (one_sheet("", head='<!DOCTYPE w [<!ENTITY a "b">]>'), "damaged"),
        (one_sheet('<row r="1"><c r="A1"><v>1</c></row>'), "damaged"),
        (one_sheet('<row r="1"><c r="1A"><v>1</v></c></row>'), "damaged"),
        (one_sheet('<row r="one"><c><v>1</v></c></row>'), "damaged"),
        (one_sheet('<row r="1"><c r="A1" t="s"><v>7</v></c></row>'), "damaged"),
        (workbook({"S": STAY}, parts={"xl/workbook.xml": "<workbook/>"}), "no sheet of it holds anything"),
        (parts_that_hide_each_other(), "damaged"),
        (workbook({"S": STAY})[:-40], "an archive, a spreadsheet other than XLSX"),
        (archive({"content.xml": "<office/>", "mimetype": "application/vnd.oasis"}), "other than XLSX"),
        (gzip.compress(workbook({"S": STAY}), mtime=0), "other than XLSX"),
        (b"\xd0\xcf\x11\xe0" + bytes(600), "an old Excel file, or one with a password"),
        (workbook({"Only": [["Month", "Nights"], ["March", 2]]}), "sheet 'Only': no column of it is known"),
        (workbook({"S": []}), "no sheet of it holds anything"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_what_is_damaged_or_made_to_hurt_is_broken(tmp_path: Path, content: bytes, said: str) -> None:
    path = write(tmp_path / "a.xlsx", content)
    with pytest.raises(Broken, match=said) as caught:
        pages(path)
    assert str(path) in str(caught.value)


def test_a_date_beyond_all_time_breaks_the_sheet_and_not_the_program(tmp_path: Path) -> None:
    rows = [["text", "date"], *([f"row {n}", date(2025, 3, 4)] for n in range(40)), ["last", 12345.0]]
    shared: dict[str, int] = {}
    part = sheet_xml(rows, shared).replace("12345.0", "-1e400").replace('<c r="B42"', '<c r="B42" s="1"')
    parts = {"xl/worksheets/sheet1.xml": part, "xl/sharedStrings.xml": shared_strings(shared)}
    content = workbook({"S": []}, parts=parts)
    found = []
    with pytest.raises(Broken, match="damaged"):  # Rust panics, which is no Exception
        for page in files.fetch(Settings(paths=[write(tmp_path / "a.xlsx", content)]), None, no_get, NOW, "mine"):
            found += page.posts
    assert len(found) == 40, "what stood before the damage is kept"


def test_parts_beyond_the_cap_are_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbooks, "UNPACKED_CAP", 2**20)
    path = write(tmp_path / "a.xlsx", one_sheet(" " * 2**21))
    with pytest.raises(Broken, match="more than 1 MiB unpacked; save the table as CSV"):
        pages(path)
    picture = workbook({"S": STAY}, parts={"xl/media/image1.png": "x" * 2**21})
    assert len(posts(write(tmp_path / "b.xlsx", picture))) == 2, "pictures are no part of what is read"


def understated(packed: bytes, name: str, size: int) -> bytes:
    """The archive with another size stated for a part, in both places where it stands."""
    for magic, skip in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = -1
        while (start := packed.find(magic, start + 1)) >= 0:
            named = start + (30 if magic == b"PK\x03\x04" else 46)
            if packed[named : named + len(name)] == name.encode():
                packed = packed[: start + skip] + struct.pack("<I", size) + packed[start + skip + 4 :]
    return packed


def test_a_part_that_is_larger_than_it_says_is_not_unpacked_whole(tmp_path: Path) -> None:
    bomb = understated(one_sheet(" " * 200_000_000), "xl/worksheets/sheet1.xml", 5000)
    path = write(tmp_path / "a.xlsx", bomb)
    assert len(bomb) < 400_000
    pages_of = files.fetch(Settings(paths=[path]), None, no_get, NOW, "mine")
    tracemalloc.start()
    try:
        with pytest.raises(Broken, match="damaged"):
            list(pages_of)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000


def test_the_measure_sees_every_cell_that_room_is_made_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """With addresses and without, the last cell stands in row 4 and column F."""
    cells = '<row r="3"><c r="B3"><v>1</v></c><c><v>2</v></c></row><row><c r="E4" s="1"/><c><v>3</v></c></row>'
    with CalamineWorkbook.from_filelike(io.BytesIO(one_sheet(cells))) as book:
        assert book.get_sheet_by_index(0).end == (3, 5)
    monkeypatch.setattr(extents, "CELLS_CAP", 4 * 6)
    extents.measure([sheet(cells).encode()])
    monkeypatch.setattr(extents, "CELLS_CAP", 4 * 6 - 1)
    with pytest.raises(extents.TooLarge, match="4 rows and 6 columns"):
        extents.measure([sheet(cells).encode()])


# --- anything at all ---------------------------------------------------------------------------------------------

WHOLE = workbook({"Stays": STAY, "More": [["text", "date"], ["again", date(2025, 3, 9)]]})
SHEET = sheet(
    '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" s="1"><v>45811.5</v></c></row>'
    '<row r="2"><c r="A2"><v>4</v></c></row>'
)


def holds_or_is_broken(path: Path) -> None:
    try:
        found, _, cursor = saved(pages(path))
    except Broken:
        return
    finally:
        path.with_name(path.name + ".rejected.jsonl").unlink(missing_ok=True)
    assert all(post.text and post.native_id for post in found)
    assert all(post.created_at is None or post.created_at.tzinfo is UTC for post in found)
    assert pages(path, cursor=cursor)[0].posts == ()


@given(mutated(WHOLE))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_give_posts_or_broken(tmp_path: Path, content: bytes) -> None:
    holds_or_is_broken(write(tmp_path / "a.xlsx", content))


@given(
    st.sampled_from(["xl/worksheets/sheet1.xml", "xl/sharedStrings.xml", "xl/styles.xml", "xl/workbook.xml"]),
    mutated(SHEET.encode()) | mutated(b"<sst><si><t>text</t></si></sst>") | st.binary(max_size=60),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_any_part_gives_posts_or_broken(tmp_path: Path, name: str, part: bytes) -> None:
    content = workbook({"S": STAY}, parts={name: part})  # type: ignore[dict-item]
    holds_or_is_broken(write(tmp_path / "a.xlsx", content))


TEXTS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Zs")), max_size=12)
CELLS = (
    st.none() | st.booleans() | TEXTS | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
    | st.datetimes(datetime(1990, 1, 2), datetime(2025, 10, 31)).map(lambda moment: moment.replace(microsecond=0))
)  # fmt: skip


@given(st.lists(st.tuples(TEXTS, CELLS, CELLS, CELLS), max_size=15), st.integers(0, 30), st.integers(0, 9))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_row_is_a_post_or_turned_down(tmp_path: Path, rows: list[tuple[Any, ...]], left: int, above: int) -> None:
    table = [*([[]] * above), ["Text", "Rating", "Date", "Author"], *map(list, rows)]
    path = write(tmp_path / "a.xlsx", workbook({"S": table}, left=left))
    found, skipped, _ = saved(pages(path))
    turned_down = rejected(path)
    assert len(found) == sum(bool(row[0].strip()) for row in rows)
    assert len(turned_down) == skipped.get("no text", 0)
    assert all(not table[row["line"] - 1][0].strip() for row in turned_down)
    moments = [post.created_at.replace(tzinfo=None) for post in found if post.created_at]
    for text, _, moment, _ in rows:
        if isinstance(moment, datetime) and text.strip():
            assert any(abs(read - moment) < timedelta(seconds=1) for read in moments)
    json.dumps(turned_down)
