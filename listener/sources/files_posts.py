"""Posts out of the rows of a file: what each field says, and by what the row will be known again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from listener.records import Post
from listener.sources.columns import cell, map_columns, nested_columns
from listener.sources.rows import Row, Rows
from listener.sources.values import read_date, read_rating
from listener.text import canonical_url, clean, fingerprint, from_html

if TYPE_CHECKING:
    from listener.sources.files import Settings

_KINDS = ("post", "comment", "review", "article")
_NO_PART = re.compile(r"(no (positive|negative)|nothing|none|n/?a|-+)?\.?", re.IGNORECASE)
# Google puts its translation before what the guest wrote, or after it.
_ORIGINAL = re.compile(r"\(Original\)\s*(?=\S)")
_TRANSLATION = re.compile(r"(?<=\S)\s*\(Translated by Google\).*", re.DOTALL)
# What SurveyMonkey writes below its questions.
_SECOND_HEAD = re.compile(r"(((Liked|Disliked): )?Open-Ended Response\s*)+", re.IGNORECASE)


_ROW_COUNTER = re.compile(r"[0-9]{1,6}")  # such an id may do no more than number the rows of its own export


@dataclass
class Reader:
    """Turns rows of one file into posts, one page after the other, and remembers which rows it has met."""

    settings: Settings
    source: str
    now: datetime
    table: Rows
    bare: bool = False  # short numbers are ids by themselves, as they were for a file that an earlier version began
    posts: list[Post] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    met: set[int] = field(default_factory=set)  # eight bytes of each fingerprint: files may have millions of rows
    again: Counter[int] = field(default_factory=Counter)  # how often beyond the first, for those met twice

    def __post_init__(self) -> None:
        self.zone: tzinfo = ZoneInfo(self.settings.timezone) if self.settings.timezone else UTC
        self.wanted = self.settings.wanted

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
            reason = values.flaw
        if reason:
            self.skipped[reason] += 1
            place = {"row": number, **({"sheet": row.sheet} if row.sheet else {}), "line": row.line}
            self.rejected.append({**place, "reason": reason, "raw": row.raw})
            return
        self.posts.append(values.post(self._identity(values)))
        self.skipped.update(values.doubts)

    def _identity(self, values: _Values) -> str:
        """The row's own id, a short number with its author and date, else a hash of what the row says, with a number
        from its second occurrence in the file on.
        """
        if values.flaw:
            return ""
        # What was written, not what it was read as: another setting for dates must not make other posts of them.
        author, date, *more = (values.raw(part).strip() for part in ("author", "date", "rating", "url"))
        if native := _clean(values.raw("id")):
            if (author or date) and not self.bare and _ROW_COUNTER.fullmatch(native):
                return f"{native}-{fingerprint(author, date)[:16]}"
            return native if len(native) <= 200 else fingerprint(native)
        mark = fingerprint(values.title, values.text, author, date, *more)
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

    def __init__(self, reader: Reader, cells: Mapping[str, Any]) -> None:
        self.reader = reader
        self.cells = cells
        names = reader.table.columns or nested_columns(cells)
        self.columns, self.preset = map_columns(names, reader.wanted.chosen, reader.wanted.preset)
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

    @property
    def flaw(self) -> str:
        """Why this cannot be a post, "" when it can."""
        if self.preset == "survey" and _SECOND_HEAD.fullmatch(self.text):
            return "second line of column names"
        return "" if self.text else "no text"

    def _text(self) -> str:
        parts = (("Liked", self._read("positive")), ("Disliked", self._read("negative")))
        both = "\n".join(f"{word}: {part}" for word, part in parts if not _NO_PART.fullmatch(part))
        text = self._read("text")
        if self.preset == "google":
            original = _ORIGINAL.search(text)
            text = text[original.end() :] if original else _TRANSLATION.sub("", text)
        return f"{text}\n{both}".strip()

    def post(self, native_id: str) -> Post:
        reader = self.reader
        date, rating = self.raw("date").strip(), self.raw("rating").strip()
        created = read_date(date, zone=reader.zone, dayfirst=reader.settings.dayfirst, now=reader.now)
        rated = read_rating(rating, *reader.settings.scale(self.preset, self.columns.get("rating", "")))
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
