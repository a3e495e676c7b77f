"""Shares corrected for the model's errors: right where the counts are wrong, and honest about what is not known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener.engine.labels import MOMENTS, SENTIMENTS
from listener.reads import shares
from listener.reads.counts import Interval, mean, net, totals
from listener.reads.shares import Correction

# Of a hundred questions the model finds 80, and takes 10 for chat; of a hundred chats it takes 20 for questions.
TABLE = {"question": [800, 100, 100], "chat": [200, 750, 50]}


def guessed(rng: np.random.Generator, posts: int, share: float) -> np.ndarray:
    """Counts of what the model says of `posts` posts, `share` of them questions."""
    questions = rng.binomial(posts, share)
    rates = [np.array(row) / sum(row) for row in TABLE.values()]
    return (rng.multinomial(questions, rates[0]) + rng.multinomial(posts - questions, rates[1])).astype(float)


def test_a_share_is_put_right() -> None:
    counts = np.array([[800 * 0.1 + 200 * 0.9, 100 * 0.1 + 750 * 0.9, 100 * 0.1 + 50 * 0.9]]) * 10
    (found,) = Correction.of(TABLE).shares(counts)
    counted = counts[0, 0] / counts[0, :2].sum()
    assert counted == pytest.approx(0.275, abs=0.001), "what the counts alone say, where the truth is 0.1"
    assert found["question"].value == pytest.approx(0.1, abs=0.01)
    assert found["question"].value + found["chat"].value == pytest.approx(1)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    held = []
    for _ in range(400):
        share = rng.uniform(0, 1)
        seen = {true: rng.multinomial(150, np.array(row) / sum(row)).tolist() for true, row in TABLE.items()}
        (found,) = Correction.of(seen).shares(guessed(rng, 200, share)[None])
        held.append(found["question"].low <= share <= found["question"].high)
    assert 0.92 <= np.mean(held) <= 0.99


def test_a_difference_is_called_one_as_rarely_as_it_says() -> None:
    rng = np.random.default_rng(4)
    correction = Correction.of(TABLE)

    def called(before: float, after: float) -> float:
        pairs = [(guessed(rng, 150, before), guessed(rng, 150, after)) for _ in range(300)]
        moved = correction.differences(*(np.array(side) for side in zip(*pairs, strict=True)))
        return float(np.mean([each["question"].low > 0 or each["question"].high < 0 for each in moved]))

    assert called(0.3, 0.3) <= 0.08
    assert called(0.2, 0.5) >= 0.9


def test_few_posts_are_told_with_all_their_doubt() -> None:
    (found,) = Correction.of(TABLE).shares(np.array([[5.0, 0.0, 0.0]]))
    assert not found["question"].enough
    assert found["question"].high - found["question"].low > 0.3
    (nothing,) = Correction.of(TABLE).shares(np.zeros((1, 3)))
    assert nothing["question"] == Interval(None, None, None, 0)


ROW = st.lists(st.integers(0, 400), min_size=3, max_size=3)


@given(ROW.filter(any), ROW.filter(any), st.lists(ROW, min_size=1, max_size=5))
def test_shares_are_shares_whatever_is_counted(first: list[int], second: list[int], rows: list[list[int]]) -> None:
    correction = Correction.of({"question": first, "chat": second})
    for row, found in zip(rows, correction.shares(np.array(rows, dtype=float)), strict=True):
        if not sum(row):
            continue
        assert sum(each.value for each in found.values()) == pytest.approx(1, abs=1e-6)
        for each in found.values():
            assert -1e-9 <= each.low <= each.value + 1e-9 <= each.high + 2e-9 <= 1 + 3e-9
            assert each.n == sum(row)


def confusion(right: int = 90) -> str:
    moments = {
        label: [right if label == other else 1 for other in MOMENTS] + [100 - right] for label in MOMENTS
    }  # fmt: skip
    sentiments = {label: [right if label == other else 3 for other in SENTIMENTS] for label in SENTIMENTS}
    return json.dumps({"moments": moments, "sentiments": sentiments})


def row(**moments: int) -> dict[str, object]:
    posts = sum(moments.values())
    return totals("Acme", ()) | {
        "posts": posts, "moments": dict.fromkeys(MOMENTS, 0) | moments,
        "sentiments": {"negative": posts, "neutral": 0, "positive": 0},
    }  # fmt: skip


def test_phases_and_single_moments_are_corrected_by_the_models_own_table() -> None:
    (found,) = shares.of([row(zmot=60, tmot=40)], shares.parse(confusion()))
    assert found.corrected
    assert found.zmot.value == pytest.approx(0.6, abs=0.05) and found.tmot.value == pytest.approx(0.4, abs=0.05)
    assert found.research.value == pytest.approx(0.6, abs=0.05) and found.negative.value == pytest.approx(1, abs=0.05)
    assert found.zmot.low < 0.52 and found.zmot.high > 0.68, "the posts are a sample of a hundred"


def test_without_a_table_shares_are_as_counted() -> None:
    (found,) = shares.of([row(zmot=60, tmot=40)], None)
    assert not found.corrected
    assert found.zmot.value == 0.6


@pytest.mark.parametrize(
    ("before", "after", "low", "high"),
    # Newcombe 1998, Statistics in Medicine 17:873-890, table II, method 10
    [((48, 80), (56, 70), 0.0524, 0.3339), ((3, 10), (9, 10), 0.1705, 0.8090)],
)
def test_differences_of_counted_shares_are_those_of_the_literature(
    before: tuple[int, int], after: tuple[int, int], low: float, high: float
) -> None:
    moved = shares.newcombe(*before, *after)
    assert (moved.low, moved.high) == pytest.approx((low, high), abs=5e-5)
    assert moved.n == min(before[1], after[1])


def test_a_mean_of_equal_values_is_no_certainty() -> None:
    same = mean(3.0, 3.0, 3)
    assert same.value == 1 and same.low < 0.7
    many = mean(450.0, 410.0, 500)
    assert many.value == 0.9 and 0.88 < many.low < many.high < 0.92
    assert net(30, 10).value == 0.5 and net(0, 0).value is None
