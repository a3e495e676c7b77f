"""What other programs may ask the daemon: GET /health (JSON, 200 or 503) and GET /metrics (Prometheus).

The answers hold names and numbers, no post and no secret. They are still for this machine: the address is loopback
unless somebody sets another, and a page in a browser cannot read them through a name of its own (DNS rebinding).
"""

from __future__ import annotations

import ipaddress
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from listener import __version__
from listener.errors import ListenerError
from listener.reads.vitals import WELL, Vitals
from listener.records import Run

_FRESH_S = 5.0  # so that programs that ask often cost no more than one that asks every five seconds
_FETCH_S = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800)


class Meters:
    """What is counted since the daemon began, beside what the database says at the moment of asking."""

    def __init__(self, look: Callable[[], Vitals], ailing: Callable[[], dict[str, str]]) -> None:
        """`look` reads the database, and raises ListenerError; `ailing` names the parts of the daemon that fail."""
        self._look, self._ailing = look, ailing
        self._seen: tuple[float, Vitals] | None = None
        self._looking = threading.Lock()
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ours = self.registry
        self._posts = Counter("listener_posts_collected", "New posts stored.", ["source"], registry=ours)
        self._fetches = Counter("listener_fetches", "Fetches that ended.", ["source", "outcome"], registry=ours)
        self._seconds = Histogram("listener_fetch_seconds", "How long fetches took.", buckets=_FETCH_S, registry=ours)
        self._judged = Counter("listener_posts_judged", "Verdicts stored.", registry=ours)

    def fetched(self, run: Run) -> None:
        self._posts.labels(run.source).inc(run.new)
        self._fetches.labels(run.source, run.outcome).inc()
        self._seconds.observe(run.seconds)

    def judged(self, number: int) -> None:
        self._judged.inc(number)

    def vitals(self) -> Vitals:
        """As the database has them, at most a few seconds ago. Raises ListenerError."""
        with self._looking:
            if self._seen is None or time.monotonic() - self._seen[0] > _FRESH_S:
                self._seen = (time.monotonic(), self._look())
            return self._seen[1]

    def collect(self) -> Iterable[Metric]:
        """For the registry: the gauges."""
        ailing = self._ailing()
        up = GaugeMetricFamily("listener_failing", "1 while this part of the daemon fails or hangs.", labels=["part"])
        for part in ailing:
            up.add_metric([part], 1)
        yield up
        try:
            now = self.vitals()
        except ListenerError:
            return  # the database cannot be read: no figure is better than an old one
        yield GaugeMetricFamily("listener_backlog", "Posts that wait for a verdict.", value=now.waiting)
        yield GaugeMetricFamily("listener_lag_seconds", "How long the first of them has waited.", value=now.lag_s)
        states = GaugeMetricFamily(
            "listener_source_state", "1 for the state the source is in.", labels=["source", "state"]
        )
        failures = GaugeMetricFamily("listener_source_failures", "Failed fetches in a row.", labels=["source"])
        success = GaugeMetricFamily("listener_source_success_timestamp_seconds", "Last good fetch.", labels=["source"])
        for each in now.sources:
            states.add_metric([each.name, each.state], 1)
            failures.add_metric([each.name], each.failures)
            if each.last_success_at:
                success.add_metric([each.name], each.last_success_at.timestamp())
        digests = GaugeMetricFamily("listener_digests", "Mails of the ledger by how they ended.", labels=["state"])
        for state, number in now.digests.items():
            digests.add_metric([state], number)
        yield from (states, failures, success, digests)

    def health(self) -> tuple[int, dict[str, object]]:
        """Status and body of /health. A source that fails is told, but is no failure of the daemon's."""
        ailing = self._ailing()
        told: dict[str, object] = {"version": __version__}
        try:
            now = self.vitals()
        except ListenerError as error:
            ailing = {**ailing, "database": str(error)}
        else:
            told |= {"waiting": now.waiting, "lag_seconds": round(now.lag_s), "sources": dict(now.states)}
            told["failing_sources"] = {each.name: each.why for each in now.sources if each.state not in WELL}
        return (503 if ailing else 200), {"status": "failing" if ailing else "ok", "failing": ailing, **told}


def _named_by_number(host: str) -> bool:
    """Whether a Host header holds an address, or localhost: no name that somebody else could point here."""
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    if name.lower() in ("", "localhost"):
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


@contextmanager
def serving(listen: str, meters: Meters) -> Iterator[int]:
    """Answers at host:port while the block runs; gives the port. Raises ListenerError when the address is taken."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # of a client that says nothing
        server_version, sys_version = "listener", ""

        def do_GET(self) -> None:
            if not _named_by_number(self.headers.get("Host", "")):
                self._answer(421, "text/plain", b"ask by address\n")
            elif self.path == "/health":
                status, told = meters.health()
                self._answer(status, "application/json", json.dumps(told, indent=1).encode() + b"\n")
            elif self.path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(meters.registry))
            else:
                self._answer(404, "text/plain", b"/health or /metrics\n")

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass  # one line a question would be most of the log

    host, _, port = listen.rpartition(":")
    try:
        server = ThreadingHTTPServer((host.strip("[]"), int(port)), Handler)
    except OSError as error:
        raise ListenerError(
            f"[health] listen: {listen} cannot be used: {error.strerror or error}; name another port, or remove it"
        ) from error
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="health", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
