"""The default engine: the released int8 encoder on ONNX Runtime. No torch, flat memory.

Batches are shared out over the cores, one thread each, and not the operators of a batch: small operators spend much of
their time on waiting for the other thread.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from listener.engine import batches, head_and_tail
from listener.engine.calibration import WIDTH, Calibration, Floats, check_labels, probabilities, to_scores
from listener.engine.labels import MOMENTS, SENTIMENTS
from listener.errors import ModelError
from listener.records import Scores

BATCH_TOKENS = 512  # tokens a batch: larger ones fall out of a core's cache, smaller ones waste calls
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
            self.calibration = Calibration(**config["calibration"])
        except TypeError as error:
            raise ModelError(f"{folder / 'config.json'}: calibration cannot be read: {error}. Reinstall it.") from error
        if abstain_below is not None:
            self.calibration = replace(self.calibration, abstain_below=abstain_below)
        self._limit = int(config["max_tokens"])
        self.model = _name(config)
        # Only Linux tells which cores this process may use; a container often has fewer than the machine.
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._threads = threads or cores
        self._session, self.tokenizer = _open(folder, config)
        self._masked = "attention_mask" in {each.name for each in self._session.get_inputs()}

    def classify(self, texts: Sequence[str], kinds: Sequence[str] = ()) -> list[Scores]:
        """Scores in the order of `texts`. Raises MemoryError; fewer texts at once then may do."""
        return to_scores(self.logits(texts), self.calibration, kinds) if texts else []

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """Calibrated probabilities (n, 27): moments, sentiments, touchpoints."""
        return probabilities(self.logits(texts), self.calibration)

    def logits(self, texts: Sequence[str]) -> Floats:
        """Raw outputs (n, 27): moments, sentiments, touchpoints."""
        return self.outputs(texts, WIDTH, self.run)

    def outputs(self, texts: Sequence[str], width: int, run: Callable[[NDArray[np.int64]], Floats]) -> Floats:
        """What `run` gives for token ids of one length, (n, width), for all texts and in their order."""
        tokens: list[list[int]] = []
        for first in range(0, len(texts), _TOKENIZE_AT_ONCE):
            coded = self.tokenizer.encode_batch_fast(list(texts[first : first + _TOKENIZE_AT_ONCE]))
            tokens += [head_and_tail(each.ids, self._limit) for each in coded]
        found = np.empty((len(tokens), width), dtype=np.float32)
        work = list(batches([len(ids) for ids in tokens], BATCH_TOKENS))

        def fill(batch: list[int]) -> None:
            found[batch] = run(np.array([tokens[index] for index in batch], dtype=np.int64))

        if len(work) == 1 or self._threads == 1:
            for batch in work:
                fill(batch)
        else:
            # The longest first, so that no thread is left alone with a long batch at the end.
            with ThreadPoolExecutor(self._threads) as pool:
                for _ in pool.map(fill, reversed(work)):
                    pass  # a batch that failed raises here
        return found

    def run(self, ids: NDArray[np.int64]) -> Floats:
        inputs = {"input_ids": ids}
        if self._masked:  # the graph of the first released model, 2026.11.22, and of models trained until then
            inputs["attention_mask"] = np.ones_like(ids)
        try:
            return np.asarray(self._session.run(None, inputs)[0], dtype=np.float32)
        except (
            Exception
        ) as error:  # ONNX Runtime has no class for it, only words: "Failed to allocate memory", "bad alloc"
            if "alloc" in str(error).lower():
                raise MemoryError(str(error)) from error
            raise


def model_name(folder: Path) -> str:
    """What the model in `folder` calls itself, without loading its weights. Raises ModelError when there is none."""
    return _name(_read_config(folder))


def model_languages(folder: Path) -> tuple[str, ...]:
    """The languages the model in `folder` says it knows, ISO 639-1; English alone where it says nothing."""
    languages = _read_config(folder).get("languages", ["en"])
    if not isinstance(languages, list) or not all(isinstance(each, str) for each in languages):
        raise ModelError(f'{folder / "config.json"}: "languages" is not a list like ["en", "de"]. Correct it.')
    return tuple(languages)


def model_confusion(folder: Path) -> str | None:
    """What the model in `folder` is known to take for what, as JSON for `shares.parse`; None where nobody measured it.

    Raises ModelError when the table is not one of our labels.
    """
    found = _read_config(folder).get("confusion")
    if found is None:
        return None
    try:
        sizes = {head: {true: len(row) for true, row in found[head].items()} for head in ("moments", "sentiments")}
    except (AttributeError, KeyError, TypeError) as error:
        raise ModelError(f'{folder / "config.json"}: "confusion" cannot be read. Reinstall the model.') from error
    if sizes != {"moments": dict.fromkeys(MOMENTS, len(MOMENTS) + 1), "sentiments": dict.fromkeys(SENTIMENTS, 3)}:
        raise ModelError(f'{folder / "config.json"}: "confusion" is of other labels than ours. Reinstall the model.')
    return json.dumps(found)


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


def _open(folder: Path, config: dict[str, Any]) -> tuple[Any, Any]:
    """The inference session and the tokenizer, after the weights were compared with their recorded digest."""
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
    return open_session(weights, path), tokenizer


def open_session(weights: bytes, path: Path) -> Any:
    """An inference session of one thread. Raises ModelError naming `path` when the graph cannot be run."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC  # training.graph did the rest
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has no common error class
        raise ModelError(f"{path} cannot be loaded: {error}. Reinstall it.") from error
