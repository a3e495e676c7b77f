"""The first page: a brand over some days, as one picture of the way people go, and what moved."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from listener import trends
from listener.alerts import notices
from listener.engine.labels import SENTIMENTS
from listener.reads import health, journey
from listener.reads.changes import Change
from listener.reads.counts import Interval, Totals
from listener.tables import events
from listener.web import asking, pictures
from listener.web.choice import asked
from listener.web.forms import STEPS, per_cent, signed, touchpoint
from listener.web.site import Shown, Site
from listener.wording import capital, count

_WELL = ("ok", "empty", "new")  # states of a source that need nobody


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of the head of the page: where it is for sure, what it was before, and the filters of its posts."""

    label: str
    value: str
    detail: str
    before: str
    tone: str = ""
    filters: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """A change that chance does not explain. `filters` find its posts."""

    said: str
    detail: str
    up: bool
    filters: Mapping[str, str]


async def overview(site: Site, request: Any) -> Shown:
    return Shown("overview.html", await site.read(lambda reader: _context(reader, site, request.args)))


def _context(reader: sqlite3.Connection, site: Site, args: Mapping[str, str]) -> dict[str, Any]:
    span, names = asked(reader, site, args)
    period: dict[str, Any] = {"since": span.over.since, "until": span.over.until}
    total = journey.total(reader, span.over)
    steps, touched = journey.moments(reader, span.over), journey.touchpoints(reader, span.over)
    voices = [journey.total(reader, journey.Stretch(name, **period)) for name in names if name]
    by = span.by(total.posts)
    rows: list[trends.TrendRow] = []
    impacts: dict[str, Interval] = {}
    changed: list[Change] = []
    if total.posts:  # a brand of the configuration need not be named by any post yet
        of = {"brands": [span.over.brand], **period}
        rows = trends.trends(reader, by=by, **of)
        impacts = {each.touchpoint: each.weight for each in trends.impact(reader, **of)}
        changed = trends.changes(reader, **of)
    sources = [each for each in health.source_health(reader, site.clock()) if each.enabled]
    return {
        "span": span,
        "by": by,
        "brands": names,
        "stretches": asking.STRETCHES,
        "vega": pictures.script_address(),
        "total": total,
        "figures": _figures(total, journey.total(reader, span.before)),
        "rows": rows,
        "steps": [(moment, name, steps.get(moment, {})) for moment, name in STEPS.items()],
        "most": _most(of for moment, of in steps.items() if moment in STEPS),
        "touchpoints": touched,
        "most_touched": _most(touched.values()),
        "impacts": impacts,
        "voices": sorted((each for each in voices if each.posts), key=lambda each: -each.posts),
        "voice": sum(each.posts for each in voices),
        "moves": [_move(each) for each in changed if each.clear],
        "waiting": trends.waiting(reader),
        "sources": sources,
        "alerts": [notices.what(event) for event in events.going_on(reader) if event.brand],
        "ill": [each for each in sources if each.state not in _WELL],
        "anything": trends.days(reader)[1] is not None,
    }


def _most(rows: Any) -> int:
    return max((sum(each.values()) for each in rows), default=0) or 1


def _figures(total: Totals, before: Totals) -> list[Figure]:
    def shown(
        label: str,
        now: Interval,
        then: Interval,
        of: tuple[str, str] = ("post", ""),
        tone: str = "",
        signs: bool = False,
    ) -> Figure:
        write = signed if signs else per_cent
        found = {"phase": tone} if tone else None
        was = f"before: {write(then.value)}" if then.enough else "before: too few posts"
        if not now.enough:
            return Figure(label, "–", f"too few: {count(now.n, *of)}", was, tone, found)
        detail = f"{write(now.low)} to {write(now.high)}, of {count(now.n, *of)}"
        return Figure(label, write(now.value), detail, was, tone, found)

    return [
        shown("Research", total.shares.research, before.shares.research, tone="research"),
        shown("Feedback", total.shares.feedback, before.shares.feedback, tone="feedback"),
        shown("Net sentiment", total.net, before.net, ("post that takes a side", "posts that take a side"), signs=True),
        shown("Satisfied", total.csat, before.csat, ("rating or review", "ratings and reviews")),
    ]


def _move(change: Change) -> Move:
    up = (change.after or 0) > (change.before or 0)
    name, more = change.figure, "more" if up else "less"
    if name == "posts a day":
        return Move(f"{capital(more)} posts", f"{change.after:.1f} a day, before {change.before:.1f}", up, {})
    detail = f"{per_cent(change.after)} of posts, before {per_cent(change.before)}"
    if name.startswith("about "):
        part = name.removeprefix("about ")
        return Move(f"{capital(more)} about {touchpoint(part)}", detail, up, {"touchpoint": part})
    return Move(f"{capital(more)} {name}", detail, up, {"sentiment" if name in SENTIMENTS else "phase": name})


ROUTES = ((r"/$", overview),)
