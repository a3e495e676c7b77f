"""The daemon: ticks that call the verbs of the pipeline. Every due time is in the database; it remembers nothing."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING

from apscheduler.schedulers.background import BackgroundScheduler
from filelock import FileLock, Timeout

from listener import alerting, engine, log, pipeline, schedule, sources, trends, upkeep
from listener import config as configuration
from listener.config import Config
from listener.daemon import notify
from listener.daemon.pulse import Pulse
from listener.engine import Judge
from listener.errors import ConfigError, ListenerError, StoreError
from listener.http import Get, open_get
from listener.migrations import explained
from listener.reads import vitals
from listener.reads.vitals import Vitals
from listener.store import Store

if TYPE_CHECKING:
    from listener.daemon.monitor import Meters
    from listener.engine.topics import Tagger

TICK_S = {"collect": 2, "classify": 2, "digest": 20, "alerts": 60, "operator": 60, "purge": 3600}
FETCHES_AT_ONCE = 8
GRACE_S = 8.0  # systemd and people expect a SIGTERM to be answered within ten seconds
RELOAD_WAIT_S = 60.0  # how long a reload waits for fetches under way
REST_S = 60.0  # at most, while the database takes nothing: servers must not be asked in vain every two seconds
SILENT_S = {
    "collect": 120, "classify": 600, "digest": 900, "alerts": 900, "operator": 900, "purge": 1800, "fetch": 1800,
    "configure": 3600,
}  # fmt: skip
_JUMP_S = 3600.0  # a clock that is set by more than this may be wrong
TOLD_AGAIN_S = 3600.0  # a trouble that lasts is told once an hour


def now_utc() -> datetime:
    return datetime.now(UTC)


def _clock_ahead() -> float:
    """Seconds by which the wall clock is ahead of the one that nobody sets, and that runs on in the machine's sleep."""
    steady = time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
    return time.time() - steady


def _plan_anew(scheduler: BackgroundScheduler) -> None:
    """After the clock was set back: APScheduler plans by it, and would stand still for as long."""
    for job in scheduler.get_jobs():
        job.modify(next_run_time=now_utc())


class Daemon:
    """Runs until SIGTERM or SIGINT; SIGHUP reads the configuration anew."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._tagger: Tagger | None = None
        self._loaded: tuple[Config, Judge] | None = None  # the model, and the configuration that names it
        self._get: Get
        self._doors = ExitStack()
        self._stopping = threading.Event()
        self._reload = threading.Event()
        self._reload_by = 0.0
        self._handing_out = threading.Lock()  # held while fetches begin, and while the configuration changes
        self._fetching: set[str] = set()
        self._rest_s = self._rest_until = 0.0
        self._troubles: dict[str, tuple[str, float]] = {}  # tick -> what is wrong with it, and when that was told
        self._pulse = Pulse()
        self._meters: Meters | None = None
        self._ahead = _clock_ahead()
        self._pool = ThreadPoolExecutor(FETCHES_AT_ONCE, thread_name_prefix="fetch")

    def run(self) -> None:
        """Blocks until told to stop. Raises ListenerError when another daemon serves the same database."""
        lock = FileLock(f"{self._config.database}.lock")
        try:
            self._config.database.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=1)  # `listener doctor` holds it for a moment
        except Timeout as error:
            raise ListenerError(
                f"another listener is already running on {self._config.database} (it holds {lock.lock_file}). "
                "Stop it first, or give this one a database of its own."
            ) from error
        except OSError as error:
            raise ListenerError(
                f"{lock.lock_file} cannot be written: {error.strerror or error}; check the rights of file and folder"
            ) from error
        with lock, self._doors:
            signal.signal(signal.SIGTERM, self._on_stop)
            signal.signal(signal.SIGINT, self._on_stop)
            signal.signal(signal.SIGHUP, self._on_reload)
            # Ready before the tables are brought up to date: that may take longer than systemd waits for a start.
            notify.tell("READY=1")
            threading.Thread(target=self._watch, name="watch", daemon=True).start()
            self._apply(self._config)
            self._get = self._doors.enter_context(open_get(self._config.http))
            with self._answering():
                self._serve()

    def _serve(self) -> None:
        ticks = {
            "collect": self._collect,
            "classify": self._classify,
            "digest": self._digest,
            "alerts": self._alerts,
            "operator": self._operator,
            "purge": self._purge,
        }
        scheduler = BackgroundScheduler(
            timezone=UTC,
            # A tick that was missed while the machine slept is run once, late; it is never dropped.
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        for name, tick in ticks.items():
            work = self._beating(name, self._safely(name, tick))
            scheduler.add_job(work, "interval", seconds=TICK_S[name], id=name, next_run_time=now_utc())
        # One instance of a tick at a time is what we ask for, so that it is still busy is no news.
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        scheduler.start()
        log.event("started", pid=os.getpid(), database=str(self._config.database), sources=len(self._config.sources))
        ahead = _clock_ahead()
        while not self._stopping.wait(0.5):
            if self._reload.is_set():
                self._reread_between_fetches()
            if (now := _clock_ahead()) < ahead - 1:
                _plan_anew(scheduler)
            ahead = now
        self._leave(scheduler)

    def _beating(self, name: str, work: Callable[[], None]) -> Callable[[], None]:
        """The work with a sign of life before and after it."""

        def run() -> None:
            self._pulse.beat(name, SILENT_S[name])
            work()
            self._pulse.beat(name, TICK_S[name] + SILENT_S[name])

        return run

    def _watch(self) -> None:
        """Tells systemd that we are alive, as long as every part of us is; says once who hangs."""
        every = min((notify.watchdog_s() or 30.0) / 3, 10.0)
        told: set[str] = set()
        while True:
            hung = self._pulse.hung()
            if not hung:
                notify.tell("WATCHDOG=1")
            for who in hung.keys() - told:
                log.event("hung", logging.ERROR, what=who, seconds=round(hung[who]))
            told = set(hung)
            if self._stopping.wait(every):
                return

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Tells other programs how we fare, while the block runs, where the configuration says so."""
        if not self._config.health.listen:
            yield
            return
        from listener.daemon import monitor

        self._meters = monitor.Meters(self._vitals, self._ailing)
        with monitor.serving(self._config.health.listen, self._meters):
            yield

    def _vitals(self) -> Vitals:
        path = self._config.database
        with explained(path), closing(trends.open_reader(path, self._config.zone)) as reader:
            return vitals.read(reader, now_utc())

    def _ailing(self) -> dict[str, str]:
        """What of us fails or hangs, and why."""
        hung = {who: f"no sign of life for {seconds:.0f} s" for who, seconds in self._pulse.hung().items()}
        return {**{who: why for who, (why, _) in list(self._troubles.items())}, **hung}

    def _leave(self, scheduler: BackgroundScheduler) -> None:
        """Finishes the work in hand, but does not wait for a server that is slow to answer.

        Leaving in the middle is safe: what is not committed was never there, and will be fetched again.
        """
        began = time.monotonic()
        notify.tell("STOPPING=1")
        log.event("stopping", fetching=", ".join(sorted(self._fetching)))

        def finish() -> None:
            scheduler.shutdown(wait=True)
            self._pool.shutdown(wait=True, cancel_futures=True)

        finishing = threading.Thread(target=finish, daemon=True)
        finishing.start()
        finishing.join(GRACE_S)
        log.event("stopped", seconds=round(time.monotonic() - began, 2), left=", ".join(sorted(self._fetching)))
        if finishing.is_alive():
            logging.shutdown()
            os._exit(0)  # the interpreter would wait for the slow server's thread

    # --- ticks -------------------------------------------------------------------------------------------------------

    def _safely(self, name: str, tick: Callable[[], None], part: str = "") -> Callable[[], None]:
        """The tick, with its troubles told instead of raised: once, again every hour, and when they are over."""
        key = part or name

        def run() -> None:
            if self._stopping.is_set():
                return
            try:
                tick()
            except ListenerError as error:
                if self._is_news(key, str(error)):  # a tick comes every two seconds
                    log.event(f"{name}_failed", logging.ERROR, error=str(error))
            except Exception as error:  # noqa: BLE001  # the tick comes again; what it works from is in the database
                if self._is_news(key, f"{type(error).__name__}: {error}"):
                    log.event(f"{name}_crashed", logging.ERROR, exc_info=True)
            else:
                if self._troubles.pop(key, None):
                    log.event(f"{name}_recovered")

        return run

    def _is_news(self, key: str, trouble: str) -> bool:
        said, when = self._troubles.get(key, ("", 0.0))
        now = time.monotonic()
        news = trouble != said or now - when > TOLD_AGAIN_S
        self._troubles[key] = (trouble, now if news else when)
        return news

    def _collect(self) -> None:
        """Hands every source that is due to the pool, unless its last fetch is still going on."""
        with self._handing_out:
            if self._reload.is_set() or time.monotonic() < self._rest_until:
                return
            busy = set(self._fetching)  # before the question: a fetch that ends in between is not begun again
            with self._store() as store:
                due = [source.name for source in store.due(now_utc())]
            for name in due:
                if name not in busy:
                    self._fetching.add(name)
                    self._pool.submit(self._safely("collect", partial(self._fetch, name), part="fetch"))

    def _fetch(self, name: str) -> None:
        who = f"fetch {name}"

        def interrupted() -> bool:  # asked between pages
            self._pulse.beat(who, SILENT_S["fetch"])
            return self._stopping.is_set() or self._reload.is_set()

        try:
            if not interrupted() and time.monotonic() >= self._rest_until:
                with self._store() as store:
                    run = pipeline.collect(store, self._config, name, self._get, now_utc, interrupted)
                if self._meters:
                    self._meters.fetched(run)
                self._rest_s = 0.0
        except StoreError:
            self._rest_s = min(max(2.0, 2 * self._rest_s), REST_S)
            self._rest_until = time.monotonic() + self._rest_s
            raise
        finally:
            self._pulse.end(who)
            self._fetching.discard(name)

    def _classify(self) -> None:
        with self._handing_out:  # `listener models use` may have put another in charge
            config = self._config = configuration.with_model(self._config)

        def interrupted() -> bool:  # asked between batches
            self._pulse.beat("classify", SILENT_S["classify"])
            changed = self._config is not config or configuration.with_model(config) is not config
            return self._stopping.is_set() or changed

        with self._store() as store:
            if self._loaded is None or self._loaded[0] is not config:  # its folder or threshold may have changed
                if not store.count_pending(engine.name(config.model)):
                    return  # a daemon without work holds no model
                self._loaded = (config, pipeline.load_model(store, config, now_utc()))
                log.event("model_loaded", model=self._loaded[1].model)
            done = 0
            for number in pipeline.classify_pending(store, self._loaded[1], now_utc, interrupted):
                done += number
                if self._meters:
                    self._meters.judged(number)
            if done:
                log.event("classified", posts=done)
                from listener import tagging  # what it needs is loaded with a model, and not before

                self._tagger = tagging.tagger(store, config, self._tagger)
                if self._tagger and (found := sum(tagging.tag(store, self._tagger, interrupted))):
                    log.event("tagged", posts=found)

    def _digest(self) -> None:
        """Sends what is due. The ledger knows what was sent; a digest that was missed is caught up, oldest first."""
        now, config = now_utc(), self._config
        with self._store() as store:
            for recipient in config.recipients:
                self._pulse.beat("digest", SILENT_S["digest"])
                if self._stopping.is_set():
                    return
                zone = config.zone_of(recipient)
                started = store.started_on(schedule.local_day(now, zone))
                ended = store.digest_periods(recipient.email, recipient.cadence)
                for day in schedule.digest_due(now, recipient.at, zone, None, started, weekday=recipient.sent_on):
                    if ended.get(day.isoformat()) not in ("sent", "skipped", "unknown"):
                        pipeline.send_digest(store, config, recipient, day, now_utc)

    def _alerts(self) -> None:
        """Looks once an hour for what is unusual, and tells who has not been told yet."""
        with self._store() as store:
            alerting.look(store, self._config, now_utc())
            alerting.tell(store, self._config, now_utc, self._stopping.is_set)

    def _operator(self) -> None:
        """Tells the operator what fails, and when it is mended."""
        with self._store() as store:
            upkeep.look(store, self._config, now_utc())
            upkeep.tell(store, self._config, now_utc, self._stopping.is_set)

    def _purge(self) -> None:
        """Erases what is past its time. After the clock was set otherwise by more than an hour it waits for the next
        hour: what is erased by a clock that is wrong for a moment is gone for good.
        """
        ahead = _clock_ahead()
        jump, self._ahead = ahead - self._ahead, ahead
        if abs(jump) > _JUMP_S:
            log.event("clock_jumped", logging.WARNING, seconds=round(jump))
            return
        with self._store() as store:
            pipeline.purge(store, self._config, now_utc())

    # --- configuration and signals -----------------------------------------------------------------------------------

    def _store(self) -> Store:
        return pipeline.open_store(self._config)

    def _apply(self, config: Config) -> None:
        settings = sources.check(config)
        self._pulse.beat("configure", SILENT_S["configure"])  # all posts may have to be linked anew
        try:
            with pipeline.open_store(config) as store:
                changed = pipeline.adopt(store, config, now_utc())
        finally:
            self._pulse.end("configure")
        for warning in configuration.warnings(config):
            log.event("warning", logging.WARNING, warning=warning)
        log.event("configured", sources=len(settings), brands=len(config.brands), relinked=changed)
        self._config = config

    def _reread_between_fetches(self) -> None:
        """Lets fetches end first (they stop at their next page): what they bring is linked to the brands they know."""
        with self._handing_out:
            if not self._fetching or time.monotonic() > self._reload_by:
                self._reload.clear()
                self._reread()

    def _reread(self) -> None:
        """A configuration that cannot be used is refused and the old one goes on."""
        before = self._config
        try:
            config = configuration.load(before.path, before.named_database)
            if config.database != before.database:
                raise ConfigError("the database cannot change while the daemon runs; restart it")
            self._apply(config)
        except ListenerError as error:
            log.event("reload_refused", logging.ERROR, error=str(error))
            return
        if config.log != before.log:  # else -v on the command line holds
            log.set_up(config.log.level, config.log.format)
        if config.http != before.http:
            self._get = self._doors.enter_context(open_get(config.http))
        log.event("reloaded")

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping.set()

    def _on_reload(self, number: int, frame: FrameType | None) -> None:
        self._reload_by = time.monotonic() + RELOAD_WAIT_S
        self._reload.set()
