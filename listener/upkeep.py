"""The operator's mail, apart from the digest: what fails is told once, again each week, and when it is mended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from listener import log, mail, pipeline, trends
from listener.alerts import notices
from listener.alerts.notices import Notice
from listener.config import Config
from listener.digest.lines import FAILING
from listener.errors import MailError, TakenOver
from listener.mail import delivery
from listener.migrations import stamp
from listener.reads import troubles
from listener.reads.troubles import Trouble
from listener.schedule import local_day
from listener.store import Store
from listener.tables import events, ledger
from listener.tables.events import Event
from listener.tables.ledger import DigestState
from listener.wording import clock, count, listed

CADENCE = "operator"
_WEEK = timedelta(weeks=1)
_FOOT = (
    "Listener writes this to its operator when something needs a hand: once, then every week until it is mended, and "
    "when it is. `listener doctor` looks at everything."
)
Batch = tuple[str, str, list[Event]]  # the period in the ledger, "new", "still" or "over", and what it is about


def look(store: Store, config: Config, now: datetime) -> None:
    """Notes what began to fail and what is mended."""
    if not config.operator.email:
        return
    with closing(trends.open_reader(store.path, config.zone)) as reader:
        found: dict[tuple[str, str, str], Trouble] = {
            (each.kind, "", each.about): each for each in troubles.find(reader, now)
        }
        known = {event.subject: event for event in events.going_on(reader) if event.kind in troubles.KINDS}
    if found.keys() == known.keys():
        return
    with store.writing(durable=True) as connection:
        for subject in sorted(found.keys() - known.keys()):
            each = found[subject]
            figures = {"state": each.state, "why": each.why, "remedy": each.remedy}
            events.begin(connection, (each.kind, "", each.about), each.since or now, figures, now)
            log.event("trouble", logging.WARNING, kind=each.kind, about=each.about, state=each.state)
        for subject in known.keys() - found.keys():
            events.end(connection, known[subject].id, now)
            log.event("trouble_over", kind=subject[0], about=subject[2])


def tell(
    store: Store, config: Config, clock: Callable[[], datetime], stop: Callable[[], bool] = bool
) -> list[tuple[str, DigestState]]:
    """Mails the operator what is to be told; what was noticed at once goes as one. Returns what was tried.

    As with digests, the ledger row is committed first, and a mail that may have been taken is not sent again.
    """
    to, now, tried = config.operator.email, clock(), []
    if not to:
        return []
    done = ledger.tries(store.connection, to, CADENCE)
    known = [event for event in events.since(store.connection, now - _WEEK) if event.kind in troubles.KINDS]
    for period, stage, batch in _due(known, now, done):
        if stop():
            break
        key = to, CADENCE, period
        if store.claim_digest(*key, now) != "send":
            continue
        try:
            state, detail = _mail(config, to, period, stage, batch, now, partial(store.hand_over_digest, *key, now))
        except TakenOver:
            continue
        store.mark_digest(*key, state, detail, clock())
        level = logging.INFO if state == "sent" else logging.ERROR
        log.event("operator_told", level, about=stage, state=state, error=detail if level == logging.ERROR else "")
        tried.append((period, state))
    return tried


def _due(known: Sequence[Event], now: datetime, done: dict[str, tuple[str, str]]) -> Iterator[Batch]:
    """What is to be told and was not. That something is over is told to who was told that it began."""
    told = {period: at for period, (state, at) in done.items() if state in ("sent", "unknown")}
    new: dict[str, list[Event]] = {}
    still: dict[str, list[Event]] = {}
    over: dict[str, list[Event]] = {}
    for event in sorted(known, key=lambda each: (each.noticed_at, each.id)):
        began = stamp(event.noticed_at)
        if event.ended_at is None:
            new.setdefault(began, []).append(event)
            if weeks := (now - event.noticed_at) // _WEEK:
                still.setdefault(f"{began} week {weeks}", []).append(event)
        elif began in told and told[began] < stamp(event.ended_at):
            over.setdefault(f"{stamp(event.ended_at)} over", []).append(event)
    for stage, batches in (("new", new), ("still", still), ("over", over)):
        yield from ((period, stage, batch) for period, batch in batches.items() if period not in told)


def _mail(
    config: Config, to: str, period: str, stage: str, batch: Sequence[Event], now: datetime,
    going: Callable[[], object],
) -> tuple[DigestState, str]:  # fmt: skip
    told = [_notice(event, stage, config.zone, now) for event in batch]
    names = [_name(event) for event in batch]
    shown = listed(names if len(names) < 4 else [*names[:2], f"{len(names) - 2} more"])
    what = {"new": "needs a hand", "still": "is still not mended", "over": "is well again"}[stage]
    if len(names) > 1:
        what = {"new": "need a hand", "still": "are still not mended", "over": "are well again"}[stage]
    rendered = notices.letter(f"Listener: {shown} {what}", told, _FOOT)
    day = local_day(now, config.zone)
    try:
        message = mail.compose(rendered, config.mail.sender or pipeline.NOBODY, to, day, CADENCE, now, period=period)
    except MailError as error:
        return "failed", str(error)
    name = f"operator-{stage}-{period[11:19].replace(':', '')}"  # the same, should it be written again
    return delivery.deliver(message, config.mail, pipeline.mail_folder(config, to), day, name, going)


def _name(event: Event) -> str:
    return {"source": event.about, "queue": "the queue of posts", "mail": "a mail"}[event.kind]


def _notice(event: Event, stage: str, zone: ZoneInfo, now: datetime) -> Notice:
    today = now.astimezone(zone).date()
    since = clock(event.began_at, today, zone)
    state, why, remedy = (str(event.found.get(key, "")) for key in ("state", "why", "remedy"))
    name = _name(event) if event.kind != "mail" else event.about
    if stage == "over":
        until = clock(event.ended_at or now, today, zone)
        return Notice(event, f"{name}: well again", (f"It failed from {since} to {until}: {why}",), ())
    told = {"failed": "could not be sent", "unknown": "may or may not have arrived", "waiting": "is not being judged"}
    what = f"{name}: {FAILING.get(state, told.get(state, state))} since {since}"
    weeks = (now - event.noticed_at) // _WEEK
    again = (f"Told {count(weeks, 'week')} ago.",) if stage == "still" else ()
    return Notice(event, what, (why, f"What to do: {remedy}.", *again), ())
