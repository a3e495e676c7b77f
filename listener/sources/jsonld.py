"""The JSON-LD of a web page, as sites write it: several blocks, wrapped, commented, with commas too many."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from html import unescape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bs4 import BeautifulSoup

# A string, whole or torn; a comment of any kind; a comma before the end of a list. All but the strings is taken out.
_NOT_JSON = re.compile(
    r'"(?:[^"\\]++|\\.)*+"?|(?://\s*)?<!\[CDATA\[|(?://\s*)?\]\]>'
    r"|<!--.*?(?:-->|\Z)|/\*.*?(?:\*/|\Z)|//[^\n]*|,(?=\s*[}\]])",
    re.DOTALL,
)
_WRAPPED = re.compile(r"\s*<!--(.*)-->\s*", re.DOTALL)


def read_blocks(soup: BeautifulSoup) -> tuple[list[Any], list[str]]:
    """Every block of JSON-LD that can be read, and the text of those that cannot."""
    read: list[Any] = []
    unreadable: list[str] = []
    for script in soup.find_all("script", type=re.compile(r"^\s*application/ld\+json", re.IGNORECASE)):
        block = script.get_text()
        if not block.strip():
            continue
        for attempt in (lambda text: text, _repaired, lambda text: _repaired(unescape(text))):
            try:
                read.append(json.loads(attempt(block), strict=False))  # not strict: control characters in strings
                break
            except (ValueError, RecursionError):
                continue
        else:
            unreadable.append(block)
    return read, unreadable


def _repaired(block: str) -> str:
    """JSON as sites write it, without what JSON does not allow: wrappings, comments, commas too many."""
    wrapped = _WRAPPED.fullmatch(block)
    block = wrapped.group(1) if wrapped else block
    for _ in range(2):  # a comma may stand before a comment that stood before the bracket
        block = _NOT_JSON.sub(lambda found: found.group() if found.group().startswith('"') else "", block)
    return block


def nodes(roots: list[Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every object of nested JSON with the key it is found under, in document order, without recursion."""
    waiting: list[tuple[str, Any]] = [("", root) for root in reversed(roots)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            yield key, value
            waiting += [(inner, value[inner]) for inner in reversed(value)]
        elif isinstance(value, list):
            waiting += [(key, one) for one in reversed(value)]


def by_id(roots: list[Any]) -> dict[str, Mapping[str, Any]]:
    """The objects that others may refer to by their @id."""
    return {node["@id"]: node for _, node in nodes(roots) if isinstance(node.get("@id"), str) and len(node) > 1}
