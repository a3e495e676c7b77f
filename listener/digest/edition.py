"""What one digest is of: whose brands, which days, which sources, and how its reader has days and links."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

from listener.wording import Calendar


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """`brands` are the recipient's own, ("",) for posts that name none; `day` is the last of `days` local days."""

    brands: tuple[str, ...]
    rivals: tuple[str, ...] = ()
    day: date
    days: int = 1
    sources: tuple[str, ...] = ()  # none: all of them
    now: datetime
    calendar: Calendar
    due: datetime | None = None  # when it was to be sent; None for one that was asked for by hand
    vocabulary: Path | None = None  # the tokenizer of the model, to tell words that it does not know
    page: str = ""  # the address of the page, without a slash at its end; "" where there is none to link to

    @property
    def first(self) -> date:
        return self.day - timedelta(days=self.days - 1)

    @property
    def period(self) -> str:
        """ "day" or "week"."""
        return "day" if self.days == 1 else "week"

    @property
    def when(self) -> str:
        """ "on Saturday", "in the week to Sunday 22 November"."""
        if self.days == 1:
            return f"on {self.calendar.weekday(self.day)}"
        return f"in the week to {self.calendar.long_day(self.day)}"

    @property
    def dates(self) -> str:
        """The days in full: "Saturday 21 November 2026", "Monday 16 November to Sunday 22 November 2026"."""
        last = f"{self.calendar.long_day(self.day)} {self.day.year}"
        return last if self.days == 1 else f"{self.calendar.long_day(self.first)} to {last}"

    @property
    def short_dates(self) -> str:
        """For a subject: "Sat 21 Nov", "week to Sun 22 Nov"."""
        return ("" if self.days == 1 else "week to ") + self.calendar.short_day(self.day)

    def posts(self, **filters: str) -> str:
        """The page that lists the posts of these days that fit; "" without a page."""
        if not self.page:
            return ""
        brand = {"brand": self.brands[0]} if len(self.brands) == 1 and self.brands[0] else {}
        source = {"source": self.sources[0]} if len(self.sources) == 1 else {}
        span = {"since": self.first.isoformat(), "until": self.day.isoformat()}
        return f"{self.page}/posts?{urlencode({**brand, **source, **filters, **span})}"

    def review(self, post_id: int, wrong: str) -> str:
        """The page where a person says that a verdict is wrong; "" without a page."""
        return f"{self.page}/review/{post_id}?{urlencode({'wrong': wrong})}" if self.page else ""
