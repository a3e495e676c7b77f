"""Commands around the model: classify, train, evaluate."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from listener.cli.shared import as_json, common, progress, say, table

if TYPE_CHECKING:
    from listener.config import Config
    from listener.training.evaluate import HeadReport


@click.command(short_help="Judges the stored posts that wait for a verdict.")
@click.option(
    "--file",
    "file",
    type=click.File("rb"),
    help='JSON Lines of {"id", "text"} to score instead ("-" is stdin); verdicts go to stdout, in the same order.',
)
@common
def classify(config: Config, file: IO[bytes] | None) -> None:
    """Judges the stored posts that wait for a verdict, newest first; or scores a file (--file) and stores nothing."""
    from listener import engine
    from listener.wording import count

    if file is not None:
        from listener.scoring import score_lines

        bad = score_lines(file, sys.stdout, engine.load(config.model), say)
        if bad:
            say(f"{count(bad, 'line')} left out")
            raise click.exceptions.Exit(1)
        return
    from listener import pipeline
    from listener.daemon import now_utc

    with pipeline.open_store(config) as store:
        waiting = store.count_pending(engine.name(config.model))
        if waiting:
            with progress("classifying", waiting) as advance:
                for number in pipeline.classify_pending(store, engine.load(config.model), now_utc):
                    advance(number)
    say(f"{count(waiting, 'post')} judged" if waiting else "Every stored post has its verdict.")


@click.command(short_help="Trains a model of your own on labelled posts.")
@click.option(
    "--labels",
    multiple=True,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='Labelled posts, JSON Lines of {"id", "text", "moment", "sentiment", "touchpoints"}. May be repeated.',
)
@click.option(
    "--corpora",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where labels without a text find it: a folder of SET.jsonl.gz.",
)
@click.option(
    "--sentiment",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='Texts with a sentiment alone, JSON Lines of {"id", "text", "label"}. May be repeated.',
)
@click.option(
    "--base",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The encoder to begin with, a Hugging Face folder; else all-MiniLM-L6-v2.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Where the model goes. A checkpoint in it is resumed.",
)
@click.option("--name", default="listener-minilm", show_default=True, help="Name of the model.")
@click.option("--version", "version", required=True, help="Its version, stored with every verdict.")
@click.option("--passes", default=4, show_default=True, help="Passes over the labelled posts.")
@click.option("--sentiment-passes", default=1.0, show_default=True, help="Passes over the sentiment texts.")
@click.option("--seed", default=1, show_default=True, help="Same seed, same machine, same model.")
def train(
    labels: tuple[Path, ...],
    corpora: Path | None,
    sentiment: tuple[Path, ...],
    base: Path | None,
    out: Path,
    name: str,
    version: str,
    passes: int,
    sentiment_passes: float,
    seed: int,
) -> None:
    """Fine-tunes an encoder on labelled posts and writes a model folder the engine loads (int8 ONNX).

    A share of the labelled posts, picked by id, is held out to fit calibration and thresholds. Needs the packages of
    the extra `train`.
    """
    _need_training()
    from listener.training.finetune import Recipe
    from listener.training.release import release

    recipe = Recipe(passes=passes, sentiment_passes=sentiment_passes, seed=seed)
    release(labels, corpora, sentiment, base, out, name=name, version=version, recipe=recipe)
    say(f'{out}: done. `listener evaluate FILE --model {out}` measures it; [model] folder = "{out}" uses it.')


@click.command(short_help="Measures a model on labelled posts.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--model",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The model folder; else the configured one.",
)
@click.option(
    "--baselines",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="LABELS",
    help="Also train TF-IDF with logistic regression on these labelled posts, and run VADER, on the same FILE.",
)
@click.option("--json", "json_", is_flag=True, help="Every figure as JSON.")
@common
def evaluate(config: Config, file: Path, folder: Path | None, baselines: Path | None, json_: bool) -> None:
    """Measures the model on FILE, labelled posts as `train --labels` reads them. Needs the extra `train`."""
    _need_training()
    from dataclasses import asdict

    from listener import engine
    from listener.training import evaluate as measuring
    from listener.training.dataset import read_labels

    examples = read_labels(file)
    settings = config.model.model_copy(update={"folder": folder}) if folder else config.model
    report = measuring.evaluate(engine.load(settings), examples)
    beside: dict[str, HeadReport] = {}
    if baselines:
        known = read_labels(baselines)
        beside = {
            "majority (moment)": measuring.majority(known, examples),
            "TF-IDF + logistic regression (moment)": measuring.tfidf(known, examples),
            "VADER (sentiment)": measuring.vader(examples),
        }
    if json_:
        as_json({"model": report.as_json(), "baselines": {name: asdict(each) for name, each in beside.items()}})
        return
    rows: list[list[Any]] = []
    for what, head in (("moment", report.moment), ("sentiment", report.sentiment)):
        if head:
            rows.append([f"{report.name} ({what})", *_figures(head)])
    rows += [[name, *_figures(head)] for name, head in beside.items()]
    figures = ["macro-F1", "macro-recall", "accuracy", "ECE"]
    table([f"{report.posts} posts of {file.name}", *figures], rows, right=figures)
    for head in filter(None, (report.moment, report.sentiment)):
        table(
            ["class", "precision", "recall", "F1", "posts"],
            [[c.label, f"{c.precision:.3f}", f"{c.recall:.3f}", f"{c.f1:.3f}", c.posts] for c in head.classes],
            right=["precision", "recall", "F1", "posts"],
        )
    for text, value in (
        ("ZMOT, TMOT, other: macro-F1", report.groups_macro_f1),
        ("touchpoints: micro-F1", report.touchpoint_micro_f1),
        ("moments left to a person", report.abstained),
        ("accuracy of the others", report.accuracy_when_sure),
    ):
        if value is not None:
            click.echo(f"{text:32}{value:.3f}")


def _figures(head: HeadReport) -> list[str]:
    return [
        f"{head.macro_f1:.3f}",
        f"{head.macro_recall:.3f}",
        f"{head.accuracy:.3f}",
        "" if head.ece is None else f"{head.ece:.3f}",
    ]


def _need_training() -> None:
    from importlib.util import find_spec

    from listener.errors import ListenerError

    if not (find_spec("torch") and find_spec("transformers") and find_spec("sklearn")):
        raise ListenerError("this needs the training packages: pip install 'listener-daemon[train]'")


COMMANDS = (classify, train, evaluate)
