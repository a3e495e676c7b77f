"""What a setting may be: paths, intervals, times, addresses, zones and languages, checked and explained."""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Iterable
from datetime import time
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from listener.language import LANGUAGES, base

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SHORTEST_EVERY_S = 10
_LONGEST_EVERY_S = 366 * 86400


def nearest(word: str, known: Iterable[str]) -> str:
    """ "The end of an error message: a guess at what was meant, or nothing when nothing is near enough."""
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return f"; did you mean {by_lower[near[0]]!r}?" if near else ""


def _beside(path: Path, info: ValidationInfo) -> Path:
    """Relative paths are relative to the configuration file, so that a daemon may be started from anywhere."""
    folder = (info.context or {}).get("folder")
    path = path.expanduser()
    return folder / path if folder else path


def _known_zone(name: str) -> str:
    if not name:
        return name
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        names = available_timezones()
        by_city = sorted(zone for zone in names if zone.rpartition("/")[2].lower() == name.lower().replace(" ", "_"))
        near = f"; did you mean {by_city[0]!r}?" if by_city else nearest(name, names)
        raise ValueError(f"there is no time zone {name!r}{near}") from error
    return name


def _dated(language: str) -> str:
    """A language that dates can be written in; for others than English babel has to be there."""
    if language == "en":
        return language
    try:
        from babel import Locale, UnknownLocaleError
    except ImportError as error:
        raise ValueError(
            f"dates in {language!r} need the package babel: pip install 'listener-daemon[dates]'"
        ) from error
    try:
        Locale.parse(language, sep="-")
    except (UnknownLocaleError, ValueError) as error:
        raise ValueError(f"there are no dates in {language!r}; write a language as 'de' or 'pt-BR'") from error
    return language


def _page(address: str) -> str:
    parts = urlsplit(address)
    if address and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment):
        raise ValueError(f"{address!r} is not the address of a page: write it as 'https://listener.example.org'")
    return address.rstrip("/")


def seconds(every: object) -> float:
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd])\s*", every) if isinstance(every, str) else None
    if found is None:
        raise ValueError(f"{every!r} is not an interval: write a number and a unit, as '45s', '10m', '2h' or '1d'")
    return float(found[1]) * _SECONDS[found[2]]


def _interval(every: object) -> object:
    if not _SHORTEST_EVERY_S <= seconds(every) <= _LONGEST_EVERY_S:
        raise ValueError(f"{every!r} is out of range: at least 10 seconds, at most 366 days")
    return every


def _time_of_day(at: object) -> object:
    if isinstance(at, time):  # TOML has times of its own: at = 07:30:00
        return at.strftime("%H:%M")
    found = re.fullmatch(r"\s*(\d{1,2}):(\d{2})\s*", at) if isinstance(at, str) else None
    if found is None or int(found[1]) > 23 or int(found[2]) > 59:
        raise ValueError(f"{at!r} is not a time of day: write it as '07:30'")
    return f"{int(found[1]):02}:{found[2]}"


def _address(email: str) -> str:
    plain = parseaddr(email)[1]
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", plain) or any(ord(letter) < 32 for letter in email):
        raise ValueError(f"{email!r} is not a mail address")
    return email


def device(name: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", name):
        raise ValueError(f"{name!r} is not a device: write 'auto', 'cpu', 'cuda' or 'cuda:1'")
    return name


def listening(at: str) -> str:
    host, _, port = at.rpartition(":")
    try:
        found = host == "localhost" or ipaddress.ip_address(host.strip("[]"))
        good = found and 0 < int(port) < 65536
    except ValueError:
        good = False
    if at and not good:
        raise ValueError(f"{at!r} is not an address to listen at: write it as '127.0.0.1:9477'")
    return at


def _language(code: str) -> str:
    if code not in LANGUAGES:
        by_name = {name.lower(): known for known, name in LANGUAGES.items()}
        meant = by_name.get(code.lower()) or base(code)  # "German" or "de-AT"
        remedy = f"did you mean {meant!r}?" if meant else f"there are: {', '.join(LANGUAGES)}"
        raise ValueError(f"{code!r} is not the code of a language that posts can be told apart by; {remedy}")
    return code


def _one_line(text: str) -> str:
    if any(ord(letter) < 32 for letter in text):
        raise ValueError("must be one line without control characters")
    return text


FilePath = Annotated[Path, AfterValidator(_beside)]
Zone = Annotated[str, AfterValidator(_known_zone)]
Every = Annotated[str, BeforeValidator(_interval)]
TimeOfDay = Annotated[str, BeforeValidator(_time_of_day)]
Address = Annotated[str, AfterValidator(_address)]
AddressOrNone = Annotated[str, AfterValidator(lambda email: email and _address(email))]
Line = Annotated[str, AfterValidator(_one_line)]
Language = Annotated[str, AfterValidator(_language)]
Name = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_one_line)]


class Settings(BaseModel):
    """What all tables have in common: unknown keys are refused, nothing changes after loading."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, str_strip_whitespace=True, allow_inf_nan=False
    )


Dates = Annotated[str, AfterValidator(_dated)]
PageAddress = Annotated[str, AfterValidator(_page)]
