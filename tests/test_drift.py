"""Drift: what changed beyond chance in how the model fits, and the doctor who says so."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from posting import NOW, OSLO, judge, opened, post, save

from listener import config, digest, doctor, pipeline, trends
from listener.digest.edition import Edition
from listener.reads import drift
from listener.reads.counts import wilson
from listener.records import Correction
from listener.resources import model_folder
from listener.store import Store
from listener.wording import Calendar

TODAY = date(2026, 11, 22)
OLD = NOW - timedelta(days=60)
LONG_AGO = NOW - timedelta(days=200)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path / "listener.db") as opened_store:
        opened_store.sync_sources([("feed", "feeds", 1800, True)], NOW)
        yield opened_store


def reading(store: Store) -> sqlite3.Connection:
    return trends.open_reader(store.path, OSLO)


def written(store: Store, at: datetime, number: int, text: str, *, unsure: int = 0) -> None:
    """So many posts of that day, the first `unsure` of which the model would not decide on."""
    some = [post(f"{at:%j}-{n}", f"{text} {n}", created_at=at) for n in range(number)]
    save(store, *some[:unsure])
    judge(store, sure=False)
    save(store, *some[unsure:])
    judge(store)


def test_shares_of_the_last_month_stand_beside_those_before_and_older_ones_are_left_out(store: Store) -> None:
    written(store, LONG_AGO, 5, "the room was fine", unsure=5)
    written(store, OLD, 40, "the room was fine", unsure=4)
    written(store, NOW, 40, "zxqvkj blorptang the wugglefrump", unsure=30)
    _, unsure, words = drift.drift(reading(store), TODAY, model_folder() / "tokenizer.json")
    assert (unsure.before, unsure.lately) == (wilson(4, 40), wilson(30, 40))
    assert words.before.value == 0 and (words.lately.value or 0) > 0.3
    assert unsure.worse and words.worse
    assert len(drift.drift(reading(store), TODAY)) == 2


def test_agreement_counts_posts_drawn_at_random_alone(store: Store) -> None:
    written(store, NOW, 60, "the room was fine")
    for number in range(1, 61):
        at = NOW - timedelta(days=0 if number > 30 else 60)
        right = number <= 28 or number > 50
        store.correct(number, Correction(moment="tmot" if right else "zmot", shown="random"), at)
    store.correct(1, Correction(moment="imot", shown="asked"), NOW)
    agreement, _ = drift.drift(reading(store), TODAY)
    assert (agreement.before, agreement.lately) == (wilson(27, 29), wilson(10, 30))
    assert agreement.worse


@pytest.mark.parametrize(
    ("what", "before", "lately", "worse"),
    [
        ("unsure", (5, 100), (9, 100), False),  # chance
        ("unsure", (1000, 10_000), (1160, 10_000), False),  # beyond chance, and too little to matter
        ("unsure", (1000, 10_000), (1400, 10_000), True),
        ("unsure", (1400, 10_000), (1000, 10_000), False),  # better
        ("agreement", (90, 100), (60, 100), True),
        ("agreement", (60, 100), (90, 100), False),
        ("agreement", (0, 0), (1, 100), False),
        ("unsure", (0, 100), (0, 100), False),
    ],
)
def test_it_is_drift_when_it_is_beyond_chance_worse_and_enough(
    what: str, before: tuple[int, int], lately: tuple[int, int], worse: bool
) -> None:
    assert drift.Drift(what, wilson(*before), wilson(*lately)).worse is worse


def test_the_doctor_warns_and_names_the_remedy(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "listener.toml"
    path.write_text('timezone = "Europe/Oslo"\ndatabase = "listener.db"\n')
    assert list(doctor._drift(config.load(path), NOW)) == []
    written(store, OLD, 40, "the room was fine", unsure=4)
    written(store, datetime(2026, 11, 20, tzinfo=UTC), 40, "the room was dirty", unsure=30)
    unsure, words = doctor._drift(config.load(path), NOW)
    assert unsure.state == "warning" and "unsure of 75.0% of the posts in the last 30 days (40), 10.0%" in unsure.detail
    assert "listener review" in unsure.remedy
    assert words.state == "ok" and words.detail.startswith("0.0% of the words")


def test_the_digest_says_it_too(store: Store) -> None:
    written(store, OLD, 40, "the room was fine", unsure=4)
    written(store, NOW - timedelta(days=1), 40, "the room was dirty", unsure=30)
    edition = Edition(brands=("",), day=TODAY - timedelta(days=1), now=NOW, calendar=Calendar(OSLO))
    told = digest.build(reading(store), edition).notes
    assert any("The model is unsure more often than it was: of 10% of the posts before, 75%" in note for note in told)


def test_the_digest_tells_of_words_the_model_does_not_know(store: Store, tmp_path: Path) -> None:
    written(store, OLD, 40, "the room was fine")
    written(store, NOW - timedelta(days=1), 40, "zxqvkj blorptang the wugglefrump")
    path = tmp_path / "listener.toml"
    path.write_text('timezone = "Europe/Oslo"\ndatabase = "listener.db"\n')
    told = pipeline.build_digest(store.path, config.load(path), None, TODAY - timedelta(days=1), NOW).notes
    assert any("more words that the model does not know: 0.0% of them before, " in note for note in told)


def test_a_damaged_vocabulary_leaves_the_rest(store: Store, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{")
    assert [each.what for each in drift.drift(reading(store), TODAY, tmp_path / "tokenizer.json")] == [
        "agreement",
        "unsure",
    ]
