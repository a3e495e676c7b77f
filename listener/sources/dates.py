"""What follows the clock in a written date, and must not be lost: AM or PM, and the zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from email.utils import parsedate_to_datetime
from typing import NamedTuple

# RFC 822, section 5.1, and the names of Europe. Others mean several zones, as IST does those of India, Ireland, Israel.
_HOURS = {
    "Z": 0, "UT": 0, "UTC": 0, "GMT": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8,
    "PDT": -7, "WET": 0, "WEST": 1, "BST": 1, "CET": 1, "CEST": 2, "MEZ": 1, "MESZ": 2, "EET": 2, "EEST": 3,
}  # fmt: skip
_ZONE = rf"(?:(?:UTC?|GMT)\s?)?[+\u2212-]\d{{1,2}}(?::?\d\d)?|(?:{'|'.join(_HOURS)})\b"
_BEHIND_CLOCK = re.compile(
    r"(?P<clock>\b\d{1,2}[:.]\d\d(?:[:.]\d\d(?:[.,]\d+)?)?)"
    r"(?:\s*(?P<half>[ap])(?:\.?\s?m)?\.?(?![a-z]))?(?:\s*(?:uhr|hrs?|h)\b)?"
    rf"(?:\s*(?P<zone>{_ZONE})(?:\s*\([^()]*\))?|\s*\((?P<within>{_ZONE})\))?"
    r"(?P<year>\s+\d{4})?$",  # as in "Tue Jun 3 10:00:00 CEST 2025"
    re.IGNORECASE,
)
_OFFSET = re.compile(r"([+\u2212-])(\d{1,2}):?(\d\d)?$")
# Words behind the clock or the year, or a half of the day that stands elsewhere: something not understood.
_LEFT_OVER = re.compile(r"(?::\d\d|\d{4})\D*[^\W\d_]|\b[ap]\.?m\b", re.IGNORECASE)


class Written(NamedTuple):
    """A written date taken apart."""

    body: str  # the date and the clock
    half: str  # "a", "p" or ""
    zone: tzinfo | None

    def told(self, read: datetime) -> datetime:
        """What was read of the body, with the half of the day and the zone; without a zone if there is none.

        Raises ValueError for 13:00 AM.
        """
        if self.half:
            if self.half == "a" and read.hour > 12:
                raise ValueError(f"there is no {read.hour} o'clock in the morning")
            read = read.replace(hour=read.hour % 12 + (12 if self.half == "p" else 0))
        return read.replace(tzinfo=self.zone) if self.zone else read


def take_apart(written: str) -> Written:
    """The date and its clock, and what is said behind them. Raises ValueError for a zone that cannot be, as GMT+99."""
    written = " ".join(written.split()).replace(" at ", " ")
    found = _BEHIND_CLOCK.search(written)
    if found is None:
        return Written(written, "", None)
    zone = found["zone"] or found["within"]
    body = written[: found.end("clock")] + (found["year"] or "")
    return Written(body, (found["half"] or "").lower(), _zone(zone) if zone else None)


def _zone(written: str) -> tzinfo:
    found = _OFFSET.search(written)
    if found is None:
        return timezone(timedelta(hours=_HOURS[written.upper()]))
    hours, minutes = int(found[2]), int(found[3] or 0)
    if hours > 14 or minutes > 59:
        raise ValueError(f"there is no zone {written}")
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(offset if found[1] == "+" else -offset) if offset else UTC


def mail_date(written: Written) -> datetime | None:
    """A date as RFC 822, RFC 850, asctime or Date.toString write it; naive where it names no zone.

    None for anything else. parsedate_to_datetime alone passes over every word that it does not know: 10 PM became 10 in
    the morning, and CEST the zone of the reader.
    """
    if _LEFT_OVER.search(written.body):
        return None
    try:
        return written.told(parsedate_to_datetime(f"{written.body} -0000"))  # RFC 850 is told by the zone at its end
    except (TypeError, IndexError):
        return None
