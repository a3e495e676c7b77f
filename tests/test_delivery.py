"""How a mail leaves this machine other than to a mail server: by sendmail, as files; and what ties mails together."""

from __future__ import annotations

import email
import email.policy
import stat
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from test_mail import DAY, NOW, RENDERED, Inbox, smtp_server

from listener import config as configuration
from listener.cli import main
from listener.config import MailSettings
from listener.errors import ConfigError
from listener.mail import compose
from listener.mail.delivery import deliver, way

ANNA = "anna@hotel.example"


def message(day: date = DAY, cadence: str = "daily", to: str = ANNA) -> email.message.EmailMessage:
    return compose(RENDERED, "Listener <listener@example.org>", to, day, cadence, NOW)


def program(folder: Path, body: str) -> Path:
    """A program in place of sendmail: `$@` is what it was given, the mail is on its standard input."""
    path = folder / "sendmail"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(stat.S_IRWXU)
    return path


def by(path: Path, **changes: Any) -> MailSettings:
    table = {"via": "sendmail", "sendmail": path, "sender": "listener@example.org", "timeout_s": 5}
    return MailSettings.model_validate({**table, **changes})


# --- sendmail ---


def test_sendmail_gets_the_mail_whole_and_the_addresses_as_no_options(tmp_path: Path) -> None:
    path = program(tmp_path, f'printf "%s\\n" "$@" > {tmp_path}/given; cat > {tmp_path}/mail')
    assert deliver(message(to="-oQ/tmp@hotel.example"), by(path), tmp_path, DAY) == ("sent", "")
    assert (tmp_path / "given").read_text().split() == [
        "-i", "-f", "listener@example.org", "--", "-oQ/tmp@hotel.example",
    ]  # fmt: skip
    raw = (tmp_path / "mail").read_bytes()
    assert b"\r\n" not in raw and b"\n.a line that starts with a dot\n..two\n" in raw
    taken = email.message_from_bytes(raw, policy=email.policy.default)
    body = taken.get_body(("plain",))
    assert taken["To"] == "-oQ/tmp@hotel.example" and body is not None and body.get_content() == RENDERED.text


@pytest.mark.parametrize(
    ("body", "state", "words"),
    [
        ("cat > /dev/null; echo 'no such user' >&2; exit 67", "failed", "no such user"),
        ("cat > /dev/null; exit 75", "failed", "exit 75"),
        ("cat > /dev/null; sleep 30", "unknown", "not known"),
        ("exec 0<&-; exit 71", "failed", "exit 71"),
    ],
)
def test_the_word_of_sendmail_is_taken(tmp_path: Path, body: str, state: str, words: str) -> None:
    ended, detail = deliver(message(), by(program(tmp_path, body), timeout_s=0.5), tmp_path, DAY)
    assert ended == state and words in detail


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    ended, detail = deliver(message(), by(tmp_path / "nothing"), tmp_path, DAY)
    assert ended == "failed" and "nothing" in detail and "[mail]" in detail


# --- the way that is configured ---


def test_the_way_is_the_one_configured(tmp_path: Path) -> None:
    assert (
        way(MailSettings()) == "files" and way(MailSettings(via="files", host="h", sender="l@example.org")) == "files"
    )
    assert way(MailSettings(host="mail.example.org", sender="l@example.org")) == "smtp"
    ended, where = deliver(message(), MailSettings(), tmp_path / "box", DAY)
    assert ended == "sent" and Path(where).read_text().startswith("<p>Gr")
    inbox = Inbox()
    with smtp_server(inbox) as port:
        settings = MailSettings(host="localhost", port=port, security="none", sender="l@example.org")
        assert deliver(message(), settings, tmp_path, DAY) == ("sent", "") and len(inbox.mails) == 1


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ('via = "smtp"', "host is missing"),
        ('via = "sendmail"', "sender is missing"),
        ('via = "pigeon"', "not 'pigeon'"),
    ],
)
def test_a_way_that_cannot_be_is_refused(tmp_path: Path, keys: str, words: str) -> None:
    path = tmp_path / "listener.toml"
    path.write_text(f"[mail]\n{keys}\n")
    with pytest.raises(ConfigError, match=words):
        configuration.load(path)


def test_a_trial_goes_through_sendmail_and_is_not_entered(tmp_path: Path) -> None:
    path = program(tmp_path, f"cat > {tmp_path}/mail")
    (tmp_path / "listener.toml").write_text(
        f'timezone = "UTC"\ndatabase = "listener.db"\n[[brand]]\nname = "Harbour"\n'
        f'[mail]\nvia = "sendmail"\nsendmail = "{path}"\nsender = "l@example.org"\n'
        '[[recipient]]\nemail = "anna@example.org"\n'
    )
    options = ["--config", str(tmp_path / "listener.toml")]
    (tmp_path / "posts.jsonl").write_text('{"id": "1", "text": "The Harbour is lovely", "created_at": "2026-01-02"}\n')
    CliRunner().invoke(main, ["import", str(tmp_path / "posts.jsonl"), "--source", "survey", *options])
    result = CliRunner().invoke(main, ["digest", "--date", "2026-01-02", "--to", "me@example.org", *options])
    assert result.exit_code == 0, result.output
    taken = email.message_from_bytes((tmp_path / "mail").read_bytes(), policy=email.policy.default)
    assert taken["To"] == "me@example.org"
    sent = CliRunner().invoke(main, ["digest", "--date", "2026-01-02", "--send", *options])
    assert "anna@example.org: sent" in sent.output
    again = CliRunner().invoke(main, ["digest", "--date", "2026-01-02", "--send", *options])
    assert "had it already" in again.output


# --- what ties mails together ---


def test_the_digests_of_a_week_are_one_conversation() -> None:
    monday = date(2026, 11, 16)
    week = [message(monday + timedelta(days=n)) for n in range(8)]
    threads = [mail["References"] for mail in week]
    assert len(set(threads[:7])) == 1 and threads[7] != threads[0]
    assert len({mail["Message-ID"] for mail in week}) == 8 and threads[0] not in {mail["Message-ID"] for mail in week}
    assert message(monday, "weekly")["References"] != threads[0]
    assert message(monday, to="ben@hotel.example")["References"] != threads[0]


def test_a_list_is_left_by_mail_and_promises_no_click_that_nobody_answers() -> None:
    mail = message()
    assert mail["List-Unsubscribe"] == "<mailto:listener@example.org?subject=unsubscribe>"
    assert mail["List-Unsubscribe-Post"] is None
    assert mail["Auto-Submitted"] == "auto-generated" and mail["Date"].datetime == NOW


def test_a_weekly_digest_goes_out_for_the_last_whole_week_and_once(tmp_path: Path) -> None:
    (tmp_path / "listener.toml").write_text(
        'timezone = "UTC"\ndatabase = "listener.db"\n[[brand]]\nname = "Harbour"\n'
        '[mail]\nvia = "files"\nfolder = "box"\n'
        '[[recipient]]\nemail = "anna@example.org"\ncadence = "weekly"\nweekday = "wednesday"\n'
    )
    options = ["--config", str(tmp_path / "listener.toml")]
    (tmp_path / "posts.jsonl").write_text('{"id": "1", "text": "The Harbour is lovely", "created_at": "2026-01-02"}\n')
    CliRunner().invoke(main, ["import", str(tmp_path / "posts.jsonl"), "--source", "survey", *options])
    for day in (
        "2026-01-07",
        "2026-01-13",
    ):  # the week to Tuesday 6 January, and that to the 13th
        result = CliRunner().invoke(main, ["digest", "--date", day, "--send", *options])
        assert result.exit_code == 0, result.output
    names = sorted(path.name for path in (tmp_path / "box" / "anna@example.org").glob("*.eml"))
    assert names == ["digest-2026-01-06.eml", "digest-2026-01-13.eml"]
    taken = email.message_from_bytes(
        (tmp_path / "box" / "anna@example.org" / names[0]).read_bytes(), policy=email.policy.default
    )
    assert "week to Tue 6 Jan" in taken["Subject"]
    again = CliRunner().invoke(main, ["digest", "--date", "2026-01-09", "--send", *options])
    assert "had it already" in again.output
