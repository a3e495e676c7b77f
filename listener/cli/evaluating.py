"""The command that measures a model, and the gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from listener.cli.shared import FILE, FOLDER, as_json, common, need_training, progress, say, table

if TYPE_CHECKING:
    from listener.config import Config
    from listener.training.dataset import Example
    from listener.training.evaluate import HeadReport, PerLabel, Report

_FIGURES = ["macro-F1", "macro-recall", "accuracy", "ECE"]


@click.command(short_help="Measures a model on labelled posts.")
@click.argument("file", type=FILE)
@click.option("--model", "folder", type=FOLDER, help="The model folder; else the configured one.")
@click.option("--corpora", type=FOLDER, help="Where labels without a text find it: a folder of SET.jsonl.gz.")
@click.option("--split", default="test", show_default=True, help="Which rows to use, where they name a split.")
@click.option(
    "--reviews",
    multiple=True,
    metavar="SOURCE",
    help="A source of FILE whose posts are reviews, as they would be stored. May be repeated.",
)
@click.option(
    "--baselines",
    type=FILE,
    metavar="LABELS",
    help="Labelled posts to train one more baseline on: TF-IDF with logistic regression.",
)
@click.option("--picture", type=click.Path(dir_okay=False, path_type=Path), help="Write the reliability picture (SVG).")
@click.option("--gate", is_flag=True, help="Fail (exit 1) when a figure fell through its floor by more than the noise.")
@click.option("--write-gate", is_flag=True, help="Make the figures of this run the floors for FILE.")
@click.option("--allow-regression", is_flag=True, help="With --write-gate: floors may be lowered.")
@click.option(
    "--gate-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the floors are; else gate.json beside the configured model (not beside --model: that is held to them).",
)
@click.option(
    "--write-confusion",
    is_flag=True,
    help="Note in the model's config.json what it takes for what on FILE: `trends` corrects its shares by that.",
)
@click.option("--json", "json_", is_flag=True, help="Every figure as JSON.")
@common
def evaluate(
    config: Config,
    file: Path,
    folder: Path | None,
    corpora: Path | None,
    split: str,
    reviews: Sequence[str],
    baselines: Path | None,
    picture: Path | None,
    gate: bool,
    write_gate: bool,
    allow_regression: bool,
    gate_file: Path | None,
    write_confusion: bool,
    json_: bool,
) -> None:
    """Measures the model on FILE: labelled posts as `train --labels` reads them, or texts with a "label" alone.

    Every figure comes with its 95 % interval over resampled posts. Needs the packages of the extra `train`.
    """
    need_training()
    from listener import engine
    from listener.training import dataset, evaluate
    from listener.training import picture as drawing

    if allow_regression and not write_gate:
        raise click.UsageError("--allow-regression belongs to --write-gate")
    found = dataset.read_any(file, corpora, split)
    examples = [replace(each, kind="review") if each.source in reviews else each for each in found]
    # The folder itself, not what stands beside it in the configuration.
    alone: dict[str, Any] = {"folder": folder, "heads": {}, "languages": {}, "knows": None}
    settings = config.model.model_copy(update=alone) if folder else config.model
    with progress("measuring", len(examples)) as advance:
        report = evaluate.evaluate(engine.load(settings), examples, advance)
    known = dataset.read_labels(baselines, corpora) if baselines else []
    beside = _beside(known, examples) if known or not gate else {}
    if picture:
        picture.write_text(drawing.reliability(report), encoding="utf-8")
        say(f"{picture}: written")
    if json_:
        as_json({"model": report.as_json(), "baselines": {name: _plain(each) for name, each in beside.items()}})
    else:
        _show(report, beside, file)
    if write_confusion:
        _note(engine.folder(settings), file, report)
    floors = gate_file or engine.folder(config.model) / "gate.json"
    if gate:
        _check(floors, file, report)
    if write_gate:
        _write(floors, file, report, allow_regression)


def _note(folder: Path, file: Path, report: Report) -> None:
    from listener.training.export import write_confusion

    if report.confusion is None:
        raise click.ClickException(f"{file} has no posts of some label, so that nobody can tell what it is taken for")
    write_confusion(folder, report.confusion)
    say(f"{folder / 'config.json'}: confusion on the {report.posts:,} posts of {file.name} written")


def _check(floors: Path, file: Path, report: Report) -> None:
    from listener.training import gate

    fallen = gate.falls(floors, file, report)
    for fall in fallen:
        say(f"fell: {fall}")
    if fallen:
        raise click.exceptions.Exit(1)
    say(f"gate: every figure of {file.name} is at its floor or above, as far as the noise lets us tell")


def _write(floors: Path, file: Path, report: Report, allow_regression: bool) -> None:
    from listener.training import gate

    for lowered in gate.write(floors, file, report, allow_regression=allow_regression):
        say(f"lowered: {lowered}")
    say(f"{floors}: floors for {file.name} written")


def _beside(known: Sequence[Example], examples: Sequence[Example]) -> dict[str, HeadReport]:
    """Baselines for the heads that all of `examples` have; says which are left out and why.

    `known` are labelled posts to learn from. Without any, the most common moment is that of `examples` themselves.
    """
    import numpy as np

    from listener.engine.labels import MOMENTS, SENTIMENTS
    from listener.training import baselines
    from listener.training.dataset import UNKNOWN
    from listener.training.evaluate import head_report

    found: dict[str, HeadReport] = {}
    moments = np.array([example.moment for example in examples])
    if (moments != UNKNOWN).all():
        measured = {example.id for example in examples}
        known = [example for example in known if example.id not in measured]
        found["most common (moment)"] = head_report(MOMENTS, moments, baselines.majority(known or examples, examples))
        guessed = baselines.review_site(examples)
        if guessed is not None:
            found["review site or not (moment)"] = head_report(MOMENTS, moments, guessed)
        else:
            say('left out, "review site or not": no post has a "set" that is known as a review site')
        if known:
            found["TF-IDF + logistic regression (moment)"] = head_report(
                MOMENTS, moments, baselines.tfidf(known, examples)
            )
        else:
            say("left out, TF-IDF with logistic regression: --baselines LABELS names posts to train it on")
    sentiments = np.array([example.sentiment for example in examples])
    found["VADER (sentiment)"] = head_report(SENTIMENTS, sentiments, baselines.vader(examples))
    return found


def _plain(head: HeadReport) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(head)


# Tables ---------------------------------------------------------------------------------------------------------------


def _show(report: Report, beside: dict[str, HeadReport], file: Path) -> None:
    rows = [
        [f"{report.name} ({what})", *_row(head)]
        for what, head in (
            ("moment", report.moment), ("zmot, tmot, other", report.groups), ("sentiment", report.sentiment),
        )
        if head
    ]  # fmt: skip
    rows += [[name, *_row(head)] for name, head in beside.items()]
    table([f"{report.posts} posts of {file.name}", *_FIGURES], rows, right=_FIGURES)
    for what, head in (("moment", report.moment), ("sentiment", report.sentiment)):
        if head:
            _labels(what, head.classes)
            _confusion(head)
    if report.touchpoint_micro_f1:
        _labels("touchpoint", report.touchpoints)
        click.echo(f"touchpoints: micro-F1 {report.touchpoint_micro_f1}\n")
    if report.sources:
        right = ["posts", "accuracy", "macro-F1"]
        rows = [[s.source, str(s.posts), f"{s.accuracy:.3f}", f"{s.macro_f1:.3f}"] for s in report.sources]
        table(["source", *right], rows, right=right)
    if report.abstention:
        shares = [f"{share:.0%}" for share, _ in report.abstention]
        click.echo(f"accuracy gained when 15% abstain: {report.gain_at_15}")
        table(["abstaining", *shares], [["accuracy", *(f"{x:.3f}" for _, x in report.abstention)]], right=shares)
        click.echo(f"with the model's own threshold it abstains on {report.abstained:.1%} of the posts", nl=False)
        click.echo(f" and is right in {report.accuracy_when_sure:.1%} of the others\n")


def _labels(what: str, classes: Sequence[PerLabel]) -> None:
    right = ["precision", "recall", "F1", "posts"]
    table([what, *right], [[c.label, c.precision, c.recall, c.f1, c.posts] for c in classes], right=right)


def _confusion(head: HeadReport) -> None:
    names = [each.label for each in head.classes]
    rows = [[name, *row] for name, row in zip(names, head.confusion, strict=True)]
    table(["read as: \u2193 true, \u2192 guessed", *names], rows, right=names)


def _row(head: HeadReport) -> list[str]:
    return [str(head.macro_f1), str(head.macro_recall), str(head.accuracy), str(head.ece) if head.ece else ""]


COMMANDS = (evaluate,)
