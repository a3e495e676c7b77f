"""Rows of a file as they stand there: CSV and its kin, JSON, JSON Lines, plain or gzip, as a stream; XLSX."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import re
import zlib
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from listener.errors import Broken
from listener.sources.columns import Wanted

HEAD_BYTES = 65536  # what the encoding and the delimiter of a file are told from
JSON_CAP = 64 * 2**20  # bytes of a JSON document, unpacked: it is read whole, unlike every other kind
_LINE_CAP = 10 * 2**20  # characters; the rest of a longer line is left out
_RAW_CAP = 100_000  # characters of a row that are kept for the side file
_DELIMITERS = ",;\t|"
_LINES_SUFFIXES = (".jsonl", ".ndjson")
_UNDECODABLE = re.compile("[\udc80-\udcff]")  # how a byte that is no character comes out of "surrogateescape"
# Offices that a person would name a CSV: the remedy is to save it as one.
_OTHER_KINDS = {
    b"PK\x03\x04": "an archive, a spreadsheet other than XLSX, or a workbook that is damaged or packed",
    b"\xd0\xcf\x11\xe0": "an old Excel file, or one with a password",
    b"%PDF": "a PDF",
}


class Row(NamedTuple):
    """One record. `reason` is why it cannot be used; `closed` is False when the file ends before its line does."""

    line: int  # where it begins, counted from 1; the place in the list for a JSON array, the row of a sheet
    raw: Any
    cells: Mapping[str, Any]
    reason: str = ""
    closed: bool = True
    sheet: str = ""  # of a workbook


class Rows(NamedTuple):
    """The rows of one file, blank ones left out.

    `columns` is empty for JSON and for workbooks, where each row names its own.
    """

    columns: tuple[str, ...]
    rows: Iterator[Row]
    grows: bool  # new rows come at the end, so those read before keep their number


class _Line(NamedTuple):
    number: int
    text: str

    @property
    def closed(self) -> bool:
        return self.text.endswith(("\n", "\r"))


@contextmanager
def open_rows(path: Path, wanted: Wanted) -> Iterator[Rows]:
    """The rows of a file, to be read inside the `with`.

    Raises Broken for what is no table, or one whose columns cannot be read, Disabled where a package is missing, and
    OSError.
    """
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if packed else raw
        with _unpacking(path):
            head = stream.read(HEAD_BYTES)
            stream.seek(0)
            table = rows_of(path, stream, head, wanted, packed)
        yield table._replace(rows=_unpacked(path, table.rows))


def _unpacked(path: Path, rows: Iterator[Row]) -> Iterator[Row]:
    with _unpacking(path):
        yield from rows


@contextmanager
def _unpacking(path: Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Broken(f"{path}: the gzip file is cut off or damaged; copy it anew ({error})") from error


def rows_of(path: Path, stream: BinaryIO, head: bytes, wanted: Wanted, packed: bool) -> Rows:
    """The rows of an open file that was unpacked, where it was `packed`. `head` is its beginning, `path` its name: for
    messages, and for what its ending says.

    Raises Broken as `open_rows` does.
    """
    if head.startswith(b"PK\x03\x04") and not packed:
        from listener.sources.workbooks import is_workbook, sheet_rows

        if is_workbook(stream):
            return Rows((), sheet_rows(path, stream, wanted), grows=False)
    for magic, kind in _OTHER_KINDS.items():
        if head.startswith(magic):
            raise Broken(f"{path}: this is {kind}; save the table as CSV (UTF-8) and import that", head)
    encoding = _encoding(head)
    start = head.decode(encoding, "replace").lstrip()
    match _format(path, start):
        case "json":
            return Rows((), _json_rows(path, stream, encoding, head), grows=False)
        case "lines":
            return Rows((), _json_lines(_lines(stream, encoding, head)), grows=True)
    table = _csv_rows(path, _lines(stream, encoding, head), start, head)
    if table.columns and (said := wanted.complaint(table.columns)):
        raise Broken(f"{path}: {said}", head)
    return table


def _encoding(head: bytes) -> str:
    """UTF-16 and UTF-8 by their mark; else UTF-8 unless more of the head speaks against it than for it: cp1252."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    text = head.decode("utf-8-sig", "surrogateescape")
    if len(head) == HEAD_BYTES:
        text = text[:-3]  # it may end inside a character
    bad = len(_UNDECODABLE.findall(text))
    good = sum(not character.isascii() for character in text) - bad
    return "cp1252" if bad > good else "utf-8-sig"


def _format(path: Path, start: str) -> str:
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(_LINES_SUFFIXES):
        return "lines"
    if name.endswith((".csv", ".tsv")):
        return "csv"
    if not start.startswith(("[", "{")):
        return "json" if name.endswith(".json") else "csv"
    # JSON Lines often go by .json: there the first line is an object by itself, and another follows.
    first, _, rest = start.partition("\n")
    return "lines" if first.startswith("{") and rest.strip() and isinstance(_loads(first), dict) else "json"


def _loads(text: str | bytes) -> Any:
    """The value of a JSON text; the error itself when it cannot be read."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        return error


def _lines(stream: BinaryIO, encoding: str, head: bytes) -> Iterator[_Line]:
    """Lines with their ends. Bytes that are no characters come as lone surrogates, for the row to be turned down."""
    errors = "replace" if encoding == "utf-16" else "surrogateescape"
    text = io.TextIOWrapper(stream, encoding, errors, newline="")
    undecided = encoding == "utf-8-sig" and head.isascii()  # the first line beyond ASCII tells UTF-8 from cp1252
    legacy = False
    number = 0
    while line := text.readline(_LINE_CAP):
        number += 1
        if not line.endswith(("\n", "\r")):
            while (rest := text.readline(_LINE_CAP)) and not rest.endswith(("\n", "\r")):
                pass
            line += rest[-1:]
        if undecided and not line.isascii():
            undecided, legacy = False, bool(_UNDECODABLE.search(line))
        if legacy:
            line = line.encode("utf-8", "surrogateescape").decode("cp1252", "surrogateescape")
        yield _Line(number, line)


def _json_lines(lines: Iterator[_Line]) -> Iterator[Row]:
    for line in lines:
        raw = line.text.strip()
        if not raw:
            continue
        value = _loads(raw)
        if _UNDECODABLE.search(raw):
            reason = "undecodable"
        elif isinstance(value, Exception):
            reason = "not valid JSON"
        else:
            reason = "" if isinstance(value, dict) else "not a JSON object"
        yield Row(line.number, raw[:_RAW_CAP], {} if reason else value, reason, line.closed)


def _json_rows(path: Path, stream: BinaryIO, encoding: str, head: bytes) -> Iterator[Row]:
    content = stream.read(JSON_CAP + 1)
    if len(content) > JSON_CAP:
        cap = f"{JSON_CAP // 2**20} MiB"
        raise Broken(f"{path}: a JSON file of more than {cap}; use JSON Lines, one object a line", head)
    value = _loads(content.decode(encoding, "replace"))
    if isinstance(value, Exception):
        raise Broken(f"{path}: not valid JSON: {value}", head)
    while isinstance(value, dict):
        # "included" is what the entries of JSON:API refer to, as App Store Connect writes it.
        lists = {key: inner for key, inner in value.items() if isinstance(inner, list) and key != "included"}
        inside: list[Any] = list(lists.values()) or [inner for inner in value.values() if isinstance(inner, dict)]
        if len(inside) != 1:
            said = f"several lists ({', '.join(lists)})" if lists else "no list of posts"
            raise Broken(f"{path}: the JSON object holds {said}; leave one list in it, or use JSON Lines", head)
        value = inside[0]
    if not isinstance(value, list):
        raise Broken(f"{path}: the JSON file holds no list of posts", head)
    for number, item in enumerate(value, 1):
        fits = isinstance(item, dict)
        yield Row(number, item, item if fits else {}, "" if fits else "not a JSON object")


def _csv_rows(path: Path, lines: Iterator[_Line], start: str, head: bytes) -> Rows:
    delimiter = _delimiter(start)
    records = _records(lines, delimiter)
    header, fields = next(records, (None, []))
    if header and re.fullmatch(r"sep=.\s*", str(header.raw)):  # a first line that Excel writes for itself
        header, fields = next(records, (None, []))
    if header and header.reason:
        raise Broken(f"{path}: the first line, which names the columns, cannot be read: {header.reason}", head)
    columns = tuple(field.strip() for field in fields)

    def rows() -> Iterator[Row]:
        for row, fields in records:
            surplus = fields[len(columns) :]
            if row.reason:
                yield row
            elif len(fields) < len(columns) or any(surplus):
                yield row._replace(reason="wrong number of columns")
            else:
                # Backwards, so that the first of two columns of one name counts.
                cells = dict(zip(reversed(columns), reversed(fields[: len(columns)]), strict=True))
                yield row._replace(cells=cells)

    return Rows(columns, rows(), grows=True)


def _delimiter(start: str) -> str:
    """The character that cuts the first lines into the most columns, the same number in each."""
    sample = start[:16384].splitlines()[:20]
    if sample and (named := re.fullmatch(r"sep=(.)", sample[0].strip())):
        return named[1]

    def columns(delimiter: str) -> tuple[float, int]:
        try:
            widths = [len(fields) for fields in csv.reader(sample, delimiter=delimiter) if fields]
        except csv.Error:
            return 0.0, 0
        if not widths or widths[0] == 1:
            return 0.0, 0
        return widths.count(widths[0]) / len(widths), widths[0]

    best = max(_DELIMITERS, key=columns)
    return best if columns(best)[1] else "\x1f"  # one column: commas belong to the text


def _records(lines: Iterator[_Line], delimiter: str) -> Iterator[tuple[Row, list[str]]]:
    """Records and their fields, blank ones left out.

    A quotation mark that is never closed would swallow the rest of the file: its line alone is turned down, and
    those after it are read again. The csv module stops such a field at 131,072 characters, which bounds the work.
    """
    again: deque[_Line] = deque()
    taken: list[_Line] = []

    def feed() -> Iterator[str]:
        while (line := again.popleft() if again else next(lines, None)) is not None:
            taken.append(line)
            yield line.text

    reader = csv.reader(feed(), delimiter=delimiter)
    while True:
        taken.clear()
        fields: list[str] = []
        reason = ""
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            reason = "field too long" if "limit" in str(error) else "not valid CSV"
        if len(taken) > 1 and (reason or not _well_quoted(taken, delimiter)):
            reason = "unclosed quotation mark"
            again.extendleft(reversed(taken[1:]))
            del taken[1:]
            reader = csv.reader(feed(), delimiter=delimiter)
        raw = "".join(line.text for line in taken)
        if _UNDECODABLE.search(raw):
            reason = "undecodable"
        if reason or any(field.strip() for field in fields):
            yield Row(taken[0].number, raw.rstrip("\r\n")[:_RAW_CAP], {}, reason, taken[-1].closed), fields


def _well_quoted(lines: list[_Line], delimiter: str) -> bool:
    try:
        return len(list(csv.reader([line.text for line in lines], delimiter=delimiter, strict=True))) == 1
    except csv.Error:
        return False
