"""Training for real, in small: a tiny encoder learns a plain task, is exported, calibrated, loaded and measured."""

from __future__ import annotations

import gzip
import json
import random
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from listener.cli import main
from listener.engine.labels import MOMENTS
from listener.engine.onnx import OnnxClassifier
from listener.errors import ListenerError
from listener.resources import model_folder
from listener.training import dataset, evaluate
from listener.training.calibrate import expected_calibration_error

# Two classes a child could tell apart, in words of our own.
ASKING = ["which hotel is best", "is it worth the price", "can you recommend a room", "should i book this one"]
TELLING = [
    "we stayed and the bed was bad",
    "my room was dirty again",
    "staff were rude to us",
    "breakfast was awful today",
]


def _posts(count: int, seed: int) -> list[dict[str, object]]:
    rng = random.Random(seed)
    rows = []
    for number in range(count):
        asking = rng.random() < 0.5
        text = " ".join(rng.sample(ASKING if asking else TELLING, 2))
        rows.append({
            "id": f"{seed}-{number}", "text": text, "moment": "zmot" if asking else "tmot", "set": "own",
            "sentiment": "neutral" if asking else "negative",
            "touchpoints": ["price"] if asking else ["staff", "comfort"],
        })  # fmt: skip
    return rows


def _write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """A two-layer encoder with random weights and the released model's tokenizer."""
    torch.set_num_threads(1)  # on so little work a second thread only waits for the first
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("base")
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = BertConfig(vocab_size=30522, initializer_range=0.1, hidden_dropout_prob=0, **sizes)
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    shutil.copy(model_folder() / "tokenizer.json", folder)
    return folder


@pytest.fixture(scope="module")
def trained(base, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    labels = _write(folder / "train.jsonl", _posts(400, 1))
    arguments = ["train", "--labels", str(labels), "--base", str(base), "--out", str(folder / "model"),
                 "--version", "t1", "--name", "tiny", "--passes", "20"]  # fmt: skip
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return folder / "model"


def test_a_trained_model_is_loaded_by_the_engine_and_has_learnt(trained, tmp_path):
    classifier = OnnxClassifier(trained)
    assert classifier.model == "tiny-t1"
    report = evaluate.evaluate(classifier, dataset.read_labels(_write(tmp_path / "test.jsonl", _posts(200, 2))))
    assert report.moment.accuracy > 0.95
    assert report.sentiment.accuracy > 0.95
    assert report.touchpoint_micro_f1 > 0.95
    assert not (trained / "checkpoint.pt").exists()


def test_a_trained_model_tells_what_it_was_made_of(trained):
    card = json.loads((trained / "card.json").read_text())
    assert card["recipe"]["passes"] == 20 and card["recipe"]["seed"] == 1
    assert list(card["files"]) == ["train.jsonl"] and set(card["packages"]) >= {"torch", "transformers"}


def test_labels_without_texts_find_them_in_the_corpora(tmp_path):
    with gzip.open(tmp_path / "reviews.jsonl.gz", "wt") as file:
        file.write(json.dumps({"id": "a1", "text": "w" * 700}) + "\n")
    label = {"id": "a1", "set": "reviews", "moment": "tmot", "sentiment": "neutral", "touchpoints": []}
    labels = _write(tmp_path / "labels.jsonl", [label])
    (example,) = dataset.read_labels(labels, tmp_path)
    assert example.text == "w" * 600 + "…"
    with pytest.raises(ListenerError, match="--corpora"):
        dataset.read_labels(labels)
    with pytest.raises(ListenerError, match="no post zz"):
        dataset.read_labels(_write(tmp_path / "more.jsonl", [label | {"id": "zz"}]), tmp_path)


def test_evaluate_prints_the_figures_and_the_baselines(trained, tmp_path):
    test = _write(tmp_path / "test.jsonl", _posts(120, 3))
    known = _write(tmp_path / "known.jsonl", _posts(200, 4))
    arguments = ["evaluate", str(test), "--model", str(trained), "--baselines", str(known), "--json"]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    figures = json.loads(result.stdout)
    assert set(figures["baselines"]) == {
        "majority (moment)", "TF-IDF + logistic regression (moment)", "VADER (sentiment)",
    }  # fmt: skip
    assert figures["model"]["posts"] == 120
    assert figures["baselines"]["majority (moment)"]["macro_f1"] < figures["model"]["moment"]["macro_f1"]
    shown = CliRunner().invoke(main, arguments[:-1], catch_exceptions=False)
    assert "TF-IDF" in shown.stdout and "macro-F1" in shown.stdout


def test_an_interrupted_training_goes_on_from_its_last_pass(base, tmp_path, monkeypatch):
    from tokenizers import Tokenizer

    from listener.training import finetune

    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    posts = dataset.read_labels(_write(tmp_path / "train.jsonl", _posts(64, 5)))
    recipe = finetune.Recipe(passes=3, sentiment_passes=0)
    real, passes = finetune._train_pass, []

    def interrupted(*arguments):
        passes.append(arguments[7])
        if passes == [1, 2]:
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr(finetune, "_train_pass", interrupted)
    with pytest.raises(KeyboardInterrupt):
        finetune.finetune(base, tokenizer, posts, [], recipe, tmp_path)
    finetune.finetune(base, tokenizer, posts, [], recipe, tmp_path)
    assert passes == [1, 2, 2, 3]


def test_a_label_that_is_none_of_ours_is_named_with_its_row(tmp_path):
    rows = _posts(3, 6)
    rows[1]["moment"] = "later"
    with pytest.raises(ListenerError, match="row 2"):
        dataset.read_labels(_write(tmp_path / "bad.jsonl", rows))


def test_a_broken_line_is_named(tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"id": "a"\n')
    with pytest.raises(ListenerError, match="line 1"):
        dataset.read_labels(tmp_path / "bad.jsonl")


def test_the_same_posts_are_held_out_whatever_their_order():
    posts = [dataset.Example(str(number), "x", moment=MOMENTS.index("none")) for number in range(500)]
    _, held = dataset.hold_out(posts, 0.1)
    _, again = dataset.hold_out(reversed(posts), 0.1)
    assert {post.id for post in held} == {post.id for post in again}
    assert 25 < len(held) < 80


def test_calibration_error_is_zero_when_confidence_is_accuracy_and_large_when_it_boasts():
    import numpy as np

    confidence = np.full(1000, 0.75, dtype=np.float32)
    right = np.arange(1000) % 4 != 0
    assert expected_calibration_error(confidence, right) == pytest.approx(0, abs=1e-6)
    assert expected_calibration_error(np.full(1000, 0.99, dtype=np.float32), right) == pytest.approx(0.24, abs=1e-3)
