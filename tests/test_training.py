"""Training for real, in small: a tiny encoder learns a plain task, is exported, calibrated, loaded and measured."""

from __future__ import annotations

import gzip
import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from listener.cli import main
from listener.engine.calibration import WIDTH, Calibration, to_scores
from listener.engine.labels import MOMENTS
from listener.engine.onnx import OnnxClassifier
from listener.errors import ListenerError
from listener.resources import model_folder
from listener.training import calibrate, dataset, evaluate, export, graph, targets
from listener.training.dataset import Example
from listener.training.model import MomentModel

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
    assert report.moment.accuracy.value > 0.95
    assert report.sentiment.accuracy.value > 0.95
    assert report.touchpoint_micro_f1.value > 0.95
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
        "most common (moment)", "TF-IDF + logistic regression (moment)",
        "VADER (sentiment)",
    }  # fmt: skip
    assert figures["model"]["posts"] == 120
    most_common = figures["baselines"]["most common (moment)"]["macro_f1"]
    assert most_common["high"] < figures["model"]["moment"]["macro_f1"]["low"]
    shown = CliRunner().invoke(main, arguments[:-1], catch_exceptions=False)
    assert "TF-IDF" in shown.stdout and "macro-F1" in shown.stdout


def test_an_interrupted_training_goes_on_from_its_last_pass(base, tmp_path, monkeypatch):
    from tokenizers import Tokenizer

    from listener.training import finetune

    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    posts = dataset.read_labels(_write(tmp_path / "train.jsonl", _posts(64, 5)))
    recipe = finetune.Recipe(passes=3, sentiment_passes=0)
    real, passes = finetune._train_pass, []
    model = MomentModel(base)

    def interrupted(*arguments):
        passes.append(arguments[7])
        if passes == [1, 2]:
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr(finetune, "_train_pass", interrupted)
    with pytest.raises(KeyboardInterrupt):
        finetune.finetune(model, tokenizer, posts, [], recipe, tmp_path)
    finetune.finetune(model, tokenizer, posts, [], recipe, tmp_path)
    assert passes == [1, 2, 2, 3]


@pytest.mark.parametrize(
    "has, bf16",
    [({"avx2": True}, False), ({"avx512_f": True}, False), ({"avx512_bf16": True}, True), ({"amx_bf16": True}, True)],
)
def test_a_cpu_without_bfloat16_does_not_imitate_it(base, tmp_path, monkeypatch, has, bf16):
    """Imitated it is some fifty times slower than float32: a training of an hour would take two days."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    seen = []
    forward = MomentModel.forward

    def watched(self, *tensors):
        seen.append(torch.is_autocast_enabled("cpu"))
        return forward(self, *tensors)

    monkeypatch.setattr(MomentModel, "forward", watched)
    labels = _write(tmp_path / "train.jsonl", _posts(40, 1))
    arguments = ["train", "--labels", str(labels), "--base", str(base), "--out", str(tmp_path / "model"),
                 "--version", "t1", "--passes", "1"]  # fmt: skip
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert set(seen[:2]) == {bf16}


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


def test_what_a_review_is_likely_to_be_is_learnt_so_that_counts_come_out_right():
    """Nine of ten reviews are feedback; the words of every third of those look like nothing in particular."""

    def post(moment: str, source: str) -> Example:
        return Example("", "", MOMENTS.index(moment), source=source)

    def said(**of: float) -> list[float]:
        return [of.get(label, 0.0) for label in MOMENTS] + [0.0] * (WIDTH - len(MOMENTS))

    kept = [post("tmot", "shop")] * 90 + [post("none", "shop")] * 10 + [post("none", "forum")] * 90
    held = [post("tmot", "shop")] * 9 + [post("none", "shop")] + [post("none", "forum")] * 5
    rows = [said(tmot=2.0)] * 6 + [said(none=0.5, tmot=0.3)] * 3 + [said(none=4.0)] * 6
    logits = np.array(rows, dtype=np.float32)
    bias = calibrate.review_bias(logits, held, kept, {"shop"}, Calibration())
    as_reviews = to_scores(logits, replace(Calibration(), review_bias=bias), ["review"] * 10 + ["post"] * 5)
    assert [scores.moment for scores in as_reviews] == ["tmot"] * 9 + ["none"] * 6
    right_already = np.array([said(**{MOMENTS[each.moment]: 2.0}) for each in held], dtype=np.float32)
    assert calibrate.review_bias(right_already, held, kept, {"shop"}, Calibration()) == (0,) * len(MOMENTS)


def test_the_built_graph_gives_what_torch_gives_and_int8_hardly_less(base):
    torch.manual_seed(3)
    model = MomentModel(base).eval()
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    shape = graph.Shape(layers=2, heads=2, epsilon=model.encoder.config.layer_norm_eps)
    ids = torch.randint(1000, 20000, (5, 37))
    with torch.inference_mode():
        expected = model(ids, torch.ones_like(ids)).numpy()
    assert export.fp32_logits(graph.build(weights, shape, quantised=False), ids.tolist()) == pytest.approx(
        expected, abs=1e-4
    )
    small = export.fp32_logits(graph.build(weights, shape), ids.tolist())
    assert np.abs(small - expected).max() < 0.1 * np.abs(expected).max()
    assert not np.array_equal(small, expected)  # it is int8


@given(st.lists(st.lists(st.floats(-3, 3, width=32), min_size=4, max_size=4), min_size=1, max_size=6))
def test_quantising_moves_no_weight_by_more_than_half_a_step(rows):
    matrix = np.array(rows, dtype=np.float32)
    int8, scales = graph.quantise(matrix, axis=1)
    assert np.abs(int8 * scales[:, None] - matrix).max(axis=1) == pytest.approx(0, abs=float(scales.max()) * 0.51)
    assert int8.min() >= -127


def test_a_released_model_can_be_trained_on(trained, tmp_path):
    model = export.restored(trained).eval()
    text = "which hotel is best is it worth the price"
    ids = OnnxClassifier(trained).tokenizer.encode(text).ids
    with torch.inference_mode():
        ours = model(torch.tensor([ids]), torch.ones(1, len(ids), dtype=torch.long)).numpy()
    assert ours == pytest.approx(OnnxClassifier(trained).logits([text]), abs=0.3)
    labels = _write(tmp_path / "more.jsonl", _posts(60, 8))
    arguments = ["train", "--labels", str(labels), "--base", str(trained), "--out", str(tmp_path / "again"),
                 "--version", "t2", "--passes", "1"]  # fmt: skip
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    whole = [*arguments, "--out", str(tmp_path / "kept"), "--keep", "1"]
    kept = CliRunner().invoke(main, whole, catch_exceptions=False)
    assert kept.exit_code == 0, kept.output
    before = OnnxClassifier(trained).logits([text])
    assert OnnxClassifier(tmp_path / "kept").logits([text]) == pytest.approx(before, abs=1e-3)
    assert OnnxClassifier(tmp_path / "again").logits([text]) != pytest.approx(before, abs=1e-3)
    posts = dataset.read_labels(_write(tmp_path / "test.jsonl", _posts(100, 9)))
    assert evaluate.evaluate(OnnxClassifier(tmp_path / "again"), posts).moment.accuracy.value > 0.95


def test_a_student_learns_from_its_teacher_what_no_label_says(trained, base, tmp_path):
    """Its only labels are of one kind, or say the opposite of the teacher; the unlabelled texts bring the rest."""
    labels = _write(tmp_path / "few.jsonl", _posts(40, 10))
    unlabelled = _write(tmp_path / "pool.jsonl", [{"id": f"u{n}", "text": row["text"]} for n, row in
                                                  enumerate(_posts(400, 11))])  # fmt: skip
    test = _write(tmp_path / "test.jsonl", [*_posts(100, 12), {**_posts(1, 10)[0]}])
    arguments = ["train", "--labels", str(labels), "--base", str(base), "--out", str(tmp_path / "student"),
                 "--version", "s1", "--passes", "4", "--unlabelled-passes", "16", "--teacher", str(trained),
                 "--unlabelled", str(unlabelled), "--exclude", str(test)]  # fmt: skip
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    card = json.loads((tmp_path / "student" / "card.json").read_text())
    assert card["teachers"] == ["tiny-t1"]
    report = evaluate.evaluate(OnnxClassifier(tmp_path / "student"), dataset.read_labels(test))
    assert report.moment.accuracy.value > 0.95


def test_unlabelled_texts_without_a_teacher_are_refused(base, tmp_path):
    labels = _write(tmp_path / "train.jsonl", _posts(60, 13))
    arguments = ["train", "--labels", str(labels), "--unlabelled", str(labels), "--base", str(base),
                 "--out", str(tmp_path / "model"), "--version", "x"]  # fmt: skip
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1 and "--teacher" in result.output


class TestTargets:
    even = targets.weights([], [], 0.3, 0.5)

    def test_a_doubtful_label_is_softer_than_a_sure_one(self):
        sure, doubtful = (
            targets.targets(dataset.Example("1", "x", 2, 1, (), sure=sure), self.even, 0.5)[0] for sure in (True, False)
        )
        assert sure.sum() == pytest.approx(1) and doubtful.sum() == pytest.approx(1)
        assert sure[2] > doubtful[2] > 0.8 and sure.argmax() == 2

    def test_without_a_label_the_row_does_not_count_or_is_the_teachers(self):
        moment, sentiment, touchpoints = targets.targets(dataset.Example("1", "x"), self.even, 0.5)
        assert not moment.any() and not sentiment.any() and np.isnan(touchpoints).all()
        word = np.linspace(0, 1, 27, dtype=np.float32)
        moment, sentiment, touchpoints = targets.targets(dataset.Example("1", "x", taught=word), self.even, 0.5)
        assert np.concatenate([moment, sentiment, touchpoints]) == pytest.approx(word)

    def test_label_and_teacher_share_the_target(self):
        word = np.zeros(27, dtype=np.float32)
        word[3] = word[7] = word[10] = 1
        example = dataset.Example("1", "x", 2, 1, ("price",), taught=word)
        moment, sentiment, touchpoints = targets.targets(example, self.even, 0.25)
        assert moment[3] > 0.25 and moment[2] > 0.7 and moment.sum() == pytest.approx(1)
        assert sentiment[0] > 0.25 and touchpoints[0] == pytest.approx(0.25) and touchpoints[2] == pytest.approx(0.75)

    def test_a_rare_class_weighs_more_and_the_mean_stays_one(self):
        posts = [dataset.Example(str(n), "x", moment=1 if n < 10 else 0) for n in range(100)]
        by_class = targets.weights(posts, [], 0.3, 0.5).moments
        assert by_class[1] > by_class[0]
        assert (by_class[1] * 10 + by_class[0] * 90) / 100 == pytest.approx(1)

    def test_a_text_of_a_sentiment_corpus_keeps_its_own_sentiment(self):
        word = np.zeros(27, dtype=np.float32)
        word[0] = word[7] = 1
        _, sentiment, _ = targets.targets(dataset.Example("1", "x", sentiment=2, taught=word), self.even, 0.5)
        assert sentiment.argmax() == 2 and sentiment[0] < 0.05
