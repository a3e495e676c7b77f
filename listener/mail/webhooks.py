"""Alerts to other programs: JSON that is signed, to checked addresses only; or chat services through Apprise."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from listener import __version__
from listener.errors import Broken, Disabled, Retry
from listener.http import public_url

if TYPE_CHECKING:
    from listener.config import HttpSettings, WebhookSettings

SIGNATURE = "Listener-Signature"


def body(payload: Mapping[str, Any]) -> bytes:
    """The payload as the bytes that are signed and sent; times as ISO 8601 in UTC."""
    return json.dumps(payload, ensure_ascii=False, default=_plain, separators=(",", ":")).encode()


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return value.isoformat() if isinstance(value, date) else str(value)


def signature(key: str, content: bytes, now: datetime) -> str:
    """ "t=1763791200,v1=HEX": HMAC-SHA256 over the time, a full stop and the content.

    The time is signed with it, so that a receiver can refuse what is old and was only played back.
    """
    time = int(now.timestamp())
    return f"t={time},v1={hmac.digest(key.encode(), f'{time}.'.encode() + content, 'sha256').hex()}"


def check(webhook: WebhookSettings) -> None:
    """Raises SourceError when something it needs is not there: its secret, its address, or Apprise."""
    if webhook.kind == "apprise":
        _service(webhook)
    elif webhook.secret is not None:
        webhook.secret.read(f"[[webhook]] {webhook.name} secret")
        webhook.address()


def post(
    webhook: WebhookSettings, payload: Mapping[str, Any], settings: HttpSettings, now: datetime,
    verify: bool | str = True,
) -> None:  # fmt: skip
    """Posts the payload, signed. Raises SourceError: Disabled without its secret, Refused for a private address, Retry
    or Broken for an answer other than 2xx.
    """
    import requests

    from listener.http.transport import exchange, open_session

    assert webhook.secret is not None
    key, url = webhook.secret.read(f"[[webhook]] {webhook.name} secret"), webhook.address()
    content, place = body(payload), f"[[webhook]] {webhook.name} ({public_url(url)})"
    headers = {
        "Content-Type": "application/json", "User-Agent": f"listener/{__version__}", "Accept": "*/*",
        SIGNATURE: signature(key, content, now),
    }  # fmt: skip
    with open_session(settings, verify) as session:
        try:
            request = session.prepare_request(requests.Request("POST", url, headers, data=content))
        except requests.RequestException:
            raise Broken(f"{place}: this is not an http or https address") from None
        reply = exchange(session, request, settings, settings.deadline_s, place)
    if reply.location:
        raise Broken(f"{place} sends us elsewhere; name its final address", status=reply.status)
    if not 200 <= reply.status < 300:
        error = Retry if reply.status >= 500 or reply.status in (408, 425, 429) else Broken
        raise error(f"{place} answers with status {reply.status}", status=reply.status)


def pass_on(webhook: WebhookSettings, title: str, text: str) -> None:
    """Hands a text to a chat service. Raises SourceError: Disabled without Apprise or its address, Broken for an
    address it does not know, Retry where the service did not take the text.
    """
    service, plain = _service(webhook)
    if not service.notify(title=title, body=text, body_format=plain):
        raise Retry(f"[[webhook]] {webhook.name}: the service did not take the message")


def _service(webhook: WebhookSettings) -> tuple[Any, Any]:
    """The chat service, and Apprise's name for plain text."""
    try:
        import apprise
    except ImportError:
        raise Disabled(
            f"[[webhook]] {webhook.name}: this needs Apprise: pip install 'listener-daemon[alerts]'"
        ) from None
    service = apprise.Apprise()
    if not service.add(webhook.address()):
        raise Broken(f"[[webhook]] {webhook.name}: its url is no address that Apprise knows")
    return service, apprise.NotifyFormat.TEXT
