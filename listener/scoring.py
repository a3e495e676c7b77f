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
    """Scores every {"id", "text"} line, which may have "title", "kind" and "lang" too; returns how many were left out.

    Each of those is named to `complain`.
    """
    bad = 0
    numbered = enumerate(lines, 1)
    while chunk := list(islice(numbered, LINES_AT_ONCE)):
        rows: list[tuple[Any, str, str, str]] = []
        for number, line in chunk:
            try:
                found = _read(line)
            except ValueError as error:
                bad += 1
                complain(f"line {number}: {error}; left out")
                continue
            if found:
                rows.append(found)
        texts, kinds, hints = ([row[place] for row in rows] for place in (1, 2, 3))
        for (post_id, *_), scores in zip(rows, classifier.classify(texts, kinds=kinds, hints=hints), strict=True):
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


def _read(line: bytes) -> tuple[Any, str, str, str] | None:
    """Id, model input, kind and language of a line, "" where one is not given; None for a blank line.

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
    title, kind, lang = (each if isinstance(each := row.get(key), str) else "" for key in ("title", "kind", "lang"))
    return row["id"], model_input(title, row["text"]), kind, lang
