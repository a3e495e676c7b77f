"""The messages of a websocket, through the one door, against a real server on loopback."""

from __future__ import annotations

import logging
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from itertools import count, islice
from typing import Any

import pytest
import trustme
from streaming import streaming
from websockets.sync.server import ServerConnection

from listener.config import HttpSettings
from listener.errors import Broken, Refused, Retry, SourceError, Unauthorised
from listener.http import Get, open_get
from loopback import Answer, closed_port, serve


def opened(**changes: Any) -> AbstractContextManager[Get]:
    how = {name: changes.pop(name) for name in ("sleep", "clock", "verify") if name in changes}
    settings = HttpSettings(**{"gap_s": 0, "timeout_s": 5, "allow_private": ["127.0.0.1"], **changes})
    return open_get(settings, **how)


@pytest.fixture
def get() -> Iterator[Get]:
    with opened() as opened_get:
        yield opened_get


def sends(*messages: str | bytes) -> Callable[[ServerConnection], object]:
    return lambda line: [line.send(message) for message in messages]


def floods(line: ServerConnection) -> None:
    for number in count():
        line.send(f"{number}".zfill(1000))


@contextmanager
def raw(*pieces: bytes, then_s: float = 0.0) -> Iterator[str]:
    """A server that sends bytes of its own and hangs up `then_s` later; its address."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            line, _ = listening.accept()
            with line:
                line.recv(65536)
                for piece in pieces:
                    line.sendall(piece)
                done.wait(then_s)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield f"ws://127.0.0.1:{listening.getsockname()[1]}/"
        done.set()
        thread.join()


def first(stream: Generator[bytes, None, None], n: int = 1) -> list[bytes]:
    with closing(stream):
        return list(islice(stream, n))


def read(messages: Iterable[bytes]) -> tuple[list[bytes], SourceError | None]:
    """What came, and what ended it."""
    came = []
    try:
        for message in messages:
            came.append(message)
    except SourceError as error:
        return came, error
    return came, None


class TestMessages:
    def test_come_in_order_as_bytes(self, get: Get) -> None:
        with streaming(sends("first", b"\x00second", "déjà vu")) as server:
            assert first(get.messages(server.url()), 3) == [b"first", b"\x00second", "déjà vu".encode()]

    def test_the_server_hears_who_asks_for_what(self) -> None:
        with streaming(sends("x")) as server, opened(contact="ops@example.com") as get:
            first(get.messages(server.url("/subscribe?a=1"), params={"q": "ä&b", "cursor": "5"}))
        request = server.requests[0]
        assert request.path == "/subscribe?a=1&q=%C3%A4%26b&cursor=5"
        assert request.headers["User-Agent"].startswith("listener/")
        assert request.headers["User-Agent"].endswith(" (+ops@example.com)")
        assert "Origin" not in request.headers and "Cookie" not in request.headers

    def test_no_proxy_of_the_environment_is_used(self, get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "socks_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
        with streaming(sends("direct")) as server:
            assert first(get.messages(server.url())) == [b"direct"]

    def test_nobody_is_asked_before_the_first_message_is_wanted(self, get: Get) -> None:
        with streaming(sends("x")) as server:
            get.messages(server.url())
        assert server.requests == []

    def test_streams_of_one_host_keep_their_distance(self) -> None:
        slept: list[float] = []
        with streaming(sends("x")) as server, opened(gap_s=2, sleep=slept.append, clock=lambda: 0.0) as get:
            first(get.messages(server.url()))
            first(get.messages(server.url()))
        assert slept == [2]


class TestEnds:
    def test_closing_the_generator_closes_the_connection(self, get: Get) -> None:
        with streaming(sends("x")) as server:
            stream = get.messages(server.url())
            next(stream)
            stream.close()
            assert server.left.wait(2)

    def test_a_generator_that_is_dropped_closes_it_too(self, get: Get) -> None:
        with streaming(sends("x")) as server:
            for _ in get.messages(server.url()):
                break
            assert server.left.wait(2)

    def test_a_server_that_goes_on_sending_does_not_hold_us_up(self, get: Get) -> None:
        with streaming(floods) as server:
            stream = get.messages(server.url())
            assert len(list(islice(stream, 500))) == 500
            started = time.monotonic()
            stream.close()
            assert time.monotonic() - started < 2
            assert server.left.wait(5)

    def test_so_many_bytes_and_no_more(self, get: Get) -> None:
        with streaming(floods) as server:
            assert read(get.messages(server.url(), limit_bytes=9_500)) == ([b"%01000d" % n for n in range(10)], None)

    def test_so_many_seconds_and_no_more(self, get: Get) -> None:
        def drips(line: ServerConnection) -> None:
            while True:
                line.send("x")
                time.sleep(0.05)

        with streaming(drips) as server:
            started = time.monotonic()
            came, error = read(get.messages(server.url(), limit_s=0.5))
        assert came and error is None
        assert time.monotonic() - started < 3

    def test_the_end_of_the_time_is_no_silence(self, get: Get) -> None:
        with streaming(sends("x")) as server:
            assert read(get.messages(server.url(), limit_s=0.3)) == ([b"x"], None)


class TestFailures:
    def test_a_server_that_drops_the_line(self, get: Get) -> None:
        def drops(line: ServerConnection) -> None:
            line.send("before")
            time.sleep(0.1)
            line.socket.shutdown(socket.SHUT_RDWR)

        with streaming(drops) as server:
            came, error = read(get.messages(server.url()))
        assert came == [b"before"]
        assert isinstance(error, Retry) and "broke off" in str(error) and server.url() in str(error)

    @pytest.mark.parametrize("code", [1000, 1001, 1008, 1011])
    def test_a_server_that_says_goodbye(self, get: Get, code: int) -> None:
        def leaves(line: ServerConnection) -> None:
            line.send("before")
            line.close(code, "too slow")

        with streaming(leaves) as server:
            came, error = read(get.messages(server.url()))
        assert (came, type(error)) == ([b"before"], Retry)

    def test_a_server_that_is_silent(self) -> None:
        with streaming(sends("one")) as server, opened(timeout_s=0.3) as get:
            came, error = read(get.messages(server.url()))
        assert came == [b"one"]
        assert isinstance(error, Retry) and "no answer within 0.3 s (timeout_s" in str(error)

    def test_a_message_that_never_gets_whole(self) -> None:
        def pieces() -> Iterator[str]:
            for _ in range(100):
                yield "x"
                time.sleep(0.05)

        with streaming(lambda line: line.send(pieces())) as server, opened(timeout_s=0.3) as get:
            started = time.monotonic()
            came, error = read(get.messages(server.url()))
            assert time.monotonic() - started < 3
        assert came == [] and isinstance(error, Retry) and "timeout_s" in str(error)

    def test_silence_from_the_beginning(self) -> None:
        with raw(then_s=10) as url, opened(timeout_s=0.3) as get:
            _, error = read(get.messages(url))
        assert isinstance(error, Retry) and "timeout_s" in str(error)

    def test_a_line_that_is_cut_before_the_answer(self, get: Get) -> None:
        with raw() as url:
            _, error = read(get.messages(url))
        assert isinstance(error, Retry) and "broke off" in str(error)

    @pytest.mark.parametrize(
        "answer",
        [b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"],
    )
    def test_another_protocol(self, get: Get, answer: bytes) -> None:
        with raw(answer, then_s=1) as url:
            _, error = read(get.messages(url))
        assert isinstance(error, Broken) and url in str(error)

    def test_nobody_there(self, get: Get) -> None:
        _, error = read(get.messages(f"ws://127.0.0.1:{closed_port()}/"))
        assert isinstance(error, Retry) and "cannot be reached" in str(error)

    def test_unknown_name(self, get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
        def unknown(*_: Any, **__: Any) -> Any:
            raise socket.gaierror(socket.EAI_NONAME, "not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        _, error = read(get.messages("wss://no-such-host.example/"))
        assert isinstance(error, Retry) and "name is not found" in str(error)

    @pytest.mark.parametrize("url", ["https://x.example/", "file:///etc/passwd", "ws://", "ws://[bad", "x"])
    def test_only_websockets_are_read(self, get: Get, url: str) -> None:
        _, error = read(get.messages(url))
        assert isinstance(error, Refused) and "ws and wss" in str(error)


class TestSize:
    def test_an_oversize_message_is_broken(self) -> None:
        with streaming(sends("small", "x" * 2001)) as server, opened(max_bytes=2000) as get:
            came, error = read(get.messages(server.url()))
        assert came == [b"small"]
        assert isinstance(error, Broken) and "max_bytes" in str(error)

    def test_so_is_one_that_comes_in_pieces(self) -> None:
        with streaming(lambda line: line.send(["x" * 900] * 3)) as server, opened(max_bytes=2000) as get:
            _, error = read(get.messages(server.url()))
        assert isinstance(error, Broken) and "max_bytes" in str(error)

    def test_so_is_a_small_one_that_unpacks_to_it(self) -> None:
        with streaming(sends("\0" * 5_000_000)) as server, opened(max_bytes=1_000_000) as get:
            _, error = read(get.messages(server.url()))
        assert isinstance(error, Broken) and "max_bytes" in str(error)

    def test_a_message_as_large_as_the_limit_is_read(self) -> None:
        with streaming(sends("x" * 2000)) as server, opened(max_bytes=2000) as get:
            assert first(get.messages(server.url())) == [b"x" * 2000]


class TestStatus:
    @pytest.mark.parametrize(
        ("status", "expected"),
        [
            (200, Broken), (204, Broken), (302, Broken), (400, Broken), (401, Unauthorised), (403, Refused),
            (404, Broken), (429, Retry), (500, Retry), (503, Retry),
        ],
    )  # fmt: skip
    def test_a_refusal_has_the_consequence_it_has_for_pages(
        self, get: Get, status: int, expected: type[SourceError]
    ) -> None:
        def refuses(_: Any) -> Answer:
            headers = {"Retry-After": "120"} if issubclass(expected, Retry) else {"Location": "/elsewhere"}
            return Answer(b"CursorTooOld", status, headers)

        with serve({"/subscribe": refuses}) as server:
            url = server.url("/subscribe").replace("http", "ws")
            _, error = read(get.messages(url))
        assert type(error) is expected and url in str(error)
        assert error.payload == (b"" if status == 204 else b"CursorTooOld")
        assert server.paths == ["/subscribe"]
        if isinstance(error, Retry):
            assert error.after == 120


class TestAddresses:
    def test_a_private_server_is_refused(self) -> None:
        with streaming(sends("secret")) as server, opened(allow_private=[]) as get:
            for host in ("127.0.0.1", "localhost"):
                _, error = read(get.messages(server.url(host=host)))
                assert isinstance(error, Refused) and "allow_private" in str(error)
        assert server.requests == []

    def test_one_may_be_allowed_with_its_port(self) -> None:
        with (
            streaming(sends("one")) as one,
            streaming(sends("two")) as two,
            opened(allow_private=[f"localhost:{one.port}"]) as get,
        ):
            assert first(get.messages(one.url(host="localhost"))) == [b"one"]
            assert isinstance(read(get.messages(two.url(host="localhost")))[1], Refused)
        assert two.requests == []

    def test_a_name_is_resolved_once_and_the_checked_address_is_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[str] = []
        reached: list[Any] = []

        def resolve(host: str, port: int, **_: Any) -> list[Any]:
            asked.append(host)
            address = "93.184.216.34" if len(asked) == 1 else "127.0.0.1"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        def connect(_: socket.socket, address: Any) -> None:
            reached.append(address)
            raise ConnectionRefusedError(111, "refused")

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        monkeypatch.setattr(socket.socket, "connect", connect)
        with opened(allow_private=[]) as get:
            assert isinstance(read(get.messages("wss://rebind.example/"))[1], Retry)
        assert (asked, reached) == (["rebind.example"], [("93.184.216.34", 443)])


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


class TestTLS:
    @staticmethod
    def context(authority: trustme.CA, name: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(context)
        return context

    def test_messages_of_a_server_that_proves_its_name(self, authority: trustme.CA) -> None:
        asked: list[str | None] = []
        context = self.context(authority, "localhost")
        context.sni_callback = lambda _, wanted, __: asked.append(wanted)
        with (
            authority.cert_pem.tempfile() as trusted,
            streaming(sends("safe"), context) as server,
            opened(allow_private=["localhost"], verify=trusted) as get,
        ):
            assert first(get.messages(server.url(host="localhost"))) == [b"safe"]
        assert asked == ["localhost"]
        assert server.requests[0].headers["Host"] == f"localhost:{server.port}"

    @pytest.mark.parametrize("name", ["other.example", "localhost"])
    def test_another_name_and_an_unknown_authority_are_not_trusted(self, authority: trustme.CA, name: str) -> None:
        with authority.cert_pem.tempfile() as trusted, streaming(sends("x"), self.context(authority, name)) as server:
            verify = trusted if name == "other.example" else True
            with opened(allow_private=["localhost"], verify=verify) as get:
                _, error = read(get.messages(server.url(host="localhost")))
        assert isinstance(error, Retry) and "certificate is not trusted" in str(error)
        assert server.requests == []

    def test_a_server_that_speaks_no_tls(self, get: Get) -> None:
        with streaming(sends("x")) as server:
            _, error = read(get.messages(server.url().replace("ws:", "wss:")))
        assert isinstance(error, Retry) and server.requests == []


def test_secrets_are_in_no_message_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    said = []
    with serve({}) as server, opened() as get:
        for base in (server.url().replace("http", "ws"), f"ws://127.0.0.1:{closed_port()}/"):
            url = base.replace("//", "//me:hunter2@")
            _, error = read(get.messages(url, params={"token": "hunter2", "q": "acme"}))
            said.append(f"{error} {error and error.__cause__}")
    assert "q=acme" in said[0] and "hunter2" not in " ".join(said) + caplog.text


def test_the_door_and_the_command_line_do_without_websockets() -> None:
    check = "import sys, listener.http, listener.cli; print('websockets' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
