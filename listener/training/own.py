"""A model of the owner's: trained on their corrections, measured on their test set, promoted only when better."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from math import comb
from pathlib import Path
from typing import Any

import numpy as np

from listener import resources
from listener.engine import Classifier
from listener.engine.calibration import Calibration, to_scores
from listener.engine.features import Encoder
from listener.engine.labels import MOMENTS, SENTIMENTS
from listener.engine.onnx import OnnxClassifier
from listener.errors import ListenerError
from listener.reads.review import Labelled
from listener.records import Scores
from listener.text import model_input
from listener.training import gate, heads, measures
from listener.training.dataset import UNKNOWN, Example, read_labels
from listener.training.evaluate import evaluate
from listener.training.heads import Heads, Lesson
from listener.training.measures import Figure, Labels

FEWEST = 20  # corrections that a model is trained on
# What is tried until no figure falls below its floor: how far the heads go from the released ones towards what they
# learnt, and for each the weight of a rehearsed post beside a correction.
MOVED = (1.0, 0.85, 0.7, 0.5, 0.25, 0.0)
REHEARSED = (0.3, 1.0, 3.0, 10.0)
# A difference of two accuracies, which shrinks when the lower of them rises: it says how a model abstains, not how good
# it is.
_NO_FLOOR = "accuracy gained when 15 % abstain"
_SURE = 0.05  # chance of such a difference between models that are equally good


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same posts for one head. `luck` is the chance of such a difference between equals (McNemar)."""

    head: str
    posts: int
    before: Figure  # macro-F1 over the labels that occur
    after: Figure
    gain: Figure  # of the macro-F1, over the same resampled posts
    right_before: int
    right_after: int
    luck: float

    @property
    def better(self) -> bool:
        return self.right_after > self.right_before and self.luck < _SURE

    @property
    def worse(self) -> bool:
        return (self.right_after < self.right_before and self.luck < _SURE) or self.gain.high < 0


@dataclass(slots=True)
class _Answers:
    """What heads say of texts whose features are known, as a classifier of those texts alone."""

    scores: Sequence[Scores]
    model: str = "heads under trial"

    def classify(self, texts: Sequence[str], kinds: Sequence[str] = ()) -> list[Scores]:
        assert len(texts) == len(self.scores)
        return list(self.scores)


@dataclass(frozen=True, slots=True)
class Result:
    """What a training came to. `against` are the reasons not to promote the model; none of them means promote."""

    folder: Path
    model: str
    taught: int
    measured: int
    rehearsed: float  # weight of a rehearsed post beside a correction; as `moved`, of the head of moments
    moved: float  # how far the heads went from the released ones to what was learnt, 0..1
    comparisons: tuple[Comparison, ...]
    against: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def examples(posts: Sequence[Labelled]) -> list[Example]:
    """Posts that a person labelled, as texts to train on or to measure by."""
    return [
        Example(
            id=post.name,
            text=model_input(post.title, post.text),
            moment=UNKNOWN if post.moment is None else MOMENTS.index(post.moment),
            sentiment=UNKNOWN if post.sentiment is None else SENTIMENTS.index(post.sentiment),
            touchpoints=post.touchpoints,
            kind=post.kind,
        )
        for post in posts
    ]


def train(
    teaching: Sequence[Example],
    measuring: Sequence[Example],
    base: Path,
    in_charge: Classifier,
    home: Path,
    *,
    reading: Callable[[int], object] = bool,
) -> Result:
    """Trains heads on `teaching` beside those of `base` and writes the model to a new folder in `home`.

    `measuring` are the owner's test posts, on which it is compared with the model `in_charge`. `reading` hears how many
    texts were read. Raises ListenerError when there are too few corrections.
    """
    same = {example.text for example in measuring}
    teaching = [example for example in teaching if example.text not in same]
    if len(teaching) < FEWEST:
        raise ListenerError(
            f"there are {len(teaching)} corrections to learn from, and {FEWEST} are the fewest that teach anything; "
            "`listener review` asks you for more"
        )
    encoder = Encoder(base)
    prior = heads.released(encoder)
    taught = heads.lesson(encoder, teaching, reading)
    known = [example for path in resources.rehearsal_files() for example in read_labels(path)]
    rehearsed = heads.rehearsal(heads.lesson(encoder, known, reading), prior)
    trial = _least_change(base, encoder, prior, taught, rehearsed, heads.lesson(encoder, measuring, reading))
    folder = _new_folder(home)
    name = _write(folder, base, encoder, trial.heads, trial.calibration)
    comparisons = compare(measuring, in_charge, OnnxClassifier(folder)) if measuring else ()
    against = [f"it falls below a floor of the released model: {fall}" for fall in trial.fallen]
    result = Result(
        folder,
        name,
        len(teaching),
        len(measuring),
        trial.rehearsed,
        trial.moved,
        comparisons,
        (*_against(comparisons), *against),
    )
    _write_card(folder, base, result, taught)
    return result


@dataclass(frozen=True, slots=True)
class _Trial:
    heads: Heads
    calibration: Calibration
    rehearsed: float
    moved: float
    fallen: Sequence[gate.Fall]


def _least_change(
    base: Path, encoder: Encoder, prior: Heads, taught: Lesson, rehearsed: Lesson, drawn: Lesson
) -> _Trial:
    """Of each head what learns most without a fall below a floor; one that cannot learn stays as it was."""
    floors, was = read_labels(resources.floors_file()), encoder.classifier.calibration
    held = encoder.features([example.text for example in floors])
    fitted = {share: heads.fit(prior, taught, rehearsed, share) for share in REHEARSED}
    found: dict[str, _Trial] = {}
    for moved, share in product(MOVED, REHEARSED):
        reached = heads.between(prior, fitted[share], moved)
        at_random = heads.calibrated(reached, drawn, was)
        for calibration in (at_random, replace(at_random, moment_temperature=1.0, sentiment_temperature=1.0)):
            answers = _Answers(to_scores(reached.logits(held), calibration))
            fallen = gate.falls(_floors(base), resources.floors_file(), evaluate(answers, floors))
            trial = _Trial(reached, calibration, share, moved, [fall for fall in fallen if fall.figure != _NO_FLOOR])
            below = {_head_of(fall) for fall in trial.fallen}
            found |= {head: trial for head in heads.ROWS if head not in found and head not in below}
            if len(found) == len(heads.ROWS):
                return _joined(found)
    return _joined({head: found.get(head, trial) for head in heads.ROWS})


def _head_of(fall: gate.Fall) -> str:
    return next((head for head in ("sentiment", "touchpoints") if fall.figure.startswith(head)), "moment")


def _joined(by_head: Mapping[str, _Trial]) -> _Trial:
    """Each head of its own trial. How far the heads moved is told by that of the moment."""
    of_moment, of_sentiment = by_head["moment"], by_head["sentiment"]
    temperature = of_sentiment.calibration.sentiment_temperature
    return _Trial(
        heads.joined({head: trial.heads for head, trial in by_head.items()}),
        replace(of_moment.calibration, sentiment_temperature=temperature),
        of_moment.rehearsed,
        of_moment.moved,
        [fall for head, trial in by_head.items() for fall in trial.fallen if _head_of(fall) == head],
    )


def compare(examples: Sequence[Example], before: Classifier, after: Classifier) -> tuple[Comparison, ...]:
    """Both models on the posts that have the label, for moment and sentiment."""
    texts, kinds = [example.text for example in examples], [example.kind for example in examples]
    scores = [model.classify(texts, kinds) for model in (before, after)]
    found = []
    for head, labels in (("moment", MOMENTS), ("sentiment", SENTIMENTS)):
        truth = np.array([getattr(example, head) for example in examples])
        known = truth != UNKNOWN
        guesses = [np.array([labels.index(getattr(score, head)) for score in each]) for each in scores]
        if known.any():
            found.append(_comparison(head, len(labels), truth[known], *(guess[known] for guess in guesses)))
    return tuple(found)


def _comparison(head: str, classes: int, truth: Labels, before: Labels, after: Labels) -> Comparison:
    there = np.unique(truth)

    def macro(sums: measures.Sums) -> measures.Sums:
        pair = np.stack(np.split(sums, 2, axis=-1))
        first, second = measures.by_class(pair)[..., 2 * classes :][..., there].mean(axis=-1)
        return np.stack([first, second, second - first], axis=-1)

    columns = np.concatenate([measures.cells(truth, guess, classes) for guess in (before, after)], axis=1)
    won, lost = int(((after == truth) & (before != truth)).sum()), int(((before == truth) & (after != truth)).sum())
    right = (int((before == truth).sum()), int((after == truth).sum()))
    first, second, gain = measures.figures(columns, macro)
    return Comparison(head, len(truth), first, second, gain, *right, mcnemar(won, lost))


def mcnemar(won: int, lost: int) -> float:
    """The exact two-sided McNemar test: the chance of so uneven a split of the posts that only one model got right."""
    whole, fewer = won + lost, min(won, lost)
    return min(1.0, float(2 * sum(comb(whole, each) for each in range(fewer + 1)) / 2**whole))


def _against(comparisons: Sequence[Comparison]) -> list[str]:
    by_head = {each.head: each for each in comparisons}
    moment = by_head.get("moment")
    if moment is None:
        return ["your test set is empty: `listener review --random` asks you for posts that measure"]
    reasons = []
    if not moment.better:
        reasons.append(
            f"on {moment.posts} test posts it is not better at moments beyond chance (p = {moment.luck:.2f}); "
            "`listener review --random` makes the test set larger"
        )
    reasons += [f"it is worse at the {each.head} beyond chance" for each in comparisons if each.worse]
    return reasons


def _floors(base: Path) -> Path:
    """The floors of the model that was begun with, else those of the released one."""
    beside = base / "gate.json"
    return beside if beside.exists() else resources.model_folder() / "gate.json"


def _new_folder(home: Path) -> Path:
    taken = [int(each.name[4:]) for each in home.glob("own-*") if each.name[4:].isdecimal()]
    folder = home / f"own-{max(taken, default=0) + 1}"
    folder.mkdir(parents=True)
    return folder


def _write(folder: Path, base: Path, encoder: Encoder, fitted: Heads, calibration: Calibration) -> str:
    """A whole model folder; returns what the model calls itself. The digest is in the name: no two are alike."""
    weights = encoder.with_heads(fitted.weight.astype(np.float32), fitted.bias.astype(np.float32))
    digest = hashlib.sha256(weights).hexdigest()
    (folder / "model.onnx").write_bytes(weights)
    shutil.copyfile(base / "tokenizer.json", folder / "tokenizer.json")
    if (base / "gate.json").exists():
        shutil.copyfile(base / "gate.json", folder / "gate.json")
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    config.pop("confusion", None)  # it was counted on verdicts of another model
    version = f"{config['version']}.{folder.name}.{digest[:6]}"
    config |= {"version": version, "calibration": asdict(calibration), "sha256": digest}
    # Last, and at once: a folder without it is no model, whatever stopped us.
    part = folder / "config.part"
    part.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    part.replace(folder / "config.json")
    return f"{config['name']}-{version}"


def _write_card(folder: Path, base: Path, result: Result, taught: Lesson) -> None:
    """card.json: what the model was made of. No text of a post is in it."""
    card = {
        "base": json.loads((base / "config.json").read_text(encoding="utf-8"))["version"],
        "corrections": hashlib.sha256(taught.features.astype("<f4").tobytes() + taught.targets.tobytes()).hexdigest(),
        "pull": heads.PULL,
        "trust": heads.TRUST,
        **{key: value for key, value in result.as_json().items() if key not in ("folder", "model")},
    }
    (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
