"""The filters that people give to the figures, checked, and as conditions on the rollups and their views."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Literal

from listener.engine.labels import MOMENTS, PHASES
from listener.errors import ListenerError
from listener.reads.counts import BELOW, BESIDE, FELT_BELOW, FELT_BESIDE
from listener.reads.search import check_names, check_period, fts_query, readable

View = Literal["contributions", "touchpoint_contributions", "touchpoint_months", "pair_contributions"]
# For each view its rollups, the smallest first, and the columns they have beside day and brand.
_ROLLUPS: dict[View, tuple[tuple[str, frozenset[str]], ...]] = {
    "contributions": (
        ("daily_brands", frozenset()),
        ("daily_sources", frozenset({"source"})),
        ("daily_moments", frozenset({"moment", "sentiment"})),
        ("daily_touchpoints", frozenset({"touchpoint"})),
        ("daily_touched", frozenset({"source", "touchpoint"})),
        ("daily", frozenset({"source", "moment", "sentiment"})),
    ),
    "touchpoint_contributions": (
        ("daily_touchpoints", frozenset({"touchpoint"})),
        ("daily_touched", frozenset({"source", "touchpoint"})),
    ),
    "touchpoint_months": (("monthly_touched", frozenset({"source", "touchpoint"})),),  # see `Filters.spans`
    "pair_contributions": (("daily_pairs", frozenset({"source", "other"})),),
}
# These have the source first, and are read from there on.
_BY_SOURCE = ("daily_sources", "daily_touched", "monthly_touched", "daily")
_ALL_SOURCES = "source IN (SELECT name FROM sources)"
# These have the touchpoint first. Each that there is by one step in the index.
_BY_TOUCHPOINT = ("daily_touchpoints", "daily_touched", "monthly_touched")
_BESIDE = ("daily_brands", "daily_sources", *_BY_TOUCHPOINT)  # with a column for each label
_ALL_TOUCHPOINTS = """touchpoint IN (
    WITH RECURSIVE there (name) AS (
        SELECT min(touchpoint) FROM daily_touchpoints
        UNION ALL SELECT (SELECT min(touchpoint) FROM daily_touchpoints WHERE touchpoint > name) FROM there
        WHERE name IS NOT NULL
    )
    SELECT name FROM there WHERE name IS NOT NULL)"""
_COLUMNS = re.compile(r"\b(?:source|moment|sentiment|touchpoint)\b")

_BY_COLUMN = {
    "brands": "brand IN (SELECT value FROM json_each(:brands))",
    "sources": "source IN (SELECT value FROM json_each(:sources))",
    "moments": "moment IN (SELECT value FROM json_each(:moments))",
    "sentiments": "sentiment IN (SELECT value FROM json_each(:sentiments))",
    "since": "day >= :since",
    "until": "day <= :until",
}
# These need single posts, which a rollup does not hold.
_BY_POST = {
    "touchpoints": "post_id IN (SELECT post_id FROM verdict_touchpoints"
    " WHERE touchpoint IN (SELECT value FROM json_each(:touchpoints)))",
    "topics": "post_id IN (SELECT post_id FROM post_topics"
    " WHERE topic IN (SELECT value FROM json_each(:topics)) AND coalesce(right, 1))",
    "query": "post_id IN (SELECT rowid FROM posts_fts WHERE posts_fts MATCH :query)",
    "ratings": "post_id IN (SELECT id FROM posts"
    " WHERE CAST(round(rating * 4) AS INTEGER) + 1 IN (SELECT value FROM json_each(:ratings)))",
}
_MOMENT_OF_POST = (
    "post_id IN (SELECT post_id FROM verdicts WHERE NOT abstained"
    " AND moment IN (SELECT value FROM json_each(:moments)))"
)
_TOUCHPOINT = "touchpoint IN (SELECT value FROM json_each(:touchpoints))"
_BRAND_OF_PAIR = "(brand IN (SELECT value FROM json_each(:brands)) OR other IN (SELECT value FROM json_each(:brands)))"
# The rollups of touchpoints have no row for each sentiment.
_SENTIMENT_OF_POST = (
    "post_id IN (SELECT post_id FROM verdicts WHERE NOT unread"
    " AND sentiment IN (SELECT value FROM json_each(:sentiments)))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which posts are counted. Names within one field are alternatives; every field that is given has to hold.

    `ratings` are stars, 1 to 5; `phases` stand for their moments; `since` and `until` are local days, both included;
    `query` is that of `search.posts`.
    """

    brands: Sequence[str] = ()
    sources: Sequence[str] = ()
    moments: Sequence[str] = ()
    phases: Sequence[str] = ()
    sentiments: Sequence[str] = ()
    touchpoints: Sequence[str] = ()
    topics: Sequence[str] = ()
    ratings: Sequence[int] = ()
    since: date | None = None
    until: date | None = None
    query: str = ""

    def check(self, reader: sqlite3.Connection) -> None:
        """Raises ListenerError: a name that does not exist, `since` after `until`, a query that cannot be read."""
        check_period(self.since, self.until)
        check_names(
            reader, named=self.brands, moments=self.moments, sentiments=self.sentiments, touchpoints=self.touchpoints,
            topics=self.topics, sources=self.sources,
        )  # fmt: skip
        for phase in self.phases:
            if phase not in PHASES.values():
                raise ListenerError(
                    f"there is no phase {phase!r}; there are: {', '.join(dict.fromkeys(PHASES.values()))}"
                )
        fts_query(self.query)

    def where(self, view: View = "contributions", columns: Iterable[str] = ()) -> tuple[str, str, dict[str, Any]]:
        """(table, condition, values) for a count that asks for these columns beside day and brand: the smallest rollup
        that can tell, else the view of single posts.
        """
        used = {name: value for name, value in self._values().items() if value is not None}
        conditions = {**_BY_COLUMN, **_BY_POST}
        single = used.keys() & _BY_POST.keys()
        if view == "touchpoint_months":
            conditions |= {"since": "month >= substr(:since, 1, 7)", "until": "month <= substr(:until, 1, 7)"}
        if view in ("touchpoint_contributions", "touchpoint_months") or (
            view == "contributions" and self._of_one_touchpoint(columns)
        ):
            conditions["touchpoints"] = _TOUCHPOINT
            single -= {"touchpoints"}
        if view != "contributions":
            conditions |= {"moments": _MOMENT_OF_POST, "sentiments": _SENTIMENT_OF_POST}
            single |= used.keys() & {"moments", "sentiments"}
        if view == "pair_contributions":
            conditions["brands"] = _BRAND_OF_PAIR
        which = [conditions[name] for name in used]
        if single:
            return view, " AND ".join(which) or "true", used
        needed = {*columns, *_COLUMNS.findall(" ".join(which))} - {"brand"}
        table = next(name for name, has in _ROLLUPS[view] if needed <= has)
        if used.keys() & {"since", "until"}:
            if table in _BY_SOURCE and "sources" not in used:
                which.append(_ALL_SOURCES)
            if table in _BY_TOUCHPOINT and "touchpoints" not in used:
                which.append(_ALL_TOUCHPOINTS)
        return table, " AND ".join(which) or "true", used

    def _of_one_touchpoint(self, columns: Iterable[str]) -> bool:
        """Whether only that decides which posts are counted. A post may have two, and is to be counted once then."""
        return len(set(self.touchpoints)) == 1 and not self._verdicts and not {"moment", "sentiment"} & set(columns)

    @property
    def by_verdict(self) -> bool:
        """Whether posts are chosen by what the model made of them: its errors among those are others than among all."""
        return bool(self.moments or self.phases or self.sentiments)

    @property
    def _verdicts(self) -> bool:
        """Whether posts are chosen by what no rollup of touchpoints holds."""
        return bool(self.moments or self.phases or self.sentiments or self.topics or self.ratings or self.query)

    def spans(self) -> list[tuple[int, View, Filters]]:
        """The period in pieces to be added up (1) or taken away (-1), for counts of touchpoints: whole months, and the
        few days by which they fall short or go too far. A year by day, source and touchpoint is half a million rows.
        """
        day, month = timedelta(days=1), timedelta(days=32)
        ends: list[tuple[int, View, Filters]] = []
        first = last = None
        if self.since:
            begin = self.since.replace(day=1)
            after = (begin + month).replace(day=1)
            first = begin if self.since.day <= 15 else after
            if first == begin != self.since:
                ends.append((-1, "touchpoint_contributions", replace(self, since=begin, until=self.since - day)))
            elif first == after:
                ends.append((1, "touchpoint_contributions", replace(self, until=after - day)))
        if self.until:
            begin = self.until.replace(day=1)
            after = (begin + month).replace(day=1)
            last = (after if self.until.day > 15 else begin) - day
            if last > self.until:
                ends.append((-1, "touchpoint_contributions", replace(self, since=self.until + day, until=last)))
            elif last < self.until:
                ends.append((1, "touchpoint_contributions", replace(self, since=begin)))
        if self._verdicts or (first and last and first > last):
            return [(1, "touchpoint_contributions", self)]
        return [(1, "touchpoint_months", replace(self, since=first, until=last)), *ends]

    def _values(self) -> dict[str, Any]:
        moments = [moment for moment in MOMENTS if moment in self.moments or PHASES[moment] in self.phases]
        lists = {
            "brands": self.brands, "sources": self.sources, "moments": moments, "sentiments": self.sentiments,
            "touchpoints": self.touchpoints, "topics": self.topics, "ratings": self.ratings,
        }  # fmt: skip
        return {
            **{name: json.dumps(list(values)) if values else None for name, values in lists.items()},
            "since": self.since and self.since.isoformat(),
            "until": self.until and self.until.isoformat(),
            "query": fts_query(self.query) or None,
        }


def checked(reader: sqlite3.Connection, filters: Mapping[str, Any]) -> Filters:
    """The filters, after a look at the database. Raises ListenerError as `Filters.check` does."""
    chosen = Filters(**filters)
    chosen.check(reader)
    return chosen


def rows_of(
    reader: sqlite3.Connection, statement: str, chosen: Filters, view: View = "contributions", **names: str
) -> list[sqlite3.Row]:
    """The rows of a statement with places for {table}, {which}, {labels}, {felt} and `names`."""
    asked = statement.format(table="", which="", labels="", felt="", **names)
    table, which, values = chosen.where(view, set(_COLUMNS.findall(asked)))
    labels, felt = (BESIDE, FELT_BESIDE) if table in _BESIDE else (BELOW, FELT_BELOW)
    told = statement.format(table=table, which=which, labels=labels, felt=felt, **names)
    with readable(chosen.query):
        return reader.execute(told, values).fetchall()
