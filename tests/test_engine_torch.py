"""Heads judged by a Hugging Face model of the user's own: tiny random ones stand for it, transformers for the truth."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from listener import config as configuration
from listener import engine
from listener.cli import main
from listener.engine import checkpoint
from listener.engine.labels import MOMENTS, SENTIMENTS, TOUCHPOINTS
from listener.engine.onnx import OnnxClassifier
from listener.errors import ConfigError, ModelError
from listener.resources import model_folder
from listener.settings import HeadSettings, ModelSettings

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
from listener.engine import torch as torch_engine  # noqa: E402  # it cannot be imported without those

WORDS = [
    "the", "a", "room", "was", "staff", "good", "bad", "dirty", "lovely", "price", "which", "hotel", "is", "best",
    "still", "waiting", "for", "my", "parcel", "never", "again",
]  # fmt: skip
SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
STARS = ["1 star", "2 stars", "3 stars", "4 stars", "5 stars"]
STAR_MAP = dict(zip(STARS, ["negative", "negative", "neutral", "positive", "positive"], strict=True))
TEXTS = [
    "the room was dirty",
    "",
    "lovely staff",
    "which hotel is best",
    "good " * 30,
    "still waiting for my parcel",
    "bad",
]
LONGEST = 40  # positions of the tiny models


def save_tokenizer(folder: Path, words: Sequence[str] = WORDS, **config: Any) -> None:
    vocabulary = {word: number for number, word in enumerate([*SPECIAL.values(), *words])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(list(SPECIAL.values()))
    ends = [(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    tokenizer.save(str(folder / "tokenizer.json"))
    said = {"tokenizer_class": "PreTrainedTokenizerFast", **SPECIAL, **config}
    (folder / "tokenizer_config.json").write_text(json.dumps(said))


def save_model(folder: Path, labels: Sequence[str], *, seed: int = 1, roberta: bool = False, **config: Any) -> Path:
    """A BERT or RoBERTa of two layers with random weights, spread so far that texts differ."""
    kind = "Roberta" if roberta else "Bert"
    settings = getattr(transformers, f"{kind}Config")(
        vocab_size=len(SPECIAL) + len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=LONGEST + (4 if roberta else 0), pad_token_id=3 if roberta else 0,
        id2label=dict(enumerate(labels)), initializer_range=0.5, **config,
    )  # fmt: skip
    torch.manual_seed(seed)
    getattr(transformers, f"{kind}ForSequenceClassification")(settings).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def edit(file: Path, **changes: Any) -> None:
    """Sets keys of a JSON file; None takes a key away."""
    whole = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({key: value for key, value in whole.items() if value is not None}))


def load(**heads: HeadSettings) -> Any:
    """The classifier of these heads, for texts of any language."""
    return load_with(ModelSettings(heads=heads, threads=1))


def load_with(settings: ModelSettings) -> Any:
    return torch_engine.load(settings, OnnxClassifier(model_folder(), 1))


def true_logits(folder: Path, texts: Sequence[str], limit: int = LONGEST) -> np.ndarray:
    """What transformers itself gives, text by text."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    rows = []
    for text in texts:
        ids = engine.head_and_tail(tokenizer(text)["input_ids"], limit)
        with torch.no_grad():
            rows.append(model(torch.tensor([ids])).logits[0].numpy())
    return np.stack(rows)


def softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def stars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("models") / "stars", STARS)


@pytest.fixture(scope="module")
def moments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A moment model whose labels are ours, in another order and in capitals."""
    return save_model(tmp_path_factory.mktemp("models") / "moments", [label.upper() for label in reversed(MOMENTS)])


@pytest.fixture(scope="module")
def classifier(stars: Path) -> Any:
    return load(sentiment=HeadSettings(folder=stars, labels=STAR_MAP))


# --- scores ----------------------------------------------------------------------------------------------------------


def test_labels_that_become_one_add_up_and_the_other_heads_stay_with_the_released_model(classifier, stars):
    theirs = softmax(true_logits(stars, TEXTS))
    released = OnnxClassifier(model_folder(), 1).classify(TEXTS)
    for scores, row, before in zip(classifier.classify(TEXTS), theirs, released, strict=True):
        assert tuple(scores.sentiments) == SENTIMENTS
        assert list(scores.sentiments.values()) == pytest.approx([row[0] + row[1], row[2], row[3] + row[4]], abs=1e-5)
        assert scores.score == pytest.approx(row[3] + row[4] - row[0] - row[1], abs=1e-5)
        assert (scores.moments, scores.touchpoints) == (before.moments, before.touchpoints)
        assert (scores.confidence, scores.abstained) == (before.confidence, before.abstained)
    assert theirs.argmax(axis=1).tolist() != [theirs[0].argmax()] * len(TEXTS), "the tiny model tells texts apart"


def test_scores_depend_neither_on_order_nor_on_company(classifier):
    texts = TEXTS * 3 + ["never again " * n for n in range(25)]
    together = classifier.classify(texts)
    order = random.Random(5).sample(range(len(texts)), len(texts))
    for at, scores in zip(order, classifier.classify([texts[at] for at in order]), strict=True):
        assert scores.sentiments == pytest.approx(together[at].sentiments, abs=1e-5)
    for text, scores in zip(texts, together, strict=True):
        assert classifier.classify([text])[0].sentiments == pytest.approx(scores.sentiments, abs=1e-5)
    assert classifier.classify([]) == []


def test_a_moment_model_brings_its_confidence_and_abstains_by_it(moments):
    expected = softmax(true_logits(moments, TEXTS))[:, ::-1]
    for below, least in ((None, 0.45), (0.0, 0.0), (1.0, 1.0)):
        heads = {"moment": HeadSettings(folder=moments)}
        found = load_with(ModelSettings(heads=heads, abstain_below=below, threads=1)).classify(TEXTS)
        for scores, row in zip(found, expected, strict=True):
            assert tuple(scores.moments) == MOMENTS
            assert list(scores.moments.values()) == pytest.approx(row.tolist(), abs=1e-5)
            assert scores.confidence == max(scores.moments.values())
            assert scores.abstained == (scores.confidence < least)


def test_touchpoints_may_hold_together_and_the_released_model_names_those_unknown_to_it(tmp_path):
    labels = ["ROOM", "bathroom", "breakfast", "staff", "legroom"]
    folder = save_model(tmp_path / "aspects", labels, problem_type="multi_label_classification")
    mine = {"ROOM": "facilities", "bathroom": "facilities", "breakfast": "food", "legroom": ""}
    texts = [*TEXTS, "the price was bad", "payment by card failed and the delivery was late, what a price"]
    sigmoid = 1 / (1 + np.exp(-true_logits(folder, texts)))
    for threshold in (None, 0.2, 0.9):
        found = load(touchpoints=HeadSettings(folder=folder, labels=mine, threshold=threshold)).classify(texts)
        released = OnnxClassifier(model_folder(), 1).classify(texts)
        for scores, row, before in zip(found, sigmoid, released, strict=True):
            theirs = {"facilities": max(row[0], row[1]), "food": row[2], "staff": row[3]}
            expected = {label for label, p in theirs.items() if p >= (threshold or 0.5)}
            expected |= set(before.touchpoints) - set(theirs)
            assert set(scores.touchpoints) == expected
            assert list(scores.touchpoints) == sorted(scores.touchpoints, key=TOUCHPOINTS.index)
            assert (scores.moments, scores.sentiments) == (before.moments, before.sentiments)
    assert any(set(scores.touchpoints) - {"facilities", "food", "staff"} for scores in released)


def test_touchpoints_of_which_one_holds_add_up(tmp_path):
    folder = save_model(tmp_path / "topic", ["room", "bath", "food"], problem_type="single_label_classification")
    settings = HeadSettings(folder=folder, labels={"room": "facilities", "bath": "facilities"})
    theirs = softmax(true_logits(folder, TEXTS))
    ours = load(touchpoints=settings)._heads["touchpoints"].probabilities(TEXTS)
    assert ours[:, TOUCHPOINTS.index("facilities")] == pytest.approx(theirs[:, 0] + theirs[:, 1], abs=1e-5)
    assert ours[:, TOUCHPOINTS.index("food")] == pytest.approx(theirs[:, 2], abs=1e-5)


def test_three_models_of_ones_own_need_no_released_one(tmp_path, stars, moments):
    folder = save_model(tmp_path / "all", TOUCHPOINTS)
    heads = {
        "touchpoints": HeadSettings(folder=folder),
        "sentiment": HeadSettings(folder=stars, labels=STAR_MAP),
        "moment": HeadSettings(folder=moments),
    }
    settings = ModelSettings(heads=heads, folder=tmp_path / "none", threads=1)
    classifier = torch_engine.load(settings, None)
    assert classifier.model == engine.name(settings) == engine.load(settings).model
    assert [part.rpartition("-")[0] for part in classifier.model.split("+")] == ["moments", "stars", "all"]
    sigmoid = 1 / (1 + np.exp(-true_logits(folder, TEXTS)))
    for scores, row in zip(classifier.classify(TEXTS), sigmoid, strict=True):
        assert sum(scores.moments.values()) == pytest.approx(1, abs=1e-5)
        assert sum(scores.sentiments.values()) == pytest.approx(1, abs=1e-5)
        assert scores.touchpoints == tuple(label for label, p in zip(TOUCHPOINTS, row, strict=True) if p >= 0.5)


def test_a_touchpoint_that_nobody_else_tells_needs_the_released_model(tmp_path, stars, moments):
    heads = {
        "moment": HeadSettings(folder=moments),
        "sentiment": HeadSettings(folder=stars, labels=STAR_MAP),
        "touchpoints": HeadSettings(folder=save_model(tmp_path / "some", TOUCHPOINTS[1:])),
    }
    settings = ModelSettings(heads=heads, threads=1)
    classifier = engine.load(settings)
    assert classifier.model == engine.name(settings)
    assert classifier.model.endswith(f"+{engine.name(ModelSettings())}")


def test_a_temperature_evens_probabilities_out(stars):
    warm = load(sentiment=HeadSettings(folder=stars, labels=STAR_MAP, temperature=4.0)).classify(TEXTS)
    expected = softmax(true_logits(stars, TEXTS) / 4.0)
    for scores, row in zip(warm, expected, strict=True):
        assert scores.sentiments["neutral"] == pytest.approx(row[2], abs=1e-5)


@pytest.mark.parametrize("roberta", [False, True])
def test_a_long_text_keeps_its_beginning_and_its_end(tmp_path, roberta):
    """And fills every position the model has: RoBERTa counts them from behind its padding."""
    folder = save_model(tmp_path / "long", SENTIMENTS, roberta=roberta)
    texts = ["good " * 20 + "room " * 5000 + "bad " * 20, "good " * 20 + "bad " * 20, "room " * 38, "room " * 39]
    head = load(sentiment=HeadSettings(folder=folder))._heads["sentiment"]
    assert head.logits(texts) == pytest.approx(true_logits(folder, texts), abs=1e-4)
    lengths: list[int] = []
    whole = head._run
    head._run = lambda tokens: lengths.extend(map(len, tokens)) or whole(tokens)
    head.logits(texts)
    assert sorted(lengths) == [LONGEST] * 4


def test_the_tokenizers_own_limit_holds_where_it_is_lower(tmp_path):
    folder = save_model(tmp_path / "short", SENTIMENTS)
    save_tokenizer(folder, model_max_length=12)
    head = load(sentiment=HeadSettings(folder=folder))._heads["sentiment"]
    text = "the room was dirty " * 50
    assert head.logits([text]) == pytest.approx(true_logits(folder, [text], limit=12), abs=1e-4)


def test_what_a_tokenizer_file_says_of_truncation_and_padding_is_not_followed(tmp_path):
    """It is what training wanted, and many folders carry it."""
    folder = save_model(tmp_path / "cut", SENTIMENTS)
    expected = true_logits(folder, ["bad", "the room was dirty " * 50])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=16)
    tokenizer.save(str(folder / "tokenizer.json"))
    head = load(sentiment=HeadSettings(folder=folder))._heads["sentiment"]
    assert head.logits(["bad", "the room was dirty " * 50]) == pytest.approx(expected, abs=1e-4)


def test_special_tokens_in_a_post_are_text(classifier):
    head = classifier._heads["sentiment"]
    (ids,) = head._tokens(["bad [SEP] good [PAD]"])
    special = set(range(len(SPECIAL))) - {1}
    assert [number for number in ids if number in special] == [2, 3] and (ids[0], ids[-1]) == (2, 3)


@pytest.mark.parametrize(
    "text", ["", " ", "😀🔥", "\x00\x07", "\u202eabc", "a" * 100_000, "room " * 20_000, "これは良い", "\ud83d"]
)
def test_no_text_is_too_odd(classifier, text):
    from listener.text import model_input

    (scores,) = classifier.classify([model_input("", text)])
    assert scores.sentiment in SENTIMENTS


@settings(max_examples=15)
@given(st.lists(st.text(max_size=60), max_size=5))
def test_any_texts_give_as_many_scores(classifier, texts):
    from listener.text import model_input

    texts = [model_input("", text) for text in texts]
    assert len(classifier._heads["sentiment"].probabilities([*texts, ""])) == len(texts) + 1


def test_a_decoder_without_padding_is_read_in_batches(tmp_path):
    """Such a model takes the last token's word, and puts nothing around a text: not even around an empty one."""
    folder = tmp_path / "decoder"
    size = len(SPECIAL) + len(WORDS)
    config = transformers.GPT2Config(
        vocab_size=size, n_positions=LONGEST, n_embd=16, n_layer=1, n_head=2, bos_token_id=2, eos_token_id=3,
        id2label=dict(enumerate(SENTIMENTS)), initializer_range=0.5,
    )  # fmt: skip
    torch.manual_seed(3)
    transformers.GPT2ForSequenceClassification(config).save_pretrained(folder)
    save_tokenizer(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.post_processor = processors.Sequence([])
    tokenizer.save(str(folder / "tokenizer.json"))
    texts = ["the room was dirty", "good room bad staff", "bad", "good", "", "room " * 60]
    logits = load(sentiment=HeadSettings(folder=folder))._heads["sentiment"].logits(texts)
    assert logits[:4] == pytest.approx(true_logits(folder, texts[:4]), abs=1e-4)
    assert np.isfinite(logits).all()


# --- names -----------------------------------------------------------------------------------------------------------


def test_the_name_tells_both_models_and_changes_with_whatever_changes_scores(tmp_path):
    folder = save_model(tmp_path / "my-roberta", SENTIMENTS, roberta=True)

    def name(abstain: float | None = None, **more: Any) -> str:
        settings = HeadSettings(folder=folder, **more)
        return engine.name(ModelSettings(heads={"sentiment": settings}, abstain_below=abstain))

    first = name()
    own, _, released = first.partition("+")
    assert own.startswith("my-roberta-") and len(own) == len("my-roberta-12345678")
    assert released == engine.name(ModelSettings())
    assert load(sentiment=HeadSettings(folder=folder)).model == first
    assert name() == name(device="cpu") == name(abstain=0.7) == name(labels={"neutral": "neutral"}) == first
    names = [first, name(temperature=2.0), name(labels={"neutral": "positive", "positive": "neutral"})]
    save_model(folder, SENTIMENTS, roberta=True, seed=2)
    names.append(name())
    save_tokenizer(folder, model_max_length=12)
    names.append(name())
    assert len(set(names)) == len(names)


def test_the_name_costs_no_torch_and_neither_does_the_released_model(stars):
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from listener import daemon, engine\n"
        "from listener.settings import HeadSettings, ModelSettings\n"
        f"head = HeadSettings(folder=Path({str(stars)!r}), labels={STAR_MAP!r})\n"
        "engine.name(ModelSettings(heads={'sentiment': head}))\n"
        "engine.load(ModelSettings())\n"
        "print(*sorted({'torch', 'transformers'} & set(sys.modules)))\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


# --- what a configuration may say ------------------------------------------------------------------------------------


@pytest.fixture
def complaint(tmp_path: Path, stars: Path) -> Any:
    """What is said of a [model.heads.HEAD] with these lines, beside a folder `stars`."""

    def complaint(lines: str, head: str = "sentiment") -> str:
        if not (tmp_path / "stars").exists():
            (tmp_path / "stars").symlink_to(stars)
        path = tmp_path / "listener.toml"
        path.write_text(f"[model.heads.{head}]\n{lines}\n")
        try:
            configuration.load(path)
        except ConfigError as error:
            return str(error).removeprefix(str(path))
        return ""

    return complaint


FULL_MAP = "\n".join(f'labels."{label}" = "{mine}"' for label, mine in STAR_MAP.items())


def test_a_whole_head_is_taken(complaint):
    assert complaint(f'folder = "stars"\n{FULL_MAP}\ndevice = "cuda:1"\ntemperature = 1.7') == ""


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("", "[model.heads.sentiment]: folder is missing: The model's folder"),
        ('folder = "."', "holds no Hugging Face model: config.json is missing"),
        ('folder = "stars"', "say under labels what its 1 star, 2 stars, 3 stars, 4 stars, 5 stars are of ours "
         '(negative, neutral, positive), as "1 star" = "negative"'),
        ('folder = "stars"\n' + FULL_MAP.replace('"1 star"', '"one star"'), "it has no label 'one star'; did you mean"),
        ('folder = "stars"\n' + FULL_MAP.replace('"neutral"', '"neutrl"'), "'neutrl'; did you mean 'neutral'?"),
        ('folder = "stars"\n' + FULL_MAP.replace('"neutral"', '""'), "only touchpoints may be left out"),
        ('folder = "stars"\n' + FULL_MAP.replace('"neutral"', '"positive"'), "is neutral. Map one to it"),
        ('folder = "stars"\n' + FULL_MAP.replace('"neutral"', "3"), "[model.heads.sentiment] labels 3 stars: "),
        (f'folder = "stars"\n{FULL_MAP}\nthreshold = 0.4', "threshold is for touchpoints"),
        (f'folder = "stars"\n{FULL_MAP}\ndevice = "gpu"', "[model.heads.sentiment] device: 'gpu' is not a device"),
        (f'folder = "stars"\n{FULL_MAP}\ntemperature = 0', "[model.heads.sentiment] temperature: "),
        ('folder = "stars"\nlabel = "x"', "unknown key 'label'; did you mean 'labels'?"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_when_the_configuration_is_read(complaint, lines, said):
    message = complaint(lines)
    assert message.startswith(": [model.heads.sentiment]") and said in message
    assert "things to mend" not in message


def test_an_unknown_head_is_told(complaint):
    assert "'moment', 'sentiment' or 'touchpoints', not 'sentimnt'; did you mean 'sentiment'?" in complaint(
        "", "sentimnt"
    )


def test_a_model_that_cannot_tell_all_labels_is_taken_when_that_is_said(complaint, tmp_path):
    save_model(tmp_path / "two", ["NEGATIVE", "POSITIVE"])
    assert "is neutral" in complaint('folder = "two"')
    assert complaint('folder = "two"\npartial = true') == ""
    settings = HeadSettings(folder=tmp_path / "two", partial=True)
    assert {scores.sentiments["neutral"] for scores in load(sentiment=settings).classify(TEXTS)} == {0.0}
    assert str(checkpoint.read("sentiment", settings)).endswith(
        "NEGATIVE is negative, POSITIVE is positive; never neutral"
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"architectures": ["BertForMaskedLM"]}, "holds a BertForMaskedLM"),
        ({"problem_type": "regression"}, "regression"),
        ({"problem_type": "multi_label_classification"}, "a text has one sentiment"),
        ({"id2label": {"0": "score"}}, "regression"),
        ({"id2label": {"0": "negative", "2": "positive"}}, "id2label should name the outputs"),
        ({"id2label": ["negative"]}, "id2label should name the outputs"),
        ({"id2label": {"0": "positive", "1": "positive"}}, "the same label"),
        ({"id2label": None, "num_labels": 3}, "what its LABEL_0, LABEL_1, LABEL_2 are of ours"),
        ({"id2label": None}, "what its LABEL_0, LABEL_1 are of ours"),
        ({"model_type": None}, "gives no model_type"),
    ],
)
def test_a_model_of_another_kind_is_told(complaint, tmp_path, changes, said):
    edit(save_model(tmp_path / "odd", SENTIMENTS) / "config.json", **changes)
    assert said in complaint('folder = "odd"')


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("config.json", b"{", "config.json cannot be read"),
        ("config.json", b"[]", "not that of a Hugging Face model"),
        ("config.json", b"[" * 100_000, "config.json cannot be read"),
        ("model.safetensors", None, "holds no weights"),
        ("tokenizer.json", None, "holds no tokenizer"),
    ],
)
def test_a_file_that_is_damaged_or_not_there_is_told(complaint, tmp_path, file, content, said):
    path = save_model(tmp_path / "odd", SENTIMENTS) / file
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert said in complaint('folder = "odd"')


# --- loading ---------------------------------------------------------------------------------------------------------


def _damage(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])


def _without_classifier(folder: Path) -> None:
    weights = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    kept = json.loads((folder / "config.json").read_text())
    weights.bert.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(kept))


def _with_more_labels(folder: Path) -> None:
    edit(
        folder / "config.json",
        id2label={"0": "negative", "1": "neutral", "2": "positive", "3": "Neutral "},
        label2id=None,
    )


def _with_other_tokenizer(folder: Path) -> None:
    save_tokenizer(folder, [*WORDS, "tower", "cellar"])


def _with_code_of_its_own(folder: Path) -> None:
    (folder / "evil.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\nclass Config: ...\n")
    edit(folder / "config.json", model_type="strange", auto_map={"AutoConfig": "evil.Config"})


def _with_a_harmful_pickle(folder: Path) -> None:
    class Harm:
        def __reduce__(self) -> Any:
            return Path.touch, (folder / "ran",)

    torch.save({"classifier.weight": Harm()}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_damage, "cannot be loaded"),
        (_without_classifier, "classifier.bias, classifier.weight"),
        (_with_more_labels, "classifier.bias, classifier.weight"),
        (_with_other_tokenizer, "the tokenizer knows"),
        (_with_code_of_its_own, "cannot be loaded"),
        (_with_a_harmful_pickle, "cannot be loaded"),
    ],
)
def test_a_model_that_would_judge_at_random_or_do_harm_is_not_loaded(tmp_path, spoil, said):
    folder = save_model(tmp_path / "odd", SENTIMENTS)
    spoil(folder)
    with pytest.raises(ModelError, match=f"{folder}.*{said}"):
        load(sentiment=HeadSettings(folder=folder))
    assert not (folder / "ran").exists()


def test_outputs_that_are_no_numbers_never_become_verdicts(tmp_path):
    folder = save_model(tmp_path / "odd", SENTIMENTS)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    model.classifier.bias.data[0] = float("nan")
    model.save_pretrained(folder)
    with pytest.raises(ModelError, match="no numbers"):
        load(sentiment=HeadSettings(folder=folder)).classify(["bad"])


def test_plain_torch_weights_and_16_bit_ones_are_read(tmp_path):
    folder = save_model(tmp_path / "old", SENTIMENTS)
    expected = true_logits(folder, TEXTS)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    head = load(sentiment=HeadSettings(folder=folder))._heads["sentiment"]
    assert head.logits(TEXTS) == pytest.approx(expected, abs=1e-5)
    model.half().save_pretrained(folder)
    head = load(sentiment=HeadSettings(folder=folder))._heads["sentiment"]
    assert head.logits(TEXTS) == pytest.approx(expected, abs=0.02)


def test_a_gpu_that_is_not_there_is_told_and_auto_does_without(stars, monkeypatch):
    settings = HeadSettings(folder=stars, labels=STAR_MAP, device="cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match=r"'cuda': torch .* finds no GPU.*'auto' or 'cpu'"):
        load(sentiment=settings)
    automatic = settings.model_copy(update={"device": "auto"})
    assert engine.place(automatic) == "the CPU, as torch finds no GPU"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ModelError, match="there are 1"):
        load(sentiment=settings.model_copy(update={"device": "cuda:1"}))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_judges_as_the_processor_does(stars):
    mine = HeadSettings(folder=stars, labels=STAR_MAP, device="cuda")
    texts = TEXTS * 20
    for scores, row in zip(load(sentiment=mine).classify(texts), softmax(true_logits(stars, texts)), strict=True):
        assert scores.sentiments["neutral"] == pytest.approx(row[2], abs=0.03)


def test_16_bits_judge_nearly_as_32_do(classifier, monkeypatch):
    """What a GPU does, done on the processor."""
    head = classifier._heads["sentiment"]
    expected = head.probabilities(TEXTS)
    monkeypatch.setattr(head, "_half", torch.bfloat16)
    found = head.probabilities(TEXTS)
    assert found.dtype == np.float32 and not np.array_equal(found, expected)
    assert found == pytest.approx(expected, abs=0.05)


def test_the_threads_of_the_settings_are_the_threads_of_torch(stars, monkeypatch):
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    heads = {"sentiment": HeadSettings(folder=stars, labels=STAR_MAP)}
    engine.load(ModelSettings(heads=heads, threads=3)).classify(["bad"])
    engine.load(ModelSettings(heads=heads)).classify(["bad"])
    assert asked == [3]


@pytest.mark.parametrize("lacking", ["torch", "transformers"])
def test_without_torch_the_remedy_is_told_and_the_configuration_is_still_read(complaint, stars, monkeypatch, lacking):
    monkeypatch.setitem(sys.modules, lacking, None)
    monkeypatch.delitem(sys.modules, "listener.engine.torch", raising=False)
    monkeypatch.delattr(engine, "torch", raising=False)
    assert complaint(f'folder = "stars"\n{FULL_MAP}') == ""
    with pytest.raises(ModelError, match=r"pip install 'listener-daemon\[train\]'"):
        engine.load(ModelSettings(heads={"sentiment": HeadSettings(folder=stars, labels=STAR_MAP)}))


# --- the commands ----------------------------------------------------------------------------------------------------


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration that names a model in it; the commands run there."""
    monkeypatch.chdir(tmp_path)
    for name in ("LISTENER_DB", "LISTENER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    save_model(tmp_path / "models" / "stars", STARS)
    entries = "".join(f'"{label}" = "{mine}"\n' for label, mine in STAR_MAP.items())
    head = f'[model.heads.sentiment]\nfolder = "models/stars"\n[model.heads.sentiment.labels]\n{entries}'
    (tmp_path / "listener.toml").write_text(f"[model]\nthreads = 1\n{head}")
    posts = [{"id": str(number), "text": text} for number, text in enumerate(TEXTS) if text]
    (tmp_path / "posts.jsonl").write_text("".join(json.dumps(post) + "\n" for post in posts))
    return tmp_path


def listener(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, f"{arguments}: {result.output}"
    return result


def test_a_file_is_scored_by_both_models(at):
    (at / "listener.toml").rename(at / "mine.toml")
    before = [json.loads(line) for line in listener("classify", "--file", "posts.jsonl").stdout.splitlines()]
    run = listener("classify", "--config", "mine.toml", "--file", "posts.jsonl")
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    texts = [text for text in TEXTS if text]
    theirs = softmax(true_logits(at / "models/stars", texts))
    assert [row["id"] for row in rows] == [row["id"] for row in before] and run.stderr == ""
    for row, old, p in zip(rows, before, theirs, strict=True):
        sums = {"negative": p[0] + p[1], "neutral": p[2], "positive": p[3] + p[4]}
        assert row["sentiments"] == pytest.approx(sums, abs=1e-4)
        assert row["sentiment"] == max(sums, key=sums.get)
        assert row["moments"] == old["moments"] and row["touchpoints"] == old["touchpoints"]
        assert row["model"].startswith("stars-") and row["model"].endswith(f"+{old['model']}")


def test_stored_posts_are_judged_anew_when_the_map_changes(at):
    listener("import", "posts.jsonl", "--source", "survey")
    assert "6 posts judged" in listener("classify").stderr
    assert "has its verdict" in listener("classify").stderr
    text = (at / "listener.toml").read_text()
    (at / "listener.toml").write_text(text.replace('"2 stars" = "negative"', '"2 stars" = "neutral"'))
    assert "6 posts judged" in listener("classify").stderr


def test_the_doctor_shows_map_and_device_and_names_what_is_wrong(at, monkeypatch):
    def findings(code: int) -> dict[str, Any]:
        return {each["what"]: each for each in json.loads(listener("doctor", "--json", code=code).stdout)}

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = findings(0)
    assert "1 star is negative, 2 stars is negative, 3 stars is neutral" in found["model sentiment"]["detail"]
    assert found["model sentiment"]["detail"].endswith("on the CPU, as torch finds no GPU")
    assert "+" in found["model"]["detail"] and found["model"]["state"] == "ok"
    text = (at / "listener.toml").read_text()
    (at / "listener.toml").write_text(
        text.replace('folder = "models/stars"', 'folder = "models/stars"\ndevice = "cuda"')
    )
    assert findings(1)["model"]["state"] == "wrong"
    assert "finds no GPU" in findings(1)["model"]["detail"]


# --- what is written about it ----------------------------------------------------------------------------------------


def test_settings_and_documentation_know_the_same_heads_and_keys(repo: Path):
    annotation = ModelSettings.model_fields["heads"].annotation
    assert get_args(get_args(annotation)[0]) == tuple(checkpoint.HEADS)
    text = (repo / "docs/configuration.md").read_text("utf-8")
    part = text[text.index("## A model of your own") :]
    for key in HeadSettings.model_fields:
        assert f"| `{key}` |" in part
    for labels in checkpoint.HEADS.values():
        assert all(f"`{label}`" in part for label in labels)
