"""A tiny writer of Excel workbooks: what a test needs of the format, by hand, without a package that writes it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from xml.sax.saxutils import escape, quoteattr

Cell = str | int | float | bool | date | None
Sheet = Sequence[Sequence[Cell]]

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_DAY_AND_TIME, _DAY = 1, 2  # places in the list of formats below
_STYLES = f"""<styleSheet xmlns="{_MAIN}"><fonts count="1"><font/></fonts><fills count="1"><fill/></fills>
<borders count="1"><border/></borders><cellStyleXfs count="1"><xf/></cellStyleXfs>
<cellXfs count="3"><xf numFmtId="0"/><xf numFmtId="22"/><xf numFmtId="14"/></cellXfs></styleSheet>"""


def workbook(
    sheets: Mapping[str, Sheet], *, hidden: Iterable[str] = (), left: int = 0, parts: Mapping[str, str] | None = None
) -> bytes:
    """The sheets as XLSX, each shifted `left` columns to the right; `parts` replaces whole parts or adds some."""
    shared: dict[str, int] = {}
    written = {
        f"xl/worksheets/sheet{n}.xml": sheet_xml(rows, shared, left) for n, rows in enumerate(sheets.values(), 1)
    }
    written |= {
        "[Content_Types].xml": _content_types(len(sheets)),
        "_rels/.rels": _relationships({"rId1": ("officeDocument", "xl/workbook.xml")}),
        "xl/workbook.xml": _book(sheets, set(hidden)),
        "xl/_rels/workbook.xml.rels": _relationships(
            {f"rId{n}": ("worksheet", f"worksheets/sheet{n}.xml") for n in range(1, len(sheets) + 1)}
            | {"rIdS": ("styles", "styles.xml"), "rIdT": ("sharedStrings", "sharedStrings.xml")}
        ),
        "xl/styles.xml": _STYLES,
        "xl/sharedStrings.xml": shared_strings(shared),
    }
    return archive({**written, **(parts or {})})


def archive(parts: Mapping[str, str | bytes]) -> bytes:
    """The parts as a zip archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in parts.items():
            packed.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def sheet_xml(rows: Sheet, shared: dict[str, int], left: int = 0) -> str:
    """A sheet; strings are added to `shared`, a row without cells is left out as Excel leaves it out."""
    lines = []
    for number, row in enumerate(rows, 1):
        cells = [_cell(f"{letters(left + place)}{number}", value, shared) for place, value in enumerate(row)]
        if any(cells):
            lines.append(f'<row r="{number}">{"".join(cells)}</row>')
    return f'<worksheet xmlns="{_MAIN}"><sheetData>{"".join(lines)}</sheetData></worksheet>'


def shared_strings(strings: Iterable[str]) -> str:
    """The list of strings that cells point into."""
    items = "".join(f'<si><t xml:space="preserve">{escape(text)}</t></si>' for text in strings)
    return f'<sst xmlns="{_MAIN}">{items}</sst>'


def letters(column: int) -> str:
    """A column by its letters, 0 being A."""
    return (letters(column // 26 - 1) if column >= 26 else "") + chr(65 + column % 26)


def _cell(address: str, value: Cell, shared: dict[str, int]) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return f'<c r="{address}" t="b"><v>{value:d}</v></c>'
    if isinstance(value, date):
        style = _DAY_AND_TIME if isinstance(value, datetime) else _DAY
        return f'<c r="{address}" s="{style}"><v>{excel_days(value)!r}</v></c>'
    if isinstance(value, str):
        return f'<c r="{address}" t="s"><v>{shared.setdefault(value, len(shared))}</v></c>'
    return f'<c r="{address}"><v>{value!r}</v></c>'


def excel_days(moment: date) -> float:
    """A date as Excel counts it: days since 30 December 1899."""
    at = moment if isinstance(moment, datetime) else datetime(moment.year, moment.month, moment.day)
    return (at - datetime(1899, 12, 30)).total_seconds() / 86400


def _book(sheets: Iterable[str], hidden: set[str]) -> str:
    listed = ""
    for number, name in enumerate(sheets, 1):
        state = ' state="hidden"' if name in hidden else ""
        listed += f'<sheet name={quoteattr(name)} sheetId="{number}" r:id="rId{number}"{state}/>'
    return f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{listed}</sheets></workbook>'


def _relationships(targets: Mapping[str, tuple[str, str]]) -> str:
    listed = "".join(
        f'<Relationship Id="{ident}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for ident, (kind, target) in targets.items()
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{listed}</Relationships>'


def _content_types(sheets: int) -> str:
    kinds = {"workbook": "sheet.main", "styles": "styles", "sharedStrings": "sharedStrings"}
    listed = "".join(
        f'<Override PartName="/xl/{name}.xml" ContentType="{_XLSX}.{kind}+xml"/>' for name, kind in kinds.items()
    )
    listed += "".join(
        f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{_XLSX}.worksheet+xml"/>'
        for n in range(1, sheets + 1)
    )
    rels = "application/vnd.openxmlformats-package.relationships+xml"
    return f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" ContentType="{rels}"/>{listed}</Types>'
