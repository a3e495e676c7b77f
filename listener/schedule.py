"""When things are due, as arithmetic: no clock, no sleep. Days are local, moments are aware UTC datetimes."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

LONGEST_BACK_OFF_S = 6 * 3600.0
_LONGEST_WAIT_S = 366 * 86400.0  # a server may ask for a thousand years; a date of ours could not hold it
_JITTER = 0.1
_DAY = timedelta(days=1)


def next_due(
    now: datetime, every_s: float, failures: int, retry_after_s: float | None = None, jitter: float = 0.0
) -> datetime:
    """When a source is to be fetched again, in UTC.

    `failures` counts the failed fetches in a row: none or one waits `every_s` seconds, each further one twice as long,
    and after a failure never longer than six hours, so that a daily source is tried again the same day. Never earlier
    than `retry_after_s`, which is the server's own word. `jitter` (0..1, drawn by the caller) delays by up to a
    tenth, so that sources that were added together do not stay together.
    """
    wait = every_s * 2.0 ** min(max(failures - 1, 0), 60)
    wait *= 1 + _JITTER * jitter
    if failures > 0:
        wait = min(wait, LONGEST_BACK_OFF_S)
    if retry_after_s is not None:
        wait = max(wait, retry_after_s)
    return now.astimezone(UTC) + timedelta(seconds=min(wait, _LONGEST_WAIT_S))


def day_bounds(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The UTC moments at which a local day starts and ends; the end is the start of the next day.

    A day is 23, 24 or 25 hours long, or empty where a country moved across the date line and left it out.
    """
    return _at(day, time(0), zone), _at(day + _DAY, time(0), zone)


def local_day(moment_utc: datetime, zone: ZoneInfo) -> date:
    """The local day that holds a moment: day_bounds(local_day(m, zone), zone) always encloses m.

    Raises ValueError for a naive moment, which Python would take for the system's local time without a word.
    """
    if moment_utc.tzinfo is None:
        raise ValueError("a moment needs its time zone")
    day = moment_utc.astimezone(zone).date()
    # Clocks that go back across midnight read yesterday's date for a second time; the day has begun all the same.
    return day + _DAY if moment_utc >= _at(day + _DAY, time(0), zone) else day


def digest_due(
    now: datetime,
    at: str,
    zone: ZoneInfo,
    last_period: date | None,
    started: date,
    catch_up_days: int = 7,
    weekday: int | None = None,
) -> list[date]:
    """The local days whose digest is due now and not done yet, oldest first.

    With a `weekday` (Monday 0) the digest is of a week, is sent on that weekday, and goes by the last of its days.

    The digest of a day is due on the next day at `at` ("HH:MM", local); where the clocks skip that time, as much later
    as they skip. `last_period` is the last day that is done, `started` the first day the daemon ran. At most the last
    `catch_up_days` days are caught up. A `last_period` in the future comes from a clock that was wrong once: it is
    ignored, and the ledger of digests is then what keeps a day from being sent twice.
    """
    today = local_day(now, zone)
    first = max(started, today - timedelta(days=catch_up_days))
    if last_period is not None and last_period <= today:
        first = max(first, last_period + _DAY)
    when = time.fromisoformat(at)
    days = [first + timedelta(days=n) for n in range((today - first).days)]
    if weekday is not None:
        days = [day for day in days if (day + _DAY).weekday() == weekday]
        return [day for day in days if _at(day + _DAY, when, zone) <= now]
    return [day for day in days if _happened(day, zone) and _at(day + _DAY, when, zone) <= now]


def digest_at(day: date, at: str, zone: ZoneInfo) -> datetime:
    """When the digest of a local day is due, in UTC."""
    return _at(day + _DAY, time.fromisoformat(at), zone)


def period_of(day: date, weekday: int | None) -> date:
    """The day by which the digest goes that tells of `day`, or of the last whole week up to it; `weekday` as above."""
    return day if weekday is None else day - timedelta(days=((day + _DAY).weekday() - weekday) % 7)


def _happened(day: date, zone: ZoneInfo) -> bool:
    start, end = day_bounds(day, zone)
    return start < end


def _at(day: date, when: time, zone: ZoneInfo) -> datetime:
    """A local wall-clock time as UTC: the first of two where clocks go back, moved on where they skip it (PEP 495)."""
    return datetime.combine(day, when, zone).astimezone(UTC)
