"""The digest: what people said on a local day or in a week, as statements, and those statements as text and HTML."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from itertools import zip_longest
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from listener import trends
from listener.alerts import notices
from listener.charts import Picture, digest_charts, sparkline
from listener.digest import lines
from listener.digest.edition import Edition
from listener.digest.figures import (
    FEW,
    Figures,
    gather,
    news,
    touchpoint_changes,
    usual_posts,
)
from listener.digest.lines import Quote, Statement
from listener.engine.labels import PHASES
from listener.mail import Rendered
from listener.reads import questions
from listener.reads.drift import drift
from listener.schedule import day_bounds
from listener.tables import events
from listener.trends import PostRow, TrendRow
from listener.wording import brand_name, capital, count, cut, listed, one_line, touchpoint_name, wrapped

_STEPS = {"ltzmot": "Trigger", "zmot": "Research", "fmot": "First sight", "smot": "Purchase", "imot": "Waiting",
          "tmot": "Feedback"}  # fmt: skip
_STEP_HEIGHT_PX = 64
_TOUCHPOINTS_SHOWN = 8
_CANDIDATES = 200  # posts looked through for a list of a few
_COURSE = 3  # days with posts; fewer are no course
_DAY = timedelta(days=1)

Choice = Callable[[sqlite3.Connection, Edition, str], list[PostRow]]


@dataclass(frozen=True, slots=True)
class Step:
    """One moment of the journey: its posts of the day and the height of its bar in pixels."""

    label: str
    phase: str
    posts: int
    height: int
    url: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A touchpoint or a brand: posts by sentiment, their shares of the bar in percent, and what there is to add."""

    label: str
    posts: int
    negative: int
    neutral: int
    positive: int
    width: int  # of the whole bar, percent of the longest
    note: str
    changed: str = ""  # "more than usual", only outside the usual band
    url: str = ""  # the page that lists these posts

    @property
    def parts(self) -> list[tuple[str, int]]:
        """(sentiment, percent of the bar) for the sentiments that occur; the percents add up to 100."""
        whole = self.negative + self.neutral + self.positive
        named = [("negative", self.negative), ("neutral", self.neutral), ("positive", self.positive)]
        found = [(name, number * 100 // whole) for name, number in named if number]
        if found:
            found[-1] = (found[-1][0], 100 - sum(share for _, share in found[:-1]))
        return found

    @property
    def feelings(self) -> str:
        return lines.sides(self.negative, self.neutral, self.positive)


@dataclass(frozen=True, slots=True)
class Quotes:
    """A list of posts under one heading."""

    heading: str
    quotes: tuple[Quote, ...]


def _candidates(reader: sqlite3.Connection, edition: Edition, brand: str, **of: Any) -> list[PostRow]:
    return trends.top_posts(
        reader, edition.day, brand, limit=_CANDIDATES, days=edition.days, sources=edition.sources, **of
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Spike:
    """An alert of these days: what happened, as far as it can be told why, and the page with its posts."""

    what: str
    why: tuple[str, ...]
    url: str


def _to_answer(reader: sqlite3.Connection, edition: Edition, brand: str) -> list[PostRow]:
    """Negative posts of customers, those who wait for what they bought among them; the most severe first."""
    rows = _candidates(reader, edition, brand)
    return [row for row in rows if row.phase in ("feedback", "transaction") and lines.feeling(row) == "negative"]


def _asked(reader: sqlite3.Connection, edition: Edition, brand: str) -> list[PostRow]:
    return _candidates(reader, edition, brand, moment="zmot", order="recent")


def _praised(reader: sqlite3.Connection, edition: Edition, brand: str) -> list[PostRow]:
    """Positive feedback, the clearest first: by rating and score, which both run over two units."""
    rows = _candidates(reader, edition, brand, moment="tmot", sentiment="positive", order="recent")
    return sorted((row for row in rows if lines.feeling(row) == "positive"), key=_delight, reverse=True)


def _delight(row: PostRow) -> tuple[float, int]:
    return round((row.score or 0) + (0 if row.rating is None else 2 * row.rating - 1), 2), sum(row.engagement.values())


@dataclass(frozen=True, slots=True)
class Digest:
    """Everything a digest says of its days, in words; rendering only lays it out.

    `empty`: no post was counted. `quiet`: empty as on other days, every source answered, nothing waits and no rival was
    named, so that a recipient who asked for silence misses nothing.
    """

    edition: Edition
    who: str
    subject: str
    headline: str
    quiet: bool
    empty: bool
    failures: tuple[str, ...]
    statements: tuple[Statement, ...]
    spikes: tuple[Spike, ...]
    course: str  # the last two weeks as blocks, "" where they show nothing
    pictures: tuple[Picture, ...]
    steps: tuple[Step, ...]
    touchpoints: tuple[Row, ...]
    more_touchpoints: str
    brands: tuple[Row, ...]
    lists: tuple[Quotes, ...]
    notes: tuple[str, ...]
    written: str

    @property
    def date_line(self) -> str:
        return self.edition.dates

    @property
    def made(self) -> str:
        if self.empty:
            return ""
        return "Moment and sentiment are a model’s reading of each post, and it errs; the counts include its errors."


def build(reader: sqlite3.Connection, edition: Edition) -> Digest:
    """The digest of an edition. Reads only."""
    figures = gather(reader, edition)
    health = [source for source in trends.source_health(reader, edition.now) if source.enabled]
    if edition.sources:
        health = [source for source in health if source.name in edition.sources]
    failures = lines.failures(health, edition.now, edition.calendar)
    failed = sum(source.state in lines.FAILING for source in health)
    waiting, empty = trends.waiting(reader), figures.posts == 0
    charted = figures.posts >= FEW  # the posts themselves, further down, say more than bars of one or two
    touchpoints = _touchpoint_rows(figures) if charted else ()
    compared = _brand_rows(reader, figures)
    rivals = sum(row.posts for row in compared[len(edition.brands) :])
    answer, praise = (_quotes(reader, edition, *choice) for choice in ((_to_answer, 5), (_praised, 3)))
    asked = _questions(reader, edition, 4)
    changed, missing = lines.changes(figures, bool(failed)), lines.collection(health, failed)
    first = lines.read_first(answer, asked, praise)
    daily = () if empty else _course(reader, edition)
    return Digest(
        edition=edition,
        who=figures.who,
        subject=_subject(figures, failed, waiting),
        headline=lines.headline(figures, bool(failed), waiting),
        quiet=empty and not (waiting or rivals or changed.tone or missing.tone),
        empty=empty,
        failures=failures,
        statements=(changed, missing)
        if empty
        else (lines.phases(figures), lines.feelings(figures), changed, first, missing),
        spikes=_spikes(reader, edition),
        course=_blocks(daily, edition),
        pictures=_pictures(daily, figures),
        steps=_steps(figures) if charted else (),
        touchpoints=touchpoints[:_TOUCHPOINTS_SHOWN],
        more_touchpoints=listed([f"{row.label.lower()} ({row.posts:,})" for row in touchpoints[_TOUCHPOINTS_SHOWN:]]),
        brands=compared if rivals or (len(compared) > 1 and not empty) else (),
        lists=tuple(
            Quotes(heading, quotes)
            for heading, quotes in (
                ("Questions asked before buying", asked),
                ("Feedback to answer first", answer),
                ("What was praised", praise),
            )
            if quotes
        ),
        notes=lines.notes(figures, waiting, _late(reader, edition), drift(reader, edition.day, edition.vocabulary)),
        written=f"{edition.calendar.short_day(edition.now.astimezone(edition.calendar.zone).date())},"
        f" {edition.now.astimezone(edition.calendar.zone):%H:%M} ({edition.calendar.zone.key})",
    )


def _late(reader: sqlite3.Connection, edition: Edition) -> int:
    """Posts of the days before that came in since their own digest."""
    since = edition.now - _DAY * edition.days
    before = [edition.first - _DAY * back for back in range(1, edition.days + 1)]
    return sum(trends.late(reader, day, since, edition.brands, edition.sources) for day in before)


def _spikes(reader: sqlite3.Connection, edition: Edition) -> tuple[Spike, ...]:
    """What was noticed as unusual in these days, first things first."""
    begin, _ = day_bounds(edition.first, edition.calendar.zone)
    _, end = day_bounds(edition.day, edition.calendar.zone)
    noticed = [
        event
        for event in reversed(events.since(reader, begin))
        if begin <= event.noticed_at < end and event.brand in edition.brands
    ]
    return tuple(
        Spike(
            f"{notices.what(event)} (since {edition.calendar.clock(event.began_at, edition.day)})",
            notices.why(event),
            edition.posts(brand=event.brand),
        )
        for event in noticed
    )


def _course(reader: sqlite3.Connection, edition: Edition) -> Sequence[TrendRow]:
    """The four weeks up to the edition's last day, by day."""
    return trends.course(reader, edition.day - 27 * _DAY, edition.day, edition.brands, edition.sources)


def _blocks(daily: Sequence[TrendRow], edition: Edition) -> str:
    """ "▁▂▁▅▇": the posts of each of the last fourteen days; too few days with posts show nothing."""
    counts = Counter[str]()
    for row in daily:
        counts[row.period] += row.posts
    days = [edition.day - _DAY * back for back in range(13, -1, -1)]
    posts = [counts[day.isoformat()] for day in days]
    return sparkline(posts) if sum(map(bool, posts)) >= _COURSE else ""


def _pictures(daily: Sequence[TrendRow], figures: Figures) -> tuple[Picture, ...]:
    alone = figures.usual[0] if len(figures.usual) == 1 and figures.edition.days == 1 else None
    return tuple(digest_charts(daily, figures.edition.day, alone))


def _subject(figures: Figures, failed: int, waiting: int) -> str:
    """The news in one line: whose day, how many posts, what changed."""
    told = [count(figures.posts, figures.noun)]
    changed = [change.short.replace(f" {figures.noun}s than", " than") for change in news(figures)[:1]]
    if figures.posts:
        told += changed
    elif failed:
        told.append(f"{count(failed, 'source')} failed")
    elif waiting:
        told = [f"{count(waiting, 'post waits', 'posts wait')} for a verdict"]
    else:
        told = [*told, *changed] if changed else [f"a quiet {figures.edition.period}"]
    return one_line(f"{cut(capital(figures.who), 80)}: {', '.join(told)} ({figures.edition.short_dates})")


def _steps(figures: Figures) -> tuple[Step, ...]:
    highest = max(*(figures.moments[moment] for moment in _STEPS), 1)
    return tuple(
        Step(
            label,
            PHASES[moment],
            figures.moments[moment],
            round(_STEP_HEIGHT_PX * figures.moments[moment] / highest),
            figures.edition.posts(moment=moment),
        )
        for moment, label in _STEPS.items()
    )


def _touchpoint_rows(figures: Figures) -> tuple[Row, ...]:
    longest = max((total.posts for total in figures.touchpoints), default=1)
    changed = {change.about for change in touchpoint_changes(figures)}
    return tuple(
        Row(
            label=capital(touchpoint_name(total.touchpoint)),
            posts=total.posts,
            negative=total.negative,
            neutral=total.neutral,
            positive=total.positive,
            width=_width(total.posts, longest),
            note=usual_posts(total),
            changed="more than usual" if total.touchpoint in changed else "",
            url=figures.edition.posts(touchpoint=total.touchpoint),
        )
        for total in figures.touchpoints
    )


def _brand_rows(reader: sqlite3.Connection, figures: Figures) -> tuple[Row, ...]:
    """The own brands and their rivals side by side: share of voice, net sentiment, and where their posts are."""
    edition = figures.edition
    own = figures.totals if edition.brands[0] else ()
    some: dict[str, Any] = {"days": edition.days, "sources": edition.sources}
    totals = [*own, *(trends.day_totals(reader, edition.day, rival, **some) for rival in edition.rivals)]
    longest = max((total.posts for total in totals), default=1)
    whole = sum(total.posts for total in totals)
    return tuple(
        Row(
            label=brand_name(total.brand),
            posts=total.posts,
            negative=total.sentiments["negative"],
            neutral=total.sentiments["neutral"],
            positive=total.sentiments["positive"],
            width=_width(total.posts, longest),
            note=lines.side_by_side(total, whole),
            url=edition.posts(brand=total.brand),
        )
        for total in totals
    )


def _width(posts: int, longest: int) -> int:
    return max(3, round(100 * posts / max(longest, 1)))


# Posts ----------------------------------------------------------------------------------------------------------------


def _turns(reader: sqlite3.Connection, edition: Edition, choice: Choice) -> list[PostRow]:
    """The posts of a list, each once; several brands take turns."""
    found = [choice(reader, edition, brand) for brand in edition.brands]
    turns = [post for turn in zip_longest(*found) for post in turn if post is not None]
    return list({post.id: post for post in turns}.values())


def _quotes(reader: sqlite3.Connection, edition: Edition, choice: Choice, limit: int) -> tuple[Quote, ...]:
    """The posts of a list; the same words once."""
    said: dict[str, list[PostRow]] = {}
    for post in _turns(reader, edition, choice):
        said.setdefault(f"{post.title} {post.text}".casefold(), []).append(post)
    chosen = list(said.values())[:limit]
    return tuple(lines.quote(alike[0], edition, len(alike)) for alike in chosen)


def _questions(reader: sqlite3.Connection, edition: Edition, limit: int) -> tuple[Quote, ...]:
    """What several ask comes first, in the words of one of them; then posts that ask something of their own."""
    posts = _turns(reader, edition, _asked)
    shared = [group for group in questions.group(posts) if len(group.posts) > 1]
    told, seen = [], set[int]()
    for group in shared:
        if not seen & {post.id for post in group.posts}:
            told.append(lines.question(group, edition))
            seen |= {post.id for post in group.posts}
    alone = [post for post in posts if post.id not in seen]
    return tuple([*told, *(lines.quote(post, edition) for post in alone)][:limit])


# Rendering ---------------------------------------------------------------------------------------------------------


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("listener"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(wrapped=wrapped, count=count)
    return environment


def render(digest: Digest) -> Rendered:
    """The digest as a subject, plain text and one HTML document; the same statements in both."""
    html, text = (_templates().get_template(f"digest.{kind}").render(digest=digest) for kind in ("html", "txt"))
    return Rendered(digest.subject, text, html, tuple((picture.cid, picture.png) for picture in digest.pictures))
