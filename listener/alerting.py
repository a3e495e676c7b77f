"""The verbs of alerts: look for what is unusual and note it, then tell everybody who wants to know, once each."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from listener import alerts, log, mail, pipeline, trends
from listener.alerts import Found, Rules, hours, notices
from listener.alerts.notices import Notice
from listener.config import Config, RecipientSettings, WebhookSettings
from listener.errors import MailError, SourceError, TakenOver
from listener.mail import delivery, webhooks
from listener.migrations import stamp
from listener.schedule import local_day
from listener.store import Store
from listener.tables import events
from listener.tables.events import Event
from listener.tables.ledger import DigestState

CADENCE = "alert"  # its place in the ledger of what was sent
SETTLED = timedelta(minutes=5)  # after a whole hour, for the verdicts on its last posts
OLD = timedelta(hours=24)  # an alert that could not be told for so long is no news any more
_HISTORY = timedelta(weeks=10)
_FOOT = "Listener writes this once for each event, when more is said than the same hours of earlier weeks explain."


@dataclass(frozen=True, slots=True)
class Receiver:
    """Somebody to be told: a person by mail, or a service."""

    name: str  # under which the ledger keeps what was told
    brands: tuple[str, ...]
    to: RecipientSettings | WebhookSettings

    def wants(self, event: Event) -> bool:
        return bool(event.brand) and (not self.brands or event.brand in self.brands)


def receivers(config: Config) -> list[Receiver]:
    """Everybody who is told of alerts."""
    people = [Receiver(each.email, tuple(each.brands), each) for each in config.recipients if each.alerts]
    services = [Receiver(f"webhook {each.name}", tuple(each.brands), each) for each in config.webhooks]
    return [*people, *services]


# --- look ------------------------------------------------------------------------------------------------------------


def rules(config: Config) -> Rules:
    chosen = config.alerts
    return Rules(chosen.false_alarms_per_month, chosen.least_posts, timedelta(seconds=chosen.cool_down_s))


def can_look(reader: sqlite3.Connection, config: Config, now: datetime) -> bool:
    """Whether there is history enough to tell what is usual."""
    return hours.frame(reader, now, config.zone) is not None


def unnoted(reader: sqlite3.Connection, config: Config, now: datetime) -> list[Event]:
    """What is unusual now, as events that nobody noted. Reads only."""
    found, _ = _find(reader, config, now)
    return [Event(0, *each.subject, each.began_at, now, None, each.figures) for each in found]


def _find(reader: sqlite3.Connection, config: Config, now: datetime) -> tuple[list[Found], list[Event]]:
    brands = [brand.name for brand in config.brands]
    known = [event for event in events.since(reader, now - _HISTORY) if event.brand]
    return alerts.find(reader, brands, now, config.zone, rules(config), known)


def look(store: Store, config: Config, now: datetime) -> int:
    """Looks at the last whole hour, unless that was done, and notes what began and what is over. How many began."""
    hour = stamp(now - SETTLED)[:13]
    if not config.alerts.enabled or events.looked(store.connection) == hour:
        return 0
    with closing(trends.open_reader(store.path, config.zone)) as reader:
        found, over = _find(reader, config, now - SETTLED)
    with store.writing(durable=True) as connection:
        begun = [each for each in found if events.begin(connection, each.subject, each.began_at, each.figures, now)]
        for event in over:
            events.end(connection, event.id, now)
        events.note_look(connection, hour)
    for each in begun:
        kind, brand, about = each.subject
        log.event("alert", kind=kind, brand=brand, about=about, seen=each.figures["seen"])
    for event in over:
        log.event("alert_over", kind=event.kind, brand=event.brand, about=event.about)
    return len(begun)


# --- tell ------------------------------------------------------------------------------------------------------------


def tell(
    store: Store, config: Config, clock: Callable[[], datetime], stop: Callable[[], bool] = bool
) -> list[tuple[str, DigestState]]:
    """Tells every receiver of the events it has not been told of; returns who was tried, and how that ended.

    What was noticed at one look goes out as one. The ledger row is committed before the message goes. A mail that may
    or may not have been taken is not sent again; a service is told again, since it can tell repeats by their id.
    """
    now, tried = clock(), []
    fresh = [event for event in events.since(store.connection, now - OLD) if event.noticed_at > now - OLD]
    for receiver in receivers(config):
        done = store.digest_periods(receiver.name, CADENCE)
        batches: dict[str, list[Event]] = {}
        for event in reversed(fresh):
            if receiver.wants(event):
                batches.setdefault(stamp(event.noticed_at), []).append(event)
        for period, batch in batches.items():
            ended = ("sent", "unknown") if isinstance(receiver.to, RecipientSettings) else ("sent",)
            if done.get(period) not in ended and not stop():
                state = _tell(store, config, receiver, period, batch, clock)
                tried += [(receiver.name, state)] if state else []
    return tried


def _tell(
    store: Store, config: Config, receiver: Receiver, period: str, batch: Sequence[Event],
    clock: Callable[[], datetime],
) -> DigestState | None:  # fmt: skip
    now, key = clock(), (receiver.name, CADENCE, period)
    by_mail = isinstance(receiver.to, RecipientSettings)
    if store.claim_digest(*key, now, repeatable=not by_mail) != "send":
        return None
    with closing(trends.open_reader(store.path, config.zone)) as reader:
        zone = config.zone_of(receiver.to) if isinstance(receiver.to, RecipientSettings) else config.zone
        told = [notices.notice(reader, event, zone, now) for event in batch]
    try:
        state, detail = _hand_over(config, receiver, period, told, now, partial(store.hand_over_digest, *key, now))
    except TakenOver:
        return None
    except Exception as error:
        # What could not be put into words was certainly not sent: the ledger says so, and the error goes on.
        store.mark_digest(*key, "failed", f"{type(error).__name__}: {error}", clock())
        raise
    store.mark_digest(*key, state, detail, clock())
    level = logging.INFO if state == "sent" else logging.ERROR
    log.event("alert_told", level, to=receiver.name, state=state, error=detail if level == logging.ERROR else "")
    return state


def _hand_over(
    config: Config, receiver: Receiver, period: str, told: Sequence[Notice], now: datetime,
    going: Callable[[], object] = bool,
) -> tuple[DigestState, str]:  # fmt: skip
    to = receiver.to
    if isinstance(to, RecipientSettings):
        return _mail(config, to, period, told, now, going)
    try:
        for each in told:
            if to.kind == "apprise":
                lines = [*each.why, *(f"{post.text} {post.url}".strip() for post in each.posts)]
                webhooks.pass_on(to, each.what, "\n".join(lines))
            else:
                payload = {"version": 1, "sent_at": now, "event": each.as_json()}
                webhooks.post(to, payload, config.http, now)
    except SourceError as error:
        return "failed", str(error)
    return "sent", ""


def _mail(
    config: Config, to: RecipientSettings, period: str, told: Sequence[Notice], now: datetime,
    going: Callable[[], object],
) -> tuple[DigestState, str]:  # fmt: skip
    day = local_day(now, config.zone_of(to))
    rendered = notices.letter(notices.subject(told), told, _FOOT)
    sender = config.mail.sender or pipeline.NOBODY
    try:
        message = mail.compose(rendered, sender, to.email, day, CADENCE, now, period=period)
    except MailError as error:
        return "failed", str(error)
    name = f"alert-{period[11:16].replace(':', '')}"
    return delivery.deliver(message, config.mail, pipeline.mail_folder(config, to.email), day, name, going)


def trial(config: Config, now: datetime) -> Iterator[tuple[str, str]]:
    """Sends everybody a notice that says it is a trial; yields (name, what went wrong or "")."""
    told = [notices.sample(config.brands[0].name if config.brands else "", now)]
    for receiver in receivers(config):
        state, detail = _hand_over(config, receiver, f"trial {stamp(now)}", told, now)
        yield receiver.name, "" if state == "sent" else detail
