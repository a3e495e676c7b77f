"""The commands about models of your own: models list, use, rollback, compare; and training one on corrections."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from listener.cli.shared import DAY, as_json, common, progress, say, table

if TYPE_CHECKING:
    from listener.config import Config
    from listener.engine import Classifier
    from listener.reads.search import PostRow
    from listener.training.own import Result


@click.group(invoke_without_command=True, short_help="Models of your own: list, use, rollback, compare.")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
@common
def models(config: Config, json_: bool) -> None:
    """The models there are, and which one judges."""
    _list(config, json_)


@models.command("list", short_help="The models there are, and which one judges.")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
@common
def list_(config: Config, json_: bool) -> None:
    """The models there are, and which one judges."""
    _list(config, json_)


@models.command(short_help="Puts a model in charge: own-3, or released.")
@click.argument("name")
@common
def use(config: Config, name: str) -> None:
    """Puts the model NAME in charge: one that `models list` shows, or `released`.

    A running daemon takes it up by itself, judges new posts with it, and then all stored ones again, newest first.
    """
    from listener import choice, engine
    from listener.resources import model_folder

    _check_free(config)
    folder = model_folder() if name == choice.RELEASED else choice.home(config.database) / name
    if name in choice.own(config.database):
        engine.load(config.model.model_copy(update={"folder": folder}))  # damaged weights are told now
    choice.use(config.database, name)
    _say_in_charge(name)


@models.command(short_help="Puts the model in charge that was so before.")
@common
def rollback(config: Config) -> None:
    """Puts the model in charge that was so before the last `use`, or before a training that was promoted."""
    from listener import choice

    _check_free(config)
    _say_in_charge(choice.rollback(config.database))


@models.command(short_help="Two models side by side on stored posts.")
@click.argument("name")
@click.option("--since", type=DAY, metavar="DAY", help="Posts from this local day on; else the newest.")
@click.option("--until", type=DAY, metavar="DAY", help="Up to this local day, included.")
@click.option("--brand", help="Posts that name this brand.")
@click.option("--limit", default=2000, show_default=True, type=click.IntRange(1, 100_000), help="At most this many.")
@click.option("--examples", default=10, show_default=True, type=click.IntRange(0), help="Posts to show.")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
@common
def compare(
    config: Config,
    name: str,
    since: date | None,
    until: date | None,
    brand: str | None,
    limit: int,
    examples: int,
    json_: bool,
) -> None:
    """Judges stored posts with the model in charge and with NAME, and shows where the two part. Changes nothing."""
    from listener import engine, trends
    from listener.reads import search

    other = config.model.model_copy(update={"folder": _folder_of(config, name)})
    with closing(trends.open_reader(config.database, config.zone)) as reader:
        posts = search.posts(reader, brand=brand, since=since, until=until, limit=limit)
    guesses = []
    judges = [engine.load(config.model), engine.load(other)]
    with progress("judging", 2 * len(posts)) as advance:
        for judge in judges:
            guesses.append(_guesses(judge, posts, advance))
    _show_compared([judge.model for judge in judges], posts, guesses, examples, json_)


def train_own(config: Config, *, json_: bool, no_use: bool) -> None:
    """Trains on the corrections of the database and puts the model to use when nothing speaks against it."""
    from importlib.util import find_spec

    from listener import choice, engine, trends
    from listener.errors import ListenerError
    from listener.reads import review
    from listener.resources import model_folder
    from listener.training import own

    if not find_spec("scipy"):
        raise ListenerError("this needs scipy: pip install 'listener-daemon[learn]'")
    with closing(trends.open_reader(config.database, config.zone)) as reader:
        teaching, measuring = (own.examples(part) for part in review.labelled(reader))
    base = engine.folder(config.model) if config.names_model else model_folder()
    with progress("reading", None) as advance:
        result = own.train(
            teaching,
            measuring,
            base,
            engine.load(config.model),
            choice.home(config.database),
            reading=advance,
        )
    promote = not (result.against or no_use or config.names_model)
    if promote:
        choice.use(config.database, result.folder.name)
    if json_:
        as_json(result.as_json() | {"promoted": promote})
        return
    _show_result(result)
    if promote:
        _say_in_charge(result.folder.name)
    elif config.names_model:
        say(f'The configuration names a [model] folder; folder = "{result.folder}" there uses this one.')
    else:
        say(f"Not put to use. `listener models use {result.folder.name}` does so all the same.")


def _show_result(result: Result) -> None:
    say(
        f"{result.model}: trained on {result.taught} corrections, beside the project's own posts with a weight of "
        f"{result.rehearsed}, and moved {result.moved:.0%} of the way; measured on your {result.measured} test posts."
    )
    right = ["posts", "before", "after", "gain", "right before", "right after", "p"]
    rows = [
        [
            f"{each.head}, macro-F1", each.posts, each.before, each.after, f"{each.gain.value:+.3f}"
            f" ({each.gain.low:+.3f} to {each.gain.high:+.3f})", each.right_before, each.right_after,
            f"{each.luck:.3f}",
        ]
        for each in result.comparisons
    ]  # fmt: skip
    if rows:
        table(["", *right], rows, right=right)
    for reason in result.against:
        say(f"Against it: {reason}.")


def _list(config: Config, json_: bool) -> None:
    from listener import choice
    from listener.engine.onnx import model_name
    from listener.resources import model_folder

    in_charge = "" if config.names_model else choice.name_in_use(config.database)
    rows = []
    for name in [choice.RELEASED, *choice.own(config.database)]:
        folder = model_folder() if name == choice.RELEASED else choice.home(config.database) / name
        card = _card(folder)
        told = {"name": name, "in_charge": name == in_charge, "model": model_name(folder), "folder": str(folder)}
        rows.append(told | {key: card.get(key) for key in ("taught", "measured", "comparisons", "against")})
    if config.names_model:
        rows.append({"name": "[model] folder", "in_charge": True, "model": None, "folder": str(config.model.folder)})
    if json_:
        as_json(rows)
        return
    table(
        ["", "name", "corrections", "moment, macro-F1 on your test set", "model"],
        [["*" if row["in_charge"] else "", row["name"], row.get("taught"), _gain(row), row["model"]] for row in rows],
        right=["corrections"],
        whole=["name"],
    )
    say("* judges.")


def _gain(row: dict[str, Any]) -> str:
    """ "0.512 to 0.604 on 80 posts", as the training measured it."""
    for each in row.get("comparisons") or ():
        if each["head"] == "moment":
            return f"{each['before']['value']:.3f} to {each['after']['value']:.3f} on {each['posts']} posts"
    return ""


def _card(folder: Path) -> dict[str, Any]:
    try:
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # the card is for people; a model without one judges as well
    return card if isinstance(card, dict) else {}


def _folder_of(config: Config, name: str) -> Path:
    from listener import choice
    from listener.errors import ModelError
    from listener.resources import model_folder

    known = [choice.RELEASED, *choice.own(config.database)]
    if name not in known:
        raise ModelError(f"there is no model {name!r}; there are: {', '.join(known)}")
    return model_folder() if name == choice.RELEASED else choice.home(config.database) / name


def _check_free(config: Config) -> None:
    from listener.errors import ConfigError

    if config.names_model:
        raise ConfigError(
            f"{config.path} names a [model] folder, which outranks this; take that line out, then choose here"
        )


def _say_in_charge(name: str) -> None:
    say(
        f"{name} is in charge. The daemon takes it up by itself (without one: `listener classify`) and judges every "
        "stored post again, the newest first. `listener models rollback` takes this back."
    )


def _guesses(judge: Classifier, posts: Sequence[PostRow], advance: Any) -> list[tuple[str, str]]:
    """The moment, or "unsure", and the sentiment of each post."""
    from listener.text import model_input

    found = []
    for start in range(0, len(posts), 512):
        part = posts[start : start + 512]
        texts = [model_input(post.title, post.text) for post in part]
        scores = judge.classify(texts, [post.kind for post in part])
        found += [("unsure" if score.abstained else score.moment, score.sentiment) for score in scores]
        advance(len(part))
    return found


def _show_compared(
    names: Sequence[str],
    posts: Sequence[PostRow],
    guesses: Sequence[Sequence[tuple[str, str]]],
    examples: int,
    json_: bool,
) -> None:
    from listener.engine.labels import MOMENTS, SENTIMENTS
    from listener.wording import cut

    parted = [at for at, (mine, theirs) in enumerate(zip(*guesses, strict=True)) if mine != theirs]
    counts = {
        label: [sum(guess[head] == label for guess in each) for each in guesses]
        for head, labels in enumerate(((*MOMENTS, "unsure"), SENTIMENTS))
        for label in labels
    }
    if json_:
        as_json({
            "models": names, "posts": len(posts), "parted": len(parted), "counts": counts,
            "examples": [
                {"id": posts[at].id, "verdicts": [dict(zip(("moment", "sentiment"), each[at], strict=True))
                                                  for each in guesses]}
                for at in parted[:examples]
            ],
        })  # fmt: skip
        return
    say(f"{len(posts)} posts; the two part on {len(parted)}.")
    table(["posts judged as", *names], [[label, *each] for label, each in counts.items()], right=list(names))
    if parted[:examples]:
        rows = [
            [*(" ".join(each[at]) for each in guesses), cut(f"{posts[at].title} {posts[at].text}".strip(), 140)]
            for at in parted[:examples]
        ]
        table([*names, "text"], rows)


COMMANDS = (models,)
