"""Files of reviews and posts: CSV, TSV, JSON, JSON Lines, plain or gzip, named one by one or dropped into a folder."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, Literal, TypedDict
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from listener import settings as config
from listener.errors import Broken
from listener.http import Get
from listener.records import Page, Post
from listener.settings import FilePath, Zone, nearest
from listener.sources import About
from listener.sources.columns import FIELDS, PRESETS, cell, map_columns, nested_columns, read_date, read_rating
from listener.sources.rejects import SUFFIX, SideFile
from listener.sources.rows import HEAD_BYTES, Row, Rows, open_rows
from listener.text import canonical_url, clean, fingerprint, from_html

ABOUT = About(
    brings="Reviews and posts from files: your own exports of Booking.com, Google, Trustpilot or a survey, and any "
    "CSV, TSV, JSON or JSON Lines.",
    key="none",
    limits="Files of any size; a single JSON document up to 64 MiB, beyond that JSON Lines.",
    terms="The files are yours: import what you may store, and keep to what its origin asks.",
    keep="all",
)

PAGE_ROWS = 500
_SETTLED_S = 2.0  # a younger file in a watched folder may still be growing
_SUFFIXES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson")
_KINDS = ("post", "comment", "review", "article")
_NO_PART = re.compile(r"(no (positive|negative)|nothing|none|n/?a|-+)?\.?", re.IGNORECASE)
_MAGIC = re.compile(r"[*?\[]")
_ORIGINAL = re.compile(r"\(Original\)\s*(?=\S)")  # Google puts its translation before what the guest wrote


class Settings(config.Settings):
    """Which files, and how their columns and values are to be read."""

    paths: list[FilePath] = Field(
        min_length=1,
        description="Files, folders or globs ('reviews/*.csv'). A folder is watched: new and changed files are read.",
    )
    preset: Literal["", "generic", "booking", "google", "trustpilot"] = Field(
        "", description="Whose export it is; empty: told from the names of the columns."
    )
    columns: dict[str, str] = Field(
        {}, description=f"Field -> name of the column, where a guess is wrong. Fields: {', '.join(FIELDS)}."
    )
    dayfirst: bool = Field(False, description="true reads 03/04/2025 as 3 April, false as March 4th.")
    timezone: Zone = Field("", description="Where dates without a zone of their own were written; empty: UTC.")
    best: float | None = Field(
        None, description="The best rating there is; without it 5, or 10 for Booking.com.", examples=[5]
    )
    worst: float | None = Field(None, description="The worst rating there is; without it 1.", examples=[1])
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

    def scale(self, preset: str) -> tuple[float, float]:
        """Worst and best rating."""
        known = PRESETS[preset]
        return (known.worst if self.worst is None else self.worst, known.best if self.best is None else self.best)

    @property
    def reading(self) -> str:
        """Names what decides how a file is read: files read in another way are read again."""
        how = self.model_dump_json(include={"preset", "columns", "dayfirst", "timezone", "best", "worst"})
        return fingerprint(how)[:12]


class Mark(TypedDict):
    """How far a file has been read. `rows` counts records, header and blank lines left out."""

    size: int
    mtime_ns: int
    head: str  # hash of the first 64 KiB, or of `size` bytes if that is less
    rows: int
    done: bool
    reading: str


def fetch(settings: Settings, cursor: Mapping[str, Any] | None, get: Get, now: datetime, name: str) -> Iterator[Page]:
    """Pages of at most 500 rows, what was read before left out. Cursor: {"files": {absolute path: Mark}}.

    Raises Broken, once every other file has been read, for those that are missing or no table at all.
    """
    marks = {path: mark for path, mark in (cursor or {}).get("files", {}).items() if Path(path).exists()}
    troubles: list[Broken] = []
    paths = list(_find(settings.paths, now, troubles))
    idle = True
    for path in paths:
        try:
            for posts, mark, skipped in _read(path, settings, marks.get(str(path)), now, name):
                idle = False
                marks = {**marks, str(path): mark}
                yield Page(posts, {"files": marks}, skipped)
        except Broken as trouble:
            troubles.append(trouble)
        except OSError as error:
            troubles.append(Broken(f"{path}: cannot be read: {error.strerror or error}"))
    if idle:
        yield Page((), {"files": marks}, unchanged=bool(paths))
    if troubles:
        raise Broken("\n".join(map(str, troubles)), troubles[0].payload)


def _find(paths: list[Path], now: datetime, troubles: list[Broken]) -> Iterator[Path]:
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
        if name.startswith(".") or name.endswith(SUFFIX) or not name.endswith(_SUFFIXES):
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
    with open_rows(path) as table:
        start = 0
        if mark and same and (untouched or (table.grows and stat.st_size > mark["size"])):
            start = mark["rows"] if mark["head"] == _head(path, mark["size"]) else 0
        reader = _Reader(settings, name, now, path, table)
        side = SideFile(path, settings.rejects, keep=start) if settings.side_files else None
        head = _head(path, stat.st_size)

        def flushed(done: bool) -> tuple[tuple[Post, ...], Mark, Mapping[str, int]]:
            if side:
                side.write(reader.rejected)
            reached = Mark(
                size=stat.st_size, mtime_ns=stat.st_mtime_ns, head=head, rows=rows, done=done, reading=settings.reading
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
    with path.open("rb") as file:
        return hashlib.blake2b(file.read(min(size, HEAD_BYTES)), digest_size=16).hexdigest()


@dataclass
class _Reader:
    """Turns rows of one file into posts, one page after the other, and remembers which rows it has met."""

    settings: Settings
    source: str
    now: datetime
    path: Path
    table: Rows
    posts: list[Post] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    met: set[int] = field(default_factory=set)  # eight bytes of each fingerprint: files may have millions of rows
    again: Counter[int] = field(default_factory=Counter)  # how often beyond the first, for those met twice

    def __post_init__(self) -> None:
        self.zone: tzinfo = ZoneInfo(self.settings.timezone) if self.settings.timezone else UTC
        self.chosen = tuple(self.settings.columns.items())
        if not self.table.columns:
            return
        columns, _ = map_columns(self.table.columns, self.chosen, self.settings.preset)
        # Without a header row these are a post's own words: enough to tell them by, and no more, goes into messages.
        there = ", ".join(name if len(name) <= 40 else f"{name[:20]}..." for name in self.table.columns)[:500]
        for column in self.settings.columns.values():
            if column not in self.table.columns:
                raise Broken(f"{self.path}: there is no column {column!r}; there are: {there}")
        if not {"text", "title", "positive", "negative"} & set(columns):
            raise Broken(
                f"{self.path}: no column of it is known to hold the text; there are: {there}; "
                'name it in the settings: columns = {text = "..."}'
            )

    def turn(self) -> None:
        """Begins the next page."""
        self.posts, self.skipped, self.rejected = [], Counter(), []

    def count(self, row: Row) -> None:
        """Meets a row of an earlier run again, so that its doubles further down get the right number."""
        if not row.reason:
            self._identity(_Values(self, row.cells))

    def take(self, number: int, row: Row) -> None:
        """Adds the row to the page, as a post or as turned down."""
        reason = row.reason
        if not reason:
            values = _Values(self, row.cells)
            reason = "" if values.text else "no text"
        if reason:
            self.skipped[reason] += 1
            self.rejected.append({"row": number, "line": row.line, "reason": reason, "raw": row.raw})
            return
        self.posts.append(values.post(self._identity(values)))
        self.skipped.update(values.doubts)

    def _identity(self, values: _Values) -> str:
        """The row's own id, else a hash of what it says, with a number from its second occurrence in the file on."""
        if not values.text:
            return ""
        if native := _clean(values.raw("id")):
            return native if len(native) <= 200 else fingerprint(native)
        # What was written, not what it was read as: another setting for dates must not make other posts of them.
        written = (values.raw(part).strip() for part in ("author", "date", "rating", "url"))
        mark = fingerprint(values.title, values.text, *written)
        short = int(mark[:16], 16)
        if short not in self.met:
            self.met.add(short)
            return mark
        self.again[short] += 1
        return f"{mark}-{self.again[short]}"


def _clean(written: str) -> str:
    return clean(written) if written else ""


class _Values:
    """What one row says, field by field."""

    def __init__(self, reader: _Reader, cells: Mapping[str, Any]) -> None:
        self.reader = reader
        self.cells = cells
        names = reader.table.columns or nested_columns(cells)
        self.columns, self.preset = map_columns(names, reader.chosen, reader.settings.preset)
        self.doubts: list[str] = []
        self.title = " ".join(self._read("title").split())
        self.text = self._text()
        if not self.text:
            self.title, self.text = "", self.title

    def raw(self, name: str) -> str:
        return cell(self.cells, self.columns.get(name))

    def _read(self, name: str) -> str:
        written = self.raw(name)
        return from_html(written) if written else ""

    def _text(self) -> str:
        parts = (("Liked", self._read("positive")), ("Disliked", self._read("negative")))
        both = "\n".join(f"{word}: {part}" for word, part in parts if not _NO_PART.fullmatch(part))
        text = self._read("text")
        if self.preset == "google" and (original := _ORIGINAL.search(text)):
            text = text[original.end() :]
        return f"{text}\n{both}".strip()

    def post(self, native_id: str) -> Post:
        reader = self.reader
        date, rating = self.raw("date").strip(), self.raw("rating").strip()
        created = read_date(date, zone=reader.zone, dayfirst=reader.settings.dayfirst, now=reader.now)
        rated = read_rating(rating, *reader.settings.scale(self.preset))
        if date and created is None:
            self.doubts.append("date not readable, post kept")
        if rating and rated is None:
            self.doubts.append("rating not readable or outside its scale, post kept")
        kind = self.raw("kind").strip().lower()
        return Post(
            source=reader.source,
            native_id=native_id,
            text=self.text,
            kind=kind if kind in _KINDS else "review" if rated or self.preset != "generic" else "post",
            title=self.title,
            url=canonical_url(self.raw("url")),
            author=_clean(self.raw("author"))[:200],
            created_at=created,
            rating=rated,
            lang=_clean(self.raw("lang"))[:35],
            brand=_clean(self.raw("brand"))[:100],
        )
