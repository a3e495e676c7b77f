"""Who comes in: the names the page answers to, requests of other sites turned away, the password, the headers."""

from __future__ import annotations

import hmac
import ipaddress
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import quote, urlsplit

from listener.errors import ListenerError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE = "listener_login"
TOKEN = "ds_csrftoken"  # noqa: S105  # the cookie beside the token of a form
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_LONGEST_BODY = 100_000
_TRIES, _WITHIN = 10, timedelta(minutes=5)  # wrong passwords, of everybody together
_LOGIN_DAYS = 30

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'{inline}; img-src 'self' data:; connect-src 'self'; "
    "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# Datasette's own tables carry style attributes; scripts inside a page are run nowhere.
_LOOSE = " 'unsafe-inline'"
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with no referrer at all browsers hide the origin of a form, too
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens on `host`."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Door:
    """Where the page listens and whom it lets in. `names`: other names under which a browser may ask for it.

    Raises ListenerError when others than this machine could come in and there is no password.
    """

    host: str = "127.0.0.1"
    port: int = 8001
    names: tuple[str, ...] = ()
    password: str = ""
    wrong: deque[datetime] = field(default_factory=lambda: deque(maxlen=_TRIES), compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.password and not (is_loopback(self.host) and not self.names):
            raise ListenerError(
                "others than this machine could read and correct the page, so it needs a password: put one into a file "
                "that only you can read and name it with --password-file, or into the variable LISTENER_PASSWORD"
            )
        if self.password and len(self.password) < 8:
            raise ListenerError("the password of the page is shorter than 8 characters; choose a longer one")

    def answers_to(self, host: str) -> bool:
        """Whether a request for this Host is meant for us. Another site's name that was pointed at our address, so that
        a browser takes us for that site, is none of ours; a bare address never is such a name.
        """
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        if name in _LOOPBACK or name in {each.lower() for each in self.names}:
            return True
        if is_loopback(self.host):
            return False
        try:
            return bool(ipaddress.ip_address(name))
        except ValueError:
            return name == self.host.lower()

    def opens(self, given: str, now: datetime) -> bool:
        """Whether this is the password. After too many wrong ones nobody gets in for a while."""
        if self.is_shut(now):
            return False
        right = hmac.compare_digest(given.encode(), self.password.encode())
        if not right:
            self.wrong.append(now)
        return right

    def is_shut(self, now: datetime) -> bool:
        return len(self.wrong) == _TRIES and timedelta(0) <= now - self.wrong[0] < _WITHIN


def cookie_for(ticket: str, *, secure: bool) -> str:
    """The Set-Cookie of a login. Lax: a link in a mail has to find its reader logged in."""
    end = "; Secure" if secure else ""
    return f"{COOKIE}={ticket}; Path=/; Max-Age={_LOGIN_DAYS * 86400}; HttpOnly; SameSite=Lax{end}"


def is_fresh(issued: object, now: datetime) -> bool:
    """Whether a login of that time (seconds since 1970) still holds."""
    return isinstance(issued, int) and 0 <= now.timestamp() - issued + 60 <= _LOGIN_DAYS * 86400


class Guard:
    """The outermost layer: refuses what is not for us, asks for the password, and sets the headers of every answer."""

    def __init__(
        self,
        app: App,
        door: Door,
        knows: Callable[[str], bool],
        gave: Callable[[str], bool],
        clock: Callable[[], datetime],
    ) -> None:
        """`knows` a ticket of a login, `gave` the token of a form."""
        self._app = app
        self._door = door
        self._knows = knows
        self._gave = gave
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        path: str = scope["path"]
        answer = self._refusal(scope, headers)
        if answer is None and not self._may_enter(path, headers):
            answer = self._ask(scope, headers)
        sending = _with_headers(send, scope)
        if answer is None:
            await self._app(scope, _limited(receive), sending)
            return
        status, text, more = answer
        head = [(b"content-type", b"text/plain; charset=utf-8"), *((k.encode(), v.encode()) for k, v in more.items())]
        await sending({"type": "http.response.start", "status": status, "headers": head})
        await sending({"type": "http.response.body", "body": text.encode()})

    def _refusal(self, scope: Scope, headers: Mapping[str, str]) -> tuple[int, str, dict[str, str]] | None:
        path, host = scope["path"], headers.get("host", "")
        if not self._door.answers_to(host):
            return 421, "This page does not answer to that name. Start `listener serve` with --name to add one.\n", {}
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return 405, "This page is read with GET, and takes forms with POST.\n", {"allow": "GET, HEAD, POST"}
        if path.startswith("/-/") and not path.startswith("/-/static/"):
            return 404, "There is no such page.\n", {}
        site, mode = headers.get("sec-fetch-site", ""), headers.get("sec-fetch-mode", "")
        if scope["method"] == "POST":
            if not _from_here(headers, site):
                return 403, "A form of another site was sent here. Open the page itself and try again.\n", {}
            if (
                not headers.get("content-length", "0").isdigit()
                or int(headers.get("content-length", "0")) > _LONGEST_BODY
            ):
                return 413, "That is more than a form of this page can hold.\n", {}
            # Datasette compares it with the form's own, but lets a request without any cookie pass.
            if not self._gave(_cookie(headers, TOKEN)):
                return 403, "This form is from before the page was started anew. Reload it and try again.\n", {}
        elif site in ("cross-site", "same-site") and (
            mode != "navigate" or "sql" in scope["query_string"].decode("latin-1")
        ):
            return 403, "Another site may link to a page here, and do no more.\n", {}
        return None

    def _may_enter(self, path: str, headers: Mapping[str, str]) -> bool:
        door = self._door
        if not door.password or path in ("/login", "/healthz") or path.startswith("/look/"):
            return True
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and door.opens(token.strip(), self._clock()):
            return True
        return self._knows(_cookie(headers, COOKIE))

    def _ask(self, scope: Scope, headers: Mapping[str, str]) -> tuple[int, str, dict[str, str]]:
        if scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
            query = scope["query_string"].decode("latin-1")
            wanted = quote(scope["path"] + (f"?{query}" if query else ""), safe="")
            return 303, "Log in first.\n", {"location": f"/login?next={wanted}"}
        return 401, "Log in at /login, or send the password as `Authorization: Bearer ...`.\n", {
            "www-authenticate": "Bearer"
        }  # fmt: skip


def _cookie(headers: Mapping[str, str], name: str) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return found.value if found else ""


def _from_here(headers: Mapping[str, str], site: str) -> bool:
    """Whether a form comes from a page of ours. Every browser tells the origin of a form, or the kind of site."""
    origin = headers.get("origin")
    if site and site != "same-origin":
        return False
    if origin is None:
        return site == "same-origin"
    return origin.partition("://")[2].lower() == headers.get("host", "").lower() != ""


def _limited(receive: Receive) -> Receive:
    """Ends a body that is longer than it said."""
    read = 0

    async def limited() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        return {"type": "http.disconnect"} if read > _LONGEST_BODY else message

    return limited


def _with_headers(send: Send, scope: Scope) -> Send:
    path = scope["path"]
    ours = dict(_HEADERS)
    ours["content-security-policy"] = _POLICY.format(inline=_LOOSE if path.startswith("/data") else "")
    if path.startswith("/look/") and b"v=" in scope["query_string"]:
        ours["cache-control"] = "private, max-age=31536000, immutable"

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = {name.lower() for name, _ in message.get("headers", ())}
            own_policy = b"content-security-policy" in given  # a digest as it was sent has a narrower one
            adding = {
                name: value for name, value in ours.items() if not (own_policy and name == "content-security-policy")
            }
            kept = [(n, v) for n, v in message.get("headers", ()) if n.lower().decode() not in adding]
            message = {**message, "headers": [*kept, *((n.encode(), v.encode()) for n, v in adding.items())]}
        await send(message)

    return sending
