"""Copies of the database file: made while it is in use, whole or not at all, and examined before they count."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from listener import crash
from listener.errors import StoreError

_PAGES = 1000  # of 4 kB at once: the writer waits for no more than that


def copy(path: Path, out: Path, on_progress: Callable[[int, int], object] = lambda done, total: None) -> None:
    """Copies the database at `path` to `out`, readable by its owner alone; a file that is there is not touched.

    `on_progress` hears the pages done and in all. Raises StoreError when it exists, cannot be written, or when the copy
    is not sound.
    """
    if out.exists():
        raise StoreError(f"{out} exists and was left as it is; name another file, or remove it first")
    half = out.with_name(f".{out.name}.half")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        half.unlink(missing_ok=True)
        os.close(os.open(half, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        with (
            closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(half)) as target,
        ):
            source.backup(
                target, pages=_PAGES, progress=lambda _, left, total: on_progress(total - left, total), sleep=0.01
            )
            target.execute("PRAGMA journal_mode = DELETE")  # one file, with nothing beside it
            (found,) = target.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            raise StoreError(f"{path} is damaged ({found}), and so would be its copy; see `listener doctor`")
        with half.open("rb") as written:
            os.fsync(written.fileno())
        crash.here("backup.copied")
        half.rename(out)
        crash.here("backup.done")
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{path} cannot be copied to {out}: {error}; check the rights and the space there") from error
    finally:
        with suppress(OSError):
            half.unlink(missing_ok=True)
