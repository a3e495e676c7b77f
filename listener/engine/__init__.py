"""The engine: texts in, scores out. This file holds what every engine shares: the protocol, token limits, batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Protocol

from listener.errors import ModelError
from listener.records import Scores
from listener.resources import model_folder

if TYPE_CHECKING:
    from listener.config import HeadSettings, ModelSettings
    from listener.engine.routing import RoutingClassifier


class Classifier(Protocol):
    """Scores texts. `model` names the weights and is stored with every verdict."""

    model: str

    def classify(self, texts: Sequence[str], kinds: Sequence[str] = ()) -> list[Scores]:
        """Scores of `texts` (already through `text.model_input`), in the same order. `kinds` are those of their posts,
        "" where unknown: a review is likelier to be feedback than its words alone tell.
        """
        ...


class Judge(Classifier, Protocol):
    """A classifier that heeds languages: what `load` gives."""

    def classify(self, texts: Sequence[str], kinds: Sequence[str] = (), hints: Sequence[str] = ()) -> list[Scores]:
        """As `Classifier.classify`; `hints` are the languages that sources claim for the texts, BCP 47 or ""."""
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


def vocabulary(settings: ModelSettings) -> Path | None:
    """The tokenizer of the configured model; None where there are several models or the file is not there."""
    file = folder(settings) / "tokenizer.json"
    return file if file.is_file() and not settings.heads else None


def name(settings: ModelSettings) -> str:
    """What the configured models call themselves, without loading them. Raises ModelError when one is not there."""
    return _joined(settings, _name(settings), {of: _name(each) for of, each in _by_language(settings).items()})


def load(settings: ModelSettings) -> RoutingClassifier:
    """The configured models, ready to score. Raises ModelError when one cannot be used."""
    from listener.engine.routing import RoutingClassifier

    usual, own = _load(settings), _by_language(settings)
    # One folder may serve several languages, and is loaded once.
    loaded = {of: _load(each) for of, each in {each.folder: each for each in own.values()}.items()}
    others = {language: loaded[each.folder] for language, each in own.items()}
    model = _joined(settings, usual.model, {language: each.model for language, each in others.items()})
    return RoutingClassifier(model, usual, _known(settings), others)


def confusion(settings: ModelSettings) -> str | None:
    """What the configured models are known to take for what, see `onnx.model_confusion`. None where it is not known:
    of models for single heads or languages, or with another threshold than the model's own.
    """
    if settings.heads or settings.languages or settings.abstain_below is not None:
        return None
    from listener.engine.onnx import model_confusion

    return model_confusion(folder(settings))


def _joined(settings: ModelSettings, usual: str, others: Mapping[str, str]) -> str:
    """One name for all models, another when one of them changes or is to know other languages: posts are due again."""
    knows = [] if settings.knows is None else [f"knows:{','.join(sorted(settings.knows))}"]
    return "+".join([usual, *knows, *(f"{language}:{model}" for language, model in sorted(others.items()))])


def _by_language(settings: ModelSettings) -> dict[str, ModelSettings]:
    """The settings of the models that languages have of their own."""
    alone = settings.model_copy(update={"heads": {}, "languages": {}})
    return {language: alone.model_copy(update={"folder": each}) for language, each in settings.languages.items()}


def _known(settings: ModelSettings) -> Sequence[str]:
    """The languages that the model for most texts knows."""
    if settings.knows is not None:
        return settings.knows
    if not _needs_ours(settings):
        return ("en",)
    from listener.engine.onnx import model_languages

    return model_languages(folder(settings))


def _name(settings: ModelSettings) -> str:
    from listener.engine import checkpoint

    names = [checkpoint.name(head, settings.heads[head]) for head in checkpoint.HEADS if head in settings.heads]
    if _needs_ours(settings):
        from listener.engine.onnx import model_name

        names.append(model_name(folder(settings)))
    return "+".join(names)


def _load(settings: ModelSettings) -> Classifier:
    ours: Classifier | None = None
    if _needs_ours(settings):
        from listener.engine.onnx import OnnxClassifier

        ours = OnnxClassifier(folder(settings), settings.threads, settings.abstain_below)
        if not settings.heads:
            return ours
    mixed: Classifier = _torch().load(settings, ours)
    return mixed


def place(head: HeadSettings) -> str:
    """Where the model of a configured head runs, for people. Raises ModelError when it cannot."""
    return str(_torch().device_name(head.device))


def _needs_ours(settings: ModelSettings) -> bool:
    """Whether a label is left for our own model to judge."""
    from listener.engine.checkpoint import HEADS, read

    others = settings.heads
    return set(others) != set(HEADS) or bool(read("touchpoints", others["touchpoints"]).missing)


def _torch() -> ModuleType:
    """The torch engine. It is imported for nobody who configured no head: it takes seconds and 400 MB."""
    try:
        from listener.engine import torch
    except (ImportError, OSError) as error:  # OSError: a build whose libraries are not here
        raise ModelError(
            f"[model.heads] needs torch and transformers ({error}): pip install 'listener-daemon[train]'"
        ) from error
    return torch
