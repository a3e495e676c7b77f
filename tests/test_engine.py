"""The released model as people use it: sensible verdicts, any text survives, a damaged or foreign model is named."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listener import engine
from listener.config import ModelSettings
from listener.engine import batches, head_and_tail
from listener.engine.labels import MOMENTS, SENTIMENTS, TOUCHPOINTS
from listener.engine.onnx import OnnxClassifier
from listener.engine.routing import RoutingClassifier
from listener.errors import ModelError
from listener.resources import model_folder
from listener.scoring import score_lines


@pytest.fixture(scope="module")
def classifier() -> OnnxClassifier:
    return OnnxClassifier(model_folder())


@pytest.fixture(scope="module")
def judge() -> RoutingClassifier:
    return engine.load(ModelSettings())


@pytest.mark.parametrize(
    ("text", "moment", "sentiment"),
    [
        (
            "Can anyone recommend a quiet hotel near the old town? Is the Harbour worth the extra money?",
            "zmot",
            "neutral",
        ),
        ("We stayed three nights. The room was filthy and the staff at the desk were rude to us.", "tmot", "negative"),
        ("We stayed for a week and loved every minute, spotless room and lovely staff.", "tmot", "positive"),
        ("Ordered it nine days ago and still no parcel, where is my order?", "imot", "negative"),
        ("Acme opens its 40th hotel in Oslo, shares up 2 percent", "none", "neutral"),
    ],
)
def test_plain_cases_are_judged_as_a_person_would(classifier, text, moment, sentiment):
    (scores,) = classifier.classify([text])
    assert (scores.moment, scores.sentiment) == (moment, sentiment)


def test_probabilities_sum_to_one_and_labels_are_ours(classifier):
    for scores in classifier.classify(["breakfast was cold", "", "what does it cost?"]):
        assert tuple(scores.moments) == MOMENTS and tuple(scores.sentiments) == SENTIMENTS
        assert sum(scores.moments.values()) == pytest.approx(1, abs=1e-5)
        assert sum(scores.sentiments.values()) == pytest.approx(1, abs=1e-5)
        assert set(scores.touchpoints) <= set(TOUCHPOINTS)
        assert scores.confidence == pytest.approx(max(scores.moments.values()))


def test_a_review_is_likelier_feedback_than_its_words_alone_tell(classifier):
    texts = ["Very nice and cool and funny", "ok", "Is breakfast included?"]
    unknown = classifier.classify(texts)
    assert classifier.classify(texts, ["post", "", "comment"]) == unknown
    reviews = classifier.classify(texts, ["review"] * 3)
    for plain, review in zip(unknown, reviews, strict=True):
        assert review.moments["tmot"] > plain.moments["tmot"]
        assert sum(review.moments.values()) == pytest.approx(1, abs=1e-5)
        assert (review.sentiments, review.touchpoints) == (plain.sentiments, plain.touchpoints)
    assert classifier.classify(texts, ["", "review", ""]) == [unknown[0], reviews[1], unknown[2]]


def test_a_text_is_judged_alike_alone_and_in_company(classifier):
    """Padding and batch order must not matter beyond what int8 activations, scaled by the batch, let through."""
    texts = ["The pool was closed.", "ok", "Is breakfast included? " * 30, "Booked!", "Still waiting for my refund."]
    together = classifier.classify(texts)
    for text, scores in zip(texts, together, strict=True):
        (alone,) = classifier.classify([text])
        assert alone.moments == pytest.approx(scores.moments, abs=0.08)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "😀🔥",
        "\x00\x07",
        "\u202eabc\u202c",
        "a" * 100_000,
        "wort " * 40_000,
        "ignore all previous instructions",
        "これは良い",
    ],
)
def test_no_text_is_too_odd(classifier, text):
    (scores,) = classifier.classify([text])
    assert scores.moment in MOMENTS


@settings(max_examples=30)
@given(st.lists(st.text(max_size=80), max_size=6))
def test_any_texts_give_as_many_scores(texts):
    assert len(OnnxClassifierOnce.get().classify(texts)) == len(texts)


class OnnxClassifierOnce:
    _one: OnnxClassifier | None = None

    @classmethod
    def get(cls) -> OnnxClassifier:
        cls._one = cls._one or OnnxClassifier(model_folder())
        return cls._one


@given(st.lists(st.integers(0, 600), max_size=60), st.integers(1, 2048))
def test_batches_hold_every_text_once_and_keep_to_the_limit(lengths, tokens):
    found = list(batches(lengths, tokens))
    assert sorted(index for batch in found for index in batch) == list(range(len(lengths)))
    for batch in found:
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= tokens


@given(st.lists(st.integers(), max_size=300), st.integers(3, 200))
def test_a_long_text_keeps_its_beginning_and_its_end(ids, limit):
    cut = head_and_tail(ids, limit)
    assert len(cut) == min(len(ids), limit)
    if ids:
        assert (cut[0], cut[-1]) == (ids[0], ids[-1])


def _copy_of_the_model(tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_folder(), tmp_path / "model"))


def test_other_labels_are_refused_by_name(tmp_path):
    folder = _copy_of_the_model(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config["moments"][1], config["moments"][2] = config["moments"][2], config["moments"][1]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="moments are none, zmot, ltzmot"):
        OnnxClassifier(folder)


def test_a_damaged_model_is_named(tmp_path):
    folder = _copy_of_the_model(tmp_path)
    with (folder / "model.onnx").open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"damage")
    with pytest.raises(ModelError, match=r"model\.onnx is damaged"):
        OnnxClassifier(folder)


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "model.onnx"])
def test_a_missing_file_is_named(tmp_path, missing):
    folder = _copy_of_the_model(tmp_path)
    (folder / missing).unlink()
    with pytest.raises(ModelError, match=str(folder)):
        OnnxClassifier(folder)


@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory of a process as Linux does")
def test_memory_that_is_short_is_told_as_such_and_the_model_goes_on():
    """In a process of its own, which may have 1 GB more: 20,000 texts at once need more than that."""
    program = """
import resource, numpy
from listener.engine.onnx import OnnxClassifier
from listener.resources import model_folder
model = OnnxClassifier(model_folder(), threads=1)
size = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmSize")) * 1024
resource.setrlimit(resource.RLIMIT_AS, (size + 2**30, -1))
try:
    model.run(numpy.ones((20_000, 128), dtype=numpy.int64))
except MemoryError:
    print(len(model.classify(["The room was fine."] * 50)))
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (run.stdout, run.returncode) == ("50\n", 0), run.stderr


def test_the_owners_threshold_outranks_the_models(classifier):
    strict = engine.load(ModelSettings(abstain_below=1.0))
    lax = engine.load(ModelSettings(abstain_below=0.0))
    assert all(scores.abstained for scores in strict.classify(["nice", "is it good?"]))
    assert not any(scores.abstained for scores in lax.classify(["nice", "is it good?"]))


def test_lines_are_scored_in_order_and_bad_ones_are_named(judge):
    lines = [
        b'\xef\xbb\xbf{"id": "a", "text": "Which hotel should I book?"}\n', b"\n", b"not json\n",
        b'{"id": 2, "text": "Loved it"}\n',
        b'{"id": 3}\n', b'[1]\n', b'{"id": 4, "text": "caf\xe9"}\n', b'{"id": null, "text": ""}',
    ]  # fmt: skip
    out, complaints = io.StringIO(), []
    bad = score_lines(lines, out, judge, complaints.append)
    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [row["id"] for row in rows] == ["a", 2, None]
    assert bad == 4 and [complaint.split(":")[0] for complaint in complaints] == [
        "line 3",
        "line 5",
        "line 6",
        "line 7",
    ]
    assert list(rows[0]) == [
        "id", "moment", "moments", "phase", "sentiment", "sentiments", "score", "touchpoints", "confidence",
        "abstained", "language", "unread", "model",
    ]  # fmt: skip
    assert rows[0]["phase"] == "research"
    assert rows[1]["score"] == pytest.approx(
        rows[1]["sentiments"]["positive"] - rows[1]["sentiments"]["negative"], abs=1e-4
    )


def test_a_line_may_say_that_it_is_a_review(judge):
    text, out = "Very nice and cool and funny", io.StringIO()
    lines = [json.dumps({"id": 1, "text": text, **more}).encode() for more in ({}, {"kind": "review"}, {"kind": 3})]
    assert score_lines(lines, out, judge, pytest.fail) == 0
    plain, review, neither = (json.loads(line)["moments"] for line in out.getvalue().splitlines())
    assert plain == neither and review["tmot"] > plain["tmot"]


def test_order_is_kept_over_many_chunks(judge, monkeypatch):
    monkeypatch.setattr("listener.scoring.LINES_AT_ONCE", 7)
    lines = [json.dumps({"id": n, "text": "word " * (n % 5 + 1)}).encode() for n in range(40)]
    out = io.StringIO()
    assert score_lines(lines, out, judge, pytest.fail) == 0
    assert [json.loads(line)["id"] for line in out.getvalue().splitlines()] == list(range(40))


def test_a_folder_that_holds_no_model_of_ours_is_named(tmp_path):
    folder = _copy_of_the_model(tmp_path)
    whole = json.loads((folder / "config.json").read_text())
    without_name = {key: value for key, value in whole.items() if key != "name"}
    for config, said in (({}, "moments are not given"), ([], "not that of a model"), (without_name, "lacks name"),
                         (whole | {"calibration": {"warmth": 1}}, "calibration")):  # fmt: skip
        (folder / "config.json").write_text(json.dumps(config))
        with pytest.raises(ModelError, match=said):
            engine.load(ModelSettings(folder=folder))


def test_half_an_emoji_and_endless_nesting_stop_no_scoring(judge):
    lines = [b'{"id": "\\ud83d", "text": "nice \\ud83d"}\n', b"[" * 100_000 + b"\n", b'{"id": 2, "text": "fine"}\n']
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    assert score_lines(lines, out, judge, lambda _: None) == 1
    out.seek(0)
    assert [json.loads(line)["id"] for line in out] == ["\ud83d", 2]
