"""What programs are told that watch the daemon: /health, /metrics, and systemd by its socket."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.error import HTTPError

import pytest
from forked import Start, programs
from prometheus_client.parser import text_string_to_metric_families

from listener.config import load
from listener.daemon.monitor import Meters, serving
from listener.daemon.pulse import Pulse
from listener.errors import ConfigError, ListenerError
from listener.reads.vitals import Vitals
from listener.resources import model_folder
from loopback import Answer, closed_port, serve

FEED = b"""<rss version="2.0"><channel><title>t</title>
<item><guid>a</guid><title>Harbour</title><description>Which room should I book?</description></item>
<item><guid>b</guid><title>Harbour</title><description>The bed was awful.</description></item></channel></rss>"""


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    with programs() as begin:
        yield begin


def ask(port: int, path: str, host: str = "") -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def until(what: object, log: Path, seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while not what():  # type: ignore[operator]
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)


def metrics(port: int) -> dict[tuple[str, ...], float]:
    found = text_string_to_metric_families(ask(port, "/metrics")[1])
    return {(each.name, *each.labels.values()): each.value for family in found for each in family.samples}


def test_the_daemon_tells_how_it_fares_and_systemd_that_it_lives(start: Start, tmp_path: Path) -> None:
    port, log = closed_port(), tmp_path / "log"
    model = Path(shutil.copytree(model_folder(), tmp_path / "model"))
    weights = (model / "model.onnx").read_bytes()
    (model / "model.onnx").write_bytes(b"damaged")
    with (
        closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as systemd,
        serve({"/feed": lambda _: Answer(FEED), "/down": lambda _: Answer(status=503)}) as server,
    ):
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(40)
        sources = "".join(
            f'[[source]]\nname = "{name}"\nkind = "feeds"\nevery = "10s"\nurl = "{server.url("/" + name)}"\n'
            for name in ("feed", "down")
        )
        (tmp_path / "listener.toml").write_text(
            f'timezone = "UTC"\ndatabase = "l.db"\n[[brand]]\nname = "Harbour"\n[model]\nfolder = "model"\n'
            f'[http]\nallow_private = ["127.0.0.1"]\n[health]\nlisten = "127.0.0.1:{port}"\n{sources}'
        )
        told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1500000"}
        child = start("run", "--config", tmp_path / "listener.toml", log=log, env=told)
        assert systemd.recv(100) == b"READY=1"
        assert systemd.recv(100) == b"WATCHDOG=1"
        until(lambda: "classify_failed" in log.read_text(), log)
        until(lambda: json.loads(ask(port, "/health")[1])["sources"] == {"ok": 1, "retrying": 1}, log)
        status, body = ask(port, "/health")
        health = json.loads(body)
        assert (status, health["status"], health["waiting"]) == (503, "failing", 2)
        assert "model.onnx is damaged" in health["failing"]["classify"]
        assert list(health["failing_sources"]) == ["down"] and "503" in health["failing_sources"]["down"]
        assert metrics(port)["listener_failing", "classify"] == 1

        (model / "model.onnx").write_bytes(weights)
        until(lambda: ask(port, "/health")[0] == 200 and metrics(port)["listener_backlog",] == 0, log)
        found = metrics(port)
        assert ("listener_failing", "classify") not in found
        assert found["listener_posts_collected_total", "feed"] == 2 and found["listener_posts_judged_total",] == 2
        assert found["listener_source_state", "down", "retrying"] == 1 and found["listener_lag_seconds",] == 0
        assert found["listener_fetch_seconds_count",] >= 2
        assert ask(port, "/health", host=f"evil.example:{port}")[0] == 421, "a page could read it by DNS rebinding"
        assert ask(port, "/")[0] == 404
        child.send(signal.SIGTERM)
        words = [systemd.recv(100)]
        while words[-1] != b"STOPPING=1":
            words.append(systemd.recv(100))
        assert set(words[:-1]) == {b"WATCHDOG=1"}
        assert child.wait(15) == 0


def test_who_hangs_is_not_hidden() -> None:
    now = [0.0]
    pulse = Pulse(lambda: now[0])
    pulse.beat("collect", 120)
    pulse.beat("classify", 600)
    now[0] = 500
    pulse.beat("collect", 120)
    assert pulse.hung() == {}
    now[0] = 601
    assert pulse.hung() == {"classify": 601}
    pulse.end("classify")
    assert pulse.hung() == {}


def test_systemd_is_not_told_of_life_while_a_part_hangs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from listener.config import Config
    from listener.daemon import Daemon

    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        daemon = Daemon(Config(timezone="UTC", database=tmp_path / "l.db"))
        monkeypatch.setattr(daemon._stopping, "wait", lambda _: True)  # one look
        daemon._pulse.beat("classify", 600)
        daemon._watch()
        assert systemd.recv(100) == b"WATCHDOG=1"
        daemon._pulse.beat("classify", -1)
        daemon._watch()
        with pytest.raises(BlockingIOError):
            systemd.recv(100)
        assert "hung" in caplog.messages
        assert "no sign of life" in daemon._ailing()["classify"]
        daemon._pool.shutdown()


def test_a_database_that_cannot_be_read_is_a_failure_with_its_reason() -> None:
    def locked() -> Vitals:
        raise ListenerError("the database is locked")

    meters = Meters(locked, dict)
    with serving("127.0.0.1:0", meters) as port:
        status, body = ask(port, "/health")
        assert status == 503 and json.loads(body)["failing"] == {"database": "the database is locked"}
        assert "listener_backlog" not in ask(port, "/metrics")[1]


def test_an_address_that_is_taken_or_wrong_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenerError, match=rf"\[health\] listen: .*:{port} cannot be used: .* another port"):
            serving(f"127.0.0.1:{port}", Meters(lambda: Vitals(0, 0.0, (), {}), dict)).__enter__()
    path = tmp_path / "listener.toml"
    path.write_text('timezone = "UTC"\n[health]\nlisten = "example.org:80"\n')
    with pytest.raises(ConfigError, match=r"\[health\] listen: 'example.org:80' is not an address to listen at"):
        load(path)
