"""Who is told of an event: once each, by mail, signed webhook or chat service, also when a server or we fail."""

from __future__ import annotations

import email
import email.policy
import hmac
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.handlers import Sink
from click.testing import CliRunner
from posting import NOW, OSLO
from test_mail import Inbox, scripted_server, smtp_server

from listener import alerting, upkeep
from listener import config as configuration
from listener.cli import main
from listener.config import Config
from listener.errors import ConfigError
from listener.migrations import stamp
from listener.records import Page, Post
from listener.store import Store
from listener.tables import events
from loopback import Answer, Request, serve

KEY = "a long random key"
FIGURES = {
    "window_h": 3, "until": "2026-11-22T06:00:00Z", "seen": 41, "usual": 6.2, "low": 2, "high": 11, "weeks": 8,
    "p": 1e-9, "terms": [["refund", 31]], "sources": [["forum", 38], ["news", 3]], "copies": 12, "posts": [1],
}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store.open(tmp_path / "listener.db", OSLO, author_key=b"k")) as opened:
        text = "My refund <b>never</b> came & nobody answers."
        post = Post("forum", "p1", text, url="https://forum.example/p1", created_at=NOW - timedelta(hours=1))
        opened.save_page("forum", Page((post,)), [{"Harbour": "its name"}], NOW)
        yield opened


def happen(store: Store, now: datetime = NOW, kind: str = "mentions", brand: str = "Harbour", about: str = "") -> None:
    with store.writing() as connection:
        assert events.begin(connection, (kind, brand, about), now - timedelta(hours=3), FIGURES, now)


def config(store: Store, **tables: Any) -> Config:
    brands = [{"name": "Harbour"}, {"name": "Lumen", "role": "competitor"}]
    base = {"timezone": "Europe/Oslo", "database": str(store.path), "brand": brands}
    return Config.model_validate({**base, "http": {"allow_private": ["127.0.0.1"]}, **tables})


def mailed(store: Store, port: int, *people: dict[str, Any], **tables: Any) -> Config:
    server = {
        "host": "localhost",
        "port": port,
        "security": "none",
        "sender": "Listener <l@example.org>",
        "timeout_s": 2,
    }
    return config(
        store, mail=server, recipient=list(people or [{"email": "anna@example.org", "alerts": True}]), **tables
    )


def hooked(store: Store, url: str, **options: Any) -> Config:
    hook = {"name": "desk", "url": url, "secret": {"env": "DESK_KEY"}, **options}
    return config(store, webhook=[hook])


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESK_KEY", KEY)


def tell(store: Store, chosen: Config, now: datetime = NOW) -> list[str]:
    return [state for _, state in alerting.tell(store, chosen, lambda: now)]


def taken(_: Request) -> Answer:
    return Answer(b"ok")


# --- by mail ---


def test_a_mail_says_what_happened_why_and_where_to_read_it(store: Store) -> None:
    happen(store)
    inbox = Inbox()
    with smtp_server(inbox) as port:
        assert tell(store, mailed(store, port)) == ["sent"]
        assert tell(store, mailed(store, port), NOW + timedelta(hours=1)) == [], "once"
    (raw,) = inbox.mails
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    assert mail["Subject"] == "Harbour: 41 mentions in 3 hours, usually about 6"
    assert (
        mail["List-Id"] == "Listener alert <alert.listener.example.org>" and mail["Auto-Submitted"] == "auto-generated"
    )
    text = mail.get_body(("plain",)).get_content()
    assert "“refund” (31)" in text and "forum (38)" in text and "12 more places" in text
    assert "https://forum.example/p1" in text
    html = mail.get_body(("html",)).get_content()
    assert "<b>never" not in html and 'href="https://forum.example/p1"' in html


def test_people_hear_of_their_brands_and_only_those_who_asked(store: Store) -> None:
    happen(store)
    happen(store, kind="negative", brand="Lumen")
    inbox = Inbox()
    people = [
        {"email": "both@example.org", "alerts": True},
        {"email": "lumen@example.org", "alerts": True, "brands": ["Lumen"]},
        {"email": "digest@example.org"},
    ]
    with smtp_server(inbox) as port:
        assert tell(store, mailed(store, port, *people)) == ["sent", "sent"]
    subjects = {(mail["To"], mail["Subject"]) for mail in map(_parsed, inbox.mails)}
    assert {to for to, _ in subjects} == {"both@example.org", "lumen@example.org"}
    assert any(subject.endswith("(and 1 more event)") for to, subject in subjects if to == "both@example.org")


def _parsed(raw: bytes) -> Any:
    return email.message_from_bytes(raw, policy=email.policy.default)


def test_a_greylisted_mail_is_tried_again_later_and_old_news_is_not(store: Store) -> None:
    happen(store)
    with smtp_server(Inbox(rcpt="450 4.7.1 greylisted, come back in a minute")) as port:
        assert tell(store, mailed(store, port)) == ["failed"]
        assert tell(store, mailed(store, port), NOW + timedelta(seconds=30)) == [], "too soon"
        assert tell(store, mailed(store, port), NOW + timedelta(seconds=61)) == ["failed"]
    inbox = Inbox()
    with smtp_server(inbox) as port:
        assert tell(store, mailed(store, port), NOW + timedelta(hours=25)) == [], "it is no news any more"
        assert tell(store, mailed(store, port), NOW + timedelta(hours=2)) == ["sent"]
    assert len(inbox.mails) == 1


def test_a_mail_that_may_have_arrived_is_not_sent_again(store: Store) -> None:
    happen(store)
    ready = [b"220 hello\r\n", b"250 hello\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go on\r\n"]
    with scripted_server(*ready) as port:  # and the line is lost
        assert tell(store, mailed(store, port)) == ["unknown"]
    with smtp_server(Sink()) as port:
        assert tell(store, mailed(store, port), NOW + timedelta(hours=3)) == []


# --- by webhook ---


def is_right(request: Request, key: str = KEY) -> bool:
    """As docs/alerts.md tells the receiver to check."""
    moment, given = (part.partition("=")[2] for part in request.headers["listener-signature"].split(","))
    right = hmac.new(key.encode(), f"{moment}.".encode() + request.body, "sha256").hexdigest()
    return hmac.compare_digest(right, given) and abs(NOW.timestamp() - int(moment)) < 300


def test_a_webhook_gets_the_event_as_signed_json(store: Store) -> None:
    happen(store)
    with serve({"/hook": taken}) as server:
        assert tell(store, hooked(store, server.url("/hook"))) == ["sent"]
        (request,) = server.requests
    assert is_right(request) and not is_right(request, "another key")
    sent = json.loads(request.body)
    assert sent["version"] == 1 and sent["sent_at"] == stamp(NOW)
    event = sent["event"]
    assert (event["kind"], event["brand"], event["seen"], event["ended_at"]) == ("mentions", "Harbour", 41, None)
    assert event["what"] == "Harbour: 41 mentions in 3 hours, usually about 6"
    assert [post["url"] for post in event["posts"]] == ["https://forum.example/p1"]


def test_a_webhook_that_fails_is_tried_again_and_one_that_leads_elsewhere_is_not_followed(store: Store) -> None:
    happen(store)
    answers = [Answer(status=503), Answer(status=302, headers={"Location": "/elsewhere"}), Answer(status=204)]
    with serve({"/hook": lambda _: answers.pop(0), "/elsewhere": taken}) as server:
        chosen = hooked(store, server.url("/hook"))
        assert tell(store, chosen) == ["failed"]
        assert tell(store, chosen, NOW + timedelta(minutes=2)) == ["failed"]
        assert "elsewhere" in store.digest_detail("webhook desk", "alert", stamp(NOW))
        assert tell(store, chosen, NOW + timedelta(minutes=10)) == ["sent"]
        assert server.paths == ["/hook"] * 3


def test_a_private_address_is_refused_unless_it_is_allowed(store: Store) -> None:
    happen(store)
    with serve({"/hook": taken}) as server:
        chosen = hooked(store, server.url("/hook")).model_copy(update={"http": Config().http})
        assert tell(store, chosen) == ["failed"] and server.requests == []
    assert "allow_private" in store.digest_detail("webhook desk", "alert", stamp(NOW))


def test_without_its_key_nothing_goes_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    happen(store)
    monkeypatch.delenv("DESK_KEY")
    with serve({"/hook": taken}) as server:
        assert tell(store, hooked(store, server.url("/hook"))) == ["failed"] and server.requests == []
    assert "DESK_KEY" in store.digest_detail("webhook desk", "alert", stamp(NOW))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"url": "https://example.org/x"}, "secret is missing"),
        ({"url": "slack://a/b/c", "kind": "apprise"}, "is a secret"),
        ({"url": "https://example.org/x", "secret": "in the file"}, "does not belong in this file"),
        ({"url": "https://example.org/x", "secret": {"env": "K"}, "brands": ["Harbr"]}, "did you mean 'Harbour'"),
    ],
)
def test_a_webhook_that_cannot_be_is_refused_with_its_remedy(tmp_path: Path, table: dict[str, Any], words: str) -> None:
    from listener.example import to_toml

    path = tmp_path / "listener.toml"
    keys = "".join(f"{key} = {to_toml(value)}\n" for key, value in {"name": "desk", **table}.items())
    path.write_text(f'[[brand]]\nname = "Harbour"\n[[webhook]]\n{keys}')
    with pytest.raises(ConfigError, match=words):
        configuration.load(path)


def test_a_chat_service_is_told_through_apprise(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    happen(store)
    with serve({"/room": taken}) as server:
        monkeypatch.setenv("CHAT", f"json://127.0.0.1:{server.port}/room")
        chosen = config(store, webhook=[{"name": "chat", "kind": "apprise", "url": {"env": "CHAT"}}])
        assert tell(store, chosen) == ["sent"]
        sent = json.loads(server.requests[0].body)
    assert sent["title"] == "Harbour: 41 mentions in 3 hours, usually about 6"
    assert "refund" in sent["message"] and "https://forum.example/p1" in sent["message"]
    happen(store, NOW + timedelta(hours=1), "negative")
    assert tell(store, chosen, NOW + timedelta(hours=1)) == ["failed"], "nobody listens there any more"


# --- when we are killed ---

_PROGRAM = """
import sys
from datetime import datetime
from pathlib import Path
from listener import alerting, config, pipeline, upkeep
chosen = config.load(Path(sys.argv[1]))
verb = {"alert": alerting, "operator": upkeep}[sys.argv[2]]
with pipeline.open_store(chosen) as store:
    print(verb.tell(store, chosen, lambda: datetime.fromisoformat(sys.argv[3])), flush=True)
"""
PERSON = '[[recipient]]\nemail = "anna@example.org"\nalerts = true\n'
POINTS = ("mail.claimed", "mail.composed", "mail.handing", "mail.text", "mail.accepted", "mail.marked")


def _killed(path: Path, verb: str, point: str) -> None:
    command = [sys.executable, "-c", _PROGRAM, str(path), verb, NOW.isoformat()]
    env = {**os.environ, "DESK_KEY": KEY, "LISTENER_CRASH_AT": point}
    assert subprocess.run(command, stdout=subprocess.DEVNULL, env=env, timeout=60).returncode == -9, point


@pytest.mark.parametrize(
    ("verb", "point"), [*(("alert", point) for point in POINTS), *(("operator", point) for point in POINTS[::2])]
)
def test_killed_on_the_way_a_mail_goes_once_or_is_shown_as_unknown(store: Store, verb: str, point: str) -> None:
    told = {"alert": PERSON, "operator": '[operator]\nemail = "anna@example.org"\n'}[verb]
    if verb == "alert":
        happen(store)
    else:
        with store.writing() as connection:
            events.begin(connection, ("source", "", "forum"), NOW, {"state": "broken", "why": "", "remedy": ""}, NOW)
    inbox = Inbox()
    with smtp_server(inbox) as port:
        mail = f'[mail]\nhost = "localhost"\nport = {port}\nsecurity = "none"\nsender = "l@example.org"\n'
        path = Path(_file(store, mail + told))
        _killed(path, verb, point)
        again = {"alert": alerting, "operator": upkeep}[verb].tell
        chosen = configuration.load(path)
        assert again(store, chosen, lambda: NOW + timedelta(minutes=9)) == [], "another process may be at it"
        again(store, chosen, lambda: NOW + timedelta(minutes=11))
        again(store, chosen, lambda: NOW + timedelta(minutes=22))
    surely = point not in ("mail.handing", "mail.text", "mail.accepted")
    assert store.digest_periods("anna@example.org", verb) == {stamp(NOW): "sent" if surely else "unknown"}
    # After "text" the server has it all, and may take it although we are gone.
    assert len(inbox.mails) in {"mail.handing": (0,), "mail.text": (0, 1)}.get(point, (1,))


def test_a_service_is_told_again_when_we_were_killed(store: Store) -> None:
    happen(store)
    with serve({"/hook": taken}) as server:
        hook = f'[[webhook]]\nname = "desk"\nurl = "{server.url("/hook")}"\nsecret = {{ env = "DESK_KEY" }}\n'
        _killed(Path(_file(store, hook)), "alert", "mail.claimed")
        assert store.digest_periods("webhook desk", "alert") == {stamp(NOW): "pending"}
        assert tell(store, hooked(store, server.url("/hook")), NOW + timedelta(minutes=5)) == ["sent"]
        assert len(server.requests) == 1


# --- by hand ---


def run(*arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, result.output
    return result


def _file(store: Store, more: str) -> str:
    path = store.path.parent / "listener.toml"
    path.write_text(
        'timezone = "Europe/Oslo"\ndatabase = "listener.db"\n[[brand]]\nname = "Harbour"\n'
        f'[http]\nallow_private = ["127.0.0.1"]\n{more}'
    )
    return str(path)


def test_the_command_lists_events_and_looks_now(store: Store) -> None:
    happen(store)
    path = _file(store, "")
    days = str((datetime.now(NOW.tzinfo) - NOW).days + 3 if datetime.now(NOW.tzinfo) > NOW else 1)
    assert "41 mentions in 3 hours" in run("alerts", "--config", path, "--days", days).stdout
    (event,) = json.loads(run("alerts", "--config", path, "--days", days, "--json").stdout)
    assert event["terms"] == [["refund", 31]] and event["posts"][0]["url"] == "https://forum.example/p1"
    assert "four weeks" in run("alerts", "--config", path, "--now").stderr


def test_a_trial_reaches_everybody_and_says_that_it_is_one(store: Store) -> None:
    inbox = Inbox()
    with serve({"/hook": taken}) as server, smtp_server(inbox) as port:
        more = (
            f'[mail]\nhost = "localhost"\nport = {port}\nsecurity = "none"\nsender = "l@example.org"\n'
            '[[recipient]]\nemail = "anna@example.org"\nalerts = true\n'
            f'[[webhook]]\nname = "desk"\nurl = "{server.url("/hook")}"\nsecret = {{ env = "DESK_KEY" }}\n'
        )
        result = run("alerts", "--send", "--config", _file(store, more))
        assert "anna@example.org: sent" in result.stderr and "webhook desk: sent" in result.stderr
        assert json.loads(server.requests[0].body)["event"]["trial"] is True
    assert "trial" in _parsed(inbox.mails[0])["Subject"]
    assert store.digest_periods("anna@example.org", "alert") == {}, "a trial is not entered"
    result = run("alerts", "--send", "--config", _file(store, more), code=1)
    assert "cannot be reached" in result.stderr
    assert "nobody is told" in run("alerts", "--send", "--config", _file(store, ""), code=1).stderr


def test_the_daemon_tells_what_was_noticed(store: Store) -> None:
    from test_daemon import _daemon, _stop, _until

    happen(store, datetime.now(NOW.tzinfo))
    with serve({"/hook": taken}) as server:
        more = f'[[webhook]]\nname = "desk"\nurl = "{server.url("/hook")}"\nsecret = {{ env = "DESK_KEY" }}\n'
        path = Path(_file(store, more))
        with _daemon(path) as process:
            _until(lambda: server.requests, path)
            _stop(process)
    assert json.loads(server.requests[0].body)["event"]["seen"] == 41


def test_the_doctor_looks_whether_a_webhook_has_what_it_needs(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = '[[webhook]]\nname = "desk"\nurl = "https://desk.example.org/in"\nsecret = { env = "DESK_KEY" }\n'
    path = _file(store, hook)

    def findings(code: int) -> dict[str, tuple[str, str]]:
        found = json.loads(run("doctor", "--config", path, "--json", code=code).stdout)
        return {each["what"]: (each["state"], each["detail"]) for each in found}

    assert findings(0)["webhook desk"][0] == "ok"
    monkeypatch.delenv("DESK_KEY")
    state, detail = findings(1)["alerts"]
    assert state == "wrong" and "DESK_KEY" in detail
