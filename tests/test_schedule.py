"""Schedule arithmetic over real time zones: one digest a local day, days that tile time, a back-off that never ends."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from listener.schedule import LONGEST_BACK_OFF_S, day_bounds, digest_due, local_day, next_due, period_of

ZONES = [
    ZoneInfo(name)
    for name in (
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",  # clocks move by half an hour
        "Asia/Kolkata",
        "Pacific/Apia",  # left out 30 December 2011
        "Africa/Casablanca",  # clocks go back for Ramadan
        "America/Sao_Paulo",  # clocks skipped midnight until 2018
        "America/St_Johns",  # clocks went back across midnight, at 00:01, until 2011
        "America/Havana",  # midnight comes twice
    )
]
zones = st.sampled_from(ZONES)
moments = st.datetimes(datetime(2005, 1, 1), datetime(2031, 1, 1), timezones=st.just(UTC))
times = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@given(moments, zones)
@example(datetime(2011, 12, 30, 10, tzinfo=UTC), ZoneInfo("Pacific/Apia"))
@example(datetime(2010, 11, 7, 2, 45, tzinfo=UTC), ZoneInfo("America/St_Johns"))
@example(datetime(2018, 11, 4, 3, tzinfo=UTC), ZoneInfo("America/Sao_Paulo"))
def test_days_tile_time(moment: datetime, zone: ZoneInfo) -> None:
    day = local_day(moment, zone)
    start, end = day_bounds(day, zone)
    assert start <= moment < end
    assert day_bounds(day - timedelta(days=1), zone)[1] == start
    assert day_bounds(day + timedelta(days=1), zone)[0] == end
    assert local_day(start, zone) == day
    assert start.tzinfo is UTC and end.tzinfo is UTC


def test_days_are_as_long_as_the_clocks_make_them() -> None:
    def hours(day: date, zone: str) -> float:
        start, end = day_bounds(day, ZoneInfo(zone))
        return (end - start).total_seconds() / 3600

    assert hours(date(2026, 3, 29), "Europe/Berlin") == 23
    assert hours(date(2026, 10, 25), "Europe/Berlin") == 25
    assert hours(date(2026, 4, 5), "Australia/Lord_Howe") == 24.5
    assert hours(date(2011, 12, 30), "Pacific/Apia") == 0
    assert hours(date(2018, 11, 4), "America/Sao_Paulo") == 23


def test_a_naive_moment_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        local_day(datetime(2026, 1, 1), ZoneInfo("Europe/Berlin"))


# Minutes between two ticks: short ones, sleeps of up to five days, and steps back of the clock of up to an hour.
steps = st.lists(
    st.one_of(st.integers(1, 90), st.integers(91, 5 * 24 * 60), st.integers(-60, -1)), min_size=1, max_size=60
)


@given(moments, zones, times, steps)
@example(datetime(2011, 12, 28, 9, tzinfo=UTC), ZoneInfo("Pacific/Apia"), "07:30", [600] * 20)
@example(datetime(2026, 3, 28, 9, tzinfo=UTC), ZoneInfo("Europe/Berlin"), "02:30", [30] * 59)
@example(datetime(2026, 10, 24, 9, tzinfo=UTC), ZoneInfo("Europe/Berlin"), "02:30", [30] * 59)
@example(datetime(2026, 6, 1, 22, 1, tzinfo=UTC), ZoneInfo("Europe/Berlin"), "00:01", [1, 60, -60, 60, -60, 60])
def test_every_local_day_gets_exactly_one_digest(begin: datetime, zone: ZoneInfo, at: str, minutes: list[int]) -> None:
    started, latest, last_period, sent = local_day(begin, zone), begin, None, []
    now = begin
    for step in [0, *minutes]:
        now += timedelta(minutes=step)
        latest = max(now, latest)
        for day in digest_due(now, at, zone, last_period, started):
            sent.append(day)
            last_period = day  # nothing else is remembered: every tick may be a restart
    for day in digest_due(latest, at, zone, last_period, started):
        sent.append(day)

    yesterday = local_day(latest, zone) - timedelta(days=1)
    days = [started + timedelta(days=n) for n in range((yesterday - started).days + 1)]
    whole = [day for day in days if day_bounds(day, zone)[0] < day_bounds(day, zone)[1]]
    assert sent in (whole, whole[:-1])  # yesterday's is still to come when the hour has not struck
    if latest >= day_bounds(yesterday, zone)[1] + timedelta(hours=25):
        assert sent == whole


@given(zones, times, st.dates(date(2005, 1, 1), date(2031, 1, 1)))
def test_a_digest_waits_for_its_hour(zone: ZoneInfo, at: str, day: date) -> None:
    """Not due the moment before, due from then on; and the clock on the wall then reads the hour that was asked for."""
    start, end = day_bounds(day, zone)
    if start == end:
        return
    seconds, wait = 0, 48 * 3600
    while seconds < wait:  # the first second after the day at which its digest is due
        half = (seconds + wait) // 2
        due = day in digest_due(end + timedelta(seconds=half), at, zone, None, day)
        seconds, wait = (seconds, half) if due else (half + 1, wait)
    wall = (end + timedelta(seconds=wait)).astimezone(zone)
    skipped = wall.strftime("%H:%M") != at
    assert not skipped or wall.utcoffset() != (wall - timedelta(hours=2)).astimezone(UTC).astimezone(zone).utcoffset()


def test_an_hour_that_the_clocks_skip() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    saturday = date(2026, 3, 28)
    before, after = datetime(2026, 3, 29, 1, 29, tzinfo=UTC), datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert digest_due(before, "02:30", berlin, None, saturday) == []
    assert digest_due(after, "02:30", berlin, None, saturday) == [saturday]


def test_missed_digests_are_caught_up_oldest_first_and_only_so_far_back() -> None:
    utc, started = ZoneInfo("UTC"), date(2026, 1, 1)
    assert digest_due(NOW, "07:30", utc, date(2026, 2, 25), started) == [
        date(2026, 2, 26), date(2026, 2, 27), date(2026, 2, 28),
    ]  # fmt: skip
    assert digest_due(NOW, "07:30", utc, None, started)[0] == date(2026, 2, 22)
    assert len(digest_due(NOW, "07:30", utc, None, started)) == 7
    assert digest_due(NOW, "07:30", utc, None, date(2026, 2, 28)) == [date(2026, 2, 28)]
    assert digest_due(NOW, "07:30", utc, None, date(2026, 3, 1)) == []


def test_a_clock_that_was_wrong_once_does_not_silence_the_digest() -> None:
    assert digest_due(NOW, "07:30", ZoneInfo("UTC"), date(2038, 1, 19), date(2026, 1, 1))[-1] == date(2026, 2, 28)


@given(st.floats(10, 86400 * 365), st.integers(0, 10_000), st.none() | st.floats(0, allow_nan=False), st.floats(0, 1))
def test_back_off_grows_is_capped_and_honours_the_server(
    every_s: float, failures: int, retry_after_s: float | None, jitter: float
) -> None:
    wait = (next_due(NOW, every_s, failures, retry_after_s, jitter) - NOW).total_seconds()
    assert wait <= 366 * 86400  # never for good
    asked = min(retry_after_s or 0.0, 366 * 86400)
    assert wait >= asked - 1e-6 or math.isclose(wait, asked, rel_tol=1e-9)
    if failures:
        assert wait <= max(LONGEST_BACK_OFF_S, asked) + 1e-6
        assert (next_due(NOW, every_s, failures + 1, retry_after_s, jitter) - NOW).total_seconds() >= wait
    else:
        assert wait >= every_s - 1e-6


def test_back_off_in_numbers() -> None:
    waits = [(next_due(NOW, 1800, failures) - NOW).total_seconds() / 60 for failures in range(7)]
    assert waits == [30, 30, 60, 120, 240, 360, 360]
    assert next_due(NOW, 86400, 3) == NOW + timedelta(hours=6)  # a daily source is tried again the same day
    assert next_due(NOW, 600, 0, jitter=1.0) == NOW + timedelta(minutes=11)


@given(moments, times, zones, st.integers(0, 6))
def test_one_digest_a_week_on_its_day(now: datetime, at: str, zone: ZoneInfo, weekday: int) -> None:
    """Asked every hour for three weeks, with a ledger that remembers: one a week, each after its last day is over."""
    started, done = local_day(now, zone), dict[date, datetime]()
    for hour in range(21 * 24 + 24):
        moment = now + timedelta(hours=hour)
        for day in digest_due(moment, at, zone, None, started, weekday=weekday):
            done.setdefault(day, moment)
    assert len(done) in (3, 4) and all((day + timedelta(days=1)).weekday() == weekday for day in done)
    days = sorted(done)
    assert all((later - earlier).days == 7 for earlier, later in pairwise(days))
    assert all(day_bounds(day, zone)[1] <= sent for day, sent in done.items())


@given(st.dates(date(2000, 1, 1), date(2040, 1, 1)), st.integers(0, 6))
def test_a_day_belongs_to_the_last_whole_week(day: date, weekday: int) -> None:
    end = period_of(day, weekday)
    assert 0 <= (day - end).days < 7 and (end + timedelta(days=1)).weekday() == weekday
    assert period_of(day, None) == day
