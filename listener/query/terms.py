"""Finding one term in a text: case and accents folded, whole words, scripts without spaces, phrases, #tags, word's."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import cache
from itertools import accumulate, pairwise
from typing import NamedTuple

from listener.errors import QueryError
from listener.records import Post

# Scripts written without spaces between words, and Hangul, whose particles stick to the word.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"
)
_ANY_UNSPACED = re.compile(f"[{_UNSPACED}]")
_ASCII_WORD = re.compile(r"[0-9a-z]+")
_LOOSE = frozenset(" \t\n\r\f\v-_'\"*`\u00a0")  # what may stand between the words of a phrase without being asked for
_HEADS = "#@$."  # kept before a word, as in #acme or .net
_TAILS = "+#%$"  # kept after a word, as in c++ or canal+
_BETWEEN = "\n|\n"  # no phrase runs from the title into the text
_APART = 1000  # words, more than NEAR can ask for: it does not reach from the title into the text either

Span = tuple[int, int]  # in the folded text
Found = tuple[str, ...]  # what makes a query true, in the post's own spelling


class _Folding(dict[int, str]):
    """A table for str.translate that folds a character when it first meets it."""

    def __missing__(self, code: int) -> str:
        decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", chr(code)).casefold())
        # Classes 200-240 are accents, 10-36 Hebrew and Arabic vowel points. Others are letters' parts: the voicing
        # mark makes another kana, a Thai or Indic vowel sign another word.
        kept = "".join(c for c in decomposed if not (_is_accent(c) or unicodedata.category(c) == "Cf"))
        self[code] = unicodedata.normalize("NFC", kept)
        return self[code]


def _is_accent(character: str) -> bool:
    return 200 <= unicodedata.combining(character) <= 240 or 10 <= unicodedata.combining(character) <= 36


_FOLD = _Folding(
    str.maketrans(
        {
            **dict.fromkeys("™℠®©", " "),  # NFKD would make a word of them: acmetm
            **dict.fromkeys("‘’‚‛′ʼ", "'"), **dict.fromkeys("“”„«»", '"'), **dict.fromkeys("‐‑‒–—―−", "-"),
            "ø": "o", "Ø": "o", "ł": "l", "Ł": "l", "đ": "d", "Đ": "d", "ı": "i",
        }
    )
)  # fmt: skip


@cache
def _word() -> re.Pattern[str]:
    """Words of folded text outside ASCII. Combining marks belong to the word, which \\w does not know."""
    marks = "".join(chr(c) for c in range(0x300, 0x10000) if unicodedata.category(chr(c)).startswith("M"))
    marks = re.sub(f"[{_UNSPACED}]", "", marks)
    return re.compile(f"[{_UNSPACED}]+|(?:[^\\W_{_UNSPACED}]+|[{marks}]+)+")


def fold(text: str) -> str:
    """The text as it is compared: case and accents gone, white space even."""
    return " ".join(unicodedata.normalize("NFC", text).translate(_FOLD).split())


class Text:
    """A post whose title and text are folded and cut into words once, for all the queries put to it."""

    __slots__ = ("_ends", "_spans", "_steps", "_title", "folded", "post", "text", "vocabulary", "words")

    def __init__(self, post: Post) -> None:
        text = f"{post.title}{_BETWEEN}{post.text}" if post.title else post.text
        self.post = post
        self.text = text if text.isascii() else unicodedata.normalize("NFC", text)
        self.folded = text.lower() if text.isascii() else self.text.translate(_FOLD)
        self.words: list[str] = self._pattern().findall(self.folded)
        self.vocabulary = set(self.words)
        self._spans: list[Span] | None = None
        self._ends: list[int] | None = None
        self._steps: list[int] | None = None
        self._title: Text | None = None

    def _pattern(self) -> re.Pattern[str]:
        return _ASCII_WORD if self.folded.isascii() else _word()

    @property
    def spans(self) -> list[Span]:
        """Where each word stands in the folded text."""
        if self._spans is None:
            self._spans = [found.span() for found in self._pattern().finditer(self.folded)]
        return self._spans

    @property
    def title(self) -> Text:
        """The title alone. It is the beginning of the whole: what is found in it stands at the same place here."""
        if self._title is None:
            self._title = Text(Post("", "", self.post.title))
        return self._title

    def step(self, at: int) -> int:
        """How many words begin before this place. In writing without spaces every character is one."""
        if self._steps is None:
            self._steps = []
            for word, (start, end) in zip(self.words, self.spans, strict=True):
                self._steps += range(start, end) if _ANY_UNSPACED.match(word) else (start,)
        behind_the_title = self.post.title and at > len(self.title.folded)
        return bisect_left(self._steps, at) + (_APART if behind_the_title else 0)

    def spelling(self, start: int, end: int) -> str:
        """The characters of the text that were folded into [start, end)."""
        if self.text.isascii():
            return self.text[start:end]
        if self._ends is None:
            self._ends = list(accumulate(len(_FOLD[ord(c)]) for c in self.text))
        first, last = bisect_right(self._ends, start), bisect_right(self._ends, end - 1)
        return self.text[first : last + 1]


class _Form(NamedTuple):
    """One way to write a term: folded words, and what must stand between, before and after them."""

    words: tuple[str, ...]
    gaps: tuple[str, ...]  # len(words) - 1; "" is any loose gap
    head: str = ""
    tail: str = ""
    prefix: bool = False  # the last word may go on
    tag: bool = False  # only right after # or @

    def occurrences(self, text: Text) -> Iterator[Span]:
        last = len(self.words) - 1
        whole = self.words[:last] if self.prefix else self.words
        if not text.vocabulary.issuperset(whole):
            return
        first = self.words[0]
        for at, word in enumerate(text.words):
            if (word == first or (self.prefix and last == 0 and word.startswith(first))) and self._stands(text, at):
                yield text.spans[at][0] - len(self.head), text.spans[at + last][1] + len(self.tail)

    def _stands(self, text: Text, at: int) -> bool:
        last = at + len(self.words) - 1
        if last >= len(text.words):
            return False
        for offset, wanted in enumerate(self.words[1:], 1):
            found = text.words[at + offset]
            if found != wanted and not (self.prefix and at + offset == last and found.startswith(wanted)):
                return False
        spans, folded = text.spans, text.folded
        for offset, gap in enumerate(self.gaps):
            if _strict(folded[spans[at + offset][1] : spans[at + offset + 1][0]]) != gap:
                return False
        start, end = spans[at][0], spans[last][1]
        if self.tag and folded[start - 1 : start] not in ("#", "@"):
            return False
        return folded.endswith(self.head, 0, start) and folded.startswith(self.tail, end)


class _Substring(NamedTuple):
    """A term in a script without spaces: found anywhere, but an end in Latin letters still ends a word."""

    folded: str

    def occurrences(self, text: Text) -> Iterator[Span]:
        start = text.folded.find(self.folded)
        while start >= 0:
            end = start + len(self.folded)
            if not (_joined(text.folded, start) or _joined(text.folded, end)):
                yield start, end
            start = text.folded.find(self.folded, start + 1)


def _joined(folded: str, at: int) -> bool:
    """Whether position `at` lies inside a word of a script with spaces."""
    pair = folded[at - 1 : at + 1] if at else ""
    return len(pair) == 2 and pair.isalnum() and not _ANY_UNSPACED.search(pair)


def _strict(gap: str) -> str:
    return "".join(c for c in gap if c not in _LOOSE)


class Term(NamedTuple):
    forms: tuple[_Form | _Substring, ...]

    def match(self, text: Text) -> Found | None:
        """The term as the text spells it where it first stands; None when it is not there."""
        for form in self.forms:
            for span in form.occurrences(text):
                return (text.spelling(*span),)
        return None

    def occurrences(self, text: Text) -> list[Span]:
        """Every place where it stands, in order."""
        return sorted({span for form in self.forms for span in form.occurrences(text)})


def read_term(query: str, start: int, end: int) -> Term:
    """Every way to write the term that stands in query[start:end]."""
    written = unicodedata.normalize("NFC", query[start:end]).translate(_FOLD).strip()
    prefix = written.endswith("*")
    written = written.rstrip("*").rstrip()
    found = list(_word().finditer(written))
    if not found:
        raise QueryError('a term needs a letter or a digit; a name like "H & M" goes in quotes', query, start)
    if _ANY_UNSPACED.search(written):
        return Term((_Substring(written),))
    words = tuple(word.group() for word in found)
    between = [written[a.end() : b.start()] for a, b in pairwise(found)]
    gaps = tuple(map(_strict, between))
    # Only a mark that touches the word counts: "Acme!" and "(Acme)" are acme, "C++" and "#acme" are not c and acme.
    head, tail = written[: found[0].start()][-1:], written[found[-1].end() :]
    head = head if head and head in _HEADS else ""
    tail = tail if tail and not tail.strip(_TAILS) else ""
    forms = [_Form(words, gaps, head, tail, prefix)]
    if with_and := _spelt_and(words, gaps):
        forms.append(_Form(*with_and, head, tail, prefix))
    if len(words) > 1 and not head and not tail:
        anywhere = set(between) == {"'"}  # McDonald's is also written McDonalds
        forms += [_Form(("".join(form.words),), (), prefix=prefix, tag=not anywhere) for form in tuple(forms)]
    return Term(tuple(forms))


def _spelt_and(words: tuple[str, ...], gaps: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """The phrase with "&" for "and", or the other way round; None when it has neither."""
    if "&" in gaps:
        pairs = [(word, gap) for word, gap in zip(words, (*gaps, ""), strict=True)]
        longer = [piece for word, gap in pairs for piece in ((word, "and") if gap == "&" else (word,))]
        wider = [piece for gap in gaps for piece in (("", "") if gap == "&" else (gap,))]
        return tuple(longer), tuple(wider)
    if "and" in words[1:-1] and not any(gaps):
        kept = [i for i, word in enumerate(words) if word != "and" or i in (0, len(words) - 1)]
        return tuple(words[i] for i in kept), tuple("&" if b - a > 1 else "" for a, b in pairwise(kept))
    return None
