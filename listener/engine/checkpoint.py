"""A Hugging Face sequence-classification folder without its weights: its labels, what they are of ours, its name.

Nothing here needs torch, so that a mistake in the label map is told when the configuration is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from listener.engine.labels import MOMENTS, SENTIMENTS, TOUCHPOINTS
from listener.errors import ModelError
from listener.settings import HeadSettings, nearest

HEADS: Mapping[str, tuple[str, ...]] = {"moment": MOMENTS, "sentiment": SENTIMENTS, "touchpoints": TOUCHPOINTS}
_ARCHITECTURE = "ForSequenceClassification"
_VOCABULARY = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")  # one of them is the tokenizer's
_TOKENIZER = (*_VOCABULARY, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "merges.txt")
# In the order in which transformers looks for them, whole or in parts.
_WEIGHTS = ("model.safetensors", "model-*-of-*.safetensors", "pytorch_model.bin", "pytorch_model-*-of-*.bin")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder that judges one head. `ours` stands beside `theirs`, in the order of its outputs; "" is none of ours.

    `several` is True when any number of its labels may hold at once (sigmoid), False when exactly one does (softmax).
    """

    folder: Path
    head: str
    theirs: tuple[str, ...]
    ours: tuple[str, ...]
    several: bool

    def files(self) -> list[Path]:
        """Everything that has a say in its scores."""
        weights = next((found for form in _WEIGHTS if (found := sorted(self.folder.glob(form)))), [])
        return [self.folder / "config.json", *_matching(self.folder, _TOKENIZER), *weights]

    def __str__(self) -> str:
        """`my-roberta: LABEL_0 is negative, LABEL_1 is positive`, for people."""
        told = [mine if mine == label else f"{label} is {mine or 'left out'}" for label, mine in self._pairs()]
        others = "; the released model names " if self.head == "touchpoints" else "; never "
        return f"{self.folder}: {', '.join(told)}" + (others + ", ".join(self.missing) if self.missing else "")

    @property
    def missing(self) -> list[str]:
        """The labels of ours that it cannot tell."""
        return [label for label in HEADS[self.head] if label not in self.ours]

    def _pairs(self) -> Iterable[tuple[str, str]]:
        return zip(self.theirs, self.ours, strict=True)


def read(head: str, settings: HeadSettings) -> Checkpoint:
    """What the checkpoint of a head, a key of HEADS, says of it.

    Raises ModelError when there is no such checkpoint here, when a label on either side is unknown or has no
    counterpart (ours may go without under `partial`, and touchpoints, which the released model can name beside it),
    and when its outputs are of another kind than the head's.
    """
    folder, labels = settings.folder, settings.labels
    config = _config(folder)
    theirs = _labels(config, folder)
    kind = config.get("problem_type")
    if len(theirs) < 2 or kind == "regression":
        raise ModelError(f"{folder}: this model gives a number (regression) and no labels; it cannot judge {head}")
    if kind == "multi_label_classification" and head != "touchpoints":
        raise ModelError(
            f"{folder}: any number of this model's labels may hold at once (multi_label_classification), but a text "
            f"has one {head}; such a model can judge touchpoints only"
        )
    if wrong := [*_unknown(labels, theirs, head), *_without(labels, theirs, head)]:
        raise ModelError(f"{folder}: {'; '.join(wrong)}")
    if settings.threshold is not None and head != "touchpoints":
        raise ModelError(f"threshold is for touchpoints; for a {head} the surest label counts")
    several = head == "touchpoints" and kind != "single_label_classification"
    found = Checkpoint(folder, head, theirs, tuple(_ours(label, labels, head) or "" for label in theirs), several)
    if not any(found.ours):
        raise ModelError(f"{folder}: all of its labels are left out; at least one has to be a touchpoint of ours")
    if found.missing and not settings.partial and head != "touchpoints":
        raise ModelError(
            f"{folder}: none of its labels ({_listed(theirs)}) is {' or '.join(found.missing)}. "
            "Map one to it under labels, or say partial = true: what it cannot tell is then never found"
        )
    return found


def name(head: str, settings: HeadSettings) -> str:
    """The folder's name and 8 digits, which change with weights, tokenizer, label map and all else that scores show.

    Reads the weights once per process and change: a second for each gigabyte or so. Raises ModelError as `read` does.
    """
    of = read(head, settings)
    try:
        files = [(path.name, _sha256(path, path.stat().st_mtime_ns, path.stat().st_size)) for path in of.files()]
    except OSError as error:
        raise ModelError(f"{of.folder} cannot be read: {error}") from error
    what = [head, of.theirs, of.ours, of.several, settings.temperature, settings.threshold, files]
    return f"{of.folder.resolve().name}-{hashlib.sha256(json.dumps(what).encode()).hexdigest()[:8]}"


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not folder.is_dir():
        raise ModelError(f"there is no folder {folder}; models are read from this machine alone, so fetch it first")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{folder} holds no Hugging Face model: config.json is missing") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise ModelError(f"{path} is not that of a Hugging Face model: it gives no model_type")
    built = config.get("architectures") or []
    if isinstance(built, list) and built and not any(str(each).endswith(_ARCHITECTURE) for each in built):
        raise ModelError(
            f"{folder} holds a {', '.join(map(str, built))}; a model that judges texts is a ...{_ARCHITECTURE}"
        )
    if not _matching(folder, _WEIGHTS):
        raise ModelError(f"{folder} holds no weights: neither model.safetensors nor pytorch_model.bin")
    if not _matching(folder, _VOCABULARY):  # transformers would go on, with a tokenizer that knows no word
        raise ModelError(f"{folder} holds no tokenizer: save the model's there, tokenizer.json or its vocabulary")
    return config


def _labels(config: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    """The labels in the order of the outputs. transformers leaves out of the file what it would assume anyway."""
    named = config.get("id2label")
    try:
        if not named:
            return tuple(f"LABEL_{index}" for index in range(int(config.get("num_labels", 2))))
        by_index = {int(index): str(label) for index, label in named.items()}
        labels = tuple(by_index[index] for index in range(len(by_index)))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{folder / 'config.json'}: id2label should name the outputs 0, 1, 2, ...") from error
    if len(set(labels)) < len(labels):
        raise ModelError(f"{folder / 'config.json'}: id2label gives two outputs the same label ({_listed(labels)})")
    return labels


def _ours(label: str, labels: Mapping[str, str], head: str) -> str | None:
    """What a label of theirs is of ours, None when nobody says. Case does not count: many models shout POSITIVE."""
    alike = label.strip().lower()
    return labels.get(label, alike if alike in HEADS[head] else None)


def _unknown(labels: Mapping[str, str], theirs: Sequence[str], head: str) -> Iterable[str]:
    """What is wrong with the entries of the map."""
    for label, mine in labels.items():
        if label not in theirs:
            yield f"it has no label {label!r}{nearest(label, theirs)} (it has {_listed(theirs)})"
        if not mine and head != "touchpoints":
            yield f"labels {label}: only touchpoints may be left out; say which {head} it is ({_listed(HEADS[head])})"
        elif mine and mine not in HEADS[head]:
            yield f"labels {label}: there is no {head} {mine!r}{nearest(mine, HEADS[head])} ({_listed(HEADS[head])})"


def _without(labels: Mapping[str, str], theirs: Sequence[str], head: str) -> Iterable[str]:
    lost = [label for label in theirs if _ours(label, labels, head) is None]
    if lost:
        entry = f"{json.dumps(lost[0], ensure_ascii=False)} = {json.dumps(HEADS[head][0])}"
        out = ', or "" to leave it out' if head == "touchpoints" else ""
        yield (
            f"say under labels what its {_listed(lost)} {'is' if len(lost) == 1 else 'are'} of ours "
            f"({_listed(HEADS[head])}), as {entry}{out}"
        )


def _listed(labels: Sequence[str]) -> str:
    shown = ", ".join(labels[:20])
    return f"{shown} and {len(labels) - 20} more" if len(labels) > 20 else shown


def _matching(folder: Path, forms: Iterable[str]) -> list[Path]:
    return sorted({path for form in forms for path in folder.glob(form) if path.is_file()})


@lru_cache(maxsize=256)
def _sha256(path: Path, changed_ns: int, size: int) -> str:
    """The digest of a file. Time and size are there for the cache: the daemon asks for the name every two seconds."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
