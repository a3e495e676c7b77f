"""Which column holds what: presets of known exports, and guesses by name."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

FIELDS = (
    "id", "text", "title", "author", "date", "rating", "url", "lang", "brand", "kind", "positive", "negative",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Preset:
    """An export that is known: its names of the columns, most telling first, and the scale of its ratings.

    A name that ends in * stands for all that begin so: the columns of a survey are its questions.
    """

    names: Mapping[str, tuple[str, ...]]
    worst: float = 1.0
    best: float = 5.0


# Names without case, accents, spaces and marks: "Review Text", "review_text" and "reviewText" are one.
_GENERIC = {
    "id": ("id", "reviewid", "postid", "commentid", "tweetid", "nativeid", "uuid", "guid", "recommendationid"),
    "text": (
        "text", "reviewtext", "reviewbody", "body", "content", "reviewcontent", "comment", "reviewcomment", "message",
        "review", "fulltext", "tweet", "selftext", "post", "feedback", "description", "kommentar", "bewertungstext",
        "commentaire", "avis", "comentario", "recensione", "comments",
    ),
    "title": ("title", "reviewtitle", "headline", "reviewheadline", "subject", "summary", "titel", "titre", "titulo"),
    "author": (
        "author", "authorname", "user", "username", "reviewer", "reviewername", "guestname", "customername", "customer",
        "displayname", "nickname", "handle", "autor", "auteur",
    ),
    "date": (
        "date", "createdat", "created", "createdutc", "createddate", "createtime", "reviewdate", "datetime",
        "published", "publishedat", "publisheddate", "datepublished", "postedat", "submitted", "submittedat",
        "timestamp", "timestampcreated", "time", "at", "updated", "datum", "fecha", "data",
    ),
    "rating": (
        "rating", "stars", "starrating", "reviewrating", "reviewstars", "reviewscore", "overallrating", "score",
        "bewertung", "sterne",
    ),
    "url": ("url", "link", "permalink", "reviewurl", "reviewlink", "href", "sourceurl"),
    "lang": ("lang", "language", "languagecode", "reviewlanguage", "locale", "sprache"),
    "brand": ("brand", "brandname"),
    "kind": ("kind",),
}  # fmt: skip

_SURVEY = {
    "id": ("respondentid", "responseid", "submissionid", "participantid"),
    "text": (
        "openendedresponse", "whatistheprimaryreason*", "whatisthemainreason*", "primaryreason*", "reasonforyour*",
        "whydidyou*", "whyisthat*", "pleasetellus*", "doyouhaveany*", "anyother*", "additional*", "verbatim*",
        "freitext*", "anmerkung*", "comments*",
    ),
    "positive": ("whatdidyoulike*", "whatdidyouenjoy*", "whatwentwell*", "whatdowedowell*"),
    "negative": (
        "whatdidyoudislike*", "whatdidyounotlike*", "whatcouldwe*", "whatcanwe*", "whatshouldwe*", "howcanwe*",
        "howcouldwe*",
    ),
    "date": ("submitdate*", "datesubmitted", "enddate", "completedat", "recordeddate", "zeitstempel"),
    "rating": (
        "nps", "npsscore", "netpromoterscore", "howlikely*", "csat", "csatscore", "overallsatisfaction*",
        "satisfaction", "howsatisfied*", "howwouldyourate*",
    ),
}  # fmt: skip

PRESETS = {
    "generic": Preset({}),
    "appstore": Preset(  # what App Store Connect gives: /v1/apps/ID/customerReviews
        {
            "id": ("id", "reviewid"),
            "title": ("attributestitle",),
            "text": ("attributesbody",),
            "author": ("attributesreviewernickname", "reviewernickname"),
            "date": ("attributescreateddate",),
            "rating": ("attributesrating",),
        }
    ),
    "booking": Preset(
        {
            "id": ("reservationnumber", "bookingnumber"),
            "title": ("reviewtitle",),
            "author": ("guestname", "reviewername"),
            "positive": ("positivereview", "reviewpositive", "liked", "pros", "positive"),
            "negative": ("negativereview", "reviewnegative", "disliked", "cons", "negative"),
            "rating": ("reviewscore", "reviewerscore", "score"),
        },
        best=10.0,
    ),
    "google": Preset(
        {
            "id": ("reviewid", "name"),
            "text": ("comment",),
            "author": ("reviewerdisplayname",),
            "rating": ("starrating",),
            "date": ("createtime",),
        }
    ),
    "survey": Preset(_SURVEY),
    "tripadvisor": Preset(
        {
            "id": ("reviewid",),
            "text": ("reviewtext", "fullreview"),
            "author": ("userusername", "membername", "reviewername"),
            "date": ("publisheddate", "reviewdate", "datepublished"),  # not that of the visit
            "rating": ("bubblerating", "bubbles", "overallrating"),
            "url": ("reviewurl", "url"),
        }
    ),
    "trustpilot": Preset(
        {
            "id": ("reviewid",),
            "text": ("reviewcontent", "reviewtext"),
            "author": ("reviewusername", "consumername", "consumerdisplayname"),
            "date": ("reviewcreatedutc", "reviewcreateddateutc", "reviewcreateddate", "experiencedate"),
            "rating": ("reviewstars", "stars"),
            "lang": ("reviewlanguage",),
        }
    ),
}


_RECOMMEND = re.compile("nps|netpromoter|likely.*recommend")  # asked on 0 to 10, whoever asks


def plain(name: str) -> str:
    """A column name as presets and guesses know it: letters and digits only, no case, no accents."""
    folded = unicodedata.normalize("NFKD", name.casefold())
    return "".join(character for character in folded if character.isalnum())


@lru_cache(maxsize=1024)
def map_columns(
    columns: tuple[str, ...], chosen: tuple[tuple[str, str], ...], preset: str
) -> tuple[dict[str, str], str]:
    """Field -> column, and the preset in use: what the person chose, then the preset's names, then the usual ones.

    `preset` "" is guessed by the columns that only one export has, such as a good and a bad part: Booking's.
    """
    by_plain: dict[str, str] = {}
    for column in columns:
        by_plain.setdefault(plain(column), column)
    preset = preset or _guess(by_plain)
    names = PRESETS[preset].names
    found = {}
    for field in FIELDS:
        for name in (*names.get(field, ()), *_GENERIC.get(field, ())):
            if column := _named(name, by_plain):
                found[field] = column
                break
    if preset != "survey" and ("positive" in found or "negative" in found):  # a survey has all three
        found.pop("text", None)
    return {**found, **dict(chosen)}, preset


def _named(name: str, by_plain: Mapping[str, str]) -> str:
    if not name.endswith("*"):
        return by_plain.get(name, "")
    return next((column for known, column in by_plain.items() if known.startswith(name[:-1])), "")


# Columns that only one export has; Booking's, a good and a bad part, must both be there.
_TELLING = {
    "trustpilot": (*PRESETS["trustpilot"].names["author"], "reviewcreatedutc", "reviewcreateddateutc"),
    "appstore": PRESETS["appstore"].names["author"],
    "google": ("reviewerdisplayname",),
    "tripadvisor": ("bubblerating", "userusername"),
    "survey": ("respondentid", "responseid", "nps", "npsscore", "netpromoterscore", "howlikelyareyoutorecommend*"),
}


def _guess(by_plain: Mapping[str, str]) -> str:
    booking = PRESETS["booking"].names
    if all(any(name in by_plain for name in booking[part]) for part in ("positive", "negative")):
        return "booking"
    return next((preset for preset, names in _TELLING.items() if any(_named(n, by_plain) for n in names)), "generic")


def usual_scale(preset: str, column: str = "") -> tuple[float, float]:
    """Worst and best rating of an export, where nobody says otherwise. `column` is the one that holds the rating."""
    if preset == "survey" and _RECOMMEND.search(plain(column)):
        return 0.0, 10.0
    return PRESETS[preset].worst, PRESETS[preset].best


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person says of the columns: which field is which, and whose export it is."""

    chosen: tuple[tuple[str, str], ...]
    preset: str

    def complaint(self, columns: tuple[str, ...]) -> str:
        """Why a table of these columns cannot be read; "" when it can."""
        # Without a header row these are a post's own words: enough to tell them by, and no more, goes into messages.
        there = ", ".join(name if len(name) <= 40 else f"{name[:20]}..." for name in columns)[:500]
        for _, column in self.chosen:
            if column not in columns:
                return f"there is no column {column!r}; there are: {there}"
        if not self._fields(columns) & {"text", "title", "positive", "negative"}:
            return (
                f"no column of it is known to hold the text; there are: {there}; "
                'name it in the settings: columns = {text = "..."}'
            )
        return ""

    def fit(self, columns: tuple[str, ...]) -> int:
        """How many fields the columns would fill; 0 when they cannot hold posts."""
        return 0 if self.complaint(columns) else len(self._fields(columns))

    def _fields(self, columns: tuple[str, ...]) -> set[str]:
        return set(map_columns(columns, self.chosen, self.preset)[0])


def nested_columns(cells: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns of a JSON row: its keys, and `key.inner` for the keys of an object inside."""
    inner = (f"{key}.{name}" for key, value in cells.items() if isinstance(value, dict) for name in value)
    return (*cells, *inner)


def cell(cells: Mapping[str, Any], column: str | None) -> str:
    """The value of a column as text, "" when it is absent, empty or no single value. `a.b` looks into objects."""
    if column is None:
        return ""
    value: Any = cells.get(column)
    if value is None and "." in column:
        value = cells
        for key in column.split("."):
            value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""
