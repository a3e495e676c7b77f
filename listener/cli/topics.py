"""The commands about topics of the owner's own: topics, add, remove, tag, show, judge."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING

import click

from listener.cli.shared import as_json, common, progress, say, share, table

if TYPE_CHECKING:
    from listener.config import Config
    from listener.reads.search import PostRow


@click.group(invoke_without_command=True, short_help="Topics of your own, by example.")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
@common
def topics(config: Config, json_: bool) -> None:
    """Every topic with its posts, and how often you said that a post of it is right."""
    from dataclasses import asdict

    from listener import topics as known
    from listener import trends

    with closing(trends.open_reader(config.database, config.zone)) as reader:
        found = known.listed(reader)
    if json_:
        as_json([asdict(topic) for topic in found])
        return
    if not found:
        say('No topics yet. `listener topics add "breakfast queue" --example "waited half an hour for eggs"` adds one.')
        return
    rows = [[t.name, t.posts, share(t.precision), t.precision.n, len(t.examples), f"{t.threshold:.2f}"] for t in found]
    right = ["posts", "right, %", "asked", "examples", "threshold"]
    table(["topic", *right], rows, right=right)


@topics.command(short_help="Names a topic by a sentence or some examples.")
@click.argument("name")
@click.option("--example", "-e", "examples", multiple=True, required=True, help="What people write of it. Repeat it.")
@click.option("--threshold", type=click.FloatRange(0, 1), help="How like the examples a post has to be (cosine).")
@common
def add(config: Config, name: str, examples: tuple[str, ...], threshold: float | None) -> None:
    """Names a topic: one sentence that tells it, or better some ten examples of what people write of it."""
    from listener import pipeline
    from listener import topics as known
    from listener.daemon import now_utc
    from listener.engine.topics import THRESHOLD

    with pipeline.open_store(config) as store, store.writing() as connection:
        known.add(connection, name, examples, THRESHOLD if threshold is None else threshold, now_utc())
    say(f"{name}: stored. The daemon looks for it; `listener topics tag` looks now.")


@topics.command(short_help="Takes a topic away.")
@click.argument("name")
@common
def remove(config: Config, name: str) -> None:
    """Takes a topic and its tags away; posts stay."""
    from listener import pipeline
    from listener import topics as known

    with pipeline.open_store(config) as store, store.writing() as connection:
        known.remove(connection, name)
    say(f"{name}: taken away.")


@topics.command(short_help="Looks for the topics in the stored posts.")
@common
def tag(config: Config) -> None:
    """Looks for the topics in every judged post that was not looked at yet, newest first."""
    from listener import pipeline, tagging
    from listener.wording import count

    with pipeline.open_store(config) as store:
        ready = tagging.tagger(store, config)
        if ready is None:
            say("Nothing to look for: there are no topics, or [model.heads] judges.")
            return
        done = 0
        with progress("looking", None) as advance:
            for number in tagging.tag(store, ready):
                advance(number)
                done += number
    say(f"{count(done, 'post')} looked at.")


@topics.command(short_help="The newest posts of a topic.")
@click.argument("name")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000), help="At most this many.")
@click.option("--json", "json_", is_flag=True, help="Everything known of every post, as JSON.")
@common
def show(config: Config, name: str, limit: int, json_: bool) -> None:
    """The newest posts of a topic, without those you said no to."""
    from listener import topics as known
    from listener import trends
    from listener.reads import search
    from listener.wording import cut

    with closing(trends.open_reader(config.database, config.zone)) as reader:
        posts = search.by_id(reader, known.of(reader, name, limit))
    if json_:
        as_json([post.as_json() for post in posts])
        return
    rows = [[f"{p.day:%d %b %y}", p.source, p.moment, p.sentiment, cut(_text(p), 160)] for p in posts]
    table(["day", "source", "moment", "sentiment", "text"], rows, whole=["day"], spare=["source"])


@topics.command(short_help="Asks you whether posts of a topic are right, and tells its precision.")
@click.argument("name")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="At most this many.")
@common
def judge(config: Config, name: str, limit: int) -> None:
    """Shows posts of a topic in no order and asks whether they speak of it: y, n, s to skip, q to end."""
    from listener import pipeline, trends
    from listener import topics as known
    from listener.reads import search
    from listener.wording import count, cut

    with closing(trends.open_reader(config.database, config.zone)) as reader:
        posts = search.by_id(reader, known.to_ask(reader, name, limit))
        with pipeline.open_store(config) as store:
            for at, post in enumerate(posts, 1):
                say(f"\n{at} of {len(posts)} · {post.day:%d %b %Y} · {post.source}\n  {cut(_text(post), 500)}")
                click.echo(f"Does it speak of {name}? y(es), n(o), s(kip), q(uit): ", nl=False, err=True)
                given = sys.stdin.readline().strip().lower()[:1] or "q"
                if given == "q":
                    break
                if given in "yn":
                    with store.writing() as connection:
                        known.answer(connection, post.id, name, given == "y")
        (topic,) = (each for each in known.listed(reader) if each.name == name)
    say(f"\nRight: {share(topic.precision)}, by {count(topic.precision.n, 'answer')} of yours.")


def _text(post: PostRow) -> str:
    return f"{post.title} {post.text}".strip()


COMMANDS = (topics,)
