"""How much a workbook holds once it is read: told before anything makes room for it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any
from xml.parsers import expat

CELLS_CAP = 5_000_000  # of the rectangle around the cells of a sheet
TEXT_CAP = 256 * 2**20  # characters of all cells; one string may stand in many of them
_ADDRESS = re.compile(r"([A-Za-z]{1,9})(\d{1,9})")


class TooLarge(Exception):
    """It holds more than is read; the message says of what."""


def measure(parts: Iterable[bytes]) -> None:
    """Looks through the XML parts of a workbook, whichever of them its sheets may be.

    Raises TooLarge, and expat's error for what is not well-formed: another parser could see something else in it.
    """
    strings: dict[int, int] = {}
    used: Counter[int] = Counter()
    for part in parts:
        look = _Look()
        parser = expat.ParserCreate("utf-8")  # whatever the part says of itself: so it will be read
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = look.start, look.end
        parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = look.characters, look.doctype
        parser.Parse(part, True)
        used.update(look.used)
        for number, length in enumerate(look.strings):
            strings[number] = max(length, strings.get(number, 0))
    if sum(strings.get(number, 0) * times for number, times in used.items()) > TEXT_CAP:
        raise TooLarge(f"the cells of the workbook hold more than {TEXT_CAP // 2**20} million characters")


class _Look:
    """What stands in one part: shared strings by their length, or cells by their place and the strings they show."""

    def __init__(self) -> None:
        self.strings: list[int] = []
        self.used: Counter[int] = Counter()
        self.rows = self.columns = 0
        self._row = self._column = 0
        self._shared = self._in_value = False
        self._digits = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        match name.rpartition(":")[2]:
            case "row":
                self._row, self._column = int(attributes.get("r", self._row + 1)), 0
            case "c":
                self._place(attributes.get("r"))
                self._shared = attributes.get("t") == "s"
            case "v" | "is":  # without either the cell is but a format, and no room is made for it
                self._grow()
                self._in_value, self._digits = self._shared, ""
            case "si":
                self.strings.append(0)

    def end(self, name: str) -> None:
        if self._in_value and name.rpartition(":")[2] == "v":
            self._in_value = False
            self.used[int(self._digits)] += 1

    def characters(self, text: str) -> None:
        if self._in_value:
            self._digits += text[:12]
        elif self.strings:
            self.strings[-1] += len(text)

    def doctype(self, *_: Any) -> None:
        raise ValueError("a workbook declares no document type")

    def _place(self, address: str | None) -> None:
        if address is None:
            self._column += 1
            return
        found = _ADDRESS.fullmatch(address)
        if found is None:
            raise ValueError("a cell without an address that can be read")
        self._column = 0
        for letter in found[1].upper():
            self._column = self._column * 26 + ord(letter) - 64
        self._row = int(found[2])

    def _grow(self) -> None:
        self.rows, self.columns = max(self.rows, self._row), max(self.columns, self._column)
        if self.rows * self.columns > CELLS_CAP:
            raise TooLarge(
                f"a sheet of {self.rows:,} rows and {self.columns:,} columns, which is more than "
                f"{CELLS_CAP // 10**6} million cells"
            )
