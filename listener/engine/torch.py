"""The torch engine: heads judged by local Hugging Face checkpoints of the user's own, on CPU or GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers

from listener.engine import Classifier, batches, checkpoint, head_and_tail
from listener.engine.calibration import Calibration, Floats, softmax
from listener.engine.checkpoint import HEADS
from listener.errors import ModelError
from listener.records import Scores

if TYPE_CHECKING:
    from listener.settings import HeadSettings, ModelSettings

# Tokens a batch: a core's cache is soon full; a GPU wants much at once, and has the room for it with any encoder.
_BATCH_TOKENS = {"cpu": 1024, "cuda": 16384}
_TOKENIZE_AT_ONCE = 64  # whole texts are tokenised before they are cut
_LIMIT = 512  # tokens of a text, where a model names no limit
_THRESHOLD = 0.5
_NOTHING = Scores(moments={}, sentiments={}, touchpoints=(), confidence=0.0, abstained=True)


class TorchClassifier:
    """The heads of some checkpoints, and those of `base` for the rest. For one thread at a time."""

    def __init__(
        self,
        heads: Mapping[str, TorchHead],
        base: Classifier | None,
        threads: int = 0,
        abstain_below: float | None = None,
    ) -> None:
        """`heads` by their names, keys of HEADS; `base` may be None when they leave nothing to it.

        `threads` as torch counts them, 0 for its own choice, all cores that this process may use. The moment abstains
        below `abstain_below`; a checkpoint knows no threshold of its own, so the usual one holds without it.
        """
        self._heads, self._base, self._threads = heads, base, threads
        self._abstain_below = Calibration().abstain_below if abstain_below is None else abstain_below
        self.model = "+".join([*(head.name for head in heads.values()), *([base.model] if base else [])])

    def classify(self, texts: Sequence[str], kinds: Sequence[str] = ()) -> list[Scores]:
        """Scores in the order of `texts`. Raises ModelError when a model gives no numbers or its GPU has no room."""
        if not texts:
            return []
        if self._threads:  # OpenMP keeps it by thread, and the daemon judges in several, one after the other
            torch.set_num_threads(self._threads)
        scores = self._base.classify(texts, kinds) if self._base else [_NOTHING] * len(texts)
        for head in self._heads.values():
            scores = self._judged(scores, head, head.probabilities(texts))
        return scores

    def _judged(self, scores: Sequence[Scores], head: TorchHead, found: Floats) -> list[Scores]:
        """The scores with one head's probabilities (n, labels of ours) in their place."""
        rows = [dict(zip(HEADS[head.head], row, strict=True)) for row in found.tolist()]
        pairs = zip(scores, rows, strict=True)
        if head.head == "moment":
            return [
                replace(each, moments=row, confidence=(sure := max(row.values())), abstained=sure < self._abstain_below)
                for each, row in pairs
            ]
        if head.head == "sentiment":
            return [replace(each, sentiments=row) for each, row in pairs]
        named = [
            tuple(x for x, p in row.items() if (x in each.touchpoints if x in head.missing else p >= head.threshold))
            for each, row in pairs
        ]
        return [replace(each, touchpoints=labels) for each, labels in zip(scores, named, strict=True)]


def load(settings: ModelSettings, base: Classifier | None) -> TorchClassifier:
    """The heads of [model.heads], with `base` for the others. Raises ModelError when one cannot be used."""
    heads: dict[str, TorchHead] = {
        head: TorchHead(head, settings.heads[head]) for head in HEADS if head in settings.heads
    }
    return TorchClassifier(heads, base, settings.threads, settings.abstain_below)


class TorchHead:
    """One checkpoint, loaded, that judges one head."""

    def __init__(self, head: str, settings: HeadSettings) -> None:
        """Loads the checkpoint of `head`, a key of HEADS. Raises ModelError when it or its device cannot be used."""
        self._checkpoint = checkpoint.read(head, settings)
        self.head = head
        self.name = checkpoint.name(head, settings)
        self.missing = frozenset(self._checkpoint.missing)
        self.threshold = _THRESHOLD if settings.threshold is None else settings.threshold
        self._temperature = settings.temperature
        self._device = device(settings.device)
        self._half = _half(self._device)
        self._tokenizer, self._model = _open(self._checkpoint)
        self._model.to(self._device)
        self._limit = _limit(self._tokenizer, self._model)
        self._batch_tokens = _BATCH_TOKENS[self._device.type]
        # (theirs, ours), 1 where a label of theirs is one of ours
        self._map = np.array([[mine == label for label in HEADS[head]] for mine in self._checkpoint.ours], np.float32)

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """Probabilities (n, labels of ours), in the order of HEADS.

        Where several of their labels are one of ours, exclusive ones add up, and of those that may hold together the
        surest counts.
        """
        logits = self.logits(texts) / self._temperature
        if self._checkpoint.several:
            theirs = (1 + np.tanh(logits / 2)) / 2  # the sigmoid, without its overflow
            return np.asarray((theirs[:, :, None] * self._map).max(axis=1), dtype=np.float32)
        return np.asarray(softmax(logits) @ self._map, dtype=np.float32)

    def logits(self, texts: Sequence[str]) -> Floats:
        """The model's raw outputs (n, its labels), float32."""
        tokens = [
            head_and_tail(ids, self._limit)
            for first in range(0, len(texts), _TOKENIZE_AT_ONCE)
            for ids in self._tokens(texts[first : first + _TOKENIZE_AT_ONCE])
        ]
        work = list(batches([len(ids) for ids in tokens], self._batch_tokens))
        try:
            # All at once off the device: a copy for each batch would make the GPU wait for us.
            rows = torch.cat([self._run([tokens[index] for index in batch]) for batch in work]).cpu().numpy()
        except torch.cuda.OutOfMemoryError as error:
            raise ModelError(
                f"{self._checkpoint.folder}: {self._device} has too little free memory for this model; free some, or "
                "set its device to 'cpu' or to another GPU"
            ) from error
        if not np.isfinite(rows).all():
            # Some models overflow 16-bit numbers, some are damaged; one verdict of nan would spoil every mean.
            raise ModelError(f"{self._checkpoint.folder}: its outputs are no numbers; set its device to 'cpu'")
        logits: Floats = np.empty_like(rows)
        logits[[index for batch in work for index in batch]] = rows
        return logits

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        # What looks like a special token in a post is text: a second [SEP] or </s> means something to many models.
        found = self._tokenizer(list(texts), split_special_tokens=True, truncation=False, verbose=False)["input_ids"]
        # Not every tokenizer puts something around an empty text.
        empty = next((x for x in (self._tokenizer.eos_token_id, self._tokenizer.pad_token_id) if x is not None), 0)
        return [ids or [empty] for ids in found]

    def _run(self, tokens: Sequence[Sequence[int]]) -> torch.Tensor:
        """Outputs (batch, labels) for texts of one length."""
        ids = torch.tensor(tokens, device=self._device)
        with torch.inference_mode(), torch.autocast(self._device.type, self._half, enabled=self._half is not None):
            return self._model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.float()


def device(wanted: str) -> torch.device:
    """The device of that name; 'auto' is the first GPU, else the CPU. Raises ModelError when it is not there."""
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    if wanted != "cpu":
        number = int(wanted.partition(":")[2] or 0)
        if not torch.cuda.is_available():
            why = "" if torch.version.cuda or torch.version.hip else " (it is a build without GPU support)"
            raise ModelError(
                f"device {wanted!r}: torch {torch.__version__} finds no GPU{why}; set device to 'auto' or 'cpu', or "
                "install the GPU's driver and a build of torch for it"
            )
        if number >= torch.cuda.device_count():
            raise ModelError(f"device {wanted!r}: there are {torch.cuda.device_count()} GPUs, the first is 'cuda:0'")
        return torch.device("cuda", number)
    return torch.device("cpu")


def device_name(wanted: str) -> str:
    """Where a model with this `device` setting runs, for people. Raises ModelError when it cannot."""
    chosen = device(wanted)
    if chosen.type == "cuda":
        return f"{chosen}, {torch.cuda.get_device_name(chosen)}"
    return "the CPU" + (", as torch finds no GPU" if wanted == "auto" else "")


def _half(chosen: torch.device) -> torch.dtype | None:
    """The 16-bit numbers to multiply with; on a CPU none, as few of them are faster with those."""
    if chosen.type == "cpu":
        return None
    # bfloat16 has the range of float32; GPUs before 2020 only imitate it, slowly.
    return torch.bfloat16 if torch.cuda.get_device_capability(chosen) >= (8, 0) else torch.float16


def _open(of: checkpoint.Checkpoint) -> tuple[Any, Any]:
    """Tokenizer and model, float32, in evaluation mode.

    Code that comes with a model is never run: neither its own, nor any in its weights, which are safetensors or, as
    transformers does it of itself, unpickled as numbers alone.
    """
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(of.folder, **local)
        model, report = transformers.AutoModelForSequenceClassification.from_pretrained(
            of.folder, **local, output_loading_info=True, ignore_mismatched_sizes=True
        )
    except Exception as error:  # transformers has no common error class, and safetensors and torch have their own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"{of.folder}: the model cannot be loaded: {reason}") from error
    # Names, or names with shapes: it depends on the version.
    misfits = [each if isinstance(each, str) else each[0] for each in report["mismatched_keys"]]
    if lost := sorted({*report["missing_keys"], *misfits}):
        first = ", ".join(lost[:3]) + (" and more" if len(lost) > 3 else "")
        raise ModelError(
            f"{of.folder}: the weights have no {first} that fits config.json, and made-up ones would judge at random; "
            "give a model that was fine-tuned to classify"
        )
    tokens = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > tokens:
        raise ModelError(
            f"{of.folder}: the tokenizer knows {len(tokenizer)} tokens, the model {tokens}; they are not of one make"
        )
    if getattr(model.config, "pad_token_id", None) is None:
        model.config.pad_token_id = -1  # decoders refuse batches without one; nothing is padded here
    return tokenizer, model.float().eval()


def _limit(tokenizer: Any, model: Any) -> int:
    """The most tokens, special ones included, that the model can read at once."""
    positions = getattr(model.config, "max_position_embeddings", None) or _LIMIT
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            positions = module.weight.shape[0] - module.padding_idx - 1  # RoBERTa counts from behind the padding
    if positions < 1:  # some models with relative positions say -1
        positions = _LIMIT
    return int(min(tokenizer.model_max_length, positions))
