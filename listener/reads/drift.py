"""Whether the model still fits what people write: agreement, doubt and unknown words, lately and before. Reads only.

Each is a share of posts or words of the last 30 days beside the 90 days before them. It has drifted when the two differ
beyond chance (two-proportion z, 99.9 %: it is asked every day, and whatever is asked every day is some day by chance),
and by enough to matter.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

from listener.reads.counts import Interval, wilson
from listener.text import model_input

LATELY = timedelta(days=30)
BEFORE = timedelta(days=90)
_SURE = 3.29  # standard errors
_POSTS = 1000  # whose words are looked up in each period
_PIECES = 3  # a word that has to be cut into so many is one that the vocabulary does not know

_AGREED = """
SELECT sum(moment = model_moment), count(*) FROM corrections
WHERE shown = 'random' AND model <> '' AND moment IS NOT NULL AND coalesce(ended, '') NOT IN ('undone', 'replaced')
    AND substr(at, 1, 10) > ? AND substr(at, 1, 10) <= ?
"""

_UNSURE = "SELECT sum(abstained) - sum(unread), sum(posts) - sum(unread) FROM daily_brands WHERE day > ? AND day <= ?"

_TEXTS = """
SELECT p.title, p.text FROM posts p JOIN verdicts v ON v.post_id = p.id
WHERE p.day > ? AND p.day <= ? AND p.deleted_at IS NULL AND p.expired_at IS NULL AND p.copy_of IS NULL AND NOT v.unread
ORDER BY p.day DESC, p.id DESC LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class Drift:
    """A share of the last 30 days (`lately`) and of the 90 days before them."""

    what: Literal["agreement", "unsure", "unknown words"]
    before: Interval
    lately: Interval

    @property
    def worse(self) -> bool:
        """Whether it went the wrong way, beyond chance and by at least a quarter."""
        before, lately = self.before, self.lately
        if before.value is None or lately.value is None:
            return False
        wrong = before.value - lately.value if self.what == "agreement" else lately.value - before.value
        pooled = (before.value * before.n + lately.value * lately.n) / (before.n + lately.n)
        error = math.sqrt(pooled * (1 - pooled) * (1 / before.n + 1 / lately.n))
        enough = (1 - before.value if self.what == "agreement" else before.value) / 4
        return wrong > max(_SURE * error, enough)


def drift(reader: sqlite3.Connection, today: date, tokenizer: Path | None = None) -> list[Drift]:
    """The three shares; those of words only with the `tokenizer` of the model in charge. Nothing counted: n is 0."""
    middle, first = today - LATELY, today - LATELY - BEFORE
    spans = ((first, middle), (middle, today))
    found = [
        Drift("agreement", *(_share(reader, _AGREED, span) for span in spans)),
        Drift("unsure", *(_share(reader, _UNSURE, span) for span in spans)),
    ]
    if tokenizer and (words := _words(tokenizer)):
        found.append(Drift("unknown words", *(_unknown(reader, words, span) for span in spans)))
    return found


def _share(reader: sqlite3.Connection, query: str, span: tuple[date, date]) -> Interval:
    part, whole = reader.execute(query, [day.isoformat() for day in span]).fetchone()
    return wilson(part or 0, whole or 0)


def _words(path: Path) -> Any:
    """The tokenizer; None where it cannot be read, of which `listener doctor` tells."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception:  # noqa: BLE001  # tokenizers raises nothing finer
        return None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _unknown(reader: sqlite3.Connection, tokenizer: Any, span: tuple[date, date]) -> Interval:
    """The share of words that the vocabulary does not know, among the newest posts of a span."""
    rows = reader.execute(_TEXTS, [*(day.isoformat() for day in span), _POSTS]).fetchall()
    texts = [model_input(title, text)[:2000] for title, text in rows]
    unknown = words = 0
    for coded in tokenizer.encode_batch(texts):
        pieces = _pieces(coded.word_ids)
        unknown += sum(number >= _PIECES for number in pieces)
        words += len(pieces)
    return wilson(unknown, words)


def _pieces(word_ids: Sequence[int | None]) -> list[int]:
    """How many pieces each word was cut into."""
    found: dict[int, int] = {}
    for word in word_ids:
        if word is not None:
            found[word] = found.get(word, 0) + 1
    return list(found.values())
