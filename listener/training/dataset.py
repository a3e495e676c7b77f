"""Training examples from label files and sentiment corpora, and the batches they are served in."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from listener.engine import head_and_tail
from listener.engine.calibration import Floats
from listener.engine.labels import MOMENTS, SENTIMENTS, TOUCHPOINTS
from listener.errors import ListenerError
from listener.text import model_input

UNKNOWN = -100  # what torch's cross entropy ignores
READ = 600  # characters of a post that the readers who labelled it saw


@dataclass(frozen=True, slots=True)
class Example:
    """One text with the labels it has; a label a corpus does not give is UNKNOWN, or None for touchpoints.

    `taught` (27,) are a teacher's probabilities for the three heads, where there is a teacher.
    """

    id: str
    text: str
    moment: int = UNKNOWN
    sentiment: int = UNKNOWN
    touchpoints: tuple[str, ...] | None = None
    source: str = ""
    kind: str = ""  # as of `records.Post`; "" where it is not known
    sure: bool = True
    taught: Floats | None = None


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSON Lines file, gzip or plain. Raises ListenerError naming the file, and the line that is none.

    Every row has an "id", and its "text" is a text where it has one.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _row(line, f"{path}, line {number}")
    except (OSError, EOFError, UnicodeDecodeError) as error:  # damaged gzip has no class of its own
        raise ListenerError(f"{path} cannot be read: {error}. It must be JSON Lines in UTF-8, plain or .gz.") from error


def _row(line: str, place: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ListenerError(f"{place}: not JSON ({error}). Mend or delete the line.") from error
    if not isinstance(row, dict):
        raise ListenerError(f"{place}: not an object. Mend or delete the line.")
    for field, missing in (("id", None), ("text", "")):
        if not isinstance(row.get(field, missing), str):
            raise ListenerError(f'{place}: its "{field}" is missing or is no text. Mend or delete the line.')
    return row


def read_labels(path: Path, corpora: Path | None = None) -> list[Example]:
    """Posts labelled by the guide: {"id", "text", "moment", "sentiment", "touchpoints", "sure", "set", "kind"}.

    A row without a text (texts of other people are not ours to ship) takes it from `corpora`/SET.jsonl.gz by its id,
    cut where its reader saw it cut. Raises ListenerError naming the row when it is not there or a label is not ours.
    """
    examples = []
    table = list(rows(path))
    missing = {row.get("set", "") for row in table if "text" not in row}
    if missing and corpora is None:
        raise ListenerError(f"{path} has labels without texts; say where the texts are with --corpora FOLDER")
    texts = {name: _texts(corpora / f"{name}.jsonl.gz") for name in sorted(missing)} if corpora else {}
    for number, row in enumerate(table, 1):
        if "text" not in row:
            row["text"] = texts[row["set"]].get(row["id"])
            if row["text"] is None:
                raise ListenerError(f"{path}, row {number}: {corpora} has no post {row['id']} in {row['set']}")
        if not isinstance(row.get("touchpoints"), list):
            raise ListenerError(f'{path}, row {number}: its "touchpoints" are missing or are no list')
        try:
            examples.append(
                Example(
                    id=row["id"],
                    text=model_input("", row["text"]),
                    moment=MOMENTS.index(row["moment"]),
                    sentiment=SENTIMENTS.index(row["sentiment"]),
                    touchpoints=tuple(label for label in row["touchpoints"] if TOUCHPOINTS.index(label) >= 0),
                    source=row.get("set", ""),
                    kind=row.get("kind", ""),
                    sure=row.get("sure", True),
                )
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ListenerError(f"{path}, row {number}: {error} is missing or is no label of ours") from error
    return examples


def _texts(path: Path) -> dict[str, str]:
    if not path.exists():
        raise ListenerError(f"{path} is not there; the labels need its texts")
    return {row["id"]: row["text"][:READ] + ("…" if len(row["text"]) > READ else "") for row in rows(path)}


def read_sentiment(path: Path, split: str = "train") -> list[Example]:
    """Texts with a sentiment alone: {"id", "text", "label"}; rows of another split or another label are left out."""
    return [
        Example(
            id=row["id"],
            text=model_input("", _text(row, path)),
            sentiment=SENTIMENTS.index(row["label"]),
            source=path.name,
        )
        for row in rows(path)
        if row.get("label") in SENTIMENTS and row.get("split", split) == split
    ]


def read_any(path: Path, corpora: Path | None, split: str) -> list[Example]:
    """Posts labelled by the guide, or texts with a sentiment alone, whichever `path` holds. Raises ListenerError."""
    first = next(rows(path), {})
    found = read_labels(path, corpora) if "moment" in first else read_sentiment(path, split)
    if not found:
        raise ListenerError(
            f'{path} holds nothing to measure by: rows need "moment", or a "label" that is {", ".join(SENTIMENTS)}'
            + (f"; only rows of the split {split} were asked for" if "split" in first else "")
        )
    return found


def read_texts(path: Path) -> list[Example]:
    """Texts without any label, for a teacher to judge: {"id", "text"}."""
    return [Example(id=row["id"], text=model_input("", _text(row, path)), source=path.name) for row in rows(path)]


def _text(row: dict[str, Any], path: Path) -> str:
    if "text" not in row:
        raise ListenerError(f'{path}: the row {row["id"]} has no text: its "text" is missing')
    return str(row["text"])


def hold_out(examples: Iterable[Example], share: float) -> tuple[list[Example], list[Example]]:
    """(kept, held out): a share picked by the id alone, so that the same posts are held out in every run."""
    kept: list[Example] = []
    held: list[Example] = []
    for example in examples:
        draw = int.from_bytes(hashlib.sha256(example.id.encode()).digest()[:4], "little") / 2**32
        (held if draw < share else kept).append(example)
    return kept, held


def tokenise(tokenizer: Tokenizer, examples: Sequence[Example], limit: int) -> list[list[int]]:
    """Token ids, cut exactly as the engine cuts them."""
    return [head_and_tail(coded.ids, limit) for coded in tokenizer.encode_batch([example.text for example in examples])]


def shuffled_batches(lengths: Sequence[int], size: int, rng: random.Random) -> list[list[int]]:
    """Batches of `size` indices of like length in random order: sorted within windows of 50 batches, not over all.

    Sorting everything would show the model the same neighbours in every epoch.
    """
    order = list(range(len(lengths)))
    rng.shuffle(order)
    window = size * 50
    found = []
    for start in range(0, len(order), window):
        part = sorted(order[start : start + window], key=lengths.__getitem__)
        found += [part[at : at + size] for at in range(0, len(part), size)]
    rng.shuffle(found)
    return found
