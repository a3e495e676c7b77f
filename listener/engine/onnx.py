"""The default engine: the released int8 encoder on ONNX Runtime. No torch, one thread pool, flat memory."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from listener.engine import batches, head_and_tail
from listener.engine.calibration import WIDTH, Calibration, Floats, check_labels, to_scores
from listener.errors import ModelError
from listener.records import Scores

BATCH_TOKENS = 1024  # padded tokens a batch: larger ones fall out of the cache, smaller ones waste calls
_TOKENIZE_AT_ONCE = 64  # whole texts are tokenised before they are cut, at some 28 bytes of memory a letter
_KEYS = ("name", "version", "max_tokens", "calibration", "sha256")


class OnnxClassifier:
    """Holds one inference session. Safe to share between threads: both the session and the tokenizer are."""

    def __init__(self, folder: Path, threads: int = 0, abstain_below: float | None = None) -> None:
        """Loads model.onnx, tokenizer.json and config.json from `folder`.

        `threads` is the number of cores to use, 0 for all of them; `abstain_below` overrides the model's own threshold.
        Raises ModelError when a file is missing or damaged, or when the labels differ from ours.
        """
        config = _read_config(folder)
        try:
            self._calibration = Calibration(**config["calibration"])
        except TypeError as error:
            raise ModelError(f"{folder / 'config.json'}: calibration cannot be read: {error}. Reinstall it.") from error
        if abstain_below is not None:
            self._calibration = replace(self._calibration, abstain_below=abstain_below)
        self._limit = int(config["max_tokens"])
        self.model = _name(config)
        self._session, self._tokenizer = _open(folder, config, threads)

    def classify(self, texts: Sequence[str]) -> list[Scores]:
        """Scores in the order of `texts`. Raises MemoryError only when a single text does not fit."""
        return to_scores(self.logits(texts), self._calibration) if texts else []

    def logits(self, texts: Sequence[str]) -> Floats:
        """Raw outputs (n, 27): moments, sentiments, touchpoints."""
        tokens: list[list[int]] = []
        for first in range(0, len(texts), _TOKENIZE_AT_ONCE):
            coded = self._tokenizer.encode_batch_fast(list(texts[first : first + _TOKENIZE_AT_ONCE]))
            tokens += [head_and_tail(each.ids, self._limit) for each in coded]
        logits = np.empty((len(tokens), WIDTH), dtype=np.float32)
        for batch in batches([len(ids) for ids in tokens], BATCH_TOKENS):
            logits[batch] = self._run([tokens[index] for index in batch])
        return logits

    def _run(self, tokens: list[list[int]]) -> Floats:
        width = max(map(len, tokens))
        ids = np.zeros((len(tokens), width), dtype=np.int64)
        mask = np.zeros((len(tokens), width), dtype=np.int64)
        for row, text in enumerate(tokens):
            ids[row, : len(text)] = text
            mask[row, : len(text)] = 1
        return np.asarray(self._session.run(None, {"input_ids": ids, "attention_mask": mask})[0], dtype=np.float32)


def model_name(folder: Path) -> str:
    """What the model in `folder` calls itself, without loading its weights. Raises ModelError when there is none."""
    return _name(_read_config(folder))


def _name(config: dict[str, Any]) -> str:
    return f"{config['name']}-{config['version']}"


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(
            f"{folder}: no model here (config.json is missing). Set [model] folder, or reinstall."
        ) from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder / 'config.json'} cannot be read: {error}. Reinstall the model.") from error
    if not isinstance(config, dict):
        raise ModelError(f"{folder / 'config.json'} is not that of a model. Set [model] folder, or reinstall.")
    check_labels(config, str(folder))
    if missing := [key for key in _KEYS if key not in config]:
        raise ModelError(f"{folder / 'config.json'} lacks {', '.join(missing)}. Reinstall the model.")
    return config


def _open(folder: Path, config: dict[str, Any], threads: int) -> tuple[Any, Any]:
    """The inference session and the tokenizer, after the weights were compared with their recorded digest."""
    import onnxruntime as ort
    from tokenizers import Tokenizer

    path = folder / "model.onnx"
    try:
        weights = path.read_bytes()
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # the tokenizers library raises bare Exception for every kind of damage
        raise ModelError(f"{folder}: the model cannot be read: {error}. Reinstall it.") from error
    if hashlib.sha256(weights).hexdigest() != config["sha256"]:
        raise ModelError(f"{path} is damaged or is not the file config.json speaks of (SHA-256 differs). Reinstall it.")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    options = ort.SessionOptions()
    # Only Linux tells which cores this process may use; a container often has fewer than the machine.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    options.intra_op_num_threads = threads or cores
    # Threads that wait by spinning gain nothing here and take the processor from the rest of a small machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(weights, options, providers=["CPUExecutionProvider"]), tokenizer
    except Exception as error:  # ONNX Runtime has no common error class
        raise ModelError(f"{path} cannot be loaded: {error}. Reinstall it.") from error
