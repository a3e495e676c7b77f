"""What can be configured: every table, key, default and limit, each with the sentence that explains it."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable
from datetime import time
from email.utils import parseaddr
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from listener.errors import ConfigError
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


def _seconds(every: object) -> float:
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd])\s*", every) if isinstance(every, str) else None
    if found is None:
        raise ValueError(f"{every!r} is not an interval: write a number and a unit, as '45s', '10m', '2h' or '1d'")
    return float(found[1]) * _SECONDS[found[2]]


def _interval(every: object) -> object:
    if not _SHORTEST_EVERY_S <= _seconds(every) <= _LONGEST_EVERY_S:
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


def _device(name: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", name):
        raise ValueError(f"{name!r} is not a device: write 'auto', 'cpu', 'cuda' or 'cuda:1'")
    return name


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


class BrandSettings(Settings):
    """A brand to listen for."""

    name: Name = Field(description="How the brand is called in trends and in the digest.")
    role: Literal["own", "competitor"] = Field("own", description="Whose brand it is: 'own' or 'competitor'.")
    aliases: list[Name] = Field([], description="Other spellings and product names that count as the brand.")
    query: str = Field(
        "",
        description="A query that replaces name and aliases when a plain name is ambiguous. Try it on stored posts "
        "with `listener brands test`.",
    )
    locales: list[str] = Field([], description="Languages to keep, as BCP 47 tags ('en', 'de-AT'); none keeps all.")


class SourceSettings(Settings):
    """A place to collect from. Keys that are not common to all kinds are kept in `options` for the kind to check."""

    name: Name = Field(description="Your name for the source; posts are stored under it, so do not change it later.")
    kind: str = Field(min_length=1, description="What kind of source it is; `listener sources kinds` tells them all.")
    enabled: bool = Field(True, description="false leaves the source out and keeps what was collected.")
    brand: str = Field("", description="Every post of this source belongs to this brand, named or not.")
    every: Every = Field("30m", description="How often to fetch, as '45s', '10m', '2h' or '1d'; at least 10 seconds.")
    keep_days: int | None = Field(
        None,
        ge=1,
        le=36_500,
        description="Days after which the words of its posts are erased and only counts stay; without it the "
        "keep_days of [privacy].",
        examples=[365],
    )
    keep: Literal["matched", "all", ""] = Field(
        "", description="'matched' keeps posts that name a brand, 'all' keeps everything; empty: as the kind does it."
    )
    options: dict[str, Any] = Field({}, description="The keys of the kind.")

    @model_validator(mode="before")
    @classmethod
    def _sort_keys(cls, table: Any) -> Any:
        if not isinstance(table, dict):
            return table
        common = {key: value for key, value in table.items() if key in cls.model_fields}
        own = {key: value for key, value in table.items() if key not in cls.model_fields}
        return {**common, "options": {**common.get("options", {}), **own}} if own else common

    @property
    def every_s(self) -> float:
        return _seconds(self.every)


class RecipientSettings(Settings):
    """A person who gets the digest."""

    email: Address = Field(description="Where the digest goes.")
    brands: list[str] = Field([], description="The brands this person hears of; none means all.")
    at: TimeOfDay = Field("07:30", description="When the digest of the day before is sent, local time.")
    timezone: Zone = Field("", description="This person's time zone; empty: the one at the top of this file.")
    cadence: Literal["daily"] = Field("daily", description="How often: 'daily'.")
    quiet: Literal["send", "skip"] = Field(
        "send", description="What to do on a day without posts: 'send' says so, 'skip' sends nothing."
    )


class MailSettings(Settings):
    """The server that takes the digest."""

    host: Line = Field("", description="The SMTP server; empty: no mail is sent.")
    port: int = Field(587, ge=1, le=65535, description="Its port: 587 with starttls, 465 with tls, 25 with none.")
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="How the connection is protected: 'starttls', 'tls' or 'none'."
    )
    username: str = Field("", description="The account on that server; empty: it asks for none.")
    password_env: str = Field("", description="The environment variable that holds the password.")
    password_file: FilePath | None = Field(
        None, description="Or the file that holds it, readable by the daemon alone.", examples=["mail-password"]
    )
    sender: AddressOrNone = Field("", description="Who the digest comes from, as 'Listener <listener@example.org>'.")
    timeout_s: float = Field(30, gt=0, le=600, description="Seconds to wait for the server.")
    ca_file: FilePath | None = Field(
        None, description="Certificates to trust instead of the system's, as PEM.", examples=["mail-ca.pem"]
    )

    @model_validator(mode="before")
    @classmethod
    def _no_literal_password(cls, table: Any) -> Any:
        if isinstance(table, dict) and "password" in table:
            raise ValueError(
                "a password does not belong in this file: put it into an environment variable and name that in "
                "password_env, or into a file of its own and name that in password_file"
            )
        return table

    @model_validator(mode="after")
    def _complete(self) -> MailSettings:
        if self.password_env and self.password_file:
            raise ValueError("password_env and password_file are both set: keep one of them")
        if self.host and not self.sender:
            raise ValueError("sender is missing: say who the digest comes from, as 'Listener <listener@example.org>'")
        return self

    def password(self) -> str:
        """The password, or "" when none is configured. Raises ConfigError when it is configured but not there."""
        if self.password_env:
            if self.password_env not in os.environ:
                raise ConfigError(f"[mail] password_env: the environment has no variable {self.password_env}; set it")
            return os.environ[self.password_env]
        if self.password_file is None:
            return ""
        try:
            return self.password_file.read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"[mail] password_file: {self.password_file} cannot be read: {error}") from error


class HeadSettings(Settings):
    """A head of the classifier that a local Hugging Face model judges."""

    folder: FilePath = Field(
        description="The model's folder: config.json, model.safetensors and the tokenizer's files.",
        examples=["models/my-roberta"],
    )
    labels: dict[str, str] = Field(
        {}, description="Its label = ours. Several may become one; a label named as ours needs no entry."
    )
    partial: bool = Field(
        False, description="true allows a model that cannot tell all of our labels; the others are then never found."
    )
    device: Annotated[str, AfterValidator(_device)] = Field(
        "auto", description="'cpu', 'cuda', 'cuda:1', or 'auto': the first GPU if there is one."
    )
    temperature: float = Field(
        1.0, gt=0, le=100, description="Divides the model's outputs: above 1 makes it less sure of itself."
    )
    threshold: float | None = Field(
        None, gt=0, lt=1, description="The probability from which on a touchpoint is named; without it 0.5."
    )


class ModelSettings(Settings):
    """The classifier."""

    folder: FilePath | None = Field(
        None, description="A model of your own; without it the released one is used.", examples=["models/mine"]
    )
    threads: int = Field(0, ge=0, le=1024, description="Processor threads to use; 0 means all cores.")
    abstain_below: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Verdicts less certain than this (0 to 1) go to review instead of being counted; without it the "
        "model's own threshold holds.",
        examples=[0.4],
    )
    knows: list[Language] | None = Field(
        None,
        description='The languages this model knows; without it those of its config.json ("languages"), else English. '
        "Posts in others are not judged.",
        examples=[["en"]],
    )
    languages: dict[Language, FilePath] = Field(
        {},
        description="Languages that have a model of their own, each with its folder: de = 'models/german'; see "
        "docs/configuration.md.",
    )
    heads: dict[Literal["moment", "sentiment", "touchpoints"], HeadSettings] = Field(
        {},
        description="What local Hugging Face models judge in that model's place, each in a table of its own, such as "
        "[model.heads.sentiment]; see docs/configuration.md.",
    )


class HttpSettings(Settings):
    """How servers are asked."""

    contact: Line = Field(
        "", description="A mail address or web page in the user agent, so that an operator can reach you."
    )
    timeout_s: float = Field(20, gt=0, le=600, description="Seconds without an answer before a request is given up.")
    deadline_s: float = Field(60, gt=0, le=3600, description="Seconds that one request may take in all.")
    max_bytes: int = Field(10_000_000, ge=1000, description="The largest reply that is read, in bytes.")
    gap_s: float = Field(1.0, ge=0, le=3600, description="Least seconds between two requests to one server.")
    allow_private: list[str] = Field(
        [],
        description="Servers inside your own network that may be asked, as 'host' or 'host:port'; '*' allows all.",
    )


class PrivacySettings(Settings):
    """What is kept of the people who wrote the posts."""

    authors: Literal["hash", "plain", "drop"] = Field(
        "hash", description="Authors' names: 'hash' keeps a keyed hash, 'plain' the name, 'drop' nothing."
    )
    keep_days: int | None = Field(
        None,
        ge=1,
        le=36_500,
        description="Days after which the words, author and address of a post are erased and only its counts stay; "
        "without it they are kept.",
        examples=[730],
    )
    key_file: FilePath | None = Field(
        None, description="The key of those hashes; made at first use, beside the database.", examples=["listener.key"]
    )


class LogSettings(Settings):
    """What the daemon tells while it runs."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="The least level that is told.")
    format: Literal["plain", "json"] = Field("plain", description="'plain' for people, 'json' for a log collector.")

    @field_validator("level", mode="before")
    @classmethod
    def _upper(cls, level: Any) -> Any:
        return level.upper() if isinstance(level, str) else level


class Config(Settings):
    """The whole configuration. `path` is the file it came from, None for the defaults."""

    model_config = ConfigDict(populate_by_name=True)

    path: Path | None = None
    named_database: Path | None = None  # by the command line, which outranks the file, at a reload too
    timezone: Zone = Field("", description="The time zone in which days begin and end; empty: the system's.")
    database: FilePath = Field(Path("data/listener.db"), description="Where everything is stored.")
    brands: list[BrandSettings] = Field([], alias="brand")
    sources: list[SourceSettings] = Field([], alias="source")
    recipients: list[RecipientSettings] = Field([], alias="recipient")
    mail: MailSettings = MailSettings()
    model: ModelSettings = ModelSettings()
    http: HttpSettings = HttpSettings()
    privacy: PrivacySettings = PrivacySettings()
    log: LogSettings = LogSettings()

    @cached_property
    def zone(self) -> ZoneInfo:
        """The zone of `timezone`, or the system's. Raises ConfigError when the system's cannot be told."""
        if self.timezone:
            return ZoneInfo(self.timezone)
        import tzlocal

        try:
            return ZoneInfo(tzlocal.get_localzone_name())
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ConfigError(f"the system's time zone cannot be told ({error}); set `timezone`") from error

    def source(self, name: str) -> SourceSettings:
        """The source of that name. Raises ConfigError when there is none."""
        for entry in self.sources:
            if entry.name == name:
                return entry
        raise ConfigError(
            f"there is no [[source]] called {name!r}{nearest(name, [each.name for each in self.sources])}"
        )

    def with_source(self, entry: SourceSettings) -> Config:
        """The same configuration with this source, in the place of one of the same name if there is one."""
        return self.model_copy(update={"sources": [*(each for each in self.sources if each.name != entry.name), entry]})

    def zone_of(self, recipient: RecipientSettings) -> ZoneInfo:
        """The zone in which this person's days end."""
        return ZoneInfo(recipient.timezone) if recipient.timezone else self.zone
