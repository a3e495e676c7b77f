"""The one door out: every request of every source passes here, polite, bounded and honest about who asks."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl, urldefrag, urlencode, urljoin, urlsplit, urlunsplit

from listener import __version__
from listener.errors import Broken, Refused, Retry, SourceError, Unauthorised
from listener.http.walls import bot_wall, is_html, turned_away

if TYPE_CHECKING:  # requests takes 150 ms to import: `listener --help` does without
    import requests
    from protego import Protego

    from listener.config import HttpSettings
    from listener.http.transport import Reply

_MAX_REDIRECTS = 5
_ROBOTS_S = 3600.0
_ROBOTS_BYTES = 500_000
_LONGEST_CRAWL_DELAY_S = 60.0
_LONGEST_RETRY_S = 86_400.0  # a server that asks for more is asked again after a day
_STREAM_BYTES = 100_000_000
_STREAM_S = 600.0
_NAME = "listener"
_REMAINING = ("x-ratelimit-remaining", "ratelimit-remaining", "x-rate-limit-remaining")
_RESET = ("x-ratelimit-reset", "ratelimit-reset", "x-rate-limit-reset")
_CONSEQUENCES: dict[int, tuple[type[SourceError], str]] = {
    401: (Unauthorised, "does not take our credentials, or asks for some (status 401); check them"),
    403: (Refused, "does not let us in (status 403); check the address and its credentials, or remove it"),
    451: (Refused, "is withheld for legal reasons (status 451); remove the address"),
    404: (Broken, "does not exist (404); check the address in the configuration"),
    410: (Broken, "is gone for good (410); remove it from the configuration"),
}
_SECRET = re.compile(r"key$|token|secret|pass|pwd|sig$|signature|auth(?!or)|cred|session|^(feed|sid|code|jwt)$", re.I)


@dataclass(frozen=True, slots=True)
class Response:
    """A reply that brought something: status 200 to 299, or 304 with `unchanged` set. `url` is where it came from."""

    status: int
    url: str
    headers: Mapping[str, str]  # lower-case names
    body: bytes
    unchanged: bool = False

    def json(self) -> Any:
        """The body read as JSON. Raises Broken."""
        return read_json(self.body, public_url(self.url))

    def text(self) -> str:
        """The body as text: character set from the header, else from the document, else guessed. Never fails."""
        from bs4.dammit import UnicodeDammit

        told = charset(self.headers.get("content-type", ""))
        read = UnicodeDammit(self.body, known_definite_encodings=[told] if told else [], is_html=True).unicode_markup
        return read if read is not None else self.body.decode("utf-8", "replace")


class Get(Protocol):
    """Asks for one address. Everything but a usable reply raises Retry, Refused or Broken.

    `etag` and `modified` make the request conditional. `page` says that this is a web page meant for people: its
    robots.txt is honoured. `gap_s` widens the least time between two requests to its host. `json` is sent as the body
    of a POST; without it the request is a GET.
    """

    def __call__(
        self,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        etag: str = "",
        modified: str = "",
        page: bool = False,
        gap_s: float | None = None,
        json: Any = None,
    ) -> Response: ...

    def messages(
        self,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        limit_bytes: int = _STREAM_BYTES,
        limit_s: float = _STREAM_S,
    ) -> Generator[bytes, None, None]:
        """The messages of a websocket (ws:// or wss://) as they come, until so many bytes or seconds have passed.

        A server that ends the stream, or is silent, raises Retry. Closing the generator closes the connection.
        """
        ...


def charset(content_type: str) -> str:
    """The character set that a Content-Type header names, "" when it names none."""
    told = re.search(r"charset\s*=\s*[\"']?([\w.:-]+)", content_type, re.IGNORECASE)
    return told.group(1) if told else ""


def read_json(payload: bytes, place: str) -> Any:
    """JSON out of bytes. Raises Broken, which names `place`."""
    try:
        return json.loads(payload)
    except (ValueError, RecursionError) as error:
        what = "a web page" if is_html(payload) else "something else"
        raise Broken(f"{place} should send JSON and sent {what}: {str(error)[:80]}", payload) from error


def public_url(url: str) -> str:
    """An address as messages and logs may show it: without user, password, fragment, and the values of secrets."""
    try:
        parts = urlsplit(url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
        host += f":{parts.port}" if parts.port else ""
        pairs = [(k, "..." if _SECRET.search(k) else v) for k, v in parse_qsl(parts.query, keep_blank_values=True)]
        return urlunsplit((parts.scheme, host, parts.path, urlencode(pairs, safe=".:/"), ""))
    except ValueError:
        return "an address that cannot be read"


def without_secrets(link: str, asked: str) -> str:
    """A link as a post may keep it: without what is secret in the address that was `asked` for, and without user."""
    parts, pairs = urlsplit(link), parse_qsl(urlsplit(link).query, keep_blank_values=True)
    secret = {value for key, value in parse_qsl(urlsplit(asked).query) if _SECRET.search(key)}
    kept = [(key, value) for key, value in pairs if value not in secret]
    query = parts.query if kept == pairs else urlencode(kept)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query=query).geturl()


def retry_after(value: str, now: datetime) -> float | None:
    """Seconds to wait by a Retry-After header, which holds seconds or an HTTP date; None when it holds neither."""
    value = value.strip()
    if re.fullmatch(r"\d{1,12}(\.\d+)?", value):
        return min(float(value), _LONGEST_RETRY_S)
    try:
        moment = parsedate_to_datetime(value)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(0.0, seconds.total_seconds()), _LONGEST_RETRY_S)


@contextmanager
def open_get(
    settings: HttpSettings,
    *,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    verify: bool | str = True,
) -> Iterator[Get]:
    """A `get` for as long as the block lasts; threads may share it.

    `clock` (seconds, never backwards) and `sleep` serve the gaps between requests. `verify` may name a file of
    certificate authorities to trust in place of the usual ones.
    """
    from listener.http.transport import open_session

    with open_session(settings, verify) as session:
        yield _Door(settings, session, sleep, clock)


def _user_agent(contact: str) -> str:
    return f"{_NAME}/{__version__} (+{contact})" if contact else f"{_NAME}/{__version__}"


class _Door:
    """Holds the session, the time of the last request to each host, and each host's robots.txt."""

    def __init__(
        self,
        settings: HttpSettings,
        session: requests.Session,
        sleep: Callable[[float], object],
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._session = session
        self._sleep = sleep
        self._clock = clock
        self._lock = threading.Lock()
        self._last: dict[str, float] = {}
        self._robots: dict[str, tuple[float, Protego]] = {}
        self._agent = _user_agent(settings.contact)

    def __call__(
        self,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        etag: str = "",
        modified: str = "",
        page: bool = False,
        gap_s: float | None = None,
        json: Any = None,
    ) -> Response:
        conditions = {"If-None-Match": etag, "If-Modified-Since": modified}
        wanted = {key: value for key, value in {**(headers or {}), **conditions}.items() if value}
        reply, final = self._follow(url, params, wanted, page, max(self._settings.gap_s, gap_s or 0.0), json)
        return _judge(reply, url, final)

    def messages(
        self,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        limit_bytes: int = _STREAM_BYTES,
        limit_s: float = _STREAM_S,
    ) -> Generator[bytes, None, None]:
        from listener.http.stream import NoStream, messages

        url += ("&" if "?" in url else "?") + urlencode(params) if params else ""
        parts, place = _parts(url, "ws", "wss"), public_url(url)
        if parts is None:
            raise Refused(f"{place}: only ws and wss addresses with a host name are read as a stream.")
        self._wait_for_turn(parts.hostname, self._settings.gap_s)
        verify = self._session.verify
        try:
            yield from messages(url, self._settings, verify, self._agent, place, limit_bytes, limit_s)
        except NoStream as error:
            _judge(error.reply, url, url)
            raise Broken(f"{place} answers, but not as a stream; check the address.", error.reply.body) from None

    def _follow(
        self,
        url: str,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str],
        page: bool,
        gap_s: float,
        body: Any = None,
    ) -> tuple[Reply, str]:
        """The first reply that is no redirect, and the address it came from."""
        from listener.http.transport import exchange

        left = self._settings.deadline_s
        seen: set[str] = set()
        while len(seen) <= _MAX_REDIRECTS:
            request = self._prepare(url, params if not seen else None, headers, body)
            url = request.url or url
            if url in seen:
                raise Broken(f"{public_url(url)} redirects in a circle.")
            seen.add(url)
            gap = max(gap_s, self._ask_robots(url)) if page else gap_s
            self._wait_for_turn(urlsplit(url).hostname or "", gap)
            started = time.monotonic()
            reply = exchange(self._session, request, self._settings, left, public_url(url))
            left -= time.monotonic() - started
            if not reply.location:
                return reply, url
            target = urldefrag(urljoin(url, reply.location)).url
            if _origin(target) != _origin(url):  # what was meant for one server is not shown to another
                headers = {k: v for k, v in headers.items() if k.lower() in ("accept", "accept-language")}
            if body is not None:
                raise Broken(f"{public_url(url)} redirects a request that carries a body; name its final address.")
            url = target
        raise Broken(f"{public_url(url)}: more than {_MAX_REDIRECTS} redirects.")

    def _prepare(
        self, url: str, params: Mapping[str, str] | None, headers: Mapping[str, str], body: Any
    ) -> requests.PreparedRequest:
        import requests

        if _parts(url, "http", "https") is None:
            raise Refused(f"{public_url(url)}: only http and https addresses with a host name are read.")
        ours = {"User-Agent": self._agent, "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}
        try:
            method = "GET" if body is None else "POST"
            asked = requests.Request(method, url, {**ours, **headers}, params=params, json=body)
            return self._session.prepare_request(asked)
        except requests.RequestException:
            raise Broken(f"{public_url(url)} cannot be asked for: check the address, and contact in [http].") from None

    def _wait_for_turn(self, host: str, gap_s: float) -> None:
        with self._lock:
            now = self._clock()
            turn = max(now, self._last.get(host, now - gap_s) + gap_s)
            self._last[host] = turn
        if turn > now:
            self._sleep(turn - now)

    def _ask_robots(self, url: str) -> float:
        """The crawl delay in seconds, 0 when none is asked for. Raises Refused when the page is closed to us."""
        origin = "/".join(url.split("/", 3)[:3])
        expires, rules = self._robots.get(origin, (0.0, None))
        if rules is None or self._clock() >= expires:
            rules = self._read_robots(f"{origin}/robots.txt")
            self._robots[origin] = (self._clock() + _ROBOTS_S, rules)
        if not rules.can_fetch(url, _NAME):
            raise Refused(
                f"{public_url(url)}: the site's robots.txt asks programs not to read this page. "
                "Remove the address, or ask the site for permission or a feed."
            )
        return min(float(rules.crawl_delay(_NAME) or 0.0), _LONGEST_CRAWL_DELAY_S)

    def _read_robots(self, url: str) -> Protego:
        from protego import Protego

        try:
            reply, _ = self._follow(url, None, {}, page=False, gap_s=self._settings.gap_s)
        except Broken:  # a circle of redirects, a flood: there is no robots.txt here
            return Protego.parse("")
        if reply.status >= 500 or reply.status == 429:
            # RFC 9309: a server that fails to show its robots.txt is to be taken as closed, for now.
            raise Retry(
                f"{public_url(url)} cannot be read (status {reply.status}).", _asked_delay(reply, datetime.now(UTC))
            )
        body = reply.body[:_ROBOTS_BYTES] if reply.status == 200 else b""
        return Protego.parse(body.decode("utf-8-sig", "replace"))


def _parts(url: str, *schemes: str) -> Any:
    """The parts of an address of one of these schemes, or None when it is none."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in schemes and parts.hostname and (parts.port or 1)
    except ValueError:
        return None
    return parts if usable else None


def _origin(url: str) -> tuple[Any, ...] | None:
    parts = _parts(url, "http", "https")
    return parts and (parts.scheme, parts.hostname, parts.port)


def _asked_delay(reply: Reply, now: datetime) -> float | None:
    """Seconds that the server asks us to wait: its Retry-After, else the reset of a limit that is used up."""
    asked = retry_after(reply.headers.get("retry-after", ""), now)
    if asked is not None or not (reply.status == 429 or _used_up(reply)):
        return asked
    return _until_reset(reply.headers, now)


def _used_up(reply: Reply) -> bool:
    return any(reply.headers.get(name, "").strip() in ("0", "0.0") for name in _REMAINING)


def _until_reset(headers: Mapping[str, str], now: datetime) -> float | None:
    """The reset as GitHub (epoch seconds), Reddit (seconds from now) and Mastodon (ISO 8601) write it."""
    told = next((headers[name].strip() for name in _RESET if name in headers), "")
    try:
        if re.fullmatch(r"\d{1,12}(\.\d+)?", told):
            seconds = float(told) - now.timestamp() if float(told) > 1e9 else float(told)
        else:
            moment = datetime.fromisoformat(told)
            seconds = ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds()
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, seconds), _LONGEST_RETRY_S)


def _judge(reply: Reply, asked: str, final: str) -> Response:
    """The reply as a Response, or the error that its status or its page amounts to."""
    status, place, body = reply.status, public_url(final), reply.body
    now = datetime.now(UTC)
    if status == 429:
        raise Retry(f"{place} says that we ask too often (429).", _asked_delay(reply, now), body, status)
    wall = bot_wall(reply.headers, body)
    if wall:
        message = f"{place} shows a bot wall ({wall}), not its content. Use a feed or an export of this site."
        raise Refused(message, body, status)
    if status == 304:
        return Response(status, final, reply.headers, b"", unchanged=True)
    if 200 <= status < 300:
        if is_html(body) and turned_away(asked, final):
            raise Refused(
                f"{public_url(asked)} leads to {place}: the page is gone or needs a login. "
                "Correct the address or remove it."
            )
        return Response(status, final, reply.headers, body)
    # GitHub and others say 403 for a limit that is used up.
    limited = status == 403 and ("retry-after" in reply.headers or _used_up(reply))
    if status >= 500 or status in (408, 425) or limited:
        raise Retry(f"{place} fails at present (status {status}).", _asked_delay(reply, now), body, status)
    error, what = _CONSEQUENCES.get(status, (Broken, "answers with status {status}, which is no use to us; check it"))
    raise error(f"{place} {what.format(status=status)}.", body, status)
