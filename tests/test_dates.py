"""Dates as people and programs write them: AM and PM, and zones by name or by number, on pages and in files."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener.sources import shared, values

NOW = datetime(2025, 11, 1, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")

ZONED = [
    ("Jun 3, 2025 10:00:00 PM PDT", "2025-06-04T05:00"), ("3 Jun 2025 10:00:00 PM EST", "2025-06-04T03:00"),
    ("3 Jun 2025 12:30 AM CST", "2025-06-03T06:30"), ("Tue, Jun 3, 2025 10:00 PM CEST", "2025-06-03T20:00"),
    ("Mon, 03 Jun 2025 10:00:00 CEST", "2025-06-03T08:00"), ("3 Jun 2025 22:00 CET", "2025-06-03T21:00"),
    ("3 Jun 2025 22:00:00 BST", "2025-06-03T21:00"), ("3 Jun 2025 22:00:00 (MESZ)", "2025-06-03T20:00"),
    ("Jun 3, 2025 10:00 GMT+2", "2025-06-03T08:00"), ("3 Jun 2025 10:00 UTC+02:00", "2025-06-03T08:00"),
    ("3 Jun 2025 10:00 PM GMT -3:30", "2025-06-04T01:30"), ("3 Jun 2025 10:00 Z", "2025-06-03T10:00"),
    ("Wed Oct 01 2025 00:00:00 GMT+0200 (Central European Summer Time)", "2025-09-30T22:00"),
    ("Tue Jun 3 10:00:00 CEST 2025", "2025-06-03T08:00"), ("Tue Jun 03 10:00:00 -0400 2025", "2025-06-03T14:00"),
    ("Tue, 03 Jun 2025 10:00:00 -0000", "2025-06-03T10:00"), ("Tuesday, 03-Jun-25 10:00:00 GMT", "2025-06-03T10:00"),
    ("2025-06-03 10:00:00 PM +0200", "2025-06-03T20:00"), ("2025-06-03 10:00:00 +0200", "2025-06-03T08:00"),
    ("2025-06-03T10:00:00.5-07:00", "2025-06-03T17:00:00.500"), ("2025-06-03 22:00 MEZ", "2025-06-03T21:00"),
]  # fmt: skip
NUMBERS = [
    ("2025/06/03 10:15:22 PM GMT+2", "2025-06-03T20:15:22"), ("2025/06/03 9:15:22 AM GMT+2", "2025-06-03T07:15:22"),
    ("2025/06/03 10:15:22 PM MESZ", "2025-06-03T20:15:22"), ("06/03/2025 10:00 PM EST", "2025-06-04T03:00"),
    ("03.06.2025 22.15 UTC", "2025-06-03T22:15"),
]  # fmt: skip
LOCAL = [
    ("June 3, 2025 10:00 PM", "2025-06-03T22:00"), ("3 Jun 2025 10:00 pm", "2025-06-03T22:00"),
    ("June 3, 2025 at 12:05 a.m.", "2025-06-03T00:05"), ("Tue, Jun 3, 2025 10:00 PM", "2025-06-03T22:00"),
    ("Jun 3, 2025, 10:00:00\u202fPM", "2025-06-03T22:00"), ("3 Jun 2025 10:00 p. m.", "2025-06-03T22:00"),
    ("Tue Jun  3 22:00:00 2025", "2025-06-03T22:00"), ("3 June 2025, 22:00", "2025-06-03T22:00"),
]  # fmt: skip
LOST = [
    "3 Jun 2025 22:00 XYZ", "3 Jun 2025 10:00 PM IST", "Tue Jun 3 10:00:00 XYZ 2025", "June 3, 2025 10:00 PM to 11:00",
    "June 3, 2025 PM 10:00", "3 Jun 2025 10:00 GMT+99", "3 Jun 2025 10:00 +0275", "Tue, 3 Jun 2025 10:00:00 +0200 PM",
    "3 Jun 2025 13:00 AM", "3 Jun 2025 CEST",
]  # fmt: skip


def in_a_file(written: str, zone: ZoneInfo = BERLIN) -> datetime | None:
    return values.read_date(written, zone=zone, dayfirst=False, now=NOW)


@pytest.mark.parametrize(("written", "iso"), ZONED + NUMBERS)
def test_a_zone_that_is_written_is_the_one_meant(written: str, iso: str) -> None:
    assert in_a_file(written) == datetime.fromisoformat(iso).replace(tzinfo=UTC)


@pytest.mark.parametrize(("written", "iso"), ZONED)
def test_pages_and_feeds_have_their_zones_read(written: str, iso: str) -> None:
    assert shared.read_date(written, NOW) == datetime.fromisoformat(iso).replace(tzinfo=UTC)


@pytest.mark.parametrize(("written", "iso"), LOCAL)
def test_the_afternoon_is_not_the_morning(written: str, iso: str) -> None:
    assert in_a_file(written) == datetime.fromisoformat(iso).replace(tzinfo=BERLIN)
    assert shared.read_date(written, NOW) == datetime.fromisoformat(iso).replace(tzinfo=UTC)


@pytest.mark.parametrize("written", LOST)
def test_a_date_is_not_read_without_what_it_says_of_zone_and_half_of_the_day(written: str) -> None:
    assert in_a_file(written) is None
    assert shared.read_date(written, NOW) is None


PARTS = ["3 Jun 2025", "2025-06-03", "Tue,", "06/03/25", "10:00", "9.15", "PM", "a.m.", "+02", "GMT", "(", ")", "99"]


@given(st.lists(st.sampled_from(PARTS) | st.text(max_size=5), max_size=7).map(" ".join))
def test_whatever_is_written_is_a_date_or_none(written: str) -> None:
    for found in (in_a_file(written), shared.read_date(written, NOW)):
        assert found is None or found.tzinfo is UTC
