"""Digests under clocks that jump: daylight saving, midnight, sleep, a clock set back or ahead, leap days."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from listener import daemon as running
from listener import pipeline, schedule
from listener.config import BrandSettings, Config, PrivacySettings, RecipientSettings
from listener.daemon import Daemon

READERS = {
    "berlin@example.org": ("Europe/Berlin", "07:30"), "sydney@example.org": ("Australia/Sydney", "02:30"),
    "york@example.org": ("America/New_York", "00:00"), "howe@example.org": ("Australia/Lord_Howe", "23:59"),
}  # fmt: skip


class World:
    """A daemon whose digest tick the test calls, at the moments it says; `mails` counts (whose, day)."""

    def __init__(self, folder: Path, begin: datetime) -> None:
        self.now, self.mails, self.texts = begin, Counter[tuple[str, str]](), dict[tuple[str, str], str]()
        recipients = [RecipientSettings(email=who, timezone=zone, at=at) for who, (zone, at) in READERS.items()]
        config = Config(
            timezone="UTC", database=folder / "l.db", privacy=PrivacySettings(authors="drop"),
            brands=[BrandSettings(name="Harbour")], recipients=recipients,
        )  # fmt: skip
        self.daemon = Daemon(config)
        with pipeline.open_store(config) as store:
            pipeline.adopt(store, config, begin)

    def tick(self) -> None:
        self.daemon._digest()

    def deliver(self, message: Any, settings: Any, folder: Path, day: date, **options: Any) -> tuple[str, str]:
        options["going"]()
        key = (message["To"].addresses[0].addr_spec, day.isoformat())
        self.mails[key] += 1
        self.texts[key] = message.get_body(("plain",)).get_content()
        return "sent", ""

    def due(self, begin: datetime) -> set[tuple[str, str]]:
        """Every day since the beginning whose digest is due by now."""
        found = set()
        for recipient in self.daemon._config.recipients:
            zone = self.daemon._config.zone_of(recipient)
            first = schedule.local_day(begin, zone)
            days = schedule.digest_due(self.now, recipient.at, zone, None, first, catch_up_days=60)
            found |= {(recipient.email, day.isoformat()) for day in days}
        return found


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    made: list[World] = []

    def begin(at: datetime) -> World:
        made.append(World(tmp_path_factory.mktemp("world"), at))
        monkeypatch.setattr(running, "now_utc", lambda: made[-1].now)
        monkeypatch.setattr("listener.mail.delivery.deliver", made[-1].deliver)
        return made[-1]

    yield begin
    for each in made:
        each.daemon._pool.shutdown()


@pytest.mark.parametrize(
    "begin",
    [
        datetime(2026, 3, 27, 12, tzinfo=UTC),  # Berlin goes forward on the 29th, New York did on the 8th
        datetime(2026, 10, 23, 12, tzinfo=UTC),  # Berlin goes back on the 25th
        datetime(2026, 4, 3, 12, tzinfo=UTC),  # Sydney and Lord Howe go back on the 5th, by an hour and by half of one
        datetime(2026, 10, 2, 12, tzinfo=UTC),  # and forward on the 4th, when 02:30 does not exist in Sydney
        datetime(2028, 2, 27, 12, tzinfo=UTC),  # a leap day
        datetime(2026, 12, 30, 12, tzinfo=UTC),
    ],
)
def test_one_digest_a_day_whatever_the_calendar_does(world: Any, begin: datetime) -> None:
    days = world(begin)
    while days.now < begin + timedelta(days=4):
        days.tick()
        days.now += timedelta(minutes=97)
    days.tick()
    assert set(days.mails.values()) == {1}
    assert set(days.mails) == days.due(begin)
    assert len(days.mails) >= 3 * len(READERS)
    assert not any("This digest is late" in text for text in days.texts.values())


def test_after_a_sleep_each_missed_digest_comes_once_and_says_that_it_is_late(world: Any) -> None:
    begin = datetime(2026, 11, 20, 12, tzinfo=UTC)
    days = world(begin)
    days.tick()
    days.now += timedelta(days=3)
    days.tick()
    days.tick()
    assert set(days.mails) == days.due(begin) and set(days.mails.values()) == {1}
    late = days.texts["berlin@example.org", "2026-11-20"]
    assert "This digest is late: it was due on Saturday 21 November at 07:30" in late


def test_a_clock_set_back_an_hour_or_ahead_a_day_sends_nothing_twice_and_misses_nothing(world: Any) -> None:
    begin = datetime(2026, 11, 20, 5, tzinfo=UTC)
    days = world(begin)
    for jump in (0, 1, 1, -1, 1, 24, -24, 1, 5, -1, 12, 24):  # hours
        days.now += timedelta(hours=jump)
        days.tick()
    assert set(days.mails.values()) == {1}
    assert set(days.mails) >= days.due(begin)


def test_a_clock_that_is_ahead_for_a_moment_erases_nothing(
    world: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    days = world(datetime(2026, 11, 20, 12, tzinfo=UTC))
    purged: list[datetime] = []
    monkeypatch.setattr(pipeline, "purge", lambda store, config, now: purged.append(now))
    ahead = running._clock_ahead()
    for years, done in ((0, 1), (10, 1), (0, 1), (0, 2)):  # as the clock is at each hour's tick
        monkeypatch.setattr(running, "_clock_ahead", lambda years=years: ahead + years * 365 * 86400)
        days.daemon._purge()
        assert len(purged) == done
    assert caplog.messages.count("clock_jumped") == 2


steps = st.one_of(
    st.integers(20, 7200), st.integers(3600, 4 * 86400), st.sampled_from([-3600, -1800, 86400, -86400]), st.just(30)
)


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(begin=st.datetimes(datetime(2024, 1, 1), datetime(2029, 1, 1), timezones=st.just(UTC)),
       jumps=st.lists(steps, min_size=3, max_size=12))  # fmt: skip
def test_any_clock_sends_each_day_once(world: Any, begin: datetime, jumps: list[int]) -> None:
    days, furthest = world(begin.replace(microsecond=0)), begin
    days.tick()
    for seconds in jumps:
        days.now += timedelta(seconds=seconds)
        furthest = max(furthest, days.now)
        days.tick()
    days.now = max(days.now, furthest)  # in the end it is right
    days.tick()
    assert set(days.mails.values()) <= {1}
    assert days.due(begin) <= set(days.mails)
