"""Alerts by hand: what was noticed, what is unusual now, and a trial to everybody who would be told."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from listener.cli.shared import as_json, common, say, table

if TYPE_CHECKING:
    from listener.config import Config


@click.command(short_help="What was unusual; what is so now; a trial alert.")
@click.option("--days", default=30, show_default=True, type=click.IntRange(1, 3660), help="How far to look back.")
@click.option("--now", "look", is_flag=True, help="Look now, as the daemon would, and note nothing.")
@click.option("--send", is_flag=True, help="Send a trial to all who are told of alerts.")
@click.option("--json", "json_", is_flag=True, help="Figures, cause and posts of every event, as JSON.")
@common
def alerts(config: Config, days: int, look: bool, send: bool, json_: bool) -> None:
    """Events that could not wait for the digest: since when, what, and whether they go on.

    The daemon looks once an hour; docs/alerts.md says how it decides.
    """
    from listener import alerting, trends
    from listener.alerts import notices
    from listener.daemon import now_utc
    from listener.tables import events

    now = now_utc()
    if send:
        _trial(config)
        return
    with closing(trends.open_reader(config.database, config.zone)) as reader:
        if look:
            found = alerting.unnoted(reader, config, now)
            if not found and not alerting.can_look(reader, config, now):
                say("No source has been asked for four weeks yet: what is usual cannot be told.")
        else:
            found = [event for event in events.since(reader, now - timedelta(days=days)) if event.brand]
        told = [notices.notice(reader, event, config.zone, now) for event in found]
    if json_:
        as_json([each.as_json() for each in told])
    elif told:
        _draw(config, told, now)
    else:
        say("Nothing unusual." if look else f"No alert in the last {days} days.")


def _draw(config: Config, told: list[Any], now: Any) -> None:
    from listener.wording import clock

    today = now.astimezone(config.zone).date()
    table(
        ["noticed", "what", "why", "over"],
        [
            [
                clock(each.event.noticed_at, today, config.zone),
                each.what,
                " ".join(each.why),
                clock(each.event.ended_at, today, config.zone) if each.event.ended_at else "goes on",
            ]
            for each in told
        ],
        whole=["noticed"],
        spare=["why"],
    )


def _trial(config: Config) -> None:
    from listener import alerting
    from listener.daemon import now_utc
    from listener.errors import ConfigError

    if not alerting.receivers(config):
        raise ConfigError("nobody is told of alerts: set alerts = true for a [[recipient]], or add a [[webhook]]")
    failed = False
    for name, error in alerting.trial(config, now_utc()):
        say(f"{name}: {error or 'sent'}")
        failed |= bool(error)
    if failed:
        raise click.exceptions.Exit(1)


COMMANDS = (alerts,)
