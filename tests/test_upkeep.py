"""The operator's mail: once when something fails, every week until it is mended, and when it is."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from posting import NOW, OSLO, judge, post, save
from test_mail import Inbox, scripted_server, smtp_server

from listener import upkeep
from listener.config import Config
from listener.records import Outcome, Run
from listener.store import Store

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
OPS = "ops@example.org"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store.open(tmp_path / "listener.db", OSLO, author_key=b"k")) as opened:
        opened.sync_sources([(name, "feeds", 1800, True) for name in ("forum", "news", "shop")], NOW)
        yield opened


def ran(store: Store, outcome: Outcome, *names: str, at: datetime = NOW, error: str = "it is not what it was") -> None:
    for name in names:
        store.finish_run(Run(name, at, 0.0, 0, 0, {}, outcome, error if outcome != "ok" else ""), at + HOUR)


def config(store: Store, port: int, operator: str = OPS) -> Config:
    server = {"host": "localhost", "port": port, "security": "none", "sender": "l@example.org", "timeout_s": 2}
    base = {"timezone": "Europe/Oslo", "database": str(store.path), "mail": server, "operator": {"email": operator}}
    return Config.model_validate(base)


class Ops:
    """The operator's mailbox, and the daemon's tick that fills it."""

    def __init__(self, store: Store, port: int, inbox: Inbox) -> None:
        self.store, self.config, self.inbox = store, config(store, port), inbox

    def at(self, now: datetime) -> list[str]:
        """The subjects of what came at a tick."""
        before = len(self.inbox.mails)
        upkeep.look(self.store, self.config, now)
        upkeep.tell(self.store, self.config, lambda: now)
        return [str(mail["Subject"]) for mail in self.mails[before:]]

    @property
    def mails(self) -> list[Any]:
        return [email.message_from_bytes(raw, policy=email.policy.default) for raw in self.inbox.mails]

    def text(self) -> str:
        return " ".join(str(self.mails[-1].get_body(("plain",)).get_content()).split())


@pytest.fixture
def ops(store: Store) -> Iterator[Ops]:
    inbox = Inbox()
    with smtp_server(inbox) as port:
        yield Ops(store, port, inbox)


def test_what_fails_is_told_once_weekly_and_when_it_is_mended(store: Store, ops: Ops) -> None:
    ran(store, "ok", "forum", "news", "shop")
    assert ops.at(NOW + HOUR) == []
    ran(store, "broken", "forum", at=NOW + HOUR)
    assert ops.at(NOW + 1.5 * HOUR) == [], "it may mend itself within the hour"
    assert ops.at(NOW + 3 * HOUR) == ["Listener: forum needs a hand"]
    assert "it is not what it was" in ops.text() and "listener sources test forum" in ops.text()
    assert ops.mails[0]["List-Id"] == "Listener operator <operator.listener.example.org>"
    for hour in range(4, 7 * 24, 12):
        ran(store, "broken", "forum", at=NOW + hour * HOUR)
        assert ops.at(NOW + hour * HOUR) == []
    assert ops.at(NOW + 7 * DAY + 3 * HOUR) == ["Listener: forum is still not mended"]
    assert ops.at(NOW + 8 * DAY) == []
    assert ops.at(NOW + 14 * DAY + 3 * HOUR) == ["Listener: forum is still not mended"]
    ran(store, "ok", "forum", at=NOW + 15 * DAY)
    assert ops.at(NOW + 15 * DAY + HOUR) == ["Listener: forum is well again"]
    assert "It failed from" in ops.text() and ops.at(NOW + 16 * DAY) == []
    ran(store, "unauthorised", "forum", at=NOW + 17 * DAY)
    assert ops.at(NOW + 17 * DAY + HOUR) == ["Listener: forum needs a hand"], "another time is another event"


def test_what_fails_together_is_one_mail(store: Store, ops: Ops) -> None:
    ran(store, "unauthorised", "forum", "news", "shop", error="the token is <b>expired</b>")
    assert ops.at(NOW + HOUR) == ["Listener: forum, news and shop need a hand"]
    html = str(ops.mails[0].get_body(("html",)).get_content())
    assert "<b>expired" not in html and "&lt;b&gt;expired" in html


def test_a_source_that_does_not_answer_is_given_hours(store: Store, ops: Ops) -> None:
    for hour in range(5):
        ran(store, "retry", "forum", at=NOW + hour * HOUR)
        assert ops.at(NOW + hour * HOUR) == []
    ran(store, "retry", "forum", at=NOW + 6 * HOUR)
    assert ops.at(NOW + 6.5 * HOUR) == ["Listener: forum needs a hand"]


def test_posts_without_a_verdict_are_told_and_posts_that_are_judged_anew_are_not(store: Store, ops: Ops) -> None:
    save(store, post("a"), post("b", "another text"))
    assert ops.at(NOW + 5 * HOUR) == []
    assert ops.at(NOW + 7 * HOUR) == ["Listener: the queue of posts needs a hand"]
    assert "2 posts without a verdict for more than 6 hours" in ops.text()
    judge(store)
    assert ops.at(NOW + 8 * HOUR) == ["Listener: the queue of posts is well again"]
    assert len(store.pending("m2", 10)) == 2  # a new model
    assert ops.at(NOW + 20 * HOUR) == []


def test_a_digest_that_does_not_go_is_told(store: Store, ops: Ops) -> None:
    key = ("anna@example.org", "daily", "2026-11-21")
    for minute in range(5):
        assert store.claim_digest(*key, NOW + minute * HOUR, at_once=True) == "send"
        assert ops.at(NOW + minute * HOUR) == []
        store.mark_digest(*key, "failed", "550 no such mailbox", NOW + minute * HOUR)
    assert ops.at(NOW + 5 * HOUR) == ["Listener: a mail needs a hand"]
    assert "daily of 2026-11-21 to anna@example.org" in ops.text() and "no such mailbox" in ops.text()
    assert store.claim_digest(*key, NOW + 6 * HOUR, at_once=True) == "send"
    store.mark_digest(*key, "sent", "", NOW + 6 * HOUR)
    assert ops.at(NOW + 7 * HOUR) == ["Listener: a mail is well again"]


def test_without_a_mail_server_in_time_the_news_is_that_it_fails_not_that_it_failed(store: Store) -> None:
    ran(store, "unauthorised", "forum", "news")
    inbox = Inbox(rcpt="450 greylisted")
    with smtp_server(inbox) as port:
        ops = Ops(store, port, inbox)
        assert ops.at(NOW + HOUR) == []
        ran(store, "ok", "news", at=NOW + 2 * HOUR)
        inbox.rcpt = ""
        assert ops.at(NOW + 3 * HOUR) == ["Listener: forum needs a hand"]
        ran(store, "ok", "forum", at=NOW + 4 * HOUR)
        assert ops.at(NOW + 5 * HOUR) == ["Listener: forum is well again"]


def test_a_mail_that_may_have_arrived_is_not_sent_again(store: Store) -> None:
    ran(store, "unauthorised", "forum")
    ready = [b"220 hello\r\n", b"250 hello\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go on\r\n"]
    with scripted_server(*ready) as port:
        upkeep.look(store, config(store, port), NOW + HOUR)
        ((_, state),) = upkeep.tell(store, config(store, port), lambda: NOW + HOUR)
    assert state == "unknown"
    inbox = Inbox()
    with smtp_server(inbox) as port:
        assert Ops(store, port, inbox).at(NOW + 2 * HOUR) == []


def test_without_an_operator_nothing_is_noted(store: Store) -> None:
    ran(store, "unauthorised", "forum")
    upkeep.look(store, config(store, 1, operator=""), NOW + HOUR)
    assert upkeep.tell(store, config(store, 1, operator=""), lambda: NOW + HOUR) == []
    assert store.connection.execute("SELECT count(*) FROM alerts").fetchone() == (0,)
