"""Excel workbooks (XLSX) as rows: every sheet that is shown, its column names found wherever they stand."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, time
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from listener.errors import Broken, Disabled
from listener.sources.columns import Wanted
from listener.sources.extents import TooLarge, measure
from listener.sources.rows import Row

if TYPE_CHECKING:
    from python_calamine import CalamineSheet, CalamineWorkbook

UNPACKED_CAP = 256 * 2**20  # bytes of all parts together
_PARTS = 10_000
_HEAD_ROWS = 20  # among which the column names are looked for
_EXACT = 2**53  # up to here a cell's number is a whole one
_REMEDY = "save the table as CSV (UTF-8) and import that"


def is_workbook(stream: BinaryIO) -> bool:
    """Whether an archive is an Excel workbook of XML parts."""
    try:
        return "xl/workbook.xml" in zipfile.ZipFile(stream).namelist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return False


def sheet_rows(path: Path, stream: BinaryIO, wanted: Wanted) -> Iterator[Row]:
    """The rows below the column names of each sheet, blank ones left out; then a row for each sheet without such names.

    Raises Disabled without the package that reads workbooks, and Broken for one that is damaged, too large, or has no
    sheet that can be read.
    """
    try:
        from python_calamine import CalamineWorkbook
    except ImportError as error:
        raise Disabled(
            f"{path}: workbooks need the package python-calamine; install it with "
            f"`pip install 'listener-daemon[xlsx]'`, or {_REMEDY}"
        ) from error
    with _reading(path):
        book = CalamineWorkbook.from_filelike(_plain_copy(stream))
    return _rows(path, book, wanted)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """What foreign bytes do to foreign parsers is a broken file, whatever it is called."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        raise
    except TooLarge as error:
        raise Broken(f"{path}: {error}; {_REMEDY}") from error
    except BaseException as error:  # a panic of Rust's is no Exception
        raise Broken(f"{path}: the workbook is damaged ({type(error).__name__}: {error}); save it anew") from error


def _plain_copy(stream: BinaryIO) -> BinaryIO:
    """The parts that matter, unpacked within bounds and measured, so that what is read later is what was looked at.

    Two cells in opposite corners of a sheet make calamine ask for 550 GB, which ends the process
    (github.com/tafia/calamine/issues/693).
    """
    archive = zipfile.ZipFile(stream)
    parts = [part for part in archive.infolist() if part.filename.lower().endswith((".xml", ".rels"))]
    if len(parts) > _PARTS or len({part.filename.lower() for part in parts}) < len(parts):
        raise ValueError("its parts hide each other")
    if sum(part.file_size for part in parts) > UNPACKED_CAP:
        raise TooLarge(f"a workbook of more than {UNPACKED_CAP // 2**20} MiB unpacked")
    copy = io.BytesIO()
    with zipfile.ZipFile(copy, "w") as plain:

        def unpacked() -> Iterator[bytes]:
            for part in parts:
                content = _content(archive, part)
                plain.writestr(part.filename, content)
                yield content

        measure(unpacked())
    copy.seek(0)
    return copy


def _content(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> bytes:
    """No more of a part than the size it states, which may be a lie."""
    if part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError("a part that is packed in an unusual way")
    with archive.open(part) as file:
        return b"".join(iter(lambda: file.read(2**20), b""))  # all at once would unpack first and then cut off


def _rows(path: Path, book: CalamineWorkbook, wanted: Wanted) -> Iterator[Row]:
    from python_calamine import SheetTypeEnum, SheetVisibleEnum

    unfit: list[Row] = []
    complaint = "no sheet of it holds anything"
    read = False
    for about in book.sheets_metadata:
        if about.typ != SheetTypeEnum.WorkSheet or about.visible != SheetVisibleEnum.Visible:
            continue
        with _reading(path):
            sheet = book.get_sheet_by_name(about.name)
        rows = _filled(path, sheet)
        first = list(islice(rows, _HEAD_ROWS))
        names = [tuple(str(cell).strip() for cell in row) for _, row in first]
        best = max(range(len(first)), key=lambda number: _rank(names[number], wanted), default=-1)
        if best < 0:
            continue
        if said := wanted.complaint(tuple(filter(None, names[best]))):
            complaint = f"sheet {about.name!r}: {said}" if not unfit else complaint
            unfit.append(Row(*first[best], {}, "sheet without a column for the text", sheet=about.name))
            continue
        read = True
        for line, row in chain(first[best + 1 :], rows):
            # Backwards, so that the first of two columns of one name counts.
            cells = {name: cell for name, cell in zip(reversed(names[best]), reversed(row), strict=True) if name}
            yield Row(line, row, cells, sheet=about.name)
    if not read:
        raise Broken(f"{path}: {complaint}")
    yield from unfit


def _rank(names: tuple[str, ...], wanted: Wanted) -> tuple[int, int]:
    """How well a row does as the one that names the columns."""
    fit = wanted.fit(tuple(filter(None, names)))
    return fit, 0 if fit else sum(map(bool, names))


def _filled(path: Path, sheet: CalamineSheet) -> Iterator[tuple[int, list[Any]]]:
    """The rows that hold something, with their number in the sheet."""
    rows = enumerate(sheet.iter_rows(), 1)
    while True:
        with _reading(path):  # a date beyond all time makes Rust panic, here
            line, row = next(rows, (0, []))
        if not line:
            return
        values = [_plain(cell) for cell in row]
        if any(value != "" for value in values):
            yield line, values


def _plain(cell: Any) -> str | int | float | bool:
    """A cell's value as JSON has it: dates in ISO 8601, whole numbers whole."""
    if isinstance(cell, date | time):
        return cell.isoformat()
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < _EXACT:
        return int(cell)
    return cell if isinstance(cell, str | int | float) else str(cell)
