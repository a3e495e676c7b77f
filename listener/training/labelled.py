"""Looks through a file of labelled posts before it is read, so that a bad row is named and not stumbled over."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from listener.errors import ListenerError
from listener.training.dataset import Example, read_any, rows


def read_labelled(path: Path, corpora: Path | None, split: str) -> list[Example]:
    """The posts of `dataset.read_any`. Raises ListenerError naming the file and the row that cannot be used."""
    try:
        for number, row in enumerate(rows(path), 1):
            if wrong := _wrong(row):
                raise ListenerError(f"{path}, row {number}: {wrong}. Mend or delete the row.")
    except (OSError, EOFError, UnicodeDecodeError) as error:  # damaged gzip has no class of its own
        raise ListenerError(f"{path} cannot be read: {error}. It must be JSON Lines in UTF-8, plain or .gz.") from error
    return read_any(path, corpora, split)


def _wrong(row: Mapping[str, Any]) -> str:
    """What is wrong with a row, in words; nothing when it can be used. Labels themselves are `read_any`'s to judge."""
    if not isinstance(row, dict):
        return "not an object"
    if not isinstance(row.get("id"), str):
        return 'its "id" is missing or is no text'
    # Labels by the guide may leave the text to the corpora.
    if not isinstance(row.get("text", "" if "moment" in row else None), str):
        return 'its "text" is missing or is no text'
    if "moment" in row and not isinstance(row.get("touchpoints"), list):
        return 'its "touchpoints" are missing or are no list'
    return ""
