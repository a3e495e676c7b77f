"""Commands around the model: classify, train (on corrections: see models)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from listener.cli.shared import FILE, FOLDER, common, need_training, progress, say

if TYPE_CHECKING:
    from listener.config import Config


@click.command(short_help="Judges the stored posts that wait for a verdict.")
@click.option(
    "--file",
    "file",
    type=click.File("rb"),
    help='JSON Lines of {"id", "text"} to score instead ("-" is stdin); verdicts go to stdout, in the same order. '
    'A line may have a "title", a "lang", and "kind": "review" where it is one.',
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
                for number in pipeline.classify_pending(store, pipeline.load_model(store, config, now_utc()), now_utc):
                    advance(number)
    say(f"{count(waiting, 'post')} judged" if waiting else "Every stored post has its verdict.")


@click.command(short_help="Trains a model of your own, on your corrections or on labelled posts.")
@click.option(
    "--labels",
    multiple=True,
    type=FILE,
    help='Train a whole encoder on these instead: JSON Lines of {"id", "text", "moment", "sentiment", "touchpoints"}. '
    "May be repeated.",
)
@click.option("--corpora", type=FOLDER, help="Where labels without a text find it: a folder of SET.jsonl.gz.")
@click.option(
    "--sentiment",
    multiple=True,
    type=FILE,
    help='Texts with a sentiment alone, JSON Lines of {"id", "text", "label"}. May be repeated.',
)
@click.option(
    "--teacher",
    "teachers",
    multiple=True,
    type=FOLDER,
    help="A model folder whose verdicts are learnt beside the labels. May be repeated: the mean of all counts.",
)
@click.option(
    "--unlabelled",
    multiple=True,
    type=FILE,
    help='Texts for the teachers to judge, JSON Lines of {"id", "text"}. May be repeated.',
)
@click.option(
    "--reviews",
    multiple=True,
    metavar="SOURCE",
    help="With --labels: a source of theirs whose posts are reviews, to learn what being one tells. May be repeated.",
)
@click.option(
    "--exclude",
    multiple=True,
    type=FILE,
    help="Posts that measure the model: whatever has an id of theirs is left out. May be repeated.",
)
@click.option(
    "--base", type=FOLDER, help="What to begin with: a Hugging Face folder or a model of ours; else all-MiniLM-L6-v2."
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="With --labels: where the model goes. A checkpoint in it is resumed.",
)
@click.option("--name", default="listener-minilm", show_default=True, help="Name of the model.")
@click.option("--version", "version", help="With --labels: its version, stored with every verdict.")
@click.option("--passes", default=4, show_default=True, help="Passes over the labelled posts.")
@click.option("--sentiment-passes", default=2.0, show_default=True, help="Passes over the sentiment texts.")
@click.option("--unlabelled-passes", default=2.0, show_default=True, help="Passes over the unlabelled texts.")
@click.option("--rate", default=1.5e-4, show_default=True, help="Learning rate of the top layer.")
@click.option(
    "--keep",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Share of the starting weights in the result: with --base, what that model knew is kept.",
)
@click.option("--seed", default=1, show_default=True, help="With --labels: same seed, same machine, same model.")
@click.option("--no-use", is_flag=True, help="Do not put the model to use, however good it is.")
@click.option("--json", "json_", is_flag=True, help="Without --labels: what came of it, as JSON.")
@common
def train(config: Config, out: Path | None, version: str | None, no_use: bool, json_: bool, **options: Any) -> None:
    """Trains a model on your corrections (`listener review`), in seconds on any machine, and puts it to use when it is
    better than the one in charge: on your test set beyond chance, and above the released model's floors. Needs the
    extra `learn`. docs/learning.md tells how.

    With --labels it fine-tunes a whole encoder on files of labelled posts and writes a model folder the engine loads
    (int8 ONNX); a share of the posts, picked by id, is held out to fit calibration and thresholds. Needs the extra
    `train`, and --version and --out.
    """
    if not options["labels"]:
        if out or version:
            raise click.UsageError("--out and --version belong to --labels, which is not given")
        from listener.cli.models import train_own

        train_own(config, json_=json_, no_use=no_use)
        return
    if out is None or version is None:
        raise click.UsageError("--labels needs --version and --out")
    need_training()
    from listener.training.finetune import Recipe
    from listener.training.release import Material, release

    how = ("passes", "sentiment_passes", "unlabelled_passes", "rate", "keep", "seed")
    recipe = Recipe(**{option: options.pop(option) for option in how})
    name = options.pop("name")
    release(Material(**options), out, name=name, version=version, recipe=recipe)
    say(f'{out}: done. `listener evaluate FILE --model {out}` measures it; [model] folder = "{out}" uses it.')


COMMANDS = (classify, train)
