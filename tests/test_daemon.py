"""The daemon as an operator runs it: a real process, real servers on loopback, real signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MessageHandler
from apscheduler.schedulers.background import BackgroundScheduler

from listener import daemon
from listener.config import Config, PrivacySettings, SourceSettings
from listener.daemon import Daemon
from listener.errors import ModelError, StoreError
from loopback import Answer, serve

FEED = """<rss version="2.0"><channel><title>t</title>
<item><guid>a</guid><title>Is Harbour worth it?</title><description>Which room should I book?</description></item>
<item><guid>b</guid><title>Nothing to do with it</title><description>Weather report.</description></item>
<item><guid>c</guid><title>Stayed at the Harbour</title><description>The bed was awful.</description></item>
</channel></rss>"""


def _feed(_: object) -> Answer:
    return Answer(body=FEED.encode(), headers={"Content-Type": "application/rss+xml"})


def _write(folder: Path, *sources: str, more: str = "") -> Path:
    tables = "\n".join(f"[[source]]\n{source}" for source in sources)
    path = folder / "listener.toml"
    path.write_text(
        f'timezone = "UTC"\ndatabase = "listener.db"\n[[brand]]\nname = "Harbour"\n'
        f'[http]\nallow_private = ["127.0.0.1"]\ngap_s = 0\ntimeout_s = 30\n{more}\n{tables}\n'
    )
    return path


@contextmanager
def _daemon(config: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "listener", "run", "--config", str(config), *options]
    log = (config.parent / "log").open("w")
    process = subprocess.Popen(command, stderr=log, stdout=subprocess.DEVNULL, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        log.close()


def _log(config: Path) -> str:
    return (config.parent / "log").read_text()


def _ask(config: Path, query: str) -> list[tuple]:
    path = config.parent / "listener.db"
    if not path.exists():
        return []
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reader:
            return reader.execute(query).fetchall()
    except sqlite3.OperationalError:  # the tables are just being made
        return []


def _until(what: Callable[[], object], config: Path, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, f"it did not happen within {seconds} s; the log says:\n{_log(config)}"
        time.sleep(0.05)


def _stop(process: subprocess.Popen[str]) -> float:
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
    return time.monotonic() - began


def test_it_collects_judges_and_stops_when_told(tmp_path):
    with serve({"/feed": _feed}) as server:
        config = _write(tmp_path, f'name = "blog"\nkind = "feeds"\nevery = "10s"\nurl = "{server.url("/feed")}"')
        with _daemon(config) as process:
            _until(lambda: len(_ask(config, "SELECT 1 FROM verdicts")) == 2, config)
            assert _stop(process) < 10
        assert [row[0] for row in _ask(config, "SELECT native_id FROM posts ORDER BY 1")] == [
            "127.0.0.1/a",
            "127.0.0.1/c",
        ]
        ((skipped,),) = _ask(config, "SELECT skipped FROM runs ORDER BY id LIMIT 1")
        assert json.loads(skipped) == {"no brand named": 1}
        assert "awful" not in _log(config), "the text of a post is in the log"


def test_a_source_that_fails_is_told_apart_and_holds_up_no_other(tmp_path):
    def slow(_: object) -> Answer:
        time.sleep(20)
        return Answer()

    busy = Answer(status=429, headers={"Retry-After": "120"})
    page = Answer(body=b"<html><body>Welcome</body></html>", headers={"Content-Type": "text/html"})
    routes = {"/feed": _feed, "/slow": slow, "/busy": lambda _: busy, "/page": lambda _: page,
              "/shut": lambda _: Answer(status=403), "/down": lambda _: Answer(status=503)}  # fmt: skip
    with serve(routes) as server:
        sources = [
            f'name = "{name}"\nkind = "feeds"\nevery = "10s"\nurl = "{server.url("/" + name)}"'
            for name in ("feed", "slow", "busy", "page", "shut", "down")
        ]
        config = _write(tmp_path, *sources)
        with _daemon(config) as process:
            query = "SELECT name, state FROM sources WHERE state <> 'new'"
            _until(lambda: len(_ask(config, query)) == 5 and _ask(config, "SELECT 1 FROM verdicts"), config)
            states = dict(_ask(config, query))
            assert _stop(process) < 10, "a slow server must not hold up the end"
        assert states == {"feed": "ok", "busy": "retrying", "page": "broken", "shut": "blocked", "down": "retrying"}
        ((due,),) = _ask(config, "SELECT next_due_at FROM sources WHERE name = 'busy'")
        assert datetime.fromisoformat(due) > datetime.now(UTC) + timedelta(seconds=90)
        shown = subprocess.run([sys.executable, "-m", "listener", "sources", "--config", str(config)],
                               capture_output=True, text=True, check=True)  # fmt: skip
        assert "429" in shown.stdout and "blocked" in shown.stdout


def test_a_second_daemon_on_the_same_database_is_refused(tmp_path):
    config = _write(tmp_path)
    with _daemon(config):
        _until(lambda: "started" in _log(config), config)
        second = subprocess.run([sys.executable, "-m", "listener", "run", "--config", str(config)],
                                capture_output=True, text=True, timeout=30)  # fmt: skip
    assert second.returncode == 1
    assert "already running" in second.stderr


def test_a_database_named_on_the_command_line_holds_over_a_reload(tmp_path):
    config = _write(tmp_path)
    (tmp_path / "named").mkdir()
    with _daemon(config, "--db", str(tmp_path / "named" / "other.db")) as process:
        _until(lambda: "started" in _log(config), config)
        process.send_signal(signal.SIGHUP)
        _until(lambda: "reloaded" in _log(config), config)
        _stop(process)
    assert (tmp_path / "named" / "other.db").exists() and not (tmp_path / "listener.db").exists()


def test_sighup_takes_up_a_new_source_and_refuses_a_broken_file(tmp_path):
    with serve({"/feed": _feed}) as server:
        config = _write(tmp_path)
        with _daemon(config) as process:
            _until(lambda: "started" in _log(config), config)
            text = config.read_text()
            config.write_text(text + "\n[[sourec]]\n")
            process.send_signal(signal.SIGHUP)
            _until(lambda: "reload_refused" in _log(config), config)
            assert "source" in _log(config)
            config.write_text(f'{text}\n[[source]]\nname = "blog"\nkind = "feeds"\nurl = "{server.url("/feed")}"\n')
            process.send_signal(signal.SIGHUP)
            _until(lambda: len(_ask(config, "SELECT 1 FROM posts")) == 2, config)
            _stop(process)


def test_killed_at_any_moment_it_loses_nothing_and_counts_nothing_twice(tmp_path):
    """A watched folder gets files while the daemon is killed again and again; in the end every row is there once."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    config = _write(tmp_path, 'name = "folder"\nkind = "files"\nevery = "10s"\npaths = ["inbox"]')
    for number in range(4):
        rows = [json.dumps({"id": f"{number}-{n}", "text": f"Harbour, stay {number} {n}"}) for n in range(700)]
        file = inbox / f"{number}.jsonl"
        file.write_text("\n".join(rows) + "\n")
        os.utime(file, (time.time() - 60, time.time() - 60))
        with _daemon(config) as process:
            before = len(_ask(config, "SELECT 1 FROM posts"))
            _until(lambda before=before: len(_ask(config, "SELECT 1 FROM posts")) > before
                   or "collected" in _log(config), config)  # fmt: skip
            time.sleep(0.13 * number)
            process.kill()
            process.wait()
        with closing(sqlite3.connect(tmp_path / "listener.db")) as database:  # what was due is due again at once
            database.execute("UPDATE sources SET next_due_at = '2000-01-01T00:00:00Z'")
            database.commit()
    with _daemon(config) as process:
        _until(lambda: len(_ask(config, "SELECT 1 FROM verdicts")) == 2800, config, 60)
        _stop(process)
    assert _ask(config, "SELECT count(*), count(DISTINCT native_id) FROM posts") == [(2800, 2800)]
    assert _ask(config, "SELECT sum(posts) FROM daily") == [(2800,)]
    assert _ask(config, "SELECT count(*) FROM pending") == [(0,)]


class _Inbox(MessageHandler):
    def __init__(self) -> None:
        super().__init__()
        self.mails: list[object] = []

    def handle_message(self, message: object) -> None:
        self.mails.append(message)


@pytest.fixture
def inbox() -> Iterator[tuple[_Inbox, int]]:
    handler = _Inbox()
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    yield handler, port
    controller.stop()


def test_a_digest_that_is_due_is_mailed_once_across_restarts(tmp_path, inbox):
    handler, port = inbox
    mail = (f'[mail]\nhost = "127.0.0.1"\nport = {port}\nsecurity = "none"\nsender = "Listener <l@example.org>"\n'
            '[[recipient]]\nemail = "anna@example.org"\nat = "00:00"\n')  # fmt: skip
    config = _write(tmp_path, more=mail)
    with _daemon(config) as process:
        _until(lambda: _ask(config, "SELECT 1 FROM meta WHERE key = 'started_on'"), config)
        _stop(process)
    assert not handler.mails, "there is no digest for the days before the daemon first ran"
    with closing(sqlite3.connect(tmp_path / "listener.db")) as database:
        yesterday = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
        database.execute("UPDATE meta SET value = ? WHERE key = 'started_on'", (yesterday,))
        database.commit()
    for _ in range(2):
        with _daemon(config) as process:
            _until(lambda: _ask(config, "SELECT 1 FROM digests WHERE state = 'sent'"), config)
            _until(lambda: "started" in _log(config), config)
            time.sleep(1)  # the second daemon looks for digests at once, and must find none to send
            _stop(process)
    assert len(handler.mails) == 1
    assert handler.mails[0]["To"] == "anna@example.org"


def test_sighup_takes_up_other_ways_to_ask_servers(tmp_path):
    with serve({"/feed": _feed}) as server:
        config = _write(tmp_path, f'name = "blog"\nkind = "feeds"\nevery = "10s"\nurl = "{server.url("/feed")}"')
        text = config.read_text()
        config.write_text(text.replace("127.0.0.1", "192.0.2.1", 1))
        with _daemon(config) as process:
            _until(lambda: "allow_private" in _log(config), config)
            config.write_text(text)
            process.send_signal(signal.SIGHUP)
            _until(lambda: "reloaded" in _log(config), config)
            with closing(sqlite3.connect(tmp_path / "listener.db")) as database:
                database.execute("UPDATE sources SET next_due_at = '2000-01-01T00:00:00Z'")
                database.commit()
            _until(lambda: len(_ask(config, "SELECT 1 FROM posts")) == 2, config)
            _stop(process)


@pytest.fixture
def idle(tmp_path) -> Iterator[Daemon]:
    """A daemon whose ticks the test calls, with one source that is due."""
    made = Config(
        timezone="UTC",
        database=tmp_path / "l.db",
        privacy=PrivacySettings(authors="drop"),
        sources=[SourceSettings(name="s", kind="files", options={"paths": [str(tmp_path)]})],
    )
    daemon = Daemon(made)
    daemon._get = None
    daemon._apply(made)
    yield daemon
    daemon._pool.shutdown()


def test_while_the_database_takes_nothing_servers_are_left_alone(idle, monkeypatch):
    asked = []

    def full(*_: object) -> None:
        asked.append(1)
        raise StoreError("disk full")

    monkeypatch.setattr("listener.pipeline.collect", full)
    for _ in range(3):
        idle._collect()
        while idle._fetching:
            time.sleep(0.01)
    assert len(asked) == 1, "a source that could not be stored is still due, and was asked again at once"


def test_a_reload_waits_for_the_fetch_under_way_and_none_begins_meanwhile(idle, monkeypatch):
    events, go_on = [], threading.Event()

    def slow(store, config, name, get, clock, stop) -> None:
        events.append("begun")
        go_on.wait(10)
        events.append(f"stopped: {stop()}")

    monkeypatch.setattr("listener.pipeline.collect", slow)
    monkeypatch.setattr(idle, "_reread", lambda: events.append("reread"))
    idle._collect()
    idle._on_reload(0, None)
    idle._reread_between_fetches()
    idle._collect()
    go_on.set()
    while idle._fetching:
        time.sleep(0.01)
    idle._reread_between_fetches()
    assert events == ["begun", "stopped: True", "reread"]


def test_the_same_trouble_is_told_once(idle, caplog):
    def broken() -> None:
        raise ModelError("no model here")

    with caplog.at_level("ERROR", "listener"):
        tick = idle._safely("classify", broken)
        tick()
        tick()
    assert [record.message for record in caplog.records] == ["classify_failed"]


def test_a_clock_set_back_does_not_stop_the_ticks() -> None:
    ran = threading.Event()
    scheduler = BackgroundScheduler(timezone=UTC)
    # What a tick is left with when the clock was set back by an hour.
    scheduler.add_job(ran.set, "interval", seconds=2, next_run_time=datetime.now(UTC) + timedelta(hours=1))
    scheduler.start()
    try:
        assert not ran.wait(0.3)
        daemon._plan_anew(scheduler)
        assert ran.wait(5)
    finally:
        scheduler.shutdown()
