"""Importing files: every format, what is turned down and where that is said, and that nothing is read twice."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import string
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from importing import NOW, PAYLOADS, no_get, pages, posts, rejected, saved, touch, write
from pydantic import ValidationError

from listener.errors import Broken
from listener.records import Post, Rating
from listener.sources import files, rows
from listener.sources.files import PAGE_ROWS, Settings
from listener.sources.values import read_date, read_rating


@pytest.fixture
def payload(tmp_path: Path) -> Any:
    return lambda name: Path(shutil.copy(PAYLOADS / name, tmp_path / name))


# --- formats -----------------------------------------------------------------------------------------------------


def test_csv_with_quotes_line_breaks_and_bad_rows(payload: Any) -> None:
    path = payload("reviews.csv")
    found, skipped, _ = saved(pages(path))
    assert [post.native_id for post in found] == ["r1", "r2", "r3", "r6"]
    assert found[0] == Post(
        source="mine",
        native_id="r1",
        text="Quiet room, kind staff, and a bath you could swim in.",
        kind="review",
        author="marla_q",
        created_at=datetime(2025, 3, 4, 10, 15, tzinfo=UTC),
        rating=Rating(5),
    )
    assert found[1].text == "We waited 40 minutes for a key.\nThen the lift was out."
    assert found[2].text == 'She said "never again" and meant it'
    assert found[2].created_at is None
    assert found[3].created_at == datetime(2025, 3, 7, 21, 59, 59, tzinfo=UTC)
    assert skipped == {"no text": 1, "wrong number of columns": 1, "date not readable, post kept": 1}
    assert [(row["line"], row["reason"]) for row in rejected(path)] == [(7, "no text"), (8, "wrong number of columns")]
    assert rejected(path)[1]["raw"] == "r5,too,many,columns,in,this,row"


def test_a_german_excel_export_in_cp1252_with_semicolons_and_decimal_commas(payload: Any) -> None:
    first, second = posts(payload("semicolon-cp1252.csv"), timezone="Europe/Berlin")
    assert (first.title, first.text, first.author) == (
        "Schönes Haus",
        "Frühstück war großartig, Bett zu weich",
        "Jürgen",
    )
    assert first.rating == Rating(4.5)
    assert first.created_at == datetime(2025, 2, 3, 8, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    assert second.text == "Zimmer klein; Ausblick gut"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_decimal_comma_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    text = "Kommentar;Bewertung;Datum\r\nGemütlich, nur teuer (12 €);3,5;03.02.2025 08:30\r\n"
    (post,) = posts(write(tmp_path / "a.csv", text.encode(encoding)))
    assert (post.text, post.rating) == ("Gemütlich, nur teuer (12 €)", Rating(3.5))
    assert post.created_at == datetime(2025, 2, 3, 8, 30, tzinfo=UTC)


def test_tsv_and_utf_16(payload: Any) -> None:
    cold, hot = posts(payload("tabs.tsv"))
    assert cold.created_at == datetime(2025, 3, 9, tzinfo=UTC)
    assert (cold.rating, hot.rating) == (Rating(2), Rating(5))
    assert [post.text for post in posts(payload("utf16.csv"))] == ["Der Empfang war fröhlich", "東京の宿は静か"]


def test_json_lines_of_id_and_text(payload: Any) -> None:
    path = payload("posts.jsonl")
    found, skipped, _ = saved(pages(path))
    assert [post.native_id.partition("-")[0] for post in found] == ["7", "8", "11"]
    assert found[0].url == "https://example.com/t/7"
    assert found[1].text == "Room 12, top floor:\nno lift & no regrets"
    assert found[1].created_at == found[0].created_at + timedelta(milliseconds=123)
    assert (found[1].kind, found[2].lang, found[2].brand) == ("comment", "en", "Harbour & Pine")
    assert skipped == {"not valid JSON": 1, "not a JSON object": 1, "no text": 1}
    assert [row["line"] for row in rejected(path)] == [4, 5, 6]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", '[{"text": "one"}, {"text": "two"}]'),
        ("a.json", '{"count": 2, "data": {"items": [{"text": "one"}, {"text": "two"}]}}'),
        ("a.json", '{"text": "one"}\n{"text": "two"}\n'),  # JSON Lines by another name
        ("a.txt", '{"text": "one"}\n{"text": "two"}'),
        ("a.csv", "text\none\ntwo\n"),
        ("a.csv", "text,extra\r\none,\r\ntwo,x"),
        ("a.csv", "text|rating\none|1\ntwo|2\n"),
        ("a.csv", b"\xef\xbb\xbftext\rone\rtwo\r"),
        ("a.csv", "sep=;\ntext;x\none;1\ntwo;2"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_shapes_of_files(tmp_path: Path, name: str, content: str | bytes, packed: bool) -> None:
    raw = content.encode() if isinstance(content, str) else content
    path = write(tmp_path / (name + ".gz" * packed), gzip.compress(raw, mtime=0) if packed else raw)
    assert [post.text for post in posts(path)] == ["one", "two"]


def test_columns_are_named_where_a_guess_is_wrong(tmp_path: Path) -> None:
    path = write(tmp_path / "odd.csv", "What they said,Text\nthe bed was soft,internal note\n")
    assert posts(path, columns={"text": "What they said"})[0].text == "the bed was soft"
    nested = write(tmp_path / "n.jsonl", '{"commit": {"record": {"text": "deep down"}}}')
    assert posts(nested, columns={"text": "commit.record.text"})[0].text == "deep down"
    with pytest.raises(Broken, match=r"no column 'Gone'; there are: What they said, Text"):
        pages(path, columns={"text": "Gone"})
    with pytest.raises(ValidationError, match="did you mean 'rating'"):
        Settings(paths=[path], columns={"ratng": "Score"})


def test_commas_belong_to_the_text_of_a_file_of_one_column(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text\nsoft beds, hard bread\n")
    assert posts(path)[0].text == "soft beds, hard bread"


# --- values ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "iso"),
    [
        ("2025-06-03", "2025-06-03T00:00"), ("2025-06-03T10:20:30Z", "2025-06-03T10:20:30"),
        ("2025-06-03 10:20:30.5+02:00", "2025-06-03T08:20:30.500"), ("20250603", "2025-06-03T00:00"),
        ("1748945100", "2025-06-03T10:05"), ("1748945100000", "2025-06-03T10:05"),
        ("1748945100000000", "2025-06-03T10:05"), ("45811", "2025-06-03T00:00"), ("45811.5", "2025-06-03T12:00"),
        ("45811,4375", "2025-06-03T10:30"), ("Tue, 03 Jun 2025 10:00:00 +0200", "2025-06-03T08:00"),
        ("06/03/2025", "2025-06-03T00:00"), ("6/3/25 5:07 PM", "2025-06-03T17:07"), ("03.06.2025", "2025-06-03T00:00"),
        ("23/06/2025", "2025-06-23T00:00"), ("3 June 2025", "2025-06-03T00:00"), ("June 3rd, 2025", "2025-06-03T00:00"),
        ("3 Jun 2025 10:00:00 +0200", "2025-06-03T08:00"), ("03-Jun-2025 12:05 am", "2025-06-03T00:05"),
    ],
)  # fmt: skip
def test_dates_are_read(written: str, iso: str) -> None:
    assert read_date(written, zone=UTC, dayfirst=False, now=NOW) == datetime.fromisoformat(iso).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "soon",
        "13/13/2025",
        "2025-02-30",
        "99999999999999999999",
        "0",
        "2026-01-01",
        "1970-01-01",
        "32873",
        "99999",
        "+5",
        "x" * 500,
    ],
)
def test_what_is_no_date_or_lies_ahead_is_none(written: str) -> None:
    assert read_date(written, zone=UTC, dayfirst=False, now=NOW) is None


def test_day_first_and_the_zone_are_settings(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,date\nx,03/04/2025 00:30\n")
    assert posts(path)[0].created_at == datetime(2025, 3, 4, 0, 30, tzinfo=UTC)
    there = posts(path, dayfirst=True, timezone="Asia/Tokyo")[0]
    assert there.created_at == datetime(2025, 4, 2, 15, 30, tzinfo=UTC)
    assert posts(path)[0].native_id == there.native_id, "reading dates in another way must not double the posts"


@pytest.mark.parametrize(
    ("written", "rating"),
    [
        ("4", Rating(4)), ("4,5", Rating(4.5)), ("3.0", Rating(3)), ("8/10", Rating(8, 1, 10)),
        ("4.0 out of 5", Rating(4)), ("80 %", Rating(80, 0, 100)), ("FIVE", Rating(5)), ("★★★☆☆", Rating(3)),
        ("2 stars", Rating(2)), ("8", None), ("0", None), ("-1", None), ("great", None), ("", None), ("1/1", None),
        ("nan", None),
    ],
)  # fmt: skip
def test_ratings_are_read_on_their_scale(written: str, rating: Rating | None) -> None:
    assert read_rating(written, 1, 5) == rating


def test_the_scale_is_a_setting_and_must_make_sense(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,score\nx,87\n")
    assert posts(path, best=100, worst=0)[0].rating == Rating(87, 0, 100)
    found, skipped, _ = saved(pages(path))
    assert found[0].rating is None
    assert skipped == {"rating not readable or outside its scale, post kept": 1}
    with pytest.raises(ValidationError, match=r"best \(1\) must be more than worst"):
        Settings(paths=[path], best=1)


# --- what is turned down -----------------------------------------------------------------------------------------


def test_a_quotation_mark_never_closed_costs_its_own_line_only(tmp_path: Path) -> None:
    lines = ["id,text,stars", '1,"lost for words,5', *(f"{i},fine {i},4" for i in range(2, 900)), '900,"again"" open,2']
    path = write(tmp_path / "a.csv", "\n".join(lines) + '\n901,"good, truly",5\n')
    found, skipped, _ = saved(pages(path))
    assert [post.native_id for post in found] == [*map(str, range(2, 900)), "901"]
    assert skipped == {"unclosed quotation mark": 2}
    assert [row["line"] for row in rejected(path)] == [2, 901]


def test_an_undecodable_byte_costs_its_own_line_only(tmp_path: Path) -> None:
    good = "".join(f'{{"id": {i}, "text": "schön {i}"}}\n' for i in range(50)).encode()
    path = write(tmp_path / "a.jsonl", good + b'{"id": 50, "text": "sch\xf6n"}\n' + b'{"id": 51, "text": "ok"}\n')
    found, skipped, _ = saved(pages(path))
    assert len(found) == 51
    assert skipped == {"undecodable": 1}
    assert rejected(path)[0]["line"] == 51


def test_cp1252_is_noticed_where_the_first_umlaut_comes_late(tmp_path: Path) -> None:
    plain = "".join(f"{i},plain words to fill the head of the file\n" for i in range(3000))
    path = write(tmp_path / "a.csv", b"id,text\n" + plain.encode() + "x,schön spät\n".encode("cp1252"))
    assert posts(path)[-1].text == "schön spät"


def test_a_field_beyond_all_measure_costs_its_own_row_only(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", f"id,text\n1,{'x' * 200_000}\n2,fine\n")
    found, skipped, _ = saved(pages(path))
    assert ([post.native_id for post in found], skipped) == (["2"], {"field too long": 1})


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "colour,size\nred,4\n", "no column of it is known to hold the text; there are: colour, size"),
        ("a.json", "{not json", "not valid JSON"),
        ("a.json", '{"a": [], "b": []}', r"several lists \(a, b\)"),
        ("a.json", '{"a": 1}', "no list of posts"),
        ("a.json", "[" * 100_000, "not valid JSON"),
        ("a.csv", b"PK\x03\x04rest", "save the table as CSV"),
        ("a.csv.gz", gzip.compress(b"text\nx\n", mtime=0)[:-9], "cut off or damaged"),
        ("a.csv.gz", b"\x1f\x8bnonsense", "cut off or damaged"),
    ],
)
def test_what_is_no_table_is_broken_and_says_what_to_do(
    tmp_path: Path, name: str, content: str | bytes, said: str
) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(Broken, match=said) as caught:
        pages(path)
    assert str(path) in str(caught.value)


def test_a_json_document_over_the_cap_points_to_json_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "JSON_CAP", 2**20)
    path = write(tmp_path / "bomb.json.gz", gzip.compress(b"[" + b'{"text":"x"},' * 200_000 + b"0]", mtime=0))
    with pytest.raises(Broken, match="use JSON Lines"):
        pages(path)


def test_a_broken_file_does_not_keep_the_others_from_being_read(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "colour\nred\n")
    write(tmp_path / "b.csv", "text\nstill here\n")
    found = []
    with pytest.raises(Broken) as caught:
        for page in files.fetch(Settings(paths=[tmp_path, tmp_path / "gone.csv"]), None, no_get, NOW, "mine"):
            found += page.posts
    assert [post.text for post in found] == ["still here"]
    assert "gone.csv: there is no such file" in str(caught.value)
    assert "a.csv: no column" in str(caught.value)


def test_what_stood_before_the_damage_is_kept(tmp_path: Path) -> None:
    lines = "".join(f'{{"id": {i}, "text": "{os.urandom(40).hex()}"}}\n' for i in range(700))
    path = write(tmp_path / "a.jsonl.gz", gzip.compress(lines.encode())[:-2000])
    found = []
    with pytest.raises(Broken, match="cut off"):
        for page in files.fetch(Settings(paths=[path]), None, no_get, NOW, "mine"):
            found += page.posts
    assert 500 < len(found) < 700


# --- what was read before ----------------------------------------------------------------------------------------


def many(count: int, *, start: int = 0) -> str:
    """JSON Lines without ids: every third row says the same, every 50th cannot be read."""
    texts = ("the same again" if i % 3 == 0 else f"row {i}" for i in range(start, start + count))
    return "".join(
        "{half\n" if i % 50 == 49 else json.dumps({"text": text}) + "\n" for i, text in enumerate(texts, start)
    )


def test_a_finished_file_is_not_read_again(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", many(30))
    first, _, cursor = saved(pages(path))
    again = pages(path, cursor=cursor)
    assert len(first) == 30
    assert [(page.posts, page.unchanged, page.cursor) for page in again] == [((), True, cursor)]


@pytest.mark.parametrize("killed_after", [1, 2, 3])
def test_a_killed_import_goes_on_after_the_last_stored_page(tmp_path: Path, killed_after: int) -> None:
    path = write(tmp_path / "a.jsonl", many(3 * PAGE_ROWS + 17))
    whole, skipped, end = saved(pages(path))
    complete = rejected(path)
    before, lost, cursor = saved(pages(path, limit=killed_after))
    after, rest, finish = saved(pages(path, cursor=cursor))
    assert [*before, *after] == whole
    assert {reason: count + rest.get(reason, 0) for reason, count in lost.items()} == skipped
    assert finish == end
    assert rejected(path) == complete


def test_a_page_that_was_not_stored_leaves_no_doubles_in_the_side_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", many(2 * PAGE_ROWS))
    _, _, cursor = saved(pages(path, limit=1))
    pages(path, cursor=cursor, limit=1)  # this page was made, and the process died before it was stored
    pages(path, cursor=cursor)
    numbers = [row["row"] for row in rejected(path)]
    assert numbers == list(range(50, 2 * PAGE_ROWS + 1, 50))


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_an_appended_file_brings_its_new_rows_only(tmp_path: Path, name: str) -> None:
    def content(text: str) -> bytes:
        return gzip.compress(text.encode()) if name.endswith(".gz") else text.encode()

    path = write(tmp_path / name, content(many(70)))
    first, _, cursor = saved(pages(path))
    write(path, path.read_bytes() + content(many(60, start=70)), age_s=30)
    added, _, end = saved(pages(path, cursor=cursor))
    assert [*first, *added] == posts(path)
    assert len({post.native_id for post in (*first, *added)}) == len(first) + len(added)
    assert end["files"][str(path)]["rows"] == 130
    assert [row["row"] for row in rejected(path)] == [50, 100]


def test_a_csv_grows_too_and_its_last_line_may_come_in_halves(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "id,text\n1,one\n2,tw")
    first, _, cursor = saved(pages(path))
    write(path, "id,text\n1,one\n2,two\n3,three\n", age_s=30)
    assert [(post.native_id, post.text) for post in first] == [("1", "one"), ("2", "tw")]
    assert [(post.native_id, post.text) for post in posts(path, cursor=cursor)] == [("2", "two"), ("3", "three")]


@pytest.mark.parametrize("content", ['{"text": "other"}\n' * 9, '{"text": "b"}\n', '{"text": "c"}\n{"text": "d"}\n'])
def test_a_replaced_file_is_read_anew(tmp_path: Path, content: str) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": "a"}\n')
    _, _, cursor = saved(pages(path))
    write(path, content, age_s=30)
    assert posts(path, cursor=cursor) == posts(path)


def test_a_file_is_read_again_when_the_settings_say_something_else(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,note\nx,y\n")
    _, _, cursor = saved(pages(path))
    assert posts(path, cursor=cursor, columns={"text": "note"})[0].text == "y"


def test_identical_rows_are_two_posts_and_an_overlapping_export_adds_nothing(tmp_path: Path) -> None:
    first = posts(write(tmp_path / "june.csv", "author,text\nann,fine\nann,fine\nbo,fine\n"))
    later = posts(write(tmp_path / "july.csv", "author,text\nann,fine\nbo,fine\nann,fine\ncy,new\n"))
    assert len({post.native_id for post in first}) == 3
    new = {post.native_id for post in later} - {post.native_id for post in first}
    assert [post.author for post in later if post.native_id in new] == ["cy"]


@given(st.lists(st.sampled_from("abc"), max_size=40), st.integers(0, 40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_wherever_a_file_was_cut_the_ids_come_out_the_same(tmp_path: Path, texts: list[str], cut: int) -> None:
    lines = [f"{text},1\n" for text in texts]
    path = write(tmp_path / "a.csv", "text,rating\n" + "".join(lines[:cut]))
    first, _, cursor = saved(pages(path))
    write(path, "text,rating\n" + "".join(lines), age_s=30)
    rest = posts(path, cursor=cursor) if lines[cut:] else []
    assert [*first, *rest] == posts(path)
    assert len({post.native_id for post in (*first, *rest)}) == len(texts)


# --- folders -----------------------------------------------------------------------------------------------------


def test_a_watched_folder_takes_new_files_and_leaves_what_is_not_for_it(tmp_path: Path) -> None:
    folder, outside = tmp_path / "in", write(tmp_path / "secret.csv", "text\nnot yours\n")
    for name in ("a.csv", "b.JSONL.gz", ".hidden.csv", "notes.docx", "a.csv.rejected.jsonl", "young.csv"):
        content = '{"text": "b"}' if "json" in name.lower() else f"text\n{name}\n"
        write(folder / name, gzip.compress(content.encode()) if name.endswith("gz") else content)
    (folder / "link.csv").symlink_to(outside)
    touch(folder / "young.csv", 0.5)
    first, _, cursor = saved(pages(folder))
    assert [post.text for post in first] == ["a.csv", "b"]
    later = NOW + timedelta(seconds=5)
    assert [post.text for post in posts(folder, cursor=cursor, now=later)] == ["young.csv"]
    assert [post.text for post in posts(folder / "link.csv")] == ["not yours"], "named in full it is meant"
    assert [post.text for post in posts(folder / "young.csv")] == ["young.csv"], "named in full it does not wait"


def test_globs_and_a_file_named_twice(tmp_path: Path) -> None:
    for name in ("x/1.csv", "x/2.csv", "y/3.csv"):
        write(tmp_path / name, f"text\n{name}\n")
    assert [post.text for post in posts(tmp_path / "*" / "*.csv", tmp_path / "x" / "1.csv")] == [
        "x/1.csv", "x/2.csv", "y/3.csv",
    ]  # fmt: skip
    assert posts(tmp_path / "*.csv") == []


def test_an_empty_folder_is_empty_and_not_unchanged(tmp_path: Path) -> None:
    assert [(page.posts, page.unchanged) for page in pages(tmp_path)] == [((), False)]


def test_rejects_go_elsewhere_where_they_cannot_stand_by_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,stars\nx\n")
    path.with_name("a.csv.rejected.jsonl").mkdir()  # cannot be written, whoever asks
    assert pages(path)[0].skipped == {"wrong number of columns": 1}
    pages(path, rejects=tmp_path / "side")
    (side,) = (tmp_path / "side").iterdir()
    assert side.name.startswith("a.csv.")
    assert json.loads(side.read_text())["raw"] == "x"


def test_the_side_file_goes_when_the_file_is_mended(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,stars\nx\n")
    _, _, cursor = saved(pages(path))
    assert rejected(path)
    write(path, "text,stars\nx,4\n", age_s=30)
    assert [post.text for post in posts(path, cursor=cursor)] == ["x"]
    assert not path.with_name("a.csv.rejected.jsonl").exists()


# --- anything at all ---------------------------------------------------------------------------------------------

LIKELY = st.text(alphabet=string.ascii_letters + '",;\t|\n\r{}[]:\\é\x00 ', max_size=400).map(
    lambda text: ("text,rating\n" + text).encode()
)
JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["text", "id", "date", "rating", "author", "kind", "url", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(
    st.binary(max_size=600) | LIKELY | JSONISH.map(lambda value: json.dumps(value).encode()),
    st.sampled_from(["a.csv", "a.jsonl", "a.json", "a.tsv.gz", "a.txt"]),
    st.booleans(),
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_give_posts_or_broken(tmp_path: Path, content: bytes, name: str, packed: bool) -> None:
    path = write(tmp_path / name, gzip.compress(content, mtime=0) if packed else content)
    try:
        found, _, cursor = saved(pages(path))
    except Broken:
        return
    finally:
        path.with_name(path.name + ".rejected.jsonl").unlink(missing_ok=True)
    assert all(post.text and post.native_id for post in found)
    assert all(post.created_at is None or post.created_at.tzinfo is UTC for post in found)
    assert pages(path, cursor=cursor)[0].posts == ()
