"""Who is told what: recipients of the digest, webhooks for alerts, the operator, and when there is an alert."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from listener.settings.fields import Address, AddressOrNone, Dates, Every, Name, Settings, TimeOfDay, Zone, seconds
from listener.settings.secrets import Secret

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class RecipientSettings(Settings):
    """A person who gets the digest."""

    email: Address = Field(description="Where the digest goes.")
    brands: list[str] = Field([], description="The brands this person hears of; none means all.")
    sources: list[str] = Field([], description="The sources whose posts this person hears of; none means all.")
    alerts: bool = Field(False, description="true also mails this person what cannot wait for the digest.")
    at: TimeOfDay = Field("07:30", description="When the digest of the day before is sent, local time.")
    timezone: Zone = Field("", description="This person's time zone; empty: the one at the top of this file.")
    dates: Dates = Field(
        "en", description="The language of its dates, as 'de' or 'pt-BR'; others than 'en' need the extra 'dates'."
    )
    cadence: Literal["daily", "weekly"] = Field("daily", description="How often: 'daily' or 'weekly'.")
    weekday: Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] = Field(
        "monday", description="The day on which a weekly digest is sent; it is about the seven days before."
    )
    quiet: Literal["send", "skip"] = Field(
        "send", description="What to do on a day without posts: 'send' says so, 'skip' sends nothing."
    )

    @property
    def days(self) -> int:
        """How many days a digest is of."""
        return 7 if self.cadence == "weekly" else 1

    @property
    def sent_on(self) -> int | None:
        """The weekday of a weekly digest, Monday 0; None for a daily one."""
        return WEEKDAYS.index(self.weekday) if self.cadence == "weekly" else None


class WebhookSettings(Settings):
    """A service that is told of alerts."""

    name: Name = Field(description="Your name for it; what it was told is remembered under it, so do not change it.")
    url: str | Secret = Field(
        description="Where the alert goes; an address that is a secret is kept elsewhere: { env = 'SLACK_URL' }.",
        examples=["https://example.org/listener"],
    )
    kind: Literal["json", "apprise"] = Field(
        "json",
        description="'json' posts the alert as JSON, signed; 'apprise' passes it on to Slack, Teams and others by an "
        "address of Apprise (extra 'alerts').",
    )
    secret: Secret | None = Field(
        None,
        description="The key that signs the JSON, so that its receiver knows who sent it.",
        examples=[{"env": "LISTENER_WEBHOOK_KEY"}],
    )
    brands: list[str] = Field([], description="The brands it hears of; none means all.")

    @model_validator(mode="after")
    def _signed(self) -> WebhookSettings:
        if self.kind == "json" and self.secret is None:
            raise ValueError(
                "secret is missing: the JSON is signed with it, so make a long random one and write "
                'secret = { env = "NAME" }'
            )
        if self.kind == "apprise" and isinstance(self.url, str):
            raise ValueError('an address of Apprise is a secret: write url = { env = "NAME" } or { file = "path" }')
        return self

    def address(self) -> str:
        """Raises Disabled where it is kept elsewhere and is not there."""
        return self.url if isinstance(self.url, str) else self.url.read(f"[[webhook]] {self.name} url")


class AlertSettings(Settings):
    """What cannot wait for the digest."""

    enabled: bool = Field(True, description="false looks for nothing unusual.")
    false_alarms_per_month: float = Field(
        1.0,
        gt=0,
        le=100,
        description="How many alerts a month may be mere chance, all brands together; more finds more, and sooner.",
    )
    least_posts: int = Field(5, ge=3, le=10_000, description="Fewer posts than this are no alert, however unusual.")
    cool_down: Every = Field("1d", description="How long after the end of an event the same is no event of its own.")

    @property
    def cool_down_s(self) -> float:
        return seconds(self.cool_down)


class OperatorSettings(Settings):
    """Who keeps Listener running and is told what fails; apart from the digest."""

    email: AddressOrNone = Field(
        "",
        description="Where it goes: sources that fail or fell silent, posts that wait too long; empty: nowhere.",
    )
