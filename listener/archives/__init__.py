"""Archives: files larger than one machine's patience are scored to Parquet, one input file after the other.

What travels between reader, workers and writer. An input file is the unit of a commit: its rows come into the output
whole, once, and are not scored again; whatever dies on the way is done anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from listener.errors import ListenerError
from listener.records import Post
from listener.tables.rows import Privacy
from listener.text import fingerprint

if TYPE_CHECKING:
    from listener.config import ModelSettings
    from listener.sources.files import Settings

ROWS_AT_ONCE = 512  # rows a worker scores at once: enough to sort by length, little to lose with a worker


@dataclass(frozen=True, slots=True)
class Input:
    """A file to be scored, by the address that fsspec opens it with. `version` tells whether it has changed."""

    address: str
    size: int
    version: str

    @property
    def mark(self) -> str:
        """Names the input in the names of what is made of it."""
        return fingerprint(self.address)[:16]


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done with every input, the same in every process and on every machine."""

    output: str
    source: str
    brand: str
    settings: Settings
    model: ModelSettings
    model_name: str
    privacy: Privacy
    zone: ZoneInfo
    now: datetime

    @property
    def how(self) -> str:
        """Names what decides the output: an input that was done in another way is done again."""
        authors = self.authors
        return fingerprint(
            self.source, self.brand, self.settings.reading, self.model_name, str(self.zone), authors["authors"],
            authors["key"],
        )[:16]  # fmt: skip

    @property
    def authors(self) -> dict[str, str]:
        """How authors are kept in the output, and the fingerprint of the key they are hashed with."""
        return {"authors": self.privacy.authors, "key": self.privacy.key_mark}


@dataclass(frozen=True, slots=True)
class Batch:
    """Posts of one input that go to a worker together, and the line (in Parquet: row) that each began at."""

    address: str
    posts: tuple[Post, ...]
    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one input. rows_in = rows_out + the sum of `skipped`."""

    input: str
    rows_in: int = 0
    rows_out: int = 0
    skipped: dict[str, int] = field(default_factory=dict)  # reason -> rows left out
    doubts: dict[str, int] = field(default_factory=dict)  # reason -> rows kept without a value that could not be read
    rejects: str = ""  # the file that lists every row left out
    trouble: str = ""  # why it was read in part only, or (`failed`) not at all
    failed: bool = False  # nothing of it is in the output; the next run tries again
    before: bool = False  # done by an earlier run


Score = Callable[[Iterator[Batch]], Iterator[Any]]  # batches to Arrow tables, in the same order


@dataclass
class Report:
    """What a backfill came to."""

    inputs: list[Done] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def whole(self) -> bool:
        """Whether every row of every input is in the output."""
        return not any(each.trouble or each.skipped for each in self.inputs)

    def as_json(self) -> dict[str, Any]:
        skipped: dict[str, int] = {}
        doubts: dict[str, int] = {}
        for done in self.inputs:
            for total, of in ((skipped, done.skipped), (doubts, done.doubts)):
                for reason, number in of.items():
                    total[reason] = total.get(reason, 0) + number
        fresh = [done for done in self.inputs if not done.before]
        return {
            "files": {
                "done": sum(not done.trouble for done in fresh),
                "damaged": sum(bool(done.trouble) and not done.failed for done in fresh),
                "before": len(self.inputs) - len(fresh),
                "failed": sum(done.failed for done in fresh),
            },
            "rows_in": sum(done.rows_in for done in self.inputs),
            "rows_out": sum(done.rows_out for done in self.inputs),
            "scored_now": sum(done.rows_out for done in fresh),
            "skipped": skipped,
            "doubts": doubts,
            "troubles": [{"input": done.input, "why": done.trouble} for done in self.inputs if done.trouble],
            "rejects": [done.rejects for done in self.inputs if done.rejects],
            "seconds": round(self.seconds, 2),
        }


def need_packages() -> None:
    """Raises ListenerError when the packages of the extra `archives` are not installed."""
    from importlib.util import find_spec

    missing = [name for name in ("pyarrow", "fsspec", "zstandard") if not find_spec(name)]
    if missing:
        raise ListenerError(
            f"archives need {', '.join(missing)}: install it with `pip install 'listener-daemon[archives]'`"
        )
