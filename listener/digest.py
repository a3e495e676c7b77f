"""The daily digest: what people said on one local day, as statements, and those statements as text and HTML."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from itertools import zip_longest
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from listener import digest_lines as lines
from listener import trends
from listener.digest_lines import Quote, Statement
from listener.engine.labels import PHASES
from listener.figures import FEW, Figures, brand_name, gather, news, touchpoint_changes, touchpoint_name, usual_posts
from listener.mail import Rendered, one_line
from listener.trends import PostRow
from listener.wording import capital, count, cut, listed, long_day, short_day, wrapped

_STEPS = {"ltzmot": "Trigger", "zmot": "Research", "fmot": "First sight", "smot": "Purchase", "imot": "Waiting",
          "tmot": "Feedback"}  # fmt: skip
_STEP_HEIGHT_PX = 64
_TOUCHPOINTS_SHOWN = 8
_CANDIDATES = 200  # posts looked through for a list of a few
_DAY = timedelta(days=1)

Choice = Callable[[sqlite3.Connection, date, str], list[PostRow]]


@dataclass(frozen=True, slots=True)
class Step:
    """One moment of the journey: its posts of the day and the height of its bar in pixels."""

    label: str
    phase: str
    posts: int
    height: int


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


def _to_answer(reader: sqlite3.Connection, day: date, brand: str) -> list[PostRow]:
    """Negative posts of customers, those who wait for what they bought among them; the most severe first."""
    rows = trends.top_posts(reader, day, brand, limit=_CANDIDATES)
    return [row for row in rows if row.phase in ("feedback", "transaction") and lines.feeling(row) == "negative"]


def _asked(reader: sqlite3.Connection, day: date, brand: str) -> list[PostRow]:
    return trends.top_posts(reader, day, brand, moment="zmot", order="recent", limit=_CANDIDATES)


def _praised(reader: sqlite3.Connection, day: date, brand: str) -> list[PostRow]:
    """Positive feedback, the clearest first: by rating and score, which both run over two units."""
    rows = trends.top_posts(reader, day, brand, moment="tmot", sentiment="positive", order="recent", limit=_CANDIDATES)
    return sorted((row for row in rows if lines.feeling(row) == "positive"), key=_delight, reverse=True)


def _delight(row: PostRow) -> tuple[float, int]:
    return round((row.score or 0) + (0 if row.rating is None else 2 * row.rating - 1), 2), sum(row.engagement.values())


@dataclass(frozen=True, slots=True)
class Digest:
    """Everything a digest says about one local day, in words; rendering only lays it out.

    `empty`: no post was counted. `quiet`: empty as on other days, every source answered, nothing waits and no rival was
    named, so that a recipient who asked for silence misses nothing.
    """

    day: date
    who: str
    subject: str
    headline: str
    quiet: bool
    empty: bool
    failures: tuple[str, ...]
    statements: tuple[Statement, ...]
    steps: tuple[Step, ...]
    touchpoints: tuple[Row, ...]
    more_touchpoints: str
    brands: tuple[Row, ...]
    lists: tuple[Quotes, ...]
    notes: tuple[str, ...]
    written: str

    @property
    def date_line(self) -> str:
        return f"{long_day(self.day)} {self.day.year}"

    @property
    def made(self) -> str:
        if self.empty:
            return ""
        return "Moment and sentiment are a model’s reading of each post, and it errs; the counts include its errors."


def build(
    reader: sqlite3.Connection,
    own: Sequence[str],
    competitors: Sequence[str],
    day: date,
    now: datetime,
    zone: ZoneInfo,
) -> Digest:
    """The digest of a local day. `own` and `competitors` are brand names; without own brands it tells of the posts that
    name no brand. `now` (aware) and `zone` decide how times are told. Reads only.
    """
    brands = tuple(own) or ("",)
    figures = gather(reader, brands, day)
    health = [source for source in trends.source_health(reader, now) if source.enabled]
    failures = lines.failures(health, now, zone)
    failed = sum(source.state in lines.FAILING for source in health)
    waiting, empty = trends.waiting(reader), figures.posts == 0
    late = trends.late(reader, day - _DAY, now - _DAY)
    charted = figures.posts >= FEW  # the posts themselves, further down, say more than bars of one or two
    touchpoints = _touchpoint_rows(figures) if charted else ()
    compared = _brand_rows(reader, own, competitors, day)
    rivals = sum(row.posts for row in compared[len(own) :])
    answer, questions, praise = (
        _quotes(reader, brands, day, zone, choice, limit)
        for choice, limit in ((_to_answer, 5), (_asked, 3), (_praised, 3))
    )
    changed, missing = lines.changes(figures, bool(failed)), lines.collection(health, failed)
    first = lines.read_first(answer, questions, praise)
    return Digest(
        day=day,
        who=figures.who,
        subject=_subject(figures, day, failed, waiting),
        headline=lines.headline(figures, day, bool(failed), waiting),
        quiet=empty and not (waiting or rivals or changed.tone or missing.tone),
        empty=empty,
        failures=failures,
        statements=(changed, missing)
        if empty
        else (lines.phases(figures), lines.feelings(figures), changed, first, missing),
        steps=_steps(figures) if charted else (),
        touchpoints=touchpoints[:_TOUCHPOINTS_SHOWN],
        more_touchpoints=listed([f"{row.label.lower()} ({row.posts:,})" for row in touchpoints[_TOUCHPOINTS_SHOWN:]]),
        brands=compared if rivals or (len(compared) > 1 and not empty) else (),
        lists=tuple(
            Quotes(heading, quotes)
            for heading, quotes in (
                ("Questions asked before buying", questions),
                ("Feedback to answer first", answer),
                ("What was praised", praise),
            )
            if quotes
        ),
        notes=lines.notes(figures, waiting, late, day - _DAY),
        written=f"{short_day(now.astimezone(zone).date())}, {now.astimezone(zone):%H:%M} ({zone.key})",
    )


def _subject(figures: Figures, day: date, failed: int, waiting: int) -> str:
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
        told = [*told, *changed] if changed else ["a quiet day"]
    return one_line(f"{cut(capital(figures.who), 80)}: {', '.join(told)} ({short_day(day)})")


def _steps(figures: Figures) -> tuple[Step, ...]:
    highest = max(*(figures.moments[moment] for moment in _STEPS), 1)
    return tuple(
        Step(label, PHASES[moment], figures.moments[moment], round(_STEP_HEIGHT_PX * figures.moments[moment] / highest))
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
        )
        for total in figures.touchpoints
    )


def _brand_rows(
    reader: sqlite3.Connection, own: Sequence[str], competitors: Sequence[str], day: date
) -> tuple[Row, ...]:
    totals = [trends.day_totals(reader, day, brand) for brand in (*own, *competitors)]
    longest = max((total.posts for total in totals), default=1)
    return tuple(
        Row(
            label=brand_name(total.brand),
            posts=total.posts,
            negative=total.sentiments["negative"],
            neutral=total.sentiments["neutral"],
            positive=total.sentiments["positive"],
            width=_width(total.posts, longest),
            note=f"{total.research:,} research, {total.feedback:,} feedback",
        )
        for total in totals
    )


def _width(posts: int, longest: int) -> int:
    return max(3, round(100 * posts / max(longest, 1)))


# Posts ----------------------------------------------------------------------------------------------------------------


def _quotes(
    reader: sqlite3.Connection, brands: Sequence[str], day: date, zone: ZoneInfo, choice: Choice, limit: int
) -> tuple[Quote, ...]:
    """The posts of a list; each once, and the same words once. Several brands take turns."""
    found = [choice(reader, day, brand) for brand in brands]
    turns = [post for turn in zip_longest(*found) for post in turn if post is not None]
    said: dict[str, list[PostRow]] = {}
    for post in {post.id: post for post in turns}.values():
        said.setdefault(f"{post.title} {post.text}".casefold(), []).append(post)
    chosen = list(said.values())[:limit]
    return tuple(lines.quote(alike[0], day, zone, len(brands) > 1, len(alike)) for alike in chosen)


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
    return Rendered(digest.subject, text, html)
