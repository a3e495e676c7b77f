"""English for people: counts with their plural, days and times as one says them, long texts cut at a word."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from listener.engine.labels import TOUCHPOINT_NAMES
from listener.text import clean

# Not strftime: its names follow the process's locale.
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


# Everything that ends a header line for some mail reader, and the marks that turn its text around.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
# The year in a pattern of CLDR, with what joins it to the rest: ", y", " 'de' y", "y年", " y 'г'.".
_YEAR = re.compile(r"[\s,]*(?:'[^']*'\s*)?y+(?:[年년]\s*|\s*'г'\.?)?")


def one_line(text: str) -> str:
    """The text on one line, safe in a header: control and direction marks become spaces, runs of white space one."""
    return " ".join(UNPRINTABLE.sub(" ", text).split())


def count(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: "1 post", "1,204 posts", "2 replies" (irregular plurals are given)."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def usually(mean: float) -> str:
    """What a count is on average: "usually about 1,204", "usually fewer than 1", "usually none"."""
    return f"usually {'none' if mean < 0.05 else 'fewer than 1' if mean < 1 else f'about {mean:,.0f}'}"


def listed(names: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def cut(text: str, limit: int = 240) -> str:
    """The text on one line, at most `limit` characters, ended at a word, with an ellipsis if cut."""
    line = " ".join(clean(text).split())
    if len(line) <= limit:
        return line
    head = line[:limit]
    at_word = head[: head.rfind(" ")] if " " in head[limit // 2 :] else head[: limit - 1]
    return at_word.rstrip(" ,;:.-") + "…"


def span(time: timedelta) -> str:
    """A length of time in its two largest units: "3 days 4 hours", "25 minutes"."""
    minutes = max(1, round(time.total_seconds() / 60))
    sizes = (("day", minutes // 1440), ("hour", minutes // 60 % 24), ("minute", minutes % 60))
    told = [count(number, unit) for unit, number in sizes if number]
    return " ".join(told[:2])


def capital(text: str) -> str:
    """The text with its first letter large, the others as they are."""
    return text[:1].upper() + text[1:]


def long_day(day: date) -> str:
    """ "Saturday 21 November"."""
    return f"{_DAYS[day.weekday()]} {day.day} {_MONTHS[day.month - 1]}"


def short_day(day: date) -> str:
    """ "Sat 21 Nov"."""
    return f"{_DAYS[day.weekday()][:3]} {day.day} {_MONTHS[day.month - 1][:3]}"


def clock(moment: datetime, today: date, zone: ZoneInfo) -> str:
    """A moment seen from the local day `today`: "08:10", "yesterday 23:40", "Thu 19 Nov, 08:10"."""
    local = moment.astimezone(zone)
    time = f"{local:%H:%M}"
    if local.date() == today:
        return time
    if local.date() == today - timedelta(days=1):
        return f"yesterday {time}"
    year = "" if local.year == today.year else f" {local.year}"
    return f"{short_day(local.date())}{year}, {time}"


@dataclass(frozen=True, slots=True)
class Calendar:
    """Days and times as one reader has them: their time zone, and the language of their dates (`de`, `pt-BR`).

    Other languages than English need the package babel.
    """

    zone: ZoneInfo
    language: str = "en"

    def long_day(self, day: date) -> str:
        """ "Saturday 21 November", "Samstag, 21. November"."""
        return long_day(day) if self.language == "en" else self._formatted(day, _YEAR.sub("", self._pattern()))

    def short_day(self, day: date) -> str:
        """ "Sat 21 Nov", "Sa., 21. Nov."."""
        return short_day(day) if self.language == "en" else self._formatted(day, "", "MMMEd")

    def weekday(self, day: date) -> str:
        return _DAYS[day.weekday()] if self.language == "en" else self._formatted(day, "EEEE")

    def clock(self, moment: datetime, today: date) -> str:
        """A moment seen from the local day `today`, as `clock` tells it."""
        local = moment.astimezone(self.zone)
        if self.language == "en" or today - timedelta(days=1) <= local.date() <= today:
            return clock(moment, today, self.zone)
        year = "" if local.year == today.year else f" {local.year}"
        return f"{self.short_day(local.date())}{year}, {local:%H:%M}"

    def _formatted(self, day: date, pattern: str, skeleton: str = "") -> str:
        from babel.dates import format_date, format_skeleton

        locale = self.language.replace("-", "_")
        return str(format_skeleton(skeleton, day, locale=locale) if skeleton else format_date(day, pattern, locale))

    def _pattern(self) -> str:
        from babel.dates import get_date_format

        return str(get_date_format("full", self.language.replace("-", "_")).pattern)


def brand_name(brand: str) -> str:
    """A brand's name as a sentence has it; "" stands for posts that name none."""
    return cut(one_line(brand), 60) or "your sources"


def touchpoint_name(touchpoint: str) -> str:
    return TOUCHPOINT_NAMES.get(touchpoint, touchpoint)


def web_address(url: str) -> str:
    """The address if a mail may link to it: http or https, a host, nothing unseen in it. Else the empty string."""
    url = url.strip()
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    plain = (
        len(url) <= 2000 and clean(url) == url and not any(letter.isspace() or letter in "<>\"'\\`" for letter in url)
    )
    return url if plain and parts.scheme.lower() in ("http", "https") and parts.hostname else ""


def wrapped(text: str, indent: int = 0, width: int = 72) -> str:
    """The text in lines of `width` columns, each indented; addresses and other long words stay whole."""
    space = " " * indent
    return textwrap.fill(
        text, width, initial_indent=space, subsequent_indent=space, break_long_words=False, break_on_hyphens=False
    )
