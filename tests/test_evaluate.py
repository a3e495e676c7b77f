"""The figures against scikit-learn, their intervals, the picture, and the gate that lets no figure fall unnoticed."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_recall_fscore_support, recall_score

from listener.cli import main
from listener.engine.labels import MOMENTS, SENTIMENTS, TOUCHPOINTS
from listener.errors import ListenerError
from listener.records import Scores
from listener.resources import model_folder
from listener.training import baselines, evaluate, gate, measures, picture
from listener.training.dataset import Example, read_any

pairs = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=60)


class Stand:
    """A classifier whose verdicts are given: a post is its number, and a share of them is wrong."""

    model = "stand-1"

    def __init__(self, examples: list[Example], wrong: float, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.of = {}
        for example in examples:
            moment, sentiment, touchpoints = example.moment, example.sentiment, example.touchpoints
            if rng.random() < wrong:
                moment, sentiment, touchpoints = (moment + 1) % 7, (sentiment + 1) % 3, ()
            sure = float(rng.uniform(0.5, 0.99))
            self.of[example.text] = Scores(
                {label: sure if at == moment else (1 - sure) / 6 for at, label in enumerate(MOMENTS)},
                {label: sure if at == sentiment else (1 - sure) / 2 for at, label in enumerate(SENTIMENTS)},
                touchpoints or (), sure, sure < 0.6,
            )  # fmt: skip

    def classify(self, texts, kinds=()):
        return [self.of[text] for text in texts]


@pytest.fixture
def examples() -> list[Example]:
    return [
        Example(str(n), f"post {n}", n % 7, n % 3, (TOUCHPOINTS[n % 17],), "steam_reviews" if n % 2 else "forum")
        for n in range(420)
    ]


@given(pairs)
def test_figures_are_those_of_scikit_learn(found):
    truth, guessed = np.array(found).T
    sums = measures.cells(truth, guessed, 7).sum(axis=0)
    precision, recall, f1, _ = precision_recall_fscore_support(truth, guessed, labels=range(7), zero_division=0)
    assert measures.by_class(sums) == pytest.approx(np.concatenate([precision, recall, f1]))
    assert measures.overall(sums) == pytest.approx([
        f1_score(truth, guessed, labels=range(7), average="macro", zero_division=0),
        recall_score(truth, guessed, labels=range(7), average="macro", zero_division=0),
        (truth == guessed).mean(),
    ])  # fmt: skip


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_figures_of_labels_that_hold_at_once_are_those_of_scikit_learn(found):
    table = np.array(found)
    truth, named = table[:, :2], table[:, 2:]
    *each, micro = measures.by_label(measures.named_cells(truth, named).sum(axis=0))
    expected = precision_recall_fscore_support(truth, named, zero_division=0)[:3]
    assert each == pytest.approx(np.concatenate(expected))
    assert micro == pytest.approx(f1_score(truth, named, average="micro", zero_division=0))


def test_an_interval_holds_the_truth_in_about_95_of_100_samples():
    rng = np.random.default_rng(7)
    held = 0
    for sample in range(100):
        truth = rng.integers(0, 3, 300)
        guessed = np.where(rng.random(300) < 0.7, truth, (truth + 1) % 3)
        accuracy = measures.figures(measures.cells(truth, guessed, 3), measures.overall, seed=sample)[2]
        held += accuracy.low <= 0.7 <= accuracy.high
    assert 88 <= held <= 99


def test_calibration_error_is_zero_when_confidence_is_accuracy_and_large_when_it_boasts():
    right = np.arange(1000) % 4 != 0
    for confidence, error in ((0.75, 0.0), (0.99, 0.24)):
        sums = measures.bins(np.full(1000, confidence), right).sum(axis=0)
        assert measures.calibration_error(sums) == pytest.approx(error, abs=1e-9)


def test_a_small_calibration_error_lies_in_its_interval():
    rng = np.random.default_rng(3)
    confidence = rng.uniform(0.4, 1.0, 1000)
    columns = measures.bins(confidence, rng.random(1000) < confidence)
    (plain,) = measures.figures(columns, measures.calibration_error)
    (error,) = measures.figures(columns, measures.calibration_error, centred=True)
    assert error.low < error.value == plain.value < error.high
    assert (plain.low + plain.high) / 2 - error.value > 0.01  # resampling adds noise, and noise is added error
    assert (error.low + error.high) / 2 == pytest.approx(error.value, abs=0.003)


def test_the_gain_of_abstaining_is_that_of_the_curve_and_none_when_confidence_says_nothing():
    rng = np.random.default_rng(4)
    right = rng.random(2000) < 0.7
    telling = np.where(right, rng.uniform(0.4, 1.0, 2000), rng.uniform(0.2, 0.8, 2000))
    (gain,) = measures.figures(measures.surest(telling, right, 0.15), measures.gain)
    assert gain.value == pytest.approx(measures.accuracy_of_surest(telling, right, 0.15) - right.mean())
    assert 0.05 < gain.low < gain.value < gain.high < 0.15
    (nothing,) = measures.figures(measures.surest(rng.random(2000), right, 0.15), measures.gain)
    assert nothing.low < 0 < nothing.high


def test_many_posts_do_not_take_much_memory():
    truth = np.arange(60_000) % 3
    columns = measures.cells(truth, truth, 3)
    accuracy = measures.figures(columns, measures.overall)[2]
    assert (accuracy.value, accuracy.low, accuracy.high) == (1, 1, 1)


def test_a_report_tells_of_every_head_source_and_share(examples):
    report = evaluate.evaluate(Stand(examples, wrong=0.2), examples)
    assert 0.74 < report.moment.accuracy.value < 0.86
    assert report.moment.accuracy.low < report.moment.accuracy.value < report.moment.accuracy.high
    assert sum(map(sum, report.moment.confusion)) == 420
    assert [row.label for row in report.groups.classes] == ["other", "zmot", "tmot"]
    assert sum(each.posts for each in report.moment.reliability) == 420
    assert [(each.source, each.posts) for each in report.sources] == [("forum", 210), ("steam_reviews", 210)]
    assert dict(report.abstention)[0.0] == report.moment.accuracy.value
    assert 0 < report.abstained < 0.5
    json.dumps(report.as_json())


def test_posts_with_a_sentiment_alone_are_measured_too(tmp_path):
    path = tmp_path / "tweets.jsonl"
    rows = [{"id": str(n), "text": f"t {n}", "label": SENTIMENTS[n % 3], "split": "test"} for n in range(30)]
    rows.append({"id": "other", "text": "x", "label": "positive", "split": "train"})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    tweets = read_any(path, None, "test")
    assert len(tweets) == 30
    report = evaluate.evaluate(Stand(tweets, wrong=0.0), tweets)
    assert report.moment is None and report.touchpoint_micro_f1 is None and report.sources == ()
    assert report.sentiment.macro_recall.value == 1
    with pytest.raises(ListenerError, match="split val"):
        read_any(path, None, "val")


@pytest.mark.parametrize(
    "row, wrong",
    [
        ("[1]", "line 2: not an object"),
        ('{"label": "positive", "text": "x"}', '"id" is missing'),
        ('{"id": "a", "label": "positive"}', "labels without texts"),
        ('{"id": "a", "text": 5, "moment": "none", "sentiment": "neutral", "touchpoints": []}', '"text" is missing or'),
        ('{"id": "a", "text": "x", "moment": "none", "sentiment": "neutral", "touchpoints": null}', "no list"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_with_its_file(tmp_path, row, wrong):
    good = '{"id": "g", "text": "x", "moment": "none", "sentiment": "neutral", "touchpoints": []}\n'
    (tmp_path / "posts.jsonl").write_text(good + row + "\n")
    result = CliRunner().invoke(main, ["evaluate", str(tmp_path / "posts.jsonl")], catch_exceptions=False)
    assert result.exit_code == 1
    assert str(tmp_path / "posts.jsonl") in result.stderr and wrong in result.stderr


@pytest.mark.parametrize("name, content", [("posts.jsonl.gz", b"plain\n"), ("posts.jsonl", b'{"id": "\xff"}\n')])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ListenerError, match=f"{name} cannot be read"):
        read_any(tmp_path / name, None, "test")


def test_a_review_site_is_guessed_to_be_feedback(examples):
    guessed = baselines.review_site(examples)
    assert {(example.source, MOMENTS[g]) for example, g in zip(examples, guessed, strict=True)} == {
        ("steam_reviews", "tmot"), ("forum", "none"),
    }  # fmt: skip
    assert baselines.review_site([Example("1", "x", moment=0), Example("2", "x", moment=0, source="letters")]) is None


def test_the_picture_is_a_document_with_a_panel_a_head(examples):
    root = ElementTree.fromstring(picture.reliability(evaluate.evaluate(Stand(examples, wrong=0.2), examples)))
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "Moment" in texts and "Sentiment" in texts
    dots = list(root.iter("{http://www.w3.org/2000/svg}circle"))
    spans = [line for line in root.iter("{http://www.w3.org/2000/svg}line") if line.get("class") == "luck"]
    assert len(dots) == len(spans) >= 10
    for dot, span in zip(dots, spans, strict=True):
        assert dot.get("cx") == span.get("x1") == span.get("x2")
        assert float(span.get("y2")) <= float(dot.get("cy")) <= float(span.get("y1"))


def test_the_released_model_is_at_its_floors():
    """The fast gate: posts of the project's own, never trained on, and the floors that came with the model."""
    posts = Path(__file__).parent.parent / "data/gate/posts.jsonl"
    result = CliRunner().invoke(main, ["evaluate", str(posts), "--gate"], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr


class TestGate:
    @pytest.fixture
    def data(self, tmp_path) -> Path:
        path = tmp_path / "posts.jsonl"
        path.write_text("the posts\n")
        return path

    @pytest.fixture
    def floors(self, tmp_path, data, examples) -> Path:
        gate.write(tmp_path / "gate.json", data, evaluate.evaluate(Stand(examples, 0.2), examples))
        return tmp_path / "gate.json"

    def test_the_same_model_passes_and_one_within_the_noise_too(self, floors, data, examples):
        assert gate.falls(floors, data, evaluate.evaluate(Stand(examples, 0.2), examples)) == []
        figures = json.loads(floors.read_text())[f"{data.parent.name}/posts.jsonl"]["figures"]
        assert 0.01 < figures["moment accuracy"]["noise"] < 0.03  # sqrt(0.8 * 0.2 / 420) is 0.0195
        assert "accuracy gained when 15 % abstain" in figures

    def test_a_worse_model_fails_and_the_figures_are_named(self, floors, data, examples):
        falls = gate.falls(floors, data, evaluate.evaluate(Stand(examples, 0.4), examples))
        assert {"moment macro-F1", "zmot F1", "sentiment macro-F1", "touchpoints micro-F1"} <= {x.figure for x in falls}
        said = {fall.figure: str(fall) for fall in falls}
        assert said["moment macro-F1"] == "moment macro-F1 fell by 0.1622 to 0.6447: floor 0.8069, noise 0.0193"

    def test_an_error_of_calibration_has_a_ceiling(self, floors, data, examples):
        falls = gate.falls(floors, data, evaluate.evaluate(Stand(examples, 0.6), examples))
        (said,) = [str(fall) for fall in falls if fall.figure == "moment ECE"]
        assert said == "moment ECE rose by 0.1082 to 0.2995: ceiling 0.1913, noise 0.0185"

    def test_other_posts_are_refused(self, floors, data, examples):
        data.write_text("other posts\n")
        with pytest.raises(ListenerError, match="SHA-256"):
            gate.falls(floors, data, evaluate.evaluate(Stand(examples, 0.2), examples))

    def test_other_rows_of_the_same_file_are_refused(self, floors, data, examples):
        some = evaluate.evaluate(Stand(examples, 0.0), examples[:210])
        with pytest.raises(ListenerError, match=r"420 posts, and 210 .*--split"):
            gate.falls(floors, data, some)
        with pytest.raises(ListenerError, match="other posts"):
            gate.write(floors, data, some)

    def test_files_of_one_name_in_two_folders_have_floors_of_their_own(self, floors, data, examples):
        report = evaluate.evaluate(Stand(examples, 0.4), examples)
        other = data.parent / "more" / "posts.jsonl"
        other.parent.mkdir()
        other.write_text("more posts\n")
        with pytest.raises(ListenerError, match=r"no floors for more/posts\.jsonl"):
            gate.falls(floors, other, report)
        assert gate.write(floors, other, report) == []
        assert gate.falls(floors, other, report) == []
        assert gate.falls(floors, data, report) != []

    def test_a_floor_is_lowered_only_on_purpose(self, floors, data, examples):
        worse = evaluate.evaluate(Stand(examples, 0.4), examples)
        before = floors.read_text()
        with pytest.raises(ListenerError, match="--allow-regression"):
            gate.write(floors, data, worse)
        assert floors.read_text() == before
        assert any("moment macro-F1" in each for each in gate.write(floors, data, worse, allow_regression=True))
        assert gate.falls(floors, data, worse) == []

    def test_luck_raises_no_floor(self, floors, data, examples):
        told = json.loads(floors.read_text())
        (entry,) = told.values()
        entry["figures"]["moment macro-F1"]["floor"] -= entry["figures"]["moment macro-F1"]["noise"] / 2
        entry["figures"]["zmot F1"]["floor"] -= 2 * entry["figures"]["zmot F1"]["noise"]
        floors.write_text(json.dumps(told))
        gate.write(floors, data, evaluate.evaluate(Stand(examples, 0.2), examples))
        (after,) = json.loads(floors.read_text()).values()
        assert after["figures"]["moment macro-F1"] == entry["figures"]["moment macro-F1"]
        assert after["figures"]["zmot F1"]["floor"] > entry["figures"]["zmot F1"]["floor"]

    def test_a_better_model_raises_the_floors(self, floors, data, examples):
        perfect = evaluate.evaluate(Stand(examples, 0.0), examples)
        with pytest.raises(ListenerError, match="ECE"):  # being right more often than one says is miscalibrated too
            gate.write(floors, data, perfect)
        gate.write(floors, data, perfect, allow_regression=True)
        assert gate.falls(floors, data, evaluate.evaluate(Stand(examples, 0.2), examples))


def test_the_command_measures_writes_floors_and_fails_by_them(tmp_path):
    rows = [
        {"id": str(n), "text": text, "moment": moment, "sentiment": "neutral", "touchpoints": []}
        for n, (text, moment) in enumerate([("which kettle would you buy?", "zmot"), ("news of the day", "none")] * 10)
    ]
    file = tmp_path / "posts.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    floors = ["--gate-file", str(tmp_path / "gate.json")]

    def run(*arguments: str):
        return CliRunner().invoke(main, ["evaluate", str(file), *arguments], catch_exceptions=False)

    assert run("--gate", *floors).exit_code == 1
    drawn = tmp_path / "reliability.svg"
    written = run("--write-gate", *floors, "--picture", str(drawn))
    assert written.exit_code == 0 and drawn.exists(), written.output
    assert "macro-F1" in written.stdout and "abstaining" in written.stdout
    assert "most common (moment)" in written.stdout and "VADER" in written.stdout
    assert "left out, TF-IDF" in written.stderr and 'left out, "review site' in written.stderr
    assert run("--gate", *floors).exit_code == 0
    entries = json.loads((tmp_path / "gate.json").read_text())
    entries[f"{tmp_path.name}/posts.jsonl"]["figures"]["moment accuracy"]["floor"] = 1.5
    (tmp_path / "gate.json").write_text(json.dumps(entries))
    failed = run("--gate", *floors)
    assert failed.exit_code == 1 and "fell: moment accuracy fell by " in failed.stderr
    mine = tmp_path / "mine"
    mine.symlink_to(model_folder())
    held = run("--gate", "--model", str(mine))  # to the floors of the configured model, which has none for this file
    assert held.exit_code == 1 and str(model_folder() / "gate.json") in held.stderr
    assert run("--allow-regression").exit_code == 2
