"""The engine: texts in, scores out. This file holds what every engine shares: the protocol, token limits, batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Protocol

from listener.errors import ModelError
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
    """Indices grouped so that texts of one length share a batch of at most `tokens` tokens (at least one text).

    Nothing is padded: padding is wasted work, and a batch without it needs no mask, which lets attention take its
    fastest path. Batches come in the order of their length.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    for length, group in groupby(order, key=lengths.__getitem__):
        same = list(group)
        most = max(1, tokens // max(1, length))
        yield from (same[at : at + most] for at in range(0, len(same), most))


def folder(settings: ModelSettings) -> Path:
    """The model folder: the configured one, else the released one."""
    return settings.folder or model_folder()


def name(settings: ModelSettings) -> str:
    """What the configured model calls itself, without loading it. Raises ModelError when there is none."""
    from listener.engine import checkpoint

    names = [checkpoint.name(head, settings.heads[head]) for head in checkpoint.HEADS if head in settings.heads]
    if _needs_ours(settings):
        from listener.engine.onnx import model_name

        names.append(model_name(folder(settings)))
    return "+".join(names)


def load(settings: ModelSettings) -> Classifier:
    """The configured model, ready to score. Raises ModelError when it cannot be used."""
    ours: Classifier | None = None
    if _needs_ours(settings):
        from listener.engine.onnx import OnnxClassifier

        ours = OnnxClassifier(folder(settings), settings.threads, settings.abstain_below)
        if not settings.heads:
            return ours
    mixed: Classifier = _torch().load(settings, ours)
    return mixed


def devices(settings: ModelSettings) -> dict[str, str]:
    """Where the model of each configured head runs, for people. Raises ModelError when one cannot."""
    return {head: _torch().device_name(each.device) for head, each in settings.heads.items()}


def _needs_ours(settings: ModelSettings) -> bool:
    """Whether a label is left for our own model to judge."""
    from listener.engine.checkpoint import HEADS, read

    others = settings.heads
    return set(others) != set(HEADS) or bool(read("touchpoints", others["touchpoints"]).missing)


def _torch() -> ModuleType:
    """The torch engine. It is imported for nobody who configured no head: it takes seconds and 300 MB."""
    try:
        from listener.engine import torch
    except (ImportError, OSError) as error:  # OSError: a build whose libraries are not here
        raise ModelError(
            f"[model.heads] needs torch and transformers ({error}): pip install 'listener-daemon[train]'"
        ) from error
    return torch
