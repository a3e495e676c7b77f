"""Databases of several machines made one: nothing lost, nothing twice, from either side, whatever dies on the way."""

from __future__ import annotations

import json
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from posting import NOW, counted_rollup, judge, opened, post, save, stored_rollup

from listener.cli import main
from listener.errors import StoreError
from listener.merging import Merged, merge
from listener.records import Correction, Gap, Page, Post
from listener.store import Store

LONG = "Our room looked out on the harbour and the breakfast was the best we had on the whole long journey north"


def put(
    store: Store, source: str, *posts: Post, brands: tuple[str, ...] = (), hours: float = 0, gap: Any = None
) -> None:
    links = [dict.fromkeys(brands, "its name")] * len(posts)
    store.save_page(source, Page(posts, gap=gap), links, NOW + timedelta(hours=hours))


def picture(path: Path) -> dict[str, Any]:
    """What people see of a database: everything but row numbers, and which of equal texts was there first."""
    with closing(sqlite3.connect(path)) as db:
        posts = db.execute(
            """SELECT source, native_id, kind, url, title, text, author, created_at, edited_at, day, late, rating,
                engagement, lang, given_brand, p.text_hash, collected_at, last_verified_at,
                deleted_at IS NOT NULL, expired_at IS NOT NULL,
                (SELECT group_concat(brand) FROM (SELECT brand FROM mentions WHERE post_id = p.id ORDER BY brand)),
                v.model, v.moment, v.sentiment, v.score, v.abstained, v.judged_by,
                (SELECT group_concat(touchpoint) FROM
                    (SELECT touchpoint FROM verdict_touchpoints WHERE post_id = p.id ORDER BY touchpoint)),
                (SELECT json_group_array(json_array(at, text_hash, moment, sentiment, touchpoints, not_brands, ended_at,
                    ended)) FROM (SELECT * FROM corrections WHERE post_id = p.id ORDER BY at, moment, not_brands)),
                (SELECT group_concat(brand) FROM (SELECT brand FROM disowned WHERE post_id = p.id ORDER BY brand))
            FROM posts p LEFT JOIN verdicts v ON v.post_id = p.id ORDER BY source, native_id"""
        ).fetchall()
        (voices,) = db.execute("SELECT count(*) FROM posts WHERE deleted_at IS NULL AND copy_of IS NULL").fetchone()
        forgotten = db.execute("SELECT source, author FROM forgotten ORDER BY 1, 2").fetchall()
        gaps = db.execute("SELECT source, why FROM gaps ORDER BY 1, 2").fetchall()
        found = db.execute(
            "SELECT native_id FROM posts WHERE id IN (SELECT rowid FROM posts_fts('room OR text')) ORDER BY 1"
        )
        return {"posts": posts, "voices": voices, "forgotten": forgotten, "gaps": gaps, "found": found.fetchall()}


def check(path: Path) -> None:
    """The promises of a store that hold whatever was done to it."""
    with closing(sqlite3.connect(path)) as db:
        assert stored_rollup(db) == counted_rollup(db)
        unjudged = """FROM posts p LEFT JOIN verdicts v ON id = post_id WHERE v.text_hash IS NOT p.text_hash
            AND deleted_at IS NULL AND expired_at IS NULL"""
        assert (
            db.execute(f"SELECT count(*) {unjudged}").fetchone()
            == db.execute("SELECT count(*) FROM pending").fetchone()
        )
        chained = "SELECT count(*) FROM posts c JOIN posts o ON o.id = c.copy_of WHERE o.copy_of IS NOT NULL"
        assert db.execute(chained).fetchone() == (0,)
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        db.execute("INSERT INTO posts_fts (posts_fts, rank) VALUES ('integrity-check', 1)")
        live = "SELECT source, count(*) FROM posts WHERE deleted_at IS NULL GROUP BY source ORDER BY 1"
        counted = "SELECT source, posts FROM stored WHERE posts <> 0 ORDER BY 1"
        assert db.execute(live).fetchall() == db.execute(counted).fetchall()


def brought(into: Path, *others: Path) -> list[Merged]:
    with opened(into) as store:
        return [merge(store, other, NOW) for other in others]


@pytest.fixture
def shards(tmp_path: Path) -> tuple[Path, Path]:
    """Two machines: one hears a feed, the other a forum, and both the news."""
    here, there = tmp_path / "here.db", tmp_path / "there.db"
    with opened(here) as store:
        put(store, "feed", post("1"), post("2", "No lift, again"), brands=("Acme",))
        put(store, "news", post("n1"), post("n2", "Which one is quieter?"), brands=("Acme",))
        judge(store)
    with opened(there) as store:
        put(store, "forum", post("1", "Booked for May", author="Ann"), gap=Gap(None, NOW, "it shows fifty"))
        put(
            store,
            "news",
            post("n2", "Which one is quieter?"),
            post("n3", "The new wing opens"),
            brands=("Bolt",),
            hours=1,
        )
        judge(store, moment="zmot", now=NOW + timedelta(hours=1))
    return here, there


def test_shards_with_overlap_are_one_picture_from_either_side_and_merging_again_changes_nothing(
    shards: tuple[Path, Path], tmp_path: Path
) -> None:
    here, there = shards
    other_way = tmp_path / "other.db"
    shutil.copy(there, other_way)
    (first,) = brought(here, there)
    assert (first.seen, first.new, first.updated, first.verdicts) == (3, 2, 1, 3)
    for path in (here, other_way):
        check(path)
    brought(other_way, here)
    assert picture(here) == picture(other_way)
    assert [row[:2] for row in picture(here)["posts"]] == [
        ("feed", "1"), ("feed", "2"), ("forum", "1"), ("news", "n1"), ("news", "n2"), ("news", "n3"),
    ]  # fmt: skip
    (both,) = [row for row in picture(here)["posts"] if row[1] == "n2"]
    assert both[20] == "Acme,Bolt" and both[22] == "zmot"  # the newer of two verdicts by one model
    assert picture(here)["gaps"] == [("forum", "it shows fifty")]
    before = here.read_bytes() and picture(here)
    again = brought(here, there, other_way)
    assert [(each.new, each.updated, each.deleted, each.verdicts) for each in again] == [(0, 0, 0, 0)] * 2
    assert picture(here) == before
    check(here)


def test_the_newer_text_counts_and_waits_for_its_verdict(tmp_path: Path) -> None:
    here, there = tmp_path / "here.db", tmp_path / "there.db"
    with opened(here) as store:
        save(store, post("1", "The room was fine", engagement={"likes": 9}))
        judge(store)
    with opened(there) as store:
        edited = post("1", "Update: the room was dreadful", edited_at=NOW, engagement={"likes": 2})
        save(store, edited, now=NOW - timedelta(hours=1))
    (done,) = brought(here, there)
    assert done.updated == 1
    with opened(here) as store:
        assert [each.text for each in store.pending("m1", 10)] == ["Update: the room was dreadful"]
        row = store.connection.execute("SELECT engagement, collected_at FROM posts").fetchone()
        assert row == ('{"likes": 9}', "2026-11-22T05:30:00Z")  # seen last, and first collected
        assert store.connection.execute("SELECT count(*) FROM posts_fts('dreadful')").fetchone() == (1,)
    check(here)


def test_a_verdict_by_the_model_in_charge_goes_before_a_newer_one_by_another(tmp_path: Path) -> None:
    here, there = tmp_path / "here.db", tmp_path / "there.db"
    with opened(here) as store:
        save(store, post("1"))
        judge(store, "m2")
    with opened(there) as store:
        save(store, post("1"), post("2", "Another one"))
        judge(store, "m1", now=NOW + timedelta(days=1))
    (done,) = brought(here, there)
    assert done.verdicts == 1
    with opened(here) as store:
        found = store.connection.execute("SELECT native_id, model FROM verdicts JOIN posts ON id = post_id ORDER BY 1")
        assert found.fetchall() == [("1", "m2"), ("2", "m1")]
        assert [each.post_id for each in store.pending("m2", 10)] == [2]  # has one meanwhile, and waits


def test_what_a_person_said_on_either_machine_holds_on_both(shards: tuple[Path, Path], tmp_path: Path) -> None:
    here, there = shards
    with opened(here) as store:  # posts 1, 2 (feed), 3, 4 (news n1, n2)
        store.correct(4, Correction(moment="imot", sentiment="negative"), NOW)
        store.correct(1, Correction(not_brand="Acme"), NOW)
    with opened(there) as store:  # posts 1 (forum), 2, 3 (news n2, n3)
        store.correct(2, Correction(moment="smot"), NOW + timedelta(hours=2))
        store.correct(1, Correction(moment="none"), NOW)
        store.undo_correction(1, NOW + timedelta(hours=3))
    before = shutil.copy(here, tmp_path / "before.db")
    brought(here, there)
    brought(there, Path(before))
    assert picture(here) == picture(there)
    rows = {row[:2]: row for row in picture(here)["posts"]}
    assert rows["news", "n2"][22:24] == ("smot", "positive")  # the later word of two
    assert rows["feed", "1"][20] is None and rows["forum", "1"][22] == "zmot"
    for path in shards:
        check(path)
    with opened(here) as store:
        assert store.undo_correction(4, NOW + timedelta(hours=5))
    assert {row[:2]: row for row in picture(here)["posts"]}["news", "n2"][22:24] == ("imot", "negative")
    brought(there, here)
    assert {row[:2]: row for row in picture(there)["posts"]}["news", "n2"][22:24] == ("imot", "negative")
    for path in shards:
        check(path)


def test_what_either_machine_erased_is_erased(shards: tuple[Path, Path]) -> None:
    here, there = shards
    with opened(here) as store:
        put(store, "forum", post("1", "Booked for May", author="Ann"), post("9", "Mine", author="Bea"))
        store.forget_author("Ann", "", NOW)
        store.delete([4], NOW)  # n2
    with opened(there) as store:
        store.forget_author("Bea", "", NOW)
        put(store, "feed", post("2", "No lift, again"))
        store.expire("feed", NOW + timedelta(days=1), NOW)
        put(store, "forum", post("7", "Ann again, elsewhere", author="Ann"))
    (done,) = brought(here, there)
    assert (done.deleted, done.expired, done.forgotten) == (1, 1, 2)
    state = {row[:2]: row for row in picture(here)["posts"]}
    assert all(state[key][18] for key in (("forum", "1"), ("forum", "9"), ("news", "n2")))
    assert ("forum", "7") not in state and state["feed", "2"][5] == "" and state["feed", "2"][21] == "m1"
    brought(there, here)
    kept = {row[:2]: row for row in picture(there)["posts"]}
    assert kept["forum", "7"][18]
    assert [row for row in state.values() if not row[18]] == [row for row in kept.values() if not row[18]]
    with opened(there) as store:  # a source that still shows it cannot bring it back
        put(store, "news", post("n2", "Which one is quieter?"))
    assert {row[:2]: row for row in picture(there)["posts"]}["news", "n2"][18]
    for path in shards:
        check(path)


def test_copies_are_folded_across_machines_and_old_ones_stay_folded(tmp_path: Path) -> None:
    here, there = tmp_path / "here.db", tmp_path / "there.db"
    with opened(here) as store:
        put(store, "feed", post("1", LONG))
        judge(store)
    with opened(there) as store:
        put(store, "forum", post("a", LONG), post("b", LONG[::-1]))
        put(store, "news", post("c", LONG[::-1]))
        store.connection.execute("DELETE FROM signatures")  # as after 45 days
        store.connection.execute("UPDATE posts SET text = text || ' edited', text_hash = 'x' WHERE native_id = 'c'")
        judge(store)
    brought(here, there)
    with opened(here) as store:
        rows = store.connection.execute("SELECT native_id, copy_of FROM posts ORDER BY native_id").fetchall()
    assert rows == [("1", None), ("a", 1), ("b", None), ("c", 3)]
    check(here)


def test_authors_of_another_key_are_refused_and_those_kept_in_other_ways_taken(tmp_path: Path) -> None:
    here = tmp_path / "here.db"
    with opened(here) as store:
        save(store, post("1", author="Ann"))
        kept = store.connection.execute("SELECT author FROM posts").fetchone()
    with Store.open(tmp_path / "other.db", store.zone, author_key=b"another key") as other:
        save(other, post("2", "Text", author="Ann"))
    with pytest.raises(StoreError, match=r"another key.*key_file.*DuckDB"):
        brought(here, tmp_path / "other.db")
    with Store.open(tmp_path / "plain.db", store.zone, author_key=None, authors="plain") as plain:
        save(plain, post("3", "Another text", author="Ann"))
    with Store.open(tmp_path / "none.db", store.zone, author_key=None, authors="drop") as none:
        save(none, post("4", "A third text", author="Ann"))
    brought(here, tmp_path / "plain.db", tmp_path / "none.db")
    authors = {row[1]: row[6] for row in picture(here)["posts"]}
    assert authors == {"1": kept[0], "3": kept[0], "4": ""}
    with Store.open(tmp_path / "nobody.db", store.zone, author_key=b"another key") as nobody:
        save(nobody, post("5", "A fourth text"))
    assert brought(here, tmp_path / "nobody.db")[0].new == 1  # where no author is named, no key matters
    with pytest.raises(StoreError, match="the database to merge into"):
        brought(here, here)


# --- whatever happened on two machines ---

_words = st.sampled_from(("The room was fine", "No lift at all", "Which text is it?", LONG, LONG + " again"))
_posts = st.builds(
    post,
    st.sampled_from("abcd"),
    _words,
    author=st.sampled_from(("", "Ann", "Bea")),
    created_at=st.sampled_from((None, NOW - timedelta(hours=9), NOW - timedelta(days=4))),
    edited_at=st.sampled_from((None, NOW, NOW + timedelta(hours=2))),
    engagement=st.sampled_from(({}, {"likes": 1}, {"likes": 2})),
    lang=st.sampled_from(("", "en")),
)
_steps = st.one_of(
    st.tuples(
        st.just("save"), st.sampled_from(("feed", "news")), _posts, st.sampled_from(((), ("Acme",), ("Acme", "Bolt"))),
        st.integers(0, 3),
    ),
    st.tuples(st.just("judge"), st.sampled_from(("tmot", "zmot")), st.integers(0, 3)),
    st.tuples(
        st.just("correct"), st.sampled_from("abcd"), st.sampled_from((None, "smot", "imot")),
        st.sampled_from((None, (), ("price",))), st.booleans(), st.integers(0, 3),
    ),
    st.tuples(st.just("undo"), st.sampled_from("abcd")),
    st.tuples(st.just("delete"), st.sampled_from("abcd")),
    st.tuples(st.just("forget"), st.sampled_from(("Ann", "Bea"))),
    st.tuples(st.just("expire"), st.sampled_from(("feed", "news"))),
)  # fmt: skip


_LIVE = "SELECT id FROM posts WHERE native_id = ? AND deleted_at IS NULL AND expired_at IS NULL"


def corrected(store: Store, native_id: str, moment: Any, touchpoints: Any, no_brand: bool, hours: int) -> None:
    for (post_id,) in store.connection.execute(_LIVE, (native_id,)).fetchall():
        named = store.connection.execute("SELECT brand FROM mentions WHERE post_id = ?", (post_id,)).fetchone()
        brand = named[0] if named and no_brand else None
        if moment or touchpoints is not None or brand:
            said = Correction(
                moment=moment, sentiment="negative" if moment else None, touchpoints=touchpoints if moment else None,
                not_brand=brand,
            )  # fmt: skip
            if moment or brand:
                store.correct(post_id, said, NOW + timedelta(hours=hours))


def lived(path: Path, steps: list[Any]) -> None:
    with opened(path) as store:
        put(store, "feed"), put(store, "news")  # both sources are known
        for what, *of in steps:
            if what == "save":
                put(store, of[0], of[1], brands=of[2], hours=of[3])
            elif what == "judge":
                judge(store, moment=of[0], now=NOW + timedelta(hours=of[1]), touchpoints=("staff",))
            elif what == "correct":
                corrected(store, *of)
            elif what == "undo":
                for (post_id,) in store.connection.execute(_LIVE, (of[0],)).fetchall():
                    store.undo_correction(post_id, NOW + timedelta(hours=3))
            elif what == "delete":
                store.forget_post(of[0], "", NOW)
            elif what == "forget":
                store.forget_author(of[0], "", NOW)
            else:
                store.expire(of[0], NOW + timedelta(hours=1), NOW)
        judge(store, moment="none", now=NOW + timedelta(hours=9))


_MEMORY = Path("/dev/shm")  # where there is one: a disk makes each of some hundred databases wait


@settings(max_examples=20)
@given(st.lists(_steps, max_size=8), st.lists(_steps, max_size=8))
def test_two_machines_agree_after_a_merge_whatever_happened_on_them(here: list[Any], there: list[Any]) -> None:
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        paths = [Path(folder) / name for name in ("here.db", "there.db")]
        for path, steps in zip(paths, (here, there), strict=True):
            lived(path, steps)
        whole = [shutil.copy(path, path.with_suffix(".before")) for path in paths]
        brought(paths[0], whole[1])
        brought(paths[1], whole[0])
        for path in paths:
            check(path)
        mine, theirs = picture(paths[0]), picture(paths[1])
        # One whose author is to be forgotten is not taken where it was never met, and stays as erased where it was.
        live = [[row for row in each["posts"] if not row[18]] for each in (mine, theirs)]
        assert live[0] == live[1]
        assert mine["forgotten"] == theirs["forgotten"] and mine["found"] == theirs["found"]
        again = brought(paths[0], whole[1], paths[1])
        assert all(each.updated == each.verdicts == each.expired == 0 for each in again)
        assert [row for row in picture(paths[0])["posts"] if not row[18]] == live[0]


_WORKER = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
import listener.merging
from posting import NOW, opened

listener.merging._AT_ONCE = 20
with opened(Path(sys.argv[1])) as store:
    print("ready", flush=True)
    listener.merging.merge(store, Path(sys.argv[2]), NOW)
"""


def test_kill_9_at_any_moment_of_a_merge_and_again_gives_the_same(tmp_path: Path, repo: Path) -> None:
    there, here, whole = tmp_path / "there.db", tmp_path / "here.db", tmp_path / "whole.db"
    with opened(there) as store:
        for n in range(10):
            put(store, f"s{n % 3}", *(post(f"{n}-{k}", f"text {k} of {n}") for k in range(60)), brands=("Acme",))
            judge(store, touchpoints=("staff",))
    for path in (here, whole):
        with opened(path) as store:
            put(store, "s1", *(post(f"1-{k}", f"text {k} of 1") for k in range(0, 60, 2)), brands=("Bolt",))
    brought(whole, there)
    delays = random.Random(2026)
    for _ in range(6):
        command = [sys.executable, "-c", _WORKER, str(here), str(there), str(repo), str(repo / "tests")]
        worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert worker.stdout and worker.stdout.readline() == "ready\n"
        time.sleep(delays.uniform(0.0, 0.15))
        worker.send_signal(signal.SIGKILL)
        worker.communicate()
        check(here)
    brought(here, there)
    assert picture(here) == picture(whole)
    check(here)


def test_the_command_merges_links_anew_and_says_what_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = 'database = "{}.db"\n[privacy]\nkey_file = "listener.key"\n[[brand]]\nname = "Acme"\n'
    for name in ("here", "there"):
        (tmp_path / f"{name}.toml").write_text(config.format(name))
        (tmp_path / "posts.jsonl").write_text(json.dumps({"id": name, "text": f"Acme is fine, says {name}"}) + "\n")
        run: Callable[..., Any] = CliRunner().invoke
        assert run(main, ["import", "posts.jsonl", "--source", "old", "--config", f"{name}.toml"]).exit_code == 0
    (tmp_path / "here.toml").write_text(config.format("here") + '[[brand]]\nname = "there"\n')
    done = run(main, ["merge", "there.db", "--json", "--config", "here.toml"])
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout) == [
        {"database": "there.db", "seen": 1, "new": 1, "updated": 0, "deleted": 0, "expired": 0, "verdicts": 0,
         "forgotten": 0}
    ]  # fmt: skip
    with closing(sqlite3.connect("here.db")) as db:
        assert db.execute("SELECT brand FROM mentions ORDER BY 1").fetchall() == [("Acme",), ("Acme",), ("there",)]
    (tmp_path / "no.db").write_text("no database")
    failed = run(main, ["merge", "no.db", "--config", "here.toml"])
    assert failed.exit_code == 1 and "no.db" in failed.stderr and "Traceback" not in failed.stderr
