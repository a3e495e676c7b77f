"""A source that falls silent is told from one that is merely quiet."""

from __future__ import annotations

import random
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from posting import NOW, OSLO, opened

from listener import trends
from listener.records import Run
from listener.store import Store

HOUR = timedelta(hours=1)


@pytest.fixture
def store(tmp_path: Path):
    with opened(tmp_path / "l.db") as store:
        store.sync_sources([("feed", "feeds", 3600.0, True)], NOW)
        yield store


def run(store: Store, at: datetime, new: int, outcome: str = "ok") -> None:
    told = Run("feed", at, 0.0, new, new, {}, outcome, "" if outcome == "ok" else "down")  # type: ignore[arg-type]
    store.finish_run(told, at + HOUR)


def health(store: Store, now: datetime) -> trends.SourceHealth:
    with closing(trends.open_reader(store.path, OSLO)) as reader:
        return trends.source_health(reader, now)[0]


def hourly(store: Store, hours: int, news: set[int]) -> datetime:
    for hour in range(hours):
        run(store, NOW + hour * HOUR, int(hour in news))
    return NOW + (hours - 1) * HOUR


def test_a_source_that_brought_posts_every_hour_is_silent_after_seven(store: Store) -> None:
    now = hourly(store, 28, set(range(21)))
    assert health(store, now).state == "silent"
    found = health(store, now)
    assert found.since == NOW + 20 * HOUR
    assert "no new post for 7 hours" in found.why and "more than 1 hour," in found.why


def test_it_is_not_before(store: Store) -> None:
    assert health(store, hourly(store, 27, set(range(21)))).state == "ok"


def test_twice_the_longest_silence_is_waited_for(store: Store) -> None:
    news = {*range(12), *range(30, 48)}  # silent for 19 hours once
    assert health(store, hourly(store, 47 + 37, news)).state == "ok"
    for hour in range(47 + 37, 47 + 40):
        run(store, NOW + hour * HOUR, 0)
    assert health(store, NOW + 86 * HOUR).state == "silent"


def test_it_stays_so_for_months_and_one_post_ends_it(store: Store) -> None:
    hourly(store, 21, set(range(21)))
    for day in range(1, 200, 10):
        run(store, NOW + timedelta(days=day), 0)
    later = NOW + timedelta(days=200)
    assert health(store, later).state == "silent"
    run(store, later, 1)
    assert health(store, later).state == "ok"


def test_a_young_source_and_one_that_fails_are_not_called_silent(store: Store) -> None:
    assert health(store, hourly(store, 40, set(range(7)))).state == "ok"
    hourly(store, 40, set(range(20)))
    run(store, NOW + 41 * HOUR, 0, "retry")
    assert health(store, NOW + 41 * HOUR).state == "retrying"


def test_chance_alone_seldom_raises_it(tmp_path: Path) -> None:
    """Sources of one to twelve posts a day, looked at hourly for two weeks: how many are ever called silent."""
    rng, called = random.Random(3), 0
    for each in range(6):
        with opened(tmp_path / f"{each}.db") as store:
            store.sync_sources([("feed", "feeds", 3600.0, True)], NOW)
            chance = rng.uniform(1, 12) / 24
            for hour in range(24 * 14):
                run(store, NOW + hour * HOUR, int(rng.random() < chance))
                if hour % 6 == 0 and hour > 24 * 5 and health(store, NOW + hour * HOUR).state == "silent":
                    called += 1
                    break
    assert called == 0
