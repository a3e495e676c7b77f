"""The side file NAME.rejected.jsonl: rows of an import that could not be read, each with its place and the reason."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from listener.text import fingerprint

SUFFIX = ".rejected.jsonl"


class SideFile:
    """Rejected rows of one file, written beside it, or into `folder` where that cannot be done.

    Rows after `keep` left by an earlier read are dropped at once, so that reading them again does not double them.
    Where nothing can be written the rows are only counted: an import does not stop for its log.
    """

    def __init__(self, path: Path, folder: Path | None, *, keep: int) -> None:
        self.places = [path.with_name(path.name + SUFFIX)]
        if folder is not None:
            # Two imports may have one name: a hash of the place tells them apart.
            self.places.append(folder / f"{path.name}.{fingerprint(str(path))[:8]}{SUFFIX}")
        for place in self.places:
            _keep_first(place, keep)

    def write(self, rows: Sequence[dict[str, Any]]) -> None:
        """Appends rows as {"row", "line", "reason", "raw"}."""
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        for place in self.places if rows else ():
            if place.is_symlink():  # in a shared folder somebody could point it at a file of ours
                continue
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
                with place.open("a", encoding="ascii") as file:
                    file.write(lines)
            except OSError:
                continue
            return


def _keep_first(place: Path, rows: int) -> None:
    """Drops every line of the side file about a row after `rows`; for 0 rows the whole file."""
    if place.is_symlink() or not place.is_file():
        return
    try:
        if rows == 0:
            place.unlink()
            return
        kept = [line for line in place.read_text(encoding="ascii", errors="replace").splitlines() if _row(line) <= rows]
        new = place.with_name(f"{place.name}.new")
        new.write_text("".join(line + "\n" for line in kept), encoding="ascii", errors="replace")
        new.replace(place)
    except OSError:
        return  # a folder that cannot be written to: the next place is


def _row(line: str) -> float:
    """The number of the row a line is about; beyond all others when a crash cut the line off."""
    try:
        return float(json.loads(line)["row"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
