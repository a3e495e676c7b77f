"""`classify --file`: JSON Lines in, verdicts out, in the same order, in flat memory whatever the size."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import islice
from typing import IO, Any

from listener.engine import Judge
from listener.engine.labels import PHASES
from listener.records import Scores
from listener.text import model_input

LINES_AT_ONCE = 2048  # enough to sort by length; a few megabytes


def score_lines(lines: Iterable[bytes], out: IO[str], classifier: Judge, complain: Callable[[str], None]) -> int:
    """Scores every {"id", "text"} line, which may have "title" and "lang" too; returns the number of lines left out.

    Each of those is named to `complain`.
    """
    bad = 0
    numbered = enumerate(lines, 1)
    while chunk := list(islice(numbered, LINES_AT_ONCE)):
        ids, texts, hints = [], [], []
        for number, line in chunk:
            try:
                found = _read(line)
            except ValueError as error:
                bad += 1
                complain(f"line {number}: {error}; left out")
                continue
            if found:
                ids.append(found[0])
                texts.append(found[1])
                hints.append(found[2])
        for post_id, scores in zip(ids, classifier.classify(texts, hints), strict=True):
            # As ASCII: an id may hold half an emoji, which no other encoding takes.
            out.write(json.dumps(as_json(post_id, scores, classifier.model)) + "\n")
    out.flush()
    return bad


def as_json(post_id: Any, scores: Scores, model: str) -> dict[str, Any]:
    """One verdict as `classify --file` writes it."""
    return {
        "id": post_id,
        "moment": scores.moment,
        "moments": {label: round(p, 5) for label, p in scores.moments.items()},
        "phase": PHASES[scores.moment],
        "sentiment": scores.sentiment,
        "sentiments": {label: round(p, 5) for label, p in scores.sentiments.items()},
        "score": round(scores.score, 5),
        "touchpoints": list(scores.touchpoints),
        "confidence": round(scores.confidence, 5),
        "abstained": scores.abstained,
        "language": scores.language,
        "unread": scores.unread,
        "model": model,
    }


def _read(line: bytes) -> tuple[Any, str, str] | None:
    """Id, model input and given language ("" without one) of a line; None for a blank one.

    Raises ValueError saying what is wrong with it.
    """
    if not line.strip():
        return None
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({error})") from error
    if not isinstance(row, dict) or "id" not in row or not isinstance(row.get("text"), str):
        raise ValueError('not an object with "id" and a "text" that is a string')
    title, lang = row.get("title"), row.get("lang")
    return (
        row["id"],
        model_input(title if isinstance(title, str) else "", row["text"]),
        lang if isinstance(lang, str) else "",
    )
