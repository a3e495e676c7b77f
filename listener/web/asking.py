"""What the address of a page asks for: brand, period and filters, checked, and written as an address again. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

from listener.errors import ListenerError
from listener.reads.journey import Stretch
from listener.trends import Period
from listener.wording import long_day

STRETCHES = {7: "7 days", 28: "4 weeks", 91: "13 weeks", 365: "a year"}
USUAL_DAYS = 28
_BY_DAY, _BY_WEEK = 62, 400  # days up to which a picture has a point a day, a point a week
_ENOUGH = 20  # posts a point, or most of it is guesswork


@dataclass(frozen=True, slots=True)
class Span:
    """A brand over some days. `days` is set where the period was asked for by its length."""

    over: Stretch
    days: int | None

    @property
    def length(self) -> int:
        return (self.over.until - self.over.since).days + 1

    def by(self, posts: int) -> Period:
        """The periods in which to show so many posts: not too many of them, nor too few posts in each for a share."""
        longer: tuple[tuple[Period, int, int], ...] = (("day", 1, _BY_DAY), ("week", 7, _BY_WEEK))
        for name, days, most in longer:
            if self.length <= most and (posts * days >= _ENOUGH * self.length or self.length < 4 * days):
                return name
        return "month" if self.length > _BY_DAY else "week"

    @property
    def before(self) -> Stretch:
        """As many days, just before these."""
        first = self.over.since
        return replace(self.over, since=first - timedelta(days=self.length), until=first - timedelta(days=1))

    @property
    def told(self) -> str:
        """ "Wednesday 28 October to Tuesday 24 November"."""
        since, until = self.over.since, self.over.until
        if since == until:
            return f"{long_day(since)} {since.year}"
        year = "" if since.year == until.year else f" {since.year}"
        return f"{long_day(since)}{year} to {long_day(until)} {until.year}"

    def address(self, **more: str | int | None) -> str:
        """The query of an address that asks for this again, with changes."""
        over = self.over
        period: dict[str, Any] = {"since": over.since.isoformat(), "until": over.until.isoformat()}
        if self.days:
            period = {"days": self.days}
        return query({"brand": over.brand, **period, **more})


def span(args: Mapping[str, str], brands: Sequence[str], last: date | None, today: date) -> Span:
    """What the arguments of an address ask for; the first of `brands` and four weeks up to the `last` day that has
    posts where they do not say. Raises ListenerError for what is no day, no length, or no brand.
    """
    brand = args.get("brand", "")
    if "brand" not in args or (not brand and "" not in brands):
        brand = brands[0] if brands else ""
    elif brand not in brands:
        raise ListenerError(
            f"there is no brand {brand!r} here; there are: {', '.join(filter(None, brands)) or 'none yet'}"
        )
    since, until = day(args, "since"), day(args, "until")
    if since or until:
        until = until or max(since or today, last or today)
        since = since or until - timedelta(days=USUAL_DAYS - 1)
        if since > until:
            raise ListenerError(f"the period begins on {since} and ends before that, on {until}; swap the two")
        return Span(Stretch(brand, since, until), None)
    length = args.get("days", "") or str(USUAL_DAYS)
    if not length.isascii() or not length.isdigit() or not 1 <= int(length[:6]) <= 36_500:
        raise ListenerError(f"{length!r} is not a number of days: write one from 1 to 36500")
    end = last or today
    since = max(date.min + timedelta(days=36_500), end) - timedelta(days=int(length) - 1)
    return Span(Stretch(brand, since, end), int(length))


def day(args: Mapping[str, str], name: str) -> date | None:
    """A day of the arguments, None where it is not given. Raises ListenerError for what is no day."""
    given = args.get(name, "").strip()
    try:
        found = date.fromisoformat(given) if given else None
    except ValueError as error:
        raise ListenerError(f"{given!r} is not a day: write it as 2026-11-21") from error
    if found and not 1970 <= found.year <= 9000:
        raise ListenerError(f"{given!r} is not a day of our time")
    return found


def number(args: Mapping[str, str], name: str, usual: int, most: int) -> int:
    """A whole number of the arguments, from 1 to `most`; `usual` where it is none."""
    given = args.get(name, "")
    return min(most, max(1, int(given))) if given.isascii() and given.isdigit() and len(given) < 10 else usual


def query(of: Mapping[str, Any]) -> str:
    """?a=b&c=d of what is set."""
    given = {name: value for name, value in of.items() if value not in (None, "")}
    return f"?{urlencode(given)}" if given else "?"


def pairs(query: str) -> dict[str, str]:
    """What a query of an address says, the other way round."""
    return dict(parse_qsl(query.removeprefix("?"), max_num_fields=50))
