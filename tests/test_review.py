"""The review queue: doubtful, rare and unlike posts, a random share kept apart, and the agreement that it shows."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from posting import NOW, OSLO, judge, opened, post, save, verdict

from listener import trends
from listener.engine.labels import MOMENTS
from listener.errors import ListenerError
from listener.reads import review
from listener.records import Correction
from listener.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path / "listener.db") as opened_store:
        opened_store.sync_sources([("feed", "feeds", 1800, True)], NOW)
        yield opened_store


@pytest.fixture
def reader(store: Store) -> Iterator[sqlite3.Connection]:
    reader = trends.open_reader(store.path, OSLO)
    yield reader
    reader.close()


def named(kind: bool, number: int) -> list[str]:
    """The first `number` native ids that are (kept apart, or not)."""
    found = (f"p{n}" for n in range(10_000) if review.apart("feed", f"p{n}") is kind)
    return [native_id for native_id, _ in zip(found, range(number), strict=False)]


def tell(store: Store, moments: dict[str, tuple[str, float]]) -> None:
    """Judges every pending post: native id -> its moment and how likely that is; the rest goes to the next moment."""
    ids = dict(store.connection.execute("SELECT id, native_id FROM posts").fetchall())
    verdicts = []
    for each in store.pending("m1", 10_000):
        moment, sure = moments[ids[each.post_id]]
        spread = dict.fromkeys(MOMENTS, 0.0) | {"none" if moment != "none" else "tmot": 1 - sure, moment: sure}
        given = verdict(each, sure=sure >= 0.5)
        verdicts.append(replace(given, scores=replace(given.scores, moments=spread, confidence=sure)))
    store.save_verdicts(verdicts, NOW)


def words(native_id: str) -> str:
    """A text that has few words in common with another."""
    return " ".join(f"{native_id}word{n}" for n in range(8))


def test_doubt_and_rare_moments_come_before_what_is_sure_and_common(store: Store, reader: sqlite3.Connection) -> None:
    ids = named(False, 30)
    save(store, *(post(each, words(each)) for each in ids))
    tell(store, dict.fromkeys(ids, ("tmot", 0.98)) | {ids[3]: ("tmot", 0.52), ids[7]: ("ltzmot", 0.9)})
    assert {each.post.native_id for each in review.queue(reader, limit=2)} == {ids[3], ids[7]}
    (torn,) = (each for each in review.queue(reader, limit=2) if each.post.native_id == ids[3])
    assert (torn.why, round(torn.margin, 2), torn.moments["tmot"]) == ("uncertain", 0.04, 0.52)


def test_of_near_copies_one_is_shown_and_sources_take_turns(store: Store, reader: sqlite3.Connection) -> None:
    ids = named(False, 12)
    for each in ids[:6]:  # too short to be folded as copies when they come in
        save(store, post(each, f"the lift was broken again {each}"))
    save(store, *(post(each, words(each)) for each in ids[6:]))
    tell(store, {each: ("tmot", 0.5 if each in ids[:6] else 0.7) for each in ids})
    shown = [each.post.native_id for each in review.queue(reader, limit=7)]
    assert len(set(shown) & set(ids[:6])) == 1 and len(shown) == 7


def test_a_fifth_is_drawn_at_random_whatever_the_model_says_and_stays_the_same(
    store: Store, reader: sqlite3.Connection
) -> None:
    teaching, apart = named(False, 160), named(True, 40)
    save(store, *(post(each, words(each)) for each in teaching + apart))
    tell(store, dict.fromkeys(teaching, ("tmot", 0.55)) | dict.fromkeys(apart, ("tmot", 0.99)))
    first = review.queue(reader, limit=50)
    assert Counter(each.why for each in first) == {"uncertain": 40, "random": 10}
    assert {each.post.native_id for each in first if each.why == "random"} <= set(apart)
    assert review.queue(reader, limit=50) == first
    for each in first:
        store.correct(each.post.id, Correction(moment="tmot", shown=each.why, text_hash=each.text_hash), NOW)
    second = review.queue(reader, limit=50)
    assert not {each.post.id for each in first} & {each.post.id for each in second}
    share = sum(review.apart("feed", f"q{n}") for n in range(10_000)) / 10_000
    assert abs(share - review.APART) < 0.015


def test_filters_narrow_the_queue_and_what_cannot_be_judged_is_not_in_it(
    store: Store, reader: sqlite3.Connection
) -> None:
    ids = named(False, 4)
    save(store, post(ids[0], words(ids[0])), brands=("Acme",))
    save(store, post(ids[1], words(ids[1])))
    judge(store)
    save(store, post(ids[2], words(ids[2])))
    judge(store, unread=True)
    save(store, post(ids[3], words(ids[3])))  # waits for its verdict
    assert [each.post.native_id for each in review.queue(reader, brand="Acme")] == [ids[0]]
    assert {each.post.native_id for each in review.queue(reader)} == set(ids[:2])
    assert review.queue(reader, moment="zmot") == []
    with pytest.raises(ListenerError, match="there is no brand 'Acne'"):
        review.queue(reader, brand="Acne")


def test_agreement_is_of_random_posts_alone_by_period_with_intervals(store: Store, reader: sqlite3.Connection) -> None:
    assert review.agreement(reader) == []
    save(store, *(post(f"p{n}", words(f"p{n}")) for n in range(20)))
    tell(store, {f"p{n}": ("tmot", 0.9 if n < 16 else 0.4) for n in range(20)})
    for number in range(1, 21):
        right = number <= 12
        store.correct(
            number,
            Correction(moment="tmot" if right else "imot", shown="uncertain" if number > 18 else "random"),
            NOW + timedelta(days=40 * (number % 2)),
        )
    store.correct(1, Correction(moment="fmot", shown="asked"), NOW)  # looked up later: no measure
    november, january, whole = review.agreement(reader)
    assert (november.period, january.period, whole.period) == ("2026-11", "2027-01", "all")
    assert (whole.moment.n, whole.sure.n, whole.sentiment.n) == (17, 15, 0)
    assert whole.moment.value == pytest.approx(11 / 17) and whole.sure.value == pytest.approx(11 / 15)
    assert whole.moment.low is not None and whole.moment.low < 11 / 17 < (whole.moment.high or 0)
    assert review.agreement(reader, model="m2") == []
    assert [each.period for each in review.agreement(reader, "week")][-1] == "all"
    assert all(re.fullmatch(r"20\d\d-W\d\d", each.period) for each in review.agreement(reader, "week")[:-1])
    store.undo_correction(3, NOW)
    assert review.agreement(reader)[-1].moment.n == 16
