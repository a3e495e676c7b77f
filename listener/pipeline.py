"""The main job in three verbs: collect, classify_pending, send_digest. Read this file first.

The table is the queue. `collect` adds rows, `classify_pending` drains rows without a verdict, `send_digest` reads rows;
none of them calls another, and each may die at any point and be run again.
"""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Literal

from listener import config as configuration
from listener import crash, digest, engine, linking, log, mail, schedule, sources, trends
from listener.config import Config, RecipientSettings, SourceSettings
from listener.digest.edition import Edition
from listener.engine import Judge
from listener.errors import (
    Broken,
    ConfigError,
    Disabled,
    ModelError,
    Refused,
    Retry,
    SourceError,
    StoreError,
    TakenOver,
    Unauthorised,
)
from listener.http import Get
from listener.mail import delivery
from listener.migrations import stamp
from listener.records import Outcome, Page, Pending, Run, Verdict
from listener.store import Store
from listener.tables.ledger import DigestState
from listener.tally import Tally
from listener.text import model_input
from listener.wording import Calendar

Clock = Callable[[], datetime]

RECHECKS_A_RUN = 5  # requests, so that a source with a hundred thousand posts is not asked for all of them in one run
_RUNS_DAYS = 180  # more than the health of a source looks back
CLASSIFY_AT_ONCE = 512  # posts a transaction: large enough to sort by length, small enough to stop within a second


_OUTCOMES: Mapping[type[SourceError], Outcome] = {  # the narrower class first
    Retry: "retry",
    Unauthorised: "unauthorised",
    Disabled: "disabled",
    Refused: "refused",
    Broken: "broken",
}


# --- collect ---------------------------------------------------------------------------------------------------------


def collect(
    store: Store,
    config: Config,
    name: str,
    get: Get,
    clock: Clock,
    stop: Callable[[], bool] = bool,
    on_page: Callable[[int], object] = bool,
) -> Run:
    """Fetches one source and stores what it brings, page by page; returns the run that was recorded.

    Then asks after some of the posts that are stored, where the source can be asked. Never raises for what a source
    does: that is the run's outcome. A programming error in a source is logged whole and becomes the outcome "crashed",
    so that the other sources go on. `stop` is asked between pages, and a source that was stopped is due again at once;
    `on_page` hears how many posts each page held. Raises StoreError when the database cannot be written.
    """
    entry = config.source(name)
    tally, started = Tally(), clock()
    crash.here("collect.begun")
    walk = _pages(store, entry, config.path, get, started)
    stopped = _take(store, config, entry, walk, tally, clock, stop, on_page)
    if not stopped and tally.may_go_on() and sources.can_recheck(entry.kind):
        walk = _rechecked(store, entry, config.path, get, started)
        stopped = _take(store, config, entry, walk, tally, clock, stop, on_page)
        tally.postpone()
    finished = clock()
    run = tally.run(name, started, finished)
    state = store.source_state(name)
    failures = (state.failures if state else 0) + 1 if run.error else 0
    # Where some of its places were read the source is not put off: what those show does not wait for us.
    failures = min(failures, 1) if tally.pages else failures
    due = schedule.next_due(finished, entry.every_s, failures, tally.after, random.random())  # noqa: S311
    crash.here("collect.finishing")
    store.finish_run(run, finished if stopped else due)
    crash.here("collect.finished")
    _tell("collected", run)
    return run


def backfill(
    store: Store,
    config: Config,
    name: str,
    since: datetime,
    get: Get,
    clock: Clock,
    stop: Callable[[], bool] = bool,
    on_page: Callable[[int], object] = bool,
) -> tuple[Run, float | None]:
    """Walks back to `since` as far as the source reaches; returns what came of it, and the seconds it asks us to wait.

    Goes on where an earlier walk to the same date was stopped or failed. The bookmark of `collect` is left alone.
    Raises ConfigError when the source shows nothing older than `collect` reads, StoreError as `collect` does.
    """
    entry = config.source(name)
    walk_back = getattr(sources.load(entry.kind), "backfill", None)
    if walk_back is None:
        raise ConfigError(
            f"{name}: a source of kind {entry.kind!r} shows what it holds now and cannot be asked for older posts; "
            "bring those in as a file, with `listener import`"
        )
    settings = sources.settings(entry, config.path)
    state = store.backfill_state(name)
    if state is None or state["since"] != stamp(since):
        store.begin_backfill(name, since)
        state = None
    tally, started = Tally(), clock()
    walk = walk_back(settings, since, state and state["cursor"], get, started, name)
    stopped = _take(store, config, entry, walk, tally, clock, stop, on_page, backfill=True)
    run = tally.run(name, started, clock())
    if not run.error and not stopped:
        store.end_backfill(name)
    _tell("backfilled", run)
    return run, tally.after


def _take(
    store: Store,
    config: Config,
    entry: SourceSettings,
    walk: Iterator[Page],
    tally: Tally,
    clock: Clock,
    stop: Callable[[], bool],
    on_page: Callable[[int], object],
    *,
    backfill: bool = False,
) -> bool:
    """Stores the pages of a walk as they come, and what went wrong in `tally`; returns whether `stop` ended it."""
    match, brands = linking.brand_matcher(config), linking.brands_key(config)
    rechecked = sources.can_recheck(entry.kind)
    try:
        for page in walk:
            crash.here("collect.fetched")
            linked, links = linking.link(page, entry, match)
            saved = store.save_page(entry.name, linked, links, clock(), rechecked=rechecked, backfill=backfill)
            crash.here("collect.saved")
            tally.add(linked, sum(found is not None for found in links), saved)
            store.doubt_links(brands)
            on_page(len(page.posts))
            if stop():
                return True
    except StoreError:
        raise  # it is not the source that failed, and its bookmark has not moved
    except SourceError as error:
        tally.failed(next(name for kind, name in _OUTCOMES.items() if isinstance(error, kind)), error)
    except Exception as error:  # noqa: BLE001  # a bug in one source must not silence the others
        log.event("source_crashed", logging.ERROR, exc_info=True, source=entry.name)
        tally.failed("crashed", error)
    return False


def _tell(event: str, run: Run) -> None:
    log.event(
        event,
        logging.WARNING if run.error else logging.INFO,
        source=run.source,
        outcome=run.outcome,
        seen=run.seen,
        new=run.new,
        edited=run.edited,
        deleted=run.deleted,
        skipped=sum(run.skipped.values()),
        seconds=round(run.seconds, 2),
        error=run.error,
    )


def _pages(store: Store, entry: SourceSettings, path: Path | None, get: Get, now: datetime) -> Iterator[Page]:
    """What is new at a source."""
    source, settings = sources.load(entry.kind), sources.settings(entry, path)
    state = store.source_state(entry.name)
    yield from source.fetch(settings, state.cursor if state else None, get, now, entry.name)


def _rechecked(store: Store, entry: SourceSettings, path: Path | None, get: Get, now: datetime) -> Iterator[Page]:
    """What became of posts that a source brought before."""
    source, settings = sources.load(entry.kind), sources.settings(entry, path)
    for _ in range(RECHECKS_A_RUN):
        due = store.to_recheck(entry.name, now, source.RECHECK_AT_ONCE)  # type: ignore[attr-defined]
        if not due:
            break
        try:
            state = store.source_state(entry.name)
            cursor = state.cursor if state else None
            yield from source.recheck(settings, cursor, due, get, now, entry.name)  # type: ignore[attr-defined]
        except Retry:
            raise
        except SourceError:
            store.rechecked(entry.name, due, now)  # else those that cannot be asked after would keep all others waiting
            raise
        store.rechecked(entry.name, due, now)


def open_store(config: Config) -> Store:
    """The database of a configuration, open for writing, made or migrated where needed."""
    hashed = config.privacy.authors == "hash"
    key = configuration.author_key(config) if hashed else None
    return Store.open(config.database, config.zone, author_key=key, authors=config.privacy.authors)


def adopt(store: Store, config: Config, now: datetime) -> int:
    """Makes the database agree with the configuration: its sources, and the brands that stored posts are linked to.

    Returns how many posts are linked otherwise than before.
    """
    store.sync_sources([(entry.name, entry.kind, entry.every_s, entry.enabled) for entry in config.sources], now)
    return relink(store, config)


def relink(store: Store, config: Config) -> int:
    """Links stored posts anew when the brands of the configuration changed; returns how many posts changed."""
    if config.path is None and not config.brands:
        return 0  # a command without a configuration knows no brands, and takes none away
    return store.relink(linking.brand_matcher(config), linking.brands_key(config))


def purge(store: Store, config: Config, now: datetime) -> dict[str, int]:
    """Takes the words out of posts whose time is over; returns how many of which source.

    Erases whole the posts that their source's terms let nobody keep without seeing them there, whether it answers or
    not. Records of fetches go after `_RUNS_DAYS`, so that a daemon may run for years.
    """
    gone: dict[str, int] = {}
    own = {entry.name: entry.keep_days for entry in config.sources}
    for name, kind in store.source_kinds().items():
        days = own.get(name) or config.privacy.keep_days
        number = store.expire(name, now - timedelta(days=days), now) if days else 0
        crash.here("purge.expired")
        if number:
            log.event("expired", source=name, posts=number, days=days)
        unseen = sources.load(kind).ABOUT.keep_days if kind in sources.kinds() else None
        erased = store.purge_unverified(name, now - timedelta(days=unseen), now) if unseen else 0
        if erased:
            log.event("purged", source=name, posts=erased, days=unseen)
        if number + erased:
            gone[name] = number + erased
    store.let_runs_go(now - timedelta(days=_RUNS_DAYS))
    return gone


# --- classify --------------------------------------------------------------------------------------------------------


def load_model(store: Store, config: Config, now: datetime) -> Judge:
    """The configured model; the database remembers what it is known to take for what.

    Raises ModelError when it cannot be used.
    """
    judge = engine.load(config.model)
    store.note_model(judge.model, engine.confusion(config.model), now)
    return judge


def classify_pending(
    store: Store, classifier: Judge, clock: Clock, stop: Callable[[], bool] = bool, at_most: int | None = None
) -> Iterator[int]:
    """Drains the queue, newest posts first; yields the number of verdicts stored after every transaction.

    Raises ModelError where the memory does not suffice for a single post.
    """
    done = 0
    while not stop() and (at_most is None or done < at_most):
        waiting = store.pending(classifier.model, CLASSIFY_AT_ONCE)
        if not waiting:
            return
        crash.here("classify.taken")
        verdicts = _judged(classifier, waiting)
        crash.here("classify.scored")
        store.save_verdicts(verdicts, clock())
        crash.here("classify.saved")
        done += len(verdicts)
        yield len(verdicts)


def _judged(classifier: Judge, posts: Sequence[Pending]) -> list[Verdict]:
    """A verdict on each post, in their order; where memory runs out, on half as many at once."""
    texts = [model_input(post.title, post.text) for post in posts]
    try:
        scores = classifier.classify(texts, kinds=[post.kind for post in posts], hints=[post.lang for post in posts])
    except MemoryError as error:
        if len(posts) == 1:
            raise ModelError(
                "the memory does not suffice to judge a single post; free some, or raise a limit"
            ) from error
        log.event("memory_short", logging.WARNING, posts=len(posts))
        half = len(posts) // 2
        return _judged(classifier, posts[:half]) + _judged(classifier, posts[half:])
    return [
        Verdict(post.post_id, classifier.model, post.text_hash, score)
        for post, score in zip(posts, scores, strict=True)
    ]


# --- digest ----------------------------------------------------------------------------------------------------------

NOBODY = "Listener <listener@localhost>"  # who a digest is from that leaves this machine by no mail server
DigestOutcome = Literal["sent", "skipped", "done", "waiting", "failed", "unknown"]


def build_digest(
    database: Path, config: Config, recipient: RecipientSettings | None, day: date, now: datetime
) -> digest.Digest:
    """The digest of a local day, for a recipient or (None) for everybody. Reads only."""
    wanted = set(recipient.brands) if recipient and recipient.brands else {brand.name for brand in config.brands}
    own = [brand.name for brand in config.brands if brand.role == "own" and brand.name in wanted]
    rivals = [brand.name for brand in config.brands if brand.role == "competitor" and brand.name in wanted]
    edition = Edition(
        brands=tuple(own) or ("",),
        rivals=tuple(rivals),
        day=day,
        days=recipient.days if recipient else 1,
        sources=tuple(recipient.sources) if recipient else (),
        now=now,
        due=schedule.digest_at(day, recipient.at, config.zone_of(recipient)) if recipient else None,
        calendar=Calendar(config.zone_of(recipient), recipient.dates) if recipient else Calendar(config.zone),
        page=config.mail.page,
        vocabulary=engine.vocabulary(config.model),
    )
    with closing(trends.open_reader(database, config.zone)) as reader:
        return digest.build(reader, edition)


def digest_files(config: Config, day: date, now: datetime, folder: Path) -> tuple[Path, Path, Path]:
    """Writes the digest of a local day for everybody to `folder`, as .eml, .html and .txt; returns their paths."""
    rendered = digest.render(build_digest(config.database, config, None, day, now))
    sender = config.mail.sender or NOBODY
    return mail.write_files(mail.compose(rendered, sender, "you@localhost", day, "daily", now), folder, day)


def send_digest(
    store: Store, config: Config, recipient: RecipientSettings, day: date, clock: Clock, *, at_once: bool = False
) -> DigestOutcome:
    """Sends the digest of a day to one recipient, at most once whatever happens on the way.

    After a failure it waits, longer each time, unless `at_once`.

    The ledger row is committed before the mail goes. A mail server that may or may not have taken the mail, or a
    process that dies between the two, leaves "unknown", which is shown and not repeated: one digest too few is better
    than the same one every minute.
    """
    now, key = clock(), (recipient.email, recipient.cadence, day.isoformat())
    claim = store.claim_digest(*key, now, at_once=at_once)
    if claim != "send":
        return claim
    try:
        built = build_digest(store.path, config, recipient, day, now)
        sender = config.mail.sender or NOBODY
        message = mail.compose(digest.render(built), sender, recipient.email, day, recipient.cadence, now)
    except Exception as error:
        # What could not be built was certainly not sent: the ledger says so, and the error goes on to be seen.
        store.mark_digest(*key, "failed", f"{type(error).__name__}: {error}", clock())
        raise
    state: DigestState = "skipped"
    detail = ""
    if not (built.quiet and recipient.quiet == "skip"):
        folder, going = mail_folder(config, recipient.email), partial(store.hand_over_digest, *key, now)
        try:
            state, detail = delivery.deliver(message, config.mail, folder, day, going=going)
        except TakenOver:
            return "waiting"
    store.mark_digest(*key, state, detail, clock())
    level = logging.INFO if state in ("sent", "skipped") else logging.ERROR
    log.event("digest", level, day=key[2], state=state, error=detail if level == logging.ERROR else "")
    return state


def mail_folder(config: Config, recipient: str) -> Path:
    """Where the mails of a person are kept that go to files."""
    folder = config.mail.folder or config.database.parent / "digests"
    return folder / re.sub(r"[^\w.@+-]", "_", recipient)
