"""Measures a classifier on labelled posts, beside baselines that anybody can run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support, recall_score

from listener.engine import Classifier
from listener.engine.labels import MOMENTS, SENTIMENTS
from listener.training.calibrate import expected_calibration_error
from listener.training.dataset import UNKNOWN, Example

Labels = NDArray[np.int64]
_GROUPS = np.array([{"zmot": 1, "tmot": 2}.get(moment, 0) for moment in MOMENTS])  # research, feedback, other


@dataclass(frozen=True, slots=True)
class PerClass:
    label: str
    precision: float
    recall: float
    f1: float
    posts: int


@dataclass(frozen=True, slots=True)
class HeadReport:
    """One head on one set: macro figures over classes, share right, calibration error (None for a baseline)."""

    macro_f1: float
    macro_recall: float
    accuracy: float
    ece: float | None
    classes: tuple[PerClass, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of one classifier on one set. A head the set has no labels for is None."""

    name: str
    posts: int
    moment: HeadReport | None
    groups_macro_f1: float | None  # zmot, tmot, other
    sentiment: HeadReport | None
    touchpoint_micro_f1: float | None
    abstained: float | None
    accuracy_when_sure: float | None  # of moment, over the posts that did not abstain

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def evaluate(classifier: Classifier, examples: Sequence[Example]) -> Report:
    """Scores `examples` and reports every head they carry labels for."""
    scores = classifier.classify([example.text for example in examples])
    moments = np.array([example.moment for example in examples])
    sentiments = np.array([example.sentiment for example in examples])
    has_moment, has_sentiment = moments != UNKNOWN, sentiments != UNKNOWN
    guessed = np.array([MOMENTS.index(score.moment) for score in scores])
    sure = np.array([not score.abstained for score in scores])
    named = [(s.touchpoints, x.touchpoints) for s, x in zip(scores, examples, strict=True) if x.touchpoints is not None]
    counted = has_moment & sure
    return Report(
        name=classifier.model,
        posts=len(examples),
        moment=_probabilistic_head(MOMENTS, moments, has_moment, [s.moments for s in scores]),
        groups_macro_f1=groups_macro_f1(moments[has_moment], guessed[has_moment]) if has_moment.any() else None,
        sentiment=_probabilistic_head(SENTIMENTS, sentiments, has_sentiment, [s.sentiments for s in scores]),
        touchpoint_micro_f1=_touchpoint_micro_f1(named) if named else None,
        abstained=float(1 - sure[has_moment].mean()) if has_moment.any() else None,
        accuracy_when_sure=float((guessed == moments)[counted].mean()) if counted.any() else None,
    )


def head_report(labels: Sequence[str], truth: Labels, guessed: Labels, ece: float | None = None) -> HeadReport:
    """Figures of one head from true and guessed class numbers (n,)."""
    indices = list(range(len(labels)))
    by_class = precision_recall_fscore_support(truth, guessed, labels=indices, zero_division=0)
    return HeadReport(
        macro_f1=float(f1_score(truth, guessed, labels=indices, average="macro", zero_division=0)),
        macro_recall=float(recall_score(truth, guessed, labels=indices, average="macro", zero_division=0)),
        accuracy=float(accuracy_score(truth, guessed)),
        ece=ece,
        classes=tuple(
            PerClass(label, float(p), float(r), float(f), int(n))
            for label, p, r, f, n in zip(labels, *by_class, strict=True)
        ),
    )


def groups_macro_f1(truth: Labels, guessed: Labels) -> float:
    """Macro-F1 of research (zmot), feedback (tmot) and everything else."""
    return float(f1_score(_GROUPS[truth], _GROUPS[guessed], average="macro", zero_division=0))


def _probabilistic_head(
    labels: Sequence[str], truth: Labels, known: NDArray[np.bool_], probabilities: Sequence[Any]
) -> HeadReport | None:
    if not known.any():
        return None
    matrix = np.array([[row[label] for label in labels] for row in probabilities], dtype=np.float32)[known]
    guessed = matrix.argmax(axis=1)
    ece = expected_calibration_error(matrix.max(axis=1), guessed == truth[known])
    return head_report(labels, truth[known], guessed, ece)


def _touchpoint_micro_f1(pairs: Sequence[tuple[Sequence[str], Sequence[str]]]) -> float:
    both = sum(len(set(named) & set(true)) for named, true in pairs)
    return 2 * both / max(1, sum(len(named) + len(true) for named, true in pairs))


# Baselines ------------------------------------------------------------------------------------------------------------


def majority(train: Sequence[Example], examples: Sequence[Example]) -> HeadReport:
    """Always the most common moment of the training posts."""
    most = int(np.bincount([example.moment for example in train], minlength=len(MOMENTS)).argmax())
    truth = np.array([example.moment for example in examples])
    return head_report(MOMENTS, truth, np.full_like(truth, most))


def tfidf(train: Sequence[Example], examples: Sequence[Example]) -> HeadReport:
    """Moment by word and character TF-IDF with logistic regression: what one gets without a transformer."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    features = make_union(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=3, sublinear_tf=True),
    )
    model = make_pipeline(features, LogisticRegression(C=5, max_iter=300, class_weight="balanced"))
    model.fit([example.text for example in train], [example.moment for example in train])
    guessed = model.predict([example.text for example in examples])
    return head_report(MOMENTS, np.array([example.moment for example in examples]), guessed)


def vader(examples: Sequence[Example]) -> HeadReport:
    """Sentiment by VADER with its authors' thresholds: compound at least 0.05 positive, at most -0.05 negative."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyser = SentimentIntensityAnalyzer()
    compound = np.array([analyser.polarity_scores(example.text)["compound"] for example in examples])
    guessed = np.where(compound >= 0.05, 2, np.where(compound <= -0.05, 0, 1))
    return head_report(SENTIMENTS, np.array([example.sentiment for example in examples]), guessed)
