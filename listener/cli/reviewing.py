"""The command that asks a person what posts say: review."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import date
from typing import TYPE_CHECKING, Literal

import click

from listener.cli.shared import DAY, as_json, common, say, share
from listener.engine.labels import MOMENT_NAMES, MOMENTS, SENTIMENTS, TOUCHPOINTS

if TYPE_CHECKING:
    from listener.config import Config
    from listener.reads.counts import Interval
    from listener.reads.review import Queued
    from listener.records import Correction
    from listener.store import Store

_CUT = 500  # characters of a text before "m"
_MOMENTS = {str(number): moment for number, moment in enumerate(MOMENTS, 1)}
_SENTIMENTS = dict(zip("-0+", SENTIMENTS, strict=True))
_TOUCHPOINTS = dict(zip("abcdefghijklmnopq", TOUCHPOINTS, strict=True))
_ENTER = ""
_OTHER = "Enter takes the model's guess, m more, t touchpoints too, n not us, u undo, s skip, q quit"
Ask = Callable[[str], str]
Answer = Literal["quit", "skip", "undo"]


@click.command(short_help="Asks you about the posts that teach the model most.")
@click.option("--brand", help="Posts that name this brand.")
@click.option("--source", help="Posts of this source.")
@click.option("--moment", type=click.Choice(MOMENTS), help="Posts that the model puts at this moment.")
@click.option("--since", type=DAY, metavar="DAY", help="From this local day on: 2026-11-21, yesterday, 7d.")
@click.option("--until", type=DAY, metavar="DAY", help="Up to this local day, included.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="At most this many posts.")
@click.option("--random", "drawn", is_flag=True, help="Only posts drawn at random: your test set grows.")
@click.option("--json", "json_", is_flag=True, help="The queue as JSON; asks nothing.")
@common
def review(
    config: Config,
    brand: str | None,
    source: str | None,
    moment: str | None,
    since: date | None,
    until: date | None,
    limit: int,
    drawn: bool,
    json_: bool,
) -> None:
    """Shows posts one at a time and asks for the moment, the sentiment and, if you like, the touchpoints.

    What you say counts at once, in every trend, whatever a model says later. A fifth of the posts is drawn at random
    and kept apart: they tell how often the model is right, never train it, and come without its guess, so that it does
    not lead you. Answers may also come as lines on stdin. docs/learning.md tells more.
    """
    from listener import pipeline
    from listener import trends as reading
    from listener.reads import review as reviewing

    with closing(reading.open_reader(config.database, config.zone)) as reader:
        queue = reviewing.queue(
            reader,
            brand=brand,
            source=source,
            moment=moment,
            since=since,
            until=until,
            limit=limit,
            share=1.0 if drawn else reviewing.APART,
        )
        if json_:
            as_json([each.as_json() for each in queue])
            return
        if not queue:
            say("Nothing to review here: no judged post that nobody has looked at fits.")
            return
        with pipeline.open_store(config) as store:
            said = _ask_all(store, queue, config, _key if sys.stdin.isatty() else _line)
        told = reviewing.agreement(reader)
    say(f"\n{said} of {len(queue)} posts judged.")
    if told:
        whole: Interval = told[-1].moment
        told_share = f"{share(whole)} of {whole.n:,}" if whole.enough else f"{whole.n} so far, too few to say how often"
        say(f"On posts drawn at random the model gave your moment: {told_share}.")


def _ask_all(store: Store, queue: Sequence[Queued], config: Config, ask: Ask) -> int:
    """Asks about each post and stores what is said at once; returns about how many something was said."""
    from listener.daemon import now_utc
    from listener.errors import ListenerError

    at, said = 0, list[int]()
    while at < len(queue):
        answer = _ask_one(queue[at], f"{at + 1} of {len(queue)}", config, ask)
        if answer == "quit":
            break
        if answer == "undo":
            if not said:
                say("There is nothing to undo yet.")
                continue
            at = said.pop()
            store.undo_correction(queue[at].post.id, now_utc())
            continue
        if answer != "skip":
            try:
                store.correct(queue[at].post.id, answer, now_utc())
                said.append(at)
            except ListenerError as error:  # deleted or edited meanwhile
                say(f"Not stored: {error}.")
        at += 1
    return len(said)


def _ask_one(queued: Queued, place: str, config: Config, ask: Ask) -> Correction | Answer:
    from listener.records import Correction

    _show(queued, place, config, _CUT)
    hints = {key: f"{key} {moment}" for key, moment in _MOMENTS.items()}
    say(f"  {'  '.join(hints.values())}\n  {_OTHER}")
    guessed = None if queued.why == "random" else _likeliest(queued.moments)
    with_touchpoints = False
    while True:
        given = ask("moment: ")
        if given in ("q", "s", "u"):
            return {"q": "quit", "s": "skip", "u": "undo"}[given]  # type: ignore[return-value]
        if given == "m":
            _show(queued, place, config, None)
        elif given == "t":
            with_touchpoints = True
            say("  The touchpoints are asked for after the sentiment.")
        elif given == "n":
            brand = _brand(list(queued.post.brands), ask)
            if brand:
                return Correction(not_brand=brand, shown=queued.why, text_hash=queued.text_hash)
        else:
            moment = guessed if given == _ENTER else _MOMENTS.get(given)
            if moment:
                break
            say("  That is no key here." if given else "  Drawn at random: the model keeps its guess to itself.")
    sentiment = _sentiment(queued, ask)
    if sentiment == "quit":
        return "quit"
    touchpoints = _touchpoints(ask) if with_touchpoints else None
    return Correction(
        moment=moment,
        sentiment=sentiment,
        touchpoints=touchpoints,
        shown=queued.why,
        text_hash=queued.text_hash,
    )


def _sentiment(queued: Queued, ask: Ask) -> str:
    """The sentiment, or "quit"."""
    guessed = None if queued.why == "random" else _likeliest(queued.sentiments)
    while True:
        given = ask(f"  sentiment ({'  '.join(f'{key} {label}' for key, label in _SENTIMENTS.items())}): ")
        if given == "q":
            return "quit"
        found = guessed if given == _ENTER else _SENTIMENTS.get(given)
        if found:
            return found
        say("  That is no key here.")


def _touchpoints(ask: Ask) -> tuple[str, ...]:
    say("  " + click.wrap_text("  ".join(f"{key} {label}" for key, label in _TOUCHPOINTS.items()), 100, "", "  "))
    found: list[str] = []
    while (given := ask("  touchpoint, or Enter when done: ")) not in (_ENTER, "q"):
        for key in given:  # a line may hold several
            if key in _TOUCHPOINTS:
                found.append(_TOUCHPOINTS[key])
            elif not key.isspace():
                say(f"  {key!r} is no key here.")
    return tuple(dict.fromkeys(found))


def _brand(brands: Sequence[str], ask: Ask) -> str:
    """The brand that the post is not about; "" when none was chosen."""
    if not brands:
        say("  This post names no brand.")
    if len(brands) < 2:
        return "".join(brands)
    given = ask(f"  not about ({'  '.join(f'{n} {brand}' for n, brand in enumerate(brands, 1))}): ")
    return brands[int(given) - 1] if given.isdecimal() and 0 < int(given) <= len(brands) else ""


def _show(queued: Queued, place: str, config: Config, limit: int | None) -> None:
    from listener.text import clean
    from listener.wording import cut

    post = queued.post
    when = post.created_at or post.collected_at
    head = [f"{when.astimezone(config.zone):%d %b %Y, %H:%M}", post.source, ", ".join(post.brands) or "no brand"]
    say(f"\n{click.style(place, bold=True)} · {clean(' · '.join(head))}")
    if post.title:
        say(f"  {click.style(cut(post.title, 300), bold=True)}")
    text = clean(post.text) if limit is None else cut(post.text, limit)
    for line in text.splitlines():
        say(click.wrap_text(line, 100, "  ", "  "))
    if post.url:
        say(f"  {cut(post.url, 300)}")
    if queued.why != "random":
        say(f"  the model: {_told(queued.moments)}; {_told(queued.sentiments)}" + _named(post.touchpoints))


def _named(touchpoints: Sequence[str]) -> str:
    return f"; {', '.join(touchpoints)}" if touchpoints else ""


def _told(labels: Mapping[str, float]) -> str:
    """The labels that are worth a word, the likeliest first: "tmot (feedback) 61 %, imot (waiting) 30 %"."""
    ranked = sorted(labels.items(), key=lambda each: -each[1])
    names = {label: f"{label} ({name.split(' (')[0]})" for label, name in MOMENT_NAMES.items()}
    return ", ".join(f"{names.get(label, label)} {p:.0%}" for label, p in ranked[:3] if p >= 0.05 or p == ranked[0][1])


def _likeliest(labels: Mapping[str, float]) -> str:
    return max(labels, key=labels.__getitem__)


def _key(prompt: str) -> str:
    """One key of a person at a terminal; Enter is ""."""
    click.echo(prompt, nl=False, err=True)
    try:
        key = click.getchar()
    except EOFError:
        key = "q"
    key = {"\r": _ENTER, "\n": _ENTER, "\x04": "q"}.get(key, key)
    click.echo(key if key.isprintable() else "", err=True)
    return key


def _line(prompt: str) -> str:
    """One line of a file or a pipe; its end quits."""
    try:
        line = sys.stdin.readline()
    except UnicodeDecodeError:
        line = ""
    click.echo(f"{prompt}{line.strip()}", err=True)
    return line.strip() if line else "q"


COMMANDS = (review,)
