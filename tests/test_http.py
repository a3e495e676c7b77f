"""The one door out, against a real server on loopback."""

from __future__ import annotations

import gzip
import itertools
import logging
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from listener.config import HttpSettings
from listener.errors import Broken, Refused, Retry, SourceError
from listener.http import Get, Response, open_get, public_url, retry_after
from listener.http.transport import is_public
from listener.http.walls import bot_wall, is_html, turned_away
from loopback import Answer, Request, Server, closed_port, serve

HTML = b"<!doctype html><html><head><title>Hotel</title></head><body>%s</body></html>"


def opened(**changes: Any) -> AbstractContextManager[Get]:
    how = {name: changes.pop(name) for name in ("sleep", "clock", "verify") if name in changes}
    settings = HttpSettings(**{"gap_s": 0, "timeout_s": 5, "deadline_s": 10, "allow_private": ["127.0.0.1"], **changes})
    return open_get(settings, **how)


@pytest.fixture
def get() -> Iterator[Get]:
    with opened() as opened_get:
        yield opened_get


def says(**answer: Any) -> Callable[[Request], Answer]:
    return lambda _: Answer(**answer)


def moves(to: str, status: int = 302) -> Callable[[Request], Answer]:
    return lambda _: Answer(status=status, headers={"Location": to})


class TestRequest:
    def test_says_who_asks(self) -> None:
        with serve({"/": says(body=b"x")}) as server, opened(contact="ops@example.com") as get:
            get(server.url())
        agent = server.requests[0].headers["user-agent"]
        assert agent.startswith("listener/") and agent.endswith(" (+ops@example.com)")

    def test_parameters_and_headers_arrive_and_the_body_comes_back(self, get: Get) -> None:
        with serve({"/find": says(body=b'{"a": 1}', headers={"X-Kind": "test"})}) as server:
            response = get(server.url("/find"), params={"q": "déjà vu & co"}, headers={"X-Mine": "yes"})
        assert response.json() == {"a": 1}
        assert response.headers["x-kind"] == "test"
        assert server.requests[0].query == {"q": "déjà vu & co"}
        assert server.requests[0].headers["x-mine"] == "yes"

    def test_proxies_and_passwords_of_the_environment_are_not_used(
        self, get: Get, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
    ) -> None:
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
        with serve({"/": says(body=b"direct")}) as server:
            assert get(server.url()).body == b"direct"
        assert "authorization" not in server.requests[0].headers

    def test_no_cookie_is_kept(self, get: Get) -> None:
        with serve({"/": says(body=b"x", headers={"Set-Cookie": "id=7"})}) as server:
            get(server.url())
            get(server.url())
        assert "cookie" not in server.requests[1].headers

    def test_threads_share_one_get(self, get: Get) -> None:
        with serve({"/": says(body=b"x" * 1000)}) as server:
            sizes: list[int] = []
            threads = [threading.Thread(target=lambda: sizes.append(len(get(server.url()).body))) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert sizes == [1000] * 8


class TestConditional:
    def test_not_modified_is_unchanged(self, get: Get) -> None:
        def feed(request: Request) -> Answer:
            known = request.headers.get("if-none-match") == '"7"' and request.headers.get("if-modified-since")
            return Answer(status=304) if known else Answer(b"news", headers={"ETag": '"7"', "Last-Modified": "then"})

        with serve({"/": feed}) as server:
            first = get(server.url())
            again = get(server.url(), etag=first.headers["etag"], modified=first.headers["last-modified"])
        assert (first.body, first.unchanged) == (b"news", False)
        assert (again.status, again.body, again.unchanged) == (304, b"", True)


class TestStatus:
    @pytest.mark.parametrize(
        ("status", "error"),
        [
            (400, Broken), (401, Refused), (403, Refused), (404, Broken), (408, Retry), (410, Broken), (429, Retry),
            (451, Refused), (500, Retry), (502, Retry), (503, Retry), (300, Broken),
        ],
    )  # fmt: skip
    def test_each_status_has_its_consequence_and_names_the_address(
        self, get: Get, status: int, error: type[SourceError]
    ) -> None:
        with serve({"/feed": says(body=b"sorry", status=status)}) as server, pytest.raises(error) as caught:
            get(server.url("/feed"))
        assert server.url("/feed") in str(caught.value)
        if isinstance(caught.value, Broken):
            assert caught.value.payload == b"sorry"

    def test_gone_is_said_as_gone(self, get: Get) -> None:
        with serve({"/": says(status=410)}) as server, pytest.raises(Broken, match="gone"):
            get(server.url())

    @pytest.mark.parametrize("status", [429, 503, 403])
    def test_the_delay_a_server_asks_for_in_seconds(self, get: Get, status: int) -> None:
        with (
            serve({"/": says(status=status, headers={"Retry-After": "120"})}) as server,
            pytest.raises(Retry) as caught,
        ):
            get(server.url())
        assert caught.value.after == 120

    def test_the_delay_a_server_asks_for_as_a_date(self, get: Get) -> None:
        later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
        with serve({"/": says(status=429, headers={"Retry-After": later})}) as server, pytest.raises(Retry) as caught:
            get(server.url())
        assert caught.value.after is not None and 80 < caught.value.after <= 90

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            ("0", 0), ("17", 17), ("1.5", 1.5), (" 3 ", 3), ("Sun, 22 Nov 2026 12:01:00 GMT", 60),
            ("Sun, 22 Nov 2026 11:00:00 GMT", 0), ("99999999", 86_400), ("soon", None), ("", None), ("-5", None),
        ],
    )  # fmt: skip
    def test_retry_after_in_both_forms(self, value: str, seconds: float | None) -> None:
        assert retry_after(value, datetime(2026, 11, 22, 12, tzinfo=UTC)) == seconds

    @given(st.text())
    def test_no_retry_after_is_too_strange(self, value: str) -> None:
        delay = retry_after(value, datetime(2026, 11, 22, tzinfo=UTC))
        assert delay is None or 0 <= delay <= 86_400


class TestNetwork:
    def test_nobody_there(self, get: Get) -> None:
        url = f"http://127.0.0.1:{closed_port()}/feed"
        with pytest.raises(Retry, match="cannot be reached") as caught:
            get(url)
        assert url in str(caught.value)

    def test_unknown_name(self, get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
        def unknown(*_: Any, **__: Any) -> Any:
            raise socket.gaierror(socket.EAI_NONAME, "not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        with pytest.raises(Retry, match="name is not found"):
            get("http://no-such-host.example/feed")

    def test_connection_broken_off(self, get: Get) -> None:
        with serve({"/": says(raw=[])}) as server, pytest.raises(Retry, match="broke off"):
            get(server.url())

    def test_reply_shorter_than_it_says(self, get: Get) -> None:
        torn = says(raw=[b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf"])
        with serve({"/": torn}) as server, pytest.raises(Retry):
            get(server.url())

    def test_silence_ends_at_the_timeout(self) -> None:
        quiet = threading.Event()

        def silent(_: Request) -> Answer:
            quiet.wait(10)
            return Answer()

        with serve({"/": silent}) as server, opened(timeout_s=0.2) as get:
            with pytest.raises(Retry, match="no answer within"):
                get(server.url())
            quiet.set()

    @pytest.mark.parametrize("where", ["body", "headers", "chunks"])
    def test_a_byte_now_and_then_ends_at_the_deadline(self, where: str) -> None:
        start = {
            "body": b"HTTP/1.1 200 OK\r\n\r\n",
            "headers": b"HTTP/1.1 200 OK\r\nX-Slow: ",
            "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;",
        }[where]

        def drip() -> Iterator[bytes]:
            yield start
            for _ in range(200):
                time.sleep(0.05)
                yield b"x"

        with serve({"/": lambda _: Answer(raw=drip())}) as server, opened(deadline_s=0.5) as get:
            started = time.monotonic()
            with pytest.raises(Retry, match="deadline_s"):
                get(server.url())
        assert time.monotonic() - started < 2

    def test_the_deadline_does_not_end_what_is_in_time(self) -> None:
        with (
            serve({"/": lambda _: Answer(body=(time.sleep(0.05) or b"x" for _ in range(4)))}) as server,
            opened(deadline_s=5) as get,
        ):
            assert get(server.url()).body == b"xxxx"


class TestSize:
    def test_a_flood_is_cut_off(self) -> None:
        sent = []

        def flood() -> Iterator[bytes]:
            for _ in range(5000):
                sent.append(1)
                yield b"x" * 10_000

        with (
            serve({"/": lambda _: Answer(body=flood())}) as server,
            opened(max_bytes=50_000) as get,
            pytest.raises(Broken, match="max_bytes") as caught,
        ):
            get(server.url())
        assert len(sent) < 5000
        assert caught.value.payload.startswith(b"xxx")

    def test_the_limit_is_on_what_a_small_body_unpacks_to(self) -> None:
        bomb = gzip.compress(b"\0" * 50_000_000)
        assert len(bomb) < 60_000
        with (
            serve({"/": says(body=bomb, headers={"Content-Encoding": "gzip"})}) as server,
            opened(max_bytes=100_000) as get,
            pytest.raises(Broken, match="max_bytes"),
        ):
            get(server.url())

    def test_a_body_as_large_as_the_limit_is_read(self) -> None:
        with (
            serve({"/": says(body=gzip.compress(b"y" * 2000), headers={"Content-Encoding": "gzip"})}) as server,
            opened(max_bytes=2000) as get,
        ):
            assert get(server.url()).body == b"y" * 2000

    def test_a_damaged_encoding_is_broken(self, get: Get) -> None:
        with (
            serve({"/": says(body=b"not gzip", headers={"Content-Encoding": "gzip"})}) as server,
            pytest.raises(Broken, match="Content-Encoding"),
        ):
            get(server.url())


class TestRedirects:
    def test_are_followed_and_the_last_address_is_told(self, get: Get) -> None:
        routes = {"/old": moves("/newer", 301), "/newer": moves("new?a=1", 308), "/new": says(body=b"here")}
        with serve(routes) as server:
            response = get(server.url("/old"))
        assert (response.body, response.url) == (b"here", server.url("/new?a=1"))

    def test_a_circle_is_broken(self, get: Get) -> None:
        with serve({"/a": moves("/b"), "/b": moves("/a")}) as server, pytest.raises(Broken, match="circle"):
            get(server.url("/a"))
        assert server.paths == ["/a", "/b"]

    def test_five_are_followed_and_six_are_not(self, get: Get) -> None:
        routes = {f"/{n}": moves(f"/{n - 1}") for n in range(1, 7)} | {"/0": says(body=b"end")}
        with serve(routes) as server:
            assert get(server.url("/5")).body == b"end"
            with pytest.raises(Broken, match="more than 5 redirects"):
                get(server.url("/6"))

    @pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "javascript:alert(1)"])
    def test_only_the_web_is_followed(self, get: Get, target: str) -> None:
        with serve({"/": moves(target)}) as server, pytest.raises(Refused, match="only http"):
            get(server.url())

    def test_headers_for_one_server_are_not_shown_to_another(self, get: Get) -> None:
        with serve({"/": says(body=b"x")}) as other, serve({"/": moves(other.url())}) as server:
            get(server.url(), headers={"Authorization": "Bearer secret", "Accept": "text/plain"})
        assert server.requests[0].headers["authorization"] == "Bearer secret"
        assert "authorization" not in other.requests[0].headers
        assert other.requests[0].headers["accept"] == "text/plain"

    @pytest.mark.parametrize("target", ["/", "/login?next=/hotel/7", "/en/"])
    def test_a_page_that_leads_to_the_front_page_or_a_login_is_refused(self, get: Get, target: str) -> None:
        path = target.partition("?")[0]
        with (
            serve({"/hotel/7": moves(target), path: says(body=HTML % b"Welcome")}) as server,
            pytest.raises(Refused, match="needs a login") as caught,
        ):
            get(server.url("/hotel/7"))
        assert server.url("/hotel/7") in str(caught.value)

    def test_a_feed_that_moved_to_the_root_of_another_server_is_read(self, get: Get) -> None:
        with serve({"/": says(body=b"<rss/>")}) as other, serve({"/feed": moves(other.url("/"))}) as server:
            assert get(server.url("/feed")).body == b"<rss/>"

    @pytest.mark.parametrize(
        ("asked", "final", "away"),
        [
            ("/hotel/7", "/hotel/7/", False), ("/hotel/7", "/de/hotel/7", False), ("/index.html", "/", False),
            ("/r/acme", "/login/", True), ("/r/acme", "/over18?dest=x", True), ("/login", "/login/", False),
            ("/a/b", "/?p=7", False), ("/a/b", "/index.php", True), ("/", "/en", False),
        ],
    )  # fmt: skip
    def test_where_a_redirect_may_lead(self, asked: str, final: str, away: bool) -> None:
        assert turned_away(f"https://x.example{asked}", f"https://x.example{final}") is away


class TestAddresses:
    @pytest.mark.parametrize(
        "address",
        [
            "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
            "0.0.0.0", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1",
            "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "fec0::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
            "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "2001:db8::1", "::127.0.0.1", "nonsense", "",
        ],
    )  # fmt: skip
    def test_addresses_that_are_not_of_the_internet(self, address: str) -> None:
        assert not is_public(address)

    @pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
    def test_addresses_of_the_internet(self, address: str) -> None:
        assert is_public(address)

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001"])
    def test_private_servers_are_refused_however_they_are_written(
        self, host: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plain = socket.getaddrinfo
        if host not in ("127.0.0.1", "localhost"):  # what the system's resolver makes of these forms
            monkeypatch.setattr(socket, "getaddrinfo", lambda _, *rest, **more: plain("127.0.0.1", *rest, **more))
        with (
            serve({"/": says(body=b"secret")}) as server,
            opened(allow_private=[]) as get,
            pytest.raises(Refused, match="allow_private"),
        ):
            get(server.url(host=host))
        assert server.requests == []

    def test_a_server_may_be_allowed_with_its_port(self) -> None:
        with (
            serve({"/": says(body=b"one")}) as one,
            serve({"/": says(body=b"two")}) as two,
            opened(allow_private=[f"LocalHost:{one.port}"]) as get,
        ):
            assert get(one.url(host="localhost")).body == b"one"
            with pytest.raises(Refused, match=f"localhost:{two.port}"):
                get(two.url(host="localhost"))
        assert two.requests == []

    def test_all_may_be_allowed(self) -> None:
        with serve({"/": says(body=b"x")}) as server, opened(allow_private=["*"]) as get:
            assert get(server.url()).body == b"x"

    def test_a_redirect_to_a_private_server_is_refused(self) -> None:
        with (
            serve({"/": says(body=b"secret")}) as inner,
            serve({"/": moves(inner.url())}) as outer,
            opened(allow_private=[f"127.0.0.1:{outer.port}"]) as get,
            pytest.raises(Refused, match="allow_private"),
        ):
            get(outer.url())
        assert inner.requests == []

    def test_a_name_is_resolved_once_and_the_checked_address_is_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A name that is public when checked and private when used (DNS rebinding) gains nothing."""
        answers = itertools.chain(["93.184.216.34"], itertools.repeat("127.0.0.1"))
        asked: list[str] = []
        reached: list[Any] = []

        def resolve(host: str, port: int, **_: Any) -> list[Any]:
            asked.append(host)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

        def connect(_: socket.socket, address: Any) -> None:
            reached.append(address)
            raise ConnectionRefusedError(111, "refused")

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        monkeypatch.setattr(socket.socket, "connect", connect)
        with opened(allow_private=[]) as get, pytest.raises(Retry):
            get("http://rebind.example:8080/")
        assert (asked, reached) == (["rebind.example"], [("93.184.216.34", 8080)])

    def test_private_addresses_of_a_name_with_public_ones_are_left_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reached: list[str] = []

        def connect(_: socket.socket, address: Any) -> None:
            reached.append(address[0])
            raise ConnectionRefusedError(111, "refused")

        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 80)) for ip in ("10.0.0.1", "93.184.216.34")]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        monkeypatch.setattr(socket.socket, "connect", connect)
        with opened(allow_private=[]) as get, pytest.raises(Retry):
            get("http://mixed.example/")
        assert reached == ["93.184.216.34"]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


class TestTLS:
    @staticmethod
    def context(authority: trustme.CA, name: str) -> tuple[ssl.SSLContext, list[str | None]]:
        """A server context for `name`, and the names that clients ask for (SNI)."""
        context, asked = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), []
        authority.issue_cert(name).configure_cert(context)
        context.sni_callback = lambda _, wanted, __: asked.append(wanted)
        return context, asked

    def test_the_name_is_kept_though_the_address_is_used(self, authority: trustme.CA) -> None:
        context, asked = self.context(authority, "localhost")
        with (
            authority.cert_pem.tempfile() as trusted,
            serve({"/": says(body=b"safe")}, tls=context) as server,
            opened(allow_private=["localhost"], verify=trusted) as get,
        ):
            assert get(server.url(host="localhost")).body == b"safe"
        assert asked == ["localhost"]
        assert server.requests[0].headers["host"] == f"localhost:{server.port}"

    def test_a_certificate_of_another_name_is_not_trusted(self, authority: trustme.CA) -> None:
        context, _ = self.context(authority, "other.example")
        with (
            authority.cert_pem.tempfile() as trusted,
            serve({"/": says(body=b"x")}, tls=context) as server,
            opened(allow_private=["localhost"], verify=trusted) as get,
            pytest.raises(Retry, match="certificate is not trusted"),
        ):
            get(server.url(host="localhost"))
        assert server.requests == []

    def test_an_unknown_authority_is_not_trusted(self, authority: trustme.CA) -> None:
        context, _ = self.context(authority, "localhost")
        with (
            serve({"/": says(body=b"x")}, tls=context) as server,
            opened(allow_private=["localhost"]) as get,
            pytest.raises(Retry, match="certificate is not trusted"),
        ):
            get(server.url(host="localhost"))

    def test_the_deadline_holds_under_tls(self, authority: trustme.CA) -> None:
        context, _ = self.context(authority, "localhost")

        def drip() -> Iterator[bytes]:
            yield b"HTTP/1.1 200 OK\r\nX-Slow: "
            for _ in range(100):
                time.sleep(0.05)
                yield b"x"

        with (
            authority.cert_pem.tempfile() as trusted,
            serve({"/": lambda _: Answer(raw=drip())}, tls=context) as server,
            opened(allow_private=["localhost"], verify=trusted, deadline_s=0.5) as get,
        ):
            started = time.monotonic()
            with pytest.raises(Retry, match="deadline_s"):
                get(server.url(host="localhost"))
        assert time.monotonic() - started < 2


class TestGap:
    def test_requests_to_one_host_keep_their_distance(self) -> None:
        slept: list[float] = []
        with serve({"/": says(body=b"x")}) as server, opened(gap_s=2, sleep=slept.append, clock=lambda: 100.0) as get:
            get(server.url())
            get(server.url())
            get(server.url(), gap_s=10)
            get(server.url(), gap_s=0.1)
        assert slept == [2, 12, 14]

    def test_another_host_need_not_wait(self) -> None:
        slept: list[float] = []
        with (
            serve({"/": says(body=b"x")}) as server,
            opened(gap_s=2, sleep=slept.append, clock=lambda: 0.0, allow_private=["*"]) as get,
        ):
            get(server.url())
            get(server.url(host="localhost"))
        assert slept == []

    def test_threads_do_not_share_a_turn(self) -> None:
        slept: list[float] = []
        with serve({"/": says(body=b"x")}) as server, opened(gap_s=1, sleep=slept.append, clock=lambda: 0.0) as get:
            threads = [threading.Thread(target=get, args=(server.url(),)) for _ in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert sorted(slept) == [1, 2, 3, 4, 5]

    def test_time_that_passed_counts(self) -> None:
        slept: list[float] = []
        now = iter([0.0, 1.5, 9.0])
        with (
            serve({"/": says(body=b"x")}) as server,
            opened(gap_s=2, sleep=slept.append, clock=lambda: next(now)) as get,
        ):
            for _ in range(3):
                get(server.url())
        assert slept == [0.5]


class TestRobots:
    RULES = b"User-agent: *\nDisallow: /private\n\nUser-agent: listener\nDisallow: /not-for-listener\n"

    def pages(self, robots: Callable[[Request], Answer]) -> AbstractContextManager[Server]:
        page = says(body=HTML % b"Reviews")
        return serve({"/robots.txt": robots, "/page": page, "/not-for-listener/7": page, "/private": page})

    def test_are_asked_once_and_honoured_for_pages(self, get: Get) -> None:
        with self.pages(says(body=self.RULES)) as server:
            get(server.url("/page"), page=True)
            get(server.url("/private"), page=True)  # closed to others; listener has rules of its own
            with pytest.raises(Refused, match=r"robots\.txt"):
                get(server.url("/not-for-listener/7"), page=True)
        assert server.paths == ["/robots.txt", "/page", "/private"]

    def test_feeds_and_interfaces_are_made_for_programs(self, get: Get) -> None:
        with self.pages(says(body=b"User-agent: *\nDisallow: /")) as server:
            get(server.url("/page"))
        assert server.paths == ["/page"]

    @pytest.mark.parametrize("status", [401, 403, 404, 410])
    def test_without_them_all_is_open(self, get: Get, status: int) -> None:
        with self.pages(says(status=status)) as server:
            assert b"Reviews" in get(server.url("/page"), page=True).body

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_a_server_that_fails_to_show_them_is_asked_later(self, get: Get, status: int) -> None:
        with (
            self.pages(says(status=status, headers={"Retry-After": "60"})) as server,
            pytest.raises(Retry, match=r"robots\.txt") as caught,
        ):
            get(server.url("/page"), page=True)
        assert caught.value.after == 60
        assert server.paths == ["/robots.txt"]

    def test_a_byte_order_mark_hides_no_rule(self, get: Get) -> None:
        rules = says(body=b"\xef\xbb\xbfUser-agent: *\nDisallow: /private")
        with self.pages(rules) as server, pytest.raises(Refused, match=r"robots\.txt"):
            get(server.url("/private"), page=True)
        assert server.paths == ["/robots.txt"]

    def test_are_read_again_after_an_hour(self) -> None:
        times = [0.0]
        with self.pages(says(body=self.RULES)) as server, opened(clock=lambda: times[0]) as get:
            get(server.url("/page"), page=True)
            times[0] = 3599.0
            get(server.url("/page"), page=True)
            times[0] = 3601.0
            get(server.url("/page"), page=True)
        assert server.paths.count("/robots.txt") == 2

    def test_hold_after_a_redirect_too(self, get: Get) -> None:
        routes = {"/robots.txt": says(body=self.RULES), "/go": moves("/not-for-listener/7")}
        with serve(routes) as server, pytest.raises(Refused, match=r"robots\.txt"):
            get(server.url("/go"), page=True)
        assert server.paths == ["/robots.txt", "/go"]

    def test_a_crawl_delay_widens_the_gap(self) -> None:
        slept: list[float] = []
        with (
            self.pages(says(body=b"User-agent: *\nCrawl-delay: 7\n")) as server,
            opened(gap_s=1, sleep=slept.append, clock=lambda: 0.0) as get,
        ):
            get(server.url("/page"), page=True)
        assert slept == [7]


class TestWalls:
    @pytest.mark.parametrize("status", [200, 403, 503])
    @pytest.mark.parametrize(
        "page",
        [
            b"<!doctype html><html><head><title>Just a moment...</title></head><body></body></html>",
            b"<html><body><script>window._cf_chl_opt={}</script></body></html>",
            b"<html><script src='https://geo.captcha-delivery.com/captcha/?x'></script></html>",
            b"<!DOCTYPE html><html><title>Making sure you&#39;re not a bot!</title></html>",
            b"<html><link href='/.within.website/x/cmd/anubis/static/a.css'></html>",
            b"<html><body><form action='/captcha'>Please solve this captcha</form></body></html>",
            b"<html><head><title>Access denied</title></head></html>",
        ],
    )
    def test_a_wall_is_refused_whatever_its_status(self, get: Get, page: bytes, status: int) -> None:
        with (
            serve({"/reviews": says(body=page, status=status)}) as server,
            pytest.raises(Refused, match="bot wall") as caught,
        ):
            get(server.url("/reviews"))
        assert server.url("/reviews") in str(caught.value)

    @pytest.mark.parametrize(
        "page",
        [
            HTML % (b"<form class='g-recaptcha'></form>" + b"<p>The room was clean and quiet.</p>" * 40),
            HTML % b"<script src='/cdn-cgi/challenge-platform/scripts/jsd/main.js'></script>Lovely stay",
            b"<html><title>Just a moment in Rome: our trip</title><body>text</body></html>",
            b"<rss><channel><title>Just a moment...</title></channel></rss>",
            b'{"title": "captcha"}',
        ],
        ids=["form with captcha", "Cloudflare's script", "title that begins alike", "feed", "json"],
    )
    def test_open_pages_are_no_walls(self, page: bytes) -> None:
        assert bot_wall({}, page) == ""

    @given(st.binary())
    def test_any_bytes_may_be_asked_about(self, body: bytes) -> None:
        assert isinstance(bot_wall({}, body), str) and isinstance(is_html(body), bool)


class TestSecrets:
    def test_never_in_messages_or_logs(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        secret = "hunter2"
        asked = f"/feed?api_key={secret}&token={secret}&feed={secret}&q=acme#{secret}"
        routes = {
            "/feed": says(status=404),
            "/robots.txt": says(body=b"User-agent: *\nDisallow: /feed"),
        }
        said: list[str] = []
        with serve(routes) as server, opened() as get:
            gone = f"http://me:{secret}@127.0.0.1:{closed_port()}{asked}"
            there = server.url(asked).replace("//", f"//me:{secret}@")
            for url, page in ((there, False), (there, True), (gone, False), (f"ftp://me:{secret}@x.example/", False)):
                with pytest.raises(SourceError) as caught:
                    get(url, page=page)
                said.append(f"{caught.value} {caught.value.__cause__}")
        assert len(said) == 4
        assert secret not in " ".join(said) + caplog.text
        assert "q=acme" in said[0]
        assert server.requests[0].headers["authorization"].startswith("Basic ")

    @given(st.text(alphabet=st.characters(codec="ascii")))
    def test_any_address_can_be_shown(self, url: str) -> None:
        assert isinstance(public_url(url), str)
        assert "hunter2" not in public_url(f"http://me:hunter2@x.example/{url.replace('@', '')}")

    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            ("https://u:p@x.example:8443/a?key=1&author=ann#f", "https://x.example:8443/a?key=...&author=ann"),
            ("https://www.reddit.com/.rss?feed=abc&user=me", "https://www.reddit.com/.rss?feed=...&user=me"),
            ("http://[::1]:80/a", "http://[::1]:80/a"),
            ("http://[bad", "an address that cannot be read"),
        ],
    )
    def test_how_an_address_is_shown(self, url: str, shown: str) -> None:
        assert public_url(url) == shown


class TestBody:
    BASE = Response(200, "https://x.example/data?key=1", {}, b"")

    @pytest.mark.parametrize("body", [b"", b"{", b"<html>", b"\xff\xfe", b"[" * 100_000])
    def test_what_is_no_json_is_broken(self, body: bytes) -> None:
        with pytest.raises(Broken, match="data") as caught:
            replace(self.BASE, body=body).json()
        assert caught.value.payload == body[:65536]

    @pytest.mark.parametrize(
        ("kind", "before", "text", "encoding"),
        [
            ("text/html; charset=iso-8859-2", "", "zażółć", "iso-8859-2"),
            ("text/html", '<meta charset="windows-1252">', "café – €", "cp1252"),
            ("text/html", "", "naïve", "utf-8-sig"),
            ("text/html", "", "日本語のレビュー", "utf-8"),
            ("", "", "grüße", "utf-16"),
        ],
    )
    def test_text_in_its_own_character_set(self, kind: str, before: str, text: str, encoding: str) -> None:
        body = (before + text).encode(encoding)
        assert replace(self.BASE, body=body, headers={"content-type": kind}).text() == before + text

    @given(st.binary(), st.sampled_from(["", "text/html; charset=utf-8", "a; charset=nonsense", "a; charset=hex"]))
    def test_text_never_fails(self, body: bytes, kind: str) -> None:
        assert isinstance(replace(self.BASE, body=body, headers={"content-type": kind}).text(), str)


def test_importing_the_door_does_not_import_requests() -> None:
    check = "import sys, listener.http; print([m for m in ('requests', 'bs4', 'protego', 'lxml') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
