"""The pictures of a digest: what the days before were like, for a mail that also stands without them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, NamedTuple

from listener import log
from listener.charts.drawing import can_draw, png
from listener.charts.looks import Spec, name, per_cent
from listener.charts.shares import by_brand, phases, share_told
from listener.charts.sides import volumes
from listener.errors import ListenerError
from listener.reads.counts import ENOUGH
from listener.wording import capital, count

if TYPE_CHECKING:
    from listener.reads.counts import TrendRow
    from listener.trends import Usual

_DAYS = 28  # that are shown
_BYTES = 40_000  # of one picture
_SHARES = 7  # days with posts enough for a share; fewer show no course of it
_COURSE = 3  # days with posts; fewer show no course


class Picture(NamedTuple):
    """An image of a mail: its Content-ID without angle brackets, the PNG, and the news in words."""

    cid: str
    png: bytes
    alt: str


def digest_charts(
    rows: Sequence[TrendRow], day: date, usual: Usual | None = None, *, width: int = 480, scale: float = 2.3
) -> list[Picture]:
    """At most two pictures for the digest of `day`, from the daily rows of its brands: the 28 days up to that day,
    research against feedback of the most mentioned of them, and the sentiment of all. `usual` is that of the one brand.
    They are narrower than a mail, so that their words are still read on a telephone.

    None without the extra `charts`, on a day without posts, and where the days before do not make a course yet.
    """
    first = day - timedelta(days=_DAYS - 1)
    rows = [row for row in rows if first.isoformat() <= row.period <= day.isoformat()]
    groups = {brand: [row for row in of if sum(row.sentiments.values())] for brand, of in by_brand(rows).items()}
    today = [row for row in rows if row.period == day.isoformat()]
    if not can_draw() or not any(row.posts for row in today):
        return []
    found: list[Picture] = []
    brand, own = next(iter(groups.items()))
    of_day = next((row for row in own if row.period == day.isoformat()), None)
    if of_day and sum(row.shares.research.enough for row in own) >= _SHARES:
        alone = usual if len(groups) == 1 else None
        told = _phases_told(of_day, brand, alone)
        found += _picture("research-feedback@listener", phases(own, width=width), told, scale)
    by_day: dict[str, Counter[str]] = {}
    for of in groups.values():
        for row in of:
            by_day.setdefault(row.period, Counter()).update(row.sentiments)
    if len(by_day) >= _COURSE:
        who = name(brand) if len(groups) == 1 else f"{count(len(groups), 'brand')} together"
        told = _felt_told(today, usual if len(groups) == 1 else None)
        found += _picture("sentiment@listener", volumes(by_day, who, width=width), told, scale)
    return found


def _picture(cid: str, spec: Spec, told: str, scale: float) -> list[Picture]:
    """The picture within what a mail has room for, a restless one at less sharpness. A mail goes without it rather
    than not at all.
    """
    try:
        drawn = png(spec, scale)
        return [Picture(cid, drawn if len(drawn) <= _BYTES else png(spec, scale * 0.7), told)]
    except ListenerError as error:
        log.event("picture_failed", logging.WARNING, picture=cid, error=str(error))
        return []


def _phases_told(row: TrendRow, brand: str, usual: Usual | None) -> str:
    """ "Research 23%, usually 10% to 20%; feedback 41%, usually 30% to 45%; of the posts of Acme"."""
    if not row.shares.research.enough:
        return f"Research and feedback of {name(brand)}: {count(row.posts, 'post')}, too few for a share."
    told = []
    for phase in ("research", "feedback"):
        share = getattr(row.shares, phase)
        # The usual is that of shares as counted.
        plain = f"{phase} {per_cent(share.value)}{_usually(usual, phase)}"
        told.append(share_told(phase, share) if row.shares.corrected else plain)
    return f"{capital('; '.join(told))} (shares of the posts of {name(brand)})."


def _felt_told(rows: Sequence[TrendRow], usual: Usual | None) -> str:
    """ "12 positive, 20 neutral, 18 negative posts; negative 36%, usually 20% to 30%"."""
    felt: Counter[str] = sum((Counter(row.sentiments) for row in rows), Counter())
    whole = sum(felt.values())
    counts = ", ".join(f"{felt[each]:,} {each}" for each in ("positive", "neutral", "negative"))
    if whole < ENOUGH:
        return f"{counts} posts."
    return f"{counts} posts; negative {per_cent(felt['negative'] / whole)}{_usually(usual, 'negative')}."


def _usually(usual: Usual | None, what: str) -> str:
    low, high = (getattr(usual, f"{what}_{end}", None) for end in ("low", "high"))
    if low is None or high is None:
        return ""
    band = per_cent(low) if per_cent(low) == per_cent(high) else f"{per_cent(low)} to {per_cent(high)}"
    return f", usually {band}"
