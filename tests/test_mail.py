"""Mails as a person and a mail server meet them: real SMTP servers on loopback, real certificates."""

from __future__ import annotations

import email
import email.policy
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP as SMTPServer
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session
from hypothesis import given, settings
from hypothesis import strategies as st

from listener.config import MailSettings
from listener.errors import MailError
from listener.mail import Rendered, compose, send, write_files

DAY = date(2026, 11, 21)
NOW = datetime(2026, 11, 22, 6, 30, tzinfo=UTC)
PASSWORD = "correct horse 7"
RENDERED = Rendered(
    "Harbour & Pine: 43 mentions",
    "Grüße\n\n.a line that starts with a dot\n..two\n",
    "<p>Grüße &amp; <b>" + "x" * 3000 + "</b></p>\n",
)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


class Inbox:
    """An aiosmtpd handler that keeps what it takes, or answers as told."""

    def __init__(self, rcpt: str = "", data: str = "250 taken") -> None:
        self.rcpt, self.data = rcpt, data
        self.mails: list[bytes] = []

    async def handle_RCPT(
        self, server: SMTPServer, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.rcpt:
            return self.rcpt
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTPServer, session: Session, envelope: Envelope) -> str:
        if self.data.startswith("250"):
            self.mails.append(envelope.original_content or b"")
        return self.data


def check_login(server: SMTPServer, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    right = isinstance(data, LoginPassword) and data.login == b"listener" and data.password == PASSWORD.encode()
    return AuthResult(success=right, handled=right)


@contextmanager
def smtp_server(inbox: Inbox, **options: Any) -> Iterator[int]:
    """A server on a free port of loopback; implicit TLS takes `ssl_context`, STARTTLS `tls_context`."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(inbox, hostname="localhost", port=port, **options)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


@contextmanager
def scripted_server(*answers: bytes | None) -> Iterator[int]:
    """Sends one answer a command (the first is the greeting), then closes; None = say nothing and keep the line open.

    After a 354 it reads to the end of the mail before the next answer.
    """
    listener, done = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def serve() -> None:
        with closing(listener), closing(listener.accept()[0]) as line:
            received = line.makefile("rb")
            for answer in answers:
                if answer is None:
                    done.wait(10)
                    return
                line.sendall(answer)
                while received.readline() != b".\r\n" and answer.startswith(b"354"):
                    pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        done.set()
        thread.join(10)


def mail(rendered: Rendered = RENDERED) -> email.message.EmailMessage:
    return compose(rendered, "Listener <listener@example.org>", "anna@hotel.example", DAY, "daily", NOW)


def mail_settings(port: int, **changes: Any) -> MailSettings:
    base: dict[str, Any] = {"host": "localhost", "port": port, "security": "none", "timeout_s": 5}
    return MailSettings.model_validate({**base, "sender": "listener@example.org", **changes})


def spelling(message: email.message.EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def failure(port: int, **changes: Any) -> MailError:
    with pytest.raises(MailError) as caught:
        send(mail(), mail_settings(port, **changes))
    assert PASSWORD not in str(caught.value)
    return caught.value


# What a mail is.


def test_a_mail_carries_both_spellings_and_the_headers_of_an_automatic_list() -> None:
    message = mail()
    again = email.message_from_bytes(message.as_bytes(), policy=email.policy.default)
    assert again.get_content_type() == "multipart/alternative"
    assert spelling(again, "plain") == RENDERED.text
    assert spelling(again, "html") == RENDERED.html
    assert again["Subject"] == "Harbour & Pine: 43 mentions"
    assert again["Date"].datetime == NOW
    assert again["Auto-Submitted"] == "auto-generated"
    assert again["List-Unsubscribe"] == "<mailto:listener@example.org?subject=unsubscribe>"
    assert "<daily.listener.example.org>" in again["List-Id"]
    assert again["Message-ID"].endswith("@example.org>")
    assert max(map(len, message.as_bytes().split(b"\r\n"))) <= 998  # RFC 5322, 2.1.1


def test_a_digest_composed_twice_is_the_same_mail_and_another_day_is_another() -> None:
    assert mail().as_bytes() == mail().as_bytes()
    later = compose(RENDERED, "Listener <listener@example.org>", "anna@hotel.example", DAY, "daily", datetime.now(UTC))
    assert later["Message-ID"] == mail()["Message-ID"]
    others = {
        compose(RENDERED, sender, recipient, day, cadence, NOW)["Message-ID"]
        for sender, recipient, day, cadence in [
            ("a@example.org", "anna@hotel.example", DAY, "daily"),
            ("a@example.com", "anna@hotel.example", DAY, "daily"),
            ("a@example.org", "ben@hotel.example", DAY, "daily"),
            ("a@example.org", "anna@hotel.example", date(2026, 11, 22), "daily"),
            ("a@example.org", "anna@hotel.example", DAY, "weekly"),
        ]
    }
    assert len(others) == 5


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=300))
def test_no_subject_can_add_a_header(subject: str) -> None:
    message = compose(
        Rendered(subject + "\r\nBcc: spy@example.net", "t", "h"), "a@example.org", "b@example.org", DAY, "daily", NOW
    )
    again = email.message_from_bytes(message.as_bytes(), policy=email.policy.default)
    assert again["Bcc"] is None
    assert set(again.keys()) == set(message.keys())


@pytest.mark.parametrize(
    "wrong",
    ["", "anna", "anna@", "@example.org", "a@example.org, b@example.org", "a@example.org\r\nBcc: b@example.org",
     "a@example.org\n", "zoë@example.org", "anna smith@example.org", "x\u202e@example.org"],
)  # fmt: skip
def test_an_address_is_one_address(wrong: str) -> None:
    with pytest.raises(MailError, match="recipient") as caught:
        compose(RENDERED, "a@example.org", wrong, DAY, "daily", NOW)
    assert not caught.value.temporary
    with pytest.raises(MailError, match=r"mail\.sender"):
        compose(RENDERED, wrong, "a@example.org", DAY, "daily", NOW)


def test_a_domain_in_its_own_script_is_sent_in_ascii() -> None:
    message = compose(RENDERED, "a@example.org", "anna@bücher.example", DAY, "daily", NOW)
    assert message["To"].addresses[0].addr_spec == "anna@xn--bcher-kva.example"


# Handing it over.


def test_a_mail_arrives_whole_dots_and_all() -> None:
    inbox = Inbox()
    with smtp_server(inbox) as port:
        send(mail(), mail_settings(port))
    arrived = email.message_from_bytes(inbox.mails[0], policy=email.policy.default)
    assert spelling(arrived, "plain") == RENDERED.text
    assert spelling(arrived, "html") == RENDERED.html


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_over_a_checked_connection_with_a_login(
    security: str, server_tls: ssl.SSLContext, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTENER_TEST_PASSWORD", PASSWORD)
    inbox = Inbox()
    # aiosmtpd takes only STARTTLS for a safe line, so an implicit one must be told to offer the login.
    options: dict[str, Any] = (
        {"ssl_context": server_tls, "auth_require_tls": False}
        if security == "tls"
        else {"tls_context": server_tls, "require_starttls": True}
    )
    with smtp_server(inbox, authenticator=check_login, auth_required=True, **options) as port:
        login = {"username": "listener", "password_env": "LISTENER_TEST_PASSWORD"}
        send(mail(), mail_settings(port, security=security, ca_file=str(ca_file), **login))
    assert len(inbox.mails) == 1


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_certificate_nobody_vouches_for_is_refused(security: str, server_tls: ssl.SSLContext) -> None:
    inbox = Inbox()
    options = {"ssl_context" if security == "tls" else "tls_context": server_tls}
    with smtp_server(inbox, **options) as port:
        error = failure(port, security=security)
    assert "certificate is not trusted" in str(error)
    assert error.certain
    assert not error.temporary
    assert inbox.mails == []


def test_a_certificate_of_another_name_is_refused(authority: trustme.CA, ca_file: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("mail.elsewhere.example").configure_cert(context)
    with smtp_server(Inbox(), tls_context=context) as port:
        error = failure(port, security="starttls", ca_file=str(ca_file))
    assert "mail.host" in str(error)
    assert not error.temporary


def test_a_server_without_starttls_gets_nothing_in_the_clear() -> None:
    inbox = Inbox()
    with smtp_server(inbox) as port:
        error = failure(port, security="starttls")
    assert "STARTTLS" in str(error)
    assert not error.temporary
    assert inbox.mails == []


def test_the_wrong_port_for_tls_names_the_settings() -> None:
    with smtp_server(Inbox()) as port:
        error = failure(port, security="tls")
    assert "mail.port" in str(error)
    assert "mail.security" in str(error)
    assert not error.temporary


def test_a_refused_login_is_permanent_names_the_setting_and_keeps_the_password(
    server_tls: ssl.SSLContext, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTENER_TEST_PASSWORD", "wrong horse 8")
    with smtp_server(Inbox(), authenticator=check_login, tls_context=server_tls) as port:
        login = {"username": "listener", "password_env": "LISTENER_TEST_PASSWORD"}
        error = failure(port, security="starttls", ca_file=str(ca_file), **login)
    assert not error.temporary
    assert error.certain
    assert "mail.username" in str(error)
    assert "mail.password_env" in str(error)
    assert "wrong horse" not in str(error)


def test_a_server_that_repeats_the_password_does_not_get_it_into_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTENER_TEST_PASSWORD", PASSWORD)
    answers = (b"220 hi\r\n", b"250-hi\r\n250 AUTH PLAIN\r\n", f"535 no such login: {PASSWORD}\r\n".encode())
    with scripted_server(*answers) as port:
        error = failure(port, username="listener", password_env="LISTENER_TEST_PASSWORD")
    assert "no such login: ***" in str(error)
    assert error.__suppress_context__


def test_a_login_put_off_is_temporary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTENER_TEST_PASSWORD", PASSWORD)
    with scripted_server(b"220 hi\r\n", b"250-hi\r\n250 AUTH PLAIN\r\n", b"454 try again later\r\n") as port:
        assert failure(port, username="listener", password_env="LISTENER_TEST_PASSWORD").temporary


def test_a_password_that_is_not_there_is_named_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LISTENER_TEST_PASSWORD", raising=False)
    inbox = Inbox()
    with smtp_server(inbox) as port:
        error = failure(port, username="listener", password_env="LISTENER_TEST_PASSWORD")
    assert "LISTENER_TEST_PASSWORD" in str(error)
    assert not error.temporary
    assert inbox.mails == []


@pytest.mark.parametrize(
    ("inbox", "temporary", "words"),
    [
        (Inbox(rcpt="450 4.2.1 greylisted"), True, "greylisted"),
        (Inbox(rcpt="550 5.1.1 no such user"), False, "anna@hotel.example"),
        (Inbox(data="452 4.3.1 disk full"), True, "disk full"),
        (Inbox(data="554 5.7.1 looks like spam"), False, "looks like spam"),
    ],
)
def test_a_refusal_is_temporary_or_permanent_as_the_server_says(inbox: Inbox, temporary: bool, words: str) -> None:
    with smtp_server(inbox) as port:
        error = failure(port)
    assert error.temporary is temporary
    assert error.certain
    assert words in str(error)


ENVELOPE = (b"220 hi\r\n", b"250 hi\r\n", b"250 sender ok\r\n", b"250 recipient ok\r\n")


def test_a_line_lost_after_the_text_leaves_it_open_whether_the_mail_was_taken() -> None:
    with scripted_server(*ENVELOPE, b"354 go\r\n") as port:
        error = failure(port)
    assert not error.certain


def test_a_server_silent_after_the_text_leaves_it_open_too() -> None:
    with scripted_server(*ENVELOPE, b"354 go\r\n", None) as port:
        error = failure(port, timeout_s=0.3)
    assert not error.certain


def test_a_line_lost_before_the_text_is_certain() -> None:
    with scripted_server(*ENVELOPE) as port:
        error = failure(port)
    assert error.certain
    assert error.temporary


@pytest.mark.parametrize("before", [0, 1, 3])
def test_a_hanging_server_is_given_up_in_time(before: int) -> None:
    with scripted_server(*ENVELOPE[:before], None) as port:
        error = failure(port, timeout_s=0.3)
    assert error.temporary
    assert error.certain


def test_a_rude_goodbye_does_not_unsend_a_mail() -> None:
    with scripted_server(*ENVELOPE, b"354 go\r\n", b"250 taken\r\n") as port:
        send(mail(), mail_settings(port))


def test_no_server_there_is_temporary_and_says_where() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as closed:
        port = closed.getsockname()[1]
    error = failure(port)
    assert error.temporary
    assert f"localhost:{port}" in str(error)


# Files.


def test_the_files_hold_the_mail_and_both_spellings(tmp_path: Path) -> None:
    eml, html, text = write_files(mail(), tmp_path / "new" / "folder", DAY)
    assert [path.name for path in (eml, html, text)] == [
        "digest-2026-11-21.eml", "digest-2026-11-21.html", "digest-2026-11-21.txt",
    ]  # fmt: skip
    assert html.read_text("utf-8") == RENDERED.html
    assert text.read_text("utf-8") == RENDERED.text
    assert email.message_from_bytes(eml.read_bytes(), policy=email.policy.default)["To"] == "anna@hotel.example"
    assert len(list(eml.parent.iterdir())) == 3


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(MailError, match="taken"):
        write_files(mail(), tmp_path / "taken", DAY)
