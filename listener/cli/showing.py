"""What `trends --show` and `--per` print: a period taken apart, as tables or JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from listener.cli.shared import as_json, say, share, table

if TYPE_CHECKING:
    import sqlite3

    from listener.reads.breakdowns import Pair, Part, Voice
    from listener.reads.changes import Change
    from listener.reads.counts import Interval, Per
    from listener.reads.impacts import Impact
    from listener.reads.questions import Group

NAMELESS = "(none)"
SHOWS = ("periods", "voice", "touchpoints", "changes", "pairs", "questions")
_WEEK = timedelta(days=6)


def show(reader: sqlite3.Connection, what: str, by: str, filters: dict[str, Any], json_: bool) -> None:
    """Prints one of SHOWS, all but "periods"."""
    from listener import trends

    if what == "voice":
        _print(trends.voice(reader, by, **filters), _voices, json_)
    elif what == "touchpoints":
        _print(trends.impact(reader, **filters), _impacts, json_)
    elif what == "changes":
        since, until = _period(reader, filters.pop("since"), filters.pop("until"))
        found = trends.changes(reader, since, until, **filters)
        if not json_:
            days = (until - since).days + 1
            earlier = f"{since - timedelta(days=days)} to {since - timedelta(days=1)}"
            say(f"{since} to {until}, compared with {earlier}. What is not clear may be chance alone.")
        _print(found, _changes, json_)
    elif what == "pairs":
        _print(trends.pairs(reader, **filters), _pairs, json_)
    else:
        groups, looked = trends.questions(reader, **filters)
        if not json_:
            say(f"Of the newest {looked:,} posts that look around before buying.")
        _print(groups, _questions, json_)


def show_parts(reader: sqlite3.Connection, per: Per, by: str, filters: dict[str, Any], json_: bool) -> None:
    """Prints the periods taken apart by source, moment ..."""
    from listener import trends

    _print(trends.parts(reader, per, by, **filters), lambda rows: _parts(per, rows), json_)


def _print(rows: Sequence[Any], draw: Any, json_: bool) -> None:
    if json_:
        as_json([_plain(row) for row in rows])
    elif rows:
        draw(rows)
    else:
        say("No judged posts here that would tell.")


def _plain(row: Any) -> dict[str, Any]:
    """A row with every interval as {"value", "low", "high", "n"}, null where there is not enough data."""
    from listener.reads.changes import Change
    from listener.reads.counts import Interval
    from listener.reads.questions import Group

    if isinstance(row, Group):
        posts = [{"id": post.id, "source": post.source, "url": post.url, "day": post.day} for post in row.posts]
        return {"question": row.question, "words": row.words, "asked": len(posts), "posts": posts}
    told = {field.name: getattr(row, field.name) for field in fields(row)}
    plain = {
        name: {**each.as_json(), "n": each.n} if isinstance(each, Interval) else each for name, each in told.items()
    }
    return plain | ({"clear": row.clear} if isinstance(row, Change) else {})


def _period(reader: sqlite3.Connection, since: date | None, until: date | None) -> tuple[date, date]:
    """The period asked for; without one, the seven days up to the last one with posts."""
    from listener import trends

    last = until or trends.days(reader)[1] or date.min + 2 * _WEEK
    return since or last - _WEEK, last


def _parts(per: str, rows: Sequence[Part]) -> None:
    titles = ["period", "brand", "stars" if per == "rating" else per, "posts", "share", "negative", "neutral",
              "positive", "net"]  # fmt: skip
    table(
        titles,
        [
            [r.period, r.brand or NAMELESS, r.part, r.posts, share(r.share), r.negative, r.neutral, r.positive,
             signed(r.net)]
            for r in rows
        ],
        right=titles[3:],
        whole=["period"],
        spare=["negative", "neutral", "positive"],
    )  # fmt: skip
    if per == "touchpoint":
        say("A post may speak of several touchpoints, so that the shares do not add up to 100%.")


def _voices(rows: Sequence[Voice]) -> None:
    table(
        ["period", "brand", "mentions", "share of voice", "net"],
        [[r.period, r.brand, r.posts, share(r.share), signed(r.net)] for r in rows],
        right=["mentions", "share of voice", "net"],
        whole=["period"],
    )


def _impacts(rows: Sequence[Impact]) -> None:
    titles = ["posts", "share", "sentiment", "stars", "pull on all"]
    table(
        ["brand", "touchpoint", *titles],
        [
            [r.brand or NAMELESS, r.touchpoint, r.posts, f"{r.share:.0%}", signed(r.score), signed(r.rating, 1),
             signed(r.weight, 3)]
            for r in rows
        ],
        right=titles,
    )  # fmt: skip
    say(
        "sentiment, stars: what posts that speak of the touchpoint differ by from the other posts of the same sources "
        "(sentiment runs from -1 to +1), with the 95% interval. pull on all: by how much it moves the mean of all "
        "posts; the one that hurts most stands first."
    )


def _changes(rows: Sequence[Change]) -> None:
    def told(row: Change, value: float | None) -> str:
        if value is None:
            return "-"
        return f"{value:,.1f}" if row.figure == "posts a day" else f"{value:.0%}"

    def moved(row: Change) -> str:
        low, value, high = row.difference.low, row.difference.value, row.difference.high
        if not row.difference.enough or low is None or value is None or high is None:
            return "too few"
        if row.figure == "posts a day":
            return f"{value:+,.1f} {low:+,.1f} to {high:+,.1f}"
        return f"{value * 100:+.0f} points {low * 100:+.0f} to {high * 100:+.0f}"

    titles = ["brand", "figure", "before", "after", "difference", "a change?"]
    table(
        titles,
        [
            [r.brand or NAMELESS, r.figure, told(r, r.before), told(r, r.after), moved(r), "yes" if r.clear else ""]
            for r in rows
        ],
        right=titles[2:5],
    )


def _pairs(rows: Sequence[Pair]) -> None:
    table(
        ["brand", "other", "posts", "research"],
        [list(asdict(r).values()) for r in rows],
        right=["posts", "research"],
    )
    say("research: those of the posts that weigh the two before buying.")


def _questions(rows: Sequence[Group]) -> None:
    from listener.wording import cut

    table(
        ["posts", "asked", "newest", "words in common"],
        [[len(r.posts), cut(r.question, 160), f"{r.posts[0].day:%d %b %y}", ", ".join(r.words)] for r in rows],
        right=["posts"],
        whole=["newest"],
        spare=["words in common"],
    )


def signed(figure: Interval, digits: int = 2) -> str:
    """ "-0.31 -0.40 to -0.22", or that there is not enough data."""
    if figure.value is None or figure.low is None or figure.high is None:
        return "-"
    if not figure.enough:
        return "too few"
    return f"{figure.value:+.{digits}f} {figure.low:+.{digits}f} to {figure.high:+.{digits}f}"
