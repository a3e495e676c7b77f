"""The digest by hand: shown, written to files, or sent."""

from __future__ import annotations

from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from listener.cli.shared import DAY, common, say

if TYPE_CHECKING:
    from listener.config import Config


@click.command(short_help="Shows, writes or mails the digest of one day.")
@click.option("--date", "day", type=DAY, metavar="DAY", help="The local day it is about; else yesterday.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Write it there as .eml, .html and .txt.")
@click.option(
    "--send", is_flag=True, help="Mail it to the configured recipients, once each: who has it gets no second one."
)
@click.option(
    "--to", multiple=True, metavar="ADDRESS", help="Mail a trial copy there instead; it does not count as sent."
)
@common
def digest(config: Config, day: date | None, out: Path | None, send: bool, to: tuple[str, ...]) -> None:
    """The digest of one local day: printed, written to files (--out), or sent (--send)."""
    from listener import digest as digests
    from listener import mail, pipeline
    from listener.daemon import now_utc
    from listener.errors import ConfigError
    from listener.mail import delivery

    if out and (send or to):
        raise click.UsageError("--out writes the digest to files, --send and --to mail it: give one of them")
    now = now_utc()
    today = now.astimezone(config.zone).date()
    day = day or today - timedelta(days=1)
    if day > today:
        raise click.BadParameter(f"{day} has not come yet", param_hint="--date")
    if (to and delivery.way(config.mail) == "files") or (send and not (config.mail.host or config.mail.via)):
        raise ConfigError("[mail] host is not set, so nothing can be sent; --out DIR writes the digest to files")
    if send and not to:
        _send_to_all(config, day)
        return
    if out is not None:
        for path in pipeline.digest_files(config, day, now, out):
            click.echo(path)
        return
    rendered = digests.render(pipeline.build_digest(config.database, config, None, day, now))
    if to:
        for address in to:
            delivery.send(mail.compose(rendered, config.mail.sender, address, day, "trial", now), config.mail)
            say(f"{address}: sent")
    else:
        click.echo(rendered.text)


def _send_to_all(config: Config, day: date) -> None:
    from listener import pipeline
    from listener.daemon import now_utc
    from listener.errors import ConfigError
    from listener.schedule import local_day, period_of

    if not config.recipients:
        raise ConfigError(
            "no [[recipient]] is configured, so there is nobody to send to; --to ADDRESS sends a trial copy"
        )
    for recipient in config.recipients:
        if day >= local_day(now_utc(), config.zone_of(recipient)):  # entered in the ledger, it would be all they get
            raise click.BadParameter(
                f"{day} is not over for {recipient.email}; --to ADDRESS sends a trial copy", param_hint="--date"
            )
    words = {
        "sent": "sent",
        "done": "had it already, not sent again",
        "skipped": "a quiet day, skipped as asked",
        "waiting": "is being made by another listener; if that one was killed it goes out within ten minutes",
        "failed": "failed; it will be tried again",
        "unknown": "may have arrived: the server broke off. Not sent again; --to ADDRESS sends a copy",
    }
    failed = False
    with closing(pipeline.open_store(config)) as store:
        for recipient in config.recipients:
            period = period_of(day, recipient.sent_on)
            outcome = pipeline.send_digest(store, config, recipient, period, now_utc, at_once=True)
            detail = store.digest_detail(recipient.email, recipient.cadence, period.isoformat())
            say(f"{recipient.email}: {words[outcome]}{f' ({detail})' if detail else ''}")
            failed |= outcome in ("waiting", "failed", "unknown")
    if failed:
        raise click.exceptions.Exit(1)


COMMANDS = (digest,)
