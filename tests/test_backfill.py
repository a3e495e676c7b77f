"""Archives to Parquet: every form and packing, each row once whatever dies, damage told, and DuckDB reading it."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from listener import engine
from listener.archives import Done, Input, Job, reading
from listener.archives.scoring import Scorer, work
from listener.cli import main
from listener.config import ModelSettings
from listener.scoring import score_lines
from listener.sources.files import Settings
from listener.tables.rows import Privacy

duckdb = pytest.importorskip("duckdb")
pa = pytest.importorskip("pyarrow")
zstandard = pytest.importorskip("zstandard")
pq = pytest.importorskip("pyarrow.parquet")

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
TEXTS = (
    "Checked in an hour ago, the room smells of smoke",
    "Which of the two hotels near the harbour would you take with children?",
    "Booked! Three nights in May",
    "The staff remembered our names, we will be back",
    "Es war sehr laut, und das Frühstück war kalt",
)


def rows(number: int, start: int = 0) -> list[dict[str, Any]]:
    """Posts of three days, 23:30 UTC of the last being a fourth one in Oslo."""
    return [
        {
            "id": f"p{n}",
            "text": f"{TEXTS[n % len(TEXTS)]} ({n})",
            "author": f"guest {n % 7}",
            "date": (datetime(2026, 11, 20, 23, 30, tzinfo=UTC) - timedelta(days=n % 3)).isoformat(),
            "rating": 1 + n % 5,
        }
        for n in range(start, start + number)
    ]


def lines(posts: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(post).encode() + b"\n" for post in posts)


def as_csv(posts: list[dict[str, Any]]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(posts[0]))
    writer.writeheader()
    writer.writerows(posts)
    return out.getvalue().encode()


def as_parquet(posts: list[dict[str, Any]], path: Path) -> None:
    dated = [post | {"date": datetime.fromisoformat(post["date"])} for post in posts]
    pq.write_table(pa.Table.from_pylist(dated), path, row_group_size=100)


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "listener.toml").write_text('timezone = "Europe/Oslo"\ndatabase = "listener.db"\n')
    return tmp_path


def listener(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, f"{result.output}\n{result.stderr}\n{result.exception!r}"
    return result


def backfill(*inputs: str, code: int = 0, out: str = "out") -> dict[str, Any]:
    told = listener("backfill", *inputs, out, "--source", "old", "--workers", "1", "--json", code=code)
    report: dict[str, Any] = json.loads(told.stdout)
    return report


def stored(columns: str = "native_id", out: str = "out") -> list[tuple[Any, ...]]:
    """What DuckDB reads in place."""
    found: list[tuple[Any, ...]] = duckdb.sql(
        f"SELECT {columns} FROM '{out}/day=*/*.parquet' ORDER BY archive, line"
    ).fetchall()
    return found


def test_every_form_and_packing_comes_out_row_for_row(at: Path) -> None:
    posts = rows(60)
    two_frames = zstandard.compress(lines(posts[30:35])) + zstandard.compress(lines(posts[35:40]))
    (at / "in" / "deep").mkdir(parents=True)
    (at / "in" / "a.jsonl").write_bytes(lines(posts[:10]))
    (at / "in" / "b.jsonl.gz").write_bytes(gzip.compress(lines(posts[10:20])))
    (at / "in" / "c.csv").write_bytes(as_csv(posts[20:30]))
    (at / "in" / "d.jsonl.zst").write_bytes(two_frames)
    (at / "in" / "deep" / "e.json").write_text(json.dumps(posts[40:50]))
    as_parquet(posts[50:], at / "in" / "f.parquet")
    (at / "in" / ".hidden.jsonl").write_bytes(lines(rows(1, 900)))
    (at / "in" / "notes.md").write_text("not a table")
    report = backfill("in/*.jsonl*", "in/*.csv", "in/*.parquet", "in/**/*.json", "in")  # some are meant twice
    assert (report["rows_in"], report["rows_out"], report["skipped"]) == (60, 60, {})
    assert report["files"] == {"done": 6, "damaged": 0, "before": 0, "failed": 0}
    found = stored("native_id, text, rating_value, epoch_ms(created_at), day::text")
    assert [row[:3] for row in found] == [(post["id"], post["text"], post["rating"]) for post in posts]
    assert [row[3] for row in found] == [datetime.fromisoformat(post["date"]).timestamp() * 1000 for post in posts]
    assert Counter(row[4] for row in found) == {"2026-11-21": 20, "2026-11-20": 20, "2026-11-19": 20}  # Oslo's days
    modes = {path.stat().st_mode & 0o777 for path in (at / "out").rglob("*") if path.is_file()}
    assert modes <= {0o600, 0o644} and all(p.stat().st_mode & 0o77 == 0 for p in (at / "out").rglob("*.parquet"))


def test_verdicts_are_those_of_classify_file(at: Path) -> None:
    posts = rows(12)
    (at / "a.jsonl").write_bytes(lines(posts))
    backfill("a.jsonl")
    out = io.StringIO()
    kinds = [json.dumps({**post, "kind": "review"}).encode() for post in posts]  # what has a rating is one
    score_lines(kinds, out, engine.load(ModelSettings()), print)
    said = [json.loads(line) for line in out.getvalue().splitlines()]
    columns = list(said[0])[1:]
    for found, verdict in zip(stored(", ".join(columns)), said, strict=True):
        told = dict(zip(columns, found, strict=True))
        for name in ("moments", "sentiments"):
            assert told.pop(name) == pytest.approx(verdict.pop(name), abs=1e-5)
        for name in ("score", "confidence"):
            assert told.pop(name) == pytest.approx(verdict.pop(name), abs=1e-5)
        assert told == {name: verdict[name] for name in told}


def test_authors_are_hashed_as_the_store_hashes_them(at: Path) -> None:
    (at / "a.jsonl").write_bytes(lines(rows(3)))
    backfill("a.jsonl")
    privacy = Privacy("hash", (at / "listener.key").read_bytes())
    assert stored("author") == [(privacy.author("old", f"guest {n}"),) for n in range(3)]
    assert b"guest" not in b"".join(path.read_bytes() for path in (at / "out").rglob("*.parquet"))


def test_done_files_are_left_alone_and_changed_ones_replaced(at: Path) -> None:
    (at / "a.jsonl").write_bytes(lines(rows(20)))
    (at / "b.jsonl").write_bytes(lines(rows(5, 100)))
    backfill("*.jsonl")
    again = backfill("*.jsonl")
    assert (again["scored_now"], again["rows_out"], again["files"]["before"]) == (0, 25, 2)
    (at / "a.jsonl").write_bytes(lines(rows(2, 50)))  # fewer rows, and days that had parts have none now
    changed = backfill("*.jsonl")
    assert (changed["scored_now"], changed["files"]) == (2, {"done": 1, "damaged": 0, "before": 1, "failed": 0})
    assert [row[0] for row in stored()] == ["p50", "p51", "p100", "p101", "p102", "p103", "p104"]
    listener("backfill", "*.jsonl", "out", "--source", "old", "--brand", "Harbour")  # read in another way
    assert set(stored("brand")) == {("Harbour",)} and len(stored()) == 7


def test_bad_rows_are_counted_with_their_place_and_damaged_files_cost_nothing_else(at: Path) -> None:
    posts = rows(30)
    (at / "bad.jsonl").write_bytes(lines(posts[:3]) + b'{"id": 1}\nnot json\n[1]\n' + lines(posts[3:5]))
    packed = gzip.compress(lines(rows(600, 1000)), 1)
    (at / "cut.jsonl.gz").write_bytes(packed[: len(packed) * 3 // 4])
    frame = zstandard.compress(lines(rows(100, 5000)))
    (at / "half.jsonl.zst").write_bytes(frame + frame[: len(frame) // 2])
    (at / "torn.parquet").write_bytes(b"PAR1 and nothing of it")
    (at / "good.jsonl").write_bytes(lines(posts[5:]))
    report = backfill("*.jsonl*", "torn.parquet", "gone.jsonl", code=1)
    assert report["skipped"] == {"no text": 1, "not valid JSON": 1, "not a JSON object": 1}
    assert report["files"] == {"done": 2, "damaged": 3, "before": 0, "failed": 1}
    assert report["rows_in"] == report["rows_out"] + 3
    troubles = " ".join(f"{each['why']}" for each in report["troubles"])
    for name in ("cut.jsonl.gz", "half.jsonl.zst", "torn.parquet", "gone.jsonl"):
        assert name in troubles
    (rejects,) = report["rejects"]
    assert [json.loads(line)["line"] for line in Path(rejects).read_text().splitlines()] == [4, 5, 6]
    by_file = Counter(Path(row[0]).name for row in stored("archive"))
    assert by_file["bad.jsonl"] == 5 and by_file["good.jsonl"] == 25
    assert 100 <= by_file["half.jsonl.zst"] < 200 and 200 < by_file["cut.jsonl.gz"] < 600
    shown = listener("backfill", "*.jsonl*", "out", "--source", "old", code=1)  # unchanged, and still said
    assert "cut off or damaged" in shown.stderr and "1 × no text" in shown.stderr and "0 scored now" in shown.stderr
    (at / "cut.jsonl.gz").write_bytes(packed)
    assert backfill("cut.jsonl.gz")["rows_out"] == 600
    assert Counter(Path(row[0]).name for row in stored("archive"))["cut.jsonl.gz"] == 600


def test_its_own_result_is_not_taken_for_an_archive(at: Path) -> None:
    (at / "a.jsonl").write_bytes(lines(rows(2)))
    backfill("a.jsonl")
    report = backfill("out", code=1, out="twice")
    assert "`listener import` takes its folder" in report["troubles"][0]["why"]
    beside = backfill(".")  # the result lies in the folder that is read
    assert (beside["files"]["before"], beside["troubles"]) == (1, [])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a.jsonl", "out"], "--source"),
        (["nowhere://bucket/a.jsonl", "out", "--source", "x"], "nowhere"),
        (["a.csv", "out", "--source", "x", "--column", "text=nope"], "there is no column 'nope'"),
        (["a.csv", "out", "--source", "x", "--column", "texd=body"], "texd"),
    ],
)
def test_what_cannot_be_done_is_said(at: Path, arguments: list[str], said: str) -> None:
    (at / "a.csv").write_text("id,body\n1,Lovely\n")
    result = CliRunner().invoke(main, ["backfill", *arguments])
    assert result.exit_code in (1, 2) and said in result.stderr and "Traceback" not in result.stderr


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is here")
def test_without_ray_it_says_what_to_install(at: Path) -> None:
    (at / "a.jsonl").write_bytes(lines(rows(1)))
    said = listener("backfill", "a.jsonl", "out", "--source", "old", "--engine", "ray", code=1).stderr
    assert "listener-daemon[archives,ray]" in said and "Traceback" not in said


# --- what dies on the way ---


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "listener", "backfill", *arguments, "--source", "old", "--json"]
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    return subprocess.Popen(
        command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's "&" has it ignored by all below
    )  # fmt: skip


def test_kill_9_at_any_moment_and_again_gives_each_row_once(at: Path) -> None:
    expected = []
    for number in range(6):
        posts = rows(90, 1000 * number)
        expected += [post["id"] for post in posts]
        (at / f"{number}.jsonl").write_bytes(lines(posts))
    delays = random.Random(2026)
    for _ in range(3):
        running = start(at, "*.jsonl", "out", "--workers", "2")
        time.sleep(delays.uniform(0.7, 2.0))
        running.send_signal(signal.SIGKILL)
        running.communicate()  # returns when the workers have closed their ends too: none stays behind
    report = json.loads(start(at, "*.jsonl", "out", "--workers", "2").communicate(timeout=60)[0])
    assert (report["rows_in"], report["rows_out"]) == (540, 540)
    assert [row[0] for row in stored()] == expected
    assert not list((at / "out" / "_backfill").glob("tmp-*"))


def scoring(running: subprocess.Popen[str]) -> list[Any]:
    """The two workers of a backfill, once they have their models."""
    import psutil

    end = time.monotonic() + 60
    while time.monotonic() < end:
        workers = [each for each in psutil.Process(running.pid).children() if "spawn_main" in " ".join(each.cmdline())]
        if len(workers) == 2 and all(each.memory_info().rss > 100 * 2**20 for each in workers):
            return workers
        time.sleep(0.05)
    raise AssertionError("the workers did not begin")


def test_ctrl_c_ends_at_once_with_its_workers_and_the_next_run_goes_on(at: Path) -> None:
    (at / "a.jsonl").write_bytes(lines(rows(1100)))
    (at / "b.jsonl").write_bytes(lines(rows(1100, 2000)))
    running = start(at, "*.jsonl", "out", "--workers", "2")
    workers = scoring(running)
    running.send_signal(signal.SIGINT)
    assert "stopped" in running.communicate(timeout=30)[1] and running.returncode == 130
    for worker in workers:
        worker.wait(timeout=5)
    (at / "a.jsonl").write_bytes(lines(rows(3)))
    (at / "b.jsonl").write_bytes(lines(rows(3, 2000)))
    assert backfill("*.jsonl")["rows_out"] == 6 and len(stored()) == 6


def test_a_worker_that_is_killed_costs_nothing(at: Path) -> None:
    posts = rows(1100)
    (at / "a.jsonl").write_bytes(lines(posts))
    running = start(at, "a.jsonl", "out", "--workers", "2")
    scoring(running)[0].kill()
    out, errors = running.communicate(timeout=90)
    assert running.returncode == 0, errors
    assert json.loads(out)["rows_out"] == 1100
    assert [row[0] for row in stored()] == [post["id"] for post in posts]


# --- whatever stands in a file ---


def job(output: str, **fields: Any) -> Job:
    usual = ModelSettings()
    made = Job(
        output, "old", "", Settings(paths=[Path()]), usual, engine.name(usual), Privacy("drop", b""),
        ZoneInfo("Europe/Oslo"), NOW,
    )  # fmt: skip
    return replace(made, **fields)


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer(job("memory://none"))


def scored(address: str, scorer: Scorer, output: str = "memory://out") -> Done:
    ((item,), lost) = reading.find([address])
    assert not lost
    return work(item, job(output), lambda batches: map(scorer.score, batches))


@settings(max_examples=25)
@given(
    name=st.sampled_from(("a.jsonl", "a.csv", "a.json", "a.jsonl.gz", "a.jsonl.zst", "a.parquet", "a.txt")),
    content=st.one_of(
        st.binary(max_size=300),
        st.lists(st.dictionaries(st.sampled_from(("id", "text", "date", "rating")), st.text(max_size=12))).map(
            lambda found: lines(found)
        ),
    ),
)
def test_whatever_a_file_holds_rows_in_are_rows_out_and_left_out(name: str, content: bytes, scorer: Scorer) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.store.clear()
    if name.endswith(".gz"):
        content = gzip.compress(content)
    if name.endswith(".zst"):
        content = zstandard.compress(content)
    memory.pipe_file(f"/in/{name}", content)
    done = scored(f"memory://in/{name}", scorer)
    assert done.rows_in == done.rows_out + sum(done.skipped.values())
    parts = [path for path in memory.find("/out") if path.endswith(".parquet")]
    assert sum(pq.read_table(io.BytesIO(memory.cat_file(path))).num_rows for path in parts) == done.rows_out
    # As text: a separator of files (0x1c) is white space there, and is none in bytes.
    assert done.trouble or done.rows_in or not content.decode("utf-8", "replace").strip() or name != "a.jsonl"


def test_a_file_that_changes_while_it_is_read_is_not_taken(tmp_path: Path, scorer: Scorer) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines(rows(3)))
    ((item,), _) = reading.find([str(path)])
    older = Input(item.address, item.size, "1")
    done = work(older, job(str(tmp_path / "out")), lambda batches: map(scorer.score, batches))
    assert done.failed and "changed while it was read" in done.trouble
    assert not list((tmp_path / "out").rglob("*.parquet"))
