"""Files of reviews and posts: CSV, TSV, JSON, JSON Lines, XLSX, named one by one or dropped into a folder."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypedDict

from pydantic import Field, field_validator, model_validator

from listener import settings as config
from listener.errors import Broken, Disabled, SourceError
from listener.http import Get
from listener.records import Page, Post
from listener.settings import FilePath, Zone, nearest
from listener.sources import About
from listener.sources.columns import FIELDS, Wanted, usual_scale
from listener.sources.files_posts import Reader
from listener.sources.rejects import SUFFIX, SideFile
from listener.sources.rows import open_rows
from listener.text import fingerprint

ABOUT = About(
    brings="Reviews and posts from files: your own exports of Booking.com, Tripadvisor, Google, Trustpilot, App Store "
    "Connect or a survey, and any CSV, TSV, JSON, JSON Lines or Excel workbook (XLSX).",
    key="none; for XLSX the extra package: pip install 'listener-daemon[xlsx]'",
    limits="Files of any size; a single JSON document up to 64 MiB, beyond that JSON Lines; a workbook up to 256 MiB "
    "unpacked and 5 million cells a sheet, beyond that CSV.",
    terms="The files are yours: import what you may store, and keep to what its origin asks.",
    keep="all",
)

PAGE_ROWS = 500
_CHUNK = 1_048_576  # bytes
_SETTLED_S = 2.0  # a younger file in a watched folder may still be growing
_SUFFIXES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".xlsx", ".xlsm")
_MAGIC = re.compile(r"[*?\[]")


class Settings(config.Settings):
    """Which files, and how their columns and values are to be read."""

    paths: list[FilePath] = Field(
        min_length=1,
        description="Files, folders or globs ('reviews/*.csv'). A folder is watched: new and changed files are read.",
    )
    preset: Literal["", "generic", "appstore", "booking", "google", "survey", "tripadvisor", "trustpilot"] = Field(
        "", description="Whose export it is; empty: told from the names of the columns."
    )
    columns: dict[str, str] = Field(
        {}, description=f"Field -> name of the column, where a guess is wrong. Fields: {', '.join(FIELDS)}."
    )
    dayfirst: bool = Field(False, description="true reads 03/04/2025 as 3 April, false as March 4th.")
    timezone: Zone = Field("", description="Where dates without a zone of their own were written; empty: UTC.")
    best: float | None = Field(
        None,
        description="The best rating there is; without it 5, or 10 for Booking.com and a survey's question whether one "
        "would recommend you.",
        examples=[5],
    )
    worst: float | None = Field(
        None, description="The worst rating there is; without it 1, or 0 for that question.", examples=[1]
    )
    rejects: FilePath | None = Field(
        None,
        description="Folder for the lists of rows that could not be read, where they cannot stand by the file.",
        examples=["rejects"],
    )

    side_files: bool = Field(
        True, description="false only counts the rows that could not be read, and writes no list of them."
    )

    @field_validator("columns")
    @classmethod
    def _known_fields(cls, columns: dict[str, str]) -> dict[str, str]:
        for name in columns:
            if name not in FIELDS:
                raise ValueError(f"there is no field {name!r}{nearest(name, FIELDS)}; fields: {', '.join(FIELDS)}")
        return columns

    @model_validator(mode="after")
    def _scale(self) -> Settings:
        worst, best = self.scale(self.preset or "generic")
        if worst >= best:
            raise ValueError(f"best ({best:g}) must be more than worst ({worst:g})")
        return self

    def scale(self, preset: str, column: str = "") -> tuple[float, float]:
        """Worst and best rating of a column, read by this preset."""
        worst, best = usual_scale(preset, column)
        return (worst if self.worst is None else self.worst, best if self.best is None else self.best)

    @property
    def wanted(self) -> Wanted:
        """What is said of the columns."""
        return Wanted(tuple(self.columns.items()), self.preset)

    @property
    def reading(self) -> str:
        """Names what decides how a file is read: files read in another way are read again."""
        how = self.model_dump_json(include={"preset", "columns", "dayfirst", "timezone", "best", "worst"})
        return fingerprint(how)[:12]


class Mark(TypedDict):
    """How far a file has been read. `rows` counts records, header and blank lines left out."""

    size: int
    mtime_ns: int
    head: str  # hash of the first `size` bytes: all that was read, as a row may be put in anywhere
    rows: int
    done: bool
    reading: str
    bare: bool  # short numbers are taken for ids, as in a file whose bookmark is of a version that did not ask


def fetch(settings: Settings, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str) -> Iterator[Page]:
    """Pages of at most 500 rows, what was read before left out. Cursor: {"files": {absolute path: Mark}}.

    Raises Broken, once every other file has been read, for those that are missing or no table at all, and Disabled
    where all that is amiss is a package that workbooks need.
    """
    marks = {path: mark for path, mark in (cursor or {}).get("files", {}).items() if Path(path).exists()}
    troubles: list[SourceError] = []
    paths = list(_find(settings.paths, now, troubles))
    idle = True
    for path in paths:
        try:
            for posts, mark, skipped in _read(path, settings, marks.get(str(path)), now, name):
                idle = False
                marks = {**marks, str(path): mark}
                yield Page(posts, {"files": marks}, skipped)
        except (Broken, Disabled) as trouble:
            troubles.append(trouble)
        except OSError as error:
            troubles.append(Broken(f"{path}: cannot be read: {error.strerror or error}"))
    if idle:
        yield Page((), {"files": marks}, unchanged=bool(paths))
    if troubles:
        worst = next((trouble for trouble in troubles if isinstance(trouble, Broken)), troubles[0])
        raise type(worst)("\n".join(map(str, troubles)), worst.payload)


def _find(paths: list[Path], now: datetime, troubles: list[SourceError]) -> Iterator[Path]:
    """The files meant, each once. A file named in full is read in any case; members of folders and globs are
    read when they are of a known kind, settled, and lie in the folder (a link that leads out of it is not theirs).
    """
    found: dict[Path, None] = {}
    for path in paths:
        path = path.absolute()
        if path.is_file():
            found[path] = None
        elif path.is_dir():
            found.update(dict.fromkeys(_members(path, sorted(path.iterdir()), now)))
        elif _MAGIC.search(str(path)):
            fixed = next(parent for parent in path.parents if not _MAGIC.search(str(parent)))
            found.update(dict.fromkeys(_members(fixed, sorted(fixed.glob(str(path.relative_to(fixed)))), now)))
        else:
            troubles.append(Broken(f"{path}: there is no such file or folder; mend `paths`"))
    yield from found


def _members(folder: Path, paths: list[Path], now: datetime) -> Iterator[Path]:
    root = folder.resolve()
    for path in paths:
        name = path.name.lower().removesuffix(".gz")
        if name.startswith((".", "~$")) or name.endswith(SUFFIX) or not name.endswith(_SUFFIXES):
            continue
        if path.is_file() and path.resolve().is_relative_to(root):
            age = now.timestamp() - path.stat().st_mtime
            if abs(age) >= _SETTLED_S:
                yield path


def _read(
    path: Path, settings: Settings, mark: Mark | None, now: datetime, name: str
) -> Iterator[tuple[tuple[Post, ...], Mark, Mapping[str, int]]]:
    stat = path.stat()
    same = mark is not None and mark["reading"] == settings.reading
    untouched = mark is not None and (mark["size"], mark["mtime_ns"]) == (stat.st_size, stat.st_mtime_ns)
    if mark and same and untouched and mark["done"]:
        return
    with open_rows(path, settings.wanted) as table:
        start = 0
        if mark and same and (untouched or (table.grows and stat.st_size > mark["size"])):
            # A bookmark that holds the hash of 64 KiB alone, as once, has a longer file read once more.
            start = mark["rows"] if mark["head"] == _head(path, mark["size"]) else 0
        bare = mark is not None and mark.get("bare", True)
        reader = Reader(settings, name, now, table, bare)
        side = SideFile(path, settings.rejects, keep=start) if settings.side_files else None
        head = _head(path, stat.st_size)

        def flushed(done: bool) -> tuple[tuple[Post, ...], Mark, Mapping[str, int]]:
            if side:
                side.write(reader.rejected)
            reached = Mark(
                size=stat.st_size,
                mtime_ns=stat.st_mtime_ns,
                head=head,
                rows=rows,
                done=done,
                reading=settings.reading,
                bare=bare,
            )
            return tuple(reader.posts), reached, dict(reader.skipped)

        rows = 0
        try:
            for number, row in enumerate(table.rows, 1):
                # The last line may still be cut off: it is read now, and again when the file has grown.
                rows = number if row.closed else rows
                if number <= start:
                    reader.count(row)
                    continue
                reader.take(number, row)
                if (number - start) % PAGE_ROWS == 0:
                    yield flushed(done=False)
                    reader.turn()
        except (Broken, OSError):
            yield flushed(done=False)  # what stood before the damage is kept
            raise
        yield flushed(done=True)


def _head(path: Path, size: int) -> str:
    """A hash of the first `size` bytes: all of them, since an export that is sorted grows in its middle."""
    read = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while size > 0 and (chunk := file.read(min(size, _CHUNK))):
            read.update(chunk)
            size -= len(chunk)
    return read.hexdigest()
