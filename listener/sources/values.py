"""What the values of a column mean: dates and ratings, as exports write them."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta, tzinfo

from listener.records import Rating
from listener.sources.dates import mail_date, take_apart

_NUMERIC = re.compile(r"(\d{1,4})([./-])(\d{1,2})\2(\d{2,4})\.?")
_DAY_MONTH = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?[. /-]*([a-z]{3})[a-z]*[. ,/-]*(\d{4})", re.IGNORECASE)
_MONTH_DAY = re.compile(r"([a-z]{3})[a-z]*\.? +(\d{1,2})(?:st|nd|rd|th)?,? +(\d{4})", re.IGNORECASE)
_CLOCK = re.compile(r"(\d{1,2})[:.](\d{2})(?:[:.](\d{2})(?:[.,]\d+)?)?")
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: i for i, name in enumerate(_MONTH_NAMES, 1)}
_OLDEST = datetime(1990, 1, 1, tzinfo=UTC)
_EXCEL_DAY_0 = datetime(1899, 12, 30)  # noqa: DTZ001  # its days are counted without a zone


def read_date(written: str, *, zone: tzinfo, dayfirst: bool, now: datetime) -> datetime | None:
    """The moment in UTC; None when it cannot be read, or lies before 1990 or more than a day ahead of `now`.

    Takes ISO 8601, epoch seconds, milli- and microseconds, RFC 822, 31/12/2025, 12/31/2025, 31.12.2025, 3 May 2025,
    May 3rd, 2025, each with or without a time, and Excel's count of days (45678,5). Without a zone of its own a date
    is taken in `zone`; one that names a zone which is not known is not read.
    """
    written = written.strip()[:80]
    try:
        moment = _moment(written, zone, dayfirst)
        if moment is None:
            return None
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
        return moment if _OLDEST <= moment <= now + timedelta(days=1) else None
    except (ValueError, TypeError, IndexError, OverflowError, OSError):
        return None


def _moment(written: str, zone: tzinfo, dayfirst: bool) -> datetime | None:
    if re.fullmatch(r"\d{9,16}(\.\d+)?", written):  # 8 digits are a date such as 20260131
        epoch = float(written)
        return datetime.fromtimestamp(epoch / (1e6 if epoch >= 1e14 else 1e3 if epoch >= 1e11 else 1), UTC)
    if re.fullmatch(r"\d{5}([.,]\d+)?", written):  # a cell that lost its format: 32874 is the first day of 1990
        return _EXCEL_DAY_0 + timedelta(seconds=round(float(written.replace(",", ".")) * 86400))
    try:
        return datetime.fromisoformat(written)
    except ValueError:
        pass
    parts = take_apart(written)
    if found := _NUMERIC.match(parts.body):
        day = _numeric_day(found[1], found[3], found[4], dayfirst or found[2] == ".")
    elif found := _DAY_MONTH.match(parts.body):
        day = (int(found[3]), _MONTHS.get(found[2].lower(), 0), int(found[1]))
    elif found := _MONTH_DAY.match(parts.body):
        day = (int(found[3]), _MONTHS.get(found[1].lower(), 0), int(found[2]))
    else:
        return mail_date(parts)  # "Tue, 03 Jun 2025 10:00:00 +0200"
    rest = parts.body[found.end() :].strip(" ,T")
    if not rest:
        return datetime(*day, tzinfo=zone)
    clock = _CLOCK.fullmatch(rest)
    if clock is None:
        return None
    return parts.told(datetime(*day, int(clock[1]), int(clock[2]), int(clock[3] or 0), tzinfo=zone))


def _numeric_day(first: str, second: str, third: str, dayfirst: bool) -> tuple[int, int, int]:
    """Year, month, day. The order is the one asked for unless only the other makes a date."""
    if len(first) > 2:
        return int(first), int(second), int(third)
    year = int(third) + (0 if len(third) > 2 else 2000 if int(third) < 70 else 1900)
    day, month = (int(first), int(second)) if dayfirst else (int(second), int(first))
    return (year, month, day) if month <= 12 else (year, day, month)


_NUMBER = r"(\d+(?:[.,]\d+)?)"
_OF = re.compile(rf"{_NUMBER}\s*(?:/|out of|von|sur|of)\s*{_NUMBER}", re.IGNORECASE)
_PERCENT = re.compile(rf"{_NUMBER}\s*%")
_PLAIN = re.compile(rf"(-?{_NUMBER})\s*(?:stars?|★|⭐)?", re.IGNORECASE)
_WORDS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5}


def read_rating(written: str, worst: float, best: float) -> Rating | None:
    """A rating on the scale worst..best, or on the one it names itself ("8/10", "80 %"); None when it has none.

    A value outside its scale is None too: it would say that the scale is another one.
    """
    written = written.strip()[:80]
    if found := _OF.search(written):
        value, best = _number(found[1]), _number(found[2])
        worst = min(worst, 1.0)
    elif found := _PERCENT.fullmatch(written):
        value, worst, best = _number(found[1]), 0.0, 100.0
    elif found := _PLAIN.fullmatch(written):
        value = _number(found[1])
    elif written.strip("★☆⭐ \ufe0f") == "" and (stars := written.count("★") + written.count("⭐")):
        value = float(stars)
    else:
        value = float(_WORDS.get(written.lower(), math.nan))
    return Rating(value, worst, best) if worst <= value <= best and worst < best else None


def _number(written: str) -> float:
    return float(written.replace(",", "."))
