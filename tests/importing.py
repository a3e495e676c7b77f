"""What the tests of file imports share: one run's pages, what a store would keep of them, files that are settled."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from listener.records import Page, Post
from listener.sources import files
from listener.sources.files import Settings

NOW = datetime(2025, 11, 1, 12, tzinfo=UTC)
PAYLOADS = Path(__file__).parent / "payloads" / "files"


def no_get(*_: object, **__: object) -> Any:
    raise AssertionError("a file import fetches nothing")


def pages(*paths: Path, cursor: Any = None, now: datetime = NOW, limit: int | None = None, **keys: Any) -> list[Page]:
    """The pages of one run; only the first `limit` where the process is killed after so many."""
    found = []
    for page in files.fetch(Settings(paths=list(paths), **keys), cursor, no_get, now, "mine"):
        found.append(page)
        if len(found) == limit:
            break
    return found


def posts(*paths: Path, **keys: Any) -> list[Post]:
    return [post for page in pages(*paths, **keys) for post in page.posts]


def saved(runs: list[Page]) -> tuple[list[Post], dict[str, int], Any]:
    """What a store would hold after these pages: posts, counts of what was skipped, the cursor as it is kept."""
    skipped: dict[str, int] = {}
    for page in runs:
        for reason, count in page.skipped.items():
            skipped[reason] = skipped.get(reason, 0) + count
    return [post for page in runs for post in page.posts], skipped, json.loads(json.dumps(runs[-1].cursor))


def write(path: Path, content: str | bytes, *, age_s: float = 60) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    touch(path, age_s)
    return path


def touch(path: Path, age_s: float) -> None:
    stamp = NOW.timestamp() - age_s
    os.utime(path, (stamp, stamp))


def rejected(path: Path) -> list[dict[str, Any]]:
    side = path.with_name(path.name + ".rejected.jsonl")
    return [json.loads(line) for line in side.read_text().splitlines()] if side.exists() else []
