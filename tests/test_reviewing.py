"""`listener review`: a person answers key by key, and each answer is stored before the next post is shown."""

from __future__ import annotations

import json
import os
import pty
import select
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from posting import NOW, judge, opened, post, save

from listener.cli import main
from listener.reads import review

TEACHING = [f"p{n}" for n in range(100) if not review.apart("feed", f"p{n}")][:3]
APART = next(f"p{n}" for n in range(100) if review.apart("feed", f"p{n}"))
TEXTS = {
    TEACHING[0]: "We waited for the lift again. \x1b[31mRed\x1b[0m",
    TEACHING[1]: "Is the garden room worth more money than the attic one?",
    TEACHING[2]: "Breakfast " + "and more breakfast " * 60 + "to the very end",
}


@pytest.fixture(autouse=True)
def _configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "listener.toml").write_text('timezone = "Europe/Oslo"\ndatabase = "listener.db"\n')
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "listener.db"
    with opened(path) as store:
        store.sync_sources([("feed", "feeds", 1800, True)], NOW)
        save(store, *(post(native_id, text) for native_id, text in TEXTS.items()), brands=("Acme", "Globex"))
        judge(store, moment="zmot", sentiment="neutral", sure=False)
    return path


def asked(keys: str, *options: str) -> Any:
    lines = "".join(f"{key}\n" for key in keys.split(" "))
    run = CliRunner().invoke(main, ["review", *options], input=lines, catch_exceptions=False)
    assert run.exit_code == 0, run.output
    return run.output


def stored(database: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(
            "SELECT moment, sentiment, touchpoints, not_brands, shown FROM corrections WHERE ended_at IS NULL"
            " ORDER BY id"
        ).fetchall()


def test_keys_choose_enter_takes_the_guess_and_the_rest_stays_unasked(database: Path) -> None:
    told = asked("  7 - q")
    assert stored(database) == [
        ("zmot", "neutral", None, "[]", "uncertain"), ("tmot", "negative", None, "[]", "uncertain"),
    ]  # fmt: skip
    assert "1 of 3 · 22 Nov 2026, 05:30" in told and "zmot (research) 70%" in told and "2 of 3 posts judged" in told
    assert "\x1b[31m" not in told
    assert "1 of 1 · " in asked("q")


def test_touchpoints_another_look_and_not_us(database: Path) -> None:
    told = asked("m t 6 + ca! h  n 2 n 9 s")
    first, second = stored(database)
    assert first == ("imot", "positive", '["advertising", "price", "staff"]', "[]", "uncertain")
    assert second == (None, None, None, '["Globex"]', "uncertain")
    assert "'!' is no key here" in told
    assert told.count("to the very end") <= 1


def test_undo_goes_back_to_the_post_before_and_takes_it_out_of_the_counts(database: Path) -> None:
    told = asked("u 7 - s u 4 + q")
    assert "There is nothing to undo yet." in told
    assert stored(database) == [("fmot", "positive", None, "[]", "uncertain")]
    assert told.count("1 of 3 · ") == 3


def test_a_post_drawn_at_random_comes_without_the_guess_and_takes_no_enter(tmp_path: Path) -> None:
    path = tmp_path / "listener.db"
    with opened(path) as store:
        store.sync_sources([("feed", "feeds", 1800, True)], NOW)
        save(store, post(APART))
        judge(store, moment="zmot")
    told = asked(" 7  - q")
    assert "the model:" not in told and "keeps its guess to itself" in told
    assert stored(path) == [("tmot", "negative", None, "[]", "random")]
    assert "the model gave your moment: 1 so far, too few to say how often" in told


def test_a_post_that_is_gone_meanwhile_is_said_and_stops_nothing(database: Path) -> None:
    queue = json.loads(asked("", "--json"))
    assert [sorted(each["brands"]) for each in queue] == [["Acme", "Globex"]] * 3
    assert {each["why"] for each in queue} == {"uncertain"}
    program = (
        "import sys; from listener.cli import main, reviewing; from posting import opened, NOW\n"
        "real = reviewing._ask_one\n"
        "def gone(queued, *rest):\n"
        "    said = real(queued, *rest)\n"
        "    if rest[0] == '1 of 3':\n"
        "        with opened('listener.db') as store: store.delete([queued.post.id], NOW)\n"
        "    return said\n"
        "reviewing._ask_one = gone; main()"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, "review"],
        input="7\n-\n7\n-\nq\n", capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
    )  # fmt: skip
    assert run.returncode == 0 and "Not stored: there is no post" in run.stderr
    assert len(stored(database)) == 1


def test_nothing_to_review_is_said(database: Path) -> None:
    assert "Nothing to review here" in asked("q", "--moment", "imot")


def test_single_keys_at_a_terminal(database: Path) -> None:
    leader, follower = pty.openpty()
    run = subprocess.Popen(
        [sys.executable, "-m", "listener", "review"],
        stdin=follower, stdout=follower, stderr=follower, close_fds=True,
    )  # fmt: skip
    os.close(follower)
    prompts = ("moment: ", "positive): ", "moment: ", "positive): ", "moment: ", "2 of 3 posts judged")
    key = ""
    for awaited, following in zip(prompts, "7-30q ", strict=True):
        told, deadline = "", time.monotonic() + 60
        while awaited not in told and time.monotonic() < deadline:
            if select.select([leader], [], [], 1.0)[0]:
                told += os.read(leader, 4096).decode("utf-8", "replace")
            elif key:  # pressed before the program listened; where it did, the next question does not know the key
                os.write(leader, key.encode())
        key = following
        os.write(leader, key.encode())
    assert run.wait(60) == 0
    os.close(leader)
    assert [row[:2] for row in stored(database)] == [("tmot", "negative"), ("zmot", "neutral")]
