"""Pure text work: markup off, white space even, canonical addresses, fingerprints, and what the model gets to read."""

from __future__ import annotations

import hashlib
import html
import re
import unicodedata
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

# Cc without tab and newline, lone surrogates, and the marks that turn text around or hide it (Cf).
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ud800-\udfff]"
)
_SPACES = re.compile(r"[^\S\n]+")
_BLANK_LINES = re.compile(r"\s*\n\s*")
_LINK = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
# Query parameters that say how a reader came, not what is read.
_TRACKING = re.compile(r"^(utm_\w+|fbclid|gclid|mc_[ce]id|igshid|ref_src|cmpid|yclid|msclkid)$", re.IGNORECASE)

_BLOCKS = frozenset(("br", "p", "div", "li", "tr", "blockquote", "h1", "h2", "h3", "h4", "pre"))
_UNREAD = frozenset(("script", "style", "noscript", "template"))


def clean(text: str) -> str:
    """Readable plain text: NFC, control and direction marks gone, runs of white space made one, lines kept.

    Zero-width joiners go too, which splits some emoji: the model reads their parts just as well.
    """
    if text.isascii() and text.isprintable():  # most posts: nothing to take out but double spaces
        return _SPACES.sub(" ", text).strip() if "  " in text else text.strip()
    text = _UNSEEN.sub("", unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n")))
    return _BLANK_LINES.sub("\n", _SPACES.sub(" ", text)).strip()


class _Reading:
    """Takes the parser's events and keeps what a person would read. No tree is built: see `from_html`."""

    def __init__(self) -> None:
        self._read: list[str] = []
        self._unread = 0  # how many <script> and the like we are inside of

    def start(self, tag: str, attributes: object) -> None:
        self._unread += tag in _UNREAD
        if tag in _BLOCKS:
            self._read.append("\n")

    def end(self, tag: str) -> None:
        self._unread -= tag in _UNREAD
        if tag in _BLOCKS:
            self._read.append("\n")

    def data(self, text: str) -> None:
        if not self._unread:
            self._read.append(text)

    def comment(self, text: str) -> None:
        pass

    def pi(self, target: str, text: str | None = None) -> None:
        pass

    def close(self) -> str:
        return "".join(self._read)


def from_html(markup: str) -> str:
    """The text a person would read in a fragment of HTML; blocks and <br> become lines, scripts and styles go.

    Plain text passes through unharmed, so this may be used where a field is one or the other.
    """
    if "<" not in markup:
        return clean(html.unescape(markup))
    from lxml import etree  # type: ignore[import-untyped]  # a slow import that plain text does not need

    # libxml2 reads any input in linear time; the parser of the standard library and trees of BeautifulSoup take
    # minutes for 250 kB of nothing but "<div>" or "<b ", which one hostile post could send.
    parser = etree.HTMLParser(target=_Reading(), encoding="utf-8", huge_tree=True)
    parser.feed(markup.replace("\x00", "").encode("utf-8", "ignore"))
    return clean(parser.close())


def canonical_url(url: str) -> str:
    """One spelling of an address: lower-case host, no fragment, no tracking parameters, no default port."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return ""
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        return ""
    scheme = parts.scheme.lower()
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if port and port != {"http": 80, "https": 443}[scheme]:
        host = f"{host}:{port}"
    query = urlencode([(k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if not _TRACKING.match(k)])
    return urlunsplit((scheme, host, parts.path or "/", query, ""))


def fingerprint(*parts: str) -> str:
    """32 hexadecimal digits that name these strings, in this order."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()


def model_input(title: str, text: str) -> str:
    """The string the model is trained on and scores: title and text on one line, addresses reduced to `http`."""
    joined = text if not title or text.startswith(title) else f"{title} {text}"
    read = clean(html.unescape(joined))
    if "://" in read or "www." in read.lower():  # the pattern looks at every letter, and most posts hold no address
        read = _LINK.sub("http", read)
    return " ".join(read.split())
