"""What a classifier has to beat: baselines that anybody can run, each as guessed labels for the same posts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from listener.engine.labels import MOMENTS
from listener.training.dataset import Example
from listener.training.measures import Labels

# Sets of the project's corpora whose posts are reviews of something had: there, "it is feedback" is the easy guess.
REVIEW_SITES = frozenset((
    "amazon_alexa", "booking_515k_sample", "customer_reviews_cr", "datafiniti_hotel", "google_play_reviews",
    "mams_restaurant_absa", "semeval_absa_laptops", "semeval_absa_restaurants", "sst5", "steam_reviews",
    "tripadvisor_tokyo_hotels", "trustpilot_pet_insurance", "uci_sentences",
))  # fmt: skip


def majority(train: Sequence[Example], examples: Sequence[Example]) -> Labels:
    """Always the most common moment of the training posts."""
    most = int(np.bincount([example.moment for example in train], minlength=len(MOMENTS)).argmax())
    return np.full(len(examples), most, dtype=np.int64)


def review_site(examples: Sequence[Example]) -> Labels | None:
    """A post of a review site is feedback, any other is none; None when no post is from a set that we know as one."""
    if not any(example.source in REVIEW_SITES for example in examples):
        return None
    guess = {True: MOMENTS.index("tmot"), False: MOMENTS.index("none")}
    return np.array([guess[example.source in REVIEW_SITES] for example in examples], dtype=np.int64)


def tfidf(train: Sequence[Example], examples: Sequence[Example]) -> Labels:
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
    return np.asarray(model.predict([example.text for example in examples]), dtype=np.int64)


def vader(examples: Sequence[Example]) -> Labels:
    """Sentiment by VADER with its authors' thresholds: compound at least 0.05 positive, at most -0.05 negative."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyser = SentimentIntensityAnalyzer()
    compound = np.array([analyser.polarity_scores(example.text)["compound"] for example in examples])
    return np.where(compound >= 0.05, 2, np.where(compound <= -0.05, 0, 1)).astype(np.int64)
