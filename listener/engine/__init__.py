"""The engine: texts in, scores out. This file holds what every engine shares: the protocol, token limits, batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from listener.records import Scores
from listener.resources import model_folder

if TYPE_CHECKING:
    from listener.config import ModelSettings


class Classifier(Protocol):
    """Scores texts. `model` names the weights and is stored with every verdict."""

    model: str

    def classify(self, texts: Sequence[str]) -> list[Scores]:
        """Scores of `texts` (already through `text.model_input`), in the same order."""
        ...


def head_and_tail(ids: list[int], limit: int) -> list[int]:
    """Token ids cut to `limit`: the first two thirds and the end. [CLS] and [SEP] stay, being first and last.

    Reviewers open with the subject and close with the verdict (Sun et al. 2019, "How to Fine-Tune BERT for Text
    Classification", section 5.3.1), so the middle is what a long review can spare.
    """
    if len(ids) <= limit:
        return ids
    head = limit * 2 // 3
    return ids[:head] + ids[len(ids) - (limit - head) :]


def batches(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """Indices grouped so that texts of like length share a batch of at most `tokens` padded tokens (at least one text).

    Padding is wasted work: sorting by length first removes nearly all of it.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    batch: list[int] = []
    for index in order:
        # Ascending order: the newcomer is the longest, so it alone says how wide the batch becomes.
        if batch and (len(batch) + 1) * lengths[index] > tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def folder(settings: ModelSettings) -> Path:
    """The model folder: the configured one, else the released one."""
    return settings.folder or model_folder()


def name(settings: ModelSettings) -> str:
    """What the configured model calls itself, without loading it. Raises ModelError when there is none."""
    from listener.engine.onnx import model_name

    return model_name(folder(settings))


def load(settings: ModelSettings) -> Classifier:
    """The configured model, ready to score. Raises ModelError when it cannot be used."""
    from listener.engine.onnx import OnnxClassifier

    return OnnxClassifier(folder(settings), settings.threads, settings.abstain_below)
