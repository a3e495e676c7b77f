"""What can be configured: every table, key, default and limit, each with the sentence that explains it."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, ConfigDict, Field, field_validator, model_validator

from listener.errors import ConfigError
from listener.settings.fields import Address as Address
from listener.settings.fields import AddressOrNone as AddressOrNone
from listener.settings.fields import Every as Every
from listener.settings.fields import FilePath as FilePath
from listener.settings.fields import Language as Language
from listener.settings.fields import Line as Line
from listener.settings.fields import Name as Name
from listener.settings.fields import PageAddress as PageAddress
from listener.settings.fields import Settings as Settings
from listener.settings.fields import TimeOfDay as TimeOfDay
from listener.settings.fields import Zone as Zone
from listener.settings.fields import device as known_device
from listener.settings.fields import listening, seconds
from listener.settings.fields import nearest as nearest
from listener.settings.receivers import AlertSettings as AlertSettings
from listener.settings.receivers import OperatorSettings as OperatorSettings
from listener.settings.receivers import RecipientSettings as RecipientSettings
from listener.settings.receivers import WebhookSettings as WebhookSettings


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
        return seconds(self.every)


class MailSettings(Settings):
    """The server that takes the digest."""

    via: Literal["smtp", "sendmail", "files", ""] = Field(
        "",
        description="How a mail leaves: 'smtp' to the server below, 'sendmail' through that program of the system, "
        "'files' into a folder; empty: smtp where host is set, else files.",
    )
    sendmail: FilePath = Field(Path("/usr/sbin/sendmail"), description="The program, for via = 'sendmail'.")
    folder: FilePath | None = Field(
        None, description="The folder, for 'files'; without it `digests` beside the database.", examples=["digests"]
    )
    host: Line = Field("", description="The SMTP server.")
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
    page: PageAddress = Field(
        "",
        description="Where readers reach the page of `listener serve`; the digest links to it. Empty: no links.",
        examples=["https://listener.example.org"],
    )
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
        if self.via == "smtp" and not self.host:
            raise ValueError("host is missing: via = 'smtp' needs the name of a mail server")
        if (self.host or self.via == "sendmail") and not self.sender:
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
    device: Annotated[str, AfterValidator(known_device)] = Field(
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


class HealthSettings(Settings):
    """Where other programs may ask how the daemon fares."""

    listen: Annotated[str, AfterValidator(listening)] = Field(
        "",
        description="The address that answers /health (JSON) and /metrics (Prometheus), as '127.0.0.1:9477'; empty: "
        "none does.",
        examples=["127.0.0.1:9477"],
    )


class Config(Settings):
    """The whole configuration. `path` is the file it came from, None for the defaults."""

    model_config = ConfigDict(populate_by_name=True)

    path: Path | None = None
    named_database: Path | None = None  # by the command line, which outranks the file, at a reload too
    names_model: bool = False  # the file has a [model] folder, which outranks `listener models use`
    timezone: Zone = Field("", description="The time zone in which days begin and end; empty: the system's.")
    database: FilePath = Field(Path("data/listener.db"), description="Where everything is stored.")
    brands: list[BrandSettings] = Field([], alias="brand")
    sources: list[SourceSettings] = Field([], alias="source")
    recipients: list[RecipientSettings] = Field([], alias="recipient")
    webhooks: list[WebhookSettings] = Field([], alias="webhook")
    alerts: AlertSettings = AlertSettings()
    operator: OperatorSettings = OperatorSettings()
    mail: MailSettings = MailSettings()
    model: ModelSettings = ModelSettings()
    http: HttpSettings = HttpSettings()
    privacy: PrivacySettings = PrivacySettings()
    log: LogSettings = LogSettings()
    health: HealthSettings = HealthSettings()

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
