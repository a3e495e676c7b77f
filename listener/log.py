"""Structured logs: one event name a line with its facts, as plain text for people or JSON for a collector."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

logger = logging.getLogger("listener")


def event(name: str, level: int = logging.INFO, *, exc_info: bool = False, **facts: Any) -> None:
    """Logs one event. Facts are names, numbers and messages: never the text of a post, never a secret."""
    logger.log(level, name, extra={"facts": facts}, exc_info=exc_info)


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        facts = getattr(record, "facts", {})
        told = " ".join(f"{key}={_word(value)}" for key, value in facts.items() if value not in (None, ""))
        line = f"{_time(record)} {record.levelname.lower():7} {record.getMessage()} {told}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {"time": _time(record), "level": record.levelname.lower(), "event": record.getMessage()}
        line |= getattr(record, "facts", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def set_up(level: str, style: str, without: tuple[str, ...] = ()) -> None:
    """Sends our events to stderr, all but those named in `without`; `style` is "plain" or "json". May be called again
    after a reload.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(lambda record: record.getMessage() not in without)
    handler.setFormatter(_Json() if style == "json" else _Plain())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logger.setLevel(level)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _word(value: Any) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if not text or any(c.isspace() or c == '"' for c in text) else text
