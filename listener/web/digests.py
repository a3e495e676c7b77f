"""What went out to people: digests, each to be read again, and alerts with their cause."""

from __future__ import annotations

import base64
import re
import sqlite3
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from datasette.utils.asgi import Response

from listener import digest, pipeline
from listener.alerts import notices
from listener.alerts.notices import Notice
from listener.tables import events, ledger
from listener.tables.ledger import Sent
from listener.web.site import Missing, Shown, Site

_LATEST = 200
_ALERTS = timedelta(days=90)
# A digest carries its own styles, asks for nothing, and runs nothing.
_SANDBOX = "allow-popups allow-popups-to-escape-sandbox"
_POLICY = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; sandbox {_SANDBOX}"
_NEW_TAB = '<base target="_blank">'  # a link would else open in the frame, which our pages refuse to stand in


async def listing(site: Site, request: Any) -> Shown:
    now = site.clock()

    def alerts(reader: sqlite3.Connection) -> list[Notice]:
        noticed = [event for event in events.since(reader, now - _ALERTS) if event.brand]
        return [notices.notice(reader, event, site.config.zone, now) for event in noticed[:_LATEST]]

    sent = await site.read(lambda reader: ledger.latest(reader, _LATEST))
    return Shown("digests.html", {"digests": sent, "alerts": await site.read(alerts)})


async def one(site: Site, request: Any) -> Shown:
    sent = await _find(site, request)
    kept = _kept(site, sent)
    return Shown("digest.html", {"sent": sent, "kept": kept is not None, "sandbox": _SANDBOX})


async def body(site: Site, request: Any) -> Any:
    """The digest itself, as a document of its own: the file that was written, else made again from what is stored."""
    sent = await _find(site, request)
    kept = _kept(site, sent)
    html = kept.read_text("utf-8") if kept else await site.read(lambda _: _made_again(site, sent))
    return Response.html(html.replace("<head>", f"<head>{_NEW_TAB}", 1), headers={"content-security-policy": _POLICY})


async def _find(site: Site, request: Any) -> Sent:
    args = request.args
    key = (args.get("to") or "", args.get("cadence") or "daily", args.get("of") or "")
    found = await site.read(lambda reader: ledger.find(reader, key))
    if found is None:
        raise Missing("no such digest was sent from here")
    return found


def _kept(site: Site, sent: Sent) -> Path | None:
    """The file of a digest that was handed over as files and not by mail."""
    folder = pipeline.mail_folder(site.config, sent.recipient)
    path = folder / f"digest-{sent.period}.html"
    return path if re.fullmatch(r"[\d-]+", sent.period) and path.is_file() else None


def _made_again(site: Site, sent: Sent) -> str:
    recipient = next((each for each in site.config.recipients if each.email == sent.recipient), None)
    now = sent.sent_at or sent.claimed_at or site.clock()
    built = pipeline.build_digest(site.config.database, site.config, recipient, date.fromisoformat(sent.period), now)
    rendered = digest.render(built)
    html = rendered.html
    for name, png in rendered.pictures:
        html = html.replace(f'"cid:{name}"', f'"data:image/png;base64,{base64.b64encode(png).decode()}"')
    return html


ROUTES = ((r"/digests$", listing), (r"/digests/one$", one), (r"/digests/body$", body))
