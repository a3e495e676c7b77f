"""The command that tries a brand query: brands test."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from listener.cli.shared import as_json, common, say, share, table

if TYPE_CHECKING:
    from listener.backtest import Answer, Backtest
    from listener.config import Config
    from listener.reads.counts import Interval
    from listener.reads.search import PostRow

_ANSWERS = {"y": "y", "yes": "y", "n": "n", "no": "n", "s": "s", "skip": "s", "q": "", "quit": ""}
_TRIES = 3  # answers that are none, before we take it that nobody is there


@click.group()
def brands() -> None:
    """Tries brand queries on the stored posts."""


@brands.command("test", short_help="Tries a brand query on the stored posts; changes nothing.")
@click.argument("query")
@click.option(
    "--limit", default=10, show_default=True, type=click.IntRange(0), help="Samples to show, spread over the parts."
)
@click.option(
    "--judge",
    type=click.IntRange(1, 10_000),
    metavar="N",
    help="Asks you of N random hits whether they are right, and estimates from that how many are.",
)
@click.option("--seed", default=0, show_default=True, help="With --judge: another number draws other hits.")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
@common
def test_query(config: Config, query: str, limit: int, judge: int | None, seed: int, json_: bool) -> None:
    """Runs a brand QUERY over the stored posts: hits, samples, and what each part of it matched. Changes nothing.

    docs/queries.md tells what a QUERY can say. One that begins with a minus stands after two of them:
    listener brands test -- '-lamp harbour'.
    """
    from listener import backtest
    from listener import query as language
    from listener import trends as reading
    from listener.reads import search

    compiled = language.compile_query(query, config.privacy.authors)
    answers: list[tuple[PostRow, Answer]] = []
    with closing(reading.open_reader(config.database, config.zone)) as reader:
        tried = backtest.run(compiled, search.stream(reader), 0 if judge and not json_ else limit)
        if not json_:
            _show(tried)
        if judge:
            answers = _ask(reader, tried, judge, seed)
    if json_:
        as_json({"query": query, **_plain(tried)} | ({"judged": _judged(tried, answers)} if judge else {}))
    elif judge:
        _show_precision(tried, [answer for _, answer in answers])


def _show(tried: Backtest) -> None:
    from listener.wording import cut

    say(f"{len(tried.hits)} of {tried.posts} stored posts match.")
    names = [f"{part.text} (takes these away)" if part.bars else part.text for part in tried.parts]
    rows = [[name, part.posts] for name, part in zip(names, tried.parts, strict=True)]
    table(["part", "posts"], rows, right=["posts"])
    if tried.samples:
        table(
            ["part", "day", "source", "matched", "text"],
            [
                [
                    names[sample.part],
                    f"{sample.post.day:%d %b %y}",
                    sample.post.source,
                    ", ".join(sample.terms),
                    cut(f"{sample.post.title} {sample.post.text}".strip(), 140),
                ]
                for sample in tried.samples
            ],
            whole=["day"],
        )


def _ask(reader: sqlite3.Connection, tried: Backtest, number: int, seed: int) -> list[tuple[PostRow, Answer]]:
    """Shows hits one at a time until all are judged, the person quits, or nobody answers."""
    from listener.backtest import Answer, choose
    from listener.reads import search
    from listener.wording import cut

    chosen = choose(tried.hits, number, seed)
    posts = {post.id: post for post in search.by_id(reader, [hit.post_id for hit in chosen])}
    answers: list[tuple[PostRow, Answer]] = []
    for at, hit in enumerate(chosen, 1):
        post = posts.get(hit.post_id)
        if post is None:  # deleted meanwhile
            continue
        found_by = ", ".join(tried.parts[part].text for part in hit.parts)
        say(f"\n{at} of {len(chosen)}: {post.day}, {post.source}; found by {found_by}")
        for line in filter(None, (cut(post.title, 400), cut(post.text, 1500), cut(post.url, 400))):
            say(f"  {line}")
        given = _answer()
        if not given:
            break
        answers.append((post, Answer(hit, {"y": True, "n": False}.get(given))))
    return answers


def _answer() -> str:
    """ "y", "n" or "s"; empty when the person quits or the input ends."""
    for _ in range(_TRIES):
        click.echo("Is this about the brand? y(es), n(o), s(kip), q(uit): ", nl=False, err=True)
        try:
            line = sys.stdin.readline() if sys.stdin else ""
        except (UnicodeDecodeError, KeyboardInterrupt):  # what was judged so far is still told
            line = ""
        given = _ANSWERS.get(line.strip().lower() if line else "q")
        if given is not None:
            return given
    return ""


def _show_precision(tried: Backtest, answers: Sequence[Answer]) -> None:
    from listener.backtest import precision

    judged = precision(answers)
    click.echo(err=True)
    if not judged.n:
        say("No answer, so no estimate.")
        return
    parts = [(part.text, precision(answers, number)) for number, part in enumerate(tried.parts) if not part.bars]
    figures = [("all hits", judged), *(parts if len(parts) > 1 else [])]
    rows = [[name, each.n, _right(each), share(each, of_few=True)] for name, each in figures]
    table(["part", "judged", "right", "precision"], rows, right=["judged", "right"])
    skipped = len(answers) - judged.n
    say(
        "precision: the share of hits that are right, and the 95 % interval in which that of all hits is likely to be"
        + (f"; {skipped} skipped." if skipped else ".")
    )


def _right(judged: Interval) -> int:
    return round((judged.value or 0) * judged.n)


def _plain(tried: Backtest) -> dict[str, Any]:
    return {
        "posts": tried.posts,
        "hits": len(tried.hits),
        "parts": {part.text: part.posts for part in tried.parts},
        "samples": [
            {
                "part": tried.parts[sample.part].text,
                "day": sample.post.day,
                "source": sample.post.source,
                "terms": sample.terms,
                "title": sample.post.title,
                "text": sample.post.text,
            }
            for sample in tried.samples
        ],
    }


def _judged(tried: Backtest, answers: Sequence[tuple[PostRow, Answer]]) -> dict[str, Any]:
    from listener.backtest import precision

    given = [answer for _, answer in answers]

    def figures(part: int | None = None) -> dict[str, Any]:
        judged = precision(given, part)
        value = {"value": judged.value, "low": judged.low, "high": judged.high}
        return {"judged": judged.n, "right": _right(judged), "precision": value}

    return {
        **figures(),
        "skipped": sum(answer.right is None for answer in given),
        "parts": {part.text: figures(number) for number, part in enumerate(tried.parts) if not part.bars},
        "answers": [
            {"source": post.source, "native_id": post.native_id, "right": answer.right} for post, answer in answers
        ],
    }


COMMANDS = (brands,)
